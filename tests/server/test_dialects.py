#!/usr/bin/env python3
"""Every vendor's request against the real server on loopback; every number against the commands'.

    WINNOW=build/winnow python3 tests/server/test_dialects.py

The reranker is the committed one, the embedder a small golden model, so nothing is skipped. Scores are
compared with `winnow score`, vectors with `winnow embed`, ids with `winnow tokenize`. Python's
standard library only.
"""
import base64
import json
import math
import os
import re
import struct
import unittest

from serving import EMBEDDER, RERANKER, ROOT, Server, winnow_lines

QUERY = "what is low-rank adaptation?"
DOCUMENTS = [
    "The cake is baked for forty minutes.",
    "LoRA adds trainable low-rank matrices beside frozen weights.",
    "Adaptation of plants to drought takes many generations.",
    "Low-rank adaptation (LoRA) fine-tunes a model with few parameters.",
    "",
    "Ein Satz auf Deutsch über Matrizen.",
]
TEXTS = ["a first text", "Second text, with punctuation!", "third"]
LONG = "word " * 2000
TOLERANCE = 1e-5
UNTOLD = {("GET", "/")}  # the web page
server = None


def setUpModule():
    global server
    server = Server("--embedder", EMBEDDER, "--reranker", RERANKER)


def tearDownModule():
    server.stop()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def logits(query, documents):
    return [r["logit"] for r in winnow_lines("score", "--model", RERANKER,
                                             rows=[{"query": query, "document": d} for d in documents])]


def vectors(texts, *args):
    return [r["embedding"] for r in winnow_lines("embed", "--model", EMBEDDER, *args,
                                                 rows=[{"text": t} for t in texts])]


class Dialect(unittest.TestCase):
    def post(self, path, body, status=200, headers=None):
        got, reply, sent = server.post(path, body, headers)
        self.assertEqual(got, status, f"{path} {json.dumps(body)[:200]}: {reply}")
        self.headers = sent
        return reply

    def near(self, a, b, tolerance=TOLERANCE):
        self.assertEqual(len(a), len(b))
        for x, y in zip(a, b):
            self.assertAlmostEqual(x, y, delta=tolerance * max(1, abs(y)))

    def ranked(self, results, key, raw=False, documents=DOCUMENTS, query=QUERY, top=None):
        """results have each document once, best first, with winnow score's numbers."""
        expected = logits(query, documents)
        order = sorted(range(len(documents)), key=lambda i: (-expected[i], i))[:top]
        self.assertEqual([r["index"] for r in results], order)
        self.near([r[key] for r in results], [expected[i] if raw else sigmoid(expected[i]) for i in order])


