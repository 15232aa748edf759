"""What the tests of the server share: a server of its own on a free port, and raw HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request


class Server:
    def __init__(self, binary, home, *args, env=None, model=None, stderr=subprocess.PIPE):
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("HEARTH_", "XDG_")) and not k.endswith("_proxy")}
        clean.update(HEARTH_HOME=str(home), HOME=str(home), LC_ALL="C.UTF-8")
        clean.update(env or {})
        args = [*(["-m", str(model)] if model else []), "--threads", "1", *map(str, args)]
        self.process = subprocess.Popen(
            [binary, "serve", "--port", "0", *args], env=clean, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        line = self.process.stdout.readline()
        found = re.search(r"(https?)://(\S+):(\d+)$", line.strip())
        if not found:
            raise AssertionError(line + (self.process.communicate(timeout=20)[1] or ""))
        self.scheme, self.host, self.port = found[1], found[2], int(found[3])
        self.url = f"{self.scheme}://{self.host}:{self.port}"

    def stop(self, sig=signal.SIGTERM, timeout=30):
        """Ends the server; returns what it logged."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.communicate(timeout=timeout)[1]

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, bytes)."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        ask = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(ask, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        """(status, parsed JSON)."""
        status, _, data = self.request("POST", path, body, **more)
        return status, json.loads(data) if data else None

    def events(self, path, body, **more):
        """The data of a stream's events, parsed; "[DONE]" as it is."""
        status, headers, data = self.request("POST", path, body, **more)
        assert status == 200, data
        assert headers["Content-Type"].startswith("text/event-stream")
        found = []
        for event in data.decode().split("\n\n"):
            lines = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
            if lines:
                text = "\n".join(lines)
                found.append(text if text == "[DONE]" else json.loads(text))
        return found

    def raw(self, data, timeout=5):
        """Sends bytes, returns all that comes back until the server closes or falls silent."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as s:
            s.sendall(data)
            return read_all(s)


def read_all(s, silence=0.5):
    s.settimeout(silence)
    got = b""
    while True:
        try:
            piece = s.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return got
        if not piece:
            return got
        got += piece
