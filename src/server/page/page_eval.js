/* page_eval.js -- the evaluation tab: labelled questions in, both rankings' quality out.
 *
 * The server answers every question twice and tells how far it is by server-sent events. The verdict follows the
 * interval of the difference, not the means: what the interval does not decide is said to be undecided. */
import { listen, isAbort, explain, Gone } from "./page_api.js";
import { byId, el, svg, count, score, signed, isNumber } from "./page_dom.js";

const NAMES = [[/^ndcg_cut_(\d+)$/, "nDCG@$1"], [/^recall_(\d+)$/, "recall@$1"], [/^P_(\d+)$/, "precision@$1"],
  [/^success_(\d+)$/, "success@$1"], [/^recip_rank$/, "MRR"], [/^map$/, "MAP"]];
const MAIN = ["ndcg_cut_10", "recip_rank", "map"];
let controller = null, chosenIndex = () => undefined;

const status = text => { byId("eval-status").textContent = text; };
const nameOf = measure => NAMES.reduce((name, [from, to]) => name.replace(from, to), measure);
const place = measure => MAIN.includes(measure) ? MAIN.indexOf(measure) : MAIN.length;

class BadFile extends Error { }

/* ---- Questions: JSON lines, told by line where they are none --------------------------- */
export function questionsOf(text) {
  const questions = [];
  for (const [i, line] of text.replace(/^\ufeff/u, "").split("\n").entries()) {
    if (!line.trim()) continue;
    let question;
    try { question = JSON.parse(line); } catch { throw new BadFile(`Line ${i + 1} is not a JSON object.`); }
    if (!question || typeof (question.query ?? question.text) !== "string") throw new BadFile(`Line ${i + 1} has no "query".`);
    questions.push(question);
  }
  if (!questions.length) throw new BadFile("The file has no question.");
  return questions;
}

/* ---- Report ------------------------------------------------------------------------------ */
function verdict(row) {
  const [low, high] = row.interval_95, name = nameOf(row.measure);
  const kind = low > 0 ? "pays" : high < 0 ? "hurts" : "open";
  const said = { pays: "Reranking pays.", hurts: "Reranking hurts.", open: "These questions do not decide whether reranking pays." }[kind];
  return el(`div.verdict.${kind}`, {}, el("p", {}, said),
    el("p", {}, `${name} ${score(row.first_stage)} without, ${score(row.reranked)} with reranking: ${signed(row.difference, 3)}`
      + `, 95 % interval ${signed(low, 3)} to ${signed(high, 3)}, over ${count(row.queries, "question")}: `,
      el("span.gained", {}, `▲ ${row.better} better`), ", ", el("span.lost", {}, `▼ ${row.worse} worse`), `, ${row.equal} equal.`));
}

function whisker(row, reach) {
  const x = value => 90 + 84 * Math.max(-1, Math.min(1, value / reach)), [low, high] = row.interval_95;
  const kind = low > 0 ? " gained" : high < 0 ? " lost" : "";
  return svg("svg", { class: "whisker", viewBox: "0 0 180 16", "aria-hidden": "true" },
    svg("line", { class: "zero", x1: 90, x2: 90, y1: 0, y2: 16 }),
    svg("line", { class: "range" + kind, x1: x(low), x2: x(high), y1: 8, y2: 8 }),
    svg("circle", { cx: x(row.difference), cy: 8, r: 4 }));
}

function table(head, rows) {
  const at = i => head[i].startsWith("<") ? ".l" : "", text = name => name.replace("<", "");
  return el("div.scroll", { tabindex: 0, role: "group", "aria-label": text(head[0]) }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((name, i) => el("th" + at(i), { scope: "col" }, text(name))))),
    el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map((cell, i) =>
      i ? el("td" + at(i), {}, cell) : el("th", { scope: "row" }, cell)))))));
}

function measuresTable(measures) {
  const reach = Math.max(...measures.flatMap(m => m.interval_95.map(Math.abs)), 1e-9);
  return table(["<Measure", "First stage", "Reranked", "Difference", "<95 % interval of the difference", "", "p", "Better", "Worse", "Equal"],
    measures.map(m => [nameOf(m.measure), score(m.first_stage), score(m.reranked),
      el(m.difference > 0 ? "span.gained" : m.difference < 0 ? "span.lost" : "span", {},
        m.difference > 0 ? "▲ " : m.difference < 0 ? "▼ " : "", signed(m.difference, 3)),
      whisker(m, reach), `${signed(m.interval_95[0], 3)} to ${signed(m.interval_95[1], 3)}`,
      (m.p_exact ? "" : "~") + (isNumber(m.p) ? m.p.toFixed(3) : "\u2013"), String(m.better), String(m.worse), String(m.equal)]));
}

