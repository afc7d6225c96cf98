"""Make the adapter of one language: train it by masked-language modelling, or take a ready-made one from the hub."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlt.config.run_config import LanguageAdapterConfig, LanguageAdapterSettings, read_config
from xlt.errors import NotFinite
from xlt.files import digest, provenance, read_json, sha256_file, to_json, write_atomic
from xlt.layout import ADAPTER, PREPARED
from xlt.modeling.hub_adapters import fetch_language_adapter
from xlt.modeling.language_adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    add_language_adapter,
    save_language_adapter,
)
from xlt.modeling.mlm import MaskedBatch, MaskedLMHead, load_masked_lm_head, masked_lm_loss
from xlt.modeling.pretrained import check_stamp, load_encoder, load_tokenizer
from xlt.training.checkpoint_state import TrainingState, capture, dropout_state, restore, restore_dropout_state
from xlt.training.checkpointer import CHECKPOINT, EVERY, Checkpointer, checkpoint_key
from xlt.training.mlm_data import MaskedCorpus
from xlt.training.trainer import linear_schedule, progress

HELD_OUT_BLOCKS = 200
"""Blocks that the masked-language-modelling loss is measured on before and after training."""


@dataclass(frozen=True)
class LanguageAdapterJob:
    """One language adapter to be made: its config, where it goes, the data folder and the encoder's folder."""

    config: LanguageAdapterConfig
    folder: Path
    data: Path
    encoder: Path
    device: torch.device


