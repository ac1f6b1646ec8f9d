"""Streams: stepping them from outside is the library's own forward; weights, frozen norms and names hold."""

import dataclasses
import itertools
import json
import re
import shutil

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from dtse_core.config import preset
from dtse_core.encoder import InterleavedEncoder
from dtse_core.model import DTSE
from dtse_core.streams import ARCHITECTURES, LinguisticStream, VisualStream, _convnext_v2_block
from dtse_core.train import train

RESNETS = {
    "basic": {"embedding_size": 4, "hidden_sizes": [4, 6, 8, 10], "depths": [1, 2, 1, 2], "layer_type": "basic"},
    "bottleneck": {"embedding_size": 4, "hidden_sizes": [8, 12, 16, 20], "depths": [2, 1, 2, 1]},
}
BERT = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}


def resnet(kind: str, **options) -> VisualStream:
    torch.manual_seed(0)
    stream = VisualStream("small", settings=RESNETS[kind], **options)
    for module in stream.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics as a trained network has them
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return stream


def bert() -> LinguisticStream:
    torch.manual_seed(0)
    return LinguisticStream("small", settings=BERT).eval()


def test_res5_at_stride_1_keeps_pretrained_weights_valid():
    """Of a last stage with one bottleneck, every second position is what the library computes at stride 2."""
    torch.manual_seed(0)
    setting = RESNETS["bottleneck"] | {"depths": [1, 1, 1, 1]}
    library = ResNetModel(ResNetConfig(**setting)).eval()
    stream = VisualStream("small", settings=setting).eval()
    stream.resnet.load_state_dict(library.state_dict())  # strict: the same names and shapes
    frames = torch.randn(1, 3, 70, 50)
    with torch.no_grad():
        features, expected = stream(frames), library(frames, output_hidden_states=True).hidden_states
    torch.testing.assert_close(features[4], expected[3])
    assert features[5].shape[2:] == features[4].shape[2:]
    torch.testing.assert_close(features[5][:, :, ::2, ::2], expected[4], atol=1e-5, rtol=1e-5)


CNNS = {
    "resnet": {"embedding_size": [4, 6], "layer_type": ["basic", "bottleneck"], "hidden_act": ["relu", "gelu"]},
    "regnet": {"embedding_size": [4, 6], "layer_type": ["x", "y"], "groups_width": [2, 4]},
    "convnext": {"patch_size": [2, 4], "hidden_act": ["gelu", "relu"]},
    "convnextv2": {"patch_size": [2, 4], "hidden_act": ["gelu", "relu"]},
}
TEXTS = {
    "bert": {},
    "roberta": {"pad_token_id": [0, 1, 5]},
    "electra": {"embedding_size": [8, 16]},
    "mpnet": {},
    "distilbert": {"n_heads": [2, 4], "n_layers": [1, 2, 3, 4, 5], "hidden_dim": [12], "dim": [16]},
    "modernbert": {
        "local_attention": [2, 6, 128],
        "global_attn_every_n_layers": [1, 2, 3],
        "global_rope_theta": [500.0],
    },
}
SMALL = {"hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1]}
SMALL_CNNS = {
    "resnet": SMALL | {"embedding_size": 8, "layer_type": "basic"},
    "regnet": SMALL | {"embedding_size": 8, "groups_width": 4},
    "convnext": SMALL,
    "convnextv2": SMALL | {"drop_path_rate": 0.1},
}
SMALL_TEXT = {"vocab_size": 40, "max_position_embeddings": 30, "pad_token_id": 1}
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 4}
SMALL_TEXTS = {kind: SMALL_TEXT | SIZES for kind in TEXTS} | {
    "electra": SMALL_TEXT | SIZES | {"embedding_size": 8},
    "distilbert": SMALL_TEXT | {"dim": 16, "hidden_dim": 24, "n_heads": 2, "n_layers": 4},
    "modernbert": SMALL_TEXT
    | SIZES
    | {"global_attn_every_n_layers": 2, "global_rope_theta": 700.0, "local_attention": 4},
}
CONVNEXTS = "convnext", "convnextv2"


