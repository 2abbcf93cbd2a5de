"""The live kernel against a policy, read only: differences by zone, links that join zones, forwarding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import HOME, LoadRules, missing_ports, reconcile
from gateway.isolation.topology import Seen, topology_of

ROUTING = ("net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv6/conf/all/forwarding")
GRADE = "one box: protocol separation with conversion (not physical disconnection, GB/T 20279)"


@dataclass(frozen=True)
class Report:
    """What an audit found; ``ok`` if nothing."""

    digest: str
    zones: Mapping[str, list[str]]  # zone -> what is not as the policy says
    joined: list[str]  # pairs of interfaces between zones
    grade: str = GRADE

    @property
    def ok(self) -> bool:
        """Whether the kernel holds the policy and nothing joins two zones."""
        return not self.joined and not any(self.zones.values())

    def as_json(self) -> dict[str, object]:
        """Return it for a program."""
        return {"ok": self.ok, **asdict(self)}


def audit(policy: Policy, seen: Mapping[str, Seen], pairs: list[tuple[str, str, str]]) -> Report:
    """Return what is not as ``policy`` says; ``pairs`` are (zone, link, other zone) of links whose other end is in another zone."""
    wanted = topology_of(policy)
    zones: dict[str, list[str]] = {zone or "home": [] for zone in (HOME, *wanted)}
    for zone, told in missing_ports(wanted, seen).items():
        zones[zone].append(told)
    for action in reconcile(wanted, seen):
        zone = getattr(action, "zone", getattr(action, "source", HOME)) or "home"
        words = action.why if isinstance(action, LoadRules) else (f"not as wanted, to do: {action}",)
        zones.setdefault(zone, []).extend(words)
    for zone, space in seen.items():
        for link in space.links:
            if link.master:
                zones.setdefault(zone or "home", []).append(f"link {link.name} is part of a bridge or bond")
        zones.setdefault(zone or "home", []).extend(
            f"{key.replace('/', '.')} is {space.settings[key]}: the zone routes"
            for key in ROUTING
            if space.settings.get(key, "0") != "0"
        )
    joined = [
        f"link {link} of zone {zone or 'home'} is paired with zone {other or 'home'}" for zone, link, other in pairs
    ]
    return Report(policy.digest, zones, joined)
