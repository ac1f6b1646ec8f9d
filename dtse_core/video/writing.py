"""Writing videos: H.264, the same bytes for the same frames, in a file that says it is ours."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..shared.files import OURS, written_whole
from .files import library

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # what `write_video` writes
VIDEO, FILM = f"video {OURS}", f"film {OURS}"  # marks of a video, and of one (or a GIF) with masks drawn on it


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, quality: int = 12, mark: str = VIDEO
) -> Path:
    """Writes (H, W, 3) uint8 RGB frames as H.264 (yuv420p), one at a time; `path` appears when it is complete.

    The format stores even sizes only: an odd one is padded by repeating its last row or column. `quality` is
    x264's CRF, 0 to 51, smaller is better. The same frames give the same bytes: one thread, no time stamps, and no
    look-ahead, which reads uninitialized memory. `mark` is the file's comment, by which it is known as
    ours; without one, any video of that name is replaced.
    """
    path = Path(path)
    if path.suffix.lower() not in CONTAINERS:
        raise ValueError(f"{path}: cannot write {path.suffix or 'this'} videos; end the name in .mp4, .mov or .mkv")
    av = library("av", path)
    kind = CONTAINERS[path.suffix.lower()]
    with written_whole(path, mark) as part, av.open(str(part), "w", format=kind) as container:
        container.metadata.update({"comment": mark} if mark else {})
        stream = None
        for k, frame in enumerate(frames):
            frame = np.asarray(frame)
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
                raise ValueError(f"frame {k} is {frame.dtype} {frame.shape}; expected uint8 (height, width, 3)")
            if stream is None:
                shape = frame.shape
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(65535))
                stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(quality), "preset": "veryfast", "rc-lookahead": "0"}
                stream.codec_context.thread_count = 1
                stream.codec_context.colorspace = 5  # BT.601: what the conversion from RGB uses
            if frame.shape != shape:
                raise ValueError(f"frame {k} has shape {frame.shape}, the frames before it {shape}")
            padded = np.pad(frame, [(0, shape[0] % 2), (0, shape[1] % 2), (0, 0)], mode="edge")
            image = av.VideoFrame.from_ndarray(padded, format="rgb24")
            container.mux(stream.encode(image.reformat(format="yuv420p", interpolation="AREA")))
        if stream is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())
    return path
