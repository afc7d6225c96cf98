"""The benchmark itself (table 1): tasks, languages, metrics, and each split's size found on disk beside the published one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from xlt.config.benchmark import Recipe, Strict, Table, Task, load_yaml, parse
from xlt.errors import InputError
from xlt.files import to_json
from xlt.results import export, formatting
from xlt.results.render import Document, Grid, Section, Text
from xlt.results.run_folders import Plan

Status = Literal["equal", "different", "no file", "no published value"]
TRAINING = "training "
"""Before a recipe's name: the name of its set."""
STATUSES: tuple[Status, ...] = ("equal", "different", "no file", "no published value")
Size = Annotated[int, Field(ge=0)]
Counts = Mapping[str, Mapping[str, Mapping[str, int | None]]]
"""Set, split, language -> examples found; None: there is no file."""


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
class Cell:
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


@dataclass(frozen=True)
class SizesTable:
    """Everything the table says, as values."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    recipes: dict[str, Recipe]
    cells: list[Cell]
    published: dict[str, Published]


def build(
    config: Table,
    plan: Plan,
    tasks: dict[str, Task],
    recipes: dict[str, Recipe],
    counts: Counts,
    path: Path,
    *,
    world: bool,
) -> SizesTable:
    """Compare counts with the published sizes in the file ``path``.

    Raises:
        InputError: the file names a set that is of no task and no recipe.
    """
    sizes = parse(Sizes, load_yaml(path), path)
    published = sizes.world if world else sizes.official
    for name in published:
        if name.split()[0] not in tasks and name.removeprefix(TRAINING) not in recipes:
            raise InputError(f"expected sets of {', '.join(tasks)} or training sets, got {name}", path)
    cells = [
        Cell(name, split, code, found, published[name].size(split, code) if name in published else None)
        for name, by_split in counts.items()
        for split, by_language in by_split.items()
        for code, found in by_language.items()
    ]
    return SizesTable(config, plan, tasks, recipes, cells, published)


def _title(table: SizesTable, name: str) -> str:
    if name.startswith(TRAINING):
        recipe, _, part = name.removeprefix(TRAINING).partition(" ")
        return f"Training: {table.recipes[recipe].title}{f', {part}' if part else ''}"
    task, _, part = name.partition(" ")
    return f"{table.tasks[task].title}{f', {part}' if part else ''}"


def _summary(table: SizesTable) -> Section:
    rows = []
    for name in dict.fromkeys(cell.set for cell in table.cells):
        own = [cell for cell in table.cells if cell.set == name]
        counts = [str(sum(cell.status == status for cell in own)) for status in STATUSES]
        languages = str(len({cell.language for cell in own}))
        task = None if name.startswith(TRAINING) else table.tasks[name.split()[0]]
        names = [] if task is None else [formatting.METRIC_TITLES.get(metric, metric) for metric in task.metrics]
        recipe = "" if task is None else table.recipes[task.recipe].title
        rows.append([Text(text) for text in (_title(table, name), languages, ", ".join(names), recipe, *counts)])
    headers = ["Task", "Languages", "Metrics", "Trained on", *(status.capitalize() for status in STATUSES)]
    foot = ["The last four columns count splits in a language: sizes found against sizes published."]
    return Section("Tasks", Grid(headers, rows, "lrllrrrr"), foot)


def _sections(table: SizesTable) -> list[Section]:
    sections = []
    for name in dict.fromkeys(cell.set for cell in table.cells):
        own = {(cell.language, cell.split): cell for cell in table.cells if cell.set == name}
        splits = list(dict.fromkeys(split for _, split in own))
        rows = []
        for code in dict.fromkeys(language for language, _ in own):
            cells = [own.get((code, split)) for split in splits]
            rows.append([Text(code), *(Text("–" if cell is None else cell.text) for cell in cells)])
        source = table.published[name].source if name in table.published else "no published sizes could be verified"
        sections.append(
            Section(_title(table, name), Grid(["Language", *splits], rows, "l" + "r" * len(splits)), [source])
        )
    return sections


def document(table: SizesTable) -> Document:
    """The page."""
    notes = [
        "A number followed by = is the published size; by ? has no published size that could be verified. "
        '"600, not 2,490" differs; "no file (500)" has none, and should have 500.',
        "Counted are examples as the readers return them: what docs/data-layout.md says is left out is not counted.",
        *table.config.notes,
    ]
    header = [("Profile", table.plan.profile)]
    return Document(table.config.title, header, [_summary(table), *_sections(table)], notes)


def to_csv(table: SizesTable) -> str:
    """One line per set, split and language."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "split", "language", "found", "published", "status"])
    for cell in table.cells:
        found, published = ("" if n is None else n for n in (cell.found, cell.published))
        writer.writerow([cell.set, cell.split, cell.language, found, published, cell.status])
    return text.getvalue()


def to_document_json(table: SizesTable, page: Document) -> str:
    """The table with its cells and sources."""
    cells = [
        {
            "set": cell.set,
            "split": cell.split,
            "language": cell.language,
            "found": cell.found,
            "published": cell.published,
            "status": cell.status,
        }
        for cell in table.cells
    ]
    sources = {name: published.source for name, published in table.published.items()}
    return to_json(export.page_json(table.config.name, page) | {"cells": cells, "sources": sources})
