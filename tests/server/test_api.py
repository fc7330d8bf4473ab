#!/usr/bin/env python3
"""winnow's own API over plain HTTP, against the real binary on loopback.

    WINNOW=build/winnow python3 tests/server/test_api.py        WN_KILLS=200 for the full count of kills

What a route answers is compared with what the command of the same name prints for the same index and models:
all members but times must be equal. The embedder is the small golden one, the reranker the committed
one, the index a few documents of examples/docs. Python's standard library only."""
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from serving import EMBEDDER, RERANKER, ROOT, WINNOW, Server

QUERY = "how does lora save memory"
TIMES = {"stage1_time_ms", "stage2_time_ms", "latency_p50_ms", "latency_p95_ms", "seconds", "timings"}
folder = server = bare = None


def winnow(*args, stdin=None):
    done = subprocess.run([WINNOW, *args], input=stdin, capture_output=True, timeout=600, check=False)
    if done.returncode:
        raise AssertionError(f"winnow {' '.join(args)}: {done.stderr.decode()}")
    return done.stdout.decode()


def command(*args, reranker=True):
    return json.loads(winnow(*args, "--format", "json", *(("--reranker", RERANKER) if reranker else ()),
                             "--embedder", EMBEDDER, "--threads", "2"))


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def build(name, *args, inputs=("lora.md", "gpu_memory.md", "bm25.md", "embeddings.md")):
    path = os.path.join(folder, name + ".wnindex")
    documents = os.path.join(folder, "docs")
    if not os.path.exists(documents):
        os.mkdir(documents)
        for document in inputs:
            shutil.copy(os.path.join(ROOT, "examples", "docs", document), documents)
    winnow("index", documents, "-o", path, *args)
    return path


def setUpModule():
    global folder, server, bare
    folder = tempfile.mkdtemp(prefix="winnow-api-")
    dense = build("docs", "--model", EMBEDDER)
    words = build("words", "--bm25-only")
    server = Server("--index", dense, "--index", f"plain={words}", "--reranker", RERANKER)
    bare = Server("--index", words, "--reranker", "none")


def tearDownModule():
    for each in (server, bare):
        if each:
            each.stop()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


class Api(unittest.TestCase):
    maxDiff = 4000

    def ok(self, answer):
        self.assertEqual(answer[0], 200, answer[1])
        return answer[1]

    def refused(self, answer, status, part=""):
        self.assertEqual(answer[0], status, answer[1])
        error = answer[1]["error"]
        self.assertEqual(set(error) - {"param"}, {"code", "type", "message", "request_id"})
        self.assertIn(part.lower(), error["message"].lower())
        return error


