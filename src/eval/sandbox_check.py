"""Runs a problem's tests against a function that lives in another process, and gives the verdict.

Descriptor 3: the process with the program under test. Descriptor 4: JSON with the problem's own
program (for what its tests call besides the function), its tests and the function's name.
Descriptor 5: one word, the verdict. Nothing that the other process sends is run as code.
"""
import ast
import json
import os
import sys

LIMIT = 1 << 24
NAMES = {"inf": float("inf"), "nan": float("nan")}


class Refused(Exception):
    """What came is no answer to a call."""


def value(node):
    """A literal, as ast.literal_eval reads it, and besides inf, nan and set()."""
    if isinstance(node, ast.Name) and node.id in NAMES:
        return NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        x = value(node.operand)
        if type(x) in (int, float, complex):
            return -x
    if isinstance(node, ast.List):
        return [value(i) for i in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(value(i) for i in node.elts)
    if isinstance(node, ast.Set):
        return {value(i) for i in node.elts}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "set":
        if not node.args and not node.keywords:
            return set()
        raise Refused
    if isinstance(node, ast.Dict):
        return {value(k): value(v) for k, v in zip(node.keys, node.values)}
    return ast.literal_eval(node)


class Candidate:
    def __init__(self):
        self.answers, self.calls = open(3, "rb"), open(3, "wb", closefd=False)
        if self.answers.readline(LIMIT) != b"ready\n":
            raise Refused

    def __call__(self, *args, **kwargs):
        self.calls.write(repr((args, kwargs)).encode("utf-8", "surrogatepass") + b"\n")
        self.calls.flush()
        line = self.answers.readline(LIMIT)
        if not line.endswith(b"\n"):
            raise Refused
        word, _, rest = line.decode("utf-8", "surrogatepass").rstrip("\n").partition(" ")
        if word == "value":
            return value(ast.parse(rest, mode="eval").body)
        if word == "raise":
            kind = {"ValueError": ValueError, "TypeError": TypeError, "IndexError": IndexError,
                    "KeyError": KeyError, "AssertionError": AssertionError,
                    "ZeroDivisionError": ZeroDivisionError}.get(rest, RuntimeError)
            raise kind("raised by the function under test")
        raise Refused


def main():
    with open(4, encoding="utf-8", newline="") as f:
        problem = json.load(f)
    namespace = {"__name__": "__checker__"}
    word = b"fail"
    try:
        exec(compile(problem["program"], "problem", "exec"), namespace)
        exec(compile(problem["test"], "test", "exec"), namespace)
        namespace["check"](Candidate())
        word = b"pass"
    except BaseException:
        pass
    os.write(5, word)
    os._exit(0)


sys.setrecursionlimit(20000)
if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)
main()
