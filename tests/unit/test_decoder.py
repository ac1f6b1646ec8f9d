"""The decoder: sizes, which head hears which level, and its equations step by step."""

import inspect

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.config import ModelConfig
from dtse_core.decoder import MaskDecoder, Refinement, resize_logits

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


def refinement(channels=6) -> Refinement:
    """One that has learned something: its heads are no longer zero."""
    torch.manual_seed(0)
    refine = Refinement(channels)
    torch.nn.init.normal_(refine.heads.weight)
    torch.nn.init.normal_(refine.heads.bias)
    return refine


@settings(max_examples=15, deadline=None)
@given(H=st.integers(1, 9), W=st.integers(1, 9))
def test_a_refinement_reads_blocks_of_four_pixels_and_answers_each_of_them(H, W):
    """By loops: every block and its eight neighbors, four numbers a pixel, zeros where there is no pixel."""
    refine = refinement()
    g = torch.Generator().manual_seed(H * 10 + W)
    z2, frame = torch.randn(2, -(-H // 4), -(-W // 4), generator=g), torch.randn(2, 3, H, W, generator=g)
    z = resize_logits(z2, H, W)
    rows, columns = -(-H // 2), -(-W // 2)
    blocks = torch.zeros(2, 4, 2, 2, rows, columns)  # what is resized or seen, by place in a block
    for y in range(H):
        for x in range(W):
            blocks[:, 0, y % 2, x % 2, y // 2, x // 2] = z[:, y, x]
            blocks[:, 1:, y % 2, x % 2, y // 2, x // 2] = frame[:, :, y, x]

    def around(maps: torch.Tensor, convolution: torch.nn.Conv2d) -> torch.Tensor:
        out = convolution.bias[None, :, None, None].expand(2, -1, rows, columns).clone()
        for y in range(rows):
            for x in range(columns):
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        if 0 <= y + dy < rows and 0 <= x + dx < columns:
                            weight = convolution.weight[:, :, dy + 1, dx + 1]
                            out[:, :, y, x] += maps[:, :, y + dy, x + dx] @ weight.T
        return out.clamp_min(0)

    with torch.no_grad():
        found = refine(z2, frame)
        maps = around(around(blocks.flatten(1, 3), refine.near), refine.wide)
        for y in range(H):
            for x in range(W):
                head = y % 2 * 2 + x % 2
                added = maps[:, :, y // 2, x // 2] @ refine.heads.weight[head, :, 0, 0] + refine.heads.bias[head]
                torch.testing.assert_close(found[:, y, x], z[:, y, x] + added, atol=1e-4, rtol=1e-4)


def test_a_new_refinement_adds_nothing_and_then_every_weight_of_it_learns():
    torch.manual_seed(0)
    refine, z2, frame = Refinement(6), torch.randn(2, 3, 4), torch.randn(2, 3, 10, 14)
    assert torch.equal(refine(z2, frame), resize_logits(z2, 10, 14))
    optimizer = torch.optim.SGD(refine.parameters(), 0.1)
    for learns in ({"heads.weight", "heads.bias"}, {name for name, _ in refine.named_parameters()}):
        optimizer.zero_grad()
        refine(z2, frame).square().mean().backward()
        assert {name for name, p in refine.named_parameters() if p.grad.any()} == learns
        optimizer.step()


def test_a_block_without_options_is_that_of_the_paper_preset():
    c, parameters = ModelConfig(), inspect.signature(MaskDecoder).parameters.values()
    expected = {"widths": c.widths, "norm": c.norm}
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected
