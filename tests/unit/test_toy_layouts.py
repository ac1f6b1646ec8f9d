"""The toy world on disk: what was drawn is what the loader reads, and a run writes all or nothing."""

import csv
import hashlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dtse_core.config import DataConfig
from dtse_core.data import A2DSentences, ToyWorld
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import EVIDENCE, window_indices
from dtse_core.data.sentences import clean_expression
from dtse_core.data.toy.layouts import write
from dtse_core.data.toy.layouts.a2d import write_annotation
from dtse_core.data.toy.layouts.write import LAYOUTS, layout_module, write_toy
from dtse_core.data.toy.level2.world import DiagnosticWorld
from dtse_core.data.toy.world import render
from dtse_core.video.files import video_info

h5py = pytest.importorskip("h5py")
pytest.importorskip("av")
SCRIPT = Path(__file__).parents[2] / "data_scripts" / "make_toy_world.py"
CLIPS = {"train": 4, "val": 2, "test": 5, "compositional": 2, "twins": 2}  # of the fixture in conftest.py
SMALL = {"train": 2, "test": 1}
NOTES = "text_annotations"
LUMA = np.array([0.299, 0.587, 0.114])  # yuv420p keeps brightness at full resolution, color at half


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def drawn(split: str) -> dict:
    """The scenes of the fixture by video id, straight from the world."""
    world = ToyWorld(split, CLIPS[split], seed=1)
    return {world.scene(k).video_id: world.scene(k) for k in range(CLIPS[split])}


def psnr(a, b) -> float:
    return -10 * np.log10(((a.astype(float) - b) ** 2).mean() / 255**2)


@pytest.mark.parametrize(("split", "causal"), [*((split, False) for split in CLIPS), ("val", True)])
def test_what_was_drawn_is_what_the_loader_reads(toy_a2d_root, split, causal):
    dataset, scenes = A2DSentences(toy_a2d_root, split, window=3, offset=6, causal=causal), drawn(split)
    counted = sum(
        bool((render(scene, [frame], 64, 96)[1] == sentence.instance).any())
        for scene in scenes.values()
        for sentence in scene.sentences
        for frame in scene.annotated
    )
    assert len(dataset) == counted > 0
    for clip in map(dataset.__getitem__, range(len(dataset))):
        scene = scenes[clip.video_id]
        indices, slot = window_indices(clip.frame_id - 1, scene.length, 3, 6, causal)
        frames, ids = render(scene, indices, 64, 96)
        assert clip.current == slot and clip.frame_id - 1 in scene.annotated
        assert np.array_equal(clip.mask, ids[slot] == int(clip.instance_id) + 1)  # bit for bit
        assert psnr(clip.frames @ LUMA, frames @ LUMA) > 36 and psnr(clip.frames, frames) > 26
        said = {(s.instance, s.text): s for s in scene.sentences}[int(clip.instance_id) + 1, clip.expression]
        assert clip.evidence == said.evidence in EVIDENCE
        if said.twin:
            assert np.array_equal(clip.twin_mask, ids[slot] == said.twin)
        else:
            assert clip.twin_mask is None


def test_each_frame_is_nearer_to_its_own_drawing_than_to_the_next(toy_a2d_root):
    dataset, scenes = A2DSentences(toy_a2d_root, "test", window=1), drawn("test")
    for k in range(0, len(dataset), 3):
        clip = dataset[k]
        index = clip.frame_id - 1
        near, _ = render(scenes[clip.video_id], [index - 1, index, index + 1], 64, 96)
        quality = [psnr(clip.frames[0], frame) for frame in near]
        assert quality[1] > max(quality[0], quality[2]) + 1


