"""Trainings that are killed (SIGKILL) and go on: the result is, bit for bit, that of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from tests.conftest import mini_world

from xlt import babel
from xlt.babel.config import EncoderConfig
from xlt.config.run_config import Augmentation, FileSet
from xlt.files import read_json
from xlt.layout import LEXICAL, TRAINED, WEIGHTS
from xlt.pipeline.context import Context
from xlt.pipeline.pretraining import pretrain
from xlt.pipeline.steps import make_context, train_step
from xlt.pipeline.train_run import is_trained, train
from xlt.training.checkpointer import Checkpointer
from xlt.training.language_adapter import make_job, make_language_adapter
from xlt.training.lexical_injection import inject
from xlt.training.lexical_injection import make_job as make_lexical_job

Open = Callable[[str], Context]
RUNS = [
    "full/mnli",
    "full/copa",  # two stages
    "adapter/udpos",
    "lora/squad",
    "head/udpos",
    "madx/udpos",
    "full-adv/mnli",
    "adapter-adv/lareqa",  # a contrastive loss
    "lora/rs-da",
    "adapter-rs-rp/mewslix",
    "full-gradual/udpos",
    "adapter-fisher/mnli",
    "lora-gradual/panx",
    "madx-fisher/mnli",
    "full-itt/udpos",
    "full-itt-mlm/intermediate",
    "adapter-itt-multi/intermediate",
    "adapter-itt-mlm/intermediate",
    "adapter-stack/udpos",
    "adapter-fuse/mnli",
    "full-average/udpos",
    "adapter-average/mnli",
    "lora-average/squad",
]


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matter what checkpoints cost."""
    monkeypatch.setattr("xlt.training.checkpointer.LARGEST_SHARE", 1e9)


def killed_and_resumed(work: Callable[[], object], steps: list[int]) -> int:
    """Do ``work`` in child processes. Each but the last is killed so many steps after it begins, somewhere in the next one.

    Returns:
        How many of them were killed before they were done.
    """
    killed = 0
    for limit in [*steps, None]:
        child = os.fork()
        if child == 0:
            as_a_new_process(work, limit)
        status = ended(child)
        if limit is None and status == -signal.SIGKILL:  # it hung: one more is the last
            child = os.fork()
            if child == 0:
                as_a_new_process(work, limit)
            status = ended(child)
        assert status == 0 or (limit is not None and status == -signal.SIGKILL), status
        killed += status != 0
    return killed


def ended(child: int, seconds: float = 60.0) -> int:
    """The exit status of a child; one that hangs, since a lock was held as it was forked, is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def as_a_new_process(work: Callable[[], object], limit: int | None) -> NoReturn:
    """Do ``work`` with other random states than the parent's, and end; SIGKILL comes in the step after ``limit``."""
    status = 1
    try:
        random.seed(os.getpid())
        np.random.seed(os.getpid() % 2**31)
        torch.manual_seed(os.getpid())
        own, done = Checkpointer.after_step, iter(range(1, 1000))

        def after_step(checkpointer: Checkpointer) -> None:
            own(checkpointer)
            if next(done) == limit:  # a step takes about 20 ms
                threading.Timer(0.02 * random.random(), os.kill, (os.getpid(), signal.SIGKILL)).start()

        Checkpointer.after_step = after_step  # type: ignore[method-assign]
        work()
        status = 0
    finally:
        os._exit(status)


def several_steps(context: Context, tmp_path: Path, neighbours: bool = False) -> Context:
    """The run with three epochs of three or more steps."""
    config = context.config
    noise = None
    if neighbours:
        words = tmp_path / "neighbours.json"
        words.write_text(json.dumps({word: [f"{word}o", f"{word}a"] for word in ("a", "b", "so")}), encoding="utf-8")
        files = FileSet(format="neighbours", files=[str(words)], sha256={})
        noise = Augmentation(neighbours=files, copies=2, seed=1)
    stages = [
        stage.model_copy(
            update={
                "recipe": stage.recipe.model_copy(update={"epochs": 3, "batch_size": 3 if stage.train else 1}),
                "learning_rate": 0.01,
                "augmentation": noise,
            }
        )
        for stage in config.stages
    ]
    return replace(context, config=config.model_copy(update={"stages": stages}))


def result(folder: Path) -> tuple[bytes, Any]:
    """The bytes of the weights, and what is noted of the training, without the time it took."""
    noted = read_json(folder / TRAINED)
    for stage in noted["stages"].values():
        stage.pop("seconds")
    return (folder / WEIGHTS).read_bytes(), noted


