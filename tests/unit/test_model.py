"""DTSE as a whole: every switch, streaming, batches, odd sizes, low precision, export, bad input, parameters."""

import dataclasses
import os
import re
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dtse_core.config import ModelConfig, preset
from dtse_core.layers import folded
from dtse_core.lmdf import LMDF
from dtse_core.model import DTSE
from dtse_core.streams import ARCHITECTURES
from dtse_core.vlmg import VLMG

SMALL = {
    "model.vlmg_width": 16,
    "model.vlmg_heads": 2,
    "model.lmdf_width": 8,
    "model.filtered_width": 8,
    "model.widths": (8, 16, 16),
}


def make(seed=0, **changes) -> DTSE:
    torch.manual_seed(seed)
    model = DTSE(preset("tiny", **SMALL | {f"model.{k}": v for k, v in changes.items()}).model).eval()
    if model.refinement:  # a new one adds nothing
        torch.nn.init.normal_(model.refinement.heads.weight)
    return model


def inputs(B=2, T=3, H=32, W=48, N=6, words=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    frames, ids = torch.randn(B, T, 3, H, W, generator=g), torch.randint(0, 256, (B, N), generator=g)
    return frames, ids, (torch.arange(N) < torch.tensor(words or [N] * B)[:, None]).long()


# with references, read to the end, before any insertion, not filtered, without, and with a look at the frame itself
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lmdf_stages": (3, 4, 5)},
        {"vlmg_stages": (5,)},
        {"filtered": "current"},
        {"lmdf": "off"},
        {"refine": 4},
    ],
    ids=str,
)
def test_sentences_about_one_window_answer_as_if_each_had_its_own(changes):
    model, (frames, ids, mask) = make(**changes), inputs(B=2)
    told, kept = torch.cat([ids, ids.flip(0), ids.flip(1)]), torch.cat([mask] * 3)  # three sentences a window
    found = model(frames, told, kept)
    alone = model(frames.repeat_interleave(3, 0), told, kept)
    assert torch.allclose(found.logits, alone.logits, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found.aux_logits, alone.aux_logits, strict=True))
    assert (found.logits[0] - found.logits[1]).abs().max() > 1e-3  # they do differ


# Every value of every switch; None stands for a setting that has no alternatives to try here.
SWITCHES = {
    "visual": None,
    "text": None,
    "pretrained": None,
    "saved_streams": None,
    "window": [1, 3, 5],
    "causal": [True, False],
    "vlmg_stages": [(), (2,), (5,), (3, 5), (2, 3, 4, 5)],
    "vlmg_width": [8],
    "vlmg_heads": [1, 4],
    "vlmg_bins": [(1,), (1, 3, 6, 8)],
    "vision_to_language": [True, False],
    "language_to_vision": [True, False],
    "text_levels": ["hierarchical", "last"],
    "gate_init": [0.0, 1.0],
    "lmdf_stages": [(3,), (4,), (5,), (3, 5), (3, 4, 5)],
    "lmdf": ["off", "static", "current_only", "full"],
    "lmdf_language": [True, False],
    "filtered": ["current", "reference"],
    "lmdf_width": [4],
    "filtered_width": [4],
    "filter_size": [1, 3, 5],
    "dilations": [(1,), (1, 3, 5), (2, 4)],
    "widths": [(4, 8, 12)],
    "refine": [0, 4],
    "norm": ["batch", "group"],
    "freeze_batch_norm": [True, False],
}


def test_the_list_of_switches_is_complete():
    assert list(SWITCHES) == [f.name for f in dataclasses.fields(ModelConfig)]


def test_hooks_see_every_layer_but_those_that_their_files_name():
    model, called = make(), set()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    frames, ids, word_mask = inputs()
    model(frames, ids, word_mask)
    weighted = {name for name, module in model.named_modules() if list(module.parameters(recurse=False))}
    unseen = {name.rpartition(".")[2] for name in weighted - called}
    assert unseen == {"W_q", "Q_m", "Q_e", "W_v", "W_f"}, "VLMG's gates belong to a module that is called"


