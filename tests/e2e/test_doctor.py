"""doctor: verdicts and recommendations on this machine, as a table and as JSON."""

import json
import os
import re

import pytest


def run_json(hearth, *args, **options):
    p = hearth("doctor", "--quick", "--json", *args, **options)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def make(hearth, path, kind="tiny:q4_0"):
    p = hearth("bench", "--synthetic", kind, "--keep", path, "-p", 0, "-n", 0)
    assert p.returncode == 0, p.stderr
    return path


def test_the_catalogue_is_judged(hearth, tmp_path):
    r = run_json(hearth)
    machine, models = r["machine"], {m["name"]: m for m in r["models"]}
    assert machine["cores"] >= 1 and machine["threads"] == machine["cores"]
    assert machine["bandwidth"] > 1e8 and machine["memory_total"] > 1e8
    assert machine["model_folder"].startswith(str(tmp_path))
    assert machine["cache_folder"].startswith(str(tmp_path)) and machine["model_folder_free"] > 0
    listed = json.loads(hearth("list", "--all", "--json").stdout)["models"]
    assert list(models) == [m["name"] for m in listed]
    small, large = models["qwen2.5-coder:0.5b"], models["qwen2.5-coder:32b"]
    assert small["memory_bytes"] < large["memory_bytes"]
    assert small["decode_tokens_per_second"] > large["decode_tokens_per_second"] > 0
    assert small["first_token_seconds"] < large["first_token_seconds"]
    assert small["bytes"] == 491400064 and small["bytes_exact"] and not large["bytes_exact"]
    assert {m["verdict"] for m in models.values()} <= {
        "runs well", "slow", "does not fit", "not supported yet"}
    # Looking creates nothing: no folder, no file.
    assert list(tmp_path.iterdir()) == []


def test_recommendations_follow_the_rules(hearth):
    r = run_json(hearth)
    rules, models = r["rules"], {m["name"]: m for m in r["models"]}
    fits = [m for m in models.values() if m["verdict"] in ("runs well", "slow")]
    quick = [m for m in fits if m["fim"]
             and m["first_token_seconds"] <= rules["completion_first_token_seconds"]
             and m["decode_tokens_per_second"] >= rules["completion_tokens_per_second"]]
    chosen = r["recommendations"]["completion"]
    if quick:
        assert models[chosen["model"]]["quality"] == max(m["quality"] or 0 for m in quick)
    assert chosen["command"] == f"hearth pull {chosen['model']}"
    chat = [m for m in fits if m["chat"] and m["verdict"] == "runs well"]
    if chat:
        best = models[r["recommendations"]["chat"]["model"]]
        assert best["quality"] == max(m["quality"] or 0 for m in chat)


def test_a_file_of_ones_own(hearth, tmp_path):
    path = make(hearth, tmp_path / "own.gguf")
    r = run_json(hearth, path)
    assert [m["path"] for m in r["models"]] == [str(path)]
    m = r["models"][0]
    assert m["verdict"] == "runs well" and m["bytes"] == path.stat().st_size
    assert set(r["machine"]["rates"]["types"]) == {"Q4_0", "Q6_K"}


def test_unknown_architectures_are_told(hearth, tmp_path):
    data = bytearray(make(hearth, tmp_path / "x.gguf").read_bytes())
    at = data.index(b"llama")
    data[at:at + 5] = b"novel"
    (tmp_path / "x.gguf").write_bytes(data)
    m = run_json(hearth, tmp_path / "x.gguf")["models"][0]
    assert m["verdict"] == "not supported yet" and "novel" in m["why"]
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\3\0\0\0nonsense")
    m = run_json(hearth, tmp_path / "broken.gguf")["models"][0]
    assert m["verdict"] == "not supported yet" and "broken.gguf" in m["why"]


def test_names_that_are_not_there(hearth, tmp_path):
    for name, words in (("nonesuch:1b", "nonesuch"), (tmp_path / "none.gguf", "no such file")):
        p = hearth("doctor", "--quick", name)
        assert p.returncode == 1 and words in p.stderr, p.stderr
        assert len(p.stderr.strip().splitlines()) == 1
    p = hearth("doctor", "--quick", "--check", "smollm2:135m")
    assert p.returncode == 1 and "hearth pull" in p.stderr


def test_the_table(hearth):
    p = hearth("doctor", "--quick")
    assert p.returncode == 0, p.stderr
    assert "\x1b" not in p.stdout
    head = re.search(r"^MODEL .*VERDICT$", p.stdout, re.M)[0]
    rows = [line for line in p.stdout.splitlines() if re.match(r"[a-z0-9.-]+:[0-9.]+[bm] ", line)]
    column = head.index("VERDICT")
    assert len(rows) >= 15
    for row in rows:  # aligned
        assert row[column - 1] == " " and row[column] in "rsdn", row
    assert max(map(len, p.stdout.splitlines())) <= 100
    assert re.search(r"^For completion +\S+: \d+ tok/s", p.stdout, re.M)
    assert "hearth pull" in p.stdout and "GPU" in p.stdout


@pytest.mark.parametrize("threads", [1, 3])
def test_predictions_are_checked(hearth, tmp_path, threads):
    """How near they are is for a quiet machine and real sizes: docs/doctor.md."""
    path = make(hearth, tmp_path / "own.gguf")
    r = run_json(hearth, "--check", "-r", 2, "-t", threads, path)
    assert r["machine"]["threads"] == threads
    check = r["checks"][0]
    assert check["model"] == str(path)
    for what in ("decode", "prefill", "memory_bytes"):
        assert check[what]["predicted"] > 0 and check[what]["measured"] > 0
    p = hearth("doctor", "--quick", "--check", "-r", 1, path)
    assert p.returncode == 0 and re.search(r"own\.gguf +decode tok/s +\d", p.stdout), p.stdout


@pytest.mark.skipif("HEARTH_TEST_HOME" not in os.environ, reason="needs an installed model")
def test_installed_models_are_marked(hearth):
    r = run_json(hearth, env={"HEARTH_HOME": os.environ["HEARTH_TEST_HOME"]})
    assert any(m["installed"] and m["path"] for m in r["models"])
