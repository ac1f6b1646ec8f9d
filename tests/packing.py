"""Archives and pictures made in memory, and folders read whole: what tests of files share."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

PACK = {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def tar_bytes(files: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def zip_bytes(files: dict[str, bytes], *odd: zipfile.ZipInfo) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for info in odd:
            archive.writestr(info, b"there")
    return out.getvalue()


def packed(kind: str, files: dict[str, bytes]) -> bytes:
    return zip_bytes(files) if kind == "zip" else PACK[kind](tar_bytes(files))


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def png_bytes(values: np.ndarray, bits: int, color: int = 0) -> bytes:
    """A PNG, written by hand since Pillow writes few kinds: values (H, W), or (H, W, n), of 1 to 16 bits each."""
    height, width = values.shape[:2]
    digits = np.unpackbits(values.astype(">u2").reshape(height, -1, 1).view("u1"), axis=2)[..., -bits:]
    rows = np.packbits(digits.reshape(height, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">2I5B", width, height, bits, color, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
