"""A2D-Sentences in its genuine layout; the toy world written as such is read by the same lines.

    root/Release/videoset.csv                   id, label, start, end, height, width, frames, annotated, subset; bare
    root/Release/clips320H/<video>.mp4          or a folder of extracted frames, numbered from 1
    root/text_annotations/a2d_annotation.txt    CSV with header video_id,instance_id,query
    root/text_annotations/a2d_missed_videos.txt
    root/text_annotations/a2d_annotation_with_instances/<video>/<frame>.h5
    root/toy_world.json                         toy world only: finer splits, evidence and twins (see `toy_files`)

Frames are numbered from 1 on disk: `00030.h5` belongs to decoded frame 29.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .clip import ReferringClip, window_indices
from .collate import clean_expression
from .files import read_rows, require_shape
from .toy_listing import read_toy, videos_of
from .video import frame_files, read_frames, video_length

SUBSETS = {"train": "0", "test": "1"}  # last column of videoset.csv
TREE = "Release/videoset.csv, Release/clips320H/ and text_annotations/"
HINT = "or use the toy world: --data.name toy, or data_scripts/make_toy_world.py --layout a2d"


class Sample(NamedTuple):
    """A sentence and an annotated frame that shows its instance."""

    video: str
    stem: str  # of the annotation: the frame's number, from 1
    instance: int
    query: str
    evidence: str | None  # toy world: what the sentence needs
    twin: int  # toy world: the instance that differs in motion alone; 0 is none


class A2DSentences:
    """Every (sentence, annotated frame) pair in which the instance is annotated, as `ReferringClip`s.

    `split` is train or test; a root with `toy_world.json` has its finer splits too. `window` frames, `offset`
    frames apart, clamped to the clip (D-3). Files are opened when a sample is asked for, so that the data set can
    be pickled and used by DataLoader workers. Raises `FileNotFoundError` or `ValueError`, naming file and remedy,
    if the layout is incomplete or malformed.
    """

    def __init__(self, root: str | Path, split: str = "test", window: int = 3, offset: int = 6, causal: bool = False):
        self.root, self.split = Path(root), split
        self.window, self.offset, self.causal = window, offset, causal
        self.warned = False
        self.clips, self.masks = self.root / "Release" / "clips320H", self.root / "text_annotations"
        self.masks /= "a2d_annotation_with_instances"
        _require_layout(self.root, self.clips, self.masks)
        splits, labels = read_toy(self.root / "toy_world.json")
        self.lengths = self._videos(splits)  # frames by video, as videoset.csv gives them
        sentences = self._sentences(genuine=splits is None)
        self._require_files(sorted({video for video, _, _ in sentences}))
        self.samples = list(self._samples(sentences, labels))
        if not self.samples:
            raise ValueError(f"A2D-Sentences: no sample in split {split!r} of {self.root}; is the copy complete?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> ReferringClip:
        video, stem, instance, query, evidence, twin = self.samples[k]
        path, current = self._video_path(video), int(stem) - 1
        annotation = self.masks / video / f"{stem}.h5"
        length = video_length(path)
        if not 0 <= current < length:
            raise ValueError(f"{annotation} annotates frame {int(stem)}, but {path} holds frames 1 to {length}")
        if length != self.lengths[video] and not self.warned:
            self.warned = True  # once: it may hold for thousands
            warnings.warn(
                f"{path} holds {length} frames, videoset.csv says {self.lengths[video]}: masks may be shifted; "
                "compare with a fresh copy (further videos are not named)",
                stacklevel=2,
            )
        indices, slot = window_indices(current, length, self.window, self.offset, self.causal)
        frames = read_frames(path, indices)
        masks = read_masks(annotation, [instance, twin] if twin else [instance], frames.shape[1:3])
        if instance not in masks:
            raise ValueError(f"{annotation} no longer holds instance {instance}, it holds {read_instances(annotation)}")
        mask, twin_mask = masks[instance], masks.get(twin)
        return ReferringClip(frames, slot, mask, query, video, int(stem), str(instance), evidence, twin_mask)

    def _videos(self, splits: dict[str, list[str]] | None) -> dict[str, int]:
        """The split's videos and their numbers of frames, videos without sentences left out."""
        path, subsets, lengths = self.root / "Release" / "videoset.csv", {}, {}
        for number, row in read_rows(path):
            if len(row) != 9 or row[8] not in SUBSETS.values() or not row[6].isdecimal():
                raise ValueError(
                    f"{path}, line {number}: expected 9 columns, the 7th the number of frames, the last 0 or 1; "
                    f"found {','.join(row)!r}"
                )
            subsets[row[0]], lengths[row[0]] = row[8], int(row[6])
        if splits is None:
            splits = {name: [v for v, subset in subsets.items() if subset == code] for name, code in SUBSETS.items()}
        videos = videos_of(self.split, splits, self.root)
        if unknown := sorted(set(videos) - set(subsets)):
            raise ValueError(f"{path} lacks {unknown[0]}, which toy_world.json lists; write the toy world anew")
        missed = {row[0].strip() for _, row in read_rows(self.masks.parent / "a2d_missed_videos.txt")}
        return {video: lengths[video] for video in videos if video not in missed}

    def _sentences(self, genuine: bool) -> list[tuple[str, int, str]]:
        """(video, instance, query) of the split, in the order of the file."""
        path, sentences, skipped = self.masks.parent / "a2d_annotation.txt", {}, []
        rows = read_rows(path)
        header = next(rows, (1, []))[1]
        if [name.strip() for name in header] != ["video_id", "instance_id", "query"]:
            raise ValueError(f"{path}: expected the header video_id,instance_id,query; found {','.join(header)!r}")
        for number, row in rows:
            if len(row) != 3:
                raise ValueError(f"{path}, line {number}: expected 3 columns, found {len(row)}; is a query not quoted?")
            video, instance, query = row[0], row[1].strip(), clean_expression(row[2])
            if not (instance.isascii() and instance.isdigit()):
                skipped.append(f"{video} {instance!r}")
            elif not query:
                raise ValueError(f"{path}, line {number}: the query is empty")
            elif video in self.lengths:
                key = (video, int(instance), query)
                if key in sentences:
                    warnings.warn(f"{path}, line {number}: repeats {key}; taken once", stacklevel=3)
                sentences[key] = None
        if len(skipped) > 1 or (genuine and not skipped):
            warnings.warn(
                f"{path}: {len(skipped)} rows without an integer instance were skipped ({', '.join(skipped[:5])}); "
                "the genuine file has one, '1 (copy)'",
                stacklevel=3,
            )
        return list(sentences)

    def _require_files(self, videos: list[str]) -> None:
        present = {entry.name.removesuffix(".mp4") for entry in os.scandir(self.clips)}
        if missing := [video for video in videos if video not in present]:
            raise FileNotFoundError(
                f"A2D-Sentences: {len(missing)} of {len(videos)} annotated videos are missing: expected "
                f"{self.clips / missing[0]}.mp4 for {self.masks / missing[0]} (first five: {', '.join(missing[:5])}); "
                f"copy them, or list them in {self.masks.parent / 'a2d_missed_videos.txt'} to leave them out"
            )
        present = {entry.name for entry in os.scandir(self.masks)}
        if missing := [video for video in videos if video not in present]:
            raise FileNotFoundError(
                f"A2D-Sentences: masks of {len(missing)} of {len(videos)} videos with sentences are missing: expected "
                f"the folder {self.masks / missing[0]} (first five: {', '.join(missing[:5])}); copy them, or list the "
                f"videos in {self.masks.parent / 'a2d_missed_videos.txt'} to leave them out"
            )

    def _samples(self, sentences: list[tuple[str, int, str]], labels: dict) -> Iterator[Sample]:
        """Frames that lack the instance are no samples: they are skipped, not scored as empty."""
        instances: dict[str, dict[str, set[int]]] = {}  # by video and stem
        for video, instance, query in sentences:
            if video not in instances:
                folder = self.masks / video
                stems = sorted(
                    entry.name[:-3]
                    for entry in os.scandir(folder)
                    if entry.name.endswith(".h5") and not entry.name.startswith(".")
                )
                if odd := [stem for stem in stems if not (stem.isascii() and stem.isdigit())]:
                    raise ValueError(f"{folder / odd[0]}.h5: annotations are named by their frame, such as 00030.h5")
                instances[video] = {stem: set(read_instances(folder / f"{stem}.h5")) for stem in stems}
            for stem, present in instances[video].items():
                if instance in present:
                    yield Sample(video, stem, instance, query, *labels.get((video, instance, query), (None, 0)))

    def _video_path(self, video: str) -> Path:
        path = self.clips / f"{video}.mp4"
        if path.exists() or not (self.clips / video).is_dir():
            return path
        first = frame_files(self.clips / video)[0]
        if first.stem.isdecimal() and int(first.stem) != 1:
            raise ValueError(f"{first.parent}: extracted frames must be numbered from 1; the first is {first.name}")
        return first.parent


