#!/usr/bin/env python3
"""floor.py -- a large reranker's time and memory beside the floor of its matrix products: a part of `make bench`.

    tools/bench.sh floor [--layers 24] [--rounds 5] [--pairs 50] [--tokens 130] [--precisions f32 bf16 int8]

The shape of bge-reranker-large with random weights, 50 pairs of about 130 tokens, against bare oneDNN matmuls of the same
shapes in the same process, taking turns (bench/bench_floor.c says how); a process a precision, so that each
has a peak of its own. A round in f32 takes some 40 s on two Zen 4 cores; --layers 4 is a short run,
of which only `ratio_less_last` is worth a look. The model is written to build/ once: 1.1 GB.
Targets: at most 1.3 times the floor, peak memory at most the weights (packed linears and word table) and 15 %.
Results: bench/results/floor.csv.
"""
import argparse
import subprocess
import sys

import bench_common as common
import bench_targets as targets


def model_of(program, layers):
    folder = common.ROOT / "build" / f"bench-xlmr-large-{layers}"
    if not (folder / "config.json").exists():
        subprocess.run([program, "make", folder, "--layers", str(layers)], check=True)
    return folder


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("layers", 24), ("rounds", 5), ("pairs", 50), ("tokens", 130), ("threads", common.THREADS)):
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--precisions", nargs="+", choices=common.PRECISIONS, default=list(common.PRECISIONS))
    a = p.parse_args()
    program = common.program("bench_floor")
    folder, rows = model_of(program, a.layers), []
    for precision in a.precisions:
        done = subprocess.run([program, "run", folder, "--precision", precision, "--rounds", str(a.rounds), "--pairs", str(a.pairs),
                               "--tokens", str(a.tokens), "--threads", str(a.threads)], capture_output=True, text=True)
        if done.returncode:
            print(f"winnow {precision}: left out ({done.stderr.strip()})", flush=True)
            continue
        names, values = (line.split(",") for line in done.stdout.splitlines())
        row = dict(zip(names, values))
        rows.append(row)
        print(f"{precision}: winnow {row['library_ms']} ms, the floor {row['floor_ms']} ms ({row['floor_gflops']} Gflop/s); "
              f"packed weights {row['packed_mib']} MiB, word table {row['words_mib']}, peak {row['peak_mib']} MiB", flush=True)
    targets.show(targets.floor(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("floor", main))
