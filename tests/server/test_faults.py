#!/usr/bin/env python3
"""What networks, disks and bad clients do to the server; after each it must serve the next good client.

    WINNOW=build/winnow python3 tests/server/test_faults.py

Every case ends with the same question: is the process alive, are its gauges back at rest (no request, no body
byte held), and is a good client's score still the library's? Bytes that are random come from a fixed seed, so
a failure comes again. Python's standard library only.
"""
import contextlib
import http.client
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from serving import EMBEDDER, RERANKER, WINNOW, Server, winnow_lines

MIB = 1 << 20
QUERY = "who pays for a broken window?"
DOCUMENTS = ["The tenant pays for windows that he broke.", "Bread rises in an hour."]
GOOD = json.dumps({"query": QUERY, "documents": DOCUMENTS, "raw_scores": True}).encode()
PATHS = ("/v1/rerank", "/v2/rerank", "/rerank", "/reranking", "/v1/embeddings", "/v1/embed", "/v2/embed", "/embed",
         "/embedding", "/embeddings", "/predict", "/similarity", "/tokenize")
server = None
expected = None


def setUpModule():
    global server, expected
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    expected = [r["logit"] for r in winnow_lines("score", "--model", RERANKER,
                                                 rows=[{"query": QUERY, "document": d} for d in DOCUMENTS])]
    server = Server("--embedder", EMBEDDER, "--reranker", RERANKER, "--client-timeout", "3")
    for _ in range(20):
        good_client(server)


def tearDownModule():
    server.stop()


def resident(of):
    with open(f"/proc/{of.process.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def metrics(of, headers=None):
    connection = http.client.HTTPConnection(of.address, timeout=30)
    connection.request("GET", "/metrics", headers=headers or {})
    text = connection.getresponse().read().decode()
    connection.close()
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.M)}


def good_client(of, headers=None):
    status, reply, _ = of.post("/v1/rerank", GOOD, headers)
    if status != 200:
        raise AssertionError(f"a good client got {status}: {reply}")
    got = {r["index"]: r["logit"] for r in reply["results"]}
    for i, logit in enumerate(expected):
        if abs(got[i] - logit) > 1e-6 * max(1, abs(logit)):
            raise AssertionError(f"a good client got {got[i]}, the library says {logit}")


