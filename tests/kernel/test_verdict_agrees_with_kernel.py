"""One packet table, judged twice: by the pure verdict, and by the real kernel that holds the compiled ruleset.

How the kernel judged is seen by a table of the test's own behind the box's: what Headgate's chains let through is counted there.
Each packet is followed by one that must pass; once that is counted, the packet before it has been judged too.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation.question import End, Question
from gateway.isolation.reconcile import reconcile
from gateway.isolation.topology import topology_of
from gateway.isolation.verdict import decide

pytestmark = pytest.mark.kernel

_spec = importlib.util.spec_from_file_location("frames", Path(__file__).with_name("frames.py"))
assert _spec is not None
assert _spec.loader is not None
frames = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(frames)

PATIENCE = 10.0  # seconds for a packet over a veth
# sentence, from, to, protocol, port, shape, accepted
INWARD = [
    ("a screen asks delivery", "bigscreen/10.20.0.50", "box", "tcp", 80, "whole", True),
    (
        "a screen asks delivery at the box's address",
        "bigscreen/10.20.0.50",
        "bigscreen/10.20.0.11",
        "tcp",
        80,
        "whole",
        True,
    ),
    ("a screen asks delivery over IPv6", "bigscreen/fd20::50", "box", "tcp", 80, "whole", True),
    ("a screen asks for the time", "bigscreen/10.20.0.50", "box", "udp", 123, "whole", True),
    ("the last host of a service's network", "bigscreen/10.20.0.51", "box", "tcp", 8080, "whole", True),
    ("the host behind it", "bigscreen/10.20.0.52", "box", "tcp", 8080, "whole", False),
    ("a host named alone", "bigscreen/10.20.0.60", "box", "tcp", 8080, "whole", True),
    ("IPv6 where the service names IPv4 alone", "bigscreen/fd20::50", "box", "tcp", 8080, "whole", False),
    ("a host of a group", "bigscreen/10.20.0.70", "box", "tcp", 8443, "whole", True),
    ("a host of a group over IPv6", "bigscreen/fd20::70", "box", "tcp", 8443, "whole", True),
    ("a host of a network in a group", "bigscreen/10.20.0.83", "box", "tcp", 8443, "whole", True),
    ("a host beside a network in a group", "bigscreen/10.20.0.84", "box", "tcp", 8443, "whole", False),
    ("a host between two of a group", "bigscreen/10.20.0.71", "box", "tcp", 8443, "whole", False),
    ("a host beside a group", "bigscreen/10.20.0.7", "box", "tcp", 8443, "whole", True),
    ("a host of no group over IPv6", "bigscreen/fd20::71", "box", "tcp", 8443, "whole", False),
    ("a host of a group at another service's port", "bigscreen/10.20.0.70", "box", "tcp", 8080, "whole", False),
    ("a screen tries ssh", "bigscreen/10.20.0.50", "box", "tcp", 22, "whole", False),
    ("a screen tries delivery's port over udp", "bigscreen/10.20.0.50", "box", "udp", 80, "whole", False),
    ("a screen pings the box", "bigscreen/10.20.0.50", "box", "icmp", None, "whole", False),
    ("a packet in fragments", "bigscreen/10.20.0.50", "box", "tcp", 80, "fragment", False),
    ("a packet with IP options", "bigscreen/10.20.0.50", "box", "tcp", 80, "options", False),
    ("a sender of another zone", "bigscreen/10.40.0.20", "box", "tcp", 80, "whole", False),
    ("a sender that is the box itself", "bigscreen/10.20.0.11", "box", "tcp", 80, "whole", False),
    ("a sender from loopback", "bigscreen/127.0.0.1", "box", "tcp", 80, "whole", False),
    ("a sender from nowhere", "bigscreen/192.0.2.7", "box", "tcp", 80, "whole", False),
    ("an IPv6 sender from nowhere", "bigscreen/2001:db8::7", "box", "tcp", 80, "whole", False),
    ("the box's address in another zone", "bigscreen/10.20.0.50", "culture/10.10.0.11", "tcp", 443, "whole", False),
    ("a host of another zone", "bigscreen/10.20.0.50", "management/10.40.0.20", "tcp", 22, "whole", False),
    ("a neighbour, through the box", "bigscreen/10.20.0.50", "bigscreen/10.20.0.60", "tcp", 80, "whole", False),
    ("the administrator comes by ssh", "management/10.40.0.20", "box", "tcp", 22, "whole", True),
    ("the administrator tries delivery", "management/10.40.0.20", "box", "tcp", 80, "whole", False),
    ("a host behind a router of the zone", "culture/10.11.4.9", "box", "tcp", 443, "whole", True),
    ("a host behind it that the service does not name", "culture/10.11.8.9", "box", "tcp", 443, "whole", False),
    ("a host beside the router's networks", "culture/10.12.0.9", "box", "tcp", 443, "whole", False),
]
OUTWARD = [
    ("fetch asks the origin", "culture/10.10.0.20", "tcp", 80, True),
    ("the box tries another port of the origin", "culture/10.10.0.20", "tcp", 81, False),
    ("the box tries another host", "culture/10.10.0.21", "tcp", 80, False),
    ("the box asks the first name server", "management/10.40.0.16", "udp", 53, True),
    ("the box asks beyond the last one", "management/10.40.0.32", "udp", 53, False),
    ("the box asks a name server over tcp", "management/10.40.0.17", "tcp", 53, False),
    ("the box turns to a screen", "bigscreen/10.20.0.50", "tcp", 80, False),
    ("the box turns to a screen over IPv6", "bigscreen/fd20::50", "tcp", 80, False),
]
# In each zone, a packet that the policy lets in: protocol, sender, port.
MARKER = {
    "bigscreen": ("udp", "10.20.0.99", 123),
    "management": ("tcp", "10.40.0.99", 22),
    "culture": ("tcp", "10.11.4.99", 443),
}


SEEN = "table inet seen {\n"
for _hook in ("input", "output", "forward"):
    SEEN += f"""
        set {_hook} {{ type inet_service; flags dynamic; size 4096; }}
        chain {_hook}1 {{
            type filter hook {_hook} priority 100;
            meta l4proto {{tcp, udp}} update @{_hook} {{ th sport }}
            icmp type echo-request counter
        }}
    """
SEEN += "}\n"


class Wires:
    """An applied scratch site and the means to send frames at it and to count what got in."""

    def __init__(self, site: Any) -> None:
        self.site = site
        wanted = topology_of(site.policy)
        for _ in range(2):
            for action in reconcile(wanted, site.kernel.observe(wanted)):
                site.kernel.act(action)
        assert reconcile(wanted, site.kernel.observe(wanted)) == []
        for zone in site.policy.zones:
            site.kernel.inside(zone, lambda: command.run(["nft", "-f", "-"], stdin=SEEN))
        self.ports = iter(range(40000, 60000))

    def send(self, zone: str, kind: int, packets: list[bytes], source: str = "02:00:00:00:00:50") -> None:
        """Send packets from the host on a zone's wire to the box's port."""
        port = self.site.policy.zones[zone].port.mac

        def go() -> None:
            with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
                raw.bind(("wire", 0))
                for packet in packets:
                    raw.send(frames.frame(kind, port, packet, source))

        netns.inside(self.site.host(zone), go)

    def seen(self, hook: str, port: int) -> set[str]:
        """Return the zones in which a packet with this source port came through at a hook."""
        return {zone for zone in self.site.policy.zones if port in self._ports(zone, hook)}

    def echoes(self, zone: str) -> int:
        """Return how many echo requests came through in a zone."""
        listed = self._nft(zone, "list", "chain", "inet", "seen", "input1")
        rules = [part["rule"]["expr"] for part in listed if "rule" in part]
        return sum(e["counter"]["packets"] for expr in rules for e in expr if "counter" in e)

    def _ports(self, zone: str, hook: str) -> set[int]:
        (found,) = [part["set"] for part in self._nft(zone, "list", "set", "inet", "seen", hook) if "set" in part]
        return {int(e["elem"]["val"] if isinstance(e, dict) else e) for e in found.get("elem", [])}

    def _nft(self, zone: str, *words: str) -> list[dict[str, Any]]:
        text = self.site.kernel.inside(zone, lambda: command.run(["nft", "-j", *words]))
        listed: list[dict[str, Any]] = json.loads(text)["nftables"]
        return listed

    def judged(self, zone: str) -> None:
        """Wait until what was sent in ``zone`` so far has been judged: a packet that must pass has come through."""
        protocol, source, port = MARKER[zone]
        target = next(str(a.ip) for a in self.site.policy.zones[zone].addresses)
        number = next(self.ports)
        self.send(zone, frames.IPV4, frames.packets("whole", protocol, source, target, (number, port)))
        deadline = time.monotonic() + PATIENCE
        while number not in self._ports(zone, "input"):
            assert time.monotonic() < deadline, f"the positive control of {zone} did not come through"


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One applied site for the whole table."""
    spec = importlib.util.spec_from_file_location("scratch_sites", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    site = module.ScratchSite(module.POLICY)
    site.prefix = site.prefix.replace("iso", "pkt")
    site.kernel.prefix, site.kernel.home = site.prefix, site.prefix + "home"
    try:
        site.make()
        yield Wires(site)
    finally:
        site.remove()


@pytest.mark.parametrize("case", INWARD, ids=[case[0] for case in INWARD])
def test_what_comes_in(wires: Wires, case: tuple[str, str, str, str, int | None, str, bool]) -> None:
    """Verdict and kernel say the same of each packet sent at the box."""
    _, source, target, protocol, port, shape, accepted = case
    policy = wires.site.policy
    sender, receiver = End.parse(source), End.parse(target)
    assert decide(policy, Question(sender, receiver, protocol, port, shape=shape)).allowed is accepted  # type: ignore[arg-type]
    zone = sender.zone or ""
    assert sender.address is not None
    own = next(str(a.ip) for a in policy.zones[zone].addresses if a.version == sender.address.version)
    number, before = next(wires.ports), wires.echoes(zone)
    packets = frames.packets(shape, protocol, str(sender.address), str(receiver.address or own), (number, port or 0))
    wires.send(zone, frames.IPV6 if sender.address.version == 6 else frames.IPV4, packets)
    wires.judged(zone)
    assert (zone in wires.seen("input", number)) is accepted
    assert wires.seen("input", number) <= {zone}
    assert wires.seen("forward", number) == set()
    assert wires.echoes(zone) == before


@pytest.mark.parametrize(
    ("reason", "sender", "port", "shape"),
    [
        ("ingress false sender", "10.40.0.20", 80, "whole"),
        ("ingress false sender", "10.20.0.11", 80, "whole"),
        ("ingress false sender", "127.0.0.1", 80, "whole"),
        ("ingress false sender", "192.0.2.7", 80, "whole"),
        ("ingress false neighbour", "10.20.0.1", 80, "whole"),
        ("ingress options", "10.20.0.50", 80, "options"),
        ("input default", "10.20.0.50", 81, "whole"),
    ],
)
def test_what_is_dropped_is_counted_with_its_reason(
    wires: Wires, reason: str, sender: str, port: int, shape: str
) -> None:
    """One packet more for this reason, and for no other; a false sender is dropped before the rest of the kernel sees it."""
    before, number = wires.site.kernel.denied("bigscreen"), next(wires.ports)
    wires.send("bigscreen", frames.IPV4, frames.packets(shape, "tcp", sender, "10.20.0.11", (number, port)))
    wires.judged("bigscreen")
    after = wires.site.kernel.denied("bigscreen")
    changed = {why: after[why] - before[why] for why in after if after[why] != before[why]}
    assert changed.pop(reason) == 1
    assert not {
        why for why in changed if "default" not in why
    }  # what the neighbourhood discovery of the host's own kernel sends


@pytest.mark.parametrize(
    ("sender", "mac", "accepted"),
    [
        ("10.20.0.1", "02:aa:00:00:00:14", True),
        ("10.20.0.1", "02:00:00:00:00:50", False),
        ("10.20.0.2", "02:aa:00:00:00:14", True),
        ("fd20::1", "02:aa:00:00:00:14", True),
        ("fd20::1", "02:00:00:00:00:50", False),
    ],
)
def test_a_pinned_neighbour_speaks_with_its_own_mac_alone(wires: Wires, sender: str, mac: str, accepted: bool) -> None:
    """Who takes its address gets nowhere; its MAC may have other addresses too."""
    number, six = next(wires.ports), ":" in sender
    packets = frames.packets("whole", "tcp", sender, "fd20::11" if six else "10.20.0.11", (number, 80))
    wires.send("bigscreen", frames.IPV6 if six else frames.IPV4, packets, mac)
    wires.judged("bigscreen")
    assert bool(wires.seen("input", number)) is accepted


@pytest.mark.parametrize("tag", [0, 5])
@pytest.mark.parametrize("kind", [0x8100, 0x88A8])
def test_a_tagged_frame_does_not_come_in(wires: Wires, tag: int, kind: int) -> None:
    """Also with VLAN 0, which the kernel would take off without a word."""
    number = next(wires.ports)
    before = wires.site.kernel.denied("bigscreen")["ingress tagged"]
    (packet,) = frames.packets("whole", "tcp", "10.20.0.50", "10.20.0.11", (number, 80))
    wires.send("bigscreen", kind, [struct.pack(">HH", tag, frames.IPV4) + packet])
    wires.judged("bigscreen")
    assert wires.seen("input", number) == set()
    assert wires.site.kernel.denied("bigscreen")["ingress tagged"] == before + 1


@pytest.mark.parametrize("header", [0, 43, 60], ids=["hop by hop", "routing", "destination"])
def test_ipv6_extension_headers_do_not_come_in(wires: Wires, header: int) -> None:
    """A routing header is the source route of IPv6."""
    number = next(wires.ports)
    before = wires.site.kernel.denied("bigscreen")["ingress extension headers"]
    (packet,) = frames.packets("whole", "tcp", "fd20::50", "fd20::11", (number, 80))
    body = struct.pack(">BB6x", 6, 0) + packet[40:]
    longer = packet[:4] + struct.pack(">HB", len(body), header) + packet[7:40] + body
    wires.send("bigscreen", frames.IPV6, [longer])
    wires.judged("bigscreen")
    assert wires.seen("input", number) == set()
    assert wires.site.kernel.denied("bigscreen")["ingress extension headers"] == before + 1


@pytest.mark.parametrize("flags", [0, 1, 4, 16, 18, 41], ids=["null", "fin", "rst", "ack", "syn-ack", "xmas"])
def test_scans_open_nothing(wires: Wires, flags: int) -> None:
    """A packet that is not the opening of a connection does not come in, at the port of a service either."""
    number = next(wires.ports)
    body = frames.opening("tcp", "10.20.0.50", "10.20.0.11", (number, 80), flags)
    wires.send("bigscreen", frames.IPV4, [frames.ip4("tcp", "10.20.0.50", "10.20.0.11", body)])
    wires.judged("bigscreen")
    assert wires.seen("input", number) == set()


@pytest.mark.parametrize("case", OUTWARD, ids=[case[0] for case in OUTWARD])
def test_what_the_box_opens(wires: Wires, case: tuple[str, str, str, int, bool]) -> None:
    """Verdict and kernel say the same of each connection that the box tries."""
    _, target, protocol, port, accepted = case
    receiver = End.parse(target)
    assert decide(wires.site.policy, Question(End(), receiver, protocol, port)).allowed is accepted  # type: ignore[arg-type]
    number, zone = next(wires.ports), receiver.zone or ""
    assert receiver.address is not None
    family = socket.AF_INET6 if receiver.address.version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM

    def go() -> None:
        with closing(socket.socket(family, kind)) as client:
            client.setblocking(False)
            client.bind(("", number))
            if protocol == "tcp":
                client.connect_ex((str(receiver.address), port))
            else:
                try:
                    client.sendto(b"headgate", (str(receiver.address), port))
                except PermissionError:
                    assert not accepted

    wires.site.kernel.inside(zone, go)
    assert wires.seen("output", number) == ({zone} if accepted else set())


def _asked(wires: Wires, sender: str, target: str, zone: str = "bigscreen") -> bool:
    """Return whether the box answers an ARP request within the time that a marker takes."""
    port = wires.site.policy.zones[zone].port.mac

    def go() -> bool:
        with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(frames.ARP))) as raw:
            raw.bind(("wire", frames.ARP))
            # The second one must be answered: until then we have listened long enough.
            for who, asked in ((sender, target), ("10.20.0.99", "10.20.0.11")):
                payload = frames.arp_request("02:00:00:00:00:50", who, asked)
                raw.send(frames.frame(frames.ARP, "ff:ff:ff:ff:ff:ff", payload))
            raw.settimeout(PATIENCE)
            answers = []
            while True:
                got = raw.recv(2048)
                if got[6:12] == frames.mac(port) and got[20:22] == b"\0\2":
                    answers.append((socket.inet_ntoa(got[28:32]), socket.inet_ntoa(got[38:42])))
                    if answers[-1] == ("10.20.0.11", "10.20.0.99"):
                        return (target, sender) in answers

    return netns.inside(wires.site.host(zone), go)


