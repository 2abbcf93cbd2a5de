"""The positive controls: boxes in which the hole is open, so that every probe is first shown to see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation.probe import alive
from gateway.isolation.probe.bench import Bench
from gateway.isolation.probe.catalogue import Hole
from gateway.isolation.probe.scene import Scene
from gateway.isolation.probe.shots import Shot
from gateway.isolation.probe.twin import LONGEST_FRAME, TALKATIVE, bench_of, ip, settings, wire, yard

TUNNEL, DEVICE = 42, "02:68:67:fd:00:01"  # what the tunnels of the attacks are addressed to
ROUTERS = ("fe80::6867", "fe80::6868")
ONCE = "02:68:67:fc:00:01"  # who a neighbour was before an attacker says otherwise
FOUR = {
    "accept_local": "1", "accept_redirects": "1", "accept_source_route": "1", "arp_accept": "1", "arp_filter": "0", "arp_ignore": "0",
    "bc_forwarding": "1", "drop_gratuitous_arp": "0", "drop_unicast_in_l2_multicast": "0", "proxy_arp": "1", "route_localnet": "1",
    "rp_filter": "0", "secure_redirects": "0", "send_redirects": "0", "shared_media": "1",
}  # fmt: skip
# As a host believes routers (forwarding 0), while the namespace as a whole forwards.
SIX = {
    "accept_ra": "2", "accept_ra_defrtr": "1", "accept_ra_min_hop_limit": "0", "accept_ra_mtu": "1", "accept_ra_pinfo": "1",
    "accept_ra_rt_info_max_plen": "128", "accept_redirects": "1", "accept_source_route": "1", "autoconf": "1", "disable_ipv6": "0",
    "drop_unsolicited_na": "0", "forwarding": "0", "proxy_ndp": "1", "rpl_seg_enabled": "1", "seg6_enabled": "1",
}  # fmt: skip
HELPERS = """
table ip helped {
    ct helper files { type "tftp" protocol udp; }
    ct helper calls { type "sip" protocol udp; }
    chain early {
        type filter hook prerouting priority 0;
        udp dport 69 ct helper set "files"
        udp dport 5060 ct helper set "calls"
    }
}
"""


def name(hole: Hole) -> str:
    """Return the namespace of a control's box."""
    return f"{hole}-box"


def build(hole: Hole, scene: Scene, shots: Iterable[Shot], stack: ExitStack) -> Bench:
    """Return a box with a hole and its wires; ``stack`` removes it.

    Raises:
        CommandFailed: this kernel cannot have the hole.
    """
    prefix = f"{hole}-"
    box, outside = name(hole), yard(stack, prefix)
    netns.make(box)
    stack.callback(netns.remove, box)
    ports = [f"p{number}" for number, _ in enumerate(scene.sides)]
    ip(outside, *(
        f"link add {wire(n)} mtu {LONGEST_FRAME} type veth peer name {ports[n]} address {side.mac} mtu {LONGEST_FRAME} netns {box}"
        for n, side in enumerate(scene.sides)
    ), *(f"link set {wire(n)} up" for n, _ in enumerate(scene.sides)))  # fmt: skip
    if hole == "joined":
        settings(box, {"net/ipv6/conf/all/disable_ipv6": "1"})
        ip(box, *(f"link set {port} up" for port in ports))
        _rules(box, _joint(ports))
    else:
        settings(box, dict(_openness(ports)) | TALKATIVE)
        ip(box, "link set lo up", *_addresses(scene, ports))
        settings(box, {f"net/ipv6/conf/{port}/forwarding": str(int(hole == "helped")) for port in ports})
        ip(box, *_knowledge(scene, ports, shots))
        with contextlib.suppress(
            command.CommandFailed
        ):  # where the kernel has no tunnels, its answer that nobody is there is seen instead
            ip(box, *_tunnel_end())
        if hole == "helped":
            _rules(box, HELPERS)
    bench = bench_of(scene, stack, outside, {side.zone: (box, ports[n]) for n, side in enumerate(scene.sides)})
    if hole != "joined":  # which has no addresses
        alive.await_box(bench, tuple(replace(side, has4=True, has6=True) for side in scene.sides))
    return bench


def _rules(box: str, text: str) -> None:
    netns.inside(box, lambda: command.run(["nft", "-f", "-"], stdin=text))


def _joint(ports: list[str]) -> str:
    """Return rules that repeat each frame to all other ports."""
    chains = ""
    for port in ports:
        others = "".join(f'        dup to "{other}"\n' for other in ports if other != port)
        chains += f'    chain {port} {{\n        type filter hook ingress device "{port}" priority 0;\n{others}    }}\n'
    return f"table netdev joint {{\n{chains}}}\n"


def _openness(ports: list[str]) -> Iterator[tuple[str, str]]:
    yield "net/ipv4/ip_forward", "1"
    yield "net/ipv4/icmp_echo_ignore_broadcasts", "0"
    yield "net/ipv6/conf/all/forwarding", "1"
    for port in ports:
        yield f"net/ipv4/neigh/{port}/locktime", "0"  # who speaks last is believed
    for port in ("all", "default", *ports):
        yield from ((f"net/ipv4/conf/{port}/{key}", value) for key, value in FOUR.items())
        yield from (
            (f"net/ipv6/conf/{port}/{key}", value) for key, value in SIX.items() if port != "all" or key != "forwarding"
        )


def _addresses(scene: Scene, ports: list[str]) -> Iterator[str]:
    for port, side in zip(ports, scene.sides, strict=True):
        yield f"link set {port} up"
        yield f"address add {side.box4}/{side.prefix4} brd {side.broadcast4} dev {port}"
        yield f"address add {side.box6}/{side.prefix6} dev {port} nodad"


def _knowledge(scene: Scene, ports: list[str], shots: Iterable[Shot]) -> Iterator[str]:
    """Yield what the box knows already: hosts, routers, and the neighbours that somebody will claim to be."""
    port_of = {side.zone: port for port, side in zip(ports, scene.sides, strict=True)}
    for port, side in zip(ports, scene.sides, strict=True):
        for end in (side.host4, side.host6, *ROUTERS):
            yield f"neighbour replace {end} lladdr {side.host_mac} dev {port} nud permanent"
        for end in dict.fromkeys((side.neighbour6, *(a for a in side.pinned if a not in (side.host4, side.host6)))):
            yield f"neighbour replace {end} lladdr {ONCE} dev {port} nud stale"
        for other in scene.sides:
            if other is not side:
                yield f"neighbour add proxy {other.box6} dev {port}"
    for shot in shots:
        side = scene.side(shot.source)
        if shot.attack in ("redirect", "pmtu"):
            yield f"route add {shot.traces[0].split()[0]}/32 via {side.neighbour4} dev {port_of[shot.source]} onlink"
        elif shot.attack in ("redirect6", "pmtu6"):
            yield f"route add {shot.traces[0].split()[0]}/128 via {ROUTERS[0]} dev {port_of[shot.source]}"


def _tunnel_end() -> Iterator[str]:
    """Yield the end of a tunnel."""
    yield f"link add vxlan{TUNNEL} address {DEVICE} type vxlan id {TUNNEL} dstport 4789"
    yield f"link set vxlan{TUNNEL} up"
