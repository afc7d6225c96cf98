"""Parts with an encoder: a fine-tuning step, a prediction, an adapter step; time, memory and what they compute."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xlt.bench.encoders import copy_weights, make_library_adapter, make_ours, make_theirs
from xlt.bench.inputs import class_inputs, counts_of, draw_lengths, span_inputs
from xlt.bench.limit import bare_prediction, bare_step, equal_batches, tokens_of
from xlt.bench.measure import Report, Seconds, Way, in_turn, peak_resident_bytes, ratio, timed
from xlt.bench.peers import Padding, collator, trainer_prediction, trainer_steps
from xlt.bench.settings import Bench, Family
from xlt.data.features import Feature
from xlt.modeling.model import TransferModel
from xlt.modeling.outputs import outputs_of
from xlt.pipeline.context import TOKEN_BUDGET
from xlt.training.trainer import Settings, fit

RATE = 2e-5
FAMILIES: tuple[Family, ...] = ("nli", "squad")
PADDINGS: tuple[Padding, ...] = ("pad_to_max", "dynamic")
BUDGET = TOKEN_BUDGET["cpu"]


def inputs(bench: Bench, family: Family, number: int, *, test: bool, seed: str) -> list[Feature]:
    """``number`` inputs of a task, as long as real ones."""
    lengths = bench.config.lengths
    if family == "squad":
        drawn = draw_lengths(counts_of(bench, lengths.squad_windows), number, seed)
        return span_inputs(drawn, bench.vocabulary, seed)
    drawn = draw_lengths(counts_of(bench, lengths.nli_test if test else lengths.nli_train), number, seed)
    return class_inputs(drawn, bench.vocabulary, seed)


def our_step(model: TransferModel, features: Sequence[Feature], budget: int) -> tuple[Seconds, float]:
    """One step over all ``features``; its time and mean loss."""
    settings = Settings(
        epochs=1,
        batch_size=len(features),
        learning_rate=RATE,
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=0,
        token_budget=budget,
    )
    losses: list[float] = []
    spent = timed(lambda: losses.extend(fit(model, features, settings, None, title="bench").losses))
    return spent, losses[0]


def largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest absolute difference between two lists of arrays or numbers, each cut to the shorter of the two."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.atleast_1d(a), np.atleast_1d(b)
        worst = max(worst, float(np.abs(a - b[: len(a)]).max()))
    return worst


def fine_tuning(bench: Bench) -> Report:
    """(a) A step of full fine-tuning against the Trainer's, and against the limit."""
    report = Report("A step of full fine-tuning")
    for family in FAMILIES:
        _fine_tuning(bench, family, report)
    return report


def _fine_tuning(bench: Bench, family: Family, report: Report) -> None:
    size, targets = bench.sizes.fine_tuning, bench.config.targets.fine_tuning
    number = getattr(size, family)
    model = make_ours(bench, family)
    theirs, start = make_theirs(model), model.trained_state()
    batches = [inputs(bench, family, number, test=False, seed=f"{family}-{turn}") for turn in range(size.rounds)]
    bare = [equal_batches(batch, BUDGET, bench.vocabulary) for batch in batches]
    losses: dict[str, list[float]] = {"ours": [], **{padding: [] for padding in PADDINGS}}

    def ours(turn: int) -> Seconds:
        model.load_trained_state(start, with_head=True)
        spent, loss = our_step(model, batches[turn], BUDGET)
        losses["ours"].append(loss)
        return spent

    def peer(padding: Padding) -> Way:
        collate = collator(padding, bench.config.max_length[family], labels=True)

        def way(turn: int) -> Seconds:
            model.load_trained_state(start, with_head=True)
            spent, loss = trainer_steps(theirs, batches[turn], collate, batch_size=number, learning_rate=RATE)
            losses[padding].append(loss)
            return spent

        return way

    alone = _losses_of_one(model, theirs, batches[0][0])  # and the libraries load what they need
    bare_step(model, bare[0][:1], RATE)
    times = in_turn(
        {
            **{padding: peer(padding) for padding in PADDINGS},
            "ours": ours,
            "limit": lambda turn: timed(lambda: bare_step(model, bare[turn], RATE)),
        },
        size,
    )
    _add_times(report, family, times, {padding: getattr(targets, padding) for padding in PADDINGS}, None)
    if bench.quick:  # without dropout, all compute the same
        report.agreement[f"{family}: difference of losses, one example"] = largest_difference(*alone)
        if family == "nli":  # of spans the Trainer's softmax takes in padding, ours does not
            report.agreement["nli: largest difference of losses"] = max(
                largest_difference(losses["ours"], losses[padding]) for padding in PADDINGS
            )
    done = len(times["ours"])
    report.figures[family] = {
        "examples": number,
        "real_tokens": [sum(feature.length for feature in batch) for batch in batches[:done]],
        "limit_tokens": [tokens_of(cut) for cut in bare[:done]],
        "losses": losses,
    }


def _losses_of_one(model: TransferModel, theirs: torch.nn.Module, feature: Feature) -> tuple[list[float], list[float]]:
    """Our loss and the Trainer's on one example, without padding, in two steps from the same weights."""
    start = model.trained_state()
    collate = collator("dynamic", feature.length, labels=True)
    ours = [our_step(model, [feature], BUDGET)[1] for _ in range(2)]
    model.load_trained_state(start, with_head=True)
    peer = [trainer_steps(theirs, [feature], collate, batch_size=1, learning_rate=RATE)[1] for _ in range(2)]
    model.load_trained_state(start, with_head=True)
    return ours, peer


