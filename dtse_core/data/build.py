"""Data sets by name, as the settings give them."""

from .. import data
from ..config import DATASETS, DataConfig, nearest

HELD_OUT = 500  # clips in each split of the in-memory toy world that is not for training


def build_dataset(config: DataConfig, split: str, window: int, causal: bool = False):
    """The data set `config.name`: `toy`, drawn in memory at the model's size, or one read from `config.root`.

    Raises `ValueError` for an unknown name, or for data on disk without a root.
    """
    name = config.name
    if name == "toy":  # imported here, since who reads files needs no cartoons
        from .toy.cache import KeptToyWorld

        length = config.toy_clips if split == "train" else HELD_OUT
        height, width = config.size
        world = split, length, config.toy_seed, height, width, window, config.frame_offset, causal
        return KeptToyWorld(config.cache, *world) if config.cache else data.ToyWorld(*world)
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}{nearest(name, DATASETS)}; known: toy, {', '.join(DATASETS)}")
    home = DATASETS[name][0]
    if not config.root:
        raise ValueError(f"data.root is missing: give the folder of {home}, or use data.name toy")
    if config.frames and name not in ("a2d", "jhmdb"):
        raise ValueError(f"data.frames {config.frames!r} chooses samples of a2d and jhmdb; leave it out for {name}")
    own = {"gt": config.davis_masks} if name == "ref_davis" else {}
    own |= {key: value for key in ("cache", "frames") if (value := getattr(config, key))}
    return getattr(data, home)(config.root, split, window, config.frame_offset, causal, **own)
