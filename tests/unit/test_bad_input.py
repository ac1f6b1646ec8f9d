"""Every kind of file of every data set, damaged in every common way: check and loader name it, or it does no harm."""

import json
import shutil
import warnings
from functools import cache
from pathlib import Path

import pytest

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import VideoDataSet
from dtse_core.data.prepare.check import GOOD, check
from dtse_core.data.toy.layouts.write import LAYOUTS, write_toy

NOTES, MASKS = "text_annotations", "text_annotations/a2d_annotation_with_instances"
WORDS, DAVIS, TEXTS = "meta_expressions", "DAVIS/*/480p", "davis_text_annotations"
KINDS = {  # a pattern for each kind of file
    "a2d": ["Release/videoset.csv", f"{NOTES}/a2d_annotation.txt", f"{NOTES}/a2d_missed_videos.txt",
            "Release/clips320H/*.mp4", f"{MASKS}/*/*.h5"],
    "jhmdb": ["jhmdb_annotation.txt", "Rename_Images/*/*/*.png", "puppet_mask/*/*/*.mat"],
    "ref_davis": ["DAVIS/ImageSets/2017/train.txt", f"{TEXTS}/Davis17_annot1.txt", f"{TEXTS}/Davis17_annot2.txt",
                  "DAVIS/davis_semantics.json", f"{DAVIS}/*/*.jpg", f"{DAVIS}/*/*.png"],
    "refer_youtube_vos": [f"{WORDS}/train/meta_expressions.json", "train/meta.json", "train/JPEGImages/*/*.jpg",
                          "train/Annotations/*/*.png"],
    "mevis": ["train/meta_expressions.json", "train/mask_dict.json", "train/JPEGImages/*/*.jpg"],
    "refcoco": ["instances.json", "refs(unc).p", "train2014/*.jpg"],
    "own": ["sentences.json", "clips/*/*.jpg", "masks/*/*[0-9].png"],
}  # fmt: skip
KINDS = {layout: [*kinds, "toy_world.json"] for layout, kinds in KINDS.items()}
REMEDIES = "copy", "download", "write the toy world again", "expected", "must agree", "use the toy world", "give a"


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "missing": Path.unlink,
    "empty": lambda path: replace(path, b""),
    "cut": lambda path: replace(path, path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "text": lambda path: replace(path, b"this is a text\n"),
    "bytes": lambda path: replace(path, bytes(range(256)) * 4),
    "list": lambda path: replace(path, b"[1, 2, 3]"),
    "folder": folder,
}
HARMLESS = {  # what a file may be, since it is not needed or means something
    ("a2d_missed_videos.txt", "empty"),  # nothing was missed
    ("a2d_missed_videos.txt", "cut"),
    ("a2d_missed_videos.txt", "text"),  # a video of that name, which there is not
    ("a2d_missed_videos.txt", "list"),
    ("*.h5", "missing"),  # a frame less; the check mentions it
    ("davis_semantics.json", "missing"),  # no categories
    ("davis_semantics.json", "folder"),
    ("*[0-9].png", "missing"),  # not every frame needs a mask
    ("meta.json", "missing"),
    ("meta.json", "folder"),
    ("toy_world.json", "missing"),  # now the counts of the genuine data are asked for, see test_prepare
    ("toy_world.json", "folder"),
}
COUNTED = {("jhmdb_annotation.txt", "cut")}  # still a table: that sentences are missing shows in the check's counts


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Toy worlds by layout; read them, never write to them."""

    @cache
    def written(layout: str) -> Path:
        root = tmp_path_factory.mktemp("toy") / layout
        write_toy(root, {"train": 1, "test": 1}, layout, seed=1, height=32, width=48)
        return root

    return written


def read_all(layout: str, root: Path) -> int:
    """Reads what training and scoring read: every sample, and every truth of a video; returns how many samples."""
    split = "train" if layout != "jhmdb" or (root / "toy_world.json").is_file() else "test"
    dataset = build_dataset(DataConfig(name=layout, root=str(root)), split, window=1)
    for k in range(len(dataset)):
        assert dataset[k].frames.size
    if isinstance(dataset, VideoDataSet):
        for k in range(len(dataset.videos[0].frames)):
            dataset.read_target(dataset.videos[0], k)
    return len(dataset)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("layout", "pattern"), [(layout, kind) for layout in sorted(LAYOUTS) for kind in KINDS[layout]]
)
def test_every_damaged_file_is_named_by_check_and_loader(monkeypatch, tmp_path, pristine, layout, pattern, damage):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    root = shutil.copytree(pristine(layout), tmp_path / layout)
    (video,) = json.loads((root / "toy_world.json").read_text(encoding="utf-8"))["splits"]["train"]
    files = sorted(path for path in root.glob(pattern) if "*" not in pattern or video in str(path))
    path, kind = files[len(files) // 2], (Path(pattern).name, damage)  # of a folder's images, the one that is decoded
    DAMAGE[damage](path)
    report, said = check(layout, root), ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert read_all(layout, root)
        except (ValueError, FileNotFoundError) as error:
            said = str(error)
    if kind in HARMLESS:
        assert said == "" and (report.code == GOOD or kind[0] == "toy_world.json")
        return
    entries = report.missing + report.wrong
    assert any(explains(entry, path) for entry in entries) or kind in COUNTED, f"`check` of {path} says {entries}"
    assert report.code != GOOD
    assert explains(said, path) or (kind in COUNTED and said == ""), f"the loader of {path} says {said!r}"


def explains(message: str, path: Path) -> bool:
    """True if a message of one line names the file, or its folder, and a remedy."""
    named = path.name in message or str(path.parent) in message or (path.stem == "train" and "ImageSets" in message)
    return named and any(remedy in message for remedy in REMEDIES) and "\n" not in message
