"""Archives from elsewhere: what could do harm is refused by name, nothing leaves the root, nothing is overwritten."""

import gzip
import io
import json
import os
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtse_core.data.prepare import unpack
from dtse_core.data.prepare.unpack import MARK, PART, extract, is_unfinished
from dtse_core.shared import archives
from dtse_core.shared.archives import archive_kind
from tests.packing import PACK, packed, tar_bytes, tree, write, zip_bytes

FILES = {"top/Release/a.csv": b"1,2\n", "top/Release/clips/-x.mp4": b"film", "top/README": b"read me"}
PLACES = {"Release": "Release"}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_folders_are_unpacked_to_their_place_whatever_the_format_and_the_name(tmp_path, root, kind):
    content = packed(kind, FILES)
    archive = write(tmp_path / "A2D_main_1_0.tar.bz", content)
    assert archive_kind(archive) == kind
    done = extract(archive, root, {"Release": "deep/Release"})
    assert tree(root) == {"deep/Release/a.csv": b"1,2\n", "deep/Release/clips/-x.mp4": b"film"}
    assert (done.files, done.ignored, done.collisions) == (2, 1, [])
    assert archive.read_bytes() == content and not is_unfinished(archive, root)


def test_the_first_named_folder_on_the_way_counts(tmp_path, root):
    archive = write(tmp_path / "a", packed("zip", {"train/JPEGImages/v/0.jpg": b"0", "JPEGImages/w/1.jpg": b"1"}))
    extract(archive, root, {"train": "train", "JPEGImages": "train/JPEGImages"})
    assert tree(root) == {"train/JPEGImages/v/0.jpg": b"0", "train/JPEGImages/w/1.jpg": b"1"}


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str, mode: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16
    return info


def encrypted() -> bytes:
    content = bytearray(zip_bytes({"Release/a": b"there"}))
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(magic) + flags] |= 1
    return bytes(content)


def head(kind: bytes, size: int = 2**20) -> tarfile.TarInfo:
    info = special("Release/a", kind)
    info.size = size
    return info


def sparse_records() -> bytes:
    out = io.BytesIO()
    info = tarfile.TarInfo("Release/a")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "Release/a"}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    return out.getvalue()


def many(count: int) -> bytes:
    return b"".join(tarfile.TarInfo(f"Release/{k}").tobuf(tarfile.GNU_FORMAT) for k in range(count)) + bytes(1024)


