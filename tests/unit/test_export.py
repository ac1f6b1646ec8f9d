"""Files made of a prediction: nothing lost, a GIF that stays small, memory that does not grow with the video."""

import os
import re
import resource
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.shared.files import MANIFEST
from dtse_core.video.export import GIF_BYTES, Preview, read_confidence, require_place, write_prediction
from dtse_core.video.files import iterate_frames, read_frames, video_fps, video_info
from dtse_core.video.overlay import MASK_COLORS, _pauses, legend, overlay, overlay_all, save_gif
from dtse_core.video.prediction import Segmentation, Step
from dtse_core.video.writing import even_times, write_video

av = pytest.importorskip("av")


def make_steps(count, size=(20, 30), sentences=2, seed=0):
    rng = np.random.default_rng(seed)
    for t in range(count):
        p = rng.random((sentences, *size), dtype=np.float32)
        frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        yield Step(t, frame, p > 0.5, p - 0.5, p.mean((1, 2)))


def test_a_folder_holds_masks_film_gif_sentences_and_confidences(tmp_path):
    means = write_prediction(make_steps(7), ["a dog", "two\nlines"], tmp_path / "out", 5)
    steps = list(make_steps(7))
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        *(MANIFEST, "0", "1", "confidence.csv", "expressions.txt", "overlay.gif", "overlay.mp4")
    ]
    for k in range(2):
        files = sorted((tmp_path / "out" / str(k)).iterdir())
        assert [f.name for f in files] == [f"{t:05d}.png" for t in range(7)]
        for file, step in zip(files, steps, strict=True):
            assert np.array_equal(np.asarray(Image.open(file)), step.masks[k] * np.uint8(255))
    info = video_info(tmp_path / "out" / "overlay.mp4")
    assert (info.length, info.height, info.width, info.fps) == (7, 20, 30, 5)
    assert (tmp_path / "out" / "expressions.txt").read_text(encoding="utf-8") == "0 a dog\n1 two lines\n"
    course = read_confidence(tmp_path / "out")
    expected = [np.stack([s.confidence, s.masks.mean((1, 2))], 1) for s in steps]
    np.testing.assert_allclose(course, expected, atol=1e-6)
    np.testing.assert_allclose(means, np.mean(expected, 0), atol=1e-6)


def test_confidences_of_a_single_frame_and_sentence_have_their_axes(tmp_path):
    write_prediction(make_steps(1, sentences=1), ["a"], tmp_path / "out", 5)
    assert read_confidence(tmp_path / "out").shape == (1, 1, 2)
    with pytest.raises(FileNotFoundError, match="confidence.csv is missing"):
        read_confidence(tmp_path)


HEAD = "frame,expression,confidence,area\n"
TABLES = {
    "no file of rows": "",
    "no row": HEAD,
    "a cell too few": HEAD + "0,0,0.5\n",
    "a text": HEAD + "0,0,0.5,half\n",
    "an expression that is no number": HEAD + "0,nan,0.5,0.5\n",
    "more expressions than rows": HEAD + "0,1e300,0.5,0.5\n",
    "a frame is missing": HEAD + "0,0,0.5,0.5\n2,0,0.5,0.5\n",
    "an expression is missing": HEAD + "0,0,0.5,0.5\n0,1,0.5,0.5\n1,1,0.5,0.5\n",
    "another order": HEAD + "0,1,0.5,0.5\n0,0,0.5,0.5\n",
    "a confidence above 1": HEAD + "0,0,50,0.5\n",
    "an area that is no number": HEAD + "0,0,0.5,nan\n",
}


@pytest.mark.parametrize("damage", TABLES)
def test_a_table_of_confidences_that_is_not_whole_is_refused_by_name(damage, tmp_path):
    (tmp_path / "confidence.csv").write_text(TABLES[damage], encoding="utf-8")
    with pytest.raises(ValueError, match="confidence.csv is not the table of a prediction .*; write the prediction"):
        read_confidence(tmp_path)


