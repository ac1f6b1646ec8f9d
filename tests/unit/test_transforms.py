"""Resizing keeps frame and mask aligned; a mirror swaps left and right, in pixels and in words."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dtse_core.data.clip import ReferringClip
from dtse_core.data.transforms import MEAN, STD, flip_clip, resize_frames, resize_mask, swap_left_right


def random_frames(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def make_clip(expression="the dog on the left", twin=True):
    rng = np.random.default_rng(0)
    return ReferringClip(
        frames=random_frames(3, 12, 17),
        current=1,
        mask=rng.random((12, 17)) > 0.5,
        expression=expression,
        video_id="clip",
        frame_id=7,
        instance_id="2",
        evidence="position",
        twin_mask=rng.random((12, 17)) > 0.5 if twin else None,
    )


def test_at_its_own_size_a_frame_is_only_normalized():
    frames = random_frames(2, 5, 7)
    x = resize_frames(frames, (5, 7))
    assert x.shape == (2, 3, 5, 7) and x.dtype == torch.float32
    for t, c, i, j in np.ndindex(2, 3, 5, 7):
        assert abs(x[t, c, i, j].item() - (frames[t, i, j, c] / 255 - MEAN[c]) / STD[c]) < 1e-5


@pytest.mark.parametrize("size", [(16, 24), (31, 20), (90, 70)], ids=["smaller", "squeezed", "larger"])
def test_resizing_agrees_with_pillow(size):
    frames = random_frames(2, 47, 61)
    x = resize_frames(frames, size)
    for t in range(2):
        for c in range(3):  # Pillow's bilinear filter is antialiased too; it works on single channels in floats
            channel = Image.fromarray(frames[t, ..., c].astype(np.float32))
            expected = np.asarray(channel.resize(size[::-1], Image.Resampling.BILINEAR))
            assert np.abs((x[t, c].numpy() * STD[c] + MEAN[c]) * 255 - expected).max() < 0.1


@given(st.integers(4, 40), st.integers(4, 40), st.integers(4, 40), st.integers(4, 40), st.integers(0, 99))
def test_frame_and_mask_stay_aligned(height, width, new_height, new_width, seed):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    painted = np.repeat(mask[None, ..., None], 3, -1).astype(np.uint8) * 255  # a frame that shows its own mask
    frame = resize_frames(painted, (new_height, new_width))[0, 0] * STD[0] + MEAN[0]
    target = resize_mask(mask, (new_height, new_width))
    assert target.shape == (new_height, new_width) and target.dtype == torch.float32
    assert target.min() >= 0 and target.max() <= 1
    assert torch.allclose(frame, target, atol=1e-4)


def test_halving_a_mask_keeps_its_area():
    mask = np.zeros((32, 48), bool)
    mask[7:19, 10:31] = True
    assert abs(resize_mask(mask, (16, 24)).mean().item() - mask.mean()) < 1e-6
    assert np.array_equal(resize_mask(mask, (32, 48)).numpy(), mask)


def test_unusual_memory_layouts_are_welcome():
    frames = random_frames(2, 12, 16)
    readonly = frames.copy()
    readonly.flags.writeable = False
    expected = resize_frames(frames, (6, 8))
    assert torch.equal(resize_frames(readonly, (6, 8)), expected)
    assert torch.equal(resize_frames(frames[:, :, ::-1], (6, 8)), resize_frames(frames[:, :, ::-1].copy(), (6, 8)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("the bright car on the right", "the bright car on the left"),
        ("leftmost man, right of the left tree", "rightmost man, left of the right tree"),
        ("left-hand side / righthand lane / rightwards", "right-hand side / lefthand lane / leftwards"),
        ("upright, brightly, copyright, leftover, lefty", "upright, brightly, copyright, leftover, lefty"),
        ("dog left behind", "dog right behind"),  # known: only a reader could tell
        ("leftside man, Rightside? the LEFT-SIDE", "rightside man, Leftside? the RIGHT-SIDE"),
        ("sidelefts, leftsides, rightsided", "sidelefts, leftsides, rightsided"),
        ("moving leftward; Left? RIGHT!", "moving rightward; Right? LEFT!"),
        ("leftmosts, righthanded, right's", "leftmosts, righthanded, left's"),
    ],
)
def test_left_and_right_are_swapped_as_whole_words(before, after):
    assert swap_left_right(before) == after
    assert swap_left_right(after) == before


WORDS = st.sampled_from(
    ["left", "right", "leftmost", "rightwards", "righthand", "bright", "Left", "RIGHT", "y", "-", "'"]
)


@given(st.text() | st.lists(WORDS).map(" ".join) | st.lists(WORDS).map("".join))
def test_swapping_twice_gives_the_sentence_back(sentence):
    assert swap_left_right(swap_left_right(sentence)) == sentence


def test_a_flip_mirrors_frames_masks_and_words_together():
    clip = make_clip()
    flipped = flip_clip(clip)
    for t, i, j in np.ndindex(3, 12, 17):
        assert np.array_equal(flipped.frames[t, i, j], clip.frames[t, i, 16 - j])
    for i, j in np.ndindex(12, 17):
        assert flipped.mask[i, j] == clip.mask[i, 16 - j] and flipped.twin_mask[i, j] == clip.twin_mask[i, 16 - j]
    assert flipped.expression == "the dog on the right"
    assert (flipped.current, flipped.sample_id, flipped.evidence) == (1, clip.sample_id, "position")


def test_flipping_twice_gives_the_clip_back():
    clip = make_clip()
    twice = flip_clip(flip_clip(clip))
    assert all(np.array_equal(getattr(twice, n), getattr(clip, n)) for n in ("frames", "mask", "twin_mask"))
    assert twice.expression == clip.expression
    assert flip_clip(make_clip(twin=False)).twin_mask is None


def test_resizing_and_flipping_commute():
    clip = make_clip()
    a = resize_frames(flip_clip(clip).frames, (8, 10))
    b = resize_frames(clip.frames, (8, 10)).flip(-1)
    assert torch.allclose(a, b, atol=1e-5)
