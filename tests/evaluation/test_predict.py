from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlt.config.regimes import Full
from xlt.data.features import Feature
from xlt.data.records import Choice, Pair, Question, Tagged
from xlt.evaluation.qa_decoding import MAX_ANSWER_TOKENS, N_BEST, best_spans
from xlt.families import SUPERVISED
from xlt.families.classification import pair_features
from xlt.modeling.model import TokenBatch, TransferModel, build_model
from xlt.modeling.outputs import outputs_of

WORDS = ("cat", "dog", "bird", "tree", "red", "house", "Bob", "Anna")


@dataclass
class Spec:
    family: str
    labels: list[str] | None = None
    max_length: int = 24
    doc_stride: int | None = 5


def scores(*values: float) -> Any:
    return np.array(values, dtype=np.float32)


def places(*inside: bool) -> list[tuple[int, int] | None]:
    """Token i spans characters 10 i to 10 i + 5 of the context, or is outside of it."""
    return [(10 * i, 10 * i + 5) if keep else None for i, keep in enumerate(inside)]


def best_span(start: Any, end: Any, offsets: Any) -> tuple[float, tuple[int, int] | None]:
    """The best span of one window."""
    return best_spans([np.stack([start, end], axis=1)], [offsets])[0]


class TestBestSpan:
    def test_by_hand(self) -> None:
        # best start at 1 (3), best end at 2 (4): 7
        found = best_span(scores(0, 3, 1, 0), scores(0, 1, 4, 2), places(True, True, True, True))
        assert found == (7.0, (10, 25))

    def test_the_end_is_not_before_the_start(self) -> None:
        # start 3 (9) and end 0 (9) would give 18; allowed are (0, 0): 1 + 9, (3, 3): 9 + 2, (0, 3): 1 + 2, (1, 1), ...
        found = best_span(scores(1, 0, 0, 9), scores(9, 0, 0, 2), places(True, True, True, True))
        assert found == (11.0, (30, 35))

    def test_tokens_outside_the_context_do_not_count(self) -> None:
        found = best_span(scores(99, 1, 2, 99), scores(99, 3, 1, 99), places(False, True, True, False))
        assert found == (4.0, (10, 15))
        assert best_span(scores(1, 2), scores(1, 2), places(False, False)) == (-math.inf, None)

    def test_an_answer_has_at_most_thirty_tokens(self) -> None:
        assert (MAX_ANSWER_TOKENS, N_BEST) == (30, 20)
        start, end = np.zeros(40, np.float32), np.zeros(40, np.float32)
        start[2], end[32] = 5, 5  # 31 tokens
        value, span = best_span(start, end, places(*[True] * 40))
        assert value == 5.0
        assert span is not None and (span[0], span[1]) != (20, 325)
        end[32], end[31] = 0, 5  # 30 tokens
        assert best_span(start, end, places(*[True] * 40)) == (10.0, (20, 315))

    def test_only_the_twenty_best_of_each_end_are_considered(self) -> None:
        # the 20 best starts are the last 20 tokens, the 20 best ends the first 20: no pair is in order
        start = np.arange(40, dtype=np.float32)
        assert best_span(start, start[::-1].copy(), places(*[True] * 40)) == (-math.inf, None)
        assert best_span(start[1:], start[1:][::-1].copy(), places(*[True] * 39))[1] == (
            190,
            195,
        )  # they share token 19

    def test_minus_infinity_is_no_answer(self) -> None:
        assert best_span(scores(-math.inf, 1), scores(-math.inf, -math.inf), places(True, True))[1] is None


class ByToken:
    """A stand-in for a trained model: the scores of a row follow from its token ids, whatever the batch."""

    pad_id = 1
    batch = TransferModel.batch
    device = torch.device("cpu")

    def __init__(self, outputs: int, per_token: bool) -> None:
        self.outputs = outputs
        self.per_token = per_token
        self.shapes: list[tuple[int, ...]] = []

    def eval(self) -> None:
        pass

    def scores(self, rows: TokenBatch) -> torch.Tensor:
        self.shapes.append(tuple(rows.input_ids.shape))
        values = torch.stack([torch.sin(rows.input_ids * (k + 1.0)) for k in range(self.outputs)], -1)
        if self.per_token:
            return values.float()
        mask = rows.attention_mask.unsqueeze(-1)
        return ((values * mask).sum(1) / mask.sum(1)).float()


def words(number: int) -> str:
    """A text of 1 to 9 words that differs with ``number``."""
    draw = random.Random(number)
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 9)))


RECORDS: dict[str, list[Any]] = {
    "classification": [Pair(str(i), words(i), words(i + 3), None) for i in range(12)],
    "choice": [Choice(str(i), words(i), tuple(words(i + j) for j in range(2 + i % 3)), None) for i in range(12)],
    "tagging": [Tagged(str(i), tuple((words(i) + " " + words(i + 5)).split()), None) for i in range(12)],
    "span": [Question(str(i), "who", words(i) + " " + words(i + 7) + " " + words(i + 2), ()) for i in range(12)],
}
MODELS = {
    "classification": (3, False),
    "choice": (1, False),
    "tagging": (3, True),
    "span": (2, True),
}


