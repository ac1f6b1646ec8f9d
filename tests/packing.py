"""Archives made in memory, and folders read whole: what the tests of downloads and of unpacking share."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

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
