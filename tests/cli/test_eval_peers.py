#!/usr/bin/env python3
"""Measures of random runs against pytrec_eval (NIST's C code, version 9) and ranx (an implementation
of its own), query by query.

    WINNOW=build/winnow python3 tests/cli/test_eval_peers.py

Runs itself in .venv (tools/venv.sh makes it); SKIPPED where that is absent. ranx decorates its
functions with numba's compiler; here numba is a stand-in that leaves them plain Python, which they
are: compiling them takes longer than the whole test and pulls in 200 MB.

Scores are multiples of 1/16, so that they are the same as the floats of trec_eval 9, and there are
many ties. Interpolated precision is left out against pytrec_eval: trec_eval 10, which winnow
follows, rounds recall to documents in another way."""
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.path.abspath(os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow")))
VENV = os.path.join(ROOT, os.environ.get("WN_VENV", ".venv"))
PYTHON = os.path.join(VENV, "bin", "python")
if os.path.exists(PYTHON) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
    os.execv(PYTHON, [PYTHON, os.path.abspath(__file__), *sys.argv[1:]])


def load_ranx():
    """ranx.metrics without ranx's own imports and with numba's decorators doing nothing."""
    numba = types.ModuleType("numba")

    def njit(*args, **options):
        return args[0] if args and callable(args[0]) else lambda function: function

    numba.njit = numba.jit = njit
    numba.prange = range
    numba.typed = types.ModuleType("numba.typed")
    numba.typed.List = numba.typed.Dict = list
    numba.types = types.ModuleType("numba.types")
    numba.config = types.SimpleNamespace(THREADING_LAYER="")
    sys.modules.update({"numba": numba, "numba.typed": numba.typed, "numba.types": numba.types})
    package = types.ModuleType("ranx")
    package.__path__ = list(importlib.util.find_spec("ranx").submodule_search_locations)
    sys.modules["ranx"] = package
    import ranx.metrics
    return ranx.metrics


try:
    import numpy
    import pytrec_eval
    RANX = load_ranx()
    WHY = None
except ImportError as error:
    WHY = f"SKIPPED: no .venv with pytrec_eval and ranx ({error}); tools/venv.sh makes it"

CUTS = "1,3,5,10,50"
MEASURES = ["num_ret", "num_rel", "num_rel_ret", "map", f"map_cut.{CUTS}", "Rprec", "bpref",
            "recip_rank", f"P.{CUTS}", f"recall.{CUTS}", "infAP", "Rprec_mult", "utility", "ndcg",
            f"ndcg_cut.{CUTS}", f"relative_P.{CUTS}", f"success.{CUTS}", "set_P", "set_recall",
            "set_relative_P", "set_map", "set_F", "num_nonrel_judged_ret", "binG", "G", "ndcg_rel",
            "Rndcg"]
COLLECTIONS = 60


def collection(seed):
    """Qrels and a run: ties, unjudged and negative judgements, queries missing on either side."""
    rng = random.Random(seed)
    documents = [f"D{i}" for i in range(rng.randint(3, 80))]
    least = rng.choice([0, 0, -1])
    qrels, run = {}, {}
    for q in range(rng.randint(1, 12)):
        judged = rng.sample(documents, rng.randint(1, len(documents)))
        qrels[f"q{q}"] = {d: rng.randint(least, rng.choice([1, 1, 3])) for d in judged}
        if rng.random() < 0.9 or not run:
            found = rng.sample(documents, rng.randint(1, len(documents)))
            run[f"q{q}"] = {d: rng.randint(-8, 40) / 16 for d in found}
    run["extra"] = {"D0": 1.0}
    return qrels, run


def winnow(qrels, run, *options):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("qrels", "run")]
        with open(paths[0], "w") as file:
            file.writelines(f"{q} 0 {d} {r}\n" for q, ds in qrels.items() for d, r in ds.items())
        with open(paths[1], "w") as file:
            file.writelines(f"{q} Q0 {d} 1 {s!r} t\n" for q, ds in run.items()
                            for d, s in ds.items())
        result = subprocess.run([WINNOW, "eval", "-q", "-f", "json", "--quiet", "--qrels", paths[0],
                                 "--run", paths[1], *options], capture_output=True, timeout=60)
        if result.returncode:
            raise AssertionError(result.stderr.decode())
        return json.loads(result.stdout)["by_query"]


@unittest.skipIf(WHY, WHY)
class Peers(unittest.TestCase):
    def test_pytrec_eval_every_measure_of_random_runs(self):
        compared, largest = 0, 0.0
        options = [x for m in MEASURES for x in ("-m", m)]
        for seed in range(COLLECTIONS):
            qrels, run = collection(seed)
            level = 1 + seed % 2
            mine = winnow(qrels, run, "-l", str(level), *options)
            peer = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES), relevance_level=level)
            theirs = peer.evaluate(run)
            self.assertEqual(set(mine), set(theirs))
            for query, values in theirs.items():
                levels = [r for r in qrels[query].values() if r >= 0]
                for name, value in values.items():
                    if self.undefined(name, levels, level):
                        continue
                    difference = abs(value - mine[query][name])
                    self.assertLess(difference, 1e-8, f"seed {seed}, {query}, {name}")
                    largest = max(largest, difference)
                    compared += 1
        print(f"parity with pytrec_eval: {compared} values compared, largest difference "
              f"{largest:.1e}", file=sys.stderr)
        self.assertGreater(compared, 10000)

    @staticmethod
    def undefined(name, levels, level):
        """Where trec_eval reads what it never set: levels of a query that has none (all judgements
        negative), the counts of levels up to -l where the query has only lower ones."""
        if not levels:
            return name.startswith(("bpref", "ndcg", "Rndcg", "G"))
        return max(levels) < level - 1 and name == "bpref"

    def test_ranx_common_measures_of_random_runs(self):
        compared, largest = 0, 0.0
        options = []
        for measure in ("ndcg_cut", "map_cut", "P", "recall", "success", "recip_rank_cut"):
            options += ["-m", f"{measure}.{CUTS}"]
        peers = {"ndcg_cut": RANX.ndcg, "map_cut": RANX.average_precision, "P": RANX.precision,
                 "recall": RANX.recall, "success": RANX.hit_rate,
                 "recip_rank_cut": RANX.reciprocal_rank}
        for seed in range(1000, 1000 + COLLECTIONS):
            qrels, run = collection(seed)
            mine = winnow(qrels, run, *options)
            for query, values in mine.items():
                ids = {d: i for i, d in enumerate(sorted(set(qrels[query]) | set(run[query])))}
                judged = sorted(((ids[d], r) for d, r in qrels[query].items()),
                                key=lambda pair: -pair[1])
                ranked = sorted(run[query].items(), key=lambda pair: (pair[1], pair[0]),
                                reverse=True)
                a = numpy.array(judged, dtype=float)
                b = numpy.array([(ids[d], s) for d, s in ranked], dtype=float)
                for name, value in values.items():
                    measure, cut = name.rsplit("_", 1)
                    theirs = peers[measure]([a], [b], int(cut), 1)[0]
                    difference = abs(theirs - value)
                    self.assertLess(difference, 1e-8, f"seed {seed}, {query}, {name}")
                    largest = max(largest, difference)
                    compared += 1
        print(f"parity with ranx: {compared} values compared, largest difference {largest:.1e}",
              file=sys.stderr)
        self.assertGreater(compared, 5000)


if __name__ == "__main__":
    unittest.main()
