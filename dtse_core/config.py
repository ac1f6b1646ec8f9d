"""Every setting of a run, as frozen dataclasses, and the presets; types and ranges, checked in one place.

`preset("tiny", **{"train.seed": 1, "model.lmdf": "off"})` is how the notebooks, the tests
and the command line all make a configuration. The annotation of a field says what it may hold, and making the
dataclass checks it: from Python, a command line, a grid or run.json alike.
"""

import ast
import dataclasses
import difflib
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin


class Allowed(NamedTuple):
    """What a value must be beside its type: in words, and as a test."""

    words: str
    test: Callable[[Any], Any]

    def __repr__(self) -> str:
        return self.words


def at_least(lowest: int) -> Allowed:
    """Numbers from `lowest` on."""
    return Allowed(f"{lowest} or more", lambda n: n >= lowest)


def rising(*stages: int) -> Allowed:
    """Tuples of some of these stages, each once, in their order."""
    words = f"rising stage numbers out of {' '.join(map(str, stages))}"
    return Allowed(words, lambda numbers: list(numbers) == sorted(set(numbers) & set(stages)))


Count = Annotated[int, at_least(1)]
Whole = Annotated[int, at_least(0)]
Size = Annotated[int, Allowed("1 to 65536", range(1, 65537).__contains__)]  # channels, clips: what memory is taken for
Workers = Annotated[int, Allowed("0 to 1024", range(1025).__contains__)]  # processes or threads
Odd = Annotated[int, Allowed("odd: 1, 3, 5 ... 999", range(1, 1000, 2).__contains__)]
Seed = Annotated[int, Allowed("0 to 4294967295", lambda n: 0 <= n < 2**32)]  # what NumPy takes
WorldSeed = Annotated[int, Allowed("0 to 2147483647", range(2**31).__contains__)]  # of a toy world
Moderate = Annotated[float, Allowed("between -1e30 and 1e30", lambda x: abs(x) <= 1e30)]  # what float32 computes with
Amount = Annotated[Moderate, at_least(0)]
Positive = Annotated[Moderate, Allowed("above 0", lambda x: x > 0)]
Share = Annotated[float, Allowed("0 to 1", lambda x: 0 <= x <= 1)]
Decay = Annotated[float, Allowed("0 to below 1", lambda x: 0 <= x < 1)]
Name = Annotated[str, Allowed("a name, not empty", bool)]
Level = Annotated[int, Allowed("1 or 2", (1, 2).__contains__)]  # of the toy world
Side = Annotated[int, Allowed("1 to 8192", range(1, 8193).__contains__)]  # of a frame, in pixels
Offset = Annotated[int, Allowed("0 to 1000", range(1001).__contains__)]  # frames; a stream keeps twice as many
Bin = Annotated[int, Allowed("1 to 64", range(1, 65).__contains__)]  # side of a grid of regions
Few = Allowed("16 numbers or fewer", lambda numbers: len(numbers) <= 16)
Bins = Annotated[tuple[Bin, ...], Allowed("one number or more", len), Few]
Channels = Annotated[int, Allowed("0 to 65536", range(65537).__contains__)]  # 0: none
Sizes = Annotated[tuple[Size, ...], Allowed("one number or more", len), Few]
Frame = Annotated[tuple[Side, Side], Allowed("of at most 4194304 pixels", lambda sides: math.prod(sides) <= 2**22)]
Stages = Annotated[tuple[int, ...], rising(2, 3, 4, 5)]
Depths = Annotated[
    tuple[int, ...], Allowed("one or more of 3 4 5", lambda s: s and set(s) <= {3, 4, 5}), rising(3, 4, 5)
]


