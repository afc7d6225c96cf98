#!/usr/bin/env python3
"""Which runs of a table or regime are done, run, wait or failed, and why: ``make status TABLE=table2``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xlt.errors import exit_status
from xlt.planning.status import report, states


def main() -> None:
    """Command line of the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the plan, e.g. out/tiny/babel")
    parser.add_argument("make", nargs="+", help="arguments for make: -f <plan.mk> VARIABLE=value ... GOAL")
    options = parser.parse_args()
    print(report(options.make[-1], states(options.root, options.make)))


if __name__ == "__main__":
    sys.exit(exit_status(main))
