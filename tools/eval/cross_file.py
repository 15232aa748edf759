#!/usr/bin/env python3
"""Measures what a project's index gives to completion: exact match with retrieval and without.

    tools/eval/cross_file.py build/hearth --work DIR [-m MODEL] [--cross 500] [--in-file 300] [--ctx 2048]

Ten Python packages are fetched with pip, by version, and unpacked. Holes are chosen from their files by a
fixed seed, of two groups:

  cross-file   "call": the rest of a line from the name of a function, class or method on that is called there
               and that another file of the package defines; "line": a whole line with such a call
  in-file      the same two kinds, where what is called is defined in the file itself, or a line without a call

A called name counts as another file's where this file imports it from there, or where it is a method that
one class of another file has, none of this file, and none of Python's own types. Tests are left out, and so are
holes of more than 80 characters.

Each package is indexed and every hole filled twice, by the same model with the same number of tokens: with
`--project`, where the index's pieces take the place of the farthest text, and without. The file with the hole
gives none of its code, only imports and signatures, which the answers show (`context`) and this script checks. An
answer counts where it is the text that was there, blanks at its ends aside.

Answers are kept in --work, so that a run that was stopped goes on. Holes come in an order in which every
part from the start has the same share of each package: --limit N takes the first N of each group.
"""

import argparse
import ast
import builtins
import hashlib
import json
import logging
import math
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

# The first six are older than the models of the catalogue, the last four are newer or as new.
PACKAGES = {
    "flask": "3.0.3", "werkzeug": "3.0.4", "jinja2": "3.1.4", "click": "8.1.7", "httpx": "0.27.2", "rich": "13.8.1",
    "cyclopts": "5.5.2", "mcp": "2.3.0", "openai-agents": "0.24.0", "smolagents": "1.26.0",
}
NEW = {"cyclopts", "mcp", "openai-agents", "smolagents"}
LONGEST = 80  # characters of a hole
COMMON = set(dir(builtins)) | {"append", "write"}
for _type in (str, bytes, list, dict, set, int, float, tuple, object, BaseException, type(sys.stdout), type(x for x in ()),
              logging.Logger, Path):
    COMMON |= set(dir(_type))


# ---- holes ------------------------------------------------------------------------------------------------------


def fetch(work):
    """Unpacks every package once; {name: its folder}."""
    folders = {}
    for name, version in PACKAGES.items():
        folder = work / "packages" / f"{name}-{version}"
        if not folder.exists():
            wheels = work / "wheels" / name
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                            "-d", str(wheels), f"{name}=={version}"], check=True)
            with zipfile.ZipFile(next(wheels.glob("*.whl"))) as z:
                z.extractall(folder)
        folders[name] = folder
    return folders


class Module:
    def __init__(self, root, path):
        self.path = path
        self.file = str(path.relative_to(root))
        self.name = ".".join(path.relative_to(root).with_suffix("").parts)
        self.package = self.name.removesuffix(".__init__") if self.name.endswith("__init__") else self.name.rpartition(".")[0]
        self.name = self.name.removesuffix(".__init__")
        self.source = path.read_text()
        self.lines = self.source.splitlines()
        self.tree = ast.parse(self.source)
        self.top, self.methods = set(), set()
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.top.add(node.name)
        self.classes = [n for n in ast.walk(self.tree) if isinstance(n, ast.ClassDef)]
        for node in self.classes:
            self.methods |= {n.name for n in node.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}


def read_modules(root):
    modules = []
    for path in sorted(root.rglob("*.py")):
        if {"test", "tests", "testing", "_vendor"} & set(path.relative_to(root).parts):
            continue
        try:
            modules.append(Module(root, path))
        except (SyntaxError, ValueError):
            continue
    return modules


def imported(module, by_name):
    """{name in this file: module it is from}, {name: module} for modules themselves, both inside the package; and the
    names of what is imported from outside of it."""
    names, aliases, outside = {}, {}, set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.package.split(".")
                base = ".".join(parts[:len(parts) - node.level + 1] + ([node.module] if node.module else []))
            for a in node.names:
                if f"{base}.{a.name}" in by_name:
                    aliases[a.asname or a.name] = by_name[f"{base}.{a.name}"]
                elif base in by_name:
                    names[a.asname or a.name] = (by_name[base], a.name)
                else:
                    outside.add(a.asname or a.name)
        elif isinstance(node, ast.Import):
            for a in node.names:
                if a.name in by_name and a.asname:
                    aliases[a.asname] = by_name[a.name]
                elif a.name not in by_name:
                    outside.add(a.asname or a.name.partition(".")[0])
    return names, aliases, outside


