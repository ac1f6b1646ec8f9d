"""Submission zips: the same bytes for the same masks, and a validator that names what breaks which rule."""

import io
import json
import shutil
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from dtse_core.scoring.mask_files import MaskWriter
from dtse_core.scoring.protocols import protocol_for
from dtse_core.scoring.submission import SHOWN, validate, write_submission
from tests.packing import zip_bytes
from tests.small_videos import SIZE, SmallVideos, Truth

YTVOS, MEVIS = "refer_youtube_vos", "mevis"
TOP = {YTVOS: "Annotations/", MEVIS: ""}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return SmallVideos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module", params=[YTVOS, MEVIS])
def submitted(request, tmp_path_factory, videos):
    """Name of the data set, folder of masks, and the zip that was made of it."""
    folder = tmp_path_factory.mktemp(request.param)
    protocol_for(videos, Truth(), 2).score(MaskWriter(folder / "masks", request.param), progress=False)
    report = write_submission(folder / "masks", folder / "out" / "a.zip", request.param, videos)
    assert not report.broken and (report.masks, report.empty) == (12, 1)
    return request.param, folder / "masks", folder / "out" / "a.zip"


def png(shape=SIZE, mode="L", value=255):
    out = io.BytesIO()
    Image.new(mode, shape[::-1], value).save(out, "PNG")
    return out.getvalue()


