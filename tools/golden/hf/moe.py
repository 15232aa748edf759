"""Mixtral, Llama 4's text model and gpt-oss."""
import torch
from transformers import (GptOssConfig, GptOssForCausalLM, Llama4ForCausalLM, Llama4TextConfig,
                          MixtralConfig, MixtralForCausalLM)

BASE = dict(vocab_size=96, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256)


def set_to(key, value):
    return lambda config: setattr(config, key, value)


def draw_experts(model):
    """Their matrices stand as [expert][in][out], unlike all others."""
    g = torch.Generator().manual_seed(5)
    for name, p in sorted(model.named_parameters()):
        if "experts" in name and p.ndim == 3:
            p.copy_(torch.randn(p.shape, generator=g) * 1.4 / p.shape[-2] ** 0.5)


def gpt_oss(name, **more):
    return dict(name=name,
                config=GptOssConfig(**{**BASE, **more}, intermediate_size=32, num_local_experts=8,
                                    num_experts_per_tok=3, head_dim=16, sliding_window=24,
                                    initial_context_length=64,
                                    layer_types=["sliding_attention", "full_attention"],
                                    rope_scaling=None),
                model=GptOssForCausalLM, tweak=draw_experts,
                effects={"window": set_to("sliding_window", 25)})


def llama4(name, keys={}, **more):
    effects = {} if not keys else {"chunks": set_to("attention_chunk_size", 25),
                                   "temperature": set_to("floor_scale", 8192)}
    return dict(name=name, keys=keys, model=Llama4ForCausalLM, tweak=draw_experts, effects=effects,
                config=Llama4TextConfig(**{**BASE, "num_hidden_layers": 4, **dict(
                    intermediate_size=32, intermediate_size_mlp=96, num_local_experts=4,
                    num_experts_per_tok=1, interleave_moe_layer_step=2, head_dim=16,
                    attention_chunk_size=8192, floor_scale=8192, attn_scale=0.1, use_qk_norm=True,
                    rope_scaling=None), **more}))


SPECS = [
    dict(name="mixtral", config=MixtralConfig(**BASE, intermediate_size=32, num_local_experts=4,
                                              num_experts_per_tok=2),
         model=MixtralForCausalLM, effects={"used": set_to("num_experts_per_tok", 3)}),
    gpt_oss("gpt-oss"),
    llama4("llama4"),
    llama4("llama4-chunks", keys={"attention.sliding_window": 24, "attention.temperature_length": 8.0},
           attention_chunk_size=24, floor_scale=8, interleave_moe_layer_step=1, num_hidden_layers=4,
           layer_types=["chunked_attention"] * 3 + ["full_attention"],
           no_rope_layers=[1, 1, 1, 0]),
]
