"""The A2D-Sentences loader on a tree built by hand, one trap of the genuine files after the other."""

import hashlib
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
from dtse_core.data import A2DSentences, ToyWorld
from dtse_core.data.a2d import read_instances, read_masks, read_sentences, read_videos
from dtse_core.data.build import build_dataset
from dtse_core.data.sample_lists import read_a2d_list
from dtse_core.data.sentences import clean_expression
from dtse_core.data.toy.layouts.a2d import TRAPS, write_annotation
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import render
from dtse_core.video.writing import write_video

h5py = pytest.importorskip("h5py")
H, W, LENGTH = 32, 48, 20
NOTES = "text_annotations"


def frames_of(shift: int) -> np.ndarray:
    """Frame k is grey 10 k + shift: its number can be read off."""
    return np.stack([np.full((H, W, 3), 10 * k + shift, np.uint8) for k in range(LENGTH)])


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[top : top + height, left : left + width] = True
    return mask


def annotate(root, video: str, frame: int, masks: dict[int, np.ndarray] | list) -> None:
    """As MATLAB leaves it: reversed axes, squeezed when there is one. Written without the package's help."""
    items = list(masks.items()) if isinstance(masks, dict) else masks
    folder = root / NOTES / "a2d_annotation_with_instances" / video
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.zeros((len(items), W, H), np.uint8)
    for n, (_, mask) in enumerate(items):
        for y in range(H):
            for x in range(W):
                stored[n, x, y] = mask[y, x]
    with h5py.File(folder / f"{frame:05d}.h5", "w") as file:
        file["instance"] = np.array([number for number, _ in items], float)
        file["reMask"] = stored[0] if len(items) == 1 else stored
        file["reBBox"] = np.zeros((4, len(items)))


