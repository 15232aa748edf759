"""Clients that are heavy to install, against a server with real models: `make clients` runs these.

HEARTH_BIN names the program (default: build/hearth of this tree); HEARTH_TEST_HOME, or else HEARTH_HOME, the folder
with the models. A test is skipped where its model is missing, or the client is not installed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))

from serve_kit import Server  # noqa: E402

CODER = "qwen2.5-coder:1.5b"
SMALL = ("qwen2.5-coder:0.5b", "smollm2:135m")


def installed(home):
    names = []
    for path in sorted((Path(home) / "manifests").glob("*/*.json")):
        names.append(f"{path.parent.name}:{path.stem}")
    return names


@pytest.fixture(scope="session")
def models():
    home = os.environ.get("HEARTH_TEST_HOME") or os.environ.get("HEARTH_HOME")
    found = installed(home) if home else []
    if not found:
        pytest.skip("no models: HEARTH_TEST_HOME names no folder that has any")
    return home, found


@pytest.fixture(scope="session")
def binary():
    path = Path(os.environ.get("HEARTH_BIN", ROOT / "build/hearth")).resolve()
    if not path.exists():
        pytest.fail(f"{path} is not built: run make, or set HEARTH_BIN")
    return str(path)


@pytest.fixture(scope="session")
def server(models, binary):
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        del os.environ[name]
    s = Server(binary, models[0], "--keep-alive", "1h", "--threads", os.environ.get("HEARTH_TEST_THREADS", "2"))
    yield s
    s.stop()


@pytest.fixture(scope="session")
def coder(models):
    if CODER not in models[1]:
        pytest.skip(f"{CODER} is not installed")
    return CODER


@pytest.fixture(scope="session")
def small(models):
    """The smallest model that there is."""
    for name in reversed(SMALL):
        if name in models[1]:
            return name
    pytest.skip(f"neither of {', '.join(SMALL)} is installed")


@pytest.fixture(scope="session")
def small_coder(models):
    """The smallest that follows instructions about tools and code."""
    if SMALL[0] not in models[1]:
        pytest.skip(f"{SMALL[0]} is not installed")
    return SMALL[0]


@pytest.fixture(scope="session")
def node_modules():
    """Where `make clients` put the npm packages."""
    path = Path(os.environ.get("HEARTH_TEST_NODE", ROOT / ".deps/clients-node"))
    if not (path / "node_modules").is_dir():
        pytest.skip(f"{path} has no node_modules: run make clients")
    return path


@pytest.fixture
def run(tmp_path):
    """Runs a client in an empty home, with nothing but the test's own servers in reach of its settings."""

    def go(*command, cwd=tmp_path, timeout=600, **env):
        home = tmp_path / "client-home"
        home.mkdir(exist_ok=True)
        clean = {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb",
                 "PYTHONDONTWRITEBYTECODE": "1", **env}
        done = subprocess.run([str(c) for c in command], cwd=cwd, env=clean, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return go