class Search(Api):
    def equal(self, body, *args, reranker=True, **more):
        got = self.ok(server.post("/search", {"query": QUERY, **body}))
        self.assertEqual(got.pop("index"), body.get("index", "docs"))
        self.assertLessEqual({"queue_ms", "compute_ms", "total_ms", "tokens"}, set(got["timings"]))
        path = os.path.join(folder, "words.wnindex" if body.get("index") == "plain" else "docs.wnindex")
        want = json.loads(winnow("search", path, QUERY, "--format", "json", *args,
                                 *(("--reranker", RERANKER) if reranker else ("--no-rerank",)),
                                 *(() if body.get("index") else ("--embedder", EMBEDDER))))
        self.assertEqual(set(got) - {"timings"}, set(want))
        self.assertEqual(timeless(got), timeless(want))
        return got

    def test_dense_equals_the_command(self):
        got = self.equal({"k": 4, "first_stage_k": 6}, "-k", "4", "-n", "6")
        self.assertEqual(len(got["results"]), 4)
        self.assertEqual(got["reranked"], 6)

    def test_hybrid_filtered_windows_equals_the_command(self):
        self.equal({"k": 3, "first_stage_k": 5, "first_stage": "hybrid", "where": {"filename": "lora*"},
                    "length_policy": "windows", "min_score": -3},
                   "-k", "3", "-n", "5", "-s", "hybrid", "-w", "filename=lora*", "--max-length-policy", "windows",
                   "--min-score", "-3")

    def test_blend_equals_the_command(self):
        self.equal({"k": 3, "first_stage_k": 5, "blend": 2.5}, "-k", "3", "-n", "5", "--blend", "2.5")

    def test_without_reranking_equals_the_command(self):
        for rerank in ("never", False):
            got = self.equal({"k": 7, "rerank": rerank}, "-k", "7", reranker=False)
            self.assertIsNone(got["reranker"])

    def test_auto_skips_where_sure(self):
        got = self.equal({"k": 2, "first_stage_k": 4, "rerank": "auto", "skip_threshold": 0},
                         "-k", "2", "-n", "4", "--rerank", "auto", "--skip-threshold", "0")
        self.assertTrue(got["skipped"])
        got = self.equal({"k": 2, "first_stage_k": 4, "rerank": "auto", "skip_threshold": 1},
                         "-k", "2", "-n", "4", "--rerank", "auto", "--skip-threshold", "1")
        self.assertFalse(got["skipped"])
        self.refused(server.post("/search", {"query": QUERY, "rerank": "auto"}), 400, "skip_threshold")

    def test_index_without_embeddings(self):
        got = self.equal({"index": "plain", "k": 2, "first_stage_k": 4}, "-k", "2", "-n", "4", "-s", "bm25")
        self.assertEqual(got["first_stage"], "bm25")
        self.assertIsNone(got["embedder"])
        for stage in ("dense", "hybrid"):
            self.refused(server.post("/search", {"query": QUERY, "index": "plain", "first_stage": stage}), 400,
                         "no embeddings")

    def test_get_is_the_same(self):
        post = self.ok(server.post("/search", {"query": QUERY, "k": 2, "first_stage_k": 3, "where": {"filename": "lora.md"}}))
        got = self.ok(server.get("/search?q=how+does%20lora+save+memory&k=2&first_stage_k=3&where=filename=lora.md"))
        self.assertEqual(timeless(got), timeless(post))
        for query, part in (("", "query"), ("?q=", "empty"), ("?q=x&k=0", "k must"), ("?q=x&k=two", "k must"),
                            ("?q=%ff", "UTF-8"), ("?q=x&timeout_ms=-1", "timeout_ms"), ("?q=x&where=nothing", "where")):
            self.refused(server.get("/search" + query), 400, part)

    def test_deadline_keeps_what_was_reranked(self):
        for body, headers in (({"timeout_ms": 0.001}, {}), ({}, {"X-Timeout-Ms": "1"})):
            got = self.ok(server.post("/search", {"query": QUERY, "k": 30, "first_stage_k": 30, **body}, headers))
            self.assertTrue(got["out_of_time"])
            self.assertLess(got["reranked"], got["candidates"])
            unread = [r["first_stage_rank"] for r in got["results"] if r["rerank_logit"] is None]
            self.assertEqual(unread, sorted(unread))

    def test_nothing_found_is_an_answer(self):
        got = self.ok(server.post("/search", {"query": QUERY, "where": {"source": "nowhere"}}))
        self.assertEqual((got["results"], got["candidates"], got["reranked"]), ([], 0, 0))

    def test_wrong_values_are_refused(self):
        for body, status, part in (
                ({}, 400, "query"), ({"query": ""}, 400, "empty"), ({"query": " \n"}, 400, "empty"),
                ({"query": 5}, 400, "string"), ({"query": None}, 400, "query"),
                ({"query": "x", "k": 0}, 400, "k must"), ({"query": "x", "k": 1.5}, 400, "k must"),
                ({"query": "x", "k": 10 ** 30}, 400, "at most"), ({"query": "x", "first_stage_k": 10 ** 9}, 400, "at most"),
                ({"query": "x", "first_stage": "sparse"}, 400, "dense, bm25, hybrid"),
                ({"query": "x", "rerank": "maybe"}, 400, "always"), ({"query": "x", "min_score": "high"}, 400, "min_score"),
                ({"query": "x", "blend": -1}, 400, "blend"), ({"query": "x", "where": {"a": []}}, 400, "where"),
                ({"query": "x", "where": {"": "b"}}, 400, "key"), ({"query": "x", "where": ["=b"]}, 400, "key"),
                ({"query": "x", "where": {str(i): "v" for i in range(65)}}, 400, "64"),
                ({"query": "x", "length_policy": "guess"}, 400, "truncate"),
                ({"query": "x", "timeout_ms": 0}, 400, "timeout_ms"),
                ({"query": "x", "index": "other"}, 404, "docs, plain"), ({"query": "x", "reranker": "other"}, 404, "reranker")):
            with self.subTest(body=str(body)[:80]):
                self.refused(server.post("/search", body), status, part)
        self.refused(server.post("/search", b"{"), 400, "JSON")
        self.refused(server.post("/search", b"[1]"), 400, "object")
        self.refused(server.post("/search", {"query": "word " * 3000, "length_policy": "error"}), 400, "tokens")

    def test_server_without_reranker(self):
        got = self.ok(bare.post("/search", {"query": QUERY}))
        self.assertEqual((got["reranked"], got["reranker"]), (0, None))
        self.refused(bare.post("/search", {"query": QUERY, "rerank": "always"}), 404, "no reranker")
        self.refused(bare.post("/explain", {"query": QUERY, "rank": 1}), 404, "no reranker")
        self.refused(bare.post("/impact", {"queries": [QUERY]}), 404, "no reranker")
        self.refused(bare.post("/compare", {"query": QUERY, "documents": ["a"]}), 404, "no model")


