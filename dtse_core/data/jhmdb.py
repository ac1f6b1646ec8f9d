"""J-HMDB-Sentences in its genuine layout; the same code reads the toy world written in it.

    root/jhmdb_annotation.txt                          CSV with header video_id,query
    root/Rename_Images/<action>/<video>/00001.png      frames, numbered from 1
    root/puppet_mask/<action>/<video>/puppet_mask.mat  `part_mask` (H, W, T); T may be less than the frames
    root/toy_world.json                                toy world only: finer splits and evidence

One person a video, so that sentences need no instance. For evaluation only: there is no training part.
"""

import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..shared.files import is_litter, read_bytes, read_rows
from ..shared.images import as_mask, require_shape
from ..video.frame_cache import image_frames
from .clip import ClipDataSet, ReferringClip
from .listing import part_of, read_toy, require_tree, videos_of
from .sample_lists import choose_samples, listed, read_jhmdb_list
from .sentences import clean_expression

HOME = "J-HMDB-Sentences"
TREE = "Rename_Images/, puppet_mask/ and jhmdb_annotation.txt"


class Sample(NamedTuple):
    """A sentence and a frame that is scored."""

    video: str
    frame: int  # from 1
    query: str
    evidence: str | None = None  # toy world: what the sentence needs


class JHMDBSentences(ClipDataSet):
    """Sentences and the frames in which they are scored, as `ReferringClip`s without an instance.

    `split` is test; a root with `toy_world.json` has its finer splits too. `frames` says which frames are scored:
    `deterministic` (three a video, in the middles of its thirds), `all`, or `list=FILE`, a JSON list such as MTTR
    published: `[[video, frame's path, mask's path, total frames, query], ...]`. Numbers made with different choices
    do not compare. Windows are clamped to the frames that have a mask. Other arguments and errors as in `ClipDataSet`.
    """

    name, choice = "jhmdb", "frames"

    def find(self) -> None:
        self.frames = self.frames or "deterministic"
        require_layout(self.root)
        sentences = read_sentences(self.root / "jhmdb_annotation.txt")
        toy, labels = read_toy(self.root / "toy_world.json")
        part_of(self.split, () if toy else ("test",), toy, "test", self.root)
        copy, self.list = {video for video, _ in sentences}, None
        videos = set(videos_of(self.split, copy, toy, self.root / "jhmdb_annotation.txt"))
        sentences = [(video, query) for video, query in sentences if video in videos]
        self.actions = self._find({video for video, _ in sentences})
        self.lengths = {video: self._length(video) for video in self.actions}
        chosen = self._drawn(sentences) if self.frames in ("deterministic", "all") else self._listed(copy)
        self.samples = [s._replace(evidence=labels.get((s.video, 0, s.query), (None, None))[0]) for s in chosen]
        if not self.samples:
            raise ValueError(f"{HOME}: no sample in split {self.split!r} of {self.root}; is the copy complete?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> ReferringClip:
        video, frame, query, evidence = self.samples[k]
        indices, slot = self.cut(frame - 1, self.lengths[video])
        folder = self._images(video)
        frames = image_frames([folder / f"{i + 1:05d}.png" for i in indices], self.cache)
        mask = read_mask(self._mask(video), frame, frames.shape[1:3])
        return ReferringClip(frames, slot, mask, query, video, frame, "", evidence)

    def choices(self) -> dict[str, str]:
        return self.list.choices(self.frames) if self.list else {"frames": self.frames}

    def category(self, video: str) -> str:
        """The action that a video shows, such as `shoot_bow`."""
        return self.actions[video]

    def _images(self, video: str) -> Path:
        return self.root / "Rename_Images" / self.actions[video] / video

    def _mask(self, video: str) -> Path:
        return self.root / "puppet_mask" / self.actions[video] / video / "puppet_mask.mat"

    def _find(self, videos: set[str]) -> dict[str, str]:
        """The action of each video, which no file states: its folder is looked for among all actions."""
        images, found = self.root / "Rename_Images", {}
        for action in actions_in(images):
            for video in sorted(entry.name for entry in os.scandir(images / action) if entry.name in videos):
                if video in found:
                    raise ValueError(
                        f"{HOME}: {images} holds {video} twice, in {found[video]} and {action}; remove one"
                    )
                found[video] = action
        if missing := sorted(videos - set(found)):
            raise FileNotFoundError(
                f"{HOME}: {len(missing)} of {len(videos)} videos are missing: expected {images}/<action>/{missing[0]} "
                f"(first five: {', '.join(missing[:5])}); copy them, see `dtse prepare`"
            )
        return found

    def _length(self, video: str) -> int:
        """Frames of a video that have a mask: later ones are neither scored nor seen."""
        length, folder = read_length(self._mask(video)), self._images(video)
        present = {entry.name for entry in os.scandir(folder)}
        if missing := [name for k in range(length) if (name := f"{k + 1:05d}.png") not in present]:
            raise FileNotFoundError(
                f"{HOME}: {folder} lacks {missing[0]}, one of {len(missing)} missing frames of the {length} that "
                f"{self._mask(video)} annotates; download it again"
            )
        return length

    def _drawn(self, sentences: list[tuple[str, str]]) -> list[Sample]:
        return [
            Sample(video, frame, query)
            for video, query in sentences
            for frame in scored_frames(self.lengths[video], every=self.frames == "all")
        ]

    def _listed(self, copy: set[str]) -> list[Sample]:
        path = listed(self.frames, ", deterministic, or all")
        self.list = choose_samples(path, read_jhmdb_list, self.lengths, copy, self.root)
        for number, (video, action, frame, length, _) in self.list.used:
            if action != self.actions[video] or length != self.lengths[video] or not 1 <= frame <= length:
                raise ValueError(
                    f"{path}, entry {number}: frame {frame} of the {length} of {action}/{video}; {self.root} has "
                    f"{self.actions[video]}/{video} with {self.lengths[video]} annotated frames: the list was made "
                    "from another copy; take deterministic frames, or the copy that it belongs to"
                )
        return [Sample(video, frame, query) for _, (video, _, frame, _, query) in self.list.used]


def actions_in(images: Path) -> list[str]:
    """The names of the folders in which videos lie."""
    return sorted(entry.name for entry in os.scandir(images) if entry.is_dir() and not is_litter(entry.name))


def scored_frames(length: int, every: bool = False) -> list[int]:
    """Numbers, from 1, of the frames scored in a video of `length`: all, or the middles of its thirds.

    >>> scored_frames(15)
    [3, 8, 13]
    """
    if every:
        return list(range(1, length + 1))
    return list(dict.fromkeys(1 + (2 * i + 1) * length // 6 for i in range(3)))


def read_sentences(path: Path) -> list[tuple[str, str]]:
    """(video, query) of the whole data set, in the order of the file. Raises `ValueError` naming file and line."""
    rows, sentences = read_rows(path), {}
    header = next(rows, (1, []))[1]
    if header != ["video_id", "query"]:
        raise ValueError(f"{path}: expected the header video_id,query; found {','.join(header)!r}")
    for number, row in rows:
        if len(row) != 2:
            raise ValueError(f"{path}, line {number}: expected 2 columns, found {len(row)}; is a query not quoted?")
        key = row[0], clean_expression(row[1])
        if not key[0] or not key[1]:
            raise ValueError(f"{path}, line {number}: video or query is empty")
        if key in sentences:
            warnings.warn(f"{path}, line {number}: repeats {key}; taken once", stacklevel=3)
        sentences[key] = None
    return list(sentences)


def read_length(path: Path) -> int:
    """T, the number of annotated frames, from the file's head alone; errors as in `read_mask`."""
    return _axes(path, array_shape(path, "part_mask"))[2]


def read_mask(path: Path, frame: int, shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of a frame, numbered from 1; `shape` is the frame's own (H, W).

    Raises `FileNotFoundError`, or `ValueError` naming what the file holds instead of `part_mask` (H, W, T).
    """
    masks = read_array(path, "part_mask")
    height, width, length = _axes(path, masks.shape)
    require_shape(path, (height, width), shape)
    if frame > length:
        raise ValueError(f"{path} annotates frames 1 to {length}, not {frame}; was it replaced? download it again")
    return as_mask(path, masks.reshape(height, width, length)[:, :, frame - 1])


def _axes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    shape = (*shape, 1) if len(shape) == 2 else shape  # MATLAB drops a last axis of one
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"{path}: part_mask has shape {shape}; expected (H, W, T), none of them zero")
    return shape


def require_layout(root: Path) -> None:
    """Raises `FileNotFoundError` that names what is missing."""
    needed = (root / name for name in ("Rename_Images", "puppet_mask", "jhmdb_annotation.txt"))
    require_tree(HOME, JHMDBSentences.name, TREE, root, *needed)


# Arrays of numbers out of classic MATLAB files (version 5 to 7), as far as masks need them.
#
# scipy reads these files too, but damaged ones can crash it, and with it a whole run. The layout: a head of 128 bytes,
# then elements, each a type, a length and so many bytes, padded to eight. A matrix is an element that holds four:
# class, axes, name and numbers, first axis fastest; it may be compressed as a whole.

COMPRESSED, MATRIX = 15, 14
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # of elements
NUMERIC = range(6, 16)  # classes of matrices; others are cells, structures, text and sparse ones
HEAD, MOST = 4096, 2**30  # bytes unpacked to learn a name, and at most


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """The axes of an array, from its head alone; errors as in `read_array`."""
    return _find(path, name, HEAD)[0]


def read_array(path: Path, name: str) -> np.ndarray:
    """The array `name` of a file. Raises `FileNotFoundError`, or `ValueError` that says what the file holds instead."""
    shape, order, parts = _find(path, name, MOST)
    try:
        kind, payload = next(parts)
        numbers = np.frombuffer(payload, np.dtype(TYPES[kind]).newbyteorder(order))
    except (ValueError, KeyError, StopIteration) as error:
        raise _damaged(path, f"the numbers of {name!r} are cut short") from error
    if len(numbers) != math.prod(shape):
        raise _damaged(path, f"{name!r} has {len(numbers)} numbers for the shape {shape}")
    return numbers.reshape(shape, order="F")


def _find(path: Path, name: str, most: int) -> tuple[tuple[int, ...], str, Iterator]:
    """Axes, byte order and remaining elements of a matrix of numbers, of which `most` bytes are unpacked."""
    data, names = read_bytes(path, MOST), []
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or data[:10] == b"MATLAB 7.3":
        raise _damaged(path, "version 7.3" if data[:10] == b"MATLAB 7.3" else "a different header")
    try:
        for kind, payload in _elements(data[128:], order, whole=True):
            if kind == COMPRESSED:
                kind, payload = next(_elements(_unpacked(payload, most), order))
            if kind != MATRIX:
                continue
            parts = _elements(payload, order)
            (_, flags), (_, axes), (_, label) = next(parts), next(parts), next(parts)
            names.append(bytes(label).decode("latin-1"))
            if names[-1] == name:
                shape = struct.unpack(f"{order}{len(axes) // 4}i", axes)
                if flags[0 if order == "<" else 3] not in NUMERIC or min(shape, default=-1) < 0:
                    raise ValueError(f"{name} is not an array of numbers")
                return shape, order, parts
    except (ValueError, IndexError, StopIteration, struct.error, zlib.error) as error:
        raise _damaged(path, str(error) or "cut short") from error
    raise ValueError(f"{path} lacks {name!r}; it holds {', '.join(sorted(names)) or 'nothing'}; download it again")


def _elements(data, order: str, whole: bool = False) -> Iterator[tuple[int, memoryview]]:
    """Type and bytes of every element; `whole`: `ValueError` for one that is cut short."""
    data, place = memoryview(data), 0
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, place)
        begin, padding = place + 8, -length % 8
        if kind >> 16:  # a small one: length and type share four bytes, its own bytes are the other four
            kind, length, begin, padding = kind & 0xFFFF, kind >> 16, place + 4, 0
        if whole and begin + length > len(data):
            raise ValueError("cut short")
        yield kind, data[begin : begin + length]
        place = max(begin + length + (0 if kind == COMPRESSED else padding), place + 8)


def _unpacked(payload: memoryview, most: int) -> bytes:
    stream = zlib.decompressobj()
    data = stream.decompress(payload, most)
    if not stream.eof and (most == MOST or len(data) < most):
        raise ValueError("cut short, or larger than any mask")
    return data


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is not a readable MATLAB file of version 5 to 7 ({why}); download it again")