class Rerank(Dialect):
    def test_v1_reply_has_what_cohere_jina_and_llamacpp_read(self):
        reply = self.post("/v1/rerank", {"model": "rerank-v3.5", "query": QUERY, "documents": DOCUMENTS})
        self.ranked(reply["results"], "relevance_score")
        self.assertEqual(reply["object"], "list")
        self.assertEqual(reply["model"], "reranker-minilm-l6-v0")
        self.assertTrue(reply["id"])
        self.assertEqual(reply["meta"]["api_version"]["version"], "1")
        self.assertEqual(reply["meta"]["billed_units"]["search_units"], 1)
        self.assertIn("rerank-v3.5", reply["meta"]["warnings"][0])
        self.assertNotIn("document", reply["results"][0])
        ids = winnow_lines("tokenize", "--model", RERANKER, rows=[{"text": QUERY, "pair": d} for d in DOCUMENTS])
        tokens = sum(len(r["ids"]) for r in ids)
        self.assertEqual(reply["usage"]["total_tokens"], tokens)
        self.assertEqual(reply["meta"]["tokens"]["input_tokens"], tokens)

    def test_known_model_has_no_warning(self):
        reply = self.post("/v1/rerank", {"model": "reranker-minilm-l6-v0", "query": QUERY, "documents": DOCUMENTS})
        self.assertNotIn("warnings", reply["meta"])

    def test_v2_never_returns_documents(self):
        reply = self.post("/v2/rerank", {"model": "x", "query": QUERY, "documents": DOCUMENTS, "top_n": 2,
                                         "return_documents": True, "max_tokens_per_doc": 4096, "priority": 0})
        self.ranked(reply["results"], "relevance_score", top=2)
        self.assertEqual(reply["meta"]["api_version"]["version"], "2")
        self.assertNotIn("document", reply["results"][0])

    def test_top_n_null_huge_and_real_mean_numbers(self):
        for value, n in ((None, 6), (10 ** 30, 6), (3.0, 3), (1, 1), (99, 6)):
            reply = self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS, "top_n": value})
            self.ranked(reply["results"], "relevance_score", top=n)
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS, "top_k": 2})
        self.assertEqual(len(reply["results"]), 2)

    def test_jina_objects_and_return_documents(self):
        reply = self.post("/v1/rerank", {"model": "jina-reranker-v2-base-multilingual", "query": QUERY,
                                         "documents": [{"text": d, "n": i} for i, d in enumerate(DOCUMENTS)],
                                         "return_documents": True, "top_n": None})
        self.ranked(reply["results"], "relevance_score")
        for result in reply["results"]:
            self.assertEqual(result["document"], {"text": DOCUMENTS[result["index"]], "n": result["index"]})
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS, "return_documents": True})
        for result in reply["results"]:
            self.assertEqual(result["document"], {"text": DOCUMENTS[result["index"]]})

    def test_cohere_rank_fields_choose_members(self):
        documents = [{"title": d, "body": "cake", "n": 5} for d in DOCUMENTS]
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": documents, "rank_fields": ["title"]})
        self.ranked(reply["results"], "relevance_score")
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": documents, "rank_fields": ["title", "body"]})
        self.ranked(reply["results"], "relevance_score",
                    documents=[f"{d}\ncake".lstrip("\n") for d in DOCUMENTS])

    def test_tei_bare_array(self):
        reply = self.post("/rerank", {"query": QUERY, "texts": DOCUMENTS})
        self.ranked(reply, "score")
        self.assertEqual(self.headers["x-compute-type"], "cpu")
        self.assertGreater(int(self.headers["x-compute-tokens"]), 0)
        self.assertNotIn("text", reply[0])
        reply = self.post("/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True, "return_text": True,
                                      "truncate": True})
        self.ranked(reply, "score", raw=True)
        for r in reply:
            self.assertEqual(r["text"], DOCUMENTS[r["index"]])

    def test_llamacpp_paths_give_logits(self):
        for path in ("/rerank", "/reranking", "/v1/reranking"):
            reply = self.post(path, {"model": "any", "query": QUERY, "documents": DOCUMENTS, "top_n": 3})
            self.ranked(reply["results"], "relevance_score", raw=True, top=3)
            self.assertEqual(reply["object"], "list")
        for path in ("/reranking", "/v1/rerank"):
            self.ranked(self.post(path, {"query": QUERY, "texts": DOCUMENTS}), "score")
        reply = self.post("/reranking", {"query": QUERY, "documents": DOCUMENTS, "raw_scores": False})
        self.ranked(reply["results"], "relevance_score")

    def test_raw_scores_choose_on_v1(self):
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS, "raw_scores": True})
        self.ranked(reply["results"], "relevance_score", raw=True)

    def test_every_result_has_its_logit_in_order(self):
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS})
        values = [r["logit"] for r in reply["results"]]
        self.assertEqual(values, sorted(values, reverse=True))
        self.ranked(reply["results"], "logit", raw=True)

    def test_equal_documents_keep_their_order(self):
        reply = self.post("/v1/rerank", {"query": QUERY, "documents": ["same text"] * 9})
        self.assertEqual([r["index"] for r in reply["results"]], list(range(9)))

    def test_long_document_is_cut_and_told(self):
        body = {"query": QUERY, "documents": ["short", LONG]}
        reply = self.post("/v1/rerank", body)
        self.ranked(reply["results"], "relevance_score", documents=body["documents"])
        cut = next(r for r in reply["results"] if r["index"] == 1)
        self.assertEqual(cut["tokens_seen"] + cut["tokens_dropped"], 2000)
        self.assertIn("1 of 2 documents", reply["meta"]["warnings"][0])
        self.post("/v1/rerank", {**body, "length_policy": "error"}, 400)
        error = self.post("/rerank", {"query": QUERY, "texts": ["short", LONG], "truncate": False}, 422)
        self.assertEqual(error["error_type"], "Validation")
        self.post("/rerank", {"query": QUERY, "texts": ["short", LONG], "truncate": True})
        self.assertEqual(self.headers["x-winnow-truncated"], "1")

    def test_max_tokens_per_doc_cuts(self):
        reply = self.post("/v2/rerank", {"query": QUERY, "documents": ["one two three four five", "one two"],
                                         "max_tokens_per_doc": 3})
        self.ranked(reply["results"], "relevance_score", documents=["one two three", "one two"])
        self.assertEqual({r["index"]: r.get("tokens_dropped") for r in reply["results"]}, {0: 2, 1: None})

    def test_left_truncation_reads_the_end(self):
        text = LONG + " low-rank adaptation trains small matrices"
        left = self.post("/rerank", {"query": QUERY, "texts": [text], "truncate": True,
                                     "truncation_direction": "left", "raw_scores": True})
        right = self.post("/rerank", {"query": QUERY, "texts": [text], "truncate": True, "raw_scores": True})
        self.assertGreater(left[0]["score"], right[0]["score"])

    def test_deadline_keeps_what_was_scored(self):
        documents = [f"{i} " + "some words about adaptation " * 60 for i in range(400)]
        for path, body, headers in (("/v1/rerank", {"timeout_ms": 60}, {}), ("/v1/rerank", {}, {"X-Timeout-Ms": "60"})):
            reply = self.post(path, {"query": QUERY, "documents": documents, **body}, headers=headers)
            results = reply["results"]
            self.assertEqual(sorted(r["index"] for r in results), list(range(400)))
            late = [r for r in results if r.get("reranked") is False]
            self.assertTrue(late, "the machine scored 400 long documents in 60 ms?")
            self.assertEqual(results[-len(late):], late)
            self.assertEqual([r["index"] for r in late], sorted(r["index"] for r in late))
            self.assertEqual({r["relevance_score"] for r in late}, {0})
            self.assertIn("deadline", " ".join(reply["meta"]["warnings"]))
            done = results[:-len(late)]
            if done:
                expected = logits(QUERY, [documents[r["index"]] for r in done])
                self.near([r["logit"] for r in done], expected)


