"""Settings: presets, dotted overrides, the nearest key, the way through JSON and back, bad values."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.config import (
    PRESETS,
    ModelConfig,
    RunConfig,
    from_dict,
    override,
    preset,
    read_value,
    setting_kinds,
    to_dict,
    with_settings,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_and_carry_their_name(name):
    config = preset(name)
    assert config.preset == name
    flat = to_dict(config)
    for key, value in PRESETS[name].items():
        assert flat[key] == value


def test_the_paper_preset_holds_the_numbers_of_the_design():
    m, t = preset("paper").model, preset("paper").train
    assert (m.visual, m.text, m.window, m.vlmg_width) == ("microsoft/resnet-101", "bert-base-uncased", 3, 256)
    assert (m.lmdf_stages, m.filter_size, m.dilations) == ((3,), 3, (1, 3, 5))
    assert (m.lmdf_width, m.filtered_width) == (64, 64)
    assert (m.widths, sum(b * b for b in m.vlmg_bins), m.gate_init) == ((64, 128, 256), 110, 0.0)
    assert preset("paper").data.size == (320, 320) and preset("paper").data.offset == 6
    assert (t.lr, t.stream_lr, t.weight_decay, t.clip, t.batch, t.epochs) == (1e-4, 1e-5, 5e-4, 0.1, 16, 15)
    assert t.milestones == (10 / 15, 12 / 15, 14 / 15)


def test_dotted_overrides_reach_their_group_and_nothing_else():
    config = preset("tiny", **{"train.seed": 7, "model.lmdf": "off", "out": "here"})
    assert (config.train.seed, config.model.lmdf, config.out) == (7, "off", "here")
    changed = {k for k, v in to_dict(config).items() if v != to_dict(preset("tiny"))[k]}
    assert changed == {"train.seed", "model.lmdf", "out"}


@pytest.mark.parametrize(
    "key,near",
    [
        ("model.lmfd", "model.lmdf"),
        ("train.lr_rate", "train.lr"),
        ("data.sise", "data.size"),
        ("seed", "train.seed"),
        ("outt", "out"),
        ("model", "model.lmdf"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(key, near):
    with pytest.raises(ValueError, match=f"unknown setting '{key}'") as error:
        preset("tiny", **{key: 1})
    suggested = str(error.value).partition("did you mean '")[2].partition("'")[0]
    assert suggested == near or (key == "model" and suggested.startswith("model."))


def test_a_key_that_is_no_text_is_unknown_too():
    with pytest.raises(ValueError, match=r"^unknown setting 3$"):
        override(preset("tiny"), {3: 1})
    with pytest.raises(ValueError, match=r"^unknown preset 3; known: tiny"):
        preset(3)


def test_an_unknown_preset_names_the_nearest_one_and_lists_all():
    with pytest.raises(
        ValueError, match=r"unknown preset 'papr' \(did you mean 'paper'\?\); known: tiny, colab, paper, modern"
    ):
        preset("papr")
    with pytest.raises(ValueError, match=r"unknown preset 'qqq'; known"):
        preset("qqq")


@st.composite
def configs(draw) -> RunConfig:
    """Configurations that differ from their preset in settings of every type."""
    return preset(
        draw(st.sampled_from(sorted(PRESETS))),
        **{
            "train.seed": draw(st.integers(0, 2**31)),
            "train.lr": draw(st.floats(1e-9, 1)),
            "train.freeze": draw(st.lists(st.sampled_from(["encoder.text", "decoder"]), unique=True)),
            "train.checkpoint_streams": draw(st.booleans()),
            "model.vlmg_stages": draw(st.sets(st.integers(2, 5)).map(sorted)),
            "model.lmdf_stages": draw(st.sets(st.integers(3, 5), min_size=1).map(sorted)),
            "model.window": draw(st.integers(0, 4).map(lambda k: 2 * k + 1)),
            "model.dilations": draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)),
        },
    )


@given(config=configs())
def test_any_configuration_survives_json(config):
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert ModelConfig(**json.loads(json.dumps(dataclasses.asdict(config.model)))) == config.model
    assert type(config.model.vlmg_stages) is tuple, "lists become tuples"


@pytest.mark.parametrize(
    "key,value,message",
    [
        ("model.window", 2, "model.window is 2; it must be odd"),
        ("model.window", -1, "model.window is -1"),
        ("model.filter_size", 4, "model.filter_size is 4; it must be odd"),
        ("model.vlmg_stages", (4, 3), "must be rising stage numbers"),
        ("model.vlmg_stages", (3, 3), "must be rising stage numbers"),
        ("model.vlmg_stages", (1,), "must be rising stage numbers"),
        ("model.lmdf_stages", (), "model.lmdf_stages is (); it must be one or more of 3 4 5"),
        ("model.lmdf_stages", (2, 3), "must be one or more of 3 4 5"),
        ("model.lmdf_stages", (3, 6), "must be one or more of 3 4 5"),
        ("model.lmdf_stages", (5, 3), "must be rising stage numbers out of 3 4 5"),
        ("model.lmdf", "on", "model.lmdf is 'on'; it must be one of off, static, current_only, full"),
        ("model.norm", "layer", "it must be one of batch, group"),
        ("model.text_levels", "first", "it must be one of hierarchical, last"),
        ("model.pretrained", "False", "model.pretrained is 'False'; it must be True or False"),
        ("model.causal", 1, "model.causal is 1; it must be True or False"),
        ("model.dilations", (), "model.dilations is (); it must be one number or more"),
        ("model.widths", (32, 48), "model.widths is (32, 48); it must be a tuple of 3 items"),
        ("model.visual", "", "model.visual is ''; it must be a name, not empty"),
        ("model.saved_streams", "x", "model.saved_streams is 'x'; it must be a dict"),
        ("data.size", 64, "data.size is 64; it must be a tuple of 2 items"),
        ("data.size", [64, 96, 3], "data.size is [64, 96, 3]; it must be a tuple of 2 items"),
        ("data.size", (64, 0), "data.size is (64, 0); it must be a tuple, each item 1 to 8192"),
        ("data.size", (64, 96.0), "data.size is (64, 96.0); it must be a tuple, each item a whole number"),
        ("data.workers", -1, "data.workers is -1; it must be 0 to 1024"),
        ("data.max_words", 2, "data.max_words is 2; it must be 3 or more"),
        ("data.root", None, "data.root is None; it must be a text"),
        ("train.lr", "1e-3", "train.lr is '1e-3'; it must be a finite number"),
        ("train.lr", -1, "train.lr is -1; it must be 0 or more"),
        ("train.lr", True, "train.lr is True; it must be a finite number"),
        ("train.lr", float("nan"), "train.lr is nan; it must be a finite number"),
        ("train.lr", 10**400, "it must be a finite number"),
        ("train.minutes", float("inf"), "train.minutes is inf; it must be a finite number"),
        ("train.clip", 0.0, "train.clip is 0.0; it must be above 0"),
        ("train.milestones", (0.5, 1.5), "train.milestones is (0.5, 1.5); it must be a tuple, each item 0 to 1"),
        ("train.freeze", "encoder", "train.freeze is 'encoder'; it must be a tuple"),
        ("train.freeze", ("",), "it must be a tuple, each item a name, not empty"),
        ("train.steps", -5, "train.steps is -5; it must be 1 or more"),
        ("train.steps", 1e3, "train.steps is 1000.0; it must be a whole number"),
        ("train.seed", True, "train.seed is True; it must be a whole number"),
        ("train.seed", np.int64(3), f"train.seed is {np.int64(3)!r}; it must be a whole number"),
        ("train.seed", 2**32, "train.seed is 4294967296; it must be 0 to 4294967295"),
        ("train.batch", 0, "train.batch is 0; it must be 1 to 65536"),
        ("train.tracker", np.zeros((2, 2)), "train.tracker is array([[0., 0.], [0., 0.]]); it must be one of none"),
        ("out", "", "out is ''; it must be a name, not empty"),
    ],
)
def test_a_bad_value_names_its_setting_and_what_is_allowed_by_whichever_way_it_comes(key, value, message):
    group, _, name = key.rpartition(".")
    ways = (
        lambda: preset("tiny", **{key: value}),
        lambda: from_dict(to_dict(preset("tiny")) | {key: value}),
        lambda: (type(getattr(RunConfig(), group)) if group else RunConfig)(**{name: value}),
    )
    for way in ways:
        with pytest.raises(ValueError, match=re.escape(message)) as error:
            way()
        assert "\n" not in str(error.value)


def test_values_are_held_in_the_types_of_their_fields(tmp_path):
    config = preset(
        "tiny", **{"train.lr": 1, "train.clip": np.float64(0.5), "data.root": tmp_path, "data.size": [4, 6]}
    )
    held = config.train.lr, config.train.clip, config.data.root, config.data.size
    assert held == (1.0, 0.5, str(tmp_path), (4, 6)) and [type(v) for v in held] == [float, float, str, tuple]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("False", bool, False),
        ("true", bool, True),
        ("0", bool, "0"),
        ("1e-3", float, 1e-3),
        ("1e3", int, "1e3"),
        ("-7", int, -7),
        ("4", tuple[int, ...], (4,)),
        ("4,5", tuple[int, ...], (4, 5)),
        ("4 5", tuple[int, ...], (4, 5)),
        ("(4, 5)", tuple[int, ...], (4, 5)),
        ("()", tuple[int, ...], ()),
        ("", tuple[int, ...], ()),
        ("4,x", tuple[int, ...], (4, "x")),
        ("('encoder.text',)", tuple[str, ...], ("encoder.text",)),
        ("encoder.text,decoder", tuple[str, ...], ("encoder.text", "decoder")),
        ("7", str, "7"),
        ("[1, {'a': None}]", list, [1, {"a": None}]),
        ("a/b", Path, Path("a/b")),
    ],
)
def test_a_text_is_read_as_its_setting_takes_it_and_stays_a_text_otherwise(text, kind, value):
    assert read_value(text, kind) == value and type(read_value(text, kind)) is type(value)


@given(config=configs())
def test_every_setting_written_as_text_is_read_back(config):
    """What Python prints for a value is what a grid's text may say."""
    texts = {name: value for name, value in to_dict(config).items() if name not in ("format", "model.saved_streams")}
    line = " ".join(f"{name}={value}".replace(", ", ",") for name, value in texts.items())
    assert with_settings(RunConfig(), line) == config


def test_every_field_says_what_it_may_hold_and_every_preset_is_named_in_its_own_field():
    kinds = setting_kinds(RunConfig)
    assert ["format", *kinds] == list(to_dict(RunConfig())) and kinds["preset"] == Literal[tuple(PRESETS)]
    assert not [name for name, kind in kinds.items() if kind in (int, float)], "all have a range"


def test_configurations_are_frozen_and_override_returns_a_new_one():
    config = RunConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.window = 5
    assert override(config, {"model.window": 5}).model.window == 5 and config.model.window == 3
