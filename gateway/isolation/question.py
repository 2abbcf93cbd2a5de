"""A question about reach, as people write it: ``bigscreen/10.20.0.50`` to ``box``, tcp, port 80."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from appliance.runtime.config import Problem, nearest

ZONES = ("culture", "bigscreen", "smallscreen", "institution", "management")
Kind = Literal["release", "identifier", "record", "web"]
KINDS: tuple[Kind, ...] = ("release", "identifier", "record", "web")
MANY = {"release": "releases", "identifier": "identifiers", "record": "records", "web": "web answers"}
PROTOCOLS = ("tcp", "udp", "icmp")
LONGEST = 128  # characters of an end; an IPv6 address and a zone's name are far shorter

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Protocol = Literal["tcp", "udp", "icmp"]
Shape = Literal["whole", "fragment", "options"]


@dataclass(frozen=True)
class End:
    """One end of a question: the box (no zone), any host of a zone, or one host of it."""

    zone: str | None = None
    address: Address | None = None

    @classmethod
    def parse(cls, text: str) -> End:
        """Return the end written as ``box``, ``ZONE`` or ``ZONE/ADDRESS``.

        Raises:
            Problem: it is none of these; tells the nearest right word.
        """
        if not isinstance(text, str) or len(text) > LONGEST:
            raise Problem((), "an end is written 'box', ZONE or ZONE/ADDRESS")
        if text == "box":
            return cls()
        zone, slash, address = text.partition("/")
        if zone not in ZONES:
            raise Problem((), f"unknown zone '{zone}'", nearest(zone, (*ZONES, "box")))
        if not slash:
            return cls(zone)
        try:
            return cls(zone, ipaddress.ip_address(address))
        except ValueError as error:
            raise Problem((), f"'{address}' is not an IP address") from error

    def __str__(self) -> str:
        if self.zone is None:
            return "box"
        return self.zone if self.address is None else f"{self.zone}/{self.address}"


@dataclass(frozen=True)
class Question:
    """May ``source`` open this towards ``target``? A zone without an address asks for *any* host of it.

    Without ``protocol`` it asks for anything at all; with ``lane`` it asks for objects of that kind through the exchange.
    """

    source: End
    target: End
    protocol: Protocol | None = None
    port: int | None = None
    lane: Kind | None = None
    shape: Shape = "whole"

    def __str__(self) -> str:
        what = self.lane or "/".join(str(part) for part in (self.protocol, self.port) if part is not None)
        return f"{self.source} to {self.target}" + (f", {what}" if what else "")


def faults_of(question: Question) -> list[tuple[str, str]]:
    """Return (key, sentence) for all that makes ``question`` one that cannot be answered."""
    found = []
    if question.source.zone is None and question.target.zone is None:
        found.append(("to", "asks whether the box reaches itself: name a zone at one end"))
    if question.port is not None and question.protocol not in ("tcp", "udp"):
        found.append(("port", "a port needs 'proto: tcp' or 'proto: udp' beside it"))
    if question.lane is not None:
        if question.source.zone is None or question.target.zone is None:
            found.append(("lane", "lanes run between two zones, not to the box"))
        if question.protocol is not None or question.port is not None:
            found.append(("lane", "a lane carries objects: it has no protocol or port"))
    return found
