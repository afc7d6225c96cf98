"""Predictions and gold labels in XTREME's submission layout: ``<folder>/<task>/test-<language>.<extension>``.

The same readers serve both sides, because a label file looks like a perfect prediction file; only the QA tasks keep
their gold answers in SQuAD's layout (``xlt.evaluation.gold`` writes label files). ``<language>`` may be a pair
(``test-en-de``): for QA the passage's language, then the question's.

==========  =========================  ==========  =====================================================================
kind        tasks                      extension   content
==========  =========================  ==========  =====================================================================
labels      xnli, pawsx                tsv         one label per line
options     xcopa                      jsonl       ``{"label": 0}`` or ``{"label": 1}`` per line
tags        panx, udpos                tsv         one tag per line, an empty line after each sentence
answers     xquad, mlqa, tydiqa        json        ``{question id: answer}``; gold: SQuAD layout
rankings    mewslix, lareqa            json        ``{query id: [item id, best first]}``; gold: the right ids
indices     tatoeba                    tsv         for each English sentence the 0-based index of the foreign one, per line
pairs       bucc2018                   tsv         ``id<TAB>English id`` per line
ranks       lareqa_ranks               json        ``{query id: {right item id: its rank from 1 in the whole pool}}``
==========  =========================  ==========  =====================================================================

``FURTHER`` names folders beside a task's own that XTREME does not have: Tatoeba from the foreign sentence to the English
one, and the ranks from which LAReQA's mAP without a cut-off follows.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any, Literal

from xlt.data.readers.files import short
from xlt.errors import InputError
from xlt.files import to_json, write_atomic

Kind = Literal["labels", "options", "tags", "answers", "rankings", "indices", "pairs", "ranks"]

KIND: dict[str, Kind] = {
    "xnli": "labels",
    "pawsx": "labels",
    "xcopa": "options",
    "panx": "tags",
    "udpos": "tags",
    "xquad": "answers",
    "mlqa": "answers",
    "tydiqa": "answers",
    "mewslix": "rankings",
    "lareqa": "rankings",
    "tatoeba": "indices",
    "tatoeba_into_english": "indices",
    "bucc2018": "pairs",
    "lareqa_ranks": "ranks",
    "xnli-pairs": "labels",
    "pawsx-pairs": "labels",
    "xquad-pairs": "answers",
    "mlqa-pairs": "answers",
    "lareqa-pairs": "rankings",
}
_DIGITS = 12  # of an index; Python refuses to read one of thousands
FURTHER: dict[str, tuple[str, ...]] = {"tatoeba": ("tatoeba_into_english",), "lareqa": ("lareqa_ranks",)}
EXTENSION: dict[Kind, str] = {
    "labels": "tsv",
    "options": "jsonl",
    "tags": "tsv",
    "answers": "json",
    "rankings": "json",
    "indices": "tsv",
    "pairs": "tsv",
    "ranks": "json",
}
NLI, PARAPHRASE = ("entailment", "neutral", "contradiction"), ("0", "1")
IOB2 = ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
# fmt: off
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART",
    "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
)
# fmt: on
LABELS = {"xnli": NLI, "xnli-pairs": NLI, "pawsx": PARAPHRASE, "pawsx-pairs": PARAPHRASE, "panx": IOB2, "udpos": UPOS}


def submission_file(folder: Path, task: str, language: str) -> Path:
    """Where the predictions (or labels) of a task and language (or pair "en-de") lie below ``folder``."""
    return folder / task / f"test-{language}.{EXTENSION[KIND[task]]}"


# Writing


def write_submission(folder: Path, task: str, language: str, content: Any) -> Path:
    """Write one prediction file, or one label file of any but a QA task, and return its path.

    Args:
        content: by kind of task: labels, indices, options: one per example; tags: one sequence of tags per sentence;
            answers: question id to text; rankings: query id to item ids, best first; pairs: (id, English id) pairs;
            ranks: query id to the rank of each right item.
    """
    path = submission_file(folder, task, language)
    match KIND[task]:
        case "labels" | "indices":
            text = "".join(f"{label}\n" for label in content)
        case "options":
            text = "".join(json.dumps({"label": int(label)}) + "\n" for label in content)
        case "tags":
            text = "".join("".join(f"{tag}\n" for tag in tags) + "\n" for tags in content)
        case "answers":
            text = to_json(dict(content))
        case "rankings":
            text = to_json({query: list(items) for query, items in content.items()})
        case "pairs":
            text = "".join(f"{source}\t{english}\n" for source, english in sorted(content))
        case "ranks":
            text = to_json({query: dict(ranks) for query, ranks in content.items()})
    write_atomic(path, text)
    return path


# Reading


class Withheld(InputError):
    """A label file that says of no example what is right, as XTREME's download script leaves those of its test sets."""


