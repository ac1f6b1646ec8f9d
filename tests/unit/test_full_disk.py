"""A disk that is full: each entrance says so in one line that names the file, and leaves nothing half written.

The disk is a real one, of memory, which only root can mount.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import papermill
import pytest
from test_comparison import made
from test_grid import grid_of, notebook
from test_obtain import Server

from dtse_core import evaluate, predict
from dtse_core.checkpoints.find import PACKAGED
from dtse_core.data.prepare import download
from dtse_core.data.prepare.manifest import keep, update
from dtse_core.data.prepare.unpack import extract
from dtse_core.data.toy import __main__ as toy
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.experiments import __main__ as experiments
from dtse_core.experiments import runner
from dtse_core.experiments.grid import carry_out
from dtse_core.experiments.report import write_report
from dtse_core.scoring import calibration
from dtse_core.video.files import EXAMPLE, read_frames
from dtse_core.video.frame_cache import video_frames
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


def fill(disk: Path, left: int = 0) -> dict[str, bytes]:
    """Leaves so many bytes, in whole pages, to others; returns what is on the disk now."""
    free = shutil.disk_usage(disk).free - left
    (disk / "mine").write_bytes(bytes(free))
    return there(disk)


def there(disk: Path) -> dict[str, bytes]:
    return {f.relative_to(disk).as_posix(): f.read_bytes() for f in disk.rglob("*") if f.is_file()}


def assert_told(capsys, disk: Path, name: str, before: dict[str, bytes]) -> None:
    """One line, with the name; on the disk is what was there."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ") and f"{disk / name}" in line and "No space left" in line, line
    assert "make room" in line
    assert there(disk) == before


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


def test_a_report(disk):
    runs, clips = made(1)
    before = fill(disk)
    with pytest.raises(OSError, match=f"{disk / 'report.md'} cannot be written .No space left on device.; make room"):
        write_report({"runs": runs, "clips": clips}, disk, "full", "a grid")
    assert there(disk) == before


def test_an_example_to_begin_with(disk, monkeypatch, capsys):
    before = fill(disk)
    run(monkeypatch, experiments.main, "start", disk)
    assert_told(capsys, disk, "own.ipynb", before)


@pytest.mark.parametrize("what", ["copies", "temporary files"])
def test_the_runner(disk, tmp_path, monkeypatch, capsys, what):
    """What a kernel would write is a copy here."""
    path, before = notebook(tmp_path, body="x = 1  # " + ROOM * 1024 * "x"), fill(disk)
    monkeypatch.setattr(papermill, "execute_notebook", lambda source, copy, *_, **__: shutil.copyfile(source, copy))
    if what == "copies":
        assert runner.main([str(path), "--out", str(disk / "out")]) == 2
        assert_told(capsys, disk, "out", before)
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        record = carry_out(grid_of(tmp_path).runs[0], str(path), str(tmp_path / "run"), 1, 1)
        assert not record["ok"] and re.fullmatch(rf".*{disk}.* cannot be written .No space left.*", record["error"])
        assert there(disk) == before


@pytest.mark.parametrize("known", [True, False], ids=["seen before", "filled meanwhile"])
def test_a_download(disk, monkeypatch, known):
    server = Server()
    server.files["film.zip"] = bytes(2 * ROOM * 1024)
    if not known:
        monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**40, 0, 2**40))
    try:
        with pytest.raises(OSError, match=rf"{disk}(?s:.)*make room") as error:
            download.download(server.url("film.zip"), disk / "film.zip")
        assert known or f"{disk / 'film.zip'} cannot be written" in str(error.value)
        assert not (disk / "film.zip").exists()
    finally:
        server.shutdown()
        server.server_close()


def test_sums_of_a_data_set(disk, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    before = fill(disk)
    noted, *_ = update(disk / "m.jsonl", tmp_path, ["a"], {}, False, map)
    with pytest.warns(UserWarning, match=f"{disk / 'm.jsonl'} cannot be written .No space left on device.; make room"):
        keep(disk / "m.jsonl", noted, True)
    assert there(disk) == before


def test_calibration_before_it_reads_a_weight(disk, monkeypatch, capsys):
    for file in (PACKAGED / "tiny").iterdir():
        if file.suffix == ".json" and file.stat().st_size < 6000:
            shutil.copy(file, disk)
    for name in ("model.safetensors", "tokenizer.json"):
        with open(disk / name, "wb") as hole:
            hole.truncate(2**20)
    before = fill(disk)
    run(monkeypatch, calibration.main, "--checkpoint", disk)
    assert_told(capsys, disk, "run.json", before)


def test_frames_that_are_kept(disk, clip):
    before = fill(disk)
    with pytest.raises(OSError, match=rf"{disk}/\S+ cannot be written .No space left on device.; make room"):
        video_frames(clip, [0], str(disk))
    assert there(disk) == before
