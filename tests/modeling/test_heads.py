from __future__ import annotations

import pytest
import torch

from xlt.families import FAMILIES
from xlt.modeling.heads import PoolerHead, ScaleHead, SequenceHead, TokenHead, pool


@pytest.mark.parametrize(
    ("family", "kind", "shape"),
    [
        ("classification", SequenceHead, (2, 5)),
        ("choice", SequenceHead, (2, 1)),
        ("tagging", TokenHead, (2, 3, 5)),
        ("span", TokenHead, (2, 3, 2)),
    ],
)
def test_the_head_of_a_family(family: str, kind: type, shape: tuple[int, ...]) -> None:
    head = FAMILIES[family].head(4, 5, 0.1)
    assert type(head) is kind
    assert head(torch.randn(2, 3, 4)).shape == shape


@pytest.mark.parametrize("family", ["lareqa", "mewslix", "tatoeba", "bucc"])
def test_retrieval_has_only_a_scale_that_starts_at_100(family: str) -> None:
    head = FAMILIES[family].head(4, 1, 0.1)
    assert isinstance(head, ScaleHead)
    assert [(name, p.item()) for name, p in head.named_parameters()] == [("logit_scale", 100.0)]


def test_the_sequence_head_reads_the_first_token_only() -> None:
    head = FAMILIES["classification"].head(4, 3, 0.1).eval()
    hidden = torch.randn(2, 3, 4)
    other = hidden.clone()
    other[:, 1:] += 1
    assert torch.equal(head(hidden), head(other))
    other[:, 0] += 1
    assert not torch.equal(head(hidden), head(other))


def test_the_sequence_head_by_hand() -> None:
    head = SequenceHead(2, 1, 0.0)
    with torch.no_grad():
        head.dense.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        head.dense.bias.copy_(torch.tensor([0.0, 1.0]))
        head.out.weight.copy_(torch.tensor([[3.0, -1.0]]))
        head.out.bias.fill_(0.5)
    hidden = torch.tensor([[[0.5, -0.5], [9.0, 9.0]]])
    # dense: (0.5, -1 + 1) = (0.5, 0); tanh(0.5) = 0.46212, tanh(0) = 0; out: 3 x 0.46212 + 0.5
    assert head(hidden).item() == pytest.approx(3 * 0.46211716 + 0.5)


def test_dropout_acts_in_training_only() -> None:
    hidden = torch.randn(1, 2, 50)
    for family in ("classification", "tagging"):
        head = FAMILIES[family].head(50, 3, 0.5)
        assert not torch.equal(head.train()(hidden), head(hidden))
        assert torch.equal(head.eval()(hidden), head(hidden))


@pytest.mark.parametrize("family", ["span", "choice"])
def test_answers_and_options_are_scored_without_dropout_on_the_states(family: str) -> None:
    # BertForQuestionAnswering has none; BertForMultipleChoice drops the pooled state alone, which is 0 for a dense of 0
    hidden = torch.randn(1, 2, 50)
    head = FAMILIES[family].head(50, 3, 0.5).train()
    if family == "choice":
        head.get_submodule("dropout").p = 0.0  # type: ignore[assignment]
    assert torch.equal(head(hidden), head(hidden))


def test_the_reference_s_pooler_by_hand() -> None:
    head = FAMILIES["lareqa"].head(2, 1, 0.5, pooler=True)
    assert isinstance(head, PoolerHead) and set(dict(head.named_parameters())) == {
        "logit_scale", "dense.weight", "dense.bias"
    }  # fmt: skip
    with torch.no_grad():
        head.dense.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        head.dense.bias.copy_(torch.tensor([0.0, 1.0]))
    found = head(torch.tensor([[[0.5, -0.5], [9.0, 9.0]]]))  # the first token alone: tanh of (0.5, -1 + 1)
    assert found[0].tolist() == pytest.approx([0.46211716, 0.0])


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[5.0, 5.0], [7.0, 7.0], [9.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(hidden, mask, "mean").tolist() == [[2.0, 4.0], [7.0, 4.0]]
    assert pool(hidden, mask, "cls").tolist() == [[1.0, 2.0], [5.0, 5.0]]
