"""The languages of the pages that people read."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]


def language(asked: str | None, accepted: str) -> Language:
    """Return a page's language: the one asked for, else the browser's first of the two (``Accept-Language``), else Chinese."""
    if asked in ("zh", "en"):
        return "zh" if asked == "zh" else "en"
    for part in accepted[:200].lower().split(","):
        name = part.split(";")[0].strip()
        if name.startswith(("zh", "en")):
            return "zh" if name.startswith("zh") else "en"
    return "zh"
