"""The Refer-YouTube-VOS loader on a tree built by hand, on the toy world, and on what is broken."""

import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from dtse_core.config import DataConfig
from dtse_core.data import ReferYouTubeVOS
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import EVIDENCE, window_indices
from dtse_core.data.expressions import is_name, parse_expressions
from dtse_core.data.listing import held_out
from dtse_core.data.refer_youtube_vos import parse_objects, read_object
from dtse_core.data.toy.layouts.write import HIDDEN, write_toy
from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.shared.images import read_images, read_index_mask
from tests.spoil import spoiled, spoiled_bytes

H, W = 20, 32
WORDS = "meta_expressions"
LUMA = np.array([0.299, 0.587, 0.114])  # JPEG keeps brightness at full resolution, color at half
FRAMES = ["00000", "00005", "00010", "00015", "00020"]
VISIBLE = {  # frames by number in which each object is painted, by video and object
    "-dash.ed": {1: {0, 1, 2, 3, 4}, 3: {4}},  # 3 comes late
    "NA": {2: {0, 1}},  # of two frames
    "[a-z]": {1: set(), 2: {2}},  # 1 is never seen
}
LISTED = {"-dash.ed": FRAMES, "NA": FRAMES[:2], "[a-z]": FRAMES[::-1]}
EXPRESSIONS = {
    "-dash.ed": {"0": ("A  Dog\trunning", 1), "2": ("the cat", 3), "9": ("the cat", 1)},
    "NA": {"1": ("a fish", 2)},
    "[a-z]": {"4": ("nobody", 1), "6": ("a ball", 2)},
}


def box(number: int, k: int) -> tuple[slice, slice]:
    """Where object `number` is in frame `k`: it moves, and no two overlap."""
    return slice(6 * (number - 1), 6 * (number - 1) + 3 + number), slice(2 * k, 2 * k + 4 + number)


def write_json(path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_frames(folder, stems, shift: int) -> None:
    """The frame named 00005 * k is gray 10 k + shift, so that it can be told from the others."""
    folder.mkdir(parents=True)
    for stem in stems:
        Image.new("RGB", (W, H), (2 * int(stem) + shift,) * 3).save(folder / f"{stem}.jpg", quality=95)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Three training videos, two for validation and one for testing, written without the package's help."""
    root = tmp_path_factory.mktemp("ytvos")
    train, meta = {}, {}
    for shift, (video, visible) in enumerate(VISIBLE.items()):
        write_frames(root / "train" / "JPEGImages" / video, LISTED[video], shift)
        (root / "train" / "Annotations" / video).mkdir(parents=True)
        for k, stem in enumerate(sorted(LISTED[video])):
            indices = np.zeros((H, W), np.uint8)
            for number, frames in visible.items():
                if k in frames:
                    indices[box(number, k)] = number
            image = Image.fromarray(indices)
            image.putpalette([200, 0, 0] * 256)  # one color: only the index tells
            image.save(root / "train" / "Annotations" / video / f"{stem}.png")
        said = {n: {"exp": text, "obj_id": str(number)} for n, (text, number) in EXPRESSIONS[video].items()}
        train[video] = {"expressions": said, "frames": LISTED[video]}
        seen = {n: [FRAMES[k] for k in sorted(frames)] for n, frames in visible.items()}
        meta[video] = {"objects": {str(n): {"category": f"kind {n}", "frames": frames} for n, frames in seen.items()}}
    write_frames(root / "train" / "JPEGImages" / "unlisted", FRAMES, 0)
    Image.new("RGB", (W, H)).save(root / "train" / "JPEGImages" / "-dash.ed" / "00001.jpg")  # nor is this frame
    write_json(root / WORDS / "train" / "meta_expressions.json", {"videos": train})
    write_json(root / "train" / "meta.json", {"videos": meta})
    valid = {v: {"expressions": {"0": {"exp": f"in {v}"}}, "frames": FRAMES} for v in ("v1", "t1", "v2")}
    write_json(root / WORDS / "valid" / "meta_expressions.json", {"videos": valid})
    write_json(root / WORDS / "test" / "meta_expressions.json", {"videos": {"t1": valid["t1"]}})
    for video in ("v1", "v2"):
        write_frames(root / "valid" / "JPEGImages" / video, FRAMES, 0)
    write_frames(root / "test" / "JPEGImages" / "t1", FRAMES, 0)
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "ytvos")


