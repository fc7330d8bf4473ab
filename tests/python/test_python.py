#!/usr/bin/env python3
"""The Python package of this build: every number against the commands', other libraries' base classes by their own calls.

    WINNOW=build/winnow WINNOW_PYTHON=build/src/python python3 tests/python/test_python.py

The reranker is the committed one, the embedder and the sigmoid reranker are small golden models, so no cache is needed. Runs
itself in .venv-clients (tools/venv.sh clients makes it), which has numpy, langchain-core and llama-index-core; SKIPPED where
that is absent."""
import asyncio
import json
import math
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import unittest
import warnings

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, os.environ.get("WN_VENV_CLIENTS", ".venv-clients"))
PYTHON = os.path.join(VENV, "bin", "python")
if os.path.exists(PYTHON) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
    os.execv(PYTHON, [PYTHON, os.path.abspath(__file__), *sys.argv[1:]])

PACKAGE = os.path.abspath(os.environ.get("WINNOW_PYTHON", os.path.join(ROOT, "build", "src", "python")))
sys.path[:0] = [PACKAGE, os.path.join(ROOT, "tests", "server")]
import test_dialects as numbers  # noqa: E402  (its texts)
from serving import EMBEDDER, RERANKER, SMALL_RERANKER, WINNOW, scratch_folder, winnow_lines  # noqa: E402
from test_dialects import LONG, QUERY  # noqa: E402

WHY = None
try:
    import langchain_core  # noqa: F401
    import llama_index.core  # noqa: F401
    import numpy as np
except ImportError as error:
    WHY = f"SKIPPED: no .venv-clients with numpy and the others ({error}); tools/venv.sh clients makes it"
if not WHY:
    import winnow

DOCUMENTS = [*numbers.DOCUMENTS[:-1], numbers.DOCUMENTS[-1] + "\0 Danach geht es weiter."]
FOLDER = os.path.join(ROOT, "examples", "docs")


def command(*args, status=0):
    done = subprocess.run([WINNOW, *args], capture_output=True, timeout=300, check=False)
    if done.returncode != status:
        raise AssertionError(f"winnow {' '.join(args)}: {done.returncode}, {done.stderr.decode()}")
    return done.stdout


def logits(model, pairs, *args):
    rows = [{"query": q, "document": d} for q, d in pairs]
    return np.array([r["logit"] for r in winnow_lines("score", "--model", model, *args, rows=rows)], dtype=np.float32)


def vectors(texts, *args):
    rows = [{"text": t} for t in texts]
    return np.array([r["embedding"] for r in winnow_lines("embed", "--model", EMBEDDER, *args, rows=rows)], dtype=np.float32)


