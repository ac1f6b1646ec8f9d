"""Figures show what they are given: data is read back from the drawn artists, pixels from the files."""

import io
import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from dtse_core.data.clip import ReferringClip
from dtse_core.metrics import dilate
from dtse_core.notebook import plots as viz
from dtse_core.scoring.pictures import show_prediction
from dtse_core.video.film import film_strip
from dtse_core.video.overlay import (
    GUIDANCE,
    LANGUAGE,
    MASK,
    MASK_COLORS,
    RUNS,
    TIME,
    VISION,
    outline,
    overlay,
    save_gif,
)

pytestmark = pytest.mark.usefixtures("style")


def make_clip(T=3, H=24, W=36, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (T, H, W, 3), dtype=np.uint8)
    mask = np.zeros((H, W), bool)
    mask[6:14, 10:22] = True
    return ReferringClip(frames, T // 2, mask, "the red ball", "v", 1, "1", "appearance")


# Overlay


def test_overlay_keeps_the_colors_inside_outlines_them_and_dims_the_rest():
    clip = make_clip()
    frame, before = clip.frames[0], clip.frames[0].copy()
    out = overlay(frame, clip.mask, "#D55E00")
    ring = np.zeros_like(clip.mask)
    ring[5:15, 10:22] = ring[6:14, 9:23] = True  # one pixel above, below, left and right
    ring &= ~clip.mask
    assert np.array_equal(out[clip.mask], frame[clip.mask])
    assert (out[ring] == (0xD5, 0x5E, 0x00)).all()
    edge = dilate(clip.mask, 2) & ~ring & ~clip.mask
    assert (out[edge] == 255).all()
    rest = ~ring & ~edge & ~clip.mask
    assert np.abs(out[rest] - 0.45 * frame[rest]).max() <= 0.5
    assert np.array_equal(frame, before)


def test_overlay_of_nothing_dims_all_and_of_everything_is_the_frame():
    frame = make_clip().frames[0]
    assert np.abs(overlay(frame, np.zeros((24, 36))) - 0.45 * frame).max() <= 0.5
    assert np.array_equal(overlay(frame, np.ones((24, 36))), frame)


def test_an_outline_grows_with_the_frame_and_leaves_the_rest():
    mask = np.zeros((960, 1280), bool)
    mask[400:500, 400:500] = True
    out = outline(np.zeros((960, 1280, 3), np.uint8), mask, "white")
    assert (out[450].min(axis=-1) == 255).sum() == 24 and (out[450, 388:400] == 255).all()  # 8 and an edge of 4
    assert not out[mask].any()


@pytest.mark.parametrize("shape", [(24, 36), (24, 36, 4), (36, 24, 3)])
def test_overlay_refuses_frames_that_do_not_fit_the_mask(shape):
    with pytest.raises(ValueError, match=r"expected a frame \(H, W, 3\) uint8"):
        overlay(np.zeros(shape, np.uint8), np.zeros((24, 36)))
    with pytest.raises(ValueError, match="float64"):
        overlay(np.zeros((24, 36, 3)), np.zeros((24, 36)))


# Figures


def png_bytes(figure):
    file = io.BytesIO()
    figure.savefig(file)
    return len(file.getvalue())


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_film_strip_shows_each_frame_with_its_mask():
    clip = make_clip(T=8)
    masks = [clip.mask, *[None] * 7]
    figure = film_strip(clip.frames, masks, [f"t = {t}" for t in range(8)])
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert np.array_equal(shown[0], overlay(clip.frames[0], clip.mask))
    assert np.array_equal(np.stack(shown[1:]), clip.frames[1:])
    assert titles(figure)[:8] == [f"t = {t}" for t in range(8)]
    assert figure.get_figwidth() <= 8


def test_prediction_panel_names_the_iou_and_says_the_sentence():
    clip = make_clip()
    mask = np.zeros((24, 36), bool)
    mask[6:14, 10:16] = True  # the left half
    figure = show_prediction(clip, mask)
    shown = {t: ax.images[0].get_array() for t, ax in zip(titles(figure), figure.axes, strict=True)}
    assert list(shown) == ["frame", "true mask", "prediction: IoU 0.50"]
    assert np.array_equal(shown["frame"], clip.frames[1])
    assert np.array_equal(shown["true mask"], overlay(clip.frames[1], clip.mask))
    assert np.array_equal(shown["prediction: IoU 0.50"], overlay(clip.frames[1], mask))
    assert "the red ball" in figure.get_suptitle()
    assert png_bytes(figure) < 60_000


RECORDS = [
    {"step": 20, "seconds": 1.0, "loss": 2.5, "iou": 0.1},
    {"step": 40, "seconds": 2.0, "loss": 1.5, "iou": 0.3},
    {"step": 40, "seconds": 2.0, "val_mean_iou": 0.25, "val_P@0.5": 0.2},
]


def test_no_curve_of_a_history_meets_the_edge_or_the_legend():
    figure = viz.plot_history([{"step": step, "loss": loss, "iou": 1 - loss / 4} for step, loss in ((1, 4), (2, 3.9))])
    figure.canvas.draw()
    (legend,) = figure.legends
    for ax in figure.axes:
        assert not legend.get_window_extent().overlaps(ax.get_window_extent())
        assert all(line.get_ydata().max(initial=0) < 0.95 * ax.get_ylim()[1] for line in ax.lines)


def test_history_is_drawn_from_records_file_and_run_folder_alike(tmp_path):
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in RECORDS), encoding="utf-8")
    for given in (RECORDS, tmp_path, str(tmp_path / "history.jsonl")):
        loss, iou = viz.plot_history(given).axes
        assert loss.lines[0].get_xydata().tolist() == [[20, 2.5], [40, 1.5]]
        assert iou.lines[0].get_xydata().tolist() == [[20, 0.1], [40, 0.3]]
        assert iou.lines[1].get_xydata().tolist() == [[40, 0.25]]
    with pytest.raises(FileNotFoundError, match="none/history.jsonl|none is missing"):
        viz.plot_history(tmp_path / "none")


