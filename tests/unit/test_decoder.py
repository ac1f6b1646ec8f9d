"""The decoder: sizes, which head hears which level, and its equations step by step."""

import inspect

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder

WIDTHS = (4, 6, 8)  # strides 4, 8, 16


def make() -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder(5, WIDTHS).eval()


def levels(B=2, height=50, width=70, seed=0):
    g = torch.Generator().manual_seed(seed)

    def level(channels, stride):
        return torch.randn(B, channels, -(-height // stride), -(-width // stride), generator=g)

    return level(8, 16), level(8, 16), level(6, 8), level(5, 4)  # U5, U4, U3, Res2


@settings(max_examples=15)
@given(height=st.integers(1, 90), width=st.integers(1, 90))
def test_four_heads_from_coarse_to_fine_at_the_size_of_their_level(height, width):
    decoder, (U5, U4, U3, V) = make(), levels(1, height, width)
    logits = decoder(U5, U4, U3, decoder.reduce_low(V))
    assert [x.shape for x in logits] == [(1, *u.shape[2:]) for u in (U5, U4, U3, V)]


def test_each_head_hears_its_own_level_and_all_coarser_ones():
    decoder, inputs = make(), [x.requires_grad_() for x in levels()]
    U5, U4, U3, V = inputs
    logits = decoder(U5, U4, U3, decoder.reduce_low(V))
    for k, head in enumerate(logits):
        grads = torch.autograd.grad(head.square().sum(), inputs, retain_graph=True, allow_unused=True)
        assert [g is not None and bool(g.any()) for g in grads] == [i <= k for i in range(4)]


def test_the_decoder_is_its_equations():
    decoder, (U5, U4, U3, V) = make(), levels()

    def up(x, like):
        return F.interpolate(x, like.shape[2:], mode="bilinear")

    low = decoder.reduce_low(V)
    D5 = decoder.D5(U5)
    D4 = decoder.D4(torch.cat([D5, U4], 1))
    D3 = decoder.D3(torch.cat([up(D4, U3), U3], 1))
    D2 = decoder.D2(torch.cat([up(decoder.to_low(D3), low), low], 1))
    expected = [head(D)[:, 0] for head, D in zip(decoder.heads, (D5, D4, D3, D2), strict=True)]
    for one, other in zip(decoder(U5, U4, U3, low), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert decoder.to_low[0].kernel_size == decoder.reduce_low[0].kernel_size == (1, 1)
    assert decoder.D2[0].in_channels == 2 * WIDTHS[0], "stride 4 sees only narrow maps"


def test_every_parameter_learns_from_its_own_head():
    decoder, (U5, U4, U3, V) = make().train(), levels()
    logits = decoder(U5, U4, U3, decoder.reduce_low(V))
    sum(x.square().sum() for x in logits).backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())


def test_a_block_without_options_is_that_of_the_paper_preset():
    c, parameters = ModelConfig(), inspect.signature(MaskDecoder).parameters.values()
    expected = {"widths": c.widths, "norm": c.norm}
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected
