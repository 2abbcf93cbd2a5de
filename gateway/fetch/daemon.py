"""``headgate run fetch``: answers the exchange's ``POST /fetch`` on its socket."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from appliance.runtime import http, metrics
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from appliance.runtime.places import ETC, RUN
from appliance.runtime.service import Service
from gateway.fetch import client, decide, loops, secrets, tiers
from gateway.fetch import metrics as counted
from gateway.fetch.health import Health
from gateway.fetch.secrets import Secrets
from gateway.fetch.tiers import Failure
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.web import origin, wire

LONGEST = 16 << 10  # bytes of a request
SOCKET_MODE = 0o666  # its folder, which only the exchange's group may enter, is the gate
SEND = (
    4 << 20
)  # bytes that the socket towards the exchange may hold, as far as the kernel lets it: what does not fit is copied
UNTIL_FIRST = 25.0  # seconds in which another upstream is tried; the exchange waits some more for the first byte

log = logging.getLogger("headgate.fetch")


class BrokeOff(Unreachable):
    """The answer had begun when it ended: nobody else can go on with it, and the asker asks again."""


def check(config: Path, zone: str | None) -> None:
    """Read the policy, and what its origins need, as the start does.

    Raises:
        ConfigError: something is wrong.
    """
    secrets.load(ETC / "origins", policies.load(config))


class Fetch:
    """The socket's side."""

    def __init__(
        self, policy: Policy, held: Secrets, session: aiohttp.ClientSession, webs: aiohttp.ClientSession
    ) -> None:
        self.policy, self.secrets, self._session, self._webs = policy, held, session, webs
        self._health = Health()

    def follow(self, policy: Policy, held: Secrets) -> None:
        """Go on by another policy."""
        self._health.keep(policy.origins)
        self.policy, self.secrets = policy, held

    def application(self) -> web.Application:
        """Return what answers on the socket."""
        app = http.application(LONGEST)
        app.router.add_post("/fetch", self._fetch)
        app.router.add_post("/web", self._web)
        return app

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        policy = self.policy
        try:
            ask = decide.parse(policy, await request.read())
        except Refused as error:
            counted.REQUESTS.labels("none", error.reason).inc()
            raise
        began = time.monotonic()
        for name in ask.excluded if ask.oldest is None else ():  # what changes may be right the next time
            self._health.wrong(name, ask.path, began)
        failures: list[Failure] = []
        for name in self._order(policy, ask, began):
            if failures and (time.monotonic() - began > UNTIL_FIRST or tiers.settled(policy, failures)):
                break
            try:
                return await self._try(request, decide.target(policy, ask, name))
            except BrokeOff:
                raise
            except HeadgateError as error:
                failures.append(Failure(name, error))
        raise tiers.outcome(policy, failures)

    async def _web(self, request: web.Request) -> web.StreamResponse:
        """Pass a plain HTTP request on to its origin, and the answer back, as they come."""
        asked = await wire.read_request(request)
        found = self.policy.web_of(asked.host)
        name, telling = found[0] if found else "none", wire.Telling(request)
        try:
            async with origin.ask(self._webs, self.policy, asked, self.secrets, telling.interim) as answer:
                response = await telling.answer(answer)
        except HeadgateError as error:
            counted.REQUESTS.labels(name, Failure(name, error).reason).inc()
            return await telling.failed(error)
        counted.REQUESTS.labels(name, "done").inc()
        return response

    def _order(self, policy: Policy, ask: decide.Ask, now: float) -> list[str]:
        if ask.origin is not None:
            return [ask.origin]
        direct = ask.direct or len(ask.via) >= loops.DEEPEST
        return tiers.order(policy, ask.path, self._health, now, excluded=ask.excluded, direct=direct)

    async def _try(self, request: web.Request, target: decide.Target) -> web.StreamResponse:
        """Ask one upstream, and note how it did."""
        name = target.name
        self._health.begun(name, time.monotonic())
        try:
            response = await self._stream(request, target)
        except HeadgateError as error:
            counted.REQUESTS.labels(name, Failure(name, error).reason).inc()
            if isinstance(error, client.Late):
                self._health.took(name, client.PATIENCE, time.monotonic())
            elif isinstance(error, Unreachable) and not isinstance(error, client.Behind):
                self._failed(name, error)
            else:
                self._worked(name)
            raise
        except BaseException:  # the asker left: that says nothing of the upstream, and a probe must not go on for ever
            self._health.left(name)
            raise
        counted.REQUESTS.labels(name, "done").inc()
        self._worked(name)
        return response

    def _failed(self, name: str, error: HeadgateError) -> None:
        failures = self._health.failed(name, time.monotonic())
        counted.FAILURES.labels(name).set(failures)
        log.warning("'%s' failed, %d in a row: %s", name, failures, error)

    def _worked(self, name: str) -> None:
        self._health.worked(name)
        counted.FAILURES.labels(name).set(0)

    async def _stream(self, request: web.Request, target: decide.Target) -> web.StreamResponse:
        asked = time.monotonic()
        async with client.get(self._session, target, self.secrets) as answer:
            seconds = time.monotonic() - asked
            counted.FIRST_BYTE.labels(target.name).observe(seconds)
            if not target.parent or "hit" in answer.headers.get("Cache-Status", ""):  # else others were waited for
                self._health.took(target.name, seconds, asked + seconds)
            response = web.StreamResponse(status=304 if answer.status == 304 else 200)
            response.headers["Headgate-Origin"] = target.name
            for header, value in (("ETag", client.tag_of(answer)), ("Age", answer.headers.get("Age"))):
                if value:
                    response.headers[header] = value
            if answer.status == 304:
                return response
            response.content_type = "application/octet-stream"
            response.content_length = client.length_of(answer, target)
            await self._body(request, response, answer, target)
            return response

    async def _body(
        self,
        request: web.Request,
        response: web.StreamResponse,
        answer: aiohttp.ClientResponse,
        target: decide.Target,
    ) -> None:
        size = 0
        if request.transport is not None:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND)
        try:
            async for chunk in client.bounded(answer, target):
                size += len(chunk)
                await _hand_on(request, response, chunk)
            await _hand_on(request, response, None)
        except (Refused, aiohttp.ClientError, TimeoutError) as error:
            if not response.prepared:
                raise
            log.warning("%s broke off after %d bytes: %s", target.path, size, error)
            if request.transport is not None:
                request.transport.abort()  # the only way to say so once the answer has begun
            raise BrokeOff(f"'{target.name}' broke off: {error}") from error
        finally:
            counted.BYTES.labels(target.name).inc(size)


async def _hand_on(request: web.Request, response: web.StreamResponse, chunk: bytes | None) -> None:
    """Write ``chunk``, or the end, to the asker.

    Raises:
        ConnectionResetError: the asker left, and no failure of the upstream's, as aiohttp's own error would look like.
    """
    try:
        if not response.prepared:
            await response.prepare(request)
        await (response.write_eof() if chunk is None else response.write(chunk))
    except ConnectionError as error:
        raise ConnectionResetError("the asker left") from error


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve the exchange until told to stop."""
    folder = RUN / "fetch"
    for needed in (folder, RUN / "metrics" / "fetch"):
        needed.mkdir(mode=0o750, parents=True, exist_ok=True)
    async with client.session() as session, origin.session() as webs:
        policy = policies.load(config)
        fetch = Fetch(policy, secrets.load(ETC / "origins", policy), session, webs)

        async def reload() -> None:
            policy = policies.load(config)
            fetch.follow(policy, secrets.load(ETC / "origins", policy))

        service.reload = reload
        async with http.serving(fetch.application(), unix=[(folder / "fetch.sock", SOCKET_MODE)]):
            service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "fetch" / "fetch.prom"))
            service.ready()
            await service.stopped()