class Python(unittest.TestCase):
    def same(self, a, b):
        """Every bit: numbers in JSON have nine digits."""
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@unittest.skipIf(WHY, WHY)
class CrossEncoder(Python):
    pairs = [(QUERY, d) for d in DOCUMENTS]

    @classmethod
    def setUpClass(cls):
        cls.model = winnow.CrossEncoder(RERANKER)
        cls.sigmoid = winnow.CrossEncoder(SMALL_RERANKER)

    def test_predict_gives_the_commands_bits(self):
        scores = self.model.predict(self.pairs)
        self.assertEqual((scores.dtype, scores.shape), (np.float32, (len(DOCUMENTS),)))
        self.same(scores, logits(RERANKER, self.pairs))
        self.same(self.model.predict(self.pairs, batch_size=1), scores)
        self.same(self.model.predict([list(pair) for pair in self.pairs]), scores)

    def test_many_pairs_are_the_same_in_slices(self):
        many = self.pairs * 400  # more than one call into the library
        self.same(self.sigmoid.predict(many), np.tile(self.sigmoid.predict(self.pairs), 400))

    def test_config_decides_the_activation(self):
        self.assertEqual((self.model.info["activation"], self.sigmoid.info["activation"]), ("identity", "sigmoid"))
        raw = logits(SMALL_RERANKER, self.pairs)
        np.testing.assert_allclose(self.sigmoid.predict(self.pairs), 1 / (1 + np.exp(-raw)), rtol=1e-6)
        self.same(self.sigmoid.predict(self.pairs, activation_fn=lambda x: x), raw)
        given = winnow.CrossEncoder(SMALL_RERANKER, activation_fn=np.tanh)
        self.same(given.predict(self.pairs), np.tanh(raw))

    def test_single_pair_gives_a_number(self):
        one = self.model.predict(self.pairs[1])
        self.assertEqual(np.ndim(one), 0)
        self.same(one, logits(RERANKER, self.pairs)[1])
        self.same(self.model.predict(("a", "b")), self.model.predict([("a", "b")])[0])

    def test_lists_and_empty_input(self):
        self.assertIsInstance(self.model.predict(self.pairs, convert_to_numpy=False)[0], float)
        self.assertEqual(self.model.predict([]).shape, (0,))
        self.assertEqual(self.model.rank(QUERY, []), [])

    def test_old_name_of_inputs_is_taken(self):
        self.same(self.model.predict(sentences=self.pairs), self.model.predict(self.pairs))
        with self.assertRaises(TypeError):
            self.model.predict()
        with self.assertRaises(TypeError):
            self.model.predict(self.pairs, sentences=self.pairs)

    def test_rank_is_by_score(self):
        expected = logits(RERANKER, self.pairs)
        ranked = self.model.rank(QUERY, DOCUMENTS, return_documents=True)
        self.assertEqual([r["corpus_id"] for r in ranked], sorted(range(len(DOCUMENTS)), key=lambda i: -expected[i]))
        for r in ranked:
            self.assertEqual(r["text"], DOCUMENTS[r["corpus_id"]])
            self.assertIs(type(r["score"]), float)
            self.assertEqual(np.float32(r["score"]), expected[r["corpus_id"]])
        self.assertEqual([sorted(r) for r in self.model.rank(QUERY, DOCUMENTS, top_k=2)], [["corpus_id", "score"]] * 2)

    def test_equal_scores_are_ranked_by_logit(self):
        expected = logits(RERANKER, self.pairs)
        flat = self.model.rank(QUERY, DOCUMENTS, activation_fn=lambda x: np.ones_like(x))
        self.assertEqual([r["corpus_id"] for r in flat], sorted(range(len(DOCUMENTS)), key=lambda i: -expected[i]))

    def test_cut_pairs_are_told(self):
        pairs = [(QUERY, "short"), (QUERY, LONG)]
        with self.assertWarnsRegex(winnow.TruncationWarning, "1 of 2 pairs .* 256 tokens"):
            scores = winnow.CrossEncoder(RERANKER, max_length=256).predict(pairs)
        self.same(scores, logits(RERANKER, pairs, "--max-length", "256"))
        short, cut = self.model.score_pairs(pairs)
        self.assertEqual((short.tokens_dropped, short.window), (0, (0, 5)))
        self.assertEqual(cut.tokens_seen + cut.tokens_dropped, 2000)
        self.assertGreater(cut.tokens_dropped, 1000)

    def test_no_warning_where_nothing_is_lost(self):
        windows = winnow.CrossEncoder(RERANKER, length_policy="windows")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.model.predict(self.pairs)
            best = windows.predict([(QUERY, LONG + DOCUMENTS[3])])
        self.assertGreater(best[0], self.model.score_pairs([(QUERY, LONG)])[0].logit)

    def test_too_long_is_an_error_where_asked(self):
        strict = winnow.CrossEncoder(RERANKER, length_policy="error")
        self.same(strict.predict(self.pairs), logits(RERANKER, self.pairs))
        with self.assertRaises(winnow.TooLongError) as caught:
            strict.predict([(QUERY, LONG)])
        self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual(caught.exception.status, "too long")

    def test_precisions(self):
        auto = winnow.CrossEncoder(RERANKER, precision="auto")
        self.assertIn(auto.info["precision"], ("f32", "bf16"))
        self.same(auto.predict(self.pairs), logits(RERANKER, self.pairs, "--precision", "auto"))
        with self.assertRaisesRegex(ValueError, "precision is 'fp8'; it may be f32, bf16, int8, auto"):
            winnow.CrossEncoder(RERANKER, precision="fp8")

    def test_what_is_not_text_is_refused_by_place(self):
        with self.assertRaisesRegex(TypeError, r"documents\[1\] is no str: 3"):
            self.model.predict([("a", "b"), ("a", 3)])
        with self.assertRaises(UnicodeEncodeError):
            self.model.predict([("a", "\ud800")])
        with self.assertRaises(ValueError):
            self.model.predict([("a", "b", "c")])

    def test_unknown_options_are_refused(self):
        for options in ({"device": "cuda"}, {"num_labels": 3}, {"length_policy": "ignore"}, {"max_length": 100000}):
            with self.assertRaises(ValueError, msg=str(options)):
                winnow.CrossEncoder(RERANKER, **options)
        with self.assertRaisesRegex(winnow.Error, "bi-encoder"):
            winnow.CrossEncoder(EMBEDDER)


