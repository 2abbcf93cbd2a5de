"""First match over one field with very many values: each border once, each set a row of truth values, verdicts by masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.isolation.proof.values import Class, Range, Values

Rest = Sequence[tuple[Sequence[Values], bool]]  # sets that must all hold the value, and the verdict
Mask = NDArray[np.bool_]


def answers(
    rests: Sequence[Rest], questions: Sequence[Callable[..., Any]], top: int, *, whole: bool
) -> Iterator[tuple[int, Class]]:
    """Yield (question, values) where a question on the verdicts of ``rests`` is true; with ``whole`` all values, else the lowest."""
    line = _Line([values for rest in rests for sets, _ in rest for values in sets], top)
    verdicts = [line.verdict(rest) for rest in rests]
    for number, question in enumerate(questions):
        told = question(*verdicts) & line.there
        places = np.flatnonzero(told)
        if len(places):
            ranges = line.ranges(places if whole else places[:1])
            yield number, Class(0, ranges[0][0], ranges)


class _Line:
    """The values of a field cut at every border: atom 2n+1 is the n-th border itself, atom 2n what lies before it."""

    def __init__(self, sets: Sequence[Values], top: int) -> None:
        self.top, self.wide = top, top >= 1 << 64
        ends = [end for values in sets for one in values.ranges for end in one]
        parts = [self._few(ends), *(self._many(data) for values in dict.fromkeys(sets) for data in values.packed)]
        self.borders = np.unique(np.concatenate(parts))
        self.there = self._not_empty()
        self._known: dict[Values, Mask] = {}

    def _few(self, values: Sequence[int]) -> NDArray[Any]:
        if self.wide:
            return np.array([value.to_bytes(16, "big") for value in values], dtype="S16")
        return np.array(values, dtype=np.uint64)

    def _many(self, data: bytes) -> NDArray[Any]:
        return np.frombuffer(data, dtype="S16") if self.wide else np.frombuffer(data, dtype=">u4").astype(np.uint64)

    def _not_empty(self) -> Mask:
        count = len(self.borders)
        there = np.ones(2 * count + 1, dtype=np.bool_)
        if not count:
            return there
        if self.wide:
            halves = self.borders.view(">u8").reshape(-1, 2).astype(np.uint64)
            high, low = halves[:-1, 0], halves[:-1, 1] + np.uint64(1)  # wraps to 0 as it should
            next_to = (halves[1:, 1] == low) & (halves[1:, 0] == high + (low == 0))
        else:
            next_to = self.borders[1:] == self.borders[:-1] + np.uint64(1)
        there[2:-1:2] = ~next_to
        there[0] = self._value(1) > 0
        there[-1] = self._value(2 * count - 1) < self.top
        return there

    def _value(self, atom: int) -> int:
        """Return the lowest value of an atom."""
        if atom == 0:
            return 0
        border = self.borders[(atom - 1) // 2]
        value = int.from_bytes(bytes(border).ljust(16, b"\0"), "big") if self.wide else int(border)
        return value + (atom % 2 == 0)

    def _highest(self, atom: int) -> int:
        if atom % 2:
            return self._value(atom)
        return self.top if atom == 2 * len(self.borders) else self._value(atom + 1) - 1

    def _mask(self, values: Values) -> Mask:
        if values not in self._known:
            mask = np.zeros(2 * len(self.borders) + 1, dtype=np.bool_)
            for data in values.packed:
                mask[2 * np.searchsorted(self.borders, self._many(data)) + 1] = True
            ends = np.searchsorted(self.borders, self._few([end for one in values.ranges for end in one]))
            for first, last in ends.reshape(-1, 2).tolist():
                mask[2 * first + 1 : 2 * last + 2] = True
            self._known[values] = ~mask if values.inverted else mask
        return self._known[values]

    def verdict(self, rest: Rest) -> Mask:
        """Return for each atom whether the first rule that matches accepts it."""
        accepted = np.zeros(2 * len(self.borders) + 1, dtype=np.bool_)
        undecided = ~accepted
        for sets, accept in rest:
            hit = undecided.copy()
            for values in sets:
                hit &= self._mask(values)
            if accept:
                accepted |= hit
            undecided &= ~hit
        return accepted

    def ranges(self, places: NDArray[Any]) -> tuple[Range, ...]:
        """Return these atoms as ranges, those that touch as one."""
        # Two atoms touch where nothing that is there lies between them.
        order = np.cumsum(self.there)[places]
        breaks = np.flatnonzero(np.diff(order) != 1) + 1
        return tuple((self._value(int(run[0])), self._highest(int(run[-1]))) for run in np.split(places, breaks))
