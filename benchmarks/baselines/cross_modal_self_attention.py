"""Cross-modal self-attention: every pair of a pixel and a word attends to every other pair."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput

from .common import (
    Baseline,
    as_output,
    level_widths,
    make_refinement,
    per_sentence,
    read_by_attention,
    whole_window,
    with_place,
)


class PairAttention(nn.Module):
    """Pairs of the current frame attend to those of all frames, then the words are averaged.

    Shapes: `V (B, T, C, h, w)`, `L (B, N, D)`, `word_mask (B, N)` to `(B, d, h, w)`.
    """

    def __init__(self, channels: int, text_width: int, width: int, window: int):
        super().__init__()
        self.asks = Pairs(channels, text_width, 2 * width)  # query, and the pair itself
        self.tells = Pairs(channels, text_width, 2 * width)  # key and value
        self.frame_embedding = nn.Parameter(torch.zeros(window, channels + 8))
        self.output = nn.Linear(width, width)

    def forward(self, V: Tensor, L: Tensor, word_mask: Tensor, current: int) -> Tensor:
        B, T, _, h, w = V.shape
        pixels = with_place(V.flatten(0, 1)).flatten(2).mT.unflatten(0, (B, T))  # (B, T, hw, C + 8)
        pixels = pixels + self.frame_embedding[:, None]  # (B, T, hw, C + 8)
        q, x = self.asks(pixels[:, current], L).chunk(2, -1)  # (B, hw N, d) each
        k, v = self.tells(pixels.flatten(1, 2), L).chunk(2, -1)  # (B, T hw N, d) each
        pairs = x + self.output(read_by_attention(q, k, v, word_mask.repeat(1, T * h * w)))  # (B, hw N, d)
        shares = word_mask / word_mask.sum(1, keepdim=True)  # (B, N)
        return torch.einsum("bpnd,bn->bdp", pairs.unflatten(1, (h * w, -1)), shares).unflatten(2, (h, w))


class Pairs(nn.Module):
    """Every pixel `(B, P, C)` with every word `(B, N, D)`: `(B, P N, d)`.

    A projection of the concatenation [pixel ; word] is the sum of a projection of each.
    """

    def __init__(self, channels: int, text_width: int, width: int):
        super().__init__()
        self.of_pixel, self.of_word = nn.Linear(channels + 8, width), nn.Linear(text_width, width, bias=False)

    def forward(self, pixels: Tensor, L: Tensor) -> Tensor:
        return (self.of_pixel(pixels)[:, :, None] + self.of_word(L)[:, None]).flatten(1, 2)  # (B, P N, d)


class CrossModalSelfAttention(Baseline):
    """Self-attention over pairs at three levels, whose results pass each other through gates.

    Source: L. Ye, M. Rochan, Z. Liu, Y. Wang, "Cross-modal self-attention network for referring image segmentation",
    CVPR 2019, and with X. Zhang its extension to videos, TPAMI 2021.
    Simplified: the attention across frames is the same attention, with more keys; all levels attend at stride 16; the
    gates are one convolution of the three results; frames have learned marks. Parameters at `tiny`: 1,000,444.
    Sees all T frames.

        y_n = mean_N(x + attention(x_cur, x_all)),  x = [Res_n ; s8 ; L]
        U_n = X_n + up(CBR3x3(sum_k sigmoid(W_k [y_3 ; y_4 ; y_5]) * y_k)),  X_n = CBR1x1(Res_n of the current frame)
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        channels, widths, D = self.encoder.visual.channels, level_widths(config), self.encoder.text.width
        d = config.vlmg_width
        self.attend = nn.ModuleDict({str(n): PairAttention(channels[n], D, d, config.window) for n in widths})
        self.gates = nn.Conv2d(3 * d, 3 * d, 1)
        self.reduce = nn.ModuleDict({str(n): CBR(channels[n], w, 1, config.norm) for n, w in widths.items()})
        self.fuse = nn.ModuleDict({str(n): CBR(d, w, 3, config.norm) for n, w in widths.items()})
        self.decoder = MaskDecoder(channels[2], config.widths, config.norm)
        self.refinement = make_refinement(config)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        features = self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        L, _ = self.encoder.read(input_ids, attention_mask)  # (B, N, D)
        size = features[5].shape[3:]  # stride 16
        y = torch.cat(
            [
                attend(per_sentence(_pooled(features[int(n)], size), L), L, attention_mask, current)
                for n, attend in self.attend.items()
            ],
            1,
        )  # (B, 3 d, H/16, W/16)
        y = sum((self.gates(y).sigmoid() * y).chunk(3, 1))  # (B, d, H/16, W/16)
        U3, U4, U5 = (
            per_sentence(reduce(features[int(n)][:, current]), y)
            + F.interpolate(self.fuse[n](y), features[int(n)].shape[3:])
            for n, reduce in self.reduce.items()
        )  # (B, c, h, w)
        low = per_sentence(self.decoder.reduce_low(features[2][:, current]), y)  # (B, w4, H/4, W/4)
        return as_output(self.decoder(U5, U4, U3, low), frames[:, current], self.refinement)


def _pooled(V: Tensor, size: tuple[int, int]) -> Tensor:
    return F.adaptive_avg_pool2d(V.flatten(0, 1), size).unflatten(0, V.shape[:2])  # (B, T, C, h, w) at that size
