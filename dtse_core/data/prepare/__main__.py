"""Get a data set into place, or check a copy of it.

Without --check: every file is fetched if that can be done, unpacked if its archive is in --archives (or in
the root), and explained if it must be fetched by hand. With --check: nothing is changed; layout, counts, readability,
shapes and one decoded frame a video are checked, and a table ends with "ready" or with what is missing or wrong.
Exit status: 0 good, 1 incomplete, 2 malformed.

    dtse prepare a2d --root data/a2d_sentences
    dtse prepare a2d --root data/a2d_sentences --check
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from ...config import Workers, check_settings
from ...shared.console import one_line_errors, parse
from ...shared.files import require_ours, write_json
from .check import check
from .obtain import data_set, obtain

DataSetName = Literal["a2d", "jhmdb", "ref_davis", "refer_youtube_vos", "mevis", "own", "refcoco"]
KEYS = r'^\{\s*"title": "[^"]*",\s*"root": |^\[\s*\{\s*"name": "[^"]*",\s*"state": '  # those of our reports


@dataclass(frozen=True)
class Command:
    dataset: tyro.conf.Positional[DataSetName]  # as in data.name
    root: Path  # folder of the data set
    check: bool = False  # only check; change nothing
    archives: Path | None = None  # folder in which downloaded archives lie and are kept; default: the root
    deep: bool = False  # check every frame of every video, and every checksum anew
    allow_partial: bool = False  # take a copy that lacks something as good, if what is there is sound
    json: Path | None = None  # write the report here, too
    workers: Workers = os.cpu_count() or 1  # processes that check; they do not change the result

    def __post_init__(self):
        check_settings(self)


def parse_command(arguments: Sequence[str] | None = None) -> Command:
    """The command line."""
    return parse(Command, "dtse prepare", arguments, description=__doc__)


@one_line_errors
def main() -> None:
    """Command line; its exit status says what was found."""
    command = parse_command()
    if command.json:
        require_ours(command.json, KEYS, inputs=[command.root, command.archives])
    sys.exit(_check(command) if command.check else _obtain(command))


def _check(command: Command) -> int:
    c = command
    report = check(c.dataset, c.root, c.deep, c.allow_partial, c.workers)
    print("\n".join(report.lines()))
    if c.json:
        write_json(c.json, asdict(report) | {"rows": [row._asdict() for row in report.rows]}, KEYS)
    return report.code


def _obtain(command: Command) -> int:
    c, dataset = command, data_set(command.dataset)
    print(f"{dataset.title}: {dataset.paper}\nPage: {dataset.page}")
    if dataset.note:
        print(dataset.note)
    steps = obtain(c.dataset, c.root, c.archives)
    for step in steps:
        print(f"[{step.state}] {step.source.name}, {step.source.holds}: {step.text}")
    if c.json:
        write_json(c.json, [{"name": s.source.name, "state": s.state, "text": s.text} for s in steps], KEYS)
    done = all(step.state in ("there", "done", "optional") for step in steps)
    check_it = f"dtse prepare {c.dataset} --root {c.root} --check"
    print(f"everything is in place; now check it: {check_it}" if done else "incomplete: see above")
    return 0 if done else 1


if __name__ == "__main__":
    main()
