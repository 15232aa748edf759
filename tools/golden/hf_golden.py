#!/usr/bin/env python3
"""Writes tests/golden/import: what llama.cpp's converter makes of tiny models of each family.

For each case transformers builds a model from a small config; its weights are then replaced by numbers
that a test can make again from the tensors' names (weight() below), so that no weights are kept here.
NAME.json holds the config, the tensors' names, types and shapes, and what the converter wrote: every
key but the tokenizer's, and each tensor's type, shape and SHA-256.

Usage: hf_golden.py LLAMA_CPP [FOLDER [NAME...]]        LLAMA_CPP is a checkout of llama.cpp.
With KEEP=DIR in the environment the Hugging Face folders and the GGUF files stay in DIR.
"""
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent.parent
MASK = (1 << 64) - 1

SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128)
BERT = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
MOE = dict(SMALL, num_experts_per_tok=2)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=32)

# name: (class, config, dtype)
CASES = {
    "llama": ("LlamaForCausalLM", dict(SMALL, tie_word_embeddings=False), torch.bfloat16),
    "llama-f32": ("LlamaForCausalLM", dict(SMALL, tie_word_embeddings=True, attention_bias=True,
                                           num_hidden_layers=1), torch.float32),
    "llama-f16": ("LlamaForCausalLM", dict(SMALL, head_dim=32, num_hidden_layers=1), torch.float16),
    "llama-linear": ("LlamaForCausalLM", dict(SMALL, num_hidden_layers=1, rope_parameters=dict(
        rope_type="linear", factor=4.0, rope_theta=100000.0)), torch.bfloat16),
    "llama3": ("LlamaForCausalLM", dict(SMALL, rope_parameters=LLAMA3, num_hidden_layers=1), torch.bfloat16),
    "mistral": ("MistralForCausalLM", dict(SMALL, num_hidden_layers=1, sliding_window=None), torch.bfloat16),
    "mixtral": ("MixtralForCausalLM", dict(MOE, num_local_experts=4, num_hidden_layers=1), torch.bfloat16),
    "qwen2": ("Qwen2ForCausalLM", dict(SMALL, tie_word_embeddings=True), torch.bfloat16),
    "qwen2-yarn": ("Qwen2ForCausalLM", dict(SMALL, num_hidden_layers=1, rope_parameters=YARN),
                   torch.bfloat16),
    "qwen3": ("Qwen3ForCausalLM", dict(SMALL, head_dim=32), torch.bfloat16),
    "qwen2moe": ("Qwen2MoeForCausalLM", dict(MOE, num_experts=4, moe_intermediate_size=32,
                                             shared_expert_intermediate_size=64, num_hidden_layers=1),
                 torch.bfloat16),
    "qwen3moe": ("Qwen3MoeForCausalLM", dict(MOE, num_experts=4, norm_topk_prob=True, moe_intermediate_size=32, head_dim=32),
                 torch.bfloat16),
    "gemma": ("GemmaForCausalLM", dict(SMALL, head_dim=32, num_hidden_layers=1), torch.bfloat16),
    "gemma2": ("Gemma2ForCausalLM", dict(SMALL, head_dim=32, sliding_window=16, query_pre_attn_scalar=32),
               torch.bfloat16),
    "gemma3": ("Gemma3ForCausalLM", dict(SMALL, head_dim=32, sliding_window=16, query_pre_attn_scalar=32),
               torch.bfloat16),
    "phi3": ("Phi3ForCausalLM", dict(SMALL, pad_token_id=0, original_max_position_embeddings=128,
                                     num_hidden_layers=1), torch.bfloat16),
    "phi3-long": ("Phi3ForCausalLM", dict(SMALL, pad_token_id=0, num_hidden_layers=1,
                                          original_max_position_embeddings=64, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=64,
        long_factor=[1.0 + i for i in range(8)], short_factor=[1.0 + i / 8 for i in range(8)])),
        torch.bfloat16),
    "granite": ("GraniteForCausalLM", dict(SMALL, num_hidden_layers=1, attention_multiplier=0.25,
                                           embedding_multiplier=12.0, residual_multiplier=0.5,
                                           logits_scaling=8.0), torch.bfloat16),
    "starcoder2": ("Starcoder2ForCausalLM", dict(SMALL, num_hidden_layers=1, use_bias=True), torch.bfloat16),
    "starcoder": ("GPTBigCodeForCausalLM", dict(vocab_size=96, n_embd=64, n_layer=1, n_head=4, n_positions=128,
                                                multi_query=True), torch.bfloat16),
    "deepseek2": ("DeepseekV2ForCausalLM", dict(MOE, num_key_value_heads=4, n_routed_experts=4,
                                                n_shared_experts=1, moe_intermediate_size=32, q_lora_rank=None,
                                                kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8,
                                                v_head_dim=16, first_k_dense_replace=1, n_group=1,
                                                topk_group=1, topk_method="greedy", head_dim=8),
                  torch.bfloat16),
    "deepseek2-lora": ("DeepseekV2ForCausalLM", dict(MOE, num_key_value_heads=4, n_routed_experts=4,
                                                     n_shared_experts=1, moe_intermediate_size=32,
                                                     q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=16,
                                                     qk_rope_head_dim=8, v_head_dim=16, n_group=1,
                                                     topk_group=1, first_k_dense_replace=1, head_dim=8),
                       torch.bfloat16),
    "gpt-oss": ("GptOssForCausalLM", dict(MOE, num_local_experts=4, head_dim=32, intermediate_size=64,
                                          sliding_window=16, rope_parameters=dict(
        rope_type="yarn", rope_theta=150000.0, factor=32.0, beta_fast=32.0, beta_slow=1.0,
        original_max_position_embeddings=64)), torch.bfloat16),
    "llama4": ("Llama4ForCausalLM", dict(MOE, num_local_experts=4, head_dim=16, intermediate_size=32,
                                         intermediate_size_mlp=96, interleave_moe_layer_step=2,
                                         num_hidden_layers=4),
               torch.bfloat16),
    "bert": ("BertModel", dict(BERT, type_vocab_size=2), torch.float32),
    "bert-rerank": ("BertForSequenceClassification", dict(BERT, type_vocab_size=2, num_labels=1,
                                                          num_hidden_layers=1), torch.float32),
    "roberta": ("RobertaModel", dict(BERT, type_vocab_size=1, pad_token_id=1, num_hidden_layers=1,
                                     max_position_embeddings=130), torch.float32),
}

