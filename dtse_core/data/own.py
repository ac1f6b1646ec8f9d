"""Your own clips, in a layout that any annotation tool can fill; the same code reads the toy world written in it.

    root/sentences.json             {"train": {"park": [{"object": 1, "sentence": "the brown dog"}, ...], ...}, ...}
    root/clips/park/00000.jpg ...   the frames of a clip: pictures in a folder, in the order of their numbers,
    root/clips/kitchen.mp4          or a video
    root/masks/park/00000.png       PNG in which a pixel is its object's number and 0 background; named as its frame,
    root/masks/kitchen/00012.png    or ending in the frame's number in a video, from 0
    root/toy_world.json             toy world only: evidence, twins

Frames without a mask are neither learned from nor scored; they are seen as references. `docs/own_data.md` is the guide.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np

from ..shared.files import TABLES, is_litter, read_json
from ..shared.images import read_index_mask, require_shape
from ..video.files import frame_files, video_length
from ..video.frame_cache import video_frames
from .clip import ClipDataSet, ReferringClip
from .expressions import brief, is_name, is_split, json_items, require_named
from .listing import LOCAL, part_of, read_toy, require_tree, videos_of
from .sentences import clean_expression

HOME = "own data"
TREE = "sentences.json, clips/<clip>/00000.jpg or clips/<clip>.mp4, and masks/<clip>/00000.png"
ENTRY = '{"object": 1, "sentence": "the brown dog"}'  # several objects: [1, 2]; none: []
Said = tuple[tuple[int, ...], str]  # objects and sentence


class Moment(NamedTuple):
    """A sentence and a frame that has a mask."""

    video: str
    frame: int  # from 0
    mask: Path
    objects: tuple[int, ...]
    sentence: str
    evidence: str | None
    twin: int | None


class OwnData(ClipDataSet):
    """Every sentence with every frame of its clip that has a mask, as `ReferringClip`s.

    `split` is one of those that sentences.json names, or one of the halves of train (`listing`): these are train and
    val where the file names a val. A target that a mask does not show is absent: the answer is empty. Other arguments
    and errors as in `ClipDataSet`.
    """

    name = "own"

    def find(self) -> None:
        path, clips, masks = (self.root / name for name in ("sentences.json", "clips", "masks"))
        require_tree(HOME, self.name, TREE, self.root, path, clips, masks)
        _, labels = read_toy(self.root / "toy_world.json")
        said = read_sentences(path)
        split = dict(zip(LOCAL, ("train", "val"), strict=True)).get(self.split, self.split)
        split = split if "val" in said else self.split
        part = part_of(split, said, None, "", self.root)
        listed = {clip: said[part][clip] for clip in videos_of(split, said[part], None, path)}
        self.clips, self.samples = find_clips(clips, listed), []
        folders = find_masks(masks, listed)
        for clip, sentences in listed.items():
            files = mask_files(folders[clip], self.clips[clip])
            if named := {number for objects, _ in sentences for number in objects}:
                require_named(list(files.values()), named)
            for objects, sentence in sentences:
                told = labels.get((clip, list_as_text(objects), sentence), (None, None))
                self.samples += [Moment(clip, frame, mask, objects, sentence, *told) for frame, mask in files.items()]
        if not self.samples:
            raise ValueError(
                f"{HOME}: no sentence in split {self.split!r} of {path}; the best weights are chosen on a clip that is "
                'not learned from, so that "train" needs two, unless there is a "val"'
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> ReferringClip:
        video, frame, path, objects, sentence, evidence, twin = self.samples[k]
        length = video_length(self.clips[video])
        if frame >= length:
            raise ValueError(f"{path} is of frame {frame}, but {self.clips[video]} ends with {length - 1}; rename it")
        indices, slot = self.cut(frame, length)
        frames, numbers = video_frames(self.clips[video], indices, self.cache), read_index_mask(path)
        require_shape(path, numbers.shape, frames.shape[1:3])
        mask, twin_mask = np.isin(numbers, objects), None if twin is None else numbers == twin
        instance = list_as_text(objects)
        return ReferringClip(frames, slot, mask, sentence, video, frame, instance, evidence, twin_mask)

    def window_of(self, k: int) -> Hashable:
        return self.samples[k][:2]  # clip and frame


def list_as_text(objects: Iterable[int]) -> str:
    """Objects as a sample's instance: `1`, `1+2`, or nothing."""
    return "+".join(map(str, sorted(objects)))


