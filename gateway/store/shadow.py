"""Which policy would have served most bytes here: three small caches that see a sample of the box's own traffic. Pure: ``now`` goes in.

One key in so many, chosen by its digest, with as much less room: such a sample is served about as the whole is (Waldspurger, ATC 2017).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.store.policies import DEFAULT, KNOWN
from gateway.store.shelf import Cache

ONE_IN = 64  # keys of which one is looked at
LEAST_ROOM = (
    256 << 20
)  # bytes of a shadow: less would hold too few objects to tell policies apart, so more keys are taken
MOST_OBJECTS = 50_000  # in one shadow; all three take some 30 MiB then
BUCKET, BUCKETS = 900.0, 24  # seconds of a piece of the window, and pieces: six hours
LEAST_SEEN = 500  # sampled uses in the window before anything is chosen
AHEAD = 0.005  # of the bytes asked for: by so much another policy must be better
HOLD = 1800.0  # seconds that a choice stands at least


def one_in(capacity: int) -> int:
    """Return one key in how many is sampled for a store of ``capacity`` bytes: a power of two, at most ``ONE_IN``."""
    share = 1
    while share < ONE_IN and capacity // (share * 2) >= LEAST_ROOM:
        share *= 2
    return share


@dataclass
class _Piece:
    since: float
    uses: int = 0
    asked: int = 0  # bytes
    served: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KNOWN, 0))  # bytes, by policy
    chosen: int = 0  # bytes that the policy in force at the time would have served


class Shadows:
    """The three caches, the window, and the choice."""

    def __init__(self, capacity: int, *, choice: str = DEFAULT, fixed: bool = False, share: int | None = None) -> None:
        self.choice, self.fixed = choice, fixed
        self._share = share or one_in(capacity)
        self._caches = {name: Cache(keep, capacity // self._share, most=MOST_OBJECTS) for name, keep in KNOWN.items()}
        self._pieces: deque[_Piece] = deque()
        self._since = float("-inf")

    def resize(self, capacity: int) -> None:
        """Give the shadows their share of another capacity; what is too much goes with the next uses."""
        for cache in self._caches.values():
            cache.capacity = capacity // self._share

    def use(self, digest: str, size: int, sent: int, now: float) -> str | None:
        """Take note that ``sent`` bytes of an object went out; return the policy to change to, if it is time for another one."""
        if int(digest[-8:], 16) % self._share:
            return None
        piece = self._piece(now)
        piece.uses += 1
        piece.asked += sent
        for name, cache in self._caches.items():
            if cache.access(digest, size):
                piece.served[name] += sent
                if name == self.choice:
                    piece.chosen += sent
        return self._choose(now)

    def forget(self, digest: str) -> None:
        """Take an object out of all: it was withdrawn."""
        for cache in self._caches.values():
            cache.remove(digest)

    def ratios(self) -> Mapping[str, float]:
        """Return the share of the bytes asked for that each policy would have served in the window; empty without uses."""
        asked = sum(piece.asked for piece in self._pieces)
        return {name: sum(p.served[name] for p in self._pieces) / asked for name in KNOWN} if asked else {}

    def regret(self) -> float:
        """Return by how much of the bytes asked for the best single policy of the window was ahead of what was chosen."""
        asked = sum(piece.asked for piece in self._pieces)
        chosen = sum(piece.chosen for piece in self._pieces)
        return max(0.0, max(self.ratios().values()) - chosen / asked) if asked else 0.0

    def _piece(self, now: float) -> _Piece:
        while self._pieces and self._pieces[0].since <= now - BUCKET * BUCKETS:
            self._pieces.popleft()
        if not self._pieces or now - self._pieces[-1].since >= BUCKET:
            self._pieces.append(_Piece(now))
        return self._pieces[-1]

    def _choose(self, now: float) -> str | None:
        if self.fixed or now - self._since < HOLD or sum(piece.uses for piece in self._pieces) < LEAST_SEEN:
            return None
        ratios = self.ratios()
        best = max(ratios, key=lambda name: ratios[name])
        if ratios[best] < ratios[self.choice] + AHEAD:
            return None
        self.choice, self._since = best, now
        return best