# transformers has no class of these: their published config's fields, and their tensors' shapes.
NOMIC = {"architectures": ["NomicBertModel"], "model_type": "nomic_bert_as_published", "n_embd": 64, "n_head": 4,
         "n_inner": 96, "n_layer": 1, "n_positions": 8192, "max_trained_positions": 2048, "vocab_size": 96,
         "activation_function": "swiglu", "causal": False, "qkv_proj_bias": False, "mlp_fc1_bias": False,
         "mlp_fc2_bias": False, "prenorm": False, "rotary_emb_fraction": 1.0, "rotary_emb_base": 1000,
         "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "layer_norm_epsilon": 1e-12,
         "type_vocab_size": 2}
JINA = {"architectures": ["JinaBertModel"], "model_type": "bert", "hidden_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 4, "intermediate_size": 96, "max_position_embeddings": 8192,
        "layer_norm_eps": 1e-12, "vocab_size": 96, "type_vocab_size": 2,
        "position_embedding_type": "alibi", "feed_forward_type": "geglu"}


# What Hearth writes besides: a reranker's pooler, without which its scores are others.
BESIDES = {"bert-rerank": {"cls.weight": "bert.pooler.dense.weight", "cls.bias": "bert.pooler.dense.bias"}}


def by_hand():
    e, f, v = 64, 96, 96
    n = {"embeddings.word_embeddings.weight": [v, e], "embeddings.token_type_embeddings.weight": [2, e],
         "emb_ln.weight": [e], "emb_ln.bias": [e]}
    p = "encoder.layers.0."
    n |= {p + "attn.Wqkv.weight": [3 * e, e], p + "attn.out_proj.weight": [e, e],
          p + "mlp.fc11.weight": [f, e], p + "mlp.fc12.weight": [f, e], p + "mlp.fc2.weight": [e, f]}
    for norm in ("norm1", "norm2"):
        n |= {p + norm + ".weight": [e], p + norm + ".bias": [e]}
    yield "nomic-bert", NOMIC, n
    j = {"embeddings.word_embeddings.weight": [v, e], "embeddings.token_type_embeddings.weight": [2, e],
         "embeddings.LayerNorm.weight": [e], "embeddings.LayerNorm.bias": [e]}
    p = "encoder.layer.0."
    for m in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        j |= {p + m + ".weight": [e, e], p + m + ".bias": [e]}
    j |= {p + "mlp.up_gated_layer.weight": [2 * f, e], p + "mlp.down_layer.weight": [e, f],
          p + "mlp.down_layer.bias": [e]}
    for norm in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1", "layer_norm_2"):
        j |= {p + norm + ".weight": [e], p + norm + ".bias": [e]}
    yield "jina-bert-v2", JINA, j


