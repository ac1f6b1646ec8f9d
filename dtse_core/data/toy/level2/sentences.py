"""Which sentences are said about a scene.

They are proposed from what is true of an actor, and kept if their program clearly means it, and would mean something
else without any one of its parts. Where nothing is to fit, those who did get another color or become another kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..words import ACTORS, COLORS, pick
from .cast import ACTS, CHANGES, KINDS, is_clear, shuffled
from .facts import DEGREES, DENIED, EVENTS, FIRST, PLACES, SIDES, WAYS, Facts
from .programs import And, Color, Does, Kind, Not, Nth, Only, Program, Related, depth, shortened, targets
from .scene import Scene
from .words import say

DEPTHS = dict.fromkeys(KINDS, (1,)) | {  # how deep sentences of each kind can be
    "relation": (2,),
    "comparison": (1, 2),
    "nested": (2, 3),
    "interaction": (2,),
    "none": (1, 2, 3),
}


@dataclass(frozen=True)
class Sentence:
    text: str
    kind: str  # one of KINDS
    program: Program
    targets: tuple[int, ...]  # numbers of actors; none where nothing fits

    @property
    def depth(self) -> int:
        return depth(self.program)


def nouns(facts: Facts, k: int) -> list[And]:
    """What a thing can be called by its looks."""
    thing = facts.things[k]
    return [And((Kind(thing.kind),)), *([And((Kind(thing.kind), Color(thing.color)))] if thing.color else [])]


def with_clause(noun: And, clause: Program) -> And:
    return And((*noun.parts, clause))


def relations(facts: Facts, k: int, hows) -> list[tuple[str, int]]:
    """(how, to whom) thing `k` is clearly related."""
    return [
        (how, int(other))
        for how in hows
        for other in np.flatnonzero(facts.related(how)[k] > 0)
        if facts.things[other].kind != facts.things[k].kind
    ]


def propose(rng, kind: str, facts: Facts, k: int) -> Iterator[Program]:
    """Programs of one kind that are true of actor `k`, in random order."""
    found = []
    for noun in nouns(facts, k):
        true = [what for what in EVENTS if facts.does(what)[k] > 0]
        by = {"action": ("moves", *ACTS), "direction": WAYS, "event": CHANGES}
        if kind == "appearance":
            found.append(noun)
        elif kind in by:
            found += [with_clause(noun, Does(what)) for what in true if what in by[kind]]
            firsts = [what for what in true if what in FIRST and kind == "event"]
            found += [Nth(what, 0, with_clause(noun, Does(what))) for what in firsts]
        elif kind == "negation":
            can = {"turns": true, "stops": true}  # what stands still does neither, but nobody says so
            not_done = [what for what in DENIED if facts.does(what)[k] < 0 and "moves" in can.get(what, ["moves"])]
            found += [with_clause(noun, Not(Does(what))) for what in not_done]
            found += [And((noun.parts[0], Not(Color(color)))) for color in COLORS if color != facts.things[k].color]
        elif kind == "position":
            found += [Nth(order, 0, noun) for order in PLACES]
        elif kind == "ordinal":
            found += [Nth(order, rank, noun) for order in (*PLACES, *DEGREES) for rank in (1, 2)]
        elif kind == "comparison":
            found += [Nth(order, 0, noun) for order in DEGREES]
            for how, other in relations(facts, k, ("larger", "smaller", "faster")):
                single = [to for to in nouns(facts, other) if (facts.ask(to) > 0).sum() == 1]  # not faster than "a" dog
                found += [with_clause(noun, Related(how, to)) for to in single if facts.actor[other]]
        elif kind in ("relation", "interaction"):
            hows = (*SIDES, "beside") if kind == "relation" else ("chases", "chased by", "meets")
            for how, other in relations(facts, k, hows):
                found += [with_clause(noun, Related(how, to)) for to in nouns(facts, other)]
        elif kind == "group":
            sets = [noun, *(with_clause(noun, Does(what)) for what in true)]
            found += [Only(count, of) for of in sets for count in (2, 3, 0)]
        elif kind == "nested":
            for how, other in relations(facts, k, (*SIDES, "beside", "chases", "chased by")):
                if facts.actor[other]:
                    parts = ("direction", "event", "action", "relation")
                    inner = [p for part in parts for p in propose(rng, part, facts, other) if isinstance(p, And)]
                    found += [with_clause(noun, Related(how, to)) for to in inner if not _names(to, noun.parts[0])]
    yield from shuffled(rng, found)


def _names(program: And, kind: Kind) -> bool:
    """True if it speaks of others of `kind`: "the ball left of the car beside a ball" confuses."""
    return any(isinstance(part, Related) and kind in part.to.parts for part in program.parts)


def is_needed(program: Program, facts: Facts) -> bool:
    """True if without any one of its parts it would not mean the same."""
    meant = targets(program, facts)
    return all(targets(short, facts) != meant for short in shortened(program))


def sentences(rng, scene: Scene, kind: str, count: int = 3, depths=(1, 2, 3)) -> list[Sentence]:
    """Up to `count` sentences of one kind (not "none") and of certain depths, about different targets."""
    facts, found = Facts(scene), []
    for k in shuffled(rng, range(len(scene.actors))):
        for program in propose(rng, kind, facts, k):
            meant = targets(program, facts)
            if not meant or meant in [s.targets for s in found] or depth(program) not in depths:
                continue
            if (len(meant) > 1) == (kind == "group") and is_needed(program, facts):
                found.append(Sentence(say(rng, program, facts), kind, program, meant))
                break
        if len(found) == count:
            break
    return found


def without(rng, scene: Scene, kind: str, depths=(1, 2, 3)) -> tuple[Scene, list[Sentence]]:
    """A scene in which those whom a sentence of `kind` spoke of have another color, or kind if it named no color.

    So sentences that fit nobody use the same words as others, and all but one part of each fits somebody. No sentence
    where this does not work out.
    """
    colors, kinds = {thing.color for thing in scene.things}, {thing.kind for thing in scene.things}
    persons = {"adult", "baby"} if kinds & {"adult", "baby"} else set()  # never both
    for said in sentences(rng, scene, kind, 1, depths):
        about = said.program.of if isinstance(said.program, Nth | Only) else said.program
        gone = targets(about, Facts(scene)) or ()
        if any(isinstance(part, Color) for part in about.parts):
            other = {"color": pick(rng, [color for color in COLORS if color not in colors])}
        else:
            acts = {thing.act for thing in scene.actors if thing.number in gone} - {""}
            able = [kind for kind in ACTORS if kind not in kinds | persons and all(kind in ACTS[act] for act in acts)]
            if not able:
                return scene, []
            other = {"kind": pick(rng, able)}
        scene = replace(scene, things=tuple(replace(t, **other) if t.number in gone else t for t in scene.things))
        if is_clear(scene):
            facts = Facts(scene)
            if targets(said.program, facts) == targets(about, facts) == () and is_needed(about, facts):
                return scene, [replace(said, kind="none", targets=())]
    return scene, []
