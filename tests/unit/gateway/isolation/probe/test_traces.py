"""What attacks leave behind is found in the kernel's words."""

import pytest

from gateway.isolation.probe import traces
from gateway.isolation.probe.shots import Shot

STATE = """\
10.20.0.253 dev p2 lladdr 02:c2:9b:6b:00:e6 STALE
198.18.1.34 via 10.20.0.254 dev p2 src 10.20.0.11 uid 0 \\    cache <redirected> expires 298sec
4: p2    inet6 2001:6be4:c941:f4:68:67ff:fe14:b/64 scope global dynamic
2001:6be4:c941:f6::/64 via fe80::6867 dev p2 proto ra
mtu=1329
179 l3proto = 2 proto=17 src=10.10.0.254 dst=10.20.0.254 sport=0 dport=20311 sip/audio
"""


@pytest.mark.parametrize(
    ("trace", "there"),
    [
        ("02:c2:9b:6b:00:e6", True),
        ("02:c2:9b:6b:00:e", False),
        ("198.18.1.34 cache redirected", True),
        ("198.18.1.34 cache mtu 600", False),
        ("198.18.1.3 cache redirected", False),
        ("98.18.1.34 cache redirected", False),
        ("2001:6be4:c941:f4:", True),
        ("2001:6be4:c941:f:", False),
        ("2001:6be4:c941:f6::", True),
        ("mtu=1329", True),
        ("mtu=132", False),
        ("dport=20311 sip/audio", True),
        ("dport=2031 sip/audio", False),
        ("dport=20311 tftp", False),
    ],
)
def test_a_trace_is_a_line_with_all_of_its_words(trace: str, there: bool):
    """And no part of a longer word."""
    found = list(traces.found([Shot(7, "ra-mtu", "bigscreen", (), (), (trace,))], STATE))

    assert [number for number, _ in found] == ([7] if there else [])


def test_only_exceptions_of_routes_are_asked_for():
    """The kernel shows them no other way."""
    shots = [Shot(1, "pmtu", "a", (), (), ("198.18.0.1 cache mtu 600",)), Shot(2, "ra-mtu", "a", (), (), ("mtu=1300",))]

    assert traces.asked(shots) == ["198.18.0.1"]
