"""Sentences and names in any script, and with signs that mean something elsewhere, come out as what they are."""

import io
import sys

import numpy as np
import pytest

from dtse_core import predict
from dtse_core.data.toy import __main__ as toy
from dtse_core.experiments import runner
from dtse_core.experiments.pages import write_page
from dtse_core.shared.files import as_text, read_json, write_json
from dtse_core.video.writing import write_video

ESCAPED = "красная car".encode().decode("ascii", "surrogateescape")  # as an ASCII system hands over an argument


def said(command, arguments: list, encoding: str, monkeypatch) -> bytes:
    """What a command shows on a console that knows few letters, on either stream."""
    shown = io.BytesIO()
    with monkeypatch.context() as patched:
        for stream in ("stdout", "stderr"):
            patched.setattr(sys, stream, io.TextIOWrapper(shown, encoding=encoding, write_through=True))
        patched.setattr(sys, "argv", ["command", *map(str, arguments)])
        command()
        return shown.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_predict_says_on_any_console_what_it_wrote(encoding, tmp_path, monkeypatch):
    video, out = tmp_path / "视频" / "é.mp4", tmp_path / "视频" / "masks"
    video.parent.mkdir()
    write_video(video, np.zeros((2, 32, 48, 3), np.uint8), fps=8)
    shown = said(predict.main, [video, ESCAPED, "a car, 车", "--out", out], encoding, monkeypatch)
    assert rb"a car, \u8f66" in shown and rb"\u89c6\u9891/masks" in shown
    assert (out / "expressions.txt").read_text(encoding="utf-8") == "0 красная car\n1 a car, 车\n"


def test_the_other_commands_do_so_too(tmp_path, monkeypatch):
    arguments = ["--out", tmp_path / "世界", "--train", 1, "--test", 0, "--workers", 1]
    assert rb"\u4e16\u754c: 1 clips, written" in said(toy.main, arguments, "ascii", monkeypatch)
    shown = said(lambda: runner.main([str(tmp_path / "笔记.ipynb")]), [], "ascii", monkeypatch)
    assert rb"\u7b14\u8bb0.ipynb" in shown


def test_bytes_that_came_as_surrogates_are_text_again():
    assert as_text(ESCAPED) == "красная car" == as_text("красная car")
    assert as_text("caf\udce9") == "caf\ufffd" and as_text("a \ud83d dog") == "a ? dog"


def test_a_name_that_is_no_text_is_kept_in_json_and_readable_on_a_page(tmp_path):
    write_json(tmp_path / "a.json", {"source": "caf\udce9"}, "source")
    assert read_json(tmp_path / "a.json") == {"source": "caf\udce9"}
    assert "caf\ufffd" in write_page(tmp_path / "a.html", "caf\udce9").read_text(encoding="utf-8")
