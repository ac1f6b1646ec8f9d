"""Damage by chance, the same for the same seed: what a parser is fed so that it cannot fail but in its own words."""

import copy
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

JUNK = (
    None,
    True,
    False,
    0,
    -1,
    7,
    10**30,
    1.5,
    float("nan"),
    "",
    "0",
    "00005",
    "a/b",
    "..",
    "\0",
    "²",
    "é\ud800",
    [],
    {},
)


def spoiled(value: Any, seed: int, changes: int | None = None) -> Any:
    """A JSON value of which a few parts are missing, doubled, renamed or replaced; now and then none is."""
    rng = random.Random(seed)
    value = copy.deepcopy(value)
    for _ in range(rng.randrange(4) if changes is None else changes):
        parents = [node for node in nodes(value) if isinstance(node, dict | list) and node]
        if not parents:
            break
        node = rng.choice(parents)
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        how = rng.randrange(4)
        if how == 0:
            del node[key]
        elif how == 1:
            node[key] = rng.choice([junk(rng), [node[key]], {"0": node[key]}, str(node[key])])
        elif isinstance(node, dict):
            node[str(rng.choice(JUNK))] = node.pop(key) if how == 2 else copy.deepcopy(node[key])
        else:
            node.insert(rng.randrange(len(node)), copy.deepcopy(node[key]))
    return value


def junk(rng: random.Random, depth: int = 2) -> Any:
    kind = rng.randrange(4) if depth else 3
    if kind == 0:
        return [junk(rng, depth - 1) for _ in range(rng.randrange(3))]
    if kind == 1:
        return {str(junk(rng, 0)): junk(rng, depth - 1) for _ in range(rng.randrange(3))}
    return rng.choice(JUNK)


def nodes(value: Any) -> list:
    """A JSON value and all that it holds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(node for one in inner for node in nodes(one))]


def spoiled_bytes(content: bytes, seed: int) -> bytes:
    """A file's content of which a few bytes are changed, and perhaps the end is missing."""
    rng, content = random.Random(seed), bytearray(content)
    for _ in range(rng.randrange(4)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content if rng.random() < 0.5 else content[: rng.randrange(len(content) + 1)])


# Whole files, damaged in place by rules: what downloads, disks, editors and mistaken names make of them.

OTHERS = {  # how files of other kinds begin
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde",
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb",
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp41\0\0\0\x08moov",
    "mkv": b"\x1aE\xdf\xa3\x93B\x82\x88matroska",
    "zip": b"PK\3\4\x14\0\0\0\0\0\0\0!\0",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    "pickle": b"\x80\4\x95\x05\0\0\0\0\0\0\0]\x94.",
    "npy": b"\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
    "hdf5": b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0",
    "matlab": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM",
    "parquet": b"PAR1\x15\4\x15",
    "page": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Quota exceeded</body></html>\n",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
    "json": b'{"a": [1, 2.5, null, true, "x"]}',
    "table": b"a,b,c\n1,2,3\n",
    "script": b"#EXTM3U\n#EXTINF:10,\nhttp://localhost/x.ts\nfile 'other.mp4'\n",
}
DEEP = 100_000
VALUES = (
    *JUNK,
    "-",
    "--",
    "inf",
    "1e999",
    "None",
    "(1, 2",
    "[red]",
    "%s {0}",
    "猫 ñ",
    "x" * 5000,
    "9" * 5000,
    "True",
    "../..",
)


def rewritten(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, random.Random], None]:
    def rule(path: Path, rng: random.Random) -> None:
        content = change(path.read_bytes(), rng)
        path.unlink()  # it may be a link to a file that others read
        path.write_bytes(content)

    return rule


def instead(make: Callable[[Path], None]) -> Callable[[Path, random.Random], None]:
    def rule(path: Path, rng: random.Random) -> None:
        path.unlink()
        make(path)

    return rule


def flipped(content: bytes, rng: random.Random) -> bytes:
    content = bytearray(content)
    for _ in range(rng.choice([1, 3, 30]) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def spliced(content: bytes, rng: random.Random) -> bytes:
    other = OTHERS[rng.choice(list(OTHERS))]
    cut, again = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return rng.choice([content[:cut] + other + content[cut:], other + content[again:], content[:again] + content[cut:]])


def reencoded(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    encodings = "utf-16", "utf-32", "utf-16-le", "latin-1", "cp037", "utf-7"
    return text.encode(rng.choice(encodings), "replace")


def respelt(content: bytes, rng: random.Random) -> bytes:
    """A text of which a few words are others; of a table, cells."""
    words = re.split(rb"([\s,:=\[\]{}()\"']+)", content)
    for _ in range(rng.choice([1, 2, 5])):
        words[rng.randrange(len(words))] = str(rng.choice(JUNK)).encode("utf-8", "replace")
    return b"".join(words)


def relined(content: bytes, rng: random.Random) -> bytes:
    """A text of which lines are missing, doubled, moved or joined."""
    lines = content.split(b"\n")
    k = rng.randrange(len(lines))
    how = rng.randrange(4)
    if how == 0:
        del lines[k]
    elif how == 1:
        lines.insert(k, lines[rng.randrange(len(lines))])
    elif how == 2:
        rng.shuffle(lines)
    else:
        lines[k : k + 2] = [b"".join(lines[k : k + 2])]
    return b"\n".join(lines)


def restructured(content: bytes, rng: random.Random) -> bytes:
    """JSON, or JSON lines, with other values: see `spoiled`. Anything else as `respelt`."""
    try:
        value = json.loads(content)
    except ValueError:
        return respelt(content, rng)
    return json.dumps(spoiled(value, rng.randrange(2**32), rng.randrange(1, 4))).encode("utf-8", "surrogatepass")


def renumbered(content: bytes, rng: random.Random) -> bytes:
    """A text of which one number is another, up to one of five thousand digits."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return b"9" * 5000
    one = rng.choice(found)
    number = rng.choice(
        [b"NaN", b"-1", b"0", b"1e999", b"-Infinity", b"9" * 30, b"9" * 5000, b"0x10", b"1_0", b"\xc2\xb2"]
    )
    return content[: one.start()] + number + content[one.end() :]


RULES: dict[str, Callable[[Path, random.Random], None]] = {
    "cut": rewritten(lambda content, rng: content[: rng.randrange(len(content) + 1)]),
    "bits": rewritten(flipped),
    "spliced": rewritten(spliced),
    "empty": rewritten(lambda content, rng: b""),
    "other": rewritten(lambda content, rng: OTHERS[rng.choice(list(OTHERS))]),
    "longer": rewritten(lambda content, rng: content + rng.choice([content, bytes(1000), b"\n" * 1000])),
    "bom": rewritten(lambda content, rng: rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]) + content),
    "nul": rewritten(
        lambda content, rng: (k := rng.randrange(len(content) + 1), content[:k] + bytes(3) + content[k:])[1]
    ),
    "encoding": rewritten(reencoded),
    "words": rewritten(respelt),
    "lines": rewritten(relined),
    "values": rewritten(restructured),
    "number": rewritten(renumbered),
    "deep": rewritten(lambda content, rng: rng.choice([b"[", b'{"a":', b"a=["]) * DEEP),
    "folder": instead(Path.mkdir),
    "circle": instead(lambda path: path.symlink_to(path.name)),
    "nowhere": instead(lambda path: path.symlink_to("missing")),
    "gone": instead(lambda path: None),
    "locked": lambda path, rng: path.chmod(0) if os.geteuid() else path.unlink(),
}
