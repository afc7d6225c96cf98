"""Progress of downloads: a bar for each file that is coming and one for all of them, on a terminal; silence elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any


class Bars:
    """A bar that counts ``total`` downloads, above one for the bytes of each that is running."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._quiet = not sys.stderr.isatty()
        self._guard = threading.Lock()
        self._places: set[int] = set()
        self._all: Any = tqdm(total=total, desc="downloads", unit="file", disable=self._quiet, position=0)

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.close()

    @contextlib.contextmanager
    def bar(self, label: str, size: int | None) -> Iterator[Callable[[int, int | None], None]]:
        """A bar for one download: call it with the bytes that have come and the size, where it is known."""
        with self._guard:
            place = next(number for number in range(1, len(self._places) + 2) if number not in self._places)
            self._places.add(place)
        shown = label if len(label) <= 50 else "…" + label[-49:]
        with self._tqdm(
            total=size, desc=shown, unit="B", unit_scale=True, leave=False, disable=self._quiet, position=place
        ) as one:

            def progress(done: int, total: int | None) -> None:
                one.total = total or one.total
                one.update(done - one.n)

            try:
                yield progress
            finally:
                with self._guard:
                    self._places.discard(place)
        self._all.update(1)
