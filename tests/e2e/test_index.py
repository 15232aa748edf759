"""hearth index and hearth search, as a person runs them."""

import json
import os
import signal
import subprocess
import time

from conftest import ROOT


def project(tmp_path):
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src/net.py").write_text(
        'def parse_http_request(data):\n    """Splits a request."""\n    return data.split()\n')
    (root / "src/main.py").write_text("import net\n\n\ndef main():\n    net.parse_http_request('x')\n")
    (root / ".env").write_text("PASSWORD=only_here_xyz\n")
    (root / "build.log").write_text("only_in_log\n")
    (root / ".gitignore").write_text("*.log\n")
    return root


def test_finds_by_words_names_and_pieces(hearth, tmp_path):
    root = project(tmp_path)
    made = hearth("index", root, "--json")
    assert made.returncode == 0, made.stderr
    counts = json.loads(made.stdout)
    assert counts["files"] == 3 and counts["secret"] == 1 and counts["ignored"] == 1
    answer = json.loads(hearth("search", "--json", "-C", root, "parse a request").stdout)
    assert answer["hits"][0]["path"] == "src/net.py"
    assert answer["hits"][0]["name"] == "parse_http_request"
    for nothing in ("only_here_xyz", "only_in_log"):
        assert not json.loads(hearth("search", "--json", "-F", "-C", root, nothing).stdout)["hits"]
    piece = json.loads(hearth("search", "--json", "-F", "-C", root, "tp_request('x").stdout)
    assert [h["path"] for h in piece["hits"]] == ["src/main.py"]
    where = json.loads(hearth("search", "--json", "--definition", "-C", root, "parse_http_request").stdout)
    assert [(s["path"], s["line"]) for s in where["symbols"]] == [("src/net.py", 1)]
    used = json.loads(hearth("search", "--json", "--references", "-C", root, "parse_http_request").stdout)
    assert [(s["path"], s["line"]) for s in used["symbols"]] == [("src/main.py", 5)]
    only = json.loads(hearth("search", "--json", "--kind", "function", "-C", root, "request").stdout)
    assert {h["kind"] for h in only["hits"]} == {"function"}


def test_says_what_to_do_without_an_index(hearth, tmp_path):
    answer = hearth("search", "x")
    assert answer.returncode != 0
    assert "hearth index" in answer.stderr
    assert hearth("search", "--kind", "nonsense", "x").returncode != 0
    assert hearth("index", tmp_path / "none").returncode != 0


def test_watch_follows_a_save(hearth_bin, tmp_path):
    root = project(tmp_path)
    env = dict(os.environ, HOME=str(tmp_path), HEARTH_HOME=str(tmp_path / "home"))
    watch = subprocess.Popen([hearth_bin, "index", str(root), "--watch", "--json"], env=env, text=True,
                             stdout=subprocess.PIPE)
    try:
        assert json.loads(watch.stdout.readline())["files"] == 3
        (root / "src/new.py").write_text("def brand_new_thing():\n    pass\n")
        assert json.loads(watch.stdout.readline())["read"] >= 1
        (root / "deep").mkdir()
        (root / "deep/more.py").write_text("def deeper_thing():\n    pass\n")
        for name in ("brand_new_thing", "deeper_thing"):
            for _ in range(100):
                found = subprocess.run([hearth_bin, "search", "-C", str(root), "--json", "--definition", name],
                                       env=env, text=True, stdout=subprocess.PIPE)
                if json.loads(found.stdout)["symbols"]:
                    break
                time.sleep(0.1)
            else:
                raise AssertionError(f"{name} is not in the index")
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=30) in (0, 130)


def test_remembers_the_embedding_model(hearth, tmp_path):
    root = project(tmp_path)
    model = tmp_path / "model.gguf"
    model.write_bytes((ROOT / "tests/golden/embed/bert-mean.gguf").read_bytes())
    assert hearth("index", root, "--embed-model", model).returncode == 0
    (root / "src/new.py").write_text("def brand_new_thing():\n    pass\n")
    again = hearth("index", root, "--json")
    assert json.loads(again.stdout.splitlines()[1]) == {"embedded": 1}, again.stderr
    assert len(hearth("index", root, "--json").stdout.splitlines()) == 1
    model.unlink()
    (root / "src/newer.py").write_text("def even_newer_thing():\n    pass\n")
    without = hearth("index", root)
    assert without.returncode == 0 and "found by words alone" in without.stderr
    found = json.loads(hearth("search", "--json", "-C", root, "even_newer_thing").stdout)
    assert found["hits"][0]["path"] == "src/newer.py"


def test_watch_makes_vectors_of_what_is_new(hearth, hearth_bin, tmp_path):
    root = project(tmp_path)
    env = dict(os.environ, HOME=str(tmp_path), HEARTH_HOME=str(tmp_path / "home"))
    model = ROOT / "tests/golden/embed/bert-mean.gguf"
    assert hearth("index", root, "--embed-model", model, env={"HEARTH_HOME": env["HEARTH_HOME"]}).returncode == 0
    watch = subprocess.Popen([hearth_bin, "index", str(root), "--watch", "--json"], env=env, text=True,
                             stdout=subprocess.PIPE)
    try:
        assert json.loads(watch.stdout.readline())["files"] == 3
        (root / "src/new.py").write_text("def brand_new_thing():\n    pass\n")
        while json.loads(watch.stdout.readline()) != {"embedded": 1}:
            pass
        found = json.loads(hearth("search", "--json", "-C", root, "brand new thing",
                                  env={"HEARTH_HOME": env["HEARTH_HOME"]}).stdout)
        assert found["hits"][0]["path"] == "src/new.py" and found["hits"][0]["ranks"][1]
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=30) in (0, 130)


def test_says_how_to_find_by_meaning(hearth, tmp_path):
    root = project(tmp_path)
    assert "--embed-model" in hearth("index", root).stdout
    lost = hearth("index", root, "--embed-model", "no-such-model")
    assert lost.returncode != 0 and "no-such-model" in lost.stderr
    # The words are there all the same.
    assert json.loads(hearth("search", "--json", "-C", root, "parse a request").stdout)["hits"]
