#!/usr/bin/env python3
"""Writes tests/golden/quant/blocks.bin: what the `gguf` package decodes tensor blocks to.

    pip install gguf numpy
    python3 tools/golden/quant_golden.py

File, all little-endian: "QGOLD1\\0\\0", u32 number of types; per type u32 id, u32 blocks, u32 bytes
per block, u32 elements per block, the raw blocks, their values as f32, and the SHA-256 of the values
of MANY further blocks whose bytes are those of `stream` seeded with the id. In hashed values every
NaN is 0x7fc00000. Then u32 count and count times (f32 bits, u16 half, u16 bfloat16).
"""
import hashlib
import pathlib
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

TYPES = [T.F32, T.F16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0,
         T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.BF16,
         T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_NL, T.IQ4_XS,
         T.TQ1_0, T.TQ2_0, T.MXFP4, T.NVFP4]
# Types that the package has no decoder for (as of 0.19): id, elements and bytes a block, bits an
# element, and the values; a half comes first. Source: dequantize_row_q1_0 and _q2_0 of ggml.
PLAIN = {41: (128, 18, 1, [-1, 1]), 42: (64, 18, 2, [-1, 0, 1, 2])}
# Offsets of the two-byte scales in a block.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
          T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ1_S: [0],
          T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ4_NL: [0],
          T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64], 41: [0], 42: [0]}
# Offsets of scales of one byte, and their extremes.
BYTE_SCALES = {T.MXFP4: [0], T.NVFP4: [0, 1, 2, 3]}
BYTE_EXTREMES = [0, 1, 2, 127, 128, 254, 255]
# Largest, smallest subnormal, minus zero, and an everyday one.
EXTREMES = [0x7BFF, 0x0001, 0x8000, 0x2E66]
MANY = 512
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/quant/blocks.bin"


def stream(seed, n):
    """n bytes of a 64-bit linear congruential generator (Knuth's MMIX), bits 33-40 of each state."""
    out, s = bytearray(n), seed
    for i in range(n):
        s = (s * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out[i] = s >> 33 & 255
    return bytes(out)


def sizes(qtype):
    return PLAIN[qtype][:2] if qtype in PLAIN else GGML_QUANT_SIZES[qtype]


def decode_plain(raw, elems, size, bits, values):
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, size)
    d = blocks[:, :2].copy().view("<f2").astype(np.float32)
    q = blocks[:, 2:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
    return d * np.array(values, np.float32)[q.reshape(-1, elems)]


def decode(raw, qtype):
    if qtype in PLAIN:
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(decode_plain(raw, *PLAIN[qtype]).reshape(-1))
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(dequantize(np.frombuffer(raw, np.uint8), qtype), np.float32)


def fixed_blocks(rng, qtype):
    elems, size = sizes(qtype)
    if qtype in BYTE_SCALES or qtype == T.IQ1_M:
        raw = rng.integers(0, 256, (len(BYTE_EXTREMES), size), np.uint8)
        for block, first in zip(raw, BYTE_EXTREMES):
            for k, offset in enumerate(BYTE_SCALES.get(qtype, [])):
                block[offset] = first ^ k
        return raw.tobytes()
    if qtype not in SCALES:
        values = [0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, np.inf, 3.0e38, -1.2e-40]
        values = np.array(values + list(rng.standard_normal(23)), np.float32)
        with np.errstate(over="ignore"):
            return quantize(values, qtype).tobytes()
    raw = bytearray()
    for first in EXTREMES:
        block = bytearray(rng.integers(0, 256, size, np.uint8).tobytes())
        for k, offset in enumerate(SCALES[qtype]):
            struct.pack_into("<H", block, offset, first ^ (0x8000 if k else 0))
        raw += block
    return bytes(raw)


def narrow_cases(rng):
    bits = rng.integers(0, 2**32, 400, np.uint32)
    near_halves = (rng.integers(0x33000000, 0x47900000, 400, np.uint32)
                   | rng.integers(0, 2, 400, np.uint32) << 31) & ~np.uint32(0xFFF)
    values = np.concatenate([bits, near_halves]).view(np.float32)
    values = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16).view(np.uint16)
    bfloats = quantize(values, T.BF16).view(np.uint16)
    return values, halves, bfloats


def main():
    rng = np.random.default_rng(20250101)
    out = bytearray(b"QGOLD1\0\0" + struct.pack("<I", len(TYPES) + len(PLAIN)))
    for qtype in [*TYPES, *PLAIN]:
        elems, size = sizes(qtype)
        raw = fixed_blocks(rng, qtype)
        values = decode(raw, qtype)
        many = decode(stream(int(qtype), size * MANY), qtype).copy()
        many.view(np.uint32)[np.isnan(many)] = 0x7FC00000
        out += struct.pack("<IIII", int(qtype), len(raw) // size, size, elems)
        out += raw + values.tobytes() + hashlib.sha256(many.tobytes()).digest()
    values, halves, bfloats = narrow_cases(rng)
    out += struct.pack("<I", len(values))
    for v, h, b in zip(values.view(np.uint32), halves, bfloats):
        out += struct.pack("<IHH", v, h, b)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(out)
    print(f"{OUT}: {len(out)} bytes")


if __name__ == "__main__":
    main()
