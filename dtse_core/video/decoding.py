"""Video files as a player shows them: one decoder and one rule, for frames in order and at random.

A file's frames are those that the decoder of its largest stream shows from the first packet on, where the default
stream wins among equals and cover pictures do not count: not its packets, some of which hold no frame. They come
turned and mirrored as the file asks, over white where they are transparent, and at the size of the first.

Where every packet is known to show one frame (`_plain`), the times of the packets are the table of the frames: nothing
is decoded to count them, and a frame at random is reached from the key frame before it. Any other file (AVI, MPEG-TS,
an edit list, a start without a key frame) is decoded once to count its frames, and from its start to reach one.

PyAV alone decodes. decord, the reader that the field used, takes 1.1 to 1.7 times as long (`benchmarks/README.md`) and
returned wrong frames without an error for MPEG-TS, fragmented mp4, open groups of pictures and files with a preview;
torchcodec needs FFmpeg's libraries on the system; PyAV brings its own. A path is opened as a file and nothing else:
none of `FORMATS` opens other files.
"""

import functools
import io
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..shared.images import PIXELS
from ..shared.versions import library
from .containers import is_torn, promised_size

FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,mxf,nut,dv,rm,ivf,h264,hevc,obu,m4v,mpegvideo,mjpeg,yuv4mpegpipe,"
    "mp3,wav,flac,aac"  # sound, to be called so
)
INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # formats whose key frames are found by their times
SINGLE = ("h264", "hevc", "vp8", "vp9", "av1")  # codecs with one picture in a packet, shown or hidden
ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # they decode transparency, which FFmpeg's own decoders leave out
PACKAGE = Path(__file__).parents[1]
USUAL_RATE = Fraction(25)  # assumed where frames come without one
RESTARTS = 0x200  # FFmpeg's flag of formats whose clock may restart
LEAP = 10  # seconds: a longer step is a restart there, not a pause (as in FFmpeg)


@dataclass(frozen=True)
class VideoFile:
    """A video file's frames, and how to read them."""

    path: Path
    length: int  # frames
    fps: float
    height: int
    width: int
    aspect: Fraction
    times: tuple[float, ...]
    stored: tuple[int, int]  # width and height in the file
    turn: tuple[bool, int, int]  # rows for columns; then 1 or -1 for the order of rows, and of columns
    whole: bool  # its size is the one that it states
    pts: tuple[int, ...]  # the time of each frame and of each key frame; empty where frames are not found by time
    keys: tuple[int, ...]

    def in_order(self, wanted: Collection[int] | None = None) -> Iterator[np.ndarray]:
        """All frames, decoded by several threads, or the wanted ones, by one: (H, W, 3) uint8 RGB, from the start on.

        Raises `ValueError` where the file is damaged. What FFmpeg conceals of that depends on how fast its threads are;
        one alone conceals always the same.
        """
        picture, k = _as_shown(self.stored, self.turn), -1
        with _opened(self.path) as (container, stream):
            if self.pts and wanted is None:
                stream.thread_count, stream.thread_type = 0, "AUTO"  # several frames at once
            for k, frame in enumerate(_pictures(self.path, container, stream, self.whole)):
                if wanted is None or k in wanted:
                    yield picture(frame)
        if k + 1 != self.length:
            raise _damaged(self.path, k + 1)

    def at_random(self, wanted: list[int]) -> list[np.ndarray]:
        """The wanted frames, ascending, each from the key frame before it where one is known. Raises as `in_order`."""
        picture, picked = _as_shown(self.stored, self.turn), {}
        with suppress(ValueError), _opened(self.path) as (container, stream):
            for key, group in groupby(wanted if self.keys else [], lambda k: bisect_right(self.keys, self.pts[k])):
                begin, sought = self.keys[key - 1], list(group)
                container.seek(begin, stream=stream)
                frames = (f for f in _pictures(self.path, container, stream, self.whole) if f.pts >= begin)
                for k, frame in zip(range(bisect_left(self.pts, begin), sought[-1] + 1), frames, strict=False):
                    if frame.pts != self.pts[k] or frame.is_corrupt:
                        raise _damaged(self.path, k)  # or decoding cannot start here: then from the beginning
                    if k in sought:
                        picked[k] = picture(frame)
        if len(picked) < len(wanted):
            picked = dict(zip(wanted, self.in_order(set(wanted)), strict=False))
        return [picked[k] for k in wanted]


class Mark(NamedTuple):
    """What is kept of a packet."""

    pts: Any  # None where the file says nothing
    duration: int
    key: bool
    sound: bool  # neither damaged nor to be discarded
    shows: bool


