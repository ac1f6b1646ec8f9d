"""Data sets by name, as the settings give them."""

from ..config import DataConfig

HELD_OUT = 500  # clips in each split of the in-memory toy world that is not for training


def build_dataset(config: DataConfig, split: str, window: int, causal: bool = False):
    """The data set `config.name`: `toy`, drawn in memory at the model's size, or `a2d`, read from `config.root`.

    Raises `ValueError` for an unknown name, or for data on disk without a root.
    """
    if config.name == "toy":
        from .toy_world import ToyWorld

        length = config.toy_clips if split == "train" else HELD_OUT
        height, width = config.size
        return ToyWorld(split, length, config.toy_seed, height, width, window, config.offset, causal)
    if config.name == "a2d":
        from .a2d import A2DSentences

        if not config.root:
            raise ValueError("data.root is missing: give the folder of A2D-Sentences, or use data.name toy")
        return A2DSentences(config.root, split, window, config.offset, causal)
    raise ValueError(f"unknown data set {config.name!r}; known: toy, a2d")
