"""From clips to a batch: frames, word pieces and targets. Notebook: 02_data_and_sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .clip import ReferringClip
from .sentences import tokenize
from .transforms import resize_frames, resize_mask


@dataclass(frozen=True)
class Batch:
    """What a training or evaluation step takes. Axes: B clips, T frames, N word pieces."""

    frames: Tensor  # (B, T, 3, H, W) float32, normalized
    input_ids: Tensor  # (B, N) int64
    attention_mask: Tensor  # (B, N) int64, 0 where a shorter sentence is padded
    masks: Tensor  # (B, H, W) float32 in [0, 1], of the current frame
    clips: list[ReferringClip]  # where it all came from, at the original size

    def to(self, device, non_blocking: bool = False) -> "Batch":
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """What a DataLoader with `pin_memory=True` calls."""
        return self._map(Tensor.pin_memory)

    def _map(self, change) -> "Batch":
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "clips"}
        return replace(self, **{name: change(x) for name, x in tensors.items()})


def collate_clips(clips: Sequence[ReferringClip], tokenizer, size: tuple[int, int], max_words: int) -> Batch:
    """A batch of clips, each resized to `size` (height, width); sentences that are too long are cut."""
    if odd := [c for c in clips if c.frames.shape[0] != clips[0].frames.shape[0] or c.current != clips[0].current]:
        raise ValueError(f"{odd[0].sample_id} and {clips[0].sample_id} have different windows; a batch has one")
    input_ids, attention_mask = tokenize([clip.expression for clip in clips], tokenizer, max_words, refuse=False)
    return Batch(
        frames=torch.stack([resize_frames(clip.frames, size) for clip in clips]),
        input_ids=input_ids,
        attention_mask=attention_mask,
        masks=torch.stack([resize_mask(clip.mask, size) for clip in clips]),
        clips=list(clips),
    )
