"""Keeps what finished runs left as small files to commit, and puts it back where a study goes on.

    python -m benchmarks.study.keep --runs runs/study        # before a commit, and after a fresh clone

A run that ended well has `runs/study/runs/NAME/result.json`; what is committed is `rows/NAME.json.gz` beside this file,
without what all runs say alike: which clips were scored, which lies once in `rows/clips-HASH.json.gz`. Both ways in one
call: what is new goes into `rows`, what lies there and not in the folder of runs is put back, byte by byte as JSON, so
that `run` skips it and `collect` finds it. A run that did not end leaves nothing and starts anew.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtse_core.experiments.grid import RESULT, read_result
from dtse_core.shared.console import one_line_errors, parse
from dtse_core.shared.files import ANY, write_json, written_whole

from .grids import HERE

ALIKE = ("clip", "video_id", "evidence")  # columns of scored clips that say which clips these are


def pack(record: dict[str, Any], rows: Path) -> dict[str, Any]:
    """A record whose clips are named by a file in `rows`, written if it is not there."""
    clips = record["recorded"].get("clips", {})
    packed = {}
    for split, table in clips.items():
        text = json.dumps({name: table[name] for name in ALIKE}, ensure_ascii=False)
        name = f"clips-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        if not (rows / f"{name}.json.gz").exists():
            _write(rows / f"{name}.json.gz", text)
        packed[split] = {"alike": name} | {key: column for key, column in table.items() if key not in ALIKE}
    return record | {"recorded": record["recorded"] | {"clips": packed}}


def unpack(record: dict[str, Any], rows: Path) -> dict[str, Any]:
    """What `pack` was given."""
    tables = {
        split: {key: column for key, column in table.items() if key != "alike"}
        | json.loads(_read(rows / f"{table['alike']}.json.gz"))
        for split, table in record["recorded"]["clips"].items()
    }
    return record | {"recorded": record["recorded"] | {"clips": tables}}


def keep(runs: Path, rows: Path) -> tuple[int, int]:
    """Both ways; returns how many runs went into `rows`, and how many came back."""
    rows.mkdir(parents=True, exist_ok=True)
    saved = back = 0
    for folder in sorted((runs / "runs").glob("*/")):
        record, file = read_result(folder), rows / f"{folder.name}.json.gz"
        if record and record["ok"] and not file.exists():
            _write(file, json.dumps(pack(record, rows), ensure_ascii=False))
            saved += 1
    for file in sorted(rows.glob("[0-9a-f]*.json.gz")):
        target = runs / "runs" / file.name.removesuffix(".json.gz") / RESULT
        if file.name.startswith("clips-") or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, unpack(json.loads(_read(file)), rows), ANY)
        back += 1
    return saved, back


def _write(file: Path, text: str) -> None:
    with written_whole(file, ANY) as part:
        part.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _read(file: Path) -> str:
    return gzip.decompress(file.read_bytes()).decode()


@dataclass(frozen=True)
class Command:
    runs: Path = Path("runs/study")  # the --out of the study


@one_line_errors
def main() -> None:
    """Command line."""
    options = parse(Command, "python -m benchmarks.study.keep", description=__doc__)
    saved, back = keep(options.runs, HERE / "rows")
    print(f"{saved} runs kept, {back} put back")


if __name__ == "__main__":
    main()
