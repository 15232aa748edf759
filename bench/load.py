#!/usr/bin/env python3
"""Streaming clients at once against one server or several, which take turns.

    load.py NAME=URL [NAME=URL ...] [--clients 1,8] [--requests 16] [--rounds 3] [--model MODEL]
            [--prompt 800] [--shared 0.667] [--tokens 64] [--seed 1] [--text DIR] [--json FILE]

Every server answers OpenAI's /v1/completions as a stream; all get the same prompts in the same order.
A round asks `--requests` prompts with N clients, each of which asks the next as soon as its last is
answered. A prompt is about `--prompt` tokens of the source files in `--text` (Hearth's own, if not named):
the first `--shared` part is the beginning of a file and the same in all of a round, as an editor's requests
share a file, and the rest are lines of another place. A round's files are new, so that no cache of an earlier
round helps. An answer is `--tokens` long: its end tokens are banned by `ignore_eos`.

Printed for each server and number of clients, over all rounds: generated tokens a second of the whole
round (median of rounds), and the time to the first token (p50 and p95 of all requests). With several
servers, also the ratios to the last one named. 0 errors or the command fails.
"""
import argparse
import http.client
import json
import pathlib
import random
import statistics
import sys
import threading
import time
import urllib.parse

BYTES_PER_TOKEN = 3.2  # of C source, with the vocabularies of code models


def source_files(folder):
    texts = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.suffix in (".c", ".cpp", ".go", ".h", ".py", ".rs", ".ts") and path.is_file():
            texts.append(path.read_text(errors="replace"))
    return texts


def lines(text, start, size):
    """Whole lines from the one in which `start` lies on, about `size` bytes."""
    start = text.rfind("\n", 0, start) + 1
    return text[start:text.find("\n", start + int(size)) + 1]


def prompts(args, seed):
    rng = random.Random(seed)
    size = args.prompt * BYTES_PER_TOKEN
    large = [t for t in args.files if len(t) > size]
    shared = f"/* File {seed}. */\n" + lines(rng.choice(large), 0, size * args.shared)
    out = []
    for _ in range(args.requests):
        text = rng.choice(large)
        out.append(shared + lines(text, rng.randrange(int(len(text) - size * (1 - args.shared))), size * (1 - args.shared)))
    return out


class Answer:
    def __init__(self):
        self.first = self.error = None
        self.tokens = self.prompt_tokens = 0


def ask(url, args, prompt):
    answer = Answer()
    body = {"prompt": prompt, "max_tokens": args.tokens, "temperature": 0, "stream": True, "ignore_eos": True,
            "cache_prompt": True, "stream_options": {"include_usage": True}}
    if args.model:
        body["model"] = args.model
    where = urllib.parse.urlsplit(url)
    line = http.client.HTTPConnection(where.hostname, where.port, timeout=args.timeout)
    began = time.monotonic()
    try:
        line.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        got = line.getresponse()
        if got.status != 200:
            answer.error = f"{got.status}: {got.read(300)!r}"
            return answer
        for row in got:
            if not row.startswith(b"data: ") or row.startswith(b"data: [DONE]"):
                continue
            part = json.loads(row[6:])
            if "error" in part:
                answer.error = str(part["error"])
                return answer
            if answer.first is None and any(c.get("text") for c in part.get("choices", [])):
                answer.first = time.monotonic() - began
            if part.get("usage"):
                answer.tokens = part["usage"]["completion_tokens"]
                answer.prompt_tokens = part["usage"]["prompt_tokens"]
        if answer.tokens != args.tokens or answer.first is None:
            answer.error = f"{answer.tokens} tokens came, not {args.tokens}"
    except (OSError, http.client.HTTPException, ValueError) as e:
        answer.error = repr(e)
    finally:
        line.close()
    return answer


def one_round(url, args, clients, seed):
    """(answers, seconds)."""
    waiting, answers, lock = prompts(args, seed), [], threading.Lock()

    def client():
        while True:
            with lock:
                if not waiting:
                    return
                prompt = waiting.pop(0)
            answer = ask(url, args, prompt)
            with lock:
                answers.append(answer)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers, time.monotonic() - began


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(p / 100 * (len(ordered) - 1)))] if ordered else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="+", metavar="NAME=URL")
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--prompt", type=int, default=800)
    parser.add_argument("--shared", type=float, default=2 / 3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--text", metavar="DIR", default=pathlib.Path(__file__).parent.parent / "src")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    args.files = source_files(args.text)
    if not any(len(t) > args.prompt * BYTES_PER_TOKEN for t in args.files):
        parser.error(f"no source file in {args.text} is long enough for prompts of {args.prompt} tokens")
    servers = [tuple(s.split("=", 1)) for s in args.servers]
    seen = {}
    errors = []
    for name, url in servers:  # the model is loaded, and the round's threads are warm
        warm = ask(url, argparse.Namespace(**{**vars(args), "tokens": 4}), "int main(")
        errors += [f"{name}: {warm.error}"] if warm.error else []
    for clients in map(int, args.clients.split(",")):
        for number in range(args.rounds):
            for name, url in servers if number % 2 == 0 else servers[::-1]:
                answers, seconds = one_round(url, args, clients, args.seed * 1000 + clients * 100 + number)
                row = seen.setdefault((clients, name), {"rates": [], "first": [], "prompt": []})
                row["rates"].append(sum(a.tokens for a in answers) / seconds)
                row["first"] += [a.first for a in answers if a.first is not None]
                row["prompt"] += [a.prompt_tokens for a in answers if a.prompt_tokens]
                errors += [f"{name}, {clients} clients: {a.error}" for a in answers if a.error]
                print(f"  {name}, {clients} clients, round {number + 1}: {row['rates'][-1]:.1f} t/s", file=sys.stderr)
    print(f"{'clients':>7}  {'server':12}  {'tokens/s':>8}  {'TTFT p50':>9}  {'TTFT p95':>9}  {'prompt':>6}  ratios")
    out = []
    for (clients, name), row in seen.items():
        base = seen[clients, servers[-1][0]]
        rate, p50, p95 = (statistics.median(row["rates"]), percentile(row["first"], 50), percentile(row["first"], 95))
        ratios = ""
        if name != servers[-1][0]:
            ratios = (f"{rate / statistics.median(base['rates']):.2f} x tokens/s, "
                      f"{p95 / percentile(base['first'], 95):.2f} x p95 of {servers[-1][0]}")
        prompt = statistics.median(row["prompt"]) if row["prompt"] else 0
        print(f"{clients:7}  {name:12}  {rate:8.1f}  {p50:7.2f} s  {p95:7.2f} s  {prompt:6.0f}  {ratios}")
        out.append({"clients": clients, "server": name, "tokens_per_second": row["rates"], "ttft_p50": p50, "ttft_p95": p95,
                    "prompt_tokens": prompt})
    print(f"{len(errors)} errors" + "".join("\n  " + e for e in errors[:10]))
    if args.json:
        with open(args.json, "w") as f:
            options = {k: v for k, v in vars(args).items() if k not in ("files", "text")}
            json.dump({"options": options, "results": out, "errors": errors}, f, indent=1)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
