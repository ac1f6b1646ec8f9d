"""An edition: hashes that show whether clips are the same, in any layout and on any machine.

`toy_world.json` has them by split, so that more training clips change none of the others:

    "edition": {split: {"clips": their number, part: SHA-256}}      the parts are `PARTS`

They are of what was drawn and said, also of what the layout cannot say. The files themselves, compressed as they are,
are listed in SHA256SUMS beside it, which `sha256sum --check SHA256SUMS` reads. `edition.json` beside this module is
the published edition: all settings that change a clip, and the same rows.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from ....shared.files import TABLES, read_json, read_text

PARTS = ("pixels", "masks", "sentences", "programs")
PUBLISHED = Path(__file__).with_name("edition.json")
LISTING, SUMS = "toy_world.json", "SHA256SUMS"
FORMATS = {".csv", ".h5", ".jpg", ".json", ".mat", ".mp4", ".png", ".txt"}  # in which the layouts are written


def drawn(arrays: Iterable[np.ndarray]) -> list[str]:
    """The hashes of a clip's pixels and masks."""
    return [_sha256([repr(array.shape).encode(), array.tobytes()]) for array in arrays]


def told(rows: list[dict]) -> list[str]:
    """The hashes of a clip's sentences and of their programs, from its rows in the listing."""
    rest = [{name: value for name, value in row.items() if name != "text"} for row in rows]
    return [_sha256([json.dumps(part, sort_keys=True).encode()]) for part in ([row["text"] for row in rows], rest)]


def of_split(clips: Sequence[Sequence[str]], parts: Sequence[str] = PARTS) -> dict[str, int | str]:
    """A row of the edition, from the hashes of a split's clips in their order."""
    columns = [_sha256(text.encode() for text in column) for column in zip(*clips, strict=True)]
    return {"clips": len(clips)} | dict(zip(parts, columns, strict=True))


def compare_published(toy: dict) -> dict[str, list[str]]:
    """The parts that are not as published, for each split of a listing that claims to be: with its number of clips,
    in a world of its version and settings.
    """
    fixed = read_json(PUBLISHED)
    if any(toy["settings"].get(name) != value for name, value in fixed.items() if name != "splits"):
        return {}
    pairs = [(split, row, fixed["splits"].get(split, {})) for split, row in toy["edition"].items()]
    return {
        split: [part for part in PARTS if row[part] != same[part]]
        for split, row, same in pairs
        if row["clips"] == same.get("clips")
    }


def faults(root: Path, files: Iterable[str]) -> list[str]:
    """What the listing at `root` tells otherwise than its edition, or the published one, and whether SHA256SUMS lists
    the layout's `files`, but for what others have added in other formats; nothing where there is no edition.

    Raises `FileNotFoundError` without SHA256SUMS, `ValueError` where that or the listing is damaged.
    """
    path, sums = root / LISTING, root / SUMS
    toy = read_json(path, most=TABLES) if path.is_file() else {}
    if "edition" not in toy:
        return []
    try:
        rows, found = iter(toy["programs"].values()), []
        for split, row in toy["edition"].items():
            again = of_split([told(said) for said in islice(rows, row["clips"])], PARTS[2:])
            found += [f"{part} of split {split} differ from its edition" for part in again if again[part] != row[part]]
        for split, parts in compare_published(toy).items():
            found += [f"{part} of split {split} differ from the published edition" for part in parts]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} does not tell what its edition holds; download it again") from error
    found = [f"{path}: {fault}, by their SHA-256; download it again" for fault in found]
    if not sums.is_file():
        raise FileNotFoundError(f"{sums}, which lists the files of the edition, is missing; download it again")
    listed = read_sums(root)
    if lost := [file for file in files if file not in listed and Path(file).suffix in FORMATS]:
        more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
        found.append(f"{sums} does not list {lost[0]}{more}; download it again, or move away what you have added")
    return found


def write_sums(root: Path, sums: Iterable[tuple[str, str]]) -> None:
    """SHA256SUMS, from (path below the root, SHA-256)."""
    (root / SUMS).write_text("".join(f"{sha256}  {path}\n" for path, sha256 in sums), encoding="utf-8")


def read_sums(root: Path) -> dict[str, str]:
    """SHA-256 by path, as SHA256SUMS lists them; nothing where there is no such file. Raises `ValueError`."""
    lines = read_text(root / SUMS).splitlines() if (root / SUMS).is_file() else []
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"([0-9a-fA-F]{64})  (?!/)(.+)", line)
        if not found or ".." in PurePosixPath(found[2]).parts or found[2] in sums:
            said = f"line {number}, {line[:100]!r}, is not the SHA-256 of one more file below it"
            raise ValueError(f"{root / SUMS}: {said}; download it again")
        sums[found[2]] = found[1].lower()
    return sums


def file_sum(root: Path, path: Path) -> tuple[str, str]:
    """A file's path below the root, and its SHA-256."""
    with path.open("rb") as file:
        return path.relative_to(root).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(pieces: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()
