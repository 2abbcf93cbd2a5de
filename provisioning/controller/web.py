"""The controller over HTTP: page, live updates, ``/metrics``, API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.runtime import http, languages
from appliance.runtime.errors import Refused
from appliance.telemetry.records import KINDS, written
from monitoring import figures, pages
from monitoring.overview import Overview
from provisioning.controller.hub import Hub

MOST_FOLLOWERS = 200  # pages that follow the state at once
LONGEST_REASON = 300  # characters
MOST_RECORDS = 1000  # of one answer
AGAIN = 20.0  # seconds after which a page hears of us though nothing is new
LULL = 0.5  # seconds between two updates of a page
HUB = web.AppKey("hub", Hub)
FOLLOWERS = web.AppKey("followers", set[object])


def application(hub: Hub, more: list[web.RouteDef]) -> web.Application:
    """Return the application; ``more`` are routes of other parts (the registry)."""
    app = http.application()
    app[HUB] = hub
    app[FOLLOWERS] = set()
    app.add_routes(
        [
            web.get("/", _page),
            web.get("/events", _events),
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/api/boxes", _boxes),
            web.get("/api/records", _records),
            web.get("/api/journals", _journals),
            web.get("/api/journals/{box}/{name}/checkpoint", _checkpoint),
            web.delete("/api/journals/{box}/{name}", _begin_anew),
            *more,
        ]
    )
    return app


async def _page(request: web.Request) -> web.Response:
    language = languages.language(request.query.get("lang"), request.headers.get("Accept-Language", ""))
    seen = await request.app[HUB].overview()
    render = pages.live if request.query.get("part") == "live" else pages.page
    html = render(seen, language)
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=pages.HEADERS)


async def _events(request: web.Request) -> web.StreamResponse:
    """Tell a page, by server-sent events, that there is something new; with ``?box=`` of that box's screens."""
    hub, followers = request.app[HUB], request.app[FOLLOWERS]
    if len(followers) >= MOST_FOLLOWERS:
        raise Refused("too-many-followers", f"{MOST_FOLLOWERS} pages follow already", 503)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    me = object()
    followers.add(me)
    try:
        await answer.prepare(request)
        async for version in _versions(hub, request.query.get("box", "")):
            await answer.write(f"event: change\ndata: {version}\n\n".encode())
    except ConnectionResetError:
        return answer  # the page was closed
    finally:
        followers.discard(me)
    return answer


async def _versions(hub: Hub, box: str) -> AsyncIterator[int]:
    version, told = hub.version, hub.told(box)
    yield version
    while True:
        with contextlib.suppress(TimeoutError):  # then the same version again, which shows a page that we live
            async with asyncio.timeout(AGAIN):
                while True:
                    version = await hub.next_version(version)
                    if not box or hub.told(box) != told:
                        break
        told = hub.told(box)
        yield version
        await asyncio.sleep(LULL)


async def _metrics(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(await hub.overview(), hub))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Families(Collector):
    def __init__(self, seen: Overview, hub: Hub) -> None:
        self._seen, self._hub = seen, hub

    def collect(self) -> Iterator[Metric]:
        yield from figures.families(self._seen)
        for name, told, value in (
            ("damaged", "Messages that nobody could read", self._hub.damaged),
            ("dropped", "Messages that came faster than they were taken up", self._hub.connection.dropped),
            ("refused", "Messages that the broker did not take", self._hub.connection.refused),
        ):
            yield CounterMetricFamily(f"headgate_controller_messages_{name}", told, value=value)
        if self._hub.registry is not None:
            head = self._hub.registry.head
            yield GaugeMetricFamily(
                "headgate_registry_changes",
                "Changes in the registry's log that are published",
                value=head.size if head else 0,
            )
            yield GaugeMetricFamily(
                "headgate_registry_published_timestamp_seconds",
                "When the head of the registry's log was signed last; 0 before the first",
                value=head.made.timestamp() if head else 0,
            )
        if self._hub.trust is not None:
            yield GaugeMetricFamily(
                "headgate_controller_trust_expires_timestamp_seconds",
                "When the timestamp of the trust metadata expires; 0 before the first",
                value=self._hub.trust.last.until.timestamp() if self._hub.trust.last else 0,
            )
            yield GaugeMetricFamily(
                "headgate_controller_trust_refused_files",
                "Files of trust metadata that lie at the centre and may not be taken in",
                value=len(self._hub.trust.last.refused) if self._hub.trust.last else 0,
            )


async def _health(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    await hub.store.record_counts()  # raises where the database is away
    return web.json_response({"broker": hub.connection.connected, "boxes": len(hub.boxes)})


async def _boxes(request: web.Request) -> web.Response:
    seen = await request.app[HUB].overview()
    return web.json_response({"boxes": [view.told() for view in seen.boxes]})


async def _records(request: web.Request) -> web.Response:
    query = request.query
    kind = query.get("kind")
    if kind and kind not in KINDS:
        raise Refused("bad-request", f"'kind' is one of {', '.join(KINDS)}", 400)
    limit = _number(query.get("limit"), 100)
    before = _number(query["before"], 0) if "before" in query else None
    found: list[dict[str, Any]] = await request.app[HUB].store.find_records(
        query.get("box"), kind, before, max(1, min(MOST_RECORDS, limit))
    )
    return web.json_response({"records": found})


async def _journals(request: web.Request) -> web.Response:
    journals = request.app[HUB].journals
    told = {"witness": journals.by.verifier, "journals": await journals.told(), "faults": await journals.faults()}
    return web.json_response(told)


async def _checkpoint(request: web.Request) -> web.Response:
    """Answer with the countersigned checkpoint itself, for whoever keeps one to compare with later."""
    box, name = (request.match_info[part] for part in ("box", "name"))
    for told in await request.app[HUB].journals.told():
        if (told["box"], told["name"]) == (box, name) and told["checkpoint"]:
            return web.Response(text=told["checkpoint"], content_type="text/plain", charset="utf-8")
    raise Refused("unknown-journal", f"no checkpoint of a journal '{name}' of '{box}' was countersigned", 404)


async def _begin_anew(request: web.Request) -> web.Response:
    """Let a journal begin anew: an operator looked at what was wrong."""
    hub, reason = request.app[HUB], request.query.get("reason", "")
    box, name = (request.match_info[part] for part in ("box", "name"))
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Refused("bad-request", f"say why, in at most {LONGEST_REASON} characters: ?reason=...", 400)
    if not await hub.journals.forget(box, name, reason, written(datetime.now(UTC))):
        raise Refused("unknown-journal", f"there is no journal '{name}' of '{box}'", 404)
    await hub.look_again(box)
    return web.json_response({"box": box, "name": name, "reason": reason})


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused("bad-request", "'limit' and 'before' are numbers", 400)
    return int(text)
