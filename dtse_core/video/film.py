"""Frames side by side as a matplotlib figure, and the style that all figures share."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .letters import in_lines
from .overlay import LANGUAGE, overlay, per_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def use_style() -> None:
    """Loads the package's style: 100 dpi, at most 8 inches wide, small PNGs."""
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("dtse.mplstyle"))


def film_strip(
    frames: Sequence[np.ndarray] | np.ndarray,
    masks: Iterable[np.ndarray | None] | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 6,
    sentence: str = "",
) -> "Figure":
    """Frames side by side, `columns` a row, at most 8 inches wide, below a sentence if there is one.

    `frames` T x (H, W, 3) uint8, `masks` T x (H, W), each of them None for none.
    """
    import matplotlib.pyplot as plt

    masks, titles = per_frame(masks, len(frames), "masks"), per_frame(titles, len(frames), "titles")
    drawn = [f if m is None else overlay(f, m) for f, m in zip(frames, masks, strict=True)]
    columns = min(columns, len(drawn))
    rows, wide = -(-len(drawn) // columns), min(8 / columns, 2.4)
    # Text first: it may add a font. A title reaches over the next frame in its row if that has none; were its middle
    # beyond its own frame, the layout would make room for it.
    free = [k % columns > 0 and not title for k, title in enumerate([*titles[1:], "end"], 1)]
    titles = [in_lines(t or "", 0.95 * wide * (1 + right)) for t, right in zip(titles, free, strict=True)]
    said = in_lines(f'"{sentence}"', 0.95 * wide * columns, 11.5) if sentence else ""  # 10 points, bold
    above = 0.22 * any(titles) + 0.17 * max(title.count("\n") for title in titles)
    height = rows * (wide * drawn[0].shape[0] / drawn[0].shape[1] + above) + 0.18 * said.count("\n")
    height += 0.25 * bool(said)
    figure, axes = plt.subplots(rows, columns, figsize=(wide * columns, height), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
        ax.set_anchor("N")  # titles are laid out above the axes, not above the image in them
    for ax, image, title in zip(axes.flat, drawn, titles, strict=False):
        ax.imshow(image)
        ax.set_title(title)
    if said:
        figure.suptitle(said, color=LANGUAGE, weight="bold", x=0.01, ha="left")
    return figure