class Embeddings(Dialect):
    def test_openai_floats(self):
        reply = self.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": TEXTS})
        self.assertEqual([d["index"] for d in reply["data"]], [0, 1, 2])
        for item, expected in zip(reply["data"], vectors(TEXTS)):
            self.near(item["embedding"], expected)
        self.assertEqual(reply["model"], "small-xlmr")
        ids = winnow_lines("tokenize", "--model", EMBEDDER, rows=[{"text": t} for t in TEXTS])
        tokens = sum(len(r["ids"]) for r in ids)
        self.assertEqual(reply["usage"], {"prompt_tokens": tokens, "total_tokens": tokens})

    def test_openai_base64_holds_the_same_floats(self):
        floats = self.post("/v1/embeddings", {"input": TEXTS[0]})["data"][0]["embedding"]
        text = self.post("/v1/embeddings", {"input": TEXTS[0], "encoding_format": "base64"})["data"][0]["embedding"]
        data = base64.b64decode(text)
        self.assertEqual(list(struct.unpack(f"<{len(data) // 4}f", data)),
                         [struct.unpack("f", struct.pack("f", x))[0] for x in floats])

    def test_dimensions_cut_and_normalise(self):
        whole = vectors(TEXTS[:1])[0]
        scale = math.sqrt(sum(x * x for x in whole[:8]))
        for path, body, get in (("/v1/embeddings", {"input": TEXTS[0], "dimensions": 8}, lambda r: r["data"][0]["embedding"]),
                                ("/embed", {"inputs": TEXTS[0], "dimensions": 8}, lambda r: r[0]),
                                ("/v2/embed", {"texts": TEXTS[:1], "output_dimension": 8}, lambda r: r["embeddings"]["float"][0])):
            self.near(get(self.post(path, body)), [x / scale for x in whole[:8]])
        self.post("/v1/embeddings", {"input": "x", "dimensions": 100000}, 400)

    def test_token_ids_are_the_text(self):
        for special in (True, False):
            ids = [t["id"] for t in self.post("/tokenize", {"inputs": TEXTS[0], "add_special_tokens": special})[0]]
            for value in (ids, [ids]):
                reply = self.post("/v1/embeddings", {"input": value})
                self.near(reply["data"][0]["embedding"], vectors(TEXTS[:1])[0])

    def test_foreign_token_ids_are_refused(self):
        for value in ([[9906, 1917]], [9906, 1917], [[-1]], [[2 ** 40]], [[1.5]], [[]], [["a"]]):
            error = self.post("/v1/embeddings", {"input": value}, 400)
            self.assertIn("message", error["error"])

    def test_jina_fields(self):
        reply = self.post("/v1/embeddings", {"model": "jina-embeddings-v3", "task": "retrieval.query", "normalized": True,
                                             "embedding_type": "float", "late_chunking": False, "truncate": True,
                                             "input": [{"text": t} for t in TEXTS]})
        for item, expected in zip(reply["data"], vectors(TEXTS, "--role", "query")):
            self.near(item["embedding"], expected)
        self.assertIn("total_tokens", reply["usage"])
        self.post("/v1/embeddings", {"input": TEXTS, "late_chunking": True}, 400)

    def test_cohere_v2_all_types(self):
        types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
        reply = self.post("/v2/embed", {"model": "embed-v4.0", "texts": TEXTS, "input_type": "search_document",
                                        "embedding_types": types, "truncate": "END"})
        by_type = reply["embeddings"]
        self.assertEqual(set(by_type), set(types))
        self.assertEqual(reply["texts"], TEXTS)
        self.assertEqual(reply["response_type"], "embeddings_by_type")
        for i, expected in enumerate(vectors(TEXTS, "--role", "document")):
            self.near(by_type["float"][i], expected)
            data = base64.b64decode(by_type["base64"][i])
            self.near(struct.unpack(f"<{len(data) // 4}f", data), expected)
            largest = max(map(abs, expected))
            for value, x in zip(by_type["int8"][i], expected):
                self.assertAlmostEqual(value, x / largest * 127, delta=0.51)
            self.assertEqual(by_type["uint8"][i], [v + 128 for v in by_type["int8"][i]])
            bits = "".join("1" if x > 0 else "0" for x in by_type["float"][i])
            packed = [int(bits[b:b + 8].ljust(8, "0"), 2) for b in range(0, len(bits), 8)]
            self.assertEqual(by_type["ubinary"][i], packed)
            self.assertEqual(by_type["binary"][i], [p - 128 for p in packed])

    def test_cohere_v1_bare_and_by_type(self):
        reply = self.post("/v1/embed", {"texts": TEXTS, "input_type": "search_query"})
        self.assertEqual(reply["response_type"], "embeddings_floats")
        for got, expected in zip(reply["embeddings"], vectors(TEXTS, "--role", "query")):
            self.near(got, expected)
        reply = self.post("/v1/embed", {"texts": TEXTS, "embedding_types": ["ubinary"]})
        self.assertEqual(list(reply["embeddings"]), ["ubinary"])

    def test_cohere_v2_inputs(self):
        reply = self.post("/v2/embed", {"inputs": [{"content": [{"type": "text", "text": t}]} for t in TEXTS]})
        self.near(reply["embeddings"]["float"][2], vectors(TEXTS)[2])
        self.post("/v2/embed", {"inputs": [{"content": [{"type": "image_url", "image_url": {}}]}]}, 400)

    def test_cohere_truncate(self):
        words = LONG + "end"
        for cut, status in (("END", 200), ("START", 200), ("NONE", 400)):
            self.post("/v2/embed", {"texts": [words], "truncate": cut}, status)
        reply = self.post("/v2/embed", {"texts": [words], "truncate": "START"})
        self.assertIn("1 of 1 texts", reply["meta"]["warnings"][-1])

    def test_tei_embed(self):
        reply = self.post("/embed", {"inputs": TEXTS, "normalize": True})
        for got, expected in zip(reply, vectors(TEXTS)):
            self.near(got, expected)
        self.assertEqual(len(self.post("/embed", {"inputs": TEXTS[0]})), 1)
        error = self.post("/embed", {"inputs": LONG, "truncate": False}, 422)
        self.assertEqual(error["error_type"], "Validation")
        self.post("/embed", {"inputs": LONG, "truncate": True, "truncation_direction": "left"})
        self.assertEqual(self.headers["x-winnow-truncated"], "1")

    def test_tei_similarity(self):
        a, b, c = vectors(TEXTS)
        got = self.post("/similarity", {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}})
        self.near(got, [sum(x * y for x, y in zip(a, v)) for v in (b, c)])

    def test_tei_predict(self):
        pair = [QUERY, DOCUMENTS[1]]
        logit = logits(*[pair[0], [pair[1]]])[0]
        reply = self.post("/predict", {"inputs": pair})
        self.near([reply[0]["score"]], [sigmoid(logit)])
        self.assertIn("label", reply[0])
        reply = self.post("/predict", {"inputs": [pair, ["x", "y"]], "raw_scores": True})
        self.near([r[0]["score"] for r in reply], [logit, logits("x", ["y"])[0]])
        self.post("/predict", {"inputs": "one text"}, 422)
        self.post("/predict", {"inputs": [["one text"]]}, 422)

    def test_llamacpp_embedding(self):
        for path in ("/embedding", "/embeddings"):
            reply = self.post(path, {"content": TEXTS})
            self.assertEqual([r["index"] for r in reply], [0, 1, 2])
            self.near(reply[1]["embedding"][0], vectors(TEXTS)[1])
        self.assertEqual(self.post("/embeddings", {"input": TEXTS})["object"], "list")

    def test_embedding_deadline_is_408(self):
        self.post("/v1/embeddings", {"input": [LONG] * 50, "timeout_ms": 0.001}, 408)


