"""What a scene shows, with margins: each fact is yes (1), no (-1) or, where people would disagree, unclear (0).

The measures are the whole clip's: "moves to the left" is all of its way, "left of" is so in every frame. Nothing is
drawn; `tests/unit/test_toy_level2.py` measures the same in the pictures.
"""

from functools import cached_property
from itertools import groupby

import numpy as np

from .scene import UNIT, WIDTH, Scene, share, shown

WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
DENIED = ("moves", "turns", "stops", "jumps", "hides")  # events of which it is said that somebody does not
EVENTS = ("moves", *WAYS, "stops", "starts", "pauses", "turns", "wanders", "hides", "jumps", "eats")
SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}  # axis, sign
RELATIONS = (*SIDES, "beside", "larger", "smaller", "faster", "chases", "chased by", "meets")
PLACES, DEGREES, FIRST = ("left", "right", "top", "bottom"), ("large", "small", "fast", "slow"), ("hides", "stops")
ORDERS = (*PLACES, *DEGREES, *FIRST)
ACTS_SEEN = 200  # the height from which it is seen that somebody jumps or eats


def verdict(yes, no) -> np.ndarray:
    """1 where `yes`, -1 where `no`, 0 elsewhere."""
    return np.asarray(yes, np.int8) - np.asarray(no, np.int8)


