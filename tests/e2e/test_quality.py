"""perplexity and imatrix over tiny models with random weights."""

import json
import math
import os
import pty
import signal
import struct
import subprocess

import pytest

from conftest import ROOT
from test_run import one_line, result

TINY = ROOT / "tests/golden/tiny/llama-gqa.gguf"
Q4 = ROOT / "tests/golden/tiny/q4_0.gguf"
TEXT = "for (each item in the list) print the item; " * 40  # some 1,300 tokens


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.c").write_text(TEXT)
    return "text.c"


def tokens(hearth, text, model=TINY):
    return json.loads(hearth("tokenize", "-m", model, text).stdout)


# ---- perplexity ----------------------------------------------------------------------------------


def test_perplexity_is_that_of_the_second_halves(hearth, text, tmp_path):
    r = result(hearth("perplexity", "-m", TINY, "--ctx", 64, "--json", text))
    n = len(tokens(hearth, text)) // 64
    assert (r["context"], r["chunks"], r["tokens_counted"]) == (64, n, n * 31)
    assert math.isclose(r["perplexity"]["value"], math.exp(r["nll"]["value"]), rel_tol=1e-8)
    assert 0 < r["perplexity"]["error"] < r["perplexity"]["value"]
    assert "kl_divergence" not in r
    for threads in (1, 3):
        again = result(hearth("perplexity", "-m", TINY, "-c", 64, "-t", threads, "--json", text))
        assert again == r
    piped = result(hearth("perplexity", "-m", TINY, "-c", 64, "--json", input=TEXT))
    assert piped == r
    part = result(hearth("perplexity", "-m", TINY, "-c", 64, "--chunks", 2, "--json", text))
    assert part["tokens_counted"] == 62


def test_a_text_of_one_context_is_scored_as_score_does(hearth, text):
    """The nll is the mean of what score says of the second half."""
    ids = tokens(hearth, text)
    r = result(hearth("perplexity", "-m", TINY, "-c", len(ids), "--json", text))
    scores = [t["logprob"] for t in result(hearth("score", "-m", TINY, "--json", text))["tokens"]]
    half = scores[len(ids) // 2 + 1:]
    assert r["tokens_counted"] == len(half)
    assert math.isclose(r["nll"]["value"], -sum(half) / len(half), rel_tol=1e-7)


def test_against_another_model(hearth, text):
    args = ("perplexity", "-c", 64, "--json", text)
    own = result(hearth(*args, "-m", Q4))
    base = result(hearth(*args, "-m", TINY))
    r = result(hearth(*args, "-m", Q4, "--against", TINY))
    assert r["perplexity"] == own["perplexity"]
    assert r["base_perplexity"] == base["perplexity"]
    assert math.isclose(r["ln_perplexity_ratio"]["value"],
                        own["nll"]["value"] - base["nll"]["value"], rel_tol=1e-6)
    kl = r["kl_divergence"]
    assert 0 < kl["median"] < kl["p90"] <= kl["p99"] <= kl["max"]
    assert 0 < kl["mean"]["error"] < kl["mean"]["value"]
    assert 0 <= r["same_top"]["value"] < 1
    same = result(hearth(*args, "-m", Q4, "--against", Q4))
    assert same["kl_divergence"]["max"] == 0 and same["same_top"]["value"] == 1
    assert same["ln_perplexity_ratio"] == {"value": 0, "error": 0}


def test_kept_predictions_stand_for_the_model(hearth, text, tmp_path):
    direct = result(hearth("perplexity", "-m", Q4, "--against", TINY, "-c", 64, "--json", text))
    kept = result(hearth("perplexity", "-m", TINY, "-c", 64, "--save-logits", "kept", "--json",
                         text))
    assert kept["perplexity"] == direct["base_perplexity"]
    n, vocab = direct["chunks"], 100
    assert (tmp_path / "kept").stat().st_size == 20 + n * (4 * 64 + 31 * (8 + 2 * vocab))
    assert (tmp_path / "kept").read_bytes()[:20] == b"_logits_" + struct.pack("<3i", 64, vocab, n)
    os.remove(tmp_path / text)  # the file brings its text
    r = result(hearth("perplexity", "-m", Q4, "--kl-base", "kept", "--json"))
    assert r["perplexity"] == direct["perplexity"]
    for name in ("median", "p90", "max"):
        assert math.isclose(r["kl_divergence"][name], direct["kl_divergence"][name], abs_tol=1e-3)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("kept")) == ["kept"]
    (tmp_path / "kept").write_bytes((tmp_path / "kept").read_bytes()[:-1])
    one_line(hearth("perplexity", "-m", Q4, "--kl-base", "kept"), "kept", "not complete")
    one_line(hearth("perplexity", "-m", Q4, "--kl-base", Q4), "q4_0.gguf", "kept predictions")


