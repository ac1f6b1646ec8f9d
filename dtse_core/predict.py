"""Masks for a video and a sentence. Notebook: 12_your_own_video.

    python -m dtse_core.predict example "the dog walking towards the left" --checkpoint tiny --out masks/

Each frame is encoded once per sentence, what depends on the frame alone once for all sentences, what depends
on the sentence alone once for the whole video. Only the frames that a window can still reach are kept, so the
memory does not grow with the video's length. Where the first mask is not waited for, several frames go together.
"""

import math
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from .checkpoints.find import (
    checkpoint_folder,
    model_sha256,
    read_least_confidence,
    read_run_config,
    read_tokenizer,
    saw_drawn_clips,
)
from .config import Allowed, DataConfig, Name, Offset, Size, check_settings, checked
from .data.clip import window_indices
from .data.sentences import clean_expression, tokenize
from .data.transforms import resize_frames
from .decoder import mask_confidence, resize_logits
from .layers import folded
from .model import DTSE, FrameMemory, join_frames, select_frame
from .shared.console import bars_hidden, one_line_errors, parse, usable_device
from .video.files import EXAMPLE, find_video, iterate_frames, video_fps, video_info
from .video.prediction import Segmentation, Step, Video, sigmoid

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
TOGETHER = 16  # frames that go through the model at once, at most: a quarter of the time of `tiny`; more gain nothing
SEEN, SHOWN = 2**19, 2**25  # their pixels, at most, times sentences: as the model sees them, and of a file's frames
SENTENCES = Annotated[tuple[str, ...], Allowed("one sentence or more", len)]
LARGEST = 2**30  # bytes of masks that `segment` holds; beyond it `stream` is the way
CAUTION = (
    "this model has only seen drawn cartoons; on real footage its masks mean nothing, however high their confidence. "
    "Train one on real clips: python -m dtse_core.train --preset colab"
)


