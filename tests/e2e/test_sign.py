"""hearth sign and hearth verify --signature: agreement with the PyPI package model-signing and with minisign."""

import json
import random
import shutil
import subprocess

import pytest
from store_kit import (  # noqa: F401  (some are fixtures)
    File, entry, gguf_bytes, model, pip, server, sha256, store,
)
from trust_kit import HERE, keys, make_model, minisign, peer  # noqa: F401

MODELS = 50
GOLDEN = HERE.parent / "golden/trust"


def flip(path, seed):
    data = bytearray(path.read_bytes())
    at = random.Random(seed).randrange(8 * len(data))
    data[at // 8] ^= 1 << at % 8
    path.write_bytes(data)


def test_50_models_both_ways(hearth, tmp_path, keys, peer):  # noqa: F811
    """Each signed by each and checked by the other; and one changed bit, which the other must refuse as well."""
    jobs, ours, theirs = [], [], []
    for i in range(MODELS):
        folder = make_model(tmp_path / f"m{i}", i)
        secret, public = keys[i % 4]
        ours.append(tmp_path / f"{i}.ours")
        theirs.append(tmp_path / f"{i}.theirs")
        done = hearth("sign", folder, "--key", secret, "--signature", ours[-1])
        assert done.returncode == 0, done.stderr
        jobs.append({"do": "verify", "model": folder, "key": public, "signature": ours[-1]})
        jobs.append({"do": "sign", "model": folder, "key": secret, "signature": theirs[-1]})
    assert peer(jobs) == [True] * (2 * MODELS)
    for i in range(MODELS):
        done = hearth("verify", tmp_path / f"m{i}", "--signature", theirs[i], "--key", keys[i % 4][1], "--json")
        told = json.loads(done.stdout)
        assert done.returncode == 0 and told["good"] and told["says"] == f"m{i}", done.stderr
        assert told["files"] == 2 + i % 8
    jobs = []
    for i in range(MODELS):
        files = sorted(p for p in (tmp_path / f"m{i}").rglob("*") if p.is_file() and ".git" not in str(p) and p.stat().st_size)
        flip(files[i % len(files)], i)
        jobs.append({"do": "verify", "model": tmp_path / f"m{i}", "key": keys[i % 4][1], "signature": ours[i]})
        assert hearth("verify", tmp_path / f"m{i}", "--signature", theirs[i], "--key", keys[i % 4][1]).returncode == 1
    assert all(isinstance(answer, str) and "Hash mismatch" in answer for answer in peer(jobs))


def test_single_files_links_and_ignored_paths_agree(hearth, tmp_path, keys, peer):  # noqa: F811
    folder = make_model(tmp_path / "m", 7)
    secret, public = keys[1]
    one, sigs = folder / "config.json", tmp_path / "sigs"
    sigs.mkdir()
    (folder / "link").symlink_to("config.json")
    assert hearth("sign", one, "--key", secret, "--signature", sigs / "one").returncode == 0
    refused = hearth("sign", folder, "--key", secret, "--signature", sigs / "links")
    assert refused.returncode == 1 and "symbolic link" in refused.stderr
    assert hearth("sign", folder, "--key", secret, "--signature", sigs / "links", "--allow-symlinks").returncode == 0
    assert hearth("sign", folder, "--key", secret, "--signature", folder / "inside.sig", "--allow-symlinks",
                  "--ignore", "a/b", "--ignore", "zero").returncode == 0
    answers = peer([
        {"do": "verify", "model": one, "key": public, "signature": sigs / "one"},
        {"do": "verify", "model": folder, "key": public, "signature": sigs / "links", "links": True, "ignore": ["inside.sig"]},
        {"do": "verify", "model": folder, "key": public, "signature": folder / "inside.sig", "links": True},
        {"do": "sign", "model": one, "key": secret, "signature": sigs / "one2"},
        {"do": "sign", "model": folder, "key": secret, "signature": sigs / "links2", "links": True, "ignore": ["inside.sig"]},
    ])
    assert answers == [True] * 5
    assert hearth("verify", one, "--signature", sigs / "one2", "--key", public).returncode == 0
    assert hearth("verify", folder, "--signature", sigs / "links2", "--key", public, "--allow-symlinks").returncode == 0
    refused = hearth("verify", folder, "--signature", sigs / "links2", "--key", public)
    assert refused.returncode == 1 and "--allow-symlinks" in refused.stderr
    (folder / "a/b/weights.bin").write_bytes(b"other")  # left out when it was signed
    assert hearth("verify", folder, "--signature", folder / "inside.sig", "--key", public, "--allow-symlinks").returncode == 0


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_signatures_of_model_signing(hearth, tmp_path, curve):
    """Made by the package, version 1.1.1 (tests/golden/trust/make.py): agreement that needs no package here."""
    case = GOLDEN / curve
    shutil.copytree(GOLDEN / "model", tmp_path / "model")
    args = ("--signature", case / "model.sig", "--key", case / "key.pub")
    assert hearth("verify", tmp_path / "model", *args).returncode == 0
    other = GOLDEN / ("P-384" if curve == "P-256" else "P-256")
    refused = hearth("verify", tmp_path / "model", "--signature", case / "model.sig", "--key", other / "key.pub")
    assert refused.returncode == 1 and "another key" in refused.stderr
    (tmp_path / "model/new").write_text("x")
    refused = hearth("verify", tmp_path / "model", *args)
    assert refused.returncode == 1 and "1 not signed (new)" in refused.stderr
    (tmp_path / "model/new").rename(tmp_path / "model/config.json")
    refused = hearth("verify", tmp_path / "model", *args, "--json")
    told = json.loads(refused.stdout)
    assert not told["good"] and "1 changed (config.json)" in told["problem"]


def test_minisign_both_ways(hearth, tmp_path, minisign):  # noqa: F811
    secret, public = minisign.folder / "k.key", minisign.folder / "k.pub"
    for i, size in enumerate([0, 1, 127, 128, 129, 100_000, 3_000_000]):
        f = tmp_path / f"f{i}"
        f.write_bytes(random.Random(i).randbytes(size))
        assert hearth("sign", f, "--key", secret).returncode == 0
        done = minisign("-V", "-p", public, "-m", f, "-x", f"{f}.minisig")
        assert done.returncode == 0 and "comment signature verified" in done.stdout, done.stderr
        for kind in ([], ["-l"]):
            made = minisign("-S", *kind, "-s", secret, "-m", f, "-x", tmp_path / "sig", "-t", f"words {i}")
            assert made.returncode == 0, made.stderr
            done = hearth("verify", f, "--signature", tmp_path / "sig", "--key", public)
            assert done.returncode == 0 and f'"words {i}"' in done.stdout, done.stderr
            changed = tmp_path / "changed"
            changed.write_bytes(f.read_bytes() + b"x")
            assert hearth("verify", changed, "--signature", tmp_path / "sig", "--key", public).returncode == 1
    text = (tmp_path / "sig").read_text()
    (tmp_path / "sig").write_text(text.replace("words 6", "words 7"))
    refused = hearth("verify", tmp_path / "f6", "--signature", tmp_path / "sig", "--key", public)
    assert refused.returncode == 1 and "trusted comment" in refused.stderr


def test_encrypted_keys(hearth, tmp_path, keys):  # noqa: F811
    f = tmp_path / "f"
    f.write_text("x")
    (tmp_path / "right").write_text("secret words\n")
    (tmp_path / "wrong").write_text("no\n")
    subprocess.run(["openssl", "pkey", "-in", keys[0][0], "-aes256", "-passout", "pass:secret words", "-out", tmp_path / "k.pem"],
                   check=True)
    assert hearth("sign", f, "--key", tmp_path / "k.pem", "--password-file", tmp_path / "right").returncode == 0
    assert hearth("verify", f, "--signature", tmp_path / "f.sig", "--key", keys[0][1]).returncode == 0
    refused = hearth("sign", f, "--key", tmp_path / "k.pem", "--password-file", tmp_path / "wrong")
    assert refused.returncode == 2 and "password does not open" in refused.stderr
    refused = hearth("sign", f, "--key", tmp_path / "k.pem", start_new_session=True)  # no terminal
    assert refused.returncode == 2 and "--password-file" in refused.stderr


def test_what_is_said_of_wrong_uses(hearth, tmp_path, keys):  # noqa: F811
    (tmp_path / "f").write_text("x")
    (tmp_path / "empty").mkdir()
    cases = [
        (["sign", "./f"], 2, "--key FILE"),
        (["sign", "./f", "--key", keys[0][1]], 1, "no private key"),
        (["sign", "./gone", "--key", keys[0][0]], 1, "cannot open"),
        (["sign", "./empty", "--key", keys[0][0]], 2, "no file to sign"),
        (["sign", "./f", "--key", keys[0][0], "--ignore", "../f"], 2, "no path inside"),
        (["sign", "./f", "--key", keys[0][0], "--comment", "x"], 2, "minisign"),
        (["verify", "./f", "--signature", "f"], 1, "no signature"),
        (["verify", "./f", "--signature", "gone"], 1, "gone"),
        (["verify", "--signature", "f"], 2, "which model"),
        (["verify", "--key", "f"], 2, "--signature"),
    ]
    for args, code, words in cases:
        done = hearth(*args, env={"HEARTH_HOME": str(tmp_path / "home")})
        assert done.returncode == code and words in done.stderr, (args, done.stderr)
    assert hearth("sign", "./f", "--key", keys[0][0]).returncode == 0
    done = hearth("verify", "./f", "--signature", "f.sig", env={"HEARTH_HOME": str(tmp_path / "home")})
    assert done.returncode == 1 and "hearth trust add-key" in done.stderr
