"""Word lists: what is read, what is left out, how pairs are split, and the random control."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.data.word_lists import (
    REASONS,
    WordPair,
    first_gloss,
    is_word,
    random_pairs,
    read_lexicon,
    split_pairs,
    translations,
)
from xlt.errors import InputError

Write = Callable[[Path, str], Path]


def texts(pairs: list[WordPair]) -> list[tuple[str, str]]:
    return [(pair.word, pair.english) for pair in pairs]


def test_the_world_s_word_list_is_read_as_it_stands(tmp_path: Path, write: Write) -> None:
    path = write(
        tmp_path / "en-qaa.tsv", "farmer\tbakol\r\ngrower\tmelu\nfarmer\tBakol\nbread\tbread\nice cream\tolu\n"
    )
    lexicon = read_lexicon([(path, "lexicon-tsv")], "qaa")
    assert texts(lexicon.pairs) == [("bakol", "farmer"), ("melu", "grower")]
    assert {pair.language for pair in lexicon.pairs} == {"qaa"}
    assert lexicon.left_out == {REASONS[2]: 1, REASONS[1]: 1, REASONS[0]: 1}  # Bakol again, bread, ice cream


def test_a_dictionary_gives_the_first_gloss_of_single_words(tmp_path: Path, write: Write) -> None:
    rows = [
        "abudu\tworship, revere, adore",
        "agano jipya\tNew Testament",
        "huko\tthere (unspecified)",
        "falme\tPlural of {ufalme}: kingdom",
        "mfugo\t(domesticated) animal",
        "ng'ombe\tcow",
    ]
    into = write(tmp_path / "into.tsv", "\n".join(rows) + "\n")
    out_of = write(tmp_path / "from.tsv", "10c piece\tkikumi\nworship\tabudu\nafter\tbaada; halafu\n")
    lexicon = read_lexicon([(into, "freedict-to-en"), (out_of, "freedict-from-en")], "sw")
    assert texts(lexicon.pairs) == [
        ("abudu", "worship"), ("huko", "there"), ("mfugo", "animal"), ("ng'ombe", "cow"), ("baada", "after"),
    ]  # fmt: skip
    assert lexicon.left_out == {REASONS[0]: 3, REASONS[2]: 1}  # two words, a plural, a number; worship again


def test_glosses_lose_nested_parentheses() -> None:
    assert first_gloss("news (greetings (e.g. Habari, Salama), etc.), novelty") == "news"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("kitabu", True), ("well-known", True), ("ng'ombe", True), ("किताब", True), ("ice cream", False), ("10c", False),
     ("e.g.", False), ("--", False), ("{x}:", False)],
)  # fmt: skip
def test_single_words_are_told_from_the_rest(text: str, is_one: bool) -> None:
    assert is_word(text) is is_one


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        ("a\tb\nonly one\n", 2, "'only one'"),
        ("a\tb\tc\n", 1, r"'a\\tb\\tc'"),
        ("a\tb\n\nc\td\n", 2, "''"),
        ("a\t \n", 1, ""),
    ],
)
def test_a_line_that_is_no_pair_is_refused_with_its_number(
    tmp_path: Path, write: Write, text: str, line: int, got: str
) -> None:
    path = write(tmp_path / "en-sw.tsv", text)
    with pytest.raises(InputError, match=f"expected two words with a tab between them, got {got}") as error:
        read_lexicon([(path, "lexicon-tsv")], "sw")
    assert (error.value.path, error.value.line) == (path, line)


def test_a_list_without_a_pair_is_refused(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "en-sw.tsv", "one two\tmoja\n")
    with pytest.raises(InputError, match="expected pairs of single words, got none"):
        read_lexicon([(path, "lexicon-tsv")], "sw")


WORDS = st.text("abc", min_size=1, max_size=2)
PAIRS = st.lists(st.tuples(st.sampled_from(["x", "y"]), WORDS, WORDS), min_size=2, max_size=40, unique=True)


@given(PAIRS, st.integers(0, 5), st.floats(0.05, 0.95))
def test_held_out_pairs_share_no_word_with_trained_ones(
    rows: list[tuple[str, str, str]], seed: int, held_out: float
) -> None:
    pairs = [WordPair(code, word.upper(), "e" + english) for code, word, english in rows]
    try:
        trained, apart = split_pairs(pairs, held_out, seed)
    except InputError:
        return
    assert sorted(map(str, trained + apart)) == sorted(map(str, pairs))
    assert len(apart) <= round(held_out * len(pairs))
    words = [{key for pair in part for key in pair.keys} for part in (trained, apart)]
    assert not words[0] & words[1]


def test_a_split_depends_on_its_seed_and_fills_its_share() -> None:
    pairs = [WordPair("x", f"w{number}", f"e{number}") for number in range(100)]
    first, again, other = (split_pairs(pairs, 0.2, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first[1]) == len(other[1]) == 20


def test_words_of_all_languages_are_kept_apart() -> None:
    # farmer has a word in both languages: x and y go to the same side, whatever the seed.
    pairs = [WordPair("x", "bakol", "farmer"), WordPair("y", "dorma", "Farmer"), WordPair("x", "melu", "bread")]
    for seed in range(5):
        trained, apart = split_pairs(pairs, 0.4, seed)  # room for one pair: melu only
        assert (texts(apart), len(trained)) == ([("melu", "bread")], 2)


def test_pairs_that_all_hang_together_cannot_be_split() -> None:
    pairs = [WordPair("x", "a", "b"), WordPair("x", "a", "c"), WordPair("x", "d", "c")]
    with pytest.raises(InputError, match="got 3 pairs in 1 groups"):
        split_pairs(pairs, 0.5, 1)


@given(st.integers(3, 30), st.integers(0, 9))
def test_random_pairs_are_the_same_words_and_none_is_true(count: int, seed: int) -> None:
    # Every second word has the next one's translation too, so some permutations hit a true pair.
    pairs = [WordPair("x", f"w{number}", f"e{number}") for number in range(count)]
    true = translations(pairs) | {(f"w{number}", f"e{number + 1}") for number in range(0, count - 1, 2)}
    if count == 3:
        true = translations(pairs)
    mixed = random_pairs(pairs, true, seed)
    assert [pair.word for pair in mixed] == [pair.word for pair in pairs]
    assert sorted(pair.english for pair in mixed) == sorted(pair.english for pair in pairs)
    assert not {pair.keys for pair in mixed} & true


def test_random_pairs_are_never_the_same_word_twice() -> None:
    pairs = [WordPair("x", "cap", "hat"), WordPair("x", "lom", "cap"), WordPair("x", "ruk", "sea")]
    for seed in range(10):
        assert ("cap", "cap") not in texts(random_pairs(pairs, translations(pairs), seed))


def test_synonyms_cannot_be_mixed_up() -> None:
    pairs = [WordPair("x", "a", "b"), WordPair("x", "c", "d")]
    true = translations(pairs) | {("a", "d"), ("c", "b")}
    with pytest.raises(InputError, match="x: expected word pairs that can be mixed up, got 2"):
        random_pairs(pairs, true, 1)


@pytest.mark.skipif("XLT_REALDATA" not in os.environ, reason="needs real files")
def test_the_swahili_dictionaries_give_pairs_enough() -> None:
    folder = Path(os.environ["XLT_REALDATA"]) / "lexicon"
    files = [
        (folder / "freedict-eng-swh.tsv", "freedict-from-en"),
        (folder / "freedict-swh-eng.tsv", "freedict-to-en"),
    ]
    lexicon = read_lexicon(files, "sw")
    assert len(lexicon.pairs) > 1500
    assert sum(lexicon.left_out.values()) + len(lexicon.pairs) == 1450 + 2675  # lines of the two files
    assert ("kitabu", "book") in texts(lexicon.pairs)
    trained, apart = split_pairs(lexicon.pairs, 0.2, 1)
    assert len(apart) == round(0.2 * len(lexicon.pairs)) == len(lexicon.pairs) - len(trained)
