"""Draws the map of the model that opens each notebook, the notebook's own blocks lit.

python figures/make_roadmap.py            writes figures/roadmap_00.png ... roadmap_13.png
python figures/make_roadmap.py 08 09      only these

Each is also attached to its notebook, as Colab and exported pages do not follow links to other files.
"""

import base64
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from dtse_core.video.film import use_style
from dtse_core.video.overlay import GUIDANCE, LANGUAGE, MASK, TIME, VISION

PLAIN = "#5b6b7a"
BOXES = {  # name: (text, x, y, width, color); the height is always 0.7
    "frames": ("T frames", 0.0, 2.4, 1.3, VISION),
    "res2": ("stem, Res2", 1.7, 2.4, 1.3, VISION),
    "res3": ("Res3", 3.4, 2.4, 1.0, VISION),
    "res4": ("Res4", 5.2, 2.4, 1.0, VISION),
    "res5": ("Res5", 7.0, 2.4, 1.0, VISION),
    "sentence": ("sentence", 0.0, 0.0, 1.3, LANGUAGE),
    "embed": ("embed", 1.7, 0.0, 1.3, LANGUAGE),
    "group1": ("group 1", 3.4, 0.0, 1.0, LANGUAGE),
    "group2": ("group 2", 5.2, 0.0, 1.0, LANGUAGE),
    "group3": ("group 3", 7.0, 0.0, 1.0, LANGUAGE),
    "vlmg3": ("VLMG", 3.4, 1.2, 1.0, GUIDANCE),
    "vlmg4": ("VLMG", 5.2, 1.2, 1.0, GUIDANCE),
    "vlmg5": ("VLMG", 7.0, 1.2, 1.0, GUIDANCE),
    "lmdf": ("LMDF", 8.7, 1.2, 1.2, TIME),
    "decoder": ("decoder", 10.3, 1.2, 1.2, PLAIN),
    "mask": ("mask", 11.9, 1.2, 1.0, MASK),
    "train": ("train", 10.3, 0.0, 1.2, PLAIN),
    "evaluate": ("evaluate", 11.9, 0.0, 1.0, PLAIN),
}
ARROWS = [
    *(("frames", "res2"), ("res2", "res3"), ("res3", "res4"), ("res4", "res5")),
    *(("sentence", "embed"), ("embed", "group1"), ("group1", "group2"), ("group2", "group3")),
    *((f"res{n}", f"vlmg{n}") for n in (3, 4, 5)),
    *((f"group{n - 2}", f"vlmg{n}") for n in (3, 4, 5)),
    *(("lmdf", "decoder"), ("decoder", "mask"), ("decoder", "train"), ("mask", "evaluate")),
]
PATHS = [  # what goes round other boxes: color and corners
    (VISION, [(4.4, 1.7), (4.65, 1.7), (4.65, 2.22), (9.3, 2.22), (9.3, 1.9)]),  # what the first VLMG returns, to LMDF
    *((VISION, [(x, 1.7), (x + 0.25, 1.7), (x + 0.25, 2.08), (10.7, 2.08), (10.7, 1.9)]) for x in (6.2, 8.0)),
    (LANGUAGE, [(4.4, 1.4), (4.65, 1.4), (4.65, 0.95), (9.3, 0.95), (9.3, 1.2)]),  # the mean of its words
    (LANGUAGE, [(8.0, 1.45), (8.7, 1.45)]),  # the mean of what the last VLMG makes of the words
    (VISION, [(2.35, 3.1), (2.35, 3.3), (11.1, 3.3), (11.1, 1.9)]),  # Res2
]
BOTH_WAYS = "vlmg3", "vlmg4", "vlmg5"  # what VLMG returns goes on through both streams
VISUAL, TEXT = ("res2", "res3", "res4", "res5"), ("embed", "group1", "group2", "group3")
MODEL = *VISUAL, *TEXT, *BOTH_WAYS, "lmdf", "decoder"
LIT = {
    "00": ("frames", "sentence", "mask"),
    "01": ("frames", "sentence", *MODEL, "mask"),
    "02": ("frames", "sentence"),
    "03": (*VISUAL, *TEXT),
    "04": BOTH_WAYS,
    "05": (*VISUAL, *TEXT, *BOTH_WAYS),
    "06": ("lmdf",),
    "07": ("decoder", "mask"),
    "08": ("train",),
    "09": ("mask", "evaluate"),
    "10": (*BOTH_WAYS, "lmdf"),
    "11": (*MODEL, "train", "evaluate"),
    "12": ("frames", "sentence", "mask"),
    "13": ("frames", "sentence", "mask", "train", "evaluate"),
}


def draw_roadmap(lit: tuple[str, ...], path: Path) -> None:
    """One map, `lit` boxes filled with their hue and set in bold, the others in outline."""
    use_style()
    figure, ax = plt.subplots(figsize=(8, 2.35))
    for a, b in ARROWS:
        style = "<|-|>" if b in BOTH_WAYS else "-|>"
        ends = _ends(BOXES[a], BOXES[b])
        ax.add_patch(FancyArrowPatch(*ends, arrowstyle=style, mutation_scale=7, color="0.45", lw=0.8, shrinkA=0))
    for color, corners in PATHS:
        ax.plot(*zip(*corners[:-1], strict=True), color=color, lw=0.9, solid_capstyle="butt")
        arrow = FancyArrowPatch(*corners[-2:], arrowstyle="-|>", mutation_scale=7, color=color, lw=0.9, shrinkA=0)
        ax.add_patch(arrow)
    for name, (text, x, y, width, color) in BOXES.items():
        on = name in lit
        box = FancyBboxPatch((x, y), width, 0.7, boxstyle="round,pad=0,rounding_size=0.12", lw=1.2, ec=color)
        box.set_facecolor(color if on else "white")
        ax.add_patch(box)
        ink = "black" if color in (LANGUAGE, TIME) else "white"
        ax.text(x + width / 2, y + 0.35, text, ha="center", va="center", fontsize=8,
                color=ink if on else "0.25", weight="bold" if on else "normal")  # fmt: skip
    ax.set(xlim=(-0.1, 13.0), ylim=(-0.1, 3.4), aspect="equal")
    ax.set_axis_off()
    figure.savefig(path)
    plt.close(figure)
    picture = Image.open(path).convert("RGB")  # every hue is kept, also that of thin borders
    picture.quantize(96, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)  # a third of the size


def attach(picture: Path, notebook: Path) -> None:
    """Puts the picture into the notebook's cell tagged `roadmap`, which shows it as `attachment:NAME`."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "roadmap" in cell.metadata.get("tags", []):
            data = base64.b64encode(picture.read_bytes()).decode()
            cell["attachments"] = {picture.name: {"image/png": data}}
    nbformat.write(content, notebook)


def _ends(a: tuple, b: tuple) -> tuple[tuple[float, float], tuple[float, float]]:
    """From the side of one box to the side of the next."""
    (_, ax, ay, aw, _), (_, bx, by, bw, _) = a, b
    if ay == by:
        return (ax + aw, ay + 0.35), (bx, by + 0.35)
    up = by > ay
    return (ax + aw / 2, ay + 0.7 * up), (bx + bw / 2, by + 0.7 * (not up))


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    for number in sys.argv[1:] or LIT:
        picture = here / f"roadmap_{number}.png"
        draw_roadmap(LIT[number], picture)
        for notebook in (here.parent / "notebooks").glob(f"{number}_*.ipynb"):
            attach(picture, notebook)
