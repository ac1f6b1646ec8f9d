"""Checkpoints are found where they should be, and one that is missing or cannot be true is refused by name."""

import builtins
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dtse_core import DTSE, ReferringVideoPredictor
from dtse_core.checkpoints import find as checkpoint
from dtse_core.checkpoints.find import (
    ANSWER,
    FILES,
    LEAST,
    YOUNGER,
    checkpoint_folder,
    checkpoint_sha256,
    model_sha256,
    read_model_config,
    read_run_config,
    read_tokenizer,
)
from dtse_core.config import override, preset, to_dict
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.shared.files import ANY, write_json
from dtse_core.shared.versions import versions
from dtse_core.streams import SETTINGS

TINY = checkpoint_folder("tiny")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a folder with weights below an empty working directory, with no shipped checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "PACKAGED", tmp_path / "shipped")
    monkeypatch.setattr(checkpoint, "_download", lambda name: pytest.fail(f"asked the hub for {name}"))

    def make(name):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights of " + name.encode())
        return folder

    return make


def test_a_shipped_name_goes_before_a_folder_of_that_name(make):
    local = make("tiny")
    assert checkpoint_folder("tiny").resolve() == local
    shipped = make("shipped/tiny")
    assert checkpoint_folder("tiny") == shipped
    assert checkpoint_folder("./tiny").resolve() == local


def test_a_run_stands_for_its_final_weights(make):
    final = make("runs/a/final")
    make("runs/a/best")
    assert checkpoint_folder("runs/a").resolve() == final
    assert checkpoint_folder(final) == final
    assert checkpoint_folder("runs/a/best").name == "best"


def test_a_hub_name_is_downloaded_only_if_no_such_folder_exists(make, monkeypatch):
    there = make("downloaded")
    monkeypatch.setattr(checkpoint, "_download", lambda name: there if name == "someone/dtse" else pytest.fail(name))
    assert checkpoint_folder("someone/dtse") == there
    (there.parent / "someone/dtse").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="someone/dtse/final/model.safetensors; tiny ships"):
        checkpoint_folder("someone/dtse")


