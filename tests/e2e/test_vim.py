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


@pytest.mark.parametrize("editor", ["vim", "nvim"])
def test_ghost_text(editor, tmp_path):
    if not shutil.which(editor):
        pytest.skip(f"{editor} is not installed")
    double, log, text, rc = (tmp_path / n for n in ("double.py", "log", "a.py", "rc.vim"))
    double.write_text(DOUBLE)
    rc.write_text(f"set nocompatible noswapfile\nset runtimepath^={PLUGIN}\n"
                  f"let g:hearth_command = {json.dumps([sys.executable, str(double), str(log)])}\n")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([editor, "-u", str(rc), str(text)], stdin=slave, stdout=slave,
                               stderr=slave, start_new_session=True,
                               env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    screen = b""

    def wait(what, seconds=8):
        nonlocal screen
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, screen
            if select.select([master], [], [], 0.1)[0]:
                screen += os.read(master, 65536)

    try:
        wait(lambda: b"a.py" in screen)
        for key in "ix = ":
            os.write(master, key.encode())
        wait(lambda: b"one two" in screen and b"three" in screen)
        os.write(master, b"\t")
        time.sleep(0.3)
        os.write(master, b"\x1b")
        time.sleep(0.3)
        os.write(master, b":w\r")
        wait(text.exists)
        wait(lambda: text.read_text() == "x = one two\n    three\n")
        assert "didShowCompletion" in log.read_text() and "hearth.accepted" in log.read_text()
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
