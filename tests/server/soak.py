#!/usr/bin/env python3
"""Mixed valid, hostile and aborted requests for a while; every score is the library's, and memory stays flat.

    make soak                                     ten minutes
    WINNOW=build/winnow tests/server/soak.py --seconds 25 [--clients 8] [--most-growth 0.02] [--seed 1]

Good clients ask in every dialect and by winnow's own API and compare every number with what `winnow score` and
`winnow embed` said before the start: bit for bit, for nine digits name one float; sigmoids to 1e-6. Hostile ones send damaged bodies, broken HTTP, wrong values and
over-large bodies; aborting ones hang up anywhere. A 5xx to any request, a wrong number, a refusal of a good request
or a server that ends fails the run.

Memory: the first third is warm-up (the allocator keeps what many at once have needed; model pages come in). Then the
median of resident memory over the second third is compared with that over the last: it may grow by 2 %. Medians,
because a large body passes through now and then. Python's standard library only.
"""
import argparse
import base64
import contextlib
import http.client
import json
import math
import os
import random
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from serving import EMBEDDER, RERANKER, WINNOW, Server, winnow_lines

WORDS = "the of window tenant bread hour matrix river law rain pays rises breaks holds grows ist naïve 日本 λ 🙂 LoRA low-rank".split()


def text_of(rng, n):
    return " ".join(rng.choice(WORDS) for _ in range(n))


class Library:
    """Texts with what the commands say to them, computed once."""

    def __init__(self, rng):
        self.queries = [text_of(rng, rng.randrange(1, 9)) for _ in range(8)]
        self.documents = [text_of(rng, rng.choice((1, 5, 12, 40))) for _ in range(14)] + [text_of(rng, 700)]
        rows = [{"query": q, "document": d} for q in self.queries for d in self.documents]
        scores = iter(winnow_lines("score", "--model", RERANKER, rows=rows))
        self.logits = [[next(scores)["logit"] for _ in self.documents] for _ in self.queries]
        self.vectors = [r["embedding"] for r in winnow_lines("embed", "--model", EMBEDDER, rows=[{"text": t} for t in self.documents])]

    def pick(self, rng):
        q = rng.randrange(len(self.queries))
        return q, rng.sample(range(len(self.documents)), rng.randrange(1, 7))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


