"""The class of a screen: ``big`` for televisions, ``small`` for phones, by the network that it is in."""

from __future__ import annotations

from gateway.release.rights import SCREENS


def screen_of(zone: str) -> str:
    """Return ``big`` or ``small``, or nothing for a zone without screens."""
    return SCREENS.get(zone, "")
