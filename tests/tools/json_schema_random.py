#!/usr/bin/env python3
"""Random JSON schemas and instances: Hearth's grammars against Python's jsonschema.

    json_schema_random.py GRAMMAR_TOOL MODEL.gguf|- [SCHEMAS [SEED]]

Needs the package jsonschema. Of each random schema that compiles, random
values must be judged as jsonschema judges them; with a model, texts drawn from masks must be valid.
"""

import collections
import json
import random
import sys
import warnings
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parent))
from grammar_kit import Tool  # noqa: E402

KEYS = ["a", "b", "ab", "c", "\u00e9"]


def value(rng, depth=0):
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind in (2, 3):
        return rng.choice([rng.randrange(-12, 40), rng.randrange(-12, 40) / 4, float(rng.randrange(9))])
    if kind in (4, 5):
        return "".join(rng.choices("ab1\u00e9 \"\t", k=rng.randrange(5)))
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {k: value(rng, depth + 1) for k in rng.sample(KEYS, rng.randrange(4))}


def schema(rng, depth=0):
    if rng.random() < 0.06:
        return rng.random() < 0.7
    s = {}

    def sub():
        return schema(rng, depth + 1) if depth < 3 else rng.choice([True, {"type": "integer"}, {"type": "string"}])
    makers = {
        "type": lambda: rng.choice(["null", "boolean", "integer", "number", "string", "array", "object",
                                    ["object", "array"], ["integer", "string"]]),
        "enum": lambda: [value(rng, 1) for _ in range(rng.randrange(1, 4))],
        "const": lambda: value(rng, 1),
        "minimum": lambda: rng.choice([0, 3, -2.5, 10]), "maximum": lambda: rng.choice([0, 7, 12.25]),
        "exclusiveMinimum": lambda: rng.choice([0, 3, -1]), "exclusiveMaximum": lambda: rng.choice([9, 0.5]),
        "multipleOf": lambda: rng.choice([1, 2, 3, 0.5, 0.25]),
        "minLength": lambda: rng.randrange(3), "maxLength": lambda: rng.randrange(4),
        "pattern": lambda: rng.choice(["a", "^a", "b$", "^[ab]*$", "\\d", "^.?$"]),
        "minItems": lambda: rng.randrange(3), "maxItems": lambda: rng.randrange(3),
        "items": sub, "prefixItems": lambda: [sub() for _ in range(rng.randrange(1, 3))], "contains": sub,
        "minContains": lambda: rng.randrange(3), "maxContains": lambda: rng.randrange(1, 3),
        "properties": lambda: {k: sub() for k in rng.sample(KEYS, rng.randrange(1, 4))},
        "patternProperties": lambda: {rng.choice(["a", "^a", "b$"]): sub()},
        "additionalProperties": lambda: rng.choice([False, sub()]), "required": lambda: rng.sample(KEYS, rng.randrange(3)),
        "propertyNames": lambda: {"maxLength": 1}, "minProperties": lambda: rng.randrange(3),
        "maxProperties": lambda: rng.randrange(4), "dependentRequired": lambda: {"a": ["b"]},
        "dependentSchemas": lambda: {"a": sub()}, "allOf": lambda: [sub() for _ in range(2)],
        "anyOf": lambda: [sub() for _ in range(2)], "oneOf": lambda: [sub() for _ in range(2)], "not": sub,
        "if": sub, "then": sub, "else": sub,
    }
    for key in rng.sample(sorted(makers), rng.randrange(1, 4)):
        s[key] = makers[key]()
    return s


def main():
    warnings.simplefilter("ignore")
    model = None if len(sys.argv) < 3 or sys.argv[2] == "-" else sys.argv[2]
    n = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    tool, counts, wrong = Tool(sys.argv[1], model), collections.Counter(), 0
    for i in range(n):
        s = schema(rng)
        validator = jsonschema.Draft202012Validator(s)
        problem = tool.compile("schema", json.dumps(s), formats=False)
        counts["refused" if problem else "compiled"] += 1
        values = [value(rng) for _ in range(30)]
        if problem:
            if "nothing can match" in problem and any(validator.is_valid(v) for v in values):
                print("WRONG", json.dumps(s), problem)
                wrong += 1
            continue
        for v in values:
            text = json.dumps(v, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", ": ")]))
            valid = validator.is_valid(v)
            counts["valid" if valid else "invalid"] += 1
            if tool.accepts(text) != valid:
                print("WRONG", json.dumps(s), text, "should be", valid)
                wrong += 1
        if model and i % 5 == 0:
            text, complete = tool.generate(rng.randrange(1 << 30), 60)
            counts["generated" if complete else "cut off"] += 1
            if complete and not validator.is_valid(json.loads(text)):
                print("WRONG", json.dumps(s), "generated", text)
                wrong += 1
    tool.close()
    print(dict(counts), wrong, "wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
