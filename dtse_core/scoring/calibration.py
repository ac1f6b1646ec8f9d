"""Chooses on validation clips the confidence below which an empty mask scores more than the model's.

    python -m dtse_core.scoring.calibration --checkpoint RUN

writes it into the checkpoint's run.json, where `predict` and `evaluate` find it: an answer whose confidence (the mean
probability over its mask, D-15) is lower is left empty, frame by frame. Without it a checkpoint answers as before.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch.utils.data import Subset

from ..checkpoints.find import LEAST, PACKAGED, RUN, checkpoint_folder, read_run_config
from ..config import DataConfig, Name, Size, Whole, check_settings
from ..data.build import build_dataset, training_splits
from ..metrics import sample_ious
from ..shared import markdown
from ..shared.console import argument, one_line_errors, parse, usable_device
from ..shared.files import ANY, read_bytes, read_json, write_json, written_whole
from .answers import ModelAnswers
from .clips import some_of
from .diagnosis import diagnose
from .records import Sample
from .tables import diagnosis_rows


def least_confidence(samples: Sequence[Sample]) -> float:
    """The threshold with the highest mean IoU over `samples`, two empty masks counting 1; 0 if none gains anything.

    It lies halfway between two confidences; of equally good ones it is the lowest, and one answer at least stays.
    Raises `ValueError` if every sample has something to mark: any mask is then better than none.
    """
    empty = np.array([sample.target == 0 for sample in samples])
    if not empty.any():
        raise ValueError("every sample has something to mark; take more --samples, with --data.level 2")
    ious = sample_ious([(sample.intersection, sample.union) for sample in samples])
    order = np.argsort([sample.confidence for sample in samples])
    rising = np.array([samples[k].confidence for k in order])
    gains = np.concatenate([[0.0], np.cumsum((empty - ious)[order])[:-1]])  # of emptying the k least confident answers
    gains[1:][rising[1:] == rising[:-1]] = -np.inf  # equals stay together
    k = int(np.argmax(gains > gains.max() - 1e-9))  # the first of those that are equal but for rounding
    return float(rising[k - 1 : k + 1].mean()) if k else 0.0


def emptied(samples: Sequence[Sample], least: float) -> list[Sample]:
    """The same with an empty answer wherever the confidence is below `least`."""
    return [replace(s, intersection=0, union=s.target, confidence=0.0) if s.confidence < least else s for s in samples]


@dataclass(frozen=True)
class Command:
    """Choose a checkpoint's least confidence; settings of the data default to those that it was trained with."""

    checkpoint: Name  # a run folder or a checkpoint folder
    samples: Whole = 500  # of the validation split; 0 means all
    batch: Size = 16
    device: str = "auto"  # cpu, cuda, cuda:1 ... or auto
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        check_settings(self)


def calibrate(c: Command) -> str:
    """Writes the threshold; returns what it gives on the validation split, as a table in Markdown.

    Raises `ValueError` for a checkpoint of the package or of the hub's cache, and as `least_confidence` does.
    """
    folder, split = checkpoint_folder(c.checkpoint), training_splits(c.data)[1]
    if folder.resolve().is_relative_to(PACKAGED.resolve()) or (folder / RUN).is_symlink():
        raise ValueError(f"{folder} is the package's or the hub's, and stays as it is; calibrate a copy of it")
    with written_whole(folder / RUN, ANY) as part:  # before the work: the same content, to see that it can be written
        part.write_bytes(read_bytes(folder / RUN))
    answers = ModelAnswers(c.checkpoint, c.data, usable_device(c.device), c.batch)
    answers.predictor.least = 0.0
    dataset = build_dataset(c.data, split, *answers.window)
    chosen = Subset(dataset, some_of(dataset, c.samples or len(dataset)))
    samples = answers.samples(chosen, c.data.workers, True, None)
    least = least_confidence(samples)
    write_json(folder / RUN, read_json(folder / RUN) | {LEAST: least}, ANY)
    sides = {"as it was": samples, f"confidence at least {least:.3f}": emptied(samples, least)}
    rows = diagnosis_rows({"diagnosis": {name: diagnose(some, {})["all"] for name, some in sides.items()}})
    return "\n".join([f"{folder} on {split}", *markdown.table(rows), f"written: {folder / RUN}"])


def parse_command(arguments: Sequence[str]) -> Command:
    """The command line over the settings that the checkpoint brings along."""
    name = argument(arguments, "--checkpoint")
    default = Command(name, data=read_run_config(checkpoint_folder(name)).data) if name else None
    return parse(Command, "python -m dtse_core.scoring.calibration", arguments, default, description=__doc__)


@one_line_errors
def main() -> None:
    """Command line."""
    print(calibrate(parse_command(sys.argv[1:])))


if __name__ == "__main__":
    main()
