"""The toy world's scenes: who is there, where, how it moves, and which sentences fit.

Why no single frame can tell twins apart. Twins share looks and posture. Their states at the center
frame (place, tilt, phase of limbs, wings and head, facing, exact height, depth) are drawn
independently from one distribution that knows nothing of motion, and a scene is accepted or refused
by that frame alone. Then two motions are dealt at random, and state(t) = state + motion.delta(t - center)
with delta(0) = 0: exchanging the motions leaves the center frame as it is, pixel for pixel.

Units: a frame is 1 high and 1.5 wide, y downwards; time counts frames from the clip's center.
"""

from dataclasses import dataclass
from itertools import combinations
from math import cos, sin, sqrt
from typing import NamedTuple

from .cartoons import HALF_SIZES
from .words import ACTORS, CLOTHED

TRAINING_MIX = (0.29, 0.13, 0.13, 0.25, 0.20)  # shares of the five kinds: what is learned last is shown most
SPLITS = ("train", "val", "test", "compositional", "twins")
HELD_OUT = (  # pairs that only targets of the compositional split carry
    ("red", "cat"),
    ("blue", "dog"),
    ("green", "bird"),
    ("yellow", "car"),
    ("purple", "ball"),
    ("pink", "adult"),
    ("dog", "jumping"),
    ("bird", "walking"),
    ("cat", "climbing"),
)
ASPECT, LENGTH, FPS = 1.5, 25, 12
CENTER = LENGTH // 2
ANNOTATED = (CENTER - 6, CENTER, CENTER + 6)  # twin scenes: the center alone
HEIGHTS = {"small": 0.34, "big": 0.45}
BOUNCE = 18  # frames a jump lasts
SPEEDS = {  # units a frame
    "climbing": 0.028,
    "crawling": 0.021,
    "eating": 0.0,
    "flying": 0.038,
    "jumping": 0.006,
    "rolling": 0.032,
    "running": 0.055,
    "walking": 0.022,
}
STEPS = {"climbing": 15, "crawling": 16, "running": 8.5, "walking": 14.5}  # frames a cycle of the limbs lasts
UNIT = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "": (0, 0)}


class Pose(NamedTuple):
    """What changes from frame to frame: place, tilt in radians, and phases in cycles."""

    x: float
    y: float
    tilt: float
    limbs: float
    wings: float
    nod: float
    idle: float


@dataclass(frozen=True)
class Motion:
    """An action, its direction (left, right, up, down or "") and its rates a frame."""

    action: str
    direction: str
    vx: float
    vy: float
    spin: float = 0.0  # radians
    limbs: float = 0.0  # cycles
    wings: float = 0.0
    nod: float = 0.0
    bounce: float = 0.0  # height of a jump
    start: float = 0.0  # where in the jump the center frame falls, in cycles

    def delta(self, time: float) -> Pose:
        """The change of pose `time` frames from the center; zero there."""
        air = [4 * p * (1 - p) for p in (self.start % 1, (self.start + time / BOUNCE) % 1)]
        rise = self.bounce * (air[1] - air[0])
        rates = (self.spin, self.limbs, self.wings, self.nod, 1 / 11)  # tails wag whatever the motion
        return Pose(self.vx * time, self.vy * time - rise, *(rate * time for rate in rates))


