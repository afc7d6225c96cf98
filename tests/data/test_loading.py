from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from xlt.config.run_config import FileSet
from xlt.data.dataset import first, labelled, left_out, load_entities, load_split, sample
from xlt.data.records import AnswerSpan, Mining, Pair, ParallelText, Question


@given(st.integers(0, 60), st.integers(1, 60) | st.none())
def test_a_sample_is_a_sub_sequence_of_the_right_size(count: int, cap: int | None) -> None:
    records = list(range(count))
    drawn = sample(records, cap)
    assert len(drawn) == (count if cap is None else min(cap, count))
    assert drawn == sorted(set(drawn))
    assert drawn == sample(records, cap)


def test_a_sample_is_not_the_beginning_of_the_file() -> None:
    assert max(sample(range(1000), 10)) > 500


def test_the_first_records() -> None:
    assert first([1, 2, 3], 2) == [1, 2]
    assert first([1, 2, 3], None) == [1, 2, 3]
    assert first([1], 5) == [1]


def test_a_capped_bitext_keeps_only_its_own_targets_and_renumbers_them() -> None:
    bitext = ParallelText(("s0", "s1", "s2", "s3"), ("t0", "t1", "t2", "t3"), (3, 1, 3, 0))
    # sentences 0 and 1 translate targets 3 and 1; kept in file order these are 1 -> 0 and 3 -> 1
    assert first(bitext, 2) == ParallelText(("s0", "s1"), ("t1", "t3"), (1, 0))
    # the third has the same target as the first
    assert first(bitext, 3) == ParallelText(("s0", "s1", "s2"), ("t1", "t3"), (1, 0, 1))
    assert first(bitext, None) is bitext


def test_a_capped_collection_keeps_whole_gold_pairs_and_nine_times_as_many_others() -> None:
    source = {f"s{i:02d}": f"foreign {i}" for i in range(30)}
    target = {f"t{i:02d}": f"english {i}" for i in range(30)}
    gold = frozenset({("s20", "t25"), ("s01", "t02"), ("s05", "t05")})
    small = first(Mining(source, target, gold), 1)
    assert small.gold == {("s01", "t02")}  # the first in the order of their names
    assert list(small.source) == [f"s{i:02d}" for i in range(10)]  # s01 and nine others
    assert list(small.target) == [f"t{i:02d}" for i in range(10)]
    two = first(Mining(source, target, gold), 2)
    assert two.gold == {("s01", "t02"), ("s05", "t05")}
    assert len(two.source) == 20
    assert first(Mining(source, target, None), 1).gold is None


def test_skip_and_take_cut_one_file_into_disjoint_parts(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    rows = [{"gold_label": "neutral", "sentence1": f"a{i}", "sentence2": "b", "pairID": str(i)} for i in range(6)]
    write(tmp_path / "x" / "nli.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def texts(**cut: int | None) -> list[str]:
        files = FileSet.model_validate({"format": "nli-jsonl", "files": ["x/nli.jsonl"], "sha256": {}, **cut})
        return [record.text_a for record in load_split(tmp_path, files, "en", ["neutral"])]

    assert texts() == ["a0", "a1", "a2", "a3", "a4", "a5"]
    assert texts(take=4) == ["a0", "a1", "a2", "a3"]
    assert texts(skip=4) == ["a4", "a5"]
    assert texts(skip=1, take=2) == ["a1", "a2"]
    assert texts(skip=9) == []


def test_what_trains_shares_no_sentence_with_what_is_scored(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    """Rows 1 to 3 may train: row 1 has a sentence of the scored row 4 (in other case), row 2 one of a German file."""
    write(tmp_path / "en.tsv", "A b.\tB a.\t1\nC d.\tDas da.\t1\nE f.\tF e.\t0\nG h.\ta  B.\t0\nNS\tE f.\t0\n")
    write(tmp_path / "de.tsv", "Das da.\tDa das.\t1\nNS\tE f.\t0\n")

    def files(path: str, **more: object) -> FileSet:
        return FileSet.model_validate({"format": "pair-tsv", "files": [path], "sha256": {}, **more})

    scored = {"en": [files("en.tsv", skip=3)], "de": [files("de.tsv")]}
    train = files("en.tsv", take=3, apart=scored)
    kept = load_split(tmp_path, train, "en", ["0", "1"])
    assert [record.text_a for record in kept] == ["E f."]  # the rows "NS" are not scored
    assert left_out(tmp_path, train, "en", ["0", "1"]) == 2
    assert left_out(tmp_path, files("en.tsv"), "en", ["0", "1"]) == 0
    assert "apart" not in files("en.tsv").model_dump() and FileSet(**train.model_dump()) == train


def files_of(data: Path, path: str, form: str) -> FileSet:
    assert (data / path).exists()
    return FileSet(format=form, files=[path], sha256={})


def test_parallel_languages_keep_the_same_examples(mini_data: Path) -> None:
    kept = [
        [
            question.id
            for question in first(
                load_split(mini_data, files_of(mini_data, f"xquad/xquad.{code}.json", "squad"), code, None), 5
            )
        ]
        for code in ("en", "qaa", "qag")
    ]
    assert len(kept[0]) == 5
    assert kept[0] == kept[1] == kept[2]


def test_entities_come_from_beside_the_mentions(mini_data: Path) -> None:
    files = files_of(mini_data, "mewsli_x/wikinews_mentions-test.jsonl", "mewslix-mentions")
    names = {entity.id for entity in load_entities(mini_data, files)}
    mentions = load_split(mini_data, files, "qaa", None)
    assert mentions
    assert {mention.entity for mention in mentions} <= names


def test_labelled_tells_withheld_gold() -> None:
    assert labelled([Pair("1", "a", "b", "x")])
    assert not labelled([Pair("1", "a", "b", None)])
    assert labelled([Question("1", "q", "c", (AnswerSpan("c", 0),)), Question("2", "q", "c", ())])
    assert not labelled([Question("1", "q", "c", ())])
    assert labelled(ParallelText(("a",), ("b",), (0,)))
    assert not labelled(Mining({}, {}, None))
    assert labelled(Mining({}, {}, frozenset()))
