"""The trust policy: what may be pulled and loaded, and what is said."""

import json
import os

import pytest
from serve_kit import Server
from store_kit import (  # noqa: F401  (some are fixtures)
    File, assert_installed, entry, gguf_bytes, model, pip, server, sha256, store,
)
from trust_kit import keys, minisign  # noqa: F401

SMALL = gguf_bytes(50_000)


@pytest.fixture
def signed(store, server, keys, hearth, tmp_path):  # noqa: F811
    """A model at a server, and its signatures by keys 0 (known as acme) and 3 (not known)."""
    server.files["/m.gguf"] = File(SMALL)
    store.catalogue(entry(SMALL, {"type": "url", "url": server.url + "/m.gguf"}))
    (tmp_path / "m.gguf").write_bytes(SMALL)
    for i, name in [(0, "good.sig"), (3, "other.sig")]:
        assert hearth("sign", tmp_path / "m.gguf", "--key", keys[i][0], "--signature", tmp_path / name).returncode == 0
    assert store("trust", "add-key", "acme", keys[0][1], "--models", "test*").returncode == 0
    return tmp_path


def load(store):  # noqa: F811
    """What stands in the way of using the model; the file itself holds no vocabulary."""
    return store("tokenize", "-m", "test:1", "x").stderr


def test_unsigned_is_refused_before_anything_is_fetched(store, server, signed):  # noqa: F811
    done = store("pull", "test:1")
    assert done.returncode == 1 and "the trust policy refuses test:1" in done.stderr and "acme may sign it" in done.stderr
    assert server.gets("/m.gguf") == [] and store.blobs() == [] and store.installed() == {}


def test_signed_is_pulled_and_loaded(store, server, signed):  # noqa: F811
    done = store("pull", "test:1", "--signature", signed / "good.sig")
    assert done.returncode == 0 and "signed by acme (P-256 key" in done.stderr, done.stderr
    assert_installed(store, SMALL)
    assert "trust policy" not in load(store)
    (told,) = json.loads(store("trust", "check", "--json").stdout)
    assert told["outcome"] == "allow" and told["signer"] == "acme" and told["signed"]
    assert store("pull", "test:1").returncode == 0  # the signature was kept


@pytest.mark.parametrize("name, words", [("other.sig", "may not sign test:1"), ("m.gguf", "no signature"), ("gone", "gone")])
def test_a_signature_that_is_not_good(store, server, signed, name, words):  # noqa: F811
    done = store("pull", "test:1", "--signature", signed / name)
    assert done.returncode != 0 and words in done.stderr, done.stderr
    assert server.gets("/m.gguf") == [] and store.installed() == {} and store.blobs() == []


def test_signature_of_other_contents(store, server, signed, keys):  # noqa: F811
    (signed / "x").write_text("x")
    assert store("sign", signed / "x", "--key", keys[0][0]).returncode == 0
    for rule in ([], ["allow"]):  # bad by a known key is an error whatever else is allowed
        if rule:
            assert store("trust", "remove-rule", "1").returncode == 0
        done = store("pull", "test:1", "--signature", signed / "x.sig")
        assert done.returncode == 1 and "signature of other files" in done.stderr
    assert store.installed() == {}


def test_policy_tightened_later(store, server, signed, keys):  # noqa: F811
    assert store("trust", "remove-rule", "1").returncode == 0
    assert store("pull", "test:1").returncode == 0
    assert "trust policy" not in load(store)
    assert store("trust", "add-rule", "test*", "--key", "acme").returncode == 0
    assert "the trust policy refuses test:1: test:1 is not signed" in load(store)
    assert store("trust", "check").returncode == 1
    assert store("pull", "test:1").returncode == 1
    assert_installed(store, SMALL)  # it stays, and is shown, and can be removed
    assert store("show", "test:1").returncode == 0
    kept = store("verify", "test:1", "--signature", signed / "good.sig")
    assert kept.returncode == 0, kept.stderr  # the policy's keys are asked
    assert "policy refuses" in load(store)  # not kept yet
    assert store("verify", "test:1", "--signature", signed / "good.sig", "--keep").returncode == 0
    assert "trust policy" not in load(store)
    assert store("rm", "test:1").returncode == 0
    assert not any((store.home / "signatures").iterdir())


