"""Quality of experience as players tell it: sessions, start-up, stalls, buffer and bitrate, of the zone and of its titles.

What a player says is believed for figures only: it decides nothing, and whatever it says takes bounded memory.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from gateway.delivery import cmcd
from gateway.delivery.cmcd import Told
from gateway.release.rights import SCREENS

MOST_SESSIONS = 20_000
MOST_TITLES = 500
SHOWN = 20  # titles in the metrics: those with the most sessions
GONE = 60.0  # seconds after which a session that asks for nothing has ended


@dataclass
class Session:
    """One player at one title."""

    began: float
    seen: float
    started: bool = False
    requests: bool = False  # it tells of itself with its requests
    reports: bool = False  # it reports events


@dataclass
class Title:
    """Sums of one title."""

    sessions: int = 0
    stalls: int = 0
    starts: int = 0
    start_seconds: float = 0.0
    rates: int = 0
    rate_bits: float = 0.0


class Quality:
    """All of one zone, shown in ``registry``; ``clock`` tells seconds that only grow."""

    def __init__(self, zone: str, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._zone, self._clock = zone, clock
        screen = self._screen = SCREENS.get(zone, "")  # big or small
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._titles: OrderedDict[str, Title] = OrderedDict()
        labels = ["zone", "screen"]
        running = Gauge(
            "headgate_delivery_sessions",
            "Players that asked for something in the last minute.",
            labels,
            registry=registry,
        )
        running.labels(zone, screen).set_function(self.running)
        self._begun = Counter(
            "headgate_delivery_sessions_begun", "Sessions of players that began.", labels, registry=registry
        ).labels(zone, screen)
        self._stalls = Counter(
            "headgate_delivery_stalls", "Times that a player's buffer ran empty.", labels, registry=registry
        ).labels(zone, screen)
        self._start = Histogram(
            "headgate_delivery_start_seconds", "Seconds until a player played.", labels, registry=registry,
            buckets=(0.2, 0.5, 1, 2, 3, 5, 10, 30),
        ).labels(zone, screen)  # fmt: skip
        self._buffer = Histogram(
            "headgate_delivery_buffer_seconds", "Seconds of content that a player held when it asked.", labels, registry=registry,
            buckets=(0.5, 1, 2, 4, 8, 15, 30, 60),
        ).labels(zone, screen)  # fmt: skip
        self._rate = Histogram(
            "headgate_delivery_bitrate_bits", "Bits a second of the rendition that a player asked for.", labels, registry=registry,
            buckets=(3e5, 6e5, 1e6, 2e6, 3e6, 5e6, 8e6, 16e6),
        ).labels(zone, screen)  # fmt: skip
        self._unread = Counter(
            "headgate_delivery_cmcd_unread",
            "Requests whose CMCD could not be read, and was ignored, and lines of reports.",
            labels,
            registry=registry,
        ).labels(zone, screen)
        self._events = Counter(
            "headgate_delivery_cmcd_events", "Events that players reported (CMCD version 2).", labels, registry=registry
        ).labels(zone, screen)  # fmt: skip
        registry.register(self)

    def hear(self, release: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Told | None:
        """Take and return what a request for a file of ``release`` tells; count what cannot be read."""
        told = cmcd.parse(headers, query)
        if told is not None:
            self.add(release, told)
        elif cmcd.QUERY in query or any(name in headers for name in cmcd.HEADERS):
            self._unread.inc()
        return told

    def report(self, release: str, body: bytes) -> bool:
        """Take the events that a player reports while it plays ``release``; return whether any could be read."""
        events, unread = cmcd.events(body)
        self._unread.inc(unread)
        self._events.inc(len(events))
        for told in events:
            self.add(release, told, event=True)
        return bool(events)

    def add(self, release: str, told: Told, *, event: bool = False) -> None:
        """Take what a player told with one request for a file of ``release``, or as an ``event``.

        What a session tells both ways counts once: stalls by its events, buffer and bitrate by its requests.
        """
        title = self._title(release)
        session: Session | None = None
        if told.session is not None:
            session = self._follow(release, title, told, self._clock())
            session.reports |= event
            session.requests |= not event
        elif told.start is not None:
            self._started(title, told.start)
        if told.starved and (event or session is None or not session.reports):
            title.stalls += 1
            self._stalls.inc()
        if event and session is not None and session.requests:
            return
        if told.buffer is not None:
            self._buffer.observe(told.buffer)
        if told.bitrate is not None:
            title.rates += 1
            title.rate_bits += told.bitrate
            self._rate.observe(told.bitrate)

    def running(self) -> int:
        """Return how many sessions go on; those that ended are forgotten."""
        now = self._clock()
        while self._sessions and now - next(iter(self._sessions.values())).seen > GONE:
            self._sessions.popitem(last=False)
        return len(self._sessions)

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of the titles with the most sessions."""
        shown = sorted(self._titles.items(), key=lambda item: -item[1].sessions)[:SHOWN]
        value: Callable[[Title], float]
        for name, told, value in (
            ("sessions", "Sessions that began, of the titles with the most.", lambda title: title.sessions),
            ("stalls", "Times that a player's buffer ran empty, of the same titles.", lambda title: title.stalls),
            (
                "start_seconds_sum",
                "Seconds until players played, of the same titles.",
                lambda title: title.start_seconds,
            ),
            ("start_seconds_count", "Starts that players told, of the same titles.", lambda title: title.starts),
            (
                "bitrate_bits_sum",
                "Bits a second that players asked for, of the same titles.",
                lambda title: title.rate_bits,
            ),
            ("bitrate_bits_count", "Requests with a bitrate, of the same titles.", lambda title: title.rates),
        ):
            family = CounterMetricFamily(f"headgate_delivery_title_{name}", told, labels=["zone", "screen", "release"])
            for release, title in shown:
                family.add_metric([self._zone, self._screen, release], float(value(title)))
            yield family

    def describe(self) -> Iterator[Metric]:
        """Yield what ``collect`` yields, without figures."""
        yield from self.collect()

    def _follow(self, release: str, title: Title, told: Told, now: float) -> Session:
        key = (release, str(told.session))
        session = self._sessions.get(key)
        if session is None or now - session.seen > GONE:
            session = self._sessions[key] = Session(now, now)
            title.sessions += 1
            self._begun.inc()
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        session.seen = now
        self._sessions.move_to_end(key)
        if session.started:
            return session
        if told.start is not None:
            session.started = True
            self._started(title, told.start)
        elif (
            not told.starting and now > session.began
        ):  # version 1 tells no time: it plays once it is in no haste any more
            session.started = True
            self._started(title, now - session.began)
        return session

    def _started(self, title: Title, seconds: float) -> None:
        title.starts += 1
        title.start_seconds += seconds
        self._start.observe(seconds)

    def _title(self, release: str) -> Title:
        title = self._titles.setdefault(release, Title())
        self._titles.move_to_end(release)
        while len(self._titles) > MOST_TITLES:
            self._titles.popitem(last=False)
        return title
