"""Tagged sentences: XTREME's two columns, Masakhane's, WikiANN's and CoNLL-U.

Every reader takes the file, the language and the tags that are allowed (None: any).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from xlt.data.readers.conllu import conllu, conllu_words
from xlt.data.readers.files import check_label, lines, report_dropped, short
from xlt.data.records import Tagged
from xlt.errors import InputError

__all__ = ["conllu", "conllu_words", "tags_spaced", "tags_tsv", "wikiann"]

Labels = Sequence[str] | None
Row = tuple[int, str]
"""A line with its number from 1."""


def _sentences(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Groups of numbered lines between blank lines."""
    sentence: list[Row] = []
    for number, row in rows:
        if row.strip(" \t"):
            sentence.append((number, row))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _tagged(
    path: Path, rows: Iterable[Row], split: Callable[[Row], tuple[str, str | None]], labels: Labels
) -> list[Tagged]:
    """Sentences of the words and tags that ``split`` finds in a numbered row; no tag anywhere, or one on every row."""
    sentences: list[Tagged] = []
    wordless = 0
    for sentence in _sentences(rows):
        words: list[str] = []
        tags: list[str] = []
        for row in sentence:
            word, tag = split(row)
            if not word.strip():  # a word of invisible characters only, once those were removed
                wordless += 1
                continue
            words.append(word.strip())
            if tag is not None:
                tags.append(check_label(tag.strip(), labels, path, row[0]))
        if words:
            sentences.append(Tagged(str(len(sentences)), tuple(words), tuple(tags) or None))
    report_dropped(path, wordless, "lines without a word")
    return sentences


def _columns(path: Path, separator: str, labels: Labels) -> list[Tagged]:
    """Sentences of "word, separator, tag" lines, or of words alone in a file without tags.

    A tag anywhere means tags everywhere, so that a comment on the first line is refused, and not the words after it.
    """
    rows = [(number, text.rstrip(" ")) for number, text in lines(path)]
    width = 2 if any(separator in text for _, text in rows) else 1

    def split(row: Row) -> tuple[str, str | None]:
        cells = row[1].split(separator)
        if len(cells) != width:
            wanted = "a word and its tag" if width == 2 else "a word"
            raise InputError(f"expected {wanted}, got {short(row[1])}", path, row[0])
        return cells[0], cells[1] if width == 2 else None

    return _tagged(path, rows, split, labels)


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

    def split(row: Row) -> tuple[str, str | None]:
        cells = row[1].split("\t")
        prefix, colon, word = cells[0].partition(":")
        if len(cells) != 2 or not colon or prefix != language:
            raise InputError(f'expected "{language}:word<TAB>tag", got {row[1][:60]!r}', path, row[0])
        return word, cells[1]

    return _tagged(path, lines(path), split, labels)
