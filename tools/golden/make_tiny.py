#!/usr/bin/env python3
"""Writes tests/golden/tiny: small random-weight models and the logits PyTorch gives for them.

Every variant turns one option of an architecture or one tensor type on. Seeds are fixed, so that a
second run writes the same models. Each NAME.gguf has NAME.golden beside it:

    char magic[8]              "HGOLD01\\0"
    int32 n_ids, n_pos, n_vocab
    int32 ids[n_ids], pos[n_pos]
    float32 exact[n_pos][n_vocab]    float32 throughout
    float32 rounded[n_pos][n_vocab]  keys and values as F16, and, before a quantized matrix,
                                     activations as int8 in blocks of 32, or of
                                     16 before the types that have them

Usage: make_tiny.py [FOLDER]
"""
import os
import sys
from dataclasses import dataclass, field, replace

import gguf
import numpy as np
import torch

import torch_ref

N_IDS = 80  # crosses two KV pages of 32
POSITIONS = [0, 1, 2, 6, 7, 30, 31, 32, 33, 63, 64, 79]
TRIES = 200
N_VOCAB = 100  # not a multiple of 16: the last panel of rows is part empty
Q = gguf.GGMLQuantizationType


@dataclass
class Spec:
    name: str
    arch: str = "llama"
    n_layer: int = 2
    n_embd: int = 64
    n_ff: int = 64
    n_head: int = 4
    n_head_kv: int = 4
    head_dim: int = 16
    key_length: bool = False  # state head_dim; it is n_embd / n_head otherwise
    tied: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    rope_base: float = 10000.0
    rope_dims: int = 0
    scaling: dict = field(default_factory=dict)
    freq_factors: bool = False
    weights: Q = Q.F16
    attn: Q = None  # where attention's matrices have another type
    embd: Q = Q.F16


# F32 where the file stays small; F16 weights dequantize exactly, so the rest are as sharp.
SPECS = [
    Spec("llama-mha", n_layer=1, weights=Q.F32, embd=Q.F32),
    Spec("llama-gqa", n_head_kv=2, tied=False, n_ff=96),
    Spec("llama-mqa", n_head_kv=1),
    Spec("llama-tied", n_head=2, n_head_kv=1, head_dim=32),
    Spec("llama-bias", n_layer=1, n_head_kv=2, qkv_bias=True, out_bias=True),
    Spec("llama-keylen", n_layer=1, n_head_kv=2, head_dim=32, key_length=True),
    Spec("llama-partial", n_layer=1, n_head=2, n_head_kv=2, head_dim=32, rope_dims=16),
    Spec("llama-linear", n_layer=1, n_head_kv=2, rope_base=100000.0,
         scaling={"type": "linear", "factor": 4.0}),
    Spec("llama-yarn", n_head=2, n_head_kv=1, head_dim=32,
         scaling={"type": "yarn", "factor": 4.0, "original_context_length": 512}),
    Spec("llama-freqs", n_layer=1, n_head=2, n_head_kv=1, head_dim=32, freq_factors=True),
    Spec("qwen2", arch="qwen2", n_head_kv=2, qkv_bias=True, rope_base=1000000.0),
    Spec("qwen2-untied", arch="qwen2", n_head=2, n_head_kv=1, head_dim=32, qkv_bias=True,
         tied=False, weights=Q.F32, n_layer=1),
    Spec("qwen2-linear", arch="qwen2", n_layer=1, n_head_kv=2, qkv_bias=True,
         scaling={"type": "linear", "factor": 2.0}),
    Spec("qwen2-yarn", arch="qwen2", n_layer=1, n_head=2, n_head_kv=1, head_dim=32, qkv_bias=True,
         scaling={"type": "yarn", "factor": 4.0, "original_context_length": 512}),
    Spec("bf16", n_layer=1, n_head_kv=2, weights=Q.BF16, embd=Q.BF16),
    Spec("q8_0", n_head_kv=2, weights=Q.Q8_0, embd=Q.Q8_0),
    Spec("q4_0", n_head_kv=2, weights=Q.Q4_0, embd=Q.Q4_0),
    Spec("q4_1", n_head_kv=2, weights=Q.Q4_1, embd=Q.Q4_1),
    Spec("q5_0", arch="qwen2", n_head_kv=2, qkv_bias=True, weights=Q.Q5_0, embd=Q.Q5_0),
    Spec("q5_1", n_head_kv=2, weights=Q.Q5_1, embd=Q.Q5_1),
    # K types come in blocks of 256 columns; 4 heads of 16 give attn_output 64, which stays Q8_0.
    *(Spec(f"q{n}_k", n_layer=1, n_embd=256, n_ff=256, n_head_kv=2, head_dim=16, key_length=True,
           weights=Q[f"Q{n}_K"], embd=Q[f"Q{n}_K"]) for n in (2, 3, 4, 5, 6)),
    Spec("iq4_nl", n_head_kv=2, weights=Q.IQ4_NL, embd=Q.IQ4_NL),
    Spec("mxfp4", n_head_kv=2, weights=Q.MXFP4, embd=Q.MXFP4),
    Spec("nvfp4", n_layer=1, n_head_kv=2, weights=Q.NVFP4, embd=Q.NVFP4),
    # Fast kernels, two tables (scales for 32 columns and for 16), and what Q2_K carries.
    *(Spec(t.name.lower(), n_layer=1, n_embd=256, n_ff=256, n_head_kv=2, head_dim=16,
           key_length=True, weights=t, embd=t) for t in (Q.IQ4_XS, Q.IQ2_XXS, Q.IQ1_M, Q.TQ2_0)),
    # What a "medium" K mixture looks like: three types in one layer.
    Spec("mixed", arch="qwen2", n_layer=1, n_embd=256, n_ff=256, n_head_kv=2, head_dim=32,
         key_length=True, qkv_bias=True, weights=Q.Q4_K, attn=Q.Q5_0, embd=Q.Q6_K),
]


