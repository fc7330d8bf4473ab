#!/usr/bin/env python3
"""winnow eval as a user calls it: NIST's cases to the byte, two runs side by side, what is refused.

    WINNOW=build/winnow python3 tests/cli/test_eval.py

Python's standard library only. NIST's files are looked for in ../shared/data/trec_eval (or
$WN_SHARED/data/trec_eval); without them that test is SKIPPED."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.path.abspath(os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow")))
SHARED = os.environ.get("WN_SHARED", os.path.join(ROOT, os.pardir, "shared"))
NIST = os.path.join(SHARED, "data", "trec_eval", "test")

# What NIST's Makefile runs, with the two files named by options.
CASES = [
    ("out.test", "qrels.test", "results.test", ""),
    ("out.test", "qrels.test.with-comments", "results.test", ""),
    ("out.comment.test", "qrels.comment.test", "results.comment.test", ""),
    ("out.test.a", "qrels.test", "results.test", "-m all_trec"),
    ("out.test.aq", "qrels.test", "results.test", "-m all_trec -q"),
    ("out.test.aqc", "qrels.test", "results.trunc", "-m all_trec -q -c"),
    ("out.test.aqcM", "qrels.test", "results.trunc", "-m all_trec -q -c -M100"),
    ("out.test.aql", "qrels.rel_level", "results.test", "-m all_trec -mrelstring.20 -q -l2"),
    ("out.test.prefs", "prefs.test", "prefs.results.test", "-m all_prefs -q -R prefs"),
    ("out.test.prefs", "prefs.comment.test", "prefs.results.test", "-m all_prefs -q -R prefs"),
    ("out.test.qrels_prefs", "qrels.test", "results.test", "-m all_prefs -q -R qrels_prefs"),
    ("out.test.qrels_jg", "qrels.123", "results.test", "-m qrels_jg -q -R qrels_jg"),
    ("out.test.qrels_jg", "qrels.comments.123", "results.test", "-m qrels_jg -q -R qrels_jg"),
    ("out.test.meas_params", "qrels.test", "results.test",
     "-q -miprec_at_recall..10,.20,.25,.75,.50 -m P.5,7,3 -m recall.20,2000 "
     "-m Rprec_mult.5.0,0.2,0.35 -mutility.2,-1,0,0 -m 11pt_avg..25,.5,.75 -mndcg.1=3,2=9,4=4.5 "
     "-mndcg_cut.10,20,23.4 -msuccess.2,5,20"),
    ("out.test.aqZ", "qrels.test", "results.test", "-q -m all_trec -Z zscores_file"),
]

QRELS = "1 0 a 1\n2 0 a 1\n3 0 a 1\n"
RUN_A = "1 Q0 a 1 2 A\n2 Q0 x 1 2 A\n2 Q0 a 2 1 A\n3 Q0 x 1 1 A\n"
RUN_B = "1 Q0 x 1 2 B\n1 Q0 a 2 1 B\n2 Q0 a 1 1 B\n3 Q0 a 1 2 B\n4 Q0 a 1 1 B\n"


def run(*args, stdin=b"", cwd=None):
    return subprocess.run([WINNOW, "eval", *args], input=stdin, capture_output=True, timeout=120,
                          cwd=cwd)


class Eval(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        for name, text in (("q", QRELS), ("a", RUN_A), ("b", RUN_B)):
            self.write(name, text)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def good(self, *args, **kw):
        result = run(*args, cwd=self.folder, **kw)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    def fails(self, code, *words_and_args):
        words, args = words_and_args[0], words_and_args[1:]
        result = run(*args, cwd=self.folder)
        err = result.stderr.decode()
        self.assertEqual(result.returncode, code, err)
        self.assertEqual(result.stdout, b"")
        self.assertEqual(len(err.splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)

    @unittest.skipUnless(os.path.isdir(NIST), f"SKIPPED: NIST's files are not in {NIST}")
    def test_every_case_of_nist_is_equal_to_the_byte(self):
        for expected, qrels, results, options in CASES:
            with self.subTest(expected=expected, qrels=qrels):
                result = run("--quiet", *options.split(), "--qrels", qrels, "--run", results,
                             cwd=NIST)
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                with open(os.path.join(NIST, expected), "rb") as file:
                    self.assertEqual(result.stdout, file.read())

    def test_one_run_prints_three_columns(self):
        self.assertEqual(self.good("-r", "a", "-Q", "q", "-m", "recip_rank", "-q"),
                         "recip_rank            \t1\t1.0000\n"
                         "recip_rank            \t2\t0.5000\n"
                         "recip_rank            \t3\t0.0000\n"
                         "recip_rank            \tall\t0.5000\n")
        self.assertEqual(self.good("-r", "a", "-Q", "q", "-m", "mrr", "-n", "-q").count("\n"), 3)
        self.assertEqual(self.good("-r", "-", "-Q", "q", "-m", "mrr", stdin=RUN_A.encode()),
                         "recip_rank            \tall\t0.5000\n")

    def test_json_has_all_and_by_query(self):
        answer = json.loads(self.good("-r", "a", "-Q", "q", "-m", "map", "-m", "runid",
                                      "-m", "relstring", "-m", "num_ret", "-q", "-f", "json"))
        self.assertEqual(answer["queries"], 3)
        self.assertEqual(answer["all"], {"runid": "A", "num_ret": 4, "map": 0.5})
        self.assertEqual(answer["by_query"]["2"], {"num_ret": 2, "map": 0.5, "relstring": "-1"})

    def test_queries_left_out_are_told(self):
        self.write("few", "1 Q0 a 1 1 t\n9 Q0 a 1 1 t\n")
        result = run("-r", "few", "-Q", "q", "-m", "map", cwd=self.folder)
        self.assertEqual(result.stdout.decode(), "map                   \tall\t1.0000\n")
        self.assertIn(b"no results for 2 of the judged queries; they are left out", result.stderr)
        self.assertIn(b"1 queries without judgements", result.stderr)
        result = run("-r", "few", "-Q", "q", "-m", "map", "-c", cwd=self.folder)
        self.assertEqual(result.stdout.decode(), "map                   \tall\t0.3333\n")
        self.assertIn(b"count as 0", result.stderr)
        self.assertEqual(run("-r", "few", "-Q", "q", "--quiet", cwd=self.folder).stderr, b"")

    def test_two_runs_are_compared(self):
        answer = json.loads(self.good("-r", "a", "-r", "b", "-Q", "q", "-m", "recip_rank", "-q",
                                      "-f", "json"))
        row = answer["measures"][0]
        self.assertEqual((row["a"], round(row["b"], 6)), (0.5, 0.833333))
        self.assertEqual((row["better"], row["worse"], row["equal"]), (2, 1, 0))
        self.assertAlmostEqual(row["improvement_percent"], 66.6666667, places=5)
        self.assertEqual((row["p"], row["p_exact"]), (0.75, True))
        self.assertLessEqual(row["interval_95"][0], row["difference"])
        self.assertLessEqual(row["difference"], row["interval_95"][1])
        self.assertEqual([g["query"] for g in row["by_query"]], ["3", "2", "1"])
        table = self.good("-r", "a", "-r", "b", "-Q", "q", "-m", "recip_rank", "-q")
        self.assertIn("recip_rank               0.5000   0.8333    +66.7 %   +0.3333", table)
        names = [row["measure"] for row in json.loads(
            self.good("-r", "a", "-r", "b", "-Q", "q", "-f", "json"))["measures"]]
        self.assertIn("ndcg_cut_10", names)
        self.fails(2, ["none of these measures"], "--quiet", "-r", "a", "-r", "b", "-Q", "q", "-m",
                   "num_q")
        tsv = self.good("-r", "a", "-r", "b", "-Q", "q", "-m", "recip_rank", "-f", "tsv")
        self.assertEqual(tsv.splitlines()[1].split("\t")[:3], ["recip_rank", "3", "0.5"])

    def test_bad_files_name_file_and_line(self):
        self.write("bad_run", "1 Q0 a 1 2 A\n1 Q0 b 2 x A\n")
        self.write("twice", "1 Q0 a 1 2 A\n1 Q0 a 2 1 A\n")
        self.write("bad_qrels", "1 0 a 1\n1 0 b yes\n")
        self.write("judged_twice", "1 0 a 1\n1 0 a 0\n")
        self.write("empty", "")
        self.write("other", "zz 0 a 1\n")
        self.fails(1, ["bad_run: line 2: ", "not a number"], "-r", "bad_run", "-Q", "q")
        self.fails(1, ["twice: line 2: ", "on line 1"], "-r", "twice", "-Q", "q")
        self.fails(1, ["bad_qrels: line 2: ", "whole number"], "-r", "a", "-Q", "bad_qrels")
        self.fails(1, ["judged_twice: line 2: "], "-r", "a", "-Q", "judged_twice")
        self.fails(1, ["empty: no result"], "-r", "empty", "-Q", "q")
        self.fails(1, ["empty: no judgement"], "-r", "a", "-Q", "empty")
        self.fails(1, ["no query is in both", '"zz"'], "-r", "a", "-Q", "other")
        self.fails(1, ["nowhere: cannot open"], "-r", "nowhere", "-Q", "q")

    def test_wrong_options_are_usage_errors(self):
        self.fails(2, ["no measure \"nope\""], "-r", "a", "-Q", "q", "-m", "nope")
        self.fails(2, ["a cutoff"], "-r", "a", "-Q", "q", "-m", "P.0")
        self.fails(2, ["--qrels"], "-r", "a")
        self.fails(2, ["--run"], "-Q", "q")
        self.fails(2, ["--run"], "-Q", "q", "-r", "a", "-r", "a", "-r", "a")
        self.fails(2, ["not expected"], "-Q", "q", "-r", "a", "b")
        self.fails(2, ["--format trec"], "-Q", "q", "-r", "a", "-r", "b", "-f", "trec")
        self.fails(2, ["--format table"], "-Q", "q", "-r", "a", "-f", "table")
        self.fails(2, ["--level"], "-Q", "q", "-r", "a", "-l", "-1")

    def test_measure_list_and_help_are_success(self):
        listed = self.good("--list-measures")
        for name in ("ndcg_cut.5,10,15", "recip_rank_cut", "prefs_simp", "infAP"):
            self.assertIn(f"\n{name}", listed)
        self.assertIn("--per-query", self.good("--help"))


if __name__ == "__main__":
    unittest.main()
