"""Settings: presets, dotted overrides, the nearest key, the way through JSON and back, bad values."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.config import PRESETS, ModelConfig, RunConfig, from_dict, override, preset, to_dict


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
    assert (m.filter_size, m.dilations, m.lmdf_width, m.filtered_width) == (3, (1, 3, 5), 64, 64)
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


def test_an_unknown_preset_names_the_nearest_one_and_lists_all():
    with pytest.raises(
        ValueError, match=r"unknown preset 'papr' \(did you mean 'paper'\?\); known: tiny, colab, paper"
    ):
        preset("papr")
    with pytest.raises(ValueError, match=r"unknown preset 'qqq'; known"):
        preset("qqq")


@given(
    seed=st.integers(0, 2**31),
    lr=st.floats(1e-9, 1),
    stages=st.sets(st.integers(2, 5)).map(sorted),
    window=st.integers(0, 4).map(lambda k: 2 * k + 1),
    dilations=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    name=st.sampled_from(sorted(PRESETS)),
)
def test_any_configuration_survives_json(seed, lr, stages, window, dilations, name):
    config = preset(
        name,
        **{
            "train.seed": seed,
            "train.lr": lr,
            "model.vlmg_stages": stages,
            "model.window": window,
            "model.dilations": dilations,
        },
    )
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert ModelConfig(**json.loads(json.dumps(dataclasses.asdict(config.model)))) == config.model
    assert config.model.vlmg_stages == tuple(stages), "lists become tuples"


@pytest.mark.parametrize(
    "key,value,message",
    [
        ("model.window", 2, "model.window is 2; it must be odd"),
        ("model.window", -1, "model.window is -1"),
        ("model.filter_size", 4, "model.filter_size is 4; it must be odd"),
        ("model.vlmg_stages", (4, 3), "must be rising stage numbers"),
        ("model.vlmg_stages", (3, 3), "must be rising stage numbers"),
        ("model.vlmg_stages", (1,), "must be rising stage numbers"),
        ("model.lmdf", "on", "model.lmdf is 'on'; it must be one of off, static, current_only, full"),
        ("model.norm", "layer", "it must be one of batch, group"),
        ("model.filtered", "next", "it must be one of current, reference"),
        ("model.text_levels", "first", "it must be one of hierarchical, last"),
    ],
)
def test_a_bad_value_names_its_setting_and_what_is_allowed(key, value, message):
    with pytest.raises(ValueError, match=message):
        preset("tiny", **{key: value})


def test_configurations_are_frozen_and_override_returns_a_new_one():
    config = RunConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.window = 5
    assert override(config, {"model.window": 5}).model.window == 5 and config.model.window == 3
