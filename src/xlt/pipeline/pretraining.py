"""Pre-training of the small multilingual encoder on the raw text of the Babel world.

An XLM-R-shaped encoder (Conneau et al. 2020, arXiv 1911.02116) learns by masked-language modelling (Devlin et al. 2019,
arXiv 1810.04805) on documents and code-switched documents, and on parallel pairs, where it also says for each word of
the second text whether the first supports it, contradicts it or does not mention it, and for the pair, from its first
token, whether all of it is supported (as BERT's next-sentence prediction trains that token). A contrastive term (InfoNCE, van
den Oord et al. 2018, arXiv 1807.03748) may draw the mean states of translations together. All of it is a function of
the data folder, the settings and the number of threads, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLMHead

from xlt.babel.config import EncoderConfig
from xlt.babel.raw_text import BOS, EOS, PAD, UNK, Corpus, PretrainingBatch, batches, read_lines
from xlt.files import to_json, write_atomic
from xlt.modeling.mlm import IGNORE
from xlt.training.checkpoint_state import TrainingState
from xlt.training.checkpointer import Checkpointer
from xlt.training.mlm_data import mask_ids
from xlt.training.trainer import LossTrainer, TrainingArguments, make_optimizer

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
PARTS = ("mlm", "detection", "agreement", "contrast")
MARKS = 5
"""What a word of the second text may be to the first: ``xlt.babel.corpus``."""
UNSUPPORTED = (1, 2)
"""The marks of words that the first text contradicts or does not say."""


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-pair-encoding tokenizer (Sennrich et al. 2016, arXiv 1508.07909) with XLM-R's special tokens and template.

    XLM-R's own unigram model is not used: its trainer sums in an order that depends on the number of threads.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    pieces = [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 1, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([MASK])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", BOS), ("</s>", EOS)],
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, out: Path, max_length: int) -> None:
    """Write the files ``AutoTokenizer.from_pretrained`` reads."""
    fast = XLMRobertaTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=MASK,
        model_max_length=max_length,
    )
    fast.save_pretrained(out)


def mask_batch(
    batch: PretrainingBatch, settings: EncoderConfig, mask_id: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(inputs, labels, marks, agreement) of a batch; a masked piece is not asked for its mark."""
    inputs, labels = mask_ids(batch.ids, settings.mask, mask_id, np.arange(UNK + 1, mask_id), rng)
    marks = np.where((labels != IGNORE) | (batch.marks < 0), IGNORE, batch.marks)
    return inputs, labels, marks, agreement(batch.marks)


def agreement(marks: np.ndarray) -> np.ndarray:
    """For each row: 1 where the first text supports all that the second says of it, 0 where not, ignored without marks."""
    differs = np.isin(marks, UNSUPPORTED).any(axis=1)
    return np.where((marks >= 0).any(axis=1), 1 - differs, IGNORE)


