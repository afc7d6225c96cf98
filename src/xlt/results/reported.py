"""Published numbers: the files of ``configs/reported``, checked and flattened, and which one a cell is compared with.

A value must say where it was seen and on what scale it is; a number known to be missing is a named gap (``null``).
One file may be this artifact's own expectations (``recorded``), which ``make expectations`` writes from finished runs.
An average says over which languages it was taken: the same task has published averages with and without English, over
eleven and over twelve languages, and they are not the same quantity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from xlt.config import Strict, load_yaml, parse
from xlt.errors import InputError
from xlt.names import visible

AVERAGE = "avg"
Over = Literal["with-en", "without-en", "as printed"]
Confidence = Literal["seen", "seen-secondhand", "recomputed", "not found"]
_TRUST = ("seen", "seen-secondhand", "recomputed", "not found")


class Average(Strict):
    """A printed average. ``over`` lists its languages; ``as printed`` when the source does not say which they are.

    ``spread``: as in ``Row``.
    """

    value: float | None
    std: float | None = None
    spread: float | None = Field(default=None, gt=0)
    over: list[str] | Over


class Freedom(Strict):
    """Degrees of freedom of a row's ``spread``: those of its languages, and of its averages."""

    languages: float = Field(gt=0)
    averages: float = Field(gt=0)


class Row(Strict):
    """One row of a published table: values by language, null where the row has a cell that could not be read.

    ``method`` is the row's name as printed; ``regime`` is the regime it stands for, null when there is none.
    ``incompatible`` says for a language (or ``avg``) why its value was measured another way and must not be compared; a
    text says it of every cell. ``spread``: the standard deviation between runs that verification uses, for recorded values
    only (``statistics.moderated``); it is known with ``freedom`` degrees of freedom, that of averages with another number.
    """

    model: str
    regime: str | None
    method: str
    task: str | None
    metric: Literal["accuracy", "accuracy_into_english", "f1", "exact_match", "map@20", "map", "cosine"]
    seeds: int | None = Field(default=None, ge=1)
    values: dict[str, float | None] = Field(default_factory=dict)
    std: dict[str, float] = Field(default_factory=dict)
    spread: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    freedom: Freedom | None = None
    averages: list[Average] = Field(default_factory=list)
    incompatible: dict[str, str] | str = Field(default_factory=dict)
    note: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Row:
        if not self.values and not self.averages:
            raise ValueError("expected values or averages, got neither")
        numbers = [*self.values.values(), *(average.value for average in self.averages)]
        for number in numbers:
            if number is not None and not 0.0 <= number <= 100.0:
                raise ValueError(f"expected percentages, got {number}; convert it to the stated scale")
        given = {code for code, value in self.values.items() if value is not None}
        for name, found in (("std", set(self.std)), ("spread", set(self.spread))):
            if unknown := found - given:
                raise ValueError(f"expected {name} of given values only, got one for {', '.join(sorted(unknown))}")
        if (self.freedom is None) != (not self.spread):
            raise ValueError("expected spread and freedom together")
        if isinstance(self.incompatible, str):
            return self
        if unknown := set(self.incompatible) - set(self.values) - ({AVERAGE} if self.averages else set()):
            raise ValueError(f"expected incompatible to name given cells, not {', '.join(sorted(unknown))}")
        return self


class Group(Strict):
    """A published table (or a part seen in one place). ``source`` says where the figures were read.

    ``profile`` is the profile whose runs follow its protocol: ``paper``, or ``tiny`` for this artifact's own expectations.
    """

    table: str
    source: str = Field(min_length=1)
    confidence: Confidence
    scale: Literal["percent", "cosine"]
    profile: str = "paper"
    split: Literal["dev", "test"] = "test"
    note: str | None = None
    rows: list[Row]

    @model_validator(mode="after")
    def _gaps_only_when_not_found(self) -> Group:
        numbers = [value for row in self.rows for value in (*row.values.values(), *(a.value for a in row.averages))]
        if self.confidence == "not found" and any(number is not None for number in numbers):
            raise ValueError("confidence 'not found' is for gaps; a value needs the place where it was seen")
        return self


class Recorded(Strict):
    """What the artifact's own expectations were recorded from.

    ``world``: digest of the generated world's files and dials, those of its encoder's pre-training among them. ``encoders``
    are the SHA-256 of the weights that pre-training gave; another CPU gives other ones from the same recipe, so they are
    not compared. ``seeds``: of the runs; ``commits``, ``platforms``: what they were made with and on.
    """

    world: str = Field(min_length=1)
    seeds: list[int] = Field(min_length=2)
    encoders: list[str]
    commits: list[str]
    platforms: list[str]


