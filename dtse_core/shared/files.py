"""Reading text, CSV and JSON with errors that name file, place and remedy; writing files and folders whole."""

import csv
import errno
import glob
import io
import json
import os
import re
import secrets
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

OURS = "written by dtse, which may replace it"  # follows what a file is: the mark in its metadata that says it is ours
PAGE = f"page {OURS}"  # of a page in HTML or Markdown, in a comment
ANY = ""  # the mark of names that are ours whatever they hold, since they lie in a folder of ours
MANIFEST = ".dtse.json"  # in a folder of ours: its mark, and what it holds
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG}
WINDOW = 2**16  # bytes at the head and at the tail of a file where its mark stands
LARGEST, TABLES = 2**26, 2**31  # bytes that a file may have: settings, states, vocabularies; what a data set lists
LONGEST = 255  # bytes of a name, on most systems
DEEPEST = 100  # levels of lists and objects in a JSON file; none of ours has ten
VIEWS = ".ds_store", "thumbs.db", "desktop.ini"  # files that a system puts into whatever folder a user looks at
LITTER = *VIEWS, "__macosx"  # with dot-files, what systems leave behind


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """A whole text file. Raises `FileNotFoundError`, or `ValueError` naming line and byte that cannot be decoded."""
    return _decoded(read_bytes(path, TABLES), path, encoding)


def _decoded(data: bytes, path: Path, encoding: str = "utf-8-sig") -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise ValueError(
            f"{path}, line {line}: byte {error.object[error.start]:#04x} is not {name}; save it so or download it again"
        ) from error


def as_text(text: str) -> str:
    """`text` without lone surrogates, which no file can hold and no picture shows.

    Python keeps bytes as such where a command line or a file's name is not in the system's encoding: they are read as
    UTF-8. What is not UTF-8 becomes U+FFFD, or a question mark where a surrogate stands for no byte.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of a CSV file, without outer spaces and blank lines; an id such as `NA` stays text."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    try:
        for row in reader:
            if any("\n" in field or "\r" in field for field in row):
                raise ValueError(f"{path}, line {reader.line_num}: a field of several lines; is a quote not closed?")
            if any(fields := [field.strip() for field in row]):
                yield reader.line_num, fields
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error}); download the file again") from error


def read_json(path: Path, kind: type = dict, most: int = LARGEST) -> Any:
    """A JSON file of at most `most` bytes that holds an object, or a list where `kind` is list.

    Raises `FileNotFoundError`, or `ValueError` naming line and column, also for NaN, infinity and an object that has a
    name twice, of which others keep the last in silence.
    """
    return parse_json(read_bytes(path, most), path, kind)


def parse_json(data: bytes, path: Path, kind: type = dict) -> Any:
    """As `read_json`, from a file's bytes."""
    text = _decoded(data, path)
    try:
        value = json.loads(text, parse_int=_whole, parse_constant=_refused, object_pairs_hook=_each_once)
        _require_shallow(value)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); cut short? correct it, or "
            "download it again"
        ) from error
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer that nothing can hold
        raise ValueError(f"{path}: JSON that cannot be read ({error}); correct the file, or get it again") from error
    if not isinstance(value, kind):
        expected = "list [...]" if kind is list else "object {...}"
        raise ValueError(
            f"{path}: expected a JSON {expected}, found {type(value).__name__}; correct it, or download it again"
        )
    return value


