"""Speed and memory, two sides at a time: `python benchmarks/bench.py NAME [--json]`.

NAME is one of the functions in `BENCHMARKS`, or `all`. The two sides of a comparison take turns in one process, so
that whatever else the machine does falls on both; the ratio is the median over pairs. README.md beside this file
says where each bound comes from.
"""

import argparse
import functools
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import measure
import numpy as np
import torch
import torch.nn.functional as F
from grid import grid, kernel
from measure import compare, measured, peak_bytes, peak_resident_bytes
from scoring import decode, draw_level2, loading, metrics
from training import outside_the_model, two_processes

from dtse_core.config import preset
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.layers import folded
from dtse_core.lmdf import dynamic_filter
from dtse_core.model import DTSE
from dtse_core.predict import ReferringVideoPredictor

SIZE, WORDS = (320, 320), 20


# Speed of the whole model, `paper` preset at random weights, as the predictor runs it: `folded`


def paper_config(visual: str = "microsoft/resnet-101"):
    return preset("paper", **{"model.pretrained": False, "model.visual": visual})


def paper_model(visual: str = "microsoft/resnet-101") -> DTSE:
    torch.manual_seed(0)
    return DTSE(paper_config(visual).model)


class Streaming:
    """A model, the one of `paper` unless another is given, on one frame after the other, as the predictor calls it."""

    def __init__(self, sentences: int = 1, dtype: torch.dtype = torch.float32, model: DTSE | None = None):
        self.model = folded(model or paper_model()).to(dtype)
        self.window = torch.randn(1, 3, 3, *SIZE).to(dtype)
        self.ids = torch.randint(1000, 20000, (sentences, WORDS))
        self.word_mask = torch.ones_like(self.ids)
        with torch.inference_mode():
            self.L = self.model.encoder.read_sentence(self.ids, self.word_mask)
            self.references = {n: [self.encode(slice(0, n)).reference] * 2 for n in {1, sentences}}

    @torch.inference_mode()
    def encode(self, rows: slice):
        seen = self.model.encoder.see_frame(self.window[:, 1])
        L, word_mask = self.L[rows], self.word_mask[rows]
        seen = {n: torch.cat([V] * len(L)) for n, V in seen.items()}
        frames = self.window[:, 1].expand(len(L), -1, -1, -1)
        return self.model.remember(frames, *self.model.encode(seen, L, word_mask))

    @torch.inference_mode()
    def step(self, rows: slice = slice(None)):
        """One new frame for the sentences in `rows`: encode it, and decode with two remembered references."""
        memory = self.encode(rows)
        return self.model.decode(memory, self.references[len(memory.sentence)], SIZE).logits

    @torch.inference_mode()
    def backbones(self):
        """The two backbones alone: a frame through the CNN, a sentence through the text model."""
        self.model.encoder.visual(self.window[:, 1])
        self.model.encoder.text(self.ids, self.word_mask)

    @torch.inference_mode()
    def backbones_after_prefix(self):
        """The same without the text layers before the first insertion, which streaming runs once a video."""
        encoder = self.model.encoder
        encoder.visual(self.window[:, 1])
        encoder.text.layers(self.L, self.word_mask, encoder.groups[0][1], encoder.text.depth)

    @torch.inference_mode()
    def naive(self):
        """The whole window again for every frame."""
        return self.model(self.window, self.ids, self.word_mask).logits


@functools.cache
def streaming_model(sentences: int = 1, dtype: torch.dtype = torch.float32) -> Streaming:
    return Streaming(sentences, dtype)


def overhead() -> list[dict]:
    """The whole model over its bare backbones, a frame in streaming."""
    run = streaming_model()
    sides = {"whole": run.step, "backbones": run.backbones}
    strict = {"whole": run.step, "backbones": run.backbones_after_prefix}
    results = [
        compare("overhead", "<= 1.22", sides, **paper()),
        compare("overhead", None, strict, part="without the shared sentence prefix on either side", **paper()),
    ]
    torch.set_num_threads(2)
    results.append(compare("overhead", "<= 1.30", sides, part="two threads", **paper()))
    torch.set_num_threads(1)
    return results


def modern() -> list[dict]:
    """A frame in streaming with the streams of `modern` over one with those of `paper`."""
    model = DTSE(preset("modern", **{"model.pretrained": False}).model)
    sides = {"modern": Streaming(model=model).step, "paper": streaming_model().step}
    return [compare("modern", "<= 0.6", sides, **paper(preset="modern, paper"))]


def streaming() -> list[dict]:
    """Windows one by one over streaming."""
    run = streaming_model()
    return [compare("streaming", ">= 1.3", {"windows": run.naive, "streaming": run.step}, **paper())]


def prefix() -> list[dict]:
    """Four sentences one by one over four together."""
    run = streaming_model(4)

    def alone():
        for k in range(4):
            run.step(slice(k, k + 1))

    return [compare("prefix", ">= 1.2", {"one by one": alone, "together": run.step}, **paper(sentences=4))]


