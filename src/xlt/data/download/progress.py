"""Progress of downloads: a bar for each file that is coming and one for all of them, on a terminal; silence elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Bar = Callable[[str, int | None], contextlib.AbstractContextManager[Callable[[int, int | None], None]]]
"""Makes the bar of one download from its label and size: call it with the bytes that have come and the size, if known."""


@contextlib.contextmanager
def bars(total: int) -> Iterator[Bar]:
    """A bar that counts ``total`` downloads, with one for the bytes of each that is running."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    with tqdm(total=total, desc="downloads", unit="file", disable=quiet) as every:

        @contextlib.contextmanager
        def bar(label: str, size: int | None) -> Iterator[Callable[[int, int | None], None]]:
            shown = label if len(label) <= 50 else "…" + label[-49:]
            with tqdm(total=size, desc=shown, unit="B", unit_scale=True, leave=False, disable=quiet) as one:

                def progress(done: int, total: int | None) -> None:
                    one.total = total or one.total
                    one.update(done - one.n)

                yield progress
            every.update(1)

        yield bar