def change(path, edit) -> None:
    """Rewrites a JSON file after `edit` of its content."""
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


# ------------------------------------------------------------------------------------ what is read


def test_videos_are_the_expressions_with_their_own_ids(pristine):
    dataset = ReferYouTubeVOS(pristine, "train")
    found = {(v.video_id, v.expression_id): (v.expression, v.object_ids, v.frames) for v in dataset.videos}
    assert found == {
        (video, n): (" ".join(text.lower().split()), (str(number),), tuple(sorted(LISTED[video])))
        for video, said in EXPRESSIONS.items()
        for n, (text, number) in said.items()
    }
    assert dataset.labelled and {v.evidence for v in dataset.videos} == {None}
    assert [dataset.category(v) for v in dataset.videos[:2]] == ["kind 1", "kind 3"]
    for video in dataset.videos:
        assert [p.stem for p in dataset.frame_paths(video)] == sorted(LISTED[video.video_id])
        assert all(p.is_file() for p in dataset.frame_paths(video))


def test_targets_are_what_was_painted_pixel_by_pixel(pristine):
    dataset = ReferYouTubeVOS(pristine, "train")
    for video in dataset.videos:
        number = int(video.object_ids[0])
        for k in range(len(video.frames)):
            mask, void = dataset.read_target(video, k)
            rows, columns = box(number, k)
            shown = k in VISIBLE[video.video_id][number]
            for y, x in np.ndindex(H, W):
                inside = rows.start <= y < rows.stop and columns.start <= x < columns.stop
                assert mask[y, x] == (shown and inside)
            assert mask.dtype == bool and mask.shape == (H, W) and void is None


@pytest.mark.parametrize(("window", "offset", "causal"), [(3, 1, False), (3, 2, True), (1, 1, False), (5, 1, False)])
def test_samples_are_the_windows_that_show_the_target(pristine, window, offset, causal):
    dataset = ReferYouTubeVOS(pristine, "train", window, offset, causal)
    shifts = {video: shift for shift, video in enumerate(VISIBLE)}
    expected = []
    for video, said in EXPRESSIONS.items():
        for n, (_, number) in said.items():
            for k in range(len(LISTED[video])):
                indices, slot = window_indices(k, len(LISTED[video]), window, offset, causal)
                if VISIBLE[video][number] & set(indices):
                    expected.append((video, n, 5 * k, indices, slot, k in VISIBLE[video][number]))
    clips = [dataset[i] for i in range(len(dataset))]
    assert len(clips) == len(expected)
    for clip, (video, n, frame, indices, slot, shown) in zip(clips, expected, strict=True):
        assert (clip.video_id, clip.instance_id, clip.frame_id, clip.current) == (video, n, frame, slot)
        gray = (clip.frames.mean((1, 2, 3)) - shifts[video]) / 10
        assert clip.frames.shape == (window, H, W, 3) and np.abs(gray - indices).max() < 0.2
        assert clip.mask.any() == shown and clip.twin_mask is None and clip.evidence is None
    keys = {(clip.sample_id, clip.expression) for clip in clips}
    assert len(keys) == len(clips)  # although "the cat" is said twice in one video


def test_a_window_is_dropped_only_where_meta_json_tells(root):
    with_meta = ReferYouTubeVOS(root, "train", window=1)
    assert len(with_meta) == 5 + 1 + 5 + 2 + 0 + 1  # visible frames, expression by expression
    (root / "train" / "meta.json").unlink()
    dataset = ReferYouTubeVOS(root, "train", window=1)
    assert len(dataset) == 5 + 5 + 5 + 2 + 5 + 5 and dataset.category(dataset.videos[0]) is None
    assert sum(dataset[i].mask.any() for i in range(len(dataset))) == len(with_meta)


def test_valid_is_what_the_test_file_does_not_list(root):
    dataset = ReferYouTubeVOS(root, "valid")
    assert [v.video_id for v in dataset.videos] == ["v1", "v2"]
    assert [v.video_id for v in ReferYouTubeVOS(root, "test").videos] == ["t1"]
    test = root / WORDS / "test" / "meta_expressions.json"
    test.unlink()
    with pytest.warns(UserWarning, match=r"test/meta_expressions\.json is missing.*the 2 videos .* folder in .*202"):
        dataset = ReferYouTubeVOS(root, "valid")
    assert [v.video_id for v in dataset.videos] == ["v1", "v2"]
    with pytest.raises(FileNotFoundError, match=r"test/meta_expressions\.json is missing"):
        ReferYouTubeVOS(root, "test")