class ReferringVideoPredictor:
    """A trained model, its tokenizer, and the size and frame offset that it was trained with.

    `precision="bf16"` converts the model's weights: for processors that compute with them (AVX512_BF16, AMX, recent
    GPUs), where it is at least 1.6 times as fast and takes half the memory; `fp16` is for GPUs that lack it, such as a
    T4. Videos are answered by `fast`, the same model with its batch norms folded into the convolutions.
    """

    def __init__(self, model: DTSE, tokenizer: Any, data: DataConfig, device: str = "auto", precision: str = "fp32"):
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
        self.device, self.dtype = usable_device(device), PRECISIONS[precision]
        fast = folded(model)  # before any precision is lost
        self.model, self.tokenizer, self.data = model.to(self.device, self.dtype).eval(), tokenizer, data
        self.fast = fast.to(self.device, self.dtype)
        self.drawn = data.name == "toy"  # trained on drawn clips alone
        self.cautioned = False  # `caution` has been said
        self.least = 0.0  # confidence below which nothing is marked
        self.emptied = 0  # masks that this has emptied so far
        self.about: dict[str, str] = {}  # which model this is, for `write_prediction`; of a checkpoint

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "tiny", device: str = "auto", precision: str = "fp32"
    ) -> "ReferringVideoPredictor":
        """`"tiny"` ships with the package; anything else is a run, a checkpoint folder or a hub name.

        Raises `FileNotFoundError` or `ValueError` naming the file that is missing or does not fit the others.
        """
        folder = checkpoint_folder(name)
        data, tokenizer = read_run_config(folder).data, read_tokenizer(folder)
        predictor = cls(DTSE.from_pretrained(folder), tokenizer, data, device, precision)
        predictor.drawn, predictor.least = saw_drawn_clips(folder), read_least_confidence(folder)
        predictor.about = {"checkpoint": str(name), "model_sha256": model_sha256(folder), "precision": precision}
        return predictor

    @property
    def caution(self) -> str:
        """What to know before trusting a mask on real footage: "" unless the model was trained only on drawn clips."""
        return CAUTION if self.drawn else ""

    def segment(
        self, video: Video, expression: str | Sequence[str], progress: bool = False
    ) -> Segmentation | list[Segmentation]:
        """Masks for every frame; a list of expressions gives a list of results.

        `video` is a video file, a folder of frames, frames `(T, H, W, 3)` uint8, or "example", a clip that ships
        with the package. `progress` shows a bar; a `caution` is printed as in `stream`. Raises `ValueError` for frames
        or expressions that cannot be used and for a file whose masks would take more than 1 GiB, `FileNotFoundError`
        for a missing file.
        """
        from tqdm import tqdm

        expressions = sentences_in(expression)
        refuse_long(video, len(expressions))
        steps = self.stream(video, expressions, None)
        steps = tqdm(steps, unit=" frames", disable=not progress or bars_hidden())
        masks, confidence = zip(*((s.masks, s.confidence) for s in steps), strict=True)  # T times (S, H, W), (S,)
        if odd := [k for k, mask in enumerate(masks) if mask.shape != masks[0].shape]:
            sizes = f"{masks[odd[0]].shape[1:]}, frame 0 {masks[0].shape[1:]} (height, width)"
            raise ValueError(f"frame {odd[0]} is {sizes}; the frames of a video are of one size: resize them")
        fps = video_fps(video)
        each = zip(expressions, np.stack(masks, 1), np.stack(confidence, 1), strict=True)  # (T, H, W), (T,)
        results = [Segmentation(*one, video, fps) for one in each]
        return results[0] if isinstance(expression, str) else results

    def stream(
        self,
        video: Video | Iterable[np.ndarray],
        expression: str | Sequence[str],
        batch: int | None = 1,
        refuse: bool = True,
    ) -> Iterator[Step]:
        """Gives a `Step` per frame in constant memory, as far behind the input as a window reaches ahead of its current
        frame: by one offset for a window of three, not at all if causal.

        `video` is what `segment` takes, or an iterator of frames. `batch` frames are read and answered together,
        which saves time but delays the first of them; None takes as many as save time and fit the memory. A model's
        `caution` is said on standard error, once in its life, before a file, a folder or an iterator is answered; not
        for arrays, which lessons draw, nor for "example", which is drawn. Raises as `segment` does, without a limit of
        length; `refuse=False` answers any sentence of a data set, see `tokenize`.
        """
        expressions = sentences_in(expression)
        if refuse:
            refuse_unknown(expressions, self.tokenizer)
        ids, word_mask = tokenize(expressions, self.tokenizer, self.data.max_words, refuse)
        frames = iterate_frames(video)
        if self.caution and not self.cautioned and may_be_footage(video):
            self.cautioned = True
            print(f"note: {self.caution}", file=sys.stderr)
        ids, word_mask = ids.to(self.device), word_mask.to(self.device)
        batch = checked("batch", batch, Size) if batch is not None else self._batch(video, len(expressions))
        if not isinstance(video, str | Path):  # an iterator is asked for a frame when it is needed, not before
            return self._stream(frames, ids, word_mask, batch)
        from .shared.processes import ahead  # only files need threads

        return ahead(self._stream(ahead(frames, batch), ids, word_mask, batch), batch)

    def _batch(self, video: Video | Iterable[np.ndarray], expressions: int) -> int:
        """Frames that go together. Those of a file wait in memory with their masks, so their own size counts too."""
        fit = SEEN // (expressions * math.prod(self.data.size))
        if isinstance(video, str | Path):
            info = video_info(video)
            fit = min(fit, SHOWN // (expressions * info.height * info.width))
        return min(max(fit, 1), TOGETHER)

    @torch.inference_mode()
    def _stream(self, frames: Iterable[np.ndarray], ids: Tensor, word_mask: Tensor, batch: int) -> Iterator[Step]:
        """The steps of S sentences: `ids` and `word_mask (S, N)`."""
        L = self.fast.encoder.read_sentence(ids, word_mask)  # (S, N, D)
        window = self.fast.config.window if self.fast.uses_references else 1
        ahead = 0 if self.fast.config.causal else window // 2 * self.data.frame_offset
        behind = (window - 1) * self.data.frame_offset - ahead

        kept: deque[tuple[np.ndarray, FrameMemory]] = deque()  # frames that a window can still reach
        first = current = count = 0  # index of kept[0], of the next frame to answer, of the next to come
        coming = iter(frames)
        while chunk := list(islice(coming, batch)):
            kept.extend(zip(chunk, self._encode(chunk, L, word_mask), strict=True))
            count += len(chunk)
            ready = range(current, max(current, count - ahead))
            yield from self._decode(kept, first, ready, count, window)
            current = ready.stop
            while first < current - behind:
                kept.popleft()
                first += 1
        if not count:
            raise ValueError("the video holds no frames")
        for start in range(current, count, batch):  # these windows are clamped to the end
            yield from self._decode(kept, first, range(start, min(start + batch, count)), count, window)

    def _encode(self, frames: list[np.ndarray], L: Tensor, word_mask: Tensor) -> list[FrameMemory]:
        """K frames, each for all S sentences, to one memory a frame."""
        K, S = len(frames), len(L)
        x = torch.cat([resize_frames(frame[None], self.data.size) for frame in frames])  # (K, 3, h, w)
        x = x.pin_memory() if self.device.type == "cuda" else x  # so that the copy does not wait
        x = x.to(self.device, self.dtype, non_blocking=True)
        seen = self.fast.encoder.see_frame(x)  # once for all sentences
        if S > 1:
            x, seen = torch.cat([x] * S), {n: torch.cat([V] * S) for n, V in seen.items()}  # (S*K, C, h, w)
        L, word_mask = L.repeat_interleave(K, 0), word_mask.repeat_interleave(K, 0)  # (S*K, N, D), (S*K, N)
        memory = self.fast.remember(x, *self.fast.encode(seen, L, word_mask))
        return [select_frame(memory, k, K) for k in range(K)]

    def _decode(
        self, kept: Sequence[tuple[np.ndarray, FrameMemory]], first: int, current: range, count: int, window: int
    ) -> Iterator[Step]:
        """Masks for the frames `current`, whose windows lie in `kept`."""
        if not current:
            return
        offset, causal = self.data.frame_offset, self.fast.config.causal
        indices, slots = zip(*(window_indices(t, count, window, offset, causal) for t in current), strict=True)
        columns = list(zip(*indices, strict=True))
        now = join_frames([kept[i - first][1] for i in columns.pop(slots[0])])  # the slot is the same in every window
        references = [join_frames([kept[i - first][1].reference for i in column]) for column in columns]
        logits = self.fast.decode(now, references, self.data.size).logits  # (K*S, h, w), frame by frame
        for t, maps in zip(current, logits.unflatten(0, (len(current), -1)), strict=True):
            if not maps.isfinite().all():
                raise ValueError(f"frame {t}: the model returns NaN or infinity; its weights or precision do not fit")
            frame = kept[t - first][0]
            maps = resize_logits(maps, *frame.shape[:2]).cpu().numpy()  # (S, H, W) at the frame's own size
            masks = maps > 0
            inside = [sigmoid(x[m]) for x, m in zip(maps, masks, strict=True)]  # probabilities in the masks alone
            confidence = np.array([mask_confidence(p, p > 0) for p in inside])
            unsure = confidence < self.least  # nothing fits
            self.emptied += int(np.count_nonzero(confidence[unsure]))
            maps[unsure], masks[unsure], confidence[unsure] = -np.abs(maps[unsure]), False, 0.0
            yield Step(t, frame, masks, maps, confidence)


def sentences_in(expression: str | Iterable[str]) -> tuple[str, ...]:
    """One sentence or several, as a tuple. Raises `ValueError` for anything else, and for none."""
    several = isinstance(expression, Iterable) and not isinstance(expression, str)
    return checked("expression", tuple(expression) if several else (expression,), SENTENCES)


def may_be_footage(video: Video | Iterable[np.ndarray]) -> bool:
    """True for files, folders and iterators, for all that is not an array in memory or the drawn example."""
    if isinstance(video, str | Path):
        return find_video(video) != EXAMPLE
    return not isinstance(video, np.ndarray | list | tuple)


def refuse_long(video: Video, expressions: int) -> None:
    """Raises `ValueError` for a video file whose masks would fill the memory."""
    if isinstance(video, str | Path):
        info = video_info(video)
        size = expressions * info.length * info.height * info.width
        if size > LARGEST:
            raise ValueError(
                f"{video}: {size / 2**30:.0f} GiB of masks for {info.length} frames of {info.width} x {info.height}; "
                "use stream(), which gives one frame at a time, or python -m dtse_core.predict, which writes files"
            )


def unknown_words(expression: str, tokenizer: Any) -> list[str]:
    """The words of a sentence that the tokenizer does not know, in order, with the punctuation attached to them.

    An entry of the vocabulary is known. A word of several pieces is known if pieces longer than a letter continue
    words in this vocabulary: BERT has learned them (skate ##board ##er). The tiny one continues by letters alone
    (car ##p ##e ##t), which spell any word and mean none.
    """

    def known(word: str) -> bool:
        parts: list[list[str]] = []  # punctuation cuts a word: each part has pieces of its own
        for piece in tokenizer.tokenize(word):
            if piece.startswith("##") and parts:
                parts[-1].append(piece.removeprefix("##"))
            else:
                parts.append([piece])
        return bool(parts) and all(map(entry_or_built, parts))

    def entry_or_built(pieces: list[str]) -> bool:
        if len(pieces) == 1:
            return pieces[0] != tokenizer.unk_token
        return max(map(len, pieces)) > 1 and any(p[:2] == "##" and len(p) > 3 for p in tokenizer.get_vocab())

    return [word for word in clean_expression(expression).split() if not known(word)]


def notes_on_words(expressions: Sequence[str], tokenizer: Any) -> Iterator[str]:
    """A line for each sentence with words that the model does not know."""
    for text in expressions:
        if unknown := unknown_words(text, tokenizer):
            yield f"note: the model does not know {', '.join(unknown[:5])} in {text[:60]!r}"


def note_on_quotes(expressions: Sequence[str]) -> str:
    """A line for several sentences of one word each, as a sentence without its quotes becomes; "" for all others.

    Letters without case are those of languages that write without spaces, and of some others.
    """
    words = "".join(expressions)
    if len(expressions) < 2 or re.search(r"\s", words) or any(c.isalpha() and c.lower() == c.upper() for c in words):
        return ""
    return f"note: {len(expressions)} sentences of one word each; quote a sentence of several words"


def knows_any(expression: str, tokenizer: Any) -> bool:
    """True if at least one word of a sentence is known. Punctuation alone says nothing."""
    words = (word for word in clean_expression(expression).split() if any(map(str.isalnum, word)))
    return any(not unknown_words(word, tokenizer) for word in words)


def refuse_unknown(expressions: Sequence[str], tokenizer: Any) -> None:
    """Raises `ValueError` for a sentence of which the model knows no word at all: its answer would mean nothing."""
    for text in expressions:
        if clean_expression(text) and not knows_any(text, tokenizer):
            raise ValueError(f"the model knows no word of {text[:60]!r}; say it in words that it was trained with")


@dataclass(frozen=True)
class PredictCommand:
    """Mark what a sentence describes in every frame of a video."""

    video: Name  # video file, folder of frames, or example: a drawn clip that ships with the package
    expressions: tuple[str, ...]  # one sentence or several, each in quotes (required)
    checkpoint: str = "tiny"  # a run folder, a checkpoint folder, a hub name, or tiny
    out: Name = "prediction.mp4"  # overlay (.mp4 .mov .mkv .webm .gif), or a folder for masks, overlay and confidences
    device: str = "auto"  # cpu, cuda, cuda:1 ... or auto
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"  # fp16 for older GPUs, bf16 for what computes with it
    offset: Offset = 0  # frames of this video between the current one and a reference; 0: as many as in training

    def __post_init__(self) -> None:
        check_settings(self)


def parse_command(arguments: Sequence[str] | None = None) -> PredictCommand:
    """The command line. Raises `ValueError` if there is no expression."""
    from tyro.conf import PositionalRequiredArgs

    form = {"description": __doc__, "config": (PositionalRequiredArgs,)}
    none = 'no expression given; put one in quotes after the video, such as "the dog on the left"'
    try:
        command = parse(PredictCommand, "python -m dtse_core.predict", arguments, **form)
    except ValueError as error:
        if "either all arguments must be provided" in str(error):  # what tyro says before 0.9.17
            raise ValueError(none) from None
        raise
    if not command.expressions:
        raise ValueError(none)
    return command


@one_line_errors
def main() -> None:
    """Command line."""
    from tqdm import tqdm

    from .video.export import require_place, summary, write_prediction  # loads what draws: for the command alone

    command = parse_command()
    require_place(command.out, command.video)
    if note := note_on_quotes(command.expressions):
        print(note, file=sys.stderr)
    predictor = ReferringVideoPredictor.from_pretrained(command.checkpoint, command.device, command.precision)
    if command.offset:
        predictor.data = replace(predictor.data, offset=command.offset)
    for note in notes_on_words(command.expressions, predictor.tokenizer):
        print(note, file=sys.stderr)
    steps = predictor.stream(command.video, command.expressions, None)
    steps = tqdm(steps, unit=" frames", disable=bars_hidden())
    fps = video_fps(command.video)
    table = write_prediction(steps, command.expressions, command.out, fps, command.video, predictor.about)
    if predictor.emptied:
        said = f"{predictor.emptied} masks are left empty: they have less than {predictor.least:.3f}"
        print(f"note: {said}, the checkpoint's least confidence", file=sys.stderr)
    print(summary(command.expressions, table))
    print(f"model_sha256: {predictor.about['model_sha256']}\nwritten: {command.out}")


if __name__ == "__main__":
    main()
