"""How a toy scene is put together: one plan for each kind of evidence.

A plan draws actors until the scene is in order: everybody visible, every sentence unique, and every
sentence labelled with the least evidence that it needs. A draw that does not work out raises `Redo`.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

from . import words as toy_words
from .cartoons import HALF_SIZES
from .scene import (
    ANNOTATED,
    ASPECT,
    CENTER,
    HEIGHTS,
    HELD_OUT,
    Actor,
    Prop,
    Sentence,
    apart,
    clear,
    directions,
    draw_motion,
    draw_pose,
    places,
    posture_of,
    related,
    twin_actions,
)
from .words import ACTORS, ANCHORS, COLORS, SIZES, pick

TRIES = 20


class Redo(Exception):
    """This draw does not work out; the next one may."""


class Look(NamedTuple):
    """What look-alikes share."""

    kind: str
    color: str
    size: str
    skin: int  # of adults and babies, as is the hair
    hair: int


# ------------------------------------------------------------------------------------------ actors


def draw_look(rng, kind: str = "", color: str = "", size: str = "", avoid: str = "") -> Look:
    """A random look with the given parts fixed, of another kind than `avoid`, without a held-out pair."""
    for _ in range(TRIES):
        kind_, color_ = kind or pick(rng, tuple(ACTORS)), color or pick(rng, COLORS)
        if (color_, kind_) not in HELD_OUT and kind_ != avoid:
            return dress(rng, kind_, color_, size or pick(rng, tuple(SIZES)))
    raise Redo


def dress(rng, kind: str, color: str, size: str) -> Look:
    return Look(kind, color, size, int(rng.integers(4)), int(rng.integers(4)))


def draw_actor(rng, look: Look, actions, motion, facing: int = 0) -> Actor:
    """An actor in a state that could begin any of `actions`; it faces where it goes unless `facing` says otherwise."""
    return Actor(
        instance=0,
        **look._asdict(),
        height=HEIGHTS[look.size] * (0.95 + 0.1 * rng.random()),
        posture=posture_of(actions),
        facing=facing or {"left": -1, "right": 1}.get(motion.direction) or pick(rng, (-1, 1)),
        depth=rng.random(),
        pose=draw_pose(rng, look.kind, actions, 0.2 + (ASPECT - 0.4) * rng.random(), 0.2 + 0.6 * rng.random()),
        motion=motion,
    )


def draw_free(rng, look: Look, pace: float) -> Actor:
    """An actor that does anything that its kind can do."""
    action = pick(rng, [action for action in ACTORS[look.kind] if (look.kind, action) not in HELD_OUT])
    return draw_actor(rng, look, (action,), draw_motion(rng, action, pick(rng, directions(action)), pace=pace))


def add_free(rng, actors: list[Actor], look: Look, frames, pace: float = 0.8, fits=lambda actor: True) -> None:
    """Append an actor that leaves everybody visible in `frames`."""
    for _ in range(TRIES):
        actor = draw_free(rng, look, pace * (0.5 + 0.5 * rng.random()))
        if fits(actor) and clear([*actors, actor], frames):
            actors.append(actor)
            return
    raise Redo


def number(rng, actors: list[Actor]) -> list[Actor]:
    """The same actors with instance numbers in random order."""
    draws = [rng.random() for _ in actors]
    return [replace(actor, instance=sorted(draws).index(d) + 1) for actor, d in zip(actors, draws, strict=True)]


def draw_props(rng) -> list[Prop]:
    """Now and then something stands behind everybody."""
    if rng.random() > 0.4:
        return []
    height = 0.3 + 0.25 * rng.random()
    return [Prop(pick(rng, ANCHORS), ASPECT * rng.random(), 0.25 + 0.5 * rng.random(), height, -3.0)]


# ------------------------------------------------------------------------------------------ words


def words_needed(actor: Actor, rivals, wanted) -> dict[str, str]:
    """The fewest looks to say beside its kind that leave, of the rivals, exactly the wanted actors."""
    for parts in ((), ("color",), ("size",), ("color", "size")):
        if _named(actor, rivals, parts) == list(wanted):
            return {part: getattr(actor, part) for part in parts}
    raise Redo


def _named(actor: Actor, rivals, parts) -> list[Actor]:
    return [a for a in rivals if a.kind == actor.kind and all(getattr(a, p) == getattr(actor, p) for p in parts)]


def phrase(rng, actor: Actor, evidence: str, say, twin: int = 0) -> list[Sentence]:
    """One or two ways to say it."""
    texts = sorted({say() for _ in range(1 + int(rng.integers(2)))})
    return [Sentence(actor.instance, text, evidence, twin) for text in texts]


# ------------------------------------------------------------------------------------------ plans
# A plan returns (actors, props, sentences, annotated frames). `pair`: held-out words for the target.


def plan_appearance(rng, pair=()):
    """Each word is needed: for each there is a distractor that differs from the target in that alone."""
    needed = ("color", "kind")
    if not pair:
        options = (("kind",), ("size", "kind"), ("color", "kind"), ("color", "kind"), ("size", "color", "kind"))
        needed = pick(rng, options)
    target = dress(rng, pair[1], pair[0], pick(rng, tuple(SIZES))) if pair else draw_look(rng)
    (kind, color, size, *_), actors = target, []
    add_free(rng, actors, target, ANNOTATED)
    same_size = size if "size" in needed else ""
    for part in needed:
        if part == "kind":
            look = draw_look(rng, color=color, size=same_size, avoid=kind)
        elif part == "color":
            look = draw_look(rng, kind=kind, size=same_size)
        else:
            look = target._replace(size="small" if size == "big" else "big")
        add_free(rng, actors, look, ANNOTATED)
    if len(actors) < 4 and rng.random() < 0.4:
        add_free(rng, actors, draw_look(rng, avoid=kind), ANNOTATED)
    actors = number(rng, actors)
    if not {*needed} <= {"kind", *words_needed(actors[0], actors, actors[:1])}:
        raise Redo
    sentences = []
    for actor in actors[:1] if pair else actors:
        if _named(actor, actors, ("color", "size")) == [actor]:
            words = words_needed(actor, actors, [actor])
            sentences += phrase(rng, actor, "appearance", partial(toy_words.appearance, rng, actor.kind, **words))
    return actors, draw_props(rng), sentences, ANNOTATED


def plan_position(rng):
    """Two or three look-alikes, told apart by place in every annotated frame."""
    look, count, actors = draw_look(rng), pick(rng, (2, 2, 3)), []
    for _ in range(count):
        add_free(rng, actors, look, ANNOTATED)
    if rng.random() < 0.6:
        add_free(
            rng, actors, draw_look(rng, kind=pick(rng, (look.kind, "")), color=pick(rng, (look.color, ""))), ANNOTATED
        )
    actors = number(rng, actors)
    alike, sentences = actors[:count], []
    words = words_needed(alike[0], actors, alike)
    for actor in alike:
        found = places(actor, [a for a in alike if a is not actor], ANNOTATED)
        if found:
            name = toy_words.noun(rng, actor.kind, **words)
            sentences += phrase(rng, actor, "position", partial(toy_words.position, rng, name, found))
    return actors, draw_props(rng), sentences, ANNOTATED


def plan_relation(rng):
    """Look-alikes, told apart by how one or two of them stand to a prop or to another actor."""
    look, pace = draw_look(rng), 0.12  # nobody walks out of the relation between the annotated frames
    kinds = sorted(ANCHORS, key=lambda _: rng.random())
    actors, props, ties = [], [], []  # ties: look-alike, relation, anchor
    for kind in kinds[: pick(rng, (1, 2))]:
        actor, how = draw_free(rng, look, pace), pick(rng, tuple(toy_words.RELATIONS))
        depth = actor.depth + (0.01 if how == "behind" else -0.01)
        if not ties and rng.random() < 0.35:
            anchor = replace(draw_free(rng, draw_look(rng, avoid=look.kind), 0.0), depth=depth)
            actors.append(anchor)
        else:
            height = {"tree": 0.56, "house": 0.46}.get(kind, 0.32) * (0.9 + 0.2 * rng.random())
            w, h = (height * half for half in HALF_SIZES[kind])
            x, y = w + (ASPECT - 2 * w) * rng.random(), h + (1 - 2 * h) * rng.random()
            anchor = Prop(kind, x, y, height, depth)
            props.append(anchor)
        ties.append((_stand(rng, actor, how, anchor), how, anchor))
        actors.append(ties[-1][0])
    if not clear(actors, (CENTER,), 0.55, props) or (len(props) == 2 and not apart(*props, 0)):
        raise Redo
    alike, lone = [actor for actor, _, _ in ties], lambda a: all(apart(a, t[2], f) for t in ties for f in ANNOTATED)
    for _ in range(pick(rng, (2, 2, 3)) - len(ties)):
        add_free(rng, actors, look, ANNOTATED, pace, lone)
        alike.append(actors[-1])
    for tied, how, anchor in ties:
        for actor in alike:
            fits = [related(how, tied, anchor, f) if actor is tied else apart(actor, anchor, f) for f in ANNOTATED]
            if not all(fits):
                raise Redo
    if not clear(actors, ANNOTATED, 0.55, props):
        raise Redo
    numbered = dict(zip(map(id, actors), number(rng, actors), strict=True))
    words, sentences = words_needed(alike[0], actors, alike), []
    for actor, how, anchor in ties:
        name = toy_words.noun(rng, actor.kind, **words)
        say = partial(toy_words.relation, rng, name, how, anchor.kind)
        sentences += phrase(rng, numbered[id(actor)], "relation", say)
    return list(numbered.values()), props, sentences, ANNOTATED


def _stand(rng, actor: Actor, how: str, anchor) -> Actor:
    """`actor` moved to where it stands to `anchor` as `how` says."""
    (al, at, ar, ab), (left, top, right, bottom) = anchor.box(CENTER), actor.box(CENTER)
    across, along, feet = (
        (ar - al + right - left) / 2,
        (ab - at + bottom - top) / 2,
        ab - (bottom - top) / 2 + 0.04 * rng.random(),
    )
    side, slack, x, y = pick(rng, (-1, 1)), 0.05 * rng.random() - 0.01, (al + ar) / 2, (at + ab) / 2
    if how == "next to":
        x, y = x + side * (across + slack), feet
    elif how in ("above", "under"):
        x, y = x + 0.1 * (rng.random() - 0.5), y + (along + slack) * (-1 if how == "above" else 1)
    else:
        x, y = x + side * across * (0.60 + 0.1 * rng.random()), feet
    return replace(actor, pose=actor.pose._replace(x=x, y=y))


def plan_twins(rng, evidence: str, pair=()):
    """Two actors whose states come from one distribution; then two motions are dealt (see `scene`)."""
    kind = pair[0] if pair else pick(rng, tuple(ACTORS))
    look, banned = draw_look(rng, kind=kind), [p for p in HELD_OUT if p != pair]
    if evidence == "action":
        actions = pick(rng, [two for two in twin_actions(kind, banned) if not pair or pair[1] in two])
        ways = [pick(rng, {"climbing": ("up",), "flying": ("left", "right")}.get(a, directions(a))) for a in actions]
    else:
        action = pick(rng, [a for a in ACTORS[kind] if a != "eating" and (kind, a) not in banned])
        actions, ways = (action, action), sorted(directions(action), key=lambda _: rng.random())[:2]
    motions = [draw_motion(rng, a, way, steep=evidence == "action") for a, way in zip(actions, ways, strict=True)]
    for _ in range(TRIES):  # accepted by the center frame alone, whoever gets which motion
        twins = [draw_actor(rng, look, actions, motions[0], facing=pick(rng, (-1, 1))) for _ in range(2)]
        if clear(twins, (CENTER,)):
            break
    else:
        raise Redo
    if rng.random() < 0.5:
        motions.reverse()
    actors = [replace(twin, motion=motion) for twin, motion in zip(twins, motions, strict=True)]
    for _ in range(pick(rng, (0, 1, 1, 2))):
        other = draw_look(rng, kind=pick(rng, (kind, "", "")), color=pick(rng, (look.color, "")))
        if other[:3] == look[:3]:
            raise Redo
        add_free(rng, actors, other, (CENTER,))
    actors, sentences = number(rng, actors), []
    for actor, twin in (actors[:2], actors[1::-1]):
        if not pair or actor.motion.action == pair[1]:
            sentences += phrase(rng, actor, evidence, _moving(rng, evidence, actor, actors), twin.instance)
    return actors, draw_props(rng), sentences, (CENTER,)


def _moving(rng, evidence: str, actor: Actor, actors):
    """A function that says in ever new words how `actor` moves."""
    motion = actor.motion
    same_action = [a for a in actors if a.motion.action == motion.action]
    same_way = [a for a in actors if a.motion.direction == motion.direction]
    if evidence == "action":
        name = toy_words.noun(rng, actor.kind, **words_needed(actor, same_action, [actor]))
        return partial(toy_words.action, rng, name, motion.action)
    words = words_needed(actor, [a for a in same_action if a in same_way], [actor])
    name, alone = toy_words.noun(rng, actor.kind, **words), _named(actor, same_way, words) == [actor]
    return partial(toy_words.direction, rng, name, motion.action, motion.direction, any_action=alone)


def belongings(actors) -> list[Prop]:
    """Ropes for climbers, bowls for eaters, where they are in the center frame; twins both have one."""
    props = []
    for pose, height, actor in ((a.pose, a.height, a) for a in actors):
        if actor.posture == "climb":
            props.append(Prop("rope", pose.x + 0.27 * actor.facing * height, 0.5, 0.8, -2.0))
        if pose.nod and actor.kind != "adult":
            props.append(
                Prop("bowl", pose.x + 0.62 * actor.facing * height, pose.y + 0.42 * height, 0.4 * height, -1.0)
            )
    return props


def cast(rng, evidence: str, pair=()):
    """(actors, props, sentences, annotated frames) of a scene in order. `pair`: a held-out pair for its target."""
    for _ in range(2000):
        try:
            if evidence in ("action", "direction"):
                actors, props, sentences, frames = plan_twins(rng, evidence, pair)
            elif evidence == "appearance":
                actors, props, sentences, frames = plan_appearance(rng, pair)
            else:
                plan = plan_position if evidence == "position" else plan_relation
                actors, props, sentences, frames = plan(rng)
        except Redo:
            continue
        if sentences:
            return actors, [*props, *belongings(actors)], sentences, frames
    raise RuntimeError(f"no {evidence} scene came into order in 2000 draws: a bug of the toy world")
