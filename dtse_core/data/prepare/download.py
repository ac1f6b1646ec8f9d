"""Downloads that resume: pooch compares the checksum and puts the file in place, and no byte is fetched twice."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from ...shared.console import bars_hidden
from ...shared.files import OURS, alone, bears, named_if_full, read_text
from ...shared.versions import library

DOWNLOAD = f"download {OURS}"
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces


def download(url: str, target: Path, sha256: str = "") -> Path:
    """Fetches `url` to `target`, which appears when it is complete; what is there already is not fetched again.

    An interrupted download leaves `<name>.part` and goes on from there, if the server still has the same version.
    Raises `OSError` if the server cannot be reached or refuses, `ValueError` for a wrong checksum, for
    an answer that broke off, and for a web page in place of the file; `BlockingIOError` while another process fetches
    the same; `ModuleNotFoundError` without pooch.
    """
    pooch = library("pooch", "a download")
    pooch.get_logger().setLevel(logging.WARNING)
    part, tag = (target.with_name(f"{target.name}.{end}") for end in ("part", "part.tag"))

    def fetch(url: str, output: str, _) -> None:
        with alone(part):
            with named_if_full(target, part):
                _fetch(url, part, tag)
            with open(part, "rb") as file:
                page = file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))
            part.unlink() if page else part.replace(output)
            tag.unlink()
        if page:
            raise ValueError(f"{url} is a web page now, not {target.name}")

    pooch.retrieve(url, sha256 and f"sha256:{sha256}" or None, target.name, target.parent, downloader=fetch)
    return target


def _fetch(url: str, part: Path, tag: Path) -> None:
    """Fetches what `part` lacks; `tag` marks it as ours, and says in the server's words of which version it is."""
    import requests

    broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
    if (part.exists() or tag.exists()) and not bears(tag, DOWNLOAD):
        raise FileExistsError(f"{part} is in the way and was not left by an interrupted download; move it away")
    version = read_text(tag).partition("\n")[2] if part.exists() else ""
    done = part.stat().st_size if version else 0
    headers = {"Accept-Encoding": "identity"}  # compressed on the way, lengths would not agree
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise OSError(f"{url} cannot be reached ({type(error).__name__}); is this machine online?") from error
    with answer:
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if done and (answer.status_code == 416 or (answer.status_code == 206 and not goes_on)):
            part.unlink()  # the rest is of something else: from the start
            return _fetch(url, part, tag)
        answer.raise_for_status()
        done = done if answer.status_code == 206 else 0
        coming = int(answer.headers.get("Content-Length", 0))
        if coming > (free := shutil.disk_usage(part.parent).free):
            needed = f"{part.stem} needs {coming / 1e9:.1f} GB"
            raise OSError(f"{part.parent} has {free / 1e9:.1f} GB free, {needed}: make room")
        version = answer.headers.get("ETag", "")
        if not version.startswith('"'):  # a weak tag does not serve
            version = answer.headers.get("Last-Modified", "")
        tag.write_text(f"{DOWNLOAD}\n{version}", encoding="utf-8")
        total, ended = coming and done + coming, False  # 0 if the server does not tell
        size = {"total": total or None, "initial": done, "unit": "B", "unit_scale": True}
        bar = tqdm(desc=part.stem, **size, disable=bars_hidden())
        with bar, open(part, "ab" if done else "wb") as file, suppress(*broken):
            for block in answer.iter_content(2**18):
                file.write(block)
                bar.update(len(block))
            ended = True
    if not ended or part.stat().st_size < total:
        got = f"{part.stat().st_size:,}{f' of {total:,}' if total else ''} bytes"
        raise ValueError(f"{url} broke off after {got}; the same command goes on from there")
