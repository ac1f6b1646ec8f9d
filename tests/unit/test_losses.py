"""The loss against a slow loop in plain Python floats, and the properties that notebook 07 states."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.losses import dice_loss, segmentation_loss


def random_case(seed=0, B=2, H=6, W=9, coarse=((2, 3), (2, 3), (3, 5))):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(B, H, W, generator=generator)
    aux = tuple(2 * torch.randn(B, *hw, generator=generator) for hw in coarse)
    return logits, aux, torch.rand(B, H, W, generator=generator) < 0.4


def resize_by_hand(x, height, width):
    """Bilinear resizing of (h, w) with pixel centres at half-integers, edge values outside."""
    h, w = x.shape
    out = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        y, z = (i + 0.5) * h / height - 0.5, (j + 0.5) * w / width - 0.5
        y, z = min(max(y, 0), h - 1), min(max(z, 0), w - 1)
        y0, z0 = int(y), int(z)
        y1, z1, a, b = min(y0 + 1, h - 1), min(z0 + 1, w - 1), y - y0, z - z0
        out[i, j] = (1 - a) * ((1 - b) * x[y0, z0] + b * x[y0, z1]) + a * ((1 - b) * x[y1, z0] + b * x[y1, z1])
    return out


def loop_loss(logits, aux, target, dice_weight, aux_weight):
    logits, target = logits.double().numpy(), target.numpy()
    total = 0.0
    for weight, head in [(1, logits), *((aux_weight, a.double().numpy()) for a in aux)]:
        terms = []
        for clip, mask in zip(head, target, strict=True):
            full = resize_by_hand(clip, *mask.shape)
            for (i, j), t in np.ndenumerate(mask):
                p = 1 / (1 + math.exp(-full[i, j]))
                terms.append(-math.log(p if t else 1 - p))
        total += weight * sum(terms) / len(terms)
    dice = []
    for clip, mask in zip(logits, target, strict=True):
        p = 1 / (1 + np.exp(-clip))
        dice.append(1 - (2 * p[mask].sum() + 1) / (p.sum() + mask.sum() + 1))
    return total + dice_weight * sum(dice) / len(dice)


@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0, 1.0), (0.7, 0.3), (2.0, 0.0)])
def test_loss_equals_a_slow_loop(weights):
    logits, aux, target = random_case()
    loss = segmentation_loss(logits, aux, target, *weights)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(loop_loss(logits, aux, target, *weights), abs=1e-5)


def test_zero_logits_cost_ln_2_per_head():
    _, aux, target = random_case()
    zeros = torch.zeros(target.shape), tuple(torch.zeros_like(a) for a in aux)
    assert segmentation_loss(*zeros, target).item() == pytest.approx(4 * math.log(2), abs=1e-6)
    assert segmentation_loss(*zeros, target, aux_weight=0.5).item() == pytest.approx(2.5 * math.log(2), abs=1e-6)
    assert segmentation_loss(zeros[0], (), target).item() == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("share", [0, 2, 6])  # rows of the 4x6 grid of cells that the object covers: none, 2, all
def test_a_perfect_mask_drives_the_loss_to_zero(share):
    target = torch.zeros(1, 64, 96, dtype=torch.bool)
    target[:, :, : 16 * share] = True

    def head(stride, size):
        return size * (target[:, ::stride, ::stride].float() * 2 - 1)

    losses = [
        segmentation_loss(head(1, s), (head(16, s), head(16, s), head(8, s)), target, dice_weight=1).item()
        for s in (1.0, 10.0, 100.0, 1000.0)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-4


def test_the_lowest_loss_of_a_soft_target_is_its_entropy():
    target = torch.rand(1, 6, 9, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    entropy = np.mean([-t * math.log(t) - (1 - t) * math.log(1 - t) for t in target.flatten().tolist()])
    perfect = torch.logit(target)
    assert segmentation_loss(perfect, (perfect,), target).item() == pytest.approx(2 * entropy, abs=1e-5)
    for step in (-0.1, 0.1):
        assert segmentation_loss(perfect + step, (), target).item() > entropy + 1e-4


def test_a_better_answer_costs_less_in_each_head():
    logits, aux, target = random_case(H=16, W=16, coarse=((8, 8), (8, 8), (8, 8)))
    heads = [logits, *aux]
    base = segmentation_loss(logits, aux, target)
    for k, head in enumerate(heads):
        leaf = head.clone().requires_grad_()
        changed = [*heads[:k], leaf, *heads[k + 1 :]]
        segmentation_loss(changed[0], tuple(changed[1:]), target).backward()
        changed[k] = head - 5 * leaf.grad
        assert segmentation_loss(changed[0], tuple(changed[1:]), target) < base


def test_gradient_points_from_the_answer_to_the_mask_at_every_pixel():
    logits, aux, target = random_case()
    for dice_weight in (0.0, 1.0):
        leaf = logits.clone().requires_grad_()
        segmentation_loss(leaf, aux, target, dice_weight).backward()
        assert torch.equal(leaf.grad < 0, target)  # descending raises the object's logits, lowers the rest


def test_gradient_equals_finite_differences():
    logits, aux, target = random_case(H=4, W=4, coarse=((2, 2), (2, 2), (3, 3)))
    for k in range(4):
        heads = [logits.clone(), *(a.clone() for a in aux)]
        heads[k].requires_grad_()
        segmentation_loss(heads[0], tuple(heads[1:]), target, 1.0, 0.5).backward()
        for index in [(0, 0, 0), (1, 1, 1)]:
            values = []
            for step in (0.01, -0.01):
                moved = [h.detach().clone() for h in heads]
                moved[k][index] += step
                values.append(loop_loss(moved[0], moved[1:], target, 1.0, 0.5))
            assert heads[k].grad[index].item() == pytest.approx((values[0] - values[1]) / 0.02, abs=2e-5)


def test_aux_weight_zero_leaves_the_coarse_heads_without_gradient():
    logits, aux, target = random_case()
    aux = tuple(a.requires_grad_() for a in aux)
    logits.requires_grad_()
    segmentation_loss(logits, aux, target, 1.0, aux_weight=0.0).backward()
    assert all(a.grad.abs().max() == 0 for a in aux)
    assert logits.grad.abs().min() > 0


@given(st.integers(0, 10**6), st.permutations(range(3)))
def test_order_of_clips_does_not_matter_and_dice_stays_within_bounds(seed, order):
    logits, aux, target = random_case(seed, B=3)
    shuffled = logits[order], tuple(a[order] for a in aux), target[order]
    loss = segmentation_loss(logits, aux, target, 1.0)
    assert segmentation_loss(*shuffled, 1.0).item() == pytest.approx(loss.item(), rel=1e-5)
    assert 0 <= dice_loss(logits, target).item() <= 1
    assert torch.equal(loss, segmentation_loss(logits, aux, target.float(), 1.0))


@pytest.mark.parametrize("dice_weight", [0.0, 1.0])
def test_half_precision_logits_are_scored_in_float32(dice_weight):
    target = torch.ones(1, 64, 64, dtype=torch.bool)
    loss = segmentation_loss(torch.full((1, 64, 64), -300.125, dtype=torch.float16), (), target, dice_weight)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(300.0 + dice_weight, abs=0.3)
    small = torch.full((1, 64, 64), 12.0, dtype=torch.float16)  # a cost of 6e-6 is below what float16 holds near 1
    assert segmentation_loss(small, (), target).item() == pytest.approx(math.log1p(math.exp(-12)), rel=1e-3)


def test_logits_of_another_size_are_refused():
    logits, aux, target = random_case()
    with pytest.raises(ValueError, match=r"\(2, 6, 9\) and \(2, 6, 8\)"):
        segmentation_loss(logits, aux, target[..., :8])
