"""Runs the program under test and answers calls of its function. Inside of the sandbox, without any
hold on the verdict: it never sees the tests, and has one descriptor, over which values come and go.

Descriptor 3: calls in, answers out, as lines. Descriptor 4: the program.
"""
import sys

LIMIT = 1 << 24


def plain(x, depth=0):
    """A value as plain built-in types, which repr writes and ast.literal_eval reads."""
    if depth > 60:
        raise TypeError("too deep")
    if x is None or x is True or x is False or x is Ellipsis:
        return x
    for kind in (int, float, complex, str, bytes):
        if isinstance(x, kind):
            return kind(x)
    if isinstance(x, (list, tuple)):
        items = [plain(i, depth + 1) for i in x]
        return items if isinstance(x, list) else tuple(items)
    if isinstance(x, (set, frozenset)):
        return {plain(i, depth + 1) for i in x}
    if isinstance(x, dict):
        return {plain(k, depth + 1): plain(v, depth + 1) for k, v in x.items()}
    raise TypeError("no plain value")


def main():
    entry = sys.argv[1]
    with open(4, encoding="utf-8", newline="") as f:
        program = f.read()
    calls, answers = open(3, "rb", closefd=False), open(3, "wb", closefd=False)
    namespace = {"__name__": "__candidate__"}
    exec(compile(program, "candidate", "exec"), namespace)
    names = {"inf": float("inf"), "nan": float("nan")}
    answers.write(b"ready\n")
    answers.flush()
    while True:
        line = calls.readline(LIMIT)
        if not line:
            return
        try:
            args, kwargs = eval(line.decode(), {"__builtins__": {"set": set}}, names)
            answer = "value " + repr(plain(namespace[entry](*args, **kwargs)))
        except BaseException as e:
            answer = "raise " + type(e).__name__
        answers.write(answer.encode("utf-8", "surrogatepass") + b"\n")
        answers.flush()


sys.setrecursionlimit(3000)
if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)
main()
