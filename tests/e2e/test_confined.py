"""The sandbox around what reads models, tried from inside: a library that is loaded into the program (inject.c)
does at a signal what a hostile model file would, once it had code of its own running. docs/security.md tells
what has to be refused where.
"""

import ctypes
import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from lsp_kit import Client
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model

HERE = Path(__file__).parent
TINY = HERE.parent / "golden/tiny/qwen2.gguf"
REFUSED = {errno.EPERM, errno.EACCES}
# What no command that has read a model may do.
NEVER = ["exec", "fork", "code", "netlink", "trace", "memory", "signal", "mount", "namespace", "uring", "type"]
SOCKETS = ["unix", "bind", "connect"]


def landlock():
    libc = ctypes.CDLL(None, use_errno=True)
    return max(libc.syscall(444, None, 0, 1), 0)


pytestmark = pytest.mark.skipif(landlock() < 6, reason=f"Landlock {landlock()} of this kernel: 6 is needed")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("inject") / "inject.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", out, HERE / "inject.c"], check=True)
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "fim.gguf"
    write_tiny_model(path, SPECIAL)
    return path


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s.getsockname()[1]


class Inject:
    """What is tried, and what came of it."""

    def __init__(self, library, folder, port, read=(), write=()):
        self.report = folder / "report"
        tries = [f"read {p}" for p in read] + [f"write {p}" for p in write] + [f"connect {port}"]
        self.env = {"LD_PRELOAD": str(library), "INJECT_REPORT": str(self.report), "INJECT_TRY": ";".join(tries)}

    def fire(self, process):
        process.send_signal(signal.SIGUSR2)
        for _ in range(400):
            lines = self.report.read_text().splitlines()
            if lines and lines[-1] == "end 0":
                break
            assert process.poll() is None, "the program ended"
            time.sleep(0.05)
        return {name: int(number) for name, _, number in (line.rpartition(" ") for line in lines[:-1])}


@pytest.fixture
def inject(library, tmp_path, listener):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return lambda read=(), write=(): Inject(library, tmp_path, listener, read, write)


def check(got, refused, done=()):
    for name in refused:
        assert got[name] in REFUSED, f"{name} was not refused: {got}"
    for name in done:
        assert got[name] == 0, f"{name} does not work: {got}"


