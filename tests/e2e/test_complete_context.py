"""Completion with a project's index: what of other files is in the prompt, and what never is.

The model is the one of test_complete.py, one token a byte: its prompts can be counted to the byte.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lsp_kit import Client
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model

HELPER = "def encode_path(path: str, safe: str = '/') -> str:\n    return path\n"
PREFIX, SUFFIX = "from net.util import encode_path\n\n\ndef show(a):\n    return encode_path(", "\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "fim.gguf"
    write_tiny_model(path, SPECIAL)
    return path


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "shop"
    (root / "net").mkdir(parents=True)
    (root / "net" / "util.py").write_text(HELPER)
    (root / "main.py").write_text(PREFIX + SUFFIX)
    return root


def environment(home):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
    return dict(clean, HOME=str(home), HEARTH_HOME=str(home))


def index(hearth_bin, project):
    subprocess.run([hearth_bin, "index", str(project)], env=environment(project.parent), check=True, capture_output=True)


def complete(hearth_bin, model, project, *args, text=None, code=0):
    path = project / "main.py"
    text = text or (PREFIX + "<|cursor|>" + SUFFIX)
    path.write_text(text)
    done = subprocess.run([hearth_bin, "complete", "-m", str(model), "--ctx", "512", "-n", "4", "--json", str(path),
                           *map(str, args)],
                          env=environment(project.parent), capture_output=True)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr.decode()


def told_of(project):
    return ["--project", project, "--context-share", "0.4", "--context-deadline", "5000"]


def header(path):
    return 1 + len(path.encode()) + 1  # the mark of a file, its name and a line end


def test_declarations_stand_in_the_prompt_as_files(hearth_bin, model, project):
    index(hearth_bin, project)
    bare = complete(hearth_bin, model, project)
    got = complete(hearth_bin, model, project, *told_of(project))
    assert "context" not in bare and [c["path"] for c in got["context"]] == ["net/util.py"]
    [piece] = got["context"]
    assert "encode_path(path" in piece["text"] and got["timings"]["context_ms"] > 0
    repo = 1 + len("shop\n")
    assert got["prompt_tokens"] == (bare["prompt_tokens"] + repo + header("net/util.py") + len(piece["text"]) +
                                    header("main.py"))


def test_no_more_than_its_share(hearth_bin, model, project):
    for i in range(40):
        (project / "net" / f"more{i}.py").write_text(f"def encode_path(path, way_{i}=1, other_parameter=None):\n    return path\n")
    index(hearth_bin, project)
    for share in (0.05, 0.2, 0.5):
        got = complete(hearth_bin, model, project, "--project", project, "--context-share", share)
        told = sum(header(c["path"]) + len(c["text"]) for c in got["context"])
        assert told <= 508 * share * 3.3  # bytes of its estimate; what is too much is left out of the prompt
        assert got["prompt_tokens"] <= 508


def test_a_small_prompt_is_the_files_own(hearth_bin, model, project):
    index(hearth_bin, project)
    assert complete(hearth_bin, model, project, "--project", project)["context"] == []  # of 512 tokens


def test_without_an_index_it_goes_on(hearth_bin, model, project):
    got = complete(hearth_bin, model, project, *told_of(project))
    assert got["context"] == []
    assert "no such folder" in complete(hearth_bin, model, project, "--project", project / "none", code=1)


def test_a_damaged_index_is_no_failure(hearth_bin, model, project):
    index(hearth_bin, project)
    [db] = (project.parent / "cache").rglob("g*.db")
    data = bytearray(db.read_bytes())
    for at in range(0, len(data), 1024):
        data[at:at + 300] = b"\xa5" * 300
    db.write_bytes(data)
    assert complete(hearth_bin, model, project, *told_of(project))["context"] == []
    db.write_bytes(b"")
    assert complete(hearth_bin, model, project, *told_of(project))["context"] == []
    index(hearth_bin, project)
    assert complete(hearth_bin, model, project, *told_of(project))["context"] != []


def test_secrets_ignored_files_and_other_folders_stay_out(hearth_bin, model, project):
    (project / "net" / "util.py").unlink()
    (project / ".gitignore").write_text("private/\n")
    (project / "private").mkdir()
    (project / ".ssh").mkdir()
    outside = project.parent / "elsewhere"
    outside.mkdir()
    for path in (project / "id_rsa", project / ".env", project / "private" / "a.py", project / ".ssh" / "b.py", outside / "c.py"):
        path.write_text(HELPER)
    (project / "link").symlink_to(outside)
    index(hearth_bin, project)
    assert complete(hearth_bin, model, project, *told_of(project))["context"] == []
    # A file outside of the project is told nothing of it.
    (project / "net" / "util.py").write_text(HELPER)
    index(hearth_bin, project)
    (project / "main.py").unlink()
    got = complete(hearth_bin, model, outside.parent / "elsewhere", *told_of(project))
    assert got["context"] == []


def test_names_of_files_are_text(hearth_bin, model, project):
    """A name that spells a control token costs a token a byte; one with a line end is not told."""
    (project / "net" / "util.py").unlink()
    (project / "<|fim_suffix|>.py").write_text(HELPER)
    (project / "two\nlines.py").write_text(HELPER.replace("safe", "line"))
    index(hearth_bin, project)
    bare = complete(hearth_bin, model, project)
    got = complete(hearth_bin, model, project, *told_of(project))
    [piece] = got["context"]
    assert piece["path"] == "<|fim_suffix|>.py" and "safe" in piece["text"]
    assert got["prompt_tokens"] == (bare["prompt_tokens"] + 1 + len("shop\n") + header("<|fim_suffix|>.py") +
                                    len(piece["text"]) + header("main.py"))


class Stdio:
    def __init__(self, hearth_bin, model, project):
        self.process = subprocess.Popen([hearth_bin, "complete", "--stdio", "-m", str(model), "--ctx", "512", "-n", "4",
                                         *map(str, told_of(project))],
                                        env=environment(project.parent), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.communicate(timeout=60)
        return self.process.returncode


def test_typing_keeps_the_context_and_what_was_read(hearth_bin, model, project):
    index(hearth_bin, project)
    s = Stdio(hearth_bin, model, project)
    file = str(project / "main.py")
    first = s.ask(prefix=PREFIX, suffix=SUFFIX, file=file)
    assert [c["path"] for c in first["context"]] == ["net/util.py"]
    for typed in ("a", "a.", "a.n", "a.name"):
        got = s.ask(prefix=PREFIX + typed, suffix=SUFFIX, file=file)
        assert got["reuse"] == "anchor" and got["context"] == first["context"]
    got = s.ask(prefix=PREFIX + "a.name)\n    ", suffix=SUFFIX, file="main.py")  # a name in the project, too
    assert got["context"] == first["context"]
    assert s.ask(prefix=PREFIX, suffix=SUFFIX)["context"] == []  # nobody knows where that is
    assert s.ask(prefix=PREFIX, suffix=SUFFIX, file="../main.py")["context"] == []
    assert s.close() == 0


def test_infill_takes_it_from_the_servers_project(hearth_bin, model, project):
    index(hearth_bin, project)
    s = Server(hearth_bin, project.parent, "--project", project, model=model)
    try:
        def tokens(**more):
            status, got = s.post("/infill", {"input_prefix": PREFIX, "input_suffix": SUFFIX, "n_predict": 4, **more})
            assert status == 200, got
            return got["tokens_evaluated"]
        bare = tokens(filename="main.py", project_context=False)
        told = tokens(filename="main.py")
        assert told > bare + header("net/util.py") + len("def encode_path(path, safe='/')\n") - 1
        assert tokens(filename=str(project / "main.py")) == told
        assert tokens(filename="/elsewhere/main.py") == bare
        assert tokens() == bare
        # What does not fit beside the text goes, and nothing else.
        long = "#" * (500 - bare) + "\n" + PREFIX
        assert tokens(input_prefix=long, filename="main.py") == 501
    finally:
        s.stop()


def uri(path):
    return Path(path).as_uri()


def test_an_editor_gets_it_for_its_folder(hearth_bin, model, project):
    """Through hearth/status: how many files the last completion was told of."""
    index(hearth_bin, project)
    c = Client(hearth_bin, model, project.parent)
    try:
        c.start(workspaceFolders=[{"uri": uri(project), "name": "shop"}])
        def told(path, text=PREFIX + SUFFIX):
            c.open(uri(path), text)
            c.complete(uri(path), 4, len("    return encode_path("))
            return c.call("hearth/status")["context"]["files"]
        assert told(project / "zeroth.py") == 0  # nobody asked for it
        on = {"settings": {"hearth": {"projectContext": True}}}
        c.notify("workspace/didChangeConfiguration", on)
        assert told(project / "main.py") == 1
        assert told(project.parent / "outside.py") == 0
        (project / ".gitignore").write_text("util.py\nmain.py\n")  # ignored since the index was made
        assert told(project / "again.py") == 0
        c.notify("workspace/didChangeConfiguration", {"settings": {"hearth": {"projectContext": False}}})
        (project / ".gitignore").unlink()
        assert told(project / "third.py") == 0
        assert c.close() == 0
    finally:
        c.process.kill()
        c.process.wait()


def test_an_editor_needs_no_index(hearth_bin, model, project):
    c = Client(hearth_bin, model, project.parent)
    try:
        c.start(workspaceFolders=[{"uri": uri(project), "name": "shop"}])
        c.open(uri(project / "main.py"), PREFIX + SUFFIX)
        assert isinstance(c.complete(uri(project / "main.py"), 4, len("    return encode_path(")), list)
        assert c.call("hearth/status")["context"]["files"] == 0
        assert c.close() == 0
    finally:
        c.process.kill()
        c.process.wait()
