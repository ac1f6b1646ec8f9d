"""Frames in order and at random are the same, each bears its own number, and what cannot be read says why."""

import os
import shutil
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dtse_core.video import decoding
from dtse_core.video.files import EXAMPLE, VideoInfo, iterate_frames, read_frames, video_fps, video_info, video_length
from dtse_core.video.writing import write_video

av = pytest.importorskip("av")
BITS = 5  # frames carry their number as a bar of light and dark blocks


def numbered(count: int, height: int = 48, width: int = 80) -> np.ndarray:
    """Asymmetric frames that say their own number: 5 blocks of 16 pixels, most significant bit first."""
    frames = np.full((count, height, width, 3), 96, np.uint8)
    for k, frame in enumerate(frames):
        frame[20 : 20 + height // 4, : width // 3] = (200, 60, 30)
        for bit in range(BITS):
            frame[:16, 16 * bit : 16 * bit + 16] = 230 if k >> (BITS - 1 - bit) & 1 else 20
    return frames


def number_of(frame: np.ndarray) -> int:
    lit = [frame[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 125 for bit in range(BITS)]
    return sum(on << (BITS - 1 - bit) for bit, on in enumerate(lit))


def encode(path: Path, frames, codec="libx264", pixels="yuv420p", container=None, **options) -> Path:
    """Writes with settings that `write_video` does not offer."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = *frames[0].shape[:2], pixels, options
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return path


def one_by_one(path: Path) -> np.ndarray:
    """The slow way: decode everything from the start."""
    with av.open(str(path)) as file:
        frames = file.decode(video=0)
        return np.stack([f.to_ndarray(format="rgb24", interpolation="BICUBIC") for f in frames])


def test_random_access_equals_decoding_one_by_one(real_clips):
    path = real_clips["carphone_pristine"]
    whole, indices = one_by_one(path), np.random.default_rng(0).integers(0, 120, 30)
    assert np.array_equal(read_frames(path, indices), whole[indices])
    assert video_length(path) == len(whole) == 120 and abs(video_fps(path) - 30000 / 1001) < 1e-9
    assert all(np.array_equal(a, b) for a, b in zip(iterate_frames(path), whole, strict=True))


def test_every_frame_is_the_one_of_its_number(tmp_path):
    path = encode(tmp_path / "b.mp4", numbered(30), g="9", bf="3")  # frames are stored in another order than shown
    order = [29, 0, 13, 14, 13, 8, 9, 10]
    assert [number_of(frame) for frame in read_frames(path, order)] == order
    assert [number_of(frame) for frame in iterate_frames(path)] == list(range(30))


def test_a_frame_far_into_a_video_is_decoded_from_the_key_frame_before_it(tmp_path, monkeypatch):
    path, decoded = encode(tmp_path / "long.mp4", numbered(32), g="8", bf="2"), []
    pictures = decoding._pictures
    monkeypatch.setattr(decoding, "_pictures", lambda *a: (decoded.append(1) or f for f in pictures(*a)))
    assert [number_of(frame) for frame in read_frames(path, [30, 27])] == [30, 27]
    assert len(decoded) == 31 - 24


def test_a_key_frame_that_decoding_cannot_start_from_is_not_trusted(tmp_path):
    """Intra refresh renews a picture column by column: what is marked as a key frame shows half of it."""
    path = encode(tmp_path / "refresh.mp4", numbered(32), **{"x264-params": "intra-refresh=1:keyint=8:bframes=0"})
    with av.open(str(path)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) > 2
    assert np.array_equal(read_frames(path, [14, 9, 10]), one_by_one(path)[[14, 9, 10]])


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        (".mkv", "libx264", "yuv444p"),
        (".mp4", "mpeg4", "yuv420p"),
        (".webm", "libvpx-vp9", "yuv420p"),
        (".mp4", "libsvtav1", "yuv420p"),
        (".mp4", "libx264", "yuv420p10le"),
    ],
)
def test_other_formats_read_the_same(tmp_path, suffix, codec, pixels):
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV was built without {codec}")
    path = encode(tmp_path / f"clip{suffix}", numbered(12, 96, 96), codec, pixels)
    assert np.array_equal(read_frames(path, range(12)), one_by_one(path))
    assert [number_of(frame) for frame in read_frames(path, [11, 3])] == [11, 3]


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
    ids=["quarter", "half", "three quarters"],
)
def test_phone_videos_come_upright(tmp_path, matrix, turns):
    flat, path = encode(tmp_path / "flat.mp4", numbered(6)), tmp_path / "turned.mp4"
    data, (a, b, c, d) = bytearray(flat.read_bytes()), matrix
    at = data.index(b"tkhd") + 44  # the track header's display matrix, 16.16 fixed point
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    upright = np.rot90(one_by_one(flat), turns, axes=(1, 2))
    assert np.array_equal(read_frames(path, range(6)), upright)
    assert (video_info(path).height, video_info(path).width) == upright.shape[1:3]
    assert all(np.array_equal(x, y) for x, y in zip(iterate_frames(path), upright, strict=True))


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path):
    whole, path = encode(tmp_path / "whole.mp4", numbered(30), g="30", bf="0"), tmp_path / "edited.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        old = source.streams.video[0]
        new = target.add_stream_from_template(old)
        for packet in source.demux(old):
            if packet.dts is not None:
                shift = int(7 / 25 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, new
                target.mux(packet)
    length = video_length(path)
    assert length < 30
    assert [number_of(f) for f in read_frames(path, range(length))] == [number_of(f) for f in one_by_one(path)]


def test_without_pyav_the_error_names_the_extra_and_folders_still_work(tmp_path, monkeypatch):
    path, frames = encode(tmp_path / "clip.mp4", numbered(9)), tmp_path / "frames"
    frames.mkdir()
    Image.fromarray(numbered(1)[0]).save(frames / "1.png")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r"clip\.mp4.*folder of frames.*dtse\[data\]"):
        read_frames(path, [0])
    with pytest.raises(ModuleNotFoundError, match="needs the package av"):
        write_video(tmp_path / "new.mp4", numbered(2), 25)
    assert read_frames(frames, [0]).shape == (1, 48, 80, 3)


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    frames = numbered(12)
    for k in range(12):
        Image.fromarray(frames[k]).save(tmp_path / f"frame{k}.{'png' if k % 2 else 'bmp'}")
    (tmp_path / ".frame3.png").write_bytes(b"left by a file manager")
    (tmp_path / "notes.txt").write_text("not a frame", encoding="utf-8")
    assert np.array_equal(read_frames(tmp_path, [10, 2, 2, 11]), frames[[10, 2, 2, 11]])
    assert np.array_equal(np.stack(list(iterate_frames(tmp_path))), frames)
    times = tuple(k / 25 for k in range(13))
    assert video_info(tmp_path) == VideoInfo(12, 25.0, 48, 80, Fraction(1), times)


def test_a_frame_of_another_size_comes_at_the_size_of_the_first(tmp_path):
    for k, shape in enumerate([(24, 40), (48, 80), (24, 36)]):
        Image.new("RGB", shape[::-1], (50 * k, 0, 0)).save(tmp_path / f"{k}.png")
    frames = np.stack(list(iterate_frames(tmp_path)))
    assert frames.shape == (3, 24, 40, 3) and frames[:, :, :, 0].std((1, 2)).max() == 0
    assert frames[:, 0, 0, 0].tolist() == [0, 50, 100] and np.array_equal(read_frames(tmp_path, [2, 1]), frames[[2, 1]])


@pytest.mark.parametrize("twin", ["00001.png", "1.jpg", "00001.JPG"])  # the first as users keep masks
def test_a_frame_that_two_files_claim_is_not_chosen_at_random(tmp_path, twin):
    for name in ("00000.jpg", "00001.jpg", twin):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    for read in (video_info, lambda path: read_frames(path, [0]), iterate_frames):
        with pytest.raises(ValueError, match=r"holds (0000)?1\.\w+ and (0000)?1\.\w+, two files for one"):
            list(read(tmp_path))


@pytest.mark.parametrize("name", ["f2.tif", "cover.HEIC", "f2.jpg ", "f2.jpg\n", "f2.jpg.part", "F2", "f2.json"])
def test_a_frame_that_is_not_read_is_not_passed_over(tmp_path, name):
    for k in (1, 3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"f{k}.jpg")
    for harmless in ("f1.json", "f3.jpg.xmp", "notes.txt", "f.csv", "Thumbs.db", "desktop.ini", "._f2.jpg"):
        (tmp_path / harmless).touch()
    assert video_length(tmp_path) == 2
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="which is not read as a frame; save it as JPEG or PNG") as error:
        video_length(tmp_path)
    assert f"{tmp_path} holds {name!r}" in str(error.value) and "\n" not in str(error.value)


def test_arrays_pass_through(tmp_path):
    frames = numbered(3)
    assert [number_of(frame) for frame in iterate_frames(frames)] == [0, 1, 2]
    assert video_fps(frames) == 25


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 80, 3), np.uint8)
    whole = encode(folder / "whole.mp4", noise).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index stood at the end
    fast = encode(folder / "fast.mp4", noise, container={"movflags": "+faststart"}).read_bytes()
    (folder / "cut_late.mp4").write_bytes(fast[: len(fast) * 2 // 3])  # the index stands at the start
    hole = len(whole) // 3
    (folder / "overwritten.mp4").write_bytes(whole[:hole] + bytes(len(whole) // 4) + whole[hole + len(whole) // 4 :])
    avi = encode(folder / "whole.avi", noise, codec="mpeg4").read_bytes()
    (folder / "cut.avi").write_bytes(avi[: len(avi) // 2])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video\n" * 200, encoding="utf-8")
    (folder / "folder").mkdir()
    with av.open(str(folder / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut.mp4", r"cut short: \d+ of its \d+ bytes.*again"),
        ("cut_late.mp4", r"cut short: \d+ of its \d+ bytes.*again"),
        ("overwritten.mp4", "cannot be decoded.*copy or download it again"),
        ("cut.avi", r"cut short: \d+ of its \d+ bytes.*again"),
        ("empty.mp4", r"empty \(0 bytes\).*again"),
        ("text.mp4", "not a video, or damaged"),
        ("sound.mp4", "no video stream"),
        ("folder", "holds no frames"),
    ],
)
def test_unreadable_videos_are_named_in_one_line(broken, name, said):
    with pytest.raises(ValueError, match=said) as error:
        read_frames(broken / name, [0, 19])
    assert str(broken / name) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match=said):
        list(iterate_frames(broken / name))


def test_a_missing_video_is_named(tmp_path):
    for read in (video_info, iterate_frames, lambda path: read_frames(path, [0])):
        with pytest.raises(FileNotFoundError, match=r"no video at .*gone\.mp4"):
            read(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    "name", ["2026-11-25T12:30:45.mp4", "-i.mp4", "a%03d.gif", "concat:b.mp4", "pipe:0", "*[b]?.mp4", "b.jpg.txt", "b"]
)
def test_a_name_is_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "made.mp4", numbered(9)).rename(name)
    assert [number_of(frame) for frame in iterate_frames(name)] == list(range(9))
    assert [number_of(frame) for frame in read_frames(name, [7, 2])] == [7, 2]


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile made.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nmade.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "P5\n2 2\n255\nabcd",
    ],
    ids=["list", "playlist", "stream", "picture"],
)
def test_what_is_no_video_whatever_its_name_is_not_opened(tmp_path, text):
    encode(tmp_path / "made.mp4", numbered(9))
    (tmp_path / "text.mp4").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be decoded"):
        video_info(tmp_path / "text.mp4")


def test_what_is_no_file_is_named_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(ValueError, match=r"pipe\.mp4 is a pipe or a device"):
        video_info(tmp_path / "pipe.mp4")
    for name in ("with\0zero.mp4", "long" * 99):
        with pytest.raises(FileNotFoundError, match=r"no video at .*(with\\x00zero|longlong)"):
            video_info(name)


def test_a_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(numbered(6)[5]).save(tmp_path / "photo.png")
    assert video_info(tmp_path / "photo.png").times == (0, 0.04)
    assert [number_of(frame) for frame in iterate_frames(tmp_path / "photo.png")] == [5]


@pytest.mark.parametrize("indices", [[9], [-1], [0, 100], []])
def test_frames_outside_the_video_are_refused(tmp_path, indices):
    path = encode(tmp_path / "clip.mp4", numbered(9))
    with pytest.raises(ValueError, match=r"clip\.mp4: frames .* asked for; it holds 9"):
        read_frames(path, indices)


class Frames(torch.utils.data.Dataset):
    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 8

    def __getitem__(self, k):
        return number_of(read_frames(self.path, [k, k + 1])[1])


def test_workers_read_after_the_parent_has_read(tmp_path):
    path = encode(tmp_path / "clip.mp4", numbered(9))
    assert number_of(read_frames(path, [5])[0]) == 5
    assert torch.cat(list(DataLoader(Frames(path), num_workers=2, timeout=60))).tolist() == list(range(1, 9))


def test_a_bug_of_ours_is_not_told_as_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_turn", lambda frame: (False, 0, 1))
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        next(iterate_frames(shutil.copy(EXAMPLE, tmp_path)))


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_last_frame_shorter_than_the_others_is_shown_as_long_as_the_file_says(suffix, tmp_path):
    times = [0, 0.12, 0.24, 0.36, 0.40]
    path = write_video(tmp_path / f"short{suffix}", np.zeros((4, 32, 48, 3), np.uint8), 10, times=times)
    assert video_info(path).times == pytest.approx(times, abs=1e-3)
