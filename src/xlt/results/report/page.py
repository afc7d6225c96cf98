"""The page: everything the report shows, put together and rendered. All text is escaped by the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xlt.results import formatting
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.claims import MEANING as CLAIM_MEANING
from xlt.results.claims import SEEN, Finding
from xlt.results.groups_table import GroupsTable
from xlt.results.pairs_table import PairsTable
from xlt.results.render import Document, Text, TextGrid
from xlt.results.report import charts, heatmap, papers, summary, svg
from xlt.results.report.cells import MARKS, Appendix, ReportCell, cells, command
from xlt.results.report.evidence import Anchors, Register, RunEvidence, read_evidence
from xlt.results.run_folders import Plan, RegimeRuns, Run
from xlt.results.score_table import ConfiguredTable
from xlt.results.verdicts import Verdict, counts
from xlt.results.verification import MEANING

TEMPLATES = Path(__file__).parent / "templates"
SCORES, COST = 0, 1
"""Places of the two sections of the headline table that have a row for every regime; others follow them."""
SMALL = (360, 250)
"""Width and height of a small chart, in user units."""
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
    """A regime of the headline table: its anchor, its description and everything about it as a whole."""

    anchor: str
    name: str
    title: str
    description: str
    scores: list[Text]
    costs: list[Text]
    cells: list[ReportCell]
    command: str
    average: str
    difference: str
    runs: list[Run]


@dataclass(frozen=True)
class Figure:
    """A chart with its drawing, its anchor and, when it was written, the stem of its files."""

    chart: charts.Chart
    drawing: Markup
    anchor: str
    file: str


def _evidence(material: ReportInputs) -> dict[str, list[RunEvidence]]:
    return {
        name: [read_evidence(material.root, run) for run in regime.runs]
        for name, regime in material.headline.regimes.items()
    }


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
                name=name,
                title=regime.title,
                description="" if regime.config is None else regime.config.regime.description,
                scores=scores,
                costs=costs,
                cells=[made[name, task] for task in table.tasks],
                command=command(material.plan, material.goals[name], seeds),
                average="" if stat is None else formatting.score(stat),
                difference=table.difference_text(name),
                runs=regime.runs,
            )
        )
    return found


def _figures(found: Sequence[charts.Chart], anchors: Anchors, file: str = "", *, small: bool = False) -> list[Figure]:
    made = []
    for chart in found:
        anchor = anchors.new("chart", chart.name)
        drawing = svg.draw(chart, anchor, *SMALL) if small else svg.draw(chart, anchor)
        made.append(Figure(chart, drawing, anchor, file or chart.name))
    return made


def _effects(findings: Sequence[Finding]) -> list[tuple[Finding, Markup, str]]:
    """The findings with a bar of their interval and what was found, printed; points and per cent have scales of their own."""
    points = [f.effect for f in findings if f.effect is not None and f.claim.words is None]
    widest = max([1.0, *(max(abs(effect.low), abs(effect.high)) for effect in points)])
    made = []
    for finding in findings:
        effect, words = finding.effect, finding.claim.words is not None
        bar, shown = Markup(""), "–"
        if effect is not None:
            bar = svg.interval(effect.low, effect.estimate, effect.high, PER_CENT if words else widest)
            shown = formatting.with_interval(effect.estimate, effect) + (" %" if words else "")
        made.append((finding, bar, shown))
    return made


def _facts(material: ReportInputs) -> list[tuple[str, str]]:
    """The report in numbers."""
    runs = [run for regime in material.regimes.values() for run in regime.runs]
    folders = {run.planned.dir: run.scores is not None for run in runs}
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
    evidence = _evidence(material)
    document = table.document
    texts = _texts(table, document.sections[SCORES].grid)
    made = cells(table, texts, evidence, material.verdicts, material.goals, (anchors, appendix))
    styles = {name: charts.style(regime) for name, regime in table.regimes.items()}
    titles = {name: regime.title for name, regime in material.regimes.items()}
    recipes = {name: recipe.title for name, recipe in plan.recipes.items()}
    groups = [shown.table for shown in material.tables if isinstance(shown.table, GroupsTable)]
    others = {name: styles.get(name, charts.Style(len(charts.KINDS))) for name in material.regimes}
    cost = charts.cost_charts(table, styles)
    distance = [chart for each in groups for chart in charts.distance_charts(each, others)]
    curves = charts.learning_curves(evidence, titles, recipes, styles)
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
        "cost_figures": _figures(cost, anchors),
        "distance_figures": _figures(distance, anchors, "gain-against-distance", small=True),
        "curve_figures": _figures(curves, anchors, "learning-curves", small=True),
        "legend": charts.legend(list(styles.values())),
        "shape": lambda kind: Markup(svg.SHAPES[kind]),
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
    return _render(context), _files(cost, distance, curves, [scores for scores, _ in heats])


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


def _files(
    cost: Sequence[charts.Chart],
    distance: Sequence[charts.Chart],
    curves: Sequence[charts.Chart],
    heats: Sequence[heatmap.Heat],
) -> dict[str, bytes]:
    drawn = {chart.name: papers.panels([chart]) for chart in cost}
    if distance:
        drawn["gain-against-distance"] = papers.panels(distance)
    if curves:
        drawn["learning-curves"] = papers.panels(curves)
    drawn |= {each.anchor: papers.heatmap(each) for each in heats}
    return {f"{stem}{suffix}": data for stem, own in drawn.items() for suffix, data in own.items()}
