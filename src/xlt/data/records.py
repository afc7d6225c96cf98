"""What the readers return: one small immutable record per example, the same for every file format."""

from __future__ import annotations

from dataclasses import dataclass

PLACEHOLDER = "NS"


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence pair to classify (XNLI, PAWS-X, MNLI, SNLI, ANLI, QQP). ``label`` is None in unlabelled test files."""

    id: str
    text_a: str
    text_b: str
    label: str | None

    @property
    def untranslated(self) -> bool:
        """Whether PAWS-X has "NS" in place of a sentence that was not translated; such a row says 0, whatever the truth."""
        return PLACEHOLDER in (self.text_a, self.text_b)

    @property
    def empty(self) -> bool:
        """Whether a sentence of the pair has no text, so that there is nothing to compare."""
        return not (self.text_a and self.text_b)


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt with options, one of which is right (XCOPA, COPA, SIQA, HellaSwag, Cosmos QA, CommonsenseQA).

    Option ``i`` is read by the encoder as the pair (``prompt``, ``options[i]``). ``label`` is the index of the right
    option, counted from 0, or None.
    """

    id: str
    prompt: str
    options: tuple[str, ...]
    label: int | None


@dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence of words with one tag each (UD-POS, WikiANN). ``tags`` is None in unlabelled test files."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """An answer span: ``context[start : start + len(text)] == text``, in characters."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a passage (SQuAD layout). ``answers`` is empty when unanswerable or when gold is withheld."""

    id: str
    question: str
    context: str
    answers: tuple[AnswerSpan, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage cut into candidate answer sentences (XQuAD-R, for LAReQA).

    ``sentences[i]`` is ``context[a:b]`` for the i-th sentence break; ``id`` is "<language>_<position from 1>". Each
    question is (question id, question text, index of the sentence its answer starts in).
    """

    id: str
    context: str
    sentences: tuple[str, ...]
    questions: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class ParallelText:
    """Aligned sentences (Tatoeba): ``source[i]`` translates ``target[gold[i]]``; the target side is English.

    The alignment is one to one: ``gold`` holds each index of ``target`` once.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    gold: tuple[int, ...]

    @property
    def gold_source(self) -> tuple[int, ...]:
        """The same alignment seen from the target: ``target[j]`` translates ``source[gold_source[j]]``."""
        place = {target: source for source, target in enumerate(self.gold)}
        return tuple(place[target] for target in range(len(self.target)))


@dataclass(frozen=True, slots=True)
class Mining:
    """Two comparable collections to mine for translations (BUCC): id -> sentence on each side, and the gold id pairs.

    ``gold`` is None when the gold file is withheld. Source is the foreign side, target is English.
    """

    source: dict[str, str]
    target: dict[str, str]
    gold: frozenset[tuple[str, str]] | None


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention of an entity in its context (Mewsli-X): ``text[start:end]`` is the mention; ``entity`` is None unlabelled.

    ``sentence``: characters (start, end) of the sentence it stands in, as its file says; None where the file has none.
    """

    id: str
    text: str
    start: int
    end: int
    entity: str | None
    sentence: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CandidateEntity:
    """A candidate entity (Mewsli-X): Wikidata id, title and description in ``language``.

    Where the file gives the sentences of a description, they are joined by spaces, as the reference reads them.
    """

    id: str
    title: str
    description: str
    language: str


Record = Pair | Choice | Tagged | Question | Passage | Mention | CandidateEntity
