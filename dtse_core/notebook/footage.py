"""Around a training on genuine videos: where its files are kept, what fits, how many steps a few hours are.

What goes wrong outside of this package (no room, no Drive, a GPU too small, a hub that refuses) ends in one line that
says what to do. Notebook: 13_real_footage.
"""

import gc
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.find import FILES
from ..config import RunConfig, override
from ..data.build import scored_split, training_splits
from ..train import train
from ..training.cost import GB, Cost, CostCommand, count_cost, fitting
from ..training.run_folder import read_settings

DRIVE = Path("/content/drive")  # where Colab shows a Google Drive
USUAL = DRIVE / "MyDrive/dtse" if "google.colab" in sys.modules else Path("runs/real_footage")
TRIAL, WARM = 20, 5  # steps that are measured, and the first of them, which are not
MINUTES = 10  # between checkpoints
VALIDATIONS = 10  # of a run


def keep_in(folder: str | Path) -> Path:
    """The folder, made if it is missing; if it is on Google Drive, Colab is asked to mount that first.

    Raises `OSError` if the Drive is not mounted or nothing can be written.
    """
    path = Path(folder).expanduser()
    if path.is_relative_to(DRIVE) and "google.colab" in sys.modules:
        try:
            import_module("google.colab.drive").mount(str(DRIVE))
        except Exception as error:  # of Colab's own classes
            raise OSError(
                f"Google Drive was not mounted ({first_line(error)}): run the cell again and allow it, or set KEEP to "
                "a folder of this machine, whose content ends with the session"
            ) from error
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OSError(f"nothing can be written to {folder} ({error}); set KEEP to another folder") from error


def require_gpu(device: torch.device) -> None:
    """Raises `ValueError` if a training of hours is to begin on a CPU: its few steps would be the plan of the run."""
    if device.type == "cpu":
        raise ValueError(
            "no GPU here: on Colab choose one under Runtime, Change runtime type; if none is lent, come back later: "
            'what was kept stays. DEVICE = "cpu" trains all the same, far more slowly'
        )


def require_room(run: Path, cost: Cost, checkpoints: int) -> str:
    """How much of the disk a run takes, in words; raises `OSError` if there is less than it still needs.

    Beside the checkpoints that are kept, one is being written, and two models stay.
    """
    whole = (checkpoints + 1) * (cost.weights + cost.optimizer) + 2 * cost.weights
    needed = whole - sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    free = shutil.disk_usage(run.parent).free
    if free < needed:
        raise OSError(
            f"{run.parent} has {free / GB:.1f} GB free, the run needs {needed / GB:.1f} GB: make room (on Google Drive "
            "empty the bin as well, it counts), or set KEEP to another folder"
        )
    return f"{whole / GB:.2g} GB of disk for checkpoints and models, {free / GB:.0f} GB are free"


def begun(run: Path) -> RunConfig | None:
    """The settings of a run that an earlier session began; None if there is none."""
    return read_settings(run) if (run / "run.json").is_file() else None


def fit(config: RunConfig, device: torch.device) -> tuple[RunConfig, Cost]:
    """The same run in as many parts as the device has memory for, and its cost; on a CPU as it is.

    Raises `ValueError` if it fits in no way.
    """
    gpu = device.type == "cuda"
    if not gpu:
        return replace(config, train=replace(config.train, mixed_precision="no")), count_cost(config)
    card = torch.cuda.get_device_properties(device)
    command = CostCommand(**vars(config), device="cuda", memory_gb=card.total_memory / GB)
    if (change := fitting(command)) is None:
        raise ValueError(
            f"{card.name} has {command.memory_gb:.1f} GB, too little for preset {config.preset} at "
            f"{config.data.size[0]} x {config.data.size[1]}: add data.size=192,192 to PRESET, or take a larger GPU"
        )
    config = override(config, change)
    return config, count_cost(config, gpu=True)


def pace(config: RunConfig, folder: Path) -> float:
    """Seconds a step, from the first steps of the run itself, which are taken in a folder of their own.

    Raises `ValueError` if the GPU's memory does not last.
    """
    told = {0: time.monotonic()}  # when a step was first heard of: under fp16 some are skipped
    first = {"train.steps": TRIAL, "train.epochs": 0.0, "train.log_every": 1}
    first |= {"train.eval_every": 0, "train.eval_samples": 1, "train.checkpoint_every": 0}
    try:
        train(
            override(config, {"out": str(folder)} | first),
            False,
            lambda r: told.setdefault(r["step"], time.monotonic()),
        )
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU's memory does not last for parts of {config.train.batch // config.train.accumulate} clips: "
            f"add train.accumulate={2 * config.train.accumulate} to PRESET"
        ) from error
    gc.collect()
    torch.cuda.empty_cache()  # does nothing without a GPU
    warm = min((step for step in told if WARM <= step < TRIAL), default=0)
    return (told[TRIAL] - told[warm]) / (TRIAL - warm)


def planned(config: RunConfig, hours: float, seconds: float) -> RunConfig:
    """A run of `hours` at `seconds` a step: as a number of steps, so that a run in several sessions is the same run.

    At least as many steps as were tried, a checkpoint every ten minutes or at every quarter, ten validations.
    """
    steps = max(TRIAL, int(3600 * hours / seconds))
    plan = {"train.steps": steps, "train.epochs": 0.0, "train.minutes": 0.0, "train.log_every": max(1, steps // 200)}
    plan |= {"train.eval_every": max(10, -(-steps // VALIDATIONS))}
    return override(config, plan | {"train.checkpoint_every": max(1, min(int(60 * MINUTES / seconds), steps // 4))})


def to_score(config: RunConfig) -> Path:
    """The weights of a finished run that are scored and kept: of the best validation, unless that looked at the very
    part that is scored, as on Refer-YouTube-VOS; then the last ones."""
    chosen_on = training_splits(config.data)[1]
    return Path(config.out) / ("final" if chosen_on == scored_split(config.data) else "best")


def publish(folder: str | Path, name: str, private: bool = True) -> str:
    """Uploads the model in `folder` to the hub's repository `name`, made if it is missing; returns its address.

    Raises `OSError` if the hub refuses.
    """
    from huggingface_hub import HfApi

    try:
        hub: Any = HfApi()
        hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=str(folder), allow_patterns=[*FILES, "README.md"])
        return f"{hub.endpoint}/{name}"
    except Exception as error:  # the hub has many classes
        raise OSError(
            f"{name!r} was not published ({first_line(error)}): log in with huggingface_hub.login() and a token that "
            "may write, then run this cell again"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
