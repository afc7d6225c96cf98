"""Parquet files of the hub, written again in the layout of the data's owner, so that one reader serves both.

Each function takes the rows of one file, in order, and the language wanted, and gives the text of the owner's file.
Class numbers become names by the order that the hub's own header states (``ClassLabel``), checked where it is there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from xlt.errors import InputError
from xlt.files import write_atomic

Rows = list[dict[str, Any]]
NLI = ("entailment", "neutral", "contradiction")
WIKIANN = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
_CLASSES = {
    **dict.fromkeys(("xnli", "xnli-pairs", "nli", "anli"), ("label", NLI)),
    "wikiann": ("ner_tags", WIKIANN),
}


def convert(kind: str, parquet: Path, language: str, target: Path, label: str) -> None:
    """Write ``target`` from a parquet file; ``label`` names the latter in messages.

    Raises:
        InputError: it is not parquet, lacks a column, numbers its classes otherwise, or has no rows for ``language``.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(parquet) as file:
            _check_classes(kind, file.schema_arrow.metadata or {}, label)
            rows: Rows = file.read().to_pylist()
        text = CONVERTERS[kind](rows, language)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{label}: expected a parquet file: {str(error).splitlines()[0]}") from None
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise InputError(f"{label}: not in the columns that {kind} has: {type(error).__name__} {error}") from None
    if not text:
        raise InputError(f"{label}: expected rows in {language}, got none")
    write_atomic(target, text)


def _check_classes(kind: str, metadata: Mapping[bytes, bytes], label: str) -> None:
    """Refuse a file whose header numbers the classes otherwise than this project does."""
    column, expected = _CLASSES.get(kind, ("", ()))
    if not column or b"huggingface" not in metadata:
        return
    feature = json.loads(metadata[b"huggingface"])["info"]["features"].get(column, {})
    feature = feature.get("feature", feature)
    names = feature.get("names")
    if names is not None and tuple(names) != expected:
        raise InputError(f"{label}: expected the classes {', '.join(expected)}, got {', '.join(names)}")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(_json(row) + "\n" for row in rows)


def _cell(value: Any) -> str:
    """A value as a cell of a file without quoting: tabs and line ends inside a sentence become spaces."""
    return " ".join(str(value).split())


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    body = "".join("\t".join(_cell(cell) for cell in row) + "\n" for row in rows)
    return "\t".join(header) + "\n" + body if body else ""


def _squad(rows: Rows) -> str:
    """SQuAD's nesting: consecutive rows of one passage are its questions."""
    articles: list[dict[str, Any]] = []
    for row in rows:
        answers = row["answers"]
        given = [{"text": t, "answer_start": s} for t, s in zip(answers["text"], answers["answer_start"], strict=True)]
        question = {"id": row["id"], "question": row["question"], "answers": given}
        title = row.get("title", "")
        if not articles or articles[-1]["title"] != title:
            articles.append({"title": title, "paragraphs": []})
        paragraphs = articles[-1]["paragraphs"]
        if not paragraphs or paragraphs[-1]["context"] != row["context"]:
            paragraphs.append({"context": row["context"], "qas": []})
        paragraphs[-1]["qas"].append(question)
    return _json({"version": "1.1", "data": articles}) + "\n" if articles else ""


def squad(rows: Rows, language: str) -> str:
    """SQuAD 1.1 and 2.0, XQuAD, MLQA. In SQuAD 2.0 a question without an answer is impossible."""
    text = _squad(rows)
    if not any(not row["answers"]["text"] for row in rows):
        return text
    document = json.loads(text)
    document["version"] = "v2.0"
    for article in document["data"]:
        for question in (q for paragraph in article["paragraphs"] for q in paragraph["qas"]):
            question["is_impossible"] = not question["answers"]
    return _json(document) + "\n"


def tydiqa(rows: Rows, language: str) -> str:
    """TyDiQA-GoldP of one language, told by the id's prefix ("swahili-…")."""
    from xlt.languages import name

    return _squad([row for row in rows if row["id"].startswith(f"{name(language).lower()}-")])


def tydiqa_all(rows: Rows, language: str) -> str:
    """TyDiQA-GoldP of all languages in one file, as the owner's training file has it."""
    return _squad(rows)


def xnli(rows: Rows, language: str) -> str:
    """XNLI's one file for all languages, from the configuration ``all_languages``. The pair's id is its row from 0."""
    table = []
    codes = sorted(rows[0]["premise"])
    for code in codes:
        for number, row in enumerate(rows):
            hypotheses = dict(zip(row["hypothesis"]["language"], row["hypothesis"]["translation"], strict=True))
            table.append((code, NLI[row["label"]], row["premise"][code], hypotheses[code], number))
    return _table(("language", "gold_label", "sentence1", "sentence2", "pairID"), table)


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


def pawsx(rows: Rows, language: str) -> str:
    """PAWS-X; an empty sentence is the owner's "NS", not translated."""
    table = ((r["id"], r["sentence1"] or "NS", r["sentence2"] or "NS", r["label"]) for r in rows)
    return _table(("id", "sentence1", "sentence2", "label"), table)


def _quoted(rows: Iterable[Iterable[Any]]) -> str:
    """XTREME's processed files: tab-separated by Python's csv module, which quotes cells with a quote mark; no header."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def xnli_pairs(rows: Rows, language: str) -> str:
    """XNLI of one language as XTREME's script leaves it."""
    return _quoted((row["premise"], row["hypothesis"], NLI[row["label"]]) for row in rows)


def pawsx_pairs(rows: Rows, language: str) -> str:
    """PAWS-X of one language as XTREME's script leaves it."""
    return _quoted((r["sentence1"] or "NS", r["sentence2"] or "NS", r["label"]) for r in rows)


def qqp(rows: Rows, language: str) -> str:
    """GLUE's QQP."""
    header = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
    return _table(header, ((r["idx"], 0, 0, r["question1"], r["question2"], r["label"]) for r in rows))


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
            "ind": row["ind"],
            "ctx": row["ctx"],
            "endings": list(row["endings"]),
            **({"label": int(row["label"])} if row["label"] != "" else {}),
        }
        for row in rows
    )


def cosmosqa(rows: Rows, language: str) -> str:
    """Cosmos QA: comma-separated, quoted where need be."""
    out = io.StringIO(newline="")
    keys = ["id", "context", "question", *(f"answer{i}" for i in range(4)), "label"]
    writer = csv.DictWriter(out, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: row[key] for key in keys} for row in rows)
    return out.getvalue() if rows else ""


def commonsenseqa(rows: Rows, language: str) -> str:
    """CommonsenseQA 1.11; the test file has an empty answerKey."""
    return _lines({key: row[key] for key in ("id", "question", "choices", "answerKey")} for row in rows)


def jsonl(rows: Rows, language: str) -> str:
    """Rows as they are, one JSON object a line: COPA and XCOPA."""
    return _lines(rows)


CONVERTERS: dict[str, Callable[[Rows, str], str]] = {
    "squad": squad,
    "tydiqa": tydiqa,
    "tydiqa-all": tydiqa_all,
    "xnli": xnli,
    "xnli-pairs": xnli_pairs,
    "nli": nli,
    "anli": anli,
    "pawsx": pawsx,
    "pawsx-pairs": pawsx_pairs,
    "qqp": qqp,
    "wikiann": wikiann,
    "siqa": siqa,
    "hellaswag": hellaswag,
    "cosmosqa": cosmosqa,
    "commonsenseqa": commonsenseqa,
    "jsonl": jsonl,
}
