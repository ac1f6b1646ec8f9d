"""Figures of what happens inside a trained model, for `explore` and for a page. Notebook: 10_look_inside.

Each `draw_*` answers one question with one matplotlib figure, each `*_grid` many at once. `row` and `column` are
positions of the map after Res3, at stride 8. Axes are laid out by hand: the automatic layout would take longer than
the model.
"""

from collections.abc import Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..data.sentences import tokenize
from ..metrics import region_similarity
from ..predict import refuse_unknown
from ..video.letters import spelled
from ..video.overlay import GUIDANCE, LANGUAGE, MASK, TIME, outline, overlay
from .inside import Inside, Lens, change, swap_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORDERS = {  # which frame stands in each of three places
    "as it is": (0, 1, 2),
    "exchanged": (2, 1, 0),
    "current only": (1, 1, 1),
    "before twice": (0, 1, 0),
    "after twice": (2, 1, 2),
}
HERE = {"fill": False, "edgecolor": LANGUAGE, "linewidth": 2}  # how the chosen position is framed


def draw_words(lens: Lens, clip: int, word: str, row: int, column: int) -> "Figure":
    """Where a word is read after each insertion, and which words one position reads."""
    x = lens.see(clip)
    words = [spelled(word) for word in x.words]  # first: it may add a font
    sheet = _Sheet([["frame", *x.attention], ["bars"] * (1 + len(x.attention))], x)
    sheet.show("frame", outline(_frame(x), x.clip.mask, "white"), f'"{word}", and a position')
    sheet.outline("frame", (row, column), (x.size[0] // 8, x.size[1] // 8), **HERE)
    ax = sheet.plot("bars", "words that the position reads")
    n, bars = x.words.index(word), 0.8 / len(x.attention)
    for k, (stage, a) in enumerate(x.attention.items()):  # a (N, h, w)
        sheet.show(stage, _heat(x, a[n]), f"after Res{stage}: max {a[n].max():.2f}")
        i, j = _place(x, row, column, a.shape[1:])
        sheet.outline(stage, (i, j), a.shape[1:], **HERE)
        places = np.arange(len(x.words)) + (k - (len(x.attention) - 1) / 2) * bars
        ax.bar(places, a[:, i, j].numpy(), 0.9 * bars, color=LANGUAGE, alpha=(1 + k) / 3, label=f"after Res{stage}")
    ax.set_xticks(range(len(x.words)), words)
    ax.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    ax.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 0.95), fontsize=8)
    return sheet.figure


def words_grid(lens: Lens, clip: int) -> "Figure":
    """Every word after every insertion; the two marks around the sentence are left out."""
    x = lens.see(clip)
    names = [[(stage, j) for j in range(1, len(x.words) - 1)] for stage in x.attention]
    sheet = _Sheet(names, x, lines=2, width=6)
    for stage, a in x.attention.items():  # a (N, h, w)
        for j, word in enumerate(x.words[1:-1], 1):
            title = (f"after Res{stage}\n" if j == 1 else "") + word
            sheet.show((stage, j), _heat(x, a[j], float(a.max())), title)
    return sheet.figure


