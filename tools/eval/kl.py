#!/usr/bin/env python3
"""How far a program's next-token distributions lie from float32 PyTorch's on the same model file.

    kl.py measure MODEL IDS --dump build/tests/model/dump_logits [--folder DIR] [--other NAME=LOGITS ...]
        computes PyTorch's logits (kept in DIR) and Hearth's, and compares
    kl.py compare IDS REFERENCE [--other NAME=LOGITS ...]
        compares logits already on disk

IDS are raw int32 or a JSON array, as `hearth tokenize` prints; LOGITS raw float32 of every position,
[n_ids][n_vocab], from any program: this is how llama.cpp's are put beside Hearth's. Figures are over
all positions, in float64: KL(PyTorch || program) in nats, the share of positions with the same most
likely token, and the perplexity of the text (over all positions but the last).
"""
import argparse
import json
import os
import subprocess
import sys

import numpy as np

ROWS = 32  # positions at a time: 152,000 float64 logits each


def read_ids(path):
    with open(path, "rb") as f:
        head = f.read(1)
    if head == b"[":
        with open(path, encoding="utf-8") as f:
            return np.array(json.load(f), dtype=np.int32)
    return np.fromfile(path, dtype="<i4")


def open_logits(path, n):
    size = os.path.getsize(path)
    if n == 0 or size == 0 or size % (4 * n):
        sys.exit(f"kl.py: {path} does not hold {n} rows of float32")
    return np.memmap(path, dtype="<f4", mode="r", shape=(n, size // (4 * n)))


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def compare(ids, ref, other):
    """Per position: KL, same top token, log-probability of the token that follows in both."""
    n = len(ids)
    kl, same = np.empty(n), np.empty(n, dtype=bool)
    nll_ref, nll = np.zeros(n), np.zeros(n)
    diff = 0.0
    for at in range(0, n, ROWS):
        rows = slice(at, min(at + ROWS, n))
        a, b = ref[rows], other[rows]
        la, lb = log_softmax(a), log_softmax(b)
        kl[rows] = (np.exp(la) * (la - lb)).sum(axis=1)
        same[rows] = a.argmax(axis=1) == b.argmax(axis=1)
        diff = max(diff, float(np.abs(a - b).max()))
        following = ids[at + 1 : rows.stop + 1]
        k = np.arange(len(following))
        nll_ref[at : at + len(k)] = -la[k, following]
        nll[at : at + len(k)] = -lb[k, following]
    return {
        "mean_kl": kl.mean(), "stderr_kl": kl.std() / np.sqrt(n), "median_kl": np.median(kl),
        "p99_kl": np.quantile(kl, 0.99), "max_kl": kl.max(), "same_top": same.mean(),
        "max_logit_difference": diff, "perplexity": np.exp(nll[: n - 1].mean()),
        "reference_perplexity": np.exp(nll_ref[: n - 1].mean()),
    }


def report(ids, ref_path, others, as_json):
    ref = open_logits(ref_path, len(ids))
    results = {}
    for name, path in others:
        other = open_logits(path, len(ids))
        if other.shape != ref.shape:
            sys.exit(f"kl.py: {path} has a vocabulary of {other.shape[1]}, not {ref.shape[1]}")
        results[name] = {k: float(v) for k, v in compare(ids, ref, other).items()}
    if as_json:
        print(json.dumps(results, indent=2))
        return
    print(f"{len(ids)} positions")
    print(f"{'':20} {'mean KL':>19} {'median':>9} {'p99':>9} {'max':>9} {'same top':>9} "
          f"{'perplexity':>11}")
    for name, r in results.items():
        print(f"{name:20} {r['mean_kl']:9.6f} ±{r['stderr_kl']:9.6f} {r['median_kl']:9.6f} "
              f"{r['p99_kl']:9.5f} {r['max_kl']:9.5f} {r['same_top']:9.4f} {r['perplexity']:11.5f}")
    if results:
        r = next(iter(results.values()))
        print(f"{'(reference)':20} {'':51} {'':9} {r['reference_perplexity']:19.5f}")


def measure(args, others):
    ids = read_ids(args.ids)
    os.makedirs(args.folder, exist_ok=True)
    stem = os.path.join(args.folder, os.path.splitext(os.path.basename(args.model))[0])
    raw, ref, own = f"{stem}.ids.i32", f"{stem}.torch.f32", f"{stem}.hearth.f32"
    known = os.path.exists(ref) and os.path.exists(raw) and np.array_equal(read_ids(raw), ids)
    ids.astype("<i4").tofile(raw)
    if not known:
        tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden",
                            "torch_ref.py")
        subprocess.run([sys.executable, tool, args.model, raw, ref, "--threads",
                        str(args.threads)], check=True)
    subprocess.run([args.dump, args.model, raw, own, str(args.threads)], check=True)
    report(ids, ref, [("hearth", own), *others], args.json)


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="command", required=True)
    m = sub.add_parser("measure")
    m.add_argument("model")
    m.add_argument("ids")
    m.add_argument("--dump", required=True, help="Hearth's dump_logits program")
    m.add_argument("--folder", default="kl", help="where logits are kept (1.2 GB a program)")
    m.add_argument("--threads", type=int, default=2)
    c = sub.add_parser("compare")
    c.add_argument("ids")
    c.add_argument("reference")
    for p in (m, c):
        p.add_argument("--other", action="append", default=[], metavar="NAME=LOGITS")
        p.add_argument("--json", action="store_true")
    args = ap.parse_args()
    for o in args.other:
        if "=" not in o:
            ap.error(f"{o} is not NAME=FILE")
    others = [tuple(o.split("=", 1)) for o in args.other]
    if args.command == "measure":
        measure(args, others)
    else:
        report(read_ids(args.ids), args.reference, others, args.json)


if __name__ == "__main__":
    main()
