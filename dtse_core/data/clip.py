"""Data sets: samples are `ReferringClip`s, and sets of videos also give sentences over a whole video.

`ClipDataSet` is every data set, the toy world in memory included; `VideoDataSet` is one whose sentences are scored
over whole videos. What they do not have, a category, an annotator, a version, they answer with None or "".
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import DATASETS

if TYPE_CHECKING:
    from torch.utils.data import Dataset
else:
    Dataset = object  # a DataLoader asks for no more than the methods; so files are written and checked without torch

EVIDENCE = ("appearance", "position", "relation", "action", "direction")
KINDS = (*EVIDENCE, "ordinal", "comparison", "nested", "event", "interaction", "group", "none", "negation")
CONTROL = "control"  # of the diagnostic slices: what is asked of looks alone


@dataclass(frozen=True)
class ReferringClip:
    """A window of frames, a sentence, and the mask of what it refers to in the current frame.

    Shapes: `frames` (T, H, W, 3) uint8 RGB; `mask` and `twin_mask` (H0, W0) bool at the
    annotation's original size: scoring resizes what was predicted, never the truth.
    """

    frames: np.ndarray
    current: int  # index of the current frame in `frames`: explicit, never inferred
    mask: np.ndarray
    expression: str
    video_id: str
    frame_id: int  # the current frame as the data set numbers it
    instance_id: str  # empty: the data set has one object a video
    evidence: str | None = None  # toy world: what the sentence needs, one of KINDS, or CONTROL
    twin_mask: np.ndarray | None = None  # toy world: the twin that differs from the target in motion alone

    @property
    def sample_id(self) -> str:
        """`v_<video>_f_<frame>_i_<instance>`, ending with the frame where there are no instances (J-HMDB).

        Unique with the expression.
        """
        return f"v_{self.video_id}_f_{self.frame_id}" + (f"_i_{self.instance_id}" if self.instance_id else "")


@dataclass(frozen=True)
class ReferringVideo:
    """One sentence over a whole video: what the video protocols score, J and F on every listed frame.

    It names things and holds no pixels: `dataset.frame_paths(video)` lists the frames' files,
    `dataset.read_target(video, k)` reads the mask of frame k.
    """

    video_id: str
    expression_id: str  # as the data set's files name it
    expression: str
    frames: tuple[str, ...]  # names of the listed frames without suffix, in order of time
    object_ids: tuple[str, ...] = ()  # what the sentence refers to; empty: nothing, or not published
    evidence: str | None = None  # toy world


def window_indices(current: int, length: int, window: int, offset: int, causal: bool = False) -> tuple[list[int], int]:
    """Frame indices of a window, clamped to the clip, and the slot of the current frame (D-3).

    >>> window_indices(10, 30, window=3, offset=6)
    ([4, 10, 16], 1)
    >>> window_indices(2, 30, window=3, offset=6, causal=True)
    ([0, 0, 2], 2)
    """
    if not 0 <= current < length:
        raise ValueError(f"current frame {current} lies outside a clip of {length} frames")
    slot = window - 1 if causal else window // 2
    wanted = [current + (k - slot) * offset for k in range(window)]
    return [min(max(i, 0), length - 1) for i in wanted], slot


class ClipDataSet(Dataset):
    """Samples that are `ReferringClip`s, their windows of frames cut alike.

    `root`: the folder; `split`: a part of the data set, "" the one that is scored. `window` frames, `offset` frames
    apart (0: the data set's own choice), clamped to the video (D-3); the current frame is the middle or, if `causal`,
    the last of them. `cache`: see `frame_cache`. Files are opened when a sample is asked for, so that the data set
    can be pickled and used by DataLoader workers. `frames` chooses the samples of A2D- and J-HMDB-Sentences, `gt` the
    masks of Ref-DAVIS17: see there; "" is the usual choice.
    Raises `FileNotFoundError` or `ValueError`, naming file and remedy, for an incomplete or malformed layout.
    """

    name: str  # in the settings: see `DATASETS`
    choice = ""  # which of `frames` and `gt` it has
    version = ""  # which version a copy is, where there are several
    labelled = True  # masks are published

    def __init__(
        self,
        root: str | Path,
        split: str = "",
        window: int = 3,
        offset: int = 0,
        causal: bool = False,
        cache: str = "",
        frames: str = "",
        gt: str = "",
    ):
        for option, value in (("frames", frames), ("gt", gt)):
            if value and option != self.choice:
                raise ValueError(f"{option} {value!r} means nothing for {type(self).__name__}; leave it out")
        own = DATASETS[self.name]
        self.root, self.split, self.cache = Path(root), split or own.scored, cache
        self.window, self.offset, self.causal = window, offset or own.offset, causal
        self.frames, self.gt = frames, gt
        self.find()

    def __len__(self) -> int:
        raise NotImplementedError  # each data set counts its own samples

    def find(self) -> None:
        """Reads the tables and finds the samples: the last step of the constructor."""

    def category(self, about: "str | ReferringVideo") -> str | None:
        """What kind of thing or action a video, by its id, or a sentence's target is; None if no file has it."""
        return None

    def programs(self) -> dict[tuple[str, str], tuple[int, str]]:
        """Depth and family of each sentence of a toy world's second level, by video and sentence; else nothing.

        A family is a set of scenes that differ in little: slices have such; elsewhere every video is its own.
        """
        from .listing import read_programs  # `predict` reads no listings

        return read_programs(self.root / "toy_world.json")

    def family_of(self, k: int) -> str:
        """Which minimal pairs sample k is one of, in a slice of the diagnostic world drawn in memory; else nothing."""
        return ""

    def choices(self) -> dict[str, str]:
        """What a result must tell of the data that its numbers depend on."""
        return {"version": self.version} if self.version else {}

    def several(self, k: int, count: int) -> list[ReferringClip]:
        """Sample k and others that show the same window, `count` in all; from the first again where there are fewer."""
        if count == 1:  # the usual case asks nothing about the other samples, of which there may be 100,000s
            return [self[k]]
        alike = self._alike[self.window_of(k)]
        start = alike.index(k)
        return [self[j] for j in islice(cycle(alike[start:] + alike[:start]), count)]

    def several_apart(self, k: int, count: int, offset: int) -> list[ReferringClip]:
        """As `several`, with frames that lie `offset` apart."""
        own, _ = self.offset, len(self)  # counts the samples first: which there are follows from its own offset
        self.offset = offset
        try:
            return self.several(k, count)
        finally:
            self.offset = own

    def window_of(self, k: int) -> Hashable:
        """What samples that show the same window have in common."""
        return k  # here each shows its own

    @cached_property
    def _alike(self) -> dict[Hashable, list[int]]:
        found: dict[Hashable, list[int]] = {}
        for k in range(len(self)):
            found.setdefault(self.window_of(k), []).append(k)
        return found

    def cut(self, current: int, length: int) -> tuple[list[int], int]:
        """The window around a frame, as `window_indices` gives it."""
        return window_indices(current, length, self.window, self.offset, self.causal)


class VideoDataSet(ClipDataSet):
    """Sentences over whole videos (`videos`), and windows cut from them as `ReferringClip`s.

    A sample is a sentence and a frame: see `samples`. A loader's `find` sets the annotated attributes, by `take` the
    sentences; it has its own `read_target` and `visible`.
    """

    videos: list[ReferringVideo]
    images: Path  # a folder of frames for each video
    twins: dict[tuple[str, str], tuple[str, ...]]  # toy world: whose masks are the twin's, by video and sentence

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> ReferringClip:
        from ..video.frame_cache import image_frames  # `predict` cuts windows alone and reads no samples

        n, k = (int(i) for i in self.samples[number])
        video = self.videos[n]
        mask, _ = self.read_target(video, k)
        twin = self.twins.get((video.video_id, video.expression_id))
        twin_mask = self.read_target(replace(video, object_ids=twin), k)[0] if twin else None
        paths = self.frame_paths(video)
        indices, slot = self.cut(k, len(paths))
        return ReferringClip(
            frames=image_frames([paths[i] for i in indices], self.cache),
            current=slot,
            mask=mask,
            expression=video.expression,
            video_id=video.video_id,
            frame_id=int(video.frames[k]),
            instance_id=video.expression_id,  # two expressions of one object may read alike
            evidence=video.evidence,
            twin_mask=twin_mask,
        )

    def window_of(self, k: int) -> Hashable:
        n, current = (int(i) for i in self.samples[k])
        return self.videos[n].video_id, self.videos[n].frames[current]

    def annotator(self, video: ReferringVideo) -> int | None:
        """Who said a sentence, where annotators are scored apart and their sentences share a map of labels."""
        return None

    def frame_paths(self, video: ReferringVideo) -> list[Path]:
        """The files of the listed frames, in order of time."""
        return [self.images / video.video_id / f"{stem}.jpg" for stem in video.frames]

    def read_target(self, video: ReferringVideo, k: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The mask of listed frame `k`, all False where the target is absent, and the pixels that are not scored.

        Both (H, W) bool; None: every pixel is scored. Raises `ValueError` where no masks are published.
        """
        raise NotImplementedError  # each loader reads its own masks

    def visible(self, video: ReferringVideo) -> np.ndarray:
        """(T,) bool: the listed frames in which the target appears, as far as it is known without reading masks."""
        raise NotImplementedError  # each loader asks its own tables, or finds its `samples` in another way

    @cached_property
    def samples(self) -> np.ndarray:
        """(n, 2) int32: the index in `videos` and the current frame of every window that shows the target.

        In the current frame it may be absent; the mask then is empty. For a sentence that refers to nothing every
        window counts, so that the model also learns empty answers.
        """
        windows: dict[int, np.ndarray] = {}  # (frames, window) by number of frames
        found = [np.empty((0, 2), np.int32)]
        for n, video in enumerate(self.videos):
            seen = self.visible(video) if video.object_ids else np.ones(len(video.frames), bool)
            if len(seen) not in windows:
                windows[len(seen)] = np.array([self.cut(k, len(seen))[0] for k in range(len(seen))])
            current = np.flatnonzero(seen[windows[len(seen)]].any(1))
            found.append(np.stack([np.full_like(current, n), current], 1).astype(np.int32))
        return np.concatenate(found)

    def take(self, videos: list[ReferringVideo], labels: dict, path: Path) -> None:
        """Sets `videos`, with a toy world's evidence filled in, and `twins`; `labels` is what `read_toy` gives.

        Raises `ValueError` if there is no sentence.
        """
        if not videos:
            raise ValueError(f"no expression of split {self.split!r} in {path}; is the copy complete?")
        said = [labels.get((v.video_id, v.expression_id, v.expression), (None, None)) for v in videos]
        self.videos = [replace(video, evidence=evidence) for video, (evidence, _) in zip(videos, said, strict=True)]
        self.twins = {
            (video.video_id, video.expression_id): (str(twin),)
            for video, (_, twin) in zip(videos, said, strict=True)
            if twin
        }
