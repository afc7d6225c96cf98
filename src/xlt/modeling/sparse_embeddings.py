"""The word vectors of one batch apart from the embedding table, so that a backward pass writes a gradient of their size.

Autograd gives ``nn.Embedding`` a gradient as large as its table in every backward pass: 250,002 rows for XLM-R, of which
a batch of 32 sentence pairs reads about 1 %. A step that is cut into micro-batches pays that once for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlt.data.features import Feature
from xlt.modeling.model import TransferModel
from xlt.modeling.trained_rows import places_of


@contextmanager
def gathered_embeddings(model: TransferModel, features: Sequence[Feature]) -> Iterator[None]:
    """Look words up in a copy of the rows that ``features`` read; at the end their gradients are added to the table's.

    Inside, backward passes leave nothing in the table's own ``grad``. What is computed is the same, up to the order in
    which the gradients of one word are added. Nothing happens where the table is not trained. An error on the way out
    drops the gradients: the step begins again or ends.

    Args:
        model: the model; its encoder must look words up in ``get_input_embeddings()``, as those of transformers do.
        features: everything that is run inside.
    """
    table = model.encoder.get_input_embeddings()
    if not table.weight.requires_grad:
        yield
        return
    read = {token for feature in features for row in feature.rows for token in row}
    ids = torch.tensor(sorted(read | {model.pad_id}), device=model.device)
    places = places_of(table, ids)
    vectors = table.weight.detach()[places].requires_grad_()

    def look_up(_: Any, inputs: tuple[Tensor, ...], __: Tensor) -> Tensor:
        return functional.embedding(torch.searchsorted(ids, inputs[0]), vectors)

    hook = table.register_forward_hook(look_up)
    try:
        yield
    finally:
        hook.remove()
    if vectors.grad is None:  # the trained layers are all above it
        return
    if table.padding_idx is not None:  # padding's row is never trained
        vectors.grad[places == table.padding_idx] = 0.0
    if table.weight.grad is None:
        table.weight.grad = torch.zeros_like(table.weight)
    table.weight.grad.index_add_(0, places, vectors.grad)
