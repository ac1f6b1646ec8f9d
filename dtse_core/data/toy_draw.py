"""The toy world's pictures: cartoons, props and moving backdrops, drawn with Pillow.

Every shape is a *stroke*: a point, a line or a polygon swept with a disc, so all of it is round and
chunky, and an outline is the same stroke with a larger disc. Strokes are painted into one image of
color *indices*, 16 for each thing: the index gives the color and the owner at the same time, and the
id map costs nothing. Coordinates are rounded to whole supersampled pixels before Pillow sees them,
so that the last digit of a sine never reaches a pixel.

Units: a frame is 1 high; a cartoon is drawn around (0, 0) about 1 high, looking right, y downwards.
"""

from math import cos, pi, radians, sin

import numpy as np
from PIL import Image, ImageDraw

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
PASTELS = (
    ((190, 214, 232), (168, 196, 222)),
    ((206, 222, 184), (184, 206, 160)),
    ((236, 216, 186), (222, 196, 160)),
    ((226, 204, 216), (208, 182, 200)),
    ((204, 204, 222), (184, 182, 208)),
    ((192, 220, 212), (168, 202, 194)),
    ((214, 208, 200), (194, 188, 178)),
)
BACKDROPS = ("hills", "clouds", "stripes", "dots", "checks", "noise", "blobs", "plain")
HALF_SIZES = {  # half width and half height of every cartoon of height 1
    "adult": (0.30, 0.50),
    "baby": (0.31, 0.46),
    "ball": (0.44, 0.44),
    "bird": (0.50, 0.43),
    "car": (0.60, 0.40),
    "cat": (0.55, 0.47),
    "dog": (0.58, 0.47),
    "box": (0.50, 0.46),
    "bush": (0.66, 0.42),
    "house": (0.50, 0.50),
    "table": (0.70, 0.46),
    "tree": (0.38, 0.50),
}
SUPER = 3  # supersampling
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


# ------------------------------------------------------------------------------------------ cartoons
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
        swing = 0.15 * _wave(pose.limbs + offset)
        splay = (0.16 if x > 0 else -0.12) if low else 0.0
        lift = 0.05 * max(0.0, _wave(pose.limbs + offset + 0.25))
        legs.append(_stroke([(x, 0.08 + low), (x + swing + splay, 0.37 - lift)], 0.088, slot))
    body = _stroke([(-0.27, 0.02 + low), (0.18, 0.02 + low)], 0.205, MAIN)
    belly = _stroke([(-0.16, 0.13 + low), (0.10, 0.13 + low)], 0.07, LIGHT, outline=False)
    neck = (0.18, 0.0 + low)
    angle = radians(58) * _nod(pose)
    turned = [(_turn([(x, y + low) for x, y in points], neck, angle), *rest) for points, *rest in head]
    return [tail, *legs[:2], body, belly, *legs[2:], *turned]


