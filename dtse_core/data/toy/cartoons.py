"""The toy world's cast: seven cartoons that move their parts, and the props.

Everything is made of *strokes*: a point, a line or a polygon swept with a disc, so all of it is round
and chunky (the smallest actor is to survive a map at a quarter of a 64 x 96 frame).

Units: a cartoon is about 1 high around (0, 0), looking right, y downwards.
"""

from math import cos, pi, radians, sin

COLORS = {
    "black": (52, 50, 60),
    "blue": (36, 98, 222),
    "green": (44, 160, 72),
    "pink": (250, 122, 180),
    "purple": (132, 62, 186),
    "red": (222, 38, 44),
    "white": (250, 250, 248),
    "yellow": (252, 208, 36),
}
SKINS = ((255, 219, 186), (235, 184, 140), (176, 118, 78), (120, 78, 54))
HAIRS = ((60, 42, 36), (120, 72, 36), (226, 178, 84), (150, 150, 156))
HALF_SIZES = {  # half width and half height of every cartoon of height 1
    "adult": (0.34, 0.50),
    "baby": (0.34, 0.48),
    "ball": (0.44, 0.44),
    "bird": (0.50, 0.43),
    "car": (0.60, 0.40),
    "cat": (0.55, 0.47),
    "dog": (0.58, 0.47),
    "prone": (0.57, 0.38),  # adults and babies on all fours
    "bowl": (0.48, 0.28),
    "box": (0.50, 0.46),
    "bush": (0.66, 0.42),
    "house": (0.50, 0.50),
    "table": (0.70, 0.46),
    "tree": (0.38, 0.50),
}
INK, MAIN, SHADE, LIGHT, SKIN, WHITE, GLASS, ACCENT, HAIR = range(9)  # slots of a thing's 16 color indices


