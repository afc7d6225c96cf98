#!/usr/bin/env python3
"""Write REPRODUCE.md, and the recorded figures in README.md and docs, again from configs and the planner's FLOP model.

    python reproduce/docs.py record --root out/tiny/babel --data out/tiny/data

writes what the finished runs of the tiny profile took and show into configs/recorded.yaml, which the pages are made from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.errors import exit_status
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
    from xlt.results.study_blocks import study_blocks

    recorded = {**blocks(root / "configs"), **study_blocks(root)}
    texts = {name: (root / name).read_text(encoding="utf-8") for name in PAGES}
    return {"REPRODUCE.md": page(root)} | {n: with_blocks(text, recorded, root / n) for n, text in texts.items()}


def main() -> None:
    """Write the pages, or what they are made from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recording = parser.add_subparsers(dest="command").add_parser(
        "record", help="from finished runs of the tiny profile"
    )
    recording.add_argument("--root", type=Path, required=True, help="folder of the runs, with plan.json")
    recording.add_argument("--data", type=Path, required=True, help="the generated world")
    recording.add_argument("--configs", type=Path, default=SOURCE_ROOT / "configs")
    options = parser.parse_args()
    if options.command == "record":
        from xlt.planning.recorded import record

        print(record(options.root, options.data, options.configs))
        return
    for name, text in pages(SOURCE_ROOT).items():
        write_atomic(SOURCE_ROOT / name, text)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
