"""The plugin of editors/vim in Vim and in Neovim: ghost text comes and Tab puts it in. A double of
`hearth lsp` answers, so that the text is known; the server itself is test_lsp.py's."""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

import pytest

from conftest import ROOT
from test_complete import REAL

PLUGIN = ROOT / "editors/vim"
DOUBLE = r'''
import json, sys
def send(m):
    b = json.dumps(dict(m, jsonrpc="2.0")).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(b), b)); sys.stdout.buffer.flush()
log = open(sys.argv[1], "a")
while True:
    h = sys.stdin.buffer.readline()
    if not h: break
    sys.stdin.buffer.readline()
    m = json.loads(sys.stdin.buffer.read(int(h.split(b":")[1])))
    log.write(json.dumps(m) + "\n"); log.flush()
    if m["method"] == "exit": break
    if "id" in m:
        r = {"capabilities": {}} if m["method"] == "initialize" else None
        if m["method"] == "textDocument/inlineCompletion":
            r = {"items": [{"insertText": "one two\n    three", "data": {"id": "1"},
                 "command": {"title": "A", "command": "hearth.accepted", "arguments": ["1"]}}]}
        send({"id": m["id"], "result": r})
'''


class Editor:
    """An editor in a terminal, with the plugin and `command` as its language server."""

    def __init__(self, editor, tmp_path, command, *settings, text=None):
        if not shutil.which(editor):
            pytest.skip(f"{editor} is not installed")
        self.text, rc = tmp_path / "a.py", tmp_path / "rc.vim"
        if text:
            self.text.write_text(text)
        rc.write_text("\n".join([
            "set nocompatible noswapfile noautoindent", f"set runtimepath^={PLUGIN}",
            f"let g:hearth_command = {json.dumps([str(c) for c in command])}",
            "imap <C-f> <Plug>(hearth-word)", "imap <C-g> <Plug>(hearth-line)", *settings, ""]))
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [editor, "-u", str(rc), str(self.text)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            start_new_session=True, env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
        self.screen = b""
        self.wait(lambda: b"a.py" in self.screen)

    def wait(self, what, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.screen
            if select.select([self.master], [], [], 0.1)[0]:
                self.screen += os.read(self.master, 65536)

    def keys(self, keys, pause=0.15):
        os.write(self.master, keys.encode())
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self.screen += os.read(self.master, 65536)

    def seen(self, what):
        self.wait(lambda: what.encode() in self.screen)

    def save(self):
        self.text.unlink(missing_ok=True)
        self.keys("\x1b")
        self.keys(":w\r")
        self.wait(lambda: self.text.exists() and self.text.stat().st_size)
        return self.text.read_text()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def edit(tmp_path):
    running = []

    def start(editor, *settings, command=None, **more):
        double, log = tmp_path / "double.py", tmp_path / "log"
        double.write_text(DOUBLE)
        e = Editor(editor, tmp_path, command or [sys.executable, double, log], *settings, **more)
        e.messages = lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        e.sent = lambda method: [m["params"] for m in e.messages() if m.get("method") == method]
        running.append(e)
        return e

    yield start
    for e in running:
        e.close()


both = pytest.mark.parametrize("editor", ["vim", "nvim"])


@both
def test_ghost_text(edit, editor):
    e = edit(editor)
    e.keys("ix = ")
    e.seen("one two")
    e.seen("three")
    e.keys("\t")
    assert e.save() == "x = one two\n    three\n"
    assert e.sent("textDocument/didShowCompletion")
    assert [c["command"] for c in e.sent("workspace/executeCommand")] == ["hearth.accepted"]


@both
def test_a_word_a_line_and_the_rest(edit, editor):
    e = edit(editor)
    e.keys("ix = ")
    e.seen("three")
    e.keys("\x06")
    e.keys("\x07")
    e.wait(lambda: len(e.sent("textDocument/didPartiallyAcceptCompletion")) == 2)
    assert e.save() == "x = one two\n"
    assert [p["acceptedLength"] for p in e.sent("textDocument/didPartiallyAcceptCompletion")] == [3, 7]
    e.keys("A")  # what was not accepted went with the mode; it is asked for anew
    e.wait(lambda: len(e.sent("textDocument/didShowCompletion")) == 2)
    e.keys("\x06")
    e.keys("\t")
    assert e.save() == "x = one twoone two\n    three\n"
    assert [c["command"] for c in e.sent("workspace/executeCommand")] == ["hearth.accepted"]


@both
def test_typing_along_keeps_it_and_a_key_dismisses(edit, editor):
    e = edit(editor)
    e.keys("ix = ")
    e.seen("three")
    asked = len(e.sent("textDocument/inlineCompletion"))
    e.keys("on")
    e.keys("\x1d")  # Ctrl-]
    e.wait(lambda: e.sent("textDocument/didDismissCompletion"))
    assert len(e.sent("textDocument/inlineCompletion")) == asked
    e.keys("\t")  # nothing is shown: a tab
    assert e.save() in ("x = on\t\n", "x = on  \n")  # or what Python files have for one
    assert not e.sent("workspace/executeCommand")


def applied(text, change):
    """Of lines with their ends; the plugin sends whole ones."""
    lines = text.splitlines(keepends=True)
    start, end = change["range"]["start"], change["range"]["end"]
    assert start["character"] == end["character"] == 0
    return "".join([*lines[:start["line"]], change["text"], *lines[end["line"]:]])


@both
def test_only_what_has_changed_is_sent(edit, editor):
    text = "".join(f"line {i} é😀\n" for i in range(300))
    e = edit(editor, text=text)
    e.keys("ia ")
    e.wait(lambda: e.sent("textDocument/didOpen"))
    for keys in ["\x1b150GOnew ", "\x1b10Gdd", "ib ", "\x1bGAend\rmore ", "\x1bggdGi", "x ", "\x1b:%d\ri", "y ", "\x1bOtop "]:
        e.keys(keys, 0.25)
    count = 0
    while count != len(e.sent("textDocument/didChange")):
        count = len(e.sent("textDocument/didChange"))
        e.keys("", 0.5)
    server = e.sent("textDocument/didOpen")[0]["textDocument"]["text"]
    changes = [c for p in e.sent("textDocument/didChange") for c in p["contentChanges"]]
    assert len(changes) >= 6
    assert sorted(len(c["text"]) for c in changes)[len(changes) // 2] < 100
    for change in changes:
        server = applied(server, change)
    e.keys("z", 0.5)
    e.wait(lambda: len(e.sent("textDocument/didChange")) > count)
    server = applied(server, e.sent("textDocument/didChange")[-1]["contentChanges"][0])
    assert server == e.save()


@pytest.mark.skipif(not REAL, reason="HEARTH_TEST_MODEL names no model")
@both
def test_the_server_itself(edit, editor, hearth_bin):
    slow = "let g:hearth_options = {'automaticDeadlineMs': 5000, 'statistics': v:false}"
    e = edit(editor, slow, command=[hearth_bin, "lsp", "-m", REAL], text="import math\n\ndef area(radius):\n    \n")
    e.keys("4GA")
    e.keys("return ", 1)
    e.seen("pi")
    e.keys("\t")
    assert "return math.pi * radius" in e.save()
