"""Ref-DAVIS17 in its genuine layout; the same code reads the toy world written in it.

    root/DAVIS/JPEGImages/480p/<sequence>/00000.jpg                  numbered from 0
    root/DAVIS/Annotations_unsupervised/480p/<sequence>/00000.png    palette images, index = object id, 255 void
    root/DAVIS/Annotations/480p/...                                  the masks of 2017, where asked for
    root/DAVIS/ImageSets/2017/{train,val}.txt
    root/DAVIS/davis_semantics.json                                  optional: categories of the objects
    root/davis_text_annotations/Davis17_annot1.txt ...               see `SETS`
    root/toy_world.json                                              toy world only: finer splits, evidence, twins

or as converted to the layout of Refer-YouTube-VOS:

    root/{train,valid}/{JPEGImages,Annotations}/<sequence>/
    root/{train,valid}/meta.json                                     optional: categories of the objects
    root/meta_expressions/{train,valid}/meta_expressions.json        expression ids 4 * rank + annotation set
"""

import re
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np

from ..shared.files import read_json, read_text
from ..shared.images import image_shape, read_index_mask, require_shape
from .clip import ReferringVideo, VideoDataSet
from .expressions import json_items, parse_expressions, require_folders, require_labels, stems
from .listing import Splits, part_of, read_toy, require_tree, videos_of
from .sentences import clean_expression

HOME = "Ref-DAVIS17"
MASKS = {"unsupervised": "Annotations_unsupervised", "2017": "Annotations"}
CONVERTED = {"train": "train", "val": "valid"}  # the names of splits there
TREE = "DAVIS/{JPEGImages,Annotations_unsupervised}/480p/, DAVIS/ImageSets/2017/ and davis_text_annotations/"
VOID = 255  # index of pixels that are not scored


