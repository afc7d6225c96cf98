#!/usr/bin/env python3
"""Carry out one planned lexical injection: writes the injected encoder and, last, lexical.json with all its figures."""

from __future__ import annotations

import sys

from run import alone, arguments

from xlt.errors import exit_status


def main() -> None:
    """Do the job unless its result is there and current."""
    options = arguments(str(__doc__), "lexical/tli/all/seed-1")
    from xlt.config.lexical_injection import RESULT
    from xlt.pipeline.steps import set_up
    from xlt.training.lexical_injection import inject, is_done, make_job

    set_up(options.threads)
    with alone(options.run):
        job = make_job(options.run, options.data, options.encoder)
        if is_done(job):
            (options.run / RESULT).touch()  # newer than the config, which may say the same in other words
            print(f"{options.run}: done already")
            return
        result = inject(job, options.checkpoint_every)
        made = f"layer {result['layer']} of {result['layers']}, {result['wall_seconds']:.0f} s"
        print(f"{options.run}: {made}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
