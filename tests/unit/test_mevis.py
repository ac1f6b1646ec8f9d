"""The MeViS loader on a tree built by hand, on the toy world, and on what is broken; run-length masks decoded."""

import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from dtse_core.config import DataConfig
from dtse_core.data import MeViS
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import window_indices
from dtse_core.data.expressions import parse_expressions
from dtse_core.data.mevis import COUNTS, decode_rle, masks_of, read_annotations, run_lengths, version_of
from dtse_core.data.toy.layouts.mevis import NOBODY, encode_rle
from dtse_core.data.toy.layouts.write import HIDDEN, write_toy
from dtse_core.data.toy.world import ToyWorld, render
from tests.spoil import spoiled

coco = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
H, W = 20, 32
LUMA = np.array([0.299, 0.587, 0.114])  # JPEG keeps brightness at full resolution, color at half
FRAMES = {"-a1": [f"{k:05d}" for k in range(5)], "b*": [f"{k:05d}" for k in (2, 0, 1)]}  # the second unsorted
PAINTED = {  # frames in which each annotation has a mask, by video; 7 and 9 overlap
    "-a1": {"7": {0, 1, 2, 3, 4}, "9": {3, 4}, "11": set()},
    "b*": {"20": {0, 1}},
}
EXPRESSIONS = {
    "-a1": {
        "0": ("The  dogs", [7, 9]),
        "3": ("the dog", [9]),
        "5": ("no dog", []),
        "6": ("the dog", [11]),
        "8": ("a dog", [7, 7]),
    },
    "b*": {"0": ("a fish", [20])},
}


def painted(number: str, k: int) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    if number in {"7": "79", "9": "79", "20": ["20"]}.get(number, ()):
        left = {"7": 2, "9": 5, "20": 11}[number] + 2 * k
        mask[3 : 9 + int(number) // 3, left : left + 6] = True
    return mask


def rle(mask: np.ndarray) -> dict:
    found = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [*map(int, found["size"])], "counts": found["counts"].decode()}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two videos in valid_u, and one of them without answers in valid, written without the package's help."""
    root = tmp_path_factory.mktemp("mevis")
    videos, masks, bare = {}, {}, {}
    for shift, (video, stems) in enumerate(FRAMES.items()):
        said = {
            n: {"exp": text, "obj_id": [0] * len(ids), "anno_id": ids} for n, (text, ids) in EXPRESSIONS[video].items()
        }
        videos[video] = {"expressions": said, "frames": stems}
        bare[video] = {"expressions": {n: {"exp": one["exp"]} for n, one in said.items()}, "frames": stems}
        for number, frames in PAINTED[video].items():
            masks[number] = [rle(painted(number, k)) if k in frames else None for k in range(len(stems))]
        for folder in ("valid_u", "valid"):
            (root / folder / "JPEGImages" / video).mkdir(parents=True)
            for stem in stems:
                gray = Image.new("RGB", (W, H), (20 * int(stem) + shift,) * 3)
                gray.save(root / folder / "JPEGImages" / video / f"{stem}.jpg", quality=95)
    (root / "valid_u" / "meta_expressions.json").write_text(json.dumps({"videos": videos}), encoding="utf-8")
    (root / "valid_u" / "mask_dict.json").write_text(json.dumps(masks), encoding="utf-8")
    (root / "valid" / "meta_expressions.json").write_text(
        json.dumps({"videos": {"-a1": bare["-a1"]}}), encoding="utf-8"
    )
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "mevis")


def change(path, edit) -> None:
    """Rewrites a JSON file after `edit` of its content."""
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def shown(video: str, n: str) -> set[int]:
    return set().union(*(PAINTED[video][str(number)] for number in EXPRESSIONS[video][n][1]), set())


# ------------------------------------------------------------------------------------ what is read


def test_videos_are_the_expressions_with_their_annotations(pristine):
    dataset = MeViS(pristine)
    assert dataset.split == "valid_u" and dataset.labelled and dataset.version == "other"
    found = {(v.video_id, v.expression_id): (v.expression, v.object_ids, v.frames) for v in dataset.videos}
    assert found == {
        (video, n): (" ".join(text.lower().split()), tuple(dict.fromkeys(map(str, ids))), tuple(sorted(FRAMES[video])))
        for video, said in EXPRESSIONS.items()
        for n, (text, ids) in said.items()
    }
    for video in dataset.videos:
        assert [p.stem for p in dataset.frame_paths(video)] == sorted(FRAMES[video.video_id])


