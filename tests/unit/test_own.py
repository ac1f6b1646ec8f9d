"""One's own clips: a folder made with other programs is read and checked, or what is wrong with it is said."""

import json
import os
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dtse_core.config import DataConfig
from dtse_core.data import OwnData
from dtse_core.data.build import build_dataset, training_splits
from dtse_core.data.clip import window_indices
from dtse_core.data.own import mask_files, read_sentences
from dtse_core.data.prepare.check import GOOD, INCOMPLETE, MALFORMED, check
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import ToyWorld, render
from tests.packing import png_bytes
from tests.spoil import spoiled, spoiled_bytes

av = pytest.importorskip("av")
H, W = 24, 40
PHOTOS = [f"IMG_{n}.JPG" for n in (8, 9, 10, 11)]  # in the order of time, which is not that of the letters
CAFE = "Ein Café (1) [a-z]"
FORM = unicodedata.normalize("NFD", CAFE)  # the same name, with é as two characters
SAID = {
    "train": {
        CAFE: [
            {"object": 1, "sentence": "The  brown dog\ton the left"},
            {"object": [2, 1], "sentence": "both dogs"},
            {"object": [], "sentence": "the cat"},
        ],
        "street": [{"object": 255, "sentence": "a car"}],
    },
    "test": {"film": [{"object": 1, "sentence": "the ball"}]},
}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """No test looks at, or writes to, the user's own cache."""
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))


def box(number: int, k: int) -> tuple[slice, slice]:
    """Where an object is in frame `k`: it moves, and no two overlap."""
    return slice(8 * (number % 3), 8 * (number % 3) + 5), slice(3 * k, 3 * k + 6)


