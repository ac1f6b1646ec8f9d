"""How the optimiser is set: which weights learn at which rate, how rates change, what is computed twice (D-14)."""

import math
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from .config import ModelConfig, RunConfig
from .model import DTSE


def parameter_groups(model: DTSE, config: RunConfig) -> list[dict]:
    """Streams, gates and new layers at their own rates (D-14); vectors (norms, biases, gates) do not decay.

    What `train.freeze` names is frozen here and in no group. Raises `ValueError` if it names nothing.

    With `train.optimizer` muon the matrices between input and output have a group of their own, marked for Muon;
    embeddings, the visual stem and the heads stay with AdamW, as its author advises.
    """
    c = config.train
    for start in c.freeze:
        frozen = [p.requires_grad_(False) for name, p in model.named_parameters() if name.startswith(start)]
        if not frozen:
            known = ", ".join(name for name, _ in model.encoder.named_children())
            raise ValueError(f"train.freeze {start!r} is the beginning of no weight's name; encoder. has {known}")
    rates = {"stream": c.stream_lr, "gate": c.gate_lr, "new": c.lr, "muon": c.muon_lr}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = "stream" if ".visual." in name or ".text." in name else "gate" if ".gate_" in name else "new"
            inner = parameter.ndim > 1 and not any(outer in name for outer in ("embed", "heads."))
            kind = "muon" if c.optimizer == "muon" and inner else kind
            groups.setdefault((kind, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "lr": rates[kind], "base_lr": rates[kind], "muon": kind == "muon"}
        | ({} if decays else {"weight_decay": 0.0})
        for (kind, decays), members in groups.items()
    ]


def rate_factor(share: float, step: int, config: RunConfig) -> float:
    """Learning rate over its base: linear warm-up, then halved at the milestones or a cosine to 0."""
    c = config.train
    warm = min(1.0, (step + 1) / c.warmup) if c.warmup else 1.0
    if c.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return warm * 0.5 ** sum(share >= milestone for milestone in c.milestones)


def checkpoint_streams(model: DTSE) -> None:
    """Of each block of both streams keeps the input alone; the backward pass computes the rest a second time.

    Gradients are the same. Raises `ValueError` where batch norm learns its statistics in a stream: the second
    computation would count each batch twice.
    """
    visual, text = model.encoder.visual, model.encoder.text
    if any(isinstance(m, nn.BatchNorm2d) and m.training for m in visual.modules()):
        raise ValueError(
            "train.checkpoint_streams needs a visual stream whose batch norms are frozen: "
            "set model.freeze_batch_norm or, for streams from scratch, model.norm group"
        )
    blocks = [block for stage in visual.resnet.encoder.stages for block in stage.layers]
    for block in [*blocks, *text.bert.encoder.layer]:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def has_idle_parameters(config: ModelConfig) -> bool:
    """Whether some weights get no gradient, which data-parallel training must know.

    Without a gate for the sentence in LMDF nothing reads the words that the last VLMG returns; with neither
    direction nothing reads VLMG.
    """
    sentence_read = config.lmdf in ("full", "current_only") and config.lmdf_language
    return not sentence_read or not (config.language_to_vision or config.vision_to_language)
