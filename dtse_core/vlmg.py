"""VLMG: vision and language guide each other [A]. Notebook: 04_vlmg.

`pool` averages a map over the cells of a few grids, its M regions; `s8` says where each pixel lies.

    (1)  m  = Norm( W_v V + W_s s8 + W_g L[cls] )                 pixels, in the width d
    (2)  t  = Norm( W_l L )                                       words, in the width d
    (3)  a  = softmax_N( W_q m . t / sqrt(d) )                    the words that a pixel reads
    (4)  e  = a t                                                 the sentence as that pixel reads it
    (5)  A  = softmax_M( (Q_m m . pool(K_m m) + Q_e e . pool(K_e e)) / sqrt(d) )   the regions that it reads [L]
    (6)  f  = CBR1x1( [ A pool(V_m m) ; A pool(V_e e) ; m * e ] ) language-guided vision [D-7]
    (7)  V' = V + g_V * W_f f
    (8)  L' = L + g_L * MHA(q = L, k = v = pool(f))               vision-guided language [D-8]

The code computes them in the cheaper order: a matrix that all pixels would be multiplied by, only to meet words or
regions, is applied to the words or regions instead. Three identities allow it:

    W m . t = m . (t W)        pool(K m) = pool(m) K'        pool(K e) = pool(a) (t K')

for rows of vectors and the transposed K'. `torch.baddbmm(x, y, z)` is x + y z in one pass over memory. So five layers
are used through their weights, where no hook sees them. Called on all pixels, `W_q`, `Q_m` and `Q_e` take 1.5 (`tiny`)
to 5 times (`paper`) as long, on one thread; `W_v` and `W_f` take about as long, 1.0 to 1.4 times with the backward
pass, and round otherwise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import PyramidPool, coordinates, make_norm


class VLMGMaps(NamedTuple):
    """What VLMG looked at, for the explorers."""

    words: Tensor  # a (B, HW, N): the words that each pixel reads
    regions: Tensor  # A (B, HW, M): the regions that each pixel reads


class VLMG(nn.Module):
    """One insertion between the streams.

    Shapes: `V (B, C, H, W)`, `L (B, N, D)`, `word_mask (B, N)` to `V'`, `L'` of the same shapes, and
    `VLMGMaps` or None. `word_mask` is 0 for padding and holds a word in each row: of padding alone all is NaN.
    With both gates at zero it is the identity; padded words weigh exactly 0.
    """

    def __init__(
        self,
        channels: int,  # C
        text_width: int,  # D
        *,
        width: int = 256,  # d
        heads: int = 8,
        bins: tuple[int, ...] = (1, 3, 6, 8),
        norm: str = "batch",
        gate_init: float = 0.0,
        language_to_vision: bool = True,
        vision_to_language: bool = True,
    ):
        super().__init__()
        self.W_v = nn.Conv2d(channels, width, 1, bias=False)
        self.W_s = nn.Linear(8, width, bias=False)
        self.W_g = nn.Linear(text_width, width)
        self.W_l = nn.Linear(text_width, width)
        self.norm_m, self.norm_t = nn.LayerNorm(width), nn.LayerNorm(width)
        self.W_q, self.Q_m, self.K_m, self.Q_e, self.K_e, self.V_m, self.V_e = (
            nn.Linear(width, width, bias=False) for _ in range(7)
        )
        self.pool = PyramidPool(bins)
        self.fuse = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(3))  # CBR1x1 in three blocks
        self.fuse_norm = make_norm(width, norm)
        if language_to_vision:
            self.W_f = nn.Conv2d(width, channels, 1, bias=False)
            self.gate_V = nn.Parameter(torch.full((channels,), gate_init))
        if vision_to_language:
            self.read = RegionAttention(text_width, width, heads)
            self.gate_L = nn.Parameter(torch.full((text_width,), gate_init))
        self.language_to_vision = language_to_vision
        self.vision_to_language = vision_to_language
        self.scale = width**-0.5  # 1 / sqrt(d)

    def project(self, V: Tensor, L: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels m `(B, HW, d)`, which know their place and the sentence, and words t `(B, N, d)`."""
        H, W = V.shape[2:]
        place = self.W_s(coordinates(H, W, like=V).flatten(1).mT)  # (HW, d)
        place = place + self.W_g(L[:, :1])  # (B, HW, d)
        W_v = self.W_v.weight.flatten(1).mT.expand(len(V), -1, -1)  # (B, C, d)
        m = self.norm_m(torch.baddbmm(place, _tokens(V), W_v))  # (1) (B, HW, d)
        return m, self.norm_t(self.W_l(L))  # (2) (B, N, d)

    def read_words(self, m: Tensor, t: Tensor, word_mask: Tensor) -> Tensor:
        """The weights a `(B, HW, N)` by which each pixel reads the words; padding weighs exactly 0."""
        scores = m @ (self.scale * t @ self.W_q.weight).mT  # m . (t W_q) / sqrt(d)  (B, HW, N)
        scores = scores.masked_fill(word_mask[:, None] == 0, float("-inf"))
        return scores.softmax(-1)  # (3) (B, HW, N)

    def read_regions(self, m: Tensor, t: Tensor, a: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The weights A `(B, HW, M)` by which each pixel reads the regions, and what it learns, f `(B, d, H, W)`."""
        e = a @ t  # (4) (B, HW, d)
        R_m, R_a = self.pool(_map(m, size)), self.pool(_map(a, size))  # pool(m) (B, M, d), pool(a) (B, M, N)
        keys_m = self.K_m(R_m) @ (self.scale * self.Q_m.weight)  # pool(K_m m) Q_m / sqrt(d)  (B, M, d)
        keys_e = R_a @ (self.K_e(t) @ (self.scale * self.Q_e.weight))  # pool(K_e e) Q_e / sqrt(d)  (B, M, d)
        A = torch.baddbmm(a @ (t @ keys_e.mT), m, keys_m.mT).softmax(-1)  # (5) e . keys_e + m . keys_m  (B, HW, M)

        # the two parts of (6) that A mixes, as A times one sum
        values = torch.baddbmm(self.fuse[0](self.V_m(R_m)), R_a, self.fuse[1](self.V_e(t)))  # (B, M, d)
        f = torch.baddbmm(self.fuse[2](m * e), A, values)  # (B, HW, d)
        return A, F.relu(self.fuse_norm(_map(f, size)))  # (6) (B, d, H, W)

    def forward(
        self, V: Tensor, L: Tensor, word_mask: Tensor, return_maps: bool = False
    ) -> tuple[Tensor, Tensor, VLMGMaps | None]:
        size = V.shape[2:]
        m, t = self.project(V, L)  # (B, HW, d), (B, N, d)
        a = self.read_words(m, t, word_mask)  # (B, HW, N)
        A, f = self.read_regions(m, t, a, size)  # (B, HW, M), (B, d, H, W)
        if self.language_to_vision:
            W_f = self.gate_V[:, None] * self.W_f.weight.flatten(1)  # (C, d)
            W_f = W_f.mT.expand(len(V), -1, -1)  # (B, d, C)
            V = _map(torch.baddbmm(_tokens(V), _tokens(f), W_f), size)  # (7) (B, C, H, W)
        if self.vision_to_language:
            L = L + self.gate_L * self.read(L, self.pool(f))  # (8) (B, N, D)
        return V, L, VLMGMaps(a, A) if return_maps else None


class RegionAttention(nn.Module):
    """Words `L (B, N, D)` read the regions `(B, M, d)` by multi-head attention of inner width d: `(B, N, D)`.

    Raises `ValueError` unless the number of heads divides d.
    """

    def __init__(self, text_width: int, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f"vlmg_heads is {heads}; it must divide vlmg_width, which is {width}")
        self.heads = heads
        self.query, self.output = nn.Linear(text_width, width), nn.Linear(width, text_width)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, L: Tensor, regions: Tensor) -> Tensor:
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N or M, d / heads)
            for x in (self.query(L), self.key(regions), self.value(regions))
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, d)
        return self.output(y)  # (B, N, D)


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, HW, C)


def _map(x: Tensor, size: Sequence[int]) -> Tensor:
    return x.transpose(1, 2).unflatten(2, size)  # (B, HW, C) -> (B, C, H, W)
