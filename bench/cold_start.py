#!/usr/bin/env python3
"""cold_start.py -- how long one question takes from a new process, the page cache warm: a part of `make bench`.

    tools/bench.sh cold_start [--runs 21] [--winnow build/winnow] [--index build/demo.wnindex] [--query TEXT]

Kinds: the default search without reranking (dense: the bi-encoder is loaded), hybrid, BM25, and with
reranking. Every kind starts once a round, in turn, so what else the machine does hits all alike; each is a process of
its own, timed from its start to its end. Printed: median and least wall time, processor time, and the medians
of what --timings tells. The target is 100 ms for the first kind. An index that is not there is made from
examples/docs. Python's standard library only. Results: bench/results/cold_start.csv.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import bench_common as common
import bench_targets as targets

KINDS = {
    "dense": ["--no-rerank"],
    "hybrid": ["--no-rerank", "--first-stage", "hybrid"],
    "bm25": ["--no-rerank", "--first-stage", "bm25"],
    "rerank": [],
}


def start(command):
    """Wall and processor milliseconds of one process, and its JSON record."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = process.stdout.read()
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = (time.monotonic() - begin) * 1e3
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"cold_start: {' '.join(command)} failed:\n{told.decode(errors='replace')}")
    return wall, (usage.ru_utime + usage.ru_stime) * 1e3, json.loads(out)


def flat(timings, prefix=""):
    for key, value in timings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def row(kind, runs):
    """Medians of one kind, with those of what --timings told."""
    wall, cpu = ([r[i] for r in runs] for i in (0, 1))
    parts = {}
    for _, _, record in runs:
        for key, value in flat(record["timings"]):
            parts.setdefault(key, []).append(value)
    return {"kind": kind, "runs": len(wall), "median_ms": round(statistics.median(wall), 1), "least_ms": round(min(wall), 1),
            "processor_ms": round(statistics.median(cpu), 1), **{k: round(statistics.median(v), 1) for k, v in parts.items()}}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=21)
    options.add_argument("--winnow", default=common.ROOT / "build" / "winnow")
    options.add_argument("--index", type=pathlib.Path, default=common.ROOT / "build" / "demo.wnindex")
    options.add_argument("--query", default="how much memory does it have?")
    args = options.parse_args()
    common.present(common.MODELS / "bge-small-en-v1.5", "model")
    if not args.index.exists():
        subprocess.run([args.winnow, "index", common.ROOT / "examples" / "docs", "--model", "bge-small-en-v1.5", "-o", args.index], check=True)
    runs = {kind: [] for kind in KINDS}
    for n in range(args.runs + 1):
        for kind, more in KINDS.items():
            one = start([str(args.winnow), "search", str(args.index), args.query, "--format", "json", "--timings", *more])
            if n:  # the first fills the page cache
                runs[kind].append(one)
    rows = [row(kind, all_runs) for kind, all_runs in runs.items()]
    for r in rows:
        told = ", ".join(f"{k.removesuffix('_ms')} {v}" for k, v in list(r.items())[5:] if v >= 0.1)
        print(f"{r['kind']:7} median {r['median_ms']:7.1f} ms, least {r['least_ms']:7.1f}, processor {r['processor_ms']:7.1f}; {told}")
    targets.show(targets.cold_start(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("cold_start", main))
