"""Which videos a split holds, and what `toy_world.json` adds to a layout's own files: evidence and twins.

No data set publishes a validation part beside the one that is scored. So each has two more splits: `local-val`, the
training videos that `held_out` keeps, and `local-train`, the others.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..shared.files import TABLES, read_json
from .sentences import clean_expression

LOCAL = ("local-train", "local-val")
HELD_OUT = 17  # one training video in so many: about 204 of the 3,471 of Refer-YouTube-VOS
Splits = dict[str, list[str]]  # videos by split
Labels = dict[tuple[str, int | str, str], tuple[str, int | None]]  # (evidence, twin) by (video, key, sentence)


def read_toy(path: Path) -> tuple[Splits | None, Labels]:
    """Videos by split, and what each sentence needs; None and empty if there is no such file.

    The key is the layout's own, as `toy.layouts` wrote it. Raises `ValueError` if the file is damaged.
    """
    if not path.is_file():
        return None, {}
    try:
        toy = read_json(path, most=TABLES)
        splits = {split: [_text(video) for video in videos] for split, videos in toy["splits"].items()}
        return splits, {
            (_text(video), key, clean_expression(sentence)): (_text(evidence), None if twin is None else int(twin))
            for video, entries in toy["sentences"].items()
            for key, sentence, evidence, twin in entries
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged; write the toy world again with `dtse world`") from error


def read_programs(path: Path) -> dict[tuple[str, str], tuple[int, str]]:
    """What `ClipDataSet.programs` tells; nothing for other files. Raises `ValueError` if the file is damaged."""
    toy = read_json(path, most=TABLES) if path.is_file() else {}
    try:
        said = [(video, row) for video, rows in toy.get("programs", {}).items() for row in rows]
        return {
            (video, clean_expression(row["text"])): (int(row["depth"]), str(row.get("family", video)))
            for video, row in said
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged; write the toy world again with `dtse world`") from error


def part_of(split: str, parts: Iterable[str], toy: Splits | None, other: str, root: Path) -> str:
    """The part of a layout whose files hold a split: one of `parts`, train for the two halves of it, or as `other`
    says for a toy world's finer splits. Raises `ValueError` for a split that there is not.
    """
    holds = {part: part for part in parts} | dict.fromkeys(toy or (), other)
    if "train" in holds:
        holds |= dict.fromkeys(("train", *LOCAL), "train")
    if split not in holds:
        raise ValueError(
            f"unknown split {split!r}; {root} has {', '.join(holds)} (a toy world, recognized by its toy_world.json, "
            "has finer ones); name one of them: --split NAME to evaluate, --data.train_split or --data.val_split to "
            "train"
        )
    return holds[split]


def videos_of(split: str, names: Iterable[str], toy: Splits | None, path: Path) -> list[str]:
    """The split's videos among `names`, which the file `path` lists for its part, or for a toy world as a whole."""
    videos, known = (toy or {}).get("train" if split in LOCAL else split), list(dict.fromkeys(names))
    if unknown := sorted(set(videos or ()) - set(known)):
        raise ValueError(f"{path} lacks {unknown[0]}, which toy_world.json lists; write the toy world again")
    videos = known if videos is None else videos
    if split not in LOCAL:
        return videos
    kept = {video for video in videos if held_out(video)} or set(sorted(videos, key=_number)[:1])  # at least one
    return [video for video in videos if (video in kept) == (split == "local-val")]


def held_out(video: str) -> bool:
    """True if a training video is kept for local-val: by the SHA-256 of its id, so the same on every machine."""
    return _number(video) % HELD_OUT == 0


def _number(video: str) -> int:
    return int(hashlib.sha256(video.encode()).hexdigest(), 16)


def require_tree(home: str, layout: str, tree: str, root: Path, *needed: Path) -> None:
    """Raises `FileNotFoundError` that names what is missing of a data set, and what `root` must hold."""
    hint = f"or use the toy world: --data.name toy, or `dtse world --layout {layout} --out DIR`"
    if not root.is_dir():
        raise FileNotFoundError(f"{home}: no folder {root}; expected {tree} in it; {hint}")
    if missing := [str(path) for path in needed if not path.exists()]:
        raise FileNotFoundError(f"{home}: {', '.join(missing)} missing; {root} must hold {tree}; {hint}")


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value