def heights(figure):
    return [[round(bar.get_height(), 6) for bar in group] for group in figure.axes[0].containers]


def test_bars_are_as_high_as_the_values():
    kinds = [{"action": {"mean_iou": 0.5}, "position": {"mean_iou": a}} for a in (0.25, 1.0)]
    figure = viz.evidence_bars({run: {"by_evidence": values} for run, values in zip("ab", kinds, strict=True)})
    assert heights(figure) == [[0.25, 0.5], [1, 0.5]]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["position", "action"]
    assert figure.get_figwidth() <= 8
    assert png_bytes(figure) < 60_000


def test_evidence_that_needs_time_has_the_hue_of_time():
    result = {"by_evidence": {"direction": {"mean_iou": 0.2}, "appearance": {"mean_iou": 0.8}}}
    figure = viz.evidence_bars({"tiny": result})
    assert heights(figure) == [[0.8, 0.2]]  # in the order of the kinds, not of the result
    colors = [matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in figure.axes[0].containers[0]]
    assert colors == [VISION, TIME]
    assert figure.axes[0].get_ylabel() == "mean IoU"


def test_a_missing_value_reads_not_run():
    results = {
        "a": {"by_evidence": {"action": {"mean_iou": 0.2}, "relation": {"mean_iou": 0.4}}},
        "b": {"by_evidence": {"action": {"mean_iou": 0.1}}},
    }
    figure = viz.evidence_bars(results)
    assert [t.get_text() for t in figure.axes[0].texts].count("not run") == 1
    assert "not run" not in [t.get_text() for t in viz.evidence_bars({"a": results["a"]}).axes[0].texts]


def test_colors_are_those_of_the_handbook_and_the_style_is_loaded():
    assert (VISION, LANGUAGE, GUIDANCE, TIME) == ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    assert MASK == MASK_COLORS[0] == "#D55E00"
    assert plt.rcParams["figure.dpi"] == plt.rcParams["savefig.dpi"] == 100
    assert plt.rcParams["image.cmap"] == "cividis"
    assert len(set(MASK_COLORS)) == len(set(RUNS)) == 5


# GIFs


def read_gif(path):
    with Image.open(path) as gif:
        frames = []
        for k in range(gif.n_frames):
            gif.seek(k)
            frames.append((np.asarray(gif.convert("RGB")).astype(int), gif.info["duration"]))
    return frames


def moving_square():
    frames = np.full((6, 32, 48, 3), (40, 120, 200), np.uint8)
    masks = np.zeros((6, 32, 48), bool)
    for k in range(6):
        masks[k, 8:24, 4 + 5 * k : 20 + 5 * k] = True
    return frames, masks


