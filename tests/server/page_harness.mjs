/* page_harness.mjs -- what the cases of test_page.mjs stand on: a server, a browser, and a runner.
 *
 * The runner prints as Python's unittest -v does, which tools/count_tests.py counts case by case. A page that says
 * anything on its console, throws, or asks another host for something fails the case that opened it. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync, copyFileSync } from "node:fs";
import { tmpdir, homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const WINNOW = process.env.WINNOW || join(ROOT, "build", "winnow");
const CHROMIUM = process.env.WN_CHROMIUM || "/usr/bin/chromium";
const RERANKER = join(ROOT, "models", "reranker-minilm-l6-v0");
const NODE = process.env.WN_NODE || join(ROOT, ".node");

/* ---- Skipping ------------------------------------------------------------------------- */
export class Skip extends Error { }

/* The whole program is skipped when a tool is missing: meson takes 77 for that. */
export async function playwright() {
  const entry = join(NODE, "node_modules", "playwright-core", "index.mjs");
  const missing = !existsSync(entry) ? "playwright-core is not there: run tools/playwright.sh"
    : !existsSync(CHROMIUM) ? `${CHROMIUM} is not there` : "";
  if (missing) {
    console.log(`SKIPPED: ${missing}`);
    process.exit(77);
  }
  return (await import(pathToFileURL(entry))).chromium;
}

/* ---- Documents and indexes ---------------------------------------------------------------- */
export const HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2"> a zebra\'s stripes & <b>bold</b>';
const LONG = "The giraffe reads on and on about tall trees and their leaves in the dry season. ".repeat(120);

export class Site {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "winnow-page-"));
    const docs = join(this.dir, "docs");
    mkdirSync(docs);
    for (const name of ["gpu_memory.md", "lora.md", "kv_cache.md", "quantization.md"])
      copyFileSync(join(ROOT, "examples", "docs", name), join(docs, name));
    writeFileSync(join(docs, "hostile.md"), `# <i>Zebra</i> "quoted" & more\n\n${HOSTILE}\n`);
    const odd = join(this.dir, "odd");
    mkdirSync(odd);
    writeFileSync(join(odd, "long.txt"), LONG);
    writeFileSync(join(odd, "short.txt"), "A giraffe is a tall animal.");
    this.docs = this.#index(docs, "docs", "--bm25-only");
    this.odd = this.#index(odd, "odd", "--bm25-only", "--chunk-size", "20000", "--chunk-overlap", "0");
    const cache = process.env.WINNOW_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "winnow");
    this.model = ["all-MiniLM-L6-v2", "bge-small-en-v1.5"].find(name => existsSync(join(cache, "models", name)));
  }

  #index(from, name, ...options) {
    const file = join(this.dir, `${name}.wnindex`);
    execFileSync(WINNOW, ["index", from, "-o", file, "--quiet", ...options]);
    return file;
  }

  needModel() {
    if (!this.model) throw new Skip("no bi-encoder in the model cache");
  }

  /* Embedding takes seconds, so only what needs a dense index makes it, from one document. */
  dense() {
    this.needModel();
    if (this.denseFile) return this.denseFile;
    const from = join(this.dir, "few");
    mkdirSync(from);
    for (const name of ["lora.md", "quantization.md"]) copyFileSync(join(ROOT, "examples", "docs", name), join(from, name));
    return this.denseFile = this.#index(from, "dense", "--model", this.model);
  }

  serve(...options) {
    return Server.start(["--index", `docs=${this.docs}`, "--index", `odd=${this.odd}`, "--reranker", RERANKER,
      ...(this.model ? ["--embedder", this.model] : []), ...options]);
  }

  remove() { rmSync(this.dir, { recursive: true, force: true }); }
}

export class Server {
  static async start(args, listen = "127.0.0.1:0") {
    const server = new Server();
    server.args = args;
    server.child = spawn(WINNOW, ["serve", ...args, "--listen", listen], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`winnow serve is not ready after 60 s:\n${said}`)), 60000);
      server.child.stderr.on("data", data => {
        said += data;
        server.url ??= said.match(/listening on (http\S+)/)?.[1];
        if (/^winnow: ready$/m.test(said)) { clearTimeout(timer); resolve(); }
      });
      server.child.on("exit", code => reject(new Error(`winnow serve ended with ${code}:\n${said}`)));
    });
    return server;
  }

  /* As a crash would: nobody says goodbye. */
  async kill() {
    const gone = new Promise(resolve => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await gone;
  }

  again() { return Server.start(this.args, new URL(this.url).host); }

  async post(path, body) {
    const response = await fetch(this.url + path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body)
    });
    return { status: response.status, body: await response.json() };
  }
}

/* ---- Browser --------------------------------------------------------------------------------- */
export class Browser {
  static async launch(chromium) {
    const browser = new Browser();
    const args = ["--disable-gpu", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
    browser.chrome = await chromium.launch({ executablePath: CHROMIUM, args });
    return browser;
  }

  /* `expected`: console errors that the case provokes (a browser reports each answer of 400 and above). */
  async open(url, { expected = /^$/, before, ...options } = {}) {
    const context = await this.chrome.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(60000);
    const page = await context.newPage(), complaints = [];
    page.on("console", message => {
      if (["error", "warning"].includes(message.type()) && !expected.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", error => complaints.push(String(error)));
    page.on("request", request => {
      if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) complaints.push(`asks ${request.url()}`);
    });
    page.complaints = complaints;
    this.pages.push(page);
    await before?.(page);
    await page.goto(url);
    return page;
  }

  pages = [];

  async closePages() {
    const complaints = this.pages.flatMap(page => page.complaints);
    for (const page of this.pages.splice(0)) await page.context().close();
    if (complaints.length) throw new Error(`the page complained:\n  ${complaints.join("\n  ")}`);
  }
}

/* ---- Runner ------------------------------------------------------------------------------------ */
export async function runCases(cases, browser) {
  const start = Date.now(), only = process.argv.slice(2), failures = [];
  let ran = 0, skipped = 0;
  for (const [name, body] of Object.entries(cases)) {
    if (only.length && !only.some(word => name.includes(word))) continue;
    ran++;
    let outcome = "ok";
    try {
      await body();
    } catch (error) {
      if (error instanceof Skip) { skipped++; outcome = `skipped '${error.message}'`; }
      else { outcome = "FAIL"; failures.push([name, error]); }
    }
    try { await browser.closePages(); } catch (error) {
      if (outcome !== "FAIL") { outcome = "FAIL"; failures.push([name, error]); }
    }
    console.log(`${name} (test_page.Page) ... ${outcome}`);
  }
  for (const [name, error] of failures) console.log(`\nFAIL: ${name}\n${error.stack}`);
  const counts = [failures.length && `failures=${failures.length}`, skipped && `skipped=${skipped}`].filter(Boolean).join(", ");
  console.log(`\nRan ${ran} tests in ${((Date.now() - start) / 1000).toFixed(3)}s\n\n${failures.length ? "FAILED" : "OK"}${counts ? ` (${counts})` : ""}`);
  return failures.length ? 1 : 0;
}
