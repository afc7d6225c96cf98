"""Hashes of files, remembered from call to call."""

from __future__ import annotations

import time
from pathlib import Path

from xlt.files import read_json, sha256_file, to_json, write_atomic

SETTLED = 2.0
"""Seconds: a file that changed so recently may change again within one tick of its disk's clock, so its hash is not kept."""


class Digests:
    """SHA-256 of files, computed again only when a file has changed.

    A file is told by its size, its place on the disk (device, inode), and the times of its last write and of its last
    change of state: a program that sets the first time back, as ``cp -p`` and ``rsync -t`` do, moves the second.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.known: dict[str, list[object]] = read_json(store) if store.exists() else {}
        self.changed = False

    def __call__(self, path: Path) -> str:
        """The hash of one file."""
        status, now = path.stat(), time.time()
        sign = [status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
        key = str(path.resolve())
        entry = self.known.get(key)
        if entry is not None and entry[:-1] == sign:
            return str(entry[-1])
        digest = sha256_file(path)
        self.changed |= self.known.pop(key, None) is not None
        if max(status.st_mtime, status.st_ctime) < now - SETTLED:
            self.known[key] = [*sign, digest]
            self.changed = True
        return digest

    def save(self) -> None:
        """Keep what was computed for the next call."""
        if self.changed:
            write_atomic(self.store, to_json(self.known))