def read_instances(path: Path) -> list[int]:
    """The instance numbers that an annotation file holds, in the order of its masks."""
    with _open(path) as file:
        return _dataset(file, path, "instance")[()].reshape(-1).astype(int).tolist()


def read_masks(path: Path, instances: list[int], shape: tuple[int, int]) -> dict[int, np.ndarray]:
    """Masks (H, W) bool by instance number, of those instances that the file holds.

    `reMask` comes from MATLAB, axes reversed: (N, W, H), squeezed to (W, H) for one instance. `shape` is the
    frame's (H, W): another size is an error, never a reason to resize.
    """
    found = {}
    with _open(path) as file:
        ids = _dataset(file, path, "instance")[()].reshape(-1).astype(int)
        masks = _dataset(file, path, "reMask")
        squeezed = masks.ndim == 2
        if masks.ndim not in (2, 3) or (1 if squeezed else len(masks)) != len(ids):
            raise ValueError(f"{path}: reMask has shape {masks.shape} for {len(ids)} instances; expected (N, W, H)")
        for instance in instances:
            places = np.flatnonzero(ids == instance)
            if len(places) > 1:
                warnings.warn(f"{path} holds instance {instance} {len(places)} times; the first is taken", stacklevel=2)
            if len(places):
                found[instance] = (masks[()] if squeezed else masks[places[0]]).T != 0
    for mask in found.values():
        require_shape(path, mask.shape, shape)
    return found


