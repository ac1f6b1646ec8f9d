"""Scores a checkpoint, or masks of any method from a folder or zip, on a data set. Notebook: 09_full_evaluation.

    python -m dtse_core.evaluate --checkpoint RUN_OR_NAME --data.name a2d --data.root DIR --split test --json FILE
    python -m dtse_core.evaluate --masks FOLDER_OR_ZIP --data.name mevis --data.root DIR
    python -m dtse_core.evaluate --validate FILE.zip --data.name refer_youtube_vos --data.root DIR

Each data set has its protocol: J and F of whole videos on Ref-DAVIS17, Refer-YouTube-VOS and MeViS, IoU of single
frames on the others. A toy world adds a breakdown by the evidence that a sentence needs, its second level a diagnosis,
which `dtse_core.experiments.diagnosis` draws. The layout of masks is that of dtse_core/scoring/mask_files.py. With
`torchrun --nproc_per_node N -m dtse_core.evaluate ...` N processes share the work; the numbers are those of one.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import torch

from .checkpoints.find import LEAST, checkpoint_folder, checkpoint_sha256, model_sha256, read_run_config
from .config import DataConfig, RunConfig, Size, check_settings, to_dict
from .data.build import build_dataset, scored_split
from .data.listing import read_toy
from .scoring.answers import ModelAnswers
from .scoring.mask_files import MaskWriter, folder_for_masks
from .scoring.mask_reader import MaskReader
from .scoring.pictures import PICTURES, draw_cases
from .scoring.protocols import Samples, Videos, protocol_for
from .scoring.submission import HOMES, SUBMISSION, validate, write_submission
from .scoring.tables import format_markdown, format_table
from .shared.console import argument, one_line_errors, parse, usable_device, visible
from .shared.files import PAGE, require_ours, write_json, written_whole
from .shared.versions import RESULT_KEYS, library, versions
from .video.prediction import MASKS

SAMPLED = ("toy", "a2d", "jhmdb", "own", "refcoco")  # sets whose frames are scored one by one


@dataclass(frozen=True)
class EvaluateCommand:
    """Score a checkpoint on a data set; settings of the data default to those that it was trained with."""

    checkpoint: str = "tiny"  # a run folder, a checkpoint folder, a hub name, or tiny
    masks: str = ""  # folder or zip of predicted masks to score in place of a checkpoint
    split: str = ""  # part of the data set; "": the one that is scored: test, val, local-val or valid_u
    json: str = ""  # file for the result; folders are made as needed
    markdown: str = ""  # file for the result as a page
    pictures: str = ""  # folder for pictures of the ten worst and the ten best cases
    save_masks: str = ""  # folder for the predicted masks, as --masks reads them
    submission: str = ""  # zip for the server of refer_youtube_vos or mevis, split valid
    validate: str = ""  # zip to check before it is submitted; nothing is scored
    compare: Literal[">=", ">", "mttr"] = ">="  # of P@K and the AP that is their mean
    first_appearance: bool = False  # refer_youtube_vos, mevis: frames before the target's first one do not count
    baselines: bool = False  # also score everything, nothing, and the largest thing that moves
    batch: Size = 16  # clips, or sentences about one video, at a time
    device: str = "auto"  # cpu, cuda, cuda:1 ... or auto
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        check_settings(self)


def parse_command(arguments: Sequence[str]) -> EvaluateCommand:
    """The command line over the settings that the checkpoint brings along."""
    name = argument(arguments, "--checkpoint") or EvaluateCommand.checkpoint
    asks_model = not any(argument(arguments, option) for option in ("--masks", "--validate"))
    default = EvaluateCommand(checkpoint=name)
    if asks_model and not {"-h", "--help"} & set(arguments):
        default = replace(default, data=read_run_config(checkpoint_folder(name)).data)
    c = parse(EvaluateCommand, "python -m dtse_core.evaluate", arguments, default, description=__doc__)
    if c.data.name == "toy" and c.data.root != default.data.root:
        raise ValueError(f"--data.root {c.data.root} is not read by --data.name toy; add --data.name a2d")
    if (c.submission or c.validate) and c.data.name not in HOMES:
        raise ValueError(f"--data.name {c.data.name} has no submission zips; only {' and '.join(HOMES)} have a server")
    for option, fits in (("baselines", c.data.name in SAMPLED), ("first_appearance", c.data.name in HOMES)):
        if getattr(c, option) and not fits:
            raise ValueError(f"--{option.replace('_', '-')} means nothing on --data.name {c.data.name}; leave it out")
    return replace(c, split=c.split or ("valid" if c.submission or c.validate else scored_split(c.data)))


def require_places(c: EvaluateCommand) -> None:
    """Raises an error as `require_ours` does, before the work begins, for what must not be written to."""
    inputs = c.masks, c.data.root, checkpoint_folder(c.checkpoint) if not c.masks else ""
    asked = c.json, c.markdown, c.submission, c.pictures, c.save_masks
    outputs = [Path(os.path.realpath(path)) for path in asked if path]
    for path, other in permutations(outputs, 2):
        if path.is_relative_to(other):
            raise ValueError(f"{path} and {other} are both to be written, one over the other; choose separate names")
    for file, mark in ((c.json, RESULT_KEYS), (c.markdown, PAGE), (c.submission, SUBMISSION)):
        if file:
            require_ours(file, mark, inputs=inputs)
    for folder, mark in ((c.pictures, PICTURES), (c.save_masks, MASKS)):
        if folder:
            require_ours(folder, mark, folder=True, inputs=inputs)
    # What is written among the masks would be scored the next time.
    if inside := next((p for p in outputs if c.masks and p.is_relative_to(os.path.realpath(c.masks))), None):
        raise ValueError(f"{inside} lies in the input {c.masks}; choose a place outside it")


def run_command(c: EvaluateCommand, show: Callable[[EvaluateCommand, dict], None] | None = None) -> dict:
    """Scores, and returns the result with where it came from; empty in all processes of a launch but the first.

    `show` gets the result before the submission and the pictures are made: an error there costs neither it nor the
    masks. Raises `ModuleNotFoundError` before the work for a package that an option needs.
    """
    from accelerate import PartialState

    for option, package in (("pictures", "matplotlib.pyplot"), ("baselines", "scipy.ndimage")):
        if getattr(c, option):
            library(package, f"--{option}")
    device = usable_device(c.device)
    state = PartialState(cpu=device.type == "cpu")
    first = state.is_main_process
    answers = MaskReader(c.masks, c.data.name) if c.masks else ModelAnswers(c.checkpoint, c.data, device, c.batch)
    start = "from-first-appearance" if c.first_appearance else "all"

    def protocol_of(split: str) -> Samples | Videos:
        dataset = build_dataset(c.data, split, *answers.window)
        return protocol_for(dataset, answers, c.batch, c.data.workers, c.compare, start)

    protocol, twins = protocol_of(c.split), []
    protocol.require_answers(unscored=bool(c.save_masks or c.submission))
    kept = c.save_masks or c.submission or ("" if c.masks else c.pictures)  # where masks are written on the way
    with ExitStack() as masks:
        folder = masks.enter_context(folder_for_masks(kept, bool(c.save_masks), state))
        writer = MaskWriter(folder, c.data.name) if folder else None
        records = protocol.score(writer, state, progress=first)
        if not c.masks and has_twins(c.data):
            twins = records if c.split == "twins" else protocol_of("twins").score(None, state, progress=first)
        if not first:
            return {}
        protocol.finish(records, writer)
        if c.save_masks:
            masks.close()  # they take their place now, and no later error takes it from them
            folder = Path(c.save_masks)
        result = protocol.summary(records, twins, c.baselines) | record_of(c, protocol, records)
        if show:
            show(c, result)
        if c.submission and folder:
            print(write_submission(folder, Path(c.submission), c.data.name, protocol.dataset))
        if c.pictures and records:
            draw_cases(c.pictures, records, protocol.dataset, MaskReader(folder or c.masks, c.data.name))
    return result


def record_of(c: EvaluateCommand, protocol: Samples | Videos, records: list) -> dict:
    """What a result must tell of its run: what was scored, on what, by which choices of the protocol."""
    answers, version = protocol.answers, protocol.dataset.version
    if isinstance(answers, MaskReader):
        config = {
            name: value
            for name, value in to_dict(RunConfig(data=c.data)).items()
            if name.startswith(("format", "data."))
        }
        scored: dict[str, Any] = {"masks_sha256": answers.sha256()}
    else:
        config = to_dict(replace(read_run_config(answers.folder), data=c.data))
        folder = answers.folder
        scored = {"checkpoint_sha256": checkpoint_sha256(folder), "model_sha256": model_sha256(folder)}
        scored |= {LEAST: least} if (least := answers.predictor.least) else {}
    about = {"source": c.masks or c.checkpoint, "split": c.split, **protocol.about(records), "config": config}
    return about | ({"version": version} if version else {}) | scored | {"versions": versions()}


def has_twins(data: DataConfig) -> bool:
    """True for a toy world with clips in its `twins` split, in a layout that can tell twins."""
    listing = Path(data.root) / "toy_world.json"
    if data.name != "a2d" or not listing.is_file():
        return data.name == "toy" and data.level == 1
    return bool((read_toy(listing)[0] or {}).get("twins"))


def validate_command(c: EvaluateCommand) -> None:
    """Prints the report on a zip. Raises `ValueError` if it breaks a rule."""
    report = validate(c.validate, c.data.name, build_dataset(c.data, c.split, window=1))
    print(f"{c.validate} for {c.data.name}, split {c.split}\n{report}")
    if report.broken:
        raise ValueError(f"{c.validate} is not valid, it breaks {len(report.broken)} rules; see the list above")
    print("valid")


def show(c: EvaluateCommand, result: dict) -> None:
    """Prints the table, and writes it to the files that were asked for."""
    print(f"{result['source']} on {c.data.root or c.data.name}, split {c.split}")
    print("\n".join(f"{name}: {value}" for name, value in (result["protocol"] | result["counts"]).items()))
    print(format_table(result) if "metrics" in result else "no masks to score with: predictions alone")
    if c.json:
        write_json(c.json, result, RESULT_KEYS)
    if c.markdown:
        with written_whole(c.markdown, PAGE) as part:
            part.write_text(visible(f"<!-- {PAGE} -->\n{format_markdown(result)}"), encoding="utf-8")


@one_line_errors
def main() -> None:
    """Command line."""
    command = parse_command(sys.argv[1:])
    if command.validate:
        validate_command(command)
    else:
        require_places(command)
        if run_command(command, show):
            asked = command.json, command.markdown, command.pictures, command.save_masks, command.submission
            print("\n".join(f"written: {path}" for path in asked if path))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
