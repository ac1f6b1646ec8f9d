"""The J-HMDB-Sentences loader on a tree built by hand, and on the toy world with the traps of the genuine files."""

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
from dtse_core.data import JHMDBSentences
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import EVIDENCE, window_indices
from dtse_core.data.jhmdb import read_length, read_mask, read_sentences, scored_frames
from dtse_core.data.sample_lists import read_jhmdb_list
from dtse_core.data.sentences import clean_expression
from dtse_core.data.toy.layouts.jhmdb import SAMPLE_LIST, TRAPS
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import ToyWorld, render

io = pytest.importorskip("scipy.io")
H, W = 12, 20
VIDEOS = {"one_run_f": ("run", 18, 15), "a[b]*?": ("shoot_bow", 16, 16), "three": ("run", 20, 20)}


def pixel(video: str, frame: int) -> tuple[int, int, int]:
    return 10 * frame, list(VIDEOS).index(video), 7


def mask_of(video: str, frame: int) -> np.ndarray:
    """A row and a column that tell video and frame, asymmetric in every axis."""
    mask = np.zeros((H, W), bool)
    mask[list(VIDEOS).index(video) + 1, :frame] = True
    return mask


def mat(root, video: str):
    return root / "puppet_mask" / VIDEOS[video][0] / video / "puppet_mask.mat"


def save_masks(path, masks, **others) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.savemat(path, {"part_mask": masks, **others}, do_compression=True)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Frames and masks of three videos; written without the package's help."""
    root = tmp_path_factory.mktemp("jhmdb") / "jhmdb"
    for video, (action, images, annotated) in VIDEOS.items():
        folder = root / "Rename_Images" / action / video
        folder.mkdir(parents=True)
        for k in range(1, images + 1):
            Image.fromarray(np.full((H, W, 3), pixel(video, k), np.uint8)).save(folder / f"{k:05d}.png")
        masks = np.zeros((H, W, annotated), np.uint8)
        for k in range(annotated):
            for y in range(H):
                for x in range(W):
                    masks[y, x, k] = mask_of(video, k + 1)[y, x]
        save_masks(mat(root, video), masks, category=action)
    (root / "jhmdb_annotation.txt").write_text(
        'video_id,query\none_run_f,A  Man\tRunning\na[b]*?,"woman, in ""red"""\nthree,the runner\n', encoding="utf-8"
    )
    (root / ".DS_Store").touch()
    (root / "Rename_Images" / ".DS_Store").touch()
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "jhmdb")


@pytest.mark.parametrize("length", range(1, 60))
def test_scored_frames_are_the_middles_of_the_thirds(length):
    found = scored_frames(length)
    assert found == sorted(set(found)) and found[0] >= 1 and found[-1] <= length
    if length >= 3:
        assert len(found) == 3
    for i, frame in enumerate(found if length >= 3 else []):  # the frame in which the middle of a third falls
        assert frame - 1 <= (2 * i + 1) / 6 * length < frame
    assert scored_frames(length, every=True) == list(range(1, length + 1))


def test_three_frames_a_video_and_only_those_that_have_a_mask(pristine):
    dataset = JHMDBSentences(pristine)
    assert [(s.video, s.frame, s.query) for s in dataset.samples] == [
        *(("one_run_f", k, "a man running") for k in (3, 8, 13)),
        *(("a[b]*?", k, 'woman, in "red"') for k in (3, 9, 14)),
        *(("three", k, "the runner") for k in (4, 11, 17)),
    ]
    assert dataset.frames == "deterministic" and dataset.lengths["one_run_f"] == 15
    every = JHMDBSentences(pristine, frames="all")
    assert [s.frame for s in every.samples] == [*range(1, 16), *range(1, 17), *range(1, 21)]
    assert [dataset.category(video) for video in VIDEOS] == ["run", "shoot_bow", "run"]


