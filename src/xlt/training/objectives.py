"""The loss of each task family, summed over a part of a batch and divided by the size of the whole batch.

An optimizer step may be cut into parts to save padding; because every part is divided by the count of the whole batch, the
gradient is that of the mean loss over the batch, as in the papers. The micro-batches of the reference, where a loss depends
on them, are those of a recipe and not these parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlt.data.batching import by_token_budget
from xlt.data.features import IGNORED, Feature
from xlt.modeling import distributed
from xlt.modeling.collate import pad_rows, rows_of
from xlt.modeling.model import TransferModel


def _targets(features: Sequence[Feature], device: torch.device) -> Tensor:
    return torch.tensor([feature.target for feature in features], device=device)


def classification_sum(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Cross-entropy of the class of each pair, summed."""
    scores = model.scores(rows_of(features, model.pad_id).to(model.device))
    return functional.cross_entropy(scores, _targets(features, model.device), reduction="sum")


def option_scores(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Scores of the options of each feature: [features, most options], -inf where a feature has fewer."""
    flat = model.scores(rows_of(features, model.pad_id).to(model.device)).squeeze(-1)
    split = torch.split(flat, [len(feature.rows) for feature in features])
    return torch.nn.utils.rnn.pad_sequence(list(split), batch_first=True, padding_value=float("-inf"))


def choice_sum(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Cross-entropy of the right option over the options' scores, summed."""
    scores = option_scores(model, features)
    return functional.cross_entropy(scores, _targets(features, model.device), reduction="sum")


def tagging_losses(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Cross-entropy of the label of each word at its first sub-word, summed over the words of each feature: [features]."""
    rows = rows_of(features, model.pad_id).to(model.device)
    scores = model.scores(rows)
    targets = torch.full(rows.input_ids.shape, IGNORED, device=model.device)
    for number, feature in enumerate(features):
        targets[number, : len(feature.target)] = torch.tensor(feature.target, device=model.device)
    losses = functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view(targets.shape).sum(1)


def tagging_sum(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """The same, summed over all words."""
    return tagging_losses(model, features).sum()


def span_scores(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Start and end scores of every token: [features, tokens, 2], -inf at padding."""
    rows = rows_of(features, model.pad_id).to(model.device)
    return model.scores(rows).masked_fill(rows.attention_mask.unsqueeze(-1) == 0, float("-inf"))


def span_sum(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """Mean of the cross-entropies of start and end, summed over windows (Devlin et al. 2019, section 4.2)."""
    scores = span_scores(model, features)
    targets = _targets(features, model.device)
    start = functional.cross_entropy(scores[..., 0], targets[:, 0], reduction="sum")
    end = functional.cross_entropy(scores[..., 1], targets[:, 1], reduction="sum")
    return (start + end) / 2


SUMS: dict[str, Callable[[TransferModel, Sequence[Feature]], Tensor]] = {
    "classification": classification_sum,
    "choice": choice_sum,
    "tagging": tagging_sum,
    "span": span_sum,
}


def words(features: Sequence[Feature]) -> int:
    """How many labelled words features of the family tagging have."""
    return sum(label != IGNORED for feature in features for label in feature.target)


def divisors(family: str, features: Sequence[Feature], micro_batch_size: int | None) -> list[int]:
    """By feature, what its summed loss is divided by in the loss of a batch.

    Tagging: the mean, over micro-batches of ``micro_batch_size`` features, of the means over their words, as XTREME's scripts
    accumulate it. Otherwise the mean over features, which no cut changes.
    """
    if family != "tagging":
        return [len(features)] * len(features)
    size = micro_batch_size or len(features)
    parts = [features[start : start + size] for start in range(0, len(features), size)]
    return [len(parts) * max(1, words(part)) for part in parts for _ in part]


MicroBatchLoss = Callable[[], Tensor]
"""Computes one part of the loss of a batch; called again, it runs the model again (adversarial training does)."""


def supervised_losses(model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
    """The parts of the mean loss of one batch, one per micro-batch of at most ``budget`` padded tokens.

    Of several processes each gets the parts of its share of the examples.
    """
    divided = divisors(model.family, features, model.micro_batch_size)
    costs = [len(feature.rows) for feature in features]
    widths = [feature.length for feature in features]
    own = distributed.share([cost * width for cost, width in zip(costs, widths, strict=True)])
    for group in by_token_budget(own, costs, widths, budget):
        yield partial(_part, model, [features[i] for i in group], [divided[i] for i in group])


def _part(model: TransferModel, features: Sequence[Feature], divided: Sequence[int]) -> Tensor:
    if model.family == "tagging":
        return (tagging_losses(model, features) / torch.tensor(divided, device=model.device)).sum()
    return SUMS[model.family](model, features) / divided[0]


def contrastive_losses(model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
    """In-batch softmax over cosine similarities times a learned scale (XTREME-R's dual encoder).

    Row 0 of a feature is the query, row 1 its answer. With the model's ``micro_batch_size`` the other answers of the
    micro-batch are the negatives, as in the reference; without, those of the whole batch except answers with the same token
    ids as the right one, which are right too. The loss couples examples, so it is computed in one part and ``budget`` does
    not apply.
    """
    yield partial(_contrast, model, features)


def _contrast(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    queries = model.embeddings(_rows(model, features, 0))
    answers = model.embeddings(_rows(model, features, 1))
    scores = model.logit_scale() * queries @ answers.T
    left_out = no_negatives(features, model.micro_batch_size).to(model.device)
    return functional.cross_entropy(
        scores.masked_fill(left_out, float("-inf")), torch.arange(len(features)).to(model.device)
    )


def no_negatives(features: Sequence[Feature], micro_batch_size: int | None) -> Tensor:
    """For each query (row), which answers (columns) of other features are no negatives of it: [features, features]."""
    if micro_batch_size is not None:
        part = torch.arange(len(features)) // micro_batch_size
        return part[:, None] != part[None, :]
    return torch.tensor(
        [[i != j and a.rows[1] == b.rows[1] for j, b in enumerate(features)] for i, a in enumerate(features)]
    )


def _rows(model: TransferModel, features: Sequence[Feature], side: int) -> Any:
    return pad_rows([f.rows[side] for f in features], [f.types[side] for f in features], model.pad_id).to(model.device)


def local_losses(model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
    """The parts of the loss of one batch that this process computes; those of all processes add up to it.

    What cannot be cut, a contrastive loss, is the first process's.
    """
    if model.family in SUMS or distributed.is_main_process():
        yield from loss_parts(model.family)(model, features, budget)


MicroBatchLosses = Callable[[TransferModel, Sequence[Feature], int], Iterator[MicroBatchLoss]]


def loss_parts(family: str) -> MicroBatchLosses:
    """The loss of a task family, as an iterator over parts that add up to the mean loss of the batch."""
    return supervised_losses if family in SUMS else contrastive_losses
