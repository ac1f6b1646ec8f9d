"""Videos by their paths: files, and folders of frames, as a player shows them.

Frames are uint8 RGB (H, W, 3), numbered from 0 as they are shown, at the native rate and in upright orientation;
`decoding` says what a file's frames are.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from ..shared.files import is_litter

if TYPE_CHECKING:
    from .decoding import VideoFile

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}  # suffixes of a folder's frames
# suffixes of other pictures, which are not passed over in silence
UNREAD = {".tif", ".tiff", ".gif", ".jfif", ".jpe", ".jp2", ".heic", ".heif", ".avif", ".ppm", ".pgm", ".exr", ".dng"}
FOLDER_FPS = 25.0  # assumed where frames come without a rate
EXAMPLE = Path(__file__).with_name("example.mp4")  # twins 1103 of the toy world 0, 96 x 144: what "example" stands for


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without keeping its frames."""

    length: int  # frames
    fps: float
    height: int
    width: int
    aspect: Fraction  # width over height of a pixel
    times: tuple[float, ...]  # seconds at which each frame begins, from the first, and at which the last ends


def video_info(path: str | Path) -> VideoInfo:
    """Length, rate and size of a video file or folder of frames; "example" is a clip that ships with the package.

    Raises `FileNotFoundError` if there is nothing at `path`, `ValueError` if it is empty, damaged, cut short or not a
    video.
    """
    path = find_video(path)
    if files := _stills(path):
        from ..shared.images import image_shape

        times = tuple(k / FOLDER_FPS for k in range(len(files) + 1))
        return VideoInfo(len(files), FOLDER_FPS, *image_shape(files[0]), Fraction(1), times)
    file = _file(path)
    return VideoInfo(file.length, file.fps, file.height, file.width, file.aspect, file.times)


def video_length(path: str | Path) -> int:
    """Number of frames; errors as in `video_info`."""
    return video_info(path).length


def video_fps(video: str | Path | np.ndarray | Sequence[np.ndarray]) -> float:
    """Frames a second: a file's own rate, 25 for folders and arrays."""
    return video_info(video).fps if isinstance(video, str | Path) else FOLDER_FPS


def read_frames(path: str | Path, indices: Iterable[int]) -> np.ndarray:
    """Frames by 0-based index, in the order asked for and repeats included: (n, H, W, 3) uint8 RGB.

    Raises `ValueError` for an index outside the video, and as `video_info` does.
    """
    path, indices = find_video(path), [int(i) for i in indices]
    length, wanted = video_length(path), sorted(set(indices))
    if not wanted or wanted[0] < 0 or wanted[-1] >= length:
        raise ValueError(f"{path}: frames {indices} asked for; it holds {length}, numbered from 0")
    files = _stills(path)
    frames = list(_shown(files, wanted)) if files else _file(path).at_random(wanted)
    return np.stack([frames[k] for k in np.searchsorted(wanted, indices)])


def iterate_frames(video: str | Path | np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames one after the other in constant memory: (H, W, 3) uint8 RGB; those of arrays as `check_frame` gives them.

    A file is checked before the first frame comes; errors as in `video_info` and `check_frame`.
    """
    if not isinstance(video, str | Path):
        return (check_frame(frame, k) for k, frame in enumerate(video))
    path = find_video(video)
    files = _stills(path)
    return _shown(files, range(len(files))) if files else _file(path).in_order()


def check_frame(frame: np.ndarray, index: int) -> np.ndarray:
    """A frame as `(H, W, 3)` uint8; floats in [0, 1] are converted. Raises `ValueError` naming the frame."""
    frame = np.asarray(frame)
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"frame {index} has shape {frame.shape}; expected (height, width, 3)")
    if frame.dtype == np.uint8:
        return frame
    if not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(f"frame {index} is {frame.dtype}; expected uint8, or floats in [0, 1]")
    if not np.isfinite(frame).all() or frame.min() < 0 or frame.max() > 1:
        raise ValueError(f"frame {index} holds NaN, infinite values or values outside [0, 1]")
    return np.round(frame * 255).astype(np.uint8)


def frame_files(folder: str | Path) -> list[Path]:
    """The image files of a folder in the order of their numbers; sidecars and what systems leave behind do not count.

    Raises `ValueError` if there is none, two of one number, or one that is a frame by its name and is not read, such
    as `00003.tif` or `00003.jpg.part`: without it, later frames would have its place.
    """
    found: dict[tuple[tuple[int, str], ...], Path] = {}
    others = []
    for file in Path(folder).iterdir():
        if is_litter(file.name):
            continue
        if file.suffix.lower() not in IMAGES:
            others.append(file)
        elif (other := found.setdefault(_order(file.stem), file)) != file:
            raise ValueError(f"{folder} holds {other.name} and {file.name}, two files for one frame; move one away")
    named = {key[::2] for key in found}  # names without their numbers
    for file in others:
        key = _order(re.split(r"\.[^\W\d]", file.name.strip())[0])
        if file.suffix.strip().lower() in UNREAD or (key not in found and key[::2] in named and not file.is_dir()):
            raise ValueError(
                f"{folder} holds {file.name!r}, which is not read as a frame; save it as JPEG or PNG, complete and "
                "named like the others, or move it away"
            )
    if not found:
        raise ValueError(f"{folder} holds no frames: expected image files ({' '.join(sorted(IMAGES))})")
    return [found[key] for key in sorted(found)]


def _order(stem: str) -> tuple[tuple[int, str], ...]:
    """By what frames are sorted and told apart: texts, whatever their case, and numbers between them."""
    parts = re.split(r"(\d+)", normalize("NFC", stem).casefold())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def frame_names(video: object) -> Iterator[str]:
    """The names of a video's frames and of their masks: its pictures' own, without suffix, else 00000, 00001 ..."""
    stills = _stills(Path(video)) if isinstance(video, str | Path) else []
    return (file.stem for file in stills) if stills else (f"{k:05d}" for k in itertools.count())


def find_video(path: str | Path) -> Path:
    """The file or folder that a path names. Raises `FileNotFoundError`, or `ValueError` for an empty file."""
    path = Path(path)
    try:
        path = EXAMPLE if path == Path("example") and not path.exists() else path
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # also a name too long, or with a byte that no name can have
        name = path if "\0" not in str(path) else repr(str(path))
        raise FileNotFoundError(f"no video at {name}: expected a video file or a folder of frames") from error
    if path.is_file() and not size:
        raise ValueError(f"{path} is empty (0 bytes); copy or download it again")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is a pipe or a device; give a video file or a folder of frames")
    return path


def _file(path: Path) -> "VideoFile":
    from .decoding import scan

    stat = path.stat()
    return scan(path, stat.st_mtime_ns, stat.st_size)


def _stills(path: Path) -> list[Path]:
    """The pictures in a folder, or the picture itself; none for a video file."""
    return frame_files(path) if path.is_dir() else [path] * (path.suffix.lower() in IMAGES)


def _shown(files: Sequence[Path], wanted: Iterable[int]) -> Iterator[np.ndarray]:
    """The wanted frames of a folder, scaled to the size of the first."""
    from PIL import Image

    from ..shared.images import image_shape, read_rgb

    height, width = image_shape(files[0])
    for k in wanted:
        frame = read_rgb(files[k])
        if frame.shape[:2] != (height, width):
            frame = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
        yield frame
