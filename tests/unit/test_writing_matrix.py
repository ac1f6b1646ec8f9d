"""What is written is shown by FFmpeg's own program, and read again: container x size x timing x shape of a pixel."""

from fractions import Fraction

import numpy as np
import pytest

from dtse_core.video.files import iterate_frames, video_info
from dtse_core.video.overlay import save_gif
from dtse_core.video.writing import write_video
from tests.video_matrix import Row, draw, number_of, referee

SIZES = {"even": (96, 64), "odd": (97, 65), "upright": (54, 98)}
EVEN, NTSC, UNEVEN = [k / 25 for k in range(13)], [k * 1001 / 30000 for k in range(13)], [
    0, 0.04, 0.14, 0.16, 0.5, 0.54, 0.58, 1.2, 1.22, 1.24, 1.8, 1.9, 2.6
]  # fmt: skip
TIMES = {"25": (25, EVEN), "29.97": (30000 / 1001, NTSC), "uneven": (12 / 2.6, UNEVEN)}
WAYS = [(size, rate, aspect) for size in SIZES for rate in TIMES for aspect in ("1", "4/3")]


def each(*names):
    cases = [(name, *way) for name in names for way in WAYS]
    return pytest.mark.parametrize(("name", "size", "rate", "aspect"), cases, ids=["-".join(case) for case in cases])


def back(path):
    """The referee's frames and times of a file that was written, and that the reader has the same."""
    seen, info = referee(Row(path.name, ()), path), video_info(path)
    assert info.times[:-1] == pytest.approx(seen.starts, abs=1.1e-3) and info.aspect == seen.aspect
    assert all(np.abs(a.astype(int) - b).mean() <= 2 for a, b in zip(iterate_frames(path), seen.frames, strict=True))
    return seen, info


@each("film.mp4", "film.MOV", "film.mkv", "film.WebM", "FILM.Mp4")
def test_a_player_shows_each_frame_when_and_as_wide_as_it_was(tmp_path, name, size, rate, aspect):
    drawn, (fps, times) = [draw(k, SIZES[size]) for k in range(12)], TIMES[rate]
    seen, info = back(write_video(tmp_path / name, drawn, fps, times=times, aspect=Fraction(aspect)))
    assert [number_of(frame) for frame in seen.frames] == list(range(12))
    assert info.times == pytest.approx(times, abs=2e-3)
    height, width = seen.frames[0].shape[:2]
    even = [side + side % 2 for side in SIZES[size]]
    assert height == even[1] and width * seen.aspect == pytest.approx(even[0] * Fraction(aspect), abs=1)
    if width == even[0]:
        kept = [frame[: SIZES[size][1], : SIZES[size][0]] for frame in seen.frames]
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(kept, drawn, strict=True)) < 4


@each("film.gif", "FILM.GIF")
def test_a_gif_shows_each_frame_when_and_as_wide_as_it_was(tmp_path, name, size, rate, aspect):
    drawn, (fps, times), width = [draw(k, SIZES[size]) for k in range(12)], TIMES[rate], SIZES[size][0]
    seen, info = back(save_gif(tmp_path / name, drawn, fps=fps, width=width, times=times, aspect=Fraction(aspect)))
    assert [number_of(frame) for frame in seen.frames] == list(range(12))
    assert info.times == pytest.approx(times, abs=0.0051)  # hundredths of a second
    assert seen.frames[0].shape == (round(SIZES[size][1] / Fraction(aspect)), width, 3) and seen.aspect == 1
    if aspect == "1":
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(seen.frames, drawn, strict=True)) < 4
