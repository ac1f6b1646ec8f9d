"""The A2D-Sentences loader on a tree built by hand, one trap of the genuine files after the other."""

import pickle
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from dtse_core.data import A2DSentences
from dtse_core.data.a2d import read_masks
from dtse_core.data.video import write_video

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
        "".join(f"{v},11,0:00,0:02,{H},{W},{LENGTH},3,{subset}\n" for v, subset in videos.items())
    )
    for k, video in enumerate(videos):
        write_video(tmp_path / "Release" / "clips320H" / f"{video}.mp4", frames_of(k), 10, quality=1)
    annotate(tmp_path, "-dashed", 1, {1: A})  # first frame, one instance
    annotate(tmp_path, "-dashed", 20, {2: C, 1: B})  # last frame, instances out of order
    annotate(tmp_path, "plain", 7, {3: B})
    annotate(tmp_path, "NA", 5, {1: A, 2: B})
    annotate(tmp_path, "NA", 9, {2: C})  # a single mask, of another instance than 1
    annotate(tmp_path, "_under", 10, {1: C})
    notes = tmp_path / NOTES
    (notes / "a2d_missed_videos.txt").write_text("mute\n")
    (notes / "a2d_annotation.txt").write_text(
        "video_id,instance_id,query\n"
        "-dashed,1,A  Dog\tRunning\n"
        "-dashed,2,the cat\n"
        "plain,3,a ball\n"
        'NA,1,"man, in ""red"" shirt"\n'
        "NA,2,the bird\n"
        "_under,1 (copy),a thing\n"
        "_under,1,a thing\n"
        "mute,1,never seen\n"
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
        ("-dashed", 1, 1, "a dog running"),
        ("-dashed", 20, 1, "a dog running"),
        ("-dashed", 20, 2, "the cat"),
        ("plain", 7, 3, "a ball"),
    ]
    assert keys(A2DSentences(root, "test")) == [
        ("NA", 5, 1, 'man, in "red" shirt'),  # not frame 9, whose only mask is instance 2
        ("NA", 5, 2, "the bird"),
        ("NA", 9, 2, "the bird"),
        ("_under", 10, 1, "a thing"),
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
    assert clip.sample_id == "v_-dashed_f_20_i_1" and clip.expression == "a dog running"
    assert clip.evidence is None and clip.twin_mask is None


def test_the_data_set_survives_pickling_and_workers(root):
    dataset = A2DSentences(root, "test", window=1)
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again[0].mask, dataset[0].mask)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, collate_fn=lambda clip: clip.sample_id, timeout=60)
    assert list(loader) == ["v_NA_f_5_i_1", "v_NA_f_5_i_2", "v_NA_f_9_i_2", "v__under_f_10_i_1"]