@pytest.mark.parametrize("name", ["out.gif", "out.GIF", "out.mp4", "out.MP4", "out.mov", "out.mkv", "out.webm"])
def test_a_single_file_is_all_that_is_written_when_it_is_asked_for(name, tmp_path):
    for _ in range(2):  # one's own film is replaced
        require_place(tmp_path / name, None)
        write_prediction(make_steps(5), ["a", "b"], tmp_path / name, 10)
    assert [f.name for f in tmp_path.iterdir()] == [name]
    if name.lower() == "out.gif":
        with Image.open(tmp_path / name) as gif:
            assert gif.n_frames == 5
    else:
        assert len(read_frames(tmp_path / name, range(5))) == 5


@pytest.mark.parametrize("name", ["out.gif", "out.mp4", "out"])
def test_a_prediction_of_no_frames_is_refused_by_its_own_name_and_leaves_nothing(name, tmp_path):
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / name))}: no frames to write$"):
        write_prediction(make_steps(0), ["a", "b"], tmp_path / name, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(216, 384), (40, 1500)], ids=str)
def test_the_gif_of_frames_that_do_not_compress_stays_below_the_limit(size, tmp_path):
    write_prediction(make_steps(30, size), ["a"], tmp_path / "out.gif", 25)
    assert 30_000 < (tmp_path / "out.gif").stat().st_size <= GIF_BYTES


def test_a_gif_that_no_width_makes_fit_loses_frames_and_keeps_its_duration(tmp_path):
    preview = Preview()
    for step in make_steps(16, (64, 64)):
        preview.add(step.frame, step.masks)
    preview.save(tmp_path / "a.gif", ["a"], even_times(10, 16), limit=30_000)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.width == 64 and 1 < gif.n_frames < 16
        assert gif.n_frames * gif.info["duration"] == 1600


