#!/usr/bin/env python3
"""winnow serve under 1 to 256 clients, beside FastAPI + sentence-transformers and FastAPI + ONNX Runtime.

    make bench-server
    bench/bench_server.py [--clients 1 8 64 256] [--seconds 3] [--most 60] [--without NAME...] [--csv FILE]

Two kinds of request: rerank of 20 short passages, and the embedding of one query. A cell is one server, one kind, one
number of clients for --seconds, then until every request under way is answered (at most --most; what has not come by
then counts with its age, and percentiles of that cell are lower bounds: marked >). Servers take turns within a number
of clients, so what else the machine does hits all alike: believe ratios. All servers get the same models, requests and
number of threads; bench/http_load.c sends and times. Each server is a session of its own: Linux then shares the processors
between servers and whatever else runs (autogroup), and forty threads get no more than two.

winnow is there twice: in f32 as it comes, and with --precision auto. Every distinct request's answer is checked: winnow's
against `winnow score` and `winnow embed`, the peers' against winnow's to 1e-2 (auto's to 1e-1); later answers to the
same request must be the same bytes.

The floor is the library's processor time for the same work in f32, by the same commands over many rows (the start is
subtracted); cpu is the server's user and system time over its answers. Peers run under WN_BENCH_PYTHON's interpreter.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("WINNOW_CACHE", pathlib.Path.home() / ".cache" / "winnow")) / "models"
PYTHON = os.environ.get("WN_BENCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
PASSAGES, DISTINCT = 20, 16
AUTO = "winnow auto"  # --precision auto: bf16 where the processor has it
WORDS = """a the of in to and is for was on with as by at from it his be this had which or but were not are their have
water river city law house school music paper engine bridge court market doctor winter island science window garden
metal history language forest price member system memory morning account answer animal border captain debate energy
found built paid holds moved sold wrote keeps carries opened larger early public common modern local""".split()


def sentence(rng, n):
    return " ".join(rng.choice(WORDS) for _ in range(n)).capitalize() + "."


class Work:
    """The requests, and what the library says to them."""

    def __init__(self):
        rng = random.Random(20)
        self.queries = [sentence(rng, 7) for _ in range(DISTINCT)]
        self.documents = [[sentence(rng, rng.randrange(8, 18)) for _ in range(PASSAGES)] for _ in range(DISTINCT)]

    def body(self, kind, peer, i):
        if kind == "embed":
            return ("/embed", {"input": [self.queries[i]]}) if peer else ("/v1/embeddings", {"input": self.queries[i]})
        body = {"query": self.queries[i], "documents": self.documents[i]}
        return ("/rerank", body) if peer else ("/v1/rerank", {**body, "raw_scores": True})

    def write(self, path, kind, peer):
        with open(path, "wb") as out:
            for i in range(DISTINCT):
                where, body = self.body(kind, peer, i)
                data = json.dumps(body).encode()
                out.write(f"{where} {len(data)}\n".encode() + data)

    def rows(self, kind, times):
        if kind == "embed":
            return [{"text": q} for q in self.queries] * times
        return [{"query": q, "document": d} for q, docs in zip(self.queries, self.documents) for d in docs] * times


def answers_of(path):
    out = []
    with open(path, "rb") as f:
        while line := f.readline():
            status, length = map(int, line.split())
            data = f.read(length)
            out.append(json.loads(data) if status == 200 else None)
    return out


def numbers(kind, peer, answer):
    if kind == "embed":
        return answer["embeddings"][0] if peer else answer["data"][0]["embedding"]
    if peer:
        return answer["scores"]
    return [r["logit"] for r in sorted(answer["results"], key=lambda r: r["index"])]


class Library:
    def __init__(self, winnow, model, kind, work, threads):
        self.command = [str(winnow), "score" if kind == "rerank" else "embed", "--model", str(model), "--threads", str(threads)]
        if kind == "embed":
            self.command += ["--role", "document"]
        self.kind, self.work = kind, work

    def run(self, times):
        rows = self.work.rows(self.kind, times)
        data = "".join(json.dumps(r) + "\n" for r in rows).encode()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self.command, input=data, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3, done.stdout

    def expected(self):
        rows = [json.loads(line) for line in self.run(1)[1].splitlines()]
        if self.kind == "embed":
            return [r["embedding"] for r in rows]
        return [[r["logit"] for r in rows[i * PASSAGES:(i + 1) * PASSAGES]] for i in range(DISTINCT)]

    def floor_ms(self):
        """Processor time a request, in batches as large as the command makes them."""
        few, many = (1, 4) if self.kind == "rerank" else (2, 42)
        small = min(self.run(few)[0] for _ in range(2))
        large = min(self.run(many)[0] for _ in range(2))
        return (large - small) / ((many - few) * DISTINCT)


class Process:
    def __init__(self, name, command, env, host=None):
        self.name, self.peer = name, not name.startswith("winnow")
        self.process = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        start_new_session=True, stderr=subprocess.PIPE if host is None else subprocess.DEVNULL)
        while host is None:
            line = self.process.stderr.readline().decode()
            if not line:
                sys.exit(f"{name} did not start")
            found = re.search(r"(127\.0\.0\.1:\d+)", line)
            host = found and found.group(1)
        self.host = host
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://{host}/ready", timeout=5).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{name} ended with {self.process.returncode}")
                time.sleep(0.1)
        sys.exit(f"{name} is not ready")

    def cpu_ms(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, a):
    if name.startswith("winnow"):
        return Process(name, [str(a.build / "winnow"), "serve", "--listen", "127.0.0.1:0", "--embedder", str(a.embedder), "--reranker",
                              str(a.reranker), "--threads", str(a.threads), "--precision", "auto" if name == AUTO else "f32"], {})
    port = free_port()
    env = {"WN_PEER": name, "WN_RERANKER": str(a.reranker), "WN_EMBEDDER": str(a.embedder), "WN_PEER_WORK": str(a.work), "WN_THREADS": str(a.threads),
           "OMP_NUM_THREADS": str(a.threads), "TOKENIZERS_PARALLELISM": "false"}
    return Process(name, [PYTHON, "-m", "uvicorn", "server_peer:app", "--app-dir", str(ROOT / "bench"), "--host", "127.0.0.1", "--port",
                          str(port), "--log-level", "error"], env, f"127.0.0.1:{port}")


def check(server, kind, answers, expected):
    """The largest difference to the library; ends the run when it is no rounding."""
    worst = 0
    for i, answer in enumerate(answers):
        if answer is None:
            continue
        got = numbers(kind, server.peer, answer)
        worst = max([worst] + [abs(x - y) for x, y in zip(got, expected[i], strict=True)])
    most = 1e-1 if server.name == AUTO else 1e-2 if server.peer else 1e-5
    if not worst <= most:
        sys.exit(f"{server.name}, {kind}: an answer differs from the library's by {worst}")
    return worst


def cell(a, server, kind, clients, work, expected):
    requests, answers = a.scratch / "requests", a.scratch / "answers"
    work.write(requests, kind, server.peer)
    before = server.cpu_ms()
    done = subprocess.run([str(a.build / "bench" / "http_load"), server.host, str(clients), str(a.seconds), str(a.most), str(requests),
                           str(answers)], capture_output=True, check=True, text=True, start_new_session=True)
    row = {"server": server.name, "kind": kind, **json.loads(done.stdout)}
    row["cpu_ms_per_answer"] = round((server.cpu_ms() - before) / max(1, row["answers"]), 2)
    row["resident_mib"] = round(server.resident_mib(), 1)
    row["largest_difference"] = f"{check(server, kind, answers_of(answers), expected):.1e}"
    if row["different"] and not server.peer:
        sys.exit(f"winnow answered the same {kind} request differently {row['different']} times")
    return row


def warm_up(a, server, kind, work, expected):
    seconds, a.seconds = a.seconds, 1
    cell(a, server, kind, 2, work, expected)
    a.seconds = seconds


def restarted(a, server, kind, work, expected):
    """A server that works on after the end of its cell would take the processors from the next one's."""
    server.process.kill()
    server.process.wait()
    server = start(server.name, a)
    warm_up(a, server, kind, work, expected)
    return server


