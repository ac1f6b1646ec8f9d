"""Draws three diagrams: LMDF, the decoder, and the whole model with its shapes.

python -m figures.make_model              writes figures/lmdf.svg, decoder.svg and model.svg

As make_encoder.py does: transparent ground, ink of a middle tone, and a PNG on white attached to each notebook.
"""

import io
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from dtse_core.video.film import use_style
from dtse_core.video.overlay import GUIDANCE, LANGUAGE, MASK, TIME, VISION

from . import make_encoder
from .make_encoder import INK, arrow, attach, canvas

PLAIN = "#5b6b7a"
NOTEBOOKS = {"lmdf": "06_lmdf", "decoder": "07_decoder_and_loss", "model": "01_the_map"}


def box(ax, x: float, y: float, text: str, color: str, width: float = 1.4, height: float = 0.8) -> tuple:
    """As in make_encoder.py; the text is black on the hue of time."""
    sides = make_encoder.box(ax, x, y, text, color, width, height)
    if color == TIME:
        ax.texts[-1].set_color("black")
    return sides


def note(ax, x: float, y: float, text: str, ha: str = "center") -> None:
    """A word beside the boxes."""
    ax.text(x, y, text, color=INK, fontsize=7.5, ha=ha, va="center", linespacing=1.25)


def draw_lmdf(ax) -> None:
    """From three frames and a sentence to the updated feature of the current frame."""

    def wire(*corners: tuple) -> None:
        """An arrow along the corners."""
        ax.plot(*zip(*corners[:-1], strict=True), color=INK, lw=1.1, zorder=0)
        arrow(ax, *corners[-2:])

    compare = box(ax, 6.0, 3.9, "compare:\n$G_{cur}$, and each\n$G_{ref} - G_{cur}$", TIME, 2.0, 1.2)
    Y = box(ax, 7.85, 3.9, "Y", GUIDANCE, 0.8)
    s_t, s = (box(ax, x, 1.43, name, LANGUAGE, 0.9, 0.64) for x, name in ((3.6, "$s_t$"), (7.85, "s")))
    fuse, U = box(ax, 13.75, 3.9, "fuse", TIME, 0.9), box(ax, 15.1, 3.9, "U", VISION, 0.8)
    X, x, Z = {}, {}, {}
    for frame, y, side, r in (("cur", 5.2, 6.35, 1), ("ref1", 3.9, 0.75, 3), ("ref2", 2.6, -0.1, 5)):
        F, X[frame] = (box(ax, at, y, f"${name}_{{{frame}}}$", VISION, 0.9) for at, name in ((0.5, "F"), (1.9, "X")))
        G = box(ax, 3.6, y, f"$G_{{{frame}}}$", GUIDANCE, 0.9)
        k = box(ax, 9.75, y, f"$k_{r}$: a filter for\neach position", GUIDANCE, 2.0)
        x[frame] = box(ax, 9.75, side, f"$x_{{{frame}}}$", VISION, 0.9, 0.64)
        Z[frame] = box(ax, 12.3, y, f"$Z_{r}$\nrate {r}", VISION, 0.9)
        for start, end in ((F, X[frame]), (X[frame], G), (G, compare), (Y, k), (k, Z[frame]), (Z[frame], fuse)):
            arrow(ax, start[1], end[0])
    arrow(ax, compare[1], Y[0])
    arrow(ax, fuse[1], U[0])
    ax.add_patch(plt.Rectangle((3.0, 2.05), 1.2, 3.7, fill=False, ec=INK, lw=0.9, ls="--"))
    arrow(ax, s_t[3], (3.6, 2.05), "gate", (0.4, 0.0))  # of every frame
    arrow(ax, s[3], Y[2])
    wire((1.9, 6.35), x["cur"][0])
    wire((12.3, 6.35), Z["cur"][3])
    wire(x["cur"][1], (13.75, 6.35), fuse[3])
    wire(X["cur"][3], (1.9, 7.1), (15.1, 7.1), U[3])
    wire((2.65, 3.9), (2.65, 0.75), x["ref1"][0])
    wire(x["ref1"][1], (11.35, 0.75), (11.35, 3.65), (11.85, 3.65))
    wire(X["ref2"][2], (1.9, -0.1), x["ref2"][0])
    wire(x["ref2"][1], (12.3, -0.1), Z["ref2"][2])
    for fork in ((1.9, 6.35), (2.65, 3.9), (12.3, 6.35)):  # lines part here; where no dot is, they cross
        ax.plot(*fork, "o", color=INK, ms=3)
    note(ax, 8.5, 7.3, "$X_{cur}$ is added to the result")
    note(ax, 4.2, 1.43, "each frame's words,\nafter the first VLMG", "left")
    note(ax, 8.45, 1.43, "the current frame's words,\nafter the last VLMG", "left")
    note(ax, 12.6, 0.75, "alignment: rates 3 and 5\nfilter the references", "left")


