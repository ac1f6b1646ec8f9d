"""What the commands share: settings parsed from the command line or a text, and errors of one line."""

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def bars_hidden() -> bool:
    """Progress bars show on a terminal and in a live notebook, never in a log or with `DTSE_HEADLESS=1`."""
    return os.environ.get("DTSE_HEADLESS") == "1" or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def usable_device(name: str = "auto") -> "torch.device":
    """The device by its name; `auto` is the GPU if there is one. Raises `ValueError` if it cannot be used."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # an unknown name, and a build without that kind of device
        raise ValueError(f"device {name!r} cannot be used here; cpu always can") from error


def one_line_errors(command: Callable[[], Any]) -> Callable[[], None]:
    """Turns the errors that a user can mend into one line on standard error and exit status 1."""

    @functools.wraps(command)
    def run() -> None:
        try:
            command()
        except (ValueError, OSError, ImportError, FloatingPointError) as e:
            print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("stopped; the same command resumes", file=sys.stderr)
            sys.exit(130)

    return run