def test_warn(store, server, signed):  # noqa: F811
    assert store("trust", "remove-rule", "1").returncode == 0
    assert store("trust", "add-rule", "*", "--key", "acme", "--unsigned", "warn").returncode == 0
    done = store("pull", "test:1")
    assert done.returncode == 0 and "warning: test:1 is not signed" in done.stderr
    assert "warning: test:1 is not signed" in load(store)
    assert store("sign", "test:1", "--key", signed / "nobody").returncode != 0


def test_own_signature_of_a_model_in_the_store(store, server, signed, keys, hearth):  # noqa: F811
    assert store("pull", "test:1", "--signature", signed / "good.sig").returncode == 0
    assert store("trust", "add-key", "me", keys[1][1]).returncode == 0
    assert store("trust", "remove-rule", "1").returncode == 0
    assert store("trust", "add-rule", "*", "--key", "me").returncode == 0
    assert "has a signature, but not by me" in load(store)
    assert store("sign", "test:1", "--key", keys[1][0], "--signature", signed / "copy.sig").returncode == 0
    assert "trust policy" not in load(store)
    done = hearth("verify", signed / "m.gguf", "--signature", signed / "copy.sig", "--key", keys[1][1])
    assert done.returncode == 0 and '"test:1", 1 file' in done.stdout


def test_minisign_with_a_file_of_ones_own(store, server, signed, minisign):  # noqa: F811
    assert store("trust", "add-key", "jo", minisign.folder / "k.pub", "--models", "own*").returncode == 0
    done = store("pull", "own:1", "--from", signed / "m.gguf")
    assert done.returncode == 1 and "jo may sign it" in done.stderr
    assert minisign("-S", "-l", "-s", "k.key", "-m", signed / "m.gguf").returncode == 0
    done = store("pull", "own:1", "--from", signed / "m.gguf")
    assert done.returncode == 1 and "old kind" in done.stderr and store.blobs() == []
    assert minisign("-S", "-s", "k.key", "-m", signed / "m.gguf").returncode == 0
    done = store("pull", "own:1", "--from", signed / "m.gguf")  # found beside the file
    assert done.returncode == 0 and "signed by jo (minisign key" in done.stderr, done.stderr
    (told,) = json.loads(store("trust", "check", "own:1", "--json").stdout)
    assert told["signer"] == "jo"
    text = (signed / "m.gguf.minisig").read_text().replace("file:m.gguf", "file:n.gguf")
    (signed / "m.gguf.minisig").write_text(text)
    assert store("rm", "own:1").returncode == 0
    done = store("pull", "own:1", "--from", signed / "m.gguf")
    assert done.returncode == 1 and "trusted comment" in done.stderr and store.blobs() == []


def test_signature_from_the_catalogue(store, server, signed):  # noqa: F811
    server.files["/m.sig"] = File((signed / "good.sig").read_bytes())
    store.catalogue(entry(SMALL, {"type": "url", "url": server.url + "/m.gguf"}, signature=server.url + "/m.sig"))
    done = store("pull", "test:1")
    assert done.returncode == 0 and "signed by acme" in done.stderr, done.stderr
    assert store("rm", "test:1").returncode == 0
    server.files["/m.sig"] = File(b"{" * 100_000)
    assert store("pull", "test:1").returncode == 1 and store.installed() == {}


