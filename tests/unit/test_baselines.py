"""Baselines of the study: each keeps its idea, answers as DTSE does, and learns."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.baselines import BASELINES
from benchmarks.baselines.common import JoinFrames, whole_window, with_place
from benchmarks.baselines.cross_modal_self_attention import PairAttention
from benchmarks.baselines.sentence_filters import apply_filters
from benchmarks.baselines.temporal_duplex import frame_changes
from dtse_core import DTSE, preset
from dtse_core.checkpoints.find import load_model
from dtse_core.config import ModelConfig
from dtse_core.data.batch import Batch
from dtse_core.layers import coordinates
from dtse_core.streams import LinguisticStream
from dtse_core.train import train, train_step
from dtse_core.training.optimizer import MuonAdamW, parameter_groups

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "baselines"


def example() -> type:
    """The baseline that CONTRIBUTING.md shows, as if its file lay among the others."""
    text = (FOLDER.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = re.search(r"## Adding a baseline\n.*?```python\n(.*?)```", text, re.DOTALL)[1]
    module = ModuleType("benchmarks.baselines.sentence_gate")
    module.__package__ = "benchmarks.baselines"
    exec(source, vars(module))
    return module.SentenceGate


MODELS = {**BASELINES, "example": example()}
each = pytest.mark.parametrize("name", MODELS)


def small(**changes) -> ModelConfig:
    return preset("tiny", **{f"model.{key}": value for key, value in changes.items()}).model


def make(name: str, **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS[name](small(**changes)).eval()
    if model.refinement:  # a new one adds nothing
        torch.nn.init.normal_(model.refinement.heads.weight)
    return model


@pytest.fixture
def inputs():
    """Frames (2, 3, 3, 32, 48), word pieces (2, 6) and their mask, the second sentence shorter by two."""
    rng = torch.Generator().manual_seed(1)
    frames, ids = torch.randn(2, 3, 3, 32, 48, generator=rng), torch.randint(5, 200, (2, 6), generator=rng)
    word_mask = torch.ones_like(ids)
    word_mask[1, 4:] = 0
    return frames, ids, word_mask


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@each
@pytest.mark.parametrize("window", [1, 3, 5])
def test_logits_have_the_size_of_the_frames_for_any_window(name, window, inputs):
    _, ids, word_mask = inputs
    with torch.no_grad():
        out = make(name, window=window)(torch.randn(2, window, 3, 32, 48), ids, word_mask)
    assert out.logits.shape == (2, 32, 48) and out.aux_logits and out.maps == {}
    assert all(aux.ndim == 3 and len(aux) == 2 for aux in out.aux_logits)


@each
def test_a_short_window_is_completed_with_the_current_frame(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    with torch.no_grad():
        alone = model(frames[:, :1], ids, word_mask).logits
        repeated = model(frames[:, :1].expand(-1, 3, -1, -1, -1), ids, word_mask).logits
    assert torch.allclose(alone, repeated, atol=1e-5)


@each
def test_padding_changes_nothing(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    padded, longer = torch.nn.functional.pad(ids, (0, 3), value=7), torch.nn.functional.pad(word_mask, (0, 3))
    with torch.no_grad():
        assert torch.allclose(model(frames, ids, word_mask).logits, model(frames, padded, longer).logits, atol=1e-5)


@each
def test_a_refinement_changes_the_answer_by_the_current_frame_and_one_of_zeros_does_not(name, inputs):
    frames, ids, word_mask = inputs
    plain, model = make(name), make(name, refine=4)
    model.load_state_dict(model.state_dict() | plain.state_dict())
    asked = []
    model.refinement.register_forward_hook(lambda _, given, __: asked.extend(given))
    with torch.no_grad():
        before, out = plain(frames, ids, word_mask), model(frames, ids, word_mask)
        assert (out.logits - before.logits).abs().max() > 0.01
        assert all(torch.equal(a, b) for a, b in zip(out.aux_logits, before.aux_logits, strict=True))
        assert torch.equal(asked[1], frames[:, 1])
        torch.nn.init.zeros_(model.refinement.heads.weight)
        torch.nn.init.zeros_(model.refinement.heads.bias)
        assert torch.equal(model(frames, ids, word_mask).logits, before.logits)


@each
def test_another_sentence_gives_another_mask(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    with torch.no_grad():
        one, other = (model(frames[:1], ids[k : k + 1], word_mask[:1]).logits for k in (0, 1))
    assert (one - other).abs().max() > 1e-4


@each
def test_every_frame_matters_and_their_order_too(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    if name == "cross_modal_self_attention":  # its marks of frames are learned, and begin alike
        for attend in model.attend.values():
            torch.nn.init.normal_(attend.frame_embedding)
    with torch.no_grad():
        logits = model(frames, ids, word_mask).logits
        for t in range(3):
            changed = frames.clone()
            changed[:, t] += 1
            assert (model(changed, ids, word_mask).logits - logits).abs().max() > 1e-5, f"frame {t} means nothing"
        assert (model(frames.flip(1), ids, word_mask).logits - logits).abs().max() > 1e-5


@each
@pytest.mark.parametrize("refine", [0, 4])
def test_several_sentences_about_a_window_are_as_many_windows_with_one_each(name, refine, inputs):
    frames, ids, word_mask = inputs
    model, ids, word_mask = (
        make(name, refine=refine),
        torch.cat([ids, ids.flip(1)]),
        torch.cat([word_mask, torch.ones_like(ids)]),
    )
    seen = []
    model.encoder.visual.resnet.embedder.register_forward_hook(lambda _, __, out: seen.append(len(out)))
    with torch.no_grad():
        shared = model(frames, ids, word_mask)
        repeated = model(frames.repeat_interleave(2, 0), ids, word_mask)
    assert 2 * seen[0] == seen[1], "frames that two sentences share are encoded twice"
    for one, other in zip((shared.logits, *shared.aux_logits), (repeated.logits, *repeated.aux_logits), strict=True):
        assert one.shape[0] == 4 and torch.allclose(one, other, atol=1e-5)


@each
def test_clips_of_a_batch_do_not_meet(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    with torch.no_grad():
        together = model(frames, ids, word_mask).logits
        alone = torch.cat([model(*(x[k : k + 1] for x in (frames, ids, word_mask))).logits for k in (0, 1)])
    assert torch.allclose(together, alone, atol=1e-4)


@each
def test_gradients_reach_every_parameter_of_both_streams_and_of_the_idea(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    out = model(frames, ids, word_mask)
    (out.logits.square().mean() + sum(aux.square().mean() for aux in out.aux_logits)).backward()
    learning = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert len(learning) > 100 and all(".bert." in key for key, _ in model.named_parameters() if key not in learning)
    idle = [key for key, p in learning.items() if p.grad is None or not p.grad.any()]
    assert not idle, f"{idle} learn nothing"


@each
def test_a_short_training_on_one_clip_lowers_the_loss_by_more_than_half(name):
    config = preset("tiny", **{"train.dice_weight": 0.0})
    torch.manual_seed(0)
    model = MODELS[name](config.model)
    masks = torch.zeros(1, 32, 48)
    masks[:, 8:20, 10:30] = 1
    ids = torch.tensor([[2, 20, 30, 3]])
    batch = Batch(torch.randn(1, 3, 3, 32, 48), ids, torch.ones_like(ids), masks, [])
    optimizer, losses = MuonAdamW(parameter_groups(model, config)), []
    for _ in range(25):
        loss, _ = train_step(model, batch, config)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@each
def test_the_loop_that_trains_dtse_trains_it_and_its_weights_are_read_again(name, tmp_path):
    quick = {"train.steps": 1, "train.eval_samples": 1, "train.batch": 2, "data.size": (32, 48), "data.toy_clips": 4}
    quick["train.sentences"] = 2
    final = train(preset("tiny", out=str(tmp_path / "run"), **quick), False, make_model=MODELS[name])
    kept = load_file(final / "model.safetensors")
    for loaded in (MODELS[name].from_pretrained(final, strict=True), load_model(final, MODELS[name])):
        assert loaded.state_dict().keys() == kept.keys()
        assert all(torch.equal(loaded.state_dict()[key], kept[key]) for key in kept)
        assert loaded.config.saved_streams["text"]["hidden_size"] == 64


def test_a_run_starts_from_one_of_the_same_baseline_and_of_no_other(tmp_path):
    quick = {"train.steps": 1, "train.eval_samples": 1, "train.batch": 2, "data.size": (32, 48), "data.toy_clips": 4}
    quick |= {f"train.{name}": 0.0 for name in ("lr", "stream_lr", "gate_lr", "muon_lr", "weight_decay")}
    made = []

    def run(out: str, kind: type, start: str = "") -> Path:
        def make_model(config):
            made.append(kind(config))
            return made[-1]

        changes = quick | {"train.start": start and str(tmp_path / start)}
        return train(preset("tiny", out=str(tmp_path / out), **changes), False, make_model=make_model)

    one, two = (run(out, BASELINES["late_concat"], start) for out, start in (("one", ""), ("two", "one")))
    kept, found = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert kept.keys() == found.keys() and all(torch.equal(kept[key], found[key]) for key in kept)
    assert len(made) == 2 and made[1].training, "what is made is what learns"
    for kind in (BASELINES["one_way_fusion"], DTSE):
        said = f"does not hold the {kind.__name__} that .*; name a checkpoint of {kind.__name__}, or copy"
        with pytest.raises(ValueError, match=said):
            run("three", kind, "one")
    assert not (tmp_path / "three").exists()


@each
def test_streams_learn_at_the_rate_of_streams(name):
    config = preset("tiny", **{"train.optimizer": "adamw", "train.lr": 3.0, "train.stream_lr": 2.0})
    model = MODELS[name](config.model)
    rates = {id(p): group["lr"] for group in parameter_groups(model, config) for p in group["params"]}
    learning = {key: id(p) for key, p in model.named_parameters() if p.requires_grad}
    streams = {number for key, number in learning.items() if ".resnet." in key or ".bert." in key}
    assert (
        rates.keys() == {*learning.values()}
        and {rates[key] for key in streams} == {2.0}
        and {rates[key] for key in rates if key not in streams} == {3.0}
    )


def table() -> dict[str, int]:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    return {name: int(n.replace(",", "")) for name, n in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.M)}


def test_the_table_of_parameters_is_that_of_the_models():
    models = {"dtse": DTSE, **BASELINES}
    assert table() == {name: parameters(model(small())) for name, model in models.items()}


@each
def test_a_baseline_is_about_as_large_as_dtse_or_larger_and_says_so(name):
    """To shrink a rival after its scores were seen would favor DTSE, so it may be larger."""
    count, said = parameters(make(name)), MODELS[name].__doc__
    assert 0.8 < count / table()["dtse"] < 1.4
    assert f"Parameters at `tiny`: {count:,}" in said
    assert all(field in said for field in ("Source:", "Simplified:", "Sees ", " = "))


# ------------------------------------------------------------------------- what makes each idea what it is


def visual_features(model, frames, ids, word_mask) -> list[torch.Tensor]:
    """What leaves each stage of the visual stream."""
    seen = []
    hooks = [
        stage.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
        for stage in model.encoder.visual.resnet.encoder.stages
    ]
    with torch.no_grad():
        model(frames, ids, word_mask)
    for hook in hooks:
        hook.remove()
    return seen


def last_words(model, frames, ids, word_mask) -> torch.Tensor:
    """What leaves the last layer of the text stream."""
    seen = []
    layer = model.encoder.text.bert.encoder.layer[-1]
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        model(frames, ids, word_mask)
    hook.remove()
    return seen[-1]


GUIDED = {"one_way_fusion": (4, 5), "temporal_duplex": (4, 5)}  # stages that see what the sentence changed


@each
def test_the_sentence_reaches_the_visual_stream_in_fusing_encoders_alone(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    one = visual_features(model, frames, ids, word_mask)
    other = visual_features(model, frames, ids.flip(0), word_mask.flip(0))
    changed = [n for n, a, b in zip((2, 3, 4, 5), one, other, strict=True) if not torch.equal(a, b)]
    assert changed == list(GUIDED.get(name, ()))


@each
def test_words_never_see_pixels_inside_the_text_stream(name, inputs):
    frames, ids, word_mask = inputs
    model = make(name)
    assert torch.equal(last_words(model, frames, ids, word_mask), last_words(model, frames + 1, ids, word_mask))


def test_dtse_differs_from_every_baseline_in_that_its_words_see_pixels(inputs):
    frames, ids, word_mask = inputs
    torch.manual_seed(0)
    model = DTSE(small()).eval()
    assert not torch.equal(last_words(model, frames, ids, word_mask), last_words(model, frames + 1, ids, word_mask))


def test_late_concat_knows_the_sentence_by_its_mean_alone(inputs):
    frames, ids, word_mask = inputs
    model = make("late_concat")
    with torch.no_grad():
        before = model(frames, ids, word_mask).logits
        read = model.encoder.read
        model.encoder.read = lambda *a: (torch.full_like(read(*a)[0], float("nan")), read(*a)[1])
        assert torch.equal(model(frames, ids, word_mask).logits, before)


def test_filters_answer_as_a_loop_over_positions_does():
    V, filters = torch.randn(2, 5, 3, 4), torch.randn(2, 5)
    expected = torch.empty(2, 3, 4)
    for b in range(2):
        for i in range(3):
            for j in range(4):
                expected[b, i, j] = sum(V[b, c, i, j] * filters[b, c] for c in range(5))
    assert torch.allclose(apply_filters(V, filters), expected, atol=1e-6)


def test_the_sentence_of_sentence_filters_is_in_the_filters_alone(inputs):
    frames, ids, word_mask = inputs
    model = make("sentence_filters")
    maps = []
    model.decoder.register_forward_hook(lambda _, __, out: maps.append(out))
    with torch.no_grad():
        for head in model.filter_heads:
            torch.nn.init.zeros_(head.weight)  # filters of the bias: the same for any sentence
        one, other = (model(frames[:1], ids[k : k + 1], word_mask[:1]).logits for k in (0, 1))
    assert torch.equal(one, other)
    assert [x.shape[1] for x in maps[0]] == [64, 64, 48, 32] and all(map(torch.equal, *maps))


def test_pair_attention_is_softmax_attention_over_pixel_and_word_pairs():
    torch.manual_seed(0)
    attend, T, (h, w), N, d = PairAttention(5, 4, 6, window=3), 3, (2, 3), 4, 6
    torch.nn.init.normal_(attend.frame_embedding)
    V, L = torch.randn(1, T, 5, h, w), torch.randn(1, N, 4)
    word_mask = torch.tensor([[1, 1, 1, 0]])
    with torch.no_grad():
        found = attend(V, L, word_mask, current=1)[0]  # (d, h, w)
        place = with_place(V[0])  # (T, C + 8, h, w)
        pair = {
            (t, i, j, n): torch.cat([place[t, :, i, j] + attend.frame_embedding[t], L[0, n]])
            for t in range(T)
            for i in range(h)
            for j in range(w)
            for n in range(3)
        }  # the fourth word is padding

        def project(pairs, x):
            return torch.cat([pairs.of_pixel.weight, pairs.of_word.weight], 1) @ x + pairs.of_pixel.bias

        asked, told = ({key: project(p, x).chunk(2) for key, x in pair.items()} for p in (attend.asks, attend.tells))
        for i in range(h):
            for j in range(w):
                total = torch.zeros(d)
                for n in range(3):
                    q, x = asked[1, i, j, n]
                    share = torch.stack([q @ k / d**0.5 for k, _ in told.values()]).softmax(0)
                    total += x + attend.output(sum(a * v for a, (_, v) in zip(share, told.values(), strict=True)))
                assert torch.allclose(found[:, i, j], total / 3, atol=1e-5)


def test_one_way_fusion_reads_the_whole_sentence_before_the_first_insertion(inputs):
    """No layer of text runs after a pixel was seen."""
    order, model = [], make("one_way_fusion")
    model.encoder.text.bert.encoder.layer[-1].register_forward_hook(lambda *_: order.append("words"))
    for n, guide in model.guide.items():
        guide.register_forward_hook(lambda *_, n=n: order.append(n))
    with torch.no_grad():
        model(*inputs)
    assert order == ["words", "3", "4", "5"]


@torch.no_grad()
def test_in_one_way_fusion_a_pixel_is_told_the_sentence_beside_the_words_that_it_reads():
    """`V + W CBR([m ; e ; m * e])` with attention written out; the same words with another sentence vector differ."""
    guide = make("one_way_fusion").guide["3"]
    C, D = guide.back.out_channels, guide.key.in_features
    V, L, word_mask = torch.randn(2, C, 3, 4), torch.randn(2, 5, D), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    answers = []
    for s in (torch.randn(2, D), torch.randn(2, D)):
        place = coordinates(3, 4, like=V).expand(2, -1, -1, -1)  # (B, 8, h, w)
        m = guide.mix(torch.cat([V, place, s[:, :, None, None].expand(-1, -1, 3, 4)], 1))  # (B, d, h, w)
        e = torch.zeros_like(m)
        for b in range(2):
            words = L[b, : word_mask[b].sum()]  # (N, D)
            for i in range(3):
                for j in range(4):
                    a = (guide.key(words) @ guide.query(m[b, :, i, j]) / m.shape[1] ** 0.5).softmax(0)  # (N,)
                    e[b, :, i, j] = a @ guide.value(words)
        answers.append(guide(V, L, s, word_mask))
        assert torch.allclose(answers[-1], V + guide.back(guide.fuse(torch.cat([m, e, m * e], 1))), atol=1e-5)
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_motion_reaches_appearance_over_the_words_alone(inputs):
    frames, ids, word_mask = inputs
    model = make("temporal_duplex")
    for bridge in (*model.to_appearance.values(), *model.to_motion.values()):
        torch.nn.init.zeros_(bridge.value.weight)  # words carry nothing of the other branch
    moved = frames.clone()
    moved[:, 0] += 1
    one, other = (visual_features(model, x, ids, word_mask) for x in (frames, moved))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))
    for bridge in model.to_appearance.values():
        torch.nn.init.normal_(bridge.value.weight)
    one, other = (visual_features(model, x, ids, word_mask) for x in (frames, moved))
    assert (one[3] - other[3]).abs().max() > 1e-2


def test_changes_are_later_minus_earlier():
    frames = torch.tensor([3.0, 5.0, 9.0]).view(1, 3, 1, 1, 1).expand(1, 3, 3, 2, 2)
    assert frame_changes(frames, 1)[0, :, 0, 0, 0].tolist() == [2.0, 4.0]
    assert frame_changes(frames, 2)[0, :, 0, 0, 0].tolist() == [6.0, 4.0]
    assert frame_changes(frames[:, :1], 0).shape == (1, 1, 3, 2, 2) and not frame_changes(frames[:, :1], 0).any()


def test_the_transformer_s_mask_is_the_mean_of_the_queries_masks_by_their_scores():
    model = make("query_transformer")
    Q, D2 = torch.randn(2, 10, 64), torch.randn(2, 32, 3, 4)
    with torch.no_grad():
        masks = torch.stack(
            [
                (model.kernel_heads(Q)[:, q, :-1, None, None] * D2).sum(1) + model.kernel_heads(Q)[:, q, -1, None, None]
                for q in range(10)
            ],
            1,
        )  # (B, queries, h, w)
        expected = (model.score_heads(Q).softmax(1)[..., None] * masks).sum(1)  # (B, h, w)
        assert torch.allclose(model.draw(Q, D2), expected, atol=1e-5)


def test_words_and_pixels_of_all_frames_are_one_sequence_in_the_transformer(inputs):
    model, lengths = make("query_transformer"), []
    model.reads[0].register_forward_hook(lambda _, args, __: lengths.append(args[0].shape[1]))
    with torch.no_grad():
        model(*inputs)
    assert lengths == [3 * (32 // 16) * (48 // 16) + 6]


@torch.no_grad()
def test_frames_meet_in_the_carried_queries_alone(inputs):
    frames, ids, word_mask = inputs
    model, moved = make("query_memory"), frames.clone()
    moved[:, [0, 2]] += 1
    assert (model(frames, ids, word_mask).logits - model(moved, ids, word_mask).logits).abs().max() > 1e-4
    for carry in (model.carry_on, model.carry_back):
        torch.nn.init.zeros_(carry.weight)
    assert torch.equal(model(frames, ids, word_mask).logits, model(moved, ids, word_mask).logits)


@torch.no_grad()
def test_queries_go_from_both_ends_of_the_window_to_the_current_frame_and_keep_their_place():
    """Written out for the memory of two frames; queries in another order give the same mask."""
    model, order = make("query_memory", window=5), []
    frames, ids = torch.randn(1, 5, 3, 32, 48), torch.tensor([[2, 20, 30, 3]])
    asked = model.asks[0].register_forward_hook(lambda _, given, __: order.append(given[1][0, 0]))
    encoded = []
    model.norm_E.register_forward_hook(lambda _, __, out: encoded.append(out))
    logits = model(frames, ids, torch.ones_like(ids)).logits
    asked.remove()
    assert [next(t for t in range(5) if torch.equal(encoded[0][t, 0], one)) for one in order] == [0, 1, 4, 3, 2]

    E, M, carry = encoded[0][None], torch.zeros(10, 64), model.carry_on
    for t in (0, 1):
        Q = (model.query_embedding + M)[None]
        for layer in model.asks:
            Q = layer(Q, E[:, t])
        M = carry(model.norm_Q(Q)[0])
    padding = torch.zeros(E.shape[:3], dtype=torch.bool)
    assert torch.allclose(model.follow([0, 1], carry, E, padding)[0], M, atol=1e-5)
    assert not model.follow([], carry, E, padding).any()

    model.query_embedding.copy_(model.query_embedding.flip(0))
    assert torch.allclose(model(frames, ids, torch.ones_like(ids)).logits, logits, atol=1e-5)
    model.query_embedding[0] = torch.randn(64)
    assert (model(frames, ids, torch.ones_like(ids)).logits - logits).abs().max() > 1e-4


def stepped(model, config, words: int = 6) -> torch.nn.Module:
    """The model after three large steps on noise."""
    optimizer = MuonAdamW(parameter_groups(model, config))
    for _ in range(3):
        ids = torch.randint(5, 200, (2, words))
        batch = Batch(torch.randn(2, 3, 3, 32, 48), ids, torch.ones_like(ids), torch.ones(2, 32, 48), [])
        train_step(model, batch, config)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@pytest.fixture
def folder(tmp_path) -> str:
    """A text stream with weights of its own, as benchmarks/pretrain.py writes it."""
    torch.manual_seed(7)
    LinguisticStream("tiny-bert").bert.save_pretrained(tmp_path / "words")
    return str(tmp_path / "words")


def test_a_frozen_encoder_has_the_weights_of_its_folder_before_and_after_training(folder):
    config = preset("tiny", **{"model.text": folder, "train.muon_lr": 0.1})
    model, kept = BASELINES["frozen_text"](config.model), load_file(f"{folder}/model.safetensors")
    for trained in (False, True):
        if trained:
            stepped(model, config)
        found = model.encoder.text.bert.state_dict()
        assert all(torch.equal(found[key], weight) for key, weight in kept.items()) and len(kept) > 40
    fresh = BASELINES["frozen_text"](config.model)
    before, after = ([adapt[1].weight for adapt in m.encoder.adapters] for m in (fresh, model))
    assert not any(map(torch.equal, before, after)) and len(after) == 3


def test_a_frozen_encoder_is_read_from_a_checkpoint_when_its_folder_is_gone(folder, tmp_path):
    model = make("frozen_text", text=folder)
    model.save_pretrained(tmp_path / "checkpoint")
    shutil.rmtree(folder)
    found = BASELINES["frozen_text"].from_pretrained(tmp_path / "checkpoint", strict=True).state_dict()
    assert all(torch.equal(found[key], weight) for key, weight in model.state_dict().items())


@torch.no_grad()
def test_adapters_begin_next_to_the_identity_and_their_words_are_written_out(folder, inputs):
    _, ids, word_mask = inputs
    encoder = make("frozen_text", text=folder).encoder
    plain, (adapted, s) = encoder.text(ids, word_mask), encoder.read(ids, word_mask)
    assert 0 < (adapted - plain).abs().max() < 0.05
    for adapt in encoder.adapters:
        torch.nn.init.normal_(adapt[3].weight)
    L = encoder.text.embed(ids)
    for k, adapt in enumerate(encoder.adapters):
        L = encoder.text.layers(L, word_mask, k, k + 1)
        normed = torch.nn.functional.layer_norm(L, (64,), adapt[0].weight, adapt[0].bias)
        L = L + adapt[3](torch.nn.functional.gelu(adapt[1](normed)))
    adapted, s = encoder.read(ids, word_mask)
    assert torch.allclose(adapted, L, atol=1e-5) and torch.allclose(s[1], L[1, :4].mean(0), atol=1e-5)
    assert (adapted - plain).abs().max() > 0.5


def test_joined_frames_of_a_still_clip_are_a_function_of_one_frame():
    torch.manual_seed(0)
    join = JoinFrames(4, 8, small())
    still = torch.randn(2, 1, 4, 6, 6).expand(-1, 3, -1, -1, -1)
    with torch.no_grad():
        join.change[0].weight[:, 8:] = torch.randn(8, 16, 3, 3)  # weights of the changes
        one = join(still, 1)
        join.change[0].weight[:, 8:] = 0
        assert torch.allclose(join(still, 1), one, atol=1e-6)


def test_the_current_frame_keeps_its_place_in_a_completed_window():
    frames, expected = (
        torch.arange(5.0).view(1, 5, 1, 1, 1),
        {
            (False, 1): [0, 0, 0, 0, 0],
            (False, 3): [1, 0, 1, 2, 1],
            (False, 5): [0, 1, 2, 3, 4],
            (True, 1): [0, 0, 0, 0, 0],
            (True, 3): [2, 2, 0, 1, 2],
        },
    )
    for (causal, given), window in expected.items():
        found, index = whole_window(frames[:, :given], small(window=5, causal=causal))
        assert index == (4 if causal else 2) and found.flatten().tolist() == window


def test_the_experiment_says_where_baselines_are_to_be_had(monkeypatch, request):
    cells = json.loads((request.config.rootpath / "notebooks/experiment.ipynb").read_text(encoding="utf-8"))["cells"]
    (cell,) = [text for cell in cells if "import BASELINES" in (text := "".join(cell["source"]))]
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "benchmarks", None)  # what importing meets outside of a checkout
    with pytest.raises(ValueError, match="no model 'late_concat' here.*in a checkout, or set MODEL"):
        exec(cell, {"MODEL": "late_concat"})
