"""What strangers' files and names must not get: other files, the terminal, the network, all memory."""

import json
import os
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from PIL import Image

from dtse_core import ReferringVideoPredictor, preset
from dtse_core.checkpoints.find import FILES, PACKAGED, read_tokenizer
from dtse_core.config import DataConfig
from dtse_core.data.a2d import read_masks
from dtse_core.data.build import build_dataset
from dtse_core.data.toy.cache import KeptToyWorld
from dtse_core.data.toy.level2.edition import read_sums
from dtse_core.experiments.run import _cluster
from dtse_core.metrics import region_similarity
from dtse_core.shared import images
from dtse_core.shared.console import one_line_errors
from dtse_core.shared.files import LONGEST, written_whole
from dtse_core.train import train
from dtse_core.video.files import video_info
from dtse_core.video.writing import write_video

TINY = PACKAGED / "tiny"


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "copy"))


@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_s_file_may_be_a_link_to_the_hub_s_blobs_and_to_nothing_else_outside(tmp_path, name):
    folder = Path(shutil.copytree(TINY, tmp_path / "models--a--b" / "snapshots" / "0123"))
    (blobs := tmp_path / "models--a--b" / "blobs").mkdir()
    for place in (blobs / "abc", tmp_path / "elsewhere"):
        shutil.copy(TINY / name, place)
        (folder / name).unlink()
        (folder / name).symlink_to(os.path.relpath(place, folder))
        if place.parent == blobs:
            ReferringVideoPredictor.from_pretrained(folder, "cpu")
    with pytest.raises(ValueError, match=f"{folder / name} is a link to {place}, outside its folder; copy the file"):
        ReferringVideoPredictor.from_pretrained(folder, "cpu")


LOWER = {"type": "Lowercase"}
DOUBLE = {"type": "Replace", "pattern": {"String": "o"}, "content": "oo"}


@pytest.mark.parametrize(
    ("part", "step"),
    [
        ("normalizer", DOUBLE),
        ("normalizer", {"type": "Sequence", "normalizers": [LOWER, DOUBLE]}),
        ("normalizer", {"type": "Prepend", "prepend": "a " * 9}),
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(.*)*$"}, "behavior": "Isolated", "invert": False}),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "Unheard"}]}),
    ],
)
def test_a_tokenizer_has_the_steps_of_a_bert_and_none_that_runs_without_end(copy, part, step):
    tokenizer = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    for good in (None, LOWER | {"type": "Sequence", "normalizers": [LOWER]}) if part == "normalizer" else ():
        (copy / "tokenizer.json").write_text(json.dumps(tokenizer | {part: good}), encoding="utf-8")
        read_tokenizer(copy)
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer | {part: step}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"tokenizer.json does not hold a tokenizer: its {part} is '"):
        read_tokenizer(copy)


@pytest.mark.parametrize("batch", [-1, 0, 1.5, "4", True, 2**20, float("nan")])
def test_a_batch_that_cannot_be_is_refused(batch):
    predictor = ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    with pytest.raises(ValueError, match="batch is .*; it must be"):
        predictor.stream(np.zeros((2, 8, 8, 3), np.uint8), "the dog", batch)


def test_a_stream_counts_the_masks_that_its_threshold_empties():
    predictor = ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    video = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), np.uint8)
    marked = sum(step.masks.any() for step in predictor.stream(video, "the dog"))
    assert marked and predictor.emptied == 0
    predictor.least = 1.0
    assert not any(step.masks.any() for step in predictor.stream(video, "the dog")) and predictor.emptied == marked


@pytest.mark.parametrize("error", [False, True])
def test_a_terminal_shows_control_characters_and_does_not_obey_them(error, capsys):
    evil = "a\x1b]0;title\x07\x1b[2J\x9b31m\x08\u202egnp.\u2069é猫\tb"

    @one_line_errors
    def command():
        if error:
            raise ValueError(evil)
        print(evil, f"{evil}\r\x1b[A", sep="\n", file=sys.stderr)
        print(evil)

    try:
        command()
    except SystemExit as end:
        assert end.code == 1
    said = capsys.readouterr()
    shown = r"a\x1b]0;title\x07\x1b[2J\x9b31m\x08\u202egnp.\u2069é猫"
    assert shown in said.err and (error or f"{shown}\tb\n" == said.out)
    assert not {c for c in said.out + said.err.replace("\r\x1b[A", "") if ord(c) < 32 or 127 <= ord(c) < 160} - {
        *"\n\t"
    }


def test_the_dashboards_of_a_grid_listen_on_this_machine_alone():
    with _cluster(1, ""):
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [c.laddr.ip for process in family for c in process.net_connections() if c.status == "LISTEN"]
    assert listening and set(listening) <= {"127.0.0.1", "::1"}


def annotation(path: Path, masks: np.ndarray, **options) -> Path:
    with h5py.File(path, "w") as file:
        file["instance"] = np.zeros(1)
        file.create_dataset("reMask", data=masks, **options)
    return path