def test_signatures_of_other_kinds_count_as_none(store, server, signed):  # noqa: F811
    (signed / "m.gguf.sig").write_text("-----BEGIN PGP SIGNATURE-----\n")
    done = store("pull", "own:1", "--from", signed / "m.gguf")  # the policy has no rule for it
    assert done.returncode == 0 and "m.gguf.sig is no signature" in done.stderr
    done = store("pull", "test:2", "--from", signed / "m.gguf")
    assert done.returncode == 1 and "acme may sign it" in done.stderr
    (signed / "m.gguf.sig").write_bytes((signed / "other.sig").read_bytes())
    done = store("pull", "own:2", "--from", signed / "m.gguf")
    assert done.returncode == 0 and "that the trust policy does not have" in done.stderr


def test_files_by_path(store, signed):  # noqa: F811
    path = str(signed / "m.gguf")
    assert "trust policy" not in store("tokenize", "-m", path, "x").stderr
    assert store("trust", "set", "--files", "warn").returncode == 0
    assert "warning" in store("tokenize", "-m", path, "x").stderr
    assert store("trust", "set", "--files", "refuse").returncode == 0
    assert "the trust policy refuses models that are given by a path" in store("tokenize", "-m", path, "x").stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "rule": []}', "{" * 5000, "\0", "x" * 2_000_000],
                         ids=lambda v: repr(v)[:30])
def test_broken_policy_refuses_everything(store, server, signed, text):  # noqa: F811
    assert store("pull", "test:1", "--signature", signed / "good.sig").returncode == 0
    (store.home / "trust.json").write_text(text)
    for args in (["tokenize", "-m", "test:1", "x"], ["tokenize", "-m", str(signed / "m.gguf"), "x"], ["pull", "test:1"],
                 ["trust", "check"], ["trust", "list"], ["trust", "set", "--files", "allow"]):
        done = store(*args, timeout=20)
        assert done.returncode in (1, 2) and "trust.json" in done.stderr, (args, done.stderr)
    assert (store.home / "trust.json").read_text() == text


def test_pipes_do_not_hang(store, server, signed, keys):  # noqa: F811
    assert store("pull", "test:1", "--signature", signed / "good.sig").returncode == 0
    os.mkfifo(signed / "m.gguf.sig")
    os.mkfifo(signed / "pipe")
    done = store("pull", "own:1", "--from", signed / "m.gguf", timeout=20)
    assert done.returncode == 0 and "no regular file" in done.stderr
    assert store("pull", "test:1", "--signature", signed / "pipe", timeout=20).returncode == 1
    for model_path in (signed / "pipe", signed):
        done = store("verify", model_path, "--signature", signed / "good.sig", "--key", keys[0][1], timeout=20)
        assert done.returncode == 1
    (record,) = (store.home / "signatures").iterdir()
    for path in (record, store.home / "trust.json"):
        path.unlink()
        os.mkfifo(path)
        assert "no regular file" in store("tokenize", "-m", "test:1", "x", timeout=20).stderr


