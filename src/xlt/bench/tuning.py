"""Parts with an encoder: a fine-tuning step, a prediction, an adapter step; time, memory and what they compute."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch

from xlt.bench.encoders import copy_weights, make_library_adapter, make_ours, make_theirs
from xlt.bench.inputs import draw_inputs
from xlt.bench.limit import RATE, bare_prediction, bare_step, equal_batches
from xlt.bench.measure import Elapsed, Measurement, Way, in_turn, peak_resident_bytes, ratio, timed
from xlt.bench.peers import Collate, Padding, collator, trainer_prediction, trainer_step
from xlt.bench.settings import Bench, Family, Lengths, Part, PartSize
from xlt.data.features import Feature
from xlt.modeling.model import TransferModel
from xlt.modeling.outputs import outputs_of
from xlt.pipeline.context import TOKEN_BUDGET
from xlt.training.trainer import TrainingArguments, fit

TRAINED: dict[Family, Lengths] = {"nli": "nli_train", "squad": "squad_windows"}
TESTED: dict[Family, Lengths] = {"nli": "nli_test", "squad": "squad_windows"}
PROMISED: dict[Part, tuple[Family, ...]] = {"fine_tuning": ("nli", "squad"), "prediction": ("nli",)}
PADDINGS: tuple[Padding, ...] = ("pad_to_max", "dynamic")
BUDGET = TOKEN_BUDGET["cpu"]
Step = Callable[[Sequence[Feature]], tuple[Elapsed, float]]


def our_step(model: TransferModel, features: Sequence[Feature]) -> tuple[Elapsed, float]:
    """One step over all ``features``; its time and mean loss."""
    settings = TrainingArguments(
        epochs=1,
        batch_size=len(features),
        learning_rate=RATE,
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=0,
        token_budget=BUDGET,
    )
    losses: list[float] = []
    spent = timed(lambda: losses.extend(fit(model, features, settings, None, title="bench").losses))
    return spent, losses[0]


def race(
    steps: Mapping[str, tuple[TransferModel, Step]],
    batches: Sequence[Sequence[Feature]],
    size: PartSize,
    **others: Way,
) -> tuple[dict[str, list[Elapsed]], dict[str, list[float]]]:
    """Times and losses of several ways to take one step over each round's batch; times of ``others`` beside them.

    Each step is given with the model whose weights it changes; all begin with those that the model has now, and has again
    in the end.
    """
    losses: dict[str, list[float]] = {name: [] for name in steps}
    starts = {model: model.trained_state() for model in {model for model, _ in steps.values()}}

    def way(name: str, turn: int) -> Elapsed:
        model, step = steps[name]
        model.load_trained_state(starts[model], with_head=True)
        spent, loss = step(batches[turn])
        losses[name].append(loss)
        return spent

    ways: dict[str, Way] = {name: partial(way, name) for name in steps}
    times = in_turn(ways | others, size)
    for model, start in starts.items():
        model.load_trained_state(start, with_head=True)
    return times, losses


def _twice(step: Step) -> Step:
    """Two steps, one after the other: the loss of the second shows what the first has changed."""

    def both(features: Sequence[Feature]) -> tuple[Elapsed, float]:
        step(features)
        return step(features)

    return both


def largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest absolute difference between two lists of arrays or numbers, each cut to the shorter of the two."""
    pairs = [(np.atleast_1d(a), np.atleast_1d(b)) for a, b in zip(ours, theirs, strict=True)]
    return max(float(np.abs(a - b[: len(a)]).max()) for a, b in pairs)


def _collators(bench: Bench, family: Family, *, labels: bool) -> dict[Padding, Collate]:
    return {padding: collator(padding, bench.config.max_length[family], labels=labels) for padding in PADDINGS}


def fine_tuning(bench: Bench) -> Measurement:
    """(a) A step of full fine-tuning against the Trainer's, and against the limit."""
    found = Measurement("A step of full fine-tuning")
    _fine_tuning(bench, "nli", bench.sizes["fine_tuning"].nli, found)
    _fine_tuning(bench, "squad", bench.sizes["fine_tuning"].squad, found)
    return found


def _fine_tuning(bench: Bench, family: Family, number: int, found: Measurement) -> None:
    size = bench.sizes["fine_tuning"]
    model = make_ours(bench, family)
    theirs = make_theirs(model)
    batches = [draw_inputs(bench, TRAINED[family], number, f"{family}-{turn}") for turn in range(size.rounds)]
    bare = [equal_batches(batch, BUDGET, bench.shape["vocab_size"]) for batch in batches]
    collate = _collators(bench, family, labels=True)
    steps: dict[str, tuple[TransferModel, Step]] = {
        name: (model, partial(trainer_step, theirs, collate=given)) for name, given in collate.items()
    }
    steps["ours"] = model, partial(our_step, model)
    alone = {name: (model, _twice(steps[name][1])) for name in ("dynamic", "ours")}
    # the libraries load what they need
    _, unpadded = race(alone, [batches[0][:1]], PartSize(), limit=lambda turn: bare_step(model, bare[0][:1]))
    times, losses = race(steps, batches, size, limit=lambda turn: bare_step(model, bare[turn]))
    _add_times(bench, "fine_tuning", family, times, found)
    if bench.quick:  # without dropout, all compute the same
        found.agreement[f"{family}: difference of losses, one example"] = largest_difference(
            unpadded["ours"], unpadded["dynamic"]
        )
        if family == "nli":  # of spans the Trainer's softmax takes in padding, ours does not
            found.agreement["nli: largest difference of losses"] = _from_ours(losses)
    done = len(times["ours"])
    found.figures[family] = {
        "examples": number,
        "real_tokens": [sum(feature.length for feature in batch) for batch in batches[:done]],
        "limit_tokens": [sum(cut.numel() for cut in batch) for batch in bare[:done]],
        "losses": losses,
    }


