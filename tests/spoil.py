"""Damage by chance, the same for the same seed: what a parser is fed so that it cannot fail but in its own words."""

import copy
import random
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


def spoiled(value: Any, seed: int) -> Any:
    """A JSON value of which a few parts are missing, doubled, renamed or replaced; now and then none is."""
    rng = random.Random(seed)
    value = copy.deepcopy(value)
    for _ in range(rng.randrange(4)):
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