def library_model(kind: str, setting: dict, seed: int = 0):
    """The library's own model, at weights that are not as small as at the start."""
    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **setting)).eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point():
                value.add_(torch.randn_like(value), alpha=0.2)
    return model


@st.composite
def cnns(draw, kinds=tuple(CNNS)):
    kind = draw(st.sampled_from(kinds))
    setting = {name: draw(st.sampled_from(values)) for name, values in CNNS[kind].items()}
    setting["hidden_sizes"] = [4 * n for n in draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))]
    setting["depths"] = draw(st.lists(st.integers(1, 3), min_size=4, max_size=4))
    return kind, setting


@settings(max_examples=24)
@given(cnn=cnns(), height=st.integers(33, 90), width=st.integers(33, 90), frames=st.integers(1, 2))
def test_stepping_the_stages_of_every_family_equals_the_library_forward(cnn, height, width, frames):
    kind, setting = cnn
    library = library_model(kind, setting)
    stream = VisualStream("small", settings={"model_type": kind} | setting).eval()
    stream.library.load_state_dict(library.state_dict(), strict=False)  # without the norm behind the last stage
    if kind in ("resnet", "regnet"):  # Res5 at stride 1
        for module in library.encoder.stages[-1].modules():
            if isinstance(module, torch.nn.Conv2d):
                module.stride = (1, 1)
    x = torch.randn(frames, 3, height, width)
    with torch.no_grad():
        expected = library(x, output_hidden_states=True).hidden_states  # stem, Res2, ..., Res5
        fast = stream(x)
    plain = stream(x)  # with gradients, as in training
    resized = torch.nn.functional.interpolate(expected[4], expected[3].shape[2:], mode="bilinear")
    for features in (fast, plain):
        assert features.keys() == {2, 3, 4, 5}
        for number in (2, 3, 4):
            torch.testing.assert_close(features[number], expected[number - 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(features[5], resized, atol=1e-5, rtol=1e-5)
    assert list(stream.channels.values()) == setting["hidden_sizes"] == [V.shape[1] for V in plain.values()]
    finest = setting.get("patch_size", 4)
    for number, stride in zip((2, 3, 4, 5), (finest, 2 * finest, 4 * finest, 4 * finest), strict=True):
        for side, size in zip(plain[number].shape[2:], (height, width), strict=True):
            assert side in (size // stride, -(-size // stride))


@pytest.mark.parametrize("size", [(40, 48), (96, 96)])  # fewer positions than channels somewhere, and more
def test_the_cheaper_block_of_convnext_v2_learns_as_the_library_block_does(size):
    setting = {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 2, 1]}
    library = library_model("convnextv2", setting).train()
    stream = VisualStream("small", settings={"model_type": "convnextv2"} | setting)
    stream.library.load_state_dict(library.state_dict(), strict=False)
    x = torch.randn(2, 3, *size)
    library(x, output_hidden_states=True).hidden_states[3].square().mean().backward()
    stream(x)[4].square().mean().backward()
    expected = {name: p.grad for name, p in library.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in stream.library.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys() and len(found) > 40
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("deviation", [1, 8])
def test_a_norm_over_many_large_values_fits_half_precision_as_in_the_library_block(deviation):
    torch.manual_seed(0)
    block = VisualStream("small", settings={"model_type": "convnextv2"} | SMALL).eval().library.encoder.stages[0]
    block, V = block.layers[0], torch.randn(2, SMALL["hidden_sizes"][0], 64, 64)
    with torch.no_grad():
        block.pwconv1.weight.normal_(0, deviation / V.shape[1] ** 0.5)
        block.grn.weight.normal_()
        expected, found = block.half()(V.half()).float(), _convnext_v2_block(block, V.half()).float()
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected, atol=0.02 * float(expected.abs().max()), rtol=0)


@st.composite
def texts(draw):
    kind = draw(st.sampled_from(sorted(TEXTS)))
    setting = {"vocab_size": 40, "max_position_embeddings": 30}
    if kind != "distilbert":
        setting |= {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": draw(st.sampled_from([2, 4]))}
        setting["num_hidden_layers"] = draw(st.integers(1, 5))
    setting |= {"pad_token_id": 1 if kind == "mpnet" else 0}
    return kind, setting | {name: draw(st.sampled_from(values)) for name, values in TEXTS[kind].items()}


@settings(max_examples=40)
@given(
    text=texts(),
    words=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 5), max_size=3).map(sorted),
    seed=st.integers(0, 99),
)
def test_stepping_the_layers_of_every_family_in_any_groups_equals_the_library_forward(text, words, cuts, seed):
    kind, setting = text
    library = library_model(kind, setting)
    stream = LinguisticStream("small", settings={"model_type": kind} | setting).eval()
    stream.library.load_state_dict(library.state_dict(), strict=False)  # without the pooling layer
    assert (stream.width, stream.depth) == (16, len(stream.blocks))
    N = max(words)
    ids = torch.randint(6, 40, (len(words), N), generator=torch.Generator().manual_seed(seed))
    word_mask = (torch.arange(N) < torch.tensor(words)[:, None]).long()
    ids[word_mask == 0] = setting["pad_token_id"]
    stops = [min(cut, stream.depth) for cut in cuts]
    with torch.no_grad():
        expected = library(input_ids=ids, attention_mask=word_mask).last_hidden_state
        L = stream.embed(ids)
        for start, stop in zip([0, *stops], [*stops, stream.depth], strict=True):
            L = stream.layers(L, word_mask, start, stop)
    assert L.isfinite().all() and L.shape == (len(words), N, 16)
    torch.testing.assert_close(L[word_mask == 1], expected[word_mask == 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_the_longest_sentence_that_a_stream_takes_is_its_own(kind):
    setting = {"model_type": kind, "vocab_size": 40, "max_position_embeddings": 12, "pad_token_id": 1}
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1}
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2} if kind == "distilbert" else sizes
    stream = LinguisticStream("small", settings=setting | sizes)
    assert stream.longest == (10 if kind in ("roberta", "mpnet") else 12)
    ids = torch.full((1, stream.longest), 7)
    assert stream.eval()(ids, torch.ones_like(ids)).isfinite().all()
    too_long = torch.full((1, stream.longest + 1), 7)
    with pytest.raises(ValueError, match=rf"N = 1 to {stream.longest}; got \(1, {stream.longest + 1}\)"):
        stream.embed(too_long)
    if kind != "modernbert":  # whose positions are angles
        with pytest.raises((IndexError, RuntimeError)):
            stream.family.embed(stream.library, too_long)


@pytest.mark.parametrize(("kind", "patch"), [("resnet", 0), ("regnet", 0), *itertools.product(CONVNEXTS, (2, 3, 4))])
def test_the_smallest_frame_that_a_stream_takes_is_the_smallest_that_the_library_takes(kind, patch):
    setting = SMALL_CNNS[kind] | ({"patch_size": patch} if patch else {})
    library = library_model(kind, setting)

    def taken(side: int) -> bool:
        try:
            return library(torch.zeros(1, 3, side, 40)).last_hidden_state.isfinite().all()
        except RuntimeError:
            return False

    with torch.no_grad():
        smallest = next(filter(taken, range(1, 40)))
        stream = VisualStream("small", settings={"model_type": kind} | setting).eval()
        assert stream.smallest == smallest == (8 * patch or 1)
        assert all(V.isfinite().all() for V in stream(torch.zeros(1, 3, smallest, smallest)).values())
    for size in ((smallest - 1, 40), (40, smallest - 1)):
        with pytest.raises(
            ValueError, match=rf"H and W of {smallest} or more, which this visual stream needs; got .1, 3, {size[0]}"
        ):
            stream(torch.zeros(1, 3, *size))


def test_a_size_that_the_visual_stream_cannot_take_is_refused_before_a_training_writes(tmp_path):
    library_model("convnext", SMALL_CNNS["convnext"]).save_pretrained(tmp_path / "stream")
    config = preset("tiny", **{"model.visual": str(tmp_path / "stream"), "data.size": (31, 48)})
    with pytest.raises(ValueError, match=r"data.size is \(31, 48\), the visual stream takes sides of 32 or more"):
        train(dataclasses.replace(config, out=str(tmp_path / "run")), False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [(0, 3, 64, 64), (2, 3, 0, 64), (2, 64, 64, 3), (3, 64, 64)])
def test_a_visual_stream_says_which_frames_it_takes(shape):
    with pytest.raises(
        ValueError, match=f"frames must be .B, 3, H, W. with B = 1 or more .*; got {re.escape(str(shape))}"
    ):
        resnet("basic")(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0, 0), (5,)])
