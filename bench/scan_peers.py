#!/usr/bin/env python3
"""scan_peers.py -- exact dense search of a million embeddings, winnow beside FAISS: a part of `make bench`.

    tools/bench.sh scan [--rows 1000000] [--rounds 15] [--queries 64] [--index build/demo.wnindex]

bench_scan does the work (bench/bench_scan.c says how): a plain read of the same bytes, the f32 scan, the scan over
8-bit codes with f32 rescoring, which must give the same hits and scores bit for bit, and FAISS's IndexFlatIP (Debian's
libfaiss-dev, found when winnow is built), one query and many, in turn. Where the demo's index is there
(`make demo`), rows are made from its real embeddings.
Targets: 4 times as fast as FAISS for a query; the f32 scan within a tenth of the plain read.
Results: bench/results/scan.csv.
"""
import argparse
import csv
import pathlib
import subprocess
import sys

import bench_common as common
import bench_targets as targets


def scan(rows, rounds, queries, threads, index=None, faiss=True):
    """bench_scan's CSV as rows; what it says besides goes to standard error."""
    command = [common.program("bench_scan"), "--csv", "--rows", rows, "--repeat", rounds, "--queries", queries, "--threads", threads]
    if index and pathlib.Path(index).exists():
        command += ["--index", index]
    if not faiss:
        command.append("--no-faiss")
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"scan: {command[0]} failed")
    table = list(csv.reader(done.stdout.splitlines()))
    # Names hold a comma, as in "codes, one query": everything before the numbers is the name.
    head, body = table[0], table[1:]
    return [dict(zip(head, [", ".join(c.strip() for c in r[:len(r) - len(head) + 1]), *r[len(r) - len(head) + 1:]])) for r in body]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--queries", type=int, default=64)
    p.add_argument("--threads", type=int, default=common.THREADS)
    p.add_argument("--index", default=common.ROOT / "build" / "demo.wnindex")
    a = p.parse_args()
    rows = scan(a.rows, a.rounds, a.queries, a.threads, a.index)
    for r in rows:
        print("{what:28} {median_ms_a_query:>10} ms a query, processor {processor_ms_a_query:>10} ms".format(**r))
    targets.show(targets.scan(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("scan", main))