def test_masks_that_lie_in_other_files_are_not_fetched(tmp_path):
    good = annotation(tmp_path / "good.h5", np.ones((6, 4)))
    assert read_masks(good, [0], (4, 6))[0].all()
    for name, link in (("soft", h5py.SoftLink("/instance")), ("far", h5py.ExternalLink("good.h5", "/reMask"))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["instance"], file["reMask"] = np.zeros(1), link
        with pytest.raises(ValueError, match=f"{name}.h5: 'reMask' is a link, which nobody follows"):
            read_masks(tmp_path / f"{name}.h5", [0], (4, 6))
    (tmp_path / "secret").write_bytes(bytes(range(24)))
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file["instance"] = np.zeros(1)
        file.create_dataset("reMask", (6, 4), "u1", external=[(str(tmp_path / "secret"), 0, 24)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((6, 4), "f8")
        layout[:] = h5py.VirtualSource("good.h5", "reMask", (6, 4))
        file["instance"] = np.zeros(1)
        file.create_virtual_dataset("reMask", layout)
    for name in ("outside", "virtual"):
        with pytest.raises(ValueError, match=f"{name}.h5: 'reMask' lies in other files, which nobody opens"):
            read_masks(tmp_path / f"{name}.h5", [0], (4, 6))


def test_a_piece_that_unpacks_to_far_more_than_a_mask_is_refused_unread(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file["instance"] = np.zeros(1)
        file.create_dataset("reMask", (6, 4), "u1", maxshape=(None, None), chunks=(2**14, 2**14), compression="gzip")
    with pytest.raises(ValueError, match=r"bomb.h5: 'reMask' is packed in pieces of \(16384, 16384\), too large"):
        read_masks(tmp_path / "bomb.h5", [0], (4, 6))


def test_nan_is_neither_inside_nor_outside_of_a_mask(tmp_path):
    masks = np.ones((6, 4))
    for value in (np.inf, np.nan):
        masks[2, 1] = value
        with pytest.raises(ValueError, match=f"{value}.h5: a mask holds NaN or infinity"):
            read_masks(annotation(tmp_path / f"{value}.h5", masks), [0], (4, 6))
    with pytest.raises(ValueError, match="a mask holds NaN"):
        region_similarity(masks, np.ones((6, 4), bool))


def test_pictures_and_frames_have_a_largest_size(tmp_path, monkeypatch):
    Image.new("L", (600, 400)).save(tmp_path / "a.png")
    video = write_video(tmp_path / "a.mp4", np.zeros((1, 400, 600, 3), np.uint8), 5)
    for size, refused in ((240_000, False), (239_999, True)):
        monkeypatch.setattr(images, "PIXELS", size)
        monkeypatch.setattr("dtse_core.video.decoding.PIXELS", size)
        for read, file in ((images.read_rgb, tmp_path / "a.png"), (video_info, video)):
            if refused:
                with pytest.raises(ValueError, match=rf"{file} .*\b600 x 400 pixels; scale it down"):
                    os.utime(file)  # what is known of it is kept until it changes
                    read(file)
            else:
                read(file)


SUM = "A" * 64


@pytest.mark.parametrize(
    "line", [f"{SUM}  ../x", f"{SUM}  a/../../x", f"{SUM}  /x", f"{SUM} x", f"{SUM[1:]}g  x", "", f"{SUM}  a"]
)
def test_sums_of_other_places_and_of_a_file_listed_twice_are_refused(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(f"{SUM}  a\n", encoding="utf-8")
    assert read_sums(tmp_path) == {"a": SUM.lower()}
    (tmp_path / "SHA256SUMS").write_text(f"{SUM}  a\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"SHA256SUMS: line 2, '.*', is not the SHA-256 of one more file below it"):
        read_sums(tmp_path)


def test_a_cache_that_is_a_file_is_said_before_the_work_and_no_clips_are_none(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=f"{tmp_path / 'file'} is a file, so that .* cannot be written"):
        build_dataset(DataConfig(cache=str(tmp_path / "file")), "val", 3)
    world = KeptToyWorld(tmp_path / "kept", "val", 2, height=32, width=48)
    assert world.several(0, 0) == [] and len(world.several(0, 2)) == 2 and world.several(0, 0) == []


def test_a_name_as_long_as_may_be_is_written(tmp_path):
    for name in ("x" * LONGEST, "é" * (LONGEST // 2)):
        with written_whole(tmp_path / name, "") as part:
            part.write_text("there", encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == "there"


def test_a_command_that_is_corrected_takes_the_folder_of_the_refused_one(tmp_path, monkeypatch):
    small = {"data.size": (32, 48), "data.toy_clips": 4, "train.batch": 2, "train.steps": 1, "train.eval_samples": 2}
    with pytest.raises(FloatingPointError):  # seen in the first step alone
        train(preset("tiny", out=tmp_path / "run", **small, **{"model.gate_init": 1e30}), False)
    final = train(preset("tiny", out=tmp_path / "run", **small), False)
    with pytest.raises(ValueError, match="holds a run with other settings"):
        train(preset("tiny", out=tmp_path / "run", **small, **{"train.seed": 1}), False)
    assert (final / "model.safetensors").is_file()
