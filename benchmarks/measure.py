"""How the benchmarks measure: two sides in turns, processor time or wall clock, peaks of memory."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dtse_core.shared.files import read_json

PAIRS = 7  # how often both sides take a turn


def compare(name: str, bound: str | None, sides: dict[str, Callable[[], object]], **about) -> dict:
    """The time of two sides.

    With one thread the clock is the processor time of this process: on a quiet machine that is the time on the
    wall, beside other work it is fairer. With more threads it is the time on the wall.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def seconds(run: Callable[[], object]) -> float:
        start = clock()
        run()
        return clock() - start

    return measured(name, bound, sides, seconds, "seconds", **about)


def measured(
    name: str, bound: str | None, sides: dict, measure: Callable[[Callable], float], unit: str, **about
) -> dict:
    """A warm-up of each side, then `PAIRS` pairs in turns; the median of the pairs' ratios counts."""
    (one, run_one), (two, run_two) = sides.items()
    measure(run_one), measure(run_two)
    pairs = [(measure(run_one), measure(run_two)) for _ in range(PAIRS)]
    ratio = statistics.median(a / b for a, b in pairs)
    return {
        "name": name,
        "ratio": round(ratio, 4),
        "bound": bound,
        "met": None if bound is None else meets(ratio, bound),
        "pairs": PAIRS,
        "unit": unit,
        "sides": {one: statistics.median(a for a, _ in pairs), two: statistics.median(b for _, b in pairs)},
        "threads": torch.get_num_threads(),
        **about,
    }


def meets(ratio: float, bound: str) -> bool:
    """True if a ratio keeps a bound such as `<= 1.22`."""
    relation, limit = bound.split()
    return ratio <= float(limit) if relation == "<=" else ratio >= float(limit)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most that PyTorch's allocator holds at once while `run` runs, beyond what it held before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = run()  # kept until the last record
    records = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = np.cumsum([e.nbytes() for e in sorted(records, key=lambda e: e.start_ns())])
    del result
    return int(held.max(initial=0))


def peak_resident_bytes(run: Callable[[], object]) -> int:
    """The most memory that the process holds while `run` runs, as Linux counts it."""
    gc.collect()
    with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")  # the peak starts again from here
    run()
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def machine() -> dict:
    """What the numbers were measured on, and how busy it was."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def tables_of(path: Path, tables: Callable[[dict], str]) -> str:
    """The tables of a stored result. Raises `FileNotFoundError`, or `ValueError` for the file of another program."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; without --tables the command writes it")
    result = read_json(path)
    try:
        return tables(result)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise ValueError(f"{path} is not a result of this command; without --tables it writes one") from error
