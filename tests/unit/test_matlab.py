"""Our reader of MATLAB files against scipy's on whole files, and on damaged ones, which crash scipy's."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dtse_core.data.jhmdb import array_shape, read_array

io = pytest.importorskip("scipy.io")
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"]
some = st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, array_shapes(max_dims=4, max_side=5)))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("matlab") / "a.mat"


@given(
    array=some,
    compressed=st.booleans(),
    name=st.sampled_from(["m", "part", "part_mask", "a_long_name_of_30_letters_in_it"]),
)
def test_what_scipy_writes_is_read_as_scipy_reads_it(path, array, compressed, name):
    content = {"first": "text", "cells": np.array([1, "x"], object), name: array, "last": np.arange(3)}
    io.savemat(path, content, do_compression=compressed)
    expected = io.loadmat(path)[name]
    assert array_shape(path, name) == expected.shape
    found = read_array(path, name)
    assert found.dtype == expected.dtype and np.array_equal(found, expected, equal_nan=array.dtype.kind == "f")


def element(order: str, kind: int, payload: bytes) -> bytes:
    return struct.pack(f"{order}2I", kind, len(payload)) + payload + bytes(-len(payload) % 8)


def by_hand(order: str, array: np.ndarray, kind: int, code: int, compressed: bool) -> bytes:
    """A file byte by byte, from the published description of the format."""
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    flags = element(order, 6, struct.pack(f"{order}2I", code, 0))
    axes = element(order, 5, struct.pack(f"{order}{array.ndim}i", *array.shape))
    name = struct.pack(f"{order}2H", *((1, 2) if order == "<" else (2, 1))) + b"ab\0\0"  # a small element
    matrix = element(order, 14, flags + axes + name + element(order, kind, array.tobytes("F")))
    packed = zlib.compress(matrix)
    return head + (struct.pack(f"{order}2I", 15, len(packed)) + packed if compressed else matrix)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("stored", "kind"), [("u1", 2), ("i2", 3), ("f8", 9)])
def test_files_of_either_byte_order_are_read(path, order, stored, kind, compressed):
    array = np.arange(24).reshape(2, 3, 4).astype(f"{order}{stored}")
    path.write_bytes(by_hand(order, array, kind, 6, compressed))  # doubles stored small, as MATLAB does
    assert array_shape(path, "ab") == (2, 3, 4) and np.array_equal(read_array(path, "ab"), array)
    assert np.array_equal(io.loadmat(path)["ab"], array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a different header"),
        (b"MATLAB 5.0 MAT-file".ljust(128), "a different header"),
        (b"MATLAB 7.3 MAT-file".ljust(126) + b"IM", "version 7.3"),
        (by_hand("<", np.ones((2, 3)), 9, 6, False)[:-1], "cut short"),
        (by_hand("<", np.ones((2, 3)), 9, 6, True)[:-1], "cut short"),
        (by_hand("<", np.ones((2, 3)), 9, 4, False), "ab is not an array of numbers"),
        (by_hand("<", np.ones((2, 3)), 17, 6, False), "the numbers of 'ab' are cut short"),
        (by_hand("<", np.ones((2, 3)), 2, 6, False), r"'ab' has 48 numbers for the shape \(2, 3\)"),
    ],
)
def test_what_cannot_be_read_is_named(path, content, said):
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"not a readable MATLAB file of version 5 .*{said}.*download it again"
    ) as error:
        read_array(path, "ab")
    assert str(path) in str(error.value)


def test_a_missing_name_is_answered_with_the_names_that_are_there(path):
    io.savemat(path, {"mask": np.ones(3), "category": "run"})
    with pytest.raises(ValueError, match="lacks 'part_mask'; it holds category, mask; download"):
        array_shape(path, "part_mask")
    with pytest.raises(FileNotFoundError, match="gone.mat is missing"):
        array_shape(path.with_name("gone.mat"), "part_mask")


def test_a_bomb_is_not_unpacked(path, monkeypatch):
    monkeypatch.setattr("dtse_core.data.jhmdb.MOST", 10_000)
    path.write_bytes(by_hand("<", np.zeros((200, 200)), 9, 6, True))
    assert path.stat().st_size < 1000 and array_shape(path, "ab") == (200, 200)
    with pytest.raises(ValueError, match="larger than any mask"):
        read_array(path, "ab")


masks = np.random.default_rng(0).integers(0, 2, (5, 7, 3), np.uint8)
whole = [by_hand("<", masks, 2, 9, False), by_hand(">", masks, 2, 9, True)]


@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 400),
    which=st.integers(0, 1),
)
def test_damaged_files_are_read_or_a_clear_error(path, changes, cut, which):
    data = bytearray(whole[which])
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data[:cut])
    for read in (array_shape, read_array):
        try:
            found = read(path, "ab")
        except ValueError as error:
            assert str(path) in str(error) and str(error).endswith("download it again")
        else:
            assert read is array_shape or found.size < 10_000
            if bytes(data[:cut]) == whole[which]:
                assert found == masks.shape if read is array_shape else np.array_equal(found, masks)
