"""What a user owns stays byte for byte: each command writes to free names and over its own files alone."""

import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from dtse_core import evaluate, predict, preset, train
from dtse_core.data.prepare import __main__ as prepare
from dtse_core.data.prepare.obtain import Step
from dtse_core.data.prepare.sources import DATASETS
from dtse_core.experiments import runner
from dtse_core.notebook.player import keep
from dtse_core.scoring.mask_files import folder_for_masks
from dtse_core.shared.files import OURS, PAGE, remove_ours, require_ours, write_json, written_whole
from dtse_core.shared.versions import RESULT_KEYS, versions
from dtse_core.training.run_folder import WEIGHTS, require_run, same_settings, save_weights
from dtse_core.video.export import PREDICTION, require_place, write_prediction
from dtse_core.video.files import read_frames
from dtse_core.video.overlay import save_gif
from dtse_core.video.prediction import MASKS, Segmentation
from dtse_core.video.writing import FILMS, write_video
from tests.unit.test_export import make_steps
from tests.unit.test_runner import good  # noqa: F401 - a fixture

MARK = f"test {OURS}"
KEYS = '{"versions": {"python": "3", "dtse": "1"}}'  # of a result


def content(root: Path) -> dict[str, bytes | str | None]:
    """Everything below a folder: bytes of files, targets of links, None for folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        kind = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = kind
    return found


def refusal(command, *arguments, monkeypatch, capsys) -> str:
    """The one line that a command says, which ends with exit status 1 or 2."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        sys.exit(command())
    said = capsys.readouterr().err
    assert ended.value.code in (1, 2) and said.startswith("error: ") and said.count("\n") == 1, said
    return said


@pytest.fixture
def clip(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return write_video(tmp_path / "clips" / "clip.mp4", frames, 8)


# The rule


@pytest.mark.parametrize(("name", "said"), [
    ("thesis.txt", "not with the mark"),
    ("copied.txt", "not with the mark"),
    ("folder", "is a folder; name a file in it"),
    ("thesis.txt/out", "thesis.txt is a file"),
])  # fmt: skip
def test_a_file_of_the_user_is_never_written_over(tmp_path, name, said):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "copied.txt").write_text(f"another kind {OURS}", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=said), written_whole(tmp_path / name, MARK):
        raise AssertionError("work has begun")
    assert content(tmp_path) == before


def test_what_appears_during_the_work_stays(tmp_path):
    for folder in (False, True):
        with pytest.raises(FileExistsError), written_whole(tmp_path / "out", MARK, folder) as part:
            (part / "a" if folder else part).write_text(MARK, encoding="utf-8")
            (tmp_path / "out").mkdir(exist_ok=True) if folder else (tmp_path / "out").write_text(
                "mine", encoding="utf-8"
            )
            if folder:
                (tmp_path / "out" / "mine").write_text("mine", encoding="utf-8")
        assert list(content(tmp_path).values())[-1] == b"mine"
        shutil.rmtree(tmp_path / "out") if folder else (tmp_path / "out").unlink()


def test_a_folder_of_ours_is_replaced_until_it_holds_anything_else(tmp_path):
    def write(text):
        with written_whole(tmp_path / "out", MARK, folder=True) as part:
            (part / text).write_text(text, encoding="utf-8")

    (tmp_path / "out").mkdir()
    write("one")
    write("two")
    assert set(content(tmp_path / "out")) == {".dtse.json", "two"}
    (tmp_path / "out" / "deep").mkdir()
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="out is not an empty folder: it holds deep, which this command did not"):
        write("three")
    assert content(tmp_path) == before
    remove_ours(tmp_path / "out", MARK)
    assert content(tmp_path) == before
    (tmp_path / "out" / "deep").rmdir()
    with pytest.raises(FileExistsError), written_whole(tmp_path / "out", "another mark", folder=True):
        pass
    remove_ours(tmp_path / "out", "another mark")
    assert (tmp_path / "out" / "two").is_file()
    remove_ours(tmp_path / "out", MARK)
    assert content(tmp_path) == {}


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "deep/.DS_Store", "deep/thumbs.db"])
def test_what_a_system_adds_to_a_folder_on_showing_it_does_not_make_it_another_s(tmp_path, name):
    out = tmp_path / "out"

    def show():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"icons")

    def write(text):
        with written_whole(out, MARK, folder=True) as part:
            (part / "deep").mkdir()
            (part / "deep" / text).write_text(text, encoding="utf-8")

    if "/" not in name:
        show()  # in a folder that is empty otherwise
    write("one")
    show()
    write("two")
    assert set(content(out)) == {".dtse.json", "deep", "deep/two"}
    show()
    remove_ours(out, MARK)
    assert content(tmp_path) == {}


