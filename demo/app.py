"""A page on which anyone tries a model: a clip and sentences in, outlines and confidences out.

    python demo/app.py --checkpoint RUN_OR_NAME

Needs the extra `demo`. The page is served to this machine alone unless `--host` or, in a Hugging Face Space, Gradio's
own variable says otherwise; nothing is shared, and nothing is reported to anyone.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
import gradio as gr

from dtse_core import ReferringVideoPredictor
from dtse_core.config import Allowed, Share, check_settings, checked
from dtse_core.predict import notes_on_words
from dtse_core.shared.console import in_html, one_line_errors, parse
from dtse_core.video.export import write_prediction
from dtse_core.video.files import EXAMPLE, video_info
from dtse_core.video.overlay import MASK_COLORS

FRAMES, SIDE, BYTES = 300, 1920, 50 * 2**20  # of a clip, at most
KEPT = 8  # answers that stay on the disk, so that the pages of others who wait still find theirs
INTRODUCTION = f"""# Which one is meant?
The object that a sentence describes is outlined in every frame, and the rest dimmed. A clip may have {FRAMES} frames of
at most {SIDE} pixels a side and {BYTES >> 20} MB; write up to {len(MASK_COLORS)} sentences, one a line."""


@dataclass(frozen=True)
class Command:
    """Open a page for one model."""

    checkpoint: str = os.environ.get("CHECKPOINT", "tiny")  # a run folder, a checkpoint folder, a hub name, or tiny
    device: str = "auto"  # cpu, cuda, cuda:1 ... or auto
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"  # fp16 for older GPUs, bf16 for what computes with it
    host: str = ""  # address to serve to; "": this machine alone, or what GRADIO_SERVER_NAME says
    port: Annotated[int, Allowed("0 to 65535", range(65536).__contains__)] = 0  # 0: the first free one from 7860 on

    def __post_init__(self) -> None:
        check_settings(self)


def sentences_of(text: str | None) -> list[str]:
    """Its lines that are not empty. Raises `ValueError` if there are none, or too many to tell apart by color."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not 1 <= len(lines) <= len(MASK_COLORS):
        raise ValueError(f"write 1 to {len(MASK_COLORS)} sentences, one a line; found {len(lines)}")
    return lines


def require_small(clip: str | None) -> str:
    """The clip, if there is one that an answer can be waited for. Raises `ValueError` if not."""
    if not clip:
        raise ValueError("choose a clip first")
    if (size := Path(clip).stat().st_size) > BYTES:
        raise ValueError(f"the clip has {size >> 20} MB; at most {BYTES >> 20} are taken here")
    info = video_info(clip)
    if info.length > FRAMES or max(info.height, info.width) > SIDE:
        found = f"{info.length} frames of {info.width} x {info.height}"
        raise ValueError(f"the clip has {found}; at most {FRAMES} of {SIDE} a side are taken here: cut it or shrink it")
    return clip


def answering(
    predictor: ReferringVideoPredictor, folder: Path
) -> Callable[[str | None, str | None, float], tuple[str, str]]:
    """What the button calls: clip, sentences and threshold in, the file of the film and an HTML table out."""
    written: deque[Path] = deque()

    def answer(clip: str | None, text: str | None, least: float, progress=gr.Progress()) -> tuple[str, str]:  # noqa: B008
        try:
            clip, sentences = require_small(clip), sentences_of(text)
            info = video_info(clip)
            predictor.least = checked("the least confidence", least, Share)
            steps = progress.tqdm(predictor.stream(clip, sentences, None), total=info.length, unit="frames")
            film = folder / f"{len(written) and int(written[-1].stem) + 1}.mp4"
            table = write_prediction(steps, sentences, film, info.fps, clip)
        except (ValueError, OSError) as error:
            said = str(error).replace(f"{Path(clip or '').parent}{os.sep}", "")  # not where it lies here
            raise gr.Error(in_html(said), print_exception=False) from error
        written.append(film)
        if len(written) > KEPT:
            written.popleft().unlink()
        return str(film), as_table(sentences, table.tolist(), [*notes_on_words(sentences, predictor.tokenizer)])

    return answer


def as_table(sentences: list[str], table: list[list[float]], notes: list[str]) -> str:
    """Each sentence with its color, mean confidence and mean share of the frame, and notes below."""
    rows = "".join(
        f'<tr><td style="color:{color}" aria-hidden="true">&#9632;</td><td>{in_html(sentence)}</td>'
        + (f"<td>{confidence:.2f}</td><td>{area:.1%}</td></tr>" if area else '<td colspan="2">nothing fits</td></tr>')
        for color, sentence, (confidence, area) in zip(MASK_COLORS, sentences, table, strict=False)
    )
    head = "<tr><th></th><th>sentence</th><th>confidence</th><th>share of the frame</th></tr>"
    return f"<table>{head}{rows}</table>" + "".join(f"<p>{in_html(note)}</p>" for note in notes)


def page(predictor: ReferringVideoPredictor, folder: Path) -> gr.Blocks:
    """The page; films are written to `folder`."""
    predictor.cautioned = True  # the page says it
    with gr.Blocks(title="dtse", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown(INTRODUCTION)
        if predictor.caution:
            gr.Markdown(f"**Note:** {predictor.caution}", elem_id="caution")
        with gr.Row():
            with gr.Column():
                clip = gr.Video(str(EXAMPLE), label="Clip", sources=["upload"])
                text = gr.Textbox("the dog walking towards the left", label="Sentences, one a line", lines=3)
                least = gr.Slider(0, 1, predictor.least, step=0.01, label="Nothing fits below this confidence")
                button = gr.Button("Outline", variant="primary")
            with gr.Column():
                film, table = gr.Video(label="Answer", interactive=False), gr.HTML()
        # One at a time: the threshold is the predictor's.
        asked = {"inputs": [clip, text, least], "outputs": [film, table], "api_name": "outline"}
        button.click(answering(predictor, folder), **asked, concurrency_limit=1)
    return blocks.queue(max_size=16)


@one_line_errors
def main() -> None:
    """Command line."""
    c = parse(Command, "python demo/app.py", None, description=__doc__)
    predictor = ReferringVideoPredictor.from_pretrained(c.checkpoint, c.device, c.precision)
    with TemporaryDirectory() as folder:
        blocks = page(predictor, Path(folder))
        _, address, _ = blocks.launch(
            server_name=c.host or None,
            server_port=c.port or None,
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            max_file_size=BYTES,
            footer_links=["api"],
            theme=gr.themes.Default(font="system-ui", font_mono="monospace"),  # none from another host
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"open {address}; Ctrl-C ends it", flush=True)
        blocks.block_thread()


if __name__ == "__main__":
    main()
