#!/usr/bin/env python3
"""Set each claim of the papers beside the effect that the finished runs show: tables/claims.{md,tex,csv,json}.

    python reproduce/claims.py --root out/paper/xlmr-base

Nothing is run: a claim whose runs have not finished is ``not run`` and names the command that makes them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.config.benchmark import Task, load_all
from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.names import one_of
from xlt.results.render import standalone, to_latex, to_markdown
from xlt.results.run_folders import load_plan, load_regime


def main() -> None:
    """Assess every claim and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    arguments = parser.parse_args()
    from xlt.results.claims import Claim, as_csv, as_json, assess, document  # scipy: slow import
    from xlt.results.reported import load_reported

    root, configs = arguments.root, arguments.configs
    plan = load_plan(root)
    claims = load_all(Claim, configs / "claims")
    tasks = load_all(Task, configs / "tasks")
    for claim in claims.values():
        for cells in (claim.cells, claim.less):
            for task in cells.tasks if cells is not None else []:
                if task not in tasks:
                    path = configs / "claims" / f"{claim.name}.yaml"
                    raise InputError(f"tasks: {one_of(tasks, task)}", path)
    names = {name for claim in claims.values() for c in claim.contrasts for name in (c.first, c.second)}
    regimes = {name: load_regime(root, plan, name) for name in names if name in plan.regimes}
    findings = [assess(claim, root, plan, regimes, tasks) for claim in claims.values()]
    papers = {each.paper: each.citation.split(",")[0] for each in load_reported(configs / "reported")}
    page = document(plan, findings, papers)
    for suffix, text in {
        ".md": to_markdown(page),
        ".tex": to_latex(page),
        "-standalone.tex": standalone(page, "claims.tex"),
        ".csv": as_csv(findings),
        ".json": as_json(plan, findings),
    }.items():
        write_atomic(root / "tables" / f"claims{suffix}", text)
    print(to_markdown(page))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