def read_text(path: Path) -> str:
    """The text of a submission file.

    Raises:
        InputError: the file is absent, empty, or not UTF-8 (with the line).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("expected this file, there is none", path) from None
    except OSError as error:
        raise InputError(f"expected a readable file: {error.strerror}", path) from None
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"expected UTF-8, got byte 0x{error.object[error.start]:02x}", path, line) from None
    if not text.strip():
        raise InputError("expected at least one line, got an empty file", path)
    return text


def read_submission(path: Path, task: str) -> Any:
    """Read a prediction file, or a label file of any but a QA task, into what ``write_submission`` takes.

    Pairs come back as a set. BUCC's file alone may be empty: nothing was mined.

    Raises:
        InputError: the file or a line of it is not what the task's kind asks for.
    """
    kind = KIND[task]
    if kind == "pairs" and path.is_file() and not path.stat().st_size:
        return set()
    text = read_text(path)
    match kind:
        case "answers":
            return _answers(text, path)
        case "rankings":
            return _rankings(text, path)
        case "ranks":
            return _ranks(text, path)
        case "tags":
            return _tags(_lines(text), task, path)
        case "pairs":
            return {_pair(line, path, number) for number, line in enumerate(_lines(text), start=1)}
        case "options":
            return [_option(line, path, number) for number, line in enumerate(_lines(text), start=1)]
        case "indices":
            return [_index(line, path, number) for number, line in enumerate(_lines(text), start=1)]
        case "labels":
            return [_known_label(line, task, path, number) for number, line in enumerate(_lines(text), start=1)]


def read_gold(path: Path, task: str) -> Any:
    """Read a label file of any but a QA task.

    Raises:
        Withheld: every example is without its right option or candidate. (Of labels and tags the layout has no such form: a
            file of sentences or words is refused at its first line.)
        InputError: as ``read_submission``.
    """
    if KIND[task] == "options":
        text = read_text(path)
        rows = [parse_json(line, path, number) for number, line in enumerate(_lines(text), start=1)]
        if all(isinstance(row, dict) and row.get("label") is None for row in rows):
            raise Withheld("gold is withheld: no line has a label", path)
    gold = read_submission(path, task)
    if KIND[task] == "rankings" and gold and not any(gold.values()):
        raise Withheld("gold is withheld: no query has a right answer", path)
    return gold


def read_answers_gold(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a QA label file in SQuAD layout: question id to its right answers.

    Raises:
        Withheld: no question has an answer; XTREME writes ``""`` in place of each.
        InputError: not that layout, a question id twice, or one question without an answer among others that have some.
    """
    text = read_text(path)
    document = parse_json(text, path)
    blank: list[str] = []
    gold: dict[str, tuple[str, ...]] = {}
    for question in _questions(document, path):
        try:
            name, answers = question["id"], tuple(answer["text"] for answer in question["answers"])
        except (KeyError, TypeError):
            raise InputError('expected questions with "id" and "answers": [{"text": ...}]', path) from None
        if not isinstance(name, str) or not all(isinstance(answer, str) for answer in answers):
            raise InputError(f"expected texts, got {short(name)} with the answers {short(answers)}", path)
        if not any(answers):
            blank.append(name)
        if name in gold:
            raise InputError(f"expected each question once, got {name} twice", path, line_of(text, name))
        gold[name] = answers
    if not gold:
        raise InputError("expected at least one question, got none", path)
    if len(blank) == len(gold):
        raise Withheld("gold is withheld: no question has an answer", path)
    if blank:
        raise InputError(f"expected at least one right answer to question {blank[0]}", path, line_of(text, blank[0]))
    return gold