HOSTILE = {
    "absolute": (tar_bytes({"/etc/passwd": b""}), "'/etc/passwd' is an absolute path"),
    "absolute zip": (zip_bytes({"/Release/a": b""}), "'/Release/a' is an absolute path"),
    "parent": (tar_bytes({"Release/../../up": b""}), r"'Release/../../up' leads out of its folder"),
    "parent zip": (zip_bytes({"../Release/a": b""}), "'../Release/a' leads out of its folder"),
    "parent not wanted": (tar_bytes({"other/../a": b"", "Release/a": b""}), "'other/../a' leads out"),
    "windows parent": (zip_bytes({"Release\\..\\..\\up": b""}), "leads out of its folder"),
    "backslash": (zip_bytes({"Release\\a": b""}), "holds a backslash"),
    "drive": (tar_bytes({"C:/Release/a": b""}), "'C:/Release/a' is an absolute path"),
    "drive zip": (zip_bytes({"c:Release/a": b""}), "'c:Release/a' is an absolute path"),
    "network": (zip_bytes({"\\\\host\\Release\\a": b""}), "is an absolute path"),
    "symbolic link": (tar_bytes({}, special("Release/a", tarfile.SYMTYPE, "/etc")), "'Release/a' is a link"),
    "hard link": (tar_bytes({}, special("Release/a", tarfile.LNKTYPE, "/etc/passwd")), "'Release/a' is a link"),
    "link zip": (zip_bytes({}, zip_link("Release/a")), "'Release/a' is a link"),
    "device": (tar_bytes({}, special("Release/null", tarfile.CHRTYPE)), "'Release/null' is a device"),
    "disk": (tar_bytes({}, special("Release/sda", tarfile.BLKTYPE)), "'Release/sda' is a device"),
    "pipe": (tar_bytes({}, special("Release/p", tarfile.FIFOTYPE)), "'Release/p' is a device"),
    "device zip": (zip_bytes({}, zip_link("Release/a", stat.S_IFCHR)), "'Release/a' is a device"),
    "no name": (tar_bytes({"./": b"content"}), "is not a file name"),
    "nul": (zip_bytes({"Release/axb": b""}).replace(b"axb", b"a\0b"), r"'Release/a\\x00b' is not a file name"),
    "twice": (tar_bytes({"Release/a": b"1", "./Release/a": b"2"}), "'./Release/a' occurs in it twice"),
    "file and folder": (tar_bytes({"Release/a": b"1", "Release/a/b": b"2"}), "'Release/a' is a file and a folder"),
    "encrypted": (encrypted(), "'Release/a' is encrypted"),
    "something else": (zip_bytes({"Annexe/a": b""}), "holds no Release, only Annexe; is it the right archive"),
    "empty": (zip_bytes({}), "holds no Release, only nothing"),
    "long head": (tar_bytes({}, head(tarfile.XHDTYPE)), r"damaged .*\(1,048,576 bytes about one member\)"),
    "long heads of all": (tar_bytes({}, head(tarfile.XGLTYPE)), "1,048,576 bytes about one member"),
    "long name": (tar_bytes({}, head(tarfile.GNUTYPE_LONGNAME)), "1,048,576 bytes about one member"),
    "sparse": (tar_bytes({}, head(tarfile.GNUTYPE_SPARSE, 0)), "a sparse file, whose holes may be listed without end"),
    "sparse by records": (sparse_records(), "a sparse file"),
    "dense": (head(tarfile.REGTYPE, 2**31).tobuf(), "unpacks to more than 1.0 GiB from 512 bytes"),
    "many": (gzip.compress(many(20_000)), "more than 1[0-9],[0-9]+ files in"),
    "a web page": (b"<!DOCTYPE html><title>404</title>", r"is not an archive .* \(?.*33 bytes\): a saved web page"),
    "nothing": (b"", "is not an archive .* 0 bytes"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_named_and_nothing_is_written(tmp_path, root, name):
    content, said = HOSTILE[name]
    archive = write(tmp_path / "hostile", content)
    with pytest.raises(ValueError, match=said) as error:
        extract(archive, root, PLACES)
    assert str(archive) in str(error.value)
    assert [*root.iterdir()] == [] and sorted(p.name for p in tmp_path.iterdir()) == ["hostile", "root"]


def test_bombs_are_refused_by_what_they_promise(tmp_path, root, monkeypatch):
    archive = write(tmp_path / "bomb", zip_bytes({"Release/a": bytes(2**22), "Release/b": b""}))
    assert archive.stat().st_size < 2**14
    monkeypatch.setattr(archives, "MAX_BYTES", 2**22 - 1)
    with pytest.raises(ValueError, match=r"unpacks to more than 0\.0 GiB"):
        extract(archive, root, PLACES)
    monkeypatch.setattr(archives, "MAX_BYTES", 2**22)
    monkeypatch.setattr(archives, "MAX_FILES", 1)
    with pytest.raises(ValueError, match="more than 1 files"):
        extract(archive, root, PLACES)
    assert [*root.iterdir()] == []
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    assert extract(archive, root, PLACES).files == 2


def test_a_member_that_is_larger_than_listed_is_not_written_on(tmp_path, root):
    content = bytearray(zip_bytes({"Release/a": bytes(10_000)}))
    place = content.index(b"PK\1\2") + 24  # the size that the directory promises
    content[place : place + 4] = (99).to_bytes(4, "little")
    archive = write(tmp_path / "liar", bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        extract(archive, root, PLACES)
    assert not (root / "Release").exists()


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_a_truncated_archive_is_named_and_leaves_no_half_tree(tmp_path, root, kind):
    noise = os.urandom(40_000)
    whole = packed(kind, {"Release/a": noise, "Release/b": noise[::-1]})
    for size in (len(whole) // 3, len(whole) - 21_000):
        archive = write(tmp_path / "short.zip", whole[:size])
        with pytest.raises(ValueError, match=r"short\.zip.*(damaged or cut short|no archive)"):
            extract(archive, root, PLACES)
        assert not (root / "Release").exists()


def test_a_full_disk_is_told_before_anything_is_unpacked(tmp_path, root, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 0, 7))
    archive = write(tmp_path / "a", packed("zip", FILES))
    with pytest.raises(ValueError, match=r"needs 0\.00 GiB in .*free; make room, or choose another --root"):
        extract(archive, root, PLACES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 0, 8))  # 4 + 4 bytes are needed
    assert extract(archive, root, PLACES).files == 2


def test_nothing_is_overwritten_and_what_is_alike_is_kept(tmp_path, root):
    archive = write(tmp_path / "a", packed("gz", FILES))
    mine = write(root / "Release" / "clips" / "-x.mp4", b"mine")
    with pytest.raises(ValueError, match=r"1 files in .* differ .*Release/clips/-x\.mp4.* nothing is overwritten"):
        extract(archive, root, PLACES)
    assert mine.read_bytes() == b"mine" and not (root / "Release" / "a.csv").exists()
    mine.write_bytes(b"film")
    kept = mine.stat()
    extract(archive, root, PLACES)
    assert (mine.stat().st_ino, mine.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert tree(root) == {"Release/a.csv": b"1,2\n", "Release/clips/-x.mp4": b"film"}


def test_two_archives_share_a_folder(tmp_path, root):
    shared = {"DAVIS/JPEGImages/a.jpg": b"a"}
    for k in range(2):
        archive = write(tmp_path / f"{k}.zip", packed("zip", shared | {f"DAVIS/Annotations{k}/a.png": b"m"}))
        extract(archive, root, {"DAVIS": "DAVIS"})
    assert list(tree(root)) == ["DAVIS/Annotations0/a.png", "DAVIS/Annotations1/a.png", "DAVIS/JPEGImages/a.jpg"]


def test_links_that_are_there_already_are_not_followed(tmp_path, root):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "Release").symlink_to(elsewhere)
    archive = write(tmp_path / "a", packed("zip", FILES))
    with pytest.raises(ValueError, match="Release is a link or a file, not a folder"):
        extract(archive, root, PLACES)
    assert [*elsewhere.iterdir()] == []
    (root / "Release").unlink()
    shutil.rmtree(root / ".a.part")
    (root / ".a.part").symlink_to(elsewhere)
    with pytest.raises(ValueError, match=r"\.a\.part is in the way"):
        extract(archive, root, PLACES)
    assert [*elsewhere.iterdir()] == []


@pytest.mark.parametrize("stopped_at", ["Release/clips/-x.mp4", "moving"])
def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path, root, monkeypatch, stopped_at):
    archive = write(tmp_path / "a", packed("bz2", FILES))
    honest, written = unpack._write, []

    def write_until(archive, entry, read, staging, target):
        written.append(entry.name)
        if stopped_at in entry.name:
            (staging / PART).write_bytes(b"fi")
            raise KeyboardInterrupt
        honest(archive, entry, read, staging, target)

    def move_one(source, target):
        (target / "Release").mkdir()
        os.rename(source / "Release" / "a.csv", target / "Release" / "a.csv")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(unpack, "_write", write_until)
        if stopped_at == "moving":
            patch.setattr(unpack, "_merge", move_one)
        extract(archive, root, PLACES)
    assert is_unfinished(archive, root)
    (staged,) = root.glob(".a.part")
    first = [*staged.rglob("a.csv"), *root.glob("Release/a.csv")][0].stat().st_ino
    extract(archive, root, PLACES)
    assert tree(root) == {"Release/a.csv": b"1,2\n", "Release/clips/-x.mp4": b"film"}
    assert (root / "Release" / "a.csv").stat().st_ino == first and not is_unfinished(archive, root)


def test_an_archive_is_unpacked_by_one_process_at_a_time(tmp_path, root, monkeypatch):
    archive, honest, refused = write(tmp_path / "a", packed("zip", FILES)), unpack._write, []

    def write_and_meet_another(*what):
        with pytest.raises(BlockingIOError, match=r"root/\.a\.part is in use by another process; wait") as error:
            extract(archive, root, PLACES)
        refused.append(error)
        honest(*what)

    monkeypatch.setattr(unpack, "_write", write_and_meet_another)
    extract(archive, root, PLACES)
    assert len(refused) == 2 and tree(root) == {"Release/a.csv": b"1,2\n", "Release/clips/-x.mp4": b"film"}


def test_what_another_version_of_the_archive_left_is_not_used(tmp_path, root):
    archive = write(tmp_path / "a", packed("zip", FILES))
    staged = root / ".a.part"
    write(staged / "Release" / "a.csv", b"9,9\n")
    write(staged / MARK, json.dumps({"name": "a", "size": 1, "modified": 1}).encode())
    extract(archive, root, PLACES)
    assert tree(root)["Release/a.csv"] == b"1,2\n"


def test_names_that_differ_in_case_are_reported_and_refused_where_they_would_merge(tmp_path, root, monkeypatch):
    archive = write(tmp_path / "a", packed("zip", {"Release/aB/1": b"", "Release/Ab/2": b"", "Release/c": b""}))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda path: os.path.lexists(Path(path.parent, path.name.lower())))
        with pytest.raises(ValueError, match="Release/aB and Release/Ab differ in case alone"):
            extract(archive, root, PLACES)
    assert extract(archive, root, PLACES).collisions == ["Release/aB and Release/Ab"]
    assert (root / "Release/aB/1").exists() and (root / "Release/Ab/2").exists()