def pretrain(
    data: Path,
    out: Path,
    settings: EncoderConfig,
    seed: int,
    threads: int,
    checkpointer: Checkpointer | None = None,
) -> dict[str, Any]:
    """Train tokenizer and encoder on ``data/raw`` and write them to ``out``. Returns the training log.

    ``checkpointer`` writes checkpoints, and has the one to go on from.

    Writes config.json, model.safetensors (encoder without pooler), mlm_head.safetensors, both in 16 bits, the tokenizer and
    training_log.json. Raises InputError when a raw file is absent or damaged.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(_texts(data), settings.vocabulary)
    corpus = Corpus(data, tokenizer, settings.max_length)
    model = Learner(_architecture(settings, tokenizer.get_vocab_size()), settings.temperature)
    precision = torch.get_float32_matmul_precision()
    # lets oneDNN multiply, twice as fast as MKL on some processors; one with bfloat16 tiles may round to that
    torch.set_float32_matmul_precision("medium")
    try:
        trainer = PretrainingTrainer(model, corpus, settings, tokenizer.token_to_id(MASK), seed)
        trainer.train(checkpointer)
    finally:
        torch.set_float32_matmul_precision(precision)
    out.mkdir(parents=True, exist_ok=True)
    model.encoder.half().save_pretrained(out)
    save_file({name: value.half() for name, value in model.head_state().items()}, out / "mlm_head.safetensors")
    save_tokenizer(tokenizer, out, settings.positions - 4)
    sizes = {kind: len(items) for kind, items in corpus.kinds.items()} | {"parallel": len(corpus.parallel)}
    log = {"sequences": sizes, "vocabulary": tokenizer.get_vocab_size(), "history": trainer.history}
    write_atomic(out / "training_log.json", to_json(log))
    return log


def _architecture(settings: EncoderConfig, vocabulary: int) -> XLMRobertaConfig:
    """XLM-R's architecture at the configured size, without dropout.

    Attention is computed by plain products: PyTorch's fused CPU kernel is slow with oneDNN's.
    """
    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feed_forward,
        max_position_embeddings=settings.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        type_vocab_size=1,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        attn_implementation="eager",
    )


class Learner(nn.Module):
    """The encoder with its masked-language-modelling head (XLM-R's), its detection head and that of agreement."""

    def __init__(self, config: XLMRobertaConfig, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.encoder = XLMRobertaModel(config, add_pooling_layer=False)
        self.lm_head = XLMRobertaLMHead(config)
        self.lm_head.decoder.weight = self.encoder.embeddings.word_embeddings.weight
        self.detector = nn.Linear(config.hidden_size, MARKS)
        self.judge = nn.Linear(config.hidden_size, 2)

    def forward(self, inputs: Tensor, labels: Tensor, marks: Tensor, agrees: Tensor, paired: bool) -> dict[str, Tensor]:
        """The losses of one batch, by part."""
        real = inputs != PAD if paired else None
        states = self.encoder(input_ids=inputs, attention_mask=real).last_hidden_state
        masked, marked = labels != IGNORE, marks != IGNORE
        parts = {"mlm": nn.functional.cross_entropy(self.lm_head(states[masked]), labels[masked])}
        if real is not None:
            parts["contrast"] = self.contrast(states, real)
        elif bool(marked.any()):
            parts["detection"] = nn.functional.cross_entropy(self.detector(states[marked]), marks[marked])
            judged = agrees != IGNORE
            parts["agreement"] = nn.functional.cross_entropy(self.judge(states[judged, 0]), agrees[judged])
        return parts

    def contrast(self, states: Tensor, real: Tensor) -> Tensor:
        """InfoNCE in both directions; the second half of the rows translates the first."""
        weights = real.unsqueeze(-1).to(states.dtype)
        means = nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)
        first, second = means.chunk(2)
        scores = first @ second.T / self.temperature
        right = torch.arange(len(first))
        return (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2

    def head_state(self) -> dict[str, Tensor]:
        """The tensors of the masked-language-modelling head, but for the tied matrix."""
        names = self.lm_head.state_dict()
        return {f"lm_head.{k}": v.clone() for k, v in names.items() if not k.startswith("decoder.")}


class PretrainingTrainer(LossTrainer):
    """Draws and masks the batches, and keeps the mean losses of every ``log_every`` steps."""

    kept = (*LossTrainer.kept, "history", "seen", "masking")

    def __init__(self, model: Learner, corpus: Corpus, settings: EncoderConfig, mask_id: int, seed: int) -> None:
        arguments = TrainingArguments(
            epochs=1,
            batch_size=0,  # ``batch_tokens`` are counted instead
            learning_rate=settings.learning_rate,
            warmup_steps=round(settings.warmup * settings.steps),
            weight_decay=settings.weight_decay,
            max_grad_norm=1.0,
            seed=seed,
        )
        named = dict(model.named_parameters())
        optimizer = make_optimizer(named, arguments, decayed=lambda name, p: p.ndim > 1, betas=(0.9, 0.98))
        super().__init__("pre-training", named, optimizer, arguments, settings.steps, self._loss, "raw text")
        self.norm_order = list(named.values())
        self.model, self.settings, self.mask_id = model, settings, mask_id
        self.shares = {"mlm": 1.0} | {name: getattr(settings, f"{name}_weight") for name in PARTS[1:]}
        self.rng = np.random.default_rng([seed, 2])
        self.masking = self.rng.bit_generator.state
        self.stream = batches(corpus, settings, seed)
        self.history: list[dict[str, float]] = []
        self.seen: dict[str, list[float]] = {name: [] for name in PARTS}

    def restore(self, state: TrainingState) -> None:
        """Go on from what ``state`` gave; the stream's own state is what it has drawn."""
        super().restore(state)
        self.rng.bit_generator.state = self.masking
        for _ in range(self.done):
            next(self.stream)

    def step(self) -> float:
        """One optimizer step on the next batch."""
        batch = next(self.stream)
        arrays = mask_batch(batch, self.settings, self.mask_id, self.rng)
        self.inputs = (*map(torch.from_numpy, arrays), batch.paired)
        loss = super().step()
        self.masking = self.rng.bit_generator.state
        for name, part in self.by_objective.items():
            self.seen[name].append(float(part.detach()))
        if self.done % self.settings.log_every == 0 or self.done == self.total:
            means = {name: round(float(np.mean(values)), 6) for name, values in self.seen.items() if values}
            self.history.append({"step": self.done, **means})
            self.seen = {name: [] for name in PARTS}
        return loss

    def _loss(self, step: int) -> Tensor:
        self.by_objective: dict[str, Tensor] = self.model(*self.inputs)
        return torch.stack([self.shares[name] * part for name, part in self.by_objective.items()]).sum()


def _texts(data: Path) -> list[str]:
    """What the tokenizer learns from: all monolingual and mixed text."""
    return [line for path in sorted((data / "raw").glob("*.txt")) for line in read_lines(path) if line]
