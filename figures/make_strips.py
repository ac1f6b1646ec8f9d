"""The page of film strips: every kind of sentence of the diagnostic world and its slices, as clips with their programs.

python -m figures.make_strips              writes docs/strips.md and figures/strips/
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from dtse_core.data.toy.level2.programs import to_json
from dtse_core.data.toy.level2.scene import Scene, render
from dtse_core.data.toy.level2.sentences import Sentence
from dtse_core.data.toy.level2.world import DiagnosticWorld
from dtse_core.metrics import dilate
from dtse_core.video.overlay import MASK

ROOT = Path(__file__).resolve().parents[1]
SIZE, FRAMES, COLUMNS, GAP = (160, 240), 8, 4, 4  # of a frame; of a strip
PAGE = """# The diagnostic world in pictures

Each strip shows eight frames of one clip, from its first to its last, row by row. The actors that the sentence below
refers to are outlined; a frame without an outline shows none of them. The clips are from the split `val` of
[the diagnostic world](diagnostic.md).

Under each sentence is its program: `a & b` selects actors that are both, `does(...)` actors that do something in the
course of the clip, `beside(...)` and similar words actors in that relation to another, `second(left, ...)` the second
from the left, `both(...)`, `all three(...)` and `all(...)` a group. Depth is 1 if a program mentions only its targets,
and one more for each step to other actors. `toy_world.json` lists the same programs.
"""
KINDS = {  # which of its clips in val, and what it asks for
    "appearance": (6, "Looks alone: kind and color."),
    "position": (4, "The outermost of a kind, in every frame."),
    "relation": (5, "An actor's place in relation to another, throughout the clip."),
    "action": (0, "What an actor does."),
    "direction": (8, "Where an actor goes."),
    "ordinal": (4, "Counting from a side, or by size or speed."),
    "comparison": (3, "The larger or smaller, the faster or slower."),
    "nested": (5, "A relation to another actor that has a description of its own."),
    "event": (5, "What changes: an actor stops, starts, turns around or is hidden, or is the first to do so."),
    "interaction": (7, "Who does what to whom; each role can be asked for."),
    "group": (8, "Several at once; the mask covers them all."),
    "none": (3, "Nothing fits, though all but one part of the sentence fits an actor: the right mask is empty."),
    "negation": (2, "An actor that does not do something, or does not have a color."),
}
SLICES = {  # which of its families in val, what it asks for, and some of its questions
    "guidance": (
        4,
        "First the words decide, then the scene. Families of this slice have no controls.",
        {0: "A scene", 1: "The same scene, one word exchanged", 2: "The first words, two colors exchanged"},
    ),
    "coherence": (
        3,
        "Only frames in order give the answer.",
        {0: "A scene", 2: "The same frames in the other order, the same words", 4: "The control asks by looks"},
    ),
    "granularity": (
        7,
        "The order of words decides.",
        {0: "A scene", 1: "The same scene, the same words in another order", 2: "The control asks by looks"},
    ),
    "scale": (
        3,
        "Only a comparison of sizes or speeds gives the answer.",
        {0: "A scene", 2: "The same words, two sizes exchanged", 4: "The control asks by looks"},
    ),
}


@dataclass(frozen=True)
class Strip:
    """A clip, a sentence about it, and where its picture lies in `figures/strips/`."""

    name: str
    scene: Scene
    sentence: Sentence
    what: str = ""  # its part in a family; "": in no slice

    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Its frames (n, H, W, 3) uint8, and whose each pixel is (n, H, W) uint8."""
        indices = np.linspace(0, self.scene.length - 1, FRAMES).round().astype(int).tolist()
        return render(self.scene, indices, *SIZE)

    def text(self) -> str:
        """As it stands on the page."""
        said, whom = self.sentence, self.sentence.text if self.sentence.targets else "nobody"
        return (
            f"{self.what and f'*{self.what}:*'}\n\n"
            f"![Eight of {self.scene.length} frames; outlined: {whom}](../figures/strips/{self.name}.png)\n\n"
            f"**{said.text}**  \n`{readable(to_json(said.program))}`, depth {said.depth}"
        )


def readable(tree: list) -> str:
    """A program of `toy_world.json` in the notation of the page."""
    name, *parts = tree
    parts = [readable(part) if isinstance(part, list) else part for part in parts]
    if name == "and":
        return " & ".join(parts)
    if name in ("kind", "color"):
        return parts[0]
    if name == "nth":
        order, rank, of = parts
        return f"{('first', 'second', 'third')[rank]}({order}, {of})"
    if name == "only":
        name, parts = {2: "both", 3: "all three"}.get(parts[0], "all"), parts[1:]
    return f"{parts[0]}({parts[1]})" if name == "related" else f"{name}({parts[0]})"


def sections() -> Iterator[tuple[str, str, list[Strip]]]:
    """Heading, what is asked for, and the strips of each kind and each slice."""
    world = DiagnosticWorld("val")
    for k, (kind, (turn, about)) in enumerate(KINDS.items()):
        clip = world.clip(turn * len(KINDS) + k)
        yield f"## {kind}", about, [Strip(kind, clip.scene, clip.sentences[0])]
    for name, (number, about, shown) in SLICES.items():
        family = world.family(name, number)
        strips = [Strip(f"{name}_{k}", family[k].scene, family[k].sentence, what) for k, what in shown.items()]
        yield f"## The slice {name}", about, strips


def outlined(frame: np.ndarray, ids: np.ndarray, targets: tuple[int, ...]) -> np.ndarray:
    """A frame (H, W, 3) with a line around the targets, white and then vermilion; thin on others, so that they show."""
    mask = np.isin(ids, targets)
    near, free, out = dilate(mask, 1) & ~mask, ids == 0, frame.copy()
    out[dilate(mask, 3) & free | near] = ImageColor.getrgb(MASK)
    out[near & free] = 255
    return out


def draw(strip: Strip, path: Path) -> None:
    frames, ids = strip.frames()
    (height, width), rows = SIZE, FRAMES // COLUMNS
    page = np.full((rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP, 3), 255, np.uint8)
    for k in range(FRAMES):
        y, x = k // COLUMNS * (height + GAP), k % COLUMNS * (width + GAP)
        page[y : y + height, x : x + width] = outlined(frames[k], ids[k], strip.sentence.targets)
    few = Image.fromarray(page).quantize(64, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def write(root: Path) -> None:
    """The page and its pictures below `root`."""
    folder, page = root / "figures/strips", [PAGE]
    for path in (folder, root / "docs"):
        path.mkdir(parents=True, exist_ok=True)
    for heading, about, strips in sections():
        page += [heading, about, *(strip.text() for strip in strips)]
        for strip in strips:
            draw(strip, folder / f"{strip.name}.png")
    (root / "docs/strips.md").write_text("\n\n".join(text.strip() for text in page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(ROOT)
