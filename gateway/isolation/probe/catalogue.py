"""Every attack that is sent: the way across that it belongs to, what would show it, and the hole in which it is first shown to be seen.

Hole ``open``: one namespace with all ports that forwards, answers and believes whatever it is told, without a ruleset.
Hole ``joined``: the ports repeat each frame to each other, as a bridge, a tap or a program between them would.
Hole ``helped``: as open, but a router all through, with connection tracking helpers and answers for others' IPv6 addresses.

What is seen in another zone always counts; ``answer`` means that an answer in the attacker's own zone counts too, ``effect`` that
something may not change in the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Hole = Literal["open", "joined", "helped"]
ANSWER, EFFECT = "answer", "effect"


@dataclass(frozen=True)
class Attack:
    """One kind of attack."""

    way: int  # by the numbers of docs/isolation.md
    name: str
    says: str
    sees: tuple[str, ...] = (ANSWER,)
    hole: Hole = "open"
    alone: bool = False  # the kernel is looked at right after it: the next one would hide what it did
    within: bool = False  # sent by sockets of the zone's own namespace, as a daemon that was taken over would


def _open(way: int, name: str, says: str, *sees: str) -> Attack:
    return Attack(way, name, says, sees or (ANSWER,))


def _joined(way: int, name: str, says: str) -> Attack:
    return Attack(way, name, says, (ANSWER,), "joined")


def _claim(way: int, name: str, says: str) -> Attack:
    return Attack(way, name, says, (EFFECT,), alone=True)


def _pieces(name: str, says: str) -> Attack:
    return Attack(6, name, says, (ANSWER, EFFECT), alone=True)


ATTACKS: tuple[Attack, ...] = (
    _open(1, "arp-other-box", "who has the box's address in another zone"),
    _open(1, "arp-other-host", "who has a host's address in another zone"),
    _open(1, "arp-false-sender", "a host of another zone asks for the box"),
    _claim(2, "arp-gratuitous", "a stranger tells all that it is a neighbour"),
    _claim(2, "arp-unasked", "a stranger tells the box that it is a neighbour"),
    _claim(2, "arp-other-zone", "a stranger tells the box that it is a host of another zone"),
    _claim(2, "arp-pinned", "a stranger asks the box under the address of a pinned neighbour"),
    _open(3, "icmp-other-zone", "ping of other zones' addresses"),
    _open(3, "udp-other-zone", "datagrams to other zones' addresses"),
    _open(3, "tcp-other-zone", "connections to other zones' addresses"),
    _open(3, "icmp6-other-zone", "IPv6 ping of other zones' addresses"),
    _open(3, "udp6-other-zone", "IPv6 datagrams to other zones' addresses"),
    _open(3, "tcp6-other-zone", "IPv6 connections to other zones' addresses"),
    _open(3, "false-sender", "a datagram whose sender is in another zone: the answer would go there"),
    _open(3, "false-sender6", "the same over IPv6"),
    _open(3, "loopback-target", "a datagram to 127.0.0.1 of the box"),
    _open(3, "icmp-questions", "time, mask and information asked of the box"),
    _open(4, "ra-address", "a router advertises a prefix", EFFECT),
    _open(4, "ra-router", "a router advertises itself", EFFECT),
    _open(4, "ra-route", "a router advertises a route", EFFECT),
    _open(4, "ra-names", "a router advertises a name server", EFFECT),
    _open(4, "ra-mtu", "a router advertises a packet size", EFFECT),
    Attack(4, "ns-other-box", "who has the box's IPv6 address in another zone", hole="helped"),
    _claim(4, "na-unasked", "a stranger tells the box that it is an IPv6 neighbour"),
    _claim(4, "ns-pinned", "a stranger asks the box under the IPv6 address of a pinned neighbour"),
    _open(4, "icmp6-all", "ping of all IPv6 nodes"),
    _joined(4, "mld", "multicast listeners asked and reported"),
    _open(5, "source-route-loose", "a datagram that asks to be sent on to another zone (LSRR)"),
    _open(5, "source-route-strict", "the same, strictly (SSRR)"),
    _open(5, "ip-options", "record route, time stamps and router alert"),
    _open(5, "routing-header-0", "IPv6 routing header of type 0"),
    _open(5, "segment-routing", "IPv6 segment routing header (SRv6)"),
    _open(5, "hop-by-hop", "IPv6 hop-by-hop and destination options"),
    _pieces("fragments", "datagrams in two fragments"),
    _pieces("fragments-overlapping", "fragments that overlap"),
    _pieces("fragments-tiny", "a TCP header cut in two"),
    _pieces("fragments-last", "only the last fragment"),
    _pieces("fragments6", "IPv6 datagrams in two fragments"),
    _pieces("fragments6-overlapping", "IPv6 fragments that overlap"),
    _pieces("fragments6-atomic", "an IPv6 fragment header on a whole packet"),
    _joined(7, "vlan", "a frame tagged for another VLAN"),
    _joined(7, "vlan-double", "a frame with two tags"),
    _joined(7, "vlan-service", "a frame with a service provider's tag (802.1ad)"),
    _open(7, "vlan-priority", "a frame with a priority tag, VLAN 0"),
    _open(8, "ipip", "IPv4 in IPv4"),
    _open(8, "ip6-in-ip4", "IPv6 in IPv4 (6in4)"),
    _open(8, "ip4-in-ip6", "IPv4 in IPv6"),
    _open(8, "gre", "IPv4 in GRE"),
    _open(8, "gre-ethernet", "Ethernet in GRE, with a key (NVGRE)"),
    _open(8, "erspan", "a mirrored frame (ERSPAN)"),
    _open(8, "etherip", "Ethernet in IP"),
    _open(8, "vxlan", "Ethernet in VXLAN"),
    _open(8, "geneve", "Ethernet in Geneve"),
    _open(8, "l2tp", "PPP in L2TP"),
    _open(8, "l2tp3", "L2TPv3 in IP"),
    _open(8, "wireguard", "a WireGuard handshake"),
    _open(8, "esp", "an encrypted packet (ESP, and in UDP)"),
    _open(8, "ah", "an authenticated packet (AH)"),
    _open(8, "fou", "IPv4 in UDP (FOU, GUE)"),
    _open(8, "teredo", "IPv6 in UDP (Teredo)"),
    _joined(8, "mpls", "IPv4 in MPLS"),
    _joined(8, "pppoe", "IPv4 in PPPoE, and its discovery"),
    _joined(8, "nsh", "a service chain's header (NSH), MACsec and batman"),
    _open(9, "redirect", "another router is said to be better", EFFECT),
    _open(9, "redirect6", "another IPv6 router is said to be better", EFFECT),
    _open(9, "pmtu", "packets are said to be too large", EFFECT),
    _open(9, "pmtu6", "IPv6 packets are said to be too large", EFFECT),
    _open(10, "broadcast-ping", "ping of all hosts"),
    _open(10, "broadcast-directed", "a datagram to all hosts of another zone"),
    _open(10, "multicast-ping", "ping of all multicast hosts"),
    _joined(10, "broadcast", "a datagram to everybody"),
    _joined(10, "multicast", "datagrams to multicast groups"),
    _joined(10, "igmp", "multicast groups asked for and joined"),
    _joined(10, "mdns", "names announced by multicast (mDNS)"),
    _joined(10, "llmnr", "names asked for by multicast (LLMNR, NetBIOS)"),
    _joined(10, "ssdp", "devices announced by multicast (SSDP, WS-Discovery)"),
    _open(11, "dhcp-offer", "addresses offered to the box (DHCP)"),
    _open(11, "dhcp-relay", "addresses asked of the box, for a relay in another zone"),
    _joined(11, "dhcp-discover", "addresses asked of everybody"),
    _open(11, "dhcp6", "IPv6 addresses offered to and asked of the box"),
    _open(12, "dns-tunnel", "data in a name asked of the box and of other zones"),
    _open(12, "icmp-tunnel", "data in a ping of the box"),
    _open(13, "ftp-port", "PORT commands that name another zone"),
    Attack(13, "sip-invite", "a call, so that ports open for its sound", (ANSWER, EFFECT), "helped"),
    Attack(13, "tftp-request", "a file asked for, so that a port opens for the answer", (ANSWER, EFFECT), "helped"),
    _open(14, "ack-scan", "acknowledgements of nothing"),
    _open(14, "fin-scan", "ends of nothing"),
    _open(14, "null-scan", "segments without any flag"),
    _open(14, "xmas-scan", "segments with all odd flags"),
    _open(14, "syn-fin", "a beginning that is an end"),
    _open(14, "syn-reset", "resets and beginnings that are resets"),
    _open(14, "split-handshake", "a handshake in the wrong order"),
    _open(14, "simultaneous-open", "both ends begin"),
    _open(14, "urgent", "urgent data out of nowhere"),
    _open(14, "data-in-syn", "data in the first segment, with and without a cookie (TFO)"),
    _open(14, "tcp6-scan", "the same scans over IPv6"),
    _open(15, "mptcp", "multipath TCP: a first path and a second one"),
    _open(15, "sctp", "SCTP"),
    _open(15, "dccp", "DCCP"),
    _open(15, "udp-lite", "UDP-Lite"),
    _open(15, "protocols", "every IP protocol number but ICMP, TCP and UDP"),
    _joined(17, "foreign-mac", "frames for the box's port in another zone"),
    Attack(28, "raw-socket", "a daemon that was taken over sends to other zones by raw sockets", within=True),
    _open(33, "ntp", "time asked of the box and of other zones, and told"),
    _joined(33, "ptp", "precise time told (PTP)"),
    _joined(35, "lldp", "switches' own talk: LLDP, CDP, EDP"),
    _joined(35, "stp", "switches' own talk: spanning tree, loops"),
    _joined(35, "eapol", "access and link control: EAPOL, LACP, OAM, pause"),
    _joined(35, "snap", "old networks: SNAP, IPX, AppleTalk"),
    _joined(35, "unknown-type", "an Ethernet type that nobody knows"),
    _joined(35, "malformed", "packets that lie about their length, version or header"),
    _joined(35, "jumbo", "a frame of 9000 bytes"),
    _open(36, "other-services", "the ports of other zones' services, asked here"),
)  # fmt: skip
BY_NAME = {attack.name: attack for attack in ATTACKS}