@dataclass(frozen=True)
class Actor:
    """One of a scene's actors; `pose` is its state at the center frame."""

    instance: int  # 1-based
    kind: str
    color: str
    size: str  # small or big
    height: float
    posture: str  # upright, prone or climb: shared by twins
    facing: int  # 1 right, -1 left
    depth: float  # lower is farther
    skin: int
    hair: int
    pose: Pose
    motion: Motion

    @property
    def action(self) -> str:
        return self.motion.action

    def at(self, frame: int) -> Pose:
        return Pose(*(a + b for a, b in zip(self.pose, self.motion.delta(frame - CENTER), strict=True)))

    def tilt(self, frame: int) -> float:
        """Radians by which it is drawn turned: animals climb nose up."""
        rises = self.posture == "climb" and self.kind not in CLOTHED
        return self.at(frame).tilt - (1.2 * self.facing if rises else 0.0)

    def box(self, frame: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of its outline, nearly."""
        pose, tilt = self.at(frame), self.tilt(frame)
        w, h = HALF_SIZES["prone" if self.posture == "prone" and self.kind in CLOTHED else self.kind]
        c, s = cos(tilt), sin(tilt)
        w, h = self.height * sqrt((w * c) ** 2 + (h * s) ** 2), self.height * sqrt((w * s) ** 2 + (h * c) ** 2)
        return pose.x - w, pose.y - h, pose.x + w, pose.y + h


@dataclass(frozen=True)
class Prop:
    """A thing that stands still; relations may name those of `ANCHORS`."""

    kind: str
    x: float
    y: float
    height: float
    depth: float

    def box(self, frame: int) -> tuple[float, float, float, float]:
        w, h = HALF_SIZES[self.kind]
        return self.x - w * self.height, self.y - h * self.height, self.x + w * self.height, self.y + h * self.height


@dataclass(frozen=True)
class Sentence:
    instance: int  # 1-based
    text: str
    evidence: str  # the least that is needed: one of EVIDENCE
    twin: int = 0  # instance that differs in motion alone; 0: none

    @property
    def instances(self) -> tuple[int, ...]:
        return (self.instance,)


@dataclass(frozen=True)
class Scene:
    """A clip's description, without pixels."""

    video_id: str
    length: int
    fps: int
    annotated: tuple[int, ...]  # 0-based frames
    sentences: tuple[Sentence, ...]
    actors: tuple[Actor, ...]
    props: tuple[Prop, ...]
    backdrop: str
    backdrop_seed: int

    @property
    def target(self) -> Actor:
        """Of whom the first sentence speaks."""
        return next(actor for actor in self.actors if actor.instance == self.sentences[0].instance)


# ------------------------------------------------------------------------------------------ motion


def directions(action: str) -> tuple[str, ...]:
    """The directions in which an action can go."""
    if action == "eating":
        return ("",)
    return {"climbing": ("up", "down"), "flying": ("left", "right", "up", "down")}.get(action, ("left", "right"))


def draw_motion(rng, action: str, direction: str, steep: bool = False, pace: float = 1.0) -> Motion:
    """`steep`: a flight that also rises, a jump on the spot, a climb upwards: as action twins move.

    `pace` 0 moves on the spot.
    """
    speed = SPEEDS[action] * (0.9 + 0.2 * rng.random()) * pace
    if action == "jumping" and not steep:
        speed *= 3.4  # then it also gets somewhere
    vx, vy = (speed * part for part in UNIT[direction])
    if action == "flying" and steep:
        vx, vy = 0.8 * vx, -0.7 * speed
    turn = (1 if direction != "left" else -1) * 2 * 3.141592653589793 / 20
    apex = 0.5 * int(rng.integers(2)) + 0.1 * rng.random() - 0.05  # near the ground or the top: the bob shows at +-6
    return Motion(
        action,
        direction,
        vx,
        vy,
        spin=turn if action == "rolling" else 0.0,
        limbs=1 / STEPS[action] if action in STEPS else 0.0,
        wings=1 / 7.5 if action == "flying" else 0.0,
        nod=1 / 16 if action == "eating" else 0.0,
        bounce=0.3 * max(pace, 0.3) if action == "jumping" else 0.0,
        start=apex,
    )


def posture_of(actions) -> str:
    return "climb" if "climbing" in actions else "prone" if "crawling" in actions else "upright"


def twin_actions(kind: str, banned=()) -> list[tuple[str, str]]:
    """Pairs of actions that one posture can begin: nobody walks lying down or eats on a rope."""
    can = [action for action in ACTORS[kind] if (kind, action) not in banned]
    odd = {"crawling": {"rolling"}, "climbing": {"walking", "running", "jumping", "rolling", "flying"}}
    return [(a, b) for a, b in combinations(can, 2) if b in odd.get(a, {b}) and a in odd.get(b, {a})]


def draw_pose(rng, kind: str, actions, x: float, y: float) -> Pose:
    """A state at the center frame for an actor that may do any one of `actions`."""
    phases = [rng.random() for _ in range(5)]
    tilt = 0.0
    if "rolling" in actions or kind == "ball":
        tilt = (phases[0] - 0.5) * (6.2831853 if kind == "ball" else 1.0)
    wings = phases[2] if "flying" in actions else 0.72 + 0.16 * phases[2]
    nod = phases[3] if "eating" in actions else 0.0
    return Pose(x, y, tilt, phases[1], wings, nod, phases[4])


# ------------------------------------------------------------------------------------------ geometry


def overlap(a, b) -> float:
    """Area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def clear(actors, frames, share: float = 0.62, front: tuple = ()) -> bool:
    """True if at least `share` of every actor's box is in the frame and free of the others, whoever is in front."""
    for frame in frames:
        boxes = [actor.box(frame) for actor in actors]
        for k, box in enumerate(boxes):
            seen = overlap(box, (0.0, 0.0, ASPECT, 1.0)) - sum(overlap(box, b) for j, b in enumerate(boxes) if j != k)
            seen -= sum(overlap(box, prop.box(frame)) for prop in front if prop.depth > actors[k].depth)
            if seen < share * (box[2] - box[0]) * (box[3] - box[1]):
                return False
    return True


def places(actor: Actor, others, frames) -> list[str]:
    """By which places `actor` stands out from look-alikes in every one of `frames`, clearly."""
    gap, here = 0.2, [actor.at(f) for f in frames]
    there = [[other.at(f) for f in frames] for other in others]
    found = []
    for place, axis, sign in (("left", 0, -1), ("right", 0, 1), ("top", 1, -1), ("bottom", 1, 1)):
        if all(sign * (p[axis] - q[axis]) > gap for other in there for p, q in zip(here, other, strict=True)):
            found.append(place)
    if len(others) == 2:
        sides = [sorted(other[k].x - here[k].x for other in there) for k in range(len(frames))]
        same = len({there[0][k].x < here[k].x for k in range(len(frames))}) == 1
        if same and all(a < -0.14 and b > 0.14 for a, b in sides):
            found.append("middle")
    return found


def between(actor, anchor, frame: int) -> tuple[float, float, float, float]:
    """Free space between two boxes, sideways and up and down, negative where they overlap; then the way from the
    middle of the anchor's box to the middle of the actor's."""
    a, b = actor.box(frame), anchor.box(frame)
    across, along = (max(a[k], b[k]) - min(a[k + 2], b[k + 2]) for k in (0, 1))
    return across, along, (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2


def related(how: str, actor, anchor, frame: int) -> bool:
    """True if `actor` stands to `anchor` as `how` says."""
    across, along, dx, dy = between(actor, anchor, frame)
    if how == "next to":
        return -0.06 < across < 0.10 and along < 0 and abs(dy) < 0.14
    if how in ("above", "under"):
        return -0.06 < along < 0.10 and abs(dx) < 0.14 and (dy < 0) == (how == "above")
    return across < -0.08 and along < -0.08 and (actor.depth < anchor.depth) == (how == "behind")


def apart(actor, anchor, frame: int) -> bool:
    """Far enough from `anchor` that nobody would relate the two."""
    across, along, dx, _ = between(actor, anchor, frame)
    return max(across, along) > 0.28 and abs(dx) > 0.30
