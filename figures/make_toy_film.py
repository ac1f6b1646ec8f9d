"""Films of the toy world: one scene in which the mask follows each of its sentences in turn.

python figures/make_toy_film.py                                 figures/toy_world.gif, from the twins split
python figures/make_toy_film.py --split val --scene 4 --out F.gif
python figures/make_toy_film.py --strip F.png                   the window of three frames as a picture
"""

import argparse
from pathlib import Path

from dtse_core.data.toy.world import SPLITS, ToyWorld, render
from dtse_core.video.film import film_strip, use_style
from dtse_core.video.overlay import save_gif


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, default="twins")
    parser.add_argument("--scene", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("figures/toy_world.gif"))
    parser.add_argument("--strip", type=Path, help="write a film strip there instead")
    options = parser.parse_args()

    scene = ToyWorld(options.split, options.scene + 1, options.seed).scene(options.scene)
    said = {sentence.instance: sentence for sentence in scene.sentences}  # one sentence for each actor
    if options.strip:
        frames, ids = render(scene, (6, 12, 18), 144, 216)
        masks = [one == number for number in said for one in ids]
        titles = [title for sentence in said.values() for title in ("", sentence.text, "")]
        use_style()
        film_strip([*frames] * len(said), masks, titles, columns=3).savefig(options.strip)
        print(options.strip)
        return
    frames, ids = render(scene, range(scene.length), 192, 288)
    masks = [one == number for number in said for one in ids]
    captions = [sentence.text for sentence in said.values() for _ in ids]
    print(save_gif(options.out, [*frames] * len(said), masks, captions, fps=scene.fps, width=288, colors=64))


if __name__ == "__main__":
    main()
