"""What lessons 03 to 05 measure after an exercise: a changed copy of the model, on clips of the validation world."""

import pytest
import torch

from dtse_core import ReferringVideoPredictor
from dtse_core.data.batch import collate_clips
from dtse_core.data.toy.world import ToyWorld
from dtse_core.notebook.effects import Unseen


@pytest.fixture(scope="module")
def unseen():
    return Unseen(ReferringVideoPredictor.from_pretrained("tiny", "cpu"), count=3)


def silence(model):
    model.refinement = None  # it would draw something around logits of 0
    for p in model.decoder.parameters():
        p.data.zero_()


def test_the_measure_is_the_mean_overlap_of_masks_with_the_true_ones(unseen):
    found = []
    tokenizer = ReferringVideoPredictor.from_pretrained("tiny", "cpu").tokenizer
    for k in range(3):
        clip = collate_clips([ToyWorld("val")[k]], tokenizer, (64, 96), 64)
        with torch.inference_mode():
            mask = unseen.model(clip.frames, clip.input_ids, clip.attention_mask).logits > 0
        true = clip.masks > 0.5  # they were resized
        found.append(float((mask & true).sum() / (mask | true).sum()))
    assert unseen.iou() == pytest.approx(sum(found) / 3, abs=0.01) and min(found) > 0
    kinds = [ToyWorld("val").scene(k).sentences[0].evidence for k in range(3)]
    assert unseen.scores() == pytest.approx({"all": sum(found) / 3} | dict(zip(kinds, found, strict=True)), abs=0.01)


def test_a_comparison_prints_a_row_for_each_change_and_a_column_for_each_kind(unseen, capsys):
    found = unseen.compare({"as trained": None, "silent": silence})
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["all", "appearance", "position", "relation"] == list(found["as trained"])
    assert rows[0][:2] == ["as", "trained"] and rows[1] == ["silent", *["0.00"] * 4]
    assert [float(x) for x in rows[0][2:]] == pytest.approx(list(unseen.scores().values()), abs=0.006)


def test_a_change_is_made_to_a_copy_and_more_padding_changes_nothing(unseen):
    before = unseen.iou()

    assert unseen.iou(silence) == 0 < before
    assert unseen.iou() == before == pytest.approx(unseen.iou(padding=9), abs=1e-3)