class Others(Api):
    def test_indexes(self):
        got = self.ok(server.get("/indexes"))
        docs, plain = got["indexes"]
        self.assertEqual((docs["name"], docs["documents"], docs["embedder"]), ("docs", 4, os.path.basename(EMBEDDER)))
        self.assertEqual(docs["passages"], docs["embedded"])
        self.assertEqual(docs["chunking"], {"unit": "characters", "size": 500, "overlap": 100})
        self.assertEqual((plain["name"], plain["embedder"], plain["dim"], plain["first_stages"]), ("plain", None, None, ["bm25"]))
        self.assertEqual(got["rerankers"], [os.path.basename(RERANKER)])

    def test_compare_equals_the_command(self):
        documents = ["LoRA trains few parameters.", "bread and butter", "Memory of a GPU\n\nis short " * 40]
        got = self.ok(server.post("/compare", {"query": QUERY, "documents": documents}))
        want = command("compare", QUERY, *[part for text in documents for part in ("--doc", text)])
        self.assertEqual((got.pop("embedder"), got.pop("reranker")), (os.path.basename(EMBEDDER), os.path.basename(RERANKER)))
        self.assertEqual(timeless(got), timeless(want))
        for body, part in (({"query": QUERY}, "documents"), ({"query": QUERY, "documents": []}, "documents"),
                           ({"query": QUERY, "documents": [1]}, "document"), ({"documents": ["a"]}, "query"),
                           ({"query": QUERY, "documents": ["a"] * 2049}, "2048")):
            self.refused(server.post("/compare", body), 400, part)
        self.refused(server.post("/compare", {"query": QUERY, "documents": ["a"], "embedder": "no"}), 404, "embedding model")

    def test_explain_equals_the_command(self):
        path = os.path.join(folder, "docs.wnindex")
        for body, args in (({"rank": 2, "first_stage_k": 4}, ("--doc", "2", "-n", "4")),
                           ({"document": "lora.md#1", "first_stage_k": 3, "first_stage": "bm25"},
                            ("--doc", "lora.md#1", "-n", "3", "-s", "bm25"))):
            got = self.ok(server.post("/explain", {"query": QUERY, **body}))
            self.assertEqual(got, command("explain", path, QUERY, *args))
        for body, status, part in (({}, 400, "rank"), ({"rank": 0}, 400, "rank"), ({"rank": 1, "document": "a"}, 400, "both"),
                                   ({"document": ""}, 400, "rank"), ({"rank": 2000}, 404, "no rank"),
                                   ({"document": "nobody.md"}, 404, "nobody.md")):
            self.refused(server.post("/explain", {"query": QUERY, "first_stage_k": 3, **body}), status, part)

    def test_other_methods_are_told(self):
        for path in ("/compare", "/explain", "/impact", "/eval"):
            status, _, headers = server.get(path)
            self.assertEqual((status, headers["allow"]), (405, "POST"))


