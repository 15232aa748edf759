#!/usr/bin/env python3
"""What speculation gains where the answer repeats the prompt, and what it costs where it does not.

    bench/speculate.py --hearth build/hearth MODEL.gguf

The model, an instruct model that reads ChatML (Qwen2.5-Coder, for example), gets two requests:
  edit   rewrite a source file of some 160 lines with one field renamed (--file, --rename)
  prose  write an essay
Each round runs both with speculation off and on, in an order that turns round, greedily, and with
--draft once more with a second model. The texts have to be the same. A figure is the median over the
rounds; the ratio is that of decoding speed, the time from the first token to the last.
"""
import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {".c": "c", ".h": "c", ".py": "python"}
ESSAY = "Write an essay of about 700 words on why people keep gardens."


def chat(system, user):
    return (f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
            "<|im_start|>assistant\n")


def edit_prompt(path, old, new):
    source = path.read_text()
    if old not in source:
        sys.exit(f"speculate.py: {path} has no {old!r} to rename")
    language = LANGUAGES.get(path.suffix, "")
    return chat("You are a careful programming assistant.",
                f"Rewrite this file with the field `{old}` renamed to `{new}`. Output the whole file."
                f"\n\n```{language}\n{source}```")


def generate(args, prompt, options):
    command = [args.hearth, "generate", "-m", args.model, "-t", str(args.threads), "--special",
               "--ctx", str(args.ctx), "-n", str(args.max_tokens), "--json", *options, "-"]
    try:
        p = subprocess.run(command, input=prompt, capture_output=True, text=True,
                           timeout=args.timeout)
    except (OSError, subprocess.TimeoutExpired) as e:
        sys.exit(f"speculate.py: {' '.join(command)}: {e}")
    if p.returncode:
        sys.exit(f"speculate.py: {' '.join(command)} failed: {p.stderr.strip()}")
    return json.loads(p.stdout)


def figures(runs):
    """Medians of one way's runs; the counters of all drafting are those of its last run."""
    last = runs[-1]
    speed = [r["timings"]["decode_tokens_per_second"] for r in runs]
    return {"tokens_per_second": statistics.median(speed), "samples": speed,
            "tokens": last["completion_tokens"], "finish": last["finish_reason"],
            "draft_ms": statistics.median(r["timings"]["draft_ms"] for r in runs),
            **last["speculation"]}


def measure(args, name, prompt, ways):
    runs = {way: [] for way in ways}
    text = None
    for i in range(args.rounds):
        for way in list(ways) if i % 2 == 0 else reversed(ways):
            r = generate(args, prompt, ways[way])
            if text is not None and r["text"] != text:
                sys.exit(f"speculate.py: {name}: the text with --speculate {way} is another one")
            text = r["text"]
            runs[way].append(r)
            print(f"{name:6}{way:6}{r['timings']['decode_tokens_per_second']:8.1f} tokens/s",
                  file=sys.stderr)
    if runs["off"][-1]["completion_tokens"] < 100:
        sys.exit(f"speculate.py: {name}: the answer has fewer than 100 tokens")
    out = {way: figures(r) for way, r in runs.items()}
    for way in out:
        out[way]["ratio"] = (out[way]["tokens_per_second"] / out["off"]["tokens_per_second"])
    return out


def show(name, result):
    for way, f in result.items():
        passes = f["passes"] or f["tokens"] - 1
        print(f"{name:6}{way:6}{f['tokens']:7}{passes:8}{f['drafted']:9}{f['accepted']:10}"
              f"{f['tokens_per_second']:10.1f}{f['ratio']:8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="GGUF file or name")
    parser.add_argument("--hearth", default=str(ROOT / "build/hearth"))
    parser.add_argument("--draft", help="a second, smaller model of the same vocabulary")
    parser.add_argument("--file", type=Path, default=ROOT / "src/base/pool.c")
    parser.add_argument("--rename", nargs=2, metavar=("OLD", "NEW"),
                        default=["sleepers", "n_asleep"])
    parser.add_argument("--task", choices=["edit", "prose"], action="append")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-n", "--max-tokens", type=int, default=2000)
    parser.add_argument("--ctx", type=int, default=4096)
    parser.add_argument("-r", "--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=1800)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    ways = {"off": ["--speculate", "off"], "auto": ["--speculate", "auto"]}
    if args.draft:
        ways["draft"] = ["--speculate", "auto", "--draft", args.draft]
    prompts = {"edit": edit_prompt(args.file, *args.rename),
               "prose": chat("You are a thoughtful writer.", ESSAY)}
    results = {name: measure(args, name, prompts[name], ways)
               for name in args.task or prompts}
    if args.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(),
                          "model": args.model, "threads": args.threads, "rounds": args.rounds,
                          "results": results}, indent=2))
        return
    print(f"{'task':6}{'way':6}{'tokens':>7}{'passes':>8}{'drafted':>9}{'accepted':>10}"
          f"{'tokens/s':>10}{'ratio':>8}")
    for name, result in results.items():
        show(name, result)


if __name__ == "__main__":
    main()