def test_perplexity_for_people(hearth, text):
    p = hearth("perplexity", "-m", Q4, "--against", TINY, "-c", 64, text)
    assert p.returncode == 0 and p.stderr == ""
    r = result(hearth("perplexity", "-m", Q4, "--against", TINY, "-c", 64, "--json", text))
    lines = p.stdout.splitlines()
    assert lines[0] == f"{r['chunks']} contexts of 64 tokens, {r['tokens_counted']} tokens counted"
    assert "\x1b" not in p.stdout
    shown = {line[:21].strip(): line[21:].split() for line in lines[2:] if line}
    assert shown["perplexity"][0] == f"{r['perplexity']['value']:.4f}"
    assert shown["perplexity"][1:] == ["±", f"{r['perplexity']['error']:.4f}"]
    assert shown["reference perplexity"][0] == f"{r['base_perplexity']['value']:.4f}"
    change = 100 * (math.exp(r["ln_perplexity_ratio"]["value"]) - 1)
    assert math.isclose(float(shown["change"][0]), change, abs_tol=6e-4)
    assert shown["99 %"] == [f"{r['kl_divergence']['p99']:.6f}"]
    assert shown["same first choice"][0] == f"{100 * r['same_top']['value']:.2f}"
    assert len({line.index(line[21:].split()[0]) + len(line[21:].split()[0])
                for line in lines[2:] if line}) == 1, "one column"


def test_short_texts_say_how_much_is_missing(hearth, tmp_path):
    one_line(hearth("perplexity", "-m", TINY, input="x y"), "512 tokens or more")
    one_line(hearth("perplexity", "-m", TINY, input=""), "0 tokens", "512 tokens or more")
    one_line(hearth("imatrix", "-m", TINY, "-o", "o.gguf", input="x"), "512 tokens or more")
    assert not (tmp_path / "o.gguf").exists()
    one_line(hearth("perplexity", "-m", TINY, "-c", 4096, input=TEXT * 10), "2048")


def test_another_vocabulary_is_refused(hearth, text, tmp_path):
    model = TINY.read_bytes()
    token = struct.pack("<Q", 2) + b"th"
    assert model.count(token) == 1
    (tmp_path / "other.gguf").write_bytes(model.replace(token, struct.pack("<Q", 2) + b"TH"))
    one_line(hearth("perplexity", "-m", TINY, "--against", "other.gguf", "-c", 64, text),
             "another vocabulary", '"TH"', '"th"')


@pytest.mark.parametrize("args, part", [
    (("--against", TINY, "--kl-base", "x"), "one of --against and --kl-base"),
    (("--kl-base", "x", "text.c"), "leave out FILE"),
    (("--kl-base", "x", "--ctx", 64), "leave out FILE and --ctx"),
    (("--ctx", 2, "text.c"), "ctx"),
    (("--chunks", 0, "text.c"), "chunks"),
    (("missing.txt",), "missing.txt"),
    (("--save-logits", "no/such/folder", "-c", 64, "text.c"), "no/such/folder"),
    (("--kl-base", "missing"), "missing"),
])
def test_wrong_options_of_perplexity(hearth, text, args, part):
    one_line(hearth("perplexity", "-m", TINY, *args), part)


