"""The toy world: no leaks, no ambiguous sentence, the same pixels everywhere."""

import hashlib
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dtse_core.data.clip import EVIDENCE, window_indices
from dtse_core.data.toy.scene import CENTER, HELD_OUT, STEPS, TRAINING_MIX, Pose
from dtse_core.data.toy.world import SPLITS, WORDS, ToyWorld, render, video_id

MOVING = ("action", "direction")
KINDS = ("adult", "baby", "ball", "bird", "car", "cat", "dog")
COLORS = ("black", "blue", "green", "pink", "purple", "red", "white", "yellow")


def scenes(split, count, seed=1):
    world = ToyWorld(split=split, length=count, seed=seed)
    return [world.scene(k) for k in range(count)]


def twin_pairs(count, evidence):
    """(scene, first, second): the twins ordered by their motions, slower first, left before right."""
    for scene in scenes("twins", count, seed=2):
        if scene.sentences[0].evidence == evidence:
            numbers = {scene.sentences[0].instance, scene.sentences[0].twin}
            twins = [actor for actor in scene.actors if actor.instance in numbers]
            key = {"action": lambda a: abs(a.motion.vx) + abs(a.motion.vy), "direction": lambda a: a.motion.direction}
            yield scene, *sorted(twins, key=key[evidence])


# ------------------------------------------------------------------------- an oracle that reads sentences


SAID = {
    "size": {"small": "small|little", "big": "big|large"},
    "color": {color: color for color in COLORS},
    "action": {
        "climbing": "climbs|climbing",
        "crawling": "crawls|crawling",
        "eating": "eats|eating",
        "flying": "flies|flying",
        "jumping": "jumps|jumping",
        "rolling": "rolls|rolling",
        "running": "runs|running",
        "walking": "walks|walking",
    },
    "direction": {
        "left": "(to|towards) the left|leftwards",
        "right": "(to|towards) the right|rightwards",
        "up": "up|upwards",
        "down": "down|downwards",
    },
    "place": {
        "left": "leftmost|left|on the( far)? left( side)?",
        "right": "rightmost|right|on the( far)? right( side)?",
        "top": "topmost|upper|highest|top",
        "bottom": "lowest|lower|bottom",
        "middle": "middle|central|between the other two",
    },
    "relation": {
        "next to": "next to|beside|near",
        "above": "above|over",
        "under": "under|below",
        "behind": "behind",
        "in front of": "in front of",
    },
}


def read(text):
    """What a sentence says: {"kind": ..., "color": ..., ...}."""
    found = {}
    for part, values in SAID.items():
        hits = [value for value, pattern in values.items() if re.search(rf"\b({pattern})\b", text)]
        assert len(hits) <= 1, text
        if hits:
            found[part] = hits[0]
    if "direction" in found:
        found.pop("place", None)
    kinds = [word for word in text.split() if word in KINDS]
    found["kind"] = kinds[0]
    if "relation" in found:
        found["anchor"] = text.split()[-1]
    return found


def looks(said):
    return {part: said[part] for part in ("kind", "color", "size") if part in said}


def matching(scene, said, frame):
    """The instances of which, in `frame`, all that is said is true."""
    actors = [a for a in scene.actors if all(getattr(a, part) == value for part, value in looks(said).items())]
    for part in MOVING:
        actors = [a for a in actors if part not in said or getattr(a.motion, part) == said[part]]
    if "place" in said:
        axis, sign = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1), "middle": (0, 1)}[
            said["place"]
        ]
        order = sorted(actors, key=lambda a: sign * a.at(frame)[axis])
        actors = order[1:2] if said["place"] == "middle" and len(order) == 3 else order[:1]
        assert len(order) > 1
    if "relation" in said:
        (anchor,) = [
            thing for thing in (*scene.props, *scene.actors) if thing.kind == said["anchor"] and thing.depth > -3
        ]
        actors = [a for a in actors if stands(said["relation"], a, anchor, frame)]
    return [a.instance for a in actors]


