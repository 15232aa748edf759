"""hearth embed and hearth rerank, against what transformers gives (tools/golden/make_embed.py)."""
import json
import math
import struct

import pytest

from conftest import ROOT

GOLDEN = ROOT / "tests" / "golden" / "embed"
EMBEDDERS = ["bert-mean", "bert-cls", "qwen3-last"]
RERANKERS = ["bert-rank", "xlm-roberta-rank"]


def golden(name):
    return GOLDEN / f"{name}.gguf", json.loads((GOLDEN / f"{name}.json").read_text())


def near(got, want, span):
    assert len(got) == len(want)
    assert max(abs(a - b) for a, b in zip(got, want)) <= 1e-3 * span


def unit(v):
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def ok(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EMBEDDERS)
def test_vectors_are_those_of_transformers(hearth, name):
    model, want = golden(name)
    got = json.loads(ok(hearth("embed", "-m", model, "--json", "--no-normalize", *want["texts"])))
    span = max(map(max, want["vectors"])) - min(map(min, want["vectors"]))
    assert got["dimensions"] == 32 and got["truncated"] == 0
    assert len(got["embeddings"]) == len(want["texts"])
    for a, b in zip(got["embeddings"], want["vectors"]):
        near(a, b, span)


@pytest.mark.parametrize("name", RERANKERS)
def test_scores_are_those_of_transformers(hearth, name):
    model, want = golden(name)
    done = ok(hearth("rerank", "-m", model, "--json", want["query"], *want["documents"]))
    got = json.loads(done)
    assert sorted(r["index"] for r in got) == list(range(len(want["documents"])))
    assert [r["score"] for r in got] == sorted((r["score"] for r in got), reverse=True)
    span = max(want["scores"]) - min(want["scores"])
    for r in got:
        assert abs(r["score"] - want["scores"][r["index"]]) <= 5e-3 * span


def test_forms_of_output_say_the_same(hearth, tmp_path):
    model, want = golden("bert-mean")
    texts = [t for t in want["texts"] if t]
    (tmp_path / "texts").write_text("\n".join(texts) + "\n")
    lines = ok(hearth("embed", "-m", model, *texts))
    vectors = [[float(x) for x in line.split()] for line in lines.splitlines()]
    assert [len(v) for v in vectors] == [32] * len(texts)
    for v, w in zip(vectors, (w for t, w in zip(want["texts"], want["vectors"]) if t)):
        assert math.isclose(sum(x * x for x in v), 1, abs_tol=1e-5)
        near(v, unit(w), 2)
    assert ok(hearth("embed", "-m", model, "--file", tmp_path / "texts")) == lines
    assert ok(hearth("embed", "-m", model, "-", input="\r\n".join(texts))) == lines
    for i, text in enumerate(texts):
        assert ok(hearth("embed", "-m", model, text)).strip() == lines.splitlines()[i]
    raw = hearth("embed", "-m", model, "--raw", "--file", tmp_path / "texts", encoding="latin-1",
                 stdout=open(tmp_path / "raw", "wb"))
    assert raw.returncode == 0
    data = (tmp_path / "raw").read_bytes()
    flat = struct.unpack(f"<{len(data) // 4}f", data)
    as_float = struct.pack(f"<{32 * len(texts)}f", *(x for v in vectors for x in v))
    assert struct.pack(f"<{len(flat)}f", *flat) == as_float


def test_pooling_can_be_named(hearth):
    model, want = golden("bert-mean")
    _, first = golden("bert-cls")
    text = want["texts"][0]
    call = ["embed", "-m", model, "--no-normalize", "--json", text]
    tokens = json.loads(ok(hearth(*call, "--pooling", "none")))
    rows = tokens["embeddings"][0]
    assert len(rows) == tokens["tokens"] == 5
    mean = json.loads(ok(hearth(*call)))["embeddings"][0]
    near(mean, [sum(c) / len(rows) for c in zip(*rows)], 2)
    for name, row in (("first", rows[0]), ("last", rows[-1]), ("mean", mean)):
        assert json.loads(ok(hearth(*call, "--pooling", name)))["embeddings"][0] == row
    done = hearth(*call, "--pooling", "max")
    assert done.returncode == 2 and "max" in done.stderr


def test_long_texts(hearth):
    model, _ = golden("bert-mean")
    text = "read the file " * 40
    done = hearth("embed", "-m", model, "a list", text)
    assert done.returncode == 1 and "80 at most" in done.stderr and done.stdout == ""
    done = hearth("embed", "-m", model, "--truncate", "a list", text)
    assert done.returncode == 0 and "1 of 2 texts" in done.stderr
    cut = "read the file " * 26  # 78 words and the two tokens around them
    assert done.stdout.splitlines()[1] == ok(hearth("embed", "-m", model, cut)).strip()
    # A decoder's context is longer than a batch.
    model, _ = golden("qwen3-last")
    long = "read the file " * 300
    ok(hearth("embed", "-m", model, long, "a list"))
    model, _ = golden("bert-rank")
    assert hearth("rerank", "-m", model, "sort", text).returncode == 1
    ok(hearth("rerank", "-m", model, "--truncate", "sort", text))
    assert hearth("rerank", "-m", model, "--truncate", text, "sort").returncode == 1


def test_each_model_says_what_it_cannot_do(hearth):
    encoder, _ = golden("bert-mean")
    ranker, _ = golden("bert-rank")
    for call, word in ((["embed", "-m", ranker, "a"], "scores"),
                       (["rerank", "-m", encoder, "a", "b"], "head"),
                       (["generate", "-m", encoder, "a"], "vectors"),
                       (["score", "-m", encoder, "-"], "vectors")):
        done = hearth(*call, input="a list")
        assert done.returncode == 1 and word in done.stderr, (call, done.stderr)
    ok(hearth("embed", "-m", ranker, "--pooling", "first", "a"))


def test_a_causal_encoder_is_refused(hearth, tmp_path):
    model, _ = golden("bert-mean")
    data = model.read_bytes()
    key = b"bert.attention.causal" + struct.pack("<I", 7)
    assert data.count(key + b"\0") == 1
    changed = tmp_path / "causal.gguf"
    changed.write_bytes(data.replace(key + b"\0", key + b"\1"))
    done = hearth("embed", "-m", changed, "a")
    assert done.returncode == 1 and "causal" in done.stderr


def test_rerank_prints_documents(hearth, tmp_path):
    model, want = golden("bert-rank")
    docs = [d for d in want["documents"] if d]
    (tmp_path / "docs").write_text("\n".join(docs))
    by_arguments = ok(hearth("rerank", "-m", model, want["query"], *docs))
    assert len(by_arguments.splitlines()) == len(docs)
    for line in by_arguments.splitlines():
        score, index, text = line.split(maxsplit=2)
        assert docs[int(index)].startswith(text.strip()[:40])
    assert ok(hearth("rerank", "-m", model, want["query"], "--file", tmp_path / "docs")) == by_arguments
    top = ok(hearth("rerank", "-m", model, "--top", "2", want["query"], *docs))
    assert top.splitlines() == by_arguments.splitlines()[:2]


@pytest.mark.parametrize("call", [["embed"], ["embed", "--json", "--raw", "a"], ["rerank"],
                                  ["rerank", "a"], ["rerank", "a", "b", "--file", "c"],
                                  ["embed", "a", "--file", "b"]])
def test_usage(hearth, call):
    model, _ = golden("bert-mean")
    done = hearth(*call, "-m", model)
    assert done.returncode == 2 and done.stdout == ""
