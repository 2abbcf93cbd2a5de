"""Bytes, bits a second and seconds as people read them."""

from __future__ import annotations


def size_of(count: int) -> str:
    """Return ``count`` bytes as people read them."""
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} B"


def bits(bandwidth: int) -> str:
    """Return bits a second as people read them."""
    return f"{bandwidth / 1_000_000:.1f} Mbit/s" if bandwidth >= 1_000_000 else f"{bandwidth / 1000:.0f} kbit/s"


def clock(seconds: float) -> str:
    """Return 1:02:03 for seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
