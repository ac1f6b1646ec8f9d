"""The mask decoder: top-down with concatenation, every level supervised [L, D-13]. Notebook: 07_decoder_and_loss.

D5 = CBR(U5);  D4 = CBR([D5 ; U4])
D3 = CBR([up D4 ; U3])
D2 = CBR([up D3 ; CBR1x1(Res2 of the current frame)])      both sides brought to 64 by 1x1 first

z = up z2 + refine([up z2 ; frame])                         at the frame's own size, if the model has a refinement
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .layers import CBR


class MaskDecoder(nn.Module):
    """Four maps to four mask logits, coarse to fine.

    Shapes: `U5`, `U4` (B, w16, H/16, W/16), `U3` (B, w8, H/8, W/8), `low` (B, w4, H/4, W/4), which
    `reduce_low` makes of Res2 once per frame, to logits (B, h, w) at D5, D4, D3, D2. `widths` is (w4, w8, w16).
    """

    def __init__(self, low_channels: int, widths: tuple[int, int, int] = (64, 128, 256), norm: str = "batch"):
        super().__init__()
        w4, w8, w16 = widths
        self.reduce_low = CBR(low_channels, w4, 1, norm)
        self.D5 = CBR(w16, w16, 1, norm)
        self.D4 = CBR(2 * w16, w16, 1, norm)
        self.D3 = CBR(w16 + w8, w8, 3, norm)
        self.to_low = CBR(w8, w4, 1, norm)
        self.D2 = CBR(2 * w4, w4, 3, norm)
        self.heads = nn.ModuleList(nn.Conv2d(w, 1, 1) for w in (w16, w16, w8, w4))

    def forward(self, U5: Tensor, U4: Tensor, U3: Tensor, low: Tensor) -> list[Tensor]:
        D5 = self.D5(U5)  # (B, w16, H/16, W/16)
        D4 = self.D4(torch.cat([D5, U4], 1))  # (B, w16, H/16, W/16)
        D3 = self.D3(torch.cat([_resize(D4, U3), U3], 1))  # (B, w8, H/8, W/8)
        D2 = self.D2(torch.cat([_resize(self.to_low(D3), low), low], 1))  # (B, w4, H/4, W/4)
        return [head(D).squeeze(1) for head, D in zip(self.heads, (D5, D4, D3, D2), strict=True)]  # (B, h, w) each


class Refinement(nn.Module):
    """Logits at the frame's own size from those of stride 4 and the frame's pixels (D-13).

    The logits say which object, the pixels say where it ends. What is added to the resized logits is found for blocks
    of 2 x 2 pixels: a quarter of the positions, four answers each. At the start nothing is added.

    Shapes: logits `z2` (B, h, w) and `frame` (B, 3, H, W) to logits (B, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.near = nn.Conv2d(4 * 4, channels, 3, padding=1)
        self.wide = nn.Conv2d(channels, channels, 3, padding=1)
        self.heads = nn.Conv2d(channels, 4, 1)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)  # type: ignore[arg-type]  # there is one

    def forward(self, z2: Tensor, frame: Tensor) -> Tensor:
        H, W = frame.shape[2:]
        z = _resize(z2[:, None], frame)  # (B, 1, H, W)
        x = F.pad(torch.cat([z, frame], 1), (0, W % 2, 0, H % 2))  # (B, 4, H, W), both even
        x = F.pixel_unshuffle(x, 2)  # (B, 16, H/2, W/2)
        x = self.wide(self.near(x).relu()).relu()  # (B, c, H/2, W/2)
        added = F.pixel_shuffle(self.heads(x), 2)  # (B, 1, H, W)
        return (z + added[:, :, :H, :W]).squeeze(1)  # (B, H, W)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def resize_logits(logits: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resizing of `logits` (..., h, w) to (..., height, width), in float32."""
    maps = logits.float().reshape(-1, 1, *logits.shape[-2:])
    maps = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    return maps.reshape(*logits.shape[:-2], height, width)


def logits_to_mask(logits: Tensor, height: int, width: int) -> Tensor:
    """Bool masks (..., height, width): logits are resized first and thresholded at 0 after (D-15).

    The other order discards how sure each position was: every edge comes to lie half-way between two positions.
    """
    return resize_logits(logits, height, width) > 0


def mask_confidence(probabilities: ArrayLike, mask: ArrayLike) -> float:
    """Mean probability over the foreground of a mask of the same shape, 0 if it is empty (D-15)."""
    probabilities, mask = np.asarray(probabilities), np.asarray(mask, dtype=bool)
    if probabilities.shape != mask.shape:
        raise ValueError(f"expected probabilities and a mask of one size; found {probabilities.shape} and {mask.shape}")
    return float(probabilities[mask].mean(dtype=np.float64)) if mask.any() else 0.0
