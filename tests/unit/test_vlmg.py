"""VLMG against its equations written out pixel by pixel, and the properties that the design states."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.config import ModelConfig
from dtse_core.layers import coordinates
from dtse_core.vlmg import VLMG

C, D, d, HEADS, BINS = 6, 10, 8, 2, (1, 2, 3)


def make(gate: float = 1.0, **options) -> VLMG:
    torch.manual_seed(0)
    block = VLMG(C, D, width=d, heads=HEADS, bins=BINS, gate_init=gate, **options).double().eval()
    block.fuse_norm.weight.data.uniform_(0.5, 2)
    block.fuse_norm.bias.data.normal_()
    return block


def inputs(B=2, N=5, H=4, W=7, seed=0, words=None):
    g = torch.Generator().manual_seed(seed)
    V = torch.randn(B, C, H, W, generator=g, dtype=torch.double)
    L = torch.randn(B, N, D, generator=g, dtype=torch.double)
    lengths = torch.tensor(words or [N] * B)
    return V, L, (torch.arange(N) < lengths[:, None]).long()


def equations(block: VLMG, V, L, word_mask):
    """The module's equations for one clip, as they stand: every projection applied to every pixel."""
    (C, H, W), N = V.shape, int(word_mask.sum())
    L_all, L = L, L[:N]
    pixels = [(y, x) for y in range(H) for x in range(W)]
    place = coordinates(H, W, V)

    def layer_norm(x, norm):
        x = (x - x.mean()) / (x.var(unbiased=False) + norm.eps).sqrt()
        return x * norm.weight + norm.bias

    def linear(layer, x):
        y = layer.weight.flatten(1) @ x
        return y if layer.bias is None else y + layer.bias

    def regions(values):  # {pixel: vector} to (M, channels)
        grid = torch.stack([torch.stack([values[y, x] for x in range(W)], 1) for y in range(H)], 1)
        return torch.cat([F.adaptive_avg_pool2d(grid[None], b)[0].flatten(1) for b in BINS], 1).T

    m = {
        (y, x): layer_norm(
            linear(block.W_v, V[:, y, x]) + linear(block.W_s, place[:, y, x]) + linear(block.W_g, L[0]), block.norm_m
        )
        for y, x in pixels
    }
    t = torch.stack([layer_norm(linear(block.W_l, word), block.norm_t) for word in L])
    a = {p: ((t @ linear(block.W_q, m[p])) / d**0.5).softmax(0) for p in pixels}
    e = {p: a[p] @ t for p in pixels}
    keys_m, keys_e = (regions({p: linear(K, v[p]) for p in pixels}) for K, v in ((block.K_m, m), (block.K_e, e)))
    values_m, values_e = (regions({p: linear(X, v[p]) for p in pixels}) for X, v in ((block.V_m, m), (block.V_e, e)))
    A = {p: ((keys_m @ linear(block.Q_m, m[p]) + keys_e @ linear(block.Q_e, e[p])) / d**0.5).softmax(0) for p in pixels}
    column = torch.cat([block.fuse[k].weight for k in range(3)], 1)  # CBR1x1 over three concatenated parts
    norm = block.fuse_norm
    f = {}
    for p in pixels:
        x = column @ torch.cat([A[p] @ values_m, A[p] @ values_e, m[p] * e[p]])
        x = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        f[p] = x.clamp(min=0)
    V = torch.stack([V[:, y, x] + block.gate_V * linear(block.W_f, f[y, x]) for y, x in pixels], 1).view(C, H, W)
    r, read = regions(f), block.read
    rows = []
    for word in L_all:
        q, parts = linear(read.query, word), []
        for h in range(HEADS):
            own = slice(h * d // HEADS, (h + 1) * d // HEADS)
            keys, values = (torch.stack([linear(layer, x)[own] for x in r]) for layer in (read.key, read.value))
            parts.append((keys @ q[own] / (d // HEADS) ** 0.5).softmax(0) @ values)
        rows.append(word + block.gate_L * linear(read.output, torch.cat(parts)))
    return V, torch.stack(rows), torch.stack([a[p] for p in pixels]), torch.stack([A[p] for p in pixels])


@settings(max_examples=8)
@given(N=st.integers(1, 5), H=st.integers(1, 5), W=st.integers(1, 5), seed=st.integers(0, 99), data=st.data())
def test_vlmg_equals_its_equations_written_out(N, H, W, seed, data):
    words = [N, data.draw(st.integers(1, N))]
    block, (V, L, word_mask) = make(), inputs(2, N, H, W, seed, words)
    block.gate_V.data.normal_()
    block.gate_L.data.normal_()
    block.fuse_norm.running_mean.normal_()
    block.fuse_norm.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        V_new, L_new, maps = block(V, L, word_mask, return_maps=True)
        for b in range(2):
            expected = equations(block, V[b], L[b], word_mask[b])
            found = V_new[b], L_new[b], maps.words[b, :, : words[b]], maps.regions[b]
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@settings(max_examples=25)
@given(
    N=st.integers(1, 8), H=st.integers(1, 9), W=st.integers(1, 9), scale=st.sampled_from([1e-3, 1, 30]), data=st.data()
)
def test_attention_rows_sum_to_one_and_padding_weighs_exactly_zero(N, H, W, scale, data):
    words = data.draw(st.lists(st.integers(1, N), min_size=2, max_size=2))
    V, L, word_mask = inputs(2, N, H, W, words=words)
    _, _, maps = make()(V * scale, L * scale, word_mask, return_maps=True)
    assert maps.words.shape == (2, H * W, N) and maps.regions.shape == (2, H * W, sum(b * b for b in BINS))
    for rows in (maps.words, maps.regions):
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]), atol=1e-12, rtol=0)
    for b, n in enumerate(words):
        assert (maps.words[b, :, n:] == 0).all() and (maps.words[b, :, :n] > 0).any(0).all()


@settings(max_examples=15)
@given(N=st.integers(1, 6), extra=st.integers(1, 5), seed=st.integers(0, 99))
def test_lengthening_the_padding_changes_nothing(N, extra, seed):
    block, (V, L, word_mask) = make(), inputs(2, N, 3, 5, seed)
    longer = torch.cat([L, torch.randn(2, extra, D, dtype=torch.double) * 100], 1)
    V_new, L_new, maps = block(V, L, word_mask, True)
    V_long, L_long, maps_long = block(V, longer, F.pad(word_mask, (0, extra)), True)
    for one, other in ((V_long, V_new), (L_long[:, :N], L_new), (maps_long.words[..., :N], maps.words)):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


@settings(max_examples=15)
@given(order=st.permutations(range(1, 6)), seed=st.integers(0, 99))
def test_permuting_words_permutes_the_maps_and_leaves_the_visual_output(order, seed):
    block, (V, L, word_mask) = make(), inputs(2, 6, 3, 4, seed)
    order = [0, *order]  # the first token stands for the whole sentence and keeps its place
    V_new, L_new, maps = block(V, L, word_mask, True)
    V_moved, L_moved, maps_moved = block(V, L[:, order], word_mask, True)
    torch.testing.assert_close(V_moved, V_new, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(maps_moved.words, maps.words[..., order], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(L_moved, L_new[:, order], atol=1e-12, rtol=1e-12)


@settings(max_examples=15)
@given(H=st.integers(1, 9), W=st.integers(1, 9), seed=st.integers(0, 99), train=st.booleans())
def test_zero_gates_make_vlmg_the_identity_bit_for_bit(H, W, seed, train):
    V, L, word_mask = (x.float() if x.is_floating_point() else x for x in inputs(2, 4, H, W, seed, [4, 2]))
    V_new, L_new, _ = make(gate=0.0).float().train(train and H * W > 1)(V, L, word_mask)
    assert torch.equal(V_new, V) and torch.equal(L_new, L)


def test_gates_at_zero_still_learn():
    block, (V, L, word_mask) = make(gate=0.0), inputs()
    V_new, L_new, _ = block(V, L, word_mask)
    (V_new.square().sum() + L_new.square().sum()).backward()
    assert block.gate_V.grad.abs().min() > 0 and block.gate_L.grad.abs().min() > 0


def test_each_stream_hears_the_other_and_every_parameter_learns():
    block, (V, L, word_mask) = make(), inputs()
    V.requires_grad_(), L.requires_grad_()
    V_new, L_new, _ = block(V, L, word_mask)
    (to_words,) = torch.autograd.grad(V_new.square().sum(), L, retain_graph=True)
    (to_pixels,) = torch.autograd.grad(L_new.square().sum(), V, retain_graph=True)
    assert (to_words.abs().sum(-1) > 0).all() and (to_pixels.abs().sum(1) > 0).all()
    (V_new.square().sum() + L_new.square().sum()).backward()
    silent = {name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent <= {"read.key.bias"}  # a key's bias shifts all scores alike: its gradient is zero


def test_padded_words_send_no_gradient_to_vision():
    block, (V, L, word_mask) = make(), inputs(words=[5, 2])
    L.requires_grad_()
    (grad,) = torch.autograd.grad(block(V, L, word_mask)[0].square().sum(), L)
    assert (grad[1, 2:] == 0).all() and (grad[1, :2] != 0).any(-1).all()


@pytest.mark.parametrize("language_to_vision", [True, False])
@pytest.mark.parametrize("vision_to_language", [True, False])
def test_a_direction_that_is_switched_off_leaves_its_stream_alone(language_to_vision, vision_to_language):
    block = make(language_to_vision=language_to_vision, vision_to_language=vision_to_language)
    V, L, word_mask = inputs()
    V_new, L_new, maps = block(V, L, word_mask)
    assert torch.equal(V_new, V) != language_to_vision and torch.equal(L_new, L) != vision_to_language
    assert maps is None, "maps come on request"
    names = {name.split(".")[0] for name, _ in block.named_parameters()}
    assert ("W_f" in names) == ("gate_V" in names) == language_to_vision
    assert ("read" in names) == ("gate_L" in names) == vision_to_language


def test_position_tells_equal_pixels_apart():
    block, (_, L, word_mask) = make(), inputs()
    V = torch.ones(2, C, 4, 4, dtype=torch.double)
    change = block(V, L, word_mask)[0] - V
    assert (change[:, :, 0, 0] - change[:, :, 0, 3]).abs().max() > 1e-3


def test_group_norm_keeps_samples_apart_in_train():
    block, (V, L, word_mask) = make(norm="group").train(), inputs(words=[5, 3])
    together, alone = block(V, L, word_mask), block(V[:1], L[:1], word_mask[:1])
    torch.testing.assert_close(together[0][:1], alone[0], atol=1e-10, rtol=1e-10)


def test_a_block_without_options_is_that_of_the_paper_preset():
    c, parameters = ModelConfig(), inspect.signature(VLMG).parameters.values()
    expected = {"width": c.vlmg_width, "heads": c.vlmg_heads, "bins": c.vlmg_bins, "norm": c.norm}
    expected |= {name: getattr(c, name) for name in ("gate_init", "language_to_vision", "vision_to_language")}
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="vlmg_heads is 3; it must divide vlmg_width, which is 8"):
        VLMG(C, D, width=8, heads=3)
