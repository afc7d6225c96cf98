"""The rows of the tables: which regimes each one shows under a profile, those made by crossing included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Profile, Table
from xlt.config.regimes import Intermediate, Regime
from xlt.errors import InputError
from xlt.names import one_of


@dataclass(frozen=True)
class TableRows:
    """By table: the regimes it shows, and those the profile leaves out of it."""

    shown: dict[str, list[str]]
    left_out: dict[str, list[str]]


def crossed(base: Regime, recipe: str) -> Regime:
    """``base`` after intermediate training on ``recipe``, the weights going on."""
    intermediate = Intermediate(recipes=[recipe], transfer="continue")
    return base.model_copy(
        update={
            "name": f"{base.name}-after-{recipe}",
            "title": f"{base.title} + {recipe}",
            "description": f"{base.description} First the same is trained on {recipe} and its weights go on.",
            "intermediate": intermediate,
        }
    )


def planned_regimes(regimes: Mapping[str, Regime], tables: Mapping[str, Table], path: Path) -> dict[str, Regime]:
    """All regimes by name: the configured ones, and those that a table's grid adds.

    Raises:
        InputError: a table names a regime that is not configured, or adds one whose name another has.
    """
    planned = dict(regimes)
    for table in tables.values():
        bases = table.grid.regimes if table.grid is not None else []
        for name in [*table.regimes, *bases]:
            if name not in regimes:
                raise InputError(f"regimes: {one_of(regimes, name)}", path / f"{table.name}.yaml")
        for base in bases:
            for recipe in table.grid.intermediates if table.grid is not None else []:
                made = crossed(regimes[base], recipe)
                if all(other.axes() != made.axes() for other in planned.values()):
                    if made.name in planned:
                        message = f"a row of the grid is called {made.name}, as another regime is; rename the regime"
                        raise InputError(message, path / f"{table.name}.yaml")
                    planned[made.name] = made
    return planned


def rows_of_table(table: Table, planned: Mapping[str, Regime]) -> list[str]:
    """All rows of a table: its regimes, then each regime of the grid followed by its crossings."""
    rows = list(table.regimes)
    if table.grid is not None:
        for base in table.grid.regimes:
            rows.append(base)
            for recipe in table.grid.intermediates:
                axes = crossed(planned[base], recipe).axes()
                rows.append(next(name for name, other in planned.items() if other.axes() == axes))
    return list(dict.fromkeys(rows))


def rows_of(
    tables: Mapping[str, Table], profile: Profile, planned: Mapping[str, Regime], *, all_rows: bool, path: Path
) -> TableRows:
    """The rows that each table shows under ``profile``, and those left out (none when ``all_rows``)."""
    shown, left_out = {}, {}
    for name, table in tables.items():
        rows = rows_of_table(table, planned)
        chosen = rows if all_rows else profile.rows.get(name, rows)
        for row in chosen:
            if row not in rows:
                raise InputError(f"rows.{name}: {one_of(rows, row)}", path / f"{profile.name}.yaml")
        shown[name], left_out[name] = chosen, [row for row in rows if row not in chosen]
    return TableRows(shown, left_out)
