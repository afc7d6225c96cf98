"""Records of a planned run: the files its config names, cut to the caps of its profile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from xlt.config.run_config import FileSet
from xlt.data.overlap import texts_of
from xlt.data.records import Mining, Pair, ParallelText, Question
from xlt.data.sources import Located, has_gold, read, read_candidates

T = TypeVar("T")


def located(data: Path, files: FileSet) -> Located:
    """The files of a planned split, as the readers take them."""
    return Located(files.files[0], files.format, tuple(data / path for path in files.files))


def load_split(data: Path, files: FileSet, language: str, labels: Sequence[str] | None) -> Any:
    """All records of a planned split (or its texts to search), without those the config skips or keeps apart from others."""
    records = read(located(data, files), language, labels)
    if isinstance(records, ParallelText | Mining):
        return records
    end = None if files.take is None else files.skip + files.take
    records = records[files.skip : end]
    if not files.apart:
        return records
    others = [load_split(data, other, code, None) for code, found in files.apart.items() for other in found]
    left_out = frozenset[str]().union(*map(texts_of, others))
    return [record for record in records if left_out.isdisjoint(texts_of([record]))]


def left_out(data: Path, files: FileSet, language: str, labels: Sequence[str] | None) -> int:
    """How many records of a planned split are left out because they share a sentence with what they are kept apart from."""
    if not files.apart:
        return 0
    every = load_split(data, files.model_copy(update={"apart": {}}), language, labels)
    return len(every) - len(load_split(data, files, language, labels))


def load_entities(data: Path, files: FileSet) -> list[Any]:
    """The candidate entities that go with Mewsli-X mentions."""
    return list(read_candidates(located(data, files)))


def truly_labelled(records: Any) -> Any:
    """Without PAWS-X's untranslated rows, whose label is no truth. All other records as they are."""
    if isinstance(records, list):
        return [record for record in records if not (isinstance(record, Pair) and record.untranslated)]
    return records


def sample(records: Sequence[T], cap: int | None) -> list[T]:
    """A capped training set: ``cap`` records drawn once and for all, in file order.

    Files may be sorted by label, so the first ones would not do; every seed of a run trains on the same records.
    """
    if cap is None or cap >= len(records):
        return list(records)
    return [records[i] for i in sorted(random.Random(cap).sample(range(len(records)), cap))]


def first(records: Any, cap: int | None) -> Any:
    """A capped evaluation set: the first ``cap`` records, so that parallel languages keep the same examples."""
    if cap is None:
        return records
    if isinstance(records, ParallelText):
        gold = records.gold[:cap]
        kept = sorted(set(gold))
        place = {old: new for new, old in enumerate(kept)}
        return ParallelText(records.source[:cap], tuple(records.target[i] for i in kept), tuple(place[i] for i in gold))
    if isinstance(records, Mining):
        return _first_pairs(records, cap)
    return records[:cap]


def _first_pairs(collection: Mining, cap: int) -> Mining:
    """A smaller collection: the first ``cap`` gold pairs and nine times as many other sentences of each side."""
    gold = sorted(collection.gold or ())[:cap]
    sides = []
    for side, names in ((collection.source, {s for s, _ in gold}), (collection.target, {t for _, t in gold})):
        others = [name for name in side if name not in names][: 9 * cap]
        kept = names.union(others)
        sides.append({name: text for name, text in side.items() if name in kept})
    return Mining(sides[0], sides[1], frozenset(gold) if collection.gold is not None else None)


def labelled(records: Any) -> bool:
    """Whether gold is there to score against."""
    if isinstance(records, ParallelText):
        return True
    if isinstance(records, Mining):
        return records.gold is not None
    return has_gold(records)


def answerable(records: Any) -> Any:
    """Questions with a gold answer; the QA tasks of XTREME have no others. All other records as they are."""
    if isinstance(records, list) and records and isinstance(records[0], Question):
        return [record for record in records if record.answers]
    return records
