"""The language behind the sentences: small typed programs over what a scene shows.

A program says of each thing yes (1), no (-1) or unclear (0), in Kleene's three-valued logic; `targets` is whom it
means, and None where anything is unclear. So a sentence is used only if people agree on every actor.

    And((Kind("ball"), Related("beside", And((Kind("dog"), Does("left"))))))    the ball beside the dog that moves left
    ["and", ["kind", "ball"], ["related", "beside", ["and", ["kind", "dog"], ["does", "left"]]]]      the same as JSON
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..words import ACTORS, ANCHORS, COLORS
from .facts import DEGREES, DENIED, EVENTS, FIRST, PLACES, RELATIONS, Facts


@dataclass(frozen=True)
class Kind:
    """Those of a kind."""

    name: str

    def __call__(self, facts: Facts) -> np.ndarray:
        return np.array([1 if thing.kind == self.name else -1 for thing in facts.things])


@dataclass(frozen=True)
class Color:
    name: str

    def __call__(self, facts: Facts) -> np.ndarray:
        return np.array([1 if thing.color == self.name else -1 for thing in facts.things])


@dataclass(frozen=True)
class Does:
    """Those that do one of `EVENTS` in the course of the clip."""

    what: str

    def __call__(self, facts: Facts) -> np.ndarray:
        return facts.does(self.what)


@dataclass(frozen=True)
class Not:
    of: "Program"

    def __call__(self, facts: Facts) -> np.ndarray:
        return -facts.ask(self.of)


@dataclass(frozen=True)
class And:
    """Those that all of `parts` hold of; the first is a `Kind`."""

    parts: tuple["Program", ...]

    def __call__(self, facts: Facts) -> np.ndarray:
        return np.min([facts.ask(part) for part in self.parts], 0)


@dataclass(frozen=True)
class Related:
    """Those that stand to one or more of `to` as one of `RELATIONS` says."""

    how: str
    to: "Program"

    def __call__(self, facts: Facts) -> np.ndarray:
        return np.minimum(facts.related(self.how), facts.ask(self.to)[None]).max(1)


@dataclass(frozen=True)
class Nth:
    """Of those of `of`, the one at place `rank` (from 0) by one of `ORDERS`; nobody if there are fewer.

    Unclear if that is the last place: nobody says "the second from the left" of two.
    """

    order: str
    rank: int
    of: "Program"

    def __call__(self, facts: Facts) -> np.ndarray:
        among, found = facts.ask(self.of), np.full(len(facts.things), -1)
        ranked = facts.ranks(self.order, np.flatnonzero(among > 0)) if among.all() else None
        if ranked is None or len(ranked) == self.rank + 1 > 1:
            return 0 * found
        found[ranked[self.rank : self.rank + 1]] = 1
        return found


@dataclass(frozen=True)
class Only:
    """Those of `of`, if they number `count` (0: two or more) or none; unclear if they number otherwise."""

    count: int
    of: "Program"

    def __call__(self, facts: Facts) -> np.ndarray:
        among = facts.ask(self.of)
        number = int((among > 0).sum())
        return among if number in (0, self.count) or (self.count == 0 and number >= 2) else 0 * among


Program = Kind | Color | Does | Not | And | Related | Nth | Only
OPERATIONS = {operation.__name__.lower(): operation for operation in (Kind, Color, Does, Not, And, Related, Nth, Only)}
PROPS = (*ANCHORS, "bowl")
SORTS = {  # the words that each can hold; those of one sort can stand for each other
    Kind: (tuple(ACTORS), PROPS),
    Color: (COLORS,),
    Does: (EVENTS,),
    Related: (RELATIONS,),
    Nth: (PLACES, DEGREES, FIRST),
}


def targets(program: Program, facts: Facts) -> tuple[int, ...] | None:
    """The numbers of the actors that a program means; None where it is unclear of anything, or means a prop."""
    said = facts.ask(program)
    if (said == 0).any() or (said[~facts.actor] > 0).any():
        return None
    return tuple(thing.number for thing, yes in zip(facts.things, said, strict=True) if yes > 0)


def depth(program: Program) -> int:
    """1 where the sentence speaks of its targets alone; one more for each step to others."""
    if isinstance(program, And):
        return max(map(depth, program.parts))
    if isinstance(program, Related):
        return 1 + depth(program.to)
    return depth(program.of) if isinstance(program, Not | Nth | Only) else 1


def to_json(program: Program) -> list:
    """A program as nested lists: its operation's name, then what it is made of."""
    name = type(program).__name__.lower()
    if isinstance(program, And):
        return [name, *map(to_json, program.parts)]
    return [name, *(to_json(value) if isinstance(value, Program) else value for value in vars(program).values())]


def from_json(tree: list) -> Program:
    """The program of `to_json`. Raises `ValueError` that names what is not part of the language."""
    if not isinstance(tree, list) or not tree or tree[0] not in list(OPERATIONS):
        raise ValueError(f"{tree!r} is not a program; expected a list that begins with {', '.join(OPERATIONS)}")
    operation, values = OPERATIONS[tree[0]], [from_json(v) if isinstance(v, list) else v for v in tree[1:]]
    if operation is And:
        types, values = [Program], [tuple(values)]
        fits = len(tree) > 1 and all(isinstance(part, Program) for part in values[0])
    else:
        types = [Program if t == "Program" else t for t in operation.__annotations__.values()]
        fits = len(types) == len(values) and all(isinstance(v, t) for v, t in zip(values, types, strict=True))
        fits = fits and not any(isinstance(v, bool) or (isinstance(v, int) and v < 0) for v in values)
    if not fits or (operation in SORTS and not any(values[0] in sort for sort in SORTS[operation])):
        raise ValueError(f"{tree!r} is not a program: {tree[0]} does not take {tree[1:]!r}")
    return operation(*values)


def shortened(program: Program) -> Iterator[Program]:
    """The programs that say one thing less."""
    if isinstance(program, And):
        for k, part in enumerate(program.parts):
            rest = program.parts[:k], program.parts[k + 1 :]
            if not isinstance(part, Kind):
                yield And(rest[0] + rest[1])
            yield from (And((*rest[0], short, *rest[1])) for short in shortened(part))
    elif isinstance(program, Related):
        yield from (replace(program, to=short) for short in shortened(program.to))
    elif isinstance(program, Not | Nth | Only):
        if isinstance(program, Nth):
            yield program.of
        yield from (replace(program, of=short) for short in shortened(program.of))


def exchanged(program: Program) -> Iterator[Program]:
    """The programs in which one word is another of its sort, so that they can be said."""
    if isinstance(program, And):
        for k, part in enumerate(program.parts):
            yield from (And((*program.parts[:k], new, *program.parts[k + 1 :])) for new in exchanged(part))
        return
    field, value = next(iter(vars(program).items()))
    for sort in SORTS.get(type(program), ()):
        if value in sort and sort != FIRST:
            yield from (replace(program, **{field: word}) for word in sort if word != value)
    inner = "to" if isinstance(program, Related) else "of"
    for new in exchanged(getattr(program, inner)) if hasattr(program, inner) else ():
        denied = isinstance(program, Not) and isinstance(new, Does) and new.what not in DENIED
        if not denied and not (value in FIRST and Does(value) not in new.parts):
            yield replace(program, **{inner: new})
