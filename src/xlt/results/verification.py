"""A table's verification: every cell beside its reported number with a verdict, as a page and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from xlt.config.benchmark import Task
from xlt.files import to_json
from xlt.results import formatting
from xlt.results.comparability import ANOTHER_WORLD
from xlt.results.page_tests import LEVELS, PageTest
from xlt.results.render import Document, Section, text_grid
from xlt.results.reported import AVERAGE
from xlt.results.run_folders import Plan
from xlt.results.verdicts import Verdict, counts, exit_code

MEANING = {
    "reproduced": "within the 95 % prediction interval around the reported number",
    "near": "outside that, but among so many cells chance does it",
    "higher": "above, and not by chance: a warning and no success, something differs",
    "lower": "below, and not by chance",
    "not reported": "no number for this model, regime, task and metric is known",
    "not comparable": "a number is known, measured in another way",
    "not run": "planned and not finished",
    "no data": "no files to train or to evaluate on",
    "error": "the run ended with an error",
}
_SHOWN = ("error", "not run", "lower", "higher", "near", "reproduced")
"""The verdicts whose cells are listed, worst first."""


def document(
    title: str, plan: Plan, found: Sequence[Verdict], tasks: Mapping[str, Task], page: Sequence[PageTest] = ()
) -> Document:
    """How many cells have each verdict, the tests of the page as a whole, then every cell that was judged."""
    rows = [[status, str(number), MEANING[status]] for status, number in counts(found).items()]
    sections = [Section("Verdicts", text_grid(["Verdict", "Cells", "Meaning"], rows, "lrl"))]
    if page:
        headers = ["Family", "Of", "Here", "Recorded", "Difference", "Tolerance", "Verdict"]
        sections.append(Section("The page as a whole", text_grid(headers, map(_page_row, page), "llrrrrl")))
    shown = [verdict for status in _SHOWN for verdict in found if verdict.status == status]
    if shown:
        headers = ["Regime", "Task", "Metric", "Language", "Score", "Reported", "Difference", "Tolerance", "Verdict"]
        grid = text_grid([*headers, "Basis"], [_row(each, tasks) for each in shown], "llllrrrrll")
        sections.append(Section("Cells", grid))
    reasons = sorted({f"{v.reason}" for v in found if v.status == "not comparable"})
    header = [
        ("Profile", plan.profile),
        ("Model", plan.model),
        ("Exit status", str(exit_code(found, any(t.differs for t in page)))),
    ]
    notes = [f"Not comparable because: {'; '.join(reasons)}."] if reasons else []
    judged = [verdict for verdict in found if verdict.p is not None]
    if judged:
        outside = sum(verdict.status != "reproduced" for verdict in judged)
        notes.append(f"Outside their 95 % interval: {outside} of {len(judged)} cells; by chance about one in twenty.")
    notes += [f"Warning: {line}." for line in warnings(found)]
    notes.append("How a verdict is reached: docs/verification.md.")
    return Document(f"Verification of {title}", header, sections, notes)


def _page_row(test: PageTest) -> list[str]:
    gap = test.measured - test.expected
    outside = gap > test.tolerance if test.family == "share outside" else abs(gap) > test.tolerance
    verdict = "differs" if test.differs else "near" if outside else "reproduced"
    numbers = [f"{test.measured:.1f}", f"{test.expected:.1f}", formatting.difference(gap), f"± {test.tolerance:.1f}"]
    return [test.family, test.name, *numbers, verdict]


def _row(verdict: Verdict, tasks: Mapping[str, Task]) -> list[str]:
    regime, task, language = verdict.regime, tasks[verdict.task].title, _language(verdict.language)
    if verdict.measured is None or verdict.reported is None or verdict.tolerance is None:
        return [regime, task, "", language, *[""] * 4, verdict.status, verdict.reason]
    metric = formatting.METRIC_TITLES.get(verdict.metric, verdict.metric)
    scores = [f"{verdict.measured:.1f}", f"{verdict.reported:.1f}"]
    gap = [formatting.difference(verdict.measured - verdict.reported), f"± {verdict.tolerance:.1f}"]
    return [regime, task, metric, language, *scores, *gap, verdict.status, verdict.basis]


def _language(code: str) -> str:
    return "average" if code == AVERAGE else formatting.language(code) if code else ""


def problems(found: Sequence[Verdict], page: Sequence[PageTest] = (), most: int = 10) -> list[str]:
    """A line for each test of the page and each cell that turned the verification red; what has not run is in the counts."""
    lines = [
        f"differs: {test.family}, {test.name}: {test.measured:.1f} against {test.expected:.1f} ± {test.tolerance:.1f} "
        f"(adjusted p {test.adjusted:.1g}, level {LEVELS[test.family]:g})"
        for test in page
        if test.differs
    ]
    for verdict in found:
        where = ", ".join(part for part in (verdict.regime, verdict.task, verdict.metric, verdict.language) if part)
        if verdict.status == "lower":
            numbers = f"{verdict.measured:.1f} against {verdict.reported:.1f} ± {verdict.tolerance:.1f}"
            lines.append(f"lower: {where}: {numbers} ({verdict.basis})")
        elif verdict.status in ("error", "not run") and verdict.reason:
            lines.append(f"{verdict.status}: {where}: {verdict.reason}")
    return lines[:most] + ([f"and {len(lines) - most} more"] if len(lines) > most else [])


def warnings(found: Sequence[Verdict]) -> list[str]:
    """What a reader of the summary must not miss, though it is no failure."""
    above = [f"{v.regime}, {v.task}, {v.metric}, {v.language}" for v in found if v.status == "higher"]
    lines = [f"higher than reported, which is no success, something differs: {_some(above)}"] if above else []
    stale = sum(v.reason == ANOTHER_WORLD for v in found)
    return lines + ([f"{stale} expectations {ANOTHER_WORLD}"] if stale else [])


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f"; and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more


def as_json(title: str, plan: Plan, found: Sequence[Verdict], page: Sequence[PageTest] = ()) -> str:
    """The verification as data: counts, exit status and every verdict with the source of its reported number."""
    return to_json(
        {
            "title": title,
            "profile": plan.profile,
            "model": plan.model,
            "counts": counts(found),
            "exit_status": exit_code(found, any(test.differs for test in page)),
            "page": [{**asdict(test), "differs": test.differs} for test in page],
            "verdicts": [_plain(verdict) for verdict in found],
        }
    )


def _plain(verdict: Verdict) -> dict[str, Any]:
    names, entry = [each.name for each in fields(Verdict)], verdict.entry
    plain = {name: getattr(verdict, name) for name in names if name not in ("entry", "seeds")}
    if entry is not None:
        plain["source"] = {
            "paper": entry.paper,
            "table": entry.table,
            "method": entry.method,
            "seen": entry.source,
            "confidence": entry.confidence,
        }
    return plain
