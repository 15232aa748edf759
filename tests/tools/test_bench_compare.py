"""bench/compare.py: its arithmetic, its tables, and whole runs over programs that only pretend."""

import argparse
import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("compare", ROOT / "bench/compare.py")
compare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compare)


def test_models_are_told_apart(tmp_path):
    assert compare.is_synthetic("deepseek-coder-6.7b:q4_0")
    assert compare.is_synthetic("llama-1b:BF16")
    assert not compare.is_synthetic("qwen2.5-coder:0.5b")  # a name of the store
    assert not compare.is_synthetic("folder/model.gguf")
    (tmp_path / "x:f16").touch()
    assert not compare.is_synthetic(str(tmp_path / "x:f16"))


def test_names_in_front_of_values():
    assert compare.named("ik=/a/b=c", "llama.cpp") == ("ik", "/a/b=c")
    assert compare.named("/a/b=c", "llama.cpp") == ("llama.cpp", "/a/b=c")
    assert compare.named("-fa on", "llama.cpp") == ("llama.cpp", "-fa on")


def test_depths():
    assert compare.numbers("0,4096") == [0, 4096]
    for bad in ("", "1,", "-1", "a"):
        with pytest.raises(argparse.ArgumentTypeError):
            compare.numbers(bad)


def test_peers_without_depth_generate_behind_a_prompt():
    assert compare.peer_tests(True, 512, 64, 0) == ["-p", "512", "-n", "64"]
    assert compare.peer_tests(False, 512, 64, 0) == ["-p", "512", "-n", "64"]
    assert compare.peer_tests(True, 512, 64, 99)[-2:] == ["-d", "99"]
    assert compare.peer_tests(False, 512, 64, 99) == ["-p", "0", "-n", "0", "-gp", "99,64"]


def test_figures_of_a_peer():
    prompt = {"n_prompt": 512, "n_gen": 0, "avg_ts": 5.0}
    assert compare.peer_figures([prompt, {"n_prompt": 0, "n_gen": 64, "avg_ts": 2.0}]) == {
        "prefill": 5.0, "decode": 2.0}
    assert compare.peer_figures([{"n_prompt": 99, "n_gen": 64, "avg_ts": 2.0}]) == {
        "prefill": None, "decode": 2.0}
    assert compare.peer_figures([]) == {"prefill": None, "decode": None}


def rows(hearth, peer, facts=None):
    samples = {"hearth": {"": {"prefill": hearth, "decode": []}},
               "p": {s: {"prefill": v, "decode": []} for s, v in peer.items()}}
    return compare.rows_of("m", 0, {"prefill": 8, "decode": 4}, samples, facts or {}, {})


def test_the_best_setting_counts_for_each_figure():
    (row,) = rows([4.0, 6.0, 5.0], {"-a": [1.0, 9.0, 2.0], "-b": [2.5, 2.6, 2.4], "-c": []})
    assert row["hearth"]["median"] == 5.0 and row["hearth"]["max"] == 6.0
    peer = row["peers"]["p"]
    assert (peer["setting"], peer["median"], peer["ratio"]) == ("-b", 2.5, 2.0)
    assert (peer["ratio_min"], peer["ratio_max"]) == (4 / 2.5, 6 / 2.6)


def test_a_peer_without_the_figure_is_left_out():
    (row,) = rows([4.0], {"-a": []})
    assert row["peers"] == {}


def test_share_of_the_limit():
    facts = {"prefill": {"tokens_per_second": 10.0},
             "int8_peak": {"share": 0.4, "ops_per_second": 500},
             "decode": {"tokens_per_second": 0}, "bandwidth": {"share": 0}}
    limits = {"prefill": 1000, "decode": 7}  # the best of several runs
    assert compare.roofline("prefill", 5.0, facts, limits) == pytest.approx(0.1)
    assert compare.roofline("decode", 5.0, facts, limits) is None
    assert compare.roofline("decode", 5.0, {}, {}) is None


def result(speed, **more):
    return {"format": compare.FORMAT, "date": "d", "machine": {"cpu": "c"}, "threads": 2,
            "results": [{"model": "a/m", "depth": 0, "figure": "decode", "tokens": 8,
                         "hearth": compare.stats([speed]), "share": None, "peers": {}}], **more}


@pytest.mark.parametrize("new, regressed", [(100, False), (96, False), (94, True), (200, False)])
def test_a_loss_beyond_the_tolerance_is_a_regression(new, regressed):
    lines, got = compare.compare_results(result(100), result(new), 0.05)
    assert got == regressed
    assert len(lines) == 1 and ("REGRESSION" in lines[0]) == regressed


def test_other_machines_and_new_rows_are_told():
    lines, regressed = compare.compare_results(result(1, machine={"cpu": "x"}, results=[]),
                                               result(1), 0.05)
    assert not regressed
    assert "another machine" in lines[0] and "not in the older" in lines[1]
    with pytest.raises(compare.Problem):
        compare.compare_results({"results": []}, result(1), 0.05)


