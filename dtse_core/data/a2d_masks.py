"""A2D-Sentences' annotation of one frame: HDF5 as MATLAB leaves it, axes reversed.

instance (N,)            numbers of the instances
reMask   (N, W, H)       their masks, (W, H) where there is one instance; any value but zero is foreground
"""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..shared.files import require_shape


def read_instances(path: Path) -> list[int]:
    """The instance numbers that an annotation file holds, in the order of its masks; errors as in `read_masks`."""
    with _open(path) as file:
        return _instances(file, path).tolist()


def read_masks(path: Path, instances: list[int], shape: tuple[int, int]) -> dict[int, np.ndarray]:
    """Masks (H, W) bool by instance number, of those instances that the file holds.

    `shape` is the frame's (H, W): another size is an error, never a reason to resize. Raises `FileNotFoundError`, or
    `ValueError` naming what the file holds instead.
    """
    found = {}
    with _open(path) as file:
        ids, masks = _instances(file, path), _numbers(file, path, "reMask")
        squeezed = masks.ndim == 2
        if masks.ndim not in (2, 3) or (1 if squeezed else len(masks)) != len(ids):
            raise ValueError(f"{path}: reMask has shape {masks.shape} for {len(ids)} instances; expected (N, W, H)")
        require_shape(path, masks.shape[:-3:-1], shape)
        for instance in instances:
            places = np.flatnonzero(ids == instance)
            if len(places) > 1:
                warnings.warn(f"{path} holds instance {instance} {len(places)} times; the first is taken", stacklevel=2)
            if len(places):
                found[instance] = (masks[()] if squeezed else masks[places[0]]).T != 0
    return found


def _instances(file, path: Path) -> np.ndarray:
    numbers = _numbers(file, path, "instance")
    if numbers.size > 1000:
        raise ValueError(f"{path}: {numbers.size} instances in one frame; damaged? copy it again")
    numbers = numbers[()].reshape(-1)
    if (bad := ~np.isfinite(numbers) | (numbers != np.round(numbers)) | (np.abs(numbers) > 1e9)).any():
        raise ValueError(f"{path}: instance {numbers[bad][0]} is no integer; copy it again")
    return numbers.astype(int)


def _numbers(file, path: Path, key: str):
    """An array of numbers that the file holds, not yet read."""
    import h5py

    if key not in file:
        raise ValueError(f"{path} lacks {key!r}; it holds {', '.join(sorted(file)) or 'nothing'}")
    array = file[key]  # once: h5py looks it up each time
    if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "biuf" or array.shape is None:
        raise ValueError(f"{path}: {key!r} is no array of numbers; copy it again")
    return array


@contextmanager
def _open(path: Path):
    try:
        import h5py
    except ImportError as error:
        raise ModuleNotFoundError(f"{path} needs the package h5py: pip install 'dtse[data]'") from error
    try:
        with h5py.File(path, "r", locking=False) as file:  # locks fail on some mounted drives
            yield file
    except FileNotFoundError as error:
        raise FileNotFoundError(f"A2D-Sentences: no annotation {path}; copy it again") from error
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError, MemoryError) as error:  # by what is damaged
        raise ValueError(f"{path} is no readable HDF5 file; copy it again") from error
