"""An edition: hashes that are the same in every layout, on every Python, and tell which part of a copy differs.

Nothing here needs torch: `make test-pythons` runs it.
"""

import hashlib
import json
import shutil
import sys

import numpy as np
import pytest

from dtse_core.data.prepare.check import check
from dtse_core.data.toy.__main__ import main
from dtse_core.data.toy.layouts import write
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2 import edition
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.level2.scene import render
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import VERSION

pytest.importorskip("scipy")
pytest.importorskip("pycocotools")
SIZE = {"height": 48, "width": 72, "level": 2}
CLIPS = {"train": 13, "val": 1, "test": 13} | dict.fromkeys(THEMES, 2)
PINNED = {  # the first digits of the hashes of pixels, masks, sentences and programs
    "train": "b8848130 f9523dd1 37dfb895 6703b41b",
    "val": "c5eb808e 95431e3e 6f86a26f 9fef3732",
    "test": "424f365a 103fa8d0 b6b1a86f ff4a2b7b",
    "guidance": "c97e0c88 d75c34e7 3d0bae73 c5c9db36",
    "coherence": "ffa8fa01 5d4fd310 79d06e7e 10822d3d",
    "granularity": "83fe8a9d e44c5993 f7954585 542dad78",
    "scale": "d8c86263 4ac88b0c 86fe3fda cc8c035e",
}


def listing(root) -> dict:
    return json.loads((root / "toy_world.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same clips, of which J-HMDB has room for few, and fewer training clips."""
    root = tmp_path_factory.mktemp("edition")
    write_toy(root / "mevis", CLIPS, "mevis", **SIZE)
    write_toy(root / "jhmdb", CLIPS | {"train": 2}, "jhmdb", **SIZE)
    return root


@pytest.fixture
def copy(written, tmp_path, monkeypatch):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(written / "mevis", tmp_path / "copy")


def publish(monkeypatch, path, toy, **other):
    """Has `toy` published, but for what is `other`."""
    settings = {name: toy["settings"][name] for name in ("seed", "height", "width", "version", "actors")}
    path.write_text(json.dumps(settings | {"splits": toy["edition"]} | other), encoding="utf-8")
    monkeypatch.setattr(edition, "PUBLISHED", path)


def test_the_hashes_are_the_same_on_every_python_and_machine(written):
    toy = listing(written / "mevis")
    found = {split: " ".join(row[part][:8] for part in edition.PARTS) for split, row in toy["edition"].items()}
    assert {split: row["clips"] for split, row in toy["edition"].items()} == CLIPS
    assert found == PINNED


def test_they_are_of_what_was_drawn_whatever_the_layout_says_and_however_many_clips_train(written):
    one, two = (listing(written / layout)["edition"] for layout in ("mevis", "jhmdb"))
    assert {split for split in CLIPS if one[split] != two[split]} == {"train"}
    assert listing(written / "jhmdb")["left_out"]["sentences"] > 0
    digests = {name: "" for name in ("pixels", "masks")}
    for film in map(DiagnosticClips("val", 1).scene, range(1)):
        for name, array in zip(digests, render(film.scene, range(film.length), 48, 72), strict=True):
            assert array.dtype == np.uint8
            digests[name] += hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
    assert {name: one["val"][name] for name in digests} == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in digests.items()
    }


def test_clips_that_a_layout_leaves_out_are_hashed_all_the_same(tmp_path, monkeypatch):
    write_toy(tmp_path / "all", {"test": 5}, "mevis", height=32, width=48, level=2)
    monkeypatch.setattr(write, "sayable", lambda _, scene: scene.sentences if len(scene.actors) % 2 else ())
    write_toy(tmp_path / "some", {"test": 5}, "mevis", height=32, width=48, level=2)
    one, two = (listing(tmp_path / name) for name in ("all", "some"))
    assert two["left_out"]["clips"] == 5 - len(two["splits"]["test"]) > 0
    assert one["edition"] == two["edition"] and one["programs"] == two["programs"]


def spoil_listing(change):
    def spoil(root):
        toy = listing(root)
        change(toy)
        (root / "toy_world.json").write_text(json.dumps(toy, indent=1) + "\n", encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_listing(lambda toy: [*toy["programs"].values()][0][0].update(text="it")), "sentences of split train"),
        (spoil_listing(lambda toy: [*toy["programs"].values()][13][0].update(targets=[9])), "programs of split val"),
        (spoil_listing(lambda toy: toy["edition"]["test"].update(programs="0")), "programs of split test"),
        (spoil_listing(lambda toy: toy["edition"]["scale"].pop("clips")), "does not tell what its edition holds"),
        (spoil_listing(lambda toy: toy.update(programs=[1])), "does not tell what its edition holds"),
    ],
    ids=("sentence", "targets", "hash", "no count", "no programs"),
)
def test_a_listing_that_differs_from_its_edition_says_in_which_part_of_which_split(written, tmp_path, spoil, said):
    for name in ("toy_world.json", "SHA256SUMS"):
        shutil.copy(written / "mevis" / name, tmp_path)
    assert edition.faults(tmp_path, ["toy_world.json"]) == []
    spoil(tmp_path)
    try:
        found = edition.faults(tmp_path, ["toy_world.json"])
    except ValueError as error:
        found = [str(error)]
    assert [said in text for text in found] == [True]


