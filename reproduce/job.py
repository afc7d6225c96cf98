#!/usr/bin/env python3
"""Do one planned job, something that runs are made from: a language adapter or a lexical injection, as its config says.

    python reproduce/job.py FOLDER --data DATA --encoder ENCODER
    python reproduce/job.py encoder                 pre-train the generated world's encoder again (job.py encoder --help)

A job whose result is there and current is not repeated.
"""

from __future__ import annotations

import sys

from xlt.errors import exit_status
from xlt.pipeline import pretrain_encoder
from xlt.pipeline.commands import folder_parser, job


def main() -> None:
    """Do the job, or pre-train the encoder."""
    if sys.argv[1:2] == ["encoder"]:
        pretrain_encoder.main(sys.argv[2:])
    else:
        job(folder_parser(str(__doc__), "language-adapters/qag").parse_args())


if __name__ == "__main__":
    sys.exit(exit_status(main))
