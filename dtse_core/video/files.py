"""Reading videos: decord first, PyAV where decord cannot, folders of frames always.

Frames are uint8 RGB (H, W, 3), numbered from 0 as they are shown, at the native rate and in upright orientation.
decord and PyAV give the same ones; decord is left out where it would not: it ignores edit lists, miscounts videos
that start without a key frame and dithers 10-bit ones.
"""

import functools
import importlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.files import image_shape, read_rgb

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}  # what counts as a frame in a folder
FOLDER_FPS = 25.0  # assumed where frames come without a rate
EXAMPLE = Path(__file__).with_name("example.mp4")  # twins 1103 of the toy world 0, 96 x 144: what "example" stands for


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without decoding it all."""

    length: int  # frames
    fps: float
    height: int
    width: int
    decord: bool = False  # decord can be trusted with it


def video_info(path: str | Path) -> VideoInfo:
    """Length, rate and size of a video file or folder of frames; "example" is a clip that ships with the package.

    Raises `FileNotFoundError` if there is nothing at `path`, `ValueError` if it is empty, damaged, cut short or not a
    video.
    """
    path = find_video(path)
    if path.is_dir():
        files = frame_files(path)
        return VideoInfo(len(files), FOLDER_FPS, *image_shape(files[0]))
    stat = path.stat()
    return _scan(path, stat.st_mtime_ns, stat.st_size)


def video_length(path: str | Path) -> int:
    """Number of frames; errors as in `video_info`."""
    return video_info(path).length


def video_fps(video: str | Path | np.ndarray | Sequence[np.ndarray]) -> float:
    """Frames a second: a file's own rate, 25 for folders and arrays."""
    return video_info(video).fps if isinstance(video, str | Path) else FOLDER_FPS


def read_frames(path: str | Path, indices: Iterable[int], backend: str = "auto") -> np.ndarray:
    """Frames by 0-based index, in the order asked for and repeats included: (n, H, W, 3) uint8 RGB.

    `backend` is `auto`, `decord` or `pyav`; a folder of frames needs neither. Raises `ValueError` for an index
    outside the video, and as `video_info` does.
    """
    if backend not in ("auto", "decord", "pyav"):
        raise ValueError(f"unknown video backend {backend!r}; it must be auto, decord or pyav")
    path, indices = find_video(path), [int(i) for i in indices]
    info = video_info(path)
    wanted = sorted(set(indices))
    if not wanted or wanted[0] < 0 or wanted[-1] >= info.length:
        raise ValueError(f"{path}: frames {indices} asked for; it holds {info.length}, numbered from 0")
    if path.is_dir():
        frames = list(_pictures(path, wanted))
    elif backend == "decord":
        if not info.decord:
            raise ValueError(f"{path}: decord is not installed, or would give other frames here; use auto or pyav")
        frames = _read_decord(path, wanted)
    else:
        try:
            frames = _read_decord(path, wanted) if backend == "auto" and info.decord else _read_pyav(path, wanted)
        except ValueError:  # decord's FFmpeg is old: it knows no AV1, for example
            frames = _read_pyav(path, wanted)
    return np.stack([frames[k] for k in np.searchsorted(wanted, indices)])


def iterate_frames(video: str | Path | np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames one after the other in constant memory: (H, W, 3) uint8 RGB. Arrays pass through as they are.

    A file is checked before the first frame comes; errors as in `video_info`.
    """
    if not isinstance(video, str | Path):
        return iter(video)
    path = find_video(video)
    video_info(path)
    if path.is_dir():
        return _pictures(path)
    if find_spec("av"):
        return _decode(path)
    reader = _open_decord(path)
    return (_unpadded(reader[i].asnumpy()) for i in range(len(reader)))


def frame_files(folder: str | Path) -> list[Path]:
    """The image files of a folder in the order of their numbers, dot-files left out.

    Raises `ValueError` if there is none, or two that differ in suffix alone: one may be the other's mask.
    """
    files = [f for f in Path(folder).iterdir() if f.suffix.lower() in IMAGES and not f.name.startswith(".")]
    if not files:
        raise ValueError(f"{folder} holds no frames: expected image files ({' '.join(sorted(IMAGES))})")
    named = {f.stem: f.name for f in files}
    for one in files:
        if one.name != (other := named[one.stem]):
            raise ValueError(f"{folder} holds {other} and {one.name}, two files for one frame; move one away")
    return sorted(files, key=lambda f: [(int(t), t) if t.isdecimal() else (-1, t) for t in re.split(r"(\d+)", f.name)])


def frame_names(video: object) -> Iterator[str]:
    """What the frames of a video are called, and their masks: a folder's files without suffix, else 00000, 00001 ..."""
    if isinstance(video, str | Path) and Path(video).is_dir():
        return (file.stem for file in frame_files(video))
    return (f"{k:05d}" for k in itertools.count())


def _pictures(folder: Path, wanted: Iterable[int] | None = None) -> Iterator[np.ndarray]:
    """The frames of a folder, or the wanted ones, at the size of the first, as a player shows them."""
    from PIL import Image

    files = frame_files(folder)
    height, width = image_shape(files[0])
    for k in range(len(files)) if wanted is None else wanted:
        frame = read_rgb(files[k])
        if frame.shape[:2] != (height, width):
            frame = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
        yield frame


def find_video(path: str | Path) -> Path:
    """The file or folder that a path stands for. Raises `FileNotFoundError`, or `ValueError` for an empty file."""
    path = Path(path)
    if path == Path("example") and not path.exists():
        return EXAMPLE
    if not path.exists():
        raise FileNotFoundError(f"no video at {path}: expected a video file or a folder of frames")
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"{path} is empty (0 bytes); copy or download it again")
    return path


