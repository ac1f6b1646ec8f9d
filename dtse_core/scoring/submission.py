"""Writes submission zips for the servers of Refer-YouTube-VOS and MeViS, and validates any such zip.

    refer_youtube_vos   Annotations/<video>/<expression id>/<frame>.png
    mevis               <video>/<expression id>/<frame>.png

Gray images (mode L) of the frame's size, 0 and 255, one for every listed frame of every sentence, and nothing else.
"""

import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..shared.archives import DAMAGE, Entry
from ..shared.console import bars_hidden
from ..shared.files import OURS, read_json, written_whole
from ..shared.images import image_shape, load_image
from .mask_files import TOP, is_hidden, open_masks, refuse_member

HOMES = ("refer_youtube_vos", "mevis")
SUBMISSION = f"submission {OURS}"  # the comment of its zip
SHOWN = 10  # offenders listed a rule
Key = tuple[str, str, str]  # video, expression id, frame


class Report:
    """Which rules are broken by what, and how many masks there are."""

    def __init__(self) -> None:
        self.broken: dict[str, dict[str, None]] = defaultdict(dict)  # offenders by rule, each once
        self.masks = self.empty = 0

    def add(self, rule: str, offender: str) -> None:
        self.broken[rule][offender] = None

    def __str__(self) -> str:
        lines = []
        for rule, offenders in self.broken.items():
            lines.append(f"{rule}: {len(offenders):,}")
            lines += [f"    {name}" for name in islice(offenders, SHOWN)]
            lines += [f"    ... and {len(offenders) - SHOWN:,} more"] if len(offenders) > SHOWN else []
        share = self.empty / max(self.masks, 1)
        lines.append(f"{self.masks:,} masks, {share:.1%} of them empty")
        if share > 0.5:
            lines.append("warning: more than half of the masks are empty; are these the model's predictions?")
        return "\n".join(lines)


def write_submission(masks: Path, file: Path, home: str, dataset) -> Report:
    """Zips a folder that `MaskWriter` filled, and gives the file its name once it is valid.

    The same masks give the same bytes. Raises `ValueError` with the report if the zip is not valid.
    """
    with written_whole(file, SUBMISSION) as part:
        with zipfile.ZipFile(part, "w") as archive:
            for name in sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*.png")):
                info = zipfile.ZipInfo(name)  # of 1980; stored, as PNG is compressed already
                info.create_system, info.external_attr = 3, 0o100644 << 16
                archive.writestr(info, (masks / name).read_bytes())
            archive.comment = SUBMISSION.encode()
        report = validate(part, home, dataset)
        if report.broken:
            raise ValueError(f"the submission is not written, it would not be valid: {report}")
    return report


def validate(file: str | Path, home: str, dataset) -> Report:
    """Checks a zip against every rule; `dataset` is the split that it answers.

    Raises `FileNotFoundError`, or `ValueError` for what is not a whole zip.
    """
    file, report = Path(file), Report()
    if not file.is_file():
        raise FileNotFoundError(f"no zip at {file}; give the file that you would submit")
    frames = {
        (video.video_id, video.expression_id, stem): path
        for video in dataset.videos
        for stem, path in zip(video.frames, dataset.frame_paths(video), strict=True)
    }
    with open_masks(file) as (entries, open_member):
        found = _by_key(entries, home, report)
        _compare(found, frames, _test_videos(home, dataset), report)
        shapes: dict[Path, tuple[int, int]] = {}  # sentences about a video share its frames
        bar = tqdm(found.items(), "validating", unit=" masks", disable=bars_hidden())
        for path, entry in ((frames[key], entry) for key, entry in bar if key in frames):
            shapes[path] = shapes.get(path) or image_shape(path)
            _judge_mask(entry, open_member, shapes[path], report)
    return report


def _by_key(entries: list[Entry], home: str, report: Report) -> dict[Key, Entry]:
    """The members that lie where masks belong."""
    top, found = TOP.get(home, ""), {}
    times = Counter(entry.name for entry in entries)
    for entry in entries:
        parts = tuple(entry.name.removeprefix(top).removesuffix(".png").split("/"))
        try:
            refuse_member(entry)
        except ValueError as error:
            report.add("cannot be unpacked without harm", str(error))
            continue
        if times[entry.name] > 1:
            report.add("is in the zip more than once", entry.name)
        if is_hidden(entry.name):
            report.add("left behind by a file manager (dot-files, __MACOSX)", entry.name)
        elif not (entry.name.startswith(top) and entry.name.endswith(".png") and len(parts) == 3):
            report.add(f"not at {top}<video>/<expression id>/<frame>.png", entry.name)
        else:
            found[parts] = entry
    return found


def _compare(found: Collection[Key], wanted: Collection[Key], test: set[str], report: Report) -> None:
    """Missing and extra videos, expressions and frames: each at the first level where it differs."""
    names = "video", "expression", "frame"
    for kind, some, others in (("missing", wanted, found), ("not of this split", found, wanted)):
        have = [{key[:depth] for key in others} for depth in (1, 2, 3)]
        for key in some:
            depth = next((depth for depth in range(3) if key[: depth + 1] not in have[depth]), None)
            if depth is not None:
                of_test = kind != "missing" and depth == 0 and key[0] in test
                rule = "video of the test split" if of_test else f"{names[depth]} {kind}"
                report.add(rule, "/".join(key[: depth + 1]))


def _judge_mask(entry: Entry, open_member: Callable, shape: tuple[int, int], report: Report) -> None:
    try:
        with open_member(entry.handle) as file:
            image = load_image(Path(entry.name), file.read())
    except (ValueError, *DAMAGE) as error:
        report.add("cannot be read as an image", f"{entry.name} ({error})")
        return
    mode, values = image.mode, np.asarray(image)
    report.masks += 1
    report.empty += not values.any()
    if mode != "L":
        report.add("mode is not L (gray)", f"{entry.name} (mode {mode})")
    elif odd := set(np.flatnonzero(np.bincount(values.ravel())).tolist()) - {0, 255}:
        report.add("values other than 0 and 255", f"{entry.name} ({', '.join(map(str, sorted(odd)[:5]))})")
    if values.shape[:2] != shape:
        report.add("size is not the frame's", f"{entry.name} (height {values.shape[0]}, width {values.shape[1]})")


def _test_videos(home: str, dataset) -> set[str]:
    """Videos of the test split, which the genuine valid JSON of Refer-YouTube-VOS lists as well."""
    path = dataset.root / "meta_expressions" / "test" / "meta_expressions.json"
    return set(read_json(path).get("videos", {})) if home == "refer_youtube_vos" and path.is_file() else set()
