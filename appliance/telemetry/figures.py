"""``/metrics`` and ``/healthz`` of a box: the other daemons' figures and telemetry's own, on one page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from appliance.runtime import http
from appliance.telemetry import exposition
from appliance.telemetry.records import read_time

if TYPE_CHECKING:
    from appliance.telemetry.daemon import Reporter


class Figures(Collector):
    """What there is to tell, looked up when asked for."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def collect(self) -> Iterator[Metric]:
        """Yield telemetry's own families, then the other daemons'."""
        reporter = self._reporter
        gathered = exposition.gather(reporter.settings.units)
        own = [*self._own(gathered)]
        yield from own
        names = {family.name for family in own}
        yield from (family for family in exposition.merged(gathered.units) if family.name not in names)

    def _own(self, gathered: exposition.Gathered) -> Iterator[Metric]:
        reporter, depth = self._reporter, self._reporter.spool.state()
        oldest = time.time() - read_time(depth.oldest).timestamp() if depth.oldest else 0.0
        connection = reporter.connection
        yield GaugeMetricFamily(
            "headgate_telemetry_connected", "1 while the broker has us", value=float(connection.connected)
        )
        yield GaugeMetricFamily("headgate_spool_records", "Records that wait for the controller", value=depth.records)
        yield GaugeMetricFamily("headgate_spool_bytes", "Bytes of the records that wait", value=depth.bytes)
        yield GaugeMetricFamily("headgate_spool_oldest_seconds", "Age of the oldest waiting record", value=oldest)
        yield GaugeMetricFamily("headgate_spool_damaged", "Records set aside: they cannot be read", value=depth.damaged)
        yield CounterMetricFamily(
            "headgate_telemetry_acknowledged", "Records that the controller stored", value=reporter.acknowledged
        )
        yield CounterMetricFamily(
            "headgate_telemetry_refused", "Messages that the broker did not take", value=connection.refused
        )
        yield CounterMetricFamily(
            "headgate_telemetry_damaged", "Messages to us that could not be read", value=reporter.damaged
        )
        skipped = GaugeMetricFamily(
            "headgate_telemetry_unit_skipped", "1 for a unit whose metrics file cannot be read", labels=["unit"]
        )
        for unit in gathered.skipped:
            skipped.add_metric([unit], 1)
        yield skipped


def application(reporter: Reporter) -> web.Application:
    """Return the application that serves both."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(reporter))

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(request: web.Request) -> web.Response:
        depth = reporter.spool.state()
        return web.json_response(
            {"site": reporter.settings.site, "connected": reporter.connection.connected, "spool": depth.records}
        )

    app = http.application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", health)
    return app