@pytest.mark.parametrize("name", [".git/config", ".env", "._two", "__MACOSX/two", ".DS_Store/mine", "Thumbs.db.txt"])
def test_hidden_files_that_may_be_a_user_s_stay(tmp_path, name):
    with written_whole(tmp_path / "out", MARK, folder=True) as part:
        (part / "two").touch()
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine", encoding="utf-8")
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=f"it holds {name.split('/')[0]}, which this command did not write"):
        require_ours(tmp_path / "out", MARK, folder=True)
    remove_ours(tmp_path / "out", MARK)
    assert content(tmp_path) == before


def test_a_manifest_that_cannot_be_read_claims_nothing(tmp_path):
    for text in ("", "[]", '{"mark": 3}', OURS, '{"mark": "' + MARK + '", "holds": ["other"]}'):
        (tmp_path / ".dtse.json").write_text(text, encoding="utf-8")
        (tmp_path / "mine").write_text("mine", encoding="utf-8")
        with pytest.raises(FileExistsError, match="it holds "):
            require_ours(tmp_path, MARK, folder=True)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    for text in ("one", "two"):
        with written_whole(tmp_path / "out", MARK) as part:
            part.write_text(f"{MARK} {text}", encoding="utf-8")
    assert content(tmp_path) == {"disk": None, "disk/real": f"{MARK} two".encode(), "out": str(tmp_path / "disk/real")}
    (tmp_path / "disk" / "real").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError), written_whole(tmp_path / "out", MARK):
        pass


@pytest.mark.parametrize("name", [".", "..", "../deep", "../../out"])
def test_the_folder_that_a_command_runs_in_is_not_replaced(tmp_path, monkeypatch, name):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out" / "deep")
    with pytest.raises(FileExistsError, match="the folder that this command runs in"):
        require_ours(name, MARK, folder=True)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="not with the mark"):
        require_ours(tmp_path / "pipe", MARK)


# Videos


@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hard link", "link as input"])
def test_predict_never_writes_to_its_input(clip, tmp_path, monkeypatch, capsys, way):
    monkeypatch.chdir(tmp_path)
    video, out = clip, clip
    if way == "relative":
        out = Path("clips/../clips/clip.mp4")
    elif way != "same":
        other = tmp_path / "other.mp4"
        other.hardlink_to(clip) if way == "hard link" else other.symlink_to(clip)
        video, out = (other, clip) if way == "link as input" else (clip, other)
    before = content(tmp_path)
    said = refusal(predict.main, video, "a dog", "--out", out, monkeypatch=monkeypatch, capsys=capsys)
    assert f"{out} is the input" in said and content(tmp_path) == before
    with pytest.raises(ValueError, match="is the input"):
        Segmentation("a dog", np.zeros((4, 16, 16), bool), np.zeros(4), video, 8).save(out)
    assert content(tmp_path) == before


