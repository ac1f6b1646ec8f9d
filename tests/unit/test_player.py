"""The film in a page, the button that saves, and the upload of either ipywidgets."""

import base64
import re
import shutil
from datetime import datetime

import numpy as np
import pytest

from dtse_core import DTSE, ReferringVideoPredictor, preset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.notebook import player
from dtse_core.notebook.player import ask, keep, play, uploads
from dtse_core.video.export import write_prediction
from dtse_core.video.files import video_length
from dtse_core.video.writing import write_video
from tests.unit.test_export import make_steps


@pytest.fixture
def folder(tmp_path):
    write_prediction(make_steps(3), ["a <dog>", "b"], tmp_path / "prediction", 5)
    return tmp_path / "prediction"


@pytest.fixture
def front_end(monkeypatch):
    monkeypatch.setenv("DTSE_HEADLESS", "0")


MEDIA = {"overlay.mp4": "video/mp4", "overlay.gif": "image/gif", "a.GIF": "image/gif", "b.webm": "video/webm"}


@pytest.mark.parametrize("name", MEDIA)
def test_the_page_holds_the_film_whole_with_its_sentences(name, folder):
    if not (folder / name).exists():
        shutil.copy(folder / "overlay.gif", folder / name)  # what is inside makes no difference here
    media = MEDIA[name]
    page = play(folder / name, ["a <dog>", "b"]).data
    code = re.search(rf'src="data:{media};base64,([^"]+)"', page)[1]
    assert base64.b64decode(code) == (folder / name).read_bytes()
    assert "a &lt;dog&gt;" in page and "<dog>" not in page
    assert page.startswith('<div class="tex2jax_ignore mathjax_ignore">'), "no formula begins at a $"


def test_a_large_film_is_named_and_left_out(folder, monkeypatch):
    monkeypatch.setattr(player, "LARGEST", 10)
    assert "base64" not in (page := play(folder / "overlay.mp4").data) and "overlay.mp4 has" in page


def test_files_are_kept_in_place_of_an_earlier_prediction_alone(folder, tmp_path):
    names = keep(folder, tmp_path / "new" / "out")
    assert names == [
        *(f"{tmp_path}/new/out/{n}" for n in ("confidence.csv", "expressions.txt", "overlay.gif", "overlay.mp4")),
        *(f"{tmp_path}/new/out/{k}/ 3 masks" for k in (0, 1)),
    ]
    write_prediction(make_steps(2, sentences=1), ["c"], tmp_path / "second", 5)
    keep(tmp_path / "second", tmp_path / "new" / "out")
    kept = {str(f.relative_to(tmp_path / "new/out")) for f in (tmp_path / "new/out").rglob("*.png")}
    assert kept == {"0/00000.png", "0/00001.png"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(FileExistsError, match="mine is not an empty folder: it holds letter.txt"):
        keep(folder, tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_uploads_of_ipywidgets_7_and_8_are_read_alike():
    seven = {"a.mp4": {"metadata": {"name": "a.mp4", "size": 3}, "content": b"abc"}}
    eight = ({"name": "a.mp4", "type": "video/mp4", "size": 3, "content": memoryview(b"abc")},)
    assert uploads(seven) == uploads(eight) == {"a.mp4": b"abc"}
    assert uploads({}) == uploads(()) == {}


def test_the_panel_segments_an_upload(tmp_path, front_end, monkeypatch, capsys):
    import IPython.display

    config = preset("tiny", **{"data.size": (32, 48)})
    predictor = ReferringVideoPredictor(
        DTSE(config.model), load_tokenizer(config.model.text, config.data.level), config.data, "cpu"
    )
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *objects: shown.extend(objects))
    panel = ask(predictor, tmp_path / "out", ["the dog"])
    caution, chosen, text, segment = panel.children
    assert "only seen drawn cartoons" in caution.value
    segment.children[0].click()
    assert capsys.readouterr().out.endswith("error: choose a video first\n")
    clip = write_video(tmp_path / "clip.mp4", np.zeros((3, 20, 30, 3), np.uint8), 5)
    file = {"type": "", "size": 1, "last_modified": datetime(2026, 1, 1)}
    chosen.set_trait("value", (file | {"name": "../clip.mp4", "content": clip.read_bytes()},))
    text.value = "the dog\n\nthe striped ball\n"
    segment.children[0].click()
    said = capsys.readouterr()
    assert "note: the model does not know striped in 'the striped ball'" in said.out and said.err == ""
    assert re.search(r"frames: 100%.* 3/3 ", said.out), said.out
    assert re.search(
        r"confidence   area  expression\n +[01]\.\d{3} .*%  the dog\n +[01]\.\d{3} .*  the striped ball", said.out
    )
    film, save = shown
    assert "the striped ball" in film.data and "video/mp4" in film.data
    (tmp_path / "out").write_text("no folder", encoding="utf-8")
    save.children[0].click()
    assert capsys.readouterr().out.endswith(f"error: {tmp_path / 'out'} is a file; name a folder\n")
    (tmp_path / "out").unlink()
    save.children[0].click()
    assert f"{tmp_path}/out/overlay.mp4" in capsys.readouterr().out
    assert video_length(tmp_path / "out" / "overlay.mp4") == 3 and not save.children[0].disabled
    assert {"0", "1"} < {f.name for f in (tmp_path / "out").iterdir()}
    chosen.set_trait("value", (file | {"name": "a.mp4", "content": b"no video"},))
    segment.children[0].click()
    assert "error: " in (said := capsys.readouterr().out) and "cannot be decoded" in said


def test_the_panel_stays_away_without_a_front_end(monkeypatch, tmp_path):
    monkeypatch.setenv("DTSE_HEADLESS", "1")
    assert ask(None, tmp_path) is None
