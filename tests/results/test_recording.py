"""The file of recorded scores is refused when it is not whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.results import pages

from xlt.errors import InputError
from xlt.results.reported import load_reported


def content() -> dict[str, Any]:
    small = {seed: pages.page(seed, ["full", "lora"], ["xnli"]) for seed in (2, 3, 4)}
    return dict(yaml.safe_load(pages.text(small)))


def test_the_order_of_the_file_is_that_of_the_cells_and_runs(tmp_path: Path) -> None:
    found = content()
    assert found["recorded"]["runs"][1] == {"seed": 3, "kernel": "AVX512"}
    assert [row["regime"] for row in found["rows"]] == ["full", "lora"]
    drawn = pages.page(3)["lora", "xnli", "accuracy", "qaa"]
    assert found["rows"][1]["scores"]["qaa"][1] == round(drawn, 2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda c: c["rows"][1]["scores"]["qaa"].pop(),
            "lora, xnli, accuracy: expected 3 scores for qaa, one of each run",
        ),
        (lambda c: c["rows"][0]["scores"]["en"].__setitem__(0, 101.0), "rows.0.scores.en.0"),
        (lambda c: c["recorded"]["runs"][0].update(seed=3), "expected runs with different seeds"),
        (lambda c: c["examples"]["xnli"].pop("qab"), "examples: expected a number for xnli in qab"),
        (lambda c: c["recorded"].update(runs=c["recorded"]["runs"][:2]), "recorded.runs"),
        (lambda c: c["rows"][0].update(std={}), "unknown key rows.0.std"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, spoil: Callable[[Any], object], message: str) -> None:
    spoilt = content()
    spoil(spoilt)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(spoilt), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_reported(tmp_path)
    assert "tiny.yaml" in str(caught.value)
