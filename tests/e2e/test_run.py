"""generate, score and bench over tiny models with random weights."""

import json
import math
import signal
import struct
import subprocess

import pytest

from conftest import ROOT

TINY = ROOT / "tests/golden/tiny/llama-gqa.gguf"
HEADS_OF_32 = ROOT / "tests/golden/tiny/qwen2-untied.gguf"
PROMPT = "if (the user asks) return"
EOS = 99  # of the tiny models


def result(p):
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def one_line(p, *parts):
    """The command failed with a single line on standard error that has all these parts."""
    assert p.returncode != 0
    assert p.stdout == ""
    lines = p.stderr.splitlines()
    assert lines[0].startswith("hearth"), p.stderr
    if p.returncode == 1:
        assert len(lines) == 1, p.stderr
    for part in parts:
        assert part in lines[0]


# ---- generate ------------------------------------------------------------------------------------


def test_generate_prints_what_json_tells(hearth):
    plain = hearth("generate", "-m", TINY, "-n", 30, PROMPT)
    assert plain.returncode == 0 and plain.stderr == ""
    r = result(hearth("generate", "-m", TINY, "-n", 30, "--json", PROMPT))
    assert r["text"] == plain.stdout
    assert r["completion_tokens"] == 30
    assert r["finish_reason"] == "length"
    tokens = json.loads(hearth("tokenize", "-m", TINY, "-", input=PROMPT).stdout)
    assert r["prompt_tokens"] == len(tokens)
    t = r["timings"]
    assert t["load_ms"] > 0 and t["start_to_prefill_ms"] > t["load_ms"]
    assert t["first_token_ms"] >= t["prefill_ms"] > 0
    assert t["decode_ms"] > 0


def test_generate_reads_standard_input(hearth):
    want = hearth("generate", "-m", TINY, "-n", 12, PROMPT).stdout
    assert want
    assert hearth("generate", "-m", TINY, "-n", 12, input=PROMPT).stdout == want
    assert hearth("generate", "-m", TINY, "-n", 12, "-", input=PROMPT).stdout == want


def test_a_seed_gives_the_same_text_with_any_number_of_threads(hearth):
    def text(seed, threads):
        return result(hearth("generate", "-m", TINY, "--json", "--temperature", 1.2, "--top-p", 0.95,
                             "--seed", seed, "-t", threads, PROMPT))["text"]

    first = text(1, 1)
    assert text(1, 2) == first
    assert text(1, 3) == first
    assert text(2, 1) != first


def test_without_a_seed_draws_differ_and_can_be_repeated(hearth):
    def draw(*more):
        return result(hearth("generate", "-m", TINY, "--json", "--temperature", 1.5, *more, PROMPT))

    a, b = draw(), draw()
    assert a["seed"] != b["seed"]
    assert a["text"] != b["text"]
    assert draw("--seed", a["seed"])["text"] == a["text"]


def test_options_reach_the_sampler(hearth):
    greedy = result(hearth("generate", "-m", TINY, "--json", PROMPT))["text"]
    same = ("--temperature", 50, "--seed", 3)
    assert result(hearth("generate", "-m", TINY, "--json", *same, PROMPT))["text"] != greedy
    for narrow in (("--top-k", 1), ("--top-p", 0), ("--min-p", 1)):
        assert result(hearth("generate", "-m", TINY, "--json", *same, *narrow, PROMPT))["text"] == greedy
    first = json.loads(hearth("tokenize", "-m", TINY, "-", input=greedy).stdout)[0]
    banned = result(hearth("generate", "-m", TINY, "--json", f"--logit-bias={first}=-inf", PROMPT))
    assert banned["text"][:1] != greedy[:1]
    forced = result(hearth("generate", "-m", TINY, "--json", "--logit-bias", f"{EOS}=1000", PROMPT))
    assert (forced["text"], forced["finish_reason"]) == ("", "stop")
    often = hearth("generate", "-m", ROOT / "tests/golden/tiny/q4_k.gguf", "-n", 60, PROMPT).stdout
    penalized = hearth("generate", "-m", ROOT / "tests/golden/tiny/q4_k.gguf", "-n", 60,
                       "--presence-penalty", 50, "--penalty-last-n", -1, PROMPT).stdout
    assert len(set(penalized)) > len(set(often))


