"""The frame cache: the same frames as without it, decoded once, and never a stale one."""

import io
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.shared.images import read_images
from dtse_core.video import frame_cache
from dtse_core.video.files import read_frames
from dtse_core.video.frame_cache import image_frames, video_frames
from dtse_core.video.writing import write_video


@pytest.fixture
def video(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 24, 3), np.uint8)
    return write_video(tmp_path / "a.mp4", frames, 10)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "frames").mkdir()
    for k in range(4):
        Image.fromarray(np.full((8, 10, 3), 50 * k, np.uint8)).save(tmp_path / "frames" / f"{k:05d}.png")
    return tmp_path / "frames"


@pytest.fixture
def counted(monkeypatch):
    """How many frames are decoded, in the order in which they are asked for."""
    asked = []
    monkeypatch.setattr(frame_cache, "read_frames", lambda path, i: asked.extend(i) or read_frames(path, i))
    monkeypatch.setattr(frame_cache, "read_images", lambda p: asked.extend(x.name for x in p) or read_images(p))
    return asked


def test_frames_are_decoded_once_and_stay_what_they_are(video, tmp_path, counted):
    cache = str(tmp_path / "new" / "cache")
    for indices in ([2, 0, 2], [0, 1, 2], [5, 5, 5], [0, 1, 2]):
        assert np.array_equal(video_frames(video, indices, cache), read_frames(video, indices))
    assert counted == [2, 0, 1, 5]
    assert all(path.suffix == ".npy" for path in (tmp_path / "new").rglob("*") if path.is_file())


def test_folders_and_lists_of_images_share_what_is_kept(folder, tmp_path, counted):
    cache, paths = str(tmp_path / "cache"), sorted(folder.iterdir())
    assert np.array_equal(video_frames(folder, [3, 0, 0], cache), read_frames(folder, [3, 0, 0]))
    assert np.array_equal(image_frames(paths[:2], cache), read_images(paths[:2]))
    assert counted == ["00003.png", "00000.png", "00001.png"]


def zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, np.zeros((8, 10, 3), np.uint8))
    return file.getvalue()


def lying() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 10**8, 3)})
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(40), zipped(), lying()])
def test_what_is_not_a_frame_is_replaced_by_one(folder, tmp_path, content, counted):
    cache, path = str(tmp_path / "cache"), min(folder.iterdir())
    image_frames([path], cache)
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    kept.write_bytes(content)
    for _ in range(2):
        assert np.array_equal(image_frames([path], cache), read_images([path]))
    assert counted == [path.name] * 2


def test_without_a_folder_nothing_is_kept(video, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    video_frames(video, [0, 1])
    image_frames(sorted(folder.iterdir()))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_source_that_changed_is_decoded_anew(folder, tmp_path):
    cache, path = str(tmp_path / "cache"), folder / "00001.png"
    assert image_frames([path], cache)[0, 0, 0, 0] == 50
    stat = path.stat()
    Image.fromarray(np.full((8, 10, 3), 99, np.uint8)).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert image_frames([path], cache)[0, 0, 0, 0] == 99


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_or_outdated_file_is_never_trusted(folder, tmp_path, monkeypatch, counted, damage):
    cache, path = tmp_path / "cache", folder / "00002.png"
    image_frames([path], str(cache))
    (kept,) = cache.rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:-5] if damage is None else damage)
    assert np.array_equal(image_frames([path], str(cache)), read_images([path]))
    assert len(counted) == 2 and np.load(kept).shape == (8, 10, 3)  # and it is mended
    monkeypatch.setattr(frame_cache, "VERSION", -1)
    image_frames([path], str(cache))
    assert len(counted) == 3


def test_errors_are_those_of_reading(folder, video, tmp_path):
    cache = str(tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=r"00009\.png"):
        image_frames([folder / "00009.png"], cache)
    with pytest.raises(ValueError, match="it holds 6, numbered from 0"):
        video_frames(video, [6], cache)
    with pytest.raises(ValueError, match="it holds 4, numbered from 0"):
        video_frames(folder, [4], cache)
    Image.new("RGB", (3, 3)).save(folder / "00003.png")
    for paths in ([folder / "00003.png"], [folder / "00000.png"], [folder / "00000.png", folder / "00003.png"]):
        if len(paths) == 2:
            with pytest.raises(ValueError, match=r"00003\.png is \(3, 3\), 00000\.png \(8, 10\)"):
                image_frames(paths, cache)
        else:
            image_frames(paths, cache)


def test_an_interrupted_write_leaves_no_file(folder, tmp_path, monkeypatch):
    def full(file, frame):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache.np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        image_frames([folder / "00000.png"], str(tmp_path / "cache"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def _read(arguments):
    paths, cache = arguments
    return image_frames(paths, cache).sum()


def test_several_processes_share_a_folder(folder, tmp_path):
    paths, cache = sorted(folder.iterdir()), str(tmp_path / "cache")
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        sums = list(pool.map(_read, [(paths, cache)] * 12))
    assert set(sums) == {read_images(paths).sum()} and len(list((tmp_path / "cache").rglob("*"))) >= len(paths)


def test_data_sets_use_it(toy_a2d_root, tmp_path):
    config = DataConfig(name="a2d", root=str(toy_a2d_root), cache=str(tmp_path / "cache"))
    kept = build_dataset(config, "val", 3)
    plain = build_dataset(DataConfig(name="a2d", root=str(toy_a2d_root)), "val", 3)
    for _ in range(2):
        assert np.array_equal(kept[0].frames, plain[0].frames)
    assert list((tmp_path / "cache").rglob("*.npy"))