def test_targets_are_the_union_of_what_was_painted_pixel_by_pixel(pristine):
    dataset = MeViS(pristine)
    for video in dataset.videos:
        ids = EXPRESSIONS[video.video_id][video.expression_id][1]
        for k in range(len(video.frames)):
            mask, void = dataset.read_target(video, k)
            parts = [painted(str(n), k) for n in ids if k in PAINTED[video.video_id][str(n)]]
            for y, x in np.ndindex(H, W):
                assert mask[y, x] == any(part[y, x] for part in parts)
            assert mask.dtype == bool and mask.shape == (H, W) and void is None
    both, overlap = painted("7", 4) | painted("9", 4), painted("7", 4) & painted("9", 4)
    assert overlap.any() and np.array_equal(dataset.read_target(dataset.videos[0], 4)[0], both)


@pytest.mark.parametrize(("window", "offset", "causal"), [(3, 1, False), (3, 2, True), (1, 1, False), (5, 2, False)])
def test_samples_are_the_windows_that_show_the_target_and_all_where_there_is_none(pristine, window, offset, causal):
    dataset, expected = MeViS(pristine, "valid_u", window, offset, causal), []
    for shift, (video, said) in enumerate(EXPRESSIONS.items()):
        for n in said:
            for k in range(len(FRAMES[video])):
                indices, slot = window_indices(k, len(FRAMES[video]), window, offset, causal)
                if shown(video, n) & set(indices) or not said[n][1]:
                    expected.append((video, n, k, indices, slot, shift))
    clips = [dataset[i] for i in range(len(dataset))]
    assert len(clips) == len(expected)
    for clip, (video, n, k, indices, slot, shift) in zip(clips, expected, strict=True):
        assert (clip.video_id, clip.instance_id, clip.frame_id, clip.current) == (video, n, k, slot)
        gray = (clip.frames.mean((1, 2, 3)) - shift) / 20  # frames on disk are listed out of order
        assert clip.frames.shape == (window, H, W, 3) and np.abs(gray - indices).max() < 0.1
        assert clip.mask.any() == (k in shown(video, n)) and clip.twin_mask is None
    assert len({(clip.sample_id, clip.expression) for clip in clips}) == len(clips)


def test_without_masks_videos_are_listed_and_targets_are_refused(pristine):
    dataset = MeViS(pristine, "valid")
    assert not dataset.labelled and len(dataset.videos) == 5 and {v.object_ids for v in dataset.videos} == {()}
    assert len(dataset) == 25 and all(p.is_file() for p in dataset.frame_paths(dataset.videos[0]))
    for ask in (lambda: dataset.read_target(dataset.videos[0], 0), lambda: dataset[0]):
        with pytest.raises(ValueError, match=r"valid has no masks, the server .*can still be written.*valid_u"):
            ask()


def test_the_version_is_told_by_the_counts():
    assert version_of("train", 1662, 23051) == "v1" and version_of("train", 1662, 27502) == "v2"
    assert version_of("valid", 140, 2236) == "v1" and version_of("valid_u", 50, 907) == "v2"
    assert version_of("valid_u", 50, 908) == version_of("train", 50, 793) == "other"
    assert sum(counts["train"][1] for counts in COUNTS.values()) == 23051 + 27502


def test_masks_are_read_once_a_process_and_anew_when_they_change(root, monkeypatch):
    import dtse_core.data.mevis as module

    read, path = [], root / "valid_u" / "mask_dict.json"
    genuine = module.read_json
    monkeypatch.setattr(module, "read_json", lambda p, **most: read.append(p.name) or genuine(p, **most))
    dataset = MeViS(root)
    assert read == ["meta_expressions.json"]  # the masks, which may be huge, are not opened for their own sake
    for k in range(3):
        dataset.read_target(dataset.videos[0], k)
    assert len(dataset) and read[1:] == ["mask_dict.json"]
    change(path, lambda masks: masks.update({"7": [None] * 5}))
    assert not dataset.read_target(dataset.videos[0], 0)[0].any() and read[1:] == ["mask_dict.json"] * 2
    assert len(pickle.dumps(dataset)) < 5000


def collate_ids(clips):
    return [(c.sample_id, c.expression, int(c.mask.sum()), int(c.frames.sum())) for c in clips]