class Studies(Api):
    QUERIES = [{"id": "a", "query": "what does lora train", "expected_source": "lora.md"},
               {"id": "b", "query": "how much memory has a gpu", "expected_source": ["gpu_memory.md"]},
               {"query": "what is k1 in bm25", "expected_source": "bm25.md"}]

    def setUp(self):
        self.path = os.path.join(folder, "docs.wnindex")
        self.file = os.path.join(folder, "queries.jsonl")
        with open(self.file, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(q) + "\n" for q in self.QUERIES)

    def same(self, got, want):
        got, want = timeless(got), timeless(want)
        self.assertEqual((got["settings"].pop("index"), got["settings"].pop("queries_file")), ("docs", None))
        want["settings"].pop("index"), want["settings"].pop("queries_file")
        self.assertEqual(got, want)

    def events(self, path, body):
        data = json.dumps(body).encode()
        connection = __import__("http.client").client.HTTPConnection(server.address, timeout=300)
        connection.request("POST", path, data, {"Accept": "text/event-stream"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.assertEqual(response.status, 200)
        self.assertIn("text/event-stream", response.headers["Content-Type"])
        found = []
        for block in text.strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields["event"], json.loads(fields["data"])))
        return found

    def test_eval_equals_the_command(self):
        body = {"queries": self.QUERIES, "first_stage_k": 5, "cutoffs": [1, 3]}
        want = command("eval", self.path, "--queries", self.file, "-n", "5", "--cutoffs", "1,3", "--quiet")
        got = self.ok(server.post("/eval", body))
        self.same(got, want)
        self.assertNotIn("warnings", got)
        found = self.events("/eval", body)
        self.assertEqual([name for name, _ in found[:-1]], ["progress"] * (len(found) - 1))
        self.assertEqual((found[0][1]["done"], found[-2][1]["done"], found[0][1]["total"]), (0, 3, 3))
        self.assertEqual(found[-1][0], "result")
        self.same(found[-1][1], want)

    def test_eval_without_reranking_by_uploaded_text(self):
        with open(self.file, encoding="utf-8") as file:
            text = file.read()
        got = self.ok(server.post("/eval", {"queries": text, "rerank": False, "first_stage_k": 5, "level": "document"}))
        self.same(got, command("eval", self.path, "--queries", self.file, "-n", "5", "--no-rerank", "--quiet", reranker=False))

    def test_eval_by_qrels(self):
        queries = [{"id": q.get("id", "c"), "query": q["query"]} for q in self.QUERIES]
        judged = {"a": {"lora.md": 1}, "b": {"gpu_memory.md": 2, "bm25.md": 0}}
        lines = "".join(f"{q} 0 {d} {r}\n" for q, ds in judged.items() for d, r in ds.items())
        body = {"queries": queries, "first_stage_k": 4, "rerank": False}
        one = self.ok(server.post("/eval", {**body, "qrels": judged}))
        two = self.ok(server.post("/eval", {**body, "qrels": lines}))
        self.assertEqual(timeless(one), timeless(two))
        self.assertEqual(one["settings"]["queries"], 2)

    def test_labels_that_name_nothing_are_told(self):
        got = self.ok(server.post("/eval", {"queries": [{"query": "x", "expected_source": "nobody.md"}, "y"], "rerank": False}))
        self.assertEqual(len(got["warnings"]), 2)
        self.assertIn("nobody.md", got["warnings"][0])

    def test_impact_equals_the_command(self):
        body = {"queries": self.QUERIES, "first_stage_k": 5, "k": 3}
        want = command("impact", self.path, "--queries", self.file, "-n", "5", "-k", "3", "--quiet")
        self.same(self.ok(server.post("/impact", body)), want)
        self.same(self.events("/impact", body)[-1][1], want)
        short = self.ok(server.post("/impact", {**body, "summary": True, "max_queries": 1}))
        self.assertNotIn("queries", short)

    def test_wrong_values_are_refused(self):
        for path, body, status, part in (
                ("/eval", {}, 400, "queries"), ("/eval", {"queries": []}, 400, "empty"), ("/eval", {"queries": ""}, 400, "no query"),
                ("/eval", {"queries": [5]}, 400, "query 1"), ("/eval", {"queries": [{"q": "x"}]}, 400, "line 1"),
                ("/eval", {"queries": ["a", ""]}, 400, "line 2"), ("/eval", {"queries": ["unlabelled"]}, 400, "expected_source"),
                ("/eval", {"queries": self.QUERIES, "cutoffs": "1,x"}, 400, "cutoffs"),
                ("/eval", {"queries": self.QUERIES, "cutoffs": [0]}, 400, "cutoffs"),
                ("/eval", {"queries": self.QUERIES, "measure": "beauty"}, 400, "measure"),
                ("/eval", {"queries": self.QUERIES, "level": "word"}, 400, "level"),
                ("/eval", {"queries": self.QUERIES, "qrels": {"a": 1}}, 400, "qrels"),
                ("/eval", {"queries": self.QUERIES, "qrels": {"zz": {"d": 1}}, "rerank": False}, 400, ""),
                ("/eval", {"queries": self.QUERIES, "qrels": "nonsense"}, 400, "qrels"),
                ("/impact", {"queries": ["x"] * 1000, "first_stage_k": 1001}, 400, "too many"),
                ("/impact", {"queries": self.QUERIES, "index": "other"}, 404, "docs, plain"),
                ("/impact", {"queries": [{"id": "a", "query": "x"}, {"id": "a", "query": "y"}]}, 400, "given before")):
            with self.subTest(path=path, body=str(body)[-60:]):
                self.refused(server.post(path, body), status, part)
        self.refused(server.post("/impact", {"queries": self.QUERIES, "timeout_ms": 0.01}), 408, "deadline")


