"""What the recorded study says of the question: a table and sentences for README.md and docs, from its records alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from xlt.config.benchmark import Table, Task, load
from xlt.config.run_config import read_run
from xlt.files import read_json
from xlt.layout import TRAINED
from xlt.records import PLANNED, restore
from xlt.results import formatting
from xlt.results.aggregate import SCORE, TaskResult, summarize, task_result
from xlt.results.differences import difference
from xlt.results.effects import ENOUGH, Effect
from xlt.results.run_folders import FinishedRun, Plan, PlannedRun, RegimeRuns, load_plan, load_regime

STUDY = Path("results") / "study" / "e5-small"
TABLE = "table2"
QUESTIONS = (
    ("adapter", "full", "An adapter instead of full fine-tuning"),
    ("full-itt", "full", "MNLI first, full fine-tuning"),
    ("adapter-itt", "adapter", "MNLI first, adapter"),
    ("adapter-itt", "full-itt", "An adapter instead of full fine-tuning, both after MNLI"),
)
"""Pairs of regimes, and what the first has that the second has not."""
TRIED = ("full", "adapter", "lora")
"""Regimes that were trained with other learning rates, too."""
NOTHING = "No run of the study is recorded yet."


def study_blocks(project: Path) -> dict[str, str]:
    """The texts of the blocks ``study`` and ``rates``, for a page.

    Args:
        project: the checkout, with ``results`` and ``configs``.
    """
    records = project / STUDY
    if not (records / PLANNED).exists():
        return {"study": NOTHING, "rates": NOTHING}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "study" / "e5-small"
        restore(records, root)
        return {"study": Study(root, project / "configs").text(), "rates": rates(root)}


class Study:
    """The finished runs of table 2's rows in the study."""

    def __init__(self, root: Path, configs: Path) -> None:
        self.root = root
        plan, table = load_plan(root), load(Table, configs / "tables" / f"{TABLE}.yaml")
        self.regimes: dict[str, RegimeRuns] = {n: load_regime(root, plan, n) for n in plan.tables[TABLE].regimes}
        self.tasks: dict[str, Task] = {n: load(Task, configs / "tasks" / f"{n}.yaml") for n in table.tasks}
        self.found: dict[str, dict[str, TaskResult]] = {
            name: {task.name: task_result(regime, task) for task in self.tasks.values()}
            for name, regime in self.regimes.items()
        }
        self.shown = [task for task in self.tasks if any(own[task].status == "ok" for own in self.found.values())]

    def text(self) -> str:
        """The table, the four questions, and how much of the plan they rest on."""
        return "\n\n".join([self.scores(), self.answers(), self.extent()])

    def scores(self) -> str:
        """The table of regimes and tasks that have a finished run: mean over languages and seeds, in percent."""
        rows = []
        for name, regime in self.regimes.items():
            cells = [self.cell(self.found[name][task]) for task in self.shown]
            if any(cells):
                rows.append([regime.title, *cells])
        titles = [f"{self.tasks[task].title} ({self.languages(task)})" for task in self.shown]
        return tabulate(rows, ["regime", *titles], tablefmt="github", disable_numparse=True)

    def cell(self, result: TaskResult) -> str:
        """A mean with its standard deviation over seeds, where there are several."""
        found = summarize(result.average(SCORE)) if result.status == "ok" else None
        return "" if found is None else formatting.score(found)

    def languages(self, task: str) -> str:
        """How many languages a task is scored in."""
        most = max(len(own[task].languages) for own in self.found.values())
        return f"{most} languages"

    def answers(self) -> str:
        """A line for each question: the difference over the tasks that both regimes have, and on each of them."""
        lines = []
        for first, second, title in QUESTIONS:
            tasks = self.common(first, second)
            whole = self.effect(first, second, tasks) if tasks else None
            if whole is not None:
                parts = {self.tasks[task].title: self.effect(first, second, [task]) for task in tasks}
                each = "; ".join(f"{name} {points(part)}" for name, part in parts.items() if part is not None)
                where = each if len(tasks) > 1 else ", ".join(parts)
                lines.append(f"- **{title}**: {points(whole)} points, {in_words(whole)} ({where}).")
        return "\n".join(lines)

    def common(self, first: str, second: str) -> list[str]:
        """The tasks on which two regimes have been scored and are two: MNLI is not trained before itself."""
        both = [self.found.get(name, {}) for name in (first, second)]
        return [
            task
            for task in self.shown
            if all(task in own and own[task].status == "ok" for own in both) and not self.same(first, second, task)
        ]

    def same(self, first: str, second: str, task: str) -> bool:
        """Whether one run is behind both cells."""
        folders = [
            {run.planned.dir for run in self.regimes[name].runs if task in run.planned.tasks}
            for name in (first, second)
        ]
        return folders[0] == folders[1]

    def effect(self, first: str, second: str, tasks: Sequence[str]) -> Effect | None:
        """The difference of two regimes over tasks, with its interval over seeds and test items."""
        cells = [(self.tasks[task], self.found[first][task].languages) for task in tasks]
        return difference(self.root, self.regimes[first], self.regimes[second], cells)

    def extent(self) -> str:
        """How many runs of the table have finished, and what the intervals are."""
        planned = [
            run for regime in self.regimes.values() for run in regime.runs if set(run.planned.tasks) & set(self.tasks)
        ]
        runs = {run.planned.dir: isinstance(run, FinishedRun) for run in planned}
        models = sorted({run.config.model.title for run in planned})
        return (
            f"{', '.join(models)}; percent, mean (± standard deviation over seeds) over all languages with gold labels; "
            f"training sets capped ({self.training_caps()}). {sum(runs.values())} of the {len(runs)} runs of table 2 are "
            "recorded. In brackets the 95 % interval over seeds and test items (translations of an item drawn as one); "
            f"with one seed over items alone. {self.rates()}"
        )

    def rates(self) -> str:
        """For which training sets the rates of both ways of tuning in question are chosen, and for which not yet."""
        plan = load_plan(self.root)
        found, behind = chosen(self.root, plan), {run.planned.recipe for run in self.regimes["full"].finished}
        settled = {recipe for recipe in behind if {("full", recipe), ("adapter", recipe)} <= found}
        named = [", ".join(sorted(plan.recipes[name].title for name in part)) for part in (settled, behind - settled)]
        return f"Learning rates are chosen for: {named[0] or 'none'}; still a first guess for: {named[1] or 'none'}."

    def training_caps(self) -> str:
        """The most examples that each training set has."""
        finished = [run.config for regime in self.regimes.values() for run in regime.finished]
        stages = [stage for config in finished for stage in config.stages]
        found = {stage.recipe.title: stage.caps.train for stage in stages if stage.caps.train is not None}
        return ", ".join(f"{title} {most:,}" for title, most in sorted(found.items()))