def defined_elsewhere(module, call, names, aliases, outside, owners, anywhere):
    """The called name where another file defines it, else None; second: whether this file does."""
    f = call.func
    if isinstance(f, ast.Name):
        if f.id in module.top:
            return None, True
        if f.id in names and names[f.id][1] in anywhere:
            return f.id, False
    elif isinstance(f, ast.Attribute):
        if isinstance(f.value, ast.Name) and f.value.id in aliases and f.attr in aliases[f.value.id].top:
            return f.attr, False
        if f.attr in COMMON or f.attr.startswith("__"):
            return None, False
        if isinstance(f.value, ast.Name) and f.value.id in outside:
            return None, False
        if f.attr in module.methods:
            return None, True
        if len(owners.get(f.attr, ())) == 1:
            return f.attr, False
    return None, False


def name_column(module, call):
    """(line, column in characters) of the called name; None where it is not on the call's last line."""
    f = call.func
    row = f.end_lineno - 1
    raw = module.lines[row].encode()[:f.end_col_offset].decode()
    name = f.id if isinstance(f, ast.Name) else f.attr
    return (row, len(raw) - len(name)) if raw.endswith(name) else None


def candidates(package, root):
    modules = read_modules(root)
    by_name = {m.name: m for m in modules}
    anywhere = set().union(*(m.top for m in modules))
    owners = {}
    for m in modules:
        for c in m.classes:
            for n in c.body:
                if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    owners.setdefault(n.name, set()).add((m.file, c.name))
    found = {"cross": {"call": [], "line": []}, "in-file": {"call": [], "line": []}}
    for m in modules:
        names, aliases, outside = imported(m, by_name)
        strings = set()
        statements = {}
        called = set()
        for node in ast.walk(m.tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno > node.lineno:
                strings |= set(range(node.lineno - 1, node.end_lineno))
            if isinstance(node, ast.stmt) and node.lineno == node.end_lineno:
                statements.setdefault(node.lineno - 1, node)
        for node in ast.walk(m.tree):
            if not isinstance(node, ast.Call) or node.lineno != node.end_lineno:
                continue
            at = name_column(m, node) if isinstance(node.func, (ast.Name, ast.Attribute)) else None
            if not at or at[0] in strings:
                continue
            target, own = defined_elsewhere(m, node, names, aliases, outside, owners, anywhere)
            row, column = at
            line = m.lines[row]
            called.add(row)
            group = "cross" if target else "in-file" if own else None
            if not group or line.lstrip().startswith(("@", "#")):
                continue
            if len(line) - column <= LONGEST:
                found[group]["call"].append((m, row, column))
            if row in statements and len(line.strip()) <= LONGEST:
                found[group]["line"].append((m, row, len(line) - len(line.lstrip())))
        for row, node in statements.items():
            line = m.lines[row]
            if row in called or row in strings or isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if 8 <= len(line.strip()) <= LONGEST and not any(isinstance(n, ast.Call) for n in ast.walk(node)):
                found["in-file"]["line"].append((m, row, len(line) - len(line.lstrip())))
    return found


def make_holes(folders, group, wanted, seed):
    """As many of each package and kind as come to `wanted`, at most one a line, in an order that mixes packages."""
    per_package = []
    share = math.ceil(wanted / len(folders))
    for package, root in folders.items():
        found = candidates(package, root)[group]
        rng = random.Random(f"{seed} {package} {group}")
        lists = {kind: sorted({(m.file, row, column) for m, row, column in found[kind]}) for kind in found}
        modules = {m.file: m for kind in found for m, _, _ in found[kind]}
        for kind in lists:
            rng.shuffle(lists[kind])
        used, mine = set(), []
        while len(mine) < share and any(lists.values()):
            kind = ("call", "line")[len(mine) % 2]
            if not lists[kind]:
                kind = "line" if kind == "call" else "call"
            file, row, column = lists[kind].pop()
            if (file, row) in used:
                continue
            used.add((file, row))
            m = modules[file]
            text = m.source.splitlines(keepends=True)
            body = text[row].rstrip("\r\n")
            mine.append({"id": f"{package}/{file}:{row + 1}:{column}", "package": package, "group": group, "kind": kind,
                         "file": file, "prefix": "".join(text[:row]) + body[:column],
                         "suffix": text[row][len(body):] + "".join(text[row + 1:]), "answer": body[column:]})
        per_package.append(mine)
    mixed = [h for i in range(share) for mine in per_package for h in mine[i:i + 1]]
    return mixed[:wanted]


# ---- answers ----------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, args, project, options):
        command = [args.hearth, "complete", "--stdio", "-m", args.model, "--ctx", str(args.ctx), "-t", str(args.threads),
                   "--max-tokens", str(args.max_tokens), *options]
        if project:
            command += ["--project", str(project)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run(args, folders, holes, arm, options, until):
    """Fills the holes that have no answer yet; {id: answer}."""
    path = args.work / f"answers-{args.tag}-{arm}.jsonl"
    have = {}
    if path.exists():
        have = {a["id"]: a for a in map(json.loads, path.read_text().splitlines())}
    missing = [h for h in holes if h["id"] not in have]
    if arm != "without":
        for package in {h["package"] for h in missing}:
            subprocess.run([args.hearth, "index", str(folders[package])], check=True, stdout=subprocess.DEVNULL)
    servers = {}
    with path.open("a") as out:
        for done, hole in enumerate(missing):
            if time.monotonic() > until:
                break
            # A process of one project or none answers for its package; the model is mapped, so that costs little.
            key = hole["package"] if arm != "without" else ""
            if key not in servers:
                servers[key] = Server(args, folders[hole["package"]] if key else None, options)
            request = {"prefix": hole["prefix"], "suffix": hole["suffix"], "file": str(folders[hole["package"]] / hole["file"]),
                       "mode": "single-line", "effort": args.effort}
            if args.typed and arm != "without":
                # What an editor does: the context was chosen when the cursor came to the line.
                head = hole["prefix"]
                start = head.rfind("\n") + 1
                indent = len(head[start:]) - len(head[start:].lstrip())
                servers[key].ask(**{**request, "prefix": head[:start + indent], "max_tokens": 1})
            a = servers[key].ask(**request)
            for piece in a.get("context", []):
                assert piece["path"] != hole["file"] or piece["chunks"] == 0, "code of the hole's own file was retrieved"
            line = {"id": hole["id"], "text": a["text"], "prompt_tokens": a["prompt_tokens"],
                    "total_ms": a["timings"]["total_ms"], "context_ms": a["timings"].get("context_ms", 0),
                    "context": [f"{p['path']}:{p['line']}" for p in a.get("context", [])]}
            have[hole["id"]] = line
            out.write(json.dumps(line) + "\n")
            out.flush()
            if done % 20 == 19:
                print(f"{arm}: {done + 1} of {len(missing)}", file=sys.stderr)
    for s in servers.values():
        s.close()
    return have


# ---- the report -------------------------------------------------------------------------------------------------


def exact(hole, answer):
    return answer["text"].strip() == hole["answer"].strip()


def difference(pairs):
    """Points between two arms over the same holes, and half of the 95 % interval."""
    n = len(pairs)
    d = [b - a for a, b in pairs]
    mean = sum(d) / n
    spread = math.sqrt(sum((x - mean) ** 2 for x in d) / (n - 1) / n) if n > 1 else 0
    return 100 * mean, 196 * spread


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(p * len(values)))] if values else 0


