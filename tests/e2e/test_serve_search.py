"""/v1/hearth/search: the index of a project that the server was started with."""

import json
import subprocess
import threading

import pytest
from conftest import ROOT
from serve_kit import Server
from vector_kit import Qdrant

PATH = "/v1/hearth/search"


@pytest.fixture
def home(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(f"def parse_{name}_request(data):\n    return data.split()\n")
    return tmp_path


def index(hearth_bin, home, *args):
    import os
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
    return subprocess.run([hearth_bin, "index", *map(str, args)], env=dict(env, HOME=str(home), HEARTH_HOME=str(home)),
                          check=True, capture_output=True)


def test_none_without_a_project(hearth_bin, home):
    s = Server(hearth_bin, home)
    try:
        status, answer = s.post(PATH, {"query": "x"})
        assert status == 404 and "--project" in answer["error"]["message"]
        assert s.get(PATH + "?query=x")[0] == 404
    finally:
        s.stop()


def test_searches_its_projects_and_no_other(hearth_bin, home):
    s = Server(hearth_bin, home, "--project", home / "one", "--project", home / "two")
    try:
        status, answer = s.post(PATH, {"query": "request", "project": "one"})
        assert status == 404 and "hearth index" in answer["error"]["message"]
        index(hearth_bin, home, home / "one")
        index(hearth_bin, home, home / "two")
        status, answer = s.post(PATH, {"query": "request", "project": "one"})
        assert status == 200 and answer["project"] == "one"
        assert [h["name"] for h in answer["hits"]] == ["parse_one_request"]
        status, _, data = s.get(PATH + f"?query=parse+a%20request&limit=1&kinds=function&literal=false&project={home}/two")
        assert status == 200 and json.loads(data)["hits"][0]["name"] == "parse_two_request"
        assert s.post(PATH, {"query": "request"})[0] == 400
        assert s.post(PATH, {"query": "request", "project": str(home)})[0] == 404
        for bad in ({}, {"query": ""}, {"query": 3}, {"query": "x", "limit": 0}, {"query": "x", "kinds": ["none"]},
                    {"query": "x", "kinds": [3]}, {"query": "x" * 9000}, {"query": "a\0b"}):
            assert s.post(PATH, {"project": "one", **bad})[0] == 400, bad
        for bad in ("", "?", "?query", "?query=%ff", "?query=x&limit=x", "?query=x&literal=maybe", "?&&=", "?query=%"):
            assert s.get(PATH + bad)[0] == 400, bad
    finally:
        s.stop()


def test_reads_beside_a_writer(hearth_bin, home):
    index(hearth_bin, home, home / "one")
    s = Server(hearth_bin, home, "--project", home / "one")
    wrong = []

    def ask():
        for _ in range(40):
            status, answer = s.post(PATH, {"query": "parse_one_request"})
            if status != 200 or answer["hits"][0]["name"] != "parse_one_request":
                wrong.append(answer)

    try:
        askers = [threading.Thread(target=ask) for _ in range(4)]
        for t in askers:
            t.start()
        for i in range(10):
            (home / "one" / f"more_{i}.py").write_text(f"def more_{i}():\n    pass\n")
            index(hearth_bin, home, home / "one", *(["--rebuild"] if i == 5 else []))
        for t in askers:
            t.join()
        assert not wrong
        assert s.post(PATH, {"query": "more_9"})[1]["hits"][0]["name"] == "more_9"
    finally:
        s.stop()


def test_searches_by_meaning_where_the_model_is_there(hearth_bin, home):
    model = home / "model.gguf"
    model.write_bytes((ROOT / "tests/golden/embed/bert-mean.gguf").read_bytes())
    index(hearth_bin, home, home / "one", "--embed-model", model)
    for there in (True, False):
        s = Server(hearth_bin, home, "--project", home / "one")
        try:
            status, answer = s.post(PATH, {"query": "request"})
            assert status == 200 and answer["hits"][0]["name"] == "parse_one_request"
            assert (answer["hits"][0]["vector_score"] != 0) == there, answer
            assert ("note" in answer) != there
            assert s.post(PATH, {"query": "request", "words": True})[1]["hits"][0]["vector_score"] == 0
        finally:
            s.stop()
        model.unlink(missing_ok=True)


def test_searches_in_a_store(hearth_bin, home):
    model = home / "model.gguf"
    model.write_bytes((ROOT / "tests/golden/embed/bert-mean.gguf").read_bytes())
    with Qdrant() as q:
        index(hearth_bin, home, home / "one", "--embed-model", model, "--store", q.url())
        s = Server(hearth_bin, home, "--project", home / "one", "--store", q.url())
        try:
            answer = s.post(PATH, {"query": "request"})[1]
            assert answer["hits"][0]["vector_score"] and "note" not in answer
            q.trouble = lambda *args: (500, b"{}", {})
            answer = s.post(PATH, {"query": "request"})[1]
            assert answer["hits"] and not answer["hits"][0]["vector_score"] and "by words alone" in answer["note"]
            assert not q.wrong, q.wrong
        finally:
            s.stop()
        n = len(q.requests)
        s = Server(hearth_bin, home, "--project", home / "one")  # nobody asked for a connection
        try:
            assert q.url() in s.post(PATH, {"query": "request"})[1]["note"] and len(q.requests) == n
        finally:
            s.stop()
