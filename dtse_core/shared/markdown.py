"""Markdown that shows users' texts as they are, each on one line."""

import re
from collections.abc import Iterator, Sequence

from .console import visible

SIGNS = re.compile(r"[\\`*$|~<\[\]]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")  # within a word "_" is only a letter


def escaped(text: str) -> str:
    """As `visible`, a text that begins no tag, link, formula, emphasis or column, and ends no line."""
    return SIGNS.sub(r"\\\g<0>", " ".join(visible(text).split()))


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, its head first; all columns but the first are aligned right, as numbers are."""
    head, *body = (f"| {' | '.join(map(escaped, row))} |" for row in rows)
    yield from (head, f"| {' | '.join(['---', *['---:'] * (len(rows[0]) - 1)])} |", *body)
