"""What a run folder holds, and how it is written so that a cut at any moment loses nothing.

run.json        every setting                     history.jsonl   a line per log and validation
lock            who is training here, now
versions.json   packages, git hash, hardware      checkpoints/    the newest `keep` states to resume from
best/  final/   weights that `from_pretrained` loads: best in validation, and the last
dtse/  wandb/   what the tracker writes, if one is chosen
"""

import importlib.util
import json
import math
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ..checkpoints.find import DRAWN
from ..config import Amount, Outdated, RunConfig, Whole, checked, from_dict, setting_kinds, to_dict
from ..data.build import is_toy
from ..shared.files import (
    ANY,
    OURS,
    bears,
    read_json,
    read_json_lines,
    remove_ours,
    require_folder_above,
    require_ours,
    write_json,
    written_whole,
)
from ..shared.versions import versions
from .card import card

WEIGHTS, CHECKPOINT = f"weights {OURS}", f"checkpoint {OURS}"  # marks of their folders
MARKS = {  # of what a run writes; its files are known by keys of their own
    "run.json": r'"model\.lmdf": ',
    "versions.json": r'^\{\s*"python": "[^"]*",\s*"dtse": "',
    "history.jsonl": r'^\{"step": \d+, "seconds": |^$',
    "lock": r"^process \d+ on |^$",
    "best": WEIGHTS,
    "final": WEIGHTS,
}


@dataclass
class RunState:
    """Where a run stands; everything else that varies follows from the step."""

    step: Whole = 0
    seconds: Amount = 0.0  # of training, over all resumes
    best: float = -1.0  # highest validation score
    stale: Whole = 0  # validations since then


def require_run(out: Path) -> None:
    """Raises `FileExistsError` if something in `out` has a name that a run writes to, and is not a run's."""
    marks = {out / name: mark for name, mark in MARKS.items()} | dict.fromkeys(checkpoints(out), CHECKPOINT)
    require_folder_above(out / "run.json")
    for path, mark in marks.items():
        if path.exists() and not bears(path, mark):
            raise FileExistsError(f"{path} was not written by a training; choose another --out, or move it away")


@contextmanager
def only_training(out: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes from training in it; ends with the process, however that ends.

    A training that is refused before it writes leaves no folder behind.

    Raises `ValueError` that names the process which is training there, and as `require_run` does.
    """
    require_run(out)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "a+", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no worker inherits it, as it would with flock
            if os.fstat(file.fileno()).st_nlink == 0:
                raise BlockingIOError  # its holder was just ending
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            holder = file.read() or "another process"
            raise ValueError(
                f"{out} is in use: {holder} is training there; wait until it ends, stop it, or choose another --out"
            ) from error
        except (ImportError, OSError) as error:
            print(f"{out} cannot be locked here ({error}); see that no other training uses it", flush=True)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                (out / "lock").unlink()
                for folder in made:
                    folder.rmdir()  # unless something is in it


def open_run(out: Path, config: RunConfig) -> None:
    """Writes down what runs in it, and on what. Errors as in `same_settings`, unless nothing is there to resume: who
    corrects the command of a run that did not get so far begins it anew."""
    if any((out / name).exists() for name in ("checkpoints", "best", "final")):
        same_settings(out, config)
    write_json(out / "run.json", to_dict(config), ANY)
    write_json(out / "versions.json", versions() | hardware(), ANY)


def hardware() -> dict[str, str | int | list[str]]:
    """What a run's speed depends on."""
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return {"system": platform.platform(), "machine": platform.machine(), "cores": os.cpu_count() or 0, "gpus": gpus}


def save_weights(folder: Path, model: Any, tokenizer: Any, config: RunConfig) -> None:
    """A folder that `from_pretrained` loads: weights, both configs, tokenizer, and a card. Replaced as a whole.

    If others have put files into it meanwhile, it stays beside the new one under another name.
    """
    try:
        require_ours(folder, WEIGHTS, folder=True)
    except FileExistsError as error:
        print(f"{error}: it is kept as {_set_aside(folder, 'kept')}", flush=True)
    with written_whole(folder, WEIGHTS, folder=True, sync=True) as part, _room_for(folder):
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        more = {"out": Path(config.out).name, DRAWN: is_toy(config.data)}  # who loads it may not have the data set
        write_json(part / "run.json", to_dict(config) | more, ANY)
        (part / "README.md").write_text(card(config, model, read_history(Path(config.out))), encoding="utf-8")


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted((out / "checkpoints").glob("step_[0-9]*[0-9]"))


def save_checkpoint(
    out: Path,
    state: RunState,
    model: nn.Module,
    average: AveragedModel | None,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    keep: int,
) -> None:
    """Model, average, optimizer and position; only then the oldest goes."""
    folder = out / "checkpoints" / _name(state)
    with written_whole(folder, CHECKPOINT, folder=True, sync=True) as part, _room_for(folder):
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, part / "model.safetensors")
        scaler = accelerator.scaler.state_dict() if accelerator.scaler else {}
        kept = {"optimizer": optimizer.state_dict(), "scaler": scaler}
        torch.save(kept | ({"average": average.state_dict()} if average else {}), part / "optimizer.pt")
        write_json(part / "state.json", vars(state), ANY)
    for old in checkpoints(out)[:-keep]:
        remove_ours(old, CHECKPOINT)


