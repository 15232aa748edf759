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
BOLD, DIM, GREEN, END = (
    ("\x1b[1m", "\x1b[90m", "\x1b[1;32m", "\x1b[0m") if COLOR else ("",) * 4)


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


class Completer:
    """One `hearth complete` for all files, so that the model is loaded once."""

    def __init__(self, hearth, paths):
        self.process = subprocess.Popen(
            [hearth, "complete", "--json", "-m", MODEL, *paths], stdout=subprocess.PIPE)

    def next(self):
        """The next file's result: a JSON object, one a line where there are several files."""
        text = ""
        for line in self.process.stdout:
            text += line.decode()
            try:
                return json.loads(text)
            except json.JSONDecodeError:
                continue
        sys.exit(self.process.wait() or 1)

    def close(self):
        if self.process.wait():
            sys.exit(self.process.returncode)


def compiles(name, text):
    """Whether the completed file compiles. It is not run. None where that can't be told."""
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


def display_name(path):
    try:
        return str(path.resolve().relative_to(ROOT))
    except ValueError:
        return str(path)


def list_file(before, text, after):
    listing = Listing()
    start = before.rfind("\n") + 1
    indent = before[start:]
    listing.add(before[:start])
    # Indentation in front of the cursor is shown with the first line inserted.
    if indent.strip():
        listing.add(indent)
        listing.add(text, inserted=True)
    else:
        listing.add(indent + text, inserted=True)
    listing.add(after)


def show(completer, path):
    before, after = path.read_text().split(MARKER, 1)
    name = display_name(path)
    say()
    if sys.stdout.isatty():
        line = before.count("\n") + 1
        say(f"{DIM}reading {name} around the hole in line {line}{END}", end="")
    result = completer.next()
    if sys.stdout.isatty():
        say("\r\x1b[K", end="")
    rule = ("━" if UNICODE else "-") * max(4, 72 - len(name))
    say(f"{BOLD}{name}{END} {DIM}{rule}{END}")
    text, timings = result["text"], result["timings"]
    list_file(before, text, after)

    facts = []
    if "load_ms" in timings:
        facts.append(f"model loaded in {timings['load_ms'] / 1000:.2f} s")
    facts += [f"first token after {timings['first_token_ms'] / 1000:.2f} s",
              f"{result['completion_tokens']} tokens at "
              f"{timings['decode_tokens_per_second']:.1f} tokens/s"]
    verdict = compiles(name, before + text + after)
    if verdict is not None:
        facts.append("it compiles" if verdict else "it does not compile")
    say(f"{BOLD}{', '.join(facts)}{END}")


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
    completer = Completer(hearth, files)
    for path in files:
        show(completer, path)
    completer.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
