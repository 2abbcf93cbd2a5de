"""A site's policy: the YAML file of docs/architecture.md as one frozen value; ``load`` is what every daemon calls."""

from __future__ import annotations

import copy
import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from appliance.runtime import config
from appliance.runtime.config import Places, Section
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.tree import Mapping, Node, compose
from gateway.isolation import checks, sources
from gateway.isolation.addresses import Addresses, HostList
from gateway.isolation.content import S3, Important, Ladder, LineRate, Orders, Permission, Store, Tls, Trust, WebOrigin
from gateway.isolation.groups import Group, Hosts
from gateway.isolation.question import Address, Kind, Protocol, Question
from gateway.isolation.words import (
    IPAddress,
    IPInterface,
    IPNetwork,
    Key,
    Listen,
    Mac,
    Name,
    Network,
    PerTime,
    ProtocolPort,
    Rate,
    Size,
    WrittenEnd,
    ZonePort,
)

# "This network", loopback, link-local, multicast, reserved: RFC 6890; no host sends from these through a router.
NO_SENDERS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)
Act = Literal["share", "associate", "reconstruct"]
DEFAULT_LARGEST = 64 << 20  # bytes of one object where a lane does not say: some seconds of 4K video
MOST = 500  # entries of one list
Territory = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{5}$")]  # GB/T 2260
MOST_NEIGHBOURS = 1024  # pinned in one zone; the kernel keeps as many without collecting garbage (gc_thresh3)


class Route(Section):
    """A network of the zone that is reached through another host of it."""

    to: IPNetwork
    via: IPAddress


class Zone(Section):
    """A network that stays apart: its port, the box's addresses in it, routes, and neighbours whose MAC never changes."""

    port: ZonePort
    addresses: Annotated[tuple[IPInterface, ...], Field(min_length=1, max_length=16)]
    routes: Annotated[tuple[Route, ...], Field(max_length=64)] = ()
    neighbours: dict[IPAddress, Mac] = Field(default_factory=dict, max_length=MOST_NEIGHBOURS)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks whose hosts may be met at this zone's port: its own, and those behind its routes."""
        return tuple(dict.fromkeys([*(a.network for a in self.addresses), *(r.to for r in self.routes)]))

    def holds(self, address: Address) -> bool:
        """Return whether a host of this zone may have ``address``."""
        return any(address.version == n.version and address in n for n in self.networks)

    def owns(self, address: Address) -> bool:
        """Return whether ``address`` is the box's own in this zone."""
        return any(address == a.ip for a in self.addresses)


class Body(Section):
    """An admitted organisation (主体)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    keys: Annotated[tuple[Key, ...], Field(max_length=16)] = ()  # none: those that the trust's operator delegates to it
    identifiers: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=MOST)]
    acts: Annotated[tuple[Act, ...], Field(min_length=1, max_length=3)]
    addresses: Addresses = Group()  # may be used as a group of the body's name


class Registry(Section):
    """Who signs the table of identifiers, and which origin has it."""

    keys: Annotated[tuple[Key, ...], Field(min_length=1, max_length=16)]
    origin: str
    hidden: Literal[403, 404] = 404  # how a code is answered that may not be seen in the asker's zone
    ranges: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}:[^\s]{0,200}$")], ...], Field(max_length=64)
    ] = ()  # leading parts of the codes that this box takes; none: all


class Origin(Section):
    """A server of the culture zone that fetch may ask; a parent is another box, asked before origins are."""

    address: IPAddress
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    role: Literal["origin", "parent"] = "origin"
    tls: bool = False  # HTTPS, its certificate verified by /etc/headgate/origins/ca.crt
    s3: S3 | None = None


class Serving(Section):
    """Something that may be reached from a zone, and what answers there."""

    zone: str
    run: Name
    listen: ProtocolPort
    sources: HostList = Field(alias="from")
    log: bool = False  # opened connections are sampled too
    front: Literal["nginx"] | None = None  # what stands in front of delivery and serves hits by itself
    tls: Tls | None = None  # HTTPS and HTTP/2, by nginx


class Reach(Section):
    """Something that the box itself may open towards a zone."""

    zone: str
    run: Name
    to: HostList
    port: ProtocolPort


class Lane(Section):
    """A kind of object that may cross from one zone to another, through the exchange."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    kind: Kind
    largest: Size = DEFAULT_LARGEST  # bytes of one object
    rate: PerTime | None = None  # objects; None: as fast as they come
    active: bool = (
        False  # whether content that runs (scripts, WebAssembly) may cross, of releases that say they are applications
    )


class Log(Section):
    """What is sampled of denied packets, for each zone and reason; counting is always."""

    denied: PerTime = Rate(10)


class Approval(Section):
    """So many of these keys sign a successor of this policy, over its exact bytes."""

    signatures: Annotated[int, Field(ge=1, le=16)]
    keys: dict[Name, Key] = Field(min_length=1, max_length=64)


class Expect(Section):
    """A case that must hold; a policy that breaks one is refused."""

    source: WrittenEnd = Field(alias="from")
    target: WrittenEnd = Field(alias="to")
    proto: Protocol | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    lane: Kind | None = None
    verdict: Literal["accept", "drop"]

    @property
    def question(self) -> Question:
        """The question that this case answers."""
        return Question(self.source, self.target, self.proto, self.port, self.lane)