def draw_decoder(ax) -> None:
    """Top-down: four maps to four answers, all compared with the mask at its own size."""
    columns = (("$U_5$", "$D_5$", "H/16", GUIDANCE, "VLMG after Res5,\ncurrent frame"),
               ("$U_4$", "$D_4$", "H/16", GUIDANCE, "VLMG after Res4,\ncurrent frame"),
               ("$U_3$", "$D_3$", "H/8", TIME, "LMDF,\nall T frames"),
               ("Res2", "$D_2$", "H/4", VISION, "current frame"))  # fmt: skip
    loss = box(
        ax, 5.8, -0.75, "resized to H x W, and compared with the mask: BCE of each, dice of the last", PLAIN, 9.6, 0.55
    )
    before = None
    for k, (name, level, size, color, source) in enumerate(columns):
        x, side = 1.3 + 2.9 * k, (0.8, 0.8, 1.05, 1.4)[k]
        U = box(ax, x, 4.4, name, color, side, side)
        D = box(ax, x, 2.4, level, PLAIN, side, side)
        head = box(ax, x, 0.6, "head: 1x1", MASK, 1.2, 0.5)
        arrow(ax, U[2], D[3], "1x1" if k == 3 else "", (0.3, 0.0))
        arrow(ax, D[2], head[3])
        arrow(ax, head[2], (x, loss[3][1]))
        note(ax, x + side / 2 + 0.12, 4.4, size, "left")
        note(ax, x, 5.6, source)
        if before:
            arrow(ax, before[1], D[0], ("", "", "up ×2", "1x1, up ×2")[k], (0.0, 0.22))
        before = D
    answer = box(ax, 11.9, 0.6, "answer", MASK, 1.0, 0.5)
    arrow(ax, head[1], answer[0], "up ×4", (0.0, 0.22))


def draw_model(ax) -> None:
    """The whole model, a shape in each box; what VLMG returns goes on through both streams, and up to the decoder."""

    def wire(*corners: tuple, dashed: bool = False) -> None:
        ax.plot(*zip(*corners, strict=True), color=INK, lw=1.1, ls="--" if dashed else "-")

    def enter(start: tuple, lane: int) -> None:
        """From the top of a box along a line of its own, and from above into the decoder."""
        x, over = 12.1 + 0.4 * lane, 7.6 + 0.25 * lane
        wire(start, (start[0], over), (x, over))
        arrow(ax, (x, over), (x, 7.3))

    sees, reads = (
        box(ax, 0.9, 5.2, "frames\n(B, T, 3, H, W)", VISION, 1.7),
        box(ax, 0.9, 1.6, "input_ids\n(B, N)", LANGUAGE, 1.7),
    )
    V, L, low = sees[1], reads[1], 3.1
    for k, (stage, size) in enumerate(((2, "H/4"), (3, "H/8"), (4, "H/16"), (5, "H/16"))):
        x = low + 2.1 * k
        res = box(ax, x, 5.2, f"Res{stage}\n{size}", VISION, 1.3)
        group = box(ax, x, 1.6, f"group {stage - 2}\n(N, D)" if k else "embed\n(N, D)", LANGUAGE, 1.3)
        arrow(ax, V, res[0])
        arrow(ax, L, group[0])
        V, L = res[1], group[1]
        if k:
            (_, (right, y), below, above), after = box(ax, x, 3.4, "VLMG", GUIDANCE, 1.3), x + 0.95
            arrow(ax, res[2], above)
            arrow(ax, group[3], below)
            wire((right, y + 0.2), (after, y + 0.2), (after, 5.2))
            V, L = (after, 5.2), (after, 1.6)
            top = box(ax, after, 6.9, f"{'LMDF' if k == 1 else '1x1'}\n(c, {size})", TIME if k == 1 else GUIDANCE, 1.3)
            arrow(ax, V, top[2])
            if k < 3:
                wire((right, y - 0.2), (after, y - 0.2), L)
                enter(top[3], 2 - k)
    wire((5.85, 3.4), (6.35, 3.4), (6.35, 6.3), dashed=True)  # the sentence, after the first VLMG
    wire((right, y), (11.3, y), (11.3, 6.1), (6.6, 6.1), (6.6, 6.3), dashed=True)  # and after the last
    for x in (6.35, 6.6):
        arrow(ax, (x, 6.2), (x, 6.5))
    decoder, logits = box(ax, 12.5, 6.9, "decoder", PLAIN, 1.4), box(ax, 14.5, 6.9, "logits\n(B, H, W)", MASK, 1.5)
    arrow(ax, top[1], decoder[0])
    arrow(ax, decoder[1], logits[0])
    enter((low, 5.6), 2)
    note(ax, 6.5, 4.4, "$s_t$", "left")
    note(ax, 11.45, 4.4, "$s$: the mean of the\ncurrent frame's words", "left")
    note(ax, 2.35, 3.4, "up to this VLMG:\nall T frames")
    note(ax, 11.45, 1.6, "from Res4 and group 2 on:\nthe current frame alone", "left")


DIAGRAMS = {  # name: (drawing, width, bottom, top)
    "lmdf": (draw_lmdf, 15.6, -0.5, 7.5),
    "decoder": (draw_decoder, 12.5, -1.1, 6.0),
    "model": (draw_model, 15.4, 1.0, 8.3),
}


def draw(name: str, folder: Path) -> bytes:
    """Writes NAME.svg into `folder`; returns the same picture as a PNG on white."""
    use_style()
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "dtse"}
    function, width, bottom, top = DIAGRAMS[name]
    figure, ax = canvas(width, top - bottom)
    ax.set_ylim(bottom, top)
    function(ax)
    figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
    picture, small = io.BytesIO(), io.BytesIO()
    figure.savefig(picture)
    plt.close(figure)
    Image.open(picture).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    for name, stem in NOTEBOOKS.items():
        picture = draw(name, here)
        if (notebook := here.parent / f"notebooks/{stem}.ipynb").is_file():
            attach(picture, name, notebook)
