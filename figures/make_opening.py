"""The film that opens notebook 00: one clip, three sentences, and the mask follows the words.

python -m figures.make_opening            writes figures/opening.gif and attaches it to the notebook
"""

import base64
from pathlib import Path

import nbformat
import numpy as np

from dtse_core import ReferringVideoPredictor
from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.metrics import region_similarity
from dtse_core.video.overlay import save_gif

NOTEBOOK = "00_start_here"
SENTENCES = {"the black car": 2, "the white car": 3, "the cat": 1}  # and the object that each means
SHOWN = slice(3, 16, 3)  # frames in which all three objects are in view


def draw_opening(path: Path) -> dict[str, float]:
    """Writes the film; returns how well each sentence's masks cover its object (mean IoU over the frames)."""
    scene = ToyWorld("val").scene(80)
    frames, objects = render(scene, range(scene.length), height=192, width=288)
    results = ReferringVideoPredictor.from_pretrained("tiny", device="cpu").segment(frames, list(SENTENCES))
    masks = np.concatenate([r.masks[SHOWN] for r in results])
    captions = [r.expression for r in results for _ in frames[SHOWN]]
    save_gif(path, [*frames[SHOWN]] * len(results), masks, captions, fps=4, width=224, colors=16)
    truth = [objects == k for k in SENTENCES.values()]
    return {
        r.expression: float(np.mean([region_similarity(a, b) for a, b in zip(r.masks[SHOWN], t[SHOWN], strict=True)]))
        for r, t in zip(results, truth, strict=True)
    }


def attach(film: Path, notebook: Path) -> None:
    """Puts the film into the cell that shows `attachment:opening.gif`."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if f"](attachment:{film.name})" in cell.source:
            cell["attachments"] = {film.name: {"image/gif": base64.b64encode(film.read_bytes()).decode()}}
    nbformat.write(content, notebook)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    print(draw_opening(here / "opening.gif"))
    if (notebook := here.parent / f"notebooks/{NOTEBOOK}.ipynb").is_file():
        attach(here / "opening.gif", notebook)