def test_colour_on_a_terminal(hearth_bin, text, tmp_path):
    main, end = pty.openpty()
    env = {"HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8",
           "PATH": os.environ["PATH"]}
    subprocess.run([hearth_bin, "perplexity", "-m", TINY, "-c", "64", text], cwd=tmp_path, env=env,
                   stdout=end, stderr=end, check=True, timeout=60)
    os.close(end)
    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(main)
    assert b"\x1b[1m" in shown and "±".encode() in shown


# ---- imatrix -------------------------------------------------------------------------------------


def read_imatrix(path):
    """Keys and tensors of a GGUF file that holds F32 tensors only."""
    data = path.read_bytes()
    at = 8
    assert data[:4] == b"GGUF"

    def take(fmt):
        nonlocal at
        values = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return values[0] if len(values) == 1 else values

    def string():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode()

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            elem, n = take("IQ")
            return [value(elem) for _ in range(n)]
        return take({4: "I", 10: "Q"}[kind])

    n_tensors, n_keys = take("QQ")
    keys, places = {}, []
    for _ in range(n_keys):
        name = string()
        keys[name] = value(take("I"))
    for _ in range(n_tensors):
        name = string()
        shape = [take("Q") for _ in range(take("I"))]
        kind, offset = take("IQ")
        assert kind == 0
        places.append((name, math.prod(shape), offset))
    start = (at + 31) // 32 * 32
    return keys, {name: list(struct.unpack_from(f"<{n}f", data, start + offset))
                  for name, n, offset in places}


def test_imatrix_of_a_text(hearth, text, tmp_path):
    r = result(hearth("imatrix", "-m", TINY, text, "-o", "out.gguf", "-c", 64, "--json"))
    n = len(tokens(hearth, text)) // 64
    assert r == {"file": "out.gguf", "matrices": 14, "contexts": n, "context": 64,
                 "parts_not_seen": 0}
    keys, tensors = read_imatrix(tmp_path / "out.gguf")
    assert keys["general.type"] == "imatrix"
    assert keys["imatrix.datasets"] == ["text.c"]
    assert (keys["imatrix.chunk_count"], keys["imatrix.chunk_size"]) == (n, 64)
    assert len(tensors) == 28
    assert tensors["blk.1.ffn_down.weight.counts"] == [n * 64]
    assert all(x > 0 for x in tensors["blk.0.attn_q.weight.in_sum2"])
    assert tensors["blk.0.attn_q.weight.in_sum2"] == tensors["blk.0.attn_v.weight.in_sum2"]
    # Any number of threads gives the same file.
    hearth("imatrix", "-m", TINY, text, "-o", "again.gguf", "-c", 64, "-t", 3)
    assert (tmp_path / "again.gguf").read_bytes() == (tmp_path / "out.gguf").read_bytes()
    people = hearth("imatrix", "-m", TINY, text, "-o", "out.gguf", "-c", 64, "--force")
    assert people.stdout == f"out.gguf: 14 matrices, {n} contexts of 64 tokens\n"


def test_a_part_and_the_rest_are_the_whole(hearth, text, tmp_path):
    run = ("imatrix", "-m", TINY, text, "-c", 64, "-o")
    hearth(*run, "whole.gguf")
    hearth(*run, "part.gguf", "--chunks", 3)
    one_line(hearth(*run, "part.gguf"), "part.gguf", "--resume", "--force")
    done = hearth(*run, "part.gguf", "--resume")
    assert done.returncode == 0, done.stderr
    (keys, part), (_, whole) = (read_imatrix(tmp_path / f) for f in ("part.gguf", "whole.gguf"))
    assert keys["imatrix.datasets"] == ["text.c"]
    assert part.keys() == whole.keys()
    for name in whole:  # what was saved in between was rounded to float
        assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(part[name], whole[name]))
    assert part["blk.0.attn_q.weight.counts"] == whole["blk.0.attn_q.weight.counts"]
    # Nothing is left to do, and nothing is counted twice.
    before = (tmp_path / "part.gguf").read_bytes()
    assert hearth(*run, "part.gguf", "--resume").returncode == 0
    assert (tmp_path / "part.gguf").read_bytes() == before
    (tmp_path / text).write_text(TEXT + "and more")
    one_line(hearth(*run, "part.gguf", "--resume"), "part.gguf", "another text")
    assert (tmp_path / "part.gguf").read_bytes() == before


