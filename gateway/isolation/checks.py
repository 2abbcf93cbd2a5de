"""What is wrong in a policy whose sections are each well formed: names that lead nowhere, overlaps, broken cases.

``broken`` holds the paths of entries that were left out because they are wrong in themselves: what leads to those is not told again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.runtime.config import Key, Problem, nearest
from gateway.isolation import question, verdict
from gateway.isolation.groups import Hosts, pack, word_of
from gateway.isolation.question import ZONES

if TYPE_CHECKING:
    from gateway.isolation.content import WebOrigin
    from gateway.isolation.policy import Origin, Policy, Zone
    from gateway.isolation.words import Network

SCREENS = ("bigscreen", "smallscreen")  # zones to which web answers may cross
Broken = frozenset[Key]


def problems_of(policy: Policy, broken: Broken) -> Iterator[Problem]:
    """Yield every semantic fault of ``policy``."""
    yield from _approval(policy)
    yield from _zones(policy, broken)
    yield from _neighbours(policy)
    yield from _groups(policy)
    yield from _bodies(policy)
    yield from _origins(policy, broken)
    yield from _web(policy, broken)
    yield from _services(policy, broken)
    yield from _inward(policy)
    yield from _reach(policy, broken)
    yield from _lanes(policy, broken)
    yield from _content(policy, broken)
    yield from _never(policy, broken)
    yield from _cases(policy, broken)


def _approval(policy: Policy) -> Iterator[Problem]:
    approval = policy.approval
    if approval is None:
        return
    if policy.serial is None:
        yield Problem(
            ("approval",), "a policy that asks for signatures needs 'serial:', or an older signed one could return"
        )
    owners: dict[str, str] = {}
    for name, key in approval.keys.items():
        owner = owners.setdefault(str(key), name)
        if owner != name:
            yield Problem(
                ("approval", "keys", name), f"is the key of '{owner}' already: each person has a key of their own"
            )
    if approval.signatures > len(owners):
        told = f"{approval.signatures} signatures of {len(owners)} keys: nobody could change this policy any more"
        yield Problem(("approval", "signatures"), told)


def _neighbours(policy: Policy) -> Iterator[Problem]:
    for name, zone in policy.zones.items():
        for address, mac in zone.neighbours.items():
            where: Key = ("zones", name, "neighbours", str(address))
            if zone.owns(address):
                yield Problem(where, f"{address} is the box itself")
            elif mac == zone.port.mac:
                yield Problem(where, f"{mac} is the box's own port")


def _groups(policy: Policy) -> Iterator[Problem]:
    for name in policy.groups:
        if name in policy.bodies and policy.bodies[name].addresses:
            yield Problem(("groups", name), f"body '{name}' has addresses too: what '@{name}' means is not clear")


def _zones(policy: Policy, broken: Broken) -> Iterator[Problem]:
    if not policy.zones and not any(path[0] == "zones" for path in broken):
        yield Problem(("zones",), "a policy needs 'zones:': the networks on the box's ports")
    for name in policy.zones:
        if name not in ZONES:
            hint = nearest(name, ZONES) or f"known: {', '.join(ZONES)}"
            yield Problem(("zones", name), f"unknown zone '{name}'", hint)
    for (one, a), (two, b) in itertools.combinations(policy.zones.items(), 2):
        for shared in sorted(set(str(a.port).split()) & set(str(b.port).split())):
            yield Problem(
                ("zones", two, "port"), f"port {shared} belongs to zone '{one}' already: zones do not share a port"
            )
        for path, network in _networks(b):
            for other in a.networks:
                if _overlap(network, other):
                    yield Problem(
                        ("zones", two, *path),
                        f"{network} overlaps {other} of zone '{one}': zones must be told apart by address",
                    )
    for name, zone in policy.zones.items():
        own = [a.ip for a in zone.addresses]
        for index, address in enumerate(own):
            if address in own[:index]:
                yield Problem(("zones", name, "addresses", index), f"{address} is written twice")
        for index, route in enumerate(zone.routes):
            where: Key = ("zones", name, "routes", index)
            if route.to.version != route.via.version:
                yield Problem(where, "'to' and 'via' are of different IP versions")
            elif not any(route.via.version == a.version and route.via in a.network for a in zone.addresses):
                yield Problem((*where, "via"), f"{route.via} is in none of the networks of zone '{name}'")
            elif zone.owns(route.via):
                yield Problem((*where, "via"), f"{route.via} is the box itself")


def _networks(zone: Zone) -> Iterator[tuple[Key, Network]]:
    for index, address in enumerate(zone.addresses):
        yield ("addresses", index), address.network
    for index, route in enumerate(zone.routes):
        yield ("routes", index, "to"), route.to


def _overlap(one: Network, other: Network) -> bool:
    # A default route overlaps everything and says nothing about whose an address is.
    return one.version == other.version and one.prefixlen > 0 and other.prefixlen > 0 and one.overlaps(other)


def _bodies(policy: Policy) -> Iterator[Problem]:
    keys: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for name, body in policy.bodies.items():
        for seen, words, part in ((keys, body.keys, "keys"), (prefixes, body.identifiers, "identifiers")):
            for index, word in enumerate(words):
                owner = seen.setdefault(str(word), name)
                if owner != name or word in words[:index]:
                    told = "is written twice" if owner == name else f"belongs to body '{owner}' already"
                    yield Problem(("bodies", name, part, index), f"'{word}' {told}")


def _origins(policy: Policy, broken: Broken) -> Iterator[Problem]:
    for name, origin in policy.origins.items():
        where: Key = ("origins", name)
        yield from _asked(policy, broken, where, origin)
        if origin.s3 is not None and origin.role == "parent":
            yield Problem((*where, "s3"), "a parent is another box, which speaks no S3: 'role: origin' is meant")
    registry = policy.registry
    if (
        registry is not None
        and registry.origin not in policy.origins
        and not _left_out(broken, "origins", registry.origin)
    ):
        yield Problem(
            ("registry", "origin"), f"unknown origin '{registry.origin}'", nearest(registry.origin, policy.origins)
        )


def _asked(policy: Policy, broken: Broken, where: Key, origin: Origin | WebOrigin) -> Iterator[Problem]:
    """Yield why fetch could never ask ``origin``."""
    culture = policy.zones.get("culture")
    if culture is None:
        if not _left_out(broken, "zones", "culture"):
            yield Problem(where, "origins are asked in the culture zone, and this box has none")
    elif not culture.holds(origin.address):
        yield Problem((*where, "address"), f"{origin.address} is not in the culture zone: fetch asks nowhere else")
    elif culture.owns(origin.address):
        yield Problem((*where, "address"), f"{origin.address} is the box itself: it would ask itself for ever")
    elif not any(
        r.zone == "culture"
        and r.run == "fetch"
        and str(r.port) == f"tcp/{origin.port}"
        and _holds(policy, r.to, origin.address)
        for r in policy.reach.values()
    ) and not any(path[0] == "reach" for path in broken):
        yield Problem(
            where, f"no 'reach' with 'run: fetch' opens {origin.address} tcp/{origin.port}: it could never be asked"
        )


def _web(policy: Policy, broken: Broken) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, origin in policy.web.items():
        where: Key = ("web", name)
        for index, method in enumerate(origin.methods):
            if method in ("CONNECT", "TRACE"):
                yield Problem((*where, "methods", index), f"{method} crosses in no case")
        yield from _asked(policy, broken, where, origin)
        if origin.body and origin.body not in policy.bodies and not _left_out(broken, "bodies", origin.body):
            yield Problem((*where, "body"), f"no body '{origin.body}'", nearest(origin.body, policy.bodies))
        for index, host in enumerate(origin.hosts):
            owner = owners.setdefault(host, name)
            if owner != name or host in origin.hosts[:index]:
                told = "is written twice" if owner == name else f"is a name of '{owner}' already"
                yield Problem((*where, "hosts", index), f"'{host}' {told}")
        for index, zone in enumerate(origin.zones):
            yield from _known_zone(policy, broken, (*where, "zones", index), zone)
            if not policy.lanes_of("web", to=zone) and not any(path[0] == "lanes" for path in broken):
                told = f"no lane carries web answers to '{zone}'"
                yield Problem((*where, "zones", index), told, f"{{from: culture, to: {zone}, kind: web}} would")


def _services(policy: Policy, broken: Broken) -> Iterator[Problem]:
    listening: dict[tuple[str, str], str] = {}
    answering: dict[tuple[str, str], str] = {}
    for name, service in policy.services.items():
        where: Key = ("services", name)
        yield from _known_zone(policy, broken, (*where, "zone"), service.zone)
        other = listening.setdefault((service.zone, str(service.listen)), name)
        if other != name:
            yield Problem(
                (*where, "listen"), f"{service.listen} in zone '{service.zone}' is taken by service '{other}'"
            )
        other = answering.setdefault((service.zone, service.run), name)
        if other != name:
            yield Problem(
                (*where, "run"), f"'{service.run}' answers in zone '{service.zone}' as service '{other}' already"
            )
        if service.run == "share" and service.zone != "culture":
            yield Problem((*where, "zone"), "boxes share what they have in the culture zone and nowhere else")
        if service.front is not None and service.run != "delivery":
            yield Problem((*where, "front"), "nginx stands in front of delivery and of nothing else")
        if service.tls is not None and service.front is None:
            told = "delivery alone serves plain HTTP: TLS is nginx's"
            yield Problem((*where, "tls"), told, "'front: nginx' beside it")
        if service.zone in policy.zones:
            yield from _inside(policy, broken, service.zone, (*where, "from"), service.sources)


def _inward(policy: Policy) -> Iterator[Problem]:
    for name, service in policy.services.items():
        if service.run == "publish" and service.zone != "institution":
            yield Problem(
                ("services", name, "zone"), "releases are taken from the institution's network: 'zone: institution'"
            )
        if service.run == "linking" and service.zone != "institution":
            yield Problem(("services", name, "zone"), "curators work in the institution's network: 'zone: institution'")


def _reach(policy: Policy, broken: Broken) -> Iterator[Problem]:
    for name, reach in policy.reach.items():
        where: Key = ("reach", name)
        yield from _known_zone(policy, broken, (*where, "zone"), reach.zone)
        if reach.run == "fetch" and reach.zone != "culture":
            yield Problem((*where, "zone"), "fetch runs in the culture zone and reaches nothing elsewhere")
        if reach.zone in policy.zones:
            yield from _inside(policy, broken, reach.zone, (*where, "to"), reach.to)


def _lanes(policy: Policy, broken: Broken) -> Iterator[Problem]:
    for name, lane in policy.lanes.items():
        where: Key = ("lanes", name)
        yield from _known_zone(policy, broken, (*where, "from"), lane.source)
        yield from _known_zone(policy, broken, (*where, "to"), lane.target)
        if lane.source == lane.target:
            yield Problem((*where, "to"), "a lane runs between two zones")
        if lane.rate is not None and lane.rate.count == 0:
            yield Problem((*where, "rate"), "a lane on which nothing moves: take it out")
        if lane.kind == "web" and (lane.source != "culture" or lane.target not in SCREENS):
            yield Problem(where, "web answers cross from 'culture' to a zone of screens and nowhere else")
        if lane.kind == "identifier" and policy.registry is None and not _left_out(broken, "registry"):
            yield Problem(where, "identifiers cross only if 'registry:' says who signs them")


def _content(policy: Policy, broken: Broken) -> Iterator[Problem]:
    trust, important, store = policy.trust, policy.important, policy.store
    if trust is not None and trust.origin not in policy.origins and not _left_out(broken, "origins", trust.origin):
        yield Problem(("trust", "origin"), f"unknown origin '{trust.origin}'", nearest(trust.origin, policy.origins))
    if trust is None and not _left_out(broken, "trust"):
        for name, body in policy.bodies.items():
            if not body.keys:
                yield Problem(("bodies", name), "has no 'keys:', and without 'trust:' nobody else says which are its")
    for index, zone in enumerate(important.outside if important else ()):
        yield from _known_zone(policy, broken, ("important", "outside", index), zone)
    for index, zone in enumerate(policy.permission.zones if policy.permission else ()):
        yield from _known_zone(policy, broken, ("permission", "zones", index), zone)
        if policy.service_of(zone, "delivery") is None and not any(path[0] == "services" for path in broken):
            yield Problem(
                ("permission", "zones", index),
                f"nothing is delivered in zone '{zone}': no service with 'run: delivery'",
            )
    for zone in policy.ladders:
        yield from _known_zone(policy, broken, ("ladders", zone), zone)
    for zone in policy.lines:
        yield from _known_zone(policy, broken, ("lines", zone), zone)
    for zone in store.quotas.zones:
        yield from _known_zone(policy, broken, ("store", "quotas", "zones", zone), zone)
    for name in store.quotas.bodies:
        if name not in policy.bodies and not _left_out(broken, "bodies", name):
            yield Problem(("store", "quotas", "bodies", name), f"no body '{name}'", nearest(name, policy.bodies))


def _never(policy: Policy, broken: Broken) -> Iterator[Problem]:
    if not policy.never and not any(path[0] == "never" for path in broken):
        yield Problem(("never",), "a policy needs 'never:': the zones that must never meet")
    for index, never in enumerate(policy.never):
        where: Key = ("never", _place("never", index, broken))
        # A zone that this box does not have is never met anyway, so that all sites of an operator may share their promises.
        for key, zone in (("from", never.source), ("to", never.target)):
            if zone not in ZONES:
                yield Problem((*where, key), f"unknown zone '{zone}'", nearest(zone, ZONES))
        if never.source == never.target:
            yield Problem((*where, "to"), "names the same zone twice")
        for name, lane in policy.lanes.items():
            if (lane.source, lane.target) == (never.source, never.target) and never.lane in ("any", lane.kind):
                yield Problem(
                    where,
                    f"lane '{name}' carries {question.MANY[lane.kind]} from {lane.source} to {lane.target}, which this forbids",
                )


def _cases(policy: Policy, broken: Broken) -> Iterator[Problem]:
    lists = [*(service.sources for service in policy.services.values()), *(reach.to for reach in policy.reach.values())]
    judged = not any(path[0] in ("zones", "services", "reach", "lanes") for path in broken)
    judged = judged and all(_is_group(policy, name) for hosts in lists for name in hosts.groups)
    for index, case in enumerate(policy.expect):
        where: Key = ("expect", _place("expect", index, broken))
        unasked = list(question.faults_of(case.question))
        yield from (Problem((*where, key), sentence) for key, sentence in unasked)
        unknown = []
        for key, end in (("from", case.source), ("to", case.target)):
            if end.zone is not None:
                unknown += _known_zone(policy, broken, (*where, key), end.zone)
        yield from unknown
        if judged and not unasked and not unknown:
            told = verdict.decide(policy, case.question)
            if told.allowed != (case.verdict == "accept"):
                got = "accept" if told.allowed else "drop"
                yield Problem(
                    (*where, "verdict"), f"expects {case.verdict} of {case.question}, but it is {got}: {told.why}"
                )


def _place(section: str, index: int, broken: Broken) -> int:
    """Return the place in the file of the entry at ``index`` of those that are left of a list."""
    left_out = sorted(path[1] for path in broken if path[0] == section and len(path) > 1 and isinstance(path[1], int))
    for place in left_out:
        if place <= index:
            index += 1
    return index


def _known_zone(policy: Policy, broken: Broken, where: Key, zone: str) -> list[Problem]:
    if zone in policy.zones or _left_out(broken, "zones", zone):
        return []
    if zone in ZONES:
        return [Problem(where, f"this box has no zone '{zone}'", nearest(zone, policy.zones))]
    known = set(policy.zones) | {str(path[1]) for path in broken if path[0] == "zones" and len(path) > 1}
    return [Problem(where, f"unknown zone '{zone}'", nearest(zone, set(ZONES) & known or ZONES))]


def _left_out(broken: Broken, *path: str) -> bool:
    return tuple(path) in broken or (path[0],) in broken


def _inside(policy: Policy, broken: Broken, zone: str, where: Key, hosts: Hosts) -> Iterator[Problem]:
    inside = policy.zones[zone].networks
    for index, one in enumerate(hosts.written):
        if isinstance(one, str) and not _is_group(policy, one):
            yield from _unknown_group(policy, broken, (*where, index), one)
            continue
        outside = policy.group(one).outside(inside) if isinstance(one, str) else pack([one]).outside(inside)
        if outside is not None:
            of = f" of '@{one}'" if isinstance(one, str) else ""
            known = ", ".join(str(n) for n in inside)
            yield Problem((*where, index), f"{word_of(outside)}{of} is not in zone '{zone}'", f"its networks: {known}")


def _is_group(policy: Policy, name: str) -> bool:
    return name in policy.groups or (name in policy.bodies and bool(policy.bodies[name].addresses))


def _unknown_group(policy: Policy, broken: Broken, where: Key, name: str) -> Iterator[Problem]:
    if _left_out(broken, "groups", name) or _left_out(broken, "bodies", name):
        return
    if name in policy.bodies:
        yield Problem(where, f"body '{name}' has no 'addresses:'")
        return
    known = [*policy.groups, *(body for body in policy.bodies if policy.bodies[body].addresses)]
    yield Problem(where, f"there is no group '{name}'", nearest(name, known).replace("mean '", "mean '@"))


def _holds(policy: Policy, hosts: Hosts, address: question.Address) -> bool:
    known = Hosts(tuple(one for one in hosts.written if not isinstance(one, str) or _is_group(policy, one)))
    return policy.includes(known, address)
