"""The exchange's side of both filters: asks, and takes nothing but a plain verdict for one.

A filter that is away, breaks off or speaks nonsense means refusal (``filter-failed``); what begins something waits for a filter that
is being started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from appliance.runtime.asking import Asking, Away, BrokeOff
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.filters.admission.decide import Known
from gateway.release.live.signing import Claim
from gateway.release.manifest import PIECE, Release
from gateway.release.trust import layout
from gateway.release.trust.layout import Needed
from gateway.store.passed import As

PATIENCE = 30.0  # seconds for one answer; the filters' own is shorter
RESTART = 8.0  # seconds for which a filter may be away: systemd starts it again at once
AGAIN = 0.05  # seconds between two tries
CONNECTIONS = 64
FAILED = "filter-failed"
Direction = Literal["out", "in", "boxes"]  # into a zone, from there, to other boxes of the culture zone
Tell = Callable[[str, str], Awaitable[None]]  # whom to tell that a filter (its name) failed, and how
T = TypeVar("T")


async def _nobody(name: str, sentence: str) -> None:
    pass


class Filter:
    """One filter at its socket; used as a context manager."""

    def __init__(self, socket: Path, name: str) -> None:
        self._socket, self._name = socket, name
        self.failed: Tell = _nobody
        self._asking: Asking | None = None

    async def __aenter__(self) -> Self:
        self._asking = Asking(self._socket, most=CONNECTIONS, patience=PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.close()

    async def _ask(
        self, what: str, told: dict[str, Any], read: Callable[[dict[str, Any]], T], *, wait: float = 0.0
    ) -> T:
        """Return what ``read`` makes of the verdict.

        Raises:
            Refused: the filter's, or ``filter-failed``.
        """
        try:
            answer = await self._answer(what, told, wait)
            try:
                return read(answer)
            except (KeyError, TypeError, ValueError, Refused) as error:
                raise self._failed("answered something that is no verdict") from error
        except Refused as refused:
            refused.about.setdefault("filter", self._name)
            if refused.reason == FAILED:
                await self.failed(self._name, str(refused))
            raise

    async def _answer(self, what: str, told: dict[str, Any], wait: float) -> dict[str, Any]:
        """Return the answer, trying again for ``wait`` seconds while the filter is away or reads another policy."""
        if self._asking is None:
            raise RuntimeError("used outside its 'async with'")
        deadline = time.monotonic() + wait
        while True:
            try:
                async with self._asking.post(what, told) as response:
                    answer = await response.json()
                    if response.status != 200 or not isinstance(answer, dict):
                        raise self._failed(f"answered {response.status}")
                    return answer
            except Refused as refused:
                if refused.reason == "unexpected-answer":
                    raise self._failed(str(refused)) from refused
                if refused.reason != "other-policy":
                    raise
                failure = Refused("busy", f"the {self._name} filter has not taken the policy in yet", 503)
            except (Corrupt, Unreachable, ValueError) as error:
                raise self._failed(str(error)) from error
            except Away as error:
                failure = self._failed(f"is away: {error}")
                failure.about["how"] = "away"
            except (BrokeOff, TimeoutError) as error:
                failure = self._failed(f"broke off: {error or 'no answer in time'}")
            if time.monotonic() >= deadline:
                raise failure
            await asyncio.sleep(AGAIN)

    def _failed(self, sentence: str) -> Refused:
        return Refused(FAILED, f"the {self._name} filter {sentence}", 503)


@dataclass(frozen=True)
class Registered:
    """What a body may register at this box: its statement's digest, its name, the act, and the codes of its records."""

    digest: str
    body: str
    act: str
    codes: tuple[str, ...]


