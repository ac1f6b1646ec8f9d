"""Scenes of the second level: what is there, how it moves, and its pictures.

Places, sizes and steps are whole numbers of 1/1024 of a frame's height, so that what happens in a scene is the same on
every machine; pixels are the first level's, whose drawing rounds to whole supersampled pixels. A scene may be run
`backward`: the same pictures in the other order, to the pixel.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..cartoons import CARTOONS, HALF_SIZES, PROP_PALETTES, PROPS, palette
from ..draw import Canvas, backdrop
from ..scene import Pose

UNIT, WIDTH = 1024, 1536  # height and width of a frame
JUMP = 12  # frames that a jump lasts
FIRST_PROP = 10  # things 1 to 9 are actors, 10 to 15 props: what one picture of color indices can hold


@dataclass(frozen=True)
class Thing:
    """An actor, or a prop (which has no color). Places are in the world; the camera moves over it."""

    number: int  # 1-based: its index in maps of ids
    kind: str
    color: str
    height: int
    depth: int  # the larger, the nearer
    x: int  # at frame 0
    y: int
    legs: tuple[tuple[int, int, int], ...] = ()  # frames, and the steps in x and y between two of them; then it rests
    act: str = ""  # what it does all the time, wherever it goes: jumps, eats or ""
    facing: int = 0  # 1 right, -1 left, 0 where it goes
    skin: int = 0
    hair: int = 0
    phase: int = 0  # of its limbs, 0 to 255

    def steps(self, length: int) -> np.ndarray:
        """(length - 1, 2): by how much it moves between a frame and the next; jumps not counted."""
        all_steps = np.zeros((length - 1, 2), np.int64)
        begin = 0
        for frames, dx, dy in self.legs:
            all_steps[begin : begin + frames] = dx, dy
            begin += frames
        return all_steps

    def track(self, length: int) -> np.ndarray:
        """(length, 2): where its middle is."""
        return np.cumsum(np.concatenate([[(self.x, self.y)], self.steps(length)]), 0)

    @property
    def half(self) -> tuple[int, int]:
        """Half its width and half its height."""
        w, h = HALF_SIZES[self.kind]
        return round(w * self.height), round(h * self.height)

    @property
    def instance(self) -> int:
        return self.number

    @property
    def action(self) -> str:
        """What it does most clearly, as A2D names it."""
        if self.act:
            return {"jumps": "jumping", "eats": "eating"}[self.act]
        moves = {"ball": "rolling", "bird": "flying", "car": "running"}.get(self.kind, "walking")
        return moves if any(dx or dy for _, dx, dy in self.legs) else "none"

    def rise(self, index: int) -> int:
        """How far a jump lifts it."""
        k = (index + self.phase) % JUMP
        return self.height * k * (JUMP - k) // (JUMP * JUMP) if self.act == "jumps" else 0


@dataclass(frozen=True)
class Scene:
    """What happens in a clip, without pixels."""

    length: int
    things: tuple[Thing, ...]  # actors, then props
    pan: int  # step of the camera between two frames, to the right
    light: tuple[int, int]  # brightness of the first and of the last frame; 256 is neutral
    backdrop: str
    backdrop_seed: int
    backward: bool = False  # the film runs backward

    @property
    def actors(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.number < FIRST_PROP)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(things, length, 4): left, top, right, bottom of each outline in the world, nearly; jumps not counted."""
        track = np.array([thing.track(self.length) for thing in self.things])
        half = np.array([thing.half for thing in self.things])[:, None]
        return self._in_order(np.concatenate([track - half, track + half], 2))

    @cached_property
    def camera(self) -> np.ndarray:
        """(length,): the world's x at a frame's left edge."""
        return self._in_order(self.pan * (np.arange(self.length) - self.length // 2)[None])[0]

    def reversed(self) -> "Scene":
        return replace(self, backward=not self.backward)

    def _in_order(self, values: np.ndarray) -> np.ndarray:
        return values[:, ::-1] if self.backward else values


def share(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What part of each box (..., 4) another (..., 4) covers, in thousandths, rounded down."""
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    return 1000 * np.maximum(sides, 0).prod(-1) // (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def shown(scene: Scene) -> np.ndarray:
    """(things, length): thousandths of each box that lie in the frame and below no nearer box; never too many."""
    boxes, left = scene.boxes, scene.camera
    frame = np.stack([left, 0 * left, left + WIDTH, 0 * left + UNIT], -1)
    depth = np.array([thing.depth for thing in scene.things])
    covered = share(boxes[:, None], boxes[None]) * (depth[:, None] < depth[None])[..., None]
    return np.maximum(share(boxes, frame[None]) - covered.sum(1), 0)


def render(scene: Scene, indices, height: int = 96, width: int = 144) -> tuple[np.ndarray, np.ndarray]:
    """The frames at `indices`: colors (n, H, W, 3) uint8, and ids (n, H, W) uint8.

    ids: 0 background and props, k the visible pixels of the actor of number k.
    """
    things = sorted(scene.things, key=lambda thing: (thing.depth, thing.number))
    palettes = {
        thing.number: palette(thing.color, thing.skin, thing.hair) if thing.color else PROP_PALETTES[thing.kind]
        for thing in things
    }
    tracks = {thing.number: (thing.track(scene.length), thing.steps(scene.length)) for thing in things}
    reach = abs(scene.pan) * scene.length * height // UNIT + 1  # pixels by which the backdrop is wider, at either side
    wide = backdrop(scene.backdrop, scene.backdrop_seed, 0, height, width + 2 * reach)
    drawn = {index: _frame(scene, things, palettes, tracks, wide, index, height, width) for index in set(indices)}
    return tuple(np.stack([drawn[index][part] for index in indices]) for part in (0, 1))


def _frame(scene: Scene, things, palettes, tracks, wide: np.ndarray, index: int, height: int, width: int):
    time = scene.length - 1 - index if scene.backward else index
    camera = scene.pan * (time - scene.length // 2)
    canvas = Canvas(height, width, palettes)
    for thing in things:
        track, steps = tracks[thing.number]
        x, y = ((track[time] - (camera, thing.rise(time))) / UNIT).tolist()  # Python's numbers round faster
        if not thing.color:
            canvas.paint(thing.number, PROPS[thing.kind](), (x, y, 0.0, 1), thing.height / UNIT)
            continue
        pose = _pose(thing, time, steps)
        strokes = CARTOONS[thing.kind](pose, "upright")
        canvas.paint(thing.number, strokes, (x, y, pose.tilt, _facing(thing, time, steps)), thing.height / UNIT)
    left = camera * height // UNIT + (wide.shape[1] - width) // 2
    frame, ids = canvas.over(wide[:, left : left + width])
    first, last = scene.light
    light = first + (last - first) * time // (scene.length - 1)
    frame = np.minimum(frame.astype(np.uint32) * light >> 8, 255).astype(np.uint8)
    return frame, np.where(ids < FIRST_PROP, ids, 0).astype(np.uint8)


def _facing(thing: Thing, time: int, steps: np.ndarray) -> int:
    """Where it goes next, or went last."""
    signs = np.sign(steps[:, 0])
    ahead, behind = signs[time:][signs[time:] != 0], signs[:time][signs[:time] != 0]
    return thing.facing or int((*ahead[:1], *behind[-1:], 1)[0])


def _pose(thing: Thing, time: int, steps: np.ndarray) -> Pose:
    """Limbs, wings and wheels move by the way that it has gone, so that they rest when it does."""
    way = int(np.abs(steps[:time]).sum())
    gone = way / thing.height + thing.phase / 256
    moves = bool(steps[max(time - 1, 0) : time + 1].any())
    rolled = int(steps[:time, 0].sum()) / (0.42 * thing.height) if thing.kind == "ball" else 0.0
    wings = (time / 7.5 + thing.phase / 256) if thing.kind == "bird" and moves else 0.75
    nod = (time + thing.phase) / 16 if thing.act == "eats" else 0.0
    return Pose(0.0, 0.0, rolled, gone, wings, nod, (time + thing.phase) / 11)
