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


def _packet(pid: int, payload: bytes, *, start: bool = True) -> bytes:
    head = bytes([0x47, (0x40 if start else 0) | pid >> 8, pid & 0xFF, 0x10])
    return head + payload + b"\xff" * (184 - len(payload))


def _crc(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = ((value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def transport(media: bytes = b"media") -> bytes:
    """Return a transport stream of three packets: the two tables, and ``media``."""
    pat = bytes.fromhex("00b00d0001c100000001f000")
    pmt = bytes.fromhex("02b0120001c10000e100f0001be100f000")
    return b"".join(
        (
            _packet(0x0000, b"\0" + pat + _crc(pat)),
            _packet(0x1000, b"\0" + pmt + _crc(pmt)),
            _packet(0x0100, media),
        )
    )
