#!/usr/bin/env python3
"""Logits of a GGUF model in float32 PyTorch: what Hearth's forward pass is measured against.

Shares nothing with Hearth's C code: weights are dequantized by the `gguf` package, and the
arithmetic is PyTorch's. Architectures: llama and qwen2.

    logits(path, ids)                         float32 weights, activations, keys and values
    logits(path, ids, kv="f16", act="q8")     rounded where Hearth's formats round, to see whether a
                                              difference is that rounding or a mistake

As a program: torch_ref.py MODEL IDS.i32 OUT.f32 (raw little-endian int32 ids, float32 logits).
"""
import argparse
import math

import gguf
import numpy as np
import torch


class Params:
    """Hyperparameters as the metadata states them, with the defaults of the GGUF specification."""

    def __init__(self, reader):
        def get(key, default=None):
            field = reader.fields.get(key)
            if field is None:
                if default is KeyError:
                    raise KeyError(f"{key} is missing")
                return default
            return field.contents()

        arch = self.arch = get("general.architecture", KeyError)
        if arch not in ("llama", "qwen2"):
            raise ValueError(f"architecture {arch} is not implemented")

        def own(key, default=None):
            return get(f"{arch}.{key}", default)

        self.n_layer = own("block_count", KeyError)
        self.n_embd = own("embedding_length", KeyError)
        self.n_head = own("attention.head_count", KeyError)
        self.n_head_kv = own("attention.head_count_kv", self.n_head)
        self.k_dim = own("attention.key_length", self.n_embd // self.n_head)
        self.v_dim = own("attention.value_length", self.n_embd // self.n_head)
        self.eps = own("attention.layer_norm_rms_epsilon", KeyError)
        self.n_ctx_train = own("context_length", KeyError)
        self.n_rot = own("rope.dimension_count", self.k_dim)
        self.rope_base = own("rope.freq_base", 10000.0)
        self.rope_type = own("rope.scaling.type", "linear")
        self.rope_factor = own("rope.scaling.factor", own("rope.scale_linear", 0.0)) or 1.0
        if self.rope_type == "none":
            self.rope_factor = 1.0
        elif self.rope_type not in ("linear", "yarn"):
            raise ValueError(f"rope scaling {self.rope_type} is not implemented")
        self.rope_orig_ctx = own("rope.scaling.original_context_length", self.n_ctx_train)
        self.rope_attn_factor = own("rope.scaling.attn_factor", 1.0)
        self.yarn_beta_fast = own("rope.scaling.yarn_beta_fast", 32.0)
        self.yarn_beta_slow = own("rope.scaling.yarn_beta_slow", 1.0)
        # The converter permutes the rows of Q and K of the llama architecture, so that what the
        # original rotates as halves is rotated as adjacent pairs.
        self.neox = arch == "qwen2"


def rope_table(p, freq_factors, n):
    """cos and sin, [n, n_rot / 2]. Angles in float64: at position 2,000 a float32 angle is off by
    1e-4, which is the number format's error and not part of what a model means."""
    half = p.n_rot // 2
    freq = p.rope_base ** (-torch.arange(half, dtype=torch.float64) * 2 / p.n_rot)
    if freq_factors is not None:
        freq = freq / freq_factors.double()
    magnitude = p.rope_attn_factor
    if p.rope_type == "yarn":
        # Peng et al., "YaRN", arXiv:2309.00071, section 3.2-3.4.
        def dim_of(rotations):
            wave = p.rope_orig_ctx / (rotations * 2 * math.pi)
            return p.n_rot * math.log(wave) / (2 * math.log(p.rope_base))

        low = max(math.floor(dim_of(p.yarn_beta_fast)), 0)
        high = min(math.ceil(dim_of(p.yarn_beta_slow)), p.n_rot - 1)
        ramp = (torch.arange(half, dtype=torch.float64) - low) / max(high - low, 1e-3)
        interpolated = ramp.clamp(0, 1)
        freq = freq / p.rope_factor * interpolated + freq * (1 - interpolated)
        magnitude *= 1 + 0.1 * math.log(p.rope_factor) if p.rope_factor > 1 else 1.0
    else:
        freq = freq / p.rope_factor
    angle = torch.arange(n, dtype=torch.float64)[:, None] * freq[None, :]
    return (angle.cos() * magnitude).float(), (angle.sin() * magnitude).float()


def rotate(x, cos, sin, n_rot, neox):
    """x: [n, heads, head_dim]; the dimensions from n_rot on stay as they are."""
    rot, rest = x[..., :n_rot], x[..., n_rot:]
    cos, sin = cos[:, None, :], sin[:, None, :]
    if neox:
        a, b = rot[..., : n_rot // 2], rot[..., n_rot // 2 :]
        rot = torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
    else:
        a, b = rot[..., 0::2], rot[..., 1::2]
        rot = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    return torch.cat((rot, rest), dim=-1)


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def round_q8(x, block):
    """Each run of `block` values rounded to 255 steps of its largest magnitude / 127. Also how near a
    value came to the middle between two steps, in steps: nearer than the float error of x, another
    order of sums may round it the other way."""
    blocks = x.reshape(*x.shape[:-1], -1, block)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    steps = torch.where(scale > 0, blocks / scale, torch.zeros_like(blocks))
    q = torch.round(steps)
    return (q * scale).reshape(x.shape), float(0.5 - (steps - q).abs().max())


# Weight types whose activations have a scale for each 16 values instead of 32.
ACT_16 = tuple(gguf.GGMLQuantizationType[name] for name in (
    "Q8_0", "Q2_K", "Q3_K", "Q6_K", "NVFP4", "IQ1_M", "IQ2_XS", "IQ2_S", "TQ1_0", "TQ2_0"))

FLOAT_TYPES = (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16,
               gguf.GGMLQuantizationType.BF16)


HALF_TYPES = (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16)


def round_int16(x, limit):
    """x rounded to integers up to `limit` times a scale for each 32 values."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    top = blocks.abs().amax(-1, keepdim=True)
    scale = torch.where(top > 1e-30, top / limit, torch.zeros_like(top))
    steps = torch.where(scale > 0, blocks * (limit / top), torch.zeros_like(blocks))
    return (torch.round(steps) * scale).reshape(x.shape)


class Model:
    """dtype: of the arithmetic; values rounded to F16 or int8 are rounded either way. cached: keep
    dequantized tensors, for models small enough."""

    def __init__(self, path, kv="f32", act="f32", dtype=torch.float32, cached=False):
        reader = gguf.GGUFReader(path)
        self.p = Params(reader)
        self.tensors = {t.name: t for t in reader.tensors}
        self.kv, self.act = kv, act
        self.dtype, self.cache = dtype, {} if cached else None
        self.margin = 0.5  # the smallest that round_q8 saw

    def get(self, name, rows=None):
        """A tensor as numbers, or None where the file has none."""
        t = self.tensors.get(name)
        if t is None:
            return None
        if self.cache is not None:
            if name not in self.cache:
                self.cache[name] = self.dequantize(t, None)
            return self.cache[name] if rows is None else self.cache[name][rows]
        return self.dequantize(t, rows)

    def dequantize(self, t, rows):
        data = t.data if rows is None else t.data[rows]
        if t.tensor_type == gguf.GGMLQuantizationType.F32:
            out = np.array(data, dtype=np.float32)
        else:
            out = gguf.quants.dequantize(data, t.tensor_type)
        return torch.from_numpy(np.ascontiguousarray(out, dtype=np.float32)).to(self.dtype)

    def linear(self, name, x, rows=None):
        weight = self.get(f"{name}.weight", rows)
        kind = self.tensors[f"{name}.weight"].tensor_type
        if self.act == "q8" and kind not in FLOAT_TYPES:
            x, margin = round_q8(x, 16 if kind in ACT_16 else 32)
            self.margin = min(self.margin, margin)
        if self.act == "q8" and kind in HALF_TYPES and x.shape[-1] % 32 == 0:
            x, weight = round_int16(x, 4095), round_int16(weight, 16383)
        y = x @ weight.T
        if f"{name}.scale" in self.tensors:
            y = y * self.get(f"{name}.scale")
        bias = self.get(f"{name}.bias", rows)
        return y if bias is None else y + bias

    def attention(self, q, k, v):
        """Causal; q [n, n_head, k_dim], k and v [n, n_head_kv, ...]."""
        n, group = q.shape[0], self.p.n_head // self.p.n_head_kv
        mask = torch.full((n, n), float("-inf"), dtype=self.dtype).triu(1)
        out = torch.empty(n, self.p.n_head, v.shape[2], dtype=self.dtype)
        for h in range(self.p.n_head):
            s = q[:, h] @ k[:, h // group].T / math.sqrt(self.p.k_dim) + mask
            out[:, h] = torch.softmax(s, dim=-1) @ v[:, h // group]
        return out.flatten(1)

    def layer(self, i, x, cos, sin):
        p, b = self.p, f"blk.{i}"
        n = x.shape[0]
        h = rms_norm(x, self.get(f"{b}.attn_norm.weight"), p.eps)
        q = self.linear(f"{b}.attn_q", h).view(n, p.n_head, p.k_dim)
        k = self.linear(f"{b}.attn_k", h).view(n, p.n_head_kv, p.k_dim)
        v = self.linear(f"{b}.attn_v", h).view(n, p.n_head_kv, p.v_dim)
        q = rotate(q, cos, sin, p.n_rot, p.neox)
        k = rotate(k, cos, sin, p.n_rot, p.neox)
        if self.kv == "f16":
            k, v = k.half().to(self.dtype), v.half().to(self.dtype)
        x = x + self.linear(f"{b}.attn_output", self.attention(q, k, v))
        h = rms_norm(x, self.get(f"{b}.ffn_norm.weight"), p.eps)
        gate = torch.nn.functional.silu(self.linear(f"{b}.ffn_gate", h))
        return x + self.linear(f"{b}.ffn_down", gate * self.linear(f"{b}.ffn_up", h))

    @torch.no_grad()
    def logits(self, ids, positions=None, head_rows=8192):
        """float32 [len(positions), n_vocab]; positions None = all."""
        ids = np.asarray(ids)
        x = self.get("token_embd.weight", ids)
        factors = self.get("rope_freqs.weight") if self.p.arch == "llama" else None
        cos, sin = (t.to(self.dtype) for t in rope_table(self.p, factors, len(ids)))
        for i in range(self.p.n_layer):
            x = self.layer(i, x, cos, sin)
        x = rms_norm(x, self.get("output_norm.weight"), self.p.eps)
        if positions is not None:
            x = x[torch.as_tensor(positions)]
        head = "output" if "output.weight" in self.tensors else "token_embd"
        n_vocab = self.tensors[f"{head}.weight"].data.shape[0]
        out = np.empty((x.shape[0], n_vocab), dtype=np.float32)
        for at in range(0, n_vocab, head_rows):
            rows = slice(at, min(at + head_rows, n_vocab))
            out[:, rows] = self.linear(head, x, rows).numpy()
        return out


def logits(path, ids, positions=None, kv="f32", act="f32"):
    return Model(path, kv, act).logits(ids, positions)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("model")
    ap.add_argument("ids", help="raw int32 token ids")
    ap.add_argument("out", help="raw float32 logits of every position")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--kv", choices=("f32", "f16"), default="f32")
    ap.add_argument("--act", choices=("f32", "q8"), default="f32")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    ids = np.fromfile(args.ids, dtype="<i4")
    logits(args.model, ids, kv=args.kv, act=args.act).astype("<f4").tofile(args.out)


if __name__ == "__main__":
    main()
