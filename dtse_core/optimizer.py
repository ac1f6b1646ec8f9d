"""AdamW, and Muon for the matrices of a model that learns from scratch (D-14). Notebook: 08_train_a_subset.

Muon (K. Jordan, 2024) steps along the nearest orthogonal matrix of a weight's momentum, so that rare directions learn
as fast as common ones: here it needs half the steps. `torch.optim.Muon` takes matrices alone, one by one and in
bfloat16; ours also takes convolutions, as matrices (outputs, inputs * K * K), and those of one shape together.
"""

import math

import torch
from torch import Tensor

MOMENTUM, ROUNDS = 0.95, 5
QUINTIC = 3.4445, -4.7750, 2.0315  # lifts small singular values to about 1 in five rounds


class MuonAdamW(torch.optim.AdamW):
    """AdamW for all groups but those with `"muon": True`, whose parameters have two axes or more.

    One rate serves both: Muon's step is scaled to the root mean square that AdamW's has, as in `torch.optim.Muon`
    with `match_rms_adamw`.
    """

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if group.get("muon"):
                self._step_matrices(group)
        return super().step(closure)

    def _step_matrices(self, group: dict) -> None:
        alike: dict[torch.Size, list] = {}  # parameters and their directions (n, m), by shape
        for p in group["params"]:
            if p.grad is not None:
                state = self.state[p]
                if not state:
                    state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(p)
                state["step"] += 1
                average = state["exp_avg"].lerp_(p.grad, 1 - MOMENTUM)
                direction = p.grad.lerp_(average, MOMENTUM).flatten(1)  # (n, m)
                alike.setdefault(direction.shape, []).append((p, direction))
                p.grad = None  # AdamW has nothing left to do here
        for shape, pairs in alike.items():
            rate = group["lr"] * 0.2 * math.sqrt(max(shape))
            steps = orthogonalize(torch.stack([direction for _, direction in pairs]))  # (b, n, m)
            for (p, _), step in zip(pairs, steps, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(step.view(p.shape), alpha=-rate)


def orthogonalize(X: Tensor) -> Tensor:
    """Matrices `(b, n, m)` with the same singular vectors, and singular values brought near 1 (0.7 to 1.2)."""
    a, b, c = QUINTIC
    tall = X.shape[-2] > X.shape[-1]
    X = X.mT if tall else X  # the smaller side first: it is squared
    X = X / (torch.linalg.matrix_norm(X, keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        A = X @ X.mT  # (b, n, n)
        A = torch.baddbmm(A, A, A, beta=b, alpha=c)  # b A + c A A
        X = torch.baddbmm(X, A, X, beta=a)
    return X.mT if tall else X
