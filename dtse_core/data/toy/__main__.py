"""Write the toy world to disk in the genuine layout of a data set.

The world is drawn from a seed: cartoon actors that move, sentences that single one of them out, and masks. Loaders,
training and evaluation read it as they read the real data: give its folder as --data.root.

    dtse world --layout a2d --out runs/toy_a2d
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config import Level, Side, Whole, Workers, WorldSeed, check_settings
from ...shared.console import one_line_errors, parse
from ...shared.files import TABLES, read_json
from .layouts.write import write_toy
from .level2.edition import PARTS, compare_published
from .level2.slices import THEMES
from .level2.world import WHOLE

HELD_OUT = {1: ("val", "test", "compositional", "twins"), 2: ("val", "test", *THEMES)}  # by level


@dataclass(frozen=True)
class Command:
    out: Path  # folder to write; it appears when it is complete. The same command again changes nothing
    layout: str = "a2d"  # whose: a2d, jhmdb, ref_davis, refer_youtube_vos, mevis, own or refcoco
    level: Level = 1  # 2: the diagnostic benchmark, see docs/diagnostic.md
    actors: tuple[int, int] = WHOLE["actors"]  # level 2: the fewest and the most actors in a clip, from 3 to 9
    kinds: tuple[str, ...] = WHOLE["kinds"]  # level 2: kinds of sentences, taken in turn
    depths: tuple[int, ...] = WHOLE["depths"]  # level 2: depths of programs. Any of these three leaves out the slices
    seed: WorldSeed = 0  # which world; the same seed gives the same bytes
    train: Whole = 1500  # training clips
    test: Whole = 50  # clips in each of the splits val, test, compositional and twins; level 2: in test
    val: Whole = 0  # clips in each of these but test; level 2: in val and each slice; 0: as many as in test
    height: Side = 96  # pixels of a frame; even
    width: Side = 144  # pixels of a frame; even. Scenes are made for 2 : 3
    traps: tuple[str, ...] = ()  # what is odd in the genuine files, by name, or all; a wrong name prints them
    workers: Workers = os.cpu_count() or 1  # processes that draw and encode; they do not change the result

    def __post_init__(self):
        check_settings(self)


def parse_command(arguments: Sequence[str] | None = None) -> Command:
    """The command line."""
    return parse(Command, "dtse world", arguments, description=__doc__)


def told(c: Command) -> Iterator[str]:
    """Lines about a written world of level 2: what it lacks, its hashes, and whether these are the published ones."""
    path = c.out / "toy_world.json"
    toy = read_json(path, most=TABLES)
    try:
        left = "{sentences} sentences, {clips} clips".format(**toy["left_out"])
        yield f"left out, as {c.layout} has no room for them: {left}"
        yield f"{'SHA-256 of':13}{'clips':>6}  {'  '.join(f'{part:12}' for part in PARTS)}"
        published = compare_published(toy)
        for split, row in toy["edition"].items():
            verdict = "as published" if split in published else "not published"
            if differ := published.get(split):
                verdict = f"DIFFERS from the published: {', '.join(differ)}"
            yield f"{split:13}{row['clips']:>6}  {'  '.join(row[part][:12] for part in PARTS)}  {verdict}"
    except (KeyError, TypeError, AttributeError) as error:  # it was there, and its settings are what is asked for
        raise ValueError(f"{path} is damaged; delete {c.out} and write it again") from error


@one_line_errors
def main() -> None:
    """Command line."""
    c = parse_command()
    own = {name: getattr(c, name) for name, usual in WHOLE.items() if getattr(c, name) != usual}
    held_out = [split for split in HELD_OUT[c.level] if not own or split not in THEMES]
    clips = {"train": c.train} | dict.fromkeys(held_out, c.val or c.test) | {"test": c.test}
    new = write_toy(c.out, clips, c.layout, c.seed, c.height, c.width, c.traps, c.workers, c.level, own)
    print(f"{c.out}: {sum(clips.values())} clips, {'written' if new else 'there with the same settings'}")
    if c.level > 1:
        print(*told(c), sep="\n")


if __name__ == "__main__":
    main()
