"""The steps of a run as its scripts call them: each checks what is done, does the rest, and writes its result last."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from xlt.config.run_config import config_text, read_run
from xlt.data import batching
from xlt.files import peak_memory_bytes, provenance, read_json, to_json, write_atomic
from xlt.layout import COST, PREDICTED, PREPARED, PROVENANCE, SCORES, TRAINED
from xlt.modeling import distributed
from xlt.modeling.model import TransferModel
from xlt.modeling.precision import is_timed, name_of, settle
from xlt.modeling.preparation import check_stamp
from xlt.modeling.pretrained import load_tokenizer
from xlt.modeling.tokenizer import TOKENIZER, positions_of
from xlt.modeling.tuning import merged
from xlt.pipeline.context import Context
from xlt.pipeline.per_example_scores import write_examples
from xlt.pipeline.predict_run import is_predicted, predict, score
from xlt.pipeline.train_run import is_trained, load_trained, train, training_key
from xlt.training.checkpointer import CHECKPOINT, EVERY, Checkpointer, checkpoint_key


def set_up(threads: int | None) -> None:
    """Quiet libraries, and as many CPU threads as given; with XLT_DETERMINISTIC=1 torch refuses what has no fixed order."""
    import transformers

    transformers.logging.set_verbosity_error()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if threads is not None:
        torch.set_num_threads(threads)
    if torch.cuda.is_available() and batching.FAST:
        torch.set_float32_matmul_precision("high")  # TF32 in what autocast leaves in single precision
    fixed_order = os.environ.get("XLT_DETERMINISTIC", "0") != "0"
    if fixed_order:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else torch refuses cuBLAS
    torch.use_deterministic_algorithms(fixed_order)


def make_context(folder: Path, data: Path, encoder: Path, threads: int | None) -> Context:
    """Read a run's config and set up the device; CPU threads as given."""
    set_up(threads)
    config = read_run(folder)
    root = folder.resolve().parents[3]
    if config.encoder_from is not None:
        encoder = root / config.encoder_from / "encoder"
    check_stamp(encoder, config.model)
    device = distributed.device()
    settle(device, distributed.broadcast_from_main(_arithmetic, folder, device))
    return Context(config=config, folder=folder, root=root, data=data, encoder=encoder, device=device)


def _arithmetic(folder: Path, device: torch.device) -> str:
    """What a run computes in on this kind of device: what it began with, which is noted before its first step."""
    path = folder / COST
    cost = read_json(path) if path.exists() else {}
    begun = cost.get("arithmetic", {})
    settle(device, begun.get(device.type))
    if is_timed(device) and device.type not in begun:
        write_atomic(path, to_json({**cost, "arithmetic": {**begun, device.type: name_of(device)}}))
    return name_of(device)


def train_step(context: Context, every: float = EVERY) -> TransferModel | None:
    """Train unless the weights are there and current. Returns the model when it was trained just now.

    ``every``: least seconds between two checkpoints; a training that was stopped goes on from its last one.
    """
    folder = context.folder / CHECKPOINT
    if distributed.broadcast_from_main(is_trained, context):
        if distributed.is_main_process():
            shutil.rmtree(folder, ignore_errors=True)  # the process may have ended between the two
        return None
    if distributed.is_main_process():
        (context.folder / SCORES).unlink(missing_ok=True)  # of an earlier config; would look finished if this fails
    checkpointer = Checkpointer(folder, checkpoint_key(training_key(context), context.device.type), every)
    model = train(context, checkpointer)
    _record(context, "train", checkpointer.elapsed(), resumed=checkpointer.resumed, processes=distributed.count())
    checkpointer.clear()
    return model


def predict_step(context: Context, model: TransferModel | None) -> None:
    """Predict the test data of every task whose predictions are not there or not current."""
    weights = read_json(context.folder / TRAINED)["weights_sha256"]
    if distributed.broadcast_from_main(
        lambda: (context.folder / PREDICTED).exists() and is_predicted(context, weights)
    ):
        return
    if distributed.is_main_process():
        (context.folder / SCORES).unlink(missing_ok=True)
    model = model or load_trained(context)
    started = time.perf_counter()
    with merged(model.encoder):
        predict(context, model, load_tokenizer(context.encoder), weights)
    _record(context, "predict", time.perf_counter() - started)


def score_step(context: Context) -> dict[str, Any]:
    """Score the predictions and write ``examples.npz``, ``provenance.json`` and, last of all, ``scores.json``."""
    tasks = score(context)
    predicted = read_json(context.folder / PREDICTED)
    evaluated = [evaluation.task for evaluation in context.config.evaluations]
    write_examples(context.folder, [(task, predicted[task.name]["languages"]) for task in evaluated])
    trained = read_json(context.folder / TRAINED)
    missing = {name: stage["left_out"] for name, stage in trained["stages"].items() if "left_out" in stage}
    read = {f"training {name}": stage for name, stage in trained["stages"].items()} | predicted
    faults = {name: entry["faults"] for name, entry in read.items() if "faults" in entry}
    dev = {name: stage["dev_scores"] for name, stage in trained["stages"].items()}
    cost = read_json(context.folder / COST) if (context.folder / COST).exists() else {}
    positions = positions_of(context.encoder)
    record = {
        **provenance(),
        "device": torch.cuda.get_device_name() if context.device.type == "cuda" else "cpu",
        "cpu_kernel": torch.backends.cpu.get_cpu_capability(),
        "arithmetic": name_of(context.device),
        "torch_threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "seed": context.config.seed,
        "config_sha256": hashlib.sha256(config_text(context.config).encode()).hexdigest(),
        "encoder": read_json(context.encoder / PREPARED)["origin"],
        "tokenizer_sha256": read_json(context.encoder / PREPARED)["sha256"].get(TOKENIZER),
        "positions": positions,
        "cut": context.config.longer_than(positions),
        **({"language_fallbacks": context.config.fallbacks()} if context.config.language_adapters else {}),
        **({"left_out": missing} if missing else {}),
        **({"faults": faults} if faults else {}),
        "weights_sha256": trained["weights_sha256"],
        "trainable_parameters": trained["trainable_parameters"],
        "total_parameters": trained["total_parameters"],
        "resumed": cost.get("train", {}).get("resumed", 0),
        "processes": cost.get("train", {}).get("processes", 1),
        "wall_seconds": {step: cost.get(step, {}).get("seconds") for step in ("train", "predict")},
        "peak_memory_bytes": max(
            (cost[step]["peak_memory_bytes"] for step in ("train", "predict") if step in cost),
            default=peak_memory_bytes(),
        ),
    }
    write_atomic(context.folder / PROVENANCE, to_json(record))
    scores = {"tasks": tasks, "dev": dev}
    write_atomic(context.folder / SCORES, to_json(scores))
    return scores


def _record(context: Context, step: str, seconds: float, **more: int) -> None:
    if not distributed.is_main_process():
        return
    path = context.folder / COST
    cost = read_json(path) if path.exists() else {}
    cost["arithmetic"] = {**cost.get("arithmetic", {}), context.device.type: name_of(context.device)}
    cost[step] = {"seconds": round(seconds, 3), "peak_memory_bytes": peak_memory_bytes(), **more}
    write_atomic(path, to_json(cost))
