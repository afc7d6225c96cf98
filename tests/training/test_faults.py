"""Faults of the machine while a run trains: too little memory, a full or read-only disk, a second process."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from xlt import locks
from xlt.config.regimes import Bottleneck
from xlt.config.robustness import Adversarial
from xlt.data.features import Feature
from xlt.errors import InputError, exit_status
from xlt.families import SUPERVISED
from xlt.files import read_json
from xlt.layout import TRAINED, WEIGHTS
from xlt.modeling.model import TransferModel, build_model
from xlt.pipeline import folder_lock as script
from xlt.pipeline import train_run as training
from xlt.pipeline.context import Context
from xlt.pipeline.steps import predict_step, score_step, train_step
from xlt.pipeline.train_run import is_trained, save_atomic, train
from xlt.training.multitask import fit
from xlt.training.optimizer_step import is_out_of_memory
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.trainer import History, TrainingArguments

ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)


def settings(budget: int) -> TrainingArguments:
    return TrainingArguments(2, 6, 0.01, 0, 0.0, 1.0, 1, token_budget=budget)


def features(count: int = 12) -> list[Feature]:
    return [
        Feature(i, rows=[[0, *range(5, 5 + 4 + i % 3), 2]], types=[[0] * (6 + i % 3)], target=i % 2)
        for i in range(count)
    ]


def model(path: Path, dropout: bool) -> TransferModel:
    made = build_model(path, family=SUPERVISED["classification"], labels=2, tuning=ADAPTER, pooling="mean", seed=1)
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """A function that leaves memory for micro-batches of so many examples; it gives the sizes that were asked for."""

    def function(examples: int) -> list[int]:
        asked: list[int] = []
        family = SUPERVISED["classification"]
        own = family.loss_sum

        def limited(made: TransferModel, batch: Sequence[Feature]) -> torch.Tensor:
            asked.append(len(batch))
            if len(batch) > examples:
                own(made, batch)  # draws dropout masks before memory runs out
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return own(made, batch)

        monkeypatch.setattr(family, "loss_sum", limited)
        return asked

    return function


@pytest.mark.parametrize("adversarial", [False, True])
def test_micro_batches_are_halved_and_the_mathematics_stays(
    mini_encoder: Path, tokenizer: Any, small: Callable[[int], list[int]], caplog: Any, adversarial: bool
) -> None:
    def run(budget: int) -> tuple[dict[str, torch.Tensor], History]:
        made = model(mini_encoder, dropout=False)
        values = Adversarial(kind="adversarial", norm="l2", radius=0.1, steps=1, step_size=0.1)
        perturbation = AdversarialTraining(values, tokenizer, 1) if adversarial else None
        history = fit(made, features(), settings(budget), None, title="t", perturbation=perturbation)
        return made.trained_state(), history

    whole, plain = run(1000)
    assert plain.halved == []
    asked = small(3)
    halved, history = run(1000)
    assert max(asked) == 6 and asked.count(6) == 1  # the first batch only: they stay small
    assert history.halved == [0]
    assert "t: out of memory at step 0; micro-batches have at most 31 tokens" in caplog.text
    directly, _ = run(31)  # as one that had so small micro-batches from the beginning, bit for bit
    assert all(torch.equal(halved[name], directly[name]) for name in whole)
    if not adversarial:  # whose perturbations are drawn for each micro-batch
        assert history.losses == pytest.approx(plain.losses, abs=1e-3)  # rounding, through two epochs of Adam


def test_a_resumed_training_keeps_its_small_micro_batches(
    mini_encoder: Path, small: Callable[[int], list[int]], tmp_path: Path
) -> None:
    small(3)
    made = model(mini_encoder, dropout=True)
    expected = fit(made, features(), settings(1000), None, title="t")
    asked = small(3)
    checkpointer = training.Checkpointer(tmp_path / "checkpoint", "key")
    steps = iter(range(3))

    def stop() -> None:
        if next(steps) == 1:
            checkpointer.save()
            raise ConnectionError

    checkpointer.after_step = stop  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        fit(model(mini_encoder, dropout=True), features(), settings(1000), None, title="t", checkpointer=checkpointer)
    asked.clear()
    again = model(mini_encoder, dropout=True)
    history = fit(
        again,
        features(),
        settings(1000),
        None,
        title="t",
        checkpointer=training.Checkpointer(tmp_path / "checkpoint", "key"),
    )
    assert max(asked) <= 3
    assert (history.halved, history.losses) == (expected.halved, expected.losses)
    assert all(torch.equal(tensor, made.trained_state()[name]) for name, tensor in again.trained_state().items())


def test_memory_that_does_not_do_for_one_example_is_an_input_error(
    mini_encoder: Path, small: Callable[[int], list[int]]
) -> None:
    small(0)
    with pytest.raises(InputError, match="t: out of memory at step 0, and the batch cannot be cut into smaller parts"):
        fit(model(mini_encoder, dropout=True), features(), settings(1000), None, title="t")


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)


def test_out_of_memory_elsewhere_is_one_line(capsys: Any) -> None:
    def main() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert exit_status(main) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; use fewer jobs")


# The disk


def no_space(*given: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/runs/x")


def test_a_full_disk_under_the_weights_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # a file that cannot grow: a full disk by other means
    try:
        with pytest.raises(InputError, match=r"the weights could not be written: .*; make room and run again"):
            save_atomic({"a": torch.zeros(1000)}, tmp_path / WEIGHTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_met_a_full_disk_is_not_finished_and_goes_on_later(
    open_run: Callable[[str], Context], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    context = open_run("adapter/udpos/seed-1")
    with monkeypatch.context() as patched:
        patched.setattr(training, "write_atomic", no_space)
        assert exit_status(lambda: (train_step(context), None)[1]) == 2
    assert capsys.readouterr().err.endswith("error: /runs/x: No space left on device; make room or correct it\n")
    assert not (context.folder / TRAINED).exists() and not is_trained(context)
    train_step(context)
    assert is_trained(context)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_an_output_folder_that_cannot_be_written_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, number: int
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / ".lock"))

    monkeypatch.setattr(locks.os, "open", refuse)

    def main() -> None:
        with script.alone(tmp_path), script.noting_failure(tmp_path):
            pytest.fail("began to work")

    assert exit_status(main) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/.lock: {os.strerror(number)}; make room or correct it\n"


def test_a_failure_note_that_cannot_be_written_does_not_hide_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "write_atomic", no_space)
    with pytest.raises(InputError, match="the cause"), script.noting_failure(tmp_path):
        raise InputError("the cause")


# Processes


def test_a_second_process_waits_for_the_first(tmp_path: Path, capfd: Any) -> None:
    reading, writing = os.pipe()
    with script.alone(tmp_path):
        child = os.fork()
        if child == 0:
            with script.alone(tmp_path):
                os.write(writing, b"second")
            os._exit(0)
        time.sleep(0.3)
        os.write(writing, b"first ")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(reading, 100) == b"first second"
    said = (
        f"{tmp_path}: another process works on it (process {os.getpid()} on {platform.node()}); waiting for it to end\n"
    )
    assert capfd.readouterr().err == said


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with script.alone(tmp_path):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    done = threading.Event()
    with script.alone(tmp_path):
        done.set()
    assert done.is_set()


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder that the planner wrote"), script.alone(tmp_path / "x"):
        pytest.fail("began to work")


# Files that are older or newer than what they were made from


@pytest.mark.parametrize("shift", [-1e6, 1e6])
def test_a_wrong_time_stamp_changes_nothing(open_run: Callable[[str], Context], shift: float) -> None:
    context = open_run("adapter/udpos/seed-1")
    predict_step(context, train_step(context))
    score_step(context)
    names = [WEIGHTS, TRAINED, "predicted.json", "config.json"]
    before = {name: (context.folder / name).read_bytes() for name in names}
    for name in names:
        os.utime(context.folder / name, (time.time() + shift,) * 2)
    assert train_step(context) is None  # what it is made from decides, not when
    predict_step(context, None)
    score_step(context)
    assert {name: (context.folder / name).read_bytes() for name in names} == before


def test_a_left_over_checkpoint_of_a_finished_run_goes(open_run: Callable[[str], Context]) -> None:
    context = open_run("adapter/udpos/seed-1")
    train(context)
    (context.folder / "checkpoint").mkdir()
    assert train_step(context) is None
    assert not (context.folder / "checkpoint").exists()


@pytest.fixture(autouse=True)
def _warnings(caplog: Any) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield


def test_provenance_says_how_often_training_was_resumed_and_of_which_config(open_run: Callable[[str], Context]) -> None:
    context = open_run("adapter/udpos/seed-1")
    predict_step(context, train_step(context))
    score_step(context)
    record = read_json(context.folder / "provenance.json")
    assert record["resumed"] == 0
    assert record["config_sha256"] == hashlib.sha256((context.folder / "config.json").read_bytes()).hexdigest()
    # the miniature encoder has 128 positions, two of which XLM-R does not use; part-of-speech tagging reads 128
    assert record["positions"] == 126 and record["cut"] == {"udpos": 128}
