"""Checkpoints are found where they should be, and a missing one says where it was looked for."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest

from dtse_core.checkpoints import find as checkpoint
from dtse_core.checkpoints.find import checkpoint_folder, checkpoint_sha256, read_run_config
from dtse_core.config import preset, to_dict
from dtse_core.shared.files import write_json
from dtse_core.shared.versions import versions


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a folder with weights below an empty working directory, with no shipped checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "PACKAGED", tmp_path / "shipped")
    monkeypatch.setattr(checkpoint, "_download", lambda name: pytest.fail(f"asked the hub for {name}"))

    def make(name):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights of " + name.encode())
        return folder

    return make


def test_a_shipped_name_goes_before_a_folder_of_that_name(make):
    local = make("tiny")
    assert checkpoint_folder("tiny").resolve() == local
    shipped = make("shipped/tiny")
    assert checkpoint_folder("tiny") == shipped
    assert checkpoint_folder("./tiny").resolve() == local


def test_a_run_stands_for_its_final_weights(make):
    final = make("runs/a/final")
    make("runs/a/best")
    assert checkpoint_folder("runs/a").resolve() == final
    assert checkpoint_folder(final) == final
    assert checkpoint_folder("runs/a/best").name == "best"


def test_a_hub_name_is_downloaded_only_if_no_such_folder_exists(make, monkeypatch):
    there = make("downloaded")
    monkeypatch.setattr(checkpoint, "_download", lambda name: there if name == "someone/dtse" else pytest.fail(name))
    assert checkpoint_folder("someone/dtse") == there
    (there.parent / "someone/dtse").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="someone/dtse/final/model.safetensors$"):
        checkpoint_folder("someone/dtse")


def test_a_missing_checkpoint_names_the_places_looked_at(make, monkeypatch):
    with pytest.raises(FileNotFoundError, match="'small'.*shipped/small/model.*small/final/model") as error:
        checkpoint_folder("small")
    assert "\n" not in str(error.value)

    def offline(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(checkpoint, "_download", offline)
    with pytest.raises(FileNotFoundError, match="runs/a/model.*runs/a/final/model.*hub's runs/a"):
        checkpoint_folder("runs/a")
    with pytest.raises(FileNotFoundError, match="no checkpoint ''"):
        checkpoint_folder("")


def test_an_unfinished_run_says_so(make):
    best = make("run/best")
    with pytest.raises(FileNotFoundError, match="not finished, its best weights so far are run/best"):
        checkpoint_folder("run")
    shutil.rmtree(best)
    (best.parent / "run.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="resume its training"):
        checkpoint_folder("run")


def test_run_settings_survive_the_file(tmp_path):
    config = preset("tiny", **{"train.seed": 3, "data.size": (64, 80), "model.dilations": (1, 2)})
    write_json(tmp_path / "run.json", to_dict(config))
    assert read_run_config(tmp_path) == config


@pytest.mark.parametrize("text", ["{", "[]", '"tiny"', '{"train.sede": 1}', '{"model.window": 2}'])
def test_a_damaged_run_file_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json does not hold"):
        read_run_config(tmp_path)


def test_a_missing_run_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run.json is missing"):
        read_run_config(tmp_path)


def test_sha256_is_that_of_the_weights_file(make):
    folder = make("a")
    assert checkpoint_sha256(folder) == hashlib.sha256(b"weights of a").hexdigest()


def test_versions_name_the_libraries_and_the_commit():
    found = versions()
    import numpy
    import torch

    assert (found["numpy"], found["torch"]) == (numpy.__version__, torch.__version__)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkpoint.PACKAGED.parent, capture_output=True, text=True)
    assert found["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "deep" / "a.json"
    write_json(file, {"é": 1})
    assert json.loads(file.read_text(encoding="utf-8")) == {"é": 1}
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(file, bad)
    assert json.loads(file.read_text(encoding="utf-8")) == {"é": 1}
    assert list(file.parent.iterdir()) == [file]


def test_a_cut_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_json(file, 1)

    def cut(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(OSError, match="disk full"):
        write_json(file, 2)
    assert file.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [file]
