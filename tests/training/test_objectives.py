from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from xlt.config.regimes import Full
from xlt.data.features import IGNORED, Feature
from xlt.data.records import AnswerSpan, Choice, Pair, Question, Tagged
from xlt.families import FAMILIES, SUPERVISED
from xlt.families.choice import choice_features
from xlt.families.classification import pair_features
from xlt.families.qa import span_features
from xlt.families.tagging import tagging_features
from xlt.modeling.model import TokenBatch, TransferModel, build_model

LABELS = ("A", "B", "C")


def pairs(tokenizer: Any) -> list[Feature]:
    texts = ["cat", "the cat sat on the mat", "dog ran", "a bird saw the old red house"]
    return pair_features(
        [Pair(str(i), text, "it ran", LABELS[i % 3]) for i, text in enumerate(texts)], tokenizer, LABELS, 64
    )


def choices(tokenizer: Any) -> list[Feature]:
    records = [
        Choice("1", "the cat", ("ran", "sat on the old mat", "it"), 1),
        Choice("2", "why", ("so", "then"), 1),
        Choice("3", "who saw the bird under the tree", ("Anna", "Bob", "a dog"), 0),
    ]
    return choice_features(records, tokenizer, 64)


def tags(tokenizer: Any) -> list[Feature]:
    words = [("cat",), ("the", "zzz", "dog", "ran"), ("a", "red", "bird") * 4]
    records = [Tagged(str(i), own, tuple(LABELS[j % 3] for j in range(len(own)))) for i, own in enumerate(words)]
    return tagging_features(records, tokenizer, LABELS, 12)


def spans(tokenizer: Any) -> list[Feature]:
    contexts = ["the cat sat", "Bob saw a red bird under the old tree and it ran", "red " * 20]
    records = [Question(str(i), "what is red", text, (AnswerSpan(text[:3], 0),)) for i, text in enumerate(contexts)]
    return span_features(records, tokenizer, 30, 5, training=True)


FEATURES: dict[str, Callable[[Any], list[Feature]]] = {
    "classification": pairs,
    "choice": choices,
    "tagging": tags,
    "span": spans,
}


@pytest.mark.parametrize("family", FEATURES)
def test_loss_and_gradient_do_not_depend_on_the_token_budget(mini_encoder: Path, tokenizer: Any, family: str) -> None:
    features = FEATURES[family](tokenizer)
    model = build_model(
        mini_encoder, family=FAMILIES[family], labels=3, tuning=Full(kind="full"), pooling="mean", seed=1
    ).eval()  # no dropout, which draws other numbers for other shapes
    found = []
    parts = set()
    for budget in (1, 60, 10**6):
        model.zero_grad()
        losses = [part() for part in model.family.losses(model, features, budget)]
        parts.add(len(losses))
        for loss in losses:
            loss.backward()
        gradient = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found.append((sum(float(part.detach()) for part in losses), gradient))
    assert {1, len(features)} <= parts  # the budgets made a difference
    for total, gradient in found[1:]:
        assert total == pytest.approx(found[0][0], rel=1e-5)
        assert gradient.keys() == found[0][1].keys()
        for name in gradient:
            assert torch.allclose(gradient[name], found[0][1][name], atol=1e-6, rtol=1e-4), name


class Scores:
    """A model whose scores are given: one row of ``table`` per row of token ids."""

    pad_id = 1
    device = torch.device("cpu")
    micro_batch_size: int | None = None
    batch = TransferModel.batch

    def __init__(self, family: str, table: torch.Tensor) -> None:
        self.family = FAMILIES[family]
        self.table = table

    def scores(self, rows: TokenBatch) -> torch.Tensor:
        return self.table


def mean_loss(model: Any, features: Sequence[Feature]) -> float:
    return sum(float(part()) for part in model.family.losses(model, features, 10**6))


def feature(rows: int = 1, target: Any = None, width: int = 2) -> Feature:
    return Feature(0, [[0] * width] * rows, [[0] * width] * rows, target)


def test_classification_by_hand() -> None:
    # softmax of (0, ln 3) is (1/4, 3/4), of (ln 4, 0) is (4/5, 1/5)
    table = torch.tensor([[0.0, math.log(3)], [math.log(4), 0.0]])
    loss = mean_loss(Scores("classification", table), [feature(target=0), feature(target=0)])
    assert loss == pytest.approx((math.log(4) + math.log(5 / 4)) / 2)


def test_choice_by_hand_with_different_numbers_of_options() -> None:
    # first: softmax of (0, 0, ln 2) is (1/4, 1/4, 1/2); second has two options: softmax of (0, ln 3) is (1/4, 3/4)
    table = torch.tensor([[0.0], [0.0], [math.log(2)], [0.0], [math.log(3)]])
    features = [feature(3, 2), feature(2, 0)]
    assert mean_loss(Scores("choice", table), features) == pytest.approx((math.log(2) + math.log(4)) / 2)
    options = SUPERVISED["choice"].label_scores(Scores("choice", table), features)  # type: ignore[arg-type]
    assert options.shape == (2, 3)
    assert options[1, 2] == -math.inf


def test_tagging_by_hand_is_a_mean_over_words() -> None:
    # two words in the first sentence, one in the second; 3 words in all
    quarter, half = [0.0, math.log(3)], [0.0, 0.0]
    table = torch.tensor([[half, quarter, half], [half, quarter, half]])
    features = [feature(target=[IGNORED, 1, 0], width=3), feature(target=[IGNORED, 0], width=2)]  # longest first
    expected = (math.log(4) + math.log(4 / 3) + math.log(2)) / 3
    assert mean_loss(Scores("tagging", table), features) == pytest.approx(expected)


