from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlt.data.features import IGNORED, Feature, text_rows, type_ids
from xlt.data.records import AnswerSpan, Choice, Pair, Question, Tagged
from xlt.families.choice import choice_features
from xlt.families.classification import pair_features
from xlt.families.qa import most_context, span_features
from xlt.families.tagging import _windows, tagging_features

BEGIN, END, UNKNOWN = 0, 2, 3  # <s>, </s>, <unk> of the miniature tokenizer


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


class TestPairs:
    def test_template_and_targets(self, tokenizer: Any) -> None:
        records = [Pair("1", "the cat sat", "a dog", "yes"), Pair("2", "a", "b", None), Pair("3", "a", "b", "no")]
        features = pair_features(records, tokenizer, ["no", "yes"], 64)
        assert features[0].rows == [[BEGIN, *ids(tokenizer, "the cat sat"), END, END, *ids(tokenizer, "a dog"), END]]
        assert [feature.target for feature in features] == [1, None, 0]
        assert [feature.record for feature in features] == [0, 1, 2]
        assert features[0].types == [[0] * features[0].length]

    def test_the_longer_sentence_is_cut(self, tokenizer: Any) -> None:
        long, short = " ".join(["cat"] * 30), "the dog"
        room = 20 - 4 - len(ids(tokenizer, short))
        for first, second in ((long, short), (short, long)):
            (feature,) = pair_features([Pair("1", first, second, "x")], tokenizer, ["x"], 20)
            cut = {long: ids(tokenizer, long)[:room], short: ids(tokenizer, short)}
            assert feature.rows == [[BEGIN, *cut[first], END, END, *cut[second], END]]
            assert feature.length == 20

    def test_nothing_gives_nothing(self, tokenizer: Any) -> None:
        assert pair_features([], tokenizer, ["x"], 20) == []


def test_choice_has_one_row_per_option(tokenizer: Any) -> None:
    records = [Choice("1", "the cat ran", ("a dog", "it", "red"), 2), Choice("2", "why", ("so", "then"), None)]
    features = choice_features(records, tokenizer, 64)
    assert [len(feature.rows) for feature in features] == [3, 2]
    assert [feature.target for feature in features] == [2, None]
    prompt = ids(tokenizer, "the cat ran")
    assert features[0].rows[1] == [BEGIN, *prompt, END, END, *ids(tokenizer, "it"), END]
    assert [len(types) for types in features[0].types] == [len(row) for row in features[0].rows]
    assert features[0].length == max(len(row) for row in features[0].rows)


class TestTagging:
    LABELS = ("A", "B")

    def test_first_sub_words_carry_the_labels(self, tokenizer: Any) -> None:
        words, tags = ("the", "zzz", "cat"), ("A", "B", "A")
        pieces = [ids(tokenizer, word) for word in words]
        assert len(pieces[1]) > 1  # or the test would not tell the first sub-word from the others
        (feature,) = tagging_features([Tagged("1", words, tags)], tokenizer, self.LABELS, 64)
        assert feature.rows == [[BEGIN, *itertools.chain(*pieces), END]]
        assert feature.positions == [1, 1 + len(pieces[0]), 1 + len(pieces[0]) + len(pieces[1])]
        assert [feature.target[position] for position in feature.positions] == [0, 1, 0]
        assert sum(label != IGNORED for label in feature.target) == 3
        assert len(feature.target) == feature.length

    def test_a_long_sentence_becomes_windows_without_losing_a_word(self, tokenizer: Any) -> None:
        words = ("the", "cat", "zz", "dog") * 5
        tags = ("A", "B", "B", "A") * 5
        features = tagging_features(
            [Tagged("1", ("the",), ("A",)), Tagged("2", words, tags)], tokenizer, self.LABELS, 10
        )
        windows = [feature for feature in features if feature.record == 1]
        assert len(windows) > 1
        assert all(feature.length <= 10 for feature in windows)
        assert [feature.first_word for feature in windows] == list(
            itertools.accumulate([len(feature.positions) for feature in windows[:-1]], initial=0)
        )
        targets = [feature.target[position] for feature in windows for position in feature.positions]
        assert targets == [self.LABELS.index(tag) for tag in tags]
        inner = [token for feature in windows for token in feature.rows[0][1:-1]]
        assert inner == [token for word in words for token in ids(tokenizer, word)]

    def test_words_without_or_with_too_many_sub_words_are_unknown(self, tokenizer: Any) -> None:
        assert ids(tokenizer, "") == []
        (feature,) = tagging_features([Tagged("1", ("cat", "", "z" * 40), None)], tokenizer, self.LABELS, 20)
        assert feature.rows == [[BEGIN, *ids(tokenizer, "cat"), UNKNOWN, UNKNOWN, END]]
        assert len(feature.positions) == 3
        assert feature.target is None

    @given(st.lists(st.integers(1, 8), max_size=40), st.integers(8, 20))
    def test_windows_cover_every_word_once_and_are_full(self, sizes: list[int], room: int) -> None:
        windows = list(_windows(sizes, room))
        assert [word for first, end in windows for word in range(first, end)] == list(range(len(sizes)))
        for first, end in windows:
            assert sum(sizes[first:end]) <= room
            assert end == len(sizes) or sum(sizes[first : end + 1]) > room  # the next word would not have fitted


