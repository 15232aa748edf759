"""Modelfiles and Ollama's calls that change the store: create, blobs, copy, push; against a made-up registry."""

import hashlib
import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT
from serve_kit import Server
from test_import import llama_folder
from store_kit import gguf_bytes, sha256

FULL = '''# all that there is
from ./m.gguf
SYSTEM """You are terse.
Say "no"."""
TEMPLATE "{{ .System }}|{{ .Prompt }}"
PARAMETER temperature 0.25
parameter stop "<|end|>"
PARAMETER stop  two words
PARAMETER num_ctx 2048
MESSAGE user Hi there
MESSAGE assistant """Hello,
friend."""
LICENSE """MIT
with lines"""
LICENSE Apache-2.0
REQUIRES 0.5.0
'''
SETTINGS = {
    "system": 'You are terse.\nSay "no".', "template": "{{ .System }}|{{ .Prompt }}",
    "parameters": {"temperature": 0.25, "stop": ["<|end|>", "two words"], "num_ctx": 2048},
    "messages": [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello,\nfriend."}],
    "license": ["MIT\nwith lines", "Apache-2.0"], "requires": "0.5.0",
}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(300_000))
    return tmp_path


def manifest(home, name):
    family, tag = name.split(":")
    return json.loads((home / "home/manifests" / family / f"{tag}.json").read_text())


def create(hearth, home, text, name="mine", *args):
    (home / "Modelfile").write_text(text)
    return hearth("create", name, "-f", home / "Modelfile", *args, env={"HEARTH_HOME": str(home / "home")})


# ---- the command ---------------------------------------------------------------------------------


def test_create_and_round_trip(hearth, home):
    r = create(hearth, home, FULL)
    assert r.returncode == 0, r.stderr
    env = {"HEARTH_HOME": str(home / "home")}
    first = manifest(home, "mine:latest")
    assert first["settings"] == SETTINGS
    assert first["sha256"] == sha256((home / "m.gguf").read_bytes())
    printed = hearth("show", "mine", "--modelfile", env=env).stdout
    again = hearth("create", "other:1", "-f", "-", input=printed, env=env)
    assert again.returncode == 0, again.stderr
    assert {k: v for k, v in manifest(home, "other:1")["settings"].items() if k != "parent"} == SETTINGS
    assert hearth("cp", "other:1", "third", env=env).returncode == 0
    assert manifest(home, "third:latest")["settings"] == manifest(home, "other:1")["settings"]
    assert len(os.listdir(home / "home/blobs")) == 1, "names share the file"
    assert hearth("rm", "mine", "other:1", env=env).returncode == 0
    assert len(os.listdir(home / "home/blobs")) == 1
    assert hearth("rm", "third", env=env).returncode == 0
    assert not os.listdir(home / "home/blobs")


def test_settings_are_laid_over_those_below(hearth, home):
    assert create(hearth, home, FULL).returncode == 0
    assert create(hearth, home, "FROM mine\nSYSTEM other\nPARAMETER top_k 3\n", "more").returncode == 0
    s = manifest(home, "more:latest")["settings"]
    assert s["system"] == "other" and s["parent"] == "mine:latest" and s["template"] == SETTINGS["template"]
    assert s["parameters"] == {**SETTINGS["parameters"], "top_k": 3}


def test_quantize(hearth, hearth_bin, home):
    text = f"FROM {ROOT}/tests/golden/tiny/bf16.gguf\nSYSTEM x\n"
    assert create(hearth, home, text, "small", "--quantize", "q8_0").returncode == 0
    s = manifest(home, "small:latest")
    assert s["model"]["quantization"] == "Q8_0" and s["settings"] == {"system": "x"}
    r = create(hearth, home, "FROM small", "smaller", "--quantize", "Q4_0")
    assert r.returncode != 0 and "already" in r.stderr
    assert create(hearth, home, text, "plain").returncode == 0
    server = Server(hearth_bin, home / "home", "--allow-pull")
    try:
        ask = {"model": "tiny:q", "from": "plain", "quantize": "Q8_0", "stream": False}
        assert server.post("/api/create", ask) == (200, {"status": "success"})
    finally:
        server.stop()
    assert manifest(home, "tiny:q")["sha256"] == s["sha256"] and manifest(home, "tiny:q")["settings"]["parent"] == "plain:latest"
    assert not list((home / "home/imports").iterdir())


