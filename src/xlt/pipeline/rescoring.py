"""Score recorded predictions anew against the gold labels of a data folder, and compare with the recorded scores."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlt.config.run_config import FileSet, read_run
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.files import read_json, sha256_file
from xlt.layout import PREDICTED, SCORES
from xlt.pipeline.per_example_scores import write_items
from xlt.pipeline.predict_run import read_task
from xlt.pipeline.scoring import score_run_task
from xlt.records import unpack

TOLERANCE = 1e-6
"""Points that two computations of one score may differ by: sums of floating point numbers."""


def rescore(record: Path, data: Path) -> list[str]:
    """What differs between the recorded scores of a run and those of its predictions, a line per score; none if all agree.

    Raises:
        InputError: the data folder lacks a file of the run, or has another than the run was scored on.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack(record, folder)
        config, predicted = read_run(folder), read_json(folder / PREDICTED)
        anew = {}
        for evaluation in config.evaluations:
            task = evaluation.task
            for files in evaluation.files.values():
                check_files(files, data)
            records, _, left_out = read_task(evaluation, data)
            if list(records) != predicted[task.name]["languages"] or left_out != predicted[task.name]["left_out"]:
                raise InputError(
                    f"{task.name}: expected gold labels of {', '.join(predicted[task.name]['languages'])}", data
                )
            FAMILIES[task.family].write_gold(folder / "labels", task, records)
            write_items(folder, task, records)
            anew[task.name] = score_run_task(folder, evaluation, predicted[task.name])
        return differences(read_json(folder / SCORES)["tasks"], anew)


def check_files(files: FileSet, data: Path) -> None:
    """Refuse data files that are not those a run was scored on."""
    for name, expected in files.sha256.items():
        if not (data / name).exists() or sha256_file(data / name) != expected:
            raise InputError(f"expected the file that was scored, of SHA-256 {expected[:12]}…", data / name)


def differences(recorded: Mapping[str, Any], anew: Mapping[str, Any]) -> list[str]:
    """The scores by task, metric and language that are not equal."""
    found = []
    for task, entry in recorded.items():
        for metric, scores in entry["metrics"].items():
            for language, score in scores.items():
                other = anew[task]["metrics"].get(metric, {}).get(language)
                if other is None or abs(score - other) > TOLERANCE:
                    found.append(f"{task} {language} {metric}: recorded {score:.4f}, from the predictions {other}")
    return found