def test_without_masks_videos_are_listed_and_targets_are_refused(pristine):
    dataset = ReferYouTubeVOS(pristine, "valid")
    assert not dataset.labelled and {v.object_ids for v in dataset.videos} == {()} and len(dataset) == 10
    assert all(p.is_file() for v in dataset.videos for p in dataset.frame_paths(v))
    for ask in (lambda: dataset.read_target(dataset.videos[0], 0), lambda: dataset[0]):
        with pytest.raises(ValueError, match=r"valid has no masks .* predictions can still be written.*local-val"):
            ask()


def test_validation_masks_are_used_by_those_who_have_them(root):
    def answer(table):
        for video in table["videos"].values():
            video["expressions"]["0"]["obj_id"] = "3"

    change(root / WORDS / "valid" / "meta_expressions.json", answer)
    assert not ReferYouTubeVOS(root, "valid").labelled  # answers alone are no masks
    for video in ("v1", "v2"):
        shutil.copytree(root / "train" / "Annotations" / "-dash.ed", root / "valid" / "Annotations" / video)
    dataset = ReferYouTubeVOS(root, "valid")
    assert dataset.labelled and dataset[4].mask[box(3, 4)].all()


def test_local_val_and_local_train_share_the_training_videos(root):
    everything = {v.video_id for v in ReferYouTubeVOS(root, "train").videos}
    change(root / WORDS / "train" / "meta_expressions.json", lambda t: t["videos"].update(s11=t["videos"]["NA"]))
    for folder in ("JPEGImages", "Annotations"):
        shutil.copytree(root / "train" / folder / "NA", root / "train" / folder / "s11")
    train, val = ({v.video_id for v in ReferYouTubeVOS(root, f"local-{s}").videos} for s in ("train", "val"))
    assert val == {"s11"} and train == everything
    names = [f"{k:010x}" for k in range(3471)]
    assert 160 < sum(map(held_out, names)) < 250
    assert [k for k in range(60) if held_out(f"s{k}")] == [11, 21, 31]  # for ever: published scores depend on it


@given(st.text(max_size=12))
def test_a_video_is_held_out_or_not_but_always_the_same(name):
    assert held_out(name) is held_out(str(name.encode(), "utf-8"))


def collate_ids(clips):
    return [(c.sample_id, c.expression, int(c.mask.sum()), int(c.frames.sum())) for c in clips]


def test_the_data_set_survives_pickling_and_both_kinds_of_workers(pristine):
    dataset = ReferYouTubeVOS(pristine, "train")
    alone = [collate_ids([dataset[i]]) for i in range(len(dataset))]
    again = pickle.loads(pickle.dumps(ReferYouTubeVOS(pristine, "train")))
    assert [collate_ids([again[i]]) for i in range(len(again))] == alone
    for method, workers in (("fork", 2), ("spawn", 1)):
        loader = DataLoader(
            ReferYouTubeVOS(pristine, "train"),
            batch_size=1,
            num_workers=workers,
            collate_fn=collate_ids,
            multiprocessing_context=method,
            timeout=120,
        )
        assert list(loader) == alone


def test_the_settings_build_it(pristine):
    config = DataConfig(name="refer_youtube_vos", root=str(pristine), offset=0)
    dataset = build_dataset(config, "train", 3)
    assert isinstance(dataset, ReferYouTubeVOS) and dataset.offset == 1


# -------------------------------------------------------------------------------------- toy world

TOY = {"train": 2, "val": 1, "test": 1, "twins": 2}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy") / "ytvos"
    write_toy(root, TOY, "refer_youtube_vos", seed=1, height=32, width=48)
    return root


@pytest.fixture(scope="module")
def odd_toy(tmp_path_factory):
    """Every trap at once; the first clip of a split is late, the last is short."""
    root = tmp_path_factory.mktemp("toy") / "odd"
    write_toy(root, {"train": 2, "val": 2, "test": 1}, "refer_youtube_vos", seed=1, height=32, width=48, traps=["all"])
    return root