@pytest.mark.parametrize("text, words", [
    ("", "no FROM"), ("SYSTEM x\n", "no FROM"), ("FROM ./m.gguf\nNOPE x\n", "line 2"), ("FROM\n", "line 1"),
    ("FROM ./m.gguf\n\n\nPARAMETER nope 1", "line 4"), ("FROM ./m.gguf\nPARAMETER top_k x", "line 2"),
    ('FROM ./m.gguf\n# c\nSYSTEM """open\n\n', "line 3"), ("FROM ./m.gguf\nMESSAGE robot hi", "line 2"),
    ("FROM ./m.gguf\r\nPARAMETER x", "line 2"), ("FROM ./m.gguf\nFROM ./m.gguf", "line 2"), ("FROM ./none.gguf", "none.gguf"),
    ("FROM ./m.gguf\nTEMPLATE {{ if }}", "template"), ("FROM ./m.gguf\nADAPTER ./a.gguf", "adapters"),
    ("FROM ./m.gguf\nPARAMETER temperature 1e9", "between"), ("FROM ./m.gguf\nREQUIRES new", "line 2"),
    ("FROM ./m.gguf\nDRAFT ./d.gguf", "line 2"), ("FROM ./Modelfile", "Modelfile"), ("FROM nothere", "nothere"),
    ("FROM ./m.gguf\nPARAMETER typical_p 0.5", "typical_p"),
])
def test_faults_are_told_and_change_nothing(hearth, home, text, words):
    r = create(hearth, home, text)
    assert r.returncode != 0 and words in r.stderr, r.stderr
    assert not (home / "home/manifests").exists() or not list((home / "home/manifests").rglob("*.json"))


# ---- the server ----------------------------------------------------------------------------------


@pytest.fixture
def server(hearth_bin, home):
    s = Server(hearth_bin, home / "home", "--allow-pull", "--max-body", "1")
    yield s
    s.stop()


def send(server, data, digest=None):
    return server.request("POST", f"/api/blobs/sha256:{digest or sha256(data)}", data)[0]


def lines(data):
    return [json.loads(x) for x in data.decode().splitlines()]


def test_blobs(server, home):
    data = gguf_bytes(3_000_000)
    path = f"/api/blobs/sha256:{sha256(data)}"
    assert server.request("HEAD", path)[0] == 404
    assert send(server, data, sha256(b"other")) == 400, "wrong digest"
    assert send(server, data) == 201, "larger than --max-body"
    assert send(server, data) == 201, "again"
    assert server.request("HEAD", path)[0] == 200
    assert [p.name for p in (home / "home/uploads").iterdir()] == [sha256(data)], "nothing else is left"
    for bad in ["sha256:..", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "md5:" + "0" * 64, "..%2f..%2fetc%2fpasswd",
                "sha256:" + "0" * 60 + "%2f..", "sha256:" + "0" * 64 + "%00"]:
        assert server.request("POST", "/api/blobs/" + bad, b"x")[0] in (400, 404), bad
        assert server.request("GET", "/api/blobs/" + bad)[0] in (400, 404), bad
    outside = [p for p in home.rglob("*") if p.is_file() and "home" not in p.relative_to(home).parts[:1]]
    assert [p.name for p in outside] == ["m.gguf"]