A, B, C = box(2, 5, 9, 20), box(15, 30, 10, 7), box(25, 1, 4, 13)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two training videos and four for testing, with the oddities of the genuine files."""
    tmp_path = tmp_path_factory.mktemp("a2d")
    (tmp_path / "Release").mkdir()
    videos = {"-dashed": 0, "plain": 0, "NA": 1, "_under": 1, "mute": 1, "untold": 1}
    (tmp_path / "Release" / "videoset.csv").write_text(
        "".join(f"{v},11,0:00,0:02,{H},{W},{LENGTH},3,{subset}\n" for v, subset in videos.items()), encoding="utf-8"
    )
    for k, video in enumerate(videos):
        write_video(tmp_path / "Release" / "clips320H" / f"{video}.mp4", frames_of(k), 10, quality=1)
    annotate(tmp_path, "-dashed", 1, {0: A})  # first frame, one instance
    annotate(tmp_path, "-dashed", 20, {1: C, 0: B})  # last frame, instances out of order
    annotate(tmp_path, "plain", 7, {2: B})
    annotate(tmp_path, "NA", 5, {0: A, 1: B})
    annotate(tmp_path, "NA", 9, {1: C})  # a single mask, of another instance than 0
    annotate(tmp_path, "_under", 10, {0: C})
    notes = tmp_path / NOTES
    (notes / "a2d_missed_videos.txt").write_text("mute\n", encoding="utf-8")
    (notes / "a2d_annotation.txt").write_text(
        "video_id,instance_id,query\n"
        "-dashed,0,A  Dog\tRunning\n"
        "-dashed,1,the cat\n"
        "plain,2,a ball\n"
        'NA,0,"man, in ""red"" shirt"\n'
        "NA,1,the bird\n"
        "_under,1 (copy),a thing\n"
        "_under,0,a thing\n"
        "mute,0,never seen\n",
        encoding="utf-8",
    )
    return tmp_path


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "a2d")


def keys(dataset):
    return [(s.video, int(s.stem), s.instance, s.query) for s in dataset.samples]


def test_samples_are_the_sentences_in_frames_that_hold_their_instance(root):
    assert keys(A2DSentences(root, "train")) == [
        ("-dashed", 1, 0, "a dog running"),
        ("-dashed", 20, 0, "a dog running"),
        ("-dashed", 20, 1, "the cat"),
        ("plain", 7, 2, "a ball"),
    ]
    assert keys(A2DSentences(root, "test")) == [
        ("NA", 5, 0, 'man, in "red" shirt'),  # not frame 9, whose only mask is instance 1
        ("NA", 5, 1, "the bird"),
        ("NA", 9, 1, "the bird"),
        ("_under", 10, 0, "a thing"),
    ]


def test_masks_are_those_that_were_drawn(root):
    train, test = A2DSentences(root, "train"), A2DSentences(root, "test")
    for dataset, masks in ((train, [A, B, C, B]), (test, [A, B, C, C])):
        assert len(dataset) == len(masks)
        for k, mask in enumerate(masks):
            clip = dataset[k]
            assert clip.mask.dtype == bool and np.array_equal(clip.mask, mask), clip.sample_id


@pytest.mark.parametrize(
    ("settings", "expected", "slot"),
    [
        ({"window": 1}, [[0], [19], [6]], 0),
        ({"window": 3, "offset": 2}, [[0, 0, 2], [17, 19, 19], [4, 6, 8]], 1),
        ({"window": 3, "offset": 2, "causal": True}, [[0, 0, 0], [15, 17, 19], [2, 4, 6]], 2),
        ({"window": 5, "offset": 6}, [[0, 0, 0, 6, 12], [7, 13, 19, 19, 19], [0, 0, 6, 12, 18]], 2),
    ],
)
def test_frame_numbers_on_disk_count_from_one(root, settings, expected, slot):
    train = A2DSentences(root, "train", **settings)
    for k, shift, indices in ((0, 0, expected[0]), (1, 0, expected[1]), (3, 1, expected[2])):
        clip = train[k]
        assert clip.current == slot and clip.frames.shape == (len(indices), H, W, 3)
        numbers = (clip.frames.mean((1, 2, 3)) - shift) / 10
        assert np.abs(numbers - indices).max() < 0.3  # half a frame would be 0.5
        assert clip.frame_id == indices[slot] + 1


def test_sample_ids_follow_the_evaluation_protocol(root):
    clip = A2DSentences(root, "train")[1]
    assert clip.sample_id == "v_-dashed_f_20_i_0" and clip.expression == "a dog running"
    assert clip.evidence is None and clip.twin_mask is None


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_data_set_survives_pickling_and_workers(pristine, method):
    dataset = A2DSentences(pristine, "test", window=1)
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again[0].mask, dataset[0].mask)
    clips = list(
        DataLoader(dataset, None, num_workers=2 if method == "fork" else 1, multiprocessing_context=method, timeout=120)
    )
    assert [c.sample_id for c in clips] == ["v_NA_f_5_i_0", "v_NA_f_5_i_1", "v_NA_f_9_i_1", "v__under_f_10_i_0"]
    for clip, own in zip(clips, map(dataset.__getitem__, range(4)), strict=True):
        assert np.array_equal(clip.frames, own.frames) and np.array_equal(clip.mask, own.mask)


def test_a_published_list_chooses_the_samples(root, tmp_path):
    path = tmp_path / "list.json"
    path.write_text(
        json.dumps([["The  BIRD", "NA", 9, 1], ["a dog", "-dashed", 1, 0], ["a thing", "_under", 10, "0"]]),
        encoding="utf-8",
    )
    dataset = A2DSentences(root, "test", frames=f"list={path}")
    assert keys(dataset) == [("NA", 9, 1, "the bird"), ("_under", 10, 0, "a thing")]  # the second is of train
    said = dataset.choices()
    assert said["list"] == "2 of 3 entries used"
    assert said["list_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.array_equal(dataset[0].mask, C) and dataset[0].frame_id == 9
    built = build_dataset(DataConfig(name="a2d", root=str(root), frames=f"list={path}"), "train", 3)
    assert keys(built) == [("-dashed", 1, 0, "a dog")]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (["the bird", "NA", 9], r"entry 1: expected \[query, video, frame, instance\]"),
        (["the bird", "NA", "9", 1], "entry 1: expected"),
        ([" ", "NA", 9, 1], "entry 1: expected"),
        (["the bird", "NA", 9, True], "entry 1: expected"),
        (["the bird", "NA", 10, 1], r"no annotation .*NA/00010\.h5; download it again"),
        (["the bird", "NA", 9, 0], r"00009\.h5 no longer holds instance 0, it holds \[1\]"),
        (["the bird", "NA", 9, -1], "entry 1: expected"),
        (["the bird", "NA", 9, "1 (copy)"], "entry 1: expected"),
        (["the bird", "gone", 9, 1], "1 of 1 entries name 1 videos that .* lacks, first five: gone; complete the copy"),
        (["never seen", "mute", 9, 0], "1 of 1 entries name 1 videos that .* lacks, first five: mute"),
    ],
)
def test_a_list_that_does_not_fit_is_named(root, tmp_path, entry, said):
    (tmp_path / "list.json").write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        A2DSentences(root, "test", frames=f"list={tmp_path / 'list.json'}")[0]
    with pytest.raises(
        ValueError, match="unknown choice of frames 'all'; expected list= .*; nothing is every annotated"
    ):
        A2DSentences(root, "test", frames="all")


def test_categories_are_what_the_actor_does(root):
    table = root / "Release" / "videoset.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("NA,11,", "NA,78,").replace("_under,11,", "_under,80,"),
        encoding="utf-8",
    )
    dataset = A2DSentences(root, "test")
    assert dataset.category("NA") == "dog walking" and dataset.category("_under") == "80"
    assert A2DSentences(root, "train").category("plain") == "adult climbing"


def test_the_genuine_file_with_one_odd_row_gives_no_warning(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        A2DSentences(root, "train")[0]
    notes = root / NOTES / "a2d_annotation.txt"
    notes.write_text(notes.read_text(encoding="utf-8") + "plain,2 (copy),a ball\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"2 rows without an integer instance were skipped: .*2 \(copy\)"):
        A2DSentences(root, "train")
    notes.write_text(
        "".join(line for line in notes.read_text(encoding="utf-8").splitlines(True) if "copy" not in line),
        encoding="utf-8",
    )
    with pytest.warns(UserWarning, match="0 rows without an integer instance"):
        A2DSentences(root, "train")


def test_of_a_doubled_instance_the_first_mask_is_taken(root):
    annotate(root, "plain", 7, [(2, C), (2, B)])
    with pytest.warns(UserWarning, match=r"00007\.h5 holds instance 2 2 times"):
        clip = A2DSentences(root, "train")[3]
    assert np.array_equal(clip.mask, C)


def test_a_repeated_row_is_taken_once(root):
    notes = root / NOTES / "a2d_annotation.txt"
    notes.write_text(notes.read_text(encoding="utf-8") + "plain,2,A ball\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="line 10: repeats"):
        assert len(A2DSentences(root, "train")) == 4


def test_extracted_frames_stand_in_for_a_video(root):
    path = root / "Release" / "clips320H" / "plain"
    path.with_suffix(".mp4").unlink()
    path.mkdir()
    for k, frame in enumerate(frames_of(1)):
        Image.fromarray(frame).save(path / f"{k + 1:05d}.png")
    clip = A2DSentences(root, "train", offset=2)[3]
    assert np.array_equal(clip.frames, frames_of(1)[[4, 6, 8]])
    for gap, said in ((5, "number 5 is 00006"), (1, "number 1 is 00002")):  # masks would be of the frame before
        (path / f"{gap:05d}.png").unlink()
        with pytest.raises(ValueError, match=rf"must be numbered from 1 without a gap; {said}\.png; extract them"):
            A2DSentences(root, "train")[3]


def test_a_length_that_the_table_denies_is_said_once(root):
    table = root / "Release" / "videoset.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(f",{LENGTH},3,0", ",21,3,0"), encoding="utf-8")
    dataset = A2DSentences(root, "train")
    with pytest.warns(UserWarning, match=r"-dashed\.mp4 holds 20 frames, videoset\.csv says 21.*fresh copy"):
        dataset[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset[1]


def test_a_mask_of_another_size_is_an_error(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    for stored, said in (
        (
            np.ones((H, W), np.uint8),
            r"mask is \(48, 32\), its frame \(32, 48\) \(height, width\) \(transpose forgotten",
        ),
        (
            np.ones((W, H + 1), np.uint8),
            r"mask is \(33, 48\), its frame \(32, 48\) \(height, width\); it must have its frame's size",
        ),
        (np.ones((2, W, H), np.uint8), r"reMask has shape \(2, 48, 32\) for 1 instances"),
    ):
        with h5py.File(folder / "00007.h5", "w") as file:
            file["instance"], file["reMask"] = [2], stored
        with pytest.raises(ValueError, match=said) as error:
            A2DSentences(root, "train")[3]
        assert str(folder / "00007.h5") in str(error.value)


def test_any_value_but_zero_is_foreground(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    with h5py.File(folder / "00007.h5", "w") as file:
        file["instance"], file["reMask"] = np.array([[2]]), B.T * np.uint8(255)  # MATLAB's scalar is 1 x 1
    assert np.array_equal(A2DSentences(root, "train")[3].mask, B)
    assert read_masks(folder / "00007.h5", [4], (H, W)) == {}


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("", r"no folder .*expected Release/videoset\.csv.*toy world"),
        ("Release/videoset.csv", r"videoset\.csv missing; .* must hold Release.*toy world"),
        ("Release/clips320H", "clips320H missing"),
        (f"{NOTES}/a2d_annotation.txt", r"a2d_annotation\.txt missing"),
        (f"{NOTES}/a2d_missed_videos.txt", r"a2d_missed_videos\.txt missing"),
        (f"{NOTES}/a2d_annotation_with_instances", "a2d_annotation_with_instances missing"),
        (
            "Release/clips320H/plain.mp4",
            r"1 of 2 annotated videos are missing: expected .*plain\.mp4 for .*instances/plain .*plain\).*copy them",
        ),
        (
            f"{NOTES}/a2d_annotation_with_instances/plain",
            r"masks of 1 of 2 videos.*instances/plain .*plain\).*a2d_missed_videos",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(root, missing, said):
    shutil.rmtree(root / missing) if (root / missing).is_dir() else (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=said) as error:
        A2DSentences(root, "train")
    assert "\n" not in str(error.value)


def test_a_renamed_clip_folder_is_recognized_but_not_renamed(root):
    (root / "Release" / "clips320H").rename(root / "Release" / "CLIPS320")
    with pytest.raises(FileNotFoundError, match="CLIPS320 is there: rename it to clips320H"):
        A2DSentences(root)
    assert (root / "Release" / "CLIPS320").is_dir()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("Release/videoset.csv", b"plain,11,0:00,0:02,32,48,20,3\n", r"line 1: expected 9 columns"),
        ("Release/videoset.csv", b"a,1,0,0,32,48,20,3,0\nb,1,0,0,32,48,20,3,2\n", r"line 2: .*the last 0 or 1"),
        ("Release/videoset.csv", b"a,1,0,0,32,48,many,3,0\n", r"line 1: .*the 7th and 8th numbers of frames"),
        ("Release/videoset.csv", b"a,1,0,0,32,48,20,3,0\na,1,0,0,32,48,20,3,1\n", r"line 2: a is listed twice"),
        ("Release/videoset.csv", b"a,1,0,0,32,48,20,,0\n", r"line 1: .*the 7th and 8th numbers of frames"),
        (f"{NOTES}/a2d_annotation.txt", b"plain,2,a ball\n", "expected the header video_id,instance_id,query"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3,a ball, red\n", "line 2: expected 3"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3, \n", "line 2: the query is empty"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3,caf\xe9\n", "line 2: byte 0xe9 is not"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\n", "no sample in split 'train'"),
        (f"{NOTES}/a2d_annotation.txt", b"", "expected the header video_id,instance_id,query; found ''"),
        (
            f"{NOTES}/a2d_annotation.txt",
            b'video_id,instance_id,query\nplain,3,"a\nb,1,c\n',
            "line 3: a field of several",
        ),
        ("Release/videoset.csv", b"", "no sample in split 'train'"),
    ],
)
def test_malformed_tables_are_named_by_file_and_line(root, file, text, said):
    (root / file).write_bytes(text)
    with pytest.raises(ValueError, match=said), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the odd row, which is gone
        A2DSentences(root, "train")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "not a readable HDF5 file"),
        ({"instance": [2]}, "lacks 'reMask'; it holds instance"),
        ({"reMask": B.T}, "lacks 'instance'; it holds reMask"),
        ({"instance": [2], "reMask": "text"}, "'reMask' is not an array of numbers"),
        ({"instance/deeper": [3], "reMask": B.T}, "'instance' is not an array of numbers"),
        ({"instance": [2.5], "reMask": B.T}, "instance 2.5 is not an integer"),
        ({"instance": [np.nan], "reMask": B.T}, "instance nan is not an integer"),
        ({"instance": np.zeros(2000), "reMask": B.T}, "2000 instances in one frame"),
        ({"instance": [2, 3], "reMask": B.T}, r"reMask has shape \(48, 32\) for 2 instances"),
    ],
)
def test_malformed_annotations_are_named(root, content, said):
    path = root / NOTES / "a2d_annotation_with_instances" / "plain" / "00007.h5"
    path.write_bytes(b"no HDF5")
    if content:
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                file[key] = value
    with pytest.raises(ValueError, match=said) as error:
        A2DSentences(root, "train")[3]
    assert str(path) in str(error.value)


def test_a_video_without_any_annotation_is_no_silent_loss(root):
    (root / NOTES / "a2d_annotation_with_instances" / "plain" / "00007.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances/plain holds no \.h5 files, such as .*download it again"):
        A2DSentences(root, "train")


@pytest.mark.parametrize(("frame", "said"), [(21, "annotates frame 21, .* holds frames 1 to 20"), (0, "frame 0, ")])
def test_an_annotation_outside_its_video_is_an_error(root, frame, said):
    annotate(root, "plain", frame, {2: B})
    dataset = A2DSentences(root, "train")
    with pytest.raises(ValueError, match=said):
        dataset[[s[1] for s in keys(dataset)].index(frame)]


def test_other_files_beside_the_annotations_do_no_harm(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    (folder / "._00007.h5").write_bytes(b"left by a file manager")
    (folder / "notes.txt").touch()
    assert len(A2DSentences(root, "train")) == 4


@pytest.mark.parametrize("name", ["7th.h5", "00008.H5", "00008.h5 ", "00008.h5.part"])
def test_an_annotation_that_is_not_read_is_not_passed_over(root, name):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    (folder / name).touch()
    with pytest.raises(ValueError, match=rf"plain holds '{name}': expected a number and \.h5, .*; rename it"):
        A2DSentences(root, "train")


def test_a_frame_that_is_annotated_twice_is_not_counted_twice(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    shutil.copy(folder / "00007.h5", folder / "7.h5")
    with pytest.raises(ValueError, match=r"plain holds (00007|7)\.h5 and (7|00007)\.h5, two of one frame; move one"):
        A2DSentences(root, "train")


def test_a_sentence_of_what_no_frame_shows_is_left_out_and_said(root):
    with open(root / NOTES / "a2d_annotation.txt", "a", encoding="utf-8") as file:
        file.write("plain,77,a dog\n")
    with pytest.warns(UserWarning, match=r"no annotated frame shows 1 instances .*\(77 of plain\): their"):
        assert len(A2DSentences(root, "train")) == 4


def test_spaces_around_names_mean_nothing_and_a_video_that_no_table_has_is_said(root):
    for file in (root / "Release" / "videoset.csv", root / NOTES / "a2d_annotation.txt"):
        file.write_text(file.read_text(encoding="utf-8").replace("plain,", " plain ,"), encoding="utf-8")
    assert len(A2DSentences(root, "train")) == 4
    with open(root / NOTES / "a2d_annotation.txt", "a", encoding="utf-8") as file:
        file.write("nowhere,0,a dog\n")
    with pytest.warns(UserWarning, match=r"videoset\.csv lacks 1 videos of which a2d_annotation\.txt speaks \(nowhere"):
        assert len(A2DSentences(root, "train")) == 4


def test_only_a_toy_root_has_finer_splits(root):
    with pytest.raises(ValueError, match="unknown split 'val'; .* has train, test, local-train, .*toy_world.json"):
        A2DSentences(root, "val")
    (root / "toy_world.json").write_text(
        '{"splits": {"val": ["NA"]}, "sentences": {"NA": [[1, "The  BIRD", "x", 0]]}}', encoding="utf-8"
    )
    dataset = A2DSentences(root, "val")
    assert keys(dataset) == keys_of_na
    first, second, third = dataset[0], dataset[1], dataset[2]
    assert (first.evidence, first.twin_mask) == (None, None)
    assert second.evidence == "x" and np.array_equal(second.twin_mask, A) and np.array_equal(second.mask, B)
    assert third.evidence == "x" and third.twin_mask is None  # the twin is not in this frame
    for text, said in (
        ("{", "damaged; write the toy world again"),
        ('{"splits": {"val": ["gone"]}, "sentences": {}}', "lacks gone"),
    ):
        (root / "toy_world.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            A2DSentences(root, "val")


keys_of_na = [("NA", 5, 0, 'man, in "red" shirt'), ("NA", 5, 1, "the bird"), ("NA", 9, 1, "the bird")]


def test_without_h5py_the_error_names_the_extra(root, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package h5py: pip install 'dtse\[data\] @ git\+https:"):
        A2DSentences(root)


# ------------------------------------------------------------------------------------ the toy world


@pytest.mark.parametrize("traps", [(), ("all",), *((trap,) for trap in TRAPS)], ids=lambda t: "-".join(t) or "none")
def test_every_trap_is_read_as_it_was_drawn(tmp_path, traps):
    root, on = tmp_path / "a2d", TRAPS if traps == ("all",) else traps
    write_toy(root, {"train": 2}, "a2d", seed=7, height=32, width=48, traps=traps)
    dataset, world = A2DSentences(root, "train", window=1), ToyWorld("train", 2, 7, 32, 48)
    names = json.loads((root / "toy_world.json").read_text(encoding="utf-8"))["splits"]["train"]
    assert ("NA" in names) == ("na_id" in on) and any(n[0] == "-" for n in names) == ("dash_id" in on)
    assert set(dataset.videos) == set(names)
    expected = set()
    for k, name in enumerate(names):
        scene = world.scene(k)
        ids, target = render(scene, range(scene.length), 32, 48)[1], scene.sentences[0].instance
        frames = set(scene.annotated)
        if k == 0 and "edge_frames" in on:
            frames |= {0, 24}
        frames |= {13} if k == 0 and "single_instance" in on else set()
        frames |= {14} if k == 0 and "lone_other" in on else set()
        frames |= {11} if k == 0 and "lacking_instance" in on else set()
        odd = {
            13: lambda i, t=target: i == t,
            14: lambda i, t=target: i == min({1, 2} - {t}),
            11: lambda i, t=target: i != t,
        }
        for frame in frames:
            held = set(np.unique(ids[frame])) - {0}
            held = (
                {i for i in held if odd[frame](i)} if k == 0 and frame in odd and frame not in scene.annotated else held
            )
            path = dataset.masks / name / f"{frame + 1:05d}.h5"
            assert set(read_instances(path)) == {i - 1 for i in held}
            with h5py.File(path) as file:
                assert file["reMask"].ndim == (2 if len(held) == 1 else 3)
            expected |= {(name, frame, s.instance - 1) for s in scene.sentences if s.instance in held}
    assert {(s.video, int(s.stem) - 1, s.instance) for s in dataset.samples} == expected
    for i, sample in enumerate(dataset.samples):
        ids = render(world.scene(names.index(sample.video)), [int(sample.stem) - 1], 32, 48)[1][0]
        assert np.array_equal(dataset[i].mask, ids == sample.instance + 1) and sample.evidence
        assert sample.query == clean_expression(sample.query)
    assert any("that one" in s.query for s in dataset.samples) == ("loud_query" in on)
    (root / "toy_world.json").unlink()  # now it is what the genuine data is
    with warnings.catch_warnings():
        warnings.simplefilter("error" if "copy_row" in on else "ignore", UserWarning)
        again = A2DSentences(root, "train")
    assert [s[:4] for s in again.samples] == [s[:4] for s in dataset.samples]
    assert ("bare_clip" in again.videos) == ("bare_video" in on) and "missed_clip" not in again.videos


# ------------------------------------------------------------------------------------ damaged files


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def clear_or_right(read, path):
    """Reads a file that may be damaged: a result, or an error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except (ValueError, FileNotFoundError) as error:
        assert str(path) in str(error), error
        return None


