"""CoNLL-U treebanks of Universal Dependencies, as XTREME turns them into tagged sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from xlt.data.readers.faults import examples
from xlt.data.readers.files import Labels, Row, check_label, lines, report_dropped, sentences_of
from xlt.data.records import Tagged
from xlt.errors import InputError

# Which tag a fused word gets when several of its words are equally near the root: XTREME converts with
# ud-conversion-tools, whose order of precedence this is; three languages have one of their own.
_PRECEDENCE = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"
_PRECEDENCE_OF = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
_COLUMNS = 10
_HIDDEN = "_"  # the form of a word whose text a treebank may not publish


@dataclass
class _Sentence:
    """Words by their number from 1, as (form, tag, head); fused words as (first number, last number, form).

    ``name``: its ``sent_id``, by which parallel treebanks know their translations; None where it has none.
    """

    name: str | None = None
    words: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    fused: list[tuple[int, int, str]] = field(default_factory=list)

    def depth(self, number: int) -> int:
        """Steps from a word to the root."""
        seen: set[int] = set()
        while number in self.words and number not in seen:
            seen.add(number)
            number = self.words[number][2]
        return len(seen)

    def joined(self, language: str) -> list[tuple[str, str]]:
        """Words and tags with each fused word in place of its parts, tagged as its part nearest the root."""
        order = _PRECEDENCE_OF.get(language, _PRECEDENCE).split()
        result = {number: (form, tag) for number, (form, tag, _) in self.words.items()}
        for first, last, form in self.fused:
            span = [number for number in range(first, min(last, len(self.words)) + 1) if number in result]
            if not span:  # its words are missing, or part of another fused word
                continue

            def rank(number: int) -> tuple[int, int, int]:
                tag = self.words[number][1]
                return self.depth(number), order.index(tag) if tag in order else len(order), number

            tag = result[min(span, key=rank)][1]
            for number in span:
                del result[number]
            result[first] = (form, tag)
        return [result[number] for number in sorted(result)]

    def split(self) -> list[tuple[str, str]]:
        """Syntactic words and their tags."""
        return [(form, tag) for form, tag, _ in (self.words[number] for number in sorted(self.words))]


def _range(text: str, mark: str) -> tuple[int, int] | None:
    first, found, last = text.partition(mark)
    return (int(first), int(last)) if found and _is_number(first) and _is_number(last) else None


def _is_number(text: str) -> bool:
    """Whether a text is the number of a word; no sentence has a million."""
    return text.isdecimal() and len(text) <= 6


def _sentence(rows: Sequence[Row], path: Path, labels: Labels) -> _Sentence:
    """A sentence without words where only comments stand between two blank lines."""
    sentence = _Sentence()
    for number, row in rows:
        if row.startswith("#"):
            key, _, value = row[1:].partition("=")
            if key.strip() == "sent_id":
                sentence.name = value.strip()
            continue
        cells = row.split("\t")
        if len(cells) != _COLUMNS:
            raise InputError(f"expected {_COLUMNS} columns, got {len(cells)}", path, number)
        if _range(cells[0], "."):  # an empty node, of the enhanced dependencies only
            continue
        if fused := _range(cells[0], "-"):
            if not len(sentence.words) < fused[0] <= fused[1]:
                raise InputError(f"expected the range of words to come, got {cells[0]}", path, number)
            sentence.fused.append((*fused, cells[1]))
            continue
        expected = len(sentence.words) + 1
        if cells[0] != str(expected):
            raise InputError(f"expected word number {expected}, got {cells[0]!r}", path, number)
        head = int(cells[6]) if _is_number(cells[6]) else 0
        sentence.words[expected] = (cells[1], check_label(cells[3], labels, path, number), head)
    return sentence


def _read(path: Path, labels: Labels, language: str | None) -> list[Tagged]:
    """Tagged sentences, with fused words joined when a language is given.

    As XTREME does, white space and zero-width non-joiners inside words are removed, and a sentence all of whose words
    but one at most are hidden is left out, unless none is hidden.
    """
    sentences: list[Tagged] = []
    hidden = 0
    for sentence in examples(sentences_of(lines(path)), partial(_sentence, path=path, labels=labels)):
        if not sentence.words:
            continue
        pairs = sentence.split() if language is None else sentence.joined(language)
        pairs = [(form.replace("\u200c", "").replace(" ", ""), tag) for form, tag in pairs]
        blank = sum(form.strip() in ("", _HIDDEN) for form, _ in pairs)
        if blank and blank >= len(pairs) - 1:
            hidden += 1
            continue
        pairs = [(form, tag) for form, tag in pairs if form.strip()]
        words, tags = zip(*pairs, strict=True)
        sentences.append(Tagged(sentence.name or str(len(sentences)), words, tags))
    report_dropped(path, hidden, "sentences whose words are hidden (written _)")
    return sentences


def conllu(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """UPOS-tagged sentences as in XTREME: a multi-word token ("3-4 du") replaces its words ("de", "le").

    Its tag is that of its word nearest the root (utils_preprocess.py and third_party/ud-conversion-tools there).
    Empty nodes ("8.1") and comments are passed over, but for the sentence's id.
    """
    return _read(path, labels, language)


def conllu_words(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """UPOS-tagged sentences of syntactic words, the unit of UD's own evaluation: the lines "3-4" are passed over."""
    return _read(path, labels, None)
