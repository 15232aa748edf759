"""hearth complete, from the command line to the inserted text.

Most tests use a model of a few kilobytes with random weights, written here: it says nonsense, which is
enough for positions, line ends, counts and errors. Those that need sense use the real model that
HEARTH_TEST_MODEL names, and are skipped without it.
"""

import json
import os
import pty
import random
import re
import struct
import subprocess

import pytest

from conftest import ROOT

REAL = os.environ.get("HEARTH_TEST_MODEL")
SPECIAL = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
           "<|repo_name|>", "<|file_sep|>"]

# ---- a tiny model -----------------------------------------------------------------------------------


def byte_tokens():
    """GPT-2's spelling of the 256 bytes."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = iter(range(256, 512))
    return [chr(b) if b in itself else chr(next(shifted)) for b in range(256)]


def gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value[0], int):
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_string, value))


def write_gguf(path, keys, tensors):
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, value in keys.items():
        out += gguf_string(name) + gguf_value(value)
    data = b""
    for name, (shape, values) in tensors.items():
        data += b"\0" * (-len(data) % 32)
        out += gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0,
                                               len(data))
        data += struct.pack(f"<{len(values)}f", *values)
    out += b"\0" * (-len(out) % 32)
    path.write_bytes(out + data)


def write_tiny_model(path, special, seed=1):
    rng = random.Random(seed)
    tokens = byte_tokens() + special
    n, n_embd, n_ff = len(tokens), 32, 64
    keys = {
        "general.architecture": "llama", "llama.block_count": 1, "llama.context_length": 512,
        "llama.embedding_length": n_embd, "llama.feed_forward_length": n_ff,
        "llama.attention.head_count": 2, "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.token_type": [1] * 256 + [3] * len(special),
        "tokenizer.ggml.eos_token_id": 256, "tokenizer.ggml.bos_token_id": 256,
        "tokenizer.ggml.add_bos_token": False,
    }

    def matrix(rows, cols):
        return (cols, rows), [rng.gauss(0, 0.3) for _ in range(rows * cols)]

    ones = (n_embd,), [1.0] * n_embd
    tensors = {"token_embd.weight": matrix(n, n_embd), "output.weight": matrix(n, n_embd),
               "output_norm.weight": ones, "blk.0.attn_norm.weight": ones,
               "blk.0.ffn_norm.weight": ones}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensors[f"blk.0.{name}.weight"] = matrix(n_embd, n_embd)
    for name in ("ffn_gate", "ffn_up"):
        tensors[f"blk.0.{name}.weight"] = matrix(n_ff, n_embd)
    tensors["blk.0.ffn_down.weight"] = matrix(n_embd, n_ff)
    write_gguf(path, keys, tensors)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "fim.gguf", SPECIAL)
    write_tiny_model(folder / "plain.gguf", SPECIAL[:1])
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def complete(hearth, models, cache):
    def run(*args, model=None, **options):
        env = {"XDG_CACHE_HOME": cache, **options.pop("env", {})}
        return hearth("complete", "-m", model or models / "fim.gguf", *args, env=env, **options)

    return run


def write(tmp_path, text, name="a.py"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def fails(done, *words, code=None):
    assert done.returncode != 0 and done.stdout == "", done
    assert code is None or done.returncode == code
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("hearth"), done.stderr
    for word in words:
        assert word in lines[0], lines[0]


# ---- positions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at, words", [
    ("3:1", None), ("1:1", None), ("1:5", None), ("2:3", None),
    ("4:1", ["no line 4", "which has 2 lines"]),
    ("999999999999:1", ["no line 999999999999"]),
    ("1:6", ["no column 6 in line 1", "4 characters", "its end is column 5"]),
    ("2:4", ["no column 4 in line 2", "2 characters"]),
])
def test_positions(complete, tmp_path, at, words):
    path = write(tmp_path, "abéd\nxy\n")
    done = complete(path, "--at", at, "--max-tokens", 4)
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        fails(done, *words, str(path))


@pytest.mark.parametrize("at", ["", "3", "a:b", "1:", ":1", "0:1", "1:0", "-1:2", "1:2:3", " 1:2",
                                "1:2 ", "99999999999999999999999999:1"])
def test_what_is_no_position(complete, tmp_path, at):
    fails(complete(write(tmp_path, "a\n"), f"--at={at}"), "expected LINE:COL", code=2)


def test_columns_are_characters(complete, tmp_path):
    """The marker and the position that it stands for give the same prompt and text."""
    for name, text, at in [("u.py", "x = 'é€😀|'\n", "1:9"), ("t.c", "\t\tif (|)\n", "1:7"),
                           ("w.py", "a\r\nb = |\r\nc\r\n", "2:5"), ("e.py", "|", "1:1"),
                           ("n.py", "a\n|", "2:1"), ("b.py", "\ufeffab|c\n", "1:3")]:
        by_position = complete(write(tmp_path, text.replace("|", ""), name), "--at", at, "--json")
        by_marker = complete(write(tmp_path, text.replace("|", "<|cursor|>"), name), "--json")
        assert by_position.returncode == by_marker.returncode == 0, by_position.stderr
        a, b = json.loads(by_position.stdout), json.loads(by_marker.stdout)
        a.pop("timings"), b.pop("timings")
        assert a == b
        assert f"{a['line']}:{a['column']}" == at


def test_standard_input(complete):
    done = complete("-", input="a = <|cursor|>\n")
    assert done.returncode == 0 and done.stderr == ""
    assert complete("-", "--at", "1:5", input="a = \n").stdout == done.stdout
    fails(complete("-", input="a = 1\n"), "no position in standard input", "<|cursor|>")
    fails(complete("-", input="<|cursor|><|cursor|>"), "more than one <|cursor|>")
    fails(complete("-", input=""), "no position")


# ---- files that cannot be completed -------------------------------------------------------------------


def test_bad_files(complete, tmp_path):
    fails(complete(tmp_path / "missing.c", "--at", "1:1"), "missing.c", code=1)
    fails(complete(tmp_path, "--at", "1:1"), str(tmp_path))
    fails(complete(write(tmp_path, b"ab\ncd\xe9f\n"), "--at", "1:1"),
          "not UTF-8", "byte 5", "line 2", "0xE9")
    fails(complete(write(tmp_path, b"ab\0cd"), "--at", "1:1"), "not text", "byte 2")
    big = tmp_path / "big.c"
    with open(big, "wb") as f:
        f.truncate((64 << 20) + 1)
    fails(complete(big, "--at", "1:1"), "larger than 64 MB")


@pytest.mark.parametrize("name", [".env", ".env.local", "tls.pem", "server.KEY", "id_rsa", "id_ed25519"])
def test_secrets_are_not_read(complete, tmp_path, name):
    path = write(tmp_path, "TOKEN=<|cursor|>\n", name)
    fails(complete(path), "keys or passwords", "--force")
    assert complete(path, "--force", "--max-tokens", 1).returncode == 0


def test_usage(complete, tmp_path):
    path = write(tmp_path, "a\n")
    fails(complete(path, path, "--at", "1:1"), "--at", code=2)
    fails(complete(path, "--at", "1:1", "--json", "--show"), "--json and --show", code=2)
    fails(complete(path, "--stdio"), "--stdio", code=2)
    fails(complete("--stdio", "--json"), "--stdio", code=2)
    fails(complete(), "FILE", code=2)
    fails(complete(path, "--at", "1:1", "--raw", "--multiline"), "exclude each other", code=2)
    fails(complete(path, "--at", "1:1", "--without", "far,nope"), "no technique is called 'nope'", code=2)
    fails(complete(path, "--at", "1:1", "--max-tokens", "0"), "--max-tokens", code=2)
    fails(complete(path, "--at", "1:1", "--temperature", "-1"), "--temperature", code=2)


def test_a_model_that_cannot_fill_in(complete, models, tmp_path):
    path = write(tmp_path, "a\n")
    fails(complete(path, "--at", "1:1", model=models / "plain.gguf"),
          "plain.gguf", "no fill-in-the-middle tokens", "qwen2.5-coder:1.5b", code=1)
    fails(complete(path, "--at", "1:1", model=path), str(path))


# ---- what comes out -----------------------------------------------------------------------------------


def test_json(complete, tmp_path):
    path = write(tmp_path, "def f():\n    return \n")
    done = complete(path, "--at", "2:12", "--json", "--max-tokens", 5, "--raw")
    assert done.returncode == 0 and done.stderr == ""
    got = json.loads(done.stdout)
    assert isinstance(got["text"], str)
    # The text and three control tokens; what the line ends with is left to the model.
    assert got["prompt_tokens"] == len("def f():\n    return \n") + 3 - 1
    assert 0 <= got["completion_tokens"] <= 5
    assert got["finish_reason"] in ("stop", "length")
    assert got["truncated"] is False and got["prefix_tokens_dropped"] == 0
    assert (got["line"], got["column"], got["file"]) == (2, 12, str(path))
    assert got["template"] == "qwen2.5-coder"
    for name in ("load_ms", "start_to_prefill_ms", "prefill_ms", "first_token_ms", "decode_ms",
                 "total_ms", "prefill_tokens_per_second", "decode_tokens_per_second"):
        assert got["timings"][name] >= 0
    assert got["timings"]["total_ms"] >= got["timings"]["prefill_ms"]
    plain = complete(path, "--at", "2:12", "--max-tokens", 5, "--raw")
    assert plain.stdout == got["text"]


def test_the_file_is_not_changed_and_the_text_repeats(complete, tmp_path):
    path = write(tmp_path, "a = \nb\n")
    first = complete(path, "--at", "1:5", "--temperature", 1, "--seed", 7, "-t", 1)
    second = complete(path, "--at", "1:5", "--temperature", 1, "--seed", 7, "-t", 2)
    assert first.returncode == 0 and first.stdout == second.stdout
    assert path.read_text() == "a = \nb\n"


def test_always_text(complete, tmp_path):
    """Random weights say random bytes: what is printed is UTF-8 nevertheless."""
    path = write(tmp_path, "x\n")
    for seed in range(12):
        done = complete(path, "--at", "1:2", "--temperature", 3, "--seed", seed, "--json",
                        "--raw" if seed % 2 else "--multiline")
        assert done.returncode == 0, done.stderr
        text = json.loads(done.stdout)["text"]
        assert not any(0xD800 <= ord(c) < 0xE000 for c in text)


def test_a_long_file_is_cut_and_that_is_said(complete, tmp_path):
    text = "".join(f"line {i}\n" for i in range(2000))
    path = write(tmp_path, text)
    done = complete(path, "--at", "1000:3", "--json", "--max-tokens", 10)
    assert done.returncode == 0
    got = json.loads(done.stdout)
    assert got["truncated"] is True and got["context_tokens"] == 512
    assert got["prompt_tokens"] + 10 <= 512
    dropped = got["prefix_tokens_dropped"] + got["suffix_tokens_dropped"]
    assert dropped + got["prompt_tokens"] - 3 + 1 == len(text)  # one is left to the model
    assert got["prefix_lines_dropped"] > 900 and got["suffix_lines_dropped"] > 900
    assert len(done.stderr.splitlines()) == 1 and "were left out" in done.stderr
    smaller = json.loads(complete(path, "--at", "1000:3", "--json", "--max-tokens", 10, "--ctx",
                                  100).stdout)
    assert smaller["prompt_tokens"] + 10 <= 100


def test_limits_of_the_context(complete, tmp_path):
    path = write(tmp_path, "a\n" * 400)
    fails(complete(path, "--at", "1:1", "--max-tokens", 512), "512")
    fails(complete(path, "--at", "1:1", "--ctx", 513), "513")
    fails(complete(path, "--at", "1:1", "--ctx", 20, "--max-tokens", 10), "tokens")


def test_deadline(complete, tmp_path):
    path = write(tmp_path, "a = \n" * 80)
    done = complete(path, "--at", "40:5", "--deadline", "0.001", "--json")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["finish_reason"] == "deadline" and got["text"] == ""


def test_several_files(complete, tmp_path):
    paths = [write(tmp_path, f"x{i} = <|cursor|>\n", f"{i}.py") for i in range(3)]
    done = complete(*paths, "--json")
    got = [json.loads(line) for line in done.stdout.splitlines()]
    assert [g["file"] for g in got] == [str(p) for p in paths]
    assert "load_ms" in got[0]["timings"] and "load_ms" not in got[1]["timings"]
    alone = json.loads(complete(paths[2], "--json").stdout)
    assert alone["text"] == got[2]["text"]


def test_show(complete, tmp_path):
    path = write(tmp_path, "one\ntwo = \n\x1b[31mthree\n")
    done = complete(path, "--at", "2:7", "--show", "--max-tokens", 3)
    assert done.returncode == 0
    assert re.search(r"^ +1   one$", done.stdout, re.M)
    assert "?[31mthree" in done.stdout and "\x1b" not in done.stdout
    assert "tokens/s" in done.stdout.splitlines()[-1]


def test_an_empty_file(complete, tmp_path):
    assert complete(write(tmp_path, ""), "--at", "1:1").returncode == 0
    fails(complete(write(tmp_path, ""), "--at", "2:1"), "1 line")


# ---- with a real model --------------------------------------------------------------------------------

real = pytest.mark.skipif(not REAL, reason="HEARTH_TEST_MODEL names no model")

AREA = '''import math


def area(radius):
    """Area of a circle."""
    return <|cursor|>


def mean(values):
    return sum(values) / len(values)
'''


@real
def test_real_single_line(complete, tmp_path):
    done = complete(write(tmp_path, AREA), "--json", model=REAL)
    got = json.loads(done.stdout)
    assert got["text"] in ("math.pi * radius ** 2", "math.pi * radius**2", "math.pi * (radius ** 2)")
    assert got["finish_reason"] == "stop" and got["truncated"] is False


@real
def test_real_crlf(complete, tmp_path):
    text = "int add(int a, int b)\n{\n    <|cursor|>\n}\n\nint main(void)\n{\n    return add(1, 2);\n}\n"
    lf = json.loads(complete(write(tmp_path, text, "a.c"), "--json", "--multiline", model=REAL).stdout)
    crlf = json.loads(complete(write(tmp_path, text.replace("\n", "\r\n"), "b.c"), "--json",
                               "--multiline", model=REAL).stdout)
    assert crlf["text"] == lf["text"].replace("\n", "\r\n")
    assert "a + b" in lf["text"]


@real
def test_real_brackets_are_not_doubled(complete, tmp_path):
    got = json.loads(complete(write(tmp_path, "def add(a, b):\n    return a + b\n\n\n"
                                              "print(add(<|cursor|>))\n"), "--json", model=REAL).stdout)
    assert got["text"].count("(") == got["text"].count(")")
    assert "\n" not in got["text"]


@real
def test_real_control_tokens_in_the_text_are_text(complete, tmp_path):
    text = 'STOP = "<|fim_middle|>"\nSTART = "<|fim_prefix|>"\nx = <|cursor|>\n'
    got = json.loads(complete(write(tmp_path, text), "--json", model=REAL).stdout)
    assert got["prompt_tokens"] > 20


@real
def test_real_show_on_a_terminal(hearth_bin, tmp_path, cache):
    path = write(tmp_path, AREA)
    parent, child = pty.openpty()
    env = {"HOME": str(tmp_path), "TERM": "xterm", "XDG_CACHE_HOME": cache, "PATH": os.environ["PATH"]}
    done = subprocess.run([hearth_bin, "complete", "-m", REAL, "--show", str(path)], stdout=child,
                          stderr=subprocess.PIPE, env=env, timeout=120, check=False)
    os.close(child)
    out = os.read(parent, 65536).decode()
    os.close(parent)
    assert done.returncode == 0
    assert "\x1b[1;32mmath.pi" in out
    assert str(ROOT) not in out