def env_of(home, more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
    return {**clean, "HOME": str(home), "HEARTH_HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb", **more}


def test_complete_can_do_nothing_once_loaded(hearth_bin, inject, model, tmp_path):
    home = tmp_path / "home"
    secret, new = tmp_path / "outside/secret", home / "cache/new"
    i = inject(read=["/etc/passwd", secret, model], write=[tmp_path / "outside/new", new])
    p = subprocess.Popen([hearth_bin, "complete", "--stdio", "-m", model, "-n", "4"], env=env_of(home, i.env),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ask():
        p.stdin.write(b'{"prefix": "a = "}\n')
        p.stdin.flush()
        return json.loads(p.stdout.readline())["text"]

    before = ask()
    got = i.fire(p)
    check(got, NEVER + SOCKETS + [f"read {n}" for n in ("/etc/passwd", secret, model)] +
          [f"write {n}" for n in (tmp_path / "outside/new", new)])
    assert ask() == before  # and goes on as if nothing had been
    out, err = p.communicate(timeout=30)
    assert p.returncode == 0 and err == b""
    assert not new.exists()


def test_without_the_sandbox_all_of_it_works(hearth_bin, inject, model, tmp_path):
    """So that the other tests cannot pass for a reason of their own."""
    home = tmp_path / "home"
    secret, new = tmp_path / "outside/secret", tmp_path / "outside/new"
    i = inject(read=["/etc/passwd", secret], write=[new])
    p = subprocess.Popen([hearth_bin, "complete", "--no-sandbox", "--stdio", "-m", model, "-n", "4"],
                         env=env_of(home, i.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(b'{"prefix": "a = "}\n')
    p.stdin.flush()
    p.stdout.readline()
    got = i.fire(p)
    root_only = {"mount", "namespace"} if os.geteuid() else set()
    denied = {"uring"}  # switched off on many machines
    check(got, [], [n for n in NEVER + SOCKETS if n not in root_only | denied] +
          ["read /etc/passwd", f"read {secret}", f"write {new}"])
    p.communicate(timeout=30)


def test_generate_opens_nothing(hearth_bin, inject, tmp_path):
    home = tmp_path / "home"
    i = inject(read=[TINY, tmp_path / "outside/secret"], write=[home / "cache/new"])
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    full = os.write(write_end, b"x" * 4080)  # so that it soon waits for a reader, in the midst of its text
    p = subprocess.Popen([hearth_bin, "generate", "-m", TINY, "-n", "2000", "--temperature", "1", "--seed", "1", "x"],
                         env=env_of(home, i.env), stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.PIPE)
    try:
        waiting = lambda: int.from_bytes(fcntl.ioctl(read_end, termios.FIONREAD, b"\0" * 4), sys.byteorder)
        until = time.monotonic() + 30
        while waiting() == full and time.monotonic() < until:
            time.sleep(0.02)
        assert waiting() > full and p.poll() is None
        check(i.fire(p), NEVER + SOCKETS + [f"read {TINY}", f"write {home / 'cache/new'}"])
    finally:
        p.kill()
        p.communicate()
        os.close(read_end)
        os.close(write_end)


def test_a_server_has_its_store_and_nothing_else(hearth_bin, inject, tmp_path):
    home, slots, project = tmp_path / "home", tmp_path / "slots", tmp_path / "project"
    (home / "blobs").mkdir(parents=True)
    (home / "blobs/x").write_text("model")
    project.mkdir()
    (project / "a.py").write_text("a = 1\n")
    secret = tmp_path / "outside/secret"
    i = inject(read=["/etc/passwd", secret, home / "blobs/x", TINY, project / "a.py"],
               write=[home / "blobs/x", home / "new", tmp_path / "outside/new", project / "a.py", home / "cache/new",
                      slots / "new"])
    s = Server(hearth_bin, home, "--slot-save-path", slots, "--project", project, model=TINY, env=i.env)
    try:
        ask = {"model": "", "prompt": "a", "max_tokens": 4, "temperature": 0}
        status, before = s.post("/v1/completions", ask)
        assert status == 200
        got = i.fire(s.process)
        check(got, NEVER + SOCKETS + ["read /etc/passwd", f"read {secret}"] +
              [f"write {n}" for n in (home / "blobs/x", home / "new", tmp_path / "outside/new", project / "a.py")],
              [f"read {n}" for n in (home / "blobs/x", TINY, project / "a.py")] +
              [f"write {n}" for n in (home / "cache/new", slots / "new")])
        status, after = s.post("/v1/completions", ask)
        assert status == 200 and after["choices"] == before["choices"]
        s.process.send_signal(signal.SIGHUP)
        for _ in range(20):  # new connections are still taken
            assert s.get("/health")[0] == 200
    finally:
        log = s.stop()
    told = [json.loads(line) for line in log.splitlines() if '"sandbox"' in line]
    assert told[0]["refuses"] == "files, connections, signals, system calls" and told[0]["landlock"] >= 6
    assert "hearth: reloaded" in log


def test_a_server_that_may_pull_has_the_network_and_the_store(hearth_bin, inject, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    secret = tmp_path / "outside/secret"
    i = inject(read=["/etc/passwd", secret], write=[home / "new", tmp_path / "outside/new"])
    s = Server(hearth_bin, home, "--allow-pull", model=TINY, env=i.env)
    try:
        assert s.post("/v1/completions", {"prompt": "a", "max_tokens": 1})[0] == 200
        got = i.fire(s.process)
        check(got, ["netlink", "trace", "memory", "signal", "mount", "namespace", "uring", "type", f"read {secret}",
                    f"write {tmp_path / 'outside/new'}"], ["connect", f"write {home / 'new'}"])
    finally:
        s.stop()


class Terminal:
    """`hearth run` as a person has it."""

    def __init__(self, binary, folder, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(binary, [binary, "run", str(TINY), "--local", "-n", "4"], env)
        self.wait_for(b">>> ")

    def send_signal(self, sig):
        os.kill(self.pid, sig)

    def poll(self):
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 65536)

    def wait_for(self, text):
        seen, until = b"", time.monotonic() + 30
        while text not in seen and time.monotonic() < until:
            if select.select([self.fd], [], [], 1)[0]:
                seen += os.read(self.fd, 65536)
        assert text in seen, seen

    def type(self, line, then):
        os.write(self.fd, line.encode() + b"\n")
        self.wait_for(then)

    def end(self):
        os.write(self.fd, b"\x04")
        assert os.waitpid(self.pid, 0)[1] == 0
        os.close(self.fd)


def test_a_conversation_reads_what_it_is_told_to(hearth_bin, inject, tmp_path):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    secret = tmp_path / "outside/secret"
    i = inject(read=[secret], write=[secret, home / "new", here / "new", home / "history", home / "chats/new"])
    t = Terminal(hearth_bin, here, env_of(home, i.env))
    t.type("/save kept", b"Saved")
    t.type("/save here.json", b"Saved")
    check(i.fire(t), NEVER + SOCKETS + [f"write {n}" for n in (secret, home / "new")],
          [f"read {secret}"] + [f"write {n}" for n in (here / "new", home / "history", home / "chats/new")])
    t.type(f"what is @{secret}", b">>> ")
    t.end()
    assert (home / "chats/kept.json").exists() and (here / "here.json").exists()
    assert "secret" in (home / "history").read_text()


def test_a_conversation_in_the_home_folder_writes_nothing_there(hearth_bin, inject, tmp_path):
    """Where a shell would run it."""
    home = tmp_path / "home"
    home.mkdir()
    i = inject(write=[home / ".profile"])
    t = Terminal(hearth_bin, home, {**env_of(home, i.env), "HEARTH_HOME": str(tmp_path / "models")})
    t.type("/save here.json", b"--no-sandbox")
    t.type("/save kept", b"Saved")
    check(i.fire(t), [f"write {home / '.profile'}"])
    t.end()


def test_the_language_server_reads_and_connects_only(hearth_bin, inject, model, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    secret = tmp_path / "outside/secret"
    i = inject(read=[secret], write=[secret, home / "new", home / "cache/new", home / "stats.sqlite"])
    c = Client(hearth_bin, model, home, env=i.env)
    c.start()
    c.open("file:///a.py", "a = \n")
    c.complete("file:///a.py", 0, 4)
    check(i.fire(c.process), NEVER + [f"write {n}" for n in (secret, home / "new")],
          [f"read {secret}", f"write {home / 'cache/new'}", f"write {home / 'stats.sqlite'}", "connect"])
    assert c.close() == 0


def test_switching_it_off_and_requiring_it(hearth, hearth_bin, tmp_path):
    run = lambda *a, **env: hearth("generate", "-m", TINY, "-n", 2, *a, "x", env=env)
    assert run(HEARTH_SANDBOX="require").returncode == 0
    refused = run("--no-sandbox", HEARTH_SANDBOX="require")
    assert refused.returncode == 1 and "HEARTH_SANDBOX=require" in refused.stderr
    assert run("--no-sandbox").stdout == run().stdout == run(HEARTH_SANDBOX="off").stdout
    for env, args in (({"HEARTH_SANDBOX": "off"}, []), ({}, ["--no-sandbox"]), ({"HEARTH_SERVE_NO_SANDBOX": "true"}, [])):
        s = Server(hearth_bin, tmp_path / "home", *args, env=env)
        assert '"sandbox off"' in s.stop()


def test_doctor_says_so(hearth):
    found = json.loads(hearth("doctor", "--quick", "--json").stdout)["machine"]["sandbox"]
    assert found == {"landlock": landlock(), "files": True, "connections": True, "signals": True,
                     "system_calls": True, "off": None}
    assert json.loads(hearth("doctor", "--quick", "--json", "--no-sandbox").stdout)["machine"]["sandbox"]["off"] == "--no-sandbox"
    assert "sandbox     files, connections, signals, system calls guarded" in hearth("doctor", "--quick").stdout


def test_a_model_through_links_is_read(hearth, tmp_path):
    """Other programs' stores keep files behind links."""
    (tmp_path / "far").mkdir()
    shutil.copy(TINY, tmp_path / "far/blob")
    (tmp_path / "near.gguf").symlink_to("far/blob")
    (tmp_path / "nearer.gguf").symlink_to("near.gguf")
    assert hearth("generate", "-m", tmp_path / "nearer.gguf", "-n", 2, "x").returncode == 0
