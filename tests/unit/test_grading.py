"""What an exercise's checker says: the first failing case, what came, what was expected, and the likely slip."""

import numpy as np
import pytest
import torch

from dtse_core.notebook.grading import grade

SLIPS = {"divide by the count": {"divided": False}, "only positive numbers count": {"positive": False}}
CASES = [(np.array([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0]]),), (np.array([[2.0], [7.0]]),), (np.ones((4, 3)),)]


def means(x, divided=True, positive=True):
    """The mean of each row's positive numbers, (n, 1)."""
    kept = x > 0 if positive else np.ones_like(x)
    return (x * kept).sum(1, keepdims=True) / (kept.sum(1, keepdims=True) if divided else 1)


def says(fn, capsys) -> list[str]:
    grade(fn, means, CASES, SLIPS)
    return capsys.readouterr().out.splitlines()


def test_a_right_function_comes_back_and_a_wrong_one_is_replaced(capsys):
    def mine(x):
        return means(x)

    assert grade(mine, means, CASES, SLIPS) is mine
    assert grade(lambda x: x, means, CASES, SLIPS) is means
    assert grade(lambda x: None, means, CASES, SLIPS) is means
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ correct" and lines[-1] == "not attempted yet: the function returns None"


def test_the_first_failing_case_is_named_with_its_input_and_both_answers(capsys):
    def right_on_the_first(x):
        return means(x) + (len(x) == 2)

    assert says(right_on_the_first, capsys)[1:] == [
        "  case 2 of 3: x = [[2.], [7.]], shape (2, 1)",
        "  came:     [[3.], [8.]], shape (2, 1)",
        "  expected: [[2.], [7.]], shape (2, 1)",
    ]


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda x: means(x, divided=False), "divide by the count"),
        (lambda x: means(x, divided=False, positive=False), "two slips at once. First, divide by the count. Second"),
        (lambda x: means(x)[:, 0], "axis 1, of length 1, is missing"),
        (lambda x: means(x, positive=False)[:, 0], "is missing: index with None, or keepdim=True. Besides, only pos"),
        (lambda x: means(x).T, "the axes [0, 1] are in another order"),
        (lambda x: -means(x), "the sign is the other way round"),
        (lambda x: means(x)[::-1], "axis 0 is in reverse order"),
        (lambda x: 2 * means(x), "every number is 2 times what it should be"),
        (lambda x: means(x)[None], "there is one axis too many, at 0"),
        (lambda x: np.ones((3, 1)), "it returns the same for every input"),
        (lambda x: x, "it returns its first argument as it came"),
        (lambda x: "mean", "it returns a text, expected numbers of shape (3, 1)"),
        (lambda x: means(x) * np.nan, "it holds NaN"),
        (lambda x: x[7], "it raises IndexError: index 7 is out of bounds"),
        (lambda x: torch.tensor(means(x)) + torch.tensor([[0.0], [0.0], [9.0]])[: len(x)], "1 of 3 values differ, the"),
    ],
)
def test_each_kind_of_mistake_has_words_of_its_own(fn, words, capsys):
    assert says(fn, capsys)[0].startswith("✗ not yet: ") and words in says(fn, capsys)[0]


def test_an_exception_shows_the_line_of_the_reader_and_stops_nothing(capsys):
    def mine(x):
        return x.no_such_method()

    line = says(mine, capsys)[2]
    assert "AttributeError" in line and "at `return x.no_such_method()`" in line


def test_a_reader_who_changes_the_input_does_not_change_the_next_case(capsys):
    def greedy(x):
        answer = means(x)
        x *= 0
        return answer

    assert says(greedy, capsys) == ["✓ correct"]
    assert CASES[0][0].any()


def test_unequal_rows_texts_and_tuples_are_compared_part_by_part(capsys):
    cases = [(1,), (2,), (3,)]
    ragged = lambda n: [list(range(k)) for k in range(n)]  # noqa: E731
    assert grade(ragged, lambda n: [list(range(k)) for k in range(n)], cases, {}) is ragged
    wrong = lambda n: [list(range(k + (n == 3))) for k in range(n)]  # noqa: E731
    assert grade(wrong, ragged, cases, {}) is ragged
    words = lambda n: "red " * n  # noqa: E731
    assert grade(words, lambda n: n * "red ", cases, {}) is words
