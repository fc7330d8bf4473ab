/* page_compare.js -- the compare tab: a question and pasted passages, ranked by both models. */
import { ask, isAbort, explain, Gone } from "./page_api.js";
import { byId, el, count, isNumber } from "./page_dom.js";
import { MovesView } from "./page_moves.js";

const view = new MovesView(byId("compare-view"), { before: "Bi-encoder", after: "Cross-encoder" });
const message = el("div", { hidden: true });
byId("compare-view").append(message);
let serial = 0, controller = null, failed = false;

const status = text => { byId("compare-status").textContent = text; };

/* Parted by empty lines; a text without any is one passage a line. */
export function passagesOf(text) {
  const blocks = text.split(/\n[ \t\r]*\n/u).map(block => block.trim()).filter(Boolean);
  return blocks.length > 1 ? blocks : text.split("\n").map(line => line.trim()).filter(Boolean);
}

function entryOf(row, passages) {
  const text = row.document?.text ?? row.document ?? passages[row.index];
  const both = [["bi-encoder score", row.bi_encoder_score], ["bi-encoder rank", row.bi_encoder_rank], ["rerank score", row.rerank_score],
    ["rerank logit", row.rerank_logit], ["rerank rank", row.rerank_rank], ["tokens read", row.tokens_seen], ["tokens cut", row.tokens_dropped]];
  return {
    key: String(row.index), name: `Passage ${row.index + 1}`, path: "", text, dropped: row.tokens_dropped || 0, seen: row.tokens_seen || 0,
    before: row.bi_encoder_rank ? { rank: row.bi_encoder_rank, score: row.bi_encoder_score } : null,
    after: row.rerank_rank ? { rank: row.rerank_rank, score: row.rerank_score } : null,
    fields: both.filter(([, value]) => isNumber(value))
  };
}

function tell(...nodes) {
  message.replaceChildren(...nodes);
  message.hidden = !nodes.length;
  if (nodes.length) view.hide();
}

function present(answer, query, passages) {
  const entries = answer.results.map(row => entryOf(row, passages));
  const two = entries.every(e => e.before) && entries.every(e => e.after);
  const moved = entries.filter(e => e.before?.rank !== e.after?.rank).length, cut = entries.filter(e => e.dropped);
  tell();
  view.show({
    mode: two ? "both" : entries.some(e => e.after) ? "both" : "first", entries, k: entries.length, query,
    subs: { before: answer.embedder, after: answer.reranker },
    notes: {
      before: entries.some(e => e.before) ? "" : "This server has no bi-encoder loaded.",
      after: entries.some(e => e.after) ? "" : "This server has no cross-encoder loaded."
    }
  });
  status(`${count(entries.length, "passage")}` + (two ? moved ? `; the two models place ${moved} of them differently.`
    : "; both models rank them alike." : ".")
    + (cut.length ? ` ${count(cut.length, "passage")} cut: ${count(cut.reduce((n, e) => n + e.dropped, 0), "token")} not read.` : ""));
}

async function run() {
  const mine = ++serial, query = byId("compare-query").value.trim(), documents = passagesOf(byId("compare-passages").value);
  controller?.abort();
  controller = new AbortController();
  failed = false;
  if (!query || !documents.length) {
    status("");
    tell(el("div.empty", {}, el("strong", {}, query ? "Paste at least one passage." : "A question is needed."),
      "Both models then score each passage for the question."));
    return byId(query ? "compare-passages" : "compare-query").focus();
  }
  view.wait();
  status("Comparing…");
  try {
    const answer = await ask("/compare", { body: { query, documents }, signal: controller.signal });
    if (mine === serial) present(answer, query, documents);
  } catch (error) {
    if (mine !== serial || isAbort(error)) return;
    failed = true;
    if (error instanceof Gone) return status(explain(error));
    status("");
    tell(el("div.problem", { role: "alert" }, el("p", {}, explain(error)), error.id ? el("p.hint", {}, `Request ${error.id}`) : null));
  }
}

export function start() {
  byId("compare").addEventListener("submit", event => { event.preventDefault(); run(); });
  byId("compare-passages").addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
  });
  byId("compare-query").addEventListener("keydown", event => {
    if (event.key === "ArrowDown" && view.enter()) event.preventDefault();
  });
  view.onescape = () => byId("compare-query").focus();
  document.addEventListener("server-back", () => { if (failed) run(); });
}