def test_a_component_takes_its_settings_by_name():
    """Nine and thirteen numbers in a row would say nothing, and be swapped unnoticed."""
    for component, shape in ((VLMG, (6, 10)), (LMDF, (6, 8, 10))):
        component(*shape, width=8)
        with pytest.raises(TypeError, match="positional"):
            component(*shape, 8)


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("name,value", [(k, v) for k, values in SWITCHES.items() for v in values or ()], ids=str)
def test_every_switch_builds_and_learns_at_every_window(name, value, window):
    model = make(**{"window": window, name: value}).train()
    window = model.config.window
    frames, ids, word_mask = inputs(T=window, words=[6, 4])
    out = model(frames, ids, word_mask)
    assert out.logits.shape == (2, 32, 48) and [x.shape[1:] for x in out.aux_logits] == [(2, 3), (2, 3), (4, 6)]
    sum(x.square().mean() for x in (out.logits, *out.aux_logits)).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert all(g.isfinite().all() for g in grads.values())
    for part in ("encoder.visual", "encoder.vlmg", "lmdf", "decoder"):
        own = [n for n, _ in model.named_parameters() if n.startswith(part)]
        assert not own or any(grads[n].any() for n in own if n in grads), f"{part} does not learn"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"causal": True},
        {"window": 5},
        {"window": 1},
        {"lmdf_stages": (3, 4, 5)},
        {"lmdf_stages": (4,), "vlmg_stages": (2, 5)},
        {"filtered": "current"},
        {"lmdf": "off"},
        {"refine": 4},
    ],
    ids=str,
)
def test_frames_remembered_one_by_one_give_what_windows_give(changes):
    """Streaming: each frame encoded once, for two sentences at once, against whole windows one by one."""
    model = make(**changes)
    T, window = 7, model.config.window
    frames, (ids, word_mask) = inputs(1, T)[0][0], inputs(2, 1, words=[6, 4])[1:]
    slot = window - 1 if model.config.causal else window // 2
    with torch.no_grad():
        L = model.encoder.read_sentence(ids, word_mask)
        kept = []
        for frame in frames[:, None]:
            seen = {n: V.expand(2, -1, -1, -1) for n, V in model.encoder.see_frame(frame).items()}
            shown = frame.expand(2, -1, -1, -1)
            kept.append(model.remember(shown, *model.encode(seen, L, word_mask)))
        for t in range(T):
            indices = [min(max(t + k - slot, 0), T - 1) for k in range(window)]
            references = [kept[i].reference for i in indices]
            del references[slot]
            streamed = model.decode(kept[indices[slot]], references, frames.shape[2:]).logits
            for k in range(2):
                whole = model(frames[indices][None], ids[k : k + 1], word_mask[k : k + 1]).logits
                torch.testing.assert_close(streamed[k], whole[0], atol=1e-5, rtol=1e-5)


@settings(max_examples=8)
@given(
    H=st.integers(1, 70),
    W=st.integers(1, 70),
    N=st.integers(1, 9),
    norm=st.sampled_from(["batch", "group"]),
    refine=st.sampled_from([0, 4]),
    d=st.data(),
)
def test_a_batch_of_sentences_on_one_clip_equals_one_by_one_at_odd_sizes(H, W, N, norm, refine, d):
    assume(norm == "batch" or max(H, W) > 16)  # torch refuses group norm on a map of one pixel for each group
    words = d.draw(st.lists(st.integers(1, N), min_size=3, max_size=3))
    model = make(norm=norm, refine=refine)
    frames, ids, word_mask = inputs(3, 3, H, W, N, words)
    frames = frames[:1].expand(3, -1, -1, -1, -1)
    with torch.no_grad():
        together = model(frames, ids, word_mask)
        assert together.logits.shape == (3, H, W)
        for k, n in enumerate(words):
            alone = model(frames[:1], ids[k : k + 1, :n], word_mask[k : k + 1, :n])
            torch.testing.assert_close(together.logits[k], alone.logits[0], atol=1e-5, rtol=1e-5)
            for one, other in zip(together.aux_logits, alone.aux_logits, strict=True):
                torch.testing.assert_close(one[k], other[0], atol=1e-5, rtol=1e-5)


