"""Trust on first use: what the first download found is written down, and every later one must find the same."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from xlt.config.benchmark import load_yaml
from xlt.errors import InputError
from xlt.files import write_atomic
from xlt.locks import locked

_HEADER = """\
# What the first download of each file found, where its manifest or its model's config states no hash or revision. Written
# by `make data`; commit it, and every other machine must find the same. A mismatch stops with expected and got.
"""


class Lock:
    """The file ``configs/data.lock.yaml``: downloads, placed files and model files with their size and SHA-256, and
    the commits of models that nothing else pins.

    Safe for threads of one process and for processes side by side.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._seen: tuple[tuple[int, int, int], dict[str, Any]] | None = None

    def get(self, section: str, key: str) -> dict[str, Any] | None:
        """The record of ``key`` in ``section`` ("downloads", "files", "models" or "pins"); None: not seen before.

        Raises:
            InputError: the file is not a lock.
        """
        record = self._read().get(section, {}).get(key)
        return None if record is None else dict(record)

    def record(self, section: str, found: dict[str, dict[str, Any]]) -> None:
        """Add what ``section`` does not hold yet, and print each addition.

        Raises:
            InputError: a key is there with other values, or the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_name(f".{self.path.name}.lock")
            with self._guard, locked(lock, f"{self.path}: another process writes it"):
                content = self._read()
                section_of = content.setdefault(section, {})
                for key, values in found.items():
                    check(section_of.get(key), values, key, self.path)
                new = {key: values for key, values in found.items() if key not in section_of}
                if new:
                    section_of.update(new)
                    ordered = {name: dict(sorted(content[name].items())) for name in sorted(content)}
                    write_atomic(self.path, _HEADER + yaml.safe_dump(ordered, sort_keys=False, width=1000))
        except OSError as error:
            raise InputError(f"cannot write what was learned on first use ({error.strerror})", self.path) from None
        for key, values in new.items():
            what = "sha256" if "sha256" in values else "revision"
            sys.stderr.write(f"first use of {key}: recorded {what} {values[what]}\n")  # one write: threads print too

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        status = self.path.stat()
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._seen is not None and self._seen[0] == state:
            return self._seen[1]
        content = load_yaml(self.path)
        if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
            raise InputError("expected sections of recorded files; restore it from version control", self.path)
        self._seen = (state, content)
        return content


def check(expected: dict[str, Any] | None, got: dict[str, Any], key: str, where: Path | str) -> None:
    """Compare what was found with what was recorded; None: nothing was.

    Raises:
        InputError: the sizes, hashes or revisions differ.
    """
    for name in ("revision", "size", "sha256"):
        wanted = None if expected is None else expected.get(name)
        if wanted is not None and got.get(name) != wanted:
            message = f"{key} has changed: expected {name} {wanted}, got {got.get(name)}; nothing was put in place"
            raise InputError(f"{message}. If its owner published a new version on purpose, change the record", where)
