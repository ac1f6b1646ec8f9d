"""The Ref-DAVIS17 loader on a tree built by hand, in both layouts, and on the toy world with the genuine oddities."""

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
from dtse_core.data import RefDAVIS17
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import EVIDENCE, ReferringVideo, window_indices
from dtse_core.data.ref_davis import REPAIRS, SETS, parse_categories, read_expressions, read_words, require_ranks
from dtse_core.data.sentences import clean_expression
from dtse_core.data.toy.layouts.ref_davis import TRAPS
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import ToyWorld, render

H, W, LENGTH = 12, 20, 4
LISTS = {"train": ["bear"], "val": ["classic-car", "dogs-scale"]}
OBJECTS = {"bear": ["1"], "classic-car": ["1", "3"], "dogs-scale": ["2", "10"]}  # gaps, and a rank that is no id


def indices_of(sequence: str, k: int, year: str = "unsupervised") -> np.ndarray:
    """Object i is a bar in row i that grows with time; object 3 enters late; the last column is void."""
    indices = np.zeros((H, W), np.uint8)
    for number in map(int, OBJECTS[sequence]):
        if number != 3 or k >= 2:
            indices[number, : k + 5] = number
    if year == "unsupervised":
        indices[:, -1] = 255
    return indices


def expression(sequence: str, number: str, k: int) -> str:
    return f"{sequence} {number} said {k}" + (" café" if k >= 2 else "")


