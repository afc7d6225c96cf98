"""Word pairs as evidence: cosines, retrieval and the random control, by hand on vectors of two dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from xlt.data.word_lists import WordPair
from xlt.evaluation.word_alignment import Pairs, cosine, measure, precision_at_1

# Unit vectors by angle in degrees. Translations: wa-ea, wb-eb, wc-ec, wd-ed; wd's English word is nearest to wc as well.
ANGLES = {"wa": 0, "ea": 10, "wb": 90, "eb": 130, "wc": 180, "ec": 200, "wd": 185, "ed": 300}
PAIRS = [WordPair("x", f"w{letter}", f"e{letter}") for letter in "abcd"]
NUMBERS = {word: number for number, word in enumerate(ANGLES)}


def unit(angles: list[float]) -> np.ndarray:
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


VECTORS = unit(list(ANGLES.values()))


def test_cosine_is_the_mean_over_pairs() -> None:
    # angles between the pairs: 10, 40, 20 and 115 degrees
    expected = np.cos(np.radians([10, 40, 20, 115])).mean()
    assert cosine(VECTORS, NUMBERS, PAIRS) == pytest.approx(expected, abs=1e-6)


def test_precision_at_1_by_hand() -> None:
    # wa (0): ea at 10 is nearest, right. wb (90): eb at 130, 40 away, right (ea is 80 away). wc (180): ec at 200, right.
    # wd (185): ec at 200 is 15 away, ed 115: wrong. From English: ea -> wa (10), right; eb (130) -> wb (40), right (wc is
    # 50 away); ec (200) -> wd at 185 (15 away; wc is 20 away), wrong; ed (300) -> wa (60 away), wrong.
    assert precision_at_1(VECTORS, NUMBERS, PAIRS, PAIRS) == {"to-en": 75.0, "from-en": 50.0}


def test_candidates_are_all_words_whatever_is_asked() -> None:
    # only wd is asked, but ec is a candidate all the same
    assert precision_at_1(VECTORS, NUMBERS, PAIRS[3:], PAIRS) == {"to-en": 0.0, "from-en": 0.0}


def test_any_translation_is_right_and_a_word_is_asked_once() -> None:
    # with wd-ec a true pair as well, wd finds a translation, and so does ec, which has two pairs and is asked once
    every = [*PAIRS, WordPair("x", "WD", "Ec")]
    vectors, numbers = np.concatenate([VECTORS, unit([185, 200])]), {**NUMBERS, "WD": 8, "Ec": 9}
    assert precision_at_1(vectors, numbers, PAIRS, every) == {"to-en": 100.0, "from-en": 75.0}


def test_every_language_layer_and_split_is_measured() -> None:
    rows = [[WordPair(code, f"w{letter}", f"e{letter}") for letter in "abcd"] for code in ("x", "y")]
    split = [dict(zip("xy", (row[half] for row in rows), strict=True)) for half in (slice(0, 2), slice(2, 4))]
    pairs = Pairs(dict(zip("xy", rows, strict=True)), split[0], split[1], {})
    figures = measure(np.stack([VECTORS, VECTORS[::-1]]), list(ANGLES), pairs, seed=1)
    assert list(figures) == ["x", "y"]
    (bottom, top) = figures["x"]
    assert bottom["cosine"]["trained"] == pytest.approx(np.cos(np.radians([10, 40])).mean(), abs=1e-6)
    # two pairs can be mixed in one way only: wa-eb is 130 apart, wb-ea 80; wc-ed 120, wd-ec 15
    assert bottom["cosine"]["random trained"] == pytest.approx(np.cos(np.radians([130, 80])).mean(), abs=1e-6)
    assert bottom["cosine"]["random held-out"] == pytest.approx(np.cos(np.radians([120, 15])).mean(), abs=1e-6)
    assert bottom["p@1"] == {
        "trained": {"to-en": 100.0, "from-en": 100.0}, "held-out": {"to-en": 50.0, "from-en": 0.0}
    }  # fmt: skip
    assert top["cosine"]["trained"] != bottom["cosine"]["trained"]
    assert pairs.words() == ["wa", "wb", "wc", "wd", "ea", "eb", "ec", "ed"]