def test_create_from_a_file_that_was_sent(server, home):
    data = gguf_bytes(200_000)
    digest = "sha256:" + sha256(data)
    ask = {"model": "Sent", "files": {"model.gguf": digest}, "system": "Be good.", "template": "{{ .Prompt }}",
           "parameters": {"top_k": 7, "stop": "x", "temperature": 1}, "license": "MIT",
           "messages": [{"role": "user", "content": "a"}]}
    assert server.post("/api/create", {**ask, "stream": False})[0] == 404, "not sent yet"
    assert send(server, data) == 201
    status, _, body = server.request("POST", "/api/create", ask)
    assert status == 200 and lines(body)[-1] == {"status": "success"}, body
    assert not list((home / "home/uploads").iterdir())
    show = server.post("/api/show", {"model": "sent"})[1]
    assert show["system"] == "Be good." and show["template"] == "{{ .Prompt }}" and show["license"] == "MIT"
    assert "top_k" in show["parameters"] and 'stop                           "x"' in show["parameters"]
    assert "SYSTEM Be good." in show["modelfile"] and show["messages"] == [{"role": "user", "content": "a"}]
    assert server.request("POST", "/api/copy", {"source": "sent", "destination": "twin"})[0] == 200
    assert server.post("/api/show", {"model": "twin"})[1]["system"] == "Be good."
    names = {m["name"] for m in json.loads(server.get("/api/tags")[2])["models"]}
    assert names == {"sent:latest", "twin:latest"}
    assert server.post("/api/create", {"model": "third:1", "from": "twin", "system": "", "stream": False}) == (200, {"status": "success"})
    assert server.post("/api/show", {"model": "third:1"})[1]["details"]["parent_model"] == "twin:latest"


def test_create_from_the_files_of_a_folder(server, hearth, home):
    llama_folder(home / "hf")
    files = {}
    for path in (home / "hf").iterdir():
        assert send(server, path.read_bytes()) == 201
        files[path.name] = "sha256:" + sha256(path.read_bytes())
    ask = {"model": "hf", "files": files, "system": "S", "stream": False}
    evil = {**ask, "files": {**files, "a/b": files["config.json"]}}
    assert server.post("/api/create", evil)[0] == 400
    assert server.post("/api/create", ask) == (200, {"status": "success"})
    assert not list((home / "home/uploads").iterdir())
    (home / "hf.txt").write_text("FROM ./hf\nSYSTEM S\n")
    r = hearth("create", "same", "-f", home / "hf.txt", env={"HEARTH_HOME": str(home / "home")})
    assert r.returncode == 0, r.stderr
    a, b = manifest(home, "hf:latest"), manifest(home, "same:latest")
    assert a["settings"] == b["settings"] == {"system": "S"} and a["model"]["architecture"] == "llama"
    assert a["bytes"] == pytest.approx(b["bytes"], abs=64), "but for the folder's name"


@pytest.mark.parametrize("more, code", [
    ({}, 400), ({"from": "nothere"}, 404), ({"files": {"/etc/passwd": "sha256:" + "0" * 64}}, 400),
    ({"files": {"../x": "sha256:" + "0" * 64}}, 400), ({"files": {"x": "0" * 64}}, 400), ({"files": {"x": "sha256:" + "0" * 64}}, 404),
    ({"from": "base", "template": "{{ if }}"}, 400), ({"from": "base", "parameters": {"nope": 1}}, 400),
    ({"from": "base", "parameters": {"top_k": "x"}}, 400), ({"from": "base", "messages": [{"role": "x", "content": ""}]}, 400),
    ({"from": "base", "adapters": {"a": "sha256:" + "0" * 64}}, 400), ({"from": "base", "quantize": "Q99"}, 400),
    ({"from": "base", "license": 5}, 400), ({"from": "base", "model": "../evil"}, 400), ({"from": "../evil"}, 400),
])
def test_create_refuses(server, hearth, home, more, code):
    assert create(hearth, home, "FROM ./m.gguf", "base").returncode == 0
    status, answer = server.post("/api/create", {"model": "new", "stream": False, **more})
    assert status in ((code, 501) if code == 400 else (code,)), answer
    assert answer["error"] and not (home / "home/manifests/new").exists()


