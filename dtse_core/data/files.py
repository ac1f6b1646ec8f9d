"""Reading text, CSV, JSON and images of a data set, with errors that name file, place and remedy."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """A whole text file. Raises `FileNotFoundError`, or `ValueError` naming line and byte that cannot be decoded."""
    try:
        return _bytes(path).decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise ValueError(f"{path}, line {line}: byte {error.object[error.start]:#04x} is not {name}") from error


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of a CSV file, blank lines left out; an id such as `NA` stays text."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: no CSV ({error}); copy the file again") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises `FileNotFoundError`, or `ValueError` naming line and column."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: no JSON ({error.msg}); cut short? copy it again"
        ) from error
    except RecursionError as error:
        raise ValueError(f"{path}: JSON nested too deeply; copy the file again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object {{...}}, found {type(value).__name__}")
    return value


def read_index_mask(path: Path) -> np.ndarray:
    """The (H, W) uint8 indices of a palette PNG (mode P; gray, mode L or 1, is read alike): never its colors.

    Raises `FileNotFoundError`, or `ValueError` if the file is damaged or of another mode.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1"):
                raise ValueError(f"{path}: an image of mode {image.mode}; masks are palette PNGs (mode P), not colors")
            return np.asarray(image, dtype=np.uint8)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no mask {path}; copy it again") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image: {error}; copy it again") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing; copy it again") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a folder; expected a file") from error
