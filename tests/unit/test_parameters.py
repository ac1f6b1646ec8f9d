"""Parameters of notebooks: what papermill carries arrives as it is, all else is refused by name."""

import datetime
import json
import re

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook
from papermill.translators import translate_parameters

from dtse_core.experiments.runner import run_notebook
from dtse_core.notebook.parameters import check_parameters, is_plain, literals, read_parameters

KNOWN = {"SEED": 0, "RATE": 0.5, "FAST": True, "NAME": "a#b", "SIZES": [1, 2], "MORE": {"a": 1}, "ANY": None}
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def as_papermill_writes(value):
    names: dict = {}
    exec(translate_parameters("python3", "python", {"X": value}, "Parameters"), names)
    return names["X"]


@given(value=PLAIN)
def test_a_plain_value_comes_out_of_papermill_and_json_as_it_went_in(value):
    assert is_plain(value)
    for arrived in (as_papermill_writes(value), json.loads(json.dumps(value, ensure_ascii=False).encode())):
        assert repr(arrived) == repr(value)


@pytest.mark.parametrize(
    "value",
    [(1, 2), [(1,)], {"a": (1,)}, {1: 2}, b"x", {1}, 1j, ..., datetime.date(2022, 3, 29), np.int64(3), np.str_("x")],
    ids=repr,
)
def test_what_papermill_would_change_is_not_plain(value):
    arrived = as_papermill_writes(value)
    assert (arrived, type(arrived)) != (value, type(value)) and not is_plain(value)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [float("-inf")], "\ud800", np.float64(0.5), 2**63], ids=repr
)
def test_what_json_and_tables_would_change_is_not_plain(value):
    assert not is_plain(value)


def test_values_keep_the_types_of_the_notebooks_literals():
    plain = {"SEED": -7, "RATE": 2, "FAST": False, "NAME": "", "SIZES": [], "MORE": {"ü": [None]}, "ANY": "x"}
    typed = check_parameters(plain, KNOWN, "a.ipynb")
    assert typed == plain and {n: type(v) for n, v in typed.items()} == {
        n: type(plain[n] if KNOWN[n] is None else KNOWN[n]) for n in plain
    }


def test_texts_of_a_command_line_are_read_in_the_types_of_the_literals():
    texts = {"SEED": "-3", "RATE": "1e-2", "FAST": "false", "NAME": "7", "SIZES": "[3]", "MORE": "{}", "ANY": "None"}
    assert read_parameters(texts, KNOWN) == {
        "SEED": -3, "RATE": 0.01, "FAST": False, "NAME": "7", "SIZES": [3], "MORE": {}, "ANY": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SEDE", 3, "a.ipynb has no parameter SEDE (did you mean 'SEED'?); it has SEED, RATE, FAST"),
        ("FAST", "False", "a.ipynb: FAST is 'False'; it must be True or False"),
        ("FAST", 1, "FAST is 1; it must be True or False"),
        ("SEED", True, "SEED is True; it must be a whole number"),
        ("SEED", 1.0, "SEED is 1.0; it must be a whole number"),
        ("RATE", "0.1", "RATE is '0.1'; it must be a finite number"),
        ("NAME", None, "NAME is None; it must be a text"),
        ("SIZES", 3, "SIZES is 3; it must be a list"),
        (
            "SIZES",
            (3, 4),
            "SIZES is (3, 4); a parameter is a text, a finite number below 2^63, True, False, None, or a list",
        ),
        ("MORE", {1: 2}, "MORE is {1: 2}; a parameter is a text"),
        ("ANY", {1, 2}, "ANY is {1, 2}; a parameter is a text"),
    ],
)
def test_anything_else_is_refused_by_name(name, value, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        check_parameters({name: value}, KNOWN, "a.ipynb")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("SEED = 0\nSTEPS = 10 * SEED", "`STEPS = 10 * SEED` is not a parameter; write NAME = value, which is a text"),
        ("SIZE = (64, 96)", "`SIZE = (64, 96)` is not a parameter"),
        ("RATE = 1e999", "is not a parameter"),
        ("A = B = 1", "`A = B = 1` is not a parameter"),
        ("A, B = 1, 2", "is not a parameter"),
        ("A: int = 1", "is not a parameter"),
        ("import os", "`import os` is not a parameter"),
        ("A =", "a.ipynb: its parameters cell is not Python"),
    ],
)
def test_a_cell_that_holds_anything_else_is_refused(cell, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        literals(cell, "a.ipynb")


def test_a_run_hands_over_every_kind_of_value_exactly(tmp_path):
    """Through papermill's file and a kernel, and back in what `setup` reports."""
    names = [name for name in KNOWN if name != "SEED"]
    call = f"setup(seed=SEED, {', '.join(f'{name.lower()}={name}' for name in names)})"
    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}})
    cell = "\n".join(f"{name} = {value!r}" for name, value in KNOWN.items())
    notebook.cells = [
        new_code_cell(cell, metadata={"tags": ["parameters"]}),
        new_code_cell(f"from dtse_core.notebook.lesson import setup\nrun = {call}"),
    ]
    nbformat.write(notebook, tmp_path / "04_a.ipynb")
    asked = {
        "RATE": -2.5e-7, "FAST": False, "NAME": "{x} \\ \" ' \n # ü 犬 😀", "SIZES": [-1, [2.5, None]],
        "MORE": {"k ü": {"z": [True]}}, "ANY": "",
    }  # fmt: skip
    result = run_notebook(tmp_path / "04_a.ipynb", tmp_path / "out", asked)
    assert result.ok, result.error
    assert {name: result.used[name] for name in names} == asked
