#!/usr/bin/env python3
"""Writes tests/golden/arch: small random-weight models of each architecture and the logits that
Hugging Face transformers gives for them in float32.

The model is made by transformers from a configuration, its weights are drawn anew so that every part
of it matters, llama.cpp's own converter writes the GGUF file, and transformers computes the logits:
neither side is Hearth's. The configurations are in tools/golden/hf/FAMILY.py, each a list SPECS of
dicts:

    name      of the files
    config    an instance of a transformers configuration
    model     the transformers class to build
    tweak     optional function(model): after the weights were drawn
    keys      optional dict {key: value}: added to the file, without the architecture's prefix, where
              the converter leaves out what only published models' fixed values need
    converter optional function(class): changes the converter's class, as for older files' layouts
    pooled    optional: the model is an encoder; see below
    export    optional function(model, folder): rewrites what transformers saved there, where the converter
              knows only the published files' own names
    effects   optional dict {label: function(config)}: options that must show. Each changes a copy
              of the configuration; the same weights must then give logits that are at least 2 % of
              the range away, or the fixture would not notice the option missing

Each NAME.gguf has NAME.golden beside it, as make_tiny.py describes it, with the magic "HGOLD02\\0" and
without the second array of logits. For an encoder the rows are hidden states of all positions.

Usage: make_arch.py --converter LLAMA_CPP_FOLDER [--out FOLDER] [--keep-hf FOLDER] [NAME ...]
It needs PyTorch, transformers and the converter's own requirements.
"""
import argparse
import copy
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
N_IDS = 80  # crosses two KV pages of 32
POSITIONS = [0, 1, 2, 6, 7, 30, 31, 32, 33, 63, 64, 79]


def draw_weights(model, seed):
    """Weights whose products keep the activations' size, norms and biases that are not neutral."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=g)
            if p.ndim >= 2:
                p.copy_(noise * 1.4 / p.shape[-1] ** 0.5)
            elif "norm" in name.lower() and name.endswith("weight"):
                p.copy_(p + 0.2 * noise)
            else:
                p.copy_(0.3 * noise)
        embedding = model.get_input_embeddings()
        if embedding is not None:
            embedding.weight.mul_(embedding.weight.shape[-1] ** 0.5 / 2)


def forward(spec, model, ids):
    with torch.no_grad():
        out = model(torch.tensor(ids[None, :], dtype=torch.long))
    rows = out.last_hidden_state if spec.get("pooled") else out.logits
    return rows[0].float().numpy()


def build(spec, config, state=None):
    config = copy.deepcopy(config)
    config._attn_implementation = "eager"
    config.dtype = torch.float32
    torch.manual_seed(1)
    model = spec["model"](config).float().eval()
    if state is None:
        draw_weights(model, sum(spec["name"].encode()))
        if "tweak" in spec:
            with torch.no_grad():
                spec["tweak"](model)
    else:
        model.load_state_dict(state, strict=False)
    return model


def dummy_vocab(converter):
    """A vocabulary of the right size that no test reads."""
    def set_vocab(self):
        n = self.hparams.get("vocab_size") or self.hparams["text_config"]["vocab_size"]
        if "type_vocab_size" in self.hparams:
            self.gguf_writer.add_token_type_count(self.hparams["type_vocab_size"])
        self.gguf_writer.add_tokenizer_model("llama")
        self.gguf_writer.add_token_list([f"<{i}>".encode() for i in range(n)])
        self.gguf_writer.add_token_scores([0.0] * n)
        self.gguf_writer.add_token_types([1] * n)
        self.gguf_writer.add_bos_token_id(1)
        self.gguf_writer.add_eos_token_id(2)
    converter.set_vocab = set_vocab


def convert(folder, out, llama_cpp, spec):
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    hparams = ModelBase.load_hparams(folder, False)
    cls = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    plain = type(cls.__name__, (cls,), {"model_arch": cls.model_arch})
    dummy_vocab(plain)
    if "converter" in spec:
        spec["converter"](plain)

    def set_gguf_parameters(self):
        super(plain, self).set_gguf_parameters()
        for key, value in spec.get("keys", {}).items():
            add = {int: self.gguf_writer.add_uint32, float: self.gguf_writer.add_float32,
                   str: self.gguf_writer.add_string}[type(value)]
            add(f"{self.gguf_writer.arch}.{key}", value)

    plain.set_gguf_parameters = set_gguf_parameters
    with torch.inference_mode():
        plain(folder, gguf.LlamaFileType.ALL_F32, out).write()


def max_rel(a, b):
    return float(np.abs(a - b).max() / (b.max() - b.min()))


def check_effects(spec, model, ids, logits):
    line = ""
    for label, change in spec.get("effects", {}).items():
        config = copy.deepcopy(spec["config"])
        change(config)
        other = forward(spec, build(spec, config, model.state_dict()), ids)
        effect = max_rel(other[POSITIONS], logits[POSITIONS])
        line += f"  {label} {effect:.1e}"
        assert effect > 0.02, f"{spec['name']}: {label} changes too little: {effect}"
    return line


def make(spec, args):
    name = spec["name"]
    model = build(spec, spec["config"])
    config = model.config
    n_vocab = getattr(config, "vocab_size", None) or config.get_text_config().vocab_size
    ids = np.random.default_rng(sum(name.encode())).integers(3, n_vocab, N_IDS)
    logits = forward(spec, model, ids)
    folder = Path(args.keep_hf) / name if args.keep_hf else Path(tempfile.mkdtemp())
    model.save_pretrained(folder)
    if "export" in spec:
        spec["export"](model, folder)
    # Some converters count a tokenizer's tokens.
    (folder / "tokenizer.json").write_text(json.dumps(
        {"model": {"type": "WordPiece", "vocab": {f"<{i}>": i for i in range(n_vocab)}},
         "added_tokens": []}))
    path = args.out / f"{name}.gguf"
    convert(folder, path, args.converter, spec)
    if not args.keep_hf:
        shutil.rmtree(folder)
    with open(args.out / f"{name}.golden", "wb") as f:
        f.write(b"HGOLD02\0")
        f.write(np.array([N_IDS, len(POSITIONS), logits.shape[1]], dtype="<i4").tobytes())
        f.write(ids.astype("<i4").tobytes())
        f.write(np.array(POSITIONS, dtype="<i4").tobytes())
        f.write(logits[POSITIONS].astype("<f4").tobytes())
    print(f"{name:24} {os.path.getsize(path):8}  range {logits.max() - logits.min():.1f}"
          + check_effects(spec, model, ids, logits))


def all_specs():
    for path in sorted((HERE / "hf").glob("*.py")):
        module = importlib.util.module_from_spec(
            spec := importlib.util.spec_from_file_location(path.stem, path))
        spec.loader.exec_module(module)
        yield from module.SPECS


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--converter", type=Path, required=True)
    p.add_argument("--out", type=Path, default=HERE.parents[1] / "tests" / "golden" / "arch")
    p.add_argument("--keep-hf", help="keep the Hugging Face folders here")
    p.add_argument("names", nargs="*")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for spec in all_specs():
        if not args.names or spec["name"] in args.names:
            make(spec, args)


if __name__ == "__main__":
    main()