def _questions(document: Any, path: Path) -> list[dict[str, Any]]:
    try:
        articles = document["data"] if isinstance(document, dict) else document
        return [
            question for article in articles for paragraph in article["paragraphs"] for question in paragraph["qas"]
        ]
    except (KeyError, TypeError):
        raise InputError('expected SQuAD layout: {"data": [{"paragraphs": [{"qas": [...]}]}]}', path) from None


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Parse the text of a JSON file, or of its one ``line``.

    Raises:
        InputError: the text is not JSON, or an object has a key twice.
    """

    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"expected each key once, got {twice} twice", path, line - 1 + line_of(text, twice))
        return content

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        message = f"expected JSON: {error.msg} at column {error.colno}"
        raise InputError(message, path, line - 1 + error.lineno) from None
    except RecursionError:
        raise InputError("expected JSON without deep nesting", path, line) from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"expected JSON: {str(error).partition(';')[0]}", path, line) from None


def line_of(text: str, key: str) -> int:
    """The line (from 1) on which a JSON string first stands in ``text``, escaped or not; 1 if it is not found."""
    places = [text.find(json.dumps(key, ensure_ascii=ascii_only)) for ascii_only in (False, True)]
    return text.count("\n", 0, max(places)) + 1


def _lines(text: str) -> list[str]:
    """The stripped lines of a text. ``str.splitlines`` would also cut at characters that a line may contain."""
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _known_label(line: str, task: str, path: Path, number: int) -> str:
    if line not in LABELS[task]:
        raise InputError(f"expected one of {', '.join(LABELS[task])}, got {short(line)}", path, number)
    return line


def _index(line: str, path: Path, number: int) -> int:
    if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
        raise InputError(f"expected the index of a sentence (from 0), got {short(line)}", path, number)
    return int(line)


def _option(line: str, path: Path, number: int) -> int:
    entry = parse_json(line, path, number)
    label = entry.get("label") if isinstance(entry, dict) else None
    if label not in (0, 1) or isinstance(label, bool):
        raise InputError(f'expected {{"label": 0}} or {{"label": 1}}, got {short(line)}', path, number)
    return int(label)


def _pair(line: str, path: Path, number: int) -> tuple[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise InputError(f"expected two sentence ids separated by a tab, got {len(parts)} columns", path, number)
    return parts[0], parts[1]


def _tags(lines: list[str], task: str, path: Path) -> list[list[str]]:
    """Sentences of the task's tags. As in XTREME's reader, each empty line ends a sentence and the last one needs none."""
    sentences: list[list[str]] = [[]]
    for number, line in enumerate(lines, start=1):
        if not line:
            sentences.append([])
        elif len(line.split()) > 1:
            raise InputError(f"expected one tag per line, got {short(line)}", path, number)
        else:
            sentences[-1].append(_known_label(line, task, path, number))
    return sentences if sentences[-1] else sentences[:-1]


def _answers(text: str, path: Path) -> dict[str, str]:
    answers = parse_json(text, path)
    if not isinstance(answers, dict):
        raise InputError("expected {question id: answer text}", path)
    for question, answer in answers.items():
        if not isinstance(answer, str):
            raise InputError(
                f"expected the text answering {question}, got {short(answer)}", path, line_of(text, question)
            )
    return answers


def _rankings(text: str, path: Path) -> dict[str, list[str]]:
    rankings = parse_json(text, path)
    if not isinstance(rankings, dict):
        raise InputError("expected {query id: [item ids, best first]}", path)
    for query, items in rankings.items():
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise InputError(f"expected a list of item ids for {query}, got {short(items)}", path, line_of(text, query))
    return {query: [item.strip() for item in items] for query, items in rankings.items()}


def _ranks(text: str, path: Path) -> dict[str, dict[str, int]]:
    ranks = parse_json(text, path)
    if not isinstance(ranks, dict):
        raise InputError("expected {query id: {item id: rank}}", path)
    for query, own in ranks.items():
        right = isinstance(own, dict) and own and all(type(rank) is int and rank > 0 for rank in own.values())
        if not right or len(set(own.values())) < len(own):
            raise InputError(
                f"expected distinct ranks from 1 for {query}, got {short(own)}", path, line_of(text, query)
            )
    return ranks
