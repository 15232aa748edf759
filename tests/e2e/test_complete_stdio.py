"""hearth complete --stdio: lines of JSON in, lines of JSON out.

The model is the one of test_complete.py: a few kilobytes of random weights, one token a byte.
"""

import json
import os
import subprocess

import pytest

from test_complete import SPECIAL, write_tiny_model

BELOW = "\n" + "".join(f"line {i} below the cursor\n" for i in range(8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "fim.gguf"
    write_tiny_model(path, SPECIAL)
    return path


class Server:
    def __init__(self, binary, model, folder, *options):
        env = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder), "HEARTH_HOME": ""}
        self.process = subprocess.Popen(
            [binary, "complete", "--stdio", "-m", str(model), "-n", "8", *options], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send(self, *requests):
        lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in requests]
        self.process.stdin.write(b"".join(line + b"\n" for line in lines))
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, prefix, suffix="", **more):
        self.send({"prefix": prefix, "suffix": suffix, **more})
        return self.answer()

    def close(self):
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0 and err == b"", err
        return out


@pytest.fixture
def server(hearth_bin, model, tmp_path):
    running = []

    def start(*options):
        running.append(Server(hearth_bin, model, tmp_path, *options))
        return running[-1]

    yield start
    for s in running:
        s.process.kill()
        s.process.communicate()


def test_an_answer_says_what_json_says(server, hearth_bin, tmp_path):
    s = server()
    got = s.ask("def f():\n    return ", "\n", id={"any": 1})
    assert got["id"] == {"any": 1} and isinstance(got["text"], str)
    assert got["reuse"] == "none" and got["cached_tokens"] == 0
    for name in ("prompt_tokens", "completion_tokens", "finish_reason", "stopped_by", "truncated"):
        assert name in got
    for name in ("prepare_ms", "prefill_ms", "first_token_ms", "decode_ms", "total_ms"):
        assert got["timings"][name] >= 0
    assert s.close() == b""


def test_typing_costs_what_was_typed_and_changes_no_answer(server):
    """Character by character, back, and on another way: each answer is that of a new process."""
    s = server("--raw")
    lines = ["x", "x ", "x =", "x = f", "x = fo", "x = foo(", "x = fo", "x", "", "y", "y*2"]
    for i, line in enumerate(lines):
        got = s.ask("import a\n" + line, BELOW)
        assert got["reuse"] == ("anchor" if i else "none")
        if i:
            assert got["prompt_tokens"] - got["cached_tokens"] <= len(line) + 1
        fresh = server("--raw")
        assert fresh.ask("import a\n" + line, BELOW)["text"] == got["text"]
        fresh.close()
    s.close()


def test_an_accepted_answer_is_cached(server):
    s = server("--raw")
    for seed in range(40):
        first = s.ask("a\n", BELOW, temperature=1, seed=seed)["text"]
        if len(first.strip("\n")) == len(first) > 2 and first.isascii():
            break
    else:
        pytest.fail("the model says nothing; another one is needed")
    got = s.ask("a\n" + first[:-1], BELOW)
    assert got["prompt_tokens"] - got["cached_tokens"] == 1


def test_lines_typed_move_the_anchor_when_idle(server):
    s = server("--raw")
    s.ask("a\n", BELOW)
    prefix = "a\nb = 1\nc"
    behind = s.ask(prefix, BELOW)
    assert behind["reuse"] == "anchor" and behind["typed_tokens"] == len("b = 1\n")
    ahead = s.ask(prefix, BELOW, idle=True, id=7)
    assert ahead["idle"] is True and ahead["id"] == 7 and ahead["ready"] is True
    assert ahead["ready_tokens"] == ahead["prompt_tokens"] > len(BELOW)
    moved = s.ask(prefix, BELOW)
    assert moved["reuse"] == "anchor" and moved["typed_tokens"] == 0
    assert moved["prompt_tokens"] - moved["cached_tokens"] == 1
    fresh = server("--raw")
    assert fresh.ask(prefix, BELOW)["text"] == moved["text"]


def test_idle_work_yields_to_a_request(server):
    s = server()
    s.send({"prefix": "a\n", "suffix": BELOW, "idle": True},
           {"prefix": "a\n", "suffix": BELOW})
    assert s.answer()["idle"] is True
    assert isinstance(s.answer()["text"], str)


def test_a_request_overrides_the_options(server):
    s = server("--raw")
    assert s.ask("a", max_tokens=2)["completion_tokens"] <= 2
    texts = {s.ask("a", temperature=2, seed=i)["text"] for i in range(8)}
    assert len(texts) > 1
    assert s.ask("a", temperature=2, seed=3)["text"] == s.ask("a", temperature=2, seed=3)["text"]
    assert s.ask("a", deadline_ms=0.001)["finish_reason"] in ("deadline", "stop", "length")
    assert s.ask("def f():\n", "", mode="single-line")["text"].count("\n") == 0


