"""Tests of a page as a whole, on made-up pages that move as real ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import honest_pages, verification_page
from tests.results import pages
from tests.results.pages import TASKS, outcome

from xlt.results.aggregate import headline_metrics
from xlt.results.page_tests import LEVELS, Page, averages
from xlt.results.recording import Key, Recording
from xlt.results.spreads import TAILS, Spreads, cell_spreads, errors_of, expected, scores_of
from xlt.results.verdicts import OF_RECORDED

SEEDS = range(2, 8)
HEADLINE = {name: headline_metrics(task) for name, task in TASKS.items()}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return pages.recording({seed: pages.page(seed) for seed in SEEDS})


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    (folder / "tiny.yaml").write_text(pages.text({seed: pages.page(seed) for seed in SEEDS}), encoding="utf-8")
    return folder


def test_averages_weigh_languages_then_metrics_then_tasks_alike() -> None:
    keys: list[Key] = [
        ("full", "xquad", "f1", "en"),
        ("full", "xquad", "f1", "qaa"),
        ("full", "xquad", "exact_match", "en"),
        ("full", "xquad", "exact_match", "qaa"),
        ("full", "udpos", "f1", "en"),
        ("full", "udpos", "accuracy", "en"),  # not what the task is scored by
        ("lora", "udpos", "f1", "en"),
    ]
    found = {(each.family, each.name): list(each.weights) for each in averages(keys, HEADLINE)}
    assert found == {
        ("average", "full, xquad"): [0.25] * 4 + [0, 0, 0],
        ("average", "full, udpos"): [0, 0, 0, 0, 1, 0, 0],
        ("average", "lora, udpos"): [0, 0, 0, 0, 0, 0, 1],
        ("task", "xquad"): [0.25] * 4 + [0, 0, 0],
        ("task", "udpos"): [0, 0, 0, 0, 0.5, 0, 0.5],
        ("regime", "full"): [0.125] * 4 + [0.5, 0, 0],
        ("regime", "lora"): [0, 0, 0, 0, 0, 0, 1],
        ("regime", "all"): pytest.approx([0.25 / 3] * 4 + [1 / 3, 0, 1 / 3]),
    }
    alone = averages(keys[:2], HEADLINE)  # one regime and one task: nothing to take a mean of
    assert [(each.family, each.name) for each in alone] == [("average", "full, xquad")]


def test_an_average_is_judged_by_how_much_it_moved() -> None:
    # two cells that always moved against each other: their average stood still but for 0.1, whatever they did
    keys: list[Key] = [("full", "xnli", "accuracy", "en"), ("full", "xnli", "accuracy", "qaa")]
    moves = np.array([-4.0, 2.0, 3.0, -1.0])
    small = np.array([0.1, -0.1, 0.1, -0.1])
    scores = np.column_stack([60 + moves + small, 50 - moves + small])
    std = np.full(2, scores.std(axis=0, ddof=1).mean())
    page = Page(keys, scores, Spreads(std, np.full(2, 6.0), std**2, np.full(2, 3.0)), HEADLINE)
    own, mean, error, freedom = page.differences("average", np.array([61.0, 50.0]))
    assert (own[0], mean[0]) == (pytest.approx(55.5), pytest.approx(55.0))
    # one average: its variance is its own, 0.04 / 3; four runs, one new one: s * sqrt(1 + 1/4)
    assert error[0] == pytest.approx(np.sqrt(0.04 / 3) * np.sqrt(1.25), rel=1e-3)
    assert 3 <= freedom[0] <= 6


def test_the_share_outside_is_compared_with_what_recorded_runs_show(recording: Recording) -> None:
    scores = scores_of(recording)
    spreads = cell_spreads(recording.keys, scores, errors_of(recording))
    shares = Page(recording.keys, scores, spreads, HEADLINE).shares
    assert shares.names == [*pages.REGIMES, "all"]
    assert 0.05 <= shares.mean < 0.08
    far = scores.mean(axis=0) + 100 * (np.array([key[0] for key in recording.keys]) == "lora")
    assert shares.of(far, 1) == pytest.approx([0, 0, 1, 0, 0, 0.2])
    p_values = shares.p_values(np.array([0.05] * 6))
    assert all(p_values > 0.2)
    assert all(np.diff([shares.p_values(np.full(6, share))[-1] for share in (0.05, 0.1, 0.15, 0.2)]) < 0)
    # at the printed end of the range 5 % of honest pages are beyond it
    assert shares.p_values(shares.most()) == pytest.approx([0.05] * 6, abs=1e-3)


def test_the_levels_add_up_to_less_than_one_in_a_thousand() -> None:
    assert sum(LEVELS.values()) + (1 - OF_RECORDED) < 0.001


def test_spreads_of_a_recording(recording: Recording) -> None:
    cells = expected(recording)
    assert len(cells) == len(recording.keys) + len(recording.rows)
    own = [cell for cell in cells if cell.language is not None]
    # true standard deviation of a cell: 0.6, 1.2 and 2 together, and 0.19 of rounding to whole examples
    assert np.sqrt(np.mean([cell.spread**2 for cell in own])) == pytest.approx(
        np.sqrt(0.36 + 1.44 + 4 + 0.037), rel=0.1
    )
    assert all(len(SEEDS) - 1 < cell.freedom <= TAILS for cell in cells)
    first = recording.rows[0]
    average = next(cell for cell in cells if cell.row is first and cell.language is None)
    assert average.mean == pytest.approx(np.mean(list(first.scores.values())))


def shifted(points: float, regimes: Any = pages.REGIMES, tasks: Any = tuple(TASKS)) -> dict[Key, float | None]:
    page = pages.page(1)
    return {k: min(100, max(0, v + points)) if k[0] in regimes and k[1] in tasks else v for k, v in page.items()}


@pytest.mark.parametrize(
    ("scores", "status", "families"),
    [
        (shifted(0), 0, set()),
        (shifted(-22, ["adapter"], ["xnli"]), 1, {"average"}),
        (shifted(+24, ["adapter"], ["panx"]), 1, {"average"}),  # better is no success either
        (shifted(-12, tasks=["xcopa"]), 1, {"task"}),
        (shifted(-8, ["lora"]), 1, {"share outside"}),
        (shifted(-5), 1, {"regime"}),
        (shifted(-1), 0, set()),
    ],
)
def test_what_shows_in_no_cell_shows_in_the_page(
    tmp_path: Path, reported: Path, scores: dict[Key, float | None], status: int, families: set[str]
) -> None:
    found = outcome(tmp_path / "root", scores, reported, TASKS)
    assert found.status == status
    assert families <= set(found.red)
    assert "lower" not in found.red


def test_cells_that_scatter_more_than_they_should_show_in_the_share(tmp_path: Path, reported: Path) -> None:
    draw = np.random.default_rng(1)
    scattered: dict[Key, float | None] = {k: min(100, max(0, v + draw.normal(0, 8))) for k, v in pages.page(1).items()}
    found = outcome(tmp_path / "root", scattered, reported, TASKS)
    assert found.status == 1
    assert found.red["share outside"] >= 1


def test_a_dropped_language_is_no_success(tmp_path: Path, reported: Path) -> None:
    scores: dict[Key, float | None] = dict(pages.page(1))
    scores |= {key: None for key in scores if key[:2] == ("full", "xquad") and key[3] == "qag"}
    found = outcome(tmp_path / "root", scores, reported, TASKS)
    assert (found.status, found.red) == (2, {"not run": 1})


def test_drawn_pages_move_like_the_recorded_ones_and_are_hardly_flagged(recording: Recording) -> None:
    world = honest_pages.World(recording, TASKS)
    drawn = world.draw(2000, 0.0, None, np.random.default_rng(1))
    spread = cell_spreads(recording.keys, scores_of(recording), errors_of(recording)).std
    assert np.median(drawn.std(axis=0) / spread) == pytest.approx(1, abs=0.05)
    assert set(world.block[[key[1] in ("xquad", "mlqa") and key[0] == "full" for key in world.keys]]) == {
        world.block[recording.keys.index(("full", "xquad", "f1", "en"))]
    }
    found = honest_pages.simulated(world, 200, 0.5, None)
    assert found["pages"] == 200
    assert found["any"] <= 1
    assert not any(run["flagged"] for run in honest_pages.left_out(world, recording))


def test_the_tables_of_the_docs(recording: Recording) -> None:
    figures = {
        "left_out": [{"seed": 2, "kernel": "AVX2", "outside": 4.25, "flagged": []}],
        "simulated": [
            {"tails": None, "shared": 0.5, "pages": 20_000, "any": 3, "cell": 0, **dict.fromkeys(LEVELS, 1)},
        ],
    }
    found = {"": pages.Outcome(0, {}), "chance": pages.Outcome(0, {}), "half-lora": pages.Outcome(1, {"average": 2})}
    text = verification_page.block(found, figures)
    assert "| seed 2, AVX2 | 4.2 % | nothing |" in text
    assert "| normal | 0.5 | 20,000 | 1.5 | 0.0 | 0.5 | 0.5 | 0.5 | 0.5 |" in text
    assert "| none: the honest page | 0 |  |" in text
    assert "| XCOPA at chance in `full` | 0 | **not seen** |" in text
    assert "| half the training set in `lora` | 1 | average (2) |" in text