NAMES = st.lists(
    st.sampled_from(["Release", "..", ".", "", "a", "b", "C:", "A", "x\\y", "é", "__MACOSX", "._a"]), max_size=5
).map(lambda parts: "/".join(parts) or ".")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.sampled_from(["zip", "tar"]))
def test_whatever_the_names_files_stay_inside_and_hold_their_own_bytes(tmp_path, names, kind):
    folder = tmp_path / "world"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in" / "root").mkdir(parents=True)
    files = {name: f"content of {name}".encode() for name in names}
    archive = write(folder / "archive", packed(kind, files))
    try:
        done = extract(archive, folder / "in" / "root", PLACES)
    except ValueError as error:
        assert str(archive) in str(error)
    else:
        assert done.files == len(tree(folder / "in" / "root")) > 0
    found = tree(folder)
    assert found.pop("archive") == archive.read_bytes()
    for name, content in found.items():
        assert name.startswith("in/root/Release") and content in files.values()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["zip", *PACK]), st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=6))
def test_damaged_bytes_are_a_clear_error_or_do_no_harm(tmp_path, kind, changes):
    folder = tmp_path / "world"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "root").mkdir(parents=True)
    content = bytearray(packed(kind, FILES))
    for place, value in changes:
        content[place % len(content)] = value
    archive = write(folder / "archive", bytes(content))
    try:
        extract(archive, folder / "root", PLACES)
    except ValueError as error:
        assert str(archive) in str(error)
    assert sorted(p.name for p in folder.iterdir()) == ["archive", "root"]
