"""Grid files: what they expand to, how runs are named, and what is refused before anything runs."""

import errno
import json
from itertools import product
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from dtse_core.config import preset, with_settings
from dtse_core.experiments import grid as module
from dtse_core.experiments.grid import MOST_RUNS, carry_out, read_grid, read_result

PARAMETERS = 'SEED = 0  # of all\nMODE = "ok"  # what happens\nRATE = 0.5  # a float'
TELL = (  # what setup() and record() publish, without the two seconds that torch takes to import
    "get_ipython().display_pub.publish({'text/plain': 'told'}, {'dtse': {'parameters': "
    "{'SEED': SEED, 'MODE': MODE, 'RATE': RATE}, 'config': {'a': 1}, 'recorded': {'metrics': {'mean_iou': 0.25}}}})"
)
BURN = "while time.process_time() < end: pass"


def notebook(folder: Path, body: str = "sum(range(10**6))", parameters: str = PARAMETERS) -> Path:
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"] if parameters else []})]
    cells += [new_code_cell(body), new_code_cell(TELL)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "work.ipynb")
    return folder / "work.ipynb"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grids")
    notebook(folder)
    return folder


def grid_of(folder: Path, **asked):
    (folder / "g.json").write_text(json.dumps({"notebook": "work.ipynb"} | asked), encoding="utf-8")
    return read_grid(folder / "g.json")


AXIS = st.integers(1, 3)


@given(seeds=AXIS, modes=AXIS, pairs=AXIS)
def test_a_grid_is_every_combination_of_values_zips_and_seeds(home, seeds, modes, pairs):
    names, zipped = [f"m{k}" for k in range(modes)], [k / 4 for k in range(pairs)]
    found = grid_of(home, seeds=list(range(seeds)), values={"MODE": names}, zips=[{"RATE": zipped}])
    expected = {*product(range(seeds), names, zipped)}
    assert len(found.runs) == len(expected) == len({r.name for r in found.runs})
    assert {(r.parameters["SEED"], r.parameters["MODE"], r.parameters["RATE"]) for r in found.runs} == expected


def test_runs_go_seed_by_seed_so_that_a_stopped_grid_has_whole_comparisons(home):
    found = grid_of(home, seeds=[3, 1], values={"MODE": ["a", "b"]}, blocks=[{}, {"values": {"MODE": "c"}}])
    order = [(r.parameters["SEED"], r.parameters["MODE"]) for r in found.runs]
    assert order == [(3, "a"), (3, "b"), (3, "c"), (1, "a"), (1, "b"), (1, "c")]


def test_zipped_lists_go_side_by_side(home):
    found = grid_of(home, zips=[{"SEED": [1, 2], "MODE": ["a", "b"]}])
    assert [(r.parameters["SEED"], r.parameters["MODE"]) for r in found.runs] == [(1, "a"), (2, "b")]


def test_blocks_add_to_what_stands_above_and_a_run_asked_for_twice_is_one(home):
    blocks = [
        {"labels": {"variant": "first"}},
        {"labels": {"variant": "other", "budget": "seconds"}, "values": {"MODE": "x"}, "seeds": [0]},
        {"labels": {"variant": "again"}, "values": {"RATE": 0.5}},  # the default, spelt out
    ]
    found = grid_of(home, seeds=[0, 1], labels={"group": "all"}, blocks=blocks)
    told = [(r.labels["variant"], r.parameters["SEED"], r.parameters["MODE"]) for r in found.runs]
    assert told == [("first", 0, "ok"), ("other", 0, "x"), ("first", 1, "ok")]
    assert found.runs[1].labels == {"group": "all", "variant": "other", "budget": "seconds"}


def test_settings_of_a_block_are_added_to_those_above_and_have_the_last_word(tmp_path):
    notebook(tmp_path, parameters='SEED = 0  # a\nMODE = ""  # b\nRATE = 0.5  # c\nSETTINGS = ""  # d')
    above = {"values": {"SETTINGS": "data.level=2 train.batch=4"}}
    blocks = [{}, {"values": {"SETTINGS": ["data.level=1", "train.lr=1"]}}, {"values": {"SETTINGS": ""}}]
    found = [run.parameters["SETTINGS"] for run in grid_of(tmp_path, **above, blocks=blocks).runs]
    assert found == ["data.level=2 train.batch=4" + more for more in ("", " data.level=1", " train.lr=1")]
    assert with_settings(preset("tiny"), found[1]).data.level == 1
    assert [run.parameters["SETTINGS"] for run in grid_of(tmp_path, blocks=blocks[1:]).runs][0] == "data.level=1"


