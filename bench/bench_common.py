"""bench_common.py -- what the parts of `make bench` share: who is measured where, taking turns, and the files of results.

A part is a program that can be run alone; it calls part() with its main function, which returns rows for
bench/results/NAME.csv or raises Skip with the reason why there is nothing to measure. Processors without AVX-512 have
files of their own (NAME-avx2.csv): their figures stand beside the others', they don't replace them. Every row starts with the
commit, the processor and the load average when the part began: other work on the machine is seen there.

Turns: everyone does the same piece of work once a round, in an order that rotates, so what else the machine
does hits all alike. Wall time is what a user waits for; processor time is what waiting for a busy
processor does not lengthen. Ratios are of medians. Python's standard library only.
"""
import collections
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("WN_SHARED", ROOT.parent / "shared"))
MODELS = pathlib.Path(os.environ.get("WINNOW_CACHE", pathlib.Path.home() / ".cache" / "winnow")) / "models"
RESULTS = ROOT / "bench" / "results"
RERANKER = ROOT / "models" / "reranker-minilm-l6-v1"
THREADS = min(2, len(os.sched_getaffinity(0)))
PRECISIONS = ("f32", "bf16", "int8")
# A pause between two turns, for the last one's spinning threads to go to sleep.
PAUSE = 0.02


class Skip(Exception):
    """Why a part, a peer or a precision is not measured."""


def cpu():
    lines = (line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
    facts = {}
    for key, value in lines:
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", "").split()
    able = [name for name, flag in (("AVX-512", "avx512f"), ("VNNI", "avx512_vnni"), ("BF16", "avx512_bf16")) if flag in flags]
    able = able or ["AVX2"] * ("avx2" in flags)
    kind = f"family {facts['cpu family']} model {facts['model']}" if "cpu family" in facts and "model" in facts else ""
    return ", ".join(filter(None, (facts.get("model name", "?"), kind, f"{len(os.sched_getaffinity(0))} processors", " ".join(able))))


def tier():
    """What the names of result files end in: "" on a processor with AVX-512."""
    known = cpu()
    return "" if "AVX-512" in known else "-avx2" if "AVX2" in known else f"-{os.uname().machine}"


def commit():
    """Short name of HEAD; "+" when anything but documents and results differs from it."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    same = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", ":!bench/results", ":!docs", ":!*.md"], capture_output=True).returncode == 0
    return (name or "?") + ("" if same else "+")


def write_csv(name, rows, stamp):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{tier()}.csv"
    with open(path, "w", newline="") as f:
        out = csv.DictWriter(f, list(stamp) + list(dict.fromkeys(k for r in rows for k in r)), lineterminator="\n")
        out.writeheader()
        out.writerows({**stamp, **r} for r in rows)
    print(f"written: {path.relative_to(ROOT)}", flush=True)


def part(name, main):
    """Runs one part: its rows into results/NAME.csv, or SKIPPED and the reason."""
    stamp = {"commit": commit(), "cpu": cpu(), "load": round(os.getloadavg()[0], 1)}
    try:
        rows = main()
    except Skip as e:
        print(f"SKIPPED {name}: {e}", flush=True)
        return 0
    if rows:
        write_csv(name, rows, stamp)
    return 0


def program(name):
    path = ROOT / "build" / "bench" / name
    if not path.exists():
        raise Skip(f"{path.relative_to(ROOT)} is not built (make)")
    return path


def present(path, what):
    if not path.exists():
        raise Skip(f"no {what} at {path} (WN_SHARED, WINNOW_CACHE name the places)")
    return path


class Worker:
    """A program of ours that answers lines: a request a line in, numbers a line out."""

    def __init__(self, command):
        self.command = [str(c) for c in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, request):
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise Skip(self.process.stderr.read().strip() or f"{self.command[0]} ended")
        return [float(x) for x in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def busy():
    """Whether other work wants the processors, so that wall time tells of it too."""
    return os.getloadavg()[0] > len(os.sched_getaffinity(0)) + 1


def timed(f, *arguments):
    """Wall and processor milliseconds of a call in this process (all its threads)."""
    wall, used = time.perf_counter(), time.process_time()
    f(*arguments)
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - used) * 1e3


def take_turns(runs, rounds, items=(None,)):
    """runs: name -> function of an item that gives (wall ms, processor ms). Returns name -> list of both."""
    times, order = collections.defaultdict(list), list(runs)
    for r in range(rounds):
        for item in items:
            order = order[1:] + order[:1]
            for name in order:
                times[name].append(tuple(runs[name](item)[:2]))
                time.sleep(PAUSE)
        print(f"  round {r + 1} of {rounds}", file=sys.stderr, flush=True)
    return {name: times[name] for name in runs}


def medians(times):
    """Median wall, least wall, median processor time."""
    return {"wall_ms": round(statistics.median(w for w, _ in times), 3), "least_ms": round(min(w for w, _ in times), 3),
            "cpu_ms": round(statistics.median(c for _, c in times), 3)}


def candidates(folder, queries, most=50):
    """The first `queries` queries of a BEIR folder, each with the texts of its `most` first BM25 candidates."""
    text = {}
    with open(folder / "corpus.jsonl", encoding="utf-8") as f:
        for row in map(json.loads, f):
            text[row["_id"]] = row["text"]
    run = collections.defaultdict(list)
    with open(folder / "runs" / "BM25.trec") as f:
        for q, _, d, rank, *_ in map(str.split, f):
            run[q].append((int(rank), d))
    with open(folder / "queries.jsonl", encoding="utf-8") as f:
        rows = [json.loads(line) for _, line in zip(range(queries), f)]
    return [[(r["text"], text[d]) for _, d in sorted(run[r["_id"]])[:most]] for r in rows]
