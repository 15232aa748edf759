#!/usr/bin/env python3
"""Writes texts and the ids that Hugging Face's `tokenizers`, or SentencePiece, gives them, for test_conformance.

    make_conformance.py TOKENIZER_JSON|TOKENIZER_MODEL OUT [--texts N] [--seed S] [--invalid]

makes OUT.inp and OUT.out; with the vocabulary as OUT (ggml-vocab-NAME.gguf) beside them,
HEARTH_VOCAB_DIR=FOLDER test_conformance compares. --invalid mixes bytes that are no UTF-8 into the texts;
the reference sees U+FFFD for them, so this suits only the kinds that normalise (WordPiece, Unigram)."""
import argparse
import random
import unicodedata

SEPARATOR = b"\n__ggml_vocab_test__\n"
WORDS = """the of and to in is for return int void main static const struct if else while import from def class
self print embeddings tokenizer internationalisation unbelievable antidisestablishmentarianism don't we'll I'M
HTTPServer camelCase snake_case x86_64 3.14159 1,000,000 0xDEADBEEF 2024-01-31 e.g. i.e. naïve café Straße
ŁÓDŹ İstanbul ΑΒΓ Ελληνικά Привет мир Ёлка שלום مرحبا नमस्ते ภาษาไทย 한국어 日本語 カタカナ 中文字符 ﬁligree
① ½ Å Å ﷺ ℌ 𝔘𝔫𝔦 👍🏽 👨‍👩‍👧 🇩🇪 🚀 … “quoted” ‘single’ — – ‐ • € £ ¥ © ® ™ ° ± × ÷""".split()
CODE = """() {} [] ; : , . -> => == != <= >= && || ++ -- += // /* */ # @ $ % ^ ~ ` \\ ' " ? ! | & * / + - = < >
    \t \n \r\n \n\n""".split(" ")
RANGES = [(0x20, 0x7F), (0xA0, 0x250), (0x250, 0x600), (0x600, 0xE00), (0xE00, 0x2000), (0x2000, 0x2C00),
          (0x2E80, 0x3400), (0x4E00, 0x5200), (0xAC00, 0xAE00), (0xF900, 0xFB50), (0xFE00, 0x10000),
          (0x1F300, 0x1F700), (0x1D400, 0x1D500), (0x20000, 0x20100)]


def assigned(c):
    """Characters that older Unicode tables know too: the reference's are of several versions."""
    return unicodedata.category(chr(c)) not in ("Cn", "Cs") and unicodedata.ucd_3_2_0.category(chr(c)) != "Cn"


def piece(rng):
    kind = rng.random()
    if kind < 0.55:
        word = rng.choice(WORDS)
        return rng.choice([str, str.upper, str.title, str])(word)
    if kind < 0.75:
        return rng.choice(CODE)
    if kind < 0.80:
        return rng.choice("a0 .é中") * rng.randrange(1, 140)
    low, high = rng.choice(RANGES)
    text = "".join(chr(c) for c in (rng.randrange(low, high) for _ in range(rng.randrange(1, 6))) if assigned(c))
    return text


def text(rng):
    joiner = rng.choice([" ", " ", " ", "", "  ", "\n"])
    return joiner.join(piece(rng) for _ in range(rng.randrange(1, 24)))


def encoder(path):
    if path.endswith(".model"):
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(path).encode
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tokenizer")
    p.add_argument("out")
    p.add_argument("--texts", type=int, default=3000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--invalid", action="store_true")
    p.add_argument("--nfc", action="store_true", help="texts in Unicode's composed form, for the tokenizers that compose")
    a = p.parse_args()
    rng = random.Random(a.seed)
    encode = encoder(a.tokenizer)
    with open(a.out + ".inp", "wb") as inp, open(a.out + ".out", "w") as out:
        for _ in range(a.texts):
            data = (unicodedata.normalize("NFC", text(rng)) if a.nfc else text(rng)).encode()
            if a.invalid and rng.random() < 0.3:
                at = rng.randrange(len(data) + 1)
                data = data[:at] + bytes(rng.choice([0xFF, 0xC0, 0x80, 0xE2, 0xF0]) for _ in range(rng.randrange(1, 3))) + data[at:]
            ids = encode(data.decode(errors="replace"))
            inp.write(data + SEPARATOR)
            out.write(" " + " ".join(map(str, ids)) + "\n")


if __name__ == "__main__":
    main()
