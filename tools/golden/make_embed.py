#!/usr/bin/env python3
"""Writes tests/golden/embed: small random-weight embedding models and rerankers with a WordPiece
vocabulary, and what Hugging Face transformers makes of texts with them, tokenizer included.

Each NAME.gguf (llama.cpp's converter wrote it) has NAME.json beside it:

    texts, vectors           vectors not normalised, pooled as the model file says
    query, documents, scores of rerankers: the logits

Usage: make_embed.py --converter LLAMA_CPP_FOLDER [--out FOLDER]
"""
import argparse
import json
import string
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import (BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast,
                          Qwen3Config, Qwen3Model, XLMRobertaConfig,
                          XLMRobertaForSequenceClassification)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from make_arch import draw_weights  # noqa: E402

WORDS = "the a of to list sort file read write loop node tree hash map key value error".split()
VOCAB = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(string.ascii_lowercase)
         + ["##" + c for c in string.ascii_lowercase] + WORDS + ["##s", "##ing", "##er", "."])
VOCAB = list(dict.fromkeys(VOCAB))
TEXTS = ["sort a list", "the value of a key", "read the file.", "writing files", "trees", "",
         "Hash map, hash map!", "a loop to read the nodes of the tree and write the keys to a file " * 3,
         "error", "sorting lists of keys and values"]
QUERY = "how to sort a list"
DOCUMENTS = ["sorting lists", "the tree", "write a file. read a file.", "42 xyzzy?", "key value map " * 12]
BASE = dict(vocab_size=len(VOCAB), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=48, max_position_embeddings=80)


def tokenizer(folder):
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    return BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), vocab=str(folder / "vocab.txt"))


def pooling(folder, key):
    (folder / "modules.json").write_text(json.dumps(
        [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({key: True}))


def bert_vocab(converter, base, special):
    """BERT's vocabulary for any architecture, and no check of the tokenizer's hash."""
    plain = type(converter.__name__, (converter,), {"model_arch": converter.model_arch})
    plain.set_vocab = base.set_vocab
    plain.get_vocab_base_pre = lambda self, tok: "default"
    renamed = {"bert.pooler.dense": "classifier.dense", "classifier": "classifier.out_proj"}

    # The converter drops BERT's pooler, which is the first layer of its classifiers' heads.
    @classmethod
    def filter_tensors(cls, item):
        name, gen = item
        stem, _, what = name.rpartition(".")
        if special and stem in renamed:
            return f"{renamed[stem]}.{what}", gen
        return super(plain, cls).filter_tensors(item)

    plain.filter_tensors = filter_tensors
    return plain


def convert(folder, out, llama_cpp, special):
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    hparams = ModelBase.load_hparams(folder, False)
    cls = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    bert = get_model_class("BertModel")
    with torch.inference_mode():
        bert_vocab(cls, bert, special)(folder, gguf.LlamaFileType.ALL_F32, out).write()


def vectors(model, tok, mode):
    out = []
    for text in TEXTS:
        with torch.no_grad():
            ids = tok(text, return_tensors="pt")["input_ids"]
            h = model(input_ids=ids).last_hidden_state[0]
        out.append({"mean": h.mean(0), "cls": h[0], "lasttoken": h[-1]}[mode].tolist())
    return {"texts": TEXTS, "vectors": out}


def scores(model, tok, segments):
    out = []
    for d in DOCUMENTS:
        x = tok(QUERY, d, return_tensors="pt")
        if not segments:
            x.pop("token_type_ids")
        with torch.no_grad():
            out.append(model(**x).logits[0, 0].item())
    assert max(out) - min(out) > 0.05, out
    return {"query": QUERY, "documents": DOCUMENTS, "scores": out}


def specs():
    xlm = {**BASE, "max_position_embeddings": 81}
    yield "bert-mean", BertModel(BertConfig(**BASE)), "mean"
    yield "bert-cls", BertModel(BertConfig(**BASE)), "cls"
    yield "bert-rank", BertForSequenceClassification(BertConfig(**BASE, num_labels=1)), True
    yield "xlm-roberta-rank", XLMRobertaForSequenceClassification(
        XLMRobertaConfig(**xlm, num_labels=1, type_vocab_size=1, pad_token_id=0)), False
    yield "qwen3-last", Qwen3Model(Qwen3Config(
        **{**BASE, "max_position_embeddings": 1024}, num_key_value_heads=1, head_dim=16)), "lasttoken"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--converter", type=Path, required=True)
    p.add_argument("--out", type=Path, default=HERE.parents[1] / "tests" / "golden" / "embed")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, model, how in specs():
        model = model.float().eval()
        draw_weights(model, sum(name.encode()))
        folder = Path(tempfile.mkdtemp())
        tok = tokenizer(folder)
        tok.save_pretrained(folder)
        model.save_pretrained(folder)
        if isinstance(how, str):
            pooling(folder, f"pooling_mode_{how}" + {"cls": "_token", "mean": "_tokens"}.get(how, ""))
            result = vectors(model, tok, how)
        else:
            result = scores(model, tok, how)
        convert(folder, args.out / f"{name}.gguf", args.converter, not isinstance(how, str))
        with open(args.out / f"{name}.json", "w") as f:
            json.dump(json.loads(json.dumps(result), parse_float=lambda x: float(f"{float(x):.7g}")), f)
        print(name, (args.out / f"{name}.gguf").stat().st_size)


if __name__ == "__main__":
    main()