def test_fewer_frames_than_the_window_are_completed_with_the_current_one():
    model = make()
    frames, ids, word_mask = inputs(T=1)
    with torch.no_grad():
        one = model(frames, ids, word_mask).logits
        three = model(frames.expand(-1, 3, -1, -1, -1), ids, word_mask).logits
    torch.testing.assert_close(one, three, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal,current", [(False, 1), (True, 2)])
def test_the_mask_is_that_of_the_middle_frame_or_of_the_last_when_causal(causal, current):
    model = make(causal=causal, lmdf="current_only")  # no other frame can be heard
    frames, ids, word_mask = inputs()
    with torch.no_grad():
        before = model(frames, ids, word_mask).logits
        for t in range(3):
            changed = frames.clone()
            changed[:, t] += 1
            assert torch.equal(model(changed, ids, word_mask).logits, before) == (t != current)


def test_a_refinement_looks_at_the_current_frame_alone():
    plain, model = make(lmdf="current_only"), make(lmdf="current_only", refine=4)
    frames, ids, word_mask = inputs()
    model.load_state_dict(model.state_dict() | plain.state_dict())
    with torch.no_grad():
        out, before = model(frames, ids, word_mask), plain(frames, ids, word_mask)
        changed = frames.clone()
        changed[:, ::2] += 1
        assert torch.equal(model(changed, ids, word_mask).logits, out.logits)
    assert all(torch.equal(a, b) for a, b in zip(out.aux_logits, before.aux_logits, strict=True))
    assert (out.logits - before.logits).abs().max() > 0.1


@pytest.mark.parametrize("causal,current", [(False, 1), (True, 2)])
def test_a_refinement_is_given_the_frame_that_is_asked_about(causal, current):
    model, given = make(causal=causal, refine=4), []
    model.refinement.register_forward_hook(lambda _, inputs, __: given.extend(inputs))
    frames, ids, word_mask = inputs()
    model(frames, ids, word_mask)
    assert torch.equal(given[1], frames[:, current])


def test_maps_of_the_current_frame_come_on_request():
    model, (frames, ids, word_mask) = make(), inputs(words=[6, 2])
    out = model(frames, ids, word_mask, return_maps=True)
    assert sorted(out.maps) == [3, 4, 5] and model(frames, ids, word_mask).maps == {}
    assert out.maps[3].words.shape == (2, 4 * 6, 6)
    assert (out.maps[3].words[1, :, 2:] == 0).all()
    with torch.no_grad():
        alone = model.encoder(frames[:, 1], ids, word_mask, return_maps=True).maps  # frame 1 is the current one
    for n, maps in out.maps.items():
        for found, expected in zip(maps, alone[n], strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stages,frames_read", [((3,), 2), ((4,), 6), ((3, 4, 5), 6)])
def test_references_are_encoded_as_far_as_lmdf_reads_them(stages, frames_read):
    model, (frames, ids, word_mask), read = make(lmdf_stages=stages), inputs(), {4: 0, 5: 0}
    stage = model.encoder.visual.stage

    def counting(number, V):
        read[number] = read.get(number, 0) + len(V)
        return stage(number, V)

    model.encoder.visual.stage = counting
    model(frames, ids, word_mask)
    assert read == {2: 6, 3: 6, 4: frames_read, 5: 6 if 5 in stages else 2}


def test_lmdf_reads_every_frame_as_the_first_insertion_leaves_it():
    """The model against the encoder run to the end on every frame, LMDF given what was seen on the way."""
    model, (frames, ids, word_mask), seen = make(), inputs(words=[6, 4]), []
    model.encoder.vlmg["3"].register_forward_hook(lambda _, __, out: seen.append(out[:2]))
    with torch.no_grad():
        expected = model(frames, ids, word_mask)
        seen.clear()
        ends = [model.encoder(frames[:, t], ids, word_mask) for t in range(3)]
        kept = word_mask[:, :, None].float()
        F = torch.stack([V for V, _ in seen], 1)  # (B, T, C, h, w)
        s = torch.stack([(L * kept).sum(1) / kept.sum(1) for _, L in seen], 1)  # (B, T, D)
        lmdf, end = model.lmdf["3"], ends[1]
        X, G = zip(*(lmdf.remember(F[:, t], s[:, t]) for t in range(3)), strict=True)
        U3 = lmdf.update(X[1], G[1], end.sentence, [(X[0], G[0]), (X[2], G[2])])
        U4, U5 = (model.lmdf[str(n)].reduce(end.features[n]) for n in (4, 5))
        *_, finest = model.decoder(U5, U4, U3, model.decoder.reduce_low(end.features[2]))
    found = torch.nn.functional.interpolate(finest[:, None], size=(32, 48), mode="bilinear")[:, 0]
    torch.testing.assert_close(found, expected.logits, atol=1e-5, rtol=1e-5)


# Logits of a random model lie within about 1. Bounds are twice what was seen over seeds: 8 bits of mantissa, and 11.
@pytest.mark.parametrize("how,bound", [("bf16 autocast", 0.06), ("bf16 weights", 0.1), ("fp16 weights", 0.02)])
def test_low_precision_stays_near_single_precision(how, bound):
    model, (frames, ids, word_mask) = make(), inputs()
    with torch.no_grad():
        exact = model(frames, ids, word_mask).logits
        if how == "bf16 autocast":
            with torch.autocast("cpu", torch.bfloat16):
                low = model(frames, ids, word_mask).logits
        else:
            dtype = torch.bfloat16 if how == "bf16 weights" else torch.float16
            low = model.to(dtype)(frames.to(dtype), ids, word_mask).logits
    assert low.isfinite().all() and (low.float() - exact).abs().max() < bound * exact.abs().max()
    assert how == "fp16 weights" or not torch.equal(low.float(), exact)


def test_the_inference_path_exports():
    model, (frames, ids, word_mask) = make(vlmg_stages=(4,), refine=4), inputs(B=1)
    with torch.no_grad():
        program = torch.export.export(model, (frames, ids, word_mask)).module()
        other = inputs(B=1, seed=1, words=[3])
        torch.testing.assert_close(program(*other).logits, model(*other).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"lmdf": "static", "refine": 4}, {"filtered": "current"}], ids=str)
