"""Draws the encoder's three diagrams: the two streams, VLMG, and late fusion beside the interleaved encoder.

python figures/make_encoder.py            writes figures/streams.svg, vlmg.svg and encoder.svg

Their ground is transparent and their ink of a middle tone, so that they read on light and dark pages. As a PNG
on white each is also attached to its notebook, in the cell that asks for `attachment:NAME.png`.
"""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from dtse_core.video.film import use_style
from dtse_core.video.overlay import GUIDANCE, LANGUAGE, VISION

INK = "#75818f"
NOTEBOOKS = {"streams": "03_two_streams", "vlmg": "04_vlmg", "encoder": "05_interleaved_encoder"}


def canvas(width: float, height: float):
    """Axes in which a unit is a unit in both directions, and no frame."""
    figure, ax = plt.subplots(figsize=(8, 8 * height / width))
    ax.set(xlim=(-0.1, width), ylim=(-0.1, height), aspect="equal")
    ax.set_axis_off()
    return figure, ax


def box(ax, x: float, y: float, text: str, color: str, width: float = 1.4, height: float = 0.8) -> tuple:
    """A filled box around the middle (x, y); returns its sides: left, right, bottom, top."""
    corner = x - width / 2, y - height / 2
    ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.12", fc=color, ec=color))
    ink = "black" if color == LANGUAGE else "white"
    ax.text(x, y, text, ha="center", va="center", color=ink, fontsize=8, linespacing=1.25)
    return (corner[0], y), (corner[0] + width, y), (x, corner[1]), (x, corner[1] + height)


def arrow(ax, start: tuple, end: tuple, label: str = "", at: tuple = (0.0, 0.2), style: str = "-|>", bend: str = ""):
    """An arrow with a label beside its middle; `bend` "angle" goes along one axis, then along the other."""
    kind = {"": None, "across": "angle,angleA=0,angleB=90,rad=4", "along": "angle,angleA=90,angleB=0,rad=4"}[bend]
    patch = FancyArrowPatch(start, end, arrowstyle=style, mutation_scale=9, color=INK, lw=1.1, shrinkA=1, shrinkB=1)
    if kind:
        patch.set_connectionstyle(kind)
    ax.add_patch(patch)
    middle = (start[0] + end[0]) / 2 + at[0], (start[1] + end[1]) / 2 + at[1]
    ax.text(*middle, label, color=INK, fontsize=7.5, ha="center", va="center")


def draw_streams(ax) -> None:
    """Both streams, step by step, and what meets at which depth."""
    steps = [("stem, Res2\nstride 4", "embed"), ("Res3\nstride 8", "group 1"), ("Res4\nstride 16", "group 2")]
    steps.append(("Res5\nstride 16", "group 3"))
    frame, words = box(ax, 0.7, 2.9, "frame", VISION), box(ax, 0.7, 0.5, "sentence", LANGUAGE)
    for k, (stage, group) in enumerate(steps):
        x, side = 3.1 + 2.6 * k, 1.5 - 0.25 * min(k, 2)
        now = box(ax, x, 2.9, stage, VISION, 1.6, side), box(ax, x, 0.5, group, LANGUAGE, 1.6)
        arrow(ax, frame[1], now[0][0])
        arrow(ax, words[1], now[1][0])
        if k:
            arrow(ax, now[0][2], now[1][3], "paired:\nhere they will meet", (0.0, 0.0), "<|-|>")
            ax.texts[-1].set_bbox({"fc": "none", "ec": "none"})
            ax.texts[-1].set(ha="left", x=x + 0.12, fontsize=7)
        frame, words = now


def draw_vlmg(ax) -> None:
    """From V and L to V' and L': an arrow for each letter that an equation reads."""
    V, L = box(ax, 0.7, 4.2, "V\npixels", VISION, 1.2), box(ax, 0.7, 0.6, "L\nwords", LANGUAGE, 1.2)
    m, t = box(ax, 2.9, 4.2, "m", VISION, 0.9), box(ax, 2.9, 0.6, "t", LANGUAGE, 0.9)
    place = box(ax, 2.9, 5.4, "$s_8$: place", VISION, 1.3, 0.6)
    a = box(ax, 4.7, 2.4, "a: the words\nthat a pixel reads", GUIDANCE, 2.1)
    e = box(ax, 7.0, 2.4, "e = a t", GUIDANCE, 1.1)
    A = box(ax, 9.2, 2.4, "A: the regions\nthat it reads", GUIDANCE, 1.8)
    f = box(ax, 11.4, 2.4, "f", GUIDANCE, 0.9)
    V2, L2 = box(ax, 13.6, 4.2, "V'", VISION, 1.2), box(ax, 13.6, 0.6, "L'", LANGUAGE, 1.2)
    arrow(ax, V[1], m[0])
    arrow(ax, place[2], m[3])
    arrow(ax, (1.1, 1.0), (2.6, 3.8), "[CLS]", (-0.45, 0.1))
    arrow(ax, L[1], t[0])
    arrow(ax, m[2], (4.0, 2.8))
    arrow(ax, t[3], (4.0, 2.0))
    arrow(ax, a[1], e[0])
    arrow(ax, t[1], (6.8, 2.0), bend="across")
    arrow(ax, e[1], A[0])
    arrow(ax, m[1], A[3], bend="across")
    arrow(ax, A[1], f[0])
    arrow(ax, m[1], f[3], bend="across")
    ax.plot([7.2, 7.2, 11.4], [2.0, 1.4, 1.4], color=INK, lw=1.1)
    arrow(ax, (11.4, 1.4), f[2])
    arrow(ax, f[1], V2[2], "× gate", (0.35, 0.25), bend="across")
    arrow(ax, f[1], L2[3], "pooled, read by\nthe words, × gate", (-0.15, -0.15), bend="across")
    for x, x2, y in ((V, V2, 6.0), (L, L2, -0.3)):
        ax.plot([x[3][0], x[3][0], x2[3][0]], [x[3][1] if y > 2 else x[2][1], y, y], color=INK, lw=1.1)
        arrow(ax, (x2[3][0], y), x2[3] if y > 2 else x2[2])
        ax.text(7.2, y + 0.18, "goes on as it is; what guidance found is added", color=INK, fontsize=7.5,
                ha="center")  # fmt: skip
    ax.set_ylim(-0.45, 6.4)


def draw_encoder(ax) -> None:
    """Left: the streams meet once, at the end. Right: they meet at three depths, and both go on with the result."""
    for left, title, late in ((0.8, "late fusion: one insertion", True), (8.4, "interleaved: three insertions", False)):
        ax.text(left, 4.75, title, color=INK, fontsize=9, weight="bold")
        before = None
        for k in range(3):
            x = left + 0.8 + 2.1 * k
            res, group = box(ax, x, 3.3, f"Res{k + 3}", VISION, 1.2), box(ax, x, 0.5, f"group {k + 1}", LANGUAGE, 1.2)
            if before:
                arrow(ax, before[0][1], res[0])
                arrow(ax, before[1][1], group[0])
            else:
                arrow(ax, (left - 0.8, 3.3), res[0], "Res2", (0.0, 0.25))
                arrow(ax, (left - 0.72, 3.3), (left - 0.72, 4.3))  # its features
                arrow(ax, (left - 0.8, 0.5), group[0], "embed", (-0.1, 0.25))
            if not late or k == 2:
                middle = box(ax, x, 1.9, "VLMG", GUIDANCE, 1.2)
                arrow(ax, res[2], middle[3], style="<|-|>")
                arrow(ax, group[3], middle[2], style="<|-|>")
            arrow(ax, res[3], (x, 4.3), "features" if k == 0 else "", (0.65, 0.1))
            before = res, group
        arrow(ax, before[1][1], (before[1][1][0] + 0.6, 0.5), "words", (0.1, 0.25))


DIAGRAMS = {"streams": (draw_streams, 12.0, 3.8), "vlmg": (draw_vlmg, 14.4, 6.85), "encoder": (draw_encoder, 15.4, 5.1)}


def draw(name: str, folder: Path) -> bytes:
    """Writes NAME.svg into `folder`; returns the same picture as a PNG on white."""
    use_style()
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "dtse"}
    function, width, height = DIAGRAMS[name]
    figure, ax = canvas(width, height)
    function(ax)
    figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
    picture = io.BytesIO()
    figure.savefig(picture)
    plt.close(figure)
    small = io.BytesIO()
    Image.open(picture).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return small.getvalue()


def attach(picture: bytes, name: str, notebook: Path) -> None:
    """Puts the picture into the cell that shows `attachment:NAME.png`."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if f"](attachment:{name}.png)" in cell.source:
            cell["attachments"] = {f"{name}.png": {"image/png": base64.b64encode(picture).decode()}}
    nbformat.write(content, notebook)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    for name, stem in NOTEBOOKS.items():
        picture = draw(name, here)
        if (notebook := here.parent / f"notebooks/{stem}.ipynb").is_file():
            attach(picture, name, notebook)
