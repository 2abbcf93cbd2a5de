"""The guard as delivery asks it: connections of screens destroyed, looked at, and what never left of those that ended."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from appliance.runtime.asking import Asking, BrokeOff
from appliance.runtime.errors import Corrupt, Unreachable

PATIENCE = 10.0  # seconds for its answer
Screen = tuple[str, int]


class Gone(NamedTuple):
    """A connection that ended with bytes in it that the kernel had taken and never sent."""

    screen: Screen
    unsent: int  # bytes
    at: float  # seconds since 1970
    fin: bool = True  # whether a FIN may be among them


class Guard:
    """The guard at ``socket``."""

    def __init__(self, socket: Path) -> None:
        self._asking = Asking(socket, most=4, patience=PATIENCE)
        self._instance, self._serial = "", 0
        self.missed = 0  # times that the kernel could not tell the guard all

    def close(self) -> None:
        """Ask no more."""
        self._asking.close()

    async def cut(self, screens: Collection[Screen]) -> set[Screen]:
        """Have connections destroyed; return those that were there.

        Raises:
            Unreachable: the guard is away.
            Refused: it cannot (``cannot-cut``).
        """
        return set(await self._found(screens, look=False))

    async def waiting(self, screens: Collection[Screen]) -> dict[Screen, int]:
        """Return how many bytes wait unsent in each of these connections that is there.

        Raises:
            Unreachable, Refused: as ``cut``.
        """
        return await self._found(screens, look=True)

    async def _found(self, screens: Collection[Screen], *, look: bool) -> dict[Screen, int]:
        told = await self._ask("cut", {"screens": sorted(screens), "look": look})
        try:
            return {(str(address), int(port)): int(unsent) for address, port, unsent in told["found"]}
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("the guard's answer about connections is none") from error

    async def gone(self) -> list[Gone]:
        """Return what ended since one asked last; the first time, all that the guard knows.

        Raises:
            Unreachable: the guard is away.
        """
        told = await self._ask("gone", {"instance": self._instance, "after": self._serial})
        try:
            found = [(int(serial), Gone((str(address), int(port)), int(unsent), float(at), bool(fin)))
                     for serial, address, port, unsent, at, fin in told["gone"]]  # fmt: skip
            instance, self.missed = str(told["instance"]), int(told["missed"])
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("the guard's answer about connections is none") from error
        before = self._serial if instance == self._instance else 0  # a guard that began anew counts anew
        self._instance, self._serial = instance, max((serial for serial, _ in found), default=before)
        return [gone for _, gone in found]

    async def _ask(self, what: str, told: dict[str, Any]) -> Any:
        try:
            async with self._asking.post(what, told) as answer:
                return await (await answer.check()).json()
        except (BrokeOff, TimeoutError) as error:
            raise Unreachable(f"the guard does not answer: {error or 'no answer in time'}") from error
        except ValueError as error:
            raise Corrupt("the guard's answer is none") from error
