"""F1 over spans of tags (WikiANN, UD-POS), by the library XTREME calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence


def tag_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Micro-averaged ``f1``, ``precision`` and ``recall`` over spans, in per cent, by seqeval in its default mode.

    XTREME's ``evaluate.py`` gives the raw tag strings of both tagging tasks to seqeval, which reads every tag as a
    chunk prefix (its first character) and a type (the rest, up to a leading ``X-``), as conlleval does. For WikiANN's
    IOB2 tags that is entity F1; an ``I-`` without a ``B-`` before it opens an entity. UPOS tags have no prefix, so
    their F1 is close to, but not, tagging accuracy:

    - equal neighbours are one span: NOUN NOUN against NOUN VERB has no span right, although one tag of two is;
    - S and I are read as prefixes: each SYM and SCONJ is a span of its own, and SCONJ loses its S, so a CCONJ
      predicted as SCONJ counts as right (both have type CONJ; no other two tags share a type);
    - X has an empty type, like the O that seqeval puts between sentences: an X that starts a sentence opens no span
      (the span it closes begins where the one before began), and an X that ends a sentence is never closed, so it is
      not counted.

    This is seqeval 1.x; version 0.0.12 took the whole tag as type, which tells CCONJ from SCONJ and counts every X. An
    undefined precision or recall (nothing predicted, nothing to find) is 0, as in seqeval.

    Args:
        gold: one sequence of tags per sentence.
        predicted: the same shape.
    """
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support  # scikit-learn: slow import

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* seems not to be NE tag")
        precision, recall, f1, _ = precision_recall_fscore_support(
            [list(tags) for tags in gold], [list(tags) for tags in predicted], average="micro", zero_division=0
        )
    return {"f1": float(f1) * 100, "precision": float(precision) * 100, "recall": float(recall) * 100}
