"""Folders that make may remove again: those it made itself, which say so."""

from __future__ import annotations

import shutil
from pathlib import Path

from xlt.artifacts import write_atomic
from xlt.errors import InputError

OWN = ".made-by-xlt"
"""The file that says so."""


def make_own(folder: Path, sign: str | None = None) -> None:
    """Make a folder and say that it is ours; a folder that is there and holds something stays the user's.

    ``sign``: a file that only this project writes; a folder that has it is ours too.
    """
    ours = not folder.exists() or not any(folder.iterdir()) or (sign is not None and (folder / sign).is_file())
    if ours and not (folder / OWN).exists():
        write_atomic(folder / OWN, "Made by xlt; make clean, clean-cache or clean-all may remove this folder.\n")


def remove_own(folder: Path, below: Path) -> None:
    """Remove a folder that ``make_own`` made, and a link that leads to it; nothing where there is none.

    Raises:
        InputError: it is not ours, or does not lie below ``below`` (``below`` itself does).
    """
    if not folder.exists():
        return
    place = folder.resolve()
    if not place.is_relative_to(below.resolve()):
        raise InputError(f"expected a folder below {below}; nothing was removed", folder)
    if not (place / OWN).is_file():
        raise InputError(f"expected a folder that xlt made (it has no {OWN}); remove it yourself if it may go", folder)
    shutil.rmtree(place)
    if folder.is_symlink():
        folder.unlink()
