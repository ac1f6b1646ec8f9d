"""Checks Refer-YouTube-VOS: the three lists of expressions, and each listed video's frames and masks. See `check`."""

import warnings
from pathlib import Path

from ...shared.files import read_json
from ..refer_youtube_vos import parse_objects, read_object
from .expressions import Listed, check_frames, check_index_masks, listed_videos
from .findings import Expected, Findings

PARTS = ("train", "valid", "test", "meta_expressions")
GENUINE = {
    "train videos": Expected((3471,)),
    "train sentences": Expected((12913,)),
    "train objects": Expected((6388,), firm=False),  # of meta.json, which is optional
    "valid videos": Expected((507,)),
    "valid sentences": Expected((2096,), firm=False),
    "valid videos to score": Expected((202,)),
}
TOY = {"train videos": "videos", "train sentences": "sentences", "valid videos to score": "val"}
Job = tuple[str, Listed, tuple[int, ...] | None]  # a split, a video of it, the objects that meta.json knows


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the lists and returns a job a video; a missing list for test is the rule, not the exception."""
    lists, jobs, objects = {}, [], None
    for split in ("train", "valid", "test"):
        path = root / "meta_expressions" / split / "meta_expressions.json"
        if split == "test" and not path.is_file():
            continue
        with findings.collecting():
            lists[split] = listed_videos(path, read_object, split, findings)
    meta = root / "train" / "meta.json"
    with findings.collecting():
        objects = _objects(meta, findings) if meta.is_file() else None
    train = lists.get("train", {}).values()
    jobs += [("train", one, objects.get(one.video, ()) if objects is not None else None) for one in train]
    valid, test = lists.get("valid", {}), lists.get("test")
    present = _folders(root / "valid" / "JPEGImages")
    scored = {v for v in valid if v not in test} if test is not None else set(valid) & present
    findings.counts["valid videos to score"] += len(scored)
    jobs += [("valid", valid[video], None) for video in sorted(scored)]
    jobs += [("test", one, None) for one in (test or {}).values() if one.video in _folders(root / "test/JPEGImages")]
    if valid:
        rule = "listed for valid and not for test" if test is not None else "with a folder in valid/JPEGImages"
        warnings.warn(f"the {len(scored)} videos to score are those {rule}", stacklevel=1)
    return jobs


def _objects(meta: Path, findings: Findings) -> dict[str, tuple[int, ...]]:
    """Object ids by video, from meta.json."""
    found: dict[str, list[int]] = {}
    for video, number in parse_objects(read_json(meta), meta):
        found.setdefault(video, []).append(int(number))
        findings.counts["train objects"] += 1
    return {video: tuple(numbers) for video, numbers in found.items()}


def _folders(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir() if path.is_dir()} if parent.is_dir() else set()


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One video: all frames, all masks of the training part, and that masks hold no unknown object."""
    split, listed, objects = job
    shape = check_frames(root / split / "JPEGImages" / listed.video, listed.frames, deep, findings)
    if split != "train":
        return
    folder = root / "train" / "Annotations" / listed.video
    seen = check_index_masks(folder, listed.frames, shape, {int(i) for i in listed.targets}, deep, findings)
    if objects is not None and (unknown := sorted(seen - {0, *objects})):
        raise ValueError(f"{folder} shows object {unknown[0]}, which train/meta.json lacks; download both again")
