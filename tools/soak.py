#!/usr/bin/env python3
"""Runs the long tests of the server: a million mutated requests under sanitizers, crowds, kills, stopwatches.

    tools/soak.py [--requests N]     figures also go to build-check/soak.txt

They take about an hour of two cores; `make check` runs each of them in a small size.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000000, help="mutated requests")
    options = parser.parse_args()
    results = check.Results()
    check.BUILDS.mkdir(exist_ok=True)
    log = check.BUILDS / "soak.txt"
    log.unlink(missing_ok=True)
    try:
        for name in ("packages", "venv"):
            check.PARTS[name][0](results)
        check.build("plain")
        check.prepare_model(results)
        check.build("address", ["api"])
    except check.PartFailed as e:
        print(f"soak: {e}\n{e.output}", file=sys.stderr)
        return 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"== {options.requests} mutated requests", flush=True)
    mutated = subprocess.run(
        [*check.no_randomization(), check.BUILDS / "address/tests/api/test_mutated", str(options.requests)],
        env=check.test_env()).returncode
    print("== crowds, kills, stopwatches", flush=True)
    env = check.test_env(HEARTH_BIN=check.BUILDS / "plain/hearth", HEARTH_TEST_HOME=check.HOME, HEARTH_SOAK=1,
                         HEARTH_SOAK_LOG=log, PYTHONDONTWRITEBYTECODE=1)
    soak = subprocess.run([check.VENV / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           "tests/e2e/test_server_soak.py", "tests/e2e/test_server_tls.py",
                           "tests/e2e/test_serve_invariants.py"], cwd=check.ROOT, env=env).returncode
    if log.is_file():
        print(log.read_text(), end="")
    print("soak: " + ("FAILED" if mutated or soak else "passed"))
    return 1 if mutated or soak else 0


if __name__ == "__main__":
    os.chdir(check.ROOT)
    sys.exit(main())