def rates(root: Path) -> str:
    """The English development score at each learning rate that was tried, seed by seed; the best in bold."""
    plan = load_plan(root)
    rows = []
    for regime, run, scores in tried(root, plan):
        best = max((name for name in scores if scores[name] is not None), key=lambda name: scores[name] or 0.0)
        cells = [rate_cell(root / twin(run.dir, regime, name), score, name == best) for name, score in scores.items()]
        rows.append([plan.regimes[regime].title, plan.recipes[run.recipe].title, str(run.seed), *cells])
    headers = ["tuning", "trained on", "seed", "a third of the rate", "the rate", "three times the rate"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True) if rows else NOTHING


def tried(root: Path, plan: Plan) -> Iterator[tuple[str, PlannedRun, dict[str, float | None]]]:
    """The runs of a regime that were trained with another rate too: development scores by regime, from low rate to high."""
    for regime in TRIED:
        for run in plan.regimes[regime].runs if regime in plan.regimes else []:
            scores = {name: dev_score(root / twin(run.dir, regime, name)) for name in rates_of(regime)}
            if sum(score is not None for score in scores.values()) > 1:
                yield regime, run, scores


def chosen(root: Path, plan: Plan) -> set[tuple[str, str]]:
    """(regime, recipe) of which the rate scored best between a lower and a higher one."""
    return {
        (regime, run.recipe)
        for regime, run, scores in tried(root, plan)
        if None not in scores.values() and scores[regime] == max(score or 0.0 for score in scores.values())
    }


def twin(folder: str, regime: str, other: str) -> str:
    """The folder of another regime's run on the same recipe with the same seed."""
    return folder.replace(f"runs/{regime}/", f"runs/{other}/")


def rates_of(regime: str) -> list[str]:
    """The regimes that differ from one in their learning rate, and itself, by rate."""
    return [f"{regime}-third-rate", regime, f"{regime}-triple-rate"]


def dev_score(folder: Path) -> float | None:
    """The English development score of the weights that a run kept, in percent; None for one that was not trained."""
    if not (folder / TRAINED).exists():
        return None
    stage = read_run(folder).stages[-1]
    scores = read_json(folder / TRAINED)["stages"][stage.recipe.name]["dev_scores"]
    return float(max(scores) if stage.recipe.checkpoint == "best" else scores[-1])


def rate_cell(folder: Path, score: float | None, best: bool) -> str:
    """A rate with its score."""
    if score is None:
        return ""
    shown = f"{score:.1f}"
    return f"{read_run(folder).stages[-1].learning_rate:.1e}: {f'**{shown}**' if best else shown}"


def points(found: Effect | None) -> str:
    """A difference with its interval."""
    return "" if found is None else formatting.with_interval(found.estimate, found)


def in_words(found: Effect) -> str:
    """What an interval says; with fewer seeds than it takes, that it decides nothing."""
    if found.seeds < ENOUGH:
        return f"with {found.seeds} seed{'s' if found.seeds > 1 else ''}, too few to conclude from"
    if found.low > 0:
        return "an interval above zero"
    return "an interval below zero" if found.high < 0 else "an interval that contains zero"