class Admission(Filter):
    """The first filter."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket, "admission")

    async def admit(
        self, policy: str, code: str, incoming: str | None, known: Known | None, *, away: bool = False
    ) -> tuple[Release, str, str] | Needed:
        """Return the release in the incoming file, its digest and the key that signed it; or which metadata it needs to tell.

        No ``incoming``: the envelope that the store keeps.

        Raises:
            Refused: it is not admitted.
        """
        told: dict[str, Any] = {"policy": policy, "code": code, "away": away}
        told |= {"incoming": incoming} if incoming is not None else {}
        if known is not None:
            told["known"] = {"version": known.version, "digest": known.digest}
        return await self._ask("admit", told, _or_needed(_release), wait=RESTART)

    async def metadata(self, policy: str, file: str, incoming: str | None) -> None:
        """Give a file of trust metadata that was needed; no ``incoming`` where the origin has none.

        Raises:
            Refused: it is too long, or the filter is away.
        """
        told = {"policy": policy, "file": file} | ({"incoming": incoming} if incoming is not None else {})
        await self._ask("metadata", told, bool, wait=RESTART)

    async def still(self, policy: str, digest: str, *, away: bool = False) -> bool | Needed:
        """Return whether the release of this digest is admitted as it was; False: it is to be shown again.

        Raises:
            Refused: there is no metadata to trust, or the filter is away.
        """
        told = {"policy": policy, "release": digest, "away": away}
        return await self._ask("still", told, _or_needed(lambda answer: answer["unchanged"] is True), wait=RESTART)

    async def listing(self, policy: str, body: str, incoming: str) -> list[str] | Needed:
        """Hand in what ``body`` signed, in the incoming file, and return the names of what of it is new.

        Raises:
            Refused: it is not what this body may list now.
        """
        told = {"policy": policy, "body": body, "incoming": incoming}
        return await self._ask("listing", told, _or_needed(lambda answer: list(map(str, answer["new"]))), wait=RESTART)

    async def waiting(self, policy: str, drop: str | None = None) -> list[str]:
        """Return the files of listings that wait for the centre, after ``drop`` was let go.

        Raises:
            Refused: the filter gave no answer.
        """
        told = {"policy": policy} | ({"drop": drop} if drop is not None else {})
        return await self._ask("waiting", told, lambda answer: list(map(str, answer["files"])), wait=RESTART)

    async def file(self, policy: str, file: str, *, away: bool = False, waits: bool = False) -> bytes | Needed | None:
        """Return a verified file of trust metadata, or with ``waits`` one that waits for the centre; None where it is not here.

        Raises:
            Refused: the filter gave none.
        """
        told = {"policy": policy, "file": file, "away": away, "waits": waits}
        return await self._ask("file", told, _or_needed(_data), wait=RESTART)

    async def base(self, policy: str, body: str, code: str) -> dict[str, Any] | Needed:
        """Return what ``body`` signs the listing of ``code`` over.

        Raises:
            Refused: the body is not admitted, or there is no metadata to trust.
        """
        told = {"policy": policy, "body": body, "code": code}
        return await self._ask("base", told, _or_needed(dict), wait=RESTART)

    async def register(self, policy: str, statement: str, records: Sequence[str]) -> Registered | Needed:
        """Return what a body registers, once it may.

        Raises:
            Refused: it may not, or the filter is away.
        """
        told = {"policy": policy, "statement": statement, "records": list(records)}
        return await self._ask("register", told, _or_needed(_registered), wait=RESTART)

    async def may_pass(
        self, policy: str, digest: str, zone: str, path: str | None = None, *, direction: Direction = "out"
    ) -> bool:
        """Return whether the release may bring what runs; it may go in this direction if this returns.

        Raises:
            Refused: it, or its file ``path``, may not; ``not-held`` where the filter has to be shown the release again.
        """
        told = {"policy": policy, "release": digest, "zone": zone, "direction": direction}
        told |= {"path": path} if path is not None else {}
        return await self._ask("pass", told, lambda answer: answer.get("application") is True, wait=RESTART)

    async def digest(self, digest: str, path: str, incoming: str, first: int, count: int, *, last: bool) -> int:
        """Return up to which byte the incoming file is what the release signs for ``path``.

        Raises:
            Refused: it is not.
        """
        told = {"release": digest, "path": path, "incoming": incoming, "first": first, "bytes": count, "last": last}
        return await self._ask("digest", told, _upto)

    async def live(self, digest: str, path: str, content: str, fields: str, floor: int) -> Claim:
        """Return what the channel's packager says of the incoming file ``content`` by the incoming file ``fields``.

        Raises:
            Refused: it is not signed for now.
        """
        told = {"release": digest, "path": path, "incoming": content, "fields": fields, "floor": floor}
        return await self._ask("live", told, _claim)


class Inspection(Filter):
    """The second filter."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket, "inspection")

    @contextlib.asynccontextmanager
    async def inspecting(self, what: As, path: str, size: int, incoming: str | None = None) -> AsyncIterator[Looking]:
        """Begin the inspection of an incoming file, or of the object in the store; it is let go at the end of the context.

        What may come in one piece begins when the first is there: then it is one question, and no process waits for it meanwhile.

        Raises:
            Refused: its type does not pass.
        """
        told: dict[str, Any] = {"type": what.type, "path": path, "size": size, "application": what.application}
        told |= {"incoming": incoming} if incoming is not None else {"object": what.sha256}
        looking = Looking(self, told)
        if size > PIECE:
            await looking.begin()
        try:
            yield looking
        finally:
            await looking.end()


