"""Every setting of a run, as frozen dataclasses, and the three presets.

`preset("tiny", **{"train.seed": 1, "model.lmdf": "off"})` is how the notebooks, the tests
and the command line all make a configuration.
"""

import ast
import dataclasses
import difflib
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class ModelConfig:
    """The architecture. Defaults are those of the `paper` preset (design choices D-2 to D-16)."""

    visual: str = "microsoft/resnet-101"  # ResNet: hub name, folder, or "tiny-resnet"
    text: str = "bert-base-uncased"  # BERT-type model: hub name, folder, or "tiny-bert"
    pretrained: bool = True  # load both streams' weights; False starts from random ones
    saved_streams: dict[str, Any] = field(default_factory=dict)  # both streams' own configs, kept by checkpoints

    window: int = 3  # T: frames that the model sees at once (D-3)
    causal: bool = False  # both references before the current frame, for live video

    vlmg_stages: tuple[int, ...] = (3, 4, 5)  # after which ResNet stages VLMG is inserted (2 to 5)
    vlmg_width: int = 256  # d: channels in which vision and language meet
    vlmg_heads: int = 8  # heads of the vision-to-language attention
    vlmg_bins: tuple[int, ...] = (1, 3, 6, 8)  # pyramid pooling: M is the sum of their squares
    vision_to_language: bool = True  # words are guided by the frame
    language_to_vision: bool = True  # pixels are guided by the words
    text_levels: Literal["hierarchical", "last"] = "hierarchical"  # word features that VLMG meets
    gate_init: float = 0.0  # 0: pretrained streams start undisturbed; 1: streams from scratch (D-8)

    lmdf: Literal["off", "static", "current_only", "full"] = "full"  # what makes the filters
    lmdf_language: bool = True  # the sentence gates the temporal features
    lmdf_width: int = 64  # w: channels of the temporal path
    filtered_width: int = 64  # m: channels that are filtered
    filter_size: int = 3  # K: side of a dynamic filter
    dilations: tuple[int, ...] = (1, 3, 5)  # R: rates at which the filters act
    lmdf_bins: tuple[int, ...] = (1, 3, 6, 8)  # pooled regions of a reference frame
    filtered: Literal["current", "reference"] = "current"  # which frame the filters act on

    widths: tuple[int, int, int] = (64, 128, 256)  # decoder channels at strides 4, 8 and 16; LMDF shares the last two
    norm: Literal["batch", "group"] = "batch"  # of the new layers, and of streams from scratch (D-16)
    freeze_batch_norm: bool = True  # pretrained statistics stay as they are, in train() too

    def __post_init__(self):
        for f in dataclasses.fields(self):  # JSON gives lists back
            if isinstance(getattr(self, f.name), list):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))
        _require(
            self.window >= 1 and self.window % 2 == 1, f"model.window is {self.window}; it must be odd: 1, 3, 5 ..."
        )
        _require(self.filter_size % 2 == 1, f"model.filter_size is {self.filter_size}; it must be odd")
        _require(
            set(self.vlmg_stages) <= {2, 3, 4, 5} and list(self.vlmg_stages) == sorted(set(self.vlmg_stages)),
            f"model.vlmg_stages is {self.vlmg_stages}; it must be rising stage numbers out of 2 3 4 5",
        )
        _check_choices(self, "model")


DATASETS = {  # by name: the class, and frames between the current frame and a reference (D-3)
    "a2d": ("A2DSentences", 6),
    "jhmdb": ("JHMDBSentences", 5),
    "ref_davis": ("RefDAVIS17", 2),
    "refer_youtube_vos": ("ReferYouTubeVOS", 1),
    "mevis": ("MeViS", 2),
}