def test_the_genuine_file_with_one_odd_row_gives_no_warning(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A2DSentences(root, "train")[0]
    notes = root / NOTES / "a2d_annotation.txt"
    notes.write_text(notes.read_text() + "plain,2 (copy),a ball\n")
    with pytest.warns(UserWarning, match=r"2 rows without an integer instance were skipped.*2 \(copy\)"):
        A2DSentences(root, "train")
    notes.write_text("".join(line for line in notes.read_text().splitlines(True) if "copy" not in line))
    with pytest.warns(UserWarning, match="0 rows without an integer instance"):
        A2DSentences(root, "train")


def test_of_a_doubled_instance_the_first_mask_is_taken(root):
    annotate(root, "plain", 7, [(3, C), (3, B)])
    with pytest.warns(UserWarning, match=r"00007\.h5 holds instance 3 2 times"):
        clip = A2DSentences(root, "train")[3]
    assert np.array_equal(clip.mask, C)


def test_a_repeated_row_is_taken_once(root):
    notes = root / NOTES / "a2d_annotation.txt"
    notes.write_text(notes.read_text() + "plain,3,A ball\n")
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
    (path / "00001.png").unlink()
    with pytest.raises(ValueError, match=r"must be numbered from 1; the first is 00002\.png"):
        A2DSentences(root, "train")[3]


def test_a_length_that_the_table_denies_is_said_once(root):
    table = root / "Release" / "videoset.csv"
    table.write_text(table.read_text().replace(f",{LENGTH},3,0", ",21,3,0"))
    dataset = A2DSentences(root, "train")
    with pytest.warns(UserWarning, match=r"-dashed\.mp4 holds 20 frames, videoset\.csv says 21.*fresh copy"):
        dataset[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset[1]


def test_a_mask_of_another_size_is_an_error(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    for stored, said in (
        (
            np.ones((H, W), np.uint8),
            r"mask is \(48, 32\), its frame \(32, 48\) \(height, width\) \(transpose forgotten",
        ),
        (np.ones((W, H + 1), np.uint8), r"mask is \(33, 48\), its frame \(32, 48\) \(height, width\)$"),
        (np.ones((2, W, H), np.uint8), r"reMask has shape \(2, 48, 32\) for 1 instances"),
    ):
        with h5py.File(folder / "00007.h5", "w") as file:
            file["instance"], file["reMask"] = [3], stored
        with pytest.raises(ValueError, match=said) as error:
            A2DSentences(root, "train")[3]
        assert str(folder / "00007.h5") in str(error.value)


def test_any_value_but_zero_is_foreground(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    with h5py.File(folder / "00007.h5", "w") as file:
        file["instance"], file["reMask"] = np.array([[3]]), B.T * np.uint8(255)  # MATLAB's scalar is 1 x 1
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
        ("Release/videoset.csv", b"a,1,0,0,32,48,many,3,0\n", r"line 1: .*the 7th the number of frames"),
        (f"{NOTES}/a2d_annotation.txt", b"plain,3,a ball\n", "expected the header video_id,instance_id,query"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3,a ball, red\n", "line 2: expected 3"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3, \n", "line 2: the query is empty"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\nplain,3,caf\xe9\n", "line 2: byte 0xe9 is not"),
        (f"{NOTES}/a2d_annotation.txt", b"video_id,instance_id,query\n", "no sample in split 'train'"),
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
        (None, "no readable HDF5 file"),
        ({"instance": [3]}, "lacks 'reMask'; it holds instance"),
        ({"reMask": B.T}, "lacks 'instance'; it holds reMask"),
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


@pytest.mark.parametrize(("frame", "said"), [(21, "annotates frame 21, .* holds frames 1 to 20"), (0, "frame 0, ")])
def test_an_annotation_outside_its_video_is_an_error(root, frame, said):
    annotate(root, "plain", frame, {3: B})
    dataset = A2DSentences(root, "train")
    with pytest.raises(ValueError, match=said):
        dataset[[s[1] for s in keys(dataset)].index(frame)]


def test_other_files_beside_the_annotations_do_no_harm(root):
    folder = root / NOTES / "a2d_annotation_with_instances" / "plain"
    (folder / "._00007.h5").write_bytes(b"left by a file manager")
    (folder / "notes.txt").touch()
    assert len(A2DSentences(root, "train")) == 4
    (folder / "7th.h5").touch()
    with pytest.raises(ValueError, match=r"7th\.h5: annotations are named by their frame"):
        A2DSentences(root, "train")


def test_only_a_toy_root_has_finer_splits(root):
    with pytest.raises(ValueError, match="unknown split 'val'; .* has train, test .*toy_world.json"):
        A2DSentences(root, "val")
    (root / "toy_world.json").write_text('{"splits": {"val": ["NA"]}, "sentences": {"NA": [[2, "The  BIRD", "x", 1]]}}')
    dataset = A2DSentences(root, "val")
    assert keys(dataset) == keys_of_na
    first, second, third = dataset[0], dataset[1], dataset[2]
    assert (first.evidence, first.twin_mask) == (None, None)
    assert second.evidence == "x" and np.array_equal(second.twin_mask, A) and np.array_equal(second.mask, B)
    assert third.evidence == "x" and third.twin_mask is None  # the twin is not in this frame
    for text, said in (
        ("{", "damaged; write the toy world anew"),
        ('{"splits": {"val": ["gone"]}, "sentences": {}}', "lacks gone"),
    ):
        (root / "toy_world.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            A2DSentences(root, "val")


keys_of_na = [("NA", 5, 1, 'man, in "red" shirt'), ("NA", 5, 2, "the bird"), ("NA", 9, 2, "the bird")]


def test_without_h5py_the_error_names_the_extra(root, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package h5py: pip install 'dtse\[data\]'"):
        A2DSentences(root)
