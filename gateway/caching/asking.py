"""How the cache asks an origin: a request, and the answer as it comes; who carries it is no business of the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class WebRequest:
    """A request for an origin; ``body`` as bytes, or as it comes."""

    host: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] = b""


@dataclass(frozen=True)
class WebAnswer:
    """The final response's head, the interim ones before it, and its body as it comes."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)


class Web(Protocol):
    """Who asks origins."""

    def ask(self, request: WebRequest) -> AbstractAsyncContextManager[WebAnswer]:
        """Return the answer, open while its body is read.

        Raises:
            HeadgateError: the origin is away, broke off, or may not be asked.
        """
        ...
