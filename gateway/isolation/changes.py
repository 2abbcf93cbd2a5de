"""Two policies -> in words, who gains and who loses what: exact over all addresses, however they are written or grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.isolation import spans
from gateway.isolation.groups import Hosts
from gateway.isolation.policy import Policy
from gateway.isolation.spans import Span, Spans
from gateway.isolation.words import Listen

MOST_RANGES = 8  # told in one line


@dataclass(frozen=True, order=True)
class Change:
    """One thing that a principal (a zone's hosts, the box, a body) gains or loses."""

    verb: Literal["gains", "loses"]
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.verb} {self.what}"


@dataclass(frozen=True)
class Opening:
    """What is opened: by hosts of a zone at the box (``inward``), or by the box at hosts of a zone."""

    zone: str
    run: str
    port: Listen
    inward: bool

    def words(self, addresses: str) -> tuple[str, str]:
        """Return who reaches, and what."""
        if self.inward:
            return f"{self.zone}/{addresses}", f"{self.run} at the box's {self.port}"
        return f"the box ({self.run})", f"{self.port} at {self.zone}/{addresses}"


def changes(old: Policy, new: Policy) -> list[Change]:
    """Return what ``new`` gives and takes, losses first; of addresses exactly those for which the answer differs."""
    before, after = set(_grants(old)), set(_grants(new))
    lost = [Change("loses", who, what) for who, what in before - after]
    gained = [Change("gains", who, what) for who, what in after - before]
    for verb, found, one, other in (("loses", lost, old, new), ("gains", gained, new, old)):
        for opening, addresses in differing(one, other).items():
            who, what = opening.words(_told(addresses, opening, one))
            found.append(Change("gains" if verb == "gains" else "loses", who, what))
    return sorted(lost) + sorted(gained)


def differing(one: Policy, other: Policy) -> dict[Opening, dict[int, list[Span]]]:
    """Return for each opening the addresses, by IP version, to which ``one`` grants it and ``other`` does not."""
    mine, theirs = openings(one), openings(other)
    found: dict[Opening, dict[int, list[Span]]] = {}
    for opening, lists in mine.items():
        if _same(one, lists, other, theirs.get(opening, [])):
            continue
        for version in (4, 6):
            rest = _all(one, lists, version).less(_all(other, theirs.get(opening, []), version))
            if rest:
                found.setdefault(opening, {})[version] = rest
    return found


def openings(policy: Policy) -> dict[Opening, list[Hosts]]:
    """Return what hosts and box may open, each with the lists of addresses that it is granted to."""
    found: dict[Opening, list[Hosts]] = {}
    for service in policy.services.values():
        found.setdefault(Opening(service.zone, service.run, service.listen, True), []).append(service.sources)
    for reach in policy.reach.values():
        found.setdefault(Opening(reach.zone, reach.run, reach.port, False), []).append(reach.to)
    return found


def _same(one: Policy, mine: list[Hosts], other: Policy, theirs: list[Hosts]) -> bool:
    """Return whether two lists are the same word for word, groups included: then nothing need be reckoned."""
    return mine == theirs and all(one.group(name) == other.group(name) for hosts in mine for name in hosts.groups)


def _all(policy: Policy, lists: list[Hosts], version: int) -> Spans:
    result = Spans(version)
    for hosts in lists:
        result.add(hosts.networks, [policy.group(name) for name in hosts.groups])
    return result


def _told(addresses: Mapping[int, list[Span]], opening: Opening, granting: Policy) -> str:
    """Return addresses in words, with the names of the groups that are meant where all of them are a group's."""
    told = [spans.word_of(span, version) for version, found in addresses.items() for span in found[: MOST_RANGES + 1]]
    words = ", ".join(told[:MOST_RANGES])
    if len(told) > MOST_RANGES:
        count = sum(last - first + 1 for found in addresses.values() for first, last in found)
        words += f" and more ({count} addresses)"
    names = {name for hosts in openings(granting)[opening] for name in hosts.groups}
    whole = [name for name in sorted(names) if _is_of(granting, name, addresses)]
    return f"{words} (of @{', @'.join(whole)})" if whole else words


def _is_of(policy: Policy, name: str, addresses: Mapping[int, list[Span]]) -> bool:
    """Return whether every one of ``addresses`` is in a group."""
    for version, found in addresses.items():
        group = Spans(version)
        group.add((), [policy.group(name)])
        alone = frozenset(first for first, last in found if first == last)
        asked = Spans(version, alone, [span for span in found if span[0] < span[1]])
        if asked.less(group):
            return False
    return True


def _grants(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield (who, what) for all that a policy grants beside reaches; the names of services and lanes are nothing that is granted."""
    for name, zone in policy.zones.items():
        yield f"zone {name}", f"the port {zone.port}"
        for address in zone.addresses:
            yield f"zone {name}", f"the box at {address}"
        for route in zone.routes:
            yield f"zone {name}", f"the route to {route.to} via {route.via}"
        for neighbour, mac in zone.neighbours.items():
            yield f"zone {name}", f"the neighbour {neighbour} at {mac} and nowhere else"
    for lane in policy.lanes.values():
        yield (
            f"zone {lane.target}",
            f"{lane.kind}s from {lane.source} (objects up to {lane.largest} bytes{f', at most {lane.rate}' if lane.rate else ''})",
        )
    for body in policy.bodies.values():
        for act in body.acts:
            yield f"body {body.name}", f"the right to {act}"
        for identifier in body.identifiers:
            yield f"body {body.name}", f"the identifiers {identifier}"
        for key in body.keys:
            yield f"body {body.name}", f"the key {key}"
    for key in policy.registry.keys if policy.registry else ():
        yield "the registry", f"the key {key}"
    for name, origin in policy.origins.items():
        yield f"origin {name}", f"to be asked at {origin.address} tcp/{origin.port}"
    for never in policy.never:
        besides = f" ({never.lane})" if never.lane else ""
        yield "the policy", f"the promise that {never.source} never meets {never.target}{besides}"
    if policy.approval is not None:
        for approver, key in policy.approval.keys.items():
            yield "the policy", f"the approver {approver} with the key {key}"
        yield "the policy", f"the rule that {policy.approval.signatures} of its approvers sign the next one"
    yield "the log", f"samples of denied packets, {policy.log.denied} for each zone and reason"
    for name, service in policy.services.items():
        if service.log:
            yield "the log", f"samples of what is opened at service {name}"