def test_only_where_clients_may(hearth_bin, home):
    s = Server(hearth_bin, home / "home")
    try:
        for path in ["/api/create", "/api/push", "/api/copy", "/api/blobs/sha256:" + "0" * 64]:
            assert s.request("POST", path, {"model": "x"})[0] == 403
        assert not (home / "home/uploads").exists()
    finally:
        s.stop()


def test_official_client(server, home):
    ollama = pytest.importorskip("ollama")
    client = ollama.Client(host=server.url, trust_env=False)
    data = gguf_bytes(150_000)
    file = home / "sent.gguf"
    file.write_bytes(data)
    digest = client.create_blob(file)
    assert digest == "sha256:" + sha256(data)
    said = [p.status for p in client.create(model="one", files={"sent.gguf": digest}, system="S", parameters={"temperature": 0.5},
                                            stream=True)]
    assert said[-1] == "success"
    assert client.create(model="two", from_="one", template="{{ .Prompt }}").status == "success"
    assert client.show("two").template == "{{ .Prompt }}" and "temperature" in client.show("two").parameters
    assert client.copy("two", "three").status == "success"
    assert {m.model for m in client.list().models} == {"one:latest", "two:latest", "three:latest"}
    assert all(m.digest == sha256(data) for m in client.list().models)
    for name in ["one", "two", "three"]:
        assert client.delete(name).status == "success"
    assert not client.list().models and not list((home / "home/blobs").iterdir())
    with pytest.raises(ollama.ResponseError):
        client.create(model="x", from_="nothere")


# ---- a registry ----------------------------------------------------------------------------------


class Registry:
    """The part of the distribution protocol that takes blobs and manifests."""

    def __init__(self):
        self.blobs, self.manifests, self.requests, self.uploads = {}, {}, [], {}
        self.token, self.location, self.fail = None, None, {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, code, body=b"", **headers):
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, dict(self.headers), len(body)))
                if outer.token and self.headers.get("Authorization") != "Bearer " + outer.token:
                    return self.answer(401, b'{"errors": ["who are you"]}')
                if self.command in outer.fail:
                    return self.answer(outer.fail[self.command], b"no")
                path, _, query = self.path.partition("?")
                kind = path.split("/")
                if self.command == "HEAD":
                    return self.answer(200 if kind[-1] in outer.blobs else 404)
                if self.command == "POST":
                    outer.uploads["7"] = b""
                    return self.answer(202, Location=outer.location or "/v2/upload/7?state=a")
                if self.command == "PATCH":
                    first, _, last = self.headers["Content-Range"].partition("-")
                    assert int(first) == len(outer.uploads["7"]) and int(last) == int(first) + len(body) - 1
                    outer.uploads["7"] += body
                    return self.answer(202, Location="/v2/upload/7?state=b")
                if "/manifests/" in path:
                    outer.manifests[path] = body
                    return self.answer(201)
                digest = query.split("digest=")[1].replace("%3A", ":")
                if "sha256:" + sha256(outer.uploads["7"]) != digest:
                    return self.answer(400, b"wrong digest")
                outer.blobs[digest] = outer.uploads.pop("7")
                return self.answer(201)

            do_HEAD = do_POST = do_PATCH = do_PUT = do

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def registry():
    r = Registry()
    yield r
    r.http.shutdown()
    r.http.server_close()