def read_sentences(path: Path) -> dict[str, dict[str, list[Said]]]:
    """Sentences by split and clip, its name composed (NFC); a split without clips is as if it were not there.

    Raises `ValueError` naming file, clip and entry.
    """
    found: dict[str, dict[str, list[Said]]] = {}
    home: dict[str, str] = {}  # split of each clip
    splits: dict[str, str] = {}  # whatever their case
    for split, clips in json_items(read_json(path, most=TABLES), str(path)):
        if split in LOCAL:
            raise ValueError(f"{path}: {split!r} is what one half of train is called; give the split another name")
        if not is_split(split):
            raise ValueError(f"{path}: {split!r} cannot name a split; give it a name such as train, val or test")
        if (other := splits.setdefault(split.casefold(), split)) != split:
            raise ValueError(f"{path}: the splits {other!r} and {split!r} differ in case alone; make them one")
        for name, entries in json_items(clips, f"{path}: split {split!r}"):
            clip, where = normalize("NFC", name), f"{path}: clip {name!r} of {split!r}"
            if not is_name(clip):
                raise ValueError(f"{where} cannot be the name of a folder; name it as in clips/, without a suffix")
            if clip in home:
                raise ValueError(
                    f"{where} is in {home[clip]!r} as well; what is scored is never learned from: list it once"
                )
            home[clip] = split
            if not isinstance(entries, list) or not entries:
                raise ValueError(f"{where}: expected a list of {ENTRY}, found {brief(entries)}; correct it")
            sentences = found.setdefault(split, {}).setdefault(clip, [])
            for number, entry in enumerate(entries, 1):
                said = _parse(entry, f"{where}, entry {number}")
                if said in sentences:
                    raise ValueError(f"{where}, entry {number}: {said[1]!r} is said twice of the same; write it once")
                sentences.append(said)
    if not found:
        raise ValueError(f"{path} lists no clip; list what is said of each, as in docs/own_data.md")
    return found


def _parse(entry: Any, where: str) -> Said:
    if not isinstance(entry, dict) or set(entry) != {"object", "sentence"}:
        raise ValueError(f"{where}: expected {ENTRY}, found {brief(entry)}; correct it")
    number, text = entry["object"], entry["sentence"]
    objects = number if isinstance(number, list) else [number]
    if any(type(one) is not int or not 1 <= one <= 255 for one in objects):
        raise ValueError(f"{where}: 'object' is {brief(number)}; expected a number from 1 to 255, or a list of such")
    if not isinstance(text, str) or not clean_expression(text):
        raise ValueError(f"{where}: 'sentence' is {brief(text)}; expected words")
    return tuple(sorted(set(objects))), clean_expression(text)


def find_clips(folder: Path, wanted: Collection[str]) -> dict[str, Path]:
    """The folder or video of each wanted clip. Raises `FileNotFoundError` or `ValueError`."""
    return _find(folder, wanted, "a folder of its frames or a video", lambda path: path.is_dir() or path.suffix)


def find_masks(folder: Path, wanted: Collection[str]) -> dict[str, Path]:
    """The folder of masks of each wanted clip. Raises `FileNotFoundError` or `ValueError`."""
    return _find(folder, wanted, "a folder of its masks", Path.is_dir)


def _find(folder: Path, wanted: Collection[str], what: str, fits: Callable[[Path], object]) -> dict[str, Path]:
    """Names are compared in Unicode's composed form: some systems write é as two characters."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; expected in it {what} for each clip of sentences.json")
    there: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_litter(path.name) and fits(path):
            name = normalize("NFC", path.name if path.is_dir() else path.stem)
            if (other := there.setdefault(name, path)) != path:
                raise ValueError(f"{folder} holds {other.name} and {path.name}, two of one name; move one away")
    found = {name: there.get(name) for name in wanted}
    if missing := [name for name, path in found.items() if path is None]:
        sought = missing[0].casefold(), Path(missing[0]).stem.casefold()
        alike = [name for name in there if name.casefold() in sought]
        hint = f"; there is {alike[0]!r}, which differs in case, or by a suffix: write it so" if alike else ""
        raise FileNotFoundError(
            f"{HOME}: {len(missing)} of {len(wanted)} clips of sentences.json are missing from {folder}: expected "
            f"{what} named {missing[0]} (first five: {', '.join(missing[:5])}); copy them, or leave the clips out{hint}"
        )
    return {name: path for name, path in found.items() if path}


def mask_files(folder: Path, clip: Path) -> dict[int, Path]:
    """The masks of a clip by their frames' numbers, from 0, in order of time. Raises `ValueError`."""
    numbers = {normalize("NFC", file.stem): k for k, file in enumerate(frame_files(clip))} if clip.is_dir() else {}
    name = (
        f"the name of a frame of {clip}, such as {min(numbers)}.png" if numbers else "the number of its frame, from 0"
    )
    found: dict[int, Path] = {}
    for path in sorted(path for path in folder.iterdir() if not is_litter(path.name)):
        if path.suffix.lower() != ".png":
            raise ValueError(f"{path} is not a PNG; export masks as PNG, and keep other files elsewhere")
        digits = re.search("[0-9]{1,9}$", path.stem)
        number = numbers.get(normalize("NFC", path.stem)) if numbers else int(digits[0]) if digits else None
        if number is None:
            raise ValueError(f"{path}: a mask has {name}; rename it, or copy the frame")
        if (other := found.setdefault(number, path)) != path:
            raise ValueError(f"{folder} holds {other.name} and {path.name}, two masks of one frame; move one away")
    if not found:
        raise ValueError(f"{folder} holds no masks; export PNGs to it, or leave the clip out of sentences.json")
    begins = {path.stem.rstrip("0123456789"): path.name for path in found.values()}
    if len(begins) > 1 and not numbers:
        raise ValueError(
            f"{folder} holds {' and '.join(list(begins.values())[:2])}; the last number is taken as the frame's, and "
            "what stands before it must be the same in all names: rename one"
        )
    return dict(sorted(found.items()))
