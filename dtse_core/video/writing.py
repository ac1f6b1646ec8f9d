"""Writes videos: each frame for its duration, the same bytes for the same frames, and a mark that the file is ours.

H.264 in MP4, QuickTime and Matroska. WebM gets VP9, which at its fastest is no slower than H.264; libvpx's VP8
takes three times the space and gives other bytes each time.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.files import OURS, written_whole
from ..shared.versions import library
from .files import video_info

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # what `write_video` writes
FILMS = (*CONTAINERS, ".gif")  # a GIF is `save_gif`'s
VIDEO, FILM = f"video {OURS}", f"film {OURS}"  # marks of a video, and of one (or a GIF) with masks drawn on it
CLOCK = 90_000  # ticks a second where the rate varies


def is_film(path: str | Path) -> bool:
    """True for the name of a film, False for a folder's, which has no suffix or is there already.

    Raises `ValueError` for any other suffix: a user who asks for `masks.zip` does not want a folder of that name.
    """
    suffix = Path(path).suffix.lower()
    if suffix and suffix not in FILMS and not Path(path).is_dir():
        raise ValueError(f"{path} cannot be written; end it in {', '.join(FILMS)}, or name a folder, without a suffix")
    return suffix in FILMS


def as_shown(video: object) -> tuple[Sequence[float] | None, Fraction | int]:
    """A file's or folder's times and its pixels' aspect, as `write_video` takes them; None and 1 for arrays."""
    if not isinstance(video, str | Path):
        return None, 1
    info = video_info(video)
    return info.times, info.aspect


def even_times(fps: float, count: int) -> list[float]:
    """The seconds at which each of `count` frames begins, and the last one ends."""
    return [float(k / frame_rate(fps)) for k in range(count + 1)]


def frame_rate(fps: float) -> Fraction:
    """Frames a second as containers store them. Raises `ValueError` for what is not a rate."""
    if not 1e-3 <= fps <= 1e5:  # nor NaN
        raise ValueError(f"fps is {fps}; expected frames a second, from 0.001 to 100000")
    return Fraction(fps).limit_denominator(65535)


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    quality: int = 12,
    mark: str = VIDEO,
    times: Sequence[float] | None = None,
    aspect: Fraction | float = 1,
) -> Path:
    """Writes (H, W, 3) uint8 RGB frames (stored as yuv420p), one at a time; `path` appears when it is complete.

    Only even sizes can be stored: an odd one is padded by repeating its last row or column. `quality` is x264's CRF,
    0 to 51, smaller is better. The same frames give the same bytes. `mark` is the file's comment, by which it is known
    as ours; without one, any video of that name is replaced.

    `times` are the seconds at which each frame begins and the last one ends, kept where `fps` alone would not tell
    them. `aspect` is a pixel's width over its height; WebM does not store it, so its frames are scaled to the width
    shown. Raises `ValueError` for frames, times and rates that cannot be written, `OSError` for a place that cannot be
    written to.
    """
    path, rate = Path(path), frame_rate(fps)
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise ValueError(f"{path}: cannot write {suffix or 'this'} videos; end the name in {', '.join(CONTAINERS)}")
    av = library("av", path)
    ticks: Iterator[int]
    if times is None or all(abs(time - k / float(rate)) <= 1e-3 for k, time in enumerate(times)):
        clock, ticks = rate, itertools.count()
    else:
        clock, ticks = Fraction(CLOCK), _ticks(times)
    options = {"fflags": "+bitexact"} if suffix in (".mkv", ".webm") else {}  # no random numbers in the header
    try:
        with (  # an absolute name, as a relative one with a colon would be a protocol's
            written_whole(path, mark) as part,
            av.open(os.path.abspath(part), "w", format=CONTAINERS[suffix], options=options) as container,
        ):
            container.metadata.update({"comment": mark} if mark else {})
            stream: Any = None
            shown: dict[int, int] = {}  # tick at which a frame begins -> ticks for which it is shown
            for frame, (begin, end) in zip(_checked(frames, path), itertools.pairwise(ticks), strict=False):
                if stream is None:
                    stream = _stream(container, suffix, frame.shape, rate, quality, clock, Fraction(aspect))
                image = av.VideoFrame.from_numpy_buffer(frame, format="rgb24")
                image = image.reformat(stream.width, stream.height, "yuv420p", interpolation="AREA")
                image.pts, image.time_base, shown[begin] = begin, 1 / clock, end - begin
                _mux(container, stream.encode(image), shown)
            if stream is None:
                raise ValueError(f"{path}: no frames to write")
            _mux(container, stream.encode(None), shown)
    except av.FFmpegError as error:  # the encoder's; those of the disk are `written_whole`'s
        raise ValueError(
            f"{path} cannot be written ({error.strerror}); try smaller frames or another format"
        ) from error
    return path


def _stream(
    container: Any, suffix: str, shape: tuple[int, ...], rate: Fraction, quality: int, clock: Fraction, aspect: Fraction
) -> Any:
    """A new stream. One thread and no look-ahead, which reads uninitialized memory: either would change the bytes."""
    stream = container.add_stream("libvpx-vp9" if suffix == ".webm" else "libx264", rate=rate)
    stream.height, stream.width, stream.pix_fmt = *shape[:2], "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.colorspace = 5  # BT.601: what the conversion from RGB uses
    if suffix == ".webm":
        stream.width = max(2, 2 * round(shape[1] * aspect / 2))
        stream.options = {"crf": str(quality * 63 // 51), "b": "0", "deadline": "realtime", "cpu-used": "8"}
        stream.options |= {"lag-in-frames": "0", "auto-alt-ref": "0"}
    else:
        stream.options = {"crf": str(quality), "preset": "veryfast", "rc-lookahead": "0"}
        if aspect != 1:
            stream.codec_context.sample_aspect_ratio = aspect.limit_denominator(1000)
        if clock != rate:  # no B-frames: MP4 would give their durations in the order of decoding
            stream.options |= {"bf": "0"}
    stream.codec_context.time_base = 1 / clock
    return stream


def _mux(container: Any, packets: Iterable[Any], shown: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = shown.pop(packet.pts)
        container.mux(packet)


def _ticks(times: Sequence[float]) -> Iterator[int]:
    """Times as ticks of `CLOCK`, no two of them equal."""
    last = -1
    for time in times:
        last = max(last + 1, round(time * CLOCK))
        yield last
    raise ValueError(f"{len(times)} times are given for more frames; expected one a frame, and the end of the last")


def _checked(frames: Iterable[np.ndarray], path: Path) -> Iterator[np.ndarray]:
    """Frames of one size, padded to even sides. Raises `ValueError` naming the first that is not."""
    first = None
    for k, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise ValueError(f"frame {k} is {frame.dtype} {frame.shape}; expected uint8 (height, width, 3)")
        first = first or frame.shape
        if frame.shape != first:
            raise ValueError(f"frame {k} has shape {frame.shape}, the frames before it {first}")
        height, width = first[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
        yield np.ascontiguousarray(frame)