def test_a_saved_model_gives_the_same_logits_and_builds_without_the_hub(tmp_path, changes):
    model = make(norm="batch", **changes)
    model.save_pretrained(tmp_path)
    again = DTSE.from_pretrained(tmp_path)
    assert not again.training and again.config == model.config and again.config.saved_streams
    assert torch.equal(again(*inputs()).logits, model(*inputs()).logits)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_saved_model_is_read_by_whom_the_umask_lets(tmp_path, umask):
    before = os.umask(umask)
    try:
        for _ in range(2):  # the second takes the place of the first
            make().save_pretrained(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("model.safetensors", "config.json", "README.md"), 0o666 & ~umask)


FRAMES, IDS = torch.zeros(2, 3, 3, 32, 32), torch.zeros(2, 5, dtype=torch.long)
BAD = {
    "frames must be floating point (B, T, 3, H, W); got torch.float32 (3, 3, 32, 32)": (FRAMES[0], IDS, IDS),
    "got torch.uint8 (2, 3, 3, 32, 32)": (FRAMES.byte(), IDS, IDS),
    "got torch.float32 (2, 3, 32, 32, 3)": (FRAMES.movedim(2, 4), IDS, IDS),
    "frames must hold T = 1 to 3 frames, this model's window; got 5": (torch.zeros(2, 5, 3, 32, 32), IDS, IDS),
    "this model's window; got 0": (FRAMES[:, :0], IDS, IDS),
    "input_ids must be integers (B, N) with B = 2 or a multiple; got torch.int64 (1, 5)": (FRAMES, IDS[:1], IDS[:1]),
    "with B = 2 or a multiple; got torch.float32 (2, 5)": (FRAMES, IDS.float(), IDS),
    "frames must hold B = 1 clip or more; got (0, 3, 3, 32, 32)": (FRAMES[:0], IDS[:0], IDS[:0]),
    "and N = 1 to 64; got (2, 65)": (FRAMES, *[torch.ones(2, 65, dtype=torch.long)] * 2),
    "and N = 1 to 64; got (2, 0)": (FRAMES, IDS[:, :0], IDS[:, :0]),
    "attention_mask must have input_ids' shape (2, 5); got (2, 4)": (FRAMES, IDS, IDS[:, :4]),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_names_the_argument_what_came_and_what_is_expected(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()(*BAD[message])


def test_the_table_of_parameters_is_true():
    """benchmarks/README.md lists the parameters of the paper preset; the new layers hold at most 12 million."""
    text = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text(encoding="utf-8")
    table = {name: int(n.replace(",", "")) for name, n in re.findall(r"^\| (\w[\w ]*?) \| ([\d,]+) \|$", text, re.M)}
    with torch.device("meta"):
        model = DTSE(preset("paper", **{"model.pretrained": False}).model)
    parts = {
        "visual stream": model.encoder.visual,
        "text stream": model.encoder.text,
        "VLMG": model.encoder.vlmg,
        "LMDF": model.lmdf,
        "decoder": model.decoder,
    }
    counted = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    counted["new layers"] = counted["VLMG"] + counted["LMDF"] + counted["decoder"]
    counted["all"] = sum(p.numel() for p in model.parameters())
    assert table == counted
    assert counted["new layers"] <= 12_000_000


@pytest.mark.parametrize("layers", ["basic", "bottleneck"])
def test_norms_folded_into_convolutions_change_no_answer_and_leave_the_model_as_it_is(layers, monkeypatch):
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [2, 1, 2, 1], "layer_type": layers}
    monkeypatch.setitem(ARCHITECTURES, "small", sizes)
    model = make(norm="batch", visual="small", lmdf_stages=(3, 4, 5))
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:  # as after a training
        for values, low, high in ((norm.running_var, 0.5, 2), (norm.running_mean, -1, 1), (norm.bias, -1, 1)):
            torch.nn.init.uniform_(values, low, high)
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    before = {name: (x, x.clone(), x.stride()) for name, x in model.state_dict(keep_vars=True).items()}
    with torch.inference_mode():
        expected = model(*inputs()).logits
        fast = folded(model.train())
        logits = fast(*inputs()).logits
    left = [name for name, m in fast.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert left == [f"encoder.vlmg.{n}.fuse_norm" for n in (3, 4, 5)] and len(norms) > 30
    assert (logits - expected).abs().max() < 3e-6 * expected.abs().max()
    assert model.training
    for name, x in model.state_dict(keep_vars=True).items():
        same, values, stride = before[name]
        assert x is same and torch.equal(x, values) and x.stride() == stride
    own = {id(p) for p in fast.parameters()} - {id(p) for p in model.parameters()}
    kernels = sum(isinstance(m, torch.nn.Conv2d) for m in fast.modules())
    assert kernels <= len(own) <= 2 * kernels  # the rest is shared
