"""Links, traffic control, routing and sockets of the zones -> findings. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from gateway.isolation.bridges.known import LINK_WAYS, NAMES, ORDINARY_QUEUES
from gateway.isolation.bridges.nouns import (
    HOME,
    CloseSocket,
    DeleteLink,
    DetachProgram,
    DropQueue,
    Found,
    FreeLink,
    LinkSeen,
    Mend,
    Open,
    Sight,
    Wired,
)
from gateway.isolation.bridges.ports import Expected, is_port
from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import FALLBACK
from gateway.isolation.topology import PORT

FIRST_EPHEMERAL = 32768  # what asks over UDP is bound from here on; net.ipv4.ip_local_port_range
NUMBERS = {"tcp": 6, "udp": 17}


def expected_of(policy: Policy) -> dict[str, Expected]:
    """Return what each zone of a policy may hold."""
    return {
        name: Expected(
            PORT,
            zone.port.mac,
            zone.port.pci,
            frozenset((s.listen.protocol, s.listen.port) for s in policy.services.values() if s.zone == name),
        )
        for name, zone in policy.zones.items()
    }


def found(name: str, zones: tuple[str, ...], what: str, *mends: Mend, way: int = 0, pid: int | None = None) -> Found:
    """Return a finding of the catalogue."""
    return Found(way or NAMES[name].way, name, zones, what, pid, "", mends)


def links(sight: Sight, expected: Mapping[str, Expected]) -> Iterator[Found]:
    """Yield what is wrong with the links of every namespace."""
    wires = {(link.space, link.index): link for link in sight.links if _zone(sight, link.space)}
    for link in sight.links:
        zone = _zone(sight, link.space)
        if link.loopback:
            continue
        if zone is None:
            yield from _elsewhere(sight, link, wires, expected)
        elif zone == HOME:
            yield from _at_home(sight, link)
        elif is_port(link, expected.get(zone), virtual=sight.virtual) and _zone(sight, link.far) is None:
            yield from _port(sight, link, zone)
        elif link.kind not in FALLBACK or link.up:
            yield _foreign(sight, link)
    yield from _cards(sight, expected)


def _zone(sight: Sight, space: int | None) -> str | None:
    """Return the zone or home that a namespace is; None for any other."""
    seen = sight.spaces.get(space or 0)
    return seen.zone if seen else None


def _foreign(sight: Sight, link: LinkSeen) -> Found:
    here, there = _zone(sight, link.space), _zone(sight, link.far)
    zones = tuple(zone for zone in (here, there) if zone)
    joined = ""
    if link.far is not None:
        joined = f", whose other side is in {sight.spaces[link.far] if link.far else 'another network namespace'}"
    kind = link.kind or "hardware"
    where = sight.spaces[link.space]
    mend = DeleteLink(link.space, link.index, bool(link.kind) and link.kind not in FALLBACK)
    return found(
        "foreign-link",
        zones,
        f"{where} has the link {link.name} ({kind}){joined}",
        mend,
        way=LINK_WAYS.get(link.kind, 16),
    )


def _elsewhere(
    sight: Sight, link: LinkSeen, zoned: Mapping[tuple[int, int], LinkSeen], expected: Mapping[str, Expected]
) -> Iterator[Found]:
    """Yield a link of no zone that stands on a link of one; the far end of a virtual port's cable does by nature."""
    zone = _zone(sight, link.far)
    if not zone or link.far is None:
        return
    lower = zoned.get((link.far, link.lower))
    wire = lower is not None and link.kind == "veth" and lower.kind == "veth"
    if not (wire and lower and is_port(lower, expected.get(zone), virtual=sight.virtual)):
        yield _foreign(sight, link)


def _at_home(sight: Sight, link: LinkSeen) -> Iterator[Found]:
    if _zone(sight, link.far):
        yield _foreign(sight, link)
    elif link.up:
        what = f"the link {link.name} ({link.kind or 'hardware'}) is up in the initial namespace, in no zone"
        yield found("link-up-at-home", (), what, DeleteLink(link.space, link.index, delete=False))


def _port(sight: Sight, link: LinkSeen, zone: str) -> Iterator[Found]:
    if link.master:
        what = f"the port of {zone} was put into the link {link.master} (bridge, bond or VRF)"
        yield found("enslaved-port", (zone,), what, FreeLink(link.space, link.index))
    if link.promiscuous:
        yield found("promiscuous-port", (zone,), f"the port of {zone} takes in frames that are not for it")
    if link.xdp:
        yield _xdp(sight, link, zone)


def _xdp(sight: Sight, link: LinkSeen, zone: str) -> Found:
    numbers = [program for _, program in link.xdp]
    told = []
    for number in numbers:
        program = sight.programs.get(number)
        tables = [sight.tables[n].name or f"map {n}" for n in program.maps if n in sight.tables] if program else []
        label = (program.name or program.tag) if program else "unseen"
        told.append(f"{number} ({label}{', with ' + ', '.join(tables) if tables else ''})")
    held = tuple(a.number for a in sight.attachments if a.program in numbers and a.index == link.index)
    mend = DetachProgram(link.space, link.index, () if held else tuple(mode for mode, _ in link.xdp), (), held)
    return found("bpf-program", (zone,), f"XDP program {', '.join(told)} is on the port of {zone}", mend)


