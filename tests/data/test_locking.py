"""Trust on first use: recorded once, compared ever after, whole under concurrent writers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

from xlt.data.download.lockfile import Lock
from xlt.errors import InputError


def record(number: int) -> dict[str, object]:
    return {"size": number, "sha256": f"{number:064x}"}


def test_recorded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Lock(tmp_path / "data.lock.yaml")
    assert lock.get("downloads", "a") is None
    lock.record("downloads", {"a": record(1)})
    assert f"first use of a: recorded sha256 {1:064x}" in capsys.readouterr().err
    lock.record("downloads", {"a": record(1)})
    assert capsys.readouterr().err == "" and Lock(lock.path).get("downloads", "a") == record(1)
    with pytest.raises(InputError, match="a has changed: expected size 1, got 2; nothing was put in place"):
        lock.record("downloads", {"a": record(2)})


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    def write(part: int) -> None:
        lock = Lock(tmp_path / "data.lock.yaml")
        for number in range(5):
            lock.record("files", {f"{part}/{number}": record(number)})

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(yaml.safe_load((tmp_path / "data.lock.yaml").read_text())["files"]) == 20


def test_a_file_that_is_no_lock_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data.lock.yaml").write_text("- a\n")
    with pytest.raises(InputError, match="expected sections of recorded files"):
        Lock(tmp_path / "data.lock.yaml").get("files", "a")
