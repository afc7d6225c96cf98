"""Hashes of data files, remembered from plan to plan."""

from __future__ import annotations

from pathlib import Path

from xlt.artifacts import read_json, sha256_file, to_json, write_atomic


class Digests:
    """SHA-256 of data files, computed again only when a file's size or time changes."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.known: dict[str, list[object]] = read_json(store) if store.exists() else {}
        self.changed = False

    def __call__(self, path: Path) -> str:
        """The hash of one file."""
        status = path.stat()
        key, sign = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        entry = self.known.get(key)
        if entry is None or entry[:2] != sign:
            entry = [*sign, sha256_file(path)]
            self.known[key] = entry
            self.changed = True
        return str(entry[2])

    def save(self) -> None:
        """Keep what was computed for the next plan."""
        if self.changed:
            write_atomic(self.store, to_json(self.known))