@pytest.mark.parametrize("out", [*(f"mine{suffix}" for suffix in FILMS), "clips", "frames", "project"])
def test_predict_leaves_films_and_folders_of_the_user(clip, tmp_path, monkeypatch, capsys, out):
    for suffix in FILMS:
        (tmp_path / f"mine{suffix}").write_bytes(b"GIF89a" if suffix == ".gif" else clip.read_bytes())
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "expressions.txt").write_text("0 my own list", encoding="utf-8")
    for name in ("project.part", "mine.mp4.part", "project.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work", encoding="utf-8")
    save_frames(clip, tmp_path / "frames")
    before = content(tmp_path)
    video = tmp_path / "frames" if out == "frames" else clip
    said = refusal(predict.main, video, "a dog", "--out", tmp_path / out, monkeypatch=monkeypatch, capsys=capsys)
    assert str(tmp_path / out) in said and content(tmp_path) == before
    result = Segmentation("a dog", np.zeros((4, 16, 16), bool), np.zeros(4), str(video), 8)
    with pytest.raises((ValueError, FileExistsError)):
        result.save_masks(tmp_path / out) if "." not in out else result.save(tmp_path / out)
    with pytest.raises((ValueError, FileExistsError)):
        keep(tmp_path / "project", tmp_path / out)
    assert content(tmp_path) == before


def save_frames(clip, folder):
    from PIL import Image

    folder.mkdir()
    for k, frame in enumerate(read_frames(clip, range(4))):
        Image.fromarray(frame).save(folder / f"{k:05d}.png")


def test_ones_own_films_and_predictions_are_replaced_and_never_read_while_they_are(clip, tmp_path):
    for name in (*(f"film{suffix}" for suffix in FILMS), "folder"):
        for sentence in ("one", "two"):
            write_prediction(make_steps(3, sentences=1), [sentence], tmp_path / name, 8)
            require_place(tmp_path / name, clip)
    assert (tmp_path / "folder" / "expressions.txt").read_text(encoding="utf-8") == "0 two\n"
    with pytest.raises(ValueError, match="folder holds the input .*overlay.mp4; choose another folder"):
        require_place(tmp_path / "folder", tmp_path / "folder" / "overlay.mp4")
    with pytest.raises(FileExistsError):  # a clip that the user made is no overlay
        require_place(clip, None)
    with pytest.raises(FileExistsError):
        save_gif(clip, np.zeros((1, 8, 8, 3), np.uint8))
    for k in range(2):
        Segmentation("", np.zeros((k + 1, 8, 8), bool), np.zeros(1), [], 8).save_masks(tmp_path / "masks")
    assert set(content(tmp_path / "masks")) == {".dtse.json", "00000.png", "00001.png"}
    with pytest.raises(FileExistsError), written_whole(tmp_path / "masks", PREDICTION, folder=True):
        pass


# Scores


