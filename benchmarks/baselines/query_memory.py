"""Query memory: object queries follow what they found from frame to frame; frames meet in them alone."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.model import DTSEOutput

from .common import as_output, whole_window
from .query_transformer import QueryTransformer


class QueryMemory(QueryTransformer):
    """The query transformer, frame by frame: each query begins at what it held in the frame before.

    Source: D. Wu, T. Wang, Y. Zhang, X. Zhang, J. Shen, "OnlineRefer: a simple online baseline for referring video
    object segmentation", ICCV 2023; trackers of 2024 carry their queries likewise.
    Simplified: DTSE's streams; no boxes; one target, to which the queries' masks add up as in `query_transformer`; the
    memory comes from both ends of the window: from its first frame on to the current one, from its last frame back to
    it. Parameters at `tiny`: 1,105,282. Sees all T frames: pixels and words read each other within a frame alone.

        E_t = encoder([pixels of Res5, frame t, with place ; words])
        M = W decoder(queries + M, E_t),   t = 0, 1, ... or, with another W, T - 1, T - 2, ... up to the current frame
        Q = decoder(queries + M_before + M_after, E_current)
        logits = sum_q softmax(score(Q))_q * (kernel(Q)_q . D2)
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        del self.frame_embedding
        d = config.vlmg_width
        self.carry_on, self.carry_back = nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> DTSEOutput:
        """`frames (B / S, T, 3, H, W)`; for each, S sentences in a row: `input_ids`, `attention_mask (B, N)`."""
        frames, current = whole_window(frames, self.config)
        T, features = frames.shape[1], self.encoder.see(frames)  # {2: (B / S, T, C, H/4, W/4), ...}
        pixels, words = self.tokens(features[5], input_ids, attention_mask)  # (B, T, hw, d), (B, N, d)
        each = (x.repeat_interleave(T, 0) for x in (words, attention_mask))  # one for each frame
        E, padding = (x.unflatten(0, (-1, T)) for x in self.encode(pixels.flatten(0, 1), *each))  # (B, T, hw + N, d)
        D2 = self.paint(E[:, current, : pixels.shape[2]], features, current)  # (B, w4, H/4, W/4)
        before = self.follow(range(current), self.carry_on, E, padding)  # (B, queries, d)
        after = self.follow(range(T - 1, current, -1), self.carry_back, E, padding)  # (B, queries, d)
        Q = self.query_embedding + before + after  # (B, queries, d)
        return as_output(self.ask(Q, E[:, current], padding[:, current], D2), frames[:, current], self.refinement)

    def follow(self, order: Iterable[int], carry: nn.Module, E: Tensor, padding: Tensor) -> Tensor:
        """What the queries hold after some frames of `E (B, T, hw + N, d)`: `(B, queries, d)`, 0 after none."""
        M = torch.zeros_like(self.query_embedding).expand(len(E), -1, -1)
        for t in order:
            Q = self.query_embedding + M
            for layer in self.asks:
                Q = layer(Q, E[:, t], memory_key_padding_mask=padding[:, t])
            M = carry(self.norm_Q(Q))
        return M
