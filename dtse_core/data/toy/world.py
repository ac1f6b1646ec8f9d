"""The toy world: a small A2D drawn in memory, the default data of every notebook.

Seven cartoon actors, eight actions, five kinds of evidence, and twins that differ in motion alone.
`scene` says what a scene is and why twins do not leak, `cast` puts scenes together,
`words` speaks, `draw` paints. Same seed, same pixels, on any machine.
"""

from itertools import cycle, islice

import numpy as np

from ...config import WorldSeed, checked
from ..clip import EVIDENCE, ClipDataSet, ReferringClip
from .cartoons import CARTOONS, PROP_PALETTES, PROPS, palette
from .cast import cast
from .draw import BACKDROPS, Canvas, backdrop
from .scene import CENTER, FPS, HELD_OUT, LENGTH, SPLITS, TRAINING_MIX, Actor, Prop, Scene, Sentence
from .words import WORDS, pick

__all__ = ["EVIDENCE", "HELD_OUT", "SPLITS", "WORDS", "Scene", "Sentence", "ToyWorld", "render"]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
FIRST_PROP = 8  # things 1 to 7 of a canvas are actors


class ToyWorld(ClipDataSet):
    """A data set of `ReferringClip`s, each drawn when it is asked for.

    Arguments: `split`: train, val, test, compositional (held-out pairs of words) or twins (motion
    alone). `length`: clips. `seed`: which world, 0 to 2**31 - 1. `height`, `width`: pixels of a frame,
    in the proportion 2 : 3 for which scenes are made. `window`, `offset`, `causal`: see `window_indices`.
    Training scenes come in the shares of `TRAINING_MIX`, the other splits fix theirs. Raises `ValueError` for an
    unknown split. `world[i]` gives an `instance_id` that counts from 1 and a 0-based `frame_id`.
    """

    name = "toy"
    splits = SPLITS

    def __init__(
        self,
        split: str = "train",
        length: int = 10_000,
        seed: int = 0,
        height: int = 96,
        width: int = 144,
        window: int = 3,
        offset: int = 6,
        causal: bool = False,
    ):
        if split not in self.splits:
            raise ValueError(f"unknown split {split!r} of the toy world; it must be one of {', '.join(self.splits)}")
        checked("seed", seed, WorldSeed)
        self.length, self.seed, self.height, self.width = length, seed, height, width
        super().__init__("", split, window, offset, causal)

    def __len__(self) -> int:
        return self.length

    def scene(self, k: int) -> Scene:
        """The k-th clip's description, without pixels."""
        if not 0 <= k < self.length:
            raise IndexError(f"scene {k} of a toy world of {self.length} clips")
        rng = self._rng(k)
        evidence, pair = self._role(rng, k)
        actors, props, sentences, annotated = cast(rng, evidence, pair)
        return Scene(
            video_id=video_id(self.seed, self.split, k),
            length=LENGTH,
            fps=FPS,
            annotated=annotated,
            sentences=tuple(sentences),
            actors=tuple(actors),
            props=tuple(props),
            backdrop=pick(rng, BACKDROPS),
            backdrop_seed=int(rng.integers(2**31)),
        )

    def __getitem__(self, k: int) -> ReferringClip:
        """One sentence and one annotated frame of scene `k`, both fixed by (seed, split, k)."""
        return self.several(k, 1)[0]

    def several(self, k: int, count: int) -> list[ReferringClip]:
        """The same with other sentences about that window, `count` in all: about other targets if there are."""
        scene, rng = self.scene(k), self._rng(k, 1)
        first, frame = pick(rng, scene.sentences), pick(rng, scene.annotated)
        others = [sentence for sentence in scene.sentences if sentence is not first]
        others.sort(key=lambda sentence: (sentence.instances == first.instances, rng.random()))
        indices, current = self.cut(frame, scene.length)
        frames, ids = self.draw(scene, indices)
        return [
            ReferringClip(
                frames=frames,
                current=current,
                mask=np.isin(ids[current], sentence.instances),
                expression=sentence.text,
                video_id=scene.video_id,
                frame_id=frame,
                instance_id="_".join(map(str, sentence.instances)),
                evidence=sentence.evidence,
                twin_mask=ids[current] == sentence.twin if sentence.twin else None,
            )
            for sentence in islice(cycle([first, *others]), count)
        ]

    def programs(self) -> dict[tuple[str, str], tuple[int, str]]:
        """Nothing: sentences of the first level have none."""
        return {}

    def draw(self, scene: Scene, indices) -> tuple[np.ndarray, np.ndarray]:
        """The frames of a scene at `indices`, as `render` gives them."""
        return render(scene, indices, self.height, self.width)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.splits.index(self.split), *key])

    def _role(self, rng, k: int) -> tuple[str, tuple[str, ...]]:
        """The evidence of scene `k` and the held-out pair of its target, if any."""
        if self.split == "compositional":
            pair = HELD_OUT[k % len(HELD_OUT)]
            return ("appearance" if pair[1] in CARTOONS else "action"), pair
        if self.split == "twins":
            return EVIDENCE[3 + k % 2], ()
        if self.split == "train":
            return str(rng.choice(EVIDENCE, p=TRAINING_MIX)), ()
        return EVIDENCE[k % 5], ()


def render(scene: Scene, indices, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames at `indices`: colors (n, H, W, 3) uint8, and ids (n, H, W) uint8.

    ids: 0 background, k the visible pixels of instance k.
    """
    things = [(actor.depth, actor.instance, actor) for actor in scene.actors]
    things += [(prop.depth, FIRST_PROP + k, prop) for k, prop in enumerate(scene.props)]
    things = {number: thing for _, number, thing in sorted(things, key=lambda thing: thing[:2])}  # back to front
    drawn = {index: _frame(scene, things, index, height, width) for index in set(indices)}
    return tuple(np.stack([drawn[index][part] for index in indices]) for part in (0, 1))


def _frame(scene: Scene, things: dict[int, Actor | Prop], index: int, height: int, width: int):
    colors = {
        number: palette(thing.color, thing.skin, thing.hair) if isinstance(thing, Actor) else PROP_PALETTES[thing.kind]
        for number, thing in things.items()
    }
    canvas = Canvas(height, width, colors)
    for number, thing in things.items():
        if isinstance(thing, Actor):
            pose = thing.at(index)
            strokes = CARTOONS[thing.kind](pose, thing.posture)
            canvas.paint(number, strokes, (pose.x, pose.y, thing.tilt(index), thing.facing), thing.height)
        else:
            canvas.paint(number, PROPS[thing.kind](), (thing.x, thing.y, 0.0, 1), thing.height)
    frame, shown = canvas.over(backdrop(scene.backdrop, scene.backdrop_seed, index - CENTER, height, width))
    return frame, np.where(shown < FIRST_PROP, shown, 0).astype(np.uint8)


def video_id(seed: int, split: str, k: int, level: int = 1) -> str:
    """Eleven characters, like YouTube's; distinct for distinct arguments, as each step can be undone."""
    number = seed << 35 | SPLITS.index(split) + len(SPLITS) * (level - 1) << 32 | k  # 66 bits
    for _ in range(3):
        number = (number * 0x2545F4914F6CDD1D + 0x9E3779B97F4A7C15) % 2**66
        number ^= number >> 33
    return "".join(ALPHABET[number >> 6 * place & 63] for place in range(11))
