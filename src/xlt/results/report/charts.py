"""The charts of the report as values: cost against score, gain against distance, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlt.results.aggregate import summarize
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.groups_table import ALL, GroupsTable
from xlt.results.plots import Chart, Series, Style
from xlt.results.report.evidence import RunEvidence
from xlt.results.run_folders import RegimeRuns

KINDS = {
    "full": "full fine-tuning",
    "bottleneck": "adapter",
    "lora": "LoRA",
    "madx": "MAD-X",
    "head": "head only",
    "frozen": "nothing trained",
}
"""Ways of tuning (configs/regimes) and how a legend names them; each keeps its colour and shape in every chart."""


SIGNS, OPEN_SIGNS = "●■▲◆▼◀▶", "○□△◇▽◁▷"
"""What stands in a legend for the shapes of charts (``plots.SHAPES``)."""


def style(runs: RegimeRuns) -> Style:
    """The style of a regime, from the config of one of its runs."""
    if runs.config is None:
        return Style(len(KINDS))
    regime = runs.config.regime
    return Style(list(KINDS).index(regime.tuning.kind), regime.intermediate is not None)


def legend(styles: Sequence[Style]) -> list[tuple[Style, str, str]]:
    """The styles in use, each with its sign and its name, in a fixed order."""
    names = [*KINDS.values(), "other"]
    found = sorted(set(styles), key=lambda each: (each.kind, each.open))
    signs = [OPEN_SIGNS if each.open else SIGNS for each in found]
    added = [", intermediate training" if each.open else "" for each in found]
    return [(e, own[e.kind], names[e.kind] + more) for e, own, more in zip(found, signs, added, strict=True)]


def cost_charts(table: BenchmarkTable, styles: Mapping[str, Style]) -> list[Chart]:
    """Average score against trained parameters and against training time (intermediate training included)."""
    parameters, times = [], []
    for name, stat in table.averages.items():
        found = table.costs[name]
        if stat is None or found is None:
            continue
        title = table.regimes[name].title
        if found.trained > 0:
            parameters.append(Series(title, [(title, float(found.trained), stat.mean)], styles[name]))
        if found.train is not None:
            minutes = (found.train + (found.intermediate or 0.0)) / 60
            times.append(Series(title, [(title, minutes, stat.mean)], styles[name]))
    score = f"average over {len(table.common)} tasks (percent)"
    made = [
        Chart(
            "score-parameters",
            "Score against trained parameters",
            f"Each regime's {score} against the parameters it trains, on a logarithmic scale. Up and to the left is better.",
            "trained parameters (log scale)",
            score,
            parameters,
            log_x=True,
        ),
        Chart(
            "score-time",
            "Score against training time",
            f"Each regime's {score} against the minutes one seed trains for. Up and to the left is better.",
            "training time per seed, intermediate training included (minutes)",
            score,
            times,
        ),
    ]
    return [chart for chart in made if chart.series]


def distance_charts(table: GroupsTable, styles: Mapping[str, Style]) -> list[Chart]:
    """Gain over the reference against each measure of the languages, regime by regime, over all tasks."""
    made = []
    for number, measure in enumerate(table.measures):
        for name in table.compared if table.cells else []:
            points = table.points(name, ALL, measure)
            if len(points) < 2:
                continue
            title, reference = table.regimes[name].title, table.regimes[table.config.reference].title
            found = table.correlation(name, ALL, measure)
            interval = (
                ""
                if found is None or found.low is None or found.high is None
                else f" (95 % interval {_signed(found.low)} to {_signed(found.high)})"
            )
            note = (
                "too few languages for a correlation" if found is None else f"Spearman ρ {_signed(found.rho)}{interval}"
            )
            made.append(
                Chart(
                    f"gain-{('distance', 'pretraining')[number]}-{name}",
                    title,
                    f"Gain of {title} over {reference} by language against {measure.title}: {note}.",
                    measure.title,
                    "gain (points)",
                    [Series(title, points, styles[name])],
                    zero=True,
                    notes=[note],
                )
            )
    return made


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def learning_curves(
    evidence: Mapping[str, Sequence[RunEvidence]],
    titles: Mapping[str, str],
    recipes: Mapping[str, str],
    styles: Mapping[str, Style],
) -> list[Chart]:
    """Development score by epoch, one chart per training set and one line per regime (mean over seeds).

    Args:
        evidence: the runs of each regime.
        titles, styles: of the regimes.
        recipes: titles of the training sets.
    """
    by_stage: dict[str, dict[str, dict[int, list[float]]]] = {}
    for name, runs in evidence.items():
        for each in runs:
            for stage, curve in each.curves.items():
                if curve.dev_scores:
                    seeds = by_stage.setdefault(stage, {}).setdefault(name, {})
                    seeds.setdefault(each.run.planned.seed, curve.dev_scores)
    return [_curves(stage, own, titles, recipes, styles) for stage, own in sorted(by_stage.items())]


def _curves(
    stage: str,
    own: Mapping[str, Mapping[int, list[float]]],
    titles: Mapping[str, str],
    recipes: Mapping[str, str],
    styles: Mapping[str, Style],
) -> Chart:
    title = recipes.get(stage, stage)
    series = []
    for name, by_seed in own.items():
        points = []
        for epoch in range(max(len(scores) for scores in by_seed.values())):
            stat = summarize({seed: scores[epoch] for seed, scores in by_seed.items() if epoch < len(scores)})
            if stat is not None:
                points.append((f"epoch {epoch + 1}", float(epoch + 1), stat.mean))
        series.append(Series(titles.get(name, name), points, styles[name], line=True))
    return Chart(
        f"curve-{stage}",
        title,
        f"Development score on {title} after each epoch, for {len(series)} regimes.",
        "epoch",
        "development score (percent)",
        series,
    )