class RefDAVIS17(VideoDataSet):
    """Sentences over whole sequences (`videos`), and windows cut from them as `ReferringClip`s.

    Two annotators each described every object twice, after the first frame and after the full video: four annotation
    sets, 0 to 3, which `annotator` tells apart. An expression's id is 4 * rank + set, as the converted layout has it;
    the rank is the object's among those of its sequence, which is not always its id less one.
    `split` is train or val, or one of the halves of train (`listing`); a root with `toy_world.json` has its finer
    splits too. `gt` chooses the masks: `unsupervised`, those of that task (2019), or those of `2017`; `masks` is their
    folder, to be printed beside every score. A sample is an expression and a frame that shows its object. Other
    arguments and errors as in `ClipDataSet`.
    """

    name, choice = "ref_davis", "gt"

    def find(self) -> None:
        self.gt = self.gt or "unsupervised"
        if self.gt not in MASKS:
            raise ValueError(f"{HOME}: unknown masks {self.gt!r}; gt must be one of {', '.join(MASKS)}")
        toy, labels = read_toy(self.root / "toy_world.json")
        part = part_of(self.split, () if toy else CONVERTED, toy, "val", self.root)
        converted = (self.root / "meta_expressions").is_dir()
        self.take(self._converted(part, toy) if converted else self._original(part, toy), labels, self.root)
        require_labels(self.videos, self.masks)

    def annotator(self, video: ReferringVideo) -> int:
        """The annotation set, 0 to 3, that a sentence belongs to: see `SETS`."""
        return int(video.expression_id) % len(SETS)

    def category(self, video: ReferringVideo) -> str | None:
        """The object's category, such as `dog`; None if no file has it."""
        return self.categories.get((video.video_id, video.object_ids[0]))

    def choices(self) -> dict[str, str]:
        return {"masks": str(self.masks)}

    def read_target(self, video: ReferringVideo, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The mask of frame `k` and the pixels that are not scored, both (H, W) bool."""
        indices = self.read_indices(video.video_id, k)
        return indices == int(video.object_ids[0]), indices == VOID

    def read_indices(self, sequence: str, k: int) -> np.ndarray:
        """Frame `k` of a sequence: (H, W) uint8 object ids, 0 background, 255 void."""
        stem = self.frames[sequence][k]
        path = self.masks / sequence / f"{stem}.png"
        indices = read_index_mask(path)
        require_shape(path, indices.shape, image_shape(self.images / sequence / f"{stem}.jpg"))
        return indices

    @cached_property
    def samples(self) -> np.ndarray:
        """(n, 2) int32: index in `videos` and number of a frame that shows the object. Opens every mask once."""
        seen = {
            sequence: np.stack([np.bincount(self.read_indices(sequence, k).ravel(), minlength=256) for k in range(n)])
            for sequence, n in ((name, len(stems)) for name, stems in self.frames.items())
        }  # pixels by frame and id
        shown = [np.flatnonzero(seen[video.video_id][:, int(video.object_ids[0])]) for video in self.videos]
        return np.concatenate([np.stack([np.full_like(k, n), k], 1) for n, k in enumerate(shown)]).astype(np.int32)

    def _original(self, part: str, toy: Splits | None) -> list[ReferringVideo]:
        davis, texts = self.root / "DAVIS", self.root / "davis_text_annotations"
        self.images, self.masks = davis / "JPEGImages" / "480p", davis / MASKS[self.gt] / "480p"
        sets = {name: davis / "ImageSets" / "2017" / f"{name}.txt" for name in CONVERTED}
        self._require(self.images, *sets.values(), *(texts / f"{name}.txt" for name, _ in SETS))
        listed = {name: read_words(path) for name, path in sets.items()}
        known = [sequence for names in listed.values() for sequence in names]
        chosen = videos_of(self.split, known if toy else listed[part], toy, sets[part])
        said = read_texts(texts, set(known))
        self._list_frames(chosen)
        semantics = davis / "davis_semantics.json"
        self.categories = parse_categories(read_json(semantics), semantics) if semantics.is_file() else {}
        if silent := [sequence for sequence in chosen if sequence not in said]:
            raise ValueError(
                f"{HOME}: {texts} holds no expression of {silent[0]}, which {self.split} lists; download it again"
            )
        return [
            ReferringVideo(sequence, str(4 * rank + k), text, self.frames[sequence], (number,))
            for sequence in chosen
            for rank, (number, four) in enumerate(said[sequence])
            for k, text in enumerate(four)
        ]

    def _converted(self, part: str, toy: Splits | None) -> list[ReferringVideo]:
        if self.gt != "unsupervised":
            raise ValueError(f"{HOME}: {self.root} is a converted copy, which has one kind of masks; leave out gt")
        folder = self.root / CONVERTED[part]
        self.images, self.masks = folder / "JPEGImages", folder / "Annotations"
        path = self.root / "meta_expressions" / folder.name / "meta_expressions.json"
        self._require(path, self.images)
        videos, _ = parse_expressions(read_json(path), path, lambda said: (object_number(said.get("obj_id")),))
        chosen = set(videos_of(self.split, (video.video_id for video in videos), toy, path))
        videos = [video for video in videos if video.video_id in chosen]
        require_ranks(videos, path)
        self._list_frames(dict.fromkeys(video.video_id for video in videos))
        for video in videos:
            if video.frames != self.frames[video.video_id]:
                raise ValueError(
                    f"{path}: {video.video_id} lists {len(video.frames)} frames, {self.images / video.video_id} holds "
                    f"{len(self.frames[video.video_id])} or others; download them again"
                )
        meta = folder / "meta.json"
        self.categories = parse_categories(read_json(meta).get("videos"), meta) if meta.is_file() else {}
        return videos

    def _require(self, *paths: Path) -> None:
        require_tree(HOME, self.name, TREE, self.root, *paths)

    def _list_frames(self, sequences) -> None:
        """Sets `frames`: names without suffix, in order of time, by sequence; images and masks must be the same."""
        if not self.masks.is_dir():
            other = [gt for gt, name in MASKS.items() if (self.root / "DAVIS" / name / "480p").is_dir()]
            hint = f"; there are others: --data.davis-masks {other[0]}" if other else ""
            raise FileNotFoundError(f"{HOME}: no masks in {self.masks}; copy them{hint}")
        self.frames = {}
        for folder in (self.images, self.masks):
            require_folders(list(sequences), folder, HOME)
        for sequence in sequences:
            images, masks = (stems(path / sequence, s) for path, s in ((self.images, ".jpg"), (self.masks, ".png")))
            if odd := sorted(set(images) ^ set(masks)):
                raise FileNotFoundError(
                    f"{HOME}: {len(images)} frames in {self.images / sequence}, {len(masks)} masks in "
                    f"{self.masks / sequence}; {odd[0]} is in one of them alone; download both again"
                )
            self.frames[sequence] = images


def require_ranks(videos: list[ReferringVideo], path: Path) -> None:
    """Raises `ValueError` unless the expression ids of each sequence are 4 * rank + annotation set, none missing."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for video in videos:
        found.setdefault(video.video_id, {})[video.expression_id] = video.object_ids
    for sequence, objects in found.items():
        ids = [str(n) for n in range(len(objects))]
        fours = [ids[n : n + len(SETS)] for n in range(0, len(ids), len(SETS))]
        if set(ids) != set(objects) or any(len(four) < 4 or len({objects[n] for n in four}) > 1 for four in fours):
            raise ValueError(
                f"{path}: the {len(objects)} expressions of {sequence} must have the ids 0, 1, 2 ..., four in a row "
                f"an object; found {', '.join(sorted(objects))[:200]}; convert the original again"
            )


def parse_categories(table, path: Path) -> dict[tuple[str, str], str]:
    """Category by (sequence, object id), from `davis_semantics.json` or the videos of the converted `meta.json`."""
    found = {}
    for sequence, entry in json_items(table, f"{path}: the sequences"):
        where = f"{path}: {sequence!r}"
        objects = dict(json_items(entry, where))
        for number, said in json_items(objects.get("objects", objects), where):
            category = said.get("category") if isinstance(said, dict) else said
            if not isinstance(category, str):
                raise ValueError(
                    f"{where}, object {number!r} is {str(said)[:60]!r}; expected a word; download the file again"
                )
            found[sequence, number] = category
    return found


# The text files: `<sequence> <object id> "<expression>"`, a line each, in four annotation sets.

SETS = (  # annotation sets 0 to 3: name of the file, and its encoding
    ("Davis17_annot1", "utf-8-sig"),
    ("Davis17_annot1_full_video", "utf-8-sig"),
    ("Davis17_annot2", "latin-1"),
    ("Davis17_annot2_full_video", "latin-1"),
)
REPAIRS = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S.*)")