def check_pushed(registry, home, path):
    m = json.loads(registry.manifests[path])
    data = (home / "m.gguf").read_bytes()
    by_type = {}
    for layer in m["layers"]:
        assert len(registry.blobs[layer["digest"]]) == layer["size"]
        by_type.setdefault(layer["mediaType"].rsplit(".", 1)[1], []).append(registry.blobs[layer["digest"]])
    assert by_type["model"] == [data] and m["layers"][0]["digest"] == "sha256:" + sha256(data)
    assert by_type["system"] == [SETTINGS["system"].encode()] and by_type["template"] == [SETTINGS["template"].encode()]
    assert json.loads(by_type["params"][0]) == SETTINGS["parameters"]
    assert json.loads(by_type["messages"][0]) == SETTINGS["messages"]
    assert [x.decode() for x in by_type["license"]] == SETTINGS["license"]
    config = json.loads(registry.blobs[m["config"]["digest"]])
    assert config["model_format"] == "gguf" and config["rootfs"]["diff_ids"] == [x["digest"] for x in m["layers"]]


def test_push(hearth, home, registry):
    assert create(hearth, home, FULL).returncode == 0
    env = {"HEARTH_HOME": str(home / "home"), "HEARTH_REGISTRY_TOKEN": "secret"}
    registry.token = "secret"
    r = hearth("push", "mine", f"{registry.host}/team/mine:7", env=env)
    assert r.returncode == 0, r.stderr
    check_pushed(registry, home, "/v2/team/mine/manifests/7")
    digest = hashlib.sha256(registry.manifests["/v2/team/mine/manifests/7"]).hexdigest()
    assert digest in r.stdout
    registry.requests.clear()
    assert hearth("push", "mine", f"http://{registry.host}/team/mine", env=env).returncode == 0
    assert {m for m, *_ in registry.requests} == {"HEAD", "PUT"}, "what is there is not sent again"
    assert "/v2/team/mine/manifests/latest" in registry.manifests


def test_push_refusals(hearth, home, registry):
    assert create(hearth, home, FULL).returncode == 0
    env = {"HEARTH_HOME": str(home / "home"), "HEARTH_REGISTRY_TOKEN": "secret"}

    def fails(words, destination=f"{registry.host}/team/mine", env=env):
        r = hearth("push", "mine", destination, env=env)
        assert r.returncode != 0 and words in r.stderr, r.stderr
        assert not registry.manifests

    for bad in ["nohost", f"{registry.host}/", f"{registry.host}/UP", f"{registry.host}/a/../b", f"{registry.host}/a:b/c",
                f"user@{registry.host}/a", f"{registry.host}/a?b", "http://registry.invalid/a"]:
        fails("", bad)
    fails("OFFLINE", "registry.invalid/a", {**env, "HEARTH_OFFLINE": "1"})
    registry.token = "other"
    fails("HEARTH_REGISTRY_TOKEN")
    registry.token = None
    for method, code in [("POST", 500), ("PATCH", 413), ("PUT", 400)]:
        registry.fail = {method: code}
        fails(str(code))
    registry.fail = {}
    other = Registry()
    try:
        for location in [f"http://{other.host}/v2/upload/7", "http://169.254.169.254/x", "file:///etc/passwd", "gopher://x/", ""]:
            registry.location = location or "http://["
            fails("")
        assert not other.requests, "neither bytes nor the token go elsewhere"
    finally:
        other.http.shutdown()
        other.http.server_close()


def test_push_through_the_server(server, hearth, home, registry):
    assert create(hearth, home, FULL).returncode == 0
    status, _, body = server.request("POST", "/api/push", {"model": f"{registry.host}/team/mine", "insecure": True})
    said = lines(body)
    assert status == 200 and said[0] == {"status": "retrieving manifest"} and said[-1] == {"status": "success"}, said
    assert any(s["status"].startswith("pushing ") for s in said) and {"status": "pushing manifest"} in said
    check_pushed(registry, home, "/v2/team/mine/manifests/latest")
    registry.fail = {"PUT": 500}
    status, _, body = server.request("POST", "/api/push", {"model": f"{registry.host}/team/mine"})
    assert "500" in lines(body)[-1]["error"]
    assert server.post("/api/push", {"model": "mine", "stream": False})[0] == 400
    assert server.post("/api/push", {"model": f"{registry.host}/nothere", "stream": False})[0] == 404


