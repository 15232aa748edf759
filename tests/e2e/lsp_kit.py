"""A client of `hearth lsp` for tests."""

import json
import os
import queue
import subprocess
import threading


class Client:
    def __init__(self, binary, model, home, *args, env=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
        clean.update(HOME=str(home), HEARTH_HOME=str(home), LC_ALL="C.UTF-8", **(env or {}))
        more = ["-m", str(model)] if model else []
        self.process = subprocess.Popen([binary, "lsp", *more, "-t", "1", *map(str, args)], env=clean,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.got, self.notes, self.next_id, self.early = queue.Queue(), [], 0, {}
        self.answers = {}  # to the server's requests, by method
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        out = self.process.stdout
        while line := out.readline():
            assert line.lower().startswith(b"content-length:"), line
            size = int(line.split(b":")[1])
            assert out.readline() == b"\r\n"
            self.got.put(json.loads(out.read(size)))
        self.got.put(None)

    def raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.raw(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def ask(self, method, params=None):
        """Sends a request; returns its id."""
        self.next_id += 1
        self.send({"jsonrpc": "2.0", "id": f"c{self.next_id}", "method": method, "params": params or {}})
        return f"c{self.next_id}"

    def answer(self, id, timeout=60):
        """The whole response; notifications on the way are kept, requests answered."""
        while True:
            if id in self.early:
                return self.early.pop(id)
            m = self.got.get(timeout=timeout)
            assert m is not None, "the server ended"
            if "method" in m:
                self.notes.append(m)
                if "id" in m:
                    self.send({"jsonrpc": "2.0", "id": m["id"],
                               "result": self.answers.get(m["method"])})
            else:
                self.early[m["id"]] = m

    def call(self, method, params=None, timeout=60):
        m = self.answer(self.ask(method, params), timeout)
        assert "error" not in m, m
        return m["result"]

    def error(self, method, params=None):
        return self.answer(self.ask(method, params))["error"]["code"]

    def start(self, options=None, capabilities=None, **more):
        result = self.call("initialize", {"processId": None, "rootUri": None,
                                          "capabilities": capabilities or {},
                                          "initializationOptions": options or {}, **more})
        self.notify("initialized")
        return result

    def open(self, uri, text, language="python"):
        self.notify("textDocument/didOpen", {"textDocument": {
            "uri": uri, "languageId": language, "version": 1, "text": text}})

    def complete(self, uri, line, character, trigger=1, method="inlineCompletion"):
        return self.call(f"textDocument/{method}", {
            "textDocument": {"uri": uri}, "position": {"line": line, "character": character},
            "context": {"triggerKind": trigger}})["items"]

    def text(self, uri):
        return self.call("hearth/documentText", {"textDocument": {"uri": uri}})["text"]

    def close(self):
        self.call("shutdown")
        self.notify("exit")
        return self.process.wait(timeout=30)
