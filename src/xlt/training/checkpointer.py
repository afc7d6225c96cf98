"""Checkpoints inside a training: a process that is killed at any step loses minutes, and no result changes.

A checkpoint is one safetensors file and ``state.json``, which names it with its SHA-256 and is written last; the file
before it goes only then, so that there is always one that is whole. It holds a hash of everything the training is made
from, and one of anything else is not used. docs/running.md says what is promised.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xlt.errors import InputError, Interrupted, NotFinite, handling
from xlt.files import code_hash, digest, package_versions, read_json, sha256_file, to_json, write_atomic
from xlt.modeling import distributed
from xlt.training.checkpoint_state import TrainingState, random_state, restore_random_state

CHECKPOINT, STATE = "checkpoint", "state.json"
"""The folder of a run's or a job's checkpoints while it trains, and the file in it that is written last."""
FILES = ("a.safetensors", "b.safetensors")
"""Written in turns, so that the last good one is never written over."""
LARGEST_SHARE = 0.05
"""The part of the time that may go into checkpoints: those of a large model come less often than asked for."""
EVERY = 300.0
"""Seconds between two checkpoints. A training that is shorter has none, unless it is asked to stop."""

_log = logging.getLogger(__name__)


def checkpoint_key(made_from: str, device: str) -> str:
    """A hash of what a training is made from, by which code and versions, on which kind of device.

    Another code or library could read the same state in another way, and its result would have two makers.
    """
    return digest([made_from, code_hash(), package_versions(), device])


class Checkpointer:
    """Writes the state of one training now and then, and finds it again.

    A job may have several trainings one after the other (``part``, from 0); ``notes`` is what those before left to
    the result. ``seconds`` is what the processes before this one spent up to their last checkpoint, ``resumed`` how many
    there were.

    Args:
        folder: where checkpoints lie; None keeps nothing and leaves signals alone.
        key: a hash of what the training is made from (``checkpoint_key``).
        every: least seconds between two checkpoints.
    """

    def __init__(self, folder: Path | None, key: str = "", every: float = EVERY) -> None:
        self.folder, self.key, self.every = folder, key, every
        self.part, self.notes = 0, dict[str, Any]()
        self.seconds, self.resumed = 0.0, 0
        self._current: str | None = None
        self._found = None if folder is None else self._read(folder)
        distributed.check_same("checkpoint", self._current if self._found else None)
        self._started = self._saved = time.monotonic()
        self._cost = 0.0
        self._pending: int | None = None
        self._deferring = False
        self._state: Callable[[], TrainingState] | None = None

    def _read(self, folder: Path) -> TrainingState | None:
        """The last state, if it is whole and of this very training."""
        path = folder / STATE
        if not path.exists():
            return None
        try:
            kept = read_json(path)
            self._current = kept["file"] if kept["file"] in FILES else None
            if kept["key"] != self.key:
                _log.warning("%s: made from another config, data, code or device; not used", folder)
                return None
            if kept.pop("digest") != digest(kept):
                raise InputError("it is damaged", path)
            if self._current is None or sha256_file(folder / self._current) != kept["sha256"]:
                raise InputError("the file named in it is damaged", path)
            state = TrainingState(kept["values"], load_file(folder / self._current))
            self.part, self.notes = int(kept["part"]), dict(kept["notes"])
            self.seconds, self.resumed = float(kept["seconds"]), int(kept["resumed"]) + 1
        except (InputError, OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s: damaged and not used; training starts again (%s)", folder, error)
            return None
        return state

    def enter(self, part: int, notes: dict[str, Any]) -> None:
        """Say which training of the job begins, and what those before it left to the result."""
        if part != self.part:
            self._found = None
        self.part, self.notes = part, notes

    def pop_resume_state(self) -> TrainingState | None:
        """The state that the training is to go on from, or None when it begins."""
        found, self._found = self._found, None
        if found is not None:
            _log.warning("%s: training goes on from here", self.folder)
        return found

    def elapsed(self) -> float:
        """Seconds of the whole training so far, those of processes before this one included."""
        return self.seconds + time.monotonic() - self._started

    @contextlib.contextmanager
    def checkpoint_on_signal(self, state: Callable[[], TrainingState]) -> Iterator[None]:
        """Around the steps of a training: signals that ask to stop wait for the end of a step; ``state`` says where it is.

        Raises:
            Interrupted: one came; the state is saved. A second one ends the process at once.
            NotFinite: a step said so; the state before that step is saved.
        """
        if self.folder is None:
            yield
            return
        self._state, self._deferring = state, True
        try:
            with handling(self._on_signal):
                yield
                self._stop_if_asked()
        except NotFinite:
            self._save_and_stop()
            raise
        finally:
            self._state, self._deferring = None, False

    def after_step(self) -> None:
        """Called between two steps: writes a checkpoint when it is time, stops when asked to."""
        if self._state is None:
            return
        self._stop_if_asked()
        if time.monotonic() - self._saved >= max(self.every, self._cost / LARGEST_SHARE):
            self.save()

    @contextlib.contextmanager
    def between_steps(self) -> Iterator[None]:
        """Around long work that changes nothing of the state, an evaluation: it is not finished first when asked to stop.

        Except by several processes, which wait for each other in it.
        """
        if self._state is None:
            yield
            return
        self._stop_if_asked()
        if distributed.count() > 1:
            yield
            return
        before = random_state()
        self._deferring = False
        try:
            yield
        except Interrupted:
            restore_random_state(before)
            self.save()
            raise
        finally:
            self._deferring = True

    def _stop_if_asked(self) -> None:
        number = distributed.largest(self._pending or 0)  # of several processes all stop after the same step
        if number:
            self._save_and_stop()
            raise Interrupted(number)

    def _save_and_stop(self) -> None:
        self.save()
        distributed.wait()  # torchrun ends all processes when one has ended, so the others outlive the one that writes

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # several processes may get a signal twice, from a scheduler and from torchrun
        if self._deferring and (self._pending is None or distributed.count() > 1):
            self._pending = number
        else:
            raise Interrupted(number)

    def save(self) -> None:
        """Write a checkpoint. A disk that is full or read-only is no reason to stop: the last good one stays.

        Of several processes the first writes; what the others would is the same or follows from it.
        """
        assert self.folder is not None and self._state is not None
        if not distributed.is_main_process():
            return
        began = time.monotonic()
        name = next(each for each in FILES if each != self._current)
        try:
            self._write(self.folder, name, self._state())
        except (OSError, SafetensorError) as error:
            _log.warning("%s: no checkpoint could be written (%s); training goes on", self.folder, error)
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def _write(self, folder: Path, name: str, state: TrainingState) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        save_file({key: tensor.cpu().contiguous() for key, tensor in state.tensors.items()}, path)
        flush(path)
        kept = {
            "key": self.key,
            "file": name,
            "sha256": sha256_file(path),
            "part": self.part,
            "notes": self.notes,
            "seconds": round(self.elapsed(), 3),
            "resumed": self.resumed,
            "values": state.values,
        }
        write_atomic(folder / STATE, to_json({**kept, "digest": digest(kept)}))
        flush(folder)
        if self._current is not None:
            (folder / self._current).unlink(missing_ok=True)
        self._current = name

    def clear(self) -> None:
        """Remove the checkpoints: the training's result is written."""
        if self.folder is not None and distributed.is_main_process():
            shutil.rmtree(self.folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