def mxfp4(folder, shapes):
    """gpt-oss as published: experts in blocks of 32 with a scale each."""
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4"}
    (folder / "config.json").write_text(json.dumps(config))
    out = {}
    for name, (dtype, shape) in shapes.items():
        if name.endswith(("gate_up_proj", "down_proj")):
            n, cols, rows = shape  # plain experts are transposed
            out[name + "_blocks"] = (torch.uint8, [n, rows, cols // 32, 16])
            out[name + "_scales"] = (torch.uint8, [n, rows, cols // 32])
        else:
            out[name] = (dtype, shape)
    return out


def name_hash(name):
    h = 0xcbf29ce484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001b3 & MASK
    return h


def weight(name, n):
    """Multiples of 1/1024 in [-1/8, 1/8): exact in F32, F16 and BF16. splitmix64 of hash + index."""
    with np.errstate(over="ignore"):
        x = np.uint64(name_hash(name)) + np.arange(n, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(56)).astype(np.uint8).view(np.int8).astype(np.float32) / 1024


def tensor(name, shape, dtype):
    n = int(np.prod(shape))
    if dtype == torch.uint8:
        return torch.from_numpy((weight(name, n) * 1024).astype(np.int8).view(np.uint8)).reshape(shape)
    return torch.from_numpy(weight(name, n)).reshape(shape).to(dtype)


def read_shapes(folder):
    shapes = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as f:
            for name in f.keys():
                t = f.get_tensor(name)
                shapes[name] = (t.dtype, list(t.shape))
    return shapes


def fill(folder, shapes):
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    tensors = {n: tensor(n, s, d) for n, (d, s) in shapes.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def convert(llama_cpp, folder, out, dtype):
    """What convert_hf_to_gguf.py does, without a tokenizer."""
    sys.path[:0] = [str(llama_cpp)]
    import conversion
    from conversion.base import ModelBase, ModelType, get_model_architecture
    import gguf
    if hasattr(conversion, "load_all_models"):
        conversion.load_all_models()
    hparams = ModelBase.load_hparams(folder, False)
    cls = ModelBase.from_model_architecture(get_model_architecture(hparams, ModelType.TEXT), ModelType.TEXT)
    # Only the tokenizer is asked for these.
    quiet = type(cls.__name__, (cls,), dict(model_arch=cls.model_arch, set_vocab=lambda self: None,
                                            _is_tokenizer_xlmroberta=lambda self: False,
                                            _create_vocab_sentencepiece=lambda self: [[0] * 96]))
    if "Gemma3" in cls.__name__:
        (folder / "tokenizer.model").touch()
    ftype = {torch.float32: gguf.LlamaFileType.ALL_F32, torch.float16: gguf.LlamaFileType.MOSTLY_F16,
             torch.bfloat16: gguf.LlamaFileType.MOSTLY_BF16}[dtype]
    quiet(folder, ftype, out).write()
    (folder / "tokenizer.model").unlink(missing_ok=True)


def read_gguf(path):
    import gguf
    r = gguf.GGUFReader(path)
    keys = {}
    for name, field in r.fields.items():
        if name.startswith(("GGUF.", "tokenizer.")):
            continue
        if name.startswith("general.") and name not in ("general.architecture", "general.file_type",
                                                        "general.quantization_version"):
            continue
        value = field.contents()
        keys[name] = [field.types[0].name, float(value) if field.types[0].name == "FLOAT32" else value]
    tensors = {}
    for t in r.tensors:
        tensors[t.name] = [t.tensor_type.name, [int(n) for n in t.shape],
                           hashlib.sha256(t.data.tobytes()).hexdigest()]
        if t.name.startswith("rope_"):  # computed: the last bits are the library's
            tensors[t.name].append([float(v) for v in t.data])
    return keys, tensors


def one(llama_cpp, work, name, make, dtype):
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shapes = make(folder)
    fill(folder, shapes)
    convert(llama_cpp, folder, work / f"{name}.gguf", dtype)
    keys, tensors = read_gguf(work / f"{name}.gguf")
    for to, source in BESIDES.get(name, {}).items():
        shape = shapes[source][1]
        data = weight(source, int(np.prod(shape)))
        tensors[to] = ["F32", shape[::-1], hashlib.sha256(data.tobytes()).hexdigest()]
    config = json.loads((folder / "config.json").read_text())
    short = {torch.uint8: "U8", torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
    return {"config": config, "source": {n: [short[d], s] for n, (d, s) in shapes.items()},
            "keys": keys, "tensors": tensors}


def build(class_name, config, dtype):
    def make(folder):
        cls = getattr(transformers, class_name)
        c = cls.config_class(**config)
        with torch.device("cpu"):
            torch.manual_seed(1)
            model = cls(c).to(dtype)
        model.config.architectures = [class_name]
        model.save_pretrained(folder)
        return read_shapes(folder)
    return make


def hand(config, shapes):
    def make(folder):
        (folder / "config.json").write_text(json.dumps(config))
        return {n: (torch.float32, s) for n, s in shapes.items()}
    return make


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    llama_cpp = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "tests/golden/import"
    only = sys.argv[3:]
    out.mkdir(parents=True, exist_ok=True)
    keep = os.environ.get("KEEP")
    work = Path(keep) if keep else Path(tempfile.mkdtemp())
    cases = {n: (build(c, k, d), d) for n, (c, k, d) in CASES.items()}
    gpt_oss = cases["gpt-oss"][0]
    cases["gpt-oss-mxfp4"] = (lambda folder: mxfp4(folder, gpt_oss(folder)), torch.bfloat16)
    cases |= {n: (hand(c, s), torch.float32) for n, c, s in by_hand()}
    for name, (make, dtype) in cases.items():
        if only and name not in only:
            continue
        try:
            result = one(llama_cpp, work, name, make, dtype)
        except Exception as e:  # one family that an old transformers lacks must not stop the others
            print(f"{name}: {type(e).__name__}: {e}", file=sys.stderr)
            continue
        lines = [f'"{part}": {{\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}"
                                                for k, v in result[part].items()) + "\n}"
                 for part in ("config", "source", "keys", "tensors")]
        (out / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(f"{name}: {len(result['tensors'])} tensors")
    if not keep:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
