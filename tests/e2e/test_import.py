"""hearth import as a person runs it: into the store, to a path, killed and run again, with little memory,
and with folders that are not what they should be."""

import json
import os
import resource
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

WIDTH, LAYERS, TOKENS = 64, 2, 264


def name_numbers(name, n):
    """BF16 numbers of no meaning, other for each name."""
    seed = sum(name.encode()) * 2654435761 & 0xFFFFFFFF
    out = bytearray()
    for i in range(n):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        # A sign, an exponent near one's and seven bits of mantissa.
        out += struct.pack("<H", (seed >> 16 & 0x8000) | 0x3C00 | (seed >> 20 & 0xFF))
    return bytes(out)


def safetensors(tensors):
    header, data = {}, bytearray()
    for name, shape in tensors.items():
        n = 1
        for d in shape:
            n *= d
        block = name_numbers(name, min(n, 4096))
        start = len(data)
        data += (block * (n // min(n, 4096) + 1))[: 2 * n]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def byte_alphabet():
    """GPT-2's characters for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def llama_folder(folder: Path, width=WIDTH, layers=LAYERS, ff=None):
    ff = ff or width
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": ff,
              "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
              "vocab_size": TOKENS, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"model.embed_tokens.weight": [TOKENS, width], "model.norm.weight": [width]}
    for i in range(layers):
        p = f"model.layers.{i}."
        tensors |= {p + "input_layernorm.weight": [width], p + "post_attention_layernorm.weight": [width],
                    p + "self_attn.q_proj.weight": [width, width],
                    p + "self_attn.k_proj.weight": [width // 2, width],
                    p + "self_attn.v_proj.weight": [width // 2, width],
                    p + "self_attn.o_proj.weight": [width, width], p + "mlp.gate_proj.weight": [ff, width],
                    p + "mlp.up_proj.weight": [ff, width], p + "mlp.down_proj.weight": [width, ff]}
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    vocab = {c: i for i, c in enumerate(byte_alphabet())} | {"ab": 256, "cd": 257}
    tokenizer = {"version": "1.0", "added_tokens": [
        {"id": 258 + i, "content": t, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for i, t in enumerate(["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"])],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", "c d"]}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"eos_token": "<|endoftext|>", "model_max_length": int(1e30), "chat_template": "{{ messages }}"}))
    return folder


@pytest.fixture
def folder(tmp_path):
    return llama_folder(tmp_path / "tiny")


def test_into_the_store_and_run(hearth, folder):
    done = hearth("import", folder, "mine:tiny", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["name"] == "mine:tiny" and said["architecture"] == "llama"
    assert all(c["exact"] for c in said["classes"])
    assert said["tokenizer"]["templates"] == 1
    assert "mine:tiny" in hearth("list").stdout
    ran = hearth("generate", "-m", "mine:tiny", "ab", "-n", "3", "--temperature", "0")
    assert ran.returncode == 0, ran.stderr
    # The same file again is the same blob.
    again = json.loads(hearth("import", folder, "other:tiny", "--json").stdout)
    assert again["sha256"] == said["sha256"]


def test_to_a_path_and_quantized(hearth, folder, tmp_path):
    out = tmp_path / "out.gguf"
    done = hearth("import", folder, out, "--quantize", "Q8_0")
    assert done.returncode == 0, done.stderr
    assert "Q8_0" in done.stdout and "error max" in done.stdout
    assert out.read_bytes()[:4] == b"GGUF"
    assert not list(tmp_path.glob("*.part*"))


def test_help_of_mistakes(hearth, folder, tmp_path):
    for args, why in [
        ((folder, "a/b"), "neither a model's name nor a path"),
        ((tmp_path / "nothing", "x"), "no folder of a Hugging Face model"),
        ((folder, tmp_path / "o.gguf", "--quantize", "Q9"), "no type or mix"),
    ]:
        done = hearth("import", *args)
        assert done.returncode != 0 and why in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_killed_import_goes_on(hearth, hearth_bin, tmp_path):
    folder = llama_folder(tmp_path / "larger", width=1024, layers=12)
    out, part = tmp_path / "out.gguf", tmp_path / "out.gguf.part.log"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))} | {"HOME": str(tmp_path)}
    # Slow enough for a signal to meet it in the middle: the best mix, one thread.
    command = [hearth_bin, "import", str(folder), str(out), "--quantize", "Q6_K", "-t", "1", "-q"]
    p = subprocess.Popen(command, env=env)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and p.poll() is None:
        if part.exists() and len(part.read_text().splitlines()) > 8:
            break
        time.sleep(0.005)
    p.send_signal(signal.SIGKILL)
    p.wait()
    assert not out.exists(), "it was over before it could be killed"
    done = hearth("import", folder, out, "--quantize", "Q6_K", "-t", "1", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["resumed"] >= 7
    whole = tmp_path / "whole.gguf"
    assert hearth("import", folder, whole, "--quantize", "Q6_K", "-q").returncode == 0
    assert whole.read_bytes() == out.read_bytes()


def test_an_interrupt_is_told(hearth_bin, tmp_path):
    folder = llama_folder(tmp_path / "larger", width=1024, layers=12)
    out = tmp_path / "out.gguf"
    p = subprocess.Popen([hearth_bin, "import", str(folder), str(out), "--quantize", "Q6_K", "-t", "1"],
                         stderr=subprocess.PIPE, text=True, env=dict(os.environ, HOME=str(tmp_path)))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "out.gguf.part.log").exists():
        time.sleep(0.005)
    p.send_signal(signal.SIGINT)
    _, said = p.communicate(timeout=60)
    assert p.returncode == 130 and "goes on from there" in said
    assert (tmp_path / "out.gguf.part").exists() and not out.exists()


def test_two_at_once(hearth, hearth_bin, tmp_path):
    folder = llama_folder(tmp_path / "larger", width=1024, layers=12)
    out = tmp_path / "out.gguf"
    p = subprocess.Popen([hearth_bin, "import", str(folder), str(out), "--quantize", "Q6_K", "-t", "1", "-q"],
                         env=dict(os.environ, HOME=str(tmp_path)))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "out.gguf.part.log").exists():
        time.sleep(0.005)
    second = hearth("import", folder, out, "--quantize", "Q6_K")
    p.kill()
    p.wait()
    assert second.returncode == 1 and "another process is writing" in second.stderr


def test_unfinished_imports_are_removed(hearth, hearth_bin, tmp_path):
    folder = llama_folder(tmp_path / "larger", width=1024, layers=12)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))} | {"HOME": str(tmp_path)}
    p = subprocess.Popen([hearth_bin, "import", str(folder), "mine:q6", "-z", "Q6_K", "-t", "1", "-q"], env=env)
    imports = tmp_path / ".local/share/hearth/imports"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (imports / "mine@q6.gguf.part.log").exists():
        time.sleep(0.005)
    hearth("rm", "--unfinished")
    assert (imports / "mine@q6.gguf.part").exists(), "it is under way"
    p.kill()
    p.wait()
    done = hearth("rm", "--unfinished")
    assert done.returncode == 0, done.stderr
    assert not list(imports.iterdir())


def test_memory_does_not_grow_with_the_model(hearth_bin, tmp_path):
    """A model of 90 MB through an address space that could not hold a copy of it beside the mapping."""
    folder = llama_folder(tmp_path / "large", width=1024, layers=6, ff=4096)
    size = (folder / "model.safetensors").stat().st_size
    out = tmp_path / "out.gguf"

    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (32 << 20, 32 << 20))

    done = subprocess.run(["/usr/bin/env", hearth_bin, "import", str(folder), str(out), "-q", "-t", "1"],
                          env=dict(os.environ, HOME=str(tmp_path)), preexec_fn=limit, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    assert size > 80 << 20 and out.stat().st_size > 80 << 20
