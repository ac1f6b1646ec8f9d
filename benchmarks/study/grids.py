"""The grids of the study, from one list of what is compared.

    python -m benchmarks.study.grids

writes grid.toml in dtse_core/experiments/study, the runs that were made, and beside this file planned.toml, which has
those that were dropped, too, and rates.toml; plan.md beside the first says why. Runs of other budgets than the main one
are there for learning curves: they are compared with nothing. A budget is processor time, given in
steps of UNIT: by costs.json, which `costs.py` measures, a model has more or fewer steps of its own for it. Rates are
those of the `tiny` preset times what rates.json, which `rates.py` writes, has chosen for the model.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from dtse_core.config import preset
from dtse_core.experiments import STUDY
from dtse_core.experiments.plan import read_plan
from dtse_core.shared.files import read_json

HERE = Path(__file__).parent
COSTS, RATES = HERE / "costs.json", HERE / "rates.json"
BUDGET = 1800  # of a main run, in steps of UNIT; 16 clips a step
CURVE = {450: "a quarter of the seconds", 900: "half the seconds", 3600: "twice the seconds"}  # of runs that ended
DRAWN = (450, 900)  # those of them that were run, with the first seed of OTHERS
SEARCH, FACTORS = 600, (0.5, 1.0, 2.0)  # of the search of rates: its budget, and what all rates are multiplied by
PRIMARY = {1: [0, 1, 2, 3, 4], 2: [1, 2, 3, 4, 5]}  # seeds, by level; a grid goes seed by seed, so these come first
OTHERS, SEARCHED = [6, 7, 8], [100]  # seeds of other runs, and of the search
CLIPS = 1000  # scored, of each split
MINUTES = 45  # limit of a run
COMMON = f"data.cache=../runs/study/clips data.toy_clips={16 * BUDGET}"  # paths are seen from the notebook


class Variant(NamedTuple):
    """A model of the study; in its settings {level} is that of the world."""

    name: str
    group: str
    settings: str = ""
    model: str = "dtse"


# Of DTSE and its parts: decided on validation clips before the study, see plan.md. A run is named by its settings, so
# an older one, which does not name the stages, does not count as one of these.
DESIGN = "model.filtered=reference model.lmdf_stages=3"
UNIT = Variant("LMDF after Res3, Res4 and Res5", "LMDF", "model.lmdf_stages=3,4,5")  # DTSE as it was
DTSE = Variant("DTSE", "design")
IDEAS = [
    Variant("late concatenation", "baselines", model="late_concat"),
    Variant("sentence filters", "baselines", model="sentence_filters"),
    Variant("cross-modal self-attention", "baselines", model="cross_modal_self_attention"),
    Variant("one-way fusion", "baselines", model="one_way_fusion"),
    Variant("temporal duplex", "baselines", model="temporal_duplex"),
    Variant("query transformer", "baselines", model="query_transformer"),
    Variant("query memory", "baselines", model="query_memory"),
    Variant("frozen text", "baselines", "model.text=../runs/study/streams/words-{level}", "frozen_text"),
]
PARTS = [  # whose worth primary comparisons ask, on both levels of the world
    Variant("LMDF off", "LMDF", "model.lmdf=off"),
    Variant("one insertion, Res3", "VLMG", "model.vlmg_stages=3"),
]
FINER = [  # likewise, but of what level 1 has nothing to ask
    Variant("last text layer only", "VLMG", "model.text_levels=last"),
    Variant("LMDF at one rate", "LMDF", "model.dilations=1,1,1"),  # as many filters, on the same frames
]
EXPLORATORY = [
    Variant("VLMG off", "VLMG", "model.vlmg_stages=()"),
    Variant("words not guided", "VLMG", "model.vision_to_language=False"),
    Variant("pixels not guided", "VLMG", "model.language_to_vision=False"),
    Variant("one insertion, Res5", "VLMG", "model.vlmg_stages=5"),
    Variant("LMDF static", "LMDF", "model.lmdf=static"),
    Variant("LMDF current frame only", "LMDF", "model.lmdf=current_only"),
    Variant("filters on the current frame alone", "LMDF", "model.filtered=current"),
    Variant("LMDF without the sentence", "LMDF", "model.lmdf_language=False"),
    Variant("one frame", "window", "model.window=1"),
    Variant("five frames", "window", "model.window=5"),
]
WHOLE = EXPLORATORY[0]  # VLMG as a whole: of the exploratory parts the one that was run
VARIANTS = [UNIT, DTSE, *IDEAS, *PARTS, *FINER, *EXPLORATORY]


def steps_for(variant: Variant, budget: int, costs: dict[str, Any]) -> int:
    """How many steps of its own a variant has in the time of so many of UNIT, to the next ten."""
    return 10 * round(budget / costs[variant.name]["share"] / 10)


def rates(factor: float) -> str:
    """All rates of the `tiny` preset times a factor, as settings; nothing for 1."""
    tiny = preset("tiny").train
    names = ("lr", "stream_lr", "gate_lr", "muon_lr")
    return " ".join(f"train.{name}={getattr(tiny, name) * factor:g}" for name in names) if factor != 1 else ""


def settings(variant: Variant, level: int, factor: float, *more: str) -> str:
    """What a run adds to COMMON."""
    design = DESIGN if variant.model == DTSE.model else ""
    own = (f"data.level={level}", design, variant.settings.format(level=level), rates(factor), *more)
    return " ".join(text for text in own if text)


def planned(costs: dict[str, Any], chosen: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Blocks of all that the plan names, the most important first."""

    def block(variant: Variant, seeds: Sequence[int], level: int = 2, budget: int = BUDGET) -> dict[str, Any]:
        labels = {"variant": variant.name + ", level 1" * (level == 1), "group": variant.group}
        labels["budget"] = _label(budget)
        labels |= {"against": "DTSE, level 1"} if level == 1 else {"against": variant.name} if budget != BUDGET else {}
        own = settings(variant, level, chosen.get(variant.model, 1.0))
        values = {"MODEL": variant.model, "STEPS": steps_for(variant, budget, costs), "SETTINGS": own}
        return {"labels": labels, "seeds": list(seeds), "values": values}

    yield from (block(variant, PRIMARY[2]) for variant in (DTSE, *PARTS, *FINER, *IDEAS))
    yield from (block(variant, PRIMARY[1], level=1) for variant in (DTSE, *PARTS, *IDEAS))
    yield from (block(variant, OTHERS) for variant in (UNIT, *EXPLORATORY))
    for budget in CURVE:
        yield from (block(variant, OTHERS, budget=budget) for variant in (DTSE, *IDEAS))


