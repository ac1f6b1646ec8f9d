"""`DTSE`: encoder, LMDF and decoder put together. Notebook: 01_the_map.

With LMDF after Res3 (`lmdf_stages`, D-12) the steps are:

    every frame      encoder up to VLMG3                 Res2, Res3, its words
                     `share`: LMDF's first half          X, G, all that a reference gives to its neighbors
    current frame    `finish`: encoder up to VLMG5       Res4, Res5, s
                     `remember`: 1x1 convolutions        U4, U5, Res2 reduced
                     `decode`: LMDF's second half        U3, from X and G of all frames and s
                               decoder                   logits, from U5, U4, U3 and Res2
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .config import ModelConfig
from .decoder import MaskDecoder, Refinement
from .encoder import EncoderOutput, InterleavedEncoder
from .lmdf import LMDF
from .vlmg import VLMGMaps


class DTSEOutput(NamedTuple):
    """Shapes: `logits` (B, H, W) at the frames' size; `aux_logits` (B, h, w) at D5, D4, D3; maps on request."""

    logits: Tensor
    aux_logits: tuple[Tensor, ...]
    maps: dict[int, VLMGMaps]  # VLMG's attention per insertion, in the current frame


class Reference(NamedTuple):
    """All that one frame contributes to its neighbors' masks. By stage with LMDF: `X` (B, c, h, w), and `G` of the same
    size, with `lmdf_width` channels, or None where no filters are made from it."""

    X: dict[int, Tensor]
    G: dict[int, Tensor | None]


class FrameMemory(NamedTuple):
    """All that one frame contributes to its own mask and, as `reference`, to its neighbors'.

    Shapes: `frame` (B, 3, H, W), or None without refinement; `low`, of Res2, (B, w4, H/4, W/4); `reduced`, by stage
    without LMDF, (B, c, h, w); `sentence`, after the last VLMG, (B, D).
    """

    frame: Tensor | None
    low: Tensor
    reduced: dict[int, Tensor]
    reference: Reference
    sentence: Tensor
    maps: dict[int, VLMGMaps]


CARD = """---
{{ card_data }}
---

# DTSE

Marks the object that a sentence describes in every frame of a video. `config.json` holds the architecture, `run.json`
the data and the training.

```python
from dtse_core import ReferringVideoPredictor

result = ReferringVideoPredictor.from_pretrained("FOLDER").segment("clip.mp4", "the dog running to the left")
```
"""


