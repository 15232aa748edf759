#!/usr/bin/env python3
"""Compares `hearth embed` with sentence-transformers on the same model: cosine of the vectors, and tokens a
second in alternating runs.

Usage: embed.py FOLDER MODEL.gguf TEXTS [--hearth PROGRAM] [--rounds N] [--threads N]

FOLDER is the model as published (safetensors), MODEL.gguf what was made of it, TEXTS a file with a text a line.
With --rounds 0 only the vectors are compared. It needs PyTorch and sentence-transformers.
"""
import argparse
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

HEARTH = Path(__file__).resolve().parents[2] / "build" / "hearth"


def seconds(fn):
    start = time.perf_counter()
    fn()
    return time.perf_counter() - start


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("folder")
    p.add_argument("model")
    p.add_argument("texts", type=Path)
    p.add_argument("--hearth", default=HEARTH)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model = SentenceTransformer(args.folder, device="cpu")
    model.max_seq_length = model[0].auto_model.config.max_position_embeddings
    texts = args.texts.read_text().split("\n")[:-1]
    call = [args.hearth, "embed", "-m", args.model, "-t", str(args.threads), "--raw", "--truncate",
            "--file", args.texts]

    want = model.encode(texts, normalize_embeddings=True).astype(np.float64)
    got = np.frombuffer(subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout, dtype="<f4")
    got = got.reshape(want.shape).astype(np.float64)
    cosine = (want * got).sum(1) / np.linalg.norm(want, axis=1) / np.linalg.norm(got, axis=1)
    print(f"{len(texts)} texts, smallest cosine {cosine.min():.9f} (text {cosine.argmin()}), "
          f"median of 1 - cosine {np.median(1 - cosine):.1e}")

    ids = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)["input_ids"]
    n = sum(map(len, ids))
    runs = {"sentence-transformers, batches of 32": lambda: model.encode(texts, batch_size=32),
            "hearth embed": lambda: subprocess.run(call, check=True, stdout=subprocess.DEVNULL),
            "sentence-transformers, batches of 128": lambda: model.encode(texts, batch_size=128)}
    times = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    for name, t in times.items():
        if t:
            print(f"{name:40} {statistics.median(t):6.2f} s {n / statistics.median(t):8.0f} tokens/s")


if __name__ == "__main__":
    main()
