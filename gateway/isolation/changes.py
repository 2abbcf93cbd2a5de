"""Two policies -> in words, who gains and who loses what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from netaddr import IPRange, IPSet

from gateway.isolation.policy import Policy

MOST_RANGES = 8  # told in one line


@dataclass(frozen=True, order=True)
class Change:
    """One thing that a principal (a zone's hosts, the box, a body) gains or loses."""

    verb: Literal["gains", "loses"]
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.verb} {self.what}"


def changes(old: Policy, new: Policy) -> list[Change]:
    """Return what ``new`` gives and takes, losses first; of addresses exactly those for which the answer differs."""
    before, after = set(_grants(old)), set(_grants(new))
    lost = [Change("loses", who, what) for who, what in before - after]
    gained = [Change("gains", who, what) for who, what in after - before]
    was, will = _reaches(old), _reaches(new)
    for words in was.keys() | will.keys():
        had, has = was.get(words, IPSet()), will.get(words, IPSet())
        lost += [words.change("loses", had - has)] if had - has else []
        gained += [words.change("gains", has - had)] if has - had else []
    return sorted(lost) + sorted(gained)


@dataclass(frozen=True)
class Words:
    """A reach in words, ``{}`` standing where its addresses do."""

    who: str
    what: str

    def change(self, verb: Literal["gains", "loses"], addresses: IPSet) -> Change:
        """Return the change of ``addresses``, told as ranges."""
        ranges = [_range(one) for one in islice(addresses.iter_ipranges(), MOST_RANGES + 1)]
        told = ", ".join(ranges[:MOST_RANGES]) + (" and more" if len(ranges) > MOST_RANGES else "")
        return Change(verb, self.who.format(told), self.what.format(told))


def _range(addresses: IPRange) -> str:
    first, last = addresses[0], addresses[-1]
    if first == last:
        return str(first)
    whole = addresses.cidrs()
    return str(whole[0]) if len(whole) == 1 else f"{first}-{last}"


def _reaches(policy: Policy) -> dict[Words, IPSet]:
    """Return who reaches what: for each service its senders, for each reach of the box its targets."""
    found: dict[Words, IPSet] = {}
    for service in policy.services.values():
        words = Words(f"{service.zone}/{{}}", f"{service.run} at the box's {service.listen}")
        found.setdefault(words, IPSet()).update(IPSet([str(source) for source in policy.networks_of(service.sources)]))
    for reach in policy.reach.values():
        words = Words(f"the box ({reach.run})", f"{reach.port} at {reach.zone}/{{}}")
        found.setdefault(words, IPSet()).update(IPSet([str(target) for target in policy.networks_of(reach.to)]))
    return found


def _grants(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield (who, what) for all that a policy grants beside reaches; the names of services and lanes are nothing that is granted."""
    for name, zone in policy.zones.items():
        yield f"zone {name}", f"the port {zone.port}"
        for address in zone.addresses:
            yield f"zone {name}", f"the box at {address}"
        for route in zone.routes:
            yield f"zone {name}", f"the route to {route.to} via {route.via}"
    for lane in policy.lanes.values():
        yield f"zone {lane.target}", f"{lane.kind}s from {lane.source} (objects up to {lane.largest} bytes)"
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