def test_a_run_is_called_by_its_labels_and_its_seed_or_by_how_it_differs(home):
    blocks = [{"labels": {"variant": "mine", "budget": "seconds"}}, {"values": {"MODE": "x"}}]
    found = grid_of(home, seeds=[4], blocks=blocks)
    assert [found.title(run) for run in found.runs] == ["mine, equal seconds, seed 4", "MODE=x"]


def test_a_run_is_named_by_its_notebook_and_all_its_parameters_whatever_the_file_looks_like(home):
    (home / "g.toml").write_text('notebook = "work.ipynb"\n[values]\nRATE = [0.5]\nMODE = "ok"\n', encoding="utf-8")
    one, other = read_grid(home / "g.toml").runs, grid_of(home, values={"MODE": ["ok"]}, labels={"variant": "x"}).runs
    assert [r.name for r in one] == [r.name for r in other]
    assert one[0].name != grid_of(home, values={"MODE": "ok", "RATE": 0.25}).runs[0].name
    notebook(home).rename(home / "other.ipynb")
    notebook(home)
    assert one[0].name != grid_of(home, notebook="other.ipynb").runs[0].name


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"values": {"SEDE": 1}}, r"has no parameter SEDE \(did you mean 'SEED'\?\)"),
        ({"values": {"SEED": ["x"]}}, "SEED is 'x'; it must be a whole number"),
        ({"values": {"RATE": True}}, "RATE is True; it must be a finite number"),
        ({"values": {"SEED": ["3"]}}, "SEED is '3'; it must be a whole number"),
        ({"values": {"RATE": float("nan")}}, r"g.json: JSON that cannot be read \(NaN is not a number\)"),
        ({"values": {"SEED": []}}, "asks for 0 runs"),
        ({"seeds": []}, "asks for 0 runs"),
        ({"values": {"SEED": list(range(1000)), "RATE": list(range(100))}}, "asks for 100000 runs; it must be 1 to"),
        ({"zips": [{"SEED": [1, 2], "MODE": ["a"]}]}, "of one length; found SEED 2, MODE 1"),
        ({"seeds": [1], "values": {"SEED": 2}}, "SEED is set in more than one way"),
        ({"value": {"SEED": 1}}, r"unknown key value \(did you mean 'values'\?\)"),
        ({"blocks": [{"seed": [1]}]}, r"a block: unknown key seed \(did you mean 'seeds'\?\)"),
        ({"labels": {"variants": "x"}}, r"labels: unknown key variants \(did you mean 'variant'\?\)"),
        ({"values": [1]}, r"values is \[1\]; it must be a dict"),
        ({"minutes": -5}, "g.json: minutes is -5; it must be above 0"),
        ({"minutes": True}, "minutes is True; it must be a finite number"),
        ({"notebook": 3}, "notebook is 3; it must be a text"),
        ({"zips": [{"SEED": 1}]}, "zips holds tables of lists"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_a_grid_that_cannot_run_is_refused_in_one_line(home, asked, words):
    with pytest.raises(ValueError, match=words):
        grid_of(home, **asked)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("train.lr=-1", "g.json: SETTINGS: train.lr is -1.0; it must be 0 or more"),
        ("model.lmfd=off", "g.json: SETTINGS: unknown setting 'model.lmfd'"),
        ("train.checkpoint_streams=yes", "train.checkpoint_streams is 'yes'; it must be True or False"),
    ],
)
def test_dotted_settings_are_refused_before_anything_runs(tmp_path, settings, words):
    notebook(tmp_path, parameters='SEED = 0\nSETTINGS = ""')
    assert len(grid_of(tmp_path, values={"SETTINGS": ["model.lmdf=off", ""]}).runs) == 2
    with pytest.raises(ValueError, match=words):
        grid_of(tmp_path, values={"SETTINGS": ["model.lmdf=off", settings]})


def test_a_grid_too_large_is_counted_not_unrolled(home, monkeypatch):
    monkeypatch.setattr(module, "check_parameters", lambda *_: pytest.fail("a run was made"))
    with pytest.raises(ValueError, match=f"it must be 1 to {MOST_RUNS}"):
        grid_of(home, values={"SEED": list(range(10**5)), "RATE": list(range(10**5))})


