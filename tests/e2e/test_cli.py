"""The program as a person meets it: help, mistakes, exit codes, closed pipes, completion."""

import os
import pty
import re
import shutil
import signal
import subprocess

import pytest

COMMANDS = ["complete", "generate", "run", "ask", "serve", "lsp", "ps", "stop", "index", "search", "map", "mcp", "embed", "rerank", "pull",
            "import", "list", "show", "verify", "quantize", "rm", "doctor", "bench", "eval", "stats", "score", "perplexity", "imatrix", "tokenize", "detokenize", "help",
            "completion"]


def test_help_names_every_command(hearth):
    done = hearth("help")
    assert done.returncode == 0 and done.stderr == ""
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", done.stdout, re.M), name
    assert "hearth pull" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\x1b" not in done.stdout
    for way in (["--help"], ["-h"]):
        assert hearth(*way).stdout == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(hearth, name):
    done = hearth("help", name)
    assert done.returncode == 0 and done.stderr == ""
    assert f"Usage: hearth {name}" in done.stdout
    assert "--help" in done.stdout
    assert f"hearth {name}" in done.stdout.split("Usage:", 1)[1].split("\n", 1)[1], "an example"
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert hearth(name, "--help").stdout == done.stdout
    assert hearth(name, "-h").returncode == 0
    assert hearth(name, "nothing", "--help").stdout == done.stdout


def test_the_manual_page_holds_every_command(hearth, tmp_path):
    done = hearth("help", "--man")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n.SS hearth {name}" in done.stdout
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    page = tmp_path / "hearth.1"
    page.write_text(done.stdout)
    set_page = subprocess.run(["groff", "-man", "-ww", "-Tutf8", page], capture_output=True, text=True,
                              timeout=60)
    assert set_page.returncode == 0 and set_page.stderr == ""
    assert "--max-tokens" in re.sub("\x1b\\[[0-9;]*m|.\b", "", set_page.stdout)


def test_no_command_is_a_usage_error_that_helps(hearth):
    done = hearth()
    assert done.returncode == 2 and done.stdout == ""
    assert "Usage: hearth COMMAND" in done.stderr


