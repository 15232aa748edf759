"""`hearth lsp` with Neovim's own client, headless; and the plugin where it leaves ghost text to Neovim (0.12)."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT
from test_complete import SPECIAL, write_tiny_model
from test_vim import DOUBLE, PLUGIN


@pytest.fixture
def nvim(tmp_path):
    if not shutil.which("nvim"):
        pytest.skip("nvim is not installed")

    def run(*args, **env):
        done = subprocess.run(["nvim", "--headless", "-i", "NONE", "-n", *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120,
                              env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path),
                                   "HEARTH_HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **env})
        return done.stdout + done.stderr

    run.version = tuple(map(int, re.search(r"NVIM v(\d+)\.(\d+)", run("--version")).groups()))
    return run


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-32"])
def test_client_of_neovim(nvim, hearth_bin, tmp_path, encoding):
    if encoding != "utf-16" and nvim.version < (0, 11):
        pytest.skip("this Neovim speaks UTF-16 alone")
    model, report = tmp_path / "fim.gguf", tmp_path / "report"
    write_tiny_model(model, SPECIAL)
    out = nvim("-u", "NONE", "-c", f"luafile {ROOT / 'tests/e2e/nvim_lsp.lua'}", HEARTH_REPORT=str(report), HEARTH_ENCODING=encoding,
               HEARTH_COMMAND=json.dumps([hearth_bin, "lsp", "-m", str(model), "-t", "1"]))
    assert report.exists() and report.read_text() == "passed", (report.exists() and report.read_text(), out)


def builtin(tmp_path, *more):
    double, log, rc = tmp_path / "double.py", tmp_path / "log", tmp_path / "rc.vim"
    double.write_text(DOUBLE)
    rc.write_text("\n".join([
        "set noswapfile", f"set runtimepath^={PLUGIN}", "let g:hearth_builtin = 1",
        f"let g:hearth_command = {json.dumps([sys.executable, str(double), str(log)])}",
        "let g:hearth_options = {'maxTokens': 7}", *more, ""]))
    return rc, log


def test_older_ones_keep_the_plugins_ghost_text(nvim, tmp_path):
    if nvim.version >= (0, 12):
        pytest.skip("this Neovim has inline completion")
    rc, _ = builtin(tmp_path)
    out = nvim("-u", rc, "-c", "echo exists(':HearthToggle') maparg('<Tab>', 'i') =~# 'hearth#visible'", "-c", "qall!")
    assert "2 1" in out and "Error" not in out


def test_inline_completion_of_neovim(nvim, tmp_path):
    """In 0.11 with a stand-in for the module that 0.12 has: it is turned on, and the server is started."""
    if nvim.version < (0, 11):
        pytest.skip("this Neovim has no vim.lsp.config")
    rc, log = builtin(tmp_path)
    stub = "" if nvim.version >= (0, 12) else (
        "vim.lsp.inline_completion = {enable = function(on) vim.g.turned_on = on end, get = function() return true end}")
    (tmp_path / "a.py").write_text("x = 1\n")
    script = tmp_path / "go.lua"
    script.write_text(f"{stub}\nassert(require('hearth').enable())\nvim.cmd.edit('{tmp_path / 'a.py'}')\n"
                      "assert(vim.wait(10000, function() return #vim.lsp.get_clients({name = 'hearth'}) == 1 end))\n"
                      "vim.wait(500)\nassert(vim.fn.maparg('<Tab>', 'i') ~= '')\n"
                      "print('turned on ' .. tostring(vim.g.turned_on))\nvim.cmd('qall!')\n")
    out = nvim("-u", rc, "-c", f"luafile {script}")
    messages = [json.loads(line) for line in log.read_text().splitlines()]
    assert messages[0]["method"] == "initialize"
    assert messages[0]["params"]["initializationOptions"] == {"maxTokens": 7}
    assert "initialized" in [m.get("method") for m in messages], out
    if stub:
        assert "turned on true" in out
