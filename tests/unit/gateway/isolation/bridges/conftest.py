"""A look at a box, built by hand: three zones, home, and one namespace of nobody."""

from __future__ import annotations

from typing import Any

from gateway.isolation.bridges.nouns import HOME, LinkSeen, Process, Sight, Socket, Space
from gateway.isolation.bridges.ports import Expected

CULTURE, BIGSCREEN, MANAGEMENT, AT_HOME, OTHER = 1, 2, 3, 4, 5
SPACES = {
    CULTURE: Space(CULTURE, "culture", "/run/netns/culture"),
    BIGSCREEN: Space(BIGSCREEN, "bigscreen", "/run/netns/bigscreen"),
    MANAGEMENT: Space(MANAGEMENT, "management", "/run/netns/management"),
    AT_HOME: Space(AT_HOME, HOME, "/proc/self/ns/net"),
    OTHER: Space(OTHER, None, "/proc/77"),
}
MACS = {CULTURE: "02:68:67:0a:00:0b", BIGSCREEN: "02:68:67:14:00:0b", MANAGEMENT: "02:68:67:28:00:0b"}
EXPECTED = {
    "culture": Expected("port0", MACS[CULTURE], ""),
    "bigscreen": Expected("port0", MACS[BIGSCREEN], "", frozenset({("tcp", 80)})),
    "management": Expected("port0", MACS[MANAGEMENT], "", frozenset({("tcp", 22)})),
}


def sight(**parts: Any) -> Sight:
    """Return a look at which nothing is but what is given."""
    return Sight(**({"spaces": SPACES} | parts))


def port(space: int, **more: Any) -> LinkSeen:
    """Return the port of a zone as it should be."""
    return LinkSeen(**({"space": space, "index": 2, "name": "port0", "mac": MACS[space], "up": True} | more))


def process(pid: int, space: int, **more: Any) -> Process:
    """Return a process of root's in one namespace, in no unit."""
    told = {"pid": pid, "started": pid * 10, "parent": 1, "uids": frozenset({0}), "name": "it", "unit": ""}
    return Process(**(told | {"program": "/bin/it", "threads": {space: pid}, "main": space} | more))


def inet(inode: int, space: int, family: int = 2, kind: int = 1) -> Socket:
    """Return a socket; a TCP one unless said otherwise."""
    return Socket(inode, space, family, kind)
