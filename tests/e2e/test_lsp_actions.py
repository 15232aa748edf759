"""What `hearth lsp` does through its chat model, in this process or through a running `hearth serve`: code actions, edits,
another model, progress; and what it counts of completions. The models are a few kilobytes of random weights."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest

from lsp_kit import Client
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model

URI = "file:///w/a.py"
TEXT = "def f(a):\n    return a\n\nx = f(1)\n"
RANGE = {"start": {"line": 0, "character": 4}, "end": {"line": 1, "character": 3}}
ACTIONS = ["hearth.explain", "hearth.fix", "hearth.document", "hearth.writeTests"]
ABLE = {"window": {"workDoneProgress": True}, "workspace": {"workspaceEdit": {"documentChanges": True}, "applyEdit": True}}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for i, name in enumerate(("one.gguf", "two.gguf")):
        write_tiny_model(folder / name, SPECIAL, seed=i + 1)
    return folder


@pytest.fixture
def client(hearth_bin, models, tmp_path):
    running = []

    def start(options=None, capabilities=None, model=models / "one.gguf", **more):
        c = Client(hearth_bin, model, tmp_path)
        running.append(c)
        c.start(options, capabilities, **more)
        c.open(URI, TEXT)
        return c

    yield start
    for c in running:
        c.process.kill()
        c.process.wait()


@pytest.fixture(scope="module")
def server(hearth_bin, models, tmp_path_factory):
    s = Server(hearth_bin, tmp_path_factory.mktemp("server"), model=models / "one.gguf")
    s.name = "one.gguf"
    yield s
    s.stop()


def wait(c, what):
    """Reads messages until what(client) is true: each request makes the client take in what came before."""
    end = time.monotonic() + 60
    while not what(c):
        assert time.monotonic() < end, c.notes
        c.call("hearth/status")
        time.sleep(0.02)


def told(c, method):
    return [n["params"] for n in c.notes if n["method"] == method]


def actions(c, range=RANGE, diagnostics=()):
    found = c.call("textDocument/codeAction", {"textDocument": {"uri": URI}, "range": range,
                                               "context": {"diagnostics": list(diagnostics)}})
    return {a["command"]["command"]: a for a in found}


def run(c, command, **more):
    argument = {**actions(c, diagnostics=[{"range": RANGE, "message": "wrong é😀"}]).get(command, {"command": {
        "arguments": [{"uri": URI, "range": RANGE}]}})["command"]["arguments"][0], **more}
    return {"command": command, "arguments": [argument], "workDoneToken": "w" + command}


# ---- code actions ---------------------------------------------------------------------------------------


def test_which_actions(client):
    c = client({"editPrompt": True})
    assert sorted(actions(c)) == sorted([*ACTIONS, "hearth.edit"])
    empty = {"start": RANGE["start"], "end": RANGE["start"]}
    assert actions(c, empty) == {}
    fix = actions(c, empty, [{"range": empty, "message": "m"}])
    assert list(fix) == ["hearth.fix"] and fix["hearth.fix"]["kind"] == "quickfix"
    assert fix["hearth.fix"]["command"]["arguments"][0]["diagnostics"][0]["message"] == "m"
    assert "hearth.edit" not in actions(client({}))
    assert actions(client({"enable": False})) == {}


@pytest.mark.parametrize("command", ["hearth.explain", "hearth.writeTests"])
def test_answers(client, command):
    c = client({"answers": True}, ABLE)
    text = c.call("workspace/executeCommand", run(c, command))["text"]
    pieces = told(c, "hearth/answer")
    assert text and "".join(p["text"] for p in pieces) == text
    assert [p["done"] for p in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len({p["id"] for p in pieces}) == 1 and pieces[0]["uri"] == URI
    kinds = [p["value"]["kind"] for p in told(c, "$/progress") if p["token"] == "w" + command]
    assert kinds == ["begin", "end"]
    other = client({})  # one that has no place for answers sees them as a message
    text = other.call("workspace/executeCommand", run(other, command))["text"]
    assert told(other, "window/showMessage")[-1]["message"] == text


@pytest.mark.parametrize("command", ["hearth.fix", "hearth.document", "hearth.edit"])
@pytest.mark.parametrize("versions", [True, False])
def test_edits_are_applied_by_the_client(client, command, versions):
    c = client({"editPrompt": True}, ABLE if versions else {})
    answer = c.call("workspace/executeCommand", run(c, command, instruction="do it"))
    assert answer == {"applied": True}
    wait(c, lambda c: told(c, "workspace/applyEdit"))
    edit = told(c, "workspace/applyEdit")[0]["edit"]
    if versions:
        change = edit["documentChanges"][0]
        assert change["textDocument"] == {"uri": URI, "version": 1}
        edits = change["edits"]
    else:
        edits = edit["changes"][URI]
    # Whole lines, and the line end stays.
    assert edits[0]["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
    assert edits[0]["newText"].endswith("\n")
    assert c.text(URI) == TEXT, "the server changes nothing by itself"


def test_an_edit_of_ones_own(client):
    c = client()
    asked = {"textDocument": {"uri": URI}, "range": RANGE, "instruction": "shorter", "token": "t"}
    answer = c.call("hearth/edit", asked)
    assert answer["version"] == 1 and answer["newText"].endswith("\n")
    assert answer["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
    assert "".join(d["text"] for d in told(c, "hearth/chatDelta"))
    assert told(c, "workspace/applyEdit") == []
    assert c.error("hearth/edit", {**asked, "instruction": ""}) == -32602
    assert c.error("hearth/edit", {**asked, "range": {"start": {"line": -1}}}) == -32602
    assert c.error("hearth/edit", {**asked, "textDocument": {"uri": "file:///w/none.py"}}) == -32602


def test_an_edit_of_a_text_that_has_changed(client):
    c = client()
    id = c.ask("hearth/edit", {"textDocument": {"uri": URI}, "range": RANGE, "instruction": "shorter"})
    c.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [
        {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "text": "# "}]})
    assert c.answer(id)["error"]["code"] == -32801


def test_a_file_of_secrets_is_not_edited(client):
    c = client()
    c.open("file:///w/.env", "KEY=1\n")
    asked = {"textDocument": {"uri": "file:///w/.env"}, "range": RANGE, "instruction": "shorter"}
    assert c.error("hearth/edit", asked) == -32803
    many = c.call("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "maxTokens": 1,
                                  "context": [{"uri": URI}]})["promptTokens"]
    for context in ([], [{"uri": "file:///w/.env"}]):
        few = c.call("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "maxTokens": 1,
                                     "context": context})["promptTokens"]
        assert few < many


def test_actions_are_cancelled(client):
    c = client()
    ids = [c.ask("workspace/executeCommand", run(c, "hearth.explain")) for _ in range(3)]
    for id in ids:
        c.notify("$/cancelRequest", {"id": id})
    codes = [m["error"]["code"] for id in ids if "error" in (m := c.answer(id))]
    assert codes and set(codes) == {-32800}
    assert c.error("workspace/executeCommand", {"command": "hearth.format", "arguments": []}) == -32602


# ---- models ---------------------------------------------------------------------------------------------


def test_another_model(client, models):
    c = client({}, ABLE)
    one, two = str(models / "one.gguf"), str(models / "two.gguf")
    first = c.complete(URI, 1, 12)
    assert c.call("workspace/executeCommand", {"command": "hearth.setModel", "arguments": [{"model": two}]}) is None
    wait(c, lambda c: c.call("hearth/status")["model"] == two and c.call("hearth/status")["state"] == "ready")
    states = [s["state"] for s in told(c, "hearth/statusChanged")]
    assert "loading" in states and states[-1] == "ready"
    tokens = [p["token"] for p in told(c, "window/workDoneProgress/create")]
    assert len(tokens) == 2
    for token in tokens:
        kinds = [p["value"]["kind"] for p in told(c, "$/progress") if p["token"] == token]
        assert kinds[0] == "begin" and kinds[-1] == "end"
    assert all(i["data"]["model"] == two for i in c.complete(URI, 1, 12)) and len(first) <= 1
    # What cannot be loaded leaves the one that works.
    c.call("workspace/executeCommand", {"command": "hearth.setModel", "arguments": [{"model": one + ".none"}]})
    wait(c, lambda c: c.call("hearth/status")["message"])
    status = c.call("hearth/status")
    assert (status["state"], status["model"]) == ("ready", two)
    # A chat model of its own, and back.
    c.call("workspace/executeCommand", {"command": "hearth.setModel", "arguments": [{"chatModel": one}]})
    chat = {"messages": [{"role": "user", "content": "hi"}], "maxTokens": 2}
    assert c.call("hearth/chat", chat)["model"] == one
    c.call("workspace/executeCommand", {"command": "hearth.setModel", "arguments": [{"model": one}]})
    wait(c, lambda c: c.call("hearth/status")["model"] == one and c.call("hearth/status")["state"] == "ready")
    assert c.call("hearth/chat", chat)["model"] == one


# ---- completions ----------------------------------------------------------------------------------------


def item_of(c, **more):
    """A completion, from wherever the random model has one to give."""
    for line, character in [(1, 12), (3, 4), (1, 11), (0, 4), (3, 8), (2, 0), (1, 4)]:
        if items := c.complete(URI, line, character, **more):
            return items[0]
    pytest.fail("the model says nothing anywhere")


def counted(hearth_bin, home):
    out = subprocess.run([hearth_bin, "stats", "--json"], capture_output=True, check=True,
                         env={**os.environ, "HEARTH_HOME": str(home)})
    return json.loads(out.stdout)["all"]


def test_partly_accepted_is_counted(client, hearth_bin, tmp_path):
    c = client({"keptAfterMs": 100})
    item = item_of(c)
    n = len(item["insertText"].encode("utf-16-le")) // 2
    c.notify("textDocument/didShowCompletion", {"item": item})
    for length in (1, 1, n):  # twice the same counts once
        c.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": length})
    at = item["range"]["start"]
    c.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [
        {"range": {"start": at, "end": at}, "text": item["insertText"]}]})
    c.call("hearth/status")
    time.sleep(0.4)
    assert c.close() == 0
    row = counted(hearth_bin, tmp_path)
    assert row["shown"] == 1 and row["dismissed"] == 0
    assert row["accepted_word"] + row["accepted_line"] + row["accepted_whole"] >= 1
    assert row["kept"] == 1


def test_dismissed_is_counted_and_nothing_without_leave(client, hearth_bin, tmp_path):
    c = client()
    item = item_of(c)
    c.notify("textDocument/didShowCompletion", {"item": item})
    c.notify("textDocument/didDismissCompletion", {"item": item})
    assert c.close() == 0
    row = counted(hearth_bin, tmp_path)
    assert (row["shown"], row["dismissed"]) == (1, 1)
    c = client({"statistics": False})
    c.notify("textDocument/didShowCompletion", {"item": item_of(c)})
    assert c.close() == 0
    assert counted(hearth_bin, tmp_path)["shown"] == 1


def test_plain_completion(client):
    c = client()
    item = item_of(c, method="completion")
    assert item["preselect"] and item["sortText"] == "\x01"
    range = item["textEdit"]["range"]
    line = TEXT.split("\n")[range["start"]["line"]]
    word = line[range["start"]["character"]:range["end"]["character"]]
    assert item["textEdit"]["newText"].startswith(word) and item["filterText"].startswith(word)
    assert c.complete(URI, 1, 12, trigger=3, method="completion") == []
    assert client({"completion": "off"}).complete(URI, 1, 12, method="completion") == []
    assert item_of(client({"completion": "always", "automaticDeadlineMs": 5000}), trigger=3, method="completion")


def test_a_selected_completion_is_part_of_the_text(client):
    c = client()
    for word in ("return", "raise", "rather"):
        range = {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 10}}
        items = c.call("textDocument/inlineCompletion", {
            "textDocument": {"uri": URI}, "position": range["end"],
            "context": {"triggerKind": 1, "selectedCompletionInfo": {"range": range, "text": word}}})["items"]
        for item in items:
            assert item["insertText"].startswith(word) and item["range"] == range
            assert item["filterText"] == item["insertText"]


# ---- a running server -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "/", "/v1"])
def test_chat_through_a_server(client, server, ending):
    c = client({"endpoint": server.url + ending, "chatModel": server.name}, ABLE)
    assert c.call("hearth/status")["chat"] == server.url + ending
    r = c.call("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "token": 7, "maxTokens": 8,
                               "temperature": 0})
    assert r["text"] and r["model"] == server.name and r["finish"] in ("stop", "length")
    assert (r["promptTokens"] > 0, r["completionTokens"] > 0) == (True, True)
    assert "".join(d["text"] for d in told(c, "hearth/chatDelta")) == r["text"]
    answer = c.call("hearth/edit", {"textDocument": {"uri": URI}, "range": RANGE, "instruction": "shorter"})
    assert answer["newText"].endswith("\n")


def test_a_server_that_refuses(client, server):
    c = client({"endpoint": server.url, "chatModel": "no-such-model"})
    m = c.answer(c.ask("hearth/chat", {"messages": [{"role": "user", "content": "hi"}]}))
    assert m["error"]["code"] == -32803
    assert "404" in m["error"]["message"] and "no-such-model" in m["error"]["message"]


@pytest.mark.parametrize("endpoint, words", [
    ("http://192.0.2.1:80", "another machine"), ("ftp://127.0.0.1", "is none"), ("http://127.0.0.1:1", "nothing answers")])
def test_endpoints_that_are_none(client, endpoint, words):
    c = client({"endpoint": endpoint})
    m = c.answer(c.ask("hearth/chat", {"messages": [{"role": "user", "content": "hi"}]}))
    assert m["error"]["code"] == -32803 and words in m["error"]["message"]


def test_auto_falls_back(client, hearth_bin, models, tmp_path):
    """Nobody listens at HEARTH_HOST: the model of this process answers."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    c = Client(hearth_bin, models / "one.gguf", tmp_path, env={"HEARTH_HOST": f"127.0.0.1:{port}"})
    c.start({"endpoint": "auto"})
    r = c.call("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "maxTokens": 2})
    assert r["model"] == str(models / "one.gguf")
    assert c.close() == 0


HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def event(content=None, **more):
    body = {"choices": [{"delta": {} if content is None else {"content": content}, **more}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@pytest.mark.parametrize("answer, words", [
    (HEAD + event("half"), "before its answer was whole"),
    (HEAD + event("é😀", finish_reason=None) + event(finish_reason="stop") + b"data: [DONE]\n\n", ""),
    (HEAD + event("a") + event(finish_reason="length"), ""),
    (HEAD + event("a") + b'data: {"error": {"message": "out of memory"}}\n\n', "out of memory"),
    (HEAD + b"data: {\n\ndata: [1]\n\nnonsense\n" + event("a", finish_reason="stop"), ""),
    (b"HTTP/1.1 503 Busy\r\n\r\n" + b'{"error": {"message": "' + "é".encode() * 300 + b'"}}', "503: éé"),
    (b"HTTP/1.1 500 Oops\r\n\r\nnot json", "500"),
    (b"SSH-2.0-OpenSSH\r\n", "status -1"),
    (HEAD + b"data: " + b"x" * (2 << 20), "too long"),
    (b"", "status 0")], ids=lambda v: repr(v[-30:]))
def test_odd_servers(client, answer, words):
    with socket.create_server(("127.0.0.1", 0)) as s:
        seen = []

        def serve():
            peer, _ = s.accept()
            seen.append(peer.recv(65536))
            try:
                for i in range(0, len(answer), 7 if len(answer) < 2000 else 65536):
                    peer.sendall(answer[i:i + (7 if len(answer) < 2000 else 65536)])
            except OSError:
                pass  # it has heard enough
            peer.close()

        threading.Thread(target=serve, daemon=True).start()
        port = s.getsockname()[1]
        c = client({"endpoint": f"http://127.0.0.1:{port}/v1"})
        m = c.answer(c.ask("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "token": 1}))
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in seen[0]
    if words:
        assert m["error"]["code"] == -32803 and words in m["error"]["message"], m
    else:
        assert m["result"]["text"] in ("é😀", "a"), m
        assert m["result"]["finish"] == ("length" if b'"length"' in answer else "stop")


def test_a_chat_with_a_server_is_cancelled(client):
    with socket.create_server(("127.0.0.1", 0)) as s:
        left = threading.Event()

        def serve():
            peer, _ = s.accept()
            peer.recv(65536)
            peer.sendall(HEAD + event("a"))
            while peer.recv(100):
                pass
            left.set()

        threading.Thread(target=serve, daemon=True).start()
        c = client({"endpoint": f"http://127.0.0.1:{s.getsockname()[1]}"})
        id = c.ask("hearth/chat", {"messages": [{"role": "user", "content": "hi"}], "token": 1})
        wait(c, lambda c: told(c, "hearth/chatDelta"))
        c.notify("$/cancelRequest", {"id": id})
        assert c.answer(id)["error"]["code"] == -32800
        assert left.wait(10), "the connection stays"