def test_a_prompt_longer_than_the_context_is_refused(hearth):
    n = len(json.loads(hearth("tokenize", "-m", TINY, "-", input=PROMPT).stdout))
    one_line(hearth("generate", "-m", TINY, "--ctx", 10, PROMPT), f"{n} tokens", "10", "--ctx")
    one_line(hearth("generate", "-m", TINY, input="#%" * 2000), "2048", "tokens")
    one_line(hearth("generate", "-m", TINY, "--ctx", 100000, PROMPT), "2048")
    # What fits ends where the context does.
    r = result(hearth("generate", "-m", TINY, "--ctx", n + 5, "--json", PROMPT))
    assert (r["completion_tokens"], r["finish_reason"]) == (5, "length")


def byte_vocabulary(lacking):
    """A GGUF file with a byte-level vocabulary that has no token for some bytes."""

    def text(b):
        return struct.pack("<Q", len(b)) + b

    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    spelled = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
    tokens = [spelled[b].encode() for b in range(256) if b not in lacking]
    strings = {"general.architecture": b"llama", "tokenizer.ggml.model": b"gpt2",
               "tokenizer.ggml.pre": b"gpt-2"}
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(strings) + 2)
    for key, value in strings.items():
        head += text(key.encode()) + struct.pack("<I", 8) + text(value)
    for key, values in (("tokens", tokens), ("merges", [])):
        head += text(b"tokenizer.ggml." + key.encode()) + struct.pack("<IIQ", 9, 8, len(values))
        head += b"".join(map(text, values))
    return head


def test_bytes_that_the_vocabulary_lacks_are_counted(hearth, tmp_path):
    (tmp_path / "v.gguf").write_bytes(byte_vocabulary({0xFF, 0xFE, 4}))
    (tmp_path / "odd").write_bytes(b"a\xff\xfe\x04b")
    done = hearth("tokenize", "-m", "v.gguf", "odd")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("3 bytes ") and "0xFF at offset 1" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (tmp_path / "even").write_bytes(b"a\xfdb")
    assert hearth("tokenize", "-m", "v.gguf", "even").stderr == ""


@pytest.mark.parametrize("args, part", [
    (("--temperature", "-1"), "temperature"),
    (("--top-p", "1.5"), "top-p"),
    (("--top-k", "x"), "top-k"),
    (("--logit-bias", "12"), "12"),
    (("--logit-bias", "x=3"), "x=3"),
    (("--logit-bias", "12=much"), "12=much"),
    (("--logit-bias", "12=nan"), "--logit-bias 12=nan"),
    (("--logit-bias", "100=1"), "--logit-bias 100=1"),
    (("--threads", "0"), "threads"),
    (("--kv", "q5_9"), "q8_0/q4_0"),
    (("--kv", ""), "q8_0/q4_0"),
    (("--kv", "q8_0"), "multiple of 32"),  # this model's heads have 16 numbers
])
def test_wrong_options_are_named(hearth, args, part):
    one_line(hearth("generate", "-m", TINY, *args, PROMPT), part)


