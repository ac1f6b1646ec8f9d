"""What is read of files that say where something stands: bounds, values that are none, and lines that are odd."""

import json
from pathlib import Path

import pytest

from dtse_core.data.prepare.manifest import Entry, read_manifest
from dtse_core.shared.files import DEEPEST, LARGEST, read_bytes, read_json, read_json_lines
from dtse_core.training.run_folder import read_history


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "9" * 30])
def test_a_number_that_is_none_is_refused_by_file(tmp_path, value):
    file = tmp_path / "state.json"
    file.write_text(f'{{"best": {value}}}', encoding="utf-8")
    with pytest.raises(ValueError, match="state.json: JSON that cannot be read .*; correct the file, or get it again"):
        read_json(file)


def test_a_name_that_is_there_twice_is_refused_and_not_the_last_taken(tmp_path):
    file = tmp_path / "state.json"
    file.write_text('{"a": {"best": 1, "step": 2, "best": 3}}', encoding="utf-8")
    with pytest.raises(ValueError, match="state.json: JSON that cannot be read .'best' occurs twice in one object"):
        read_json(file)


def test_what_lies_deeper_in_one_another_than_anything_of_ours_is_refused(tmp_path):
    file = tmp_path / "state.json"
    for deep in (DEEPEST - 1, DEEPEST):
        file.write_text('{"a": ' + "[" * (deep - 1) + "]" * (deep - 1) + "}", encoding="utf-8")
        assert read_json(file)
    for deep in (DEEPEST, 3000, 10**6):
        file.write_text('{"a": ' + "[" * deep + "]" * deep + "}", encoding="utf-8")
        with pytest.raises(
            ValueError, match="state.json: JSON that cannot be read .*; correct the file, or get it again"
        ):
            read_json(file)


def test_a_file_that_grows_while_it_is_read_is_read_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"one\n")
    real = Path.is_file

    def grows(path):
        with open(path, "ab") as more:
            more.write(b"two\n" * 1000)
        return real(path)

    monkeypatch.setattr(Path, "is_file", grows)  # which is asked after the size
    assert read_bytes(file, most=10) == b"one\n"


def test_a_file_of_more_than_its_kind_takes_is_refused_unread(tmp_path):
    file = tmp_path / "state.json"
    with open(file, "wb") as hole:
        hole.truncate(LARGEST + 1)
    with pytest.raises(ValueError, match=r"state.json has 67,108,865 bytes, where 67,108,864 are the most"):
        read_json(file)
    file.write_bytes(b"{" + b" " * 100 + b"}")
    assert read_json(file, most=102) == {} and read_bytes(file, 102)
    with pytest.raises(ValueError, match="102 bytes, where 101 are the most"):
        read_json(file, most=101)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    for name, said in (("/dev/zero", "a pipe or a device"), (tmp_path, "a folder")):
        with pytest.raises(ValueError, match=f"is {said}; expected a file"):
            read_bytes(tmp_path / name)


RECORD = {"step": 1, "seconds": 0.5, "loss": 0.25}
ODD = ("{", "[]", "3", '{"step": 2}', '{"step": 2, "seconds": "x"}', '{"step": 2, "seconds": NaN}', "\xff", "[" * 5000)
ODD += ('{"step": 2, "seconds": 1e999}', '{"step": 2, "step": 3, "seconds": 1}')


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_line_of_a_history_is_named_and_costs_no_other(tmp_path, odd, capsys):
    good, file = json.dumps(RECORD), tmp_path / "history.jsonl"
    file.write_text("\n".join([good, odd, good, odd, odd, good]), encoding="latin-1")
    assert read_history(tmp_path) == 3 * [RECORD]
    said = f"note: {file}: line 2 and 2 more lines are cut short or damaged, and passed over\n"
    assert capsys.readouterr().err == said
    file.write_text(good, encoding="utf-8")
    assert read_history(tmp_path) == [RECORD] and not capsys.readouterr().err
    assert read_json_lines(tmp_path / "none.jsonl") == []


def test_a_manifest_keeps_its_whole_lines_alone(tmp_path, capsys):
    whole = Entry("a/b", 3, 5, "0" * 64)
    lines = [whole._asdict() | {name: None} for name in Entry._fields] + [whole._asdict(), {"path": "c"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert read_manifest(tmp_path / "m.jsonl") == {"a/b": whole}
    assert "line 1 and 4 more lines are" in capsys.readouterr().err