@pytest.mark.parametrize("split", TOY)
def test_what_was_drawn_is_what_the_loader_reads(toy, split):
    dataset, world = ReferYouTubeVOS(toy, split, window=3, offset=2), ToyWorld(split, TOY[split], seed=1)
    scenes = {world.scene(k).video_id: world.scene(k) for k in range(TOY[split])}
    drawn = {name: render(scene, range(scene.length), 32, 48) for name, scene in scenes.items()}
    said = {(name, str(n)): s for name, scene in scenes.items() for n, s in enumerate(scene.sentences)}
    assert {(v.video_id, v.expression_id) for v in dataset.videos} == set(said)
    for video in dataset.videos:
        sentence, ids = said[video.video_id, video.expression_id], drawn[video.video_id][1]
        assert (video.expression, video.evidence) == (sentence.text, sentence.evidence)
        assert video.frames == tuple(f"{5 * k:05d}" for k in range(25)) and sentence.evidence in EVIDENCE
        for k in range(25):
            assert np.array_equal(dataset.read_target(video, k)[0], ids[k] == sentence.instance)
    seen = 0
    for i in range(0, len(dataset), 7):
        clip = dataset[i]
        colors, ids = drawn[clip.video_id]
        k, sentence = clip.frame_id // 5, said[clip.video_id, clip.instance_id]
        assert np.abs((clip.frames[clip.current] - colors[k].astype(float)) @ LUMA).mean() < 3
        assert (clip.twin_mask is None) == (sentence.twin == 0)
        if sentence.twin:
            seen += 1
            assert np.array_equal(clip.twin_mask, ids[k] == sentence.twin)
    assert seen > 0 or split != "twins"


def test_the_toy_world_stands_in_all_the_places_of_the_genuine_one(toy):
    tables = {
        s: json.loads((toy / WORDS / s / "meta_expressions.json").read_text(encoding="utf-8"))["videos"]
        for s in ("train", "valid")
    }
    listed = json.loads((toy / "toy_world.json").read_text(encoding="utf-8"))["splits"]
    assert set(tables["train"]) == {v for videos in listed.values() for v in videos}
    assert set(tables["valid"]) == set(listed["val"]) | set(listed["test"])
    assert "obj_id" not in json.dumps(tables["valid"]) and "obj_id" in json.dumps(tables["train"])
    dataset = ReferYouTubeVOS(toy, "valid")
    assert {v.video_id for v in dataset.videos} == set(listed["val"]) and not dataset.labelled
    for video in dataset.videos:
        assert all(p.is_file() and "valid" in p.parts for p in dataset.frame_paths(video))
    with Image.open(next((toy / "train" / "Annotations").rglob("*.png"))) as image:
        assert image.mode == "P" and image.size == (48, 32)
    assert sorted(p.name for p in (toy / "train").iterdir()) == ["Annotations", "JPEGImages", "meta.json"]


def test_trap_gap_in_expression_ids(odd_toy, toy):
    assert {v.expression_id for v in ReferYouTubeVOS(toy, "train").videos} >= {"0", "1"}
    dataset = ReferYouTubeVOS(odd_toy, "train")
    assert {int(v.expression_id) % 2 for v in dataset.videos} == {0} and len(dataset.videos) > 2
    assert all(v.evidence in EVIDENCE for v in dataset.videos)


def test_trap_an_object_that_comes_late(tmp_path):
    write_toy(tmp_path / "t", {"train": 2}, "refer_youtube_vos", seed=1, height=32, width=48, traps=["late_object"])
    dataset = ReferYouTubeVOS(tmp_path / "t", "train")
    video = dataset.videos[0]
    assert [dataset.read_target(video, k)[0].any() for k in range(HIDDEN + 1)] == [False] * HIDDEN + [True]
    first = [int(k) for n, k in dataset.samples if n == 0]
    assert first[0] == HIDDEN - 1  # its window reaches the first frame that shows the object; those before do not
    assert not dataset[0].mask.any() and dataset[1].mask.any()


def test_trap_a_clip_shorter_than_the_window(tmp_path):
    write_toy(tmp_path / "t", {"train": 1}, "refer_youtube_vos", seed=1, height=32, width=48, traps=["short_clip"])
    dataset = ReferYouTubeVOS(tmp_path / "t", "train", window=5, offset=3)
    assert {len(v.frames) for v in dataset.videos} == {2} and len(dataset) == 2 * len(dataset.videos)
    clip = dataset[0]
    assert clip.frames.shape[0] == 5 and clip.mask.any()
    assert np.array_equal(clip.frames[0], clip.frames[2]) and np.array_equal(clip.frames[3], clip.frames[4])


