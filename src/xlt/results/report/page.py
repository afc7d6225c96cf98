"""The page: everything the report shows, put together and rendered. All text is escaped by the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xlt.results import formatting, plots
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.claims import MEANING as CLAIM_MEANING
from xlt.results.claims import SEEN, Finding
from xlt.results.groups_table import GroupsTable
from xlt.results.pairs_table import PairsTable
from xlt.results.plots import Chart
from xlt.results.render import Document, Text, TextGrid
from xlt.results.report import charts, heatmap, summary
from xlt.results.report.cells import LABELLED, MARKS, TOLD, Appendix, ReportCell, cells, command
from xlt.results.report.evidence import Anchors, Register, read_evidence
from xlt.results.run_folders import FinishedRun, Plan, RegimeRuns
from xlt.results.score_table import ConfiguredTable
from xlt.results.verdicts import Verdict, counts
from xlt.results.verification import MEANING

TEMPLATES = Path(__file__).parent / "templates"
SCORES, COST = 0, 1
"""Places of the two sections of the headline table that have a row for every regime; others follow them."""
PER_CENT = 100.0
"""Where the bars of effects in per cent end."""


@dataclass(frozen=True)
class Shown:
    """A table of the report besides the headline, and the command that makes it."""

    name: str
    table: ConfiguredTable
    command: str


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made from.

    ``regimes`` are all planned ones; ``failed`` maps the folder of a run that ended with an error to its message;
    ``goals`` maps a regime to the goal of make that makes its runs; ``absent`` are the tables that cannot be shown;
    ``papers``: how each paper is named ("Huang et al. 2021").
    """

    root: Path
    plan: Plan
    headline: BenchmarkTable
    tables: list[Shown]
    regimes: dict[str, RegimeRuns]
    findings: list[Finding]
    papers: dict[str, str]
    verdicts: list[Verdict]
    failed: dict[str, str]
    goals: dict[str, str]
    absent: list[summary.Missing] = field(default_factory=list)


@dataclass(frozen=True)
class RegimeRow:
    """A regime of the headline table: its anchor, what the table prints of it, and its cells."""

    anchor: str
    regime: RegimeRuns
    scores: list[Text]
    costs: list[Text]
    cells: list[ReportCell]
    command: str
    average: str
    difference: str


@dataclass(frozen=True)
class DrawnCharts:
    """Charts in one figure: its drawing, its anchor and the stem of its files."""

    charts: Sequence[Chart]
    drawing: Markup
    anchor: str
    file: str
    files: Mapping[str, bytes]


def _texts(table: BenchmarkTable, grid: TextGrid) -> dict[tuple[str, str], Text]:
    """The printed cells of the headline table by (regime, task)."""
    rows = zip(table.regimes, grid.rows, strict=True)
    return {(name, task): row[1 + number] for name, row in rows for number, task in enumerate(table.tasks)}


def _rows(
    material: ReportInputs,
    page: Document,
    made: Mapping[tuple[str, str], ReportCell],
    anchors: Anchors,
) -> list[RegimeRow]:
    table = material.headline
    found = []
    for number, (name, regime) in enumerate(table.regimes.items()):
        scores, costs = (page.sections[place].grid.rows[number] for place in (SCORES, COST))
        stat = table.averages[name]
        seeds = sorted({run.planned.seed for run in regime.runs})
        found.append(
            RegimeRow(
                anchor=anchors.new("regime", name),
                regime=regime,
                scores=scores,
                costs=costs,
                cells=[made[name, task] for task in table.tasks],
                command=command(material.plan, material.goals[name], seeds),
                average="" if stat is None else formatting.score(stat),
                difference=table.difference_text(name),
            )
        )
    return found


def _drawn(charts: Sequence[Chart], file: str, anchors: Anchors) -> list[DrawnCharts]:
    """The figure of some charts; none without a chart."""
    if not charts:
        return []
    anchor, files = anchors.new("chart", file), plots.panels(charts)
    return [DrawnCharts(charts, plots.inlined(files[".svg"], charts, anchor), anchor, file, files)]


def _effects(findings: Sequence[Finding]) -> list[tuple[Finding, float, str]]:
    """The findings with the end of their bar's scale (points and per cent have one each) and what was found, printed."""
    points = [f.effect for f in findings if f.effect is not None and f.claim.words is None]
    widest = max([1.0, *(max(abs(effect.low), abs(effect.high)) for effect in points)])
    made = []
    for finding in findings:
        effect, words = finding.effect, finding.claim.words is not None
        shown = "–" if effect is None else formatting.with_interval(effect.estimate, effect) + (" %" if words else "")
        made.append((finding, PER_CENT if words else widest, shown))
    return made


