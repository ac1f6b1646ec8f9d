"""Tells the reader of an exercise what is not right yet: on which input, what came, and the likely slip.

    def check_exercise_04_2(fn):
        def look(word, regions, power=0.5, mix=True): ...  # the solution; each further argument makes a slip

        slips = {"divide by sqrt(d), not by d": {"power": 1}, "mix the regions by the weights": {"mix": False}}
        return grade(fn, look, cases, slips)

The reader's function and the solution run on the same cases, of which the notebook shows at most the first. An answer
is compared with the solution, with each slip, with two slips at once, and with all of these in a wrong form: axes
swapped or missing, negated, reversed. Notebooks: 00 to 13.
"""

import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch

NOT_THE_READERS = re.compile(r"dtse_core.notebook.(grading|exercises)|site-packages")  # in paths of code
Options = Mapping[str, Any]
Answers = list[Any]  # one a case; an exception stands for itself


def grade(
    fn: Callable[..., Any],
    solution: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    slips: Mapping[str, Options],
    tolerance: float = 1e-5,
) -> Callable[..., Any]:
    """Prints whether `fn` answers all `cases` as `solution` does, and what is wrong with the first that it does not.

    `slips` maps a hint to the keyword arguments with which `solution` makes that slip. Answers are numbers, texts,
    arrays or tensors, and lists of them; a case is a tuple of arguments. What `fn` raises is caught and shown.
    Returns `fn` if it is right and `solution` if not, so that the cells that follow run on something right.
    """
    expected = _answers(solution, cases)
    given = _answers(fn, cases)
    if given[0] is None:
        print("not attempted yet: the function returns None")
        return solution
    wrong = [k for k, (a, b) in enumerate(zip(given, expected, strict=True)) if not _close(a, b, tolerance)]
    if not wrong:
        print("✓ correct")
        return fn
    k = wrong[0]
    came, wanted, case = given[k], expected[k], cases[k : k + 1]
    named = zip(list(inspect.signature(solution).parameters), cases[k], strict=False)
    arguments = ", ".join(f"{name} = {_shown(value)}" for name, value in named)
    hint = _slip(given, expected, cases, solution, slips, tolerance) or _idle(given, expected, cases, tolerance)
    if not hint and (isinstance(came, str) or np.size(_array(came)) > 1):
        hint = _slip([came], [wanted], case, solution, slips, tolerance)  # at least of this case
    if isinstance(came, Exception):
        hint = hint or f"it raises {_raised(came)}"
    print(f"✗ not yet: {hint or _difference(came, wanted, tolerance)}")
    print(f"  case {k + 1} of {len(cases)}: {arguments}" if arguments else f"  case {k + 1} of {len(cases)}")
    print(f"  came:     {_raised(came) if isinstance(came, Exception) else _shown(came, wanted)}")
    print(f"  expected: {_shown(wanted, came)}")
    return solution


def _answers(fn: Callable[..., Any], cases: Sequence[tuple[Any, ...]], options: Options | None = None) -> Answers:
    found: Answers = []
    for case in cases:
        try:
            found.append(fn(*deepcopy(case), **(options or {})))
        except Exception as error:  # whatever a reader's code raises
            found.append(error)
    return found


def _slip(
    given: Answers,
    expected: Answers,
    cases: Sequence[tuple[Any, ...]],
    solution: Callable[..., Any],
    slips: Mapping[str, Options],
    tolerance: float,
) -> str:
    """The slips and the wrong form that explain every answer, as a hint; "" if there are none."""

    def explains(answers: Answers) -> bool:
        return all(_close(a, b, tolerance) for a, b in zip(given, answers, strict=True))

    one = {hint: _answers(solution, cases, options) for hint, options in slips.items()}
    for hint, answers in one.items():
        if explains(answers):
            return hint
    for (a, first), (b, second) in combinations(slips.items(), 2):
        if not first.keys() & second.keys() and explains(_answers(solution, cases, {**first, **second})):
            return f"two slips at once. First, {a}. Second, {b}"
    for hint, answers in {"": expected, **one}.items():
        for form, turned in _forms(answers):
            if explains(turned):
                return f"{form}. Besides, {hint}" if hint else form
    return ""


def _forms(answers: Answers) -> Iterator[tuple[str, Answers]]:
    """`answers` in forms that they often wrongly have, each with its hint."""
    arrays = [_array(a) for a in answers]
    if any(a is None or a.dtype.kind not in "biufc" for a in arrays):
        return
    known = [a for a in arrays if a is not None]
    axes = min(a.ndim for a in known)
    if axes != max(a.ndim for a in known):
        return
    for order in permutations(range(axes)) if 1 < axes < 6 else ():
        if order != tuple(range(axes)):
            swapped = [a for a, b in enumerate(order) if a != b]
            yield f"the axes {swapped} are in another order", [a.transpose(order) for a in known]
    for axis in range(axes):
        kind = f"axis {axis}"
        if all(a.shape[axis] == 1 for a in known):
            yield f"{kind}, of length 1, is missing: index with None, or keepdim=True", [a.squeeze(axis) for a in known]
        yield f"only the first along {kind} came", [a.take(0, axis) for a in known]
        yield f"{kind} is averaged away", [a.mean(axis) for a in known]
        yield f"{kind} is summed away", [a.sum(axis) for a in known]
        yield f"{kind} is in reverse order", [np.flip(a, axis) for a in known]
    for axis in range(axes + 1):
        yield f"there is one axis too many, at {axis}", [np.expand_dims(a, axis) for a in known]
    numbers = [a * 1.0 for a in known]
    yield "the sign is the other way round", [-a for a in numbers]
    yield "that is one minus the answer", [1 - a for a in numbers]
    for step in (1, -1):
        yield (
            f"every number is {'larger' if step > 0 else 'smaller'} by 1 than it should be",
            [a + step for a in numbers],
        )
    for factor in (2, 0.5):
        yield f"every number is {factor:g} times what it should be", [factor * a for a in numbers]
    yield "that is the square of the answer", [a * a for a in numbers]
    with np.errstate(all="ignore"):
        yield "that is one over the answer", [1 / a for a in numbers]
        yield "that is the logarithm of the answer", [np.log(a) for a in numbers]
        yield "that is exp of the answer", [np.exp(a) for a in numbers]


