"""What the screens of this zone see of a master playlist or an MPD: their own ladder."""

from __future__ import annotations

from gateway.delivery.remade import Remade
from gateway.isolation.policy import Policy
from gateway.playlists.ladder import DASH, HLS, Limits, filtered


class Shown(Remade):
    """The playlists of one zone, filtered by its limits."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(lambda data, kind: filtered(data, kind, limits))
        self._limits = limits

    def filters(self, kind: str) -> bool:
        """Return whether a file of the media type ``kind`` is looked into."""
        return bool(self._limits) and kind in (HLS, DASH)


def limits_of(policy: Policy, zone: str) -> Limits:
    """Return what the policy limits in ``zone``."""
    ladder = policy.ladders.get(zone)
    return Limits(ladder.height or 0, ladder.bandwidth or 0, ladder.codecs) if ladder else Limits()
