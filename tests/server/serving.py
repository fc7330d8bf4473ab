"""serving.py -- a server of this build on a free loopback port, and the commands it is compared with.

Models: the committed reranker, and a golden embedder put together from tests/golden (weights in models/,
tokenizer in tokenizers/), so that tests need no cache."""
import atexit
import http.client
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")


def scratch_folder():
    folder = tempfile.mkdtemp(prefix="winnow-server-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def make_model(name):
    golden = os.path.join(ROOT, "tests", "golden")
    path = os.path.join(scratch_folder(), name)
    shutil.copytree(os.path.join(golden, "models", name), path)
    shutil.copy(os.path.join(golden, "tokenizers", "small-xlmr", "tokenizer.json"), path)
    return path


EMBEDDER = make_model("small-xlmr")
SMALL_RERANKER = make_model("small-xlmr-reranker")


def winnow_lines(*args, rows):
    """JSON lines into a command, JSON lines out of it."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    done = subprocess.run([WINNOW, *args], input=data, capture_output=True, timeout=300, check=False)
    if done.returncode:
        raise AssertionError(f"winnow {' '.join(args)}: {done.stderr.decode()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Server:
    def __init__(self, *args, env=None, limits=None, wrapper=()):
        """limits: {resource.RLIMIT_*: (soft, hard)} of the process. wrapper: a command that execs the rest."""
        def limit():
            for what, values in limits.items():
                resource.setrlimit(what, values)
        self.process = subprocess.Popen([*wrapper, WINNOW, "serve", "--listen", "127.0.0.1:0", *args], preexec_fn=limit if limits else None,
                                        env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = []
        self.host = None
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))
            found = re.search(r"(127\.0\.0\.1:\d+)", self.log[-1])
            if found:
                self.host = found.group(1)
                break
        if not self.host:
            raise AssertionError("the server did not start: " + "".join(self.log))
        self.drainer = threading.Thread(target=self.drain, daemon=True)
        self.drainer.start()
        self.wait_ready()

    @property
    def base(self):
        return f"http://{self.host}"

    def drain(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))

    def wait_ready(self):
        for _ in range(600):
            if self.get("/ready")[0] == 200:
                return
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.05)
        raise AssertionError("the server is not ready: " + "".join(self.log))

    def request(self, method, path, data=None, headers=None):
        """Status, parsed JSON (None where there is none), headers in lower case."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            body = response.read()
            sent = {k.lower(): v for k, v in response.getheaders()}
            try:
                return response.status, json.loads(body), sent
            except ValueError:
                return response.status, None, sent
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, path, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})

    def stop(self):
        """Ends the server; a crash or a sanitizer's report fails the test that asks."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.drainer.join(10)
        self.process.stderr.close()
        if code:
            raise AssertionError(f"the server ended with {code}: " + "".join(self.log[-30:]))
