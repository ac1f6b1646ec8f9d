"""What the demo's button calls, without Gradio: each odd request ends in a line, and nothing in it takes effect."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dtse_core.video.files import EXAMPLE

APP = Path(__file__).resolve().parents[2] / "demo/app.py"


class Refused(Exception):
    """In the place of Gradio's own error."""


@pytest.fixture
def app(monkeypatch):
    """The demo's module, with as much of Gradio as it needs to be imported and to answer."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # which it sets, and is set back
    progress = SimpleNamespace(tqdm=lambda steps, **_: steps)
    parts = {"Blocks": object, "Progress": lambda: progress, "Error": lambda said, print_exception: Refused(said)}
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(**parts))
    spec = importlib.util.spec_from_file_location("demo_app", APP)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "demo_app", module)
    spec.loader.exec_module(module)
    return module


def said(app, tmp_path, *request) -> str:
    def stream(*_):
        raise ValueError("no \u202egod <b>")

    with pytest.raises(Refused) as refused:
        app.answering(SimpleNamespace(stream=stream), tmp_path)(*request)
    return str(refused.value)


def test_a_request_of_nothing_is_answered_by_a_line(app, tmp_path):
    clip = str(EXAMPLE)
    assert said(app, tmp_path, None, None, None) == "choose a clip first"
    assert said(app, tmp_path, clip, None, 0.5) == "write 1 to 5 sentences, one a line; found 0"
    assert said(app, tmp_path, clip, " \n", 0.5) == "write 1 to 5 sentences, one a line; found 0"
    for least, shown in ((None, "None"), ("a", "&#x27;a&#x27;"), (2.0, "2.0"), (float("nan"), "nan")):
        assert said(app, tmp_path, clip, "the dog", least).startswith(f"the least confidence is {shown}; it must be")


def test_an_error_and_an_answer_show_a_text_and_do_not_obey_it(app, tmp_path):
    assert said(app, tmp_path, str(EXAMPLE), "the dog", 0.5) == r"no \u202egod &lt;b&gt;"
    page = app.as_table(["\u202egod <b>"], [[0.5, 0.1]], ["note: \u2066 \x1b <i>"])
    assert r"<td>\u202egod &lt;b&gt;</td><td>0.50</td>" in page and r"<p>note: \u2066 \x1b &lt;i&gt;</p>" in page
