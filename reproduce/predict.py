#!/usr/bin/env python3
"""Predict the test data of a trained run, once: writes predictions/ and labels/ in XTREME's submission layout."""

from __future__ import annotations

import sys

from run import arguments, as_one

from xlt.errors import InputError, exit_status


def main() -> None:
    """Predict every task whose predictions are not there or not current."""
    options = arguments(str(__doc__))
    from xlt.modeling.distributed import broadcast_from_main
    from xlt.pipeline.steps import make_context, predict_step
    from xlt.pipeline.train_run import is_trained

    with as_one(options.run):
        context = make_context(options.run, options.data, options.encoder, options.threads)
        if not broadcast_from_main(is_trained, context):
            raise InputError("expected current weights in this run; run reproduce/train.py first", options.run)
        predict_step(context, None)


if __name__ == "__main__":
    sys.exit(exit_status(main))
