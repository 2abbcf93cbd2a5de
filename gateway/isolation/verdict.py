"""May A reach B, why, and which line of the policy says so: the same words for ``explain``, ``expect:`` and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.runtime.config import Key
from gateway.isolation.question import MANY, End, Question

if TYPE_CHECKING:
    from gateway.isolation.policy import Policy, Reach, Serving


@dataclass(frozen=True)
class Verdict:
    """The answer, in words, with the path in the policy that decides and its line (0 if the policy is not from a file)."""

    allowed: bool
    why: str
    path: Key
    line: int


def decide(policy: Policy, asked: Question) -> Verdict:
    """Return what ``policy`` says to ``asked``; whatever nothing allows is dropped."""
    allowed, why, path = _decide(policy, asked)
    return Verdict(allowed, why, path, policy.line_of(path))


def _decide(policy: Policy, asked: Question) -> tuple[bool, str, Key]:
    source, target = asked.source, asked.target
    for end in (source, target):
        if end.zone is not None and end.zone not in policy.zones:
            return False, f"this box has no zone '{end.zone}'", ("zones",)
    if source.zone is not None and source.zone == target.zone and _is_box(policy, target):
        target = End()
    if asked.lane is not None:
        return _lane(policy, asked)
    if source.zone is None and target.zone is None:
        return True, "the box reaches itself over loopback", ("zones",)
    if source.zone is None:
        return _outward(policy, asked)
    if target.zone is None:
        return _inward(policy, asked)
    if source.zone == target.zone:
        return False, f"the box forwards nothing; hosts of '{source.zone}' meet without it", ("zones", source.zone)
    return _across(policy, source.zone, target.zone)


def _is_box(policy: Policy, end: End) -> bool:
    return end.zone is not None and end.address is not None and policy.zones[end.zone].owns(end.address)


def _lane(policy: Policy, asked: Question) -> tuple[bool, str, Key]:
    for name, lane in policy.lanes.items():
        if (lane.source, lane.target, lane.kind) == (asked.source.zone, asked.target.zone, asked.lane):
            return True, f"lane '{name}' carries {MANY[lane.kind]} there, through the exchange", ("lanes", name)
    return (
        False,
        f"no lane carries {MANY[asked.lane or 'release']} from {asked.source.zone} to {asked.target.zone}",
        ("lanes",),
    )


def _across(policy: Policy, source: str, target: str) -> tuple[bool, str, Key]:
    why = "no IP path joins two zones"
    lanes = [
        f"{MANY[lane.kind]} by lane '{name}' (line {policy.line_of(('lanes', name))})"
        for name, lane in policy.lanes.items()
        if (lane.source, lane.target) == (source, target)
    ]
    why += f"; objects cross: {', '.join(lanes)}" if lanes else "; no lane crosses either"
    for index, never in enumerate(policy.never):
        if (never.source, never.target) == (source, target):
            return False, why, ("never", index)
    return False, why, ("zones", source)


def _inward(policy: Policy, asked: Question) -> tuple[bool, str, Key]:
    zone, address = asked.source.zone or "", asked.source.address
    home: Key = ("zones", zone, "addresses")
    if address is not None and not policy.is_sender(zone, address):
        told = "is the box's own address" if policy.zones[zone].owns(address) else f"is not an address of zone '{zone}'"
        return False, f"{address} {told}: such a sender is false and dropped at the port", home
    if asked.shape != "whole":
        told = "fragments" if asked.shape == "fragment" else "IP options"
        return False, f"{told} are dropped at the port: no service needs them", home
    if asked.protocol == "icmp":
        return False, "the box answers no ICMP request", ("services",)
    nearly: tuple[str, Serving] | None = None
    for name, service in policy.services.items():
        if service.zone != zone or not _matches(asked, service.listen.protocol, service.listen.port):
            continue
        if address is None or policy.includes(service.sources, address):
            return (
                True,
                f"service '{name}' ({service.run}) answers {service.listen} for {service.sources}",
                ("services", name),
            )
        nearly = (name, service)
    if nearly is not None:
        name, service = nearly
        why = f"service '{name}' listens on {service.listen}, but only for {service.sources}"
        return False, why, ("services", name, "from")
    return False, f"no service of zone '{zone}' listens on {_what(asked)}: dropped by default", ("services",)


def _outward(policy: Policy, asked: Question) -> tuple[bool, str, Key]:
    zone, address = asked.target.zone or "", asked.target.address
    nearly: tuple[str, Reach] | None = None
    for name, reach in policy.reach.items():
        if reach.zone != zone or not _matches(asked, reach.port.protocol, reach.port.port):
            continue
        if address is None or policy.includes(reach.to, address):
            return True, f"reach '{name}' lets {reach.run} open {reach.port} at {reach.to}", ("reach", name)
        nearly = (name, reach)
    if nearly is not None:
        name, reach = nearly
        return False, f"reach '{name}' opens {reach.port}, but only at {reach.to}", ("reach", name, "to")
    return False, f"no reach of zone '{zone}' opens {_what(asked)}: dropped by default", ("reach",)


def _matches(asked: Question, protocol: str, port: int) -> bool:
    return asked.protocol in (None, protocol) and asked.port in (None, port)


def _what(asked: Question) -> str:
    if asked.protocol is None:
        return "anything"
    return asked.protocol if asked.port is None else f"{asked.protocol}/{asked.port}"
