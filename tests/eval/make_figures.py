#!/usr/bin/env python3
"""Writes figures_pairs.inc and figures_intervals.inc: what test_figures.c holds Hearth's figures to.

The distance is the plain recursion with a memory, another way than the C code's; the interval is found
by bisection of Wilson's defining equation, |p - k/n| = z * sqrt(p * (1 - p) / n).
"""
import functools
import json
import random
from pathlib import Path
from statistics import NormalDist

HERE = Path(__file__).parent


def distance(a, b):
    @functools.lru_cache(maxsize=None)
    def d(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
    return d(len(a), len(b))


def plain(text):
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def interval(k, n):
    z = NormalDist().inv_cdf(0.975)

    def inside(p):
        return abs(p - k / n) <= z * (p * (1 - p) / n) ** 0.5

    def edge(good, bad):
        for _ in range(200):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if inside(middle) else (good, middle)
        return good

    return (0.0 if k == 0 else edge(k / n, 0.0)), (1.0 if k == n else edge(k / n, 1.0))


def main():
    rng = random.Random(5)
    pairs = [("", ""), ("a", ""), ("", "abc"), ("kitten", "sitting"), ("x = 1", "x = 1  "), ("x = 1\n", "x = 1"),
             ("a \nb", "a\nb\t\n\n"), ("a\n\nb", "a\nb"), (" a", "a"), ("a\n b", "a\nb"), ("a", "a b"),
             ("return a", "return a\nreturn b"), ("a\n", "\n"), ("\n\n", "")]
    for _ in range(30):
        a = "".join(rng.choice("ab \n(") for _ in range(rng.randrange(12)))
        b = "".join(c for c in a if rng.random() < 0.8) + rng.choice(["", "x", "\n"])
        pairs.append((a, b))
    with open(HERE / "figures_pairs.inc", "w") as f:
        for a, b in pairs:
            longer = max(len(a), len(b))
            edit = 1 - distance(a, b) / longer if longer else 1.0
            f.write(f"{{{json.dumps(a)}, {json.dumps(b)}, {edit!r}, {str(plain(a) == plain(b)).lower()}}},\n")
    with open(HERE / "figures_intervals.inc", "w") as f:
        for k, n in [(0, 1), (1, 1), (0, 20), (20, 20), (1, 2), (7, 40), (465, 1033), (1000, 1033)]:
            low, high = interval(k, n)
            f.write(f"{{{k}, {n}, {low!r}, {high!r}}},\n")
        f.write("{0, 0, 0.0, 1.0},\n")


main()