@pytest.mark.parametrize("causal", [False, True])
def test_frames_and_masks_are_those_of_their_numbers(pristine, causal):
    dataset = JHMDBSentences(pristine, window=5, offset=4, causal=causal, frames="all")
    for sample, clip in zip(dataset.samples, map(dataset.__getitem__, range(len(dataset))), strict=True):
        length = VIDEOS[sample.video][2]  # not the number of images
        slot = 4 if causal else 2
        numbers = [min(max(sample.frame + 4 * (k - slot), 1), length) for k in range(5)]
        assert clip.frames[:, 0, 0].tolist() == [list(pixel(sample.video, k)) for k in numbers]
        assert clip.current == slot and clip.frame_id == sample.frame and clip.instance_id == ""
        assert clip.mask.dtype == bool and np.array_equal(clip.mask, mask_of(sample.video, sample.frame))
        assert clip.sample_id == f"v_{sample.video}_f_{sample.frame}"


def entries(root, prefix="./jhmdb_sentences"):
    """A list as MTTR publishes it: other frames than the deterministic ones."""
    return [
        [
            video,
            f"{prefix}/Rename_Images/{action}/{video}/{frame:05d}.png",
            f"{prefix}/puppet_mask/{action}/{video}/puppet_mask.mat",
            length,
            query,
        ]
        for (video, (action, _, length)), query in zip(VIDEOS.items(), ("a man", "A  woman", "third"), strict=True)
        for frame in (1, 6, length)
    ]


@pytest.mark.parametrize("prefix", ["./jhmdb_sentences", "/data/of/another/machine", "jhmdb"])
def test_a_published_list_chooses_the_frames_wherever_it_was_made(root, prefix):
    path = root.parent / "list.json"
    path.write_text(json.dumps(entries(root, prefix)), encoding="utf-8")
    dataset = JHMDBSentences(root, frames=f"list={path}")
    expected = [
        (v, k, q) for v, q in zip(VIDEOS, ("a man", "a woman", "third"), strict=True) for k in (1, 6, VIDEOS[v][2])
    ]
    assert [(s.video, s.frame, s.query) for s in dataset.samples] == expected
    assert np.array_equal(dataset[2].mask, mask_of("one_run_f", 15))
    built = build_dataset(DataConfig(name="jhmdb", root=str(root), frames=f"list={path}", offset=0), "test", 3)
    assert built.samples == dataset.samples and built.offset == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e.pop(), r"entry 1: expected \[video, \.\.\./Rename_Images/action/video/00001\.png"),
        (lambda e: e.__setitem__(1, "./jhmdb_sentences/Rename_Images/run/00001.png"), "entry 1: expected"),
        (lambda e: e.__setitem__(1, e[1].replace("one_run_f", "three")), "entry 1: expected"),
        (lambda e: e.__setitem__(3, "15"), "entry 1: expected"),
        (lambda e: e.__setitem__(4, " "), "entry 1: expected"),
        (lambda e: e.__setitem__(3, 40), "entry 1: frame 1 of the 40 of run/one_run_f.*with 15 annotated frames"),
        (lambda e: e.__setitem__(1, e[1].replace("00001", "00016")), "entry 1: frame 16 of the 15"),
        (lambda e: e.__setitem__(1, e[1].replace("00001", "00006")), "entry 2: listed twice"),
    ],
)
def test_a_list_that_does_not_fit_is_named_by_its_entry(root, change, said):
    path, listed = root.parent / "list.json", entries(root)
    change(listed[0])
    path.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ValueError, match=said) as error:
        JHMDBSentences(root, frames=f"list={path}")
    assert str(path) in str(error.value)


def test_an_entry_of_a_video_that_the_copy_lacks_is_never_dropped(root):
    path, listed = root.parent / "list.json", entries(root)
    listed += [[text.replace("three", "FPRFormerthree") for text in e[:3]] + e[3:] for e in listed if e[0] == "three"]
    path.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ValueError, match="3 of 12 entries name 1 videos that .* lacks, first five: FPRFormerthree; "):
        JHMDBSentences(root, frames=f"list={path}")
    path.write_text(json.dumps(listed[:9]), encoding="utf-8")
    assert JHMDBSentences(root, frames=f"list={path}").choices()["list"] == "9 of 9 entries used"


