"""What the exchange asks of the replica: ``/step``, ``/pending``, ``/next`` (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import ConfigError, Corrupt, Refused
from gateway.filters.admission.digests import read_incoming
from gateway.isolation.policy import Policy
from gateway.replica import giving, metrics
from gateway.replica.replica import AT_ONCE, Replica, Wants
from gateway.resolver import published
from gateway.resolver.records import LONGEST_RECORD

LONGEST = 64 << 10  # bytes of a request
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Came(_Ask):
    """A file that was wanted: where it lies among what is coming in, or nowhere, where the registry has none."""

    path: Text
    incoming: Text | None = None


class AskStep(_Ask):
    """``POST /step``: what came; ``begin``: a new round, from the registry's head on."""

    policy: Sha256
    files: Annotated[list[Came], Field(max_length=AT_ONCE)] = []
    begin: bool = False


class AskLookup(_Ask):
    """``POST /lookup``: what does the registry's answer in this incoming file say of ``code``?"""

    policy: Sha256
    code: Text
    incoming: Text


class AskPending(_Ask):
    """``POST /pending``: may the body register these records here? ``keep``: it did, by this statement, and they wait for the centre."""

    policy: Sha256
    body: Text
    records: Annotated[list[Annotated[str, Field(max_length=LONGEST_RECORD)]], Field(min_length=1, max_length=64)]
    keep: Sha256 | None = None


class AskDrop(_Ask):
    """``POST /drop``: the centre did not take these records of a statement, by their places (from 0); none: all of them."""

    statement: Sha256
    places: Annotated[list[Annotated[int, Field(ge=0, lt=64)]], Field(max_length=64)] = []


class AskNext(_Ask):
    """``POST /next``: the next free codes of the body's blocks at this box."""

    policy: Sha256
    body: Text
    count: Annotated[int, Field(ge=1, le=giving.MOST)]


Ask = TypeVar("Ask", bound=_Ask)


class Api:
    """Everything that a request needs."""

    def __init__(self, policy: Policy, load: Callable[[], Policy], incoming: Path, replica: Replica) -> None:
        self._load, self._incoming, self._replica = load, incoming, replica
        self._turn = asyncio.Lock()
        self.take(policy)

    def take(self, policy: Policy) -> None:
        """Use ``policy`` from now on."""
        self.policy = policy
        registry = policy.registry
        self._replica.keys = registry.keys if registry else ()
        self._replica.ranges = tuple(sorted(registry.ranges)) if registry else ()

    def application(self) -> web.Application:
        """Return what answers on the socket."""
        app = http.application(LONGEST)
        app.router.add_post("/step", self._step)
        app.router.add_post("/lookup", self._lookup)
        app.router.add_post("/pending", self._pending)
        app.router.add_post("/next", self._next)
        app.router.add_post("/drop", self._drop)
        return app

    async def _step(self, request: web.Request) -> web.Response:
        ask = _parse(AskStep, await request.read())
        await self._under(ask.policy)
        files: dict[str, bytes | None] = {}
        for came in ask.files:
            if not published.is_path(came.path):
                raise Refused("bad-request", "this is no file of a registry", 400)
            files[came.path] = None if came.incoming is None else await self._read(came.incoming, came.path)
        try:
            return web.json_response(_told(await self._replica.step(files, begin=ask.begin)))
        except Corrupt as error:
            raise Refused(metrics.DAMAGED, str(error), 502) from error

    async def _lookup(self, request: web.Request) -> web.Response:
        ask = _parse(AskLookup, await request.read())
        await self._under(ask.policy)
        data = await asyncio.to_thread(read_incoming, self._incoming, ask.incoming, published.LONGEST_ANSWER)
        try:
            looked = await asyncio.to_thread(self._replica.look, data, ask.code)
        except Corrupt as error:
            raise Refused(metrics.DAMAGED, str(error), 502) from error
        record = None if looked.change is None else looked.change.record.dump().decode()
        return web.json_response({"record": record, "number": looked.number, "made": looked.made.isoformat()})

    async def _pending(self, request: web.Request) -> web.Response:
        ask = _parse(AskPending, await request.read())
        await self._under(ask.policy)
        if (statement := ask.keep) is not None:
            await self._replica.give(lambda giving: giving.keep(ask.records, statement))
        else:
            site = self.policy.site
            await self._replica.give(lambda giving: giving.check(site, ask.body, ask.records))
        return web.json_response({})

    async def _drop(self, request: web.Request) -> web.Response:
        ask = _parse(AskDrop, await request.read())
        gone = await self._replica.give(lambda giving: giving.pending.drop(ask.statement, ask.places))
        return web.json_response({"dropped": gone})

    async def _next(self, request: web.Request) -> web.Response:
        ask = _parse(AskNext, await request.read())
        await self._under(ask.policy)
        site = self.policy.site
        codes = await self._replica.give(lambda giving: giving.next_codes(site, ask.body, ask.count))
        return web.json_response({"codes": codes})

    async def _read(self, incoming: str, path: str) -> bytes:
        return await asyncio.to_thread(read_incoming, self._incoming, incoming, published.longest(path))

    async def _under(self, digest: str) -> None:
        """Use the policy that the exchange uses: a signal may still be on its way."""
        async with self._turn:
            if digest != self.policy.digest:
                with contextlib.suppress(ConfigError):
                    self.take(await asyncio.to_thread(self._load))
        if digest != self.policy.digest:
            raise Refused("other-policy", "another policy is in force here than at the exchange: ask again", 409)


def _told(wants: Wants) -> dict[str, object]:
    head = wants.head
    return {
        "wants": [{"path": path, "largest": published.longest(path)} for path in wants.paths],
        "size": wants.size,
        "fresh": wants.fresh,
        "busy": wants.busy,
        "head": head and {"registry": head.registry, "size": head.size, "root": head.root, "signer": str(wants.signer)},
    }


def _parse(model: type[Ask], data: bytes) -> Ask:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Refused("bad-request", f"{where}: {first['msg']}"[:300], 400) from error
