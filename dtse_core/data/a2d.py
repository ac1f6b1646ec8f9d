"""A2D-Sentences in its genuine layout; the same code reads the toy world written in it.

    root/Release/videoset.csv                   id, label, start, end, height, width, frames, annotated, subset; bare
    root/Release/clips320H/<video>.mp4          or a folder of extracted frames, numbered from 1
    root/text_annotations/a2d_annotation.txt    CSV with header video_id,instance_id,query
    root/text_annotations/a2d_missed_videos.txt
    root/text_annotations/a2d_annotation_with_instances/<video>/<frame>.h5
    root/toy_world.json                         toy world only: finer splits, evidence and twins (see `listing`)

Frames are numbered from 1 on disk: `00030.h5` belongs to decoded frame 29.
"""

import math
import os
import re
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..shared.files import read_rows
from ..shared.images import PIXELS, as_mask, require_shape
from ..shared.versions import library
from ..video.files import frame_files, video_length
from ..video.frame_cache import video_frames
from .clip import ClipDataSet, ReferringClip
from .expressions import stems
from .listing import part_of, read_toy, require_tree, videos_of
from .sample_lists import choose_samples, listed, read_a2d_list
from .sentences import clean_expression

NUMBER = re.compile("[0-9]{1,9}")
ACTORS = ("adult", "baby", "ball", "bird", "car", "cat", "dog")
ACTIONS = ("climbing", "crawling", "eating", "flying", "jumping", "rolling", "running", "walking", "none")
SUBSETS = {"train": "0", "test": "1"}  # last column of videoset.csv
TREE = "Release/videoset.csv, Release/clips320H/ and text_annotations/"


class Video(NamedTuple):
    """A row of videoset.csv, as far as it is used."""

    subset: str
    label: str  # what its actor does: 10 * actor + action, each from 1
    length: int  # frames
    annotated: int  # of them


class Sample(NamedTuple):
    """A sentence and an annotated frame that shows its instance."""

    video: str
    stem: str  # of the annotation: the frame's number, from 1
    instance: int  # from 0
    query: str
    evidence: str | None  # toy world: what the sentence needs
    twin: int | None  # toy world: the instance that differs in motion alone


