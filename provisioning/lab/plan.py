"""The lab's machines, networks and cables, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from appliance.runtime.errors import Refused

NAME = re.compile(r"[a-z][a-z0-9-]{0,13}[a-z0-9]")  # also a veth's name at the switch: at most 15 characters (IFNAMSIZ)
LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Network:
    """One switch: a cable network that nothing but its ports touches."""

    name: str
    address: IPv4Network


@dataclass(frozen=True)
class Port:
    """One port of a machine and the network that its cable leads to."""

    name: str  # port0, port1, ... on the machine
    network: str
    mac: str
    address: IPv4Interface  # what the plan gives it; who sets it: see ``given``
    given: bool = False  # the lab sets the address before the machine boots: a factory setting, or a screen's own
    default_route: bool = False  # whatever is not on the network is asked for on the cable, where nobody answers


@dataclass(frozen=True)
class Machine:
    """One Debian in the lab, blank at first."""

    name: str
    image: str  # of firmware.recipe
    ports: tuple[Port, ...]
    managed: bool  # the factory put the operator's key in, and it answers SSH in the management network

    def port(self, network: str) -> Port:
        """Return the port that leads to ``network``.

        Raises:
            Refused: the machine has none there.
        """
        for port in self.ports:
            if port.network == network:
                return port
        raise Refused(
            "no-such-port",
            f"'{self.name}' has no port in '{network}'; it has {', '.join(p.network for p in self.ports)}",
        )


@dataclass(frozen=True)
class Plan:
    """All of a lab."""

    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]
    operator: Port  # of the operator's workstation, a bare namespace in which this machine runs ssh and ansible

    def machine(self, name: str) -> Machine:
        """Return the machine called ``name``.

        Raises:
            Refused: there is none.
        """
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise Refused(
            "no-such-machine", f"no machine '{name}' in this lab; there are {', '.join(m.name for m in self.machines)}"
        )


NETWORKS = tuple(
    Network(name, IPv4Network(f"10.{second}.0.0/24"))
    for name, second in (
        ("culture", 10),
        ("bigscreen", 20),
        ("smallscreen", 30),
        ("management", 40),
        ("institution", 50),
    )
)


def mac(network: Network, host: int) -> str:
    """Return the address of a port on the cable: locally administered, the same in each lab."""
    return f"02:68:67:{network.address.network_address.packed[1]:02x}:00:{host:02x}"


def machine(
    name: str, image: str, host: int, networks: tuple[str, ...], *, all_networks: tuple[Network, ...] = NETWORKS
) -> Machine:
    """Return a machine with ports in ``networks``, of which ``host`` is the last part of each address.

    One with a port in management is blank: only that port has an address. One without is a screen and has its own from the start.
    """
    if not NAME.fullmatch(name):
        raise Refused(
            "bad-name", f"'{name}' is not a machine's name: lower-case letters, digits and '-', 2 to 15 characters"
        )
    known = {network.name: network for network in all_networks}
    managed = "management" in networks
    ports = tuple(
        Port(
            f"port{index}",
            network,
            mac(known[network], host),
            IPv4Interface(f"{known[network].address.network_address + host}/{known[network].address.prefixlen}"),
            given=not managed or network == "management",
            default_route=not managed,
        )
        for index, network in enumerate(networks)
    )
    return Machine(name, image, ports, managed)


def whole() -> Plan:
    """Return the lab that `headgate lab up` raises: a centre, a box of each role, screens, an attacker in each screen zone, the archive."""
    return Plan(
        NETWORKS,
        (
            machine("centre", "centre", 20, ("culture", "management")),
            machine("headend", "factory", 11, ("culture", "bigscreen", "management")),
            machine("edge", "front", 12, ("culture", "smallscreen", "management")),
            machine("institution", "factory", 13, ("institution", "culture", "management")),
            machine("settop", "player", 50, ("bigscreen",)),
            machine("phone", "player", 50, ("smallscreen",)),
            machine("attacker-big", "player", 66, ("bigscreen",)),
            machine("attacker-small", "player", 66, ("smallscreen",)),
            machine("archive", "player", 30, ("institution",)),
        ),
        operator_port(),
    )


def operator_port() -> Port:
    """Return the port of the operator's workstation."""
    workstation = machine("operator", "", 2, ("management",))
    return workstation.ports[0]
