"""The operator's folder as a value: every site with its box, ring and policy, or all that is wrong in it at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from appliance.runtime import config
from appliance.runtime.config import Key, Problem, Section, nearest, problems
from appliance.runtime.errors import ConfigError, Fault
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.isolation.shelf import signatures_of

FILE = "inventory.yaml"
CENTRE, GATEWAYS = "centre", "gateways"
MANAGEMENT = "management"
# Names that certificates of the centre's own services carry; a box of that name could pass for one of them.
RESERVED = ("broker", "controller", "all", "localhost", GATEWAYS)
MOST_SITES = 10_000
SITE_NAME = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"  # a DNS label: it is a host name, an MQTT user, a file name


class Host(BaseModel):
    """One box, with the variables Ansible needs to reach it; other variables of Ansible's are left alone."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    ansible_host: str
    ring: Annotated[int, Field(ge=0, le=99)] = 1
    gateway_python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")] = "3.11"  # 3.11 on Debian 12, 3.13 on Debian 13


class Group(Section):
    """A group of Ansible's inventory."""

    hosts: dict[str, Host] = Field(default_factory=dict)
    vars: dict[str, Any] = Field(default_factory=dict)
    children: dict[str, Group] = Field(default_factory=dict)


class Inventory(RootModel[dict[str, Group]]):
    """``inventory.yaml``."""

    @model_validator(mode="after")
    def _sound(self) -> Inventory:
        found = problems(_problems(self))
        if found is not None:
            raise found
        return self

    def hosts(self) -> Iterator[tuple[Key, str, str, Host]]:
        """Yield the path, group, name and values of every host that is written."""
        yield from _hosts((), self.root)


@dataclass(frozen=True)
class Site:
    """A place and the box there."""

    name: str
    address: str  # where Ansible reaches the box, in the management zone
    ring: int
    centre: bool
    python: str
    policy: Policy
    policy_file: Path  # as it is written; boxes get the whole policy
    signatures: bytes | None = None  # of those who approved it


@dataclass(frozen=True)
class Fleet:
    """All that the operator's folder asks."""

    folder: Path
    sites: Mapping[str, Site]

    @property
    def inventory(self) -> Path:
        """Ansible's inventory."""
        return self.folder / FILE

    @property
    def centre(self) -> Site | None:
        """The centre, if this folder has one."""
        return next((site for site in self.sites.values() if site.centre), None)

    @property
    def rings(self) -> tuple[int, ...]:
        """The rings, in the order in which a change reaches them."""
        return tuple(sorted({site.ring for site in self.sites.values()}))


def read(folder: Path) -> Fleet:
    """Read the operator's folder.

    Raises:
        ConfigError: the inventory or a policy is wrong; holds all faults of all files.
    """
    path = folder / FILE
    root = config.compose(config.read(path), str(path))
    inventory, places = config.validate(root, Inventory), config.Places(root)
    faults: list[Fault] = []
    sites: dict[str, Site] = {}
    for key, group, name, host in inventory.hosts():
        if name in sites or group not in (CENTRE, GATEWAYS):
            continue
        policy_file = folder / "sites" / name / "policy.yaml"
        if not policy_file.exists():
            known = [entry.name for entry in (folder / "sites").glob("*") if entry.is_dir()]
            where, told = places.keys[key], f"site '{name}' has no policy: {policy_file} is missing"
            faults.append(
                where.source.fault(where.line, where.column, told, config.dotted(key), len(name), nearest(name, known))
            )
            continue
        try:
            policy = policies.load(policy_file)
        except ConfigError as error:
            faults += error.faults
            continue
        site = Site(
            name,
            host.ansible_host,
            host.ring,
            group == CENTRE,
            host.gateway_python,
            policy,
            policy_file,
            signatures_of(policy_file),
        )
        faults += _mismatches(site)
        sites[name] = site
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))  # what is wrong in a fragment is told once, not for each site
    return Fleet(folder, sites)


def _mismatches(site: Site) -> Iterator[Fault]:
    """Yield what would take the box at ``site`` from its operator, or make it somebody else."""

    def fault(path: Key, message: str, hint: str = "") -> Fault:
        file, line = site.policy.place_of(path)
        return Fault(file, line or 1, 1, config.dotted(path), message, hint=hint)

    if site.policy.site != site.name:
        yield fault(
            ("site",), f"this is the policy of '{site.policy.site}', but it lies in the folder of '{site.name}'"
        )
    zone = site.policy.zones.get(MANAGEMENT)
    if zone is None:
        yield fault(("zones",), f"there is no zone '{MANAGEMENT}': the box could never be reached again")
        return
    addresses = [str(address.ip) for address in zone.addresses]
    if site.address not in addresses:
        yield fault(("zones", MANAGEMENT, "addresses"), f"the box is reached at {site.address}, but this gives it {', '.join(addresses)}",
                    "write the same address here and in the inventory's ansible_host")  # fmt: skip
    if site.policy.service_of(MANAGEMENT, "ssh") is None:
        yield fault(("services",), f"no service lets ssh in from '{MANAGEMENT}': the box could never be reached again")


def _hosts(path: Key, groups: Mapping[str, Group]) -> Iterator[tuple[Key, str, str, Host]]:
    for name, group in groups.items():
        for host, values in group.hosts.items():
            yield (*path, name, "hosts", host), name, host, values
        yield from _hosts((*path, name, "children"), group.children)


def _problems(inventory: Inventory) -> Iterator[Problem]:
    import re

    seen: dict[str, str] = {}
    addresses: dict[str, str] = {}
    centres = []
    for path, group, name, host in inventory.hosts():
        if group not in (CENTRE, GATEWAYS):
            continue  # a group of the operator's own, over boxes that are told elsewhere
        if name in seen:
            yield Problem(path, f"box '{name}' is written twice, in '{seen[name]}' and in '{group}'")
        seen[name] = group
        if not re.fullmatch(SITE_NAME, name):
            yield Problem(
                path, f"'{name}' is no site name: a small letter, then small letters, digits and '-', at most 63"
            )
        if name in RESERVED:
            yield Problem(path, f"'{name}' is reserved: no box may have this name")
        try:
            ipaddress.ip_address(host.ansible_host)
        except ValueError:
            yield Problem((*path, "ansible_host"), f"'{host.ansible_host}' is no address")
        if host.ansible_host in addresses:
            yield Problem((*path, "ansible_host"), f"'{addresses[host.ansible_host]}' has this address already")
        addresses[host.ansible_host] = name
        if group == CENTRE:
            centres.append(path)
    for path in centres[1:]:
        yield Problem(path, "there is a second centre; a fleet has one")
    if not seen:
        yield Problem((), f"no box is told: hosts of the groups '{CENTRE}' and '{GATEWAYS}'")
    elif len(seen) > MOST_SITES:
        yield Problem((), f"more than {MOST_SITES} boxes in one inventory")