class Documents(Api):
    """Each test has an index and a server of its own, without a reranker."""

    def setUp(self):
        self.path = os.path.join(folder, f"{self.id().rsplit('.', 1)[1]}.wnindex")
        shutil.copy(os.path.join(folder, "docs.wnindex"), self.path)
        self.server = Server("--index", f"notes={self.path}", "--reranker", "none")
        self.addCleanup(self.server.stop)

    def put(self, *documents, **more):
        return self.ok(self.server.post("/documents", {"documents": list(documents), **more}))

    def listed(self, query=""):
        return self.ok(self.server.get("/documents?limit=1000" + query))["documents"]

    def found(self, query, **body):
        return [r["document"] for r in self.ok(self.server.post("/search", {"query": query, "first_stage": "bm25", **body}))["results"]]

    def test_put_is_found_listed_replaced_and_removed(self):
        got = self.put({"source": "z/1", "text": "A zeppelin floats.", "metadata": {"year": 2021, "big": 2 ** 53 + 1, "tags": ["air"]}},
                       {"source": "z/2.md", "content": "# Airships\n\n## Old\n\nThe zeppelin was filled with hydrogen."})
        self.assertEqual((got["index"], got["added"], got["passages_embedded"]), ("notes", 2, 2))
        self.assertEqual(sorted(self.found("zeppelin")), ["z/1", "z/2.md"])
        self.assertEqual(self.found("zeppelin", where={"year": 2021}), ["z/1"])
        self.assertEqual(self.found("zeppelin", where=["tags=air"]), ["z/1"])
        dense = self.ok(self.server.post("/search", {"query": "A zeppelin floats.", "k": 1}))
        self.assertEqual(dense["results"][0]["document"], "z/1")
        one, two = self.listed("&source=z/*")
        self.assertEqual(one["metadata"], {"year": 2021, "big": 2 ** 53 + 1, "tags": ["air"]})
        self.assertEqual((two["title"], two["passages"], two["put"], two["corpus"]), ("Airships", 1, True, None))
        got = self.put({"source": "z/1", "text": "A balloon floats."}, {"source": "z/2.md", "text": two["title"], "format": "text"})
        self.assertEqual((got["changed"], got["added"]), (2, 0))
        self.assertEqual(self.found("zeppelin"), [])
        # another process, while the server has it open
        self.assertIn("z/1", winnow("search", self.path, "balloon", "-s", "bm25", "--no-rerank", "-f", "tsv", "-e", EMBEDDER))
        got = self.ok(self.server.request("DELETE", "/documents", json.dumps({"sources": ["z/1", "nobody"]})))
        self.assertEqual(got, {"index": "notes", "removed": 1, "unknown": ["nobody"]})
        self.refused(self.server.request("DELETE", "/documents?source=z/1"), 404, "no such document")
        self.assertEqual(self.ok(self.server.request("DELETE", "/documents?source=z%2F2.md&index=notes"))["removed"], 1)
        self.assertEqual(self.listed("&source=z/*"), [])

    def test_single_document_and_put_method(self):
        body = json.dumps({"index": "notes", "source": "one", "text": "quokka", "title": "Animals"})
        self.assertEqual(self.ok(self.server.request("PUT", "/documents", body))["added"], 1)
        self.assertEqual(self.ok(self.server.request("PUT", "/documents", body))["unchanged"], 1)
        self.assertEqual(self.found("quokka"), ["one"])

    def test_listing_pages(self):
        self.put(*({"source": f"p{i:02}", "text": f"text {i}"} for i in range(25)))
        seen, after = [], 0
        while after is not None:
            page = self.ok(self.server.get(f"/documents?limit=7&after={after}"))
            self.assertEqual(page["total"], 29)
            seen += [d["source"] for d in page["documents"]]
            after = page["next"]
        self.assertEqual(len(seen), 29)
        self.assertEqual(len(set(seen)), 29)
        for query in ("limit=0", "limit=1001", "after=-1", "after=x", "limit="):
            self.refused(self.server.get("/documents?" + query), 400, query.split("=")[0])
        for index, status in (("other", 404), ("%ff", 400)):
            self.refused(self.server.get(f"/documents?index={index}"), status)
            self.refused(self.server.request("DELETE", f"/documents?source=p00&index={index}"), status)
        self.assertEqual(len(self.listed("&source=p00")), 1)

    def test_rebuild_keeps_what_was_put(self):
        documents = os.path.join(folder, "docs")
        self.put({"source": documents + "/api-only.md", "text": "zeppelin"}, {"source": "free", "text": "zeppelin"})
        winnow("index", documents, "-o", self.path, "--model", EMBEDDER)
        self.assertEqual(sorted(self.found("zeppelin")), [documents + "/api-only.md", "free"])

    def test_wrong_documents_are_refused_and_change_nothing(self):
        good = {"source": "good", "text": "zeppelin"}
        for bad, part in (({"text": "x"}, "document 2 has no source"), ({"source": "", "text": "x"}, "no source"),
                          ({"source": "a"}, "empty"), ({"source": "a", "text": " \n\t"}, "empty"),
                          ({"source": "a\nb", "text": "x"}, "control"), ({"source": "a\0b", "text": "x"}, "NUL"),
                          ({"source": "s" * 5000, "text": "x"}, "5000"), ({"source": 5, "text": "x"}, "string"),
                          ({"source": "a", "text": ["x"]}, "string"), ({"source": "a", "text": "x", "title": "a\0"}, "NUL"),
                          ({"source": "a", "text": "x", "metadata": []}, "metadata"),
                          ({"source": "a", "text": "x", "metadata": "{}"}, "metadata"),
                          ({"source": "a", "text": "x", "format": "pdf"}, "format"),
                          ({"source": "good", "text": "again"}, "twice"), ("text", "object"), (None, "object")):
            with self.subTest(bad=str(bad)[:60]):
                self.refused(self.server.post("/documents", {"documents": [good, bad]}), 400, part)
        deep = json.dumps({"documents": [{"source": "a", "text": "x", "metadata": {"d": 1}}]}).replace('"d": 1', '"d": ' + "[" * 200 + "]" * 200)
        self.refused(self.server.post("/documents", deep.encode()), 400, "deep")
        huge = b'{"documents":[{"source":"a","text":"x","metadata":{"n":123456789012345678901234567890}}]}'
        self.refused(self.server.post("/documents", huge), 400, "too large")
        for body, status, part in (({}, 400, "no source"), ({"documents": {}}, 400, "array"), ({"documents": []}, 400, "empty"),
                                   ({"documents": [good], "index": "other"}, 404, "notes"), ({"documents": [good] * 3000}, 400, "2048")):
            self.refused(self.server.post("/documents", body), status, part)
        for body in ({}, {"sources": []}, {"sources": [""]}, {"sources": [5]}, {"sources": "a"}):
            self.refused(self.server.request("DELETE", "/documents", json.dumps(body)), 400, "source")
        self.assertEqual(len(self.listed()), 4)
        self.assertEqual(self.put({"source": "nul", "text": "zeppelin\0after", "metadata": {"source": "fake"}})["added"], 1)
        self.assertEqual(self.found("zeppelin"), ["nul"])

    def test_another_process_writing_is_busy(self):
        import sqlite3
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        self.refused(self.server.post("/documents", {"source": "a", "text": "x"}), 429, "another process")
        self.found("memory")  # readers go on
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual(self.put({"source": "a", "text": "x"})["added"], 1)

    def test_writers_wait_for_each_other_and_readers_go_on(self):
        failures, stop = [], threading.Event()

        def write(name):
            for i in range(6):
                answer = self.server.post("/documents", {"source": f"w{name}-{i}", "text": f"zeppelin {name} {i}"})
                if answer[0] != 200:
                    failures.append(answer)

        def read():
            while not stop.is_set():
                answer = self.server.post("/search", {"query": "zeppelin memory", "first_stage": "hybrid", "k": 20})
                if answer[0] != 200:
                    failures.append(answer)

        def churn():
            while not stop.is_set():
                self.server.post("/documents", {"source": "churn", "text": "memory " * random.randint(1, 300)})
                self.server.request("DELETE", "/documents?source=churn")

        writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        others = [threading.Thread(target=each) for each in (read, read, churn)]
        for thread in writers + others:
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in others:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.listed("&source=w*")), 24)


