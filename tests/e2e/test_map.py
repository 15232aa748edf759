"""hearth map: a project's most important definitions within a budget."""

import json

import pytest

FILES = {
    "app.py": "from lib import parse_header\n\ndef main():\n    parse_header(1)\n",
    "lib.py": "def parse_header(x):\n    return read_bytes_of(x)\n\ndef unused_one():\n    pass\n",
    "io/read.py": "def read_bytes_of(x):\n    return x\n",
    "out/made.py": "def parse_header_made(x):\n    return x\n",
    ".gitignore": "out/\n",
}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def ranked(hearth, *args):
    done = hearth("map", *args, "--json")
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)
    if not entries:
        pytest.skip("this build has no grammars")
    return entries


def test_ranks_what_is_used(hearth, project):
    entries = ranked(hearth, project)
    assert [e["name"] for e in entries[:2]] == ["read_bytes_of", "parse_header"]
    assert entries[1] == entries[1] | {
        "path": "lib.py", "line": 1, "kind": "function", "signature": "def parse_header(x)", "scope": ""}
    assert {e["name"] for e in entries} == {"read_bytes_of", "parse_header", "unused_one", "main"}
    assert entries == ranked(hearth, project)


def test_sees_from_the_focus(hearth, project):
    entries = ranked(hearth, project, "--focus", "lib.py")
    assert entries[0]["name"] == "read_bytes_of" and entries[0]["rank"] > 0
    assert all(e["path"] != "lib.py" for e in entries)
    here = ranked(hearth, project, "--focus", project / "lib.py")
    assert here == entries


def test_fits_the_budget(hearth, project):
    ranked(hearth, project)
    done = hearth("map", project, "--tokens", 16)
    assert done.stdout == "io/read.py:\n  1: def read_bytes_of(x)\n"
    assert "1 of 4 definitions" in done.stderr
    assert hearth("map", project, "--tokens", 1).stdout == ""


def test_says_what_is_wrong(hearth, project, tmp_path):
    done = hearth("map", project, "--focus", "nothing.py")
    assert done.returncode == 1 and "nothing.py" in done.stderr
    (tmp_path / "empty").mkdir()
    done = hearth("map", tmp_path / "empty")
    assert done.returncode == 1 and "no source files" in done.stderr
    assert hearth("map", tmp_path / "missing").returncode == 1