def draw_filters(lens: Lens, clip: int, row: int, column: int) -> "Figure":
    """The filter of one position where it acts, at each rate, in the frame that it acts on: its weights above (red)
    and below (blue) the map's mean filter; with the frames, their difference, and the length of the response. Of
    several stages with LMDF it is the first."""
    from matplotlib import colormaps

    x = lens.see(clip)
    stage = min(x.answer().filters)
    k, rates = x.answer().filters[stage], x.model.lmdf[str(stage)].dilations  # k (R, m, K*K, h, w)
    sheet = _Sheet([["before", "now", "after", "difference"], [*rates, "response"]], x)
    frames, now = x.clip.frames, x.clip.current
    names = {0: "before", len(frames) - 1: "after", now: "now"}
    for name, t in (("before", 0), ("now", now), ("after", -1)):
        sheet.show(name, frames[t], name)
    difference = np.abs(frames[[0, -1]].astype(float) - frames[now]).mean((0, 3))
    sheet.show("difference", _colored(difference / max(difference.max(), 1)), "difference to now")
    size, K = k.shape[3:], round(k.shape[2] ** 0.5)
    own = (k - k.mean((3, 4), keepdim=True)).mean(1)  # (R, K*K, h, w)
    i, j = _place(x, row, column, size)
    top = float(own[:, :, i, j].abs().max())
    for r, t, weights in zip(rates, _acted_on(x, stage), own[:, :, i, j], strict=True):
        pale = np.repeat(120 + _grey(frames[t]) // 2, 3, axis=2)
        sheet.show(r, pale, f'rate {r}: filter on "{names.get(t, f"frame {t + 1}")}"')
        for o, weight in enumerate(weights / top):
            tap = i + r * (o // K - K // 2), j + r * (o % K - K // 2)
            color = colormaps["RdBu_r"](0.5 + float(weight) / 2)
            sheet.outline(r, tap, size, facecolor=color, edgecolor="0.3", linewidth=0.5)
    for name in ("now", *rates, "response"):
        sheet.outline(name, (i, j), size, **HERE)
    sheet.show("response", _heat(x, x.answer().responses[stage].norm(dim=(0, 1))), "response of all rates")
    return sheet.figure


def filters_grid(lens: Lens, clip: int) -> "Figure":
    """How far each position's filter is from the mean filter of its map, per stage with LMDF and rate."""
    x = lens.see(clip)
    filters = x.answer().filters
    sheet = _Sheet([[(n, r) for r in range(len(k))] for n, k in filters.items()], x)
    for n, k in filters.items():  # k (R, m, K*K, h, w)
        own = (k - k.mean((3, 4), keepdim=True)).abs().mean((1, 2))  # (R, h, w)
        for i, r in enumerate(x.model.lmdf[str(n)].dilations):
            sheet.show((n, i), _heat(x, own[i], float(own.max())), f"after Res{n}, rate {r}")
    return sheet.figure


def draw_prediction(
    lens: Lens, objects: dict[str, np.ndarray], sentence: str, threshold: float = 0.5, clip: int = 0
) -> "Figure":
    """A sentence of the reader's own about a clip: its mask, and how well this covers each of the `objects` (H, W).

    Raises `ValueError` for a sentence that says nothing to the model.
    """
    model = lens.predictor
    refuse_unknown([sentence], model.tokenizer)
    tokenize([sentence], model.tokenizer, model.data.max_words)  # refuses one that is empty or too long
    x = lens.see(clip, sentence)
    sheet = _Sheet([["frame", "probability", "mask", "bars", "bars"]], x, lines=2)
    p = x.answer().probability
    sheet.show("frame", _frame(x), "frame")
    sheet.show("probability", _colored(p), "probability")
    sheet.show("mask", _masked(x, p, threshold), fill(f'"{sentence}"', 24))
    ious = [region_similarity(p > threshold, mask) for mask in objects.values()]
    names = [spelled(name) for name in objects]
    ax = sheet.plot("bars", "IoU with each object", left=0.9)
    ax.plot(ious, range(len(ious)), "o", color=MASK, clip_on=False)
    ax.set_yticks(range(len(ious)), names, fontsize=7)
    ax.set(xlim=(0, 1), ylim=(len(ious) - 0.5, -0.5), xticks=[0, 0.5, 1])
    ax.grid(axis="both")
    return sheet.figure


def prediction_grid(lens: Lens, sentences: Sequence[str], thresholds: Sequence[float] = (0.1, 0.9)) -> "Figure":
    """Sentences about the first clip: the probability, and masks at several thresholds."""
    views = {sentence: lens.see(0, sentence) for sentence in sentences}
    some = next(iter(views.values()))
    sheet = _Sheet([[(one, t) for t in (0, *thresholds)] for one in views], some, lines=2, width=4.8)
    for sentence, x in views.items():
        p = x.answer().probability
        sheet.show((sentence, 0), _colored(p), fill(f'"{sentence}"', 22))
        for t in thresholds:
            sheet.show((sentence, t), _masked(x, p, t), f"above {t}")
    return sheet.figure


def draw_swap(lens: Lens, clip: int, word: str, by: str, threshold: float = 0.5) -> "Figure":
    """One word changed: the two masks, and how much each stage's features change over the frame."""
    x = lens.see(clip)
    y = lens.see(clip, swap_word(x.clip.expression, word, by))
    changes = {name: change(x.features[name], y.features[name])[x.clip.current] for name in x.features}
    a, b = x.answer(), y.answer()
    changes |= {f"LMDF{n}": change(a.updated[n], b.updated[n]) for n in a.updated}
    changes = {name: changes[name] for name in sorted(changes, key=lambda name: (name[-1], "RVL".index(name[0])))}
    shown = ["VLMG3", f"LMDF{min(a.updated)}", "VLMG4", "VLMG5"]
    sheet = _Sheet([["old", "new", "dots", "dots"], shown], x, lines=2)
    for name, of in (("old", x), ("new", y)):
        sheet.show(name, _masked(of, of.answer().probability, threshold), fill(f'"{of.clip.expression}"', 26))
    means = [float(c.mean()) for c in changes.values()]
    colors = [{"V": GUIDANCE, "L": TIME}.get(name[0], "0.6") for name in changes]
    ax = sheet.plot("dots", "mean change, stage by stage")
    ax.vlines(range(len(means)), 0, means, color=colors, linewidth=1)
    ax.scatter(range(len(means)), means, color=colors, s=25, zorder=2, clip_on=False)
    for k, mean in enumerate(means):
        ax.text(k, mean + 0.08 * max(means), f"{mean:.2f}", ha="center", fontsize=7)
    ax.set_xticks(range(len(means)), [f"{name[:-1]}\n{name[-1]}" for name in changes], fontsize=6)
    ax.set(ylim=(0, 1.25 * max(*means, 1e-6)), yticks=[])
    top = max(float(changes[name].max()) for name in shown)
    for name in shown:
        sheet.show(name, _heat(x, changes[name], top), f"change of {name}")
    return sheet.figure


def swap_grid(lens: Lens, clip: int, word: str, bys: Sequence[str]) -> "Figure":
    """The masks for several words in the place of one."""
    views = [lens.see(clip, swap_word(lens.clips[clip].expression, word, by)) for by in bys]
    sheet = _Sheet([list(bys)], views[0], lines=2)
    for by, x in zip(bys, views, strict=True):
        sheet.show(by, _masked(x, x.answer().probability), fill(f'"{x.clip.expression}"', 110 // len(bys)))
    return sheet.figure


def draw_shuffle(lens: Lens, order: str, clip: int = 0) -> "Figure":
    """The window in another order: its frames, the mask, and where LMDF's output changes."""
    x = lens.see(clip)
    a, b = x.answer(ORDERS["as it is"]), x.answer(ORDERS[order])
    n = min(a.updated)  # of several stages with LMDF the first
    sheet = _Sheet([[0, 1, 2], ["true", "mask", "change"]], x, lines=2)
    for place, t in enumerate(ORDERS[order]):
        sheet.show(place, x.clip.frames[t], f"{('before', 'now', 'after')[place]}: frame {t + 1} of 3")
    iou = region_similarity(b.probability > 0.5, x.clip.mask)
    sheet.show("mask", _masked(x, b.probability), f"mask: IoU {iou:.2f}")
    sheet.show("true", overlay(_frame(x), x.clip.mask), fill(f'true mask of "{x.clip.expression}"', 26))
    changed = change(a.updated[n], b.updated[n])
    sheet.show("change", _heat(x, changed, max(1.0, float(changed.max()))), f"change of LMDF{n}: {changed.mean():.2f}")
    return sheet.figure


def shuffle_grid(lens: Lens, clips: Sequence[int]) -> "Figure":
    """The mask for each order of the window, clip by clip."""
    sheet = _Sheet([[(k, order) for order in ORDERS] for k in clips], lens.see(clips[0]), lines=2)
    for k in clips:
        for order, frames in ORDERS.items():
            x = lens.see(k)
            title = fill(f'"{x.clip.expression}"', 28) + "\n" if order == "as it is" else ""
            sheet.show((k, order), _masked(x, x.answer(frames).probability), title + order)
    return sheet.figure


# Parts of pictures


class _Sheet:
    """Pictures in rows, by name, each under its title; neighbors of one name join, for a plot.

    All pictures share one axes: it draws several times as fast as an axes for each. Inside it, lengths are inches.
    """

    def __init__(self, names: list[list[Any]], x: Inside, lines: int = 1, width: float = 7.2):
        import matplotlib.pyplot as plt

        self.frame = H, W = x.clip.mask.shape
        wide, head = width / len(names[0]), 0.06 + 0.16 * lines  # of one place, and of its title
        high = head + (wide - 0.08) * H / W + 0.08
        self.figure = plt.figure(figsize=(width, high * len(names)), layout="none")
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(high * len(names), 0))
        self.ax.set_axis_off()
        self.boxes = {}  # left, top, width, height
        for r, row in enumerate(names):
            for name, places in groupby(range(len(row)), key=row.__getitem__):
                first, *more = places
                span = wide * (1 + len(more)) - 0.08, high - head - 0.08
                self.boxes[name] = (wide * first + 0.04, high * r + head, *span)

    def show(self, name: Any, image: np.ndarray, title: str = "") -> None:
        left, top, wide, high = self.boxes[name]
        self.ax.imshow(image, extent=(left, left + wide, top + high, top), aspect="auto")
        self.ax.text(left, top - 0.04, spelled(title), fontsize=9)

    def outline(self, name: Any, at: tuple[int, int], size: Sequence[int], **style: Any) -> None:
        """Draws one place of a map of `size` (h, w), if it lies on the map."""
        from matplotlib.patches import Rectangle

        left, top, wide, high = self.boxes[name]
        high, wide = high / size[0], wide / size[1]
        if 0 <= at[0] < size[0] and 0 <= at[1] < size[1]:
            self.ax.add_artist(Rectangle((left + at[1] * wide, top + at[0] * high), wide, high, **style))

    def plot(self, name: Any, title: str, left: float = 0.3) -> "Axes":
        """Axes in the place of a picture, with room for tick labels, `left` inches of it at their left."""
        x, top, wide, high = self.boxes[name]
        width, height = self.figure.get_size_inches()
        box = (x + left) / width, 1 - (top + high - 0.24) / height, (wide - left) / width, (high - 0.24) / height
        self.ax.text(x + left, top - 0.04, spelled(title), fontsize=9)
        return self.figure.add_axes(box)


def _acted_on(x: Inside, stage: int) -> list[int]:
    """The number of the frame that the filters of each rate act on."""
    lmdf, now = x.model.lmdf[str(stage)], x.clip.current
    aligned = lmdf.uses_references and lmdf.filtered == "reference"
    others = [t for t in range(len(x.clip.frames)) if t != now] if aligned else []
    R = len(lmdf.dilations)
    return [now, *others, *[now] * R][:R]


def _frame(x: Inside) -> np.ndarray:
    return x.clip.frames[x.clip.current]


def _colored(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as colors (H, W, 3) uint8."""
    from matplotlib import colormaps

    return colormaps["cividis"](values, bytes=True)[..., :3]


def _grey(frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 1) without its colors and its grain."""
    from PIL import ImageFilter

    return np.asarray(Image.fromarray(frame).convert("L").filter(ImageFilter.MedianFilter(5)))[..., None]


def _heat(x: Inside, values: Any, top: float = 0.0) -> np.ndarray:
    """A map (h, w) over the current frame, bright at `top` or else at its own maximum; the target has a white rim."""
    values = np.asarray(values, np.float32)
    values = np.clip(values / (top or values.max() or 1), 0, 1)
    H, W = x.clip.mask.shape
    large = np.asarray(Image.fromarray(values).resize((W, H), Image.Resampling.NEAREST))
    mixed = 0.85 * _colored(large) + 0.15 * _grey(_frame(x))
    return outline(mixed.astype(np.uint8), x.clip.mask, "white")


def _masked(x: Inside, probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    return overlay(_frame(x), probability > threshold)


def _place(x: Inside, row: int, column: int, size: tuple[int, int]) -> tuple[int, int]:
    """The place of (`row`, `column`), counted at stride 8, in a map of `size` (h, w)."""
    i, j = (min(k * n * 8 // side, n - 1) for k, n, side in zip((row, column), size, x.size, strict=True))
    return i, j
