"""The resolver of one zone: ``GET /id/CODE`` from the box's own table, also while everything else is away."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_never

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from appliance.runtime import http, metrics, places
from appliance.runtime.config import nearest
from appliance.runtime.errors import ConfigError, Corrupt, Fault
from appliance.runtime.service import Service
from gateway.isolation import policy
from gateway.resolver import answer, codes, page
from gateway.resolver.records import Record, age
from gateway.resolver.table import Table
from gateway.resolver.upstream import Upstream

log = logging.getLogger("headgate.resolver")

CACHE = "max-age=5"  # seconds; a withdrawal must reach every screen within seconds


class Numbers:
    """What is counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "headgate_resolver_answers",
            "Answers to GET /id/CODE by what they were",
            ["outcome"],
            registry=self.registry,
        )
        self.lookups = Counter(
            "headgate_resolver_lookups", "Questions to the exchange by their result", ["result"], registry=self.registry
        )
        self.serial = Gauge("headgate_resolver_table_serial", "Serial of the table in use", registry=self.registry)
        self.records = Gauge("headgate_resolver_table_records", "Identifiers in the table", registry=self.registry)
        self.made = Gauge(
            "headgate_resolver_table_made_timestamp_seconds", "When the table was made", registry=self.registry
        )


class Resolver:
    """The requests' side: settings of the zone, table, exchange."""

    def __init__(self, site: policy.Policy, zone: str, table: Table, upstream: Upstream, numbers: Numbers) -> None:
        self.zone, self.table, self.upstream, self.numbers = zone, table, upstream, numbers
        self._told = ""  # the damage last logged
        self.take(site)
        self.renew()

    def take(self, site: policy.Policy) -> None:
        """Use the policy ``site`` from now on."""
        self.site = site.site
        self.listen = _listen(site, self.zone)
        delivery = site.service_of(self.zone, "delivery")
        self.delivery = None if delivery is None else _address(delivery)

    def renew(self) -> None:
        """Use the current table if it is a new one; a damaged one is told, and the last good one stays."""
        try:
            changed = self.table.refresh()
        except Corrupt as error:
            if str(error) != self._told:
                log.error("the last good table stays: %s", error)
                self._told = str(error)
            return
        info = self.table.info()
        if changed and info is not None:
            log.info("table of %s, serial %d, %d identifiers", info.registry, info.serial, info.count)
            self.numbers.serial.set(info.serial)
            self.numbers.records.set(info.count)
            self.numbers.made.set(info.made.timestamp())

    async def find(self, code: codes.Code) -> Record | None:
        """Return the record of ``code``; where the table lacks it, the exchange is asked for a newer one first."""
        self.renew()
        record = self.table.get(code)
        if record is not None:
            return record
        await self.upstream.wait(code)
        self.renew()
        return self.table.get(code)

    async def identifier(self, request: web.Request) -> web.Response:
        """Answer ``GET /id/CODE``."""
        asks = answer.wanted(request.headers.get("Accept", "*/*"), request.query.get("format"))
        try:
            code = codes.parse(request.match_info["code"])
        except codes.WrongCode as error:
            self.numbers.answers.labels(error.reason).inc()
            return _told(400, error.reason, str(error), asks)
        record = await self.find(code)
        now = datetime.now(UTC)
        response = self.tell(answer.answer(code, record, self.table.info(), self.delivery, asks, now), asks)
        info = self.table.info()
        if info is not None:
            response.headers["Headgate-Table"] = f"serial={info.serial}"
        return response

    def tell(self, outcome: answer.Outcome, asks: answer.Wanted) -> web.Response:
        """Return the HTTP answer of ``outcome``."""
        match outcome:
            case answer.Redirect(location, stale):
                response, word = web.Response(status=302, headers={"Location": location}), "redirect"
            case answer.Document(body, stale):
                response, word = _document(body, asks), "document"
            case answer.Gone(sentence, title, stale):
                response, word = _told(410, "withdrawn", sentence, asks, title), "withdrawn"
            case answer.NotFound(reason, sentence, stale):
                response, word = _told(404, reason, sentence, asks), reason
            case answer.NoTable():
                stale, word = True, "no-table"
                response = _told(503, word, "this box has received no table of identifiers yet", asks)
            case unknown:
                assert_never(unknown)
        self.numbers.answers.labels(word).inc()
        response.headers["Cache-Control"] = CACHE if response.status in (200, 302) else "no-store"
        response.headers["Vary"] = "Accept"
        if stale:
            response.headers["Headgate-Stale"] = "true"
        return response

    async def health(self, request: web.Request) -> web.Response:
        """Answer ``GET /``: whether identifiers can be resolved here, and how old the table is."""
        self.renew()
        info = self.table.info()
        told: dict[str, Any] = {"site": self.site, "zone": self.zone, "serves": "identifiers", "table": None}
        if info is not None:
            seconds = round(age(info.made, datetime.now(UTC)))
            told["table"] = {
                "registry": info.registry,
                "serial": info.serial,
                "made": info.made.isoformat(),
                "count": info.count,
                "stale": seconds > answer.STALE_AFTER,
            }
        return web.json_response(told, status=200 if info else 503, headers={"Cache-Control": "no-store"})


