"""The deeply interleaved two-stream encoder [A]. Notebook: 05_interleaved_encoder.

    L = embed(words)                         V = Res2(stem(frame))
    L = group1(L)   V = Res3(V)              V, L = VLMG3(V, L)
    L = group2(L)   V = Res4(V)              V, L = VLMG4(V, L)
    L = group3(L)   V = Res5(V)              V, L = VLMG5(V, L)

What depends on the sentence alone (`read_sentence`) or on the frame alone (`see_frame`) is a method
of its own, because inference shares it between frames, and between sentences. The rest (`interleave`)
can stop after a stage and be continued: references are not encoded further than LMDF reads them (D-12).
"""

from typing import NamedTuple

from torch import Tensor, nn

from .config import ModelConfig
from .streams import LinguisticStream, VisualStream
from .vlmg import VLMG, VLMGMaps


class EncoderOutput(NamedTuple):
    """What is known of B frames after some stage. Shapes: `features`, from stage 2 on, (B, C, h, w) at strides
    4, 8, 16, 16; `words` (B, N, D); `sentence` (B, D)."""

    features: dict[int, Tensor]
    words: Tensor
    sentence: Tensor  # masked mean of the words, as this frame changed them
    maps: dict[int, VLMGMaps]  # per insertion, when asked


class InterleavedEncoder(nn.Module):
    """Encodes frames, each with its own copy of the sentence (D-6)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        c, saved = config, config.saved_streams
        pretrained = c.pretrained
        self.visual = VisualStream(
            c.visual, pretrained, saved.get("visual"), c.norm, freeze=pretrained and c.freeze_batch_norm
        )
        self.text = LinguisticStream(c.text, pretrained, saved.get("text"))
        self.stages = c.vlmg_stages
        self.vlmg = nn.ModuleDict(
            {
                str(stage): VLMG(
                    self.visual.channels[stage],
                    self.text.width,
                    width=c.vlmg_width,
                    heads=c.vlmg_heads,
                    bins=c.vlmg_bins,
                    norm=c.norm,
                    gate_init=c.gate_init,
                    language_to_vision=c.language_to_vision,
                    vision_to_language=c.vision_to_language,
                )
                for stage in c.vlmg_stages
            }
        )
        self.groups = text_groups(self.text.depth, len(self.stages), c.text_levels)

    def read_sentence(self, input_ids: Tensor, word_mask: Tensor) -> Tensor:
        """The sentence-only prefix: embedding and first group, `(B, N)` to `(B, N, D)`."""
        return self.text.layers(self.text.embed(input_ids), word_mask, *self.groups[0])

    def see_frame(self, frames: Tensor, last: int = 5) -> dict[int, Tensor]:
        """The frame-only prefix: `(B, 3, H, W)` to the features up to the first insertion, at most to stage `last`."""
        V, features = self.visual.stem(frames), {}  # (B, C, H/4, W/4)
        for number in range(2, min(last, *self.stages, 5) + 1):
            features[number] = V = self.visual.stage(number, V)  # (B, C, h, w)
        return features

    def interleave(
        self,
        seen: dict[int, Tensor],
        L: Tensor,
        word_mask: Tensor,
        return_maps: bool = False,
        first: int = 2,
        last: int = 5,
    ) -> EncoderOutput:
        """Everything after the two prefixes: `seen` from `see_frame`, `L` from `read_sentence`, with the same batch.

        With `last=n` it stops after stage n; a call with `first=n + 1` and the returned `features` and `words`, of
        all frames or of some, continues.
        """
        features, maps = dict(seen), {}
        for number in range(first, last + 1):
            if number not in features:
                features[number] = self.visual.stage(number, features[number - 1])  # (B, C, h, w)
            if number in self.stages:
                k, vlmg = self.stages.index(number), self.vlmg[str(number)]
                if k > 0:  # the first group is in the prefix
                    L = self.text.layers(L, word_mask, *self.groups[k])  # (B, N, D)
                # (B, C, h, w), (B, N, D)
                features[number], L, maps[number] = vlmg(features[number], L, word_mask, return_maps)
        kept = word_mask[:, :, None].to(L.dtype)  # (B, N, 1)
        sentence = (L * kept).sum(1) / kept.sum(1)  # (B, D)
        return EncoderOutput(features, L, sentence, maps if return_maps else {})

    def forward(self, frames: Tensor, input_ids: Tensor, word_mask: Tensor, return_maps: bool = False) -> EncoderOutput:
        """`frames (B, 3, H, W)` with one sentence each."""
        return self.interleave(self.see_frame(frames), self.read_sentence(input_ids, word_mask), word_mask, return_maps)


def text_groups(depth: int, insertions: int, levels: str = "hierarchical") -> list[tuple[int, int]]:
    """Layers cut into one run per insertion (D-5), the earlier runs longer by one where it does not divide.

    With `levels="last"`, or without insertions, all layers run before the first.

    >>> text_groups(12, 3)
    [(0, 4), (4, 8), (8, 12)]
    >>> text_groups(7, 3)
    [(0, 3), (3, 5), (5, 7)]
    >>> text_groups(12, 3, "last")
    [(0, 12), (12, 12), (12, 12)]
    """
    if levels == "last" or insertions == 0:
        return [(0, depth)] + [(depth, depth)] * max(insertions - 1, 0)
    short, longer = divmod(depth, insertions)
    sizes = [short + (k < longer) for k in range(insertions)]
    return [(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(insertions)]
