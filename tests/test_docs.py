"""The pages of docs: few, each for a reader that it names, and every link and every mention of a page leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "REPRODUCE.md", ROOT / "SECURITY.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
MENTION = re.compile(r"docs/[a-zA-Z/.-]+\.md")
SUFFIXES = {"", ".py", ".yaml", ".md", ".toml", ".cff"}
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_few_pages_and_each_names_its_reader() -> None:
    assert 0 < len(PAGES) <= 14
    readers = {page.name: page.read_text(encoding="utf-8").splitlines()[2] for page in PAGES}
    assert [name for name, line in readers.items() if not line.startswith("*For ") and name != "babel.md"] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target}#{anchor}"


def test_every_mention_of_a_page_is_of_one_that_exists() -> None:
    folders = [
        path
        for name in ("src", "reproduce", "configs", "tests", "docs", "docker")
        for path in (ROOT / name).rglob("*.*")
    ]
    texts = [
        path for path in (*folders, *ROOT.glob("*.*"), ROOT / "Makefile") if path.is_file() and path.suffix in SUFFIXES
    ]
    named = {name for path in texts for name in MENTION.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > len(PAGES) / 2
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_walks_name_functions_that_exist() -> None:
    walks = (
        (ROOT / "docs" / "architecture.md")
        .read_text(encoding="utf-8")
        .partition("## Three walks")[2]
        .partition("\n## ")[0]
    )
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "xlt").rglob("*.py")]
    defined = {name for text in sources for name in re.findall(r"^ *(?:def|class) (\w+)", text, re.MULTILINE)}
    named = set(re.findall(r"`(?:\w+\.)?(\w+)`", re.sub(r"`\w+\.(?:json|mk|safetensors|yaml)`", "", walks)))
    assert len(named) > 40
    assert named - defined == set()
