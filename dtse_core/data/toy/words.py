"""The toy world's language: every sentence form, and the vocabulary that follows from the forms."""

ACTORS = {  # kind: what it can do, as in A2D
    "adult": ("climbing", "crawling", "eating", "jumping", "rolling", "running", "walking"),
    "baby": ("climbing", "crawling", "rolling", "walking"),
    "ball": ("flying", "jumping", "rolling"),
    "bird": ("climbing", "eating", "flying", "jumping", "rolling", "walking"),
    "car": ("flying", "jumping", "rolling", "running"),
    "cat": ("climbing", "eating", "jumping", "rolling", "running", "walking"),
    "dog": ("crawling", "eating", "jumping", "rolling", "running", "walking"),
}
VERBS = {
    "climbing": "climbs",
    "crawling": "crawls",
    "eating": "eats",
    "flying": "flies",
    "jumping": "jumps",
    "rolling": "rolls",
    "running": "runs",
    "walking": "walks",
}
COLORS = ("black", "blue", "green", "pink", "purple", "red", "white", "yellow")
SIZES = {"small": ("small", "little"), "big": ("big", "large")}
CLOTHED = ("adult", "baby")  # their color is that of their clothes
WEARING = ("in", "wearing", "dressed in")

APPEARANCE = ("the {noun}", "a {noun}", "{noun}", "the {kind} {which}")
POSITION = ("the {noun} {where}", "the {noun} that is {where}", "the {most} {noun}")
RELATION = (
    "the {noun} {relation} the {anchor}",
    "the {noun} that is {relation} the {anchor}",
    "a {noun} {relation} the {anchor}",
)
ACTION = (
    "the {noun} {ing}",
    "the {noun} that is {ing}",
    "the {noun} that {verb}",
    "the {noun} which is {ing}",
    "a {noun} {ing}",
    "the {ing} {noun}",
)
DIRECTION = (
    "the {noun} {ing} {to}",
    "the {noun} that is {ing} {to}",
    "the {noun} that {verb} {to}",
    "a {noun} {ing} {to}",
)
HEADING = ("the {noun} moving {to}", "the {noun} going {to}", "the {noun} heading {to}")  # any action

PLACES = {
    "left": (("on the left", "on the left side", "on the far left"), ("leftmost", "left")),
    "right": (("on the right", "on the right side", "on the far right"), ("rightmost", "right")),
    "top": (("at the top", "at the very top"), ("topmost", "upper", "highest")),
    "bottom": (("at the bottom", "at the very bottom"), ("lowest", "lower", "bottom")),
    "middle": (("in the middle", "between the other two"), ("middle", "central")),
}
RELATIONS = {
    "next to": ("next to", "beside", "near"),
    "above": ("above", "over"),
    "under": ("under", "below"),
    "behind": ("behind",),
    "in front of": ("in front of",),
}
DIRECTIONS = {
    "left": ("to the left", "leftwards", "towards the left"),
    "right": ("to the right", "rightwards", "towards the right"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}
ANCHORS = ("box", "bush", "house", "table", "tree")  # props that a relation can name


def pick(rng, options):
    """One of a sequence; `integers` is the generator's most stable method."""
    return options[int(rng.integers(len(options)))]


def noun(rng, kind: str, color: str = "", size: str = "") -> str:
    """`small red dog`, `big adult wearing blue`: only what is given is said."""
    size = pick(rng, SIZES[size]) if size else ""
    if color and kind in CLOTHED:
        return f"{size} {kind} {pick(rng, WEARING)} {color}".strip()
    return " ".join(word for word in (size, color, kind) if word)


def _say(form: str, **parts: str) -> str:
    text = form.format(**parts)
    return text.replace("a adult", "an adult", 1) if text.startswith("a adult") else text


def appearance(rng, kind: str, color: str = "", size: str = "") -> str:
    """A sentence that names looks alone."""
    form = pick(rng, APPEARANCE if color or size else APPEARANCE[:3])
    said = pick(rng, SIZES[size]) if size else ""
    if kind in CLOTHED and color:
        which = f"that is {said} and {pick(rng, WEARING)} {color}" if size else f"that is {pick(rng, WEARING)} {color}"
    else:
        which = "that is " + " and ".join(word for word in (said, color) if word)
    return _say(form, noun=noun(rng, kind, color, size), kind=kind, which=which)


def position(rng, name: str, places) -> str:
    """`places`: all those by which it stands out; one is said."""
    where, most = PLACES[pick(rng, places)]
    return _say(pick(rng, POSITION), noun=name, where=pick(rng, where), most=pick(rng, most))


def relation(rng, name: str, how: str, anchor: str) -> str:
    return _say(pick(rng, RELATION), noun=name, relation=pick(rng, RELATIONS[how]), anchor=anchor)


def action(rng, name: str, ing: str) -> str:
    return _say(pick(rng, ACTION), noun=name, ing=ing, verb=VERBS[ing])


def direction(rng, name: str, ing: str, to: str, any_action: bool) -> str:
    """`any_action`: the direction alone tells it from all others of that name."""
    form = pick(rng, DIRECTION + HEADING if any_action else DIRECTION)
    return _say(form, noun=name, ing=ing, verb=VERBS[ing], to=pick(rng, DIRECTIONS[to]))


def _words() -> tuple[str, ...]:
    forms = (*APPEARANCE, *POSITION, *RELATION, *ACTION, *DIRECTION, *HEADING, *WEARING, "that is and an")
    filled = [word for form in forms for word in form.split() if not word.startswith("{")]
    fillers = [*ACTORS, *VERBS, *VERBS.values(), *COLORS, *ANCHORS]
    for choices in (
        *SIZES.values(),
        *RELATIONS.values(),
        *DIRECTIONS.values(),
        *(p for two in PLACES.values() for p in two),
    ):
        fillers += [word for choice in choices for word in choice.split()]
    return tuple(sorted({*filled, *fillers}))


WORDS = _words()
