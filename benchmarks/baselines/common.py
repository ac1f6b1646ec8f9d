"""What the baselines share: both streams side by side, frames joined by one convolution, DTSE's own decoder.

Whatever is not a baseline's idea is DTSE's: streams, decoder, widths, coordinates, the way in which a short window is
completed. So a difference between two of them is one of ideas.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder, Refinement
from dtse_core.layers import CBR, coordinates
from dtse_core.model import DTSEOutput
from dtse_core.streams import LinguisticStream, VisualStream


class Streams(nn.Module):
    """The two streams of DTSE without a word between them."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        c, saved = config, config.saved_streams
        self.visual = VisualStream(
            c.visual, c.pretrained, saved.get("visual"), c.norm, freeze=c.pretrained and c.freeze_batch_norm
        )
        self.text = LinguisticStream(c.text, c.pretrained, saved.get("text"))

    def see(self, frames: Tensor) -> dict[int, Tensor]:
        """`(B, T, 3, H, W)` to Res2 to Res5, each `(B, T, C, h, w)`."""
        return {n: V.unflatten(0, frames.shape[:2]) for n, V in self.visual(frames.flatten(0, 1)).items()}

    def read(self, input_ids: Tensor, word_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, N)` to the last layer's words `(B, N, D)` and their mean `(B, D)`."""
        L = self.text(input_ids, word_mask)  # (B, N, D)
        return L, sentence_mean(L, word_mask)


class Baseline(nn.Module, PyTorchModelHubMixin):
    """A model on two streams, its `encoder`.

    Its checkpoint carries their settings, as DTSE's does: it builds without the hub, and a run can start from it.
    """

    def __init__(self, config: ModelConfig, streams: type[Streams] = Streams):
        super().__init__()
        self.encoder = streams(config)
        saved = {"visual": self.encoder.visual.settings, "text": self.encoder.text.settings}
        self.config = self._hub_mixin_config = replace(config, saved_streams=saved)


def sentence_mean(L: Tensor, word_mask: Tensor) -> Tensor:
    """Words `(B, N, D)` to their mean without padding `(B, D)`."""
    kept = word_mask[:, :, None]  # (B, N, 1)
    return (L * kept).sum(1) / kept.sum(1)


class JoinFrames(nn.Module):
    """One level's T frames to one map of the current frame: `(B, T, C, h, w)` to `(B, c, h, w)`.

    The simplest way that tells a motion from its opposite: `U = X_cur + CBR3x3([X_cur ; X_ref - X_cur ; ...])`.
    """

    def __init__(self, channels: int, outputs: int, config: ModelConfig):
        super().__init__()
        self.reduce = CBR(channels, outputs, 1, config.norm)
        self.change = CBR(config.window * outputs, outputs, 3, config.norm)

    def forward(self, V: Tensor, current: int) -> Tensor:
        X = self.reduce(V.flatten(0, 1)).unflatten(0, V.shape[:2])  # (B, T, c, h, w)
        now = X[:, current]  # (B, c, h, w)
        changes = [X[:, t] - now for t in range(X.shape[1]) if t != current]
        return now + self.change(torch.cat([now, *changes], 1))  # (B, c, h, w)


def per_sentence(x: Tensor, sentences: Tensor) -> Tensor:
    """What is there once for each window, `(B / S, ...)`, once for each of `sentences (B, ...)`: `(B, ...)`.

    S sentences in a row are about one window; what they do not change is computed before this, once.
    """
    return x.repeat_interleave(len(sentences) // len(x), 0)


def level_widths(config: ModelConfig) -> dict[int, int]:
    """Channels at which the decoder takes Res3, Res4 and Res5."""
    _, w8, w16 = config.widths
    return {3: w8, 4: w16, 5: w16}


def whole_window(frames: Tensor, config: ModelConfig) -> tuple[Tensor, int]:
    """`frames (B, T, 3, H, W)`, completed with the current one to the model's window, and its index there."""
    (T, W), last = (frames.shape[1], config.window), config.causal
    found, wanted = (T - 1, W - 1) if last else (T // 2, W // 2)
    now = frames[:, found : found + 1]  # (B, 1, 3, H, W)
    before, after = (now.expand(-1, n, -1, -1, -1) for n in (wanted - found, W - T - (wanted - found)))
    return torch.cat([before, frames, after], 1), wanted


def with_place(V: Tensor, *vectors: Tensor) -> Tensor:
    """`(B, C, h, w)` with the 8 coordinate channels, and vectors `(B, D)` tiled over all positions."""
    B, _, h, w = V.shape
    place = coordinates(h, w, like=V).expand(B, -1, -1, -1)  # (B, 8, h, w)
    tiled = [x[:, :, None, None].expand(-1, -1, h, w) for x in vectors]  # (B, D, h, w)
    return torch.cat([V, place, *tiled], 1)  # (B, C + 8 + D, h, w)


def read_by_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of one head: `q (B, P, d)` over `k` and `v (B, Q, d)`; `mask (B, Q)` is 0 for padding."""
    mask = None if mask is None else mask[:, None] > 0  # (B, 1, Q)
    return F.scaled_dot_product_attention(q, k, v, mask)  # (B, P, d)


def feature_decoder(low_channels: int, config: ModelConfig) -> MaskDecoder:
    """DTSE's decoder without its heads: it gives D5, D4, D3 and D2 themselves, each `(B, c, h, w)`."""
    decoder = MaskDecoder(low_channels, config.widths, config.norm)
    decoder.heads = nn.ModuleList(nn.Identity() for _ in decoder.heads)
    return decoder


def make_refinement(config: ModelConfig) -> Refinement | None:
    """DTSE's refinement of the logits, if the model is to have one."""
    return Refinement(config.refine) if config.refine else None


def as_output(coarse_to_fine: list[Tensor], frame: Tensor, refinement: Refinement | None) -> DTSEOutput:
    """Logits `(B, h, w)`, the last the answer about `frame (B / S, 3, H, W)`, as DTSE gives them at its size."""
    *aux, finest = coarse_to_fine
    if refinement:
        logits = refinement(finest, per_sentence(frame, finest))
    else:
        logits = F.interpolate(finest[:, None], size=frame.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return DTSEOutput(logits, tuple(aux), {})  # logits (B, H, W)
