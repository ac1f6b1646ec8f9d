"""Whatever a command is given, a user sees a right result or one line that names the culprit; never a traceback.

The inputs are made by rules from good ones (`tests/spoil.py`), the same for the same number; `HOSTILE=300` in the
environment asks for more of them. A command takes them in this process, and a few through an interpreter of its own.
"""

import contextlib
import functools
import importlib
import io
import json
import multiprocessing
import os
import random
import runpy
import shutil
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from dtse_core.checkpoints.find import FILES, PACKAGED
from dtse_core.config import RunConfig, preset, setting_kinds
from dtse_core.data.prepare.__main__ import Command as PrepareCommand
from dtse_core.data.toy.__main__ import Command as ToyCommand
from dtse_core.data.toy.layouts.write import LAYOUTS, write_toy
from dtse_core.evaluate import SAMPLED, EvaluateCommand
from dtse_core.model import DTSE
from dtse_core.predict import PredictCommand, ReferringVideoPredictor
from dtse_core.train import train
from dtse_core.training import cost
from dtse_core.video.files import EXAMPLE, read_frames
from dtse_core.video.writing import write_video
from tests.spoil import RULES, VALUES

COUNT, REAL = int(os.environ.get("HOSTILE", 100)), 3  # inputs of a command, and more through the real one
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once; each process then starts in no time
ZYGOTE.set_forkserver_preload(["dtse_core.train", "dtse_core.evaluate"])
PREPARE = "dtse_core.data.prepare.__main__"
FEW = "--train", 1, "--test", 0, "--height", 16, "--width", 24, "--workers", 1
ODD = ("a b", "ä ö", "%s {0} {x}", "[red]", "-dash", "a'b\"c", "猫", "a\nb", "a:b", "*", "x" * 200, "\udcff", "#", "~")
SMALL = {
    "data.size": (32, 48),
    "data.toy_clips": 8,
    "train.batch": 2,
    "train.eval_every": 0,
    "train.eval_samples": 2,
    "train.checkpoint_every": 2,
    "train.log_every": 1,
    "train.steps": 5,
}
GRID = """# two variants, two seeds
notebook = "work.ipynb"
minutes = 1
seeds = [0, 1]
[values]
RATE = 0.25
[[zips]]
MODE = ["a"]
[[blocks]]
labels = { variant = "full", group = "design" }
[[blocks]]
labels = { variant = "LMDF off", group = "LMDF", budget = "steps", against = "full" }
values = { SETTINGS = "model.lmdf=off" }
"""
KERNEL = {"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
TABLES = {  # the kinds of files of a layout
    "a2d": ["Release/videoset.csv", "text_annotations/*.txt", "Release/clips320H/*", "text_annotations/*/*/*.h5"],
    "jhmdb": ["jhmdb_annotation.txt", "Rename_Images/*/*/*.png", "puppet_mask/*/*/*.mat"],
    "ref_davis": ["DAVIS/ImageSets/2017/*.txt", "davis_text_annotations/*.txt", "DAVIS/davis_semantics.json",
                  "DAVIS/*/480p/*/*.jpg", "DAVIS/*/480p/*/*.png"],
    "refer_youtube_vos": ["meta_expressions/*/meta_expressions.json", "train/meta.json", "train/JPEGImages/*/*.jpg",
                          "train/Annotations/*/*.png"],
    "mevis": ["*/meta_expressions.json", "*/mask_dict.json", "*/JPEGImages/*/*.jpg"],
    "own": ["sentences.json", "clips/*/*", "masks/*/*.png"],
    "refcoco": ["refs(unc).p", "instances.json", "train2014/*.jpg"],
}  # fmt: skip


class Case(NamedTuple):
    """One hostile input."""

    what: str
    command: str  # module
    arguments: list[Any]
    culprits: tuple[str, ...]  # one of these is named
    target: Path | None = None  # is not there unless all goes well


class Home:
    """What the inputs are made of, each part when it is first asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    @cached_property
    def clip(self) -> Path:
        return write_video(self.folder / "clip.mp4", read_frames(EXAMPLE, range(3))[:, ::2, ::2], 5)

    @cached_property
    def frames(self) -> Path:
        (folder := self.folder / "frames").mkdir()
        for k, frame in enumerate(read_frames(EXAMPLE, range(3))):
            Image.fromarray(frame[::2, ::2]).save(folder / f"{k:05d}.{'png' if k else 'jpg'}")
        return folder

    @functools.cache  # noqa: B019
    def world(self, layout: str) -> Path:
        write_toy(self.folder / layout, {"train": 1, "test": 1}, layout, seed=1, height=32, width=48)
        return self.folder / layout

    @functools.cache  # noqa: B019
    def masks(self, layout: str) -> Path:
        folder = self.folder / "masks" / layout
        arguments = ["--data.name", layout, "--split", "test", "--data.root", self.world(layout), "--batch", 64]
        run("dtse_core.evaluate", [*arguments, "--save-masks", folder])
        return folder

    @cached_property
    def stopped(self) -> Path:
        """A run that was stopped after its fourth step, and has only four."""

        class Stop(Exception):
            pass

        def stop(record: dict) -> None:
            if record["step"] == 5:
                raise Stop

        out = self.folder / "stopped"
        with contextlib.suppress(Stop):
            train(preset("tiny", out=str(out), **SMALL), progress=False, on_log=stop)
        settings = json.loads((out / "run.json").read_text(encoding="utf-8"))
        (out / "run.json").write_text(json.dumps(settings | {"train.steps": 4}), encoding="utf-8")
        return out

    @cached_property
    def finished(self) -> Path:
        out = shutil.copytree(self.stopped, self.folder / "finished")
        run("dtse_core.train", [*settings(out, steps=4)])
        return out

    @cached_property
    def grid(self) -> Path:
        """A grid of four runs, of which two are done and one has failed, and its notebook."""
        import nbformat
        from nbformat.v4 import new_code_cell, new_notebook

        from dtse_core.experiments.grid import read_grid
        from dtse_core.experiments.tables import collect, write_tables

        (folder := self.folder / "grid").mkdir()
        parameters = 'SEED = 0  # of all\nMODE = "a"\nRATE = 0.5\nSETTINGS = ""'
        cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell("1 + 1")]
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), folder / "work.ipynb")
        (folder / "g.toml").write_text(GRID, encoding="utf-8")
        for k, one in enumerate(read_grid(folder / "g.toml").runs[:3]):
            (place := folder / "runs" / one.name).mkdir(parents=True)
            clips = {"clip": ["c", "d"], "video_id": ["v", "w"], "evidence": ["action", None]}
            clips |= {"intersection": [5, 6], "union": [9, 9], "on_target": [0.5, None], "on_twin": [0.25, None]}
            metrics = {"metrics": {"mean_iou": k / 10}, "by_evidence": {"action": {"mean_iou": 0.5}}, "steps": 5}
            recorded = metrics | {"curves": [{"step": 1, "loss": 0.5}], "clips": {"test": clips}}
            record = {"run": one.name, "attempt": 1, "notebook": "work", "title": "w", "ok": k < 2, "seconds": 1.0}
            record |= {"asked": one.parameters, "config": {"a": 1}, "versions": {"python": "3"}, "recorded": recorded}
            (place / "result.json").write_text(json.dumps(record), encoding="utf-8")
        write_tables(collect(read_grid(folder / "g.toml"), [folder]), folder)
        return folder


def linked(source: Path, target: Path) -> Path:
    """A copy to damage: rules replace files, and never write into them."""
    if source.is_dir():
        return shutil.copytree(source, target, copy_function=os.link)
    os.link(source, target)
    return target


def settings(out: Path, steps: int = 5) -> list[str]:
    chosen = [f"--{name}={value}" for name, value in (SMALL | {"train.steps": steps}).items()]
    return ["--preset", "tiny", *chosen, "--out", str(out)]


def damaged(path: Path, k: int, rng: random.Random) -> str:
    """Applies the rule of input `k` to a file; says which."""
    name = list(RULES)[k % len(RULES)]
    RULES[name](path, rng)
    return f"{path.name}: {name}"


def some_file(folder: Path, pattern: str, rng: random.Random) -> Path:
    return rng.choice(sorted(path for path in folder.rglob(pattern) if path.is_file()))


# What is hostile: from the good, a folder to work in and a number to an input of a command.


def film(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    video, out = linked(home.clip, folder / "clip.mp4"), folder / "out.mp4"
    what = damaged(video, k, rng)
    return Case(what, "dtse_core.predict", [video, "the dog", "--out", out], ("clip.mp4",), out)


def frames(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    images, out = linked(home.frames, folder / "frames"), folder / "out.gif"
    file = some_file(images, "*", rng)
    return Case(
        damaged(file, k, rng), "dtse_core.predict", [images, "the dog", "--out", out], (file.name, "frames"), out
    )


def odd_name(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    """A video of an odd name, or one that is not there, and an odd name to write to."""
    name, out = (
        ODD[k % len(ODD)],
        folder / (ODD[k // 2 % len(ODD)] + rng.choice([".mp4", "", ".gif", ".MP4", ".xyz", "/"])),
    )
    video = folder / f"in {name}.mp4"
    if k % 3:
        linked(home.clip, video)
    if k % 4 == 1:
        out = rng.choice([video, folder, home.clip, Path("/dev/null/x"), Path(os.devnull)])
    arguments = [video, "the dog", "--out", out]
    return Case(f"{video} {out}", "dtse_core.predict", arguments, (str(video), str(out), "out is"), None)


def sentence(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    text, out = str(VALUES[k % len(VALUES)]) * rng.choice([1, 1, 3, 100]), folder / "out"
    arguments = [home.clip, *["the dog"] * (k % 2), text, "--out", out]
    return Case(
        f"sentence {text!r:.40}",
        "dtse_core.predict",
        arguments,
        (text[:20], repr(text)[1:20], "expression", "option"),
        out,
    )


def checkpoint(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    copy, out = linked(PACKAGED / "tiny", folder / "tiny"), folder / "out.mp4"
    file = copy / FILES[k // len(RULES) % len(FILES)]
    what = damaged(file, k, rng)
    arguments = [home.clip, "the dog", "--out", out, "--checkpoint", copy]
    return Case(what, "dtse_core.predict", arguments, (file.name, str(copy)), out)


Base = Callable[["Home", Path], list[Any]]  # arguments without a fault


def options(module: str, kind: Any, base: Base, home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    """One or two options with values that stand for anything."""
    names = [name for name in setting_kinds(kind) if name not in ("out", "device", "workers", "data.workers")]
    given, culprits = [], []
    for _ in range(rng.choice([1, 1, 2])):
        name, value = rng.choice(names), str(rng.choice(VALUES)).replace("\0", "")
        name = rng.choice([name] * 8 + [name[:-1], f"{name}s"])
        given += [f"--{name.replace('_', rng.choice('_-'))}={value}"]
        culprits += [
            name,
            name[:-1],
            name.replace("_", "-"),
            name.rpartition(".")[2],
            value[:20] or ". is a folder",
            repr(value)[1:20],
        ]
    return Case(
        " ".join(given)[:200], module, [*base(home, folder), *given], ("submission zips", *filter(None, culprits))
    )


def spoilt_world(
    home: Home, folder: Path, k: int, rng: random.Random, layout: str
) -> tuple[str, Path, tuple[str, str]]:
    root, patterns = linked(home.world(layout), folder / layout), [*TABLES[layout], "toy_world.json"]
    file = rng.choice(sorted(root.glob(patterns[k // len(RULES) % len(patterns)])))
    return damaged(file, k, rng), root, (file.name, str(file.parent))


def check(home: Home, folder: Path, k: int, rng: random.Random, layout: str) -> Case:
    what, root, names = spoilt_world(home, folder, k, rng, layout)
    arguments = [layout, "--root", root, "--check", "--workers", 1]
    return Case(what, PREPARE, arguments, (*names, "sentences"))


def world(home: Home, folder: Path, k: int, rng: random.Random, layout: str) -> Case:
    masks, out = home.masks(layout), folder / "result.json"
    what, root, names = spoilt_world(home, folder, k, rng, layout)
    arguments = ["--masks", masks, "--data.name", layout, "--data.root", root, "--split", "test", "--json", out]
    return Case(what, "dtse_core.evaluate", arguments, (*names, layout), out)


def masks(home: Home, folder: Path, k: int, rng: random.Random, layout: str) -> Case:
    copy, out = linked(home.masks(layout), folder / "masks"), folder / "result.json"
    file = some_file(copy, rng.choice(["index.json", "*.png"]) if layout in SAMPLED else "*.png", rng)
    if rng.random() < 0.25:
        file = copy = Path(shutil.make_archive(str(copy), "zip", copy))
    what = damaged(file, k, rng)
    arguments = ["--masks", copy, "--data.name", layout, "--data.root", home.world(layout), "--split", "test"]
    return Case(what, "dtse_core.evaluate", [*arguments, "--json", out], (file.name, str(file.parent)), out)


def resumed(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    out = linked(home.stopped if k % 3 else home.finished, folder / "run")
    file = some_file(out, "*", rng)
    return Case(damaged(file, k, rng), "dtse_core.train", settings(out, 4), (file.name, str(file.parent)))


def grid(home: Home, folder: Path, k: int, rng: random.Random, name: str) -> Case:
    copy, to = linked(home.grid, folder / "grid"), folder / "to"
    file = some_file(copy, name, rng)
    what = damaged(file, k, rng)
    if name == "*.parquet":
        arguments = ["report", copy / "g.toml", "--tables", copy]
    else:
        arguments = ["collect", copy / "g.toml", "--out", copy, "--tables", to]
    return Case(what, "dtse_core.experiments.__main__", arguments, (file.name,), to)


def notebook(home: Home, folder: Path, k: int, rng: random.Random) -> Case:
    copy, out = linked(home.grid, folder / "grid"), folder / "out"
    file = copy / "work.ipynb"
    what = damaged(file, k, rng) if k % 2 else "a parameter"
    value = str(rng.choice(VALUES)).replace("\0", "")
    arguments = [file, "--out", out, "-p", rng.choice(["SEDE", "SEED", "RATE", value]), value]
    return Case(what, "dtse_core.experiments.runner", arguments, (file.name, "expected"), None)


def masks_of_a2d(home: Home, folder: Path) -> list[Any]:
    data = "--data.name", "a2d", "--data.root", home.world("a2d"), "--split", "test"
    return ["--masks", home.masks("a2d"), *data, "--device", "cpu"]


TRAIN = partial(options, "dtse_core.train", RunConfig, lambda home, folder: settings(home.finished, 4))
EVALUATE = partial(options, "dtse_core.evaluate", EvaluateCommand, masks_of_a2d)
PREDICT = partial(options, "dtse_core.predict", PredictCommand, lambda home, folder: [home.clip, "the dog"])
CHECK = partial(
    options,
    PREPARE,
    PrepareCommand,
    lambda home, folder: ["a2d", "--root", home.world("a2d"), "--check", "--workers", 1],
)
TOY = partial(options, "dtse_core.data.toy.__main__", ToyCommand, lambda home, folder: ["--out", folder / "toy", *FEW])
COST = partial(options, "dtse_core.training.cost", cost.CostCommand, lambda home, folder: ["--device", "t4"])
ENTRANCES: dict[str, list[Callable[..., Case]]] = {
    "predict": [film, frames, odd_name, sentence, checkpoint, PREDICT],
    "evaluate": [partial(f, layout=layout) for f in (world, masks) for layout in LAYOUTS] + [EVALUATE],
    "prepare": [partial(check, layout=layout) for layout in LAYOUTS] + [CHECK],
    "train": [resumed, TRAIN],
    "experiments": [partial(grid, name=name) for name in ("g.toml", "work.ipynb", "result.json", "*.parquet")],
    "runner": [notebook],
    "toy": [TOY],
    "cost": [COST],
}


class Said(NamedTuple):
    case: Case
    code: Any
    out: str
    err: str
    fault: str
    trace: str


LOAD, TINY = ReferringVideoPredictor.from_pretrained, functools.cache(ReferringVideoPredictor.from_pretrained)


def loaded(name: str, *others: Any) -> ReferringVideoPredictor:
    """The shipped model is loaded once."""
    return (TINY if name == "tiny" else LOAD)(name, *others)


def built(config: RunConfig, *_: Any) -> cost.Cost:
    """The model is built, and no step is run."""
    with FakeTensorMode():
        cost.build_model(config)
    return cost.Cost(*[1] * 8, Counter(memory=1))


def run(command: str, arguments: list[Any]) -> tuple[Any, str, str, str]:
    """Exit status, standard output and error of a command in this process, and the traceback that it would show."""
    out, err, trace, code = io.StringIO(), io.StringIO(), "", None
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", [command, *map(str, arguments)]),
            mock.patch("papermill.execute_notebook", lambda path, copy, *_, **__: shutil.copy(path, copy)),
            mock.patch.object(ReferringVideoPredictor, "from_pretrained", loaded),
            mock.patch.object(cost, "count_cost", built),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            code = importlib.import_module(command).main() or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        trace = traceback.format_exc()
    return code, out.getvalue(), err.getvalue(), trace


def judged(home: Home, entrance: str, folder: Path, k: int) -> Said:
    """Gives a command its input `k`, and judges what it says."""
    makers = ENTRANCES[entrance]
    case = makers[k % len(makers)](home, folder, k // len(makers), random.Random(f"{entrance} {k}"))
    with contextlib.chdir(folder):
        code, out, err, trace = run(case.command, case.arguments)
    return Said(
        case, code, out, err, trace.strip().splitlines()[-1] if trace else fault_of(case, code, out, err), trace
    )


def fault_of(case: Case, code: Any, out: str, err: str) -> str:
    """What is wrong with an answer; empty if nothing is."""
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    if code == 0:
        return f"says {lines}" if lines else ""
    if code not in (1, 2):
        return f"exit status {code!r}"
    if case.command == PREPARE and not lines:  # the report tells
        return "" if any(c in out for c in case.culprits) else "the report does not name the culprit"
    if len(lines) != 1 or not lines[0].startswith(("error: ", "FAILED ")):
        return f"not one line but {len(lines)}"
    if not any(" ".join(c.split()) in lines[0] for c in case.culprits):
        return f"culprit not named: {lines[0]}"
    if case.target is not None and os.path.lexists(case.target):
        return "something is written"
    return ""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return Home(tmp_path_factory.mktemp("good") / "home")


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> Callable[[], Path]:
    """A function that gives an empty folder, the last one with nothing left in it."""
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DTSE_HEADLESS", "1")  # other tests load what a live notebook does: progress bars would show

    def empty() -> Path:
        shutil.rmtree(tmp_path, ignore_errors=True)
        (tmp_path / "case").mkdir(parents=True)
        return tmp_path / "case"

    return empty


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_hostile_input_ends_in_one_line_that_names_it(home, fresh, entrance):
    answers = [(k, judged(home, entrance, fresh(), k)) for k in range(COUNT)]
    faults = [f"{k}, {said.case.what}: {said.fault}\n{said.trace}" for k, said in answers if said.fault]
    assert not faults, "\n".join(faults).encode("ascii", "backslashreplace").decode()
    assert sum(said.code != 0 for _, said in answers) > COUNT / 3


@pytest.mark.parametrize("load", [ReferringVideoPredictor.from_pretrained, DTSE.from_pretrained])
def test_a_hostile_checkpoint_is_named_in_python(home, fresh, load):
    for k in range(COUNT // 5):  # most take the time of building a model
        folder = linked(PACKAGED / "tiny", fresh() / "tiny")
        file, rng = folder / FILES[k // len(RULES) % len(FILES)], random.Random(k)
        what = damaged(file, k, rng)
        try:
            load(folder)
        except (ValueError, FileNotFoundError) as error:
            assert file.name in str(error) or str(folder) in str(error), what


def really(command: str, arguments: list[str], folder: Path) -> None:
    """What `python -m` does, its output kept in two files."""
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = [command, *arguments]
    for module in (command, f"{command}.__main__"):  # which this file has imported
        sys.modules.pop(module, None)
    runpy.run_module(command, run_name="__main__", alter_sys=True)


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_real_command_answers_so_too(home, fresh, entrance):
    makers = ENTRANCES[entrance]
    for k in range(REAL):
        folder = fresh()
        case = makers[k % len(makers)](home, folder, 3 * k + 2, random.Random(f"{entrance} {k}"))
        command = case.command.removesuffix(".run").removesuffix(".__main__")
        process = ZYGOTE.Process(target=really, args=(command, [*map(str, case.arguments)], folder))
        process.start()
        process.join()
        out, err = ((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        assert not fault_of(case, process.exitcode, out, err), ascii((case, err))
