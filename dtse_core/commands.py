"""What the commands share: settings parsed from the command line or a text, and errors of one line."""

import ast
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .config import RunConfig, override, preset, to_dict


def parse_run_config(
    prog: str, description: str, arguments: list[str] | None = None, kind: type[RunConfig] = RunConfig
) -> RunConfig:
    """A `RunConfig` from `--preset NAME` and dotted settings such as `--train.lr 1e-4`; `--help` lists all.

    `kind`: a class with further settings beside those of a run.
    """
    import tyro

    arguments = sys.argv[1:] if arguments is None else arguments
    name = "tiny"
    for k, argument in enumerate(arguments):  # the preset gives every other setting its default
        if argument == "--preset" and k + 1 < len(arguments):
            name = arguments[k + 1]
        elif argument.startswith("--preset="):
            name = argument.partition("=")[2]
    return tyro.cli(kind, default=kind(**vars(preset(name))), args=arguments, prog=prog, description=description)


def with_settings(config: RunConfig, text: str) -> RunConfig:
    """`config` with the dotted settings of one text, separated by spaces: `model.lmdf=off model.vlmg_stages=4,5`.

    Raises `ValueError` for an unknown setting and for a value of another type.
    """
    known, settings = to_dict(config), {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is no setting; write name=value, several of them separated by spaces")
        old = known.get(name)
        if not isinstance(old, str) and old is not None:  # an unknown name is told by `override`
            with suppress(ValueError, SyntaxError):  # what is no literal stays a text, which the check refuses
                value = ast.literal_eval({"true": "True", "false": "False", "": "()"}.get(value, value))
            if isinstance(old, tuple) and type(value) is int:
                value = (value,)
            if type(value) is not type(old) and not (type(old) is float and type(value) is int):
                raise ValueError(f"{name} must be of type {type(old).__name__}, not {value!r}")
        settings[name] = value
    return override(config, settings)


def bars_hidden() -> bool:
    """Progress bars show on a terminal and in a live notebook, never in a log or with `DTSE_HEADLESS=1`."""
    return os.environ.get("DTSE_HEADLESS") == "1" or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


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