def _require_layout(root: Path, clips: Path, masks: Path) -> None:
    if not root.is_dir():
        raise FileNotFoundError(f"A2D-Sentences: no folder {root}; expected {TREE} in it; {HINT}")
    if not clips.is_dir() and (clips.parent / "CLIPS320").is_dir():
        raise FileNotFoundError(f"A2D-Sentences: {clips} is missing, but CLIPS320 is there: rename it to clips320H")
    text = masks.parent
    needed = clips.parent / "videoset.csv", clips, text / "a2d_annotation.txt", text / "a2d_missed_videos.txt", masks
    if missing := [str(path) for path in needed if not path.exists()]:
        raise FileNotFoundError(f"A2D-Sentences: {', '.join(missing)} missing; {root} must hold {TREE}; {HINT}")


@contextmanager
def _open(path: Path):
    try:
        import h5py
    except ImportError as error:
        raise ModuleNotFoundError(f"{path} needs the package h5py: pip install 'dtse[data]'") from error
    try:
        with h5py.File(path, "r", locking=False) as file:  # locks fail on some mounted drives
            yield file
    except FileNotFoundError as error:
        raise FileNotFoundError(f"A2D-Sentences: no annotation {path}; copy it again") from error
    except OSError as error:
        raise ValueError(f"{path} is no readable HDF5 file; copy it again") from error


def _dataset(file, path: Path, key: str):
    if key not in file:
        raise ValueError(f"{path} lacks {key!r}; it holds {', '.join(sorted(file)) or 'nothing'}")
    return file[key]
