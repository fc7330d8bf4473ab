/* page_dom.js -- elements, numbers and snippets.
 *
 * Text of documents reaches the page through `text` nodes alone: no function here or elsewhere takes markup. */

export const byId = id => document.getElementById(id);

/* el("p.note", {title: "..."}, "text", node): attributes by setAttribute, events as onclick: function. */
export function el(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const isNumber = value => typeof value === "number" && Number.isFinite(value);
export const score = value => isNumber(value) ? value.toFixed(3).replace("-", "\u2212") : "\u2013";
export const signed = (value, digits) =>
  (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(digits);
export const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export function milliseconds(ms) {
  if (!isNumber(ms)) return "\u2013";
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/* Words of the query that are worth marking: three letters or a digit, compared without case and endings. */
const stem = word => word.toLowerCase().replace(/(?:'s|ies|es|s|ing|ed)$/u, "");
const COMMON = new Set(("the and for are was were with does did has have had how what when where which who why can could "
  + "much many that this from into than then its not you your there their").split(" "));

export function queryWords(query) {
  const words = query.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) || [];
  return new Set(words.filter(w => (w.length > 2 || /\p{N}/u.test(w)) && !COMMON.has(w.toLowerCase())).map(stem));
}

function hitsIn(text, words) {
  const hits = [];
  if (!words.size) return hits;
  for (const match of text.matchAll(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu))
    if (words.has(stem(match[0]))) hits.push({ at: match.index, end: match.index + match[0].length, word: stem(match[0]) });
  return hits;
}

/* The stretch of `text` that holds the most different words of the query; the beginning when none does. */
function bestStart(text, hits, room) {
  let best = 0, most = 0;
  for (let i = 0; i < hits.length; i++) {
    const seen = new Set();
    for (let j = i; j < hits.length && hits[j].end <= hits[i].at + room; j++) seen.add(hits[j].word);
    if (seen.size > most) [most, best] = [seen.size, hits[i].at];
  }
  if (best < room / 2) return 0;
  const from = Math.max(0, best - 40), space = text.indexOf(" ", from);
  return space < 0 || space > best ? best : space + 1;
}

export function fillMarked(node, text, words) {
  let at = 0;
  for (const hit of hitsIn(text, words)) {
    node.append(text.slice(at, hit.at), el("mark", {}, text.slice(hit.at, hit.end)));
    at = hit.end;
  }
  node.append(text.slice(at));
  return node;
}

const flatten = text => text.replace(/^\s*#{1,6} /gmu, "").replace(/\s+/gu, " ").replace(/(?:\| ?)+/gu, "| ").trim();

/* Two lines' worth: headings in front are left out when more follows, since the card names them. */
export function snippet(node, text, words, room = 150) {
  const body = flatten(text.replace(/^(?:\s*#{1,6} [^\n]*\n+)+/u, ""));
  const flat = body.length > 40 ? body : flatten(text);
  const start = flat.length > room ? bestStart(flat, hitsIn(flat, words), room) : 0;
  if (start) node.append("… ");
  return fillMarked(node, flat.slice(start, start + 3 * room), words);
}

/* Lines that a source file broke at its own width are joined; lists, tables, headings and code keep theirs. */
export const reflow = text => text.includes("```") ? text : text.replace(/([^\s|])\n(?=[^\s|#>*+\-\d])/gu, "$1 ");
