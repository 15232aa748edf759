"""BERT, XLM-RoBERTa, Nomic's BERT, Jina's BERT 2."""
import json

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (BertConfig, BertModel, NomicBertConfig, NomicBertModel, PretrainedConfig,
                          PreTrainedModel, XLMRobertaConfig, XLMRobertaModel)
from transformers.modeling_outputs import BaseModelOutput

BASE = dict(vocab_size=96, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=96, max_position_embeddings=128)


def set_to(key, value):
    return lambda config: setattr(config, key, value)


class JinaBertConfig(PretrainedConfig):
    model_type = "bert"


class JinaBertModel(PreTrainedModel):
    """transformers does not have it; after the paper (arXiv:2310.19923), with the names of the published
    weights. qk_norm: the models for code."""
    config_class = JinaBertConfig

    def __init__(self, config):
        super().__init__(config)
        n, ff = config.hidden_size, config.intermediate_size
        norm = lambda: nn.LayerNorm(n, eps=config.layer_norm_eps)
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, n),
                                         "token_type_embeddings": nn.Embedding(2, n),
                                         "LayerNorm": norm()})
        layers = []
        for _ in range(config.num_hidden_layers):
            attention = {"query": nn.Linear(n, n), "key": nn.Linear(n, n), "value": nn.Linear(n, n)}
            if config.qk_norm:
                attention |= {"layer_norm_q": norm(), "layer_norm_k": norm()}
            layer = {"attention": nn.ModuleDict({
                "self": nn.ModuleDict(attention),
                "output": nn.ModuleDict({"dense": nn.Linear(n, n), "LayerNorm": norm()})})}
            if config.qk_norm:
                layer |= {"layer_norm_1": norm(), "layer_norm_2": norm(),
                          "mlp": nn.ModuleDict({"up_gated_layer": nn.Linear(n, 2 * ff, bias=False),
                                                "down_layer": nn.Linear(ff, n)})}
            else:
                layer |= {"mlp": nn.ModuleDict({"gated_layers": nn.Linear(n, 2 * ff, bias=False),
                                                "wo": nn.Linear(ff, n), "layernorm": norm()})}
            layers.append(nn.ModuleDict(layer))
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings["word_embeddings"]

    def slopes(self):
        heads = self.config.num_attention_heads
        power = 1 << (heads.bit_length() - 1)
        first = [2 ** (-8 / power * (i + 1)) for i in range(power)]
        more = [2 ** (-4 / power * (i + 1)) for i in range(0, 2 * power, 2)]
        return torch.tensor((first + more)[:heads]) * self.config.alibi

    def attend(self, layer, x):
        t, heads = x.shape[1], self.config.num_attention_heads
        split = lambda y: y.view(1, t, heads, -1).transpose(1, 2)
        part = layer["attention"]["self"]
        q, k, v = part["query"](x), part["key"](x), part["value"](x)
        if self.config.qk_norm:
            q, k = part["layer_norm_q"](q), part["layer_norm_k"](k)
        scores = split(q) @ split(k).transpose(-1, -2) / (x.shape[-1] / heads) ** 0.5
        distance = (torch.arange(t)[:, None] - torch.arange(t)[None, :]).abs()
        scores = scores - self.slopes()[:, None, None] * distance
        y = (scores.softmax(-1) @ split(v)).transpose(1, 2).reshape(x.shape)
        out = layer["attention"]["output"]
        return out["LayerNorm"](out["dense"](y) + x)

    def forward(self, ids):
        e, code = self.embeddings, self.config.qk_norm
        x = e["LayerNorm"](e["word_embeddings"](ids) + e["token_type_embeddings"].weight[0])
        for layer in self.encoder["layer"]:
            y = self.attend(layer, x)
            if code and self.config.again:
                y = layer["layer_norm_1"](y + x)
            mlp = layer["mlp"]
            gate, up = mlp["up_gated_layer" if code else "gated_layers"](y).chunk(2, -1)
            z = mlp["down_layer" if code else "wo"](nn.functional.gelu(gate) * up)
            x = layer["layer_norm_2"](y + z) if code else mlp["layernorm"](y + z)
        return BaseModelOutput(last_hidden_state=x)


def jina(name, code):
    return dict(name=name, model=JinaBertModel, pooled=True,
                config=JinaBertConfig(**{**BASE, "num_attention_heads": 4}, qk_norm=code, alibi=1.0,
                                      again=True, layer_norm_eps=1e-12, hidden_act="gelu",
                                      architectures=["JinaBertModel"], type_vocab_size=2),
                effects={"alibi": set_to("alibi", 0.8)}
                | ({"again": set_to("again", False)} if code else {}))


def as_published(model, folder):
    """The names and keys of Nomic's own files, which the converter knows."""
    c = model.config
    state = model.state_dict()
    out = {}
    for name, t in state.items():
        if name.startswith("embeddings.LayerNorm"):
            out[name.replace("embeddings.LayerNorm", "emb_ln")] = t
        elif name.startswith("embeddings.") and "position_ids" not in name:
            out[name] = t
    for i in range(c.num_hidden_layers):
        src, dst = f"layers.{i}.", f"encoder.layers.{i}."
        attn = next(k for k in state if k.startswith(src) and k.endswith("q_proj.weight"))
        attn = attn[:-len("q_proj.weight")]
        out[dst + "attn.Wqkv.weight"] = torch.cat(
            [state[attn + x + "_proj.weight"] for x in "qkv"])
        out[dst + "attn.out_proj.weight"] = state[attn + "o_proj.weight"]
        for a, b in {"up": "fc11", "gate": "fc12", "down": "fc2"}.items():
            out[dst + f"mlp.{b}.weight"] = state[src + f"mlp.{a}_proj.weight"]
        for a, b in {"post_attention_layernorm": "norm1", "post_mlp_layernorm": "norm2"}.items():
            for what in ("weight", "bias"):
                out[dst + f"{b}.{what}"] = state[src + f"{a}.{what}"]
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "model.safetensors")
    # Both spellings: the converter reads the file through transformers, which adds defaults of its own.
    (folder / "config.json").write_text(json.dumps(dict(
        c.to_dict(),
        architectures=["NomicBertModel"],
        n_embd=c.hidden_size, n_layer=c.num_hidden_layers, n_head=c.num_attention_heads,
        n_inner=c.intermediate_size, n_positions=2048, activation_function="swiglu", causal=False,
        qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False, prenorm=False,
        layer_norm_epsilon=c.layer_norm_eps, rotary_emb_base=c.rope_parameters["rope_theta"],
        rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None)))


SPECS = [
    dict(name="bert", config=BertConfig(**BASE), model=BertModel, pooled=True,
         effects={"activation": set_to("hidden_act", "relu")}),
    dict(name="xlm-roberta", pooled=True, model=XLMRobertaModel,
         config=XLMRobertaConfig(**{**BASE, "max_position_embeddings": 130}, type_vocab_size=1,
                                 pad_token_id=1)),
    dict(name="nomic-bert", model=NomicBertModel, pooled=True, export=as_published,
         config=NomicBertConfig(**{**BASE, "max_position_embeddings": 2048},
                                rope_parameters=dict(rope_type="default", rope_theta=1000.0)),
         effects={"rope": lambda c: c.rope_parameters.update(rope_theta=2000.0)}),
    jina("jina-bert-v2", False),
    jina("jina-bert-v2-code", True),
]
