"""Draws sentences and names in pictures: letters of any script, and no character with a special meaning.

All text from users goes through `spelled` on its way into a figure, and through `wrapped` into an overlay or a GIF.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from PIL import ImageFont

from ..shared.console import visible


def spelled(text: str) -> str:
    """A text that matplotlib shows to the letter: no `$` begins a formula, and no leading `_` hides it from a legend.

    The fonts of figures drawn from now on include one that has its letters.
    """
    text, font = with_letters(text)
    if font:
        from matplotlib import font_manager, rcParams

        name = font_manager.get_font(font).family_name
        if name not in rcParams["font.family"]:
            font_manager.fontManager.addfont(font)
            rcParams["font.family"] = [*rcParams["font.family"], name]  # for letters that the others lack
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def in_lines(text: str, inches: float, points: float = 9) -> str:
    """As `spelled`, in lines that fit into so many inches of a figure, its own line breaks kept.

    `points` is the size of the letters.
    """
    text, path = with_letters(text)
    font = _font(path or next(_fonts()), 100)
    lines = (line for own in text.split("\n") for line in _lines(own, font, 100 * 72 * inches / points) or [""])
    return "\n".join(map(spelled, lines))


def wrapped(text: str, size: int, width: float) -> tuple[list[str], Any]:
    """A text in lines no wider than `width` pixels, and the font for Pillow to draw them with.

    Lines are broken between words; a word that is wider than a line, as all of Chinese is, wherever it must.
    """
    text, path = with_letters(text)
    font = _font(path, size)
    return _lines(text, font, width), font


def _lines(text: str, font: Any, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


@cache
def with_letters(text: str) -> tuple[str, str]:
    """A text as it can be drawn, and the file of a font that has its letters: "" for Pillow's own, if it is ASCII.

    Letters that no font has become question marks, and a note on standard error says so.
    """
    text = visible(text)
    letters = {c for c in text if not c.isspace()}
    path, lacking = "", {c for c in letters if not " " < c <= "~"}
    for font in _fonts() if lacking else ():
        lacks = letters - _letters_of(font, letters)
        if len(lacks) < len(lacking):
            path, lacking = font, lacks
        if not lacking:
            break
    if lacking:
        some = "".join(sorted(lacking))[:20]
        remedy = (
            "a font that has them (matplotlib finds it)" if find_spec("matplotlib") else "matplotlib, which has fonts"
        )
        print(
            f"note: no font found has the letters {some!r}, which pictures show as '?'; install {remedy}",
            file=sys.stderr,
        )
    return "".join("?" if c in lacking else c for c in text), path


def _fonts() -> Iterator[str]:
    """Files of fonts: matplotlib's own, which has the letters of Europe and many more, then those of the system."""
    try:
        from matplotlib import font_manager
    except ImportError:
        return
    yield font_manager.findfont("DejaVu Sans")
    found = (path for path in font_manager.findSystemFonts() if not re.search("LastResort|Emoji", path))
    yield from sorted(found, key=lambda path: ("Sans" not in path, "Regular" not in path, path))


def _letters_of(path: str, letters: set[str]) -> set[str]:
    """Those of `letters` that a font has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return {c for c in letters if font.get_char_index(ord(c))}
    except (OSError, RuntimeError):
        return set()


@cache
def _font(path: str, size: int) -> Any:
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