def _from_ours(losses: Mapping[str, list[float]]) -> float:
    return max(largest_difference(losses["ours"], losses[padding]) for padding in PADDINGS)


def _add_times(bench: Bench, part: Part, family: Family, times: dict[str, list[Elapsed]], found: Measurement) -> None:
    """The times of a family, and what they are as multiples of ours and of the limit."""
    found.times.update({f"{family} {name}": rounds for name, rounds in times.items()})
    for name in (*PADDINGS, "limit"):
        target = bench.promised(part, name) if family in PROMISED[part] else None
        if name == "limit":
            found.promises.append(ratio(f"{family}: ours / limit", times["ours"], times[name], "at most", target))
        else:
            title = f"{family}: Trainer {name} / ours"
            found.promises.append(ratio(title, times[name], times["ours"], "at least", target))


def prediction(bench: Bench) -> Measurement:
    """(a) Scores of test inputs against the Trainer's, and against the limit."""
    found = Measurement("Prediction")
    _prediction(bench, "nli", bench.sizes["prediction"].nli, found)
    _prediction(bench, "squad", bench.sizes["prediction"].squad, found)
    return found


def _prediction(bench: Bench, family: Family, number: int, found: Measurement) -> None:
    model = make_ours(bench, family)
    theirs = make_theirs(model)
    features = draw_inputs(bench, TESTED[family], number, family)
    bare = equal_batches(features, BUDGET, bench.shape["vocab_size"])
    scores: dict[str, list[Any]] = {}

    def ours(turn: int) -> None:
        scores["ours"] = outputs_of(model, features, budget=BUDGET, title="bench")

    def peer(padding: Padding, collate: Collate, turn: int) -> None:
        scores[padding] = trainer_prediction(theirs, features, collate, bench.config.peer_eval_batch)

    trainer_prediction(theirs, features[:2], collator("dynamic", 1, labels=False), 2)
    bare_prediction(model, bare[:1])  # now the libraries have loaded what they need and started their threads
    ways: dict[str, Way] = {
        name: partial(peer, name, collate) for name, collate in _collators(bench, family, labels=False).items()
    }
    ways |= {"ours": ours, "limit": lambda turn: bare_prediction(model, bare)}
    times = in_turn(ways, bench.sizes["prediction"])
    _add_times(bench, "prediction", family, times, found)
    for padding in PADDINGS:
        joined = list(scores[padding][0] if family == "nli" else np.stack(scores[padding], axis=-1))
        found.agreement[f"{family}: largest difference from {padding}"] = largest_difference(scores["ours"], joined)
    found.figures[family] = {
        "examples": len(features),
        "real_tokens": sum(feature.length for feature in features),
        "limit_tokens": sum(batch.numel() for batch in bare),
    }


def adapter(bench: Bench) -> Measurement:
    """(b) A step that trains an adapter against our own full step and the adapters library's trainer; time and memory."""
    size = bench.sizes["adapter"]
    batches = [draw_inputs(bench, "nli_train", size.nli, f"nli-{turn}") for turn in range(size.rounds)]
    full, ours = make_ours(bench, "nli"), make_ours(bench, "nli", adapter=True)
    library = make_library_adapter(bench)

    def peer(collate: Collate, features: Sequence[Feature]) -> tuple[Elapsed, float]:
        copy_weights(ours, library)
        return trainer_step(library, features, collate, library=True)

    steps: dict[str, tuple[TransferModel, Step]] = {"full": (full, partial(our_step, full))}
    for padding, collate in _collators(bench, "nli", labels=True).items():
        steps[padding] = ours, partial(peer, collate)
    steps["ours"] = ours, partial(our_step, ours)
    race(steps, [batches[0][:2]], PartSize())  # the libraries load what they need and start their threads
    times, losses = race(steps, batches, size)
    found = Measurement("A step that trains an adapter", times)
    promises = {"full step / adapter step": ("full", "own_full")}
    promises |= {f"AdapterTrainer {padding} / ours": (padding, "library") for padding in PADDINGS}
    for title, (name, target) in promises.items():
        found.promises.append(ratio(title, times[name], times["ours"], "at least", bench.promised("adapter", target)))
    if bench.quick:
        found.agreement["largest difference of losses"] = _from_ours(losses)
    found.figures["losses"] = {name: losses[name] for name in ("ours", *PADDINGS)}
    found.figures["peak_bytes"] = {name: peak_of_step(bench, name) for name in STEPS}
    return found


STEPS = ("start-up", "full", "ours", "pad_to_max", "dynamic")
"""What memory is measured of: the libraries alone, our two steps, and the AdapterTrainer's with both paddings."""


def peak_of_step(bench: Bench, name: str) -> int:
    """The peak memory, in bytes, of a fresh process that does one step."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=processes) as pool:
        return pool.submit(_step_in_process, bench, name).result()


def _step_in_process(bench: Bench, name: str) -> int:
    torch.set_num_threads(bench.threads)
    batch = draw_inputs(bench, "nli_train", bench.sizes["adapter"].nli, "nli-0")
    if name in ("full", "ours"):
        our_step(make_ours(bench, "nli", adapter=name == "ours"), batch)
    elif name in PADDINGS:
        trainer_step(make_library_adapter(bench), batch, _collators(bench, "nli", labels=True)[name], library=True)
    return peak_resident_bytes()
