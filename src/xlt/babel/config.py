"""The dials of the embedded default: typed view of ``configs/babel.yaml``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xlt.config.benchmark import Strict

SOURCE = "en"


class LanguageConfig(Strict):
    """How one language differs from the source, and how much of it the encoder reads.

    ``cognates``: share of words that come from the source word by regular sound changes; ``family_words``: share of the
    other words that come from the family's own roots; ``synonyms``: share of English synonyms that have a word of their
    own; ``rarer_synonyms``: share of the concepts with synonyms whose everyday word goes with an English synonym other
    than the everyday one. ``shared_names``: share of proper names kept verbatim. ``changes``: sound changes of Latin
    letters, in order. ``capitals``: sentences begin with a capital. ``past``, ``plural``, ``accusative``: endings, in
    Latin letters.
    ``mixed``, ``parallel`` and ``text`` weigh the language in the code-switched, paired and monolingual text of the
    pre-training corpus.
    """

    name: str
    family: str
    script: Literal["latin", "cyrillic", "greek", "armenian", "georgian", "devanagari"] = "latin"
    cognates: float = Field(ge=0, le=1)
    family_words: float = Field(default=0.8, ge=0, le=1)
    synonyms: float = Field(default=1.0, ge=0, le=1)
    rarer_synonyms: float = Field(default=0.0, ge=0, le=1)
    shared_names: float = Field(ge=0, le=1)
    changes: dict[str, str] = Field(default={})
    order: Literal["SVO", "SOV", "VSO"] = "SVO"
    adjective: Literal["before", "after"] = "before"
    adposition: Literal["before", "after"] = "before"
    article: Literal["word", "suffix", "none"] = "word"
    negation: Literal["before", "after"] = "before"
    fronted_question: bool = True
    capitals: bool = False
    past: str = ""
    plural: str = ""
    accusative: str = ""
    mixed: float = Field(default=1.0, ge=0)
    parallel: float = Field(default=1.0, ge=0)
    text: float = Field(default=1.0, ge=0)


class WorldConfig(Strict):
    """Number of named entities and rare words; ``rare_share``: how often a rare word stands in for a common noun.

    ``everyday``: how often the task files say a thing by its everyday word rather than by a rarer synonym.
    """

    people: int = Field(ge=20)
    places: int = Field(ge=10)
    organisations: int = Field(ge=10)
    rare_words: int = Field(ge=0)
    rare_share: float = Field(ge=0, le=0.5)
    everyday: float = Field(ge=0, le=1)


class SizesConfig(Strict):
    """Examples per file: English training and development files by task, and test files per language."""

    train: dict[str, int]
    dev: int = Field(ge=2)
    test: int = Field(ge=2)
    passages: int = Field(ge=2)


class CorpusConfig(Strict):
    """Sizes of the pre-training corpus: documents per language, code-switched documents, sentence pairs, translations.

    ``switch``: share of words replaced in a code-switched sentence. Shares of the pairs: ``causes``, a cause and an
    effect; of the others ``long_pairs``, whose second side is a story, and ``questions``, whose first side is a question;
    of the rest ``corrupted``, whose second sentence was changed (words substituted, inserted, swapped).
    """

    documents: int = Field(ge=2)
    mixed_documents: int = Field(ge=0)
    pairs: int = Field(ge=2)
    parallel: int = Field(ge=2)
    long_pairs: float = Field(ge=0, le=1)
    switch: float = Field(ge=0, le=1)
    corrupted: float = Field(ge=0, le=1)
    questions: float = Field(ge=0, le=1)
    causes: float = Field(ge=0, le=1)


class EncoderConfig(Strict):
    """Size of the XLM-R-shaped encoder and its pre-training schedule."""

    vocabulary: int = Field(ge=300)
    layers: int = Field(ge=1)
    width: int = Field(ge=8)
    heads: int = Field(ge=1)
    feed_forward: int = Field(ge=8)
    positions: int = Field(ge=64)
    max_length: int = Field(ge=32)
    steps: int = Field(ge=1)
    batch_tokens: int = Field(ge=64)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    mask: float = Field(gt=0, lt=1)
    detection_weight: float = Field(ge=0)
    agreement_weight: float = Field(ge=0)
    contrast_weight: float = Field(ge=0)
    temperature: float = Field(gt=0)
    share: dict[Literal["text", "mixed", "pairs", "parallel"], float]
    log_every: int = Field(ge=1)


class BabelConfig(Strict):
    """Everything the world, its files and its encoder are a function of."""

    seed: int
    languages: dict[str, LanguageConfig]
    task_languages: dict[str, list[str]]
    world: WorldConfig
    sizes: SizesConfig
    corpus: CorpusConfig
    encoder: EncoderConfig

    def of_task(self, task: str) -> list[str]:
        """Languages of a task: its own list, or all languages."""
        return self.task_languages.get(task, list(self.languages))

    def of_split(self, task: str, split: str) -> list[str]:
        """Languages of a task's split: training files are English."""
        return [SOURCE] if split == "train" else self.of_task(task)

    def foreign(self, task: str = "") -> list[str]:
        """Languages of a task other than English."""
        return [code for code in self.of_task(task) if code != SOURCE]
