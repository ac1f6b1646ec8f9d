"""Files of every kind are read as FFmpeg's own program shows them: in order, at random, from the cache, by a data set.

Each row of `tests/video_matrix.py` is a file; what fails says which.
"""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dtse_core.data.a2d import A2DSentences
from dtse_core.video.files import iterate_frames, read_frames, video_info
from dtse_core.video.frame_cache import video_frames
from tests.video_matrix import CUT_SHORT, NAMES, REFUSED, ROWS, Seen, build, number_of, referee, row

WHOLE = [row for row in ROWS if row not in REFUSED + CUT_SHORT]
BY_A_DATA_SET = WHOLE[::3]


@pytest.fixture(scope="module")
def made(request, tmp_path_factory):
    """The row, its file and what the referee shows of it, made when the row's first test asks for them."""
    row = request.param
    path = build(row, tmp_path_factory.mktemp("matrix") / "made")
    return SimpleNamespace(row=row, path=path, seen=Seen() if row.refused else referee(row, path))


def each(rows):
    return pytest.mark.parametrize("made", rows, ids=[row.name for row in rows], indirect=True)


def assert_same(frames, wanted: list[np.ndarray]) -> None:
    """The same pictures in the same order: sizes, numbers, and colours to within 2 of 255 on average."""
    frames = list(frames)
    assert [number_of(frame) for frame in frames] == [number_of(frame) for frame in wanted]
    assert [frame.shape for frame in frames] == [frame.shape for frame in wanted]
    differences = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, wanted, strict=True)]
    assert max(differences) <= 2, differences


@each(WHOLE)
def test_the_referee_shows_the_frames_that_were_drawn(made):
    """Of the rows alone: no code of the package is run."""
    if made.row.shows is not None:
        assert tuple(number_of(frame) for frame in made.seen.frames) == made.row.shows
        assert {frame.shape[1::-1] for frame in made.seen.frames} == {made.row.size}
        assert made.seen.aspect == made.row.aspect


@each(WHOLE)
def test_length_size_aspect_and_times_are_those_shown(made, capsys):
    info, seen = video_info(made.path), made.seen
    assert not capsys.readouterr().err
    assert info.length == len(seen.frames) == len(info.times) - 1
    assert (info.height, info.width) == seen.frames[0].shape[:2]
    assert info.aspect == seen.aspect
    step, starts, steps = 1 / float(made.row.rate), seen.starts, np.diff(seen.starts)
    if (steps <= 0).any() and made.row.shows:  # its clock is wrong, and the program passes it on
        starts, steps = [k * step for k in range(info.length)], np.full(info.length - 1, step)
    if (steps > 0).all():
        assert info.times[:-1] == pytest.approx(starts, abs=1.1e-3)  # Matroska counts in thousandths
    assert (np.diff(info.times) > 0).all()
    if np.abs(steps - step).max(initial=0) < 2e-3:
        assert info.fps == pytest.approx(float(made.row.rate), rel=1e-3)
        assert info.times[-1] == pytest.approx(info.length * step, abs=2e-3)


@each(WHOLE)
def test_every_frame_in_order(made):
    assert_same(iterate_frames(made.path), made.seen.frames)


@each(WHOLE)
def test_any_frame_at_random_and_through_the_cache(made, tmp_path):
    length = len(made.seen.frames)
    drawn = np.random.default_rng(length)
    for indices in (drawn.permutation(length), drawn.integers(0, length, 5), [length - 1], [0, length - 1, 0]):
        wanted = [made.seen.frames[i] for i in indices]
        assert_same(read_frames(made.path, indices), wanted)
        assert_same(video_frames(made.path, indices, str(tmp_path)), wanted)


@each(NAMES)
def test_a_name_is_a_name_also_without_a_folder_before_it(made, monkeypatch):
    monkeypatch.chdir(made.path.parent)
    assert video_info(made.row.name).length == len(made.seen.frames)
    assert_same(iterate_frames(made.row.name), made.seen.frames)
    assert_same(read_frames(made.row.name, [9, 2]), [made.seen.frames[9], made.seen.frames[2]])