class ScoreCache(Api):
    def test_known_pairs_give_the_same_answers_in_every_dialect(self):
        path = os.path.join(folder, "scores")
        index = os.path.join(folder, "docs.wnindex")
        asks = [("/v1/rerank", {"query": QUERY, "documents": ["adapters are small", "the sea", "memory"]}),
                ("/search", {"query": QUERY, "k": 5})]
        plain = [timeless(self.ok(server.post(*ask))) for ask in asks]
        for start in range(2):
            with_cache = Server("--index", index, "--reranker", RERANKER, "--score-cache", path)
            try:
                for ask, want in zip(asks, plain):
                    got = timeless(self.ok(with_cache.post(*ask)))
                    self.assertEqual(got["results"], want["results"])
                metrics = urllib.request.urlopen(with_cache.base + "/metrics", timeout=60).read().decode()
                hits, misses = (int(re.search(r'score_cache_pairs_total\{result="%s"\} (\d+)' % what, metrics).group(1))
                                for what in ("hit", "miss"))
                self.assertEqual((hits > 3, misses > 3), (start == 1, start == 0))
            finally:
                with_cache.stop()
        with open(path, "r+b") as f:
            f.write(b"somebody's text")
        refused = subprocess.run([WINNOW, "serve", "--listen", "127.0.0.1:0", "--reranker", RERANKER, "--score-cache", path],
                                 capture_output=True, timeout=60, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"not a score cache", refused.stderr)