@dataclass(frozen=True)
class ModelConfig:
    """The architecture. Defaults are those of the `paper` preset (design choices D-2 to D-16)."""

    visual: Name = "microsoft/resnet-101"  # a CNN: hub name, folder, or "tiny-resnet"
    text: Name = "bert-base-uncased"  # a text encoder: hub name, folder, or "tiny-bert"
    pretrained: bool = True  # load both streams' weights; False starts from random ones
    saved_streams: dict[str, Any] = field(default_factory=dict)  # both streams' own configs, kept by checkpoints

    window: Odd = 3  # T: frames that the model sees at once (D-3)
    causal: bool = False  # all references before the current frame, for live video

    vlmg_stages: Stages = (3, 4, 5)  # after which stages of the CNN VLMG is inserted (2 to 5)
    vlmg_width: Size = 256  # d: channels in which vision and language meet
    vlmg_heads: Size = 8  # heads of the vision-to-language attention
    vlmg_bins: Bins = (1, 3, 6, 8)  # pyramid pooling: M is the sum of their squares
    vision_to_language: bool = True  # words are guided by the frame
    language_to_vision: bool = True  # pixels are guided by the words
    text_levels: Literal["hierarchical", "last"] = "hierarchical"  # word features that VLMG meets
    gate_init: Moderate = 0.0  # 0: pretrained streams start undisturbed; 1: streams from scratch (D-8)

    lmdf_stages: Depths = (3,)  # after which stages of the CNN LMDF acts (3 to 5); references end there (D-12)
    lmdf: Literal["off", "static", "current_only", "full"] = "full"  # what makes the filters
    lmdf_language: bool = True  # the sentence guides what makes the filters (D-9)
    filtered: Literal["current", "reference"] = "reference"  # what the filters of all rates but the first act on (D-10)
    lmdf_width: Size = 64  # w: channels of the temporal path
    filtered_width: Size = 64  # m: channels that are filtered
    filter_size: Odd = 3  # K: side of a dynamic filter
    dilations: Sizes = (1, 3, 5)  # R: rates at which the filters act

    widths: tuple[Size, Size, Size] = (64, 128, 256)  # of the decoder at strides 4, 8, 16; U has the last two
    refine: Channels = 0  # channels that draw the logits anew at the frame's own size; 0: only resized (D-13)
    norm: Literal["batch", "group"] = "batch"  # of the new layers, and of streams from scratch (D-16)
    freeze_batch_norm: bool = True  # pretrained statistics stay as they are, in train() too

    def __post_init__(self) -> None:
        check_settings(self, "model.")


class Home(NamedTuple):
    """What is a data set's own."""

    loader: str  # class in `dtse_core.data`
    offset: int  # frames between the current frame and a reference (D-3)
    scored: str  # the split that its protocol scores


DATASETS = {  # by name
    "toy": Home("ToyWorld", 6, "test"),
    "a2d": Home("A2DSentences", 6, "test"),
    "jhmdb": Home("JHMDBSentences", 5, "test"),
    "ref_davis": Home("RefDAVIS17", 2, "val"),
    "refer_youtube_vos": Home("ReferYouTubeVOS", 1, "local-val"),
    "mevis": Home("MeViS", 2, "valid_u"),
    "own": Home("OwnData", 6, "test"),
    "refcoco": Home("RefCOCO", 1, "val"),
}
DataSet = Annotated[str, Allowed(f"one of {', '.join(DATASETS)}", DATASETS.__contains__)]


@dataclass(frozen=True)
class DataConfig:
    """Where clips come from and how they are cut."""

    name: DataSet = "toy"  # toy (drawn in memory), one of the published sets, or own: see docs/data.md
    root: str = ""  # the data set's folder; not needed for toy
    size: Frame = (320, 320)  # height, width that the model sees (D-2)
    train_split: str = "train"  # learned from, without what local-val holds if that is val_split
    val_split: str = ""  # scored during training; "": val of a toy world, else local-val: one training video in 17
    offset: Offset = 6  # frames between the current frame and a reference; 0 is the data set's own choice (D-3)
    farthest: Offset = 0  # in training each window draws its offset, from `offset` to this one; 0: always `offset`
    crop: Share = 1.0  # training clips keep at least this share of each side, and all of the target; 1: never cropped
    flip: Literal["no", "swap", "skip"] = "no"  # mirror half the clips: swap left and right in the sentence, or skip it
    max_words: Annotated[int, at_least(3)] = 64  # longest expression, in word pieces
    workers: Workers = 0  # processes that prepare batches beside the training process
    cache: str = ""  # folder where decoded frames and drawn toy clips are kept, H * W * 3 bytes a frame; "": none
    frames: str = ""  # scored ones: list=FILE as MTTR publishes it (a2d, jhmdb), or all (jhmdb: not three a video)
    davis_masks: Literal["unsupervised", "2017"] = "unsupervised"  # which annotation of ref_davis
    level: Level = 1  # of the toy world in memory and of tiny-bert's words: 2 is the diagnostic benchmark
    toy_clips: Count = 100_000  # training clips of the in-memory toy world
    toy_seed: WorldSeed = 0  # which toy world

    def __post_init__(self) -> None:
        check_settings(self, "data.")

    @property
    def frame_offset(self) -> int:
        """Frames between the current frame and a reference: as set, or the data set's own choice (D-3)."""
        return self.offset or DATASETS[self.name].offset


