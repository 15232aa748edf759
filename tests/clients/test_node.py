"""The npm clients of OpenAI and Ollama, and Continue's command line."""

import re
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("script, checks", [("openai.mjs", 10), ("ollama.mjs", 7)])
def test_npm_client(server, small, node_modules, run, script, checks):
    # A module finds its packages from where it lies.
    shutil.copyfile(HERE / "node" / script, node_modules / script)
    out = run("node", node_modules / script, server.url, small)
    assert len(re.findall("^ok ", out, re.M)) == checks


# What docs/editors/continue.md shows, with the test's address.
def continue_settings():
    page = (HERE.parent.parent / "docs/editors/continue.md").read_text()
    return re.search(r"```yaml\n(.*?)```", page, re.S)[1]


def continue_cli(run, node_modules, server, tmp_path, *args):
    (tmp_path / "config.yaml").write_text(continue_settings().replace("http://127.0.0.1:11434", server.url))
    return run("node", node_modules / "node_modules/@continuedev/cli/dist/cn.js", "--config", "config.yaml", *args,
               CONTINUE_TELEMETRY_ENABLED="0")


def test_continue_answers(server, coder, node_modules, run, tmp_path):
    out = continue_cli(run, node_modules, server, tmp_path, "-p", "Reply with the word apple and nothing else.")
    assert "apple" in out.lower()


def test_continue_uses_a_tool(server, coder, node_modules, run, tmp_path):
    """A call in a stream, run by the client, and its result read by the model."""
    (tmp_path / "notes.txt").write_text("The secret colour is turquoise.\n")
    out = continue_cli(run, node_modules, server, tmp_path, "--auto", "-p",
                       "Which colour is named in the file notes.txt here? Read it.")
    assert "turquoise" in out.lower()
