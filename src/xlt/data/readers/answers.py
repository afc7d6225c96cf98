"""Where an answer stands that is not at its offset, and what differs: unit, normal form, white space, or the place alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from xlt.data.records import AnswerSpan

SHOWN = 2
"""Code points of either side that a message shows."""
ABSENT = "answers that are not in their passage"


@dataclass(frozen=True)
class TrueMatch:
    """The true match nearest to an answer's offset (None: there is none), its kind, and what is to be said of it."""

    kind: str
    span: AnswerSpan | None
    explanation: str


def true_match(context: str, text: str, start: int) -> TrueMatch:
    """Look for an answer that does not stand at its offset.

    First where the offset leads if it counts UTF-8 bytes or UTF-16 units; then nearest to it, as it is, without white space
    around it, or in another Unicode normal form.
    """
    wanted = text.strip()
    for unit, place in (("UTF-8 bytes", _decoded(context, "utf-8", start)), ("UTF-16 units", _utf16(context, start))):
        if text and place is not None and place != start and context.startswith(text, place):
            said = f"the offset counts {unit}, in characters it is {place}"
            return TrueMatch(f"answers whose offset counts {unit}", AnswerSpan(text, place), said)
    if not wanted:
        return TrueMatch(ABSENT, None, "it has no text")
    places = [AnswerSpan(wanted, place) for place in _places(context, wanted)]
    near = min([*places, *_other_forms(context, wanted)], key=lambda span: abs(span.start - start), default=None)
    if near is None:
        return TrueMatch(ABSENT, None, f"it is not in the passage{_difference(wanted, context[max(start, 0) :])}")
    if near.text != wanted:
        said = f"it stands at character {near.start} in another normal form{_difference(wanted, near.text)}"
        return TrueMatch("answers in another Unicode normal form", near, said)
    if wanted != text and near.start == start + len(text) - len(text.lstrip()):
        return TrueMatch(
            "answers with white space around them", near, "the passage has it without the white space around it"
        )
    return TrueMatch("answers at another place than their offset", near, f"it stands at character {near.start}")


def _decoded(context: str, encoding: str, size: int) -> int | None:
    """How many characters the first ``size`` bytes are; None where they end inside one."""
    try:
        return len(context.encode(encoding)[:size].decode(encoding)) if size >= 0 else None
    except UnicodeDecodeError:
        return None


def _utf16(context: str, units: int) -> int | None:
    return _decoded(context, "utf-16-le", 2 * units)


def _places(context: str, text: str) -> Iterator[int]:
    place = context.find(text)
    while place >= 0:
        yield place
        place = context.find(text, place + 1)


def _other_forms(context: str, text: str) -> Iterator[AnswerSpan]:
    """Where the passage has the text in another form: equal once both are decomposed (NFKD), and whole characters there."""
    owners: list[tuple[int, int]] = []
    pieces: list[str] = []
    start = 0
    for end in range(1, len(context) + 1):
        if end < len(context) and unicodedata.combining(context[end]):
            continue
        pieces.append(unicodedata.normalize("NFKD", context[start:end]))
        owners += [(start, end)] * len(pieces[-1])
        start = end
    wanted = unicodedata.normalize("NFKD", text)
    for first in _places("".join(pieces), wanted):
        after = first + len(wanted)
        begins = first == 0 or owners[first - 1] != owners[first]
        if begins and (after == len(owners) or owners[after - 1] != owners[after]):
            begin, end = owners[first][0], owners[after - 1][1]
            yield AnswerSpan(context[begin:end], begin)


def _difference(text: str, passage: str) -> str:
    """From where on two texts differ, in code points; nothing where one begins the other."""
    pairs = enumerate(zip(text, passage, strict=False))
    place = next((place for place, (one, other) in pairs if one != other), None)
    if place is None:
        return ""
    ours, theirs = (" ".join(f"U+{ord(c):04X}" for c in each[place : place + SHOWN]) for each in (text, passage))
    return f": from its character {place} on it has {ours}, the passage {theirs}"
