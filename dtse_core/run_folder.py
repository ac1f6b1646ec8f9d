"""What a run folder holds, and how it is written so that a cut at any moment loses nothing.

run.json        every setting            history.jsonl   a line per log and validation
versions.json   packages and git hash    checkpoints/    the newest `keep` states to resume from
best/  final/   weights that `from_pretrained` loads: best in validation, and the last
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from .checkpoint import write_json
from .config import RunConfig, from_dict, to_dict
from .model import DTSE


@dataclass
class RunState:
    """Where a run stands; everything else that varies follows from the step."""

    step: int = 0
    seconds: float = 0.0  # of training, over all resumes
    best: float = -1.0  # highest validation mean IoU


def save_weights(folder: Path, model: DTSE, tokenizer, config: RunConfig) -> None:
    """A folder that `from_pretrained` loads: weights, both configs, tokenizer. Replaced as a whole."""
    part = _fresh(folder.with_name(folder.name + ".part"))
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    write_json(part / "run.json", to_dict(config) | {"out": Path(config.out).name})
    _replace(part, folder)


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted((out / "checkpoints").glob("step_[0-9]*[0-9]"))


def save_checkpoint(out: Path, state: RunState, model: DTSE, optimizer, accelerator: Accelerator, keep: int) -> None:
    """Model, optimiser and position, written beside and renamed, so a cut never leaves half a checkpoint."""
    folder = out / "checkpoints" / f"step_{state.step:09d}"
    part = _fresh(folder.with_name(folder.name + ".part"))
    save_file(model.state_dict(), part / "model.safetensors")
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else {}
    torch.save({"optimizer": optimizer.state_dict(), "scaler": scaler}, part / "optimizer.pt")
    write_json(part / "state.json", vars(state))
    _replace(part, folder)
    for old in checkpoints(out)[:-keep]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path, model: DTSE, optimizer, accelerator: Accelerator) -> RunState:
    """Restores model and optimiser in place. Reads no pickled code: safetensors, and tensors alone from torch."""
    try:
        model.load_state_dict(load_file(folder / "model.safetensors", device=str(accelerator.device)))
        saved = torch.load(folder / "optimizer.pt", map_location=accelerator.device, weights_only=True)
        optimizer.load_state_dict(saved["optimizer"])
        if accelerator.scaler and saved["scaler"]:
            accelerator.scaler.load_state_dict(saved["scaler"])
        return RunState(**json.loads((folder / "state.json").read_text()))
    except Exception as error:  # each library has its own
        raise ValueError(f"checkpoint {folder} is damaged; delete it to resume from the one before") from error


def same_settings(out: Path, config: RunConfig) -> None:
    """Raises `ValueError`, naming what differs, if the run in `out` was started with other settings."""
    old, new = (to_dict(x) for x in (from_dict(json.loads((out / "run.json").read_text())), config))
    free = ("out", "data.workers", "train.checkpoint_every", "train.keep")  # change nothing in the result
    changed = [f"{k}: {old[k]} there, {new[k]} now" for k in new if old[k] != new[k] and k not in free]
    if changed:
        raise ValueError(f"{out} holds a run with other settings ({'; '.join(changed)}); choose another --out")


def append_history(out: Path, record: dict) -> None:
    """Adds one line to `history.jsonl`."""
    with open(out / "history.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


def cut_history(out: Path, step: int) -> None:
    """Drops records from after the checkpoint that a killed run resumes from."""
    path = out / "history.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    path.write_text("".join(line + "\n" for line in kept))


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _replace(part: Path, folder: Path) -> None:
    """Puts `part` in the place of `folder`, which is out of the way only between two renames."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
