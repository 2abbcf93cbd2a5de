"""What ``headgate box status`` tells of delivery: read from the very text that delivery writes."""

import io

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from rich.console import Console

from appliance.telemetry.exposition import parse
from gateway.delivery import metrics
from gateway.delivery.cmcd import Told
from gateway.delivery.quality import Quality
from gateway.delivery.served import TITLES, served
from gateway.delivery.served_words import tables

NAMES = ("REQUESTS", "BYTES", "REFUSALS", "BROKEN_OFF", "WITHDRAWN")


@pytest.fixture
def delivery():
    """Counters as delivery has them, in a registry of their own, and the quality of a zone of phones."""
    registry = CollectorRegistry()
    counters = {}
    for name in NAMES:
        ours = getattr(metrics, name)
        counters[name] = Counter(ours._name, ours._documentation, ours._labelnames, registry=registry)
    return registry, counters, Quality("smallscreen", registry, lambda: 100.0)


def read(registry):
    return served({"delivery-smallscreen": parse(generate_latest(registry)), "fetch": ()})


def test_figures_of_a_zone_are_read_from_what_delivery_writes(delivery):
    registry, counters, quality = delivery
    counters["REQUESTS"].labels("smallscreen", "200", "hit").inc(3)
    counters["REQUESTS"].labels("smallscreen", "403", "none").inc()
    counters["BYTES"].labels("smallscreen", "hit").inc(900)
    counters["BYTES"].labels("smallscreen", "miss").inc(100)
    counters["REFUSALS"].labels("smallscreen", "no-token").inc()
    quality.add("film", Told(session="a", start=0.5, buffer=4.0, bitrate=800_000))
    quality.add("film", Told(session="b", start=1.5, starved=True, bitrate=1_200_000))
    (one,) = read(registry)

    assert (one.zone, one.screen, one.requests, one.bytes, one.offload) == ("smallscreen", "small", 4, 1000, 0.9)
    assert (one.sessions, one.stalls, one.start, one.buffer, one.bitrate) == (2, 1, 1.0, 4.0, 1_000_000)
    assert one.refusals == {"no-token": 1}
    (title,) = one.titles
    assert (title.release, title.sessions, title.stalls, title.start, title.bitrate) == ("film", 2, 1, 1.0, 1_000_000)
    assert one.told()["offload"] == 0.9
    out = io.StringIO()
    for table in tables((one,)):
        Console(file=out, width=200).print(table)
    assert all(
        text in out.getvalue() for text in ("smallscreen", "90.0%", "no-token 1", "1.0 s", "1.00 Mbit/s", "film")
    )


def test_where_nothing_was_served_nothing_is_made_up(delivery):
    registry, _, _ = delivery
    (one,) = read(registry)
    assert (one.requests, one.offload, one.start, one.bitrate, one.refusals, one.titles) == (
        0,
        None,
        None,
        None,
        {},
        (),
    )
    assert served({}) == ()
    assert list(tables(())) == []


def test_only_the_titles_with_the_most_sessions_are_told(delivery):
    registry, _, quality = delivery
    for number in range(TITLES + 5):
        for session in range(number + 1):
            quality.add(f"title {number}", Told(session=str(session)))
    (one,) = read(registry)
    assert [title.sessions for title in one.titles] == list(range(TITLES + 5, 5, -1))
