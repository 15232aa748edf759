"""hearth run: answers to a prompt, and a conversation on a terminal."""

import json
import os
import pty
import re
import select
import signal
import time

import pytest

from conftest import ROOT

TINY = ROOT / "tests/golden/tiny/llama-gqa.gguf"
ARGS = ("run", TINY, "-n", 12, "--temperature", 0)


@pytest.fixture
def real(hearth):
    """Runs the program with the models that HEARTH_TEST_HOME has."""
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home:
        pytest.skip("HEARTH_TEST_HOME is not set")
    # No server of somebody else answers at port 1.
    env = {"HEARTH_HOME": home, "HEARTH_SERVE_PORT": "1"}
    return lambda *args, **more: hearth(*args, env=env, **more)


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, hearth_bin, folder, *args):
        env = {"HOME": str(folder), "HEARTH_HOME": str(folder / "home"), "TERM": "dumb", "LC_ALL": "C.UTF-8",
               "PATH": os.environ["PATH"]}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(hearth_bin, [hearth_bin, *map(str, args)], env)
        self.text = ""

    def until(self, pattern, seconds=60):
        """What came up to the pattern, which is taken too."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.text!r}"
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            assert data, f"the program ended without {pattern!r}: {self.text!r}"
            self.text += data.decode(errors="replace").replace("\r", "")
        before, self.text = self.text[:found.end()], self.text[found.end():]
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def interrupt(self):
        """Sends Ctrl-C's signal and waits until it was taken: what is typed before would go with it."""
        os.kill(self.pid, signal.SIGINT)
        self.settle()

    def settle(self):
        end = time.monotonic() + 60
        while True:
            status = open(f"/proc/{self.pid}/status").read()
            if not int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) & 1 << signal.SIGINT - 1:
                return
            assert time.monotonic() < end
            time.sleep(0.005)

    def ask(self, line):
        self.type(line + "\n")
        return self.until(r"\n>>> ")

    def end(self):
        self.type("\x04")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def terminal(hearth_bin, tmp_path):
    def start(*args):
        t = Terminal(hearth_bin, tmp_path, *(args or ARGS))
        t.until(">>> ")
        return t

    return start


# ---- one answer ----------------------------------------------------------------------------------


def test_a_prompt_is_answered(hearth):
    plain = hearth(*ARGS, "hi there")
    assert plain.returncode == 0 and plain.stderr == ""
    r = json.loads(hearth(*ARGS, "--json", "hi there").stdout)
    assert r["message"]["role"] == "assistant"
    assert r["message"]["content"] == plain.stdout.removesuffix("\n")
    assert 0 < r["completion_tokens"] <= 12
    # Words become one prompt, piped text is the prompt, and both together are one message.
    assert hearth(*ARGS, "hi", "there").stdout == plain.stdout
    assert hearth(*ARGS, input="hi there").stdout == plain.stdout
    both = json.loads(hearth(*ARGS, "--json", "hi", input="there").stdout)
    assert both["prompt_tokens"] > r["prompt_tokens"] - 5


def test_the_system_message_reaches_the_model(hearth):
    def tokens(*more):
        return json.loads(hearth(*ARGS, "--json", *more, "hi").stdout)["prompt_tokens"]

    assert tokens("--system", "Be terse and kind.") > tokens() + 5


def test_files_are_context(hearth, tmp_path):
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    (tmp_path / "with space.txt").write_text("hello\n")

    def tokens(text):
        p = hearth(*ARGS, "--json", text)
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout)["prompt_tokens"]

    assert tokens("look at @a.c") > tokens("look at a.c") + 10
    assert tokens('look at @"with space.txt"') > tokens("look at with space.txt") + 2
    assert tokens("mail me@a.c") < tokens("mail @a.c")
    assert tokens("@dataclass") < tokens("@a.c")


