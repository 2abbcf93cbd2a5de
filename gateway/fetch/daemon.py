"""``headgate run fetch``: answers the exchange's ``POST /fetch`` on its socket."""

from __future__ import annotations

import logging
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from appliance.runtime import http, metrics
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from appliance.runtime.places import RUN
from appliance.runtime.service import Service
from gateway.fetch import client, decide
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy

LONGEST = 16 << 10  # bytes of a request
SOCKET_MODE = 0o666  # its folder, which only the exchange's group may enter, is the gate

REGISTRY = CollectorRegistry()
REQUESTS = Counter("headgate_fetch_requests", "Requests to origins, by how they ended.", ["outcome"], registry=REGISTRY)
BYTES = Counter("headgate_fetch_bytes", "Bytes that came from origins.", registry=REGISTRY)
log = logging.getLogger("headgate.fetch")


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong.
    """
    policies.load(config)


class Fetch:
    """The socket's side."""

    def __init__(self, policy: Policy, session: aiohttp.ClientSession) -> None:
        self.policy, self._session = policy, session

    def application(self) -> web.Application:
        """Return what answers on the socket."""
        app = http.application(LONGEST)
        app.router.add_post("/fetch", self._fetch)
        return app

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._stream(request, decide.target(self.policy, await request.read()))
        except HeadgateError as error:
            REQUESTS.labels(error.reason if isinstance(error, Refused) else "unreachable").inc()
            raise
        REQUESTS.labels("done").inc()
        return response

    async def _stream(self, request: web.Request, target: decide.Target) -> web.StreamResponse:
        async with client.get(self._session, target) as answer:
            response = web.StreamResponse(status=answer.status)
            if etag := answer.headers.get("ETag"):
                response.headers["ETag"] = etag
            if answer.status == 304:
                return response
            response.content_type = "application/octet-stream"
            response.content_length = answer.content_length
            size = 0
            try:
                async for chunk in client.bounded(answer, target.largest):
                    size += len(chunk)
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(chunk)
                if not response.prepared:
                    await response.prepare(request)
                await response.write_eof()
            except (Refused, aiohttp.ClientError, TimeoutError) as error:
                if not response.prepared:
                    raise
                log.warning("%s broke off after %d bytes: %s", target.path, size, error)
                if request.transport is not None:
                    request.transport.abort()  # the only way to say so once the answer has begun
                raise Unreachable(f"the origin broke off: {error}") from error
            finally:
                BYTES.inc(size)
            return response


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve the exchange until told to stop."""
    folder = RUN / "fetch"
    for needed in (folder, RUN / "metrics" / "fetch"):
        needed.mkdir(mode=0o750, parents=True, exist_ok=True)
    async with client.session() as session:
        fetch = Fetch(policies.load(config), session)

        async def reload() -> None:
            fetch.policy = policies.load(config)

        service.reload = reload
        async with http.serving(fetch.application(), unix=[(folder / "fetch.sock", SOCKET_MODE)]):
            service.tasks.create_task(metrics.keep_written(REGISTRY, RUN / "metrics" / "fetch" / "fetch.prom"))
            service.ready()
            await service.stopped()
