"""Writes a prediction as files: masks, overlay video, small GIF, table of confidences.

`write_prediction` writes a stream as it comes, so that the memory does not grow with the video's length.
Notebook: 12_your_own_video.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ..shared.files import ANY, OURS, as_text, read_rows, require_ours, write_json, written_whole
from ..shared.versions import versions
from .files import frame_names
from .overlay import legend, overlay_all, save_gif
from .prediction import Step, Video, save_mask
from .writing import FILM, VIDEO, as_shown, even_times, is_film, write_video

GIF_BYTES = 1_500_000  # most that a small GIF takes
TABLE = "confidence.csv"
PREDICTION = f"prediction {OURS}"  # the mark of its folder


class Preview:
    """Small overlays of at most `most` frames of a stream, evenly spaced: each, every second, every fourth ..."""

    def __init__(self, most: int = 100, width: int = 384, aspect: Fraction | float = 1):
        self.most, self.width, self.aspect = most, width, aspect
        self.frames: list[np.ndarray] = []
        self.every, self.seen = 1, 0

    def add(self, frame: np.ndarray, masks: np.ndarray) -> None:
        """The stream's next frame (H, W, 3) and its masks (S, H, W)."""
        if self.seen % self.every == 0:
            height, width = frame.shape[0], max(1, round(frame.shape[1] * self.aspect))
            size = width, height
            if width > self.width:
                size = self.width, max(1, round(height * self.width / width))
            small = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
            grown = [Image.fromarray(m.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR) for m in masks]
            self.frames.append(overlay_all(small, [np.asarray(m) > 127 for m in grown]))
            if len(self.frames) > self.most:
                self.frames, self.every = self.frames[::2], 2 * self.every
        self.seen += 1

    def save(
        self, path: str | Path, expressions: Sequence[str], times: Sequence[float], limit: int = GIF_BYTES
    ) -> Path:
        """Writes a looping GIF of at most `limit` bytes, with the expressions below the frames.

        `times` are those of the whole stream. What does not fit is made narrower, and at 64 pixels loses every second
        frame.
        """
        frames, width = self.frames, min(self.width, 2 * self.frames[0].shape[1])
        times = [*times[:-1][:: self.every], times[-1]]
        while True:
            strip = legend(expressions, width)
            height = max(1, round(width * frames[0].shape[0] / frames[0].shape[1]))
            pages = [np.concatenate([np.asarray(Image.fromarray(f).resize((width, height))), strip]) for f in frames]
            size = save_gif(path, pages, width=width, times=times).stat().st_size
            if size <= limit or (width <= 64 and len(frames) == 1):
                return Path(path)
            if width > 64:
                width = max(64, int(0.95 * width * (limit / size) ** 0.5))
            else:
                frames, times = frames[::2], [*times[:-1:2], times[-1]]


def require_place(out: str | Path, video: object) -> None:
    """Raises an error as `is_film` and `require_ours` do if the prediction for `video` must not be written to `out`."""
    film = is_film(out)
    require_ours(out, FILM if film else PREDICTION, folder=not film, inputs=[video])


def write_prediction(
    steps: Iterable[Step],
    expressions: Sequence[str],
    out: str | Path,
    fps: float,
    video: Video | None = None,
    about: dict[str, str] | None = None,
) -> np.ndarray:
    """Writes a stream as it comes, and returns the mean confidence and mean area of each expression, `(S, 2)`.

    `out` ending in `.mp4`, `.mov`, `.mkv`, `.webm` or `.gif` gets the overlay of all expressions. A name without suffix
    becomes a folder that holds `overlay.mp4`, `overlay.gif` of at most 1.5 MB, `confidence.csv` with a row for each
    frame and expression, and per expression a folder `0`, `1` ... of mask PNGs beside `expressions.txt`; what `about`
    says of the model stands in `prediction.json` with the versions. Of the file or folder `video` the frames' names,
    times and shape are kept. All appears when it is complete; a cut run leaves
    nothing that looks finished. An earlier prediction is replaced; raises as `require_place` does.
    """
    out, film, (times, aspect) = Path(out), is_film(out), as_shown(video)
    gif, preview, rows = out.suffix.lower() == ".gif", Preview(aspect=aspect), list[tuple[int, int, float, float]]()

    def recorded(folder: Path | None = None) -> Iterator[Step]:
        for step, name in zip(steps, frame_names(video), strict=False):
            areas = step.masks.mean((1, 2))
            rows.extend((step.index, k, c, a) for k, (c, a) in enumerate(zip(step.confidence, areas, strict=True)))
            if gif or folder:
                preview.add(step.frame, step.masks)
            if folder:
                for k, mask in enumerate(step.masks):
                    save_mask(folder / str(k) / f"{name}.png", mask)
            yield step
        if not rows:
            raise ValueError(f"{out}: no frames to write")

    def save_film(path: Path, shown: Iterator[Step], mark: str) -> None:
        drawn = (overlay_all(step.frame, step.masks) for step in shown)
        write_video(path, drawn, fps, 23, mark, times, aspect)

    def save_preview(path: Path) -> None:
        preview.save(path, expressions, times or even_times(fps, preview.seen))

    if gif:
        deque(recorded(), 0)  # to their end
        save_preview(out)
    elif film:
        save_film(out, recorded(), FILM)
    else:
        with written_whole(out, PREDICTION, folder=True) as folder:
            save_film(folder / "overlay.mp4", recorded(folder), VIDEO)
            save_preview(folder / "overlay.gif")
            lines = [f"{k} {' '.join(as_text(e).split())}\n" for k, e in enumerate(expressions)]
            (folder / "expressions.txt").write_text("".join(lines), encoding="utf-8")
            head = "frame,expression,confidence,area"
            if about:
                write_json(folder / "prediction.json", about | {"versions": versions()}, ANY)
            np.savetxt(folder / TABLE, rows, ["%d", "%d", "%.6f", "%.6f"], ",", header=head, comments="")
    return np.array(rows)[:, 2:].reshape(-1, len(expressions), 2).mean(0)


def summary(expressions: Sequence[str], table: np.ndarray) -> str:
    """What `write_prediction` returned as lines: mean confidence and mean area of each expression."""
    rows = (f"{confidence:10.3f} {area:6.1%}  {e}" for e, (confidence, area) in zip(expressions, table, strict=True))
    return "\n".join(["confidence   area  expression", *rows])


def read_confidence(folder: str | Path) -> np.ndarray:
    """Confidence and area of each frame and expression, `(T, S, 2)`, from a folder that `write_prediction` wrote.

    Area is the share of the frame that the mask covers. Raises `FileNotFoundError` if there is no such folder, and
    `ValueError` for a table that is not whole.
    """
    file = Path(folder) / TABLE
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; expected a folder that python -m dtse_core.predict --out wrote")
    try:
        cells = [row for _, row in read_rows(file)][1:]  # without the head
        rows = np.array([[float(cell) for cell in row] for row in cells]).reshape(-1, 4)
        S = int(rows[:, 1].max()) + 1
        if not np.array_equal(rows[:, :2], [divmod(n, S) for n in range(len(rows))]):
            raise ValueError("frames or expressions are missing")
        if not ((rows[:, 2:] >= 0) & (rows[:, 2:] <= 1)).all():
            raise ValueError("a confidence or an area is not between 0 and 1")
        return rows[:, 2:].reshape(-1, S, 2)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file} is not the table of a prediction ({error}); write the prediction again") from error
