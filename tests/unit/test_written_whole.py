"""A file or folder appears when it is complete, whatever happens on the way, and nobody else's names are touched."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import save_file

from dtse_core.shared.files import ANY, MANIFEST, OURS, alone, remove_ours, require_ours, written_whole

MARK = f"test {OURS}"


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def put(part, folder, text="new"):
    (part / "a.txt" if folder else part).write_text(text if folder else f"{MARK}: {text}", encoding="utf-8")


def got(path, folder):
    return (
        (path / "a.txt").read_text(encoding="utf-8")
        if folder
        else path.read_text(encoding="utf-8").removeprefix(f"{MARK}: ")
    )


@pytest.mark.parametrize("folder", [False, True])
def test_it_appears_complete_in_the_place_of_what_was_there(tmp_path, folder):
    path = tmp_path / "deep" / "out"
    for text in ("one", "two"):
        with written_whole(path, MARK, folder) as part:
            assert part.parent.parent == path.parent and path.exists() == (text == "two")
            put(part, folder, text)
        assert got(path, folder) == text
    assert names(tmp_path) == ["deep", "deep/out", *([f"deep/out/{MANIFEST}", "deep/out/a.txt"] if folder else [])]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_goes_wrong_leaves_what_was_there_and_nothing_half(tmp_path, folder, error):
    with written_whole(tmp_path / "out", MARK, folder) as part:
        put(part, folder, "old")
    before = names(tmp_path)
    for path in (tmp_path / "out", tmp_path / "never"):
        with pytest.raises(error), written_whole(path, MARK, folder) as part:
            put(part, folder)
            raise error
    assert names(tmp_path) == before
    assert got(tmp_path / "out", folder) == "old"


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_is_told_with_the_name_that_was_asked_for_and_another_files_error_is_not_ours(tmp_path, folder):
    def write(error, *name):
        with written_whole(tmp_path / "out", MARK, folder) as part:
            raise OSError(error, os.strerror(error), *[str(part / n) for n in name])

    for name in ((), ("",), ("a.txt",)):
        with pytest.raises(
            OSError, match=r"out cannot be written \(No space left on device\); make room, or choose an"
        ):
            write(errno.ENOSPC, *name)
    with pytest.raises(OSError, match=r"out cannot be written \(Disk quota exceeded\); make room"):  # a cluster's
        write(errno.EDQUOT)
    with pytest.raises(PermissionError, match=r"\[Errno 13\] Permission denied: '/read/from/here'"):
        write(errno.EACCES, "/read/from/here")
    with pytest.raises(ConnectionResetError):
        write(errno.ECONNRESET)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError, match=f"{tmp_path} is read-only, so that .*out cannot be written; choose"):
        require_ours(tmp_path / "deep" / "out", MARK)


def test_a_folder_is_back_where_it_was_if_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
    with written_whole(tmp_path / "out", MARK, folder=True) as part:
        put(part, True, "old")
    replace, done = os.replace, []

    def second_fails(source, target):
        done.append(target)
        if len(done) == 2:
            raise OSError("no such disk")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="no such disk"), written_whole(tmp_path / "out", MARK, folder=True) as part:
        put(part, True)
    assert names(tmp_path) == ["out", f"out/{MANIFEST}", "out/a.txt"] and got(tmp_path / "out", True) == "old"


@pytest.mark.parametrize("names", [5, None, "a", {"a": 1}, [["a"]], [{}], ["a", 1]])
def test_a_folder_whose_manifest_lists_no_names_is_not_ours(tmp_path, names):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    (tmp_path / "out" / MANIFEST).write_text(json.dumps({"mark": MARK, "holds": names}), encoding="utf-8")
    with pytest.raises(FileExistsError, match="it holds .dtse.json, which this command did not write"):
        require_ours(tmp_path / "out", MARK, folder=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077])
def test_who_may_read_a_file_is_what_the_umask_says_whatever_library_wrote_it(tmp_path, umask):
    own = tmp_path / "own"
    own.touch(0o600)
    before = os.umask(umask)
    try:
        with written_whole(tmp_path / "out" / "run", MARK, folder=True) as part:
            (part / "deep").mkdir()
            save_file({"a": np.zeros(1)}, part / "deep/model.safetensors")
            os.close(tempfile.mkstemp(dir=part)[0])
            (part / "link").symlink_to(own)
        with written_whole(tmp_path / "out/one.safetensors", ANY) as part:
            save_file({"a": np.zeros(1)}, part)
    finally:
        os.umask(before)
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and not p.is_symlink()]
    assert {p.stat().st_mode & 0o777 for p in files} == {0o666 & ~umask} and len(files) == 4
    assert own.stat().st_mode & 0o777 == 0o600


def test_a_name_beyond_ascii_is_written_where_the_system_knows_ascii_alone(tmp_path):
    code = (
        "import sys, pathlib; from dtse_core.shared.files import ANY, written_whole\n"
        "with written_whole(pathlib.Path(sys.argv[1]), ANY) as part: part.write_text('whole')"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "é.txt"], env=os.environ | plain, check=True)
    assert (tmp_path / "é.txt").read_text(encoding="utf-8") == "whole"


def test_writers_of_one_name_never_meet(tmp_path):
    def write(k):
        for _ in range(20):
            with written_whole(tmp_path / "file", ANY) as part:
                part.write_text(str(k) * 1000, encoding="utf-8")
            with open(tmp_path / "file", encoding="utf-8") as file:
                assert set(file.read()) <= set("0123") and file.tell() == 1000
        with written_whole(tmp_path / f"folder{k}", MARK, folder=True) as part:
            put(part, True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [n for n in names(tmp_path) if "/" not in n] == ["file", *(f"folder{k}" for k in range(4))]


@pytest.mark.parametrize("deleted", range(5))  # before the kill
def test_a_removal_that_is_killed_leaves_nothing_under_the_name_and_the_rest_is_known(tmp_path, monkeypatch, deleted):
    with written_whole(tmp_path / "step_1", "mine", folder=True) as part:
        (part / "d").mkdir()
        for name in ("a", "b", "c", "d/e"):
            (part / name).touch()
    unlink, alive = os.unlink, iter(range(deleted))

    class Killed(BaseException):
        pass

    def dying(*path, **where):
        if next(alive, None) is None:
            raise Killed
        unlink(*path, **where)

    monkeypatch.setattr(os, "unlink", dying)
    with pytest.raises(Killed):
        remove_ours(tmp_path / "step_1", "mine")
    monkeypatch.undo()
    assert not (tmp_path / "step_1").exists()
    for rest in tmp_path.iterdir():
        remove_ours(rest, "mine")
    assert list(tmp_path.iterdir()) == []


def test_names_that_only_look_like_ours_stay(tmp_path):
    for name in ("out.part", "out.old", ".out.part", ".out.00000000.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work", encoding="utf-8")
    before = names(tmp_path)
    for _ in range(2):
        with written_whole(tmp_path / "out", MARK, folder=True) as part:
            put(part, True)
    assert names(tmp_path) == sorted([*before, "out", f"out/{MANIFEST}", "out/a.txt"])


KILLED = """
import os, signal, sys
from dtse_core.shared.files import written_whole
with written_whole(sys.argv[1], "mine", folder=sys.argv[2] == "True") as part:
    (part / "half.bin" if part.is_dir() else part).write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_writer_left_goes_and_what_another_is_writing_stays(tmp_path, folder):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out", str(folder)])
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.read_bytes() == bytes(1000)]
    assert done.returncode == -signal.SIGKILL and len(left) == 1 and not (tmp_path / "out").exists()
    with written_whole(tmp_path / "out", MARK, folder) as other:
        assert not left[0].exists() and [*tmp_path.iterdir()] == [other.parent]
        with written_whole(tmp_path / "out", MARK, folder) as part:
            put(part, folder)
        assert got(tmp_path / "out", folder) == "new" and other.exists()
        put(other, folder, "later")
    assert [*tmp_path.iterdir()] == [tmp_path / "out"] and got(tmp_path / "out", folder) == "later"


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_complete_is_not_taken_for_left_by_a_kill_before_it_has_its_name(tmp_path, monkeypatch, folder):
    replace, seen = os.replace, []

    def after_another_writer(source, target):
        monkeypatch.undo()
        with written_whole(tmp_path / "out", MARK, folder) as part:
            put(part, folder, "another")
        seen.append(got(tmp_path / "out", folder))
        replace(source, target)

    with written_whole(tmp_path / "out", MARK, folder) as part:
        put(part, folder, "hours of work")
        monkeypatch.setattr(os, "replace", after_another_writer)
    assert seen == ["another"] and got(tmp_path / "out", folder) == "hours of work"
    assert [*tmp_path.iterdir()] == [tmp_path / "out"]


