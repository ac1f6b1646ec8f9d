"""Reads archives that come from elsewhere: every member is listed and checked before anything is written."""

import errno
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, NoReturn

MAX_BYTES, MAX_FILES = 400 * 2**30, 1_000_000  # twice the largest genuine data set
DENSE, SMALL = 100, 64  # an archive of n bytes holds at most 100 n, of which a GiB is free, in n / 64 files: they are
FREE_BYTES, FREE_FILES = 2**30, 10_000  # compressed already, a tenth of this is much
LONGEST_HEAD = 2**14  # bytes of a long name, and of further notes on a member
MAGIC = ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"))
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)
DAMAGE += (NotImplementedError, RuntimeError, UnicodeError, struct.error)


class _Member(tarfile.TarInfo):
    """A member of a tar whose notes on itself (a long name, pax records) fit into memory."""

    @classmethod
    def frombuf(cls, *arguments: Any) -> "_Member":
        found = super().frombuf(*arguments)
        if found.size > LONGEST_HEAD and not found.isreg():
            raise tarfile.ReadError(f"{found.size:,} bytes about one member")
        return found if found.type != tarfile.GNUTYPE_SPARSE else cls._sparse()

    @staticmethod
    def _sparse(*_: Any) -> NoReturn:
        raise tarfile.ReadError("a sparse file, whose holes may be listed without end")

    _proc_gnusparse_10 = _sparse  # the one form whose list lies outside the head


class Entry(NamedTuple):
    """A member of an archive, whatever its format."""

    name: str  # as the archive has it
    kind: str  # file, folder, link or device
    size: int
    handle: Any  # what the archive's reader wants back


def archive_kind(path: Path) -> str:
    """`zip`, `tar`, `gz`, `bz2` or `xz`, recognized by the content, never by the name; empty for anything else."""
    with open(path, "rb") as file:
        head = file.read(512)
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" else ""


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[Iterator[Entry], Callable[[Any], IO[bytes]]]]:
    """The members of an archive and a function that opens one by its handle.

    Raises `ValueError` for what is not an archive or is damaged, whenever that is noticed while the context is open.
    """
    kind = archive_kind(path)
    if not kind:
        size = path.stat().st_size
        raise ValueError(
            f"{path} is not an archive (zip, tar, gz, bz2 or xz; {size} bytes): a saved web page, or cut short? "
            "download it again"
        )
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                yield map(_zip_entry, archive.infolist()), archive.open
        else:
            with tarfile.open(path, f"r:{kind.removeprefix('tar')}", tarinfo=_Member) as archive:
                yield _tar_entries(archive), archive.extractfile
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the disk's fault
            raise
        raise ValueError(f"{path} is damaged or cut short ({error}); download it again") from error


def _zip_entry(info: zipfile.ZipInfo) -> Entry:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename!r} is encrypted")
    kind = "link" if mode == stat.S_IFLNK else "file" if mode in (0, stat.S_IFREG) else "device"
    return Entry(info.orig_filename, "folder" if info.orig_filename.endswith("/") else kind, info.file_size, info)


def _tar_entries(archive: tarfile.TarFile) -> Iterator[Entry]:
    for info in archive:
        link = "link" if info.issym() or info.islnk() else "device"
        kind = "file" if info.isreg() else "folder" if info.isdir() else link
        archive.members, info.pax_headers = [], {}  # type: ignore[attr-defined]  # or all heads stay in memory
        yield Entry(info.name, kind, info.size, info)


def list_wanted(archive: Path, entries, places: dict[str, str]) -> tuple[dict, int]:
    """The files under the folders named in `places`, by path in the root, and the number of the others.

    Raises `ValueError` for the first member, wanted or not, that could do harm: absolute paths, `..`, links, devices,
    names that occur twice, more files or bytes than data sets have, or than an archive of its size holds.
    """
    wanted: dict[PurePosixPath, Entry] = {}
    total = count = ignored = 0
    size = archive.stat().st_size
    most_bytes = min(MAX_BYTES, FREE_BYTES + DENSE * size)
    most_files = min(MAX_FILES, FREE_FILES + size // SMALL)
    tops: set[str] = set()
    try:
        for entry in entries:
            refuse_harm(entry)
            total, count = total + entry.size, count + 1
            if count > most_files:
                raise ValueError(f"more than {most_files:,} files in {size:,} bytes")
            if total > most_bytes:
                raise ValueError(f"it unpacks to more than {most_bytes / 2**30:,.1f} GiB from {size:,} bytes")
            parts = PurePosixPath(entry.name).parts
            if entry.kind != "file" or parts[0] == "__MACOSX" or parts[-1].startswith("._"):
                continue
            place = _place(parts, places)
            tops.add(parts[0])
            if place is None:
                ignored += 1
            elif place in wanted:
                raise ValueError(f"{entry.name!r} occurs in it twice")
            else:
                wanted[place] = entry
        if both := next((p for path in wanted for p in path.parents if p in wanted), None):
            raise ValueError(f"{wanted[both].name!r} is a file and a folder")
    except ValueError as error:
        raise ValueError(f"{archive} is not unpacked: {error}; get it from its official source") from error
    if not wanted:
        raise ValueError(
            f"{archive} holds no {' or '.join(places)}, only {', '.join(sorted(tops)[:5]) or 'nothing'}; "
            "is it the right archive? else unpack it by hand"
        )
    return wanted, ignored


def refuse_harm(entry: Entry) -> None:
    """Raises `ValueError` for a name or a kind that could reach outside the folder."""
    name = entry.name
    if entry.kind in ("link", "device"):
        raise ValueError(f"{name!r} is a {entry.kind}")
    if "\0" in name or (entry.kind == "file" and not PurePosixPath(name).parts):
        raise ValueError(f"{name!r} is not a file name")
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"{name!r} is an absolute path")
    if ".." in re.split(r"[/\\]", name):
        raise ValueError(f"{name!r} leads out of its folder")
    if "\\" in name:
        raise ValueError(f"{name!r} holds a backslash")


def _place(parts: tuple[str, ...], places: dict[str, str]) -> PurePosixPath | None:
    for k, part in enumerate(parts):
        if part in places:
            return PurePosixPath(places[part], *parts[k + 1 :])
    return None


def case_collisions(wanted: dict[PurePosixPath, Entry]) -> list[str]:
    """Paths, including folders, that differ only in case."""
    seen: dict[str, str] = {}
    paths = dict.fromkeys(str(p) for path in wanted for p in (*path.parents, path))
    return [f"{seen[p.casefold()]} and {p}" for p in paths if seen.setdefault(p.casefold(), p) != p]
