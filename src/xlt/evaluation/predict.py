"""Predictions of the supervised families: records in, labels, options, tags or answers out, in the same order.

The same functions score English development data while training and write the test predictions afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from xlt.data.batching import by_token_budget
from xlt.data.feature_cache import cached
from xlt.data.features import Feature, choice_features, pair_features, span_features, tagging_features
from xlt.data.records import Choice, Pair, Question, Tagged
from xlt.evaluation.qa_decoding import best_answers
from xlt.modeling.collate import rows_of
from xlt.modeling.distributed import all_gather, is_main_process, shard
from xlt.modeling.model import TransferModel


class Spec(Protocol):
    """What prediction needs to know of a recipe, or of a task as its recipe was trained (``outputs.as_trained``)."""

    @property
    def family(self) -> str:  # noqa: D102
        ...

    @property
    def labels(self) -> list[str] | None:
        """What the head's outputs stand for, in their order."""

    @property
    def max_length(self) -> int:  # noqa: D102
        ...

    @property
    def doc_stride(self) -> int | None:  # noqa: D102
        ...


def outputs_of(
    model: TransferModel, features: Sequence[Feature], *, budget: int, title: str
) -> list[NDArray[np.float32]]:
    """The head's output for each feature, in order: [outputs], [options] or [tokens, outputs].

    Features are run longest first in padded batches of at most ``budget`` tokens, which are shared out over the processes of
    the run; each of them returns the whole.
    """
    results: dict[int, NDArray[np.float32]] = {}
    groups = by_token_budget(
        range(len(features)), [len(f.rows) for f in features], [f.length for f in features], budget
    )
    model.eval()
    bar = tqdm(total=len(features), desc=title, unit="ex", mininterval=2.0, leave=False, disable=not is_main_process())
    with torch.inference_mode(), bar:
        for group in shard(groups):
            chosen = [features[i] for i in group]
            scores = model.scores(rows_of(chosen, model.pad_id).to(model.device)).float().cpu().numpy()
            row = 0
            for index, feature in zip(group, chosen, strict=True):
                own = scores[row : row + len(feature.rows)]
                row += len(feature.rows)
                if own.ndim == 3:
                    results[index] = own[0, : feature.length]
                else:
                    results[index] = own[:, 0] if len(feature.rows) > 1 else own[0]
            bar.update(len(group))
    whole = all_gather(results)
    return [whole[index] for index in range(len(features))]


def predict_classes(
    model: TransferModel, tokenizer: Any, records: Sequence[Pair], spec: Spec, *, budget: int, title: str
) -> list[str]:
    """The label of each pair."""
    labels = spec.labels or []
    features = cached(pair_features, records, tokenizer, labels, spec.max_length)
    return [labels[int(scores.argmax())] for scores in outputs_of(model, features, budget=budget, title=title)]


def predict_options(
    model: TransferModel, tokenizer: Any, records: Sequence[Choice], spec: Spec, *, budget: int, title: str
) -> list[int]:
    """The index of the best option of each record."""
    features = cached(choice_features, records, tokenizer, spec.max_length)
    return [int(scores.argmax()) for scores in outputs_of(model, features, budget=budget, title=title)]


def predict_tags(
    model: TransferModel, tokenizer: Any, records: Sequence[Tagged], spec: Spec, *, budget: int, title: str
) -> list[list[str]]:
    """One tag per word of each sentence."""
    labels = spec.labels or []
    features = cached(tagging_features, records, tokenizer, labels, spec.max_length)
    tags: list[list[str]] = [[] for _ in records]
    for feature, scores in zip(features, outputs_of(model, features, budget=budget, title=title), strict=True):
        if len(tags[feature.record]) != feature.first_word:
            raise AssertionError("windows of a sentence are out of order")
        tags[feature.record].extend(labels[int(i)] for i in scores[feature.positions].argmax(-1))
    return tags


def predict_answers(
    model: TransferModel, tokenizer: Any, records: Sequence[Question], spec: Spec, *, budget: int, title: str
) -> list[str]:
    """The answer text of each question: the best span over all windows of its passage."""
    features = cached(span_features, records, tokenizer, spec.max_length, spec.doc_stride or 128, training=False)
    return best_answers(records, features, outputs_of(model, features, budget=budget, title=title))


PREDICT: dict[str, Callable[..., list[Any]]] = {
    "classification": predict_classes,
    "choice": predict_options,
    "tagging": predict_tags,
    "span": predict_answers,
}
