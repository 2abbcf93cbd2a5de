"""Links, traffic control, routing and listeners: what a zone may have is one port and loopback."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.isolation.bridges.judging_links import filters, links, listeners, orphans, wiring
from gateway.isolation.bridges.nouns import (
    Attachment,
    DeleteLink,
    DetachProgram,
    DropQueue,
    Filter,
    FreeLink,
    LinkSeen,
    Open,
    Program,
    Table,
    Wired,
)
from gateway.isolation.bridges.ports import Expected
from tests.unit.gateway.isolation.bridges.conftest import (
    AT_HOME,
    BIGSCREEN,
    CULTURE,
    EXPECTED,
    OTHER,
    inet,
    port,
    process,
    sight,
)


def judged(*seen: LinkSeen, expected: Any = EXPECTED, **more: Any) -> list[Any]:
    return list(links(sight(links=seen, **more), expected))


def test_a_port_and_loopback_are_no_findings():
    """Hardware under the zone's name with the policy's MAC; while it moves, under the name of its MAC."""
    lo = LinkSeen(CULTURE, 1, "lo", "00:00:00:00:00:00", up=True, loopback=True)
    assert not judged(lo, port(CULTURE), port(BIGSCREEN, name="hg02686714000b", up=False))


@pytest.mark.parametrize(
    ("link", "way"),
    [
        (port(CULTURE, mac="02:00:00:00:00:01"), 16),
        (port(CULTURE, name="port1"), 16),
        (port(CULTURE, kind="veth"), 16),
        (port(CULTURE, name="x", kind="macvlan", far=BIGSCREEN), 16),
        (port(CULTURE, name="x", kind="vlan"), 7),
        (port(CULTURE, name="x", kind="gre"), 8),
        (port(CULTURE, name="x", kind="bridge"), 17),
        (port(CULTURE, name="x", kind="vrf"), 18),
        (port(CULTURE, name="x", kind="tun"), 21),
    ],
)
def test_any_other_link_of_a_zone_is_foreign(link: LinkSeen, way: int):
    """A virtual link under the port's name and MAC is one too, on a box of hardware."""
    (finding,) = judged(link)
    assert (finding.name, finding.way) == ("foreign-link", way)
    assert finding.mends == (DeleteLink(CULTURE, 2, delete=link.kind not in ("", "gre")),)


def test_a_virtual_port_is_one_only_where_the_box_is_virtual_and_its_cable_leads_to_no_zone():
    """In the lab, a port is the end of a virtual cable that leaves the box."""
    assert not judged(port(CULTURE, kind="veth", far=0), virtual=True)
    for far in (BIGSCREEN, AT_HOME):
        (finding,) = judged(port(CULTURE, kind="veth", far=far), virtual=True)
        assert finding.name == "foreign-link"


def test_a_card_is_known_by_its_place():
    """With a PCI address in the policy, the name does not matter, and a swapped card is foreign."""
    expected = {"culture": Expected("port0", "", "0000:03:00.0")}
    assert not judged(port(CULTURE, name="eth7", pci="0000:03:00.0"), expected=expected)
    assert judged(port(CULTURE, pci="0000:04:00.0"), expected=expected)[0].name == "foreign-link"


def test_a_link_of_another_namespace_on_a_zone_s_port_is_found_there():
    """A macvlan that was moved away shows nothing in the zone itself."""
    link = LinkSeen(OTHER, 9, "x", "02:00:00:00:00:09", "macvlan", lower=2, far=CULTURE)
    (finding,) = judged(port(CULTURE), link)
    assert (finding.name, finding.zones, finding.mends) == ("foreign-link", ("culture",), (DeleteLink(OTHER, 9),))
    cable = LinkSeen(OTHER, 9, "wire", "02:00:00:00:00:09", "veth", lower=2, far=CULTURE)
    assert not judged(port(CULTURE, kind="veth", far=0), cable, virtual=True)


def test_nothing_is_up_at_home():
    """Cards that no zone has stay there, down."""
    card = LinkSeen(AT_HOME, 3, "eth3", "02:00:00:00:00:03")
    assert not judged(card)
    (finding,) = judged(LinkSeen(AT_HOME, 3, "eth3", "02:00:00:00:00:03", up=True))
    assert (finding.name, finding.mends) == ("link-up-at-home", (DeleteLink(AT_HOME, 3, delete=False),))


def test_what_is_done_to_a_port_is_found():
    """Enslaved it is freed; promiscuous is told, since a capture is what makes it so."""
    found = judged(port(CULTURE, master=5, promiscuous=1))
    assert [(f.name, f.mends) for f in found] == [("enslaved-port", (FreeLink(CULTURE, 2),)), ("promiscuous-port", ())]


def test_xdp_is_told_with_its_maps_and_taken_off_by_what_holds_it():
    """Netlink takes off what netlink put on; a BPF link is detached itself."""
    programs = {8: Program(8, 6, "ab" * 8, "cross", (4,))}
    tables = {4: Table(4, 14, "ways")}
    on = port(CULTURE, xdp=((2, 8),))

    (finding,) = judged(on, programs=programs, tables=tables)
    assert finding.name == "bpf-program"
    assert "8 (cross, with ways)" in finding.what
    assert finding.mends == (DetachProgram(CULTURE, 2, (2,)),)
    (linked,) = judged(on, programs=programs, attachments=(Attachment(31, 6, 8, index=2),))
    assert linked.mends == (DetachProgram(CULTURE, 2, attachments=(31,)),)