def random_k_block(rng, qtype, n_blocks, std):
    """Blocks of random bits with scales that give about this spread. Every bit pattern of the
    quants and sub-scales occurs, which a quantizer fed with random weights would not do."""
    u8 = lambda n: rng.integers(0, 256, (n_blocks, n), dtype=np.uint8)

    def half(value):
        spread = rng.uniform(0.5, 1.5, (n_blocks, 1))
        return (value * spread).astype("<f2"), spread

    def raw(a):
        return np.ascontiguousarray(a).view(np.uint8)

    if qtype == Q.Q2_K:  # d * s * q - m * t; s, t < 16, q < 4
        d, spread = half(std / 12)
        return np.hstack([u8(16), u8(64), raw(d), raw((std / 12 * 1.5 * spread).astype("<f2"))])
    if qtype == Q.Q3_K:  # d * (s - 32) * (q - 4); s < 64, q < 8
        return np.hstack([u8(32), u8(64), u8(12), raw(half(std / 43)[0])])
    if qtype in (Q.Q4_K, Q.Q5_K):  # d * s * q - m * t; s, t < 64
        top = 15 if qtype == Q.Q4_K else 31
        d, spread = half(std / (14 * top))
        m = (std / 28 * spread).astype("<f2")
        high = [u8(32)] if qtype == Q.Q5_K else []
        return np.hstack([raw(d), raw(m), u8(12), *high, u8(128)])
    if qtype == Q.Q6_K:  # d * s * (q - 32); -128 <= s < 128, q < 64
        return np.hstack([u8(128), u8(64), u8(16), raw(half(std / 1370)[0])])
    raise ValueError(qtype)


# Where the half that scales a block stands; types that a quantizer would not fill with all codes.
SCALE_AT = {Q.IQ4_NL: 0, Q.IQ4_XS: 0, Q.IQ2_XXS: 0, Q.TQ2_0: 64, Q.IQ1_M: None, Q.MXFP4: None,
            Q.NVFP4: None}


def put_scales(raw, qtype, scales):
    """scales: [n, 1]. Those of eight bits become the nearest that the type has."""
    if qtype == Q.MXFP4:
        raw[:, 0:1] = np.round(np.log2(np.abs(scales))) + 128
    elif qtype == Q.NVFP4:
        known = gguf.quants.NVFP4.ue4m3_to_fp32(np.arange(127, dtype=np.uint8))
        raw[:, :4] = np.abs(known - np.abs(scales)).argmin(axis=1, keepdims=True)
    elif qtype == Q.IQ1_M:
        half = scales.astype("<f2").view("<u2")
        for k in range(4):
            at = slice(48 + 2 * k + 1, 48 + 2 * k + 2)
            raw[:, at] = raw[:, at] & 15 | (half >> 4 * k & 15) << 4
    else:
        at = SCALE_AT[qtype]
        raw[:, at:at + 2] = scales.astype("<f2").view(np.uint8)


def random_scaled_block(rng, qtype, n_blocks, std):
    """Blocks of random bits under scales of either sign that give about this spread."""
    raw = rng.integers(0, 256, (n_blocks, gguf.GGML_QUANT_SIZES[qtype][1]), dtype=np.uint8)
    put_scales(raw, qtype, np.ones((n_blocks, 1), np.float32))
    unit = gguf.quants.dequantize(raw, qtype).std()
    scales = std / unit * rng.uniform(0.5, 1.5, (n_blocks, 1)) * rng.choice([-1, 1], (n_blocks, 1))
    put_scales(raw, qtype, scales.astype(np.float32))
    return raw


