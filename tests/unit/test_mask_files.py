"""Masks as files: what is written is read back, from folder and zip, and every damage has its sentence."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dtse_core.data.clip import ReferringClip
from dtse_core.scoring import mask_files
from dtse_core.scoring.mask_files import MaskWriter, folder_for_masks, sample_file
from dtse_core.scoring.mask_reader import MaskReader
from dtse_core.scoring.protocols import protocol_for
from dtse_core.scoring.records import score_mask
from dtse_core.video.prediction import save_mask
from tests.packing import png_bytes, zip_bytes
from tests.small_videos import SIZE, SmallDavis, SmallVideos, Truth


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return SmallVideos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    return SmallDavis(tmp_path_factory.mktemp("davis"))


@pytest.fixture(scope="module")
def written(tmp_path_factory, videos):
    """A folder of right masks as evaluation saves it: copy it before breaking it."""
    folder = tmp_path_factory.mktemp("written") / "masks"
    protocol_for(videos, Truth(), 2).score(MaskWriter(folder, "refer_youtube_vos"), progress=False)
    return folder


@pytest.fixture
def masks(tmp_path, written):
    return shutil.copytree(written, tmp_path / "masks")


def zipped(folder, file, prefix=""):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return file


def score(path, videos, home="refer_youtube_vos", **options):
    reader = MaskReader(path, home)
    reader.require_videos(videos)
    return protocol_for(videos, reader, 2, **options).score(progress=False)


# There and back


@settings(max_examples=20)
@given(data=st.data(), home=st.sampled_from(("refer_youtube_vos", "mevis")))
def test_masks_come_back_as_they_were_written(tmp_path_factory, videos, data, home):
    folder, rng = tmp_path_factory.mktemp("any"), np.random.default_rng(data.draw(st.integers(0, 999)))
    frames = rng.random((3, 3, *SIZE)) < data.draw(st.sampled_from((0, 0.1, 0.9, 1)))
    for k, masks in enumerate(frames):
        MaskWriter(folder, home).write_frame(videos.videos[:3], k, masks)
    for path in (folder, zipped(folder, folder.with_suffix(".zip"))):
        assert np.array_equal(list(MaskReader(path, home).masks(videos, videos.videos[:3])), frames)


def test_label_maps_come_back_as_they_were_written(tmp_path, davis):
    writer, maps = MaskWriter(tmp_path, "ref_davis"), np.random.default_rng(0).integers(0, 21, (3, *SIZE), np.uint8)
    for k, labels in enumerate(maps):
        writer.write_labels(2, davis.videos[2], k, labels)
    assert np.array_equal(list(MaskReader(tmp_path, "ref_davis").labels(davis, davis.videos[2:3])), maps)
    with Image.open(tmp_path / "anno_2" / "-a" / "00005.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), maps[1])


def clip(expression="the dog", video="v/1", instance="3"):
    mask = np.zeros(SIZE, bool)
    mask[3:6, 4:9] = True
    return ReferringClip(np.zeros((1, *SIZE, 3), np.uint8), 0, mask, expression, video, 7, instance)


def test_samples_come_back_with_their_confidence(tmp_path):
    clips = [clip(), clip("the cat"), clip(instance=""), clip(video="w")]
    writer, confidences = MaskWriter(tmp_path / "masks", "a2d"), (0.1 + 0.2, 1.0, 0.0, 1 / 3)
    for one in clips:
        writer.write_sample(one, ~one.mask)
    writer.write_index([score_mask(one, one.mask, c) for one, c in zip(clips, confidences, strict=True)])
    for path in (tmp_path / "masks", zipped(tmp_path / "masks", tmp_path / "masks.zip")):
        reader = MaskReader(path, "a2d")
        for one, confidence in zip(clips, confidences, strict=True):
            mask, found = reader.sample(one)
            assert np.array_equal(mask, ~one.mask) and found == confidence
    assert len({sample_file(c.video_id, c.sample_id, c.expression) for c in clips}) == len(clips)


def test_folder_and_zip_score_alike_in_any_number_of_workers(tmp_path, videos, masks):
    files = zipped(masks, tmp_path / "a.zip"), zipped(masks / "Annotations", tmp_path / "b.zip")
    records = score(masks, videos)
    assert all(r.J == r.F == 1 for r in records)
    assert records == score(files[0], videos) == score(files[1], videos) == score(files[0], videos, workers=2)
    hashes = {MaskReader(path, "refer_youtube_vos").sha256() for path in (masks, *files)}
    assert len(hashes) == 1
    (masks / "Annotations" / "b" / "0" / "00000.png").write_bytes(b"other")
    assert MaskReader(masks, "refer_youtube_vos").sha256() not in hashes


@pytest.mark.parametrize(("mode", "inside"), [("L", 255), ("L", 1), ("P", 7), ("1", 1)])
def test_masks_of_any_gray_or_palette_mode_are_read_alike(masks, videos, mode, inside):
    truth = videos.read_target(videos.videos[3], 1)[0]
    image = Image.fromarray(truth.astype(np.uint8) * inside)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)  # colors say nothing
    image = Image.fromarray(truth) if mode == "1" else image
    image.save(masks / "Annotations" / "b" / "0" / "00005.png")
    assert score(masks, videos)[3].J == 1


def test_what_file_managers_leave_behind_is_not_seen(masks, videos):
    (masks / ".DS_Store").write_bytes(b"x")
    (masks / "Annotations" / "b" / "Thumbs.db").write_bytes(b"x")
    (masks / "__MACOSX" / "Annotations" / "b").mkdir(parents=True)
    (masks / "__MACOSX" / "Annotations" / "b" / "._00000.png").write_bytes(b"x")
    assert len(score(masks, videos)) == 4


# Damage

ONE = "Annotations/b/0/00005.png"


def png(shape=SIZE, mode="L", value=0):
    out = io.BytesIO()
    Image.new(mode, shape[::-1], value).save(out, "PNG")
    return out.getvalue()


def gray_ramp():
    out = io.BytesIO()
    Image.fromarray(np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing (beside it 00000.png, 00010.png ...): every frame needs a mask of its name"),
        (b"", "cannot be read as an image (empty, 0 bytes)"),
        (png()[:48], "cannot be read as an image"),
        (b"<html>", "cannot be read as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 16\n", "image (it is not PNG)"),
        (png(mode="RGB"), "an image of mode RGB; masks are palette PNGs (mode P) or gray ones of 8 bits"),
        (png_bytes(np.zeros(SIZE, np.uint8), 2), "an image gray of 2 bits; masks are palette PNGs"),
        (png((8, 9)), "the mask is (8, 9), its frame (16, 20) (height, width); it must have its frame's size"),
        (png(SIZE[::-1]), "transpose forgotten?"),
        (gray_ramp(), "two values, 0 and another one; found [0, 1, 2, 3, 4]; threshold"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_mask_is_named(tmp_path, masks, videos, content, words, packed):
    (masks / ONE).unlink()
    if content is not None:
        (masks / ONE).write_bytes(content)
    path = zipped(masks, tmp_path / "m.zip") if packed else masks
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        score(path, videos)
    assert str(path / ONE) in str(error.value) and words in str(error.value)


def test_missing_sentences_stop_and_others_are_only_mentioned(masks, videos):
    shutil.copytree(masks / "Annotations" / "b", masks / "Annotations" / "zz")
    with pytest.warns(UserWarning, match="1 are not of this split and do not count, first five: Annotations/zz/0/"):
        assert len(score(masks, videos)) == 4
    shutil.rmtree(masks / "Annotations" / "-a" / "2")
    with pytest.raises(FileNotFoundError, match=r"lacks the masks of 1 of 4, first five: Annotations/-a/2/ .*split"):
        score(masks, videos)


def test_a_video_may_be_missing_from_mevis_and_then_scores_nothing(tmp_path, masks, videos):
    folder = masks / "Annotations"
    shutil.rmtree(folder / "b")
    with pytest.warns(UserWarning, match=r"lacks 1 videos \(b\): they count as J = F = 0"):
        records = score(folder, videos, "mevis")
    assert [(r.J, r.F) for r in records] == [(1, 1)] * 3 + [(0, 0)]
    (folder / "-a" / "0" / "00000.png").unlink()
    with pytest.warns(UserWarning), pytest.raises(FileNotFoundError, match="00000.png is missing"):
        score(folder, videos, "mevis")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("home", "part", "prefix"),
    [
        ("refer_youtube_vos", "", "results/"),
        ("refer_youtube_vos", "", "Annotations/"),
        ("refer_youtube_vos", "Annotations", "a/b/"),
        ("mevis", "Annotations", "Annotations/"),
        ("mevis", "Annotations", "valid/masks/"),
    ],
)
def test_a_folder_too_many_is_told_before_anything_is_scored(tmp_path, masks, videos, home, part, prefix, packed):
    inner = shutil.copytree(masks / part, tmp_path / "outer" / prefix)
    outer = zipped(masks / part, tmp_path / "m.zip", prefix) if packed else tmp_path / "outer"
    deep = prefix + ("Annotations/" if not part else "")
    with pytest.raises(FileNotFoundError, match=rf"lacks the masks of 4 of 4.*they lie too deep, in {deep}: give that"):
        MaskReader(outer, home).require_videos(videos)
    assert len(score(inner, videos, home)) == len(score(tmp_path / "outer" / deep, videos, home)) == 4


def test_a_video_that_lies_too_deep_is_not_taken_for_a_missing_one(masks, videos):
    folder = masks / "Annotations"
    (folder / "late").mkdir()
    (folder / "b").rename(folder / "late" / "b")
    with pytest.raises(FileNotFoundError, match=r"lacks the masks of 1 of 4.* in late/: give that folder"):
        score(folder, videos, "mevis")


def test_masks_without_a_video_in_common_are_an_error_and_not_a_score_of_nothing(tmp_path, masks, videos):
    (masks / "Annotations" / "-a").rename(masks / "Annotations" / "-c")
    (masks / "Annotations" / "b").rename(masks / "Annotations" / "d")
    for home, path in (("mevis", masks / "Annotations"), ("refer_youtube_vos", masks)):
        with pytest.raises(FileNotFoundError, match="lacks the masks of 4 of 4, .*is it of this split"):
            MaskReader(path, home).require_videos(videos)


def test_label_maps_too_deep_and_an_index_too_deep_are_told(tmp_path, davis):
    protocol_for(davis, Truth(), 2).score(MaskWriter(tmp_path / "out", "ref_davis"), progress=False)
    with pytest.raises(FileNotFoundError, match=r"they lie too deep, in out/: give that folder"):
        MaskReader(tmp_path, "ref_davis").require_videos(davis)
    (tmp_path / "deep" / "masks").mkdir(parents=True)
    MaskWriter(tmp_path / "deep" / "masks", "a2d").write_index([])
    with pytest.raises(FileNotFoundError, match=r"index\.json is missing.*they lie too deep, in masks/: give"):
        MaskReader(tmp_path / "deep", "a2d").sample(clip())


@pytest.mark.parametrize("label", [21, 255])
def test_a_label_that_is_no_object_is_refused(tmp_path, davis, label):
    protocol_for(davis, Truth(), 2).score(MaskWriter(tmp_path, "ref_davis"), progress=False)
    for path in (tmp_path / "anno_1").rglob("*.png"):
        Image.fromarray((np.asarray(Image.open(path)) > 0) * np.uint8(label)).save(path)  # 255: one sentence's mask
    with pytest.raises(
        ValueError, match=rf"anno_1/-a/00000\.png: a pixel is {label}, which is not an object's id; write l"
    ):
        score(tmp_path, davis, "ref_davis")


def test_links_are_followed_in_a_folder_but_never_in_a_circle(tmp_path, masks, videos):
    linked = tmp_path / "linked"
    (linked / "Annotations").mkdir(parents=True)
    for video in ("-a", "b"):  # folders that lie elsewhere
        (linked / "Annotations" / video).symlink_to(masks / "Annotations" / video)
    (linked / "Annotations" / "circle").symlink_to(linked)
    (linked / "Annotations" / "gone").symlink_to(tmp_path / "nowhere")
    assert score(linked, videos) == score(masks, videos)
    assert MaskReader(linked, videos.name).sha256() == MaskReader(masks, videos.name).sha256()


def test_an_annotator_who_is_missing_is_named(tmp_path, davis):
    protocol_for(davis, Truth(), 2).score(MaskWriter(tmp_path, "ref_davis"), progress=False)
    assert all(r.J == 1 for r in score(tmp_path, davis, "ref_davis") if hasattr(r, "J"))
    shutil.rmtree(tmp_path / "anno_3")
    with pytest.raises(FileNotFoundError, match="lacks the masks of 2 of 12|lacks the masks of 2 of"):
        score(tmp_path, davis, "ref_davis")


def test_a_wrong_place_is_explained(tmp_path, videos):
    with pytest.raises(FileNotFoundError, match="no masks at .*nowhere: expected a folder or a zip"):
        MaskReader(tmp_path / "nowhere", "mevis")
    with pytest.raises(ValueError, match="holds no files"):
        MaskReader(tmp_path, "mevis")
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="lacks the masks of 4 of 4"):
        score(tmp_path, videos)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a zip"),
        (b"<html>not found</html>", "is not a zip"),
        (zip_bytes({ONE: png()})[:-30], "damaged or cut short"),
        (zip_bytes({"../out.png": b"x"}), "'../out.png' leads out of its folder"),
        (zip_bytes({"/etc/x.png": b"x"}), "is an absolute path"),
        (zip_bytes({"C:/x.png": b"x"}), "is an absolute path"),
        (zip_bytes({}), "holds no files"),
    ],
)
def test_a_zip_that_cannot_be_trusted_is_refused(tmp_path, content, words):
    (tmp_path / "m.zip").write_bytes(content)
    with pytest.raises(ValueError) as error:
        MaskReader(tmp_path / "m.zip", "mevis")
    assert words in str(error.value) and "m.zip" in str(error.value)


def test_links_bombs_and_doubles_in_a_zip_are_refused(monkeypatch, tmp_path):
    assert mask_files.LARGEST > 100 * 2**20
    monkeypatch.setattr(mask_files, "LARGEST", 2**20)
    link = zipfile.ZipInfo("a/0/00000.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    (tmp_path / "link.zip").write_bytes(zip_bytes({}, link))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0/00000.png", bytes(2**20 + 1))
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a/0/00000.png", b"x")
        archive.writestr("a/0/00000.png", b"y")
    for name, words in (("link", "is a link"), ("bomb", "too many for a mask"), ("twice", "occurs in it twice")):
        with pytest.raises(ValueError, match=f"{name}.zip is not read: .*{words}"):
            MaskReader(tmp_path / f"{name}.zip", "mevis")


def test_a_member_that_is_damaged_is_named(tmp_path, masks, videos):
    file = zipped(masks, tmp_path / "m.zip")
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        place = archive.getinfo(ONE).header_offset + 30 + len(ONE)
    content[place + 20 : place + 24] = b"\0\0\0\0"  # the sum no longer agrees
    file.write_bytes(content)
    with pytest.raises(ValueError, match="b/0/00005.png is damaged .*CRC"):
        score(file, videos)


# The index of samples


def index_error(tmp_path, text):
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        MaskReader(tmp_path, "a2d").sample(clip())
    return str(error.value)


ENTRY = {"sample_id": "v_v/1_f_7_i_3", "expression": "the dog", "mask": "m.png", "confidence": 0.5}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "expected a JSON list [...], found dict"),
        ([3], "entry 1: expected"),
        ([{**ENTRY, "confidence": "high"}], 'entry 1: expected {"sample_id": text'),
        ([{**ENTRY, "confidence": True}], 'entry 1: expected {"sample_id": text'),
        ([{**ENTRY, "confidence": float("nan")}], "NaN is not a number"),
        ([ENTRY, {k: v for k, v in ENTRY.items() if k != "mask"}], "entry 2: expected"),
        ([ENTRY, ENTRY], 'entry 2: v_v/1_f_7_i_3 "the dog" occurs twice'),
    ],
)
def test_a_wrong_index_is_explained(tmp_path, entries, words):
    assert words in index_error(tmp_path, json.dumps(entries))


def test_a_missing_index_sample_or_mask_is_explained(tmp_path):
    (tmp_path / "m.png").write_bytes(png())
    with pytest.raises(FileNotFoundError, match="index.json is missing: it tells which mask belongs to which sample"):
        MaskReader(tmp_path, "a2d").sample(clip())
    assert "not JSON" in index_error(tmp_path, '[{"sample_id"')
    (tmp_path / "index.json").write_text(json.dumps([ENTRY]), encoding="utf-8")
    assert not MaskReader(tmp_path, "a2d").sample(clip())[0].any()
    with pytest.raises(FileNotFoundError, match='no entry for sample v_v/1_f_7_i_3 "the cat" among its 1'):
        MaskReader(tmp_path, "a2d").sample(clip("the cat"))
    (tmp_path / "index.json").write_text(json.dumps([{**ENTRY, "mask": "../m.png"}]), encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="m.png is missing"):
        MaskReader(tmp_path, "a2d").sample(clip())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("path", ["s/0.png", "./s/0.png", "s\\0.png", ".\\s\\0.png", "s//0.png"])
def test_a_path_in_the_index_is_read_however_its_system_writes_it(tmp_path, path, packed):
    one, folder = clip(), tmp_path / "masks"
    save_mask(folder / "s/0.png", one.mask)
    (folder / "index.json").write_text(json.dumps([{**ENTRY, "mask": path}]), encoding="utf-8")
    where = zipped(folder, tmp_path / "masks.zip") if packed else folder
    assert np.array_equal(MaskReader(where, "a2d").sample(one)[0], one.mask)


@pytest.mark.parametrize("path", ["../m.png", "..\\m.png", "./../m.png", "s/../../m.png", "{}/m.png", "", ".", "s"])
def test_a_path_in_the_index_leads_nowhere_else(tmp_path, path):
    for place in (tmp_path, tmp_path / "masks/s"):
        save_mask(place / "m.png", clip().mask)
    entry = {**ENTRY, "mask": path.format(tmp_path)}
    (tmp_path / "masks/index.json").write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="is missing"):
        MaskReader(tmp_path / "masks", "a2d").sample(clip())


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ENTRY, "x"]), inner, max_size=4),
    max_leaves=8,
)


@given(value=st.lists(st.dictionaries(st.sampled_from([*ENTRY]), json_values, max_size=4) | json_values, max_size=3))
def test_any_index_is_read_or_explained(fuzzed, value):
    (fuzzed / "index.json").write_text(json.dumps(value), encoding="utf-8")
    try:
        index = MaskReader(fuzzed, "a2d").index
    except ValueError as error:
        assert "index.json, entry" in str(error) or "index.json: JSON that cannot be read" in str(error)
    else:
        assert len(index) == len(value)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# The folder on the way


class Alone:
    is_main_process = True

    def wait_for_everyone(self):
        pass


def test_the_folder_appears_when_it_is_complete_and_replaces_only_its_like(tmp_path):
    target = tmp_path / "new" / "masks"
    for _ in range(2):
        with folder_for_masks(str(target), True, Alone()) as part:
            (part / "a.png").write_bytes(b"x")
    (target / "mine.png").write_bytes(b"x")
    assert [p.name for p in target.parent.iterdir()] == ["masks"] and (target / "a.png").is_file()
    with pytest.raises(FileExistsError, match="is not an empty folder"), folder_for_masks(str(target), True, Alone()):
        pass
    with pytest.raises(KeyboardInterrupt), folder_for_masks(str(tmp_path / "cut"), True, Alone()) as part:
        raise KeyboardInterrupt
    with folder_for_masks(str(tmp_path / "file.zip"), False, Alone()) as part:
        assert part.is_dir()
    with folder_for_masks("", False, Alone()) as part:
        assert part is None
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
