"""What a change to a trained model does to its masks, on clips that it has not been trained on."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..data.batch import collate_clips
from ..data.toy.world import ToyWorld
from ..metrics import sample_ious
from ..model import DTSE
from ..predict import ReferringVideoPredictor


class Unseen:
    """`count` clips of the validation world, each with its own sentence, and the model of `predictor`."""

    def __init__(self, predictor: ReferringVideoPredictor, count: int = 24):
        world, data = ToyWorld("val"), predictor.data
        self.model = predictor.model
        self.batch = collate_clips([world[5 * k] for k in range(count)], predictor.tokenizer, data.size, data.max_words)
        self.batch = self.batch.to(predictor.device)

    def iou(self, change: Callable[[DTSE], None] | None = None, padding: int = 0) -> float:
        """Mean IoU of the model, or of a copy that `change` has changed, at the model's own size.

        `padding` is how many pieces of padding each sentence gets in addition.
        """
        model = copy.deepcopy(self.model) if change else self.model
        if change:
            change(model)
        with torch.inference_mode():
            words = (F.pad(x, (0, padding)) for x in (self.batch.input_ids, self.batch.attention_mask))
            logits = model(self.batch.frames, *words).logits
        return float(sample_ious((logits > 0).cpu().numpy(), self.batch.masks.cpu().numpy()).mean())