def dog(pose, posture):
    wag = 0.16 * _wave(pose.idle)
    low = 0.12 if posture == "prone" else 0.0
    tail = _stroke([(-0.42, -0.04 + low), (-0.50, -0.20 + low), (-0.50 + wag, -0.36 + low)], 0.075, MAIN)
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
    tail = _stroke([(x, y + low) for x, y in points], 0.062, MAIN)
    head = [
        _stroke([(0.19, -0.36), (0.19, -0.47), (0.28, -0.40)], 0.03, MAIN, fill=True),
        _stroke([(0.40, -0.40), (0.49, -0.47), (0.48, -0.35)], 0.03, MAIN, fill=True),
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
        legs.append(_stroke([(x, 0.22), (x + swing, 0.37), (x + swing + 0.06, 0.37)], 0.045, ACCENT))
    neck, angle = (0.16, 0.0), radians(62) * _nod(pose)
    head = [
        _stroke([(0.36, -0.26), (0.52, -0.18), (0.36, -0.13)], 0.025, ACCENT, fill=True),
        _stroke([(0.24, -0.20)], 0.19, MAIN),
        _stroke([(0.16, -0.38), (0.10, -0.45)], 0.04, SHADE),
        *_eye(0.30, -0.24, 0.072),
    ]
    return [
        *legs,
        _stroke([(-0.28, 0.0), (-0.46, -0.12), (-0.48, 0.06)], 0.04, SHADE, fill=True),
        _stroke([(-0.12, 0.04), (0.08, 0.04)], 0.25, MAIN),
        _stroke([(0.02, 0.14), (0.12, 0.12)], 0.12, LIGHT, outline=False),
        *((_turn(points, neck, angle), *rest) for points, *rest in head),
        _stroke(wing, 0.10, SHADE),
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
        _stroke([(-0.12, 0.13), (0.0, 0.18), (0.12, 0.13)], 0.028, INK, outline=False),
    ]


def _person(pose, posture, head_radius, body, trunk, reach):
    """Adults and babies. `trunk`: half length; `reach`: length of arms and legs."""
    r, swing = head_radius, [_wave(pose.limbs), _wave(pose.limbs + 0.5)]
    if posture == "prone":  # on all fours
        hip, chest, head = (-0.22, 0.0), (0.16, -0.02), (0.22 + r, -0.16)
        limbs = []
        for s, slot in zip(swing, (SHADE, MAIN), strict=True):
            knee = (-0.22 + 0.11 * s, 0.30)
            limbs.append(_stroke([hip, knee, (knee[0] - 0.20, 0.32)], 0.075, slot))
            hand = (0.20 - 0.15 * s, 0.31)
            limbs += [_stroke([chest, hand], 0.065, slot), _stroke([hand], 0.07, SKIN)]
    else:
        hip, chest, head = (0.0, trunk), (0.0, -trunk), (0.02, -trunk - 0.7 * body - 0.8 * r)
        foot, limbs = 0.5 - 0.085, []
        for s, side, slot in zip(swing, (0.05, -0.05), (SHADE, MAIN), strict=True):
            toe = (side + 0.8 * reach * s, foot - 0.04 * max(0.0, -s))
            limbs += [_stroke([(side, trunk), toe], 0.08, SHADE), _stroke([toe, (toe[0] + 0.05, toe[1])], 0.065, INK)]
            hand = (side + 0.05 - 0.85 * reach * s, trunk + 0.02)
            if posture == "climb":
                hand = (1.5 * side + 0.12, head[1] - 0.02 + 0.10 * s)
            elif slot == MAIN and pose.nod:  # the near hand carries food to the mouth
                up = _nod(pose)
                hand = (0.24 - 0.08 * up, trunk - up * (trunk - head[1] - 0.5 * r))
            limbs += [_stroke([(side, -trunk), hand], 0.065, slot), _stroke([hand], 0.07, SKIN)]
    near = 4 if posture != "prone" else 3  # strokes of the far side come first
    hx, hy = head
    face = [
        _stroke([head], r, SKIN),
        _dot(hx + 0.15 * r, hy - 0.05 * r, 0.16 * r, INK),
        _dot(hx + 0.68 * r, hy - 0.05 * r, 0.16 * r, INK),
        _stroke([(hx + 0.2 * r, hy + 0.42 * r), (hx + 0.6 * r, hy + 0.42 * r)], 0.1 * r, ACCENT, outline=False),
    ]
    return [*limbs[:near], _stroke([hip, chest], body, MAIN), *face], limbs[near:], head


def adult(pose, posture):
    strokes, near, (x, y) = _person(pose, posture, 0.145, 0.135, 0.10, 0.22)
    hair = [(x - 0.11, y - 0.02), (x - 0.07, y - 0.10), (x + 0.07, y - 0.11)]
    return [*strokes, _stroke(hair, 0.05, HAIR, outline=False), *near]


def baby(pose, posture):
    strokes, near, (x, y) = _person(pose, posture, 0.215, 0.165, 0.10, 0.16)
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


# ------------------------------------------------------------------------------------------ painting


def paint(draw: ImageDraw.ImageDraw, strokes, place, height: float, first: int, unit: int) -> None:
    """Paint strokes with color indices `first` + slot: outlines below, then the fills.

    `place`: x, y, angle in radians, facing (1 or -1). `unit`: supersampled pixels to a frame's height.
    """
    x0, y0, angle, facing = place
    scale = height * unit
    c, s = cos(angle) * scale, sin(angle) * scale
    cx, cy = facing * c, facing * s
    placed = [
        ([(x0 * unit + cx * x - s * y, y0 * unit + cy * x + c * y) for x, y in points], radius * scale, *rest)
        for points, radius, *rest in strokes
    ]
    line = max(1.0, 0.009 * unit)
    for points, radius, _, fill, outlined in placed:
        if outlined:
            _sweep(draw, points, radius + line, fill, first + INK)
    for points, radius, slot, fill, _ in placed:
        _sweep(draw, points, radius, fill, first + slot)


def _sweep(draw, points, radius, fill, index):
    for x, y in points:
        draw.ellipse((round(x - radius), round(y - radius), round(x + radius), round(y + radius)), fill=index)
    if len(points) > 1:
        corners = [(round(x), round(y)) for x, y in points]
        if fill:
            draw.polygon(corners, fill=index)
            corners.append(corners[0])
        draw.line(corners, fill=index, width=max(1, round(2 * radius)))


class Canvas:
    """One frame of color indices, supersampled; things are painted back to front."""

    def __init__(self, height: int, width: int, palettes: dict[int, list[tuple[int, int, int]]]):
        """`palettes`: the colors of thing k go to indices 16 k onwards; index 0 stays empty."""
        self.height, self.width, self.unit = height, width, SUPER * height
        table = np.zeros((256, 3), np.uint8)
        for thing, colors in palettes.items():
            table[16 * thing : 16 * thing + len(colors)] = colors
        self.image = Image.new("P", (SUPER * width, SUPER * height))
        self.image.putpalette(table.tobytes())
        self.draw = ImageDraw.Draw(self.image)

    def paint(self, thing: int, strokes, place, height: float) -> None:
        paint(self.draw, strokes, place, height, 16 * thing, self.unit)

    def over(self, backdrop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frame over its backdrop, and the thing that each pixel's center shows, both (H, W, ...) uint8."""
        colors = np.asarray(self.image.convert("RGB").reduce(SUPER), np.uint16)
        cover = self.image.copy()
        cover.putpalette([0, 0, 0] + [255] * 765)
        clear = 255 - np.asarray(cover.convert("L").reduce(SUPER), np.uint16)[..., None]
        things = np.asarray(self.image)[SUPER // 2 :: SUPER, SUPER // 2 :: SUPER] // 16
        return np.minimum(colors + (backdrop * clear + 127) // 255, 255).astype(np.uint8), things


# ------------------------------------------------------------------------------------------ backdrops


def backdrop(kind: str, seed: int, time: float, height: int, width: int) -> np.ndarray:
    """A pastel texture at `time` (frames from the clip's center), (H, W, 3) uint8; it drifts on its own.

    Only +, -, *, / and floor shape it, which give the same bits on every machine.
    """
    rng = np.random.default_rng(seed)
    first, second = (np.array(c, np.int16) for c in PASTELS[int(rng.integers(len(PASTELS)))])
    if rng.random() < 0.5:
        first, second = second, first
    vx, vy, size = rng.random() * 0.05 - 0.025, rng.random() * 0.03 - 0.015, 0.12 + 0.12 * rng.random()
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / height
    u, v = (x - vx * time) / size, (y - vy * time) / size
    if kind == "hills":
        amount = 0.35 * np.broadcast_to(1 - y, (height, width))
        for depth, base in ((0.5, 0.45), (1.0, 0.68)):
            f = (x - vx * depth * time + base) / (0.9 * depth + 0.3)
            f = f - np.floor(f)
            amount = np.where(y > base - 0.6 * f * (1 - f), 0.3 + 0.7 * depth, amount)
    elif kind == "clouds":
        amount = 0.25 * np.broadcast_to(y, (height, width))
        for dx, dy, r in ((0.0, 0.0, 0.5), (0.5, 0.15, 0.36), (-0.5, 0.15, 0.36)):
            row = np.floor(v / 1.7)
            fx, fy = u + 0.9 * row + dx, v / 1.7 - row
            fx = fx / 2.4 - np.floor(fx / 2.4) - 0.5
            amount = np.where((2.4 * fx) ** 2 + (1.7 * (fy - 0.5) - dy) ** 2 < r * r, 1.0, amount)
    elif kind == "stripes":
        a, b = ((1, 0), (0, 1), (1, 1), (1, -1))[int(rng.integers(4))]
        amount = np.floor(a * u + b * v) % 2
    elif kind == "dots":
        amount = ((u - np.floor(u) - 0.5) ** 2 + (v - np.floor(v) - 0.5) ** 2 < 0.09) * 1.0
    elif kind == "checks":
        amount = (np.floor(u) + np.floor(v)) % 2
    elif kind == "noise":
        tile = rng.integers(0, 256, (8, 12), dtype=np.uint8)
        tile = np.asarray(Image.fromarray(np.tile(tile, (3, 3))).resize((36 * 8, 24 * 8), Image.Resampling.BICUBIC))
        rows = np.floor(64 + (y - vy * time) * 64).astype(int)[:, 0] % 64 + 64
        columns = np.floor(96 + (x - vx * time) * 64).astype(int)[0] % 96 + 96
        amount = tile[rows][:, columns] / 255.0
    else:
        amount = np.zeros((height, width))
        for _ in range(6 if kind == "blobs" else 0):
            bx, by, r, sx, sy = rng.random(5) * (1.9, 1.4, 0.14, 0.06, 0.05) - (0.2, 0.2, -0.07, 0.03, 0.025)
            bx, by = (bx + sx * time + 0.2) % 1.9 - 0.2, (by + sy * time + 0.2) % 1.4 - 0.2
            amount = np.where((x - bx) ** 2 + (y - by) ** 2 < r * r, 1.0, amount)
    grain = rng.integers(-5, 6, (height, width, 1), dtype=np.int16)
    blend = first + ((second - first) * np.floor(amount * 256).astype(np.int32)[..., None]) // 256
    return np.clip(blend + grain, 0, 255).astype(np.uint8)
