"""Question answering after the encoder: from start and end scores to answer texts, against the transformers example."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlt.bench.inputs import counts_of, draw_lengths
from xlt.bench.measure import Measurement, in_turn, ratio
from xlt.bench.settings import Bench
from xlt.data.features import Feature
from xlt.data.records import Question
from xlt.evaluation.qa_decoding import MAX_ANSWER_TOKENS, N_BEST, best_answers

QUESTION = 14
"""Tokens before the passage: <s>, a question of about eleven, </s></s>."""
PEAK = 12.0
"""How far a right start or end stands out; trained readers are as sure in most windows."""
Scores = NDArray[np.float32]


def make_windows(bench: Bench, number: int) -> tuple[list[Question], list[Feature], list[Scores]]:
    """Questions, two windows each, and scores [tokens, 2] as a trained reader gives: one answer in one of the windows."""
    draw, noise = random.Random(0), np.random.default_rng(0)
    passage = " ".join(f"{i % 1000:03d}" for i in range(400))
    records = [Question(str(record), "", passage, ()) for record in range((number + 1) // 2)]
    features, scores = [], []
    for index, length in enumerate(draw_lengths(counts_of(bench, "squad_windows"), number, "answers")):
        offsets = [(4 * i, 4 * i + 3) if QUESTION <= i < length - 1 else None for i in range(length)]
        features.append(Feature(index // 2, [[0] * length], [[0] * length], offsets=offsets))
        scores.append(noise.standard_normal((length, 2), dtype=np.float32))
        if index % 2 == 0:
            start = draw.randrange(QUESTION, length - 6)
            scores[-1][start, 0] += PEAK
            scores[-1][start + draw.randrange(4), 1] += PEAK
    return records, features, scores


def example_answers(
    records: Sequence[Question], features: Sequence[Feature], scores: Sequence[Scores]
) -> tuple[dict[str, str], dict[str, list[dict[str, Any]]]]:
    """Answers as ``postprocess_qa_predictions`` of transformers' examples finds them (question-answering/utils_qa.py).

    Of each window every pair of the 20 best starts and the 20 best ends is looked at in turn; of all windows of a
    question the 20 best pairs are kept with their text and probability, and the first is the answer.
    """
    windows: dict[int, list[int]] = defaultdict(list)
    for index, feature in enumerate(features):
        windows[feature.record].append(index)
    answers, candidates = {}, {}
    for number, record in enumerate(records):
        found: list[dict[str, Any]] = []
        for index in windows[number]:
            start_scores, end_scores, offsets = scores[index][:, 0], scores[index][:, 1], features[index].offsets
            starts = np.argsort(start_scores)[: -N_BEST - 1 : -1].tolist()
            ends = np.argsort(end_scores)[: -N_BEST - 1 : -1].tolist()
            for first in starts:
                for last in ends:
                    if first >= len(offsets) or last >= len(offsets):
                        continue
                    begin, finish = offsets[first], offsets[last]
                    if begin is None or finish is None or last < first or last - first + 1 > MAX_ANSWER_TOKENS:
                        continue
                    start_logit, end_logit = start_scores[first], end_scores[last]
                    pair = {"score": start_logit + end_logit, "start_logit": start_logit, "end_logit": end_logit}
                    found.append({"offsets": (begin[0], finish[1]), **pair})
        found = sorted(found, key=lambda entry: entry["score"], reverse=True)[:N_BEST]
        for entry in found:
            begin, finish = entry.pop("offsets")
            entry["text"] = record.context[begin:finish]
        if not found:
            found.append({"text": "empty", "start_logit": 0.0, "end_logit": 0.0, "score": 0.0})
        values = np.array([entry.pop("score") for entry in found])
        powers = np.exp(values - values.max())
        for entry, probability in zip(found, powers / powers.sum(), strict=True):
            entry["probability"] = probability
        answers[record.id] = found[0]["text"]
        candidates[record.id] = [
            {key: float(value) if isinstance(value, np.floating) else value for key, value in entry.items()}
            for entry in found
        ]
    return answers, candidates


def answers(bench: Bench) -> Measurement:
    """(d) From scores to answers, against the way of the transformers example."""
    size = bench.sizes["answers"]
    records, features, scores = make_windows(bench, size.squad)
    texts: dict[str, list[str]] = {}

    def ours(turn: int) -> None:
        texts["ours"] = best_answers(records, features, scores)

    def example(turn: int) -> None:
        texts["example"] = list(example_answers(records, features, scores)[0].values())

    ours(0)
    times = in_turn({"example": example, "ours": ours}, size)
    promise = ratio(
        "transformers example / ours", times["example"], times["ours"], "at least", bench.promised("answers", "ratio")
    )
    same = sum(a == b for a, b in zip(texts["ours"], texts["example"], strict=True))
    return Measurement(
        "Question answering: from scores to answers",
        times,
        [promise],
        agreement={"share of equal answers": same / len(records)},
        figures={"windows": size.squad, "questions": len(records)},
    )
