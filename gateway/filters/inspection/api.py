"""What the exchange asks of inspection: ``/look``, or ``/begin``, ``/chunk``, ``/end`` (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.filters.inspection import metrics
from gateway.filters.inspection.handle import Worker
from gateway.filters.inspection.pool import Pool

LONGEST = 8 << 10  # bytes of a request
MOST = 64  # objects at once
FORGOTTEN = 300.0  # seconds after which an object that nobody speaks of is let go
LARGEST_PIECE = 4 << 20  # bytes
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class AskBegin(_Ask):
    """``POST /begin``: an object comes in, or lies in the store, of which this is claimed."""

    type: Text
    path: Text
    size: Count
    application: bool
    incoming: Text | None = None
    object: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class AskLook(AskBegin):
    """``POST /look``: an object of one piece is there whole, of which this is claimed."""

    size: Annotated[int, Field(ge=0, le=LARGEST_PIECE)]


class AskChunk(_Ask):
    """``POST /chunk``: the next bytes are there."""

    id: Text
    first: Count
    bytes: Annotated[int, Field(ge=0, le=LARGEST_PIECE)]
    last: bool


class AskEnd(_Ask):
    """``POST /end``: no more comes of this object."""

    id: Text


Ask = TypeVar("Ask", bound=_Ask)


class Session:
    """One object under inspection."""

    def __init__(self, worker: Worker, told: AskBegin, now: float) -> None:
        self.worker, self.told, self.seen = worker, told, now
        self.at = 0
        self.turn = asyncio.Lock()


class Inspection:
    """Everything that a request needs."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._clock = pool, clock
        self._sessions: dict[str, Session] = {}
        metrics.OPEN.set_function(lambda: len(self._sessions))

    def application(self) -> web.Application:
        """Return what answers on the socket."""
        app = http.application(LONGEST)

        def route(ask: str, model: type[Ask], handler: Any) -> None:
            async def answer(request: web.Request) -> web.StreamResponse:
                return web.json_response(await handler(_parse(model, await request.read())))

            app.router.add_post(f"/{ask}", answer)

        route("look", AskLook, self._look)
        route("begin", AskBegin, self._begin)
        route("chunk", AskChunk, self._chunk)
        route("end", AskEnd, self._end)
        return app

    def let_go(self) -> None:
        """End the inspections that nobody speaks of any more."""
        now = self._clock()
        for name in [name for name, session in self._sessions.items() if now - session.seen > FORGOTTEN]:
            self._close(name)

    def close(self) -> None:
        """End all."""
        for name in list(self._sessions):
            self._close(name)

    async def _look(self, ask: AskLook) -> dict[str, Any]:
        name, session = await self._open(ask)
        upto = await self._ask(name, session, {**session.told.model_dump(), "whole": True})
        metrics.BYTES.inc(ask.size)
        self._count(session, "passed")
        self._close(name)
        return {"verified": upto}

    async def _begin(self, ask: AskBegin) -> dict[str, Any]:
        name, session = await self._open(ask)
        await self._ask(name, session, session.told.model_dump())
        return {"id": name}

    async def _open(self, ask: AskBegin) -> tuple[str, Session]:
        """Return a new session, with a worker that nobody had.

        Raises:
            Refused: there are too many (``busy``), or no worker came up (``filter-failed``).
        """
        self.let_go()
        if len(self._sessions) >= MOST:
            raise Refused("busy", f"{MOST} objects are being inspected: ask again", 503)
        told = ask.model_copy(update={"type": ask.type.partition(";")[0].strip().lower()})
        session, name = Session(await self._pool.take(told.type), told, self._clock()), secrets.token_hex(16)
        self._sessions[name] = session
        return name, session

    async def _chunk(self, ask: AskChunk) -> dict[str, Any]:
        session = self._sessions.get(ask.id)
        if session is None:
            raise Refused("filter-failed", "the inspection of this object was given up", 503)
        async with session.turn:
            if ask.first != session.at or ask.first + ask.bytes > session.told.size:
                raise Refused("bad-request", "the pieces of an object come one after the other", 400)
            session.seen = self._clock()
            upto = await self._ask(ask.id, session, {"first": ask.first, "bytes": ask.bytes, "last": ask.last})
            session.at += ask.bytes
            metrics.BYTES.inc(ask.bytes)
            if ask.last:
                self._count(session, "passed")
                self._close(ask.id)
            return {"verified": upto}

    async def _end(self, ask: AskEnd) -> dict[str, Any]:
        if ask.id in self._sessions:
            self._close(ask.id)
        return {}

    async def _ask(self, name: str, session: Session, told: dict[str, Any]) -> int:
        try:
            return await session.worker.ask(told, f"'{session.told.path[:200]}' ({session.told.type[:100]})")
        except Refused as refused:
            self._count(session, refused.reason)
            self._close(name)
            raise

    def _count(self, session: Session, reason: str) -> None:
        known = session.told.type if reason not in ("unknown-type", "bad-request") else "unknown"
        metrics.VERDICTS.labels(known, reason).inc()

    def _close(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            session.worker.end()


def _parse(model: type[Ask], data: bytes) -> Ask:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Refused("bad-request", f"{where}: {first['msg']}"[:300], 400) from error
