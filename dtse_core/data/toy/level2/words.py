"""A grammar that puts programs into words; it has several ways to say each thing, and draws one.

A noun has at most one clause, which follows it, so that a clause belongs to the noun before it. "The" is for what is
single, "a" for one of several.
"""

import numpy as np

from ..words import ACTORS, CLOTHED, COLORS, WEARING, pick
from .facts import Facts
from .programs import PROPS, And, Color, Does, Not, Nth, Only, Program, Related

DOES = {  # singular and plural; what follows "that" or "who"
    "moves": (("moves", "move"), ("is moving", "are moving")),
    "left": (("moves to the left", "move to the left"), ("is going left", "are going left")),
    "right": (("moves to the right", "move to the right"), ("is going right", "are going right")),
    "up": (("moves up", "move up"), ("is moving up", "are moving up")),
    "down": (("moves down", "move down"), ("is moving down", "are moving down")),
    "stops": (("stops", "stop"), ("comes to rest", "come to rest")),
    "starts": (("starts to move", "start to move"), ("sets off after a while", "set off after a while")),
    "pauses": (("pauses partway", "pause partway"), ("stops and then moves on", "stop and then move on")),
    "turns": (("turns round", "turn round"), ("turns back", "turn back")),
    "wanders": (
        ("goes back and forth", "go back and forth"),
        ("keeps going back and forth", "keep going back and forth"),
    ),
    "hides": (
        ("is hidden for a while", "are hidden for a while"),
        ("disappears and reappears", "disappear and reappear"),
    ),
    "jumps": (("jumps", "jump"), ("is jumping", "are jumping")),
    "eats": (("eats", "eat"), ("is eating", "are eating")),
}
MOVES = {"ball": ("rolls", "roll"), "bird": ("flies", "fly"), "car": ("drives", "drive")}
NOT = {  # of what it can be said that somebody does not do it
    "moves": ("does not move", "stays where it is"),
    "turns": ("does not turn round", "never turns back"),
    "stops": ("does not stop",),
    "jumps": ("does not jump", "is not jumping"),
    "hides": ("is never hidden",),
}
RELATED = {  # what may follow a noun, or "that is", "that are"
    "left of": ("to the left of",),
    "right of": ("to the right of",),
    "above": ("above",),
    "below": ("below",),
    "beside": ("beside", "next to", "near"),
    "larger": ("larger than", "bigger than"),
    "smaller": ("smaller than",),
    "faster": ("faster than",),
}
MEETS = {  # with the other
    "chases": ("chases {}", "follows {}"),
    "chased by": ("{} chases", "{} follows", "is chased by {}"),
    "meets": ("meets {}",),
}
PLACES = {
    "left": ("leftmost", "on the left", "from the left"),
    "right": ("rightmost", "on the right", "from the right"),
    "top": ("topmost", "at the top", "from the top"),
    "bottom": ("bottommost", "at the bottom", "from the bottom"),
}
DEGREES = {
    "large": (("larger", "bigger"), ("largest", "biggest")),
    "small": (("smaller",), ("smallest",)),
    "fast": (("faster",), ("fastest",)),
    "slow": (("slower",), ("slowest",)),
}
FIRST = {
    "hides": ("is hidden {}", "disappears {}"),
    "stops": ("stops {}", "comes to rest {}"),
}
NUMBERS = ("first", "second", "third")
PLURALS = {"baby": "babies"}


def say(rng, program: Program, facts: Facts) -> str:
    """One way to say whom a program means."""
    if isinstance(program, Only):
        return f"{_count(rng, program.count)} {_noun(rng, program.of, facts, 1)}"
    return f"the {_noun(rng, program, facts, 0)}"


def _count(rng, count: int) -> str:
    return pick(rng, {0: ("all the",), 2: ("both", "the two"), 3: ("all three",)}[count])


