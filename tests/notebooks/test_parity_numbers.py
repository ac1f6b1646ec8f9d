"""What a notebook defines gives the package's numbers, bit for bit; one changed operator on either side shows."""

import importlib
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from dtse_core.config import preset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.world import ToyWorld
from tools import heads, parity

ROOT = Path(__file__).resolve().parents[2]


Space = dict[str, Any]
PACKAGE = parity.definitions(ROOT / "dtse_core")
CELLS = {  # name: (notebook, text of its define: cells)
    name: (path, [c.source for c in cells if name in parity.defined_names(c)])
    for path in sorted((ROOT / "notebooks").glob("0[0-7]_*.ipynb"))
    for cells in [nbformat.read(path, as_version=4).cells]
    for name in dict.fromkeys(n for c in cells for n in parity.defined_names(c))
}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"}
BERT = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
IDS, WORDS = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


def learned(module: torch.nn.Module, *inputs) -> list[torch.Tensor]:
    """Outputs, parameters and every gradient of a module."""
    found = module(*inputs)
    found = [found] if isinstance(found, torch.Tensor) else found.values() if isinstance(found, dict) else found
    found = [x for x in found if x is not None]  # maps that nobody asked for
    return [*found, *module.parameters(), *gradients(found, [*module.parameters(), *inputs])]


def gradients(outputs, of) -> list[torch.Tensor]:
    of = [x for x in of if isinstance(x, torch.Tensor) and x.requires_grad]
    grads = torch.autograd.grad(sum(x.square().sum() for x in outputs), of, allow_unused=True)
    return [torch.zeros(1) if g is None else g for g in grads]


def filtered(function) -> list[torch.Tensor]:
    x, filters = random(1, 2, 5, 6), random(1, 2, 9, 5, 6)
    return [Z := function(x, filters, 2), *gradients([Z], [x, filters])]


def collated(s: Space) -> list[torch.Tensor]:
    world = ToyWorld("val", height=32, width=48)
    batch = s["collate_clips"]([world[0], world[8]], load_tokenizer("tiny-bert", 1), (16, 24), 16)
    return [batch.frames, batch.input_ids, batch.attention_mask, batch.masks]


def encoded(s: Space) -> list[torch.Tensor]:
    encoder = s["InterleavedEncoder"](preset("tiny").model)
    out = encoder(random(2, 3, 32, 48), IDS, WORDS)
    found = [*out.features.values(), out.words, out.sentence]
    return [*found, *encoder.parameters(), *gradients(found, encoder.parameters())]


def lost(s: Space) -> list[torch.Tensor]:
    logits, coarse, target = random(2, 8, 12), random(2, 2, 3), (random(2, 8, 12) > 0).detach()
    return [loss := s["segmentation_loss"](logits, (coarse,), target, 0.7, 0.3), *gradients([loss], [logits, coarse])]


def diced(s: Space) -> list[torch.Tensor]:
    logits = random(2, 8, 12)
    return [loss := s["dice_loss"](logits, (logits > 1).detach()), *gradients([loss], [logits])]


def stepped(s: Space) -> list[torch.Tensor]:
    """The stages of a ResNet of the library, one block after another."""
    model, ResNet = ResNetModel(ResNetConfig(**RESNET)), s["ResNet"]
    ResNet.prepare(model)
    V = ResNet.stem(model, random(1, 3, 32, 48))
    for block in ResNet.blocks(model):
        V = block(V)
    return [V, *gradients([V], model.parameters())]


def read(s: Space) -> list[torch.Tensor]:
    """All layers of a BERT of the library."""
    model, Bert = BertModel(BertConfig(**BERT), **s["Bert"].options).eval(), s["Bert"]
    padding = torch.where(WORDS == 0, -1e4, 0.0)[:, None, None]
    L = Bert.step(model, Bert.blocks(model), Bert.embed(model, IDS), padding)
    return [L, *gradients([L], model.parameters())]