def machine():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def show(row, floor):
    mark = ">" if row["unfinished"] else " "
    print(f"{row['kind']:6} {row['clients']:4} clients  {row['server']:21} {row['per_s']:8.2f}/s  p50 {row['p50_ms']:9.1f}{mark} p95 {row['p95_ms']:9.1f}{mark} "
          f"p99 {row['p99_ms']:9.1f}{mark} ms  cpu {row['cpu_ms_per_answer']:7.2f} ms = {row['cpu_ms_per_answer'] / floor:5.2f} floors  "
          f"{row['answers']} answers, {row['errors']} errors, {row['unfinished']} unfinished, {row['resident_mib']:.0f} MiB", flush=True)


def verdicts(rows):
    """By medians where a cell was repeated (--clients 1 64 1 64 1 64)."""
    cells = {}
    for r in rows:
        cells.setdefault((r["server"], r["kind"], r["clients"]), []).append(r)

    def of(server, kind, clients, what):
        return statistics.median(r[what] for r in cells[server, kind, clients])

    def say(text, value, bound, good):
        print(f"{'met   ' if good else 'MISSED'} {text}: {value:.2f} (target {bound})")
    if ("winnow", "embed", 1) in cells and ("winnow", "embed", 64) in cells:
        ratio = of("winnow", "embed", 64, "per_s") / of("winnow", "embed", 1, "per_s")
        say("embeddings a second, 64 clients over one", ratio, ">= 1.5", ratio >= 1.5)
    for kind in ("embed", "rerank"):
        if ("winnow", kind, 1) in cells and ("winnow", kind, 8) in cells:
            ratio = of("winnow", kind, 8, "p99_ms") / of("winnow", kind, 1, "p50_ms")
            say(f"{kind}, p99 at 8 clients over one request's median time", ratio, "<= 10", ratio <= 10)
    for server, kind, clients in cells:
        if not server.startswith("winnow") and of(server, kind, clients, "answers"):
            print(f"       {kind} at {clients} clients, winnow over {server}: "
                  f"{of('winnow', kind, clients, 'per_s') / of(server, kind, clients, 'per_s'):.2f} of its throughput, "
                  f"{of('winnow', kind, clients, 'cpu_ms_per_answer') / of(server, kind, clients, 'cpu_ms_per_answer'):.2f} of its processor time a request")


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, rows[0])
        out.writeheader()
        out.writerows(rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--reranker", type=pathlib.Path, default=ROOT / "models" / "reranker-minilm-l6-v0")
    p.add_argument("--embedder", type=pathlib.Path, default=CACHE / "all-MiniLM-L6-v2")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers")
    p.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 256])
    p.add_argument("--kinds", nargs="+", default=["embed", "rerank"])
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--most", type=float, default=60)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--without", nargs="*", default=[], help="servers to leave out")
    p.add_argument("--csv", type=pathlib.Path)
    a = p.parse_args()
    names = [n for n in ("winnow", AUTO, "sentence-transformers", "onnxruntime") if n not in a.without]
    if not os.path.exists(PYTHON):
        print(f"SKIPPED the peers: no {PYTHON} (tools/bench_server.sh makes it)")
        names = [n for n in names if n.startswith("winnow")]
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    rows, servers, work = [], [], Work()
    print(f"{commit}, {machine()}, {a.threads} threads, load {os.getloadavg()[0]:.1f}", flush=True)
    a.work.mkdir(parents=True, exist_ok=True)  # the peers' exported graphs stay there
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        a.scratch = pathlib.Path(folder)
        try:
            servers = [start(n, a) for n in names]
            for kind in a.kinds:
                library = Library(a.build / "winnow", a.embedder if kind == "embed" else a.reranker, kind, work, a.threads)
                expected, floor = library.expected(), library.floor_ms()
                print(f"{kind}: the library alone takes {floor:.2f} ms of processor time a request", flush=True)
                for server in servers:
                    warm_up(a, server, kind, work, expected)
                for turn, clients in enumerate(a.clients):
                    for i in range(turn, turn + len(servers)):
                        i %= len(servers)
                        row = cell(a, servers[i], kind, clients, work, expected)
                        if row["unfinished"]:
                            servers[i] = restarted(a, servers[i], kind, work, expected)
                        rows.append({"commit": commit, "cpu": machine(), "threads": a.threads, "load": round(os.getloadavg()[0], 1), **row,
                                     "floor_ms": round(floor, 2)})
                        show(row, floor)
                        if a.csv:
                            write(a.csv, rows)  # after each cell: what was measured is kept
        finally:
            for server in servers:
                server.stop()
    verdicts(rows)


if __name__ == "__main__":
    main()
