"""What the commands share: arguments parsed into a checked dataclass, errors in one line, users' texts made visible."""

import argparse
import errno
import functools
import html
import io
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import zip_longest
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ..config import RunConfig, checked, nearest, origin_of, preset, read_value, setting_kinds
from .files import as_text

if TYPE_CHECKING:
    import torch

Command = TypeVar("Command")
# All controls but tab and the ends of lines, and those that reverse the order of letters.
OBEYED = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def spelled_out(text: str, obeyed: re.Pattern = OBEYED) -> str:
    """A text in which what a terminal, a browser or a font would obey is spelled out: `\\x1b`, `\\u202e`."""
    return obeyed.sub(lambda found: ascii(found[0])[1:-1], text)


def visible(text: str) -> str:
    """As `spelled_out`, of a text that any file can hold (see `as_text`)."""
    return spelled_out(as_text(text))


def in_html(text: str) -> str:
    """As `visible`, in a page: no markup takes effect."""
    return html.escape(visible(text))


def started_as(usual: str) -> str:
    """The words that start a command, for its help: those that were typed, `dtse train`, or else the usual ones."""
    typed, script = sys.argv[0], getattr(sys.modules["__main__"], "__spec__", None) is None  # -m gives a module a spec
    if typed.endswith(".py") and script:
        return shlex.join(["python", Path(typed).as_posix()])
    return typed if typed.startswith("dtse ") else usual


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """In the block the environment has these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def columns(least: int = 60) -> int:
    """Those of the terminal, or `least`: help needs room for its comments, and tyro, below 5, never ends."""
    return max(least, shutil.get_terminal_size().columns)


def parse(
    kind: type[Command], prog: str, arguments: Sequence[str] | None = None, default: Any = None, **form: Any
) -> Command:
    """A dataclass from a command line (`sys.argv` for None); `--help` lists its settings with their comments.

    Each is named as in Python, `--train.checkpoint_streams True`, with hyphens or underscores, and takes what Python
    takes; booleans are flags as well. `default`: an instance with the values of what is not given. `form`: further
    arguments of `tyro.cli`. Raises `ValueError` for an unknown option and a value that a setting does not take.
    """
    import tyro

    given = {} if default is None else {"default": default}
    form["description"] = _joined(form.get("description"))
    arguments = list(_plain(kind, sys.argv[1:] if arguments is None else arguments))
    shown, said = io.StringIO(), io.StringIO()  # neither is a terminal, so tyro colors nothing
    wide = columns() if {"-h", "--help"} & {*arguments} else columns(10_000)  # an error is one line, of whole words
    try:
        with redirect_stdout(shown), redirect_stderr(said), environment({"COLUMNS": str(wide)}):
            return tyro.cli(kind, prog=started_as(prog), args=arguments, **given, **form)
    except SystemExit as end:
        if not end.code:
            print(_wrapped(shown.getvalue()))
            raise
        _, *parts = re.split("[─-]{3,}", re.sub("[╭╮╰╯│]", " ", said.getvalue()))  # a title, and what is below it
        raise ValueError("; ".join(" ".join(part.split()) for part in parts if part.strip())) from None


def _joined(text: str | None) -> str:
    """A docstring, which is None with -OO, with one line for each paragraph."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text or "")


