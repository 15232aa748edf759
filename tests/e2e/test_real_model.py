"""One small real model, SmolLM2 135M, as `hearth pull` left it: what only real weights can show.

HEARTH_TEST_HOME names the folder it was pulled into; without it these tests are skipped.
"""

import json
import os

import pytest

HOME = os.environ.get("HEARTH_TEST_HOME")
MODEL = "smollm2:135m"
pytestmark = pytest.mark.skipif(not HOME, reason="HEARTH_TEST_HOME names no store")

STORY = "Once upon a time, in a small village by the sea, there lived an old fisherman who"


@pytest.fixture
def run(hearth):
    def call(*args, **options):
        env = {"HEARTH_HOME": HOME, **options.pop("env", {})}
        done = hearth(*args, env=env, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return call


def test_it_is_installed_under_its_name(run):
    [model] = json.loads(run("list", "--json"))["models"]
    assert model["name"] == MODEL
    assert MODEL in run("list")
    assert "llama" in run("show", MODEL)


def test_pulling_it_again_fetches_nothing(run):
    """No network is needed: every proxy is a closed port."""
    closed = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "ALL_PROXY")}
    run("pull", MODEL, env=closed)


def test_it_knows_how_sentences_go_on(run):
    sane = json.loads(run("score", "-m", MODEL, "--json", input=STORY))
    shuffled = " ".join(sorted(STORY.split()))
    mixed = json.loads(run("score", "-m", MODEL, "--json", input=shuffled))
    assert sane["tokens"][0]["logprob"] is None
    assert 2 < sane["perplexity"] < 30
    assert mixed["perplexity"] > 10 * sane["perplexity"]


def test_greedy_text_is_sensible_and_the_same_on_any_number_of_threads(run):
    texts = {run("generate", "-m", MODEL, "-n", "24", "-t", str(n), "The capital of France is")
             for n in (1, 2, 3)}
    [text] = texts
    assert "Paris" in text


def test_a_seed_gives_one_text_whatever_the_threads(run):
    def draw(seed, threads):
        return run("generate", "-m", MODEL, "-n", "32", "--temperature", "1", "--seed", str(seed),
                   "-t", str(threads), STORY)
    assert draw(7, 1) == draw(7, 2)
    assert draw(7, 1) != draw(8, 1)


def test_every_kernel_table_says_the_same(run):
    texts = {}
    for table in ("avx512", "avxvnni", "avx2", "scalar"):
        try:
            texts[table] = run("generate", "-m", MODEL, "-n", "16", STORY, env={"HEARTH_CPU": table})
        except AssertionError as e:
            assert "cannot run" in str(e) and table != "scalar"
    assert len(set(texts.values())) == 1, texts


def test_tokens_there_and_back(run):
    text = "def f(x):\n\treturn x ** 2  # ünïcode ☃ 漢字\n"
    ids = run("tokenize", "-m", MODEL, input=text)
    assert len(json.loads(ids)) > 10
    assert run("detokenize", "-m", MODEL, input=ids) == text


def test_bench_reports_what_programs_read(run):
    got = json.loads(run("bench", "-m", MODEL, "-p", "64", "-n", "8", "-r", "1", "--json"))
    assert got["prefill"]["tokens_per_second"] > 0
    assert got["decode"]["tokens_per_second"] > 0
    assert got["threads"] >= 1
    assert got["resident_bytes"] > 50e6
