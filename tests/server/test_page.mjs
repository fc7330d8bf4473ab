/* test_page.mjs -- the web page of `winnow serve` in headless Chromium, against a real server.
 *
 *     WINNOW=build/winnow node tests/server/test_page.mjs [WORD...]     cases whose name has a WORD
 *
 * What the page shows is compared with the JSON that it was given, number by number; lines are compared with the places
 * of the cards they join. Needs tools/playwright.sh and Debian's chromium; says SKIPPED without. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Browser, HOSTILE, ROOT, Server, Site, playwright, runCases } from "./page_harness.mjs";
import { contrastFaults, phoneFaults, structureFaults } from "./page_checks.mjs";

const chromium = await playwright();
const site = new Site(), browser = await Browser.launch(chromium);
const server = await site.serve();
const QUERY = "How much memory does an H100 have?";
const FEW = "#first_stage_k=20"; /* candidates: enough to move, few enough to be quick */
const BOTH = ".moves[data-mode=both][aria-busy=false]:not(.stale)";

/* ---- What several cases do ------------------------------------------------------------------ */
const open = (url, options) => browser.open(url + FEW, options);
const isSearch = (rerank, query) => response => response.url().endsWith("/search") && response.request().method() === "POST"
  && response.ok() && (r => r.rerank === rerank && (!query || r.query === query))(response.request().postDataJSON());

async function search(page, query = QUERY, rerank = "always") {
  const answer = page.waitForResponse(isSearch(rerank, query));
  await page.fill("#query", query);
  const json = await (await answer).json();
  if (json.reranked) await page.waitForSelector(`#search-view ${BOTH}`);
  return json;
}

/* The cards of a column as plain values. */
const cards = (page, column) => page.$$eval(`${column} .card:not(.ghost)`, nodes => nodes.map(node => ({
  key: node.dataset.key, rank: Number(node.querySelector(".rank").childNodes[1].data), value: Number(node.querySelector(".value").dataset.value),
  shown: node.querySelector(".value").textContent, move: node.querySelector(".move")?.textContent.replace(/\s/g, "") ?? "",
  text: node.querySelector(".text").textContent, bar: parseFloat(node.querySelector(".bar i").style.width),
  top: node.getBoundingClientRect().top, bottom: node.getBoundingClientRect().bottom
})));
const text = (page, selector) => page.$eval(selector, node => node.textContent);
const keyOf = r => `${r.document}#${r.metadata.passage}`;
const shownAs = value => value.toFixed(3).replace("-", "\u2212");
const markOf = change => change > 0 ? `▲${change}` : change < 0 ? `▼${-change}` : "=";
const focused = page => page.evaluate(() => {
  const card = document.activeElement.closest(".card");
  return card ? `${card.dataset.side} ${card.dataset.key}` : document.activeElement.id;
});

function sameColumn(shown, results, rank, score) {
  const expected = [...results].sort((a, b) => a[rank] - b[rank]).slice(0, shown.length);
  assert.deepEqual(shown.map(c => [c.key, c.rank, c.value, c.shown]),
    expected.map(r => [keyOf(r), r[rank], r[score], shownAs(r[score])]));
  const bars = shown.map(c => c.bar);
  assert.deepEqual(bars, [...bars].sort((a, b) => b - a), "bars fall with the scores");
}

