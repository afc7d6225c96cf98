"""Parquet files of the hub, written again in the layout of the data's owner, so that one reader serves both.

Each converter takes the rows of one file, in order, and the language wanted, and gives the text of the owner's file.
Class numbers become names by the order that the hub's own header states (``ClassLabel``), checked where it is there.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.errors import InputError
from xlt.files import write_atomic

if TYPE_CHECKING:
    import datasets

Rows = list[dict[str, Any]]
NLI = ("entailment", "neutral", "contradiction")
WIKIANN = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
_CLASSES = {"label": NLI, "ner_tags": WIKIANN}
_CHECKED = {**dict.fromkeys(("xnli", "xnli-pairs", "nli", "anli"), "label"), "wikiann": "ner_tags"}


def convert(kind: str, parquet: Path, language: str, target: Path, label: str) -> None:
    """Write ``target`` from a parquet file; ``label`` names the latter in messages.

    Raises:
        InputError: it is not parquet, lacks a column, numbers its classes otherwise, or has no rows for ``language``.
    """
    rows = _read(parquet, label)
    column = _CHECKED.get(kind, "")
    feature = rows.features.get(column)
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if names is not None and tuple(names) != _CLASSES[column]:
        raise InputError(f"{label}: expected the classes {', '.join(_CLASSES[column])}, got {', '.join(names)}")
    try:
        text = CONVERTERS[kind](rows.to_list(), language)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise InputError(f"{label}: not in the columns that {kind} has: {type(error).__name__} {error}") from None
    if not text:
        raise InputError(f"{label}: expected rows in {language}, got none")
    write_atomic(target, text)


def _read(parquet: Path, label: str) -> datasets.Dataset:
    """The rows of a parquet file, which is data and never a script."""
    import datasets
    import pyarrow
    from datasets.utils.logging import disable_progress_bar, set_verbosity

    disable_progress_bar()
    set_verbosity(50)  # what it says of a file that cannot be read, the error says too
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return datasets.Dataset.from_parquet(str(parquet), cache_dir=scratch, keep_in_memory=True, batch_size=1000)
    except (datasets.exceptions.DatasetGenerationError, pyarrow.ArrowInvalid, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"{label}: expected a parquet file: {reason}") from None
    except ValueError:  # "Instruction 'train' corresponds to no data"
        raise InputError(f"{label}: expected rows, got none") from None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(map(_json, rows))


def _cell(value: Any) -> str:
    """A value as a cell of a file without quoting: tabs and line ends inside a sentence become spaces."""
    return " ".join(str(value).split())


def _table(header: str, rows: Iterable[Iterable[Any]]) -> str:
    body = "".join("\t".join(map(_cell, row)) + "\n" for row in rows)
    return "\t".join(header.split()) + "\n" + body if body else ""


def _nested(rows: Rows, version: str = "1.1") -> str:
    """SQuAD's nesting: consecutive rows of one passage are its questions."""
    articles: list[dict[str, Any]] = []
    for row in rows:
        title, answers = row.get("title", ""), row["answers"]
        pairs = zip(answers["text"], answers["answer_start"], strict=True)
        question = {"id": row["id"], "question": row["question"]}
        question["answers"] = [{"text": text, "answer_start": start} for text, start in pairs]
        if version == "v2.0":
            question["is_impossible"] = not question["answers"]
        if not articles or articles[-1]["title"] != title:
            articles.append({"title": title, "paragraphs": []})
        paragraphs = articles[-1]["paragraphs"]
        if not paragraphs or paragraphs[-1]["context"] != row["context"]:
            paragraphs.append({"context": row["context"], "qas": []})
        paragraphs[-1]["qas"].append(question)
    return _json({"version": version, "data": articles}) if articles else ""


def squad(rows: Rows, language: str) -> str:
    """SQuAD 1.1 and 2.0, XQuAD, MLQA. In SQuAD 2.0 a question without an answer is impossible."""
    return _nested(rows, "1.1" if all(row["answers"]["text"] for row in rows) else "v2.0")


def tydiqa(rows: Rows, language: str) -> str:
    """TyDiQA-GoldP of one language, told by the id's prefix ("swahili-…")."""
    from xlt.languages import name

    return _nested([row for row in rows if row["id"].startswith(f"{name(language).lower()}-")])


def tydiqa_all(rows: Rows, language: str) -> str:
    """TyDiQA-GoldP of all languages in one file, as the owner's training file has it."""
    return _nested(rows)