@dataclass(frozen=True)
class TrainConfig:
    """The training recipe (D-14). Training ends at `steps`, `epochs` or `minutes`, whichever comes first."""

    steps: Count = 1_000_000  # optimizer steps
    epochs: Amount = 15.0  # passes over the training samples; 0 means no such limit
    minutes: Amount = 0.0  # wall-clock limit over all resumes; 0 means none
    batch: Size = 16  # clips a step, over all processes
    start: str = ""  # checkpoint whose weights a new run begins with: a run or checkpoint folder, a hub name, or tiny
    sentences: Size = 1  # clips in a row that are sentences about one window: its frames are read and encoded once
    accumulate: Size = 1  # parts that a process takes its share of a batch in, one after the other: less memory
    by_video: bool = False  # draw each video equally often, not each window: for few videos of unlike lengths
    freeze: tuple[Name, ...] = ()  # weights that do not learn, by how their names begin: encoder.text
    checkpoint_streams: bool = False  # compute the streams' activations again in the backward pass: less memory
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the inner matrices, where streams learn from scratch
    lr: Amount = 1e-4  # of the new layers
    stream_lr: Amount = 1e-5  # of both streams
    gate_lr: Amount = 1e-3  # of VLMG's gates
    muon_lr: Amount = 2e-3  # of the matrices that Muon steps
    weight_decay: Amount = 5e-4
    clip: Positive = 0.1  # largest norm of the gradient
    ema: Decay = 0.0  # of a moving average of the weights, which is validated and saved in their place; 0: none
    warmup: Whole = 0  # steps of linear warm-up
    schedule: Literal["milestones", "trapezoid"] = "milestones"  # halved there, or constant, then linearly to 0
    milestones: tuple[Share, ...] = (10 / 15, 12 / 15, 14 / 15)  # the rate halves at these shares of the run
    dice_weight: Amount = 0.0  # weight of the dice loss beside BCE
    aux_weight: Amount = 1.0  # weight of the three coarser heads
    device: str = "auto"  # cpu, cuda, cuda:1 ... or auto
    threads: Workers = 0  # CPU threads; 0 leaves torch's choice. Two that wait for each other on a busy core crawl
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    seed: Seed = 0
    log_every: Whole = 20  # steps between records of the training loss
    eval_every: Whole = 2000  # steps between validations; 0 means only at the end
    eval_samples: Whole = 500  # validation samples used then; 0 means all
    best_by: Literal["mean_iou", "overall_iou", "P@0.5", "AP_mean_precision"] = "mean_iou"  # score that `best` is of
    patience: Whole = 0  # stop after so many validations in a row without a better score; 0 never does
    checkpoint_every: Whole = 2000  # steps between checkpoints; 0 means none
    keep: Count = 2  # newest checkpoints kept
    tracker: Literal["none", "tensorboard", "wandb"] = "none"  # beside history.jsonl, which is always written

    def __post_init__(self) -> None:
        check_settings(self, "train.")


