"""Texts: UTF-8 and nothing else; no kind of text may be mistaken for a page."""

from __future__ import annotations

import re

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told, Whole

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
_PAGE = re.compile(r"\s*<\s*(!doctype\s+html|html|head|body|script|iframe|svg|object|embed)\b", re.IGNORECASE)
_ORDER = re.compile("[\u202a-\u202e\u2066-\u2069]")  # lets a text look like another
_SRT = re.compile(r"\ufeff?\s*\d+\s*\r?\n\s*\d{1,3}:\d\d:\d\d[,.]\d{1,3}\s*-->\s*\d{1,3}:\d\d:\d\d[,.]\d{1,3}")
_SCRIPT = re.compile(r"<\s*(script|iframe|object|embed)\b|javascript:", re.IGNORECASE)


def decoded(data: bytes) -> str:
    """Return the text.

    Raises:
        Refused: it is none in UTF-8.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise refusal.mismatch(f"this is no text in UTF-8: byte {error.start}") from error
    if found := _CONTROL.search(text):
        raise refusal.mismatch(f"a text holds no control character such as U+{ord(found[0]):04X}")
    return text


class Text(Whole):
    """Plain text and Markdown."""

    largest = 16 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no text, or a page."""
        text = decoded(data)
        if _PAGE.match(text):
            raise refusal.mismatch("this text is a page")
        if data.startswith(b"#!"):
            raise refusal.active("this text is a program")


class Subtitles(Whole):
    """SubRip."""

    largest = 16 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what does not begin with a cue."""
        text = decoded(data)
        if not _SRT.match(text):
            raise refusal.mismatch("this is no SubRip: it begins with no cue")
        if _SCRIPT.search(text):
            raise refusal.active("a subtitle holds a script")


class Application(Whole):
    """Pages, scripts, styles: only of releases that are applications, over lanes that are active."""

    largest = 16 << 20

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        if not told.application:
            raise refusal.active(
                f"{told.type} runs in a browser: the release needs the label 'application', the lane 'active: true'"
            )

    def judge(self, data: bytes) -> None:
        """Refuse what is no text of its type."""
        text = decoded(data)
        page = bool(_PAGE.match(text) or text.lstrip("\ufeff \t\r\n")[:4] == "<!--")
        if self.told.type == "text/html" and not page:
            raise refusal.mismatch("this is no page: it begins with no tag of one")
        if self.told.type != "text/html" and page:
            raise refusal.mismatch(f"{self.told.type} is declared, and this is a page")
