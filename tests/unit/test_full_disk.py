"""A disk that is full: each entrance says so in one line that names the file, and leaves nothing half written.

The disk is a real one, of memory, which only root can mount.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_grid import grid_of, notebook

from dtse_core import evaluate, predict
from dtse_core.data.prepare.unpack import extract
from dtse_core.data.toy import __main__ as toy
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.experiments import __main__ as experiments
from dtse_core.video.files import EXAMPLE, read_frames
from dtse_core.video.writing import write_video
from tests.packing import tar_bytes

ROOM = 24  # KiB


@pytest.fixture
def disk(tmp_path):
    """A file system of so little room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", place]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a disk of little room")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    noise = read_frames(EXAMPLE, range(6)).repeat(2, 1).repeat(2, 2)
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", noise, 5)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world") / "mevis"
    write_toy(root, {"train": 1, "test": 2, "val": 1}, "mevis", seed=1, height=64, width=96)
    return root


def assert_told(capsys, disk: Path, name: str, there: dict[str, bytes]) -> None:
    """One line, with the name; on the disk is what was there."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ") and f"{disk / name}" in line and "No space left" in line, line
    assert "make room" in line
    assert {f.relative_to(disk).as_posix(): f.read_bytes() for f in disk.rglob("*") if f.is_file()} == there


def run(monkeypatch, main, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit, match="1"):
        main()


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "folder"])
def test_predict(disk, clip, name, monkeypatch, capsys):
    (disk / "mine").write_bytes(bytes(ROOM * 1024 - 9000))
    run(monkeypatch, predict.main, clip, "the dog", "--out", disk / name)
    assert_told(capsys, disk, name, {"mine": bytes(ROOM * 1024 - 9000)})


@pytest.mark.parametrize("option", ["json", "pictures", "save-masks"])
def test_evaluate(disk, world, option, monkeypatch, capsys):
    (disk / "mine").write_bytes(bytes(ROOM * 1024 - 4096))
    name = "result.json" if option == "json" else "folder"
    data = "--data.name", "mevis", "--data.root", world, "--split", "valid_u", "--batch", 64
    run(monkeypatch, evaluate.main, *data, f"--{option}", disk / name)
    assert_told(capsys, disk, name, {"mine": bytes(ROOM * 1024 - 4096)})


def test_the_toy_world(disk, monkeypatch, capsys):
    small = "--train", 1, "--test", 0, "--height", 64, "--width", 96, "--workers", 1
    (disk / "mine").write_bytes(bytes(ROOM * 1024 - 4096))
    run(monkeypatch, toy.main, "--out", disk / "toy", *small)
    assert_told(capsys, disk, "toy", {"mine": bytes(ROOM * 1024 - 4096)})


def test_tables_and_pages_of_a_grid(disk, tmp_path, monkeypatch, capsys):
    notebook(tmp_path)
    grid_of(tmp_path, seeds=[0])
    (disk / "mine").write_bytes(bytes(ROOM * 1024))
    run(monkeypatch, experiments.main, "collect", tmp_path / "g.json", "--out", tmp_path, "--tables", disk / "to")
    assert_told(capsys, disk, "to", {"mine": bytes(ROOM * 1024)})


def test_unpacking(disk, tmp_path):
    """Room is asked for before, and it may go meanwhile."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_bytes({"Release/a": bytes(1024), "Release/b": bytes(ROOM * 1024)}))
    with pytest.raises(ValueError, match=f"{archive} needs .* GiB in {disk}, where .* are free; make room"):
        extract(archive, disk, {"Release": "Release"})
