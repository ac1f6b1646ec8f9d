"""Scores a checkpoint on a data set, sample by sample at the original size. Notebook: 09_full_evaluation.

    python -m dtse_core.evaluate --checkpoint RUN_OR_NAME --data.name a2d --data.root DIR --split test --json FILE

The protocol is that of A2D-Sentences: a sample is one (video, annotated frame, sentence). A toy world adds a
breakdown by the evidence that a sentence needs, and how many same-look twins are told apart.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from .checkpoint import checkpoint_folder, checkpoint_sha256, read_run_config, versions, write_json
from .commands import bars_hidden, one_line_errors
from .config import DataConfig, to_dict
from .data.baselines import constant_baselines
from .data.build import build_dataset
from .data.clip import ReferringClip
from .data.collate import collate_clips, load_tokenizer
from .data.toy_world import EVIDENCE
from .metrics import (
    P_AT,
    coco_map,
    mask_confidence,
    mean_iou,
    mean_precision_ap,
    overall_iou,
    overlap,
    precision_at,
    rank_correlation,
    resize_logits,
    sample_ious,
)
from .model import DTSE


@dataclass(frozen=True)
class Sample:
    """What is kept of one sample: integers and probabilities, no masks."""

    sample_id: str
    expression: str
    intersection: int  # pixels at the original size
    union: int
    confidence: float  # mean probability over the predicted mask, 0 if it is empty (D-15)
    evidence: str | None = None  # toy world: what the sentence needs
    on_target: float | None = None  # clips with a twin: mean probability on the target,
    on_twin: float | None = None  # and on the twin that differs in motion alone


@torch.inference_mode()
def evaluate(
    model,
    dataset,
    tokenizer,
    size: tuple[int, int],
    device,
    batch: int = 16,
    workers: int = 0,
    progress: bool = True,
    max_words: int = 64,
) -> list[Sample]:
    """Runs `model` on every clip of `dataset`; logits are resized to the original size before the threshold.

    `size` (height, width) is what the model sees. Raises `ValueError` for an empty data set and for a sample
    that occurs twice, `FloatingPointError` for logits that are not finite.
    """
    collate = partial(collate_clips, tokenizer=tokenizer, size=size, max_words=max_words)
    loader = DataLoader(dataset, batch, num_workers=workers, collate_fn=collate)
    samples: dict[tuple[str, str], Sample] = {}
    was_training = model.training
    model.eval()
    bar = tqdm(total=len(dataset), unit=" samples", disable=not progress or bars_hidden())
    try:
        for one in loader:
            one = one.to(device)
            logits = model(one.frames, one.input_ids, one.attention_mask).logits  # (B, H, W)
            for clip, clip_logits in zip(one.clips, logits, strict=True):
                sample = score(clip, clip_logits)
                key = sample.sample_id, sample.expression
                if key in samples:
                    raise ValueError(f'sample {key[0]} "{key[1]}" occurs twice: it would count twice in every metric')
                samples[key] = sample
            bar.update(len(one.clips))
    finally:
        bar.close()
        model.train(was_training)
    if not samples:
        raise ValueError("no samples: the data set is empty")
    return list(samples.values())


def score(clip: ReferringClip, logits: torch.Tensor) -> Sample:
    """One clip's sample from its logits (H, W) at any size."""
    logits = resize_logits(logits, *clip.mask.shape)
    if not torch.isfinite(logits).all():
        raise FloatingPointError(f'logits of {clip.sample_id} "{clip.expression}" are not finite; training diverged?')
    mask, probability = (logits > 0).cpu().numpy(), logits.sigmoid().cpu().numpy()
    on_target = on_twin = None
    if clip.twin_mask is not None and clip.twin_mask.any():
        on_target, on_twin = mask_confidence(probability, clip.mask), mask_confidence(probability, clip.twin_mask)
    return Sample(
        clip.sample_id,
        clip.expression,
        *overlap([mask], [clip.mask])[0].tolist(),
        mask_confidence(probability, mask),
        clip.evidence,
        on_target,
        on_twin,
    )


def summarize(samples: Sequence[Sample], twins: Sequence[Sample] = (), compare: str = ">=") -> dict:
    """The result as JSON holds it: metrics in [0, 1], overall and by evidence, and each sample's integers.

    `twins` are the samples of a toy world's `twins` split. What does not apply is absent.
    """
    samples = sorted(samples, key=lambda s: (s.sample_id, s.expression))  # equal confidences rank by id in COCO
    result = {"metrics": _metrics(samples, compare), "compare": compare}
    if kinds := [kind for kind in EVIDENCE if any(s.evidence == kind for s in samples)]:
        groups = {kind: [s for s in samples if s.evidence == kind] for kind in kinds}
        result["by_evidence"] = {k: _metrics(g, compare) | {"count": len(g)} for k, g in groups.items()}
    if twins:
        result["twins_accuracy"] = twins_accuracy(twins)
    correlation = rank_correlation([s.confidence for s in samples], sample_ious(_counts(samples)))
    if correlation is not None:
        result["confidence_rank_correlation"] = correlation
    result["samples"] = [{k: v for k, v in vars(s).items() if v is not None} for s in samples]
    return result


