"""Texts of users as terminals, pages and pictures show them."""

import html
import re

from .files import as_text

# All controls but tab and the ends of lines, and those that reverse the order of letters.
OBEYED = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def spelled_out(text: str, obeyed: re.Pattern = OBEYED) -> str:
    """A text in which what a terminal, a browser or a font would obey is spelled out: `\\x1b`, `\\u202e`."""
    return obeyed.sub(lambda found: ascii(found[0])[1:-1], text)


def visible(text: str) -> str:
    """As `spelled_out`, of a text that any file can hold (see `as_text`)."""
    return spelled_out(as_text(text))


def in_html(text: str) -> str:
    """As `visible`, in a page: no markup takes effect."""
    return html.escape(visible(text))
