#!/usr/bin/env python3
"""impact, eval INDEX, eval --beir: does reranking pay? Python's standard library only.

    WINNOW=build/winnow python3 tests/cli/test_pays.py

Runs on the demo's documents with BM25 as first stage and the committed reranker, so it needs no model
that is not in the repository; what needs a bi-encoder is skipped without one."""
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
DOCS = os.path.join(ROOT, "examples", "docs")
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")
QUERIES = 8


def run(*args, timeout=300):
    return subprocess.run([WINNOW, *args], input=b"", capture_output=True, timeout=timeout)


class Pays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="winnow-pays-")
        cls.index = os.path.join(cls.dir, "demo.wnindex")
        r = run("index", DOCS, "-o", cls.index, "--bm25-only", "-q")
        assert r.returncode == 0, r.stderr
        with open(os.path.join(ROOT, "examples", "queries.jsonl"), encoding="utf-8") as f:
            cls.queries = [json.loads(line) for line in f][:QUERIES]
        cls.topics = cls.write("topics.jsonl", "".join(json.dumps(q) + "\n" for q in cls.queries))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def write(cls, name, text):
        path = os.path.join(cls.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def ask(self, command, *args, queries=None):
        return run(command, self.index, "--queries", queries or self.topics, "--first-stage", "bm25",
                   *(() if "--no-rerank" in args else ("--reranker", RERANKER)), *args)

    def json(self, result):
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def fails(self, result, code, *words):
        err = result.stderr.decode()
        self.assertEqual(result.returncode, code, err)
        self.assertEqual(result.stdout, b"")
        for word in words:
            self.assertIn(word, err)


class Impact(Pays):
    def test_totals_are_those_of_the_queries(self):
        out = self.json(self.ask("impact", "-n", "10", "-k", "5", "--format", "json"))
        rows, total = out["queries"], out["total"]
        self.assertEqual(len(rows), QUERIES)
        results = sum(r["results"] for r in rows)
        self.assertEqual(total["results"], results)
        self.assertAlmostEqual(total["moved_up"], sum(r["moved_up"] for r in rows) / results, places=6)
        self.assertAlmostEqual(total["top1_change_rate"], sum(r["top1_changed"] for r in rows) / QUERIES, places=6)
        self.assertEqual(total["max_rank_change"], max(r["max_rank_change"] for r in rows))
        self.assertAlmostEqual(total["rbo"], sum(r["rbo"] for r in rows) / QUERIES, places=6)
        self.assertEqual(out["settings"]["reranker"], "reranker-minilm-l6-v0")

    def test_formats_tell_the_same_numbers(self):
        table = self.ask("impact", "-n", "6", "-k", "3").stdout.decode()
        md = self.ask("impact", "-n", "6", "-k", "3", "--format", "md").stdout.decode()
        sheet = self.ask("impact", "-n", "6", "-k", "3", "--format", "csv").stdout.decode()
        self.assertIn("average rank change", table)
        self.assertIn("| average rank change |", md)
        blocks = [list(csv.DictReader(io.StringIO(b))) for b in sheet.split("\r\n\r\n")]
        self.assertEqual([len(b) for b in blocks], [1, 1, QUERIES])
        mean = f"{float(blocks[1][0]['mean_rank_change']):.2f}"
        self.assertIn(f"| average rank change | {mean} |", md)
        self.assertIn(f"  {mean}\n", table)

    def test_no_queries_and_empty_files_are_told(self):
        self.fails(run("impact", self.index), 2, "--queries")
        self.fails(self.ask("impact", queries=self.write("none.jsonl", "")), 1, "none.jsonl")
        self.fails(self.ask("impact", queries=os.path.join(self.dir, "absent")), 1, "absent")
        self.fails(self.ask("impact", queries=self.write("bad.jsonl", '{"query": "a"}\n{"query":\n')), 1,
                   "bad.jsonl", "line 2")


class Eval(Pays):
    def test_table_of_measures_is_that_of_the_saved_runs(self):
        """The numbers printed are those that `eval --run` gives for the runs that were saved."""
        prefix = os.path.join(self.dir, "saved")
        out = self.json(self.ask("eval", "-n", "10", "--format", "json", "--save-runs", prefix, "-k", "1,3,10"))
        qrels = self.write("labels.qrels", "".join(f"{i + 1} 0 {q['expected_source']} 1\n"
                                                  for i, q in enumerate(self.queries)))
        for side in ("first_stage", "reranked"):
            r = run("eval", "--run", f"{prefix}.{side}.trec", "--qrels", qrels, "-m", "ndcg_cut.1,3,10", "-m", "map",
                    "-m", "recip_rank", "-m", "recall.1,3,10", "-m", "success.1,3,10", "-m", "P.1,3,10")
            self.assertEqual(r.returncode, 0, r.stderr)
            theirs = {line.split()[0]: float(line.split()[2]) for line in r.stdout.decode().splitlines()}
            ours = {m["measure"]: m[side] for m in out["measures"]}
            self.assertEqual(set(theirs), set(ours))
            for name, value in theirs.items():
                self.assertAlmostEqual(ours[name], value, delta=5.1e-5)

    def test_gains_are_sorted_and_add_up(self):
        out = self.json(self.ask("eval", "-n", "10", "--format", "json", "--measure", "MRR@10"))
        gains = [q["gain"] for q in out["queries"]]
        self.assertEqual(gains, sorted(gains, reverse=True))
        self.assertEqual(len(gains), QUERIES)
        row = next(m for m in out["measures"] if m["measure"] == "recip_rank")
        self.assertAlmostEqual(sum(gains) / QUERIES, row["difference"], places=6)
        low, high = row["interval_95"]
        self.assertLessEqual(low, high)
        if row["first_stage"]:
            self.assertAlmostEqual(row["improvement_percent"], 100 * (row["reranked"] / row["first_stage"] - 1), places=4)

    def test_qrels_may_name_passages(self):
        qrels = self.write("passages.qrels", "1 0 dgx_spark.md#0 1\n2 0 docs/lora.md#1 1\n")
        out = self.json(self.ask("eval", "-n", "10", "--format", "json", "--qrels", qrels, "--level", "passage"))
        self.assertEqual(out["settings"]["queries"], 2)
        self.assertEqual(out["settings"]["level"], "passage")

    def test_labels_that_match_nothing_are_told(self):
        topics = self.write("unknown.jsonl", '{"query": "lora", "expected_source": "no_such_file.md"}\n'
                                             '{"query": "memory"}\n{"query": "lora", "expected_source": "lora.md"}\n')
        r = self.ask("eval", "-n", "5", "--no-rerank", "--format", "json", queries=topics)
        out = self.json(r)
        self.assertIn("no_such_file.md", r.stderr.decode())
        self.assertIn("1 queries have no expected_source", r.stderr.decode())
        self.assertEqual(out["settings"]["queries"], 2)
        value = next(m for m in out["measures"] if m["measure"] == "success_5")
        self.assertEqual(value["first_stage"], 0.5)

    def test_no_labels_at_all_points_to_impact(self):
        topics = self.write("plain.txt", "what is lora\nhow much memory\n")
        self.fails(self.ask("eval", queries=topics), 1, "expected_source", "winnow impact")

    def test_qrels_of_other_queries_are_refused(self):
        qrels = self.write("other.qrels", "q77 0 lora.md 1\n")
        self.fails(self.ask("eval", "--qrels", qrels), 1, "judged")

    def test_short_options_and_any_order_reach_the_index(self):
        r = run("eval", self.index, "-q", self.topics, "-s", "bm25", "-r", RERANKER, "-n", "2", "--summary")
        self.assertEqual(r.returncode, 0, r.stderr)
        r = run("eval", "-r", RERANKER, "-n", "2", "--summary", "-s", "bm25", "--queries", self.topics, self.index)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.fails(run("eval", self.index), 2, "--queries")

    def test_bad_cutoffs_are_a_usage_error(self):
        for value in ("", "0", "1,,2", "1,x", "-5"):
            self.fails(self.ask("eval", "--cutoffs=" + value), 2, "--cutoffs")


class Beir(Pays):
    def folder(self):
        docs = []
        for name in sorted(os.listdir(DOCS)):
            with open(os.path.join(DOCS, name), encoding="utf-8") as f:
                docs.append({"_id": name, "title": name[:-3], "text": f.read()[:1500]})
        self.write("beir/corpus.jsonl", "".join(json.dumps(d) + "\n" for d in docs))
        self.write("beir/queries.jsonl", "".join(json.dumps({"_id": f"q{i}", "text": q["query"]}) + "\n"
                                                for i, q in enumerate(self.queries)))
        self.write("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\n" +
                   "".join(f"q{i}\t{q['expected_source']}\t1\n" for i, q in enumerate(self.queries[:5])))
        return os.path.join(self.dir, "beir")

    def test_folder_is_indexed_once_and_evaluated(self):
        folder = self.folder()
        args = ("eval", "--beir", folder, "--first-stage", "bm25", "--reranker", RERANKER, "-n", "5", "--format", "json")
        out = self.json(run(*args))
        index = os.path.join(folder, "winnow.wnindex")
        self.assertTrue(os.path.exists(index))
        self.assertEqual(out["settings"]["queries"], 5)  # the judged ones
        before = os.stat(index).st_mtime_ns
        again = self.json(run(*args))
        self.assertEqual(os.stat(index).st_mtime_ns, before)
        self.assertEqual(again["measures"], out["measures"])

    def test_chunks_collapse_to_documents(self):
        folder = self.folder()
        out = self.json(run("eval", "--beir", folder, "-o", os.path.join(self.dir, "chunks.wnindex"), "--chunk-size", "300",
                            "--first-stage", "bm25", "--no-rerank", "-n", "20", "--format", "json", "--cutoffs", "20",
                            "--save-runs", os.path.join(self.dir, "chunks")))
        self.assertLessEqual(out["measures"][0]["first_stage"], 1)
        with open(os.path.join(self.dir, "chunks.first_stage.trec"), encoding="utf-8") as f:
            seen = [tuple(line.split()[0:3:2]) for line in f]
        self.assertEqual(len(seen), len(set(seen)))

    def test_folder_without_corpus_names_what_is_missing(self):
        os.makedirs(os.path.join(self.dir, "empty"), exist_ok=True)
        self.fails(run("eval", "--beir", os.path.join(self.dir, "empty")), 1, "corpus.jsonl")


class Sweep(Pays):
    def test_rows_equal_evaluations_at_each_k(self):
        out = self.json(self.ask("sweep", "--k-values", "4,8", "--format", "json"))
        for row in out["rows"]:
            args = ("-n", str(row["first_stage_k"] or 8), "--format", "json", "--cutoffs", "10")
            one = self.json(self.ask("eval", *args, *(() if row["first_stage_k"] else ("--no-rerank",))))
            side = "reranked" if row["first_stage_k"] else "first_stage"
            value = next(m[side] for m in one["measures"] if m["measure"] == "ndcg_cut_10")
            self.assertEqual(row["quality"], value)
        self.assertEqual([r["first_stage_k"] for r in out["rows"]], [0, 4, 8])
        self.assertEqual(sum(r["best"] for r in out["rows"]), 1)
        self.assertEqual(sum(r["recommended"] for r in out["rows"]), 1)
        self.assertGreater(out["cost"][0]["per_candidate_ms"], 0)
        front = out["pareto_front"]
        self.assertEqual([f["first_stage_k"] for f in front if f["first_stage_k"]],
                         [r["first_stage_k"] for r in out["rows"] if r["pareto"] and r["first_stage_k"]])
        self.assertEqual(front, sorted(front, key=lambda f: (f["latency_mean_ms"], f["quality"])))
        self.assertEqual(len(front), sum(r["pareto"] for r in out["rows"]))

    def test_budget_that_nothing_meets_is_told(self):
        r = self.ask("sweep", "--k-values", "2", "--budget-ms", "0.000001")
        self.assertEqual(r.returncode, 0)
        self.assertIn("nothing stays within", r.stdout.decode())

    def test_without_labels_quality_is_agreement(self):
        topics = self.write("nolabel.txt", "what is lora\nhow much memory\n")
        out = self.json(self.ask("sweep", "--k-values", "3,6", "--format", "json", queries=topics))
        self.assertIn("agreement", out["settings"]["measure"])
        self.assertEqual(out["rows"][-1]["quality"], 1)
        self.fails(self.ask("sweep", "--k-values", "3,3", queries=topics), 2, "twice")


class Explain(Pays):
    def explain(self, *args):
        return run("explain", self.index, "how does LoRA save memory?", "--first-stage", "bm25", "--reranker", RERANKER,
                   "-n", "8", *args)

    def test_rank_and_document_name_the_same_passage(self):
        first = self.json(self.explain("--doc", "1", "--format", "json"))
        s = first["standing"]
        again = self.json(self.explain("--doc", f"{s['document']}#{s['passage']}", "--format", "json"))
        self.assertEqual(first, again)
        self.assertAlmostEqual(sum(t["bm25"] for t in first["terms"]), s["bm25_score"], places=5)
        for x in first["sentences"]:
            self.assertAlmostEqual(x["change"], x["logit_without"] - s["rerank_logit"], places=5)

    def test_document_that_was_not_recalled_is_scored_all_the_same(self):
        out = self.json(self.explain("--doc", "bm25.md#0", "--format", "json"))
        self.assertFalse(out["standing"]["candidate"])
        self.assertEqual(out["standing"]["final_rank"], 0)
        self.assertIsNotNone(out["standing"]["rerank_logit"])

    def test_wrong_requests(self):
        self.fails(self.explain(), 2, "--doc")
        self.fails(self.explain("--doc", "0"), 2, "--doc")
        self.fails(self.explain("--doc", "99"), 1, "99")
        self.fails(self.explain("--doc", "nosuch.md"), 1, "nosuch.md")


class Rerank(Pays):
    def files(self):
        with open(os.path.join(DOCS, "lora.md"), encoding="utf-8") as f:
            paragraphs = [p for p in f.read().split("\n\n") if len(p) > 100][:12]
        self.write("rr/corpus.jsonl", "".join(json.dumps({"_id": f"p{i}", "text": p}) + "\n" for i, p in enumerate(paragraphs)))
        self.write("rr/queries.jsonl", "".join(json.dumps({"_id": f"q{i}", "text": q["query"]}) + "\n"
                                              for i, q in enumerate(self.queries)))
        run_file = self.write("rr/in.trec", "".join(f"q{i} Q0 p{(i + j) % 12} {j + 1} {12 - j} x\n"
                                                    for i in range(QUERIES) for j in range(12)))
        return os.path.join(self.dir, "rr"), run_file

    def rerank(self, folder, run_file, out, *args):
        return [WINNOW, "rerank", "--run", run_file, "--beir", folder, "-o", out, "--reranker", RERANKER, *args]

    def test_killed_run_goes_on_and_ends_in_the_same_file(self):
        folder, run_file = self.files()
        want, out = os.path.join(self.dir, "want.trec"), os.path.join(self.dir, "out.trec")
        subprocess.run(self.rerank(folder, run_file, want, "--quiet"), check=True, timeout=300)
        p = subprocess.Popen(self.rerank(folder, run_file, out, "--quiet"))
        partial = out + ".partial"
        while p.poll() is None:
            if os.path.exists(partial):
                with open(partial, encoding="utf-8") as f:
                    if f.read().count("# done") >= 2:
                        p.kill()
            time.sleep(0.002)
        p.wait()
        if p.returncode == 0:
            self.skipTest("the run was over before it could be killed")
        self.assertFalse(os.path.exists(out))
        r = subprocess.run(self.rerank(folder, run_file, out), capture_output=True, timeout=300)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout.decode(), r"\([1-9]\d* of them from before\)")
        with open(want, "rb") as a, open(out, "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.assertFalse(os.path.exists(partial))

    def test_malformed_run_and_unknown_query_are_told(self):
        folder, _ = self.files()
        out = os.path.join(self.dir, "bad.trec")
        for text, words in (("q0 Q0 p1 1\n", ("line 1",)), ("q0 Q0 p1 1 2 x\nq0 Q0 p1 2 1 x\n", ("line",)),
                            ("zz Q0 p1 1 2 x\n", ("zz",))):
            r = subprocess.run(self.rerank(folder, self.write("rr/bad.trec", text), out), capture_output=True, timeout=100)
            self.fails(r, 1, *words)
            self.assertFalse(os.path.exists(out))
        self.fails(run("rerank", "--beir", folder), 2, "--run")


class Policy(Pays):
    def test_advise_calibrates_saves_and_search_finds_it(self):
        out = self.json(self.ask("advise", "--k-values", "6", "--max-loss", "1", "--save", "--format", "json"))
        rule = out.get("skip_rule")
        if rule is None:  # reranking lost on these queries: then the advice is to leave it
            self.assertIn("--no-rerank", out["use"]["command"])
            return
        self.assertTrue(rule["pays"])
        low, high = rule["change_95"]
        self.assertTrue(low <= rule["change"] + 1e-9 and rule["change"] <= high + 1e-9)
        self.assertIn("--skip-threshold", out["use"]["command"])
        r = run("search", self.index, self.queries[0]["query"], "--first-stage", "bm25", "--reranker", RERANKER,
                "--rerank", "auto", "-n", "6", "--format", "json")
        self.assertTrue(self.json(r)["skipped"])  # every confidence is at least the least one

    def test_advise_without_labels_and_with_an_impossible_budget(self):
        topics = self.write("few.txt", "what is lora\nhow much memory\n")
        out = self.json(self.ask("advise", "--k-values", "3", "--budget-ms", "0.000001", "--format", "json", queries=topics))
        self.assertNotIn("skip_rule", out)
        self.assertIn("agreement", out["settings"]["measure"])
        self.assertFalse(any(c["what"] == "recommended" for c in out["choices"]))

    def test_deadline_and_skip_rule_of_search(self):
        def search(*args):
            return self.json(run("search", self.index, "how does LoRA save memory?", "--first-stage", "bm25", "--reranker",
                                 RERANKER, "-n", "6", "-k", "6", "--format", "json", *args))
        late = search("--deadline-ms", "0.001")
        self.assertEqual((late["reranked"], late["out_of_time"]), (0, True))
        self.assertEqual([r["first_stage_rank"] for r in late["results"]], list(range(1, 7)))
        calm = search("--deadline-ms", "100000")
        self.assertEqual((calm["reranked"], calm["out_of_time"]), (6, False))
        skipped = search("--rerank", "auto", "--skip-threshold", "0")
        self.assertEqual((skipped["reranked"], skipped["skipped"]), (0, True))
        asked = search("--rerank", "auto", "--skip-threshold", "1.5")
        self.assertEqual((asked["reranked"], asked["skipped"]), (6, False))
        self.assertTrue(0 <= asked["confidence"] <= 1)
        other = os.path.join(self.dir, "fresh.wnindex")
        self.assertEqual(run("index", os.path.join(DOCS, "lora.md"), "-o", other, "--bm25-only", "-q").returncode, 0)
        self.fails(run("search", other, "x", "--first-stage", "bm25", "--rerank", "auto"), 1, "winnow advise")


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=1).result.wasSuccessful() else 1)
