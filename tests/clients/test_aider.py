"""aider, which edits a file of a Git repository as it is asked to."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/editors/aider.md"

if not importlib.util.find_spec("aider"):
    pytest.skip("aider is not installed: run make clients", allow_module_level=True)


def git(folder, *args):
    return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args], cwd=folder,
                          check=True, capture_output=True, text=True).stdout


def test_aider_edits(server, coder, run, tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    git(repo, "config", "user.name", "t")
    git(repo, "config", "user.email", "t@example.org")
    (repo / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "first")
    # The settings of docs/editors/aider.md, with the test's address.
    settings = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)[1]
    (tmp_path / "aider.yml").write_text(settings.replace("http://127.0.0.1:11434", server.url))
    run(sys.executable, "-m", "aider", "--config", tmp_path / "aider.yml", "--no-gitignore", "--yes-always", "--no-pretty",
        "--message", "Add a function multiply(a, b) that returns a times b. Keep add.", "calc.py", cwd=repo)
    found = {}
    exec((repo / "calc.py").read_text(), found)
    assert found["multiply"](6, 7) == 42 and found["add"](6, 7) == 13
    assert len(git(repo, "log", "--oneline").splitlines()) == 2, "aider commits what it has edited"