/* A question is a link: it opens in the search tab, where its passages' moves are seen. */
function questionsTable(rows) {
  return table(["<Question", "First stage", "Reranked", "Change"], rows.map(row => [
    el("a", { href: `#${new URLSearchParams({ q: row.query || row.id })}` }, row.query || row.id), score(row.first_stage),
    score(row.reranked), el(row.gain > 0 ? "span.gained" : "span.lost", {}, row.gain > 0 ? "▲ " : "▼ ", signed(row.gain, 3))]));
}

function present(report) {
  const measures = [...report.measures].filter(m => Array.isArray(m.interval_95)).sort((a, b) => place(a.measure) - place(b.measure));
  const queries = report.queries || [], gained = queries.filter(q => q.gain > 0), lost = queries.filter(q => q.gain < 0).reverse();
  const main = measures.find(m => MAIN.includes(m.measure)) || measures[0], nodes = [];
  for (const warning of report.warnings || []) nodes.push(el("p.note", {}, warning));
  if (main) nodes.push(verdict(main), el("h2", {}, "Quality with and without reranking"), measuresTable(measures));
  if (gained.length) nodes.push(el("h2", {}, `${count(gained.length, "question")} gained`), questionsTable(gained));
  if (lost.length) nodes.push(el("h2", {}, `${count(lost.length, "question")} lost`), questionsTable(lost));
  if (queries.length && !gained.length && !lost.length) nodes.push(el("p.note", {}, "No question gained or lost."));
  byId("eval-view").replaceChildren(el("div.report", {}, ...nodes));
  status(main ? `Measured ${count(main.queries, "question")}.` : "Nothing was measured.");
}

/* ---- Running ------------------------------------------------------------------------------- */
function problem(...nodes) {
  byId("eval-view").replaceChildren(el("div.problem", { role: "alert" }, ...nodes));
  status("");
}

function busy(running) {
  byId("eval-progress").hidden = !running;
  byId("eval-stop").hidden = !running;
  byId("eval").querySelector("[type=submit]").disabled = running;
  if (running) byId("eval-progress").removeAttribute("value");
}

function progressed({ done, total }) {
  if (!total) return;
  byId("eval-progress").value = done / total;
  status(`${done} of ${count(total, "question")} answered`);
}

async function run() {
  const file = byId("eval-file").files[0];
  if (!file) {
    problem(el("p", {}, "Choose a file first."));
    return byId("eval-file").focus();
  }
  const mine = controller = new AbortController();
  let answered = false;
  try {
    const queries = questionsOf(await file.text()), index = chosenIndex();
    busy(true);
    byId("eval-view").replaceChildren();
    status("Measuring…");
    const body = {
      queries, ...(index ? { index } : {}), first_stage: document.querySelector("input[name=eval_first_stage]:checked").value,
      first_stage_k: Number(byId("eval_k").value)
    };
    await listen("/eval", { body, signal: mine.signal }, (event, data) => {
      if (event === "progress") progressed(data);
      else if (event === "error") { answered = true; problem(el("p", {}, `The server could not do this: ${data.error?.message || data.message}`)); }
      else if (data.measures) { answered = true; present(data); }
    });
    if (!answered) throw new Gone("the answer broke off");
  } catch (error) {
    if (isAbort(error)) status("Stopped.");
    else if (error instanceof BadFile) problem(el("p", {}, error.message));
    else problem(el("p", {}, explain(error)), error.id ? el("p.hint", {}, `Request ${error.id}`) : null);
  } finally {
    if (controller === mine) busy(false);
  }
}

export function start(index) {
  chosenIndex = index;
  byId("eval").addEventListener("submit", event => { event.preventDefault(); run(); });
  byId("eval-stop").addEventListener("click", () => controller?.abort());
  byId("eval_k").addEventListener("input", () => { byId("eval_k_out").value = byId("eval_k").value; });
}