class Writer:
    def __init__(self, path, spec):
        self.w = gguf.GGUFWriter(path, spec.arch)
        self.seed = list(spec.name.encode())

    def rng(self, name):
        """Its own for each tensor, so that leaving one out does not change the others."""
        return np.random.default_rng([*self.seed, 0, *name.encode()])

    def vector(self, name, n, mean, std):
        x = mean + std * self.rng(name).standard_normal(n)
        self.w.add_tensor(name, x.astype(np.float32))

    def matrix(self, name, rows, cols, qtype, gain=1.0):
        std = gain / np.sqrt(cols)
        elems = gguf.GGML_QUANT_SIZES[qtype][0]
        if qtype in SCALE_AT and cols % elems == 0:
            if qtype == Q.NVFP4 and name.startswith("blk."):  # a factor of the whole matrix
                factor = np.float32(0.02 + 0.02 * self.rng(name).random())
                self.w.add_tensor(name.replace(".weight", ".scale"), np.array([factor]))
                std /= factor
            data = random_scaled_block(self.rng(name), qtype, rows * cols // elems, std)
            self.w.add_tensor(name, data.reshape(rows, -1), raw_dtype=qtype)
            return
        if qtype in SCALE_AT:
            qtype = Q.Q8_0
        if qtype in (Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K):
            if cols % 256:
                qtype = Q.Q8_0
            else:
                data = random_k_block(self.rng(name), qtype, rows * cols // 256, std)
                self.w.add_tensor(name, data.reshape(rows, -1), raw_dtype=qtype)
                return
        x = (std * self.rng(name).standard_normal((rows, cols))).astype(np.float32)
        self.w.add_tensor(name, gguf.quants.quantize(x, qtype), raw_dtype=qtype)


def add_tokenizer(w):
    """Byte-level BPE over printable ASCII, a space and a line feed, with three merges."""
    tokens = [chr(c) for c in range(33, 127)] + ["\u0120", "\u010a", "\u0120t", "in", "th"]
    tokens.append("<|endoftext|>")
    assert len(tokens) == N_VOCAB
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.NORMAL] * (N_VOCAB - 1) + [gguf.TokenType.CONTROL])
    w.add_token_merges(["\u0120 t", "i n", "t h"])
    w.add_bos_token_id(N_VOCAB - 1)
    w.add_eos_token_id(N_VOCAB - 1)
    w.add_add_bos_token(False)


def add_params(w, s):
    w.add_name(f"tiny {s.name}")
    w.add_context_length(2048)
    w.add_embedding_length(s.n_embd)
    w.add_block_count(s.n_layer)
    w.add_feed_forward_length(s.n_ff)
    w.add_head_count(s.n_head)
    w.add_head_count_kv(s.n_head_kv)
    w.add_layer_norm_rms_eps(1e-5 if s.arch == "llama" else 1e-6)
    w.add_rope_freq_base(s.rope_base)
    w.add_vocab_size(N_VOCAB)
    if s.key_length:
        w.add_key_length(s.head_dim)
        w.add_value_length(s.head_dim)
    if s.rope_dims:
        w.add_rope_dimension_count(s.rope_dims)
    elif s.arch == "llama":
        w.add_rope_dimension_count(s.head_dim)
    if s.scaling:
        w.add_rope_scaling_type(gguf.RopeScalingType(s.scaling["type"]))
        w.add_rope_scaling_factor(s.scaling["factor"])
        if "original_context_length" in s.scaling:
            w.add_rope_scaling_orig_ctx_len(s.scaling["original_context_length"])


