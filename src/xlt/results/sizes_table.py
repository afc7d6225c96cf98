"""The benchmark itself (table 1): tasks, languages, metrics, and each split's size found on disk beside the published one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from xlt.config.benchmark import Recipe, Strict, load_all, load_yaml, parse
from xlt.errors import InputError
from xlt.results import formatting
from xlt.results.export import Record, to_csv
from xlt.results.render import Document, Section, text_grid
from xlt.results.score_table import ConfiguredTable, Inputs

Status = Literal["equal", "different", "no file", "no published value"]
TRAINING = "training "
"""Before a recipe's name: the name of its set."""
STATUSES: tuple[Status, ...] = ("equal", "different", "no file", "no published value")
Size = Annotated[int, Field(ge=0)]
COLUMNS = ["set", "split", "language", "found", "published", "status"]


class Published(Strict):
    """The published sizes of a set: one number for a split stands for each of its languages."""

    source: str = Field(min_length=1)
    train: Size | dict[str, Size] = Field(default={})
    dev: Size | dict[str, Size] = Field(default={})
    test: Size | dict[str, Size] = Field(default={})

    def size(self, split: str, language: str) -> int | None:
        """The published number of examples, or None."""
        sizes: int | dict[str, int] = getattr(self, split)
        return sizes if isinstance(sizes, int) else sizes.get(language)


class Sizes(Strict):
    """``configs/sizes.yaml``: published sizes of the official files, by set, and of the generated world's."""

    official: dict[str, Published]
    world: dict[str, Published]


@dataclass(frozen=True)
class SplitSize:
    """One split of a set in one language."""

    set: str
    split: str
    language: str
    found: int | None
    published: int | None

    @property
    def status(self) -> Status:
        """How found and published compare."""
        if self.found is None:
            return "no file"
        if self.published is None:
            return "no published value"
        return "equal" if self.found == self.published else "different"

    @property
    def text(self) -> str:
        """The cell as shown: ``2,490 =``, ``600 of 2,490``, ``no file``, ``257 ?``."""
        published = "" if self.published is None else f"{self.published:,}"
        match self.status:
            case "equal":
                return f"{self.found:,} ="
            case "different":
                return f"{self.found:,}, not {published}"
            case "no published value":
                return f"{self.found:,} ?"
        return f"no file ({published})" if published else "no file"


class SizesTable(ConfiguredTable):
    """Table 1: the counts of ``Inputs.sizes`` beside the published sizes of ``configs/sizes.yaml``.

    Raises:
        InputError: that file names a set that is of no task and no recipe.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.recipes = load_all(Recipe, inputs.configs / "recipes")
        path = inputs.configs / "sizes.yaml"
        sizes = parse(Sizes, load_yaml(path), path)
        self.published = sizes.world if inputs.world else sizes.official
        for name in self.published:
            if name.split()[0] not in self.tasks and name.removeprefix(TRAINING) not in self.recipes:
                raise InputError(f"expected sets of {', '.join(self.tasks)} or training sets, got {name}", path)
        self.cells = [
            SplitSize(name, split, code, found, self._published(name, split, code))
            for name, by_split in (inputs.sizes or {}).items()
            for split, by_language in by_split.items()
            for code, found in by_language.items()
        ]
        self.sets = list(dict.fromkeys(cell.set for cell in self.cells))

    def _published(self, name: str, split: str, language: str) -> int | None:
        return self.published[name].size(split, language) if name in self.published else None

    def _title(self, name: str) -> str:
        training = name.startswith(TRAINING)
        base, _, part = name.removeprefix(TRAINING).partition(" ")
        title = f"Training: {self.recipes[base].title}" if training else self.tasks[base].title
        return f"{title}, {part}" if part else title

    @cached_property
    def document(self) -> Document:
        """How many splits compare in which way, then a section for each set."""
        notes = [
            "A number followed by = is the published size; by ? has no published size that could be verified. "
            '"600, not 2,490" differs; "no file (500)" has none, and should have 500.',
            "Counted are examples as the readers return them: what docs/data-layout.md says is left out is not counted.",
            *self.config.notes,
            *self.cite_note,
        ]
        header = [("Profile", self.plan.profile)]
        return Document(self.config.title, header, [self._summary(), *map(self._section, self.sets)], notes)

    def _summary(self) -> Section:
        rows = []
        for name in self.sets:
            own = [cell for cell in self.cells if cell.set == name]
            counts = [str(sum(cell.status == status for cell in own)) for status in STATUSES]
            languages = str(len({cell.language for cell in own}))
            task = None if name.startswith(TRAINING) else self.tasks[name.split()[0]]
            names = [] if task is None else [formatting.METRIC_TITLES.get(metric, metric) for metric in task.metrics]
            recipe = "" if task is None else self.recipes[task.recipe].title
            rows.append([self._title(name), languages, ", ".join(names), recipe, *counts])
        headers = ["Task", "Languages", "Metrics", "Trained on", *(status.capitalize() for status in STATUSES)]
        foot = ["The last four columns count splits in a language: sizes found against sizes published."]
        return Section("Tasks", text_grid(headers, rows, "lrllrrrr"), foot)

    def _section(self, name: str) -> Section:
        own = {(cell.language, cell.split): cell.text for cell in self.cells if cell.set == name}
        splits, codes = (list(dict.fromkeys(key[place] for key in own)) for place in (1, 0))
        rows = [[code, *(own.get((code, split), "–") for split in splits)] for code in codes]
        source = self.published[name].source if name in self.published else "no published sizes could be verified"
        return Section(self._title(name), text_grid(["Language", *splits], rows), [source])

    @property
    def csv(self) -> str:
        """One line per set, split and language."""
        return to_csv(map(_record, self.cells), COLUMNS)

    @property
    def content(self) -> dict[str, Any]:
        """The cells and the sources."""
        sources = {name: published.source for name, published in self.published.items()}
        return {"cells": [_record(cell) for cell in self.cells], "sources": sources}


def _record(cell: SplitSize) -> Record:
    return {column: getattr(cell, column) for column in COLUMNS}
