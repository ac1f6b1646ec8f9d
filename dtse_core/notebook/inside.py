"""What a trained model computes on its way from a clip and a sentence to a mask, kept for looking at.

A `Lens` looks into one model at some clips and keeps what it has seen, so that an explorer answers a control without
running the encoder again. `failure` says in what way a mask is wrong. Notebook: 10_look_inside.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.batch import collate_clips
from ..data.clip import ReferringClip
from ..decoder import resize_logits
from ..lmdf import dynamic_filter
from ..metrics import region_similarity
from ..model import select_frame
from ..predict import ReferringVideoPredictor

FAILURES = ("missed", "twin", "wrong object", "too large", "too small")


class Lens:
    """Looks into one model at some clips; keeps the last 64 pairs of clip and sentence."""

    def __init__(self, predictor: ReferringVideoPredictor, clips: Sequence[ReferringClip]):
        self.predictor, self.clips = predictor, list(clips)
        self.see = lru_cache(maxsize=64)(self._see)

    def _see(self, k: int, expression: str = "") -> "Inside":
        """Clip `k` with its own sentence, or with another one."""
        clip = self.clips[k]
        return Inside(self.predictor, replace(clip, expression=expression) if expression else clip)


class Answer(NamedTuple):
    """What becomes of the current frame for one order of the window. `filters` and `responses` are empty for a model
    whose LMDF makes no filters."""

    probability: np.ndarray  # (H0, W0), at the mask's own size
    updated: dict[int, Tensor]  # per stage with LMDF U (c, h, w)
    filters: dict[int, Tensor]  # per stage k (R, m, K*K, h, w), one for each rate
    responses: dict[int, Tensor]  # per stage Z (R, m, h, w)


class Inside:
    """One clip and its sentence inside a model.

    Shapes: `features` (T, C, h, w) by name. `Res2` and `Res3` know their frame alone, `VLMG3` is what the first
    insertion makes of `Res3`, `Res4` what the next stage makes of that, and so on. All frames are encoded to the end,
    where the model itself stops its references at the last stage with LMDF. `attention` is VLMG's `a` in the current
    frame, (N, h, w) per insertion, with its N word pieces in `words`, repeated ones numbered.
    """

    def __init__(self, predictor: ReferringVideoPredictor, clip: ReferringClip):
        self.clip, self.model, self.size = clip, predictor.model, predictor.data.size
        batch = collate_clips([clip], predictor.tokenizer, self.size, predictor.data.max_words).to(predictor.device)
        self.words = _numbered(predictor.tokenizer.convert_ids_to_tokens(batch.input_ids[0].tolist()))
        self._encode(batch.frames[0], batch.input_ids, batch.attention_mask)
        self.answer = lru_cache(maxsize=8)(self._answer)

    @torch.inference_mode()
    def _encode(self, frames: Tensor, ids: Tensor, word_mask: Tensor) -> None:
        """`frames` (T, 3, h, w), `ids` and `word_mask` (1, N)."""
        encoder, T = self.model.encoder, len(frames)
        L = encoder.read_sentence(ids, word_mask).expand(T, -1, -1)  # (T, N, D)
        seen = encoder.see_frame(frames)
        before: dict[int, Tensor] = {}  # what each insertion is given
        hooks = [
            encoder.vlmg[str(stage)].register_forward_pre_hook(lambda _, given, n=stage: before.update({n: given[0]}))
            for stage in encoder.stages
        ]
        try:
            encoded, reference = self.model.encode(seen, L, word_mask.expand(T, -1), return_maps=True)
        finally:
            for hook in hooks:
                hook.remove()
        self.features = {f"Res{n}": before.get(n, V) for n, V in sorted(encoded.features.items())}
        self.features |= {f"VLMG{n}": encoded.features[n] for n in before}
        names = sorted(self.features, key=lambda name: (name[-1], name))  # Res3 before VLMG3 before Res4
        self.features = {name: self.features[name].cpu() for name in names}
        self.attention = {
            n: maps.words[self.clip.current].T.unflatten(1, encoded.features[n].shape[2:]).cpu()
            for n, maps in encoded.maps.items()
        }  # (N, h, w) each
        memory = self.model.remember(frames, encoded, reference)
        self.memory = [select_frame(memory, t, T) for t in range(T)]

    @torch.inference_mode()
    def _answer(self, order: tuple[int, ...] = ()) -> Answer:
        """`order` names the frame for each place in the window; without one it is the order of time."""
        now, order = self.clip.current, order or tuple(range(len(self.memory)))
        window = [self.memory[t] for t in order]
        current, others = window[now], window[:now] + window[now + 1 :]
        references = [memory.reference for memory in others] if self.model.uses_references else []
        logits = self.model.decode(current, references, self.size).logits[0]  # (h, w)
        probability = resize_logits(logits, *self.clip.mask.shape).sigmoid().cpu().numpy()
        updated, filters, responses = {}, {}, {}
        for n, X in current.reference.X.items():
            level, G = self.model.lmdf[str(n)], current.reference.G[n]
            updated[n] = level.update(X, G, current.sentence, [(r.X[n], r.G[n]) for r in references])[0].cpu()
            if G is not None:
                Y = level.spatial_temporal_feature(G, current.sentence, [r.G[n] for r in references])  # as G
                k = [level.make_filters(Y, r) for r in range(len(level.dilations))]  # R times (1, m, K*K, h, w)
                xs = level.filtered_features(level.to_filtered(X), [r.X[n] for r in references])
                Z = [dynamic_filter(x, k_r, r) for x, k_r, r in zip(xs, k, level.dilations, strict=True)]
                filters[n], responses[n] = torch.cat(k).cpu(), torch.cat(Z).cpu()
        return Answer(probability, updated, filters, responses)


def swap_word(sentence: str, word: str, by: str) -> str:
    """The sentence with one word changed; the second "the" is called `the 2`, as in `Inside.words`."""
    words = sentence.split()
    numbered = _numbered(words)
    if word not in numbered:
        raise ValueError(f"{sentence!r} has no word {word!r}; it has {', '.join(numbered)}")
    return " ".join(by if name == word else old for name, old in zip(numbered, words, strict=True))


def change(before: Tensor, after: Tensor) -> np.ndarray:
    """How much each position of a feature (..., C, h, w) changed, relative to the map's mean length: (..., h, w)."""
    length = before.norm(dim=-3).mean().clamp_min(1e-12)
    return ((after - before).norm(dim=-3) / length).cpu().numpy()


def failure(mask: np.ndarray, clip: ReferringClip, at: float = 0.5) -> str:
    """In what way a mask (H0, W0) is wrong, one of `FAILURES`; "" where its IoU is `at` or more.

    `missed`: hardly anything is marked. `twin`: more of the twin than of the target. `wrong object`: less than half
    of the mask is target, and less than half of the target is marked. Otherwise it found the target and is
    `too large` or `too small`.
    """
    mask, truth = np.asarray(mask, bool), clip.mask
    if region_similarity(mask, truth) >= at:
        return ""
    area, size, both = int(mask.sum()), int(truth.sum()), int((mask & truth).sum())
    if area < 0.1 * size:
        return "missed"
    if clip.twin_mask is not None and (mask & clip.twin_mask).sum() > both:
        return "twin"
    if 2 * both < min(area, size):
        return "wrong object"
    return "too large" if area > size else "too small"


def _numbered(words: Sequence[str]) -> list[str]:
    """`the cat under the tree` to the, cat, under, the 2, tree: each can be named."""
    return [w if (n := words[: k + 1].count(w)) == 1 else f"{w} {n}" for k, w in enumerate(words)]
