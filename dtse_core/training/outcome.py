"""What a run came to, and what longer ones gave."""

from pathlib import Path

from ..config import RunConfig
from ..data.build import is_toy, training_splits
from .run_folder import read_history

# Steps of preset `tiny` on level 1 and their mean IoU (docs/recipe.md): three seeds on `test`, one run on `val`.
MEASURED = {2500: "0.83", 9000: "0.89"}


def outcome(config: RunConfig) -> str:
    """Steps, time and last validation of the run in `config.out`, and what to expect of more; warns of few steps."""
    validated = [record for record in read_history(Path(config.out)) if "val_mean_iou" in record]
    if not validated:
        return f"{Path(config.out) / 'history.jsonl'} records no validation"
    last = validated[-1]
    steps, minutes = last["step"], last["seconds"] / 60
    split = training_splits(config.data)[1]
    level = config.data.level
    known = config.preset == "tiny" and is_toy(config.data) and level == 1
    said = f"{steps:,} steps in {minutes:.1f} minutes, mean IoU {last['val_mean_iou']:.3f} on {split}"
    if steps < min(MEASURED):
        said += f"\nwarning: few steps; the shortest training with a known result has {min(MEASURED):,}"
    more = [
        f"{iou} after {n:,} steps ({n * minutes / steps:,.0f} minutes at this pace)"
        for n, iou in MEASURED.items()
        if n > steps > 0
    ]
    if not known:
        said += f"\nwhat more steps give is not measured for preset {config.preset} on {config.data.name}"
        said += f", level {level}" if level > 1 else ""
    elif more:
        said += f"\nmean IoU of preset tiny on the toy world (docs/recipe.md): {', '.join(more)}"
    return said