class Others(Dialect):
    def test_tei_tokenize_matches_the_command(self):
        texts = ["hello world", "naïve Ünïcode 日本"]
        expected = winnow_lines("tokenize", "--model", EMBEDDER, rows=[{"text": t} for t in texts])
        for tokens, text, ids in zip(self.post("/tokenize", {"inputs": texts}), texts, expected):
            self.assertEqual([t["id"] for t in tokens], ids["ids"])
            self.assertTrue(tokens[0]["special"] and tokens[-1]["special"])
            self.assertIsNone(tokens[0]["start"])
            for t in tokens[1:-1]:
                self.assertEqual(t["text"], text[t["start"]:t["stop"]])

    def test_llamacpp_tokenize(self):
        plain = self.post("/tokenize", {"content": "hello world"})["tokens"]
        whole = self.post("/tokenize", {"content": "hello world", "add_special": True})["tokens"]
        self.assertEqual(whole[1:-1], plain)
        pieces = self.post("/tokenize", {"content": "hello world", "with_pieces": True})["tokens"]
        self.assertEqual([p["id"] for p in pieces], plain)

    def test_models_lists_both(self):
        status, reply, _ = server.get("/v1/models")
        self.assertEqual(status, 200)
        kinds = {m["id"]: m["kind"] for m in reply["data"]}
        self.assertEqual(kinds, {"small-xlmr": "embedder", "reranker-minilm-l6-v0": "reranker"})
        for m in reply["data"]:
            self.assertEqual(m["object"], "model")
            self.assertGreater(m["created"], 0)

    def test_one_model_by_name(self):
        status, reply, _ = server.get("/v1/models/small-xlmr")
        self.assertEqual((status, reply["id"]), (200, "small-xlmr"))
        for name in ("none", "a/b", "small-xlmr/", "small%2Dxlm"):
            status, reply, _ = server.get("/v1/models/" + name)
            self.assertEqual(status, 404)
            self.assertIn("message", reply["error"])

    def test_info_tells_of_either_model(self):
        _, reply, _ = server.get("/info")
        self.assertEqual(reply["model_id"], "small-xlmr")
        self.assertIn("embedding", reply["model_type"])
        _, reply, _ = server.get("/info?model=reranker-minilm-l6-v0")
        self.assertIn("reranker", reply["model_type"])

    def test_props_has_the_context_length(self):
        _, reply, _ = server.get("/props")
        self.assertGreater(reply["default_generation_settings"]["n_ctx"], 0)

    def test_openapi_tells_every_route_and_no_other(self):
        status, reply, _ = server.get("/openapi.json")
        self.assertEqual(status, 200)
        self.assertEqual(reply["openapi"], "3.1.0")
        told = {(method.upper(), re.sub(r"\{.*\}", "*", path)) for path, methods in reply["paths"].items() for method in methods}
        folder = os.path.join(ROOT, "src", "server")
        routes = set()
        for name in os.listdir(folder):
            if name.endswith(".c"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    routes.update(re.findall(r'^ +\{"(GET|POST|PUT|DELETE)", "(/[^"]*)",', file.read(), re.M))
        self.assertGreater(len(routes), 25)
        # the page's own files are no API
        routes = {(m, p) for m, p in routes if not p.startswith("/page")} - UNTOLD
        self.assertEqual(told, routes)


class Wrong(Dialect):
    """Bad input: a 4xx in the shape of the path's clients, never more."""
    SHAPES = {
        "/v1/embeddings": lambda e: (e["error"]["message"], e["error"]["type"], e["error"]["param"], e["error"]["code"]),
        "/v1/rerank": lambda e: e["message"], "/v2/rerank": lambda e: e["message"],
        "/v1/embed": lambda e: e["message"], "/v2/embed": lambda e: e["message"],
        "/reranking": lambda e: (e["error"]["code"], e["error"]["message"], e["error"]["type"]),
        "/embedding": lambda e: (e["error"]["code"], e["error"]["message"], e["error"]["type"]),
        "/embed": lambda e: (e["error"] + "", e["error_type"]), "/predict": lambda e: (e["error"] + "", e["error_type"]),
        "/similarity": lambda e: (e["error"] + "", e["error_type"]),
        "/tokenize": lambda e: (e["error"] + "", e["error_type"]), "/rerank": lambda e: e["error"],
    }
    NAMES = {"/v1/embeddings": "input", "/v1/embed": "texts", "/v2/embed": "texts", "/embed": "inputs",
             "/embedding": "content", "/tokenize": "inputs", "/predict": "inputs", "/similarity": "inputs"}

    def refused(self, path, data):
        status, reply, _ = server.post(path, data)
        self.assertTrue(400 <= status < 500, f"{path} {data[:80]!r}: {status} {reply}")
        self.SHAPES[path](reply)
        return status, reply

    def test_bytes_that_are_no_json_object(self):
        deep = b'{"query":' + b"[" * 100000 + b"]" * 100000 + b"}"
        for path in self.SHAPES:
            for data in (b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe{}", b'{"query": "\xc3\x28"}', b'{"a": NaN}',
                         b'{"a": 1e999}', b'{"a": "\\ud800"}', deep, b"{}", b"\x00"):
                self.refused(path, data)

    def test_wrong_types_everywhere(self):
        values = [None, True, 0, -1, 1.5, "", [], {}, [None], [[]], [{}], [True], [1, "a"], ["a", 1], {"text": 5}, [{"text": None}]]
        refused = 0
        for path, name in self.NAMES.items():
            for value in values:
                if path in ("/tokenize",) and value in ("", 0):
                    continue
                if path == "/tokenize" and value == [] or not isinstance(value, str) or not value:
                    status, reply, _ = server.post(path, {name: value})
                    self.assertLess(status, 500, f"{path} {value!r}: {reply}")
                    self.assertGreaterEqual(status, 400, f"{path} {value!r}: {reply}")
                    self.SHAPES[path](reply)
                    refused += 1
        self.assertGreater(refused, 100)

    def test_wrong_rerank_fields(self):
        for path in ("/v1/rerank", "/v2/rerank", "/rerank", "/reranking"):
            good = {"query": QUERY, "documents": ["a", "b"]}
            for wrong in ({"query": ""}, {"query": 5}, {"query": None}, {"query": []}, {"documents": []}, {"documents": "a"},
                          {"documents": {}}, {"documents": [1]}, {"documents": [None]}, {"documents": [{}]}, {"documents": None},
                          {"documents": [["a"]]}, {"top_n": 0}, {"top_n": -1}, {"top_n": 1.5}, {"top_n": "3"}, {"top_n": []},
                          {"raw_scores": 1}, {"return_documents": "yes"}, {"timeout_ms": 0}, {"timeout_ms": "1"},
                          {"rank_fields": "a", "documents": [{"a": "b"}]}, {"rank_fields": [1]}, {"model": 5}, {"model": ["a"]},
                          {"length_policy": "cut"}, {"max_tokens_per_doc": 0}, {"truncation_direction": "up"}):
                self.refused(path, json.dumps({**good, **wrong}).encode())

    def test_wrong_embedding_fields(self):
        for path, name in self.NAMES.items():
            if path in ("/tokenize", "/predict", "/similarity"):
                continue
            for wrong in ({"dimensions": 0}, {"dimensions": "8"}, {"dimensions": 10 ** 9}, {"truncate": 5}, {"timeout_ms": -1},
                          {"prompt_name": "no such prompt"}, {"prompt_name": 5}, {"model": {}}):
                self.refused(path, json.dumps({name: ["a"], **wrong}).encode())

    def test_model_of_the_other_kind_is_refused(self):
        self.refused("/v1/rerank", json.dumps({"model": "small-xlmr", "query": "q", "documents": ["d"]}).encode())
        self.refused("/v1/embeddings", json.dumps({"model": "reranker-minilm-l6-v0", "input": "x"}).encode())

    def test_tei_statuses(self):
        for path, body, status, kind in (("/rerank", {"query": "q", "texts": []}, 400, "Empty"), ("/embed", {"inputs": []}, 400, "Empty"),
                                         ("/embed", {"inputs": ""}, 400, "Empty"), ("/embed", {"inputs": 5}, 422, "Validation"),
                                         ("/rerank", {"query": "q", "texts": [5]}, 422, "Validation")):
            error = self.post(path, body, status)
            self.assertEqual(error["error_type"], kind)

    def test_odd_texts_are_answered(self):
        odd = ["\x00", "\u200b", "🙂" * 10, "a\x00b", "\n\n", " ", "\ufffd", "x" * 50000, "[CLS] [SEP] <s>"]
        reply = self.post("/v1/rerank", {"query": "\x00q", "documents": odd, "return_documents": True})
        self.assertEqual(len(reply["results"]), len(odd))
        for result in reply["results"]:
            self.assertEqual(result["document"]["text"], odd[result["index"]])
        self.assertEqual(len(self.post("/embed", {"inputs": odd, "truncate": True})), len(odd))
        self.post("/tokenize", {"inputs": odd})

    def test_duplicate_keys_take_the_last(self):
        status, reply, _ = server.post("/v1/rerank", b'{"query":"a","query":"b","documents":["x"],"documents":["y","z"]}')
        self.assertEqual(status, 200)
        self.ranked(reply["results"], "relevance_score", documents=["y", "z"], query="b")

    def test_unknown_fields_are_ignored(self):
        self.post("/v1/rerank", {"query": QUERY, "documents": ["a"], "no_such": {"x": [1]}, "priority": 3, "user": None})


class Limits(Dialect):
    def test_too_many_documents(self):
        small = Server("--embedder", EMBEDDER, "--reranker", RERANKER, "--max-documents", "5")
        try:
            for path, body, status in (("/v1/rerank", {"query": "q", "documents": ["d"] * 6}, 400),
                                       ("/rerank", {"query": "q", "texts": ["d"] * 6}, 413),
                                       ("/embed", {"inputs": ["d"] * 6}, 413), ("/v1/embeddings", {"input": ["d"] * 6}, 400),
                                       ("/v2/embed", {"texts": ["d"] * 6}, 400), ("/predict", {"inputs": [["d", "d"]] * 6}, 413),
                                       ("/v1/rerank", {"query": "q", "documents": ["d"] * 5}, 200)):
                got, reply, _ = small.post(path, body)
                self.assertEqual(got, status, f"{path}: {reply}")
        finally:
            small.stop()

    def test_without_an_embedder_embeddings_are_not_found(self):
        # an empty cache: else the server takes the default embedder from there
        alone = Server("--reranker", RERANKER, env={"WINNOW_CACHE": EMBEDDER + "-no-cache"})
        try:
            for path, body in (("/v1/embeddings", {"input": "x"}), ("/embed", {"inputs": "x"})):
                self.assertEqual(alone.post(path, body)[0], 404)
            self.assertEqual(alone.get("/info")[1]["model_id"], "reranker-minilm-l6-v0")
            self.assertEqual(alone.post("/v1/rerank", {"query": "q", "documents": ["d"]})[0], 200)
        finally:
            alone.stop()


if __name__ == "__main__":
    unittest.main()
