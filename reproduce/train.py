#!/usr/bin/env python3
"""Train one planned run on English and keep its best or last epoch: writes weights.safetensors and trained.json."""

from __future__ import annotations

import sys

from run import arguments, as_one

from xlt.errors import exit_status


def main() -> None:
    """Train, unless the weights are there and current."""
    options = arguments(str(__doc__))
    from xlt.modeling.distributed import is_main_process
    from xlt.pipeline.steps import make_context, train_step

    with as_one(options.run):
        context = make_context(options.run, options.data, options.encoder, options.threads)
        if train_step(context, options.checkpoint_every) is None and is_main_process():
            print(f"{options.run}: trained already")


if __name__ == "__main__":
    sys.exit(exit_status(main))