def test_the_data_set_survives_pickling_and_both_kinds_of_workers(pristine):
    dataset = MeViS(pristine)
    alone = [collate_ids([dataset[i]]) for i in range(len(dataset))]
    again = pickle.loads(pickle.dumps(MeViS(pristine)))
    assert [collate_ids([again[i]]) for i in range(len(again))] == alone
    for method, workers in (("fork", 2), ("spawn", 1)):
        loader = DataLoader(
            MeViS(pristine),
            batch_size=1,
            num_workers=workers,
            collate_fn=collate_ids,
            multiprocessing_context=method,
            timeout=120,
        )
        assert list(loader) == alone


def test_the_settings_build_it(pristine):
    dataset = build_dataset(DataConfig(name="mevis", root=str(pristine), offset=0), "valid_u", 3)
    assert isinstance(dataset, MeViS) and dataset.offset == 2


# -------------------------------------------------------------------------------------- toy world

TOY = {"train": 2, "val": 1, "test": 1, "twins": 2}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy") / "mevis"
    write_toy(root, TOY, "mevis", seed=1, height=32, width=48)
    return root


@pytest.fixture(scope="module")
def odd_toy(tmp_path_factory):
    """Every trap at once; most of them in the first clip of a split."""
    root = tmp_path_factory.mktemp("toy") / "odd"
    write_toy(root, {"train": 2, "val": 1}, "mevis", seed=1, height=32, width=48, traps=["all"])
    return root


@pytest.mark.parametrize("split", TOY)
def test_what_was_drawn_is_what_the_loader_reads(toy, split):
    dataset, world = MeViS(toy, split, window=3, offset=2), ToyWorld(split, TOY[split], seed=1)
    scenes = {world.scene(k).video_id: world.scene(k) for k in range(TOY[split])}
    drawn = {name: render(scene, range(scene.length), 32, 48) for name, scene in scenes.items()}
    said = {(name, str(n)): s for name, scene in scenes.items() for n, s in enumerate(scene.sentences)}
    assert {(v.video_id, v.expression_id) for v in dataset.videos} == set(said)
    for video in dataset.videos:
        sentence, ids = said[video.video_id, video.expression_id], drawn[video.video_id][1]
        assert (video.expression, video.evidence) == (sentence.text, sentence.evidence)
        assert video.frames == tuple(f"{k:05d}" for k in range(25))
        for k in range(25):
            assert np.array_equal(dataset.read_target(video, k)[0], ids[k] == sentence.instance)
    seen = 0
    for i in range(0, len(dataset), 7):
        clip = dataset[i]
        (colors, ids), sentence = drawn[clip.video_id], said[clip.video_id, clip.instance_id]
        assert np.abs((clip.frames[clip.current] - colors[clip.frame_id].astype(float)) @ LUMA).mean() < 3
        assert (clip.twin_mask is None) == (sentence.twin == 0)
        if sentence.twin:
            seen += 1
            assert np.array_equal(clip.twin_mask, ids[clip.frame_id] == sentence.twin)
    assert seen > 0 or split != "twins"


def test_the_toy_world_stands_in_all_the_places_of_the_genuine_one(toy):
    listed = json.loads((toy / "toy_world.json").read_text(encoding="utf-8"))["splits"]
    for folder, splits in {"train": ["train"], "valid_u": ["val", "test", "twins"], "valid": ["val"]}.items():
        names = {"JPEGImages", "meta_expressions.json"} | ({"mask_dict.json"} if folder != "valid" else set())
        assert {p.name for p in (toy / folder).iterdir()} == names
        assert {v.video_id for v in MeViS(toy, folder).videos} == {v for s in splits for v in listed[s]}
    assert not MeViS(toy, "valid").labelled and "anno_id" not in (toy / "valid" / "meta_expressions.json").read_text(
        encoding="utf-8"
    )
    masks = [
        json.loads((toy / folder / "mask_dict.json").read_text(encoding="utf-8")) for folder in ("train", "valid_u")
    ]
    assert not set(masks[0]) & set(masks[1])  # numbered over the whole data set
    for one in (one for table in masks for frames in table.values() for one in frames if one):
        assert one["size"] == [32, 48] and isinstance(one["counts"], str)
        assert np.array_equal(decode_rle(one, (32, 48)), coco.decode(one).astype(bool))


