"""Holes through the server: what /infill and `suffix` answer is cut as hearth complete cuts it.

The model is the one of test_complete.py (random weights, one token a byte); one test has a real one.
"""

import json
import subprocess

import pytest

from serve_kit import Server
from test_complete import REAL, SPECIAL, real, write_tiny_model


@pytest.fixture(scope="module")
def server(hearth_bin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fill")
    write_tiny_model(folder / "fim.gguf", SPECIAL)
    s = Server(hearth_bin, folder, model=folder / "fim.gguf")
    yield s
    s.stop()


def infill(server, prefix, suffix, **more):
    body = {"input_prefix": prefix, "input_suffix": suffix, "n_predict": 60, "temperature": 0, **more}
    status, got = server.post("/infill", body)
    assert status == 200, got
    return got["content"]


# Random weights write line ends and strange bytes, and at a high temperature something else for each seed.
WILD = {"temperature": 3, "n_predict": 200}


def test_a_single_line_hole_gets_one_line(server):
    raw = [infill(server, "x = ", "\ny = 2\n", trim=False, seed=i, **WILD) for i in range(8)]
    cut = [infill(server, "x = ", "\ny = 2\n", seed=i, **WILD) for i in range(8)]
    assert any("\n" in text for text in raw)
    assert not any("\n" in text.lstrip("\n") for text in cut)


def test_a_stream_says_what_a_whole_answer_says(server):
    for seed in range(6):
        ask = {"input_prefix": "def f():\n", "input_suffix": "\n", "seed": seed, **WILD}
        events = server.events("/infill", {**ask, "stream": True})
        assert "".join(e["content"] for e in events) == server.post("/infill", ask)[1]["content"]


def test_every_dialect_cuts_and_can_be_told_not_to(server):
    for seed in range(4):
        openai = {"prompt": "x = ", "suffix": "\ny\n", "max_tokens": 200, "temperature": 3, "seed": seed}
        [choice] = server.post("/v1/completions", openai)[1]["choices"]
        assert "\n" not in choice["text"].lstrip("\n") and choice["finish_reason"] in ("stop", "length")
        ollama = {"model": server_model(server), "prompt": "x = ", "suffix": "\ny\n", "stream": False,
                  "options": {"num_predict": 200, "temperature": 3, "seed": seed}}
        assert "\n" not in server.post("/api/generate", ollama)[1]["response"].lstrip("\n")
    wild = [server.post("/v1/completions", {**openai, "seed": i, "trim": False})[1]["choices"][0]["text"]
            for i in range(8)]
    assert any("\n" in text for text in wild)
    status, got = server.post("/infill", {"input_prefix": "a", "input_suffix": "b", "trim": 3})
    assert status == 400 and "trim" in str(got)


PLACES = [("x = ", "\ny = 2\nz = 3\n"), ("def f():\n", "\n    return a\n"), ("a(", ")\nb\n"),
          ("if a:\n    b\n", "\n    c\nd\n"), ("for a in b:\n", "\nc = a\n"), ("x = [1,\n", "]\n")]


def test_the_server_says_what_the_command_says(hearth_bin, tmp_path):
    model = tmp_path / "fim.gguf"
    write_tiny_model(model, SPECIAL)
    server = Server(hearth_bin, tmp_path, model=model)
    try:
        compare_with_command(server, hearth_bin, model)
    finally:
        server.stop()


def compare_with_command(server, hearth_bin, model):
    asked = [{"prefix": p, "suffix": s, "file": "a.py", "max_tokens": 40} for p, s in PLACES]
    run = subprocess.run([hearth_bin, "complete", "--stdio", "-m", model], text=True,
                         input="".join(json.dumps(a) + "\n" for a in asked), capture_output=True, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert any(a["candidates"] for a in answers)
    for (prefix, suffix), answer in zip(PLACES, answers):
        more = {"n_predict": 40, "filename": "a.py"}
        assert infill(server, prefix, suffix, **more) == answer["text"]
        ask = {"input_prefix": prefix, "input_suffix": suffix, "temperature": 0, "stream": True, **more}
        assert "".join(e["content"] for e in server.events("/infill", ask)) == answer["text"]
    status, got = server.post("/infill", {"input_prefix": "a", "input_suffix": "b", "effort": "some"})
    assert status == 400 and "effort" in str(got)


def server_model(server):
    return json.loads(server.get("/props")[2])["model_alias"]


@real
def test_real_answers_stop_at_the_hole(hearth_bin, tmp_path):
    s = Server(hearth_bin, tmp_path, model=REAL)
    try:
        prefix, suffix = "import math\n\n\ndef area(radius):\n    return ma", "\n\n\nprint(area(2))\n"
        raw = infill(s, prefix, suffix, trim=False)
        assert infill(s, prefix, suffix) == "th.pi * radius ** 2" and len(raw) >= 19
        # The first line is asked to stand in the block that the line above opens.
        assert infill(s, "def f(n):\n    if n > 2:\n", "\n    return n\n").startswith("        ")
    finally:
        s.stop()
