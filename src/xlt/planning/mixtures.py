"""The runs that train several intermediate recipes together, or one mixed with masked text, and who shares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlt.config.regimes import Intermediate, Regime
from xlt.config.run_config import Mixture, Named, run_dir
from xlt.errors import InputError

if TYPE_CHECKING:
    from xlt.planning.planner import Planner


def add_mixture(planner: Planner, regime: Regime, before: Intermediate, seed: int) -> str | None:
    """Plan the intermediate run of ``regime`` (once) and return its folder, or None when files of it are absent."""
    alike = [other for other in planner.regimes.values() if trains_alike(other, regime)]
    owner = next((other for other in alike if continues(other)), alike[0] if alike else regime)
    folder = run_dir(owner.name, "intermediate", seed)
    if folder not in planner.runs:
        stages = [planner.stage(planner.recipes[name], owner.plain(), seed) for name in before.recipes]
        text = {} if before.masked_text is None else planner.raw_text()
        if None in stages or (before.masked_text is not None and not text):
            return None
        if constant := [name for name in before.recipes if planner.recipes[name].decay != "linear"]:
            raise InputError(
                f"regime {regime.name}: intermediate.recipes: tasks that are trained together share one linear decay; "
                f"expected recipes with decay linear, got {', '.join(constant)}"
            )
        titles = [planner.recipes[name].title for name in before.recipes]
        planner.runs[folder] = planner.run_config(
            owner.plain(),
            Named(name="intermediate", title=" + ".join(titles)),
            seed,
            stages=[stage for stage in stages if stage is not None],
            mixture=Mixture(temperature=before.temperature, masked_text=before.masked_text, text=text),
        )
    return folder


def continues(regime: Regime) -> bool:
    """Whether the weights of the intermediate run go on; of several regimes that share one, it gives the folder its name."""
    return regime.intermediate is not None and regime.intermediate.transfer == "continue"


def trains_alike(one: Regime, other: Regime) -> bool:
    """Whether two regimes have the same intermediate training, however its result is passed on."""
    if one.intermediate is None or other.intermediate is None:
        return False
    passed_on = {"transfer", "learning_rate"}
    first, second = (each.intermediate.model_dump(exclude=passed_on) for each in (one, other) if each.intermediate)
    return one.intermediate.transfer != "fuse" and first == second and one.plain().axes() == other.plain().axes()
