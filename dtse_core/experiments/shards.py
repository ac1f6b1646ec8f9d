"""Shards of a grid: each carried out on a machine of its own, in a folder that says which it is."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..config import checked
from ..shared.files import read_json, write_json
from ..shared.versions import RESULT_KEYS, versions
from .grid import Grid, Run

SHARD = "shard.json"  # in the folder of a shard's runs


class Shard(NamedTuple):
    """Part `number` of `count` that a grid is divided into, written 1/2."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def read(cls, text: str) -> "Shard":
        """The shard that a text such as 1/2 names. Raises `ValueError`."""
        if (found := re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text)) and int(found[1]) <= int(found[2]):
            return cls(int(found[1]), int(found[2]))
        raise ValueError(f"the shard {text!r} is not one of 1/2 and 2/2, or 1/3, 2/3 and 3/3 ...")

    def runs(self, grid: Grid) -> tuple[Run, ...]:
        """Its runs, side by side in the grid, so that a seed's are on one machine. Raises `ValueError` for none."""
        count = len(grid.runs)
        if count < self.count:
            raise ValueError(f"shard {self} of {count} runs; a grid has at most as many shards as runs")
        return grid.runs[(self.number - 1) * count // self.count : self.number * count // self.count]


def claim(grid: Grid, shard: Shard, out: Path) -> None:
    """Writes into `out` what its runs are: a shard, of which grid, with which versions.

    Raises `ValueError` if it holds anything else.
    """
    about = {"shard": str(shard), "grid": grid.fingerprint, "versions": versions()}
    if (out / SHARD).exists() and (found := read_json(out / SHARD)) != about:
        raise ValueError(
            f"{out} holds shard {found.get('shard')}, of another grid or version perhaps; choose another --out"
        )
    write_json(out / SHARD, about, RESULT_KEYS)


def require_shards(grid: Grid, name: Path, outs: Sequence[Path]) -> None:
    """Raises `ValueError` unless folders hold all shards of the grid file `name`, each once, of the same versions."""
    found: dict[Shard, Path] = {}
    first: dict[str, Any] = {}  # versions
    for out in outs:
        shard, of, versions = _claimed(out, name)
        again = f"run shard {shard} of {name} again"
        if of != grid.fingerprint:
            raise ValueError(f"{out} holds runs of another grid, or of other code in its notebook; {again}")
        one, before = next(iter(found.items()), (shard, out))
        if shard in found:
            raise ValueError(f"{found[shard]} and {out} both hold shard {shard}; leave one out")
        if shard.count != one.count:
            raise ValueError(f"{before} holds shard {one}, {out} shard {shard}; run all with one number of shards")
        first = first or versions
        for package in sorted((first.keys() | versions.keys()) - {"python"}):  # its last number varies among machines
            if (theirs := first.get(package)) != (ours := versions.get(package)):
                raise ValueError(f"{before} ran with {package} {theirs}, {out} with {ours}; {again} with the same")
        found[shard] = out
    for number in range(1, one.count + 1):
        if (shard := Shard(number, one.count)) not in found:
            held = f"{name} is in none of {', '.join(map(str, outs))}"
            raise ValueError(f"shard {shard} of {held}; give its folder, or run it with --shard {shard}")


def _claimed(out: Path, name: Path) -> tuple[Shard, str, dict[str, str]]:
    """What `claim` has written into a folder: the shard, the grid's fingerprint, the versions."""
    if not (out / SHARD).is_file():
        raise ValueError(f"there is no {out / SHARD}; give the folders that `run {name} --shard` has filled")
    about = read_json(out / SHARD)
    kinds = {"shard": str, "grid": str, "versions": dict}
    try:
        shard, *others = (checked(key, about.get(key), kind) for key, kind in kinds.items())
        return Shard.read(shard), *others
    except ValueError as error:
        raise ValueError(f"{out / SHARD}: {error}; run the shard again") from error
