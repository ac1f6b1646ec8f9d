"""What checks a release: the source archive has the same bytes again, and the soak sees what grows."""

import io
import json
import sys
import tarfile

import pytest
from PIL import Image

from benchmarks import soak
from dtse_core.data.toy.world import ToyWorld
from dtse_core.notebook.inside import Lens
from dtse_core.predict import ReferringVideoPredictor
from tools import dist


def archive(path, files, when, user):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.uname = len(content), when, user, f"user{user}"
            tar.addfile(member, io.BytesIO(content))
    dist.pack_anew(path, 1_700_000_000)
    return path.read_bytes()


def test_a_source_archive_is_the_same_whoever_packs_it_and_whenever(tmp_path):
    files = [("dtse/a.py", b"x = 1\n"), ("dtse/b.py", b"y = 2\n")]
    now = 1_780_000_000
    first = archive(tmp_path / "1.tar.gz", files, now, 0)
    assert archive(tmp_path / "2.tar.gz", files[::-1], now - 1000, 501) == first
    assert archive(tmp_path / "3.tar.gz", [("dtse/a.py", b"x = 2\n"), files[1]], now, 0) != first
    with tarfile.open(tmp_path / "2.tar.gz") as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar.getmembers()} == dict(files)


FLAT = [{"memory_mb": 500 + k % 3, "files": 10, "threads": 2, "processes": 0, "temporary": 0} for k in range(20)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda k, note: note, set()),
        (lambda k, note: note | {"memory_mb": 300 + 40 * min(k, 5)}, set()),  # only at the start
        (lambda k, note: note | {"memory_mb": 500 + 4 * k}, {"memory_mb"}),
        (lambda k, note: note | {"files": 10 + k // 10}, {"files"}),
        (lambda k, note: note | {"threads": 2 + (k > 15)}, {"threads"}),
        (lambda k, note: note | {"processes": int(k == 19)}, {"processes"}),
        (lambda k, note: note | {"temporary": k}, {"temporary"}),
    ],
)
def test_the_soak_tells_what_grows_from_what_settles(change, found):
    assert set(soak.grown([change(k, note) for k, note in enumerate(FLAT)])) == found


def test_the_soak_draws_each_explorer(monkeypatch, style):
    lens = Lens(ReferringVideoPredictor.from_pretrained("tiny", "cpu"), [ToyWorld("val", window=3, offset=6)[0]])
    plt, close, drawn = soak.plt, soak.plt.close, []
    monkeypatch.setattr(plt, "close", lambda which: (drawn.append(len(plt.get_fignums())), close(which)))
    plt.close("all")
    soak.draw_all(lens)
    assert drawn[1:] == [1, 1, 1, 1]


@pytest.mark.parametrize(("grown", "status"), [({}, 0), ({"files": "10 to 12"}, 1)])
def test_the_folder_of_the_notes_is_there_before_the_minutes_pass(tmp_path, monkeypatch, style, grown, status):
    notes, picture = tmp_path / "new/soak.json", tmp_path / "drawn/soak.png"

    def at_once(minutes, frames, say):
        assert notes.parent.is_dir() and picture.parent.is_dir()
        parts = {"rounds": FLAT, "streamed": FLAT}
        return {"minutes": minutes, "frames": frames, "grown": dict.fromkeys(parts, grown), **parts}

    monkeypatch.setattr(soak, "soak", at_once)
    monkeypatch.setattr(sys, "argv", ["soak.py", "--minutes", "3", "--json", str(notes), "--figure", str(picture)])
    with pytest.raises(SystemExit) as end:
        soak.main()
    told = json.loads(notes.read_text(encoding="utf-8"))
    assert (end.value.code, told["minutes"], told["frames"], told["rounds"]) == (status, 3, 2000, FLAT)
    with Image.open(picture) as drawn:
        assert len(drawn.convert("L").getcolors()) > 10
