"""server_process.py -- starts `winnow serve` for tests, and speaks plain HTTP to it. Python's standard library only.

ServerProcess is the process; Server here answers with bytes, the one of serving.py with parsed JSON.

WINNOW names the binary. Models: the committed reranker, and the small random-weight XLM-R of
tests/golden as bi-encoder, put together with its tokenizer in a scratch directory."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")
# Under a sanitizer everything takes several times as long.
SLOW = float(os.environ.get("WINNOW_TEST_SLOW", "1"))


def make_model(name, into):
    """A small model of tests/golden as a directory with its tokenizer; returns its path."""
    path = os.path.join(into, name)
    shutil.copytree(os.path.join(ROOT, "tests", "golden", "models", name), path)
    shutil.copy(os.path.join(ROOT, "tests", "golden", "tokenizers", "small-xlmr", "tokenizer.json"), path)
    return path


def make_embedder(into):
    return make_model("small-xlmr", into)


class ServerProcess:
    def __init__(self, *args, models=True, env=None, wait=True, wrapper=(), **popen):
        command = [*wrapper, WINNOW, "serve", *(("--reranker", RERANKER) if models else ()), *args]
        if "--listen" not in args and not wrapper:
            command += ["--listen", "127.0.0.1:0"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WINNOW_SERVE_", "LISTEN_"))}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**clean, **(env or {})}, **popen)
        self.lines, self.address, self.ready = [], None, threading.Event()
        self.bound, self.ended = threading.Event(), False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.bound.wait(30 * SLOW) or not self.address:
            self.kill()
            raise RuntimeError("the server did not start: " + "".join(self.lines))
        self.host, port = self.address.rsplit(":", 1)
        self.port = int(port)
        if wait and not self.ready.wait(60 * SLOW):
            self.kill()
            raise RuntimeError("the server did not load: " + "".join(self.lines))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            match = re.match(r"winnow: listening on https?://(\S+)", line)
            if match:
                self.address = match[1]
                self.bound.set()
            if line.startswith("winnow: ready"):
                self.ready.set()
        self.bound.set()
        self.ready.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)

    def socket(self, timeout=30):
        return socket.create_connection((self.host, self.port), timeout=timeout * SLOW)

    def raw(self, data, timeout=10, half_close=False):
        """All bytes that come back until the server closes or timeout."""
        with self.socket(timeout) as s:
            out = b""
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(65536):
                    out += chunk
            except OSError:  # a reset too is an answer
                pass
            return out

    def signal(self, number):
        self.process.send_signal(number)

    def wait_line(self, text, count=1, timeout=20):
        end = time.monotonic() + timeout * SLOW
        while sum(text in line for line in self.lines) < count:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no line {text!r} in " + "".join(self.lines))
            time.sleep(0.01)

    def stop(self, timeout=40):
        """Graceful; the exit code, which must be 0."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop") from None
        self.reader.join(5)
        self.process.stderr.close()
        if code:
            raise AssertionError(f"the server ended with {code}:\n" + "".join(self.lines[-60:]))
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()


class Server(ServerProcess):
    """with Server("--max-body", "4K") as server: server.get("/health")"""

    def request(self, method, path, body=None, headers=None, timeout=30):
        """(status, headers, bytes) on a connection of its own."""
        connection = self.connect(timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def metric(self, name, headers=None):
        """The sum over labels of a metric."""
        text = self.get("/metrics", headers=headers)[2].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if re.match(re.escape(name) + r"[ {]", line))

    def wait_metric(self, name, test, timeout=20, headers=None):
        end = time.monotonic() + timeout * SLOW
        while not test(value := self.metric(name, headers)):
            if time.monotonic() > end:
                raise AssertionError(f"{name} stayed {value}")
            time.sleep(0.02)


def scratch():
    return tempfile.mkdtemp(prefix="winnow-serve-")
