"""Task families by their name in a config: each object has everything that its kind of task needs."""

from __future__ import annotations

from xlt.families.base import Family, Supervised
from xlt.families.choice import MultipleChoice
from xlt.families.classification import Classification
from xlt.families.lareqa import Lareqa
from xlt.families.mewslix import Mewslix
from xlt.families.mining import Bucc, Tatoeba
from xlt.families.qa import ExtractiveQA
from xlt.families.retrieval import DualEncoder, Retrieval
from xlt.families.tagging import Tagging

SUPERVISED: dict[str, Supervised] = {
    family.name: family for family in (Classification(), MultipleChoice(), Tagging(), ExtractiveQA())
}
DUAL_ENCODERS: dict[str, DualEncoder] = {family.name: family for family in (Lareqa(), Mewslix())}
RETRIEVAL: dict[str, Retrieval] = {**DUAL_ENCODERS, **{family.name: family for family in (Tatoeba(), Bucc())}}
FAMILIES: dict[str, Family] = {**SUPERVISED, **RETRIEVAL}
FURTHER = tuple(ending for family in FAMILIES.values() for ending in family.further)
"""What the folders of a task beside its own end in, after its name and "_"."""
