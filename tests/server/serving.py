"""serving.py -- a server of this build on a free loopback port, and the commands it is compared with.

Models: the committed reranker, and a golden embedder put together from tests/golden (weights in models/,
tokenizer in tokenizers/), so that tests need no cache."""
import atexit
import http.client
import json
import resource
import shutil
import subprocess

from server_process import RERANKER, ROOT, WINNOW, ServerProcess, make_model, scratch  # noqa: F401


def scratch_folder():
    folder = scratch()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


EMBEDDER = make_model("small-xlmr", scratch_folder())
SMALL_RERANKER = make_model("small-xlmr-reranker", scratch_folder())


def winnow_lines(*args, rows):
    """JSON lines into a command, JSON lines out of it."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    done = subprocess.run([WINNOW, *args], input=data, capture_output=True, timeout=300, check=False)
    if done.returncode:
        raise AssertionError(f"winnow {' '.join(args)}: {done.stderr.decode()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Server(ServerProcess):
    """No models but those given; answers are parsed."""

    def __init__(self, *args, env=None, limits=None, wrapper=()):
        """limits: {resource.RLIMIT_*: (soft, hard)} of the process. wrapper: a command that execs the rest."""
        def limit():
            for what, values in limits.items():
                resource.setrlimit(what, values)
        super().__init__("--listen", "127.0.0.1:0", *args, models=False, env=env, wrapper=wrapper, preexec_fn=limit if limits else None,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    @property
    def base(self):
        return f"http://{self.address}"

    def request(self, method, path, data=None, headers=None):
        """Status, parsed JSON (None where there is none), headers in lower case."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
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

    def stop(self, timeout=60):
        return super().stop(timeout)
