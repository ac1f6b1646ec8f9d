"""Reads predicted masks of any method from a folder or a zip; `mask_files` has their layout."""

import functools
import hashlib
import math
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path, PureWindowsPath

import numpy as np
from tqdm import tqdm

from ..data.clip import ReferringClip, ReferringVideo
from ..shared.archives import DAMAGE
from ..shared.console import bars_hidden
from ..shared.files import files_below, parse_json
from ..shared.images import image_shape, read_index_mask, require_shape
from .mask_files import (
    INDEX,
    TOP,
    expression_folder,
    is_hidden,
    open_masks,
    refuse_member,
    sequence_folder,
)
from .video_metrics import MOST_PROPOSALS

WAY = "dtse_core/scoring/mask_files.py tells the layout"


class MaskReader:
    """The predicted masks at `path`, by name. It can be pickled: DataLoader workers open a zip themselves.

    `home` is the data set's name. Raises `FileNotFoundError` or `ValueError`, naming file and remedy, for what is
    neither a folder nor a zip that can be read without harm.
    """

    window = 1, False  # frames that a clip needs: its own

    def __init__(self, path: str | Path, home: str):
        self.path, self.home = Path(path), home
        if not self.path.exists():
            raise FileNotFoundError(f"no masks at {self.path}: expected a folder or a zip; {WAY}")
        files = (file.relative_to(self.path).as_posix() for file in files_below(self.path))
        names = _zip_names(self.path) if self.path.is_file() else files
        self.names = frozenset(name for name in names if not is_hidden(name))
        if not self.names:
            raise ValueError(f"{self.path} holds no files; give the folder or zip that masks were written to; {WAY}")
        top = TOP.get(home, "")
        self.top = top if any(name.startswith(top) for name in self.names) else ""
        self.absent: set[str] = set()  # MeViS: videos without a mask, which score nothing

    def sample(self, clip: ReferringClip) -> tuple[np.ndarray, float]:
        """The mask (H, W) bool of a clip and its confidence."""
        if (clip.sample_id, clip.expression) not in self.index:
            raise FileNotFoundError(
                f'{self.path / INDEX} has no entry for sample {clip.sample_id} "{clip.expression}" among its '
                f"{len(self.index)}; is it of this split? {WAY}"
            )
        name, confidence = self.index[clip.sample_id, clip.expression]
        return self.read_mask(name, clip.mask.shape), confidence

    def masks(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The masks (S, H, W) bool of S sentences about one video, frame by frame."""
        for k, path in enumerate(dataset.frame_paths(videos[0])):
            shape = image_shape(path)
            yield np.stack([self.frame_mask(dataset, video, k, shape) for video in videos])

    def labels(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The label maps (H, W) uint8 of one annotator's sentences about a sequence, frame by frame."""
        for k, path in enumerate(dataset.frame_paths(videos[0])):
            yield self.frame_labels(dataset, videos[0], k, image_shape(path))

    def frame_mask(self, dataset, video: ReferringVideo, k: int, shape: tuple[int, int]) -> np.ndarray:
        """The mask (H, W) bool of one sentence in frame `k`."""
        if self.home == "ref_davis":
            return self.frame_labels(dataset, video, k, shape) == int(video.object_ids[0])
        if video.video_id in self.absent:
            return np.zeros(shape, bool)
        return self.read_mask(f"{self.top}{expression_folder(video)}{video.frames[k]}.png", shape)

    def frame_labels(self, dataset, video: ReferringVideo, k: int, shape: tuple[int, int]) -> np.ndarray:
        name = f"{sequence_folder(dataset.annotator(video), video)}{video.frames[k]}.png"
        labels = self.read_labels(name, shape)
        if (most := labels.max()) > MOST_PROPOSALS:
            raise ValueError(
                f"{self.path / name}: a pixel is {most}, which is not an object's id; write label maps: 0 where there "
                f"is no object, else the object's id, 1 to {MOST_PROPOSALS}"
            )
        return labels

    def read_mask(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """The mask (H, W) bool of a file; `shape` is its frame's. Errors as in `read_labels`."""
        values = self.read_labels(name, shape)
        kinds = np.flatnonzero(np.bincount(values.ravel()))
        if len(kinds) > 2 or (len(kinds) == 2 and kinds[0]):
            raise ValueError(
                f"{self.path / name}: a mask has two values, 0 and another one; found {kinds[:5].tolist()}; threshold "
                "the probabilities, and write one file for each sentence"
            )
        return values != 0

    def read_labels(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """The values (H, W) uint8 of a file, as numbers and never as colors.

        Raises `FileNotFoundError`, or `ValueError` for a damaged image, another mode, another size than `shape`.
        """
        where = self.path / name
        if name not in self.names:
            beside = sorted(Path(other).name for other in self.names if Path(other).parent == Path(name).parent)
            held = f" (beside it {', '.join(beside[:3])} ...)" if beside else ""
            raise FileNotFoundError(
                f"{where} is missing{held}: every frame needs a mask of its name, an empty one too; {WAY}"
            )
        values = read_index_mask(where, self._bytes(name))
        require_shape(where, values.shape, shape)
        return values

    @cached_property
    def index(self) -> dict[tuple[str, str], tuple[str, float]]:
        """Mask's name and confidence by (sample id, expression), from index.json; errors name the entry."""
        where, index = self.path / INDEX, {}
        if INDEX not in self.names:
            raise FileNotFoundError(
                f"{where} is missing: it tells which mask belongs to which sample{self._deeper({INDEX})}; {WAY}"
            )
        for number, entry in enumerate(parse_json(self._bytes(INDEX), where, list), 1):
            key, value = _parse_entry(entry, f"{where}, entry {number}")
            if key in index:
                raise ValueError(f'{where}, entry {number}: {key[0]} "{key[1]}" occurs twice; it has one mask')
            index[key] = value
        return index

    def require_videos(self, dataset) -> None:
        """Raises `FileNotFoundError` unless there are masks for every sentence; warns of others.

        Of MeViS whole videos may be missing: each of their sentences counts as J = F = 0. Not all of them, though, nor
        one whose masks lie a folder too deep, where no server would look for them.
        """
        if self.home == "ref_davis":
            wanted = [sequence_folder(dataset.annotator(video), video) for video in dataset.videos]
        else:
            wanted = [self.top + expression_folder(video) for video in dataset.videos]
        depth = wanted[0].count("/")
        present = {"/".join(name.split("/")[:depth]) + "/" for name in self.names if name.count("/") >= depth}
        missing = sorted(set(wanted) - present)
        where = self._deeper({folder.removeprefix(self.top).rstrip("/") for folder in missing})
        videos = {video.video_id for video in dataset.videos}
        absent = videos - {folder.split("/")[0] for folder in present}
        if self.home == "mevis" and not where and absent != videos:
            self.absent, missing = absent, [folder for folder in missing if folder.split("/")[0] not in absent]
        if missing:
            raise FileNotFoundError(
                f"{self.path} lacks the masks of {len(missing)} of {len(wanted)}, first five: {', '.join(missing[:5])} "
                f"(it holds {', '.join(sorted(present)[:3]) or 'others'} ...){where or '; is it of this split?'}; {WAY}"
            )
        self.warn_of_others(present - set(wanted))
        if self.absent:
            some = ", ".join(sorted(self.absent)[:5])
            warnings.warn(
                f"{self.path} lacks {len(self.absent)} videos ({some}): they count as J = F = 0", stacklevel=2
            )

    def _deeper(self, wanted: Collection[str]) -> str:
        """Words that name the folder in which wanted paths lie too deep; empty if there is none."""
        depths = {path.count("/") + 1 for path in wanted}
        for parts in (name.split("/") for name in sorted(self.names)):
            for k, depth in product(range(1, len(parts)), depths):
                if "/".join(parts[k : k + depth]) in wanted:
                    return f"; they lie too deep, in {'/'.join(parts[:k])}/: give that folder, or zip what is in it"
        return ""

    def sha256(self) -> str:
        """SHA-256 over names and contents of all files, the same for a folder and for a zip of it."""
        total = hashlib.sha256()
        names = sorted(self.names, key=lambda name: name.removeprefix(self.top))
        for name in tqdm(names, "hashing", unit=" files", leave=False, disable=bars_hidden()):
            total.update(f"{name.removeprefix(self.top)}\0".encode("utf-8", "surrogateescape"))
            total.update(hashlib.sha256(self._bytes(name)).digest())
        return total.hexdigest()

    def warn_of_others(self, others: Collection) -> None:
        """Warns of masks that belong to nothing in the data set."""
        if others:
            warnings.warn(
                f"{self.path}: {len(others)} are not of this split and do not count, first five: "
                f"{', '.join(map(str, sorted(others)[:5]))}",
                stacklevel=2,
            )

    def _bytes(self, name: str) -> bytes:
        if self.path.is_dir():
            return (self.path / name).read_bytes()
        try:
            return _open_zip(self.path, self.path.stat().st_mtime_ns, os.getpid()).read(name)
        except DAMAGE as error:
            raise ValueError(f"{self.path / name} is damaged ({error}); write the zip again") from error


def _zip_names(path: Path) -> list[str]:
    with open_masks(path) as (entries, _):
        names = [entry.name for entry in entries]
        try:
            for entry in entries:
                refuse_member(entry)
            if len(set(names)) < len(names):
                raise ValueError(f"{Counter(names).most_common(1)[0][0]!r} occurs in it twice")
        except ValueError as error:
            raise ValueError(f"{path} is not read: {error}; write the zip again") from error
    return names


@functools.lru_cache(2)
def _open_zip(path: Path, modified: int, process: int) -> zipfile.ZipFile:
    """An open zip for each version and process: a forked one would share the place in the file."""
    return zipfile.ZipFile(path)


def _parse_entry(entry, where: str) -> tuple[tuple[str, str], tuple[str, float]]:
    try:
        texts = [entry[key] for key in ("sample_id", "expression", "mask")]
        confidence = entry["confidence"]
        number = type(confidence) in (int, float) and math.isfinite(confidence)
        if not number or not all(isinstance(text, str) for text in texts):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f'{where}: expected {{"sample_id": text, "expression": text, "mask": path, "confidence": number}}; '
            f"found {str(entry)[:200]}"
        ) from None
    return (texts[0], texts[1]), (PureWindowsPath(texts[2]).as_posix(), float(confidence))
