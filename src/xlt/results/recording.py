"""This artifact's own expectations of a profile: the score of every cell in every recorded run, in ``configs/reported``.

The file holds scores only; means, spreads and averages are derived from them (``spreads``, ``page_tests``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xlt.config.benchmark import Strict, load_yaml, parse

Key = tuple[str, str, str, str]
"""(regime, task, metric, language) of a cell."""
Percentage = Annotated[float, Field(ge=0, le=100)]


class RecordedRun(Strict):
    """One recorded page: the seed of its runs, and the CPU kernels of torch they were computed with."""

    seed: int
    kernel: str


class Origin(Strict):
    """What the runs were made from and with.

    ``world``: digest of the generated world's files and dials. ``encoders``: SHA-256 of the weights they started from, for
    information. ``commits``, ``platforms``: what they were made with and on.
    """

    world: str = Field(min_length=1)
    runs: list[RecordedRun] = Field(min_length=3)
    encoders: list[str]
    commits: list[str]
    platforms: list[str]


class RecordedRow(Strict):
    """A task's metric in a regime: by language, the score in percent in each run of ``Origin.runs``, in that order."""

    regime: str
    method: str
    task: str
    metric: str
    scores: dict[str, list[Percentage]] = Field(min_length=1)


class Recording(Strict):
    """One file. ``examples``: how many test examples a score is of, by task and language. ``rank``: as in ``Paper``."""

    paper: str
    citation: str = Field(min_length=1)
    rank: Literal[1]
    model: str
    table: str
    source: str
    recorded: Origin
    examples: dict[str, dict[str, Annotated[int, Field(ge=1)]]]
    rows: list[RecordedRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Recording:
        count = len(self.recorded.runs)
        if len({run.seed for run in self.recorded.runs}) < count:
            raise ValueError("expected runs with different seeds; record again with make expectations")
        for row in self.rows:
            where = f"{row.regime}, {row.task}, {row.metric}"
            if short := [code for code, values in row.scores.items() if len(values) != count]:
                raise ValueError(f"{where}: expected {count} scores for {short[0]}, one of each run")
            if uncounted := set(row.scores) - set(self.examples.get(row.task, {})):
                raise ValueError(f"examples: expected a number for {row.task} in {', '.join(sorted(uncounted))}")
        return self

    @property
    def keys(self) -> list[Key]:
        """The cells, in the order of the file."""
        return [(row.regime, row.task, row.metric, code) for row in self.rows for code in row.scores]


def is_recording(content: Any) -> bool:
    """Whether a file of ``configs/reported`` holds recorded scores, not a paper's numbers."""
    return isinstance(content, dict) and "recorded" in content


def load_recording(folder: Path, profile: str, model: str) -> Recording | None:
    """The recorded scores of a profile and model, from ``configs/reported``; None when there are none.

    Raises:
        InputError: with file and line, when the file is not of the expected form.
    """
    path = folder / f"{profile}.yaml"
    content = load_yaml(path) if path.exists() else None
    if not is_recording(content):
        return None
    found = parse(Recording, content, path)
    return found if found.model == model else None


def positions(keys: Iterable[Key]) -> dict[Key, int]:
    """Where each cell stands."""
    return {key: number for number, key in enumerate(keys)}
