"""Sessions, starts and stalls out of what players tell, and their bounds."""

from prometheus_client import CollectorRegistry

from gateway.delivery import quality
from gateway.delivery.cmcd import Told
from gateway.delivery.quality import GONE, Quality


class Zone:
    def __init__(self):
        self.now, self.registry = 100.0, CollectorRegistry()
        self.quality = Quality("bigscreen", self.registry, lambda: self.now)

    def add(self, release="film", after=1.0, **told):
        self.quality.add(release, Told(**told))
        self.now += after

    def figure(self, name, **labels):
        return self.registry.get_sample_value(
            f"headgate_delivery_{name}", {"zone": "bigscreen", "screen": "big", **labels}
        )


def test_a_session_starts_once_it_is_in_no_haste_any_more():
    """Version 1: from the first request to the first without ``su``; a later haste, as after a seek, is no second start."""
    zone = Zone()
    zone.add(session="a", starting=True, after=0.5)
    zone.add(session="a", starting=True, after=0.25)
    zone.add(session="a")
    zone.add(session="a", starting=True)
    zone.add(session="a")

    assert (zone.figure("start_seconds_count"), zone.figure("start_seconds_sum")) == (1, 0.75)
    assert zone.figure("sessions_begun_total") == 1


def test_a_player_that_tells_its_start_is_believed():
    """Version 2 says it itself, once a session."""
    zone = Zone()
    zone.add(session="a", start=1.5)
    zone.add(session="a", start=1.5)
    zone.add(start=0.5)

    assert (zone.figure("start_seconds_count"), zone.figure("start_seconds_sum")) == (2, 2.0)


def test_stalls_buffers_and_bitrates_are_counted_for_the_zone_and_the_title():
    """Each title has its own sums."""
    zone = Zone()
    zone.add(session="a", starved=True, buffer=0.0, bitrate=800_000)
    zone.add("other", session="a", buffer=3.0, bitrate=1_200_000)

    assert (zone.figure("stalls_total"), zone.figure("buffer_seconds_count")) == (1, 2)
    assert zone.figure("title_stalls_total", release="film") == 1
    assert zone.figure("title_stalls_total", release="other") == 0
    assert zone.figure("title_bitrate_bits_sum_total", release="other") == 1_200_000
    assert zone.figure("sessions_begun_total") == 2


def test_who_asks_for_nothing_has_left():
    """A minute after its last request a session has ended; one that comes again after that is another."""
    zone = Zone()
    zone.add(session="a", after=GONE)
    assert zone.figure("sessions") == 1
    zone.now += 1
    assert zone.figure("sessions") == 0
    zone.add(session="a")
    assert zone.figure("sessions_begun_total") == 2


def test_whatever_players_say_takes_bounded_memory(monkeypatch):
    """Names that players make up push the oldest out; the metrics show few titles."""
    monkeypatch.setattr(quality, "MOST_SESSIONS", 50)
    monkeypatch.setattr(quality, "MOST_TITLES", 30)
    zone = Zone()
    for number in range(200):
        zone.add(f"film-{number}", session=str(number), after=0.0)

    assert zone.figure("sessions") == 50
    shown = [
        sample
        for metric in zone.registry.collect()
        for sample in metric.samples
        if sample.name == "headgate_delivery_title_sessions_total"
    ]
    assert len(shown) == quality.SHOWN


def test_what_cannot_be_read_is_counted_and_nothing_else():
    """Neither a stall nor a session comes of it; no word at all is no fault."""
    zone = Zone()
    zone.quality.hear("film", {}, {"CMCD": 'sid="é",bs'})
    zone.quality.hear("film", {"CMCD-Status": "bs,,"}, {})
    zone.quality.hear("film", {}, {})
    zone.quality.hear("film", {"CMCD-Status": "bs"}, {})

    assert zone.figure("cmcd_unread_total") == 2
    assert zone.figure("stalls_total") == 1
    assert zone.figure("sessions") == 0


def test_a_player_that_tells_by_requests_and_reports_counts_once():
    """Stalls by its events, buffer and bitrate by its requests; one that only reports counts by its events alone."""
    zone = Zone()
    zone.add(session="a", starved=True, buffer=1.0, bitrate=800_000)
    assert zone.quality.report(
        "film", b'e=ps,sid="a",sta=r,bl=(0),br=(800),v=2\ne=ps,sid="a",sta=p,msd=700,v=2\nnot one\n'
    )
    zone.add(session="a", starved=True, buffer=2.0)
    assert (zone.figure("stalls_total"), zone.figure("buffer_seconds_count")) == (2, 2)
    assert (zone.figure("start_seconds_count"), zone.figure("start_seconds_sum")) == (1, 0.7)
    assert (zone.figure("cmcd_events_total"), zone.figure("cmcd_unread_total")) == (2, 1)
    zone.quality.report("film", b'e=t,sid="b",bl=(4000),br=(800),sta=p,v=2\n')
    assert (zone.figure("buffer_seconds_count"), zone.figure("bitrate_bits_count")) == (3, 2)
    assert not zone.quality.report("film", b"nothing\n")


def test_a_session_that_reports_starts_once_it_plays():
    zone = Zone()
    for state, after in (("s", 0.5), ("r", 0.25), ("p", 1)):
        zone.quality.report("film", f'e=ps,sid="a",sta={state},v=2'.encode())
        zone.now += after
    assert (zone.figure("start_seconds_count"), zone.figure("start_seconds_sum")) == (1, 0.75)
