#!/usr/bin/env python3
"""JSON-Schema-Test-Suite (draft 2020-12, required part) against Hearth's grammars.

    json_schema_suite.py GRAMMAR_TOOL SUITE [MODEL.gguf]

SUITE is a checkout of github.com/json-schema-org/JSON-Schema-Test-Suite, or what tools/check.py fetches of it. Of each schema that compiles
every instance must be judged as the suite does, in three spellings, byte by byte and (with a model's
vocabulary) token by token; each that does not compile must give a message. Prints counts, and ends with
1 where an instance was judged wrongly.
"""

import collections
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from grammar_kit import Tool  # noqa: E402

SPELLINGS = [
    lambda v: json.dumps(v, separators=(",", ":")),
    lambda v: json.dumps(v, ensure_ascii=False),
    lambda v: json.dumps(v, indent=2),
]


def spell(value, how):
    return SPELLINGS[how](value)


def check(tool, folder, tokens):
    counts = collections.Counter()
    reasons = collections.Counter()
    wrong = []
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text()):
            counts["schemas"] += 1
            # By its default `format` is an annotation, and the suite's required part has it so.
            problem = tool.compile("schema", json.dumps(group["schema"]), formats=False)
            if problem:
                counts["refused schemas"] += 1
                reasons[problem.split(" at ")[0][:60]] += 1
                # A schema without instances is no grammar: nothing could be generated.
                if "nothing can match" in problem and any(t["valid"] for t in group["tests"]):
                    wrong.append((path.name, group["description"], "", problem))
                if "-v" in sys.argv:
                    print(f"{path.name}: {group['description']}: {problem}")
                continue
            counts["compiled"] += 1
            for test in group["tests"]:
                for how in range(len(SPELLINGS)):
                    text = spell(test["data"], how)
                    for by_token in [False, True] if tokens else [False]:
                        counts["checks"] += 1
                        if tool.accepts(text, by_token) != test["valid"]:
                            wrong.append((path.name, group["description"], test["description"],
                                          f"{text} should be {test['valid']} ({'tokens' if by_token else 'bytes'})"))
                counts["valid" if test["valid"] else "invalid"] += 1
    return counts, reasons, wrong


def main():
    tool = Tool(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 and sys.argv[3] != "-v" else None)
    tokens = len(sys.argv) > 3 and sys.argv[3] != "-v"
    counts, reasons, wrong = check(tool, Path(sys.argv[2]) / "tests/draft2020-12", tokens)
    tool.close()
    for w in wrong[:40]:
        print("WRONG", *w, sep=" | ")
    print(f"{counts['schemas']} schemas: {counts['compiled']} compiled, {counts['refused schemas']} refused "
          f"with a message; {counts['valid']} valid and {counts['invalid']} invalid instances, "
          f"{counts['checks']} checks, {len(wrong)} wrong")
    for reason, n in reasons.most_common():
        print(f"  {n:4} {reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