class A2DSentences(ClipDataSet):
    """Every (sentence, annotated frame) pair in which the instance is annotated, as `ReferringClip`s.

    `split` is train or test, or one of the halves of train (`listing`); a root with `toy_world.json` has its finer
    splits too. `frames`: nothing, or `list=FILE`, the samples that a list such as MTTR's names (`sample_lists`).
    Instances count from 0. Other arguments and errors as in `ClipDataSet`.
    """

    name, choice = "a2d", "frames"

    def find(self) -> None:
        self.warned = False
        self.clips, texts = self.root / "Release" / "clips320H", self.root / "text_annotations"
        self.masks = texts / "a2d_annotation_with_instances"
        require_layout(self.root, self.clips, self.masks)
        toy, labels = read_toy(self.root / "toy_world.json")
        table = self.root / "Release" / "videoset.csv"
        missed = {row[0] for _, row in read_rows(texts / "a2d_missed_videos.txt")}
        videos = read_videos(table)
        part = part_of(self.split, () if toy else SUBSETS, toy, "test", self.root)
        names = (video for video, told in videos.items() if toy or told.subset == SUBSETS[part])
        self.videos = {v: videos[v] for v in videos_of(self.split, names, toy, table) if v not in missed}
        sentences = read_sentences(texts / "a2d_annotation.txt", genuine=toy is None)
        if lost := sorted({video for video, *_ in sentences} - set(videos) - missed):
            warnings.warn(
                f"{table} lacks {len(lost)} videos of which a2d_annotation.txt speaks ({', '.join(lost[:5])}): their "
                "sentences are left out; compare both with a fresh copy",
                stacklevel=3,
            )
        sentences = [sentence for sentence in sentences if sentence[0] in self.videos]
        self.list, found = None, sentences
        if self.frames:
            path = listed(self.frames, "; nothing is every annotated frame")
            self.list = choose_samples(path, read_a2d_list, self.videos, set(videos) - missed, self.root)
            found = [(video, f"{frame:05d}", *rest) for _, (video, frame, *rest) in self.list.used]
        self._require_files(sorted({entry[0] for entry in found}))
        self.samples = [
            Sample(video, stem, instance, query, *labels.get((video, instance, query), (None, None)))
            for video, stem, instance, query in (found if self.list else self._annotated(sentences))
        ]
        shown = {(sample.video, sample.instance) for sample in self.samples}
        if not self.list and (unseen := sorted({(video, instance) for video, instance, _ in sentences} - shown)):
            first = ", ".join(f"{instance} of {video}" for video, instance in unseen[:5])
            warnings.warn(
                f"{self.masks}: no annotated frame shows {len(unseen)} instances of which a2d_annotation.txt speaks "
                f"({first}): their sentences are left out",
                stacklevel=3,
            )
        if not self.samples:
            raise ValueError(f"A2D-Sentences: no sample in split {self.split!r} of {self.root}; is the copy complete?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> ReferringClip:
        video, stem, instance, query, evidence, twin = self.samples[k]
        path, current = video_path(self.clips, video), int(stem) - 1
        annotation = self.masks / video / f"{stem}.h5"
        length = video_length(path)
        if not 0 <= current < length:
            raise ValueError(f"{annotation} annotates frame {int(stem)}, but {path} holds frames 1 to {length}")
        if length != self.videos[video].length and not self.warned:
            self.warned = True  # once: it may hold for thousands
            warnings.warn(
                f"{path} holds {length} frames, videoset.csv says {self.videos[video].length}: masks may be shifted; "
                "compare with a fresh copy (further videos are not named)",
                stacklevel=2,
            )
        indices, slot = self.cut(current, length)
        frames = video_frames(path, indices, self.cache)
        masks = read_masks(annotation, [instance] if twin is None else [instance, twin], frames.shape[1:3])
        if instance not in masks:
            raise ValueError(f"{annotation} no longer holds instance {instance}, it holds {read_instances(annotation)}")
        mask, twin_mask = masks[instance], masks.get(twin)
        return ReferringClip(frames, slot, mask, query, video, int(stem), str(instance), evidence, twin_mask)

    def window_of(self, k: int) -> Hashable:
        return self.samples[k][:2]  # video and frame

    def choices(self) -> dict[str, str]:
        return self.list.choices(self.frames) if self.list else {"frames": "all annotated"}

    def category(self, video: str) -> str:
        """What the video's actor does, such as `dog running`; the label itself if it is not one of A2D's."""
        label = self.videos[video].label
        if not re.fullmatch("[1-7][1-9]", label):
            return label
        return f"{ACTORS[int(label[0]) - 1]} {ACTIONS[int(label[1]) - 1]}"

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

    def _annotated(self, sentences: list[tuple[str, int, str]]) -> Iterator[tuple[str, str, int, str]]:
        """Frames that lack the instance are not samples: they are skipped, not scored as empty."""
        instances: dict[str, dict[str, set[int]]] = {}  # by video and stem
        for video, instance, query in sentences:
            if video not in instances:
                files = {stem: self.masks / video / f"{stem}.h5" for stem in stems(self.masks / video, ".h5")}
                instances[video] = {stem: set(read_instances(file)) for stem, file in files.items()}
            for stem, present in instances[video].items():
                if instance in present:
                    yield video, stem, instance, query


def read_videos(path: Path) -> dict[str, Video]:
    """The content of videoset.csv, by video. Raises `ValueError` naming file and line."""
    videos = {}
    for number, row in read_rows(path):
        if len(row) != 9 or row[8] not in SUBSETS.values() or not all(map(NUMBER.fullmatch, row[6:8])):
            raise ValueError(
                f"{path}, line {number}: expected 9 columns, the 7th and 8th numbers of frames, the last 0 or 1; "
                f"found {','.join(row)[:200]!r}"
            )
        told = Video(row[8], row[1], int(row[6]), int(row[7]))
        if videos.setdefault(row[0], told) != told:
            raise ValueError(f"{path}, line {number}: {row[0]} is listed twice, with other values; download it again")
    return videos


def read_sentences(path: Path, genuine: bool = True) -> list[tuple[str, int, str]]:
    """(video, instance, query) of the whole data set, in the order of the file.

    Warns of rows without an integer instance, unless there is the one of the `genuine` file. Raises `ValueError`
    naming file and line.
    """
    rows, sentences, skipped = read_rows(path), {}, []
    header = next(rows, (1, []))[1]
    if header != ["video_id", "instance_id", "query"]:
        raise ValueError(f"{path}: expected the header video_id,instance_id,query; found {','.join(header)[:200]!r}")
    for number, row in rows:
        if len(row) != 3:
            raise ValueError(f"{path}, line {number}: expected 3 columns, found {len(row)}; is a query not quoted?")
        video, instance, query = row[0], row[1], clean_expression(row[2])
        if not NUMBER.fullmatch(instance):
            skipped.append(f"{video} {instance!r}")
            continue
        if not query:
            raise ValueError(f"{path}, line {number}: the query is empty")
        key = (video, int(instance), query)
        if key in sentences:
            warnings.warn(f"{path}, line {number}: repeats {key}; taken once", stacklevel=3)
        sentences[key] = None
    if len(skipped) > 1 or (genuine and not skipped):
        warnings.warn(
            f"{path}: {len(skipped)} rows without an integer instance were skipped{': ' if skipped else ''}"
            f"{', '.join(skipped[:5])}; the genuine file has one, '1 (copy)'",
            stacklevel=3,
        )
    return list(sentences)


def video_path(clips: Path, video: str) -> Path:
    """A video's mp4, or its folder of extracted frames, numbered from 1, where there is no mp4."""
    path = clips / f"{video}.mp4"
    if path.exists() or not (clips / video).is_dir():
        return path
    files = frame_files(clips / video)
    for number, file in enumerate(files, 1):
        if file.stem.isdecimal() and int(file.stem) != number:
            raise ValueError(
                f"{file.parent}: extracted frames must be numbered from 1 without a gap; number {number} is "
                f"{file.name}; extract them again"
            )
    return clips / video


def require_layout(root: Path, clips: Path, masks: Path) -> None:
    """Raises `FileNotFoundError` that names what is missing, and the folder if it only has another name."""
    if not clips.is_dir() and (clips.parent / "CLIPS320").is_dir():
        raise FileNotFoundError(f"A2D-Sentences: {clips} is missing, but CLIPS320 is there: rename it to clips320H")
    texts = masks.parent
    needed = clips.parent / "videoset.csv", clips, texts / "a2d_annotation.txt", texts / "a2d_missed_videos.txt", masks
    require_tree("A2D-Sentences", A2DSentences.name, TREE, root, *needed)


# The annotation of one frame: HDF5 as MATLAB leaves it, axes reversed.
#
#     instance (N,)            numbers of the instances
#     reMask   (N, W, H)       their masks, (W, H) where there is one instance; any value but zero is foreground


def read_instances(path: Path) -> list[int]:
    """The instance numbers that an annotation file holds, in the order of its masks; errors as in `read_masks`."""
    with _open(path) as file:
        return _instances(file, path).tolist()


def read_masks(path: Path, instances: list[int], shape: tuple[int, int]) -> dict[int, np.ndarray]:
    """Masks (H, W) bool by instance number, of those instances that the file holds.

    `shape` is the frame's (H, W): another size is an error, never a reason to resize. Raises `FileNotFoundError`, or
    `ValueError` naming what the file holds instead.
    """
    found = {}
    with _open(path) as file:
        ids, masks = _instances(file, path), _numbers(file, path, "reMask")
        squeezed = masks.ndim == 2
        if masks.ndim not in (2, 3) or (1 if squeezed else len(masks)) != len(ids):
            raise ValueError(f"{path}: reMask has shape {masks.shape} for {len(ids)} instances; expected (N, W, H)")
        require_shape(path, masks.shape[:-3:-1], shape)
        for instance in instances:
            places = np.flatnonzero(ids == instance)
            if len(places) > 1:
                warnings.warn(f"{path} holds instance {instance} {len(places)} times; the first is taken", stacklevel=2)
            if len(places):
                found[instance] = as_mask(path, (masks[()] if squeezed else masks[places[0]]).T)
    return found


def _instances(file, path: Path) -> np.ndarray:
    numbers = _numbers(file, path, "instance")
    if numbers.size > 1000:
        raise ValueError(f"{path}: {numbers.size} instances in one frame; damaged? download it again")
    numbers = numbers[()].reshape(-1)
    if (bad := ~np.isfinite(numbers) | (numbers != np.round(numbers)) | (np.abs(numbers) > 1e9)).any():
        raise ValueError(f"{path}: instance {numbers[bad][0]} is not an integer; download it again")
    return numbers.astype(int)


def _numbers(file, path: Path, key: str):
    """An array of numbers that the file holds, not yet read."""
    import h5py

    if (link := file.get(key, getlink=True)) is None:
        raise ValueError(f"{path} lacks {key!r}; it holds {', '.join(sorted(file)) or 'nothing'}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{path}: {key!r} is a link, which nobody follows; download it again")
    array = file[key]  # once: h5py looks it up each time
    if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "biuf" or array.shape is None:
        raise ValueError(f"{path}: {key!r} is not an array of numbers; download it again")
    if array.external or array.is_virtual:
        raise ValueError(f"{path}: {key!r} lies in other files, which nobody opens; download it again")
    if math.prod(array.chunks or (1,)) > 4 * PIXELS:
        raise ValueError(
            f"{path}: {key!r} is packed in pieces of {array.chunks}, too large for masks; download it again"
        )
    return array


@contextmanager
def _open(path: Path):
    h5py = library("h5py", path)
    try:
        with h5py.File(path, "r", locking=False) as file:  # locks fail on some mounted drives
            yield file
    except FileNotFoundError as error:
        raise FileNotFoundError(f"A2D-Sentences: no annotation {path}; download it again") from error
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError, MemoryError) as error:  # by what is damaged
        raise ValueError(f"{path} is not a readable HDF5 file; download it again") from error
