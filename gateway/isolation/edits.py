"""Changes to the links, addresses, routes, neighbours and settings of the namespace in which they are called."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from gateway.isolation import rawlink
from gateway.isolation.netns import KernelFailed
from gateway.isolation.rawlink import Rtnetlink
from gateway.isolation.topology import PORT, Lookup, Neighbour
from gateway.isolation.topology import Path as Route

SYSCTL = Path("/proc/sys")
LONGEST_SETTING = 4096  # bytes read of one


def _index(netlink: Any, name: str) -> int:
    found = netlink.link_lookup(ifname=name)
    if not found:
        raise KernelFailed(f"there is no link '{name}'")
    return int(found[0])


def move(link: str, passing: str, descriptor: int) -> None:
    """Set a link down and bring it, under a passing name, into the namespace open at ``descriptor``."""
    with IPRoute() as netlink:
        index = _index(netlink, link)
        netlink.link("set", index=index, state="down")
        if link != passing:
            netlink.link("set", index=index, ifname=passing)
        netlink.link("set", index=index, net_ns_fd=descriptor)


def rename(mac: str) -> None:
    """Give the link with this MAC its name in the zone; it is down for that."""
    with Rtnetlink() as rtnetlink:
        index = next(
            (index for index, link in rtnetlink.links().items() if link.mac == mac and link.name != "lo"), None
        )
    if index is None:
        raise KernelFailed(f"no link has the MAC {mac}")
    with IPRoute() as netlink:
        netlink.link("set", index=index, state="down")
        netlink.link("set", index=index, ifname=PORT)


def set_state(link: str, state: str) -> None:
    """Set a link up or down."""
    with IPRoute() as netlink:
        netlink.link("set", index=_index(netlink, link), state=state)


def add_address(address: str) -> None:
    """Give the port an address."""
    host, _, length = address.partition("/")
    with IPRoute() as netlink:
        netlink.addr("add", index=_index(netlink, PORT), address=host, prefixlen=int(length))


def add_route(route: Route) -> None:
    """Add a route."""
    with IPRoute() as netlink:
        netlink.route("add", dst=route.to, gateway=route.via)


def add_lookup(lookup: Lookup) -> None:
    """Add a rule of routing."""
    with IPRoute() as netlink:
        family = socket.AF_INET if lookup.version == 4 else socket.AF_INET6
        netlink.rule("add", family=family, priority=lookup.priority, table=lookup.table)


# What is removed is named to the kernel in the very words in which it told of it, so that nothing else is met.


def drop_address(address: str, link: str) -> None:
    """Take an address from a link."""
    with Rtnetlink() as rtnetlink:
        indices = {index for index, found in rtnetlink.links().items() if found.name == link}
        _drop(rtnetlink, rawlink.DELADDR, [b for (i, a), b in rtnetlink.addresses() if i in indices and a == address])


def drop_route(route: Route) -> None:
    """Remove a route."""
    with Rtnetlink() as rtnetlink:
        own = tuple(rawlink.each_own(rtnetlink.links()))
        _drop(rtnetlink, rawlink.DELROUTE, [body for path, body in rtnetlink.routes(own) if path == route])


def drop_lookup(lookup: Lookup) -> None:
    """Remove a rule of routing."""
    with Rtnetlink() as rtnetlink:
        _drop(rtnetlink, rawlink.DELRULE, [body for found, body in rtnetlink.lookups() if found == lookup])


def pin(neighbour: Neighbour) -> None:
    """Set a permanent neighbour."""
    with Rtnetlink() as rtnetlink:
        index = next((index for index, link in rtnetlink.links().items() if link.name == neighbour.link), None)
        if index is None:
            raise KernelFailed(f"there is no link '{neighbour.link}'")
        rtnetlink.pin(index, neighbour)


def unpin(neighbour: Neighbour) -> None:
    """Remove a neighbour that was set."""
    with Rtnetlink() as rtnetlink:
        entries = rtnetlink.neighbours(rtnetlink.links())
        _drop(rtnetlink, rawlink.DELNEIGH, [body for found, body in entries if found == neighbour])


def _drop(rtnetlink: Rtnetlink, kind: int, bodies: list[bytes]) -> None:
    for body in bodies:  # none: it went with something that was removed before it
        rtnetlink.one(kind, body)


def read(key: str) -> str | None:
    """Return a kernel setting, None where this kernel has none of that name."""
    # Some hundred of these each second: without the layers of Python's files they cost a third.
    try:
        descriptor = os.open(f"{SYSCTL}/{key}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # not there: it differs from whatever is wanted
    try:
        return os.read(descriptor, LONGEST_SETTING).decode(errors="replace").strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)


def write(key: str, value: str) -> None:
    """Write a kernel setting."""
    (SYSCTL / key).write_text(value)
