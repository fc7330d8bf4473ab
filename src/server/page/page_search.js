/* page_search.js -- the search tab: an answer while one types, and what reranking did to it.
 *
 * A question is asked twice: first without reranking, which is quick and fills the left column; then, when the hand has
 * rested, with it. Each new question aborts the one before, and an answer whose question is no longer the newest is dropped.
 * All candidates are asked for (k = first_stage_k), so the slider "Shown" needs no request and lines can
 * run to places below what is shown. */
import { ask, isAbort, explain, Gone } from "./page_api.js";
import { byId, el, count, milliseconds, score, isNumber } from "./page_dom.js";
import { MovesView } from "./page_moves.js";

const TYPING_MS = 150, RESTING_MS = 400;
const view = new MovesView(byId("search-view"), { before: "First stage", after: "After reranking" });
const message = el("div", { hidden: true });
byId("search-view").append(message);

let serial = 0, controller = null, timer = 0, typed = 0;
let first = null;  /* { key, answer }: the first stage's answer to the question asked last */
let shown = null;  /* { answer, reranked, query, waiting }: what the columns hold */
let failed = false, chosenIndex = () => undefined;

const checked = name => document.querySelector(`input[name=${name}]:checked`).value;
const status = (...parts) => byId("search-status").replaceChildren(...parts);

/* "lora.md, docs/*, lang=en": a path when there is a slash, else a file name. */
export function filtersOf(text) {
  const where = {};
  for (const part of text.split(",").map(p => p.trim()).filter(Boolean)) {
    const at = part.indexOf("=");
    if (at > 0) where[part.slice(0, at).trim()] = part.slice(at + 1).trim();
    else where[part.includes("/") ? "source" : "filename"] = part;
  }
  return where;
}

function question() {
  const candidates = Number(byId("first_stage_k").value), where = filtersOf(byId("where").value), index = chosenIndex();
  return {
    query: byId("query").value.trim(), ...(index ? { index } : {}), k: candidates, first_stage_k: candidates,
    first_stage: checked("first_stage"), rerank: checked("rerank"), ...(Object.keys(where).length ? { where } : {})
  };
}

/* ---- An answer to what the columns show ------------------------------------------------ */
const field = (name, value) => isNumber(value) ? [[name, value]] : [];

function entryOf(result, reranked) {
  const meta = result.metadata || {}, document = result.document || meta.source || "";
  const own = Object.entries(meta).filter(([key, value]) =>
    !["source", "title", "heading_path", "filename", "begin", "end", "passage"].includes(key) && typeof value !== "object");
  return {
    key: `${document}#${meta.passage}`, name: document.split("/").pop() || document, path: meta.heading_path || meta.title || "",
    text: result.content || "", dropped: result.tokens_dropped || 0, seen: result.tokens_seen || 0,
    before: result.first_stage_rank ? { rank: result.first_stage_rank, score: result.first_stage_score } : null,
    after: reranked ? { rank: result.final_rank, score: result.final_score ?? result.rerank_score } : null,
    fields: [
      ["document", document], ...(meta.title ? [["title", meta.title]] : []), ...field("passage", meta.passage),
      ...(isNumber(meta.begin) ? [["bytes", `${meta.begin}\u2013${meta.end}`]] : []), ...own,
      ...field("final rank", result.final_rank), ...field("rerank score", result.rerank_score),
      ...(result.final_score !== result.rerank_score ? field("final score", result.final_score) : []),
      ...(result.rerank_logit !== result.rerank_score ? field("rerank logit", result.rerank_logit) : []),
      ...field("first-stage rank", result.first_stage_rank), ...field("first-stage score", result.first_stage_score),
      ...field("bi-encoder score", result.bi_encoder_score), ...field("bi-encoder rank", result.bi_encoder_rank),
      ...field("BM25 score", result.bm25_score),
      ...(isNumber(result.tokens_seen) ? [["tokens read", result.tokens_dropped
        ? `${result.tokens_seen} of ${result.tokens_seen + result.tokens_dropped}` : result.tokens_seen]] : [])
    ]
  };
}