def _facts(material: ReportInputs) -> list[tuple[str, str]]:
    """The report in numbers."""
    runs = [run for regime in material.regimes.values() for run in regime.runs]
    folders = {run.planned.dir: isinstance(run, FinishedRun) for run in runs}
    table = material.headline
    scored = [r for by_task in table.results.values() for r in by_task.values() if r.status == "ok"]
    languages = {code for result in scored for code in result.languages}
    cells_of = len(table.regimes) * len(table.tasks)
    done = formatting.count(sum(folders.values()))
    return [
        ("runs finished", f"{done} of {formatting.count(len(folders))}"),
        ("headline cells with a score", f"{len(scored)} of {cells_of}"),
        ("languages", str(len(languages))),
        ("seeds", ", ".join(str(seed) for seed in sorted({s for result in scored for s in result.seeds})) or "none"),
    ]


def build(material: ReportInputs) -> tuple[str, dict[str, bytes]]:
    """The page as HTML, and the figures for papers by file name. The same material gives the same bytes."""
    table, plan = material.headline, material.plan
    anchors = Anchors()
    appendix = Appendix(Register("E"), Register("D"), Register("S"))
    evidence = {name: [read_evidence(material.root, run) for run in own.runs] for name, own in table.regimes.items()}
    document = table.document
    texts = _texts(table, document.sections[SCORES].grid)
    made = cells(table, texts, evidence, material.verdicts, material.goals, (anchors, appendix))
    styles = {name: charts.style(regime) for name, regime in table.regimes.items()}
    titles = {name: regime.title for name, regime in material.regimes.items()}
    recipes = {name: recipe.title for name, recipe in plan.recipes.items()}
    groups = [shown.table for shown in material.tables if isinstance(shown.table, GroupsTable)]
    others = {name: styles.get(name, plots.Style(len(charts.KINDS))) for name in material.regimes}
    cost = [drawn for chart in charts.cost_charts(table, styles) for drawn in _drawn([chart], chart.name, anchors)]
    distance = [chart for each in groups for chart in charts.distance_charts(each, others)]
    curves = charts.learning_curves(evidence, titles, recipes, styles)
    distances = _drawn(distance, "gain-against-distance", anchors)
    learning = _drawn(curves, "learning-curves", anchors)
    heats = heatmap.by_language(table)
    context: dict[str, Any] = {
        "title": f"{formatting.header(plan, list(table.regimes.values()), [], table.tasks)[1][1]} · {plan.profile}",
        "plan": plan,
        "question": summary.QUESTION,
        "answers": summary.answers(plan, material.findings, titles, table),
        "caution": summary.caution(plan, table),
        "facts": _facts(material),
        "verdicts": counts(material.verdicts),
        "meaning": MEANING,
        "marks": MARKS,
        "told": TOLD,
        "labelled": LABELLED,
        "without_score": formatting.missing,
        "document": document,
        "score_grid": document.sections[SCORES],
        "cost_grid": document.sections[COST],
        "more_grids": document.sections[COST + 1 :],
        "tasks": [task.title for task in table.tasks.values()],
        "rows": _rows(material, document, made, anchors),
        "effects": _effects(material.findings),
        "papers": material.papers,
        "seen": SEEN,
        "claim_meaning": CLAIM_MEANING,
        "claims_command": command(plan, "claims"),
        "cost_figures": cost,
        "distance_figures": distances,
        "curve_figures": learning,
        "legend": charts.legend(list(styles.values())),
        "heats": heats,
        "pairs": [(s, heatmap.of_pairs(s.table)) for s in material.tables if isinstance(s.table, PairsTable)],
        "tables": [(anchors.new("table", shown.name), shown) for shown in material.tables],
        "missing": [
            *material.absent,
            *summary.unfinished(plan, material.regimes, material.failed, material.goals),
            *summary.gaps(table),
        ],
        "appendix": appendix,
        "report_command": command(plan, "report"),
        "verify_command": f"make verify TABLE={table.config.name} PROFILE={plan.profile} MODEL={plan.folder or plan.model}",
    }
    files = {figure.file: figure.files for figure in (*cost, *distances, *learning)}
    files |= {heat.anchor: heatmap.drawn(heat) for heat, _ in heats}
    return _render(context), {f"{stem}{suffix}": data for stem, own in files.items() for suffix, data in own.items()}


def _render(context: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    parts = {name: Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js")}
    return environment.get_template("page.html").render(context, style=parts["style.css"], script=parts["script.js"])
