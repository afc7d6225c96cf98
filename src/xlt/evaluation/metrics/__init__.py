"""The metrics of XTREME and XTREME-R, in per cent, equal to the owners' scorers on the same predictions.

Each takes plain Python values that were checked by the reader (``xlt.evaluation.submission``), never files.
"""

from __future__ import annotations

from xlt.evaluation.metrics.answers import normalize_mlqa, normalize_squad, question_scores
from xlt.evaluation.metrics.labels import accuracy, correct
from xlt.evaluation.metrics.pairs import pair_f1
from xlt.evaluation.metrics.ranking import average_precision, full_average_precision, language_bias
from xlt.evaluation.metrics.tags import tag_f1

__all__ = [
    "accuracy",
    "average_precision",
    "correct",
    "full_average_precision",
    "language_bias",
    "normalize_mlqa",
    "normalize_squad",
    "pair_f1",
    "question_scores",
    "tag_f1",
]
