"""A watched training: its masks are the model's own, a resumed log replaces, and a page is drawn where one can be."""

import numpy as np
import pytest
import torch

from dtse_core import preset
from dtse_core.data.build import build_dataset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.notebook.watch import Watch

CONFIG = preset("tiny", **{"data.size": (32, 48)})


@pytest.fixture
def watch(monkeypatch):
    monkeypatch.setenv("DTSE_HEADLESS", "1")
    torch.manual_seed(0)
    dataset = build_dataset(CONFIG.data, "train", CONFIG.model.window)
    watch = Watch([dataset[0], dataset[1]], load_tokenizer("tiny-bert", 1), CONFIG.data)
    watch.make_model(CONFIG.model)
    return watch


def test_the_masks_are_those_of_the_model_as_it_is_and_leave_it_training(watch):
    for step, bias in ((10, 1e3), (20, -1e3)):
        watch.model.train().decoder.heads[3].bias.data.fill_(bias)
        watch({"step": step, "loss": 1.0, "iou": 0.5})
        assert watch.model.training
    for k, clip in enumerate(watch.clips):
        assert watch.masks[10][k].shape == clip.mask.shape
        assert watch.masks[10][k].all() and not watch.masks[20][k].any()


def test_a_resumed_run_replaces_what_it_writes_again(watch):
    for record in (
        {"step": 10, "loss": 3.0},
        {"step": 10, "val_mean_iou": 0.1},
        {"step": 20, "loss": 2.0},
        {"step": 20, "loss": 1.0},
    ):
        watch(record)
    assert [r.get("loss") for r in watch.history] == [3.0, None, 1.0]
    watch({"step": 10, "loss": 5.0})
    assert [r.get("loss") for r in watch.history if "loss" in r] == [5.0] and list(watch.masks) == [10]


def test_with_a_front_end_two_figures_are_shown_once_and_then_updated(watch, monkeypatch):
    import IPython.display
    import matplotlib.pyplot as plt

    monkeypatch.setenv("DTSE_HEADLESS", "0")
    shown, updated = [], []

    class Handle:
        def update(self, figure):
            updated.append(figure)

    def display(figure, display_id):
        shown.append(figure)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    for step in (10, 20):
        watch({"step": step, "loss": 1.0, "iou": 0.5})
    assert len(shown) == len(updated) == 2 and not plt.get_fignums()
    points = updated[0].axes[0].lines[0].get_xydata()
    np.testing.assert_array_equal(points, [[10, 1], [20, 1]])
