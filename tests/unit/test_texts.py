"""Sentences and names in any script, and with signs that mean something elsewhere, come out as what they are."""

import html
import io
import itertools
import json
import os
import re
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from markdown_it import MarkdownIt
from matplotlib import font_manager
from nbformat.v4 import new_markdown_cell, new_notebook
from PIL import ImageFont

from dtse_core import predict, preset
from dtse_core.data.toy import __main__ as toy
from dtse_core.experiments import runner
from dtse_core.experiments.pages import comparison_page, page_of, write_index, write_page
from dtse_core.notebook.player import play
from dtse_core.notebook.plots import plot_confidence
from dtse_core.shared import markdown
from dtse_core.shared.files import as_text, read_json, write_json
from dtse_core.training.card import card
from dtse_core.video.film import film_strip, use_style
from dtse_core.video.letters import spelled, with_letters, wrapped
from dtse_core.video.overlay import legend
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


def test_a_command_whose_output_is_closed_does_its_work(tmp_path, monkeypatch):
    arguments = ["--out", str(tmp_path / "w"), "--train", "1", "--test", "0", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["world", *arguments])
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after >&-
    toy.main()
    assert (tmp_path / "w" / "toy_world.json").is_file()


def test_a_command_whose_folder_is_gone_says_so(tmp_path, monkeypatch, capsys):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["world", "--out", "w"])
    with pytest.raises(SystemExit):
        toy.main()
    assert "the current folder is gone; change to one that exists" in capsys.readouterr().err


@pytest.mark.parametrize("at_once", ["1", ""])
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["world", "--help"]])
def test_a_command_whose_reader_is_gone_ends_quietly(words, at_once):
    """As before `| head`, whether Python writes each text at once or all at its end; 141 is the status of SIGPIPE."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dtse_core", *words]
    environment = os.environ | {"PYTHONUNBUFFERED": at_once}
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize("word", ["--help", "--version"])
def test_a_full_disk_is_said_in_one_line(word):
    command = [sys.executable, "-u", "-m", "dtse_core", word]
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"error: [Errno 28] No space left on device\n")


def test_a_bug_keeps_its_traceback_though_the_reader_is_gone():
    read, write = os.pipe()
    os.close(read)
    code = "from dtse_core.shared.console import *\nwith plain_output(): print(1); raise KeyError('bug')"
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(write)
    assert ended.returncode and b"KeyError: 'bug'" in ended.stderr


def test_bytes_that_came_as_surrogates_are_text_again():
    assert as_text(ESCAPED) == "красная car" == as_text("красная car")
    assert as_text("caf\udce9") == "caf\ufffd" and as_text("a \ud83d dog") == "a ? dog"


def test_a_name_that_is_no_text_is_kept_in_json_and_readable_on_a_page(tmp_path):
    write_json(tmp_path / "a.json", {"source": "caf\udce9"}, "source")
    assert read_json(tmp_path / "a.json") == {"source": "caf\udce9"}
    assert "caf\ufffd" in write_page(tmp_path / "a.html", "caf\udce9").read_text(encoding="utf-8")


def obeyed(text: str) -> set[str]:
    """The characters of a text that a terminal, a browser or a font would obey, by Unicode's own tables."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    controls = {c for c in text if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    return controls | {c for c in text if unicodedata.bidirectional(c) in turning}


EVIL = "a \u202egod\u2069 \u2066é\x1b[31m\x07\x9b<i> b"
SPELLED = r"a \u202egod\u2069 \u2066é\x1b[31m\x07\x9b"