def test_version(hearth):
    done = hearth("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"hearth \d+\.\d+\.\d+\n", done.stdout)
    assert hearth("-V").stdout == done.stdout


@pytest.mark.parametrize("args, message", [
    (["plul"], "no command 'plul'; did you mean 'pull'?"),
    (["comp"], "did you mean 'complete'?"),
    (["xyzzy"], "no command 'xyzzy'"),
    (["chat", "qwen2.5-coder"], "did you mean 'run'?"),
    (["ls"], "no command 'ls'; did you mean 'list'?"),
    (["help", "remove"], "did you mean 'rm'?"),
    (["help", "xyzzy"], "no command 'xyzzy'"),
    (["--frobnicate"], "unknown option --frobnicate"),
    (["complete"], "which FILE?"),
    (["complete", "a.c", "--at"], "--at needs a value"),
    (["complete", "a.c", "--at", "1:1", "--max-tokens", "many"], "--max-tokens takes a whole number"),
    (["complete", "a.c", "--at", "1:1", "--max-tokens", "99999999999999999999"], "--max-tokens"),
    (["complete", "a.c", "--josn"], "did you mean --json?"),
    (["generate", "one", "two"], "unexpected argument 'two'"),
    (["pull", "x", "--frobnicate"], "unknown option --frobnicate"),
    (["bench", "-t", "1e3"], "--threads takes a whole number"),
    (["bench", "-t", "0x10"], "--threads"),
    (["completion", "tcsh"], "no script for 'tcsh'"),
    (["completion"], "missing bash|zsh|fish"),
    (["help", "a\nb\x1b[31m"], "no command 'a?b?[31m'"),
])
def test_a_mistake_is_one_line_and_exit_code_2(hearth, args, message):
    done = hearth(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("hearth") and done.stderr.count("\n") == 1
    assert "hearth help" in done.stderr


def test_a_missing_model_says_how_to_get_it(hearth):
    done = hearth("generate", "-m", "qwen2.5-coder:1.5b", "x")
    assert done.returncode == 1
    assert "hearth pull qwen2.5-coder:1.5b" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_an_error(hearth):
    with open("/dev/full", "w") as full:
        for args in (["help"], ["--version"], ["completion", "bash"], ["list", "--all"]):
            done = hearth(*args, stdout=full)
            assert done.returncode == 1, args
            assert "No space left on device" in done.stderr
            assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_ends_it_quietly(hearth_bin):
    # Python ignores SIGPIPE and passes that on; the program must not depend on what it inherits.
    for restore in (True, False):
        read_end, write_end = os.pipe()
        os.close(read_end)
        process = subprocess.Popen([hearth_bin, "completion", "zsh"], stdout=write_end,
                                   stderr=subprocess.PIPE, restore_signals=restore)
        os.close(write_end)
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == -signal.SIGPIPE


def test_closed_descriptors_are_survived(hearth_bin, tmp_path):
    script = f"cd {tmp_path}; {hearth_bin} help >&- 2>err; echo $?; {hearth_bin} help <&- >out 2>&-; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "0"]
    assert (tmp_path / "err").read_text().count("\n") == 1
    assert "Usage" in (tmp_path / "out").read_text()


def run_on_terminal(command, env):
    """Standard output of a command that runs on a pseudo terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, env)
    output = b""
    try:
        while chunk := os.read(fd, 65536):
            output += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0
    return output.decode()


def test_colour_is_for_terminals_only(hearth_bin, tmp_path):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm"}
    assert "\x1b[1mHearth\x1b[0m" in run_on_terminal([hearth_bin, "help"], env)
    assert "\x1b" not in run_on_terminal([hearth_bin, "help"], env | {"NO_COLOR": "1"})
    assert "\x1b" not in run_on_terminal([hearth_bin, "help"], env | {"TERM": "dumb"})


# ---- completion ------------------------------------------------------------------------------


def need(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


@pytest.fixture
def shell_env(hearth_bin, tmp_path):
    return {"PATH": os.path.dirname(hearth_bin) + ":" + os.environ["PATH"], "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def script(hearth, tmp_path, shell):
    done = hearth("completion", shell)
    assert done.returncode == 0 and done.stderr == ""
    path = tmp_path / f"completion.{shell}"
    path.write_text(done.stdout)
    return path


COMPLETIONS = [
    ("hearth comp", {"complete", "completion"}),
    ("hearth help ben", {"bench"}),
    ("hearth complete --js", {"--json"}),
    ("hearth completion z", {"zsh"}),
    ("hearth complete mai", {"main.c"}),
    ("hearth complete main.c --model smoll", {"smollm2:135m"}),
    ("hearth generate -m smollm2:1", {"smollm2:135m"}),
    ("hearth pull smoll", {"smollm2:135m"}),
    ("hearth rm smoll", set()),
]


@pytest.mark.parametrize("line, expected", COMPLETIONS)
def test_bash_completes(hearth, shell_env, tmp_path, line, expected):
    need("bash")
    (tmp_path / "main.c").touch()
    # Bash splits words at colons too, and expects replies for the last piece only.
    source = f"""
        source {script(hearth, tmp_path, 'bash')}
        compopt() {{ :; }}
        COMP_LINE={line!r} COMP_POINT=${{#COMP_LINE}}
        _hearth
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", source], env=shell_env, cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    word = line.split()[-1]
    kept = word[:word.rfind(":") + 1]
    assert {kept + reply for reply in done.stdout.split()} == expected


def test_bash_knows_the_completion_function(hearth, shell_env, tmp_path):
    need("bash")
    source = f"source {script(hearth, tmp_path, 'bash')}; complete -p hearth"
    done = subprocess.run(["bash", "--norc", "-c", source], env=shell_env, capture_output=True,
                          text=True, timeout=60)
    assert done.stdout.strip() == "complete -F _hearth hearth" and done.stderr == ""


@pytest.mark.parametrize("line, expected", COMPLETIONS)
def test_fish_completes(hearth, shell_env, tmp_path, line, expected):
    need("fish")
    (tmp_path / "main.c").touch()
    source = f"source {script(hearth, tmp_path, 'fish')}; complete -C {line!r}"
    done = subprocess.run(["fish", "--no-config", "-c", source], env=shell_env, cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert {reply.split("\t")[0] for reply in done.stdout.splitlines()} == expected


@pytest.mark.parametrize("line, expected", COMPLETIONS)
def test_zsh_completes(hearth, shell_env, tmp_path, line, expected):
    need("zsh")
    (tmp_path / "main.c").touch()
    # A real interactive zsh on a pseudo terminal of its own; Tab inserts what is common.
    source = f"""
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'PS1= PROMPT_EOL_MARK= ; stty -echo; autoload -U compinit; compinit -u -D'
        zpty -w z 'source {script(hearth, tmp_path, 'zsh')}'
        zpty -w z 'report() {{ print -r -- "<<$BUFFER>>" >>|{tmp_path}/out; zle kill-buffer }}'
        zpty -w z 'zle -N report; bindkey "^X" report; setopt noautolist nolistbeep; zstyle ":completion:*" insert-tab false'
        zpty -n -w z {line!r}$'\\t\\x18'
        for i in {{1..100}}; do [[ -s {tmp_path}/out ]] && break; sleep 0.1; done
        zpty -d z
    """
    done = subprocess.run(["zsh", "-f", "-c", source], env=shell_env, cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    buffer = (tmp_path / "out").read_text().strip()[2:-2]
    common = os.path.commonprefix(sorted(expected)) or line.split()[-1]
    assert buffer.replace("\\:", ":").split()[-1] == common