def test_a_text_stream_says_which_words_it_takes(shape):
    ids = torch.zeros(shape, dtype=torch.long)
    said = f"input_ids must hold word pieces .B, N. with B = 1 or more and N = 1 to .*; got {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=said):
        bert()(ids, ids)
    with pytest.raises(ValueError, match=said):
        InterleavedEncoder(preset("tiny").model)(torch.zeros(2, 3, 32, 32), ids, ids)


def test_padded_words_do_not_reach_the_others():
    stream = bert()
    ids, word_mask = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 9]]), torch.tensor([[1, 1, 1, 0]] * 2)
    with torch.no_grad():
        L = stream(ids, word_mask)
        short = stream(ids[:1, :3], word_mask[:1, :3])
    torch.testing.assert_close(L[0, :3], L[1, :3], atol=1e-6, rtol=0)
    torch.testing.assert_close(L[:1, :3], short, atol=1e-6, rtol=0)


def test_a_real_pretrained_text_model_steps_like_the_library_and_knows_its_words(minilm):
    from transformers import AutoTokenizer

    stream = LinguisticStream(minilm, pretrained=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    batch = tokenizer(
        ["a dog runs over the grass", "a puppy is running on a lawn", "the bank raised its interest rates again"],
        padding=True,
        return_tensors="pt",
    )
    ids, word_mask = batch["input_ids"], batch["attention_mask"]
    with torch.no_grad():
        L = stream.embed(ids)
        for start in range(0, stream.depth, 2):
            L = stream.layers(L, word_mask, start, start + 2)
        expected = BertModel.from_pretrained(minilm)(input_ids=ids, attention_mask=word_mask).last_hidden_state
    torch.testing.assert_close(L, expected, atol=1e-5, rtol=0)
    kept = word_mask[:, :, None]
    sentences = torch.nn.functional.normalize((L * kept).sum(1) / kept.sum(1), dim=1)
    alike, other = sentences[0] @ sentences[1], sentences[0] @ sentences[2]
    assert alike > 0.5 > 0.2 > other, "random weights would call all sentences alike"
    assert (stream.width, stream.depth) == (384, 6)


def test_frozen_batch_norm_stays_frozen_in_train():
    stream = resnet("basic", freeze=True)
    parent = torch.nn.Sequential(stream).train()  # the call comes from above, as in training
    before = {k: v.clone() for k, v in stream.state_dict().items()}
    stream(torch.randn(2, 3, 32, 32))[5].sum().backward()
    for name, value in stream.state_dict().items():
        assert torch.equal(value, before[name]), name
    norms = [m for m in stream.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training or m.weight.requires_grad or m.bias.requires_grad for m in norms)
    assert all(m.weight.grad is not None for m in stream.modules() if isinstance(m, torch.nn.Conv2d))
    assert parent.training and stream.training


def test_unfrozen_batch_norm_learns():
    stream = resnet("basic").train()
    before = stream.resnet.embedder.embedder.normalization.running_mean.clone()
    stream(torch.randn(2, 3, 32, 32))
    assert not torch.equal(stream.resnet.embedder.embedder.normalization.running_mean, before)


def test_group_norm_replaces_every_batch_norm_of_a_stream_from_scratch():
    stream = VisualStream("tiny-resnet", norm="group").train()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in stream.modules())
    x = torch.randn(2, 3, 40, 48)
    torch.testing.assert_close(stream(x)[5][:1], stream(x[:1])[5], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["tiny-resnet", "microsoft/resnet-50"])
