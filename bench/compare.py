#!/usr/bin/env python3
"""Speed of Hearth, alone or beside llama.cpp and its relatives, in alternating runs.

    bench/compare.py --hearth build/hearth MODEL.gguf
    bench/compare.py --hearth build/hearth --peer llama.cpp=path/to/llama-bench MODEL.gguf codellama-13b:q4_0
    bench/compare.py --hearth build/hearth --peer ... --types all
    bench/compare.py --hearth build/hearth --against last.json MODEL.gguf

A model is a GGUF file, an installed model's name, or a synthetic model's NAME:TYPE, which is made
for the run. Each round runs
every program once, in an order that turns round from one round to the next, so that a machine that
gets warm or busy slows all of them. A figure is the median over the rounds. A peer, which the caller
builds, natively for this machine, is run with several settings, and for each figure its best one
counts.
"""
import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FORMAT = 1
FIGURES = ("prefill", "decode")
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
         "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "F16", "BF16", "F32")
# What a build of llama-bench is run with, by what its help offers.
SETTINGS_MAINLINE = ["-fa on", "-fa off"]
SETTINGS_IK = ["-fa 1 -rtr 1", "-fa 1 -rtr 0", "-fa 0 -rtr 1"]


class Problem(Exception):
    """Said in one line; the program ends."""


# ---- running programs ------------------------------------------------------------------------------


def run(command, timeout, env=None):
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env,
                           stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Problem(f"{shlex.join(command)}: {e}") from e
    if p.returncode:
        tail = " | ".join(p.stderr.strip().splitlines()[-3:])
        raise Problem(f"{shlex.join(command)} failed ({p.returncode}): {tail}")
    return p.stdout


def run_json(command, timeout, env=None):
    out = run(command, timeout, env)
    try:
        return json.loads(out)
    except json.JSONDecodeError as e:
        raise Problem(f"{shlex.join(command)} printed no JSON: {e}") from e


class Hearth:
    name = "hearth"

    def __init__(self, path, args):
        self.path, self.args, self.settings = path, args, [""]
        self.facts, self.limits = {}, {}

    def measure(self, model, depth, setting, env):
        a = self.args
        out = run_json([self.path, "bench", "-m", model, "-p", str(a.prompt), "-n", str(a.gen),
                        "-d", str(depth), "-t", str(a.threads), "-r", "1", "--json"],
                       a.timeout, env)
        self.facts = out
        self.limits = {f: max(limit_of(f, out), self.limits.get(f, 0)) for f in FIGURES}
        return hearth_figures(out)


class Peer:
    def __init__(self, name, path, settings, args):
        self.name, self.path, self.args = name, path, args
        self.help = peer_help(path)
        self.has_depth = re.search(r"(?m)^\s*-d[, ]", self.help) is not None
        self.settings = settings or (SETTINGS_IK if "-rtr" in self.help else SETTINGS_MAINLINE)
        self.build = None

    def measure(self, model, depth, setting, env):
        a = self.args
        command = [self.path, "-m", model, *peer_tests(self.has_depth, a.prompt, a.gen, depth),
                   "-t", str(a.threads), "-r", "1", "-o", "json", *shlex.split(setting)]
        out = run_json(command, a.timeout)
        if out:
            self.build = f"{out[0].get('build_number')} {out[0].get('build_commit')}"
        return peer_figures(out)


def peer_help(path):
    try:
        p = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=60,
                           stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Problem(f"{path}: {e}") from e
    return p.stdout + p.stderr


# ---- what can be tested without a program --------------------------------------------------------


def peer_tests(has_depth, prompt, gen, depth):
    """llama-bench's options for the two figures. A build without -d can only generate behind a
    prompt (-gp), so its prefill at a depth is not known."""
    if depth and not has_depth:
        return ["-p", "0", "-n", "0", "-gp", f"{depth},{gen}"]
    tests = ["-p", str(prompt), "-n", str(gen)]
    return tests + ["-d", str(depth)] if depth else tests


def peer_figures(out):
    """Tokens per second of one run. Each entry is a prompt's evaluation or a generation."""
    speed = {f: None for f in FIGURES}
    for e in out:
        if e.get("n_gen", 0) > 0:
            speed["decode"] = e["avg_ts"]
        elif e.get("n_prompt", 0) > 0:
            speed["prefill"] = e["avg_ts"]
    return speed