@pytest.mark.parametrize(
    ("sender", "target", "answered"),
    [
        ("10.20.0.50", "10.20.0.11", True),
        ("10.20.0.1", "10.20.0.11", False),  # a pinned neighbour's, from another MAC
        ("10.20.0.50", "10.10.0.11", False),
        ("10.20.0.50", "10.40.0.11", False),
        ("10.20.0.50", "10.20.0.12", False),
        ("10.10.0.50", "10.20.0.11", False),
        ("10.20.0.11", "10.20.0.11", False),
    ],
)
def test_the_box_answers_arp_for_its_own_address_alone(wires: Wires, sender: str, target: str, answered: bool) -> None:
    """Neither other zones' addresses nor false senders get an answer."""
    assert _asked(wires, sender, target) is answered


def test_a_connection_works_both_ways(scratch: Callable[..., Any]) -> None:
    """A screen gets its answer from delivery, and the box gets its own from the origin: ARP and replies pass."""
    site = scratch()
    Wires(site)
    site.give("bigscreen", "10.20.0.50/24")
    site.give("culture", "10.10.0.20/24")
    box = site.kernel
    with closing(box.inside("bigscreen", lambda: socket.create_server(("10.20.0.11", 80)))) as server:
        assert (
            _exchange(server, lambda work: netns.inside(site.host("bigscreen"), work), ("10.20.0.11", 80)) == b"hello"
        )
    with closing(netns.inside(site.host("culture"), lambda: socket.create_server(("10.10.0.20", 80)))) as server:
        assert _exchange(server, lambda work: box.inside("culture", work), ("10.10.0.20", 80)) == b"hello"


def _exchange(server: socket.socket, inside: Callable[[Callable[[], Any]], Any], address: tuple[str, int]) -> bytes:
    server.settimeout(PATIENCE)
    with closing(inside(lambda: socket.create_connection(address, PATIENCE))) as client:
        accepted, _ = server.accept()
        with closing(accepted):
            client.sendall(b"hello")
            accepted.settimeout(PATIENCE)
            return accepted.recv(16)
