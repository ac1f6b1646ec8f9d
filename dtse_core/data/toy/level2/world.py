"""The second level as a list of clips: which kinds of sentences, how deep, about how many actors.

The same seed and `VERSION` give the same scenes, sentences and pixels on any machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....config import WorldSeed, checked
from ..words import pick
from .cast import KINDS, Redo, set_stage
from .programs import to_json
from .scene import Scene
from .sentences import DEPTHS, Sentence, sentences, without
from .slices import THEMES, Question, draw_family

VERSION = 2  # raise it when a clip of some seed changes in a pixel, a word or a target
SPLITS = ("train", "val", "test")
WHOLE = {"kinds": KINDS, "actors": (3, 9), "depths": ()}  # what clips are asked for, unless told otherwise
FREQUENT = ("appearance", "position", "direction", "ordinal", "group")  # twice as many sentences as of others
TRIES = 500


@dataclass(frozen=True)
class Clip:
    """A scene and what is said about it."""

    scene: Scene
    sentences: tuple[Sentence, ...]


class DiagnosticWorld:
    """Clips by number, and the families of the slices.

    Arguments: `split`: train, val or test. `seed`: which world. `kinds`: of sentences, dealt in turn. `actors`: the
    fewest and the most in a clip. `depths`: of the sentences; all if none is given. None of these changes a family.
    Raises `ValueError` for what cannot be drawn.
    """

    def __init__(
        self,
        split: str = "train",
        seed: int = 0,
        kinds: Sequence[str] = WHOLE["kinds"],
        actors: tuple[int, int] = WHOLE["actors"],
        depths: Sequence[int] = WHOLE["depths"],
    ):
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r} of the diagnostic world; it must be one of {', '.join(SPLITS)}")
        checked("seed", seed, WorldSeed)
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ValueError(f"unknown kind {unknown[0]!r} of sentences; known: {', '.join(KINDS)}")
        if not kinds:
            raise ValueError(f"no kind of sentences was asked for; known: {', '.join(KINDS)}")
        for depth in depths:
            able = [kind for kind in KINDS if depth in DEPTHS[kind]]
            if not set(able) & set(kinds):
                who = f"only {', '.join(able)} can be so deep" if able else "sentences have depth 1, 2 or 3"
                raise ValueError(f"depth {depth} with sentences of kind {', '.join(kinds)}: {who}")
        if not 3 <= actors[0] <= actors[1] <= 9:
            raise ValueError(f"{actors[0]} to {actors[1]} actors; a scene holds 3 to 9, and the fewest come first")
        self.split, self.seed, self.actors, self.depths = split, seed, actors, tuple(depths) or (1, 2, 3)
        self.kinds = tuple(kind for kind in kinds if set(DEPTHS[kind]) & set(self.depths))

    def clip(self, k: int) -> Clip:
        """Clip `k`: up to three sentences of the kind whose turn it is, and one of another kind if there is one."""
        kind = self.kinds[k % len(self.kinds)]
        bases = [base for base in KINDS if base != "none" and {*DEPTHS[base]} & {*self.depths}]
        bases += [base for base in bases if base in FREQUENT]
        base = bases[k // len(self.kinds) % len(bases)] if kind == "none" else kind  # of what fits nobody
        others = [other for other in self.kinds if other not in (kind, "none")]
        for attempt in range(TRIES):
            rng = np.random.default_rng([VERSION, self.seed, SPLITS.index(self.split), k, attempt])
            try:
                scene = set_stage(rng, base)
            except Redo:
                continue
            if kind == "none":
                scene, said = without(rng, scene, base, self.depths)
            else:
                said = sentences(rng, scene, kind, 3, self.depths)
            if said and self.actors[0] <= len(scene.actors) <= self.actors[1]:
                if others:
                    said += sentences(rng, scene, pick(rng, others), 1, self.depths)
                return Clip(scene, tuple(said))
        few, most = self.actors
        raise ValueError(f"no {kind} clip of {few} to {most} actors in {TRIES} draws; allow more numbers of actors")

    def family(self, name: str, k: int) -> list[Question]:
        """Family `k` of the slice `name`: see `slices`."""
        if name not in THEMES:
            raise ValueError(f"unknown slice {name!r}; it must be one of {', '.join(THEMES)}")
        theme = [*THEMES[name]][k % len(THEMES[name])]
        part = len(SPLITS) + len(SPLITS) * list(THEMES).index(name) + SPLITS.index(self.split)
        for attempt in range(TRIES):
            try:
                return draw_family(np.random.default_rng([VERSION, self.seed, part, k, attempt]), name, theme)
            except Redo:
                continue
        raise RuntimeError(f"no family of the slice {name} in {TRIES} draws: a bug of the diagnostic world")


def as_json(sentence: Sentence) -> dict:
    """A sentence as it stands in `toy_world.json`."""
    return {
        "text": sentence.text,
        "kind": sentence.kind,
        "depth": sentence.depth,
        "program": to_json(sentence.program),
        "targets": list(sentence.targets),
    }
