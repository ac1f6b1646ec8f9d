"""What `toy_world.json`, beside a layout's own files, tells a loader: finer splits, evidence and twins."""

from pathlib import Path

from ..shared.files import read_json
from .sentences import clean_expression

Labels = dict[tuple[str, int | str, str], tuple[str, int]]  # (evidence, twin or 0) by (video, key, sentence)


def read_toy(path: Path) -> tuple[dict[str, list[str]] | None, Labels]:
    """Videos by split, and what each sentence needs; None and nothing where there is no such file.

    The key is the layout's own, as `toy.layouts` wrote it. Raises `ValueError` if the file is damaged.
    """
    if not path.is_file():
        return None, {}
    try:
        toy = read_json(path)
        splits = {split: [_text(video) for video in videos] for split, videos in toy["splits"].items()}
        return splits, {
            (_text(video), key, clean_expression(sentence)): (_text(evidence), int(twin))
            for video, entries in toy["sentences"].items()
            for key, sentence, evidence, twin in entries
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged; write the toy world anew with data_scripts/make_toy_world.py") from error


def videos_of(split: str, splits: dict[str, list[str]], root: Path) -> list[str]:
    """The videos of a split. Raises `ValueError` for one that the data set does not have."""
    if split not in splits:
        raise ValueError(
            f"unknown split {split!r}; {root} has {', '.join(splits)} (a toy world, recognized by its "
            "toy_world.json, has finer ones)"
        )
    return splits[split]


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value