def hearth_figures(out):
    return {f: out[f]["tokens_per_second"] if out[f]["n"] else None for f in FIGURES}


def named(text, default):
    """NAME=VALUE, or VALUE alone for the default name."""
    m = re.match(r"([A-Za-z][\w.-]*)=(.*)$", text, re.S)
    return (m[1], m[2]) if m else (default, text)


def is_synthetic(model):
    return not Path(model).exists() and not model.endswith(".gguf") and \
        re.fullmatch(r"[A-Za-z][\w.-]*:[A-Za-z]\w*", model) is not None


def numbers(text):
    """"0,4096" as a list of whole numbers."""
    try:
        values = [int(v) for v in text.split(",")]
    except ValueError:
        values = [-1]
    if min(values) < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of whole numbers such as 0,4096")
    return values


def stats(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples),
            "samples": samples}


def best(settings):
    """Of one program's samples by setting, those with the highest median; None without any."""
    known = {s: v for s, v in settings.items() if v}
    if not known:
        return None
    name = max(known, key=lambda s: statistics.median(known[s]))
    return {"setting": name, **stats(known[name])}


def limit_of(figure, facts):
    """What bounds the figure: operations per second for prefill, bytes per second for decode."""
    return (facts.get("int8_peak", {}).get("ops_per_second") if figure == "prefill" else
            facts.get("bandwidth", {}).get("measured_bytes_per_second")) or 0


def roofline(figure, speed, facts, limits):
    """Share of the limit, the best seen in the whole run: a busy machine shows less in single ones.
    None where it is not known."""
    own = facts.get(figure, {}).get("tokens_per_second")
    part = facts.get("int8_peak" if figure == "prefill" else "bandwidth", {})
    if not own or not part.get("share") or not limits.get(figure):
        return None
    per_token = part["share"] * limit_of(figure, facts) / own
    return speed * per_token / limits[figure]


def rows_of(model, depth, tokens, samples, facts, limits):
    """One row per figure from {program: {setting: {figure: [samples]}}}."""
    rows = []
    for figure in FIGURES:
        found = {name: best({s: f[figure] for s, f in settings.items()})
                 for name, settings in samples.items()}
        hearth = found.pop("hearth")
        if not hearth:
            continue
        row = {"model": model, "depth": depth, "figure": figure, "tokens": tokens[figure],
               "hearth": hearth, "share": roofline(figure, hearth["median"], facts, limits), "peers": {}}
        for name, peer in found.items():
            if peer:
                pairs = [a / b for a, b in zip(hearth["samples"], peer["samples"])]
                row["peers"][name] = {**peer, "ratio": hearth["median"] / peer["median"],
                                      "ratio_min": min(pairs), "ratio_max": max(pairs)}
        rows.append(row)
    return rows


def row_key(row):
    return (short(row["model"]), row["depth"], row["figure"], row["tokens"])


def compare_results(old, new, tolerance):
    """(lines, regressed): each row of both results, as its change in Hearth's median."""
    if old.get("format") != FORMAT:
        raise Problem("the older result is not one of this program's, or of another version")
    before = {row_key(r): r for r in old["results"]}
    lines, regressed = [], False
    a, b = (x.get("machine", {}).get("cpu") for x in (old, new))
    if a != b:
        lines.append(f"the older result is of another machine: {a}, not {b}")
    if old.get("threads") != new.get("threads"):
        lines.append(f"the older result is of {old.get('threads')} threads")
    for row in new["results"]:
        was = before.get(row_key(row))
        name = f"{short(row['model'])} {label(row)}"
        if not was:
            lines.append(f"{name}: not in the older result")
            continue
        change = row["hearth"]["median"] / was["hearth"]["median"] - 1
        worse = change < -tolerance
        regressed = regressed or worse
        lines.append(f"{name}: {was['hearth']['median']:.2f} -> {row['hearth']['median']:.2f} tok/s "
                     f"({change:+.1%}){'  REGRESSION' if worse else ''}")
    return lines, regressed


# ---- tables ----------------------------------------------------------------------------------------


def short(model):
    return model.rsplit("/", 1)[-1]