def test_tables_are_aligned_and_colour_is_for_terminals(monkeypatch):
    found = rows([4.0], {"-a": [2.0]}) + rows([400.0], {"-a": [800.0]})
    plain = compare.table(found, False)
    assert len(plain) == 3 and "\033" not in "".join(plain)
    column = plain[0].index("ratio")
    assert plain[1][column:].startswith("2.000") and plain[2][column:].startswith("0.500")
    colored = compare.table(found, True)
    assert "\033[32m2.000" in colored[1] and "\033[31m0.500" in colored[2]
    assert not compare.wants_color(io.StringIO())


# ---- whole runs ----------------------------------------------------------------------------------

HEARTH = """
if argv[1] == "show":
    print(json.dumps({"path": argv[0].replace("/hearth", "/m.gguf")}))
    sys.exit(0 if argv[2] == "known" else 1)
if argv[1] == "list":
    print(json.dumps({"models": [{"name": "other"}, {"name": "known", "default": True}]}))
    sys.exit()
if "--synthetic" in argv:
    open(argv[argv.index("--keep") + 1], "w").write("made")
    sys.exit()
assert open(argv[argv.index("-m") + 1]).read() == "made"
part = lambda tokens, speed: {"tokens": tokens, "tokens_per_second": speed, "n": 1}
print(json.dumps({"prefill": part(512, 100.0), "decode": part(64, 10.0 * FACTOR),
                  "bandwidth": {"measured_bytes_per_second": 2e10, "share": 0.5},
                  "int8_peak": {"ops_per_second": 1e12, "share": 0.25},
                  "machine": {"cpu": "Made-up", "kernels": "fake", "hearth": "9"}}))
"""
PEER = """
if "--help" in argv:
    print("  -p, --n-prompt\\n  -d, --n-depth")
    sys.exit()
slow = "off" in argv
print(json.dumps([
    {"n_prompt": 512, "n_gen": 0, "avg_ts": 40.0 if slow else 50.0, "build_number": 7,
     "build_commit": "abc"},
    {"n_prompt": 0, "n_gen": 64, "avg_ts": 20.0 if slow else 5.0}]))
"""


@pytest.fixture
def programs(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport json, sys\nargv = sys.argv\n{text}")
        path.chmod(0o755)
        return str(path)

    (tmp_path / "m.gguf").write_text("made")
    return {"hearth": write("hearth", HEARTH.replace("FACTOR", "1")),
            "slower": write("slower", HEARTH.replace("FACTOR", "0.5")),
            "peer": write("llama-bench", PEER), "broken": write("broken", "sys.exit(3)"),
            "model": str(tmp_path / "m.gguf"), "dir": tmp_path}


def test_beside_a_peer(programs, capsys):
    out = programs["dir"] / "out.json"
    assert compare.main(["--hearth", programs["hearth"], "--peer", f"other={programs['peer']}",
                         "-r", "2", "--json", str(out), programs["model"]]) == 0
    text = capsys.readouterr().out
    assert "Made-up" in text and "other tok/s" in text and "2.000" in text and "0.500" in text
    got = json.loads(out.read_text())
    assert got["programs"] == {"hearth": "9", "other": "7 abc"}
    prefill, decode = got["results"]
    assert prefill["peers"]["other"]["setting"] == "-fa on"
    assert decode["peers"]["other"]["setting"] == "-fa off"
    assert len(decode["hearth"]["samples"]) == 2 and decode["share"] == 0.5


def test_alone_against_an_older_result(programs, capsys):
    old = programs["dir"] / "old.json"
    assert compare.main(["--hearth", programs["hearth"], "-r", "1", "--json", str(old),
                         programs["model"]]) == 0
    again = ["-r", "1", "--against", str(old), programs["model"]]
    assert compare.main(["--hearth", programs["hearth"], *again]) == 0
    assert compare.main(["--hearth", programs["slower"], *again]) == 1
    assert "(-50.0%)  REGRESSION" in capsys.readouterr().out


def test_synthetic_models_are_made_and_removed(programs):
    work = programs["dir"] / "work"
    work.mkdir()
    args = ["--hearth", programs["hearth"], "-r", "1", "--json", "-", "--types", "Q4_0,F16"]
    assert compare.main([*args, "--work-dir", str(work)]) == 0
    assert list(work.iterdir()) == []
    assert compare.main([*args, "--keep", str(work)]) == 0
    assert sorted(p.name for p in work.iterdir()) == ["llama-1b-f16.gguf", "llama-1b-q4_0.gguf"]


def test_installed_models_go_by_their_names(programs, capsys):
    assert compare.main(["--hearth", programs["hearth"], "-r", "1", "known"]) == 0
    assert "known  decode 64" in capsys.readouterr().out
    assert compare.main(["--hearth", programs["hearth"], "-r", "1"]) == 0  # the default one
    assert "known  decode 64" in capsys.readouterr().out


@pytest.mark.parametrize("args", [
    ["--hearth", "hearth", "none.gguf"], ["--hearth", "hearth", "unknown"], ["--hearth", "broken", "model"],
    ["--hearth", "nonesuch", "model"], ["--hearth", "hearth", "--peer", "nonesuch", "model"],
    ["--hearth", "hearth", "--peer", "peer", "--peer", "peer", "model"],
    ["--hearth", "hearth", "--against", "nonesuch", "model"],
])
def test_problems_are_one_line(programs, capsys, args):
    assert compare.main([programs.get(a, a) for a in args] + ["-r", "1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("compare.py: ")
