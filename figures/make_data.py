"""Draws how clips become a batch: frames and mask are resized, sentences are padded, then all are stacked.

python -m figures.make_data               writes figures/data.svg

As make_encoder.py does: transparent ground, ink of a middle tone, and a PNG on white attached to notebook 02.
"""

from pathlib import Path

from dtse_core.video.overlay import LANGUAGE, MASK, VISION

from . import make_encoder
from .make_encoder import INK, arrow, attach, box, draw

NOTEBOOK = "02_data_and_sentences"
ROWS = (  # part of a clip, with its shape; what happens to it, what to all of them; its name and shape in the batch
    (VISION, "frames\nT × H0 × W0 × 3", "resize, normalize", "stack B clips", "frames\nB × T × 3 × H × W"),
    (MASK, "mask of one frame\nH0 × W0", "resize", "stack B clips", "masks\nB × H × W"),
    (LANGUAGE, "sentence", "cut into word pieces", "pad, stack B clips", "input_ids,\nattention_mask  B × N"),
)


def draw_data(ax) -> None:
    """A clip on the left, the batch on the right, a row for each part."""
    for k, (color, before, change, join, after) in enumerate(ROWS):
        y = 2.9 - 1.2 * k
        source = box(ax, 1.5, y, before, color, 2.4)
        step = box(ax, 5.4, y, change, color, 2.4)
        target = box(ax, 9.8, y, after, color, 2.8)
        arrow(ax, source[1], step[0])
        arrow(ax, step[1], target[0], join)
    for x, text in ((1.5, "one clip, at its own size"), (5.4, "for each clip"), (9.8, "a batch")):
        ax.text(x, 3.6, text, color=INK, fontsize=8.5, ha="center", weight="bold")


make_encoder.DIAGRAMS["data"] = draw_data, 11.4, 3.9


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    picture = draw("data", here)
    if (notebook := here.parent / f"notebooks/{NOTEBOOK}.ipynb").is_file():
        attach(picture, "data", notebook)