def stands(how, actor, anchor, frame):
    """Read off the distance between middles: 1 is where two boxes touch; a quarter of a frame is far."""
    (a, b, c, d), (e, f, g, h) = actor.box(frame), anchor.box(frame)
    touch_x, touch_y = (c - a + g - e) / 2, (d - b + h - f) / 2
    dx, dy = (a + c - e - g) / 2, (b + d - f - h) / 2
    if how == "next to":
        return 0.7 * touch_x < abs(dx) < touch_x + 0.25 and abs(dy) < 0.9 * touch_y
    if how in ("above", "under"):
        return 0.7 * touch_y < abs(dy) < touch_y + 0.25 and abs(dx) < 0.7 * touch_x and (dy < 0) == (how == "above")
    inside = abs(dx) < 0.95 * touch_x and abs(dy) < 0.95 * touch_y
    return inside and (actor.depth < anchor.depth) == (how == "behind")


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_is_true_of_exactly_one_actor_in_every_annotated_frame(split):
    for scene in scenes(split, 200):
        for sentence in scene.sentences:
            for frame in scene.annotated:
                assert matching(scene, read(sentence.text), frame) == [sentence.instance], (scene.video_id, sentence)


def test_evidence_is_the_least_that_a_sentence_needs():
    for scene in [scene for split in SPLITS for scene in scenes(split, 150)]:
        for sentence in scene.sentences:
            said, frame = read(sentence.text), scene.annotated[0]
            kinds = {"place": "position", "relation": "relation", "action": "action", "direction": "direction"}
            named = [kinds[part] for part in said if part in kinds]
            assert (named[-1:] or ["appearance"]) == [sentence.evidence]
            alike = matching(scene, looks(said), frame)
            if sentence.evidence == "appearance":
                for part in set(said) - {"kind"}:  # each word is needed
                    assert len(matching(scene, {k: v for k, v in said.items() if k != part}, frame)) > 1
            else:  # looks do not suffice: somebody shares them all, words that were not said included
                by_number = {actor.instance: actor for actor in scene.actors}
                same = [by_number[k] for k in alike if k != sentence.instance]
                target = by_number[sentence.instance]
                assert any(
                    (a.color, a.size, a.skin, a.hair) == (target.color, target.size, target.skin, target.hair)
                    for a in same
                )


def test_sentences_without_motion_words_name_no_twin_and_the_others_do():
    for scene in scenes("test", 100):
        for sentence in scene.sentences:
            assert (sentence.twin > 0) == (sentence.evidence in MOVING)
            assert sentence.twin != sentence.instance


# ------------------------------------------------------------------------- twins


def test_exchanging_the_motions_of_twins_leaves_the_center_frame_as_it_is_and_changes_the_others():
    pairs = [*twin_pairs(30, "action"), *twin_pairs(30, "direction")]
    for scene, first, second in pairs:
        swap = {first.instance: second.motion, second.instance: first.motion}
        actors = tuple(replace(a, motion=swap.get(a.instance, a.motion)) for a in scene.actors)
        before = render(scene, [CENTER - 6, CENTER, CENTER + 6], 48, 72)
        after = render(replace(scene, actors=actors), [CENTER - 6, CENTER, CENTER + 6], 48, 72)
        for was, now in zip(before, after, strict=True):
            assert (was[1] == now[1]).all()
            assert (was[0] != now[0]).any() or (was[2] != now[2]).any()


def cues(actor):
    """All that one frame shows of an actor."""
    waves = [f(2 * np.pi * phase) for phase in actor.pose[3:] for f in (np.sin, np.cos)]
    x, y, tilt = actor.pose[:3]
    return [x, y, tilt, abs(x - 0.75), abs(y - 0.5), *waves, actor.facing, actor.height, actor.depth, actor.instance]


@pytest.mark.parametrize("evidence", MOVING)
def test_one_frame_does_not_tell_which_twin_has_which_motion(evidence):
    from scipy.stats import ks_2samp

    pairs = list(twin_pairs(3000, evidence))
    first, second = (np.array([cues(pair[k]) for pair in pairs]) for k in (1, 2))
    for a, b in zip(first.T, second.T, strict=True):
        assert ks_2samp(a, b).pvalue > 1e-4
    difference = np.concatenate([first - second, np.abs(first) - np.abs(second)], axis=1)  # a linear probe
    half = len(pairs) // 2
    weights = np.linalg.lstsq(difference[:half], np.ones(half), rcond=None)[0]
    assert 0.45 < (difference[half:] @ weights > 0).mean() < 0.55


def test_facing_does_not_follow_the_direction_of_twins():
    agree = [
        (a.motion.direction == "right") == (a.facing == 1) for _, *two in twin_pairs(2000, "direction") for a in two
    ]
    assert 0.46 < np.mean(agree) < 0.54