class FullDisk(Api):
    def test_full_disk_is_told_and_keeps_what_was_answered_for(self):
        """RLIMIT_FSIZE stands for a disk that fills up: write(2) fails with EFBIG."""
        path = os.path.join(folder, "full.wnindex")
        shutil.copy(os.path.join(folder, "docs.wnindex"), path)
        limit = os.path.getsize(path) + 200000
        full = Server("--index", path, "--reranker", "none", limits={resource.RLIMIT_FSIZE: (limit, limit)})
        try:
            held, refused = [], None
            for i in range(200):
                text = f"zeppelin{i} " + " ".join(f"w{random.randrange(99999)}" for _ in range(1500))
                answer = full.post("/documents", {"source": f"d{i}", "text": text})
                if answer[0] != 200:
                    refused = answer
                    break
                held.append(f"d{i}")
            self.refused(refused, 503, "no space")
            self.assertGreater(len(held), 0)
            self.assertEqual(full.post("/search", {"query": "zeppelin0", "first_stage": "bm25"})[1]["results"][0]["document"], "d0")
        finally:
            full.stop()
        again = Server("--index", path, "--reranker", "none")
        try:
            got = [d["source"] for d in self.ok(again.get("/documents?source=d*&limit=1000"))["documents"]]
            self.assertEqual(sorted(got), sorted(held))
        finally:
            again.stop()


