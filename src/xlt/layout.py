"""Where things lie: the names of the files in the folders of a plan, a run, a job, an encoder and a generated world."""

from __future__ import annotations

PLAN, RULES = "plan.json", "plan.mk"
"""Below the folder of a profile and model: what is to be run, and make's rules for it."""
DIGESTS, EXTENTS = "data-digests.json", "extents.json"
"""Beside them, remembered from call to call: hashes of data files, and how much text they have."""

CONFIG = "config.json"
"""In the folder of a run or job, written by the planner: everything that its result depends on."""
WEIGHTS, TRAINED, PREDICTED = "weights.safetensors", "trained.json", "predicted.json"
"""A run's trained weights, what they were made from, and what its predictions were made from."""
EXAMPLES, CERTIFICATES = "examples.npz", "smoothing.json"
"""The score of each example of a run, and how far its smoothed labels are certified."""
COST, PROVENANCE = "cost.json", "provenance.json"
"""Seconds and memory of a run's steps so far, and what the run says of itself; the former becomes part of the latter."""
LOG = "run.log"
"""What a run or job said while it ran."""
SCORES, FAILURE = "scores.json", "failed.json"
"""What a run ends with, and what it leaves where it failed."""
ADAPTER, LEXICAL = "adapter.json", "lexical.json"
"""What the job of a language adapter ends with, and that of a lexical injection."""

PREPARED = "prepared.json"
"""In the folder of a prepared encoder: where it comes from, and the hashes of its files."""
WORLD_STAMP = "babel.stamp.json"
"""In the data folder of a generated world: what it was made from."""
