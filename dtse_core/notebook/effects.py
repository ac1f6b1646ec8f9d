"""What a change to a trained model does to its masks, on clips that it has not been trained on."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..data.batch import collate_clips
from ..data.clip import EVIDENCE
from ..data.toy.world import ToyWorld
from ..metrics import sample_ious
from ..model import DTSE
from ..predict import ReferringVideoPredictor

Change = Callable[[DTSE], object]  # what it returns is not used


class Unseen:
    """The first `count` clips of the validation world, which go round the five kinds of evidence, and a model."""

    def __init__(self, predictor: ReferringVideoPredictor, count: int = 60):
        clips, data = [ToyWorld("val")[k] for k in range(count)], predictor.data
        self.model, self.evidence = predictor.model, [clip.evidence for clip in clips]
        self.batch = collate_clips(clips, predictor.tokenizer, data.size, data.max_words).to(predictor.device)

    def logits(self, change: Change | None = None, padding: int = 0) -> torch.Tensor:
        """`(count, H, W)`, of the model or of a copy that `change` has changed, at the model's own size.

        `padding` is how many pieces of padding each sentence gets in addition.
        """
        model = copy.deepcopy(self.model) if change else self.model
        if change:
            change(model)
        with torch.inference_mode():
            words = (F.pad(x, (0, padding)) for x in (self.batch.input_ids, self.batch.attention_mask))
            return model(self.batch.frames, *words).logits.cpu()

    def scores(self, change: Change | None = None, padding: int = 0) -> dict[str, float]:
        """Mean IoU on "all" clips and on those of each kind of evidence."""
        found = sample_ious((self.logits(change, padding) > 0).numpy(), (self.batch.masks > 0.5).cpu().numpy())
        groups = {kind: [k for k, other in enumerate(self.evidence) if other == kind] for kind in EVIDENCE}
        return {"all": float(found.mean())} | {kind: float(found[rows].mean()) for kind, rows in groups.items() if rows}

    def iou(self, change: Change | None = None, padding: int = 0) -> float:
        """Mean IoU on all clips."""
        return self.scores(change, padding)["all"]

    def compare(self, changes: dict[str, Change | None], padding: int = 0) -> dict[str, dict[str, float]]:
        """`scores` of each change, by its name; prints them, a row for each change and a column for each kind."""
        found = {name: self.scores(change, padding) for name, change in changes.items()}
        width = max(map(len, found))
        for name, row in [("", {kind: kind for kind in next(iter(found.values()))}), *found.items()]:
            cells = (f"{cell:>10}" if isinstance(cell, str) else f"{cell:10.2f}" for cell in row.values())
            print(f"{name:{width}}", *cells)
        return found