@pytest.mark.parametrize("kv", ["q8_0", "q8_0/q4_0", "q4_0"])
def test_a_small_cache_is_near_the_large_one(hearth, kv):
    """Another type of cache moves the scores a little: it is used, and it is no other model."""
    def score(*args):
        p = hearth("score", "-m", HEADS_OF_32, "--json", *args, input=PROMPT * 4)
        return [(t["id"], t["logprob"] or 0) for t in result(p)["tokens"]]

    plain, small = score("--kv", "f16"), score("--kv", kv)
    assert plain == score()
    assert [t[0] for t in small] == [t[0] for t in plain]
    moved = sum(abs(a[1] - b[1]) for a, b in zip(plain, small)) / len(plain)
    assert 0 < moved < 0.5, moved
    text = [result(hearth("generate", "-m", HEADS_OF_32, "--kv", kv, "--json", "-n", 30, PROMPT, *a))
            for a in ((), ("--threads", 3), ("--speculate", "off"))]
    assert text[0]["text"] == text[1]["text"] == text[2]["text"] != ""


def test_nothing_to_continue(hearth):
    one_line(hearth("generate", "-m", TINY, ""), "empty")
    one_line(hearth("generate", "-m", TINY, input=""), "empty")
    one_line(hearth("generate", "-m", "nothing.gguf", "x"), "nothing.gguf")
    one_line(hearth("generate", "-m", __file__, "x"), "test_run.py")