def test_tagging_by_hand_is_a_mean_over_micro_batches() -> None:
    # the losses of the words as above: ln 4/3 and ln 2 in the first sentence, ln 4 in the second
    quarter, half = [0.0, math.log(3)], [0.0, 0.0]
    model = Scores("tagging", torch.tensor([[half, quarter, half], [half, quarter, half]]))
    model.micro_batch_size = 1
    features = [feature(target=[IGNORED, 1, 0], width=3), feature(target=[IGNORED, 0], width=2)]
    expected = ((math.log(4 / 3) + math.log(2)) / 2 + math.log(4)) / 2
    assert mean_loss(model, features) == pytest.approx(expected)


def test_span_by_hand_leaves_padding_out() -> None:
    # First window: all scores equal, three tokens: 1/3 and 1/3. The second has two tokens, its third is padding. Start:
    # softmax of (0, ln 3) at 1 is 3/4; end: of (ln 3, 0) at 1 is 1/4
    table = torch.zeros(2, 3, 2)
    table[1, :, 0] = torch.tensor([0.0, math.log(3), 9.0])
    table[1, :, 1] = torch.tensor([math.log(3), 0.0, 9.0])
    features = [feature(target=(0, 2), width=3), feature(target=(1, 1), width=2)]  # longest first, as they are run
    first, second = math.log(3), (math.log(4 / 3) + math.log(4)) / 2
    assert mean_loss(Scores("span", table), features) == pytest.approx((first + second) / 2)
    assert SUPERVISED["span"].label_scores(Scores("span", table), features)[1, 0, 2] == -math.inf  # type: ignore[arg-type]


class Vectors:
    """A dual encoder whose embeddings are given by the first token id of a row."""

    pad_id = 1
    device = torch.device("cpu")
    family = "lareqa"
    micro_batch_size: int | None = None
    batch = TransferModel.batch

    def __init__(self, table: dict[int, list[float]], scale: float) -> None:
        self.table = table
        self.scale = scale

    def embeddings(self, rows: TokenBatch) -> torch.Tensor:
        return torch.tensor([self.table[int(row[0])] for row in rows.input_ids])

    def logit_scale(self) -> torch.Tensor:
        return torch.tensor(self.scale)


def test_contrastive_loss_by_hand() -> None:
    # queries 10 (1, 0), 11 (0, 1); answers 20 (1, 0), 21 (0.6, 0.8); scale ln 2, so exp(score) = 2 ** cosine
    model: Any = Vectors({10: [1, 0], 11: [0, 1], 20: [1, 0], 21: [0.6, 0.8]}, math.log(2))
    features = [Feature(0, [[10], [20]], [[0], [0]]), Feature(1, [[11], [21]], [[0], [0]])]
    # cosines: query 10: (1, 0.6); query 11: (0, 0.8)
    first = -math.log(2 / (2 + 2**0.6))
    second = -math.log(2**0.8 / (1 + 2**0.8))
    (part,) = FAMILIES["lareqa"].losses(model, features, 1)
    loss = part()
    assert float(loss) == pytest.approx((first + second) / 2)


def test_equal_answers_are_no_negatives_of_each_other() -> None:
    # the third question has the same answer as the first, so each of the two sees only its own and answer 21
    model: Any = Vectors({10: [1, 0], 11: [0, 1], 12: [0.8, 0.6], 20: [1, 0], 21: [0.6, 0.8]}, math.log(2))
    features = [
        Feature(0, [[10], [20, 5]], [[0], [0, 0]]),
        Feature(1, [[11], [21]], [[0], [0]]),
        Feature(2, [[12], [20, 5]], [[0], [0, 0]]),
    ]
    first = -math.log(2 / (2 + 2**0.6))
    second = -math.log(2**0.8 / (1 + 2**0.8 + 1))  # both copies of answer 20 count here, cosine 0 each
    third = -math.log(2**0.8 / (2**0.8 + 2 ** (0.8 * 0.6 + 0.6 * 0.8)))
    (part,) = FAMILIES["lareqa"].losses(model, features, 1)
    loss = part()
    assert float(loss) == pytest.approx((first + second + third) / 3)


def test_the_reference_s_negatives_are_those_of_its_micro_batch() -> None:
    # micro-batches of two: the first question sees answers 20 and 21, equal ones too; the third is alone in its own
    model: Any = Vectors({10: [1, 0], 11: [0, 1], 12: [0.8, 0.6], 20: [1.0, 0.0], 21: [1.0, 0.0]}, math.log(2))
    model.micro_batch_size = 2
    rows = [[[10], [20, 5]], [[11], [20, 5]], [[12], [21]]]
    features = [Feature(i, row, [[0], [0, 0][: len(row[1])]]) for i, row in enumerate(rows)]
    (part,) = FAMILIES["lareqa"].losses(model, features, 1)
    # equal answers: each of the two questions has probability 1/2; the third has no negatives and loses nothing
    assert float(part()) == pytest.approx(2 * math.log(2) / 3)


def test_retrieval_families_use_the_contrastive_loss(mini_encoder: Path) -> None:
    model: TransferModel = build_model(
        mini_encoder, family=FAMILIES["lareqa"], labels=1, tuning=Full(kind="full"), pooling="mean", seed=1
    )
    features = [Feature(i, [[0, 50 + i, 2], [0, 80 + i, 9, 2]], [[0] * 3, [0] * 4]) for i in range(3)]
    (part,) = model.family.losses(model, features, 1)
    loss = part()
    loss.backward()
    assert model.head.logit_scale.grad is not None  # type: ignore[union-attr]
    assert float(loss.detach()) > 0
