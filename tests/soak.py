"""Long-run honesty: memory over a thousand evaluation batches, and over fifty runs in one make. ``python -m tests.soak``

Everything is on the miniature world of the tests, so that the time goes into repetition; about twenty minutes on two
cores. Exit status 1 when something grows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, make_plan, mini_world, write_mini_configs, write_mini_encoder

from xlt import babel
from xlt.families import FAMILIES
from xlt.files import read_json, to_json, write_atomic

SLACK = 8 * 2**20
"""Bytes that memory may be larger in the second half than in the first, besides two per cent."""
LOG_BYTES = 64 * 2**10
"""What one run may write to its log."""


def resident() -> int:
    """The resident set of this process now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grows(samples: Sequence[int]) -> bool:
    """Whether the second half is above the first one, the warm-up (a tenth) left out."""
    kept = samples[len(samples) // 10 :]
    half = len(kept) // 2
    return max(kept[half:]) > 1.02 * max(kept[:half]) + SLACK


def world(folder: Path) -> tuple[Path, Path]:
    """Write the miniature data and encoder."""
    babel.write_world(folder / "data", mini_world())
    return folder / "data", write_mini_encoder(folder / "mini")


def evaluation(folder: Path, batches: int) -> list[int]:
    """The resident set before and after each of so many evaluation batches of all widths, in bytes."""
    import torch

    from xlt.config.regimes import Bottleneck
    from xlt.data.features import Feature
    from xlt.modeling.collate import rows_of
    from xlt.modeling.model import build_model
    from xlt.pipeline.context import TOKEN_BUDGET

    torch.set_num_threads(1)
    tuning = Bottleneck(kind="bottleneck", reduction_factor=4)
    model = build_model(
        folder / "mini", family=FAMILIES["classification"], labels=3, tuning=tuning, pooling="mean", seed=1
    )
    model.eval()
    samples = [resident()]
    for number in range(batches):
        width = 8 + 7 * number % 100
        rows = [[0, *(5 + (number + place) % 150 for place in range(width)), 2]]
        features = [Feature(i, rows, [[0] * (width + 2)]) for i in range(TOKEN_BUDGET["cpu"] // (width + 2))]
        with torch.no_grad():
            model.scores(rows_of(features, model.pad_id)).argmax(-1).tolist()
        samples.append(resident())
    return samples


def runs(folder: Path, data: Path, encoder: Path, count: int) -> dict[str, Any]:
    """So many runs, one seed each, by one call of make: peak memory of each in bytes, what they log and leave behind."""
    root = folder / "root"
    seeds = " ".join(str(seed) for seed in range(1, count + 1))
    make_plan(write_mini_configs(folder / "configs"), data, root, encoder, "--seeds", seeds)
    folders = [root / "runs" / "adapter" / "udpos" / f"seed-{seed}" for seed in range(1, count + 1)]
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    command = ["make", "-C", str(ROOT), "-f", str(root / "plan.mk"), f"PYTHON={sys.executable}", "LAUNCH="]
    command += [f"RUN=--data {data} --encoder {encoder} --threads 1", f"ENCODER={encoder}/prepared.json", "REPORTED="]
    command += [str(each / "scores.json") for each in folders]
    with (folder / "log").open("wb") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
    peaks = [
        max(step["peak_memory_bytes"] for step in read_json(each / "cost.json").values() if "peak_memory_bytes" in step)
        for each in folders
    ]
    return {
        "peaks": peaks,
        "log_bytes_per_run": (folder / "log").stat().st_size // count,
        "left_in_tmp": sorted(path.name for path in temporary.iterdir()),
        "contents": sorted({tuple(sorted(path.name for path in each.iterdir())) for each in folders}),
    }


def faults(samples: Sequence[int], made: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    found = ["memory grows over evaluation batches"] if grows(samples) else []
    if grows(made["peaks"]):
        found.append("memory grows from run to run")
    if made["log_bytes_per_run"] > LOG_BYTES:
        found.append(f"a run logs {made['log_bytes_per_run']} bytes")
    if made["left_in_tmp"]:
        found.append(f"left in the temporary folder: {', '.join(made['left_in_tmp'])}")
    if len(made["contents"]) > 1 or any("checkpoint" in names for names in made["contents"]):
        found.append(f"runs left different files: {made['contents']}")
    return found


def main() -> int:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundred batches and three runs, a minute or two")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    batches, count = (100, 3) if options.quick else (1000, 50)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        data, encoder = world(Path(temporary))
        samples = evaluation(Path(temporary), batches)
        made = runs(Path(temporary), data, encoder, count)
    wrong = faults(samples, made)
    mib = [size / 2**20 for size in (samples[len(samples) // 10], samples[-1], min(made["peaks"]), max(made["peaks"]))]
    print(f"{batches} evaluation batches: {mib[0]:.1f} MiB after the first tenth, {mib[1]:.1f} MiB at the end")
    print(f"{count} runs: peak {mib[2]:.1f} to {mib[3]:.1f} MiB, {made['log_bytes_per_run']} bytes of log each")
    print(f"{time.monotonic() - started:.0f} s; {'; '.join(wrong) or 'nothing grows, nothing is left behind'}")
    if options.output is not None:
        write_atomic(options.output, to_json({"evaluation": samples, **made, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