def filters(sight: Sight) -> Iterator[Found]:
    """Yield traffic control that may send packets elsewhere: any discipline of no ordinary kind, any filter, any program."""
    for seen in sight.filters:
        zone = _zone(sight, seen.space)
        if not zone:
            continue
        if seen.kind == "tcx":
            what = f"BPF program {seen.program} is on {seen.link} of {zone} (tcx)"
            held = tuple(a.number for a in sight.attachments if a.program == seen.program and a.index == seen.index)
            tcx = () if held else ((seen.handle, seen.program),)
            yield found("bpf-program", (zone,), what, DetachProgram(seen.space, seen.index, (), tcx, held))
        elif seen.filters or seen.kind not in ORDINARY_QUEUES:
            inside = f" with filters ({', '.join(seen.filters)})" if seen.filters else ""
            mend = DropQueue(seen.space, seen.index, seen.handle, seen.parent)
            yield found(
                "traffic-control", (zone,), f"{seen.link} of {zone} has traffic control {seen.kind}{inside}", mend
            )


def wiring(sight: Sight) -> Iterator[Found]:
    """Yield what else leads packets elsewhere in a zone."""
    for wired in sight.wired:
        zone = _zone(sight, wired.space)
        if zone:
            yield from _wired(sight, wired, zone)


def _wired(sight: Sight, wired: Wired, zone: str) -> Iterator[Found]:
    for rule in wired.rules:
        yield found("policy-routing", (zone,), f"{zone} has policy routing: {rule}")
    if wired.multicast:
        yield found("multicast-routing", (zone,), f"{zone} routes multicast over {wired.multicast} interfaces")
    if wired.expected:
        yield found("expected-connection", (zone,), f"conntrack of {zone} expects {wired.expected} connections")
    # The other side of a virtual port's cable is such a namespace.
    cables = {0} if sight.virtual else set()
    strangers = len(wired.strangers) - sum(link.space == wired.space and link.far in cables for link in sight.links)
    if strangers > 0:
        what = f"{zone} knows {strangers} network namespaces that are neither zones nor the initial one"
        yield found("unknown-namespace", (zone,), what)
    for hook, program in wired.programs:
        yield found("bpf-program", (zone,), f"BPF program {program} decides in {zone} ({hook})")


def _cards(sight: Sight, expected: Mapping[str, Expected]) -> Iterator[Found]:
    """Yield zones whose ports are functions of one PCI device, or of one card's virtual functions."""
    on: dict[str, set[str]] = {}
    for link in sight.links:
        zone = _zone(sight, link.space)
        if zone and link.pci and is_port(link, expected.get(zone), virtual=sight.virtual):
            for address in {link.pci, link.physical} - {""}:
                on.setdefault(address.rpartition(".")[0], set()).add(zone)
    for device, zones in on.items():
        if len(zones) > 1:
            told = " and ".join(sorted(zones))
            yield found("shared-card", tuple(sorted(zones)), f"the ports of {told} are on one card (PCI {device})")


def listeners(sight: Sight, expected: Mapping[str, Expected]) -> Iterator[Found]:
    """Yield what listens in a zone beyond loopback although the policy names no such service."""
    for seen in sight.opened:
        zone = _zone(sight, seen.space)
        if not zone or not seen.listening or ipaddress.ip_address(seen.address).is_loopback:
            continue
        asks = seen.protocol == "udp" and seen.port >= FIRST_EPHEMERAL
        wanted = expected[zone].listens if zone in expected else frozenset()
        if (seen.protocol, seen.port) not in wanted and not asks and seen.port:
            what = f"something listens in {zone} at {seen.protocol}/{seen.port}, which no service of the policy names"
            yield found("unknown-listener", (zone,), what)


def orphans(sight: Sight, before: frozenset[tuple[int, int]]) -> tuple[list[Found], frozenset[tuple[int, int]]]:
    """Return sockets that no process held in this look nor in the one before, and what to remember of this one."""
    held = {socket.inode for process in sight.processes for socket in process.sockets}
    loose = {
        (seen.space, seen.owner): seen
        for seen in sight.opened
        if seen.owner and seen.owner not in held and _zone(sight, seen.space)
    }
    told = [_orphan(sight, seen) for key, seen in loose.items() if key in before]
    return told, frozenset(loose)


def _orphan(sight: Sight, seen: Open) -> Found:
    zone = str(sight.spaces[seen.space])
    mend = (
        (CloseSocket(seen.space, seen.family, NUMBERS[seen.protocol], seen.identity),)
        if seen.protocol in NUMBERS
        else ()
    )
    what = f"a {seen.protocol} socket of {zone} (port {seen.port}) is open and no process holds it: it is being passed, or io_uring's"
    return found("socket-in-flight", (zone,), what, *mend)
