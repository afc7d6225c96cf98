"""Which files of the data folder a split is in, with their hashes: of training sets, tasks, word lists and raw text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Profile, Source, Task
from xlt.config.lexical_injection import LexicalConfig
from xlt.config.run_config import Evaluation, FileSet
from xlt.data.dataset import expand, locate
from xlt.data.language_pairs import pairs_of, split_pair
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.languages import XTREME_R
from xlt.names import one_of, visible


@dataclass
class DataFiles:
    """The data folder of a profile; ``world`` are the languages of a generated one, source first, None for real data."""

    profile: Profile
    data: Path
    tasks: dict[str, Task]
    digests: Digests
    world: list[str] | None
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def sources(self, name: str, split: str, own: Mapping[Any, list[Source]]) -> list[Source]:
        """Where a split may lie: the profile's own list, or the task's or recipe's."""
        override: Mapping[Any, list[Source]] = self.profile.sources.get(name, {})
        return list(override.get(split, own.get(split, [])))

    def find(
        self, sources: Sequence[Source], language: str, split: str, question_language: str | None = None
    ) -> FileSet | None:
        """The files of one split in one language (of passages with questions in another), or None without any."""
        for source in sources:
            if source.languages is not None and language not in source.languages:
                continue
            located = locate(self.data, [source], language=language, split=split, question_language=question_language)
            if located is not None:
                return FileSet(
                    format=located.format,
                    files=[path.relative_to(self.data).as_posix() for path in located.files],
                    sha256=self._hashes(located.inputs),
                    skip=source.skip,
                    take=source.take,
                    apart={} if source.apart_from is None else self._scored(source.apart_from),
                    on_error=source.on_error,
                )
        return None

    def single(self, format: str, path: str) -> FileSet | None:
        """One file below the data folder, if it is there."""
        if not (self.data / path).is_file():
            return None
        return FileSet(format=format, files=[path], sha256=self._hashes([self.data / path]))

    def neighbours(self, path: str) -> FileSet | None:
        """The file of synonyms, or the word lists of all languages where the path names ``{lang}``; None without any."""
        if "{lang}" not in path:
            return self.single("neighbours", path)
        codes = [code for code in self.world or XTREME_R if code != "en"]
        found = [self.single("lexicon-tsv", path.replace("{lang}", code)) for code in codes]
        lists = [each for each in found if each is not None]
        files, hashes = (
            [f for each in lists for f in each.files],
            {k: v for each in lists for k, v in each.sha256.items()},
        )
        return FileSet(format="lexicon-tsv", files=files, sha256=hashes) if lists else None

    def train(self, name: str, own: Mapping[Any, list[Source]], language: str) -> tuple[FileSet | None, FileSet | None]:
        """The training and development files of a recipe; what is kept apart of scored files also is of development."""
        train, dev = (self.find(self.sources(name, split, own), language, split) for split in ("train", "dev"))
        if train is not None and train.apart and dev is not None:
            beside = [*train.apart.get(language, []), dev.model_copy(update={"apart": {}})]
            train = train.model_copy(update={"apart": train.apart | {language: beside}})
        return train, dev

    def evaluation(self, task: Task) -> Evaluation:
        """One task with its files in every language (or pair of languages) that has some."""
        if task.name not in self._evaluations:
            self._evaluations[task.name] = self._evaluation(task)
        return self._evaluations[task.name]

    def raw_text(self) -> dict[str, FileSet]:
        """The raw text by language, the source language first (docs/data-layout.md)."""
        codes = self.world or ["en", *(code for code in XTREME_R if code != "en")]
        raw, found = self.data / "raw", {}
        for code in codes:
            if paths := [path for path in [raw / f"{code}.txt", *visible(raw / code, "*.txt")] if path.is_file()]:
                names = self._hashes(paths)
                found[code] = FileSet(format="text", files=list(names), sha256=names)
        return found

    def word_lists(self, config: LexicalConfig) -> dict[str, list[FileSet]]:
        """The word lists of a lexical injection by language: those configured, or every language that has one.

        Empty where a configured language has none.

        Raises:
            InputError: a language is configured that the generated world does not have.
        """
        world = self.world
        if world is not None and config.languages != "all" and (unknown := set(config.languages) - set(world)):
            raise InputError(
                f"lexical {config.name}: languages: expected all or some of {', '.join(world)}, "
                f"got {', '.join(sorted(unknown))}"
            )
        codes = [code for code in world or XTREME_R if code != "en"] if config.languages == "all" else config.languages
        found: dict[str, list[FileSet]] = {}
        for code in codes:
            for source in config.sources:
                files = self.single(source.format, expand(source.path, language=code, split="train"))
                if files is not None:
                    found.setdefault(code, []).append(files)
        return found if config.languages == "all" or set(found) == set(codes) else {}

    def _hashes(self, paths: Sequence[Path]) -> dict[str, str]:
        return {path.relative_to(self.data).as_posix(): self.digests(path) for path in paths}

    def _scored(self, name: str) -> dict[str, list[FileSet]]:
        """By language, the files that a task is scored on."""
        if name not in self.tasks:
            raise InputError(f"sources: apart_from: {one_of(self.tasks, name)}")
        return {code: [files] for code, files in self.evaluation(self.tasks[name]).files.items()}

    def _languages(self, task: Task) -> list[str]:
        """The languages a task is evaluated on: the official list, or the generated world's.

        A task that the profile's benchmark does not have (PAWS-X, BUCC) is taken from the benchmark that has it.
        """
        official = task.languages.get(self.profile.benchmark) or next(iter(task.languages.values()), [])
        if self.world is None or not official:
            return official
        return [code for code in self.world if code != "en" or "en" in official]

    def _evaluation(self, task: Task) -> Evaluation:
        split = self.profile.splits.get(task.name, "test")
        sources = self.sources(task.name, split, task.sources)
        if any(source.apart_from is not None for source in sources):
            raise InputError(
                f"sources.{task.name}.{split}: expected apart_from in what trains, not in what is scored; remove it"
            )
        listed = self._languages(task)
        present = self._present(sources, listed, split)
        if self.world is not None:  # a generated world has no official list; what it wrote is what there is
            listed = list(present)
        tuning: dict[str, FileSet] = {}
        if task.family == "bucc" and split == "test":  # the threshold is tuned on the training split
            tuning = self._present(self.sources(task.name, "dev", task.sources), listed, "dev")
        own = self._pair_files(sources, pairs_of(listed), split) if task.pairs else {}
        pairs = [code for code in pairs_of(listed) if code in own or all(c in present for c in split_pair(code))]
        expected = pairs_of(listed) if task.pairs else listed
        return Evaluation(
            task=task,
            split=split,
            caps=self.profile.cap(task.name),
            files=present | own,
            tuning_files=tuning,
            pairs=pairs if task.pairs else [],
            no_data=[code for code in expected if code not in (pairs if task.pairs else present)],
        )

    def _present(self, sources: Sequence[Source], codes: Sequence[str], split: str) -> dict[str, FileSet]:
        found = {code: self.find(sources, code, split) for code in codes}
        return {code: files for code, files in found.items() if files is not None}

    def _pair_files(self, sources: Sequence[Source], pairs: Sequence[str], split: str) -> dict[str, FileSet]:
        """The files of those pairs whose owner publishes one for each: MLQA's, the passage's language first."""
        own = [source for source in sources if "{question_lang}" in source.path]
        found = {}
        for code in pairs:
            passage, question = split_pair(code)
            files = self.find(own, passage, split, question) if passage != question else None
            if files is not None:
                found[code] = files
        return found
