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
from typing import TYPE_CHECKING, Any

import numpy as np

from xlt.files import to_json, write_atomic
from xlt.training.raw_text import BOS, EOS, PAD, UNK, Corpus, batches, read_lines

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor
    from transformers import XLMRobertaConfig

    from xlt.babel.config import EncoderConfig
    from xlt.training.checkpointer import Checkpointer

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
PARTS = ("mlm", "detection", "agreement", "contrast")
IGNORE = -100
MARKS = 5
"""What a word of the second text may be to the first: ``xlt.babel.corpus``."""
UNSUPPORTED = (1, 2)
"""The marks of words that the first text contradicts or does not say."""


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-pair-encoding tokenizer (Sennrich et al. 2016, arXiv 1508.07909) with XLM-R's special tokens and template.

    XLM-R's own unigram model is not used: its trainer sums in an order that depends on the number of threads.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

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
    from transformers import XLMRobertaTokenizerFast

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
    ids: np.ndarray, marks: np.ndarray, settings: EncoderConfig, mask_id: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(inputs, labels, marks): BERT's 80/10/10 masking; a masked piece is not asked for its mark."""
    ordinary = (ids > UNK) & (ids != mask_id)
    chosen = ordinary & (rng.random(ids.shape) < settings.mask)
    labels = np.where(chosen, ids, IGNORE)
    action = rng.random(ids.shape)
    inputs = np.where(chosen & (action < 0.8), mask_id, ids)
    random_pieces = rng.integers(UNK + 1, mask_id, ids.shape)
    inputs = np.where(chosen & (action >= 0.9), random_pieces, inputs)
    return inputs, labels, np.where(chosen | (marks < 0), IGNORE, marks)


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
    progress: bool = True,
    checkpointer: Checkpointer | None = None,
) -> dict[str, Any]:
    """Train tokenizer and encoder on ``data/raw`` and write them to ``out``. Returns the training log.

    ``checkpointer`` writes checkpoints, and has the one to go on from.

    Writes config.json, model.safetensors (encoder without pooler), mlm_head.safetensors, both in 16 bits, the tokenizer and
    training_log.json. Raises InputError when a raw file is absent or damaged.
    """
    import torch
    from safetensors.torch import save_file

    from xlt.training.checkpointer import Checkpointer

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(_texts(data), settings.vocabulary)
    corpus = Corpus(data, tokenizer, settings.max_length)
    model = _learner(_architecture(settings, tokenizer.get_vocab_size()), settings.temperature)
    precision = torch.get_float32_matmul_precision()
    # lets oneDNN multiply, twice as fast as MKL on some processors; one with bfloat16 tiles may round to that
    torch.set_float32_matmul_precision("medium")
    try:
        history = _train(
            model, corpus, settings, tokenizer.token_to_id(MASK), seed, progress, checkpointer or Checkpointer(None)
        )
    finally:
        torch.set_float32_matmul_precision(precision)
    out.mkdir(parents=True, exist_ok=True)
    model.encoder.half().save_pretrained(out)
    save_file({name: value.half() for name, value in model.head_state().items()}, out / "mlm_head.safetensors")
    save_tokenizer(tokenizer, out, settings.positions - 4)
    sizes = {kind: len(items) for kind, items in corpus.kinds.items()} | {"parallel": len(corpus.parallel)}
    log = {"sequences": sizes, "vocabulary": tokenizer.get_vocab_size(), "history": history}
    write_atomic(out / "training_log.json", to_json(log))
    return log


def _architecture(settings: EncoderConfig, vocabulary: int) -> XLMRobertaConfig:
    """XLM-R's architecture at the configured size, without dropout.

    Attention is computed by plain products: PyTorch's fused CPU kernel is slow with oneDNN's.
    """
    from transformers import XLMRobertaConfig

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


def _train(
    model: Any,
    corpus: Corpus,
    settings: EncoderConfig,
    mask_id: int,
    seed: int,
    progress: bool,
    checkpointer: Checkpointer,
) -> list[dict[str, float]]:
    """All steps in place; returns the mean losses of every ``log_every`` steps."""
    import torch
    from tqdm import tqdm

    from xlt.training.checkpoint_state import TrainingState, capture, restore
    from xlt.training.trainer import linear_schedule

    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    named = dict(model.named_parameters())
    weights = {"mlm": 1.0} | {name: getattr(settings, f"{name}_weight") for name in PARTS[1:]}
    warmup = round(settings.warmup * settings.steps)
    rng = np.random.default_rng([seed, 2])
    stream = batches(corpus, settings, seed)
    history: list[dict[str, float]] = []
    seen: dict[str, list[float]] = {name: [] for name in PARTS}
    done = 0

    def state() -> TrainingState:
        kept = capture(named, optimizer)
        values = {"done": done, "history": history, "seen": seen, "masking": rng.bit_generator.state}
        return TrainingState(kept.values | values, kept.tensors)

    found = checkpointer.pop_resume_state()
    if found is not None:
        restore(found, named, optimizer)
        done, history, seen = found.values["done"], found.values["history"], found.values["seen"]
        rng.bit_generator.state = found.values["masking"]
        for _ in range(done):  # the stream's own state is what it has drawn
            next(stream)
    bar = tqdm(
        total=settings.steps, initial=done, desc="pre-training", unit="step", disable=not progress, mininterval=2
    )
    with bar, checkpointer.checkpoint_on_signal(state):
        for step in range(done, settings.steps):
            batch = next(stream)
            arrays = mask_batch(batch.ids, batch.marks, settings, mask_id, rng)
            parts = model(*map(torch.from_numpy, (*arrays, agreement(batch.marks))), batch.paired)
            loss = sum(weights[name] * part for name, part in parts.items())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * linear_schedule(step, settings.steps, warmup)
            optimizer.step()
            for name, part in parts.items():
                seen[name].append(float(part.detach()))
            done = step + 1
            if done % settings.log_every == 0 or done == settings.steps:
                means = {name: round(float(np.mean(values)), 6) for name, values in seen.items() if values}
                history.append({"step": done, **means})
                seen = {name: [] for name in PARTS}
            bar.update()
            checkpointer.after_step()
    return history


def _texts(data: Path) -> list[str]:
    """What the tokenizer learns from: all monolingual and mixed text."""
    return [line for path in sorted((data / "raw").glob("*.txt")) for line in read_lines(path) if line]


def _learner(config: Any, temperature: float) -> Any:
    """The encoder with its masked-language-modelling head (XLM-R's) and its detection head."""
    import torch
    from torch import nn
    from transformers import XLMRobertaModel
    from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLMHead

    class Learner(nn.Module):
        """Losses of one batch."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = XLMRobertaModel(config, add_pooling_layer=False)
            self.lm_head = XLMRobertaLMHead(config)
            self.lm_head.decoder.weight = self.encoder.embeddings.word_embeddings.weight
            self.detector = nn.Linear(config.hidden_size, MARKS)
            self.judge = nn.Linear(config.hidden_size, 2)

        def forward(
            self, inputs: Tensor, labels: Tensor, marks: Tensor, agrees: Tensor, paired: bool
        ) -> dict[str, Tensor]:
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
            weights = real.unsqueeze(-1).to(states.dtype)
            means = nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)
            first, second = means.chunk(2)
            scores = first @ second.T / temperature
            right = torch.arange(len(first))
            return (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2

        def head_state(self) -> dict[str, Tensor]:
            names = self.lm_head.state_dict()
            return {f"lm_head.{k}": v.clone() for k, v in names.items() if not k.startswith("decoder.")}

    return Learner()
