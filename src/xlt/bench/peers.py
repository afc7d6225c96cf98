"""What people use today: transformers' ``Trainer`` and the adapters library's, with the paddings of their examples."""

from __future__ import annotations

import gc
import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from xlt.bench.limit import RATE
from xlt.bench.measure import Elapsed
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.collate import pad_rows

Padding = Literal["pad_to_max", "dynamic"]
Collate = Callable[[Sequence[Feature]], dict[str, Any]]
PAD = 1


def collator(padding: Padding, max_length: int, *, labels: bool) -> Collate:
    """Examples to a batch: all padded to ``max_length`` (``run_glue.py`` and ``run_qa.py`` without further options), or to
    the longest of the batch (``--pad_to_max_length False``)."""

    def collate(features: Sequence[Feature]) -> dict[str, Any]:
        import torch

        rows = [feature.rows[0] for feature in features]
        if padding == "pad_to_max":
            rows = [*rows, [PAD] * max_length]
        padded = pad_rows(rows, [[0] * len(row) for row in rows], PAD)
        batch = {
            "input_ids": padded.input_ids[: len(features)],
            "attention_mask": padded.attention_mask[: len(features)],
        }
        if not labels:
            return batch
        targets = torch.tensor([feature.target for feature in features])
        if targets.ndim == 1:
            return {**batch, "labels": targets}
        return {**batch, "start_positions": targets[:, 0], "end_positions": targets[:, 1]}

    return collate


def _trainer(base: Any, model: nn.Module, folder: str, collate: Collate, **settings: Any) -> Any:
    """A trainer of class ``base`` that writes nothing and says nothing, and takes examples in the order given."""
    if importlib.util.find_spec("accelerate") is None:
        raise InputError("the Trainer of transformers needs the package accelerate; pip install accelerate")
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainingArguments

    class InOrder(base):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    silent: dict[str, Any] = {"report_to": [], "logging_strategy": "no", "save_strategy": "no", "disable_tqdm": True}
    arguments = TrainingArguments(output_dir=folder, use_cpu=True, remove_unused_columns=False, **silent, **settings)
    made = InOrder(model=model, args=arguments, data_collator=collate)
    made.remove_callback(PrinterCallback)
    return made


def trainer_step(
    model: nn.Module, features: Sequence[Feature], collate: Collate, *, library: bool = False
) -> tuple[Elapsed, float]:
    """One step over all ``features``; its time, without setting the trainer up, and the loss.

    ``library``: with the adapters library's ``AdapterTrainer``.
    """
    from adapters import AdapterTrainer
    from transformers import Trainer, TrainerCallback

    marks: list[Elapsed] = []

    class Clock(TrainerCallback):
        """Takes the time when training begins and when it ends."""

        def on_train_begin(self, *given: Any, **more: Any) -> None:
            """Everything is set up, or the last step is done."""
            marks.append(Elapsed(time.perf_counter(), time.process_time()))

        on_train_end = on_train_begin

    settings: dict[str, Any] = {
        "per_device_train_batch_size": len(features),
        "num_train_epochs": 1,
        "learning_rate": RATE,
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(AdapterTrainer if library else Trainer, model, folder, collate, **settings)
        trainer.train_dataset = list(features)
        trainer.add_callback(Clock())
        loss = float(trainer.train().training_loss)
    del trainer
    gc.collect()  # a trainer and its callbacks hold each other, and the optimizer
    begun, ended = marks
    return Elapsed(ended.clock - begun.clock, ended.processor - begun.processor), loss


def trainer_prediction(
    model: nn.Module, features: Sequence[Feature], collate: Collate, batch_size: int
) -> list[NDArray[np.float32]]:
    """Scores of every example, in order, one array per output of the model."""
    from transformers import Trainer

    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(Trainer, model, folder, collate, per_device_eval_batch_size=batch_size)
        found = trainer.predict(list(features)).predictions
    return list(found) if isinstance(found, tuple) else [found]