def made(blocks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those of the planned blocks that were carried out: what the primary comparisons need, the model without VLMG, and
    the shorter runs of the learning curves, with one seed."""
    asked = {(name, one.budget) for one in read_plan(STUDY / "grid.toml") for name in (one.variant, one.reference)}
    asked.add((WHOLE.name, _label(BUDGET)))
    shorter = {_label(budget) for budget in DRAWN}
    for block in blocks:
        labels = block["labels"]
        if (labels["variant"], labels["budget"]) in asked:
            yield block
        elif labels["budget"] in shorter:
            yield block | {"seeds": OTHERS[:1]}


def _label(budget: int) -> str:
    return CURVE.get(budget, "seconds")


def search(costs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Blocks of the grid that searches rates: of DTSE and of every idea, on the same terms, where all learn soonest."""
    validation = "train.eval_every=0 train.eval_samples=500"  # scored once, at the end
    for variant in (DTSE, *IDEAS):
        for factor in FACTORS:
            own = settings(variant, 1, factor, validation)
            values = {"MODEL": variant.model, "STEPS": steps_for(variant, SEARCH, costs), "SETTINGS": own}
            labels = {"variant": f"{variant.name}, rates x {factor:g}", "group": variant.name, "budget": "seconds"}
            yield {"labels": labels, "seeds": SEARCHED, "values": values}


def as_toml(about: str, notebook: str, clips: int, blocks: Iterable[dict[str, Any]]) -> str:
    """A grid file."""
    head = [f"# {about}", "# Written by `python -m benchmarks.study.grids`: change that file, not this one."]
    head += [f'notebook = "{notebook}"', f"minutes = {MINUTES}"]
    head += ["", "[values]", f"EVAL = {clips}", f'SETTINGS = "{COMMON}"']
    for block in blocks:
        head += ["", "[[blocks]]", f"seeds = {block['seeds']}"]
        for name in ("labels", "values"):
            pairs = ", ".join(f"{k} = {json.dumps(v)}" for k, v in block[name].items())
            head.append(f"{name} = {{ {pairs} }}")
    return "\n".join(head) + "\n"


def grids() -> dict[Path, str]:
    """The files' text."""
    costs = read_json(COSTS)["variants"]
    chosen = read_json(RATES)["chosen"] if RATES.exists() else {}
    whole, here = list(planned(costs, chosen)), "../../notebooks/experiment.ipynb"
    return {
        STUDY / "grid.toml": as_toml(
            "The study; plan.md says what it asks.", "../grids/experiment.ipynb", CLIPS, made(whole)
        ),
        HERE / "planned.toml": as_toml("All that the plan of the study names.", here, CLIPS, whole),
        HERE / "rates.toml": as_toml(
            "The search of rates; the plan of the study says how one is chosen.", here, 20, search(costs)
        ),
    }


def main() -> None:
    """Command line."""
    for path, text in grids().items():
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.study.grids", description=__doc__)
