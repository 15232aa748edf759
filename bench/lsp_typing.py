#!/usr/bin/env python3
"""Types a real file at 5 keys a second, with a pause at each line's end, and tells how long completions took: from the key
to the first token, and to the completion on the screen.

    bench/lsp_typing.py --hearth build/hearth -m MODEL [--file FILE] [--seconds 60] [--rate 5] [--json]
    bench/lsp_typing.py --infill http://127.0.0.1:8012/infill      # llama-server, asked as llama.vim asks

The peer's requests, its cache (a completion serves the next 128 typed characters), its one request in flight with a
retry after 100 ms, its 250 ms for the first answer and its speculative request while a completion shows are those of
llama.vim a1c8e6e with its default settings; other buffers, its ring's source, there are none. A completion that comes
after the next key counts for the key at which it is seen, on both sides.
"""

import argparse
import json
import queue
import statistics
import sys
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from lsp_kit import Client  # noqa: E402


class Figures:
    def __init__(self):
        self.keys, self.superseded, self.empty = 0, 0, 0
        self.shown = []  # (source, first ms, ms) of each key that saw a completion

    def show(self, source, first, ms):
        self.shown.append((source, first, ms))


class Hearth:
    """`hearth lsp`; a newer request takes the place of the one before."""

    def __init__(self, a, text, figures):
        self.figures, self.uri, self.version = figures, "file:///w/" + a.file.name, 1
        self.asked = {}
        self.c = Client(str(a.hearth), a.model, a.home, "-t", str(a.threads))  # the last -t counts
        self.c.start({"statistics": False})
        self.c.open(self.uri, text)
        while (state := self.c.call("hearth/status"))["state"] != "ready":
            if state["state"] == "failed":
                sys.exit(state["message"])
            time.sleep(0.1)

    def key(self, before, key):
        line, column = before.count("\n"), len(before) - (before.rfind("\n") + 1)
        here = {"line": line, "character": column}
        self.version += 1
        begun = time.monotonic()
        self.c.notify("textDocument/didChange", {
            "textDocument": {"uri": self.uri, "version": self.version},
            "contentChanges": [{"range": {"start": here, "end": here}, "text": key}]})
        after = {"line": line + 1, "character": 0} if key == "\n" else {"line": line, "character": column + 1}
        self.asked[self.c.ask("textDocument/inlineCompletion", {
            "textDocument": {"uri": self.uri}, "position": after, "context": {"triggerKind": 2}})] = begun

    def wait(self, until):
        while (left := until - time.monotonic()) > 0:
            try:
                m = self.c.got.get(timeout=left)
            except queue.Empty:
                return
            if m is None or "method" in m or m["id"] not in self.asked:
                continue
            ms = 1e3 * (time.monotonic() - self.asked.pop(m["id"]))
            if "error" in m:
                self.figures.superseded += 1
            elif not m["result"]["items"]:
                self.figures.empty += 1
            else:
                data = m["result"]["items"][0]["data"]
                first = data["firstMs"] if data["source"] == "computed" else ms
                self.figures.show(data["source"], min(first, ms), ms)

    def close(self):
        self.c.process.kill()


