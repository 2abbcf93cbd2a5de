"""Content that is what it says: the inspection filter looks at the bytes of everything that tests publish."""

from __future__ import annotations

import os


def box(kind: bytes, body: bytes = b"") -> bytes:
    """Return a box of an ISO base media file."""
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def segment(media: bytes = b"media") -> bytes:
    """Return a segment of a film (fMP4) that holds ``media``."""
    return box(b"styp", b"msdh\0\0\0\0msdhmsix") + box(b"moof", box(b"mfhd", bytes(8))) + box(b"mdat", media)


def sized(size: int) -> bytes:
    """Return a segment of ``size`` bytes whose media is random."""
    return segment(os.urandom(size - len(segment(b""))))