# ---- a real model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chatting(hearth_bin, tmp_path_factory):
    source = os.environ.get("HEARTH_TEST_HOME")
    if not source:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    home = tmp_path_factory.mktemp("chatting")
    note = json.loads(open(f"{source}/manifests/smollm2/135m.json").read())
    os.makedirs(home / "manifests/smollm2")
    os.makedirs(home / "blobs")
    shutil.copy(f"{source}/manifests/smollm2/135m.json", home / "manifests/smollm2")
    os.symlink(f"{source}/blobs/sha256-{note['sha256']}", home / "blobs" / f"sha256-{note['sha256']}")
    s = Server(hearth_bin, home, "--allow-pull", model="smollm2:135m")
    ask = {"model": "own", "from": "smollm2:135m", "stream": False, "system": "SYS",
           "messages": [{"role": "user", "content": "U1"}, {"role": "assistant", "content": "A1"}],
           "template": "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
           "parameters": {"num_predict": 5, "temperature": 0, "num_ctx": 256}}
    s.home = str(home)
    assert s.post("/api/create", ask) == (200, {"status": "success"})
    yield s
    s.stop()


def test_settings_in_every_api(chatting):
    hi = [{"role": "user", "content": "Hi <|im_end|>"}]
    prompt = chatting.post("/apply-template", {"model": "own", "messages": hi})[1]["prompt"]
    assert prompt == ("<|im_start|>system\nSYS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
                      "<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
    own = [{"role": "system", "content": "MINE"}, *hi]
    prompt = chatting.post("/apply-template", {"model": "own", "messages": own})[1]["prompt"]
    assert "SYS" not in prompt and "MINE" in prompt and "U1" in prompt
    plain = chatting.post("/apply-template", {"model": "smollm2:135m", "messages": hi})[1]["prompt"]
    assert "SYS" not in plain, "the other name of the same file has no settings"
    a = chatting.post("/api/chat", {"model": "own", "messages": hi, "stream": False})[1]
    assert a["eval_count"] <= 5
    b = chatting.post("/api/chat", {"model": "own", "messages": hi, "stream": False, "options": {"num_predict": 2}})[1]
    assert b["eval_count"] == 2 and a["message"]["content"].startswith(b["message"]["content"])
    o = chatting.post("/v1/chat/completions", {"model": "own", "messages": hi})[1]
    assert o["choices"][0]["message"]["content"] == a["message"]["content"], "temperature 0 there as well"
    assert o["usage"]["prompt_tokens"] == a["prompt_eval_count"]
    m = chatting.post("/v1/messages", {"model": "own", "messages": hi, "max_tokens": 5})[1]
    assert m["content"][0]["text"] == a["message"]["content"]
    g = chatting.post("/api/generate", {"model": "own", "prompt": "Hi <|im_end|>", "stream": False})[1]
    assert g["response"] == a["message"]["content"]
    long = [{"role": "user", "content": "word " * 400}]
    assert chatting.post("/api/chat", {"model": "own", "messages": long, "stream": False})[0] == 400, "num_ctx"
    assert chatting.post("/api/chat", {"model": "own", "messages": long, "stream": False, "options": {"num_ctx": 2048}})[0] == 200


def test_run_uses_them(chatting, hearth_bin, hearth):
    """The server's parameters and this store's: greedy, so both say the same; an option counts over them."""

    def run(*args):
        r = hearth("run", "own", "Hi", "--json", *args, env={"HEARTH_HOME": chatting.home, "HEARTH_HOST": "127.0.0.1:9"})
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    there, here = run("--server", chatting.url), run("--local")
    assert there["message"] == here["message"] and 1 <= here["completion_tokens"] <= 5
    assert there["prompt_tokens"] == here["prompt_tokens"] > 20, "system message, messages and template are in it"
    assert run("--server", chatting.url, "-n", "2")["completion_tokens"] == 2 == run("--local", "-n", "2")["completion_tokens"]
