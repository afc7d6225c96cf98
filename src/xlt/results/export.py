"""Results as data: CSV lines of a task, with one line per language, metric and seed (and the aggregates), and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from xlt.results.aggregate import BySeed, MeanStd, TaskResult, summarize
from xlt.results.render import Document
from xlt.results.reported import AVERAGE

COLUMNS = ["regime", "task", "language", "metric", "seed", "value", "n", "split", "status"]

Record = dict[str, str | int | float | None]


def seed_records(result: TaskResult, regime: str, language: str, metric: str, by_seed: BySeed, n: int) -> list[Record]:
    """One line per seed, then their mean and standard deviation; ``n`` counts examples, or languages of an average."""
    stat = summarize(by_seed)
    if stat is None:
        return []
    base: Record = {"regime": regime, "task": result.task, "language": language, "metric": metric}
    base |= {"n": n, "split": result.split, "status": "ok"}
    values: list[tuple[int | str, float | None]] = [(seed, by_seed[seed]) for seed in stat.seeds]
    values += [("mean", stat.mean), ("std", stat.std)]
    return [base | {"seed": seed, "value": value} for seed, value in values if value is not None]


def task_records(regime: str, result: TaskResult) -> list[Record]:
    """The lines of one task: languages, then averages (``n`` counts languages there), then what is missing."""
    empty: Record = {"regime": regime, "task": result.task}
    if result.status != "ok":
        return [empty | {"language": AVERAGE, "status": result.status}]
    records = []
    for metric, by_language in result.values.items():
        for code, by_seed in by_language.items():
            records += seed_records(result, regime, code, metric, by_seed, result.n[code])
        records += seed_records(result, regime, AVERAGE, metric, result.average(metric), len(result.languages))
    return records + [empty | {"language": code, "status": "no data"} for code in result.missing]


def to_csv(records: Iterable[Record], columns: Sequence[str]) -> str:
    """CSV with a header line; numbers in full precision, missing values empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for record in records:
        writer.writerow({name: repr(value) if isinstance(value, float) else value for name, value in record.items()})
    return buffer.getvalue()


def as_json(value: Any) -> dict[str, Any] | None:
    """A data class, such as a mean with its standard deviation, as JSON-like values; None for none."""
    return None if value is None else asdict(value)


def stat_json(by_seed: BySeed) -> dict[str, Any] | None:
    """Mean and standard deviation over seeds as JSON-like values; None without a seed."""
    stat: MeanStd | None = summarize(by_seed)
    return as_json(stat)


def result_json(result: TaskResult) -> dict[str, Any]:
    """All values of a task in a regime, as JSON-like values."""
    return {
        "status": result.status,
        "split": result.split,
        "planned_seeds": result.planned_seeds,
        "seeds": result.seeds,
        "languages": result.languages,
        "no_data": result.missing,
        "n": result.n,
        "averages": {metric: stat_json(result.average(metric)) for metric in result.values},
        "values": result.values,
    }


def page_json(name: str, document: Document) -> dict[str, Any]:
    """What a table's page says besides its figures."""
    return {"table": name, "title": document.title, "header": dict(document.header), "notes": document.notes}
