"""A training watched from a notebook: curves, and masks of a few clips, drawn again at each line of the log.

    watch = Watch(clips, tokenizer, config.data)
    train(config, on_log=watch, make_model=watch.make_model)

Without a front end nothing is drawn, and the masks are kept all the same. Notebook: 08_train_a_subset.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..config import DataConfig, ModelConfig
from ..data.batch import collate_clips
from ..data.clip import ReferringClip
from ..decoder import resize_logits
from ..model import DTSE
from ..video.film import film_strip
from .lesson import headless
from .plots import plot_history


class Watch:
    """Called with each record of a training's log; `history` holds them, `masks` those of the clips by step."""

    def __init__(self, clips: Sequence[ReferringClip], tokenizer, data: DataConfig):
        self.clips = list(clips)
        self.batch = collate_clips(self.clips, tokenizer, data.size, data.max_words)
        self.history: list[dict[str, Any]] = []
        self.masks: dict[int, list[np.ndarray]] = {}  # step: a mask (H, W) bool a clip, at the clip's own size
        self.model: DTSE | None = None
        self._shown: list[Any] = []  # handles of what is on the page

    def make_model(self, config: ModelConfig) -> DTSE:
        """For `train` to make its model with, so that we can ask that model for masks."""
        self.model = DTSE(config)
        return self.model

    def __call__(self, record: dict[str, Any]) -> None:
        """A line of the log. One that a resumed run writes again replaces the old one."""
        step = record["step"]
        self.history = [r for r in self.history if r["step"] < step or r.keys() != record.keys()] + [record]
        self.masks = {s: masks for s, masks in self.masks.items() if s < step} | {step: self.predict()}
        if not headless():
            self._draw()

    @torch.no_grad()
    def predict(self) -> list[np.ndarray]:
        """The clips' masks by the model as it is now."""
        model = self.model
        was_training = model.training
        model.eval()
        batch = self.batch.to(next(model.parameters()).device)
        logits = model(batch.frames, batch.input_ids, batch.attention_mask).logits  # (B, H, W)
        model.train(was_training)
        return [
            resize_logits(one, *clip.mask.shape)[0].cpu().numpy() > 0
            for one, clip in zip(logits.split(1), self.clips, strict=True)
        ]

    def _draw(self) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        frames = [clip.frames[clip.current] for clip in self.clips]
        titles = [clip.expression for clip in self.clips]
        figures = plot_history(self.history), film_strip(frames, self.masks[max(self.masks)], titles)
        if self._shown:
            for handle, figure in zip(self._shown, figures, strict=True):
                handle.update(figure)
        else:
            self._shown = [display(figure, display_id=True) for figure in figures]
        for figure in figures:
            plt.close(figure)  # or the cell shows it a second time at its end
