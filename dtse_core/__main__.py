"""The command `dtse`: a word for each command of the package, then its own options."""

import importlib
import sys

COMMANDS = {
    "train": ("train", "train a model, or resume a run"),
    "evaluate": ("evaluate", "score a checkpoint, or a folder of masks, by a data set's protocol"),
    "predict": ("predict", "mark what a sentence describes in every frame of a video"),
    "prepare": ("data.prepare.__main__", "get a data set into place, or check a copy of it"),
    "world": ("data.toy.__main__", "write the toy world in the layout of a data set"),
    "experiments": ("experiments.__main__", "run grids of notebooks, gather and compare their results"),
}


def main() -> None:
    """Command line. Imports the one module that is asked for, so that `dtse --help` answers at once."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv = [f"dtse {name}", *arguments]
        try:
            command = importlib.import_module(f"dtse_core.{COMMANDS[name][0]}")
        except ModuleNotFoundError as error:  # as where the package was installed without what it needs
            from .shared.console import tell

            sys.exit(tell(error))
        command.main()
    else:
        from .shared.console import one_line_errors

        one_line_errors(lambda: _answer(name))()


def _answer(name: str) -> None:
    """Prints what needs no command. Raises `ValueError` for a word that is none."""
    if name in ("-h", "--help"):
        rows = "\n".join(f"  {command:12}{text}" for command, (_, text) in COMMANDS.items())
        print(f"usage: dtse COMMAND ...\n\n{rows}\n\ndtse COMMAND --help lists its options; dtse --version")
    elif name == "--version":
        from . import __version__

        print(f"dtse {__version__}")
    else:
        from .config import nearest

        raise ValueError(f"there is no command {name!r}{nearest(name, COMMANDS)}; dtse --help lists them")


if __name__ == "__main__":
    main()
