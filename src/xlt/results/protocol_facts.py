"""What decides whether two scores are the same quantity, as data: stated for a published number, read off a run's config.

A file of ``configs/reported`` states facts for all of its numbers, for those of one model, for a table or for a row; the
nearest statement counts. ``unstated`` says that the source does not say: such a fact is no reason against a comparison,
only a fact that is known and differs is one. A new fact is a field here, its place in ``needed``, its reading in
``facts_of_run`` and its line in ``reason_against``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from xlt.config.benchmark import Strict
from xlt.config.run_config import RunConfig

Unstated = Literal["unstated"]
BY_SET = ("epochs", "batch_size", "learning_rate")
"""Facts that are stated by training set, since a table's columns, and the steps of one training, have their own."""
ANSWERS = ("xquad", "mlqa", "tydiqa", "xquad-pairs", "mlqa-pairs")
"""Tasks whose F1 compares answers word by word."""
EMBEDDED = ("lareqa", "lareqa-pairs", "mewslix", "tatoeba", "bucc2018")
"""Tasks that compare embeddings of texts."""
TWO_WAYS = {"xcopa": "[copa], or [siqa, copa] for Social IQa first"}
"""Tasks with published numbers from different training sets, so that the set must be known: what is expected."""
WITHOUT_SPACES = "zh"
"""The language whose answers every scorer cuts into words in its own way."""


class Facts(Strict):
    """The facts of one number, or what a file, table or row states for all of its own.

    ``trained_on``: English training sets in order, by task where a table has several; ``[]`` when nothing is trained.
    ``epochs``, ``batch_size``, ``learning_rate``: by training set. ``checkpoint``: the one that is scored, chosen on English
    development data, the last, or chosen on data of the ``target`` language. ``scorer``: whose rules compare answers.
    ``pooling``, ``layer`` (counted as ``hidden_states`` are), ``prefix``: how a text is embedded. ``dual_encoder``: the way
    of docs/protocol.md in which an encoder tuned for retrieval was made. ``language_adapters``:
    ``own`` when each language is read with an adapter of its own. ``differs``: a difference that no other fact has, in words.
    """

    trained_on: list[str] | dict[str, list[str]] | Unstated | None = None
    epochs: dict[str, int] | Unstated | None = None
    batch_size: dict[str, int] | Unstated | None = None
    learning_rate: dict[str, float] | Unstated | None = None
    checkpoint: Literal["best", "last", "average", "target"] | Unstated | None = None
    scorer: Literal["squad", "mlqa", "another"] | Unstated | None = None
    pooling: Literal["mean", "cls", "pooler"] | Unstated | None = None
    layer: int | Literal["last"] | Unstated | None = None
    dual_encoder: Literal["reference", "mean-in-batch", "other"] | Unstated | None = None
    prefix: str | None = None
    language_adapters: Literal["own"] | None = None
    differs: str | None = None

    def stated(self) -> dict[str, Any]:
        """The facts that are given here."""
        return {name: getattr(self, name) for name in Facts.model_fields if getattr(self, name) is not None}


class Protocol(Facts):
    """Facts for all numbers of a file or table, and for those of one model (``by_model``)."""

    by_model: dict[str, Facts] = Field(default_factory=dict)


def merged(levels: Iterable[Facts | None], model: str, task: str | None) -> Facts:
    """The facts of a number, from the widest statement to the nearest, reduced to its task and its training sets."""
    found: dict[str, Any] = {}
    for level in levels:
        if level is not None:
            found |= level.stated()
            if isinstance(level, Protocol) and model in level.by_model:
                found |= level.by_model[model].stated()
    sets = found.get("trained_on")
    if isinstance(sets, dict):
        found["trained_on"] = sets = sets.get(task or "")
    for name in BY_SET:
        if isinstance(found.get(name), dict):
            found[name] = {each: value for each, value in found[name].items() if each in (sets or ())} or "unstated"
    return Facts(**{name: value for name, value in found.items() if value is not None})


def needed(task: str, facts: Facts) -> list[str]:
    """The facts that a number of a task must have."""
    trained = ["epochs", "checkpoint"] if facts.trained_on != [] else []
    scored = ["scorer"] if task in ANSWERS else []
    embedded = [] if task not in EMBEDDED else ["dual_encoder"] if trained else ["pooling", "layer"]
    return ["trained_on", *trained, *scored, *embedded]


def lacking(task: str, facts: Facts) -> str | None:
    """What a number of a task lacks, as what was expected; None when it has all of it."""
    absent = [name for name in needed(task, facts) if getattr(facts, name) is None]
    if absent:
        return f"protocol: expected {', '.join(absent)} for {task} (or unstated), in the row, its table or the file"
    if task in TWO_WAYS and facts.trained_on == "unstated":
        return f"protocol: trained_on: expected {TWO_WAYS[task]} for {task}, got unstated"
    return None


