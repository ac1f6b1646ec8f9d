"""Runs notebooks with papermill.

    python -m dtse_core.experiments.runner NOTEBOOK_OR_FOLDER --out DIR [-p NAME VALUE ...]

Papermill alone only warns about an unknown parameter and exits 0; this refuses it before anything runs, and
afterwards compares what the notebook used with what was asked.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from ..config import Count, Positive, checked
from ..notebook.parameters import check_parameters, literals, read_parameters
from ..shared.console import Parser, bars_hidden, environment, in_terminal, stopped, tell
from ..shared.files import ANY, OURS, PAGE, named_if_full, require_ours, write_json, written_whole
from ..shared.versions import RESULT_KEYS, commit, version
from .pages import fewer_colors, page_of, table, title, write_index

# cuBLAS reads its variable when torch first uses it; the kernel inherits all of these
ENVIRONMENT = {"DTSE_HEADLESS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
COPY = f"copy {OURS}"  # in the metadata of an executed notebook
PACKAGES = ("dtse", "torch", "transformers", "numpy", "papermill")


@dataclass
class Result:
    """One run of one notebook; its JSON lies beside the executed copy."""

    notebook: str  # stem of the file
    title: str
    ok: bool = False
    error: str = ""  # one line that names the notebook and the cell
    seconds: float = 0.0
    claims: int = 0
    asked: dict[str, Any] = field(default_factory=dict)  # parameters by which the run differs from the file
    used: dict[str, Any] = field(default_factory=dict)  # all parameters, as the notebook's setup got them
    config: dict[str, Any] = field(default_factory=dict)  # the resolved configuration
    recorded: dict[str, Any] = field(default_factory=dict)  # what the notebook handed to record()
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""  # of the repository that holds the notebook; "-dirty" where it was changed
    source: str = ""  # SHA-256 of the notebook's code


def run_notebook(
    path: str | Path,
    out_folder: str | Path,
    parameters: dict[str, Any] | None = None,
    timeout: float = 3600,
    course: "Course | None" = None,
) -> Result:
    """Executes one notebook in its own folder; keeps the executed copy, a page and a JSON in `out_folder`.

    `timeout` is in seconds and for the whole notebook; `course` records its progress. A failing notebook
    does not raise: its `Result` has `ok` False and names the cell in `error`, and the copies are kept. What an earlier
    run has kept stays until all that takes its place is there, and where the run is stopped. Raises `ValueError` for
    parameters that the notebook does not have or whose type differs, and `FileNotFoundError` if there is no notebook.
    """
    import nbformat

    path = Path(path)
    asked = check_parameters(parameters or {}, parameters_of(path), path.name)
    course = course or Course(path.name)
    copy, page, record = kept_files(path, Path(out_folder))
    with TemporaryDirectory() as folder:
        result, executed = _execute(path, Path(folder) / path.name, asked, timeout, course)
    if course.stopped and not result.ok:
        return result
    with ExitStack() as parts:
        if executed:
            executed.metadata["written_by"] = COPY
            nbformat.write(executed, parts.enter_context(written_whole(copy, COPY)))
            parts.enter_context(written_whole(page, PAGE)).write_text(page_of(executed, path.stem), encoding="utf-8")
        write_json(record, asdict(result), RESULT_KEYS)
    for old in [] if executed else kept_files(path, Path(out_folder))[:2]:
        old.unlink(missing_ok=True)
    return result


def kept_files(path: Path, out: Path) -> list[Path]:
    """What a run of a notebook keeps in `out`: the executed copy, its page and its JSON.

    Raises as `require_ours` does if one of these names is taken, or the copy would be the notebook itself.
    """
    marks = {".ipynb": COPY, ".html": PAGE, ".json": RESULT_KEYS}
    for suffix, mark in marks.items():
        require_ours(out / f"{path.stem}{suffix}", mark, inputs=[path])
    return [out / f"{path.stem}{suffix}" for suffix in marks]


def _execute(path: Path, copy: Path, asked: dict[str, Any], timeout: float, course: "Course") -> tuple[Result, Any]:
    """Executes a notebook into `copy`; its result, and the executed notebook if there is one."""
    import nbformat
    import papermill

    notebook = nbformat.read(path, as_version=4)
    result = Result(path.stem, title(notebook) or path.stem, asked=asked)
    result.versions = {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES}
    result.commit, result.source = commit(path.parent), source_of(path)
    start = time.monotonic()
    course.cells, course.began = sum(c.cell_type == "code" for c in notebook.cells), start
    try:
        with environment(ENVIRONMENT), named_if_full(copy.parent, copy):
            papermill.execute_notebook(
                str(path),
                str(copy),
                asked,
                kernel_name="python3",
                language="python",  # a notebook that a program wrote need not say so
                resources={"metadata": {"path": str(path.parent)}},  # for the kernel; `cwd` would move this process
                progress_bar=False,
                extra_arguments=["--IPKernelApp.log_level=50"],  # no warning about local sockets at every start
                timeout_func=lambda cell: max(1.0, start + timeout - time.monotonic()),
                on_cell_executed=course.step,
            )
        result.ok = True
    except Exception as e:  # a failing cell, a time-out or a dead kernel: all are reported the same way
        result.error = f"{path.name}: {_where(copy)}: {_first_line(e, timeout)}"
    result.seconds = round(time.monotonic() - start, 1)
    if executed := _executed(copy):
        _read_outputs(executed, result)
    return result, executed


@dataclass
class Course:
    """How far a running notebook has come."""

    name: str
    cells: int = 0  # 0 before it begins
    done: int = 0
    began: float = 0.0
    stopped: bool = False  # its kernel was taken from it

    def step(self, **_: Any) -> None:
        """A cell has been executed."""
        self.done += 1

    def __str__(self) -> str:
        """One line; after a quarter of the cells, with the time left if the others take as long as they did."""
        told = f"{self.name}: {self.done} of {self.cells} cells"
        if not self.done or 4 * self.done < self.cells:  # the first cells import what the others need
            return told
        left = (time.monotonic() - self.began) * (self.cells - self.done) / self.done
        return f"{told}, about {left:.0f} s left"


def run_all(
    paths: list[Path], run: Callable[[Path, Course], Result], jobs: int = 1, every: float = 10
) -> Iterator[Result]:
    """Runs notebooks, `jobs` of them side by side, and gives the results as they come.

    Meanwhile tells how far each is: by a bar on a terminal, elsewhere by a line for each of them every `every` seconds.
    """
    courses = [Course(path.name) for path in paths]
    bar = tqdm(total=1.0, unit="", bar_format="{l_bar}{bar}| {elapsed}, {remaining} left", disable=bars_hidden())
    waiting: dict[Future[Result], Course] = {}
    with ThreadPoolExecutor(jobs) as pool, bar, environment(ENVIRONMENT), _left_at_once(pool, waiting):
        waiting |= {pool.submit(run, path, course): course for path, course in zip(paths, courses, strict=True)}
        while waiting:
            done, _ = wait(waiting, timeout=every if bar.disable else 1, return_when=FIRST_COMPLETED)
            for future in done:
                course = waiting.pop(future)
                bar.write(f"{course.name}: {'ok' if future.result().ok else 'FAILED'}, {future.result().seconds:.0f} s")
                yield future.result()
            running = [course for course in waiting.values() if course.cells]
            bar.set_description(" and ".join(course.name[:2] for course in running), refresh=False)
            bar.n = sum(c.done / c.cells if c.cells else 0 for c in courses) / len(courses)
            bar.refresh()
            if not done and bar.disable:
                print("\n".join(map(str, running)), flush=True)


@contextmanager
def _left_at_once(pool: ThreadPoolExecutor, waiting: dict[Future, Course]) -> Iterator[None]:
    """Where the block is stopped, no further notebook begins, and those that run lose their kernels."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        import psutil

        for course in waiting.values():
            course.stopped = True
        pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in waiting):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has just ended
                    child.kill()
            time.sleep(0.1)
        raise


