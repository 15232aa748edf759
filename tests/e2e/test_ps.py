"""hearth ps, stop and run beside a running server."""

import json
import os
import time

import pytest
from serve_kit import Server


@pytest.fixture(scope="module")
def home():
    path = os.environ.get("HEARTH_TEST_HOME")
    if not path:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    return path


@pytest.fixture(scope="module")
def server(hearth_bin, home):
    s = Server(hearth_bin, home)
    yield s
    s.stop()


@pytest.fixture
def ask(hearth, server, home):
    def run(*args, **more):
        env = {"HEARTH_HOST": f"127.0.0.1:{server.port}", "HEARTH_HOME": home, **more.pop("env", {})}
        return hearth(*args, env=env, **more)

    return run


def test_no_server(hearth):
    for command in (["ps"], ["stop"], ["stop", "smollm2"], ["ps", "--json"]):
        p = hearth(*command, env={"HEARTH_SERVE_PORT": "1"})
        assert p.returncode == 1 and p.stdout == ""
        assert "no server answers at http://127.0.0.1:1" in p.stderr and "hearth serve" in p.stderr
    for address in ("ftp://x", "127.0.0.1:1/path", "", "http://"):
        p = hearth("ps", "--server", address)
        assert p.returncode != 0 and len(p.stderr.splitlines()) <= 2 and p.stderr


def test_models_come_and_go(ask, server):
    ask("stop")
    assert ask("ps").stdout.split() == ["NAME", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    server.post("/api/generate", {"model": "smollm2:135m", "keep_alive": "10m"})
    lines = ask("ps").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("smollm2:135m ") and lines[1].endswith("10 minutes from now")
    assert json.loads(ask("ps", "--json").stdout)["models"][0]["name"] == "smollm2:135m"
    server.post("/api/generate", {"model": "smollm2:135m", "keep_alive": -1})
    assert ask("ps").stdout.endswith("Forever\n")
    p = ask("stop", "smollm2")
    assert (p.returncode, p.stdout, p.stderr) == (0, "stopped smollm2:135m\n", "")
    end = time.monotonic() + 20
    while len(ask("ps").stdout.splitlines()) > 1:
        assert time.monotonic() < end
    p = ask("stop", "smollm2")
    assert p.returncode == 1 and "not loaded" in p.stderr and p.stdout == ""
    p = ask("stop", "nonesuch")
    assert p.returncode == 1 and "nonesuch" in p.stderr and "not installed" in p.stderr
    assert "no model is loaded" in ask("stop").stderr
    assert json.loads(ask("ps", "--json").stdout) == {"models": []}


def test_keys(hearth_bin, hearth, home):
    s = Server(hearth_bin, home, env={"HEARTH_API_KEY": "hk-secret-0123456789abcdef"})
    try:
        p = hearth("ps", "--server", s.url)
        assert p.returncode != 0 and "HEARTH_API_KEY" in p.stderr
        assert hearth("ps", "--server", s.url, env={"HEARTH_API_KEY": "hk-secret-0123456789abcdef"}).returncode == 0
    finally:
        s.stop()
    p = hearth("ps", "--server", "http://192.0.2.1:11434", env={"HEARTH_API_KEY": "hk-secret-0123456789abcdef"})
    assert p.returncode != 0 and "only https" in p.stderr and "hk-secret-0123456789abcdef" not in p.stderr


ANSWER = ("run", "smollm2:135m", "--temperature", 0, "-n", 30, "--json", "What is the capital of France?")


def test_run_uses_the_server(ask, hearth, server, home):
    def here(*args):
        p = hearth(*args, env={"HEARTH_HOME": home})
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout)

    def count():
        text = server.get("/metrics")[2].decode()
        return sum(float(x.rsplit(" ", 1)[1]) for x in text.splitlines() if '"/api/chat"' in x and "total" in x)

    before = count()
    there = json.loads(ask(*ANSWER).stdout)
    assert count() > before
    alone = here(*ANSWER, "--local")
    for same in ("message", "finish_reason", "prompt_tokens", "completion_tokens"):
        assert there[same] == alone[same]
    before = count()
    assert json.loads(ask(*ANSWER, "--local").stdout)["message"] == alone["message"]
    assert json.loads(ask(*ANSWER, "--ctx", 512).stdout)["message"] == alone["message"]
    assert count() == before
    p = ask("run", "nonesuch", "hi")
    assert p.returncode == 1 and "not installed" in p.stderr
    p = ask("run", "--server", server.url, "--ctx", 512, "smollm2", "hi")
    assert p.returncode == 2 and "--server" in p.stderr


def test_run_without_a_model_takes_the_default(hearth, server, home):
    env = {"HEARTH_HOME": home, "HEARTH_MODEL": "smollm2:135m", "HEARTH_SERVE_PORT": "1"}
    there = hearth("run", "--temperature", 0, "-n", 8, input="hi", env={**env, "HEARTH_SERVE_PORT": str(server.port)})
    alone = hearth("run", "--temperature", 0, "-n", 8, input="hi", env=env)
    assert there.returncode == alone.returncode == 0, there.stderr + alone.stderr
    assert there.stdout == alone.stdout and alone.stdout.strip()
    p = hearth("run", "--temperature", 0, input="hi", env={"HEARTH_SERVE_PORT": "1"})
    assert p.returncode != 0 and "hearth pull" in p.stderr