def test_the_choice_of_frames_must_be_one_that_exists(root):
    with pytest.raises(ValueError, match="unknown choice of frames 'some'.*list= .*, deterministic, or all"):
        JHMDBSentences(root, frames="some")
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing"):
        JHMDBSentences(root, frames="list=none.json")
    (root / "list.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected a JSON list \[\.\.\.\], found dict"):
        JHMDBSentences(root, frames=f"list={root / 'list.json'}")
    with pytest.raises(ValueError, match="frames 'all' means nothing for MeViS; leave it out"):
        build_dataset(DataConfig(name="mevis", root="x", frames="all"), "train", 3)


@pytest.mark.parametrize(
    ("missing", "kind", "said"),
    [
        ("", FileNotFoundError, r"no folder .*expected Rename_Images/, .*toy world"),
        (
            "jhmdb_annotation.txt",
            FileNotFoundError,
            r"jhmdb_annotation\.txt missing; .* must hold Rename_Images.*--layout",
        ),
        ("Rename_Images", FileNotFoundError, "Rename_Images missing"),
        ("puppet_mask", FileNotFoundError, "puppet_mask missing"),
        (
            "Rename_Images/run/three",
            FileNotFoundError,
            r"1 of 3 videos are missing: expected .*<action>/three .*prepare",
        ),
        (
            "puppet_mask/run/three/puppet_mask.mat",
            FileNotFoundError,
            r"three/puppet_mask\.mat is missing; download",
        ),
        (
            "Rename_Images/run/three/00007.png",
            FileNotFoundError,
            r"run/three lacks 00007\.png, one of 1 missing frames of the 20 that .*puppet_mask\.mat annotates",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(root, missing, kind, said):
    shutil.rmtree(root / missing) if (root / missing).is_dir() else (root / missing).unlink()
    with pytest.raises(kind, match=said) as error:
        JHMDBSentences(root)
    assert "\n" not in str(error.value)


def test_a_video_under_two_actions_is_an_error(root):
    shutil.copytree(root / "Rename_Images" / "run" / "three", root / "Rename_Images" / "walk" / "three")
    with pytest.raises(ValueError, match="Rename_Images holds three twice, in run and walk; remove one"):
        JHMDBSentences(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "expected the header video_id,query; found ''"),
        (b"three,the runner\n", "expected the header video_id,query; found 'three,the runner'"),
        (b"video_id,query\nthree,a man, running\n", "line 2: expected 2 columns, found 3; is a query not quoted"),
        (b"video_id,query\nthree\n", "line 2: expected 2 columns, found 1"),
        (b"video_id,query\nthree,  \n", "line 2: video or query is empty"),
        (b"video_id,query\nthree,caf\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        (b'video_id,query\nthree,"a man\none_run_f,a man\n', "line 3: a field of several lines; is a quote not closed"),
        (b"video_id,query\n", "no sample in split 'test'"),
    ],
)
def test_malformed_sentences_are_named_by_line(root, text, said):
    (root / "jhmdb_annotation.txt").write_bytes(text)
    with pytest.raises(ValueError, match=said):
        JHMDBSentences(root)


def test_a_repeated_row_is_taken_once(root):
    path = root / "jhmdb_annotation.txt"
    path.write_text(path.read_text(encoding="utf-8") + "three,The runner\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="line 5: repeats"):
        assert len(JHMDBSentences(root)) == 9


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (np.ones((W, H, 20), np.uint8), r"mask is \(20, 12\), its frame \(12, 20\) \(height, width\) \(transpose"),
        (np.ones((20, H, W), np.uint8), r"mask is \(20, 12\), its frame \(12, 20\)"),
        (
            np.ones((H, W + 1, 20), np.uint8),
            r"mask is \(12, 21\), its frame \(12, 20\) \(height, width\); it must",
        ),
        (np.ones((H, W, 20, 2), np.uint8), r"part_mask has shape \(12, 20, 20, 2\); expected \(H, W, T\)"),
        (np.ones((H, W, 0), np.uint8), r"part_mask has shape \(12, 20, 0\); expected"),
        (np.full((H, W, 20), "x", object), "part_mask is not an array of numbers"),
        ({"part_mask": 1}, "lacks 'part_mask'; it holds mask"),
        (b"", "not a readable MATLAB file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), r"not a readable MATLAB file of version 5 to 7 .*download it again"),
    ],
)
def test_malformed_masks_are_named(root, masks, said):
    path = mat(root, "three")
    if isinstance(masks, bytes):
        path.write_bytes(masks)
    elif isinstance(masks, dict):
        io.savemat(path, {"mask": np.ones((H, W, 20))})
    else:
        save_masks(path, masks)
    with pytest.raises(ValueError, match=said) as error:
        dataset = JHMDBSentences(root)
        dataset[len(dataset) - 1]
    assert str(path) in str(error.value)


def test_a_mask_cut_short_or_replaced_is_named(root):
    dataset, path = JHMDBSentences(root), mat(root, "three")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a readable MATLAB file"):
        dataset[8]
    save_masks(path, np.ones((H, W, 9), np.uint8))
    with pytest.raises(ValueError, match="annotates frames 1 to 9, not 17; was it replaced"):
        dataset[8]


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_damaged_frames_are_named(root, content):
    dataset, path = JHMDBSentences(root, window=1), root / "Rename_Images" / "run" / "three" / "00017.png"
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    with pytest.raises(ValueError, match=r"00017\.png cannot be read as an image.*download it again"):
        dataset[8]


def test_any_value_but_zero_is_foreground_and_a_dropped_axis_is_put_back(tmp_path):
    save_masks(tmp_path / "a.mat", np.where(mask_of("three", 4), 255.0, 0))  # (H, W): MATLAB drops a last axis of one
    assert read_length(tmp_path / "a.mat") == 1
    assert np.array_equal(read_mask(tmp_path / "a.mat", 1, (H, W)), mask_of("three", 4))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_data_set_survives_pickling_and_workers(pristine, method):
    dataset = JHMDBSentences(pristine)
    assert pickle.loads(pickle.dumps(dataset)).samples == dataset.samples
    loader = DataLoader(
        dataset, None, num_workers=2 if method == "fork" else 1, multiprocessing_context=method, timeout=60
    )
    for clip, own in zip(loader, map(dataset.__getitem__, range(len(dataset))), strict=True):
        assert clip.sample_id == own.sample_id and np.array_equal(clip.frames, own.frames)
        assert np.array_equal(clip.mask, own.mask)


def test_only_a_toy_root_has_finer_splits(root):
    for split in ("train", "val"):
        with pytest.raises(ValueError, match=f"unknown split '{split}'; .* has test .*toy_world.json"):
            JHMDBSentences(root, split)
    listing = {"splits": {"val": ["three"]}, "sentences": {"three": [[0, "The runner", "action", 0]]}}
    (root / "toy_world.json").write_text(json.dumps(listing), encoding="utf-8")
    dataset = JHMDBSentences(root, "val")
    assert {s.video for s in dataset.samples} == {"three"} and dataset[0].evidence == "action"


# ------------------------------------------------------------------------------------ the toy world


TOY = {"train": 3, "test": 2}


def drawn(dataset, split: str, seed: int):
    """The scenes by their names on disk, straight from the world."""
    world, names = ToyWorld(split, TOY[split], seed), list(dict.fromkeys(s.video for s in dataset.samples))
    return {name: world.scene(k) for k, name in enumerate(names)}


@pytest.mark.parametrize("traps", [(), ("all",), *((trap,) for trap in TRAPS)], ids=lambda t: "-".join(t) or "none")
def test_what_was_drawn_is_what_the_loader_reads(tmp_path, traps):
    root, traps_on = tmp_path / "jhmdb_sentences", TRAPS if traps == ("all",) else traps
    write_toy(root, TOY, "jhmdb", seed=3, height=32, width=48, traps=traps)
    for split in TOY:
        dataset = JHMDBSentences(root, split, frames="all")
        scenes = drawn(dataset, split, 3)
        lengths = [25] * TOY[split]
        lengths[0] -= 5 * ("short_mask" in traps_on)
        lengths[1] = 15 if "fifteen" in traps_on else 25
        assert list(dataset.lengths.values()) and [dataset.lengths[name] for name in scenes] == lengths
        for k in range(0, len(dataset), 4):
            clip = dataset[k]
            scene, length = scenes[clip.video_id], dataset.lengths[clip.video_id]
            indices, slot = window_indices(clip.frame_id - 1, length, 3, 5)
            frames, ids = render(scene, indices, 32, 48)
            assert np.array_equal(clip.frames, frames) and clip.current == slot  # PNG loses nothing
            assert np.array_equal(clip.mask, ids[slot] == scene.sentences[0].instance)
            assert clip.expression == clean_expression(scene.sentences[0].text)
            assert clip.evidence == scene.sentences[0].evidence in EVIDENCE and clip.twin_mask is None
    (root / "toy_world.json").unlink()  # now it is what the genuine data is
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset = JHMDBSentences(root)
    assert len(dataset.lengths) == sum(TOY.values()) and dataset[0].evidence is None


def test_each_trap_is_in_the_files(tmp_path):
    root = tmp_path / "jhmdb_sentences"
    write_toy(root, {"test": 2}, "jhmdb", seed=3, height=32, width=48, traps=["all"])
    first, second = (
        row.split(",")[0] for row in (root / "jhmdb_annotation.txt").read_text(encoding="utf-8").splitlines()[1:]
    )
    assert set(first) & set("[]{}")
    images = {path.name: len(list(path.glob("*.png"))) for path in (root / "Rename_Images").glob("*/*")}
    lengths = {path.parent.name: read_length(path) for path in (root / "puppet_mask").glob("*/*/puppet_mask.mat")}
    assert images[first] == 25 and lengths[first] == 20 and images[second] == lengths[second] == 15
    assert next(root.glob("Rename_Images/*/*/.DS_Store")).is_file()
    listed = json.loads((root / SAMPLE_LIST).read_text(encoding="utf-8"))
    assert len(listed) == 6 and all(e[1].startswith("./jhmdb_sentences/Rename_Images/") for e in listed)
    dataset = JHMDBSentences(root, frames=f"list={root / SAMPLE_LIST}")
    assert [(s.video, s.frame) for s in dataset.samples] == [(e[0], int(e[1][-9:-4])) for e in listed]


# ------------------------------------------------------------------------------------ damaged files


def clear_or_right(read, path):
    """Reads a file that may be damaged: a result, or an error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except (ValueError, FileNotFoundError) as error:
        assert str(path) in str(error), error
        return None


@given(text=st.binary(max_size=60) | st.text(alphabet='ab,_"\n\r\0 a1é', max_size=60).map(str.encode))
def test_any_bytes_are_sentences_or_a_clear_error(shared, text):
    path = shared / "any.txt"
    path.write_bytes(b"video_id,query\n" + text if len(text) % 2 else text)
    for video, query in clear_or_right(read_sentences, path) or []:
        assert video and query == clean_expression(query) != ""


scalars = st.none() | st.booleans() | st.integers(-2, 30) | st.floats() | st.text("./Rename_Imags1png", max_size=9)
good = st.builds(
    lambda v, k, n: [v, f"./jhmdb_sentences/Rename_Images/run/{v}/{k:05d}.png", "m", n, "a man"],
    st.sampled_from(["x", "y z"]),
    st.integers(0, 50),
    st.integers(-1, 40),
)


@given(value=st.lists(good | st.lists(scalars, max_size=6) | scalars, max_size=4) | scalars)
def test_any_json_is_a_list_or_a_clear_error(shared, value):
    path = shared / "any.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    found = clear_or_right(lambda p: list(read_jhmdb_list(p)), path)
    if found is not None:
        assert len(found) == len(value)
        for (_, (video, action, frame, length, query)), entry in zip(found, value, strict=True):
            assert entry[1].endswith(f"Rename_Images/{action}/{video}/{frame:05d}.png") and entry[
                3
            ] == length > 0 < len(query)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")
