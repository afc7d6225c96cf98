#!/usr/bin/env python3
"""Recorded runs: keep finished ones, make tables from them without training, and check them.

    python reproduce/records.py keep --root out/study/e5-small --records results/study/e5-small
    python reproduce/records.py restore --root out/study/e5-small --records results/study/e5-small
    python reproduce/records.py rescore --records results/study/e5-small --data data
    python reproduce/records.py recheck --root out/recheck/... --records results/study/e5-small --run adapter/mnli/seed-1
    python reproduce/records.py deposit --out out

rescore: every score anew from the predictions and the gold labels in the data folder. recheck: a run that was trained again
against the recorded ones. deposit: the file for a DOI, source and results with checksums in one .tar.gz; no weights, no data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from xlt import records
from xlt.errors import InputError, exit_status
from xlt.files import SOURCE_ROOT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--root", type=Path, help="folder of one profile and model")
    parser.add_argument("--records", type=Path, help="folder of the records of one profile and model")
    parser.add_argument("--data", type=Path, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--run", help="regime/recipe/seed-n")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder of all results, for deposit (default: out)"
    )
    parser.add_argument(
        "--source", type=Path, default=SOURCE_ROOT, help="the checkout, for deposit (default: this one)"
    )
    parser.add_argument("--allow-dirty", action="store_true", help="deposit also with changes that are not committed")
    arguments = parser.parse_args()
    for name in NEEDED[arguments.action]:
        if getattr(arguments, name) is None:
            parser.error(f"{arguments.action}: expected --{name}")
    return arguments


def keep(arguments: argparse.Namespace) -> int:
    """Record the finished runs of a root."""
    changed = records.keep(arguments.root, arguments.records)
    total = sum(path.stat().st_size for path in arguments.records.rglob("*") if path.is_file()) / 1e6
    print(f"{arguments.records}: {len(changed)} records are new or differ; {total:.1f} MB in all")
    return 0


def pages(arguments: argparse.Namespace) -> int:
    """Take over tables and the report that were made from the records alone."""
    records.keep_pages(arguments.root, arguments.records)
    return 0


def restore(arguments: argparse.Namespace) -> int:
    """Unpack every record below a root."""
    print(f"{records.restore(arguments.records, arguments.root)} recorded runs of {arguments.records}")
    return 0


def rescore(arguments: argparse.Namespace) -> int:
    """Score all recorded predictions anew; exit status 1 where a score differs."""
    from xlt.pipeline.rescoring import rescore as differing

    records.check_sums(arguments.records)
    paths = [
        path
        for path in records.run_records(arguments.records)
        if path.relative_to(arguments.records).parts[0] == "runs"
    ]
    if not paths:
        raise InputError("expected recorded runs", arguments.records)
    found = [(path, line) for path in tqdm(paths, unit="run", disable=None) for line in differing(path, arguments.data)]
    for path, line in found:
        print(f"{path.relative_to(arguments.records)}: {line}")
    print(f"{len(paths)} runs scored anew, {len(found)} scores differ")
    return 1 if found else 0


def recheck(arguments: argparse.Namespace) -> int:
    """Hold a run that was trained again against its records; exit status 1 where chance does not explain a difference."""
    from xlt.results.rechecking import recheck as compared

    found = compared(arguments.root / "runs" / arguments.run, arguments.records)
    lines = [
        [
            x.task,
            x.metric,
            f"{x.recorded:.2f} ({x.seeds})",
            f"{x.anew:.2f}",
            f"± {x.tolerance:.2f}",
            f"{x.p:.3f}",
            ("differs", "agrees")[x.agrees],
        ]
        for x in found
    ]
    headers = ["task", "metric", "recorded (runs)", "trained again", "95 % interval", "p", "verdict"]
    print(tabulate(lines, headers, disable_numparse=True))
    return 0 if all(line.agrees for line in found) else 1


def deposit(arguments: argparse.Namespace) -> int:
    """Write the file for a DOI."""
    from xlt.results.archive import archive

    archive(arguments.source, arguments.out, allow_dirty=arguments.allow_dirty)
    return 0


ACTIONS = {"keep": keep, "pages": pages, "restore": restore, "rescore": rescore, "recheck": recheck, "deposit": deposit}
NEEDED = {
    "keep": ("root", "records"),
    "pages": ("root", "records"),
    "restore": ("root", "records"),
    "rescore": ("records", "data"),
    "recheck": ("root", "records", "run"),
    "deposit": (),
}


def main() -> int:
    """Do what the command line asks for."""
    arguments = _arguments()
    return ACTIONS[arguments.action](arguments)


if __name__ == "__main__":
    sys.exit(exit_status(main))