const cases = {
  /* ---- Search ---- */
  async search_two_columns_equal_the_api() {
    const page = await open(server.url), answer = await search(page);
    const before = await cards(page, "#search-view .before"), after = await cards(page, "#search-view .after");
    assert.equal(before.length, 10);
    assert.equal(after.length, 10);
    sameColumn(before, answer.results, "first_stage_rank", "first_stage_score");
    sameColumn(after, answer.results, "final_rank", "final_score");
    const byKey = new Map(answer.results.map(r => [keyOf(r), r]));
    assert.deepEqual(after.map(c => c.move), after.map(c => markOf(byKey.get(c.key).rank_change)));
    const own = (await server.post("/search", { index: "docs", query: QUERY, k: 20, first_stage_k: 20, first_stage: "bm25" })).body;
    assert.deepEqual(after.map(c => c.value), own.results.slice(0, 10).map(r => r.final_score), "another client gets the same");
    const said = await text(page, "#search-status");
    assert.match(said, new RegExp(`^${answer.candidates} candidates in [\\d.]+ ms, ${answer.reranked} reranked in [\\d.]+ m?s`));
    assert.match(await text(page, "#search-view .after .sub"), new RegExp(`^${answer.reranker}( · \\+ [\\d.]+ × cosine)? · [\\d.]+ m?s$`));
    assert.match(await text(page, "#search-view .before .sub"), /^BM25 · [\d.]+ ms$/);
  },

  async search_lines_join_the_two_places() {
    const page = await open(server.url), answer = await search(page), k = 10;
    const before = await cards(page, "#search-view .before"), after = await cards(page, "#search-view .after");
    const lines = await page.$$eval(".lines path.line", paths => paths.map(path => {
      const box = path.ownerSVGElement.getBoundingClientRect(), at = p => ({ x: box.left + p.x, y: box.top + p.y });
      return { ...path.dataset, kind: path.getAttribute("class"), begin: at(path.getPointAtLength(0)), end: at(path.getPointAtLength(path.getTotalLength())),
        foot: box.bottom, dash: getComputedStyle(path).strokeDasharray };
    }));
    const wanted = answer.results.filter(r => r.first_stage_rank <= k || r.final_rank <= k);
    assert.deepEqual(lines.map(l => l.key).sort(), wanted.map(keyOf).sort());
    const middle = card => (card.top + card.bottom) / 2;
    for (const line of lines) {
      const left = before.find(c => c.key === line.key), right = after.find(c => c.key === line.key);
      if (left) assert.ok(Math.abs(line.begin.y - middle(left)) < 2, `${line.key} begins at ${line.begin.y}, its card is at ${middle(left)}`);
      else assert.ok(Math.abs(line.begin.y - line.foot) < 2);
      if (right) assert.ok(Math.abs(line.end.y - middle(right)) < 2, `${line.key} ends at ${line.end.y}, its card is at ${middle(right)}`);
      else assert.ok(line.end.y > line.foot - 12);
      const kind = Number(line.from) > Number(line.to) ? "up" : Number(line.from) < Number(line.to) ? "down" : "same";
      assert.ok(line.kind.split(" ").includes(kind));
      assert.equal(line.dash !== "none", kind === "down", "falls are dashed: colour is not the only mark");
    }
    assert.ok(lines.some(l => l.kind.includes("up")) && lines.some(l => l.kind.includes("down")), "the question moves something");
  },

  async search_lines_follow_an_opened_card() {
    const page = await open(server.url);
    await search(page);
    const ends = () => page.$$eval(".lines path.line:not(.enters, .leaves)", paths => Object.fromEntries(paths.map(p => [p.dataset.key, p.getPointAtLength(p.getTotalLength()).y])));
    const old = await ends(), first = (await cards(page, "#search-view .after"))[0];
    await page.click("#search-view .after .card:first-child button");
    await page.waitForFunction(() => document.querySelector(".after .card .detail"));
    await page.evaluate(() => new Promise(requestAnimationFrame));
    const now = await ends(), grown = await page.$eval("#search-view .after .card", c => c.getBoundingClientRect().height) - (first.bottom - first.top);
    assert.ok(grown > 50);
    for (const [key, y] of Object.entries(now)) {
      if (key === first.key) assert.ok(Math.abs(y - old[key]) < 2);
      else assert.ok(Math.abs(y - old[key] - grown) < 2, `${key} moved by ${y - old[key]}, not by ${grown}`);
    }
  },

  async search_newest_answer_wins() {
    let held = 0;
    const page = await open(server.url, {
      expected: /ERR_ABORTED/, before: page => page.route("**/search", async route => {
        if (route.request().postDataJSON().query !== "quantization") return route.continue();
        held++;
        await new Promise(resolve => setTimeout(resolve, 1500));
        await route.continue().catch(() => { });
      })
    });
    const aborted = page.waitForEvent("requestfailed");
    await page.fill("#query", "quantization");
    await page.waitForTimeout(400);
    const answer = await search(page, "zebra stripes");
    await aborted;
    await page.waitForTimeout(1500);
    assert.equal(held, 1);
    assert.deepEqual((await cards(page, "#search-view .after")).map(c => c.key), answer.results.slice(0, 10).map(keyOf));
  },

  async search_shown_asks_nothing_candidates_ask_again() {
    const page = await open(server.url);
    await search(page);
    const requests = [];
    page.on("request", request => { if (request.url().endsWith("/search")) requests.push(request.postDataJSON()); });
    await page.fill("#k", "3");
    assert.equal((await cards(page, "#search-view .after")).length, 3);
    assert.equal(await text(page, "#k_out"), "3");
    await page.waitForTimeout(700);
    assert.equal(requests.length, 0);
    const answer = page.waitForResponse(isSearch("always"));
    await page.fill("#first_stage_k", "15");
    assert.equal((await (await answer).json()).results.length, 15);
    await page.waitForSelector(`#search-view ${BOTH}`);
    assert.deepEqual(requests.map(r => [r.rerank, r.k, r.first_stage_k]), [["never", 15, 15], ["always", 15, 15]]);
  },

  async search_filters_by_document_and_index() {
    const page = await open(server.url);
    await search(page);
    await page.fill("#where", "lora.md");
    await page.waitForFunction(() => [...document.querySelectorAll(".after .card:not(.ghost) b")].length
      && [...document.querySelectorAll(".after .card:not(.ghost) b")].every(b => b.textContent === "lora.md"));
    await page.fill("#where", "");
    await page.selectOption("#index", "odd");
    const answer = await search(page, "giraffe");
    assert.deepEqual(new Set(answer.results.map(r => r.metadata.filename)), new Set(["long.txt", "short.txt"]));
  },

  async search_says_what_was_cut() {
    const page = await open(server.url);
    await page.selectOption("#index", "odd");
    const answer = await search(page, "giraffe"), cut = answer.results.filter(r => r.tokens_dropped);
    assert.equal(cut.length, 1);
    assert.match(await text(page, "#search-status"), new RegExp(`1 passage cut: ${cut[0].tokens_dropped.toLocaleString("en")} tokens not read`));
    assert.equal(await text(page, "#search-view .after .cut"), `${cut[0].tokens_dropped} tokens cut`);
  },

  async search_never_shows_one_column() {
    const page = await open(server.url);
    await page.check("input[name=rerank][value=never]", { force: true });
    const answer = await search(page, QUERY, "never");
    await page.waitForSelector("#search-view .moves[data-mode=first]");
    sameColumn(await cards(page, "#search-view .before"), answer.results, "first_stage_rank", "first_stage_score");
    assert.equal((await cards(page, "#search-view .after")).length, 0);
    assert.match(await text(page, "#search-view .after .note"), /Not reranked/);
    assert.equal(await page.locator(".lines path").count(), 0);
  },

  async search_without_embeddings_offers_bm25_alone() {
    const page = await open(server.url);
    await page.waitForSelector("input[name=first_stage][value=bm25]:checked", { state: "attached" });
    assert.ok(await page.isDisabled("input[name=first_stage][value=dense]"));
    assert.ok(await page.isDisabled("input[name=first_stage][value=hybrid]"));
  },

  async search_dense_and_hybrid() {
    const dense = await Server.start(["--index", site.dense(), "--reranker", join(ROOT, "models", "reranker-minilm-l6-v0")]);
    try {
      const page = await open(dense.url);
      assert.ok(!await page.isVisible("#index"), "one index needs no choice");
      for (const stage of ["dense", "hybrid"]) {
        await page.check(`input[name=first_stage][value=${stage}]`, { force: true });
        const answer = await search(page, `What is ${stage} LoRA?`);
        assert.equal(answer.first_stage, stage);
        sameColumn(await cards(page, "#search-view .before"), answer.results, "first_stage_rank", "first_stage_score");
        assert.match(await text(page, "#search-view .before .sub"), new RegExp(`^${stage} · ${site.model} · `));
      }
    } finally { await dense.kill(); }
  },

  async search_address_brings_the_question_back() {
    const page = await open(server.url);
    await page.fill("#k", "4");
    const answer = await search(page), address = page.url();
    assert.match(address, /#q=How\+much.*first_stage_k=20/);
    const again = await browser.open(address);
    await again.waitForSelector(`#search-view ${BOTH}`);
    assert.equal(await again.inputValue("#query"), QUERY);
    assert.deepEqual((await cards(again, "#search-view .after")).map(c => c.value), answer.results.slice(0, 4).map(r => r.final_score));
  },

  async search_hostile_text_stays_text() {
    const page = await open(server.url);
    await search(page, "zebra stripes");
    await page.click("#search-view .after .card:first-child button");
    assert.ok((await text(page, "#search-view .after .whole")).includes(HOSTILE));
    assert.ok((await text(page, "#search-view .after .card:first-child")).includes('<i>Zebra</i> "quoted" & more'));
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator("main img, main script, main i:not(.bar i)").count(), 0);
  },

  async search_nothing_jumps() {
    let release, waiting = new Promise(resolve => { release = resolve; });
    const page = await open(server.url, {
      before: page => page.route("**/search", async route => {
        if (route.request().postDataJSON().rerank !== "never") await waiting;
        await route.continue();
      })
    });
    await page.fill("#query", QUERY);
    await page.waitForSelector("#search-view .moves[data-mode=waiting]");
    const places = () => page.$$eval("#search-view .card", all => all.map(c => [c.getBoundingClientRect().top, c.getBoundingClientRect().height]));
    const old = await places();
    assert.equal(old.length, 20, "ghosts keep the places of what will come");
    release();
    await page.waitForSelector(`#search-view ${BOTH}`);
    assert.deepEqual(await places(), old);
  },

  /* ---- Nothing, refusals, a server that is gone ---- */
  async empty_result_says_so() {
    const page = await open(server.url);
    await search(page, "xyzzyplugh", "never");
    await page.waitForSelector("#search-view .empty:visible");
    assert.match(await text(page, "#search-view .empty"), /No passage was found/);
    assert.equal(await text(page, "#search-status"), "Nothing found.");
    assert.ok(!await page.isVisible("#search-view .moves"));
    await search(page);
    assert.ok(await page.isVisible("#search-view .moves"), "and recovers");
  },

  async refusal_shows_the_servers_words() {
    const asked = { index: "docs", query: QUERY, k: 20, first_stage_k: 20, first_stage: "bm25", rerank: "auto" };
    const { status, body } = await server.post("/search", asked);
    assert.ok(status === 400 || status === 422, `auto without a threshold is refused (${status})`);
    const page = await open(server.url, { expected: /status of 4(00|22)/ });
    await search(page);
    await page.check("input[name=rerank][value=auto]", { force: true });
    await page.waitForSelector("#search-view .problem[role=alert]");
    assert.ok((await text(page, "#search-view .problem")).includes(body.error.message));
    await page.check("input[name=rerank][value=always]", { force: true });
    await page.waitForSelector(`#search-view ${BOTH}`);
  },

  async busy_server_is_asked_again() {
    let refused = 0;
    const page = await open(server.url, {
      expected: /status of 429/, before: page => page.route("**/search", route => refused++ ? route.continue()
        : route.fulfill({ status: 429, headers: { "Retry-After": "1" }, json: { error: { message: "the queue is full" } } }))
    });
    await search(page);
    assert.ok(refused > 2);
  },

  async gone_server_is_told_and_comes_back() {
    let mortal = await site.serve();
    try {
      const page = await open(mortal.url, { expected: /ERR_CONNECTION|ERR_EMPTY|ERR_SOCKET|status of 503/ });
      await search(page);
      await mortal.kill();
      await page.fill("#query", "memory of a card");
      await page.waitForSelector("#notice:visible");
      assert.match(await text(page, "#notice"), /does not answer/);
      await page.waitForFunction(() => /does not answer/.test(document.querySelector("#search-status").textContent));
      assert.equal((await cards(page, "#search-view .after")).length, 10, "the last answer stays");
      const answer = page.waitForResponse(isSearch("always", "memory of a card"));
      mortal = await mortal.again();
      await page.waitForFunction(() => document.querySelector("#notice").textContent === "The server is back.");
      const results = (await (await answer).json()).results;
      await page.waitForSelector(`#search-view ${BOTH}`);
      assert.deepEqual((await cards(page, "#search-view .after")).map(c => c.key), results.slice(0, 10).map(keyOf));
      await page.waitForSelector("#notice", { state: "hidden" });
    } finally { await mortal.kill(); }
  },

  async key_is_asked_for_and_kept_in_the_tab() {
    const file = join(site.dir, "keys");
    writeFileSync(file, "sesame-open-0123456789\n", { mode: 0o600 });
    const locked = await site.serve("--keys", file);
    try {
      const page = await open(locked.url, { expected: /status of 401/ });
      await page.waitForSelector("#key-dialog[open]");
      assert.equal(await focused(page), "key");
      await page.fill("#key", "wrong");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => /not accepted/.test(document.querySelector("#key-why").textContent));
      await page.fill("#key", "sesame-open-0123456789");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#key-dialog", { state: "hidden" });
      await search(page);
      assert.deepEqual(await page.evaluate(() => [Object.values(sessionStorage), Object.values(localStorage), document.cookie]),
        [["sesame-open-0123456789"], [], ""]);
      await page.reload();
      await page.waitForSelector(`#search-view ${BOTH}`);
      assert.ok(!await page.isVisible("#key-dialog"));
    } finally { await locked.kill(); }
  },

  /* ---- Compare ---- */
  async compare_two_rankings_equal_the_api() {
    site.needModel();
    const page = await open(server.url), passages = ["LoRA trains small matrices beside frozen weights.", "A zebra has stripes.",
      "Quantization stores weights\nin fewer bits.", HOSTILE];
    await page.click("#tab-compare");
    await page.fill("#compare-query", "How are weights made smaller?");
    await page.fill("#compare-passages", passages.join("\n\n"));
    const sent = page.waitForResponse(response => response.url().endsWith("/compare"));
    await page.press("#compare-passages", "Control+Enter");
    const response = await sent, answer = await response.json();
    assert.deepEqual(response.request().postDataJSON().documents, passages);
    await page.waitForSelector(`#compare-view ${BOTH}`);
    for (const [column, rank, score] of [[".before", "bi_encoder_rank", "bi_encoder_score"], [".after", "rerank_rank", "rerank_score"]]) {
      const wanted = [...answer.results].sort((a, b) => a[rank] - b[rank]);
      assert.deepEqual((await cards(page, `#compare-view ${column}`)).map(c => [c.key, c.rank, c.value]), wanted.map(r => [String(r.index), r[rank], r[score]]));
    }
    assert.equal(await page.locator("#compare-view .lines path.line").count(), 4);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
  },

  async compare_lines_without_empty_lines_are_passages() {
    site.needModel();
    const page = await open(server.url);
    await page.click("#tab-compare");
    await page.click("#compare button[type=submit]");
    assert.match(await text(page, "#compare-view .empty"), /A question is needed/);
    assert.equal(await focused(page), "compare-query");
    await page.fill("#compare-query", "stripes");
    await page.fill("#compare-passages", "one zebra\ntwo horses\n");
    await page.click("#compare button[type=submit]");
    await page.waitForSelector(`#compare-view ${BOTH}`);
    assert.equal((await cards(page, "#compare-view .after")).length, 2);
  },

  /* ---- Evaluate ---- */
  async evaluation_report_equals_the_api() {
    const file = join(site.dir, "queries.jsonl");
    const labelled = readFileSync(join(ROOT, "examples", "queries.jsonl"), "utf-8").split("\n").filter(line =>
      /"(lora|quantization|kv_cache|gpu_memory)\.md"/.test(line)).slice(0, 8);
    writeFileSync(file, labelled.join("\n"));
    const page = await open(server.url);
    await page.click("#tab-eval");
    await page.setInputFiles("#eval-file", file);
    await page.fill("#eval_k", "20");
    await page.evaluate(() => {
      window.heard = [];
      new MutationObserver(() => window.heard.push(document.querySelector("#eval-progress").value)).observe(
        document.querySelector("#eval-progress"), { attributes: true, attributeFilter: ["value"] });
    });
    const sent = page.waitForResponse(response => response.url().endsWith("/eval"));
    await page.click("#eval button[type=submit]");
    const events = await (await sent).text(), data = name => [...events.matchAll(new RegExp(`^event: ${name}\\ndata: (.*)$`, "gm"))].map(m => JSON.parse(m[1]));
    await page.waitForSelector("#eval-view .verdict");
    const [report] = data("result"), main = report.measures.find(m => m.measure === "ndcg_cut_10");
    // Events that arrive together are heard as one change, so a fast machine may show but one.
    assert.ok((await page.evaluate(() => window.heard)).length > 0, "progress was shown");
    assert.ok((await text(page, ".verdict")).includes(`nDCG@10 ${shownAs(main.first_stage)} without, ${shownAs(main.reranked)} with reranking`));
    const rows = await page.$$eval("#eval-view table:first-of-type tbody tr", all => all.map(row => [...row.children].map(c => c.textContent)));
    for (const m of report.measures.filter(m => ["map", "ndcg_cut_10", "recip_rank"].includes(m.measure))) {
      const row = rows.find(r => r[0] === { map: "MAP", ndcg_cut_10: "nDCG@10", recip_rank: "MRR" }[m.measure]);
      assert.deepEqual([row[1], row[2], row[7], row[8], row[9]], [shownAs(m.first_stage), shownAs(m.reranked), String(m.better), String(m.worse), String(m.equal)]);
    }
    const gained = report.queries.filter(q => q.gain), links = page.locator("#eval-view td a, #eval-view th a");
    assert.equal(await links.count(), gained.length);
    if (gained.length) {
      await links.first().click();
      await page.waitForSelector("#panel-search"); /* visible: the address's change is heard a moment after the click */
      assert.ok(await page.isVisible("#panel-search"));
      await page.waitForSelector(`#search-view ${BOTH}`);
    }
  },

  async evaluation_tells_what_is_wrong_with_a_file() {
    const page = await open(server.url), bad = join(site.dir, "bad.jsonl");
    await page.click("#tab-eval");
    await page.click("#eval button[type=submit]");
    assert.match(await text(page, "#eval-view .problem"), /Choose a file first/);
    writeFileSync(bad, '{"query": "fine", "expected_source": "lora.md"}\n{"query": ');
    await page.setInputFiles("#eval-file", bad);
    await page.click("#eval button[type=submit]");
    await page.waitForFunction(() => /Line 2/.test(document.querySelector("#eval-view").textContent));
    assert.ok(await page.isEnabled("#eval button[type=submit]"));
  },

  /* ---- Keys, sizes, colours ---- */
  async keyboard_reaches_everything() {
    const page = await open(server.url), answer = await search(page);
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), `after ${keyOf(answer.results[0])}`);
    assert.ok(await page.$eval(".after .card", card => parseFloat(getComputedStyle(card).outlineWidth) >= 2), "the focus is seen");
    const both = answer.results.findIndex(r => r.final_rank <= 10 && r.first_stage_rank <= 10);
    for (let i = 0; i < both; i++) await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), `after ${keyOf(answer.results[both])}`);
    assert.equal(await page.locator(".card.pick").count(), 2, "the same passage is marked in both lists");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await focused(page), `before ${keyOf(answer.results[both])}`);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    const opened = page.locator(".after .card button[aria-expanded=true]");
    assert.equal(await opened.count(), 1);
    const detail = await page.$eval(".after .detail", node => node.textContent);
    assert.ok(detail.includes(String(answer.results[both].rerank_score)), "all digits are in the details");
    await page.keyboard.press("Escape");
    assert.equal(await opened.count(), 0);
    assert.equal(await focused(page), `after ${keyOf(answer.results[both])}`);
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowUp");
    assert.equal(await focused(page), "query");
    await page.keyboard.press("Escape");
    assert.equal(await page.inputValue("#query"), "");
    await page.focus("#tab-search");
    await page.keyboard.press("ArrowRight");
    assert.equal(await focused(page), "tab-compare");
    assert.ok(await page.isVisible("#panel-compare") && !await page.isVisible("#panel-search"));
    await page.keyboard.press("/");
    assert.equal(await focused(page), "compare-query");
    await page.keyboard.type("a/b");
    assert.equal(await page.inputValue("#compare-query"), "a/b");
    await page.focus("#tab-compare");
    await page.keyboard.press("End");
    assert.equal(await focused(page), "tab-eval");
    await page.keyboard.press("ArrowRight");
    assert.equal(await focused(page), "tab-search");
  },

  async phone_shows_one_list_with_marks() {
    const page = await open(server.url, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    const answer = await search(page);
    assert.ok(await page.isVisible("#search-view .after .card") && !await page.isVisible("#search-view .before .card"));
    assert.ok(!await page.isVisible(".lines"));
    const marks = await page.locator(".after .move").allTextContents();
    assert.deepEqual(marks.map(m => m.replace(/\s/g, "")), answer.results.slice(0, 10).map(r => markOf(r.rank_change)));
    assert.ok(await page.locator(".after .move").first().isVisible());
    for (const tab of ["search", "compare", "eval"]) {
      await page.click(`#tab-${tab}`);
      assert.deepEqual(await page.evaluate(phoneFaults), [], tab);
    }
    await page.setViewportSize({ width: 320, height: 640 });
    await page.click("#tab-search");
    assert.deepEqual(await page.evaluate(phoneFaults), [], "320 pixels");
  },

  async contrast_is_enough_in_light_and_dark() {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(server.url, { colorScheme, expected: /status of 4(00|22)/ });
      await search(page);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
      assert.equal(ground[0] < 128, colorScheme === "dark");
      let { faults, texts } = await page.evaluate(contrastFaults);
      await page.click("#search-view .after .card:first-child button"); /* picks a line, which dims the others */
      faults = faults.concat((await page.evaluate(contrastFaults)).faults.filter(fault => !fault.startsWith("line")));
      for (const tab of ["compare", "eval"]) {
        await page.click(`#tab-${tab}`);
        await page.click(`#${tab} button[type=submit]`);
        const more = await page.evaluate(contrastFaults);
        faults = faults.concat(more.faults);
        texts += more.texts;
      }
      assert.deepEqual(faults, [], colorScheme);
      assert.ok(texts > 150);
      console.log(`compared: contrast of ${texts} texts in ${colorScheme}`);
    }
  },

  async structure_is_accessible() {
    const page = await open(server.url);
    await search(page);
    await page.click("#search-view .after .card:first-child button");
    for (const tab of ["search", "compare", "eval"]) {
      await page.click(`#tab-${tab}`);
      assert.deepEqual(await page.evaluate(structureFaults), [], tab);
    }
    assert.equal(await page.getAttribute("#search-status", "aria-live"), "polite");
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0, "reduced motion");
    await page.click("#tab-search");
    for (const selector of ["#query", "#tab-search", "#where", "#k", "input[name=rerank]:checked"]) {
      await page.focus(selector);
      await page.keyboard.press("Shift"); /* a key makes the focus visible */
      const width = await page.$eval(selector, n => parseFloat(getComputedStyle(n.type === "radio" ? n.nextElementSibling : n).outlineWidth));
      assert.ok(width >= 2, `the focus of ${selector} is seen`);
    }
  },

  async print_shows_results_alone() {
    const page = await open(server.url, { colorScheme: "dark" });
    await search(page);
    await page.emulateMedia({ media: "print" });
    assert.ok(await page.isVisible("#search-view .before .card") && await page.isVisible(".lines"));
    for (const selector of [".tabs", ".options", "footer .keys"]) assert.ok(!await page.isVisible(selector), selector);
    assert.match(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), /255, 255, 255/);
  },

  /* ---- How the files are served ---- */
  async files_come_with_policy_and_tag() {
    const names = ["", "page.css", "page.js", ...readFileSync(join(ROOT, "src/server/page/page.js"), "utf-8").match(/page_\w+\.js(?=")/g)];
    const types = { "": "text/html", css: "text/css", js: "text/javascript" };
    for (const name of names) {
      const response = await fetch(`${server.url}/${name}`), tag = response.headers.get("ETag");
      assert.equal(response.status, 200, name);
      assert.equal(response.headers.get("Content-Type"), `${types[name.split(".")[1] ?? ""]}; charset=utf-8`);
      assert.equal(await response.text(), readFileSync(join(ROOT, "src/server/page", name || "index.html"), "utf-8"));
      assert.match(response.headers.get("Content-Security-Policy"), /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;/);
      assert.equal(response.headers.get("Cache-Control"), "no-cache");
      assert.equal((await fetch(`${server.url}/${name}`, { headers: { "If-None-Match": tag } })).status, 304);
      const head = await fetch(`${server.url}/${name}`, { method: "HEAD" });
      assert.equal(head.headers.get("ETag"), tag);
    }
    assert.equal((await fetch(`${server.url}/page_nothing.js`)).status, 404);
    assert.equal((await fetch(`${server.url}/page.js`, { method: "POST", body: "{}" })).status, 405);
  },
};

let code = 1;
try {
  code = await runCases(cases, browser);
} finally {
  await browser.chrome.close();
  await server.kill();
  site.remove();
}
process.exit(code);
