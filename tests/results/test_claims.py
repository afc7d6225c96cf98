from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from tests.results.conftest import keep_examples
from tests.scripts import call

from xlt.config.benchmark import Task, load, load_all, parse
from xlt.config.regimes import Regime
from xlt.errors import InputError
from xlt.results.claims import Cells, Claim, assess, assess_words, document
from xlt.results.render import to_markdown
from xlt.results.reported import load_reported
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.word_pairs import Injection, WordPairs

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
XNLI = {"xnli": load(Task, CONFIGS / "tasks" / "xnli.yaml")}
SOURCE = {"paper": "p", "place": "abstract", "confidence": "seen"}


def claim(**values: Any) -> Claim:
    base: dict[str, Any] = {
        "name": "c",
        "claim": "A helps.",
        "source": SOURCE,
        "contrasts": [{"first": "adapter", "second": "full"}],
        "cells": {"tasks": ["xnli"]},
        "command": "make table2",
    }
    return parse(Claim, base | values, Path("c.yaml"))


@pytest.fixture
def ran(folders: Callable[..., Any]) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Runs of full fine-tuning and adapters on XNLI; ``right[regime][language]`` is the share of 200 right examples.

    ``seeds`` of each, whose models answer alike but for adapters of seed 1, which have ``more`` right.
    """

    def make(
        right: dict[str, dict[str, float]], *, finished: bool = True, seeds: int = 3, more: float = 0.0
    ) -> tuple[Path, dict[str, Any]]:
        made = folders()
        for regime, seed in itertools.product(right, range(1, seeds + 1)):
            if seed == 1:
                made.regime(regime)
            own = more if (regime, seed) == ("adapter", 1) else 0.0
            shares = {code: share + own for code, share in right[regime].items()}
            scores = {"xnli": {"accuracy": {code: 100 * share for code, share in shares.items()}}}
            folder = made.run(regime, "mnli", seed, scores if finished else None, tasks=["xnli"])
            kept = {f"xnli/accuracy/{c}": (np.arange(200) < 200 * share).astype(float) for c, share in shares.items()}
            keep_examples(folder, kept)
        plan = load_plan(made.root)
        return made.root, {name: load_regime(made.root, plan, name) for name in plan.regimes}

    return make


@pytest.mark.parametrize(
    ("adapter", "status"), [(0.8, "supported"), (0.4, "contradicted"), (0.6, "not shown"), (0.605, "not shown")]
)
def test_the_verdict_follows_the_interval(ran: Any, adapter: float, status: str) -> None:
    root, regimes = ran({"full": {"en": 0.1, "de": 0.6}, "adapter": {"en": 0.9, "de": adapter}})
    found = assess(claim(), root, load_plan(root), regimes, XNLI)
    assert found.status == status
    assert found.effect is not None
    assert found.effect.estimate == pytest.approx(100 * (adapter - 0.6), abs=1e-4)  # without English
    assert (found.seeds, found.fewest, found.reason) == ((1, 2, 3), 3, "")


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("adapter", [0.8, 0.6, 0.4])
def test_fewer_than_three_seeds_decide_nothing(ran: Any, adapter: float, seeds: int) -> None:
    root, regimes = ran({"full": {"de": 0.6}, "adapter": {"de": adapter}}, seeds=seeds)
    found = assess(claim(), root, load_plan(root), regimes, XNLI)
    assert (found.status, found.fewest) == ("too few seeds", seeds)
    assert found.effect is not None  # and the figure is shown
    assert found.effect.estimate == pytest.approx(100 * (adapter - 0.6), abs=1e-4)
    assert ("about these trained models only" in found.reason) == (seeds == 1)
    page = to_markdown(document(load_plan(root), [found], {"p": "P"}))
    assert "too few seeds" in page and "which decide nothing" in page


def test_a_row_with_fewer_seeds_than_the_other_decides_nothing(ran: Any) -> None:
    root, regimes = ran({"full": {"de": 0.6}, "adapter": {"de": 0.8}})
    (root / "runs/full/mnli/seed-3/scores.json").unlink()
    regimes["full"] = load_regime(root, load_plan(root), "full")
    found = assess(claim(), root, load_plan(root), regimes, XNLI)
    assert (found.status, found.seeds, found.fewest) == ("too few seeds", (1, 2, 3), 2)


def test_one_lucky_seed_of_three_supports_nothing(ran: Any) -> None:
    # adapters: 90, 60, 60; full: 60 three times. The mean is +10; the training variance 3 * 10**2 / 3, with two degrees of
    # freedom, gives 10 times t = 4.303 and more
    root, regimes = ran({"full": {"de": 0.6}, "adapter": {"de": 0.6}}, more=0.3)
    found = assess(claim(), root, load_plan(root), regimes, XNLI)
    assert found.status == "not shown" and found.effect is not None
    assert found.effect.estimate == pytest.approx(10)
    assert found.effect.high > 10 + 4.303 * 10 - 0.1


def test_a_claim_of_more_here_than_there_takes_the_other_effect_off(ran: Any) -> None:
    shares = {"full": {"de-de": 0.5, "de-fr": 0.4}, "adapter": {"de-de": 0.6, "de-fr": 0.7}}
    root, regimes = ran(shares)
    more = claim(
        cells={"tasks": ["xnli"], "languages": "mixed-pairs"}, less={"tasks": ["xnli"], "languages": "same-language"}
    )
    found = assess(more, root, load_plan(root), regimes, XNLI)
    assert found.effect is not None
    assert found.effect.estimate == pytest.approx(30 - 10, abs=1e-4)
    assert found.status == "supported"


def test_what_has_not_run_or_has_no_files_says_so(ran: Any) -> None:
    root, regimes = ran({"full": {"de": 0.5}, "adapter": {"de": 0.5}}, finished=False)
    assert assess(claim(), root, load_plan(root), regimes, XNLI).status == "not run"
    root, regimes = ran({"full": {"en": 0.5}, "adapter": {"en": 0.5}})
    assert assess(claim(), root, load_plan(root), regimes, XNLI).status == "no data"  # only English was scored
    assert (
        assess(claim(contrasts=[{"first": "madx", "second": "full"}]), root, load_plan(root), regimes, XNLI).status
        == "not run"
    )
    (root / "runs/full/mnli/seed-2/examples.npz").unlink()
    everywhere = claim(cells={"tasks": ["xnli"], "languages": "all"})
    assert "no scores of the same single examples" in assess(everywhere, root, load_plan(root), regimes, XNLI).reason


def injection(seed: int, trained: tuple[float, float], random: tuple[float, float]) -> Injection:
    """One seed in one language at layer 1: cosines (before, after) of trained (also held-out) and random pairs."""
    sides = {}
    for when, number in (("before", 0), ("after", 1)):
        cosine = {"trained": trained[number], "held-out": trained[number], "random held-out": random[number]}
        sides[when] = {"sw": [{"cosine": cosine, "p@1": {}}] * 2}
    base = {"layer": 1, "layers": 1, "chosen_by": "cosine", "pairs": {}, "candidates": {}, "wall_seconds": 1.0}
    return Injection.model_validate(base | sides)


class Job:
    files: ClassVar = {"sw": []}


@pytest.mark.parametrize(("figure", "status"), [("trained", "supported"), ("held-out − random", "contradicted")])
def test_a_claim_about_word_pairs(figure: str, status: str) -> None:
    # trained: 0.2 -> 0.3, 0.31, 0.29, that is +50, +55, +45 %: mean 50, standard error 2.887, t(2) 4.303: 50 ± 12.4
    found = {s: injection(s, (0.2, 0.2 + up), (0.1, 0.28)) for s, up in ((1, 0.1), (2, 0.11), (3, 0.09))}
    pairs = WordPairs("tli", {1: Job()}, found)  # type: ignore[dict-item]
    about = claim(words={"config": "tli", "figure": figure}, contrasts=[], cells=None)
    finding = assess_words(about, about.words, pairs)  # type: ignore[arg-type]
    assert (finding.status, finding.seeds) == (status, (1, 2, 3))
    if figure == "trained":
        assert finding.effect is not None
        assert (finding.effect.estimate, finding.effect.low) == (pytest.approx(50), pytest.approx(50 - 12.42, abs=0.01))
    two = assess_words(about, about.words, WordPairs("tli", {1: Job()}, {1: found[1], 2: found[2]}))  # type: ignore[arg-type, dict-item]
    assert (two.status, two.fewest, two.effect is None) == ("too few seeds", 2, False)
    one = assess_words(about, about.words, WordPairs("tli", {1: Job()}, {1: found[1]}))  # type: ignore[arg-type, dict-item]
    assert (one.status, one.fewest, one.effect) == ("too few seeds", 1, None)
    if figure == "trained":
        assert one.reason.startswith("one seed, +50.0 %")
    assert assess_words(about, about.words, WordPairs("tli", {}, {})).status == "no data"  # type: ignore[arg-type]
    assert assess_words(about, about.words, WordPairs("tli", {1: Job()}, {})).status == "not run"  # type: ignore[arg-type, dict-item]


def test_languages_of_an_effect() -> None:
    codes = ["en", "de", "en-en", "en-de", "de-de", "de-fr"]
    kinds = {kind: Cells(tasks=["xnli"], languages=kind) for kind in ("all", "without-en", "mixed-pairs")}  # type: ignore[arg-type]
    assert kinds["all"].chosen(codes) == codes
    assert kinds["without-en"].chosen(codes) == ["de", "en-de", "de-de", "de-fr"]
    assert kinds["mixed-pairs"].chosen(codes) == ["en-de", "de-fr"]
    assert Cells(tasks=["xnli"], languages="same-language").chosen(codes) == ["en", "de", "en-en", "de-de"]


@pytest.mark.parametrize(
    "change", [{"cells": None}, {"contrasts": []}, {"not_covered": "no"}, {"command": None}, {"claimd": 1.0}]
)
def test_a_claim_says_how_it_is_tested_or_why_not(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(claim().model_dump(mode="json") | change), encoding="utf-8")
    with pytest.raises(InputError, match=r"expected contrasts and cells, or words|expected command|unknown key claimd"):
        load(Claim, path)


def test_the_project_s_claims_name_regimes_tasks_and_papers_that_exist() -> None:
    regimes, tasks = load_all(Regime, CONFIGS / "regimes"), load_all(Task, CONFIGS / "tasks")
    papers = {entry.paper for entry in load_reported(CONFIGS / "reported")}
    claims = load_all(Claim, CONFIGS / "claims")
    assert len(claims) >= 8
    for each in claims.values():
        assert each.source.paper in papers, each.name
        assert {name for c in each.contrasts for name in (c.first, c.second)} <= set(regimes), each.name
        for cells in (each.cells, each.less):
            assert cells is None or set(cells.tasks) <= set(tasks), each.name


def test_the_script_prints_every_claim(ran: Any) -> None:
    root, _ = ran({"full": {"de": 0.5}, "adapter": {"de": 0.8}})
    done = call("claims", "--root", root, "--configs", CONFIGS)
    assert (done.returncode, done.stderr) == (0, "")
    claims = load_all(Claim, CONFIGS / "claims")
    written = json.loads((root / "tables" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert [each["name"] for each in written] == list(claims)
    assert {each["status"] for each in written} <= {"not run", "no data", "not covered"}  # one task of ten has run
    rows = list(csv.DictReader(io.StringIO((root / "tables" / "claims.csv").read_text(encoding="utf-8"))))
    assert [row["claim"] for row in rows] == list(claims)
    assert all(each.claim[:30] in done.stdout for each in claims.values())