def _idle(given: Answers, expected: Answers, cases: Sequence[tuple[Any, ...]], tolerance: float) -> str:
    """Why the answers do not follow from the input, as a hint; "" if they seem to."""
    if any(isinstance(answer, Exception) for answer in given) or _kind(given[0]) == "a text" != _kind(expected[0]):
        return ""
    if all(case and _close(answer, case[0], tolerance) for answer, case in zip(given, cases, strict=True)):
        return "it returns its first argument as it came"
    same = [all(_close(a, answers[0], tolerance) for a in answers[1:]) for answers in (given, expected)]
    return "it returns the same for every input" if len(given) > 1 and same == [True, False] else ""


def _difference(came: Any, wanted: Any, tolerance: float) -> str:
    """What is wrong with one answer, in general words."""
    if came is None:
        return "it returns None here"
    a, b = _array(came), _array(wanted)
    if a is None or b is None or a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        kinds = _kind(came), _kind(wanted)
        return f"it returns {kinds[0]}, expected {kinds[1]}" if kinds[0] != kinds[1] else "it is another value"
    if a.shape != b.shape:
        again = "; the numbers are right" if a.size == b.size and np.allclose(a.ravel(), b.ravel()) else ""
        return f"the shape is {a.shape}, expected {b.shape}{again}"
    if np.isnan(a * 1.0).any() and not np.isnan(b * 1.0).any():
        return "it holds NaN, which comes from 0 / 0, or from infinity minus infinity"
    if a.size > 1 and np.allclose(np.sort(a, None), np.sort(b, None), rtol=0, atol=tolerance):
        return "these are the right numbers in another order"
    apart = np.argwhere(~np.isclose(a, b, rtol=0, atol=tolerance))
    if not a.ndim or len(apart) == a.size:
        return "the value differs" if a.size == 1 else "every value differs"
    at = tuple(apart[0])
    where = ", ".join(map(str, at))
    return f"{len(apart)} of {a.size} values differ, the first at [{where}]: {a[at]:.4g}, not {b[at]:.4g}"


def _kind(value: Any) -> str:
    array = _array(value)
    if isinstance(value, str) or array is None or array.dtype.kind not in "biufc":
        return {"str": "a text"}.get(type(value).__name__, f"a {type(value).__name__}")
    return "a number" if not array.ndim else f"numbers of shape {array.shape}"


def _raised(error: Exception) -> str:
    """The exception, with the line of the reader's function that raised it, where there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.line for frame in frames if not NOT_THE_READERS.search(frame.filename)]
    where = f", at `{lines[0]}`" if lines and lines[0] else ""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


def _shown(value: Any, beside: Any = None) -> str:
    """A value in a few words; of a large array its shape, and the first place where it differs from `beside`."""
    if isinstance(value, Exception):
        return _raised(value)
    if isinstance(value, str):
        return repr(value)
    array = _array(value)
    if array is None or array.dtype.kind not in "biufc":
        name = getattr(value, "__name__", None) or " ".join(repr(value).split())
        return name if len(name) <= 100 else f"{name[:97]}..."
    if array.size <= 16:
        numbers = str(np.array2string(array, separator=", ", precision=4, suppress_small=True)).replace("\n", "")
        shape = f", shape {array.shape}" if array.ndim > 1 else ""
        return f"{' '.join(numbers.split())}{shape}"
    other = _array(beside)
    if other is None or other.shape != array.shape:
        return f"{array.size} numbers, shape {array.shape}"
    at = tuple(np.argwhere(~np.isclose(array, other, rtol=0, atol=1e-5))[0])
    return f"shape {array.shape}, with {array[at]:.4g} at [{', '.join(map(str, at))}]"


def _array(value: Any) -> np.ndarray | None:
    """`value` as an array; None for what is not one, such as rows of unequal length."""
    if value is None or isinstance(value, Exception):
        return None
    try:
        plain = value.detach().cpu() if isinstance(value, torch.Tensor) else value
        return None if (array := np.asarray(plain)).dtype.kind == "O" else array
    except (TypeError, ValueError, RuntimeError):
        return None


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, Exception) or isinstance(b, Exception):
        return type(a) is type(b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and _array(b) is None:  # of unequal shapes
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    x, y = _array(a), _array(b)
    if x is None or y is None or x.shape != y.shape:
        return False
    if x.dtype.kind not in "biufc" or y.dtype.kind not in "biufc":
        return bool((x == y).all())
    return bool(np.allclose(x, y, rtol=0, atol=tolerance, equal_nan=True))