def test_trap_null_masks(tmp_path):
    write_toy(tmp_path / "t", {"train": 1}, "mevis", seed=1, height=32, width=48, traps=["null_rle"])
    dataset = MeViS(tmp_path / "t", "train", offset=1)
    video = dataset.videos[0]
    assert [dataset.read_target(video, k)[0].any() for k in range(HIDDEN + 1)] == [False] * HIDDEN + [True]
    table = json.loads((tmp_path / "t" / "train" / "mask_dict.json").read_text(encoding="utf-8"))
    assert table[video.object_ids[0]][:HIDDEN] == [None] * HIDDEN
    assert [int(k) for n, k in dataset.samples if n == 0][0] == HIDDEN - 1 and not dataset[0].mask.any()


def test_trap_annotations_that_overlap(tmp_path):
    write_toy(tmp_path / "t", {"train": 1}, "mevis", seed=1, height=32, width=48, traps=["overlap"])
    dataset = MeViS(tmp_path / "t", "train")
    video, scene = dataset.videos[0], ToyWorld("train", 1, seed=1).scene(0)
    assert len(video.object_ids) == 2
    table = json.loads((tmp_path / "t" / "train" / "mask_dict.json").read_text(encoding="utf-8"))
    for k in range(scene.length):
        whole, half = (decode_rle(table[number][k], (32, 48)) for number in video.object_ids)
        assert half.any() and np.array_equal(whole & half, half) and half.sum() <= whole.sum() // 2 + 1
    ids = render(scene, range(scene.length), 32, 48)[1]
    for k in range(scene.length):
        assert np.array_equal(dataset.read_target(video, k)[0], ids[k] == scene.sentences[0].instance)


def test_traps_no_target_and_unsorted_frames(odd_toy):
    dataset = MeViS(odd_toy, "val")
    nobody = [v for v in dataset.videos if not v.object_ids]
    assert [v.expression for v in nobody] == [NOBODY] and nobody[0].evidence is None
    assert not any(dataset.read_target(nobody[0], k)[0].any() for k in range(25))
    windows = dataset.samples[dataset.samples[:, 0] == dataset.videos.index(nobody[0])][:, 1]
    assert windows.tolist() == list(range(25)), "every window, with an empty mask"
    clip = dataset[int(np.flatnonzero(dataset.samples[:, 0] == dataset.videos.index(nobody[0]))[0])]
    assert clip.expression == NOBODY and clip.mask.shape == (32, 48) and not clip.mask.any()
    listed = json.loads((odd_toy / "valid_u" / "meta_expressions.json").read_text(encoding="utf-8"))["videos"]
    assert all(video["frames"] == sorted(video["frames"], reverse=True) for video in listed.values())
    assert all(v.frames == tuple(sorted(v.frames)) for v in dataset.videos)


def test_the_same_settings_give_the_same_bytes(odd_toy, tmp_path):
    write_toy(tmp_path / "t", {"train": 2, "val": 1}, "mevis", seed=1, height=32, width=48, traps=["all"], workers=2)
    one, two = (
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in (odd_toy, tmp_path / "t")
    )
    assert one == two


# --------------------------------------------------------------------------------- run-length masks

MASKS = st.tuples(st.integers(1, 13), st.integers(1, 13), st.integers(0, 2**32), st.floats(0, 1)).map(
    lambda a: np.random.default_rng(a[2]).random(a[:2]) < a[3]
)


@given(MASKS)
def test_decoding_gives_what_was_encoded(mask):
    encoded = rle(mask)
    assert np.array_equal(decode_rle(encoded, mask.shape), mask)
    columns = mask.T.reshape(-1)
    runs, value = [0], False
    for pixel in columns:  # by hand: lengths of background and object in turn, down the columns
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    assert run_lengths(encoded["counts"]).tolist() == runs
    assert encode_rle(mask) == (encoded if mask.any() else None)