def _whole(digits: str) -> int:
    if abs(value := int(digits)) >= 2**63:
        raise ValueError(f"the integer {digits[:9]}... is too large")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice!r} occurs twice in one object")
    return found


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        if not (level := [value for some in inner for value in some]):
            return
    raise ValueError(f"lists and objects lie in one another more than {DEEPEST} deep")


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def read_json_lines(path: Path, sound: Callable[[dict[str, Any]], bool] = bool) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file that are `sound`; none if there is no file.

    Lines that are cut or damaged are passed over, with a note that names the first. Raises as `read_bytes` does.
    """
    found, odd = [], []
    for number, line in enumerate(read_bytes(path, TABLES).splitlines() if path.is_file() else (), 1):
        try:
            found.append(parse_json(line, path))
        except ValueError:
            odd.append(number)
            continue
        if not sound(found[-1]):
            found.pop()
            odd.append(number)
    if odd:
        more = f" and {len(odd) - 1} more lines are" if len(odd) > 1 else " is"
        print(f"note: {path}: line {odd[0]}{more} cut short or damaged, and passed over", file=sys.stderr)
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises `FileNotFoundError`, or `ValueError` naming line and column."""
    text = _decoded(read_bytes(path), path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML; an integer of thousands of digits; nested too deeply
        raise ValueError(f"{path}: not TOML ({error}); correct it, or start from a copy of a grid that runs") from error


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """A whole file of at most `most` bytes. Raises `FileNotFoundError`, or `ValueError` for anything else."""
    try:
        size = path.stat().st_size
        if not path.is_file():  # a pipe would be waited for, a device has no end
            raise ValueError(f"{path} is {'a folder' if path.is_dir() else 'a pipe or a device'}; expected a file")
        if size > most:
            raise ValueError(f"{path} has {size:,} bytes, where {most:,} are the most; download it again")
        with open(path, "rb") as file:
            return file.read(size)  # not what is added meanwhile
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing; download it again") from error


def is_litter(name: str) -> bool:
    """True for a file or folder that a system has left behind: dot-files too, such as `._00001.jpg`."""
    return name.startswith(".") or name.lower() in LITTER


def files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All files below a folder, in the order of their names, what systems leave behind (`is_litter`) left out.

    Links are followed wherever they lead, but not in a circle: the owner of the folder has put them there, as data sets
    are kept on other disks. `above` are the folders that lead here.
    """
    place = folder.resolve()
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if place not in above else ():
        if not is_litter(entry.name):
            if entry.is_dir():
                yield from files_below(Path(entry), above | {place})
            elif entry.is_file():
                yield Path(entry)


def write_json(path: str | Path, value: Any, mark: str) -> None:
    """Writes JSON as `written_whole` does. Raises `ValueError` for NaN and infinity, which JSON does not know."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with written_whole(path, mark) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # lone surrogates, as JSON writes them


def require_ours(path: str | Path, mark: str, folder: bool = False, inputs: Sequence[Any] = ()) -> None:
    """Raises an error if writing to `path` would destroy what is not ours: called before any work, and on writing.

    These may be written to: a name that does not exist, an empty folder, a file whose head or tail matches `mark`, a
    regular expression (a text in its metadata, or its own keys), and a folder that holds only what its manifest of
    this mark lists; but never what is, or holds, one of `inputs`. What a system adds to a folder on showing it
    (`.DS_Store`, `Thumbs.db`, `desktop.ini`) counts for nothing, and goes with the folder. Raises `FileExistsError`, or
    `ValueError` for an input.
    """
    path = Path(path)
    require_folder_above(path)
    if os.path.islink(os.path.realpath(path)):
        raise FileExistsError(f"{path} is a link that leads in a circle; choose another name, or remove it")
    if not path.exists():
        return
    for source in (Path(i) for i in inputs if isinstance(i, str | Path) and i != "" and Path(i).exists()):
        if path.samefile(source):
            raise ValueError(f"{path} is the input {source} itself; choose another name for the output")
        if source.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{path} holds the input {source}; choose another folder for the output")
    if folder and path.is_dir() and Path.cwd().is_relative_to(path.resolve()):
        raise FileExistsError(f"{path} is the folder that this command runs in, or one above it; name a folder in it")
    if path.is_dir() != folder:
        raise FileExistsError(f"{path} is a {'file; name a folder' if folder else 'folder; name a file in it'}")
    if folder and (foreign := _foreign(path, mark)):
        raise FileExistsError(
            f"{path} is not an empty folder: it holds {foreign}, which this command did not write; choose another "
            "folder, or move it away"
        )
    if not folder and not bears(path, mark):
        raise FileExistsError(
            f"{path} exists, and not with the mark of what this command writes; choose another name, or move it away"
        )


def require_folder_above(path: Path) -> None:
    """Raises `FileExistsError` if a file has the name of a folder above `path`, or `PermissionError`."""
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise FileExistsError(f"{above} is a file, so that {path} cannot be written; choose another name")
    if not os.access(above, os.W_OK):
        raise PermissionError(f"{above} is read-only, so that {path} cannot be written; choose another place")


def bears(path: Path, mark: str) -> bool:
    """True if a file has the mark at its head or tail, or a folder's manifest has it."""
    if path.is_dir():
        return _manifest(path).get("mark") == mark
    if not path.is_file():  # a pipe, a device
        return False
    with open(path, "rb") as file:
        head = file.read(WINDOW)
        file.seek(max(0, path.stat().st_size - WINDOW))
        return any(re.search(mark.encode(), end) for end in (head, file.read()))


def _manifest(folder: Path) -> dict[str, Any]:
    """What a folder's manifest says; nothing if there is none, or it is not one of ours."""
    try:
        found = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return {}
    names = found.get("holds")
    return found if isinstance(names, list) and all(isinstance(name, str) for name in names) else {}


def _foreign(folder: Path, mark: str) -> str:
    """The first entry of a folder that no manifest of this mark lists; empty if there is none but a system's views."""
    ours = {MANIFEST, *_manifest(folder)["holds"]} if bears(folder, mark) else set()
    return next((name for name in _entries(folder) if name not in ours and not _is_view(folder / name)), "")


def _is_view(path: Path) -> bool:
    return path.name.lower() in VIEWS and path.is_file() and not path.is_symlink()


def _entries(folder: Path) -> list[str]:
    return sorted(entry.relative_to(folder).as_posix() for entry in folder.rglob("*"))


def remove_ours(folder: Path, mark: str) -> None:
    """Removes a folder that is all ours, or that a killed writer has left; any other stays.

    A kill on the way leaves no part of it under its name, where it would look like another's.
    """
    with suppress(FileNotFoundError):  # another process removes it just now
        if _is_left(folder):
            _remove(folder)
        elif bears(folder, mark) and not _foreign(folder, mark):
            away = _unused(folder)
            os.replace(folder, away)
            _remove(away)


@contextmanager
def written_whole(path: str | Path, mark: str, folder: bool = False, sync: bool = False) -> Iterator[Path]:
    """An empty file to write to, or an empty folder to fill; it becomes `path` if all goes well.

    Otherwise it vanishes, and readers of `path` see what was there before. Parent folders are made. The writer of a
    file puts `mark` into it; a folder gets a manifest. Whatever library writes a file, who may read it is what the
    umask says. `sync` waits until everything is on the disk: without it a power cut could leave the new name with
    nothing behind it. Raises as `require_ours` does, which says what may be replaced, and `OSError` naming `path` for a
    full disk or a folder that cannot be written to.
    """
    path = Path(path)
    if mark or folder:
        require_ours(path, mark, folder)
    path = Path(os.path.realpath(path)) if path.is_symlink() else path  # the link stays
    with _workplace(path, mark) as place:
        part = place / "new"
        part.mkdir() if folder else part.touch()
        yield part
        if folder and mark:
            about = json.dumps({"mark": mark, "holds": _entries(part)}, indent=1) + "\n"
            (part / MANIFEST).write_text(about, encoding="utf-8")
        usual = (place / MANIFEST).stat().st_mode  # of a file, as the umask says
        for file in part.rglob("*") if folder else [part]:
            if file.is_file() and not file.is_symlink():
                if file.stat().st_mode != usual:  # safetensors and tempfile let nobody else read theirs
                    file.chmod(usual)
                if sync:
                    with open(file, "r+b") as written:
                        os.fsync(written.fileno())
        if mark or folder:
            require_ours(path, mark, folder)  # it may have been there for an hour
        _take_place(part, path, place / "old")


@contextmanager
def named_if_full(path: Path, part: Path) -> Iterator[None]:
    """In the block an error of a disk that is full, or cannot be written to, names `path`, not the `part` that is
    written in its place."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or part  # of a copy the second is written
        if error.errno not in UNWRITABLE or not _lies_on(Path(where), part):
            raise
        why = os.strerror(error.errno)
        told = OSError(f"{path} cannot be written ({why}); make room, or choose another place")
        told.errno = error.errno  # for the folder that this file may be written into
        raise told from error


def _lies_on(one: Path, other: Path) -> bool:
    """True if a path holds the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _unused(path: Path) -> Path:
    """A name beside `path` that nothing has."""
    return path.with_name(f"{_beside(path)}.{secrets.token_hex(4)}.part")


def _beside(path: Path) -> str:
    """How names beside `path` begin: as long as they may be."""
    return os.fsencode(f".{path.name}")[: LONGEST - len(".12345678.part")].decode(sys.getfilesystemencoding(), "ignore")


@contextmanager
def _workplace(path: Path, mark: str) -> Iterator[Path]:
    """A folder beside `path`, marked and locked as long as it is in use; what killed writers left is removed first."""
    place = _unused(path)
    manifest = place / MANIFEST
    try:
        with named_if_full(path, place):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f"{glob.escape(_beside(path))}.*.part"):
                with suppress(OSError):  # another user's
                    remove_ours(left, mark)
            place.mkdir()
            manifest.touch()
            with _locked(manifest):
                manifest.write_text(OURS, encoding="utf-8")
                yield place
    finally:
        with suppress(OSError):
            _remove(place)


