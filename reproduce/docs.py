#!/usr/bin/env python3
"""Write REPRODUCE.md, and the recorded figures in README.md and docs, again from configs and the planner's FLOP model."""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.errors import exit_status

# In place of this script's own folder, where tabulate.py would hide the package tabulate; the folder goes to the end.
from xlt.files import SOURCE_ROOT, write_atomic
from xlt.results.blocks import with_blocks

PAGES = ("README.md", "docs/babel.md", "docs/findings.md")
"""The pages with blocks of recorded figures."""


def pages(root: Path) -> dict[str, str]:
    """The text of every page that is written here, by its path below ``root``.

    Raises:
        InputError: a config is damaged, or a page lacks a mark.
    """
    from xlt.planning.reproduce_page import page  # scipy: slow import
    from xlt.results.recorded_tables import blocks

    recorded = blocks(root / "configs")
    texts = {name: (root / name).read_text(encoding="utf-8") for name in PAGES}
    return {"REPRODUCE.md": page(root)} | {n: with_blocks(text, recorded, root / n) for n, text in texts.items()}


def main() -> None:
    """Write the pages."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, text in pages(SOURCE_ROOT).items():
        write_atomic(SOURCE_ROOT / name, text)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
