"""The papers' claims, each with the effect found here, its interval and a verdict (``configs/claims``)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from xlt.config.benchmark import Strict, Task
from xlt.files import to_json
from xlt.results import formatting
from xlt.results.aggregate import task_result
from xlt.results.differences import compared
from xlt.results.effects import ENOUGH, Cell, effect
from xlt.results.export import to_csv
from xlt.results.render import Document, Section, text_grid
from xlt.results.run_folders import Plan, RegimeRuns
from xlt.results.statistics import Interval, mean_interval
from xlt.results.word_pairs import COSINES, WordPairs, change, load_word_pairs, over_seeds

Status = Literal["supported", "contradicted", "not shown", "too few seeds", "not run", "no data", "not covered"]
MEANING: dict[Status, str] = {
    "supported": "the whole 95 % interval lies on the claimed side of zero",
    "contradicted": "the whole interval lies on the other side",
    "not shown": "the interval contains zero",
    "too few seeds": f"a row it rests on has fewer than {ENOUGH} seeds, which decide nothing, whatever the interval",
    "not run": "a run it rests on has not finished",
    "no data": "there are no files for a task it rests on",
    "not covered": "this artifact cannot test it; the reason stands beside it",
}


class Where(Strict):
    """Where a claim was read: the paper (a name of ``configs/reported``), the place in it, and how well it was seen."""

    paper: str
    place: str
    confidence: Literal["seen", "seen-secondhand", "not found"]


class Contrast(Strict):
    """Two regimes whose difference in score, first minus second, the claim is about."""

    first: str
    second: str


class Cells(Strict):
    """The tasks and languages an effect is averaged over; task by task, each over its languages."""

    tasks: list[str] = Field(min_length=1)
    languages: Literal["all", "without-en", "mixed-pairs", "same-language"] = "without-en"

    def chosen(self, languages: Sequence[str]) -> list[str]:
        """Those of a task's languages (or pairs such as ``de-fr``) that are meant."""
        sides = {code: code.split("-") for code in languages}
        if self.languages == "without-en":
            return [code for code in languages if set(sides[code]) != {"en"}]
        if self.languages == "mixed-pairs":
            return [code for code in languages if len(set(sides[code])) > 1]
        if self.languages == "same-language":
            return [code for code in languages if len(set(sides[code])) == 1]
        return list(languages)


class WordFigure(Strict):
    """A figure of a lexical injection, after minus before, in per cent of what it was before."""

    config: str
    figure: Literal["trained", "held-out", "random", "held-out − random"]


class Claim(Strict):
    """One claim. ``claimed``: the effect as printed, in points (``words``: in per cent), null for a direction only.

    ``less``: cells whose effect is taken off (a claim that the effect is larger here than there). ``words``: the claim is
    about a lexical injection. ``not_covered``: why the claim cannot be tested here. One of the three says how it is tested.
    """

    name: str
    claim: str
    source: Where
    claimed: float | None = None
    contrasts: list[Contrast] = Field(default=[])
    cells: Cells | None = None
    less: Cells | None = None
    words: WordFigure | None = None
    not_covered: str | None = None
    command: str | None = None

    @model_validator(mode="after")
    def _says_how(self) -> Claim:
        ways = [self.cells is not None, self.words is not None, self.not_covered is not None]
        if (self.cells is None) != (not self.contrasts) or sum(ways) != 1:
            raise ValueError("expected contrasts and cells, or words, or not_covered with the reason")
        if self.not_covered is None and self.command is None:
            raise ValueError("expected command: what makes the runs it rests on")
        return self


@dataclass(frozen=True)
class Finding:
    """What was found for a claim; ``seeds`` are those of the runs it rests on, ``fewest`` the number that some row has."""

    claim: Claim
    status: Status
    effect: Interval | None = None
    seeds: tuple[int, ...] = ()
    fewest: int = 0
    reason: str = ""


class _Unavailable(Exception):
    """A claim cannot be assessed now."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def assess(
    claim: Claim, root: Path, plan: Plan, regimes: Mapping[str, RegimeRuns], tasks: Mapping[str, Task]
) -> Finding:
    """The finding on one claim from the runs of this plan."""
    if claim.words is not None:
        return assess_words(claim, claim.words, load_word_pairs(root, plan, claim.words.config))
    if claim.cells is None:
        return Finding(claim, "not covered", reason=claim.not_covered or "")
    tested: list[Cell] = []
    try:
        parts = [(claim.cells, 1.0)] + ([] if claim.less is None else [(claim.less, -1.0)])
        for cells, sign in parts:
            for contrast, name in itertools.product(claim.contrasts, cells.tasks):
                weight = sign / (len(claim.contrasts) * len(cells.tasks))
                tested += _cells_of(root, regimes, contrast, tasks[name], cells, weight)
        found = effect(tested)
        if found is None:
            raise _Unavailable("not run", "a row has no seed on all of the tasks")
    except _Unavailable as why:
        return Finding(claim, why.status, reason=why.reason)
    return _verdict(claim, found, sorted({seed for cell in tested for seed in cell.scored.seeds}), found.seeds)


def assess_words(claim: Claim, wanted: WordFigure, pairs: WordPairs) -> Finding:
    """The finding on a claim about word pairs, with Student's interval over the seeds."""
    if pairs.status != "ok":
        return Finding(claim, "no data" if pairs.status == "no data" else "not run", reason=f"injection {pairs.name}")
    figure = COSINES[wanted.figure]
    before, moved = over_seeds(pairs, "before", figure, pairs.languages), change(pairs, figure)
    changes = [100 * moved[seed] / abs(before[seed]) for seed in sorted(before)]
    if len(changes) < 2:
        figure_only = f"one seed, {formatting.difference(changes[0])} %: an interval takes two, a conclusion {ENOUGH}"
        return Finding(claim, "too few seeds", None, tuple(before), len(before), figure_only)
    return _verdict(claim, mean_interval(changes), sorted(before), len(before))


