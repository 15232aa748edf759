#!/usr/bin/env python3
"""Fetches and builds tree-sitter and the grammars that tools/grammars.txt names.

    tools/grammars.py             build .deps/grammars where it is missing or out of date
    tools/grammars.py --verify    build nothing: succeed where it is there and current

The result is libhearth-grammars.a and include/tree_sitter/api.h. It is kept until the list, this file or
the compiler changes; then the network is needed again. pip downloads, so its settings, mirrors and
proxies hold; nothing of the packages is run (tools/metadata_only).
"""

import argparse
import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tools/grammars.txt"
TARGET = ROOT / ".deps/grammars"
LIBRARY = "libhearth-grammars.a"
CC = os.environ.get("GRAMMARS_CC", "cc")
FLAGS = ["-std=gnu11", "-fPIC", "-g0", "-w", "-DNDEBUG", "-D_DEFAULT_SOURCE", "-D_POSIX_C_SOURCE=200809L",
         "-DYAML_SCHEMA=plain", f"-I{ROOT / 'tools/grammars'}"]
# The parsers are tables and one lexer each: more optimization costs minutes there and gains nothing.
LEVELS = {"parser.c": "-O1"}


class Failed(Exception):
    pass


def read_list():
    """[(package, version, sha256, [(kind, name, folder, headers)])] of the list."""
    packages = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "package" and len(words) == 4:
            packages.append((*words[1:], []))
        elif words[0] == "core" and len(words) == 2 and packages:
            packages[-1][3].append(("core", "core", words[1], None))
        elif words[0] == "grammar" and len(words) in (3, 4) and packages:
            packages[-1][3].append(("grammar", words[1], words[2], words[3] if len(words) == 4 else None))
        else:
            raise Failed(f"{LIST.name}:{number}: not understood")
    return packages


def digest():
    """What the built library depends on."""
    version = subprocess.run([CC, "--version"], capture_output=True, text=True, check=True).stdout
    state = hashlib.sha256(version.splitlines()[0].encode())
    for path in (LIST, Path(__file__), *sorted((ROOT / "tools/grammars").iterdir())):
        state.update(path.read_bytes())
    return state.hexdigest()


def is_current(wanted):
    stamp = TARGET / "digest"
    return stamp.is_file() and stamp.read_text() == wanted and (TARGET / LIBRARY).is_file()


def pip_command():
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"], [str(ROOT / ".venv/bin/pip")]):
        try:
            if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
                return command
        except OSError:
            continue
    raise Failed("pip was not found; install python3-pip")


def download(packages, folder):
    """The archives, in the order of the list. pip checks the hashes."""
    pins = folder / "pins.txt"
    pins.write_text("".join(f"{n}=={v} --hash=sha256:{h}\n" for n, v, h, _ in packages))
    env = dict(os.environ, PYTHONPATH=str(ROOT / "tools/metadata_only"), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [*pip_command(), "download", "--quiet", "--no-deps", "--no-binary", ":all:",
         "--no-build-isolation", "--ignore-requires-python", "--require-hashes",
         "--disable-pip-version-check", "-r", pins, "-d", folder / "archives"],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Failed("pip could not fetch the grammars: " + done.stderr.strip()[-600:])
    by_hash = {hashlib.sha256(p.read_bytes()).hexdigest(): p for p in (folder / "archives").iterdir()}
    return [by_hash[wanted] for _, _, wanted, _ in packages]


def wanted_member(name, entries):
    """Where a file of an archive goes: (entry, path below it), or None."""
    path = name.split("/", 1)[1] if "/" in name else ""
    for kind, entry, inside, _ in entries:
        prefix = "" if inside == "." else inside + "/"
        rest = path[len(prefix):]
        if path.startswith(prefix) and rest.endswith((".c", ".h", ".inc")) and (
                kind == "core" or rest.split("/")[0] in ("src", "common")):
            return entry, rest
    return None


def unpack(archive, entries, folder):
    with tarfile.open(archive) as tar:
        for member in tar:
            found = wanted_member(member.name, entries) if member.isfile() else None
            if not found or ".." in Path(found[1]).parts:
                continue
            target = folder / found[0] / found[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)


def compile_jobs(packages, folder):
    """[(command, object, bytes of the source)] of everything, the longest first."""
    jobs = []
    for _, _, _, entries in packages:
        for kind, name, _, headers in entries:
            source = folder / name
            if kind == "core":
                includes = [source / "include", source / "src"]
                files = [source / "src/lib.c"]
            else:
                includes = [source / "src"] + ([folder / headers / "src"] if headers else [])
                files = [p for p in (source / "src/parser.c", source / "src/scanner.c") if p.is_file()]
                if not files:
                    raise Failed(f"the package of {name} holds no src/parser.c")
            for file in files:
                target = folder / f"{name}-{file.stem}.o"
                command = [CC, *FLAGS, LEVELS.get(file.name, "-O2"), *[f"-I{i}" for i in includes],
                           "-c", str(file), "-o", str(target)]
                jobs.append((command, target, file.stat().st_size))
    return sorted(jobs, key=lambda job: -job[2])


def compile_all(jobs):
    def one(job):
        done = subprocess.run(job[0], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(job[0])}\n{done.stderr[-2000:]}")

    # A child for each core, but no more than memory allows: a large parser takes half a gigabyte.
    with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        for _ in pool.map(one, jobs):
            pass


def build(wanted):
    packages = read_list()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET.parent, prefix="grammars.") as name:
        folder = Path(name)
        print("fetching the grammars (52 MB, once)", flush=True)
        sources = folder / "src"
        for (_, _, _, entries), archive in zip(packages, download(packages, folder)):
            unpack(archive, entries, sources)
        print("building the grammars (once)", flush=True)
        jobs = compile_jobs(packages, sources)
        compile_all(jobs)
        result = folder / "result"
        (result / "include/tree_sitter").mkdir(parents=True)
        shutil.copy(sources / "core/include/tree_sitter/api.h", result / "include/tree_sitter")
        subprocess.run(["ar", "rcsD", result / LIBRARY, *sorted(str(o) for _, o, _ in jobs)], check=True)
        (result / "digest").write_text(wanted)
        shutil.rmtree(TARGET, ignore_errors=True)
        result.rename(TARGET)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verify", action="store_true", help="build nothing, say whether it is there")
    options = parser.parse_args()
    try:
        wanted = digest()
        if is_current(wanted):
            return 0
        if options.verify:
            raise Failed("the grammars are missing or out of date; run tools/grammars.py")
        build(wanted)
    except (Failed, OSError, tarfile.TarError, subprocess.CalledProcessError) as e:
        print(f"grammars: {e}", file=sys.stderr)
        if not options.verify:
            print("Without them: meson setup build -Dgrammars=disabled (files are split plainly then)",
                  file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
