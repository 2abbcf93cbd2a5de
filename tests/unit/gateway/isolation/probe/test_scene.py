"""Who has which address while a probe runs."""

import ipaddress
import json

import pytest

from gateway.isolation import policy as policies
from gateway.isolation.probe import scene as scenes

RUN = bytes(range(6))
HEAD = """\
site: s
never: [{from: bigscreen, to: management}]
zones:
  management: {port: '02:00:00:00:00:28', addresses: [10.40.0.11/24]}
"""


def side(zone: str, rest: str = "", **given: object) -> scenes.Side:
    """Return the side of ``bigscreen`` written as ``zone``."""
    return scenes.scene_of(policies.parse(f"{HEAD}  bigscreen: {zone}\n{rest}".encode()), RUN, **given).side(
        "bigscreen"
    )


PORT = "port: '02:00:00:00:00:14'"


def test_the_host_is_one_that_a_service_admits():
    """An attack from an admitted host gets furthest."""
    told = side(
        f"{{{PORT}, addresses: [10.20.0.11/24]}}",
        "services: {delivery: {zone: bigscreen, run: delivery, listen: tcp/80, from: [10.20.0.48/30]}}\n",
    )

    assert told.host4 == "10.20.0.51"
    assert told.doors == ("tcp/80",)


@pytest.mark.parametrize("network", ["10.20.0.9/29", "10.20.0.9/30", "10.20.0.9/24"])
def test_nobody_gets_an_address_that_somebody_has(network: str):
    """The box, the router and the host are three."""
    told = side(f"{{{PORT}, addresses: [{network}], routes: [{{to: 10.21.0.0/16, via: 10.20.0.10}}]}}")

    assert told.box4 == "10.20.0.9"
    assert told.neighbour4 == "10.20.0.10"
    if network != "10.20.0.9/30":  # which has room for two
        assert len({told.box4, told.host4, told.neighbour4, told.broadcast4}) == 4


def test_a_zone_without_ipv6_is_attacked_over_it_all_the_same():
    """It gets addresses of documentation, of which the box knows nothing."""
    told = side(f"{{{PORT}, addresses: [10.20.0.11/24]}}")

    assert not told.has6
    assert ipaddress.ip_address(told.box6) in ipaddress.ip_network("2001:db8::/32")
    assert told.box6 != told.host6


def test_a_zone_without_ipv4_is_attacked_over_it_all_the_same():
    """The same the other way round."""
    told = side(f"{{{PORT}, addresses: ['fd20::11/64']}}")

    assert not told.has4
    assert told.has6
    assert ipaddress.ip_address(told.host4) in ipaddress.ip_network("198.51.100.0/24")


def test_two_zones_never_share_an_unused_network():
    """Or a frame for the one would be one for the other."""
    text = HEAD + f"  bigscreen: {{{PORT}, addresses: ['10.20.0.11/24']}}\n"
    found = scenes.scene_of(policies.parse(text.encode()), RUN)

    assert len({s.box6 for s in found.sides}) == len({s.host6 for s in found.sides}) == 2


def test_the_attacker_on_a_wire_has_its_own_address():
    """In the lab it is a real machine."""
    told = side(f"{{{PORT}, addresses: [10.20.0.11/24]}}", hosts={"bigscreen": ("10.20.0.66", "02:00:00:00:00:66")})

    assert (told.host4, told.host_mac) == ("10.20.0.66", "02:00:00:00:00:66")


def test_a_port_known_by_its_pci_address_has_the_mac_that_it_shows():
    """The policy does not say it."""
    told = side("{port: 'pci:0000:03:00.0', addresses: [10.20.0.11/24]}", macs={"bigscreen": "02:00:00:00:00:99"})

    assert told.mac == "02:00:00:00:00:99"


def test_a_pinned_neighbour_is_the_one_to_be_claimed():
    """And never the attacker."""
    told = side(f"{{{PORT}, addresses: [10.20.0.11/24], neighbours: {{10.20.0.254: '02:aa:00:00:00:01'}}}}")

    assert told.neighbour4 == "10.20.0.254"
    assert told.pinned == ("10.20.0.254",)
    assert told.host4 != "10.20.0.254"


def test_a_scene_is_read_as_it_was_written():
    """The attacker gets it as a file."""
    written = scenes.scene_of(
        policies.parse(f"{HEAD}  bigscreen: {{{PORT}, addresses: [10.20.0.11/24]}}\n".encode()), RUN
    )

    assert scenes.load(written.dump()) == written


ZEROS = "000000000000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"nonce": "zz", "zones": []}',
        f'{{"nonce": "{ZEROS}", "zones": []}}',
        f'{{"nonce": "{ZEROS}", "zones": [{{"zone": 7}}]}}',
    ],
)
def test_what_is_no_scene_is_refused(text: str):
    """A wrong file is told, not shot at."""
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's and ours; the command prints either)
        scenes.load(text)


def test_a_scene_with_another_nonce_length_is_refused():
    """Frames have room for six bytes."""
    written = json.loads(
        scenes.scene_of(
            policies.parse(f"{HEAD}  bigscreen: {{{PORT}, addresses: [10.20.0.11/24]}}\n".encode()), RUN
        ).dump()
    )

    with pytest.raises(ValueError, match="nonce has six bytes"):
        scenes.load(json.dumps(written | {"nonce": "00"}))