@functools.lru_cache(4096)
def scan(path: Path, modified: int, size: int) -> VideoFile:
    """Reads through a file's packets; `modified` (ns) and `size` (bytes) tell its versions apart.

    Raises `ValueError` if it is not a video, is damaged, or is known to be cut short.
    """
    promised = promised_size(path, size)
    if promised is not None and promised > size:
        raise ValueError(f"{path} is cut short: {size} of its {promised} bytes are there; copy or download it again")
    whole = promised is not None
    with _opened(path) as (container, stream):
        marks: list[Mark] = []
        faults: list[Exception] = []
        first: Any = None
        for packet in _packets(container, stream, faults):
            first = first or (None if marks else _alone(stream, packet))
            sound = not packet.is_corrupt and not packet.is_discard
            marks.append(Mark(packet.pts, packet.duration, packet.is_keyframe, sound, _shows(stream, packet)))
        base, rate = stream.time_base, stream.average_rate or USUAL_RATE
        aspect, restarts = stream.sample_aspect_ratio or Fraction(1), bool(container.format.flags & RESTARTS)
        plain = first is not None and whole and not faults and _plain(container.format.name, stream, marks)
    if plain:
        shown = sorted((mark.pts, mark.duration) for mark in marks if mark.shows)
    else:
        with _opened(path) as (container, stream):
            first, shown = None, []
            for frame in _pictures(path, container, stream, whole):
                first = first or frame
                shown.append((frame.dts if frame.pts is None else frame.pts, frame.duration))
        if is_torn(path, size):
            _note(path)
    stored, turn = (first.width, first.height), _turn(first)
    width, height = stored[::-1] if turn[0] else stored
    times = _times(shown, base, rate, restarts)
    fps = float(rate) if abs(len(shown) / times[-1] / rate - 1) < 0.02 else len(shown) / times[-1]
    pts = tuple(pts for pts, _ in shown) if plain else ()
    keys = tuple(sorted(mark.pts for mark in marks if mark.key)) if plain else ()
    aspect = 1 / aspect if turn[0] else aspect
    return VideoFile(path, len(shown), fps, height, width, aspect, times, stored, turn, whole, pts, keys)


class _File(io.FileIO):
    """A file that answers a seek to before its start with -1, as FFmpeg expects, instead of an exception."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except OSError:
            return -1


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A file's container and the stream to show; what PyAV raises in the block becomes a `ValueError` of one line."""
    av = library("av", f"{path}, which is not a folder of frames,")
    alone = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}  # as PyAV 19 always is
    kinds, unaligned = av.stream.Disposition, av.codec.context.Flags.unaligned.value
    with _File(path) as file:
        try:
            with av.open(file, container_options=alone, **lenient) as container:
                parts = kinds.attached_pic | kinds.timed_thumbnails | kinds.dependent
                streams = [s for s in container.streams.video if s.codec_context and not s.disposition & parts]
                if not streams:
                    raise ValueError(f"{path} holds no video stream; give a video file or a folder of frames")
                for stream in streams:
                    stream.thread_count = 1  # data loaders run several processes
                    stream.codec_context.flags |= unaligned  # else H.264's decoder crops less than the file says
                    stream.codec_context.options = {"max_pixels": str(2 * PIXELS)}  # with what fills its last blocks
                container.flags &= ~av.container.Flags.gen_pts.value  # PyAV's default, which guesses wrong in AVI
                shown = max(streams, key=lambda s: (s.width * s.height, bool(s.disposition & kinds.default)))
                if shown.width * shown.height > PIXELS:
                    raise ValueError(f"{path} has frames of {shown.width} x {shown.height} pixels; scale it down")
                yield container, shown
        except Exception as error:  # of many classes: damaged files stumble in PyAV's code as in FFmpeg's
            if _from_here(error):
                raise
            raise _damaged(path, 0) from error


def _from_here(error: Exception) -> bool:
    """True for an error that the package's own code raises: one line already, or a bug that must show."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return place is not None and Path(place.tb_frame.f_code.co_filename).is_relative_to(PACKAGE)


def _packets(container: Any, stream: Any, faults: list[Exception]) -> Iterator[Any]:
    """The stream's packets that are not empty; where the container is damaged they end, and `faults` gets the error."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except library("av", Path(container.name)).FFmpegError as error:
        faults.append(error)


def _pictures(path: Path, container: Any, stream: Any, whole: bool) -> Iterator[Any]:
    """The decoder's frames, from where the container stands.

    Packets before the first frame may fail, because they refer to missing frames, and the last, where the file is cut.
    """
    av, decoder, count = library("av", path), stream, 0
    faults: list[Exception] = []
    if stream.metadata.get("alpha_mode") == "1" and stream.codec.canonical_name in ALPHA:
        decoder = av.CodecContext.create(ALPHA[stream.codec.canonical_name], "r")
    for packet in chain(_packets(container, stream, faults), [None]):  # None: flush
        if faults and count and packet:
            raise _damaged(path, count) from faults[-1]
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError as error:
            faults.append(error)
            continue
        if packet:
            faults.clear()
        for frame in frames:
            yield frame
            count += 1
    if not count or (faults and whole):
        raise _damaged(path, count)
    if faults or (frame.is_corrupt and not whole):
        _note(path)