def test_settings_rebuild_the_same_visual_stream_without_the_name(name):
    with torch.device("meta"):
        stream = VisualStream(name)
        again = VisualStream("gone", settings=stream.settings)
    shapes = {k: v.shape for k, v in stream.state_dict().items()}
    assert shapes == {k: v.shape for k, v in again.state_dict().items()}


def test_pretrained_folders_give_their_weights_to_both_streams(tmp_path):
    torch.manual_seed(3)
    library = {
        "resnet": ResNetModel(ResNetConfig(**RESNETS["basic"])),
        "bert": BertModel(BertConfig(**BERT)),  # with the pooling layer that we do not load
    }
    for name, model in library.items():
        model.save_pretrained(tmp_path / name)
    visual = VisualStream(str(tmp_path / "resnet"), pretrained=True, norm="group")
    text = LinguisticStream(str(tmp_path / "bert"), pretrained=True)
    assert visual.resnet.state_dict().keys() == library["resnet"].state_dict().keys(), "batch norms stay what they are"
    for name, model in (("resnet", visual.resnet), ("bert", text.bert)):
        for key, value in model.state_dict().items():
            assert torch.equal(value, library[name].state_dict()[key]), key


PAIRS = [*zip([*SMALL_CNNS] * 2, SMALL_TEXTS, strict=False)]