def write_model(path, s):
    out = Writer(path, s)
    add_params(out.w, s)
    add_tokenizer(out.w)
    attn = s.attn or s.weights
    out.matrix("token_embd.weight", N_VOCAB, s.n_embd, s.embd, gain=np.sqrt(s.n_embd) / 2)
    n_q, n_kv = s.n_head * s.head_dim, s.n_head_kv * s.head_dim
    for i in range(s.n_layer):
        b = f"blk.{i}"
        # Gains that make attention choose: with flat attention, a wrong RoPE would hardly show.
        out.vector(f"{b}.attn_norm.weight", s.n_embd, 1, 0.2)
        out.matrix(f"{b}.attn_q.weight", n_q, s.n_embd, attn, gain=1.4)
        out.matrix(f"{b}.attn_k.weight", n_kv, s.n_embd, attn, gain=1.4)
        out.matrix(f"{b}.attn_v.weight", n_kv, s.n_embd, attn)
        out.matrix(f"{b}.attn_output.weight", s.n_embd, n_q, attn)
        out.vector(f"{b}.ffn_norm.weight", s.n_embd, 1, 0.2)
        out.matrix(f"{b}.ffn_gate.weight", s.n_ff, s.n_embd, s.weights, gain=1.5)
        out.matrix(f"{b}.ffn_up.weight", s.n_ff, s.n_embd, s.weights, gain=1.5)
        out.matrix(f"{b}.ffn_down.weight", s.n_embd, s.n_ff, s.weights)
    out.vector("output_norm.weight", s.n_embd, 1, 0.2)
    if not s.tied:
        out.matrix("output.weight", N_VOCAB, s.n_embd, s.weights, gain=2)
    for i in range(s.n_layer):
        if s.qkv_bias:
            for m, n in (("q", n_q), ("k", n_kv), ("v", n_kv)):
                out.vector(f"blk.{i}.attn_{m}.bias", n, 0, 0.5)
        if s.out_bias:
            out.vector(f"blk.{i}.attn_output.bias", s.n_embd, 0, 0.5)
    if s.freq_factors:
        # Low frequencies slowed down most, as in Llama 3.1, but from the first on.
        out.w.add_tensor("rope_freqs.weight",
                         np.geomspace(1.25, 8, s.head_dim // 2).astype(np.float32))
    out.w.write_header_to_file()
    out.w.write_kv_data_to_file()
    out.w.write_tensors_to_file()
    out.w.close()


def max_rel(a, b):
    """Largest difference as a share of the range of b's values."""
    return float(np.abs(a - b).max() / (b.max() - b.min()))


def choose_ids(model, s):
    """Token ids for which the order of float sums decides no rounding to F16 or int8, as far as two
    precisions can tell, and no activation lies near the middle between two int8 steps; and their
    logits. With other ids, a program that is right would be off by what one step does. Steps of
    int16 are so many that some are always near the middle, which shows in the last bits of F16 keys."""
    single, double = (torch_ref.Model(model, kv="f16", act="q8", dtype=t, cached=True)
                      for t in (torch.float32, torch.float64))
    best = None
    for seed in range(TRIES):
        ids = np.random.default_rng([seed, *s.name.encode()]).integers(0, N_VOCAB, N_IDS)
        single.margin = 0.5
        rounded = single.logits(ids, POSITIONS)
        if best is not None and single.margin < best[0][0]:
            continue
        off = max_rel(double.logits(ids, POSITIONS), rounded)
        order = single.margin, -off
        if off < (1e-5 if single.margin < 0.5 else 4e-4) and (best is None or order > best[0]):
            best = order, ids, rounded
        if single.margin == 0.5 and (off < 1e-5 or seed > 15):  # nothing is rounded to int8
            break
    return best[1], best[2], best[0][0]


def make(folder, s):
    model = os.path.join(folder, f"{s.name}.gguf")
    write_model(model, s)
    ids, rounded, margin = choose_ids(model, s)
    exact = torch_ref.logits(model, ids, POSITIONS)
    with open(os.path.join(folder, f"{s.name}.golden"), "wb") as f:
        f.write(b"HGOLD01\0")
        f.write(np.array([N_IDS, len(POSITIONS), N_VOCAB], dtype="<i4").tobytes())
        f.write(ids.astype("<i4").tobytes())
        f.write(np.array(POSITIONS, dtype="<i4").tobytes())
        f.write(exact.astype("<f4").tobytes())
        f.write(rounded.astype("<f4").tobytes())
    line = f"{s.name:14} {os.path.getsize(model):8}  rounding {max_rel(rounded, exact):.1e}"
    if margin < 0.5:
        line += f"  margin {margin:.1e}"
    for option in ("scaling", "freq_factors", "rope_dims", "qkv_bias", "out_bias"):
        if getattr(s, option):
            # A fixture is worth something only where a program without the option fails on it.
            plain = model + ".plain"
            write_model(plain, replace(s, **{option: type(getattr(s, option))()}))
            effect = max_rel(torch_ref.logits(plain, ids, POSITIONS), exact)
            os.unlink(plain)
            line += f"  without {option} {effect:.1e}"
            assert effect > 0.02, line
    print(line)


def main():
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "tests", "golden", "tiny")
    os.makedirs(folder, exist_ok=True)
    for spec in SPECS:
        make(folder, spec)


if __name__ == "__main__":
    main()
