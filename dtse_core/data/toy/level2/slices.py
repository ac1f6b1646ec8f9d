"""Slices that ask for one ability each, and the best that observers without it can score.

A slice is made of families: two scenes (or one) times two sentences. What is right for one is wrong for the other, so
that an observer who cannot tell the members of a family apart cannot answer all of them. `ceilings` computes how well
the best one does; nothing is trained.

| slice       | the two scenes differ in          | the two sentences in | who cannot answer                        |
|-------------|-----------------------------------|----------------------|------------------------------------------|
| guidance    | which of two has which color      | one word             | without words, without color             |
| coherence   | the direction of time             | one word             | without words, order or other frames     |
| granularity | (one scene; sentences of depth 3) | the order of words   | without words, without their order       |
| scale       | which is how large, or how fast   | one word             | without words                            |

Controls ask about the same scenes by looks alone; `guidance` has none. In `coherence` everybody faces left or right at
random, wherever it goes, as facing would tell the direction of time.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np

from ..words import COLORS, pick
from .cast import Redo, is_clear, set_stage, shuffled
from .facts import Facts
from .programs import And, Program, Related, exchanged, targets
from .scene import Scene, render
from .sentences import Sentence, is_needed, propose, sentences
from .words import say

THEMES = {  # of the scenes of each slice, in turn, and the kind of their sentences
    "guidance": {"appearance": "appearance", "action": "action", "event": "event"},
    "coherence": {"twins": "direction", "pace": "event", "pursuit": "interaction"},
    "granularity": {"chain": "nested"},
    "scale": {"comparison": "comparison"},
}
OBSERVERS = ("no words", "no order of words", "one frame", "no order of frames", "no color")
BLIND = {  # who must fail at each slice
    "guidance": ("no words", "no color"),
    "coherence": ("no words", "one frame", "no order of frames"),
    "granularity": ("no words", "no order of words"),
    "scale": ("no words",),
}
MARGIN = 0.30  # a slice asks for what an observer lacks if its best score lies this far below 1 or farther


@dataclass(frozen=True)
class Question:
    """One sentence about one scene."""

    scene: Scene
    sentence: Sentence
    control: bool = False


def draw_family(rng, name: str, theme: str) -> list[Question]:
    """A family of a slice, by one of its themes: its questions, then its controls.

    Raises `Redo` where this draw does not work out.
    """
    scene = set_stage(rng, theme)
    if name == "coherence":
        things = tuple(replace(thing, facing=pick(rng, (-1, 1))) for thing in scene.things)
        scene = replace(scene, things=things, backward=rng.random() < 0.5)
    others = {
        "guidance": _exchanges(rng, scene, "color"),
        "coherence": [scene.reversed()],
        "granularity": [scene],
        "scale": chain(_exchanges(rng, scene, "height"), _exchanges(rng, scene, "legs")),
    }[name]
    pairs = _two_orders if name == "granularity" else _two_words
    for other in others:
        for one, two in pairs(rng, THEMES[name][theme], scene, other):
            found = [Question(scene, one), Question(scene, two)]
            if other is not scene:
                crosswise = replace(one, targets=two.targets), replace(two, targets=one.targets)
                found += [Question(other, said) for said in crosswise]
            scenes = dict.fromkeys(question.scene for question in found if name != "guidance")
            looks = [Question(s, said, control=True) for s in scenes for said in sentences(rng, s, "appearance", 1)]
            return found + looks
    raise Redo


def _exchanges(rng, scene: Scene, part: str) -> Iterator[Scene]:
    """The scene with something exchanged between two actors of a kind that differ in it."""
    for pair in shuffled(rng, [two for two in combinations(scene.actors, 2) if two[0].kind == two[1].kind]):
        values = [getattr(thing, part) for thing in pair]
        if values[0] != values[1]:
            new = {a.number: {part: value} for a, value in zip(pair, values[::-1], strict=True)}
            other = replace(scene, things=tuple(replace(t, **new.get(t.number, {})) for t in scene.things))
            if is_clear(other):
                yield other


def _two_words(rng, kind: str, scene: Scene, other: Scene) -> Iterator[tuple[Sentence, Sentence]]:
    """Sentences that differ in one word and mean two actors; in the other scene each means whom the other does here."""
    here, there = Facts(scene), Facts(other)
    for one in sentences(rng, scene, kind):
        for program in exchanged(one.program):
            meant = targets(program, here)
            if meant and len(meant) == 1 and meant != one.targets and is_needed(program, here):
                if program not in propose(rng, kind, here, [thing.number for thing in here.things].index(*meant)):
                    continue  # of another kind
                crosswise = targets(one.program, there), targets(program, there)
                said = [_said(rng, (one.program, program), facts) for facts in (here, there)]
                if crosswise == (meant, one.targets) and said[0] == said[1]:
                    yield replace(one, text=said[0][0]), Sentence(said[0][1], kind, program, meant)


def _two_orders(rng, kind: str, scene: Scene, other: Scene) -> Iterator[tuple[Sentence, Sentence]]:
    """Sentences of depth 3, and the same with the first two nouns exchanged, of the same words."""
    facts = Facts(scene)
    for one in sentences(rng, scene, kind, depths=(3,)):
        *noun, clause = one.program.parts
        *anchor, inner = clause.to.parts
        program = And((*anchor, Related(clause.how, And((*noun, inner)))))
        meant = targets(program, facts)
        if meant and len(meant) == 1 and meant != one.targets and is_needed(program, facts):
            said = _said(rng, (one.program, program), facts)
            if sorted(said[0].split()) == sorted(said[1].split()):
                yield replace(one, text=said[0]), Sentence(said[1], kind, program, meant)


def _said(rng, programs: tuple[Program, ...], facts: Facts) -> list[str]:
    """Programs in the same way of saying, the same again for the same state of `rng`, which stays."""
    state = rng.bit_generator.state
    texts = []
    for program in programs:
        rng.bit_generator.state = state
        texts.append(say(rng, program, facts))
    rng.bit_generator.state = state
    return texts


# ------------------------------------------------------------------------------------------ ceilings


def ceilings(questions: list[Question], height: int = 24, width: int = 36) -> dict[str, float]:
    """For each of `OBSERVERS` the best mean IoU over `questions`, as it must answer alike where it sees alike.

    IoU is over all pixels of the clip, and of each frame for one who sees one frame. Exact: the mean IoU is a convex
    function of the part of a region that an answer takes (the intersection grows in proportion, or else the union does,
    in the denominator), so that the best answers are made of whole actors, of which all choices are tried.
    """
    groups: dict[str, dict] = {observer: defaultdict(list) for observer in OBSERVERS}
    for scene in dict.fromkeys(question.scene for question in questions):
        frames, ids = render(scene, range(scene.length), height, width)
        alike = replace(scene, things=tuple(replace(t, color=t.color and COLORS[0]) for t in scene.things))
        shapes = [frame.tobytes() for frame in render(alike, range(scene.length), height, width)[0]]
        pictures = [frame.tobytes() for frame in frames]
        areas = np.array([(ids == actor.number).sum((1, 2)) for actor in scene.actors]).T  # (frames, actors)
        for said in (question.sentence for question in questions if question.scene == scene):
            views = {  # what is before it when it answers: one thing for a clip, or one for each frame
                "no words": [tuple(pictures)],
                "no order of words": [(*pictures, *sorted(said.text.split()))],
                "one frame": [(picture, said.text) for picture in pictures],
                "no order of frames": [(*sorted(pictures), said.text)],
                "no color": [(*shapes, said.text)],
            }
            meant = np.array([actor.number in said.targets for actor in scene.actors])
            for observer, seen in views.items():
                for view, part in zip(seen, areas if len(seen) > 1 else [areas.sum(0)], strict=True):
                    groups[observer][view].append((part, meant, 1 / len(seen)))
    return {observer: sum(map(_best, seen.values())) / len(questions) for observer, seen in groups.items()}


def _best(group: list[tuple[np.ndarray, np.ndarray, float]]) -> float:
    """The largest weighted sum of IoUs that one choice of actors gets; areas are the same for all who look alike."""
    areas, asked = group[0][0], np.flatnonzero(np.any([meant for _, meant, _ in group], 0))
    choices = [np.isin(np.arange(len(areas)), c) for n in range(len(asked) + 1) for c in combinations(asked, n)]
    return max(sum(weight * _iou(areas, choice, meant) for _, meant, weight in group) for choice in choices)


def _iou(areas: np.ndarray, choice: np.ndarray, meant: np.ndarray) -> float:
    union = int(areas[choice | meant].sum())
    return int(areas[choice & meant].sum()) / union if union else 1.0
