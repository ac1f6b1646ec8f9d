"""Training steps on one GPU: their time and memory in each precision, `torch.compile`, and what half precision changes.

    python benchmarks/gpu.py --out runs/gpu.jsonl
    python benchmarks/gpu.py --out runs/gpu.jsonl --tables True

The first command adds a JSON line to the file as soon as it has measured a row. The second needs no GPU: it prints the
steps in the file beside what the cost model says of them. Each row has a process of its own, so that its memory is that
of one training. Clips are drawn, weights random or those that ship with the package: nothing is downloaded.
"""

import json
import multiprocessing
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
import torch.nn.functional as F

from dtse_core import train
from dtse_core.config import Count, Whole, preset
from dtse_core.data.batch import collate_clips
from dtse_core.data.build import build_dataset
from dtse_core.data.sentences import FOLDER
from dtse_core.predict import ReferringVideoPredictor
from dtse_core.shared import markdown
from dtse_core.shared.console import one_line_errors, parse
from dtse_core.shared.files import read_json_lines
from dtse_core.streams import ARCHITECTURES
from dtse_core.training.cost import GB, WORDS, build_model, count_cost
from dtse_core.training.preparation import prepare
from dtse_core.training.run_folder import read_history
from dtse_core.training.speed import SHEETS, Speed, measure_speed

Row = dict[str, Any]
WARM, STEPS = 5, 10  # under fp16 the first steps are skipped, until the scale of the loss fits
PRECISION, PRECISIONS = "train.mixed_precision", {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}
LESS = {"train.accumulate": 2}, {"train.checkpoint_streams": True}  # memory
HELD = "held_gb", "reserved_gb", "process_gb"
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once; each process then starts in no time
ZYGOTE.set_forkserver_preload(["dtse_core.train", "dtse_core.predict", "transformers.models.bert.modeling_bert"])


@dataclass(frozen=True)
class Command:
    out: Path  # JSON lines, to which rows are added
    rows: tuple[Literal["speed", "steps", "training", "compiled"], ...] = ("speed", "steps", "training", "compiled")
    preset: tuple[Literal["modern", "colab", "paper", "tiny"], ...] = ("modern", "colab", "paper", "tiny")
    device: Literal["cuda", "cpu"] = "cuda"
    clips: Whole = 0  # of a batch; 0: the preset's own
    limit: Count = 120  # seconds that a row may take
    tables: bool = False  # print the steps of an existing --out, and do nothing


def plan(command: Command) -> Iterator[tuple[Callable[..., Row], str, Row]]:
    """What is measured, of which preset, with which settings: the most important first."""
    gpu, usual = command.device == "cuda", {name: preset(name).train.mixed_precision for name in command.preset}
    half = "fp16" if gpu else "bf16"
    yield from ((speed, "", {PRECISION: precision}) for precision in PRECISIONS if gpu or precision == "no")
    yield from ((steps, name, {PRECISION: precision}) for name, precision in usual.items())
    yield from ((steps, "paper", {PRECISION: "no", **less}) for less in LESS if "paper" in usual)
    yield from ((steps, name, {PRECISION: other}) for name in usual for other in PRECISIONS if other != usual[name])
    yield from ((training, name, {PRECISION: half}) for name in usual if name != "paper")
    yield from ((compiled, name, {PRECISION: "bf16"}) for name in usual if name != "colab")


def speed(command: Command, folder: Path, name: str, changes: Row) -> Row:
    """The device's speed as the cost model takes it from operators that it measures."""
    gpu = torch.cuda.get_device_name() if command.device == "cuda" else "none"
    found = measure_speed(command.device, PRECISIONS[changes[PRECISION]])
    return {"gpu": gpu, "torch": torch.__version__, "speed": asdict(found)}


def drawn(command: Command, folder: Path, name: str) -> Row:
    """Settings of a training on the drawn world, whose words the text stream knows: all of it lies in `folder`."""
    text = preset(name).model.text
    if text != "tiny-bert":
        shutil.copytree(FOLDER, folder / "text")
        (folder / "text" / "config.json").write_text(json.dumps(ARCHITECTURES[text]), encoding="utf-8")
        text = str(folder / "text")
    own = {"out": str(folder / "run"), "model.text": text, "data.name": "toy", "train.device": command.device}
    return own | dict.fromkeys(("train.epochs", "train.eval_every", "train.checkpoint_every", "data.workers"), 0)


def steps(command: Command, folder: Path, name: str, changes: Row, compiled: bool = False) -> Row:
    """Steps of the training loop on one batch: seconds of the first, of one after the warm-up, and memory held."""
    limits = {"train.steps": WARM + STEPS, "train.log_every": 0}
    config = preset(name, **drawn(command, folder, name), **limits, **changes)
    ends: list[float] = []
    skipped: list[bool] = []
    records: list[Row] = []

    def note_end() -> None:
        if command.device == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    def prepared(*given: Any) -> Any:
        run = prepare(*given)
        batch, count_step = next(run.batches), run.count_step
        ids, word_mask = (F.pad(x, (0, WORDS - x.shape[1])) for x in (batch.input_ids, batch.attention_mask))
        run.batches = repeat(replace(batch, input_ids=ids, attention_mask=word_mask))  # the loop moves it to the device
        run.count_step = lambda: (skipped.append(run.accelerator.optimizer_step_was_skipped), count_step(), note_end())
        run.validate = run.finish = lambda: None
        note_end()
        return run

    def make_model(_: Any) -> torch.nn.Module:
        model = build_model(config)  # at random weights, and frozen where pretrained ones are
        if compiled:
            model.compile()
        return model

    with patch.object(train, "prepare", prepared):
        train.train(config, False, records.append, make_model)
    took = [round(end - start, 4) for start, end in pairwise(ends)]
    found = {"first": took[0], "seconds": statistics.median(took[WARM:])}
    if command.device == "cuda":
        free, total = torch.cuda.mem_get_info()  # of the whole GPU, on which nothing else may run
        held = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(), total - free
        found |= dict(zip(HELD, (round(size / GB, 3) for size in held), strict=True))
    found["skipped"] = sum(skipped)
    return found | ({"loss": records[-1]["loss"]} if records else {})  # of skipped steps alone there is no record


