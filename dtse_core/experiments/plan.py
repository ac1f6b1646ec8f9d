"""What a study asks, written down before it runs: `plan.md` beside its grid.

Its primary comparisons are the rows of the one table whose head begins so; further columns are for readers:

    | variant  | against | on        | equal   | why                                   |
    |----------|---------|-----------|---------|---------------------------------------|
    | LMDF off | DTSE    | direction | seconds | filters of several frames show motion |

`on` is all, a kind of evidence, or another split than test, of a slice without its controls; `equal` is a budget of the
grid.
"""

import re
from itertools import takewhile
from pathlib import Path

from ..shared.files import read_text
from .comparison import Comparison

PLAN = "plan.md"
HEAD = ["variant", "against", "on", "equal"]


def read_plan(grid: str | Path) -> list[Comparison]:
    """The primary comparisons of a grid file, in order; none if it has no plan.

    Raises `ValueError` for a plan without that table or with two, for a table without rows or without the line below
    its head, for a row that lacks a cell, and for a pair that is compared twice, or with itself.
    """
    path = Path(grid).with_name(PLAN)
    if not path.exists():
        return []
    lines = [line.strip() for line in read_text(path).split("\n")]
    heads = [place for place, line in enumerate(lines) if _cells(line)[: len(HEAD)] == HEAD]
    if len(heads) != 1:
        raise ValueError(f"{path} has {len(heads)} tables with the head {' | '.join(HEAD)}; write one")
    rule, *rows = takewhile(lambda line: line.startswith("|"), [*lines[heads[0] + 1 :], ""])
    if not re.fullmatch(r"[|:\s-]+", rule) or not rows:
        raise ValueError(f"{path}: below the head {' | '.join(HEAD)} come a line |---|---|---|---| and rows; add them")
    found: list[Comparison] = []
    for row in rows:
        cells = _cells(row)[: len(HEAD)]
        if not all(cells) or len(cells) < len(HEAD):
            raise ValueError(f"{path}: the row {row} lacks a cell; mend or delete it")
        asked = Comparison(*cells)
        others = [{q.variant, q.reference} for q in found if q[2:] == asked[2:]]
        if {asked.variant, asked.reference} in others or asked.variant == asked.reference:
            raise ValueError(f"{path}: the row {row} compares what is compared already; mend or delete it")
        found.append(asked)
    return found


def _cells(row: str) -> list[str]:
    """Those of a row of a table in Markdown."""
    return [cell.strip() for cell in row.removeprefix("|").removesuffix("|").split("|")]
