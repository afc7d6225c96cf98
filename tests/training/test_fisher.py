"""The trace of the Fisher information on models whose gradients are known, and the labels it is of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.training.test_unfreezing import build
from torch import Tensor

from xlt.data.features import Feature
from xlt.families import FAMILIES
from xlt.training.fisher import Labels, drawing, fisher_traces, relabelled
from xlt.training.unfreezing import trained_layers


class One(torch.nn.Module):
    """Two labels, one weight w, one input x: p(1) = sigmoid(w x), so d/dw log p(y) = (y - p) x."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.family = FAMILIES["classification"]
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.pad_id, self.device = 1, torch.device("cpu")

    def scores(self, rows: Any) -> Tensor:
        x = rows.input_ids[:, :1].float()
        return torch.cat([torch.zeros_like(x), self.weight * x], 1)


def traced(weight: float, batches: list[list[tuple[int, int]]], labels: Labels, seed: str = "1") -> float:
    """The trace of ``One`` on batches of (x, gold label)."""
    model: Any = One(weight)
    features = [[Feature(0, rows=[[x]], types=[[0]], target=y) for x, y in batch] for batch in batches]
    return fisher_traces(model, features, {0: [model.weight]}, labels, seed)[0]


def test_the_trace_of_gold_labels_by_hand() -> None:
    # At w = 0, p = 1/2, so each example adds x^2 / 4, whatever its label: x = 1 and x = 3 give (1 + 9) / 2 / 4 = 1.25. The
    # squared gradient of the mean loss would be ((1/2 * 1 - 1/2 * 3) / 2)^2 = 0.25 for the labels 1 and 0.
    assert traced(0.0, [[(1, 1), (3, 0)]], "gold") == pytest.approx(1.25)


def test_the_trace_of_drawn_labels_by_hand() -> None:
    # E |d log p|^2 = p (1 - p) x^2, with x = 2 and w = log(3) / 2: p = 3/4, so 3/16 * 4 = 0.75. One draw gives
    # (1 - p)^2 x^2 = 0.25 for the label 1 and p^2 x^2 = 2.25 for the label 0, the mode 0.25, the gold label 0 gives 2.25.
    weight, batch = 0.5 * float(torch.tensor(3.0).log()), [(2, 0)]
    assert traced(weight, [batch], "gold") == pytest.approx(2.25)
    assert traced(weight, [batch], "mode") == pytest.approx(0.25)
    draws = [traced(weight, [batch], "sampled", str(seed)) for seed in range(40)]
    assert {round(draw, 4) for draw in draws} == {0.25, 2.25}
    # 1,000 draws; one has the standard deviation 0.87, so their mean 0.027
    assert traced(weight, 1000 * [batch], "sampled") == pytest.approx(0.75, abs=0.12)


def test_one_pass_a_batch_measures_all_of_its_examples() -> None:
    # w = 0, x = 1 and 3 in one batch: the sum of the gradients is (+-1 +-3) / 2, its square 4 or 1, half of that per
    # example: 2 or 0.5, in the mean 1.25, which is what the two examples apart give.
    pair = [(1, 0), (3, 0)]
    assert {round(traced(0.0, [pair], "sampled", str(seed)), 4) for seed in range(20)} == {0.5, 2.0}
    assert traced(0.0, 1000 * [pair], "sampled") == pytest.approx(1.25, abs=0.1)
    assert traced(0.0, [[(1, 0)], [(3, 0)]], "sampled") == pytest.approx(1.25)


def test_labels_are_drawn_from_the_model_s_distribution() -> None:
    scores = torch.tensor([[[0.0, 1.0986]]]).expand(1, 4000, 2)  # odds of 1 to 3
    drawn = drawing("sampled", "7")(scores)
    assert drawn.shape == (1, 4000)
    assert float(drawn.float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drawn, drawing("sampled", "7")(scores))
    assert drawing("mode", "7")(scores).min() == 1


@pytest.mark.parametrize("family", ["classification", "choice", "tagging", "span"])
def test_every_family_has_labels_to_draw(family: str) -> None:
    model = build(family=family).eval()
    rows, targets = [[0, 11, 12, 2]], {"classification": 1, "choice": 0, "tagging": [-100, 1, 0, -100], "span": (1, 2)}
    rows = 2 * rows if family == "choice" else rows
    feature = Feature(0, rows=rows, types=[[0] * 4 for _ in rows], target=targets[family])
    (found,) = relabelled(model, [feature], drawing("mode", "1"))
    if family == "tagging":
        assert found.target[0] == found.target[3] == -100
        assert all(label in (0, 1) for label in found.target[1:3])
    elif family == "span":
        assert all(0 <= position < 4 for position in found.target)
    else:
        assert found.target in (0, 1)
    assert min(fisher_traces(model, [[feature]], trained_layers(model), "sampled", "1").values()) > 0
