#!/usr/bin/env python3
"""Speed of Hearth and of llama.cpp side by side, in alternating runs.

    bench/compare.py --hearth build/hearth --peer path/to/llama-bench MODEL.gguf ...

Each round runs every program once for each model, in an order that turns round from one round to the
next, so that a machine that gets warm or busy slows all of them. A figure is the median over the
rounds. llama.cpp, which the caller builds, natively for this machine, is run with each of
--peer-flags (by default flash attention on and off), and for each figure its best setting counts.
"""
import argparse
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time

FIGURES = ("prefill", "decode")


def run(command, timeout):
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as e:
        sys.exit(f"compare.py: {shlex.join(command)}: {e}")
    if p.returncode:
        tail = p.stderr.strip().splitlines()[-3:]
        sys.exit(f"compare.py: {shlex.join(command)} failed ({p.returncode}): {' | '.join(tail)}")
    try:
        return json.loads(p.stdout)
    except json.JSONDecodeError as e:
        sys.exit(f"compare.py: {shlex.join(command)} printed no JSON: {e}")


def run_hearth(args, model):
    out = run([args.hearth, "bench", "-m", model, "-p", str(args.prompt), "-n", str(args.gen),
               "-t", str(args.threads), "-r", "1", "--json"], args.timeout)
    return {f: out[f]["tokens_per_second"] for f in FIGURES}, {
        "resident_bytes": out.get("resident_bytes"), "threads": out.get("threads")}


def run_peer(args, model, flags):
    """llama-bench gives one entry for the prompt and one for generation."""
    out = run([args.peer, "-m", model, "-p", str(args.prompt), "-n", str(args.gen),
               "-t", str(args.threads), "-r", "1", "-o", "json", *shlex.split(flags)],
              args.timeout)
    speed = {"prefill" if e["n_prompt"] else "decode": e["avg_ts"] for e in out}
    return speed, {"build": f"{out[0].get('build_number')} {out[0].get('build_commit')}"}


def measure(args, model):
    runs = {"hearth": lambda: run_hearth(args, model)}
    for flags in args.peer_flags:
        runs[f"llama.cpp {flags}".strip()] = lambda flags=flags: run_peer(args, model, flags)
    samples = {name: {f: [] for f in FIGURES} for name in runs}
    facts = {}
    for i in range(args.rounds):
        order = list(runs) if i % 2 == 0 else list(reversed(runs))
        for name in order:
            if args.pause:
                time.sleep(args.pause)
            speed, facts[name] = runs[name]()
            for f in FIGURES:
                samples[name][f].append(speed[f])
            print(f"  round {i + 1}/{args.rounds} {name:24} prefill {speed['prefill']:9.2f}  "
                  f"decode {speed['decode']:8.2f}", file=sys.stderr)
    return samples, facts


def summary(samples):
    """Per figure: Hearth, the best llama.cpp setting, and the ratio of the medians."""
    result = {}
    for f in FIGURES:
        stats = {name: {"median": statistics.median(s[f]), "min": min(s[f]), "max": max(s[f]),
                        "samples": s[f]} for name, s in samples.items()}
        peers = [n for n in stats if n != "hearth"]
        best = max(peers, key=lambda n: stats[n]["median"])
        pairs = [a / b for a, b in zip(samples["hearth"][f], samples[best][f])]
        result[f] = {"programs": stats, "best_peer": best,
                     "ratio": stats["hearth"]["median"] / stats[best]["median"],
                     "ratio_min": min(pairs), "ratio_max": max(pairs)}
    return result


def print_table(results):
    head = ("model", "figure", "hearth tok/s", "", "llama.cpp tok/s", "", "setting", "ratio", "")
    rows = []
    for model, r in results.items():
        for f in FIGURES:
            a, b = (r[f]["programs"][n] for n in ("hearth", r[f]["best_peer"]))
            rows.append((model.rsplit("/", 1)[-1], f,
                         f"{a['median']:.2f}", f"({a['min']:.2f}..{a['max']:.2f})",
                         f"{b['median']:.2f}", f"({b['min']:.2f}..{b['max']:.2f})",
                         r[f]["best_peer"].removeprefix("llama.cpp "),
                         f"{r[f]['ratio']:.3f}",
                         f"({r[f]['ratio_min']:.3f}..{r[f]['ratio_max']:.3f})"))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    left = {0, 1, 3, 5, 6, 8}
    for row in [head, *rows]:
        print("  ".join(c.ljust(w) if i in left else c.rjust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--hearth", required=True)
    ap.add_argument("--peer", required=True, help="llama.cpp's llama-bench")
    ap.add_argument("--peer-flags", action="append", metavar="FLAGS",
                    help="run llama-bench with these too (repeatable; --peer-flags='-fa on')")
    ap.add_argument("-p", "--prompt", type=int, default=512)
    ap.add_argument("-n", "--gen", type=int, default=64)
    ap.add_argument("-t", "--threads", type=int, default=2)
    ap.add_argument("-r", "--rounds", type=int, default=5)
    ap.add_argument("--pause", type=float, default=0, help="seconds of rest before each run")
    ap.add_argument("--timeout", type=float, default=1800, help="seconds a run may take")
    ap.add_argument("--json", action="store_true")
    ap.add_argument("models", nargs="+", metavar="MODEL")
    args = ap.parse_args()
    args.peer_flags = args.peer_flags or ["-fa on", "-fa off"]
    if args.rounds < 1:
        ap.error("at least one round")
    results, facts = {}, {}
    for model in args.models:
        print(model, file=sys.stderr)
        samples, facts[model] = measure(args, model)
        results[model] = summary(samples)
    if args.json:
        print(json.dumps({"cpu": cpu_name(), "prompt": args.prompt, "gen": args.gen,
                          "threads": args.threads, "rounds": args.rounds, "facts": facts,
                          "results": results}, indent=2))
    else:
        print(f"{cpu_name()}, {args.threads} threads, {args.prompt} prompt and {args.gen} "
              f"generated tokens, {args.rounds} rounds")
        print_table(results)


if __name__ == "__main__":
    main()
