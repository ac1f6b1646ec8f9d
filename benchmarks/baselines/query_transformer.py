"""Query transformer: pixels of all frames and words in one sequence; queries that read it draw the masks."""

import torch
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput

from .common import (
    Baseline,
    as_output,
    feature_decoder,
    level_widths,
    make_refinement,
    per_sentence,
    whole_window,
    with_place,
)


class QueryTransformer(Baseline):
    """A joint encoder, a decoder of learned queries, masks by dot products with the decoder's finest map.

    Source: A. Botach, E. Zheltonozhskii, C. Baskin, "End-to-end referring video object segmentation with multimodal
    transformers", CVPR 2022 (MTTR).
    Simplified: DTSE's streams in place of Video Swin and RoBERTa; queries of the current frame alone; in place of the
    Hungarian matching of all instances, one target, to which the queries' masks add up by the softmax of their scores,
    in training and in use: choosing the best one alone gives its score no gradient. Every layer of queries is
    supervised. Parameters at `tiny`: 1,097,154. Sees all T frames.

        E = encoder([pixels of Res5, all frames, with place and time ; words]),   Q = decoder(queries, E)
        logits = sum_q softmax(score(Q))_q * (kernel(Q)_q . D2)
    """

    QUERIES, LAYERS = 10, 3

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        c = config
        channels, widths = self.encoder.visual.channels, level_widths(c)
        d = c.vlmg_width
        self.to_pixels, self.to_words = nn.Linear(channels[5] + 8, d), nn.Linear(self.encoder.text.width, d)
        self.frame_embedding = nn.Parameter(0.02 * torch.randn(c.window, d))
        self.query_embedding = nn.Parameter(torch.randn(self.QUERIES, d))
        settings = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.reads, self.asks = (
            nn.ModuleList(layer(d, c.vlmg_heads, 4 * d, **settings) for _ in range(self.LAYERS))
            for layer in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
        )
        self.norm_E, self.norm_Q = nn.LayerNorm(d), nn.LayerNorm(d)
        self.reduce = nn.ModuleDict({str(n): CBR(channels[n], w, 1, c.norm) for n, w in widths.items()})
        self.from_encoder = CBR(d + widths[5], widths[5], 1, c.norm)
        self.decoder = feature_decoder(channels[2], c)
        self.refinement = make_refinement(config)
        self.kernel_heads = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, c.widths[0] + 1))
        self.score_heads = nn.Linear(d, 1)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        features = self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        pixels, words = self.tokens(features[5], input_ids, attention_mask)  # (B, T, hw, d), (B, N, d)
        pixels = (pixels + self.frame_embedding[:, None]).flatten(1, 2)  # (B, T hw, d)
        E, padding = self.encode(pixels, words, attention_mask)  # (B, T hw + N, d), (B, T hw + N)
        h, w = features[5].shape[3:]
        D2 = self.paint(E[:, current * h * w : (current + 1) * h * w], features, current)  # (B, w4, H/4, W/4)
        return as_output(self.ask(self.query_embedding, E, padding, D2), frames[:, current], self.refinement)

    def tokens(self, V: Tensor, input_ids: Tensor, word_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of Res5 with their place, frame by frame `(B, T, hw, d)`, and words `(B, N, d)`."""
        words = self.to_words(self.encoder.read(input_ids, word_mask)[0])  # (B, N, d)
        pixels = self.to_pixels(with_place(V.flatten(0, 1)).flatten(2).mT)  # (B / S * T, hw, d)
        return per_sentence(pixels.unflatten(0, V.shape[:2]), words), words

    def encode(self, pixels: Tensor, words: Tensor, word_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels `(B, P, d)` and words read each other: `(B, P + N, d)`, and where that is padding."""
        E = torch.cat([pixels, words], 1)  # (B, P + N, d)
        padding = torch.cat([word_mask.new_zeros(pixels.shape[:2]), 1 - word_mask], 1).bool()  # (B, P + N)
        for layer in self.reads:
            E = layer(E, src_key_padding_mask=padding)
        return self.norm_E(E), padding

    def paint(self, seen: Tensor, features: dict[int, Tensor], current: int) -> Tensor:
        """The current frame, its pixels as they were `seen (B, hw, d)`, to the map of the masks `(B, w4, H/4, W/4)`."""
        U3, U4, X5 = (per_sentence(reduce(features[int(n)][:, current]), seen) for n, reduce in self.reduce.items())
        U5 = self.from_encoder(torch.cat([seen.mT.unflatten(2, X5.shape[2:]), X5], 1))  # (B, c, H/16, W/16)
        low = per_sentence(self.decoder.reduce_low(features[2][:, current]), seen)  # (B, w4, H/4, W/4)
        return self.decoder(U5, U4, U3, low)[-1]

    def ask(self, Q: Tensor, E: Tensor, padding: Tensor, D2: Tensor) -> list[Tensor]:
        """A mask `(B, H/4, W/4)` from each layer of the queries `(B or 1, queries, d)`."""
        Q, masks = Q.expand(len(E), -1, -1), []
        for layer in self.asks:
            Q = layer(Q, E, memory_key_padding_mask=padding)  # (B, queries, d)
            masks.append(self.draw(self.norm_Q(Q), D2))
        return masks

    def draw(self, Q: Tensor, D2: Tensor) -> Tensor:
        """Queries `(B, queries, d)` and pixels `(B, w4, h, w)` to logits `(B, h, w)`."""
        kernels = (self.score_heads(Q).softmax(1) * self.kernel_heads(Q)).sum(1)  # (B, w4 + 1): masks add up so too
        return torch.einsum("bc,bchw->bhw", kernels[:, :-1], D2) + kernels[:, -1, None, None]
