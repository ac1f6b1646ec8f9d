"""AdamW, Muon for the matrices of a model that learns from scratch (D-14), and an average of the weights. Notebook:
08_train_a_subset.

Muon (K. Jordan, 2024) steps along the nearest orthogonal matrix of a weight's momentum, so that rare directions learn
as fast as common ones: here it needs half the steps. `torch.optim.Muon` takes matrices alone, one by one and in
bfloat16; ours also takes convolutions, as matrices (outputs, inputs * K * K), and those of one shape together.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from ..config import ModelConfig, RunConfig
from ..model import DTSE

MOMENTUM, ROUNDS = 0.95, 5
QUINTIC = 3.4445, -4.7750, 2.0315  # lifts small singular values to about 1 in five rounds


class MuonAdamW(torch.optim.AdamW):
    """AdamW for all groups but those with `"muon": True`, whose parameters have two axes or more.

    One rate serves both: Muon's step is scaled to the root mean square that AdamW's has, as in `torch.optim.Muon`
    with `match_rms_adamw`.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure() if closure else None
        for group in self.param_groups:
            if group.get("muon"):
                self._step_matrices(group)
        super().step()
        return loss

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
    """Matrices `(b, n, m)` with the same singular vectors, and singular values brought near 1 (about 0.7 to 1.2).

    A round makes Q X of X, where Q = a + b G + c G G and G = X X'. Of a wide matrix the rounds compute with G alone,
    which becomes Q G Q, and X is multiplied by all the Q at the end.
    """
    a, b, c = QUINTIC
    tall = X.shape[-2] > X.shape[-1]
    X = X.mT if tall else X  # the smaller side first, so that G is (b, n, n)
    X = X / (torch.linalg.matrix_norm(X, keepdim=True) + 1e-7)
    if X.shape[-1] < 2 * X.shape[-2]:
        for _ in range(ROUNDS):
            G = X @ X.mT
            X = torch.baddbmm(X, torch.baddbmm(G, G, G, beta=b, alpha=c), X, beta=a)
    else:
        G, product = X @ X.mT, torch.eye(X.shape[-2], dtype=X.dtype, device=X.device)
        for _ in range(ROUNDS):
            Q = torch.baddbmm(G, G, G, beta=b, alpha=c)
            Q.diagonal(dim1=-2, dim2=-1).add_(a)
            product, G = Q @ product, Q @ G @ Q
        X = product @ X
    return X.mT if tall else X


def inside(model: nn.Module, name: str) -> str:
    """The parts of the innermost part of the model that a name leads to: "encoder. has visual, text, vlmg"."""
    path, part = "", model
    for step in name.split("."):
        below = dict(part.named_children())
        if step not in below:
            break
        path, part = f"{path}{step}.", below[step]
    return f"{path or 'the model'} has {', '.join(name for name, _ in part.named_children())}"


def parameter_groups(model: DTSE, config: RunConfig) -> list[dict]:
    """Streams, gates and new layers at their own rates (D-14); vectors (norms, biases, gates) do not decay.

    What `train.freeze` names is frozen here and in no group. Raises `ValueError` if it names nothing, or everything.

    With `train.optimizer` muon the matrices between input and output have a group of their own, marked for Muon;
    embeddings, the visual stem and the heads stay with AdamW, as its author advises.
    """
    c = config.train
    for start in c.freeze:
        frozen = [p.requires_grad_(False) for name, p in model.named_parameters() if name.startswith(start)]
        if not frozen:
            raise ValueError(f"no weight's name begins with train.freeze {start!r}; {inside(model, start)}")
    rates = {"stream": c.stream_lr, "gate": c.gate_lr, "new": c.lr, "muon": c.muon_lr}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = "stream" if ".visual." in name or ".text." in name else "gate" if ".gate_" in name else "new"
            matrix = max(parameter.shape[:-1], default=1) > 1  # some vectors are stored as (1, 1, 1, C)
            inner = matrix and not any(outer in name for outer in ("embed", "heads."))
            kind = "muon" if c.optimizer == "muon" and inner else kind
            groups.setdefault((kind, matrix), []).append(parameter)
    if not groups:
        raise ValueError(f"train.freeze {', '.join(c.freeze)} leaves no weight that learns; name fewer")
    return [
        {"params": members, "lr": rates[kind], "base_lr": rates[kind], "muon": kind == "muon"}
        | ({} if decays else {"weight_decay": 0.0})
        for (kind, decays), members in groups.items()
    ]


def rate_factor(share: float, step: int, config: RunConfig) -> float:
    """Learning rate over its base: linear warm-up, then halved at the milestones; or constant for half of the run and
    falling linearly to 0 in the other."""
    c = config.train
    warm = min(1.0, (step + 1) / c.warmup) if c.warmup else 1.0
    if c.schedule == "trapezoid":
        return warm * min(1.0, 2 * max(0.0, 1 - share))
    return warm * 0.5 ** sum(share >= milestone for milestone in c.milestones)


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model that `update_parameters` draws towards it: first equal, then `decay` of the copy and the rest
    of the model.

    Statistics of batch norms are averaged with the weights that they belong to. Whole numbers are copied, where torch
    would average and round them down.
    """
    average = get_ema_multi_avg_fn(decay)

    def follow(mean: Any, now: Any, updates: Any) -> None:  # lists of tensors of one type
        if mean[0].is_floating_point():
            average(mean, now, updates)
        else:
            torch._foreach_copy_(mean, now)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)


def checkpoint_streams(model: DTSE, again: Callable[[], AbstractContextManager] = nullcontext) -> None:
    """Of each block of both streams keeps the input alone; the backward pass computes the rest a second time, in the
    context `again()`.

    Gradients are the same. Raises `ValueError` where batch norm learns its statistics in a stream: the second
    computation would count each batch twice.
    """
    visual, text = model.encoder.visual, model.encoder.text
    if any(isinstance(m, nn.BatchNorm2d) and m.training for m in visual.modules()):
        raise ValueError(
            "train.checkpoint_streams needs a visual stream whose batch norms are frozen: "
            "set model.freeze_batch_norm or, for streams from scratch, model.norm group"
        )
    for block in [*visual.blocks, *text.blocks]:
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, context_fn=lambda: (nullcontext(), again())
        )


def has_idle_parameters(config: ModelConfig) -> bool:
    """True if some weights get no gradient, which data-parallel training must know.

    Only LMDF reads the words that the last VLMG returns, where the sentence guides what makes the filters; with neither
    direction nothing reads VLMG.
    """
    sentence_read = config.lmdf in ("full", "current_only") and config.lmdf_language
    return not sentence_read or not (config.language_to_vision or config.vision_to_language)
