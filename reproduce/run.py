#!/usr/bin/env python3
"""Carry out one planned run: train, predict, score. A step whose result is there and current is not repeated.

The steps in one process save start-up time; --only does one of them. With --processes, torchrun starts several processes
that train and predict together (docs/running.md).
"""

from __future__ import annotations

import sys

from xlt.errors import exit_status
from xlt.options import count
from xlt.pipeline.commands import STEPS, folder_parser, launch, run


def main() -> int:
    """Run the steps that are not done."""
    parser = folder_parser(str(__doc__), "runs/full/mnli/seed-1")
    parser.add_argument("--only", choices=STEPS, help="one step (default: all)")
    parser.add_argument("--processes", type=count("--processes"), default=1, help="on GPUs each has one of its own (1)")
    options = parser.parse_args()
    if options.processes > 1:
        return launch(options.processes, [*sys.argv, "--processes", "1"])
    run(options)
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