function summary(answer, entries, k, reranked) {
  const parts = [`${count(answer.candidates, "candidate")} in ${milliseconds(answer.stage1_time_ms)}`];
  if (reranked) {
    const top = entries.filter(e => e.after.rank <= k), moved = top.filter(e => e.before && e.before.rank !== e.after.rank);
    const below = top.filter(e => e.before && e.before.rank > k).length;
    const best = Math.max(0, ...top.map(e => e.before ? e.before.rank - e.after.rank : 0));
    parts[0] += `, ${answer.reranked} reranked in ${milliseconds(answer.stage2_time_ms)}.`;
    parts.push(moved.length ? ` Of the first ${top.length}, ` : " ", el("strong", {}, moved.length ? `${moved.length} moved` : "Nothing moved"),
      (below ? `, ${below} came from below the first ${k}` : "") + (best ? `; the furthest by ${best}.` : "."));
  } else parts[0] += ".";
  if (answer.out_of_time) parts.push(` The deadline left ${answer.candidates - answer.reranked} unread.`);
  const cut = entries.filter(e => reranked && e.dropped);
  if (cut.length)
    parts.push(` ${count(cut.length, "passage")} cut: ${count(cut.reduce((n, e) => n + e.dropped, 0), "token")} not read.`);
  if (answer.query_tokens_dropped) parts.push(` The question was cut: ${count(answer.query_tokens_dropped, "token")} not read.`);
  return parts;
}

function offerSources(answer) {
  const names = new Set([...byId("sources").children].map(o => o.value));
  for (const result of answer.results) names.add(result.metadata?.filename || result.document);
  byId("sources").replaceChildren(...[...names].filter(Boolean).slice(-200).map(value => el("option", { value })));
}

function tell(...nodes) {
  message.replaceChildren(...nodes);
  message.hidden = !nodes.length;
  if (nodes.length) view.hide();
}

function present() {
  if (!shown) return;
  const { answer, query, waiting } = shown, k = Number(byId("k").value);
  const reranked = !waiting && answer.reranked > 0;
  if (!answer.results.length) {
    status("Nothing found.");
    const narrowed = byId("where").value.trim();
    return tell(el("div.empty", {}, el("strong", {}, "No passage was found."), narrowed
      ? `No document fits “${narrowed}”, or none of those that do holds the words.`
      : checked("first_stage") === "bm25" ? "BM25 needs a word in common; the dense first stage does not." : "The index may be empty."));
  }
  tell();
  const entries = answer.results.map(result => entryOf(result, reranked)), skipped = answer.skipped;
  view.show({
    mode: waiting ? "waiting" : reranked ? "both" : "first", entries, k, query,
    subs: {
      before: [answer.first_stage === "bm25" ? "BM25" : answer.first_stage, answer.first_stage === "bm25" ? null : answer.embedder,
        milliseconds(answer.stage1_time_ms)].filter(Boolean).join(" · "),
      after: reranked ? [answer.reranker, answer.blend ? `+ ${Number(answer.blend.toFixed(3))} × cosine` : null,
        milliseconds(answer.stage2_time_ms)].filter(Boolean).join(" · ") : waiting ? "reading…" : ""
    },
    notes: {
      after: waiting || reranked ? "" : skipped
        ? `Not reranked: the first stage was sure enough (confidence ${score(answer.confidence)}).` : "Not reranked: reranking is off."
    }
  });
  if (waiting) status(`${count(answer.candidates, "candidate")} in ${milliseconds(answer.stage1_time_ms)}; reranking…`);
  else status(...summary(answer, entries, k, reranked), skipped ? " Reranking was skipped: the first stage was sure." : "");
}

/* ---- Asking ------------------------------------------------------------------------------ */
const pause = (ms, signal) => new Promise((resolve, reject) => {
  setTimeout(() => signal.aborted ? reject(new DOMException("aborted", "AbortError")) : resolve(), ms);
});

