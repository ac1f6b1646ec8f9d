"""Refer-YouTube-VOS in its genuine layout; the toy world written as such is read by the same lines.

    root/meta_expressions/{train,valid,test}/meta_expressions.json   see `expressions`; `obj_id` in train alone
    root/{train,valid,test}/JPEGImages/<video>/00000.jpg 00005.jpg   every fifth frame of 30 a second
    root/train/Annotations/<video>/<same stem>.png                   palette images, index = object id
    root/train/meta.json                                             optional: category and frames of each object
    root/toy_world.json                                              toy world only: finer splits, evidence, twins

Expression ids have gaps, and valid is what the valid file lists and the test file does not.
"""

import hashlib
import os
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np

from ..shared.files import image_shape, read_index_mask, read_json, require_shape
from .clip import ReferringClip, ReferringVideo
from .expressions import (
    brief,
    json_items,
    label_videos,
    parse_expressions,
    parse_frames,
    read_clip,
    require_folders,
    windows_that_show,
)
from .listing import read_toy

HOME = "Refer-YouTube-VOS"
FOLDERS = {"train": "train", "local-train": "train", "local-val": "train", "valid": "valid", "test": "test"}
HELD_OUT = 17  # one training video in so many: about 204 of 3,471
TREE = "meta_expressions/{train,valid,test}/meta_expressions.json and {train,valid,test}/JPEGImages/<video>/"
HINT = "or use the toy world: --data.name toy, or data_scripts/make_toy_world.py --layout refer_youtube_vos"