def test_a_missing_checkpoint_names_the_places_looked_at(make, monkeypatch):
    with pytest.raises(FileNotFoundError, match="'small'.*shipped/small/model.*small/final/model") as error:
        checkpoint_folder("small")
    assert "\n" not in str(error.value)

    def offline(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(checkpoint, "_download", offline)
    with pytest.raises(FileNotFoundError, match="runs/a/model.*runs/a/final/model.*hub's runs/a"):
        checkpoint_folder("runs/a")
    with pytest.raises(FileNotFoundError, match="no checkpoint ''"):
        checkpoint_folder("")


def test_an_unfinished_run_says_so(make):
    best = make("run/best")
    with pytest.raises(FileNotFoundError, match="not finished, its best weights so far are run/best"):
        checkpoint_folder("run")
    shutil.rmtree(best)
    (best.parent / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="resume its training"):
        checkpoint_folder("run")


@pytest.fixture
def copy(tmp_path):
    """A copy of the shipped checkpoint, to be spoilt."""
    return Path(shutil.copytree(TINY, tmp_path / "copy"))


def load_all(folder):
    """What a predictor and an evaluation ask of a folder."""
    ReferringVideoPredictor.from_pretrained(folder, "cpu")
    return model_sha256(folder)


def changed(file, change):
    """Rewrites a JSON file after `change` of its content."""
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def spoil_weights(file, change):
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


def assert_refused(folder, *names, load=ReferringVideoPredictor.from_pretrained):
    """Refused in one line that names a file and what to do; it never comes to an answer."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load(folder)
    said = str(error.value)
    assert any(str(folder / name) in said for name in names), said
    assert "again" in said and "\n" not in said and len(said) < 1000, said


def test_settings_of_the_run_are_read_from_the_folder(copy):
    refine = read_model_config(copy).refine
    config = preset("tiny", **{"train.seed": 3, "data.size": (64, 80), "data.name": "a2d", "model.refine": refine})
    write_json(copy / "run.json", to_dict(config), ANY)
    assert read_run_config(copy) == config
    assert load_all(copy) != load_all(TINY)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_empty_cut_short_or_of_another_kind_is_refused(copy, name):
    file, whole = copy / name, (TINY / name).read_bytes()
    spoilt = [b"", b"{", b"[]", b'"tiny"', b"null", b"\xff\xfe{}", b"{}", whole[: len(whole) // 2], whole.rstrip()[:-1]]
    for content in spoilt:
        file.write_bytes(content)
        assert_refused(copy, name)
    os.truncate(file, 2**26 + 1)
    assert_refused(copy, name)
    file.unlink()
    if name != "model.safetensors":  # a folder without weights is not a checkpoint at all
        assert_refused(copy, name)
        file.mkdir()
        assert_refused(copy, name)


CONFIG_KEYS = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
STREAM_KEYS = [("visual", name) for name in ("model_type", *SETTINGS["resnet"])]
STREAM_KEYS += [("text", name) for name in ("model_type", *SETTINGS["bert"])]


@pytest.fixture
def older(copy):
    """A model with random weights, in files that lack every setting of `YOUNGER`, and the model itself."""
    torch.manual_seed(0)
    model = DTSE(override(read_run_config(copy), YOUNGER).model).eval()
    save_file(model.state_dict(), copy / "model.safetensors")
    for name in YOUNGER:
        changed(copy / "config.json", lambda c, name=name: c.pop(name.removeprefix("model."), None))
        changed(copy / "run.json", lambda c, name=name: c.pop(name, None))
    return copy, model


def test_a_checkpoint_that_is_older_than_a_setting_is_read_as_it_was_meant(older):
    """Every frame is encoded to its end, and LMDF acts at three depths, on the current frame, with the final words."""
    folder, model = older
    old = DTSE.from_pretrained(folder)
    found = to_dict(read_run_config(folder))
    assert {name: found[name] for name in YOUNGER} == YOUNGER
    assert {name: getattr(old.config, name.removeprefix("model.")) for name in YOUNGER} == YOUNGER
    assert old.state_dict().keys() == model.state_dict().keys() and old.refinement is None
    frames, (ids, word_mask) = torch.randn(2, 3, 3, 64, 96), tokenize(["red ball", "a dog"], read_tokenizer(folder), 64)
    with torch.no_grad():
        ends = [old.encoder(frames[:, t], ids, word_mask) for t in range(3)]
        s = torch.stack([end.sentence for end in ends], 1)  # (B, T, D)
        U = {n: old.lmdf[str(n)](torch.stack([end.features[n] for end in ends], 1), s, 1) for n in (3, 4, 5)}
        finest = old.decoder(U[5], U[4], U[3], old.decoder.reduce_low(ends[1].features[2]))[-1]
        expected = torch.nn.functional.interpolate(finest[:, None], size=(64, 96), mode="bilinear")[:, 0]
        assert torch.equal(old(frames, ids, word_mask).logits, model(frames, ids, word_mask).logits)
        torch.testing.assert_close(old(frames, ids, word_mask).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_setting_that_is_younger_than_a_model_leaves_its_sha256_as_it_was(older):
    """The sum of the version of dtse before `model.lmdf_stages`, of weights that are all 1."""
    folder, model = older
    save_file({name: torch.ones_like(w) for name, w in model.state_dict().items()}, folder / "model.safetensors")
    changed(folder / "run.json", lambda c: c.pop(LEAST, None))
    before = "1a20397c28cd5cdc84101317e2bea5296068162cfe41d4c3e258fc9183f2fa67"
    assert model_sha256(folder) == before
    for name, value in YOUNGER.items():
        changed(folder / "config.json", lambda c, name=name, value=value: c.update({name[len("model.") :]: value}))
        changed(folder / "run.json", lambda c, name=name, value=value: c.update({name: value}))
        assert model_sha256(folder) == before
    changed(folder / "config.json", lambda c: c.update(filtered="reference"))
    changed(folder / "run.json", lambda c: c.update({"model.filtered": "reference"}))
    assert model_sha256(folder) != before


@pytest.mark.parametrize("key", [*CONFIG_KEYS, "unheard_of"])
def test_an_architecture_with_a_setting_missing_or_of_another_kind_is_refused(copy, key):
    for wrong in (None, "x", -1, 10**30, float("nan"), [], [[]], ["x"], {"a": 1}):
        if key in ("visual", "text") and isinstance(wrong, str):
            continue  # a name, which nobody follows
        changed(copy / "config.json", lambda c, wrong=wrong: c.update({key: wrong}))
        assert_refused(copy, "config.json", "run.json")  # which says otherwise
        if key != "gate_init":  # where a training begins: any number will do
            assert_refused(copy, "config.json", "model.safetensors", load=DTSE.from_pretrained)
    changed(copy / "config.json", lambda c: c.pop(key))
    if key in CONFIG_KEYS:
        assert_refused(copy, "config.json", *["run.json"] * (f"model.{key}" in YOUNGER))  # which does not lack it


@pytest.mark.parametrize(("stream", "key"), STREAM_KEYS)
def test_a_stream_with_a_setting_missing_or_of_another_kind_is_refused(copy, stream, key):
    for wrong in (None, "x", -1, 10**30, 1e5, float("nan"), [], [[]], [1, 1, 1, 10**9], {"a": 1}):
        changed(copy / "config.json", lambda c, wrong=wrong: c["saved_streams"][stream].update({key: wrong}))
        with pytest.raises(ValueError, match=f"{key} is .*; it must be|JSON that cannot be read"):
            read_model_config(copy)
        assert_refused(copy, "config.json")
    changed(copy / "config.json", lambda c: c["saved_streams"][stream].pop(key))
    assert_refused(copy, "config.json")


@pytest.mark.parametrize("key", [*ANSWER, "model.window", "train.sede", "drawn"])
def test_a_run_file_that_cannot_be_true_is_refused(copy, key):
    for wrong in (None, "x", -1, 10**30, float("nan"), [], [[]], ["x", "y"], [0, 96], [64, 10**9], {"a": 1}):
        if (key, wrong) != ("data.name", "x"):  # a data set of one's own
            changed(copy / "run.json", lambda c, wrong=wrong: c.update({key: wrong}))
            assert_refused(copy, "run.json")
    if key in ANSWER:
        changed(copy / "run.json", lambda c: c.pop(key))
        assert_refused(copy, "run.json")


@pytest.mark.parametrize(
    ("now", "written", "said"),
    [
        (1, 2, "settings of format 2, this dtse reads format 1; install a newer one"),
        (2, None, "settings of format 1, this dtse reads format 2; load it with the version of dtse that wrote it"),
    ],
)
@pytest.mark.parametrize("load", [ReferringVideoPredictor.from_pretrained, DTSE.from_pretrained, read_run_config])
def test_settings_of_another_format_are_refused_with_what_to_do(copy, monkeypatch, load, now, written, said):
    monkeypatch.setattr("dtse_core.config.FORMAT", now)
    changed(copy / "run.json", lambda c: c.update(format=written) if written else c.pop("format"))
    with pytest.raises(ValueError) as error:
        load(copy)
    assert str(error.value).startswith((f"{copy / 'run.json'}: {said}", f"{copy / 'config.json'}: {said}"))


def test_settings_on_which_two_files_do_not_agree_are_refused(copy):
    changed(copy / "run.json", lambda c: c.update({"model.window": 5}))
    with pytest.raises(ValueError, match=r"run.json says model.window = 5, config.json beside it 3"):
        load_all(copy)


NAME = "decoder.heads.3.bias"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.pop(NAME),
        lambda w: w.update({NAME: torch.zeros(2)}),
        lambda w: w.update({NAME: torch.zeros(1, 1)}),
        lambda w: w.update({NAME: torch.zeros(1, dtype=torch.int64)}),
        lambda w: w.update({NAME: torch.tensor([float("nan")])}),
        lambda w: w.update({NAME: torch.tensor([float("-inf")])}),
        lambda w: w.update({NAME: torch.tensor([1e300], dtype=torch.float64)}),  # infinite in 32 bits
        lambda w: w.update({"more": torch.zeros(1)}),
        lambda w: w.update({"encoder.text.bert.embeddings.word_embeddings.weight": torch.zeros(200, 64)}),
        dict.clear,
    ],
)
def test_weights_of_another_name_shape_or_type_and_nan_are_refused(copy, spoil):
    spoil_weights(copy / "model.safetensors", spoil)
    assert_refused(copy, "model.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_weights_that_are_cut_short_are_refused(copy, share):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[: round(share * file.stat().st_size)])
    assert_refused(copy, "model.safetensors")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t["model"]["vocab"].update({"zebra": 256}),
        lambda t: t["model"].update(vocab={}),
        lambda t: t["model"]["vocab"].update({"[UNK]": 5, "dog": 5}),
        lambda t: t["model"].update(max_input_chars_per_word=10**9),  # a word of 20,000 letters would take minutes
        lambda t: t["model"].update(vocab=["dog"]),
        lambda t: t["model"].update(type="Unheard"),
        lambda t: t["model"].pop("vocab"),
        lambda t: t.pop("model"),
        lambda t: t["post_processor"]["special_tokens"]["[CLS]"].update(ids=[10**6]),
        lambda t: t["added_tokens"].append({"id": 999, "content": "zebra", "special": False}),
        lambda t: t["added_tokens"].append("zebra"),
        lambda t: t.update(normalizer={"type": "Unheard"}),
        lambda t: t["post_processor"].update(special_tokens={}),  # at which the library panics
    ],
)
def test_a_tokenizer_that_does_not_fit_the_text_stream_is_refused(copy, spoil):
    changed(copy / "tokenizer.json", spoil)
    assert_refused(copy, "tokenizer.json")


@pytest.mark.parametrize("wrong", [None, 3, "zebra", "", [], {}, {"content": None}, {"content": "zebra"}])
@pytest.mark.parametrize("name", ["pad_token", "unk_token", "cls_token"])
def test_marks_that_the_tokenizer_does_not_have_are_refused(copy, name, wrong):
    changed(copy / "tokenizer_config.json", lambda c: c.update({name: wrong}))
    assert_refused(copy, "tokenizer_config.json")


def test_nothing_outside_the_folder_is_opened_whatever_the_files_say(copy, tmp_path, monkeypatch):
    """A checkpoint that names other folders, code and hub names wherever a library would follow."""
    other = str(tmp_path / "other")
    shutil.copytree(TINY, other)
    names = {"_name_or_path": other, "name_or_path": other, "auto_map": {"AutoModel": f"{other}--code.Model"}}
    names |= {"attn_implementation": "kernels-community/flash", "_attn_implementation": "kernels-community/flash"}
    names |= {"vocab_file": f"{other}/vocab.txt", "tokenizer_file": f"{other}/tokenizer.json"}
    names |= {"quantization_config": {"quant_method": other}, "tokenizer_class": "Evil", "trust_remote_code": True}
    changed(copy / "config.json", lambda c: c.update(visual=other, text="someone/bert"))
    changed(copy / "run.json", lambda c: c.update({"model.visual": other, "model.text": "someone/bert"}))
    changed(copy / "config.json", lambda c: [stream.update(names) for stream in c["saved_streams"].values()])
    changed(copy / "tokenizer_config.json", lambda c: c.update(names))
    load_all(TINY)  # libraries load their own parts at first use
    opened, open_ = [], open

    def noted(file, *args, **options):
        opened.append(str(file))
        return open_(file, *args, **options)

    for where in (builtins, io):
        monkeypatch.setattr(where, "open", noted)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("asked the network"))
    predictor = ReferringVideoPredictor.from_pretrained(copy, "cpu")
    assert {Path(name) for name in opened} == {copy / name for name in FILES[1:]}  # weights are read by a library
    assert predictor.tokenizer.tokenize("the dog") == ["the", "dog"]
    assert torch.equal(predictor.model.decoder.heads[3].bias, DTSE.from_pretrained(TINY).decoder.heads[3].bias)


def test_a_checkpoint_loads_by_each_name_that_stands_for_it_and_no_keyword_is_ignored(copy):
    (copy.parent / "run").mkdir()
    copy.rename(copy.parent / "run" / "final")
    weights = [DTSE.from_pretrained(name).state_dict() for name in ("tiny", TINY, copy.parent / "run")]
    assert all(torch.equal(w[key], weights[0][key]) for w in weights for key in weights[0])
    for wrong in ({"strict": False}, {"config": preset("tiny").model}, {"map_location": "cuda"}, {"presicion": "bf16"}):
        for load in (DTSE.from_pretrained, ReferringVideoPredictor.from_pretrained):
            with pytest.raises(TypeError, match=next(iter(wrong))):
                load("tiny", **wrong)


def test_the_tokenizer_is_the_one_that_training_used():
    own, trained = read_tokenizer(TINY), load_tokenizer("tiny-bert", 1)
    texts = ["the dog", "The zebra, a \N{DOG FACE} and a red-and-white dog!", "[MASK] x \N{CJK UNIFIED IDEOGRAPH-72D7}"]
    for a, b in zip(tokenize(texts, own, 64), tokenize(texts, trained, 64), strict=True):
        assert torch.equal(a, b)
    assert own.unk_token == trained.unk_token and own.get_vocab() == trained.get_vocab()


def test_how_a_tokenizer_padded_and_cut_last_does_not_matter(copy):
    padding = {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 10**9}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    truncation = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    changed(copy / "tokenizer.json", lambda t: t.update(padding=padding, truncation=truncation))
    ids, _ = tokenize(["the dog on the left", "ball"], read_tokenizer(copy), 64)
    assert torch.equal(ids, tokenize(["the dog on the left", "ball"], read_tokenizer(TINY), 64)[0])


def test_the_model_s_sha256_knows_content_and_not_form(copy):
    shipped = model_sha256(TINY)
    assert re.fullmatch(r"[0-9a-f]{64}", shipped) and shipped != checkpoint_sha256(TINY)
    for name in FILES[1:]:
        content = json.loads((copy / name).read_text(encoding="utf-8"))
        (copy / name).write_text(json.dumps(dict(reversed(content.items())), indent=7), encoding="utf-8")
    weights = load_file(copy / "model.safetensors")
    save_file(dict(reversed(weights.items())), copy / "model.safetensors", {"made": "again"})
    changed(copy / "run.json", lambda c: c.update({"train.seed": 7, "out": "elsewhere"}))
    changed(copy / "tokenizer.json", lambda t: t.update(padding=None, truncation=None))
    assert model_sha256(copy) == shipped and checkpoint_sha256(copy) != checkpoint_sha256(TINY)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda c: c.update(vlmg_heads=2)),
        ("config.json", lambda c: c["saved_streams"]["visual"].update(hidden_act="gelu")),
        ("run.json", lambda c: c.update({"data.size": [96, 64]})),
        ("tokenizer.json", lambda t: t["model"]["vocab"].update(dog=t["model"]["vocab"]["cat"])),
        ("model.safetensors", lambda w: w[NAME].add_(1e-6)),
        ("model.safetensors", lambda w: w.update({NAME: w[NAME].half()})),
    ],
)
def test_the_model_s_sha256_changes_with_each_of_its_parts(copy, name, change):
    if name == "model.safetensors":
        spoil_weights(copy / name, change)
    else:
        changed(copy / name, change)
    if name == "config.json":
        changed(copy / "run.json", lambda c: c.update({"model.vlmg_heads": read_model_config(copy).vlmg_heads}))
    assert model_sha256(copy) != model_sha256(TINY)


def test_sha256_is_that_of_the_weights_file(make):
    folder = make("a")
    assert checkpoint_sha256(folder) == hashlib.sha256(b"weights of a").hexdigest()


def test_versions_name_the_libraries_and_the_commit():
    found = versions()
    import numpy
    import torch

    assert (found["numpy"], found["torch"]) == (numpy.__version__, torch.__version__)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkpoint.PACKAGED.parent, capture_output=True, encoding="utf-8"
    )
    assert found["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "deep" / "a.json"
    write_json(file, {"é": 1}, ANY)
    assert json.loads(file.read_text(encoding="utf-8")) == {"é": 1}
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(file, bad, ANY)
    assert json.loads(file.read_text(encoding="utf-8")) == {"é": 1}
    assert list(file.parent.iterdir()) == [file]


def test_a_cut_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_json(file, 1, ANY)

    def cut(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(OSError, match="disk full"):
        write_json(file, 2, ANY)
    assert file.read_text(encoding="utf-8") == "1\n"
    assert list(tmp_path.iterdir()) == [file]
