"""The check says ready for every layout that the toy world writes, and names whatever is broken on purpose."""

import errno
import hashlib
import json
import os
import re
import runpy
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dtse_core.data.prepare import a2d, mevis
from dtse_core.data.prepare import manifest as module
from dtse_core.data.prepare.check import GOOD, INCOMPLETE, MALFORMED, Report, check
from dtse_core.data.prepare.findings import Expected, Findings, Row, compare
from dtse_core.data.prepare.manifest import manifest_path, read_manifest
from dtse_core.data.prepare.sources import A2D, JHMDB
from dtse_core.data.toy.layouts.write import LAYOUTS, write_toy
from tests.spoil import spoiled, spoiled_bytes

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "prepare.py"
CLIPS = {"train": 2, "val": 1, "test": 1}
NOTES, MASKS = "text_annotations", "text_annotations/a2d_annotation_with_instances"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """No test looks at, or writes to, the user's own cache."""
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """Toy worlds by layout and whether they have every trap; read them, never write to them."""

    @cache
    def written(layout: str, traps: bool = False) -> Path:
        root = tmp_path_factory.mktemp("toy") / layout
        write_toy(root, CLIPS, layout, 1, 32, 48, ("all",) if traps else ())
        return root

    return written


@pytest.fixture
def spoil(pristine, tmp_path):
    """A function that gives a copy of a layout's toy world to spoil."""
    return lambda layout, traps=False: shutil.copytree(pristine(layout, traps), tmp_path / layout)


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(root.rglob("*"))}


@pytest.mark.parametrize("traps", [False, True], ids=["plain", "traps"])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_of_the_toy_world_is_ready_and_left_as_it_is(pristine, layout, traps):
    root = pristine(layout, traps)
    before = tree(root)
    for deep in (False, True):
        report = check(layout, root, deep)
        assert (report.code, report.missing, report.wrong) == (GOOD, [], []), list(report.lines())
        *_, verdict = report.lines()
        assert verdict == "ready"
        assert "good" in {row.state for row in report.rows} <= {"good", "counted"}
        decoded = next(row.found for row in report.rows if row.what == "decoded frames")
        clips, frames = (3, 1) if layout == "refcoco" else (sum(CLIPS.values()), 5)  # it leaves out what moves
        assert decoded >= clips * (frames if deep else 1)
    assert tree(root) == before


