"""The store besides pulls from the catalogue: files and URLs of one's own, names, catalogues, rm."""

import json

import pytest

from store_kit import (  # noqa: F401  (some are fixtures)
    HUB, REPO, SIZE, File, Store, assert_installed, entry, gguf_bytes, model, server, sha256, store,
)


# ---- files and URLs of one's own ----------------------------------------------------------------


def test_from_file(store, tmp_path, model):
    path = tmp_path / "m.gguf"
    path.write_bytes(model)
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1", "--from", path)
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
    path.write_bytes(b"changed")
    assert_installed(store, model)


def test_from_wrong_file(store, tmp_path, model):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes(SIZE, seed=2))
    store.catalogue(entry(model, HUB))
    done = store("pull", "test:1", "--from", path)
    assert done.returncode == 1 and "wrong checksum" in done.stderr
    assert store.installed() == {}


def test_from_file_with_a_name_of_ones_own(store, tmp_path, model):
    path = tmp_path / "mine.gguf"
    path.write_bytes(model)
    store.catalogue()
    done = store("pull", "mine", "--from", path)
    assert done.returncode == 0, done.stderr
    m = assert_installed(store, model, "mine:latest")
    assert m["architecture"] == "llama" and sha256(model) in done.stdout
    assert "Test 1" in store("show", "mine").stdout
    assert store("list").stdout.splitlines()[1].split()[3:] == ["750K", "F32", "?", "?"]
    assert store("pull", "mine", "--from", path).returncode == 0
    other = gguf_bytes(SIZE, seed=2)
    path.write_bytes(other)
    assert store("pull", "mine", "--from", path).returncode == 0
    assert_installed(store, other, "mine:latest")
    assert len(store.blobs()) == 1, "the file it replaced is gone"


def test_from_file_of_the_wrong_size_leaves_nothing(store, tmp_path, model):
    path = tmp_path / "m.gguf"
    path.write_bytes(model[:-1])
    store.catalogue({**entry(model, HUB), "bytes": len(model)})
    done = store("pull", "test:1", "--from", path)
    assert done.returncode == 1 and "bytes" in done.stderr
    assert store.partials() == [] and "unfinished" not in store("list").stdout


def test_an_empty_partial_does_not_count(store, model):
    store.catalogue(entry(model, HUB))
    (store.home / "partial").mkdir(parents=True)
    (store.home / "partial" / sha256(model)).touch()
    assert "unfinished" not in store("list").stdout


def test_from_file_that_is_not_needed(store, tmp_path, model):
    path = tmp_path / "m.gguf"
    path.write_bytes(model)
    store.catalogue(entry(model, HUB))
    assert store("pull", "test:1", "--from", path).returncode == 0
    again = store("pull", "test:1", "--from", path)
    assert again.returncode == 0 and f"{path} was not read" in again.stderr
    path.unlink()
    gone = store("pull", "test:1", "--from", path)
    assert gone.returncode == 1 and f"cannot open {path}" in gone.stderr


def test_plain_http_is_refused_in_plain_words(store):
    store.catalogue()
    done = store("pull", "http://example.invalid/x.gguf")
    assert done.returncode != 0 and "plain http" in done.stderr
    assert "this pull" not in done.stderr and "source" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF" + bytes(100)])
def test_from_something_that_is_no_model(store, tmp_path, content):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    store.catalogue()
    done = store("pull", "bad", "--from", path)
    assert done.returncode != 0 and str(path) in done.stderr or "no usable model" in done.stderr
    assert store.installed() == {} and store.blobs() == []


def test_url_with_digest(store, server, model):
    server.files["/files/My_Model-Q4.gguf"] = File(model)
    store.catalogue()
    url = server.url + "/files/My_Model-Q4.gguf"
    done = store("pull", url, "--sha256", sha256(model))
    assert done.returncode == 0, done.stderr
    assert_installed(store, model, "my_model-q4:latest")
    assert store("pull", url, "--name", "short:1", "--sha256", sha256(model)).returncode == 0
    assert_installed(store, model, "short:1")


def test_url_without_digest(store, server, model):
    server.files["/m.gguf"] = File(model)
    store.catalogue()
    done = store("pull", server.url + "/m.gguf")
    assert done.returncode == 1 and "--sha256" in done.stderr
    assert store.installed() == {} and server.gets("/m.gguf") == []