class Paper(Strict):
    """One file. ``rank`` orders papers that report the same cell: 1 is this artifact's protocol, higher is further."""

    paper: str
    citation: str = Field(min_length=1)
    url: list[str] = Field(default_factory=list)
    rank: int = Field(ge=1)
    recorded: Recorded | None = None
    tables: list[Group]

    @model_validator(mode="after")
    def _has_a_place(self) -> Paper:
        if self.recorded is None and not self.url:
            raise ValueError("expected url, at least one: where the paper is found")
        spreads = any(row.spread or any(a.spread for a in row.averages) for group in self.tables for row in group.rows)
        if spreads and self.recorded is None:
            raise ValueError("expected spread in recorded expectations only, not in a paper's numbers")
        if self.recorded is None:
            self._accuracy_of_tags()
        return self

    def _accuracy_of_tags(self) -> None:
        """XTREME's tables call the F1 of tagging accuracy (google-research/xtreme, issue 56), and others repeat it."""
        for group in self.tables:
            for row in group.rows:
                if (row.task, row.metric) == ("udpos", "accuracy") and not (row.note or group.note):
                    raise ValueError("expected a note on udpos accuracy, what it is: XTREME prints F1 under that name")


@dataclass(frozen=True, slots=True)
class Reported:
    """One published number (``value`` None: a named gap). Values and standard deviations are in percent.

    ``spread`` and ``freedom``: as in ``Row``, of this cell; ``world``: the world it was recorded on. None in published ones.
    """

    paper: str
    citation: str
    rank: int
    table: str
    model: str
    regime: str | None
    method: str
    task: str | None
    language: str
    average_over: tuple[str, ...] | str | None
    metric: str
    scale: str
    value: float | None
    std: float | None
    seeds: int | None
    split: str
    profile: str
    source: str
    confidence: str
    incompatible: str | None
    note: str | None
    spread: float | None = None
    freedom: float | None = None
    world: str | None = None

    def averages_over(self, expected: Sequence[str]) -> frozenset[str] | None:
        """The languages of a printed average, given those of the task; None when the source does not say."""
        if isinstance(self.average_over, tuple):
            return frozenset(self.average_over)
        if self.average_over == "with-en":
            return frozenset(expected)
        if self.average_over == "without-en":
            return frozenset(expected) - {"en"}
        return None


def _flatten(paper: Paper) -> Iterable[Reported]:
    for group in paper.tables:
        for row in group.rows:
            for language, value in row.values.items():
                freedom = row.freedom.languages if row.freedom is not None and language in row.spread else None
                cell = _Cell(language, value, row.std.get(language), row.spread.get(language), freedom)
                yield _entry(paper, group, row, cell)
            for average in row.averages:
                over = tuple(average.over) if isinstance(average.over, list) else average.over
                freedom = row.freedom.averages if row.freedom is not None and average.spread is not None else None
                yield _entry(
                    paper, group, row, _Cell(AVERAGE, average.value, average.std, average.spread, freedom, over)
                )


class _Cell(NamedTuple):
    """What is of one cell only."""

    language: str
    value: float | None
    std: float | None
    spread: float | None
    freedom: float | None
    over: tuple[str, ...] | str | None = None


def _entry(paper: Paper, group: Group, row: Row, cell: _Cell) -> Reported:
    why = row.incompatible
    return Reported(
        paper=paper.paper,
        citation=paper.citation,
        rank=paper.rank,
        table=group.table,
        model=row.model,
        regime=row.regime,
        method=row.method,
        task=row.task,
        language=cell.language,
        average_over=cell.over,
        metric=row.metric,
        scale=group.scale,
        value=cell.value,
        std=cell.std,
        seeds=row.seeds,
        split=group.split,
        profile=group.profile,
        source=group.source,
        confidence=group.confidence,
        incompatible=why if isinstance(why, str) else why.get(cell.language),
        note=" ".join(text for text in (group.note, row.note) if text) or None,
        spread=cell.spread,
        freedom=cell.freedom,
        world=None if paper.recorded is None else paper.recorded.world,
    )


def load_reported(folder: Path) -> list[Reported]:
    """Read every file of ``configs/reported``, in name order.

    Raises:
        InputError: with file and line, for a value without a source or scale, a value off its scale, an unknown key,
            or a file whose ``paper`` is not its name.
    """
    entries: list[Reported] = []
    for path in visible(folder, "*.yaml"):
        paper = parse(Paper, load_yaml(path), path)
        if paper.paper != path.stem:
            raise InputError(f"paper: expected {path.stem} (the file's name), got {paper.paper}", path)
        entries.extend(_flatten(paper))
    return entries


def matches(
    reported: Iterable[Reported], model: str, regime: str, task: str, language: str, metric: str
) -> list[Reported]:
    """Every entry for a cell, best first: comparable values, others, gaps; then by the paper's rank and confidence."""
    key = (model, regime, task, language, metric)
    found = [e for e in reported if (e.model, e.regime, e.task, e.language, e.metric) == key]
    return sorted(
        found, key=lambda e: (e.value is None, e.incompatible is not None, e.rank, _TRUST.index(e.confidence), e.paper)
    )


def find(
    reported: Iterable[Reported], model: str, regime: str, task: str, language: str, metric: str
) -> Reported | None:
    """The entry a cell is compared with (the first of ``matches``), which may be a gap; None when nothing is known.

    For an average (``language="avg"``) compare ``averages_over`` with the languages at hand before using the value.
    """
    found = matches(reported, model, regime, task, language, metric)
    return found[0] if found else None
