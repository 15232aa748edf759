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


def main():
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