def test_large_masks_agree_with_pycocotools():
    rng = np.random.default_rng(0)
    for height, width in ((720, 1280), (1, 100_000), (100_000, 1)):
        mask = np.repeat(rng.random(height * width // 500 + 1) < 0.5, 500)[: height * width].reshape(height, width)
        mask ^= rng.random(mask.shape) < 1e-3
        assert np.array_equal(decode_rle(rle(mask), (height, width)), mask)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ("04", 'expected {"size": .*"counts": a string}'),
        ({"size": [4, 6]}, "counts"),
        ({"size": [4, 6], "counts": [True, 23]}, "counts"),
        ({"size": [6, 4], "counts": "h0"}, r"mask is \[6, 4\], its frame \[4, 6\] .*transpose forgotten\?"),
        ({"size": [2**20, 2**20], "counts": "h0"}, r"mask is \[1048576, 1048576\], its frame \[4, 6\]"),
        ({"size": None, "counts": "h0"}, "mask is None"),
        ({"size": [4, 6], "counts": ""}, "empty or cut short"),
        ({"size": [4, 6], "counts": "h"}, "empty or cut short"),
        ({"size": [4, 6], "counts": "04"}, "do not add up to the 24 pixels"),
        ({"size": [4, 6], "counts": "O1O1"}, "do not add up"),
        ({"size": [4, 6], "counts": "oooooooo0"}, "a number beyond any image"),
        ({"size": [4, 6], "counts": "ÿ"}, "characters that no run-length code has"),
        ({"size": [4, 6], "counts": "\0"}, "characters that no run-length code has"),
        ({"size": [4, 6], "counts": "p0"}, "characters that no run-length code has"),
    ],
)
def test_a_malformed_mask_is_refused_before_it_is_decoded(one, said):
    with pytest.raises(ValueError, match=said):
        decode_rle(one, (4, 6))


CODES = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12)


@given(CODES | st.text(max_size=6))
def test_any_counts_are_decoded_as_pycocotools_would_or_refused(counts):
    try:
        mask = decode_rle({"size": [4, 6], "counts": counts}, (4, 6))
    except ValueError:
        return
    assert np.array_equal(mask, coco.decode({"size": [4, 6], "counts": counts}).astype(bool))


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("", r"MeViS: no folder .*expected \{train,valid_u,valid\}/meta_expressions.*toy world"),
        ("valid_u/meta_expressions.json", r"valid_u/meta_expressions\.json is missing; download it again"),
        ("valid_u/mask_dict.json", r"MeViS: .*mask_dict\.json is missing: it holds the masks; download it again"),
        ("valid_u/JPEGImages", r"MeViS: 2 of 2 folders are missing from .*JPEGImages: expected .*first five: -a1, b\*"),
        ("valid_u/JPEGImages/b*", r"1 of 2 folders are missing from .*JPEGImages: expected .*b\* .*copy them"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(root, missing, said):
    shutil.rmtree(root / missing) if (root / missing).is_dir() else (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=said) as error:
        MeViS(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("said_of_it", "said"),
    [
        (
            {"exp": "a dog", "anno_id": "7"},
            r"video '-a1', expression '0': 'anno_id' is '7'; expected a list of integers",
        ),
        ({"exp": "a dog", "anno_id": [7, "9"]}, r"'anno_id' is \[7, '9'\]; expected a list"),
        ({"exp": "a dog", "anno_id": [True]}, r"'anno_id' is \[True\]; expected a list"),
        ({"exp": "a dog"}, r"expression '3': some expressions tell their target and some do not"),
        ({"exp": "", "anno_id": []}, r"expression '0': 'exp' is ''; expected a sentence"),
    ],
)
def test_malformed_expressions_are_named(root, said_of_it, said):
    path = root / "valid_u" / "meta_expressions.json"
    change(path, lambda table: table["videos"]["-a1"]["expressions"].update({"0": said_of_it}))
    with pytest.raises(ValueError, match=said) as error:
        MeViS(root)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_labelled_splits_must_tell_their_targets(root):
    shutil.copy(root / "valid" / "meta_expressions.json", root / "valid_u")
    with pytest.raises(ValueError, match=r"valid_u/meta_expressions\.json: no 'anno_id'"):
        MeViS(root)


@pytest.mark.parametrize("name", ["meta_expressions.json", "mask_dict.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"line 1, column 1: not JSON .*cut short\? correct it, or download it again"),
        (b'{"7": [', "not JSON .*cut short"),
        (b'{"7": "\xff"}', "line 1: byte 0xff is not UTF-8"),
        (b"[1]", r"expected a JSON object \{\.\.\.\}, found list"),
        (b"[" * 100_000, "not JSON|cannot be read"),
    ],
)
def test_damaged_json_is_named(root, name, content, said):
    (root / "valid_u" / name).write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        MeViS(root)[0]
    assert str(root / "valid_u" / name) in str(error.value)


WHERE = r"mask_dict\.json: video '-a1', expression '0': "


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (None, WHERE + r"there is no annotation '7'; download the file again"),
        ([None] * 4, WHERE + r"annotation '7' must list 5 frames, found 4 entries"),
        ({"0": None}, WHERE + r"annotation '7' must list 5 frames, found dict"),
        ([5] * 5, r"annotation '7', frame 00000 of .*-a1: expected \{.*download the file again"),
        (
            [{"size": [W, H], "counts": "P1"}] * 5,
            r"the mask is \[32, 20\], its frame \[20, 32\] .*transpose forgotten\?",
        ),
        (
            [{"size": [H, W + 1], "counts": "P1"}] * 5,
            r"the mask is \[20, 33\], its frame \[20, 32\] \(height, width\);",
        ),
        ([{"size": [H, W], "counts": "P"}] * 5, "empty or cut short"),
        ([{"size": [H, W], "counts": "1"}] * 5, "do not add up to the 640 pixels"),
    ],
)
def test_malformed_masks_are_named_by_annotation_and_frame(root, masks, said):
    path = root / "valid_u" / "mask_dict.json"
    change(path, lambda table: table.pop("7") if masks is None else table.update({"7": masks}))
    with pytest.raises(ValueError, match=said) as error:
        MeViS(root)[0]
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("stem", "spoil", "said"),
    [
        ("00000", lambda p: p.unlink(), r"no image .*00000\.jpg; download it again"),
        ("00000", lambda p: p.write_bytes(b""), r"00000\.jpg cannot be read as an image"),
        ("00002", lambda p: p.write_bytes(p.read_bytes()[:200]), r"00002\.jpg cannot be read as an image"),
        ("00000", lambda p: p.write_text("no JPEG", encoding="utf-8"), r"00000\.jpg cannot be read as an image"),
        ("00002", lambda p: Image.new("RGB", (H, W)).save(p), r"00002\.jpg is \(32, 20\), 00000\.jpg \(20, 32\)"),
        (
            "00000",
            lambda p: Image.new("RGB", (H, W)).save(p),
            r"the mask is \[20, 32\], its frame \[32, 20\] .*transpose",
        ),
    ],
)
def test_a_damaged_frame_is_named(root, stem, spoil, said):
    spoil(root / "valid_u" / "JPEGImages" / "-a1" / f"{stem}.jpg")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        MeViS(root)[0]