@pytest.mark.parametrize("family", RECORDS)
def test_predictions_come_in_order_whatever_the_batches(tokenizer: Any, family: str) -> None:
    spec = Spec(family, ["A", "B", "C"])
    found, shapes = [], []
    for budget in (1, 120, 10**6):
        model: Any = ByToken(*MODELS[family])
        found.append(SUPERVISED[family].predict(model, tokenizer, RECORDS[family], spec, budget=budget, title="t"))
        shapes.append(len(model.shapes))
    assert found[0] == found[1] == found[2]
    assert shapes[0] > shapes[1] > shapes[2] == 1
    one_by_one = []
    for record in RECORDS[family]:
        model = ByToken(*MODELS[family])
        one_by_one += SUPERVISED[family].predict(model, tokenizer, [record], spec, budget=10**6, title="t")
    assert found[0] == one_by_one
    assert len({str(value) for value in found[0]}) > 1  # or order would not show


@pytest.mark.parametrize("family", RECORDS)
def test_no_records_give_no_predictions(tokenizer: Any, family: str) -> None:
    model: Any = ByToken(*MODELS[family])
    assert SUPERVISED[family].predict(model, tokenizer, [], Spec(family, ["A"]), budget=9, title="t") == []


def test_outputs_leave_padding_out() -> None:
    model: Any = ByToken(3, True)
    features = [Feature(0, [[0, 5, 2]], [[0] * 3]), Feature(1, [[0, 5, 6, 7, 2]], [[0] * 5])]
    outputs = outputs_of(model, features, budget=100, title="t")
    assert model.shapes == [(2, 5)]
    assert [output.shape for output in outputs] == [(3, 3), (5, 3)]
    assert outputs[0][1, 0] == pytest.approx(math.sin(5))


def test_options_by_hand(tokenizer: Any) -> None:
    class Longest(ByToken):
        def scores(self, rows: TokenBatch) -> torch.Tensor:
            return rows.attention_mask.sum(1, keepdim=True).float()

    records = [
        Choice("1", "why", ("cat", "the cat sat", "dog ran"), None),
        Choice("2", "why", ("the old red house", "it"), None),
        Choice("3", "who", ("a", "a", "a", "a tree"), None),
    ]
    model: Any = Longest(1, False)
    spec = Spec("choice")
    assert SUPERVISED["choice"].predict(model, tokenizer, records, spec, budget=10**6, title="t") == [1, 0, 3]


def test_tags_of_windows_are_put_together_in_order(tokenizer: Any) -> None:
    vocabulary = {word: tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("cat", "dog", "zq")}
    assert len(set(vocabulary.values())) == 3
    labels = ["CAT", "DOG", "ZQ"]

    class Reads(ByToken):
        def scores(self, rows: TokenBatch) -> torch.Tensor:
            self.shapes.append(tuple(rows.input_ids.shape))
            return torch.stack([(rows.input_ids == vocabulary[word]).float() for word in ("cat", "dog", "zq")], -1)

    sentence = ("cat", "zq", "dog", "dog", "zq", "cat", "zq") * 3
    records = [Tagged("1", ("dog",), None), Tagged("2", sentence, None), Tagged("3", ("zq", "cat"), None)]
    model: Any = Reads(3, True)
    tags = SUPERVISED["tagging"].predict(
        model, tokenizer, records, Spec("tagging", labels, max_length=9), budget=1, title="t"
    )
    assert tags == [["DOG"], [word.upper() for word in sentence], ["ZQ", "CAT"]]
    assert len(model.shapes) > len(records)


def test_the_answer_is_the_best_of_all_windows_without_its_leading_space(tokenizer: Any) -> None:
    target = tokenizer("house", add_special_tokens=False)["input_ids"][0]

    class Finds(ByToken):
        def scores(self, rows: TokenBatch) -> torch.Tensor:
            return torch.stack([(rows.input_ids == target).float() * 9] * 2, -1)

    context = "cat " * 12 + "house " + "dog " * 12
    records = [Question("1", "house", context, ()), Question("2", "who", "red house", ())]
    model: Any = Finds(2, True)
    answers = SUPERVISED["span"].predict(model, tokenizer, records, Spec("span", max_length=20), budget=1, title="t")
    assert answers == ["house", "house"]


def test_a_real_model_predicts_the_same_in_any_batch(mini_encoder: Path, tokenizer: Any) -> None:
    model: TransferModel = build_model(
        mini_encoder, family=SUPERVISED["classification"], labels=3, tuning=Full(kind="full"), pooling="mean", seed=1
    ).train()
    spec, records = Spec("classification", ["A", "B", "C"]), RECORDS["classification"]
    features = pair_features(records, tokenizer, ["A", "B", "C"], 24)
    alone = outputs_of(model, features, budget=1, title="t")
    together = outputs_of(model, features, budget=10**6, title="t")
    assert np.allclose(alone, together, atol=1e-5)  # dropout is off, padding does not matter
    assert SUPERVISED["classification"].predict(model, tokenizer, records, spec, budget=50, title="t") == [
        "ABC"[int(output.argmax())] for output in alone
    ]