def palette(color: str, skin: int = 0, hair: int = 0) -> list[tuple[int, int, int]]:
    """The nine colors of one thing, by slot."""
    main = COLORS[color]
    toward = (255, 255, 255) if color == "black" else (0, 0, 0)
    shade = tuple((3 * m + t) // 4 for m, t in zip(main, toward, strict=True))
    light = (222, 230, 240) if color == "white" else tuple((m + 255) // 2 for m in main)
    return [
        (34, 28, 40),
        main,
        shade,
        light,
        SKINS[skin],
        (255, 255, 255),
        (196, 226, 244),
        (250, 150, 40),
        HAIRS[hair],
    ]


PROP_PALETTES = {
    "box": [(58, 40, 30), (206, 156, 98), (178, 128, 76), (232, 200, 150)],
    "bush": [(24, 56, 44), (84, 140, 104), (66, 116, 88), (120, 168, 130)],
    "house": [(58, 40, 40), (214, 190, 160), (168, 88, 72), (104, 74, 66)],
    "table": [(58, 40, 30), (176, 122, 78), (146, 98, 62), (206, 156, 110)],
    "tree": [(30, 52, 40), (92, 146, 100), (126, 88, 60), (122, 172, 122)],
    "bowl": [(40, 50, 70), (150, 176, 204), (112, 76, 56), (196, 214, 232)],
    "rope": [(104, 84, 62), (196, 164, 120), (164, 132, 92), (220, 196, 160)],
}


# A stroke: (points, radius, slot, filled polygon?, outlined?). Later strokes lie on top.


def _stroke(points, radius, slot, fill=False, outline=True):
    return points, radius, slot, fill, outline


def _dot(x, y, radius, slot):
    return [(x, y)], radius, slot, False, False


def _turn(points, about, angle):
    """`points` turned by `angle` radians about a joint."""
    c, s, (ax, ay) = cos(angle), sin(angle), about
    return [(ax + c * (x - ax) - s * (y - ay), ay + s * (x - ax) + c * (y - ay)) for x, y in points]


def _wave(phase):
    return sin(2 * pi * phase)


def _eye(x, y, r=0.065):
    return [_dot(x, y, r, WHITE), _dot(x + 0.35 * r, y, 0.55 * r, INK)]


def _nod(pose):
    """How far the head is down: 0 to 1. One cycle of `nod` is one bite."""
    return 0.5 - 0.5 * cos(2 * pi * pose.nod)


def _quadruped(pose, posture, head, tail):
    low = 0.12 if posture == "prone" else 0.0
    legs = []
    for x, offset, slot in ((-0.24, 0.5, SHADE), (0.22, 0.0, SHADE), (-0.32, 0.0, MAIN), (0.14, 0.5, MAIN)):
        swing = 0.14 * _wave(pose.limbs + offset)
        splay = (0.16 if x > 0 else -0.12) if low else 0.0
        lift = 0.05 * max(0.0, _wave(pose.limbs + offset + 0.25))
        legs.append(_stroke([(x, 0.08 + low), (x + swing + splay, 0.36 - lift)], 0.11, slot))
    body = _stroke([(-0.27, 0.02 + low), (0.18, 0.02 + low)], 0.22, MAIN)
    belly = _stroke([(-0.16, 0.13 + low), (0.10, 0.13 + low)], 0.07, LIGHT, outline=False)
    neck = (0.18, 0.0 + low)
    angle = radians(58) * _nod(pose)
    turned = [(_turn([(x, y + low) for x, y in points], neck, angle), *rest) for points, *rest in head]
    return [tail, *legs[:2], body, belly, *legs[2:], *turned]


def dog(pose, posture):
    wag = 0.16 * _wave(pose.idle)
    low = 0.12 if posture == "prone" else 0.0
    tail = _stroke([(-0.42, -0.04 + low), (-0.50, -0.20 + low), (-0.50 + wag, -0.35 + low)], 0.09, MAIN)
    head = [
        _stroke([(0.32, -0.24)], 0.20, MAIN),
        _stroke([(0.44, -0.17), (0.50, -0.16)], 0.10, LIGHT),
        _dot(0.57, -0.21, 0.052, INK),
        *_eye(0.39, -0.31),
        _stroke([(0.20, -0.32), (0.15, -0.14)], 0.082, SHADE),
    ]
    return _quadruped(pose, posture, head, tail)


def cat(pose, posture):
    sway = 0.10 * _wave(pose.idle)
    low = 0.12 if posture == "prone" else 0.0
    points = [(-0.42, 0.0), (-0.53, -0.12), (-0.48 + 0.5 * sway, -0.27), (-0.42 + sway, -0.40)]
    tail = _stroke([(x, y + low) for x, y in points], 0.082, MAIN)
    head = [
        _stroke([(0.19, -0.36), (0.20, -0.45), (0.28, -0.40)], 0.045, MAIN, fill=True),
        _stroke([(0.40, -0.40), (0.48, -0.45), (0.48, -0.35)], 0.045, MAIN, fill=True),
        _stroke([(0.31, -0.22), (0.36, -0.22)], 0.205, MAIN),
        _stroke([(0.34, -0.13), (0.43, -0.13)], 0.065, LIGHT, outline=False),
        *_eye(0.28, -0.26, 0.07),
        *_eye(0.45, -0.26, 0.07),
        _dot(0.385, -0.17, 0.035, ACCENT),
    ]
    strokes = _quadruped(pose, posture, head, tail)
    stripes = [_stroke([(x, -0.15 + low), (x, -0.03 + low)], 0.032, SHADE, outline=False) for x in (-0.24, -0.10, 0.04)]
    return strokes[:4] + stripes + strokes[4:]


def bird(pose, posture):
    flap = radians(10 + 58 * _wave(pose.wings))
    wing = [_turn([p], (-0.02, -0.02), flap)[0] for p in ((-0.02, -0.02), (-0.20, 0.0), (-0.40, 0.0))]
    legs = []
    for x, offset in ((-0.08, 0.5), (0.06, 0.0)):
        swing = 0.12 * _wave(pose.limbs + offset)
        legs.append(_stroke([(x, 0.22), (x + swing, 0.37), (x + swing + 0.06, 0.37)], 0.062, ACCENT))
    neck, angle = (0.16, 0.0), radians(62) * _nod(pose)
    head = [
        _stroke([(0.36, -0.26), (0.51, -0.18), (0.36, -0.13)], 0.045, ACCENT, fill=True),
        _stroke([(0.24, -0.20)], 0.19, MAIN),
        _stroke([(0.17, -0.37), (0.12, -0.42)], 0.055, SHADE),
        *_eye(0.30, -0.24, 0.072),
    ]
    return [
        *legs,
        _stroke([(-0.28, 0.0), (-0.46, -0.12), (-0.48, 0.06)], 0.06, SHADE, fill=True),
        _stroke([(-0.12, 0.04), (0.08, 0.04)], 0.25, MAIN),
        _stroke([(0.02, 0.14), (0.12, 0.12)], 0.12, LIGHT, outline=False),
        *((_turn(points, neck, angle), *rest) for points, *rest in head),
        _stroke(wing, 0.12, SHADE),
    ]


def car(pose, posture):
    wheels = []
    for x in (-0.31, 0.31):
        a = 2 * pi * pose.limbs
        hub = [(x + 0.10 * cos(a + k * pi), 0.23 + 0.10 * sin(a + k * pi)) for k in (0, 1)]
        wheels += [
            _stroke([(x, 0.23)], 0.155, INK),
            _dot(x, 0.23, 0.10, GLASS),
            _stroke(hub, 0.032, INK, outline=False),
        ]
    return [
        _stroke([(-0.28, -0.04), (-0.17, -0.28), (0.13, -0.28), (0.27, -0.04)], 0.08, MAIN, fill=True),
        _stroke([(-0.43, 0.08), (0.43, 0.08)], 0.16, MAIN),
        _stroke(
            [(-0.20, -0.08), (-0.14, -0.23), (-0.06, -0.23), (-0.06, -0.08)], 0.02, GLASS, fill=True, outline=False
        ),
        _stroke([(0.06, -0.08), (0.06, -0.23), (0.11, -0.23), (0.19, -0.08)], 0.02, GLASS, fill=True, outline=False),
        *_eye(0.10, -0.15, 0.05),
        _stroke([(-0.46, 0.10), (0.30, 0.10)], 0.03, SHADE, outline=False),
        _dot(0.50, 0.05, 0.06, WHITE),
        *wheels,
    ]


def ball(pose, posture):
    return [
        _stroke([(0.0, 0.0)], 0.42, MAIN),
        _stroke([(-0.30, -0.20), (-0.10, -0.28), (0.10, -0.28), (0.30, -0.20)], 0.055, LIGHT, outline=False),
        _stroke([(-0.20, 0.24), (0.0, 0.31), (0.20, 0.24)], 0.045, LIGHT, outline=False),
        _dot(-0.14, -0.04, 0.09, WHITE),
        _dot(0.14, -0.04, 0.09, WHITE),
        _dot(-0.12, -0.03, 0.05, INK),
        _dot(0.16, -0.03, 0.05, INK),
        _stroke([(-0.17, 0.09), (-0.08, 0.18), (0.08, 0.18), (0.17, 0.09)], 0.028, INK, outline=False),
    ]


def _person(pose, posture, head_radius, body, trunk, reach):
    """Adults and babies. `trunk`: half length; `reach`: length of arms and legs."""
    r, swing = head_radius, [_wave(pose.limbs), _wave(pose.limbs + 0.5)]
    if posture == "prone":  # on all fours
        hip, chest, head = (-0.22, 0.0), (0.16, -0.02), (0.22 + r, -0.16)
        limbs = []
        for s, slot in zip(swing, (SHADE, MAIN), strict=True):
            knee = (-0.22 + 0.11 * s, 0.30)
            limbs.append(_stroke([hip, knee, (knee[0] - 0.20, 0.31)], 0.10, slot))
            hand = (0.20 - 0.15 * s, 0.31)
            limbs += [_stroke([chest, hand], 0.09, slot), _stroke([hand], 0.09, SKIN)]
    else:
        hip, chest, head = (0.0, trunk), (0.0, -trunk), (0.02, -trunk - 0.7 * body - 0.8 * r)
        foot, limbs = 0.41, []
        for s, side, slot in zip(swing, (0.06, -0.06), (SHADE, MAIN), strict=True):
            toe = (side + 0.8 * reach * s, foot - 0.04 * max(0.0, -s))
            limbs += [_stroke([(side, trunk), toe], 0.105, SHADE), _stroke([toe, (toe[0] + 0.05, toe[1])], 0.085, INK)]
            hand = (side + 0.04 - 0.85 * reach * s, trunk + 0.02)
            if posture == "climb":
                hand = (0.25, head[1] - 0.02 + 0.13 * s)  # up the rope, hand over hand
            elif slot == MAIN and pose.nod:  # the near hand carries food to the mouth
                up = _nod(pose)
                hand = (0.24 - 0.08 * up, trunk - up * (trunk - head[1] - 0.5 * r))
            holds = _dot(hand[0] + 0.05, hand[1] - 0.03, 0.07, ACCENT if pose.nod and slot == MAIN else SKIN)
            limbs += [_stroke([(side, -trunk), hand], 0.085, slot), _stroke([hand], 0.085, SKIN), holds]
    near = 5 if posture != "prone" else 3  # strokes of the far side come first
    hx, hy = head
    face = [
        _stroke([head], r, SKIN),
        _dot(hx + 0.15 * r, hy - 0.05 * r, 0.16 * r, INK),
        _dot(hx + 0.68 * r, hy - 0.05 * r, 0.16 * r, INK),
        _stroke([(hx + 0.2 * r, hy + 0.42 * r), (hx + 0.6 * r, hy + 0.42 * r)], 0.1 * r, ACCENT, outline=False),
    ]
    return [*limbs[:near], _stroke([hip, chest], body, MAIN), *face], limbs[near:], head


def adult(pose, posture):
    strokes, near, (x, y) = _person(pose, posture, 0.165, 0.165, 0.10, 0.22)
    hair = [(x - 0.13, y - 0.01), (x - 0.08, y - 0.11), (x + 0.08, y - 0.12)]
    return [*strokes, _stroke(hair, 0.06, HAIR, outline=False), *near]


def baby(pose, posture):
    strokes, near, (x, y) = _person(pose, posture, 0.22, 0.18, 0.08, 0.15)
    curl = [(x - 0.02, y - 0.20), (x + 0.04, y - 0.25)]
    return [*strokes, _stroke(curl, 0.035, HAIR, outline=False), _dot(x + 0.09, y + 0.10, 0.065, WHITE), *near]


# ------------------------------------------------------------------------------------------ props


def _box():
    return [
        _stroke([(-0.42, -0.38), (0.42, -0.38), (0.42, 0.40), (-0.42, 0.40)], 0.05, MAIN, fill=True),
        _stroke([(-0.42, -0.14), (0.42, -0.14)], 0.03, SHADE, outline=False),
        _stroke([(0.0, -0.36), (0.0, -0.14)], 0.07, LIGHT, outline=False),
    ]


def _bush():
    lumps = [_stroke([(x, y)], r, MAIN) for x, y, r in ((-0.38, 0.14, 0.26), (0.38, 0.14, 0.26), (0.0, -0.05, 0.34))]
    berries = [_dot(x, y, 0.06, LIGHT) for x, y in ((-0.35, 0.1), (0.0, -0.15), (0.15, 0.1), (0.4, 0.2), (-0.12, 0.2))]
    return [*lumps, _stroke([(-0.36, 0.25), (0.36, 0.25)], 0.15, MAIN, outline=False), *berries]


def _house():
    return [
        _stroke([(-0.34, -0.08), (0.34, -0.08), (0.34, 0.44), (-0.34, 0.44)], 0.05, MAIN, fill=True),
        _stroke([(-0.44, -0.08), (0.0, -0.44), (0.44, -0.08)], 0.05, SHADE, fill=True),
        _stroke([(-0.10, 0.44), (-0.10, 0.18), (0.10, 0.18), (0.10, 0.44)], 0.06, LIGHT, fill=True, outline=False),
    ]


def _table():
    legs = [_stroke([(x, -0.3), (x, 0.40)], 0.055, SHADE) for x in (-0.54, 0.54)]
    return [
        *legs,
        _stroke([(-0.60, -0.34), (0.60, -0.34)], 0.10, MAIN),
        _stroke([(-0.5, -0.38), (0.5, -0.38)], 0.03, LIGHT, outline=False),
    ]


def _tree():
    crown = [_stroke([(x, y)], r, MAIN) for x, y, r in ((-0.16, -0.06, 0.20), (0.16, -0.06, 0.20), (0.0, -0.26, 0.23))]
    core = [_dot(0.0, -0.1, 0.19, MAIN), _dot(-0.1, -0.26, 0.05, LIGHT), _dot(0.14, -0.1, 0.05, LIGHT)]
    return [_stroke([(0.0, 0.10), (0.0, 0.42)], 0.08, SHADE), *crown, *core]


def _bowl():
    return [
        _stroke([(-0.3, -0.1), (0.3, -0.1)], 0.13, SHADE),
        _stroke([(-0.4, -0.05), (0.4, -0.05), (0.25, 0.2), (-0.25, 0.2)], 0.08, MAIN, fill=True),
    ]


def _rope():
    knots = [_dot(0.0, y / 8, 0.030, SHADE) for y in range(-8, 9)]
    return [_stroke([(0.0, -1.2), (0.0, 1.2)], 0.018, MAIN), *knots]


CARTOONS = {"adult": adult, "baby": baby, "ball": ball, "bird": bird, "car": car, "cat": cat, "dog": dog}
PROPS = {"box": _box, "bush": _bush, "house": _house, "table": _table, "tree": _tree, "bowl": _bowl, "rope": _rope}
