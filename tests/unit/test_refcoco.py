"""RefCOCO on files built by hand, on the toy world, and on pickles that are programs."""

import collections
import json
import os
import pickle
import shutil
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from dtse_core import DTSE
from dtse_core.config import DataConfig, preset
from dtse_core.data import RefCOCO
from dtse_core.data.build import build_dataset, training_splits
from dtse_core.data.prepare.check import GOOD, check
from dtse_core.data.refcoco import PICTURES, read_object, read_pickle, read_refs
from dtse_core.data.toy.layouts.refcoco import boxes, pickled
from dtse_core.data.toy.layouts.write import STILL, write_toy
from dtse_core.data.toy.scene import CENTER
from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.train import train
from tests.spoil import spoiled, spoiled_bytes

coco = pytest.importorskip("pycocotools.mask")
H, W = 12, 20
NAMES = [f"COCO_train2014_{n:012d}" for n in (9, 25, 30, 34)]
SPLITS = ["train", "train", "val", "testA"]
PLACES = {1: (slice(2, 6), slice(3, 9)), 2: (slice(7, 12), slice(10, 20)), 3: (slice(0, 12), slice(0, 4))}
SAID = {1: ["The  Red\tbox", "", "left box", "left box"], 2: ["caf\u00e9 on the right"], 3: ["the pole"]}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """No test looks at, or writes to, the user's own cache."""
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))


def mask_of(number: int) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[PLACES[number]] = True
    return mask


def segmentation(number: int):
    """A polygon, compressed run lengths, and plain ones, as annotation files have them."""
    mask = mask_of(number)
    if number == 1:
        y, x = PLACES[1]
        return [[x.start, y.start, x.stop, y.start, x.stop, y.stop, x.start, y.stop]]
    if number == 2:
        rle = coco.encode(np.asfortranarray(mask, np.uint8))
        return {"size": rle["size"], "counts": rle["counts"].decode()}
    return {"size": [H, W], "counts": [0, 4 * H, 16 * H]}


def refs() -> list[dict]:
    """Each picture has all three objects; of the third nothing is said in the first picture."""
    found = []
    for k, split in enumerate(SPLITS):
        for number in SAID if k else (1, 2):
            sentences = [{"sent": text, "raw": text, "tokens": text.split(), "sent_id": 0} for text in SAID[number]]
            about = {"ref_id": len(found), "image_id": 100 + k, "ann_id": 10 * k + number, "category_id": number}
            found.append(about | {"split": split, "sentences": sentences, "file_name": f"{NAMES[k]}_{number}.jpg"})
    return found


def instances() -> dict:
    images = [{"id": 100 + k, "file_name": f"{name}.jpg", "height": H, "width": W} for k, name in enumerate(NAMES)]
    objects = [
        {"id": 10 * k + n, "image_id": 100 + k, "category_id": n, "segmentation": segmentation(n)}
        for k in range(len(NAMES))
        for n in SAID
    ]
    return {
        "images": images,
        "annotations": objects[::-1],
        "categories": [{"id": n, "name": f"kind {n}"} for n in SAID],
    }


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Four pictures, written without the package's help; the pictures lie where REFER has them."""
    root = tmp_path_factory.mktemp("refer") / "refcoco"
    pictures = root / PICTURES[2]
    root.mkdir()
    pictures.resolve().mkdir(parents=True)
    for k, name in enumerate(NAMES):
        Image.new("RGB", (W, H), (50 * k,) * 3).save(pictures.resolve() / f"{name}.jpg")
    (root / "refs(unc).p").write_bytes(pickle.dumps(refs(), 2))
    (root / "instances.json").write_text(json.dumps(instances()), encoding="utf-8")
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    shutil.copytree(pristine.parent, tmp_path / "refer")
    return tmp_path / "refer" / "refcoco"


# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(("window", "causal"), [(3, False), (5, True), (1, False)])
def test_every_sentence_meets_its_picture_standing_still(pristine, window, causal):
    dataset = RefCOCO(pristine, "train", window, causal=causal)
    texts = {1: ["the red box", "left box"], 2: ["caf\u00e9 on the right"], 3: ["the pole"]}
    expected = [(k, n, text) for k in (0, 1) for n in ((1, 2), (1, 2, 3))[k] for text in texts[n]]
    assert len(dataset) == len(expected)
    for clip, (k, number, text) in zip((dataset[i] for i in range(len(dataset))), expected, strict=True):
        assert (clip.video_id, clip.frame_id, clip.expression) == (NAMES[k], 0, text)
        assert clip.instance_id == str(10 * k + number) and clip.evidence is None and clip.twin_mask is None
        assert clip.frames.shape == (window, H, W, 3) and (clip.frames == clip.frames[0]).all()
        assert abs(clip.frames.mean() - 50 * k) < 3
        assert np.array_equal(clip.mask, mask_of(number))
        assert clip.current == (window - 1 if causal else window // 2)
    assert {dataset.window_of(k) for k in range(len(dataset))} == set(NAMES[:2])
    assert dataset.choices() == {"refs": "refs(unc).p"}


def test_parts_are_those_of_the_refs_and_one_picture_is_held_out(pristine):
    videos = {split: {s.video for s in RefCOCO(pristine, split).samples} for split in ("train", "val", "testA")}
    assert videos == {"train": set(NAMES[:2]), "val": {NAMES[2]}, "testA": {NAMES[3]}}
    config = DataConfig(name="refcoco", root=str(pristine))
    assert training_splits(config) == ("local-train", "local-val")
    halves = [{s.video for s in build_dataset(config, split, 1).samples} for split in training_splits(config)]
    assert sorted(map(len, halves)) == [1, 1] and halves[0] | halves[1] == videos["train"]
    with pytest.raises(ValueError, match="unknown split 'testB'; .* has train, val, testA"):
        RefCOCO(pristine, "testB")


def test_of_several_refs_the_first_in_order_is_read_and_named(root):
    (root / "refs(google).p").write_bytes(pickle.dumps([], 2))
    assert RefCOCO(root).choices() == {"refs": "refs(unc).p"}
    os.rename(root / "refs(unc).p", root / "refs(umd).p")
    assert RefCOCO(root).choices() == {"refs": "refs(umd).p"}
    assert any("refs(umd).p is read, and not refs(google).p" in note for note in check("refcoco", root).notes)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_gives_the_same_refs_and_so_does_python_2(tmp_path, protocol):
    ways = {"3": pickle.dumps(refs(), protocol), "2": pickled(refs()) + b"."}
    ways["2, Latin-1"] = ways["2"].replace(rb"caf\xc3\xa9", rb"caf\xe9")
    assert ways["2, Latin-1"] != ways["2"]
    for name, content in ways.items():
        (tmp_path / name).write_bytes(content)
    expected = read_refs(tmp_path / "3")
    assert [ref.sentences for ref in expected[:2]] == [("the red box", "left box"), ("caf\u00e9 on the right",)]
    assert all(read_refs(tmp_path / name) == expected for name in ways)


@given(points=st.lists(st.tuples(st.integers(0, 4 * W), st.integers(0, 4 * H)), min_size=3, max_size=9))
def test_polygons_cover_what_pycocotools_says(points):
    polygon = [c / 4 for point in points for c in point]
    expected = coco.decode(coco.merge(coco.frPyObjects([polygon, polygon[::-1]], H, W)))
    assert np.array_equal(read_object([polygon, polygon[::-1]], (H, W), "here"), expected)


def test_the_toy_world_is_its_middle_frames_and_what_one_frame_can_tell(tmp_path):
    write_toy(tmp_path / "toy", {"train": 12}, "refcoco", 1, 64, 96, ["all"])
    dataset, scenes = RefCOCO(tmp_path / "toy", "train"), {}
    for k in range(12):
        scene = ToyWorld("train", 12, seed=1).scene(k)
        if said := {s.text: s for s in scene.sentences if s.evidence in STILL}:
            scenes[f"COCO_train2014_{scene.video_id}"] = scene, said
    assert {s.video for s in dataset.samples} == set(scenes) and len(scenes) > 2
    for clip in map(dataset.__getitem__, range(len(dataset))):
        scene, said = scenes[clip.video_id]
        frames, ids = render(scene, [CENTER], 64, 96)
        told = said[clip.expression.removesuffix(" near the caf\u00e9")]
        assert np.array_equal(clip.mask, ids[0] == told.instance) and clip.evidence == told.evidence
        assert np.abs(clip.frames[0].astype(int) - frames[0]).mean() < 8
    report = check("refcoco", tmp_path / "toy")
    assert report.code == GOOD, list(report.lines())


@given(seed=st.integers(0, 2**32))
def test_boxes_of_runs_are_the_mask(seed):
    mask = np.random.default_rng(seed).random((9, 7)) < 0.4
    if mask.any():
        assert np.array_equal(read_object(boxes(mask), mask.shape, "here"), mask)


def test_a_training_on_pictures_goes_on_with_clips(tmp_path):
    small = {"data.size": (32, 48), "train.steps": 2, "train.batch": 2, "train.eval_samples": 2}
    for layout in ("refcoco", "own"):
        write_toy(tmp_path / layout, {"train": 4, "val": 2}, layout, 1, 32, 48)
    for layout, start in (("refcoco", ""), ("own", str(tmp_path / "refcoco_run"))):
        data = {"data.name": layout, "data.root": str(tmp_path / layout), "train.start": start}
        train(preset("tiny", out=str(tmp_path / f"{layout}_run"), **small | data), progress=False)
    one, two = (load_file(tmp_path / f"{name}_run" / "final" / "model.safetensors") for name in ("refcoco", "own"))
    fresh = DTSE(preset("tiny").model).state_dict()
    away = {
        name: (two[name] - one[name]).norm() < (two[name] - fresh[name]).norm() for name in one if two[name].dim() > 2
    }
    assert sum(away.values()) > 0.9 * len(away)  # it stands near where the first phase ended


# ------------------------------------------------------------------------------------ what is wrong


class Program:
    def __reduce__(self):
        return os.system, ("touch escaped",)


class Named:
    pass


NO_PICKLES = {  # and what is said of them
    "a call": (pickle.dumps([Program()], 2), r"it asks for posix\.system|it asks for nt\.system"),
    "a call, protocol 4": (pickle.dumps([Program()], 4), r"it asks for (posix|nt)\.system"),
    "an instance": (pickle.dumps(Named(), 4), "it asks for .*Named"),
    "an old instance": (b"(S'touch escaped'\nios\nsystem\n.", r"it asks for os\.system"),
    "a call without a name": (b"\x80\x02])R.", "REDUCE"),
    "a state": (b"\x80\x02]}b.", "BUILD"),
    "a registered class": (b"\x80\x02\x82\x01.", "EXT1"),
    "an id": (b"Pexample\n.", "PERSID"),
    "a set": (pickle.dumps({1}, 4), "EMPTY_SET"),
    "an ordered dict": (pickle.dumps(collections.OrderedDict(a=1), 2), r"it asks for collections\.OrderedDict"),
    "a number of NumPy": (pickle.dumps(np.float64(1), 2), r"it asks for numpy\..*scalar"),
    "bytes": (pickle.dumps(b"abc", 4), "SHORT_BINBYTES"),
    "a terabyte": (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", "BYTEARRAY8"),
    "a buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "no opcode": (b"\xff.", "an unknown opcode"),
    "nothing": (b"", "Ran out of input|EOFError"),
    "cut": (pickle.dumps(refs(), 2)[:200], "not a pickle of plain values"),
    "a text": (b"this is a text", "not a pickle of plain values"),
    "too many lists": (b"]" * (2**24 + 1) + b".", "more than 16,777,216 lists and dicts"),
}


@pytest.mark.parametrize("kind", NO_PICKLES)
def test_a_pickle_that_is_more_than_plain_values_is_refused_by_name(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    content, said = NO_PICKLES[kind]
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_pickle(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).endswith("download it again") and not (tmp_path / "escaped").exists()


def test_a_memo_far_away_takes_no_memory(tmp_path):
    (tmp_path / "refs").write_bytes(
        b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b"j" + struct.pack("<I", 2**32 - 1) + b"."
    )
    assert read_pickle(tmp_path / "refs") == []


def change(path, edit) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def say(root, edit) -> None:
    value = refs()
    (root / "refs(unc).p").write_bytes(pickle.dumps(edit(value) or value, 2))


def outline(value):
    """Replaces the outline of the first object, which is last in the file."""
    return lambda root: change(root / "instances.json", lambda v: v["annotations"][-1].update(segmentation=value))


TABLE = "instances.json"
WRONG = {
    "no refs": (lambda r: (r / "refs(unc).p").unlink(), r"refs\(unc\)\.p missing; .* must hold instances\.json"),
    "no table": (lambda r: (r / TABLE).unlink(), r"instances\.json missing"),
    "no pictures": (lambda r: shutil.rmtree((r / PICTURES[2]).resolve()), r"no pictures in .*train2014.zip"),
    "a dict": (lambda r: say(r, lambda v: {"refs": v}), "expected a list, found dict"),
    "a key less": (lambda r: say(r, lambda v: v[1].pop("ann_id") and None),
                   "entry 2: expected a dict of image_id, ann_id"),
    "a text for a number": (lambda r: say(r, lambda v: v[1].update(image_id="100")), "entry 2: expected a dict"),
    "a number for a text": (lambda r: say(r, lambda v: v[1]["sentences"][0].update(sent=5)),
                            "entry 2: expected a dict"),
    "a split without a name": (lambda r: say(r, lambda v: v[1].update(split="")), "entry 2: expected .*split"),
    "a split outside": (lambda r: say(r, lambda v: v[1].update(split="../x")), "entry 2: expected .*split"),
    "nothing said": (lambda r: say(r, lambda v: v[1].update(sentences=None)), "entry 2: expected a dict"),
    "another object": (lambda r: say(r, lambda v: v[1].update(ann_id=99)), "has no object 99 in picture 100"),
    "another picture": (lambda r: say(r, lambda v: v[1].update(image_id=101)), "has no object 2 in picture 101"),
    "a picture less": (lambda r: change(r / TABLE, lambda v: v["images"].pop(0)), "lacks picture 100, one of 1"),
    "an object twice": (lambda r: change(r / TABLE, lambda v: v["annotations"].append(v["annotations"][0] | {"id": 1})),
                        "two things of the number 1"),
    "a picture twice": (lambda r: change(r / TABLE, lambda v: v["images"].append(v["images"][1] | {"id": 100})),
                        "two things of the number 100"),
    "no sentences": (lambda r: say(r, lambda v: [one | {"sentences": []} for one in v]), "holds no sentence; download"),
    "no entries": (lambda r: say(r, lambda v: v.clear()), "holds no sentence; download"),
    "no objects": (lambda r: change(r / TABLE, lambda v: v.pop("annotations")), "expected COCO's images"),
    "an object of NaN": (lambda r: change(r / TABLE, lambda v: v["annotations"][0].update(id=float("nan"))),
                         "NaN is not a number"),
    "a path": (lambda r: change(r / TABLE, lambda v: v["images"][0].update(file_name="../../secret.jpg")),
               "a picture named '../../secret"),
    "a name twice": (lambda r: change(r / TABLE, lambda v: v["images"][0].update(file_name=f"{NAMES[1]}.png")),
                     f"two pictures named {NAMES[1]}, and a clip is known by it"),
    "no size": (lambda r: change(r / TABLE, lambda v: v["images"][0].update(height=10**9)),
                r"with the size \[1000000000, 20\]"),
    "another size": (lambda r: change(r / TABLE, lambda v: v["images"][0].update(height=W, width=H)),
                     "transpose forgotten"),
    "a line": (outline([[1, 2, 3, 4]]), r"object 1: expected polygons"),
    "an odd number": (outline([[1, 2, 3, 4, 5, 6, 7]]), r"object 1: expected polygons"),
    "far away": (outline([[1, 2, 3, 4, 5, 1e9]]), r"object 1: expected polygons"),
    "no polygon": (outline([]), r"object 1: expected polygons"),
    "words": (outline([["1", 2, 3, 4, 5, 6]]), r"object 1: expected polygons"),
    "short runs": (outline({"size": [H, W], "counts": [5, 6]}), "object 1: the runs do not add up"),
    "other runs": (outline({"size": [W, H], "counts": [H * W]}), "object 1: the mask is .*transpose forgotten"),
    "true runs": (outline({"size": [H, W], "counts": [True, H * W - 1]}), "object 1: expected .*counts"),
    "a picture": (lambda r: ((r / PICTURES[2]).resolve() / f"{NAMES[0]}.jpg").write_bytes(b"GIF"),
                  "cannot be read as an image"),
    "no picture": (lambda r: ((r / PICTURES[2]).resolve() / f"{NAMES[0]}.jpg").unlink(), "no image"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_said_by_loader_and_check(root, fault):
    spoil, said = WRONG[fault]
    spoil(root)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        dataset = RefCOCO(root, "train")
        for k in range(len(dataset)):
            dataset[k]
    assert "\n" not in str(caught.value) and str(root.parent) in str(caught.value)
    report = check("refcoco", root)
    assert report.code != GOOD and len(report.missing + report.wrong) >= 1
    assert all("\n" not in line for line in report.missing + report.wrong)


@given(seed=st.integers(0, 2**32))
def test_no_spoiled_refs_end_in_another_error(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("spoiled") / "refs(unc).p"
    for content in (pickle.dumps(spoiled(refs(), seed), 2), spoiled_bytes(pickle.dumps(refs(), 2), seed)):
        path.write_bytes(content)
        try:
            assert all(isinstance(text, str) and text for ref in read_refs(path) for text in ref.sentences)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