@pytest.mark.parametrize("name", [".env", "server.key", "id_rsa", ".ssh/config", "link.txt"])
def test_files_of_secrets_are_not_read(hearth, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if name == "link.txt":
        (tmp_path / ".env").write_text("KEY=1")
        path.symlink_to(tmp_path / ".env")
    else:
        path.write_text("KEY=1")
    p = hearth(*ARGS, f"explain @{path}")
    assert p.returncode == 2 and "secrets" in p.stderr and p.stdout == ""


def test_other_files_that_are_refused(hearth, tmp_path):
    (tmp_path / "big.txt").write_text("x" * 300000)
    (tmp_path / "bin").write_bytes(b"a\0b")
    for path, part in (("big.txt", "300000"), ("bin", "no text"), ("no/such.c", "no such file"), ("/dev/zero", "/dev/zero")):
        p = hearth(*ARGS, f"@{path}")
        assert p.returncode != 0 and part in p.stderr and len(p.stderr.splitlines()) == 1, p.stderr


def test_wrong_use(hearth):
    assert "empty" in hearth(*ARGS, "").stderr
    assert "empty" in hearth(*ARGS, input="").stderr
    assert hearth("run").returncode == 2
    assert "temperature" in hearth("run", TINY, "--temperature", -1, "x").stderr
    p = hearth(*ARGS, "--ctx", 20, "long " * 50)
    assert p.returncode == 1 and "20" in p.stderr and "--ctx" in p.stderr


# ---- on a terminal -------------------------------------------------------------------------------


def test_a_conversation(terminal):
    t = terminal()
    t.ask("hi there")
    assert re.search(r"messages +2\b", t.ask("/show"))
    t.type('"""first line\n')
    t.until(r"\.\.\. ")
    t.ask('second line"""')
    assert re.search(r"messages +4\b", t.ask("/show"))
    assert "empty" in t.ask("/clear")
    assert re.search(r"messages +0\b", t.ask("/show"))
    assert t.end() == 0


def test_commands(terminal, tmp_path):
    t = terminal()
    listed = t.ask("/help")
    for name in ("/set", "/system", "/clear", "/save", "/load", "/show", "/bye", "@PATH"):
        assert name in listed
    assert "0.25" in t.ask("/set temperature 0.25") + t.ask("/set temperature")
    assert "from 0 to 100" in t.ask("/set temperature hot")
    assert "no such parameter" in t.ask("/set colour red")
    assert "no command" in t.ask("/nope")
    t.ask("/system Be brief.")
    assert "Be brief." in t.ask("/system")
    t.ask("hello")
    t.ask("/save mine")
    kept = tmp_path / "home/chats/mine.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [m["role"] for m in json.loads(kept.read_text())["messages"]] == ["system", "user", "assistant"]
    t.ask("/clear")
    assert "3 messages" in t.ask("/load mine")
    (tmp_path / "bad.json").write_text('{"messages": [{"role": 1}]}')
    assert "no conversation" in t.ask("/load bad.json")
    t.type("/bye\n")
    _, status = os.waitpid(t.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_history_is_private_and_can_be_switched_off(terminal, tmp_path):
    history = tmp_path / "home/history"
    t = terminal(*ARGS, "--no-history")
    t.ask("something secret")
    t.end()
    assert not history.exists()
    t = terminal()
    t.ask("something kept")
    t.end()
    assert history.stat().st_mode & 0o777 == 0o600
    assert "kept" in history.read_text()


def test_the_end_key_counts_while_an_answer_is_written(terminal):
    t = terminal("run", TINY, "-n", 200, "--temperature", 1, "--seed", 1, "-t", 1)
    t.type("go on\n")
    t.until(r"go on\n.")
    assert t.end() == 0


def test_an_interrupt_ends_the_answer_only(terminal):
    t = terminal("run", TINY, "--temperature", 1, "--seed", 1, "-t", 1)
    t.type("go on\n")
    t.until(r"go on\n.{10}")
    t.interrupt()
    t.until(r">>> ")
    t.settle()
    t.type("/show\n")  # there are two prompts where the answer ended first
    t.until(r"messages +2\b.*>>> ")
    time.sleep(0.5)  # the line is being edited now
    t.type("half a line")
    time.sleep(0.5)
    t.type("\x03")
    t.until(r">>> ")
    t.type("/show\n")
    t.until(r"messages +2\b.*>>> ")
    assert t.end() == 0


def test_interrupts_at_any_moment_leave_a_prompt(terminal):
    t = terminal()
    for i in range(40):
        os.kill(t.pid, signal.SIGINT)
        time.sleep(0.0003 * (i % 8))
    t.settle()
    t.type("/set temperature\n")
    t.until(r"temperature +0 .*>>> ")
    t.type('"""one\n')
    t.until(r"\.\.\. ")
    t.interrupt()  # drops the text of several lines
    t.until(r">>> ")
    t.type("/show\n")
    t.until(r"messages +0\b.*>>> ")
    assert t.end() == 0


def test_letters_of_several_bytes_are_typed(terminal, tmp_path):
    t = terminal()
    t.ask("/system Grüße, 漢字 🙂")
    t.ask("/save typed")
    kept = json.loads((tmp_path / "home/chats/typed.json").read_text())
    assert kept["messages"][0]["content"] == "Grüße, 漢字 🙂"
    assert t.end() == 0


# ---- a real model --------------------------------------------------------------------------------


def test_a_real_model_knows_the_conversation(real):
    ask = ("run", "smollm2:135m", "--temperature", 0, "-n", 30, "--system", "Answer in one sentence.")
    p = real(*ask, "What is the capital of France?")
    assert p.returncode == 0 and "Paris" in p.stdout
    assert "<|im_" not in p.stdout
    r = json.loads(real(*ask, "--json", "What is the capital of France?").stdout)
    assert r["message"]["content"] + "\n" == p.stdout


def test_a_real_model_on_a_terminal(hearth_bin, tmp_path):
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home:
        pytest.skip("HEARTH_TEST_HOME is not set")
    blob = next(b for b in sorted(os.listdir(f"{home}/blobs")) if os.path.getsize(f"{home}/blobs/{b}") < 2e8)
    t = Terminal(hearth_bin, tmp_path, "run", f"{home}/blobs/{blob}", "--temperature", 0, "-n", 40,
                 "--system", "Answer in one sentence.")
    t.until(">>> ")
    assert "Paris" in t.ask("What is the capital of France?")
    t.ask("And of Italy?")
    shown = t.ask("/show")
    assert re.search(r"messages +5\b", shown)
    prompt, cached = re.search(r"behind (\d+) of prompt, (\d+)", shown).groups()
    assert int(cached) > int(prompt) / 2  # the first turn was not read again
    assert t.end() == 0
