"""What a model's head says of many features, in padded batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from xlt.data.batching import by_token_budget
from xlt.data.features import Feature
from xlt.modeling.distributed import all_gather, is_main_process, shard
from xlt.modeling.model import TransferModel


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
    quiet = None if is_main_process() else True  # None: without a terminal
    bar = tqdm(total=len(features), desc=title, unit="ex", mininterval=2.0, leave=False, disable=quiet)
    with torch.inference_mode(), bar:
        for group in shard(groups):
            chosen = [features[i] for i in group]
            scores = model.scores(model.batch(chosen)).float().cpu().numpy()
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
