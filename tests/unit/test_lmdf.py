"""LMDF: the filter operator against its loop and against unfolding, the module against its equations."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.config import ModelConfig
from dtse_core.lmdf import LMDF, dynamic_filter, dynamic_filter_reference

C, c, D, w, m, DILATIONS = 5, 8, 6, 4, 3, (1, 3, 5)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def unfolded(x, filters, dilation):
    """The operator as it is usually written: K*K shifted copies of x, times the filters, summed."""
    B, m, KK, H, W = filters.shape
    K = round(KK**0.5)
    copies = F.unfold(x, K, dilation=dilation, padding=dilation * (K // 2)).view(B, m, KK, H, W)
    return (copies * filters).sum(2)


shapes = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))  # B, m, H, W


@given(shape=shapes, K=st.sampled_from([1, 3, 5]), dilation=st.integers(0, 7), seed=st.integers(0, 99))
def test_dynamic_filter_equals_the_loop_for_every_rate_and_size_and_reach_beyond_the_map(shape, K, dilation, seed):
    B, m, H, W = shape
    x, filters = random(B, m, H, W, seed=seed).float(), random(B, m, K * K, H, W, seed=seed + 1).float()
    expected = dynamic_filter_reference(x, filters, dilation)
    torch.testing.assert_close(dynamic_filter(x, filters, dilation), expected, atol=1e-5, rtol=0)


@settings(max_examples=20)
@given(K=st.sampled_from([1, 3, 5]), dilation=st.integers(1, 6), H=st.integers(1, 20), W=st.integers(1, 20))
def test_dynamic_filter_equals_unfolding_forward_and_backward(K, dilation, H, W):
    x, filters = random(2, 3, H, W).requires_grad_(), random(2, 3, K * K, H, W, seed=1).requires_grad_()
    Z, expected = dynamic_filter(x, filters, dilation), unfolded(x, filters, dilation)
    torch.testing.assert_close(Z, expected, atol=1e-12, rtol=0)
    above = random(2, 3, H, W, seed=2)
    for one, other in zip(*(torch.autograd.grad(y, [x, filters], above) for y in (Z, expected)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("K,dilation", [(3, 1), (3, 4), (5, 2)])
def test_gradients_are_those_of_finite_differences(K, dilation):
    x, filters = random(1, 2, 4, 5).requires_grad_(), random(1, 2, K * K, 4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, k: dynamic_filter(x, k, dilation), (x, filters))


@settings(max_examples=25)
@given(dy=st.integers(-1, 1), dx=st.integers(-1, 1), dilation=st.integers(1, 5), shape=shapes)
def test_a_delta_filter_returns_its_input_and_a_shifted_delta_shifts_it(dy, dx, dilation, shape):
    B, m, H, W = shape
    x, filters = random(*shape), torch.zeros(B, m, 9, H, W, dtype=torch.double)
    filters[:, :, 3 * (dy + 1) + dx + 1] = 1
    reach = F.pad(x, [dilation] * 4)  # zero outside the map
    top, left = dilation * (1 + dy), dilation * (1 + dx)
    Z = dynamic_filter(x, filters, dilation)
    assert torch.equal(Z, reach[..., top : top + H, left : left + W])
    assert (dy or dx) or torch.equal(Z, x)


def test_filters_belong_to_their_position():
    x, filters = random(1, 1, 5, 6), random(1, 1, 9, 5, 6, seed=1)
    before = dynamic_filter(x, filters, 1)
    filters[..., 2, 3] += 1
    changed = (dynamic_filter(x, filters, 1) != before)[0, 0]
    assert changed.nonzero().tolist() == [[2, 3]]


def test_any_memory_layout_and_mixed_types_are_accepted():
    x, filters = random(2, 4, 6, 5), random(2, 4, 9, 6, 5, seed=1)
    expected = dynamic_filter(x, filters, 2)
    spread = x.to(memory_format=torch.channels_last), filters.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(dynamic_filter(*spread, 2), expected)
    assert torch.equal(dynamic_filter(x[:1].expand(2, -1, -1, -1), filters, 2)[:1], expected[:1])
    assert dynamic_filter(x.float(), filters, 2).dtype == torch.double
    low = dynamic_filter(x.bfloat16(), filters.bfloat16(), 2)
    assert low.dtype == torch.bfloat16 and (low - expected).abs().max() < 0.2


@pytest.mark.parametrize(
    "shape", [(1, 2, 4, 5, 5), (1, 2, 16, 5, 5), (1, 2, 8, 5, 5), (1, 2, 9, 5, 4), (1, 3, 9, 5, 5), (2, 9, 5, 5)]
)
def test_filters_that_do_not_fit_are_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match=r"filters must be .* x \(1, 2, 5, 5\); got \(" + str(shape)[1:-1]):
        dynamic_filter(torch.zeros(1, 2, 5, 5), torch.zeros(shape), 1)


# The module


def make(seed=0, **options) -> LMDF:
    torch.manual_seed(seed)
    settings = {"window": 3, "width": w, "filtered_width": m, "dilations": DILATIONS} | options
    return LMDF(C, c, D, **settings).double().eval()


def clip(B=2, T=3, H=5, W=6, seed=0):
    return random(B, T, C, H, W, seed=seed), random(B, T, D, seed=seed + 1)


def equations(block: LMDF, features, s_t, s, current: int, filtered: tuple[int, int, int]):
    """The module's equations for a window of three, with unfolded filters; those of rate i act on frame filtered[i]."""

    def cbr(layer, x):
        x = F.conv2d(x, layer[0].weight, padding=layer[0].weight.shape[-1] // 2)
        x = x / (1 + layer[1].eps) ** 0.5 * layer[1].weight[:, None, None] + layer[1].bias[:, None, None]
        return x.clamp(min=0)

    def vector(layer, s):
        return (s @ layer.weight.T + layer.bias)[:, :, None, None]

    X = [cbr(block.reduce, features[:, t]) for t in range(3)]
    G = []
    for t in range(3):
        PX = F.conv2d(X[t], block.P.weight, block.P.bias)
        gate = F.conv2d(PX, block.gate.weight, block.gate.bias, padding=1) + vector(block.W_s, s_t[:, t])
        G.append(PX / (1 + (-gate).exp()))
    first, second = (t for t in range(3) if t != current)
    Y = cbr(block.difference, torch.cat([G[current], G[first] - G[current], G[second] - G[current]], 1))
    Y = Y + vector(block.W_y, s)
    k = [F.conv2d(Y, layer.weight, layer.bias).unflatten(1, (9, m)).transpose(1, 2) for layer in block.to_filters]
    x = [F.conv2d(X_t, block.to_filtered.weight, block.to_filtered.bias) for X_t in X]
    Z = [unfolded(x[t], k_r, r) for t, k_r, r in zip(filtered, k, DILATIONS, strict=True)]
    return X[current] + cbr(block.fuse, torch.cat([x[current], *Z], 1))


@settings(max_examples=10)
@given(H=st.integers(1, 8), W=st.integers(1, 8), current=st.integers(0, 2), seed=st.integers(0, 99))
def test_lmdf_equals_its_equations_written_out(H, W, current, seed):
    block, (features, s) = make(seed), clip(2, 3, H, W, seed)
    ordered = ((0, 1, 2), (1, 0, 2), (2, 0, 1))[current]  # the current frame, then the references in order of time
    with torch.no_grad():
        U = block(features, s, current)
        expected = equations(block, features, s, s[:, current], current, ordered)
        torch.testing.assert_close(U, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("current", range(3))
def test_filters_can_all_act_on_the_current_frame(current):
    block, (features, s) = make(filtered="current"), clip()
    with torch.no_grad():
        U = block(features, s, current)
        expected = equations(block, features, s, s[:, current], current, (current,) * 3)
        torch.testing.assert_close(U, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("references", range(4))
@pytest.mark.parametrize("rates", range(1, 5))
def test_every_further_rate_has_a_reference_while_there_are_any_left(rates, references):
    block = make(dilations=(*range(1, rates + 1),))
    x, *X_refs = random(1, m, 3, 4), *(random(1, c, 3, 4, seed=i) for i in range(references))
    found = block.filtered_features(x, X_refs)
    expected = [block.to_filtered(X_refs[i - 1]) if 0 < i <= references else x for i in range(rates)]
    assert len(found) == rates and all(map(torch.equal, found, expected))


def test_alignment_can_bring_a_references_feature_to_where_the_current_frame_has_it():
    """With filters that fetch from the left, what a reference has at column 2 arrives at column 5 (rate 3)."""
    block = make()
    x, before = torch.zeros(1, m, 4, 9, dtype=torch.double), torch.zeros(1, c, 4, 9, dtype=torch.double)
    before[:, :, 1, 2] = 1
    there = block.filtered_features(x, [before])[1]
    fetch = torch.zeros(1, m, 9, 4, 9, dtype=torch.double)
    fetch[:, :, 3] = 1  # the offset (0, -1)
    arrived = dynamic_filter(there - there[..., :1, :1], fetch, 3)
    assert arrived.any(1)[0].nonzero().tolist() == [[1, 5]]


def test_in_channels_last_layout_the_channels_of_one_offset_are_neighbors():
    block, Y = make(), random(2, w, 5, 6).to(memory_format=torch.channels_last)
    block.to(memory_format=torch.channels_last)
    for i in range(len(DILATIONS)):
        filters = block.make_filters(Y, i)
        assert filters.stride(1) == 1 and filters.stride(2) == m


@pytest.mark.parametrize(("mode", "window", "expected"), [("full", 3, True), ("full", 1, False), ("static", 3, False)])
def test_frames_beside_the_current_one_are_asked_for_only_where_they_matter(mode, window, expected):
    assert make(mode=mode, window=window).uses_references == expected


def test_references_in_either_order_are_told_apart():
    block, (features, s) = make(), clip()
    swapped = block(features[:, [2, 1, 0]], s[:, [2, 1, 0]], 1)
    assert (block(features, s, 1) - swapped).abs().max() > 1e-3


@pytest.mark.parametrize("filtered", ["current", "reference"])
@pytest.mark.parametrize("mode", ["full", "current_only", "static", "off"])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_one_frame_equals_references_that_repeat_it(mode, window, filtered):
    block, (features, s) = make(mode=mode, window=window, filtered=filtered), clip(T=1)
    repeated = block(features.expand(-1, window, -1, -1, -1), s.expand(-1, window, -1), window // 2)
    torch.testing.assert_close(block(features, s, 0), repeated, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("mode,hears", [("full", True), ("current_only", False), ("static", False), ("off", False)])
def test_only_full_filters_hear_a_scene_that_differs_in_motion_alone(mode, hears):
    """A blob stands at the same place now; before and after it was left and right of there, or right and left."""
    block = make(mode=mode)
    scene, s = torch.zeros(1, 3, C, 6, 9, dtype=torch.double), clip(1)[1]
    blob = random(C, 2, 2)
    for t, left in enumerate((1, 4, 7)):
        scene[0, t, :, 2:4, left : left + 2] = blob
    other_way = scene[:, [2, 1, 0]]
    difference = (block(scene, s, 1) - block(other_way, s[:, [2, 1, 0]], 1)).abs().max()
    assert difference > 1e-4 if hears else difference == 0


@pytest.mark.parametrize(
    ("filtered", "frame", "reach"), [("current", 0, 2), ("current", 2, 2), ("reference", 0, 3), ("reference", 2, 5)]
)
def test_a_reference_matters_within_reach(filtered, frame, reach):
    """Compared by the gate's and the comparison's 3x3 convolutions, filtered at rates 3 and 5: no farther."""
    block, (features, s) = make(filtered=filtered), clip(1, 3, 4, 12)
    moved = features.clone()
    moved[:, frame, :, :, 8:] += 3
    changed = (block(features, s, 1) != block(moved, s, 1)).any(1).any(1)[0]  # (W,)
    assert changed.tolist() == [column >= 8 - reach for column in range(12)]


@pytest.mark.parametrize("language", [True, False])
def test_the_sentence_shapes_the_filters_unless_switched_off(language):
    block, (features, s) = make(language=language), clip()
    for t in (0, 1):  # as a reference read it, as the current frame read it
        other = s.clone()
        other[:, t] += 1
        same = torch.equal(block(features, s, 1), block(features, other, 1))
        assert same != language


@pytest.mark.parametrize("filtered", ["current", "reference"])
def test_remembering_frames_one_by_one_equals_the_whole_window(filtered):
    block, (features, s) = make(filtered=filtered), clip()
    X, G = zip(*(block.remember(features[:, t], s[:, t]) for t in range(3)), strict=True)
    U = block.update(X[2], G[2], s[:, 2], [(X[0], G[0]), (X[1], G[1])])
    torch.testing.assert_close(U, block(features, s, 2), atol=1e-12, rtol=1e-12)


def test_the_gate_reads_each_frames_sentence_and_the_comparison_one_of_its_own():
    block, (features, s_t), s = make(), clip(), random(2, D, seed=2)
    before, now, after = (block.remember(features[:, t], s_t[:, t]) for t in range(3))
    U = block.update(*now, s, [before, after])
    expected = equations(block, features, s_t, s, 1, (1, 0, 2))
    torch.testing.assert_close(U, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("mode", ["full", "current_only"])
def test_every_parameter_learns(mode):
    block, (features, s) = make(mode=mode), clip()
    block(features, s, 1).square().sum().backward()
    silent = {name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()}
    assert not silent


def test_off_returns_the_current_frame_reduced_and_static_filters_it_the_same_everywhere():
    off, static, (features, s) = make(mode="off"), make(mode="static"), clip()
    assert torch.equal(off(features, s, 1), off.reduce(features[:, 1]))
    X = static.reduce(features[:, 1])
    x = static.to_filtered(X)
    Z = [
        F.conv2d(x, layer.weight, padding=r, dilation=r, groups=m)
        for r, layer in zip(DILATIONS, static.static, strict=True)
    ]
    torch.testing.assert_close(static(features, s, 1), X + static.fuse(torch.cat([x, *Z], 1)))


@pytest.mark.parametrize("K", [3, 5])
def test_static_is_a_convolution_of_equal_size(K):
    static, full = make(mode="static", filter_size=K), make(filter_size=K)
    x = random(1, m, 6, 7)
    for i, r in enumerate(DILATIONS):  # the same filter at every position is a depth-wise convolution
        filters = static.static[i].weight.view(1, m, K * K, 1, 1).expand(1, m, K * K, 6, 7)
        torch.testing.assert_close(static.static[i](x), dynamic_filter(x, filters, r))
    assert sum(p.numel() for p in static.static.parameters()) == sum(layer.out_channels for layer in full.to_filters)


def test_a_block_without_options_is_that_of_the_paper_preset():
    c, parameters = ModelConfig(), inspect.signature(LMDF).parameters.values()
    expected = {"width": c.lmdf_width, "mode": c.lmdf, "language": c.lmdf_language}
    alike = ("window", "filtered", "filtered_width", "filter_size", "dilations", "norm")
    expected |= {name: getattr(c, name) for name in alike}
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected
