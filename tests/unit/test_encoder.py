"""The interleaved encoder: the order of its steps, what each stream hears when, and its two shared prefixes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.config import preset
from dtse_core.encoder import InterleavedEncoder, text_groups

STAGES = [(3, 4, 5), (4,), (2, 5), (5,), (2, 3, 4, 5), ()]


def make(**changes) -> InterleavedEncoder:
    torch.manual_seed(0)
    small = {"model.vlmg_width": 16, "model.vlmg_heads": 2}
    return InterleavedEncoder(preset("tiny", **small, **{f"model.{k}": v for k, v in changes.items()}).model).eval()


def inputs(B=2, N=7, H=40, W=56, words=None):
    g = torch.Generator().manual_seed(0)
    frames, ids = torch.randn(B, 3, H, W, generator=g), torch.randint(0, 256, (B, N), generator=g)
    return frames, ids, (torch.arange(N) < torch.tensor(words or [N] * B)[:, None]).long()


@given(depth=st.integers(0, 24), insertions=st.integers(1, 4))
def test_text_groups_cut_all_layers_into_even_runs_the_longer_first(depth, insertions):
    groups = text_groups(depth, insertions)
    assert len(groups) == insertions
    assert [layer for start, stop in groups for layer in range(start, stop)] == list(range(depth))
    sizes = [stop - start for start, stop in groups]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1
    last = text_groups(depth, insertions, "last")
    assert last[0] == (0, depth) and all(start == stop for start, stop in last[1:])


def test_the_encoder_is_its_equations():
    encoder, (frames, ids, word_mask) = make(), inputs(words=[7, 4])
    visual, text, expected = encoder.visual, encoder.text, {}
    L, V = text.embed(ids), visual.stage(2, visual.stem(frames))
    expected[2] = V
    for k, stage in enumerate((3, 4, 5)):  # tiny-bert has three layers: one a group
        L, V = text.layers(L, word_mask, k, k + 1), visual.stage(stage, V)
        V, L, _ = encoder.vlmg[str(stage)](V, L, word_mask)
        expected[stage] = V
    out = encoder(frames, ids, word_mask)
    for stage in (2, 3, 4, 5):
        torch.testing.assert_close(out.features[stage], expected[stage])
    torch.testing.assert_close(out.words, L)
    torch.testing.assert_close(out.sentence, torch.stack([L[0].mean(0), L[1, :4].mean(0)]))
    assert out.maps == {}, "maps come on request"
    maps = encoder(frames, ids, word_mask, return_maps=True).maps
    assert sorted(maps) == [3, 4, 5] and maps[3].words.shape == (2, 5 * 7, 7)


@pytest.mark.parametrize("stages", STAGES, ids=str)
def test_zero_gates_leave_both_library_models_as_they_are(stages):
    encoder, (frames, ids, word_mask) = make(vlmg_stages=stages, gate_init=0.0), inputs(words=[7, 3])
    with torch.no_grad():
        out = encoder(frames, ids, word_mask)
        visual = encoder.visual.resnet(frames, output_hidden_states=True).hidden_states
        text = encoder.text.bert(input_ids=ids, attention_mask=word_mask).last_hidden_state
    for stage in (2, 3, 4, 5):
        torch.testing.assert_close(out.features[stage], visual[stage - 1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.words, text, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("levels", ["hierarchical", "last"])
@pytest.mark.parametrize("stages", STAGES, ids=str)
def test_a_changed_word_reaches_vision_at_the_first_insertion_and_not_before(stages, levels):
    encoder, (frames, ids, word_mask) = make(vlmg_stages=stages, text_levels=levels), inputs()
    other = ids.clone()
    other[:, 3] += 1
    with torch.no_grad():
        one, two = encoder(frames, ids % 255, word_mask), encoder(frames, other % 255, word_mask)
    for stage in (2, 3, 4, 5):
        heard = bool(stages) and stage >= stages[0]
        assert torch.equal(one.features[stage], two.features[stage]) != heard, f"Res{stage}"


@pytest.mark.parametrize("stages", STAGES[:-1], ids=str)
def test_gradient_reaches_both_streams_at_every_insertion(stages):
    """Each insertion alone (the other gates at zero) carries gradient from vision to text and back."""
    for stage in stages:
        encoder, (frames, ids, word_mask) = make(vlmg_stages=stages, gate_init=0.0), inputs(B=1)
        block = encoder.vlmg[str(stage)]
        block.gate_V.data.fill_(1)
        block.gate_L.data.fill_(1)
        out = encoder(frames, ids, word_mask)
        words = encoder.text.bert.embeddings.word_embeddings.weight
        (grad,) = torch.autograd.grad(out.features[5].square().mean(), words, retain_graph=True)
        assert grad.any(), f"vision does not learn from words at Res{stage}"
        stem = next(encoder.visual.parameters())
        (grad,) = torch.autograd.grad(out.words.square().mean(), stem)
        assert grad.any(), f"words do not learn from vision at Res{stage}"


@settings(max_examples=6)
@given(H=st.integers(9, 70), W=st.integers(9, 70), stages=st.sampled_from(STAGES), data=st.data())
def test_shared_prefixes_give_what_each_pair_gives_alone(H, W, stages, data):
    """Two frames and three sentences: each frame seen once, each sentence read once, all pairs interleaved."""
    words = data.draw(st.lists(st.integers(1, 6), min_size=3, max_size=3))
    encoder = make(vlmg_stages=stages)
    frames, ids, word_mask = inputs(2)[0], *inputs(3, 6, words=words)[1:]
    with torch.no_grad():
        L = encoder.read_sentence(ids, word_mask)
        for frame in frames[:, None]:
            seen = {n: V.expand(3, -1, -1, -1) for n, V in encoder.see_frame(frame).items()}
            together = encoder.interleave(seen, L, word_mask)
            for k in range(3):
                alone = encoder(frame, ids[k : k + 1, : words[k]], word_mask[k : k + 1, : words[k]])
                for n in (2, 3, 4, 5):
                    torch.testing.assert_close(together.features[n][k], alone.features[n][0], atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(together.sentence[k], alone.sentence[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("stages", STAGES, ids=str)
def test_stopping_after_a_stage_and_continuing_with_one_frame_changes_nothing(stages, n):
    encoder, (frames, ids, word_mask) = make(vlmg_stages=stages), inputs(words=[7, 4])
    with torch.no_grad():
        L = encoder.read_sentence(ids, word_mask)
        half = encoder.interleave(encoder.see_frame(frames, n), L, word_mask, True, last=n)
        now = {k: V[1:] for k, V in half.features.items()}
        rest = encoder.interleave(now, half.words[1:], word_mask[1:], True, first=n + 1)
        alone = encoder(frames[1:], ids[1:], word_mask[1:], True)
    assert max(half.features) == n and sorted([*half.maps, *rest.maps]) == list(stages)
    for found, expected in zip(
        [*rest.features.values(), *rest[1:3]], [*alone.features.values(), *alone[1:3]], strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_prefixes_end_where_the_first_insertion_begins():
    frames, ids, word_mask = inputs()
    for stages in STAGES:
        encoder = make(vlmg_stages=stages)
        assert sorted(encoder.see_frame(frames)) == list(range(2, (stages[0] if stages else 5) + 1))
        layers = encoder.groups[0][1]
        expected = encoder.text.layers(encoder.text.embed(ids), word_mask, 0, layers)
        torch.testing.assert_close(encoder.read_sentence(ids, word_mask), expected)
