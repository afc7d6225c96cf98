"""Train a run: its stages one after the other, from its upstream's weights if it has one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xlt.config.run_config import Mixture, Stage, Upstream
from xlt.data.dataset import left_out, load_split, sample, usable
from xlt.data.features import Feature
from xlt.data.readers.faults import collected, notes
from xlt.data.synonyms import augment, load_neighbours
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.files import digest, read_json, sha256_file, to_json, write_atomic
from xlt.layout import PREPARED, TRAINED, WEIGHTS
from xlt.modeling.distributed import broadcast_from_main, check_same
from xlt.modeling.intermediate_adapters import IntermediateAdapters
from xlt.modeling.language_adapters import adapter_hashes
from xlt.modeling.mlm import load_masked_lm_head
from xlt.modeling.model import TransferModel, another_head, build_model
from xlt.modeling.pretrained import load_tokenizer, load_word_embeddings
from xlt.modeling.trained_rows import only_moved
from xlt.pipeline.context import Context
from xlt.pipeline.development import development
from xlt.training.checkpointer import Checkpointer, flush
from xlt.training.mlm_data import MaskedCorpus
from xlt.training.multitask import fit, fit_multitask
from xlt.training.registry import make_perturbation, make_schedule
from xlt.training.tasks import MaskedTask, MixtureTask, MultiTaskModel
from xlt.training.trainer import TrainingArguments

NOT_TRAINED_ON = {"recipe": {"title", "source", "sources"}, "caps": {"test"}}
"""What of a stage its weights do not depend on."""


def features_of(stage: Stage, records: Sequence[Any], tokenizer: Any, prefix: str) -> list[Feature]:
    """The training features of a stage, from the cache where a run has made them before."""
    return FAMILIES[stage.recipe.family].training_features(records, tokenizer, stage.recipe, prefix)


def training_records(stage: Stage, data: Path) -> list[Any]:
    """The capped training records of a stage, in noisy copies where its regime asks for them."""
    records, noise = _clean_records(stage, data), stage.augmentation
    if noise is None:
        return records
    files = noise.neighbours
    neighbours = {} if files is None else load_neighbours([data / name for name in files.files], files.format)
    return augment(records, neighbours, noise.copies, noise.seed)


def size_of(stage: Stage, records: Sequence[Any], features: Sequence[Feature], data: Path) -> dict[str, int]:
    """What ``trained.json`` says of a training set: its examples, their sub-words, and what was left out if anything was."""
    tokens = sum(len(row) for feature in features for row in feature.rows)
    missing = left_out(data, stage.train, stage.recipe.language, stage.recipe.known_labels)
    return {"examples": len(records), "tokens": tokens, **({"left_out": missing} if missing else {})}


def training_set(stage: Stage, context: Context, tokenizer: Any) -> tuple[list[Feature], dict[str, Any]]:
    """The features of a stage, and what ``trained.json`` says of them: ``size_of``, and bad examples if there were any."""
    with collected() as tallies:
        records = training_records(stage, context.data)
    features = features_of(stage, records, tokenizer, context.config.model.retrieval_prefix)
    faults = {"faults": found} if (found := notes(tallies)) else {}
    return features, size_of(stage, records, features, context.data) | faults


def _clean_records(stage: Stage, data: Path) -> list[Any]:
    records = usable(load_split(data, stage.train, stage.recipe.language, stage.recipe.known_labels))
    return FAMILIES[stage.recipe.family].capped(records, partial(sample, cap=stage.caps.train))


def outputs_of(stage: Stage) -> int:
    """How many labels the head of a stage has (1 where the family has no label list)."""
    return len(stage.recipe.labels or [""])


def make_model(context: Context, stage: Stage | None) -> TransferModel:
    """A fresh model for a stage (or for no training at all), without upstream weights."""
    config = context.config
    model = build_model(
        context.encoder,
        family=FAMILIES[stage.recipe.family if stage is not None else "tatoeba"],
        labels=outputs_of(stage) if stage is not None else 1,
        tuning=config.regime.tuning,
        pooling=config.model.pooling,
        seed=config.seed,
        language_adapters=context.language_adapters,
        source=stage.recipe.language if stage is not None else "en",
        earlier=adapters_of_upstream(context),
        dual_encoder=config.profile.dual_encoder,
        micro_batch_size=stage.recipe.micro_batch_size if stage is not None else None,
    )
    return model.to(context.device)


def adapters_of_upstream(context: Context) -> IntermediateAdapters | None:
    """The adapters of upstream runs that are stacked or fused in this run's model; None where none are.

    Raises:
        InputError: one of these runs is not trained yet, or its weights are damaged.
    """
    before = context.config.regime.intermediate
    if before is None or before.transfer == "continue":
        return None
    states = {upstream.recipe: upstream_weights(context, upstream) for upstream in context.config.upstream}
    return IntermediateAdapters(before.transfer, states)


def settings_of(stage: Stage, context: Context) -> TrainingArguments:
    """The hyper-parameters of a stage."""
    return TrainingArguments(
        epochs=stage.recipe.epochs,
        batch_size=stage.recipe.batch_size,
        learning_rate=stage.learning_rate,
        warmup_steps=stage.recipe.warmup_steps,
        weight_decay=stage.recipe.weight_decay,
        max_grad_norm=stage.recipe.max_grad_norm,
        seed=context.config.seed,
        token_budget=context.budget,
        decay=stage.recipe.decay,
        capped=stage.caps.train is not None,
        checkpoint=stage.recipe.checkpoint,
    )


def train(context: Context, checkpointer: Checkpointer | None = None) -> TransferModel:
    """Train all stages of a run and write ``weights.safetensors`` and ``trained.json``.

    ``checkpointer`` writes checkpoints, and has the one to go on from.

    What moves on from one stage (or from the upstream run) to the next is what was trained of the encoder; the head is
    fresh, except between two stages of one chain with the same family (Social IQa, then COPA: XTREME-R's protocol).
    """
    config = context.config
    if config.weights_of is not None:
        broadcast_from_main(adopt, context)
        return load_trained(context)
    if config.mixture is not None:
        return train_multitask(context, config.mixture, checkpointer)
    tokenizer = load_tokenizer(context.encoder)
    state = upstream_state(context)
    same_head = False
    model = make_model(context, config.stages[0] if config.stages else None)
    checkpointer = checkpointer or Checkpointer(None)
    first, histories = checkpointer.part, dict(checkpointer.notes)  # the stages before are over
    for number, stage in enumerate(config.stages[first:], start=first):
        checkpointer.enter(number, histories)
        if number > 0:
            same_head = config.stages[number - 1].recipe.family == stage.recipe.family == "choice"
            state = model.trained_state()
            model = make_model(context, stage)
        if state is not None:
            model.load_trained_state(state, with_head=same_head)
        features, size = training_set(stage, context, tokenizer)
        history = fit(
            model,
            features,
            settings_of(stage, context),
            development(stage, model, tokenizer, context),
            title=f"{config.regime.name} {stage.recipe.name} seed {config.seed}",
            perturbation=make_perturbation(config.regime, tokenizer, config.seed),
            schedule=make_schedule(config.regime, stage.recipe.training_set or stage.recipe.name, config.seed),
            checkpointer=checkpointer,
        )
        histories[stage.recipe.name] = {**size, **history.as_json()}
    finish(context, model, model.trained_state(), model.parameter_counts(), histories)
    return model


def train_multitask(context: Context, mixture: Mixture, checkpointer: Checkpointer | None) -> TransferModel:
    """Train the stages of a run together (xlt.training.multitask) and write only what they share: every head is dropped."""
    config = context.config
    tokenizer = load_tokenizer(context.encoder)
    base = make_model(context, config.stages[0])
    parts, sizes = [], {}
    for number, stage in enumerate(config.stages):
        model = base if number == 0 else beside(base, stage, context)
        features, size = training_set(stage, context, tokenizer)
        sizes[stage.recipe.name] = size
        score = development(stage, model, tokenizer, context)
        parts.append(
            MixtureTask(stage.recipe.name, model, features, size["examples"], settings_of(stage, context), score)
        )
    masked = masked_task(context, mixture, tokenizer)
    together = MultiTaskModel(parts, masked)
    histories = fit_multitask(
        together,
        masked,
        mixture.temperature,
        title=f"{config.regime.name} {'+'.join(part.name for part in parts)} seed {config.seed}",
        perturbation=make_perturbation(config.regime, tokenizer, config.seed),
        schedule=make_schedule(config.regime, "default", config.seed),
        keep=config.regime.checkpoint or "best",
        checkpointer=checkpointer,
    )
    summaries = {name: {**sizes.get(name, {}), **history.as_json()} for name, history in histories.items()}
    finish(context, base, together.shared(), together.parameter_counts(), summaries)
    return base


def beside(base: TransferModel, stage: Stage, context: Context) -> TransferModel:
    """The model of a further stage that is trained together with that of ``base``: the same encoder, a head of its own."""
    return another_head(
        base,
        context.encoder,
        FAMILIES[stage.recipe.family],
        outputs_of(stage),
        context.config.seed,
        dual_encoder=context.config.profile.dual_encoder,
        micro_batch_size=stage.recipe.micro_batch_size,
    )


def masked_task(context: Context, mixture: Mixture, tokenizer: Any) -> MaskedTask | None:
    """The masked text of a mixture, with the encoder's own head for it, or None when none is mixed in."""
    wanted = mixture.masked_text
    if wanted is None:
        return None
    files = {code: [context.data / path for path in found.files] for code, found in mixture.text.items()}
    seed = context.config.seed
    text = MaskedCorpus(files, tokenizer, wanted.max_length, wanted.mask, seed)
    return MaskedTask(text, load_masked_lm_head(context.encoder, seed).to(context.device), wanted.share)


def finish(
    context: Context,
    model: TransferModel,
    state: dict[str, torch.Tensor],
    counts: tuple[int, int],
    histories: dict[str, Any],
) -> None:
    """Write the weights, then ``trained.json``, which vouches for them. ``counts``: (trainable, all) parameters."""
    state = only_moved(state, model.table_name(), partial(load_word_embeddings, context.encoder), model.unread_factor)
    check_same("weights", {name: float(tensor.double().sum()) for name, tensor in state.items()})

    def write() -> None:
        save_atomic(state, context.folder / WEIGHTS)
        summary = {
            "key": training_key(context),
            "weights_sha256": sha256_file(context.folder / WEIGHTS),
            "trainable_parameters": counts[0],
            "total_parameters": counts[1],
            "stages": histories,
        }
        write_atomic(context.folder / TRAINED, to_json(summary))

    broadcast_from_main(write)


def adopt(context: Context) -> None:
    """Take over the weights of the run ``weights_of`` names: the same model, evaluated on other tasks."""
    source = context.root / str(context.config.weights_of)
    check_weights(source)
    temporary = context.folder / f".{WEIGHTS}.tmp"
    temporary.unlink(missing_ok=True)
    try:
        os.link(source / WEIGHTS, temporary)  # full fine-tuning's weights are large
    except OSError:
        shutil.copyfile(source / WEIGHTS, temporary)
    temporary.replace(context.folder / WEIGHTS)
    write_atomic(context.folder / TRAINED, to_json({**read_json(source / TRAINED), "key": training_key(context)}))


def check_weights(folder: Path) -> None:
    """Refuse a run whose weights are absent or damaged."""
    if not (folder / WEIGHTS).exists() or not (folder / TRAINED).exists():
        raise InputError("expected the weights another run needs; run reproduce/run.py on that folder first", folder)
    if sha256_file(folder / WEIGHTS) != read_json(folder / TRAINED).get("weights_sha256"):
        raise InputError("expected the weights named in trained.json; run that run again", folder / WEIGHTS)


def upstream_state(context: Context) -> dict[str, torch.Tensor] | None:
    """The trained tensors of the run this one goes on from, or None when its trained part starts afresh.

    Raises:
        InputError: that run is not trained yet, or its weights are damaged.
    """
    intermediate = context.config.regime.intermediate
    if intermediate is None or intermediate.transfer != "continue":
        return None
    (upstream,) = context.config.upstream
    return upstream_weights(context, upstream)


def upstream_weights(context: Context, upstream: Upstream) -> dict[str, torch.Tensor]:
    """The trained tensors of an upstream run, checked."""
    folder = context.root / upstream.folder
    check_weights(folder)
    return load_file(folder / WEIGHTS)


def save_atomic(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors to a temporary name, then rename. An untuned encoder has none: an empty file of the format."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        save_file(state, temporary)
        flush(temporary)
        temporary.replace(path)
    except SafetensorError as error:
        raise InputError(f"the weights could not be written: {error}; make room and run again", path) from None
    finally:
        temporary.unlink(missing_ok=True)


def training_key(context: Context) -> str:
    """A hash of everything the weights of a run depend on; tasks, test caps and smoothed prediction are not part of it."""
    config = context.config
    names = {"name", "title", "description", "method", "smoothing"}
    sources = {stage.recipe.language for stage in config.stages}
    made_from = [up.folder for up in config.upstream] + [folder for folder in [config.weights_of] if folder]
    return digest(
        {
            "regime": config.regime.model_dump(mode="json", exclude=names, exclude_none=True),
            "seed": config.seed,
            "stages": [stage.model_dump(exclude=NOT_TRAINED_ON) for stage in config.stages],
            "dual_encoder": config.profile.dual_encoder,
            "mixture": None if config.mixture is None else config.mixture.model_dump(mode="json"),
            "model": config.model.model_dump(include={"name", "pooling", "retrieval_prefix"}),
            "encoder": read_json(context.encoder / PREPARED)["sha256"],
            "language_adapters": adapter_hashes(
                {code: path for code, path in context.language_adapters.items() if code in sources}
            ),
            "made_from": {folder: read_json(context.root / folder / TRAINED)["weights_sha256"] for folder in made_from},
        }
    )


def is_trained(context: Context) -> bool:
    """Whether the weights of a run are there, intact, and made from what its config asks for now."""
    path, weights = context.folder / TRAINED, context.folder / WEIGHTS
    if not path.exists() or not weights.exists():
        return False
    summary = read_json(path)
    return summary.get("key") == training_key(context) and summary.get("weights_sha256") == sha256_file(weights)


def load_trained(context: Context) -> TransferModel:
    """The trained model of a run whose weights are there; of stages trained together what they share, with a fresh head."""
    model = make_model(context, context.config.stages[-1] if context.config.stages else None)
    model.load_trained_state(load_file(context.folder / WEIGHTS), with_head=context.config.mixture is None)
    return model
