"""Checks RefCOCO, RefCOCO+ and RefCOCOg: the refs, the objects that they speak of, and each picture. See `check`."""

from pathlib import Path
from typing import Any

from ...shared.images import image_shape, read_images, require_shape
from ..listing import require_tree
from ..refcoco import HOME, REFS, TREE, find_pictures, find_refs, read_instances, read_object, read_refs
from .findings import Expected, Findings

PARTS = ("instances.json", *REFS, "train2014")
GENUINE = {  # of RefCOCO, RefCOCO+ and RefCOCOg in its two partitions, as papers have them
    "pictures": Expected((19994, 19992, 25799, 26711), firm=False),
    "objects": Expected((50000, 49856, 49822, 54822), firm=False),
    "sentences": Expected((142209, 142210, 141564, 95010, 104560), firm=False),
}
TOY = {"train pictures": "train", "sentences": "sentences"}
Job = tuple[Path, tuple[int, int], dict[int, Any]]  # a picture, its height and width, the objects that are spoken of


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the tables and returns a job a picture."""
    path, table = find_refs(root), root / "instances.json"
    require_tree(HOME, "refcoco", TREE, root, table, path)
    refs, folder = read_refs(path), find_pictures(root)
    known = read_instances(table, refs)
    findings.counts["pictures"] += len(known.images)
    findings.counts["objects"] += len(known.objects)
    findings.counts["sentences"] += sum(len(ref.sentences) for ref in refs)
    for split, _ in sorted({(ref.split, ref.image) for ref in refs}):
        findings.counts[f"{split} pictures"] += 1
    if others := [name for name in REFS if name != path.name and (root / name).is_file()]:
        findings.notes.append(f"{path.name} is read, and not {', '.join(others)}: move it away to read the next")
    objects: dict[int, dict[int, Any]] = {}
    for number, (image, _, segmentation) in known.objects.items():
        objects.setdefault(image, {})[number] = segmentation
    return [(folder / name, (height, width), objects[n]) for n, (name, height, width) in known.images.items()]


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One picture: its size, its pixels, and every object in it that is spoken of."""
    path, shape, objects = job
    require_shape(path, shape, image_shape(path))
    findings.counts["decoded frames"] += len(read_images([path]))
    for number, segmentation in objects.items():
        where = f"{root / PARTS[0]}: object {number}"
        if not read_object(segmentation, shape, where).any():
            findings.notes.append(f"{where} is empty: no pixel of {path.name} is in it")
        findings.counts["masks read"] += 1
