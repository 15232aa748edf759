"""Qwen2 and Llama as their makers run them: the families that every other is compared with."""
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

BASE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)

SPECS = [
    dict(name="hf-llama", config=LlamaConfig(**BASE, tie_word_embeddings=False),
         model=LlamaForCausalLM),
    dict(name="hf-qwen2", config=Qwen2Config(**BASE, tie_word_embeddings=True),
         model=Qwen2ForCausalLM),
]
