#!/usr/bin/env python3
"""Makes the signatures in this folder with the PyPI package model-signing (1.1.1), one for each curve, over model/.
The secret keys are not kept.

    VENV/bin/python tests/golden/trust/make.py
"""

import subprocess
import tempfile
from pathlib import Path

import model_signing

HERE = Path(__file__).resolve().parent
FILES = {"config.json": '{"a": 1}\n', "a/b": "b\n", "a.b": "ab\n", "a b": "", "weights/é.bin": "".join(map(chr, range(32, 127)))}


def main():
    for name, text in FILES.items():
        (HERE / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / "model" / name).write_text(text)
    for curve in ["P-256", "P-384", "P-521"]:
        (HERE / curve).mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile() as secret:
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}",
                            "-out", secret.name], check=True)
            subprocess.run(["openssl", "pkey", "-in", secret.name, "-pubout", "-out", HERE / curve / "key.pub"], check=True)
            model_signing.signing.Config().use_elliptic_key_signer(private_key=secret.name).sign(
                HERE / "model", HERE / curve / "model.sig")


main()