def test_twins_look_alike_and_the_words_choose_either():
    chosen = Counter()
    for evidence in MOVING:
        for scene, first, second in twin_pairs(300, evidence):
            for part in ("kind", "color", "size", "posture", "skin", "hair"):
                assert getattr(first, part) == getattr(second, part)
            assert first.motion != second.motion
            assert scene.annotated == (CENTER,)
    world = ToyWorld(split="twins", length=200, height=16, width=24)
    for k in range(len(world)):
        clip, sentences = world[k], world.scene(k).sentences
        assert clip.twin_mask is not None and not (clip.twin_mask & clip.mask).any()
        first = min(sentences[0].instance, sentences[0].twin)
        chosen[int(clip.instance_id) == first] += 1
    assert min(chosen.values()) > 70


def test_three_frames_tell_the_motions_of_twins_clearly_apart():
    for evidence in MOVING:
        for scene, first, second in twin_pairs(600, evidence):
            gap = 0.0
            for time in (-6, 6):
                a, b = (Pose(*actor.motion.delta(time)) for actor in (first, second))
                gap = max(gap, np.hypot(a.x - b.x, a.y - b.y), abs(a.tilt - b.tilt) / 6)
            assert gap > 0.07 * 1.5, (scene.video_id, first.motion, second.motion)


def test_limbs_do_not_look_the_same_six_frames_later():
    for frames in STEPS.values():
        assert 0.2 < 6 / frames % 1 < 0.8


# ------------------------------------------------------------------------- splits


def test_held_out_pairs_appear_only_with_the_targets_of_the_compositional_split():
    for split in SPLITS:
        for scene in scenes(split, 180):
            named = {sentence.instance for sentence in scene.sentences}
            for actor in scene.actors:
                pairs = {(actor.color, actor.kind), (actor.kind, actor.motion.action)}
                held_out = len(pairs & set(HELD_OUT))
                assert held_out == (split == "compositional" and actor.instance in named)
            if split == "compositional":
                for sentence in scene.sentences:
                    said = read(sentence.text)
                    assert {(said.get("color"), said["kind"]), (said["kind"], said.get("action"))} & set(HELD_OUT)


def test_kinds_of_evidence_have_their_shares():
    def count(split):
        world = ToyWorld(split=split, length=300)
        return Counter(world.scene(k).sentences[0].evidence for k in range(len(world)))

    assert count("val") == count("test") == {kind: 60 for kind in EVIDENCE}
    assert count("twins") == {"action": 150, "direction": 150}
    train = count("train")
    assert sum(TRAINING_MIX) == pytest.approx(1)
    for kind, share in zip(EVIDENCE, TRAINING_MIX, strict=True):
        assert abs(train[kind] - 300 * share) < 4 * (300 * share) ** 0.5


def test_words_are_exactly_those_that_sentences_use():
    used = {
        word for split in SPLITS for scene in scenes(split, 450) for s in scene.sentences for word in s.text.split()
    }
    assert used == set(WORDS)
    assert list(WORDS) == sorted(WORDS)


def test_splits_and_seeds_are_different_worlds():
    texts = {(split, seed): repr(scenes(split, 3, seed)) for split in ("train", "val", "test") for seed in (0, 1)}
    assert len(set(texts.values())) == len(texts)


def test_an_unknown_split_and_an_impossible_index_are_refused_by_name():
    with pytest.raises(ValueError, match="unknown split 'dev'.*train, val, test"):
        ToyWorld(split="dev")
    with pytest.raises(ValueError, match="seed is -1"):
        ToyWorld(seed=-1)
    with pytest.raises(IndexError, match="scene 3"):
        ToyWorld(length=3)[3]


@given(*(st.tuples(st.integers(0, 2**31 - 1), st.sampled_from(SPLITS), st.integers(0, 2**32 - 1)),) * 2)
def test_video_ids_look_like_youtubes_and_never_meet(one, other):
    names = video_id(*one), video_id(*other)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{11}", name) for name in names)
    assert (names[0] == names[1]) == (one == other)


# ------------------------------------------------------------------------- pixels


def test_a_clip_holds_the_window_around_its_current_frame():
    for settings in ({}, {"causal": True}, {"window": 1}, {"window": 5, "offset": 4}):
        world = ToyWorld(split="val", length=10, height=32, width=48, **settings)
        for k in range(len(world)):
            clip, scene = world[k], world.scene(k)
            wanted = settings.get("window", 3), settings.get("offset", 6), settings.get("causal", False)
            indices, current = window_indices(clip.frame_id, scene.length, *wanted)
            frames, ids = render(scene, indices, 32, 48)
            assert (clip.frames == frames).all() and clip.current == current
            assert (clip.mask == (ids[current] == int(clip.instance_id))).all() and clip.mask.any()
            assert clip.frame_id in scene.annotated and clip.video_id == scene.video_id
            assert (clip.expression, clip.evidence) in {(s.text, s.evidence) for s in scene.sentences}


