"""Rankings and pairs against their peers on identical random predictions, through files: no figure may differ.

Peers: pytrec_eval (the package pytrec-eval-terrier), and the definitions of XTREME's mAP@20 and of BUCC,
written out here.
"""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval
from tests.tasks import TASKS, score_task, write_submission

from xlt.families import FAMILIES
from xlt.families.base import Score

CASES = 150


def score_with_further(predictions: Path, labels: Path, task: str, language: str) -> Score:
    """The score of a run."""
    return FAMILIES[TASKS[task].family].score_run(TASKS[task], predictions, labels, language)


def language_bias(predictions: Path, labels: Path, language: str) -> dict[str, float]:
    """What a run says of LAReQA's bias in a language."""
    found = FAMILIES["lareqa"].further_figures(TASKS["lareqa"], predictions, labels, [language])
    bias: dict[str, float] = found["language_bias"][language]
    return bias


def scored(folder: Path, task: str, gold: Any, given: Any) -> dict[str, float]:
    """What the scorer says of predictions and gold labels that were written to files."""
    predictions = write_submission(folder / "predictions", task, "en", given)
    labels = write_submission(folder / "labels", task, "en", gold)
    return score_task(task, predictions, labels, "en")


def queries_of(rng: random.Random, right: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Queries with up to ``right`` right items, and rankings of up to 30 items without repetition."""
    items = [f"i{number}" for number in range(40)]
    gold = {f"q{i}": rng.sample(items, rng.randint(1, right)) for i in range(rng.randint(1, 6))}
    given = {}
    for name, own in gold.items():
        ranked = rng.sample(items, rng.randint(1, 30))
        rng.shuffle(ranked)
        given[name] = sorted(ranked, key=lambda item: (item in own) * -rng.random())
    return gold, given


def by_pytrec(gold: dict[str, list[str]], given: dict[str, list[str]], measure: str) -> float:
    """The mean of a measure of trec_eval over all queries, in per cent."""
    evaluator = pytrec_eval.RelevanceEvaluator({q: dict.fromkeys(own, 1) for q, own in gold.items()}, {measure})
    runs = {q: {item: float(-rank) for rank, item in enumerate(ranked)} for q, ranked in given.items()}
    found = evaluator.evaluate(runs)
    name = measure.replace(".", "_")
    return 100 * sum(found[q][name] for q in gold if q in found) / len(gold)


def test_rankings_equal_pytrec_eval(tmp_path: Path) -> None:
    for seed in range(CASES):
        gold, given = queries_of(random.Random(seed), right=11)  # as many as LAReQA has languages
        own = scored(tmp_path, "lareqa", gold, given)
        assert own == {"map@20": pytest.approx(by_pytrec(gold, given, "map_cut.20"), abs=1e-9)}, seed


def test_entity_links_equal_the_reciprocal_rank_of_pytrec_eval(tmp_path: Path) -> None:
    for seed in range(CASES):
        gold, given = queries_of(random.Random(seed), right=1)
        cut = {name: ranked[:20] for name, ranked in given.items()}
        own = scored(tmp_path, "mewslix", gold, given)
        assert own == {"map@20": pytest.approx(by_pytrec(gold, cut, "recip_rank"), abs=1e-9)}, seed


def test_rankings_equal_xtremes_definition_with_any_number_of_right_items(tmp_path: Path) -> None:
    """``average_precision_at_k`` of ``utils_lareqa.py``: divided by at most k, a repeated item counts once."""
    for seed in range(CASES):
        rng = random.Random(seed)
        gold, given = queries_of(rng, right=30)
        for ranked in given.values():
            ranked.insert(rng.randint(0, len(ranked)), rng.choice(ranked))
        expected = Fraction(0)
        for name, right in gold.items():
            first = given[name][:20]
            hits = [rank for rank, item in enumerate(first, 1) if item in right and item not in first[: rank - 1]]
            precisions = (Fraction(place, rank) for place, rank in enumerate(hits, 1))
            expected += sum(precisions, Fraction(0)) / min(len(right), 20)
        own = scored(tmp_path, "lareqa", gold, given)["map@20"]
        assert own == pytest.approx(float(100 * expected / len(gold)), abs=1e-9), seed


def test_full_map_and_language_bias_equal_pytrec_eval(tmp_path: Path) -> None:
    languages = ("ar", "de", "zh")
    pool = [f"{code}_{passage}_0" for code in languages for passage in range(1, 9)]
    for seed in range(60):
        rng = random.Random(seed)
        gold, given = {}, {}
        for passage in range(1, rng.randint(2, 8)):
            gold[f"q{passage}_de"] = [f"{code}_{passage}_0" for code in languages]
            given[f"q{passage}_de"] = rng.sample(pool, len(pool))
        ranks = {q: {item: given[q].index(item) + 1 for item in own} for q, own in gold.items()}
        predictions, labels = tmp_path / "predictions", tmp_path / "labels"
        write_submission(predictions, "lareqa", "de", {q: ranked[:20] for q, ranked in given.items()})
        write_submission(predictions, "lareqa_ranks", "de", ranks)
        write_submission(labels, "lareqa", "de", gold)
        found = score_with_further(predictions, labels, "lareqa", "de").metrics
        assert found["map"] == pytest.approx(by_pytrec(gold, given, "map"), abs=1e-9), seed
        own = {q: [item for item in right if item.startswith("de")] for q, right in gold.items()}
        others = {q: [item for item in right if not item.startswith("de")] for q, right in gold.items()}
        without = {q: [item for item in ranked if item not in own[q]] for q, ranked in given.items()}
        bias = language_bias(predictions, labels, "de")
        assert bias["map_own"] == pytest.approx(by_pytrec(own, given, "recip_rank"), abs=1e-9), seed
        assert bias["map_other"] == pytest.approx(by_pytrec(others, without, "map"), abs=1e-9), seed
        first = sum(ranked[0].startswith("de") for ranked in given.values())
        assert bias["own_language_first"] == pytest.approx(100 * first / len(given), abs=1e-9)


def test_language_bias_by_hand(tmp_path: Path) -> None:
    # q1: de_1_0 first, en_1_0 fourth. q2: en_2_0 second behind the wrong de_1_0, de_2_0 fifth.
    ranked = {
        "q1_de": ["de_1_0", "de_3_0", "en_9_0", "en_1_0"],
        "q2_de": ["de_1_0", "en_2_0", "x_1_0", "y_1_0", "de_2_0"],
    }
    ranks = {"q1_de": {"de_1_0": 1, "en_1_0": 4}, "q2_de": {"de_2_0": 5, "en_2_0": 2}}
    write_submission(tmp_path / "p", "lareqa", "de", ranked)
    write_submission(tmp_path / "p", "lareqa_ranks", "de", ranks)
    write_submission(tmp_path / "l", "lareqa", "de", {q: list(right) for q, right in ranks.items()})
    assert language_bias(tmp_path / "p", tmp_path / "l", "de") == pytest.approx(
        {
            "own_language_first": 100,  # de_1_0 leads both
            "own_answer_first": 50,  # right answers: de before en for q1, en before de for q2
            "map_own": 60,  # (1/1 + 1/5) / 2
            "map_other": 125 / 3,  # en_1_0 moves up to 3 without de_1_0, en_2_0 stays 2: (1/3 + 1/2) / 2
        }
    )
    # mAP: q1 (1/1 + 2/4) / 2 = 3/4; q2 (1/2 + 2/5) / 2 = 9/20; mean 3/5
    assert score_with_further(tmp_path / "p", tmp_path / "l", "lareqa", "de").metrics["map"] == pytest.approx(60)


def test_tatoeba_in_both_directions_by_hand(tmp_path: Path) -> None:
    for name, gold, given in (
        ("tatoeba", [2, 0, 1], [2, 0, 0]),  # English to foreign: 2 of 3
        ("tatoeba_into_english", [1, 2, 0], [1, 1, 1]),  # foreign to English: 1 of 3
    ):
        write_submission(tmp_path / "p", name, "de", given)
        write_submission(tmp_path / "l", name, "de", gold)
    found = score_with_further(tmp_path / "p", tmp_path / "l", "tatoeba", "de")
    assert found.metrics == pytest.approx({"accuracy": 200 / 3, "accuracy_into_english": 100 / 3})
    assert found.examples == 3


def test_mined_pairs_equal_the_definition(tmp_path: Path) -> None:
    for seed in range(CASES):
        rng = random.Random(seed)
        pairs = [(f"de-{i}", f"en-{j}") for i in range(5) for j in range(5)]
        gold = set(rng.sample(pairs, rng.randint(1, 10)))
        given = set(rng.sample(pairs, rng.randint(0, 10)))
        right = len(gold & given)
        expected = {
            "f1": Fraction(200 * right, len(gold) + len(given)),
            "precision": Fraction(100 * right, len(given) or 1),
            "recall": Fraction(100 * right, len(gold)),
        }
        found = scored(tmp_path, "bucc2018", gold, given)
        assert found == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-9), seed
