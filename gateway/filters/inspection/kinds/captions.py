"""WebVTT captions."""

from __future__ import annotations

import io
import re

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Whole
from gateway.filters.inspection.kinds.text import decoded

_ACTIVE = re.compile(r"<\s*(script|iframe|object|embed|svg|img)\b|javascript:", re.IGNORECASE)
_OUTSIDE = re.compile(r"url\(|@import", re.IGNORECASE)


class Captions(Whole):
    """One file of captions."""

    largest = 16 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no WebVTT, runs, or leads out."""
        text = decoded(data)
        first = text.lstrip("\ufeff").splitlines()[:1]
        if not first or not re.fullmatch(r"WEBVTT([ \t].*)?", first[0]):
            raise refusal.mismatch("this is no WebVTT: its first line is not WEBVTT")
        if _ACTIVE.search(text):
            raise refusal.active("captions hold a script")
        if _OUTSIDE.search(text):
            raise refusal.outside("the captions' style leads out")
        try:
            webvtt.from_buffer(io.StringIO(text))
        except (MalformedFileError, MalformedCaptionError, ValueError, IndexError) as error:
            raise refusal.malformed(f"these captions are damaged: {str(error)[:200]}") from error
