#!/usr/bin/env python3
"""Compares the keys that the import writes with those of llama.cpp's converter, folder by folder.

    compare_tokenizer.py LLAMA_CPP VOCAB_IMPORT FOLDERS

FOLDERS is what make_tokenizers.py made. llama.cpp tells pre-tokenizers apart by hashes of published
vocabularies, which none of these is: the name that make_tokenizers.py expects stands in for that."""
import os
import pathlib
import subprocess
import sys
import tempfile

llama_cpp, program, folders = map(pathlib.Path, sys.argv[1:4])
sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py"), os.path.dirname(__file__)]

import json  # noqa: E402
import logging  # noqa: E402

import gguf  # noqa: E402
from conversion.base import TextModel  # noqa: E402
from conversion.bert import BertModel, JinaBertV2Model, XLMRobertaModel  # noqa: E402
from conversion.gemma import Gemma2Model  # noqa: E402
from conversion.llama import LlamaModel  # noqa: E402
from make_tokenizers import BPE  # noqa: E402

logging.disable(logging.WARNING)
OTHERS = {"wordpiece": ("bert", BertModel), "cased": ("bert", BertModel), "xlmr": ("bert", XLMRobertaModel),
          "spm": ("llama", LlamaModel), "gemma": ("gemma2", Gemma2Model), "llamahf": ("llama", LlamaModel)}
# What the import adds, or knows better, on purpose.
EXTRA = ("add_space_prefix", "fim_", "cls_token_id", "unknown_token_id", "padding_token_id", "seperator_token_id",
         "mask_token_id", "token_type_count", "bos_token_id", "eos_token_id")
# docs/tokenizers.md tells why.
KNOWN = {("gemma", "tokens"), ("gemma", "token_type"),  # SentencePiece's user-defined pieces
         ("xlmr", "tokens"), ("xlmr", "token_type"), ("xlmr", "scores"),  # added tokens past the pieces
         ("llamahf", "scores"), ("llamahf", "token_type")}  # merges as scores, <unk> as unknown


def theirs(folder, arch, cls, pre, path):
    class Stub(cls):
        model_arch = cls.__dict__.get("model_arch", gguf.MODEL_ARCH.LLAMA)

        def __init__(self):
            self.dir_model = folder
            self.hparams = json.loads((folder / "config.json").read_text())
            self.gguf_writer = gguf.GGUFWriter(path, arch)
            self.origin_hf_arch = None
            self.is_mistral_format = False

        def get_vocab_base_pre(self, tokenizer):
            return pre

    model = Stub()
    if cls is TextModel:
        model._set_vocab_gpt2()
    else:
        model.set_vocab()
    model.gguf_writer.write_header_to_file()
    model.gguf_writer.write_kv_data_to_file()
    model.gguf_writer.close()


def keys(path):
    return {k: (f.contents(), [t.name for t in f.types]) for k, f in gguf.GGUFReader(path).fields.items()
            if k.startswith("tokenizer.")}


def differences(name, ours, reference):
    for k in sorted(set(ours) | set(reference)):
        short = k.removeprefix("tokenizer.ggml.")
        if (name, short) in KNOWN:
            continue
        if k not in ours:
            yield f"missing: {k}"
        elif k not in reference:
            if not short.startswith(EXTRA):
                yield f"only ours: {k} = {str(ours[k][0])[:60]}"
        elif ours[k] != reference[k]:
            a, b = ours[k][0], reference[k][0]
            if isinstance(a, list) and len(a) == len(b):
                at = [i for i in range(len(a)) if a[i] != b[i]]
                yield f"differs: {k} at {len(at)} places, {at[:3]}: {[(a[i], b[i]) for i in at[:3]]}"
            else:
                yield f"differs: {k}: {str(a)[:60]} | {str(b)[:60]}"


def main():
    cases = [(name, spec[0], JinaBertV2Model if name == "roberta" else LlamaModel if spec[0] == "llama" else TextModel,
              spec[1]) for name, spec in BPE.items()]
    cases += [(name, arch, cls, "default") for name, (arch, cls) in OTHERS.items()]
    total = 0
    for name, arch, cls, pre in [c for c in cases if len(sys.argv) < 5 or c[0] in sys.argv[4:]]:
        with tempfile.TemporaryDirectory() as tmp:
            a, b = f"{tmp}/a.gguf", f"{tmp}/b.gguf"
            subprocess.run([program, folders / name, arch, a], check=True, stdout=subprocess.DEVNULL)
            theirs(folders / name, arch, cls, pre, b)
            ours, reference = keys(a), keys(b)
            found = list(differences(name, ours, reference))
        total += len(found)
        print(f"{name}: {len(reference)} keys, {len(found)} differences")
        for line in found:
            print("   ", line)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
