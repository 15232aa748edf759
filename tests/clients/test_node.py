"""The npm clients of OpenAI and Ollama, and Continue's command line."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from serve_kit import Server
from store_kit import gguf_bytes

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("script, checks", [("openai.mjs", 10), ("ollama.mjs", 7)])
def test_npm_client(server, small, node_modules, run, script, checks):
    # A module finds its packages from where it lies.
    shutil.copyfile(HERE / "node" / script, node_modules / script)
    out = run("node", node_modules / script, server.url, small)
    assert len(re.findall("^ok ", out, re.M)) == checks


def test_npm_client_changes_models(binary, node_modules, run, tmp_path):
    """In a store of its own: what is installed is not touched."""
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(200_000))
    subprocess.run([binary, "pull", "base:1", "--from", tmp_path / "m.gguf"], check=True,
                   env={**os.environ, "HEARTH_HOME": str(tmp_path / "home")})
    server = Server(binary, tmp_path / "home", "--allow-pull")
    try:
        shutil.copyfile(HERE / "node/ollama_models.mjs", node_modules / "ollama_models.mjs")
        out = run("node", node_modules / "ollama_models.mjs", server.url, "base:1")
        assert len(re.findall("^ok ", out, re.M)) == 5
    finally:
        server.stop()


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
