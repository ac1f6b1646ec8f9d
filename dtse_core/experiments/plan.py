"""What a study asks, written down before it runs: `plan.md` beside its grid.

Its primary comparisons are the rows of the one table whose head begins so; further columns are for readers:

    | variant  | against | on        | equal   | why                                   |
    |----------|---------|-----------|---------|---------------------------------------|
    | LMDF off | DTSE    | direction | seconds | filters of several frames show motion |

`on` is all, a kind of evidence or another split than test; `equal` is a budget of the grid.
"""

from pathlib import Path

from ..shared.files import read_text
from .comparison import Question

PLAN = "plan.md"
HEAD = ["variant", "against", "on", "equal"]


def read_plan(grid: str | Path) -> list[Question]:
    """The primary comparisons of a grid file, in order; none if it has no plan.

    Raises `ValueError` for a plan without that table or with two, for a row that lacks a cell, and for one that comes
    twice.
    """
    path = Path(grid).with_name(PLAN)
    if not path.is_file():
        return []
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in read_text(path).splitlines()]
    heads = [place for place, cells in enumerate(lines) if cells[: len(HEAD)] == HEAD]
    if len(heads) != 1:
        raise ValueError(f"{path} has {len(heads)} tables with the head {' | '.join(HEAD)}; write one")
    found: list[Question] = []
    for cells in lines[heads[0] + 2 :]:
        if cells == [""]:
            break
        asked = Question(*cells[: len(HEAD)])
        if not all(asked) or len(cells) < len(HEAD) or asked in found:
            raise ValueError(f"{path}: the row {' | '.join(cells)} lacks a cell or comes twice; mend or delete it")
        found.append(asked)
    return found
