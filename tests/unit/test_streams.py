"""Streams: stepping them from outside is the library's own forward; weights, frozen norms and names hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel, RobertaConfig, RobertaModel

from dtse_core.streams import LinguisticStream, VisualStream, stream_settings

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


@settings(max_examples=12)
@given(kind=st.sampled_from(sorted(RESNETS)), height=st.integers(20, 60), width=st.integers(20, 60))
def test_stepping_every_resnet_stage_equals_the_library_forward(kind, height, width):
    stream = resnet(kind).eval()
    frames = torch.randn(2, 3, height, width)
    with torch.no_grad():
        features = stream(frames)
        library = stream.resnet(frames, output_hidden_states=True).hidden_states  # stem, Res2, ..., Res5
    for number in (2, 3, 4, 5):
        torch.testing.assert_close(features[number], library[number - 1], atol=1e-5, rtol=1e-5)
        stride = {2: 4, 3: 8, 4: 16, 5: 16}[number]
        assert features[number].shape == (2, stream.channels[number], -(-height // stride), -(-width // stride))


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


@settings(max_examples=20)
@given(
    words=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 5), max_size=3).map(sorted),
    seed=st.integers(0, 99),
)
def test_stepping_bert_layers_in_any_groups_equals_the_library_forward(words, cuts, seed):
    stream = bert()
    N = max(words)
    ids = torch.randint(0, 40, (len(words), N), generator=torch.Generator().manual_seed(seed))
    word_mask = (torch.arange(N) < torch.tensor(words)[:, None]).long()
    with torch.no_grad():
        expected = stream.bert(input_ids=ids, attention_mask=word_mask).last_hidden_state
        L = stream.embed(ids)
        for start, stop in zip([0, *cuts], [*cuts, 5], strict=True):
            L = stream.layers(L, word_mask, start, stop)
    torch.testing.assert_close(L, expected, atol=1e-5, rtol=0)


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
        again = VisualStream("gone", settings=stream_settings(stream.resnet))
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


def test_another_kind_of_model_is_refused_not_loaded_in_part(tmp_path):
    RobertaModel(RobertaConfig(**BERT)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="roberta model; this stream needs a bert one"):
        LinguisticStream(str(tmp_path), pretrained=True)


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
