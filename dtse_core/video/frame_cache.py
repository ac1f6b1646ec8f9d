"""Keeps decoded frames as files: a second epoch reads the arrays that the first one decoded.

One `.npy` a frame, uncompressed (H * W * 3 bytes), in a folder of the user's (`data.cache`). Its name is a hash of the
source's path, size and time of change, the frame's index and `VERSION`: a source that changed has another name, so
nothing stale is read. Files appear whole, so that several processes can share a folder.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.files import ANY, written_whole
from ..shared.images import read_images
from .files import frame_files, read_frames

VERSION = 2  # of what is kept: raise it when decoding changes
Source = tuple[Path, int]  # a video and a frame's index in it, or an image and 0


def video_frames(path: Path, indices: Sequence[int], cache: str = "") -> np.ndarray:
    """As `read_frames`: (n, H, W, 3) uint8 RGB, through the folder `cache` if one is given."""
    if path.is_dir():
        files = frame_files(path)
        if all(0 <= i < len(files) for i in indices):
            return image_frames([files[i] for i in indices], cache)
    return _through(cache, [(path, i) for i in indices], lambda wanted: read_frames(path, [i for _, i in wanted]))


def image_frames(paths: Sequence[Path], cache: str = "") -> np.ndarray:
    """As `read_images`: (n, H, W, 3) uint8 RGB, through the folder `cache` if one is given."""
    return _through(cache, [(path, 0) for path in paths], lambda wanted: read_images([path for path, _ in wanted]))


def _through(cache: str, sources: list[Source], read: Callable[[list[Source]], np.ndarray]) -> np.ndarray:
    if not cache or not all(path.is_file() for path, _ in sources):  # what is missing is `read`'s to explain
        return read(sources)
    files = {source: _file(cache, *source) for source in sources}
    frames: dict[Source, Any] = {source: _load(file) for source, file in files.items()}
    if missing := [source for source, frame in frames.items() if frame is None]:
        for source, frame in zip(missing, read(missing), strict=True):
            frames[source] = frame
            _store(files[source], frame)
    if len({frame.shape for frame in frames.values()}) > 1:
        return read(sources)  # which says what differs
    return np.stack([frames[source] for source in sources])


def _file(cache: str, path: Path, index: int) -> Path:
    stat = path.stat()
    key = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{index}\n{VERSION}"
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return Path(cache).expanduser() / name[:2] / f"{name}.npy"


def _load(file: Path) -> np.ndarray | None:
    """A kept frame; None if there is none, or what is there is not a frame."""
    try:
        with open(file, "rb") as kept:
            frame = np.lib.format.read_array(kept)
    except (OSError, ValueError, EOFError, MemoryError):  # a length that lies asks for too much
        return None
    return frame if frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 else None


def _store(file: Path, frame: np.ndarray) -> None:
    with written_whole(file, ANY) as part, part.open("wb") as out:
        np.save(out, frame)
