"""What was denied: flows read from packets' first bytes, and figures that hold whatever the counters do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, GRE

from gateway.isolation import denied
from gateway.isolation.denied import Flow, Tally
from gateway.isolation.nflog import Sample

V4 = {"src": "10.20.0.50", "dst": "10.20.0.11"}
V6 = {"src": "fd20::50", "dst": "fd20::11"}


def sample(packet: object, protocol: int = denied.IP4, prefix: str = "hg default") -> Sample:
    return Sample(prefix, None, protocol, "", bytes(packet)[:128])


def udp(port: int, prefix: str = "hg default") -> Sample:
    return sample(IP(**V4) / UDP(dport=port), prefix=prefix)


@pytest.mark.parametrize(
    ("packet", "protocol", "flow"),
    [
        (IP(**V4) / TCP(dport=22), denied.IP4, Flow("tcp", **V4, dport=22)),
        (IP(**V4, options=b"\x83\x07\x04\x0a\x0a\x00\x01\x00") / UDP(dport=53), denied.IP4, Flow("udp", **V4, dport=53)),
        (IP(**V4, frag=100) / UDP(dport=53), denied.IP4, Flow("udp", **V4)),
        (IP(**V4) / ICMP(), denied.IP4, Flow("icmp", **V4)),
        (IP(**V4) / GRE(), denied.IP4, Flow("gre", **V4)),
        (IP(**V4, proto=200), denied.IP4, Flow("proto 200", **V4)),
        (IPv6(**V6) / TCP(dport=80), denied.IP6, Flow("tcp", **V6, dport=80)),
        (IPv6(**V6) / IPv6ExtHdrDestOpt() / UDP(dport=9), denied.IP6, Flow("udp", **V6, dport=9)),
        (IPv6(**V6) / IPv6ExtHdrFragment(offset=3, nh=17) / b"late", denied.IP6, Flow("udp", **V6)),
        (ARP(op=1, psrc="10.20.0.50", pdst="10.10.0.11"), denied.ARP, Flow("arp", "10.20.0.50", "10.10.0.11")),
        (b"\x00\x0a\x81\x00", 0x8100, Flow("ether 0x8100")),
        (b"\x45\x00", denied.IP4, Flow("ether 0x0800")),
    ],
)  # fmt: skip
def test_flows(packet: object, protocol: int, flow: Flow):
    """Who asked what is read from a packet's beginning; what is not there is not made up."""
    assert denied.flow(sample(packet, protocol)) == flow


@given(st.binary(max_size=128), st.sampled_from([denied.IP4, denied.ARP, denied.IP6, 0x88CC]))
def test_any_bytes_are_a_flow(data: bytes, protocol: int):
    """A packet may hold anything."""
    assert denied.flow(Sample("", None, protocol, "", data)).proto


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [("hg false sender", "false sender"), ("hg default ", "default"), ("other", "foreign"), ("", "foreign"), ("hg ", "foreign"),
     ("hg " + "x" * 90, "x" * 64)],
)  # fmt: skip
def test_reasons(prefix: str, reason: str):
    """A reason is what our rules' prefix says; another's rule is foreign."""
    assert denied.reason(prefix) == reason


def step(tally: Tally, samples: list[Sample], counters: dict[str, int] | None, zone: str = "z") -> list[denied.Row]:
    for one in samples:
        tally.see(zone, one)
    return tally.join(tally.cut(), {zone: counters})


def test_n_denied_m_recorded():
    """The counter tells how many, the samples which; a quiet interval has no row."""
    tally = Tally()
    first = step(tally, [udp(1), udp(1), udp(2)], {"default": 90, "options": 0})
    second = step(tally, [], {"default": 90, "options": 0})
    third = step(tally, [udp(3)], {"default": 100, "options": 2})

    assert [(r.reason, r.denied, r.recorded, r.whole, r.at_least) for r in first] == [("default", 90, 3, True, False)]
    assert sorted((s["dport"], s["packets"]) for s in first[0].samples) == [(1, 2), (2, 1)]
    assert second == []
    assert [(r.reason, r.denied, r.recorded, r.whole) for r in third] == [
        ("default", 10, 1, False),
        ("options", 2, 0, False),
    ]


def test_a_sample_that_comes_late_is_told_as_such():
    """What was counted before and recorded now does not read as "0 denied, 2 recorded" without a word."""
    tally = Tally()
    step(tally, [udp(1)], {"default": 3})
    late = step(tally, [udp(1), udp(1)], {"default": 3})

    assert [(r.denied, r.recorded, r.earlier, r.at_least) for r in late] == [(0, 2, 2, False)]


@pytest.mark.parametrize("counters", [None, {}, {"default": 1}])
def test_a_counter_that_is_gone_or_began_anew_makes_an_at_least(counters: dict[str, int] | None):
    """A ruleset that was loaded anew took its counters along: what was recorded was denied, and maybe more."""
    tally = Tally()
    step(tally, [udp(1)], {"default": 5})
    rows = step(tally, [udp(1)] * 8, counters)

    assert [(r.at_least, r.recorded) for r in rows] == [(True, 8)]
    assert tally.totals["z", "default"].denied >= tally.totals["z", "default"].recorded == 9


@given(st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 50))), max_size=20))
def test_recorded_is_never_more_than_denied(steps: list[tuple[int, int | None]]):
    """Whatever the counters and samples do, the totals hold."""
    tally = Tally()
    for samples, counter in steps:
        step(tally, [udp(1)] * samples, None if counter is None else {"default": counter})

        assert all(total.recorded <= total.denied for total in tally.totals.values())


def test_lost_samples_are_told():
    """Samples that did not reach us are of a zone; their reason nobody knows."""
    tally = Tally()
    tally.lose("z", 7)

    assert [(r.zone, r.reason, r.lost) for r in step(tally, [], {})] == [("z", "", 7)]


def test_flows_are_bounded():
    """One who changes his port with each packet fills no memory: the rest is counted."""
    rows = step(Tally(), [udp(port) for port in range(1000)], {"default": 1000})

    assert (len(rows[0].samples), rows[0].left_out, rows[0].recorded) == (denied.MOST_FLOWS, 800, 1000)


def test_reasons_are_bounded():
    """Prefixes without end, of samples or of counters, end up under one name with their packets."""
    tally = Tally()
    rows = step(tally, [udp(1, f"hg r{n}") for n in range(1000)], {f"c{n}": 1 for n in range(1000)})

    assert len(tally.totals) == denied.MOST_REASONS + 1
    assert sum(r.recorded for r in rows) == 1000
    assert sum(r.denied for r in rows) >= 1000


def test_payload_of_a_logged_word_is_kept_out():
    """A row has figures, addresses and ports, and nothing of what a packet carried."""
    rows = step(Tally(), [sample(IP(**V4) / UDP(dport=7) / b"secret")], {"default": 1})

    assert rows[0].samples == [{"proto": "udp", **V4, "dport": 7, "packets": 1}]
    assert "secret" not in str(rows)
