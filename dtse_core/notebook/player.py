"""A prediction in a notebook: played, saved with a button, asked for with an upload. Notebook: 12_your_own_video.

Where no front end can show controls (`DTSE_HEADLESS=1`, or no ipywidgets), the film is shown all the same, the files
are saved at once, and the panel stays away. Only what ipywidgets 7.7 and 8 have in common is used.
"""

import base64
import mimetypes
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..predict import ReferringVideoPredictor, notes_on_words
from ..shared.console import in_html, visible
from ..shared.files import MANIFEST, require_ours, written_whole
from ..video.export import PREDICTION, summary, write_prediction
from ..video.files import video_info
from ..video.overlay import MASK_COLORS
from .lesson import headless, progress

LARGEST = 8_000_000  # bytes of a film that is put into a page


def play(film: str | Path, expressions: Sequence[str] = ()) -> Any:
    """A film or a GIF inside the page, below it the color of each expression.

    The film becomes a part of the page; one of more than 8 MB is only named.
    """
    from IPython.display import HTML

    film = Path(film)
    if film.stat().st_size > LARGEST:
        return HTML(f"<p>{in_html(film.name)} has {film.stat().st_size / 1e6:.0f} MB, too much for a page.</p>")
    code = base64.b64encode(film.read_bytes()).decode()
    about = in_html(f"Overlay of: {', '.join(expressions)}")
    kind = mimetypes.guess_type(film.name.lower())[0] or "video/mp4"  # which also plays what has no name for its kind
    if kind == "image/gif":
        shown = f'<img alt="{about}" src="data:{kind};base64,{code}">'
    else:
        shown = (
            f'<video controls loop muted playsinline width="384" aria-label="{about}" '
            f'src="data:{kind};base64,{code}"></video>'
        )
    rows = "".join(
        f'<div><span style="color:{MASK_COLORS[k % len(MASK_COLORS)]}">&#9632;</span> {in_html(e)}</div>'
        for k, e in enumerate(expressions)
    )
    return HTML(f'<div class="tex2jax_ignore mathjax_ignore">{shown}{rows}</div>')  # a $ begins no formula


def keep(folder: str | Path, out: str | Path) -> list[str]:
    """Copies a prediction's folder to `out`, in place of an earlier prediction, and returns the files' names.

    Masks are one name an expression. Raises `FileExistsError` if `out` holds anything that is not a prediction.
    """
    folder, out = Path(folder), Path(out)
    require_ours(out, PREDICTION, folder=True, inputs=[folder])
    with written_whole(out, PREDICTION, folder=True) as part:
        shutil.copytree(folder, part, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
    files = sorted(f.name for f in out.iterdir() if f.is_file() and f.name != MANIFEST)
    masks = sorted((f for f in out.iterdir() if f.is_dir()), key=lambda f: int(f.name))
    return [f"{out}/{name}" for name in files] + [f"{out}/{f.name}/ {len(list(f.iterdir()))} masks" for f in masks]


def uploads(value: Any) -> dict[str, bytes]:
    """Names and contents from `FileUpload.value`: a dictionary in ipywidgets 7, a tuple in 8."""
    if isinstance(value, dict):
        return {name: bytes(one["content"]) for name, one in value.items()}
    return {one["name"]: bytes(one["content"]) for one in value}


def ask(predictor: ReferringVideoPredictor, out: str | Path, expressions: Sequence[str] = ()) -> Any:
    """A panel: a video to upload, sentences (one a line) and a button "Segment", below the predictor's `caution`.

    While it works it shows how many frames are done; then confidence and area of each sentence, the film and a button
    "Save". None without a front end.
    """
    if headless() or not find_spec("ipywidgets"):
        return None
    import ipywidgets as widgets
    from IPython.display import display

    scratch = tempfile.TemporaryDirectory()  # goes with the panel
    chosen = widgets.FileUpload(accept="video/*", multiple=False)
    text = widgets.Textarea("\n".join(expressions), placeholder="one sentence a line")

    def segment() -> None:
        given = uploads(chosen.value)
        if not given:
            raise ValueError("choose a video first")
        name, content = list(given.items())[-1]
        video, folder = Path(scratch.name) / Path(name).name, Path(scratch.name) / "prediction"
        video.write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        sentences = [line for line in text.value.splitlines() if line.strip()] or [""]
        for note in notes_on_words(sentences, predictor.tokenizer):
            print(visible(note))
        info = video_info(video)
        steps = progress(predictor.stream(video, sentences, None), "frames", info.length)
        table = write_prediction(steps, sentences, folder, info.fps, video, predictor.about)
        print(visible(summary(sentences, table)))
        save = _button("Save", lambda: print("\n".join(keep(folder, out))))
        display(play(folder / "overlay.mp4", sentences), save)

    predictor.cautioned = True  # here, for as long as the panel stands
    caution = widgets.HTML(f"<b>{in_html(predictor.caution)}</b>")
    return widgets.VBox([caution, chosen, text, _button("Segment", segment)])


def _button(description: str, act: Callable[[], None]) -> Any:
    """A button above what `act` prints and displays; it is off while `act` runs. Errors are printed in a line."""
    import ipywidgets as widgets

    button, said = widgets.Button(description=description), widgets.Output()

    def clicked(_: Any) -> None:
        button.disabled = True
        said.clear_output()
        try:
            with said:
                try:
                    act()
                except (ValueError, OSError, ImportError) as error:
                    print(visible(f"error: {error}"))
        finally:
            button.disabled = False

    button.on_click(clicked)
    return widgets.VBox([button, said])
