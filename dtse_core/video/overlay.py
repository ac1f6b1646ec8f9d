"""Masks drawn on frames, with the sentences beside them: overlays, legends, GIFs. Needs no matplotlib.

One hue per concept everywhere (Okabe-Ito). A mask is an outline with the rest of the frame dimmed: what it marks keeps
the colors that a sentence may name, and the outline's hue never speaks alone.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from ..metrics import bounding_box, dilate
from ..shared.files import written_whole
from .letters import wrapped
from .writing import FILM, even_times

VISION, LANGUAGE, GUIDANCE, TIME = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
MASK = "#D55E00"
MASK_COLORS = (MASK, "#56B4E9", "#F0E442", GUIDANCE, TIME)  # of several masks in one frame
RUNS = ("#404040", MASK, "#56B4E9", "#CA9161", "#B0B0B0")  # of several runs in one plot: no concept's hue


def overlay(frame: np.ndarray, mask: np.ndarray, color: str = MASK) -> np.ndarray:
    """`frame` (H, W, 3) uint8 with an outline around `mask` (H, W) and the rest dimmed; a new array."""
    return outline(_dimmed(frame, mask), mask, color)


def overlay_all(frame: np.ndarray, masks: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """`frame` (H, W, 3) uint8 with S masks (H, W) drawn on it, each outlined in a color of its own of `MASK_COLORS`."""
    frame = _dimmed(frame, np.any([np.asarray(mask, bool) for mask in masks], axis=0))
    for k, mask in enumerate(masks):
        frame = outline(frame, mask, MASK_COLORS[k % len(MASK_COLORS)])
    return frame


def outline(frame: np.ndarray, mask: np.ndarray, color: str = MASK) -> np.ndarray:
    """`frame` (H, W, 3) uint8 with a line in `color`, edged in white, around `mask` (H, W); a new array."""
    out, mask = _fitting(frame, mask)
    out = out.copy()
    line, edge = (max(1, round(min(mask.shape) / part)) for part in (120, 240))
    rows, columns = (slice(max(0, s.start - line - edge), s.stop + line + edge) for s in bounding_box(mask))
    mask, part = mask[rows, columns], out[rows, columns]  # outside nothing changes
    part[dilate(mask, line + edge) & ~mask] = 255
    part[dilate(mask, line) & ~mask] = ImageColor.getrgb(color)
    return out


def _dimmed(frame: np.ndarray, mask: np.ndarray, rest: float = 0.45) -> np.ndarray:
    """`frame` with `rest` of its light outside of `mask`; a new array."""
    frame, mask = _fitting(frame, mask)
    darker = np.round(rest * np.arange(256)).astype(np.uint8)[frame]
    np.copyto(darker, frame, where=mask[..., None])
    return darker


def _fitting(frame: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frame and mask, (H, W) bool. Raises `ValueError` if they do not fit each other."""
    frame, mask = np.asarray(frame), np.asarray(mask).astype(bool)
    if frame.dtype != np.uint8 or frame.shape != (*mask.shape, 3):
        raise ValueError(
            f"expected a frame (H, W, 3) uint8 and a mask (H, W); found {frame.shape} {frame.dtype} and {mask.shape}"
        )
    return frame, mask