def _alone(stream: Any, packet: Any) -> Any:
    """The frame that the first packet gives by itself; None if it does not."""
    if not packet.is_keyframe:
        return None
    with suppress(Exception):  # decoding from the start will tell
        return next(iter([*stream.decode(packet), *stream.decode(None)]), None)


def _plain(container: str, stream: Any, marks: list[Mark]) -> bool:
    """True where each packet is one frame, or known to be hidden, and times say which and in what order."""
    pts = [mark.pts for mark in marks if mark.shows]
    if None in pts:
        return False
    steps = np.diff(np.sort(pts))
    # Pictures of HEVC whose key frame is missing are left out: where there is a hole, it may be one.
    hole = stream.codec.canonical_name == "hevc" and len(steps) > 0 and steps.max() > 1.5 * np.median(steps)
    return (
        container in INDEXED
        and stream.codec.canonical_name in SINGLE
        and all(mark.sound for mark in marks)
        and marks[0].key
        and bool((steps > 0).all())
        and min(pts) == pts[0]
        and (pts != sorted(pts)) == stream.codec_context.has_b_frames  # else they are not presentation times
        and not hole
    )


def _shows(stream: Any, packet: Any) -> bool:
    """False for a packet whose picture only serves to predict others, as in VP8 (RFC 6386, 9.1) and VP9 (6.2)."""
    codec, data = stream.codec.canonical_name, memoryview(packet)
    if codec == "vp8":
        return bool(data[0] & 0x10)
    if codec == "vp9" and data[-1] & 0xE0 != 0xC0:  # not a superframe, whose last picture is shown
        bits = data[0] if data[0] & 0x30 == 0x30 else data[0] >> 1  # profile 3 has one bit more
        return bool(bits & 0b101)  # show_existing_frame or show_frame
    return True


def _turn(frame: Any) -> tuple[bool, int, int]:
    """How stored rows and columns become shown ones: by the display matrix, to a quarter turn."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return False, 1, 1
    right_x, right_y, _, down_x, down_y = np.frombuffer(frame.side_data["DISPLAYMATRIX"], np.int32)[:5].tolist()
    across = abs(right_y) > abs(right_x)  # a step to the right in the file is one down, or up, on the screen
    rows, columns = (right_y, down_x) if across else (down_y, right_x)
    return across, -1 if rows < 0 else 1, -1 if columns < 0 else 1


def _as_shown(size: tuple[int, int], turn: tuple[bool, int, int]) -> Callable[[Any], np.ndarray]:
    """What makes a decoded frame an array (H, W, 3)."""
    from av.video.reformatter import VideoReformatter

    reformat, (across, rows, columns) = VideoReformatter().reformat, turn  # keeps its tables between frames

    def picture(frame: Any) -> np.ndarray:
        clear = frame.format.has_palette or any(c.is_alpha for c in frame.format.components)
        image = reformat(frame, *size, "rgba" if clear else "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
        if clear:
            alpha = image[..., 3:].astype(np.uint16)
            image = ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray((image.swapaxes(0, 1) if across else image)[::rows, ::columns])

    return picture


def _times(shown: list[tuple], base: Fraction, rate: Fraction, restarts: bool) -> tuple[float, ...]:
    """Seconds of `VideoInfo.times` from (pts, duration) in units of `base`; by the rate where there are none."""
    pts = np.array([np.nan if pts is None else pts for pts, _ in shown])
    if not restarts:
        pts.sort()  # the first frame has the first time, whatever packets say; NaN comes last
    steps = np.diff(pts)
    told = (steps > 0) & ((steps * float(base) <= LEAP) | (not restarts))
    usual = np.median(steps[told] if told.any() else [d for _, d in shown if d] or [float(1 / (rate * base))])
    last = shown[-1][1] or 0
    last = last if (last > 1 or usual <= 1) and not np.isnan(pts).any() else usual  # one tick is said without knowing
    ends = np.append(np.where(told, steps, usual), last).cumsum() * base.numerator / base.denominator
    return (0.0, *ends.tolist())


@functools.cache
def _note(path: Path) -> None:
    """Once per file and process."""
    print(f"note: {path} is cut short, or damaged at its end; it is read to its last whole frame", file=sys.stderr)


def _damaged(path: Path, frame: int) -> ValueError:
    return ValueError(
        f"{path} cannot be decoded (frame {frame}): not a video, or damaged; copy or download it again, "
        "convert it with another program, or give a folder of its frames"
    )