def label(row):
    return f"{row['figure']} {row['tokens']}" + (f" @{row['depth']}" if row["depth"] else "")


def spread(s):
    return f"{s['median']:.2f} ({s['min']:.2f}..{s['max']:.2f})"


def table(results, color):
    """Lines, their columns aligned; ratios above 1 green and below 1 red where colour is wanted."""
    peers = list(dict.fromkeys(name for r in results for name in r["peers"]))
    head = ["model", "figure", "hearth tok/s", "of limit"]
    for name in peers:
        head += [f"{name} tok/s", "setting", "ratio"]
    cells = [head]
    for r in results:
        share = "" if r["share"] is None else f"{100 * r['share']:.0f} %"
        line = [short(r["model"]), label(r), spread(r["hearth"]), share]
        for name in peers:
            p = r["peers"].get(name)
            line += [spread(p), p["setting"],
                     f"{p['ratio']:.3f} ({p['ratio_min']:.3f}..{p['ratio_max']:.3f})"] if p else \
                ["-", "", ""]
        cells.append(line)
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = []
    for k, line in enumerate(cells):
        out = []
        for i, (c, w) in enumerate(zip(line, widths)):
            padded = c.ljust(w)
            if color and k and head[i] == "ratio" and c:
                padded = f"\033[{32 if float(c.split()[0]) >= 1 else 31}m{padded}\033[0m"
            out.append(padded)
        lines.append("  ".join(out).rstrip())
    return lines


def wants_color(stream):
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# ---- the whole -----------------------------------------------------------------------------------


@contextlib.contextmanager
def model_file(args, model):
    """(path, environment) of a model; a synthetic one is made, and gone afterwards with whatever
    Hearth prepared for it."""
    if not is_synthetic(model):
        known = Path(model).exists() or model.endswith(".gguf")
        path = model if known else \
            run_json([args.hearth, "show", model, "--json"], args.timeout).get("path")
        if not path or not Path(path).exists():
            raise Problem(f"{model}: no such file, no installed model, no synthetic NAME:TYPE")
        yield path, None
        return
    folder = Path(args.keep) if args.keep else Path(tempfile.mkdtemp(prefix="hearth-bench-",
                                                                     dir=args.work_dir))
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "HEARTH_HOME": str(folder / "home")}
    path = folder / (model.replace(":", "-").lower() + ".gguf")
    try:
        run([args.hearth, "bench", "--synthetic", model, "--keep", str(path), "-p", "0", "-n", "0"],
            args.timeout, env)
        yield str(path), env
    finally:
        shutil.rmtree(folder / "home" if args.keep else folder, ignore_errors=True)


def measure(args, programs, model, path, depth, env):
    runs = [(p, s) for p in programs for s in p.settings]
    samples = {p.name: {s: {f: [] for f in FIGURES} for s in p.settings} for p in programs}
    for i in range(args.rounds):
        for program, setting in runs if i % 2 == 0 else reversed(runs):
            if args.pause:
                time.sleep(args.pause)
            speed = program.measure(path, depth, setting, env)
            for f in FIGURES:
                if speed[f] is not None:
                    samples[program.name][setting][f].append(speed[f])
            shown = "  ".join(f"{f} {speed[f]:9.2f}" for f in FIGURES if speed[f] is not None)
            print(f"  round {i + 1}/{args.rounds}  {program.name + ' ' + setting:28} {shown}",
                  file=sys.stderr)
    tokens = {"prefill": args.prompt, "decode": args.gen}
    return rows_of(model, depth, tokens, samples, programs[0].facts,
                   programs[0].limits)


def default_model(args):
    """The name that Hearth takes where none is given."""
    models = run_json([args.hearth, "list", "--json"], args.timeout)["models"]
    names = [m["name"] for m in models if m.get("default") and m.get("installed", True)]
    if not names:
        raise Problem("no model named, and the default one is not installed; run: hearth pull")
    return names[0]