def make_upstream(context: Context, open_run: Open, mini_encoder: Path, mini_data: Path) -> None:
    for folder in context.config.needs():
        if folder.startswith("runs/"):
            upstream = open_run(folder.removeprefix("runs/"))
            make_upstream(upstream, open_run, mini_encoder, mini_data)
            train_step(upstream)
        else:
            make_language_adapter(make_job(context.root / folder, mini_data, mini_encoder))


@pytest.fixture(scope="module")
def open_once(planned: Path, tmp_path_factory: pytest.TempPathFactory, mini_data: Path, mini_encoder: Path) -> Open:
    """As ``open_run``, in one copy of the plan for all tests of this file, which share the runs others go on from."""
    root = Path(shutil.copytree(planned, tmp_path_factory.mktemp("resume") / "root"))
    return lambda name: make_context(root / "runs" / name, mini_data, mini_encoder, 1)


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_ends_as_one_that_was_not(
    open_once: Open, name: str, tmp_path: Path, mini_encoder: Path, mini_data: Path
) -> None:
    noisy = name.endswith("rs-da")
    context = several_steps(open_once(f"{name.replace('rs-da', 'mnli')}/seed-1"), tmp_path, noisy)
    make_upstream(context, open_once, mini_encoder, mini_data)
    train(context)
    expected = result(context.folder)
    (context.folder / TRAINED).unlink()
    (context.folder / WEIGHTS).unlink()
    draw = random.Random(name)
    killed = killed_and_resumed(lambda: train_step(context, 0), [draw.randint(1, 4), draw.randint(1, 2)])
    assert killed >= 1  # a busy machine may be slow to kill
    assert is_trained(context)
    assert result(context.folder) == expected
    assert not (context.folder / "checkpoint").exists()
    assert read_json(context.folder / "cost.json")["train"]["resumed"] in (1, 2)  # the first may have had no checkpoint


def test_a_killed_language_adapter_ends_as_one_that_was_not(
    open_once: Open, mini_encoder: Path, mini_data: Path
) -> None:
    job = make_job(open_once("madx/udpos/seed-1").root / "language-adapters" / "qag", mini_data, mini_encoder)
    job = replace(
        job, config=job.config.model_copy(update={"settings": job.config.settings.model_copy(update={"steps": 9})})
    )
    make_language_adapter(job)

    def made() -> dict[str, Any]:
        noted = read_json(job.folder / "adapter.json")
        return {key: value for key, value in noted.items() if key != "provenance"}

    expected = made()
    assert killed_and_resumed(lambda: make_language_adapter(job, 0), [3, 2]) >= 1
    assert made() == expected
    assert not (job.folder / "checkpoint").exists()


def test_a_killed_lexical_injection_ends_as_one_that_was_not(
    open_once: Open, mini_encoder: Path, mini_data: Path
) -> None:
    root = open_once("full/mnli/seed-1").root
    folder = next(path.parent for path in sorted((root / "lexical" / "tli").rglob("config.json")))
    job = make_lexical_job(folder, mini_data, mini_encoder)
    method = job.config.lexical.model_copy(update={"epochs": 3, "batch_size": 8, "layer": 1})
    job = replace(job, config=job.config.model_copy(update={"lexical": method}))
    inject(job)

    def made() -> dict[str, Any]:
        noted = read_json(folder / LEXICAL)
        noted["training"].pop("seconds")
        left_out = ("provenance", "wall_seconds", "peak_memory_bytes")
        return {key: value for key, value in noted.items() if key not in left_out}

    expected = made()
    (folder / LEXICAL).unlink()
    assert killed_and_resumed(lambda: inject(job, 0), [2, 2]) >= 1
    assert made() == expected


def test_killed_pre_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    config = babel.BabelConfig.model_validate(mini_world())
    babel.write_corpus(tmp_path, config)
    small = {
        "vocabulary": 400,
        "width": 16,
        "layers": 2,
        "heads": 2,
        "feed_forward": 16,
        "steps": 9,
        "batch_tokens": 256,
    }
    settings: EncoderConfig = config.encoder.model_copy(update={**small, "log_every": 4})
    pretrain(tmp_path, tmp_path / "plain", settings, 1, 1)

    def work() -> None:
        checkpointer = Checkpointer(tmp_path / "checkpoint", "k", 0)
        pretrain(tmp_path, tmp_path / "killed", settings, 1, 1, checkpointer=checkpointer)

    assert killed_and_resumed(work, [3, 2]) >= 1
    names = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    for name in names:
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
