"""generate with speculation and a second model: the same text, and what the program tells of it."""

import json

import pytest

from conftest import ROOT

TINY = ROOT / "tests/golden/tiny"
PROMPT = "if (the user asks) return (the user asks) or while (the user asks) return"
EOS = 99  # of the tiny models


def generate(hearth, model, *args, n=120):
    p = hearth("generate", "-m", TINY / f"{model}.gguf", "--json", "-n", n,
               f"--logit-bias={EOS}=-inf", *args, PROMPT)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def outcome(r):
    return r["text"], r["completion_tokens"], r["finish_reason"]


@pytest.mark.parametrize("model", ["llama-gqa", "q4_k", "qwen2-yarn"])
def test_the_text_is_the_same(hearth, model):
    accepted = 0
    for draw in ((), ("--temperature", "0.7", "--seed", "5"),
                 ("--temperature", "1.1", "--top-p", "0.9", "--seed", "6"),
                 ("--repeat-penalty", "1.2", "--penalty-last-n", "-1")):
        off = generate(hearth, model, "--speculate", "off", *draw)
        assert off["speculation"] == {"passes": 0, "drafted": 0, "accepted": 0}
        auto = generate(hearth, model, *draw)
        assert outcome(auto) == outcome(off)
        s = auto["speculation"]
        assert s["accepted"] <= s["drafted"]
        assert s["passes"] + s["accepted"] >= off["completion_tokens"] - 1
        accepted += s["accepted"]
        drafted = generate(hearth, model, "--draft", TINY / "llama-tied.gguf", *draw)
        assert outcome(drafted) == outcome(off)
    assert accepted > 0


def test_a_model_drafts_well_for_itself(hearth):
    off = generate(hearth, "llama-gqa", "--speculate", "off")
    both = generate(hearth, "llama-gqa", "--draft", TINY / "llama-gqa.gguf")
    assert outcome(both) == outcome(off)
    assert both["speculation"]["accepted"] > 0




def test_what_cannot_be_is_told(hearth):
    model = ("generate", "-m", TINY / "llama-gqa.gguf")
    p = hearth(*model, "--speculate", "always", "x")
    assert p.returncode != 0 and "always" in p.stderr and "auto" in p.stderr
    p = hearth(*model, "--speculate", "off", "--draft", TINY / "q4_k.gguf", "x")
    assert p.returncode != 0 and "--draft" in p.stderr
    p = hearth(*model, "--draft", "nothing.gguf", "x")
    assert p.returncode != 0 and "nothing.gguf" in p.stderr


def test_another_vocabulary_is_refused(hearth, tmp_path):
    """One token with another text: each id has to mean the same."""
    data = (TINY / "llama-gqa.gguf").read_bytes()
    at = data.index(b"<|endoftext|>")
    (tmp_path / "other.gguf").write_bytes(data[:at] + b"<|endofwork|>" + data[at + 13:])
    p = hearth("generate", "-m", TINY / "llama-gqa.gguf", "--draft", "other.gguf", "-n", 5, PROMPT)
    assert p.returncode != 0
    assert p.stdout == ""
    assert "vocabulary" in p.stderr and "<|endofwork|>" in p.stderr and "<|endoftext|>" in p.stderr


def test_help_names_both(hearth):
    text = hearth("generate", "--help").stdout
    assert "--speculate MODE" in text and "--draft MODEL" in text
