#!/usr/bin/env python3
"""The commands as a user calls them: results, exit codes, messages. Python's standard library only.

    WINNOW=build/winnow python3 tests/cli/test_cli.py

Needs the demo's models in the cache (tools/get_models.sh); without them the tests that do are skipped.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
DOCS = os.path.join(ROOT, "examples", "docs")
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")


def run(*args, stdin=None, env=None, **kw):
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run([WINNOW, *args], input=data if data is not None else b"",
                          capture_output=True, env={**os.environ, **(env or {})}, timeout=300, **kw)


def model(name):
    return run("model", "path", name).returncode == 0


EMBEDDER = next((m for m in ("bge-small-en-v1.5", "all-MiniLM-L6-v2") if model(m)), None)


class Cli(unittest.TestCase):
    def fails(self, result, code, *words):
        """One line on standard error that has the words; no crash; nothing on standard output."""
        err = result.stderr.decode()
        self.assertEqual(result.returncode, code, err)
        self.assertEqual(result.stdout, b"")
        self.assertEqual(len(err.strip().splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)

    def json(self, result):
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return [json.loads(line) for line in result.stdout.splitlines()]


class Usage(Cli):
    def test_unknown_command_lists_commands(self):
        r = run("serch")
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"there is no command", r.stderr)

    def test_help_of_every_command_is_success(self):
        for command in ("index", "search", "compare", "score", "embed", "tokenize", "model"):
            r = run(command, "--help")
            self.assertEqual(r.returncode, 0)
            self.assertIn(b"usage: winnow " + command.encode(), r.stdout)

    def test_k_of_zero_or_negative_or_text_is_refused(self):
        for value in ("0", "-3", "five", "", "99999999999999999999"):
            self.fails(run("search", "x.wnindex", "q", "-k", value), 2, "--k")

    def test_unknown_option_names_it(self):
        self.fails(run("search", "x.wnindex", "q", "--kk", "3"), 2, "--kk")

    def test_option_without_value_is_refused(self):
        self.fails(run("search", "x.wnindex", "q", "-k"), 2, "needs a value")

    def test_wrong_choice_lists_choices(self):
        self.fails(run("search", "x", "q", "--first-stage", "magic"), 2, "dense", "bm25", "hybrid")


class Tokenize(Cli):
    def test_pair_has_type_ids(self):
        out = self.json(run("tokenize", "--model", RERANKER, stdin='{"text":"hello world","pair":"Hi."}\n'))
        self.assertEqual(out, [{"ids": [101, 7592, 2088, 102, 7632, 1012, 102], "type_ids": [0, 0, 0, 0, 1, 1, 1]}])

    def test_max_length_cuts_and_says_so(self):
        out = self.json(run("tokenize", "--model", RERANKER, "--max-length", "4", stdin='{"text":"a b c d e"}\n'))
        self.assertEqual(len(out[0]["ids"]), 4)
        self.assertEqual(out[0]["tokens_dropped"], 3)

    def test_bad_line_names_file_and_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            f.write('{"text":"a"}\n{"text":}\n')
            f.flush()
            r = run("tokenize", "--model", RERANKER, f.name)
            self.assertEqual(r.returncode, 1)
            self.assertIn(f.name + ": line 2", r.stderr.decode())


class Score(Cli):
    def test_cross_encoder_scores_relevant_above_irrelevant(self):
        pairs = [("what is lora", "LoRA adds trainable low-rank matrices beside frozen weights."),
                 ("what is lora", "The cake is baked for forty minutes.")]
        lines = "".join(json.dumps({"query": q, "document": d}) + "\n" for q, d in pairs)
        out = self.json(run("score", "--model", RERANKER, stdin=lines))
        self.assertGreater(out[0]["score"], out[1]["score"])
        self.assertEqual(out[0]["score"], out[0]["logit"])  # this model's activation is the identity

    def test_scores_do_not_depend_on_neighbours_or_threads(self):
        docs = ["word " * n for n in (1, 7, 30, 200, 3)]
        lines = [json.dumps({"query": "a word", "document": d}) + "\n" for d in docs]
        together = self.json(run("score", "--model", RERANKER, stdin="".join(lines)))
        for threads in ("1", "2", "3"):
            alone = [self.json(run("score", "--model", RERANKER, "-t", threads, stdin=x))[0] for x in lines]
            for a, b in zip(together, alone):
                self.assertAlmostEqual(a["logit"], b["logit"], delta=1e-6 * max(1, abs(a["logit"])))

    def test_precision_changes_scores_little_or_is_refused(self):
        line = json.dumps({"query": "what is lora", "document": "LoRA adds low-rank matrices."}) + "\n"
        exact = self.json(run("score", "--model", RERANKER, stdin=line))[0]["logit"]
        for precision in ("bf16", "int8"):
            r = run("score", "--model", RERANKER, "--precision", precision, stdin=line)
            if r.returncode == 0:
                self.assertAlmostEqual(self.json(r)[0]["logit"], exact, delta=0.5)
            else:
                self.assertIn(b"this processor has no " + precision.encode(), r.stderr)
            old = {"WN_CPU_MASK": "0"}
            self.fails(run("score", "--model", RERANKER, "--precision", precision, stdin=line, env=old), 1,
                       "this processor has no " + precision)
        if "avx2" in pathlib.Path("/proc/cpuinfo").read_text():
            r = run("score", "--model", RERANKER, "--precision", "int8", stdin=line, env={"WN_CPU_MASK": "1"})
            self.assertAlmostEqual(self.json(r)[0]["logit"], exact, delta=0.5)
        r = run("score", "--model", RERANKER, "--precision", "auto", stdin=line, env={"WN_CPU_MASK": "1"})
        self.assertAlmostEqual(self.json(r)[0]["logit"], exact, delta=1e-3)
        self.assertIn(b"computes in f32", r.stderr)

    def test_policies_for_a_long_passage(self):
        filler = "The weather was fine and the harbour was quiet. " * 120
        doc = filler + "The DGX Spark has 128 GB of unified memory."
        line = json.dumps({"query": "how much memory does the DGX Spark have?", "document": doc}) + "\n"
        cut = self.json(run("score", "--model", RERANKER, stdin=line))[0]
        self.assertGreater(cut["tokens_dropped"], 0)
        windows = self.json(run("score", "--model", RERANKER, "--max-length-policy", "windows", stdin=line))[0]
        self.assertGreater(windows["score"], cut["score"])
        self.fails(run("score", "--model", RERANKER, "--max-length-policy", "error", stdin=line), 1, "tokens")

    def test_missing_member_names_line(self):
        self.fails(run("score", "--model", RERANKER, stdin='{"query":"a"}\n'), 1, "line 1", "document")

    @unittest.skipUnless(EMBEDDER, "no bi-encoder in the cache")
    def test_bi_encoder_scores_cosine(self):
        out = self.json(run("score", "--model", EMBEDDER, stdin='{"query":"a cat","document":"a cat"}\n'
                                                                '{"query":"a cat","document":"tax law"}\n'))
        self.assertGreater(out[0]["score"], out[1]["score"])
        self.assertLessEqual(out[0]["score"], 1.0001)
        self.assertNotIn("logit", out[0])


@unittest.skipUnless(EMBEDDER, "no bi-encoder in the cache")
class Embed(Cli):
    def test_npy_holds_the_same_numbers_as_json_lines(self):
        lines = '{"text":"one"}\n{"text":"two words"}\n{"text":""}\n'
        rows = [r["embedding"] for r in self.json(run("embed", "--model", EMBEDDER, stdin=lines))]
        raw = run("embed", "--model", EMBEDDER, "--format", "npy", stdin=lines).stdout
        self.assertEqual(raw[:6], b"\x93NUMPY")
        header = eval(raw[10:128].decode())  # our own bytes, a dict literal
        self.assertEqual(header["shape"], (3, len(rows[0])))
        values = struct.unpack(f"<{3 * len(rows[0])}f", raw[128:])
        for a, b in zip(values, (x for row in rows for x in row)):
            self.assertAlmostEqual(a, b, delta=1e-7)

    def test_unknown_prompt_lists_known(self):
        self.fails(run("embed", "--model", EMBEDDER, "--prompt-name", "nope", stdin='{"text":"x"}\n'), 2, "prompt")

    def test_reranker_is_refused_as_embedder(self):
        self.fails(run("embed", "--model", RERANKER, stdin='{"text":"x"}\n'), 1, "cross-encoder")


@unittest.skipUnless(EMBEDDER, "no bi-encoder in the cache")
class IndexAndSearch(Cli):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="winnow-cli-")
        cls.docs = os.path.join(cls.dir, "docs")
        os.mkdir(cls.docs)
        for name in ("dgx_spark.md", "lora.md", "transformer.md"):
            shutil.copy(os.path.join(DOCS, name), cls.docs)
        cls.index = os.path.join(cls.dir, "docs.wnindex")
        r = run("index", cls.docs, "-o", cls.index)
        assert r.returncode == 0, r.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def search(self, *args, **kw):
        return run("search", self.index, *args, "--reranker", RERANKER, "--format", "json", **kw)

    def test_records_are_complete_and_consistent(self):
        answer = self.json(self.search("How much memory does the DGX Spark have?"))[0]
        self.assertEqual(len(answer["results"]), 5)
        self.assertGreater(answer["stage1_time_ms"], 0)
        self.assertGreater(answer["stage2_time_ms"], 0)
        scores = []
        for i, r in enumerate(answer["results"]):
            self.assertEqual(r["final_rank"], i + 1)
            self.assertEqual(r["rank_change"], r["bi_encoder_rank"] - r["final_rank"])
            for key in ("document", "content", "metadata", "rerank_score", "bi_encoder_score"):
                self.assertIsNotNone(r[key])
            self.assertEqual(r["metadata"]["source"], r["document"])
            with open(r["document"], "rb") as f:
                span = f.read()[r["metadata"]["begin"]:r["metadata"]["end"]]
            self.assertEqual(span.decode(), r["content"])
            scores.append(r["rerank_score"])
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertTrue(answer["results"][0]["document"].endswith("dgx_spark.md"))

    def test_same_answer_every_time(self):
        def strip(a):
            return {k: v for k, v in a.items() if not k.endswith("_ms")}
        first = strip(self.json(self.search("attention heads"))[0])
        for threads in ("1", "2", "5"):
            self.assertEqual(strip(self.json(self.search("attention heads", "-t", threads))[0]), first)

    def test_no_rerank_is_bi_encoder_order(self):
        answer = self.json(self.search("low-rank matrices", "--no-rerank"))[0]
        self.assertEqual([r["bi_encoder_rank"] for r in answer["results"]], [1, 2, 3, 4, 5])
        self.assertTrue(all(r["rerank_score"] is None and r["rank_change"] == 0 for r in answer["results"]))

    def test_timings_are_told_and_change_nothing(self):
        plain, told = (self.json(self.search("low-rank matrices", *more))[0] for more in ((), ("--timings",)))
        timings = told.pop("timings")
        for key in ("index_open_ms", "sessions_ms", "embed_ms", "dense_ms", "passages_ms", "rerank_ms"):
            self.assertGreater(timings[key], 0)
        self.assertLess(timings["bm25_ms"], timings["embed_ms"])  # it was not asked
        for model in ("embedder", "reranker"):
            parts = timings[model]
            self.assertTrue(0 < parts["tokenizer_ms"] < parts["open_ms"] and 0 < parts["pack_ms"] < parts["open_ms"])
            self.assertGreater(parts["hash_ms"], 0)
        self.assertLessEqual(timings["embed_ms"] + timings["dense_ms"] + timings["passages_ms"], told["stage1_time_ms"] + 0.1)
        self.assertEqual(plain["results"], told["results"])
        r = run("search", self.index, "low-rank matrices", "--no-rerank", "--timings")
        self.assertIn(b"search in ms: embedding", r.stderr)
        self.assertNotIn(b"search in ms", r.stdout)

    def test_score_cache_gives_the_same_answer(self):
        cache = os.path.join(self.dir, "scores")
        plain = self.json(self.search("low-rank matrices"))[0]
        for hits, misses in ((0, 50), (50, 0)):
            answer = self.json(self.search("low-rank matrices", "--score-cache", cache))[0]
            self.assertEqual(answer["score_cache"], {"hits": hits, "misses": misses})
            self.assertEqual(answer["results"], plain["results"])
        lines = "".join(json.dumps({"query": q, "document": d}) + "\n" for q in ("a", "b") for d in ("one text", "another"))
        outs = [run("score", "-m", RERANKER, *more, stdin=lines) for more in ((), ("--score-cache", cache), ("--score-cache", cache))]
        self.assertEqual(len({r.stdout for r in outs}), 1)
        self.assertIn(b"4 pairs known, 0 computed", outs[2].stderr)
        with open(cache, "r+b") as f:
            f.write(b"garbage")
        r = run("search", self.index, "low-rank matrices", "--reranker", RERANKER, "--score-cache", cache)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"not a score cache", r.stderr)

    def test_first_stages_agree_on_an_exact_word(self):
        for stage in ("bm25", "dense", "hybrid"):
            answer = self.json(self.search("ConnectX-7 networking", "--first-stage", stage))[0]
            self.assertEqual(answer["first_stage"], stage)
            self.assertTrue(answer["results"][0]["document"].endswith("dgx_spark.md"), stage)

    def test_k_larger_than_the_corpus_returns_all(self):
        answer = self.json(self.search("memory", "-k", "100000", "--first-stage-k", "100000", "--no-rerank"))[0]
        self.assertEqual(len(answer["results"]), answer["candidates"])

    def test_filter_and_min_score(self):
        source = os.path.join(self.docs, "lora.md")
        answer = self.json(self.search("memory", "--where", "source=" + source))[0]
        self.assertEqual({r["document"] for r in answer["results"]}, {source})
        self.assertEqual(self.json(self.search("memory", "--where", "source=nothing"))[0]["results"], [])
        self.assertEqual(self.json(self.search("memory", "--min-score", "1e9"))[0]["results"], [])

    def test_queries_from_standard_input(self):
        answers = self.json(self.search(stdin="what is LoRA\n\nunified memory\n"))
        self.assertEqual([a["query"] for a in answers], ["what is LoRA", "unified memory"])

    def test_empty_query_is_refused(self):
        for query in ("", "  \t"):
            self.fails(self.search(query), 2, "empty")

    def test_table_and_tsv_print(self):
        r = run("search", self.index, "unified memory", "--reranker", RERANKER)
        self.assertIn("bi-encoder", r.stdout.decode())
        self.assertIn("stage 2", r.stdout.decode())
        r = run("search", self.index, "unified memory", "--reranker", RERANKER, "--format", "tsv")
        rows = r.stdout.decode().splitlines()
        self.assertEqual({len(row.split("\t")) for row in rows}, {10})

    def test_second_run_embeds_nothing_and_changes_only_what_changed(self):
        copy = os.path.join(self.dir, "copy")
        shutil.copytree(self.docs, copy)
        index = os.path.join(self.dir, "copy.wnindex")
        self.assertEqual(run("index", copy, "-o", index).returncode, 0)
        out = run("index", copy, "-o", index).stdout.decode()
        self.assertIn("0 documents added, 0 changed, 3 unchanged, 0 removed", out)
        self.assertIn("0 passages embedded", out)
        with open(os.path.join(copy, "lora.md"), "a") as f:
            f.write("\n\n## Addendum\n\nOne more paragraph about xylophones.\n")
        os.unlink(os.path.join(copy, "transformer.md"))
        out = run("index", copy, "-o", index).stdout.decode()
        self.assertIn("0 documents added, 1 changed, 1 unchanged, 1 removed", out)
        answer = self.json(run("search", index, "xylophones", "--first-stage", "bm25", "--no-rerank",
                               "--format", "json"))[0]
        self.assertTrue(answer["results"][0]["document"].endswith("lora.md"))
        answer = self.json(run("search", index, "transformer", "-k", "1000", "--first-stage-k", "1000", "--no-rerank",
                               "--format", "json"))[0]
        self.assertFalse(any(r["document"].endswith("transformer.md") for r in answer["results"]))

    def test_standard_input_is_a_document(self):
        index = os.path.join(self.dir, "stdin.wnindex")
        r = run("index", "-", "-o", index, stdin="# Title\n\nA text about zeppelins.\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        answer = self.json(run("search", index, "zeppelins", "--no-rerank", "--format", "json"))[0]
        self.assertIn("zeppelins", answer["results"][0]["content"])

    def test_other_model_is_refused_with_both_names(self):
        other = "all-MiniLM-L6-v2" if EMBEDDER != "all-MiniLM-L6-v2" else "bge-small-en-v1.5"
        if not model(other):
            self.skipTest("only one bi-encoder in the cache")
        self.fails(self.search("x", "--embedder", other), 1, EMBEDDER, other)

    def test_memory_is_flat_over_a_thousand_searches(self):
        p = subprocess.Popen([WINNOW, "search", self.index, "--reranker", RERANKER, "--format", "json",
                              "-k", "1", "--first-stage-k", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        def ask(n):
            for i in range(n):
                p.stdin.write(f"question number {i % 17} about memory\n".encode())
                p.stdin.flush()
                p.stdout.readline()
            with open(f"/proc/{p.pid}/status") as f:
                return next(int(x.split()[1]) for x in f if x.startswith("VmRSS"))
        after_10, after_1000 = ask(10), ask(990)
        p.stdin.close()
        p.wait()
        p.stdout.close()
        print(f"resident after 10 searches {after_10} kB, after 1,000 {after_1000} kB")
        self.assertLess(abs(after_1000 - after_10), 0.01 * after_10)


class BadInput(Cli):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="winnow-bad-")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def path(self, name, data=None):
        p = os.path.join(self.dir, name)
        if data is not None:
            with open(p, "wb") as f:
                f.write(data)
        return p

    def test_no_such_index_names_it(self):
        self.fails(run("search", self.path("none.wnindex"), "q"), 1, "none.wnindex")

    def test_garbage_index_names_it(self):
        self.fails(run("search", self.path("bad.wnindex", b"hello" * 1000), "q"), 1, "bad.wnindex")
        self.fails(run("search", self.path("empty.wnindex", b""), "q"), 1, "empty.wnindex")

    def test_truncated_index_is_refused_or_answers_and_never_crashes(self):
        index = self.path("t.wnindex")
        r = run("index", DOCS, "-o", index, "--bm25-only")
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(index, "rb") as f:
            whole = f.read()
        for size in (10, 100, 4096, len(whole) // 2, len(whole) - 1):
            cut = self.path("cut.wnindex", whole[:size])
            r = run("search", cut, "memory", "--first-stage", "bm25", "--no-rerank")
            self.assertIn(r.returncode, (0, 1), r.stderr)
            if r.returncode:
                self.assertIn("cut.wnindex", r.stderr.decode())

    def test_folder_without_documents_is_an_error(self):
        self.fails(run("index", self.dir, "-o", self.path("x.wnindex"), "--bm25-only"), 1, self.dir)

    def test_file_that_is_not_utf8_is_skipped_with_a_warning(self):
        self.path("good.md", b"# Good\n\nplain text\n")
        self.path("bad.md", b"# Bad\n\n\xff\xfe\xfd\n")
        r = run("index", self.dir, "-o", self.path("x.wnindex"), "--bm25-only")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("bad.md", r.stderr.decode())
        self.assertIn("UTF-8", r.stderr.decode())

    def test_bad_corpus_line_names_file_and_line(self):
        corpus = self.path("corpus.jsonl", b'{"_id":"1","text":"a"}\n{"_id":"2","text":\n')
        r = run("index", corpus, "-o", self.path("x.wnindex"), "--bm25-only")
        self.assertEqual(r.returncode, 1)
        self.assertIn("corpus.jsonl: line 2", r.stderr.decode())

    def test_full_disk_names_the_index(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small tmpfs")
        mount = self.path("small")
        os.mkdir(mount)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", mount], capture_output=True).returncode:
            self.skipTest("cannot mount a tmpfs here")
        try:
            r = run("index", DOCS, "-o", os.path.join(mount, "x.wnindex"), "--bm25-only")
            self.fails(r, 1, "x.wnindex")
            self.assertTrue("space" in r.stderr.decode() or "full" in r.stderr.decode(), r.stderr)
        finally:
            subprocess.run(["umount", mount], check=True)

    def test_standard_output_that_is_full_is_reported(self):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([WINNOW, "tokenize", "--model", RERANKER], input=b'{"text":"x"}\n', stdout=full,
                               stderr=subprocess.PIPE)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"standard output", r.stderr)

    def damaged(self, name, change):
        """A copy of the reranker with one file changed; gives the error line of scoring with it."""
        copy = self.path("model")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(RERANKER, copy)
        target = os.path.join(copy, name)
        with open(target, "rb") as f:
            data = change(f.read())
        with open(target, "wb") as f:
            f.write(data)
        return run("score", "--model", copy, stdin='{"query":"a","document":"b"}\n')

    def test_damaged_model_files_are_refused_by_name(self):
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            for size in (0, 7, 100):
                self.fails(self.damaged(name, lambda b: b[:size]), 1, name)
        self.fails(self.damaged("model.safetensors", lambda b: b[:-1000]), 1, "model.safetensors")
        self.fails(self.damaged("model.safetensors", lambda b: b"\xff" * 8 + b[8:]), 1, "model.safetensors")
        self.fails(self.damaged("config.json", lambda b: b.replace(b'"gelu"', b'"relu"')), 1, "relu")
        self.fails(self.damaged("config.json", lambda b: b.replace(b'"hidden_size": 384', b'"hidden_size": 768')), 1)

    def test_model_that_is_not_there_says_how_to_get_it(self):
        self.fails(run("score", "--model", "no-such-model", stdin=""), 1, "no-such-model", "pull")


class Compare(Cli):
    @unittest.skipUnless(EMBEDDER, "no bi-encoder in the cache")
    def test_both_scores_and_ranks_for_each_document(self):
        r = run("compare", "how much memory does it have?", "--doc", "It has 128 GB of memory.",
                "--doc", "It weighs 1.2 kg.", "--reranker", RERANKER, "--format", "json")
        rows = self.json(r)[0]["results"]
        self.assertEqual([x["rerank_rank"] for x in rows], [1, 2])
        self.assertEqual(sorted(x["bi_encoder_rank"] for x in rows), [1, 2])
        self.assertEqual(rows[0]["index"], 0)

    def test_no_documents_is_a_usage_error(self):
        self.fails(run("compare", "q"), 2, "--doc")


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=1).result.wasSuccessful() else 1)