def test_the_layout_is_the_genuine_one(toy_a2d_root):
    with open(toy_a2d_root / "Release" / "videoset.csv", newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert len(table) == sum(CLIPS.values()) and all(len(row) == 9 for row in table)
    train = drawn("train")
    assert {row[0] for row in table if row[8] == "0"} == set(train)
    for video, label, _, _, height, width, length, annotated, _ in table:
        path = toy_a2d_root / "Release" / "clips320H" / f"{video}.mp4"
        info = video_info(path)
        assert (info.length, info.height, info.width, info.fps) == (int(length), int(height), int(width), 12)
        stems = sorted(p.stem for p in (toy_a2d_root / NOTES / "a2d_annotation_with_instances" / video).iterdir())
        assert len(stems) == int(annotated) and all(len(stem) == 5 for stem in stems)
        assert 1 <= int(label) // 10 <= 7 and 1 <= int(label) % 10 <= 8
        if video in train:
            assert [int(stem) - 1 for stem in stems] == list(train[video].annotated)
    with open(toy_a2d_root / NOTES / "a2d_annotation.txt", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video_id", "instance_id", "query"]
    texts = {(r["video_id"], int(r["instance_id"]), r["query"]) for r in rows}
    assert {(v, s.instance - 1, s.text) for v, scene in train.items() for s in scene.sentences} <= texts


@pytest.mark.parametrize("present", [[], [3], [1, 4], [5, 2, 7]])
def test_annotations_are_stored_as_matlab_leaves_them(tmp_path, present):
    ids = np.zeros((6, 9), np.uint8)
    for n, instance in enumerate(present):
        ids[n : n + 2, 2 * n : 2 * n + 3] = instance
    write_annotation(tmp_path / "a.h5", ids)
    with h5py.File(tmp_path / "a.h5") as file:
        stored, numbers, boxes = (file[key][()] for key in ("reMask", "instance", "reBBox"))
    assert numbers.tolist() == [instance - 1 for instance in sorted(present)]  # from 0, as in the genuine files
    assert stored.shape == ((9, 6) if len(present) == 1 else (len(present), 9, 6)) and stored.dtype == np.uint8
    assert boxes.shape == (4, len(present))
    for n, instance in enumerate(sorted(present)):
        one = stored if len(present) == 1 else stored[n]
        for y, x in np.ndindex(6, 9):
            assert one[x, y] == (ids[y, x] == instance)
        x1, y1, x2, y2 = boxes[:, n].astype(int)
        inside = np.zeros((6, 9), bool)
        inside[y1 - 1 : y2, x1 - 1 : x2] = True
        assert not (ids == instance)[~inside].any()
        assert (x2 - x1 + 1) == (ids == instance).any(0).sum() and (y2 - y1 + 1) == (ids == instance).any(1).sum()


def test_the_same_settings_give_the_same_bytes_whatever_the_workers(tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        assert write_toy(tmp_path / name, SMALL, seed=5, height=32, width=48, workers=workers)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    write_toy(tmp_path / "other", SMALL, seed=6, height=32, width=48)
    assert not set(files(tmp_path / "other").values()) & set(files(tmp_path / "one").values()) - {
        hashlib.sha256(b"").hexdigest()  # no missed videos
    }


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "a2d"])
def test_every_layout_gives_the_same_bytes_and_knows_its_traps(tmp_path, layout):
    for name in ("one", "two"):
        assert write_toy(tmp_path / name, SMALL, layout, height=32, width=48, traps=["all"])
    assert files(tmp_path / "one") == files(tmp_path / "two")
    toy = json.loads((tmp_path / "one" / "toy_world.json").read_text(encoding="utf-8"))
    assert toy["settings"]["traps"] == sorted(layout_module(layout).TRAPS) and set(toy["splits"]) == set(SMALL)
    with pytest.raises(ValueError, match=f"unknown trap 'pit'; {layout} has .*, or all"):
        write_toy(tmp_path / "three", SMALL, layout, traps=["pit"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sentences_about_one_window_are_found_in_every_layout(tmp_path, layout):
    write_toy(tmp_path / layout, {"train": 4, "test": 1}, layout=layout, seed=6, height=32, width=48)
    data = build_dataset(DataConfig(name=layout, root=str(tmp_path / layout)), "train", window=3)
    assert data.several(1, 1)[0].sample_id == data[1].sample_id and "_alike" not in vars(data)  # nothing is listed yet
    together = 0
    for k in range(len(data)):
        first, second, third = data.several(k, 3)
        assert (first.sample_id, first.expression) == (data[k].sample_id, data[k].expression)
        assert np.array_equal(first.frames, second.frames) and np.array_equal(first.frames, third.frames)
        assert (first.video_id, first.frame_id) == (second.video_id, second.frame_id)
        together += first.expression != second.expression
    assert together or layout == "jhmdb"  # which has one sentence for each video


def test_writing_again_changes_nothing_and_other_settings_are_refused(tmp_path):
    root = tmp_path / "toy"
    assert write_toy(root, SMALL, height=32, width=48)
    before = {path: os.stat(path).st_mtime_ns for path in root.rglob("*")}
    assert not write_toy(root, SMALL, height=32, width=48)
    other = {"train": 3, "val": 1}
    differ = "seed 0, not 1; traps none, not dash_id; clips of train 2, not 3; clips of test 1, not absent; "
    differ += "clips of val absent, not 1"
    with pytest.raises(FileExistsError, match=rf"other settings \({differ}\); choose another folder, or delete it"):
        write_toy(root, other, seed=1, height=32, width=48, traps=["dash_id"])
    assert {path: os.stat(path).st_mtime_ns for path in root.rglob("*")} == before


def test_a_setting_that_a_world_does_not_tell_is_said_as_such(tmp_path):
    settings = {"layout": "a2d", "seed": 0, "clips": SMALL, "height": 32, "width": 48}
    (tmp_path / "toy_world.json").write_text(json.dumps({"settings": settings}), encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"other settings \(traps absent, not none\);"):
        write_toy(tmp_path, SMALL, height=32, width=48)
    with pytest.raises(FileExistsError, match="level 1, not 2; seed 0, not 7; traps absent, not none; version absent"):
        write_toy(tmp_path, SMALL, seed=7, height=32, width=48, level=2)


def test_of_two_writers_at_once_the_slower_finds_the_same_world_there_or_another(tmp_path, monkeypatch):
    root, draw = tmp_path / "toy", write.clip_of

    def overtaken(place):
        monkeypatch.setattr(write, "clip_of", draw)
        write_toy(root, SMALL, height=32, width=48)
        return draw(place)

    monkeypatch.setattr(write, "clip_of", overtaken)
    assert not write_toy(root, SMALL, height=32, width=48)
    before = files(root)
    shutil.rmtree(root)
    monkeypatch.setattr(write, "clip_of", overtaken)
    with pytest.raises(FileExistsError, match="already holds a toy world with other settings"):
        write_toy(root, SMALL, seed=1, height=32, width=48)
    assert files(root) == before and os.listdir(tmp_path) == ["toy"]


def test_nothing_foreign_is_touched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "toy.part").mkdir()
    (tmp_path / "toy.part" / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    before = files(tmp_path)
    for target, said in (
        ("mine", "already holds something else"),
        ("file", "already"),
    ):
        with pytest.raises(FileExistsError, match=said):
            write_toy(tmp_path / target, SMALL, height=32, width=48)
    write_toy(tmp_path / "toy", SMALL, height=32, width=48)
    assert {name: content for name, content in files(tmp_path).items() if not name.startswith("toy/")} == before


def test_an_interrupted_run_leaves_nothing_and_the_next_one_fills_an_empty_folder(tmp_path, monkeypatch):
    import dtse_core.data.toy.layouts.a2d as module

    def failing(path, frames, fps, mark=None):
        raise KeyboardInterrupt if "clips320H" in str(path) else AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_video", failing)
        with pytest.raises(KeyboardInterrupt):
            write_toy(tmp_path / "toy", SMALL, height=32, width=48)
    assert not list(tmp_path.iterdir())
    (tmp_path / "toy").mkdir()  # empty, as mktemp makes it
    assert write_toy(tmp_path / "toy", SMALL, height=32, width=48)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"clips": {"training": 3}}, "unknown split 'training'; the toy world has train, val"),
        ({"clips": {"train": -1}}, "at least one clip"),
        ({"clips": {"train": 0}}, "at least one clip"),
        ({"clips": {"train": 1}, "height": 33}, "33x144 pixels; expected even"),
        ({"clips": {"train": 1}, "seed": -4}, "seed is -4"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, said):
    with pytest.raises(ValueError, match=said):
        write_toy(tmp_path / "toy", **settings)
    assert not list(tmp_path.iterdir())


def test_the_loader_copes_with_every_quirk(tmp_path):
    root, clips = tmp_path / "toy", {"train": 3, "val": 1, "test": 1}
    write_toy(root, clips, seed=2, height=32, width=48, traps=["all"])
    text = (root / NOTES / "a2d_annotation.txt").read_text(encoding="utf-8")
    assert "1 (copy)" in text and '"' in text and "  " in text and any(c.isupper() for c in text.split("\n", 1)[1])
    with open(root / "Release" / "videoset.csv", newline="", encoding="utf-8") as file:
        videos = [row[0] for row in csv.reader(file)]
    missed = (root / NOTES / "a2d_missed_videos.txt").read_text(encoding="utf-8").split()
    assert videos[0] == "NA" and videos[1].startswith("-") and missed == videos[-1:]
    toy = json.loads((root / "toy_world.json").read_text(encoding="utf-8"))
    train = A2DSentences(root, "train")
    assert {s.video for s in train.samples} == set(videos[:3]) == set(toy["splits"]["train"])
    for k, sample in enumerate(train.samples):
        assert sample.query == clean_expression(sample.query) and train[k].evidence in EVIDENCE
    (root / "toy_world.json").unlink()  # now it is what the genuine data is
    train, test = A2DSentences(root, "train"), A2DSentences(root, "test")
    assert {s.video for s in train.samples} == set(videos[:3])
    assert {s.video for s in test.samples} == set(videos[3:5])
    assert train[0].evidence is None and train[0].twin_mask is None


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the script in this process: its status, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, arguments)])
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "160")
    return call


