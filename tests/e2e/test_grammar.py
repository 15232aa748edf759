"""Structured output as a person and a client ask for it: every option of generate, and hostile grammars."""

import json
import os
import re
from pathlib import Path

import pytest

from conftest import ROOT
from serve_kit import Server

MODEL = ROOT / "tests/golden/tiny/llama-gqa.gguf"
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["kind", "size"],
          "properties": {"kind": {"enum": ["cat", "dog"]}, "size": {"type": "integer", "minimum": 1, "maximum": 20}}}
GBNF = 'root ::= "<" [a-c]{2,5} ">"\n'
REGEX = "(yes|no), because [a-z]{3,6}\\."


def generate(hearth, *args):
    return hearth("generate", "-m", MODEL, "--json", "-n", 200, "--seed", 7, "--temperature", 1, *args, "Say: ")


def is_schema(text):
    value = json.loads(text)
    return value["kind"] in ("cat", "dog") and 1 <= value["size"] <= 20 and len(value) == 2


@pytest.mark.parametrize("option, value, name, good", [
    ("--grammar", GBNF, None, re.compile("<[a-c]{2,5}>").fullmatch),
    ("--grammar-file", GBNF, "list.gbnf", re.compile("<[a-c]{2,5}>").fullmatch),
    ("--json-schema", json.dumps(SCHEMA), None, is_schema),
    ("--json-schema-file", json.dumps(SCHEMA), "schema.json", is_schema),
    ("--regex", REGEX, None, re.compile(REGEX).fullmatch),
])
def test_an_option_holds_the_text(hearth, tmp_path, option, value, name, good):
    if name:
        (tmp_path / name).write_text(value)
    p = generate(hearth, option, tmp_path / name if name else value)
    assert p.returncode == 0, p.stderr
    result = json.loads(p.stdout)
    assert good(result["text"]), result
    assert result["finish_reason"] == "stop"


def test_json_object(hearth):
    p = generate(hearth, "--json-object")
    assert p.returncode == 0, p.stderr
    result = json.loads(p.stdout)
    assert result["text"].startswith("{")
    assert result["finish_reason"] == "length" or isinstance(json.loads(result["text"]), dict)


@pytest.mark.parametrize("args, words", [
    (("--grammar", "root ::= a"), ["'a'"]),
    (("--grammar-file", "nothing.gbnf"), ["nothing.gbnf"]),
    (("--json-schema", '{"uniqueItems": true}'), ["uniqueItems", "#/uniqueItems"]),
    (("--json-schema", "{"), ["JSON"]),
    (("--regex", "(a"), ["("]),
    (("--regex", "a", "--json-object"), ["--regex", "--json-object"]),
])
def test_a_mistake_is_told(hearth, args, words):
    p = generate(hearth, *args)
    assert p.returncode != 0
    assert all(word in p.stderr for word in words), p.stderr


def nested(key, depth):
    return '{"%s":' % key * depth + "true" + "}" * depth


@pytest.fixture(scope="module")
def server(hearth_bin, tmp_path_factory):
    server = Server(hearth_bin, tmp_path_factory.mktemp("home"), model=MODEL)
    yield server
    server.stop()


def processor_time(server):
    """Seconds that the server has worked: other programs' work does not count."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("body", [
    '{"prompt": "a", "grammar": "root ::= %s\\"a\\"%s"}' % ("(" * 100000, ")" * 100000),
    '{"prompt": "a", "json_schema": {"pattern": "%sa%s"}}' % ("(" * 100000, ")" * 100000),
    '{"prompt": "a", "json_schema": %s}' % nested("items", 20000),
    '{"prompt": "a", "json_schema": %s}' % nested("not", 20000),
    '{"prompt": "a", "json_schema": {"pattern": "(a|b)*a%s"}}' % ("(a|b)" * 30),
    '{"prompt": "a", "json_schema": {"pattern": "((a{1,100}){1,100}){1,100}"}}',
    '{"prompt": "a", "json_schema": {"uniqueItems": true}}',
    '{"prompt": "a", "grammar": "root ::= \\"a\\" root"}',
], ids=["parentheses", "pattern", "deep", "deep not", "exponential", "counts", "unsupported", "endless"])
def test_a_hostile_grammar_is_a_400_at_once(server, body):
    began = processor_time(server)
    status, _, answer = server.request("POST", "/completion", body.encode())
    assert status == 400, answer
    assert json.loads(answer)["error"]["message"]
    assert processor_time(server) - began < 1
    assert server.get("/health")[0] == 200
