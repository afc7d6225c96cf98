"""A small sentence splitter for English paragraphs, for LAReQA's training pairs from SQuAD."""

from __future__ import annotations

import re

# An end mark, closing quotes or brackets, then white space and something that can begin a sentence.
_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]]*(?=\s+[\"'\u201c\u2018(\[]*[^\W_a-z])")
_TITLES = (
    "Mr Mrs Ms Dr Prof Sr Jr St Gen Col Capt Lt Sgt Rev Hon Gov Sen Rep Pres Mt Ft No Nos vs etc cf ca al "
    "Inc Ltd Co Corp e.g i.e U.S U.K a.m p.m Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec vol pp fig approx dept "
    "univ est"
)
_ABBREVIATIONS = frozenset(word.lower() for word in _TITLES.split())
_LAST_WORD = re.compile(r"[^\s\"'\u201c\u2018(\[]+$")


def sentence_breaks(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences of an English text, in characters, without the white space between them.

    A sentence ends at ".", "!" or "?" (with closing quotes or brackets) before white space and a capital, a digit or an
    opening quote; not after an initial ("J.") or one of a list of abbreviations. Line ends always end one.
    """
    breaks: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", text):
        start = line.start()
        for match in _END.finditer(text, line.start(), line.end()):
            before = _LAST_WORD.search(text, start, match.start())
            word = before.group() if before else ""
            if match.group() == "." and (
                word.lower() in _ABBREVIATIONS or re.fullmatch(r"[^\W\d_](\.[^\W\d_])*", word)
            ):
                continue
            breaks.append((start, match.end()))
            start = match.end()
        breaks.append((start, line.end()))
    trimmed = []
    for start, end in breaks:
        piece = text[start:end]
        left = len(piece) - len(piece.lstrip())
        if piece.strip():
            trimmed.append((start + left, start + len(piece.rstrip())))
    return trimmed