def _name(state: RunState) -> str:
    return f"step_{state.step:09d}"


def remove_checkpoints(out: Path) -> None:
    """Removes the checkpoints of a run that has ended, and their folder if nothing else is in it."""
    for folder in (out / "checkpoints").glob("*step_*"):
        remove_ours(folder, CHECKPOINT)
    with suppress(OSError):
        (out / "checkpoints").rmdir()


def read_checkpoint(folder: Path) -> tuple[RunState, dict, dict]:
    """State, weights, and what optimizer and average remember. No pickled code is read: safetensors, torch's tensors.

    Raises `ValueError` if anything in the folder is missing or cut short.
    """
    try:
        found = read_json(folder / "state.json")
        state = RunState(**{name: checked(name, found[name], kind) for name, kind in setting_kinds(RunState).items()})
        if folder.name != _name(state):
            raise ValueError(f"it says step {state.step}")
        for file in (folder / "optimizer.pt", folder / "model.safetensors"):
            if not file.is_file():  # a pipe would be waited for
                raise ValueError(f"{file.name} is missing")
        saved = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        weights = load_file(folder / "model.safetensors")
        if not finite(weights) or not finite(saved.get("average", {})):
            raise ValueError("it holds NaN or infinity")
        return state, weights, saved
    except Exception as error:  # each library has its own
        raise ValueError(f"checkpoint {folder} is damaged ({_first_line(error)})") from error