def test_merged_files_add_up(hearth, text, tmp_path):
    run = ("imatrix", "-m", TINY, text, "-c", 64, "-o")
    hearth(*run, "a.gguf", "--chunks", 2)
    r = result(hearth("imatrix", "--merge", "a.gguf", "--merge", "a.gguf", "-o", "b.gguf",
                      "--json"))
    assert (r["contexts"], r["context"]) == (4, 64)
    r = result(hearth(*run, "c.gguf", "--chunks", 1, "--merge", "b.gguf", "--json"))
    assert r["contexts"] == 5
    (keys, a), (_, b) = (read_imatrix(tmp_path / f) for f in ("a.gguf", "b.gguf"))
    assert keys["imatrix.datasets"] == ["text.c"]
    for name in a:
        assert b[name] == [2 * x for x in a[name]]
    # A model with other matrices.
    one_line(hearth("imatrix", "-m", ROOT / "tests/golden/tiny/q4_k.gguf", text, "-o", "d.gguf",
                    "--merge", "a.gguf"), "different models")
    assert not (tmp_path / "d.gguf").exists()


def test_ctrl_c_keeps_what_was_read(hearth, hearth_bin, tmp_path):
    (tmp_path / "long.txt").write_text(TEXT * 400)
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": "xterm", "NO_COLOR": "1"}
    args = ["imatrix", "-m", str(TINY), "long.txt", "-c", "64", "-o", "out.gguf", "-t", "1"]
    main, end = pty.openpty()
    p = subprocess.Popen([hearth_bin, *args], cwd=tmp_path, env=env, stdout=subprocess.PIPE,
                         stderr=end, text=True)
    os.close(end)
    err = b""
    while b"Reading the text" not in err:  # shown once a context is read
        err += os.read(main, 65536)
    p.send_signal(signal.SIGINT)
    try:
        while part := os.read(main, 65536):
            err += part
    except OSError:  # the other end is closed
        pass
    os.close(main)
    assert p.communicate(timeout=60)[0] == ""
    assert p.returncode == 130, err
    done = int(err.split(b"stopped after ")[1].split()[0])
    assert b"--resume" in err
    keys, _ = read_imatrix(tmp_path / "out.gguf")
    assert keys["imatrix.chunk_count"] == done > 0
    assert hearth(*args, "--resume", "--chunks", done + 2).returncode == 0
    assert read_imatrix(tmp_path / "out.gguf")[0]["imatrix.chunk_count"] == done + 2


@pytest.mark.parametrize("args, part", [
    (("text.c",), "-o FILE"),
    (("text.c", "-o", "o.gguf", "--resume", "--merge", "a.gguf"), "leave --merge out"),
    (("text.c", "-o", "no/such/o.gguf", "-c", 64), "no/such/o.gguf"),
    (("--merge", TINY, "-o", "o.gguf"), "no importance matrix"),
    (("--merge", "missing.gguf", "-o", "o.gguf"), "missing.gguf"),
    (("missing.txt", "-o", "o.gguf"), "missing.txt"),
    (("text.c", "-o", "o.gguf", "-c", 4096, "--chunks", 1), "4096"),
])
def test_wrong_options_of_imatrix(hearth, text, args, part):
    one_line(hearth("imatrix", "-m", TINY, *args), part)
