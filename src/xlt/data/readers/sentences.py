"""A small sentence splitter: for English paragraphs (LAReQA's training pairs), and for documents whose file has no sentences.

The rules are those of a language's punctuation and a list of abbreviations; Mewsli-X's own sentences are in its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = "\"'\u201d\u2019)\\]\u00bb\u300d\u300f\uff09\u300b"
_OPENERS = "\"'\u201c\u2018(\\[\u00ab\u201e\u00bf\u00a1"
# An end mark (Latin, Arabic, Urdu, Devanagari), closing quotes or brackets, Wikipedia's note marks ("[1]", "[citation
# needed]"), then white space and something that can begin a sentence: no lower-case letter, which is told apart below.
_END = re.compile(rf"[.!?\u061f\u06d4\u0964\u0965]+[{_CLOSERS}]*(?:\[[\w ?]+\])*(?=\s+[{_OPENERS}]*([^\W_]))")
_FULL_WIDTH = re.compile(rf"[\u3002\uff01\uff1f\uff61]+[{_CLOSERS}]*")  # no white space follows in Chinese and Japanese
_QUOTED = ("と", "って", "という")
"""What goes on with a sentence after a Japanese quotation."""
_THAI = re.compile(r"(?<=[\u0e00-\u0e7f])\s+(?=[\u0e00-\u0e7f])")
_TITLES = {
    "en": (
        "Mr Mrs Ms Dr Prof Sr Jr St Gen Col Capt Lt Sgt Rev Hon Gov Sen Rep Pres Mt Ft No Nos vs etc cf ca al "
        "Inc Ltd Co Corp e.g i.e U.S U.K a.m p.m Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec vol pp fig approx dept "
        "univ est"
    ),
    "de": "Dr Prof Hr Fr Nr St bzw ca usw evtl ggf inkl sog vgl Abs Art Bd Jh Chr Mio Mrd Jan Feb Apr Aug Sept Okt Nov Dez",
    "es": "Sr Sra Srta Dr Dra Prof Gral Gob Av Avda núm pág págs etc EE.UU Ud Uds aprox",
    "fr": "M MM Mme Mlle Dr Pr St Ste av apr env etc cf vol chap",
    "pl": "dr prof mgr inż gen płk ks św ul al nr np itd itp tzn tzw im ok wg godz",
    "ro": "dl dna dr prof nr str sf etc aprox",
    "tr": "Dr Prof Doç Av Sn St vb vs yy bkz Cad Sok Mah",
    "uk": "ім вул просп обл р-н тис млн млрд див напр проф акад св ст рр гг",
    "ru": "им ул просп обл тыс млн млрд см напр проф акад св ст гг др пр",
}
_ABBREVIATIONS = {code: frozenset(word.lower() for word in words.split()) for code, words in _TITLES.items()}
_ORDINALS = ("cs", "da", "de", "et", "fi", "hr", "hu", "lt", "lv", "no", "pl", "sk", "sl", "sr", "tr")
"""Languages that write an ordinal as a number with a full stop."""
_NUMBER = re.compile(r"\d{1,2}|[IVX]+")
_LAST_WORD = re.compile(rf"[^\s{_OPENERS}]+$")
_INITIALS = re.compile(r"[^\W\d_](\.[^\W\d_])*")


def sentence_breaks(text: str, language: str = "en") -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences of a text, in characters, without the white space between them.

    A sentence ends at ".", "!", "?" or the like (with closing quotes or brackets, and note marks such as "[1]") before white
    space and no lower-case letter; not after an initial ("J."), an abbreviation of the language, or, where ordinals are
    written so, a number of up to two digits ("am 3. Mai"). Chinese and Japanese marks need no white space. Thai has no marks;
    there a space between two Thai letters ends a sentence (it may be a clause). Line ends always end one.
    """
    breaks: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", text):
        start = line.start()
        for end in sorted(set(_ends(text, line.start(), line.end(), language))):
            breaks.append((start, end))
            start = end
        breaks.append((start, line.end()))
    trimmed = []
    for start, end in breaks:
        piece = text[start:end]
        left = len(piece) - len(piece.lstrip())
        if piece.strip():
            trimmed.append((start + left, start + len(piece.rstrip())))
    return trimmed


def _ends(text: str, first: int, last: int, language: str) -> Iterator[int]:
    """Where sentences of a line end."""
    for match in _END.finditer(text, first, last):
        if not match[1].islower() and not (match[0] == "." and _is_abbreviated(text, first, match.start(), language)):
            yield match.end()
    for match in _FULL_WIDTH.finditer(text, first, last):
        quoted = len(match[0].rstrip(_CLOSERS)) < len(match[0]) and text.startswith(_QUOTED, match.end())
        if not (language == "ja" and quoted):
            yield match.end()
    if language == "th":
        yield from (match.start() for match in _THAI.finditer(text, first, last))


def _is_abbreviated(text: str, first: int, stop: int, language: str) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it."""
    before = _LAST_WORD.search(text, first, stop)
    word = before[0] if before else ""
    if word.lower() in _ABBREVIATIONS.get(language, frozenset()) or _INITIALS.fullmatch(word):
        return True
    return language in _ORDINALS and _NUMBER.fullmatch(word) is not None
