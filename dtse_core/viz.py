"""Figures, film strips, overlays and GIFs: one call per notebook cell.

Each figure function returns its matplotlib figure; a notebook ends the cell with `plt.show()`. One hue per
concept everywhere (Okabe-Ito), and a mask is fill *and* white contour, so that color never speaks alone.
matplotlib is imported where it is used: `overlay` and `save_gif` work without it.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from .data.clip import ReferringClip
from .metrics import dilate, region_similarity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VISION, LANGUAGE, GUIDANCE, TIME = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
MASK = "#D55E00"
MASK_COLORS = (MASK, "#56B4E9", "#F0E442", GUIDANCE, TIME)  # of several masks in one frame
RUNS = ("#404040", MASK, "#56B4E9", "#CA9161", "#B0B0B0")  # of several runs in one plot: no concept's hue
LABELS = {
    "mean_iou": "mean IoU",
    "overall_iou": "overall IoU",
    "AP_mean_precision": "AP (mean precision)",
    "mAP_coco": "mAP (COCO)",
}
EVIDENCE = {"appearance": VISION, "position": VISION, "relation": VISION, "action": TIME, "direction": TIME}


def use_style() -> None:
    """Loads the package's style: 100 dpi, at most 8 inches wide, small PNGs."""
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("dtse.mplstyle"))


def overlay(frame: np.ndarray, mask: np.ndarray, color: str = MASK, alpha: float = 0.6) -> np.ndarray:
    """`frame` (H, W, 3) uint8 with `mask` (H, W) filled in `color` and a white contour around it; a new array."""
    frame, mask = np.asarray(frame), np.asarray(mask).astype(bool)
    if frame.dtype != np.uint8 or frame.shape != (*mask.shape, 3):
        raise ValueError(
            f"expected a frame (H, W, 3) uint8 and a mask (H, W); found {frame.shape} {frame.dtype} and {mask.shape}"
        )
    out = frame.copy()
    out[mask] = np.round((1 - alpha) * frame[mask] + alpha * np.array(ImageColor.getrgb(color))).astype(np.uint8)
    thickness = max(1, round(min(mask.shape) / 320))
    out[dilate(mask, thickness) & ~mask] = 255
    return out


