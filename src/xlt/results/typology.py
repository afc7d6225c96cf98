"""What is known of the languages themselves: distance from English, size of the pre-training text.

For real languages the facts are those of ``configs/languages.yaml``; a generated world's ``languages.yaml`` states its own
distances, which it has by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from xlt import languages
from xlt.config.benchmark import Strict, load_yaml, parse

UNKNOWN = math.inf


class Distance(Strict):
    """Distances from English by language: what they measure, where they come from, under which licence."""

    title: str
    source: str
    licence: str
    method: str
    values: dict[str, float]
    observed: dict[str, int] = Field(default={})


class Pretraining(Strict):
    """Size of a corpus by language, and the models that were pre-trained on it. A language that is not in it has 0."""

    title: str
    unit: str
    source: str
    models: list[str] = Field(min_length=1)
    values: dict[str, float]


class LanguageFacts(Strict):
    """``configs/languages.yaml``."""

    distance: Distance
    pretraining: list[Pretraining]


@dataclass(frozen=True)
class Measure:
    """Something of languages that gains may go with: a title for tables and axes, the source, and the values."""

    title: str
    source: str
    values: dict[str, float]


def load_facts(path: Path) -> LanguageFacts:
    """Read the facts. Raises InputError when the file is absent or malformed."""
    return parse(LanguageFacts, load_yaml(path), path)


def distance(facts: LanguageFacts, codes: Sequence[str]) -> Measure:
    """Distance from English of those of ``codes`` that have one."""
    world = {code: value for code in codes if (value := languages.language(code).distance) is not None}
    if world:
        own = {"en": 0.0} if "en" in codes else {}
        return Measure("distance from the source", "by construction (docs/babel.md)", own | world)
    known = {code: facts.distance.values[code] for code in codes if code in facts.distance.values}
    return Measure(facts.distance.title, f"{facts.distance.source} ({facts.distance.licence})", known)


def pretraining(facts: LanguageFacts, model: str, codes: Sequence[str]) -> Measure | None:
    """Size of the text in each language that ``model`` was pre-trained on; None where none was published."""
    for corpus in facts.pretraining:
        if model in corpus.models:
            known = {code: corpus.values.get(code, 0.0) for code in codes}
            return Measure(f"{corpus.title} ({corpus.unit})", corpus.source, known)
    return None


def by_family(codes: Sequence[str], distances: Measure) -> list[str]:
    """``codes`` with families together: the family with the language nearest to English first, and so inside it."""

    def far(code: str) -> float:
        return distances.values.get(code, UNKNOWN)

    nearest: dict[str, float] = {}
    for code in codes:
        name = languages.family(code)
        nearest[name] = min(nearest.get(name, UNKNOWN), far(code))
    return sorted(codes, key=lambda c: (nearest[languages.family(c)], languages.family(c), far(c), c))


def family_breaks(codes: Sequence[str]) -> list[int]:
    """The places in ``codes`` at which another family begins."""
    return [i for i in range(1, len(codes)) if languages.family(codes[i]) != languages.family(codes[i - 1])]