async function answerTo(asked, mine, signal) {
  const { rerank, ...rest } = asked, key = JSON.stringify(rest);
  if (first?.key !== key) {
    const answer = await ask("/search", { body: { ...asked, rerank: "never" }, signal });
    if (mine !== serial) return;
    first = { key, answer };
    offerSources(answer);
  }
  shown = { answer: first.answer, query: asked.query, waiting: rerank !== "never" && first.answer.results.length > 0 };
  present();
  if (!shown.waiting) return;
  await pause(Math.max(0, typed + RESTING_MS - performance.now()), signal);
  const answer = await ask("/search", { body: asked, signal });
  if (mine !== serial) return;
  shown = { answer, query: asked.query, waiting: false };
  present();
}

export async function run() {
  clearTimeout(timer);
  const mine = ++serial, asked = question();
  controller?.abort();
  controller = new AbortController();
  failed = false;
  remember();
  if (!asked.query) return intro();
  if (shown) view.wait(); else status("Searching…");
  try {
    await answerTo(asked, mine, controller.signal);
  } catch (error) {
    if (mine !== serial || isAbort(error)) return;
    failed = true;
    if (error instanceof Gone) return status(explain(error)); /* the last answer stays; the notice tells more */
    shown = null;
    status("");
    tell(el("div.problem", { role: "alert" }, el("p", {}, explain(error)), error.id ? el("p.hint", {}, `Request ${error.id}`) : null));
  }
}

function intro() {
  shown = null;
  status("");
  tell(el("div.empty", {}, el("strong", {}, "Ask a question; the answer comes while you type."),
    "On the left what the first stage finds, on the right the same passages after the cross-encoder has read each "
    + "together with your question. A line joins the two places of a passage."));
}

/* The question and the choices stand in the address, so that a page can be kept and sent. */
function remember() {
  const kept = new URLSearchParams(), asked = question();
  if (asked.query) kept.set("q", asked.query);
  for (const [name, usual] of [["first_stage", "dense"], ["rerank", "always"]]) if (asked[name] !== usual) kept.set(name, asked[name]);
  for (const [id, usual] of [["first_stage_k", "50"], ["k", "10"], ["where", ""]]) if (byId(id).value !== usual) kept.set(id, byId(id).value);
  const hash = kept.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (kept.has("q")) byId("query").value = kept.get("q");
  for (const name of ["first_stage", "rerank"])
    for (const input of document.querySelectorAll(`input[name=${name}]`)) if (input.value === kept.get(name)) input.checked = true;
  for (const id of ["first_stage_k", "k", "where"]) if (kept.has(id)) byId(id).value = kept.get(id);
}

export function start(index) {
  chosenIndex = index;
  recall();
  const outputs = () => { for (const id of ["first_stage_k", "k"]) byId(`${id}_out`).value = byId(id).value; };
  const later = ms => { clearTimeout(timer); timer = setTimeout(run, ms); };
  outputs();
  byId("query").addEventListener("input", () => { typed = performance.now(); later(TYPING_MS); });
  byId("where").addEventListener("input", () => { typed = performance.now(); later(RESTING_MS); });
  byId("search").addEventListener("submit", event => { event.preventDefault(); typed = 0; run(); });
  byId("search").addEventListener("change", event => { if (event.target.type === "radio") run(); });
  byId("first_stage_k").addEventListener("input", () => { outputs(); typed = performance.now(); later(RESTING_MS); });
  byId("k").addEventListener("input", () => { outputs(); remember(); present(); });
  byId("query").addEventListener("keydown", event => {
    if (event.key === "ArrowDown" && view.enter()) event.preventDefault();
    if (event.key === "Escape" && byId("query").value) { byId("query").value = ""; event.preventDefault(); run(); }
  });
  view.onescape = () => byId("query").focus();
  document.addEventListener("server-back", () => { if (failed) run(); });
  window.addEventListener("hashchange", () => { recall(); outputs(); run(); });
}
