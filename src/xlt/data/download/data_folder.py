"""What lies in a data folder and how it came there: ``.xlt/files.json``, and files put in place in one step.

Work in progress lives below ``.xlt`` only. A file gets its own name by a rename, after its content is on the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xlt.errors import InputError
from xlt.files import read_json, sha256_file, to_json, write_atomic
from xlt.locks import locked

WORK = ".xlt"


class DataFolder:
    """A data folder with its record: for each file its size, SHA-256 and where it came from.

    ``patterns`` holds the files that a pattern with ``*`` gave, and ``unfinished`` the files being put in place just
    now: what is still named there when no process is at work was interrupted, and is done again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / WORK
        self.downloads = self.work / "downloads"
        self.incoming = self.work / "incoming"
        self._record = self.work / "files.json"

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the folder for this process; another one waits, and says so."""
        with contextlib.ExitStack() as held:
            try:
                self.work.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.work / "lock", f"{self.path}: another process is filling this folder"))
                # only now: the process that holds the lock empties these folders
                self.downloads.mkdir(exist_ok=True)
                self.incoming.mkdir(exist_ok=True)
            except OSError as error:
                raise InputError(f"expected a folder that can be written: {error.strerror}", self.path) from None
            yield

    def record(self) -> dict[str, Any]:
        """``{"files": {path: {"size", "sha256", "from"}}, "patterns": {...}, "unfinished": [...]}``."""
        if not self._record.exists():
            return {"files": {}, "patterns": {}, "unfinished": []}
        return dict(read_json(self._record))

    def place(self, staged: Mapping[str, Path], origin: str, patterns: Mapping[str, list[str]] | None = None) -> None:
        """Give files that lie ready in ``incoming`` (path below the folder -> file) their place, and record them."""
        content = self.record()
        content["unfinished"] = sorted({*content["unfinished"], *staged})
        found = {
            name: {"size": file.stat().st_size, "sha256": sha256_file(file), "from": origin}
            for name, file in staged.items()
        }
        write_atomic(self._record, to_json(content))
        try:
            for name, file in staged.items():
                target = self.path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
                os.replace(file, target)
        except OSError as error:
            raise InputError(f"cannot put the file in place: {error.strerror}", self.path / name) from None
        content["files"] = dict(sorted({**content["files"], **found}.items()))
        content["patterns"] = dict(sorted({**content["patterns"], **(patterns or {})}.items()))
        content["unfinished"] = sorted(set(content["unfinished"]) - staged.keys())
        write_atomic(self._record, to_json(content))

    def holds(self, path: str) -> list[str]:
        """The files that are there for ``path``, or for a pattern the files it gave; empty when any of them is not."""
        content = self.record()
        names = content["patterns"].get(path, []) if "*" in path else [path]
        there = all((self.path / name).is_file() and name not in content["unfinished"] for name in names)
        return names if there else []

    def check(self, name: str) -> None:
        """Compare a file with its record; one without a record passes.

        Raises:
            InputError: size or hash differ.
        """
        expected = self.record()["files"].get(name)
        if expected is None:
            return
        path = self.path / name
        got = sha256_file(path)
        if got != expected["sha256"]:
            message = f"expected sha256 {expected['sha256']} as recorded when it came, got {got}"
            raise InputError(f"{message}; delete the file and run make data again", path)
