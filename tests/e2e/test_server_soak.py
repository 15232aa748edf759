"""hearth serve under crowds, kills and stopwatches. Small here; `make soak` (HEARTH_SOAK=1) runs them whole."""

import json
import os
import random
import resource
import selectors
import socket
import threading
import time
from pathlib import Path

import pytest
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model

SOAK = os.environ.get("HEARTH_SOAK") == "1"


def size(small, whole):
    return whole if SOAK else small


def report(what):
    """A figure, shown by pytest -s and kept where HEARTH_SOAK_LOG says."""
    print(what)
    if os.environ.get("HEARTH_SOAK_LOG"):
        with open(os.environ["HEARTH_SOAK_LOG"], "a") as f:
            f.write(what + "\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("soak-model") / "tiny.gguf"
    write_tiny_model(path, SPECIAL)
    return path


@pytest.fixture(scope="module", autouse=True)
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def need_files(n):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < n + 200:
        pytest.skip(f"the system allows fewer than {n} open files")


def rss_mb(server):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def health_times(server, n):
    times = []
    for _ in range(n):
        began = time.monotonic()
        with socket.create_connection((server.host, server.port), timeout=20) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        times.append(time.monotonic() - began)
        time.sleep(0.01)
    return sorted(times)


def completion(body, headers=""):
    data = json.dumps(body).encode()
    return (f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n{headers}\r\n").encode() + data


# ---- crowds -------------------------------------------------------------------------------------


def test_half_sent_heads_leave_health_quick(hearth_bin, tmp_path, model):
    n = size(500, 10000)
    need_files(n)
    s = Server(hearth_bin, tmp_path, "--log", "none", model=model)
    waiting = []
    try:
        for _ in range(n):
            c = socket.create_connection((s.host, s.port), timeout=20)
            c.sendall(b"GET / HTTP/1.1\r\nHost: lo")
            waiting.append(c)
        times = health_times(s, 50)
        report(f"{n} half-sent heads: /health median {1e3 * times[25]:.1f} ms, p95 {1e3 * times[47]:.1f} ms, "
               f"RSS {rss_mb(s):.0f} MB")
        assert times[25] < 0.05
        assert rss_mb(s) < 1024
    finally:
        for c in waiting:
            c.close()
        s.stop()


def test_waiting_streams_are_small_and_none_is_dropped(hearth_bin, tmp_path, model):
    n, tokens = size(300, 10000), 40
    need_files(n)
    s = Server(hearth_bin, tmp_path, "--log", "none", "--max-waiting", "20000", model=model)
    ask = completion({"prompt": "a b", "max_tokens": tokens, "stream": True, "ignore_eos": True, "temperature": 0})
    watch, open_streams = selectors.DefaultSelector(), {}
    done, most, peak, times = 0, 0, 0, []

    def read_some(wait):
        nonlocal done
        for key, _ in watch.select(wait):
            c = key.fileobj
            piece = c.recv(65536)
            open_streams[c] += piece
            if not piece or piece.endswith(b"0\r\n\r\n"):
                assert open_streams[c].startswith(b"HTTP/1.1 200 "), open_streams[c][:300]
                assert open_streams[c].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), open_streams[c][-300:]
                watch.unregister(c)
                c.close()
                del open_streams[c]
                done += 1

    try:
        for i in range(n):
            c = socket.create_connection((s.host, s.port), timeout=60)
            c.sendall(ask)
            open_streams[c] = b""
            watch.register(c, selectors.EVENT_READ)
            if i % 50 == 0:
                read_some(0)
            if i % 500 == 499 or i == n - 1:
                most, peak = max(most, len(open_streams)), max(peak, rss_mb(s))
        times = health_times(s, 20)
        last = time.monotonic()
        while open_streams:
            before = done
            read_some(1)
            last = time.monotonic() if done > before else last
            assert time.monotonic() - last < 60, f"{len(open_streams)} streams stand still"
            if done % 1000 == 0:
                peak = max(peak, rss_mb(s))
        report(f"{n} streams, {most} of them open at once: RSS {peak:.0f} MB, /health median {1e3 * times[10]:.1f} ms, "
               f"{done} complete")
        assert done == n and most > n / 2
        assert peak < 1024
    finally:
        for c in open_streams:
            c.close()
        s.stop()


# ---- stopwatches --------------------------------------------------------------------------------


def make_keys(hearth, home, *names):
    return [hearth("serve", "--make-key", name, env={"HEARTH_HOME": str(home)}).stdout.strip() for name in names]


class Timed:
    """One connection with a key; asks for one token and tells how long that took."""

    def __init__(self, server, key):
        self.s = socket.create_connection((server.host, server.port), timeout=60)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.key = key

    def ask(self, prompt):
        data = completion({"prompt": prompt, "max_tokens": 1, "temperature": 0}, f"Authorization: Bearer {self.key}\r\n")
        began = time.perf_counter()
        self.s.sendall(data)
        got = self.s.recv(65536)
        took = time.perf_counter() - began
        head, _, body = got.partition(b"\r\n\r\n")
        n = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(body) < n:
            body += self.s.recv(65536)
        assert got.startswith(b"HTTP/1.1 200 "), got
        return took, json.loads(body)["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)


def auc(a, b):
    """The chance that a time of `a` is longer than one of `b`, by ranks."""
    ranked = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    return (sum(i for i, (_, k) in enumerate(ranked) if k == 0) - len(a) * (len(a) - 1) / 2) / (len(a) * len(b))


def probe(rng, victim, attacker, n):
    """Times of the attacker's for prompts that the victim has just sent, and for new ones; the tokens found cached."""
    known, new, cached = [], [], 0
    for i in range(n):
        secret, other = ("".join(rng.choices("abcdefgh ", k=400)) for _ in range(2))
        victim.ask(secret)
        took, found = attacker.ask(secret if i % 2 else other)
        (known if i % 2 else new).append(took)
        cached += found
    return known, new, cached


def test_another_keys_prompts_cannot_be_told_by_time(hearth, hearth_bin, tmp_path, model):
    keys = make_keys(hearth, tmp_path, "one", "two")
    s = Server(hearth_bin, tmp_path, "--log", "none", model=model)
    rng = random.Random(7)
    try:
        one, two, same = Timed(s, keys[0]), Timed(s, keys[1]), Timed(s, keys[0])
        known, new, cached = probe(rng, one, same, size(20, 200))
        control = auc(new, known)
        assert cached > 0  # one's own beginnings are shared, and that is seen:
        known, new, cached = probe(rng, one, two, size(40, 2000))
        assert cached == 0  # another key's are not
        measured = auc(new, known)
        report(f"prefix cache, {len(known) + len(new)} probes: AUC {measured:.3f} between keys, {control:.3f} within one")
        if SOAK:
            assert control > 0.8  # the stopwatch is good enough
            assert abs(measured - 0.5) <= 0.05
    finally:
        s.stop()


# ---- kills --------------------------------------------------------------------------------------


def test_killed_at_any_moment_the_next_start_is_clean(hearth_bin, tmp_path):
    """A model whose weights are packed at the first load, into a cache of its own."""
    real = os.environ.get("HEARTH_TEST_HOME")
    if not real:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    for name in ("blobs", "manifests"):
        (tmp_path / name).symlink_to(Path(real) / name)
    ask = {"prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
    rng = random.Random(3)

    def start():
        return Server(hearth_bin, tmp_path, "--log", "none", model="smollm2:135m")

    def files():
        return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")
                      if p.is_file() and not p.is_relative_to(tmp_path / "locks"))

    s = start()
    want = s.post("/v1/completions", ask)[1]["choices"][0]["text"]
    s.stop()
    clean = files()
    assert any(f.startswith("cache/") for f in clean)
    n = size(4, 200)
    for i in range(n):
        if i % 2 == 0:  # weights are packed anew
            for p in (tmp_path / "cache").rglob("*"):
                if p.is_file():
                    p.unlink()
        s = start()
        askers = [threading.Thread(target=lambda: post_quietly(s, ask)) for _ in range(3)]
        for t in askers:
            t.start()
        time.sleep(rng.random() ** 2 * 1.2)
        s.process.kill()
        s.process.communicate(timeout=20)
        for t in askers:
            t.join(30)
        if i % 5 == 4 or i == n - 1:
            s = start()
            code, answer = s.post("/v1/completions", ask)
            assert code == 200 and answer["choices"][0]["text"] == want
            s.stop()
            assert s.process.returncode == 0
            assert [f for f in files() if f not in clean] == [], f"left behind after {i + 1} kills"
    report(f"{n} kills: every start after them clean")


def post_quietly(server, body):
    try:
        server.post("/v1/completions", body, timeout=20)
    except (OSError, ValueError):
        pass  # killed in between
    except Exception as e:  # noqa: BLE001  http.client has errors of its own for a broken answer
        assert "http.client" in type(e).__module__, e