@functools.lru_cache(4096)
def _scan(path: Path, modified: int, size: int) -> VideoInfo:
    """Walks through a file's packets without decoding them; `modified` and `size` only mark the file's version."""
    if not find_spec("av"):
        reader = _open_decord(path)
        height, width = reader[0].shape[:2]
        return VideoInfo(len(reader), float(reader.get_avg_fps()), height, width, decord=True)
    av = library("av", path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} holds no video stream; give a video file or a folder of frames")
            stream = container.streams.video[0]
            marks = [(p.is_corrupt, p.is_discard, p.is_keyframe) for p in container.demux(stream) if p.size]
            corrupt, promised = sum(mark[0] for mark in marks), stream.frames
            if not marks or corrupt or len(marks) < promised:
                raise ValueError(
                    f"{path} is cut short: {len(marks) - corrupt} of {promised or 'its'} frames are there; "
                    "copy or download it again"
                )
            shown, whole = sum(not mark[1] for mark in marks), marks[0][2]
            fps, bits = float(stream.average_rate or FOLDER_FPS), stream.format.components[0].bits
        with av.open(str(path)) as container:
            first = next(container.decode(video=0), None)
            if first is None:
                raise _damaged(path, 0)
            shape = (first.width, first.height) if first.rotation % 180 else (first.height, first.width)
    except av.FFmpegError as error:
        raise _damaged(path, 0) from error
    length = shown if whole else sum(1 for _ in _decode(path))
    decord = whole and shown == len(marks) and bits == 8 and find_spec("decord") is not None
    return VideoInfo(length, fps, *shape, decord)


def _decode(path: Path, wanted: set[int] | None = None) -> Iterator[np.ndarray]:
    """Decodes with PyAV from the start, and converts the wanted frames alone: seeking is not exact everywhere."""
    av, count = library("av", path), 0
    try:
        with av.open(str(path)) as container:
            for count, frame in enumerate(container.decode(video=0)):  # noqa: B007 - the error names it
                if wanted is None or count in wanted:
                    yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90 % 4))
    except av.FFmpegError as error:
        raise _damaged(path, count) from error


def _read_pyav(path: Path, wanted: list[int]) -> list[np.ndarray]:
    frames = [f for f, _ in zip(_decode(path, set(wanted)), wanted, strict=False)]
    if len(frames) < len(wanted):
        raise _damaged(path, wanted[len(frames)])
    return frames


def _read_decord(path: Path, wanted: list[int]) -> list[np.ndarray]:
    # One frame at a time: decord's get_batch never returns on some files that it can read singly.
    reader = _open_decord(path)
    try:
        return [_unpadded(reader[i].asnumpy()) for i in wanted]
    except Exception as error:  # decord's own classes, by version
        raise _damaged(path, wanted[0]) from error


def _unpadded(frame: np.ndarray) -> np.ndarray:
    """decord takes the padding of narrow rows for more channels: (H, W, 4) or more, with RGB first in each row."""
    height, width, _ = frame.shape
    return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


def _open_decord(path: Path) -> Any:
    decord = library("decord", path)
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path), num_threads=1)
    except Exception as error:
        raise _damaged(path, 0) from error


def library(name: str, path: Path) -> Any:
    """Imports a decoder where it is needed; torch first, since decord before torch can hang."""
    try:
        if name == "decord":
            importlib.import_module("torch")
        return importlib.import_module(name)
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{path} needs the package {name}: pip install 'dtse[data]', or give a folder of frames instead"
        ) from error


def _damaged(path: Path, frame: int) -> ValueError:
    return ValueError(
        f"{path} cannot be decoded (frame {frame}): not a video, or damaged; copy or download it again, "
        "convert it with another program, or give a folder of its frames"
    )
