"""The training loss: deeply supervised binary cross-entropy, and dice beside it. Built in notebook 07."""

import torch
import torch.nn.functional as F
from torch import Tensor


def segmentation_loss(
    logits: Tensor,
    aux_logits: tuple[Tensor, ...],
    target: Tensor,
    dice_weight: float = 0.0,
    aux_weight: float = 1.0,
) -> Tensor:
    """BCE of every head against the current frame's mask, the coarser ones times `aux_weight` (D-13, D-14).

    A coarse head is read as the output is: its logits are resized bilinearly to the target, and never the target to
    them, so that thin objects stay in it. The lowest loss is 0 where the target is binary. Where `resize_mask` has
    resized a mask, pixels of its outline hold shares, and the lowest loss of a head is the mean of their entropies:
    0.011 for clips of 96 x 144 at 64 x 96.

    Shapes: `logits` (B, H, W), `target` (B, H, W) bool or in [0, 1], each of `aux_logits` (B, h, w).
    Returns a scalar in float32, also under mixed precision. Zero logits give ln 2 per head.
    Raises `ValueError` if logits and target differ in shape.
    """
    if logits.shape != target.shape:
        raise ValueError(f"expected logits and target of one shape; found {(*logits.shape,)} and {(*target.shape,)}")
    target = target.float()
    loss = F.binary_cross_entropy_with_logits(logits.float(), target)
    for coarse in aux_logits:
        coarse = F.interpolate(coarse[:, None].float(), target.shape[1:], mode="bilinear")[:, 0]  # (B, H, W)
        loss = loss + aux_weight * F.binary_cross_entropy_with_logits(coarse, target)
    if dice_weight:
        loss = loss + dice_weight * dice_loss(logits, target)
    return loss


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over clips of 1 - dice of the probabilities, on `logits` and `target` (B, H, W); in [0, 1].

    1 is added above and below the fraction: an empty mask for an empty target costs 0.
    """
    p, t = torch.sigmoid(logits.float()).flatten(1), target.float().flatten(1)  # (B, HW)
    return (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()
