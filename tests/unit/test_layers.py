"""Shared layers against the library's own pooling, hand-computed coordinates, and a convolution written out."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.layers import CBR, PyramidPool, coordinates, make_norm

sizes = st.integers(1, 13)
BINS = [(1,), (1, 2, 4), (1, 3, 6, 8), (5, 2)]


@given(height=sizes, width=sizes, bins=st.sampled_from(BINS), channels_last=st.booleans(), seed=st.integers(0, 99))
def test_pyramid_pool_equals_adaptive_pooling_also_on_maps_smaller_than_a_grid(
    height, width, bins, channels_last, seed
):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    pool = PyramidPool(bins)
    expected = torch.cat([F.adaptive_avg_pool2d(x, b).flatten(2) for b in bins], 2).transpose(1, 2)
    regions = pool(x)
    assert regions.shape == (2, pool.regions, 3)
    torch.testing.assert_close(regions, expected, atol=1e-6, rtol=0)


def test_pyramid_pool_lists_cells_row_by_row_and_grid_by_grid():
    x = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None]
    assert PyramidPool((1, 2))(x)[0, :, 0].tolist() == [4, 1, 3, 5, 7]


def test_pyramid_pool_gradient_is_that_of_adaptive_pooling():
    x = torch.randn(1, 2, 7, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(PyramidPool((1, 3, 6)), x)


@settings(max_examples=20)
@given(height=sizes, width=sizes)
def test_coordinates_mirror_with_the_map_and_keep_the_center_between_the_edges(height, width):
    s8 = coordinates(height, width, torch.zeros(1, dtype=torch.double))
    left, top, right, bottom, center_x, center_y, step_x, step_y = s8
    assert s8.shape == (8, height, width)
    torch.testing.assert_close(left.flip(1), -right)
    torch.testing.assert_close(top.flip(0), -bottom)
    torch.testing.assert_close((left + right) / 2, center_x)
    torch.testing.assert_close((top + bottom) / 2, center_y)
    torch.testing.assert_close(right - left, 2 * step_x)
    torch.testing.assert_close(bottom - top, 2 * step_y)
    assert left.min() == -1 and right.max() == 1 and top.min() == -1 and bottom.max() == 1


def test_coordinates_of_one_row_of_two_cells():
    s8 = coordinates(1, 2, torch.zeros(1))[:, 0]  # (8, W)
    assert s8.T.tolist() == [[-1, -1, 0, 1, -0.5, 0, 0.5, 1], [0, -1, 1, 1, 0.5, 0, 0.5, 1]]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_cbr_is_convolution_norm_relu_at_the_same_size(kernel, norm):
    torch.manual_seed(0)
    block = CBR(3, 4, kernel, norm).eval()
    torch.nn.init.normal_(block[1].weight)
    torch.nn.init.normal_(block[1].bias)
    x = torch.randn(2, 3, 7, 5)
    mixed = F.conv2d(F.pad(x, [kernel // 2] * 4), block[0].weight)
    if norm == "group":  # gcd(8, 4) groups of one channel
        mixed = (mixed - mixed.mean((2, 3), True)) / (mixed.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    else:
        mixed = mixed / (1 + 1e-5) ** 0.5  # fresh statistics: mean 0, variance 1
    expected = (mixed * block[1].weight[:, None, None] + block[1].bias[:, None, None]).clamp(min=0)
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_group_norm_does_not_see_the_rest_of_the_batch():
    x = torch.randn(3, 12, 4, 4)
    group, batch = make_norm(12, "group").train(), make_norm(12, "batch").train()
    torch.testing.assert_close(group(x)[:1], group(x[:1]))
    assert not torch.allclose(batch(x)[:1], batch(x[:1]))
