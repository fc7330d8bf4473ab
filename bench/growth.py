#!/usr/bin/env python3
"""growth.py -- how time grows with pairs, length, threads and corpus: a part of `make bench`.

    tools/bench.sh growth [--rounds 3] [--most-pairs 1000] [--only pairs length corpus]

pairs: 1 to 1,000 pairs of 96 tokens. length: 50 pairs of 16 to 512 tokens. Both through bench_growth: the committed
MiniLM reranker on synthetic texts of exactly that many tokens, tokenising included; f32 on one thread and on two, the
narrower precisions on two. corpus: the 100 nearest of 10^3 to 10^7 synthetic vectors of 384 dimensions by the index's
exact scan (bench_corpus). The series take turns; an entry is the median of --rounds.
Results: bench/results/growth.csv; plot_growth.py draws docs/performance-*.svg from it.
"""
import argparse
import sys

import bench_common as common

PAIRS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LENGTHS = (16, 32, 64, 128, 256, 512)
CORPUS = (1000, 10_000, 100_000, 1_000_000, 10_000_000)


def series(a):
    out = {}
    for precision in common.PRECISIONS:
        for threads in ((1, common.THREADS) if precision == "f32" and common.THREADS > 1 else (common.THREADS,)):
            worker = common.Worker([common.program("bench_growth"), a.model, "--threads", threads, "--precision", precision])
            try:
                worker.ask("1 16")
                out[precision, threads] = worker
            except common.Skip as e:
                print(f"winnow {precision}: left out ({e})", flush=True)
    return out


def rerank(a, workers, kind, points):
    """points: (x, request)."""
    rows = []
    for x, request in points:
        runs = {k: (lambda _, w=w: w.ask(request)) for k, w in workers.items()}
        for (precision, threads), t in common.take_turns(runs, a.rounds).items():
            rows.append({"kind": kind, "x": x, "series": f"{precision}, {threads} thread{'s' * (threads > 1)}", "rounds": a.rounds, **common.medians(t)})
            print("{kind} {x}: {series} wall {wall_ms} ms, cpu {cpu_ms} ms".format(**rows[-1]), flush=True)
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=common.RERANKER)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--most-pairs", type=int, default=1000)
    p.add_argument("--only", nargs="+", choices=("pairs", "length", "corpus"), default=["pairs", "length", "corpus"])
    a, rows = p.parse_args(), []
    workers = series(a) if {"pairs", "length"} & set(a.only) else {}
    if "pairs" in a.only:
        rows += rerank(a, workers, "pairs", [(n, f"{n} 96") for n in PAIRS if n <= a.most_pairs])
    if "length" in a.only:
        rows += rerank(a, workers, "length", [(n, f"50 {n}") for n in LENGTHS])
    for worker in workers.values():
        worker.close()
    return rows


if __name__ == "__main__":
    sys.exit(common.part("growth", main))