def make_job(folder: Path, data: Path, encoder: Path) -> LanguageAdapterJob:
    """Read a job's config."""
    config = read_config(LanguageAdapterConfig, folder)
    check_stamp(encoder, config.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return LanguageAdapterJob(config, folder, data, encoder, device)


def adapter_key(job: LanguageAdapterJob) -> str:
    """A hash of everything an adapter depends on."""
    config = job.config
    return digest(
        {
            "language": config.language,
            "settings": config.settings.model_dump(exclude={"name"}) if config.text is not None else None,
            "text": None if config.text is None else config.text.sha256,
            "ready_made": None if config.ready_made is None else config.ready_made.model_dump(),
            "encoder": read_json(job.encoder / PREPARED)["sha256"],
        }
    )


def is_made(job: LanguageAdapterJob) -> bool:
    """Whether the adapter is there, intact, and made from what its config asks for now."""
    path, weights = job.folder / ADAPTER, job.folder / ADAPTER_WEIGHTS
    if not path.exists() or not weights.exists():
        return False
    made = read_json(path)
    return made.get("key") == adapter_key(job) and made.get("weights_sha256") == sha256_file(weights)


def make_language_adapter(job: LanguageAdapterJob, every: float = EVERY) -> str:
    """Train or fetch the adapter and write its files, ``adapter.json`` last. Returns one line on what happened.

    ``every``: least seconds between two checkpoints.
    """
    config = job.config
    checkpointer = Checkpointer(job.folder / CHECKPOINT, checkpoint_key(adapter_key(job), job.device.type), every)
    (job.folder / ADAPTER).unlink(missing_ok=True)  # of an earlier config; it would look finished if this fails
    if config.text is not None:
        text = [job.data / name for name in config.text.files]
        trained = train_language_adapter(job.encoder, config.language, text, config.settings, job.device, checkpointer)
        encoder, log = trained.encoder, {"origin": "trained on raw text", **trained.log}
        told = f"loss on held-out text {log['held_out_loss']['before']:.3f} -> {log['held_out_loss']['after']:.3f}"
    else:
        assert config.ready_made is not None
        encoder = load_encoder(job.encoder)
        told = fetch_language_adapter(encoder, config.language, config.ready_made)
        log = {"origin": told}
    with tempfile.TemporaryDirectory(dir=job.folder, prefix=".new.") as temporary:
        save_language_adapter(encoder, config.language, Path(temporary) / "adapter")
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            (Path(temporary) / "adapter" / name).replace(job.folder / name)
    made = {"key": adapter_key(job), "weights_sha256": sha256_file(job.folder / ADAPTER_WEIGHTS), **log}
    write_atomic(job.folder / ADAPTER, to_json({**made, "provenance": provenance()}))
    checkpointer.clear()
    return told


@dataclass(frozen=True)
class TrainedAdapter:
    """The encoder with its trained language adapter, and what happened."""

    encoder: Any
    log: dict[str, Any]


def train_language_adapter(
    encoder_folder: Path,
    language: str,
    text: list[Path],
    settings: LanguageAdapterSettings,
    device: torch.device,
    checkpointer: Checkpointer | None = None,
) -> TrainedAdapter:
    """Train one language adapter (Pfeiffer et al. 2020, section 4.1) with AdamW and linear decay.

    The encoder is frozen, and so is the head as it was pre-trained; a head that the checkpoint came without is trained
    along. The language adapter and the invertible adapter are kept, the head is not.

    Raises:
        InputError: there is too little text, or the loss is not finite.
        Interrupted: a signal asked to stop; ``checkpointer`` wrote a checkpoint.
    """
    tokenizer = load_tokenizer(encoder_folder)
    length = min(settings.max_length, int(tokenizer.model_max_length))
    data = MaskedCorpus({language: text}, tokenizer, length, settings.mask, settings.seed, held_out=settings.held_out)
    encoder = load_encoder(encoder_folder)
    head = load_masked_lm_head(encoder_folder, settings.seed)
    torch.manual_seed(settings.seed)
    trained = list(add_language_adapter(encoder, language, settings).values())
    head.requires_grad_(not head.pretrained)
    trained += [parameter for parameter in head.parameters() if parameter.requires_grad]
    encoder.to(device)
    head.to(device)
    held_out = [batch.to(device) for batch in data.held_out_batches(settings.batch_size, HELD_OUT_BLOCKS)]
    before = held_out_loss(encoder, head, held_out)
    losses = _steps(
        encoder, head, trained, data, settings, f"language adapter {language}", checkpointer or Checkpointer(None)
    )
    log = {
        "blocks": len(data.blocks[language]),
        "held_out_blocks": sum(len(batch.labels) for batch in held_out),
        "head": "as pre-trained" if head.pretrained else "fresh, trained along: the checkpoint has none",
        "held_out_loss": {"before": round(before, 6), "after": round(held_out_loss(encoder, head, held_out), 6)},
        "training_loss": losses,
        "trained_parameters": sum(parameter.numel() for parameter in trained),
    }
    return TrainedAdapter(encoder, log)


def _steps(
    encoder: Any,
    head: MaskedLMHead,
    trained: list[nn.Parameter],
    data: MaskedCorpus,
    settings: LanguageAdapterSettings,
    title: str,
    checkpointer: Checkpointer,
) -> list[float]:
    """All optimizer steps in place; returns the mean loss of each tenth of them."""
    device = trained[0].device
    named = {str(number): parameter for number, parameter in enumerate(trained)}
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    losses: list[float] = []

    def state() -> TrainingState:
        kept = capture(named, optimizer)
        return TrainingState({**kept.values, "losses": losses}, kept.tensors)

    found = checkpointer.pop_resume_state()
    if found is not None:
        restore(found, named, optimizer)
        losses.extend(found.values["losses"])
    encoder.train()
    head.train()
    with progress(title, settings.steps, len(losses)) as bar, checkpointer.checkpoint_on_signal(state):
        for step in range(len(losses), settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * linear_schedule(step, settings.steps, 0)
            drawn = dropout_state(device)
            optimizer.zero_grad(set_to_none=True)
            loss = masked_lm_loss(encoder, head, data.batch(step, settings.batch_size).to(device))
            if not math.isfinite(float(loss.detach())):
                restore_dropout_state(device, drawn)
                raise NotFinite(f"{title}: loss {float(loss.detach())} at step {step}; try a lower learning rate")
            loss.backward()
            nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            losses.append(float(loss.detach()))
            bar.update()
            checkpointer.after_step()
    size = max(1, len(losses) // 10)
    return [round(sum(losses[i : i + size]) / len(losses[i : i + size]), 6) for i in range(0, len(losses), size)]


@torch.no_grad()
def held_out_loss(encoder: Any, head: MaskedLMHead, batches: Iterable[MaskedBatch]) -> float:
    """Mean masked-language-modelling loss per batch, in nats, without dropout."""
    encoder.eval()
    head.eval()
    losses = [float(masked_lm_loss(encoder, head, batch)) for batch in batches]
    return sum(losses) / len(losses)
