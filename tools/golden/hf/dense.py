"""StarCoder and StarCoder2, Phi-3, Granite and Gemma 1 to 3."""
import torch
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig,
                          GemmaConfig, GemmaForCausalLM, GPTBigCodeConfig, GPTBigCodeForCausalLM,
                          GraniteConfig, GraniteForCausalLM, Phi3Config, Phi3ForCausalLM,
                          Starcoder2Config, Starcoder2ForCausalLM)

BASE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)


def set_to(key, value):
    return lambda config: setattr(config, key, value)


def phi3(name, scaling=None, keys={}, **more):
    config = Phi3Config(**{**BASE, "pad_token_id": 0, **more}, tie_word_embeddings=False)
    if scaling:
        config.rope_parameters = {**config.rope_parameters, **scaling}
    return dict(name=name, config=config, model=Phi3ForCausalLM, keys=keys,
                effects={"window": set_to("sliding_window", 25)} if more.get("sliding_window") else {})


def long_rope(original):
    return dict(rope_type="longrope", original_max_position_embeddings=original,
                short_factor=[1.0 + 0.3 * i for i in range(8)],
                long_factor=[1.5 + 0.9 * i for i in range(8)])


SPECS = [
    dict(name="starcoder",
         config=GPTBigCodeConfig(vocab_size=96, n_positions=256, n_embd=64, n_layer=2, n_head=4,
                                 n_inner=256, multi_query=True),
         model=GPTBigCodeForCausalLM),
    dict(name="starcoder2",
         config=Starcoder2Config(**BASE, sliding_window=None, use_bias=True), model=Starcoder2ForCausalLM),
    dict(name="starcoder2-window", keys={"attention.sliding_window": 24},
         config=Starcoder2Config(**BASE, sliding_window=24, use_bias=True),
         model=Starcoder2ForCausalLM, effects={"window": set_to("sliding_window", 25)}),
    phi3("phi3", sliding_window=None),
    phi3("phi3-window", sliding_window=24),
    phi3("phi3-short", long_rope(128), sliding_window=None, original_max_position_embeddings=128,
         keys={"rope.scaling.type": "longrope"}),
    phi3("phi3-long", long_rope(64), sliding_window=None, original_max_position_embeddings=64,
         keys={"rope.scaling.type": "longrope"}),
    dict(name="granite",
         config=GraniteConfig(**BASE, embedding_multiplier=6.0, attention_multiplier=0.4,
                              residual_multiplier=0.7, logits_scaling=4.0),
         model=GraniteForCausalLM,
         effects={"embedding": set_to("embedding_multiplier", 1.0),
                  "attention": set_to("attention_multiplier", 0.25),
                  "residual": set_to("residual_multiplier", 1.0)}),
    dict(name="gemma", config=GemmaConfig(**BASE, head_dim=32), model=GemmaForCausalLM),
    dict(name="gemma2",
         config=Gemma2Config(**BASE, head_dim=32, sliding_window=24, query_pre_attn_scalar=32,
                             attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
         model=Gemma2ForCausalLM,
         effects={"window": set_to("sliding_window", 25), "cap": set_to("attn_logit_softcapping", None),
                  "logits": set_to("final_logit_softcapping", None)}),
    dict(name="gemma3",
         config=Gemma3TextConfig(**{**BASE, "num_hidden_layers": 6}, head_dim=16, sliding_window=24,
                                 query_pre_attn_scalar=16),
         model=Gemma3ForCausalLM, effects={"window": set_to("sliding_window", 25)}),
]