@unittest.skipIf(WHY, WHY)
class SentenceTransformer(Python):
    texts = ["a first text", "Second text, with punctuation!", "", "third\0 part"]

    @classmethod
    def setUpClass(cls):
        cls.model = winnow.SentenceTransformer(EMBEDDER)

    def test_encode_gives_the_commands_bits(self):
        got = self.model.encode(self.texts)
        self.assertEqual((got.dtype, got.shape), (np.float32, (4, self.model.get_sentence_embedding_dimension())))
        self.same(got, vectors(self.texts))
        self.same(self.model.encode(self.texts[1]), got[1])
        self.same(self.model.encode(sentences=self.texts, batch_size=1), got)
        self.assertEqual(self.model.encode([]).shape, (0, got.shape[1]))
        self.same(self.model.encode(self.texts * 700), np.tile(got, (700, 1)))

    def test_prompts_are_the_models_or_given(self):
        plain = self.model.encode("search: x")
        self.same(self.model.encode("x", prompt="search: "), plain)
        own = winnow.SentenceTransformer(EMBEDDER, prompts={"s": "search: "}, default_prompt_name="s")
        self.same(own.encode("x"), plain)
        self.same(own.encode("x", prompt_name="document"), self.model.encode("x", prompt=own.prompts["document"]))
        self.same(self.model.encode_query(self.texts), vectors(self.texts, "--role", "query"))
        self.same(self.model.encode_document(self.texts), vectors(self.texts, "--role", "document"))
        for make in (lambda: self.model.encode("x", prompt_name="none such"),
                     lambda: winnow.SentenceTransformer(EMBEDDER, default_prompt_name="none such")):
            with self.assertRaisesRegex(ValueError, "has no prompt named 'none such'"):
                make()

    def test_dimensions_and_norms(self):
        full = self.model.encode(self.texts)
        self.same(self.model.encode(self.texts, truncate_dim=8), full[:, :8])
        unit = self.model.encode(self.texts, truncate_dim=8, normalize_embeddings=True)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
        small = winnow.SentenceTransformer(EMBEDDER, truncate_dim=4)
        self.assertEqual(small.encode("x").shape, (4,))
        self.assertEqual(small.get_embedding_dimension(), 4)

    def test_quantized_embeddings(self):
        full = self.model.encode([f"text {i}" for i in range(200)])
        bits = self.model.encode([f"text {i}" for i in range(200)], precision="ubinary")
        self.same(np.unpackbits(bits, axis=1)[:, :full.shape[1]], full > 0)
        signed = self.model.encode([f"text {i}" for i in range(200)], precision="binary")
        self.same(signed.astype(int) + 128, bits)
        levels = self.model.encode([f"text {i}" for i in range(200)], precision="uint8").astype(np.float32)
        low, high = full.min(axis=0), full.max(axis=0)
        self.assertLessEqual(np.abs(levels * (high - low) / 255 + low - full).max(), ((high - low) / 255).max() * 1.01)
        self.assertEqual(self.model.encode([f"text {i}" for i in range(200)], precision="int8").dtype, np.int8)
        with self.assertWarnsRegex(UserWarning, "ranges of int8"):
            self.model.encode(self.texts, precision="int8")
        with self.assertRaises(ValueError):
            self.model.encode(self.texts, precision="int4")

    def test_similarities(self):
        a, b = self.model.encode(self.texts[:2]), self.model.encode(self.texts[1:])
        cosine = self.model.similarity(a, b)
        self.assertEqual(cosine.shape, (2, 3))
        self.assertAlmostEqual(float(cosine[1, 0]), 1, places=5)
        for name, plain in (("dot", lambda x, y: float(x @ y)), ("euclidean", lambda x, y: -math.dist(x, y)),
                            ("manhattan", lambda x, y: -float(np.abs(x - y).sum()))):
            got = winnow.SentenceTransformer(EMBEDDER, similarity_fn_name=name).similarity(a, b)
            np.testing.assert_allclose(got, [[plain(x, y) for y in b] for x in a], atol=1e-5)

    def test_cut_texts_are_told(self):
        with self.assertWarnsRegex(winnow.TruncationWarning, "1 of 2 texts"):
            self.model.encode(["short", LONG])
        with self.assertRaises(winnow.TooLongError):
            winnow.SentenceTransformer(EMBEDDER, length_policy="error").encode(["short", LONG])