def test_the_same_seed_draws_the_same_pixels_on_any_machine():
    digest = hashlib.sha256()
    for split in SPLITS:
        world = ToyWorld(split=split, length=16, seed=7, height=32, width=48)
        for k in range(len(world)):
            clip = world[k]
            assert (clip.frames == world[k].frames).all()
            digest.update(
                clip.frames.tobytes() + clip.mask.tobytes() + clip.expression.encode() + clip.video_id.encode()
            )
    assert digest.hexdigest()[:16] == "082fae8123359e61"


def test_ids_hold_the_instances_and_nothing_else():
    stray = []
    for scene in scenes("train", 20):
        frames, ids = render(scene, range(0, 25, 6), 32, 48)
        assert frames.dtype == ids.dtype == np.uint8 and frames.shape == (5, 32, 48, 3) and ids.shape == (5, 32, 48)
        assert set(np.unique(ids)) <= {0, *(actor.instance for actor in scene.actors)}
        bare, _ = render(replace(scene, actors=()), range(0, 25, 6), 32, 48)
        grown = F.max_pool2d(tensor(ids > 0).float(), 5, 1, 2).numpy() > 0
        stray.append(((bare != frames).any(-1) & ~grown).mean())
    assert np.mean(stray) < 1e-4  # outside the actors the picture is the background, but for a few edge pixels


def test_the_picture_is_the_same_at_every_size():
    for scene in scenes("val", 10):
        small, large = (render(scene, [CENTER], 64 * k, 96 * k)[1][0] for k in (1, 3))
        large = large[1::3, 1::3]
        for actor in scene.actors:
            a, b = small == actor.instance, large == actor.instance
            assert (a & b).sum() > 0.9 * (a | b).sum()


def test_whoever_a_sentence_means_can_be_seen_in_every_annotated_frame():
    for scene in scenes("test", 60):
        _, ids = render(scene, scene.annotated, 48, 72)
        for number in {sentence.instance for sentence in scene.sentences}:
            (actor,) = (a for a in scene.actors if a.instance == number)
            for frame, seen in zip(scene.annotated, ids, strict=True):
                still = replace(actor.motion, vx=0, vy=0, spin=0, limbs=0, wings=0, nod=0, bounce=0)
                alone = replace(actor, pose=actor.at(frame)._replace(x=0.75, y=0.5), motion=still)
                _, whole = render(replace(scene, actors=(alone,), props=()), [CENTER], 48, 72)
                assert (seen == number).sum() > 0.45 * (whole > 0).sum(), (scene.video_id, frame)


def test_actors_are_chunky_enough_for_a_map_at_a_quarter_of_a_small_frame():
    ious = []
    for scene in scenes("train", 60):
        ids = render(scene, [CENTER], 64, 96)[1][0]
        for sentence in scene.sentences:
            mask = tensor(ids == sentence.instance).float()[None, None]
            coarse = F.interpolate(F.avg_pool2d(mask, 4), scale_factor=4, mode="bilinear") > 0.5
            ious.append(float((coarse & (mask > 0)).sum() / (coarse | (mask > 0)).sum()))
    assert np.mean(ious) > 0.90


@pytest.mark.parametrize("split", ["train", "twins"])
def test_several_sentences_are_about_one_window_and_about_others_if_there_are(split):
    world, about_others = ToyWorld(split, 30), 0
    for k in range(len(world)):
        first, *more = world.several(k, 3)
        alone = world[k]
        assert (first.expression, first.sample_id) == (alone.expression, alone.sample_id)
        assert np.array_equal(first.frames, alone.frames) and np.array_equal(first.mask, alone.mask)
        assert len(more) == 2 and all(clip.frames is first.frames and clip.frame_id == first.frame_id for clip in more)
        scene = world.scene(k)
        said = {sentence.text: sentence for sentence in scene.sentences}
        for clip in more:
            ids = world.draw(scene, [clip.frame_id])[1][0]
            assert np.array_equal(clip.mask, np.isin(ids, said[clip.expression].instances))
        targets = {sentence.instance for sentence in scene.sentences}
        assert (more[0].instance_id != first.instance_id) == (len(targets) > 1)
        about_others += len(targets) > 1
    assert about_others > 15