class ReferYouTubeVOS:
    """Sentences over whole videos (`videos`), and windows of listed frames cut from them as `ReferringClip`s.

    `split` is train, valid or test; or local-val, the training videos held out by `held_out`, and local-train, the
    others. A root with `toy_world.json` has its finer splits too, all labelled. `rule` tells how the split's videos
    were found, `labelled` whether masks are published: without them `read_target` and `dataset[i]` raise
    `ValueError`, and everything else works.

    A sample is a window, `offset` listed frames apart and clamped to the video (D-3), in which the target appears;
    in the current frame it may be absent, the mask then is empty. Where it appears is read from meta.json: without
    that file every window is a sample, as nobody wants to open a hundred thousand masks first.
    Raises `FileNotFoundError` or `ValueError`, naming file and remedy, for an incomplete or malformed layout.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "local-val",
        window: int = 3,
        offset: int = 1,
        causal: bool = False,
        cache: str = "",
    ):
        self.root, self.split, self.cache = Path(root), split, cache
        self.window, self.offset, self.causal = window, offset, causal
        if not self.root.is_dir():
            raise FileNotFoundError(f"{HOME}: no folder {self.root}; expected {TREE} in it; {HINT}")
        splits, labels = read_toy(self.root / "toy_world.json")
        splits = splits or {}
        folders = FOLDERS | dict.fromkeys(splits, "train")
        if split not in folders:
            raise ValueError(f"unknown split {split!r} of {HOME}; {self.root} has {', '.join(folders)}")
        self.folder, train = self.root / folders[split], folders[split] == "train"
        path = self._expressions(folders[split])
        videos, published = parse_expressions(read_json(path), path, read_object)
        chosen = self._choose({video.video_id for video in videos}, splits)
        self.videos, self.twins = label_videos([video for video in videos if video.video_id in chosen], labels)
        if not self.videos:
            raise ValueError(f"{HOME}: no expression of split {split!r} in {path} ({self.rule}); is the copy complete?")
        require_folders(chosen, self.folder / "JPEGImages", HOME)
        self.labelled = published and (train or (self.folder / "Annotations").is_dir())
        if train and not published:
            raise ValueError(f"{path}: no 'obj_id', which tells what an expression refers to; copy the file again")
        if train:
            require_folders(chosen, self.folder / "Annotations", HOME)
        meta = self.root / "train" / "meta.json"
        self._objects = parse_objects(read_json(meta), meta) if train and meta.is_file() else None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> ReferringClip:
        return read_clip(self, number)

    def frame_paths(self, video: ReferringVideo) -> list[Path]:
        """The files of the listed frames, in order of time."""
        return [self.folder / "JPEGImages" / video.video_id / f"{stem}.jpg" for stem in video.frames]

    def read_target(self, video: ReferringVideo, k: int) -> tuple[np.ndarray, None]:
        """The mask (H, W) bool of listed frame `k`, all False where the target is absent; no pixel is void."""
        if not self.labelled:
            raise ValueError(
                f"{HOME}: {self.folder} has no masks of what the expressions refer to (published for train alone); "
                "predictions can still be written; score on split local-val instead"
            )
        path = self.folder / "Annotations" / video.video_id / f"{video.frames[k]}.png"
        indices = read_index_mask(path)
        require_shape(path, indices.shape, image_shape(self.frame_paths(video)[k]))
        return np.isin(indices, [int(number) for number in video.object_ids]), None

    def category(self, video: ReferringVideo) -> str | None:
        """The target's category, such as `dog`; None without meta.json."""
        return self._object(video)[0] if self._objects is not None else None

    @cached_property
    def samples(self) -> np.ndarray:
        """(n, 2): index in `videos` and number of the current frame of every sample."""
        return windows_that_show(self, map(self._visible, self.videos))

    def _visible(self, video: ReferringVideo) -> np.ndarray:
        if self._objects is None:
            return np.ones(len(video.frames), bool)
        frames = self._object(video)[1]
        return np.array([stem in frames for stem in video.frames])

    def _object(self, video: ReferringVideo) -> tuple[str, frozenset[str]]:
        key = video.video_id, *video.object_ids
        if key not in self._objects:
            raise ValueError(
                f"{self.root / 'train' / 'meta.json'} lacks object {key[1]!r} of video {key[0]!r}, to which expression "
                f"{video.expression_id!r} refers; copy it again, or move it away: then no window is left out"
            )
        return self._objects[key]

    def _expressions(self, folder: str) -> Path:
        return self.root / "meta_expressions" / folder / "meta_expressions.json"

    def _choose(self, names: set[str], splits: dict[str, list[str]]) -> set[str]:
        """The split's videos among those of its JSON file; sets `rule`."""
        if self.split in splits:
            self.rule = "as toy_world.json lists them"
            if unknown := sorted(set(splits[self.split]) - names):
                raise ValueError(f"{HOME}: {self.root} lacks {unknown[0]}, which toy_world.json lists; write it anew")
            return set(splits[self.split])
        if self.split.startswith("local-"):
            self.rule = f"by held_out: one training video in {HELD_OUT}"
            return {name for name in names if held_out(name) == (self.split == "local-val")}
        if self.split != "valid":
            self.rule = "all that the file lists"
            return names
        test = self._expressions("test")
        if test.is_file():
            self.rule = "listed for valid and not for test"
            return names - set(dict(json_items(read_json(test).get("videos"), f"{test}: 'videos'")))
        self.rule = "with a folder in valid/JPEGImages"
        folder = self.folder / "JPEGImages"
        present = names & ({entry.name for entry in os.scandir(folder)} if folder.is_dir() else set())
        warnings.warn(
            f"{HOME}: {test} is missing (the official copy lost it), so that valid is the {len(present)} videos of "
            f"the valid JSON that have a folder in {folder}; the genuine split has 202",
            stacklevel=3,
        )
        return present


def held_out(video: str) -> bool:
    """Is a training video kept for local-val? By the SHA-256 of its id: the same on every machine, for ever."""
    return int(hashlib.sha256(video.encode()).hexdigest(), 16) % HELD_OUT == 0


def read_object(entry: dict) -> tuple[str] | None:
    """What an expression of `meta_expressions.json` refers to: an index of the palette masks."""
    if "obj_id" not in entry:
        return None
    number = entry["obj_id"]
    if not (isinstance(number, str) and number.isascii() and number.isdigit() and 0 < int(number[:4]) < 256):
        raise ValueError(f"'obj_id' is {brief(number)}; expected a string such as '1'")
    return (number,)


def parse_objects(table: dict, path: Path) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """Category and frames by (video, object id), from the content of `meta.json`. Raises `ValueError`."""
    found = {}
    for video, entry in json_items(table.get("videos"), f"{path}: 'videos'"):
        where = f"{path}: video {video!r}"
        objects = dict(json_items(entry, where)).get("objects")
        for number, said in json_items(objects, f"{where}, 'objects'"):
            here = f"{where}, object {number!r}"
            category, frames = (dict(json_items(said, here)).get(key) for key in ("category", "frames"))
            if not isinstance(category, str):
                raise ValueError(f"{here}: 'category' is {brief(category)}; expected a word; copy the file again")
            found[video, number] = category, frozenset(parse_frames(frames, here))
    return found
