"""Run-length encoded masks as COCO and MeViS keep them, decoded without trusting them.

pycocotools returns whatever lies in memory where the runs do not fill the image (version 2.0.11, with no error),
so that they are counted here first; then little is left to do.
"""

from typing import Any

import numpy as np


def decode_rle(rle: Any, shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of `{"size": [H, W], "counts": str}`; `shape` is the size that it must have.

    Raises `ValueError` for anything else; memory stays within that size and the length of `counts`.
    """
    if not isinstance(rle, dict) or not isinstance(rle.get("counts"), str):
        raise ValueError('expected {"size": [height, width], "counts": a string}')
    size, (height, width) = rle.get("size"), shape
    if size != [height, width]:
        hint = " (transpose forgotten?)" if size == [width, height] else ""
        raise ValueError(f"the mask is {size}, its frame {[height, width]} (height, width){hint}")
    runs = run_lengths(rle["counts"])
    if runs.min(initial=0) < 0 or runs.max(initial=0) > height * width or runs.sum() != height * width:
        raise ValueError(f"the runs do not add up to the {height * width} pixels of the frame")
    inside = (np.arange(len(runs)) % 2).astype(bool)  # runs of background and object in turn, down the columns
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def run_lengths(counts: str) -> np.ndarray:
    """The runs (n,) int64 that COCO's compressed `counts` stands for.

    A character less 48 holds five bits, lowest first, and 32 if more of its number follow; the last one's 16 is the
    sign. From the fourth on, a number is the difference from the run before last. Raises `ValueError` if it is cut
    short, or holds other characters or numbers beyond 30 bits.
    """
    if not counts.isascii():
        raise ValueError("counts holds characters that no run-length code has")
    codes = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any():
        raise ValueError("counts holds characters that no run-length code has")
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("counts is empty or cut short")
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 6:
        raise ValueError("counts holds a number beyond any image")
    places = np.arange(len(codes)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << 5 * places, starts)
    numbers -= np.where(codes[ends] & 16, 1 << 5 * digits, 0)
    numbers[1::2], numbers[2::2] = numbers[1::2].cumsum(), numbers[2::2].cumsum()
    return numbers
