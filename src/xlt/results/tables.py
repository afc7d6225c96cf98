"""The kinds of tables: each turns the runs behind its rows into a document, a CSV and a JSON.

A new kind is a module with one such function and an entry in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xlt.config import Table, Task
from xlt.results import benchmark_table, export
from xlt.results.render import Document
from xlt.results.reported import Reported
from xlt.results.runs import Plan, Regime


@dataclass(frozen=True)
class Inputs:
    """What a table is made from.

    ``regimes`` are its rows in order, with their runs; ``left_out`` the rows that the profile does not run; ``tasks`` its
    columns in order; ``root`` the folder of profile and model, below which ``plan.jobs`` lie.
    """

    config: Table
    plan: Plan
    root: Path
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    left_out: list[str]
    reported: list[Reported]


@dataclass(frozen=True)
class Written:
    """A finished table: the document that Markdown and LaTeX are rendered from, and its data."""

    document: Document
    csv: str
    json: str


def benchmark(inputs: Inputs) -> Written:
    """Regimes by tasks (table 2)."""
    table = benchmark_table.build(
        inputs.config, inputs.plan, inputs.tasks, inputs.regimes, inputs.left_out, inputs.root
    )
    page = benchmark_table.document(table)
    return Written(page, export.benchmark_csv(table), export.benchmark_json(table, page, inputs.reported))


KINDS: dict[str, Callable[[Inputs], Written]] = {"benchmark": benchmark}