def read_words(path: Path) -> list[str]:
    """The names in a list of sequences, one a line. Raises `ValueError` if one comes twice."""
    words = read_text(path).split()
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise ValueError(f"{path} lists {twice[0]} twice; download it again")
    return words


def read_texts(folder: Path, known: set[str]) -> dict[str, list[tuple[str, list[str]]]]:
    """By sequence: its objects by rank, each with its id and its four expressions.

    Ids rank as text, "10" before "2", as in the converted layout. Raises `FileNotFoundError`, or `ValueError` naming
    file and line, or the sequence of which the four sets describe different objects.
    """
    paths = [folder / f"{name}.txt" for name, _ in SETS]
    sets = [read_expressions(path, encoding, known) for path, (_, encoding) in zip(paths, SETS, strict=True)]
    found = {}
    for sequence in dict.fromkeys(sequence for one in sets for sequence in one):
        ranked = [sorted(one.get(sequence, []), key=lambda said: said[0]) for one in sets]
        numbers = [[number for number, _ in said] for said in ranked]
        for path, other in zip(paths, numbers, strict=True):
            if other != numbers[0]:
                raise ValueError(
                    f"{path} describes the objects {', '.join(other) or 'none'} of {sequence}, {paths[0].name} "
                    f"{', '.join(numbers[0]) or 'none'}; the four files must agree: download them again"
                )
        found[sequence] = [(number, [said[rank][1] for said in ranked]) for rank, number in enumerate(numbers[0])]
    return found


def read_expressions(path: Path, encoding: str, known: set[str]) -> dict[str, list[tuple[str, str]]]:
    """(object id, expression) by sequence, in the order of the file; mistyped names are repaired with a warning."""
    found: dict[str, list[tuple[str, str]]] = {}
    repaired: dict[str, int] = {}
    for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
        if not line.strip():
            continue
        match, where = LINE.fullmatch(line.strip()), f"{path}, line {number}"
        if not match:
            raise ValueError(f'{where}: expected <sequence> <object id> "<expression>"; found {line[:200]!r}')
        sequence, digits, text = match.groups()
        if sequence not in known and sequence in REPAIRS:
            repaired[sequence] = repaired.get(sequence, 0) + 1
            sequence = REPAIRS[sequence]
        if sequence not in known:
            raise ValueError(f"{where}: {sequence!r} is in none of the lists in ImageSets/2017; download both again")
        expression = clean_expression(text.removeprefix('"').removesuffix('"'))  # one quote a side, no more
        if not expression:
            raise ValueError(f"{where}: the expression is empty; download the file again")
        try:
            said = object_number(digits), expression
        except ValueError as error:
            raise ValueError(f"{where}: {error}; download the file again") from None
        if said in found.setdefault(sequence, []):
            warnings.warn(f"{where}: repeats {said} of {sequence}; taken once", stacklevel=2)
        else:
            found[sequence].append(said)
    if repaired:
        names = ", ".join(f"{name} to {REPAIRS[name]} ({times} lines)" for name, times in repaired.items())
        warnings.warn(f"{path}: mistyped names repaired: {names}", stacklevel=2)
    return found


def object_number(value) -> str:
    """An object's id as text. Raises `ValueError` unless it is an index of the masks: 1 to 254, 255 being void."""
    if not isinstance(value, str) or not re.fullmatch("[1-9][0-9]{0,2}", value) or int(value) > 254:
        raise ValueError(f"the object id is {value!r}; expected a number from 1 to 254")
    return value