def connect(of, timeout=30):
    host, port = of.address.rsplit(":", 1)
    s = socket.create_connection((host, int(port)), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def reset(s):
    """Closes with RST, as a crashed client's kernel does."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def post_bytes(path, body, *headers):
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        head.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def read_all(s):
    """All until the other side closes, resets or says nothing for the socket's timeout."""
    got = b""
    with contextlib.suppress(OSError):
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
    return got


def read_replies(s, n):
    """n replies with Content-Length from one connection: [(status, body)]."""
    data, replies = b"", []
    while len(replies) < n:
        end = data.find(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", data[:end], re.I) if end >= 0 else None
        if length and len(data) >= end + 4 + int(length.group(1)):
            stop = end + 4 + int(length.group(1))
            replies.append((int(data.split(b" ", 2)[1]), data[end + 4:stop]))
            data = data[stop:]
            continue
        piece = s.recv(65536)
        if not piece:
            raise AssertionError(f"closed after {len(replies)} of {n} replies: {data[:200]!r}")
        data += piece
    return replies


class Fault(unittest.TestCase):
    def setUp(self):
        self.assertIsNone(server.process.poll(), "the server is gone: " + "".join(server.lines[-20:]))

    def rest(self, of=None, headers=None):
        """The server is idle again and answers rightly."""
        of = of or server
        for _ in range(150):
            now = metrics(of, headers)
            # the request for the metrics is one
            if now["winnow_requests_running"] <= 1 and now["winnow_request_body_bytes"] == 0 and now["winnow_queue_requests"] == 0:
                break
            time.sleep(0.1)
        self.assertIsNone(of.process.poll(), "the server is gone: " + "".join(of.lines[-20:]))
        self.assertLessEqual(now["winnow_requests_running"], 1)
        self.assertEqual(now["winnow_request_body_bytes"], 0)
        self.assertEqual(now["winnow_queue_requests"], 0)
        good_client(of, headers)
        return now

    def flat(self, before, most, of=None):
        grown = resident(of or server) - before
        self.assertLess(grown, most, f"resident memory grew by {grown / MIB:.1f} MiB")


class Bodies(Fault):
    def send_large(self, head, chunked, size=100 * MIB):
        piece = b"x" * (1 << 16)
        if chunked:
            piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        with connect(server) as s:
            s.sendall(head)
            sent, most = 0, 0
            while sent < size:
                s.sendall(piece)
                sent += 1 << 16
                if sent % (8 * MIB) == 0:
                    most = max(most, resident(server))
            if chunked:
                s.sendall(b"0\r\n\r\n")
            return read_replies(s, 1)[0], most

    def test_100_mb_with_length_is_413_and_memory_stays_flat(self):
        before = resident(server)
        (status, body), most = self.send_large(post_bytes("/v1/rerank", b"", f"Content-Length: {100 * MIB}"), False)
        self.assertEqual(status, 413)
        self.assertIn("message", json.loads(body))
        self.assertLess(most - before, 8 * MIB)
        self.rest()

    def test_100_mb_in_chunks_is_413_and_memory_stays_flat(self):
        before = resident(server)
        (status, body), most = self.send_large(post_bytes("/embed", b"", "Transfer-Encoding: chunked"), True)
        self.assertEqual(status, 413)
        self.assertIn("error_type", json.loads(body))
        self.assertLess(most - before, 8 * MIB)
        self.rest()

    def test_a_length_of_many_digits_is_refused(self):
        for length in ("18446744073709551615", "9" * 30, "-1", "1e3", "0x10", "12 13", ""):
            with connect(server, 5) as s:
                s.sendall(post_bytes("/v1/rerank", b"", f"Content-Length: {length}", "Expect: 100-continue"))
                answer = s.recv(100)
            self.assertRegex(answer, rb"^(HTTP/1.[01] 4\d\d |$)", length)
        self.rest()

    def test_a_million_brackets_are_400_on_every_path(self):
        n = 10 ** 6
        bodies = (b"[" * n, b'{"a":' * (n // 5), b'{"query":"q","documents":' + b"[" * n + b"]" * n + b"}")
        for path in PATHS:
            for body in bodies:
                self.assertLess(len(body), 2 * MIB)
                status, reply, _ = server.post(path, body)
                self.assertEqual(status, 400, f"{path}: {reply}")
        self.rest()

    def test_aborted_uploads_leave_nothing(self):
        body = GOOD + b" " * (512 << 10)

        def abort(n):
            for i in range(n):
                s = connect(server)
                s.sendall(post_bytes("/v1/rerank", body)[:1000 + i * 300000 // n])
                if i % 2:
                    reset(s)
                else:
                    s.close()
            self.rest()
        abort(120) # the allocator keeps what so many at once need, some 5 MiB more or less each time
        before = resident(server)
        abort(120) # 18 MB
        self.flat(before, 12 * MIB)

    def test_clients_that_leave_before_the_answer_leave_nothing(self):
        before = metrics(server)["winnow_requests_aborted_total"]
        body = json.dumps({"query": QUERY, "documents": ["a long wait for a passage " * 40] * 20}).encode()
        for i in range(40):
            s = connect(server)
            s.sendall(post_bytes("/v1/rerank", body))
            if i % 2:
                reset(s)
            else:
                s.close()
        now = self.rest()
        self.assertGreater(now["winnow_requests_aborted_total"], before)


class Http(Fault):
    MALFORMED = (b"\r\n\r\n", b"\x00" * 100, b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET /%zz%00%ff HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 300, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"POST /embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                 b"POST /embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                 b"POST /embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{}x",
                 b"POST /embed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}xx",
                 b"POST /embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}", b"GET /\x01\x02 HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\n: a\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", b"A" * 100000, b"GET " + b"/a" * 50000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"FOO /embed HTTP/1.1\r\nHost: a\r\n\r\n")

    def test_malformed_requests_get_4xx_or_the_door(self):
        statuses = []
        for data in self.MALFORMED:
            with connect(server, 0.2) as s:
                with contextlib.suppress(OSError):
                    s.sendall(data)
                answer = read_all(s)
            if answer:
                self.assertRegex(answer, rb"^HTTP/1\.[01] \d{3} ", data[:60])
                statuses.append(int(answer.split(b" ", 2)[1]))
                self.assertLess(statuses[-1], 500 if b"HTTP/9" not in data and b"HTTP/2" not in data else 506, data[:60])
        self.assertGreater(sum(400 <= s < 500 for s in statuses), 8)
        self.rest()

    def test_random_bytes_never_end_the_server(self):
        rng = random.Random(7)
        seeds = [post_bytes(p, GOOD) for p in PATHS] + [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                 post_bytes("/embed", b'5\r\n{"inp\r\n0\r\n\r\n', "Transfer-Encoding: chunked")]
        end, rounds, fives = time.monotonic() + 4, 0, []
        while time.monotonic() < end:
            data = bytearray(rng.choice(seeds) if rng.random() < 0.8 else rng.randbytes(rng.randrange(1, 3000)))
            for _ in range(rng.randrange(0, 9)):
                at = rng.randrange(len(data))
                what = rng.randrange(4)
                if what == 0: data[at] = rng.randrange(256)
                elif what == 1: del data[at:at + rng.randrange(1, 40)]
                elif what == 2: data[at:at] = rng.randbytes(rng.randrange(1, 20))
                else: data[at:at] = data[:rng.randrange(len(data))]
                data = data or bytearray(b"x")
            s = connect(server, 0.02)
            with contextlib.suppress(OSError):
                s.sendall(data)
            answer = read_all(s)
            if re.match(rb"HTTP/1.[01] 50[0-46-9]", answer):
                fives.append((bytes(data), answer))
            if rng.random() < 0.5:
                reset(s)
            else:
                s.close()
            rounds += 1
        self.assertFalse(fives, fives[:1])
        self.assertGreater(rounds, 40)
        print(f"{rounds} byte strings", end=" ", flush=True)
        self.rest()

    def test_header_floods_are_refused_and_memory_stays_flat(self):
        before = resident(server)
        many = b"".join(b"X-%d: y\r\n" % i for i in range(100000))
        long = b"X-Long: " + b"z" * (1 << 20) + b"\r\n"
        cookies = b"Cookie: a=b\r\n" * 50000
        for flood in (many, long, cookies) * 3:
            with connect(server, 5) as s:
                with contextlib.suppress(OSError):
                    s.sendall(b"POST /embed HTTP/1.1\r\nHost: a\r\n" + flood + b"\r\n")
                answer = read_all(s)
            self.assertRegex(answer, rb"^(HTTP/1.[01] (431|413|400|414) |$)")
        with connect(server, 5) as s: # without end
            with contextlib.suppress(OSError):
                for _ in range(20000):
                    s.sendall(b"A: b\r\n" * 100)
                self.fail("a head without end is read without end")
        self.rest()
        self.flat(before, 8 * MIB)

    def test_pipelined_requests_are_answered_in_order(self):
        one = json.dumps({"query": QUERY, "documents": DOCUMENTS[:1]}).encode()
        with connect(server) as s:
            s.sendall(post_bytes("/v1/rerank", GOOD) + post_bytes("/embed", b"{") + post_bytes("/v1/rerank", one) +
                      b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + post_bytes("/v1/rerank", GOOD))
            replies = read_replies(s, 5)
        self.assertEqual([r[0] for r in replies], [200, 400, 200, 200, 200])
        self.assertEqual([len(json.loads(replies[i][1])["results"]) for i in (0, 2, 4)], [2, 1, 2])
        self.rest()

    def test_a_hundred_pipelined_requests_then_gone(self):
        for _ in range(5):
            s = connect(server)
            with contextlib.suppress(OSError):
                s.sendall(post_bytes("/v1/rerank", GOOD) * 100)
            reset(s)
        self.rest()

    def test_half_closed_sockets_leave_nothing(self):
        """A whole request and then FIN counts as gone (connections.c says why); half a request waits for its timeout."""
        sockets = []
        for i in range(30):
            s = connect(server, 10)
            data = post_bytes("/v1/rerank", GOOD)
            s.sendall(data[:len(data) - (i % 3) * 40])
            s.shutdown(socket.SHUT_WR)
            sockets.append(s)
        for s in sockets:
            self.assertRegex(read_all(s), rb"^(HTTP/1.1 (200|4\d\d) |$)")
            s.close()
        self.rest()

    def test_a_client_that_never_reads_is_cut(self):
        """By libmicrohttpd's own timeout, which counts from the last byte that could be sent."""
        sockets = []
        for _ in range(3):
            s = connect(server)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setblocking(False)
            with contextlib.suppress(OSError):
                while True:
                    s.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            sockets.append(s)
        good_client(server)
        for _ in range(200):
            if metrics(server)["winnow_connections"] <= 1: break
            time.sleep(0.1)
        self.assertLessEqual(metrics(server)["winnow_connections"], 1)
        for s in sockets: s.close()
        self.rest()


class Slow(Fault):
    def test_good_clients_are_served_beside_a_thousand_dripping_ones(self):
        before = metrics(server)
        head, body = post_bytes("/v1/rerank", b"", "Content-Length: 1000"), b'{"query"'
        drips, stop = [], threading.Event()
        for i in range(1000):
            s = connect(server)
            s.setblocking(False)
            drips.append((s, head[:20] if i % 2 else head + body)) # half never end their head, half their body
            s.send(drips[-1][1])

        def drip():
            while not stop.wait(0.5):
                for s, _ in drips:
                    with contextlib.suppress(OSError):
                        s.send(b"x")
        dripper = threading.Thread(target=drip)
        dripper.start()
        try:
            open_now, times = 0, []
            end = time.monotonic() + 9
            while time.monotonic() < end:
                start = time.monotonic()
                good_client(server)
                times.append(time.monotonic() - start)
                now = metrics(server)
                open_now = max(open_now, now["winnow_connections"])
                if now["winnow_connections_cut_total"] - before["winnow_connections_cut_total"] >= 1000: break
                time.sleep(0.05)
        finally:
            stop.set()
            dripper.join()
            for s, _ in drips: s.close()
        self.assertGreaterEqual(open_now, 900)
        self.assertGreater(len(times), 10)
        self.assertGreaterEqual(now["winnow_connections_cut_total"] - before["winnow_connections_cut_total"], 1000)
        print(f"{len(times)} good requests, slowest {max(times):.2f} s", end=" ", flush=True)
        self.rest()

    def test_silent_connections_over_the_limit_do_not_lock_good_clients_out(self):
        small = Server("--embedder", "none", "--reranker", RERANKER, "--client-timeout", "2", "--max-connections", "40")
        silent = []
        try:
            for _ in range(120):
                with contextlib.suppress(OSError):
                    silent.append(connect(small))
            served = 0
            end = time.monotonic() + 10
            while time.monotonic() < end and served < 5:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    good_client(small)
                    served += 1
            self.assertGreaterEqual(served, 5)
        finally:
            for s in silent: s.close()
            small.stop()


class Crowd(Fault):
    def test_any_number_at_the_same_moment_is_answered(self):
        """The process sleeps while they send: all their events wait at once. With libmicrohttpd's epoll a multiple of
        128 stood still until the client timeout."""
        request, hello = post_bytes("/v1/rerank", GOOD), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        for n in (100, 127, 128, 129, 256):
            crowd = [connect(server) for _ in range(n)]
            try:
                for s in crowd: # known to the server, and idle for less than its client timeout
                    s.sendall(hello)
                    read_replies(s, 1)
                server.process.send_signal(signal.SIGSTOP)
                for s in crowd: s.sendall(request)
                server.process.send_signal(signal.SIGCONT)
                for s in crowd:
                    (status, _), = read_replies(s, 1)
                    self.assertEqual(status, 200, f"{n} at once")
            finally:
                server.process.send_signal(signal.SIGCONT)
                for s in crowd: s.close()
        self.rest()


class Keys(Fault):
    SHAPES = {"/v1/embeddings": lambda e: e["error"]["code"] == "invalid_api_key", "/v1/rerank": lambda e: e["message"],
              "/embed": lambda e: e["error"], "/embedding": lambda e: e["error"]["code"] == 401, "/metrics": lambda e: e["error"]["code"] == 401}

    def test_wrong_keys_are_401_in_each_shape(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
            f.write("# keys\nalice secret-of-alice\nsecret-alone\n")
            f.flush()
            keyed = Server("--embedder", EMBEDDER, "--reranker", RERANKER, "--keys", f.name)
        try:
            wrong = ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"},
                     {"Authorization": "Bearer secret-of-alic"}, {"Authorization": "Bearer secret-of-alicee"}, {"Authorization": "Basic c2VjcmV0"},
                     {"Authorization": "Bearer alice"}, {"Authorization": "Bearer #"}, {"x-api-key": "nope"}, {"api-key": "x" * 9000},
                     {"Authorization": "Bearer wrong", "x-api-key": "secret-alone"}, {"Authorization": "Bearer SECRET-ALONE"})
            for headers in wrong:
                for path, right in self.SHAPES.items():
                    status, reply, sent = keyed.get(path, headers) if path == "/metrics" else keyed.post(path, GOOD, headers)
                    self.assertEqual(status, 401, f"{path} {headers}: {reply}")
                    self.assertTrue(right(reply), reply)
                    self.assertIn("www-authenticate", sent)
            for headers in ({"Authorization": "Bearer secret-of-alice"}, {"authorization": "bearer secret-alone"}, {"x-api-key": "secret-alone"}, {"api-key": "secret-alone"}):
                good_client(keyed, headers)
            for path in ("/health", "/ready", "/", "/openapi.json"):
                self.assertEqual(keyed.get(path)[0], 200, path)
            before = resident(keyed)
            for _ in range(300):
                self.assertEqual(keyed.post("/v1/rerank", GOOD, {"Authorization": "Bearer guess"})[0], 401)
            self.flat(before, 4 * MIB, keyed)
            self.rest(keyed, {"x-api-key": "secret-alone"})
        finally:
            keyed.stop()


class Descriptors(Fault):
    def test_few_descriptors_from_the_start_recover(self):
        few = Server("--embedder", "none", "--reranker", RERANKER, "--client-timeout", "2", limits={resource.RLIMIT_NOFILE: (64, 64)})
        crowd = []
        try:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    crowd.append(connect(few, 2))
            self.assertIsNone(few.process.poll())
            for s in crowd: s.close()
            self.rest(few)
        finally:
            for s in crowd: s.close()
            few.stop()

    def test_no_descriptor_left_and_then_some_again(self):
        """The limit falls to what is open: accept(2) and fopen(3) fail with EMFILE."""
        own = Server("--embedder", "none", "--reranker", RERANKER, "--client-timeout", "2")
        try:
            for kept_open in (0, 3):
                kept = [connect(own) for _ in range(kept_open)]
                while metrics(own)["winnow_connections"] <= kept_open: # accepted, not only in the backlog
                    time.sleep(0.05)
                soft, hard = resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE)
                most = max(map(int, os.listdir(f"/proc/{own.process.pid}/fd"))) + 1
                resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE, (most, hard))
                waiting = [connect(own, 1) for _ in range(20)]
                for s in waiting:
                    s.sendall(post_bytes("/v1/rerank", GOOD))
                for s in kept: # accepted before: served as ever
                    s.sendall(post_bytes("/v1/rerank", GOOD))
                    self.assertEqual(read_replies(s, 1)[0][0], 200)
                time.sleep(0.5)
                self.assertIsNone(own.process.poll())
                resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
                for s in waiting + kept: s.close()
                end = time.monotonic() + 10
                while True:
                    try:
                        good_client(own)
                        break
                    except OSError:
                        if time.monotonic() > end: raise
                        time.sleep(0.2)
            self.rest(own)
        finally:
            own.stop()


class Disk(Fault):
    def test_access_log_on_a_full_disk_costs_no_answer(self):
        full = Server("--embedder", "none", "--reranker", RERANKER, "--access-log", "/dev/full")
        try:
            self.rest(full)
        finally:
            full.stop()

    def test_access_log_at_the_file_size_limit_costs_no_answer(self):
        """RLIMIT_FSIZE: write(2) fails with EFBIG and raises SIGXFSZ, which ends a process by default."""
        folder = tempfile.mkdtemp(prefix="winnow-faults-")
        full = Server("--embedder", "none", "--reranker", RERANKER, "--access-log", os.path.join(folder, "log"),
                      limits={resource.RLIMIT_FSIZE: (2000, 2000)})
        try:
            for _ in range(30):
                good_client(full)
            self.rest(full)
            self.assertLessEqual(os.path.getsize(os.path.join(folder, "log")), 2000)
        finally:
            full.stop()
            shutil.rmtree(folder)


class FullDisk(Fault):
    """Documents are put until the disk is full. What was acknowledged is there, the rest is not, and searches go on."""

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="winnow-faults-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.index = os.path.join(self.folder, "docs.wnindex")
        page = os.path.join(self.folder, "page.md")
        with open(page, "w", encoding="utf-8") as f:
            f.write("# Windows\n\nA page that was there before.\n")
        subprocess.run([WINNOW, "index", page, "-o", self.index, "--bm25-only", "--quiet"], check=True)

    def put(self, of, name):
        text = " ".join(f"{name} has word {i}." for i in range(1000))
        return of.post("/documents", {"documents": [{"source": name, "text": text}]})

    def fill(self, of):
        stored = []
        for i in range(400):
            status, reply, sent = self.put(of, f"d{i}")
            if status != 200:
                break
            stored.append(f"d{i}")
        self.assertEqual(status, 503, reply)
        self.assertIn("retry-after", sent)
        for _ in range(3):
            self.assertEqual(self.put(of, "more")[0], 503)
        self.check(of, stored)
        return stored

    def check(self, of, stored):
        status, reply, _ = of.get("/documents?limit=1000")
        self.assertEqual(status, 200, reply)
        self.assertEqual(sorted(d["source"] for d in reply["documents"] if d["put"]), sorted(stored))
        status, reply, _ = of.post("/search", {"query": "a page or a word", "k": 3, "rerank": False})
        self.assertEqual((status, len(reply["results"])), (200, min(3, len(stored) + 1)), reply)

    def test_file_size_limit_keeps_what_was_acknowledged(self):
        most = os.path.getsize(self.index) + (200 << 10)
        full = Server("--index", self.index, "--reranker", RERANKER, limits={resource.RLIMIT_FSIZE: (most, most)})
        try:
            stored = self.fill(full)
            self.rest(full)
        finally:
            full.stop()
        roomy = Server("--index", self.index, "--reranker", RERANKER)
        try:
            self.check(roomy, stored)
            self.assertEqual(self.put(roomy, "later")[0], 200)
            self.check(roomy, stored + ["later"])
        finally:
            roomy.stop()

    def test_full_disk_keeps_what_was_acknowledged_and_goes_on_when_there_is_room(self):
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        size = (os.path.getsize(self.index) >> 10) + 900
        mount = f"mount -t tmpfs -o size={size}k none {disk} && cp {self.index} {disk}/ && head -c 512000 /dev/zero >{disk}/filler"
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
            self.skipTest("no namespace with a disk of its own here")
        full = Server("--index", os.path.join(disk, "docs.wnindex"), "--reranker", RERANKER, wrapper=("unshare", "-rm", "sh", "-c", mount + ' && exec "$@"', "sh"))
        try:
            stored = self.fill(full)
            os.remove(f"/proc/{full.process.pid}/root{disk}/filler")
            self.assertEqual(self.put(full, "later")[0], 200)
            self.check(full, stored + ["later"])
            self.rest(full)
        finally:
            full.stop()


class Timed(unittest.TextTestResult):
    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        if self.showAll:
            self.stream.writeln(f"    {time.monotonic() - self.began:.1f} s")


if __name__ == "__main__":
    unittest.TextTestRunner.resultclass = Timed
    unittest.main()