def test_a_notebook_without_parameters_and_missing_or_broken_files_are_refused(tmp_path):
    notebook(tmp_path, parameters="")
    with pytest.raises(ValueError, match="work.ipynb has no parameters: tag a cell with `parameters`"):
        grid_of(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no notebook"):
        grid_of(tmp_path, notebook="absent.ipynb")
    with pytest.raises(FileNotFoundError, match="there is no grid file"):
        read_grid(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("seeds = [0", encoding="utf-8")
    with pytest.raises(ValueError, match="broken.toml: not TOML"):
        read_grid(tmp_path / "broken.toml")


def test_a_run_records_what_was_asked_what_was_used_and_what_it_cost(tmp_path):
    notebook(tmp_path, "held = bytearray(150 * 2**20)\nimport time\nend = time.process_time() + 1.5\n" + BURN)
    [run] = grid_of(tmp_path, values={"SEED": 3}).runs
    record = carry_out(run, str(tmp_path / "work.ipynb"), str(tmp_path / "out"), 1)
    assert record["ok"], record["error"]
    assert record["asked"] == record["used"] == {"SEED": 3, "MODE": "ok", "RATE": 0.5}
    assert record["recorded"] == {"metrics": {"mean_iou": 0.25}} and record["config"] == {"a": 1}
    assert 150 * 2**20 < record["peak_memory"] < 2**30
    assert record["cpu_seconds"] >= 1.5 and record["seconds"] >= 1.5  # at any speed: until then the cell goes on
    assert record["versions"]["papermill"] and record["run"] == run.name
    assert read_result(tmp_path / "out") == record


def test_a_run_that_used_other_parameters_than_asked_fails(tmp_path):
    notebook(tmp_path, "SEED = 7")
    [run] = grid_of(tmp_path, values={"SEED": 3}).runs
    record = carry_out(run, str(tmp_path / "work.ipynb"), str(tmp_path / "out"), 1)
    assert not record["ok"] and "asked for {'SEED': 3" in record["error"] and "{'SEED': 7}" in record["error"]


def test_a_run_does_not_inherit_what_dask_sets_for_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    notebook(tmp_path, 'import os\nMODE = os.environ.get("MALLOC_TRIM_THRESHOLD_", "ok")')
    [run] = grid_of(tmp_path).runs
    record = carry_out(run, str(tmp_path / "work.ipynb"), str(tmp_path / "out"), 1)
    assert record["ok"], record["error"]


def test_a_full_disk_leaves_no_record_of_a_run(tmp_path, monkeypatch):
    notebook(tmp_path)
    [run] = grid_of(tmp_path).runs

    def full(path, text, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device"):
        carry_out(run, str(tmp_path / "work.ipynb"), str(tmp_path / "out"), 1)
    assert read_result(tmp_path / "out") is None


def test_half_a_record_is_none(tmp_path):
    (tmp_path / "result.json").write_text('{"ok": true, "metr', encoding="utf-8")
    assert read_result(tmp_path) is None


def test_settings_come_from_one_text_in_the_types_of_the_configuration():
    text = "model.lmdf=off model.window=5 model.vlmg_stages=4 model.dilations=1,2 train.lr=1"
    text += " model.vision_to_language=false"
    config = with_settings(preset("tiny"), text)
    assert (config.model.lmdf, config.model.window, config.model.vlmg_stages) == ("off", 5, (4,))
    assert (config.model.dilations, config.train.lr, config.model.vision_to_language) == ((1, 2), 1.0, False)
    assert with_settings(config, "model.vlmg_stages=").model.vlmg_stages == ()
    assert with_settings(config, "") == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model.lmfd=off", "unknown setting 'model.lmfd' .did you mean 'model.lmdf'"),
        ("model.window=three", "model.window is 'three'; it must be a whole number"),
        ("train.minutes=yes", "train.minutes is 'yes'; it must be a finite number"),
        ("model.lmdf=of", "model.lmdf is 'of'; it must be one of off"),
        ("model.lmdf", "'model.lmdf' is not a setting; write name=value"),
    ],
)
def test_a_wrong_setting_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        with_settings(preset("tiny"), text)