def _wrapped(text: str) -> str:
    """A help text whose paragraphs, of one line each, fit the terminal; examples stay whole.

    Of what says by itself that it is required, tyro's word is left out: an empty default, for one value or more.
    """
    text = re.sub(r"(\(required\))\s+\((?:default:\s+|required)\)", r"\1", text)
    lines = (line.rstrip() if line.startswith(" ") else textwrap.fill(line, columns()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are `ValueError`s, and whose help is as `parse` shows it."""

    def __init__(self, prog: str, description: str | None = None, **form: Any):
        super().__init__(prog, None, _joined(description), formatter_class=argparse.RawDescriptionHelpFormatter, **form)
        self.color = False  # which Python 3.14 has

    def format_help(self) -> str:
        with environment({"COLUMNS": str(columns())}):
            return _wrapped(super().format_help()) + "\n"

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; {self.prog} --help tells more")


def parse_run_config(
    prog: str, description: str, arguments: Sequence[str] | None = None, kind: type[RunConfig] = RunConfig
) -> RunConfig:
    """A `RunConfig` from `--preset NAME`, which gives all defaults, and dotted settings such as `--train.lr 1e-4`.

    `kind`: a class with further settings beside those of a run.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    default = kind(**vars(preset(argument(arguments, "--preset") or "tiny")))
    return parse(kind, prog, arguments, default, description=description)


def argument(arguments: Sequence[str], option: str) -> str:
    """The text of one option on a command line that is still to be parsed: the last, as with every other setting, or
    nothing if it is not there.
    """
    found = ""
    for text, after in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = text.partition("=")
        if name == option:
            found = value if equals else after
    return found


def _plain(kind: type, arguments: Sequence[str]) -> Iterator[str]:
    """The command line as tyro reads it, values checked: True and False become flags, `64,96` becomes two numbers."""
    kinds, waiting = setting_kinds(kind), deque(arguments)
    while waiting:
        option, equals, text = waiting.popleft().partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in kinds:
            if option.startswith("--") and name != "help" and re.sub(r"(^|\.)no_", r"\1", name) not in kinds:
                raise ValueError(
                    f"there is no option {option}{nearest(option, [f'--{kind}' for kind in kinds])}; --help lists them"
                )
            yield option + equals + text
            continue
        texts = [text] if equals else []
        origin = origin_of(kinds[name])
        while not equals and waiting and not waiting[0].startswith("--"):
            if origin is bool and not isinstance(read_value(waiting[0], bool), bool):
                break  # a flag, followed by what stands for itself
            texts.append(waiting.popleft())
            if origin is not tuple:
                break
        value = checked(name, read_value(" ".join(texts), kinds[name]), kinds[name]) if texts else True
        if origin is bool:
            group, dot, last = name.rpartition(".")
            yield f"--{name}" if value else f"--{group}{dot}no_{last}"
        elif origin is tuple or not texts:
            yield from (option, *map(str, value if texts else ()))
        else:
            yield f"{option}={texts[0]}"


def bars_hidden() -> bool:
    """Progress bars show on a terminal and in a live notebook, never in a log or with `DTSE_HEADLESS=1`."""
    return os.environ.get("DTSE_HEADLESS") == "1" or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def usable_device(name: str = "auto") -> "torch.device":
    """The device by its name; `auto` is the first GPU of CUDA's, or else the CPU.

    Of several processes of a launch each has a GPU of its own. Raises `ValueError` if the device cannot be used.
    """
    import torch

    name = str(name)  # also of a device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and name.startswith("cuda"):
        own = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % max(torch.cuda.device_count(), 1)}"
        if name not in ("cuda", own):
            raise ValueError(f"device {name!r} is one GPU, and each process of a launch has its own; write cuda")
        name = own
    try:
        one = torch.zeros(1, device=name)
        one.cpu()  # which the device meta, without numbers, refuses
        return one.device
    except (RuntimeError, AssertionError) as error:  # an unknown name, and a build without that kind of device
        raise ValueError(f"device {name!r} cannot be used here; cpu always can") from error


@contextmanager
def _while_read(stream: Any) -> Iterator[None]:
    """Ends the command quietly, with the status of SIGPIPE, where the reader of its stream is gone: `| head`."""
    try:
        yield
    except BrokenPipeError:
        if threading.current_thread() is not threading.main_thread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python writes there what is left
        sys.exit(128 + 13)


class _Plain:
    """A stream for a terminal: control characters, which names and sentences may hold, are shown and not obeyed."""

    OBEYED = re.compile(rf"(?!\x1b\[A){OBEYED.pattern}")  # bars go up

    def __init__(self, stream: Any):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with _while_read(self.stream):
            return self.stream.write(spelled_out(text, self.OBEYED))

    def flush(self) -> None:
        with _while_read(self.stream):
            self.stream.flush()


@contextmanager
def plain_output() -> Iterator[None]:
    """In the block, warnings are notes of one line, and a character that a terminal cannot show, or would obey, is
    escaped. Where nobody reads the output any more, the command ends.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    out, err = (cast(Any, _Plain(stream or io.StringIO())) for stream in (sys.stdout, sys.stderr))  # None: closed
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"note: {' '.join(str(message).split())}", file=sys.stderr)
        try:
            yield
        finally:
            if not isinstance(sys.exc_info()[1], Exception):  # a bug keeps its traceback
                with suppress(OSError, ValueError):  # a full disk, a closed stream: Python says so at its end
                    out.flush()


@contextmanager
def signals(act: Callable[[int, Any], object], *names: str) -> Iterator[None]:
    """In the block signals of these names call `act(number, frame)`, save those that are ignored.

    Only the main thread can have it so; in others nothing changes.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has fewer
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {number: signal.signal(number, act) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: Any) -> NoReturn:
    raise KeyboardInterrupt(number)


@contextmanager
def in_terminal() -> Iterator[None]:
    """What all commands do: `plain_output`, and a stop by SIGTERM, or as the terminal closes, tidies up as Ctrl-C does.

    Of what a stop says the first part is its signal's number.
    """
    with plain_output(), signals(_stop, "SIGTERM", "SIGHUP"):
        yield


@contextmanager
def stops_noted() -> Iterator[list[int]]:
    """In the block the first stop, by Ctrl-C or as above, only puts its number into the list; the next one stops."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        if asked:
            _stop(number, frame)
        asked.append(number)
        with suppress(RuntimeError):  # it may come while something is printed
            print("stopping after this step and what is due with it; once more stops at once", file=sys.stderr)

    with signals(note, "SIGINT", "SIGTERM", "SIGHUP"):
        yield asked


def left_to_parent(_: int = 0) -> None:
    """Has a worker leave to its parent the stops that a terminal or a scheduler sends to all processes.

    SIGTERM ends it if the parent itself sends it; elsewhere than on Linux from anyone. It also ends if the parent is
    killed, whoever has forked it.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    parent = parent_process()  # which started this process, though a server may have forked it
    if hasattr(signal, "sigwaitinfo") and parent:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in the threads that start from here on, too
        threading.Thread(target=_await_end, args=(parent.pid,), daemon=True).start()
    if parent:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _await_end(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def tell(error: BaseException) -> int:
    """Prints an error in one line on standard error; returns exit status 1."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:  # as Python says it, without a remedy
        from .versions import install

        remedy = install(error.name.partition(".")[0])
        text += f"; {remedy}" if remedy else ""
    if isinstance(error, OSError) and error.errno == errno.ENOENT and not error.filename:  # of os.getcwd
        text += ": the current folder is gone; change to one that exists"
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return 1


def stopped(stop: KeyboardInterrupt) -> int:
    """Prints what a stop leaves behind; returns the exit status of a process that such a signal ends."""
    number, *said = stop.args or (signal.SIGINT,)
    print(*said or ["stopped; the same command begins again, or goes on where it can"], file=sys.stderr)
    return 128 + number


def one_line_errors(command: Callable[[], Any]) -> Callable[[], None]:
    """Turns the errors that a user can correct into one line on standard error and exit status 1, warnings into notes.

    Errors of other libraries are turned into these where a file is opened or a text is parsed, which is where name and
    remedy are known. Whatever else arrives here is a bug, and keeps its traceback.
    """

    @functools.wraps(command)
    def run() -> None:
        with in_terminal():
            try:
                command()
            except (ValueError, OSError, ImportError, FloatingPointError) as error:
                sys.exit(tell(error))
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "memory" not in str(error):  # torch has no class of its own
                    raise
                sys.exit(tell(MemoryError(f"the memory is full ({str(error)[:200]}); use smaller batches or frames")))
            except KeyboardInterrupt as stop:
                sys.exit(stopped(stop))

    return run
