"""Where things lie: the names of the files in the folders of a plan, a run, a job, an encoder."""

from __future__ import annotations

PLAN, RULES = "plan.json", "plan.mk"
"""Below the folder of a profile and model: what is to be run, and make's rules for it."""
DIGESTS, EXTENTS = "data-digests.json", "extents.json"
"""Beside them, remembered from call to call: hashes of data files, and how much text they have."""
CONFIG = "config.json"
"""In the folder of a run or job, written by the planner: everything that its result depends on."""
PROVENANCE, SCORES, FAILURE = "provenance.json", "scores.json", "failed.json"
"""What a run says of itself, what it ends with, and what it leaves where it failed."""