def test_traps_no_test_json_and_no_meta(odd_toy):
    assert not (odd_toy / WORDS / "test").exists() and not (odd_toy / "train" / "meta.json").exists()
    listed = json.loads((odd_toy / "toy_world.json").read_text(encoding="utf-8"))["splits"]
    with pytest.warns(UserWarning, match="is missing"):
        dataset = ReferYouTubeVOS(odd_toy, "valid")
    assert {v.video_id for v in dataset.videos} == set(listed["val"])
    train = ReferYouTubeVOS(odd_toy, "train")
    assert len(train) == sum(len(v.frames) for v in train.videos)


def test_the_same_settings_give_the_same_bytes(odd_toy, tmp_path):
    clips = {"train": 2, "val": 2, "test": 1}
    write_toy(tmp_path / "t", clips, "refer_youtube_vos", seed=1, height=32, width=48, traps=["all"], workers=2)
    one, two = (
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in (odd_toy, tmp_path / "t")
    )
    assert one == two


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("", r"Refer-YouTube-VOS: no folder .*expected meta_expressions.*toy world"),
        (f"{WORDS}/train/meta_expressions.json", r"train/meta_expressions\.json is missing; download it again"),
        ("train/JPEGImages", r"3 of 3 folders are missing from .*JPEGImages: expected .*-dash\.ed \(first five: -dash"),
        ("train/Annotations", r"3 of 3 folders are missing from .*Annotations.*dtse prepare"),
        ("train/JPEGImages/NA", r"1 of 3 folders are missing from .*JPEGImages: expected .*NA .*copy them"),
        ("train/Annotations/NA", r"1 of 3 folders are missing from .*Annotations: expected .*NA"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(root, missing, said):
    shutil.rmtree(root / missing) if (root / missing).is_dir() else (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=said) as error:
        ReferYouTubeVOS(root, "train")
    assert "\n" not in str(error.value)


OLD = {"objects": {"1": {"category": "dog", "frames": FRAMES, "expressions": ["a dog"]}}}
GOOD = {"frames": FRAMES, "expressions": {"0": {"exp": "a dog", "obj_id": "1"}}}


def table_with(**changes):
    return {"NA": GOOD | changes}


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        ({"NA": OLD}, r"video 'NA' lists its expressions by object: this is the older layout of URVOS; get the"),
        (None, r"'videos': expected a JSON object \{\.\.\.\}, found nothing"),
        ([1], r"'videos': expected a JSON object \{\.\.\.\}, found \[1\]"),
        ({}, "no expression of split 'train' in .*is the copy complete"),
        ({"NA": 5}, r"video 'NA': expected a JSON object"),
        ({"../NA": GOOD}, r"video '\.\./NA' cannot be the name of a folder"),
        ({"N\0A": GOOD}, "cannot be the name of a folder"),
        (table_with(expressions={"..": GOOD["expressions"]["0"]}), r"expression '\.\.' cannot be the name of a folder"),
        (table_with(expressions=[1]), r"video 'NA', 'expressions': expected a JSON object"),
        (table_with(expressions={"0": "a dog"}), r"expression '0': expected a JSON object .*found 'a dog'"),
        (table_with(expressions={"0": {"obj_id": "1"}}), r"'exp' is nothing; expected a sentence"),
        (table_with(expressions={"0": {"exp": " \t", "obj_id": "1"}}), r"expression '0': 'exp' is ' \\t'"),
        (table_with(expressions={"0": {"exp": "a", "obj_id": 1}}), r"'obj_id' is 1; expected a string such as '1'"),
        (table_with(expressions={"0": {"exp": "a", "obj_id": "0"}}), r"'obj_id' is '0'"),
        (table_with(expressions={"0": {"exp": "a", "obj_id": "256"}}), r"'obj_id' is '256'"),
        (table_with(expressions={"0": {"exp": "a"}}), r"no 'obj_id', which tells what an expression refers to"),
        (
            table_with(expressions={"0": {"exp": "a", "obj_id": "1"}, "1": {"exp": "b"}}),
            r"expression '1': some expressions tell their target and some do not",
        ),
        (table_with(frames=[]), r"video 'NA': 'frames' is empty"),
        (table_with(frames="00000"), r"'frames' must list names such as '00005'; found '00000'"),
        (table_with(frames=[0, 5]), r"'frames' must list names such as '00005'; found \[0, 5\]"),
        (table_with(frames=["00000.jpg"]), r"'frames' must list names"),
        (table_with(frames=["00000", "00000"]), r"'frames' lists a frame twice"),
    ],
)
def test_malformed_expressions_are_named_by_file_video_and_expression(root, videos, said):
    path = root / WORDS / "train" / "meta_expressions.json"
    path.write_text(json.dumps({} if videos is None else {"videos": videos}), encoding="utf-8")
    with pytest.raises(ValueError, match=said) as error:
        ReferYouTubeVOS(root, "train")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("file", [f"{WORDS}/train/meta_expressions.json", "train/meta.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"line 1, column 1: not JSON .*cut short\? correct it, or download it again"),
        (b'{"videos": {"NA": ', "not JSON .*cut short"),
        (b'{"videos": "\xff"}', "line 1: byte 0xff is not UTF-8"),
        (b"[1, 2]", r"expected a JSON object \{\.\.\.\}, found list"),
        (b"[" * 100_000, "not JSON|cannot be read"),
    ],
)
def test_damaged_json_is_named(root, file, content, said):
    (root / file).write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        ReferYouTubeVOS(root, "train")
    assert str(root / file) in str(error.value)


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({"2": {"category": "dog"}}, r"object '2': 'frames' must list names such as '00005'; found nothing"),
        ({"2": {"frames": FRAMES}}, r"object '2': 'category' is nothing; expected a word"),
        ({"2": [1]}, r"object '2': expected a JSON object"),
        ([1], r"video 'NA', 'objects': expected a JSON object"),
        (
            {"1": {"category": "dog", "frames": FRAMES}},
            r"lacks object '2' of video 'NA', to which expression '1' refers",
        ),
    ],
)
def test_malformed_meta_json_is_named(root, objects, said):
    path = root / "train" / "meta.json"
    change(path, lambda table: table["videos"]["NA"].update(objects=objects))
    with pytest.raises(ValueError, match=said) as error:
        len(ReferYouTubeVOS(root, "train"))
    assert str(path) in str(error.value)


