"""hearth mcp: the tools of agents, by messages written by hand and by the protocol's own Python client."""

import asyncio
import json
import os
import subprocess
import time

import pytest

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src/net.py").write_text(
        'def parse_http_request(data):\n    """Splits a request."""\n    return data.split()\n')
    (root / "src/main.py").write_text("import net\n\n\ndef main():\n    net.parse_http_request('x')\n")
    (root / ".env").write_text("PASSWORD=only_here_xyz\n")
    (root / "build.log").write_text("only_in_log\n")
    (root / ".gitignore").write_text("*.log\n")
    (tmp_path / "outside.txt").write_text("outside_xyz\n")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "folder").symlink_to(tmp_path)
    (root / "data.bin").write_bytes(b"a\0b")
    (root / "long.txt").write_text("".join(f"line {i}\n" for i in range(1, 3001)))
    return root


class Client:
    def __init__(self, hearth_bin, root, home, *options):
        self.id = 0
        self.process = subprocess.Popen([hearth_bin, "mcp", str(root), *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=dict(CLEAN, HOME=str(home)))

    def send(self, raw):
        self.process.stdin.write(raw + b"\n")
        self.process.stdin.flush()

    def receive(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, method, params=None):
        self.id += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params or {}}).encode())
        answer = self.receive()
        assert answer["jsonrpc"] == "2.0" and answer["id"] == self.id
        return answer

    def begin(self, version="2025-06-18"):
        answer = self.ask("initialize", {"protocolVersion": version, "capabilities": {},
                                         "clientInfo": {"name": "test", "version": "1"}})["result"]
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return answer

    def call(self, tool, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]

    def text(self, tool, **arguments):
        result = self.call(tool, **arguments)
        assert not result["isError"], result
        return result["content"][0]["text"]

    def refusal(self, tool, **arguments):
        result = self.call(tool, **arguments)
        assert result["isError"], result
        return result["content"][0]["text"]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


@pytest.fixture
def client(hearth_bin, project, tmp_path):
    c = Client(hearth_bin, project, tmp_path)
    yield c
    c.end()


def test_negotiates_the_revision(hearth_bin, project, tmp_path):
    for asked, given in [("2025-06-18", "2025-06-18"), ("2024-11-05", "2024-11-05"),
                         ("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-06-18")]:
        c = Client(hearth_bin, project, tmp_path, "--no-update")
        assert "error" in c.ask("tools/list")
        assert c.ask("ping")["result"] == {}
        answer = c.begin(asked)
        assert answer["protocolVersion"] == given and "tools" in answer["capabilities"]
        batch = [{"jsonrpc": "2.0", "id": 7, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"}]
        c.send(json.dumps(batch).encode())
        got = c.receive()
        assert got == [{"jsonrpc": "2.0", "id": 7, "result": {}}] if given == "2025-03-26" else "error" in got
        c.end()


def test_tools_find_and_read(client):
    client.begin()
    tools = {t["name"]: t for t in client.ask("tools/list")["result"]["tools"]}
    assert set(tools) == {"search", "definition", "references", "read", "map"}
    assert all(t["annotations"]["readOnlyHint"] and t["inputSchema"]["type"] == "object" for t in tools.values())
    found = client.call("search", query="parse a request")
    assert found["content"][0]["text"].startswith("src/net.py:1-3  function parse_http_request\n     1  def parse")
    assert found["structuredContent"]["hits"][0]["path"] == "src/net.py"
    assert client.text("search", query="only_here_xyz", literal=True) == "nothing found\n"
    assert client.text("definition", name="parse_http_request").startswith("src/net.py:1:")
    assert client.text("references", name="parse_http_request").startswith("src/main.py:5:")
    assert client.text("definition", name="no_such_name") == "nothing found\n"
    assert "     2      \"\"\"Splits" in client.text("read", path="./src//net.py")
    assert "src/net.py (3 lines)" in client.text("read", path=str(client.process.args[2]) + "/src/net.py")
    assert client.text("read", path="src/net.py", start_line=3) == "src/net.py (3 lines)\n     3      return data.split()\n"
    assert client.text("read", path="long.txt").endswith("   400  line 400\n(lines 1 to 400 of 3000)\n")
    assert client.text("read", path="long.txt", end_line=3000).endswith("(lines 1 to 2000 of 3000)\n")
    assert "parse_http_request" in client.text("map")
    assert "parse_http_request" in client.text("map", focus=["src/main.py"], tokens=50)


def test_refuses_what_is_not_the_projects(client):
    client.begin()
    assert "secrets" in client.refusal("read", path=".env")
    for path in ("build.log", "link.txt", "folder/outside.txt", "folder/project/src/net.py", ".git/config", "none.py"):
        assert "no such file" in client.refusal("read", path=path), path
    for path in ("../outside.txt", "src/../../outside.txt", "/etc/passwd", "", ".", "a" * 9000, "a\0b"):
        client.refusal("read", path=path)
    assert "folder" in client.refusal("read", path="src")
    assert "no text" in client.refusal("read", path="data.bin")
    assert "3 lines" in client.refusal("read", path="src/net.py", start_line=4)
    client.refusal("read", path="src/net.py", start_line=2, end_line=1)
    for bad in (0, -1, 1.5, "3", 1e300, [], True):
        client.refusal("read", path="src/net.py", start_line=bad)
    client.refusal("search")
    client.refusal("search", query=3)
    client.refusal("search", query="x", kinds=["nonsense"])
    client.refusal("search", query="x", kinds=["function"] * 65)
    client.refusal("map", focus=["none.py"])


def test_malformed_messages_end_nothing(client):
    client.begin()
    for raw in (b"{", b"[]", b"null", b"3", b'"x"', b"[" * 5000, b"\xff\xfe", b"\0", b'{"jsonrpc":"2.0"}', b'{"id":1}',
                b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
                b'{"jsonrpc":"2.0","id":1,"method":3}', b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
                b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing"}}',
                b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
                b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":[]}}',
                b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', b"x" * (2 << 20)):
        client.send(raw)
        assert "error" in client.receive(), raw[:60]
    for silent in (b"", b"   ", b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
                   b'{"jsonrpc":"2.0","id":9,"result":{}}'):
        client.send(silent)
    assert client.ask("ping")["result"] == {}


def test_follows_changes(client, project):
    client.begin()
    assert client.text("definition", name="brand_new_thing") == "nothing found\n"
    (project / "src/new.py").write_text("def brand_new_thing():\n    pass\n")
    for _ in range(100):
        time.sleep(0.05)
        if client.text("definition", name="brand_new_thing").startswith("src/new.py:1:"):
            return
    pytest.fail("a new file is not found")


def test_with_the_protocols_own_client(hearth_bin, project, tmp_path):
    pytest.importorskip("mcp", reason="the package mcp is not installed")
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    def plain(answer):  # as on the wire: the attributes' names differ between the package's versions
        return answer.model_dump(by_alias=True)

    async def talk():
        server = StdioServerParameters(command=hearth_bin, args=["mcp", str(project)], env=dict(CLEAN, HOME=str(tmp_path)))
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            begun = await session.initialize()
            assert plain(begun)["serverInfo"]["name"] == "hearth"
            assert len((await session.list_tools()).tools) == 5
            found = await session.call_tool("search", {"query": "parse a request"})
            assert not plain(found)["isError"] and "src/net.py:1" in found.content[0].text
            refused = await session.call_tool("read", {"path": "/etc/passwd"})
            assert plain(refused)["isError"]

    asyncio.run(asyncio.wait_for(talk(), 60))
