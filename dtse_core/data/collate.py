"""From clips to a batch: frames, word pieces and targets. Notebook: 02_data_and_sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from . import vocabulary
from .clip import ReferringClip
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
    """A batch of clips, each resized from its own size to `size` (height, width); errors as in `tokenize`."""
    if odd := [c for c in clips if c.frames.shape[0] != clips[0].frames.shape[0] or c.current != clips[0].current]:
        raise ValueError(f"{odd[0].sample_id} and {clips[0].sample_id} have different windows; a batch has one")
    input_ids, attention_mask = tokenize([clip.expression for clip in clips], tokenizer, max_words)
    return Batch(
        frames=torch.stack([resize_frames(clip.frames, size) for clip in clips]),
        input_ids=input_ids,
        attention_mask=attention_mask,
        masks=torch.stack([resize_mask(clip.mask, size) for clip in clips]),
        clips=list(clips),
    )


def tokenize(expressions: Sequence[str], tokenizer, max_words: int) -> tuple[Tensor, Tensor]:
    """Word pieces and their mask, both (B, N) int64; shorter sentences are padded at the end.

    Raises `ValueError` for an expression without words, and for one of more than `max_words` pieces, which
    include the two marks around each sentence: nothing is cut off silently.
    """
    cleaned = [clean_expression(text) for text in expressions]
    words = tokenizer(cleaned, padding=True, truncation=False, return_tensors="pt", verbose=False)
    input_ids, attention_mask = words["input_ids"], words["attention_mask"]  # (B, N) each
    marks = tokenizer.num_special_tokens_to_add()
    for text, pieces in zip(expressions, attention_mask.sum(1).tolist(), strict=True):
        if pieces <= marks:
            raise ValueError(f"empty expression {text!r}; say what to look for, such as 'the dog on the left'")
        if pieces > max_words:
            raise ValueError(
                f"expression of {pieces} word pieces, the limit is {max_words}: {text[:60]!r}...; "
                "shorten it, or raise data.max_words if the text stream takes more"
            )
    return input_ids, attention_mask


def clean_expression(text: str) -> str:
    """Lower case, and single spaces for white space of any kind."""
    return " ".join(text.lower().split())


def load_tokenizer(name: str | Path):
    """The tokenizer of a text stream: `"tiny-bert"` ships with the package, others by folder or hub name.

    Raises `ValueError` if the folder, the cache and the network all do not have it.
    """
    from transformers import AutoTokenizer

    if str(name) == "tiny-bert":
        return AutoTokenizer.from_pretrained(vocabulary.FOLDER)
    try:
        try:
            return AutoTokenizer.from_pretrained(name, local_files_only=True)
        except Exception:  # not in the cache; asking there first spares a machine without network the retries
            return AutoTokenizer.from_pretrained(name)
    except Exception as error:  # the hub's client has many
        raise ValueError(
            f"no tokenizer {str(name)!r}: expected tiny-bert, a folder with tokenizer files, or a hub name that is in "
            "the cache or can be downloaded; check the name, or go online once"
        ) from error
