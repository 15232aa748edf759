#!/usr/bin/env python3
"""Measures `hearth search`: does the first sentence of a docstring find its function?

    tools/eval/search.py build/hearth --model minilm.gguf [--work DIR] [--c SOURCE_DIR ...] [--json FILE]

Python's standard library gives the pairs: the query is the docstring's first sentence, the answer the
function without its docstring; each function is a file of its own. With --c, C sources give pairs of a
comment's first sentence and the function behind it. MRR@10 is the mean of 1/rank over all queries, 0 past
rank 10. The fusion's weights are chosen on every other pair and the figures are those of the rest.

Beside the hybrid stand its parts, and two fusions rebuilt from what is known of other programs: Tabby's
(reciprocal ranks of BM25 and embeddings, k = 60) and Continue's (25% recent files, 25% full text, 50%
embeddings, one behind the other; nothing is recent here, so its share is empty; the better of both orders
counts). The vectors stay in the index under --work, so that a second run takes seconds.
"""

import argparse
import ast
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sysconfig
from pathlib import Path

SKIP = {"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "__pycache__", "turtledemo"}
DEPTH = 100


def first_sentence(text):
    text = " ".join(text.split("\n\n")[0].split())
    match = re.match(r"(.+?[.!?])(\s|$)", text)
    return (match.group(1) if match else text).strip()


def python_pairs(root):
    """(query, code) of every function with a docstring of at least three words."""
    for path in sorted(root.rglob("*.py")):
        if SKIP & set(path.relative_to(root).parts):
            continue
        try:
            source = path.read_text()
            tree = ast.parse(source)
        except (UnicodeDecodeError, SyntaxError, ValueError):
            continue
        lines = source.splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            doc = ast.get_docstring(node)
            if not doc or len(node.body) < 2:
                continue
            query = first_sentence(doc)
            if len(query.split()) < 3:
                continue
            string = node.body[0]
            start, end = string.lineno - 1, string.end_lineno
            code = lines[node.lineno - 1:start] + lines[end:node.end_lineno]
            indent = len(code[0]) - len(code[0].lstrip())
            yield query, "\n".join(line[indent:] if not line[:indent].strip() else line for line in code) + "\n"


C_FUNCTION = re.compile(
    r"/\*(?P<doc>(?:[^*]|\*(?!/))*)\*/\s*\n(?P<code>[A-Za-z_][^;{}#]*\([^;{}]*\)\s*\{.*?^\})", re.S | re.M)


def c_pairs(root):
    for path in sorted(root.rglob("*.c")):
        source = path.read_text(errors="replace")
        for match in C_FUNCTION.finditer(source):
            doc = re.sub(r"^[ \t]*\*+", "", match["doc"], flags=re.M).strip("* \t\n")
            query = first_sentence(re.sub(r"^\w+\s*\(\)\s*[:-]?\s*|^\w+\s*-+\s*", "", doc))
            if 3 <= len(query.split()) <= 60:
                yield query, match["code"] + "\n"


def unique(pairs):
    """Each query and each code once: a doubled one has no single right answer."""
    pairs = list(pairs)
    queries, codes = {}, {}
    for query, code in pairs:
        queries[query.lower()] = queries.get(query.lower(), 0) + 1
        codes[code] = codes.get(code, 0) + 1
    return [(q, c) for q, c in pairs if queries[q.lower()] == 1 and codes[c] == 1]


def run(hearth, *args, home):
    return subprocess.run([hearth, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, HEARTH_HOME=str(home))).stdout


def ranks_of(hearth, pairs, ending, folder, model, limit):
    """For each query the list of (answer, text rank, vector rank, name rank)."""
    corpus = folder / "corpus"
    if not corpus.exists():
        corpus.mkdir(parents=True)
        for i, (_, code) in enumerate(pairs):
            sub = corpus / f"{i // 500:03d}"
            sub.mkdir(exist_ok=True)
            (sub / f"{i:06d}{ending}").write_text(code, errors="replace")
    run(hearth, "index", corpus, "--json", "--no-ignore", *(["--embed-model", model] if model else []), home=folder)
    asked = list(range(len(pairs)))[:limit]
    (folder / "queries.txt").write_text("".join(pairs[i][0].replace("\n", " ") + "\n" for i in asked))
    out = run(hearth, "search", "--dir", corpus, "--file", folder / "queries.txt", "--json", "-n", 200, home=folder)
    found = []
    for line in out.splitlines():
        best = {}
        for hit in json.loads(line)["hits"]:
            answer = int(Path(hit["path"]).stem)
            old = best.get(answer, (0, 0, 0))
            # Parts of a large function: its best one counts.
            best[answer] = tuple(min((r for r in two if r), default=0) for two in zip(old, hit["ranks"]))
        found.append(best)
    return asked, found


def mrr(order, asked, found):
    total = 0
    for want, best in zip(asked, found):
        ranked = order(best)
        total += 1 / (ranked.index(want) + 1) if want in ranked[:10] else 0
    return total / len(asked)


def by_list(which):
    return lambda best: [a for _, a in sorted((r[which], a) for a, r in best.items() if r[which])][:10]


def by_rrf(weights, k):
    def order(best):
        score = {a: sum(w / (k + r) for w, r in zip(weights, ranks) if r) for a, ranks in best.items()}
        return [a for _, a in sorted((-s, a) for a, s in score.items() if s > 0)][:10]
    return order


def continue_like(text_first):
    def order(best):
        text, vector = by_list(0)(best)[:3], by_list(1)(best)[:5]
        both = text + vector if text_first else vector + text
        return list(dict.fromkeys(both))
    return order


def recall(hearth, folder, pairs, found, model, most):
    """How many of the ten nearest by float32, all compared, are among the ten that the index finds."""
    import numpy

    base = next(folder.rglob("g*.db"))
    db = sqlite3.connect(f"file:{base}?mode=ro", uri=True)
    where = dict(db.execute("SELECT p.chunk, f.path FROM places p JOIN files f ON f.id = p.file"))
    rows = [(c, f) for c, f in db.execute("SELECT chunk, f FROM vectors_exact") if c in where]
    names = [int(Path(where[c].decode()).stem) for c, _ in rows]
    vectors = numpy.stack([numpy.frombuffer(f, dtype=numpy.float32) for _, f in rows])
    asked = "".join(pairs[i][0].replace("\n", " ") + "\n" for i in range(most))
    raw = subprocess.run([hearth, "embed", "-m", model, "--raw", "-"], check=True, stdout=subprocess.PIPE,
                         input=asked.encode(), env=dict(os.environ, HEARTH_HOME=str(folder))).stdout
    total = 0
    for q, have in zip(numpy.frombuffer(raw, dtype=numpy.float32).reshape(most, -1), found):
        best = numpy.argsort(-(vectors @ q), kind="stable")[:10]
        # Of a large function that was cut into parts each counts as the function.
        near = {names[k] for k in best}
        ten = {a for _, a in sorted((r[1], a) for a, r in have.items() if r[1])[:10]}
        total += len(near & ten) / len(near)
    return total / most


def half(asked, found, which):
    return asked[which::2], found[which::2]


def evaluate(name, asked, found, chosen=None):
    tune, test = half(asked, found, 0), half(asked, found, 1)
    if chosen is None:
        grid = itertools.product([1], [0, 0.5, 1, 1.5, 2, 3], [0, 0.25, 0.5, 1, 1.5], [2, 5, 10, 20, 60])
        chosen = max(grid, key=lambda g: mrr(by_rrf(g[:3], g[3]), *tune))
    rows = {
        "words (BM25)": by_list(0), "vectors": by_list(1), "names": by_list(2),
        "Tabby-like (RRF 60)": by_rrf((1, 1, 0), 60),
    }
    result = {label: mrr(order, *test) for label, order in rows.items()}
    result["Continue-like (25/25/50)"] = max(mrr(continue_like(first), *test) for first in (True, False))
    result["hybrid"] = mrr(by_rrf(chosen[:3], chosen[3]), *test)
    print(f"{name}: {len(asked)} pairs, figures on {len(test[0])} of them")
    for label, value in result.items():
        print(f"  {label:26} MRR@10 {value:.4f}")
    print(f"  weights: words {chosen[0]}, vectors {chosen[1]}, names {chosen[2]}, k {chosen[3]}")
    return chosen, {"name": name, "pairs": len(asked), "mrr": result, "weights": chosen}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hearth")
    parser.add_argument("--model", help="an embedding model: a name or a GGUF file")
    parser.add_argument("--work", type=Path, default=Path("eval-search"), help="keeps the corpora and indexes")
    parser.add_argument("--python", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--c", type=Path, nargs="*", default=[], help="folders of C sources")
    parser.add_argument("--limit", type=int, default=1 << 30, help="queries at most")
    parser.add_argument("--recall", type=int, default=0, metavar="N",
                        help="of N queries, too: the vectors' recall@10 against comparing all (needs numpy)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    results = []
    pairs = unique(python_pairs(args.python))
    asked, found = ranks_of(args.hearth, pairs, ".py", args.work / "python", args.model, args.limit)
    chosen, result = evaluate("Python's standard library", asked, found)
    results.append(result)
    if args.recall:
        most = min(args.recall, len(found))
        result["recall@10"] = recall(args.hearth, args.work / "python", pairs, found, args.model, most)
        print(f"  recall@10 of the vectors on {most} queries: {result['recall@10']:.4f}")
    for root in args.c:
        asked, found = ranks_of(args.hearth, unique(c_pairs(root)), ".c", args.work / root.name, args.model, args.limit)
        results.append(evaluate(f"C: {root.name}", asked, found, chosen)[1])
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