def numbers(objects, k: int) -> np.ndarray:
    found = np.zeros((H, W), np.uint8)
    for number in objects:
        found[box(number, k)] = number
    return found


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Photos of a camera with palette masks, frames with a gray mask, and a film: none written by the package."""
    root = tmp_path_factory.mktemp("own")
    for clip, names, objects in ((CAFE, PHOTOS, (1, 2)), ("street", [f"{k}.png" for k in range(3)], (255,))):
        (root / "clips" / clip).mkdir(parents=True)
        (root / "masks" / clip).mkdir(parents=True)
        for k, name in enumerate(names):
            Image.new("RGB", (W, H), (40 * k,) * 3).save(root / "clips" / clip / name)
            if k % 2:  # not every frame is annotated
                image = Image.fromarray(numbers(objects, k))
                if clip == CAFE:
                    image.putpalette([0, 0, 200] * 256)  # one color: only the index tells
                image.save(root / "masks" / clip / f"{Path(name).stem}.PNG", "PNG")
    with av.open(root / "clips" / "film.MP4", "w", format="mp4") as film:
        stream = film.add_stream("mpeg4", 10, width=W, height=H, pix_fmt="yuv420p", options={"qscale": "2"})
        for k in range(6):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((H, W, 3), 40 * k, np.uint8), "rgb24")))
        film.mux(stream.encode())
    (root / "masks" / "film").mkdir()
    for k in (0, 4):
        Image.fromarray(numbers([1] if k else [], k)).save(root / "masks" / "film" / f"frame_{k:06d}.png")
    (root / "clips" / ".DS_Store").touch()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "masks" / "film" / name).touch()
    (root / "sentences.json").write_text("\ufeff" + json.dumps(SAID), encoding="utf-8")  # as some editors begin a file
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "own")


def say(root: Path, change) -> None:
    """Rewrites sentences.json after `change` of its content."""
    value = json.loads(json.dumps(SAID))
    value = change(value) or value
    (root / "sentences.json").write_text(json.dumps(value), encoding="utf-8")


# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(("split", "clips"), [("train", [CAFE, "street"]), ("test", ["film"])])
@pytest.mark.parametrize(("window", "offset", "causal"), [(3, 1, False), (3, 2, True), (1, 6, False)])
def test_every_sentence_meets_every_frame_with_a_mask(pristine, split, clips, window, offset, causal):
    annotated, length = {CAFE: (1, 3), "street": (1,), "film": (0, 4)}, {CAFE: 4, "street": 3, "film": 6}
    expected = []
    for clip in clips:
        for said in SAID[split][clip]:
            objects = said["object"] if isinstance(said["object"], list) else [said["object"]]
            for k in annotated[clip]:
                shown = np.zeros((H, W), bool)
                for number in objects if (clip, k) != ("film", 0) else ():
                    shown[box(number, k)] = True
                text = " ".join(said["sentence"].lower().split())
                grays = [40 * i for i in window_indices(k, length[clip], window, offset, causal)[0]]
                expected.append((clip, k, text, "+".join(map(str, sorted(objects))), grays, shown))
    dataset = OwnData(pristine, split, window, offset, causal)
    assert len(dataset) == len(expected)
    for k, (clip, frame, text, instance, grays, shown) in enumerate(expected):
        found = dataset[k]
        assert (found.video_id, found.frame_id, found.expression, found.instance_id) == (clip, frame, text, instance)
        assert np.abs(found.frames.mean((1, 2, 3)) - grays).max() < 4 and found.frames.shape == (window, H, W, 3)
        assert np.array_equal(found.mask, shown) and found.evidence is None and found.twin_mask is None
        assert found.current == (window - 1 if causal else window // 2)
    assert [dataset.window_of(k) for k in range(len(dataset))] == [(clip, frame) for clip, frame, *_ in expected]
    assert len({(dataset[k].sample_id, dataset[k].expression) for k in range(len(dataset))}) == len(dataset)


def test_names_are_found_however_a_system_writes_their_accents(root):
    assert FORM != CAFE
    for name in PHOTOS:
        (root / "clips" / CAFE / name).rename(root / "clips" / CAFE / f"é{name}")
    for path in list((root / "masks" / CAFE).iterdir()):
        path.rename(path.with_name(unicodedata.normalize("NFD", f"é{path.name}")))
    os.rename(root / "masks" / CAFE, root / "masks" / FORM)
    say(root, lambda said: {"train": {FORM: said["train"][CAFE]}})
    assert [(s.video, s.frame) for s in OwnData(root, "train").samples] == [(CAFE, 1), (CAFE, 3)] * 3


def test_a_clip_is_held_out_unless_the_file_has_a_val(root, pristine):
    config = DataConfig(name="own", root=str(pristine))
    assert training_splits(config) == ("local-train", "local-val")
    parts = [{s.video for s in build_dataset(config, split, 1).samples} for split in training_splits(config)]
    assert sorted(map(len, parts)) == [1, 1] and parts[0] | parts[1] == {CAFE, "street"}
    say(root, lambda said: {"train": {CAFE: said["train"][CAFE]}, "val": {"street": said["train"]["street"]}})
    for split, clips in (("local-train", {CAFE}), ("local-val", {"street"}), ("train", {CAFE}), ("val", {"street"})):
        assert {s.video for s in OwnData(root, split).samples} == clips
    say(root, lambda said: {"train": {"street": said["train"]["street"]}})
    with pytest.raises(ValueError, match="no sentence in split 'local-train' of .*so that \"train\" needs two"):
        OwnData(root, "local-train")
    with pytest.raises(ValueError, match="'test'; .* has train, local-train, local-val .*--split NAME to"):
        OwnData(root)


def test_a_split_without_clips_is_as_if_it_were_not_there(root):
    say(root, lambda said: said.update(val={}))
    assert len(OwnData(root, "local-val")) and len(OwnData(root, "local-train")) < len(OwnData(root, "train"))
    with pytest.raises(ValueError, match="unknown split 'val'"):
        OwnData(root, "val")


def test_the_toy_world_is_read_as_it_was_drawn(tmp_path):
    write_toy(tmp_path / "toy", {"train": 1, "twins": 2}, "own", 1, 64, 96, ["video", "odd_names"])
    dataset = OwnData(tmp_path / "toy", "twins")
    scenes = {k: ToyWorld("twins", 2, seed=1).scene(k) for k in range(2)}
    names = {scene.video_id: scene for scene in scenes.values()}
    assert {s.video for s in dataset.samples} - set(names) == {"a[b-c]{d}"}  # the second clip's name
    twins = 0
    for clip in map(dataset.__getitem__, range(len(dataset))):
        scene = names.get(clip.video_id) or next(s for n, s in names.items() if n not in dataset.clips)
        _, ids = render(scene, [clip.frame_id], 64, 96)
        said = {(s.instance, s.text): s for s in scene.sentences}[int(clip.instance_id), clip.expression]
        assert np.array_equal(clip.mask, ids[0] == said.instance) and clip.evidence == said.evidence
        if said.twin:
            twins += 1
            assert np.array_equal(clip.twin_mask, ids[0] == said.twin)
    assert twins


# ------------------------------------------------------------------------------------ what is wrong


def test_a_sound_folder_is_ready_and_what_it_lacks_is_noted(pristine):
    for deep in (False, True):
        report = check("own", pristine, deep)
        assert report.code == GOOD and not report.notes, list(report.lines())
        counts = {row.what: row.found for row in report.rows}
        assert counts["masks"] == 5 and counts["frames without a mask"] == 8 and counts["sentences"] == 5
        assert counts["decoded frames"] == (13 if deep else 3)


def replace_mask(root: Path, image: Image.Image) -> None:
    image.save(root / "masks" / "street" / "1.PNG", "PNG")


def entry(**changes):
    """Replaces what is said of the street."""
    return lambda said: said["train"].update(street=[{"object": 255, "sentence": "a car"} | changes])


def only(key):
    return lambda said: said["train"].update(street=[{key: 1}])


WRONG = {  # what was done: to the folder, or to sentences.json; then what check and loader say of it
    "no sentences": (lambda r: (r / "sentences.json").unlink(),
                     r"sentences\.json missing; .* must hold sentences\.json"),
    "no masks": (lambda r: shutil.rmtree(r / "masks"), "masks missing; .* must hold"),
    "a clip's masks": (lambda r: shutil.rmtree(r / "masks" / "street"), "expected a folder of its masks named street"),
    "no clip": (lambda r: shutil.rmtree(r / "clips" / "street"),
                "expected a folder of its frames or a video named street"),
    "case": (lambda r: os.rename(r / "clips" / "street", r / "clips" / "Street"),
             "there is 'Street', which differs in case"),
    "suffix": (lambda r: say(r, lambda s: s["test"].update({"film.MP4": s["test"].pop("film")})),
               "there is 'film', which differs .* by a suffix"),
    "clips in a file": (lambda r: (shutil.rmtree(r / "clips"), (r / "clips").touch()),
                        "clips is not a folder; expected in it a folder of its frames or a video"),
    "two clips": (lambda r: (r / "clips" / "street.avi").touch(), r"holds street and street\.avi, two of one name"),
    "mask's name": (lambda r: (r / "masks/street/1.PNG").rename(r / "masks/street/01.png"),
                    r"01\.png: a mask has the name of a frame of .*street, such as 0\.png; rename it"),
    "film's mask": (lambda r: (r / "masks/film/frame_000004.png").rename(r / "masks/film/last.png"),
                    r"last\.png: a mask has the number of its frame, from 0; rename it"),
    "beyond the end": (lambda r: (r / "masks/film/frame_000004.png").rename(r / "masks/film/frame_6.png"),
                       r"6\.png is of frame 6, but .*film\.MP4 ends with 5; rename it"),
    "another number": (lambda r: (r / "masks/film/frame_000004.png").rename(r / "masks/film/frame_4_object_1.png"),
                       r"film holds frame_000000\.png and frame_4_object_1\.png; the last number is taken"),
    "two masks": (lambda r: shutil.copy(r / "masks/film/frame_000004.png", r / "masks/film/4.png"),
                  r"holds 4\.png and frame_000004\.png, two masks of one frame"),
    "JPEG mask": (lambda r: Image.new("L", (W, H)).save(r / "masks/street/0.jpg"), r"0\.jpg is not a PNG; export"),
    "no mask": (lambda r: (r / "masks/street/1.PNG").unlink(), "street holds no masks; export PNGs to it"),
    "size": (lambda r: replace_mask(r, Image.fromarray(numbers([255], 1).T.copy())),
             r"\(40, 24\), its frame \(24, 40\) \(height, width\) \(transpose forgotten\?\)"),
    "JPEG within": (lambda r: Image.new("L", (W, H), 255).save(r / "masks/street/1.PNG", "JPEG"),
                    r"1\.PNG cannot be read as an image \(it is not PNG\); write"),
    "16 bits": (lambda r: replace_mask(r, Image.fromarray(numbers([255], 1).astype(np.uint16))),
                "mode I;16; masks are .* gray ones of 8 bits, .*: save it so"),
    "4 bits": (lambda r: (r / "masks/street/1.PNG").write_bytes(png_bytes(numbers([255], 1) & 15, 4)),
               "an image gray of 4 bits; masks are .* gray ones of 8 bits, .*: save it so"),
    "a smaller frame": (lambda r: Image.new("RGB", (W - 2, H)).save(r / "clips/street/1.png"),
                        r"1\.png is \(24, 38\), .* \(24, 40\)|the mask is \(24, 40\), its frame \(24, 38\)"),
    "colors": (lambda r: replace_mask(r, Image.new("RGB", (W, H), "red")), "mode RGB; masks are palette PNGs"),
    "cut": (lambda r: (r / "masks/street/1.PNG").write_bytes((r / "masks/street/1.PNG").read_bytes()[:60]),
            r"1\.PNG cannot be read as an image .*write or download it again"),
    "object": (lambda r: say(r, entry(object=1)), "street.* never .*1"),
    "NaN": (lambda r: say(r, entry(object=float("nan"))),
            "sentences.json: JSON .*NaN is not a number.*correct the file"),
    "text for a number": (lambda r: say(r, entry(object="1")),
                          r"street' of 'train', entry 1: 'object' is '1'; expected a number"),
    "true": (lambda r: say(r, entry(object=True)), "'object' is True; expected a number from 1 to 255"),
    "background": (lambda r: say(r, entry(object=[0, 1])), r"'object' is \[0, 1\]; expected a number from 1 to 255"),
    "no words": (lambda r: say(r, entry(sentence=" \t")), r"'sentence' is ' \\t'; expected words"),
    "further keys": (lambda r: say(r, entry(color="red")), "entry 1: expected .*\"sentence\".*, found .*red"),
    "a key less": (lambda r: say(r, only("object")), "entry 1: expected .*\"sentence\".*correct it"),
    "no list": (lambda r: say(r, lambda s: s["train"].update(street={})), r"expected a list of .*, found \{\}"),
    "no splits": (lambda r: say(r, lambda s: s["train"]), r"split 'Ein Café.*expected a JSON object .*correct it"),
    "said twice": (lambda r: say(r, lambda s: s["train"]["street"].append({"object": [255], "sentence": " A car"})),
                   "entry 2: 'a car' is said twice of the same"),
    "outside": (lambda r: say(r, lambda s: s["train"].update({"../own/clips/street": s["train"].pop("street")})),
                r"clip '\.\./own/clips/street' of 'train' cannot be the name of a folder"),
    "absolute": (lambda r: say(r, lambda s: s["train"].update({"/etc": s["train"].pop("street")})),
                 "cannot be the name"),
    "leak": (lambda r: say(r, lambda s: s["test"].update(street=s["train"]["street"])),
             "is in 'train' as well; .*list it once"),
    "leak of another form": (lambda r: say(r, lambda s: s["test"].update({FORM: s["train"][CAFE]})),
                             "is in 'train' as well; .*list it once"),
    "twice in two forms": (lambda r: say(r, lambda s: s["train"].update({FORM: s["train"][CAFE]})),
                           "is in 'train' as well; .*list it once"),
    "no clip listed": (lambda r: say(r, lambda s: {"train": {}, "test": {}}), r"sentences\.json lists no clip; list"),
    "half's name": (lambda r: say(r, lambda s: {"local-val": s["train"]} | s),
                    "'local-val' is what one half of train is called"),
    "split without a name": (lambda r: say(r, lambda s: {"": s["test"]} | s), "'' cannot name a split; give it a name"),
    "split in two cases": (lambda r: say(r, lambda s: {"Test": s["test"]} | s), "'test' differ in case alone"),
    "split outside": (lambda r: say(r, lambda s: {"../x": s["test"]} | s), r"'\.\./x' cannot name a split"),
    "split with a space": (lambda r: say(r, lambda s: {"train ": s["test"]} | s), "'train ' cannot name a split"),
    "cut JSON": (lambda r: (r / "sentences.json").write_text('{"train": {"street": [', "utf-8"),
                 r"line 1, column \d+: not JSON .*correct it"),
    "a list": (lambda r: (r / "sentences.json").write_text("[]", "utf-8"),
               r"expected a JSON object \{\.\.\.\}, found list; correct it"),
    "twice": (lambda r: (r / "sentences.json").write_text('{"train": {}, "train": {}}', "utf-8"),
              "'train' occurs twice in one object"),
    "latin-1": (lambda r: (r / "sentences.json").write_bytes('{"é": {}}'.encode("latin-1")),
                "is not UTF-8; save it so"),
    "pipe": (lambda r: os.mkfifo(r / "masks/street/2.png"),
             r"2\.png cannot be read as an image \(a pipe or a device\)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_said_in_one_line_that_names_file_and_remedy(root, fault):
    spoil, said = WRONG[fault]
    spoil(root)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        for split in ("train", "test"):
            dataset = OwnData(root, split)
            for k in range(len(dataset)):
                dataset[k]
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)
    report = check("own", root)
    entries = report.missing + report.wrong
    assert report.code in (INCOMPLETE, MALFORMED) and any(re.search(said, line) for line in entries), entries


def test_an_object_that_no_mask_shows_is_found_though_others_are_shown(root):
    say(root, lambda said: said["train"][CAFE].append({"object": 7, "sentence": "the seventh"}))
    report = check("own", root)
    assert report.code == MALFORMED
    assert "never shows object 7, to which a sentence refers; its masks show 1, 2: correct 'object'" in report.wrong[0]


def test_what_a_training_would_lack_or_misread_is_noted_although_all_is_sound(root):
    say(root, lambda said: {"train": {"street": said["train"]["street"]}, "test": said["test"]})
    smoothed = numbers([255], 1)
    smoothed[-1] = np.linspace(0, 255, W)
    replace_mask(root, Image.fromarray(smoothed))
    report = check("own", root)
    assert report.code == GOOD and len(report.notes) == 2
    assert "one clip of 'train' and none of 'val': a training needs another" in report.notes[0]
    assert re.search(r"street shows \d+ objects of which nothing is said; .*without anti-aliasing", report.notes[1])


def test_a_fault_that_every_clip_meets_is_said_once(root):
    (root / "clips" / "film.srt").touch()
    assert len(check("own", root).wrong) == 1


@given(seed=st.integers(0, 2**32))
def test_no_spoiled_file_of_sentences_ends_in_another_error(seed):
    folder = Path(os.environ["DTSE_CACHE"])
    folder.mkdir(exist_ok=True)
    for content in (json.dumps(spoiled(SAID, seed)).encode(), spoiled_bytes(json.dumps(SAID).encode(), seed)):
        path = folder / "sentences.json"
        path.write_bytes(content)
        try:
            for clips in read_sentences(path).values():
                assert all(
                    objects == tuple(sorted(set(objects))) and text for s in clips.values() for objects, text in s
                )
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def test_masks_come_in_the_order_of_time_whatever_their_names(tmp_path):
    for folder, names in (("clip", (f"f{k}.jpg" for k in range(12))), ("masks", (f"f{k}.png" for k in (2, 10, 1)))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new("L", (2, 2)).save(tmp_path / folder / name)
    assert list(mask_files(tmp_path / "masks", tmp_path / "clip")) == [1, 2, 10]