class Infill:
    """llama-server's /infill by llama.vim's rules."""

    def __init__(self, a, text, figures):
        self.figures, self.url = figures, a.infill
        self.cache = {}  # (prefix, middle) → (content, from the request to its first token in ms)
        self.text, self.pressed, self.seen = text, 0.0, True
        self.flying, self.retry, self.answers = False, None, queue.Queue()
        self.contexts = {}  # by the length of the text, which only grows

    @staticmethod
    def context(text):
        lines = text.split("\n")
        line = "" if not lines[-1].strip() else lines[-1]
        return "\n".join(lines[max(0, len(lines) - 257):-1]) + "\n", line

    def context_at(self, length):
        if length not in self.contexts:
            self.contexts[length] = self.context(self.text[:length])
        return self.contexts[length]

    def ask(self, text, first):
        if self.flying:
            self.retry = time.monotonic() + 0.1
            return
        prefix, middle = self.context(text)
        if (prefix, middle) in self.cache:
            return
        line = text.rsplit("\n", 1)[-1]
        body = {"id_slot": 0, "input_prefix": prefix, "input_suffix": "\n\n", "input_extra": [], "prompt": middle,
                "n_predict": 128, "stop": [], "n_indent": len(line) - len(line.lstrip()) if middle else 0, "top_k": 40,
                "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"], "stream": False, "cache_prompt": True,
                "t_max_prompt_ms": 500, "t_max_predict_ms": 250 if first else 1000,
                "response_fields": ["content", "timings/prompt_ms", "timings/predicted_n", "timings/predicted_ms"]}
        self.flying = True
        threading.Thread(target=self.post, args=((prefix, middle), body), daemon=True).start()

    def post(self, key, body):
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            r = json.load(answer)
        each = r["timings/predicted_ms"] / max(1, r["timings/predicted_n"])
        self.answers.put((key, r["content"], time.monotonic(), r["timings/prompt_ms"] + each))

    def hint(self, source, first=None):
        """Shows what the cache has for where the cursor is now."""
        best = self.cache.get(self.context_at(len(self.text)))
        for i in range(1, 129 if best is None else 0):
            if i > len(self.text):
                break
            old = self.cache.get(self.context_at(len(self.text) - i))
            if old and old.startswith(self.text[-i:]) and len(old) > i and (best is None or len(old) - i > len(best)):
                best = old[i:]
        if best is None:
            return
        if not best.strip():
            self.figures.empty += not self.seen
            self.seen = True
            return
        if not self.seen:
            self.seen = True
            ms = 1e3 * (time.monotonic() - self.pressed)
            self.figures.show(source, ms if first is None else min(ms, first), ms)
        self.ask(self.text + best, False)

    def key(self, before, key):
        if not self.seen:
            self.figures.superseded += 1
        self.text, self.pressed, self.seen = before + key, time.monotonic(), False
        self.hint("cached")
        self.ask(self.text, True)

    def wait(self, until):
        while (left := until - time.monotonic()) > 0:
            if self.retry:
                left = min(left, max(0.001, self.retry - time.monotonic()))
            try:
                key, content, came, first = self.answers.get(timeout=left)
            except queue.Empty:
                if self.retry and time.monotonic() >= self.retry:
                    self.retry = None
                    self.ask(self.text, True)
                continue
            self.flying = False
            self.cache[key] = content
            waited = 1e3 * (came - self.pressed)
            # What the server did before the key was pressed cost this key nothing.
            spent = 1e3 * (time.monotonic() - came)
            self.hint("computed", max(0.0, min(waited, first + spent)))

    def close(self):
        pass


def quantiles(values):
    if len(values) < 2:
        return {"p50": None, "p95": None}
    q = statistics.quantiles(values, n=20)
    return {"p50": round(q[9]), "p95": round(q[18])}


def summary(f):
    computed = [s for s in f.shown if s[0] == "computed"]
    return {
        "keys": f.keys, "shown": len(f.shown), "superseded": f.superseded, "empty": f.empty,
        "from_cache_percent": round(100 * (len(f.shown) - len(computed)) / max(1, len(f.shown))),
        "first_token_ms": quantiles([s[1] for s in f.shown]), "shown_ms": quantiles([s[2] for s in f.shown]),
        "computed_first_token_ms": quantiles([s[1] for s in computed]),
        "computed_shown_ms": quantiles([s[2] for s in computed]),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hearth", default=ROOT / "build/hearth")
    p.add_argument("-m", "--model")
    p.add_argument("--infill", help="the address of llama-server's /infill, instead of hearth")
    p.add_argument("--file", type=Path, default=ROOT / "tools/check_layers.py")
    p.add_argument("--home", default="/tmp")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--rate", type=float, default=5)
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    if not a.model and not a.infill:
        p.error("-m or --infill is missing")
    text = a.file.read_text()
    at = text.index("\ndef ") + 1
    f = Figures()
    side = (Infill if a.infill else Hearth)(a, text[:at], f)
    end = time.monotonic() + a.seconds
    for i in range(at, len(text)):
        if time.monotonic() > end:
            break
        f.keys += 1
        side.key(text[:i], text[i])
        side.wait(time.monotonic() + (1.5 if text[i] == "\n" else 1 / a.rate))
    side.close()
    result = summary(f)
    if a.json:
        print(json.dumps(result))
        return
    print(f"{result['keys']} keys: shown {result['shown']} ({result['from_cache_percent']} % from the cache), superseded "
          f"{result['superseded']}, empty {result['empty']}")
    for title, first, whole in (("all", "first_token_ms", "shown_ms"),
                                ("computed", "computed_first_token_ms", "computed_shown_ms")):
        print(f"{title}: first token p50 {result[first]['p50']} ms, p95 {result[first]['p95']} ms; "
              f"shown p50 {result[whole]['p50']} ms, p95 {result[whole]['p95']} ms")


if __name__ == "__main__":
    main()
