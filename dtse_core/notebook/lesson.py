"""What every notebook shares: the set-up cell, checked claims, folded answers, the progress bar.

IPython is imported only where it is used.
"""

import os
import platform
import random
import re
import sys
import tomllib
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from tqdm import tqdm  # the text bar: the widget bar would leave its state in the notebook file

from ..config import RunConfig, Seed, checked, nearest, override, preset, to_dict, with_settings
from ..shared.console import in_html, usable_device
from ..shared.versions import version
from .parameters import check_parameters, literals

Item = TypeVar("Item")
PROFILES = {"smoke": "tiny", "colab": "colab", "paper": "paper"}  # profile of a notebook -> preset of the package
SHARED = {  # parameters of every notebook: default, and what is allowed
    "PROFILE": ("smoke", Literal["smoke", "colab", "paper"]),
    "SEED": (0, Seed),
    "DEVICE": ("", str),
    "DATA_ROOT": ("", str),
}
GUESSES = Path(__file__).parent / "exercises/guesses.toml"
_claims: dict[str, None] = {}  # texts of the claims checked so far; a cell that is run twice counts once


@dataclass(frozen=True)
class Setup:
    """What `setup` resolved. `parameters` are the notebook's own, by the upper-case names of its cell."""

    profile: str
    seed: int
    device: torch.device
    data_root: str  # "" for the toy world drawn in memory
    config: RunConfig
    parameters: dict[str, Any] = field(default_factory=dict)


def setup(**parameters: Any) -> Setup:
    """Seeds everything, prints where the notebook runs, and resolves its parameters.

        run = setup(profile=PROFILE, seed=SEED, device=DEVICE, data_root=DATA_ROOT, steps=STEPS)

    `profile` is smoke, colab or paper. `device` "auto" is the GPU, if there is one; "" is the CPU in smoke,
    whose digits the lessons show, and "auto" elsewhere. `data_root` "" stands for the toy world, otherwise it is
    an A2D folder. Further names are the notebook's own parameters; `parameters.py` says what they may hold. It knows
    two of them: DATA, the data set that `data_root` holds, and PRESET, which replaces the profile's and may be followed
    by settings: `colab train.batch=4`. A GPU computes in float32 (`full_precision`). Raises `ValueError` for a
    parameter injected by papermill that the notebook does not have, a value that a parameter does not take and a
    missing device, and `FileNotFoundError` for a missing folder.
    """
    given = {name: default for name, (default, _) in SHARED.items()}
    given |= {name.upper(): value for name, value in parameters.items()}
    known, injected = _parameter_cells()
    check_parameters(injected, given | {n: v for n, v in known.items() if n in given}, "this notebook")
    profile, seed, device, data_root = (checked(name, given[name], kind) for name, (_, kind) in SHARED.items())
    check_parameters(given, given, "this notebook")
    if data_root and not Path(data_root).is_dir():
        raise FileNotFoundError(f'DATA_ROOT is {data_root!r}, which is not a folder; "" stands for the toy world')
    _claims.clear()
    where = usable_device(device or ("cpu" if profile == "smoke" else "auto"))
    seed_everything(seed)
    full_precision()
    own = {name: value for name, value in given.items() if name not in SHARED}
    chosen = own.get("DATA", "")  # a data set that the notebook itself puts into place
    settings: dict[str, Any] = {"train.seed": seed, "train.device": str(where)}
    settings |= {"data.name": chosen or "toy", "data.val_split": "val"}
    if chosen:
        settings |= {"data.root": data_root, "data.val_split": ""}
    elif data_root:
        has_val = (Path(data_root) / "toy_world.json").is_file()  # real A2D has no validation part
        settings |= {"data.name": "a2d", "data.root": data_root, "data.val_split": "val" if has_val else "local-val"}
    name, _, more = (own.get("PRESET") or PROFILES[profile]).partition(" ")
    usual = {"data.offset": 0} if chosen else {}  # as is usual in the set, unless PRESET says otherwise
    config = override(with_settings(preset(name, **usual), more), settings)
    libraries = " · ".join(f"{name} {version(name)}" for name in ("dtse", "torch", "transformers"))
    text = f"""Python {platform.python_version()} · {libraries}
profile {profile} (preset {config.preset}) · device {where} · seed {seed}
data: {data_root or chosen or "toy world, drawn by the package"}"""
    _show({"text/plain": text}, {"dtse": {"parameters": given, "device": str(where), "config": to_dict(config)}})
    return Setup(profile, seed, where, data_root, config, own)


