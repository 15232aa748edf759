"""Qwen3, dense and with experts, and Qwen2's mixture."""
from transformers import (Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3Config, Qwen3ForCausalLM,
                          Qwen3MoeConfig, Qwen3MoeForCausalLM)

BASE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
EXPERTS = dict(moe_intermediate_size=32, num_experts=8, num_experts_per_tok=3)


def without(key, value):
    return lambda config: setattr(config, key, value)


SPECS = [
    dict(name="qwen3", config=Qwen3Config(**BASE, head_dim=32, tie_word_embeddings=True),
         model=Qwen3ForCausalLM),
    dict(name="qwen3moe",
         config=Qwen3MoeConfig(**BASE, **EXPERTS, head_dim=16, norm_topk_prob=True,
                               tie_word_embeddings=False),
         model=Qwen3MoeForCausalLM,
         effects={"norm": without("norm_topk_prob", False), "used": without("num_experts_per_tok", 2)}),
    dict(name="qwen3moe-many",
         config=Qwen3MoeConfig(**{**BASE, "num_hidden_layers": 1}, moe_intermediate_size=16,
                               num_experts=32, num_experts_per_tok=8, head_dim=16,
                               norm_topk_prob=True, tie_word_embeddings=True),
         model=Qwen3MoeForCausalLM),
    dict(name="qwen2moe",
         config=Qwen2MoeConfig(**BASE, **EXPERTS, shared_expert_intermediate_size=48,
                               norm_topk_prob=False, tie_word_embeddings=False),
         model=Qwen2MoeForCausalLM),
]
