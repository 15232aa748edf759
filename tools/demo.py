#!/usr/bin/env python3
"""Fetches a model and lets it fill the hole in each example file; what `make demo` shows.

    tools/demo.py build/hearth [FILE...]

HEARTH_DEMO_MODEL names another model. Colour is for terminals, or where CLICOLOR_FORCE is set.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKER = "<|cursor|>"
MODEL = os.environ.get("HEARTH_DEMO_MODEL", "qwen2.5-coder:1.5b")

COLOR = "CLICOLOR_FORCE" in os.environ or (
    sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
UNICODE = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
BOLD, DIM, GREEN, RED, END = (
    ("\x1b[1m", "\x1b[90m", "\x1b[1;32m", "\x1b[31m", "\x1b[0m") if COLOR else ("",) * 5)


def say(text="", end="\n"):
    print(text, end=end, flush=True)


class Listing:
    """Prints a file piece by piece, with line numbers; inserted pieces are marked."""

    def __init__(self):
        self.line = 0
        self.at_start = True

    def gutter(self, inserted):
        self.line += 1
        bar = "▌" if UNICODE else "|"
        # Without colour, a plus sign tells the inserted lines from the others.
        mark = f"{GREEN}{bar}{END}" if COLOR and inserted else "+" if inserted else " "
        return f"{DIM}{self.line:5}{END} {mark} "

    def add(self, text, inserted=False):
        color, end = (GREEN, END) if inserted else ("", "")
        for piece in text.splitlines(keepends=True):
            body = piece.rstrip("\n")
            if self.at_start:
                say(self.gutter(inserted), end="")
            say(f"{color}{body}{end}" if body else "", end="")
            self.at_start = piece.endswith("\n")
            if self.at_start:
                say()


def complete(hearth, source):
    done = subprocess.run([hearth, "complete", "-", "-m", MODEL, "--json"], input=source.encode(),
                          stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def compiles(name, text):
    """Whether the completed file is well-formed; it is not run. None where that can't be told."""
    command = {
        ".c": ["cc", "-std=c17", "-Wall", "-fsyntax-only"],
        ".py": [sys.executable, "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"],
    }.get(Path(name).suffix)
    if not command:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_text(text)
        return subprocess.run([*command, path], capture_output=True).returncode == 0


def show(hearth, path):
    source = path.read_text()
    before, after = source.split(MARKER, 1)
    try:
        name = str(path.resolve().relative_to(ROOT))
    except ValueError:
        name = str(path)
    rule = ("━" if UNICODE else "-") * max(4, 72 - len(name))
    say(f"\n{BOLD}{name}{END} {DIM}{rule}{END}")
    listing = Listing()
    # The line with the cursor waits for its text.
    start = before.rfind("\n") + 1
    listing.add(before[:start])
    result = complete(hearth, source)
    text, timings = result["text"], result["timings"]
    # The line's own indentation belongs to the file; show it with the first inserted line.
    indent = before[start:]
    if indent.strip():
        listing.add(indent)
        listing.add(text, inserted=True)
    else:
        listing.add(indent + text, inserted=True)
    listing.add(after)
    tokens = result["completion_tokens"]
    rate = tokens_per_second(result)
    facts = [f"first token after {timings['first_token_ms'] / 1000:.2f} s"]
    facts.append(f"{tokens} tokens" + (f" at {rate:.1f} tokens/s" if rate else ""))
    verdict = compiles(name, before + text + after)
    if verdict is not None:
        facts.append("well-formed" if verdict else f"{RED}not well-formed{END}")
    say(f"{DIM}      {END} {BOLD}" + f"{END}, {BOLD}".join(facts) + END)


def tokens_per_second(result):
    """Decoding speed: the tokens after the first one, over the time they took."""
    tokens, ms = result["completion_tokens"] - 1, result["timings"]["decode_ms"]
    return tokens / ms * 1000 if tokens > 0 and ms > 0 else None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    hearth = sys.argv[1]
    files = [Path(a) for a in sys.argv[2:]] or sorted((ROOT / "examples").glob("demo.*"))
    if not os.path.exists(MODEL):  # a path needs no pull
        pulled = subprocess.run([hearth, "pull", MODEL], stdout=subprocess.DEVNULL)
        if pulled.returncode:
            sys.exit(pulled.returncode)
    say(f"{BOLD}Hearth{END} fills the hole in {len(files)} files with {BOLD}{MODEL}{END}, "
        "on this machine's CPU.")
    for path in files:
        show(hearth, path)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
