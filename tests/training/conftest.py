"""Trainings are killed and forked here: no other thread may hold a lock meanwhile."""

from __future__ import annotations

import threading

import pytest
from tqdm import tqdm


@pytest.fixture(autouse=True)
def _no_thread_of_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that watches tqdm's bars takes their lock now and then; a child forked at that moment waits for ever."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)
    tqdm.set_lock(threading.RLock())  # its own is shared with children: one that is killed while it has it keeps it
    if tqdm.monitor is not None:
        tqdm.monitor.exit()
        tqdm.monitor = None
