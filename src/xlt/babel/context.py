"""What every task writer needs: the languages, the world, and how to say a clause in a language."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from xlt.babel import world as worlds
from xlt.babel.config import BabelConfig
from xlt.babel.grammar import Clause, Speaker, text_of
from xlt.babel.language import SOURCE, BabelLanguage, stream
from xlt.errors import InputError

Made = TypeVar("Made")
MOST_REFUSED = 20_000
SPLITS = ("train", "dev", "test")


@dataclass
class Babel:
    """The world and its languages. Each task, split and language has its own random stream."""

    config: BabelConfig
    languages: dict[str, BabelLanguage] = field(init=False)
    world: worlds.World = field(init=False)
    _used: dict[str, set[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        seed = self.config.seed
        self.languages = {code: BabelLanguage(code, settings, seed) for code, settings in self.config.languages.items()}
        self.world = worlds.build(self.config.world, seed)

    def rng(self, *names: object) -> random.Random:
        """A random stream of its own."""
        return stream(self.config.seed, *names)

    def teller(self, task: str, split: str) -> worlds.Storyteller:
        """A storyteller; only test data shows the names and rare words held back from training."""
        return worlds.Storyteller(self.world.part(hidden=split == "test"), self.rng(task, split))

    def speaker(self, language: str, *names: object) -> Speaker:
        """A speaker of task files: mostly everyday words, the rest drawn by what it is used for."""
        rng, share = self.rng(language, *names), self.config.world.everyday

        def choose(spoken: BabelLanguage, concept: str) -> int:
            return spoken.everyday[concept] if rng.random() < share else rng.randrange(len(spoken.forms[concept]))

        return Speaker(self.languages[language], choose)

    def say(self, clause: Clause, language: str, *names: object) -> str:
        """A clause as text."""
        return text_of(self.speaker(language, *names).sentence(clause))

    def say_all(self, clauses: Iterable[Clause], language: str, *names: object) -> list[str]:
        """Clauses as text, each spoken by its own position among them."""
        return [self.say(clause, language, *names, position) for position, clause in enumerate(clauses)]

    def fresh(
        self, task: str, count: int, make: Callable[[], Made], key: Callable[[Made], Sequence[Clause]]
    ) -> list[Made]:
        """Draw ``count`` examples none of whose clauses (``key``) was drawn for this task before, in any split.

        Raises InputError when the world is too small to give that many.
        """
        used, english = self._used.setdefault(task, set()), Speaker(self.languages[SOURCE])
        found: list[Made] = []
        while len(found) < count:
            for _ in range(MOST_REFUSED):
                made = make()
                said = {text_of(english.sentence(clause)) for clause in key(made)}
                if used.isdisjoint(said):
                    break
            else:
                raise InputError(f"{task}: expected enough different sentences for its sizes; ask for fewer examples")
            used |= said
            found.append(made)
        return found

    def size(self, task: str, split: str) -> int:
        """Number of examples of a split."""
        sizes = self.config.sizes
        return {"dev": sizes.dev, "test": sizes.test}.get(split) or sizes.train[task]
