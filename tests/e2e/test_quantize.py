"""hearth quantize: what it writes, what it says, and that it leaves nothing behind when it fails."""

import hashlib
import json
import struct
from pathlib import Path

import pytest

TINY = Path(__file__).resolve().parent.parent / "golden/tiny"
MODEL = TINY / "llama-gqa.gguf"  # F16, rows of 64 and 96 elements


def types_of(hearth, path):
    file = json.loads(hearth("show", path, "--tensors", "--json").stdout)["file"]
    return {t["name"]: t["type"] for t in file["tensors"]}


def test_types_sizes_and_errors(hearth, tmp_path):
    sizes = {}
    for name in ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL", "MXFP4"):
        out = tmp_path / f"{name}.gguf"
        done = hearth("quantize", MODEL, out, name, "--json", "--quiet")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["type"] == name and result["written"] is True
        assert result["bytes_out"] == out.stat().st_size
        types = types_of(hearth, out)
        assert types["blk.0.ffn_up.weight"] == name
        assert types["blk.0.attn_norm.weight"] == "F32"
        assert {t["name"]: t["to"] for t in result["tensors"]} == types
        sizes[name] = (out.stat().st_size, result["relative_error"])
    assert sizes["F32"][1] == sizes["F16"][1] == 0 < sizes["BF16"][1] < sizes["Q8_0"][1] < sizes["Q5_0"][1] < sizes["Q4_0"][1]
    assert sizes["Q4_0"][1] < 0.12
    assert sizes["Q4_0"][0] < sizes["Q8_0"][0] < sizes["F16"][0] < sizes["F32"][0]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{n}.gguf" for n in sizes)


def test_a_k_mix_falls_back_where_rows_are_short(hearth, tmp_path):
    out = tmp_path / "k.gguf"
    done = hearth("quantize", MODEL, out, "q4_k_m", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "rows do not fit Q4_K" in done.stdout and "do not fit the type's blocks" in done.stderr
    types = types_of(hearth, out)
    assert types["blk.0.ffn_up.weight"] == "Q5_0"
    assert "Q4_K_M" in done.stdout.splitlines()[-1]


def test_threads_do_not_matter(hearth, tmp_path):
    digests = set()
    for threads in (1, 2, 7):
        out = tmp_path / "out.gguf"
        assert hearth("quantize", MODEL, out, "Q4_0", "-t", threads).returncode == 0
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_options(hearth, tmp_path):
    out = tmp_path / "out.gguf"
    done = hearth("quantize", MODEL, out, "Q4_0", "--tensor-type", r"blk\.0\.attn_v=q8_0", "--tensor-type",
                  "attn_v=f16", "--output-tensor-type", "Q5_1", "--token-embedding-type", "q4_1")
    assert done.returncode == 0, done.stderr
    types = types_of(hearth, out)
    assert types["blk.0.attn_v.weight"] == "Q8_0" and types["blk.1.attn_v.weight"] == "F16"
    assert types["token_embd.weight"] == "Q4_1" and types["output.weight"] == "Q5_1"
    assert hearth("quantize", MODEL, out, "Q4_0", "--pure").returncode == 0
    types = types_of(hearth, out)
    assert {t for n, t in types.items() if n.endswith("weight") and "norm" not in n} == {"Q4_0"}
    assert hearth("quantize", MODEL, out, "Q4_0", "--leave-output-tensor").returncode == 0
    assert types_of(hearth, out)["output.weight"] == "F16"


def dat_imatrix(columns):
    """An importance matrix in the older format: {name: values}."""
    data = struct.pack("<i", len(columns))
    for name, values in columns.items():
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, len(values))
        data += struct.pack(f"<{len(values)}f", *values)
    return data + struct.pack("<ii", 3, 8) + b"/a/b.txt"


