"""Where things lie: the names of the files in the folders of a plan, a run, a job, an encoder."""

from __future__ import annotations

PLAN, RULES = "plan.json", "plan.mk"
"""Below the folder of a profile and model: what is to be run, and make's rules for it."""
CONFIG = "config.json"
"""In the folder of a run or job, written by the planner: everything that its result depends on."""
SCORES, FAILURE = "scores.json", "failed.json"
"""What a run ends with, and what it leaves where it failed."""
