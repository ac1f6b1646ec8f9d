"""A frozen text encoder that learned language before it met a frame; in it, small adapters alone learn."""

from pathlib import Path

from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder
from dtse_core.model import DTSEOutput
from dtse_core.streams import LinguisticStream

from .common import (
    Baseline,
    JoinFrames,
    Streams,
    as_output,
    level_widths,
    make_refinement,
    per_sentence,
    sentence_mean,
    whole_window,
)
from .one_way_fusion import CoAttention


class Adapter(nn.Sequential):
    """`L + up(GELU(down(LN(L))))`, words `(B, N, D)` to the same: nearly the identity at first."""

    def __init__(self, width: int, inner: int):
        super().__init__(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        nn.init.normal_(self[3].weight, std=1e-3)
        nn.init.zeros_(self[3].bias)

    def forward(self, L: Tensor) -> Tensor:
        return L + super().forward(L)


class AdaptedStreams(Streams):
    """Both streams; the text stream is the folder `model.text` with its weights, frozen, an adapter after each layer.

    `benchmarks/pretrain.py` makes such folders. The name `tiny-bert` has no weights: a random encoder is frozen.
    """

    def __init__(self, config: ModelConfig, inner: int = 16):
        super().__init__(config)
        if Path(config.text).is_dir():
            self.text = LinguisticStream(config.text, True, config.saved_streams.get("text"))
        self.text.requires_grad_(False)
        self.adapters = nn.ModuleList(Adapter(self.text.width, inner) for _ in range(self.text.depth))

    def read(self, input_ids: Tensor, word_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, N)` to the adapted words `(B, N, D)` and their mean `(B, D)`."""
        L = self.text.embed(input_ids)  # (B, N, D)
        for k, adapt in enumerate(self.adapters):
            L = adapt(self.text.layers(L, word_mask, k, k + 1))  # (B, N, D)
        return L, sentence_mean(L, word_mask)


class FrozenText(Baseline):
    """Adapted words, read by the pixels of three levels once the frames are joined.

    Source: C. Cuttano, G. Trivigno, G. Rosi, C. Masone, G. Averta, "SAMWISE: infusing wisdom in SAM2 for text-driven
    video segmentation", CVPR 2025, which freezes both encoders; adapters as in N. Houlsby et al., "Parameter-efficient
    transfer learning for NLP", ICML 2019.
    Simplified: only the text encoder is frozen, and its adapters see words alone; the visual stream learns as that of
    all others, which have no pretrained one; pixels read words by the co-attention of `one_way_fusion`, outside the
    encoder. Parameters at `tiny`: 1,120,180, of which 999,028 learn. Sees all T frames.

        L = layer_k(L);  L = L + up(GELU(down(LN(L)))),  k = 1, 2, ...
        U_n = X_n + W CBR([m ; e ; m * e]),  m = CBR([X_n ; s8 ; tile(s)]),  e = attention(m, L),  X_n = join(Res_n)
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config, AdaptedStreams)
        channels, widths, D = self.encoder.visual.channels, level_widths(config), self.encoder.text.width
        self.join = nn.ModuleDict({str(n): JoinFrames(channels[n], w, config) for n, w in widths.items()})
        self.guide = nn.ModuleDict(
            {str(n): CoAttention(w, D, config.vlmg_width, config.norm) for n, w in widths.items()}
        )
        self.decoder = MaskDecoder(channels[2], config.widths, config.norm)
        self.refinement = make_refinement(config)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        features = self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        L, s = self.encoder.read(input_ids, attention_mask)  # (B, N, D), (B, D)
        U3, U4, U5 = (
            self.guide[n](per_sentence(join(features[int(n)], current), s), L, s, attention_mask)
            for n, join in self.join.items()
        )  # (B, c, h, w)
        low = per_sentence(self.decoder.reduce_low(features[2][:, current]), s)  # (B, w4, H/4, W/4)
        return as_output(self.decoder(U5, U4, U3, low), frames[:, current], self.refinement)
