/* page_moves.js -- two rankings of the same passages, side by side, joined by a line a passage.
 *
 * A view is given entries that hold both ranks and draws the first `k` of each list. What left the first k has a
 * line that runs out at the foot, what came from below has one that comes in there: so the figure tells
 * everything that reranking did to what is shown. On a narrow screen the style sheet shows one list, and the
 * marks in front of the ranks tell the same moves. Lines are measured from the cards as laid out, hence the
 * ResizeObserver: opening a card moves those below it. */
import { el, svg, score, snippet, reflow, fillMarked, queryWords, isNumber } from "./page_dom.js";

const SIDES = ["before", "after"];
let views = 0;

/* The kind of a move, its mark, and what a screen reader says. */
function moveOf(entry) {
  if (!entry.before || !entry.after) return { kind: "", mark: "", said: "" };
  const change = entry.before.rank - entry.after.rank;
  if (!change) return { kind: "same", mark: "=", said: `stayed at ${entry.after.rank}` };
  return change > 0
    ? { kind: "up", mark: `▲\u202f${change}`, said: `moved up ${change}, from ${entry.before.rank}` }
    : { kind: "down", mark: `▼\u202f${-change}`, said: `moved down ${-change}, from ${entry.before.rank}` };
}

/* A bar's length: 0 is the worst candidate's score, 1 the best's. Scores of the two models share no scale. */
function scaleOf(entries, side) {
  const scores = entries.map(e => e[side]?.score).filter(isNumber);
  const low = Math.min(...scores), high = Math.max(...scores);
  return value => !isNumber(value) ? 0 : high > low ? .03 + .97 * (value - low) / (high - low) : 1;
}

