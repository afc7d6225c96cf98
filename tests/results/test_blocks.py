"""Blocks of a page are replaced by name, and a damaged mark is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlt.errors import InputError
from xlt.results.blocks import with_blocks

PAGE = Path("page.md")
TEXT = "a\n<!-- recorded: one -->\nold\n<!-- end -->\nb\n<!-- recorded: two -->\n<!-- end -->\nc\n"


def test_every_block_gets_its_text_and_the_rest_stays() -> None:
    new = with_blocks(TEXT, {"one": "1\n", "two": r"\2", "three": "3"}, PAGE)
    one = "<!-- recorded: one -->\n\n1\n\n<!-- end -->"
    two = "<!-- recorded: two -->\n\n\\2\n\n<!-- end -->"
    assert new == f"a\n{one}\nb\n{two}\nc\n"
    assert with_blocks(new, {"one": "1", "two": r"\2"}, PAGE) == new


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no mark", "expected the lines <!-- recorded: NAME --> and <!-- end -->"),
        (TEXT.replace("old\n<!-- end -->\n", "old\n"), "expected <!-- end --> after <!-- recorded: one -->"),
        (TEXT.removesuffix("<!-- end -->\nc\n"), "expected <!-- end --> after <!-- recorded: two -->"),
        (TEXT.replace("two", "twe"), "recorded: expected one of two, one, got twe"),
    ],
)
def test_damaged_marks_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        with_blocks(text, {"one": "", "two": ""}, PAGE)
    assert "page.md" in str(caught.value)
