"""Checkpoints: which one is used, that the last good one stays, when one is written, and how a signal ends a training."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xlt.config.regimes import Full
from xlt.data.features import Feature
from xlt.data.records import Pair
from xlt.errors import InputError, Interrupted, NotFinite, exit_status
from xlt.families import FAMILIES
from xlt.families.classification import pair_features
from xlt.files import read_json, to_json, write_atomic
from xlt.modeling.model import TransferModel, build_model
from xlt.training import checkpointer as checkpointing
from xlt.training.checkpoint_state import TrainingState
from xlt.training.checkpointer import FILES, STATE, Checkpointer
from xlt.training.trainer import TrainingArguments, fit

SETTINGS = TrainingArguments(3, 4, 0.01, 0, 0.0, 1.0, 1)


@pytest.fixture
def checkpointer(tmp_path: Path) -> Checkpointer:
    return Checkpointer(tmp_path / "checkpoint", "key", 0)


def state(number: float) -> TrainingState:
    return TrainingState({"number": number}, {"tensor": torch.tensor([number])})


def save(checkpointer: Checkpointer, number: float) -> None:
    with checkpointer.checkpoint_on_signal(lambda: state(number)):
        checkpointer.save()


def found(folder: Path, key: str = "key") -> float | None:
    taken = Checkpointer(folder / "checkpoint", key).pop_resume_state()
    assert taken is None or taken.tensors["tensor"].item() == taken.values["number"]
    return None if taken is None else taken.values["number"]


def test_the_last_state_is_found_once(checkpointer: Checkpointer, tmp_path: Path) -> None:
    assert checkpointer.pop_resume_state() is None
    checkpointer.enter(1, {"before": [0.1]})
    for number in range(3):
        save(checkpointer, number)
    again = Checkpointer(tmp_path / "checkpoint", "key")
    assert (again.part, again.notes, again.resumed) == (1, {"before": [0.1]}, 1)
    taken = again.pop_resume_state()
    assert taken is not None and taken.values["number"] == 2
    assert again.pop_resume_state() is None


def test_disk_use_is_bounded_and_nothing_stays(checkpointer: Checkpointer, tmp_path: Path) -> None:
    for number in range(4):
        save(checkpointer, number)
        assert len(list((tmp_path / "checkpoint").iterdir())) == 2  # one file of tensors, and the one that names it
    checkpointer.clear()
    assert not (tmp_path / "checkpoint").exists()


def test_a_state_of_another_part_is_not_taken(checkpointer: Checkpointer, tmp_path: Path) -> None:
    save(checkpointer, 1)
    again = Checkpointer(tmp_path / "checkpoint", "key")
    again.enter(1, {})
    assert again.pop_resume_state() is None


def test_a_state_of_anything_else_is_never_used(checkpointer: Checkpointer, tmp_path: Path, caplog: Any) -> None:
    save(checkpointer, 1)
    assert found(tmp_path, "another key") is None
    assert "made from another config, data, code or device; not used" in caplog.text
    assert found(tmp_path) == 1


def test_the_key_depends_on_code_versions_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        checkpointing.checkpoint_key("a", "cpu"),
        checkpointing.checkpoint_key("b", "cpu"),
        checkpointing.checkpoint_key("a", "cuda"),
    }
    monkeypatch.setattr("xlt.training.checkpointer.code_hash", lambda: "other code")
    keys.add(checkpointing.checkpoint_key("a", "cpu"))
    monkeypatch.setattr("xlt.training.checkpointer.package_versions", lambda: {"torch": "0"})
    keys.add(checkpointing.checkpoint_key("a", "cpu"))
    assert len(keys) == 5


def damages(folder: Path) -> Iterator[Callable[[], object]]:
    """Ways in which a checkpoint may be damaged."""
    whole, tensors = (folder / STATE).read_bytes(), next(folder.glob("*.safetensors"))
    yield lambda: (folder / STATE).write_bytes(whole[:-9])
    yield lambda: (folder / STATE).write_bytes(b"")
    yield lambda: (folder / STATE).write_text("[]")
    yield lambda: (folder / STATE).write_text(
        to_json({**read_json(folder / STATE), "file": "../../weights.safetensors"})
    )
    yield lambda: (folder / STATE).write_text(to_json({**read_json(folder / STATE), "part": None}))
    yield lambda: tensors.write_bytes(tensors.read_bytes()[:-1] + b"\7")
    yield lambda: tensors.write_bytes(tensors.read_bytes()[:20])
    yield tensors.unlink


@pytest.mark.parametrize("number", range(8))
def test_a_damaged_state_is_told_and_not_used(
    checkpointer: Checkpointer, tmp_path: Path, caplog: Any, number: int
) -> None:
    save(checkpointer, 1)
    list(damages(tmp_path / "checkpoint"))[number]()
    assert found(tmp_path) is None
    assert "training starts again" in caplog.text
    again = Checkpointer(tmp_path / "checkpoint", "key")
    save(again, 2)
    assert found(tmp_path) == 2


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow above ``size`` bytes: what a full disk does to a writer, by other means."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_good_state_and_training_goes_on(
    checkpointer: Checkpointer, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(checkpointer, 1)
    with at_most(50):
        save(checkpointer, 2)
    assert "no checkpoint could be written" in caplog.text
    assert found(tmp_path) == 1
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:  # the disk is full between the two files
        patched.setattr("xlt.training.checkpointer.write_atomic", full)
        save(checkpointer, 3)
    assert found(tmp_path) == 1
    save(checkpointer, 4)
    assert found(tmp_path) == 4


def test_a_process_killed_between_the_two_files_leaves_the_last_good_state(
    checkpointer: Checkpointer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(checkpointer, 1)
    child = os.fork()
    if child == 0:
        checkpointing.write_atomic = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
        save(checkpointer, 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == [*FILES, STATE]
    assert found(tmp_path) == 1


def test_a_checkpoint_is_written_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "time", lambda: -1e9)  # the wall clock jumps: no interval is measured by it
    checkpointer = Checkpointer(tmp_path / "checkpoint", "key", 10)

    def slow() -> TrainingState:
        clock[0] += 2  # what writing takes
        return state(clock[0])

    written = []
    with checkpointer.checkpoint_on_signal(slow):
        for _ in range(60):
            clock[0] += 1
            before = clock[0]
            checkpointer.after_step()
            if clock[0] != before:
                written.append(before)
    # the first after 10 s; each takes 2 s, a twentieth of 40 s, which is how long the next one waits
    assert written == [110.0, 152.0]
    assert checkpointer.elapsed() == clock[0] - 100


def test_seconds_of_the_processes_before_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    checkpointer = Checkpointer(tmp_path / "checkpoint", "key", 0)
    clock[0] = 7.0
    save(checkpointer, 1)
    clock[0] = 1000.0  # killed; the next process starts later
    again = Checkpointer(tmp_path / "checkpoint", "key", 0)
    clock[0] = 1003.0
    assert again.elapsed() == 10.0


# Signals


@pytest.fixture(scope="module")
def features(tokenizer: Any) -> list[Feature]:
    words = ("cat", "dog", "bird", "fish")
    records = [Pair(f"{a}{b}", f"the {a}", f"a {b} ran", "yes" if a == b else "no") for a in words for b in words]
    return pair_features(records, tokenizer, ["no", "yes"], 32)


def model(path: Path) -> TransferModel:
    return build_model(
        path, family=FAMILIES["classification"], labels=2, tuning=Full(kind="full"), pooling="mean", seed=1
    )


def trained(path: Path, features: list[Feature], **more: Any) -> dict[str, torch.Tensor]:
    made = model(path)
    fit(made, features, SETTINGS, more.pop("evaluate", None), title="t", **more)
    return made.trained_state()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def heard() -> Iterator[None]:
    """Signals as a terminal leaves them; tests that were started in the background inherit ignored ones."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, earlier in before.items():
        signal.signal(number, earlier)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_step_is_heard_after_it(
    mini_encoder: Path, features: list[Feature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    expected = trained(mini_encoder, features)
    scores, own = iter(range(100)), TransferModel.scores

    def interrupted(self: TransferModel, rows: Any) -> Any:
        if next(scores) == 5:  # in the second epoch, which begins with the fifth step
            os.kill(os.getpid(), number)
        return own(self, rows)

    with monkeypatch.context() as patched, pytest.raises(Interrupted) as caught:
        patched.setattr(TransferModel, "scores", interrupted)
        trained(mini_encoder, features, checkpointer=Checkpointer(tmp_path / "checkpoint", "key"))
    assert caught.value.number == number
    kept = Checkpointer(tmp_path / "checkpoint", "key")
    assert read_json(tmp_path / "checkpoint" / STATE)["values"]["history"]["steps"] == 6
    assert same(trained(mini_encoder, features, checkpointer=kept), expected)


def test_a_signal_in_an_evaluation_ends_it_at_once(mini_encoder: Path, features: list[Feature], tmp_path: Path) -> None:
    expected = trained(mini_encoder, features, evaluate=lambda: 50.0)
    finished = []

    def evaluate() -> float:
        torch.rand(3)  # what an evaluation draws is not part of the state before it
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        finished.append(True)
        return 50.0

    with pytest.raises(Interrupted):
        trained(mini_encoder, features, evaluate=evaluate, checkpointer=Checkpointer(tmp_path / "checkpoint", "key"))
    assert not finished
    kept = Checkpointer(tmp_path / "checkpoint", "key")
    assert same(trained(mini_encoder, features, evaluate=lambda: 50.0, checkpointer=kept), expected)


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path / "checkpoint", "key")
    with pytest.raises(Interrupted), checkpointer.checkpoint_on_signal(lambda: state(1)):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the second one was not heard")
    assert not (tmp_path / "checkpoint").exists()


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with Checkpointer(tmp_path / "checkpoint", "key").checkpoint_on_signal(lambda: state(1)):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_script_says_one_line_and_which_signal_it_was(capsys: Any, number: signal.Signals, status: int) -> None:
    assert exit_status(lambda: os.kill(os.getpid(), number)) == status
    told = capsys.readouterr().err
    assert told == f"interrupted ({number.name}): finished runs are kept; run the same command again to go on\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# A loss that is not a number


def test_a_bad_loss_names_its_batch_and_keeps_the_state_before_it(
    mini_encoder: Path, features: list[Feature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained(mini_encoder, features)
    calls, own = iter(range(100)), TransferModel.scores

    def broken(self: TransferModel, rows: Any) -> Any:
        return own(self, rows) * (float("nan") if next(calls) == 6 else 1)  # a fault of the machine, once

    with monkeypatch.context() as patched, pytest.raises(NotFinite) as caught:
        patched.setattr(TransferModel, "scores", broken)
        trained(mini_encoder, features, checkpointer=Checkpointer(tmp_path / "checkpoint", "key"))
    assert isinstance(caught.value, InputError)
    assert "t: loss nan at step 6 (gradient norm nan; training examples " in str(caught.value)
    kept = load_file(next((tmp_path / "checkpoint").glob("*.safetensors")))
    assert all(bool(tensor.isfinite().all()) for name, tensor in kept.items() if name.startswith("parameter/"))
    assert same(trained(mini_encoder, features, checkpointer=Checkpointer(tmp_path / "checkpoint", "key")), expected)


def test_a_file_is_whole_or_as_it_was_when_the_disk_is_full(tmp_path: Path, capsys: Any) -> None:
    write_atomic(tmp_path / "a.json", "before")

    def main() -> None:
        with at_most(50):
            write_atomic(tmp_path / "a.json", "x" * 100)

    assert exit_status(main) == 2
    assert (tmp_path / "a.json").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert capsys.readouterr().err.startswith("error: File too large; make room or correct it")
