"""A release to an institution's box, over HTTP: offered, sent where it is missing, resumed where it broke off (tus 1.0.0)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from appliance.runtime import http
from appliance.runtime.errors import ConfigError, Corrupt, Fault, Refused, Unreachable
from gateway.release import signed
from gateway.release.reading import Tree
from gateway.release.trust import reasons

AT_ONCE = 4  # files sent at once
PIECE = 1 << 20  # bytes read at once
PATIENCE = 60.0  # seconds without a byte of progress until it is given up
AGAIN = 1.0  # seconds until it is tried again
WAITS = "waiting-for-listing"
WAIT = 20  # seconds that the box may wait for news
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)  # seconds
TUS = {"Tus-Resumable": "1.0.0"}
LATER = frozenset({"busy", "too-fast", "too-slow", "drop-full", "offset-mismatch"})  # mend themselves

UNLISTED = (*reasons.UNLISTED, "older-metadata")  # mended by what the body signs, over what the box tells
MOST_SIGNED = 3  # times: another publication of the body may come in between
LISTED = 60.0  # seconds that the centre is waited for, once every byte is there

Progress = Callable[[int], None]  # told the bytes that were just sent
Lister = Callable[[Any, str, bytes], bytes]  # what the box told, code and envelope -> release.listing.json


@dataclass(frozen=True)
class Outcome:
    """How it ended: ``refused`` holds path, reason and sentence of each file that the box did not take."""

    release: str
    version: int
    accepted: bool
    sent: int  # bytes
    waits: str = ""  # all of it is there, and the centre has not listed it yet
    refused: tuple[tuple[str, str, str], ...] = ()


@dataclass
class Upload:
    """One upload; used by its ``run``."""

    box: URL
    tree: Tree
    progress: Progress
    session: aiohttp.ClientSession
    lister: Lister | None = None
    sent: int = 0
    signed: int = 0  # times
    moved: float = 0.0  # loop seconds of the last progress
    patience: float = PATIENCE
    listed: float = LISTED

    async def run(self) -> Outcome:
        """Offer the release, send what is missing, and wait for the end.

        Raises:
            ConfigError: the folder holds no release, or not what its manifest names.
            Refused: the box does not take it.
            Unreachable: the box is away for longer than ``patience``.
        """
        envelope, code, body = await asyncio.to_thread(self._read)
        self._move()
        waiting = 0.0  # loop seconds since when only the listing is waited for
        listing = await asyncio.to_thread(self.tree.listing)
        if listing is not None:
            await self._ask("PUT", f"/releases/{code}/listing", listing)
        told: dict[str, Any] | None = None
        while True:
            try:
                if told is None:
                    told = await self._ask("POST", f"/releases/{code}", envelope)
                if told["state"] == "refused" and told.get("reason") in UNLISTED and self._may_sign():
                    await self._sign(code, body, envelope)
                    told = None
                    continue
                if told["state"] in ("accepted", "refused"):
                    return self._outcome(told)
                if told["missing"]:
                    await self._send_all(told["missing"])
                elif told["state"] == WAITS:
                    waiting = waiting or asyncio.get_running_loop().time()
                    if asyncio.get_running_loop().time() - waiting > self.listed:
                        return Outcome(code, told["version"], False, self.sent, waits=told.get("waits") or WAITS)
                wait = 0 if told["missing"] else min(WAIT, max(1, int(self.listed)))
                told = await self._ask("GET", f"/releases/{code}?wait={wait}")
                if told.get("waits"):
                    self._move()  # the box itself waits, and says so
                continue
            except Refused as error:
                told = None  # a box that was started anew is offered it again
                if error.reason in UNLISTED and self._may_sign():
                    await self._sign(code, body, envelope)
                    continue
                if error.reason not in LATER and not (error.reason == "unknown-release" and error.status == 404):
                    raise
                failure: Exception = error
            except Unreachable as error:
                told, failure = None, error
            if self._waited() > self.patience:
                raise failure
            await asyncio.sleep(AGAIN)

    def _may_sign(self) -> bool:
        return self.lister is not None and self.signed < MOST_SIGNED

    async def _sign(self, code: str, body: str, envelope: bytes) -> None:
        """Let the body sign its listing over what the box knows of it, and hand that in."""
        if self.lister is None:
            raise RuntimeError("nobody signs")
        self.signed += 1
        base = await self._ask("GET", f"/releases/{code}/listing?body={body}")
        listing = await asyncio.to_thread(self.lister, base, code, envelope)
        await self._ask("PUT", f"/releases/{code}/listing", listing)

    def _read(self) -> tuple[bytes, str, str]:
        try:
            envelope = self.tree.envelope()
            release = signed.claimed(envelope)
        except (Refused, Corrupt) as error:
            raise ConfigError([_fault(self.tree.folder / "release.json", str(error))]) from error
        lacking = self.tree.lacks(release)
        if lacking:
            raise ConfigError([_fault(self.tree.folder / path, str(error)) for path, error in lacking.items()])
        return envelope, release.code, release.body

    async def _send_all(self, missing: list[dict[str, Any]]) -> None:
        waiting = iter(missing)
        failures: list[Exception] = []

        async def work() -> None:
            for one in waiting:
                try:
                    await self._send(one["path"], one["upload"], int(one["offset"]), int(one["size"]))
                except (Refused, Unreachable) as error:
                    failures.append(error)
                    return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(AT_ONCE, len(missing))):
                tasks.create_task(work())
        if failures:
            raise failures[0]

    async def _send(self, path: str, upload: str, offset: int, size: int) -> None:
        headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        headers["Content-Length"] = str(size - offset)
        await self._ask("PATCH", upload, self._pieces(path, offset, size), headers)

    async def _pieces(self, path: str, offset: int, size: int) -> AsyncIterator[bytes]:
        descriptor = await asyncio.to_thread(self.tree.open, path)
        try:
            while offset < size:
                piece = await asyncio.to_thread(os.pread, descriptor, min(PIECE, size - offset), offset)
                if not piece:
                    raise ConfigError([_fault(self.tree.folder / path, "became shorter while it was sent")])
                yield piece
                offset += len(piece)
                self.sent += len(piece)
                self.progress(len(piece))
                self._move()
        finally:
            os.close(descriptor)

    async def _ask(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Any:
        try:
            async with self.session.request(method, self.box.join(URL(path)), data=data, headers=headers) as response:
                await http.check(response)
                return await response.json() if response.content_type == "application/json" else None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, ConnectionError) as error:
            raise Unreachable(f"the box at {self.box} does not answer: {error or 'no answer in time'}") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Corrupt(f"what answers at {self.box} is no box that takes releases: {error}") from error

    def _outcome(self, told: dict[str, Any]) -> Outcome:
        refused = tuple((one["path"], one["reason"], one["error"]) for one in told["refused"])
        if told["state"] == "refused" and not refused:
            raise Refused(told.get("reason", "unexpected-answer"), told.get("error", "the box refused the release"))
        return Outcome(told["release"], told["version"], told["state"] == "accepted", self.sent, refused=refused)

    def _move(self) -> None:
        self.moved = asyncio.get_running_loop().time()

    def _waited(self) -> float:
        return asyncio.get_running_loop().time() - self.moved


def upload(
    folder: Path,
    box: str,
    progress: Progress = lambda _: None,
    patience: float = PATIENCE,
    *,
    lister: Lister | None = None,
    listed: float = LISTED,
) -> Outcome:
    """Bring the release in ``folder`` into the box at ``box`` (``http://ADDRESS:PORT``), and return how it ended.

    Where the box asks for a listing, ``lister`` signs it; then the centre is waited for at most ``listed`` seconds.

    Raises:
        ConfigError: the folder is wrong, or the address is none.
        Refused, Unreachable: the box does not take it, or is away.
    """
    url = URL(box)
    if url.scheme != "http" or not url.host:
        raise ConfigError([Fault(box, 1, 1, "", "a box is http://ADDRESS:PORT")])

    async def run() -> Outcome:
        connector = aiohttp.TCPConnector(limit=AT_ONCE + 1)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False) as session:
            with Tree(folder) as tree:
                made = Upload(url, tree, progress, session, lister, patience=patience, listed=listed)
                return await made.run()

    return asyncio.run(run())


def _fault(path: Path, message: str) -> Fault:
    return Fault(str(path), 1, 1, "", message)
