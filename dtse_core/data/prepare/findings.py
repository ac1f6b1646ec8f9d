"""What a check finds: counts, and sentences about what is missing, what is wrong and what is worth knowing."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Expected(NamedTuple):
    """Numbers that a genuine copy has; `firm` ones must be met, others are quoted in papers and only shown."""

    numbers: tuple[int, ...]
    firm: bool = True


@dataclass
class Findings:
    """Collected file by file, in any process, and added up."""

    counts: Counter = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)  # not there
    wrong: list[str] = field(default_factory=list)  # there, but not as it must be
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Errors of readers become entries, their warnings notes, and the check goes on behind the block."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                yield
            except FileNotFoundError as error:
                self.missing.append(_line(error))
            except (ValueError, OSError) as error:
                self.wrong.append(_line(error))
        self.notes += [_line(one.message) for one in said if issubclass(one.category, UserWarning)]

    def add(self, other: "Findings") -> None:
        self.counts += other.counts
        self.missing += other.missing
        self.wrong += other.wrong
        self.notes += other.notes


class Row(NamedTuple):
    """A line of the table: what was counted against what a complete copy has."""

    what: str
    found: int
    expected: tuple[int, ...]
    state: str  # good, missing, wrong, differs (from a number that is only quoted), or counted


def compare(findings: Findings, expected: dict[str, Expected]) -> list[Row]:
    """The table, in the order of `expected`, then whatever else was counted; firm numbers not met become entries."""
    rows = []
    for what in dict.fromkeys([*expected, *findings.counts]):
        found, (numbers, firm) = findings.counts[what], expected.get(what, Expected((), False))
        state = "counted" if not numbers else "good" if found in numbers else "differs"
        if state == "differs" and firm:
            few = found < min(numbers)
            state = "missing" if few else "wrong"
            text = f"{what}: {found:,} found, {' or '.join(f'{n:,}' for n in numbers)} expected"
            (findings.missing if few else findings.wrong).append(text)
        rows.append(Row(what, found, numbers, state))
    return rows


def _line(message: object) -> str:
    return " ".join(str(message).split())
