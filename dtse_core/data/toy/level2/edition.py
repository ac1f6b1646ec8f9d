"""A fixed edition: the hashes by which anybody can tell that a copy holds the same clips.

Beside a layout's own files, `toy_world.json` has

    "edition": {"parts": {part: SHA-256}, "files": {part: SHA-256}}

`parts` are of what was drawn and said about every clip that was asked for, so that they are the same in every layout
and on every machine; `files` are of the bytes of this copy, compressed as they are.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ....shared.files import read_json

PARTS = ("pixels", "masks", "sentences", "programs")


def digest(clip) -> tuple[str, ...]:
    """The hashes of one clip (`layouts.write.Clip`), in the order of `PARTS`."""
    arrays = clip.world.draw(clip.scene, range(clip.scene.length))
    drawn = [_sha256([repr(array.shape).encode(), array.tobytes()]) for array in arrays]
    return *drawn, *_told([sentence.program for sentence in clip.scene.sentences])


def of_clips(digests: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The hash of each part over all clips in their order."""
    columns = zip(*digests, strict=True)
    return {part: _sum(column) for part, column in zip(PARTS, columns, strict=True)}


def of_files(root: Path) -> dict[str, str]:
    """The hash of each part over the files at `root`, names included; hidden ones and the listing do not count."""
    found: dict[str, list[str]] = {part: [] for part in PARTS[:3]}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.name != "toy_world.json":
            found[_part(path)].append(f"{path.relative_to(root).as_posix()}\n{_sha256([path.read_bytes()])}\n")
    return {part: _sum(rows) for part, rows in found.items()}


def faults(root: Path) -> list[str]:
    """What differs at `root` from the edition that was written there, by part; nothing where there is no edition.

    Raises `ValueError` for a damaged listing.
    """
    path = root / "toy_world.json"
    toy = read_json(path) if path.is_file() else {}
    if "edition" not in toy:
        return []
    try:
        parts, files = (toy["edition"][name] for name in ("parts", "files"))
        told = zip(*map(_told, toy["programs"].values()), strict=True)
        differ = [(path, part) for part, column in zip(PARTS[2:], told, strict=True) if _sum(column) != parts[part]]
        differ += [(f"files of {root}", part) for part, found in of_files(root).items() if found != files[part]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} does not tell what its edition holds; download it again") from error
    return [f"{where}: {part} differ from the edition's, by their SHA-256; download it again" for where, part in differ]


def _told(rows: list[dict]) -> tuple[str, str]:
    """The hashes of a clip's sentences and of their programs, from the rows of the listing."""
    rest = [{name: value for name, value in row.items() if name != "text"} for row in rows]
    return tuple(_sha256([json.dumps(part, sort_keys=True).encode()]) for part in ([row["text"] for row in rows], rest))


def _part(path: Path) -> str:
    if path.suffix in (".jpg", ".mp4") or "Rename_Images" in path.parts:
        return "pixels"
    return "masks" if path.suffix in (".png", ".h5", ".mat") or path.name == "mask_dict.json" else "sentences"


def _sum(texts: Iterable[str]) -> str:
    return _sha256(text.encode() for text in texts)


def _sha256(pieces: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()
