"""What is written is read back: the same frames, for the same time, of the same shape; the same bytes; or one line."""

import resource
from fractions import Fraction

import numpy as np
import pytest

from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.video.files import iterate_frames
from dtse_core.video.writing import CONTAINERS, FILMS, is_film, write_video

av = pytest.importorskip("av")
TIMES = [0, 0.04, 0.14, 0.16, 0.66, 0.7, 1.7, 1.72, 1.8, 3.1]  # of nine frames


@pytest.fixture(scope="module")
def frames():
    return render(ToyWorld("val").scene(80), range(9), 48, 80)[0]


def read(path):
    """What a player is told: times of the frames, duration of the whole, aspect of a pixel, frames."""
    with av.open(str(path)) as file:
        aspect, duration = file.streams.video[0].sample_aspect_ratio or 1, file.duration / 1e6
        decoded = list(file.decode(video=0))
    return [f.time for f in decoded], duration, aspect, np.stack([f.to_ndarray(format="rgb24") for f in decoded])


@pytest.mark.parametrize("suffix", [*CONTAINERS, ".MP4", ".WebM"])
def test_each_format_gives_back_the_frames_at_their_rate(tmp_path, frames, suffix):
    times, duration, aspect, back = read(write_video(tmp_path / f"a{suffix}", frames, 30000 / 1001))
    np.testing.assert_allclose(times, np.arange(9) * 1001 / 30000, atol=1e-3)
    assert abs(duration - 9 * 1001 / 30000) < 1.5e-3 and aspect == 1
    assert back.shape == frames.shape and np.abs(back.astype(int) - frames).mean() < 4


