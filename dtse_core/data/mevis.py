"""MeViS in its genuine layout; the same code reads the toy world written in it.

    root/{train,valid_u,valid}/meta_expressions.json            see `expressions`; `anno_id`, a list, but in valid
    root/{train,valid_u,valid}/JPEGImages/<video>/00000.jpg
    root/{train,valid_u}/mask_dict.json                         {anno_id: [RLE or null, one a frame]}
    root/toy_world.json                                         toy world only: finer splits, evidence, twins

A sentence may refer to several objects, or to none: the target is the union of its annotations.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.files import TABLES, read_json
from ..shared.images import image_shape
from .clip import ReferringVideo, VideoDataSet
from .expressions import brief, parse_expressions, require_folders
from .listing import part_of, read_toy, require_tree, videos_of

HOME = "MeViS"
LABELLED, FOLDERS = ("train", "valid_u"), ("train", "valid_u", "valid")
TREE = "{train,valid_u,valid}/meta_expressions.json, JPEGImages/<video>/ and, but in valid, mask_dict.json"
COUNTS = {  # videos and sentences
    "v1": {"train": (1662, 23051), "valid_u": (50, 793), "valid": (140, 2236)},
    "v2": {"train": (1662, 27502), "valid_u": (50, 907), "valid": (140, 2523)},
}


class MeViS(VideoDataSet):
    """Sentences over whole videos (`videos`), and windows of frames cut from them as `ReferringClip`s.

    `split` is train, valid_u (scored locally) or valid (scored by the server: no masks), or one of the halves of train
    (`listing`); a root with `toy_world.json` has its finer splits too, all labelled. `object_ids` of a video are the
    names of its masks in mask_dict.json; none is a sentence without a target. `version` is v1, v2 or other, by the
    file's counts; `labelled` says whether masks are published: without them `read_target` and `dataset[i]` raise
    `ValueError`, and everything else works.

    A sample is a window in which the target appears, or any window for a sentence without a target. mask_dict.json,
    hundreds of megabytes, is read when first needed and once a process: a process that forks shares what it has read.
    Arguments and errors as in `ClipDataSet`.
    """

    name = "mevis"

    def find(self) -> None:
        require_tree(HOME, self.name, TREE, self.root)
        toy, labels = read_toy(self.root / "toy_world.json")
        part = part_of(self.split, FOLDERS, toy, "valid_u", self.root)
        self.folder, self.images = self.root / part, self.root / part / "JPEGImages"
        path, self._masks = self.folder / "meta_expressions.json", self.folder / "mask_dict.json"
        videos, published = parse_expressions(read_json(path), path, read_annotations)
        names = {video.video_id for video in videos}
        self.version = version_of(part, len(names), len(videos))
        chosen = set(videos_of(self.split, names, toy, path))
        self.take([video for video in videos if video.video_id in chosen], labels, path)
        require_folders(chosen, self.images, HOME)
        self.labelled = published and (part in LABELLED or self._masks.is_file())
        if part in LABELLED and not published:
            raise ValueError(f"{path}: no 'anno_id', which tells what an expression refers to; download the file again")
        if self.labelled and not self._masks.is_file():
            raise FileNotFoundError(f"{HOME}: {self._masks} is missing: it holds the masks; download it again")

    def read_target(self, video: ReferringVideo, k: int) -> tuple[np.ndarray, None]:
        """The mask (H, W) bool of frame `k`, all False where the target is absent; no pixel is void."""
        frame = self.frame_paths(video)[k]
        mask = np.zeros(image_shape(frame), bool)
        for number, masks in self._annotations(video).items():
            if masks[k] is not None:
                try:
                    mask |= decode_rle(masks[k], mask.shape)
                except ValueError as error:
                    where = f"{self._masks}: annotation {number!r}, frame {video.frames[k]} of {frame.parent}"
                    raise ValueError(f"{where}: {error}; download the file again") from None
        return mask, None

    def visible(self, video: ReferringVideo) -> np.ndarray:
        if not self.labelled:
            return np.ones(len(video.frames), bool)
        given = [[one is not None for one in masks] for masks in self._annotations(video).values()]
        return np.array(given, bool).reshape(-1, len(video.frames)).any(0)

    def _annotations(self, video: ReferringVideo) -> dict[str, list]:
        if not self.labelled:
            raise ValueError(
                f"{HOME}: {self.folder} has no masks, the server keeps them; predictions can still be written; "
                "score on split valid_u instead"
            )
        stat = self._masks.stat()
        table = _mask_dict(self._masks, stat.st_mtime_ns, stat.st_size)
        where = f"{self._masks}: video {video.video_id!r}, expression {video.expression_id!r}"
        return {number: masks_of(table, number, len(video.frames), where) for number in video.object_ids}


def read_annotations(entry: dict) -> tuple[str, ...] | None:
    """What an expression of `meta_expressions.json` refers to: keys of `mask_dict.json`, perhaps none."""
    if "anno_id" not in entry:
        return None
    numbers = entry["anno_id"]
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise ValueError(f"'anno_id' is {brief(numbers)}; expected a list of integers")
    return tuple(dict.fromkeys(map(str, numbers)))


def masks_of(table: dict, number: str, length: int, where: str) -> list:
    """One annotation's RLEs, null where the object is absent. Raises `ValueError` for another number of frames."""
    if number not in table:
        raise ValueError(f"{where}: there is no annotation {number!r}; download the file again")
    masks = table[number]
    if not isinstance(masks, list) or len(masks) != length:
        found = f"{len(masks)} entries" if isinstance(masks, list) else type(masks).__name__
        raise ValueError(f"{where}: annotation {number!r} must list {length} frames, found {found}; download it again")
    return masks


