#!/usr/bin/env python3
"""Carry out one run by several processes of this machine: torchrun, with the run's own exit status and no more said."""

from __future__ import annotations

import argparse
import logging
import sys

from xlt.errors import InputError, exit_status
from xlt.options import count

GRACE = 300
"""Seconds for a large model's checkpoint when the processes are asked to stop (torchrun's own default is 30)."""


def main() -> int:
    """Start the processes and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--processes", type=count("--processes"), required=True, help="how many; on GPUs each has one of its own"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command with its arguments")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InputError("expected -- and a command")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the run itself says what went wrong
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=options.processes,
        run_id="run",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=GRACE,
    )
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
