/* page_checks.mjs -- accessibility as computed from the page as drawn: runs inside the page, returns what is wrong.
 *
 * Contrast follows WCAG 2.2: the colour of each piece of text against the first opaque ground behind it, translucent
 * grounds blended in; 4.5, or 3 for large text; 3 for the edges of controls and for marks. */

export function contrastFaults() {
  const parse = text => {
    const n = text.match(/[\d.]+/g).map(Number);
    return { r: n[0], g: n[1], b: n[2], a: n.length > 3 ? n[3] : 1 };
  };
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1
  });
  const light = ({ r, g, b }) => [r, g, b].map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ratio = (a, b) => {
    const [hi, lo] = [light(a), light(b)].sort((x, y) => y - x);
    return (hi + .05) / (lo + .05);
  };
  const ground = node => {
    const layers = [];
    for (let e = node; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.a) layers.push(color);
      if (color.a === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
  };
  const seen = node => node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && node.getClientRects().length > 0
    && !node.closest(".vh, .skip, [disabled]");
  const faults = [];
  const judge = (what, color, behind, least) => {
    const r = ratio(over(color, behind), behind);
    if (r < least) faults.push(`${what}: ${r.toFixed(2)} < ${least}`);
  };
  let texts = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; (t = walk.nextNode());) {
    const node = t.parentElement;
    if (!t.data.trim() || !seen(node)) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    texts++;
    judge(`"${t.data.trim().slice(0, 30)}" in ${node.tagName}.${node.className}`, parse(style.color), ground(node), large ? 3 : 4.5);
  }
  for (const node of document.querySelectorAll("input[type=text], input[type=search], textarea, select, .choice span, .do button")) {
    if (!seen(node)) continue;
    const style = getComputedStyle(node);
    judge(`edge of ${node.id || node.textContent}`, parse(style.borderTopColor), ground(node.parentElement), 3);
    if (node.placeholder) judge(`placeholder of ${node.id}`, parse(getComputedStyle(node, "::placeholder").color), ground(node), 4.5);
  }
  for (const node of document.querySelectorAll(".lines path.line")) {
    const style = getComputedStyle(node), color = parse(style.stroke);
    judge(`line ${node.getAttribute("class")}`, { ...color, a: color.a * Number(style.opacity) }, ground(node.parentElement.parentElement), 3);
  }
  for (const node of document.querySelectorAll(".bar i"))
    if (seen(node)) judge("bar", parse(getComputedStyle(node).backgroundColor), ground(node.closest(".card")), 3);
  return { faults: [...new Set(faults)], texts };
}

export function structureFaults() {
  const faults = [], name = node => {
    const label = node.getAttribute("aria-label") || [...(node.labels || [])].map(l => l.textContent).join(" ")
      || (node.getAttribute("aria-labelledby") || "").split(" ").map(id => document.getElementById(id)?.textContent || "").join(" ");
    return (label || (["BUTTON", "A"].includes(node.tagName) ? node.textContent : "")).trim();
  };
  for (const node of document.querySelectorAll("input, textarea, select, button, a[href], progress, [role=tabpanel], [role=tablist], ol[aria-labelledby]"))
    if (!name(node)) faults.push(`no name: ${node.outerHTML.slice(0, 80)}`);
  const ids = [...document.querySelectorAll("[id]")].map(node => node.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id twice: ${id}`);
  for (const attribute of ["aria-controls", "aria-labelledby", "aria-describedby", "for", "list"])
    for (const node of document.querySelectorAll(`[${attribute}]`))
      for (const id of node.getAttribute(attribute).split(" "))
        if (!document.getElementById(id)) faults.push(`${attribute}=${id} leads nowhere`);
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map(h => Number(h.tagName[1]));
  if (levels.filter(l => l === 1).length !== 1) faults.push("not exactly one h1");
  levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) faults.push(`a heading skips to h${level}`); });
  if (document.documentElement.lang !== "en") faults.push("no language");
  for (const landmark of ["header", "main", "footer", "[role=search]"])
    if (!document.querySelector(landmark)) faults.push(`no ${landmark}`);
  for (const hidden of document.querySelectorAll("[aria-hidden=true]"))
    if (hidden.querySelector("a, button, input, [tabindex='0']")) faults.push("a focusable element is hidden from readers");
  if (document.querySelectorAll("[role=tab][tabindex='-1']").length !== document.querySelectorAll("[role=tab]").length - 1)
    faults.push("more than one tab stop among the tabs");
  return faults;
}

/* Targets of at least 24 by 24 CSS pixels (WCAG 2.2, 2.5.8), nothing wider than the screen. */
export function phoneFaults() {
  const faults = [];
  for (const node of document.querySelectorAll("button, .choice label, input:not([type=radio]), select, textarea")) {
    const r = node.getBoundingClientRect();
    if (r.width && !node.closest(".card") && (r.width < 24 || r.height < 24)) faults.push(`${node.id || node.textContent}: ${r.width} x ${r.height}`);
    if (r.right > innerWidth + 1) faults.push(`${node.id || node.textContent} ends at ${r.right}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return faults;
}