def spoil_mask(edit):
    def spoil(path):
        with Image.open(path) as image:
            edit(image).save(path)

    return spoil


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("number", [255, 7])
def test_masks_that_show_no_object_which_is_spoken_of_are_refused_at_once(root, number):
    for path in (root / "train" / "Annotations" / "NA").glob("*.png"):
        spoil_mask(lambda i: i.convert("P").point(lambda v: number * (v > 0)))(path)  # as some copies have them
    with pytest.raises(ValueError, match=rf"NA: the masks show {number} and never .*, which the expressions name"):
        ReferYouTubeVOS(root, "train")


def test_a_frame_that_shows_other_objects_alone_is_no_reason_to_refuse_a_video(root):
    files = sorted((root / "train" / "Annotations" / "NA").glob("*.png"))
    for path in files[1:]:
        spoil_mask(lambda i: i.convert("P").point(lambda v: 7 * (v > 0)))(path)
    assert len(ReferYouTubeVOS(root, "train"))


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("Annotations/NA/00000.png", lambda p: p.unlink(), r"no image .*00000\.png; download it again"),
        ("Annotations/NA/00000.png", lambda p: p.write_bytes(b""), r"00000\.png cannot be read as an image"),
        ("Annotations/NA/00000.png", halve, r"00000\.png cannot be read as an image"),
        (
            "Annotations/NA/00000.png",
            lambda p: p.write_text("no PNG", encoding="utf-8"),
            r"00000\.png cannot be read as an image",
        ),
        ("Annotations/NA/00000.png", spoil_mask(lambda i: i.convert("RGB")), "mode RGB; masks are palette PNGs"),
        (
            "Annotations/NA/00000.png",
            spoil_mask(lambda i: i.transpose(Image.Transpose.TRANSPOSE)),
            r"the mask is \(32, 20\), its frame \(20, 32\) \(height, width\) \(transpose forgotten\?\)",
        ),
        (
            "Annotations/NA/00000.png",
            spoil_mask(lambda i: i.crop((0, 0, W, H - 1))),
            r"the mask is \(19, 32\), its frame \(20, 32\) \(height, width\); it must have",
        ),
        ("JPEGImages/NA/00000.jpg", lambda p: p.unlink(), r"no image .*00000\.jpg; download it again"),
        ("JPEGImages/NA/00000.jpg", lambda p: p.write_bytes(b""), r"00000\.jpg cannot be read as an image"),
        ("JPEGImages/NA/00000.jpg", halve, r"00000\.jpg cannot be read as an image"),
        (
            "JPEGImages/NA/00000.jpg",
            lambda p: p.write_text("no JPEG", encoding="utf-8"),
            r"00000\.jpg cannot be read as an image",
        ),
        (
            "JPEGImages/NA/00005.jpg",
            lambda p: Image.new("RGB", (H, W)).save(p),
            r"00005\.jpg is \(32, 20\), 00000\.jpg \(20, 32\) \(height, width\); the frames of a video are alike",
        ),
    ],
)
def test_a_damaged_image_is_named(root, file, spoil, said):
    spoil(root / "train" / file)
    dataset = ReferYouTubeVOS(root, "train")
    number = next(i for i, (n, k) in enumerate(dataset.samples) if dataset.videos[n].video_id == "NA" and k == 0)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as error:
        dataset[number]
    assert str(root) in str(error.value)


