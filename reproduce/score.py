"""Score a folder of predictions in XTREME's submission layout against a folder of gold labels.

Prints every language and the averages, and writes the same as JSON. See docs/protocol.md for the layout and the metrics.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

# In place of this script's own folder, where tabulate.py would hide the package tabulate.
from tabulate import tabulate

from xlt.config.benchmark import Benchmark, Task, load_all
from xlt.errors import InputError, exit_status
from xlt.files import to_json, write_atomic

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip(), formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--predictions", type=Path, required=True, help="folder with <task>/test-<language>.<ext>")
    parser.add_argument("--labels", type=Path, required=True, help="the same layout with gold labels")
    parser.add_argument("--benchmark", choices=get_args(Benchmark), required=True, help="which tasks and languages")
    parser.add_argument("--output", type=Path, required=True, help="the JSON report to write")
    parser.add_argument("--strict", action="store_true", help="a missing language is an error, as in XTREME's script")
    parser.add_argument(
        "--any-language", action="store_true", help="every language with labels, official or not (the generated world)"
    )
    parser.add_argument(
        "--configs", type=Path, default=CONFIGS, help="folder of tasks/*.yaml (default: the artifact's)"
    )
    return parser.parse_args()


def render(report: dict[str, Any]) -> str:
    """The report as plain-text tables."""
    parts = []
    for task, result in report["tasks"].items():
        names = list(result["scores"])
        rows: list[list[object]] = [
            [language, *(result["scores"][name][language] for name in names), count, result["unanswered"][language]]
            for language, count in result["examples"].items()
        ]
        rows.append(["average", *(result["averages"][f"avg_{name}"] for name in names), None, None])
        headers = [task, *names, "examples", "unanswered"]
        parts.append(tabulate(rows, headers, floatfmt=".2f"))
        if result["missing"]:
            parts.append(f"{task}: average over {len(rows) - 1} of {len(result['languages'])} languages; ")
            parts[-1] += f"missing: {', '.join(result['missing'])}"
    summary = [[task, result["averages"]["avg_metric"]] for task, result in report["tasks"].items()]
    parts.append(tabulate(summary, ["task", "score"], floatfmt=".2f"))
    for name, mean in [*report["groups"].items(), ("overall", report["overall"])]:
        score = f"{mean['score']:.2f}" if mean["score"] is not None else f"incomplete: {', '.join(mean['missing'])}"
        parts.append(f"{name:<16}{score}")
    for task, languages in report["withheld"].items():
        parts.append(f"{task}: gold withheld, not scored: {', '.join(languages)}")
    if report["not_scored"]:
        parts.append(f"not in {report['benchmark']}, not scored: {', '.join(report['not_scored'])}")
    return "\n\n".join(parts)


def main() -> None:
    """Score, print, write."""
    options = arguments()

    from xlt.pipeline.scoring import score_folder

    report = score_folder(
        options.predictions,
        options.labels,
        options.benchmark,
        load_all(Task, options.configs / "tasks"),
        any_language=options.any_language,
        strict=options.strict,
    )
    print(render(report))
    try:
        write_atomic(options.output, to_json(report))
    except OSError as error:
        raise InputError(f"cannot write the report: {error.strerror}", options.output) from None


if __name__ == "__main__":
    sys.exit(exit_status(main))
