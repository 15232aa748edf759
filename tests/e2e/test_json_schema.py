"""JSON schemas as grammars: the JSON-Schema-Test-Suite, and random schemas judged by Python's jsonschema."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

SUITE = Path(os.environ.get("HEARTH_SCHEMA_SUITE", ROOT / ".deps/schema-suite"))
VOCAB = Path(os.environ.get("HEARTH_VOCAB_DIR", ROOT / ".deps/vocab")) / "ggml-vocab-qwen2.gguf"


def run(hearth_bin, script, *args):
    tool = Path(hearth_bin).parent / "tests/text/grammar_tool"
    if not tool.exists():
        pytest.fail(f"{tool} is not built: configure with -Dtests=enabled")
    done = subprocess.run([sys.executable, ROOT / "tests/tools" / script, tool, *map(str, args)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_suite(hearth_bin):
    """Of each schema that compiles no valid instance is refused and no invalid one taken."""
    if not SUITE.is_dir():
        pytest.skip("no JSON-Schema-Test-Suite: tools/check.py fetches it")
    model = [VOCAB] if VOCAB.exists() else []
    counts = re.search(r"(\d+) schemas: (\d+) compiled, (\d+) refused with a message; (\d+) valid and (\d+) invalid",
                       run(hearth_bin, "json_schema_suite.py", SUITE, *model))
    total, compiled, refused, valid, invalid = map(int, counts.groups())
    assert compiled + refused == total
    assert compiled >= 0.65 * total
    assert valid > 500 and invalid > 300


def test_random_schemas(hearth_bin):
    pytest.importorskip("jsonschema")
    text = run(hearth_bin, "json_schema_random.py", VOCAB if VOCAB.exists() else "-", 300, 6)
    assert "0 wrong" in text
    counts = {name: int(n) for name, n in re.findall(r"'([a-z ]+)': (\d+)", text)}
    assert counts["compiled"] > 100 and counts["valid"] > 500 and counts["invalid"] > 500
