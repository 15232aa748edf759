#!/usr/bin/env python3
"""Holds the source tree to the rules of ARCHITECTURE.md.

  - A module includes only modules that its row of the table allows, and what those allow in turn.
  - Includes of our own headers are written "module/file.h" and name a file that exists; the public
    header, include/hearth.h, is open to all.
  - A header x_int.h or x_tmpl.h is included only from the folder that holds it (or below).
  - No two source files have the same name.
  - A header compiles alone; x_tmpl.h, a body that is compiled once per CPU, does not have to.
  - No source file is longer than 900 lines.
  - Only cli prints and ends the process.

    tools/check_layers.py [ROOT]
"""

import re
import subprocess
import sys
from pathlib import Path

MAX_LINES = 900
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
# Comments, string and character literals: blanked before code is searched.
NOT_CODE = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
# _exit is left out: a child between fork and exec has no other way to end.
FORBIDDEN = re.compile(
    r"\b(exit|quick_exit|abort|printf|vprintf|puts|putchar|perror)\s*\(|"
    r"\b(?:v?fprintf|fputs|fputc|putc|fwrite)\s*\([^;]*\b(?:stdout|stderr)\b")


def read_table(root):
    """The table of ARCHITECTURE.md: {module: set of modules it may include}, transitively."""
    allowed = {}
    for line in (root / "ARCHITECTURE.md").read_text().splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) < 5 or not re.fullmatch(r"`[a-z]+`", cells[1]):
            continue
        allowed[cells[1].strip("`")] = set(re.findall(r"[a-z]+", cells[3]))
    if not allowed:
        raise SystemExit("check_layers: ARCHITECTURE.md has no module table")
    for name, others in allowed.items():
        if others == {"all"}:
            allowed[name] = set(allowed) - {name}
        elif others == {"nothing"}:
            allowed[name] = set()
    for name, others in allowed.items():
        for other in others - set(allowed):
            raise SystemExit(f"check_layers: {name} may include {other}, which is no module")
    return {name: closure(name, allowed) for name in allowed}


def closure(name, direct):
    found, todo = set(), [name]
    while todo:
        for other in direct[todo.pop()] - found:
            found.add(other)
            todo.append(other)
    if name in found:
        raise SystemExit(f"check_layers: the table has a cycle through {name}")
    return found


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_includes(src, path, text, allowed):
    module = path.relative_to(src).parts[0]
    if module not in allowed:
        yield 1, f"module {module} is not in ARCHITECTURE.md's table"
        return
    for match in INCLUDE.finditer(text):
        line, name = line_of(text, match.start()), match[1]
        target = src / name
        if (src.parent / "include" / name).is_file():
            continue
        if "/" not in name or not target.is_file():
            yield line, f'"{name}" is not a header written as "module/file.h" from src'
            continue
        other = target.relative_to(src).parts[0]
        if other != module and other not in allowed[module]:
            yield line, f"{module} may not include {other} ({name})"
        if target.name.endswith(("_int.h", "_tmpl.h")) and target.parent not in [path.parent, *path.parents]:
            yield line, f"{name} is private to its folder"


def check_calls(src, path, text):
    if path.relative_to(src).parts[0] == "cli":
        return
    code = NOT_CODE.sub(blank, text)
    for match in FORBIDDEN.finditer(code):
        yield line_of(code, match.start()), f"only cli prints or exits: {match.group().split('(')[0]}"


def check_header(root, path):
    done = subprocess.run(
        ["cc", "-std=gnu17", "-fsyntax-only", "-D_GNU_SOURCE", "-Wall", "-Wno-unused-function",
         "-Isrc", "-Iinclude", "-x", "c", str(path)],
        cwd=root, capture_output=True, text=True)
    if done.returncode:
        reason = next((l for l in done.stderr.splitlines() if "error:" in l), "cc failed")
        yield 1, f"does not compile alone: {reason}"


def find_problems(root):
    src = root / "src"
    allowed = read_table(root)
    names = {}
    files = [p for folder in ("src", "tests", "bench") for p in sorted((root / folder).rglob("*"))
             if p.suffix in (".c", ".h") and p.is_file()]
    for path in files:
        text = path.read_text(errors="replace")
        found = []
        if names.setdefault(path.name, path) != path:
            found.append((1, f"has the same name as {names[path.name].relative_to(root)}"))
        lines = text.count("\n")
        if lines > MAX_LINES:
            found.append((lines, f"has {lines} lines, {MAX_LINES} are the most"))
        if src in path.parents:
            found += check_includes(src, path, text, allowed)
            found += check_calls(src, path, text)
            if path.suffix == ".h" and not path.name.endswith("_tmpl.h"):
                found += check_header(root, path)
        for line, message in found:
            yield f"{path.relative_to(root)}:{line}: {message}"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    problems = list(find_problems(root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
