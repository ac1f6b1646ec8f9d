"""Downloads that resume: pooch compares the checksum and puts the file in place, and no byte is fetched twice."""

import logging
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from ...shared.console import bars_hidden

TIMEOUT = (15, 60)  # seconds to connect, and between two pieces


def download(url: str, target: Path, sha256: str = "") -> Path:
    """Fetches `url` to `target`, which appears when it is complete; what is there already is not fetched again.

    An interrupted download leaves `<name>.part` and goes on from there, if the server still has the same version.
    Raises `OSError` if the server cannot be reached or refuses, `ValueError` for a wrong checksum, for
    fewer bytes than promised, and for a web page in place of the file; `ModuleNotFoundError` without pooch.
    """
    try:
        import pooch
    except ImportError as error:
        raise ModuleNotFoundError("downloads need the package pooch: pip install 'dtse[data]'") from error
    pooch.get_logger().setLevel(logging.WARNING)
    part = target.with_name(f"{target.name}.part")

    def fetch(url: str, output: str, _) -> None:
        _fetch(url, part)
        with open(part, "rb") as file:
            page = file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))
        if page:
            _tag(part).unlink(missing_ok=True)
            part.unlink()
            raise ValueError(f"{url} is a web page now, not {target.name}")
        part.replace(output)
        _tag(part).unlink(missing_ok=True)

    pooch.retrieve(url, sha256 and f"sha256:{sha256}" or None, target.name, target.parent, downloader=fetch)
    return target


def _fetch(url: str, part: Path) -> None:
    """Fetches what `part` lacks. The server's tag tells whether the rest belongs to what is there."""
    import requests

    broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
    done = part.stat().st_size if part.exists() and _tag(part).exists() else 0
    headers = {"Accept-Encoding": "identity"}  # compressed on the way, lengths would not agree
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": _tag(part).read_text(encoding="utf-8")}
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise OSError(f"{url} cannot be reached ({type(error).__name__}); is this machine online?") from error
    with answer:
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if done and (answer.status_code == 416 or (answer.status_code == 206 and not goes_on)):
            _tag(part).unlink(missing_ok=True)  # the rest is of something else: from the start
            return _fetch(url, part)
        answer.raise_for_status()
        done = done if answer.status_code == 206 else 0
        total = done + int(answer.headers.get("Content-Length", 0))
        _note_tag(part, answer.headers)
        size = {"total": total or None, "initial": done, "unit": "B", "unit_scale": True}
        bar = tqdm(desc=part.stem, **size, disable=bars_hidden())
        with bar, open(part, "ab" if done else "wb") as file, suppress(*broken):
            for block in answer.iter_content(2**18):
                file.write(block)
                bar.update(len(block))
    if (size := part.stat().st_size) < total:
        raise ValueError(f"{url} broke off after {size:,} of {total:,} bytes; the same command goes on from there")


def _note_tag(part: Path, headers) -> None:
    tag = headers.get("ETag", "")
    if not tag.startswith('"'):  # a weak tag does not serve
        tag = headers.get("Last-Modified", "")
    _tag(part).unlink(missing_ok=True)
    if tag:
        _tag(part).write_text(tag, encoding="utf-8")


def _tag(part: Path) -> Path:
    """Which version of the file `part` is a part of, in the server's words."""
    return part.with_name(f"{part.name}.tag")