@dataclass(frozen=True)
class DataConfig:
    """Where clips come from and how they are cut."""

    name: str = "toy"  # toy (drawn in memory), a2d, jhmdb, ref_davis, refer_youtube_vos or mevis
    root: str = ""  # the data set's folder; not needed for toy
    size: tuple[int, int] = (320, 320)  # height, width that the model sees (D-2)
    train_split: str = "train"  # learned from; refer_youtube_vos also has local-train, without what local-val holds
    val_split: str = "val"  # scored during training; real A2D has no validation part
    offset: int = 6  # frames between the current frame and a reference; 0 is the data set's own choice (D-3)
    flip: Literal["no", "swap", "skip"] = "no"  # mirror half the clips: swap left and right in the sentence, or skip it
    max_words: int = 64  # longest expression, in word pieces
    workers: int = 0  # processes that prepare batches beside the training process
    cache: str = ""  # folder where decoded frames and drawn toy clips are kept, H * W * 3 bytes a frame; "": none
    frames: str = ""  # scored ones: list=FILE as MTTR publishes it (a2d, jhmdb), or all (jhmdb: not three a video)
    davis_masks: Literal["unsupervised", "2017"] = "unsupervised"  # which annotation of ref_davis
    toy_clips: int = 100_000  # training clips of the in-memory toy world
    toy_seed: int = 0  # which toy world

    def __post_init__(self):
        _check_choices(self, "data")

    @property
    def frame_offset(self) -> int:
        """Frames between the current frame and a reference: as set, or the data set's own choice (D-3)."""
        return self.offset or DATASETS.get(self.name, DATASETS["a2d"])[1]


@dataclass(frozen=True)
class TrainConfig:
    """The training recipe (D-14). Training ends at `steps`, `epochs` or `minutes`, whichever comes first."""

    steps: int = 1_000_000  # optimiser steps
    epochs: float = 15.0  # passes over the training samples; 0 means no such limit
    minutes: float = 0.0  # wall-clock limit over all resumes; 0 means none
    batch: int = 16  # clips a step, over all processes
    accumulate: int = 1  # parts that a process takes its share of a batch in, one after the other: less memory
    freeze: tuple[str, ...] = ()  # weights that do not learn, by how their names begin: encoder.text
    checkpoint_streams: bool = False  # compute the streams' activations again in the backward pass: less memory
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the inner matrices, where streams learn from scratch
    lr: float = 1e-4  # of the new layers
    stream_lr: float = 1e-5  # of both streams
    gate_lr: float = 1e-3  # of VLMG's gates
    muon_lr: float = 2e-3  # of the matrices that Muon steps
    weight_decay: float = 5e-4
    clip: float = 0.1  # largest norm of the gradient
    warmup: int = 0  # steps of linear warm-up
    schedule: Literal["milestones", "cosine"] = "milestones"
    milestones: tuple[float, ...] = (10 / 15, 12 / 15, 14 / 15)  # the rate halves at these shares of the run
    dice_weight: float = 0.0  # weight of the dice loss beside BCE
    aux_weight: float = 1.0  # weight of the three coarser heads
    threads: int = 0  # CPU threads; 0 leaves torch's choice. Two that wait for each other on a busy core crawl
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    seed: int = 0
    log_every: int = 20  # steps between records of the training loss
    eval_every: int = 2000  # steps between validations; 0 means only at the end
    eval_samples: int = 500  # validation samples used then; 0 means all
    best_by: Literal["mean_iou", "overall_iou", "P@0.5", "AP_mean_precision"] = "mean_iou"  # score that `best` is of
    patience: int = 0  # stop after so many validations in a row without a better score; 0 never does
    checkpoint_every: int = 2000  # steps between checkpoints; 0 means none
    keep: int = 2  # newest checkpoints kept
    tracker: Literal["none", "tensorboard", "wandb"] = "none"  # beside history.jsonl, which is always written

    def __post_init__(self):
        _check_choices(self, "train")
        for name in ("batch", "accumulate", "keep"):
            _require(getattr(self, name) >= 1, f"train.{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True)
class RunConfig:
    """One run: a preset's name, where it writes, and the three groups of settings."""

    preset: str = "paper"  # tiny, colab or paper
    out: str = "runs/train"  # run folder: checkpoints, history, final weights
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


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
        "model.lmdf_bins": (1, 2, 4),
        "model.widths": (32, 48, 64),
        "model.norm": "group",
        "data.size": (64, 96),
        "data.flip": "swap",
        "train.steps": 8_000,
        "train.epochs": 0.0,
        "train.optimizer": "muon",
        "train.lr": 1e-3,
        "train.stream_lr": 1e-3,
        "train.gate_lr": 1e-3,
        "train.clip": 1.0,
        "train.threads": 1,
        "train.warmup": 100,
        "train.schedule": "cosine",
        "train.dice_weight": 1.0,
        "train.eval_every": 1000,
        "train.eval_samples": 200,
        "train.checkpoint_every": 500,
    },
    "colab": {  # one 16 GB GPU, pretrained streams
        "model.visual": "microsoft/resnet-50",
        "data.name": "a2d",
        "data.val_split": "test",
        "data.size": (256, 256),
        "data.workers": 2,
        "train.batch": 8,
        "train.mixed_precision": "fp16",
    },
    "paper": {  # the design's full size
        "data.name": "a2d",
        "data.val_split": "test",
        "data.workers": 4,
    },
}


