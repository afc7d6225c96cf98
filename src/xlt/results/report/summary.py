"""What the report says first: the question, the answer in three sentences made from the numbers, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlt.results import formatting
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.claims import Finding
from xlt.results.report.cells import command
from xlt.results.run_folders import FinishedRun, Plan, RegimeRuns

QUESTION = (
    "How does adapter-based intermediate-task training compare with full fine-tuning in zero-shot cross-lingual transfer "
    "on XTREME-R, and does robust training help?"
)
ANSWERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Adapters or full fine-tuning?", ("adapter-ten-tasks",)),
    ("Does an intermediate task help?", ("intermediate-adapter", "intermediate-full")),
    ("Does robust training help?", ("robust-adapters", "robust-zero-shot")),
)
"""Each part of the question, and the claims (configs/claims) whose findings answer it."""

LANGUAGES = {
    "all": "",
    "without-en": " in languages other than English",
    "mixed-pairs": " on pairs of two languages",
    "same-language": " on pairs of one language",
}
"""The languages an effect is averaged over (``claims.Cells``), in words."""


@dataclass(frozen=True)
class Answer:
    """One sentence of the answer. ``command`` makes the runs that are missing for it; empty when none are."""

    heading: str
    sentence: str
    command: str


@dataclass(frozen=True)
class Missing:
    """Something the report cannot show: what, why, and the command that makes it (empty when none can)."""

    what: str
    why: str
    command: str


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def clause(finding: Finding, titles: Mapping[str, str]) -> str:
    """What was found for a claim about regimes, in words."""
    firsts = _joined([titles.get(c.first, c.first) for c in finding.claim.contrasts])
    seconds = _joined(list(dict.fromkeys(titles.get(c.second, c.second) for c in finding.claim.contrasts)))
    effect, cells = finding.effect, finding.claim.cells
    if effect is None or cells is None:
        return (
            f"{firsts or finding.claim.name} against {seconds or 'its baseline'}: {finding.status} ({finding.reason})"
        )
    several = len(finding.claim.contrasts) > 1
    low, high = (f"{bound:.1f}".replace("-", "−") for bound in (effect.low, effect.high))
    count = f"{len(cells.tasks)} {'task' if len(cells.tasks) == 1 else 'tasks'}"
    where = f"over {count}{LANGUAGES[cells.languages]} (95 % interval {low} to {high})"
    size = f"{abs(effect.estimate):.1f} points"
    verb = "score on average" if several else "scores"
    if finding.status == "supported":
        return f"{firsts} {verb} {size} above {seconds} {where}"
    if finding.status == "contradicted":
        return f"{firsts} {verb} {size} below {seconds} {where}"
    tell = f"the difference is {formatting.difference(effect.estimate)} points {where}"
    if finding.status == "too few seeds":
        return f"too few seeds to tell {firsts} from {seconds} ({finding.reason}): {tell}"
    return f"{firsts} cannot be told apart from {seconds}: {tell}"


def answers(plan: Plan, findings: Sequence[Finding], titles: Mapping[str, str], table: BenchmarkTable) -> list[Answer]:
    """The answer, one sentence for each part of the question; what has not run is said to be open."""
    by_name = {finding.claim.name: finding for finding in findings}
    made = []
    for heading, names in ANSWERS:
        own = [by_name[name] for name in names if name in by_name]
        known = [finding for finding in own if finding.effect is not None]
        open_ones = [finding for finding in own if finding.effect is None and finding.status == "not run"]
        texts = [clause(finding, titles) for finding in (known or own)]
        if not own:
            texts = ["no claim of configs/claims asks this"]
        if not known:
            texts = ["Open: " + "; ".join(texts)]
        elif open_ones:
            texts.append("open: " + "; ".join(clause(finding, titles) for finding in open_ones))
        if heading == ANSWERS[0][0] and known and known[0].status != "too few seeds":
            texts[0] += _share(known[0], table)
        goals = dict.fromkeys((finding.claim.command or "").removeprefix("make ") for finding in open_ones)
        made.append(Answer(heading, "; ".join(texts) + ".", "; ".join(command(plan, goal) for goal in goals if goal)))
    return made


def _share(finding: Finding, table: BenchmarkTable) -> str:
    """How much of the parameters the first regime trains."""
    found = table.costs.get(finding.claim.contrasts[0].first)
    return "" if found is None else f", training {100 * found.share:.1f} % of the parameters"


def caution(plan: Plan, table: BenchmarkTable) -> str:
    """What the numbers hold for."""
    results = [result for by_task in table.results.values() for result in by_task.values()]
    seeds = sorted({seed for result in results for seed in result.seeds})
    header = dict(formatting.header(plan, list(table.regimes.values()), [], table.tasks))
    shown = f"These figures hold for {header['Model']} on the profile {header['Profile']}, "
    shown += f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'}; they say nothing about other models or data."
    return " ".join([shown, *formatting.too_few_seeds(results)])


def unfinished(
    plan: Plan, regimes: Mapping[str, RegimeRuns], failed: Mapping[str, str], goals: Mapping[str, str]
) -> list[Missing]:
    """The planned regimes with runs that have not finished, and the runs that ended with an error."""
    found = []
    for name, regime in regimes.items():
        lacking = [run.planned.dir for run in regime.runs if not isinstance(run, FinishedRun)]
        if not lacking:
            continue
        messages = [f"{folder}: {failed[folder]}" for folder in lacking if folder in failed]
        why = f"{len(lacking)} of {len(regime.runs)} runs have not finished"
        seeds = sorted({run.planned.seed for run in regime.runs})
        found.append(
            Missing(f"{regime.title} ({name})", "; ".join([why, *messages]), command(plan, goals[name], seeds))
        )
    return found


def gaps(table: BenchmarkTable) -> list[Missing]:
    """Tasks of the headline table without data, languages without a score, and rows the profile leaves out."""
    found = []
    for task, config in table.tasks.items():
        results = [by_task[task] for by_task in table.results.values()]
        if all(result.status == "no data" for result in results):
            found.append(Missing(config.title, "no data: no files to train or to evaluate on", ""))
        reasons = dict.fromkeys(
            text for result in results if result.status == "ok" and (text := formatting.missing(result))
        )
        found += [Missing(config.title, text, "") for text in reasons]
    if table.left_out:
        rows = ", ".join(table.left_out)
        found.append(
            Missing(
                f"Rows of {table.config.name}: {rows}",
                "the profile leaves them out",
                f"{command(table.plan, table.config.name)} ROWS=all",
            )
        )
    return found