def test_an_unknown_split_names_those_there_are(root, toy):
    with pytest.raises(ValueError, match="unknown split 'val'; .* has train, valid, test, local-train, local-val "):
        ReferYouTubeVOS(root, "val")
    with pytest.raises(ValueError, match="unknown split 'vall'; .*valid, test, val, twins, local-train, local-val "):
        ReferYouTubeVOS(toy, "vall")
    write_json(root / "toy_world.json", {"splits": {"val": ["gone"]}, "sentences": {}})
    with pytest.raises(ValueError, match="lacks gone, which toy_world.json lists; write the toy world again"):
        ReferYouTubeVOS(root, "val")


# ------------------------------------------------------------------------------------------- fuzz


SEEDS = st.integers(0, 2**64)
TWO = {"NA": GOOD, "v1": {"frames": FRAMES[::-1], "expressions": {"4": {"exp": "b", "obj_id": "12"}}}}
SEEN = {"category": "dog", "frames": FRAMES}


@given(SEEDS)
def test_any_table_of_expressions_is_read_or_refused(seed):
    table = spoiled({"videos": TWO}, seed)
    try:
        videos, published = parse_expressions(table, "file.json", read_object)
    except ValueError as error:
        assert str(error).startswith("file.json: ") and len(str(error)) < 400
        return
    assert [(v.video_id, v.expression_id) for v in videos] == [
        (video, n) for video, entry in table["videos"].items() for n in entry["expressions"]
    ]
    for video in videos:
        entry = table["videos"][video.video_id]
        numbers = [int(stem) for stem in video.frames]
        assert is_name(video.video_id) and is_name(video.expression_id) and video.expression
        assert sorted(video.frames) == sorted(entry["frames"]) and numbers == sorted(numbers)
        assert (len(video.object_ids) == 1) == published and all(1 <= int(n) <= 255 for n in video.object_ids)


@given(SEEDS)
def test_any_meta_json_is_read_or_refused(seed):
    table = spoiled({"videos": {"NA": {"objects": {"1": SEEN, "2": SEEN}}, "v1": {"objects": {"1": SEEN}}}}, seed)
    try:
        objects = parse_objects(table, "meta.json")
    except ValueError as error:
        assert str(error).startswith("meta.json: ") and len(str(error)) < 400
        return
    for (video, number), (category, frames) in objects.items():
        said = table["videos"][video]["objects"][number]
        assert category == said["category"] and frames == set(said["frames"])


@given(SEEDS)
def test_any_damage_to_an_image_is_named_or_harmless(pristine, spoiled_image, seed):
    for kind, (content, path) in spoiled_image.items():
        path.write_bytes(spoiled_bytes(content, seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about sizes that it finds suspicious
            try:
                read_index_mask(path) if kind == "png" else read_images([path])
            except ValueError as error:
                assert str(path) in str(error)


@pytest.fixture(scope="module")
def spoiled_image(pristine, tmp_path_factory):
    """What is in an image, and a file for what is left of it, by kind."""
    folder = tmp_path_factory.mktemp("spoiled")
    found = {"png": "Annotations/NA/00000.png", "jpg": "JPEGImages/NA/00000.jpg"}
    return {kind: ((pristine / "train" / name).read_bytes(), folder / f"0.{kind}") for kind, name in found.items()}


def test_a_header_chunk_that_is_cut_short_names_the_file(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x05IHDR" + b"\x00" * 30)
    for read in (read_index_mask, lambda path: read_images([path])):
        with pytest.raises(ValueError, match=r"cut\.png cannot be read as an image"):
            read(path)