def test_broken_record_of_signatures(store, server, signed):  # noqa: F811
    assert store("pull", "test:1", "--signature", signed / "good.sig").returncode == 0
    (record,) = (store.home / "signatures").iterdir()
    good = record.read_text()
    for text in ("", "{}", '{"version": 1, "signatures": [1]}', good[:-20], good.replace("acme", "x")[:100] + "\0"):
        record.write_text(text)
        assert "cannot be checked" in load(store)
    for bit in range(0, 8 * len(good), 97):  # whatever is changed in it, it is good or it is not
        data = bytearray(good.encode())
        data[bit // 8] ^= 1 << bit % 8
        record.write_bytes(data)
        done = store("trust", "check", "--json", timeout=20)
        assert done.returncode in (0, 1)
        if done.returncode == 0:
            assert json.loads(done.stdout)[0]["signer"] == "acme"


def test_trust_command(store, signed, keys):  # noqa: F811
    listed = json.loads(store("trust", "list", "--json").stdout)
    assert listed["policy"] and [k["name"] for k in listed["keys"]] == ["acme"]
    assert listed["rules"] == [{"models": ["test*"], "keys": ["acme"], "unsigned": "refuse"}]
    cases = [
        (["trust", "what"], "no 'trust what'"),
        (["trust", "add-key", "acme", keys[1][1]], "already"),
        (["trust", "add-key", "b"], "a name and a key"),
        (["trust", "add-key", "b", keys[1][0]], "public key"),
        (["trust", "add-key", "b", "gone"], "gone"),
        (["trust", "add-rule", "*", "--key", "nobody"], "nobody"),
        (["trust", "add-rule", "*", "--unsigned", "no"], "allow, warn or refuse"),
        (["trust", "add-rule", "test*"], "already"),
        (["trust", "remove-key", "acme"], "remove the rule first"),
        (["trust", "remove-rule", "7"], "there are 1 rules"),
        (["trust", "set"], "--unsigned"),
        (["trust", "check", "nothing:1"], "nothing"),
    ]
    before = (store.home / "trust.json").read_text()
    for args, words in cases:
        done = store(*args)
        assert done.returncode != 0 and words in done.stderr, (args, done.stderr)
    assert (store.home / "trust.json").read_text() == before
    assert "unsigned: refuse" in store("trust").stdout
    assert store("trust", "remove-rule", "1").returncode == 0
    assert store("trust", "remove-key", "acme").returncode == 0


def test_hash_at_load(store, server, signed):  # noqa: F811
    assert store("pull", "test:1", "--signature", signed / "good.sig").returncode == 0
    (blob,) = (store.home / "blobs").iterdir()
    os.chmod(blob, 0o644)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    assert "changed" not in load(store)  # the size is right
    policy = json.loads((store.home / "trust.json").read_text())
    (store.home / "trust.json").write_text(json.dumps({**policy, "hash_at_load": True}))
    assert "is not loaded" in load(store) and "its SHA-256 is" in load(store)
    assert store("trust", "set", "--files", "warn").returncode == 0  # what is not asked to change stays
    assert json.loads((store.home / "trust.json").read_text())["hash_at_load"] is True


def test_the_server_asks_the_policy(hearth_bin, keys, hearth, tmp_path):  # noqa: F811
    """Before it loads a model by its name; a warning is a line of the log, once for each time it is loaded."""
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home or not os.path.isdir(f"{home}/manifests/smollm2"):
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    own = tmp_path / "own"
    own.mkdir()
    for part in ("blobs", "manifests"):
        (own / part).symlink_to(f"{home}/{part}")
    env = {"HEARTH_HOME": str(own)}
    assert hearth("trust", "add-key", "acme", keys[0][1], "--models", "smollm2", env=env).returncode == 0
    server = Server(hearth_bin, own)
    try:
        ask = {"model": "smollm2:135m", "prompt": "a", "max_tokens": 1}
        code, body = server.post("/v1/completions", ask)
        assert code >= 400 and "trust policy refuses smollm2:135m" in json.dumps(body), body
        assert hearth("sign", "smollm2:135m", "--key", keys[0][0], env=env).returncode == 0
        code, body = server.post("/v1/completions", ask)
        assert code == 200, body
        assert server.post("/api/generate", {"model": "smollm2:135m", "keep_alive": 0})[0] == 200
        policy = json.loads((own / "trust.json").read_text())
        policy["rules"] = [{"models": ["*"], "keys": ["other"], "unsigned": "warn"}]
        policy["keys"]["other"] = keys[1][1].read_text()
        (own / "trust.json").write_text(json.dumps(policy))
        for _ in range(3):
            assert server.post("/v1/completions", ask)[0] == 200
    finally:
        log = server.stop()
    warnings = [json.loads(line) for line in log.splitlines() if '"msg":"trust"' in line]
    assert len(warnings) == 1 and "not by other" in warnings[0]["text"], log[-2000:]
