"""What ``make verify-data`` found, for people: what weighs most first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from xlt.data.leaks import as_table
from xlt.data.verify import Split, Verified

HEAD = {0: "everything is there and right", 1: "something is wrong", 2: "nothing is wrong, something is missing"}
FILES, LABELS, SIZES = "Wrong files", "Wrong labels and ids", "Sizes that are not the published ones"
NAMED = 3
"""Languages or splits that one line names."""


def wrong(result: Verified) -> dict[str, list[str]]:
    """What is wrong by kind, the heaviest kind first: what cannot be read or has changed, labels and ids, sizes."""
    files = _said_once((split, split.unreadable) for split in result.splits if split.unreadable is not None)
    files += [f"{f.path}: expected sha256 {f.expected}, got {f.sha256}" for f in result.files if f.verdict == "changed"]
    labels = _said_once((split, problem) for split in result.splits for problem in split.problems)
    return {FILES: [*files, *result.problems], LABELS: labels, SIZES: _sizes(result.splits)}


def _said_once(found: Iterable[tuple[Split, str]]) -> list[str]:
    """A line for each thing that is said, with the languages of which it is said: a file may hold many."""
    languages: dict[tuple[str, str, str], list[str]] = {}
    for split, said in found:
        languages.setdefault((split.set, split.split, said), []).append(split.language)
    return [f"{name}, {part}, {_named(codes, ' ')}: {said}" for (name, part, said), codes in languages.items()]


def _sizes(splits: Sequence[Split]) -> list[str]:
    """A line for each set, the one that differs in most splits first."""
    lines = []
    for name in dict.fromkeys(split.set for split in splits):
        known = [split for split in splits if split.set == name and split.published is not None]
        other = [split for split in known if split.not_as_published]
        told = [f"{split.split} {split.language} {split.examples} for {split.published}" for split in other]
        lines.append((len(other), f"{name}: {len(other)} of {len(known)}: {_named(told, ', ')}"))
    return [line for number, line in sorted(lines, key=lambda each: -each[0]) if number]


def _named(each: Sequence[str], between: str) -> str:
    return between.join(each[:NAMED]) + (f" and {len(each) - NAMED} more" if len(each) > NAMED else "")


def last_line(result: Verified) -> str:
    """What the script ends with: the verdict, how much of each kind is wrong or missing, and the worst of it."""
    found = {kind: lines for kind, lines in wrong(result).items() if lines}
    if missing := [
        f"{split.set}, {split.split}, {split.language}" for split in result.splits if split.examples is None
    ]:
        found["Missing"] = missing
    if not found:
        return HEAD[result.status]
    counts = ", ".join(f"{kind.lower()}: {len(lines)}" for kind, lines in found.items())
    worst = "the worst" if result.status == 1 else "first"
    return f"{HEAD[result.status]} ({counts}); {worst}: {next(iter(found.values()))[0]}"


def as_markdown(result: Verified, data: Path) -> str:
    """What is wrong, the heaviest first, with leaks before sizes; then one line for each split, and the files by verdict."""
    own, other = (as_table(result.leaks, own=own) for own in (True, False))
    sections = {title: "\n".join(f"- {line}" for line in lines) for title, lines in wrong(result).items()}
    sizes = sections.pop(SIZES)
    rows = [
        (s.set, s.split, s.language, s.examples, s.published, _share(s.labels), s.duplicate_ids, s.overlap, s.verdict)
        for s in result.splits
    ]
    header = ("set", "split", "language", "examples", "published", "labels", "ids twice", "in training", "verdict")
    notes = [f"- {s.set}, {s.split}, {s.language}: {note}" for s in result.splits for note in s.notes]
    kinds = Counter(file.verdict for file in result.files)
    sections |= {
        "Leaks: examples that share a sentence with what trains for them": own,
        SIZES: sizes,
        "Splits": tabulate(rows, header, tablefmt="github", missingval=""),
        "Sentences in common with other training sets": other,
        "Notes": "\n".join(notes),
        "Files": ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())),
    }
    parts = [f"## {title}\n\n{text}\n" for title, text in sections.items() if text]
    return "\n".join([f"# Data in {data}: {HEAD[result.status]}\n", *parts])


def _share(labels: Mapping[str, int]) -> str:
    if not labels or len(labels) > 5:
        return str(len(labels) or "")
    return " ".join(f"{label} {number}" for label, number in labels.items())