SETTINGS = ("--layout", "a2d", "--train", 1, "--test", 1, "--height", 32, "--width", 48, "--workers", 1)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**32])
def test_a_seed_that_no_world_has_is_refused_alike_by_the_script_the_settings_and_both_worlds(tmp_path, run, seed):
    said = f"seed is {seed}; it must be 0 to 2147483647"
    code, _, error = run(*SETTINGS, "--seed", seed, "--out", tmp_path / "toy")
    assert (code, error) == (1, f"error: {said}\n")
    for make in (lambda: DataConfig(toy_seed=seed), lambda: ToyWorld(seed=seed), lambda: DiagnosticWorld(seed=seed)):
        with pytest.raises(ValueError, match=said):
            make()


def test_the_script_writes_once_and_explains_itself(tmp_path, run):
    out = tmp_path / "deep" / "toy"
    (first, wrote, _), (second, left, _) = run(*SETTINGS, "--out", out), run(*SETTINGS, "--out", out)
    assert (first, second) == (0, 0)
    assert f"{out}: 5 clips, written" in wrote and "there with the same settings" in left
    for split in CLIPS:
        assert len(A2DSentences(out, split)) > 0
    _, help_text, _ = run("--help")
    for word in ("--layout", "--out", "--seed", "--train", "--test", "val, test, compositional", "a2d"):
        assert word in help_text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--layout", "coco"), "error: unknown layout 'coco'; known: a2d"),
        (("--height", "33"), "error: frames of 33x48"),
    ],
)
def test_the_script_says_what_is_wrong_in_one_line(tmp_path, run, arguments, said):
    status, _, error = run(*SETTINGS, *arguments, "--out", tmp_path / "toy")
    assert status == 1 and error.startswith(said) and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_stopped_script_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "--out", tmp_path / "toy", "--train", "400", "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143 and not list(tmp_path.iterdir())