INSIDE = """
import sys
from pathlib import Path
from dtse_core.shared.files import alone
with alone(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.read()
"""


def test_one_process_alone_is_let_in_and_a_killed_one_keeps_nobody_out(tmp_path):
    path = tmp_path / "folder" / "file"
    with subprocess.Popen([sys.executable, "-c", INSIDE, path], stdin=-1, stdout=-1) as other:
        assert other.stdout.readline().strip() == b"inside"
        with (
            pytest.raises(BlockingIOError, match=f"{path} is in use by another process; wait until that ends"),
            alone(path),
        ):
            pytest.fail("let in")
        with alone(path.with_name("another")):
            pass
        other.kill()
        other.wait()
        assert names(tmp_path) == ["folder", "folder/file.lock"]
        with alone(path):
            path.touch()
    assert names(tmp_path) == ["folder", "folder/file"]


def test_a_lock_that_its_holder_has_just_removed_lets_nobody_in(tmp_path, monkeypatch):
    """Or who comes next would lock another file of that name, and two were in."""
    import fcntl

    flock = fcntl.flock

    def late(file, how):
        (tmp_path / "file.lock").unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BlockingIOError, match="file is in use"), alone(tmp_path / "file"):
        pytest.fail("let in")


def test_where_nothing_can_be_locked_all_are_let_in(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone(tmp_path / "file"), alone(tmp_path / "file"):
        pass
    monkeypatch.setitem(sys.modules, "fcntl", None)  # Windows
    with alone(tmp_path / "file"), alone(tmp_path / "file"):
        pass
    assert names(tmp_path) == []


def test_a_file_of_yours_that_has_the_name_of_a_lock_stays(tmp_path):
    (tmp_path / "file.lock").write_text("mine", encoding="utf-8")
    with alone(tmp_path / "file"):
        pass
    assert (tmp_path / "file.lock").read_text(encoding="utf-8") == "mine"
