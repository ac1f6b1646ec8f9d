"""Each exercise: the stub counts as untouched, the folded solution is right, and each slip gets its own hint.

An exercise is a code cell tagged `exercise` that imports `check_exercise_NN_k`, holds a stub and hands it to that
checker; its solution stands in the next `<details>`. The checker calls `dtse_core.notebook.grading.grade`, which we
watch here.
"""

import contextlib
import importlib
import io
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbformat.v4 import new_code_cell, new_markdown_cell

from dtse_core.metrics import contour, dilate
from dtse_core.notebook import grading

ROOT = Path(__file__).resolve().parents[2]
CHECKERS = [
    importlib.import_module(f"dtse_core.notebook.exercises.{path.stem}")
    for path in sorted((ROOT / "dtse_core/notebook/exercises").glob("[a-z]*.py"))
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


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
    graded: list[tuple[Any, ...]] = []
    real = grading.grade

    def watched(fn, expected, cases, slips, tolerance=1e-5):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            right = real(fn, expected, cases, slips, tolerance)
        graded.append((said.getvalue(), expected, cases, slips))
        return right

    for module in (grading, *CHECKERS):
        module.grade = watched
    try:
        space: dict[str, Any] = {"np": np, "torch": torch, "F": F}
        exec(exercise, space)
        checkers = [name for name in space if name.startswith("check_exercise_")]
        if len(checkers) != 1:
            return [f"has {len(checkers)} checkers; expected one"]
        called = re.search(rf"^(?:\w+ = )?{checkers[0]}\((\w+)\)", exercise, re.MULTILINE)
        if not called:
            return [f"the cell does not call {checkers[0]}(its stub)"]
        if [said for said, *_ in graded] != ["not attempted yet: the function returns None\n"]:
            return ["the stub does not return None to the checker"]
        exec(solution, space)
        space[checkers[0]](space[called[1]])
        _, (said, right, cases, slips) = graded
        found = [] if said == "✓ correct\n" else ["the solution is not accepted"]
        found += [] if slips else ["no slip has a hint"]
        if len(cases) < 3 or not varied(right, cases):
            found.append("three cases are needed, with different answers: one to show and two hidden")
        for hint, options in slips.items():
            watched(lambda *case, options=options: right(*case, **options), right, cases, slips)
            if hint not in graded[-1][0]:
                found.append(f"the hint {hint!r} can never appear")
        return found
    finally:
        for module in (grading, *CHECKERS):
            module.grade = real


def varied(right, cases) -> bool:
    first, *others = (np.asarray(right(*deepcopy(case)), dtype=object) for case in cases)
    return any(first.shape != a.shape or not np.array_equal(first, a) for a in others)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exercises_have_right_solutions_and_hints(path, capsys):
    for k, (exercise, solution) in enumerate(exercises(nbformat.read(path, as_version=4).cells), 1):
        assert faults(exercise, solution) == [], f"{path.stem}, exercise {k}"


def dilated(stage, which, padding=2, strides=(1, 3)):
    """A stage at stride 1, that of filters of sides `strides`, its k-th 3 x 3 filter dilated if `which(k)`."""
    filters = [m for m in stage.modules() if isinstance(m, torch.nn.Conv2d)]
    for m in filters:
        m.stride = (1, 1) if m.kernel_size[0] in strides else m.stride
    for k, m in enumerate(m for m in filters if m.kernel_size == (3, 3)):
        m.dilation, m.padding = ((2, 2), (padding, padding)) if which(k) else ((1, 1), (1, 1))
    return stage


def opened(block, factor, gates=("gate_V", "gate_L")):
    for gate in gates:
        block.get_parameter(gate).data *= factor
    return block


def closed(vlmg, which, gates=("gate_V", "gate_L")):
    for name, block in vlmg.items():
        opened(block, 0 if which(int(name)) else 1, gates)
    return vlmg


def hushed(mask, which, keep=1):
    return torch.stack([row * (torch.arange(len(row)) < keep) if which(k) else row for k, row in enumerate(mask)])


def weights(places):
    """Filters of three channels (3, 3, 3), 1 at the places named."""
    return np.array([[[(c, i, j) in places for j in range(3)] for i in range(3)] for c in range(3)], float)


def crossed_f(mask, target, r):
    """F with each count over the length of the wrong outline."""
    a, b = contour(mask), contour(target)
    p, q = ((x & dilate(y, r)).sum() / max(y.sum(), 1) for x, y in ((a, b), (b, a)))
    return 2 * p * q / (p + q) if p + q else float(not (a | b).any())


def apart(mask):
    places = torch.arange(mask.shape[1])
    return places - places[:, None]


def hidden(mask, reach):
    """1 where a word may be read, else 0: (B, N, N)."""
    return ((apart(mask).abs() <= reach) & (mask[:, None] > 0)) * 1.0


# What a reader may well write, and words of the hint that it must get.
WRONG = {
    "00_1": [
        (lambda kind, side: f"the {kind} heading to the right", "the same for every input"),
        (lambda kind, side: "a ball", "neither is marked well"),
        (lambda kind, side: f"the dog heading to the {side}", "names another kind"),
    ],
    "00_2": [
        (lambda frames: np.stack([frames[0]] * len(frames)), "that is the first frame"),
        (lambda frames: frames[len(frames) // 2], "only the first along axis 0 came"),
    ],
    "00_3": [
        (lambda frames: np.repeat(frames[..., :1], 3, -1), "the first color alone"),
        (lambda frames: frames.mean(-1, keepdims=True), "repeat the mean"),
    ],
    "01_1": [
        (lambda frames: frames.flip(0), "that reverses the clips"),
        (lambda frames: frames.flip(-1), "mirror image"),
    ],
    "01_2": [
        (lambda model: [box.gate_V.zero_() for box in model.encoder.vlmg.values()], "a leaf Variable"),
        (lambda model: [setattr(box, "gate_V", 0) for box in model.encoder.vlmg.values()], "TypeError"),
    ],
    "01_3": [
        (lambda k, i, j: (i << k, i + 1 << k, j << k, j + 1 << k), "Res5 keeps the size of Res4"),
        (lambda k, i, j: [x << min(k, 4) for x in (j, j + 1, i, i + 1)], "rows come before columns"),
    ],
    "02_1": [
        (lambda s: s.replace("red", "*").replace("blue", "red").replace("*", "blue"), "replace whole words"),
        (lambda s: s.replace("red", "blue"), "only red has changed"),
        (lambda s: s.replace("blue", "red"), "red stays red"),
        (lambda s: " ".join({"red": "blue", "blue": "red"}.get(w, w) for w in s.split()), "also ends at a hyphen"),
    ],
    "02_2": [
        (lambda ids, keep: ids.flip(1), "reverse only what the mask keeps"),
        (lambda ids, keep: torch.cat([ids[:, :1], ids[:, 1:].flip(1)], 1), "reverse only what the mask keeps"),
    ],
    "03_1": [
        (lambda mask, reach: (mask == 0)[:, None, None] * -1e9, "hides padding alone"),
        (lambda mask, reach: (apart(mask).abs() > reach) * -1e9, "padding may be near"),
        (lambda mask, reach: hidden(mask, reach)[:, None].log(), "with -inf"),
        (lambda mask, reach: (hidden(mask, reach) - 1) * 1e9, "the axis of the heads is missing"),
    ],
    "03_2": [
        (lambda stage: dilated(stage, lambda k: k > 0, padding=1), "at dilation 2 a 3 x 3 filter needs padding 2"),
        (lambda stage: dilated(stage, lambda k: k > 0, strides=(3,)), "only some strides are 1"),
        (lambda stage: dilated(stage, lambda k: False), "dilate them"),
        (lambda stage: dilated(stage, lambda k: True), "leave it"),
    ],
    "04_1": [
        (lambda a: torch.full_like(a, 1 / a.shape[-1]), "padding weighs 0"),
        (lambda a: (a > 0) / a.shape[-1], "without padding"),
    ],
    "04_2": [
        (lambda s: s * torch.tensor([-1, 1, -1, 1, -1, 1, 1, 1]), "exchange them"),
        (lambda s: s[:, [2, 1, 0, 3, 4, 5, 6, 7]], "x becomes -x"),
    ],
    "04_3": [
        (lambda block, factor: opened(block, factor, ("gate_V",)), "gate_V alone"),
        (lambda block, factor: opened(block, 1 / factor), "not divided"),
    ],
    "05_1": [
        (lambda vlmg, stages: closed(vlmg, lambda n: n in stages), "are to stay open"),
        (lambda vlmg, stages: closed(vlmg, lambda n: n not in stages, ("gate_V",)), "close gate_L"),
    ],
    "05_2": [
        (lambda mask, T, frames: hushed(mask, lambda row: row % T in frames), "the others lose them"),
        (lambda mask, T, frames: hushed(mask, lambda row: row % T not in frames, 0), "a softmax needs a word"),
    ],
    "05_3": [
        (lambda T, S: (T * S,) * 3, "group 1 has seen no frame"),
        (lambda T, S: (T, S, T), "per frame and sentence"),
    ],
    "06_1": [
        (lambda dy, dx: weights({(1, 1 + dy, 1 + dx), (2, 1 - dy, 1 - dx)}), "moves the other way"),
        (lambda dy, dx: weights({(1, 1 - dy, 1 - dx), (2, 1 - dy, 1 - dx)}), "both weights read the same neighbor"),
    ],
    "06_2": [
        (lambda k: k.mean((0, 1, 3, 4), keepdim=True).expand_as(k), "the mean is over positions alone"),
        (lambda k: k.mean((3, 4), keepdim=True), "every position needs its copy"),
    ],
    "06_3": [
        (lambda G_refs: [sum(G_refs) / len(G_refs)], "repeat the mean"),
        (lambda G_refs: [sum(G_refs)] * len(G_refs), "that is the sum"),
    ],
    "07_1": [
        (lambda z, t, w: w * (t * F.softplus(-z) + (1 - t) * F.softplus(z)), "weighs the background, too"),
        (lambda z, t, w: -w * t * torch.sigmoid(z).log() - (1 - t) * torch.sigmoid(-z).log(), "logarithm of 0"),
        (lambda z, t, w: (w * t * F.softplus(-z) + (1 - t) * F.softplus(z)).mean(), "the mean comes later"),
    ],
    "07_2": [
        (lambda *maps: torch.cat([F.interpolate(m, maps[3].shape[2:]) for m in maps], 1), "repeats each position"),
        (
            lambda *maps: torch.cat([F.interpolate(m, maps[3].shape[2:], mode="bilinear") for m in maps[:3]], 1),
            "low has no part",
        ),
    ],
    "07_3": [
        (lambda t, r: (F.max_pool2d(t.float(), 2 * r + 1, 1, r) > 0) & ~t, "pixels of the object"),
        (lambda t, r: t & (F.max_pool2d((~t).float(), 2 * r + 1, 1, r) > 0), "pixels of the background"),
    ],
    "08_1": [
        (lambda n, steps: 0.5 + 0.5 * np.cos(np.pi * n / steps), "the first number is missing"),
        (lambda n, steps: min(1, (n + 1) / (steps // 5)) * np.cos(np.pi * n / steps), "(1 + cos) / 2"),
    ],
    "08_2": [
        (lambda name: name.startswith("encoder."), "the visual stream does not learn"),
        (lambda name: name.startswith("encoder.text."), "VLMG learns, too"),
        (lambda name: not name.startswith(("encoder.text.", "encoder.vlmg.")), "the other way round"),
    ],
    "09_1": [
        (lambda counts: np.mean([i / u if u else 1 for i, u in counts]), "that is the IoU"),
        (lambda counts: np.mean([2 * i / u if u else 1 for i, u in counts]), "not by U"),
    ],
    "09_2": [
        (lambda a, b, r: 2 * (a & b).sum() / ((a.sum() + b.sum()) or 1), "of the masks' pixels"),
        (lambda a, b, r: (contour(a) & dilate(contour(b), r)).sum() / (contour(a).sum() or 1), "precision alone"),
        (crossed_f, "whose pixels you count"),
    ],
    "10_1": [
        (lambda sentence: " ".join(sorted(set(sentence.split()))), "stays twice"),
        (lambda sentence: "".join(sorted(sentence)), "not letters"),
    ],
    "10_2": [
        (lambda vlmg: opened(vlmg, 0, ("gate_V",)), "close gate_L too"),
        (lambda vlmg: opened(vlmg, 0, [*dict(vlmg.named_parameters())]), "the other weights stay"),
    ],
}


def checker(name: str):
    [found] = [vars(m)[f"check_exercise_{name}"] for m in CHECKERS if f"check_exercise_{name}" in vars(m)]
    return found


def test_wrong_answers_are_listed_for_each_exercise_of_00_to_10():
    asked = [text for p in NOTEBOOKS[:11] for text, _ in exercises(nbformat.read(p, as_version=4).cells)]
    called = r"^(?:\w+ = )?check_exercise_(\d\d_\d)\("
    assert sorted(WRONG) == [re.search(called, text, re.MULTILINE)[1] for text in asked]


@pytest.mark.parametrize("name", WRONG)
def test_typical_wrong_answers_get_different_hints(name, capsys):
    said = []
    for answer, words in WRONG[name]:
        checker(name)(answer)
        said.append(capsys.readouterr().out.partition("\n")[0].partition(", at `")[0])  # not the line of this file
        assert "✗ not yet: " in said[-1] and words in said[-1]
    assert len(set(said)) == len(said) > 1


def test_what_a_checker_raises_does_not_come_with_its_own_line(capsys):
    checker("03_2")(lambda stage: dilated(stage, lambda k: k > 0, padding=1))
    said = capsys.readouterr().out
    assert "it raises ValueError" in said and ", at `" not in said


EXERCISE = """
from dtse_core.notebook.grading import grade

def double(x):
    return None  # your code

def check_exercise_04_1(fn):
    cases = [(np.ones(2),), (np.arange(3),), (np.ones(4),)]
    grade(fn, lambda x, f=2, s=1: s * f * x, cases, {"that is the square": {"f": 4}, "that is half": {"s": 0.25}})

check_exercise_04_1(double)
"""
SOLUTION = "def double(x):\n    return 2 * x\n"


def test_a_good_exercise_has_no_fault():
    assert faults(EXERCISE, SOLUTION) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("return 2 * x", "return x", "the solution is not accepted"),
        ("return None", "return x", "the stub does not return None"),
        ('{"s": 0.25}', '{"s": 1}', "the hint 'that is half' can never appear"),
        ('{"s": 0.25}', '{"f": 4}', "the hint 'that is half' can never appear"),
        ('{"that is the square": {"f": 4}, "that is half": {"s": 0.25}}', "{}", "no slip has a hint"),
        (", (np.ones(4),)]", "]", "three cases are needed"),
        ("(np.arange(3),), (np.ones(4),)", "(np.ones(2),), (np.ones(2),)", "three cases are needed"),
        ("def check_exercise_04_1", "def check_it", "has 0 checkers"),
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
