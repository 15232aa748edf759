"""hearth stats: figures of a file that editors' front ends have filled, as tables and as JSON."""

import json
import sqlite3
import time

import pytest

COLUMNS = "at, language, model, latency_ms, cached, chars, lines, accepted_chars, part, dismissed, kept"


@pytest.fixture
def filled(hearth, tmp_path):
    """50 in Python, of which 20 were accepted whole and kept, and 10 in C that were dismissed."""
    env = {"HEARTH_HOME": str(tmp_path / "home")}
    assert hearth("stats", "--json", env=env).returncode == 0
    path = tmp_path / "home/stats.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    now = time.time()
    rows = [(now - 60 * i, "python", "m:1", 100 + i, i % 2, 40, 1, *((40, 2, 0, 1) if i < 20 else (0, None, 0, None)))
            for i in range(50)]
    rows += [(now - 86400 * 2, "c", "m:2", 700, 0, 10, 1, 0, None, 1, None)] * 10
    db = sqlite3.connect(path)
    db.executemany(f"INSERT INTO shown ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
    db.commit()
    db.close()
    return env


def test_nothing_yet(hearth, tmp_path):
    env = {"HEARTH_HOME": str(tmp_path / "home")}
    done = hearth("stats", env=env)
    assert done.returncode == 0 and "Nothing has been counted" in done.stderr and done.stdout == ""
    assert not (tmp_path / "home").exists(), "looking makes no file"


def test_tables_and_bars(hearth, filled):
    done = hearth("stats", env=filled)
    assert done.returncode == 0 and done.stderr == ""
    text = done.stdout
    assert "shown in the last 30 days: 60" in text
    assert "33.3 %   20 whole, 0 by lines, 0 by words" in text
    assert "characters saved  800 of 2100 shown" in text
    python = next(line for line in text.splitlines() if line.startswith("  python"))
    assert "40.0 %" in python and python.count("█") == 12  # 40 % of 30
    assert max(map(len, text.splitlines())) <= 110
    plain = hearth("stats", env={**filled, "LC_ALL": "C"}).stdout
    assert plain.isascii() and "#" * 12 in plain


def test_json_and_days(hearth, filled):
    figures = json.loads(hearth("stats", "--json", env=filled).stdout)
    assert figures["all"]["shown"] == 60 and figures["all"]["acceptance_rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["all"]["dismissed"] == 10 and figures["all"]["kept"] == figures["all"]["kept_known"] == 20
    assert [r["key"] for r in figures["by_language"]] == ["python", "c"]
    assert figures["by_language"][0]["latency_p50_ms"] == 124 and figures["by_language"][0]["latency_p95_ms"] == 147
    assert [r["key"] for r in figures["by_latency"]] == ["100-200", "400-800"]
    assert len(figures["by_day"]) >= 2
    short = json.loads(hearth("stats", "--json", "--days", "1", env=filled).stdout)
    assert short["all"]["shown"] == 50


def test_forget(hearth, filled, tmp_path):
    assert hearth("stats", "--forget", env=filled).returncode == 0
    assert json.loads(hearth("stats", "--json", env=filled).stdout)["all"]["shown"] == 0
    assert b"python" not in (tmp_path / "home/stats.sqlite").read_bytes()


def test_another_file_is_left_alone(hearth, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    db = sqlite3.connect(home / "stats.sqlite")
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    done = hearth("stats", env={"HEARTH_HOME": str(home)})
    assert done.returncode == 1 and "not of Hearth's statistics" in done.stderr
