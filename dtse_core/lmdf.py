"""LMDF: language-guided multi-scale dynamic filtering [A]. Notebook: 06_lmdf.

It stands after Res3 and its VLMG [D-12]; there, `F_t` is frame t's feature, `s_t` the mean of its words. References are
encoded no further; `s` is the mean of the current frame's words after the last VLMG. The equations:

    X_t = CBR1x1(F_t)                                             every frame
    G_t = P X_t * sigmoid(Conv3x3(P X_t) + W_s s_t)               language gate [D-9]
    Y   = CBR3x3([G_cur ; G_ref1 - G_cur ; ...]) + W_y s          language-guided spatial-temporal feature [D-10]
    k_r = Conv1x1(Y), one convolution a rate                      position-specific filters [A]
    x_t = Conv1x1(X_t)                                            every frame
    Z_r[p] = sum over o of k_r[o, p] * x_t[p + r*o]               multi-scale: one dilation r a scale [L: HDFNet]
             t is the current frame at the first r, one reference at each further r: alignment [D-10]
    U   = X_cur + CBR1x1([x_cur ; Z_1 ; Z_3 ; Z_5])               the updated feature of the current frame
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .layers import CBR


def dynamic_filter_reference(x: Tensor, filters: Tensor, dilation: int) -> Tensor:
    """`dynamic_filter` as the equation says it, one multiplication at a time. Slow: for tests and notebooks."""
    B, m, H, W = x.shape
    K = round(filters.shape[2] ** 0.5)
    Z = torch.zeros_like(x)
    for b in range(B):
        for c in range(m):
            for i in range(H):
                for j in range(W):
                    for o in range(K * K):
                        y = i + dilation * (o // K - K // 2)
                        z = j + dilation * (o % K - K // 2)
                        if 0 <= y < H and 0 <= z < W:
                            Z[b, c, i, j] += filters[b, c, o, i, j] * x[b, c, y, z]
    return Z


def dynamic_filter(x: Tensor, filters: Tensor, dilation: int) -> Tensor:
    """Filters every position with its own K x K kernel: `Z[p] = sum over o of filters[o, p] * x[p + dilation * o]`.

    Shapes: `x (B, m, H, W)`, `filters (B, m, K*K, H, W)` in row-major order of offsets, zero outside
    the map; returns `(B, m, H, W)`. Adds K*K shifted slices in place, forward and backward, so the
    K*K-fold unfolded copy of `x` never exists. Raises `ValueError` for shapes that do not fit.
    """
    K = round(filters.shape[2] ** 0.5) if filters.ndim == 5 else 0
    if filters.shape != (*x.shape[:2], K * K, *x.shape[2:]) or K % 2 == 0:
        raise ValueError(
            f"filters must be (B, m, K*K, H, W) with odd K for x {tuple(x.shape)}; got {tuple(filters.shape)}"
        )
    return _DynamicFilter.apply(x, filters, dilation)


class _DynamicFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, filters)
        ctx.dilation = dilation
        taps = filters.unbind(2)  # K*K times (B, m, H, W)
        middle = len(taps) // 2
        Z = taps[middle] * x  # reaches every position: the other offsets add to it
        for o, here, there in _shifts(x, filters, dilation):
            Z[here].addcmul_(taps[o][here], x[there])
        return Z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, filters = ctx.saved_tensors
        grad_filters = torch.zeros_like(filters)
        taps, grad_taps = filters.unbind(2), grad_filters.unbind(2)
        middle = len(taps) // 2
        grad_x = taps[middle] * grad
        torch.mul(grad, x, out=grad_taps[middle])
        for o, here, there in _shifts(x, filters, ctx.dilation):
            grad_x[there].addcmul_(taps[o][here], grad[here])
            torch.mul(grad[here], x[there], out=grad_taps[o][here])
        return grad_x, grad_filters, None


def _shifts(x: Tensor, filters: Tensor, dilation: int) -> Iterator[tuple[int, tuple, tuple]]:
    """For each offset `o` but the middle one: the positions `p` whose `p + dilation * o` lies on the map, and those
    it lands on."""
    K = round(filters.shape[2] ** 0.5)
    H, W = x.shape[2:]
    for o in range(K * K):
        dy, dx = dilation * (o // K - K // 2), dilation * (o % K - K // 2)
        if o != K * K // 2 and abs(dy) < H and abs(dx) < W:
            here = (..., slice(max(0, -dy), H - max(0, dy)), slice(max(0, -dx), W - max(0, dx)))
            there = (..., slice(max(0, dy), H - max(0, -dy)), slice(max(0, dx), W - max(0, -dx)))
            yield o, here, there


class LMDF(nn.Module):
    """Updates the current frame's feature with filters generated from language-guided motion.

    Shapes: `F (B, T, C, H, W)`, sentence as each frame read it `s (B, T, D)`, to `U (B, c, H, W)` for frame
    `current`. `remember` and `update` are its two halves: the first runs once per frame and is
    cached by the streaming predictor, the second once per current frame. `DTSE` calls them itself: `remember`
    with `s_t`, `update` with the current frame's final `s`, where `forward` has one vector for both.

    `mode`: "full", "current_only" (filters from the current frame alone), "static" (a convolution of
    equal size that is the same everywhere) or "off" (`U = X_cur`, as after Res4 and Res5).

    `filtered`: what the filters of "full" act on. "reference": those of the first rate on x of the current frame,
    those of each further rate on x of one reference, in order of time, for as many references as there are rates left;
    a rate without one has the current frame. So a position can take from another frame what stands here now
    (alignment) [D-10]. "current": all act on x of the current frame.
    """

    def __init__(
        self,
        channels: int,  # C
        outputs: int,  # c
        text_width: int,  # D
        *,
        window: int = 3,  # T
        width: int = 64,  # w
        filtered_width: int = 64,  # m
        filter_size: int = 3,  # K
        dilations: tuple[int, ...] = (1, 3, 5),
        norm: str = "batch",
        mode: str = "full",
        language: bool = True,
        filtered: str = "reference",
    ):
        super().__init__()
        self.mode, self.language, self.filtered = mode, language, filtered
        self.dilations, self.references = dilations, window - 1
        m, K, R = filtered_width, filter_size, len(dilations)
        self.reduce = CBR(channels, outputs, 1, norm)
        if mode == "off":
            return
        self.to_filtered = nn.Conv2d(outputs, m, 1)
        self.fuse = CBR(m * (R + 1), outputs, 1, norm)
        if mode == "static":
            self.static = nn.ModuleList(
                nn.Conv2d(m, m, K, 1, r * (K // 2), r, m, bias=False)  # stride, padding, dilation, groups
                for r in dilations
            )
            return
        self.P = nn.Conv2d(outputs, width, 1)
        if language:
            self.gate = nn.Conv2d(width, width, 3, padding=1)
            self.W_s = nn.Linear(text_width, width)
            self.W_y = nn.Linear(text_width, width)
        self.difference = CBR(width * window, width, 3, norm)
        to_filters = [nn.Conv2d(width, K**2 * m, 1) for _ in dilations]
        self.to_filters = nn.ModuleList(to_filters)

    def forward(self, F: Tensor, s: Tensor, current: int) -> Tensor:
        B, T = F.shape[:2]
        X, G = self.remember(F.flatten(0, 1), s.flatten(0, 1))  # (B*T, c, H, W), (B*T, w, H, W)
        X, G = X.unflatten(0, (B, T)), None if G is None else G.unflatten(0, (B, T))
        others = [t for t in range(T) if t != current]
        references = [(X[:, t], G[:, t]) for t in others] if G is not None and self.uses_references else []
        return self.update(X[:, current], None if G is None else G[:, current], s[:, current], references)

    @property
    def uses_references(self) -> bool:
        """True if frames other than the current one matter."""
        return self.mode == "full" and self.references > 0

    def remember(self, F: Tensor, s: Tensor) -> tuple[Tensor, Tensor | None]:
        """What a frame contributes on its own: `F (B, C, H, W)`, `s (B, D)` to `X (B, c, H, W)`, `G (B, w, H, W)`."""
        X = self.reduce(F)  # (B, c, H, W)
        if self.mode in ("off", "static"):
            return X, None
        G = self.P(X)  # (B, w, H, W)
        if self.language:
            G = G * torch.sigmoid(self.gate(G) + self.W_s(s)[:, :, None, None])  # (B, w, H, W)
        return X, G

    def update(self, X: Tensor, G: Tensor | None, s: Tensor, references: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """The current frame's `X`, `G`, `s` and the references' `(X, G)`, in order of time, to `U (B, c, H, W)`."""
        if self.mode == "off":
            return X
        x = self.to_filtered(X)  # (B, m, H, W)
        if G is None:  # static
            Z = [convolution(x) for convolution in self.static]  # R times (B, m, H, W)
        else:
            G_refs = [G_ref for _, G_ref in references]
            Y = self.spatial_temporal_feature(G, s, G_refs)  # (B, w, H, W)
            xs = self.filtered_features(x, [X_ref for X_ref, _ in references])  # R times (B, m, H, W)
            Z = [dynamic_filter(xs[i], self.make_filters(Y, i), r) for i, r in enumerate(self.dilations)]  # likewise
        return X + self.fuse(torch.cat([x, *Z], 1))  # (B, c, H, W)

    def filtered_features(self, x: Tensor, X_refs: Sequence[Tensor]) -> list[Tensor]:
        """What the filters of each rate act on, given the current frame's `x (B, m, H, W)`: R times `(B, m, H, W)`."""
        R = len(self.dilations)
        X_refs = X_refs[: R - 1] if self.filtered == "reference" else []
        xs = [x] + [self.to_filtered(X_ref) for X_ref in X_refs]  # (B, m, H, W) each
        return xs + [x] * (R - len(xs))  # where there is no reference, the current frame

    def spatial_temporal_feature(self, G: Tensor, s: Tensor, G_refs: Sequence[Tensor]) -> Tensor:
        """Gated features of the current frame and its references to the spatial-temporal feature `Y (B, w, H, W)`."""
        G_refs = list(G_refs) + [G] * (self.references - len(G_refs))  # a missing reference repeats the current frame
        changes = [G_ref - G for G_ref in G_refs]  # T - 1 times (B, w, H, W)
        Y = self.difference(torch.cat([G, *changes], 1))  # (B, w, H, W)
        return Y + self.W_y(s)[:, :, None, None] if self.language else Y  # (B, w, H, W)

    def make_filters(self, Y: Tensor, i: int) -> Tensor:
        """`Y (B, w, H, W)` to the filters of dilation number `i`, `k_r (B, m, K*K, H, W)`.

        Of one dilation at a time, so that the processor's cache still holds them when they are applied; offset by
        offset, so that in channels-last layout one offset's values for all m channels are neighbors.
        """
        k = self.to_filters[i](Y)  # (B, K*K*m, H, W)
        m = self.to_filtered.out_channels
        return k.unflatten(1, (-1, m)).transpose(1, 2)  # (B, m, K*K, H, W)
