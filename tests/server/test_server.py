#!/usr/bin/env python3
"""test_server.py -- winnow serve as its operators and its worst clients meet it: start, readiness, keys, limits, slow
and vanishing clients, overload, reload, stop. What the dialects answer is tested elsewhere.

Standard library only. Scores that are compared are those of the same server when it was idle."""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server_process import RERANKER, SLOW, WINNOW, Server, make_embedder, scratch  # noqa: E402

WORDS = "the sensor reports its reading by radio every minute and the gateway stores all of them in memory".split()
TEXTS = [" ".join(WORDS[(i * 7 + j * (1 + i % 5)) % len(WORDS)] for j in range(5 + i % 9)) for i in range(40)]


def rerank_body(n=5, repeat=1, query="where are readings stored?"):
    return {"model": "", "query": query, "documents": [t + " " + " ".join([t] * (repeat - 1)) for t in
                                                       (TEXTS * (n // len(TEXTS) + 1))[:n]]}


def long_work(n=600):
    """Some seconds of work: n documents of hundreds of tokens."""
    return rerank_body(n, repeat=30)


def scores_of(answer):
    return [(r["index"], r["relevance_score"]) for r in json.loads(answer[2])["results"]]


class Shared(unittest.TestCase):
    """Tests that need no settings of their own share one server."""

    @classmethod
    def setUpClass(cls):
        cls.dir = scratch()
        cls.log = os.path.join(cls.dir, "access.log")
        cls.server = Server("--embedder", make_embedder(cls.dir), "--access-log", cls.log, "--max-body", "64K",
                            "--max-header", "8K")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        shutil.rmtree(cls.dir)

    def test_health_and_ready_are_ok(self):
        for path in ("/health", "/ready"):
            status, headers, body = self.server.get(path)
            self.assertEqual((status, json.loads(body)), (200, {"status": "ok"}))
            self.assertEqual(headers["Content-Type"], "application/json")

    def test_metrics_are_prometheus_text(self):
        self.server.post("/v1/rerank", rerank_body())
        status, headers, body = self.server.get("/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        types, last = {}, {}
        for line in body.decode().splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, types)
                types[name] = kind
            elif not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                base = name.split("{")[0]
                for end in ("_bucket", "_sum", "_count"):
                    if base.endswith(end) and base[:-len(end)] in types:
                        base = base[:-len(end)]
                self.assertIn(base, types, line)
                float(value)
                if "_bucket" in name:  # cumulative
                    series = name.split("le=")[0]
                    self.assertGreaterEqual(float(value), last.get(series, 0))
                    last[series] = float(value)
        self.assertGreater(self.server.metric("winnow_pairs_total"), 0)
        self.assertGreater(self.server.metric("winnow_tokens_total"), 0)
        self.assertGreater(self.server.metric("process_resident_memory_bytes"), 1e6)

    def test_request_id_is_taken_or_made(self):
        _, headers, _ = self.server.get("/health", headers={"X-Request-Id": "abc-123"})
        self.assertEqual(headers["X-Request-Id"], "abc-123")
        made = {self.server.get("/health")[1]["X-Request-Id"] for _ in range(3)}
        self.assertEqual(len(made), 3)
        for bad in ("a b", "x" * 65, 'a"b', ""):
            _, headers, _ = self.server.get("/health", headers={"X-Request-Id": bad})
            self.assertRegex(headers["X-Request-Id"], "^[0-9a-f]{16}$")
        _, headers, body = self.server.get("/nowhere", headers={"X-Request-Id": "lost-1"})
        self.assertEqual(headers["X-Request-Id"], "lost-1")
        self.assertEqual(json.loads(body)["error"]["request_id"], "lost-1")

    def test_access_log_is_one_object_a_line(self):
        self.server.post("/v1/rerank", rerank_body(3), headers={"X-Request-Id": "logged-1", "User-Agent": 'a"b\\c'})
        self.server.get("/%FF%0A", headers={"X-Request-Id": "logged-2"})
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with open(self.log, encoding="utf-8") as file:
                lines = {o["id"]: o for o in map(json.loads, file)}
            if "logged-2" in lines:
                break
            time.sleep(0.05)
        one = lines["logged-1"]
        self.assertEqual((one["method"], one["path"], one["status"], one["items"]), ("POST", "/v1/rerank", 200, 3))
        self.assertEqual(one["agent"], 'a"b\\c')
        self.assertGreater(one["tokens"], 3)
        self.assertGreaterEqual(one["ms"], one["compute_ms"])
        self.assertEqual(lines["logged-2"]["status"], 404)

    def test_head_has_headers_and_no_body(self):
        raw = self.server.raw(b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, body = raw.split(b"\r\n\r\n", 1)
        self.assertIn(b"200 OK", head)
        self.assertIn(b"Content-Length: 15", head)
        self.assertEqual(body, b"")

    def test_wrong_method_says_what_is_allowed(self):
        status, headers, _ = self.server.post("/health", {})
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        status, headers, _ = self.server.get("/v1/rerank")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        self.assertEqual(self.server.request("OPTIONS", "/v1/rerank")[0], 405)  # CORS is off

    def test_unknown_path_is_404(self):
        for path in ("/nowhere", "/v1/nowhere", "/v2/nowhere", "/health/"):
            self.assertEqual(self.server.get(path)[0], 404)
        self.assertIn("message", json.loads(self.server.get("/v2/nowhere")[2]))
        self.assertIn("type", json.loads(self.server.get("/v1/nowhere")[2])["error"])

    def test_chunked_body_is_a_body(self):
        connection = self.server.connect()
        data = json.dumps(rerank_body(4)).encode()
        connection.request("POST", "/v1/rerank", iter([data[:10], data[10:50], data[50:]]), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(json.loads(answer.read())["results"]), 4)
        connection.close()

    def test_body_over_the_limit_is_413_and_the_client_can_read_it(self):
        big = b"x" * (3 << 20)
        self.assertEqual(self.server.post("/v1/rerank", big)[0], 413)
        connection = self.server.connect()
        connection.request("POST", "/v1/rerank", (big[i:i + 65536] for i in range(0, len(big), 65536)),
                           encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_body_of_100_mb_costs_no_memory(self):
        before = self.server.metric("process_resident_memory_bytes")
        with self.server.socket() as s:
            s.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
            block = b"[" * (1 << 20)
            for _ in range(100):
                s.sendall(block)
            self.assertIn(b" 413 ", s.recv(65536))
        self.assertLess(self.server.metric("process_resident_memory_bytes") - before, 20 << 20)

    def test_expect_continue_is_answered_before_the_body(self):
        head = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        body = json.dumps(rerank_body(2)).encode()
        with self.server.socket() as s:
            s.sendall(head % len(body))
            self.assertIn(b"100 Continue", s.recv(4096))
            s.sendall(body)
            self.assertIn(b" 200 ", s.recv(65536))
        with self.server.socket() as s:
            s.sendall(head % (1 << 30))
            self.assertIn(b" 413 ", s.recv(65536))  # at once: nothing was sent

    def test_head_over_the_limit_is_refused(self):
        raw = self.server.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * (64 << 10) + b"\r\n\r\n", timeout=5)
        self.assertRegex(raw.split(b"\r\n")[0] if raw else b"closed", rb" 4\d\d |closed")
        raw = self.server.raw(b"GET /" + b"a" * (64 << 10) + b" HTTP/1.1\r\nHost: x\r\n\r\n", timeout=5)
        self.assertRegex(raw.split(b"\r\n")[0] if raw else b"closed", rb" 4\d\d |closed")
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_malformed_http_is_no_500_and_harms_nobody(self):
        cases = [b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET /health\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
                 b"GET /health HTTP/1.1\r\n\r\n", b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                 b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                 b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
                 b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                 b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                 b"GET /health HTTP/1.1\r\nHost: x\r\n: nothing\r\n\r\n", b"GET /health HTTP/1.1\r\nHost x\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n", b"A" * 100000]
        for case in cases:
            raw = self.server.raw(case, timeout=0.3, half_close=True)
            self.assertNotIn(b" 500 ", raw.split(b"\r\n")[0], case[:60])
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_two_requests_in_one_packet_have_two_answers(self):
        one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        raw = self.server.raw(one + b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" +
                              one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertEqual(raw.count(b"HTTP/1.1 200"), 2)
        self.assertEqual(raw.count(b"HTTP/1.1 4"), 1)

    def test_wrong_timeout_header_is_400(self):
        for bad in ("-1", "soon", "0", "nan", "inf", "1x"):
            self.assertEqual(self.server.post("/v1/rerank", rerank_body(), headers={"X-Timeout-Ms": bad})[0], 400)
        self.assertEqual(self.server.post("/v1/rerank", rerank_body(), headers={"X-Timeout-Ms": "60000"})[0], 200)

    def test_scores_under_load_are_those_of_the_idle_server(self):
        bodies = [rerank_body(n, repeat) for n, repeat in ((1, 1), (3, 9), (17, 2), (5, 30), (30, 1))]
        want = [scores_of(self.server.post("/v1/rerank", b)) for b in bodies]
        wrong, count = [], [0]

        def client(k):
            for i in range(5):
                b = (i + k) % len(bodies)
                got = self.server.post("/v1/rerank", bodies[b], timeout=60)
                count[0] += 1
                if got[0] != 200 or scores_of(got) != want[b]:
                    wrong.append((k, i, got[0]))

        threads = [threading.Thread(target=client, args=(k,)) for k in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        print(f"{count[0]} answers from 12 clients, all equal to the idle server's", file=sys.stderr)


class Own(unittest.TestCase):
    """Tests with a server of their own."""

    def setUp(self):
        self.dir = scratch()
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    @staticmethod
    def begin(server, body, header=b""):
        """Sends a rerank request and does not wait; the socket."""
        data = json.dumps(body).encode()
        s = server.socket()
        s.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (header, len(data)) + data)
        return s

    # ---- Start ----

    def test_while_loading_health_is_503_then_200(self):
        # The same model a dozen times takes long enough to be seen at it.
        with Server(*["--reranker", RERANKER] * 12, "--embedder", "none", models=False, wait=False) as server:
            status, headers, body = server.get("/health")
            self.assertEqual((status, json.loads(body)["status"]), (503, "loading"))
            self.assertIn("Retry-After", headers)
            self.assertEqual(server.get("/ready")[0], 503)
            self.assertEqual(server.get("/metrics")[0], 200)
            self.assertEqual(server.post("/v1/rerank", rerank_body())[0], 503)
            server.wait_line("ready", timeout=60)
            self.assertEqual(server.get("/health")[0], 200)
            self.assertEqual(server.post("/v1/rerank", rerank_body())[0], 200)

    def test_failed_loading_ends_the_server(self):
        model = self.path("model")
        os.mkdir(model)
        server = Server("--reranker", model, models=False, wait=False)
        self.assertEqual(server.process.wait(20 * SLOW), 1)
        server.reader.join(5)
        server.process.stderr.close()
        self.assertIn("config.json", "".join(server.lines))

    def test_taken_port_and_wrong_settings_fail_at_once(self):
        with Server() as server:
            for args, code in ((("--listen", server.address), 1), (("--listen", "nowhere"), 2), (("--threads", "x"), 2),
                               (("--keys", "/nowhere"), 1), (("--tls-cert", "/x"), 2), (("--reranker", "none"), 2),
                               (("--config", "/nowhere"), 1)):
                more = () if args[0] == "--reranker" else ("--reranker", RERANKER)
                run = subprocess.run([WINNOW, "serve", "--embedder", "none", *more, *args, "--quiet"],
                                     capture_output=True, text=True, timeout=60 * SLOW, check=False)
                self.assertEqual(run.returncode, code, (args, run.stderr))
                self.assertTrue(run.stderr)

    def test_flags_win_over_environment_over_file(self):
        config = self.path("serve.conf", "max-body = 2K\nmax-concurrent = 3\nlisten = 127.0.0.1:0\n")
        with Server("--config", config, env={"WINNOW_SERVE_MAX_BODY": "4K"}) as server:
            self.assertEqual(server.post("/v1/rerank", b"x" * 3000)[0], 400)
            self.assertEqual(server.post("/v1/rerank", b"x" * 5000)[0], 413)
        with Server("--config", config, "--max-body", "8K", env={"WINNOW_SERVE_MAX_BODY": "4K"}) as server:
            self.assertEqual(server.post("/v1/rerank", b"x" * 5000)[0], 400)

    def test_socket_of_systemd_is_used_and_readiness_told(self):
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(self.path("notify"))
        notify.settimeout(30 * SLOW)
        os.set_inheritable(listening.fileno(), True)
        script = f'exec 3<&{listening.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        with Server(wrapper=("sh", "-c", script, "sh"), env={"NOTIFY_SOCKET": self.path("notify")},
                    pass_fds=[listening.fileno()]) as server:
            self.assertEqual(server.port, listening.getsockname()[1])
            self.assertEqual(notify.recv(100), b"READY=1\n")
            self.assertEqual(server.get("/health")[0], 200)
            server.signal(signal.SIGHUP)
            self.assertEqual(notify.recv(100), b"RELOADING=1\n")
            self.assertEqual(notify.recv(100), b"READY=1\n")
        self.assertEqual(notify.recv(100), b"STOPPING=1\n")
        listening.close()
        notify.close()

    # ---- Keys, TLS, CORS ----

    def test_keys_are_asked_for_and_reloaded(self):
        keys = self.path("keys", "# ours\nalice sk-alice-000001\nsk-nameless-0002\n")
        log = self.path("log")
        with Server("--keys", keys, "--access-log", log) as server:
            def ask(**headers):
                return server.post("/v1/rerank", rerank_body(), headers=headers)[0]
            self.assertEqual(ask(), 401)
            self.assertEqual(ask(Authorization="Bearer wrong-key-123"), 401)
            self.assertEqual(ask(Authorization="Basic sk-alice-000001"), 401)
            self.assertEqual(ask(Authorization="Bearer sk-alice-000001"), 200)
            self.assertEqual(ask(Authorization="bearer  sk-nameless-0002"), 200)
            self.assertEqual(ask(**{"x-api-key": "sk-alice-000001"}), 200)
            self.assertEqual(ask(**{"api-key": "sk-alice-000001"}), 200)
            status, headers, _ = server.get("/metrics")
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
            self.assertEqual(server.get("/health")[0], 200)
            self.assertEqual(server.post("/v1/rerank", b"x" * (3 << 20))[0], 401)  # read away, then refused
            self.path("keys", "bob sk-bob-00000003\n")
            server.signal(signal.SIGHUP)
            server.wait_line("reloaded")
            self.assertEqual(ask(Authorization="Bearer sk-alice-000001"), 401)
            self.assertEqual(ask(Authorization="Bearer sk-bob-00000003"), 200)
            self.path("keys", "")
            server.signal(signal.SIGHUP)
            server.wait_line("the reload failed")
            self.assertEqual(ask(Authorization="Bearer sk-bob-00000003"), 200)
        with open(log, encoding="utf-8") as file:
            text = file.read()
        self.assertIn('"client":"alice"', text)
        self.assertNotIn("sk-", text)

    def test_cors_is_answered_when_it_is_on(self):
        with Server("--cors-origin", "https://app.example") as server:
            status, headers, _ = server.request("OPTIONS", "/v1/rerank", headers={
                "Origin": "https://app.example", "Access-Control-Request-Method": "POST"})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, "https://app.example"))
            self.assertIn("POST", headers["Access-Control-Allow-Methods"])
            self.assertEqual(server.get("/health")[1]["Access-Control-Allow-Origin"], "https://app.example")
        with Server() as server:
            self.assertIsNone(server.get("/health")[1]["Access-Control-Allow-Origin"])

    def test_tls_works(self):
        import ssl
        if not shutil.which("openssl"):
            self.skipTest("SKIPPED: no openssl(1) to make a certificate")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", self.path("key.pem"), "-out", self.path("cert.pem")],
                       check=True, capture_output=True)
        with Server("--tls-cert", self.path("cert.pem"), "--tls-key", self.path("key.pem")) as server:
            context = ssl.create_default_context(cafile=self.path("cert.pem"))
            context.check_hostname = False
            with context.wrap_socket(server.socket()) as s:
                body = json.dumps(rerank_body(3)).encode()
                s.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                self.assertIn(b" 200 ", s.recv(65536))
            self.assertNotIn(b" 200 ", server.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", timeout=2))

    # ---- Slow, vanishing and too many clients ----

    def test_silent_and_dripping_clients_are_cut_and_good_ones_served(self):
        with Server("--client-timeout", "1") as server:
            slow = [server.socket() for _ in range(200)]
            for i, s in enumerate(slow):
                if i % 4 == 1:
                    s.sendall(b"GET /health HT")
                elif i % 4 == 2:
                    s.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
                elif i % 4 == 3:
                    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ")
            end, alive = time.monotonic() + 8 * SLOW, slow
            while time.monotonic() < end and alive:
                for s in list(alive):
                    s.settimeout(0)
                    try:
                        s.send(b"a")  # never silent for long
                        if s.recv(1000) == b"":
                            raise ConnectionResetError
                    except BlockingIOError:
                        continue
                    except OSError:
                        alive = [x for x in alive if x is not s]
                start = time.monotonic()
                self.assertEqual(server.post("/v1/rerank", rerank_body(2))[0], 200)
                self.assertLess(time.monotonic() - start, 5 * SLOW)
                time.sleep(0.2)
            self.assertEqual(len(alive), 0)
            self.assertGreater(server.metric("winnow_connections_cut_total"), 100)
            for s in slow:
                s.close()

    def test_client_that_hangs_up_costs_no_more(self):
        with Server() as server:
            s = self.begin(server, long_work(300))
            server.wait_metric("winnow_queue_items", lambda n: n > 0)
            s.close()
            server.wait_metric("winnow_queue_items", lambda n: n == 0)
            server.wait_metric("winnow_requests_aborted_total", lambda n: n == 1)
            self.assertLess(server.metric("winnow_pairs_total"), 300)
            server.wait_metric("winnow_requests_running", lambda n: n <= 1)
            self.assertEqual(server.post("/v1/rerank", rerank_body(2))[0], 200)

    def test_deadline_cuts_the_work(self):
        with Server() as server:
            start = time.monotonic()
            status = server.post("/v1/rerank", long_work(300), headers={"X-Timeout-Ms": "300"})[0]
            self.assertLess(time.monotonic() - start, 10 * SLOW)
            self.assertIn(status, (200, 503))
            self.assertEqual(server.metric("winnow_requests_late_total"), 1)

    def test_too_many_requests_are_429_at_once(self):
        with Server("--max-concurrent", "2") as server:
            running = [self.begin(server, long_work(300)) for _ in range(2)]
            server.wait_metric("winnow_queue_items", lambda n: n > 350)  # both are there
            start = time.monotonic()
            status, headers, body = server.post("/v1/rerank", rerank_body(1))
            self.assertLess(time.monotonic() - start, 2 * SLOW)
            self.assertEqual((status, headers["Retry-After"]), (429, "1"))
            self.assertIn("message", json.loads(body))
            self.assertEqual(server.get("/health")[0], 200)  # not counted: it never waits
            for s in running:
                s.close()
            server.wait_metric("winnow_requests_running", lambda n: n <= 1)
            self.assertEqual(server.post("/v1/rerank", rerank_body(1))[0], 200)

    def test_one_client_leaves_a_quarter_of_the_places(self):
        keys = self.path("keys", "alice sk-alice-000001\nbob sk-bob-00000002\n")
        with Server("--max-concurrent", "4", "--keys", keys) as server:
            running = [self.begin(server, long_work(150), b"Authorization: Bearer sk-alice-000001\r\n") for _ in range(3)]
            alice, bob = ({"Authorization": "Bearer " + k} for k in ("sk-alice-000001", "sk-bob-00000002"))
            server.wait_metric("winnow_queue_items", lambda n: n > 300, headers=bob)  # all three are there
            self.assertEqual(server.post("/v1/rerank", rerank_body(1), headers=alice)[0], 429)
            self.assertEqual(server.post("/v1/rerank", rerank_body(1), headers=bob)[0], 200)
            for s in running:
                s.close()

    def test_full_queue_is_429_at_once(self):
        with Server("--max-queue-tokens", "20000") as server:
            waiting = self.begin(server, long_work(200))
            server.wait_metric("winnow_queue_items", lambda n: n > 100)
            status, headers, _ = server.post("/v1/rerank", rerank_body(40, 20))
            self.assertEqual((status, headers["Retry-After"]), (429, "1"))
            self.assertGreater(server.metric("winnow_refused_queue_full_total"), 0)
            waiting.close()

    def test_short_request_passes_a_long_one(self):
        with Server() as server:
            waiting = self.begin(server, long_work(600))
            server.wait_metric("winnow_queue_items", lambda n: n > 0)
            times = []
            for _ in range(5):
                start = time.monotonic()
                self.assertEqual(server.post("/v1/rerank", rerank_body(1))[0], 200)
                times.append(time.monotonic() - start)
            left = server.metric("winnow_queue_items")
            waiting.close()
            print(f"one pair beside long ones: {1000 * min(times):.0f} to {1000 * max(times):.0f} ms, {left:.0f} of 600 "
                  "long ones left", file=sys.stderr)
            self.assertGreater(left, 100)  # the short ones did not wait for them

    def test_more_clients_than_file_descriptors_recover(self):
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        with Server("--client-timeout", "2", preexec_fn=few_files) as server:
            clients = []
            for _ in range(150):  # those behind the limit wait in the backlog
                try:
                    clients.append(server.socket(timeout=1))
                except OSError:
                    break
            time.sleep(0.3)
            for s in clients:
                s.close()
            self.assertEqual(server.post("/v1/rerank", rerank_body(2), timeout=20)[0], 200)
            clients = [server.socket() for _ in range(100)]  # and these are cut for their silence
            self.assertEqual(server.get("/health", timeout=30)[0], 200)
            for s in clients:
                s.close()

    # ---- Event streams ----

    def indexed(self):
        """A server with an index of TEXTS and its small bi-encoder."""
        documents = self.path("documents")
        os.mkdir(documents)
        for i, text in enumerate(TEXTS):
            self.path(os.path.join("documents", f"{i}.txt"), text)
        embedder, index = make_embedder(self.dir), self.path("docs.wnindex")
        subprocess.run([WINNOW, "index", documents, "-o", index, "--model", embedder], check=True, capture_output=True)
        return Server("--index", index, "--embedder", embedder)

    def test_events_come_one_after_the_other(self):
        with self.indexed() as server:
            body = {"queries": TEXTS[:6], "first_stage_k": 10}
            status, headers, data = server.post("/impact", body, headers={"Accept": "text/event-stream"}, timeout=120)
            self.assertEqual(status, 200)
            self.assertTrue(headers["Content-Type"].startswith("text/event-stream"))
            frames = [dict(line.split(": ", 1) for line in f.split("\n")) for f in data.decode().strip().split("\n\n")]
            self.assertEqual(frames[-1]["event"], "result")
            self.assertTrue(all(f["event"] == "progress" for f in frames[:-1]))
            done = [json.loads(f["data"])["done"] for f in frames[:-1]]
            self.assertEqual(done, sorted(done))
            plain = json.loads(server.post("/impact", body, timeout=120)[2])
            self.assertEqual(json.loads(frames[-1]["data"]).keys(), plain.keys())

    def test_reader_of_events_that_leaves_ends_the_work(self):
        with self.indexed() as server:
            data = json.dumps({"queries": TEXTS * 20, "first_stage_k": 40}).encode()
            for _ in range(3):
                with server.socket() as s:
                    s.sendall(b"POST /impact HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
                              b"Content-Length: %d\r\n\r\n" % len(data) + data)
                    got = b""
                    while b"event: progress" not in got:
                        piece = s.recv(65536)
                        self.assertTrue(piece, got)
                        got += piece
            server.wait_metric("winnow_requests_running", lambda n: n <= 1, timeout=30)
            server.wait_metric("winnow_requests_aborted_total", lambda n: n == 3)
            self.assertEqual(server.post("/v1/rerank", rerank_body(2))[0], 200)

    # ---- Reload and stop ----

    def test_reload_drops_nothing(self):
        with Server() as server:
            want = scores_of(server.post("/v1/rerank", rerank_body(6)))
            stop, wrong, count = threading.Event(), [], [0]

            def client():
                while not stop.is_set():
                    got = server.post("/v1/rerank", rerank_body(6), timeout=60)
                    count[0] += 1
                    if got[0] != 200 or scores_of(got) != want:
                        wrong.append(got)

            threads = [threading.Thread(target=client) for _ in range(4)]
            for t in threads:
                t.start()
            for i in range(4):
                server.signal(signal.SIGHUP)
                server.wait_line("reloaded", i + 1, timeout=60)
            stop.set()
            for t in threads:
                t.join()
            self.assertEqual(wrong, [])
            self.assertGreater(count[0], 4)
            self.assertEqual(server.metric("winnow_reloads_total"), 4)
            print(f"{count[0]} requests over 4 reloads, none dropped", file=sys.stderr)

    def test_failed_reload_keeps_the_old_models(self):
        model = self.path("model")
        shutil.copytree(RERANKER, model)
        with Server("--reranker", model, models=False) as server:
            want = scores_of(server.post("/v1/rerank", rerank_body(4)))
            os.rename(os.path.join(model, "config.json"), os.path.join(model, "away"))
            server.signal(signal.SIGHUP)
            server.wait_line("the reload failed")
            self.assertEqual(scores_of(server.post("/v1/rerank", rerank_body(4))), want)
            self.assertEqual(server.metric("winnow_reload_failures_total"), 1)

    def test_stop_finishes_what_was_accepted(self):
        server = Server("--grace", "300")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.post("/v1/rerank", long_work(12), timeout=120)))
        thread.start()
        server.wait_metric("winnow_queue_items", lambda n: n > 0)
        idle = server.connect()
        idle.request("GET", "/health")
        idle.getresponse().read()
        server.signal(signal.SIGTERM)
        server.wait_line("finishing")
        time.sleep(0.2)
        idle.request("GET", "/ready")  # an open connection still hears that it should go away
        answer = idle.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (503, "close"))
        with self.assertRaises(OSError):
            server.get("/health", timeout=2)
        thread.join()
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(len(json.loads(answers[0][2])["results"]), 12)
        self.assertEqual(server.process.wait(40 * SLOW), 0)
        server.stop()

    def test_second_signal_ends_at_once(self):
        server = Server()
        thread = threading.Thread(target=self.swallow, args=(server,))
        thread.start()
        server.wait_metric("winnow_queue_items", lambda n: n > 0)
        server.signal(signal.SIGTERM)
        server.wait_line("finishing")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(10 * SLOW), -signal.SIGTERM)
        thread.join()
        server.reader.join(5)
        server.process.stderr.close()

    @staticmethod
    def swallow(server):
        try:
            server.post("/v1/rerank", long_work(600), timeout=120)
        except (OSError, ValueError):
            pass
        except Exception as error:  # http.client has its own
            if type(error).__module__ != "http.client":
                raise


if __name__ == "__main__":
    unittest.main(verbosity=2)
