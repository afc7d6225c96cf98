#!/usr/bin/env python3
"""What make asks about folders: the name of a model, and to make or remove a folder that is ours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from xlt.errors import exit_status
from xlt.folders import make_own, remove_own
from xlt.names import model_name


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
    options = parser.parse_args()
    if options.command == "name":
        print(model_name(options.model, ROOT / "configs"))
    elif options.command == "make":
        make_own(options.folder)
    else:
        remove_own(options.folder, options.below)


if __name__ == "__main__":
    sys.exit(exit_status(main))