@pytest.mark.parametrize("name", ["folder", "out.gif", "out.webm"])
def test_a_full_disk_is_told_by_the_name_that_was_asked_for(tmp_path, name):
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, free[1]))
    try:
        with pytest.raises(OSError, match=rf"^{tmp_path}/{name} cannot be written \(File too large\); make room, or"):
            write_prediction(make_steps(20, (96, 96)), ["a", "b"], tmp_path / name, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert not list(tmp_path.iterdir())


TIMES = [0, 0.04, 0.14, 0.16, 0.66, 0.7, 1.7, 1.72, 1.8, 3.1]  # of nine frames


@pytest.fixture
def phone_clip(tmp_path):
    """Nine frames of a variable rate, whose pixels are wider than high."""
    frames = render(ToyWorld("val").scene(80), range(9), 48, 80)[0]
    return write_video(tmp_path / "clip.mp4", frames, 3, times=TIMES, aspect=Fraction(16, 11))


def shown(path):
    """When each frame of a film begins and the last one ends, and how wide it is for its height."""
    if path.suffix == ".gif":
        with Image.open(path) as gif:
            lasts = [seek.info["duration"] / 1000 for seek in ImageSequence.Iterator(gif)]
            return np.cumsum([0, *lasts]), gif.width / gif.height
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        aspect = stream.sample_aspect_ratio or 1
        return [f.time for f in film.decode(stream)] + [film.duration / 1e6], stream.width * aspect / stream.height


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm", "out.gif", "folder"])
def test_a_film_lasts_as_long_as_its_source_frame_by_frame_and_keeps_its_shape(phone_clip, name, tmp_path):
    frames = list(iterate_frames(phone_clip))
    steps = [Step(k, frame, np.zeros((1, 48, 80), bool), None, np.zeros(1)) for k, frame in enumerate(frames)]
    write_prediction(steps, ["a"], tmp_path / name, video_fps(phone_clip), phone_clip)
    films = [tmp_path / name] if name != "folder" else [tmp_path / name / f"overlay.{s}" for s in ("mp4", "gif")]
    if name != "folder":
        films.append(tmp_path / f"saved_{name}")
        Segmentation("", np.zeros((9, 48, 80), bool), np.zeros(9), phone_clip, 3).save(films[-1])
    for film in films:
        times, shape = shown(film)
        np.testing.assert_allclose(times, TIMES, atol=0.011 if film.suffix == ".gif" else 0.001)
        with_legend = film.suffix == ".gif" and not film.name.startswith("saved")
        assert with_legend or abs(shape - 80 * 16 / 11 / 48) < 0.03


@given(st.lists(st.floats(1e-3, 100), min_size=1, max_size=40))
def test_pauses_of_a_gif_add_up_to_the_film(lasts):
    times = np.cumsum([0, *lasts])
    pauses = _pauses(times.tolist(), len(lasts))
    assert all(2 <= pause <= 65535 for pause in pauses.values())
    if times[-1] <= 655:
        assert sum(pauses.values()) == max(2, round(100 * times[-1]))
        begins = np.cumsum([0, *pauses.values()])[:-1] / 100
        np.testing.assert_allclose(begins, times[list(pauses)], atol=0.00501)


def test_a_still_of_an_hour_can_be_saved_as_a_gif(tmp_path):
    save_gif(tmp_path / "a.gif", np.zeros((40, 8, 8, 3), np.uint8), times=[100 * k for k in range(41)])
    assert shown(tmp_path / "a.gif")[0][-1] == 655


@given(count=st.integers(1, 300), most=st.integers(2, 20))
def test_a_preview_of_any_stream_is_evenly_spaced_and_bounded(count, most):
    preview = Preview(most)
    for t in range(count):
        preview.add(np.full((1, 1, 3), t % 256, np.uint8), np.ones((1, 1, 1), bool))  # drawn as it is
        assert len(preview.frames) <= most
    kept = [int(f[0, 0, 0]) for f in preview.frames]
    assert kept == [t % 256 for t in range(0, count, preview.every)]
    assert preview.every == 1 or len(kept) >= most // 2  # no thinner than need be


def test_all_masks_are_drawn_in_colors_of_their_own_and_the_legend_tells_them():
    frame, masks = np.full((8, 8, 3), 200, np.uint8), np.zeros((2, 8, 8), bool)
    masks[0, 1:3, 1:3] = masks[1, 5:7, 5:7] = True
    drawn = overlay_all(frame, masks)
    one = overlay(frame, masks[0], MASK_COLORS[0])
    assert np.array_equal(drawn[:4, :4], one[:4, :4])
    assert (drawn[masks.any(0)] == 200).all() and (frame == 200).all()
    assert not np.array_equal(drawn[5, 4], drawn[1, 3])  # the outlines
    strip = legend(["a", "b"], 200)
    assert strip.shape[1] == 200 and (strip[:, -1] == 255).all()
    for color in MASK_COLORS[:2]:
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (strip == rgb).all(-1).any()
    assert len(legend(["many words " * 20], 200)) > len(legend(["a"], 200))


CLIP = """
import resource, sys
import numpy as np, torch
from dtse_core import DTSE, ReferringVideoPredictor, preset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.video.files import video_fps
from dtse_core.shared.files import MANIFEST
from dtse_core.video.export import write_prediction
config = preset("tiny", **{"data.size": (32, 48), "data.offset": 1, "model.lmdf": "off"})
tokenizer = load_tokenizer(config.model.text, config.data.level)
predictor = ReferringVideoPredictor(DTSE(config.model), tokenizer, config.data, "cpu")
for clip in sys.argv[1:]:
    steps = predictor.stream(clip, ["the dog"], 4)
    write_prediction(steps, ["the dog"], clip.removesuffix(".mp4"), video_fps(clip), clip)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)  # the most so far, in MB
"""


@pytest.mark.slow
def test_a_long_video_takes_the_memory_of_a_short_one(tmp_path):
    frames = [np.full((144, 256, 3), 30 * t, np.uint8) for t in range(8)]  # a GIF of noise would take its time
    clips = [tmp_path / f"{count}.mp4" for count in (60, 300)]  # frames and masks of the second take 35 MB more
    for clip in clips:
        write_video(clip, (frames[t % 8] for t in range(int(clip.stem))), 25)
    command = [sys.executable, "-c", CLIP, *clips]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    short, long = map(int, done.stdout.split())
    assert long < short + 25, (short, long)
