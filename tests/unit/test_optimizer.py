"""Muon beside AdamW: against torch's own Muon, a singular value decomposition, and AdamW itself."""

import copy

import pytest
import torch
from torch import nn

from dtse_core import DTSE, preset
from dtse_core.training.optimizer import MuonAdamW, orthogonalize, parameter_groups


def layers(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 30), nn.Linear(30, 30)).double()


def groups(model: nn.Module, lr: float = 0.01) -> list[dict]:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    return [{"params": matrices, "lr": lr, "muon": True}, {"params": vectors, "lr": lr, "weight_decay": 0.0}]


def descend(model: nn.Module, optimizers, steps: int = 4) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(16, 12, generator=generator, dtype=torch.float64)
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 5, 20), (2, 20, 5)])
def test_orthogonalizing_keeps_singular_vectors_and_evens_singular_values(shape):
    torch.manual_seed(0)
    X = torch.randn(shape, dtype=torch.float64)
    O = orthogonalize(X)  # noqa: E741
    U, S, V = torch.linalg.svd(X, full_matrices=False)
    values = U.mT @ O @ V.mT
    diagonal = torch.diagonal(values, dim1=1, dim2=2)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-8
    enough = S / S.norm(dim=1, keepdim=True) > 0.01  # five rounds do not reach smaller ones
    assert diagonal[enough].min() > 0.6 and diagonal.max() < 1.25
    assert torch.allclose(orthogonalize(1000 * X), O, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon from 2.9 on")
def test_matrices_step_as_in_torchs_own_muon():
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((8, 12), (30, 8), (30, 8))]
    ours, theirs = ([nn.Parameter(x.clone()) for x in start] for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": 0.1}
    optimizers = (
        MuonAdamW([{"params": ours, "muon": True}], **settings),
        torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings),
    )
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, c in zip(ours, theirs, start, strict=True):  # torch orthogonalizes in bfloat16
        assert (a - b).norm() < 0.02 * (b - c).norm()


def test_a_convolution_steps_as_the_matrix_that_it_is():
    torch.manual_seed(0)
    kernel, grad = torch.randn(4, 3, 3, 3), torch.randn(4, 3, 3, 3)
    as_kernel, as_matrix = nn.Parameter(kernel.clone()), nn.Parameter(kernel.flatten(1).clone())
    as_kernel = nn.Parameter(as_kernel.detach().to(memory_format=torch.channels_last))
    as_kernel.grad, as_matrix.grad = grad.to(memory_format=torch.channels_last), grad.flatten(1)
    for p in (as_kernel, as_matrix):
        MuonAdamW([{"params": [p], "muon": True}], lr=0.1).step()
    assert torch.allclose(as_kernel.flatten(1), as_matrix, atol=1e-6) and not torch.equal(as_matrix, kernel.flatten(1))


def test_without_marked_groups_it_is_adamw():
    a, b = layers(), layers()
    descend(a, [MuonAdamW(a.parameters(), lr=0.01)])
    descend(b, [torch.optim.AdamW(b.parameters(), lr=0.01)])
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_closure_is_called_before_any_weight_moves():
    ours, theirs = layers(), layers()
    one, other = MuonAdamW(groups(ours)), MuonAdamW(groups(theirs))
    descend(theirs, [other], steps=1)
    x = torch.randn(16, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def closure() -> torch.Tensor:
        loss = (ours(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        return loss

    assert one.step(closure) > 0
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_saved_state_goes_on_as_if_never_stopped():
    a = layers()
    first = MuonAdamW(groups(a))
    descend(a, [first])
    b, state = copy.deepcopy(a), copy.deepcopy(first.state_dict())
    second = MuonAdamW(groups(b))
    second.load_state_dict(state)
    descend(a, [first])
    descend(b, [second])
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_muon_gets_the_inner_matrices_alone():
    config = preset("tiny", **{"train.muon_lr": 0.5})
    model = DTSE(config.model)
    names = {id(p): name for name, p in model.named_parameters()}
    marked = {names[id(p)] for g in parameter_groups(model, config) if g["muon"] for p in g["params"]}
    assert all(dict(model.named_parameters())[name].ndim > 1 for name in marked)
    assert not any("embed" in name or "heads" in name for name in marked)
    assert {"lmdf.3.to_filters.0.weight", "encoder.vlmg.4.W_v.weight", "decoder.reduce_low.0.weight"} & marked
    assert sum(p.numel() for n, p in model.named_parameters() if n in marked) > 0.9 * sum(
        p.numel() for p in model.parameters()
    )
    assert not any(g["muon"] for g in parameter_groups(model, preset("tiny", **{"train.optimizer": "adamw"})))