def test_importance_matrix(hearth, tmp_path):
    shown = json.loads(hearth("show", MODEL, "--tensors", "--json").stdout)["file"]["tensors"]
    columns = {t["name"]: [1 + 100.0 * (i % 3 == 0) for i in range(t["shape"][0])]
               for t in shown if len(t["shape"]) == 2 and "ffn_up" in t["name"]}
    matrix = tmp_path / "m.dat"
    matrix.write_bytes(dat_imatrix(columns))
    out = tmp_path / "out.gguf"
    done = hearth("quantize", MODEL, out, "Q4_0", "--imatrix", matrix, "--json")
    assert done.returncode == 0, done.stderr
    assert "lacks" in done.stderr, "the other matrices have no weights"
    result = json.loads(done.stdout)
    assert {t["name"] for t in result["tensors"] if t["weighted"]} == set(columns)
    assert b"quantize.imatrix.file" in out.read_bytes() and str(tmp_path).encode() not in out.read_bytes()
    assert b"/a/b.txt" not in out.read_bytes(), "folders are nobody's business"
    matrix.write_bytes(dat_imatrix(columns)[:-40])
    done = hearth("quantize", MODEL, tmp_path / "no.gguf", "Q4_0", "--imatrix", matrix)
    assert done.returncode == 1 and "m.dat" in done.stderr and not (tmp_path / "no.gguf").exists()
    matrix.write_bytes(dat_imatrix({n: v[1:] for n, v in columns.items()}))
    done = hearth("quantize", MODEL, tmp_path / "no.gguf", "Q4_0", "--imatrix", matrix)
    assert done.returncode == 2 and "another model" in done.stderr


@pytest.mark.parametrize("args, code, message", [
    ([MODEL, "out.gguf", "Q9"], 2, "there are Q2_K"),
    ([MODEL, "out.gguf", "IQ2_XXS"], 2, "is no type"),
    ([MODEL, "out.gguf", "Q4_0", "--tensor-type", "attn_v"], 2, "PATTERN=TYPE"),
    ([MODEL, "out.gguf", "Q4_0", "--tensor-type", "attn_v=iq2_xxs"], 2, "does not write"),
    ([MODEL, "out.gguf", "Q4_0", "--tensor-type", "(=q8_0"], 2, "regular expression"),
    ([MODEL, "out.gguf", "Q4_0", "--output-tensor-type", "float"], 2, "no tensor type"),
    ([MODEL, "nowhere/out.gguf", "Q4_0"], 1, "nowhere/out.gguf"),
    (["missing.gguf", "out.gguf", "Q4_0"], 1, "missing.gguf"),
    ([TINY / "q8_0.gguf", "out.gguf", "Q4_0"], 2, "--allow-requantize"),
    ([MODEL, "out.gguf"], 2, "TYPE"),
])
def test_mistakes(hearth, tmp_path, args, code, message):
    done = hearth("quantize", *args)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_requantizing_is_warned_of(hearth, tmp_path):
    out = tmp_path / "out.gguf"
    done = hearth("quantize", TINY / "q8_0.gguf", out, "Q4_0", "--allow-requantize")
    assert done.returncode == 0 and "quantized before" in done.stderr
    before = out.read_bytes()
    done = hearth("quantize", out, out, "Q8_0", "--allow-requantize")
    assert done.returncode == 2 and "its own input" in done.stderr
    assert out.read_bytes() == before


def test_a_dry_run_tells_the_size(hearth, tmp_path):
    out = tmp_path / "out.gguf"
    planned = json.loads(hearth("quantize", MODEL, out, "Q4_0", "--dry-run", "--json").stdout)
    assert not out.exists() and planned["written"] is False
    assert hearth("quantize", MODEL, out, "Q4_0").returncode == 0
    assert out.stat().st_size == planned["bytes_out"]


def test_the_result_runs(hearth, tmp_path):
    lossless, small = tmp_path / "f32.gguf", tmp_path / "q8.gguf"
    assert hearth("quantize", MODEL, lossless, "F32").returncode == 0
    assert hearth("quantize", MODEL, small, "Q8_0").returncode == 0
    nll = []
    for path in (MODEL, lossless, small):
        done = hearth("score", "-m", path, "--json", input="a test of a text")
        assert done.returncode == 0, done.stderr
        nll.append(json.loads(done.stdout)["nll"])
    assert nll[1] == pytest.approx(nll[0], rel=1e-3)
    assert nll[2] == pytest.approx(nll[0], rel=1e-2)
