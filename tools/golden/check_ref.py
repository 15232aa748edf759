#!/usr/bin/env python3
"""Holds torch_ref.py against the `transformers` package: random LlamaForCausalLM and
Qwen2ForCausalLM models are written as GGUF files, and both compute the same logits.

Needs `transformers`; nothing else in the tree does.
"""
import math
import os
import sys
import tempfile

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import torch_ref

COMMON = dict(vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
              attn_implementation="eager")
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
            original_max_position_embeddings=512)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
CASES = {
    "llama mha": ("llama", dict(num_key_value_heads=4)),
    "llama gqa": ("llama", {}),
    "llama mqa tied": ("llama", dict(num_key_value_heads=1, tie_word_embeddings=True)),
    "llama bias": ("llama", dict(attention_bias=True)),
    "llama head_dim 32": ("llama", dict(head_dim=32)),
    "llama linear": ("llama", dict(rope_parameters=LINEAR)),
    "llama yarn": ("llama", dict(rope_parameters=YARN, head_dim=32)),
    "llama llama3": ("llama", dict(rope_parameters=LLAMA3)),
    "qwen2": ("qwen2", {}),
    "qwen2 tied": ("qwen2", dict(tie_word_embeddings=True)),
    "qwen2 linear": ("qwen2", dict(rope_parameters=LINEAR)),
    "qwen2 yarn": ("qwen2", dict(rope_parameters=YARN)),
}
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
       "model.norm.weight": "output_norm.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{kind}"


def interleave(x, n_head):
    """Rows of each head from halves (i, i + d/2) to adjacent pairs, as converters do for llama."""
    shape = x.shape
    return x.reshape(n_head, 2, -1, *shape[1:]).swapaxes(1, 2).reshape(shape)


def llama3_factors(c):
    """By how much Llama 3.1 slows each frequency; its rope_freqs.weight."""
    r, dim = c.rope_parameters, c.hidden_size // c.num_attention_heads
    out = []
    for i in range(dim // 2):
        wave = 2 * math.pi * r["rope_theta"] ** (2 * i / dim)
        turns = r["original_max_position_embeddings"] / wave
        keep = (turns - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"])
        keep = min(max(keep, 0.0), 1.0)
        out.append(1 / ((1 - keep) / r["factor"] + keep))
    return np.array(out, dtype=np.float32)


def write(path, arch, model):
    c = model.config
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    kind = c.rope_parameters.get("rope_type", "default")
    if kind in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(kind))
        w.add_rope_scaling_factor(c.rope_parameters["factor"])
    if kind == "yarn":
        w.add_rope_scaling_orig_ctx_len(c.rope_parameters["original_max_position_embeddings"])
    if kind == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(c))
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        x = value.numpy()
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = c.num_attention_heads if "q_proj" in name else c.num_key_value_heads
            x = interleave(x, heads)
        w.add_tensor(gguf_name(name), np.ascontiguousarray(x))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@torch.no_grad()
def main():
    ids = np.random.default_rng(1).integers(0, COMMON["vocab_size"], 300)
    worst = 0.0
    for name, (arch, extra) in CASES.items():
        torch.manual_seed(1)
        config = (LlamaConfig if arch == "llama" else Qwen2Config)(**{**COMMON, **extra})
        model = (LlamaForCausalLM if arch == "llama" else Qwen2ForCausalLM)(config).eval()
        for key, value in model.named_parameters():
            mean = 1.0 if "norm" in key else 0.0
            std = 0.2 if "norm" in key else 0.5 if "bias" in key else 1.4 / value.shape[-1] ** 0.5
            value.normal_(mean, std)
        want = model(torch.as_tensor(ids)[None]).logits[0].numpy()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.gguf")
            write(path, arch, model)
            got = torch_ref.logits(path, ids)
        diff = np.abs(got - want).max() / (want.max() - want.min())
        worst = max(worst, diff)
        print(f"{name:20} largest difference {diff:.1e} of the logits' range")
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