@pytest.mark.parametrize(("cnn", "text"), PAIRS)
def test_a_checkpoint_of_every_family_holds_all_that_it_needs(tmp_path, cnn, text):
    """Loaded where the folders of both streams are gone, and no name can be looked up, it gives the same bits."""
    folders = {}
    for kind, setting in ((cnn, SMALL_CNNS[cnn]), (text, SMALL_TEXTS[text])):
        folders[kind] = tmp_path / kind
        library_model(kind, setting).half().save_pretrained(folders[kind])  # as some on the hub are
    names = {"model.visual": str(folders[cnn]), "model.text": str(folders[text]), "model.pretrained": True}
    model = DTSE(preset("tiny", **names, **{"model.norm": "batch"}).model).eval()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    model.save_pretrained(tmp_path / "checkpoint")
    for folder in folders.values():
        shutil.rmtree(folder)
    again = DTSE.from_pretrained(tmp_path / "checkpoint")
    assert list(again.state_dict()) == list(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    ids = torch.tensor([[6, 7, 8, 9, 10, 11, 12, 1, 1]] * 2)
    window = torch.randn(2, 3, 3, 64, 96), ids, (ids != 1).long()
    with torch.no_grad():
        assert torch.equal(again(*window).logits, model(*window).logits)


def test_a_modernbert_that_transformers_4_cannot_describe_is_refused():
    setting = {"model_type": "modernbert"} | SMALL_TEXTS["modernbert"]
    full, near = "full_attention", "sliding_attention"

    def period(**more):
        return LinguisticStream("small", settings=setting | more).settings["global_attn_every_n_layers"]

    assert period() == 2
    if int(transformers.__version__.partition(".")[0]) >= 5:  # 4 has no such setting
        assert period(layer_types=[full, near, near, full]) == 3
        with pytest.raises(ValueError, match="irregular layers"):
            period(layer_types=[full, full, near, full])


@pytest.mark.parametrize("stream", [VisualStream, LinguisticStream])
def test_another_kind_of_model_is_refused_not_loaded_in_part(tmp_path, stream):
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=16)
    ViTModel(config).save_pretrained(tmp_path)
    for pretrained in (True, False):
        with pytest.raises(ValueError, match=r"is a vit model; this stream takes (resnet|bert), "):
            stream(str(tmp_path), pretrained)


