#!/usr/bin/env python3
"""fake_hub.py -- a model hub on 127.0.0.1 that behaves, and misbehaves, like a real one.

Two servers: the hub and a content network, on two ports. Prints "HUB CDN\n" (the ports) and runs
until its standard input ends, so that it cannot outlive the test that started it. What a repository
does is decided by its name (the classes below); the same bytes are behind all of them:

    config.json tokenizer.json modules.json 1_Pooling/config.json
    model.safetensors    300,000 bytes, byte i = (i * 31 + i // 251) % 256

GET /_log      every request so far: a JSON list of {"port", "path", "authorization", "range",
               "if_range", "status"}, and forgets them
Standard library only: meson brings the interpreter."""
import hashlib
import http.server
import json
import sys
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes((i * 31 + i // 251) % 256 for i in range(300_000))
SMALL = {
    "config.json": b'{"model_type": "bert"}\n',
    "tokenizer.json": b'{"version": "1.0"}\n',
    "modules.json": b"[]\n",
    "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}\n',
}
UNREAD = {"README.md": b"# model\n", "pytorch_model.bin": b"x" * 1000, "vocab.txt": b"[PAD]\n"}
STEP = 100_000  # a breaking transfer stops after so many bytes

log, lock, counts = [], threading.Lock(), {}


def times(key):
    """How often this was asked before."""
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key] - 1


class Repo:
    """plain: everything from the hub itself."""

    def __init__(self, hub, cdn):
        self.hub, self.cdn = hub, cdn

    def files(self):
        return {**SMALL, **UNREAD, "model.safetensors": WEIGHTS}

    def siblings(self):
        for name, data in self.files().items():
            row = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
            if name.endswith((".safetensors", ".onnx", ".bin")):
                row["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data),
                              "pointerSize": 134}
            yield row

    def api(self, request):
        request.answer(200, json.dumps({"id": request.repo, "sha": COMMIT,
                                        "siblings": list(self.siblings())}).encode())

    def file(self, request, name):
        if name not in self.files():
            return request.answer(404, b"Entry not found")
        self.send(request, name, self.files()[name])

    def send(self, request, name, data):
        request.ranged(data, f'"{hashlib.md5(data).hexdigest()}"')


class Redirect(Repo):
    """Weights lie on the content network; small files behind a redirect within the hub."""

    def send(self, request, name, data):
        if request.port == self.cdn or "resolve-cache" in request.path:
            return super().send(request, name, data)
        if name == "model.safetensors":
            request.answer(302, b"Found", {
                "Location": f"http://127.0.0.1:{self.cdn}{request.path}",
                "X-Linked-Size": str(len(data)),
                "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"'})
        else:
            request.answer(307, b"", {"Location": "/api/resolve-cache" + request.path})


class LinkedHash(Redirect):
    """The list gives neither sizes nor hashes; X-Linked-Etag does, and the bytes differ."""

    def siblings(self):
        for row in super().siblings():
            yield {"rfilename": row["rfilename"]}

    def send(self, request, name, data):
        if request.port == self.cdn:
            data = b"y" + data[1:]
        super().send(request, name, data)


class Loop(Repo):
    def send(self, request, name, data):
        request.answer(302, b"", {"Location": request.path})


class Gated(Repo):
    def allowed(self, request):
        given = request.headers.get("Authorization")
        if given == "Bearer hf_good":
            return True
        request.answer(403 if given else 401, b'{"error": "Access to model is restricted"}')
        return False

    def api(self, request):
        if self.allowed(request):
            super().api(request)

    def file(self, request, name):
        if self.allowed(request):
            super().file(request, name)


class Flaky(Repo):
    """Every URL fails twice with 5xx before it works."""

    def api(self, request):
        if times(request.path) < 2:
            return request.answer(503, b"busy")
        super().api(request)

    def send(self, request, name, data):
        if times(request.path) < 2:
            return request.answer(500, b"oops")
        super().send(request, name, data)


class Down(Repo):
    def send(self, request, name, data):
        request.answer(500, b"oops") if name == "model.safetensors" else super().send(request, name, data)


class Broken(Repo):
    """The line drops after STEP bytes of weights, each time."""

    def send(self, request, name, data):
        request.ranged(data, '"v1"', stop=STEP)


class NoRange(Repo):
    """Drops once, then sends the whole file whatever range is asked for."""

    def send(self, request, name, data):
        first = name == "model.safetensors" and times(request.path) == 0
        request.ranged(data, '"v1"', stop=STEP if first else None, ranges=False)


class Changed(Repo):
    """Drops once; when asked again the file is another version (other bytes, other ETag)."""

    def send(self, request, name, data):
        if name == "model.safetensors" and times(request.path) == 0:
            return request.ranged(b"z" * len(data), '"v1"', stop=STEP)
        request.ranged(data, '"v2"')


class WrongHash(Repo):
    def send(self, request, name, data):
        super().send(request, name, b"z" + data[1:] if name == "model.safetensors" else data)


class Short(Repo):
    def send(self, request, name, data):
        super().send(request, name, data[:-7] if name == "model.safetensors" else data)


class Long(Repo):
    def send(self, request, name, data):
        super().send(request, name, data + b"more" if name == "model.safetensors" else data)


class BadRange(Repo):
    """Drops once, then answers a range request with another range."""

    def send(self, request, name, data):
        if name == "model.safetensors" and times(request.path) > 0:
            return request.answer(206, data[:STEP], {"ETag": '"v1"', "Content-Range":
                                                     f"bytes 0-{STEP - 1}/{len(data)}"})
        request.ranged(data, '"v1"', stop=STEP)


class Stall(Repo):
    def send(self, request, name, data):
        request.ranged(data, '"v1"', stop=STEP if name == "model.safetensors" else None, stall=6)


class Onnx(Repo):
    def files(self):
        return {**SMALL, "onnx/model.onnx": WEIGHTS, "onnx/model_quantized.onnx": b"q" * 100}


class Sharded(Repo):
    def files(self):
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors",
                                "b": "model-00002-of-00002.safetensors"}}
        return {**SMALL, "model.safetensors.index.json": json.dumps(index).encode(),
                "model-00001-of-00002.safetensors": WEIGHTS[:1000],
                "model-00002-of-00002.safetensors": WEIGHTS[1000:2000],
                "onnx/model.onnx": WEIGHTS}


class TorchOnly(Repo):
    def files(self):
        return {**SMALL, "pytorch_model.bin": WEIGHTS}


class Hostile(Repo):
    """The list holds one more name: the revision, which the caller percent-encodes."""

    NAMES = {"dotdot": "../evil", "absolute": "/tmp/evil", "newline": "config.json\nx",
             "inside": "1_Pooling/../../evil", "backslash": "..\\evil", "empty": "",
             "twice": "config.json"}

    def siblings(self):
        yield from super().siblings()
        yield {"rfilename": self.NAMES[self.revision], "size": 4}


class BadList(Repo):
    """Lists that are not one, by revision."""

    LISTS = {
        "notjson": b"<html>sign in</html>",
        "nolist": b'{"sha": "' + COMMIT.encode() + b'"}',
        "number": b'{"siblings": [3]}',
        "nonames": b'{"siblings": [{"size": 3}]}',
        "negative": b'{"siblings": [{"rfilename": "config.json", "size": -1}]}',
        "badsha": b'{"siblings": [{"rfilename": "config.json", "size": 1, "lfs": {"sha256": "../x"}}]}',
        "badcommit": b'{"sha": "../../x", "siblings": []}',
        "nothing": b'{"siblings": []}',
    }

    def api(self, request):
        request.answer(200, self.LISTS[self.revision])


REPOS = {"plain": Repo, "redirect": Redirect, "linked-hash": LinkedHash, "loop": Loop,
         "gated": Gated, "flaky": Flaky, "down": Down, "broken": Broken, "no-range": NoRange,
         "changed": Changed, "wrong-hash": WrongHash, "short": Short, "long": Long,
         "bad-range": BadRange, "stall": Stall, "onnx": Onnx, "sharded": Sharded,
         "torch-only": TorchOnly, "hostile": Hostile, "bad-list": BadList}


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def log_message(self, *args):
        pass

    def note(self, status):
        with lock:
            log.append({"port": self.port, "path": self.path, "status": status,
                        "authorization": self.headers.get("Authorization", ""),
                        "range": self.headers.get("Range", ""),
                        "if_range": self.headers.get("If-Range", "")})

    def answer(self, status, body, headers={}):
        self.note(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ranged(self, data, etag, stop=None, ranges=True, stall=0):
        """data with Range and If-Range; after `stop` bytes the line is silent, then drops."""
        start, wanted = 0, self.headers.get("Range", "")
        if ranges and wanted.startswith("bytes=") and self.headers.get("If-Range", etag) == etag:
            start = int(wanted[6:].rstrip("-"))
            if start >= len(data):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        self.note(206 if start else 200)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if stop is not None and len(body) > stop:
            self.wfile.write(body[:stop])
            self.wfile.flush()
            time.sleep(stall)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def do_GET(self):
        self.port = self.server.server_address[1]
        hub, cdn = self.server.ports
        path = urllib.parse.urlsplit(self.path).path.removeprefix("/api/resolve-cache")
        if path == "/_log":
            with lock:
                body = json.dumps(log).encode()
                log.clear()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        if api:
            parts = parts[2:]
        if len(parts) < 4 or parts[0] != "acme" or parts[1] not in REPOS:
            return self.answer(404, b'{"error": "Repository not found"}')
        self.repo = "/".join(parts[:2])
        repo = REPOS[parts[1]](hub, cdn)
        repo.revision = urllib.parse.unquote(parts[3])
        if repo.revision == "no-such":
            return self.answer(404, b'{"error": "Invalid rev id"}')
        if api:
            repo.api(self)
        else:
            repo.file(self, urllib.parse.unquote("/".join(parts[4:])))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what half of these tests are about


def main():
    servers = [Server(("127.0.0.1", 0), Request) for _ in range(2)]
    ports = [server.server_address[1] for server in servers]
    for server in servers:
        server.ports = ports
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    print(*ports, flush=True)
    sys.stdin.read()


main()