def test_a_full_disk_is_an_error(hearth):
    with open("/dev/full", "w") as full:
        p = hearth("generate", "-m", TINY, PROMPT, stdout=full)
    assert p.returncode == 1
    assert "standard output" in p.stderr and len(p.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupt_ends_cleanly(hearth_bin, tmp_path, how, as_json):
    args = [hearth_bin, "generate", "-m", str(TINY), "-n", "100000", "-t", "1",
            f"--logit-bias={EOS}=-inf", PROMPT]
    if as_json:
        # Nothing is printed before the end, so there is nothing to wait for but the second one.
        args.insert(2, "--json")
    env = {"HOME": str(tmp_path), "HEARTH_CPU": "scalar"}
    p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
    if as_json:
        try:
            p.wait(0.15)
        except subprocess.TimeoutExpired:
            pass
        head = ""
    else:
        head = p.stdout.read(1)
    p.send_signal(how)
    out, err = p.communicate(timeout=60)
    if p.returncode == -how and as_json:
        pytest.skip("the signal came before generation began")
    if p.returncode == 0:
        pytest.skip("the text was complete before the signal came")
    assert p.returncode == 130
    assert err == ""
    if as_json:
        r = json.loads(out)
        assert r["finish_reason"] == "cancelled"
        assert r["completion_tokens"] < 2048
    else:
        assert head


# ---- score ---------------------------------------------------------------------------------------


def test_score_adds_up(hearth, tmp_path):
    text = "while (1) { return the value; }\n"
    (tmp_path / "code.c").write_text(text)
    r = result(hearth("score", "-m", TINY, "--json", "code.c"))
    ids = json.loads(hearth("tokenize", "-m", TINY, "code.c").stdout)
    assert [t["id"] for t in r["tokens"]] == ids
    assert r["n_tokens"] == len(ids)
    assert r["tokens"][0]["logprob"] is None
    scores = [t["logprob"] for t in r["tokens"][1:]]
    assert all(s < 0 for s in scores)
    assert math.isclose(r["nll"], -sum(scores), rel_tol=1e-12)
    assert math.isclose(r["perplexity"], math.exp(r["nll"] / (len(ids) - 1)), rel_tol=1e-12)
    for args, stdin in ((("-",), text), ((), text)):
        again = result(hearth("score", "-m", TINY, "--json", *args, input=stdin))
        assert again == r
    for threads in (1, 3):
        assert result(hearth("score", "-m", TINY, "--json", "-t", threads, "code.c")) == r


def test_score_of_a_beginning_is_the_beginning_of_the_score(hearth):
    """More than one chunk of rows, and the causal order of the model."""
    text = "for (i = 0; i < n; i++) sum += a[i];\n" * 20
    whole = result(hearth("score", "-m", TINY, "--json", "-", input=text))
    assert whole["n_tokens"] > 200
    part = result(hearth("score", "-m", TINY, "--json", "-", input=text[:len(text) // 3]))
    n = part["n_tokens"] - 3  # the cut may change the last tokens
    assert part["tokens"][:n] == whole["tokens"][:n]


def test_score_for_people(hearth):
    p = hearth("score", "-m", TINY, "-", input='say "hi" to all')
    assert p.returncode == 0
    assert "perplexity" in p.stdout and "least expected" in p.stdout
    assert all(len(line) < 80 for line in p.stdout.splitlines())


def test_score_of_little_and_of_too_much(hearth, tmp_path):
    r = result(hearth("score", "-m", TINY, "--json", "-", input="x"))
    assert (r["n_tokens"], r["nll"], r["perplexity"]) == (1, 0, None)
    one_line(hearth("score", "-m", TINY, "--json", "-", input=""), "empty")
    one_line(hearth("score", "-m", TINY, "-", input="#%" * 2000), "2048", "tokens")
    one_line(hearth("score", "-m", TINY, "missing.txt"), "missing.txt")


# ---- bench ---------------------------------------------------------------------------------------


def test_bench_tells_speed_and_limits(hearth):
    r = result(hearth("bench", "-m", TINY, "-p", 32, "-n", 8, "-r", 3, "-t", 1, "--json"))
    for part, tokens in (("prefill", 32), ("decode", 8)):
        m = r[part]
        assert m["tokens"] == tokens and m["n"] == 3 and len(m["samples"]) == 3
        assert 0 < m["min"] <= m["tokens_per_second"] <= m["max"]
        assert m["tokens_per_second"] == sorted(m["samples"])[1]
    assert r["threads"] == 1
    assert r["resident_bytes"] > 1e6
    assert r["bandwidth"]["measured_bytes_per_second"] > 1e8
    assert math.isclose(r["bandwidth"]["share"],
                        r["decode"]["tokens_per_second"] * r["bytes_per_token"]
                        / r["bandwidth"]["measured_bytes_per_second"], rel_tol=1e-6)
    # Two layers of 64 x (64 + 32 + 32 + 64) and 3 x 64 x 96 parameters, and 64 x 100 for the head.
    ops = 2 * (2 * (64 * 192 + 3 * 64 * 96) * 32 + 64 * 100)
    assert math.isclose(r["int8_peak"]["share"],
                        r["prefill"]["tokens_per_second"] / 32 * ops
                        / r["int8_peak"]["ops_per_second"], rel_tol=1e-6)
    assert r["start_to_prefill_ms"] > r["load_ms"] > 0


def test_bench_for_people(hearth):
    p = hearth("bench", "-m", TINY, "-p", 8, "-n", 2, "-r", 1)
    assert p.returncode == 0, p.stderr
    assert "prefill" in p.stdout and "decode" in p.stdout and "resident" in p.stdout
    one_line(hearth("bench", "-m", TINY, "-p", 0, "-n", 0), "nothing")
    assert "decode" not in hearth("bench", "-m", TINY, "-p", 8, "-n", 0, "-r", 1).stdout


def test_show_tells_what_a_carried_type_takes_in_memory(hearth):
    folder = ROOT / "tests/golden/tiny"
    small = json.loads(hearth("show", folder / "iq2_xxs.gguf", "--json").stdout)
    text = hearth("show", folder / "iq2_xxs.gguf").stdout
    tensors = json.loads(hearth("show", folder / "iq2_xxs.gguf", "--json", "--tensors").stdout)
    memory = small["file"]["memory_bytes"]
    carried = [t["bytes"] for t in tensors["file"]["tensors"] if t["type"] == "IQ2_XXS"]
    rest = [t["bytes"] for t in tensors["file"]["tensors"] if t["type"] != "IQ2_XXS"]
    assert memory == sum(carried) * 141 // 66 + sum(rest)  # bytes of 256 weights: packed, in a file
    assert "in memory" in text
    assert "in memory" not in hearth("show", folder / "iq4_xs.gguf").stdout