def report(args, holes, without, others):
    rows = []
    for arm, have in others.items():
        print(f"\n{args.model}, {args.ctx} tokens, {arm} against without")
        print(f"{'holes':<28} {'n':>4} {'without':>8} {'with':>8} {'points':>14}")
        for group in ("cross", "in-file"):
            mine = [h for h in holes if h["group"] == group and h["id"] in without and h["id"] in have]
            parts = [(f"{group}, all", mine)]
            parts += [(f"{group}, {kind}", [h for h in mine if h["kind"] == kind]) for kind in ("call", "line")]
            parts += [(f"{group}, {'new' if new else 'older'} packages", [h for h in mine if (h["package"] in NEW) == new])
                      for new in (False, True)]
            if args.by_package:
                parts += [(f"{group}, {p}", [h for h in mine if h["package"] == p]) for p in PACKAGES]
            for name, part in parts:
                if not part:
                    continue
                pairs = [(exact(h, without[h["id"]]), exact(h, have[h["id"]])) for h in part]
                points, half = difference(pairs)
                a, b = (100 * sum(p[i] for p in pairs) / len(pairs) for i in (0, 1))
                print(f"{name:<28} {len(part):>4} {a:>7.1f}% {b:>7.1f}% {points:>+7.1f} ± {half:.1f}")
                rows.append({"arm": arm, "holes": name, "n": len(part), "without": a, "with": b, "points": points, "half": half})
        ms = [have[h["id"]]["context_ms"] for h in holes if h["id"] in have]
        print(f"retrieval: {percentile(ms, .5):.1f} ms at p50, {percentile(ms, .95):.1f} ms at p95; prompts of "
              f"{sum(have[h['id']]['prompt_tokens'] for h in holes if h['id'] in have) / max(1, len(ms)):.0f} tokens, without "
              f"{sum(without[h['id']]['prompt_tokens'] for h in holes if h['id'] in without) / max(1, len(without)):.0f}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("hearth")
    p.add_argument("--work", type=Path, required=True, help="where packages and answers are kept")
    p.add_argument("-m", "--model", default="qwen2.5-coder:1.5b")
    p.add_argument("--cross", type=int, default=500)
    p.add_argument("--in-file", type=int, default=300)
    p.add_argument("--limit", type=int, nargs=2, default=(None, None), metavar=("CROSS", "IN_FILE"),
                   help="only the first so many of each group")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--ctx", type=int, default=2048, help="tokens of a prompt and its answer")
    p.add_argument("--max-tokens", type=int, default=40)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--effort", choices=("fast", "best"), default="fast")
    p.add_argument("--typed", action="store_true", help="the context is that of the line's start, as while typing")
    p.add_argument("--arm", action="append", help="run only these: without, with")
    p.add_argument("--name", default="with", help="under which the answers with retrieval are kept")
    p.add_argument("--option", action="append", default=[], help="of hearth complete, for the answers with retrieval")
    p.add_argument("--minutes", type=float, default=1e6, help="stop asking after so long")
    p.add_argument("--by-package", action="store_true")
    p.add_argument("--list", action="store_true", help="print the holes and stop")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    folders = fetch(args.work)
    groups = [make_holes(folders, "cross", args.cross, args.seed), make_holes(folders, "in-file", args.in_file, args.seed)]
    holes = [h for g, limit in zip(groups, args.limit) for h in g[:limit]]
    # A part of a run has some of both groups.
    order = {h["id"]: i / len(g) for g in groups for i, h in enumerate(g)}
    holes.sort(key=lambda h: order[h["id"]])
    digest = hashlib.sha256(json.dumps([(h["id"], h["kind"]) for h in holes]).encode()).hexdigest()[:8]
    print(f"{len(holes)} holes ({digest}): {sum(h['group'] == 'cross' for h in holes)} cross-file, "
          f"{sum(h['group'] == 'in-file' for h in holes)} in-file", file=sys.stderr)
    if args.list:
        for h in holes:
            print(h["group"], h["kind"], h["id"], repr(h["prefix"][h["prefix"].rfind("\n") + 1:]), repr(h["answer"]))
        return
    args.tag = f"{args.model.replace('/', '_').replace(':', '-')}-{args.ctx}-{args.effort}"
    until = time.monotonic() + 60 * args.minutes
    arms = args.arm or ["without", args.name]
    without = run(args, folders, holes, "without", [], until if "without" in arms else 0)
    others = {arm: run(args, folders, holes, arm, args.option, until) for arm in arms if arm != "without"}
    if without and others:
        report(args, holes, without, others)


if __name__ == "__main__":
    main()