def _noun(rng, program: Program, facts: Facts, many: int, wearing=WEARING) -> str:
    """A noun with what belongs to it, without its article. `many`: 1 for the plural."""
    if isinstance(program, Nth):
        return _ranked(rng, program, facts)
    kind, color, clause = _taken_apart(program)
    name = kind if not many else PLURALS.get(kind, kind + "s")
    if isinstance(color, Not):
        worn = f"{pick(rng, wearing)} " if kind in CLOTHED else ""
        name += f" {_who(kind)} {('is', 'are')[many]} not {worn}{color.of.name}"
    elif color:
        name = f"{name} {pick(rng, wearing)} {color.name}" if kind in CLOTHED else f"{color.name} {name}"
    return f"{name} {_clause(rng, kind, clause, facts, many)}" if clause else name


def _taken_apart(program: And):
    color = clause = None
    for part in program.parts[1:]:
        if isinstance(part, Color) or (isinstance(part, Not) and isinstance(part.of, Color)):
            color = part
        else:
            clause = part
    return program.parts[0].name, color, clause


def _who(kind: str) -> str:
    return "who" if kind == "adult" else "that"


def _clause(rng, kind: str, clause: Program, facts: Facts, many: int) -> str:
    if isinstance(clause, Related):
        other = _other(rng, clause.to, facts)
        if clause.how in MEETS:
            form = pick(rng, MEETS[clause.how])
            return f"{'that' if form.startswith('{}') else _who(kind)} {form.format(other)}"
        begin = pick(rng, ("", "", f"{_who(kind)} {('is', 'are')[many]} "))
        return f"{begin}{pick(rng, RELATED[clause.how])} {other}"
    forms = [(form, form) for form in NOT[clause.of.what]] if isinstance(clause, Not) else [*DOES[clause.what]]
    if kind == "ball":  # it turns round all the way
        forms = [form for form in forms if "turn round" not in form[1]]
    if clause == Does("moves") and kind in MOVES:
        forms.append(MOVES[kind])
    return f"{_who(kind)} {pick(rng, forms)[many]}"


def _other(rng, program: Program, facts: Facts) -> str:
    """Those that a clause is about: "the", unless there are several."""
    name = _noun(rng, program, facts, 0)
    if (facts.ask(program) > 0).sum() < 2:
        return f"the {name}"
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _ranked(rng, program: Nth, facts: Facts) -> str:
    order, rank, members = program.order, program.rank, np.flatnonzero(facts.ask(program.of) > 0)
    if order in FIRST:  # its `of` ends with the clause that says so already
        bare = And(tuple(part for part in program.of.parts if part != Does(order)))
        name = _noun(rng, bare, facts, 0)
        return f"{name} {_who(bare.parts[0].name)} {pick(rng, FIRST[order]).format(NUMBERS[rank])}"
    name = _noun(rng, program.of, facts, 0, wearing=("in",))  # "the third baby wearing red from the top" is odd
    if order in PLACES:
        most, where, side = PLACES[order]
        if rank:
            return f"{NUMBERS[rank]} {name} {side}"
        region = facts.parted(order, members)  # "on the left" is read as the left half
        return pick(rng, (f"{most} {name}", f"{name} {where}" if region else f"{most} {name}"))
    two, more = DEGREES[order]
    if rank:
        return f"{NUMBERS[rank]} {pick(rng, more)} {name}"
    if len(members) > 2:
        return f"{pick(rng, more)} {name}"
    many = _noun(rng, program.of, facts, 1, wearing=("in",))
    return pick(rng, (f"{pick(rng, two)} {name}", f"{pick(rng, two)} of the two {many}"))


def _words() -> tuple[str, ...]:
    said: list[str] = [
        "the a an that who is are not both two all three of",
        *WEARING,
        *ACTORS,
        *COLORS,
        *PROPS,
    ]
    said += [PLURALS.get(kind, kind + "s") for kind in ACTORS] + [*NUMBERS]
    said += [form for table in (NOT, MEETS, RELATED, FIRST, PLACES) for forms in table.values() for form in forms]
    said += [form for forms in (*DOES.values(), MOVES.values()) for two in forms for form in two]
    said += [form for two in DEGREES.values() for forms in two for form in forms]
    return tuple(sorted({word for form in said for word in form.replace("{}", "").split()}))


WORDS = _words()  # all that this level says; the first level's vocabulary stays as it is
