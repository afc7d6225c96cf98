"""The kinds of tables: each turns the runs behind its rows into a document, a CSV and a JSON.

A new kind is a module with one such function and an entry in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xlt.config.benchmark import Recipe, Table, Task, load_all
from xlt.results import (
    benchmark_table,
    export,
    grid_table,
    groups_table,
    language_table,
    lexical_table,
    pairs_table,
    sizes_table,
    typology,
)
from xlt.results.render import Document
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, Regime
from xlt.results.typology import Measure, load_facts


@dataclass(frozen=True)
class Inputs:
    """What a table is made from.

    ``regimes`` are its rows in order, with their runs; ``left_out`` the rows that the profile does not run; ``tasks`` its
    columns in order; ``root`` the folder of profile and model, below which ``plan.jobs`` lie; ``configs`` the folder of
    all configs.
    """

    config: Table
    plan: Plan
    root: Path
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    left_out: list[str]
    reported: list[Reported]
    configs: Path
    sizes: Mapping[str, Mapping[str, Mapping[str, int | None]]] | None = None
    """Examples found on disk by set, split and language; counted for kind sizes only."""
    world: bool = False


@dataclass(frozen=True)
class Written:
    """A finished table: the document that Markdown and LaTeX are rendered from, its data, and further files by name."""

    document: Document
    csv: str
    json: str
    files: dict[str, bytes] = field(default_factory=dict)


def benchmark_values(inputs: Inputs) -> benchmark_table.BenchmarkTable:
    """Table 2 as values."""
    return benchmark_table.build(inputs.config, inputs.plan, inputs.tasks, inputs.regimes, inputs.left_out, inputs.root)


def benchmark(inputs: Inputs) -> Written:
    """Regimes by tasks (table 2)."""
    table = benchmark_values(inputs)
    page = benchmark_table.document(table)
    return Written(page, export.benchmark_csv(table), export.benchmark_json(table, page, inputs.reported))


def languages(inputs: Inputs) -> Written:
    """Regimes by languages, task by task, with the gain over each regime's own baseline (table 3)."""
    table = language_table.build(inputs.config, inputs.plan, inputs.root, inputs.tasks, inputs.regimes, inputs.left_out)
    page = language_table.document(table)
    return Written(page, language_table.to_csv(table), language_table.to_document_json(table, page))


def pairs_values(inputs: Inputs) -> pairs_table.PairsTable:
    """Table 4 as values."""
    facts = load_facts(inputs.configs / "languages.yaml")
    return pairs_table.build(
        inputs.config,
        inputs.plan,
        inputs.tasks,
        inputs.regimes,
        inputs.left_out,
        lambda codes: typology.distance(facts, codes),
    )


def pairs(inputs: Inputs) -> Written:
    """Regimes by language pairs, with a matrix and a heat map of each (table 4)."""
    table = pairs_values(inputs)
    page = pairs_table.document(table)
    text = pairs_table.to_document_json(table, page)
    return Written(page, pairs_table.to_csv(table), text, pairs_table.files(table))


def groups_values(inputs: Inputs) -> groups_table.GroupsTable:
    """Table 7 as values."""
    facts = load_facts(inputs.configs / "languages.yaml")

    def measures(codes: Sequence[str]) -> list[Measure]:
        size = typology.pretraining(facts, inputs.plan.model, codes)
        return [typology.distance(facts, codes), *([] if size is None else [size])]

    return groups_table.build(inputs.config, inputs.plan, inputs.tasks, inputs.regimes, inputs.left_out, measures)


def groups(inputs: Inputs) -> Written:
    """Gains by groups of languages, and what they go with (table 7)."""
    table = groups_values(inputs)
    page = groups_table.document(table)
    return Written(
        page, groups_table.to_csv(table), groups_table.to_document_json(table, page), groups_table.files(table)
    )


def sizes(inputs: Inputs) -> Written:
    """The benchmark: sizes on disk against the published ones (table 1)."""
    table = sizes_table.build(
        inputs.config,
        inputs.plan,
        inputs.tasks,
        load_all(Recipe, inputs.configs / "recipes"),
        inputs.sizes or {},
        inputs.configs / "sizes.yaml",
        world=inputs.world,
    )
    page = sizes_table.document(table)
    return Written(page, sizes_table.to_csv(table), sizes_table.to_document_json(table, page))


def grid(inputs: Inputs) -> Written:
    """Intermediate task by target task, with the gain over none (table 5)."""
    table = grid_table.build(inputs.config, inputs.plan, inputs.tasks, inputs.regimes, inputs.left_out)
    page = grid_table.document(table)
    return Written(page, grid_table.to_csv(table), grid_table.to_document_json(table, page))


def lexical(inputs: Inputs) -> Written:
    """Lexical injection: word pairs and zero-shot scores (table 6)."""
    table = lexical_table.build(
        inputs.config, inputs.plan, inputs.root, inputs.tasks, inputs.regimes, inputs.left_out, inputs.reported
    )
    page = lexical_table.document(table)
    return Written(page, lexical_table.table_csv(table), lexical_table.table_json(table, page))


KINDS: dict[str, Callable[[Inputs], Written]] = {
    "benchmark": benchmark,
    "languages": languages,
    "grid": grid,
    "lexical": lexical,
    "pairs": pairs,
    "groups": groups,
    "sizes": sizes,
}
