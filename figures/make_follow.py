"""The README's animation: the shipped model follows several sentences through clips of the toy world.

python figures/make_follow.py                       figures/follow.gif
python figures/make_follow.py --scenes 3 8 --out F.gif

Twins may walk backward, so that no single frame tells which way they go. In the scenes shown unless others are named,
everybody faces where it goes.
"""

import argparse
from pathlib import Path

import numpy as np

from dtse_core import ReferringVideoPredictor
from dtse_core.data.toy.world import SPLITS, ToyWorld, render
from dtse_core.metrics import region_similarity
from dtse_core.video.overlay import save_gif


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--scenes", type=int, nargs="+", default=[5, 209])
    parser.add_argument("--out", type=Path, default=Path("figures/follow.gif"))
    options = parser.parse_args()

    predictor = ReferringVideoPredictor.from_pretrained(options.checkpoint, device="cpu")
    film, masks, captions = [], [], []
    for k in options.scenes:
        scene = ToyWorld(options.split, k + 1).scene(k)
        frames, ids = render(scene, range(scene.length), 192, 288)
        said = {sentence.instance: sentence for sentence in scene.sentences}  # one sentence for each actor
        results = predictor.segment(frames, [sentence.text for sentence in said.values()])
        for sentence, result in zip(said.values(), results, strict=True):
            film += list(frames)
            masks += list(result.masks)
            captions += [result.expression] * len(frames)
            truth = ids == sentence.instance
            iou = np.mean([region_similarity(*pair) for pair in zip(result.masks, truth, strict=True)])
            print(f"scene {k}: IoU {iou:.2f}  {sentence.text}")
    print(save_gif(options.out, film, masks, captions, fps=scene.fps, width=300, colors=64))


if __name__ == "__main__":
    main()
