"""What can be done to bring the kernel to a policy: plain values, each of which tells in words what it does."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.isolation.listing import Change
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT, Lookup, Neighbour, Path

HOME = ""  # the name of the namespace in which ports begin


@dataclass(frozen=True)
class MakeZone:
    """Make the namespace of a zone."""

    zone: str

    def __str__(self) -> str:
        return f"make zone {self.zone}"


@dataclass(frozen=True)
class RemoveZone:
    """Remove the namespace of a zone that the policy does not have; its ports were taken out before."""

    zone: str

    def __str__(self) -> str:
        return f"remove zone {self.zone}"


@dataclass(frozen=True)
class MovePort:
    """Set a link down and bring it, under a passing name, from one namespace into another."""

    link: str
    mac: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"move port {self.link} ({self.mac}) from {self.source or 'home'} to {self.target or 'home'}"


@dataclass(frozen=True)
class NamePort:
    """Give the link with this MAC its name in the zone."""

    zone: str
    mac: str

    def __str__(self) -> str:
        return f"{self.zone}: name port {self.mac} {PORT}"


@dataclass(frozen=True)
class SetDown:
    """Set a link down that has no business in the zone and cannot leave it."""

    zone: str
    link: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: set {self.link} down"


@dataclass(frozen=True)
class SetUp:
    """Set a link up."""

    zone: str
    link: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: set {self.link} up"


@dataclass(frozen=True)
class Set:
    """Write a kernel setting below /proc/sys."""

    zone: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: {self.key.replace('/', '.')} = {self.value}"


@dataclass(frozen=True)
class LoadRules:
    """Put a ruleset in place of what is there, in one transaction."""

    zone: str
    rules: Rules
    foreign: tuple[tuple[str, str], ...] = ()
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        rules = sum("rule" in part for part in self.rules.objects)
        besides = f", remove {', '.join(' '.join(t) for t in self.foreign)}" if self.foreign else ""
        return f"{self.zone or 'home'}: load ruleset ({rules} rules){besides}"


@dataclass(frozen=True)
class ChangeElements:
    """Add and remove single elements of sets, and touch nothing else of the ruleset."""

    zone: str
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        return f"{self.zone}: {'; '.join(map(str, self.changes))}"


@dataclass(frozen=True)
class OwnTables:
    """Take over our tables, which nobody owns since the guard before us ended: until then others may change them."""

    zone: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: own our tables"


@dataclass(frozen=True)
class AddAddress:
    """Give the port an address."""

    zone: str
    address: str

    def __str__(self) -> str:
        return f"{self.zone}: add address {self.address}"


@dataclass(frozen=True)
class DropAddress:
    """Take an address from the port, or from another link that stays in the zone."""

    zone: str
    address: str
    link: str = PORT

    def __str__(self) -> str:
        return f"{self.zone}: remove address {self.address}{f' of {self.link}' if self.link != PORT else ''}"


@dataclass(frozen=True)
class AddRoute:
    """Add a route."""

    zone: str
    route: Path

    def __str__(self) -> str:
        return f"{self.zone}: add route {self.route}"


@dataclass(frozen=True)
class DropRoute:
    """Remove a route."""

    zone: str
    route: Path

    def __str__(self) -> str:
        return f"{self.zone}: remove route {self.route}"


@dataclass(frozen=True)
class Pin:
    """Tell the kernel a neighbour's MAC for good, so that nothing it hears changes it."""

    zone: str
    neighbour: Neighbour

    def __str__(self) -> str:
        return f"{self.zone}: pin neighbour {self.neighbour}"


@dataclass(frozen=True)
class Unpin:
    """Remove an entry of a neighbour that somebody set."""

    zone: str
    neighbour: Neighbour

    def __str__(self) -> str:
        return f"{self.zone}: remove neighbour {self.neighbour}"


@dataclass(frozen=True)
class AddLookup:
    """Add a rule of routing."""

    zone: str
    lookup: Lookup

    def __str__(self) -> str:
        return f"{self.zone}: add {self.lookup}"


@dataclass(frozen=True)
class DropLookup:
    """Remove a rule of routing."""

    zone: str
    lookup: Lookup

    def __str__(self) -> str:
        return f"{self.zone}: remove {self.lookup}"


Action = (
    MakeZone
    | RemoveZone
    | MovePort
    | NamePort
    | SetDown
    | SetUp
    | Set
    | LoadRules
    | ChangeElements
    | OwnTables
    | AddAddress
    | DropAddress
    | AddRoute
    | DropRoute
    | Pin
    | Unpin
    | AddLookup
    | DropLookup
)
