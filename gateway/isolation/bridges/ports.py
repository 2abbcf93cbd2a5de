"""What a zone may hold, and whether a link is its port. Pure, and light enough for the ears."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.isolation.bridges.nouns import LinkSeen


@dataclass(frozen=True)
class Expected:
    """What a zone may hold: its port by name, MAC and PCI address, and what listens in it."""

    name: str
    mac: str
    pci: str
    listens: frozenset[tuple[str, int]] = frozenset()  # protocol, port


def is_port(link: LinkSeen, expected: Expected | None, *, virtual: bool) -> bool:
    """Return whether a link is the port that the policy gives its zone, under its name or the one it has on the way."""
    if expected is None or (link.kind and not (virtual and link.kind == "veth")):
        return False
    passing = ("hg" + link.mac.replace(":", ""))[:15]
    named = link.name in (expected.name, passing) or bool(expected.pci)  # nothing can forge the place of a card
    return named and expected.mac in ("", link.mac) and expected.pci in ("", link.pci)