def preset(name: str, **overrides: Any) -> RunConfig:
    """A named configuration with dotted overrides: `preset("tiny", **{"model.lmdf": "off"})`.

    Raises `ValueError` for an unknown preset or key, and names the nearest known one.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}{nearest(name, PRESETS)}; known: {', '.join(PRESETS)}")
    return override(RunConfig(preset=name), {**PRESETS[name], **overrides})


def override(config: RunConfig, settings: dict[str, Any]) -> RunConfig:
    """`config` with dotted settings replaced; an unknown key raises `ValueError` with the nearest."""
    known = [
        *(f.name for f in dataclasses.fields(config) if f.name not in ("model", "data", "train")),
        *(f"{g}.{f.name}" for g in ("model", "data", "train") for f in dataclasses.fields(getattr(config, g))),
    ]
    changes: dict[str, dict[str, Any]] = {"": {}, "model": {}, "data": {}, "train": {}}
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"unknown setting {key!r}{nearest(key, known)}")
        group, _, name = key.rpartition(".")
        changes[group][name] = tuple(value) if isinstance(value, list) else value
    groups = {g: dataclasses.replace(getattr(config, g), **changes[g]) for g in ("model", "data", "train")}
    return dataclasses.replace(config, **changes[""], **groups)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The flat dotted form that run folders and result files carry."""
    flat: dict[str, Any] = {"preset": config.preset, "out": config.out}
    for group in ("model", "data", "train"):
        flat |= {f"{group}.{k}": v for k, v in dataclasses.asdict(getattr(config, group)).items()}
    return flat


def from_dict(flat: dict[str, Any]) -> RunConfig:
    """The inverse of `to_dict`."""
    return override(RunConfig(), flat)


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'SEED'?)`, or nothing where no known name comes near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check_choices(settings: Any, group: str) -> None:
    for name, kind in get_type_hints(type(settings)).items():
        value, choices = getattr(settings, name), get_args(kind)
        if get_origin(kind) is Literal:
            _require(value in choices, f"{group}.{name} is {value!r}; it must be one of {', '.join(choices)}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def parse_run_config(
    prog: str, description: str, arguments: list[str] | None = None, kind: type[RunConfig] = RunConfig
) -> RunConfig:
    """A `RunConfig` from `--preset NAME` and dotted settings such as `--train.lr 1e-4`; `--help` lists all.

    `kind`: a class with further settings beside those of a run.
    """
    import tyro

    arguments = sys.argv[1:] if arguments is None else arguments
    name = "tiny"
    for k, argument in enumerate(arguments):  # the preset gives every other setting its default
        if argument == "--preset" and k + 1 < len(arguments):
            name = arguments[k + 1]
        elif argument.startswith("--preset="):
            name = argument.partition("=")[2]
    return tyro.cli(kind, default=kind(**vars(preset(name))), args=arguments, prog=prog, description=description)


def with_settings(config: RunConfig, text: str) -> RunConfig:
    """`config` with the dotted settings of one text, separated by spaces: `model.lmdf=off model.vlmg_stages=4,5`.

    Raises `ValueError` for an unknown setting and for a value of another type.
    """
    known, settings = to_dict(config), {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is no setting; write name=value, several of them separated by spaces")
        old = known.get(name)
        if not isinstance(old, str) and old is not None:  # an unknown name is told by `override`
            with suppress(ValueError, SyntaxError):  # what is no literal stays a text, which the check refuses
                value = ast.literal_eval({"true": "True", "false": "False", "": "()"}.get(value, value))
            if isinstance(old, tuple) and type(value) is int:
                value = (value,)
            if type(value) is not type(old) and not (type(old) is float and type(value) is int):
                raise ValueError(f"{name} must be of type {type(old).__name__}, not {value!r}")
        settings[name] = value
    return override(config, settings)
