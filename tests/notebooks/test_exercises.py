"""Each exercise: the stub counts as untouched, the folded solution is right, and each slip gets its own hint.

An exercise is a code cell tagged `exercise` that holds a stub and `check_exercise_NN_k(fn)`; its solution
stands in the next `<details>`. The checker calls `dtse_core.notebook.grade`, which we watch here.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbformat.v4 import new_code_cell, new_markdown_cell

from dtse_core import notebook

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def exercises(cells: list[Any]) -> list[tuple[str, str]]:
    """(exercise, solution) texts of a notebook."""
    found = []
    for k, cell in enumerate(cells):
        if cell.cell_type == "code" and "exercise" in cell.metadata.get("tags", []):
            later = "\n".join(c.source for c in cells[k + 1 :] if c.cell_type == "markdown")
            folded = re.search(r"<details>.*?```python\n(.*?)```.*?</details>", later, re.DOTALL)
            found.append((cell.source, folded[1] if folded else ""))
    return found


def faults(exercise: str, solution: str) -> list[str]:
    """What is wrong with an exercise, a line each."""
    graded: list[tuple[Any, Any, dict[str, Any], bool]] = []
    real = notebook.grade

    def watched(answer, expected, slips=None, tolerance=1e-5):
        graded.append((answer, expected, slips or {}, right := real(answer, expected, slips, tolerance)))
        return right

    notebook.grade = watched
    try:
        space: dict[str, Any] = {"np": np, "torch": torch, "F": F}
        exec(exercise, space)
        checkers = [name for name in space if name.startswith("check_exercise_")]
        if len(checkers) != 1:
            return [f"defines {len(checkers)} checkers; expected one"]
        if not graded or any(answer is not None for answer, *_ in graded):
            return ["the stub does not return None to the checker"]
        called = re.search(rf"^{checkers[0]}\((\w+)\)", exercise, re.MULTILINE)
        if not called:
            return [f"the cell does not call {checkers[0]}(its stub)"]
        exec(solution, space)
        graded.clear()
        space[checkers[0]](space[called[1]])
        found = [] if graded and all(right for *_, right in graded) else ["the solution is not accepted"]
        hints = {hint: (wrong, expected, slips) for _, expected, slips, _ in graded for hint, wrong in slips.items()}
        found += [] if hints else ["no slip has a hint"]
        for hint, (wrong, expected, slips) in hints.items():
            earlier = [slips[h] for h in list(slips)[: list(slips).index(hint)]]
            if real(wrong, expected) or any(real(wrong, other) for other in earlier):
                found.append(f"the hint {hint!r} can never appear")
        return found
    finally:
        notebook.grade = real


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exercises_have_right_solutions_and_hints(path, capsys):
    for k, (exercise, solution) in enumerate(exercises(nbformat.read(path, as_version=4).cells), 1):
        assert faults(exercise, solution) == [], f"{path.stem}, exercise {k}"


EXERCISE = """
def double(x):
    return None  # your code

def check_exercise_04_1(fn):
    from dtse_core.notebook import grade
    return grade(fn(np.ones(2)), np.full(2, 2.0), {"that is the sum": 2.0, "that is half": np.full(2, 0.5)})

check_exercise_04_1(double)
"""
SOLUTION = "def double(x):\n    return 2 * x\n"


def test_a_good_exercise_has_no_fault():
    assert faults(EXERCISE, SOLUTION) == []
    assert notebook.grade.__name__ == "grade"  # put back


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("return 2 * x", "return x", "the solution is not accepted"),
        ("return None", "return x", "the stub does not return None"),
        ("np.full(2, 0.5)", "np.full(2, 2.0)", "the hint 'that is half' can never appear"),
        ("np.full(2, 0.5)", "2.0", "the hint 'that is half' can never appear"),
        (', {"that is the sum": 2.0, "that is half": np.full(2, 0.5)}', "", "no slip has a hint"),
        ("def check_exercise_04_1", "def check_it", "defines 0 checkers"),
    ],
)
def test_a_bad_exercise_is_caught(old, new, words):
    exercise = EXERCISE.replace("check_exercise_04_1(double)", "") if "check_it" in new else EXERCISE
    assert old in exercise + SOLUTION
    assert words in " ".join(faults(exercise.replace(old, new), SOLUTION.replace(old, new)))


def test_the_solution_is_taken_from_the_fold_after_the_exercise():
    cells = [
        new_markdown_cell("<details>\n\n```python\nearlier\n```\n</details>"),
        new_code_cell("first", metadata={"tags": ["exercise"]}),
        new_markdown_cell("<details><summary>Solution</summary>\n\n```python\none\n```\n\nWhy.\n</details>"),
        new_code_cell("second", metadata={"tags": ["exercise"]}),
    ]
    assert exercises(cells) == [("first", "one\n"), ("second", "")]