def test_two_zones_on_one_card_are_told():
    """Two functions of a device, or two virtual functions of one card; other devices are other cards."""
    first, second = port(CULTURE, pci="0000:03:00.0"), port(BIGSCREEN, pci="0000:03:00.1")
    (finding,) = judged(first, second)
    assert (finding.name, finding.zones, finding.mends) == ("shared-card", ("bigscreen", "culture"), ())
    assert not judged(first, port(BIGSCREEN, pci="0000:04:00.0"))
    virtual = [port(z, pci=f"0000:0{n}:10.0", physical="0000:03:00.0") for n, z in ((5, CULTURE), (6, BIGSCREEN))]
    assert [f.name for f in judged(*virtual)] == ["shared-card"]


def test_traffic_control_of_no_ordinary_kind_and_any_filter_goes():
    """The kernel's own queues stay; a filter on one of them takes it away, and so does clsact without any."""
    seen = (
        Filter(CULTURE, "port0", 2, "fq_codel", 1 << 16, 0xFFFFFFFF),
        Filter(CULTURE, "port0", 2, "fq_codel", 2 << 16, 0xFFFFFFFF, ("u32",)),
        Filter(CULTURE, "port0", 2, "clsact", 0xFFFF0000, 0xFFFFFFF1),
        Filter(OTHER, "eth0", 2, "clsact", 0xFFFF0000, 0xFFFFFFF1),
        Filter(CULTURE, "port0", 2, "tcx", 46, program=8),
    )
    found = list(filters(sight(filters=seen)))
    assert [(f.name, f.mends) for f in found] == [
        ("traffic-control", (DropQueue(CULTURE, 2, 2 << 16, 0xFFFFFFFF),)),
        ("traffic-control", (DropQueue(CULTURE, 2, 0xFFFF0000, 0xFFFFFFF1),)),
        ("bpf-program", (DetachProgram(CULTURE, 2, (), ((46, 8),)),)),
    ]


def test_routing_elsewhere_is_found_in_zones():
    """Rules, multicast routing, expectations, programs for a whole namespace, namespaces that nobody knows."""
    wired = Wired(CULTURE, ("family 2 priority 9 table 9",), 2, 1, (3, 4), (("socket look-up", 8),))
    found = [f.name for f in wiring(sight(wired=(wired, Wired(AT_HOME, ("x",)))))]
    assert found == ["policy-routing", "multicast-routing", "expected-connection", "unknown-namespace", "bpf-program"]


def test_the_cable_of_a_virtual_port_is_no_unknown_namespace():
    """One number is the lab's switch; a second one is somebody's."""
    cable = port(CULTURE, kind="veth", far=0)
    assert not list(wiring(sight(wired=(Wired(CULTURE, strangers=(3,)),), links=(cable,), virtual=True)))
    more = wiring(sight(wired=(Wired(CULTURE, strangers=(3, 4)),), links=(cable,), virtual=True))
    assert [f.name for f in more] == ["unknown-namespace"]


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (Open(BIGSCREEN, "tcp", 5, listening=True, address="0.0.0.0", port=80), []),
        (Open(BIGSCREEN, "tcp", 5, listening=True, address="10.20.0.11", port=23), ["unknown-listener"]),
        (Open(BIGSCREEN, "udp", 5, listening=True, address="::", port=80), ["unknown-listener"]),
        (Open(BIGSCREEN, "udp", 5, listening=True, address="::", port=40000), []),  # asks, and waits for its answer
        (Open(BIGSCREEN, "tcp", 5, listening=True, address="127.0.0.1", port=23), []),
        (Open(BIGSCREEN, "tcp", 5, address="", port=23), []),  # a connection
        (Open(AT_HOME, "tcp", 5, listening=True, address="0.0.0.0", port=23), []),
    ],
)
def test_what_listens_in_a_zone_is_a_service_of_the_policy(seen: Open, found: list[str]):
    """By protocol and port; loopback cannot be reached from outside."""
    assert [f.name for f in listeners(sight(opened=(seen,)), EXPECTED)] == found


def test_a_socket_that_nobody_holds_is_found_at_the_second_look():
    """At the first it may just be between two hands, or its process may be ending."""
    loose = Open(CULTURE, "tcp", 5, identity=b"id", family=2)
    first, kept = orphans(sight(opened=(loose,)), frozenset())
    assert first == []
    (second,), _ = orphans(sight(opened=(loose,)), kept)
    assert (second.name, second.mends[0].identity) == ("socket-in-flight", b"id")
    held, _ = orphans(sight(opened=(loose,), processes=(process(7, CULTURE, sockets=(inet(5, CULTURE),)),)), kept)
    assert held == []
    kernels = Open(CULTURE, "tcp", 0)
    assert orphans(sight(opened=(kernels,)), frozenset({(CULTURE, 0)}))[0] == []