class Facts:
    """Answers about the things of one scene, in its order."""

    def __init__(self, scene: Scene):
        self.scene, self.things = scene, scene.things
        self.actor = np.array([bool(thing.color) for thing in scene.things])
        self.height = np.array([thing.height for thing in scene.things])
        self.steady = scene.pan == 0  # else speeds in the world and in the picture differ
        self._known: dict = {}

    def ask(self, program) -> np.ndarray:
        """(things,): what a program says of each, worked out once."""
        if program not in self._known:
            self._known[program] = program(self)
        return self._known[program]

    # ---------------------------------------------------------------- measures

    @cached_property
    def middles(self) -> np.ndarray:  # (things, length, 2), doubled, so that they are whole
        return self.scene.boxes[..., :2] + self.scene.boxes[..., 2:]

    @cached_property
    def steps(self) -> np.ndarray:  # (things, length - 1, 2)
        return np.diff(self.middles, axis=1) // 2

    @cached_property
    def path(self) -> np.ndarray:  # (things,): how far it goes in all
        return np.abs(self.steps).sum((1, 2))

    @cached_property
    def shown(self) -> np.ndarray:
        return shown(self.scene)

    @cached_property
    def speed(self) -> np.ndarray:  # (things,): thousandths a frame while it moves
        return 1000 * self.path // np.maximum(self.steps.any(2).sum(1), 1)

    @cached_property
    def gaps(self) -> np.ndarray:  # (2, things, things, length): free space between boxes, sideways and up and down
        low, high = np.moveaxis(self.scene.boxes[..., :2], 2, 0), np.moveaxis(self.scene.boxes[..., 2:], 2, 0)
        return np.maximum(low[:, :, None], low[:, None]) - np.minimum(high[:, :, None], high[:, None])

    @cached_property
    def ways(self) -> np.ndarray:  # (2, things, things, length): from the middle of the second to that of the first
        middles = np.moveaxis(self.middles, 2, 0)
        return (middles[:, :, None] - middles[:, None]) // 2

    # ---------------------------------------------------------------- alone

    def does(self, what: str) -> np.ndarray:
        """(things,): whether each does one of `EVENTS`."""
        if what not in self._known:
            self._known[what] = self._does(what)
        return self._known[what]

    def _does(self, what: str) -> np.ndarray:
        still = self.path == 0
        if what in ("jumps", "eats"):
            does = np.array([thing.act == what for thing in self.things])
            return verdict(does & (self.height >= ACTS_SEEN), ~does)
        if what == "moves":
            jumps = np.array([thing.act == "jumps" for thing in self.things])
            return verdict((self.path >= UNIT // 5) & (self.steps.any(2).sum(1) >= 6), still & ~jumps)
        if what in WAYS:
            along, across = self.steps @ WAYS[what], np.abs(self.steps @ WAYS[what][::-1]).sum(1)
            forth, back = np.maximum(along, 0).sum(1), np.maximum(-along, 0).sum(1)
            straight = (forth >= UNIT // 4) & (back <= UNIT // 50) & (3 * across <= forth)
            return verdict(straight, forth <= UNIT // 40)
        if what == "hides":
            hidden = self.hidden_from
            return verdict(hidden >= 0, (self.shown >= 300).all(1))
        if what in ("turns", "wanders"):
            return np.array([_turns(np.sign(s[:, 0]), s[:, 0], what) for s in self.steps], np.int8)
        return np.array([_pace(s.any(1), what) for s in self.steps], np.int8)

    @cached_property
    def hidden_from(self) -> np.ndarray:
        """(things,): the first frame in which it is out of sight behind one prop; -1 if it never clearly is."""
        props = [k for k, thing in enumerate(self.things) if not thing.color]
        found = np.full(len(self.things), -1)
        for k, thing in enumerate(self.things):
            screens = [p for p in props if self.things[p].depth > thing.depth]
            if not thing.color or not screens:
                continue
            gone = (share(self.scene.boxes[k][None], self.scene.boxes[screens]) >= 970).any(0)
            seen = self.shown[k] >= 700
            if gone.sum() >= 4:
                first, last = np.flatnonzero(gone)[[0, -1]]
                if gone[first : last + 1].all() and seen[:first].sum() >= 4 and seen[last:].sum() >= 4:
                    found[k] = first
        return found

    # ---------------------------------------------------------------- in pairs

    def related(self, how: str) -> np.ndarray:
        """(things, things): whether the first stands to the second as one of `RELATIONS` says."""
        if how not in self._known:
            self._known[how] = self._related(how)
            np.fill_diagonal(self._known[how], -1)
        return self._known[how]

    def _related(self, how: str) -> np.ndarray:
        if how == "beside" or how in SIDES:
            return np.minimum(self._near(how), 1 - self._at_another)
        if how in ("larger", "smaller"):
            sizes = np.array([w * h for w, h in (thing.half for thing in self.things)])
            larger = (10 * sizes[:, None] >= 22 * sizes) & (10 * self.height[:, None] >= 13 * self.height)
            return verdict(larger, larger.T) if how == "larger" else verdict(larger.T, larger)
        if how == "faster":
            moves = self.does("moves")
            speed, path = self.speed * (moves == 1), self.path * (moves == 1)
            faster = (speed[:, None] >= 2 * speed) & (speed > 0) & self.steady  # than one that moves, too
            faster &= 2 * path[:, None] >= 3 * path  # who is faster gets farther, too
            return verdict(faster, faster.T | (moves == -1)[:, None])
        if how == "meets":
            gap, moves = self.gaps.max(0), self.does("moves") == 1
            level = 2 * np.abs(self.ways[1]) <= np.minimum(self.height[:, None], self.height)[..., None]
            met = (gap[..., 0] >= UNIT // 3) & (np.abs(gap) <= UNIT // 14)[..., -6:].all(2) & level[..., -1]
            met &= moves[:, None] & moves
            return verdict(met, (gap >= UNIT // 6).all(2))
        chases = self._chases()
        return chases if how == "chases" else chases.T

    def _near(self, how: str) -> np.ndarray:
        if how in SIDES:
            axis, sign = SIDES[how]
            half = np.array([thing.half[1 - axis] for thing in self.things])
            way, other, gap = sign * self.ways[axis], np.abs(self.ways[1 - axis]), self.gaps[axis]
            level = 2 * other <= np.maximum(half[:, None], half)[..., None]
            near = (gap >= UNIT // 50) & (gap <= UNIT // (4 if axis else 2))  # "above" is said of what is close
            return verdict(((way > 0) & near & level).all(2), (way <= 0).all(2))
        near = (self.gaps[0] >= -UNIT // 40) & (self.gaps[0] <= UNIT // 8)
        level = 2 * np.abs(self.ways[1]) <= np.minimum(self.height[:, None], self.height)[..., None]
        return verdict((near & level).all(2), (self.gaps.max(0) >= UNIT // 4).all(2))

    @cached_property
    def _at_another(self) -> np.ndarray:
        """(things, things): whether one of the two overlaps a thing of the other's kind that is not the other."""
        kinds = np.array([thing.kind for thing in self.things])
        touches = (self.gaps.max(0) < 0).any(2) & ~np.eye(len(kinds), dtype=bool)
        found = touches.astype(int) @ (kinds[:, None] == kinds) > touches
        return found | found.T

    def _chases(self) -> np.ndarray:
        """The first runs where the second ran a moment ago, close behind it and round at least one corner."""
        n, moves = len(self.things), self.does("moves")
        found = np.full((n, n), -1, np.int8)
        corners = [len({tuple(np.sign(s)) for s in steps if s.any()}) > 1 for steps in self.steps]
        for a, b in np.ndindex(n, n):
            if moves[a] == -1 or moves[b] == -1 or a == b:
                continue
            late = [np.abs(self.middles[a, d:] - self.middles[b, :-d]).max() for d in range(4, 16)]
            way = -self.ways[:, a, b, :-1].T  # from it to the other
            far, along = (way**2).sum(1), (self.steps[a] * way).sum(1)
            toward = (along > 0) & (25 * along**2 > 16 * far * (self.steps[a] ** 2).sum(1))
            if min(late) <= UNIT // 16 and self.path[b] >= UNIT // 2 and corners[b]:
                found[a, b] = moves[a]
            elif (toward & (far < UNIT**2 // 4)).sum() > 5:
                found[a, b] = 0
        return found

    # ---------------------------------------------------------------- in order

    def _toward(self, place: str) -> np.ndarray:
        """(things, length): how far each is from the middle of the picture, negative in the half of `place`."""
        if place in ("left", "right"):
            far = self.middles[..., 0] // 2 - self.scene.camera - WIDTH // 2
        else:
            far = self.middles[..., 1] // 2 - UNIT // 2
        return far if place in ("left", "top") else -far

    def parted(self, place: str, members: np.ndarray) -> bool:
        """True if one of `members` is always well in the half of the picture at `place`, and none of two or more others
        is ever in it."""
        far = self._toward(place)[members]
        return bool((far < -UNIT // 7).all(1).any() and (len(members) <= 2 or (far < 0).any(1).sum() == 1))

    def ranks(self, order: str, members: np.ndarray) -> np.ndarray | None:
        """Indices of `members`, first by one of `ORDERS` first; None where two of them are too close to tell."""
        if order in PLACES:
            values = self._toward(order)[members]
            ranked = np.argsort(values[:, 0], kind="stable")
            clear = (np.diff(values[ranked], axis=0) >= UNIT // 8).all()
            if order in ("top", "bottom"):  # who jumps is now higher, now lower
                clear &= (self.does("jumps")[members] == -1).all()
        elif order in DEGREES:  # who is faster gets farther, too
            values = np.array([self.height] if order in ("large", "small") else [self.speed, self.path])[:, members]
            ranked = np.argsort(values[0], kind="stable")
            clear = (10 * values[:, ranked[1:]] >= 15 * values[:, ranked[:-1]]).all()
            if order in ("fast", "slow"):
                clear &= (self.does("moves")[members] == 1).all() and self.steady
            ranked = ranked[::-1] if order in ("large", "fast") else ranked
        else:
            whens = self.hidden_from if order == "hides" else np.array([_last_step(s) for s in self.steps])
            values = whens[members]
            ranked = np.argsort(values, kind="stable")
            clear = (np.diff(values[ranked]) >= 7).all() and (self.does(order)[members] == 1).all()
        return members[ranked] if clear else None


def _runs(values) -> list[tuple[int, int, int]]:
    """(value, begin, end) of every stretch of equal values."""
    found, begin = [], 0
    for value, stretch in groupby(values.tolist()):
        end = begin + len(list(stretch))
        found.append((value, begin, end))
        begin = end
    return found


def _last_step(steps: np.ndarray) -> int:
    return int(np.flatnonzero(steps.any(1))[-1]) if steps.any() else -1


def _pace(moving: np.ndarray, what: str) -> int:
    """Stops: moves, then rests to the end. Starts: the other way round. Pauses: rests between two moves."""
    patterns = {"stops": [True, False], "starts": [False, True], "pauses": [True, False, True]}
    runs = _runs(moving)
    found = [value for value, _, _ in runs]
    long_enough = all(end - begin >= (6 if value else len(moving) // 4) for value, begin, end in runs)
    if found == patterns[what]:
        return int(long_enough)
    if len(found) == 1 or (found in patterns.values() and long_enough):
        return 0 if len(found) > 2 else -1  # who pauses stops and starts, too
    return 0


def _turns(signs: np.ndarray, steps: np.ndarray, what: str) -> int:
    """Turns: goes one way, then back, once. Wanders: turns back twice or more."""
    moving = signs != 0
    ways = [int(abs(steps[moving][begin:end].sum())) for _, begin, end in _runs(signs[moving])]
    if len(ways) <= 1:
        return -1
    clear = min(ways) >= UNIT // 7
    return int(clear) if (len(ways) == 2) == (what == "turns") else 0