def _add_times(
    report: Report,
    family: Family,
    times: dict[str, list[Seconds]],
    targets: Mapping[Padding, float | None],
    limit: float | None,
) -> None:
    """The times of a family, and what they are as multiples of ours and of the limit."""
    report.times.update({f"{family} {name}": found for name, found in times.items()})
    for padding, target in targets.items():
        name = f"{family}: Trainer {padding} / ours"
        report.promises.append(ratio(name, times[padding], times["ours"], "at least", target))
    report.promises.append(ratio(f"{family}: ours / limit", times["ours"], times["limit"], "at most", limit))


def prediction(bench: Bench) -> Report:
    """(a) Scores of test inputs against the Trainer's, and against the limit."""
    report = Report("Prediction")
    for family in FAMILIES:
        _prediction(bench, family, report)
    return report


def _prediction(bench: Bench, family: Family, report: Report) -> None:
    size, promised = bench.sizes.prediction, bench.config.targets.prediction
    model = make_ours(bench, family)
    theirs = make_theirs(model)
    features = inputs(bench, family, getattr(size, family), test=True, seed=family)
    bare = equal_batches(features, BUDGET, bench.vocabulary)
    found: dict[str, list[NDArray[np.float32]]] = {}

    def ours(turn: int) -> None:
        found["ours"] = outputs_of(model, features, budget=BUDGET, title="bench")

    def peer(padding: Padding) -> Way:
        collate = collator(padding, bench.config.max_length[family], labels=False)

        def way(turn: int) -> None:
            found[padding] = trainer_prediction(theirs, features, collate, bench.config.peer_eval_batch)

        return way

    trainer_prediction(theirs, features[:2], collator("dynamic", 1, labels=False), 2)
    bare_prediction(model, bare[:1])  # now the libraries have loaded what they need and started their threads
    times = in_turn(
        {
            **{padding: peer(padding) for padding in PADDINGS},
            "ours": ours,
            "limit": lambda turn: bare_prediction(model, bare),
        },
        size,
    )
    promises = family == "nli"  # made for the XNLI mix
    targets = {padding: getattr(promised, padding) if promises else None for padding in PADDINGS}
    _add_times(report, family, times, targets, promised.limit if promises else None)
    for padding in PADDINGS:
        scores = found[padding]
        joined = list(scores[0]) if family == "nli" else list(np.stack(scores, axis=-1))
        report.agreement[f"{family}: largest difference from {padding}"] = largest_difference(found["ours"], joined)
    report.figures[family] = {
        "examples": len(features),
        "real_tokens": sum(feature.length for feature in features),
        "limit_tokens": tokens_of(bare),
    }


def adapter(bench: Bench) -> Report:
    """(b) A step that trains an adapter against our own full step and the adapters library's trainer; time and memory."""
    report = Report("A step that trains an adapter")
    size, targets = bench.sizes.adapter, bench.config.targets.adapter
    batches = [inputs(bench, "nli", size.nli, test=False, seed=f"nli-{turn}") for turn in range(size.rounds)]
    full = make_ours(bench, "nli")
    ours = make_ours(bench, "nli", adapter=True)
    library = make_library_adapter(bench)
    start = {id(model): model.trained_state() for model in (full, ours)}
    losses: dict[str, list[float]] = {"ours": [], **{padding: [] for padding in PADDINGS}}

    def own(model: TransferModel, budget: int) -> Way:
        def way(turn: int) -> Seconds:
            model.load_trained_state(start[id(model)], with_head=True)
            spent, loss = our_step(model, batches[turn], budget)
            if model is ours:
                losses["ours"].append(loss)
            return spent

        return way

    def peer(padding: Padding) -> Way:
        collate = collator(padding, bench.config.max_length["nli"], labels=True)

        def way(turn: int) -> Seconds:
            ours.load_trained_state(start[id(ours)], with_head=True)
            copy_weights(ours, library)
            spent, loss = trainer_steps(
                library, batches[turn], collate, batch_size=size.nli, learning_rate=RATE, library=True
            )
            losses[padding].append(loss)
            return spent

        return way

    few = batches[0][:2]  # the libraries load what they need and start their threads
    our_step(ours, few, BUDGET)
    our_step(full, few, BUDGET)
    collate = collator("dynamic", bench.config.max_length["nli"], labels=True)
    trainer_steps(library, few, collate, batch_size=len(few), learning_rate=RATE, library=True)
    times = in_turn(
        {
            "full": own(full, BUDGET),
            **{padding: peer(padding) for padding in PADDINGS},
            "ours": own(ours, BUDGET),
        },
        size,
    )
    report.times.update(times)
    report.promises.append(
        ratio("full step / adapter step", times["full"], times["ours"], "at least", targets.own_full)
    )
    for padding in PADDINGS:
        name = f"AdapterTrainer {padding} / ours"
        report.promises.append(ratio(name, times[padding], times["ours"], "at least", targets.library))
    if bench.quick:
        report.agreement["largest difference of losses"] = max(
            largest_difference(losses["ours"], losses[padding]) for padding in PADDINGS
        )
    report.figures["losses"] = losses
    report.figures["peak_bytes"] = {name: peak_of_step(bench, name) for name in STEPS}
    return report


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
    batch = inputs(bench, "nli", bench.sizes.adapter.nli, test=False, seed="nli-0")
    if name in ("full", "ours"):
        our_step(make_ours(bench, "nli", adapter=name == "ours"), batch, BUDGET)
    elif name in PADDINGS:
        collate = collator(name, bench.config.max_length["nli"], labels=True)
        library = make_library_adapter(bench)
        trainer_steps(library, batch, collate, batch_size=len(batch), learning_rate=RATE, library=True)
    return peak_resident_bytes()
