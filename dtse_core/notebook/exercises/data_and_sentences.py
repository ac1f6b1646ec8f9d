"""Checks of the exercises of notebook 02; each tells a likely slip by its own hint."""

import re

import torch

from ..grading import grade


def check_exercise_02_1(fn):
    def swap_colors(sentence, find=r"\b(red|blue)\b", other=(("red", "blue"), ("blue", "red"))):
        names = dict(other)
        return re.sub(find, lambda word: names.get(word[0], word[0]), sentence)

    def one_by_one(sentence):
        return re.sub(r"\bblue\b", "red", re.sub(r"\bred\b", "blue", sentence))

    def by_spaces(sentence):
        return " ".join(swap_colors(word, r"^(red|blue)$") for word in sentence.split(" "))

    def exchanged(sentence, other_way=None, **options):
        return other_way(sentence) if other_way else swap_colors(sentence, **options)

    slips = {
        "replace whole words: the letters of red also stand in colored": {"find": "red|blue"},
        "red stays red: exchange both at once, since a second replacement undoes the first": {"other_way": one_by_one},
        "a word also ends at a hyphen or a comma, not only at a space": {"other_way": by_spaces},
        "only red has changed": {"other": (("red", "blue"),)},
    }
    cases = ["the red car", "the blue bird left of the red ball", "a colored, blue-eyed cat", "the hundred red dots"]
    return grade(fn, exchanged, [(text,) for text in cases], slips)


def check_exercise_02_2(fn):
    def backward(ids, keep, first=1, last=1, row=0):
        out = ids.clone()
        for words, n in zip(out, keep.sum(1).tolist(), strict=True):
            n = len(words) if row else n
            words[first : n - last] = words[first : n - last].flip(0)
        return out

    slips = {
        "the marks stay: [CLS] in front and [SEP] behind the words": {"first": 0, "last": 0},
        "[SEP] stays behind the words": {"last": 0},
        "[CLS] stays in front": {"first": 0},
        "padding stays at the end: reverse only what the mask keeps": {"row": 1},
    }
    cases = [
        (torch.tensor([[1, 5, 6, 7, 2], [1, 8, 9, 2, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])),
        (torch.tensor([[1, 5, 6, 7, 8, 9, 2]]), torch.ones(1, 7, dtype=torch.long)),
        (
            torch.tensor([[1, 3, 2, 0, 0], [1, 5, 4, 2, 0], [1, 6, 7, 8, 2]]),
            torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]),
        ),
    ]
    return grade(fn, backward, cases, slips)
