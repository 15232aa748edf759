"""Registries, the hub's repositories and other stores as sources."""

import json

import pytest

from store_kit import File, Store, assert_installed, model, server, sha256, store  # noqa: F401

MODEL = "application/vnd.ollama.image.model"


def manifest(digest, size, kind=MODEL):
    return json.dumps({"schemaVersion": 2, "layers": [
        {"mediaType": kind, "digest": digest, "size": size}]}).encode()


def publish(server, data, repo="library/test", **change):
    digest = sha256(data)
    listed = {"digest": "sha256:" + digest, "size": len(data), **change}
    server.files[f"/v2/{repo}/manifests/1"] = File(manifest(**listed))
    server.files[f"/v2/{repo}/blobs/sha256:{digest}"] = File(data)


def test_ollama_and_oci(store, server, model):
    publish(server, model)
    env = {"HEARTH_OLLAMA_REGISTRY": server.url}
    done = store("pull", "ollama://test:1", env=env)
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
    done = store("pull", f"oci://{server.url[7:]}/library/test:1", "--name", "other:1")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model, "other:1")


def test_hub_repository(store, server, model):
    listing = [{"type": "file", "path": f"m-{q}.gguf", "size": len(model),
                "lfs": {"oid": sha256(model), "size": len(model)}} for q in ("Q4_0", "Q8_0")]
    server.files["/api/models/org/m/tree/main?recursive=true"] = File(json.dumps(listing).encode())
    server.files["/org/m/resolve/main/m-Q8_0.gguf"] = File(model)
    done = store("pull", "hf://org/m:Q8_0")
    assert done.returncode == 0, done.stderr
    assert_installed(store, model, "m:q8_0")
    done = store("pull", "hf://org/m:Q2_K")
    assert done.returncode == 1 and "m-Q4_0.gguf" in done.stderr


@pytest.mark.parametrize("change", [
    {"digest": "sha256:../../../../etc/passwd"}, {"digest": "sha256:" + "A" * 64},
    {"digest": "md5:" + "a" * 32}, {"digest": ""}, {"size": -1}, {"size": 0}, {"size": 1 << 62},
    {"size": 17}, {"digest": "sha256:" + "0" * 64},
])
def test_hostile_manifests(store, server, model, change):
    publish(server, model, **change)
    done = store("pull", "ollama://test:1", env={"HEARTH_OLLAMA_REGISTRY": server.url}, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith(("hearth:", "pulling", "the "))
    assert store.installed() == {} and store.blobs() == []


@pytest.mark.parametrize("name", ["ollama://../x:1", "ollama://a/../b:1", "ollama://x@sha256:zz",
                                  "oci://x", "hf://a", "hf://../..", "hf://a/b:../q"])
def test_hostile_names(store, server, name):
    done = store("pull", name)
    assert done.returncode != 0 and server.requests == []


def test_redirect_to_link_local_is_refused(store, server, model):
    publish(server, model)
    server.files[f"/v2/library/test/blobs/sha256:{sha256(model)}"].redirect = "https://169.254.169.254/m"
    done = store("pull", "ollama://test:1", env={"HEARTH_OLLAMA_REGISTRY": server.url})
    assert done.returncode == 1 and "not followed" in done.stderr


def test_another_store(store, server, model, tmp_path):
    there = tmp_path / "ollama"
    folder = there / "manifests/registry.ollama.ai/library/test"
    folder.mkdir(parents=True)
    (there / "blobs").mkdir()
    (there / f"blobs/sha256-{sha256(model)}").write_bytes(model)
    (folder / "1").write_bytes(manifest("sha256:" + sha256(model), len(model)))
    done = store("pull", "test:1", "--from", there)
    assert done.returncode == 0, done.stderr
    assert_installed(store, model)
