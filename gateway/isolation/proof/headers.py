"""Header fields as decision diagrams over their bits (CUDD through ``dd``): a value, a range, a mask, a large set, built from below."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from gateway.isolation.proof.space import FIELDS

Node = Any  # of dd.cudd, which has no types


class Headers:
    """The fields' bits in the order in which a proof splits packets; addresses, whose sets are large, come last."""

    def __init__(self) -> None:
        from dd import cudd

        self.bdd = cudd.BDD()
        self.bits: dict[str, list[Node]] = {}
        for name, field in FIELDS.items():
            names = [f"{name} {bit}" for bit in range(field.bits)]
            self.bdd.declare(*names)
            self.bits[name] = [self.bdd.var(one) for one in names]
        self.bdd.configure(reordering=False)
        self.true, self.false = self.bdd.true, self.bdd.false

    def equals(self, name: str, value: int, mask: int | None = None) -> Node:
        """Return where the field's bits under ``mask`` are those of ``value``."""
        bits, found = self.bits[name], self.true
        for place in reversed(range(len(bits))):
            weight = 1 << (len(bits) - 1 - place)
            if mask is None or mask & weight:
                found &= bits[place] if value & weight else ~bits[place]
        return found if value >> len(bits) == 0 else self.false

    def between(self, name: str, first: int, last: int) -> Node:
        """Return where the field is at least ``first`` and at most ``last``."""
        bits = self.bits[name]
        above, below = self.true, self.true
        for place in reversed(range(len(bits))):
            weight, bit = 1 << (len(bits) - 1 - place), bits[place]
            above = bit & above if first & weight else bit | above
            below = ~bit | below if last & weight else ~bit & below
        return above & below

    def members(self, name: str, values: Sequence[int]) -> Node:
        """Return where the field is one of ``values``, which are in order and apart."""
        bits = self.bits[name]
        ite, true, false = self.bdd.ite, self.true, self.false

        def below(begin: int, end: int, base: int, left: int) -> Node:
            """Return the diagram of values[begin:end], which begin with ``base``, over the last ``left`` bits."""
            if begin == end:
                return false
            if end - begin == 1 << left:
                return true
            middle = base + (1 << (left - 1))
            cut = bisect_left(values, middle, begin, end)
            low, high = below(begin, cut, base, left - 1), below(cut, end, middle, left - 1)
            return ite(bits[len(bits) - left], high, low)

        return below(0, len(values), 0, len(bits))

    def packet(self, node: Node) -> dict[str, int]:
        """Return one packet of ``node``; only the fields that matter to it."""
        found: dict[str, int] = {}
        for bit, value in (self.bdd.pick(node) or {}).items():
            name, _, place = bit.rpartition(" ")
            weight = 1 << (FIELDS[name].bits - 1 - int(place))
            found[name] = found.get(name, 0) + (weight if value else 0)
        return found