def test_effort_says_whether_answers_are_compared(server):
    s = server()
    best = s.ask("def f():\n    a = 1\n", "\n    return a\n")
    fast = s.ask("def f():\n    a = 1\n", "\n    return a\n", effort="fast")
    assert best["candidates"] >= 2 and fast["candidates"] == 0
    assert "effort" in s.ask("a", effort="most")["error"]


def test_bad_lines_are_answered_and_harmless(server):
    s = server()
    bad = [b"{", b"nonsense", b"[]", b"3", b'"x"', b"{}", b'{"prefix": 3}', b'{"prefix": "\xff"}',
           b'{"prefix": "a\\u0000b"}', b'{"prefix": "a", "prefix": "b"}', b"[" * 5000,
           b'{"prefix": "a", "max_tokens": 0}', b'{"prefix": "a", "max_tokens": 1e99}',
           b'{"prefix": "a", "max_tokens": 512}', b'{"prefix": "a", "max_tokens": "x"}',
           b'{"prefix": "a", "temperature": -1}', b'{"prefix": "a", "mode": "x"}',
           b'{"prefix": "a", "mode": 1}', b'{"prefix": "a", "file": "id_rsa"}',
           b'{"prefix": "a", "file": 1}', b'{"idle": true}', b'\0\0', "{ä".encode(),
           # Messages are cut at a length, but never inside a character.
           *(f'{{"prefix": "a", "file": "{"x" * n}{"ä€" * 300}/id_rsa"}}'.encode() for n in range(5)),
           *(f'{{"prefix": "{"x" * n}{"ä€" * 8}'.encode() for n in range(5))]
    for line in bad:
        s.send(line)
        answer = s.answer()
        assert set(answer) == {"error"} and answer["error"], line
    s.send(b"", b"  ", b'{"prefix": "a", "id": 1, "deadline_ms": "x"}')
    assert s.answer()["id"] == 1
    assert s.ask("a\n", BELOW, id=None)["id"] is None
    assert s.close() == b""


def test_a_line_that_is_too_long_is_skipped(server):
    s = server()
    piece = b"a" * (1 << 20)
    s.process.stdin.write(b'{"prefix": "')
    for _ in range(161):
        s.process.stdin.write(piece)
    s.process.stdin.write(b'"}\n')
    s.process.stdin.flush()
    assert "MB" in s.answer()["error"]
    assert "text" in s.ask("a")


def test_the_end_of_the_input_ends_it(server):
    s = server()
    s.process.stdin.write(b'{"prefix": "a", "id": 1}')  # no line end
    out = s.close()
    assert json.loads(out)["id"] == 1


def test_what_is_cancelled_is_answered(server):
    s = server("--raw", "-n", "400")
    s.send({"prefix": "a" * 60, "id": 1}, {"prefix": "b", "id": 2}, {"cancel": True},
           {"prefix": "c", "id": 3, "max_tokens": 2})
    answers = [s.answer() for _ in range(3)]
    assert [a["id"] for a in answers] == [1, 2, 3]
    assert answers[1]["finish_reason"] in ("cancelled", "stop")
    assert answers[2]["finish_reason"] != "cancelled"


def test_nobody_reads(server):
    s = server()
    s.process.stdout.close()
    s.send({"prefix": "a"}, {"prefix": "b"})
    assert s.process.wait(timeout=60) != 0


def test_a_queue_of_requests(server):
    """More than wait at once: the rest waits in the pipe, and all are answered in order."""
    s = server("-n", "1")
    s.send(*({"prefix": f"{i}\n", "id": i} for i in range(150)))
    assert [s.answer()["id"] for _ in range(150)] == list(range(150))
    s.close()


# ---- sessions kept on disk ----------------------------------------------------------------------------


@pytest.fixture
def complete(hearth, model, tmp_path):
    def run(*args, **options):
        env = {"HEARTH_HOME": str(tmp_path / "home")}
        return hearth("complete", "-m", model, "-n", 8, "--raw", *args, env=env, **options)

    return run


