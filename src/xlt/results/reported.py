"""Published numbers: the files of ``configs/reported``, checked and flattened, and which one a cell is compared with.

A value must say where it was seen and on what scale it is; a number known to be missing is a named gap (``null``).
One file may be this artifact's own expectations (``recording``), which ``make expectations`` writes from finished runs.
An average says over which languages it was taken: the same task has published averages with and without English, over
eleven and over twelve languages, and they are not the same quantity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from xlt.config.benchmark import Strict, load_yaml, parse
from xlt.config.yaml_files import line_of
from xlt.errors import InputError
from xlt.names import visible
from xlt.results.protocol_facts import Facts, Protocol, lacking, merged
from xlt.results.recording import Recording, is_recording

AVERAGE = "avg"
Over = Literal["with-en", "without-en", "as printed"]
Confidence = Literal["seen", "seen-secondhand", "recomputed", "not found"]
_TRUST = ("seen", "seen-secondhand", "recomputed", "not found")


class PrintedAverage(Strict):
    """A printed average. ``over`` lists its languages; ``as printed`` when the source does not say which they are."""

    value: float | None
    std: float | None = None
    over: list[str] | Over


class PublishedRow(Strict):
    """One row of a published table: values by language, null where the row has a cell that could not be read.

    ``method`` is the row's name as printed; ``regime`` is the regime it stands for, null when there is none.
    ``protocol``: facts in which it differs from its table (xlt.results.protocol_facts).
    """

    model: str
    regime: str | None
    method: str
    task: str | None
    metric: Literal["accuracy", "accuracy_into_english", "f1", "exact_match", "map@20", "map", "cosine"]
    seeds: int | None = Field(default=None, ge=1)
    values: dict[str, float | None] = Field(default_factory=dict)
    std: dict[str, float] = Field(default_factory=dict)
    averages: list[PrintedAverage] = Field(default_factory=list)
    protocol: Facts | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PublishedRow:
        if not self.values and not self.averages:
            raise ValueError("expected values or averages, got neither")
        numbers = [*self.values.values(), *(average.value for average in self.averages)]
        for number in numbers:
            if number is not None and not 0.0 <= number <= 100.0:
                raise ValueError(f"expected percentages, got {number}; convert it to the stated scale")
        given = {code for code, value in self.values.items() if value is not None}
        if unknown := set(self.std) - given:
            raise ValueError(f"expected std of given values only, got one for {', '.join(sorted(unknown))}")
        return self


class Group(Strict):
    """A published table (or a part seen in one place). ``source`` says where the figures were read.

    ``profile`` is the profile whose runs follow its protocol.
    """

    table: str
    source: str = Field(min_length=1)
    confidence: Confidence
    scale: Literal["percent", "cosine"]
    profile: str = "paper"
    split: Literal["dev", "test"] = "test"
    protocol: Protocol | None = None
    note: str | None = None
    rows: list[PublishedRow]

    @model_validator(mode="after")
    def _gaps_only_when_not_found(self) -> Group:
        numbers = [value for row in self.rows for value in (*row.values.values(), *(a.value for a in row.averages))]
        if self.confidence == "not found" and any(number is not None for number in numbers):
            raise ValueError("confidence 'not found' is for gaps; a value needs the place where it was seen")
        return self


class Paper(Strict):
    """One file. ``rank`` orders papers that report the same cell: 1 is this artifact's protocol, higher is further.

    ``protocol``: the facts of all its numbers (xlt.results.protocol_facts); a table or row says where it differs.
    """

    paper: str
    citation: str = Field(min_length=1)
    url: list[str] = Field(default_factory=list)
    rank: int = Field(ge=1)
    protocol: Protocol | None = None
    tables: list[Group]

    @model_validator(mode="after")
    def _has_a_place(self) -> Paper:
        if not self.url:
            raise ValueError("expected url, at least one: where the paper is found")
        return self

    @model_validator(mode="after")
    def _accuracy_of_tags(self) -> Paper:
        """XTREME's tables call the F1 of tagging accuracy (google-research/xtreme, issue 56), and others repeat it."""
        for group in self.tables:
            for row in group.rows:
                if (row.task, row.metric) == ("udpos", "accuracy") and not (row.note or group.note):
                    raise ValueError("expected a note on udpos accuracy, what it is: XTREME prints F1 under that name")
        return self