export class MovesView {
  constructor(place, titles) {
    this.id = `v${++views}`;
    this.open = new Set(); /* "after doc#3": cards that show all */
    this.lists = {}; this.subs = {}; this.notes = {};
    const columns = SIDES.map(side => {
      this.lists[side] = el("ol", { "aria-labelledby": `${this.id}-${side}` });
      this.subs[side] = el("p.sub");
      this.notes[side] = el("p.note", { hidden: true });
      return el(`div.column.${side}`, {}, el("h2", { id: `${this.id}-${side}` }, titles[side]), this.subs[side], this.notes[side], this.lists[side]);
    });
    this.lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    this.root = el("div.moves", { hidden: true }, columns[0], this.lines, columns[1]);
    place.append(this.root);
    this.root.addEventListener("keydown", event => this.#key(event));
    this.root.addEventListener("pointerover", event => this.#pick(event.target.closest(".card")?.dataset.key));
    this.root.addEventListener("pointerleave", () => this.#pick());
    this.root.addEventListener("focusin", event => this.#pick(event.target.closest(".card")?.dataset.key));
    this.root.addEventListener("focusout", () => this.#pick());
    this.onescape = () => { };
    new ResizeObserver(() => this.#draw()).observe(this.root);
    for (const side of SIDES) new ResizeObserver(() => this.#draw()).observe(this.lists[side]);
  }

  hide() { this.root.hidden = true; }

  /* A new answer is on its way; what is shown is of the last question. */
  wait() {
    this.root.setAttribute("aria-busy", "true");
    this.root.classList.add("stale");
  }

  /* mode: "both"; "first": nothing was reranked; "waiting": the first stage is there, the second is not. */
  show({ mode, entries, k, query, subs, notes = {} }) {
    const focused = this.root.contains(document.activeElement) ? document.activeElement.closest(".card")?.dataset : null;
    this.root.dataset.mode = mode;
    this.root.hidden = false;
    this.root.classList.remove("stale");
    this.root.setAttribute("aria-busy", String(mode === "waiting"));
    this.entries = entries;
    this.k = k;
    this.words = queryWords(query);
    for (const side of SIDES) {
      const shown = entries.filter(e => e[side] && e[side].rank <= k).sort((a, b) => a[side].rank - b[side].rank);
      const scale = scaleOf(entries, side);
      this.subs[side].textContent = subs[side] || "\u00a0";
      this.subs[side].title = subs[side] || "";
      this.notes[side].textContent = notes[side] || "";
      this.notes[side].hidden = !notes[side];
      this.lists[side].replaceChildren(...shown.map((e, i) => this.#card(e, side, scale, i === 0)));
      if (side === "after" && mode === "waiting") this.lists[side].replaceChildren(...this.#ghosts(Math.min(k, entries.length)));
    }
    this.#draw();
    if (focused) this.#find(focused.side, focused.key)?.querySelector("button").focus({ preventScroll: true });
  }

  #ghosts(n) {
    return Array.from({ length: n }, () => el("li.card.ghost", { "aria-hidden": "true" }, el("span.line"), el("span.line")));
  }

  #card(entry, side, scale, first) {
    const move = side === "after" ? moveOf(entry) : { kind: "", mark: "", said: "" }, { rank } = entry[side];
    const slot = `${side} ${entry.key}`, detailId = `${this.id}-${side}-${rank}`;
    const button = el("button", { type: "button", "aria-expanded": "false", tabindex: first ? 0 : -1 },
      el("span.rank", {}, el("span.vh", {}, "Rank "), String(rank),
        move.mark ? el("span.move", { "aria-hidden": "true" }, move.mark) : null),
      el("span.name", {}, el("b", {}, entry.name), entry.path ? el("span", {}, ` › ${entry.path.replaceAll(" > ", " › ")}`) : null),
      move.said ? el("span.vh", {}, `, ${move.said}`) : null);
    const bar = el("i");
    bar.style.width = `${(100 * scale(entry[side].score)).toFixed(1)}%`;
    const card = el(`li.card`, { "data-key": entry.key, "data-side": side }, button,
      side === "after" && entry.before && move.kind !== "same" ? el("span.from", {}, `from ${entry.before.rank}`) : null,
      snippet(el("p.text"), entry.text, this.words),
      el("div.score", { title: "The bar reaches from the worst candidate's score to the best's." },
        el("span.vh", {}, "score "), el("span.value", { "data-value": isNumber(entry[side].score) ? entry[side].score : "" },
          score(entry[side].score)),
        el("span.bar", { "aria-hidden": "true" }, bar),
        side === "after" && entry.dropped ? el("span.cut", { title: `read ${entry.seen} of ${entry.seen + entry.dropped} tokens` },
          `${entry.dropped} tokens cut`) : null,
        side === "before" && entry.after && entry.after.rank > this.k ? el("span.gone", {}, `▼ now ${entry.after.rank}`) : null));
    if (move.kind) card.classList.add(move.kind);
    const toggle = open => {
      card.querySelector(".detail")?.remove();
      button.setAttribute("aria-expanded", String(open));
      if (open) card.append(this.#detail(entry, detailId));
      if (open) button.setAttribute("aria-controls", detailId); else button.removeAttribute("aria-controls");
      this.open[open ? "add" : "delete"](slot);
    };
    button.addEventListener("click", () => toggle(button.getAttribute("aria-expanded") !== "true"));
    button.addEventListener("focus", () => this.#rove(side, button));
    if (this.open.has(slot)) toggle(true);
    return card;
  }

  #detail(entry, id) {
    const list = el("dl");
    for (const [name, value] of entry.fields) list.append(el("dt", {}, name), el("dd", {}, String(value)));
    return el("div.detail", { id },
      fillMarked(el("div.whole", { tabindex: 0, role: "group", "aria-label": "The whole passage" }), reflow(entry.text), this.words), list);
  }

  /* ---- Lines ---- */
  #draw() {
    if (this.root.hidden || !this.entries) return;
    const box = this.lines.getBoundingClientRect(), paths = [];
    if (this.root.dataset.mode === "both" && box.width) {
      const middle = (side, key) => {
        const card = this.#find(side, key);
        if (!card) return null;
        const r = card.getBoundingClientRect();
        return r.top - box.top + Math.min(r.height, parseFloat(getComputedStyle(card).minHeight) || r.height) / 2;
      };
      for (const entry of this.entries) {
        if (!entry.before || !entry.after) continue;
        const left = entry.before.rank <= this.k ? middle("before", entry.key) : null;
        const right = entry.after.rank <= this.k ? middle("after", entry.key) : null;
        if (left !== null || right !== null) paths.push(...this.#line(entry, left, right, box));
      }
      /* Moves lie over what stayed. */
      paths.sort((a, b) => (b.getAttribute("class").includes("same") ? 1 : 0) - (a.getAttribute("class").includes("same") ? 1 : 0));
    }
    this.lines.setAttribute("viewBox", `0 0 ${Math.max(box.width, 1)} ${Math.max(box.height, 1)}`);
    this.lines.replaceChildren(...paths);
    if (this.picked !== undefined) this.#pick(this.picked);
  }

  #line(entry, left, right, { width: w, height: h }) {
    const { kind } = moveOf(entry), tip = w - 3, back = tip - 8;
    const far = Math.min(1, Math.abs(entry.before.rank - (right === null ? this.k : entry.after.rank)) / 12);
    let path, head, state = "";
    if (left === null) { /* comes in at the foot; the further from below, the further left */
      const x = w * (.45 - .35 * Math.min(1, (entry.before.rank - this.k) / 40));
      path = `M${x.toFixed(1)},${h}C${x.toFixed(1)},${(right + Math.min(60, h - right)).toFixed(1)} ${(w * .55).toFixed(1)},${right} ${back},${right}`;
      state = " enters";
    } else if (right === null) { /* runs out at the foot */
      const x = w * (.55 + .4 * Math.min(1, (entry.after.rank - this.k) / 40));
      path = `M3,${left}C${(w * .45).toFixed(1)},${left} ${x.toFixed(1)},${(left + Math.min(60, h - left)).toFixed(1)} ${x.toFixed(1)},${h - 9}`;
      head = `M${x - 4.5},${h - 9}h9l-4.5,8z`;
      state = " leaves";
    } else path = `M3,${left}C${(w * .5).toFixed(1)},${left} ${(w * .5).toFixed(1)},${right} ${back},${right}`;
    head ??= `M${back},${right - 4.5}v9l8,-4.5z`;
    const about = { "data-key": entry.key, "data-from": entry.before.rank, "data-to": entry.after.rank };
    const line = svg("path", { class: `line ${kind}${state}`, d: path, ...about });
    if (kind !== "same") line.style.strokeWidth = (1.75 + 1.5 * far).toFixed(2);
    return [line, svg("path", { class: `head ${kind}${state}`, d: head, "data-key": entry.key })];
  }

  /* ---- Pointing and keys ---- */
  #find(side, key) {
    return [...this.lists[side].children].find(card => card.dataset.key === key) || null;
  }

  #pick(key) {
    this.picked = key;
    for (const node of this.root.querySelectorAll(".pick")) node.classList.remove("pick");
    this.root.classList.toggle("picked", key !== undefined && this.root.dataset.mode === "both");
    if (key === undefined) return;
    for (const node of this.root.querySelectorAll("[data-key]")) if (node.dataset.key === key) node.classList.add("pick");
  }

  #rove(side, button) {
    for (const other of this.lists[side].querySelectorAll("button")) other.tabIndex = other === button ? 0 : -1;
  }

  /* To the first card of the list that is seen; false when there is none. */
  enter() {
    const side = this.root.dataset.mode === "both" ? "after" : "before";
    const button = this.root.hidden ? null : this.lists[side].querySelector("button");
    button?.focus();
    return !!button;
  }

  #key(event) {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.altKey || event.metaKey || event.target.closest(".detail") && event.key !== "Escape") return;
    const buttons = [...card.parentNode.querySelectorAll("button")], at = buttons.indexOf(card.querySelector("button"));
    let to = null;
    if (event.key === "ArrowDown") to = buttons[at + 1] || buttons[at];
    else if (event.key === "ArrowUp") to = buttons[at - 1];
    else if (event.key === "Home") to = buttons[0];
    else if (event.key === "End") to = buttons.at(-1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const side = event.key === "ArrowLeft" ? "before" : "after", other = [...this.lists[side].querySelectorAll("button")];
      to = card.dataset.side === side ? buttons[at]
        : this.#find(side, card.dataset.key)?.querySelector("button") || other[Math.min(at, other.length - 1)];
      if (!to || !to.getClientRects().length) to = buttons[at];
    } else if (event.key === "Escape") {
      const button = buttons[at];
      if (button.getAttribute("aria-expanded") === "true") button.click();
      else if (event.target === button) { this.onescape(); event.preventDefault(); return; }
      to = button;
    } else return;
    event.preventDefault();
    if (!to) return this.onescape();
    to.focus();
    to.closest(".card").scrollIntoView({ block: "nearest" });
  }
}
