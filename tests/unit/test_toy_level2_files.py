"""The toy world's second level on disk: every layout's own loader reads what was drawn, as far as it can say it."""

import hashlib
import json
import sys

import numpy as np
import pytest

from dtse_core.config import DATASETS, DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import CONTROL, VideoDataSet
from dtse_core.data.prepare.check import check
from dtse_core.data.toy.__main__ import main, parse_command
from dtse_core.data.toy.layouts.write import LAYOUTS, write_toy
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.level2.facts import Facts
from dtse_core.data.toy.level2.programs import from_json, targets
from dtse_core.data.toy.level2.scene import render
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import DiagnosticWorld

pytest.importorskip("h5py")
pytest.importorskip("av")
CLIPS = {"train": 1, "val": 1, "test": 13} | dict.fromkeys(THEMES, 2)  # one clip of each kind in test


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
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "refcoco"])  # stills: test_refcoco
def test_what_was_drawn_is_what_the_layout_s_loader_reads(written, layout, split):
    dataset, drawn, sayable, seen = (
        build_dataset(DataConfig(layout, str(written / layout)), split, 3),
        films(split),
        {},
        set(),
    )
    for name, film in drawn.items():
        single = [s.text for s in film.sentences if len(s.instances) == 1]
        every = [s.text for s in film.sentences]
        sayable[name] = {"mevis": every, "own": every, "jhmdb": single[:1]}.get(layout, single)
    if not isinstance(dataset, VideoDataSet):
        for clip in map(dataset.__getitem__, range(len(dataset))):
            index = clip.frame_id - (layout in ("a2d", "jhmdb"))  # which count frames from 1
            assert (clip.mask == masks_of(drawn[clip.video_id], [index])[clip.expression][0]).all()
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
    assert toy["settings"]["level"] == 2 and toy["settings"]["version"] == 2
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
    assert (left["sentences"] == left["clips"] == 0) == (layout in ("mevis", "own"))


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


def command(monkeypatch, tmp_path, options: str) -> int:
    size = "--layout mevis --train 2 --test 4 --height 32 --width 48 --workers 1"
    monkeypatch.setattr(sys, "argv", ["make_toy_world.py", *size.split(), *options.split(), "--out", f"{tmp_path}/toy"])
    try:
        return main() or 0
    except SystemExit as end:
        return end.code


def test_a_world_of_one_s_own_holds_what_was_asked_for_and_no_slices(tmp_path, monkeypatch):
    asked = {"actors": (4, 7), "kinds": ("relation", "nested"), "depths": (2,)}
    options = " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in asked.items())
    assert command(monkeypatch, tmp_path, f"--level 2 {options}") == 0
    toy = listing(tmp_path / "toy")
    assert list(toy["splits"]) == ["train", "val", "test"]
    assert {name: tuple(toy["settings"][name]) for name in asked} == asked
    rows = [row for rows in toy["programs"].values() for row in rows]
    assert {(row["kind"], row["depth"]) for row in rows} == {("relation", 2), ("nested", 2)}
    drawn = [DiagnosticClips("test", 4, 0, 32, 48, **asked).scene(k) for k in range(4)]
    assert [film.video_id for film in drawn] == toy["splits"]["test"]
    assert all(4 <= len(film.actors) <= 7 for film in drawn)
    assert command(monkeypatch, tmp_path, f"--level 2 {options}") == 0, "the same command changes nothing"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--level 2 --actors 3 20", "3 to 20 actors; a scene holds 3 to 9"),
        ("--level 2 --actors 9 9", "no appearance clip of 9 to 9 actors in 500 draws; allow more numbers of actors"),
        ("--level 2 --depths 3 --kinds action", "depth 3 with sentences of kind action: only nested, none can be so"),
        ("--level 2 --kinds dance", "unknown kind 'dance' of sentences; known: appearance"),
        ("--level 2 --kinds group --layout a2d", "a2d has no room for these sentences"),
        ("--actors 3 5 --depths 2", "actors, depths: only for a world of level 2; add --level 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(tmp_path, monkeypatch, capsys, options, said):
    assert command(monkeypatch, tmp_path, options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}") and not list(tmp_path.iterdir())