def legend(expressions: Sequence[str], width: int) -> np.ndarray:
    """A white strip (h, `width`, 3) uint8 that shows which color `overlay_all` gives to which expression."""
    size = max(10, width // 24)
    step, indent = round(size * 1.3), round(size * 1.5)
    texts = [wrapped(e, size, width - indent - 6) for e in expressions]
    image = Image.new("RGB", (width, step * sum(len(lines) or 1 for lines, _ in texts) + 10), "white")
    draw, y = ImageDraw.Draw(image), 5
    for k, (lines, font) in enumerate(texts):
        box = (6, y + 2, indent - 2, y + indent - 6)
        draw.rectangle(box, fill=MASK_COLORS[k % len(MASK_COLORS)], outline="black")
        for line in lines or [""]:
            draw.text((indent + 4, y), line, fill="black", font=font)
            y += step
    return np.asarray(image)


def save_gif(
    path: str | Path,
    frames: Iterable[np.ndarray],
    masks: Iterable[np.ndarray | None] | None = None,
    caption: str | Sequence[str] | None = None,
    fps: float = 8,
    width: int = 384,
    colors: int = 96,
    times: Sequence[float] | None = None,
    aspect: Fraction | float = 1,
) -> Path:
    """Writes a small looping GIF, `width` pixels wide, with the caption under the frames.

    `frames` T x (H, W, 3) uint8, `masks` T x (H, W) or None, `caption` one sentence or one a frame. One palette
    of `colors` serves all frames. `times` and `aspect` as in `write_video`. The file appears when it is complete.
    """
    frames, path = list(frames), Path(path)
    if not frames:
        raise ValueError(f"no frames to write into {path}")
    captions = [caption] * len(frames) if isinstance(caption, str) else per_frame(caption, len(frames), "captions")
    masks = per_frame(masks, len(frames), "masks")
    pauses = _pauses(even_times(fps, len(frames)) if times is None else times, len(frames))
    size = width, max(1, round(width * frames[0].shape[0] / (frames[0].shape[1] * aspect)))
    texts = [wrapped(c or "", max(10, width // 24), width - 12) for c in captions]
    most = max(len(lines) for lines, _ in texts)
    pages = []
    for k in pauses:
        image = np.asarray(Image.fromarray(frames[k]).resize(size, Image.Resampling.BICUBIC))
        if masks[k] is not None:  # drawn at the GIF's size, so that the contour stays thin
            grown = Image.fromarray(np.asarray(masks[k]).astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
            image = overlay(image, np.asarray(grown) > 127)
        pages.append(_captioned(image, *texts[k], most))
    some = [np.asarray(pages[i])[::2, ::2] for i in np.linspace(0, len(pages) - 1, min(len(pages), 8)).astype(int)]
    # Measured on toy clips: half the size and half the error of Pillow's default palette.
    palette = Image.fromarray(np.concatenate(some)).quantize(colors, Image.Quantize.MAXCOVERAGE, kmeans=3)
    pages = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pages]
    shown = {"save_all": True, "append_images": pages[1:], "duration": [10 * p for p in pauses.values()], "loop": 0}
    with written_whole(path, FILM) as part:
        pages[0].save(part, "GIF", optimize=False, comment=FILM, **shown)
    return path


def _pauses(times: Sequence[float], count: int) -> dict[int, int]:
    """The frames that a GIF shows, and for how many hundredths of a second each: together as long as the film.

    Frames that last less than two hundredths, which viewers show for longer, are left out. 655 seconds is the most that
    a GIF can store for one picture, or for equal ones, which become one: a longer film plays faster.
    """
    if len(times) != count + 1:
        raise ValueError(f"expected {count + 1} times, one a frame and the end of the last; found {len(times)}")
    ticks = [round(100 * time * min(1, 655 / times[-1])) for time in times]
    shown = [0]
    for k in range(1, count):
        if ticks[k] >= ticks[shown[-1]] + 2 and ticks[k] <= ticks[-1] - 2:
            shown.append(k)
    ends = [*(ticks[k] for k in shown[1:]), max(2, ticks[-1])]
    return {k: end - ticks[k] for k, end in zip(shown, ends, strict=True)}


def per_frame(values: Iterable | None, count: int, what: str) -> list:
    values = [None] * count if values is None else list(values)
    if len(values) != count:
        raise ValueError(f"expected {count} {what}, one a frame; found {len(values)}")
    return values


def _captioned(image: np.ndarray, lines: list[str], font: Any, most: int) -> Image.Image:
    """The frame above a white strip with `lines` of text, and room for `most` of them."""
    step = round(font.size * 1.3)
    height, width = image.shape[:2]
    page = Image.new("RGB", (width, height + (most * step + 10 if most else 0)), "white")
    page.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(page)
    if most:
        draw.rectangle((0, height, width, height + 1), fill=LANGUAGE)
    for k, line in enumerate(lines):
        draw.text((6, height + 5 + k * step), line, fill="black", font=font)
    return page
