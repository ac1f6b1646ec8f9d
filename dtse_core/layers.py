"""Small layers that the model is built of: norms, CBR, pyramid pooling, coordinates; and norms folded for inference."""

import copy
import math
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Model = TypeVar("Model", bound=nn.Module)


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
    A cell's mean is a mean of row means, so every grid is two small matrix products, several times
    faster than pooling the map itself.
    """

    def __init__(self, bins: tuple[int, ...]):
        super().__init__()
        self.bins = bins
        self.regions = sum(b * b for b in bins)  # M

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        rows, columns = self._means(H, x), self._means(W, x)  # (sum of bins, H), (sum of bins, W)
        bands = rows @ x.permute(0, 2, 3, 1).reshape(B, H, W * C)  # (B, sum of bins, W*C)
        bands = bands.unflatten(2, (W, C)).split(self.bins, 1)  # each (B, b, W, C)
        cells = [mean @ band for mean, band in zip(columns.split(self.bins), bands, strict=True)]  # (B, b, b, C)
        return torch.cat([cell.flatten(1, 2) for cell in cells], 1)  # (B, M, C)

    def _means(self, size: int, like: Tensor) -> Tensor:
        """Which weights average one side into the bins of each grid: the library's own, applied to the identity."""
        identity = torch.eye(size, dtype=torch.float64)  # on the CPU: Apple's GPUs pool only sides that bins divide
        return torch.cat([F.adaptive_avg_pool1d(identity, b) for b in self.bins], 1).T.to(like)  # (sum of bins, size)


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """The 8 coordinate channels `s8` of VLMG, `(8, H, W)`: each cell's left, top, right, bottom, center (x, y) in
    [-1, 1], and 1/W, 1/H. `like` gives device and dtype.
    """
    shift = torch.tensor([0, 1, 0.5], device=like.device, dtype=like.dtype)[:, None]  # start, end, center of a cell
    x, y = (
        2 * (torch.arange(size, device=like.device, dtype=like.dtype) + shift) / size - 1 for size in (width, height)
    )  # (3, W), (3, H)
    x, y = x[:, None].expand(3, height, width), y[:, :, None].expand(3, height, width)
    step = torch.tensor([1 / width, 1 / height], device=like.device, dtype=like.dtype)
    return torch.cat([torch.stack([x, y], 1).flatten(0, 1), step[:, None, None].expand(2, height, width)])


class _Convolution(nn.Conv2d):
    """In one thread PyTorch computes 1x1 convolutions without oneDNN, a tenth slower; here oneDNN computes all."""

    def forward(self, x: Tensor) -> Tensor:
        usual = x.device.type != "cpu" or x.dtype != torch.float32 or not torch.backends.mkldnn.is_available()
        if usual or isinstance(self.padding, str):
            return super().forward(x)
        where = self.padding, self.stride, self.dilation, self.groups
        return torch.mkldnn_convolution(x, self.weight, self.bias, *where)


def linear(x: Tensor, weight: Tensor, bias: Tensor, gelu: bool = False) -> Tensor:
    """`F.linear`, and GELU if asked. Without gradients, on a CPU, oneDNN computes both at once, a fifth faster."""
    usual = torch.is_grad_enabled() or x.device.type != "cpu" or not x.dtype == weight.dtype == torch.float32
    if usual or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.is_available():
        x = F.linear(x, weight, bias)
        return F.gelu(x) if gelu else x
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, *(("gelu", [], "none") if gelu else ("none", [], "")))


def folded(model: Model) -> Model:
    """A copy for inference. Every batch norm is folded into the convolution that stands before it in the same module;
    convolutions work in channels-last layout, on a CPU in oneDNN, ReLU in place. Outputs are the model's in `eval()`,
    to rounding.

    The model itself stays as it is; the copy shares all weights with it but those of convolutions.
    """
    shared = {id(p): p for p in model.parameters() if p.ndim != 4}
    fast: Any = copy.deepcopy(model, shared).eval()
    for parent in list(fast.modules()):
        for (name, layer), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, norm))
                setattr(parent, norm_name, nn.Identity())
    for layer in fast.modules():
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = _Convolution
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    return fast.to(memory_format=torch.channels_last)