def bf16() -> list[dict]:
    """Single precision over bf16 weights; judged where the processor computes with them."""
    sides = {"fp32": streaming_model().step, "bf16": streaming_model(1, torch.bfloat16).step}
    able = torch.cpu._is_avx512_bf16_supported()
    about = paper(dtype="float32, bfloat16", avx512_bf16=able)
    return [compare("bf16", ">= 1.6" if able else None, sides, **about)]


def train_step() -> list[dict]:
    """What a step of the `tiny` training spends on anything but the model, two processes over one, and the step of the
    whole `paper` model over one of its bare backbones."""
    return [outside_the_model(), two_processes(16, ">= 1.6"), two_processes(8, None), whole_step()]


def whole_step() -> dict:
    """A training step (forward, backward, AdamW) of the whole model over one of the bare backbones.

    The backbones run as far as the model runs them: on the references up to the last stage with LMDF, so that no
    reference needs the text layers after the first insertion.
    """
    run = streaming_model()
    model = paper_model().train().to(memory_format=torch.channels_last)
    encoder, depth = model.encoder, model.depth
    parts = {"whole": model, "backbones": torch.nn.ModuleList([encoder.visual, encoder.text])}
    optimizers = {name: torch.optim.AdamW(part.parameters(), lr=0.0) for name, part in parts.items()}

    def whole():
        out = model(run.window, run.ids, run.word_mask)
        step("whole", sum(F.softplus(x).mean() for x in (out.logits, *out.aux_logits)))

    def backbones():
        seen = V = encoder.see_frame(run.window[0], depth)[depth]  # of all frames
        V = V[1:2]  # of the current one
        for number in range(depth + 1, 6):
            V = encoder.visual.stage(number, V)
        L = encoder.text(run.ids, run.word_mask)
        step("backbones", seen.mean() + V.mean() + L.mean())

    def step(name: str, loss: torch.Tensor):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()

    return compare("train_step", None, {"whole": whole, "backbones": backbones}, **paper(batch=1))


def paper(**about) -> dict:
    return {"preset": "paper", "frame": [*SIZE], "window": 3, "words": WORDS, "dtype": "float32", **about}


# The dynamic filter


def filter() -> list[dict]:
    """`dynamic_filter` over `unfold` times filters, 64 channels on 40 x 40 at three rates: time and peak memory.

    In the layout that runs: channels last, filters offset by offset, as `LMDF.make_filters` returns them.
    """
    results = []
    for clips, forward_bound, both_bound in ((1, "<= 0.25", "<= 0.5"), (8, "<= 0.33", "<= 0.7")):
        x = torch.randn(clips, 40, 40, 64).permute(0, 3, 1, 2).requires_grad_()
        filters = [torch.randn(clips, 40, 40, 9, 64).permute(0, 4, 3, 1, 2).requires_grad_() for _ in range(3)]
        about = {"shape": [clips, 64, 40, 40], "rates": [1, 3, 5], "dtype": "float32"}

        def sides(run, turns, *arguments):
            return {o.__name__: functools.partial(run, o, turns, *arguments) for o in (dynamic_filter, unfold)}

        turns = 16 // clips  # some milliseconds each: too short for one look at the clock
        forward, both = sides(filter_forward, turns, x, filters), sides(filter_both, turns, x, filters)
        own = {
            "one rate": functools.partial(filter_forward, dynamic_filter, 1, x, filters[:1]),
            "its output": functools.partial(torch.empty_like, x),
        }
        results += [
            compare("filter", forward_bound, forward, part="forward", **about),
            compare("filter", both_bound, both, part="forward and backward", **about),
            measured("filter", "<= 0.45", both, peak_bytes, "bytes", part="memory, forward and backward", **about),
            measured("filter", "<= 1.05", own, peak_bytes, "bytes", part="memory, forward", **about),
        ]
    return results


def filter_forward(operator: Callable, turns: int, x: torch.Tensor, filters: list[torch.Tensor]):
    with torch.no_grad():
        for _ in range(turns):
            outputs = [operator(x, k, r) for k, r in zip(filters, (1, 3, 5), strict=False)]
    return outputs


def filter_both(operator: Callable, turns: int, x: torch.Tensor, filters: list[torch.Tensor]):
    for _ in range(turns):
        for k, r in zip(filters, (1, 3, 5), strict=True):  # one rate after the other: the peak is that of one
            Z = operator(x, k, r)
            torch.autograd.grad(Z, [x, k], torch.ones_like(Z))


def unfold(x: torch.Tensor, filters: torch.Tensor, dilation: int) -> torch.Tensor:
    """The operator as it is usually written: nine shifted copies of x, times the filters, summed."""
    B, m, H, W = x.shape
    copies = F.unfold(x, 3, dilation=dilation, padding=dilation).view(B, m, 9, H, W)
    return (copies * filters).sum(2)


# The predictor


