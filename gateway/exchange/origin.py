"""The exchange's hand into the culture zone: asks the fetch daemon over its socket, with requests of its own making."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from appliance.runtime import asking
from appliance.runtime.errors import Refused, Unreachable

_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,190}"', re.ASCII)  # RFC 9110 section 8.8.3
_AGE = re.compile(r"\d{1,9}", re.ASCII)
MOST_WRONG = 8  # names that fetch takes
CONNECTIONS = 32
PATIENCE = 60.0  # seconds without a byte; fetch has narrower ones of its own


class Answer:
    """What ``origin`` sends: ``etag``, and the body in chunks; ``unchanged`` where the given ETag still holds."""

    def __init__(self, response: asking.Answer) -> None:
        self._response = response
        self.unchanged = response.status == 304
        etag = response.headers.get("etag", "")
        self.etag = (
            etag if _ETAG.fullmatch(etag) else ""
        )  # fetch takes no other back; without one we read the whole again
        self.origin = response.headers.get("headgate-origin", "")
        age = response.headers.get("age", "0")
        self.age = (
            float(age) if _AGE.fullmatch(age) else 0.0
        )  # seconds since an origin spoke about it, as a parent tells

    async def chunks(self) -> AsyncIterator[memoryview | bytes]:
        """Yield the body as it comes; each piece may be used until the next is asked for."""
        async for chunk in self._response.chunks():
            yield chunk

    async def read(self, largest: int) -> bytes:
        """Return the whole body, at most ``largest`` bytes.

        Raises:
            Refused: it is longer (``too-large``).
        """
        parts, size = [], 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > largest:
                raise Refused("too-large", f"the origin's answer is longer than {largest} bytes", 413)
            parts.append(bytes(chunk))
        return b"".join(parts)


class Origins:
    """The origins of the policy, through fetch."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._asking: asking.Asking | None = None

    async def __aenter__(self) -> Self:
        self._asking = asking.Asking(self._socket, most=CONNECTIONS, patience=PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.close()

    @contextlib.asynccontextmanager
    async def ask(
        self, origin: str, path: str, largest: int, etag: str = "", via: Sequence[str] = ()
    ) -> AsyncIterator[Answer]:
        """Ask ``origin``, and nobody else, for ``path`` of at most ``largest`` bytes.

        Raises:
            Refused: the origin has it not (``unknown-path``), or fetch may not ask for it.
            Unreachable: fetch or the origin is away, or broke off in the middle.
        """
        told: dict[str, object] = {"origin": origin, "path": path, "largest": largest}
        told |= {"etag": etag} if etag else {}
        told |= {"via": list(via)} if via else {}
        async with self._post(told, f"the origin '{origin}'") as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def any(
        self,
        path: str,
        largest: int,
        *,
        first: int = 0,
        wrong: Sequence[str] = (),
        etags: Mapping[str, str] | None = None,
        oldest: int | None = None,
        direct: bool = False,
        via: Sequence[str] = (),
    ) -> AsyncIterator[Answer]:
        """Ask for ``path`` whoever is best: a parent, or an origin; ``Answer.origin`` says who it was.

        The answer holds at most ``largest`` bytes, from ``first`` on. ``wrong`` are those whose bytes were refused; ``etags`` what is held
        of whom; ``oldest`` the seconds since a parent heard of it; ``direct`` leaves the parents out; ``via`` the boxes that ask for it.

        Raises:
            Refused: the origins have it not (``unknown-path``), or somebody has something else, or fetch may not ask for it.
            Unreachable: fetch or all of them are away, or the one that answered broke off in the middle: ask again, from where it ended.
        """
        told: dict[str, object] = {"any": True, "path": path, "largest": largest}
        told |= {"first": first} if first else {}
        told |= {"not": list(wrong)[-MOST_WRONG:]} if wrong else {}
        told |= {"etags": dict(etags)} if etags else {}
        told |= {"oldest": oldest} if oldest is not None else {}
        told |= {"direct": True} if direct else {}
        told |= {"via": list(via)} if via else {}
        async with self._post(told, "parents and origins") as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def _post(self, told: Mapping[str, object], whom: str) -> AsyncIterator[Answer]:
        if self._asking is None:
            raise RuntimeError("used outside its 'async with'")
        try:
            async with self._asking.post("fetch", told) as response:
                yield Answer(await response.check())
        except (asking.BrokeOff, TimeoutError) as error:
            raise Unreachable(f"{whom} cannot be asked: {error or 'no answer in time'}") from error
