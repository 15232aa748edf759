"""hearth lsp, driven as an editor drives it. The model is a few kilobytes of random weights (see
test_complete.py); HEARTH_TEST_MODEL names a real one, HEARTH_LSP_EDITS the number of random edits."""

import json
import os
import random
import subprocess

import pytest

from lsp_kit import Client
from test_complete import REAL, SPECIAL, write_tiny_model

URI = "file:///w/a.py"
EDITS = int(os.environ.get("HEARTH_LSP_EDITS", "3000"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "fim.gguf"
    write_tiny_model(path, SPECIAL)
    return path


@pytest.fixture
def client(hearth_bin, model, tmp_path):
    running = []

    def start(*args, model=model, **more):
        running.append(Client(hearth_bin, model, tmp_path, *args, **more))
        return running[-1]

    yield start
    for c in running:
        c.process.kill()
        c.process.wait()


def test_lifecycle(client):
    c = client()
    assert c.error("textDocument/inlineCompletion") == -32002
    caps = c.start()["capabilities"]
    assert caps["inlineCompletionProvider"] is True and caps["positionEncoding"] == "utf-16"
    assert c.error("initialize") == -32600
    assert c.error("no/such") == -32601
    assert c.call("shutdown") is None
    assert c.error("hearth/status") == -32600
    c.notify("exit")
    assert c.process.wait(timeout=30) == 0


def test_exit_without_shutdown(client):
    c = client()
    c.start()
    c.notify("exit")
    assert c.process.wait(timeout=30) == 1


@pytest.mark.parametrize("bad, code", [
    (b"{", -32700), (b"[" * 200 + b"]" * 200, -32700), (b"[1]", -32600), (b'"x"', -32600),
    (b'{"id": {}, "method": "x"}', -32600), (b'{"id": 1, "method": 5}', -32600), (b"\xff\xfe", -32700)])
def test_malformed(client, bad, code):
    c = client()
    c.start()
    c.send(bad)
    while "error" not in (m := c.got.get(timeout=30)):
        pass
    assert m["error"]["code"] == code
    assert c.close() == 0


def test_bad_framing(client):
    c = client()
    c.raw(b"Content-Length: twelve\r\n\r\n{}")
    assert c.process.wait(timeout=30) == 1


ALPHABET = ["a", "b", " ", "\n", "\r\n", "\r", "é", "e\u0301", "\u65e5", "😀", "👩\u200d💻", "\t", "𝒳"]


def units(text, encoding):
    if encoding == "utf-8":
        return len(text.encode())
    return len(text.encode("utf-16-le")) // 2 if encoding == "utf-16" else len(text)


def position(text, at, encoding):
    """Of an index that is not within \\r\\n."""
    begin, line, i = 0, 0, 0
    while i < at:
        step = 2 if text.startswith("\r\n", i) else 1
        if text[i] in "\r\n":
            line, begin = line + 1, i + step
        i += step
    return {"line": line, "character": units(text[begin:at], encoding)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_random_edits(client, encoding):
    c = client()
    caps = c.start({"enable": False}, {"general": {"positionEncodings": [encoding]}})["capabilities"]
    assert caps["positionEncoding"] == encoding
    rng = random.Random(7)
    text, version = "", 1
    c.open(URI, text)

    def index(text):
        i = rng.randint(0, len(text))
        return i + 1 if 0 < i < len(text) and text[i - 1 : i + 1] == "\r\n" else i

    for n in range(EDITS):
        changes = []
        for _ in range(rng.randint(1, 3)):
            a = index(text)
            b = min(len(text), a + rng.randint(0, 12))
            if b < len(text) and text[b - 1 : b + 1] == "\r\n" and b > 0:
                b += 1
            b = max(a, b)
            new = "".join(rng.choices(ALPHABET, k=rng.randint(0, 9 if len(text) < 400 else 4)))
            changes.append({"range": {"start": position(text, a, encoding),
                                      "end": position(text, b, encoding)}, "text": new})
            text = text[:a] + new + text[b:]
        version += 1
        c.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": version},
                                            "contentChanges": changes})
        if n % 50 == 0:
            assert c.text(URI) == text
    assert c.text(URI) == text


def test_completion_and_cancel(client):
    c = client()
    c.start()
    c.open(URI, "import math\ndef f():\n    return \n")
    items = c.complete(URI, 2, 11)
    assert len(items) <= 1
    ids = [c.ask("textDocument/inlineCompletion", {"textDocument": {"uri": URI}, "position": {
        "line": 2, "character": 11 - i}, "context": {"triggerKind": 2}}) for i in range(4)]
    c.notify("$/cancelRequest", {"id": ids[3]})
    for id in ids[:3]:  # only the newest lives, and it is cancelled
        m = c.answer(id)
        assert "result" in m or m["error"]["code"] == -32801
    m = c.answer(ids[3])
    assert "result" in m or m["error"]["code"] == -32800
    assert c.call("hearth/status")["state"] == "ready"
    assert c.close() == 0


def test_files_left_alone(client, tmp_path):
    (tmp_path / ".gitignore").write_text("build/\n*.log\n!keep.log\n")
    c = client()
    c.start(rootUri=tmp_path.as_uri())
    for name, why in [(".env", "secret"), ("build/x.py", "ignored"), ("a.log", "ignored"),
                      ("keep.log", ""), ("a.py", "")]:
        uri = (tmp_path / name).as_uri()
        c.open(uri, "a = 1\n")
        assert c.call("hearth/status", {"uri": uri})["file"]["reason"] == why
        if why:
            assert c.complete(uri, 0, 5) == []


def test_workspace_cannot_choose(client, model):
    c = client()
    c.answers["workspace/configuration"] = [{"endpoint": "http://evil.example", "model": "evil",
                                             "maxTokens": 4}]
    c.start({}, {"workspace": {"configuration": True}})
    c.notify("workspace/didChangeConfiguration",
             {"settings": {"hearth": {"endpoint": "http://evil.example", "allowRemote": True}}})
    c.call("hearth/status")
    status = c.call("hearth/status")
    assert status["chat"] == "embedded" and status["model"] == str(model)


def test_model_that_is_missing(client):
    c = client(model="no-such-model")
    c.start()
    c.open(URI, "a = \n")
    assert c.complete(URI, 0, 4) == []
    status = c.call("hearth/status")
    assert status["state"] == "failed" and status["message"]


def test_chat(client):
    c = client()
    c.start()
    r = c.call("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "token": 5,
                               "maxTokens": 8})
    deltas = [n["params"]["text"] for n in c.notes if n["method"] == "hearth/chatDelta"]
    assert "".join(deltas) == r["text"] and r["completionTokens"] > 0
    assert c.error("hearth/chat", {"messages": [{"role": "boss", "content": "hi"}]}) == -32602


@pytest.mark.skipif(not REAL, reason="HEARTH_TEST_MODEL names no model")
def test_accepted_and_counted(client, hearth_bin, tmp_path):
    c = client(model=REAL)
    c.start({"keptAfterMs": 100})
    text = "def add(a, b):\n    return \n\nprint(add(1, 2))\n"
    c.open(URI, text)
    item = c.complete(URI, 1, 11)[0]
    assert "a + b" in item["insertText"]
    c.notify("textDocument/didShowCompletion", {"item": item})
    c.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [
        {"range": item["range"], "text": item["insertText"]}]})
    c.call("workspace/executeCommand", item["command"])
    import time
    time.sleep(0.5)
    assert c.close() == 0
    out = subprocess.run([hearth_bin, "stats", "--json"], capture_output=True, check=True,
                         env={**os.environ, "HEARTH_HOME": str(tmp_path)})
    row = json.loads(out.stdout)["all"]
    assert (row["shown"], row["accepted_whole"], row["kept"]) == (1, 1, 1)
