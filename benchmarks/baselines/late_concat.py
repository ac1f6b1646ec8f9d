"""Late concatenation: the sentence, as one vector, meets the frames in the decoder alone."""

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
    whole_window,
    with_place,
)


class LateConcat(Baseline):
    """One sentence vector tiled over all positions of each level, beside the coordinates.

    Source: R. Hu, M. Rohrbach, T. Darrell, "Segmentation from natural language expressions", ECCV 2016.
    Simplified: BERT in place of the LSTM; the vector enters at three levels, as the decoder has them; frames, of which
    the source sees one, are joined by a convolution a level. Parameters at `tiny`: 1,211,060. Sees all T frames.

        U_n = CBR3x3([join(Res_n) ; s8 ; tile(s)]),  n = 3, 4, 5
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        channels, widths, D = self.encoder.visual.channels, level_widths(config), self.encoder.text.width
        self.join = nn.ModuleDict({str(n): JoinFrames(channels[n], w, config) for n, w in widths.items()})
        self.fuse = nn.ModuleDict({str(n): CBR(w + 8 + D, w, 3, config.norm) for n, w in widths.items()})
        self.decoder = MaskDecoder(channels[2], config.widths, config.norm)
        self.refinement = make_refinement(config)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        features = self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        _, s = self.encoder.read(input_ids, attention_mask)  # (B, D)
        U3, U4, U5 = (
            self.fuse[n](with_place(per_sentence(join(features[int(n)], current), s), s))
            for n, join in self.join.items()
        )  # (B, c, h, w)
        low = per_sentence(self.decoder.reduce_low(features[2][:, current]), s)  # (B, w4, H/4, W/4)
        return as_output(self.decoder(U5, U4, U3, low), frames[:, current], self.refinement)
