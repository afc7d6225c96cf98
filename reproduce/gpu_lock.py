#!/usr/bin/env python3
"""Run a command on a GPU that no other run of this project has, waiting for one: what makes ``make -jN`` spread over GPUs."""

from __future__ import annotations

import argparse
import sys

from xlt.errors import InputError, exit_status
from xlt.options import count
from xlt.pipeline.gpu_lock import run_on_gpus


def main() -> None:
    """Wait for a GPU and become the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=count("--each"), default=1, help="runs at a time on one GPU (default: 1)")
    parser.add_argument("--gpus", type=count("--gpus"), default=1, help="GPUs of this run (default: 1)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InputError("expected -- and a command")
    run_on_gpus(command, options.each, options.gpus)


if __name__ == "__main__":
    sys.exit(exit_status(main))
