"""Downloads against a local server: they resume, compare checksums and never take a web page for a file."""

import hashlib
import http.server
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dtse_core.data.prepare import download as download_module
from dtse_core.data.prepare import obtain as module
from dtse_core.data.prepare import unpack
from dtse_core.data.prepare.download import download
from dtse_core.data.prepare.obtain import obtain
from dtse_core.data.prepare.sources import DATASETS
from tests.packing import packed, tree, write

pytest.importorskip("pooch")


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` with ranges and tags, and in a chunk without `lengths`; `cut` breaks the next answer off after so
    many bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut, self.ranges, self.tags, self.lengths, self.asked = 0, True, True, True, []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, content = self.server, self.server.files.get(self.path[1:])
        asked = self.headers.get("Range", "")
        server.asked.append(asked)
        if content is None:
            return self.send_error(404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == tag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.tags:
            self.send_header("ETag", tag)
        name, value = ("Content-Length", len(content) - start) if server.lengths else ("Transfer-Encoding", "chunked")
        self.send_header(name, str(value))
        self.end_headers()
        piece, whole, server.cut = content[start:][: server.cut or None], not server.cut, 0
        if not server.lengths:
            piece = b"%x\r\n%b\r\n%b" % (len(piece), piece, b"0\r\n\r\n" * whole)
        self.wfile.write(piece)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


CONTENT = bytes(range(256)) * 5000


@pytest.mark.parametrize(("lengths", "said"), [(True, "262,144 of 1,280,000 bytes"), (False, "262,144 bytes")])
def test_a_download_goes_on_where_it_broke_off(server, tmp_path, lengths, said):
    server.files["film.zip"], server.cut, server.lengths = CONTENT, 262_144, lengths
    target = tmp_path / "film.zip"
    with pytest.raises(ValueError, match=f"broke off after {said}; the same command goes on"):
        download(server.url("film.zip"), target)
    assert not target.exists() and (tmp_path / "film.zip.part").stat().st_size == 262_144
    assert download(server.url("film.zip"), target) == target
    assert target.read_bytes() == CONTENT and server.asked == ["", "bytes=262144-"]
    assert [p.name for p in tmp_path.iterdir()] == ["film.zip"]
    download(server.url("film.zip"), target)
    assert len(server.asked) == 2  # it is there


@pytest.mark.parametrize("change", ["new version", "no ranges", "no tags", "all there"])
def test_parts_of_different_files_are_never_joined(server, tmp_path, change):
    server.files["film.zip"], server.cut = CONTENT, 262_144
    server.tags = change != "no tags"
    with pytest.raises(ValueError, match="broke off"):
        download(server.url("film.zip"), tmp_path / "film.zip")
    if change == "new version":
        server.files["film.zip"] = CONTENT[::-1]
    elif change == "all there":
        (tmp_path / "film.zip.part").write_bytes(CONTENT)
    server.ranges = change != "no ranges"
    download(server.url("film.zip"), tmp_path / "film.zip")
    assert (tmp_path / "film.zip").read_bytes() == server.files["film.zip"]


def test_a_file_is_fetched_by_one_process_at_a_time(server, tmp_path, monkeypatch):
    server.files["film.zip"] = CONTENT

    def fetch_and_meet_another(*what):
        fetch(*what)
        with pytest.raises(BlockingIOError, match=r"film\.zip\.part is in use by another process; wait until that"):
            download(server.url("film.zip"), tmp_path / "film.zip")

    fetch = download_module._fetch
    monkeypatch.setattr(download_module, "_fetch", fetch_and_meet_another)
    download(server.url("film.zip"), tmp_path / "film.zip")
    assert tree(tmp_path) == {"film.zip": CONTENT} and server.asked == [""]


@pytest.mark.parametrize("name", ["film.zip.part", "film.zip.part.tag"])
def test_a_file_that_only_looks_like_a_broken_download_stays(server, tmp_path, name):
    server.files["film.zip"] = CONTENT
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"film\.zip\.part is in the way and was not left by an"):
        download(server.url("film.zip"), tmp_path / "film.zip")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"mine")]


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    server.files["film.zip"] = CONTENT
    with pytest.raises(ValueError, match="does not match the known hash"):
        download(server.url("film.zip"), tmp_path / "film.zip", sha256="0" * 64)
    assert [*tmp_path.iterdir()] == []
    download(server.url("film.zip"), tmp_path / "film.zip", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "film.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>gone", b"\n<HTML><body>please log in"])
def test_a_web_page_is_not_taken_for_the_file(server, tmp_path, page):
    server.files["a2d_annotation.txt"] = page
    with pytest.raises(ValueError, match=r"is a web page now, not a2d_annotation\.txt"):
        download(server.url("a2d_annotation.txt"), tmp_path / "a2d_annotation.txt")
    assert [*tmp_path.iterdir()] == []


def test_a_disk_too_small_for_a_download_is_told_before_a_byte_is_written(server, tmp_path, monkeypatch):
    server.files["film.zip"] = CONTENT
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(CONTENT) - 1))
    with pytest.raises(OSError, match=r"has 0.0 GB free, film.zip needs 0.0 GB: make room$"):
        download(server.url("film.zip"), tmp_path / "film.zip")
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(CONTENT)))
    download(server.url("film.zip"), tmp_path / "film.zip")


def test_what_is_gone_is_an_error_of_the_server(server, tmp_path):
    with pytest.raises(OSError, match="404"):
        download(server.url("gone.zip"), tmp_path / "gone.zip")


def test_a_server_that_is_away_is_told_in_a_line(server, tmp_path):
    url = server.url("film.zip")
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"film\.zip cannot be reached \(ConnectionError\); is this machine online\?$"):
        download(url, tmp_path / "film.zip")


@pytest.fixture
def local(server, monkeypatch):
    """The data sets with their addresses on the local server, which holds nothing yet."""
    moved = {
        name: replace(
            dataset,
            sources=tuple(replace(s, url=s.url and server.url(Path(s.url).name)) for s in dataset.sources),
        )
        for name, dataset in DATASETS.items()
    }
    monkeypatch.setattr(module, "DATASETS", moved)
    return server


def states(steps) -> dict[str, str]:
    return {step.source.name: step.state for step in steps}


def test_a_set_is_fetched_unpacked_and_then_left_alone(local, tmp_path):
    frames = {"DAVIS/JPEGImages/480p/cow/00000.jpg": b"jpg", "DAVIS/ImageSets/2017/val.txt": b"cow\n"}
    masks = {"DAVIS/Annotations_unsupervised/480p/cow/00000.png": b"png"}
    local.files = {
        "DAVIS-2017-Unsupervised-trainval-480p.zip": packed("zip", frames | masks),
        "DAVIS-2017_semantics-480p.zip": packed("zip", {"DAVIS/davis_semantics.json": b"{}"}),
        "davis_text_annotations.zip": packed("zip", {"davis_text_annotations/Davis17_annot1.txt": b'cow 1 "a cow"'}),
    }
    root = tmp_path / "ref-davis"
    first = states(obtain("ref_davis", root))
    assert [*first.values()] == ["done", "done", "done", "optional"]
    assert {k: v for k, v in tree(root).items() if not k.endswith(".zip")} == frames | masks | {
        "DAVIS/davis_semantics.json": b"{}",
        "davis_text_annotations/Davis17_annot1.txt": b'cow 1 "a cow"',
    }
    asked = len(local.asked)
    assert [*states(obtain("ref_davis", root)).values()] == ["there", "there", "there", "optional"]
    assert len(local.asked) == asked
    # the archive that nobody needs is unpacked if it is put there
    write(tmp_path / "zips" / "DAVIS-2017-trainval-480p.ZIP", packed("zip", frames | {"DAVIS/Annotations/480p/x": b""}))
    assert [*states(obtain("ref_davis", root, tmp_path / "zips")).values()][-1] == "done"
    assert (root / "DAVIS/Annotations/480p/x").exists() and len(local.asked) == asked


def test_a_converted_root_needs_no_download(local, tmp_path):
    write(tmp_path / "meta_expressions" / "valid" / "meta_expressions.json", b"{}")
    assert set(states(obtain("ref_davis", tmp_path)).values()) == {"there"} and local.asked == []


def test_what_cannot_be_fetched_is_explained_and_unpacked_once_it_is_put_there(local, tmp_path):
    local.files = {"a2d_annotation.txt": b"video_id,instance_id,query\n"}
    root = tmp_path / "a2d"
    steps = obtain("a2d", root)
    assert [step.state for step in steps] == ["by hand", "done", "failed", "by hand"]
    videos, _, missed, masks = (step.text for step in steps)
    for said in ("CVPR 2015", "A2D_main_1_0.tar.bz", "mttr2021/MTTR/issues/24", "reported unreachable", str(root)):
        assert said in videos
    assert "404" in missed and "fetch it with a browser" in missed and "kgavrilyuk.github.io" in masks
    write(root / "A2D_main_1_0.tar.bz2", packed("bz2", {"Release/videoset.csv": b"", "Release/clips320H/a.mp4": b""}))
    write(root / "a2d_missed_videos.txt", b"x\n")
    write(root / "a2d_annotation_with_instances.zip", packed("zip", {"a2d_annotation_with_instances/a/1.h5": b""}))
    assert [step.state for step in obtain("a2d", root)] == ["done", "there", "done", "done"]
    assert (root / "text_annotations/a2d_annotation_with_instances/a/1.h5").exists()
    assert (root / "text_annotations/a2d_missed_videos.txt").read_bytes() == b"x\n"
    assert {step.state for step in obtain("a2d", root)} == {"there"}


def test_an_archive_that_fails_leaves_the_others_alone(local, tmp_path):
    write(tmp_path / "Rename_Images.tar.gz", b"<html>404")
    write(tmp_path / "puppet_mask.zip", packed("zip", {"puppet_mask/a/b/puppet_mask.mat": b""}))
    steps = obtain("jhmdb", tmp_path)
    assert [step.state for step in steps] == ["failed", "done", "failed"]
    assert "is not an archive" in steps[0].text and "By hand: H. Jhuang" in steps[0].text


ARCHIVES = [(name, k) for name, dataset in DATASETS.items() for k, s in enumerate(dataset.sources) if s.places]


@pytest.mark.parametrize(("name", "k"), ARCHIVES, ids=[f"{name}-{k}" for name, k in ARCHIVES])
def test_a_hostile_archive_of_any_data_set_is_refused_whole(local, tmp_path, name, k):
    source, root, archives = DATASETS[name].sources[k], tmp_path / "root", tmp_path / "archives"
    good = {f"{folder}/a": b"good" for folder in source.places}
    for member, said in (("../up", "leads out of its folder"), ("/tmp/up", "is an absolute path")):
        write(archives / source.name, packed("zip", good | {member: b"bad"}))
        step = obtain(name, root, archives)[k]
        assert step.state == "failed" and f"is not unpacked: '{member}' {said}" in step.text
        assert "get it from its official source. By hand: " in step.text
        assert tree(root) == {} and sorted(path.name for path in tmp_path.iterdir()) == ["archives", "root"]
    whole = packed("gz", good)
    write(archives / source.name, whole[: len(whole) // 2])
    assert "is damaged or cut short" in obtain(name, root, archives)[k].text and tree(root) == {}


def test_a_folder_that_came_in_halfway_is_not_taken_for_the_whole(local, tmp_path, monkeypatch):
    masks = {"puppet_mask/a/b/puppet_mask.mat": b"1", "puppet_mask/a/c/puppet_mask.mat": b"2"}
    write(tmp_path / "puppet_mask.zip", packed("zip", masks))

    def move_one(source, target):
        write(target / "puppet_mask/a/b/puppet_mask.mat", b"1")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(unpack, "_merge", move_one)
        obtain("jhmdb", tmp_path)
    assert states(obtain("jhmdb", tmp_path))["puppet_mask.zip"] == "done"
    assert {name: content for name, content in tree(tmp_path).items() if name.endswith(".mat")} == masks
    assert states(obtain("jhmdb", tmp_path))["puppet_mask.zip"] == "there"


@pytest.mark.parametrize("name", ["refer_youtube_vos", "mevis"])
def test_splits_come_out_of_their_archives(local, tmp_path, name):
    splits = [source.name.removesuffix(".zip") for source in DATASETS[name].sources]
    for split in splits:
        inside = {f"{path}/x": b"" for s in DATASETS[name].sources if s.name == f"{split}.zip" for path in s.gives}
        write(tmp_path / f"{split}.zip", packed("zip", inside))
    assert {step.state for step in obtain(name, tmp_path)} == {"done"}
    assert {step.state for step in obtain(name, tmp_path)} == {"there"}


def test_every_source_can_be_had_by_link_or_by_hand():
    for dataset in DATASETS.values():
        assert dataset.page.startswith("https://") and dataset.paper and dataset.tree
        for source in dataset.sources:
            assert bool(source.url) != bool(source.by_hand) and source.gives
            assert source.url.startswith("https://") or not source.url
            assert source.places or len(source.gives) == 1


def test_wrong_names_are_told(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'davis'; known: a2d, jhmdb, ref_davis"):
        obtain("davis", tmp_path)
    with pytest.raises(FileNotFoundError, match="--archives is the folder of downloaded archives"):
        obtain("a2d", tmp_path, tmp_path / "none")
