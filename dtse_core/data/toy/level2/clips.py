"""The second level as a data set: what the first level's loader and its writers of files ask for."""

from dataclasses import dataclass, replace
from functools import lru_cache

from ...clip import CONTROL
from ..scene import FPS
from ..world import ToyWorld, video_id
from .scene import Scene, Thing, render
from .sentences import Sentence
from .slices import THEMES, Question
from .world import SPLITS, WHOLE, DiagnosticWorld, as_json


@dataclass(frozen=True)
class Said:
    """A sentence with the attributes of the first level's `Sentence`."""

    text: str
    evidence: str  # its kind, or control
    instances: tuple[int, ...]
    program: dict  # as `toy_world.json` has it: see `as_json`
    twin: int = 0

    @classmethod
    def of(cls, sentence: Sentence, **more) -> "Said":
        """`more`, in a slice: its family, and whether it is a control."""
        kind = CONTROL if more.get("control") else sentence.kind
        return cls(sentence.text, kind, sentence.targets, as_json(sentence) | more)

    @property
    def instance(self) -> int:
        """Its only target. Raises `ValueError` where it has none or several."""
        (only,) = self.instances
        return only


@dataclass(frozen=True)
class Film:
    """A scene and what is said about it, with the attributes of the first level's `Scene`."""

    scene: Scene
    video_id: str
    sentences: tuple[Said, ...]
    fps: int = FPS

    @property
    def length(self) -> int:
        return self.scene.length

    @property
    def annotated(self) -> tuple[int, ...]:
        return tuple(self.length * k // 16 for k in range(1, 16, 2))

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

    Arguments as those of `ToyWorld`, and by name `kinds`, `actors` and `depths`, as `DiagnosticWorld` takes them.
    `split`: train, val, test, or a slice, whose clips are the scenes of its families. A sentence and a frame of each
    clip are fixed by (seed, split, k). The mask is empty where nothing fits and while nobody meant is seen; `evidence`
    is the kind of the sentence, or control, `instance_id` lists its targets: 2_5.
    """

    splits = (*SPLITS, *THEMES)

    def __init__(self, split: str = "train", length: int = 10_000, seed: int = 0, *more, **named):
        asked = {name: named.pop(name, usual) for name, usual in WHOLE.items()}
        super().__init__(split, length, seed, *more, **named)
        self.world = DiagnosticWorld("test" if split in THEMES else split, seed, **asked)

    def scene(self, k: int) -> Film:
        """The k-th clip's description, without pixels."""
        if not 0 <= k < self.length:
            return super().scene(k)  # which says so
        if self.split in THEMES:
            scene, said = self._of_family(k)
        else:
            clip = self.world.clip(k)
            scene, said = clip.scene, [Said.of(sentence) for sentence in clip.sentences]
        number = k + (self.splits.index(self.split) - 2 << 28 if self.split in THEMES else 0)
        name = video_id(self.seed, self.world.split, number, level=2)
        return Film(replace(scene), name, tuple(said))  # a copy, without what was computed

    def _of_family(self, k: int) -> tuple[Scene, list[Said]]:
        """A scene of a slice's families, of which most have two, with what is asked and said about it."""
        number, place = divmod(k, self._scenes)
        family = _family(self.world, self.split, number)
        scene = [*dict.fromkeys(question.scene for question in family)][place]
        return scene, [Said.of(q.sentence, family=number, control=q.control) for q in family if q.scene == scene]

    @property
    def _scenes(self) -> int:
        """Of a family."""
        return 1 if self.split == "granularity" else 2

    def family_of(self, k: int) -> str:
        return str(k // self._scenes) if self.split in THEMES else ""

    def programs(self) -> dict[tuple[str, str], tuple[int, str]]:
        films = [self.scene(k) for k in range(self.length)]
        said = [(film.video_id, sentence) for film in films for sentence in film.sentences]
        return {(v, s.text): (s.program["depth"], str(s.program.get("family", v))) for v, s in said}

    def draw(self, scene: Film, indices):
        return render(scene.scene, indices, self.height, self.width)


@lru_cache(2)
def _family(world: DiagnosticWorld, name: str, k: int) -> list[Question]:
    """Kept, as its two scenes are asked for one after the other."""
    return world.family(name, k)
