"""The few layers that two components share: CBR, pyramid pooling, coordinates."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def make_norm(channels: int, kind: str) -> nn.Module:
    """Batch norm, or group norm where the result must not depend on the rest of the batch (D-16)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(math.gcd(8, channels), channels)


class CBR(nn.Sequential):
    """Convolution, norm, ReLU: `(B, inputs, H, W)` to `(B, outputs, H, W)`, same size."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, norm: str = "batch"):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            make_norm(outputs, norm),
            nn.ReLU(inplace=True),
        )


class PyramidPool(nn.Module):
    """Averages a map over 1x1, 3x3, 6x6 ... grids and lists the cells as regions [L: asymmetric attention].

    Shapes: `(B, C, H, W)` to `(B, M, C)` with `M = sum(bin * bin)`. The map may be smaller than a grid.
    """

    def __init__(self, bins: tuple[int, ...]):
        super().__init__()
        self.bins = bins
        self.regions = sum(b * b for b in bins)  # M

    def forward(self, x: Tensor) -> Tensor:
        cells = [F.adaptive_avg_pool2d(x, b).flatten(2) for b in self.bins]  # each (B, C, b*b)
        return torch.cat(cells, dim=2).transpose(1, 2)  # (B, M, C)


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """The 8 coordinate channels `s8` of VLMG, `(8, H, W)`: each cell's left, top, right, bottom, centre in
    [-1, 1], and 1/W, 1/H. `like` gives device and dtype.
    """
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    left, center_x, right = (2 * (x + shift) / width - 1 for shift in (0, 0.5, 1))
    top, center_y, bottom = (2 * (y + shift) / height - 1 for shift in (0, 0.5, 1))
    rows = [v.expand(height, width) for v in (left, right, center_x)]
    columns = [v[:, None].expand(height, width) for v in (top, bottom, center_y)]
    ones = torch.ones(height, width, device=like.device, dtype=like.dtype)
    return torch.stack([rows[0], columns[0], rows[1], columns[1], rows[2], columns[2], ones / width, ones / height])