def record(config: RunConfig, **results: Any) -> None:
    """Hands a run's results, and the configuration that it really used, to the runner; prints the plain numbers.

    `results` are numbers, texts, and lists and dictionaries of them. They leave the notebook in an output's
    metadata, as what `setup` resolved does. A second call adds to the first.
    """
    shown = [f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in results.items() if np.isscalar(v)]
    note = {"config": to_dict(config), "recorded": results}
    _show({"text/plain": "recorded: " + " · ".join(shown or results)}, {"dtse": note})


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seeds Python, NumPy and torch. `deterministic` is strict on the CPU and only warns where there is a
    GPU, for which some backward passes have no deterministic form."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic, warn_only=deterministic and torch.cuda.is_available())


def full_precision() -> None:
    """Lets a GPU compute products and convolutions in float32.

    TF32, which PyTorch allows for convolutions, rounds to 1e-3: a clip would get other masks alone than in a batch. In
    float32 the difference is about 1e-6, but not 0, since a GPU chooses its order of adding by the sizes at hand:
    lessons claim equality bit for bit only of a CPU, or of the same computation made twice.
    """
    with warnings.catch_warnings(action="ignore"):  # PyTorch 2.9 and later have another switch, which 2.4 lacks
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def check(condition: Any, claim: str) -> None:
    """Asserts one claim of the text and counts it; `AssertionError` names a claim that does not hold."""
    if not bool(condition):
        raise AssertionError(f"this claim does not hold: {claim}")
    _claims[claim] = None
    print(f"✓ {claim}")


def claims_checked() -> int:
    """The last cell of each notebook: prints how many claims it has checked, and returns the number."""
    count = len(_claims)
    print(f"This notebook checked {count} claim{'' if count == 1 else 's'}.")
    return count


def guess(*questions: str) -> None:
    """Questions to answer before reading on; each answer, from `exercises/guesses.toml`, is folded away in plain HTML.

    Raises `ValueError` for a question that the file does not have.
    """
    answers: dict[str, str] = {}
    for lesson in tomllib.loads(GUESSES.read_text(encoding="utf-8")).values():
        answers |= lesson
    for question in questions:
        if question not in answers:
            raise ValueError(f"guesses.toml has no answer to {question!r}{nearest(question, answers)}")
    pairs = ((_inline(question), _inline(answers[question])) for question in questions)
    folded = (f"<details><summary>{q}</summary><p>{a}</p></details>" for q, a in pairs)
    plain = "\n".join(f"{q} (the answer is folded away: this view shows no HTML)" for q in questions)
    _show({"text/plain": plain, "text/html": "\n".join(folded)})


def _inline(text: str) -> str:
    """Plain text with `code` in backticks as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", in_html(text))


def progress(iterable: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """The one progress bar; silent when `DTSE_HEADLESS=1`."""
    return tqdm(iterable, desc=what, total=total, disable=headless(), file=sys.stdout)


def headless() -> bool:
    """True if bars and widgets are off: they would leave traces in the outputs."""
    return os.environ.get("DTSE_HEADLESS", "") == "1"


def shell() -> Any:
    """IPython's shell that runs this; None outside of one."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def _parameter_cells() -> tuple[dict[str, Any], dict[str, Any]]:
    """What the parameters cell assigned, and then papermill's, which opens with `# Parameters`; empty without one."""
    known: dict[str, Any] = {}
    injected: dict[str, Any] = {}
    for before, cell in pairwise(shell().user_ns.get("In", []) if shell() else []):
        if cell.startswith("# Parameters\n"):
            injected |= literals(cell, "this notebook")
            with suppress(ValueError):  # any other cell
                known |= literals(before, "this notebook")
    return known, injected


def _show(forms: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    """Displays one thing in several forms, by media type. `metadata` is for the runner: no reader sees it."""
    if shell() is None:
        print(forms["text/plain"])
    else:
        shell().display_pub.publish(forms, metadata)
