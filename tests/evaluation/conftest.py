"""A small submission with every task of both benchmarks, written out by hand in the layout, and its expected scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def squad(questions: dict[str, list[str]]) -> str:
    """A SQuAD-layout label file of one paragraph."""
    qas = [
        {"id": name, "question": "?", "answers": [{"text": answer, "answer_start": 0} for answer in answers]}
        for name, answers in questions.items()
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": "", "qas": qas}]}]})


# file: (predictions, labels)
FILES: dict[str, tuple[str, str]] = {
    # 2 of 4 right: 50
    "xnli/test-de.tsv": (
        "entailment\nneutral\nentailment\ncontradiction\n",
        "entailment\nneutral\ncontradiction\nentailment\n",
    ),
    # all right: 100; average (50 + 100) / 2 = 75
    "xnli/test-en.tsv": ("contradiction\nneutral\n", "contradiction\nneutral\n"),
    # 3 of 4 right: 75, and 0 of 1: 0; average 37.5
    "xcopa/test-et.jsonl": (
        '{"label": 0}\n{"label": 1}\n{"label": 0}\n{"label": 0}\n',
        '{"label": 0}\n{"label": 1}\n{"label": 1}\n{"label": 0}\n',
    ),
    "xcopa/test-zh.jsonl": ('{"label": 0}\n', '{"label": 1}\n'),
    # 4 of 5 right: 80
    "pawsx/test-fr.tsv": ("1\n1\n1\n1\n0\n", "1\n0\n1\n1\n0\n"),
    # gold spans DET, NOUN NOUN, PUNCT / NOUN, VERB: 5; predicted DET, NOUN, VERB, PUNCT / NOUN, VERB: 6; right: DET,
    # PUNCT, NOUN, VERB: 4. Precision 4/6, recall 4/5, F1 2*4/(6+5) = 8/11
    "udpos/test-fi.tsv": (
        "DET\nNOUN\nVERB\nPUNCT\n\nNOUN\nVERB\n",
        "DET\nNOUN\nNOUN\nPUNCT\n\nNOUN\nVERB\n\n",
    ),
    # 100; average F1 (800/11 + 100) / 2 = 950/11
    "udpos/test-wo.tsv": ("PRON\nVERB\n", "PRON\nVERB\n"),
    # gold PER, LOC, ORG; predicted PER, LOC elsewhere; right 1. Precision 1/2, recall 1/3, F1 2*1/(2+3) = 40
    "panx/test-de.tsv": (
        "B-PER\nI-PER\nO\nO\n\nO\nB-LOC\n",
        "B-PER\nI-PER\nO\nB-LOC\n\nO\nB-ORG\n",
    ),
    # an I- at the start opens an entity: 100; average F1 70
    "panx/test-sw.tsv": ("I-LOC\n", "B-LOC\n"),
    # q1: exact. q2: "year 1900" shares 1 of 2 words with "in 1900" (F1 1/2), and with "1900" precision 1/2, recall 1
    # (F1 2/3): 2/3. q3: no prediction, 0. Exact match 1/3, F1 (1 + 2/3) / 3 = 5/9
    "xquad/test-el.json": (
        '{"q1": "Nile", "q2": "year 1900"}',
        squad({"q1": ["the Nile"], "q2": ["in 1900", "1900"], "q3": ["never answered"]}),
    ),
    # 100; averages: exact match 2/3, F1 7/9, both 13/18
    "xquad/test-en.json": ('{"q1": "the Nile"}', squad({"q1": ["Nile"]})),
    # two of three characters, quotation marks dropped: precision 1, recall 2/3, F1 0.8
    "mlqa/test-zh.json": ('{"q1": "《红楼》"}', squad({"q1": ["红楼梦"]})),
    # the Spanish article goes: exact; averages: exact match 50, F1 90, both 70
    "mlqa/test-es.json": ('{"q1": "Río"}', squad({"q1": ["el río"]})),
    # precision 1/3, recall 1: F1 1/2
    "tydiqa/test-sw.json": ('{"q1": "mji wa Dodoma"}', squad({"q1": ["Dodoma"]})),
    # exact; averages: exact match 50, F1 75, both 62.5
    "tydiqa/test-ko.json": ('{"q1": "서울"}', squad({"q1": ["서울"]})),
    # q1: right at ranks 1 and 3: (1/1 + 2/3) / 2 = 5/6; q2 not answered: 0; mean 5/12
    "lareqa/test-en.json": (
        '{"q1_en": ["en_1_0", "en_2_3", "th_1_0"]}',
        '{"q1_en": ["en_1_0", "th_1_0"], "q2_en": ["en_2_0", "th_2_0"]}',
    ),
    # 1; average (5/12 + 1) / 2 = 17/24
    "lareqa/test-th.json": ('{"q1_th": ["th_1_0", "en_1_0"]}', '{"q1_th": ["en_1_0", "th_1_0"]}'),
    # ranks 2 and 1: (1/2 + 1) / 2 = 75
    "mewslix/test-ar.json": ('{"m1": ["Q2", "Q1"], "m2": ["Q3"]}', '{"m1": ["Q1"], "m2": ["Q3"]}'),
    # not found: 0; average 37.5
    "mewslix/test-ta.json": ('{"m3": []}', '{"m3": ["Q9"]}'),
    # 2 of 4: 50, and 100; average 75
    "tatoeba/test-de.tsv": ("2\n0\n3\n1\n", "2\n0\n1\n3\n"),
    "tatoeba/test-az.tsv": ("0\n1\n", "0\n1\n"),
    # 1 right of 2 predicted and 3 gold (the repeated line is one pair): precision 1/2, recall 1/3, F1 40
    "bucc2018/test-fr.tsv": (
        "fr-1\ten-1\nfr-2\ten-9\nfr-1\ten-1\n",
        "fr-1\ten-1\nfr-2\ten-2\nfr-3\ten-3\n",
    ),
    # nothing mined: 0; average F1 20
    "bucc2018/test-zh.tsv": ("", "zh-1\ten-1\n"),
}


def write_submission_files(root: Path, tasks: set[str] | None = None) -> tuple[Path, Path]:
    """Write the files of some tasks (all by default); the folders of predictions and of labels."""
    for name, contents in FILES.items():
        if tasks is None or name.split("/")[0] in tasks:
            for side, content in zip(("predictions", "labels"), contents, strict=True):
                path = root / side / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    return root / "predictions", root / "labels"


@pytest.fixture
def submission(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of predictions and labels with every task."""
    return write_submission_files(tmp_path)


@pytest.fixture
def one_task(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """A function that writes only the named tasks and returns both folders."""

    def write(*tasks: str) -> tuple[Path, Path]:
        return write_submission_files(tmp_path, set(tasks))

    return write


@pytest.fixture
def languages() -> dict[str, list[str]]:
    """The languages of the small submission, per task."""
    found: dict[str, list[str]] = {}
    for name in FILES:
        task, file = name.split("/")
        found.setdefault(task, []).append(file.removeprefix("test-").split(".")[0])
    return found