def a2d(root: Path, video: Path, size: tuple[int, int], length: int, annotated: list[int]) -> A2DSentences:
    """A2D-Sentences with one video, of which some frames, numbered from 0, are annotated."""
    import h5py

    clips, texts = root / "Release" / "clips320H", root / "text_annotations"
    masks = texts / "a2d_annotation_with_instances" / "clip"
    clips.mkdir(parents=True), masks.mkdir(parents=True)
    (clips / "clip.mp4").symlink_to(video)
    told = f"clip,11,0:00,0:01,{size[0]},{size[1]},{length},{len(annotated)},1\n"
    (root / "Release" / "videoset.csv").write_text(told, encoding="utf-8")
    (texts / "a2d_annotation.txt").write_text("video_id,instance_id,query\nclip,0,the box\n", encoding="utf-8")
    (texts / "a2d_missed_videos.txt").touch()
    for k in annotated:
        with h5py.File(masks / f"{k + 1:05d}.h5", "w") as file:
            file["instance"], file["reMask"] = [0], np.ones(size[::-1], np.uint8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rows without an integer instance")
        return A2DSentences(root, "test", window=3, offset=4)


@each(BY_A_DATA_SET)
def test_a_data_set_gives_the_frames_around_an_annotation(made, tmp_path):
    frames, length = made.seen.frames, len(made.seen.frames)
    annotated = sorted({0, length // 2, length - 1})
    dataset = a2d(tmp_path, made.path, frames[0].shape[:2], length, annotated)
    assert len(dataset) == len(annotated)
    for sample, k in zip(dataset, annotated, strict=True):
        assert_same(sample.frames, [frames[min(max(i, 0), length - 1)] for i in (k - 4, k, k + 4)])


@each(CUT_SHORT)
def test_a_file_cut_short_is_read_to_its_last_whole_frame(made, tmp_path, capsys):
    """The program shows the last one torn, or the one before it again; where it can be told, a note says so."""
    path = made.path.rename(tmp_path / made.path.name)  # nothing is known of it yet
    frames, wanted = list(iterate_frames(path)), made.seen.frames
    assert len(wanted) - 1 <= len(frames) <= len(wanted) and frames
    assert_same(frames, wanted[: len(frames)])
    assert_same(read_frames(path, range(len(frames))[::-1]), wanted[: len(frames)][::-1])
    assert video_info(path).length == len(frames)
    said = capsys.readouterr().err
    assert said.count("\n") <= 1 and (str(path) in said or not made.row.noted and len(frames) == len(wanted))


@each(REFUSED)
def test_what_shows_nothing_is_refused_by_name_in_one_line(made):
    for read in (video_info, lambda path: list(iterate_frames(path)), lambda path: read_frames(path, [0])):
        with pytest.raises(ValueError, match=made.row.refused) as error:
            read(made.path)
        assert str(made.path) in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_key_frame_looks_the_same_at_random_as_in_order(tmp_path):
    """A player shows what it can over the frames before; started at the damage, a decoder shows gray."""
    import av

    path = build(row("keys.mp4", "-c:v libx264 -bf 0 -g 6 -x264-params scenecut=0"), tmp_path / "keys")
    with av.open(str(path)) as file:
        key = [packet for packet in file.demux(video=0) if packet.is_keyframe and packet.size][2]
        middle = key.pos + key.size // 4
    before, data = read_frames(path, [12])[0], bytearray(path.read_bytes())
    data[middle : middle + 8] = bytes(b ^ 0x55 for b in data[middle : middle + 8])
    path.write_bytes(data)
    in_order = read_frames(path, range(20))  # one thread: of several, timing decides what fills a gap
    assert (in_order[12] != before).any()
    for k in range(10, 20):
        assert np.array_equal(read_frames(path, [k])[0], in_order[k]), k