def xnli(rows: Rows, language: str) -> str:
    """XNLI's one file for all languages, from the configuration ``all_languages``. The pair's id is its row from 0."""
    table = []
    for code in sorted(rows[0]["premise"]):
        for number, row in enumerate(rows):
            hypotheses = dict(zip(row["hypothesis"]["language"], row["hypothesis"]["translation"], strict=True))
            table.append((code, NLI[row["label"]], row["premise"][code], hypotheses[code], number))
    return _table("language gold_label sentence1 sentence2 pairID", table)


def nli(rows: Rows, language: str) -> str:
    """MultiNLI and SNLI; label -1 is the owners' "-", no agreement."""
    return _lines(
        {
            "gold_label": "-" if row["label"] < 0 else NLI[row["label"]],
            "sentence1": row["premise"],
            "sentence2": row["hypothesis"],
            "pairID": str(row.get("pairID", number)),
        }
        for number, row in enumerate(rows)
    )


def anli(rows: Rows, language: str) -> str:
    """ANLI, classes by their first letter."""
    return _lines(
        {"uid": r["uid"], "context": r["premise"], "hypothesis": r["hypothesis"], "label": NLI[r["label"]][0]}
        for r in rows
    )


def _translated(rows: Rows) -> Iterable[tuple[Any, ...]]:
    """PAWS-X's pairs with their label; an empty sentence is the owner's "NS", not translated."""
    return ((r["sentence1"] or "NS", r["sentence2"] or "NS", r["label"]) for r in rows)


def pawsx(rows: Rows, language: str) -> str:
    """PAWS-X as its owner has it."""
    table = ((row["id"], *pair) for row, pair in zip(rows, _translated(rows), strict=True))
    return _table("id sentence1 sentence2 label", table)


def _written(rows: Iterable[Iterable[Any]], delimiter: str) -> str:
    """Rows as Python's csv module writes them: a cell that needs it in quotes."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _quoted(rows: Iterable[Iterable[Any]]) -> str:
    """XTREME's processed files: tab-separated, without a header."""
    return _written((map(_cell, row) for row in rows), "\t")


def xnli_pairs(rows: Rows, language: str) -> str:
    """XNLI of one language as XTREME's script leaves it."""
    return _quoted((row["premise"], row["hypothesis"], NLI[row["label"]]) for row in rows)


def pawsx_pairs(rows: Rows, language: str) -> str:
    """PAWS-X of one language as XTREME's script leaves it."""
    return _quoted(_translated(rows))


def qqp(rows: Rows, language: str) -> str:
    """GLUE's QQP."""
    table = ((r["idx"], 0, 0, r["question1"], r["question2"], r["label"]) for r in rows)
    return _table("id qid1 qid2 question1 question2 is_duplicate", table)


def wikiann(rows: Rows, language: str) -> str:
    """WikiANN: "en:word TAB tag" and a blank line after each sentence."""
    return "".join(
        "".join(f"{language}:{w}\t{WIKIANN[t]}\n" for w, t in zip(row["tokens"], row["ner_tags"], strict=True)) + "\n"
        for row in rows
    )


def siqa(rows: Rows, language: str) -> str:
    """Social IQa 1.4; labels "1" to "3" are A to C."""
    keys = ("context", "question", "answerA", "answerB", "answerC")
    return _lines({**{key: row[key] for key in keys}, "correct": " ABC"[int(row["label"])]} for row in rows)


def hellaswag(rows: Rows, language: str) -> str:
    """HellaSwag; the test file's label is empty."""
    return _lines(
        {
            **{key: row[key] for key in ("ind", "ctx", "endings")},
            **({} if row["label"] == "" else {"label": int(row["label"])}),
        }
        for row in rows
    )


def cosmosqa(rows: Rows, language: str) -> str:
    """Cosmos QA: comma-separated, quoted where need be."""
    keys = ["id", "context", "question", *(f"answer{i}" for i in range(4)), "label"]
    return _written([keys, *([row[key] for key in keys] for row in rows)], ",") if rows else ""


def commonsenseqa(rows: Rows, language: str) -> str:
    """CommonsenseQA 1.11; the test file has an empty answerKey."""
    return _lines({key: row[key] for key in ("id", "question", "choices", "answerKey")} for row in rows)


def jsonl(rows: Rows, language: str) -> str:
    """Rows as they are, one JSON object a line: COPA and XCOPA."""
    return _lines(rows)


_CHOICES = (siqa, hellaswag, cosmosqa, commonsenseqa, jsonl)
_PAIRS = (xnli, xnli_pairs, nli, anli, pawsx, pawsx_pairs, qqp)
CONVERTERS: dict[str, Callable[[Rows, str], str]] = {
    function.__name__.replace("_", "-"): function
    for function in (squad, tydiqa, tydiqa_all, *_PAIRS, wikiann, *_CHOICES)
}