class DTSE(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="dtse",
    license="apache-2.0",
    tags=["referring-video-segmentation"],
    paper_url="https://arxiv.org/abs/2203.15969",
    model_card_template=CARD,
):
    """Deeply interleaved two-stream encoder with language-guided multi-scale dynamic filtering.

    >>> model = DTSE(preset("tiny").model)
    >>> model(frames, input_ids, attention_mask).logits      # (B, T, 3, H, W), (B, N), (B, N) -> (B, H, W)
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = config
        self.encoder = InterleavedEncoder(c)
        channels, D = self.encoder.visual.channels, self.encoder.text.width
        w4, w8, w16 = c.widths
        self.lmdf: Any = nn.ModuleDict(  # by stage; "off" leaves the 1x1 convolution that reduces the channels
            {
                str(stage): LMDF(
                    channels[stage],
                    outputs,
                    D,
                    window=c.window,
                    width=c.lmdf_width,
                    filtered_width=c.filtered_width,
                    filter_size=c.filter_size,
                    dilations=c.dilations,
                    norm=c.norm,
                    mode=c.lmdf if stage in c.lmdf_stages else "off",
                    language=c.lmdf_language,
                    filtered=c.filtered,
                )
                for stage, outputs in ((3, w8), (4, w16), (5, w16))
            }
        )
        self.decoder = MaskDecoder(channels[2], c.widths, c.norm)
        self.refinement = Refinement(c.refine) if c.refine else None
        # A checkpoint must build without the hub: it carries both streams' own settings.
        saved = {
            "visual": self.encoder.visual.settings,
            "text": self.encoder.text.settings,
        }
        self.config = self._hub_mixin_config = dataclasses.replace(config, saved_streams=saved)

    def forward(
        self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor, return_maps: bool = False
    ) -> DTSEOutput:
        """One window per clip, in order of time: `frames (B, T, 3, H, W)`, `input_ids` and `attention_mask (B, N)`.

        The current frame is the middle one, or the last with `causal`. Fewer frames than the model's window are
        completed with the current one, so a single image works (D-3). Where S sentences in a row are about one window,
        `frames (B / S, T, 3, H, W)` holds it once, and what comes before the first insertion is computed once.
        Each sentence has a word: `attention_mask`, 0 for padding, has a 1 in every row, or its logits are NaN. Raises
        `ValueError` for other shapes, for more frames than the window and for more word pieces than the text stream
        takes.
        """
        self._check(frames, input_ids, attention_mask)
        clips, T = frames.shape[:2]
        sentences = len(input_ids) // clips  # S
        current = T - 1 if self.config.causal else T // 2
        if not self.uses_references:
            frames, T, current = frames[:, current : current + 1], 1, 0
        L = self.encoder.read_sentence(input_ids, attention_mask)  # (B, N, D)
        L = L.repeat_interleave(T, 0)  # (B*T, N, D): each frame reads its own copy (D-6)
        word_mask = attention_mask.repeat_interleave(T, 0)  # (B*T, N)

        def for_each_sentence(x: Tensor) -> Tensor:
            return x.unflatten(0, (clips, 1, T)).expand(-1, sentences, -1, -1, -1, -1).flatten(0, 2)

        seen = self.encoder.see_frame(frames.flatten(0, 1), self.depth)
        seen = {number: for_each_sentence(V) for number, V in seen.items()}  # {2: (B*T, C, H/4, W/4), ...}
        read = self.encoder.interleave(seen, L, word_mask, return_maps, last=self.depth)
        shared = self.share(read)  # X (B*T, c, h, w), and G of the same size
        now, frame = select_frame((read, for_each_sentence(frames.flatten(0, 1))), current, T)  # (B, C, h, w), ...
        memory = self.remember(frame, self.finish(now, attention_mask, return_maps), select_frame(shared, current, T))
        references = [select_frame(shared, t, T) for t in range(T) if t != current]
        return self.decode(memory, references, frames.shape[3:])

    @property
    def uses_references(self) -> bool:
        """True if any frame but the current one matters."""
        return self.lmdf[str(self.depth)].uses_references

    @property
    def depth(self) -> int:
        """The last stage with LMDF, as far as references are encoded (D-12)."""
        return self.config.lmdf_stages[-1]

    def encode(
        self, seen: dict[int, Tensor], L: Tensor, word_mask: Tensor, return_maps: bool = False
    ) -> tuple[EncoderOutput, Reference]:
        """From the encoder's two prefixes: B frames encoded to the end, and what each shares with its neighbors."""
        read = self.encoder.interleave(seen, L, word_mask, return_maps, last=self.depth)
        return self.finish(read, word_mask, return_maps), self.share(read)

    def finish(self, read: EncoderOutput, word_mask: Tensor, return_maps: bool = False) -> EncoderOutput:
        """Continues the encoder from `depth` to the end."""
        encoded = self.encoder.interleave(read.features, read.words, word_mask, return_maps, first=self.depth + 1)
        return encoded._replace(maps=read.maps | encoded.maps)

    def share(self, read: EncoderOutput) -> Reference:
        """What each frame, encoded up to `depth`, gives to the masks of its neighbors."""
        pairs = {n: self.lmdf[str(n)].remember(read.features[n], read.sentence) for n in self.config.lmdf_stages}
        return Reference({n: X for n, (X, _) in pairs.items()}, {n: G for n, (_, G) in pairs.items()})

    def remember(self, frames: Tensor, encoded: EncoderOutput, reference: Reference) -> FrameMemory:
        """`frames (B, 3, H, W)`, encoded to the end, and what they share, to what the decoder and LMDF need of them."""
        low = self.decoder.reduce_low(encoded.features[2])  # (B, w4, H/4, W/4)
        reduced = {n: self.lmdf[str(n)].reduce(encoded.features[n]) for n in (3, 4, 5) if n not in reference.X}
        frame = frames if self.refinement else None
        return FrameMemory(frame, low, reduced, reference, encoded.sentence, encoded.maps)

    def decode(self, current: FrameMemory, references: Sequence[Reference], size: Sequence[int]) -> DTSEOutput:
        """The current frame and its references, in order of time, to mask logits of `size` (H, W)."""
        U, own = dict(current.reduced), current.reference
        for n, X in own.X.items():
            pairs = [(r.X[n], r.G[n]) for r in references]
            U[n] = self.lmdf[str(n)].update(X, own.G[n], current.sentence, pairs)  # (B, c, h, w)
        *aux, finest = self.decoder(U[5], U[4], U[3], current.low)  # (B, h, w) each
        if self.refinement:
            logits = self.refinement(finest, current.frame)
        else:
            logits = F.interpolate(finest[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
        return DTSEOutput(logits, tuple(aux), current.maps)  # logits (B, H, W)

    def _check(self, frames: Tensor, input_ids: Tensor, attention_mask: Tensor) -> None:
        if frames.ndim != 5 or frames.shape[2] != 3 or not frames.is_floating_point():
            raise ValueError(f"frames must be floating point (B, T, 3, H, W); got {frames.dtype} {tuple(frames.shape)}")
        if not 1 <= frames.shape[1] <= self.config.window:
            raise ValueError(
                f"frames must hold T = 1 to {self.config.window} frames, this model's window; got {frames.shape[1]}"
            )
        if not len(frames):
            raise ValueError(f"frames must hold B = 1 clip or more; got {tuple(frames.shape)}")
        if input_ids.ndim != 2 or len(input_ids) % len(frames) or not len(input_ids) or input_ids.is_floating_point():
            raise ValueError(
                f"input_ids must be integers (B, N) with B = {len(frames)} or a multiple; got {input_ids.dtype} "
                f"{tuple(input_ids.shape)}"
            )
        if attention_mask.shape != input_ids.shape:
            raise ValueError(
                f"attention_mask must have input_ids' shape {tuple(input_ids.shape)}; got {tuple(attention_mask.shape)}"
            )

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin takes any keyword
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> "DTSE":
        """The model of a checkpoint, in evaluation mode: "tiny", a run, a checkpoint folder or a hub name.

        Reads safetensors alone, so no pickle is ever executed; the keywords are for the hub. Raises
        `FileNotFoundError` or `ValueError` naming the file that is missing or does not fit.
        """
        from .checkpoints.find import checkpoint_folder, load_model  # not needed to build a new model

        hub = {"revision": revision, "cache_dir": cache_dir, "token": token}
        hub |= {"force_download": force_download, "local_files_only": local_files_only}
        return load_model(checkpoint_folder(name, **hub), cls)

    def _save_pretrained(self, save_directory: Path) -> None:
        """What `save_pretrained` writes the weights by: whole, to be read by whom the umask lets."""
        from .checkpoints.find import WEIGHTS
        from .shared.files import ANY, written_whole

        with written_whole(save_directory / WEIGHTS, ANY) as part:
            save_model(self, str(part))


def select_frame(memory: Any, t: int, T: int) -> Any:
    """Frame `t` of what B clips of T frames hold, clip by clip: of a tensor (B*T, ...), or of all in a memory."""
    return tree_map(lambda x: None if x is None else x.unflatten(0, (-1, T))[:, t], memory)


def join_frames(memories: Sequence[Any]) -> Any:
    """Memories of several frames as one batch, frame by frame: what decodes them together."""
    if len(memories) == 1:
        return memories[0]
    return tree_map(lambda *parts: None if parts[0] is None else torch.cat(parts), *memories)