def _counts(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([(s.intersection, s.union) for s in samples], dtype=np.int64).reshape(-1, 2)


def _metrics(samples: Sequence[Sample], compare: str) -> dict[str, float]:
    counts = _counts(samples)
    return {
        "mean_iou": mean_iou(counts),
        "overall_iou": overall_iou(counts),
        **{f"P@{k}": precision_at(counts, k, compare) for k in P_AT},
        "AP_mean_precision": mean_precision_ap(counts, compare),
        "mAP_coco": coco_map(counts, [s.confidence for s in samples]),
    }


def twins_accuracy(samples: Sequence[Sample]) -> float:
    """Share of samples with more mean probability on the target than on its twin; ties count half."""
    gaps = np.array([s.on_target - s.on_twin for s in samples if s.on_twin is not None])
    if not len(gaps):
        raise ValueError("no samples with a visible twin: twins_accuracy is undefined")
    return float(np.mean((np.sign(gaps) + 1) / 2))


def format_table(result: dict) -> str:
    """The result in percent with one decimal: all samples, each kind of evidence, and the baselines."""
    compare = result["compare"]
    names = {"mean_iou": "mean IoU", "overall_iou": "overall IoU"}
    names |= {f"P@{k}": f"P@{k} ({compare})" for k in P_AT}
    names |= {"AP_mean_precision": "AP (mean P)", "mAP_coco": "mAP_coco (top-1)"}
    rows = [["", "samples", *names.values()]]
    groups = {"all": result["metrics"] | {"count": len(result["samples"])}} | result.get("by_evidence", {})
    for name, metrics in groups.items():
        rows.append([name, str(metrics["count"]), *(f"{100 * metrics[m]:.1f}" for m in names)])
    for name, value in result.get("baselines", {}).items():
        rows.append([f"baseline: {name.replace('_', ' ')}", "", f"{100 * value:.1f}", *[""] * (len(names) - 1)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    if "twins_accuracy" in result:
        lines.append(f"twins told apart: {100 * result['twins_accuracy']:.1f} (chance 50.0)")
    return "\n".join(lines)


@dataclass(frozen=True)
class EvaluateCommand:
    """Score a checkpoint on a data set; settings of the data default to those that it was trained with."""

    checkpoint: str = "tiny"  # a run folder, a checkpoint folder, a hub name, or tiny
    split: str = "test"  # train or test; a toy world also has val, compositional and twins
    json: str = ""  # file for the result; folders are made as needed
    compare: Literal[">=", ">", "mttr"] = ">="  # of P@K and the AP that is their mean
    baselines: bool = False  # also score everything, nothing, and the largest thing that moves
    batch: int = 16  # clips at a time
    device: str = "auto"  # cpu, cuda, or auto
    data: DataConfig = field(default_factory=DataConfig)


def parse_command(arguments: Sequence[str]) -> EvaluateCommand:
    """The command line over the settings that the checkpoint brings along."""
    import tyro

    name = EvaluateCommand.checkpoint
    for k, argument in enumerate(arguments):
        if argument == "--checkpoint" and k + 1 < len(arguments):
            name = arguments[k + 1]
        elif argument.startswith("--checkpoint="):
            name = argument.partition("=")[2]
    default = EvaluateCommand(checkpoint=name)
    if not {"-h", "--help"} & set(arguments):
        default = dataclasses.replace(default, data=read_run_config(checkpoint_folder(name)).data)
    command = tyro.cli(EvaluateCommand, default=default, args=arguments, prog="python -m dtse_core.evaluate")
    if command.data.name == "toy" and command.data.root != default.data.root:
        raise ValueError(f"--data.root {command.data.root} is not read by --data.name toy; add --data.name a2d")
    return command


def run_command(c: EvaluateCommand) -> dict:
    """Loads, scores, and returns the result with where it came from."""
    folder = checkpoint_folder(c.checkpoint)
    device = usable_device(c.device)
    model = DTSE.from_pretrained(folder).to(device)
    tokenizer = load_tokenizer(str(folder))
    window = model.config.window, model.config.causal

    def run(dataset) -> list[Sample]:
        return evaluate(
            model, dataset, tokenizer, c.data.size, device, c.batch, c.data.workers, max_words=c.data.max_words
        )

    dataset = build_dataset(c.data, c.split, *window)
    samples, twins = run(dataset), ()
    if has_twins(c.data):
        twins = samples if c.split == "twins" else run(build_dataset(c.data, "twins", *window))
    result = summarize(samples, twins, c.compare)
    if c.baselines:
        result["baselines"] = constant_baselines(dataset, progress=True)
    config = dataclasses.replace(read_run_config(folder), data=c.data)
    return result | {
        "split": c.split,
        "config": to_dict(config),
        "checkpoint_sha256": checkpoint_sha256(folder),
        "versions": versions(),
    }


def usable_device(name: str) -> torch.device:
    """The device by its name; `auto` is the GPU if there is one. Raises `ValueError` if it cannot be used."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # an unknown name, and a build without that kind of device
        raise ValueError(f"device {name!r} cannot be used here; cpu always can") from error


def has_twins(data: DataConfig) -> bool:
    """Whether the data set is a toy world with clips in its `twins` split."""
    listing = Path(data.root) / "toy_world.json"
    if data.name == "toy" or not listing.is_file():
        return data.name == "toy"
    return bool(json.loads(listing.read_text(encoding="utf-8"))["splits"].get("twins"))


@one_line_errors
def main() -> None:
    """Command line."""
    command = parse_command(sys.argv[1:])
    if command.json and Path(command.json).is_dir():
        raise ValueError(f"--json {command.json} is a folder; name a file in it")
    result = run_command(command)
    print(f"{command.checkpoint} on {command.data.root or command.data.name}, split {command.split}")
    print(format_table(result))
    if command.json:
        write_json(command.json, result)
        print(f"written: {command.json}")


if __name__ == "__main__":
    main()
