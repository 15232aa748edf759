"""llama.cpp's /slots, /lora-adapters, and Ollama's num_ctx."""

import json
import os
import random

import pytest
from conftest import ROOT
from serve_kit import Server

MODEL = ROOT / "tests/golden/tiny/qwen2.gguf"
OTHER = ROOT / "tests/golden/tiny/llama-gqa.gguf"
PROMPT = " ".join(str(i) for i in range(40))
ASK = {"prompt": PROMPT, "n_predict": 8, "temperature": 0}


@pytest.fixture
def start(hearth_bin, tmp_path):
    running = []

    def run(*args, model=MODEL):
        running.append(Server(hearth_bin, tmp_path, "--log", "none", *args, model=model))
        return running[-1]

    yield run
    for s in running:
        s.stop()


def slot(server, action, name=None, number=0):
    return server.post(f"/slots/{number}?action={action}", {"filename": name} if name else {})


def test_beginnings_are_kept_in_a_file(start, tmp_path):
    folder = tmp_path / "slots"
    first = start("--slot-save-path", folder)
    _, before = first.post("/completion", ASK)
    assert before["timings"]["cache_n"] == 0
    status, saved = slot(first, "save", "mine.bin")
    assert status == 200, saved
    kept = folder / "mine.bin"
    assert saved["n_saved"] >= 32 and saved["n_written"] == kept.stat().st_size
    assert kept.stat().st_mode & 0o777 == 0o600 and len(os.listdir(folder)) == 1
    second = start("--slot-save-path", folder)
    status, restored = slot(second, "restore", "mine.bin", 5)
    assert status == 200, restored
    assert restored["n_restored"] == saved["n_saved"] and restored["id_slot"] == 5
    _, after = second.post("/completion", ASK)
    assert after["timings"]["cache_n"] >= 32
    assert after["content"] == before["content"]
    assert slot(second, "restore", "mine.bin")[1]["n_restored"] == 0  # all is there
    assert slot(second, "erase")[1]["n_erased"] >= 32
    assert second.post("/completion", ASK)[1]["timings"]["cache_n"] == 0
    other = start("--slot-save-path", folder, model=OTHER)
    status, refused = slot(other, "restore", "mine.bin")
    assert status == 400 and "another model" in refused["error"]["message"]


def test_files_that_were_changed_are_refused(start, tmp_path):
    folder = tmp_path / "slots"
    s = start("--slot-save-path", folder)
    s.post("/completion", ASK)
    slot(s, "save", "good")
    slot(s, "erase")
    good = (folder / "good").read_bytes()
    rng = random.Random(1)
    bad = [b"", b"x" * 100, good[:-1], good + b"\0", good[:len(good) // 2], good * 2]
    # Counts that would overflow a product or a buffer, in each 8 bytes of the head.
    for at in range(0, 192, 8):
        for value in (0, 1, 2**31, 2**32 - 1, 2**61, 2**63 - 1, 2**64 - 1):
            bad.append(good[:at] + value.to_bytes(8, "little") + good[at + 8:])
    for _ in range(60):
        at = rng.randrange(len(good))
        bad.append(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:])
    for data in bad:
        if data == good:
            continue
        (folder / "bad").write_bytes(data)
        status, answer = slot(s, "restore", "bad")
        assert status == 400, (answer, len(data))
    assert s.post("/completion", ASK)[1]["timings"]["cache_n"] == 0  # nothing of them was taken
    assert slot(s, "restore", "good")[0] == 200


def test_only_plain_names_inside_the_folder(start, tmp_path):
    folder = tmp_path / "slots"
    s = start("--slot-save-path", folder)
    s.post("/completion", ASK)
    (tmp_path / "outside").write_text("x")
    (folder / "link").symlink_to(tmp_path / "outside")
    for name in ("../outside", "/etc/passwd", "..", ".", ".hidden", "a/b", "", "a\0b", "x" * 129, "ü", "a b", 7, None):
        for action in ("save", "restore"):
            status, answer = s.post(f"/slots/0?action={action}", {"filename": name})
            assert status == 400 and answer["error"]["message"], name
    assert slot(s, "restore", "link")[0] >= 400
    assert slot(s, "restore", "nonesuch")[0] == 400
    assert slot(s, "save", "link")[0] == 200  # in the link's place, not through it
    assert (tmp_path / "outside").read_text() == "x" and not (folder / "link").is_symlink()
    for number in ("64", "-1", "x", "99999999999", "1/2"):
        assert slot(s, "erase", number=number)[0] == 400
    for query in ("", "?action=", "?action=eat", "?action=save&x=1"):
        assert s.post(f"/slots/0{query}", {})[0] == 400
    assert s.request("POST", "/slots/0?action=erase", b"[1")[0] == 400
    plain = start()
    assert slot(plain, "save", "a")[0] == 501 and slot(plain, "erase")[0] == 200


def test_adapters(start):
    s = start()
    assert json.loads(s.get("/lora-adapters")[2]) == []
    assert s.post("/lora-adapters", [])[0] == 200
    for body in ([{"id": 0, "scale": 1}], [{"scale": 1}], [7], {}, {"id": 0}):
        status, answer = s.post("/lora-adapters", body)
        assert status == 400 and answer["error"]["message"]
    assert s.request("POST", "/lora-adapters", b"")[0] == 400


def test_num_ctx_limits_prompt_and_answer(start):
    s = start()
    ask = {"model": MODEL.name, "prompt": "a b c d", "raw": True, "stream": False}
    _, answer = s.post("/api/generate", {**ask, "options": {"temperature": 0, "num_ctx": 30}})
    assert answer["prompt_eval_count"] + answer["eval_count"] <= 30
    assert answer["done_reason"] in ("length", "stop")
    status, refused = s.post("/api/generate", {**ask, "prompt": PROMPT, "options": {"num_ctx": 30}})
    assert status == 400 and "30" in refused["error"] and "nothing was cut" in refused["error"]
    status, _ = s.post("/api/generate", {**ask, "options": {"num_ctx": 10**6, "num_predict": 2}})
    assert status == 200
    assert s.post("/api/generate", {**ask, "options": {"num_ctx": 0}})[0] == 400
