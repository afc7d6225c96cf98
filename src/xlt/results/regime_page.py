"""``docs/regimes.md``, written from the configs: every regime with its settings and their sources, and what is refused.

``make docs`` writes it; a test compares it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tabulate import tabulate

from xlt.config.benchmark import load_all
from xlt.config.regimes import CONTRADICTIONS, KINDS, Regime
from xlt.files import SOURCE_ROOT, write_atomic
from xlt.names import visible

SETTING = re.compile(r"^\s*(\w+): *(.*?) +# (.+)$")
"""A line of a config that says where its value comes from."""
VALUES: dict[str, dict[str, Mapping[str, object] | str]] = {
    "intermediate": {
        "continue": {"recipes": ["mnli"]},
        "stack": {"recipes": ["mnli"], "transfer": "stack"},
        "fuse": {"recipes": ["mnli"], "transfer": "fuse"},
    },
    "robustness": {
        "adversarial": {"kind": "adversarial", "radius": 0.1, "step_size": 0.1},
        "random": {"kind": "random", "radius": 0.1},
        "synonyms": {"kind": "synonyms", "copies": {"default": 3}},
        "repeated": {"kind": "repeated", "copies": {"default": 3}},
    },
    "smoothing": {"votes": {"sigma": 0.1}},
    "unfreezing": {"gradual": {"kind": "gradual"}, "fisher": {"kind": "fisher"}},
    "lexical": {"a config": "tli"},
    "checkpoint": {"average": "average"},
}
"""One example of each value of each axis beside tuning."""
INTRODUCTION = """\
# Regimes

*For users: every regime, the source of each of its settings, and what cannot be combined.*

Written by `make docs` from `configs/regimes`; do not edit. A regime is a point on the axes below (docs/architecture.md); what
each value means, with paper and section, stands at its class in `src/xlt/config/regimes.py`. To add one: docs/extending.md.
"""
LEFT_OUT = """\
Some recipes make no sense with some regimes and are left out of their plan: with `head`, those of the retrieval tasks (a dual
encoder's head is one factor on all similarities, which changes no ranking); with `frozen`, all but the retrieval of Tatoeba
and BUCC; with smoothed prediction, tasks whose predictions cannot be voted on.
"""


def page(configs: Path) -> str:
    """The whole page for the regimes in the folder ``configs``."""
    regimes = load_all(Regime, configs)
    parts = [
        INTRODUCTION,
        "## All regimes\n",
        _table(["Regime", "Title", "Tuning", "Beside it"], [_row(regime) for regime in regimes.values()]),
        "## Settings and where they come from\n",
        _table(["Regimes", "Setting", "Value", "Source"], _settings(configs)),
        "## What can be combined\n",
        "Rows: tuning. A number means refused, for the reason with that number below; the config is not even planned.\n",
        _table(["", *(f"{axis}: {value}" for axis in VALUES for value in VALUES[axis])], _combinations()),
        _table(["", "Key", "Reason", "Expected"], _reasons()),
        LEFT_OUT,
    ]
    return "\n".join(parts)


def _table(headers: list[str], rows: list[list[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True) + "\n"


def _row(regime: Regime) -> list[str]:
    """Name, title, tuning, and the other axes' values that are not the default."""
    axes = regime.axes()
    others = [f"{axis}: {_short(axes[axis])}" for axis in (*VALUES, "training", "instead") if axes.get(axis)]
    return [f"`{regime.name}`", regime.title, _short(axes["tuning"]), "; ".join(others)]


def _short(value: Any) -> str:
    """A value of an axis in one line, its kind first, settings that are not given left out."""
    if not isinstance(value, Mapping):
        return str(value)
    given = {key: each for key, each in value.items() if each not in (None, {})}
    kind = given.pop("kind", None)
    rest = ", ".join(f"{key} {_plain(each)}" for key, each in given.items())
    return " ".join(part for part in (kind, f"({rest})" if kind and rest else rest) if part)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_plain(each)}" for key, each in value.items() if each is not None)
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _settings(configs: Path) -> list[list[str]]:
    """Every line of the regimes' files that carries a source: the regimes that have it, setting, value, source."""
    regimes: dict[tuple[str, ...], list[str]] = {}
    for path in visible(configs, "*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = SETTING.match(line)
            if match is not None:
                regimes.setdefault(tuple(cell.replace("|", "\\|") for cell in match.groups()), []).append(path.stem)
    return [[", ".join(f"`{name}`" for name in names), *setting] for setting, names in regimes.items()]


def _combinations() -> list[list[str]]:
    """Per tuning, for each value of each other axis: ``yes``, or the number of the reason why not."""
    return [
        [f"`{kind}`", *(_verdict(kind, axis, value) for axis in VALUES for value in VALUES[axis])] for kind in KINDS
    ]


def _verdict(kind: str, axis: str, value: str) -> str:
    given = {"name": "x", "title": "x", "description": "x", "tuning": {"kind": kind}, axis: VALUES[axis][value]}
    try:
        Regime.model_validate(given)
    except ValidationError as error:
        (only,) = error.errors()
        message = only["msg"].removeprefix("Value error, ")
        return str(1 + [each.message for each in CONTRADICTIONS].index(message))
    return "yes"


def _reasons() -> list[list[str]]:
    return [
        [str(number), f"`{each.key}`", each.why, each.allowed] for number, each in enumerate(CONTRADICTIONS, start=1)
    ]


if __name__ == "__main__":
    write_atomic(SOURCE_ROOT / "docs" / "regimes.md", page(SOURCE_ROOT / "configs" / "regimes"))