def resume(
    out: Path,
    model: nn.Module,
    average: AveragedModel | None,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> RunState:
    """Where the newest readable checkpoint stands; at the beginning if the run has none.

    A damaged one is renamed to `step_N.damaged`, and the one before is taken. Raises `ValueError` if all are
    damaged, or if the processes do not see the same one.
    """
    with accelerator.main_process_first():  # it sets the damaged ones aside
        found = _newest_readable(out)
    state = RunState()
    if found:
        state, weights, saved = found
        try:
            model.load_state_dict(weights)
            optimizer.load_state_dict(saved["optimizer"])
            if average:
                average.load_state_dict(saved["average"])
            if accelerator.scaler and saved["scaler"]:
                accelerator.scaler.load_state_dict(saved["scaler"])
        except Exception as error:  # torch has many
            newest = checkpoints(out)[-1]
            raise ValueError(f"{newest} does not fit this run ({_first_line(error)}); delete it") from error
    steps = accelerator.gather(torch.tensor([state.step], device=accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise ValueError(f"{out} must lie on a disk that all machines share; the processes found steps {steps} there")
    if state.step:
        accelerator.print(f"resuming {out} at step {state.step}", flush=True)
    return state


def _newest_readable(out: Path) -> tuple[RunState, dict, dict] | None:
    for folder in reversed(checkpoints(out)):
        try:
            return read_checkpoint(folder)
        except ValueError as error:
            aside = _set_aside(folder, "damaged")
            print(f"{error}; it is set aside as {aside.name}, the one before it is taken", flush=True)
    if damaged := sorted((out / "checkpoints").glob("*.damaged*")):
        raise ValueError(
            f"{out} has no checkpoint that can be read, {damaged[-1]} was the newest; "
            f"delete {out / 'checkpoints'} to begin again at step 0"
        )
    return None


def _set_aside(folder: Path, why: str) -> Path:
    """Renames a folder to a name that nothing has, and returns it."""
    names = (folder.with_name(f"{folder.name}.{why}{k or ''}") for k in count())
    return folder.rename(next(name for name in names if not name.exists()))


def diverged(what: str, out: Path) -> FloatingPointError:
    """The error of a training that went astray; nothing of it is saved."""
    good = checkpoints(out)
    kept = f"the last good checkpoint is {good[-1]}" if good else "there was no checkpoint yet"
    return FloatingPointError(
        f"{what}; {kept}: lower train.lr or train.clip, or train without mixed precision, in a new --out"
    )


def finite(weights: dict[str, torch.Tensor]) -> bool:
    """True if every weight is a finite number."""
    return bool(torch.stack([torch.isfinite(w).all() for w in weights.values()]).all()) if weights else True


def same_settings(out: Path, config: RunConfig) -> None:
    """Raises `ValueError`, naming what differs, if the run in `out` was started with other settings.

    Raises `FileExistsError` if there are no settings of a run.
    """
    if not bears(out / "run.json", MARKS["run.json"]):
        raise FileExistsError(f"{out} is not a run's folder: {out / 'run.json'} has no settings; choose another --out")
    old, new = to_dict(read_settings(out)), to_dict(config)
    # These change nothing in the result.
    free = ["out", "data.workers"]
    free += [f"train.{name}" for name in ("device", "checkpoint_every", "keep", "checkpoint_streams", "tracker")]
    changed = [f"{k}: {old[k]} there, {new[k]} now" for k in new if old[k] != new[k] and k not in free]
    if changed:
        raise ValueError(f"{out} holds a run with other settings ({'; '.join(changed)}); choose another --out")


def read_settings(out: Path) -> RunConfig:
    """The settings of the run in a folder. Raises `FileNotFoundError` or `ValueError` naming the file."""
    try:
        return from_dict(read_json(out / "run.json"))
    except Outdated as error:  # which says what to do
        raise Outdated(f"{out / 'run.json'}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{out / 'run.json'} does not hold a run's settings: {error}; choose another --out") from error


def require_tracker(name: str) -> None:
    """Raises `ImportError` with the remedy if the package behind `train.tracker` is not installed."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ImportError(f"train.tracker {name} needs a package that is missing: pip install {name}")


def start_tracker(accelerator: Accelerator, config: RunConfig) -> None:
    """Hands the settings to the tracker that `Accelerator(log_with=...)` was given."""
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in to_dict(config).items()}
    own = {"wandb": {"name": Path(config.out).name, "dir": config.out}}
    accelerator.init_trackers("dtse", plain, own)


def append_history(out: Path, record: dict) -> None:
    """Adds one line to `history.jsonl`."""
    path = out / "history.jsonl"
    with _room_for(path), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def cut_history(out: Path, step: int) -> None:
    """Drops records from after the checkpoint that a killed run resumes from."""
    path = out / "history.jsonl"
    kept = [record for record in read_history(out) if record["step"] <= step]
    with written_whole(path, ANY) as part, _room_for(path):
        part.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def read_history(out: Path) -> list[dict[str, float]]:
    """The records of `history.jsonl`, oldest first; what is cut short or damaged is passed over, with a note."""
    return read_json_lines(out / "history.jsonl", is_record)


def is_record(line: dict[str, Any]) -> bool:
    """True for a line of the history: finite numbers by name, step and seconds among them."""
    numbers = {*map(type, line.values())} <= {int, float}
    return {"step", "seconds"} <= line.keys() and numbers and all(map(math.isfinite, line.values()))


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Turns an error of writing to `path` into an `OSError` of one sentence: most often the disk is full."""
    try:
        yield
    except Exception as error:  # safetensors and torch each have their own for a full disk
        if "DataLoader worker" in str(error):
            raise  # a worker's death interrupts whatever is being done
        raise OSError(
            f"{path} could not be written ({_first_line(error)}); what was saved before is "
            "untouched: make room on the disk, and the same command resumes"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
