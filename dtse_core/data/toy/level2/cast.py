"""How a scene of the second level is put together.

A theme, one for each kind of sentence, puts look-alikes on a stage that differ in what the kind is about, and beside
them others that share all but one part: the behavior with another color, the color with another behavior.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np

from ...clip import KINDS as KINDS
from ..draw import BACKDROPS
from ..words import ACTORS, ANCHORS, COLORS, pick
from .facts import SIDES, WAYS, Facts
from .scene import FIRST_PROP, UNIT, WIDTH, Scene, Thing, share, shown

LENGTHS = (24, 32, 40, 48, 56, 64)
HEIGHTS = (120, 200, 280, 400, 560, 760, 960)
USUAL = (200, 240, 280)  # of the look-alikes of a scene
CROWDED = 150  # of those of whom many must have room side by side
GIANT = 500  # who is as tall stands behind the others, whole in the frame
ACTS = {  # who can do what beside moving
    "jumps": ("adult", "baby", "ball", "bird", "car", "cat", "dog"),
    "eats": ("adult", "bird", "cat", "dog"),
}
CHANGES = ("stops", "starts", "pauses", "turns", "wanders", "hides")
SCREEN = 900  # depth of boxes that hide
TRIES = 12
PANLESS = ("noise", "plain", "stripes")  # backdrops on which a pan does not show


class Redo(Exception):
    """This draw does not work out; the next one may."""


def shuffled(rng, items) -> list:
    """`items` in random order."""
    return sorted(items, key=lambda _: rng.random())


def some(rng, items, count: int) -> list:
    return shuffled(rng, items)[:count]


# ------------------------------------------------------------------------------------------ behaviors


def draw_legs(rng, what: str, length: int) -> tuple[tuple[int, int, int], ...]:
    """Legs of a way on which it does `what`: one of `EVENTS`, or rest."""

    def between(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    side, n = pick(rng, (-1, 1)), length - 1
    if what in ("rest", *ACTS):
        return ()
    if what in WAYS:
        far = between(310, 560) if what in ("up", "down") else between(310, 1150)
        step = max(far // n, 8)
        return ((n, WAYS[what][0] * step, WAYS[what][1] * step),)
    if what == "wanders":  # the fastest: up to 12.5 pixels a frame at 96 x 144
        each = between(6, 9)
        step = between(300, 800) // each
        return tuple((each, side * (-1) ** k * step, 0) for k in range(n // each))
    if what == "hides":
        return ((n, side * (between(600, 900) // n), 0),)
    first = between(8, 2 * n // 3)
    step = max(between(250, 700) // first, 9)
    if what == "moves":
        return draw_legs(rng, pick(rng, ("left", "right", "up", "down", "turns")), length)
    if what == "stops":
        return ((first, side * step, 0),)
    if what == "starts":
        return ((n - first, 0, 0), (first, side * step, 0))
    if what == "turns":
        first = between(n // 3, 2 * n // 3)
        step = between(280, 600) // min(first, n - first)
        return (first, side * step, 0), (n - first, -side * step, 0)
    third = n // 3  # pauses
    step = between(260, 420) // third
    return (third, side * step, 0), (n - 2 * third, 0, 0), (third, side * step, 0)


def draw_chase(rng, length: int, late: int, back: bool = False) -> tuple[tuple[int, int, int], ...]:
    """Legs round corners, `late` frames more than the clip has; `back`: they return."""
    n, side, down = length - 1 + late, pick(rng, (-1, 1)), pick(rng, (-1, 1))
    first, second = n * 2 // 5, n // 5
    step = int(rng.integers(500, 900)) // n
    last = -side if back else pick(rng, (-1, 1))
    return (first, side * step, 0), (second, 0, down * step), (n - first - second, last * step, 0)


def is_clear(scene: Scene) -> bool:
    """True if everybody is seen well for most of the clip, but for one behind each screen."""
    seen = (shown(scene) >= 600).mean(1)
    needed = np.array([0.72 if thing.color else 0.85 for thing in scene.things])
    screens = sum(thing.depth == SCREEN for thing in scene.things)
    return bool((seen < needed).sum() <= screens and seen.min() >= 0.4) and not merges(scene)


def merges(scene: Scene) -> bool:
    """True if two actors of one color touch, unless they can be told apart all the time as they pass each other.

    That is, none covers 30 % of the other, they touch for half of the clip at the most, and both keep their pace and
    their way from before to after.
    """
    boxes = [np.array(box) for box in scene.boxes]
    for thing, box in zip(scene.things, boxes, strict=True):
        box[:, 1] -= thing.height // 4 if thing.act == "jumps" else 0
    for a, b in combinations([k for k, thing in enumerate(scene.things) if thing.color], 2):
        one, two = boxes[a], boxes[b]
        gaps = np.maximum(one[:, :2], two[:, :2]) - np.minimum(one[:, 2:], two[:, 2:])
        touching = np.flatnonzero(gaps.max(1) < UNIT // 24)
        if scene.things[a].color != scene.things[b].color or not len(touching):
            continue
        before, after = touching[0] - 3, touching[-1] + 4
        ways = np.diff([one[max(before, 0) : after], two[max(before, 0) : after]], axis=1)
        steady = (ways == ways[:, :1]).all() and ways.any((1, 2)).all()
        covered = max(share(one, two).max(), share(two, one).max())
        if before < 0 or after > scene.length or covered > 300 or 2 * len(touching) > scene.length or not steady:
            return True
    return False


class Stage:
    """A scene that grows: things are put where nobody hides anybody for long."""

    def __init__(self, rng):
        self.rng, self.length = rng, pick(rng, LENGTHS)
        self.pan = 0 if rng.random() < 0.6 else pick(rng, (-3, -2, 2, 3))
        person = pick(rng, ("adult", "baby"))  # never both: a large baby is easily taken for an adult
        self.kinds = shuffled(rng, [kind for kind in ACTORS if kind not in ("adult", "baby")] + [person])
        self.kind, self.other = self.kinds[:2]
        self.color, self.unlike = some(rng, COLORS, 2)
        self.height = pick(rng, USUAL)
        self.skin, self.hair = int(rng.integers(4)), int(rng.integers(4))
        self.things: list[Thing] = []
        self.screens: list[Thing] = []  # boxes in front, each put where it hides one

    def scene(self, *more: Thing) -> Scene:
        return Scene(self.length, (*self.things, *more), self.pan, (256, 256), "plain", 0)

    def draw(self, what: str = "rest", kind: str = "", color: str = "", height: int = 0, **parts) -> Thing:
        """An actor that does `what`, a look-alike of the others unless told otherwise."""
        kind, color = kind or self.kind, color or self.color
        if what in ACTS and kind not in ACTS[what]:
            raise Redo
        legs = parts.pop("legs", None)
        height = height or self.height
        return Thing(
            number=0,
            kind=kind,
            color=color,
            height=height,
            depth=int(self.rng.integers(1, 800)) - (2 * height if height >= GIANT else 0),
            x=0,
            y=0,
            legs=draw_legs(self.rng, what, self.length) if legs is None else legs,
            act=what if what in ACTS else "",
            skin=self.skin,
            hair=self.hair,
            phase=int(self.rng.integers(256)),
            **parts,
        )

    def put(self, thing: Thing, fits=lambda thing: True, leave: bool = False) -> Thing:
        """Adds a thing at a free place at which it `fits`. `leave`: it may leave the frame."""
        track, (w, h) = thing.track(self.length), thing.half
        track = track - np.outer(self.pan * (np.arange(self.length) - self.length // 2), (1, 0))  # in the picture
        low, high, out = track.min(0), track.max(0), w if leave else -w // 2
        if thing.height >= GIANT:
            out, h = -w - thing.height // 6, h + (thing.height // 5 if thing.kind == "baby" else 20)  # tails and curls
        x = -low[0] - out, WIDTH - high[0] + out + 1
        y = h - low[1] + (h // 2 if thing.act == "jumps" else 0), UNIT - h - high[1] + 1
        if x[0] >= x[1] or y[0] >= y[1]:
            raise Redo
        for _ in range(TRIES):
            placed = replace(thing, x=int(self.rng.integers(*x)), y=int(self.rng.integers(*y)))
            if fits(placed) and self.is_free(placed):
                self.things.append(placed)
                return placed
        raise Redo

    def put_at(self, thing: Thing, x: int, y: int) -> Thing:
        placed = replace(thing, x=x, y=y)
        if not self.is_free(placed):
            raise Redo
        self.things.append(placed)
        return placed

    def is_free(self, thing: Thing) -> bool:
        return is_clear(self.scene(thing))

    def hides_one(self, screen: Thing) -> bool:
        """True if it clearly hides the thing that was put last, and covers nobody else."""
        scene, last = self.scene(*self.screens, screen), len(self.things) - 1
        others = np.delete(scene.boxes, [last, len(scene.things) - 1], 0)
        return bool((share(others, scene.boxes[-1:]) < 100).all()) and Facts(scene).does("hides")[last] > 0

    def finish(self) -> Scene:
        """The scene with everybody numbered at random, its light and its backdrop. Raises `Redo` if it is not clear."""
        rng = self.rng
        actors = [thing for thing in self.things if thing.color]
        props = [thing for thing in self.things if not thing.color] + self.screens
        if not 3 <= len(actors) <= 9 or len(props) > 6 or not is_clear(self.scene(*self.screens)):
            raise Redo
        numbered = [replace(actor, number=k + 1) for k, actor in enumerate(shuffled(rng, actors))]
        numbered += [replace(prop, number=FIRST_PROP + k) for k, prop in enumerate(props)]
        light = (256, 256) if rng.random() < 0.6 else (int(rng.integers(190, 300)), int(rng.integers(190, 300)))
        behind = pick(rng, [kind for kind in BACKDROPS if not self.pan or kind not in PANLESS])
        return Scene(self.length, tuple(numbered), self.pan, light, behind, int(rng.integers(2**31)))


# ------------------------------------------------------------------------------------------ themes


def differ(stage: Stage, doing: list[str]) -> None:
    """Look-alikes that do different things; one of another color and one of another kind do the same as the first."""
    rng = stage.rng
    if "hides" in doing:  # all so small that a box hides them, and so slow
        stage.height, stage.length = USUAL[0], max(stage.length, 40)
    for what in doing:
        put_doing(stage, what)
    put_doing(stage, doing[0], color=stage.unlike)
    if rng.random() < 0.7:
        put_doing(stage, doing[0], kind=stage.other)
    if rng.random() < 0.4:
        put_doing(stage, pick(rng, doing), color=stage.unlike)


def put_doing(stage: Stage, what: str, **parts) -> None:
    """An actor that does `what`; with the box behind which it hides, or the bowl from which it eats, if it does."""
    if what != "hides":
        actor = stage.put(stage.draw(what, **parts))
        if what == "eats":  # at its mouth, or in its hand; it faces to the right, as it stays where it is
            x, y = (actor.height * part // 100 for part in ((38, 8) if actor.kind == "adult" else (52, 34)))
            bowl = Thing(0, "bowl", "", 2 * actor.height // 5, actor.depth, 0, 0)
            stage.put_at(bowl, actor.x + x, actor.y + y)
        return
    for _ in range(TRIES):
        actor = stage.put(stage.draw(what, **parts))
        step, size = abs(actor.legs[0][1]), 2 * max(actor.half)
        first, end = (stage.length * part // 8 for part in ((5, 6) if stage.screens else (2, 4)))
        for when in some(stage.rng, range(first, end), TRIES):  # one after the other
            x, y = actor.track(stage.length)[when].tolist()
            screen = Thing(0, "box", "", max(size + 6 * step, 280), SCREEN, x, y)
            if stage.hides_one(screen):
                stage.screens.append(screen)
                return
        stage.things.pop()
    raise Redo


def cross(stage: Stage) -> None:
    """Two look-alikes that pass each other on lanes that overlap."""
    left, right = stage.put(stage.draw("left")), stage.draw("right")
    when = int(stage.rng.integers(stage.length // 3, 2 * stage.length // 3))
    x = (left.track(stage.length) - right.track(stage.length))[when, 0]
    lane = int(stage.rng.integers(68, 95)) * stage.height // 100
    stage.put_at(right, int(x), left.y + (lane if left.y < UNIT // 2 else -lane))


def twins(stage: Stage) -> None:
    """Two look-alikes in two rows that go as far, one to the left, one to the right, and others.

    They start anywhere, mirrored about the middle, as they would if the film ran backward: where they are in its first
    frame says little about the direction.
    """
    rng = stage.rng
    stage.pan, stage.height, stage.length = 0, USUAL[0], min(stage.length, LENGTHS[-2])
    n, room = stage.length - 1, 1300
    step = -(-260 // n)  # just so far that it is seen
    apart = int(rng.integers(2 * n * step - room, room))
    middle, lane = WIDTH // 2 + int(rng.integers(-40, 41)), stage.height + int(rng.integers(50, 250))
    row = int(rng.integers(stage.height // 2, UNIT - stage.height // 2 - lane))
    for side, y in zip((-1, 1), some(rng, (row, row + lane), 2), strict=True):
        stage.put_at(stage.draw(legs=((n, side * step, 0),)), middle - side * apart // 2, y)
    stage.put(stage.draw(pick(rng, ("rest", "turns", "wanders")), color=stage.unlike))  # who must be told from them
    if rng.random() < 0.7:
        stage.put(stage.draw(pick(rng, ("left", "right")), stage.other, stage.unlike))


def in_line(stage: Stage) -> None:
    """Look-alikes side by side or one above the other, and others farther out."""
    rng = stage.rng
    across = rng.random() < 0.65
    count = pick(rng, (2, 3, 3, 4) if across else (2, 3))
    room = (WIDTH if across else UNIT) // (count + 1)
    stage.height = min(stage.height, room * 9 // 10)
    way = pick(rng, ("rest", "rest", "jumps", "up", "down") if across else ("rest", "rest", "left", "right"))
    end = pick(rng, (0, count))
    for k in range(count + 1):
        thing = stage.draw(way if rng.random() < 0.6 else "rest", color=stage.unlike if k == end else "")
        slot, axis = room * k + room // 2, "x" if across else "y"
        stage.put(thing, lambda t, at=slot, a=axis: abs(getattr(t, a) - at) < room // 3)


def beside(stage: Stage, prop: bool, doing=("rest", "rest"), third: bool = False) -> None:
    """Look-alikes, each at the same side of an anchor of its own, with which it moves; others stand alone."""
    rng = stage.rng
    anchor_kind, anchor_color = pick(rng, ANCHORS), pick(rng, COLORS)
    how = pick(rng, ("beside", "beside", *SIDES))
    for what in doing:
        legs = draw_legs(rng, what, stage.length)
        anchor = Thing(0, anchor_kind, "", max(stage.height, 280), int(rng.integers(1, 400)), 0, 0)
        anchor = stage.put(anchor if prop else stage.draw(what, stage.other, anchor_color, legs=legs))
        actor = stage.draw("rest", legs=legs)
        apart = [a + b + int(rng.integers(30, 90)) for a, b in zip(actor.half, anchor.half, strict=True)]
        if how == "beside":
            x, y = anchor.x + pick(rng, (-1, 1)) * apart[0], anchor.y + anchor.half[1] - actor.half[1]
        else:
            axis, sign = SIDES[how]
            x, y = (anchor.x, anchor.y + sign * apart[1]) if axis else (anchor.x + sign * apart[0], anchor.y)
        stage.put_at(actor, x, y)
    if third:
        stage.put(stage.draw("rest", kind=pick(rng, stage.kinds), color=stage.unlike))
    if prop or rng.random() < 0.6:
        stage.put(stage.draw())
    if rng.random() < 0.6:
        stage.put(stage.draw(color=stage.unlike))


def chain(stage: Stage) -> None:
    """Two pairs of neighbors at two sides of a third, so that only who stands beside it tells the pairs apart."""
    rng = stage.rng
    stage.height = CROWDED
    kinds = some(rng, stage.kinds, 3)
    color, axis = pick(rng, COLORS), int(rng.random() < 0.3)
    room = stage.height * (2 if axis else 4) + 100
    third = stage.draw("rest", kinds[2], pick(rng, COLORS))
    third = stage.put(third, lambda t: room < (t.x, t.y)[axis] < (WIDTH, UNIT)[axis] - room)
    for sign in (-1, 1):
        pair = [stage.draw("rest", kinds[0]), stage.draw("rest", kinds[1], color)]
        (w0, h0), (w1, h1) = (thing.half for thing in pair)
        gap = int(rng.integers(45, 90))
        if axis:  # one above the other: the pair side by side
            apart = third.half[1] + max(h0, h1) + int(rng.integers(40, 120))
            places = [(-(w0 + w1 + gap) // 2, sign * apart), ((w0 + w1 + gap) // 2, sign * apart)]
        else:
            near = third.half[0] + int(rng.integers(150, 300))
            places = [(sign * (near + w0), 0), (sign * (near + 2 * w0 + gap + w1), 0)]
        for thing, (x, y) in zip(pair, places, strict=True):
            stage.put_at(thing, third.x + x, third.y + y)
    stage.put(stage.draw("moves", pick(rng, kinds[:2]), stage.unlike))


def pursue(stage: Stage, evenly: bool = False) -> None:
    """Two chases with exchanged parts, or two meetings, and bystanders that move.

    `evenly`: chases that return, and could run to the other side as well, as they would if the film ran backward: where
    they are in its first frame does not tell who is ahead.
    """
    rng = stage.rng
    stage.height = CROWDED
    stage.length = max(stage.length, 32)
    stage.pan = 0 if evenly else stage.pan
    if evenly or rng.random() < 0.7:
        first = (stage.kind, stage.color), (stage.other, stage.unlike)
        far = 2 * stage.height // 3  # from the middle: each chase keeps to its half
        for side, (hunter, hunted) in zip(some(rng, (-1, 1), 2), (first, first[::-1]), strict=True):
            late = int(rng.integers(6, 10))
            legs = draw_chase(rng, stage.length, late, evenly)
            hunter = stage.draw("rest", *hunter, legs=cut(legs, 0, stage.length - 1))
            hunted = stage.draw("rest", *hunted, legs=cut(legs, late, stage.length - 1))
            frames, step, _ = legs[0]
            room = abs(step) * (2 * frames - late) // 2 + max(*hunter.half, *hunted.half)  # at both sides of the pair

            def fits(t: Thing, side=side, middle=step * late // 2, room=room) -> bool:
                apart = not evenly or room <= t.x + middle <= WIDTH - room
                return apart and (side * (t.track(stage.length)[:, 1] - UNIT // 2) > far).all()

            hunter = stage.put(hunter, fits)
            x, y = replace(hunter, legs=legs).track(stage.length + late)[late]
            stage.put_at(hunted, int(x), int(y))
    else:
        for color in (stage.color, stage.unlike):
            whole, step = stage.length * 2 // 3, int(rng.integers(200, 420))
            left = stage.draw("rest", stage.kind, color, legs=((whole, step // whole, 0),))
            right = stage.draw("rest", stage.other, stage.color, legs=((whole, -(step // whole), 0),))
            left = stage.put(left)
            apart = left.half[0] + right.half[0] + 2 * whole * (step // whole) + 45
            stage.put_at(right, left.x + apart, left.y + left.half[1] - right.half[1])
    for kind in (stage.kind, stage.other):
        if rng.random() < 0.6:
            stage.put(stage.draw(pick(rng, ("left", "right", "turns", "rest")), kind=kind))


def cut(legs, begin: int, count: int) -> tuple[tuple[int, int, int], ...]:
    """The legs of `count` steps from step `begin` on."""
    steps = [(dx, dy) for frames, dx, dy in legs for _ in range(frames)][begin : begin + count]
    return tuple((1, *step) for step in steps)


def varied(stage: Stage) -> None:
    """Look-alikes of clearly different sizes, or at clearly different speeds; often one of another kind in between."""
    rng, n = stage.rng, stage.length - 1
    stage.pan = 0
    sizes, between = rng.random() < 0.75, rng.random() < 0.7
    choices = HEIGHTS[int(rng.integers(2)) :: 2][:3] if sizes else (10, 22, 50)
    count = 3 if between else pick(rng, (2, 2, 3))
    chosen = sorted(some(rng, choices, count), reverse=sizes)  # the largest or the fastest first
    way = int(rng.integers(1000, 1150))
    for k, value in enumerate((*chosen, chosen[-1])):
        kind = stage.other if between and k == 1 else stage.kind
        color = stage.unlike if k == len(chosen) else stage.color
        if sizes:
            what = "rest" if value >= GIANT else pick(rng, ("rest", "left", "right"))
            stage.put(stage.draw(what, kind, color, value))
        else:  # all keep moving, so that the faster gets farther
            step = pick(rng, (-1, 1)) * -(-way * 10 // (value * n))
            stage.put(stage.draw("rest", kind, color, legs=((n, step, 0),)))
    if not between:
        stage.put(stage.draw("moves", kind=stage.other))


def set_stage(rng, theme: str) -> Scene:
    """A scene in which sentences of a kind are likely: one of `KINDS`, or of `slices.THEMES`. Raises `Redo`."""
    stage = Stage(rng)
    if theme == "appearance":
        differ(stage, [pick(rng, ("rest", "moves", "jumps", "wanders"))])
        stage.put(stage.draw("moves", kind=stage.other, color=stage.unlike))
    elif theme in ("position", "ordinal"):
        in_line(stage)
    elif theme == "relation":
        beside(stage, rng.random() < 0.5)
    elif theme == "nested":
        if rng.random() < 0.4:
            chain(stage)
        else:
            moving = some(rng, ("rest", "left", "right", "turns", "stops"), 2)
            beside(stage, False, pick(rng, (moving, moving, ("rest", "rest"))), True)
    elif theme == "action":
        differ(stage, some(rng, ("rest", "moves", "jumps", "eats"), pick(rng, (2, 3))))
    elif theme == "direction":
        if crossing := rng.random() < 0.5:
            cross(stage)
        differ(stage, some(rng, tuple(WAYS)[2 * crossing :], pick(rng, (1, 2) if crossing else (2, 3))))
    elif theme == "twins":
        twins(stage)
    elif theme == "event":
        again = pick(rng, ("hides", "hides", "hides", "stops"))
        others = [what for what in ("rest", "moves", *CHANGES[:5]) if what != again]
        first, *more = some(rng, others, pick(rng, (2, 3)))
        doing = pick(rng, ([first, *more], [first, again], [first, again, again], [first, again, again]))
        differ(stage, doing)
    elif theme in ("interaction", "pursuit"):
        pursue(stage, theme == "pursuit")
    elif theme == "pace":
        differ(stage, ["stops", "starts", *some(rng, ("rest", "moves"), pick(rng, (0, 1)))])
    elif theme == "chain":
        chain(stage)
    elif theme == "comparison":
        varied(stage)
    elif theme == "group":
        one, two = some(rng, ("rest", "jumps", "moves", "left", "right", *CHANGES[:4]), 2)
        differ(stage, [one, one, two, *([two] if rng.random() < 0.4 else [])])
    else:  # negation
        one, two = some(rng, ("rest", "jumps", "moves", "turns", "stops", "hides"), 2)
        differ(stage, [one, two, two])
    still = not any(thing.legs or thing.act for thing in stage.things)
    for k in range(max(pick(rng, (0, 0, 1, 2)), still)):  # passers-by of any kind and size
        if len(stage.things) < 9:
            what = pick(rng, ("moves", "wanders", "stops", "rest")[: 3 if still and not k else 4])  # somebody moves
            color = pick(rng, [color for color in COLORS if color not in (stage.color, stage.unlike)])
            passer = stage.draw(what, pick(rng, stage.kinds[2:]), color, pick(rng, HEIGHTS))
            stage.put(passer, leave=rng.random() < 0.3)
    return stage.finish()
