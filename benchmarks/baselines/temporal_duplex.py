"""Language-bridged duplex: appearance and motion speak to each other through the words."""

import torch
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput
from dtse_core.streams import VisualStream

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


class Bridge(nn.Module):
    """One way of the duplex: words collect from one branch, and the other branch reads those words.

    Shapes: `source` and `target (B, C, h, w)`, `L (B, N, D)`, `word_mask (B, N)` to the new target `(B, C, h, w)`.
    """

    def __init__(self, channels: int, text_width: int, width: int):
        super().__init__()
        self.ask, self.word = nn.Linear(text_width, width, bias=False), nn.Linear(text_width, width, bias=False)
        self.key, self.value = nn.Linear(channels + 8, width, bias=False), nn.Linear(channels + 8, width)
        self.query = nn.Linear(channels + 8, width, bias=False)
        self.back = nn.Linear(width, channels)

    def forward(self, source: Tensor, target: Tensor, L: Tensor, word_mask: Tensor) -> Tensor:
        here, there = (with_place(V).flatten(2).mT for V in (source, target))  # (B, hw, C + 8)
        carried = self.word(L) + read_by_attention(self.ask(L), self.key(here), self.value(here))  # (B, N, d)
        read = read_by_attention(self.query(there), carried, carried, word_mask)  # (B, hw, d)
        return target + self.back(read).mT.unflatten(2, target.shape[2:])  # (B, C, h, w)


class TemporalDuplex(Baseline):
    """A visual stream for the current frame and one for what changes around it, bridged after Res3, Res4 and Res5.

    Source: Z. Ding, T. Hui, J. Huang, X. Wei, J. Han, S. Liu, "Language-bridged spatial-temporal interaction for
    referring video object segmentation", CVPR 2022 (LBDT).
    Simplified: BERT in place of the LSTM; attention of one head; the decoder's channel activation is one gate a branch
    from the sentence; DTSE's decoder. Parameters at `tiny`: 1,375,508. Sees all T frames: one as it is, the others as
    differences, later minus earlier, whose features are averaged.

        V, M = Res_n(V), Res_n(M);   V, M = V + bridge(M, L), M + bridge(V, L)
        U_n = CBR1x1([sigmoid(W_V s) * V ; sigmoid(W_M s) * M ; s8])
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        c = config
        self.motion = nn.ModuleDict(
            {"visual": VisualStream(c.visual, c.pretrained, c.saved_streams.get("visual"), c.norm)}
        )
        channels, widths, D = self.encoder.visual.channels, level_widths(c), self.encoder.text.width
        d = c.vlmg_width // 2
        self.to_appearance, self.to_motion = (
            nn.ModuleDict({str(n): Bridge(channels[n], D, d) for n in widths}) for _ in range(2)
        )
        self.gates = nn.ModuleDict({str(n): nn.Linear(D, 2 * channels[n]) for n in widths})
        self.join = nn.ModuleDict({str(n): CBR(2 * channels[n] + 8, w, 1, c.norm) for n, w in widths.items()})
        self.decoder = MaskDecoder(channels[2], c.widths, c.norm)
        self.refinement = make_refinement(config)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        L, s = self.encoder.read(input_ids, attention_mask)  # (B, N, D), (B, D)
        appearance, motion = self.encoder.visual, self.motion["visual"]
        low = V = appearance.stage(2, appearance.stem(frames[:, current]))  # (B / S, C, H/4, W/4)
        changes = frame_changes(frames, current)  # (B / S, T - 1, 3, H, W)
        M = motion.stage(2, motion.stem(changes.flatten(0, 1))).unflatten(0, changes.shape[:2]).mean(1)
        U = []
        for n, gate in self.gates.items():
            V, M = (per_sentence(x, s) for x in (appearance.stage(int(n), V), motion.stage(int(n), M)))  # (B, C, h, w)
            V, M = (
                self.to_appearance[n](M, V, L, attention_mask),
                self.to_motion[n](V, M, L, attention_mask),
            )  # (B, C, h, w) each
            both = torch.cat([V, M], 1) * gate(s).sigmoid()[:, :, None, None]  # (B, 2 C, h, w)
            U.append(self.join[n](with_place(both)))  # (B, c, h, w)
        return as_output(
            self.decoder(*reversed(U), per_sentence(self.decoder.reduce_low(low), s)),
            frames[:, current],
            self.refinement,
        )


def frame_changes(frames: Tensor, current: int) -> Tensor:
    """Of the current frame to each other one, later minus earlier: `(B, T, 3, H, W)` to `(B, T - 1, 3, H, W)`.

    A single frame changes by nothing: `(B, 1, 3, H, W)` of zeros.
    """
    now, T = frames[:, current], frames.shape[1]
    changes = [frames[:, t] - now if t > current else now - frames[:, t] for t in range(T) if t != current]
    return torch.stack(changes or [now - now], 1)
