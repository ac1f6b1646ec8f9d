"""Frames side by side as a matplotlib figure, and the style that all figures share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .overlay import overlay, per_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def use_style() -> None:
    """Loads the package's style: 100 dpi, at most 8 inches wide, small PNGs."""
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("dtse.mplstyle"))


def film_strip(frames, masks=None, titles: Sequence[str] | None = None, columns: int = 6) -> "Figure":
    """Frames side by side, `columns` a row: `frames` T x (H, W, 3) uint8, `masks` T x (H, W) or None for none."""
    masks, titles = per_frame(masks, len(frames), "masks"), per_frame(titles, len(frames), "titles")
    drawn = [f if m is None else overlay(f, m) for f, m in zip(frames, masks, strict=True)]
    columns = min(columns, len(drawn))
    figure, axes = bare_axes(-(-len(drawn) // columns), columns, drawn[0].shape, titled=any(titles))
    for ax, image, title in zip(axes, drawn, titles, strict=False):
        ax.imshow(image)
        ax.set_title(title)
    return figure


def bare_axes(rows: int, columns: int, shape: tuple[int, ...], titled: bool, headed: bool = False):
    """A figure at most 8 inches wide with bare axes in the shape of its images."""
    import matplotlib.pyplot as plt

    wide = min(8 / columns, 2.4)
    height = rows * (wide * shape[0] / shape[1] + 0.22 * titled) + 0.25 * headed
    figure, axes = plt.subplots(rows, columns, figsize=(wide * columns, height), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes.ravel().tolist()
