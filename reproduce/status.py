#!/usr/bin/env python3
"""Which runs of a table or regime are done, run, wait or failed, and why: ``make status TABLE=table2``.

With --carry-out make does what is due, and one display shows it (docs/running.md).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xlt.errors import exit_status
from xlt.options import count
from xlt.planning.status import report, states


def main() -> int:
    """Command line of the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the plan, e.g. out/tiny/babel")
    parser.add_argument("make", nargs="+", help="arguments for make: -f <plan.mk> VARIABLE=value ... GOAL")
    parser.add_argument("--carry-out", type=count("--carry-out"), metavar="N", help="let make do it, N runs at a time")
    parser.add_argument(
        "--estimate", metavar="COMMAND", help="prints the goal's seconds by folder as JSON; the goal comes last"
    )
    parser.add_argument("--relative", action="store_true", help="they are another machine's: only compare runs by them")
    options = parser.parse_args()
    if options.carry_out:
        from xlt.planning.carry_out import carry_out

        return carry_out(options.root, options.make, options.carry_out, options.estimate, options.relative)
    print(report(options.make[-1], states(options.root, options.make)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
