#!/usr/bin/env python3
"""Turn configs into the runs of a profile and model: run folders with resolved configs, and make rules between them.

Nothing is trained here. A run's config.json is rewritten only when its content changes, so make re-runs what depends on it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xlt.errors import exit_status
from xlt.files import SOURCE_ROOT
from xlt.options import count
from xlt.planning.make_plan import lacks_data, make_plan


def main() -> None:
    """Command line of the planner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", required=True, help="a name of configs/profiles")
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of this profile and model, e.g. out/tiny/babel"
    )
    parser.add_argument(
        "--model",
        default=None,
        help="a config of configs/models, a folder or owner/name[@commit] (default: the profile's)",
    )
    parser.add_argument("--data", default=None, help="folder of official files (default: the profile's)")
    parser.add_argument("--seeds", default=None, help='e.g. "1 2 3" (default: the profile\'s)')
    parser.add_argument(
        "--all-rows", action="store_true", help="every row of every table, also those the profile leaves out"
    )
    parser.add_argument("--configs", type=Path, default=SOURCE_ROOT / "configs")
    parser.add_argument(
        "--show", default=None, metavar="TARGET", help="print what a table or regime would run, and its cost"
    )
    parser.add_argument("--records", type=Path, default=None, help="folder of recorded runs, which count as done")
    parser.add_argument(
        "--goals", nargs="*", default=[], help="the tables and regimes that recorded runs are wanted for"
    )
    parser.add_argument(
        "--seconds", action="store_true", help="with --show: only the seconds of each run, as JSON by folder"
    )
    parser.add_argument(
        "--encoder", type=Path, default=Path("encoder"), help="folder of the prepared encoder, where it is there"
    )
    parser.add_argument("--jobs", type=count("--jobs"), default=1, help="runs at a time (for --show)")
    parser.add_argument("--threads", type=count("--threads"), default=1, help="threads of a run (for --show)")
    parser.add_argument(
        "--gpu", default=None, help="a name of configs/gpus.yaml: hours on it by the FLOP model (for --show)"
    )
    arguments = parser.parse_args()
    if arguments.show and lacks_data(arguments):
        from xlt.planning.paper_plan import show_published  # scipy: slow import

        show_published(arguments)
    else:
        make_plan(arguments)


if __name__ == "__main__":
    sys.exit(exit_status(main))