def facts_of_run(config: RunConfig, task: str) -> Facts:
    """The facts of a run's scores of a task, from its resolved ``config.json``; what is not in it stays unknown."""
    before = [] if config.regime.intermediate is None else config.regime.intermediate.recipes
    sets = [stage.recipe.training_set or stage.recipe.name for stage in config.stages]
    stages = list(zip(sets, config.stages, strict=True))
    found: dict[str, Any] = {
        "trained_on": [*before, *sets],
        "epochs": {name: stage.recipe.epochs for name, stage in stages},
        "batch_size": {name: stage.recipe.batch_size for name, stage in stages},
        "learning_rate": {name: stage.learning_rate for name, stage in stages},
        "checkpoint": stages[-1][1].recipe.checkpoint if stages else None,
    }
    if task in EMBEDDED:
        own = config.model
        found |= {"prefix": own.retrieval_prefix}
        layer = "last" if own.retrieval_layer is None else own.retrieval_layer
        found |= {"dual_encoder": config.profile.dual_encoder} if stages else {"pooling": own.pooling, "layer": layer}
    if task in ANSWERS:
        said = [each.task.normalization for each in config.evaluations if each.task.name == task]
        found["scorer"] = next((each for each in said if each), "mlqa" if task.startswith("mlqa") else "squad")
    return Facts(**{name: value for name, value in found.items() if value is not None})


def reason_against(
    theirs: Facts, ours: Facts, metric: str, languages: Collection[str], fallbacks: Mapping[str, str]
) -> str | None:
    """Why a published number and a run's score are not the same quantity, or None when nothing is known against it.

    Args:
        theirs: facts of the published number.
        ours: facts of the run.
        metric: that of both.
        languages: of the cell, all of them for an average.
        fallbacks: languages that had no adapter of their own in the run, with what served them (a language or ``none``).
    """
    return (
        theirs.differs
        or _training(theirs, ours)
        or _embedding(theirs, ours)
        or _scoring(theirs, ours, metric, languages)
        or _adapters(theirs, languages, fallbacks)
    )


def _training(theirs: Facts, ours: Facts) -> str | None:
    if not isinstance(theirs.trained_on, list):
        return None
    if theirs.trained_on != ours.trained_on:
        return f"trained on {_sets(theirs.trained_on)}, here on {_sets(ours.trained_on)}"
    for name, what in (("epochs", "epochs"), ("batch_size", "examples a batch"), ("learning_rate", "as learning rate")):
        stated, own = getattr(theirs, name), getattr(ours, name)
        for each, value in stated.items() if isinstance(stated, dict) and isinstance(own, dict) else ():
            if each in own and own[each] != value:
                return f"{value:g} {what} on {each}, here {own[each]:g}"
    if theirs.checkpoint == "target":
        return "checkpoint chosen on development data of the target language, here of English"
    if "average" in (theirs.checkpoint, ours.checkpoint) and theirs.checkpoint != ours.checkpoint:
        return f"checkpoint: {theirs.checkpoint}, here {ours.checkpoint}"
    return None


def _sets(names: object) -> str:
    return (" then ".join(names) or "nothing") if isinstance(names, list) else "nothing"


def _embedding(theirs: Facts, ours: Facts) -> str | None:
    for name in ("pooling", "layer", "dual_encoder"):
        stated, own = getattr(theirs, name), getattr(ours, name)
        if own is not None and stated not in (None, "unstated", own):
            return f"{name.replace('_', ' ')} {stated}, here {own}"
    if theirs.prefix is not None and ours.prefix is not None and theirs.prefix != ours.prefix:
        return f'texts embedded with the prefix "{theirs.prefix}", here "{ours.prefix}"'
    return None


def _scoring(theirs: Facts, ours: Facts, metric: str, languages: Collection[str]) -> str | None:
    known = theirs.scorer not in (None, "unstated") and ours.scorer is not None
    if known and theirs.scorer != ours.scorer and metric == "f1" and WITHOUT_SPACES in languages:
        return "another scorer for Chinese"
    return None


def _adapters(theirs: Facts, languages: Collection[str], fallbacks: Mapping[str, str]) -> str | None:
    lost = sorted(code for code in languages if code in fallbacks)
    if theirs.language_adapters != "own" or not lost:
        return None
    served = sorted({fallbacks[code] for code in lost})
    how = "without one" if served == ["none"] else f"with that of {', '.join(served)}"
    return f"no language adapter of {', '.join(lost)}: read {how}, there with its own"