def test_a_colon_in_a_relative_name_is_no_protocol(tmp_path, frames, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("o:o.mp4", "concat:a|b.mkv", "25%d:00.webm"):
        write_video(name, frames, 25)
        assert len(list(iterate_frames(name))) == 9


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_each_frame_is_shown_as_long_as_its_times_say_and_so_is_the_last(tmp_path, suffix):
    frames = render(ToyWorld("val").scene(80), range(24), 96, 160)[0]  # an encoder that may writes B-frames here
    times = np.cumsum([0, *[0.04, 0.1, 0.02, 0.5] * 6])
    begun, duration, _, back = read(write_video(tmp_path / f"a{suffix}", frames, 6, times=times))
    np.testing.assert_allclose([*begun, duration], times, atol=1e-3)
    assert np.abs(back.astype(int) - frames).mean() < 4


def test_even_times_are_a_rate(tmp_path, frames):
    even = write_video(tmp_path / "even.mp4", frames, 25)
    rounded = [round(k / 25 + 0.0004, 4) for k in range(10)]  # as a container that counts milliseconds has them
    assert write_video(tmp_path / "times.mp4", frames, 25, times=rounded).read_bytes() == even.read_bytes()


def test_frames_of_one_time_follow_each_other_and_too_few_times_are_told(tmp_path, frames):
    times, *_ = read(write_video(tmp_path / "a.mp4", frames, 25, times=[0, 0, 0, 1, 1, 2, 3, 3, 3, 4]))
    assert len(times) == 9 and all(b > a for a, b in zip(times, times[1:], strict=False))
    with pytest.raises(ValueError, match="9 times are given for more frames; expected one a frame, and the end"):
        write_video(tmp_path / "b.mp4", frames, 25, times=TIMES[:-1])
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("aspect", [Fraction(16, 11), 0.75])
def test_a_picture_keeps_its_shape(tmp_path, frames, suffix, aspect):
    _, _, told, back = read(write_video(tmp_path / f"a{suffix}", frames, 25, aspect=aspect))
    shown = back.shape[2] * told / back.shape[1]
    assert abs(shown - 80 * aspect / 48) < 0.03
    assert back.shape[1] == 48 and (suffix == ".webm" or back.shape[2] == 80)


@pytest.mark.parametrize("shape", [(48, 80), (47, 80), (48, 81), (33, 81), (1, 1)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sizes_are_padded_by_their_last_row_and_column(tmp_path, suffix, shape):
    frames = render(ToyWorld("val").scene(80), range(3), 48, 81)[0][:, : shape[0], : shape[1]]
    back = np.stack(list(iterate_frames(write_video(tmp_path / f"odd{suffix}", frames, 25))))
    padded = np.pad(frames, [(0, 0), (0, shape[0] % 2), (0, shape[1] % 2), (0, 0)], mode="edge")
    assert back.shape == padded.shape and np.abs(back.astype(int) - padded).mean() < 4


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("times", [None, TIMES])
def test_the_same_frames_give_the_same_bytes_whatever_lies_in_memory(tmp_path, frames, suffix, times):
    seen, rng = set(), np.random.default_rng(0)
    for n in range(5):
        litter = [rng.bytes(int(rng.integers(1000, 90000))) for _ in range(50)]  # frees the one before
        assert litter
        seen.add(write_video(tmp_path / f"{n}{suffix}", frames, 12, times=times).read_bytes())
    assert len(seen) == 1


def test_h264_is_written_by_one_thread_in_the_pixels_that_every_player_shows(tmp_path, frames):
    path = write_video(tmp_path / "a.mp4", frames, 25)
    assert b" threads=1 " in path.read_bytes()  # x264's own note: more threads change the bytes by machine
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_video_appears_complete_or_not_at_all(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 80, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"kept{suffix}", noise[:3], 25)
    before = path.read_bytes()

    def failing():
        for _ in range(4):  # enough for the encoder to have written some
            yield from noise
        assert list(tmp_path.glob("*.part"))
        raise RuntimeError("the source broke")

    for target in (path, tmp_path / f"never{suffix}"):
        with pytest.raises(RuntimeError, match="the source broke"):
            write_video(target, failing(), 25)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == before


@pytest.mark.parametrize(
    ("frames", "name", "said"),
    [
        ([], "a.mp4", "no frames to write"),
        (np.zeros((2, 16, 16), np.uint8), "a.mp4", r"frame 0 is uint8 \(16, 16\)"),
        (np.zeros((2, 16, 16, 3)), "a.mp4", "frame 0 is float64"),
        ([np.zeros((16, n, 3), np.uint8) for n in (16, 18)], "a.mp4", "frame 1 has shape"),
        (np.zeros((2, 16, 16, 3), np.uint8), "a.wmv", r"a\.wmv: cannot write \.wmv videos; end the name in \.mp4, "),
        (np.zeros((2, 2, 16400, 3), np.uint8), "a.mov", r"a\.mov cannot be written \(.*\); try smaller frames"),
    ],
)
def test_frames_that_cannot_be_written_are_named(tmp_path, frames, name, said):
    with pytest.raises(ValueError, match=said):
        write_video(tmp_path / name, frames, 25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e-9, 1e12])
def test_what_is_not_a_rate_is_refused_by_its_value(tmp_path, frames, fps):
    with pytest.raises(ValueError, match=rf"fps is {fps}; expected frames a second"):
        write_video(tmp_path / "a.mp4", frames, fps)


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_disk_that_fills_up_is_one_line_with_the_files_name(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (20, 160, 160, 3), dtype=np.uint8)
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, free[1]))
    try:
        with pytest.raises(OSError, match=rf"^{tmp_path}/a{suffix} cannot be written \(.*\); make room, or choose"):
            write_video(tmp_path / f"a{suffix}", noise, 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_suffix_is_a_films_or_refused_unless_a_folder_has_it(tmp_path):
    for suffix in FILMS:
        assert is_film(tmp_path / f"a{suffix}") and is_film(f"a{suffix.upper()}")
    for name in ("masks", ".masks", "a/b", "a.mp4/masks"):
        assert not is_film(name)
    for name in ("a.avi", "masks.zip", "masks.v2", "a.mp4.txt", "b.mp4 "):
        with pytest.raises(ValueError, match=rf"^{name} cannot be written; end it in \.mp4, .*\.gif, or name a folder"):
            is_film(name)
    (tmp_path / "masks.v2").mkdir()
    assert not is_film(tmp_path / "masks.v2")