def predict(frames: int = 8, size: tuple[int, int] = (360, 640)) -> list[dict]:
    """A video in memory to its masks and confidences, over both backbones: every frame through the CNN, as many
    together, and every sentence once through the text model."""
    video = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    sentence = "the small red dog walking to the left and the blue ball rolling to the right of the big car"
    results = []
    for visual in ("microsoft/resnet-101", "microsoft/resnet-50"):
        data, tokenizer = paper_config().data, load_tokenizer("tiny-bert", 1)
        predictor = ReferringVideoPredictor(paper_model(visual), tokenizer, data, "cpu")
        encoder, x = predictor.fast.encoder, torch.randn(frames, 3, *data.size)
        for sentences in (1, 4):
            expressions = [sentence] * sentences
            ids, word_mask = tokenize(expressions, tokenizer, data.max_words)

            @torch.inference_mode()
            def backbones(encoder=encoder, x=x, ids=ids, word_mask=word_mask):
                for part in x.split(4):
                    encoder.visual(part)
                encoder.text(ids, word_mask)

            def whole(predictor=predictor, expressions=expressions):
                for _ in predictor.stream(video, expressions, None):
                    pass

            bound = "<= 1.22" if (visual, sentences) == ("microsoft/resnet-101", 1) else None
            about = paper(visual=visual, sentences=sentences, frames=frames, video=[*size], words=ids.shape[1])
            part = f"{visual.partition('/')[2]}, sentences: {sentences}"
            sides = {"whole": whole, "backbones": backbones}
            results.append(compare("predict", bound, sides, part=part, **about))
    return results


def memory() -> list[dict]:
    """Peak memory of the process for a video of 1,000 frames over one of 50 (`tiny`, 240 x 320)."""
    config = preset("tiny")
    predictor = ReferringVideoPredictor(DTSE(config.model), load_tokenizer("tiny-bert", 1), config.data, "cpu")

    def watch(frames: int):
        for _ in predictor.stream(noise(frames), "the red ball rolling to the left"):
            pass

    sides = {"1000 frames": functools.partial(watch, 1000), "50 frames": functools.partial(watch, 50)}
    about = {"preset": "tiny", "frame": [240, 320], "dtype": "float32"}
    return [measured("memory", "<= 1.1", sides, peak_resident_bytes, "bytes", **about)]


def noise(frames: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    for _ in range(frames):
        yield generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)


def predict_video(frames: int = 96, height: int = 720, width: int = 1280) -> list[dict]:
    """The command's work on a file with the `tiny` checkpoint: one thing after the other, over threads side by side."""
    from dtse_core.data.toy.world import ToyWorld, render
    from dtse_core.shared import processes
    from dtse_core.video.export import write_prediction
    from dtse_core.video.writing import write_video

    predictor, sentences = ReferringVideoPredictor.from_pretrained("tiny", "cpu"), ["the dog walking to the left"]
    with tempfile.TemporaryDirectory() as folder:
        drawn = render(ToyWorld("val").scene(80), range(24), height, width)[0]
        there_and_back = itertools.cycle([*drawn, *drawn[::-1]])
        clip = write_video(Path(folder) / "clip.mp4", itertools.islice(there_and_back, frames), 24, quality=18)
        films = {way: Path(folder) / f"{way.__name__}.mp4" for way in (in_turn, processes.ahead)}

        def seconds(way: Callable) -> float:
            start = time.perf_counter()
            with patch.object(processes, "ahead", way):
                write_prediction(predictor.stream(clip, sentences, None), sentences, films[way], 24, clip)
            return time.perf_counter() - start

        sides = {"one after the other": in_turn, "side by side": processes.ahead}
        about = {"preset": "tiny", "frame": [height, width], "frames": frames, "dtype": "float32"}
        result = measured("predict_video", ">= 1.5", sides, seconds, "seconds", **about)
        one, other = (film.read_bytes() for film in films.values())
        assert one == other, "both write the same film"
    return [result]


def in_turn(items: Iterable, count: int) -> Iterable:
    return items


MODEL = overhead, modern, predict, streaming, prefix, filter, train_step, memory, predict_video, bf16
AROUND = metrics, decode, loading, draw_level2, grid, kernel
BENCHMARKS = {f.__name__: f for f in MODEL + AROUND}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*BENCHMARKS, "all"], nargs="?", default="all")
    parser.add_argument("--json", action="store_true", help="one JSON object a benchmark instead of a table")
    parser.add_argument("--pairs", type=int, default=measure.PAIRS, help="how often both sides take a turn")
    options = parser.parse_args()
    measure.PAIRS = options.pairs
    torch.set_num_threads(1)
    for name in BENCHMARKS if options.name == "all" else [options.name]:
        machine = measure.machine()
        first, *more = BENCHMARKS[name]()
        result = first | {"more": more, "torch": torch.__version__, "machine": machine}
        if options.json:
            print(json.dumps(result), flush=True)
            continue
        for r in (first, *more):
            (one, a), (two, b) = r["sides"].items()
            what = " ".join(str(r[key]) for key in ("name", "part", "shape") if key in r)
            verdict = "no bound" if r["met"] is None else f"bound {r['bound']} {'met' if r['met'] else 'MISSED'}"
            sides = f"{one} {a:.4g} / {two} {b:.4g} {r['unit']}"
            print(f"{what}: {r['ratio']} ({sides}, {r['threads']} threads), {verdict}", flush=True)


if __name__ == "__main__":
    main()
