"""bench on synthetic models, behind a context, and of several rows at once."""

import json
import os
import signal
import subprocess
import time

import pytest


def one_line(p, *words):
    assert p.returncode != 0
    assert len(p.stderr.strip().splitlines()) == 1, p.stderr
    for word in words:
        assert word in p.stderr


def files_under(folder):
    return [f for f in folder.rglob("*") if f.is_file()]


def test_a_synthetic_model_leaves_nothing(hearth, tmp_path):
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 32, "-n", 8, "-r", 2, "--json")
    assert p.returncode == 0, p.stderr
    r = json.loads(p.stdout)
    assert r["model"] == "tiny:q4_0" and r["architecture"] == "llama"
    assert r["prefill"]["tokens_per_second"] > 0 and r["decode"]["tokens_per_second"] > 0
    assert files_under(tmp_path) == []


def test_a_kept_file_is_used_again_and_never_overwritten(hearth, tmp_path):
    path = tmp_path / "kept.gguf"
    args = ["bench", "--keep", path, "-p", 0, "-n", 0, "--synthetic"]
    assert hearth(*args, "tiny:q8_0").returncode == 0
    before = path.stat()
    assert hearth(*args, "tiny:q8_0").returncode == 0
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    one_line(hearth(*args, "tiny:q4_0"), "exists and is not tiny:q4_0")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    p = hearth("bench", "-m", path, "-p", 8, "-n", 2, "-r", 1)
    assert p.returncode == 0, p.stderr
    one_line(hearth("bench", "--synthetic", "tiny:q8_0", "--keep", tmp_path / "none/x.gguf",
                    "-p", 0, "-n", 0), "none")


@pytest.mark.parametrize("kind", ["q4_0", "q4_k", "bf16"])
def test_the_gguf_package_reads_what_was_written(hearth, tmp_path, kind):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "m.gguf"
    p = hearth("bench", "--synthetic", f"tiny:{kind}", "--keep", path, "-p", 0, "-n", 0)
    assert p.returncode == 0, p.stderr
    reader = gguf.GGUFReader(path)
    assert reader.fields["llama.block_count"].contents() == 2
    assert reader.fields["llama.rope.freq_base"].contents() == 10000
    assert reader.fields["general.name"].contents() == f"synthetic tiny {kind.upper()}"
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == 512 and tokens[:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    tensors = {t.name: t for t in reader.tensors}
    assert len(tensors) == 2 * 9 + 3
    t = tensors["blk.1.ffn_down.weight"]
    assert t.tensor_type.name == kind.upper() and list(t.shape) == [512, 256]
    w = gguf.dequantize(t.data, t.tensor_type)
    assert 0.6 < w.std() * 512 ** 0.5 < 1.6 and abs(w.mean()) < 0.01
    assert (tensors["output_norm.weight"].data == 1).all()


def test_steps_and_context(hearth):
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 16, "-n", 4, "-r", 3, "-d", 200,
               "--rows", "4,1,16", "--json")
    assert p.returncode == 0, p.stderr
    r = json.loads(p.stdout)
    assert r["context"] == 200
    assert [s["rows"] for s in r["steps"]] == [4, 1, 16]
    four, one, _ = r["steps"]
    assert one["ratio"] == 1 and four["ms"] > 0
    assert four["ratio"] == pytest.approx(four["ms"] / one["ms"])
    assert four["rows_per_second"] == pytest.approx(4e3 / four["ms"])
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 0, "-n", 0, "-r", 1, "--rows", "2")
    assert p.returncode == 0 and "1.00 x" in p.stdout and "prefill" not in p.stdout


def test_clients_at_once(hearth):
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 96, "-n", 8, "-r", 1,
               "--parallel", "1,5", "--json")
    assert p.returncode == 0, p.stderr
    one, five = json.loads(p.stdout)["parallel"]
    assert (one["clients"], one["requests"]) == (1, 4)
    assert (five["clients"], five["requests"]) == (5, 10)
    assert five["tokens_per_second"] == pytest.approx(10 * 8 / five["seconds"])
    assert 0 < five["first_token_ms"] <= five["first_token_p95_ms"] < 1e3 * five["seconds"]
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 16, "-n", 2, "-r", 1, "--parallel", "2")
    assert p.returncode == 0 and "clients" in p.stdout


def test_the_machine_is_described(hearth):
    p = hearth("bench", "--synthetic", "tiny:f16", "-p", 8, "-n", 2, "-r", 1, "--json",
               env={"HEARTH_CPU": "scalar"})
    assert p.returncode == 0, p.stderr
    m = json.loads(p.stdout)["machine"]
    assert m["kernels"] == "scalar"
    assert m["cores"] >= 1 and m["memory_bytes"] > 1e8 and m["cpu"] and m["compiler"]
    assert m["os"].startswith(os.uname().sysname) and len(m["date"]) == 20
    assert isinstance(m["features"], list)


@pytest.mark.parametrize("args, words", [
    (["--synthetic", "nonesuch:q4_0"], ["codellama-13b"]),
    (["--synthetic", "tiny"], ["tiny:q4_0", "Q6_K"]),
    (["--synthetic", "tiny:q4_0", "-m", "x"], ["choose one"]),
    (["--keep", "x.gguf"], ["--synthetic"]),
    (["--synthetic", "tiny:q4_0", "--rows", "1,,2"], ["--rows"]),
    (["--synthetic", "tiny:q4_0", "--rows", "0"], ["--rows"]),
    (["--synthetic", "tiny:q4_0", "--rows", "513"], ["--rows"]),
    (["--synthetic", "tiny:q4_0", "--parallel", "8,x"], ["--parallel"]),
    (["--synthetic", "tiny:q4_0", "--parallel", "2", "-n", "0"], ["--parallel"]),
    (["--synthetic", "tiny:q4_0", "-d", "2000"], ["2048"]),
    (["--synthetic", "codellama-34b:f32"], ["memory", "smaller"]),
])
def test_what_cannot_be_measured_is_said(hearth, tmp_path, args, words):
    one_line(hearth("bench", *args), *words)
    assert files_under(tmp_path) == []


def test_an_interrupt_leaves_no_file(hearth_bin, tmp_path):
    env = {**os.environ, "HEARTH_HOME": str(tmp_path)}
    p = subprocess.Popen([hearth_bin, "bench", "--synthetic", "llama-1b:q8_0"], env=env,
                         stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not files_under(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files_under(tmp_path)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 130, err
    assert files_under(tmp_path) == []


def test_what_runs_that_were_killed_left_is_removed(hearth, tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = tmp_path / "home/cache/synthetic"
    folder.mkdir(parents=True)
    stale = folder / f"tiny-q4_0.gguf@{gone.pid}"
    stale.write_text("x")
    mine = folder / f"tiny-q4_0.gguf@{os.getpid()}"
    mine.write_text("x")
    p = hearth("bench", "--synthetic", "tiny:q4_0", "-p", 4, "-n", 2, "-r", 1,
               env={"HEARTH_HOME": str(tmp_path / "home")})
    assert p.returncode == 0, p.stderr
    assert not stale.exists() and mine.exists()