def first(root: Path, pattern: str) -> Path:
    """The first file of a pattern, which lies in a training video."""
    return sorted(root.glob(pattern))[0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def cut_middle(path: Path) -> None:
    """Of the images of a folder, the one that is decoded even without --deep."""
    files = sorted(path.parent.glob(f"*{path.suffix}"))
    cut(files[len(files) // 2])


def text(path: Path) -> None:
    path.write_text("this is a text", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def change_json(path: Path, change) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def drop_line(path: Path) -> None:
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")


def turn_image(path: Path) -> None:
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.TRANSPOSE)
    turned.save(path)


def colors(path: Path) -> None:
    """Of the masks of a folder, the one that is decoded even without --deep, with colors in place of indices."""
    files = sorted(path.parent.glob(f"*{path.suffix}"))
    with Image.open(files[len(files) // 2]) as image:
        colored = image.convert("RGB")
    colored.save(files[len(files) // 2])


def relabel(path: Path, number: int) -> None:
    """All masks of a folder show another number than their objects'."""
    for file in path.parent.glob("*.png"):
        Image.fromarray((np.asarray(Image.open(file)) > 0) * np.uint8(number)).save(file)


def change_h5(path: Path, change) -> None:
    import h5py

    with h5py.File(path) as file:
        content = {key: file[key][()] for key in file}
    change(content)
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            file[key] = value


def change_mat(path: Path, change) -> None:
    from scipy.io import loadmat, savemat

    savemat(path, change(loadmat(path)["part_mask"]))


def first_video(table: dict) -> dict:
    return next(iter(table["videos"].values()))


def drop_video(table: dict) -> None:
    del table["videos"][next(iter(table["videos"]))]


CSV, SAID, MISSED = "Release/videoset.csv", f"{NOTES}/a2d_annotation.txt", f"{NOTES}/a2d_missed_videos.txt"
MP4, H5 = "Release/clips320H/*.mp4", f"{MASKS}/*/*.h5"
PNG, MAT, TABLE = "Rename_Images/*/*/*.png", "puppet_mask/*/*/puppet_mask.mat", "jhmdb_annotation.txt"
LIST, META = "meta_expressions/train/meta_expressions.json", "train/meta.json"
JPG, INDEX = "train/JPEGImages/*/*.jpg", "train/Annotations/*/*.png"
MLIST, RLES = "train/meta_expressions.json", "train/mask_dict.json"
VAL, SPOKEN = "DAVIS/ImageSets/2017/val.txt", "davis_text_annotations/Davis17_annot1.txt"
DJPG, DPNG = "DAVIS/JPEGImages/480p/*/*.jpg", "DAVIS/Annotations_unsupervised/480p/*/*.png"
FAULTS = {  # layout, file, what is done to it, exit code, what is said
    "a2d": [
        (CSV, Path.unlink, 1, r"videoset\.csv missing"),
        (CSV, empty, 2, r"videoset\.csv lists no video"),
        (CSV, drop_line, 1, "test videos: 1 found, 2 expected"),
        (CSV, text, 2, r"videoset\.csv, line 1: expected 9 columns"),
        (CSV, lambda p: p.write_bytes(p.read_bytes() + b"caf\xe9"), 2, "byte 0xe9 is not UTF-8"),
        (SAID, Path.unlink, 1, r"a2d_annotation\.txt missing"),
        (SAID, empty, 2, "expected the header video_id,instance_id,query"),
        (SAID, drop_line, 1, "sentences: .* found, .* expected"),
        (SAID, lambda p: p.write_bytes(p.read_bytes() + b"x,1,a ball, red"), 2, "expected 3 columns, found 4"),
        (MISSED, Path.unlink, 1, r"a2d_missed_videos\.txt missing"),
        (MISSED, lambda p: p.write_bytes(b"\xff"), 2, "byte 0xff is not UTF-8"),
        (MP4, Path.unlink, 1, r"no video at .*\.mp4"),
        (MP4, empty, 2, r"\.mp4 is empty \(0 bytes\)"),
        (MP4, cut, 2, r"\.mp4 (is cut short|cannot be decoded)"),
        (MP4, text, 2, r"\.mp4 cannot be decoded"),
        (MASKS, shutil.rmtree, 1, "a2d_annotation_with_instances missing"),
        (f"{MASKS}/*", shutil.rmtree, 1, "is missing: the masks of a video with sentences"),
        (f"{MASKS}/*", lambda p: [file.unlink() for file in p.iterdir()], 1, r"holds no \.h5 files, such as 00005\.h5"),
        (H5, empty, 2, r"\.h5 is not a readable HDF5 file"),
        (H5, cut, 2, r"\.h5 is not a readable HDF5 file"),
        (H5, text, 2, r"\.h5 is not a readable HDF5 file"),
        (H5, lambda p: change_h5(p, lambda c: c.pop("reMask")), 2, "lacks 'reMask'; it holds"),
        (H5, lambda p: change_h5(p, lambda c: c.update(reMask=c["reMask"].swapaxes(-1, -2))), 2, "transpose forgotten"),
        (H5, lambda p: change_h5(p, lambda c: c.update(instance=np.arange(9.0))), 2, "for 9 instances; expected"),
        (H5, lambda p: p.rename(p.with_name("99999.h5")), 2, "annotates frame 99999, but .* holds frames 1 to"),
        (H5, lambda p: p.rename(p.with_name("tenth.h5")), 2, r"expected a number and \.h5, such as"),
        ("Release/clips320H", lambda p: p.rename(p.with_name("CLIPS320")), 1, "rename it to clips320H"),
    ],
    "jhmdb": [
        (TABLE, Path.unlink, 1, r"jhmdb_annotation\.txt missing"),
        (TABLE, empty, 2, "expected the header video_id,query"),
        (TABLE, drop_line, 1, "sentences: 3 found, 4 expected"),
        (TABLE, lambda p: p.write_bytes(b"video_id,query\na,\xe9"), 2, "byte 0xe9 is not UTF-8"),
        (TABLE, lambda p: p.write_bytes(b"video_id,query\na,b,c"), 2, "line 2: expected 2 columns, found 3"),
        (TABLE, lambda p: p.write_bytes(p.read_bytes().rsplit(b"\n", 2)[0] + b"\nother,a man\n"), 1,
         "<action>/other is missing"),
        ("Rename_Images", shutil.rmtree, 1, "Rename_Images missing"),
        ("Rename_Images/*/*", shutil.rmtree, 1, "<action>/.* is missing"),
        ("Rename_Images/*/*", lambda p: shutil.copytree(p, p.parents[1] / "again" / p.name), 2, "holds .* twice, in"),
        (PNG, Path.unlink, 1, r"00001\.png is missing, one of 1 of 25 frames"),
        (PNG, empty, 2, "cannot be read as an image"),
        (PNG, cut_middle, 2, "cannot be read as an image"),
        (PNG, text, 2, "cannot be read as an image"),
        (PNG, turn_image, 2, r"is \(48, 32\), .* \(32, 48\) \(height, width\)"),
        (MAT, Path.unlink, 1, r"puppet_mask\.mat is missing"),
        (MAT, empty, 2, r"puppet_mask\.mat is not a readable MATLAB file"),
        (MAT, cut, 2, r"puppet_mask\.mat is not a readable MATLAB file"),
        (MAT, text, 2, r"puppet_mask\.mat is not a readable MATLAB file"),
        (MAT, lambda p: change_mat(p, lambda m: {"mask": m}), 2, "lacks 'part_mask'; it holds mask"),
        (MAT, lambda p: change_mat(p, lambda m: {"part_mask": m.swapaxes(0, 1)}), 2, "transpose forgotten"),
        (MAT, lambda p: change_mat(p, lambda m: {"part_mask": m[None]}), 2, r"expected \(H, W, T\)"),
        (MAT, lambda p: change_mat(p, lambda m: {"part_mask": np.dstack([m, m])}), 1,
         r"00026\.png is missing, one of 25"),
    ],
    "refer_youtube_vos": [
        (LIST, Path.unlink, 1, r"train/meta_expressions\.json is missing"),
        (LIST, empty, 2, r"line 1, column 1: not JSON"),
        (LIST, cut, 2, "not JSON .*cut short"),
        (LIST, lambda p: p.write_text("[]", encoding="utf-8"), 2, r"expected a JSON object \{\.\.\.\}, found list"),
        (LIST, lambda p: change_json(p, drop_video), 1, "train videos: 3 found, 4 expected"),
        (LIST, lambda p: change_json(p, lambda t: first_video(t)["frames"].append("00999")), 1,
         r"00999\.jpg is missing"),
        (LIST, lambda p: change_json(p, lambda t: first_video(t).update(objects={}, expressions=None) or
                                     first_video(t).pop("expressions")), 2, "older layout of URVOS"),
        (LIST, lambda p: change_json(p, lambda t: first_video(t)["expressions"].update({"9": {"exp": "x"}})), 2,
         "some expressions tell their target and some do not"),
        ("meta_expressions/valid/meta_expressions.json", Path.unlink, 1, "valid videos to score: 0 found, 1 expected"),
        (META, empty, 2, r"meta\.json, line 1, column 1: not JSON"),
        (META, lambda p: change_json(p, lambda t: first_video(t)["objects"].clear()), 2, "which train/meta.json lacks"),
        ("train/JPEGImages/*", shutil.rmtree, 1, "is missing: the frames of a listed video"),
        ("valid/JPEGImages/*", shutil.rmtree, 1, "is missing: the frames of a listed video"),
        (JPG, Path.unlink, 1, r"00000\.jpg is missing, one of 1 of 25 frames"),
        (JPG, empty, 2, "cannot be read as an image"),
        (JPG, cut_middle, 2, "cannot be read as an image"),
        (JPG, text, 2, "cannot be read as an image"),
        (JPG, turn_image, 2, r"is \(48, 32\), .* \(32, 48\) \(height, width\)"),
        (INDEX, lambda p: relabel(p, 255), 2, "the masks show 255 and never [0-9]+.*, which the expressions name"),
        (INDEX, colors, 2, r"mode RGB; masks are palette PNGs \(mode P\) or gray"),
        ("train/Annotations/*", shutil.rmtree, 1, "is missing: the masks of a listed video"),
        (INDEX, Path.unlink, 1, r"00000\.png is missing, one of 1 of 25 masks"),
        (INDEX, empty, 2, "cannot be read as an image"),
        (INDEX, cut_middle, 2, "cannot be read as an image"),
        (INDEX, text, 2, "cannot be read as an image"),
        (INDEX, turn_image, 2, "transpose forgotten"),
    ],
    "ref_davis": [
        (VAL, Path.unlink, 1, r"val\.txt is missing"),
        (VAL, empty, 2, "is in none of the lists in ImageSets/2017"),
        (VAL, lambda p: p.write_text(p.read_text(encoding="utf-8") * 2, encoding="utf-8"), 2, "lists .* twice"),
        (SPOKEN, Path.unlink, 1, r"Davis17_annot1\.txt is missing"),
        (SPOKEN, empty, 2, "the four files must agree"),
        (SPOKEN, drop_line, 2, "the four files must agree"),
        (SPOKEN, text, 2, "line 1: expected <sequence> <object id>|the object id is 'is'|is in none of the lists"),
        (SPOKEN, lambda p: p.write_bytes(b'a 1 "caf\xe9"'), 2, "byte 0xe9 is not UTF-8"),
        ("DAVIS/davis_semantics.json", empty, 2, "line 1, column 1: not JSON"),
        ("DAVIS/JPEGImages/480p/*", shutil.rmtree, 1, "is missing: the files of a listed sequence"),
        ("DAVIS/Annotations_unsupervised/480p/*", shutil.rmtree, 1, "is missing: the files of a listed sequence"),
        (DJPG, Path.unlink, 1, r"00000\.jpg is missing, one of 1 of 25 frames"),
        (DJPG, empty, 2, "cannot be read as an image"),
        (DJPG, cut_middle, 2, "cannot be read as an image"),
        (DJPG, turn_image, 2, r"is \(48, 32\), .* \(32, 48\) \(height, width\)"),
        (DPNG, Path.unlink, 1, r"00000\.png is missing, one of 1 of 25 masks"),
        (DPNG, empty, 2, "cannot be read as an image"),
        (DPNG, cut_middle, 2, "cannot be read as an image"),
        (DPNG, text, 2, "cannot be read as an image"),
        (DPNG, turn_image, 2, "transpose forgotten"),
        (DPNG, lambda p: relabel(p, 255), 2, "the masks show 255 and never [0-9]+.*, which the expressions name; take"),
        (DPNG, lambda p: relabel(p, 99), 2, "the masks show 99 and never [0-9]+.*, which the expressions name"),
        (DPNG, colors, 2, r"mode RGB; masks are palette PNGs \(mode P\) or gray"),
    ],
    "mevis": [
        (MLIST, Path.unlink, 1, r"train/meta_expressions\.json is missing"),
        (MLIST, empty, 2, r"line 1, column 1: not JSON"),
        (MLIST, cut, 2, "not JSON .*cut short"),
        (MLIST, lambda p: change_json(p, drop_video), 1, "train videos: 1 found, 2 expected"),
        (MLIST, lambda p: change_json(p, lambda t: first_video(t)["expressions"]["0"].update(anno_id=1)), 2,
         "'anno_id' is 1; expected a list"),
        (MLIST, lambda p: change_json(p, lambda t: [e.pop("anno_id") for v in t["videos"].values()
                                                    for e in v["expressions"].values()]), 2,
         "does not tell what the expressions refer to"),
        ("valid/meta_expressions.json", Path.unlink, 1, r"valid/meta_expressions\.json is missing"),
        ("valid_u", shutil.rmtree, 1, "valid_u videos: 0 found, 2 expected"),
        ("train/JPEGImages/*", shutil.rmtree, 1, "is missing: the frames of a listed video"),
        (JPG, Path.unlink, 1, r"00000\.jpg is missing, one of 1 of 25 frames"),
        (JPG, empty, 2, "cannot be read as an image"),
        (JPG, cut_middle, 2, "cannot be read as an image"),
        (JPG, turn_image, 2, r"is \(48, 32\), .* \(32, 48\) \(height, width\)"),
        (RLES, Path.unlink, 1, r"mask_dict\.json is missing"),
        (RLES, empty, 2, r"mask_dict\.json, line 1, column 1: not JSON"),
        (RLES, cut, 2, r"mask_dict\.json, .*cut short"),
        (RLES, lambda p: change_json(p, lambda t: t.clear()), 2, "there is no annotation '"),
        (RLES, lambda p: change_json(p, lambda t: [m.pop() for m in t.values()]), 2, "must list 25 frames, found 24"),
        (RLES, lambda p: change_json(p, lambda t: [r.update(size=r["size"][::-1]) for m in t.values() for r in m if r]),
         2, "transpose forgotten"),
        (RLES, lambda p: change_json(p, lambda t: [r.update(counts="!") for m in t.values() for r in m if r]), 2,
         r"mask_dict\.json: annotation \d+, frame \d+: counts holds characters"),
        (RLES, lambda p: change_json(p, lambda t: [r.update(counts="0") for m in t.values() for r in m if r]), 2,
         "do not add up to the 1536 pixels"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "pattern", "act", "code", "said"),
    [pytest.param(layout, *fault, id=f"{layout}-{k}") for layout, f in FAULTS.items() for k, fault in enumerate(f)],
)
def test_what_is_broken_on_purpose_is_named(spoil, layout, pattern, act, code, said):
    root = spoil(layout)
    act(first(root, pattern))
    report = check(layout, root)
    assert report.code == code, list(report.lines())
    entries = report.wrong if code == MALFORMED else report.missing
    assert any(re.search(said, entry) for entry in entries), (said, list(report.lines()))
    assert all("\n" not in entry for entry in entries)
    *_, verdict = report.lines()
    assert verdict.startswith("malformed: " if code == MALFORMED else "incomplete (--allow-partial takes it")
    assert check(layout, root, allow_partial=True).code == (GOOD if code == INCOMPLETE else MALFORMED)


@pytest.mark.parametrize(
    ("layout", "pattern"),
    [
        ("a2d", MP4),
        ("jhmdb", PNG),
        ("ref_davis", DPNG),
        ("refer_youtube_vos", JPG),
        ("refer_youtube_vos", INDEX),
        ("mevis", JPG),
    ],
)
def test_deep_finds_what_one_frame_a_video_does_not_show(spoil, layout, pattern):
    root = spoil(layout)
    files = sorted(first(root, pattern).parent.glob(Path(pattern).name))
    if layout == "a2d":  # damage behind the first frames, which leaves the container's tables as they are
        content = bytearray(files[0].read_bytes())
        begin = content.index(b"mdat") + 4
        end = len(content) if content.index(b"moov") < begin else content.index(b"moov") - 4
        for k in range(begin + (end - begin) * 4 // 5, end):
            content[k] = 0xFF
        files[0].write_bytes(bytes(content))
    else:
        cut(files[1])
    assert check(layout, root, deep=True).code == MALFORMED


def test_processes_change_nothing(spoil):
    root = spoil("jhmdb", True)
    for path in sorted(root.glob(MAT))[::2]:
        cut(path)
    one, two = check("jhmdb", root), check("jhmdb", root, workers=2)
    assert one == two and len(one.wrong) > 1


def test_a_missing_root_tells_what_belongs_there(tmp_path):
    report = check("a2d", tmp_path / "none")
    assert report.code == INCOMPLETE
    assert (
        "expected Release/videoset.csv" in report.missing[0]
        and "`dtse world --layout a2d --out DIR`" in report.missing[0]
    )
    with pytest.raises(ValueError, match="unknown data set 'cocoa'"):
        check("cocoa", tmp_path)


def test_genuine_counts_are_asked_of_a_root_without_the_toy_listing(spoil):
    root = spoil("a2d")
    (root / "toy_world.json").unlink()
    report = check("a2d", root)
    assert report.code == INCOMPLETE
    assert "videos in videoset.csv: 4 found, 3,782 expected" in report.missing
    assert any(
        entry.startswith("sentences: ") and entry.endswith("6,655 or 6,656 expected") for entry in report.missing
    )
    states = {row.what: row.state for row in report.rows}
    assert states["training videos"] == "differs" and states["annotated frames"] == "counted"


@pytest.mark.parametrize("found", [0, 5, 7, 8, 9])
def test_the_table_tells_too_few_from_too_many(found):
    findings = Findings()
    findings.counts["x"] += found
    firm, quoted = compare(findings, {"x": Expected((7, 8))})[0], compare(Findings(), {"x": Expected((7,), False)})[0]
    assert firm.state == ("missing" if found < 7 else "wrong" if found > 8 else "good")
    assert (len(findings.missing), len(findings.wrong)) == (found < 7, found > 8)
    assert quoted.state == "differs"


def test_the_manifest_notices_a_change_that_still_can_be_read(spoil, cache_folder):
    root = spoil("refer_youtube_vos")
    assert check("refer_youtube_vos", root).code == GOOD
    manifest = manifest_path("refer_youtube_vos", root)
    assert cache_folder in manifest.parents
    noted, path = read_manifest(manifest), first(root, JPG)
    assert set(noted) == {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    stat = path.stat()
    pixels = np.asarray(Image.open(path))
    Image.fromarray(255 - pixels).save(path)
    report = check("refer_youtube_vos", root)
    assert report.code == MALFORMED
    assert report.wrong == [
        f"{path} is not what it was when this copy was last found good; download it again, or delete {manifest} if the "
        "change was meant"
    ]
    assert check("refer_youtube_vos", root).code == MALFORMED  # it is not forgotten
    manifest.unlink()
    assert check("refer_youtube_vos", root).code == GOOD
    # a change that hides behind the old time and size is found by --deep
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    stat = read_manifest(manifest)[path.relative_to(root).as_posix()]
    os.utime(path, ns=(stat.modified, stat.modified))
    assert check("refer_youtube_vos", root).code == GOOD
    assert check("refer_youtube_vos", root, deep=True).code == MALFORMED


def test_a_broken_copy_sets_no_standard_and_an_interrupted_manifest_goes_on(spoil, monkeypatch):
    root = spoil("jhmdb")
    path = first(root, PNG)
    good = path.read_bytes()
    empty(path)
    assert check("jhmdb", root).code == MALFORMED
    manifest = manifest_path("jhmdb", root)
    part = manifest.with_name(f"{manifest.name}.part")
    assert not manifest.exists() and len(read_manifest(part)) > 100
    part.write_bytes(part.read_bytes() + b'{"path": "cut sho')
    path.write_bytes(good)
    hashed = []
    honest = module.hash_file
    monkeypatch.setattr(module, "hash_file", lambda root, path: hashed.append(path) or honest(root, path))
    assert check("jhmdb", root).code == GOOD
    assert hashed == [path.relative_to(root).as_posix()] and manifest.exists() and not part.exists()


def test_an_interrupted_check_leaves_its_sums_to_the_next(spoil, monkeypatch):
    root, honest, hashed = spoil("jhmdb"), module.hash_file, []

    def hash_until(root, path):
        if len(hashed) == 50:
            raise KeyboardInterrupt
        hashed.append(path)
        return honest(root, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "hash_file", hash_until)
        check("jhmdb", root)
    monkeypatch.setattr(module, "hash_file", lambda root, path: hashed.append(path) or honest(root, path))
    assert check("jhmdb", root).code == GOOD
    assert len(hashed) > 50 and sorted(hashed) == sorted(read_manifest(manifest_path("jhmdb", root)))


@pytest.mark.parametrize("fault", ["a file above", "full", "unreadable"])
def test_a_cache_folder_that_cannot_be_used_says_nothing_about_the_data(spoil, tmp_path, monkeypatch, fault):
    root = spoil("jhmdb")
    sound = check("jhmdb", root)

    def fail(*_):
        raise OSError(errno.ENOSPC if fault == "full" else errno.EACCES, "it cannot be used")

    if fault == "a file above":
        (tmp_path / "file").touch()
        monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "file" / "cache"))
    else:
        monkeypatch.setattr(module, "written_whole" if fault == "full" else "read_manifest", fail)
    report = check("jhmdb", root)
    (note,) = set(report.notes) - set(sound.notes)
    assert re.match(r"the cache folder cannot be used, so that .*; DTSE_CACHE names another one$", note)
    assert replace(report, notes=sound.notes) == sound and sound.code == GOOD


def test_two_checks_at_once_leave_a_whole_manifest(spoil, monkeypatch):
    root, honest, others = spoil("jhmdb"), module.hash_file, []

    def meet_another(root, path):
        if not others:
            monkeypatch.setattr(module, "hash_file", honest)
            others.append(check("jhmdb", root))
        return honest(root, path)

    monkeypatch.setattr(module, "hash_file", meet_another)
    one = check("jhmdb", root)
    assert one.code == GOOD and others == [one]
    path = manifest_path("jhmdb", root)
    assert set(read_manifest(path)) == {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert [*path.parent.iterdir()] == [path]


def test_a_check_that_lacks_pooch_for_its_cache_folder_says_so_before_the_work(pristine, monkeypatch, command):
    monkeypatch.delenv("DTSE_CACHE")
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setattr(a2d, "survey", lambda *_: pytest.fail("the work has begun"))
    code, said, errors = command("a2d", "--root", pristine("a2d"), "--check", "--workers", 1)
    assert (code, said) == (1, "") and errors.startswith("error: the cache folder needs the package pooch: pip install")


ENTRY = {"path": "a/b", "size": 3, "modified": 4, "sha256": "0f"}


@given(st.integers(0, 2**64), st.booleans())
def test_a_damaged_manifest_keeps_its_whole_lines(manifest_file, seed, in_bytes):
    lines = [json.dumps(ENTRY), json.dumps(spoiled(ENTRY, seed)), json.dumps(ENTRY | {"path": "c"})]
    text = "\n".join(lines).encode()
    manifest_file.write_bytes(spoiled_bytes(text, seed) if in_bytes else text)
    found = read_manifest(manifest_file)
    assert all(isinstance(path, str) and entry.path == path for path, entry in found.items())
    assert in_bytes or found["c"] == ("c", 3, 4, "0f")


@pytest.fixture(scope="module")
def manifest_file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "manifest.jsonl"


def test_an_annotation_fewer_than_the_table_says_is_noted(spoil):
    root = spoil("a2d")
    path, count = next((p, n) for p in sorted(root.glob(H5)) if (n := len([*p.parent.iterdir()])) > 1)
    path.unlink()
    assert f"{path.parent} holds {count - 1} annotations, videoset.csv says {count}" in check("a2d", root).notes


@pytest.mark.parametrize(("layout", "pattern"), [("ref_davis", DPNG), ("refer_youtube_vos", INDEX)])
def test_objects_that_no_expression_names_are_counted(spoil, tmp_path, monkeypatch, layout, pattern):
    root, counts = spoil(layout), []
    (root / META).unlink(missing_ok=True)  # which would say that there is no such object
    for number in (0, 77):
        for file in first(root, pattern).parent.glob("*.png"):
            indices = np.asarray(Image.open(file)).copy()
            indices[0, :2] = number
            Image.fromarray(indices).save(file)
        monkeypatch.setenv("DTSE_CACHE", str(tmp_path / str(number)))  # or it would say that the masks have changed
        report = check(layout, root)
        assert report.code == GOOD
        counts.append(next((row.found for row in report.rows if row.what.endswith("without an expression")), 0))
    assert counts[1] == counts[0] + 1


def test_folders_that_lie_elsewhere_are_checked_through_their_links(spoil, tmp_path):
    root = spoil("refer_youtube_vos")
    whole = check("refer_youtube_vos", root)
    for folder in list((root / "train" / "JPEGImages").iterdir()):
        (tmp_path / "disk").mkdir(exist_ok=True)
        shutil.move(folder, tmp_path / "disk" / folder.name)
        folder.symlink_to(tmp_path / "disk" / folder.name)
    report = check("refer_youtube_vos", root)
    assert (report.code, report.rows, report.notes) == (GOOD, whole.rows, whole.notes)  # "files" is one of the rows


def test_files_that_went_are_noted(spoil):
    root = spoil("a2d")
    (root / NOTES / "readme.txt").touch()
    assert check("a2d", root).code == GOOD
    (root / NOTES / "readme.txt").unlink()
    report = check("a2d", root)
    assert report.code == GOOD and any("readme.txt was there when" in note for note in report.notes)


def test_sums_of_the_authors_are_compared_for_version_1_alone(tmp_path):
    path = tmp_path / "mask_dict.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="has SHA-256 44136fa3.*, its authors published f9d9b01a"):
        mevis._compare_sum(path, "train", "v1")
    mevis._compare_sum(path, "train", "v2")
    mevis._compare_sum(path, "valid", "v1")


def test_a_file_whose_sum_is_known_is_told_from_another(spoil, monkeypatch):
    root = spoil("a2d", True)
    (root / "toy_world.json").unlink()
    said, missed = root / NOTES / "a2d_annotation.txt", root / NOTES / "a2d_missed_videos.txt"
    known = {source.name: source.sha256 for source in A2D.sources + JHMDB.sources if source.sha256}
    assert known.keys() == {"a2d_annotation.txt", "a2d_missed_videos.txt", "jhmdb_annotation.txt"}
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in known.values())
    notes = check("a2d", root).notes
    assert sum("is not the genuine file, by its SHA-256; compare with https://" in note for note in notes) == 2
    of_copy = hashlib.sha256(said.read_bytes()).hexdigest()
    changed = tuple(replace(s, sha256=of_copy) if s.name == said.name else s for s in A2D.sources)
    monkeypatch.setattr("dtse_core.data.prepare.obtain.DATASETS", {"a2d": replace(A2D, sources=changed)})
    notes = check("a2d", root).notes
    assert f"{said} is the genuine file, by its SHA-256" in notes
    assert any(note.startswith(f"{missed} is not the genuine file") for note in notes)


def test_two_kinds_of_davis_masks_are_compared(spoil):
    root = spoil("ref_davis", True)
    masks = sorted((root / "DAVIS" / "Annotations" / "480p").iterdir())[0] / "00000.png"
    with Image.open(masks) as image:
        ids = np.asarray(image).copy()
    number, before = ids.max(), set(check("ref_davis", root).notes)

    def said_of(changed: np.ndarray) -> list[str]:
        Image.fromarray(changed).save(masks)
        shutil.rmtree(os.environ["DTSE_CACHE"])
        report = check("ref_davis", root)
        assert report.code == GOOD
        return [note for note in report.notes if note not in before]

    one, other = said_of(np.where(ids == number, number + 50, ids).astype(np.uint8))
    assert one.startswith(f"object {number} is in ") and other.startswith(f"object {number + 50} is in {masks}")
    elsewhere = np.where((ids == 0) & (np.arange(48) < 5), number, np.where(ids == number, 0, ids)).astype(np.uint8)
    (note,) = said_of(elsewhere)
    assert note.startswith(f"object {number} of ") and note.endswith("overlap by 0.00 (IoU): other ids?")


def test_converted_davis_is_checked_too(pristine, tmp_path):
    """The converted layout, written here from the original one."""
    root = pristine("ref_davis")
    listed = {s: (root / f"DAVIS/ImageSets/2017/{s}.txt").read_text(encoding="utf-8").split() for s in ("train", "val")}
    sentences = json.loads((root / "toy_world.json").read_text(encoding="utf-8"))["sentences"]
    for split, names in listed.items():
        folder, videos = tmp_path / {"train": "train", "val": "valid"}[split], {}
        for name in names:
            davis = root / "DAVIS"
            shutil.copytree(davis / "JPEGImages/480p" / name, folder / "JPEGImages" / name)
            shutil.copytree(davis / "Annotations_unsupervised/480p" / name, folder / "Annotations" / name)
            lines = (root / "davis_text_annotations/Davis17_annot1.txt").read_text(encoding="utf-8").splitlines()
            numbers = sorted(line.split()[1] for line in lines if line.split()[0] == name)
            said = {key: {"exp": text, "obj_id": numbers[int(key) // 4]} for key, text, _, _ in sentences[name]}
            frames = [f"{k:05d}" for k in range(25)]
            videos[name] = {"expressions": said, "frames": frames}
        path = tmp_path / "meta_expressions" / folder.name / "meta_expressions.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"videos": videos}), encoding="utf-8")
    report = check("ref_davis", tmp_path, allow_partial=True)  # not the genuine counts
    assert report.code == GOOD and report.missing == [
        "train sequences: 2 found, 60 expected",
        "val sequences: 2 found, 30 expected",
    ]
    assert {row.what: row.found for row in report.rows}["sentences"] == sum(map(len, sentences.values()))
    empty(first(tmp_path, "valid/Annotations/*/*.png"))
    assert check("ref_davis", tmp_path).code == MALFORMED


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the script in this process: its exit code, what it prints, and its errors."""
    main = runpy.run_path(str(SCRIPT))["main"]

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return run


def test_the_command_prints_writes_and_exits_by_what_it_found(spoil, tmp_path, command):
    root = spoil("a2d", True)
    code, said, _ = command("a2d", "--root", root, "--check", "--workers", 1, "--json", tmp_path / "report.json")
    assert (code, said.splitlines()[-1]) == (GOOD, "ready")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["code"] == GOOD and set(report["rows"][0]) == {"what", "found", "expected", "state"}
    first(root, MP4).unlink()
    code, said, _ = command("a2d", "--root", root, "--check", "--workers", 1)
    assert code == INCOMPLETE and said.splitlines()[-1].startswith("incomplete")
    code, said, _ = command("a2d", "--root", root, "--check", "--workers", 1, "--allow-partial")
    assert code == GOOD and said.splitlines()[-1] == "ready, as a partial copy: 1 missing"


def test_the_command_explains_how_to_get_what_it_cannot_fetch(tmp_path, command):
    code, said, _ = command("refer_youtube_vos", "--root", tmp_path / "root")
    assert code == INCOMPLETE and said.splitlines()[-1] == "incomplete: see above"
    for words in ("youtube-vos.org", "Refer-Youtube-VOS/issues/7", "reported gone", "[by hand] train.zip", "URVOS"):
        assert words in said
    code, said, errors = command("refer_youtube_vos", "--root", tmp_path / "root", "--archives", tmp_path / "none")
    assert code == INCOMPLETE and errors.startswith("error: no folder")


def test_columns_of_the_report_never_touch():
    row = Row("train sentences", 0, (23_051, 27_502), "missing")
    lines = [*Report("MeViS", "data", [row, row._replace(expected=(1_662, 1_662))], [], [], [], 0).lines()]
    assert lines[2].split() == ["train", "sentences", "0", "23,051", "or", "27,502", "missing"]
    assert lines[3].split() == ["train", "sentences", "0", "1,662", "missing"]
    assert len({line.index(end) for line, end in zip(lines[1:4], ("state", "missing", "missing"), strict=True)}) == 1
