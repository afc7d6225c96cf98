"""Trainings are killed and forked here: no other thread may hold a lock meanwhile."""

from __future__ import annotations

import pytest
from tqdm import tqdm


@pytest.fixture(autouse=True)
def _no_thread_of_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that watches tqdm's bars takes their lock now and then; a child forked at that moment waits for ever."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)
    if tqdm.monitor is not None:
        tqdm.monitor.exit()
        tqdm.monitor = None