csv_text = st.binary(max_size=60) | st.text('ab,,"\n\r\0 10é', max_size=60).map(str.encode)


@given(text=csv_text, good=st.booleans())
def test_any_bytes_are_a_table_of_videos_or_a_clear_error(shared, text, good):
    path = shared / "videoset.csv"
    path.write_bytes(b"NA,11,0,0,32,48,20,3,1\n" * good + text)
    found = clear_or_right(read_videos, path)
    assert found is None or all(video.subset in "01" and video.length >= 0 for video in found.values())
    assert not good or text.strip(b"\n") or found == {"NA": ("1", "11", 20, 3)}


@given(text=csv_text, good=st.booleans())
def test_any_bytes_are_sentences_or_a_clear_error(shared, text, good):
    path = shared / "a2d_annotation.txt"
    path.write_bytes(b"video_id,instance_id,query\n" * good + text)
    for _, instance, query in clear_or_right(read_sentences, path) or []:
        assert instance >= 0 and query == clean_expression(query) != ""


scalar = st.none() | st.just("0") | st.booleans() | st.integers(-2, 30) | st.floats() | st.text("a b", max_size=3)


@given(
    value=st.lists(
        st.lists(scalar, max_size=5) | st.tuples(st.just("q"), st.just("v"), scalar, scalar) | scalar, max_size=3
    )
)
def test_any_json_is_a_list_or_a_clear_error(shared, value):
    path = shared / "list.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    found = clear_or_right(lambda p: list(read_a2d_list(p)), path)
    expected = [[clean_expression(e[0]), *e[1:3], int(e[3])] for e in value] if found else found
    assert not found or [[q, *rest] for _, (*rest, q) in found] == expected


@given(
    changes=st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.none() | st.integers(0, 9999),
)
def test_damaged_annotations_are_read_or_a_clear_error(shared, changes, cut):
    path = shared / "damaged.h5"
    if not (shared / "good.h5").exists():
        write_annotation(shared / "good.h5", A[:, :] * np.uint8(1) + C * np.uint8(2))
    data = bytearray((shared / "good.h5").read_bytes())
    used = np.flatnonzero(np.frombuffer(bytes(data), np.uint8))  # most of the file is zeros that nobody reads
    for place, value in changes:
        data[used[place % len(used)]] = value
    path.write_bytes(data[:cut])
    clear_or_right(read_instances, path)
    masks = clear_or_right(lambda p: read_masks(p, [0, 1], (H, W)), path)
    assert masks is None or all(mask.shape == (H, W) and mask.dtype == bool for mask in masks.values())