def application(resolver: Resolver) -> web.Application:
    """Return the HTTP application of ``resolver``."""
    app = http.application(longest_body=1 << 10)
    app.router.add_get("/", resolver.health)
    app.router.add_get("/id/{code:.+}", resolver.identifier)
    app.on_response_prepare.append(_open)
    return app


def check(config: Path, zone: str | None) -> None:
    """Check the policy at ``config`` for what the resolver of ``zone`` needs.

    Raises:
        ConfigError: it is wrong, or names no resolver in the zone.
    """
    _listen(policy.load(config), zone)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve until told to stop."""
    site = policy.load(config)
    zone = _listen(site, zone).zone
    numbers = Numbers()
    socket = places.RUN / "exchange" / f"resolver-{zone}" / "exchange.sock"
    upstream = Upstream(socket, service.tasks, numbers.lookups)
    table = Table(places.STATE / "identifiers")  # looked at first by the resolver, which tells of a damaged one
    resolver = Resolver(site, zone, table, upstream, numbers)
    moved = asyncio.Event()

    async def reload() -> None:
        before = resolver.listen
        resolver.take(policy.load(config))
        if (before.address, before.port) != (resolver.listen.address, resolver.listen.port):
            moved.set()

    service.reload = reload
    unit = f"resolver-{zone}"
    folder = places.RUN / "metrics" / unit
    folder.mkdir(parents=True, exist_ok=True)
    service.tasks.create_task(metrics.keep_written(numbers.registry, folder / f"{unit}.prom"))
    stopped = service.tasks.create_task(service.stopped())
    while not stopped.done():
        moved.clear()
        listen = resolver.listen
        async with http.serving(application(resolver), tcp=[(listen.address, listen.port)]):
            service.ready(f"resolving identifiers in {zone} at {_address(listen)}")
            again = service.tasks.create_task(moved.wait())
            await asyncio.wait({stopped, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
    table.close()


async def _open(_: web.Request, response: web.StreamResponse) -> None:
    """Let pages of any origin ask: the answers are public in the zone."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = "Headgate-Stale, Headgate-Table"


def _listen(site: policy.Policy, zone: str | None) -> policy.Service:
    if zone is None:
        raise ConfigError([Fault(site.file, 1, 1, "zones", "say which zone's resolver this is: --zone ZONE")])
    if zone not in site.zones:
        raise ConfigError([Fault(site.file, 1, 1, "zones", f"no zone '{zone}'", hint=nearest(zone, site.zones))])
    found = site.service_of(zone, "resolver")
    if found is None or found.protocol != "tcp":
        line = max(1, site.line_of(("services",)))
        raise ConfigError(
            [Fault(site.file, line, 1, "services", f"no service runs 'resolver' on tcp in zone '{zone}'")]
        )
    return found


def _address(service: policy.Service) -> str:
    host = f"[{service.address}]" if ":" in service.address else service.address
    return f"http://{host}" if service.port == 80 else f"http://{host}:{service.port}"


def _document(body: dict[str, Any], asks: answer.Wanted) -> web.Response:
    if asks != "html":
        return web.json_response(body)
    rows = [("标识", "identifier", body["code"]), ("主体", "body", body["body"])]
    return _page(200, body["title"], rows, body["playable"])


def _told(status: int, reason: str, sentence: str, asks: answer.Wanted, title: str = "") -> web.Response:
    if asks == "html":
        return _page(status, title or sentence, [("原因", "reason", f"{reason}: {sentence}")])
    return http.answer(status, reason, sentence)


def _page(status: int, title: str, rows: list[tuple[str, str, str]], play: str | None = None) -> web.Response:
    text = page.page(status, title, rows, play)
    return web.Response(
        text=text, status=status, content_type="text/html", headers={"Content-Security-Policy": page.POLICY}
    )
