"""The make rules of a plan: one per job and run, one per table, one per regime."""

from __future__ import annotations

from xlt.layout import CONFIG, PLAN
from xlt.planning.plan import WorkPlan
from xlt.planning.planner import NO_ADAPTERS


def make_rules(plan: WorkPlan) -> str:
    """The text of ``plan.mk``."""
    lines = ["# Written by reproduce/plan.py; do not edit.", "MAKEFLAGS += --no-builtin-rules", ".DELETE_ON_ERROR:"]
    lines += ["PROCESSES = 1", "", "$(ENCODER):  # made by then; make -n may go on without it", ""]
    for folder in plan.jobs:
        lines += _folder_rule(plan, folder, "job.py", [], "")
    for folder, run in plan.runs.items():
        lines += _folder_rule(plan, folder, "run.py", run.needs(), " --processes $(PROCESSES)")
    lines += _language_adapter_rule(plan)
    for name, folders in plan.regimes.items():
        reason = plan.planner.without_runs.get(name)
        if reason is None or folders:
            lines += _page_rule(plan, name, f"regime-{name}", f"--regime {name}", "")
        else:
            lines += [f".PHONY: {name}", f"{name}:", _refuse(reason), ""]
    for name in plan.tables:
        lines += _page_rule(plan, name, name, f"--table {name}", f"configs/tables/{name}.yaml")
    return "\n".join(lines) + "\n"


def _folder_rule(plan: WorkPlan, folder: str, script: str, needs: list[str], options: str) -> list[str]:
    """What a run or job reads, and its command."""
    before = [f"{plan.root}/{folder}/{CONFIG}", "$(ENCODER)", *(str(plan.result(need)) for need in needs)]
    command = f"$(LAUNCH) $(PYTHON) reproduce/{script} {plan.root}/{folder} $(RUN){options}"
    return [f"{plan.result(folder)}: {' '.join(before)}", f"\t{command}", ""]


def _language_adapter_rule(plan: WorkPlan) -> list[str]:
    """The goal that makes every language adapter of this profile and model."""
    folders = plan.planner.adapter_folders.values()
    command = [] if folders else [_refuse(NO_ADAPTERS)]
    needs = " ".join(str(plan.result(folder)) for folder in folders)
    return [".PHONY: language-adapters", f"language-adapters: {needs}", *command, ""]


def _refuse(reason: str) -> str:
    """A command that says why there is nothing to make."""
    quoted = reason.replace("'", "'\\''")
    return f"\t@echo 'error: {quoted}' >&2; exit 2"


def _page_rule(plan: WorkPlan, goal: str, page: str, what: str, config: str) -> list[str]:
    """What a table or a regime's own page is made from, and its command."""
    root, profile, data = plan.root, plan.planner.profile, plan.planner.files.data
    target = f"{root}/tables/{page}.md"
    needs = " ".join([*(str(plan.result(f)) for f in plan.behind(goal)), f"{root}/{PLAN}", config, "$(REPORTED)"])
    named = "" if profile.languages_from is None else f" --languages {data / profile.languages_from}"
    sizes = goal in plan.tables and plan.tables[goal].kind == "sizes"
    counting = f" --data {data}" if sizes else ""
    command = f"$(PYTHON) reproduce/table.py {what} --root {root} --configs configs{named}{counting}"
    phony = f"{goal} {target}" if sizes else goal  # counted anew: no file says what the data folder holds
    return [f"{target}: {needs}", f"\t{command}", f".PHONY: {phony}", f"{goal}: {target}", ""]
