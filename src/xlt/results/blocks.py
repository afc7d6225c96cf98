"""Blocks of a page that are written by ``make docs``, between ``<!-- recorded: NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from xlt.errors import InputError
from xlt.names import one_of

BEGIN = re.compile(r"<!-- recorded: ([\w-]+) -->\n")
BLOCK = re.compile(r"(<!-- recorded: ([\w-]+) -->\n)((?:(?!<!-- recorded: ).)*?)(<!-- end -->)", re.DOTALL)


def with_blocks(text: str, blocks: Mapping[str, str], path: Path) -> str:
    """The page with the text of each of its blocks, by name, in place of what stands there.

    Args:
        path: the page, for the message.

    Raises:
        InputError: the page has no block, one without its end, or one of a name that is not known.
    """
    begun, whole = BEGIN.findall(text), [name for _, name, _, _ in BLOCK.findall(text)]
    if not begun:
        raise InputError("expected the lines <!-- recorded: NAME --> and <!-- end -->", path)
    if begun != whole:
        raise InputError(
            f"expected <!-- end --> after <!-- recorded: {(set(begun) - set(whole) or begun).pop()} -->", path
        )
    if unknown := [name for name in whole if name not in blocks]:
        raise InputError(f"recorded: {one_of(blocks, unknown[0])}", path)
    return BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found[2]].strip()}\n\n{found[4]}", text)
