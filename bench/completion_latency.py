#!/usr/bin/env python3
"""How long a completion takes to begin, while text is being typed in a file.

    completion_latency.py --hearth build/hearth MODEL [-t 2] [--tokens 1500] [--places 5] [--json FILE]

One process (`hearth complete --stdio`) is asked at several places in this repository's own source
files, each with about `--tokens` tokens around the cursor, half of them behind it:

    first       nothing of the text is known to the process yet
    at once     five characters were typed since
    one by one  each of five characters is a request of its own; the median of the five
    corrected   three characters were taken back
    new lines   two lines were typed since the first request
    idle        the same after the process had time to prepare (the time of that in "prepare")
    below       the cursor moved five lines down

All times are milliseconds from the request to the first text behind the cursor, as the process
reports them; "round trip" is the whole of "at once" with --max-tokens 1 seen from here.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS = ("first", "at once", "round trip", "one by one", "corrected", "new lines", "prepare",
           "idle", "below")


class Server:
    def __init__(self, args):
        command = [args.hearth, "complete", "--stdio", "-m", args.model, "-n", str(args.max_tokens)]
        command += ["-t", str(args.threads)] if args.threads else []
        command += args.arg
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, lines, row, column, **more):
        above = "\n".join(lines[:row] + [lines[row][:column]])
        below = "\n".join([lines[row][column:]] + lines[row + 1:])
        request = {"prefix": above, "suffix": below, **more}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            sys.exit(f"hearth: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def places(args):
    """(lines, row) with about half of the tokens on either side, four bytes taken as a token."""
    found = []
    half = args.tokens * args.bytes_per_token / 2
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "*", "*.c"))):
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        sizes = [len(line) + 1 for line in lines]
        if sum(sizes) < 2 * half + 400:
            continue
        for row in range(len(lines)):
            code = lines[row].strip()
            if sum(sizes[:row]) < half or len(code) < 12 or code[0] in "/*#{}":
                continue
            first, last, above, below = row, row, 0, 0
            while first > 0 and above < half:
                first -= 1
                above += sizes[first]
            while last + 1 < len(lines) and below < half:
                last += 1
                below += sizes[last]
            if below >= half:
                found.append((path, lines[first:last + 1], row - first))
            break
    step = max(1, len(found) // args.places)
    return found[::step][:args.places]


def measure(server, lines, row):
    """One place. The cursor's line is typed anew, from its first character that is no blank."""
    times, code = {}, lines[row]
    start = len(code) - len(code.lstrip())
    text = lines[:row] + [code[:start]] + lines[row + 1:]

    def typed(n, line=row):
        return text[:line] + [code[:start + n]] + text[line + 1:]

    def first_token(answer):
        return answer["timings"]["first_token_ms"] or answer["timings"]["total_ms"]

    answer = server.ask(text, row, start)
    tokens = answer["prompt_tokens"]
    times["first"] = first_token(answer)
    times["at once"] = first_token(server.ask(typed(5), row, start + 5))
    server.ask(text, row, start)
    began = time.perf_counter()
    server.ask(typed(5), row, start + 5, max_tokens=1)
    times["round trip"] = (time.perf_counter() - began) * 1e3
    times["one by one"] = statistics.median(
        first_token(server.ask(typed(n), row, start + n)) for n in range(6, 11))
    times["corrected"] = first_token(server.ask(typed(7), row, start + 7))
    more = text[:row] + [code, code[:start] + "return 0;", code[:start]] + text[row + 1:]
    times["new lines"] = first_token(server.ask(more, row + 2, start))
    times["prepare"] = server.ask(more, row + 2, start, idle=True)["total_ms"]
    times["idle"] = first_token(server.ask(more, row + 2, start))
    times["below"] = first_token(server.ask(more, row + 7, len(more[row + 7])))
    return tokens, times


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--hearth", default=os.path.join(ROOT, "build", "hearth"))
    parser.add_argument("-t", "--threads", type=int)
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--bytes-per-token", type=float, default=3.4, help="of the text, about")
    parser.add_argument("--places", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--arg", action="append", default=[], metavar="OPTION",
                        help="pass on to hearth complete")
    parser.add_argument("--json", metavar="FILE", help="keep every sample")
    args = parser.parse_args()
    chosen = places(args)
    if not chosen:
        sys.exit("no source file of this repository is long enough: ask for fewer --tokens")
    server = Server(args)
    samples = []
    print(f"{'place':28} {'tokens':>6}" + "".join(f"{c:>12}" for c in COLUMNS))
    for path, lines, row in chosen:
        tokens, times = measure(server, lines, row)
        samples.append({"place": os.path.relpath(path, ROOT), "prompt_tokens": tokens, **times})
        print(f"{samples[-1]['place']:28} {tokens:6}" +
              "".join(f"{times[c]:12.1f}" for c in COLUMNS))
    server.close()
    medians = {c: statistics.median(s[c] for s in samples) for c in COLUMNS}
    print(f"{'median':28} {'':6}" + "".join(f"{medians[c]:12.1f}" for c in COLUMNS))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"model": args.model, "threads": args.threads, "samples": samples,
                       "medians": medians}, f, indent=2)


if __name__ == "__main__":
    main()
