#!/usr/bin/env python3
"""Carry out one planned lexical injection: writes the injected encoder and, last, lexical.json with all its figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

from xlt.errors import exit_status


def main() -> None:
    """Do the job unless its result is there and current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "job", type=Path, help="a job's folder that the planner wrote, e.g. out/tiny/babel/lexical/tli/all/seed-1"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the prepared model")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: OMP_NUM_THREADS or all)")
    options = parser.parse_args()

    import logging

    import torch
    import transformers

    from xlt.lexical import RESULT
    from xlt.training.lexical import inject, is_done, make_job

    transformers.logging.set_verbosity_error()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    job = make_job(options.job, options.data, options.encoder)
    if is_done(job):
        (options.job / RESULT).touch()  # newer than the config, which may say the same in other words
        print(f"{options.job}: done already")
        return
    result = inject(job)
    print(f"{options.job}: layer {result['layer']} of {result['layers']}, {result['wall_seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