class TestSpans:
    CONTEXT = "the cat sat on the mat and Bob saw a red bird under the old tree"

    def feature(self, tokenizer: Any, record: Question, **options: Any) -> Feature:
        (feature,) = span_features([record], tokenizer, 120, 32, training=True, **options)
        return feature

    def test_offsets_belong_to_the_context_only(self, tokenizer: Any) -> None:
        feature = self.feature(tokenizer, Question("1", "who saw it", self.CONTEXT, ()))
        question = ids(tokenizer, "who saw it")
        assert feature.offsets[: len(question) + 3] == [None] * (len(question) + 3)
        assert feature.offsets[-1] is None
        inside = [offset for offset in feature.offsets if offset is not None]
        assert "".join(self.CONTEXT[start:end] for start, end in inside) == self.CONTEXT
        assert feature.target == (0, 0)

    @pytest.mark.parametrize("answer", ["Bob", "the cat", "old tree", "sat on the mat"])
    def test_the_target_is_the_answer(self, tokenizer: Any, answer: str) -> None:
        start = self.CONTEXT.index(answer)
        record = Question(
            "1", "what", self.CONTEXT, (AnswerSpan(answer, start), AnswerSpan("red", self.CONTEXT.index("red")))
        )
        feature = self.feature(tokenizer, record)
        first, last = feature.target
        begin, end = feature.offsets[first], feature.offsets[last]
        assert begin is not None and end is not None
        assert self.CONTEXT[begin[0] : end[1]].strip() == answer

    def test_an_answer_inside_a_sub_word_takes_the_whole_sub_word(self, tokenizer: Any) -> None:
        record = Question("1", "what", self.CONTEXT, (AnswerSpan("ird", self.CONTEXT.index("ird")),))
        feature = self.feature(tokenizer, record)
        begin = feature.offsets[feature.target[0]]
        assert begin is not None
        assert self.CONTEXT[begin[0] :].strip().startswith("bird")

    def test_windows_step_by_the_stride_and_cover_the_context(self, tokenizer: Any) -> None:
        context = " ".join(["cat", "dog", "bird", "fish"] * 12)
        pieces = ids(tokenizer, context)
        question = ids(tokenizer, "who")
        features = span_features(
            [Question("1", " who ", context, ())], tokenizer, 24, 8, training=False
        )  # room for the context: 24 - 4 - question
        room = 24 - 4 - len(question)
        assert len(features) > 3
        for number, feature in enumerate(features):
            assert feature.rows[0][: len(question) + 3] == [BEGIN, *question, END, END]
            assert feature.rows[0][len(question) + 3 : -1] == pieces[8 * number : 8 * number + room]
            assert feature.target is None
        assert 8 * (len(features) - 1) + room >= len(pieces)

    def test_the_window_with_the_most_context_by_hand(self) -> None:
        # windows of 5, 5 and 3 tokens, each 2 further: tokens 0-4, 2-6, 4-6. Smaller side plus size / 100:
        # first 0 1 2 1 0 (+ 0.05), second for tokens 2-6 the same, third for 4-6: 0 1 0 (+ 0.03). Token 2: 2.05 against 0.05;
        # 3: 1.05 twice, the first has it; 4: 2.05 in the second; 5: 1.05 against 1.03; 6: 0.05 against 0.03
        assert most_context([5, 5, 3], 2) == [
            [True, True, True, True, False],
            [False, False, True, True, True],
            [False, False, False],
        ]

    def test_starts_are_marked_for_prediction_from_several_windows(self, tokenizer: Any) -> None:
        records = [Question("1", "who", "the cat sat", ()), Question("2", "who", "cat " * 40, ())]
        features = span_features(records, tokenizer, 30, 5, training=False)
        assert features[0].starts == []
        own = [feature for feature in features if feature.record == 1]
        assert len(own) > 2
        assert all(len(feature.starts) == len(feature.offsets) for feature in own)
        assert all(span is not None for f in own for span, may in zip(f.offsets, f.starts, strict=True) if may)
        # every word of the passage may begin an answer in one window
        begun = [span for f in own for span, may in zip(f.offsets, f.starts, strict=True) if may]
        assert len(begun) == len(set(begun)) == len({span for f in own for span in f.offsets if span is not None})
        assert all(feature.starts == [] for feature in span_features(records, tokenizer, 30, 5, training=True))

    def test_the_answer_is_in_some_windows_and_cut_by_others(self, tokenizer: Any) -> None:
        context = " ".join(["cat"] * 10 + ["red", "blue", "bird"] + ["dog"] * 20)
        start = context.index("red")
        record = Question("1", "who", context, (AnswerSpan("red blue bird", start),))
        features = span_features([record], tokenizer, 24, 4, training=True)
        whole, without = 0, 0
        for feature in features:
            inside = [offset for offset in feature.offsets if offset is not None]
            covered = inside[0][0] <= start and inside[-1][1] >= start + len("red blue bird")
            if covered:
                begin, end = (feature.offsets[position] for position in feature.target)
                assert begin is not None and end is not None
                assert context[begin[0] : end[1]].strip() == "red blue bird"
                whole += 1
            else:
                assert feature.target == (0, 0)
                without += 1
        assert whole and without

    def test_a_long_question_is_cut(self, tokenizer: Any) -> None:
        question = " ".join(["cat"] * 70)
        tokens = ids(tokenizer, question)
        (feature,) = span_features([Question("1", question, "the dog", ())], tokenizer, 120, 32, training=False)
        assert len(tokens) > 64
        assert feature.rows[0] == [BEGIN, *tokens[:64], END, END, *ids(tokenizer, "the dog"), END]
        short = span_features(
            [Question("1", question, "the dog", ())], tokenizer, 120, 32, training=False, max_query_length=6
        )
        assert short[0].rows[0][1:7] == tokens[:6]
        assert short[0].rows[0][7] == END

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        words=st.lists(st.sampled_from(["cat", "zq", "tree", "x"]), min_size=1, max_size=60), stride=st.integers(1, 15)
    )
    def test_every_token_is_in_some_window(self, tokenizer: Any, words: list[str], stride: int) -> None:
        context = " ".join(words)
        features = span_features([Question("1", "who", context, ())], tokenizer, 24, stride, training=False)
        seen = {offset for feature in features for offset in feature.offsets if offset is not None}
        expected = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        assert seen == set(expected)
        assert all(feature.length <= 24 for feature in features)