def test_gif_shows_every_frame_with_its_mask_and_its_caption(tmp_path):
    frames, masks = moving_square()
    path = save_gif(tmp_path / "new" / "a.gif", frames, masks, "the square", fps=8, width=96)
    read = read_gif(path)
    pauses = [pause for _, pause in read]
    assert len(read) == 6 and {*pauses} == {120, 130} and sum(pauses) == 750  # 125 ms each, in hundredths of a second
    for k, (page, _) in enumerate(read):
        picture, strip = page[:64], page[64:]
        assert strip.shape[0] > 10
        assert (strip.min(axis=-1) < 100).sum() > 20  # letters
        assert (strip == 255).all(axis=-1).mean() > 0.5  # on white
        grown = masks[k].repeat(2, 0).repeat(2, 1)
        far = ~dilate(grown, 4)
        assert np.abs(picture[far] - 0.45 * np.array((40, 120, 200))).max() <= 8  # dimmed
        bright = np.abs(picture - (40, 120, 200)).max(axis=-1) <= 8
        assert (bright != grown).sum() <= 0.02 * grown.sum()
        assert (np.abs(picture - (0xD5, 0x5E, 0x00)).max(axis=-1) <= 8).any()  # the outline
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.gif"]


def test_gif_takes_a_caption_per_frame_and_wraps_long_ones(tmp_path):
    frames, _ = moving_square()
    long = "the small black dog that is running to the left of the big red car"
    captions = [long, "short"] * 3
    pages = [page for page, _ in read_gif(save_gif(tmp_path / "a.gif", frames, None, captions, width=192))]
    assert len({page.shape for page in pages}) == 1
    one_line = read_gif(save_gif(tmp_path / "b.gif", frames, None, "short", width=192))[0][0]
    assert pages[0].shape[0] > one_line.shape[0] + 10
    ink = [(page[130:].max(axis=-1) < 100).sum() for page in pages]
    assert ink[0] > 3 * ink[1] > 0


def test_gif_without_caption_has_no_strip_and_stays_small(tmp_path):
    frames = make_clip(T=12, H=64, W=96).frames // 8 + 100
    path = save_gif(tmp_path / "a.gif", frames, fps=25, width=192)
    read = read_gif(path)
    assert read[0][0].shape == (128, 192, 3)
    assert read[0][1] == 40
    assert path.stat().st_size < 300_000


def test_gif_refuses_nothing_and_unequal_lengths(tmp_path):
    frames, masks = moving_square()
    with pytest.raises(ValueError, match="no frames"):
        save_gif(tmp_path / "a.gif", [])
    with pytest.raises(ValueError, match="expected 6 masks, one a frame; found 3"):
        save_gif(tmp_path / "a.gif", frames, masks[:3])
    with pytest.raises(ValueError, match="expected 6 captions, one a frame; found 2"):
        save_gif(tmp_path / "a.gif", frames, masks, ["a", "b"])
    with pytest.raises(ValueError, match="expected 6 titles, one a frame; found 1"):
        film_strip(frames, masks, ["t"])
    assert list(tmp_path.iterdir()) == []


def test_importing_viz_and_writing_a_gif_needs_no_matplotlib(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; "
        "import numpy as np; from dtse_core.video.overlay import save_gif; "
        "save_gif(sys.argv[1], np.zeros((2, 8, 8, 3), np.uint8), np.ones((2, 8, 8)), 'hi')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.gif")], check=True, timeout=120)
    assert (tmp_path / "a.gif").is_file()


# Numbers in grids and tables


def hues(grid, **options) -> np.ndarray:
    """The colors (n, 3) that a row of numbers is drawn in."""
    [ax] = viz.number_grids({"x": np.array([grid])}, **options).axes
    assert [t.get_text() for t in ax.texts] == [str(x) for x in grid]
    [image] = ax.images
    return image.cmap(image.norm(image.get_array()))[0, :, :3]


def test_numbers_below_zero_are_blue_and_those_above_are_red():
    for grid, signed in (([0, 2], False), ([0, 2], True), ([-1, 2], False), ([-2, 12], False)):
        low, high = hues(grid, signed=signed)
        assert (grid[0] < 0) == (low[2] > low[0] + 0.15)
        assert (grid[0] < 0 or signed) == (high[0] > high[2] + 0.05)


def test_a_small_number_shows_beside_a_large_one():
    nothing, one, all_of_it = hues([0, 1, 13])[:, 0]
    assert nothing == 1 and one < 0.95 and all_of_it < one - 0.2


def test_a_table_names_its_rows_and_columns_and_shades_larger_numbers_darker():
    values = np.array([[0.1, 0.9], [0.5, 0.0]])
    [ax] = viz.shaded_table(values, ["one", "other"], ["a", "b"]).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "other"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    assert {t.get_position(): t.get_text() for t in ax.texts}[1, 0] == "0.90"  # (column, row)
    grey = ax.images[0].cmap(ax.images[0].norm(values))[..., 0]
    assert (np.argsort(grey.ravel()) == np.argsort(-values.ravel())).all()
    [ax] = viz.shaded_table(values, ["one", "other"], ["a", "b"], np.array([["w", "x"], ["y", "z"]])).axes
    assert [t.get_text() for t in ax.texts] == ["w", "x", "y", "z"]