RUN = {  # name: how it is put to work
    "collate_clips": collated,
    "ResNet": stepped,
    "Bert": read,
    "VisualStream": lambda s: learned(s["VisualStream"]("", settings=RESNET, norm="group"), random(1, 3, 32, 48)),
    "LinguisticStream": lambda s: learned(s["LinguisticStream"]("", settings=BERT).eval(), IDS, WORDS),
    "PyramidPool": lambda s: learned(s["PyramidPool"]((1, 2)), random(2, 3, 4, 5)),
    "RegionAttention": lambda s: learned(s["RegionAttention"](6, 4, 2), random(2, 4, 6), random(2, 5, 4)),
    "VLMG": lambda s: learned(
        s["VLMG"](5, 6, width=4, heads=2, bins=(1, 2), gate_init=1.0), random(2, 5, 4, 6), random(2, 4, 6), WORDS
    ),
    "InterleavedEncoder": encoded,
    "dynamic_filter_reference": lambda s: filtered(s["dynamic_filter_reference"]),
    "_shifts": lambda s: filtered(s["dynamic_filter"]),
    "_DynamicFilter": lambda s: filtered(s["dynamic_filter"]),
    "dynamic_filter": lambda s: filtered(s["dynamic_filter"]),
    "LMDF": lambda s: learned(s["LMDF"](5, 8, 6, width=4, filtered_width=3), random(2, 3, 5, 6, 8), random(2, 3, 6), 1),
    "MaskDecoder": lambda s: learned(
        s["MaskDecoder"](5, (4, 6, 8)), random(2, 8, 2, 3), random(2, 8, 2, 3), random(2, 6, 4, 6), random(2, 4, 8, 12)
    ),
    "Refinement": lambda s: learned(s["Refinement"](6), random(2, 3, 4), random(2, 3, 9, 14)),
    "segmentation_loss": lost,
    "dice_loss": diced,
}
CHANGED = {  # name: an operator, and another one
    "ResNet": ("stride = (1, 1)", "stride = (2, 2)"),
    "Bert": ("layer(L, padding)", "layer(L, -padding)"),
    "collate_clips": ("c.current != ", "c.current == "),
    "VisualStream": ("and not pretrained", "and pretrained"),
    "LinguisticStream": ("word_mask == 0", "word_mask != 0"),
    "PyramidPool": ("mean @ band", "-mean @ band"),
    "RegionAttention": ("width % heads", "width // heads"),
    "VLMG": ("L + self.gate_L * ", "L - self.gate_L * "),
    "InterleavedEncoder": ("/ kept.sum(1)", "* kept.sum(1)"),
    "dynamic_filter_reference": ("+=", "-="),
    "_shifts": ("o // K - K // 2", "o // K + K // 2"),
    "_DynamicFilter": ("taps[middle] * x", "taps[middle] + x"),
    "dynamic_filter": ("K % 2 == 0", "K % 2 != 0"),
    "LMDF": ("G_ref - G for", "G_ref + G for"),
    "MaskDecoder": ("2 * w4", "3 * w4"),
    "Refinement": ("z + added", "z - added"),
    "segmentation_loss": ("loss + aux_weight", "loss - aux_weight"),
    "dice_loss": ("(1 - (2", "(1 + (2"),
}


def run(name: str, *texts: str) -> list[torch.Tensor] | str:
    """The numbers of `name` where `texts` stand in for the package's definitions; the error, if there is one."""
    space: Space = {"__name__": "notebook"}
    for other in (n for n, (path, _) in CELLS.items() if path == CELLS[name][0]):
        space |= vars(importlib.import_module(_module(PACKAGE[other][0].file)))
    space["__name__"] = "notebook"
    for text in texts:
        exec(text, space)
    torch.manual_seed(0)
    try:
        return RUN[name](space)
    except (ValueError, RuntimeError) as e:
        return str(e)


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def same(one, other) -> bool:
    lists = isinstance(one, list) and isinstance(other, list) and len(one) == len(other)
    return lists and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def notebook_texts(name: str, old: str = "", new: str = "") -> list[str]:
    """All define: cells of the notebook that defines `name`; in its own, `old` becomes `new`."""
    path = CELLS[name][0]
    return [
        text.replace(old, new) if other == name and old else text
        for other, (home, texts) in CELLS.items()
        if home == path
        for text in texts
    ]


def test_every_definition_of_00_to_07_is_put_to_work_and_changed():
    assert set(RUN) == set(CHANGED) == set(CELLS)
    assert {n for row in heads.lessons() if row["name"][:2] <= "07" for n in row.get("defines", [])} <= set(RUN)


@pytest.mark.parametrize("name", RUN)
def test_same_seed_same_parameters_outputs_and_gradients(name):
    theirs = run(name)
    assert isinstance(theirs, list) and any(x.float().abs().sum() > 0 for x in theirs)
    assert same(run(name, *notebook_texts(name)), theirs)


@pytest.mark.parametrize("side", ["notebook", "package"])
@pytest.mark.parametrize("name", RUN)
def test_a_changed_operator_on_either_side_fails_as_text_and_as_numbers(name, side, tmp_path):
    (old, new), (path, texts), source = CHANGED[name], CELLS[name], PACKAGE[name][0]
    assert sum(t.count(old) for t in texts) > 0 and old in source.text
    folder, package = tmp_path / "notebooks", tmp_path / "dtse_core"
    folder.mkdir()
    package.mkdir()
    for file in {PACKAGE[n][0].file for n, (home, _) in CELLS.items() if home == path}:
        shutil.copy(file, package)
    notebook = nbformat.read(path, as_version=4)
    if side == "notebook":
        for cell in (c for c in notebook.cells if name in parity.defined_names(c)):
            cell.source = cell.source.replace(old, new)
        numbers = run(name, *notebook_texts(name, old, new))
    else:
        file = package / source.file.name
        file.write_text(
            file.read_text(encoding="utf-8").replace(source.text, source.text.replace(old, new)), encoding="utf-8"
        )
        whole = {n: PACKAGE[n][0].text for n in CELLS if CELLS[n][0] == path}
        numbers = run(name, *(whole | {name: source.text.replace(old, new)}).values())
    nbformat.write(notebook, folder / path.name)
    [line] = parity.compare(folder, package)
    assert f"define:{name}: differs from {source.file.name}" in line
    assert not same(numbers, run(name))
