"""Folders that make may remove again: those it made itself, which say so. ``python -m xlt.folders`` is what make calls."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from xlt.errors import InputError, exit_status
from xlt.files import SOURCE_ROOT, write_atomic
from xlt.names import model_name, one_of

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


def main() -> None:
    """Do what the command line asks for. Python alone is enough: make asks before there is an environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    name = commands.add_parser("name", help="print the name of a model in the paths of caches and results")
    name.add_argument("model", help="MODEL: a name of configs/models, or a folder with a checkpoint")
    make = commands.add_parser(
        "make", help="make a folder and say in it that it is ours; one with other content is not"
    )
    make.add_argument("folder", type=Path)
    remove = commands.add_parser("remove", help="remove a folder that was made so")
    remove.add_argument("folder", type=Path)
    remove.add_argument("--below", type=Path, required=True, help="the folder that it must lie in, or be")
    nearest = commands.add_parser("nearest", help="print what to say of a goal that make does not know")
    nearest.add_argument("goal")
    nearest.add_argument("known", nargs="+")
    options = parser.parse_args()
    if options.command == "nearest":
        print(f"goal: {one_of(options.known, options.goal)}")
    elif options.command == "name":
        print(model_name(options.model, SOURCE_ROOT / "configs"))
    elif options.command == "make":
        make_own(options.folder)
    else:
        remove_own(options.folder, options.below)


if __name__ == "__main__":
    sys.exit(exit_status(main))
