"""Dynamic filters from the sentence alone: it says what to look for, and no frame has a part in them."""

import torch
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput

from .common import (
    Baseline,
    JoinFrames,
    as_output,
    feature_decoder,
    level_widths,
    make_refinement,
    per_sentence,
    whole_window,
    with_place,
)


def apply_filters(V: Tensor, filters: Tensor) -> Tensor:
    """Each clip's own 1x1 filter `(B, C)` over its map `V (B, C, h, w)`: responses `(B, h, w)`."""
    return torch.einsum("bchw,bc->bhw", V, filters)


class SentenceFilters(Baseline):
    """A filter per resolution, generated from the sentence, answers where it matches.

    Source: K. Gavrilyuk, A. Ghodrati, Z. Li, C. Snoek, "Actor and action video segmentation from a sentence", CVPR
    2018.
    Simplified: BERT in place of word2vec and a 1-D CNN; in place of I3D, frames joined by a convolution a level;
    in place of deconvolutions, DTSE's decoder. Parameters at `tiny`: 1,125,080. Sees all T frames.

        f_n = tanh(W_n s + b_n),   logits_n = f_n . [D_n ; s8] / sqrt(c),   n = 5, 4, 3, 2
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        channels, widths, D = self.encoder.visual.channels, level_widths(config), self.encoder.text.width
        self.join = nn.ModuleDict({str(n): JoinFrames(channels[n], w, config) for n, w in widths.items()})
        self.place = nn.ModuleDict({str(n): CBR(w + 8, w, 3, config.norm) for n, w in widths.items()})
        self.decoder = feature_decoder(channels[2], config)
        self.refinement = make_refinement(config)
        w4, w8, w16 = config.widths
        self.filter_heads = nn.ModuleList(nn.Linear(D, c + 8) for c in (w16, w16, w8, w4))
        self.scales = nn.Parameter(torch.ones(4))  # tanh bounds a filter; its answer must not be
        self.offsets = nn.Parameter(torch.zeros(4))

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        features = self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        U3, U4, U5 = (
            self.place[n](with_place(join(features[int(n)], current))) for n, join in self.join.items()
        )  # (B / S, c, h, w)
        maps = self.decoder(U5, U4, U3, self.decoder.reduce_low(features[2][:, current]))  # D5 to D2 (B / S, c, h, w)
        _, s = self.encoder.read(input_ids, attention_mask)  # (B, D)
        answers = [
            scale * apply_filters(per_sentence(with_place(D), s), head(s).tanh()) + offset  # (B, h, w)
            for D, head, scale, offset in zip(maps, self.filter_heads, self.scales, self.offsets, strict=True)
        ]
        return as_output(answers, frames[:, current], self.refinement)
