"""What every kind is: bytes in, silence or a refusal out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.filters.inspection import refusal


@dataclass(frozen=True)
class Told:
    """What is claimed of an object."""

    type: str  # media type, without parameters
    path: str  # in its release
    size: int  # bytes
    application: bool = False  # whether what runs may pass


class Kind(Protocol):
    """Looks at the bytes of one object, in order."""

    streams: bool  # whether what was fed without a refusal may be shown before the end is known

    def feed(self, data: bytes) -> None:
        """Take the next bytes, or raise Refused."""

    def finish(self) -> None:
        """The object is whole: raise Refused if it does not pass."""


class Whole:
    """A kind that looks at the whole at once; ``largest`` bounds it."""

    streams = False
    largest = 64 << 20  # bytes

    def __init__(self, told: Told) -> None:
        self.told = told
        if told.size > self.largest:
            raise refusal.too_large(f"{told.type} is looked into up to {self.largest} bytes; this has {told.size}")
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Keep the bytes until the end."""
        self._parts.append(data)

    def finish(self) -> None:
        """Judge the whole."""
        data = b"".join(self._parts)
        self._parts.clear()
        self.judge(data)

    def judge(self, data: bytes) -> None:
        """Raise Refused if ``data`` does not pass."""
        raise NotImplementedError
