"""Extractive question answering: XQuAD, MLQA and TyDiQA-GoldP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.config.benchmark import LONGEST_QUESTION, Task
from xlt.data.feature_cache import cached
from xlt.data.features import Feature, longest, type_ids
from xlt.data.readers.files import short
from xlt.data.records import Question
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.qa_decoding import best_answers
from xlt.evaluation.submission import ANSWERS, Withheld, line_of, parse_json, read_text
from xlt.families.base import Floats, Spec, Supervised, Values, refuse_unknown, targets
from xlt.files import to_json, write_atomic

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

    from xlt.modeling.model import TransferModel


def span_features(
    records: Sequence[Question],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    doc_stride: int,
    *,
    training: bool,
    max_query_length: int = LONGEST_QUESTION,
) -> list[Feature]:
    """Question and passage windows, each ``doc_stride`` tokens further than the last (Devlin et al. 2019, section 4.2).

    The target is the token span of the first answer, or (0, 0), the first token, where the window lacks the answer.
    Questions are cut to ``max_query_length`` sub-words as in XTREME's ``run_squad.py``. For prediction, ``starts`` marks the
    positions whose token no other window shows with more context.
    """
    features: list[Feature] = []
    max_length = longest(tokenizer, max_length)
    for number, record in enumerate(records):
        question, size = _shortened(record.question.strip(), tokenizer, max_query_length)
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - size
        if room < 1:
            raise InputError(
                f"expected an encoder that reads more than {max_length} sub-words at a time: "
                f"question {record.id} alone has {size}"
            )
        overlap = max(0, room - doc_stride)
        coded = tokenizer(
            question,
            record.context,
            truncation="only_second",
            max_length=max_length,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_token_type_ids=True,
        )
        windows = [[part == 1 for part in coded.sequence_ids(i)] for i in range(len(coded["input_ids"]))]
        sizes = [sum(inside) for inside in windows]
        most = [] if training or len(sizes) == 1 else most_context(sizes, sizes[0] - overlap)
        for window, (row, inside) in enumerate(zip(coded["input_ids"], windows, strict=True)):
            offsets = [
                (start, end) if keep and end > start else None
                for keep, (start, end) in zip(inside, coded["offset_mapping"][window], strict=True)
            ]
            target = _span_target(record, offsets) if training else None
            types = type_ids(tokenizer, coded["token_type_ids"][window])
            chosen = iter(most[window]) if most else iter(())
            starts = [keep and next(chosen) for keep in inside] if most else []
            features.append(Feature(number, [row], [types], target, offsets=offsets, starts=starts))
    return features


def most_context(sizes: Sequence[int], step: int) -> list[list[bool]]:
    """For each window of a passage, which of its tokens have the most context there (``token_is_max_context``).

    A token's context in a window is the smaller number of tokens on either side of it, plus a hundredth of the window's
    length; the first of equal windows has it (Devlin et al. 2019's and XTREME's ``run_squad.py``).

    Args:
        sizes: tokens of the passage in each window.
        step: tokens by which each window begins after the last.
    """
    best: dict[int, tuple[float, int]] = {}
    for window, size in enumerate(sizes):
        for place in range(size):
            context = min(place, size - 1 - place) + 0.01 * size
            token = window * step + place
            if token not in best or context > best[token][0]:
                best[token] = context, window
    return [[best[window * step + place][1] == window for place in range(size)] for window, size in enumerate(sizes)]


def _shortened(text: str, tokenizer: PreTrainedTokenizerFast, limit: int) -> tuple[str, int]:
    """``text`` cut to at most ``limit`` sub-words, and how many it has."""
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    offsets = coded["offset_mapping"]
    return (text, len(offsets)) if len(offsets) <= limit else (text[: offsets[limit - 1][1]], limit)


def _span_target(record: Question, offsets: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    if not record.answers:
        return 0, 0
    answer = record.answers[0]
    end = answer.start + len(answer.text)
    inside = [
        position
        for position, span in enumerate(offsets)
        if span is not None and span[0] < end and span[1] > answer.start
    ]
    if not inside:
        return 0, 0
    first, last = offsets[inside[0]], offsets[inside[-1]]
    assert first is not None and last is not None
    if first[0] > answer.start or last[1] < end:  # the window cuts the answer
        return 0, 0
    return inside[0], inside[-1]


class ExtractiveQA(Supervised):
    """An answer is a span of the passage: a start and an end."""

    name = "span"
    kind = ANSWERS
    metrics = ("f1", "exact_match")

    def features(
        self, records: Sequence[Question], tokenizer: Any, spec: Spec, *, training: bool = False
    ) -> list[Feature]:
        """One row for each window of a passage; the target is the span of the first answer."""
        return cached(span_features, records, tokenizer, spec.max_length, spec.doc_stride or 128, training=training)

    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> nn.Module:
        """Scores of start and end at every token, without dropout."""
        from xlt.modeling.heads import TokenHead

        return TokenHead(width, 2, 0.0)

    def label_scores(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """Start and end scores of every token: [features, 2, tokens], -inf at padding."""
        rows = model.batch(features)
        return model.scores(rows).masked_fill(rows.attention_mask.unsqueeze(-1) == 0, float("-inf")).transpose(1, 2)

    def loss_sum(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """Mean of the cross-entropies of start and end, summed over windows (Devlin et al. 2019, section 4.2)."""
        from torch.nn import functional

        scores, right = self.label_scores(model, features), targets(model, features)
        start = functional.cross_entropy(scores[:, 0], right[:, 0], reduction="sum")
        end = functional.cross_entropy(scores[:, 1], right[:, 1], reduction="sum")
        return (start + end) / 2

    def drawn_target(self, feature: Feature, drawn: Sequence[int]) -> tuple[int, int]:
        """Start and end."""
        return drawn[0], drawn[1]

    def decode(
        self, records: Sequence[Question], features: Sequence[Feature], outputs: Sequence[Floats], spec: Spec
    ) -> list[str]:
        """The answer text of each question: the best span over all windows of its passage."""
        return best_answers(records, features, outputs)

    def development_score(self, records: Sequence[Question], predictions: Sequence[str]) -> float:
        """The mean of exact match and F1, in per cent."""
        gold = {record.id: [answer.text for answer in record.answers] or [""] for record in records}
        exact, overlap = metrics.question_scores(gold, self.content(records, predictions), metrics.normalize_squad)
        return 100 * (sum(exact) + sum(overlap)) / (2 * len(records))

    def content(self, records: Sequence[Question], predictions: Sequence[str]) -> dict[str, str]:
        """The answer to each question, by its id."""
        return {record.id: text for record, text in zip(records, predictions, strict=True)}

    def write_gold(self, folder: Path, task: Task, records: Mapping[str, Sequence[Question]]) -> None:
        """Write the label files, in SQuAD's layout."""
        for language, own in records.items():
            write_atomic(self.files(task).path(folder, language), to_json(squad_layout(own)))

    def read_gold(self, task: Task, path: Path) -> dict[str, tuple[str, ...]]:
        """The right answers of each question."""
        return read_answers_gold(path)

    def per_example(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> tuple[Values, int]:
        """Exact match and F1 of every question, by the rules of MLQA's script or of SQuAD's."""
        gold, given = self.read_gold(task, label_file), self.files(task).read(prediction_file)
        refuse_unknown(given, gold, "question", prediction_file, label_file)
        normalize = metrics.normalize_squad
        if task.normalization == "mlqa":
            normalize = partial(metrics.normalize_mlqa, language=language.split("-")[0])  # the passage's
        exact, overlap = metrics.question_scores(gold, given, normalize)
        return {"exact_match": exact, "f1": overlap}, len(gold.keys() - given.keys())

    def percent(self, scores: Sequence[float]) -> float:
        """The mean in per cent as SQuAD's script has it: multiplied first."""
        return 100.0 * sum(scores) / len(scores)


def squad_layout(questions: Iterable[Question]) -> dict[str, Any]:
    """The questions as a SQuAD 1.1 document; neighbours with the same passage share a paragraph."""
    paragraphs: list[dict[str, Any]] = []
    for question in questions:
        if not paragraphs or paragraphs[-1]["context"] != question.context:
            paragraphs.append({"context": question.context, "qas": []})
        answers = [{"text": answer.text, "answer_start": answer.start} for answer in question.answers]
        paragraphs[-1]["qas"].append({"id": question.id, "question": question.question, "answers": answers})
    return {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}


def read_answers_gold(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a QA label file in SQuAD layout: question id to its right answers.

    Raises:
        Withheld: no question has an answer; XTREME writes ``""`` in place of each.
        InputError: not that layout, a question id twice, or one question without an answer among others that have some.
    """
    text = read_text(path)
    document = parse_json(text, path)
    blank: list[str] = []
    gold: dict[str, tuple[str, ...]] = {}
    for question in _questions(document, path):
        try:
            name, answers = question["id"], tuple(answer["text"] for answer in question["answers"])
        except (KeyError, TypeError):
            raise InputError('expected questions with "id" and "answers": [{"text": ...}]', path) from None
        if not isinstance(name, str) or not all(isinstance(answer, str) for answer in answers):
            raise InputError(f"expected texts, got {short(name)} with the answers {short(answers)}", path)
        if not any(answers):
            blank.append(name)
        if name in gold:
            raise InputError(f"expected each question once, got {name} twice", path, line_of(text, name))
        gold[name] = answers
    if not gold:
        raise InputError("expected at least one question, got none", path)
    if len(blank) == len(gold):
        raise Withheld("gold is withheld: no question has an answer", path)
    if blank:
        raise InputError(f"expected at least one right answer to question {blank[0]}", path, line_of(text, blank[0]))
    return gold


def _questions(document: Any, path: Path) -> list[dict[str, Any]]:
    try:
        articles = document["data"] if isinstance(document, dict) else document
        return [
            question for article in articles for paragraph in article["paragraphs"] for question in paragraph["qas"]
        ]
    except (KeyError, TypeError):
        raise InputError('expected SQuAD layout: {"data": [{"paragraphs": [{"qas": [...]}]}]}', path) from None