@unittest.skipIf(WHY, WHY)
class Searching(Python):
    @classmethod
    def setUpClass(cls):
        cls.path = os.path.join(scratch_folder(), "docs.wnindex")
        cls.embedder = winnow.SentenceTransformer(EMBEDDER)
        cls.reranker = winnow.CrossEncoder(RERANKER)
        cls.stats = winnow.build_index(cls.path, FOLDER, cls.embedder)
        cls.searcher = winnow.Searcher(cls.path, embedder=cls.embedder, reranker=cls.reranker)

    def answers(self, searcher, args, **options):
        """The same answer from the command, times aside."""
        got = searcher.search(QUERY, 7, 20, **options)
        told = json.loads(command("search", self.path, QUERY, "--embedder", EMBEDDER, "-k", "7", "--first-stage-k", "20", "--format",
                                  "json", *args))
        for answer in (got, told):
            del answer["stage1_time_ms"], answer["stage2_time_ms"]
        self.assertEqual(got, told)
        return got

    def test_answers_are_the_commands(self):
        reranker = ("--reranker", RERANKER)
        for stage in ("dense", "bm25", "hybrid"):
            self.answers(self.searcher, (*reranker, "--first-stage", stage), first_stage=stage)
        self.answers(self.searcher, (*reranker, "--where", "title=Retrieval*"), where={"title": "Retrieval*"})
        self.answers(self.searcher, (*reranker, "--max-length-policy", "windows"), length_policy="windows")
        self.answers(self.searcher, (*reranker, "--min-score", "-5"), min_score=-5)
        self.answers(self.searcher, (*reranker, "--blend", "3"), blend=3)
        plain = self.answers(self.searcher, ("--no-rerank",), rerank=False)
        self.assertIsNone(plain["results"][0]["rerank_score"])

    def test_index_names_its_embedder(self):
        own = winnow.Searcher(self.path)
        self.assertEqual(own.embedder.info["path"], os.path.abspath(EMBEDDER))
        self.assertEqual(own.search(QUERY)["results"][0]["content"],
                         self.searcher.search(QUERY, rerank=False)["results"][0]["content"])
        self.assertEqual(own.info["documents"], len(os.listdir(FOLDER)))

    def test_deadline_and_skipping(self):
        late = self.searcher.search(QUERY, 5, 300, deadline_ms=0.001)
        self.assertTrue(late["out_of_time"])
        self.assertLess(late["reranked"], late["candidates"])
        sure = self.searcher.search(QUERY, skip_threshold=0)
        self.assertTrue(sure["skipped"])
        self.assertIsNotNone(sure["confidence"])

    def test_mistakes_are_told(self):
        for ask, said in ((lambda: self.searcher.search(""), "query is empty"), (lambda: self.searcher.search("x", k=0), "k must be"),
                          (lambda: self.searcher.search("x", k=-1), "negative"),
                          (lambda: self.searcher.search("x", first_stage="sparse"), "dense, bm25, hybrid"),
                          (lambda: self.searcher.search("x", where={"a\0b": "c"}), "NUL")):
            with self.assertRaisesRegex(ValueError, said):
                ask()
        with self.assertRaises(TypeError):
            self.searcher.search("x", where={"a": 1})
        with self.assertRaises(TypeError):
            self.searcher.search(3)
        with self.assertRaises(winnow.Error) as caught:
            winnow.Searcher(os.path.join(FOLDER, "rag.md"))
        self.assertEqual(caught.exception.status, "format")
        with self.assertRaises(winnow.Error) as caught:
            winnow.Searcher(self.path + ".none")
        self.assertEqual(caught.exception.status, "not found")

    def test_another_model_is_refused(self):
        other = os.path.join(scratch_folder(), "other")
        shutil.copytree(EMBEDDER, other)
        part = os.path.join(other, "model-00002-of-00002.safetensors")
        with open(part, "rb") as file:
            weights = file.read()
        os.unlink(part)  # it may be a link
        with open(part, "wb") as file:
            file.write(weights[:-2] + bytes([weights[-2] ^ 1, weights[-1]]))
        for made in (lambda: winnow.Searcher(self.path, embedder=other), lambda: winnow.build_index(self.path, FOLDER, other)):
            with self.assertRaises(winnow.Error) as caught:
                made()
            self.assertEqual(caught.exception.status, "mismatch")
        with self.assertRaisesRegex(winnow.Error, "cross-encoder"):
            winnow.Searcher(self.path, embedder=RERANKER)

    def test_building_is_incremental(self):
        self.assertEqual(self.stats["documents_added"], len(os.listdir(FOLDER)))
        stages = []
        again = winnow.build_index(self.path, [FOLDER], self.embedder, progress=lambda *report: stages.append(report))
        self.assertEqual((again["documents_added"], again["documents_unchanged"], again["passages_embedded"]),
                         (0, self.stats["documents_added"], 0))
        self.assertTrue(stages and all(stage in ("scan", "embed") and done <= total for stage, done, total in stages if total))

    def test_building_can_be_stopped_and_goes_on(self):
        path = os.path.join(scratch_folder(), "stopped.wnindex")

        def stop(stage, done, total):
            if stage == "embed":
                raise LookupError("enough")
        with self.assertRaisesRegex(LookupError, "enough"):
            winnow.build_index(path, FOLDER, self.embedder, progress=stop)
        with self.assertRaises(KeyboardInterrupt):
            winnow.build_index(path, FOLDER, self.embedder, progress=lambda *report: signal.raise_signal(signal.SIGINT))
        winnow.build_index(path, FOLDER, self.embedder)
        whole = winnow.Searcher(path, embedder=self.embedder)
        self.assertEqual(whole.info["embedded"], self.searcher.info["embedded"])

    def test_callbacks_cannot_use_what_calls_them(self):
        path = os.path.join(scratch_folder(), "callback.wnindex")
        with self.assertRaisesRegex(RuntimeError, "a callback can't use it"):
            winnow.build_index(path, FOLDER, self.embedder, progress=lambda *report: self.embedder.encode("x"))
        self.assertEqual(self.embedder.encode("x").ndim, 1)

    def test_skipped_files_are_warned_of(self):
        folder = scratch_folder()
        with open(os.path.join(folder, "bad.md"), "wb") as file:
            file.write(b"\xff\xfe\x00text" * 40)
        with open(os.path.join(folder, "good.md"), "w", encoding="utf-8") as file:
            file.write("# Good\n\nA text.\n")
        with self.assertWarnsRegex(UserWarning, "bad.md"):
            stats = winnow.build_index(os.path.join(folder, "i.wnindex"), folder)
        self.assertEqual((stats["documents_added"], stats["documents_skipped"]), (1, 1))

    def test_bm25_alone_needs_no_model(self):
        path = os.path.join(scratch_folder(), "bm25.wnindex")
        winnow.build_index(path, FOLDER)
        plain = winnow.Searcher(path)
        self.assertIsNone(plain.embedder)
        answer = plain.search("negations and article numbers")
        self.assertEqual(answer["first_stage"], "bm25")
        self.assertEqual(answer["results"][0]["document"].split("/")[-1], "embeddings.md")

    def test_documents_come_and_go(self):
        path = os.path.join(scratch_folder(), "put.wnindex")
        winnow.build_index(path, FOLDER, self.embedder)
        searcher = winnow.Searcher(path, embedder=self.embedder)
        stats = winnow.put_documents(path, [{"source": "a/1", "text": "Zebras graze at noon.", "title": "Zebras", "metadata": {"kind": "own"}},
                                            {"source": "a/2", "text": "# Head\n\nOther zebras sleep.", "markdown": True}], self.embedder)
        self.assertEqual(stats["documents_added"], 2)
        found = searcher.search("zebras", first_stage="bm25", where={"kind": "own"})["results"]
        self.assertEqual([(r["document"], r["metadata"]["kind"]) for r in found], [("a/1", "own")])
        self.assertEqual(winnow.remove_documents(path, ["a/1", "a/none"]), [True, False])
        self.assertEqual([r["document"] for r in searcher.search("zebras", first_stage="bm25")["results"]], ["a/2"])
        with self.assertRaisesRegex(ValueError, "a document has name"):
            winnow.put_documents(path, [{"name": "x", "source": "a", "text": "b"}], self.embedder)
        with self.assertRaises(winnow.Error):
            winnow.put_documents(path, [{"source": "a/3", "text": "no embedder"}])
        with self.assertRaisesRegex(ValueError, "JSON|object"):
            winnow.put_documents(path, [{"source": "a/3", "text": "x", "metadata": [1]}], self.embedder)

    def told(self, *args):
        """A report of the command, without what time and place differ in."""
        return self.timeless(json.loads(command(*args, "--embedder", EMBEDDER, "--format", "json")))

    def timeless(self, report):
        for key in ("seconds", "queries_file"):
            report["settings"].pop(key, None)
        for row in [report.get("total", {}), *report.get("queries", [])]:
            for key in [key for key in row if key.endswith("_ms")]:
                del row[key]
        return report

    def test_impact_is_the_commands(self):
        queries = os.path.join(ROOT, "examples", "queries.jsonl")
        with open(queries, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][:12]
        few = os.path.join(scratch_folder(), "few.jsonl")
        with open(few, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        stages = []
        got = self.searcher.impact(rows, 3, 20, progress=lambda *report: stages.append(report))
        self.assertEqual(self.timeless(got), self.told("impact", self.path, "--queries", few, "-k", "3", "--first-stage-k", "20",
                                                       "--reranker", RERANKER, "--quiet"))
        self.assertEqual((stages[-1][0], len(got["queries"])), ("queries", 12))
        alone = self.searcher.impact([row.get("text") or row["query"] for row in rows], 3, 20, by_query=False)
        self.assertEqual(alone["total"]["mean_rank_change"], got["total"]["mean_rank_change"])
        self.assertNotIn("queries", alone)
        quality = self.searcher.evaluate(rows, first_stage_k=20, first_stage="hybrid")
        self.assertEqual(self.timeless(quality), self.told("eval", self.path, "--queries", few, "--first-stage-k", "20", "--first-stage",
                                                           "hybrid", "--reranker", RERANKER, "--quiet"))
        self.assertEqual({"settings", "measures", "queries"}, set(quality))

    def test_evaluation_by_qrels(self):
        queries = [{"id": "1", "text": "low-rank adaptation of weights"}, {"id": "2", "text": "approximate nearest neighbours"},
                   {"id": "3", "text": "left out: nobody judged it"}]
        qrels = {"1": {"lora.md": 2, "rag.md": 0}, "2": {"vector_database.md": 1}}
        got = self.searcher.evaluate(queries, qrels, 30, measure="recip_rank", cutoffs=[5])
        self.assertEqual((got["settings"]["queries"], len(got["queries"])), (2, 2))
        self.assertIn("ndcg_cut_5", {row["measure"] for row in got["measures"]})
        first = winnow.Searcher(self.path, embedder=self.embedder).evaluate(queries, qrels, 30, cutoffs=[5])
        for row in first["measures"]:
            self.assertEqual(row["first_stage"], {r["measure"]: r["first_stage"] for r in got["measures"]}[row["measure"]])

    def test_mistakes_of_studies_are_told(self):
        labelled = [{"text": "low rank", "expected_source": "lora.md"}]
        for ask, said in ((lambda: self.searcher.evaluate(["x"]), "use impact"), (lambda: self.searcher.evaluate(labelled, measure="best"), "best"),
                          (lambda: self.searcher.evaluate(labelled, {"1": {"a\tb": 1}}), "qrels"),
                          (lambda: self.searcher.impact(["x"], k=0), "at least 1"),
                          (lambda: winnow.Searcher(self.path, embedder=self.embedder).impact(["x"]), "no reranker")):
            with self.assertRaisesRegex(ValueError, said):
                ask()
        for queries in ([], [""], [{"id": "1", "text": "a"}, {"id": "1", "text": "b"}]):
            with self.assertRaises(winnow.Error, msg=str(queries)):
                self.searcher.impact(queries)
        with self.assertRaises(winnow.Error) as caught:
            self.searcher.evaluate([{"id": "9", "text": "a"}], {"1": {"lora.md": 1}})
        self.assertEqual(caught.exception.status, "mismatch")
        with self.assertWarnsRegex(UserWarning, "1 expected sources are no document of the index .'nowhere.md'"):
            self.searcher.evaluate([{"text": "low rank", "expected_source": ["lora.md", "nowhere.md"]}], first_stage_k=10)
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            self.searcher.impact(["a", "b"], first_stage_k=5, progress=lambda *report: 1 / 0)

    def test_compare_is_the_commands(self):
        got = winnow.compare(QUERY, DOCUMENTS[:4], embedder=self.embedder, reranker=self.reranker)
        args = [arg for d in DOCUMENTS[:4] for arg in ("--doc", d)]
        self.assertEqual(got, json.loads(command("compare", QUERY, *args, "--embedder", EMBEDDER, "--reranker", RERANKER,
                                                 "--format", "json")))
        alone = winnow.compare(QUERY, DOCUMENTS[:4], reranker=RERANKER)
        self.assertIsNone(alone["results"][0]["bi_encoder_score"])
        with self.assertRaises(ValueError):
            winnow.compare(QUERY, DOCUMENTS)


@unittest.skipIf(WHY, WHY)
class Processes(Python):
    @classmethod
    def setUpClass(cls):
        cls.model = winnow.CrossEncoder(RERANKER, threads=2)
        cls.pairs = [(QUERY, d) for d in DOCUMENTS]

    def test_threads_take_turns_and_get_the_same_bits(self):
        expected, wrong = self.model.predict(self.pairs), []

        def work():
            for _ in range(5):
                if not np.array_equal(self.model.predict(self.pairs), expected):
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertFalse(wrong or any(thread.is_alive() for thread in threads))

    def test_others_run_while_it_computes(self):
        count, stop = [0], threading.Event()

        def work():
            while not stop.is_set():
                count[0] += 1
        thread = threading.Thread(target=work)
        thread.start()
        before = count[0]
        self.model.score_pairs([(QUERY, "word " * 200)] * 200)  # one call into the library
        after = count[0]
        stop.set()
        thread.join()
        self.assertGreater(after - before, 1000)

    def test_fork_is_told_and_ends(self):
        script = f"""
import os, sys
sys.path.insert(0, {PACKAGE!r})
import winnow
model = winnow.CrossEncoder({RERANKER!r}, threads=2)
model.predict([("a", "b")])
child = os.fork()
if child == 0:
    try:
        model.predict([("a", "b")])
    except RuntimeError as error:
        print("told:", "fork" in str(error), flush=True)
    fresh = winnow.CrossEncoder({RERANKER!r}, threads=2)
    print("fresh:", fresh.predict([("a", "b")]).shape, flush=True)
    del model, fresh
    sys.exit(7)
print("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), model.predict([("a", "b")]).shape)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False, text=True)
        self.assertEqual(done.stdout, "told: True\nfresh: (1,)\nchild: 7 (1,)\n", done.stderr)

    def test_memory_does_not_grow(self):
        embedder = winnow.SentenceTransformer(EMBEDDER, threads=1)

        def work(n):
            for _ in range(n):
                self.model.predict(self.pairs[:2])
                embedder.encode(["a", "b"])
                try:
                    self.model.predict([("a", 1)])
                except TypeError:
                    pass
        work(300)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work(1500)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 4096)  # KiB

    def test_objects_that_are_made_again_and_again_go(self):
        for _ in range(20):
            winnow.CrossEncoder(RERANKER, threads=2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(40):
            winnow.CrossEncoder(RERANKER, threads=2)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 65536)  # a model's weights: 87 MB
        self.assertLess(len(os.listdir("/proc/self/task")), 60)

    def test_errors_pass_between_processes(self):
        with self.assertRaises(winnow.Error) as caught:
            winnow.CrossEncoder("none-such")
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((type(again), str(again), again.status), (winnow.Error, str(caught.exception), "not found"))
        self.assertIn("winnow model pull", str(again))
        folder = scratch_folder()
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            file.write('{"model_type":\n  bert}')
        with self.assertRaises(winnow.Error) as caught:
            winnow.CrossEncoder(folder)
        self.assertEqual((caught.exception.status, caught.exception.line), ("format", 2))

    def test_version_is_the_librarys(self):
        self.assertEqual(command("--version").decode().split()[-1], winnow.__version__)


@unittest.skipIf(WHY, WHY)
class Installing(Python):
    def test_wheel_holds_all_it_needs(self):
        # `pip install .`, offline: the package alone, without anything of the build directory or of /usr/local
        wheels, target = scratch_folder(), scratch_folder()
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
        for what in (("wheel", ROOT, "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels),
                     ("install", "--no-deps", "--no-index", "--find-links", wheels, "--target", target, "winnow")):
            done = subprocess.run([*pip, *what], capture_output=True, timeout=900, check=False, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertTrue(all(entry in ("winnow", f"winnow-{winnow.__version__}.dist-info") for entry in os.listdir(target)), os.listdir(target))
        script = f"import winnow; print(winnow.__file__, winnow.CrossEncoder({RERANKER!r}).predict(('a', 'b')).tobytes().hex())"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False, text=True, cwd=wheels,
                              env={**os.environ, "PYTHONPATH": target})
        score = winnow.CrossEncoder(RERANKER).predict(("a", "b")).tobytes().hex()
        self.assertEqual(done.stdout.split(), [os.path.join(target, "winnow", "__init__.py"), score], done.stderr)


@unittest.skipIf(WHY, WHY)
class LangChain(Python):
    def test_embeddings(self):
        from winnow.langchain import WinnowEmbeddings
        embeddings = WinnowEmbeddings(EMBEDDER)
        self.same(np.float32(embeddings.embed_documents(["a", "b"])), vectors(["a", "b"], "--role", "document"))
        self.same(np.float32(embeddings.embed_query("a")), vectors(["a"], "--role", "query")[0])
        self.same(np.float32(asyncio.run(embeddings.aembed_query("a"))), vectors(["a"], "--role", "query")[0])

    def test_compressor_keeps_metadata(self):
        from langchain_core.documents import Document
        from winnow.langchain import WinnowCrossEncoder, WinnowReranker
        documents = [Document(page_content=d, metadata={"n": i}) for i, d in enumerate(DOCUMENTS)]
        expected = logits(RERANKER, [(QUERY, d) for d in DOCUMENTS])
        order = sorted(range(len(DOCUMENTS)), key=lambda i: -expected[i])
        for found in (WinnowReranker(RERANKER, top_n=4).compress_documents(documents, QUERY),
                      asyncio.run(WinnowReranker(winnow.CrossEncoder(RERANKER), top_n=4).acompress_documents(documents, QUERY))):
            self.assertEqual([d.metadata["n"] for d in found], order[:4])
            self.same(np.float32([d.metadata["relevance_score"] for d in found]), expected[order[:4]])
            self.assertEqual([d.metadata["rank_change"] for d in found], [n - place for place, n in enumerate(order[:4])])
        self.assertEqual(documents[0].metadata, {"n": 0})
        self.assertEqual(len(WinnowReranker(RERANKER, top_n=None).compress_documents(documents, QUERY)), len(DOCUMENTS))
        self.same(np.float32(WinnowCrossEncoder(RERANKER).score([(QUERY, d) for d in DOCUMENTS])), expected)

    def test_retriever_tells_ranks(self):
        from winnow.langchain import WinnowRetriever
        path = os.path.join(scratch_folder(), "lc.wnindex")
        winnow.build_index(path, FOLDER, EMBEDDER)
        searcher = winnow.Searcher(path, embedder=EMBEDDER, reranker=RERANKER)
        found = WinnowRetriever(searcher, search={"k": 3}).invoke(QUERY)
        expected = searcher.search(QUERY, k=3)["results"]
        self.assertEqual([d.page_content for d in found], [r["content"] for r in expected])
        self.assertEqual(found[0].metadata["rank_change"], expected[0]["rank_change"])
        self.assertEqual(found[0].metadata["source"], expected[0]["document"])


@unittest.skipIf(WHY, WHY)
class LlamaIndex(Python):
    def test_embedding(self):
        from winnow.llama_index import WinnowEmbedding
        embedding = WinnowEmbedding(EMBEDDER)
        self.same(np.float32(embedding.get_text_embedding_batch(["a", "b"])), vectors(["a", "b"], "--role", "document"))
        self.same(np.float32(embedding.get_query_embedding("a")), vectors(["a"], "--role", "query")[0])
        self.same(np.float32(asyncio.run(embedding.aget_text_embedding("a"))), vectors(["a"], "--role", "document")[0])

    def test_postprocessor(self):
        from llama_index.core.schema import NodeWithScore, TextNode
        from winnow.llama_index import WinnowRerank
        texts = [d for d in DOCUMENTS if d and "\0" not in d]
        expected = logits(RERANKER, [(QUERY, d) for d in texts])
        order = sorted(range(len(texts)), key=lambda i: -expected[i])
        nodes = [NodeWithScore(node=TextNode(text=d), score=0.5 - i / 10) for i, d in enumerate(texts)]
        found = WinnowRerank(RERANKER, top_n=2).postprocess_nodes(nodes, query_str=QUERY)
        self.assertEqual([n.node.text for n in found], [texts[i] for i in order[:2]])
        self.same(np.float32([n.score for n in found]), expected[order[:2]])
        self.assertEqual([n.node.metadata["retrieval_score"] for n in found], [0.5 - i / 10 for i in order[:2]])
        with self.assertRaises(ValueError):
            WinnowRerank(RERANKER).postprocess_nodes(nodes)


if __name__ == "__main__":
    unittest.main()
