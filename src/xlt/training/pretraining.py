"""Pre-training of the small multilingual encoder on the raw text of the Babel world.

An XLM-R-shaped encoder (Conneau et al. 2020, arXiv 1911.02116) learns by masked-language modelling (Devlin et al. 2019,
arXiv 1810.04805) on documents and code-switched documents, and on parallel pairs, where it also says for each word of
the second text whether the first supports it, contradicts it or does not mention it. A contrastive term (InfoNCE, van
den Oord et al. 2018, arXiv 1807.03748) may draw the mean states of translations together. All of it is a function of
the data folder, the settings and the number of threads, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlt.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from xlt.babel.config import EncoderConfig

BOS, PAD, EOS, UNK = 0, 1, 2, 3
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Sequence_:
    """One input: piece ids, and per piece the mark of its word (0, 1, 2) or -1 where there is nothing to detect."""

    ids: np.ndarray
    marks: np.ndarray


def read_lines(path: Path) -> list[str]:
    """Lines of a raw file. Raises InputError when it is absent or empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError("expected raw text, found no file; generate the world first", path) from None
    if not lines:
        raise InputError("expected raw text, found an empty file; generate the world again", path)
    return lines


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


class Corpus:
    """The raw text as encoded sequences, by kind: "text", "mixed" and "pairs"."""

    def __init__(self, data: Path, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        raw = data / "raw"
        names = sorted(path.name for path in raw.glob("*.txt") if path.name != "mixed.txt")
        self.kinds: dict[str, list[Sequence_]] = {
            "text": [one for name in names for one in self._documents(raw / name)],
            "mixed": self._documents(raw / "mixed.txt"),
            "pairs": self._pairs(raw / "pairs.tsv"),
        }

    def _documents(self, path: Path) -> list[Sequence_]:
        """Each document once, cut in two segments after a sentence: <s> first </s></s> rest </s>."""
        documents: list[list[int]] = [[]]
        lines = read_lines(path)
        encoded = self._ids([line for line in lines if line])
        position = 0
        ready: list[list[list[int]]] = [[]]
        for line in lines:
            if line:
                ready[-1].append(encoded[position])
                position += 1
            else:
                ready.append([])
        del documents
        found = []
        for number, sentences in enumerate(one for one in ready if one):
            cut = number % len(sentences) + 1
            first = [piece for sentence in sentences[:cut] for piece in sentence]
            second = [piece for sentence in sentences[cut:] for piece in sentence]
            found.append(self._sequence(first, second, []))
        return found

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def _pairs(self, path: Path) -> list[Sequence_]:
        rows = [line.split("\t") for line in read_lines(path)]
        for number, row in enumerate(rows, start=1):
            if len(row) != 5 or len(row[3].split()) != len(row[4]):
                expected = "two languages, two texts and a mark per word of the second, tab-separated"
                raise InputError(f"expected {expected}; generate the world again", path, number)
        first = self._ids([row[2] for row in rows])
        second = self.tokenizer.encode_batch([row[3] for row in rows], add_special_tokens=False)
        found = []
        for row, left, right in zip(rows, first, second, strict=True):
            ends = np.cumsum([len(word) + 1 for word in row[3].split()])
            words = np.searchsorted(ends, [start for start, _ in right.offsets], side="right")
            # a piece that is only the space before a word starts on that space: it belongs to the next word
            marks = [int(row[4][min(word, len(row[4]) - 1)]) for word in words]
            found.append(self._sequence(left, right.ids, marks))
        return found

    def _sequence(self, first: Sequence[int], second: Sequence[int], marks: Sequence[int]) -> Sequence_:
        """Join one or two segments as the tokenizer's template does, cut to the maximal length."""
        ids = [BOS, *first, EOS]
        found = [-1] * len(ids)
        if second:
            ids += [EOS, *second, EOS]
            found += [-1, *(marks or [-1] * len(second)), -1]
        return Sequence_(np.array(ids[: self.max_length]), np.array(found[: self.max_length]))


def batches(corpus: Corpus, settings: EncoderConfig, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches (ids, marks), both batch x length, each of sequences of one length: no padding is computed.

    A batch holds about ``batch_tokens`` pieces. Kinds are drawn by ``share``; each sequence is seen once per epoch of its
    kind.
    """
    rng = np.random.default_rng([seed, 1])
    pools = {kind: _rounds(corpus.kinds[kind], rng) for kind in settings.share if settings.share[kind] > 0}
    kinds = sorted(pools)
    shares = np.array([settings.share[kind] for kind in kinds])  # type: ignore[index]
    buckets: dict[int, list[Sequence_]] = {}
    while True:
        one = next(pools[kinds[rng.choice(len(kinds), p=shares / shares.sum())]])
        bucket = buckets.setdefault(len(one.ids), [])
        bucket.append(one)
        if len(bucket) * len(one.ids) >= settings.batch_tokens:
            yield np.stack([item.ids for item in bucket]), np.stack([item.marks for item in bucket])
            buckets[len(one.ids)] = []


def _rounds(items: Sequence[Sequence_], rng: np.random.Generator) -> Iterator[Sequence_]:
    while True:
        for index in rng.permutation(len(items)):
            yield items[index]


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


def learning_rate(step: int, settings: EncoderConfig) -> float:
    """Linear warm-up, then linear decay to zero at ``steps``."""
    warm = max(1, round(settings.warmup * settings.steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    return settings.learning_rate * (settings.steps - step) / max(1, settings.steps - warm)


def pretrain(data: Path, out: Path, settings: EncoderConfig, seed: int, threads: int, progress: bool = True) -> dict[str, Any]:
    """Train tokenizer and encoder on ``data/raw`` and write them to ``out``. Returns the training log.

    Writes config.json, model.safetensors (encoder without pooler), the tokenizer, mlm_head.safetensors and
    training_log.json.
    """
    import torch
    from safetensors.torch import save_file
    from tqdm import tqdm
    from transformers import XLMRobertaConfig
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(_texts(data), settings.vocabulary)
    mask_id = tokenizer.token_to_id(MASK)
    corpus = Corpus(data, tokenizer, settings.max_length)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
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
    )
    model = _learner(config)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    rng = np.random.default_rng([seed, 2])
    stream = batches(corpus, settings, seed)
    history: list[dict[str, float]] = []
    sums = np.zeros(3)
    for step in tqdm(range(settings.steps), desc="pre-training", unit="step", disable=not progress, mininterval=2):
        ids, marks = next(stream)
        inputs, labels, wanted = mask_batch(ids, marks, settings, mask_id, rng)
        mlm, detection = model(torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(wanted))
        loss = mlm + settings.detection_weight * detection
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        optimizer.step()
        sums += (float(loss.detach()), float(mlm.detach()), float(detection.detach()))
        if (step + 1) % settings.log_every == 0 or step + 1 == settings.steps:
            count = (step % settings.log_every) + 1
            means = [round(value, 6) for value in sums / count]
            history.append({"step": step + 1, "loss": means[0], "mlm": means[1], "detection": means[2]})
            sums[:] = 0
    out.mkdir(parents=True, exist_ok=True)
    model.encoder.save_pretrained(out)
    save_file(model.head_state(), out / "mlm_head.safetensors")
    save_tokenizer(tokenizer, out, settings.positions - 4)
    sizes = {kind: len(items) for kind, items in corpus.kinds.items()}
    log = {"sequences": sizes, "vocabulary": tokenizer.get_vocab_size(), "history": history}
    (out / "training_log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return log


def _texts(data: Path) -> list[str]:
    """What the tokenizer learns from: all monolingual and mixed text."""
    return [line for path in sorted((data / "raw").glob("*.txt")) for line in read_lines(path) if line]


def _learner(config: Any) -> Any:
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
            self.detector = nn.Linear(config.hidden_size, 3)

        def forward(self, inputs: Tensor, labels: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
            states = self.encoder(input_ids=inputs).last_hidden_state
            masked, marked = labels != IGNORE, marks != IGNORE
            mlm = nn.functional.cross_entropy(self.lm_head(states[masked]), labels[masked])
            if not bool(marked.any()):
                return mlm, torch.zeros(())
            return mlm, nn.functional.cross_entropy(self.detector(states[marked]), marks[marked])

        def head_state(self) -> dict[str, Tensor]:
            names = self.lm_head.state_dict()
            return {f"lm_head.{k}": v.clone() for k, v in names.items() if not k.startswith("decoder.")}

    return Learner()
