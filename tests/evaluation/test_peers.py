"""The scorer against its peers on identical random predictions, through files: no figure may differ.

Peers of labels, tags and answers: seqeval, scikit-learn, torchmetrics, and the owners' definitions of
SQuAD 1.1 and MLQA, written out here. TyDiQA-GoldP is scored by SQuAD's rules.
"""

from __future__ import annotations

import random
import re
import string
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.tasks import score_task, submission_file, write_submission

from xlt.data.records import AnswerSpan, Question
from xlt.families.qa import squad_layout
from xlt.files import to_json, write_atomic

CASES = 150
UPOS = ["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ"]
UPOS += ["SYM", "VERB", "X"]
IOB = ["O", *(f"{prefix}-{kind}" for kind in ("LOC", "ORG", "PER") for prefix in "BI")]

Tags = list[list[str]]


def scored(folder: Path, task: str, gold: Any, given: Any, language: str = "de") -> dict[str, float]:
    """What the scorer says of predictions and gold labels that were written to files."""
    predictions = write_submission(folder / "predictions", task, language, given)
    labels = write_submission(folder / "labels", task, language, gold)
    return score_task(task, predictions, labels, language)


def corrupted(rng: random.Random, sentences: Tags, tags: Sequence[str]) -> Tags:
    """The sentences with a share of tags, different from case to case, drawn anew."""
    share = rng.random()
    return [[rng.choice(tags) if rng.random() < share else tag for tag in tags_] for tags_ in sentences]


def tagged(rng: random.Random, tags: Sequence[str]) -> Tags:
    return [[rng.choice(tags) for _ in range(rng.randint(1, 12))] for _ in range(rng.randint(1, 6))]


def by_seqeval(gold: Tags, given: Tags, **mode: Any) -> dict[str, float]:
    """The three calls of XTREME's evaluate.py."""
    from seqeval.metrics import f1_score, precision_score, recall_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "f1": f1_score(gold, given, **mode) * 100,
            "precision": precision_score(gold, given, **mode) * 100,
            "recall": recall_score(gold, given, **mode) * 100,
        }


@pytest.mark.parametrize(("task", "tags"), [("panx", IOB), ("udpos", UPOS)])
def test_tagging_equals_seqeval_in_its_default_mode(tmp_path: Path, task: str, tags: list[str]) -> None:
    for seed in range(CASES):
        rng = random.Random(seed)
        gold = tagged(rng, tags)
        given = corrupted(rng, gold, tags)
        found = scored(tmp_path, task, gold, given)
        found.pop("accuracy", None)
        assert found == by_seqeval(gold, given), seed


def well_formed(sentences: Tags) -> Tags:
    """The same tags as IOB2: an I- that continues no entity of its type becomes a B-."""
    result = []
    for tags in sentences:
        fixed: list[str] = []
        for tag in tags:
            inside = bool(fixed) and fixed[-1] != "O" and fixed[-1][2:] == tag[2:]
            fixed.append(tag if tag[0] != "I" or inside else "B" + tag[1:])
        result.append(fixed)
    return result


def test_entities_in_iob2_equal_seqeval_in_strict_mode(tmp_path: Path) -> None:
    from seqeval.scheme import IOB2

    for seed in range(CASES):
        rng = random.Random(seed)
        gold = well_formed(tagged(rng, IOB))
        given = well_formed(corrupted(rng, gold, IOB))
        assert scored(tmp_path, "panx", gold, given) == by_seqeval(gold, given, mode="strict", scheme=IOB2), seed


def test_strict_mode_would_refuse_what_xtreme_accepts(tmp_path: Path) -> None:
    from seqeval.scheme import IOB2

    gold, given = [["B-LOC", "I-LOC"]], [["I-LOC", "I-LOC"]]  # no B-: an entity for conlleval, none in strict IOB2
    assert scored(tmp_path, "panx", gold, given)["f1"] == 100
    assert by_seqeval(gold, given, mode="strict", scheme=IOB2)["f1"] == 0


def test_tag_accuracy_equals_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score

    for seed in range(40):
        rng = random.Random(seed)
        gold = tagged(rng, UPOS)
        given = corrupted(rng, gold, UPOS)
        expected = accuracy_score([tag for s in gold for tag in s], [tag for s in given for tag in s]) * 100
        assert scored(tmp_path, "udpos", gold, given)["accuracy"] == pytest.approx(expected, abs=1e-12), seed


@pytest.mark.parametrize(
    ("task", "labels"), [("xnli", ["entailment", "neutral", "contradiction"]), ("tatoeba", range(9))]
)
def test_accuracy_equals_scikit_learn(tmp_path: Path, task: str, labels: Sequence[Any]) -> None:
    from sklearn.metrics import accuracy_score

    for seed in range(40):
        rng = random.Random(seed)
        gold = [rng.choice(labels) for _ in range(rng.randint(1, 30))]
        given = [rng.choice((right, rng.choice(labels))) for right in gold]
        expected = accuracy_score(list(map(str, gold)), list(map(str, given))) * 100
        assert scored(tmp_path, task, gold, given) == {"accuracy": pytest.approx(expected, abs=1e-12)}, seed