@pytest.mark.parametrize(("option", "name"), [
    ("--json", "mine.json"), ("--json", "folder"), ("--markdown", "mine.md"), ("--pictures", "folder"),
    ("--save-masks", "folder"), ("--markdown", "letter"), ("--pictures", "mine.md"),
])  # fmt: skip
def test_evaluate_leaves_what_it_did_not_write(tmp_path, monkeypatch, capsys, option, name):
    (tmp_path / "mine.json").write_text(
        '{"metrics": {"mean_iou": 1}, "versions": {"python": "3", "other": "1"}}', encoding="utf-8"
    )
    (tmp_path / "mine.md").write_text("# Thesis", encoding="utf-8")
    (tmp_path / "letter").symlink_to(tmp_path / "mine.md")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "worst_01_a.png").write_bytes(b"my picture")
    before = content(tmp_path)
    monkeypatch.setattr(evaluate, "run_command", lambda *_: pytest.fail("the work has begun"))
    arguments = ("--data.name", "toy", option, tmp_path / name)
    said = refusal(evaluate.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert str(tmp_path / name) in said and content(tmp_path) == before


@pytest.mark.parametrize("line", [
    "--json a --markdown a", "--json a --markdown b/../a", "--save-masks a --pictures a/b", "--pictures a --json a/b",
])  # fmt: skip
def test_evaluate_refuses_outputs_that_lie_in_one_another(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "run_command", lambda *_: pytest.fail("the work has begun"))
    arguments = ("--data.name", "toy", *line.split())
    assert "both to be written" in refusal(evaluate.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)


def test_evaluate_never_writes_over_the_masks_that_it_scores(tmp_path, monkeypatch, capsys):
    with folder_for_masks(str(tmp_path / "masks"), True, type("Alone", (), {"is_main_process": True})()) as part:
        (part / "a.png").write_bytes(b"x")
    before = content(tmp_path)
    monkeypatch.setattr(evaluate, "run_command", lambda *_: pytest.fail("the work has begun"))
    for option, out, why in (
        ("--save-masks", "masks", "is the input"),
        ("--pictures", ".", "holds the input"),
        ("--json", "masks/a.png", "not with the mark"),
        ("--pictures", "masks/p", "lies in the input"),
        ("--json", "masks/b/c.json", "lies in the input"),
    ):
        arguments = ("--data.name", "a2d", "--masks", tmp_path / "masks", option, tmp_path / out)
        assert why in refusal(evaluate.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)
        assert content(tmp_path) == before
    require_ours(tmp_path / "masks", MASKS, folder=True)


def test_results_are_known_by_their_keys(tmp_path):
    for _ in range(2):
        write_json(tmp_path / "a.json", {"metrics": {}, "config": {}, "versions": versions()}, RESULT_KEYS)
    for foreign in ({}, {"dtse": "1"}, {"versions": {"dtse": "1"}}, {"versions": {"python": "3"}}):
        (tmp_path / "b.json").write_text(json.dumps(foreign, indent=1), encoding="utf-8")
        with pytest.raises(FileExistsError, match="b.json exists, and not with the mark"):
            write_json(tmp_path / "b.json", {}, RESULT_KEYS)
        assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == foreign


def test_prepare_writes_its_report_over_a_report_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DTSE_CACHE", str(tmp_path / "cache"))
    report, mine = tmp_path / "report.json", tmp_path / "mine.json"
    mine.write_text('{"name": "a", "state": "b"}', encoding="utf-8")
    for check in ((), ("--check",), ("--check",), ()):
        arguments = ("a2d", "--root", tmp_path / "root", *check)
        monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments), "--json", str(report)])
        monkeypatch.setattr(prepare, "obtain", lambda *_, **__: [Step(DATASETS["a2d"].sources[0], "there", "")])
        with pytest.raises(SystemExit):
            prepare.main()
        assert report.is_file()
        capsys.readouterr()
        assert "mine.json exists" in refusal(
            prepare.main, *arguments, "--json", mine, monkeypatch=monkeypatch, capsys=capsys
        )
    assert mine.read_text(encoding="utf-8") == '{"name": "a", "state": "b"}'


# Training


@pytest.mark.parametrize("name", [
    "best/thesis.txt", "final/model.safetensors", "final/notes", "checkpoints/step_000000004/mine", "run.json",
    "history.jsonl", "versions.json", "lock",
])  # fmt: skip
def test_train_refuses_a_project_that_has_one_of_its_names(tmp_path, monkeypatch, capsys, name):
    out = tmp_path / "project"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("years of work", encoding="utf-8")
    before = content(tmp_path)
    said = refusal(train.main, "--preset", "tiny", "--out", out, monkeypatch=monkeypatch, capsys=capsys)
    assert str(out) in said and "choose another --out" in said and content(tmp_path) == before


class Saved:
    def __init__(self, text):
        self.text = text

    def parameters(self):
        return iter(())

    def save_pretrained(self, folder):
        (folder / f"{self.text}.txt").write_text(self.text, encoding="utf-8")