def _verdict(claim: Claim, found: Interval, seeds: Sequence[int], fewest: int) -> Finding:
    if fewest < ENOUGH:
        about = "; the interval is about these trained models only" if fewest == 1 else ""
        reason = f"{_counted(fewest)} on a row, {ENOUGH} decide{about}"
        return Finding(claim, "too few seeds", found, tuple(seeds), fewest, reason)
    status: Status = "supported" if found.low > 0 else "contradicted" if found.high < 0 else "not shown"
    return Finding(claim, status, found, tuple(seeds), fewest)


def _counted(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} seeds"


def _cells_of(
    root: Path, regimes: Mapping[str, RegimeRuns], contrast: Contrast, task: Task, cells: Cells, weight: float
) -> list[Cell]:
    """The cells of both regimes in every language meant, ``weight`` shared among these; raises when there are none."""
    results = {}
    for name in (contrast.first, contrast.second):
        if name not in regimes:
            raise _Unavailable("not run", f"{name} is not planned")
        results[name] = task_result(regimes[name], task)
        if results[name].status != "ok":
            raise _Unavailable("no data" if results[name].status == "no data" else "not run", f"{task.title}, {name}")
    chosen = cells.chosen([c for c in results[contrast.first].languages if c in results[contrast.second].languages])
    if not chosen:
        raise _Unavailable("no data", f"{task.title}: no language of the kind meant")
    tested = []
    for language in chosen:
        own = compared(root, regimes[contrast.first], regimes[contrast.second], task, language, weight / len(chosen))
        if own is None:
            raise _Unavailable("not run", f"{task.title}, {language}: no scores of the same single examples")
        tested += own
    return tested


SEEN = {
    "seen": "read there",
    "seen-secondhand": "read in another paper that repeats it",
    "not found": "not found there",
}
"""What ``Where.confidence`` says in words."""


def document(plan: Plan, findings: Sequence[Finding], papers: Mapping[str, str]) -> Document:
    """The claims as a page; ``papers``: how each paper is named ("Huang et al. 2021")."""
    headers = ["Claim", "Source", "Claimed", "Found", "Verdict", "Confidence"]
    rows = [_cells(finding, papers) for finding in findings]
    used = list(dict.fromkeys(finding.status for finding in findings))
    commands = [[f.claim.name, f.claim.command or "none", f.claim.source.place] for f in findings]
    made_by = text_grid(["Claim", "Command", "Place in the source"], commands, "lll")
    return Document(
        "Claims",
        [("Profile", plan.profile), ("Model", plan.model)],
        [
            Section("Claims and what was found", text_grid(headers, rows, "llllll")),
            Section("How to make what each rests on", made_by),
        ],
        [
            "A finding holds for the profile and the model above, not for those of the paper.",
            "Claimed and found: points of the score, averaged over tasks and languages; per cent for cosines of word pairs. "
            "A claim that something helps more here than there: the gain here minus the gain there.",
            "The verdict is about the direction; how large the effect is, claimed and found, stands beside it.",
            "Confidence: the 95 % interval of what was found, over seeds and test items (docs/verification.md), for word "
            "pairs over seeds. With one seed it is about the models that were trained, over test items alone.",
            *(f"{status}: {MEANING[status]}." for status in used),
        ],
    )


def _cells(finding: Finding, papers: Mapping[str, str]) -> list[str]:
    """A row: the claim with its name, where it is from, claimed, found, verdict, confidence."""
    claim, effect = finding.claim, finding.effect
    unit = " %" if claim.words is not None else ""
    claimed = "a gain" if claim.claimed is None else formatting.difference(claim.claimed) + unit
    if claim.not_covered is not None and claim.claimed is None:
        claimed = ""
    found = "" if effect is None else formatting.difference(effect.estimate) + unit
    source = f"{papers[claim.source.paper]} ({SEEN[claim.source.confidence]})"
    return [f"{claim.claim} ({claim.name})", source, claimed, found, finding.status, _confidence(finding)]


def _confidence(finding: Finding) -> str:
    """The interval and the seeds of what was found, or why nothing was."""
    if finding.effect is None:
        return finding.reason
    low, high = (formatting.difference(value) for value in (finding.effect.low, finding.effect.high))
    count, fewest = len(finding.seeds), finding.fewest
    seeds = _counted(count) if fewest == count else f"{fewest} to {count} seeds a row"
    return f"{low} to {high}; {seeds}"


def as_csv(findings: Sequence[Finding]) -> str:
    """One line per claim, in full precision."""
    columns = ["claim", "paper", "claimed", "estimate", "low", "high", "p", "status", "reason", "seeds"]
    return to_csv(
        (
            {
                **{"claim": f.claim.name, "paper": f.claim.source.paper, "claimed": f.claim.claimed},
                **_effect(f.effect),
                **{"status": f.status, "reason": f.reason, "seeds": " ".join(str(seed) for seed in f.seeds)},
            }
            for f in findings
        ),
        columns,
    )


def _effect(found: Interval | None) -> dict[str, float]:
    return {} if found is None else {key: getattr(found, key) for key in ("estimate", "low", "high", "p")}


def as_json(plan: Plan, findings: Sequence[Finding]) -> str:
    """The findings as data."""
    claims = [
        f.claim.model_dump(mode="json")
        | {"status": f.status, "reason": f.reason, "seeds": list(f.seeds), "effect": _effect(f.effect) or None}
        for f in findings
    ]
    return to_json({"profile": plan.profile, "model": plan.model, "claims": claims})