def save_indices(path, indices: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices)
    image.putpalette([7 * i % 256 for i in range(768)])
    image.save(path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Three sequences with the oddities of the genuine files; written without the package's help."""
    root = tmp_path_factory.mktemp("davis") / "ref-davis"
    davis, texts = root / "DAVIS", root / "davis_text_annotations"
    for sequence in OBJECTS:
        images = davis / "JPEGImages" / "480p" / sequence
        images.mkdir(parents=True)
        for k in range(LENGTH):
            gray = 40 * k + 10 * list(OBJECTS).index(sequence)
            Image.fromarray(np.full((H, W, 3), gray, np.uint8)).save(images / f"{k:05d}.jpg", quality=100)
            for year, name in (("unsupervised", "Annotations_unsupervised"), ("2017", "Annotations")):
                save_indices(davis / name / "480p" / sequence / f"{k:05d}.png", indices_of(sequence, k, year))
        (images / ".DS_Store").touch()
    (davis / "ImageSets" / "2017").mkdir(parents=True)
    for split, names in LISTS.items():
        (davis / "ImageSets" / "2017" / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (davis / "davis_semantics.json").write_text(
        json.dumps({"bear": {"1": "bear"}, "dogs-scale": {"10": "dog"}}), encoding="utf-8"
    )
    texts.mkdir()
    names = "Davis17_annot1.txt", "Davis17_annot1_full_video.txt", "Davis17_annot2.txt", "Davis17_annot2_full_video.txt"
    for k, name in enumerate(names):
        lines = [f'{s} {n} "{expression(s, n, k)}"' for s, numbers in OBJECTS.items() for n in numbers]
        text = "\r\n".join(lines if k % 2 else reversed(lines)) + "\n\n"
        wrong = {right: slip for slip, right in REPAIRS.items()}
        if k == 0:
            text = text.replace('classic-car 1 "', f'{wrong["classic-car"]} 1 "').replace(
                'dogs-scale 2 "', 'dog-scale 2 "'
            )
        (texts / name).write_bytes(text.encode("utf-8" if k < 2 else "latin-1"))
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "ref-davis")


def load(root, *arguments, **settings):
    """The data set; that it repairs names is a test of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*mistyped names repaired")
        return RefDAVIS17(root, *arguments, **settings)


def convert(root, out):
    """The layout of Refer-YouTube-VOS, as the usual converter leaves it."""
    for split, folder in (("train", "train"), ("val", "valid")):
        videos, meta = {}, {}
        for sequence in LISTS[split]:
            for kind, target in (("JPEGImages", "JPEGImages"), ("Annotations_unsupervised", "Annotations")):
                shutil.copytree(root / "DAVIS" / kind / "480p" / sequence, out / folder / target / sequence)
            numbers = sorted(OBJECTS[sequence])  # as text
            said = [{"exp": expression(sequence, n, k), "obj_id": n} for n in numbers for k in range(4)]
            frames = [f"{k:05d}" for k in range(LENGTH)]
            videos[sequence] = {"expressions": {str(i): e for i, e in enumerate(said)}, "frames": frames}
            meta[sequence] = {"objects": {n: {"category": "dog"} for n in numbers}}
        (out / "meta_expressions" / folder).mkdir(parents=True)
        (out / "meta_expressions" / folder / "meta_expressions.json").write_text(
            json.dumps({"videos": videos}), encoding="utf-8"
        )
        (out / folder / "meta.json").write_text(json.dumps({"videos": meta}), encoding="utf-8")
    return out


@pytest.fixture
def converted(pristine, tmp_path):
    return convert(pristine, tmp_path / "converted")


def test_every_object_has_four_expressions_numbered_by_rank_and_set(pristine):
    dataset = load(pristine)
    expected = [
        (sequence, str(4 * rank + k), expression(sequence, number, k), (number,), k)
        for sequence, numbers in (("classic-car", ["1", "3"]), ("dogs-scale", ["10", "2"]))
        for rank, number in enumerate(numbers)
        for k in range(4)
    ]
    found = [(v.video_id, v.expression_id, v.expression, v.object_ids, dataset.annotator(v)) for v in dataset.videos]
    assert found == expected and dataset.labelled
    assert {v.frames for v in dataset.videos} == {("00000", "00001", "00002", "00003")}
    assert [v.video_id for v in load(pristine, "train").videos] == ["bear"] * 4
    assert dataset.masks.parts[-2:] == ("Annotations_unsupervised", "480p")
    assert {dataset.category(v) for v in dataset.videos if v.object_ids == ("10",)} == {"dog"}
    assert dataset.category(dataset.videos[0]) is None


@pytest.mark.parametrize("gt", ["unsupervised", "2017"])
def test_targets_and_void_are_read_by_index_not_color(pristine, gt):
    with pytest.warns(UserWarning, match="mistyped names repaired"):
        dataset = build_dataset(DataConfig(name="ref_davis", root=str(pristine), davis_masks=gt, offset=0), "val", 3)
    assert dataset.offset == 2
    for video in dataset.videos:
        for k in range(LENGTH):
            expected = indices_of(video.video_id, k, gt)
            mask, void = dataset.read_target(video, k)
            assert mask.dtype == void.dtype == bool
            assert np.array_equal(mask, expected == int(video.object_ids[0]))
            assert np.array_equal(void, expected == 255) and void.any() == (gt == "unsupervised")
            assert np.array_equal(dataset.read_indices(video.video_id, k), expected)
            assert dataset.frame_paths(video)[k].name == f"{k:05d}.jpg"


@pytest.mark.parametrize("causal", [False, True])
def test_samples_are_the_frames_that_show_the_object(pristine, causal):
    dataset = load(pristine, offset=1, causal=causal)
    expected = [
        (n, k)
        for n, video in enumerate(dataset.videos)
        for k in range(LENGTH)
        if (indices_of(video.video_id, k) == int(video.object_ids[0])).any()
    ]
    assert list(map(tuple, dataset.samples.tolist())) == expected and len(dataset) == len(expected) == 56
    for i, (n, k) in enumerate(expected):
        clip, video = dataset[i], dataset.videos[n]
        indices, slot = window_indices(k, LENGTH, 3, 1, causal)
        shift = 10 * list(OBJECTS).index(video.video_id)
        assert np.abs(clip.frames.mean((1, 2, 3)) - shift - 40 * np.array(indices)).max() < 3
        assert clip.current == slot and clip.frame_id == k and clip.instance_id == video.expression_id
        assert np.array_equal(clip.mask, dataset.read_target(video, k)[0]) and clip.expression == video.expression
    assert len({(dataset[i].sample_id, dataset[i].expression) for i in range(len(dataset))}) == len(dataset)


def test_the_converted_layout_gives_the_same(pristine, converted):
    for split in LISTS:
        ours, theirs = load(pristine, split), load(converted, split)
        assert theirs.videos == ours.videos and theirs.samples.tolist() == ours.samples.tolist()
        for k in range(0, len(ours), 5):
            assert np.array_equal(ours[k].frames, theirs[k].frames) and np.array_equal(ours[k].mask, theirs[k].mask)
        assert {theirs.category(v) for v in theirs.videos} == {"dog"}
    with pytest.raises(ValueError, match="is a converted copy, which has one kind of masks; leave out gt"):
        load(converted, gt="2017")


def test_mistyped_names_are_repaired_and_reported(pristine):
    with pytest.warns(
        UserWarning, match=r"annot1\.txt: mistyped names repaired: .*clasic-car to classic-car \(1 lines"
    ):
        RefDAVIS17(pristine)


def test_a_name_that_is_no_slip_is_not_repaired(tmp_path):
    (tmp_path / "a.txt").write_text('motor-bike 1 "a rider"\n', encoding="utf-8")
    assert read_expressions(tmp_path / "a.txt", "utf-8", {"motor-bike"}) == {"motor-bike": [("1", "a rider")]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('bear 1 "a "big" bear"', 'a "big" bear'),
        ('bear 1 ""big" bear"', '"big" bear'),
        ("bear 1 a  Bear ", "a bear"),
        ('\ufeffbear\t1   "The BEAR"', "the bear"),
    ],
)
def test_one_quote_is_removed_from_each_side(tmp_path, line, said):
    (tmp_path / "a.txt").write_text(f"{line}\n", encoding="utf-8")
    assert read_expressions(tmp_path / "a.txt", "utf-8-sig", {"bear"}) == {"bear": [("1", said)]}


def test_a_line_that_is_there_twice_is_one_sentence(tmp_path):
    (tmp_path / "a.txt").write_text('bear 1 "a bear"\nbear 2 "a bear"\nbear 1 "A  bear"\n', encoding="utf-8")
    with pytest.warns(UserWarning, match=r"a\.txt, line 3: repeats \('1', 'a bear'\) of bear; taken once"):
        found = read_expressions(tmp_path / "a.txt", "utf-8", {"bear"})
    assert found == {"bear": [("1", "a bear"), ("2", "a bear")]}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "Davis17_annot1",
            b'bear 1 "x"\nwolf 1 "a wolf"\n',
            r"line 2: 'wolf' is in none of the lists in ImageSets/2017",
        ),
        ("Davis17_annot1", b"bear 1\n", "line 1: expected <sequence> <object id>"),
        ("Davis17_annot1", b'bear 1 ""\n', "line 1: the expression is empty"),
        ("Davis17_annot1", b'bear 0 "x"\n', "line 1: the object id is '0'; expected a number from 1 to 254"),
        ("Davis17_annot1", b'bear 255 "x"\n', "line 1: the object id is '255'"),
        ("Davis17_annot1", b'bear 1.0 "x"\n', "line 1: the object id is '1.0'"),
        ("Davis17_annot1", b'bear 1 "caf\xe9"\n', "line 1: byte 0xe9 is not UTF-8"),
        ("Davis17_annot1", b"", r"annot1_full_video\.txt describes the objects 1 of bear, Davis17_annot1\.txt none"),
        (
            "Davis17_annot2",
            b"",
            r"annot2\.txt describes the objects none of dogs-scale, .* must agree: download them again",
        ),
    ],
)
def test_malformed_texts_are_named_by_line(root, file, text, said):
    (root / "davis_text_annotations" / f"{file}.txt").write_bytes(text)
    with pytest.raises(ValueError, match=said):
        load(root, "train")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("", r"no folder .*expected DAVIS/\{JPEGImages,.*toy world"),
        ("DAVIS/JPEGImages", r"JPEGImages/480p missing; .* must hold DAVIS/.*--layout ref_davis"),
        ("DAVIS/ImageSets/2017/val.txt", r"2017/val\.txt missing"),
        ("davis_text_annotations/Davis17_annot2.txt", r"Davis17_annot2\.txt missing"),
        ("DAVIS/Annotations_unsupervised", r"no masks in .*unsupervised/480p; copy them; .*--data\.davis-masks 2017"),
        ("DAVIS/Annotations_unsupervised/480p/dogs-scale", r"1 of 2 folders are missing .*480p/dogs-scale"),
        ("DAVIS/JPEGImages/480p/classic-car", r"1 of 2 folders are missing from .*expected .*480p/classic-car"),
        (
            "DAVIS/Annotations_unsupervised/480p/dogs-scale/00002.png",
            r"4 frames in .*JPEGImages/480p/dogs-scale, 3 masks in .*; 00002 is in one of them alone; download both",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(root, missing, said):
    shutil.rmtree(root / missing) if (root / missing).is_dir() else (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=said) as error:
        load(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("DAVIS/ImageSets/2017/val.txt", "", r"annot1\.txt, line 1: 'dogs-scale' is in none of the lists"),
        ("DAVIS/ImageSets/2017/val.txt", "classic-car\ndogs-scale\nclassic-car\n", r"val\.txt lists classic-car twice"),
        ("DAVIS/ImageSets/2017/val.txt", "classic-car\ndogs-scale\nwolf\n", "1 of 3 folders are missing"),
        ("DAVIS/davis_semantics.json", "[]", r"expected a JSON object \{\.\.\.\}, found list"),
        ("DAVIS/davis_semantics.json", '{"bear": {"1": ', "line 1, column 16: not JSON"),
        ("DAVIS/davis_semantics.json", '{"bear": {"1": 2}}', "object '1' is '2'; expected a word"),
        ("DAVIS/davis_semantics.json", '{"bear": 1}', r"'bear': expected a JSON object \{\.\.\.\}, found 1"),
    ],
)
def test_malformed_lists_are_named(root, file, text, said):
    (root / file).write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        load(root)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (None, "cannot be read as an image.*download it again"),
        (b"", "cannot be read as an image"),
        (Image.new("RGB", (W, H)), r"an image of mode RGB; masks are palette PNGs \(mode P\) or gray"),
        (Image.new("P", (H, W)), r"mask is \(20, 12\), its frame \(12, 20\) \(height, width\) \(transpose forgotten"),
        (Image.new("P", (W + 1, H)), r"mask is \(12, 21\), its frame \(12, 20\) \(height, width\); it must have"),
    ],
)
def test_malformed_masks_are_named(root, image, said):
    dataset = load(root)
    path = root / "DAVIS" / "Annotations_unsupervised" / "480p" / "classic-car" / "00001.png"
    if isinstance(image, Image.Image):
        image.save(path)
    else:
        path.write_bytes(path.read_bytes()[:50] if image is None else image)
    with pytest.raises(ValueError, match=said) as error:
        dataset.read_target(dataset.videos[0], 1)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match=said):
        len(dataset)


@pytest.mark.parametrize("number", [255, 7])
def test_masks_that_show_no_object_which_is_spoken_of_are_refused_at_once(root, number):
    for path in (root / "DAVIS" / "Annotations_unsupervised" / "480p" / "classic-car").glob("*.png"):
        save_indices(path, (np.asarray(Image.open(path)) > 0) * np.uint8(number))  # as some copies have them
    with pytest.raises(ValueError, match=rf"classic-car: the masks show {number} and never 1\b.*take the data set"):
        load(root, "val" if "classic-car" in LISTS["val"] else "train")


@pytest.mark.parametrize("more", [".part", " ", "\n"])
def test_a_frame_and_its_mask_of_other_names_are_not_left_out_together(root, more):
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations_unsupervised", "png")):
        path = root / "DAVIS" / folder / "480p" / "classic-car" / f"00003.{suffix}"
        path.rename(f"{path}{more}")
    with pytest.raises(ValueError, match=r"car holds '00003\.jpg.*: expected a number and \.jpg, .*; rename it"):
        load(root)


def test_damaged_frames_are_named(root):
    dataset = load(root, window=1)
    path = root / "DAVIS" / "JPEGImages" / "480p" / "classic-car" / "00001.jpg"
    assert len(dataset)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"00001\.jpg cannot be read as an image"):
        dataset[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v["expressions"].pop("3"), "the 7 expressions of classic-car must have the ids 0, 1, 2"),
        (lambda v: v["expressions"].pop("7"), "the 7 expressions of classic-car must have"),
        (
            lambda v: v["expressions"]["1"].update(obj_id="3"),
            "the 8 expressions of classic-car .*four in a row an object",
        ),
        (lambda v: v["expressions"]["1"].pop("obj_id"), "expression '1': the object id is None"),
        (lambda v: v["expressions"]["1"].update(obj_id="car"), "expression '1': the object id is 'car'"),
        (lambda v: v["frames"].pop(), "classic-car lists 3 frames, .*JPEGImages/classic-car holds 4"),
        (lambda v: v.pop("frames"), "'frames' must list names"),
    ],
)
def test_a_malformed_conversion_is_named(converted, change, said):
    path = converted / "meta_expressions" / "valid" / "meta_expressions.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    change(table["videos"]["classic-car"])
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(ValueError, match=said) as error:
        load(converted)
    assert str(path) in str(error.value)


def test_choices_must_be_ones_that_exist(pristine, converted):
    with pytest.raises(ValueError, match="unknown masks '2016'; gt must be one of unsupervised, 2017"):
        load(pristine, gt="2016")
    for root in (pristine, converted):
        with pytest.raises(ValueError, match="unknown split 'test'; .* has train, val, local-train, .*toy_world.json"):
            load(root, "test")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_data_set_survives_pickling_and_workers(pristine, method):
    dataset = load(pristine, window=1)
    assert pickle.loads(pickle.dumps(dataset)).videos == dataset.videos
    loader = DataLoader(
        dataset, None, num_workers=2 if method == "fork" else 1, multiprocessing_context=method, timeout=120
    )
    for clip, own in zip(loader, map(dataset.__getitem__, range(len(dataset))), strict=True):
        assert clip.sample_id == own.sample_id and np.array_equal(clip.frames, own.frames)
        assert np.array_equal(clip.mask, own.mask)


# ------------------------------------------------------------------------------------ the toy world


TOY = {"train": 1, "test": 2, "twins": 1}


def instance_of(number: int, traps) -> int:
    """Back from an object id to the scene's instance."""
    if number == 10:
        return 1
    return number - 1 if "id_gap" in traps and number > 2 else number


@pytest.mark.parametrize("traps", [(), ("all",), *((trap,) for trap in TRAPS)], ids=lambda t: "-".join(t) or "none")
def test_what_was_drawn_is_what_the_loader_reads(tmp_path, traps):
    root, on = tmp_path / "ref-davis", TRAPS if traps == ("all",) else traps
    write_toy(root, TOY, "ref_davis", seed=4, height=32, width=48, traps=traps)
    for split in TOY:
        dataset, world = load(root, split), ToyWorld(split, TOY[split], 4, 32, 48)
        names = json.loads((root / "toy_world.json").read_text(encoding="utf-8"))["splits"][split]
        for name, scene in zip(names, map(world.scene, range(len(names))), strict=True):
            said = {(s.instance, clean_expression(s.text)): s for s in scene.sentences}
            ids = render(scene, range(scene.length), 32, 48)[1]
            if "late_object" in on and name == names[0]:
                ids[:15][ids[:15] == scene.sentences[0].instance] = 0
            videos = [video for video in dataset.videos if video.video_id == name]
            assert len(videos) == 4 * len({instance for instance, _ in said})
            for instance in {instance for instance, _ in said}:  # four, the scene's own in turn
                own = [clean_expression(s.text) for s in scene.sentences if s.instance == instance]
                four = [v.expression for v in videos if instance_of(int(v.object_ids[0]), on) == instance]
                assert [text.removesuffix(" near the café") for text in four] == [own[k % len(own)] for k in range(4)]
            for video in videos:
                number = int(video.object_ids[0])
                instance, text = instance_of(number, on), video.expression.removesuffix(" near the café")
                assert video.evidence == said[instance, text].evidence in EVIDENCE
                for k in (0, 12, 24):
                    mask, void = dataset.read_target(video, k)
                    if "void" in on:
                        assert not (mask & void).any() and not (mask & (ids[k] != instance)).any()
                        assert (void.any() or not ids[k].any()) and np.array_equal(
                            mask | (void & (ids[k] == instance)), ids[k] == instance
                        )
                    else:
                        assert np.array_equal(mask, ids[k] == instance) and not void.any()
            ranks = [v.object_ids[0] for v in videos[::4]]
            assert (
                ranks == sorted(ranks)
                and ("2" not in ranks or "id_gap" not in on)
                and ("10" in ranks) <= ("id_ten" in on)
            )
    clip = dataset[0]
    assert dataset.split == "twins" and clip.twin_mask is not None and not (clip.twin_mask & clip.mask).any()
    (root / "toy_world.json").unlink()  # now it is what the genuine data is
    assert len(load(root, "val").videos) >= 8 and load(root, "train").videos[0].evidence is None


def test_each_trap_is_in_the_files(tmp_path):
    root = tmp_path / "ref-davis"
    write_toy(root, {"test": 3}, "ref_davis", seed=4, height=32, width=48, traps=["all"])
    texts, davis = root / "davis_text_annotations", root / "DAVIS"
    assert b"caf\xe9" in (texts / "Davis17_annot2.txt").read_bytes()
    assert all(slip in (texts / "Davis17_annot1.txt").read_text(encoding="utf-8") for slip in REPAIRS)
    assert (davis / "ImageSets/2017/val.txt").read_text(encoding="utf-8").split() == list(REPAIRS.values())
    assert not (davis / "davis_semantics.json").exists()
    ours, theirs = load(root, "test"), load(root, "test", gt="2017")
    assert theirs.masks.parts[-2] == "Annotations" and ours.categories == {}
    one, two = ours.read_indices("classic-car", 12), theirs.read_indices("classic-car", 12)
    assert 255 in one and 255 not in two and not np.array_equal(one == 10, two == 10)
    numbers = set(np.unique([theirs.read_indices(s, k) for s in ours.frames for k in range(25)])) - {0}
    assert 10 in numbers and 2 not in numbers and 1 not in numbers
    drawn = {(s, int(n)) for s in ours.frames for k in range(25) for n in np.unique(theirs.read_indices(s, k)) if n}
    assert drawn > {(v.video_id, int(v.object_ids[0])) for v in ours.videos}  # some objects nobody describes
    first = [v for v in ours.videos if v.video_id == "classic-car"]
    late = [v for v in first if not any(ours.read_target(v, k)[0].any() for k in range(15))]
    assert late and all(any(ours.read_target(v, k)[0].any() for k in range(15, 25)) for v in late[:1])


# ------------------------------------------------------------------------------------ damaged files


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@given(text=st.binary(max_size=40) | st.text('ab 12"\n\r\t\0é', max_size=40).map(str.encode), k=st.integers(0, 3))
def test_any_bytes_are_expressions_or_a_clear_error(shared, text, k):
    path = shared / "any.txt"
    path.write_bytes(text)
    try:
        found = read_expressions(path, SETS[k][1], {"a", "b", "ab"})
    except ValueError as error:
        assert str(path) in str(error)
    else:
        for sequence, said in found.items():
            assert sequence in ("a", "b", "ab")
            assert all(1 <= int(number) <= 254 and words == clean_expression(words) != "" for number, words in said)
        assert sum(map(len, found.values())) == sum(bool(line.strip()) for line in text.decode(SETS[k][1]).split("\n"))


@given(text=st.binary(max_size=20) | st.text("ab \n\r\0é", max_size=20).map(str.encode))
def test_any_bytes_are_a_list_of_sequences_or_a_clear_error(shared, text):
    path = shared / "val.txt"
    path.write_bytes(text)
    try:
        found = read_words(path)
    except ValueError as error:
        assert str(path) in str(error) and "download it again" in str(error)
    else:
        assert found == text.decode("utf-8-sig").split() and len(set(found)) == len(found)


@given(
    ids=st.lists(st.sampled_from(["0", "1", "2", "3", "4", "5", "6", "7", "00", "x"]), unique=True),
    spoilt=st.integers(0, 9),
)
def test_only_ids_in_fours_are_ranks(ids, spoilt):
    videos = [ReferringVideo("a", n, "x", (), ("9" if k == spoilt else str(len(n)),)) for k, n in enumerate(ids)]
    right = sorted(ids) in ([], ["0", "1", "2", "3"], ["0", "1", "2", "3", "4", "5", "6", "7"]) and spoilt >= len(ids)
    try:
        require_ranks(videos, shared)
    except ValueError as error:
        assert not right and "four in a row an object" in str(error)
    else:
        assert right


json_value = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2) | st.just("dog"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "1", "objects", "category"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(table=json_value)
def test_any_json_gives_categories_or_a_clear_error(tmp_path_factory, table):
    try:
        found = parse_categories(table, "path/meta.json")
    except ValueError as error:
        assert "path/meta.json" in str(error)
    else:
        assert all(isinstance(part, str) for item in found.items() for part in (*item[0], item[1]))
