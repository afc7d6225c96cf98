"""The plan of the paper profile without any data file: every official split as large as its owner says (REPRODUCE.md)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field, model_validator

from xlt.config.benchmark import Recipe, Source, Strict, Task, load
from xlt.config.run_config import FileSet, RunConfig
from xlt.errors import InputError
from xlt.planning.cost import TableCost, show, table_cost
from xlt.planning.data_files import DataFiles
from xlt.planning.flops import shape_said
from xlt.planning.make_plan import plan_asked_for
from xlt.planning.plan import WorkPlan, build
from xlt.planning.throughput import Gpu, gpu_speed
from xlt.planning.token_counts import Extent, Extents, Spec
from xlt.results.sizes_table import TRAINING, Sizes


class Length(Strict):
    """Rows of an example, their mean length in sub-words, and the sum of the squares over the sum."""

    rows: float = Field(gt=0)
    tokens: float = Field(gt=0)
    spread: float = Field(gt=0)


class Planning(Strict):
    """``configs/planning.yaml``: lengths by set or family, and assumed sizes."""

    lengths: dict[str, Length]
    sizes: dict[str, int]

    @model_validator(mode="after")
    def _sizes_of_last_resort(self) -> Planning:
        if absent := {"dev", "candidates"} - self.sizes.keys():
            raise ValueError(f"sizes: expected the keys {', '.join(sorted(absent))}")
        return self


class PublishedFiles(DataFiles):
    """As if every official file were there; word lists and raw text are none, so what needs them has no runs."""

    def find(
        self, sources: Sequence[Source], language: str, split: str, question_language: str | None = None
    ) -> FileSet | None:
        """A stand-in for the files of the first source that has the language."""
        for source in sources:
            if source.languages is None or language in source.languages:
                return FileSet(format=source.format, files=[f"{split}/{language}"], sha256={})
        return None

    def neighbours(self, path: str) -> FileSet | None:
        """A stand-in for the file of synonyms."""
        return FileSet(format="neighbours", files=[path], sha256={})


class PublishedExtents(Extents):
    """Extents from published sizes and typical lengths in place of files."""

    def __init__(self, configs: Path) -> None:
        self.path = configs / "planning.yaml"
        self.sizes, self.planning = load(Sizes, configs / "sizes.yaml").official, load(Planning, self.path)
        self.changed = False  # nothing is measured, so nothing is kept

    def train(self, files: FileSet, recipe: Recipe, cap: int | None) -> Extent:
        """A training set as large as published."""
        return self._published(recipe, self._size(TRAINING + set_of(recipe), "train", recipe.language, cap))

    def test(self, files: FileSet, spec: Spec, language: str, cap: int | None) -> Extent:
        """A test set as large as published; for a recipe its development set."""
        if isinstance(spec, Recipe):
            return self._published(spec, self._size(TRAINING + set_of(spec), "dev", language, cap))
        return self._published(spec, self._size(spec.name.removesuffix("-pairs"), "test", language, cap))

    def candidates(self, files: FileSet, task: Task) -> Extent:
        """Mewsli-X's entities."""
        return self._published(task, self.planning.sizes["candidates"])

    def _size(self, name: str, split: str, language: str, cap: int | None) -> int:
        published = self.sizes[name].size(split, language) if name in self.sizes else None
        assumed = self.planning.sizes
        size = published or (assumed["dev"] if split == "dev" else assumed.get(name, assumed["dev"]))
        return size if cap is None else min(size, cap)

    def _published(self, spec: Spec, examples: int) -> Extent:
        lengths, name = self.planning.lengths, set_of(spec).removesuffix("-pairs")
        own = lengths.get(name) or lengths.get(spec.family)
        if own is None:
            raise InputError(f"lengths: expected an entry for {name} or its family {spec.family}; add one", self.path)
        tokens = examples * own.rows * own.tokens
        return Extent(examples, tokens, tokens * own.spread)


def set_of(spec: Spec) -> str:
    """The name under which sizes and lengths of a task, or of a recipe's training set, are listed."""
    return (spec.training_set if isinstance(spec, Recipe) else None) or spec.name


def show_published(options: Namespace) -> None:
    """What ``make plan`` prints before there is a data folder, for the planner's command line; nothing is written."""
    with TemporaryDirectory() as folder:
        plan = plan_asked_for(options, Path(folder), folder, kind=PublishedFiles)
        show(options, plan, PublishedExtents(options.configs))
    print(
        "no data folder yet: counted for all official files, in the sizes that their owners give; make data fetches them"
    )


def paper_runs(configs: Path, model: str) -> list[RunConfig]:
    """The runs of the paper profile with its first seed, with every official file there."""
    with TemporaryDirectory() as folder:
        return list(_paper(configs, folder, model, all_rows=True, seeds="1").runs.values())


def _paper(configs: Path, folder: str, model: str, *, all_rows: bool, seeds: str | None = None) -> WorkPlan:
    where = Path(folder)
    return build(configs, "paper", where, data=where, model=model, seeds=seeds, all_rows=all_rows, kind=PublishedFiles)


def gpu_hours(
    configs: Path, model: str, gpu: Gpu, tables: Sequence[tuple[str, bool]]
) -> dict[tuple[str, bool], TableCost]:
    """What tables of the paper profile cost on a GPU by the FLOP model; each as if it were made alone.

    Args:
        configs: the folder of configs.
        model: a name of ``configs/models``.
        gpu: where it would run.
        tables: names, and whether with every row.
    """
    extents, speed, found = PublishedExtents(configs), gpu_speed(gpu), {}
    with TemporaryDirectory() as folder:
        plans = {every: _paper(configs, folder, model, all_rows=every) for every in {each for _, each in tables}}
        for name, every in sorted(tables, key=lambda table: table[1]):
            shape = shape_said(plans[every].planner.model)
            found[name, every] = table_cost(plans[every], name, extents, shape, speed)
    return found
