#!/usr/bin/env python3
"""Types a real file into `hearth lsp` at 5 keys a second, with a pause at each line's end, and tells how
long completions took: from the request (right after the key) to the answer.

    bench/lsp_typing.py --hearth build/hearth -m MODEL [--file FILE] [--seconds 60] [--rate 5]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from lsp_kit import Client  # noqa: E402

p = argparse.ArgumentParser()
p.add_argument("--hearth", default=ROOT / "build/hearth")
p.add_argument("-m", "--model", required=True)
p.add_argument("--file", type=Path, default=ROOT / "tools/check_layers.py")
p.add_argument("--home", default="/tmp")
p.add_argument("--seconds", type=float, default=60)
p.add_argument("--rate", type=float, default=5)
a = p.parse_args()

text = a.file.read_text()
at = text.index("\ndef ") + 1
uri = "file:///w/" + a.file.name
c = Client(str(a.hearth), a.model, a.home, "-t", "2")  # the last one counts
c.start({"statistics": False})
c.open(uri, text[:at])
while c.call("hearth/status")["state"] != "ready":
    time.sleep(0.1)
asked, took, sources, superseded, empty = {}, [], [], 0, 0


def drain(until):
    global superseded, empty
    while (left := until - time.monotonic()) > 0:
        try:
            m = c.got.get(timeout=left)
        except Exception:
            return
        if m is None or "method" in m or m["id"] not in asked:
            continue
        ms = 1e3 * (time.monotonic() - asked.pop(m["id"]))
        if "error" in m:
            superseded += 1
        elif not m["result"]["items"]:
            empty += 1
        else:
            took.append(ms)
            sources.append(m["result"]["items"][0]["data"]["source"])


end, version = time.monotonic() + a.seconds, 1
for key in text[at:]:
    if time.monotonic() > end:
        break
    line, col = text[:at].count("\n"), at - (text.rfind("\n", 0, at) + 1)
    here = {"line": line, "character": col}
    version += 1
    c.notify("textDocument/didChange", {"textDocument": {"uri": uri, "version": version},
             "contentChanges": [{"range": {"start": here, "end": here}, "text": key}]})
    at += 1
    after = {"line": line + 1, "character": 0} if key == "\n" else {"line": line, "character": col + 1}
    id = c.ask("textDocument/inlineCompletion", {"textDocument": {"uri": uri}, "position": after,
                                                 "context": {"triggerKind": 2}})
    asked[id] = time.monotonic()
    drain(time.monotonic() + (1.5 if key == "\n" else 1 / a.rate))
c.process.kill()
q = statistics.quantiles(took, n=20) if len(took) > 1 else [0] * 19
print(f"shown {len(took)}, superseded {superseded}, empty {empty}")
print(f"shown p50 {q[9]:.0f} ms, p95 {q[18]:.0f} ms; from the cache "
      f"{100 * sum(s != 'computed' for s in sources) / max(1, len(sources)):.0f} %")
