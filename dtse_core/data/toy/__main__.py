"""Write the toy world to disk in the genuine layout of a data set.

The world is drawn from a seed: cartoon actors that move, sentences that single one of them out, and masks. Loaders,
training and evaluation read it as they read the real data: give its folder as --data.root.

    python data_scripts/make_toy_world.py --layout a2d --out runs/toy_a2d
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config import Level, Seed, Side, Whole, Workers, check_settings
from ...shared.console import parse, plain_output, tell
from .layouts.write import write_toy
from .level2.slices import THEMES

HELD_OUT = {1: ("val", "test", "compositional", "twins"), 2: ("val", "test", *THEMES)}  # by level


@dataclass(frozen=True)
class Command:
    out: Path  # folder to write; it appears when it is complete. The same command again changes nothing
    layout: str = "a2d"  # whose: a2d, jhmdb, ref_davis, refer_youtube_vos or mevis, as --data.name takes them
    level: Level = 1  # 2: the diagnostic benchmark, which asks for abilities one by one
    edition: bool = False  # level 2: add hashes by which a copy is known; --train 20000 --val 500 --test 2000
    seed: Seed = 0  # which world; the same seed gives the same bytes
    train: Whole = 1500  # training clips
    test: Whole = 50  # clips in each of the splits val, test, compositional and twins; of level 2 in test
    val: Whole = 0  # clips in the other of these splits; of level 2 in val and each slice; 0: as many as in test
    height: Side = 96  # pixels of a frame; even
    width: Side = 144  # pixels of a frame; even. Scenes are made for 2 : 3
    traps: tuple[str, ...] = ()  # what is odd in the genuine files, by name, or all; a wrong name prints them
    workers: Workers = os.cpu_count() or 1  # processes that draw and encode; they do not change the result

    def __post_init__(self):
        check_settings(self)


def parse_command(arguments: Sequence[str] | None = None) -> Command:
    """The command line."""
    return parse(Command, "python data_scripts/make_toy_world.py", arguments, description=__doc__)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a stopped run tidies up
    try:
        with plain_output():
            c = parse_command()
            clips = {"train": c.train} | dict.fromkeys(HELD_OUT[c.level], c.val or c.test) | {"test": c.test}
            new = write_toy(c.out, clips, c.layout, c.seed, c.height, c.width, c.traps, c.workers, c.level, c.edition)
            print(f"{c.out}: {sum(clips.values())} clips, {'written' if new else 'there with the same settings'}")
            if c.level > 1:
                toy = json.loads((c.out / "toy_world.json").read_text(encoding="utf-8"))
                left = "{sentences} sentences, {clips} clips".format(**toy["left_out"])
                print(f"left out, as {c.layout} cannot say them: {left}")
                for part, hashed in toy.get("edition", {"parts": {}})["parts"].items():
                    print(f"{part:9} {hashed}")
    except (ValueError, OSError, ImportError) as error:
        return tell(error)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
