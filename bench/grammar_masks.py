#!/usr/bin/env python3
"""How long masks take, over a model's vocabulary and texts that follow each grammar.

    bench/grammar_masks.py GRAMMAR_TOOL MODEL.gguf [LLAMA_CPP_GRAMMARS/json.gbnf]

Prints, for each grammar, the masks' mean, median, 99th percentile and largest time in microseconds, for
the first text (caches empty) and for a second one of the same kind.
"""

import json
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/tools"))
from grammar_kit import Tool  # noqa: E402

WORDS = ("the quick brown fox jumps over lazy dogs while parsing configuration files, reading "
         "user_id=42 and https://example.com/a?b=c then \"quoting\" naïve café 東京 text").split()


def person(rng):
    return {"name": " ".join(rng.choices(WORDS, k=4)), "age": rng.randrange(120),
            "email": "someone@example.com", "bio": " ".join(rng.choices(WORDS, k=30)),
            "tags": rng.choices(WORDS, k=5), "address": {"street": "Main St 5", "zip": "12345"},
            "role": rng.choice(["admin", "user"]), "score": round(rng.random() * 100, 2)}


SCHEMA = {"type": "object", "required": ["people"], "additionalProperties": False, "properties": {
    "people": {"type": "array", "items": {
        "type": "object", "additionalProperties": False,
        "required": ["name", "age", "email", "bio", "tags", "address", "role", "score"],
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "email": {"type": "string", "format": "email"}, "bio": {"type": "string", "maxLength": 500},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
            "address": {"type": "object", "properties": {"street": {"type": "string"},
                                                         "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
                        "required": ["street"]},
            "role": {"enum": ["admin", "user", "guest"]}, "score": {"type": "number"}}}}}}


# What applications ask for: (name, schema, a maker of texts).
LEVELS = ["debug", "info", "warning", "error"]
IDS = [f"component-{i:04d}-{'abcdefghij'[i % 10]}" for i in range(1000)]
CALL = {"type": "object", "additionalProperties": False, "required": ["name", "arguments"], "properties": {
    "name": {"const": "edit_file"}, "arguments": {
        "type": "object", "required": ["path", "old", "new"], "properties": {
            "path": {"type": "string"}, "old": {"type": "string"}, "new": {"type": "string"}}}}}
TABLE = {"type": "array", "maxItems": 20, "items": {
    "type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "array", "items": {"type": "number"}}}}
LOG = {"type": "object", "additionalProperties": False, "required": ["time", "level", "id", "ip", "message"],
       "properties": {"time": {"type": "string", "format": "date-time"}, "level": {"enum": LEVELS},
                      "id": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4,8}(-[a-f0-9]{12})?$"},
                      "ip": {"type": "string", "format": "ipv4"},
                      "message": {"type": "string", "minLength": 1, "maxLength": 2000}}}
CHOICE = {"type": "object", "required": ["choices"], "properties": {
    "choices": {"type": "array", "items": {"enum": IDS}, "maxItems": 30}}}


def log(rng):
    return {"time": "2026-01-02T03:04:05Z", "level": rng.choice(LEVELS),
            "id": f"ABC-{rng.randrange(10 ** 6):06d}-{rng.randrange(1 << 48):012x}", "ip": "192.168.0.17",
            "message": " ".join(rng.choices(WORDS, k=120))}


REALISTIC = [
    ("call", CALL, lambda rng: {"name": "edit_file", "arguments": {
        "path": "src/main.c", "old": "\n".join(rng.choices(WORDS, k=60)), "new": "\n".join(rng.choices(WORDS, k=60))}}),
    ("nested", TABLE, lambda rng: [[[round(rng.random() * 99, 3) for _ in range(4)] for _ in range(3)] for _ in range(9)]),
    ("log", LOG, log),
    ("enum", CHOICE, lambda rng: {"choices": rng.choices(IDS, k=25)}),
]


def realistic(program, model):
    """Fresh grammars, one text each: what a server's first request pays."""
    every = []
    for name, schema, make in REALISTIC:
        tool, rng = Tool(program, model), random.Random(1)
        began = time.monotonic()
        problem = tool.compile("schema", json.dumps(schema))
        if problem:
            print(name, problem)
            continue
        compiled = time.monotonic() - began
        data = json.dumps(make(rng), ensure_ascii=False).encode()
        *times, result = tool.ask(f"M {len(data)}", data).split()
        times = sorted(map(float, times))
        every += times
        print(f"{name:7} {1e3 * compiled:6.1f} ms to start and compile, {len(times):4} masks: mean {statistics.mean(times):6.1f}  "
              f"p99 {times[int(0.99 * len(times))]:7.1f}  max {times[-1]:7.1f} us  "
              f"({'accepted' if result == '1' else 'REFUSED ' + result})")
        tool.close()
    every.sort()
    print(f"all     {len(every)} masks: mean {statistics.mean(every):.1f}  p99 {every[int(0.99 * len(every))]:.1f} us")


def main():
    realistic(sys.argv[1], sys.argv[2])
    cases = [("json", "", False), ("schema", json.dumps(SCHEMA), False),
             ("regex", r"\{(\"[a-z]+\": (\"([^\"\\]|\\.)*\"|[^\"]+),? ?)*\}|.*", True)]
    if len(sys.argv) > 3:
        cases.append(("gbnf", Path(sys.argv[3]).read_text(), False))
    for kind, text, flat in cases:
        tool = Tool(sys.argv[1], sys.argv[2])
        problem = tool.compile(kind, text)
        if problem:
            print(kind, problem)
            continue
        rng = random.Random(1)
        for round in ["first", "second", "third"]:
            data = json.dumps({"people": [person(rng) for _ in range(6)]}, indent=None if flat else 2,
                              ensure_ascii=False).encode()
            *times, result = tool.ask(f"M {len(data)}", data).split()
            times = sorted(map(float, times))
            print(f"{kind:7} {round:7} {len(times):5} masks: mean {statistics.mean(times):7.1f}  median "
                  f"{statistics.median(times):6.1f}  p99 {times[int(len(times) * .99)]:8.1f}  max {times[-1]:8.1f} us"
                  f"  ({'accepted' if result == '1' else 'REFUSED ' + result})")
        tool.close()


if __name__ == "__main__":
    main()
