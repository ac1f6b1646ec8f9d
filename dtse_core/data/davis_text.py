"""The text files of Ref-DAVIS17: `<sequence> <object id> "<expression>"`, a line each, in four annotation sets."""

import re
import warnings
from pathlib import Path

from ..shared.files import read_text
from .collate import clean_expression

SETS = (  # annotation sets 0 to 3: name of the file, and its encoding
    ("Davis17_annot1", "utf-8-sig"),
    ("Davis17_annot1_full_video", "utf-8-sig"),
    ("Davis17_annot2", "latin-1"),
    ("Davis17_annot2_full_video", "latin-1"),
)
REPAIRS = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S.*)")


def read_words(path: Path) -> list[str]:
    """The names in a list of sequences, one a line. Raises `ValueError` if one comes twice."""
    words = read_text(path).split()
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise ValueError(f"{path} lists {twice[0]} twice; copy it again")
    return words


def read_texts(folder: Path, known: set[str]) -> dict[str, list[tuple[str, list[str]]]]:
    """By sequence: its objects by rank, each with its id and its four expressions.

    Ids rank as text, "10" before "2", as in the converted layout. Raises `FileNotFoundError`, or `ValueError` naming
    file and line, or the sequence of which the four sets describe different objects.
    """
    paths = [folder / f"{name}.txt" for name, _ in SETS]
    sets = [read_expressions(path, encoding, known) for path, (_, encoding) in zip(paths, SETS, strict=True)]
    found = {}
    for sequence in dict.fromkeys(sequence for one in sets for sequence in one):
        ranked = [sorted(one.get(sequence, []), key=lambda said: said[0]) for one in sets]
        numbers = [[number for number, _ in said] for said in ranked]
        for path, other in zip(paths, numbers, strict=True):
            if other != numbers[0]:
                raise ValueError(
                    f"{path} describes the objects {', '.join(other) or 'none'} of {sequence}, {paths[0].name} "
                    f"{', '.join(numbers[0]) or 'none'}; the four files must agree: copy them again"
                )
        found[sequence] = [(number, [said[rank][1] for said in ranked]) for rank, number in enumerate(numbers[0])]
    return found


def read_expressions(path: Path, encoding: str, known: set[str]) -> dict[str, list[tuple[str, str]]]:
    """(object id, expression) by sequence, in the order of the file; mistyped names are repaired with a warning."""
    found: dict[str, list[tuple[str, str]]] = {}
    repaired: dict[str, int] = {}
    for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
        if not line.strip():
            continue
        match, where = LINE.fullmatch(line.strip()), f"{path}, line {number}"
        if not match:
            raise ValueError(f'{where}: expected <sequence> <object id> "<expression>"; found {line[:200]!r}')
        sequence, digits, text = match.groups()
        if sequence not in known and sequence in REPAIRS:
            repaired[sequence] = repaired.get(sequence, 0) + 1
            sequence = REPAIRS[sequence]
        if sequence not in known:
            raise ValueError(f"{where}: {sequence!r} is in none of the lists in ImageSets/2017; copy both again")
        expression = clean_expression(text.removeprefix('"').removesuffix('"'))  # one quote a side, no more
        if not expression:
            raise ValueError(f"{where}: the expression is empty; copy the file again")
        try:
            found.setdefault(sequence, []).append((object_number(digits), expression))
        except ValueError as error:
            raise ValueError(f"{where}: {error}; copy the file again") from None
    if repaired:
        names = ", ".join(f"{name} to {REPAIRS[name]} ({times} lines)" for name, times in repaired.items())
        warnings.warn(f"{path}: mistyped names repaired: {names}", stacklevel=2)
    return found


def object_number(value) -> str:
    """An object's id as text. Raises `ValueError` unless it is an index of the masks: 1 to 254, 255 being void."""
    if not isinstance(value, str) or not re.fullmatch("[1-9][0-9]{0,2}", value) or int(value) > 254:
        raise ValueError(f"the object id is {value!r}; expected a number from 1 to 254")
    return value