class Never(Section):
    """Two zones that never meet. Between zones there is no IP path anyway; ``lane`` forbids objects of a kind too.

    ``lane: any`` forbids every lane from the one to the other. A policy that grants what it says never happens is refused.
    """

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    lane: Kind | Literal["any"] | None = None


@dataclass(frozen=True)
class Service:
    """What answers in a zone, as a daemon needs it: the address and port to listen on."""

    name: str
    zone: str
    run: str
    address: str
    port: int
    protocol: str
    sources: Hosts
    front: str | None = None
    tls: Tls | None = None


class Policy(Section):
    """What a box enforces."""

    site: Name
    serial: Annotated[int, Field(ge=1, le=2**53)] | None = None  # of two policies the newer has the higher one
    approval: Approval | None = None
    groups: dict[Name, Addresses] = Field(default_factory=dict, max_length=256)
    zones: dict[str, Zone] = Field(default_factory=dict)
    bodies: dict[Name, Body] = Field(default_factory=dict, max_length=4096)
    registry: Registry | None = None
    origins: dict[Name, Origin] = Field(default_factory=dict, max_length=256)
    web: dict[Name, WebOrigin] = Field(default_factory=dict, max_length=256)
    services: dict[Name, Serving] = Field(default_factory=dict, max_length=256)
    reach: dict[Name, Reach] = Field(default_factory=dict, max_length=256)
    lanes: dict[Name, Lane] = Field(default_factory=dict, max_length=256)
    log: Log = Log()
    territory: Territory | None = None  # where the box's screens are
    trust: Trust | None = None
    orders: Orders | None = None
    permission: Permission | None = None
    ladders: dict[str, Ladder] = Field(default_factory=dict, max_length=5)  # by zone
    lines: dict[str, LineRate] = Field(default_factory=dict, max_length=5)  # by zone: what its line carries
    important: Important | None = None
    store: Store = Store()
    expect: Annotated[tuple[Expect, ...], Field(max_length=1000)] = ()
    never: Annotated[tuple[Never, ...], Field(max_length=256)] = ()

    _data: bytes = PrivateAttr(default=b"")
    _digest: str = PrivateAttr(default="")
    _file: str = PrivateAttr(default="<text>")
    _root: Node | None = PrivateAttr(default=None)
    _places: Places | None = PrivateAttr(default=None)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file's bytes, in hex."""
        return self._digest

    @property
    def data(self) -> bytes:
        """The whole file's bytes: as it was read, or with all that it includes."""
        return self._data

    @property
    def file(self) -> str:
        """The name of the file it was read from."""
        return self._file

    def line_of(self, path: config.Key) -> int:
        """Return the line (from 1) where ``path`` stands, or the nearest part around it that does; 0 if unknown."""
        return self.place_of(path)[1]

    def place_of(self, path: config.Key) -> tuple[str, int]:
        """Return the file as it was written, and the line in it, where ``path`` or the nearest part around it stands."""
        if self._root is None:
            return self._file, 0
        self._places = self._places or Places(self._root)
        return self._places.of(path)

    def fault_of(self, problem: config.Problem) -> Fault:
        """Return ``problem`` with the place where it was written."""
        if self._root is None:
            return Fault(self._file, 1, 1, config.dotted(problem.path), problem.message, hint=problem.hint)
        self._places = self._places or Places(self._root)
        return self._places.fault(problem)

    def group(self, name: str) -> Group:
        """Return the addresses that ``@name`` stands for: a group's, or a body's own.

        Raises:
            KeyError: nothing has this name.
        """
        return self.groups[name] if name in self.groups else self.bodies[name].addresses

    def networks_of(self, hosts: Hosts) -> Iterator[Network]:
        """Yield what ``hosts`` holds, each single host a network of one address; for small uses."""
        yield from hosts.networks
        for name in hosts.groups:
            yield from self.group(name).networks()

    def includes(self, hosts: Hosts, address: Address) -> bool:
        """Return whether ``address`` is among ``hosts``."""
        return _among(hosts.networks, address) or any(address in self.group(name) for name in hosts.groups)

    def senders_of(self, zone: str) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
        """Return the networks whose hosts may send at the port of ``zone``, and those taken out of them again.

        With a default route everything may stand behind the port, except what belongs to other zones or cannot be a sender.
        """
        inside = self.zones[zone].networks
        others = [n for name, other in self.zones.items() if name != zone for n in other.networks if n.prefixlen]
        anywhere = {n.version for n in inside if not n.prefixlen}
        outside = [n for n in (*others, *NO_SENDERS) if n.version in anywhere]
        own = [ipaddress.ip_network(a.ip) for a in self.zones[zone].addresses]
        return inside, (*own, *outside)

    def is_sender(self, zone: str, address: Address) -> bool:
        """Return whether a packet from ``address`` may come in at the port of ``zone``."""
        inside, outside = self.senders_of(zone)
        return _among(inside, address) and not _among(outside, address)

    def service_of(self, zone: str, run: str) -> Service | None:
        """Return the service that ``run`` answers in ``zone`` (at the zone's first address), or None."""
        for name, serving in self.services.items():
            if (serving.zone, serving.run) == (zone, run) and zone in self.zones:
                listen: Listen = serving.listen
                address = str(self.zones[zone].addresses[0].ip)
                return Service(
                    name, zone, run, address, listen.port, listen.protocol, serving.sources, serving.front, serving.tls
                )
        return None

    def web_of(self, host: str) -> tuple[str, WebOrigin] | None:
        """Return the name and the origin of plain HTTP that screens know by ``host``, or None."""
        asked = host.lower()
        return next(((name, origin) for name, origin in self.web.items() if asked in origin.hosts), None)

    def lanes_of(self, kind: str, *, to: str | None = None, source: str | None = None) -> tuple[Lane, ...]:
        """Return the lanes of ``kind``, only those into ``to`` and out of ``source`` where given."""
        return tuple(
            lane
            for lane in self.lanes.values()
            if lane.kind == kind and to in (None, lane.target) and source in (None, lane.source)
        )

    @model_validator(mode="wrap")
    @classmethod
    def _every_fault_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Policy]) -> Policy:
        """Check what the sections mean together, also where some of them are wrong in themselves."""
        errors: list[InitErrorDetails] = []
        broken: frozenset[config.Key] = frozenset()
        try:
            policy = handler(data)
        except ValidationError as error:
            found_each = error.errors(include_url=False)[: config.MOST_JUDGED]
            inner = {details["loc"][:depth] for details in found_each for depth in range(len(details["loc"]))}
            errors = [_again(details) for details in found_each if not _follows(details, inner)]
            rest, broken = _without(data, [tuple(details["loc"]) for details in found_each])
            try:
                policy = handler(rest)
            except ValidationError:
                raise error from None  # so much is wrong that the rest means nothing
        found = config.problems(checks.problems_of(policy, broken))
        if found is not None:
            errors.append(InitErrorDetails(type=found, loc=(), input=None))
        if errors:
            raise ValidationError.from_exception_data("policy", errors)
        return policy


