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
    # Text first: it may add a font. A title ends before the next one in its row; wider than two frames, it would make
    # the layout widen its own. Bold letters of 10 points are as wide as others of 11.5.
    given = [title or "" for title in titles]
    spans = [0.95 if k % columns == 0 or title else 1.9 for k, title in enumerate([*given[1:], "end"], 1)]
    titles = [in_lines(title, wide * span) for title, span in zip(given, spans, strict=True)]
    more = max(new.count("\n") - old.count("\n") for new, old in zip(titles, given, strict=True))
    said = in_lines(f'"{sentence}"', 0.95 * wide * columns, 11.5) if sentence else ""
    height = rows * (wide * drawn[0].shape[0] / drawn[0].shape[1] + 0.22 * any(titles) + 0.17 * more)
    height += 0.25 * bool(said) + 0.18 * said.count("\n")
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
