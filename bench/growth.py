#!/usr/bin/env python3
"""growth.py -- how time grows with pairs, length, threads and corpus: a part of `make bench`.

    tools/bench.sh growth [--rounds 3] [--most-pairs 1000] [--only pairs length corpus]

pairs: 1 to 1,000 pairs of 96 tokens. length: 50 pairs of 16 to 512 tokens. Both through bench_growth: the older
committed MiniLM reranker (the newer one has the same shape, but reads 256 tokens) on synthetic texts of exactly that many tokens, tokenising included; f32 on one thread and on two, the
narrower precisions on two. corpus: the 100 nearest of 10^3 to 10^7 synthetic vectors of 384 dimensions, as far as
memory goes (bench_scan). The series take turns; an entry is the median of --rounds.
Results: bench/results/growth.csv; plot_growth.py draws docs/performance-*.svg from it.
"""
import argparse
import sys

import bench_common as common
import scan_peers

PAIRS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LENGTHS = (16, 32, 64, 128, 256, 512)
CORPUS = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
# f32 rows with ids and codes; FAISS's copy of the rows, without which the largest corpora fit.
BYTES_A_VECTOR, FAISS_BYTES = 384 * (4 + 1) + 40, 384 * 4


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


def available_bytes():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/meminfo") if line.startswith("MemAvailable"))


def corpus(a):
    rows = []
    for n in CORPUS:
        room = 0.9 * available_bytes()
        if n * BYTES_A_VECTOR > room:
            print(f"SKIPPED corpus {n}: it takes {n * BYTES_A_VECTOR >> 30} GiB of memory", flush=True)
            continue
        for r in scan_peers.scan(n, a.rounds, 4, common.THREADS, faiss=n * (BYTES_A_VECTOR + FAISS_BYTES) <= room):
            if r["what"].endswith("one query"):
                rows.append({"kind": "corpus", "x": n, "series": r["what"].removesuffix(", one query"), "rounds": a.rounds,
                             "wall_ms": r["median_ms_a_query"], "least_ms": r["least_ms_a_query"], "cpu_ms": r["processor_ms_a_query"]})
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=common.ROOT / "models" / "reranker-minilm-l6-v0")
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
    if "corpus" in a.only:
        try:
            rows += corpus(a)
        except common.Skip as e:
            print(f"SKIPPED corpus: {e}", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(common.part("growth", main))
