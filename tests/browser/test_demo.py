"""The demo in a browser: a clip goes in, outlines and confidences come out, and no other host hears of it."""

import os
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import pytest

from dtse_core.predict import CAUTION

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("DEMO_PYTHON", ROOT / ".venv-demo/bin/python"))  # Gradio's own environment
SENTENCE = "the dog walking towards the left"


def started(folder: Path, *options: str, **variables: str) -> tuple[subprocess.Popen, str]:
    """The demo on a free port, and its address."""
    assert PYTHON.exists(), f"{PYTHON} is missing; run make test-browser"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(folder / "gradio"), **variables}
    command = [PYTHON, ROOT / "demo/app.py", "--port", port, *options]
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        app = subprocess.Popen(
            command, cwd=folder, env=os.environ | own, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
        )
    said = app.stdout.readline()
    assert said == f"open http://127.0.0.1:{port}/; Ctrl-C ends it\n", (folder / "log.txt").read_text(encoding="utf-8")
    return app, said.split()[1].rstrip(";")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    app, address = started(tmp_path_factory.mktemp("demo"))
    yield app, address
    app.terminate()
    app.wait()


@pytest.fixture
def page(demo, browser):
    """The page, in a browser that reaches no other host; `page.asked` are those that it tried."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.asked = set()

    def local(route):
        host = urlsplit(route.request.url).hostname
        if host in ("127.0.0.1", None):
            route.continue_()
        else:
            page.asked.add(host)
            route.abort()

    page.route("**/*", local)
    page.goto(demo[1])
    page.get_by_role("button", name="Outline").wait_for()
    yield page
    page.close()


def answered(page) -> list[list[str]]:
    """The rows of the table that an answer brings."""
    page.get_by_role("button", name="Outline").click()
    page.locator("table td").first.wait_for(timeout=120_000)
    return [row.locator("td").all_inner_texts() for row in page.locator("tr:has(td)").all()]


def test_it_answers_for_the_packaged_clip_in_outlines_and_confidences(page, pictures, tmp_path):
    assert CAUTION[:60] in page.locator("#caution").inner_text()
    page.get_by_label("Sentences, one a line").fill(f"{SENTENCE}\n\nthe <b>zebra</b> or the bird")
    rows = answered(page)
    assert [row[1] for row in rows] == [SENTENCE, "the <b>zebra</b> or the bird"]
    assert 0.5 < float(rows[0][2]) <= 1 and 0 < float(rows[0][3].rstrip("%")) < 50
    assert "the model does not know" in page.get_by_text("zebra").last.inner_text()
    film = page.locator("video").last.get_attribute("src")
    page.screenshot(path=pictures / "answer.png", full_page=True)
    (tmp_path / "film.mp4").write_bytes(page.request.get(film).body())
    with av.open(str(tmp_path / "film.mp4")) as there, av.open(str(ROOT / "dtse_core/video/example.mp4")) as clip:
        shown, plain = ([f.to_ndarray(format="rgb24") for f in file.decode(video=0)] for file in (there, clip))
    assert len(shown) == len(plain) and np.mean(shown) < 0.7 * np.mean(plain)  # the rest is dimmed
    assert page.asked == set()


def test_what_is_less_confident_than_the_threshold_is_left_empty(page):
    page.get_by_label("Nothing fits below this confidence").first.fill("1")
    assert answered(page) == [["\N{BLACK SQUARE}", SENTENCE, "nothing fits"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "write 1 to 5 sentences"), ("zebra <zebra>", "<zebra>"), ("a\n" * 6, "found 6")],
)
def test_what_cannot_be_answered_is_said(page, text, said):
    page.get_by_label("Sentences, one a line").fill(text)
    page.get_by_role("button", name="Outline").click()
    page.get_by_text(said).first.wait_for(timeout=60_000)


def test_a_clip_that_is_too_long_or_not_one_is_refused(page, tmp_path):
    from dtse_core.video.writing import write_video

    write_video(tmp_path / "long.mp4", np.zeros((301, 32, 32, 3), np.uint8), 25)
    (tmp_path / "text.mp4").write_text("no film", encoding="utf-8")
    for name, said in (("long", "301 frames of 32 x 32; at most 300"), ("text", "text.mp4 cannot")):
        page.get_by_label("Clear").first.click()
        page.locator("input[type=file]").first.set_input_files(tmp_path / f"{name}.mp4")
        page.wait_for_timeout(2000)
        page.get_by_role("button", name="Outline").click()
        page.get_by_text(said).first.wait_for(timeout=60_000)
        assert "gradio/" not in page.get_by_text(said).first.inner_text()  # the folder of uploads


def test_it_listens_on_this_machine_alone(demo):
    import psutil

    listening = [c.laddr.ip for c in psutil.Process(demo[0].pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_space_needs_the_three_files_and_names_the_repository():
    address = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('Repository = "')[2].partition('"')[0]
    assert (ROOT / "demo/requirements.txt").read_text(encoding="utf-8") == f"dtse[data,demo] @ git+{address}\n"
    assert {path.name for path in (ROOT / "demo").iterdir()} - {"__pycache__"} == {
        "app.py",
        "README.md",
        "requirements.txt",
    }
