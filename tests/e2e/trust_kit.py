"""What the tests of signatures share: keys, models of several files, and the programs to agree with."""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CURVES = ["P-256", "P-384", "P-521"]
HERE = Path(__file__).resolve().parent


def make_model(folder: Path, seed: int) -> Path:
    """2 to 9 files in folders, some empty, with names that are hard to sort and to quote."""
    r = random.Random(seed)
    names = ["model-00001.safetensors", "config.json", "a/b/weights.bin", "a.b/c", "a b.txt", "tokenizer/merges.txt",
             "ünïcode/é.json", "zero", 'quote".txt']
    for name in names[: 2 + seed % 8]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "zero" else r.randbytes(r.randrange(1, 100_000)))
    if seed % 4 == 0:  # left out by both
        (folder / ".git/objects").mkdir(parents=True)
        (folder / ".git/objects/x").write_bytes(b"x")
        (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    return folder


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """One pair of PEM files of each curve, two of P-256."""
    folder = tmp_path_factory.mktemp("keys")
    pairs = []
    for i, curve in enumerate([*CURVES, "P-256"]):
        secret, public = folder / f"{i}.pem", folder / f"{i}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", secret],
                       check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "pkey", "-in", secret, "-pubout", "-out", public], check=True)
        pairs.append((secret, public))
    return pairs


@pytest.fixture(scope="session")
def peer():
    """Runs jobs in the package model-signing (tools/trust.sh sets HEARTH_MODEL_SIGNING); skips without it."""
    python = os.environ.get("HEARTH_MODEL_SIGNING")
    if not python and importlib.util.find_spec("model_signing"):
        python = sys.executable
    if not python:
        pytest.skip("model-signing is not installed; run: make trust")

    def run(jobs):
        text = json.dumps(jobs, default=str)
        done = subprocess.run([python, HERE / "model_signing_peer.py"], input=text, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def minisign(tmp_path_factory):
    """The program minisign with a key without a password: minisign(args...) -> CompletedProcess; .folder has k.key, k.pub."""
    program = shutil.which("minisign")
    if not program:
        pytest.skip("minisign is not installed")
    folder = tmp_path_factory.mktemp("minisign")

    def run(*args):
        return subprocess.run([program, *map(str, args)], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    run.folder = folder
    made = run("-G", "-W", "-p", "k.pub", "-s", "k.key")
    assert made.returncode == 0, made.stderr
    return run
