"""Which adapters of an encoder are active together, in which order (the blocks of the adapters library)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.composition import Fuse, Stack

TASK = "task"
"""The name of the trained task adapter; the same for every task, so that ``continue`` passes it on."""


@dataclass(frozen=True)
class Composition:
    """The adapters of one regime.

    ``languages``: name of the language adapter by language. ``source``: the language of the training data. ``missing``:
    what serves a language without one: ``source``, ``none`` or ``refuse``. ``below``: frozen intermediate adapters,
    lowest first. ``fused``: adapters combined by AdapterFusion in place of the task adapter.
    """

    languages: Mapping[str, str] = field(default_factory=dict)
    source: str = "en"
    missing: str = "source"
    below: tuple[str, ...] = ()
    fused: tuple[str, ...] = ()

    def active(self, language: str) -> Any:
        """The active set-up for text in ``language``: language adapter, stacked ones, task adapter or fusion."""
        top = Fuse(*self.fused) if self.fused else TASK
        stacked = [*self.language_part(language), *self.below, top]
        return stacked[0] if len(stacked) == 1 else Stack(*stacked)

    def language_part(self, language: str) -> list[str]:
        """The language adapter for ``language`` (or what serves it), as a list of none or one.

        An input in two languages ("de-fr") is read with the first one's adapter: that of sentence 1 or of the passage.
        """
        for code in (language, language.partition("-")[0]):
            if code in self.languages:
                return [self.languages[code]]
        if self.languages and self.missing == "source":
            return [self.languages[self.source]]
        return []
