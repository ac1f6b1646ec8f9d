"""The toy world's second level on disk: every layout's own loader reads what was drawn, as far as it can say it."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from dtse_core.config import DATASETS, DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import CONTROL
from dtse_core.data.prepare.check import check
from dtse_core.data.toy.__main__ import parse_command
from dtse_core.data.toy.layouts.write import LAYOUTS, write_toy
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.level2.edition import faults
from dtse_core.data.toy.level2.facts import Facts
from dtse_core.data.toy.level2.programs import from_json, targets
from dtse_core.data.toy.level2.scene import render
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import DiagnosticWorld

pytest.importorskip("h5py")
pytest.importorskip("av")
CLIPS = {"train": 1, "val": 1, "test": 13} | dict.fromkeys(THEMES, 2)  # one clip of each kind in test
PINNED = {
    "pixels": "1181d82f",
    "masks": "5837f670",
    "sentences": "753989da",
    "programs": "d426ca8d",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("level2")
    for layout in LAYOUTS:
        assert write_toy(root / layout, CLIPS, layout, seed=3, height=32, width=48, level=2)
    return root


def listing(root) -> dict:
    return json.loads((root / "toy_world.json").read_text(encoding="utf-8"))


def films(split):
    world = DiagnosticClips(split, CLIPS[split], 3, 32, 48)
    return {film.video_id: film for film in map(world.scene, range(CLIPS[split]))}


def masks_of(film, indices):
    """Masks by sentence and frame, straight from the drawing."""
    _, ids = render(film.scene, indices, 32, 48)
    return {s.text: np.any([ids == n for n in s.instances] or [ids < 0], 0) for s in film.sentences}


@pytest.mark.parametrize("split", ["test", "coherence", "granularity"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_drawn_is_what_the_layout_s_loader_reads(written, layout, split):
    dataset, drawn, sayable, seen = (
        build_dataset(DataConfig(layout, str(written / layout)), split, 3),
        films(split),
        {},
        set(),
    )
    for name, film in drawn.items():
        single = [s.text for s in film.sentences if len(s.instances) == 1]
        sayable[name] = {"mevis": [s.text for s in film.sentences], "jhmdb": single[:1]}.get(layout, single)
    if layout in ("a2d", "jhmdb"):
        for clip in map(dataset.__getitem__, range(len(dataset))):
            assert (clip.mask == masks_of(drawn[clip.video_id], [clip.frame_id - 1])[clip.expression][0]).all()
            seen.add((clip.video_id, clip.expression, clip.evidence))
    else:
        for video in dataset.videos:
            film = drawn[video.video_id]
            assert len(video.frames) == film.length
            for k in (0, film.length // 2, film.length - 1):
                truth = masks_of(film, [k])[video.expression][0]
                assert (dataset.read_target(video, k)[0] == truth).all()
            seen.add((video.video_id, video.expression, video.evidence))
    kinds = {(name, s.text): s.evidence for name, film in drawn.items() for s in film.sentences}
    assert seen == {(name, text, kinds[name, text]) for name, texts in sayable.items() for text in texts}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_listing_tells_of_every_sentence_and_of_what_was_left_out(written, layout):
    toy, said = listing(written / layout), 0
    assert toy["settings"]["level"] == 2 and toy["settings"]["version"] == 1
    for split in CLIPS:
        for name, film in films(split).items():
            rows = toy["programs"][name]
            said += len(rows)
            assert [row["text"] for row in rows] == [s.text for s in film.sentences]
            for row in rows:
                assert list(targets(from_json(row["program"]), Facts(film.scene))) == row["targets"]
                assert 1 <= row["depth"] <= 3 and row["kind"] != CONTROL
    left = toy["left_out"]
    assert left["clips"] == sum(CLIPS.values()) - sum(map(len, toy["splits"].values()))
    texts = {name: {row[1] for row in rows} for name, rows in toy["sentences"].items()}
    assert left["sentences"] == said - sum(map(len, texts.values()))
    assert (left["sentences"] == left["clips"] == 0) == (layout == "mevis")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_ready(written, layout, monkeypatch, tmp_path):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path))
    report = check(layout, written / layout, deep=True)
    assert (report.code, report.missing, report.wrong) == (0, [], [])


def test_slices_hold_the_scenes_of_their_families_with_controls_marked():
    world = DiagnosticWorld("test", 3)
    for name in THEMES:
        clips = DiagnosticClips(name, 4, 3, 32, 48)
        each = len({question.scene for question in world.family(name, 0)})
        asked = [(q.scene, q.sentence.text, q.control) for k in range(4 // each) for q in world.family(name, k)]
        found = [
            (film.scene, s.text, s.evidence == CONTROL) for film in map(clips.scene, range(4)) for s in film.sentences
        ]
        assert sorted(map(str, found)) == sorted(map(str, asked))
        assert all(s.program.get("control", False) == (s.evidence == CONTROL) for s in clips.scene(0).sentences)
    names = [DiagnosticClips(name, 3, 3).scene(k).video_id for name in DiagnosticClips.splits for k in range(3)]
    assert len(set(names)) == len(names)


def test_workers_do_not_change_a_byte(tmp_path):
    for workers in (1, 2):
        write_toy(tmp_path / str(workers), {"train": 3}, "mevis", height=32, width=48, workers=workers, level=2)
    one, two = (sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in "12")
    assert [hashlib.sha256(p.read_bytes()).digest() for p in one] == [
        hashlib.sha256(p.read_bytes()).digest() for p in two
    ]


def test_each_level_has_its_own_splits(tmp_path):
    with pytest.raises(ValueError, match="unknown split 'twins'; the toy world has train, val, test, guidance"):
        write_toy(tmp_path / "toy", {"twins": 1}, "mevis", level=2)
    with pytest.raises(ValueError, match="unknown split 'scale'; the toy world has train, val, test, compositional"):
        write_toy(tmp_path / "toy", {"scale": 1}, "mevis")
    command = parse_command(["--out", "toy", "--level", "2", "--val", "7"])
    assert (command.level, command.val, command.test) == (2, 7, 50) and set(LAYOUTS) == set(DATASETS) - {"toy"}


# ------------------------------------------------------------------------- an edition


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    root = tmp_path_factory.mktemp("edition")
    for layout in ("mevis", "jhmdb"):
        write_toy(root / layout, {"test": 3, "granularity": 1}, layout, height=32, width=48, level=2, edition=True)
    return root


def test_an_edition_has_the_same_hashes_in_every_layout_on_any_machine(edition):
    one, two = (listing(edition / layout)["edition"]["parts"] for layout in ("mevis", "jhmdb"))
    assert one == two and {part: hashed[:8] for part, hashed in one.items()} == PINNED
    digests = {name: "" for name in ("pixels", "masks")}
    for film in [*map(DiagnosticClips("test", 3).scene, range(3)), DiagnosticClips("granularity", 1).scene(0)]:
        for name, array in zip(digests, render(film.scene, range(film.length), 32, 48), strict=True):
            digests[name] += hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
    assert {name: one[name] for name in digests} == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in digests.items()
    }


def spoil_file(pattern):
    def spoil(root):
        path = sorted(root.rglob(pattern))[-1]
        path.write_bytes(path.read_bytes().replace(b"0", b"0 ", 1) if path.suffix == ".json" else b"\xff" * 99)

    return spoil


def spoil_listing(change):
    def spoil(root):
        toy = listing(root)
        change(toy)
        (root / "toy_world.json").write_text(json.dumps(toy), encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (spoil_file("*.jpg"), "pixels"),
        (spoil_file("mask_dict.json"), "masks"),
        (spoil_file("meta_expressions.json"), "sentences"),
        (spoil_listing(lambda toy: next(iter(toy["programs"].values()))[0].update(text="the dog")), "sentences"),
        (spoil_listing(lambda toy: next(iter(toy["programs"].values()))[0].update(targets=[9])), "programs"),
        (spoil_listing(lambda toy: toy["edition"]["parts"].update(programs="0")), "programs"),
        (spoil_listing(lambda toy: toy["edition"].pop("files")), "does not tell what its edition holds"),
        (spoil_listing(lambda toy: toy.update(programs=[1])), "does not tell what its edition holds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edition_that_differs_says_in_which_part(edition, tmp_path, monkeypatch, spoil, part):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    shutil.copytree(edition / "mevis", tmp_path / "copy")
    assert faults(tmp_path / "copy") == []
    spoil(tmp_path / "copy")
    report = check("mevis", tmp_path / "copy")
    said = [text for text in report.wrong if "edition's" in text or "its edition" in text]
    assert report.code == 2 and len(said) == 1
    assert (f": {part} differ from the edition's" if " " not in part else part) in said[0]


def test_an_edition_is_of_level_2(tmp_path):
    with pytest.raises(ValueError, match="an edition is of level 2; add --level 2"):
        write_toy(tmp_path / "toy", {"test": 1}, edition=True)
    write_toy(tmp_path / "toy", {"test": 1}, "mevis", height=32, width=48, level=2)
    assert faults(tmp_path / "toy") == [] and "edition" not in listing(tmp_path / "toy")