def _is_left(folder: Path) -> bool:
    """True for the workplace of a writer that has ended."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or manifest.read_bytes() != OURS.encode():
        return False
    with _locked(manifest) as free:
        return bool(free)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lets no other process into such a block for the same `path`, until it ends or the process does, however.

    Parent folders are made. What is locked is an empty file beside `path`; where nothing can be locked, all are let in.
    Raises `BlockingIOError` if another process is in the block, and as `require_folder_above` does.
    """
    require_folder_above(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with _locked(lock, make=True) as free:
        if free is False:
            raise BlockingIOError(f"{path} is in use by another process; wait until that ends, then repeat the command")
        try:
            yield
        finally:
            if lock.is_file() and not lock.stat().st_size:  # another's file would not be empty
                lock.unlink(missing_ok=True)


@contextmanager
def _locked(file: Path, make: bool = False) -> Iterator[bool | None]:
    """True if the lock is ours in the block, False if another process holds it, None where nothing can be locked.

    `make` makes the file if it is missing; without, that raises `FileNotFoundError`.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    with open(file, "ab") if make else open(file, "r+b") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.fstat(held.fileno()).st_nlink > 0  # else its holder has just removed it
        except BlockingIOError:
            free = False
        except OSError:
            free = None
        yield free


def _take_place(part: Path, path: Path, old: Path) -> None:
    """Renames `part` to `path`; a folder there becomes `old`, and is back if that fails.

    Of several writers each takes the place of the one before.
    """
    done = False
    while not done:
        try:
            with suppress(FileNotFoundError):  # another writer has just moved it
                if path.is_dir():
                    os.replace(path, old)
            os.replace(part, path)
            done = True
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another was faster
                _remove(old)
                continue
            if old.is_dir():
                os.replace(old, path)
            raise


def _remove(path: Path) -> None:
    """Removes a file or folder; a manifest last, by which the rest is known if a kill comes between."""
    if path.is_dir():
        with suppress(OSError):
            for other in path.iterdir():
                if other.is_dir() and not other.is_symlink():
                    shutil.rmtree(other, ignore_errors=True)
                elif other.name != MANIFEST:
                    other.unlink()
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
