#!/usr/bin/env python3
"""Write the report: one HTML page with every table, chart and claim, and the evidence behind each score; docs/tables.md.

    python reproduce/report.py --root out/pilot/e5-small

It shows what has finished and names what has not; nothing is trained or scored. Figures for papers go beside the page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from xlt.config.benchmark import Table
from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.names import visible
from xlt.planning.result_reader import ResultReader

if TYPE_CHECKING:
    from xlt.results.report.page import Shown
    from xlt.results.report.summary import Missing

HEADLINE = "table2"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--output", type=Path, help="folder to write to; default: <root>/report")
    parser.add_argument("--data", type=Path, help="folder of official files, for the table of sizes")
    parser.add_argument("--world", type=Path, help="folder of the generated world the runs were made on")
    return parser.parse_args()


class ReportReader(ResultReader):
    """Reads what the report shows."""

    def goals(self) -> dict[str, str]:
        """The goal of make for each planned regime: its own, or a table that has it as a row."""
        tables = {row: name for name, table in reversed(self.plan.tables.items()) for row in table.regimes}
        own = {path.stem for path in visible(self.configs / "regimes", "*.yaml")}
        return {name: name if name in own else tables.get(name, HEADLINE) for name in self.plan.regimes}

    def why_absent(self, config: Table) -> str:
        """Why a table cannot be shown; empty when it can."""
        if config.kind == "sizes":
            return (
                ""
                if self.data is not None and self.data.is_dir()
                else "it counts data files, and there is no data folder here"
            )
        if config.name not in self.plan.tables:
            return "it is not planned for this profile"
        rows = self.regimes(self.plan.tables[config.name].regimes)
        done = {task for regime in rows.values() for run in regime.finished for task in run.planned.tasks}
        return "" if done & set(config.tasks) else "no run behind it has finished"

    def others(self) -> tuple[list[Shown], list[Missing]]:
        """The tables besides the headline: those that can be shown, and those that cannot."""
        from xlt.results.report.cells import command
        from xlt.results.report.page import Shown
        from xlt.results.report.summary import Missing
        from xlt.results.tables import KINDS

        shown, absent = [], []
        for name, config in self.tables.items():
            if name != HEADLINE:
                call, why = command(self.plan, name), self.why_absent(config)
                if why:
                    absent.append(Missing(config.title, why, call))
                else:
                    shown.append(Shown(name, KINDS[config.kind](self.inputs(config)), call))
        return shown, absent


def main() -> None:
    """Read the runs and write ``index.html`` and ``figures/``."""
    arguments = _arguments()
    given = {"data": arguments.data, "world": arguments.world}
    reader = ReportReader(arguments.root, arguments.configs, **given)
    if HEADLINE not in reader.tables:
        raise InputError(f"expected the headline table {HEADLINE}", reader.configs / "tables" / f"{HEADLINE}.yaml")
    from xlt.results.benchmark_table import BenchmarkTable
    from xlt.results.report.page import ReportInputs, build

    headline = BenchmarkTable(reader.inputs(reader.tables[HEADLINE]))
    shown, absent = reader.others()
    page, figures = build(
        ReportInputs(
            root=reader.root,
            plan=reader.plan,
            headline=headline,
            tables=shown,
            regimes=reader.regimes(),
            findings=reader.findings(),
            papers=reader.papers,
            verdicts=reader.verdicts(headline.regimes, headline.tasks),
            failed=reader.failed,
            goals=reader.goals(),
            absent=absent,
        )
    )
    folder = arguments.output or reader.root / "report"
    for path in (folder / "figures").glob("*.*"):
        if path.suffix in (".svg", ".pdf") and path.name not in figures:
            path.unlink()
    for name, content in figures.items():
        write_atomic(folder / "figures" / name, content)
    write_atomic(folder / "index.html", page)
    print(f"wrote {folder / 'index.html'} ({len(page.encode()) / 2**20:.1f} MiB) and {len(figures)} figures beside it")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
