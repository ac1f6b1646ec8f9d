"""Query transformer: pixels of all frames and words in one sequence; queries that read it draw the masks."""

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.layers import CBR
from dtse_core.model import DTSEOutput

from .common import Streams, as_output, feature_decoder, level_widths, whole_window, with_place


class QueryTransformer(nn.Module, PyTorchModelHubMixin):
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
        super().__init__()
        self.config = c = config
        self.encoder = Streams(c)
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
        self.kernel_heads = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, c.widths[0] + 1))
        self.score_heads = nn.Linear(d, 1)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B, T, 3, H, W)`, `input_ids` and `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        B, T = frames.shape[:2]
        features = self.encoder.see(frames)  # {2: (B, T, C, H/4, W/4), ...}
        words = self.to_words(self.encoder.read(input_ids, attention_mask)[0])  # (B, N, d)
        h, w = features[5].shape[3:]
        pixels = self.to_pixels(with_place(features[5].flatten(0, 1)).flatten(2).mT)  # (B*T, hw, d)
        pixels = pixels.unflatten(0, (B, T)) + self.frame_embedding[:, None]  # (B, T, hw, d)
        E = torch.cat([pixels.flatten(1, 2), words], 1)  # (B, T hw + N, d)
        padding = torch.cat([attention_mask.new_zeros(B, T * h * w), 1 - attention_mask], 1).bool()  # (B, T hw + N)
        for layer in self.reads:
            E = layer(E, src_key_padding_mask=padding)
        E = self.norm_E(E)

        U3, U4, X5 = (reduce(features[int(n)][:, current]) for n, reduce in self.reduce.items())  # (B, c, h, w)
        seen = E[:, current * h * w : (current + 1) * h * w].mT.unflatten(2, (h, w))  # (B, d, H/16, W/16)
        U5 = self.from_encoder(torch.cat([seen, X5], 1))  # (B, c, H/16, W/16)
        *_, D2 = self.decoder(U5, U4, U3, self.decoder.reduce_low(features[2][:, current]))  # (B, w4, H/4, W/4)

        Q, masks = self.query_embedding.expand(B, -1, -1), []  # (B, queries, d)
        for layer in self.asks:
            Q = layer(Q, E, memory_key_padding_mask=padding)
            masks.append(self.draw(self.norm_Q(Q), D2))  # (B, H/4, W/4)
        return as_output(masks, frames)

    def draw(self, Q: Tensor, D2: Tensor) -> Tensor:
        """Queries `(B, queries, d)` and pixels `(B, w4, h, w)` to logits `(B, h, w)`."""
        kernels = (self.score_heads(Q).softmax(1) * self.kernel_heads(Q)).sum(1)  # (B, w4 + 1): masks add up so too
        return torch.einsum("bc,bchw->bhw", kernels[:, :-1], D2) + kernels[:, -1, None, None]