class Looking:
    """One object under inspection, whole or piece by piece."""

    def __init__(self, inspection: Inspection, told: dict[str, Any]) -> None:
        self._inspection, self._told, self._name = inspection, told, ""

    async def begin(self) -> None:
        """Have a process wait for its pieces.

        Raises:
            Refused: its type does not pass.
        """
        self._name = await self._inspection._ask("begin", self._told, lambda answer: str(answer["id"]), wait=RESTART)

    async def look(self, first: int, count: int, *, last: bool) -> int:
        """Return up to which byte the object passed, after ``count`` bytes from ``first`` on.

        Raises:
            Refused: it does not pass.
        """
        if not self._name:
            if last and not first:
                return await self._inspection._ask("look", self._told, _upto, wait=RESTART)
            await self.begin()
        told = {"id": self._name, "first": first, "bytes": count, "last": last}
        name, self._name = self._name, ""
        upto = await self._inspection._ask("chunk", told, _upto)
        self._name = "" if last else name
        return upto

    async def end(self) -> None:
        """Let it go, if more was to come."""
        if self._name:
            with contextlib.suppress(Refused):
                await self._inspection._ask("end", {"id": self._name}, bool)


def _or_needed(read: Callable[[dict[str, Any]], T]) -> Callable[[dict[str, Any]], T | Needed]:
    def reading(answer: dict[str, Any]) -> T | Needed:
        if "needed" in answer:
            return Needed(layout.parse(answer["needed"]["file"]).file, int(answer["needed"]["largest"]))
        return read(answer)

    return reading


def _registered(answer: dict[str, Any]) -> Registered:
    codes = tuple(map(str, answer["codes"]))
    return Registered(str(answer["digest"]), str(answer["body"]), str(answer["act"]), codes)


def _data(answer: dict[str, Any]) -> bytes | None:
    return None if answer["data"] is None else str(answer["data"]).encode()


def _release(answer: dict[str, Any]) -> tuple[Release, str, str]:
    return Release.model_validate(answer["release"]), str(answer["digest"]), str(answer["signer"])


def _claim(answer: dict[str, Any]) -> Claim:
    return Claim(str(answer["sha256"]), *(int(answer[name]) for name in ("size", "sequence", "created", "expires")))


def _upto(answer: dict[str, Any]) -> int:
    upto = answer["verified"]
    if not isinstance(upto, int) or isinstance(upto, bool):
        raise TypeError("no number of bytes")
    return upto
