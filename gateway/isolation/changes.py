"""Two policies -> in words, who gains and who loses what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.isolation.policy import Policy


@dataclass(frozen=True, order=True)
class Change:
    """One thing that a principal (a zone's hosts, the box, a body) gains or loses."""

    verb: Literal["gains", "loses"]
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.verb} {self.what}"


def changes(old: Policy, new: Policy) -> list[Change]:
    """Return what ``new`` gives and takes, losses first."""
    before, after = set(_grants(old)), set(_grants(new))
    lost = [Change("loses", who, what) for who, what in sorted(before - after)]
    return lost + [Change("gains", who, what) for who, what in sorted(after - before)]


def _grants(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield (who, what) for all that a policy grants; the names of services and lanes are nothing that is granted."""
    for name, zone in policy.zones.items():
        yield f"zone {name}", f"the port {zone.port}"
        for address in zone.addresses:
            yield f"zone {name}", f"the box at {address}"
        for route in zone.routes:
            yield f"zone {name}", f"the route to {route.to} via {route.via}"
    for service in policy.services.values():
        for source in service.sources:
            yield f"{service.zone}/{source}", f"{service.run} at the box's {service.listen}"
    for reach in policy.reach.values():
        for target in reach.to:
            yield f"the box ({reach.run})", f"{reach.port} at {reach.zone}/{target}"
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
