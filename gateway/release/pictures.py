"""Small copies of a folder's pictures, to be shown inside a page."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from gateway.release import media

MOST = 24  # pictures of one page
EDGE = 320  # pixels of the longer side
MOST_PIXELS = 100_000_000  # of one that is opened; larger ones are left out
MOST_TRIED = 200
_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff")


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a ``data:`` address, with the size of the whole picture in pixels."""

    name: str
    width: int
    height: int
    data: str


def thumbnails(folder: Path, names: Iterable[str]) -> tuple[Picture, ...]:
    """Return thumbnails of the pictures among ``names``, at most ``MOST``; what cannot be opened is left out."""
    found: list[Picture] = []
    for name in [each for each in names if media.type_of(each) in _TYPES][:MOST_TRIED]:
        if len(found) == MOST:
            break
        picture = _thumbnail(folder / name, name)
        if picture is not None:
            found.append(picture)
    return tuple(found)


def _thumbnail(path: Path, name: str) -> Picture | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of sizes, which are looked at here
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    return None
                image.draft("RGB", (EDGE * 2, EDGE * 2))
                image.thumbnail((EDGE, EDGE))
                small = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
                out = io.BytesIO()
                kind = "PNG" if small.mode == "RGBA" else "JPEG"
                small.save(out, kind, quality=80)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError, EOFError):
        return None  # the page shows what can be shown; what a file is was told by its first bytes
    data = base64.b64encode(out.getvalue()).decode()
    return Picture(name, width, height, f"data:image/{kind.lower()};base64,{data}")