def test_files_that_differ_are_named_and_those_added_are_nobody_s_concern(copy, tmp_path, monkeypatch):
    for extra in (".DS_Store", "results.json", "train/Thumbs.db", "train/JPEGImages/.DS_Store", "masks/00000.png"):
        (copy / extra).parent.mkdir(exist_ok=True)
        (copy / extra).write_bytes(b"mine")
    report = check("mevis", copy)
    assert (report.code, report.missing, report.wrong) == (0, [], [])
    table, frames = copy / "valid_u" / "mask_dict.json", sorted(copy.rglob("*.jpg"))
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    frames[0].write_bytes(frames[-1].read_bytes())
    frames[1].unlink()
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "elsewhere"))  # where no check has been yet
    report = check("mevis", copy)
    assert [f"{path} is not what SHA256SUMS lists; download it again" in report.wrong for path in (frames[0], table)]
    assert len(report.wrong) == 2 and report.code == 2
    assert f"{frames[1]}, which SHA256SUMS lists, is missing; download it again" in report.missing


def test_sums_are_as_sha256sum_writes_them_and_asked_for_where_they_are_gone(copy):
    lines = (copy / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    files = [path for path in copy.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    rows = {f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(copy).as_posix()}" for path in files}
    assert set(lines) == rows and len(lines) == len(rows)
    (copy / "SHA256SUMS").write_text("abc train\n", encoding="utf-8")
    assert "line 1, 'abc train', is not the SHA-256 of one more file" in check("mevis", copy).wrong[0]
    (copy / "SHA256SUMS").unlink()
    assert "SHA256SUMS, which lists the files of the edition, is missing" in check("mevis", copy).missing[0]


@pytest.mark.parametrize("layout", ["mevis", "jhmdb"])
def test_sums_that_are_cut_between_two_lines_are_not_ready(written, layout, tmp_path, monkeypatch):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path))
    sums = shutil.copytree(written / layout, tmp_path / layout) / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines(keepends=True)
    assert check(layout, sums.parent).code == 0
    left_out = [set(lines[kept:]) for kept in (0, 1, len(lines) // 2, len(lines) - 1)]
    left_out += [{line for line in lines if line.rstrip().endswith((".jpg", ".png"))}]  # all of one format
    for lost in left_out:
        sums.write_text("".join(line for line in lines if line not in lost), encoding="utf-8")
        report = check(layout, sums.parent)
        (said,) = (text.split() for text in report.wrong if text.startswith(f"{sums} does not list "))
        assert said[4].rstrip(";") in {line.split()[1] for line in lost} and report.code == 2


def test_a_copy_that_claims_to_be_the_published_edition_is_compared_with_it(copy, tmp_path, monkeypatch):
    toy = listing(copy)
    publish(monkeypatch, tmp_path / "edition.json", toy)
    assert edition.compare_published(toy) == dict.fromkeys(CLIPS, [])
    other = toy["edition"] | {"test": toy["edition"]["test"] | {"masks": "0"}, "train": {"clips": 14}}
    publish(monkeypatch, tmp_path / "edition.json", toy, splits=other)
    assert edition.compare_published(toy) == {
        split: ["masks"][: split == "test"] for split in CLIPS if split != "train"
    }
    (said,) = check("mevis", copy).wrong
    assert "masks of split test differ from the published edition" in said
    for name, value in (("seed", 1), ("version", VERSION + 1), ("height", 96), ("actors", [3, 5])):
        publish(monkeypatch, tmp_path / "edition.json", toy, splits=other, **{name: value})
        assert edition.compare_published(toy) == {} and edition.faults(copy, ["toy_world.json"]) == []


def test_a_world_of_ones_own_does_not_claim_to_be_the_published_edition(written):
    fixed = set(json.loads(edition.PUBLISHED.read_text(encoding="utf-8"))) - {"splits"}
    assert fixed == set(listing(written / "mevis")["settings"]) - {"layout", "clips", "level"}


@pytest.mark.parametrize("lost", ["edition", "left_out"])
def test_a_damaged_listing_in_place_of_what_is_asked_for_is_named(copy, lost, monkeypatch, capsys):
    (copy / "toy_world.json").write_text(json.dumps(listing(copy) | {lost: None}), encoding="utf-8")
    options = "--layout mevis --level 2 --height 48 --width 72 --train 13 --val 2 --test 13 --workers 1"
    monkeypatch.setattr(sys, "argv", ["make_toy_world.py", *options.split(), "--out", str(copy)])
    monkeypatch.setattr(write, "_is_written", lambda *_: True)  # its val has one clip
    with pytest.raises(SystemExit, match="1"):
        main()
    assert f"error: {copy / 'toy_world.json'} is damaged; delete {copy} and write it again" in capsys.readouterr().err


def test_the_command_says_whether_what_it_wrote_is_the_published_edition(written, tmp_path, monkeypatch, capsys):
    publish(monkeypatch, tmp_path / "edition.json", listing(written / "mevis"))
    options = "--layout mevis --level 2 --height 48 --width 72 --train 2 --val 2 --test 1 --workers 1"
    monkeypatch.setattr(sys, "argv", ["make_toy_world.py", *options.split(), "--out", str(tmp_path / "toy")])
    main()
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[3:]}
    assert list(told) == list(CLIPS)
    assert all(told[name].endswith("  as published") for name in THEMES)
    assert all(told[name].endswith("  not published") for name in ("train", "val", "test"))
    rows = listing(written / "mevis")["edition"]
    rows["scale"]["pixels"] = rows["guidance"]["programs"] = "0"
    publish(monkeypatch, tmp_path / "edition.json", listing(written / "mevis"), splits=rows)
    main()
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[3:]}
    assert told["scale"].endswith("  DIFFERS from the published: pixels")
    assert told["guidance"].endswith("  DIFFERS from the published: programs")


def test_what_is_published_is_of_this_version_and_either_whole_or_not_yet_there():
    fixed = json.loads(edition.PUBLISHED.read_text(encoding="utf-8"))
    assert [fixed[name] for name in ("version", "seed", "height", "width")] == [VERSION, 0, 96, 144]
    counts = {split: row["clips"] for split, row in fixed["splits"].items()}
    assert counts in ({}, {"train": 2000, "val": 500, "test": 2000} | dict.fromkeys(THEMES, 500))
    assert all(len(row[part]) == 64 for row in fixed["splits"].values() for part in edition.PARTS)
