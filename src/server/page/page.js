/* page.js -- the page's frame: tabs, the choice of an index, keys that work everywhere.
 *
 * Chapters: page_dom.js (elements, snippets), page_api.js (requests, keys, a server that is gone), page_moves.js (the two
 * columns), page_search.js, page_compare.js, page_eval.js (the tabs). No framework and no build step: what is served is
 * what is written here. */
import { ask, isAbort } from "./page_api.js";
import { byId, el, count } from "./page_dom.js";
import * as search from "./page_search.js";
import * as compare from "./page_compare.js";
import * as evaluate from "./page_eval.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
let indexes = [], rerankers = [];
const MAIN_INPUT = { "tab-search": "query", "tab-compare": "compare-query", "tab-eval": "eval-file" };

/* The WAI-ARIA pattern with automatic activation: one tab stop, arrows, Home and End. */
function choose(tab, focus) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
}

function startTabs() {
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", event => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      choose(tabs.at(to % tabs.length), true);
    });
  });
}

function startKeys() {
  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || byId("key-dialog").open) return;
    if (event.target.closest("input:not([type=radio],[type=range],[type=file]), textarea, select")) return;
    event.preventDefault();
    const input = byId(MAIN_INPUT[tabs.find(tab => tab.tabIndex === 0).id]);
    input.focus();
    input.select?.();
  });
}

/* What the server can do: an index without embeddings has only BM25, and without a cross-encoder nothing is reranked. */
function allow(name, values) {
  const inputs = [...document.querySelectorAll(`input[name=${name}]`)];
  for (const input of inputs) input.disabled = !values.includes(input.value);
  if (inputs.find(input => input.checked).disabled) (inputs.find(input => !input.disabled) || inputs[0]).checked = true;
}

function fitChoices() {
  const stages = indexes.find(index => index.name === byId("index").value)?.first_stages || ["dense", "bm25", "hybrid"];
  for (const name of ["first_stage", "eval_first_stage"]) allow(name, stages);
  allow("rerank", rerankers.length ? ["always", "auto", "never"] : ["never"]);
}

async function loadIndexes() {
  try {
    ({ indexes, rerankers } = await ask("/indexes"));
    const chosen = byId("index").value;
    byId("index").replaceChildren(...indexes.map(index => el("option", { value: index.name }, index.name)));
    if (indexes.some(index => index.name === chosen)) byId("index").value = chosen;
    fitChoices();
    document.querySelector(".indexes").classList.toggle("single", indexes.length < 2);
    byId("about").textContent = indexes.map(i => [i.name, `${count(i.documents, "document")}, ${count(i.passages, "passage")}`]
      .filter(Boolean).join(": ")).join(" · ");
  } catch (error) {
    if (!isAbort(error)) byId("about").textContent = "";
  }
}

startTabs();
startKeys();
const index = () => byId("index").value || undefined;
search.start(index);
compare.start();
evaluate.start(index);
byId("index").addEventListener("change", () => { fitChoices(); search.run(); });
document.addEventListener("server-back", loadIndexes);
window.addEventListener("hashchange", () => choose(tabs[0])); /* a question of the report */
document.querySelector(".indexes").classList.add("single");
await loadIndexes();
search.run();
