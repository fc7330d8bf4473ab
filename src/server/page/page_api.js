/* page_api.js -- talking to the server: keys, waiting, and a server that is gone.
 *
 * Every request goes through `request`. It asks for a key once when the server wants one (401), waits and tries again when
 * the server is busy (429) or loading (503), and turns a refused connection into `Gone`, after which /health is
 * asked until it answers; then the document hears a "server-back" event and whoever failed tries again. */
import { byId } from "./page_dom.js";

const KEY = "winnow-api-key";

export class Refused extends Error { /* the server answered with an error */
  constructor(status, message, id) {
    super(message);
    this.status = status;
    this.id = id;
  }
}
export class Gone extends Error { } /* it did not answer */
export const isAbort = error => error.name === "AbortError";

/* ---- Keys: in sessionStorage, which ends with the tab ------------------------------- */
let asking = null;

function storedKey() {
  try { return sessionStorage.getItem(KEY) || ""; } catch { return ""; }
}

function askForKey(why) {
  asking ??= new Promise(resolve => {
    const dialog = byId("key-dialog"), input = byId("key");
    byId("key-why").textContent = why;
    input.value = "";
    dialog.returnValue = "";
    byId("key-cancel").onclick = () => dialog.close("");
    dialog.onclose = () => {
      const key = dialog.returnValue === "use" ? input.value.trim() : "";
      try { if (key) sessionStorage.setItem(KEY, key); } catch { /* kept for no longer than this page */ }
      asking = null;
      resolve(key);
    };
    dialog.showModal();
    input.focus();
  });
  return asking;
}

/* ---- A server that is gone, or still loading ----------------------------------------- */
let watching = false;

function notice(text) {
  const node = byId("notice");
  node.textContent = text;
  node.hidden = !text;
}

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(new DOMException("aborted", "AbortError"));
  }, { once: true });
});

export async function watch(text = "The server does not answer. Trying again\u2026") {
  if (watching) return;
  watching = true;
  notice(text);
  for (let wait = 500; ; wait = Math.min(wait * 1.5, 4000)) {
    await sleep(wait);
    try {
      const response = await fetch("/ready", { cache: "no-store" });
      if (response.ok) break;
      notice("The server is loading its models\u2026");
    } catch { notice("The server does not answer. Trying again\u2026"); }
  }
  watching = false;
  notice("The server is back.");
  document.dispatchEvent(new CustomEvent("server-back"));
  setTimeout(() => { if (!watching) notice(""); }, 2500);
}

/* ---- Requests ------------------------------------------------------------------------ */
function messageOf(body, status) {
  try {
    const { error, message, detail } = JSON.parse(body);
    const text = error?.message || (typeof error === "string" ? error : message || detail);
    if (text) return String(text);
  } catch { /* not JSON: a proxy's page */ }
  return `the server answered with status ${status}`;
}

/* path "/search", body an object or nothing; the Response of a success. */
export async function request(path, { body, signal, headers = {}, type = "application/json" } = {}) {
  for (let tries = 0; ; tries++) {
    const key = storedKey();
    let response;
    try {
      response = await fetch(path, {
        method: body === undefined ? "GET" : "POST", signal, cache: "no-store",
        body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
        headers: {
          ...(body === undefined ? {} : { "Content-Type": type }), ...(key ? { Authorization: `Bearer ${key}` } : {}), ...headers
        }
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      watch();
      throw new Gone("the server does not answer");
    }
    if (response.ok) return response;
    const text = await response.text().catch(() => "");
    const refused = new Refused(response.status, messageOf(text, response.status), response.headers.get("X-Request-Id"));
    if (response.status === 401) {
      if (key !== storedKey()) continue; /* another request's dialog was faster */
      if (await askForKey(key ? "The key given was not accepted." : "")) continue;
      throw refused;
    }
    if (response.status === 503) {
      watch("The server is loading its models\u2026");
      throw new Gone(refused.message);
    }
    if (response.status !== 429 || tries >= 4) throw refused;
    await sleep(1000 * Math.min(Number(response.headers.get("Retry-After")) || 1, 10), signal);
  }
}

export async function ask(path, options) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    watch(); /* cut off in the middle */
    throw new Gone("the answer broke off");
  }
}

/* Server-sent events of a POST, which EventSource cannot send: hear(name, object) for each. */
export async function listen(path, options, hear) {
  const response = await request(path, { ...options, headers: { Accept: "text/event-stream" } });
  if (!/event-stream/.test(response.headers.get("Content-Type") || "")) return hear("result", await response.json());
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text = (text + value).replace(/\r\n?/g, "\n");
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const fields = text.slice(0, end).split("\n").map(line => line.match(/^(\w+): ?(.*)$/)).filter(Boolean);
        const data = fields.filter(f => f[1] === "data").map(f => f[2]).join("\n");
        if (data) hear(fields.find(f => f[1] === "event")?.[2] || "message", JSON.parse(data));
      }
    }
  } catch (error) {
    if (isAbort(error) || error instanceof Refused || error instanceof SyntaxError) throw error;
    watch();
    throw new Gone("the answer broke off");
  }
}

/* What a person is told of an error, as nodes for a place with role=alert. */
export function explain(error) {
  if (error instanceof Gone) return "The server does not answer.";
  if (error instanceof Refused)
    return error.status === 401 ? "The server asks for a key: search again to enter one."
      : error.status === 429 ? "The server is busy. Try again in a moment."
        : `The server could not do this: ${error.message}`;
  return `The page failed: ${error.message}`;
}