def _among(networks: Iterable[Network], address: Address) -> bool:
    return any(address.version == n.version and address in n for n in networks)


def load(path: Path) -> Policy:
    """Read the policy at ``path``, a whole file or a source that includes others.

    Raises:
        ConfigError: a file cannot be read or this is no valid policy; holds all faults.
    """
    whole = sources.read(path)
    return _policy(whole.root, whole.data, str(path))


def parse(data: bytes, file: str = "<text>") -> Policy:
    """Return the policy written as ``data``, a whole file of which ``file`` is the name to print.

    Raises:
        ConfigError: it is no valid policy; holds all faults.
    """
    root = compose(data, file, sources.LONGEST_POLICY)
    for key, _ in root.pairs if isinstance(root, Mapping) else ():
        if key.text == "include":
            told = "only a source includes others, and this must be a whole file"
            mend = "'headgate policy whole' writes it"
            raise ConfigError([key.source.fault(key.line, key.column, told, "include", len(key.text), mend)])
    return _policy(root, data, file)


def _policy(root: Node, data: bytes, file: str) -> Policy:
    policy = config.validate(root, Policy)
    policy._data = data
    policy._digest = hashlib.sha256(data).hexdigest()
    policy._file = file
    policy._root = root
    return policy


def _again(details: Any) -> InitErrorDetails:
    """Return a validation error's details in the form that raises them once more."""
    context = details.get("ctx") or {}
    kind = details["type"]
    if kind == "problems":
        kind = PydanticCustomError("problems", "{count} faults", context)
    if kind == "value_error" and not isinstance(context.get("error"), Exception):
        kind = PydanticCustomError("value_error", "{text}", {"text": str(details["msg"])})
    return InitErrorDetails(type=kind, loc=details["loc"], input=details["input"], ctx=context)


def _follows(details: Any, inner: set[tuple[int | str, ...]]) -> bool:
    """Return whether a list is too short only because items of it are wrong, which is told already."""
    return details["type"] == "too_short" and details["loc"] in inner


def _without(data: Any, places: list[tuple[int | str, ...]]) -> tuple[Any, frozenset[config.Key]]:
    """Return ``data`` without the entries around the wrong ``places`` (``services.ssh``, ``expect[3]``), and those entries' paths."""
    if not isinstance(data, dict):
        return data, frozenset()
    rest = copy.deepcopy(data)
    broken = {tuple(place[:2]) for place in places if place}
    for top in {place[0] for place in broken}:
        section = rest.get(top)
        inner = {place[1] for place in broken if place[0] == top and len(place) > 1}
        if isinstance(section, dict) and inner and top != "registry":
            rest[top] = {key: value for key, value in section.items() if key not in inner}
        elif isinstance(section, list) and inner:
            rest[top] = [value for index, value in enumerate(section) if index not in inner]
        else:
            rest.pop(top, None)
            broken.add((top,))
    if ("site",) in broken:
        rest["site"] = "unnamed"
    return rest, frozenset(broken)
