"""A run with the cache of tokenised data gives the weights and predictions of one without, first written, then read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xlt.data import feature_cache
from xlt.files import read_json
from xlt.layout import PREDICTED, TRAINED
from xlt.pipeline.context import Context
from xlt.pipeline.steps import predict_step, train_step


def outcome(context: Context) -> dict[str, bytes]:
    """What a run leaves when all of it is done anew: its training's summary (with the weights' hash) and predictions."""
    for name in (TRAINED, PREDICTED):
        (context.folder / name).unlink(missing_ok=True)
    predict_step(context, train_step(context))
    files = [path for path in (context.folder / "predictions").rglob("*") if path.is_file()]
    assert len(files) >= 2
    summary = read_json(context.folder / TRAINED)
    for stage in summary["stages"].values():
        stage.pop("seconds", None)
    return {path.relative_to(context.folder).as_posix(): path.read_bytes() for path in files} | {
        TRAINED: repr(summary).encode()
    }


@pytest.mark.parametrize("recipe", ["mnli", "copa", "udpos", "squad"])
def test_weights_and_predictions_are_the_same(
    recipe: str, open_run: Callable[[str], Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*arguments: object) -> None:
        raise AssertionError("features were made again")

    context = open_run(f"full/{recipe}/seed-1")
    without = outcome(context)
    monkeypatch.setattr(feature_cache, "LEAST", 1)
    monkeypatch.setenv(feature_cache.FOLDER, str(tmp_path / "features"))
    assert outcome(context) == without
    # of each stage the training and development data, of each task the test data
    inputs = 2 * len(context.config.stages) + len(context.config.evaluations)
    assert len(list((tmp_path / "features").glob("*.arrow"))) >= inputs
    monkeypatch.setattr(feature_cache, "_keep", unwanted)
    assert outcome(context) == without
