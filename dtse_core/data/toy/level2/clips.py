"""The second level as a data set: what the first level's loader and its writers of files ask for."""

from dataclasses import dataclass, replace

from ..scene import FPS
from ..world import ToyWorld, video_id
from .scene import Scene, Thing, render
from .sentences import Sentence
from .world import DiagnosticWorld, as_json


@dataclass(frozen=True)
class Said:
    """A sentence in the first level's words."""

    text: str
    evidence: str  # its kind
    instances: tuple[int, ...]
    program: dict  # as `toy_world.json` has it: see `as_json`
    twin: int = 0

    @property
    def instance(self) -> int:
        """Its only target. Raises `ValueError` where it has none or several."""
        (only,) = self.instances
        return only


@dataclass(frozen=True)
class Film:
    """A scene and what is said about it, in the first level's words."""

    scene: Scene
    video_id: str
    sentences: tuple[Said, ...]
    fps: int = FPS

    @property
    def length(self) -> int:
        return self.scene.length

    @property
    def annotated(self) -> tuple[int, ...]:
        return tuple(range(self.length))

    @property
    def actors(self) -> tuple[Thing, ...]:
        return self.scene.actors

    @property
    def target(self) -> Thing:
        """Of whom the first sentence that has targets speaks, or the first actor."""
        said = [instance for sentence in self.sentences for instance in sentence.instances]
        return self.actors[said[0] - 1 if said else 0]


class DiagnosticClips(ToyWorld):
    """A data set of `ReferringClip`s over a `DiagnosticWorld`, each drawn when it is asked for.

    Arguments as those of `ToyWorld`; `split`: train, val or test. A sentence and a frame of each clip are fixed by
    (seed, split, k). The mask is empty where nothing fits and while nobody meant is seen; `evidence` is the kind of
    the sentence, `instance_id` lists its targets: 2_5.
    """

    def __init__(self, split: str = "train", length: int = 10_000, seed: int = 0, *more, **named):
        self.world = DiagnosticWorld(split, seed)
        super().__init__(split, length, seed, *more, **named)

    def scene(self, k: int) -> Film:
        """The k-th clip's description, without pixels."""
        if not 0 <= k < self.length:
            return super().scene(k)  # which says so
        clip = self.world.clip(k)
        name = video_id(self.seed, self.split, k, level=2)
        return Film(replace(clip.scene), name, tuple(map(_said, clip.sentences)))  # a copy, without what was computed

    def draw(self, scene: Film, indices):
        return render(scene.scene, indices, self.height, self.width)


def _said(sentence: Sentence) -> Said:
    return Said(sentence.text, sentence.kind, sentence.targets, as_json(sentence))
