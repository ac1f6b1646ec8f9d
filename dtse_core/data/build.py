"""Data sets by name, as the settings give them."""

from pathlib import Path

from .. import data
from ..config import DATASETS, DataConfig
from ..shared.files import require_folder_above
from .clip import ClipDataSet

HELD_OUT = 500  # clips in each split of the in-memory toy world that is not for training
SCORED = ("test", "twins", "guidance", "coherence", "granularity", "scale")  # splits of a toy world


def build_dataset(config: DataConfig, split: str, window: int, causal: bool = False, clips: int = 0) -> ClipDataSet:
    """The data set `config.name`: `toy`, drawn in memory at the model's size, or one read from `config.root`.

    Of a split that is not for training the toy world has 500 clips, or as many as `clips`, if that is more.
    Raises `ValueError` for data on disk without a root, and an error as `require_folder_above` does for a cache that
    nothing can be kept in.
    """
    if config.cache:
        require_folder_above(Path(config.cache).expanduser() / "00")
    name, loader = config.name, DATASETS[config.name].loader
    if name == "toy":  # imported here: reading files needs no cartoons
        from .toy.cache import KeptDiagnosticClips, KeptToyWorld
        from .toy.level2.clips import DiagnosticClips

        length = config.toy_clips if split == "train" else max(HELD_OUT, clips)
        height, width = config.size
        world = split, length, config.toy_seed, height, width, window, config.frame_offset, causal
        drawn, kept = (data.ToyWorld, KeptToyWorld) if config.level == 1 else (DiagnosticClips, KeptDiagnosticClips)
        return kept(config.cache, *world) if config.cache else drawn(*world)
    if not config.root:
        raise ValueError(f"data.root is missing: give the folder of {loader}, or use data.name toy")
    gt = config.davis_masks if name == "ref_davis" else ""
    arguments = config.root, split, window, config.frame_offset, causal, config.cache, config.frames, gt
    return getattr(data, loader)(*arguments)


def scored_split(config: DataConfig) -> str:
    """The split that is scored unless another is named; of a toy world always test."""
    return "test" if is_toy(config) else DATASETS[config.name].scored


def training_splits(config: DataConfig) -> tuple[str, str]:
    """What is learned from, and what is scored meanwhile to choose the best weights.

    That is never a part which a protocol scores: a toy world has val, of the others some training videos are held
    out (`listing.held_out`), from which nothing is learned then. Refer-YouTube-VOS, which publishes no other masks,
    is scored on these as well. Raises `ValueError` for a part that is scored.
    """
    usual = "val" if is_toy(config) else "local-val"
    validation = config.val_split or usual
    if validation != usual and validation in (*SCORED, scored_split(config)):
        raise ValueError(
            f"data.val_split is {validation!r}, which is scored: the best weights are never chosen on it; leave it "
            f"empty, which means {usual}"
        )
    held_out = (config.train_split, validation) == ("train", "local-val")
    return "local-train" if held_out else config.train_split, validation


def is_toy(config: DataConfig) -> bool:
    """True for a toy world, in memory or on disk."""
    return config.name == "toy" or (Path(config.root) / "toy_world.json").is_file()
