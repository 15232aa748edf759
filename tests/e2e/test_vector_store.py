"""Vectors of an index on a server: Qdrant (in miniature, held to its description) and Chroma (the real one)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from conftest import ROOT
from test_index import project
from test_server_tls import make_cert
from vector_kit import Qdrant, openapi

MODEL = ROOT / "tests/golden/embed/bert-mean.gguf"
# Not a real key of anything.
KEY = "key-for-the-test-only"


@pytest.fixture
def tree(tmp_path):
    root = project(tmp_path)
    for k in range(30):
        (root / f"src/m{k:02}.py").write_text(
            f'def thing_{k}(a):\n    """Does the {k}th thing of all."""\n    return a * {k}\n')
    return root


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def index(hearth, tree, *args, **options):
    return hearth("index", tree, "--json", *args, **options)


def search(hearth, tree, text, *args, **options):
    return json.loads(hearth("search", "--json", "-n", 100, "-C", tree, text, *args, **options).stdout)


def scores(answer):
    """{place: cosine} of all; ranks follow the scores (among equals any order is right)."""
    by_rank = sorted((h["ranks"][1], -h["vector_score"]) for h in answer["hits"])
    assert by_rank[0][0] == 1 and all(a[1] <= b[1] + 1e-6 for a, b in zip(by_rank, by_rank[1:]))
    return {(h["path"], h["line"]): pytest.approx(h["vector_score"], abs=1e-4) for h in answer["hits"]}


def test_finds_the_same_as_the_index_itself(hearth, tree, tmp_path):
    with Qdrant(key=KEY) as q:
        env = {"HEARTH_STORE_KEY": KEY}
        n = lines(index(hearth, tree, "--embed-model", MODEL))[1]["embedded"]
        assert n >= 32
        queries = ("does the 7th thing", "parse a request", "main")
        local = [search(hearth, tree, text) for text in queries]
        assert not q.requests  # nobody asked for a connection
        made = lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url(), env=env))
        # They move there, and none is made once more.
        assert made[1] == {"embedded": 0} and len(q.points()) == n
        for text, here in zip(queries, local):
            there = search(hearth, tree, text, "--store", q.url(), env=env)
            assert "note" not in there and scores(there) == scores(here)
        # By the environment, too; and without either, no connection and a word about it.
        n = len(q.requests)
        assert scores(search(hearth, tree, queries[0], env={**env, "HEARTH_STORE": q.url()})) == scores(local[0])
        assert len(q.requests) > n
        n = len(q.requests)
        alone = search(hearth, tree, queries[0])
        assert q.url() in alone["note"] and all(h["ranks"][1] == 0 for h in alone["hits"])
        again = lines(index(hearth, tree))
        assert len(again) == 1 and len(q.requests) == n
        assert not q.wrong, q.wrong
        # Nothing that tells of the code leaves the machine.
        sent = json.dumps([r[3] for r in q.requests])
        assert not any(word in sent for word in ("thing", "src/", "parse", str(tmp_path)))
        for _, _, _, _, headers in q.requests:
            assert headers["api-key"] == KEY and headers["User-Agent"].startswith("hearth/")


def test_follows_the_tree(hearth, tree):
    with Qdrant() as q:
        store = ("--store", q.url())
        lines(index(hearth, tree, "--embed-model", MODEL, *store))
        before = dict(q.points())
        # One file changes, one goes: one vector more, two fewer; the rest is not sent again.
        (tree / "src/m03.py").write_text("def other_thing(a):\n    return a\n")
        (tree / "src/m04.py").unlink()
        n = len(q.requests)
        assert lines(index(hearth, tree, *store))[1] == {"embedded": 1}
        after = q.points()
        assert len(set(before) - set(after)) == 2 and len(set(after) - set(before)) == 1
        sent = [r for r in q.requests[n:] if r[0] == "PUT"]
        assert [len(r[3]["batch"]["ids"]) for r in sent] == [1]
        # What the server lost is made once more.
        for gone in list(after)[:5]:
            del after[gone]
        assert lines(index(hearth, tree, *store))[1] == {"embedded": 5}
        # A colleague's index of the same code needs no vector of its own.
        other = tree.parent / "colleague"
        shutil.copytree(tree, other)
        n = len(q.points())
        assert lines(index(hearth, other, "--embed-model", MODEL, *store))[1] == {"embedded": 0}
        assert len(q.points()) == n
        found = search(hearth, other, "other thing", *store)
        assert any(h["path"] == "src/m03.py" and h["ranks"][1] for h in found["hits"])
        # Vectors of code that this machine lacks are not answers.
        (other / "src/only.py").write_text("def only_with_the_colleague():\n    return 1\n")
        lines(index(hearth, other, *store))
        assert all(h["path"] != "src/only.py" for h in search(hearth, tree, "only with the colleague", *store)["hits"])
        assert not q.wrong, q.wrong


def test_another_collection_and_back(hearth, tree):
    with Qdrant() as q:
        n = lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url("one")))[1]["embedded"]
        assert lines(index(hearth, tree, "--store", q.url("two")))[1]["embedded"] == n
        assert len(q.points("one")) == len(q.points("two")) == n
        wrong = search(hearth, tree, "thing", "--store", q.url("one"))
        assert "two" in wrong["note"]
        assert lines(index(hearth, tree, "--embed-model", MODEL))[1]["embedded"] == n  # into the index
        assert "note" not in search(hearth, tree, "thing")
        # Vectors of another size are somebody else's.
        q.collections["two"]["params"]["vectors"]["size"] = 768
        refused = index(hearth, tree, "--embed-model", MODEL, "--store", q.url("two"))
        assert refused.returncode != 0 and "another collection" in refused.stderr
        q.collections["two"]["params"]["vectors"] = {"size": 32, "distance": "Dot"}
        assert "another collection" in index(hearth, tree, "--embed-model", MODEL, "--store", q.url("two")).stderr


def test_watch_makes_vectors(hearth_bin, tree, tmp_path):
    env = dict(os.environ, HOME=str(tmp_path), HEARTH_HOME=str(tmp_path / "home"))
    with Qdrant() as q:
        watch = subprocess.Popen([hearth_bin, "index", str(tree), "--watch", "--json", "--embed-model", str(MODEL),
                                  "--store", q.url()], env=env, text=True, stdout=subprocess.PIPE)
        try:
            assert json.loads(watch.stdout.readline())["files"] > 30
            n = json.loads(watch.stdout.readline())["embedded"]
            assert n == len(q.points()) > 30
            (tree / "src/new.py").write_text("def brand_new_thing():\n    pass\n")
            while "embedded" not in (line := json.loads(watch.stdout.readline())) or not line["embedded"]:
                pass
            assert len(q.points()) == n + 1
        finally:
            watch.send_signal(signal.SIGINT)
            assert watch.wait(timeout=30) in (0, 130)


def test_addresses_and_the_way_there(hearth, tree):
    for bad in ("qdrant://", "qdrant://host", "qdrant://host/", "qdrant://host/a/b", "qdrant://host:0/a", "http://h/a",
                "qdrant://host:99999999999/a", "qdrant://u:p@host/a", "qdrant://host/..", "qdrant://h/a?tenant=x",
                "chroma://h/a?other=x", "qdrant://ho st/a", "qdrant://[::1/a", "qdrant://host/a%2f", "sqlite://x/y"):
        refused = index(hearth, tree, "--embed-model", MODEL, "--store", bad)
        assert refused.returncode != 0 and "is no store" in refused.stderr, bad
    away = "qdrant://vectors.example.invalid/project"
    offline = index(hearth, tree, "--embed-model", MODEL, "--store", away, env={"HEARTH_OFFLINE": "1"})
    assert offline.returncode != 0 and "HEARTH_OFFLINE" in offline.stderr
    clear = index(hearth, tree, "--embed-model", MODEL, "--store", away, env={"HEARTH_STORE_KEY": KEY})
    assert clear.returncode != 0 and "in the clear" in clear.stderr and KEY not in clear.stderr
    odd = index(hearth, tree, "--embed-model", MODEL, "--store", "qdrant://127.0.0.1:1/a", env={"HEARTH_STORE_KEY": "a\nb: c"})
    assert odd.returncode != 0 and "no key has" in odd.stderr
    with Qdrant() as q:  # loopback stays reachable
        assert lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url(), env={"HEARTH_OFFLINE": "1"}))
    nobody = index(hearth, tree, "--store", "qdrant://127.0.0.1:1/a")
    assert nobody.returncode != 0 and "127.0.0.1:1" in nobody.stderr
    without = hearth("index", tree.parent / "project", "--rebuild", "--store", "qdrant://127.0.0.1:1/a")
    assert without.returncode != 0 and "--embed-model" in without.stderr


def test_tls_and_keys(hearth, tree, tmp_path):
    pair = make_cert(tmp_path, "localhost")
    with Qdrant(key=KEY, certificate=pair) as q:
        args = ("--embed-model", MODEL, "--store", q.url())
        trusted = {"CURL_CA_BUNDLE": str(pair[0])}
        unknown = index(hearth, tree, *args, env={"HEARTH_STORE_KEY": KEY})
        assert unknown.returncode != 0 and not q.requests
        keyless = index(hearth, tree, *args, env=trusted)
        assert keyless.returncode != 0 and "HEARTH_STORE_KEY" in keyless.stderr
        assert lines(index(hearth, tree, *args, env={**trusted, "HEARTH_STORE_KEY": KEY}))[1]["embedded"] > 30


def test_tries_again(hearth, tree):
    ill = [(503, b"", {"Retry-After": "0.1", "Content-Length": "0"}), "drop", (429, b"{}", {"Content-Length": "2"})]

    def trouble(method, path, n):
        return ill[n] if n < len(ill) else None

    with Qdrant(trouble=trouble) as q:
        assert lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url()))[1]["embedded"] == len(q.points())
        assert not q.wrong, q.wrong


def endless():
    while True:
        yield b"[" * 65536


def drip():
    for _ in range(300):
        time.sleep(0.1)
        yield b" "


def good(result):
    return json.dumps({"result": result, "status": "ok", "time": 0.1}).encode()


NEAR = [{"id": str(uuid.UUID(int=k)), "version": 1, "score": 0.5} for k in range(5000)]
HOSTILE = {
    "nothing": b"", "no json": b"<html>hello", "cut": b'{"result": {"points": [', "deep": b"[" * 1000000,
    "a number": b"7", "null": b"null", "no points": good({}), "points are text": good({"points": "x"}),
    "too many": good({"points": NEAR}), "no uuid": good({"points": [{"id": 7, "score": 1}]}),
    "long id": good({"points": [{"id": "a" * 100000, "score": 1}]}),
    "no score": good({"points": [{"id": str(uuid.UUID(int=1))}]}),
    "odd score": b'{"result":{"points":[{"id":"%s","score":1e300}]}}' % str(uuid.UUID(int=1)).encode(),
    "text score": good({"points": [{"id": str(uuid.UUID(int=1)), "score": "1"}]}),
    "invalid utf-8": b'{"result":"\xff\xfe"}', "endless": endless, "slow": drip, "drop": "drop",
}


def test_no_answer_harms_a_search(hearth, tree):
    state = {}

    def trouble(method, path, n):
        answer = state.get("answer")
        if answer is None or not path.endswith("/query"):
            return None
        if answer == "drop":
            return answer
        return 200, answer() if callable(answer) else answer, {"Content-Type": "application/json"}

    with Qdrant(trouble=trouble) as q:
        lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url()))
        for name, state["answer"] in HOSTILE.items():
            began = time.monotonic()
            done = hearth("search", "--json", "-C", tree, "parse a request", "--store", q.url(), timeout=60)
            assert done.returncode == 0, (name, done.stderr)
            found = json.loads(done.stdout)
            assert found["hits"][0]["path"] == "src/net.py" and "by words alone" in found.get("note", ""), name
            assert time.monotonic() - began < 20, name


@pytest.mark.parametrize("name", ["nothing", "no json", "deep", "a number", "endless", "no points", "500", "302", "ids"])
def test_no_answer_harms_the_index(hearth, tree, name):
    code, answer, headers = 200, HOSTILE.get(name, b"{}"), {}
    if name == "500":
        code, answer = 500, b'{"status":{"error":"disk on fire\\u001b[2J"}}'
    if name == "302":
        code, headers = 302, {"Location": "http://127.0.0.1:1/"}
    if name == "ids":
        answer = good([{"id": str(uuid.UUID(int=k))} for k in range(9999)])

    def trouble(method, path, n):
        return (code, answer() if callable(answer) else answer, headers) if n > 2 else None

    with Qdrant(trouble=trouble) as q:
        failed = index(hearth, tree, "--embed-model", MODEL, "--store", q.url(), timeout=60)
        assert failed.returncode == 1 and "127.0.0.1" in failed.stderr and "\033[2J" not in failed.stderr, failed.stderr
        # Words work on, and the next run makes what is missing.
        assert search(hearth, tree, "parse a request", "--words")["hits"]
        q.trouble = None
        assert lines(index(hearth, tree, "--store", q.url()))[1]["embedded"] == len(q.points())


def test_killed_between_server_and_mark(hearth, hearth_bin, tree, tmp_path):
    """The server has vectors that the index does not know of: they are found there and not made again."""
    with Qdrant() as q:
        lines(index(hearth, tree, "--embed-model", MODEL, "--store", q.url()))
        whole = dict(q.points())
        shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        shutil.rmtree(tmp_path / ".hearth", ignore_errors=True)
        assert lines(index(hearth, tree, "--rebuild", "--embed-model", MODEL, "--store", q.url()))[1] == {"embedded": 0}
        assert q.points() == whole


def test_held_to_the_whole_description():
    if not openapi():
        pytest.skip("HEARTH_QDRANT_OPENAPI names no file: `make stores` fetches it")
    # The other tests compare each call with it; here, that the comparison can fail.
    from vector_kit import check_call
    check_call("PUT", "/collections/a", {}, {"vectors": {"size": 3, "distance": "Cosine"}})
    for method, path, body in (("PUT", "/collections/a", {"vectors": {"size": 3, "distance": "cosine"}}),
                               ("POST", "/collections/a/points/query", {"query": ["x"]}),
                               ("POST", "/collections/a/points/delete", {"ids": []})):
        with pytest.raises(AssertionError):
            check_call(method, path, {}, body)


# ---- Chroma ----

ONE = str(uuid.UUID(int=1))
HOSTILE_CHROMA = {
    "nothing": b"", "no json": b"<html>", "null": b"null", "no lists": b'{"ids": 7, "distances": {}}', "empty": b'{"ids": []}',
    "uneven": json.dumps({"ids": [[ONE]], "distances": [[]]}).encode(),
    "no numbers": json.dumps({"ids": [[ONE]], "distances": [[None]]}).encode(),
    "odd": b'{"ids": [["%s"]], "distances": [[-1e300]]}' % ONE.encode(),
    "too many": json.dumps({"ids": [[ONE] * 5000], "distances": [[0.5] * 5000]}).encode(), "endless": endless,
}


@pytest.mark.parametrize("name", HOSTILE_CHROMA)
def test_no_answer_of_chromas_harms(hearth, tree, name):
    state = {"query": HOSTILE_CHROMA[name], "get": b'{"ids": [], "include": []}', "upsert": b"{}", "delete": b"{}"}

    def trouble(method, path, n):
        last = path.rsplit("/", 1)[1]
        answer = state.get(last, b'{"max_batch_size": 3}' if last == "pre-flight-checks" else
                           b'{"id": "%s", "name": "a", "configuration_json": {"hnsw": {"space": "cosine"}}}' % ONE.encode())
        return 200, answer() if callable(answer) else answer, {}

    with Qdrant(trouble=trouble) as q:
        store = ("--store", q.url(scheme="chroma"))
        lines(index(hearth, tree, "--embed-model", MODEL, *store))
        found = search(hearth, tree, "parse a request", *store)
        assert found["hits"][0]["path"] == "src/net.py" and "by words alone" in found["note"]
        state["get"] = HOSTILE_CHROMA[name]
        done = index(hearth, tree, *store)
        assert done.returncode == (0 if name == "empty" else 1) and (name == "empty" or "127.0.0.1" in done.stderr)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def chroma(tmp_path_factory):
    """The real server: `chroma` of HEARTH_CHROMA, of `make stores`, or on the path."""
    program = os.environ.get("HEARTH_CHROMA") or shutil.which("chroma") or ROOT / "build-check/chroma/bin/chroma"
    if not Path(program).exists():
        pytest.skip("no chroma program: `make stores` installs one")
    port = free_port()
    server = subprocess.Popen([program, "run", "--path", str(tmp_path_factory.mktemp("chroma")), "--port", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=dict(os.environ, ANONYMIZED_TELEMETRY="False"))
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1).read()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def ask_chroma(where, path, body=None):
    rq = urllib.request.Request(f"http://{where}/api/v2/tenants/default_tenant/databases/default_database/collections{path}",
                                data=json.dumps(body).encode() if body is not None else None,
                                headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(rq, timeout=20) as r:
        return json.load(r)


def test_chroma_finds_the_same(hearth, tree, chroma):
    store = ("--store", f"chroma://{chroma}/project-a")
    n = lines(index(hearth, tree, "--embed-model", MODEL))[1]["embedded"]
    queries = ("does the 7th thing", "parse a request", "main")
    local = [search(hearth, tree, text) for text in queries]
    assert lines(index(hearth, tree, "--embed-model", MODEL, *store))[1]["embedded"] == 0
    here = ask_chroma(chroma, "/project-a")
    assert here["dimension"] == 32 and here["configuration_json"]["hnsw"]["space"] == "cosine"
    assert ask_chroma(chroma, f"/{here['id']}/count") == n
    for text, answer in zip(queries, local):
        assert scores(search(hearth, tree, text, *store)) == scores(answer)
    (tree / "src/m03.py").write_text("def other_thing(a):\n    return a\n")
    (tree / "src/m04.py").unlink()
    assert lines(index(hearth, tree, *store))[1] == {"embedded": 1}
    assert ask_chroma(chroma, f"/{here['id']}/count") == n - 1
    found = search(hearth, tree, "other thing", *store)
    assert any(h["path"] == "src/m03.py" and h["ranks"][1] for h in found["hits"])
    assert all(h["path"] != "src/m04.py" for h in found["hits"])
    # A colleague, whose index finds all vectors there.
    other = tree.parent / "colleague"
    shutil.copytree(tree, other)
    assert lines(index(hearth, other, "--embed-model", MODEL, *store))[1] == {"embedded": 0}


def test_chroma_refuses_what_does_not_fit(hearth, tree, chroma):
    ask_chroma(chroma, "", {"name": "by-distance", "configuration": {"hnsw": {"space": "l2"}}})
    refused = index(hearth, tree, "--embed-model", MODEL, "--store", f"chroma://{chroma}/by-distance")
    assert refused.returncode != 0 and "another collection" in refused.stderr
    lost = index(hearth, tree, "--embed-model", MODEL, "--store", f"chroma://{chroma}/abc?tenant=nobody")
    assert lost.returncode != 0 and "HTTP 40" in lost.stderr
    lines(index(hearth, tree, "--embed-model", MODEL, "--store", f"chroma://{chroma}/project-b"))
    gone = ask_chroma(chroma, "/project-b")
    rq = urllib.request.Request(f"http://{chroma}/api/v2/tenants/default_tenant/databases/default_database/collections/"
                                f"{gone['name']}", method="DELETE")
    urllib.request.urlopen(rq, timeout=20).read()
    found = search(hearth, tree, "parse a request", "--store", f"chroma://{chroma}/project-b")
    assert found["hits"] and "no such collection" in found["note"]