def version_of(folder: str, videos: int, sentences: int) -> str:
    """v1 or v2 if the counts are theirs, else other."""
    return next((version for version, of in COUNTS.items() if of[folder] == (videos, sentences)), "other")


@functools.lru_cache(2)
def _mask_dict(path: Path, modified: int, size: int) -> dict[str, Any]:
    """The file once a process, not pickled with the data set; `modified` and `size` only mark its version."""
    return read_json(path, most=TABLES)


# Run-length encoded masks as COCO keeps them, decoded without trusting them: pycocotools returns whatever lies in
# memory where the runs do not fill the image (version 2.0.11, with no error), so that they are counted here first.


def decode_rle(rle: Any, shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of `{"size": [H, W], "counts": str}`; `shape` is the size that it must have.

    A list of `counts` is the runs themselves.

    Raises `ValueError` for anything else; memory stays within that size and the length of `counts`.
    """
    counts = rle.get("counts") if isinstance(rle, dict) else None
    plain = isinstance(counts, list) and all(type(run) is int for run in counts)
    if not plain and not isinstance(counts, str):
        raise ValueError('expected {"size": [height, width], "counts": a string}')
    size, (height, width) = rle.get("size"), shape
    if size != [height, width]:
        hint = " (transpose forgotten?)" if size == [width, height] else ""
        raise ValueError(f"the mask is {size}, its frame {[height, width]} (height, width){hint}")
    runs = np.array(counts, np.int64) if plain else run_lengths(counts)
    if runs.min(initial=0) < 0 or runs.max(initial=0) > height * width or runs.sum() != height * width:
        raise ValueError(f"the runs do not add up to the {height * width} pixels of the frame")
    inside = (np.arange(len(runs)) % 2).astype(bool)  # runs of background and object in turn, down the columns
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def run_lengths(counts: str) -> np.ndarray:
    """The runs (n,) int64 that COCO's compressed `counts` stands for.

    A character less 48 holds five bits, lowest first, and 32 if more of its number follow; the last one's 16 is the
    sign. From the fourth on, a number is the difference from the run before last. Raises `ValueError` if it is cut
    short, or holds other characters or numbers beyond 30 bits.
    """
    if not counts.isascii():
        raise ValueError("counts holds characters that no run-length code has")
    codes = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any():
        raise ValueError("counts holds characters that no run-length code has")
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("counts is empty or cut short")
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 6:
        raise ValueError("counts holds a number beyond any image")
    places = np.arange(len(codes)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << 5 * places, starts)
    numbers -= np.where(codes[ends] & 16, 1 << 5 * digits, 0)
    numbers[1::2], numbers[2::2] = numbers[1::2].cumsum(), numbers[2::2].cumsum()
    return numbers