def test_text_rows_of_texts_and_pairs(tokenizer: Any) -> None:
    rows, types = text_rows(["the cat", "dog " * 30], tokenizer, 10)
    assert rows[0] == [BEGIN, *ids(tokenizer, "the cat"), END]
    assert [len(row) for row in rows] == [len(row) for row in types]
    assert len(rows[1]) == 10
    rows, _ = text_rows([("the cat", "a dog")], tokenizer, 30)
    assert rows[0] == [BEGIN, *ids(tokenizer, "the cat"), END, END, *ids(tokenizer, "a dog"), END]


def test_type_ids_are_kept_only_where_the_encoder_has_segments(tokenizer: Any) -> None:
    class Bert:
        model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    assert type_ids(Bert(), [0, 1, 1]) == [0, 1, 1]  # type: ignore[arg-type]
    assert type_ids(tokenizer, [0, 1, 1]) == [0, 0, 0]


def test_no_row_is_longer_than_the_encoder_has_positions_for(tokenizer: Any) -> None:
    text = "cat " * 200
    limit = tokenizer.model_max_length
    assert limit == 126  # 128 positions, of which RoBERTa leaves two unused
    features = [
        *pair_features([Pair("1", text, text, None)], tokenizer, ["x"], 384),
        *choice_features([Choice("1", text, (text, "it"), None)], tokenizer, 384),
        *tagging_features([Tagged("1", tuple(text.split()), None)], tokenizer, ["x"], 384),
        *span_features([Question("1", "who", text, ())], tokenizer, 384, 64, training=False),
    ]
    assert {feature.length for feature in features[:2]} == {limit}
    assert max(feature.length for feature in features) == limit
    assert [len(row) for row in text_rows([text], tokenizer, 384)[0]] == [limit]