class Kills(unittest.TestCase):
    """kill -9 while documents are written. After each, what the server holds is exactly what it answered for, or
    what it had been sent after that."""
    WRITERS, NAMES = 3, 5

    def writer(self, server, number, ledger):
        draw = random.Random(f"{self.seed} {number} {server.process.pid}")
        while True:
            name = f"k/{number}-{draw.randrange(self.NAMES)}"
            done, begun = ledger[name]
            version = self.next_version = self.next_version + 1
            remove = draw.random() < 0.25
            ledger[name] = (done, None if remove else version)
            try:
                if remove:
                    status = server.request("DELETE", f"/documents?source={name}")[0]
                else:
                    text = f"version{version} " + " ".join(f"w{draw.randrange(999)}" for _ in range(draw.randrange(5, 150)))
                    status = server.post("/documents", {"source": name, "text": text, "metadata": {"v": version}})[0]
            except OSError:
                return
            except Exception:  # pylint: disable=broad-except
                return  # the answer broke off
            if status not in (200, 404):
                self.trouble.append(status)
            ledger[name] = (ledger[name][1], ledger[name][1])
            self.acknowledged += 1

    def check(self, server, ledger):
        status, answer, _ = server.get("/documents?source=k/*&limit=1000")
        self.assertEqual(status, 200)
        held = {d["source"]: d["metadata"]["v"] for d in answer["documents"]}
        for name, (done, begun) in ledger.items():
            if held.get(name) not in (done, begun):
                self.fail(f"{name}: {held.get(name)} is held, {done} was answered for, {begun} begun (seed {self.seed})")
            ledger[name] = (held.get(name), held.get(name))
        for name, version in held.items():
            found = server.post("/search", {"query": f"version{version}", "first_stage": "bm25", "where": {"source": name}})
            self.assertEqual([r["document"] for r in found[1]["results"]][:1], [name])

    def test_nothing_answered_for_is_lost(self):
        kills = int(os.environ.get("WN_KILLS", "20"))
        self.seed, self.acknowledged, self.next_version, self.trouble = random.randrange(10 ** 9), 0, 0, []
        draw = random.Random(self.seed)
        path = os.path.join(folder, "killed.wnindex")
        shutil.copy(os.path.join(folder, "docs.wnindex"), path)
        ledger = {f"k/{w}-{n}": (None, None) for w in range(self.WRITERS) for n in range(self.NAMES)}
        for _ in range(kills):
            server = Server("--index", path, "--reranker", "none")
            self.check(server, ledger)
            threads = [threading.Thread(target=self.writer, args=(server, n, ledger)) for n in range(self.WRITERS)]
            for thread in threads:
                thread.start()
            time.sleep(draw.uniform(0.02, 0.6))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(30)
            for thread in threads:
                thread.join(120)
            server.reader.join(10)
            server.process.stderr.close()
        server = Server("--index", path, "--reranker", "none")
        self.check(server, ledger)
        server.stop()
        self.assertEqual(self.trouble, [])
        self.assertGreater(self.acknowledged, kills)
        print(f"{kills} kills, {self.acknowledged} operations answered for, none lost (seed {self.seed})")


if __name__ == "__main__":
    unittest.main()
