"""Which card is meant, and which routes follow from addresses."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import HOME, missing_ports
from gateway.isolation.settings import everywhere, lacking, may_lack, of_port
from gateway.isolation.topology import Link, Place, Seen, follows, topology_of
from gateway.isolation.words import Port

MAC, OTHER = "02:68:67:0a:00:0b", "02:68:67:0a:00:0c"
PCI, BESIDE = "0000:03:00.0", "0000:04:00.0"
OWN = ("10.20.0.11/24", "fd20::11/64", "fe80::68:67ff:fe0a:b/64")


def place(port: Port, site: Policy) -> dict[str, Place]:
    return {"culture": dataclasses.replace(topology_of(site)["culture"], port=port)}


@pytest.mark.parametrize(
    ("port", "links", "told"),
    [
        (Port(mac=MAC), [Link("eth0", MAC, pci=PCI)], None),
        (Port(pci=PCI), [Link("eth0", OTHER, pci=PCI)], None),
        (Port(MAC, PCI), [Link("eth0", MAC, pci=PCI), Link("eth1", OTHER, pci=BESIDE)], None),
        (Port(pci=PCI), [Link("eth0", MAC)], f"no link has the PCI address {PCI}"),
        (
            Port(MAC, PCI),
            [Link("eth0", OTHER, pci=PCI), Link("eth1", MAC, pci=BESIDE)],
            f"the MAC {MAC} is on eth1 at {BESIDE}, and at {PCI} is eth0 with the MAC {OTHER}: were cards swapped?",
        ),
        (Port(MAC, PCI), [Link("eth1", MAC)], f"the MAC {MAC} is on eth1 at no PCI address: were cards swapped?"),
        (Port(MAC, PCI), [], f"no link has the MAC {MAC} and the PCI address {PCI}"),
        (Port(mac=MAC), [Link("eth0", MAC), Link("eth1", MAC)], f"more than one link (eth0, eth1) has the MAC {MAC}"),
    ],
)
def test_a_card_is_the_one_that_is_meant_or_the_zone_has_none(
    site: Policy, port: Port, links: list[Link], told: str | None
) -> None:
    """A card that was moved to another slot, or swapped, is told with both of its names."""
    assert missing_ports(place(port, site), {HOME: Seen(tuple(links))}).get("culture") == told


@pytest.mark.parametrize(
    ("to", "kind", "table", "via", "expected"),
    [
        ("10.20.0.0/24", "", 254, "", True),
        ("10.20.0.11/32", "local", 255, "", True),
        ("10.20.0.255/32", "broadcast", 255, "", True),
        ("127.0.0.0/8", "local", 255, "", True),
        ("fd20::/64", "", 254, "", True),
        ("fd20::/128", "anycast", 255, "", True),
        ("fe80::/64", "", 254, "", True),
        ("ff00::/8", "multicast", 255, "", True),
        ("10.20.0.0/24", "", 77, "", False),
        ("10.20.0.0/16", "", 254, "", False),
        ("10.20.0.0/24", "", 254, "10.20.0.1", False),
        ("10.20.0.12/32", "local", 255, "", False),
        ("10.77.0.0/16", "local", 255, "", False),
        ("0.0.0.0/0", "", 254, "", False),
        ("ff00::/8", "", 254, "", False),
        ("10.20.0.0/24", "blackhole", 254, "", False),
    ],
)
def test_only_what_follows_from_the_addresses_is_the_kernels_own(
    to: str, kind: str, table: int, via: str, expected: bool
) -> None:
    """Anybody can write 'proto kernel' at a route."""
    assert follows(to, kind, table, via, OWN) is expected


def test_a_setting_that_this_kernel_lacks_is_told_and_one_that_all_have_is_not() -> None:
    """What isolation rests on must be there."""
    wanted = everywhere(six=True) | of_port("port0", six=True)
    seen = {key: value for key, value in wanted.items() if key not in ("net/mptcp/enabled", "net/ipv4/ip_forward")}
    assert lacking(wanted, seen) == ["net/mptcp/enabled"]
    assert not may_lack("net/ipv4/ip_forward")
    assert not may_lack("net/ipv6/conf/port0/accept_ra")
    assert may_lack("net/ipv6/conf/port0/seg6_enabled")
    assert of_port("port0", six=False)["net/ipv6/conf/port0/disable_ipv6"] == "1"


def test_the_same_policy_has_the_same_topology(site: Policy) -> None:
    """It is not compiled again each second."""
    one, other = topology_of(site), topology_of(site)
    assert one is not other
    assert one["culture"].rules is other["culture"].rules
