"""How parents and origins are doing: who rests after failures, who is slow, who gave wrong bytes. Pure: ``now`` goes in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

FIRST, LONGEST = 1.0, 30.0  # seconds of rest after the first failure in a row, doubled by each further one, at most
PROBE = 30.0  # seconds after which a probe whose end nobody told is given up
SLOW = 0.5  # seconds until the first byte of what it had, on average, from where on an upstream may be slow
TIMES = 4.0  # and so many times the best one's
WEIGHT = 0.2  # of the newest measurement in the average
REMEMBERED = 30.0  # seconds for which a measurement speaks: a slow one gets no requests that could speak for it
WRONG = 600.0  # seconds in which an upstream is asked last for what it gave wrong bytes of
MOST_WRONG = 1000  # keys kept in mind


@dataclass
class _Standing:
    failures: int = 0  # in a row
    until: float = float("-inf")  # rests until then
    probe: float = float("-inf")  # a probe is under way, and given up then
    pace: float | None = None  # seconds, smoothed
    measured: float = float("-inf")


class Health:
    """What is known of each upstream by name; an unknown one is ready."""

    def __init__(self) -> None:
        self._known: dict[str, _Standing] = {}
        self._wrong: OrderedDict[tuple[str, str], float] = OrderedDict()

    def ready(self, name: str, now: float) -> bool:
        """Return whether ``name`` may be asked like any other: after its rest one request at a time probes it."""
        known = self._known.get(name)
        return known is None or not known.failures or (now >= known.until and now >= known.probe)

    def begun(self, name: str, now: float) -> None:
        """Note that ``name`` is being asked: it is a probe where it failed before."""
        known = self._of(name)
        if known.failures:
            known.probe = now + PROBE

    def worked(self, name: str) -> None:
        """Note that ``name`` answered, were it only that it has nothing of the kind."""
        known = self._of(name)
        known.failures, known.until, known.probe = 0, float("-inf"), float("-inf")

    def left(self, name: str) -> None:
        """Note that nobody waited for the answer of ``name``: the next request may probe it."""
        self._of(name).probe = float("-inf")

    def failed(self, name: str, now: float) -> int:
        """Note that ``name`` was away or broke off; return how many times in a row it has."""
        known = self._of(name)
        if now >= known.until:  # what was under way when it failed is the same failure
            known.failures += 1
            known.until = now + min(LONGEST, FIRST * 2 ** min(known.failures - 1, 10))
        known.probe = float("-inf")
        return known.failures

    def took(self, name: str, seconds: float, now: float) -> None:
        """Note how long the first byte of something took that ``name`` had, or how long it was waited for in vain."""
        known = self._of(name)
        fresh = known.pace is not None and now - known.measured < REMEMBERED
        known.pace = seconds if known.pace is None or not fresh else known.pace + WEIGHT * (seconds - known.pace)
        known.measured = now

    def slow(self, name: str, others: Collection[str], now: float) -> bool:
        """Return whether ``name`` is slow in itself and against the best of ``others``."""
        own = self._pace(name, now)
        if own is None or own < SLOW:
            return False
        best = min(
            (pace for other in others if other != name and (pace := self._pace(other, now)) is not None), default=0.0
        )
        return own > TIMES * best

    def wrong(self, name: str, key: str, now: float) -> None:
        """Note that ``name`` gave bytes of ``key`` that are not what was signed."""
        self._wrong.pop((name, key), None)
        self._wrong[name, key] = now + WRONG
        while len(self._wrong) > MOST_WRONG:
            self._wrong.popitem(last=False)

    def is_wrong(self, name: str, key: str, now: float) -> bool:
        """Return whether ``name`` gave wrong bytes of ``key`` lately."""
        return self._wrong.get((name, key), float("-inf")) > now

    def keep(self, names: Collection[str]) -> None:
        """Forget everybody but ``names``: another policy has others."""
        self._known = {name: known for name, known in self._known.items() if name in names}

    def _of(self, name: str) -> _Standing:
        return self._known.setdefault(name, _Standing())

    def _pace(self, name: str, now: float) -> float | None:
        known = self._known.get(name)
        return known.pace if known is not None and now - known.measured < REMEMBERED else None
