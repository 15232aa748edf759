#!/usr/bin/env python3
"""Writes minisign_golden.h: keys and signatures made by the program minisign (0.11), and a key sealed with little
work, as libsodium's interactive setting, which the program itself does not offer.

    tests/trust/make_minisign_golden.py > tests/trust/minisign_golden.h
"""

import base64
import hashlib
import struct
import subprocess
import tempfile
from pathlib import Path


def pick(ops, mem):
    """N, r, p of libsodium's crypto_pwhash_scryptsalsa208sha256 (pickparams)."""
    ops = max(ops, 32768)
    by_ops = ops < mem // 32
    most = ops // 32 if by_ops else mem // 1024
    log2 = 1
    while log2 < 63 and (1 << log2) <= most // 2:
        log2 += 1
    p = 1 if by_ops else max(1, (ops // 4 >> log2) // 8)
    return 1 << log2, 8, p


def seal(plain, password, ops, mem, fill=True):
    """The secret key of `plain` (its 158 bytes) under a password."""
    salt = bytes(range(32))
    check = hashlib.blake2b(plain[:2] + plain[54:126], digest_size=32).digest()
    body = plain[54:126] + check
    if fill:
        n, r, p = pick(ops, mem)
        stream = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=1 << 30, dklen=104)
        body = bytes(a ^ b for a, b in zip(body, stream))
    raw = b"EdScB2" + salt + struct.pack("<QQ", ops, mem) + body
    return "untrusted comment: minisign encrypted secret key\n" + base64.b64encode(raw).decode() + "\n"


def main():
    with tempfile.TemporaryDirectory() as folder:
        f = Path(folder)

        def minisign(*args):
            subprocess.run(["minisign", *args], cwd=f, check=True, stdout=subprocess.DEVNULL)

        (f / "f").write_text("hi\n")
        minisign("-G", "-W", "-p", "k.pub", "-s", "k.key")
        minisign("-S", "-s", "k.key", "-m", "f", "-x", "hashed")
        minisign("-S", "-l", "-s", "k.key", "-m", "f", "-x", "legacy")
        secret = (f / "k.key").read_text()
        plain = base64.b64decode(secret.splitlines()[1])
        texts = {
            "golden_public": (f / "k.pub").read_text(),
            "golden_secret": secret,
            "golden_hashed": (f / "hashed").read_text(),
            "golden_legacy": (f / "legacy").read_text(),
            "golden_sealed": seal(plain, b"secret words", 524288, 16777216),
            "golden_greedy": seal(plain, b"x", 1 << 40, 1 << 45, fill=False),
        }
    print("/* Made by make_minisign_golden.py: the program minisign's keys and signatures of the bytes \"hi\\n\". */")
    for name, text in texts.items():
        lines = "\n    ".join('"' + line.replace("\t", "\\t") + '\\n"' for line in text.splitlines())
        print(f"static const char {name}[] =\n    {lines};")


main()
