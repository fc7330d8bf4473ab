#!/usr/bin/env python3
"""cold_start.py -- how long one question takes from a new process, the page cache warm.

    bench/cold_start.py [--runs 21] [--winnow build/winnow] [--index build/demo.wnindex] [--query TEXT] [--csv FILE]

Kinds: the default search without reranking (dense: the bi-encoder is loaded), hybrid, BM25, and with
reranking. Every kind starts once a round, in turn, so what else the machine does hits all alike; each is a process of
its own, timed from its start to its end. Printed: median and least wall time, processor time, and the medians
of what --timings tells. The target is 100 ms for the first kind. An index that is not there is made from
examples/docs. Python's standard library only.
"""
import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET_MS = 100
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


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=21)
    options.add_argument("--winnow", default=ROOT / "build" / "winnow")
    options.add_argument("--index", default=ROOT / "build" / "demo.wnindex")
    options.add_argument("--query", default="how much memory does it have?")
    options.add_argument("--csv")
    args = options.parse_args()
    if not pathlib.Path(args.index).exists():
        subprocess.run([args.winnow, "index", ROOT / "examples" / "docs", "--model", "bge-small-en-v1.5", "-o", args.index], check=True)
    runs = {kind: [] for kind in KINDS}
    for n in range(args.runs + 1):
        for kind, more in KINDS.items():
            one = start([str(args.winnow), "search", str(args.index), args.query, "--format", "json", "--timings", *more])
            if n:  # the first fills the page cache
                runs[kind].append(one)
    rows = []
    for kind, all_runs in runs.items():
        wall, cpu = ([r[i] for r in all_runs] for i in (0, 1))
        parts = {}
        for _, _, record in all_runs:
            for key, value in flat(record["timings"]):
                parts.setdefault(key, []).append(value)
        parts = {key: round(statistics.median(values), 1) for key, values in parts.items()}
        rows.append({"kind": kind, "runs": len(wall), "median_ms": round(statistics.median(wall), 1), "least_ms": round(min(wall), 1),
                     "processor_ms": round(statistics.median(cpu), 1), **parts})
        print(f"{kind:7} median {rows[-1]['median_ms']:7.1f} ms, least {rows[-1]['least_ms']:7.1f}, processor {rows[-1]['processor_ms']:7.1f}; "
              + ", ".join(f"{key.removesuffix('_ms')} {value}" for key, value in parts.items() if value >= 0.1))
    median = rows[0]["median_ms"]
    print(f"target: {TARGET_MS} ms without reranking; measured {median}: {'met' if median < TARGET_MS else 'MISSED'}")
    if args.csv:
        with open(args.csv, "w", newline="") as f:
            out = csv.DictWriter(f, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
            out.writeheader()
            out.writerows(rows)


if __name__ == "__main__":
    main()
