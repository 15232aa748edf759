"""What the documents point at exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_files_exist(page):
    """Paths in code spans, but for those with a NAME to fill in and those of the made-up command."""
    for path in re.findall(r"`((?:src|tests|tools|docs|data|examples)/[\w./-]+)`", page.read_text()):
        if not re.search("NAME|MODULE|TARGET|_count", path):
            assert (ROOT / path).exists(), path


def test_pre_tokenizers_are_listed():
    """Whoever is asked for --pre NAME finds the names."""
    code = (ROOT / "src/text/pretok.c").read_text()
    names = re.findall(r'^    \{"([^"]+)",\s*LIST', code, flags=re.M)
    listed = (ROOT / "docs/tokenizers.md").read_text()
    assert len(names) > 50
    assert [n for n in names if f"`{n}`" not in listed] == []
