#!/usr/bin/env python3
"""winnow report: the page, its figures and its numbers. Python's standard library only.

    WINNOW=build/winnow python3 tests/cli/test_report.py

The page is read twice: as text, by an HTML and an XML parser, and in headless Chromium by plain
WebDriver HTTP (skipped where chromium or chromedriver is missing). Runs on the demo's documents with
BM25 and the committed reranker, so it needs no model that is not in the repository."""
import html.parser
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
DOCS = os.path.join(ROOT, "examples", "docs")
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")
QUERIES = 8
HOSTILE = ['</script><script>window.hacked=1</script> memory', '"><img src=x onerror=window.hacked=1> lora',
           "'><svg/onload=window.hacked=1> & &amp; <b>attention</b>", "<!-- \u202e]]> quantization --> \x01\x7f \u2028 cache"]


def run(*args, timeout=300):
    return subprocess.run([WINNOW, *args], input=b"", capture_output=True, timeout=timeout)


class Page(html.parser.HTMLParser):
    """Elements of a page as (tag, attributes), the text of each kind, the headings in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.headings, self.stack, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        self.json = json.loads(self.texts["script"])
        self.svgs = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", text, re.S)]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.stack.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if self.stack:
            self.texts[self.stack[-1]] = self.texts.get(self.stack[-1], "") + data

    def all(self, tag, **wanted):
        return [a for t, a in self.elements if t == tag and all(a.get(k.replace("_", "-")) == v for k, v in wanted.items())]

    def marks(self, class_name):
        """The data-* attributes of all marks of a class, numbers as numbers, empty as None."""
        rows = []
        for tag, attrs in self.elements:
            if tag == "g" and class_name in (attrs.get("class") or "").split():
                rows.append({k[5:]: None if v == "" else float(v) for k, v in attrs.items()
                             if k.startswith("data-") and k not in ("data-front", "data-name")})
        return rows


def tearDownModule():
    shutil.rmtree(getattr(Report, "dir", ""), ignore_errors=True)


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if cls is not Report:  # one report for all classes: it takes a few seconds
            if not hasattr(Report, "dir"):
                Report.setUpClass()
            return
        cls.dir = tempfile.mkdtemp(prefix="winnow-report-")
        cls.index = os.path.join(cls.dir, "demo.wnindex")
        cls.build(DOCS, cls.index)
        with open(os.path.join(ROOT, "examples", "queries.jsonl"), encoding="utf-8") as f:
            queries = [json.loads(line) for line in f][:QUERIES]
        queries[-1]["expected_source"] = "gpu_memory.md"  # so that some are hard, and reranking can lose
        queries[-2]["expected_source"] = "lora.md"
        queries += [{"query": "reduce trainable parameters memory quantization", "expected_source": "gpu_memory.md"},
                    {"query": "training cost of kv cache memory", "expected_source": "lora.md"}]
        cls.topics = cls.write("topics.jsonl", "".join(json.dumps(q) + "\n" for q in queries))
        cls.path = os.path.join(cls.dir, "report.html")
        result = cls.report(cls.index, cls.topics, "--k-values", "5,15,10", "-o", cls.path, "--format", "json")
        assert result.returncode == 0, result.stderr.decode()
        cls.out = json.loads(result.stdout)
        cls.text = cls.read(cls.path)
        cls.page = Page(cls.text)

    @classmethod
    def build(cls, docs, index):
        result = run("index", docs, "-o", index, "--bm25-only", "--quiet")
        assert result.returncode == 0, result.stderr

    @classmethod
    def report(cls, index, topics, *args):
        return run("report", index, "--queries", topics, "--first-stage", "bm25", "--reranker", RERANKER, "--quiet", *args)

    @classmethod
    def write(cls, name, text):
        path = os.path.join(cls.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as f:
            return f.read()


class Numbers(Report):
    def test_page_carries_what_the_command_prints(self):
        self.assertEqual(self.page.json, self.out)
        self.assertEqual(self.out["format"], "winnow-report")

    def test_queries_add_up_to_the_measure(self):
        main, rows = self.out["measures"][0], self.out["queries"]
        self.assertEqual(main["measure"], "ndcg_cut_10")
        self.assertAlmostEqual(sum(q["gain"] for q in rows) / len(rows), main["difference"], places=5)
        self.assertEqual(main["better"], sum(q["gain"] > 0 for q in rows))
        self.assertEqual(main["worse"], sum(q["gain"] < 0 for q in rows))
        for q in rows:
            if q["rank_after"] and q["rank_after"] <= 10:
                self.assertAlmostEqual(q["reranked"], 1 / math.log2(q["rank_after"] + 1), places=5)

    def test_depths_equal_separate_runs(self):
        self.assertEqual([d["first_stage_k"] for d in self.out["depths"]], [5, 10, 15])
        for depth in self.out["depths"][:2]:
            result = run("eval", self.index, "--queries", self.topics, "--first-stage", "bm25", "--reranker", RERANKER, "--quiet",
                         "-n", str(depth["first_stage_k"]), "--format", "json", "--summary")
            row = next(m for m in json.loads(result.stdout)["measures"] if m["measure"] == "ndcg_cut_10")
            self.assertAlmostEqual(row["reranked"], depth["quality"], places=5)

    def test_slopes_and_changes_count_every_query_and_result(self):
        out = self.out
        self.assertEqual(sum(s["count"] for s in out["slopes"]), len(out["queries"]))
        for s in out["slopes"]:
            self.assertEqual(s["count"], len(s["ids"]))
            self.assertEqual(s["count"], sum((q["rank_before"], q["rank_after"]) == (s["before"], s["after"]) for q in out["queries"]))
        self.assertEqual(sum(b["count"] for b in out["rank_changes"]), out["impact"]["results"])
        self.assertEqual(sum(b["count"] for b in out["latency"]["bins"]), len(out["queries"]))

    def test_front_is_what_nothing_beats(self):
        systems = self.out["systems"]
        self.assertEqual(len(systems), 4)
        for s in systems:
            beaten = any(o["quality"] >= s["quality"] and o["latency_p50_ms"] <= s["latency_p50_ms"] and
                         (o["quality"] > s["quality"] or o["latency_p50_ms"] < s["latency_p50_ms"]) for o in systems)
            self.assertEqual(s["front"], not beaten)

    def test_losses_are_the_worst_and_show_both_passages(self):
        losses, gains = self.out["losses"], sorted(q["gain"] for q in self.out["queries"] if q["gain"] < 0)
        self.assertTrue(losses)
        self.assertEqual([l["gain"] for l in losses], gains[:5])
        for loss in losses:
            self.assertEqual({loss["left"]["role"], loss["right"]["role"]}, {"labelled answer", "best of the others"})
            for side in (loss["left"], loss["right"]):
                raw = side["text"].encode()
                words = set(re.findall(r"[a-z0-9]+", loss["query"].lower()))
                self.assertTrue(side["sentences"])
                for begin, end in side["marks"]:
                    word = raw[begin:end].decode().lower()
                    self.assertTrue(any(w[:3] == word[:3] for w in words), word)
                for s in side["sentences"]:
                    self.assertTrue(raw[s["begin"]:s["end"]].decode().strip())

    def test_figures_tell_the_same_numbers(self):
        page, out = self.page, self.out
        pick = lambda rows, **names: [{to: row[key] for to, key in names.items()} for row in rows]
        key = lambda row: sorted((k, -1 if v is None else v) for k, v in row.items())
        same = lambda a, b: self.assertEqual(sorted(a, key=key), sorted(b, key=key))
        same(page.marks("slope"), pick(out["slopes"], before="before", after="after", count="count"))
        same(page.marks("change"), pick(out["rank_changes"], low="low", high="high", count="count"))
        same(page.marks("bar"), pick(out["latency"]["bins"], low="low", high="high", count="count"))
        same(page.marks("depth"), [{"k": d["first_stage_k"], "quality": d["quality"], "low": d["interval_95"][0],
                                    "high": d["interval_95"][1]} for d in out["depths"]])
        same(page.marks("system"), pick(out["systems"], k="first_stage_k", latency="latency_p50_ms", quality="quality"))
        same(page.marks("percentile"), [{"value": out["latency"]["p50_ms"]}, {"value": out["latency"]["p95_ms"]}])
        self.assertEqual([a["data-front"] for a in page.all("g") if "data-front" in a],
                         [str(s["front"]).lower() for s in out["systems"]])

    def test_one_query_at_one_depth_has_no_number_that_is_none(self):
        path = os.path.join(self.dir, "one.html")
        result = self.report(self.index, self.topics, "--max-queries", "1", "--k-values", "5", "-o", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        text = self.read(path)
        self.assertNotRegex(re.sub(r"<script.*?</script>", "", text, flags=re.S), r"(?i)\b(nan|inf)\b")
        self.assertIn("this one query", Page(text).json["summary"]["sentences"][0])

    def test_page_is_drawn_again_from_its_json(self):
        saved = self.write("saved.json", json.dumps(self.out))
        again = os.path.join(self.dir, "again.html")
        result = run("report", "--from", saved, "-o", again)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.read(again), self.text)

    def test_page_is_drawn_again_from_itself(self):
        again = os.path.join(self.dir, "again.html")
        self.assertEqual(run("report", "--from", self.path, "-o", again).returncode, 0)
        self.assertEqual(self.read(again), self.text)

    def test_committed_example_is_what_this_winnow_draws(self):
        example = os.path.join(ROOT, "examples", "report.html")
        again = os.path.join(self.dir, "example.html")
        result = run("report", "--from", example, "-o", again)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(self.read(again) == self.read(example), f"after a change: winnow report --from {example} -o {example}")

    def test_markdown_and_csv_have_the_same_rows(self):
        saved = self.write("saved.json", json.dumps(self.out))
        md = run("report", "--from", saved, "--format", "md").stdout.decode()
        sheet = run("report", "--from", saved, "--format", "csv").stdout.decode()
        for row in self.out["measures"]:
            self.assertIn(row["measure"], md)
            self.assertIn(row["measure"], sheet)
        self.assertIn("first_stage_k", sheet)


class Markup(Report):
    def test_figures_are_described(self):
        self.assertEqual(len(self.page.svgs), 5)
        for svg in self.page.svgs:
            self.assertEqual(svg.get("role"), "img")
            name = "{http://www.w3.org/2000/svg}"
            ids = {svg.find(name + tag).get("id") for tag in ("title", "desc")}
            self.assertEqual(set(svg.get("aria-labelledby").split()), ids)
            self.assertTrue(all(svg.find(name + tag).text.strip() for tag in ("title", "desc")))

    def test_document_has_language_order_and_names(self):
        page = self.page
        self.assertEqual(page.all("html")[0]["lang"], "en")
        self.assertEqual(page.headings[0], 1)
        self.assertEqual(page.headings.count(1), 1)
        for before, after in zip(page.headings, page.headings[1:]):
            self.assertLessEqual(after, before + 1)
        ids = [a["id"] for _, a in page.elements if "id" in a]
        self.assertEqual(len(ids), len(set(ids)))
        for _, attrs in page.elements:
            for ref in (attrs.get("aria-labelledby") or "").split():
                self.assertIn(ref, ids)
        for box in page.all("div", class_="scroll"):
            self.assertEqual(box["tabindex"], "0")
        self.assertTrue(all("scope" in a for a in page.all("th")))

    def test_page_needs_nothing_from_outside(self):
        for tag, attrs in self.page.elements:
            self.assertNotIn(tag, ("img", "iframe", "object", "embed", "base", "form", "audio", "video"))
            for key, value in attrs.items():
                self.assertFalse(key.startswith("on"), key)
                if key in ("href", "src"):
                    self.assertTrue(value.startswith("#") or value == "data:,", value)
        self.assertEqual([a["type"] for a in self.page.all("script")], ["application/json"])
        self.assertNotIn("@import", self.text)
        self.assertNotIn("url(", self.text)

    def test_colours_have_contrast(self):
        def luminance(colour):
            if len(colour) == 4:
                colour = "#" + "".join(2 * c for c in colour[1:])
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            r, g, b = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
            return 0.2126 * r + 0.7152 * g + 0.0722 * b

        style = self.page.texts["style"]
        light = dict(re.findall(r"--(\w+):(#\w+)", style[:style.index("@media")]))
        dark = dict(light, **dict(re.findall(r"--(\w+):(#\w+)", style[style.index("prefers-color-scheme:dark"):style.index("*{box")])))
        self.assertNotEqual(light, dark)
        for theme in (light, dark):
            def ratio(a, b):
                x, y = sorted((luminance(theme[a]), luminance(theme[b])))
                return (y + 0.05) / (x + 0.05)
            for text in ("fg", "muted", "gain", "loss", "accent"):
                for ground in ("bg", "card"):
                    self.assertGreaterEqual(ratio(text, ground), 4.5, (text, ground))
            self.assertGreaterEqual(ratio("markfg", "mark"), 4.5)
            for mark in ("same", "s0", "s1", "s2", "s3", "s4", "s5"):
                self.assertGreaterEqual(ratio(mark, "card"), 3, mark)


class Hostile(Report):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls is not Hostile:
            if not hasattr(Hostile, "paths"):
                Hostile.setUpClass()
            return
        cls.plain = cls.page
        for i, text in enumerate(HOSTILE):
            cls.write(f"evil/<b onmouseover=alert(1)>&\"'{i}.md", f"# {text}\n\n{text} {text}\n\nThe memory of attention and lora. {text}\n")
        index = os.path.join(cls.dir, "evil.wnindex")
        cls.build(os.path.join(cls.dir, "evil"), index)
        # The label is a file that another query's words are in: ranks differ, so there are passages to show.
        topics = cls.write("evil.jsonl", "".join(
            json.dumps({"id": f"<i>{i}</i>\"'", "query": text, "expected_source": f"<b onmouseover=alert(1)>&\"'{(i + 1) % 4}.md"}) + "\n"
            for i, text in enumerate(HOSTILE)))
        plain = cls.write("evil.txt", "".join(t.replace("\u2028", " ") + "\n" for t in HOSTILE))
        cls.paths = []
        for name, source in (("labelled", topics), ("plain", plain)):
            path = os.path.join(cls.dir, f"{name}.html")
            result = cls.report(index, source, "--k-values", "3,6", "-k", "3", "-o", path, "--title", HOSTILE[0])
            assert result.returncode == 0, result.stderr.decode()
            cls.paths.append(path)

    def test_no_text_becomes_markup(self):
        for path in self.paths:
            text = self.read(path)
            page = Page(text)
            self.assertEqual({t for t, _ in page.elements} - {t for t, _ in self.plain.elements} - {"small"}, set())
            self.assertEqual(len(page.all("script")), 1)
            self.assertEqual(len(page.all("style")), 1)
            self.assertFalse([a for _, a in page.elements if any(k.startswith("on") for k in a)])
            self.assertNotIn("\x01", text)
            self.assertIn(HOSTILE[0], page.texts["h1"])
            # Text comes back as it was, but for control characters.
            self.assertEqual([q["query"] for q in page.json["queries"]][:3], HOSTILE[:3])

    def test_unlabelled_queries_get_a_report_too(self):
        page = Page(self.read(self.paths[1]))
        self.assertEqual(page.json["summary"]["verdict"], "unlabelled")
        self.assertNotIn("measures", page.json)
        self.assertEqual(len(page.svgs), 4)
        self.assertEqual(sum(s["count"] for s in page.json["slopes"]), page.json["impact"]["results"])


class Refusals(Report):
    def fails(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, b"")
        for word in words:
            self.assertIn(word, result.stderr.decode())

    def test_wrong_use_is_told(self):
        self.fails(run("report", self.index, "--quiet"), 2, "--output")
        self.fails(run("report", self.index, "-o", "x.html"), 2, "--queries")
        self.fails(self.report(self.index, self.topics, "-o", "-", "--format", "json"), 2, "--output -")
        self.fails(self.report(self.index, self.topics, "-o", "x", "--k-values", "2,10"), 2, "--k-values")
        self.fails(self.report(self.index, self.topics, "-o", "x", "--first-stage", "best"), 2, "bm25")
        self.fails(run("report", "--from", self.topics, "-o", "x"), 1, "line")

    def test_json_of_something_else_is_refused(self):
        for text in ("{}", "[]", '{"format": "winnow-report", "version": 99}'):
            self.fails(run("report", "--from", self.write("other.json", text), "-o", "x"), 1, "not a report")

    def test_damaged_report_is_drawn_without_harm(self):
        for damage in (lambda o: o.update(slopes=[1, {"before": "x"}], depths=None), lambda o: o.update(systems=[{}] * 3, latency=[]),
                       lambda o: o["losses"].__setitem__(0, {"left": {"marks": [[5, 2], [-1, 9], [0, 1 << 40], []], "text": "ab"}}),
                       lambda o: o.update(measures=[{}], queries={}, settings=None, impact=3)):
            out = json.loads(json.dumps(self.out))
            damage(out)
            path = os.path.join(self.dir, "damaged.html")
            result = run("report", "--from", self.write("damaged.json", json.dumps(out)), "-o", path)
            self.assertEqual(result.returncode, 0, result.stderr)
            Page(self.read(path))

    def test_page_that_cannot_be_written_leaves_nothing(self):
        folder = os.path.join(self.dir, "folder.html")
        os.makedirs(folder, exist_ok=True)
        before = sorted(os.listdir(self.dir))
        self.fails(run("report", "--from", self.write("saved.json", json.dumps(self.out)), "-o", folder), 1, "folder.html")
        self.assertEqual(sorted(os.listdir(self.dir)), sorted(set(before) | {"saved.json"}))


class Driver:
    """chromedriver over plain HTTP."""

    def __init__(self, profile):
        self.process = subprocess.Popen([shutil.which("chromedriver"), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                break
        self.base = f"http://127.0.0.1:{found.group(1)}"
        args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        always = {"browserName": "chrome", "goog:chromeOptions": {"args": args, "binary": chromium()}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": always}})["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def post(self, path, body):
        return self.call("POST", f"/session/{self.session}{path}", body)

    def cdp(self, command, **params):
        return self.post("/goog/cdp/execute", {"cmd": command, "params": params})

    def script(self, text):
        return self.post("/execute/sync", {"script": text, "args": []})

    def console(self):
        return self.post("/se/log", {"type": "browser"})

    def close(self):
        try:
            self.call("DELETE", f"/session/{self.session}")
        finally:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@unittest.skipUnless(chromium() and shutil.which("chromedriver"), "SKIPPED: chromium and chromedriver are not installed")
class Browser(Hostile):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver = Driver(os.path.join(cls.dir, "profile"))

    @classmethod
    def tearDownClass(cls):
        cls.driver.close()

    # Those of Hostile have run already.
    test_no_text_becomes_markup = test_unlabelled_queries_get_a_report_too = None

    def open(self, path, width=390, scheme="light"):
        self.driver.cdp("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=2, mobile=width < 600)
        self.driver.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.driver.post("/url", {"url": "file://" + urllib.request.pathname2url(path)})

    def test_nothing_overflows_on_a_phone_or_a_desk(self):
        for path in (self.path, *self.paths):
            for width in (390, 1200):
                self.open(path, width)
                self.driver.script("document.querySelectorAll('details').forEach(d => d.open = true)")
                wide, inner = self.driver.script("return [document.documentElement.scrollWidth, window.innerWidth]")
                self.assertLessEqual(wide, inner, (path, width))
                self.assertEqual(inner, width)

    def test_browser_has_nothing_to_complain_of(self):
        self.driver.console()
        for path in (self.path, *self.paths):
            for scheme in ("light", "dark"):
                self.open(path, scheme=scheme)
                self.assertEqual(self.driver.console(), [])
        self.assertIsNone(self.driver.script("return window.hacked === undefined ? null : window.hacked"))
        self.assertEqual(self.driver.script("return performance.getEntriesByType('resource').length"), 0)

    def test_figures_numbers_equal_the_json(self):
        self.open(self.path)
        shown = self.driver.script("return [...document.querySelectorAll('#fig-slopes g.slope')].map(g => ({...g.dataset}))")
        data = json.loads(self.driver.script("return document.getElementById('winnow-report').textContent"))
        self.assertEqual(data, self.out)
        number = lambda text: None if text == "" else float(text)
        key = lambda row: tuple(-1 if v is None else v for v in row)
        self.assertEqual(sorted(((number(s["before"]), number(s["after"]), number(s["count"])) for s in shown), key=key),
                         sorted(((s["before"], s["after"], s["count"]) for s in data["slopes"]), key=key))
        places = self.driver.script("return [...document.querySelectorAll('#fig-depths g.depth')].map(g => "
                                    "[+g.dataset.quality, g.querySelector('.dot').getBoundingClientRect().y])")
        self.assertEqual([q for q, _ in places], [d["quality"] for d in data["depths"]])
        # Higher quality is drawn higher.
        self.assertEqual([q for q, _ in sorted(places)], [q for q, _ in sorted(places, key=lambda p: (-p[1], p[0]))])

    def test_schemes_differ_and_print_opens_what_is_folded(self):
        colours = []
        for scheme in ("light", "dark"):
            self.open(self.path, scheme=scheme)
            colours.append(self.driver.script("return getComputedStyle(document.body).backgroundColor"))
        self.assertNotEqual(*colours)
        height = "return document.querySelector('details table').getBoundingClientRect().height"
        visible = "return document.querySelector('details table').checkVisibility({contentVisibilityAuto: true})"
        self.assertFalse(self.driver.script(visible))
        self.driver.cdp("Emulation.setEmulatedMedia", media="print")
        # The new medium takes effect with the next frame, which a busy machine draws late.
        until = time.monotonic() + 10
        while not self.driver.script(visible) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertTrue(self.driver.script(visible))
        self.assertGreater(self.driver.script(height), 20)
        self.driver.cdp("Emulation.setEmulatedMedia", media="")

    def test_keyboard_reaches_what_scrolls_and_unfolds(self):
        self.open(self.path)
        reachable = self.driver.script("return [...document.querySelectorAll('.scroll, summary, blockquote')].every(e => e.tabIndex === 0)")
        self.assertTrue(reachable)
        first = self.driver.script("return document.querySelector('a, button, [tabindex]').className")
        self.assertEqual(first, "skip")


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=1).result.wasSuccessful() else 1)
