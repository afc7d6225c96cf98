#!/usr/bin/env python3
"""Set every cell of a table or regime beside the number reported for it, with a verdict; docs/verification.md.

    python reproduce/verify.py --table table2 --root out/paper/xlmr-base

Exit status: 0 nothing failed, 1 a comparable cell is lower than reported, the page as a whole differs from the recorded ones
or a run ended with an error, 2 something has not run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.names import one_of
from xlt.planning.result_reader import ResultReader
from xlt.results.recording import load_recording
from xlt.results.render import to_markdown


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="a table of configs/tables, or a planned regime")
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--world", type=Path, help="folder of the generated world the runs were made on")
    return parser.parse_args()


def main() -> int:
    """Write ``<name>.verification.md`` and ``.json`` beside the tables and print the summary."""
    arguments = _arguments()
    from xlt.results.page_tests import page_tests
    from xlt.results.verdicts import counts, exit_code  # scipy: slow import
    from xlt.results.verification import as_json, document, problems, warnings

    root, name = arguments.root, arguments.table
    reader = ResultReader(root, arguments.configs, world=arguments.world)
    plan, tables = reader.plan, reader.tables
    if name in tables:
        rows = plan.tables[name].regimes if name in plan.tables else tables[name].regimes
        tasks = list(tables[name].tasks)
    elif name in plan.regimes:
        rows = [name]
        tasks = list(dict.fromkeys(task for run in plan.regimes[name].runs for task in run.tasks))
    else:
        raise InputError(f"TABLE: {one_of([*tables, *plan.regimes], name)}")
    columns = reader.tasks(tasks)
    found = reader.verdicts(reader.regimes(rows), columns)
    recording = load_recording(reader.configs / "reported", plan.profile, plan.model)
    page = page_tests(found, recording, columns) if recording is not None else []
    title = tables[name].title if name in tables else name
    for suffix, text in {
        "md": to_markdown(document(title, plan, found, columns, page)),
        "json": as_json(title, plan, found, page),
    }.items():
        write_atomic(root / "tables" / f"{name}.verification.{suffix}", text)
    summary = ", ".join(f"{number} {status}" for status, number in counts(found).items())
    print(f"{name}: {summary or 'no cells'} ({root}/tables/{name}.verification.md)")
    for line in [*problems(found, page), *(f"warning: {line}" for line in warnings(found))]:
        print(line)
    return exit_code(found, any(test.differs for test in page))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