class Soak:
    def __init__(self, library, index, seed):
        self.library, self.index, self.seed = library, index, seed
        self.server = None
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.problems, self.counts, self.numbers = [], {}, 0

    def problem(self, text):
        with self.lock:
            self.problems.append(text)
        self.stop.set()

    def count(self, what, numbers=0):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            self.numbers += numbers

    # ---- Good clients ----------------------------------------------------------------

    def near(self, got, want, what, tolerance=0.0):
        """tolerance 0: the same floats."""
        if len(got) != len(want):
            return self.problem(f"{what}: {len(got)} numbers, {len(want)} expected")
        for x, y in zip(got, want):
            if x is None or (abs(x - y) > tolerance if tolerance else struct.pack("f", x) != struct.pack("f", y)):
                return self.problem(f"{what}: {x!r}, the library says {y!r}")
        self.count(what, len(got))

    def post(self, connection, path, body):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        if response.status != 200:
            self.problem(f"{path}: a good request got {response.status}: {data[:300]!r}")
            return None
        return json.loads(data)

    def ask_rerank(self, rng, connection):
        q, picked = self.library.pick(rng)
        logits = [self.library.logits[q][d] for d in picked]
        path = rng.choice(("/v1/rerank", "/v2/rerank", "/reranking", "/rerank", "tei", "/predict", "/compare"))
        query, documents = self.library.queries[q], [self.library.documents[d] for d in picked]
        if path == "tei":
            got = self.post(connection, "/rerank", {"query": query, "texts": documents, "raw_scores": True})
            results = got and [(r["index"], r["score"]) for r in got]
        elif path == "/predict":
            got = self.post(connection, path, {"inputs": [[query, d] for d in documents], "raw_scores": True})
            results = got and [(i, r[0]["score"]) for i, r in enumerate(got)]
        elif path == "/compare":
            got = self.post(connection, path, {"query": query, "documents": documents})
            results = got and [(i, r["rerank_logit"]) for i, r in sorted((documents.index(r["document"]), r) for r in got["results"])]
        else:
            got = self.post(connection, path, {"query": query, "documents": documents})
            results = got and [(r["index"], r["logit"]) for r in got["results"]]
            if got and path[:2] == "/v":
                self.near([r["relevance_score"] for r in got["results"]], [sigmoid(logits[r["index"]]) for r in got["results"]], path + " sigmoid", 1e-6)
        if results:
            self.near([x for _, x in sorted(results)], logits, path)

    def ask_embedding(self, rng, connection):
        _, picked = self.library.pick(rng)
        texts, want = [self.library.documents[d] for d in picked], [self.library.vectors[d] for d in picked]
        path = rng.choice(("/v1/embeddings", "base64", "/embed", "/v2/embed", "/embedding"))
        if path in ("/v1/embeddings", "base64"):
            got = self.post(connection, "/v1/embeddings", {"input": texts, "encoding_format": "base64" if path == "base64" else "float"})
            vectors = got and [r["embedding"] for r in got["data"]]
            if vectors and path == "base64":
                vectors = [struct.unpack(f"<{len(want[0])}f", base64.b64decode(v)) for v in vectors]
        elif path == "/embed":
            vectors = self.post(connection, path, {"inputs": texts, "truncate": True})
        elif path == "/v2/embed":
            got = self.post(connection, path, {"texts": texts, "embedding_types": ["float"]})
            vectors = got and got["embeddings"]["float"]
        else:
            got = self.post(connection, path, {"content": texts})
            vectors = got and [r["embedding"][0] for r in got]
        for v, w in zip(vectors or [], want):
            self.near(v, w, path)

    def ask_index(self, rng, connection):
        """/search for a document that another request put; what the reranker says of it is known."""
        d = rng.randrange(len(self.library.documents) - 1)
        source = f"soak-{d}"
        if rng.random() < 0.3:
            self.post(connection, "/documents", {"documents": [{"source": source, "text": self.library.documents[d]}]})
            return self.count("/documents")
        q = rng.randrange(len(self.library.queries))
        got = self.post(connection, "/search", {"query": self.library.queries[q], "k": 50, "first_stage_k": 50})
        for r in got["results"] if got else []:
            name = r["document"]
            if name.startswith("soak-") and r["content"] == self.library.documents[int(name[5:])]: # one passage
                self.near([r["rerank_logit"]], [self.library.logits[q][int(name[5:])]], "/search")
        return None

    def good(self, number):
        rng = random.Random(self.seed * 1000 + number)
        connection = http.client.HTTPConnection(self.server.address, timeout=120)
        while not self.stop.is_set():
            ask = rng.choices((self.ask_rerank, self.ask_embedding, self.ask_index), (6, 4, 1 if self.index else 0))[0]
            try:
                ask(rng, connection)
            except (OSError, http.client.HTTPException) as e:
                if not self.stop.is_set():
                    self.problem(f"a good client lost its connection: {e!r}")
            except (KeyError, TypeError, IndexError, ValueError) as e:
                self.problem(f"an answer of another shape: {e!r} in {ask.__name__}")
            if rng.random() < 0.1:
                connection.close()
        connection.close()

    # ---- Bad ones --------------------------------------------------------------------

    PATHS = ("/v1/rerank", "/v2/rerank", "/rerank", "/reranking", "/v1/embeddings", "/v2/embed", "/embed", "/predict", "/similarity",
             "/tokenize", "/embedding", "/search", "/compare", "/explain", "/documents", "/impact", "/eval", "/nothing", "/", "/metrics")

    def damaged(self, rng):
        q, picked = self.library.pick(rng)
        body = bytearray(json.dumps({"query": self.library.queries[q], "documents": [self.library.documents[d] for d in picked[:2]],
                                     "texts": ["a"], "input": "b", "inputs": ["c"], "top_n": 2}).encode())
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(body))
            what = rng.randrange(5)
            if what == 0:
                body[at] = rng.randrange(256)
            elif what == 1:
                del body[at:at + rng.randrange(1, 30)]
            elif what == 2:
                body[at:at] = rng.choice((b"null", b"[[[[[", b"{}", b"-1e999", b'"\\ud800"', b"\xff", b"1" * 400, b"[" * 5000))
            elif what == 3:
                body[at:at] = rng.randbytes(10)
            else:
                body = body[:at + 1]
            body = body or bytearray(b"{")
        return bytes(body)

    def hostile(self, number):
        rng = random.Random(self.seed * 2000 + number)
        host, port = self.server.address.rsplit(":", 1)
        while not self.stop.is_set():
            kind, path = rng.randrange(6), rng.choice(self.PATHS)
            body = self.damaged(rng) if kind < 4 else b"x" * (3 << 20)
            head = f"{rng.choice(('POST', 'POST', 'PUT', 'GET', 'DELETE', 'BREW'))} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            if rng.random() < 0.2:
                head += "".join(f"X-{i}: {rng.randrange(10 ** 9)}\r\n" for i in range(rng.randrange(900)))
            data = head.encode() + b"\r\n" + body
            if kind == 1:
                data = bytes(b if rng.random() > 0.002 else rng.randrange(256) for b in data)
            try:
                with socket.create_connection((host, int(port)), timeout=5) as s:
                    if kind in (2, 3): # hangs up in the midst, or before the answer
                        s.sendall(data[:rng.randrange(len(data))] if kind == 2 else data)
                        if rng.random() < 0.5:
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.count("aborted")
                        continue
                    s.sendall(data)
                    s.settimeout(2 if kind != 1 else 0.2)
                    answer = s.recv(4096)
                    if answer[9:10] == b"5" and answer[9:12] not in (b"505", b"501"):
                        self.problem(f"{data[:300]!r} got {answer[:400]!r}")
                    self.count("hostile")
            except OSError:
                self.count("hostile")

    # ---- The run ---------------------------------------------------------------------

    def resident(self):
        with open(f"/proc/{self.server.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def run(self, seconds, clients):
        threads = [threading.Thread(target=self.good, args=(i,)) for i in range(clients)]
        threads += [threading.Thread(target=self.hostile, args=(i,)) for i in range(max(1, clients // 2))]
        samples = []
        for t in threads:
            t.start()
        begin = time.monotonic()
        while not self.stop.wait(0.25) and time.monotonic() - begin < seconds:
            if self.server.process.poll() is not None:
                self.problem("the server ended: " + "".join(self.server.lines[-30:]))
                break
            samples.append(self.resident())
        self.stop.set()
        for t in threads:
            t.join(60)
        return samples


def make_index(folder):
    path = os.path.join(folder, "soak.wnindex")
    page = os.path.join(folder, "page.md")
    with open(page, "w", encoding="utf-8") as f:
        f.write("# A page\n\nThat is always there.\n")
    subprocess.run([WINNOW, "index", page, "-o", path, "--model", EMBEDDER, "--quiet"], check=True, timeout=120)
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=600)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--most-growth", type=float, default=0.02, help="of resident memory; 0: only told (a sanitizer keeps what was freed)")
    a, _ = p.parse_known_args()
    library = Library(random.Random(a.seed))
    folder = tempfile.TemporaryDirectory(prefix="winnow-soak-")
    with folder:
        soak = Soak(library, make_index(folder.name), a.seed)
        soak.server = Server("--index", soak.index, "--reranker", RERANKER)
        samples = soak.run(a.seconds, a.clients)
        with contextlib.suppress(AssertionError):
            soak.server.stop()
    if soak.server.process.returncode:
        soak.problem(f"the server ended with {soak.server.process.returncode}: " + "".join(soak.server.lines[-60:]))
    third = max(1, len(samples) // 3)
    second, last = statistics.median(samples[third:2 * third] or [1]), statistics.median(samples[2 * third:] or [1])
    growth = last / second - 1
    if a.most_growth and growth > a.most_growth:
        soak.problem(f"resident memory grew from {second / 2 ** 20:.1f} to {last / 2 ** 20:.1f} MiB")
    print(f"{a.seconds:.0f} s: {sum(soak.counts.values())} requests, {soak.numbers} numbers compared, resident {second / 2 ** 20:.1f} -> "
          f"{last / 2 ** 20:.1f} MiB ({growth:+.2%})")
    for what, n in sorted(soak.counts.items()):
        print(f"   {what:22} {n}")
    for text in soak.problems[:10]:
        print("FAILED", text)
    return 1 if soak.problems or not soak.numbers else 0


if __name__ == "__main__":
    sys.exit(main())