@pytest.mark.parametrize("name", ["notes", "notes/run"])
def test_train_into_a_file_is_one_line_that_says_so(tmp_path, monkeypatch, capsys, name):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    arguments = ("--preset", "tiny", "--out", tmp_path / name)
    assert "notes is a file, so that" in refusal(train.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


def test_what_a_user_puts_into_the_weights_of_a_run_outlives_the_next_ones(tmp_path, capsys):
    config = preset("tiny", out=str(tmp_path))
    for k, text in enumerate(("one", "two", "three")):
        save_weights(tmp_path / "best", Saved(text), Saved("words"), config)
        require_run(tmp_path)
        if k:
            (tmp_path / "best" / "result.json").write_text(text, encoding="utf-8")
    assert "best.kept" in capsys.readouterr().out
    assert (tmp_path / "best.kept" / "result.json").read_text(encoding="utf-8") == "two"
    assert not (tmp_path / "best" / "two.txt").exists() and (tmp_path / "best" / "three.txt").is_file()
    require_run(tmp_path)
    with pytest.raises(FileExistsError, match="is not a run's folder"):
        same_settings(tmp_path, config)
    with pytest.raises(FileExistsError):
        require_ours(tmp_path / "best", PREDICTION, folder=True)
    assert WEIGHTS in (tmp_path / "best" / ".dtse.json").read_text(encoding="utf-8")


# Notebooks


def test_the_runner_leaves_notebooks_and_pages_of_the_user(good, tmp_path, monkeypatch, capsys):  # noqa: F811
    out = tmp_path / "out"
    cases = {good.parent: "is the input"}
    for name in ("04_good.ipynb", "04_good.html", "04_good.json", "index.html"):
        (tmp_path / name.replace(".", "_")).mkdir()
        (tmp_path / name.replace(".", "_") / name).write_text("{}", encoding="utf-8")
        cases[tmp_path / name.replace(".", "_")] = name
    (tmp_path / "link").symlink_to(good.parent)
    cases[tmp_path / "link"] = "is the input"
    before = content(tmp_path)
    for folder, word in cases.items():
        said = refusal(
            lambda f=folder: runner.main([str(good), "--out", str(f)]), monkeypatch=monkeypatch, capsys=capsys
        )
        assert word in said and content(tmp_path) == before
    for _ in range(2):
        assert runner.main([str(good), "--out", str(out)]) == 0
    assert set(content(out)) == {"04_good.ipynb", "04_good.html", "04_good.json", "index.html"}
    assert {n: c for n, c in content(tmp_path).items() if not n.startswith("out")} == before
    copy = shutil.copy(out / "04_good.ipynb", tmp_path / "04_good_two.ipynb")
    runner.execute_in_place(Path(copy), 60)  # the user's now: it bears no mark
    with pytest.raises(FileExistsError):
        require_ours(copy, runner.COPY)


@pytest.mark.parametrize("step", ["_execute", "page_of", "write_json"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no room")], ids=["stopped", "no room"])
def test_a_run_that_does_not_end_leaves_what_an_earlier_one_kept(good, tmp_path, monkeypatch, step, error):  # noqa: F811
    (out := tmp_path / "out").mkdir()
    for name, text in (("04_good.ipynb", runner.COPY), ("04_good.html", PAGE), ("04_good.json", KEYS)):
        (out / name).write_text(text, encoding="utf-8")
    before, executed = content(out), nbformat.read(good, as_version=4)

    def fail(*_):
        raise error

    monkeypatch.setattr(runner, "_execute", lambda *_: (runner.Result("04_good", "a", ok=True), executed))
    with monkeypatch.context() as broken, pytest.raises((KeyboardInterrupt, OSError)):
        broken.setattr(runner, step, fail)
        runner.run_notebook(good, out)
    assert content(out) == before
    runner.run_notebook(good, out)
    after = content(out)
    assert after.keys() == before.keys() and not [name for name in after if after[name] == before[name]]


def test_no_copy_of_an_earlier_run_stays_beside_the_result_of_one_that_made_none(good, tmp_path, monkeypatch):  # noqa: F811
    runner.run_notebook(good, tmp_path / "out")
    failed = runner.Result("04_good", "a", error="no kernel", versions={"python": "3", "dtse": "1"})
    monkeypatch.setattr(runner, "_execute", lambda *_: (failed, None))
    runner.run_notebook(good, tmp_path / "out")
    (left,) = (tmp_path / "out").iterdir()
    assert json.loads(left.read_text(encoding="utf-8"))["error"] == "no kernel"
