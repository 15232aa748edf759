"""hearth serve over TLS, and what a SIGHUP reads anew. With a tiny model of random weights."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls-model") / "tiny.gguf"
    write_tiny_model(path, SPECIAL)
    return path


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def make_cert(folder, name, issuer=None):
    """(certificate, key), self-signed or by (certificate, key) of an issuer."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    if issuer:
        request = folder / f"{name}.csr"
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial", "-out", cert, "-days", 2)
    else:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", 2,
                "-subj", f"/CN={name}", "-addext", names)
    key.chmod(0o600)
    return cert, key


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    return {name: make_cert(folder, name) for name in ("one", "two")}


def tls_args(pair):
    return "--tls-cert", pair[0], "--tls-key", pair[1]


def dial(server, trusted, client=None, versions=None):
    context = ssl.create_default_context(cafile=str(trusted))
    if client:
        context.load_cert_chain(*map(str, client))
    if versions:
        context.minimum_version, context.maximum_version = versions
    raw = socket.create_connection((server.host, server.port), timeout=20)
    return context.wrap_socket(raw, server_hostname="localhost")


def ask(s, method="GET", path="/health", body=None, close=False, headers=""):
    data = json.dumps(body).encode() if body is not None else b""
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n{headers}"
              f"{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode() + data)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        assert piece, got
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    if b"Content-Length: " in head:
        n = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(rest) < n:
            rest += s.recv(65536)
    else:
        while not rest.endswith(b"0\r\n\r\n"):
            piece = s.recv(65536)
            assert piece, rest
            rest += piece
    return int(head.split()[1]), rest


class Logged(Server):
    """A server whose standard error goes to a file, to be read while it runs."""

    def __init__(self, binary, home, *args, **more):
        self.log = home / "stderr.log"
        self.log_file = open(self.log, "w")
        super().__init__(binary, home, *args, stderr=self.log_file, **more)

    def stop(self, **more):
        super().stop(**more)
        self.log_file.close()
        return self.log.read_text()

    def reload(self, text, times=1):
        """Sends the signal and waits until the log has said the text so often."""
        self.process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if self.log.read_text().count(text) >= times:
                return
            time.sleep(0.05)
        pytest.fail(f"no '{text}' in the log: {self.log.read_text()}")


# ---- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(hearth_bin, tmp_path_factory, model, certs):
    s = Logged(hearth_bin, tmp_path_factory.mktemp("home"), *tls_args(certs["one"]), model=model)
    assert s.scheme == "https"
    yield s
    log = s.stop()
    assert s.process.returncode == 0 and "Sanitizer" not in log


