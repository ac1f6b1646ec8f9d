"""The toy world's pictures: strokes painted with Pillow over moving backdrops.

An outline is its stroke swept with a larger disc. Strokes are painted into one image of
color *indices*, 16 for each thing: the index gives the color and the owner at the same time, and the
id map costs nothing. Coordinates are rounded to whole supersampled pixels before Pillow sees them,
so that the last digit of a sine never reaches a pixel.

Units: a frame is 1 high, y downwards.
"""

from math import cos, sin

import numpy as np
from PIL import Image, ImageDraw

from .cartoons import INK

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
SUPER = 3  # supersampling


# ------------------------------------------------------------------------------------------ painting


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
        """Paints strokes: outlines below, then the fills. `place`: x, y, angle in radians, facing (1 or -1)."""
        x0, y0, angle, facing = place
        unit, scale = self.unit, height * self.unit
        c, s = cos(angle) * scale, sin(angle) * scale
        cx, cy = facing * c, facing * s
        placed = [
            ([(x0 * unit + cx * x - s * y, y0 * unit + cy * x + c * y) for x, y in points], radius * scale, *rest)
            for points, radius, *rest in strokes
        ]
        line = max(1.0, 0.009 * unit)
        for points, radius, _, fill, outlined in placed:
            if outlined:
                self._sweep(points, radius + line, fill, 16 * thing + INK)
        for points, radius, slot, fill, _ in placed:
            self._sweep(points, radius, fill, 16 * thing + slot)

    def _sweep(self, points, radius, fill, index):
        for x, y in points:
            self.draw.ellipse((round(x - radius), round(y - radius), round(x + radius), round(y + radius)), fill=index)
        if len(points) > 1:
            corners = [(round(x), round(y)) for x, y in points]
            if fill:
                self.draw.polygon(corners, fill=index)
                corners.append(corners[0])
            self.draw.line(corners, fill=index, width=max(1, round(2 * radius)))

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