@pytest.mark.parametrize(("stream", "name"), [("visual", "tiny-resnet"), ("text", "tiny-bert")])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hidden_act": "nonsense"}, "hidden_act of '{}' is 'nonsense'; it must be one of gelu, .*relu"),
        (
            {"torch_dtype": "nonsense"},
            "the settings of '{}' describe no model .*nonsense.*; correct its config",
        ),
        (
            {"hidden_size": None, "hidden_sizes": None},
            "the settings of '{}' describe no model|is None; it must",
        ),
    ],
)
def test_settings_that_describe_no_model_are_refused_by_name(tmp_path, stream, name, wrong, said):
    (tmp_path / "config.json").write_text(json.dumps(ARCHITECTURES[name] | wrong), encoding="utf-8")
    with pytest.raises(ValueError, match=said.format(tmp_path)) as refused:
        DTSE(preset("tiny", **{f"model.{stream}": str(tmp_path)}).model)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("resnet", {"hidden_sizes": [8, 8, 12], "depths": [1, 1, 1]}, "hidden_sizes of '{}' is"),
        ("convnextv2", {"hidden_sizes": [8] * 5, "depths": [1] * 5, "num_stages": 5}, "hidden_sizes of '{}' is"),
        ("regnet", {"num_channels": 1}, "num_channels of '{}' is 1; it must be 3"),
        ("bert", {"num_hidden_layers": 0}, "num_hidden_layers of '{}' is 0; it must be 1 to 64"),
        ("bert", {"is_decoder": True}, "is_decoder of '{}' is True; it must be False"),
        ("roberta", {"position_embedding_type": "relative_key"}, "position_embedding_type of '{}' is 'relative_key'"),
        ("electra", {"pad_token_id": None}, "pad_token_id of '{}' is None; it must be a whole number"),
        ("modernbert", {"pad_token_id": -1}, "pad_token_id of '{}' is -1; it must be 0 or more"),
    ],
)
def test_a_stream_that_its_own_checkpoint_would_refuse_is_not_built(tmp_path, kind, wrong, said):
    setting = {"model_type": kind} | {**SMALL_CNNS, **SMALL_TEXTS}[kind] | wrong
    (tmp_path / "config.json").write_text(json.dumps(setting), encoding="utf-8")
    stream = VisualStream if kind in SMALL_CNNS else LinguisticStream
    with pytest.raises(ValueError, match=said.format(tmp_path)):
        stream(str(tmp_path))
    with pytest.raises(ValueError, match=said.format("gone")):
        stream("gone", settings=setting)


def test_missing_weights_are_an_error_that_names_the_first(tmp_path):
    from safetensors.torch import load_file, save_file

    BertModel(BertConfig(**BERT)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights = {k: v for k, v in weights.items() if "layer.2.output.dense" not in k}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 2 weights, encoder.layer.2.output.dense.bias first"):
        LinguisticStream(str(tmp_path), pretrained=True)


def test_hub_names_load_offline_from_the_cache_and_absent_ones_say_so(tmp_path, monkeypatch):
    import huggingface_hub.constants as hub
    import transformers.utils.hub as library

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library, "TRANSFORMERS_CACHE", str(tmp_path), raising=False)  # transformers 4 keeps copies
    monkeypatch.setattr(library, "_is_offline_mode", True, raising=False)
    folder = tmp_path / "models--lab--little-bert"
    BertModel(BertConfig(**BERT)).save_pretrained(folder / "snapshots" / "1234")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("1234", encoding="utf-8")
    assert LinguisticStream("lab/little-bert", pretrained=True).width == 16
    with pytest.raises(ValueError, match=r"(?s)cannot load 'lab/never-fetched'.*`hf download lab/never-fetched`"):
        LinguisticStream("lab/never-fetched", pretrained=True)
