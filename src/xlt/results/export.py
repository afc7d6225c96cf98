"""Tables as data: CSV with one line per regime, task, language, metric and seed (and the aggregates), and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from xlt.files import to_json
from xlt.results.aggregate import SCORE, Stat, TaskResult, summarize
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.comparability import Comparison
from xlt.results.regime_table import RegimeTable
from xlt.results.render import Document
from xlt.results.reported import AVERAGE, Reported, matches

COLUMNS = ["regime", "task", "language", "metric", "seed", "value", "n", "split", "status"]
REPORTED_COLUMNS = ["reported", "reported_std", "difference", "comparison", "reported_paper", "reported_source"]

Record = dict[str, str | int | float | None]


def _record(
    result: TaskResult, regime: str, language: str, metric: str, seed: str | int, value: float, n: int
) -> Record:
    return {
        "regime": regime,
        "task": result.task,
        "language": language,
        "metric": metric,
        "seed": seed,
        "value": value,
        "n": n,
        "split": result.split,
        "status": "ok",
    }


def seed_records(
    result: TaskResult, regime: str, language: str, metric: str, by_seed: dict[int, float], n: int
) -> list[Record]:
    """One line per seed, then their mean and standard deviation; ``n`` counts examples, or languages of an average."""
    stat = summarize(by_seed)
    if stat is None:
        return []
    records = [_record(result, regime, language, metric, seed, by_seed[seed], n) for seed in stat.seeds]
    records.append(_record(result, regime, language, metric, "mean", stat.mean, n))
    if stat.std is not None:
        records.append(_record(result, regime, language, metric, "std", stat.std, n))
    return records


def _empty(regime: str, task: str, language: str, status: str) -> Record:
    record: Record = dict.fromkeys(COLUMNS)
    return record | {"regime": regime, "task": task, "language": language, "status": status}


def task_records(regime: str, result: TaskResult) -> list[Record]:
    """The lines of one task: languages, then averages (``n`` counts languages there), then what is missing."""
    if result.status != "ok":
        return [_empty(regime, result.task, AVERAGE, result.status)]
    records = []
    for metric, by_language in result.values.items():
        for code, by_seed in by_language.items():
            records.extend(seed_records(result, regime, code, metric, by_seed, result.n[code]))
        average = result.average(metric)
        records.extend(seed_records(result, regime, AVERAGE, metric, average, len(result.languages)))
    records.extend(_empty(regime, result.task, code, "no data") for code in result.missing)
    return records


def _overall(table: BenchmarkTable, regime: str) -> list[Record]:
    stat = table.averages[regime]
    base: Record = {"regime": regime, "task": "average", "language": AVERAGE, "metric": SCORE, "split": None}
    if stat is None:
        return [base | {"seed": None, "value": None, "n": None, "status": "not run"}]
    values: list[tuple[str, float | None]] = [("mean", stat.mean), ("std", stat.std)]
    rows = [(seed, value) for seed, value in values if value is not None]
    return [base | {"seed": seed, "value": value, "n": len(table.common), "status": "ok"} for seed, value in rows]


def to_csv(records: Iterable[Record], columns: list[str]) -> str:
    """CSV with a header line; numbers in full precision, missing values empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for record in records:
        writer.writerow({name: repr(value) if isinstance(value, float) else value for name, value in record.items()})
    return buffer.getvalue()


def benchmark_csv(table: BenchmarkTable) -> str:
    """The lines of a benchmark table, regime by regime, each followed by its average over tasks."""
    records: list[Record] = []
    for name, by_task in table.results.items():
        for result in by_task.values():
            records.extend(task_records(name, result))
        records.extend(_overall(table, name))
    return to_csv(records, COLUMNS)


def _comparison_record(line: Comparison) -> Record:
    entry = line.reported
    if entry is None or entry.value is None:
        comparison = "no value reported"
    else:
        comparison = "compared" if line.reason is None else f"not comparable: {line.reason}"
    return {
        "reported": None if entry is None else entry.value,
        "reported_std": None if entry is None else entry.std,
        "difference": line.difference,
        "comparison": comparison,
        "reported_paper": None if entry is None else entry.paper,
        "reported_source": None if entry is None else entry.source,
    }


def regime_csv(table: RegimeTable) -> str:
    """The lines of a regime's table; the reported number stands on the ``mean`` line of its cell."""
    whole = {(task, frozenset(result.languages)) for task, result in table.results.items()}
    averages = [line for line in table.averages if (line.task, frozenset(line.languages)) in whole]
    cells = {(line.task, line.language, line.metric): _comparison_record(line) for line in (*table.lines, *averages)}
    records: list[Record] = []
    for result in table.results.values():
        for record in task_records(table.regime.name, result):
            key = (str(record["task"]), str(record["language"]), str(record["metric"]))
            records.append(record | (cells.get(key, {}) if record["seed"] == "mean" else {}))
    return to_csv(records, COLUMNS + REPORTED_COLUMNS)


def _stat(stat: Stat | None) -> dict[str, Any] | None:
    return None if stat is None else asdict(stat)


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
        "averages": {metric: _stat(summarize(result.average(metric))) for metric in result.values},
        "values": result.values,
    }


def _comparison(line: Comparison) -> dict[str, Any]:
    return {
        "task": line.task,
        "metric": line.metric,
        "language": line.language,
        "languages": line.languages,
        "measured": asdict(line.measured),
        "n": line.n,
        "reported": None if line.reported is None else line.reported.as_json(),
        "not_comparable": line.reason,
        "difference": line.difference,
    }


def page_json(name: str, document: Document) -> dict[str, Any]:
    """What a table's page says besides its figures."""
    return {"table": name, "title": document.title, "header": dict(document.header), "notes": document.notes}


def benchmark_json(table: BenchmarkTable, document: Document, reported: list[Reported]) -> str:
    """A benchmark table with everything it was made from: all values, costs, notes, and the reported averages."""
    rows = []
    for name, by_task in table.results.items():
        known = {
            task: [
                entry.as_json()
                for metric in table.tasks[task].metrics
                for entry in _averages(reported, table, name, metric, task)
            ]
            for task in by_task
        }
        rows.append(
            {
                "regime": name,
                "title": table.regimes[name].title,
                "tasks": {task: result_json(result) for task, result in by_task.items()},
                "average": _stat(table.averages[name]),
                "difference": table.difference(name),
                "improvement": None if (likely := table.improvement(name)) is None else asdict(likely),
                "cost": None if (found := table.costs[name]) is None else asdict(found),
                "reported": {task: entries for task, entries in known.items() if entries},
            }
        )
    overall = {"reference": table.config.reference, "common_tasks": table.common, "rows": rows}
    return to_json(page_json(table.config.name, document) | overall)


def _averages(reported: list[Reported], table: BenchmarkTable, regime: str, metric: str, task: str) -> list[Reported]:
    found = matches(reported, table.plan.model, regime, task, AVERAGE, metric)
    return [entry for entry in found if entry.world is None]  # the artifact's own expectations are for make verify


def regime_json(table: RegimeTable, document: Document) -> str:
    """A regime's table with everything it was made from."""
    content = {
        "regime": table.regime.name,
        "tasks": {task: result_json(result) for task, result in table.results.items()},
        "lines": [_comparison(line) for line in table.lines],
        "averages": [_comparison(line) for line in table.averages],
        "cost": None if table.cost is None else asdict(table.cost),
    }
    return to_json(page_json(f"regime-{table.regime.name}", document) | content)