def pages(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """What the package makes of a sentence, a title and a name, by place."""
    rows, said = [[EVIL, EVIL], [EVIL, EVIL]], {EVIL: [EVIL]}
    yield "report.html", write_page(tmp_path / "a.html", comparison_page(EVIL, EVIL, rows, said, {})).read_text("utf-8")
    yield "report.md", write_page(tmp_path / "a.md", "\n".join(markdown.table(rows))).read_text("utf-8")
    record = {"notebook": "04_x", "title": EVIL, "ok": False, "error": EVIL, "seconds": 1.0, "claims": 0}
    (tmp_path / "04_x.json").write_text(json.dumps(record), encoding="utf-8")
    yield "index.html", write_index(tmp_path).read_text("utf-8")
    yield "a lesson", page_of(new_notebook(cells=[new_markdown_cell(EVIL)]), "lesson")
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    yield "a film in a page", play(tmp_path / "a.gif", [EVIL]).data
    config = preset("tiny", out=EVIL, **{"data.val_split": "local-val"})
    yield "a card", card(config, torch.nn.Linear(1, 1), [])
    yield "a figure", spelled(EVIL)
    yield "a picture", " ".join(wrapped(EVIL, 12, 1e6)[0])


def test_no_page_and_no_picture_obeys_a_text(tmp_path):
    for place, shown in pages(tmp_path):
        plain = shown.replace("\\\\", "\\").replace("\\[", "[")  # as Markdown shows it
        assert obeyed(EVIL) and not obeyed(shown), place
        assert SPELLED in plain, place
        assert "<i>" not in shown.replace(r"\<i>", "") or place in ("a figure", "a picture", "a lesson"), place


def test_one_function_escapes_what_stands_in_a_page():
    root = Path(__file__).parents[2]
    files = [path for folder in ("dtse_core", "demo") for path in (root / folder).rglob("*.py")]
    found = [path.name for path in files if re.search(r"html\.escape|import escape\b", path.read_text("utf-8"))]
    assert found == ["console.py"] and len(files) > 100


@pytest.fixture(autouse=True)
def fonts_anew(monkeypatch):
    """What was found of fonts is forgotten; the system has none, and its figures' fonts are as they were afterwards."""
    with_letters.cache_clear()
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with plt.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("error", "Glyph")  # matplotlib warns of a missing letter, and draws a box
        yield
    plt.close("all")


@pytest.fixture
def system_font(tmp_path, monkeypatch):
    """A font of the system that has 视, a filled square, and no other letter."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord("视"): "square"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "square": (1000, 100)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "Squares.ttf")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "Squares.ttf")])


SENTENCES = ["a | b\n# c", "<script>1</script> &lt; & x", "*a* _b_ __c__ `d` [e](f)", "$x$ and ~~y~~", r"C:\_d\*e"]


@pytest.mark.parametrize("text", [*SENTENCES, "mean_iou", "50 % & more"])
def test_markdown_shows_a_text_as_it_is(text):
    shown = MarkdownIt().enable(["table", "strikethrough"]).render("\n".join(markdown.table([["head"], [text]])))
    (cell,) = re.findall("<td>(.*)</td>", shown)
    assert html.unescape(cell) == " ".join(text.split()) and "<" not in cell
    assert "$" not in re.sub(r"\\\$", "", markdown.escaped(text))


def test_markdown_leaves_alone_what_means_nothing():
    assert markdown.escaped("mean_iou of J&F > 50 %") == "mean_iou of J&F > 50 %"


def drawn(figure) -> bytes:
    figure.canvas.draw()
    return bytes(figure.canvas.buffer_rgba())


def titled(text: str, formulas: bool | None = None) -> bytes:
    """A title as it is drawn: as the package does it, or with matplotlib's own reading of formulas on or off."""
    figure = plt.figure(figsize=(4, 1))
    figure.text(0.1, 0.5, spelled(text) if formulas is None else text, parse_math=formulas is not False)
    return drawn(figure)


SIGNS = ["from $5 to $10", r"a_b^c \alpha & <b>", "$x$", r"\$1 and \$2", "100 % {of} # it ~"]


@pytest.mark.parametrize("text", SIGNS)
def test_signs_are_drawn_as_they_stand(text):
    assert titled(text) == titled(text, formulas=False)


def test_without_care_a_dollar_begins_a_formula():
    assert titled(SIGNS[0], formulas=True) != titled(SIGNS[0], formulas=False)


def test_every_sentence_has_its_line_in_the_legend_of_confidences():
    sentences = ["_under", "from $5 to $10", "красная собака", "σκύλος ελληνικός", "كلب أحمر", "车"]
    figure = plot_confidence(np.full((3, 6, 2), 0.5), sentences, range(3))
    drawn(figure)
    shown = [text.get_text().strip().replace(r"\$", "$") for text in figure.legends[0].get_texts()]
    assert shown == [*sentences[:5], "?"]


@pytest.mark.parametrize("text", ["un café", "красная собака", "σκύλος", "كلب", "כלב", "a “dog”"])
def test_letters_of_many_scripts_are_drawn_by_the_font_that_comes_with_matplotlib(text, capsys):
    kept, path = with_letters(text)
    assert kept == text and path == font_manager.findfont("DejaVu Sans") and capsys.readouterr().err == ""
    ink = {letter: bytes(ImageFont.truetype(path, 40).getmask(letter)) for letter in set(text)}
    assert bytes(ImageFont.truetype(path, 40).getmask("\ue000")) not in ink.values()  # the box of a missing letter
    drawn(film_strip(np.zeros((1, 8, 8, 3), np.uint8), titles=[text], sentence=text))


def test_letters_that_no_font_has_are_question_marks_and_said_once(capsys):
    strips = [legend([text], 200) for text in ("the 视频 dog", "the ?? dog")]
    legend(["the 视频 dog"], 300)
    note = capsys.readouterr().err
    assert note.count("note: no font found has the letters '视频'") == 1 and note.count("\n") == 1
    plain = wrapped("the ?? dog", 20, 500)[0]
    assert wrapped("the 视频 dog", 20, 500)[0] == plain and strips[0].shape == strips[1].shape
    drawn(film_strip(np.zeros((1, 8, 8, 3), np.uint8), titles=["视频"], sentence="视频\x07"))


def test_without_matplotlib_the_note_says_that_it_is_missing(monkeypatch, capsys):
    for name in ("matplotlib", "matplotlib.font_manager"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    assert with_letters.__wrapped__("der Hund läuft") == ("der Hund l?uft", "")
    assert capsys.readouterr().err.endswith("which pictures show as '?'; install matplotlib, which has fonts\n")


def test_a_font_of_the_system_is_taken_for_the_letters_that_it_has(system_font, capsys):
    strip = legend(["视视"], 240)
    assert capsys.readouterr().err == "" and (strip[:, 15:].max(-1) < 50).sum() > 100  # two black squares
    figure = film_strip(np.full((1, 8, 8, 3), 255, np.uint8), titles=["视"])
    assert (np.frombuffer(drawn(figure), np.uint8).reshape(-1, 4)[:, :3].max(-1) < 50).sum() > 30


@pytest.mark.parametrize("columns", [1, 5])
def test_long_sentences_lie_whole_within_their_figures(columns):
    long = "the large brown dog that walks slowly from the left side of the field while all others stand still " * 2
    use_style()
    film = film_strip(np.zeros((columns, 64, 96, 3), np.uint8), titles=[long] * columns, sentence=long)
    lines = plot_confidence(np.full((3, 3, 2), 0.5), [long, "собака" * 30, "the dog"], range(3))
    drawn(film), drawn(lines)
    titles = [ax._left_title for ax in film.axes]
    for figure, texts in ((film, [film._suptitle, *titles]), (lines, lines.legends[0].get_texts())):
        boxes = [text.get_window_extent() for text in texts]
        width, height = figure.canvas.get_width_height()
        assert all(0 <= b.x0 < b.x1 <= width and 0 <= b.y0 < b.y1 <= height for b in boxes)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("text", ["a dog and an extraordinarily-long-compound-word walk to the left", "собака" * 9])
def test_wrapped_lines_fit_and_keep_every_letter(text):
    lines, font = wrapped(text, 12, 120)
    assert len(lines) > 2 and "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 120 for line in lines)
    assert all(font.getlength(f"{a} {b.split()[0]}") > 120 for a, b in zip(lines, lines[1:], strict=False))
