"""Refer-YouTube-VOS in its genuine layout; the same code reads the toy world written in it.

    root/meta_expressions/{train,valid,test}/meta_expressions.json   see `expressions`; `obj_id` in train alone
    root/{train,valid,test}/JPEGImages/<video>/00000.jpg 00005.jpg   every fifth frame of 30 a second
    root/train/Annotations/<video>/<same stem>.png                   palette images, index = object id
    root/train/meta.json                                             optional: category and frames of each object
    root/toy_world.json                                              toy world only: finer splits, evidence, twins

Expression ids have gaps, and valid is what the valid file lists and the test file does not.
"""

import os
import warnings
from pathlib import Path

import numpy as np

from ..shared.files import read_json
from ..shared.images import image_shape, read_index_mask, require_shape
from .clip import ReferringVideo, VideoDataSet
from .expressions import brief, json_items, parse_expressions, parse_frames, require_folders, require_labels
from .listing import part_of, read_toy, require_tree, videos_of

HOME = "Refer-YouTube-VOS"
TREE = "meta_expressions/{train,valid,test}/meta_expressions.json and {train,valid,test}/JPEGImages/<video>/"


class ReferYouTubeVOS(VideoDataSet):
    """Sentences over whole videos (`videos`), and windows of listed frames cut from them as `ReferringClip`s.

    `split` is train, valid or test, or one of the halves of train (`listing`); a root with `toy_world.json` has its
    finer splits too, all labelled. `labelled` says whether masks are published: without them `read_target` and
    `dataset[i]` raise `ValueError`, and everything else works.

    A sample is a window of listed frames in which the target appears. Where it does is read from meta.json. Without
    that file every window is a sample: to find out would mean opening a hundred thousand masks. Arguments and errors
    as in `ClipDataSet`.
    """

    name = "refer_youtube_vos"

    def find(self) -> None:
        require_tree(HOME, self.name, TREE, self.root)
        toy, labels = read_toy(self.root / "toy_world.json")
        part = part_of(self.split, ("train", "valid", "test"), toy, "train", self.root)
        train, self.folder, self.images = part == "train", self.root / part, self.root / part / "JPEGImages"
        path = self._expressions(part)
        videos, published = parse_expressions(read_json(path), path, read_object)
        chosen = videos_of(self.split, (video.video_id for video in videos), toy, path)
        chosen = self._scored(set(chosen)) if part == "valid" else set(chosen)
        self.take([video for video in videos if video.video_id in chosen], labels, path)
        require_folders(chosen, self.images, HOME)
        self.labelled = published and (train or (self.folder / "Annotations").is_dir())
        if train and not published:
            raise ValueError(f"{path}: no 'obj_id', which tells what an expression refers to; download the file again")
        if train:
            require_folders(chosen, self.folder / "Annotations", HOME)
        if self.labelled:
            require_labels(self.videos, self.folder / "Annotations")
        meta = self.root / "train" / "meta.json"
        self._objects = parse_objects(read_json(meta), meta) if train and meta.is_file() else None

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

    def visible(self, video: ReferringVideo) -> np.ndarray:
        if self._objects is None:
            return np.ones(len(video.frames), bool)
        frames = self._object(video)[1]
        return np.array([stem in frames for stem in video.frames])

    def _object(self, video: ReferringVideo) -> tuple[str, frozenset[str]]:
        key = video.video_id, *video.object_ids
        if key not in self._objects:
            raise ValueError(
                f"{self.root / 'train' / 'meta.json'} lacks object {key[1]!r} of video {key[0]!r}, to which expression "
                f"{video.expression_id!r} refers; download it again, or move it away: then no window is left out"
            )
        return self._objects[key]

    def _expressions(self, folder: str) -> Path:
        return self.root / "meta_expressions" / folder / "meta_expressions.json"

    def _scored(self, names: set[str]) -> set[str]:
        """The videos that valid alone has, among those of its JSON file."""
        test = self._expressions("test")
        if test.is_file():
            return names - set(dict(json_items(read_json(test).get("videos"), f"{test}: 'videos'")))
        present = names & ({entry.name for entry in os.scandir(self.images)} if self.images.is_dir() else set())
        warnings.warn(
            f"{HOME}: {test} is missing (the official copy lost it), so that valid is the {len(present)} videos of "
            f"the valid JSON that have a folder in {self.images}; the genuine split has 202",
            stacklevel=3,
        )
        return present


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
                raise ValueError(f"{here}: 'category' is {brief(category)}; expected a word; download the file again")
            found[video, number] = category, frozenset(parse_frames(frames, here))
    return found
