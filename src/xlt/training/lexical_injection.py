"""Targeted lexical injection (Ngugi 2025, arXiv 2506.15415): one job, from word pairs to figures and a merged encoder.

LoRA on the layers below one layer draws the vectors of a word and its translation together, by the triplet loss on the
hardest negative of the batch (the author's ``02_train_tli.py``). The paper compares trained pairs and a few control
pairs before and after; that cannot tell alignment from a shift of all cosines. So here pairs that share no word with
the trained ones are held out, random pairs of the same words are measured, and the words look each other up. Realignment
(Cao et al. 2020) is the same with words in their sentences, aligned by the encoder, and a pull to where English words were.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlt.config.benchmark import ModelSource
from xlt.config.lexical_injection import ADAPTER, ENCODER, read_job
from xlt.data.batching import epoch_batches
from xlt.data.word_lists import WordPair, translations
from xlt.errors import InputError
from xlt.evaluation.word_alignment import measure
from xlt.files import (
    atomic_folder,
    digest,
    peak_memory_bytes,
    provenance,
    read_json,
    sha256_file,
    to_json,
    write_atomic,
)
from xlt.layout import LEXICAL
from xlt.modeling.composition import TASK
from xlt.modeling.decoder import load_decoder, load_decoder_tokenizer
from xlt.modeling.model_sources import STAMP, WEIGHTS
from xlt.modeling.preparation import stamp_folder
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.modeling.tokenizer import CONFIG
from xlt.modeling.tuning import attach, merged
from xlt.modeling.word_embeddings import embed_words, layer_count, pad_words, tokenize, vectors_up_to
from xlt.training.checkpointer import CHECKPOINT, EVERY, Checkpointer, checkpoint_key
from xlt.training.job import open_job
from xlt.training.pairs import LexicalJob, align_pairs, read_pairs
from xlt.training.trainer import LossTrainer, TrainingArguments, batched_means, make_optimizer

WEIGHT_DECAY = 0.01
"""AdamW's default in torch, which the author leaves as it is."""


make_job = partial(open_job, read_job)


def load_model(job: LexicalJob) -> tuple[Any, Any, int]:
    """(model, tokenizer, id that pads) of a job: an encoder, or a decoder where the model's config says so."""
    settings = job.config.model.decoder
    if settings is None:
        tokenizer = load_tokenizer(job.encoder)
        return load_encoder(job.encoder).to(job.device), tokenizer, int(tokenizer.pad_token_id)
    tokenizer = load_decoder_tokenizer(job.encoder)
    return load_decoder(job.encoder, settings, job.device), tokenizer, int(tokenizer.pad_token_id)


def triplet_loss(anchors: Tensor, positives: Tensor, margin: float, forbidden: Tensor) -> Tensor:
    """Mean of ``max(0, margin + cos(anchor, hardest negative) - cos(anchor, positive))`` over a batch.

    Args:
        anchors: target-language words, [pairs, width], L2-normalised.
        positives: their translations, likewise. Those of other pairs are an anchor's negatives, the one with the highest
            cosine the hardest.
        margin: how far the positive has to be ahead.
        forbidden: bool [pairs, pairs]; True where positive j translates anchor i, the diagonal included: no negative.
            (The author forbids the diagonal only, and so pushes a synonym or a repeated word away.)
    """
    similarity = anchors @ positives.T
    hardest = similarity.masked_fill(forbidden, -math.inf).amax(1)  # -inf without a negative: such an anchor costs 0
    return torch.relu(margin + hardest - similarity.diagonal()).mean()


def forbidden_negatives(pairs: Sequence[WordPair], true: set[tuple[str, str]]) -> Tensor:
    """Bool [pairs, pairs]: whether the English word of pair j is a translation of the word of pair i."""
    return torch.tensor([[(a.keys[0], b.keys[1]) in true for b in pairs] for a in pairs])


def batch_loss(
    job: LexicalJob,
    model: Any,
    tokenizer: Any,
    pad_id: int,
    pairs: Sequence[WordPair],
    layer: int,
    start: Mapping[str, np.ndarray] | None = None,
) -> Callable[[Sequence[WordPair]], Tensor]:
    """A function that gives the loss of a batch of ``pairs`` at a layer.

    In realignment ``start`` has the vectors of English words before it, and their mean of 1 - cosine to them, times ``keep``,
    is added (Cao et al. 2020, section 3, with squared distances).
    """
    words = list(dict.fromkeys([pair.word for pair in pairs] + [pair.english for pair in pairs]))
    numbers = {word: number for number, word in enumerate(words)}
    tokens, true = tokenize(words, tokenizer), translations(pairs)

    def loss(batch: Sequence[WordPair]) -> Tensor:
        both = [numbers[pair.word] for pair in batch] + [numbers[pair.english] for pair in batch]
        vectors = vectors_up_to(model, pad_words(tokens, both, pad_id, job.device), layer)
        anchors, positives = vectors.split(len(batch))
        forbidden = forbidden_negatives(batch, true).to(job.device)
        apart = triplet_loss(anchors, positives, job.config.lexical.margin, forbidden)
        if job.config.lexical.sentences is None or start is None:
            return apart
        before = torch.from_numpy(np.stack([start[pair.english] for pair in batch])).to(job.device)
        return apart + job.config.lexical.sentences.keep * (1 - (positives * before).sum(1)).mean()

    return loss