def members(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def report_on(tmp_path, files, home, videos, *odd):
    (tmp_path / "b.zip").write_bytes(zip_bytes(files, *odd))
    return validate(tmp_path / "b.zip", home, videos)


def test_the_layout_is_what_the_server_asks_for(submitted, videos):
    home, _, file = submitted
    found = members(file)
    for video in videos.videos:
        for k, stem in enumerate(video.frames):
            content = found.pop(f"{TOP[home]}{video.video_id}/{video.expression_id}/{stem}.png")
            with Image.open(io.BytesIO(content)) as image:
                assert image.mode == "L" and image.size == SIZE[::-1]
                assert np.array_equal(np.asarray(image), videos.read_target(video, k)[0] * np.uint8(255))
    assert not found


def test_equal_masks_give_equal_bytes_in_sorted_order_without_a_clock(submitted, tmp_path, videos):
    home, masks, file = submitted
    copy = shutil.copytree(masks, tmp_path / "masks", copy_function=shutil.copy)  # other times of change
    write_submission(copy, tmp_path / "b.zip", home, videos)
    assert (tmp_path / "b.zip").read_bytes() == file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    assert [i.filename for i in infos] == sorted(i.filename for i in infos)
    assert {i.date_time for i in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert list(file.parent.iterdir()) == [file]


def test_a_submission_that_would_not_be_valid_is_not_written(submitted, tmp_path, videos):
    home, masks, _ = submitted
    copy = shutil.copytree(masks, tmp_path / "masks")
    next(copy.rglob("b/0/00010.png")).unlink()
    with pytest.raises(ValueError, match=r"not written, it would not be valid: frame missing: 1\n    b/0/00010"):
        write_submission(copy, tmp_path / "new" / "b.zip", home, videos)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_zip_of_another_program_is_valid_too(submitted, tmp_path, videos):
    home, _, file = submitted
    (tmp_path / "b.zip").write_bytes(file.read_bytes())
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir(f"{TOP[home]}b") if hasattr(archive, "mkdir") else archive.writestr(f"{TOP[home]}b/", b"")
        for name, content in reversed(members(file).items()):
            archive.writestr(name, content)
    for name in ("b", "c"):
        report = validate(tmp_path / f"{name}.zip", home, videos)
        assert not report.broken and str(report) == "12 masks, 8.3% of them empty"


BROKEN = {  # rule: what is added (or taken away: None), and the offender
    "video missing": ({f"b/0/{stem}.png": None for stem in ("00000", "00005", "00010")}, "b"),
    "expression missing": ({f"-a/2/{stem}.png": None for stem in ("00000", "00005", "00010")}, "-a/2"),
    "frame missing": ({"-a/10/00005.png": None}, "-a/10/00005"),
    "video not of this split": ({"zz/0/00000.png": png()}, "zz"),
    "expression not of this split": ({"b/1/00000.png": png()}, "b/1"),
    "frame not of this split": ({"b/0/00001.png": png()}, "b/0/00001"),
    "mode is not L (gray)": ({"b/0/00005.png": png(mode="P", value=1)}, "b/0/00005.png (mode P)"),
    "values other than 0 and 255": ({"b/0/00005.png": png(value=1)}, "b/0/00005.png (1)"),
    "size is not the frame's": ({"b/0/00005.png": png(SIZE[::-1])}, "b/0/00005.png (height 20, width 16)"),
    "cannot be read as an image": ({"b/0/00005.png": png()[:48]}, "b/0/00005.png ("),
    "left behind by a file manager (dot-files, __MACOSX)": ({"b/.DS_Store": b"x"}, "b/.DS_Store"),
    "cannot be unpacked without harm": ({"../x.png": b"x"}, "leads out of its folder"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_is_named_with_its_offender_alone(submitted, tmp_path, videos, rule):
    home, _, file = submitted
    changes, offender = BROKEN[rule]
    changes = {name if ".." in name else TOP[home] + name: content for name, content in changes.items()}
    files = {name: content for name, content in (members(file) | changes).items() if content is not None}
    report = report_on(tmp_path, files, home, videos)
    assert list(report.broken) == [rule]
    assert len(report.broken[rule]) == 1 and offender in next(iter(report.broken[rule]))
    assert f"{rule}: 1" in str(report)


@pytest.mark.parametrize(("home", "prefix", "rule"), [
    (YTVOS, "", "not at Annotations/<video>/<expression id>/<frame>.png"),
    (YTVOS, "x/Annotations/", "not at Annotations/<video>/<expression id>/<frame>.png"),
    (MEVIS, "Annotations/", "not at <video>/<expression id>/<frame>.png"),
])  # fmt: skip
def test_a_wrong_top_folder_is_named_ten_times_and_counted(tmp_path, videos, home, prefix, rule):
    files = {f"{prefix}{v.video_id}/{v.expression_id}/{s}.png": png() for v in videos.videos for s in v.frames}
    report = report_on(tmp_path, files, home, videos)
    assert len(report.broken[rule]) == 12 and set(report.broken["video missing"]) == {"-a", "b"}
    text = str(report)
    assert f"{rule}: 12" in text and text.count("/0000") + text.count("/0001") == SHOWN and "... and 2 more" in text


def test_members_that_stand_twice_and_links_are_named(submitted, tmp_path, videos):
    home, _, file = submitted
    name = f"{TOP[home]}b/0/00005.png"
    link = zipfile.ZipInfo(f"{TOP[home]}b/0/link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of doubles
        report = report_on(tmp_path, members(file), home, videos, zipfile.ZipInfo(name), link)
    assert list(report.broken["is in the zip more than once"]) == [name]
    assert "is a link" in next(iter(report.broken["cannot be unpacked without harm"]))


def test_videos_of_the_test_split_are_told_from_unknown_ones(tmp_path):
    videos = SmallVideos(tmp_path)
    folder = tmp_path / "meta_expressions" / "test"
    folder.mkdir(parents=True)
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": {"t1": {}}}), encoding="utf-8")
    files = {f"Annotations/{video}/0/00000.png": png() for video in ("t1", "t2")}
    report = report_on(tmp_path, files, YTVOS, videos)
    assert list(report.broken["video of the test split"]) == ["t1"]
    assert list(report.broken["video not of this split"]) == ["t2"]


def test_mostly_empty_masks_are_valid_but_warned_of(submitted, tmp_path, videos):
    home, _, file = submitted
    report = report_on(tmp_path, dict.fromkeys(members(file), png(value=0)), home, videos)
    assert not report.broken and "more than half of the masks are empty" in str(report)


@pytest.mark.parametrize(("content", "words"), [
    (None, "no zip at"), (b"", "is not a zip"), (b"\x1f\x8b no zip", "is not a zip"), 
    (zip_bytes({"a": b""})[:40], "damaged"),
], ids=["missing", "empty", "gzip", "cut"])  # fmt: skip
def test_what_is_no_zip_is_explained(tmp_path, videos, content, words):
    if content is not None:
        (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        validate(tmp_path / "b.zip", MEVIS, videos)
