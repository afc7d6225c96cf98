#!/usr/bin/env python3
"""Write REPRODUCE.md again, from its template, the configs and the planner's FLOP model (``make docs``)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# In place of this script's own folder, where tabulate.py would hide the package tabulate; the folder goes to the end.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")
sys.path.append(str(Path(__file__).resolve().parent))

from xlt.artifacts import SOURCE_ROOT, write_atomic
from xlt.errors import exit_status


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    from guide import page  # beside this script; scipy: slow import

    write_atomic(SOURCE_ROOT / "REPRODUCE.md", page(SOURCE_ROOT))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