def test_answers_and_streams_over_tls_1_2_and_1_3(server, certs):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with dial(server, certs["one"][0], versions=(version, version)) as s:
            for _ in range(3):  # the connection is kept
                assert ask(s)[0] == 200
            code, data = ask(s, "POST", "/v1/completions", {"prompt": "a b", "max_tokens": 20, "stream": True})
            assert code == 200 and data.count(b"data: ") >= 2 and b"[DONE]" in data
            # A body of several TLS records, and two requests in one.
            code, data = ask(s, "POST", "/tokenize", {"content": "x y " * 50000})
            assert code == 200 and len(json.loads(data)["tokens"]) == 200000
            one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
            s.sendall(one * 3)
            got = b""
            while got.count(b"HTTP/1.1 200") < 3:
                got += s.recv(4096)
            assert ask(s, close=True)[0] == 200
            assert s.recv(100) == b""  # a proper end, or this is an SSLError


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_refuses_old_versions_and_strangers(server, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    except (ValueError, ssl.SSLError):
        pass
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(socket.create_connection((server.host, server.port), timeout=20))
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(server, certs["two"][0])
    got = server.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 ") and b"https://" in got
    assert not server.raw(b"\0\1\2 nonsense that is no handshake at all\r\n\r\n").startswith(b"HTTP")
    with dial(server, certs["one"][0]) as s:
        assert ask(s)[0] == 200


def test_half_handshakes_hold_nobody_up(server, certs):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    waiting = [socket.create_connection((server.host, server.port)) for _ in range(300)]
    try:
        for i, s in enumerate(waiting):
            s.sendall(hello[:i % len(hello)])
        times = []
        for _ in range(10):
            began = time.monotonic()
            with dial(server, certs["one"][0]) as s:
                assert ask(s)[0] == 200
            times.append(time.monotonic() - began)
        assert sorted(times)[5] < 0.25, times
    finally:
        for s in waiting:
            s.close()


@pytest.mark.skipif(os.environ.get("HEARTH_SOAK") != "1", reason="waits for 15 s; part of make soak")
def test_a_half_handshake_is_closed_after_a_while(server):
    with socket.create_connection((server.host, server.port), timeout=30) as s:
        began = time.monotonic()
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        assert s.recv(100) == b""
        assert 14 < time.monotonic() - began < 20


def test_curl_and_openai(server, certs):
    if shutil.which("curl"):
        done = subprocess.run(["curl", "-sS", "--cacert", certs["one"][0], f"https://localhost:{server.port}/v1/models"],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and json.loads(done.stdout)["object"] == "list", done.stderr
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx")
    web = httpx.Client(verify=ssl.create_default_context(cafile=str(certs["one"][0])), trust_env=False)
    client = openai.OpenAI(base_url=f"https://localhost:{server.port}/v1", api_key="none", http_client=web)
    answer = client.completions.create(model="tiny", prompt="a b", max_tokens=5)
    assert answer.usage.completion_tokens <= 5
    pieces = list(client.completions.create(model="tiny", prompt="a b", max_tokens=5, stream=True))
    assert len(pieces) >= 1


def test_clients_show_a_certificate(hearth, hearth_bin, tmp_path, model, certs):
    issuer = make_cert(tmp_path, "issuer")
    friend = make_cert(tmp_path, "friend", issuer)
    args = ("-m", model, "--port", "0", *tls_args(certs["one"]))
    done = hearth("serve", "--host", "0.0.0.0", *args, timeout=20)
    assert done.returncode == 2 and "--make-key" in done.stderr  # TLS alone says nothing of who asks
    s = Logged(hearth_bin, tmp_path, "--host", "0.0.0.0", "--tls-client-ca", issuer[0], *tls_args(certs["one"]), model=model)
    try:
        s.host = "127.0.0.1"
        with dial(s, certs["one"][0], client=friend) as c:
            assert ask(c)[0] == 200
        for client in (None, certs["two"]):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                with dial(s, certs["one"][0], client=client) as c:
                    ask(c)
    finally:
        s.stop()


def test_says_what_is_wrong_with_the_files(hearth, tmp_path, model, certs):
    cert, key = certs["one"]
    open_key = tmp_path / "open.key"
    shutil.copy(key, open_key)
    open_key.chmod(0o644)
    locked = tmp_path / "locked.key"
    openssl("rsa", "-aes128", "-in", key, "-out", locked, "-passout", "pass:secret")
    locked.chmod(0o600)
    for files, word in (((cert, open_key), "chmod 600"), ((cert, certs["two"][1]), "fits"), ((key, key), "certificate"),
                        ((cert, cert), "fits"), ((tmp_path / "no", key), "no"), ((cert, tmp_path / "no"), "no"),
                        ((cert, locked), "passphrase")):
        if files[1] == cert:
            cert.chmod(0o600)
        done = hearth("serve", "-m", model, "--port", "0", "--tls-cert", files[0], "--tls-key", files[1], timeout=20)
        assert done.returncode != 0 and word in done.stderr, (files, done.stderr)
    for args in (("--tls-cert", cert), ("--tls-key", key), ("--tls-client-ca", cert)):
        done = hearth("serve", "-m", model, "--port", "0", *args, timeout=20)
        assert done.returncode != 0 and "--tls-" in done.stderr


# ---- reload -------------------------------------------------------------------------------------


def test_a_reload_renews_the_certificate(hearth_bin, tmp_path, model, certs):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(name):
        shutil.copy(certs[name][0], cert)
        shutil.copy(certs[name][1], key)
        key.chmod(0o600)

    install("one")
    s = Logged(hearth_bin, tmp_path, *tls_args((cert, key)), model=model)
    try:
        kept = dial(s, certs["one"][0])
        assert ask(kept)[0] == 200
        key.write_text("no key")
        s.reload("nothing was reloaded")
        with dial(s, certs["one"][0]) as c:
            assert ask(c)[0] == 200
        install("two")
        s.reload("hearth: reloaded")
        with dial(s, certs["two"][0]) as c:
            assert ask(c)[0] == 200
        assert ask(kept)[0] == 200  # connections that are open go on
        kept.close()
    finally:
        s.stop()


def test_a_reload_takes_keys_and_rules_and_keeps_running_requests(hearth, hearth_bin, tmp_path, model):
    env = {"HEARTH_HOME": str(tmp_path)}
    conf = tmp_path / "serve.conf"
    old = hearth("serve", "--make-key", "old", env=env).stdout.strip()
    s = Logged(hearth_bin, tmp_path, model=model)
    try:
        def code(key, path="/v1/models", **headers):
            return s.get(path, headers={"Authorization": "Bearer " + key, **headers})[0]

        assert code(old) == 200
        body = json.dumps({"prompt": "a", "max_tokens": 400, "stream": True, "ignore_eos": True}).encode()
        c = socket.create_connection((s.host, s.port), timeout=60)
        c.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {old}\r\n"
                  f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        got = c.recv(100)
        (tmp_path / "keys").unlink()
        new = hearth("serve", "--make-key", "new", env=env).stdout.strip()
        conf.write_text("allow-host = hearth.lan\norigin = https://app.example\nmax-tokens = 3\nctx = 100\n")
        assert code(new) == 401
        s.reload("hearth: reloaded")
        assert "a new ctx takes effect at the next start" in s.log.read_text()
        assert code(old) == 401 and code(new) == 200
        assert code(new, Host="hearth.lan") == 200
        assert code(new, Origin="https://app.example") == 200
        ask_four = {"prompt": "a", "max_tokens": 4}
        assert s.post("/v1/completions", ask_four, headers={"Authorization": "Bearer " + new})[0] == 400
        for text, word in (("max-tokens = many\n", "max-tokens"), ("nonsense\n", "line 1"), ("log = loud\n", "--log")):
            conf.write_text(text)
            s.reload("nothing was reloaded", s.log.read_text().count("nothing was reloaded") + 1)
            last = [x for x in s.log.read_text().splitlines() if "nothing was reloaded" in x][-1]
            assert word in last
            assert code(new, Host="hearth.lan") == 200  # as it was
        conf.write_text("log = none\n")
        s.reload("hearth: reloaded", 2)
        lines = s.log.read_text().count('"msg"')
        assert code(new, Host="hearth.lan") == 403
        assert s.log.read_text().count('"msg"') == lines  # nothing more is logged, ...
        while piece := c.recv(65536):
            got += piece
        assert got.endswith(b"0\r\n\r\n") and b"[DONE]" in got  # ... and the stream went on to its end
        c.close()
    finally:
        s.stop()