def parameters_of(path: Path) -> dict[str, Any]:
    """Names and literals of the notebook's parameters cell; empty if it has none.

    Raises `FileNotFoundError` if there is no notebook, and `ValueError` for a cell that holds something else.
    """
    import nbformat

    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}")
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # reading alone does not insist
        nbformat.writes(notebook).encode()  # nor that it can be written again
    except Exception as error:  # of JSON and of a notebook's form: each has its own class
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path} is not a notebook that can be read ({first}); download it again") from error
    cells = [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    return literals("\n".join(cells[:1]), path.name)


def source_of(path: Path) -> str:
    """SHA-256 of the code of a notebook, which neither its texts nor its outputs change."""
    import nbformat

    code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return hashlib.sha256("\n\n".join(code).encode("utf-8", "backslashreplace")).hexdigest()


def normalize(notebook: Any) -> Any:
    """Drops what differs from run to run, in place: papermill's and the kernel's notes, injected cells, widgets.

    Figures are stored in a palette, so that the file stays small, and what a cell prints is one piece.
    """
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        for key in ("papermill", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):  # papermill leaves empty lists behind
            del cell.metadata["tags"]
        for data in (o.data for o in cell.get("outputs", []) if "image/png" in o.get("data", {})):
            data["image/png"] = fewer_colors(data["image/png"])
        if "outputs" in cell:
            pieces = groupby(cell.outputs, lambda o: o.get("name"))  # a busy kernel sends a stream in several pieces
            cell.outputs = [one for name, some in pieces for one in (_joined(list(some)) if name else some)]
    for key in ("papermill", "widgets", "written_by"):
        notebook.metadata.pop(key, None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}  # the interpreter's version would differ by machine
    return notebook


def _joined(streams: list[Any]) -> list[Any]:
    streams[0].text = "".join(stream.text for stream in streams)
    return streams[:1]


def execute_in_place(path: Path, timeout: float, course: Course | None = None) -> Result:
    """Executes a notebook and saves its outputs into the file itself, normalized; a failing one stays as it was."""
    import nbformat

    with TemporaryDirectory() as folder:
        result = run_notebook(path, folder, timeout=timeout, course=course)
        if result.ok:
            notebook = normalize(nbformat.read(Path(folder) / path.name, as_version=4))
            with written_whole(path, ANY) as part:
                nbformat.write(notebook, part)
    return result


def notebooks_in(target: Path) -> list[Path]:
    """One notebook, or those of a folder whose names begin with a number, in order."""
    if target.is_dir():
        found = sorted(target.glob("[0-9][0-9]_*.ipynb"))
        if not found:
            raise FileNotFoundError(f"{target} holds no lesson, such as 04_vlmg.ipynb")
        return found
    if target.suffix != ".ipynb" or not target.is_file():
        raise FileNotFoundError(f"there is no notebook or folder {target}")
    return [target]


def is_place(name: str, value: str) -> bool:
    """True if a parameter's text names a place, as seen from where the command runs."""
    if name == "OUT" or name.endswith("_ROOT"):
        return value != ""
    return os.path.exists(value) and (name == "VIDEO" or os.path.basename(value) != value)  # `tiny` is a checkpoint


def parse_command(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("python -m dtse_core.experiments.runner", description="Run notebooks; keep copies and pages.")
    parser.add_argument("target", type=Path, help="a notebook, or a folder: its lessons, such as 04_vlmg.ipynb")
    parser.add_argument("--out", type=Path, default=Path("runs/tutorial"), help="folder of copies, pages and JSONs")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for each notebook")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks that run side by side")
    parser.add_argument("--write", action="store_true", help="save the outputs into the notebooks themselves")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 where a notebook failed, 2 where nothing could be run, or as a signal
    ends it."""
    with in_terminal():
        try:
            return _main(parse_command(arguments))
        except (ValueError, OSError, ImportError) as error:
            return 2 * tell(error)
        except KeyboardInterrupt as stop:
            return stopped(stop)


def _main(options: argparse.Namespace) -> int:
    # the notebook runs in its own folder, so a place named relative to this one is made absolute
    parameters = {n: os.path.abspath(v) if is_place(n, v) else v for n, v in options.p}
    if options.write and parameters:
        raise ValueError("--write saves the outputs of the default parameters; leave -p out")
    paths = notebooks_in(options.target)
    checked("jobs", options.jobs, Count)
    checked("timeout", options.timeout, Positive)
    known = {path: parameters_of(path) for path in paths}
    asked = {p: check_parameters(read_parameters(parameters, known[p]), known[p], p.name) for p in paths}
    if not options.write:
        require_ours(options.out / "index.html", PAGE)
        for path in paths:
            kept_files(path, options.out)

    def run(path: Path, course: Course) -> Result:
        if options.write:
            return execute_in_place(path, options.timeout, course)
        return run_notebook(path, options.out, asked[path], options.timeout, course)

    results: list[Result] = []
    for result in run_all(paths, run, options.jobs):
        results.append(result)
        if not options.write:
            write_index(options.out)
    results.sort(key=lambda result: [path.stem for path in paths].index(result.notebook))
    print(table(results))
    if not options.write:
        print(f"pages: {options.out / 'index.html'}")
    failed = [r.error for r in results if not r.ok]
    print("".join(f"FAILED {error}\n" for error in failed), end="", file=sys.stderr)
    return 1 if failed else 0


def _read_outputs(executed: Any, result: Result) -> None:
    """Takes claims and the resolved set-up out of the outputs, and holds what was asked against what was used."""
    for output in (o for c in executed.cells if c.cell_type == "code" for o in c.outputs):
        if "dtse" in output.get("metadata", {}):
            note = output.metadata["dtse"]  # of setup() or record()
            result.used, result.config = dict(note.get("parameters", result.used)), dict(note["config"])
            result.recorded |= note.get("recorded", {})
        if found := re.search(r"This notebook checked (\d+) claims?\.", output.get("text", "")):
            result.claims = int(found[1])
    wrong = {n: result.used.get(n) for n, v in result.asked.items() if result.used.get(n) != v}
    if result.ok and wrong:
        result.ok = False
        got = f"but setup() got {wrong}; hand it each parameter"
        result.error = f"{result.notebook}.ipynb: asked for {result.asked}, {got}"


def _executed(copy: Path) -> Any:
    """The executed notebook as papermill left it; None if it did not, or a full disk cut it short."""
    import nbformat

    try:
        return nbformat.read(copy, as_version=4)
    except (OSError, ValueError):
        return None


def _where(copy: Path) -> str:
    """Index and first line of the cell that ran last, counted without the cells that papermill added."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    cells = (_executed(copy) or {}).get("cells", [])
    cells = [c for c in cells if not added & set(c.metadata.get("tags", []))]
    ran = [k for k, c in enumerate(cells) if c.cell_type == "code" and c.metadata.papermill["start_time"]]
    if not ran:
        return "before the first cell"
    lines = cells[ran[-1]].source.strip().splitlines()
    return f"cell {ran[-1]} ({lines[0] if lines else 'empty'})"


def _first_line(e: Exception, timeout: float) -> str:
    if isinstance(e, TimeoutError):
        return f"not finished after {timeout:g} s"
    name, value = getattr(e, "ename", type(e).__name__), str(getattr(e, "evalue", e))
    return f"{name}: {(value.strip().splitlines() or [''])[0]}"


if __name__ == "__main__":
    sys.exit(main())
