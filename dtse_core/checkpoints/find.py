"""Where checkpoints lie and what stands in them; knows paths alone, nothing of the model.

A checkpoint folder holds model.safetensors, config.json (ModelConfig), run.json (all settings of the run
that made it) and the tokenizer's files.
"""

import hashlib
import json
import re
from pathlib import Path

from ..config import RunConfig, from_dict

WEIGHTS = "model.safetensors"
PACKAGED = Path(__file__).parent  # what ships with the package: "tiny"


def checkpoint_folder(run_or_name: str | Path) -> Path:
    """The folder with the weights of a shipped name ("tiny"), a run folder, a checkpoint folder or a hub name.

    A run folder stands for its `final`. Raises `FileNotFoundError` that names every place looked at.
    """
    name, path = str(run_or_name), Path(run_or_name)
    places = [path, path / "final"] if name else []
    if re.fullmatch(r"\w[\w.-]*", name):
        places.insert(0, PACKAGED / name)
    for folder in places:
        if (folder / WEIGHTS).is_file():
            return folder
    looked = [str(folder / WEIGHTS) for folder in places]
    hint = ""
    if (path / "best" / WEIGHTS).is_file():
        hint = f"; the run is not finished, its best weights so far are {path / 'best'}"
    elif (path / "run.json").is_file():
        hint = "; the run is not finished: resume its training first"
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not path.exists():
        try:
            return _download(name)
        except Exception as error:  # offline, no such repository, no such file: each has its own class
            looked.append(f"the Hugging Face hub's {name} ({type(error).__name__})")
    raise FileNotFoundError(f"no checkpoint {name!r}: looked for {', '.join(looked) or 'nothing'}{hint}")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(name, allow_patterns=[WEIGHTS, "*.json", "*.txt"]))
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{name} holds no {WEIGHTS}")
    return folder


def read_run_config(folder: str | Path) -> RunConfig:
    """The settings of the run that made a checkpoint, from its run.json.

    Raises `FileNotFoundError` or `ValueError` naming the file.
    """
    file = Path(folder) / "run.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; a checkpoint folder holds the run.json that training wrote")
    try:
        return from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} does not hold the settings of a run: {error}") from error


def checkpoint_sha256(folder: str | Path) -> str:
    """SHA-256 of the weights in a checkpoint folder, as 64 hexadecimal digits."""
    with open(Path(folder) / WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
