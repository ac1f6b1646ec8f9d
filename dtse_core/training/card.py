"""The card of a checkpoint: README.md beside the weights, which the hub shows as the model's page."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ..config import RunConfig
from ..data.build import is_toy, training_splits
from ..shared.versions import version

CARD = """---
library_name: dtse
license: apache-2.0
tags:
- referring-video-segmentation
---

# {name}

{kind} of {size:.1f} million parameters (https://arxiv.org/abs/2203.15969): it marks the object that a sentence
describes in every frame of a video.

```python
from dtse_core import ReferringVideoPredictor

result = ReferringVideoPredictor.from_pretrained("FOLDER_OR_HUB_NAME").segment("clip.mp4", "the dog on the left")
```

**Made by** dtse {version}, {steps} steps of {batch} clips of `{data}`, which the model sees at {height} x {width}.
`run.json` holds every setting, `config.json` the architecture with both streams' own, `tokenizer.json` the words:
nothing else is needed to load it.

## Scores

{scores}

## Limits

- {seen}
- A sentence has at most {words} word pieces. The model marks something for most sentences, also where nothing fits.
- Its confidence is the mean probability over the mask, not the chance that the mask is right.

## Licence

Apache 2.0 (https://www.apache.org/licenses/LICENSE-2.0), as far as it is ours to give: the terms of the data set and of
pretrained streams hold beside it.
"""
SCORED = """In validation during training, on `{split}`{some}; a data set's own protocol is
`python -m dtse_core.evaluate --checkpoint FOLDER`.

{table}"""
SCORES = {"val_mean_iou": "mean IoU", "val_overall_iou": "overall IoU", "val_P@0.5": "P@0.5"}


def card(config: RunConfig, model: nn.Module, history: Sequence[dict[str, float]]) -> str:
    """The card of the weights that a run has now; `history` are its records, whose last validation is theirs."""
    from ..shared.markdown import escaped  # for this page alone

    data, train = config.data, config.train
    height, width = data.size
    scores = "Not validated yet."
    if validated := [record for record in history if SCORES.keys() <= record.keys()]:
        last = validated[-1]
        rows = ["step", *SCORES.values()], ["---:"] * 4, [f"{last['step']:,}", *(f"{last[key]:.3f}" for key in SCORES)]
        some = f", {train.eval_samples} samples at most" if train.eval_samples else ""
        split = training_splits(data)[1]
        scores = SCORED.format(split=split, some=some, table="\n".join(f"| {' | '.join(row)} |" for row in rows))
    if is_toy(data):
        seen = (
            "It has seen drawn cartoons alone: on real footage its masks mean nothing, however high their confidence."
        )
    else:
        seen = f"It has seen `{data.name}` alone: other objects, words and footage than there were not measured."
    return CARD.format(
        name=escaped(Path(config.out).name),
        kind=type(model).__name__,
        size=sum(p.numel() for p in model.parameters()) / 1e6,
        version=version("dtse"),
        steps=f"{history[-1]['step']:,}" if history else "no",
        batch=train.batch,
        data=data.name,
        height=height,
        width=width,
        scores=scores,
        seen=seen,
        words=data.max_words,
    )