# Answers


PUNCTUATION = {c for c in map(chr, range(sys.maxunicode)) if unicodedata.category(c)[0] == "P"} | {*string.punctuation}
ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
}


def squad_normal(text: str, language: str) -> str:
    """SQuAD 1.1: lower case, without ASCII punctuation, without articles, single spaces."""
    kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def mlqa_normal(text: str, language: str) -> str:
    """MLQA: any punctuation, the articles of the language; Chinese character by character."""
    kept = "".join(c for c in text.lower() if c not in PUNCTUATION)
    if language in ARTICLES:
        kept = re.sub(ARTICLES[language], " ", kept)
    if language != "zh":
        return " ".join(kept.split())
    words, run = [], ""
    for c in kept:
        if "\u4e00" <= c <= "\u9fa5":
            words += [*run.split(), c]
            run = ""
        else:
            run += c
    return " ".join([*words, *run.split()])


def owner_scores(
    gold: dict[str, list[str]], given: dict[str, str], normal: Callable[[str, str], str], language: str
) -> dict[str, float]:
    """SQuAD's script: per question the best exact match and the best F1 over its answers; 0 without a prediction."""
    exact = overlap = 0.0
    for name, answers in gold.items():
        if name not in given:
            continue
        predicted = normal(given[name], language)
        values = []
        for answer in answers:
            right = normal(answer, language)
            common = sum((Counter(predicted.split()) & Counter(right.split())).values())
            if common == 0:
                values.append(0.0)
            else:
                precision, recall = common / len(predicted.split()), common / len(right.split())
                values.append(2 * precision * recall / (precision + recall))
        exact += max(predicted == normal(answer, language) for answer in answers)
        overlap += max(values)
    return {"exact_match": 100.0 * exact / len(gold), "f1": 100.0 * overlap / len(gold)}


WORDS = ["the", "The", "a", "an", "theatre", "Paris,", "«Paris»", "1900", "19-00", "don't", "el", "la", "los", "niño"]
WORDS += ["der", "die", "Haus", "das", "của", "là", "cái", "Hà", "Nội", "ال", "القاهرة", "الكتاب", "وال", "红楼梦"]
WORDS += ["《红楼》", "abc红x楼", "सन्", "१९००", "है।", ".", "!?", "’", "¿qué?", "\u200c", "\u00a0", "$5", "€5", "___"]


def text_of(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 5)))


def answers_of(rng: random.Random) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Questions with one to three answers, and predictions for most: an answer, part of one, or something else."""
    gold = {f"q{i}": [text_of(rng) or "none" for _ in range(rng.randint(1, 3))] for i in range(rng.randint(1, 6))}
    given = {}
    for name, answers in gold.items():
        right = rng.choice(answers).split()
        cut = " ".join(right[rng.randint(0, 1) : len(right) - rng.randint(0, 1)])
        choice = rng.random()
        if choice < 0.9:
            given[name] = cut if choice < 0.5 else text_of(rng)
    return gold, given or {"q0": ""}


def answers_scored(folder: Path, task: str, gold: dict[str, list[str]], given: Any, language: str) -> dict[str, float]:
    questions = [Question(n, "?", "", tuple(AnswerSpan(text, 0) for text in answers)) for n, answers in gold.items()]
    labels = submission_file(folder / "labels", task, language)
    write_atomic(labels, to_json(squad_layout(questions)))
    return score_task(task, write_submission(folder / "predictions", task, language, given), labels, language)


@pytest.mark.parametrize("task", ["xquad", "tydiqa"])
def test_answers_equal_the_definition_of_squad(tmp_path: Path, task: str) -> None:
    for seed in range(CASES):
        gold, given = answers_of(random.Random(seed))
        assert answers_scored(tmp_path, task, gold, given, "ar") == owner_scores(gold, given, squad_normal, "ar"), seed


@pytest.mark.parametrize("language", ["en", "es", "hi", "vi", "de", "ar", "zh"])
def test_answers_equal_the_definition_of_mlqa(tmp_path: Path, language: str) -> None:
    for seed in range(60):
        gold, given = answers_of(random.Random(seed))
        expected = owner_scores(gold, given, mlqa_normal, language)
        assert answers_scored(tmp_path, "mlqa", gold, given, language) == expected, seed


def test_answers_equal_torchmetrics(tmp_path: Path) -> None:
    from torchmetrics.functional.text import squad  # slow to import

    for seed in range(60):
        gold, given = answers_of(random.Random(seed))
        # an answer that normalises to nothing is F1 1 against another such one there, as in SQuAD 2.0, and 0 in 1.1
        gold = {name: [f"{text} x" for text in answers] for name, answers in gold.items()}
        complete = {name: given.get(name, "") + " x" for name in gold}
        found = squad(
            [{"prediction_text": text, "id": name} for name, text in complete.items()],
            [{"answers": {"answer_start": [0] * len(a), "text": a}, "id": name} for name, a in gold.items()],
        )
        own = answers_scored(tmp_path, "xquad", gold, complete, "en")
        assert own == pytest.approx({key: float(value) for key, value in found.items()}, abs=1e-4), seed  # float32
