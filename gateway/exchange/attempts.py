"""Attempts at important data: each is told one by one, and those of a flood are counted together. Pure: ``now`` goes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BURST = 20  # attempts of one peer that are told one by one
REFILL = 1.0  # of those a second
MOST_EXAMPLES = 20  # of what a flood asked for that its entry names


@dataclass
class Flood:
    """Attempts of one peer that came too fast to be told one by one."""

    times: int = 0
    examples: list[Mapping[str, Any]] = field(default_factory=list)


class Attempts:
    """What each peer (by name) tried lately."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # entries left, as of when
        self._floods: dict[str, Flood] = {}

    def take(self, peer: str, what: Mapping[str, Any], now: float) -> bool:
        """Return whether this attempt gets an entry of its own; if not, it is counted with others until ``due``."""
        left, since = self._left.get(peer, (float(BURST), now))
        left = min(float(BURST), left + (now - since) * REFILL)
        if left >= 1:
            self._left[peer] = (left - 1, now)
            return True
        self._left[peer] = (left, now)
        flood = self._floods.setdefault(peer, Flood())
        flood.times += 1
        if what not in flood.examples and len(flood.examples) < MOST_EXAMPLES:
            flood.examples.append(dict(what))
        return False

    def due(self) -> dict[str, Flood]:
        """Return, by peer, what was counted since the last time."""
        floods, self._floods = self._floods, {}
        return floods
