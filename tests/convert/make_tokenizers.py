#!/usr/bin/env python3
"""Makes folders with small tokenizers of every kind that the import knows, trained on a text.

    make_tokenizers.py OUT TEXT_FILE...

Needs tokenizers, sentencepiece and transformers. compare_tokenizer.py uses the folders."""
import json
import os
import pathlib
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION +
         r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION +
         r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace(CONTRACTION + "?", "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
             " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
QWEN35 = (CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SEED = (CONTRACTION + "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")


def split(regex):
    return pre_tokenizers.Split(Regex(regex), "isolated")


def chain(*parts):
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS = pre_tokenizers.Digits(individual_digits=True)
FIM = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
             "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"],
    "star": ["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<file_sep>", "<repo_name>"],
    "deepseek": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
}
# name: architecture, expected tokenizer.ggml.pre, pre-tokenizer, special tokens, options
BPE = {
    "qwen2": ("qwen2", "qwen2", chain(split(QWEN2)), "qwen", {"nfc": True, "pad_to": 64}),
    "qwen35": ("qwen35", "qwen35", chain(split(QWEN35)), "qwen", {"nfc": True}),
    "llama3": ("llama", "llama-bpe", chain(split(LLAMA3)), "llama3", {"ignore": True, "template": True}),
    "smaug": ("dbrx", "dbrx", chain(split(LLAMA3)), "qwen", {}),
    "gptoss": ("gpt-oss", "gpt-4o", chain(split(O200K)), "qwen", {}),
    "llama4": ("llama4", "llama4", chain(split(O200K)), "llama3", {"template": True}),
    "tekken": ("llama", "tekken", chain(split(TEKKEN)), "llama3", {"ignore": True}),
    "starcoder": ("starcoder2", "starcoder", pre_tokenizers.Sequence([DIGITS, BYTE_LEVEL]), "star", {}),
    "granite": ("granite", "refact", pre_tokenizers.Sequence([DIGITS, BYTE_LEVEL]), "star", {"pad_to": 128}),
    "gpt2": ("gpt2", "gpt-2", BYTE_LEVEL, "qwen", {"byte_post": True}),
    "roberta": ("jina-bert-v2", "jina-v2-code", BYTE_LEVEL, "roberta", {"roberta": True}),
    "dscoder": ("llama", "deepseek-coder", chain(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                                 split("[一-龥ࠀ-一가-퟿]+"), DIGITS), "deepseek", {}),
    "dsv3": ("deepseek2", "deepseek-v3", chain(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK3)),
             "deepseek", {}),
    "seed": ("llama", "seed-coder", chain(split(SEED)), "qwen", {}),
}


def write(folder, config, tokenizer_config, **files):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, ensure_ascii=False))
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(value if isinstance(value, str) else json.dumps(value))


def bpe(out, name, lines):
    arch, _, pre, specials, options = BPE[name]
    t = Tokenizer(models.BPE(ignore_merges=options.get("ignore", False)))
    if options.get("nfc"):
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=2500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokens = FIM.get(specials, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    t.add_special_tokens(tokens)
    t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("<|plain|>", normalized=False)])
    bos, eos = tokens[0], tokens[1 if specials in ("llama3", "deepseek") else 0]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos}
    if options.get("roberta"):
        ids = {s: t.token_to_id(s) for s in tokens}
        t.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]), add_prefix_space=False)
        config.update(tokenizer_class="RobertaTokenizer", eos_token="</s>", sep_token="</s>", cls_token="<s>",
                      unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
    if options.get("byte_post"):
        t.post_processor = processors.ByteLevel(trim_offsets=False)
    if options.get("template"):
        t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1",
                                                         special_tokens=[(bos, t.token_to_id(bos))])
    size = t.get_vocab_size() + options.get("pad_to", 0)
    folder = out / name
    write(folder, {"vocab_size": size, "model_type": "x", "type_vocab_size": 1}, config,
          chat_template__jinja="{% for m in messages %}{{ m.content }}{% endfor %}")
    t.save(str(folder / "tokenizer.json"))


