"""Arrays of numbers out of classic MATLAB files (version 5 to 7), as far as masks need them.

scipy reads these files too, but damaged ones can crash it, and with it a whole run. The layout: a head of 128 bytes,
then elements, each a type, a length and so many bytes, padded to eight. A matrix is an element that holds four:
class, axes, name and numbers, first axis fastest; it may be compressed as a whole.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..shared.files import read_bytes

COMPRESSED, MATRIX = 15, 14
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # of elements
NUMERIC = range(6, 16)  # classes of matrices; others are cells, structures, text and sparse ones
HEAD, MOST = 4096, 2**30  # bytes unpacked to learn a name, and at most


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """The axes of an array, from its head alone; errors as in `read_array`."""
    return _find(path, name, HEAD)[0]


def read_array(path: Path, name: str) -> np.ndarray:
    """The array `name` of a file. Raises `FileNotFoundError`, or `ValueError` that says what the file holds instead."""
    shape, order, parts = _find(path, name, MOST)
    try:
        kind, payload = next(parts)
        numbers = np.frombuffer(payload, np.dtype(TYPES[kind]).newbyteorder(order))
    except (ValueError, KeyError, StopIteration) as error:
        raise _damaged(path, f"the numbers of {name!r} are cut short") from error
    if len(numbers) != math.prod(shape):
        raise _damaged(path, f"{name!r} has {len(numbers)} numbers for the shape {shape}")
    return numbers.reshape(shape, order="F")


def _find(path: Path, name: str, most: int) -> tuple[tuple[int, ...], str, Iterator]:
    """Axes, byte order and remaining elements of a matrix of numbers, of which `most` bytes are unpacked."""
    data, names = read_bytes(path), []
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or data[:10] == b"MATLAB 7.3":
        raise _damaged(path, "version 7.3" if data[:10] == b"MATLAB 7.3" else "another head")
    try:
        for kind, payload in _elements(data[128:], order, whole=True):
            if kind == COMPRESSED:
                kind, payload = next(_elements(_unpacked(payload, most), order))
            if kind != MATRIX:
                continue
            parts = _elements(payload, order)
            (_, flags), (_, axes), (_, label) = next(parts), next(parts), next(parts)
            names.append(bytes(label).decode("latin-1"))
            if names[-1] == name:
                shape = struct.unpack(f"{order}{len(axes) // 4}i", axes)
                if flags[0 if order == "<" else 3] not in NUMERIC or min(shape, default=-1) < 0:
                    raise ValueError(f"{name} is no array of numbers")
                return shape, order, parts
    except (ValueError, IndexError, StopIteration, struct.error, zlib.error) as error:
        raise _damaged(path, str(error) or "cut short") from error
    raise ValueError(f"{path} lacks {name!r}; it holds {', '.join(sorted(names)) or 'nothing'}; copy it again")


def _elements(data, order: str, whole: bool = False) -> Iterator[tuple[int, memoryview]]:
    """Type and bytes of every element; `whole`: `ValueError` for one that is cut short."""
    data, place = memoryview(data), 0
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, place)
        begin, padding = place + 8, -length % 8
        if kind >> 16:  # a small one: length and type share four bytes, its own bytes are the other four
            kind, length, begin, padding = kind & 0xFFFF, kind >> 16, place + 4, 0
        if whole and begin + length > len(data):
            raise ValueError("cut short")
        yield kind, data[begin : begin + length]
        place = max(begin + length + (0 if kind == COMPRESSED else padding), place + 8)


def _unpacked(payload: memoryview, most: int) -> bytes:
    stream = zlib.decompressobj()
    data = stream.decompress(payload, most)
    if not stream.eof and (most == MOST or len(data) < most):
        raise ValueError("cut short, or larger than any mask")
    return data


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is no readable MATLAB file of version 5 to 7 ({why}); copy it again")