def test_an_unknown_split_names_those_there_are(root, toy):
    with pytest.raises(ValueError, match="unknown split 'val'; .* has train, valid_u, valid, local-train, local-val "):
        MeViS(root, "val")
    with pytest.raises(ValueError, match="has train, valid_u, valid, val, test, twins, local-train, local-val "):
        MeViS(toy, "vall")
    (root / "toy_world.json").write_text('{"splits": {"val": ["gone"]}, "sentences": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="lacks gone, which toy_world.json lists; write the toy world again"):
        MeViS(root, "val")


# ------------------------------------------------------------------------------------------- fuzz

SEEDS = st.integers(0, 2**64)
TABLE = {
    "videos": {
        "a": {"frames": ["00001", "00000"], "expressions": {"0": {"exp": "x", "obj_id": [0], "anno_id": [3, 5]}}},
        "b": {"frames": ["00000"], "expressions": {"2": {"exp": "y", "obj_id": [], "anno_id": []}}},
    }
}
MASK = rle(painted("7", 1))


@given(SEEDS)
def test_any_table_of_expressions_is_read_or_refused(seed):
    table = spoiled(TABLE, seed)
    try:
        videos, published = parse_expressions(table, "file.json", read_annotations)
    except ValueError as error:
        assert str(error).startswith("file.json: ") and len(str(error)) < 400
        return
    for video in videos:
        said = table["videos"][video.video_id]["expressions"][video.expression_id]
        assert video.expression == " ".join(said["exp"].lower().split()) and ("anno_id" in said) == published
        assert [*map(int, video.object_ids)] == [*dict.fromkeys(said.get("anno_id", []))]


@given(SEEDS)
def test_any_mask_table_is_read_or_refused(seed):
    table = spoiled({"7": [MASK, None, MASK], "9": [None, MASK, None]}, seed)
    try:
        masks = [decode_rle(one, (H, W)) for number in ("7", "9") for one in masks_of(table, number, 3, "here") if one]
    except ValueError as error:
        assert len(str(error)) < 400
        return
    for mask in masks:
        assert np.array_equal(mask, painted("7", 1))  # damage to one mask is never taken for another mask
