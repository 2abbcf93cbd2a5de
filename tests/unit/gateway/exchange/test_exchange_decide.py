"""Whom the exchange serves, and what it takes from them."""

import pytest

from appliance.identity.keys import PrivateKey
from appliance.telemetry.records import Record
from gateway.exchange import decide
from gateway.exchange.decide import Peer, Refuse
from gateway.isolation import policy as policies

KEY = PrivateKey.generate().public
POLICY = policies.parse(
    f"""
site: testbox
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
  smallscreen: {{port: "02:68:67:1e:00:0b", addresses: [127.30.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{KEY}"], identifiers: ["isli:999999-10"], acts: [share, associate]}}
origins:
  centre: {{address: 127.10.0.20}}
reach:
  origin: {{zone: culture, run: fetch, to: [127.10.0.20], port: tcp/80}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: [127.20.0.0/24]}}
  resolver: {{zone: bigscreen, run: resolver, listen: tcp/8080, from: [127.20.0.0/24]}}
  phones: {{zone: smallscreen, run: delivery, listen: tcp/80, from: [127.30.0.0/24]}}
  ssh: {{zone: management, run: ssh, listen: tcp/22, from: [127.40.0.0/24]}}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 1 MiB}}
  usage: {{from: bigscreen, to: management, kind: record}}
never: [{{from: bigscreen, to: management}}]
""".encode()
)


def outcome(value):
    return value.reason if isinstance(value, Refuse) else "admitted"


def test_peers_are_the_services_that_headgate_runs():
    """Deliveries and resolvers of the policy are peers, and telemetry, which brings orders; other units are not."""
    assert {peer.name for peer in decide.peers(POLICY)} == {
        "delivery-bigscreen",
        "resolver-bigscreen",
        "delivery-smallscreen",
        "telemetry-management",
    }


@pytest.mark.parametrize(
    ("kind", "source", "body", "right"),
    [
        ("usage", "delivery/bigscreen", {"zone": "bigscreen"}, True),
        ("event", "delivery/bigscreen", {}, True),
        ("audit", "delivery/bigscreen", {}, False),
        ("usage", "delivery/smallscreen", {}, False),
        ("usage", "resolver/bigscreen", {}, False),
        ("usage", "exchange", {}, False),
        ("usage", "delivery/bigscreen", {"zone": "smallscreen"}, False),
    ],
)
def test_a_peer_tells_of_itself_only(kind, source, body, right):
    """A record names the socket's own daemon and zone, and is no audit."""
    refusal = decide.may_tell(Peer("delivery", "bigscreen"), Record.new(kind, source, body))
    assert (refusal is None) is right


@pytest.mark.parametrize(("zone", "expected"), [("bigscreen", "admitted"), ("smallscreen", "no-lane")])
def test_records_leave_by_a_lane(zone, expected):
    """A zone without a lane for records sends none."""
    assert outcome(decide.lane_out_of(POLICY, zone, "record")) == expected
