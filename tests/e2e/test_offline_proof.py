"""That the main job needs no network: pulling from a file, completing, chatting, serving, indexing, searching and
the language server, each in a network namespace that has a loopback interface and nothing else, and under
strace(1), which must see no connection to anything but loopback and Unix sockets.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from test_complete import SPECIAL, write_tiny_model

HERE = Path(__file__).parent
# Calls that name a peer. accept and bind do not: who comes in was let in by the address listened on.
TRACED = "trace=connect,sendto,sendmsg,sendmmsg,bind"


def namespace():
    """A command that runs another one without a network, or None."""
    for words in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return None


def traceable():
    return shutil.which("strace") and subprocess.run(["strace", "-f", "true"], capture_output=True).returncode == 0


# Runs in the namespace: the whole job, with each command's output checked. argv: hearth, model, home, folder.
JOB = textwrap.dedent(r'''
    import json, os, re, signal, subprocess, sys, urllib.request
    sys.path.insert(0, sys.argv[5])
    hearth, model, home, folder = sys.argv[1:5]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
    env.update(HOME=home, HEARTH_HOME=home, LC_ALL="C.UTF-8", HEARTH_OFFLINE="1", **json.loads(sys.argv[6]))
    # The proxy of somebody's environment would be asked for everything; there must be nothing to ask.
    env.update({k: "http://192.0.2.1:3128" for k in ("http_proxy", "https_proxy", "all_proxy")})

    def run(*args, **more):
        done = subprocess.run([hearth, *args], env=env, cwd=folder, text=True, errors="replace", capture_output=True, timeout=120,
                              **({"stdin": subprocess.DEVNULL} if "input" not in more else {}), **more)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        print("did", args[0], flush=True)
        return done.stdout

    run("pull", "--from", model, "tiny")
    assert "tiny" in run("list")
    run("show", "tiny")
    run("verify", "tiny")
    with open(folder + "/a.py", "w") as f:
        f.write("def alpha(x):\n    return x + \n\ndef beta(y):\n    return alpha(y)\n")
    assert "text" in json.loads(run("complete", "a.py", "--at", "2:16", "-m", "tiny", "-n", "4", "--json"))
    run("run", "tiny", "--temperature", "0", "-n", "4", "what is @a.py")
    run("generate", "-m", "tiny", "-n", "4", "x")
    run("index", ".")
    assert "a.py" in run("search", "alpha")
    run("map")
    run("ask", "what does alpha do?", ".", "-m", "tiny", "--tokens", "200", "-n", "4")
    run("doctor", "--quick")
    run("bench", "-m", "tiny", "-p", "8", "-n", "4", "-r", "1")

    server = subprocess.Popen([hearth, "serve", "--port", "0", "-m", "tiny", "--project", folder], env=env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    url = re.search(r"http://\S+", server.stdout.readline())[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path, body in (("/v1/completions", {"prompt": "a", "max_tokens": 2}),
                       ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}),
                       ("/api/generate", {"model": "tiny", "prompt": "a", "stream": False}),
                       ("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 2})):
        ask = urllib.request.Request(url + path, data=json.dumps(body).encode())
        assert opener.open(ask, timeout=60).status == 200
    env["HEARTH_HOST"] = url
    run("run", "tiny", "-n", "2", "hello")
    run("ps")
    del env["HEARTH_HOST"]
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0
    print("did serve", flush=True)

    from lsp_kit import Client
    c = Client(hearth, "tiny", home, env={"HEARTH_OFFLINE": "1"})
    c.start()
    c.open("file:///a.py", "a = \n")
    c.complete("file:///a.py", 0, 4)
    assert c.close() == 0
    print("did lsp", flush=True)
''')
DONE = ["pull", "list", "show", "verify", "complete", "run", "generate", "index", "search", "map", "ask", "doctor",
        "bench", "run", "ps", "serve", "lsp"]


@pytest.fixture
def job(hearth_bin, tmp_path):
    """The command that does it all, and its working folder."""
    model, home, folder = tmp_path / "fim.gguf", tmp_path / "home", tmp_path / "project"
    write_tiny_model(model, SPECIAL)
    # A longer context, for the pieces of code that `ask` gives: the key's type (4: u32) and its value.
    key = b"llama.context_length" + struct.pack("<I", 4)
    data = model.read_bytes()
    assert key + struct.pack("<I", 512) in data
    model.write_bytes(data.replace(key + struct.pack("<I", 512), key + struct.pack("<I", 8192)))
    home.mkdir()
    folder.mkdir()
    return [sys.executable, "-c", JOB, hearth_bin, str(model), str(home), str(folder), str(HERE), "{}"]


def check(done):
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert re.findall(r"^did (\S+)$", done.stdout, re.M) == DONE


@pytest.mark.skipif(namespace() is None, reason="unshare -n is not allowed here")
def test_without_a_network(job):
    up = "ip link set lo up 2>/dev/null || python3 -c '" + LOOPBACK + "'"
    check(subprocess.run([*namespace(), "sh", "-c", up + ' && exec "$@"', "sh", *job], capture_output=True, text=True,
                         timeout=600))


# Where there is no ip(8): SIOCSIFFLAGS with IFF_UP.
LOOPBACK = 'import fcntl,socket,struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH", b"lo", 1))'


def is_private(line):
    """Whether a traced call stays on this machine."""
    if "sa_family=AF_UNIX" in line or "sa_family=AF_NETLINK" in line:  # the kernel's list of interfaces
        return True
    v4 = re.search(r'sin_addr=inet_addr\("([^"]+)"\)', line)
    v6 = re.search(r'inet_pton\(AF_INET6, "([^"]+)"', line)
    return bool(v4 and v4[1].startswith("127.")) or bool(v6 and v6[1] in ("::1", "::ffff:127.0.0.1"))


def peers(trace):
    """The calls of a trace that name a peer."""
    return [line for line in trace.splitlines() if re.search(r"sa_family=AF_", line)]


@pytest.mark.skipif(not traceable(), reason="strace is not here, or may not trace")
def test_no_connection_leaves_the_machine(job, tmp_path):
    log = tmp_path / "trace"
    check(subprocess.run(["strace", "-f", "-qq", "-s", "256", "-e", TRACED, "-o", str(log), *job],
                         capture_output=True, text=True, timeout=900))
    seen = peers(log.read_text())
    assert any("127.0.0.1" in line for line in seen), "the trace holds nothing"
    away = [line for line in seen if not is_private(line)]
    assert not away, "\n".join(away)


@pytest.mark.skipif(not traceable(), reason="strace is not here, or may not trace")
def test_the_trace_would_show_a_connection(hearth_bin, tmp_path):
    """A pull that is not offline asks a name server or a host: what the test above looks for is there."""
    log = tmp_path / "trace"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_")) and not k.endswith("_proxy")}
    env.update(HEARTH_HOME=str(tmp_path))
    words = ["strace", "-f", "-qq", "-e", TRACED, "-o", str(log), hearth_bin, "pull", "--name", "x",
             "https://192.0.2.1:9/model.gguf", "--sha256", "0" * 64]
    p = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if log.exists() and any(not is_private(line) for line in peers(log.read_text())):
                break
            try:
                p.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
        assert [line for line in peers(log.read_text()) if not is_private(line)]
        offline = subprocess.run(words, env={**env, "HEARTH_OFFLINE": "1"}, capture_output=True, text=True, timeout=60)
        assert offline.returncode == 1 and "offline" in offline.stderr.lower()
        assert not [line for line in peers(log.read_text()) if not is_private(line)]
    finally:
        p.kill()
        p.wait()