def test_url_on_the_hub(store, server, model):
    server.files[REPO] = File(model, digest=sha256(model))
    store.catalogue()
    done = store("pull", server.url + REPO.replace("resolve", "blob"), "--name", "hubbed")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model, "hubbed:latest")


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, message", [
    ("tset:1", "did you mean test:1?"),
    ("xyzzy", "hearth list --all"),
    ("../../etc/passwd", "no model name"),
    ("a:b:c", "no model name"),
    ("", "no model name"),
    ("a" * 300, "no model name"),
])
def test_names_that_are_none(store, model, name, message):
    store.catalogue(entry(model, HUB))
    for command in ("pull", "rm"):
        done = store(command, name)
        assert done.returncode != 0 and message in done.stderr, command


@pytest.mark.parametrize("name, message", [
    ("./m.gguf", "hearth pull NAME --from ./m.gguf"),
    ("hf.co/owner/repo", "/OWNER/REPO/resolve/main/FILE.gguf"),
])
def test_pulling_a_path_tells_how(store, name, message):
    done = store("pull", name)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_an_architecture_without_support_is_told(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB, architecture="martian"))
    done = store("pull", "test:1")
    assert done.returncode == 0 and "martian, has no support yet" in done.stderr
    assert "can't run" in store("list").stdout
    done = store("pull", "test:1", "--quiet")
    assert done.stderr == ""


def test_no_line_of_the_list_is_wider_than_a_terminal(store):
    lines = store("list", "--all").stdout.splitlines()
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)


def test_family_and_case(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB, aliases=["test"]))
    assert store("pull", "TEST").returncode == 0
    assert "test:1" in store.installed()


def test_bad_catalogue_is_told(store):
    (store.home / "catalogue.json").write_text('{"version": 1, "models": [{"name": "../x:1"}]}')
    done = store("list")
    assert done.returncode == 1 and "catalogue.json" in done.stderr and '"name"' in done.stderr


def test_built_in_catalogue(store):
    models = {m["name"]: m for m in json.loads(store("list", "--all", "--json").stdout)["models"]}
    expected = {"qwen2.5-coder:1.5b", "qwen2.5-coder:0.5b", "smollm2:135m", "deepseek-coder:1.3b",
                "deepseek-coder:6.7b", "deepseek-coder:33b", "codellama:7b", "codellama:13b",
                "starcoder2:3b", "starcoder2:7b", "starcoder2:15b"}
    assert expected <= set(models)
    assert [m for m in models.values() if m["default"]] == [models["qwen2.5-coder:1.5b"]]
    assert models["qwen2.5-coder:1.5b"]["bytes"] == 1117320768
    for m in models.values():
        assert m["sha256"] is None or len(m["sha256"]) == 64


def test_user_entries_join_the_built_in_ones(store, model):
    (store.home / "catalogue.json").write_text(json.dumps(
        {"version": 1, "models": [entry(model, HUB, name="smollm2:135m", title="Mine")]}))
    models = {m["name"]: m for m in json.loads(store("list", "--all", "--json").stdout)["models"]}
    assert models["smollm2:135m"]["title"] == "Mine" and "qwen2.5-coder:1.5b" in models


def test_stale_work_is_swept(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    work = store.home / "partial" / ("ab" * 32 + ".work")
    (work / "tmp").mkdir(parents=True)
    (work / "tmp" / "old.whl").write_bytes(b"x")
    assert store("pull", "test:1").returncode == 0
    assert not work.exists()


def test_rm_removes_the_packed_weights(store, server, model):
    server.files[REPO] = File(model)
    store.catalogue(entry(model, HUB))
    store("pull", "test:1")
    cache = store.home / "cache"
    cache.mkdir()
    identity = json.loads(store("show", "test:1", "--json").stdout)["file"]["identity"]
    packed = [cache / f"{identity}-{version}.pack" for version in (1, 12)]  # model/pack_cache.h
    keep = cache / ("f" * 64 + "-1.pack")
    for file in (*packed, keep):
        file.write_bytes(b"x")
    assert store("rm", "test:1", "nothing:1").returncode == 1
    assert list(cache.iterdir()) == [keep] and store.installed() == {}
