#!/usr/bin/env python3
"""Set each claim of the papers beside the effect that the finished runs show: tables/claims.{md,tex,csv,json}.

    python reproduce/claims.py --root out/paper/xlmr-base

Nothing is run: a claim whose runs have not finished is ``not run`` and names the command that makes them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.errors import exit_status
from xlt.files import write_atomic
from xlt.planning.result_reader import ResultReader
from xlt.results.render import rendered


def main() -> None:
    """Assess every claim and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    arguments = parser.parse_args()
    from xlt.results.claims import as_csv, as_json, document  # scipy: slow import

    reader = ResultReader(arguments.root, arguments.configs)
    findings = reader.findings()
    files = rendered(document(reader.plan, findings, reader.papers), "claims")
    for suffix, text in {**files, ".csv": as_csv(findings), ".json": as_json(reader.plan, findings)}.items():
        write_atomic(arguments.root / "tables" / f"claims{suffix}", text)
    print(files[".md"])


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
