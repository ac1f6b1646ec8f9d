"""Notebook 12 runs on the clips that people bring, and keeps what it says it keeps."""

import contextlib
import io
import json
from pathlib import Path

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from dtse_core import ReferringVideoPredictor
from dtse_core.video.files import video_info
from dtse_core.video.writing import write_video

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks/12_your_own_video.ipynb"
OTHERS = {"72b3937a", "d6a74495", "b865632a"}  # read no video


def run(**parameters: str) -> str:
    """Executes the notebook's code in this process with some parameters; what it printed."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in (c for c in cells if c["cell_type"] == "code" and c["id"] not in OTHERS):
            source = "".join(cell["source"])
            if "%pip" not in source:
                exec(compile(source, f"cell {cell['id']}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                assert set(parameters) <= set(names)
                names |= parameters
            plt.close("all")
    return printed.getvalue()


def frames(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def transport_stream(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg2video", 25, width=48, height=32, pix_fmt="yuv420p", options={"bf": "2"})
        for frame in frames(9):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))


def pictures(folder: Path) -> None:
    folder.mkdir()
    for name, frame in zip(("übung 7", "übung 8", "übung 10"), frames(3), strict=True):
        Image.fromarray(frame).save(folder / f"{name}.png")


def animation(path: Path) -> None:
    first, *others = map(Image.fromarray, frames(3, 33, 47))
    first.save(path, save_all=True, append_images=others, duration=100)


CLIPS = {  # name: how it is made, frames, seconds, sentences
    "one.mp4": (lambda path: write_video(path, frames(1), 8), 1, 1 / 8, "the dog"),
    "stream.ts": (transport_stream, 9, 9 / 25, "the dog"),
    "rate.mp4": (lambda path: write_video(path, frames(4), 8, times=[0, 0.1, 0.5, 0.6, 1.5]), 4, 1.5, "the dog"),
    "odd.gif": (animation, 3, 0.3, "the dog"),
    "кадры 帧": (pictures, 3, 3 / 25, "the dog"),
    "still.mp4": (lambda path: write_video(path, frames(1).repeat(3, 0), 8), 3, 3 / 8, ";the $5 dog; красная car ;;"),
}


@pytest.mark.parametrize("name", CLIPS)
def test_it_runs_on_ordinary_clips_named_by_a_relative_path(name, tmp_path, monkeypatch):
    make, length, seconds, sentences = CLIPS[name]
    make(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DTSE_HEADLESS", raising=False)  # as papermill alone runs it: no one presses a button
    printed = run(VIDEO=name, SENTENCES=sentences, OUT="kept.v2")
    kept = printed[printed.index("kept.v2/confidence.csv") :].splitlines()
    several = [s.strip() for s in sentences.split(";") if s.strip()]
    files = "confidence.csv", "expressions.txt", "overlay.gif", "overlay.mp4", "prediction.json"
    assert kept[:5] == [f"kept.v2/{file}" for file in files]
    assert kept[5 : 5 + len(several)] == [f"kept.v2/{k}/ {length} masks" for k in range(len(several))]
    for k in range(len(several)):
        own = (
            [file.stem for file in (tmp_path / name).iterdir()]
            if name.startswith("кадры")
            else map("{:05}".format, range(length))
        )
        assert sorted(file.stem for file in (tmp_path / "kept.v2" / str(k)).iterdir()) == sorted(own)
    overlay = video_info(tmp_path / "kept.v2/overlay.mp4")
    assert overlay.length == length and overlay.times[-1] == pytest.approx(seconds, abs=0.02)


def test_without_a_sentence_it_says_so_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^expression is \(\); it must be one sentence or more$"):
        run(SENTENCES=" ; ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_stops_it_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "letter.txt").touch()
    monkeypatch.setattr(ReferringVideoPredictor, "stream", None)  # the work
    with pytest.raises(FileExistsError, match=r"holds letter.txt"):
        run(OUT=str(tmp_path))
