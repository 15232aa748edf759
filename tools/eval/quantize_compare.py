#!/usr/bin/env python3
"""Quantizes one model with Hearth and with llama.cpp, type by type, and compares sizes, errors and time.

    tools/eval/quantize_compare.py MODEL-f32.gguf --hearth build/hearth --peer llama-quantize \
        [--imatrix FILE] [--types Q4_0,Q4_K_M] [--threads 2] [--text FILE --perplexity llama-perplexity]

The error is the mean squared difference from MODEL's weights over all matrices that change, computed
here from both files with the `gguf` package's dequantization, relative to the weights' mean square.
With an importance matrix it is weighted by it. With --text, llama-perplexity tells perplexity and the
Kullback-Leibler divergence of the predictions from MODEL's.

Needs the Python packages gguf and numpy.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

TYPES = ("Q2_K Q3_K_S Q3_K_M Q3_K_L IQ4_XS IQ4_NL Q4_0 Q4_1 Q4_K_S Q4_K_M Q5_0 Q5_1 Q5_K_S Q5_K_M "
         "Q6_K Q8_0 MXFP4").split()


def ratio(a, b):
    return f"{a / b:.3f}" if b else "both exact" if not a else "inf"


def tensors(path):
    return {t.name: t for t in GGUFReader(path).tensors}


def read_imatrix(path):
    """Mean squares by tensor name, [matrices, columns]."""
    found = tensors(path)
    weights = {}
    for name, t in found.items():
        if name.endswith(".in_sum2"):
            base = name[:-len(".in_sum2")]
            counts = np.maximum(np.asarray(found[base + ".counts"].data).reshape(-1, 1), 1)
            weights[base] = np.asarray(t.data).reshape(len(counts), -1) / counts
    return weights


def errors(source, path, weights, every):
    """Sums of squared errors and squares, and the types, of the matrices of a file."""
    err = squares = 0.0
    types = {}
    for i, (name, t) in enumerate(tensors(path).items()):
        types[name] = t.tensor_type.name
        if t.tensor_type == source[name].tensor_type or i % every:
            continue
        x = np.asarray(source[name].data, dtype=np.float32)
        y = dequantize(t.data, t.tensor_type).reshape(x.shape)
        w = weights.get(name, np.ones((1, 1)))
        if len(w) > 1:
            w = w.reshape(len(w), 1, -1)
        d = (x - y).astype(np.float64)
        err += float((d * d * w).sum())
        squares += float((x.astype(np.float64) ** 2 * w).sum())
    return err / squares if squares else 0.0, types


def timed(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def evaluate(args, model, base, *more):
    """Runs llama-perplexity; the predictions go to `base`, or are compared with it."""
    return subprocess.run([args.perplexity, "-m", model, "-f", args.text, "-t", str(args.eval_threads),
                           "-c", "256", "--chunks", str(args.chunks), "--kl-divergence-base", base, *more],
                          check=True, capture_output=True, text=True)


def divergence(args, model, base):
    """Perplexity and mean KL divergence from the saved predictions of the original."""
    done = evaluate(args, model, base, "--kl-divergence")
    out = done.stdout + done.stderr
    ppl = re.search(r"Mean PPL\(Q\)\s*:\s*([\d.]+)", out)
    kld = re.search(r"Mean\s+KLD:\s*([\d.]+)", out)
    if not ppl or not kld:
        sys.exit(f"{args.perplexity}: no figures in {out[-2000:]}")
    return float(ppl.group(1)), float(kld.group(1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--hearth", default="build/hearth")
    p.add_argument("--peer", default="llama-quantize")
    p.add_argument("--imatrix")
    p.add_argument("--types", default=",".join(TYPES))
    p.add_argument("--pure", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--every", type=int, default=1, help="compare every Nth tensor only")
    p.add_argument("--text")
    p.add_argument("--perplexity", default="llama-perplexity")
    p.add_argument("--chunks", type=int, default=8, help="of 256 tokens")
    p.add_argument("--eval-threads", type=int, default=1, help="of llama-perplexity")
    p.add_argument("--json", help="write the rows here as well")
    args = p.parse_args()
    source = tensors(args.model)
    weights = read_imatrix(args.imatrix) if args.imatrix else {}
    rows = []
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(args.model))) as tmp:
        base = os.path.join(tmp, "base.kld")
        if args.text:
            evaluate(args, args.model, base)
        options = ["--imatrix", args.imatrix] if args.imatrix else []
        options += ["--pure"] if args.pure else []
        for name in args.types.split(","):
            row = {"type": name}
            types = {}
            for who in ("hearth", "peer"):
                out = os.path.join(tmp, who + ".gguf")
                if who == "hearth":
                    command = [args.hearth, "quantize", args.model, out, name, "-t", str(args.threads),
                               "-q", *options]
                else:
                    # llama.cpp's mix of this type is for experts; this is the same for all.
                    peer = (["--tensor-type", "blk=mxfp4", "--token-embedding-type", "q8_0", "Q8_0"]
                            if name == "MXFP4" else [name])
                    command = [args.peer, *options, *peer[:-1], args.model, out, peer[-1],
                               str(args.threads)]
                row[who + "_wall"], row[who + "_cpu"] = timed(command)
                row[who + "_bytes"] = os.path.getsize(out)
                row[who + "_mse"], types[who] = errors(source, out, weights, args.every)
                if args.text:
                    row[who + "_ppl"], row[who + "_kld"] = divergence(args, out, base)
                os.unlink(out)
            row["types_differ"] = sum(types["hearth"][k] != types["peer"][k] for k in types["peer"])
            rows.append(row)
            line = (f"{name:8} {row['hearth_bytes'] / 1e6:7.1f} MB  mse {row['hearth_mse']:.4e} vs "
                    f"{row['peer_mse']:.4e} ({ratio(row['hearth_mse'], row['peer_mse'])})  wall "
                    f"{row['hearth_wall']:.1f} vs {row['peer_wall']:.1f} s, cpu {row['hearth_cpu']:.1f} vs "
                    f"{row['peer_cpu']:.1f} s  {row['types_differ']} types differ")
            if args.text:
                line += (f"  ppl {row['hearth_ppl']:.4f} vs {row['peer_ppl']:.4f}  kld "
                         f"{row['hearth_kld']:.5f} vs {row['peer_kld']:.5f}")
            print(line, flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
