"""What a box tells of its delivery: read from the very text that delivery and fetch write."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from appliance.telemetry.exposition import Gathered, parse
from appliance.telemetry.served import REASONS, TITLES, TOGETHER, BoxServed, offload, served
from gateway.delivery import metrics
from gateway.delivery.cmcd import Told
from gateway.delivery.quality import Quality
from gateway.fetch import metrics as fetch_metrics
from gateway.share import metrics as share_metrics

NAMES = ("REQUESTS", "BYTES", "REFUSALS", "BROKEN_OFF", "WITHDRAWN")
Delivery = tuple[CollectorRegistry, dict[str, Any], Quality]


def copied(ours: Any, registry: CollectorRegistry) -> Counter:
    return Counter(ours._name, ours._documentation, ours._labelnames, registry=registry)


@pytest.fixture
def delivery() -> Delivery:
    """Counters as delivery has them, in a registry of their own, and the quality of a zone of phones."""
    registry = CollectorRegistry()
    counters = {name: copied(getattr(metrics, name), registry) for name in NAMES}
    return registry, counters, Quality("smallscreen", registry, lambda: 100.0)


def text(registry: CollectorRegistry, started: float = 0.0) -> bytes:
    """Return what a daemon writes that started then."""
    own = CollectorRegistry()
    Gauge("headgate_started_timestamp_seconds", "When the daemon started.", registry=own).set(started)
    return (generate_latest(own) if started else b"") + generate_latest(registry)


def look(skipped: dict[str, str] | None = None, **units: bytes) -> BoxServed:
    found = {name.replace("_", "-"): parse(data) for name, data in units.items()}
    return served(Gathered(found, skipped or {}))


def test_figures_of_a_zone_are_read_from_what_delivery_writes(delivery: Delivery) -> None:
    """Requests, hits by bytes, sessions, what players told, refusals and titles are what was counted."""
    registry, counters, quality = delivery
    counters["REQUESTS"].labels("smallscreen", "200", "hit").inc(3)
    counters["REQUESTS"].labels("smallscreen", "403", "none").inc()
    counters["BYTES"].labels("smallscreen", "hit").inc(900)
    counters["BYTES"].labels("smallscreen", "miss").inc(100)
    counters["REFUSALS"].labels("smallscreen", "no-token").inc()
    quality.add("film", Told(session="a", start=0.5, buffer=4.0, bitrate=800_000))
    quality.add("film", Told(session="b", start=1.5, starved=True, bitrate=1_200_000))
    (one,) = look(delivery_smallscreen=text(registry, 77.0)).zones

    assert (one.zone, one.screen, one.started) == ("smallscreen", "small", 77.0)
    assert (one.requests, one.bytes, one.hit_share) == (4, 1000, 0.9)
    assert (one.sessions, one.begun, one.stalls) == (2, 2, 1)
    assert (one.start.average, one.buffer.average, one.bitrate.average) == (1.0, 4.0, 1_000_000)
    assert one.refusals == {"no-token": 1}
    (title,) = one.titles
    assert (title.release, title.sessions, title.stalls) == ("film", 2, 1)
    assert (title.start.average, title.bitrate.average) == (1.0, 1_000_000)
    told = one.told()
    assert (told["hit_share"], told["start"], told["titles"][0]["bitrate"]) == (0.9, 1.0, 1_000_000)


def test_where_nothing_was_served_nothing_is_made_up(delivery: Delivery) -> None:
    """No share, average or offload where there is nothing to share, average or compare."""
    box = look(delivery_smallscreen=text(delivery[0]))
    (one,) = box.zones
    assert (one.requests, one.hit_share, one.start.average, one.bitrate.average) == (0, None, None, None)
    assert (one.refusals, one.titles, box.offload, look()) == ({}, (), None, BoxServed())


def box_of(delivery: Delivery, *, fetched: int, fetch_started: float = 1000.0) -> BoxServed:
    """Return the figures of a box that sent 3000 bytes to phones, none of them a hit, and 1000 to another box."""
    registry, counters, _ = delivery
    counters["BYTES"].labels("smallscreen", "miss").inc(3000)
    fetching, sharing = CollectorRegistry(), CollectorRegistry()
    copied(fetch_metrics.BYTES, fetching).labels("centre").inc(fetched)
    copied(share_metrics.BYTES, sharing).labels("hit").inc(1000)
    return look(
        delivery_smallscreen=text(registry, 1000.0),
        fetch=text(fetching, fetch_started),
        share_culture=text(sharing, 1001.0),
    )


def test_origin_offload_is_what_origins_did_not_give(delivery: Delivery) -> None:
    """Three screens that follow one fill are three misses, and two thirds of their bytes were spared the origin all the same."""
    box = box_of(delivery, fetched=1000)
    assert (box.fetched, box.shared, box.sent) == (1000, 1000, 4000)
    assert box.zones[0].hit_share == 0.0
    assert box.offload == 0.75
    assert box.told()["offload"] == 0.75


def test_more_may_come_than_is_sent() -> None:
    """What is fetched and never asked for makes the offload fall below nought: it is told, not hidden."""
    assert offload(3000, 1000) == -2.0
    assert offload(3000, 0) is None


@pytest.mark.parametrize(("apart", "told"), [(TOGETHER, True), (TOGETHER + 1, False), (-TOGETHER - 1, False)])
def test_what_was_counted_from_different_times_on_is_not_compared(delivery: Delivery, apart: float, told: bool) -> None:
    """A fetch that was started anew knows nothing of what its delivery sent before."""
    box = box_of(delivery, fetched=1000, fetch_started=1001.0 + apart - (1 if apart > 0 else 0))
    assert (box.offload is not None) is told
    assert box.together is told


def test_a_zone_that_cannot_be_read_is_named(delivery: Delivery) -> None:
    """What is missing from the sums is told, and no offload is made of the rest; units of others are not ours to tell."""
    delivery[1]["BYTES"].labels("smallscreen", "hit").inc(10)
    box = look({"delivery-bigscreen": "torn", "guard": "torn"}, delivery_smallscreen=text(delivery[0]))
    assert box.unread == {"delivery-bigscreen": "torn"}
    assert box.offload is None
    assert box.told()["unread"] == {"delivery-bigscreen": "torn"}


def test_only_what_counts_most_is_told(delivery: Delivery) -> None:
    """Titles and reasons have a limit."""
    registry, counters, quality = delivery
    for number in range(TITLES + 5):
        for session in range(number + 1):
            quality.add(f"title {number}", Told(session=str(session)))
    for number in range(REASONS + 5):
        counters["REFUSALS"].labels("smallscreen", f"reason-{number}").inc(number + 1)
    (one,) = look(delivery_smallscreen=text(registry)).zones
    assert [title.sessions for title in one.titles] == list(range(TITLES + 5, 5, -1))
    assert list(one.refusals.values()) == list(range(REASONS + 5, 5, -1))


def test_a_delivery_lies_about_itself_only(delivery: Delivery) -> None:
    """What it says of another zone, and what is no figure, counts nothing."""
    registry, counters, _ = delivery
    counters["BYTES"].labels("bigscreen", "hit").inc(5000)
    counters["BYTES"].labels("smallscreen", "hit").inc(float("nan"))
    counters["REQUESTS"].labels("smallscreen", "200", "hit").inc(float("inf"))
    (one,) = look(delivery_smallscreen=text(registry)).zones
    assert (one.zone, one.bytes, one.requests) == ("smallscreen", 0, 0)
