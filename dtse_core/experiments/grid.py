"""A grid of experiments: one file expanded into runs of one notebook, and one run carried out in its folder.

    notebook = "experiment.ipynb"     # seen from this file
    minutes = 30                      # limit of a run
    metrics = ["metrics.mean_iou"]    # recorded numbers that are held to a reference, see reference.py
    seeds = [0, 1, 2]                 # values of SEED

    [values]                          # every combination of these; what is not a list holds for all
    STEPS = [500, 1000]
    EVAL = 100

    [[zips]]                          # lists of one length, taken side by side
    MODEL = ["dtse", "late_concat"]
    SETTINGS = ["model.lmdf=off", ""]

    [[blocks]]                        # optional: several grids, each with what stands above and with its own
    labels = { variant = "no LMDF" }  # names in the results, see LABELS
    values = { SETTINGS = "model.lmdf=off" }

TOML or JSON. A parameter called SETTINGS holds dotted settings, which are checked before anything runs; those of a
block are added to those above, and have the last word. A run is named
by the hash of its notebook's name and all its parameters: the same run asked for twice, by two blocks or two grids, is
one run.
"""

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..config import Positive, RunConfig, checked, nearest, setting_kinds, with_settings
from ..notebook.parameters import check_parameters
from ..shared.files import read_json, read_toml, write_json
from ..shared.versions import RESULT_KEYS
from .pages import read_record
from .runner import Result, parameters_of, run_notebook, source_of

MOST_RUNS = 5000
BLOCK_KEYS = {"seeds": list, "values": dict, "zips": list, "labels": dict}
LABELS = {
    "variant": str,  # what a block is called; by default the parameters by which its runs differ
    "group": str,  # of variants that are shown together
    "budget": str,  # what the variant has in common with those it is compared with: "steps", "seconds", "1,200 steps"
    "against": str,  # the variant that it is compared with; by default the first of the grid. Its own name: with none
}
GRID_KEYS = {**BLOCK_KEYS, "notebook": str, "minutes": Positive, "metrics": tuple[str, ...], "blocks": list}
SCORE = "metrics.mean_iou"  # what `record` has of a model that was evaluated
RESULT = "result.json"  # in a run's folder; written last, so that a run without it did not end
KEPT = {**setting_kinds(Result), "run": str, "attempt": int, "cpu_seconds": float, "peak_memory": int}  # what it holds


@dataclass(frozen=True)
class Run:
    """One run: every parameter of the notebook, and the labels of the block that asked for it first."""

    name: str
    parameters: dict[str, Any]
    labels: dict[str, str]

    def folder(self, out: Path) -> Path:
        """Where it is carried out, and what it leaves lies."""
        return out / "runs" / self.name


@dataclass(frozen=True)
class Grid:
    """What a grid file asks for."""

    notebook: Path
    minutes: float
    runs: tuple[Run, ...]
    metrics: tuple[str, ...] = (SCORE,)
    source: str = ""  # SHA-256 of the notebook's code

    @property
    def fingerprint(self) -> str:
        """Of what its runs do: their parameters, and the notebook's code."""
        return hashlib.sha256("\n".join([self.source, *(run.name for run in self.runs)]).encode()).hexdigest()

    def title(self, run: Run) -> str:
        """What a run is called: by its labels and its seed, or, without a label, by how it differs from others."""
        if not run.labels.get("variant"):
            return self.differs(run)
        budget, seed = run.labels.get("budget"), run.parameters.get("SEED")
        return run.labels["variant"] + f", equal {budget}" * bool(budget) + f", seed {seed}" * (seed is not None)

    def differs(self, run: Run, without: tuple[str, ...] = ()) -> str:
        """The parameters by which a run differs from others of its grid, as text."""
        own = [n for n, v in run.parameters.items() if any(r.parameters[n] != v for r in self.runs)]
        return " ".join(f"{name}={run.parameters[name]}" for name in own if name not in without)


