"""DeepSeek-V2 and V3: latent attention and many small experts."""
import torch
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config,
                          DeepseekV3ForCausalLM)

BASE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, moe_intermediate_size=32,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
            max_position_embeddings=256, n_routed_experts=8, num_experts_per_tok=3,
            n_shared_experts=2, first_k_dense_replace=1, kv_lora_rank=32, qk_rope_head_dim=16,
            qk_nope_head_dim=32, v_head_dim=16)


def set_to(key, value):
    return lambda config: setattr(config, key, value)


def draw_preference(model):
    g = torch.Generator().manual_seed(5)
    for name, p in sorted(model.named_buffers()):
        if "e_score_correction_bias" in name:
            p.copy_(0.2 * torch.randn(p.shape, generator=g))


def keep_kv_b(converter):
    """As converters wrote files until 2025: keys and values made by one matrix for all heads."""
    plain = converter.modify_tensors

    def modify_tensors(self, data, name, bid):
        if name.endswith("kv_b_proj.weight"):
            yield "blk.%d.attn_kv_b.weight" % bid, data
        else:
            yield from plain(self, data, name, bid)

    converter.modify_tensors = modify_tensors


LITE = dict(q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1, norm_topk_prob=False,
            routed_scaling_factor=1.0)

SPECS = [
    dict(name="deepseek2-lite",
         config=DeepseekV2Config(**BASE, **LITE),
         model=DeepseekV2ForCausalLM, effects={"used": set_to("num_experts_per_tok", 2)}),
    dict(name="deepseek2-kv-b", config=DeepseekV2Config(**BASE, **LITE), model=DeepseekV2ForCausalLM,
         converter=keep_kv_b,
         keys={"attention.head_count_kv": 4, "attention.key_length": 48, "attention.value_length": 16}),
    dict(name="deepseek2-yarn", model=DeepseekV2ForCausalLM,
         config=DeepseekV2Config(**BASE, **LITE, rope_parameters=dict(
             rope_type="yarn", rope_theta=10000.0, factor=40.0, original_max_position_embeddings=64,
             beta_fast=32, beta_slow=1, mscale=0.707, mscale_all_dim=0.707))),
    dict(name="deepseek2",
         config=DeepseekV2Config(**BASE, q_lora_rank=48, topk_method="group_limited_greedy", n_group=4,
                                 topk_group=2, norm_topk_prob=False, routed_scaling_factor=4.0),
         model=DeepseekV2ForCausalLM,
         keys={"expert_group_count": 4, "expert_group_used_count": 2},
         effects={"groups": set_to("topk_group", 4), "scale": set_to("routed_scaling_factor", 1.0)}),
    dict(name="deepseek3",
         config=DeepseekV3Config(**BASE, q_lora_rank=48, n_group=4, topk_group=2, norm_topk_prob=True,
                                 routed_scaling_factor=2.5),
         model=DeepseekV3ForCausalLM, tweak=draw_preference,
         keys={"expert_gating_func": 2},  # the published configurations name it
         effects={"groups": set_to("topk_group", 4), "norm": set_to("norm_topk_prob", False)}),
]
