"""What the end-to-end tests share: the program under test and a folder of its own for each test.

HEARTH_BIN names the program (default: build/hearth of this tree).
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def hearth_bin():
    path = Path(os.environ.get("HEARTH_BIN", ROOT / "build/hearth")).resolve()
    if not path.exists():
        pytest.fail(f"{path} is not built: run make, or set HEARTH_BIN")
    return str(path)


@pytest.fixture
def hearth(hearth_bin, tmp_path):
    """Runs the program in an empty home folder: hearth("list", "--json") -> CompletedProcess."""

    def run(*args, env=None, timeout=120, **options):
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("HEARTH_", "XDG_")) and k != "NO_COLOR"}
        clean.update(HOME=str(tmp_path), TERM="xterm", LC_ALL="C.UTF-8")
        clean.update(env or {})
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([hearth_bin, *map(str, args)], env=clean, timeout=timeout,
                              cwd=options.pop("cwd", tmp_path), text=True, **options)

    return run