@dataclass(frozen=True, slots=True)
class Reported:
    """One published number (``value`` None: a named gap). Values and standard deviations are in percent.

    Of this artifact's own expectations ``value`` is the mean over the recorded runs, ``spread`` their standard deviation as
    verification uses it (``spreads``), known with ``freedom`` degrees of freedom, and ``world`` the digest of the world they
    were recorded on. These three are None in published ones.
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
    facts: Facts
    note: str | None
    spread: float | None = None
    freedom: float | None = None
    world: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The number with all that is known of it, as JSON-like values."""
        return {**asdict(self), "facts": self.facts.stated()}

    def averages_over(self, expected: Sequence[str]) -> frozenset[str] | None:
        """The languages of a printed average, given those of the task; None when the source does not say."""
        if isinstance(self.average_over, tuple):
            return frozenset(self.average_over)
        if self.average_over == "with-en":
            return frozenset(expected)
        if self.average_over == "without-en":
            return frozenset(expected) - {"en"}
        return None


def row_facts(paper: Paper, group: Group, row: PublishedRow) -> Facts:
    """The facts of a row's numbers."""
    return merged([paper.protocol, group.protocol, row.protocol], row.model, row.task)


def _taken(source: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def _flatten(paper: Paper, path: Path) -> Iterable[Reported]:
    """Every number of a paper; those of a task need the facts that decide what they may be compared with, a gap has none."""
    for number, group in enumerate(paper.tables):
        of_group = _taken(group, "table", "scale", "split", "profile", "source", "confidence")
        for place, row in enumerate(group.rows):
            facts = row_facts(paper, group, row)
            message = None if row.task is None or group.confidence == "not found" else lacking(row.task, facts)
            if message is not None:
                raise InputError(message, path, line_of(path, ("tables", number, "rows", place)))
            common = _taken(paper, "paper", "citation", "rank") | of_group
            common |= _taken(row, "model", "regime", "method", "task", "metric", "seeds")
            common |= {"facts": facts, "note": " ".join(text for text in (group.note, row.note) if text) or None}
            for code, value in row.values.items():
                yield Reported(**common, language=code, average_over=None, value=value, std=row.std.get(code))
            for mean in row.averages:
                over = tuple(mean.over) if isinstance(mean.over, list) else mean.over
                yield Reported(**common, language=AVERAGE, average_over=over, value=mean.value, std=mean.std)


def _expected(recording: Recording) -> Iterable[Reported]:
    """The mean of every recorded cell, and of every average over a row's languages, with its spread."""
    from xlt.results.spreads import expected  # scipy: slow import

    common = _taken(recording, "paper", "citation", "rank", "table", "model", "source")
    common |= {"scale": "percent", "split": "test", "confidence": "recomputed", "facts": Facts(), "note": None}
    common |= {"profile": recording.paper, "world": recording.recorded.world, "seeds": len(recording.recorded.runs)}
    for cell in expected(recording):
        yield Reported(
            **common,
            **_taken(cell.row, "regime", "method", "task", "metric"),
            **_taken(cell, "std", "spread", "freedom"),
            language=cell.language or AVERAGE,
            average_over=tuple(cell.row.scores) if cell.language is None else None,
            value=cell.mean,
        )


def load_reported(folder: Path) -> list[Reported]:
    """Read every file of ``configs/reported``, in name order.

    Raises:
        InputError: with file and line, for a value without a source, scale or the facts of its protocol, a value off its
            scale, an unknown key, or a file whose ``paper`` is not its name.
    """
    entries: list[Reported] = []
    for path in visible(folder, "*.yaml"):
        content = load_yaml(path)
        paper = parse(Recording, content, path) if is_recording(content) else parse(Paper, content, path)
        if paper.paper != path.stem:
            raise InputError(f"paper: expected {path.stem} (the file's name), got {paper.paper}", path)
        if isinstance(paper, Recording):
            entries.extend(_expected(paper))
        else:
            entries.extend(_flatten(paper, path))
    return entries


def matches(
    reported: Iterable[Reported], model: str, regime: str, task: str, language: str, metric: str
) -> list[Reported]:
    """Every entry for a cell: values, then gaps; by the paper's rank and confidence."""
    key = (model, regime, task, language, metric)
    found = [e for e in reported if (e.model, e.regime, e.task, e.language, e.metric) == key]
    return sorted(found, key=lambda e: (e.value is None, e.rank, _TRUST.index(e.confidence), e.paper))