def overlay_all(frame: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """`frame` (H, W, 3) uint8 with S masks (H, W) drawn on it, each in a color of its own, those of `MASK_COLORS`."""
    for k, mask in enumerate(masks):
        frame = overlay(frame, mask, MASK_COLORS[k % len(MASK_COLORS)])
    return frame


def legend(expressions: Sequence[str], width: int) -> np.ndarray:
    """A white strip (h, `width`, 3) uint8 that tells which color `overlay_all` gives to which expression."""
    font = ImageFont.load_default(size=max(10, width // 24))
    step, indent = round(font.size * 1.3), round(font.size * 1.5)
    texts = [_wrap(e, font, width - indent - 6) or [""] for e in expressions]
    image = Image.new("RGB", (width, step * sum(map(len, texts)) + 10), "white")
    draw, y = ImageDraw.Draw(image), 5
    for k, text in enumerate(texts):
        box = (6, y + 2, indent - 2, y + indent - 6)
        draw.rectangle(box, fill=MASK_COLORS[k % len(MASK_COLORS)], outline="black")
        for line in text:
            draw.text((indent + 4, y), line, fill="black", font=font)
            y += step
    return np.asarray(image)


def film_strip(frames, masks=None, titles: Sequence[str] | None = None, columns: int = 6) -> "Figure":
    """Frames side by side, `columns` a row: `frames` T x (H, W, 3) uint8, `masks` T x (H, W) or None for none."""
    masks, titles = _per_frame(masks, len(frames), "masks"), _per_frame(titles, len(frames), "titles")
    drawn = [f if m is None else overlay(f, m) for f, m in zip(frames, masks, strict=True)]
    columns = min(columns, len(drawn))
    figure, axes = _panels(-(-len(drawn) // columns), columns, drawn[0].shape, titled=any(titles))
    for ax, image, title in zip(axes, drawn, titles, strict=False):
        ax.imshow(image)
        ax.set_title(title)
    return figure


def number_grids(grids: dict[str, np.ndarray], signed: bool = False) -> "Figure":
    """Small maps side by side with their numbers written in: `{title: (h, w)}`; `signed` centers the hues on 0."""
    import matplotlib.pyplot as plt

    grids = {title: np.asarray(grid, float) for title, grid in grids.items()}
    most = max(max(np.abs(grid).max() for grid in grids.values()), 1e-9)
    widths = [grid.shape[1] for grid in grids.values()]
    rows = max(len(grid) for grid in grids.values())
    cell = min(0.5, 2.9 / rows, (7.6 - 0.25 * len(grids)) / sum(widths))  # inches
    size = cell * sum(widths) + 0.2 * len(grids), cell * rows + 0.3
    figure, axes = plt.subplots(1, len(grids), figsize=size, width_ratios=widths, squeeze=False)
    for ax, (title, grid) in zip(axes[0], grids.items(), strict=True):
        ax.imshow(grid, cmap="RdBu_r" if signed else "Greys", vmin=-1.5 * most if signed else 0, vmax=1.5 * most)
        for (i, j), value in np.ndenumerate(grid):
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=8)
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def show_prediction(clip: ReferringClip, prediction: np.ndarray) -> "Figure":
    """The sentence, the true mask, the probabilities and the predicted mask with its IoU.

    `prediction` (H, W) at the mask's size: probabilities, or a bool mask (then without the third panel).
    """
    prediction = np.asarray(prediction)
    mask = prediction if prediction.dtype == bool else prediction > 0.5
    frame = clip.frames[clip.current]
    panels = {"frame": frame, "true mask": overlay(frame, clip.mask)}
    if prediction.dtype != bool:
        panels["probability"] = prediction
    panels[f"prediction: IoU {region_similarity(mask, clip.mask):.2f}"] = overlay(frame, mask)
    figure, axes = _panels(1, len(panels), frame.shape, titled=True, headed=True)
    for ax, (title, image) in zip(axes, panels.items(), strict=True):
        shown = ax.imshow(image, vmin=0, vmax=1, cmap="cividis")
        ax.set_title(title)
        if image is prediction:
            figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.02, ticks=[0, 0.5, 1])
    figure.suptitle(f'"{clip.expression}"', color=LANGUAGE, weight="bold", x=0.01, ha="left")
    return figure


def plot_history(history: str | Path | Sequence[dict]) -> "Figure":
    """Loss and IoU over steps: a run folder, its history.jsonl, or the records themselves."""
    import matplotlib.pyplot as plt

    if isinstance(history, str | Path):
        file = Path(history)
        file = file / "history.jsonl" if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; training writes it into its run folder")
        history = [json.loads(line) for line in file.read_text().splitlines()]
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    panels = (
        ("loss", [("loss", "training", "0.45", "-")]),
        ("IoU", [("iou", "training", "0.45", "-"), ("val_mean_iou", "validation", MASK, "o-")]),
    )
    for ax, (title, lines) in zip(axes, panels, strict=True):
        for key, label, color, kind in lines:
            points = [(r["step"], r[key]) for r in history if key in r]
            ax.plot(*np.array(points).reshape(-1, 2).T, kind, color=color, label=label, markersize=4)
        ax.set(title=title, xlabel="step", ylim=(0, None if title == "loss" else 1))
        ax.grid(axis="y")
        ax.legend()
    return figure


def plot_confidence(course: np.ndarray, expressions: Sequence[str], fps: float) -> "Figure":
    """Confidence and area of S masks over time: `course` (T, S, 2), both in [0, 1]."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
    seconds = np.arange(len(course)) / fps
    for k, expression in enumerate(expressions):
        line = {"color": MASK_COLORS[k % len(MASK_COLORS)], "linestyle": ("-", "--", "-.", ":")[k % 4], "lw": 2}
        axes[0].plot(seconds, course[:, k, 0], label=expression, **line)
        axes[1].plot(seconds, 100 * course[:, k, 1], **line)
    axes[0].set(title="confidence", xlabel="seconds", ylim=(0, 1.05))
    axes[1].set(title="% of the frame", xlabel="seconds", ylim=(0, None))
    for ax in axes:
        ax.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def metric_bars(results: dict[str, dict[str, float]], keys: Sequence[str] | None = None) -> "Figure":
    """Grouped bars in percent, `{run: {metric: value}}`; `keys` picks and orders the metrics."""
    keys = list(next(iter(results.values()))) if keys is None else list(keys)
    rows = {run: [values.get(k) for k in keys] for run, values in results.items()}
    return _bars(rows, [LABELS.get(k, k) for k in keys], RUNS)


def evidence_bars(results: dict[str, dict], metric: str = "mean_iou") -> "Figure":
    """One metric by the evidence that a sentence needs, `{run: result of summarize}`, in percent.

    A single run is drawn in two hues: evidence that one frame holds, and evidence that needs time.
    """
    kinds = [k for k in EVIDENCE if any(k in r["by_evidence"] for r in results.values())]
    rows = {run: [r["by_evidence"].get(k, {}).get(metric) for k in kinds] for run, r in results.items()}
    colors = [[EVIDENCE[k] for k in kinds]] if len(rows) == 1 else RUNS
    figure = _bars(rows, kinds, colors)
    figure.axes[0].set_ylabel(f"{LABELS.get(metric, metric)} (%)")
    return figure


def save_gif(
    path: str | Path,
    frames,
    masks=None,
    caption: str | Sequence[str] | None = None,
    fps: float = 8,
    width: int = 384,
    colors: int = 96,
) -> Path:
    """Writes a small looping GIF, `width` pixels wide, with the caption under the frames.

    `frames` T x (H, W, 3) uint8, `masks` T x (H, W) or None, `caption` one sentence or one a frame. One palette
    of `colors` serves all frames. The file appears when it is complete.
    """
    frames, path = list(frames), Path(path)
    if not frames:
        raise ValueError(f"no frames to write into {path}")
    captions = [caption] * len(frames) if isinstance(caption, str) else _per_frame(caption, len(frames), "captions")
    masks = _per_frame(masks, len(frames), "masks")
    size = width, max(1, round(width * frames[0].shape[0] / frames[0].shape[1]))
    font = ImageFont.load_default(size=max(10, width // 24))
    lines = max(len(_wrap(c, font, width - 12)) for c in set(captions))
    pages = []
    for frame, mask, text in zip(frames, masks, captions, strict=True):
        image = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
        if mask is not None:  # drawn at the GIF's size, so that the contour stays thin
            grown = Image.fromarray(np.asarray(mask).astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
            image = overlay(image, np.asarray(grown) > 127)
        pages.append(_captioned(image, _wrap(text, font, width - 12), lines, font))
    some = [np.asarray(pages[i])[::2, ::2] for i in np.linspace(0, len(pages) - 1, min(len(pages), 8)).astype(int)]
    # Measured on toy clips: half the size and half the error of Pillow's default palette.
    palette = Image.fromarray(np.concatenate(some)).quantize(colors, Image.Quantize.MAXCOVERAGE, kmeans=3)
    pages = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pages]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    duration = max(20, round(1000 / fps))  # ms; viewers slow down anything faster
    pages[0].save(part, "GIF", save_all=True, append_images=pages[1:], duration=duration, loop=0, optimize=False)
    os.replace(part, path)
    return path


def _per_frame(values, count: int, what: str) -> list:
    values = [None] * count if values is None else list(values)
    if len(values) != count:
        raise ValueError(f"expected {count} {what}, one a frame; found {len(values)}")
    return values


def _captioned(image: np.ndarray, text: list[str], lines: int, font) -> Image.Image:
    """The frame above a white strip with room for `lines` lines of text."""
    step = round(font.size * 1.3)
    height, width = image.shape[:2]
    page = Image.new("RGB", (width, height + (lines * step + 10 if lines else 0)), "white")
    page.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(page)
    if lines:
        draw.rectangle((0, height, width, height + 1), fill=LANGUAGE)
    for k, line in enumerate(text):
        draw.text((6, height + 5 + k * step), line, fill="black", font=font)
    return page


def _wrap(text: str | None, font, width: float) -> list[str]:
    """`text` in lines no wider than `width` pixels, broken between words."""
    lines: list[str] = []
    for word in (text or "").split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _panels(rows: int, columns: int, shape: tuple[int, ...], titled: bool, headed: bool = False):
    """A figure at most 8 inches wide with bare axes in the shape of its images."""
    import matplotlib.pyplot as plt

    wide = min(8 / columns, 2.4)
    height = rows * (wide * shape[0] / shape[1] + 0.22 * titled) + 0.25 * headed
    figure, axes = plt.subplots(rows, columns, figsize=(wide * columns, height), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes.ravel().tolist()


def _bars(rows: dict[str, list[float | None]], labels: list[str], colors) -> "Figure":
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(min(8, 2 + 0.35 * len(labels) * (len(rows) + 1)), 2.6))
    thick = 0.8 / len(rows)
    for k, (name, values) in enumerate(rows.items()):
        places = np.arange(len(labels)) + (k - (len(rows) - 1) / 2) * thick
        heights = [np.nan if v is None else 100 * v for v in values]
        bars = ax.bar(places, heights, 0.92 * thick, color=colors[k % len(colors)], label=name, edgecolor="white")
        ax.bar_label(bars, [f"{h:.0f}" if np.isfinite(h) else "" for h in heights], fontsize=7, padding=1)
        for x in places[np.isnan(heights)]:
            ax.text(x, 1, "not run", rotation=90, fontsize=7, ha="center", color="0.5")
    ax.set_xticks(range(len(labels)), labels)
    ax.set(ylim=(0, 105), ylabel="%")
    ax.grid(axis="y")
    if len(rows) > 1:
        ax.legend(ncols=len(rows), loc="lower left", bbox_to_anchor=(0, 1))
    return figure