def sessions(tmp_path):
    folder = tmp_path / "home" / "cache" / "sessions"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_kept_session_is_there_in_the_next_run(complete, tmp_path):
    path = tmp_path / "a.py"
    path.write_text("import a\nx = \n" + BELOW)
    plain = json.loads(complete(path, "--at", "2:5", "--json").stdout)
    assert sessions(tmp_path) == []  # nothing is kept unasked
    first = json.loads(complete(path, "--at", "2:5", "--json", "--cache-session").stdout)
    assert first["cached_tokens"] == 0 and first["text"] == plain["text"]
    (kept,) = sessions(tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    second = json.loads(complete(path, "--at", "2:5", "--json", "--cache-session").stdout)
    assert second["cached_tokens"] == second["prompt_tokens"] - 1
    assert second["text"] == plain["text"]
    other = tmp_path / "b.py"
    other.write_text("c\n")
    complete(other, "--at", "1:2", "--cache-session")
    complete("-", "--at", "1:1", "--cache-session", input="d\n")
    assert len(sessions(tmp_path)) == 2
    done = complete("--forget-sessions")
    assert done.returncode == 0 and "2 kept sessions" in done.stdout
    assert sessions(tmp_path) == []
    assert "0 kept sessions" in complete("--forget-sessions").stdout


@pytest.mark.parametrize("harm", ["byte", "cut", "longer", "empty", "header", "token"])
def test_a_damaged_session_is_not_used(complete, tmp_path, harm):
    path = tmp_path / "a.py"
    path.write_text("import a\nx = \n" + BELOW)
    plain = complete(path, "--at", "2:5", "--cache-session").stdout
    (kept,) = sessions(tmp_path)
    data = bytearray(kept.read_bytes())
    if harm == "byte":
        data[-5000] ^= 1
    elif harm == "cut":
        del data[-1:]
    elif harm == "longer":
        data += b"\0"
    elif harm == "empty":
        data.clear()
    elif harm == "header":
        data[100] ^= 1
    else:
        data[168] ^= 1
    kept.write_bytes(data)
    done = complete(path, "--at", "2:5", "--cache-session", "--json")
    assert done.returncode == 0 and "is not used" in done.stderr
    got = json.loads(done.stdout)
    assert got["text"] == plain and got["cached_tokens"] == 0
    done = complete(path, "--at", "2:5", "--cache-session", "--json")  # it was written anew
    assert done.stderr == "" and json.loads(done.stdout)["cached_tokens"] > 0


def test_a_session_that_cannot_be_kept_is_no_failure(complete, tmp_path):
    path = tmp_path / "a.py"
    path.write_text("x\n")
    (tmp_path / "home" / "cache").mkdir(parents=True)
    (tmp_path / "home" / "cache" / "sessions").write_text("in the way")
    done = complete(path, "--at", "1:2", "--cache-session")
    assert done.returncode == 0 and "not kept" in done.stderr


def test_a_server_keeps_its_files(server):
    s = server("--cache-session")
    a, b = {"file": "/x/a.py"}, {"file": "/x/b.py"}
    s.ask("a\n", BELOW, **a)
    s.ask("b\n", BELOW, **b)
    assert s.ask("a\n", BELOW, **a)["prompt_tokens"] > 100
    s.close()
    s = server("--cache-session")
    for prefix, file in (("a\n", a), ("b\n", b)):
        got = s.ask(prefix, BELOW, **file)
        assert got["cached_tokens"] == got["prompt_tokens"] - 1
    s.close()


# ---- approximate reuse --------------------------------------------------------------------------------


def test_approximate_reuse_is_told_and_never_taken_for_exact(server):
    """An edit above the cursor: what stands behind it is kept, and only where that was asked for."""
    above = "".join(f"line {i} above the cursor\n" for i in range(8))
    s = server("--raw", "--approximate-reuse")
    assert s.ask("a\n" + above, BELOW)["approximate_tokens"] == 0
    got = s.ask("abc\n" + above, BELOW)
    assert got["approximate_tokens"] > 200
    assert got["prompt_tokens"] - got["cached_tokens"] < 40
    again = s.ask("abc\n" + above + "x", BELOW)
    assert again["approximate_tokens"] > 200
    assert again["prompt_tokens"] - again["cached_tokens"] < 40
    s.close()
    exact = server("--raw")
    exact.ask("a\n" + above, BELOW)
    got = exact.ask("abc\n" + above, BELOW)
    assert got["approximate_tokens"] == 0
    assert got["prompt_tokens"] - got["cached_tokens"] > 200
    fresh = server("--raw")
    assert fresh.ask("abc\n" + above, BELOW)["text"] == got["text"]


def test_what_is_kept_on_disk_is_exact(server):
    above = "".join(f"line {i} above the cursor\n" for i in range(8))
    s = server("--raw", "--approximate-reuse", "--cache-session")
    s.ask("a\n" + above, BELOW, file="/x/a.py")
    assert s.ask("abc\n" + above, BELOW, file="/x/a.py")["approximate_tokens"] > 200
    s.close()
    s = server("--raw", "--cache-session")
    got = s.ask("abc\n" + above, BELOW, file="/x/a.py")
    assert 0 < got["cached_tokens"] < 50
