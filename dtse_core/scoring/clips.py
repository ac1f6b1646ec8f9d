"""Runs a model on the clips of a data set, and scores each answer at its original size."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..data.batch import collate_clips
from ..data.clip import ReferringClip
from ..decoder import mask_confidence, resize_logits
from ..shared.console import bars_hidden, left_to_parent
from .records import Sample, score_mask

OnMask = Callable[[ReferringClip, np.ndarray], None]


@torch.inference_mode()
def evaluate(
    model,
    dataset,
    tokenizer,
    size: tuple[int, int],
    device,
    batch: int = 16,
    workers: int = 0,
    progress: bool = True,
    max_words: int = 64,
    on_mask: OnMask | None = None,
    least: float = 0.0,
) -> list[Sample]:
    """Runs `model` on every clip of `dataset`; logits are resized to the original size before the threshold.

    `size` (height, width) is what the model sees; `on_mask(clip, mask)` gets each mask (H, W) bool. Nothing is marked
    below the confidence `least`. Raises `ValueError` for an empty data set and for a sample that occurs twice,
    `FloatingPointError` for logits that are not finite.
    """
    collate = partial(collate_clips, tokenizer=tokenizer, size=size, max_words=max_words)
    loader = DataLoader(dataset, batch, num_workers=workers, collate_fn=collate, worker_init_fn=left_to_parent)
    samples: dict[tuple[str, str], Sample] = {}
    was_training = model.training
    model.eval()
    bar = tqdm(total=len(dataset), unit=" samples", disable=not progress or bars_hidden())
    try:
        for one in loader:
            one = one.to(device)
            logits = model(one.frames, one.input_ids, one.attention_mask).logits  # (B, H, W)
            for clip, clip_logits in zip(one.clips, logits, strict=True):
                sample = score(clip, clip_logits, on_mask, least)
                key = sample.sample_id, sample.expression
                if key in samples:
                    raise ValueError(f'sample {key[0]} "{key[1]}" occurs twice: it would count twice in every metric')
                samples[key] = sample
            bar.update(len(one.clips))
    finally:
        bar.close()
        model.train(was_training)
    if not samples:
        raise ValueError("no samples: the data set is empty")
    return list(samples.values())


def score(clip: ReferringClip, logits: torch.Tensor, on_mask: OnMask | None = None, least: float = 0.0) -> Sample:
    """One clip's sample from its logits (H, W) at any size; nothing is marked below the confidence `least`."""
    logits = resize_logits(logits, *clip.mask.shape)
    if not torch.isfinite(logits).all():
        raise FloatingPointError(f'logits of {clip.sample_id} "{clip.expression}" are not finite; training diverged?')
    mask, probability = (logits > 0).cpu().numpy(), logits.sigmoid().cpu().numpy()
    if (confidence := mask_confidence(probability, mask)) < least:
        mask, confidence = np.zeros_like(mask), 0.0
    if on_mask:
        on_mask(clip, mask)
    twin = {}
    if clip.twin_mask is not None and clip.twin_mask.any():
        twin = {"on_target": mask_confidence(probability, clip.mask)}
        twin["on_twin"] = mask_confidence(probability, clip.twin_mask)
    return score_mask(clip, mask, confidence, **twin)


def some_of(dataset, count: int) -> list[int]:
    """Indices of `count` samples in order, the same for every caller; of all samples, if there are no more.

    They are drawn: an even stride falls in step with data sets whose samples take turns, as kinds of evidence do in
    the toy world.
    """
    return sorted(np.random.default_rng(0).permutation(len(dataset))[:count].tolist())
