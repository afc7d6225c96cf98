"""Tagged sentences: XTREME's two columns, Masakhane's and CoNLL's, WikiANN's and CoNLL-U.

Every reader takes the file, the language and the tags that are allowed (None: any).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from xlt.data.readers.conllu import conllu, conllu_words
from xlt.data.readers.faults import Faulty, examples, mended
from xlt.data.readers.files import Labels, Row, check_label, lines, report_dropped, sentences_of, short
from xlt.data.records import Tagged
from xlt.errors import InputError

__all__ = ["conllu", "conllu_words", "tags_spaced", "tags_tsv", "wikiann"]

_DOCUMENT = "-DOCSTART-"
"""The word of the line that begins a document in CoNLL's files."""


def _tagged(
    path: Path, rows: Iterable[Row], split: Callable[[Row], tuple[str, str | None]], labels: Labels
) -> list[Tagged]:
    """Sentences of the words and tags that ``split`` finds in a numbered row; no tag anywhere, or one on every row."""
    wordless = documents = 0

    def sentence(rows: list[Row]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        nonlocal wordless, documents
        words: list[str] = []
        tags: list[str] = []
        for row in rows:
            if row[1].startswith(_DOCUMENT):
                documents += 1
                continue
            word, tag = split(row)
            if not word.strip():  # a word of invisible characters only, once those were removed
                wordless += 1
                continue
            words.append(word.strip())
            if tag is not None:
                tags.append(check_label(tag.strip(), labels, path, row[0]))
        return tuple(words), tuple(tags)

    read = [(words, tags) for words, tags in examples(sentences_of(rows), sentence) if words]
    report_dropped(path, wordless, "lines without a word")
    report_dropped(path, documents, f"lines {_DOCUMENT}")
    return [Tagged(str(number), words, tags or None) for number, (words, tags) in enumerate(read)]


def _columns(path: Path, separator: str, labels: Labels, widths: Sequence[int]) -> list[Tagged]:
    """Sentences of words and tags in the first and the last of as many columns as most lines have, or of words alone.

    A tag on most lines means tags everywhere; a comment on the first line is refused.
    """
    rows = [(number, text.rstrip(" ")) for number, text in lines(path)]
    found = Counter(text.count(separator) + 1 for _, text in rows if text.strip(" \t"))
    width = next((width for width, _ in found.most_common() if width in widths), 1 if set(found) <= {1} else 2)

    def split(row: Row) -> tuple[str, str | None]:
        cells = row[1].split(separator)
        if len(cells) == width:
            return cells[0], cells[-1] if width > 1 else None
        wanted = {1: "a word", 2: "a word and its tag"}.get(width, f"{width} columns, the tag last")
        kind = "missing labels" if len(cells) < width else "lines with too many columns"
        error = Faulty(kind, f"expected {wanted}, got {short(row[1])}", path, row[0])
        return mended(error, _run_together(row[1], labels) if len(cells) == 1 else None)

    return _tagged(path, rows, split, labels)


def _run_together(text: str, labels: Labels) -> tuple[str, str] | None:
    """Word and tag of a line that lacks what parts them; a tag of one letter may be part of the word."""
    tag = max((tag for tag in labels or () if len(tag) > 1 and text.endswith(tag)), key=len, default=text)
    return (text.removesuffix(tag), tag) if tag != text else None


def tags_tsv(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """XTREME's processed UD-POS and PAN-X: "word TAB tag"; its test files hold words only (tags None)."""
    return _columns(path, "\t", labels, (2,))


def tags_spaced(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """MasakhaNER, MasakhaPOS and CoNLL 2002 and 2003: columns with one space between, the word first and the tag last.

    MasakhaNER marks dates and CoNLL other names, which WikiANN's tags lack: an error unless they are among ``labels``.
    Lines "-DOCSTART-" are left out and counted.
    """
    return _columns(path, " ", labels, (2, 3, 4, 5))


def wikiann(path: Path, language: str, labels: Labels = None) -> list[Tagged]:
    """WikiANN as Rahimi et al. 2019 publish it: "en:word TAB tag", a blank line between sentences.

    As in XTREME's conversion the word is what follows the first colon. A wiki's own name may stand before the language's:
    "zh-yue:" for yue.
    """

    def split(row: Row) -> tuple[str, str | None]:
        cells = row[1].split("\t")
        prefix, colon, word = cells[0].partition(":")
        if len(cells) != 2 or not colon or language not in (prefix, prefix.rpartition("-")[2]):
            other = "" if colon else "; words without a language in front are read by the format tags-tsv"
            message = f'expected "{language}:word<TAB>tag", got {row[1][:60]!r}{other}'
            raise InputError(message, path, row[0])
        return word, cells[1]

    return _tagged(path, lines(path), split, labels)
