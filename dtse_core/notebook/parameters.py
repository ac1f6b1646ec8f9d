"""What the parameters of a notebook may be, on both sides of papermill.

The cell tagged `parameters` holds lines `NAME = literal`: a text, a whole or finite number, True, False, None, or a
list or dictionary of these with texts as keys. Exactly these come out of papermill as they went in, negative numbers,
quotes, line ends and all scripts included. It would hand over anything else as a text (a tuple, a set, bytes, a date,
a number of NumPy) or changed (a key that is not a text); NaN and infinity are not JSON, which keeps the results, and
tables hold no whole number of more than 64 bits.
All of that is refused by name before anything runs.

A value has the type of the cell's literal; an int may stand for a float, and where the cell says None all are taken.
"""

import ast
import math
from contextlib import suppress
from typing import Any

from ..config import checked, nearest, read_value

PLAIN = "a text, a finite number below 2^63, True, False, None, or a list or dictionary of these with texts as keys"


def is_plain(value: Any) -> bool:
    """True if papermill carries the value exactly as it is, and JSON too."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and is_plain([*value, *value.values()])
    if type(value) is list:
        return all(is_plain(item) for item in value)
    if type(value) is str:  # half of a pair of surrogates cannot be written
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if type(value) is int:  # what tables hold
        return abs(value) < 2**63
    return value is None or type(value) is bool or (type(value) is float and math.isfinite(value))


def literals(cell: str, where: str) -> dict[str, Any]:
    """Names and values of a parameters cell. Raises `ValueError` for a line that is not `NAME = literal`."""
    try:
        lines = ast.parse(cell).body  # papermill's own inspection breaks on a "#" inside a text
    except SyntaxError as error:
        raise ValueError(f"{where}: its parameters cell is not Python: {error}") from error
    known: dict[str, Any] = {}
    for line in lines:
        value: Any = ...
        with suppress(AttributeError, ValueError):  # no assignment, and no literal
            [target] = line.targets
            known[target.id] = value = ast.literal_eval(line.value)
        if not is_plain(value):
            raise ValueError(f"{where}: `{ast.unparse(line)}` is not a parameter; write NAME = value, which is {PLAIN}")
    return known


def check_parameters(given: dict[str, Any], known: dict[str, Any], where: str) -> dict[str, Any]:
    """`given` in the types of the notebook's own literals `known`.

    Raises `ValueError` for a name that the notebook does not have, and for a value that papermill cannot carry or
    of another type.
    """
    for name, value in given.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"{where} has no parameter {name}{nearest(name, known)}; it has {names}")
        if not is_plain(value):
            raise ValueError(f"{where}: {name} is {value!r:.100}; a parameter is {PLAIN}")
    return {name: checked(f"{where}: {name}", value, _kind(known[name])) for name, value in given.items()}


def read_parameters(texts: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """What the texts of a command line stand for; `check_parameters` refuses what cannot be read."""
    return {name: read_value(text, _kind(known.get(name, ""))) for name, text in texts.items()}


def _kind(literal: Any) -> Any:
    return Any if literal is None else type(literal)
