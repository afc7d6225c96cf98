"""Retrieval: XQuAD-R and SQuAD as passages of sentences, Tatoeba, BUCC."""

from __future__ import annotations

from pathlib import Path

from xlt.data.readers.files import lines, short
from xlt.data.readers.sentences import sentence_breaks
from xlt.data.readers.span import SquadDocument
from xlt.data.records import Mining, ParallelText, Passage
from xlt.errors import InputError

_DIGITS = 12  # of a line number; Python refuses to read one of thousands


def xquad_r(path: Path, language: str) -> list[Passage]:
    """XQuAD-R: SQuAD layout with ``sentences`` and ``sentence_breaks`` in each paragraph.

    Sentences are the owner's; a handful differ from the passage at their break by a character of broken encoding.
    """
    return _passages(SquadDocument(path), language, own_sentences=True)


def squad_passages(path: Path, language: str) -> list[Passage]:
    """SQuAD 1.1 as passages of sentences (see ``sentences.sentence_breaks``), the form LAReQA's encoder is trained on.

    Questions without an answer have no answer sentence and are not listed.
    """
    return _passages(SquadDocument(path), language, own_sentences=False)


def _passages(document: SquadDocument, language: str, own_sentences: bool) -> list[Passage]:
    passages = []
    for position, paragraph in enumerate(document.paragraphs(), start=1):
        context = paragraph["context"]
        if own_sentences or "sentence_breaks" in paragraph:
            sentences, breaks = _own(document, paragraph, position)
        else:
            breaks = sentence_breaks(context)
            sentences = [context[start:end] for start, end in breaks]
        questions = []
        for question in document.questions((row, context) for row in paragraph["qas"]):
            if not question.answers:
                continue
            start = question.answers[0].start
            index = max((i for i, (first, _) in enumerate(breaks) if first <= start), default=None)
            if index is None:
                raise document.error(f"question {question.id}: expected its answer in a sentence", question.id)
            questions.append((question.id, question.question, index))
        passages.append(Passage(f"{language}_{position}", context, tuple(sentences), tuple(questions)))
    return passages


def _own(
    document: SquadDocument, paragraph: dict[str, object], position: int
) -> tuple[list[str], list[tuple[int, int]]]:
    """Sentences and breaks that the file itself gives."""
    sentences, breaks, context = paragraph.get("sentences"), paragraph.get("sentence_breaks"), str(paragraph["context"])

    def error(wanted: str) -> InputError:
        return document.error(f"paragraph {position}: expected {wanted}", context)

    if not isinstance(sentences, list) or not isinstance(breaks, list) or len(sentences) != len(breaks):
        raise error("as many 'sentences' as 'sentence_breaks'; take the XQuAD-R file")
    spans = [each for each in breaks if isinstance(each, list) and len(each) == 2 and all(type(n) is int for n in each)]
    right = len(spans) == len(breaks) and all(0 <= start <= end <= len(context) for start, end in spans)
    if not right or not all(isinstance(sentence, str) for sentence in sentences):
        raise error("'sentences' as texts and 'sentence_breaks' as [start, end] in the passage")
    return sentences, [(start, end) for start, end in spans]


def _one_a_line(path: Path) -> tuple[str, ...]:
    """The lines of a file as sentences; blank ones count, alignment is by position."""
    return tuple(row.strip() for _, row in lines(path))


def tatoeba_english(path: Path) -> Path:
    """The English side of ``tatoeba.deu-eng.deu`` is ``tatoeba.deu-eng.eng``, of ``de-en.de`` it is ``de-en.en``."""
    return path.with_suffix("." + path.name.rsplit(".", 1)[0].rsplit("-", 1)[1])


def tatoeba_gold(path: Path) -> Path:
    """The order of XTREME's sorted English side: ``labels/tatoeba/test-de.tsv`` beside its ``tatoeba`` folder."""
    return path.parent.parent / "labels" / "tatoeba" / f"test-{path.suffix[1:]}.tsv"


def tatoeba(path: Path, language: str) -> ParallelText:
    """Tatoeba as in LASER's repository: two files, aligned line by line.

    Raises:
        InputError: the English side is missing or has another number of lines.
    """
    source, target = _one_a_line(path), _one_a_line(tatoeba_english(path))
    if len(source) != len(target):
        raise InputError(f"expected {len(source)} lines as in {path.name}, got {len(target)}", tatoeba_english(path))
    return ParallelText(source, target, tuple(range(len(source))))


def tatoeba_xtreme(path: Path, language: str) -> ParallelText:
    """Tatoeba as XTREME's script leaves it: the English side is sorted, so line i does not translate line i.

    XTREME looks for the foreign sentence that is nearest to each English one (``similarity_search`` in its
    ``utils_retrieve.py``), so line j of its label file, which it does not give out, holds the number (from 0) of the
    foreign line that English line j translates.
    """
    bitext = tatoeba(path, language)
    labels = tatoeba_gold(path)
    if not labels.exists():
        message = f"expected the gold order of {tatoeba_english(path).name}, which XTREME sorts, in this file"
        raise InputError(f"{message}; or put LASER's files into tatoeba/v1", labels)
    english: dict[int, int] = {}
    for number, row in lines(labels):
        digits = row.strip()
        if not digits.isdecimal() or len(digits) > _DIGITS or int(digits) >= len(bitext.source):
            last = len(bitext.source) - 1
            raise InputError(f"expected a line number from 0 to {last}, got {short(row)}", labels, number)
        source = int(digits)
        if source in english:
            raise InputError(f"expected each line number once, got {source} twice", labels, number)
        english[source] = len(english)
    if len(english) != len(bitext.target):
        raise InputError(
            f"expected {len(bitext.target)} lines as in {tatoeba_english(path).name}, got {len(english)}", labels
        )
    return ParallelText(bitext.source, bitext.target, tuple(english[source] for source in range(len(bitext.source))))


def bucc_english(path: Path) -> Path:
    """``zh-en.dev.en`` beside ``zh-en.dev.zh``."""
    return path.with_suffix(".en")


def bucc_gold(path: Path) -> Path:
    """``zh-en.dev.gold`` beside ``zh-en.dev.zh``."""
    return path.with_suffix(".gold")


def bucc(path: Path, language: str) -> Mining:
    """BUCC 2018: "id TAB sentence" on both sides, and "foreign id TAB English id" in the gold file, if it is there."""
    source, target = _by_id(path), _by_id(bucc_english(path))
    gold_path = bucc_gold(path)
    if not gold_path.exists():
        return Mining(source, target, None)
    gold = set()
    for number, row in lines(gold_path):
        cells = row.split("\t")
        if len(cells) != 2:
            raise InputError(f"expected 2 columns, got {len(cells)}", gold_path, number)
        unknown = [cell for cell, side in zip(cells, (source, target), strict=True) if cell not in side]
        if unknown:
            raise InputError(f"expected ids of {path.stem}.*, got {', '.join(unknown)}", gold_path, number)
        gold.add((cells[0], cells[1]))
    return Mining(source, target, frozenset(gold))


def _by_id(path: Path) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for number, row in lines(path):
        name, tab, sentence = row.partition("\t")
        if not tab:
            raise InputError("expected 2 columns, got 1", path, number)
        if name in sentences:
            raise InputError(f"expected each id once, got {name} twice", path, number)
        sentences[name] = sentence.strip()
    return sentences
