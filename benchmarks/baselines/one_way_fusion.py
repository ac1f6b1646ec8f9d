"""One-way fusion in the encoder: words guide the frames at several stages, and are never guided back."""

import torch
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput

from .common import (
    Baseline,
    JoinFrames,
    as_output,
    level_widths,
    make_refinement,
    per_sentence,
    read_by_attention,
    whole_window,
    with_place,
)


class CoAttention(nn.Module):
    """Pixels, told place and sentence, read the words; what they read goes on through the visual stream.

    Shapes: `V (B, C, h, w)`, `L (B, N, D)`, `s (B, D)`, `word_mask (B, N)` to `V' (B, C, h, w)`.
    """

    def __init__(self, channels: int, text_width: int, width: int, norm: str):
        super().__init__()
        self.mix = CBR(channels + 8 + text_width, width, 1, norm)
        self.query = nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(text_width, width, bias=False), nn.Linear(text_width, width)
        self.fuse = CBR(3 * width, width, 1, norm)
        self.back = nn.Conv2d(width, channels, 1)

    def forward(self, V: Tensor, L: Tensor, s: Tensor, word_mask: Tensor) -> Tensor:
        m = self.mix(with_place(V, s))  # (B, d, h, w)
        e = read_by_attention(self.query(m.flatten(2).mT), self.key(L), self.value(L), word_mask)  # (B, hw, d)
        e = e.mT.unflatten(2, V.shape[2:])  # (B, d, h, w)
        return V + self.back(self.fuse(torch.cat([m, e, m * e], 1)))  # (B, C, h, w)


class OneWayFusion(Baseline):
    """The sentence, read to its end once, is put into the visual stream after Res3, Res4 and Res5.

    Source: G. Feng, Z. Hu, L. Zhang, H. Lu, "Encoder fusion network with co-attention embedding for referring image
    segmentation", CVPR 2021 (CEFNet).
    Simplified: BERT in place of the GRU; attention to the words alone, not within the map; no boundary branch, DTSE's
    decoder; frames, of which the source sees one, are joined by a convolution a level. Parameters at `tiny`: 1,127,860.
    Sees all T frames.

        V = Res_n(V);  V = V + W CBR([m ; e ; m * e]),  m = CBR([V ; s8 ; tile(s)]),  e = attention(m, L)
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        channels, widths, D = self.encoder.visual.channels, level_widths(config), self.encoder.text.width
        d = config.vlmg_width
        self.guide = nn.ModuleDict({str(n): CoAttention(channels[n], D, d, config.norm) for n in widths})
        self.join = nn.ModuleDict({str(n): JoinFrames(channels[n], w, config) for n, w in widths.items()})
        self.decoder = MaskDecoder(channels[2], config.widths, config.norm)
        self.refinement = make_refinement(config)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        T, visual = frames.shape[1], self.encoder.visual
        L, s = self.encoder.read(input_ids, attention_mask)  # (B, N, D), (B, D)
        low = V = visual.stage(2, visual.stem(frames.flatten(0, 1)))  # (B / S * T, C, H/4, W/4)
        low = per_sentence(self.decoder.reduce_low(low.unflatten(0, (-1, T))[:, current]), s)  # (B, w4, H/4, W/4)
        L, s, word_mask = (x.repeat_interleave(T, 0) for x in (L, s, attention_mask))  # one for each frame
        U = []
        for n, guide in self.guide.items():
            V = visual.stage(int(n), V).unflatten(0, (-1, T))  # (B / S, T, C, h, w), from the first guide on (B, ...)
            V = guide(per_sentence(V, input_ids).flatten(0, 1), L, s, word_mask)  # (B*T, C, h, w)
            U.append(self.join[n](V.unflatten(0, (-1, T)), current))  # (B, c, h, w)
        return as_output(self.decoder(*reversed(U), low), frames[:, current], self.refinement)