def read_grid(path: str | Path) -> Grid:
    """Reads and checks a grid file; nothing runs.

    Raises `FileNotFoundError` for a missing file or notebook, and `ValueError` for a key, parameter or setting that
    does not exist, a value that it does not take, a notebook without a parameters cell, and a grid of no or too many
    runs.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no grid file {path}")
    asked = read_json(path) if path.suffix == ".json" else read_toml(path)
    try:
        return _expanded(asked, path.parent)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{path}: {error}") from error


def _expanded(asked: dict[str, Any], folder: Path) -> Grid:
    """What the content of a grid file in `folder` asks for."""
    _require_keys(asked, GRID_KEYS)
    for block in asked.get("blocks", []):
        _require_keys(block, BLOCK_KEYS, "a block: ")
    for table in (asked, *asked.get("blocks", [])):
        _require_keys(table.get("labels", {}), LABELS, "labels: ")
    blocks = [_merge(asked, block) for block in asked.get("blocks") or [{}]]
    count = sum(math.prod(len(axis) for axis in _axes(block)) for block in blocks)
    if not 1 <= count <= MOST_RUNS:
        raise ValueError(f"asks for {count} runs; it must be 1 to {MOST_RUNS}")
    notebook = folder / asked.get("notebook", "experiment.ipynb")
    known = parameters_of(notebook)
    if not known:
        raise ValueError(f"{notebook.name} has no parameters: tag a cell with `parameters`")
    runs: dict[str, Run] = {}
    for block in blocks:
        for parts in product(*_axes(block)):
            own = {k: v for part in parts for k, v in part.items()}
            parameters = known | check_parameters(own, known, notebook.name)
            _check_settings(parameters.get("SETTINGS"))
            text = json.dumps([notebook.name, parameters], sort_keys=True, ensure_ascii=False)
            name = hashlib.sha256(text.encode()).hexdigest()[:12]
            runs.setdefault(name, Run(name, parameters, block.get("labels", {})))
    seeds = [run.parameters.get("SEED") for run in runs.values()]
    # Seed by seed: a grid that is stopped has whole comparisons.
    ordered = sorted(runs.values(), key=lambda run: seeds.index(run.parameters.get("SEED")))
    metrics = tuple(asked.get("metrics", ())) or (SCORE,)
    return Grid(notebook, float(asked.get("minutes", 60)), tuple(ordered), metrics, source_of(notebook))


def carry_out(run: Run, notebook: str, folder: str, minutes: float, attempt: int = 1) -> dict[str, Any]:
    """One run in its folder, on whatever machine this is; returns its record, which `result.json` holds, too.

    A failing notebook does not raise, its record says so. Raises `OSError` if the record cannot be written.
    """
    # Dask has its workers give freed memory back at once; a kernel that inherits this takes a third longer a step.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    before = os.times()
    with _peak_memory() as peak:
        result = run_notebook(notebook, folder, run.parameters, timeout=60 * minutes)
    after = os.times()
    record = {"run": run.name, "attempt": attempt, **asdict(result)}
    record["cpu_seconds"] = round(
        after.children_user + after.children_system - before.children_user - before.children_system, 1
    )
    record["peak_memory"] = peak.bytes
    write_json(Path(folder) / RESULT, record, RESULT_KEYS)
    return record


def read_result(folder: Path) -> dict[str, Any] | None:
    """The record of a run that ended, well or not; None for one that did not, and with a note for a damaged one."""
    return read_record(folder / RESULT, KEPT, {"ok"})


def _check_settings(text: Any) -> None:
    """Refuses dotted settings, which a notebook has in a parameter SETTINGS, before sixty runs fail on them."""
    try:
        with_settings(RunConfig(), text if isinstance(text, str) else "")
    except ValueError as error:
        raise ValueError(f"SETTINGS: {error}") from error


def _merge(above: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    merged = {key: {**above.get(key, {}), **block.get(key, {})} for key in ("values", "labels")}
    if settings := [table["values"]["SETTINGS"] for table in (above, block) if "SETTINGS" in table.get("values", {})]:
        ways = product(*(some if isinstance(some, list) else [some] for some in settings))
        merged["values"]["SETTINGS"] = [" ".join(map(str, way)).strip() for way in ways]
    merged["zips"] = [*above.get("zips", []), *block.get("zips", [])]
    merged["seeds"] = block.get("seeds", above.get("seeds"))
    return merged


def _axes(block: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The independent directions of a block, each a list of parameters that go together."""
    values = {n: v if isinstance(v, list) else [v] for n, v in block["values"].items()}
    axes = [[{name: value} for value in some] for name, some in values.items()]
    for group in block["zips"]:
        if len({len(v) for v in group.values()}) > 1:
            lengths = ", ".join(f"{name} {len(v)}" for name, v in group.items())
            raise ValueError(f"lists in `zips` must be of one length; found {lengths}")
        axes.append([dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)])
    if block["seeds"] is not None:
        axes.append([{"SEED": seed} for seed in block["seeds"]])
    names = [n for axis in axes if axis for n in axis[0]]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"{twice[0]} is set in more than one way; keep one")
    return axes


def _require_keys(table: Any, known: dict[str, Any], where: str = "") -> None:
    if not isinstance(table, dict):
        raise ValueError(f"{where}expected a table of {', '.join(known)}; found {table!r:.60}")
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where}unknown key {key}{nearest(key, known)}; it may be one of {', '.join(known)}")
        checked(f"{where}{key}", value, known[key])
    for group in table.get("zips", []):
        if not isinstance(group, dict) or not all(isinstance(some, list) for some in group.values()):
            raise ValueError(f"{where}zips holds tables of lists; found {group!r:.60}")


class _peak_memory:
    """Most resident bytes that the children of this process hold together, looked at every second."""

    bytes = 0

    def __enter__(self) -> "_peak_memory":
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        import psutil

        while not self._ended.wait(1):
            self.bytes = max(self.bytes, sum(self._held(psutil)))

    @staticmethod
    def _held(psutil) -> Iterator[int]:
        for child in psutil.Process().children(recursive=True):
            try:
                yield child.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