@dataclass(frozen=True)
class RunConfig:
    """One run: a preset's name, where it writes, and the three groups of settings."""

    preset: Literal["tiny", "colab", "paper", "modern"] = "paper"  # the defaults of all other settings
    out: Name = "runs/train"  # run folder: checkpoints, history, final weights
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_settings(self)


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {  # two CPU cores, from scratch
        "model.visual": "tiny-resnet",
        "model.text": "tiny-bert",
        "model.pretrained": False,
        "model.vlmg_width": 64,
        "model.vlmg_heads": 4,
        "model.vlmg_bins": (1, 2, 4),
        "model.gate_init": 1.0,
        "model.lmdf_width": 32,
        "model.filtered_width": 32,
        "model.dilations": (1, 2, 3),
        "model.widths": (32, 48, 64),
        "model.norm": "group",
        "data.size": (64, 96),
        "data.flip": "swap",
        "train.steps": 9_000,
        "train.epochs": 0.0,
        "train.optimizer": "muon",
        "train.lr": 1e-3,
        "train.stream_lr": 1e-3,
        "train.gate_lr": 1e-3,
        "train.clip": 1.0,
        "train.threads": 1,
        "train.warmup": 100,
        "train.schedule": "trapezoid",
        "train.dice_weight": 1.0,
        "train.eval_every": 1000,
        "train.eval_samples": 200,
        "train.checkpoint_every": 500,
    },
    "colab": {  # one 16 GB GPU, pretrained streams
        "model.visual": "microsoft/resnet-50",
        "data.name": "a2d",
        "data.size": (256, 256),
        "data.workers": 2,
        "train.batch": 8,
        "train.mixed_precision": "fp16",
    },
    "paper": {  # the design's full size
        "data.name": "a2d",
        "data.workers": 4,
    },
    "modern": {  # streams of today, one 16 GB GPU
        "model.visual": "facebook/convnextv2-tiny-22k-384",
        "model.text": "sentence-transformers/all-MiniLM-L6-v2",  # ModernBERT-base would take a sixth more time a frame
        "data.name": "a2d",
        "data.workers": 2,
        "train.mixed_precision": "fp16",
    },
}


def preset(name: str, **overrides: Any) -> RunConfig:
    """A named configuration with dotted overrides: `preset("tiny", **{"model.lmdf": "off"})`.

    Raises `ValueError` for an unknown preset or key, naming the nearest known one, and for a value out of range.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}{nearest(name, PRESETS)}; known: {', '.join(PRESETS)}")
    return override(RunConfig(), {"preset": name, **PRESETS[name], **overrides})


def override(config: RunConfig, settings: dict[str, Any]) -> RunConfig:
    """`config` with dotted settings replaced. Raises `ValueError` as `preset` does."""
    known, changes = setting_kinds(config), dict[str, dict[str, Any]]()
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"unknown setting {key!r}{nearest(key, known)}")
        group, _, name = key.rpartition(".")
        changes.setdefault(group, {})[name] = value
    own = changes.pop("", {})
    groups = {group: dataclasses.replace(getattr(config, group), **some) for group, some in changes.items()}
    return dataclasses.replace(config, **groups, **own)


def with_settings(config: RunConfig, text: str) -> RunConfig:
    """`config` with the dotted settings of one text, separated by spaces: `model.lmdf=off model.vlmg_stages=4,5`.

    Raises `ValueError` for an unknown setting and for a value that it does not take.
    """
    kinds, settings = setting_kinds(config), {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not a setting; write name=value, several of them separated by spaces")
        settings[name] = read_value(value, kinds.get(name, str))  # `override` refuses an unknown name
    return override(config, settings)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The flat dotted form that run folders and result files carry."""
    flat: dict[str, Any] = {"format": FORMAT, "preset": config.preset, "out": config.out}
    for group in ("model", "data", "train"):
        flat |= {f"{group}.{k}": v for k, v in dataclasses.asdict(getattr(config, group)).items()}
    return flat


FORMAT = 2  # of settings, as their "format" says (none: 1); raised when older ones do not fit
YOUNGER = {  # of that format: what files that lack them mean
    "model.refine": 0,
    "model.filtered": "current",
    "model.lmdf_stages": (3, 4, 5),
}


class Outdated(ValueError):
    """Settings that another version of dtse has written, and this one does not read."""


def from_dict(flat: dict[str, Any]) -> RunConfig:
    """The inverse of `to_dict`; what older settings of this format lack has the value in `YOUNGER`.

    Raises `Outdated` for another format than `FORMAT`, `ValueError` as `preset` does.
    """
    remedy = "load it with the version of dtse that wrote it, or train again with this one"
    if (written := checked("format", flat.get("format", 1), Count)) != FORMAT:
        remedy = "install a newer one" if written > FORMAT else remedy
        raise Outdated(f"settings of format {written}, this dtse reads format {FORMAT}; {remedy}")
    return override(RunConfig(), YOUNGER | {name: value for name, value in flat.items() if name != "format"})


