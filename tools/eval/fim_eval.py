#!/usr/bin/env python3
"""How often does `hearth complete` fill a hole in real code exactly?

    fim_eval.py make --out holes.jsonl --per-kind 20 --seed 1 FILE_OR_FOLDER...
    fim_eval.py run  --hearth build/hearth -m MODEL [--raw] holes.jsonl [--out answers.jsonl]

`make` masks random pieces of source files, the same ones for the same seed and files:

    line    a whole line after its indentation; the cursor stands where the code began
    column1 a whole line with its indentation; the cursor stands in column 1 of an empty line
    rest    the rest of a line from a random word on
    word    the rest of a line from inside a word on
    mid     a span inside a line, with at least two characters left after it
    block   two to six whole lines: the body of the block that the line before them opens
    lines   two to four whole lines of equal indentation in the middle of a block

`run` puts the marker <|cursor|> where the hole is, lets one process complete all of them and
compares. "exact" ignores blanks at the end of lines; "first line" looks at the first line only.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

KINDS = ("line", "column1", "rest", "word", "mid", "block", "lines")
EXTENSIONS = (".py", ".c", ".h", ".js", ".ts", ".go", ".rs", ".java", ".sh")
COMMENT = re.compile(r"^\s*(#|//|/\*|\*|\"\"\"|''')")
MARKER = "<|cursor|>"


def find_sources(paths):
    found = []
    for path in paths:
        if os.path.isfile(path):
            found.append(path)
        for folder, names, files in os.walk(path):
            names[:] = sorted(n for n in names if n not in ("__pycache__", "test", "tests"))
            found += [os.path.join(folder, f) for f in sorted(files) if f.endswith(EXTENSIONS)]
    return sorted(set(found))


def indent(line):
    return len(line) - len(line.lstrip())


def is_code(line):
    return len(line.strip()) >= 8 and not COMMENT.match(line)


def cut_line(lines, rng, kind):
    """(line number, start column, end column) of a hole inside one line, or None."""
    row = rng.randrange(5, len(lines) - 3)
    line = lines[row]
    if not is_code(line):
        return None
    start = indent(line)
    if kind == "line":
        return row, start, len(line)
    if kind == "column1":
        return row, 0, len(line)
    words = [m.start() for m in re.finditer(r"\w+|[^\w\s]", line) if m.start() > start]
    if kind == "word":
        inside = [m.start() + rng.randrange(1, 4) for m in re.finditer(r"[A-Za-z_]{5,}", line)]
        return (row, rng.choice(inside), len(line)) if inside else None
    if kind == "rest":
        words = [w for w in words if len(line) - w >= 4]
        return (row, rng.choice(words), len(line)) if words else None
    if len(words) < 4:
        return None
    first = rng.randrange(0, len(words) - 2)
    last = rng.randrange(first + 1, len(words) - 1)
    begin, end = words[first], words[last]
    return (row, begin, end) if 3 <= end - begin and len(line) - end >= 2 else None


def cut_block(lines, rng):
    """(first line, last line + 1) of a deeper block, or None."""
    row = rng.randrange(5, len(lines) - 3)
    if not is_code(lines[row - 1]) or not lines[row].strip():
        return None
    level = indent(lines[row])
    if level <= indent(lines[row - 1]) or lines[row - 1].rstrip()[-1:] not in ":{":
        return None
    end = row
    while end < len(lines) - 2 and (not lines[end].strip() or indent(lines[end]) >= level):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return (row, end) if 2 <= end - row <= 6 else None


def cut_lines(lines, rng):
    """(first line, last line + 1) in the middle of a block, or None."""
    row, n = rng.randrange(5, len(lines) - 8), rng.randrange(2, 5)
    around = lines[row - 1:row + n + 1]
    if not all(is_code(line) and indent(line) == indent(lines[row]) for line in around):
        return None
    return row, row + n


def make_hole(text, rng, kind, n_prefix, n_suffix):
    lines = text.split("\n")
    if len(lines) < 20:
        return None
    if kind in ("block", "lines"):
        span = cut_block(lines, rng) if kind == "block" else cut_lines(lines, rng)
        if not span:
            return None
        row, end = span
        level = indent(lines[row])
        expected = "\n".join(lines[row:end])[level:]
        before, after = lines[row][:level], ""
        rest = lines[end:]
    else:
        span = cut_line(lines, rng, kind)
        if not span:
            return None
        row, begin, stop = span
        expected = lines[row][begin:stop]
        before, after = lines[row][:begin], lines[row][stop:]
        rest = lines[row + 1:]
    prefix = "\n".join(lines[max(0, row - n_prefix):row] + [before])
    suffix = "\n".join([after] + rest[:n_suffix]) + "\n"
    return {"kind": kind, "line": row + 1, "prefix": prefix, "suffix": suffix,
            "expected": expected}


def command_make(args):
    rng = random.Random(args.seed)
    sources = find_sources(args.paths)
    if not sources:
        sys.exit("no source files under the given paths")
    holes = []
    for kind in KINDS:
        tries, got = 0, 0
        while got < args.per_kind and tries < 20000:
            tries += 1
            path = rng.choice(sources)
            try:
                with open(path, encoding="utf-8", newline="") as f:
                    text = f.read()
            except (UnicodeDecodeError, OSError):
                continue
            if "\r" in text or MARKER in text:
                continue
            hole = make_hole(text, rng, kind, args.prefix_lines, args.suffix_lines)
            if hole:
                hole.update(id=len(holes), path=path)
                holes.append(hole)
                got += 1
    with open(args.out, "w", encoding="utf-8") as f:
        for hole in holes:
            f.write(json.dumps(hole) + "\n")
    print(f"{len(holes)} holes from {len(sources)} files in {args.out}")


def plain(text):
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def score(holes, texts):
    """Per kind: holes, exact, first line right, ran past the hole (right, then more)."""
    table = {}
    for hole, text in zip(holes, texts):
        row = table.setdefault(hole["kind"], [0, 0, 0, 0])
        want, have = plain(hole["expected"]), plain(text)
        row[0] += 1
        row[1] += want == have
        row[2] += want.split("\n")[0] == have.split("\n")[0]
        row[3] += want != have and have.startswith(want)
    return table


def print_table(table):
    print(f"{'kind':10} {'holes':>5} {'exact':>6} {'first line':>10} {'ran past':>8}")
    total = [0, 0, 0, 0]
    for kind in KINDS:
        if kind in table:
            n, exact, first, past = table[kind]
            total = [a + b for a, b in zip(total, table[kind])]
            print(f"{kind:10} {n:5} {exact / n:6.1%} {first / n:10.1%} {past / n:8.1%}")
    n = max(1, total[0])
    print(f"{'all':10} {n:5} {total[1] / n:6.1%} {total[2] / n:10.1%} {total[3] / n:8.1%}")


def parse_objects(text):
    """JSON objects one after the other, on one line each or on many."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        while text[at].isspace():
            at += 1
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def command_run(args):
    with open(args.holes, encoding="utf-8") as f:
        holes = [json.loads(line) for line in f]
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, hole in enumerate(holes):
            name = os.path.join(folder, f"{i:04}{os.path.splitext(hole['path'])[1]}")
            with open(name, "w", encoding="utf-8", newline="") as f:
                f.write(hole["prefix"] + MARKER + hole["suffix"])
            names.append(name)
        command = [args.hearth, "complete", "--json", "--max-tokens", str(args.max_tokens)]
        command += ["-m", args.model] if args.model else []
        command += ["-t", str(args.threads)] if args.threads else []
        command += ["--raw"] if args.raw else []
        command += args.arg
        started = time.time()
        done = subprocess.run(command + names, stdout=subprocess.PIPE, check=False)
        seconds = time.time() - started
    answers = parse_objects(done.stdout.decode("utf-8"))
    if done.returncode or len(answers) != len(holes):
        sys.exit(f"hearth exited with {done.returncode} after {len(answers)} of {len(holes)} holes")
    print_table(score(holes, [a["text"] for a in answers]))
    tokens = sum(a["completion_tokens"] for a in answers)
    print(f"{tokens} tokens generated, {seconds:.1f} s in all")
    if args.out:
        with open(args.out, "w", encoding="utf-8") as f:
            for hole, answer in zip(holes, answers):
                f.write(json.dumps({**hole, "answer": answer}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="mask pieces of source files")
    make.add_argument("paths", nargs="+")
    make.add_argument("--out", required=True)
    make.add_argument("--per-kind", type=int, default=20)
    make.add_argument("--seed", type=int, default=1)
    make.add_argument("--prefix-lines", type=int, default=60)
    make.add_argument("--suffix-lines", type=int, default=30)
    make.set_defaults(run=command_make)
    run = commands.add_parser("run", help="complete the holes and count")
    run.add_argument("holes")
    run.add_argument("--hearth", default="build/hearth")
    run.add_argument("-m", "--model")
    run.add_argument("-t", "--threads", type=int)
    run.add_argument("--max-tokens", type=int, default=64)
    run.add_argument("--raw", action="store_true", help="without the trim rules")
    run.add_argument("--arg", action="append", default=[], metavar="OPTION",
                     help="pass on to hearth complete, as in --arg=--single-line")
    run.add_argument("--out")
    run.set_defaults(run=command_run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