def attach_lora(job: LexicalJob, model: Any, layer: int) -> list[torch.nn.Parameter]:
    """Put LoRA on the layers below ``layer`` and return its parameters; of all dropout, only LoRA's own is on."""
    torch.manual_seed(job.config.seed)
    attach(model, job.config.lexical.lora.model_copy(update={"layers": list(range(layer))}))
    model.to(job.device)
    for name, module in model.named_modules():
        module.training = ".loras." in name
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def train(
    job: LexicalJob,
    model: Any,
    tokenizer: Any,
    pad_id: int,
    pairs: Sequence[WordPair],
    layer: int,
    checkpointer: Checkpointer | None = None,
    start: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Train LoRA in the layers below ``layer``; nothing else changes. ``start``: as in ``batch_loss``.

    Returns:
        The mean loss of each epoch, the number of steps, and the seconds they took.

    Raises:
        NotFinite: a loss is not a number; try a lower learning rate.
        Interrupted: a signal asked to stop; ``checkpointer`` wrote a checkpoint.
    """
    method, seed = job.config.lexical, job.config.seed
    named = {str(number): parameter for number, parameter in enumerate(attach_lora(job, model, layer))}
    arguments = TrainingArguments(
        epochs=method.epochs,
        batch_size=method.batch_size,
        learning_rate=job.config.learning_rate,
        warmup_steps=method.warmup_steps,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=math.inf,
        seed=seed,
        capped=True,
    )
    loss_of = batch_loss(job, model, tokenizer, pad_id, pairs, layer, start)
    per_epoch = math.ceil(len(pairs) / method.batch_size)
    batches_of = lru_cache(1)(partial(epoch_batches, len(pairs), method.batch_size, seed))

    def loss(step: int) -> Tensor:
        epoch, place = divmod(step, per_epoch)
        return loss_of([pairs[i] for i in batches_of(epoch)[place]])

    optimizer = make_optimizer(named, arguments, decayed=lambda name, parameter: True, fused=None)
    trainer = LossTrainer(f"{method.name} seed {seed}", named, optimizer, arguments, per_epoch, loss, "word pairs")
    trainer.train(checkpointer)
    model.eval()
    return {
        "losses": batched_means(trainer.losses, per_epoch),
        "steps": trainer.done,
        "seconds": round(trainer.seconds, 3),
    }


def choose_layer(job: LexicalJob, before: dict[str, list[dict[str, Any]]]) -> int:
    """The layer up to which LoRA goes: as configured, or the best by the pilot on the trained pairs, before training.

    The pilot's value of a layer is the mean over languages of the cosine of trained pairs, or of their P@1 in both
    directions; of equal ones the lowest wins. It chooses among the lowest ``early`` part of the layers, and never layer
    0, the embeddings, which has nothing below it to train.

    Raises:
        InputError: the model has fewer layers than configured.
    """
    wanted, depth = job.config.lexical.layer, len(next(iter(before.values()))) - 1
    if isinstance(wanted, int):
        if wanted > depth:
            raise InputError(
                f"layer: expected 1 to {depth} for {job.config.model.name}, got {wanted}; correct it in "
                f"configs/lexical/{job.config.lexical.name}.yaml"
            )
        return wanted

    def value(layer: int) -> float:
        rows = [rows[layer] for rows in before.values()]
        if wanted == "cosine":
            return float(np.mean([row["cosine"]["trained"] for row in rows]))
        return float(np.mean([list(row["p@1"]["trained"].values()) for row in rows]))

    highest = max(1, math.floor(job.config.lexical.early * depth))
    return max(range(1, highest + 1), key=lambda layer: (value(layer), -layer))


def job_key(job: LexicalJob) -> str:
    """A hash of everything a job's result depends on: the method, the word lists, the model's files."""
    config = job.config.model_dump(mode="json", exclude={"lexical": {"title", "description", "source", "seeds"}})
    config["model"] = {name: config["model"][name] for name in ("name", "decoder")}
    return digest({"config": config, "encoder": read_json(job.encoder / STAMP)["sha256"]})


def is_done(job: LexicalJob) -> bool:
    """Whether the result is there, made from what the config asks for now, and the model beside it is intact."""
    path = job.folder / LEXICAL
    if not path.exists():
        return False
    result = read_json(path)
    weights = job.folder / result["weights"]["path"]
    same = result["key"] == job_key(job)
    return same and weights.is_file() and sha256_file(weights) == result["weights"]["sha256"]


def inject(job: LexicalJob, every: float = EVERY) -> dict[str, Any]:
    """Carry a job out: the pilot, the training, the figures after it, the model, and, last, ``lexical.json``.

    ``every``: least seconds between two checkpoints.
    """
    checkpointer = Checkpointer(job.folder / CHECKPOINT, checkpoint_key(job_key(job), job.device.type), every)
    (job.folder / LEXICAL).unlink(missing_ok=True)
    wanted = job.config.lexical.sentences
    pairs = read_pairs(job) if wanted is None else None
    model, tokenizer, pad_id = load_model(job)
    pairs = pairs or align_pairs(job, model, tokenizer, pad_id)
    words = pairs.words()
    count, total = layer_count(model), sum(parameter.numel() for parameter in model.parameters())
    options: dict[str, Any] = {"pad_id": pad_id, "device": job.device}
    vectors = embed_words(model, tokenizer, words, progress="words before", **options)
    before = measure(vectors, words, pairs, job.config.seed)
    layer = choose_layer(job, before)
    together = [pair for found in pairs.trained.values() for pair in found]
    start = None if wanted is None else dict(zip(words, vectors[layer].copy(), strict=True))
    history = train(job, model, tokenizer, pad_id, together, layer, checkpointer, start)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    vectors = embed_words(model, tokenizer, words, progress="words after", **options)
    after = measure(vectors, words, pairs, job.config.seed)
    weights = save_adapter(job, model) if job.config.model.decoder is not None else save_merged(job, model, layer)
    result = {
        "key": job_key(job),
        "layer": layer,
        "chosen_by": "configuration" if isinstance(job.config.lexical.layer, int) else job.config.lexical.layer,
        "layers": count,
        "pairs": {
            code: {"trained": len(pairs.trained[code]), "held-out": len(pairs.held_out[code])} for code in pairs.every
        },
        "candidates": {
            code: {"to-en": len({p.english for p in every}), "from-en": len({p.word for p in every})}
            for code, every in pairs.every.items()
        },
        "left_out": pairs.left_out,
        "before": before,
        "after": after,
        "training": history,
        "weights": weights,
        "trainable_parameters": trained,
        "total_parameters": total,
        "wall_seconds": round(checkpointer.elapsed(), 3),
        "peak_memory_bytes": peak_memory_bytes(),
        "device": torch.cuda.get_device_name() if job.device.type == "cuda" else "cpu",
        "encoder": read_json(job.encoder / STAMP)["origin"],
        "provenance": provenance(),
    }
    write_atomic(job.folder / LEXICAL, to_json(result))
    checkpointer.clear()
    return result


def save_merged(job: LexicalJob, model: Any, layer: int) -> dict[str, str]:
    """Write the prepared encoder with LoRA merged into its weights to ``encoder/``, a prepared folder like any other.

    Every other file of the folder it came from stays as it is. Returns the path and hash of the weights.
    """
    plain = load_encoder(job.encoder)
    with merged(model):
        state = model.state_dict()
        plain.load_state_dict({name: state[name].cpu() for name in plain.state_dict()})
    stamp = read_json(job.encoder / STAMP)
    with atomic_folder(job.folder / ENCODER) as new:
        plain.save_pretrained(new)
        for path in sorted(job.encoder.iterdir()):
            if path.is_file() and path.name not in (WEIGHTS, CONFIG, STAMP):
                shutil.copyfile(path, new / path.name)
        method = job.config.lexical
        what = f"lexical injection {method.name} ({method.label()}, {layer} layers), seed {job.config.seed}"
        origin = f"{stamp['origin']}; {what}"
        source, tokenizer_from = ModelSource.model_validate(stamp["source"]), stamp.get("tokenizer_from")
        stamp_folder(new, name=stamp["name"], source=source, origin=origin, tokenizer_from=tokenizer_from)
    path = job.folder / ENCODER / WEIGHTS
    return {"path": f"{ENCODER}/{WEIGHTS}", "sha256": sha256_file(path)}


def save_adapter(job: LexicalJob, model: Any) -> dict[str, str]:
    """Write LoRA's weights of a decoder to ``adapter/``: the model is large, and no regime goes on from a decoder."""
    with atomic_folder(job.folder / ADAPTER) as new:
        model.save_adapter(str(new), TASK, use_safetensors=True)
        name = next(path.name for path in sorted(new.iterdir()) if path.suffix == ".safetensors")
    return {"path": f"{ADAPTER}/{name}", "sha256": sha256_file(job.folder / ADAPTER / name)}