def nearest(name: object, known: Iterable[str]) -> str:
    """` (did you mean 'SEED'?)`, or nothing where no known name comes near."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def setting_kinds(settings: Any) -> dict[str, Any]:
    """The annotations of a dataclass by dotted name, those of the dataclasses that it holds included."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        inner = setting_kinds(f.type) if dataclasses.is_dataclass(f.type) else {}
        found |= {f"{f.name}.{name}": kind for name, kind in inner.items()} or {f.name: f.type}
    return found


def check_settings(settings: Any, group: str = "") -> None:
    """Holds each field of a frozen dataclass to its annotation, as `checked` does; for `__post_init__`."""
    for f in dataclasses.fields(settings):
        object.__setattr__(settings, f.name, checked(group + f.name, getattr(settings, f.name), f.type))


def checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as a setting holds it: of a type exactly, except that an int may stand for a float, a list (JSON has
    nothing else) for a tuple, and a path for a text.

    `kind` is the annotation of a field, with what is `Allowed` beside the type. Raises `ValueError` with the name,
    the value and what is allowed, in one line.
    """
    try:
        return _fitting(value, kind)
    except ValueError as error:
        shown = " ".join(f"{value!r:.100}".split())
        raise ValueError(f"{name} is {shown}; it must be {error}") from None


WORDS = {bool: "True or False", int: "a whole number", float: "a finite number", str: "a text"}


def _fitting(value: Any, kind: Any) -> Any:
    """`value` in the type of `kind`; raises `ValueError` with the words for what is allowed."""
    limits = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    kind, origin = _bare(kind), origin_of(kind)
    if origin is Literal:
        if not (isinstance(value, str) and value in get_args(kind)):
            raise ValueError(f"one of {', '.join(get_args(kind))}")
    elif origin is tuple:
        first, *others = get_args(kind)
        if not isinstance(value, tuple | list) or (others != [...] and len(value) != 1 + len(others)):
            raise ValueError("a tuple" if others == [...] else f"a tuple of {1 + len(others)} items")
        try:
            value = tuple(_fitting(item, first) for item in value)
        except ValueError as error:
            raise ValueError(f"a tuple, each item {error}") from None
    elif origin in WORDS:
        if origin is float and (isinstance(value, float) or type(value) is int):
            value = float(value) if abs(value) <= sys.float_info.max else value
        elif origin is str and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if type(value) is not origin or (origin is float and not math.isfinite(value)):
            raise ValueError(WORDS[origin])
        if origin is int and abs(value) >= 2**53:  # beyond what a float, a table or a counter in C holds
            raise ValueError("a whole number below 2^53")
    elif kind is not Any and not isinstance(value, kind if origin is UnionType else origin):
        raise ValueError(f"a {getattr(origin, '__name__', kind)}")
    for limit in limits:
        if isinstance(limit, Allowed) and not limit.test(value):
            raise ValueError(limit.words)
    return value


def read_value(text: str, kind: Any) -> Any:
    """The value that a text stands for: `1e-3`, `True` or `false`, `4,5` or `(4, 5)`.

    A text that is not such a value stays a text, for `checked` to refuse.
    """
    kind, origin = _bare(kind), origin_of(kind)
    with suppress(ValueError, SyntaxError):
        if origin is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        if origin in (int, float):
            return origin(text)
        if origin is tuple:
            items = re.sub(r"[()\[\],'\"]", " ", text).split()
            return tuple(read_value(item, get_args(kind)[0]) for item in items)
        if origin in (list, dict, Any):
            return ast.literal_eval(text)
    return Path(text) if Path in (kind, *get_args(kind)) else text


def origin_of(kind: Any) -> Any:
    """The class of what an annotation stands for: tuple for `tuple[int, ...]`, int for `Count`; or Literal."""
    return get_origin(_bare(kind)) or _bare(kind)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