def compiled(*given: Any) -> Row:
    """The same with `torch.compile`, which the first step waits for."""
    return steps(*given, compiled=True)


def training(command: Command, folder: Path, name: str, changes: Row) -> Row:
    """A short training as the command runs it, and what its weights (`tiny`: the shipped) answer in each precision."""
    short = {"model.pretrained": False, "train.steps": 30, "train.log_every": 5, "train.eval_samples": 16}
    settings = {**drawn(command, folder, name), **short, "data.workers": (os.cpu_count() or 1) // 2, **changes}
    final = train.train(train.parse_command([f"--preset={name}", *(f"--{k}={v}" for k, v in settings.items())]), False)
    history = read_history(final.parent)
    found = {
        "losses": [record["loss"] for record in history if "loss" in record],
        "skipped": sum(record.get("skipped", 0) for record in history),
        **history[-1],
    }
    predictor = ReferringVideoPredictor.from_pretrained("tiny" if name == "tiny" else final, command.device)
    model, data, logits = predictor.model, predictor.data, {}
    dataset = build_dataset(data, "val", model.config.window)
    clips = [dataset[k] for k in range(8)]
    found["confidence"] = predictor.segment(clips[0].frames, clips[0].expression).confidence.tolist()
    batch = collate_clips(clips, predictor.tokenizer, data.size, data.max_words).to(predictor.device)
    for precision, half in PRECISIONS.items():
        with torch.inference_mode(), torch.autocast(command.device, half, enabled=half is not None):
            logits[precision] = model(batch.frames, batch.input_ids, batch.attention_mask).logits.float()
    whole = logits["no"]  # (B, H, W)
    found["marked"] = float((whole > 0).float().mean())
    for precision in ("fp16", "bf16"):
        found[f"logits_{precision}"] = float((logits[precision] - whole).abs().max() / whole.std())
        found[f"pixels_{precision}"] = float(((logits[precision] > 0) != (whole > 0)).float().mean())
    return found


def in_a_process(measure: Callable[..., Row], command: Command, *given: Any) -> Row:
    """What `measure` finds in a fresh process, which ends at the limit."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        ProcessPoolExecutor(1, ZYGOTE, signal.alarm, (command.limit,)) as pool,
    ):
        try:
            return pool.submit(found_or_error, measure, command, Path(folder), *given).result()
        except BrokenProcessPool:
            return {"error": f"the process ended, killed or after {command.limit} s"}


def found_or_error(measure: Callable[..., Row], *given: Any) -> Row:
    try:
        return measure(*given)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split()):.300}"}


def readable(row: Row) -> bool:
    """True for a row as this version writes it: numbers in the columns of `tables`, and all that `Speed` holds."""
    speed, columns = row.get("speed", asdict(SHEETS["h100"][0])), (*HELD, "first", "seconds")
    return (
        {"row", "preset", PRECISION} <= row.keys()
        and row[PRECISION] in list(PRECISIONS)
        and isinstance(speed, dict)
        and speed.keys() == Speed.__annotations__.keys()
        and all(isinstance(value, int | float) for value in (*speed.values(), *(row.get(name, 0) for name in columns)))
    )


def tables(path: Path) -> str:
    """The steps beside the cost model's count of their memory, and its estimates of their time."""
    if not (found := read_json_lines(path, readable)):
        raise ValueError(f"{path} holds no row; measure some first, without --tables")
    speeds = {row[PRECISION]: Speed(**row["speed"]) for row in found if "speed" in row}
    table = [["row", "settings", "counted_gb", *HELD, "first", "seconds", "by_sheet", "by_operators", "notes"]]
    for row in (row for row in found if row["row"] in ("steps", "compiled")):
        changes = {name: value for name, value in row.items() if "." in name}
        cost = count_cost(preset(row["preset"], **changes), gpu=True)
        estimates = SHEETS["h100"][row[PRECISION] != "no"], speeds.get(row[PRECISION])
        row["counted_gb"] = cost.peak / GB
        row |= {name: cost.seconds(it) for name, it in zip(("by_sheet", "by_operators"), estimates, strict=True) if it}
        notes = row.get("error", f"skipped: {row.get('skipped', 0)}")
        settings = " ".join([row["preset"], *(f"{name}={value}" for name, value in changes.items())])
        table.append([row["row"], settings, *(f"{row[n]:.3f}" if n in row else "" for n in table[0][2:-1]), notes])
    return "\n".join(markdown.table(table))


@one_line_errors
def main() -> None:
    """Command line."""
    command = parse(Command, "python benchmarks/gpu.py", description=__doc__)
    if command.tables:
        print(tables(command.out))
        return
    if command.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no GPU can be used here; --device cpu tries the steps on the CPU")
    command.out.parent.mkdir(parents=True, exist_ok=True)
    with open(command.out, "a", encoding="utf-8") as file:
        for measure, name, changes in plan(command):
            if measure.__name__ in command.rows:
                changes |= {"train.batch": command.clips} if command.clips else {}
                start = time.perf_counter()
                found = in_a_process(measure, command, name, changes)
                took = round(time.perf_counter() - start, 1)
                line = json.dumps({"row": measure.__name__, "preset": name, **changes, **found, "whole": took})
                print(line, flush=True)
                print(line, file=file, flush=True)


if __name__ == "__main__":
    main()