def measure_all(args):
    flags = {}
    for text in args.flags:
        name, value = named(text, "llama.cpp")
        flags.setdefault(name, []).append(value)
    hearth = Hearth(args.hearth, args)
    peers = [Peer(name, path, flags.get(name), args)
             for name, path in (named(t, "llama.cpp") for t in args.peer)]
    if len({p.name for p in peers} | {"hearth"}) <= len(peers):
        raise Problem("two programs have one name; say --peer NAME=PATH")
    results = []
    for model in args.models or [default_model(args)]:
        with model_file(args, model) as (path, env):
            for depth in args.depth:
                print(f"{model}{f' behind {depth} tokens' if depth else ''}", file=sys.stderr)
                results += measure(args, [hearth, *peers], model, path, depth, env)
    machine = hearth.facts.get("machine", {})
    return {"format": FORMAT, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine, "threads": args.threads, "rounds": args.rounds,
            "programs": {"hearth": machine.get("hearth"), **{p.name: p.build for p in peers}},
            "limits": {"bytes_per_second": hearth.limits.get("decode"),
                       "int8_ops_per_second": hearth.limits.get("prefill")},
            "results": results}


def headline(result):
    m = result["machine"]
    limits = result["limits"]
    known = [f"{1e-9 * limits[k]:.0f} {unit}" for k, unit in
             (("bytes_per_second", "GB/s"), ("int8_ops_per_second", "Gop/s int8")) if limits.get(k)]
    return ", ".join([str(m.get("cpu")), f"{result['threads']} threads",
                      f"{m.get('kernels')} kernels", *known, f"{result['rounds']} rounds"])


def parse(argv):
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--hearth", required=True)
    ap.add_argument("--peer", action="append", default=[], metavar="NAME=LLAMA-BENCH",
                    help="a build of llama.cpp or ik_llama.cpp to compare with (repeatable)")
    ap.add_argument("--flags", action="append", default=[], metavar="NAME=FLAGS",
                    help="run that peer with these flags (repeatable) and not with the usual ones: "
                         f"{SETTINGS_MAINLINE} or, where it repacks at run time, {SETTINGS_IK}")
    ap.add_argument("-p", "--prompt", type=int, default=512)
    ap.add_argument("-n", "--gen", type=int, default=64)
    ap.add_argument("-d", "--depth", type=numbers, default=[0], metavar="N,N",
                    help="tokens of context behind which to measure (default 0)")
    ap.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("-r", "--rounds", type=int, default=5)
    ap.add_argument("--types", metavar="LIST",
                    help="also one synthetic 1B model of each tensor type: all, or Q4_0,Q8_0,...")
    ap.add_argument("--keep", metavar="DIR", help="leave the files of synthetic models there")
    ap.add_argument("--work-dir", metavar="DIR",
                    help="where synthetic models are made (default: the system's temporary folder)")
    ap.add_argument("--pause", type=float, default=0, help="seconds of rest before each run")
    ap.add_argument("--timeout", type=float, default=1800, help="seconds a run may take")
    ap.add_argument("--json", metavar="FILE", help="write all samples there; - is standard output")
    ap.add_argument("--against", metavar="OLD.json",
                    help="compare with an older result; a loss beyond the tolerance gives exit status 1")
    ap.add_argument("--tolerance", type=float, default=0.05, help="of --against (default 0.05)")
    ap.add_argument("models", nargs="*", metavar="MODEL")
    args = ap.parse_args(argv)
    if args.types:
        wanted = TYPES if args.types == "all" else args.types.split(",")
        args.models += [f"llama-1b:{t.lower()}" for t in wanted]
    if args.rounds < 1 or args.prompt < 1 or args.gen < 1:
        ap.error("at least one round, one token of a prompt and one generated token")
    return args


def main(argv=None):
    args = parse(argv)
    try:
        old = json.loads(Path(args.against).read_text()) if args.against else None
        result = measure_all(args)
        if args.json == "-":
            print(json.dumps(result, indent=2))
        else:
            print(headline(result))
            print("\n".join(table(result["results"], wants_color(sys.stdout))))
            if args.json:
                Path(args.json).write_text(json.dumps(result, indent=2) + "\n")
        if old is None:
            return 0
        lines, regressed = compare_results(old, result, args.tolerance)
        print("\n".join(["", f"against {args.against} ({old.get('date')}):", *lines]),
              file=sys.stderr if args.json == "-" else sys.stdout)
        return 1 if regressed else 0
    except (Problem, OSError, json.JSONDecodeError) as e:
        print(f"compare.py: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
