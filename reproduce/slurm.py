#!/usr/bin/env python3
"""Submit what a plan still has to run as Slurm job arrays, and collect the results: ``make table2 LAUNCH=slurm``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xlt.errors import exit_status
from xlt.options import count
from xlt.planning.slurm import collect, submit


def main() -> int:
    """Command line of the submission."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the plan, e.g. out/tiny/babel")
    parser.add_argument("--options", default="", help='options for sbatch, e.g. "--gres=gpu:1 --time=8:00:00"')
    parser.add_argument("--threads", type=count("--threads"), default=1, help="CPUs of each job")
    parser.add_argument("--dry-run", action="store_true", help="only show the arrays")
    parser.add_argument("--collect", action="store_true", help="what the last job does: write the table if all is done")
    parser.add_argument("make", nargs="+", help="arguments for make: -f <plan.mk> VARIABLE=value ... GOAL")
    options = parser.parse_args()
    if options.collect:
        return collect(options.make)
    return submit(options.root, options.make, options.options, options.threads, options.dry_run)


if __name__ == "__main__":
    sys.exit(exit_status(main))
