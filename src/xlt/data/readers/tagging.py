"""Tagged sentences: XTREME's two columns, Masakhane's, WikiANN's and CoNLL-U.

Every reader takes the file, the language and the tags that are allowed (None: any).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xlt.data.readers.conllu import conllu, conllu_words
from xlt.data.readers.files import check_label, lines, report_dropped, short
from xlt.data.records import Tagged
from xlt.errors import InputError

__all__ = ["conllu", "conllu_words", "tags_spaced", "tags_tsv", "wikiann"]

Labels = Sequence[str] | None


def _sentences(rows: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Groups of numbered lines between blank lines."""
    sentence: list[tuple[int, str]] = []
    for number, row in rows:
        if row.strip(" \t"):
            sentence.append((number, row))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _columns(path: Path, separator: str, labels: Labels) -> list[Tagged]:
    """Sentences of "word, separator, tag" lines, or of words alone in a file without tags.

    A tag anywhere means tags everywhere, so that a comment on the first line is refused, and not the words after it.
    """
    sentences: list[Tagged] = []
    rows = [(number, row.rstrip(" ")) for number, row in lines(path)]
    width = 2 if any(separator in row for _, row in rows) else 1
    wordless = 0
    for sentence in _sentences(iter(rows)):
        words: list[str] = []
        tags: list[str] = []
        for number, row in sentence:
            cells = row.split(separator)
            if len(cells) != width:
                wanted = "a word and its tag" if width == 2 else "a word"
                raise InputError(f"expected {wanted}, got {short(row)}", path, number)
            if not cells[0].strip():  # a word of invisible characters only, once those were removed
                wordless += 1
                continue
            words.append(cells[0].strip())
            if width == 2:
                tags.append(check_label(cells[1].strip(), labels, path, number))
        if words:
            sentences.append(Tagged(str(len(sentences)), tuple(words), tuple(tags) if width == 2 else None))
    report_dropped(path, wordless, "lines without a word")
    return sentences


def tags_tsv(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """XTREME's processed UD-POS and PAN-X: "word TAB tag"; its test files hold words only (tags None)."""
    return _columns(path, "\t", labels)


def tags_spaced(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """MasakhaNER and MasakhaPOS: word and tag with one space between.

    MasakhaNER marks dates too, which WikiANN's tags lack: an error unless they are among ``labels``.
    """
    return _columns(path, " ", labels)


def wikiann(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """WikiANN as Rahimi et al. 2019 publish it: "en:word TAB tag", a blank line between sentences.

    As in XTREME's conversion the word is what follows the first colon.
    """
    sentences: list[Tagged] = []
    wordless = 0
    for sentence in _sentences(lines(path)):
        words: list[str] = []
        tags: list[str] = []
        for number, row in sentence:
            cells = row.split("\t")
            prefix, colon, word = cells[0].partition(":")
            if len(cells) != 2 or not colon or prefix != language:
                raise InputError(f'expected "{language}:word<TAB>tag", got {row[:60]!r}', path, number)
            if not word.strip():
                wordless += 1
                continue
            words.append(word.strip())
            tags.append(check_label(cells[1].strip(), labels, path, number))
        if words:
            sentences.append(Tagged(str(len(sentences)), tuple(words), tuple(tags)))
    report_dropped(path, wordless, "lines without a word")
    return sentences