def wordpiece(out, lines, name, lowercase):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=2500, special_tokens=specials, show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    t.decoder = decoders.WordPiece()
    roles = {r + "_token": f"[{r.upper()}]" for r in ("pad", "unk", "cls", "sep", "mask")}
    folder = out / name
    write(folder, {"vocab_size": t.get_vocab_size() + 6, "type_vocab_size": 2, "model_type": "bert"},
          {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase, **roles})
    t.save(str(folder / "tokenizer.json"))
    if lowercase:  # the same, without tokenizer.json
        vocab = sorted(t.get_vocab().items(), key=lambda x: x[1])
        write(out / "vocabtxt", {"vocab_size": len(vocab), "type_vocab_size": 2},
              {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **roles},
              vocab__txt="".join(token + "\n" for token, _ in vocab))


def spm(out, corpus, name, kind, **options):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        input=corpus, model_prefix=str(folder / "m"), model_type=kind, vocab_size=2000, character_coverage=0.999,
        byte_fallback=kind == "bpe", minloglevel=2, hard_vocab_limit=False, **options)
    os.remove(folder / "m.vocab")
    os.rename(folder / "m.model", folder / "tokenizer.model")
    size = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model")).vocab_size()
    write(folder, {"vocab_size": size + 8, "bos_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1},
          {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
           "add_bos_token": True, "add_eos_token": False,
           "chat_template": [{"name": "default", "template": "a"}, {"name": "tool use", "template": "b"}],
           "added_tokens_decoder": {str(size): {"content": "▁<PRE>", "special": True},
                                    str(size + 1): {"content": "▁<SUF>", "special": True},
                                    str(size + 2): {"content": "▁<MID>", "special": True},
                                    str(size + 3): {"content": "<plain▁word>", "special": False}}})
    return folder


def unigram_json(out, folder, name):
    """The pieces of a SentencePiece model as a tokenizer.json, as transformers converts XLM-RoBERTa and T5."""
    sys.path.insert(0, os.path.dirname(__file__))
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString((folder / "tokenizer.model").read_bytes())
    vocab = [(p.piece, p.score) for p in m.pieces]
    t = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=False))
    t.normalizer = normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    t.add_special_tokens(["<s>", "</s>", "<pad>", "<mask>"])
    ids = {s: t.token_to_id(s) for s in ("<s>", "</s>")}
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                     special_tokens=list(ids.items()))
    target = out / name
    write(target, {"vocab_size": t.get_vocab_size(), "type_vocab_size": 1, "pad_token_id": t.token_to_id("<pad>")},
          {"tokenizer_class": "XLMRobertaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
           "sep_token": "</s>", "cls_token": "<s>", "pad_token": "<pad>", "mask_token": "<mask>",
           "clean_up_tokenization_spaces": True})
    t.save(str(target / "tokenizer.json"))


def bpe_json(out, folder, name):
    """A SentencePiece BPE as a tokenizer.json without its scores, as Llama 2's folders have."""
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString((folder / "tokenizer.model").read_bytes())
    ids = {p.piece: i for i, p in enumerate(m.pieces)}
    scores = {p.piece: p.score for p in m.pieces}
    merges = []
    for piece, score in scores.items():
        parts = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in ids and piece[i:] in ids]
        merges += [(score, *p) for p in sorted(parts, key=lambda p: (ids[p[0]], ids[p[1]]))]
    merges = [(a, b) for _, a, b in sorted(merges, key=lambda x: x[0], reverse=True)]
    t = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    target = out / name
    write(target, {"vocab_size": t.get_vocab_size(), "bos_token_id": 1, "eos_token_id": 2},
          {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    t.save(str(target / "tokenizer.json"))


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    corpus = out / "corpus.txt"
    corpus.write_text("\n".join(pathlib.Path(p).read_text(errors="ignore") for p in sys.argv[2:]))
    lines = corpus.read_text().splitlines(keepends=True)
    for name in BPE:
        bpe(out, name, lines)
    wordpiece(out, lines, "wordpiece", True)
    wordpiece(out, lines, "cased", False)
    llama = spm(out, str(corpus), "spm", "bpe", normalization_rule_name="identity", remove_extra_whitespaces=False)
    spm(out, str(corpus), "gemma", "bpe", normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, user_defined_symbols=["<start_of_turn>", "▁▁", "▁▁▁▁"])
    unigram = spm(out, str(corpus), "unigram", "unigram")
    unigram_json(out, unigram, "xlmr")
    bpe_json(out, llama, "llamahf")


if __name__ == "__main__":
    main()
