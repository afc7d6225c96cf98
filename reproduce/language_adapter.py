#!/usr/bin/env python3
"""Make one planned language adapter: train it on raw text, or take the ready-made one; adapter.json is written last."""

from __future__ import annotations

import sys
import time

from run import alone, arguments

from xlt.errors import exit_status


def main() -> None:
    """Do the job unless its result is there and current."""
    options = arguments(str(__doc__), "language-adapters/qag")
    from xlt.config.run_config import ADAPTER
    from xlt.pipeline.steps import set_up
    from xlt.training.language_adapter import is_made, make_job, make_language_adapter

    set_up(options.threads)
    with alone(options.run):
        job = make_job(options.run, options.data, options.encoder)
        if is_made(job):
            (options.run / ADAPTER).touch()  # newer than the config, which may say the same in other words
            print(f"{options.run}: made already")
            return
        started = time.perf_counter()
        told = make_language_adapter(job, options.checkpoint_every)
        print(f"{options.run}: {told}, {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
